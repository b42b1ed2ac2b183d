// SPDX-License-Identifier: MIT
// Whether a loop's first product can run a trip ahead of its last one, and what each op of a trip
// is for. Nothing is changed here; the first thing that does not fit is noted.
//
// Only A changes its place among what a trip does: it moves ahead of the C of the trip before. So A
// must depend on nothing but the trip's number, and nobody in the loop may write what A reads. C
// reads late what B computed early: all of that is handed over in fragments. What stands behind C
// in the text comes in front of it, so it may not look at C's result.
#include "passes/overlap_internal.h"

#include <stdarg.h>

static void misfit_at(kg_overlap *o, kg_loc loc, const char *help, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static void misfit_at(kg_overlap *o, kg_loc loc, const char *help, const char *format, ...)
{
    if (o->misfit.reason) return;
    va_list args;
    va_start(args, format);
    o->misfit =
        (kg_overlap_misfit){kg_arena_vprintf(o->context->arena, format, args), loc, help};
    va_end(args);
}

static const char *name_of(const kg_value *value)
{
    return value->name ? value->name : "(unnamed)";
}

static bool in_body(const kg_overlap *o, const kg_value *value)
{
    return value->kind == KG_VALUE_RESULT && kg_op_within(value->op, o->loop);
}

// The loop assigns it, by another op than this.
static bool changes(const kg_overlap *o, const kg_value *value, const kg_op *except)
{
    if (!kg_is_mutable(value)) return false;
    for (const kg_use *use = o->uses[value->id]; use; use = use->next)
        if (use->op->code == KG_OP_ASSIGN && !use->operand && use->op != except &&
            kg_op_within(use->op, o->loop))
            return true;
    return false;
}

// ---- the two products --------------------------------------------------------------------------
typedef struct reach {
    kg_overlap *o;
    bool *seen; // by op id
} reach;

static void reach_value(reach *r, const kg_value *value);

static void reach_op(reach *r, const kg_op *op)
{
    if (op == r->o->last || !kg_op_within(op, r->o->loop) || r->seen[op->id]) return;
    r->seen[op->id] = true;
    for (int i = op->code == KG_OP_ASSIGN; i < op->n_operands; i++)
        reach_value(r, op->operands[i]);
}

static void reach_value(reach *r, const kg_value *value)
{
    if (value->kind != KG_VALUE_RESULT) return;
    reach_op(r, value->op);
    for (const kg_use *use = r->o->uses[value->id]; kg_is_mutable(value) && use; use = use->next)
        if (use->op->code == KG_OP_ASSIGN && !use->operand) reach_op(r, use->op);
}

static void find_last(kg_overlap *o)
{
    for (kg_op *op = o->body->last; op && !o->last; op = op->prev)
        if (op->code == KG_OP_WGMMA) o->last = op;
    kg_value *result = o->last->results[0];
    const kg_use *use = o->uses[result->id];
    if (use && !use->next && use->op->code == KG_OP_ASSIGN && use->op->parent == o->body &&
        !kg_op_within(use->op->operands[0]->op, o->loop)) {
        o->carries = use->op;
        o->fragment = use->op->operands[0];
    } else {
        misfit_at(o, o->last->loc,
                  "let it add to a mutable fragment that is declared in front of the loop",
                  "the result of the trip's last product is used in the same trip");
    }
}

static void find_first(kg_overlap *o, int n_ops)
{
    reach r = {o, KG_NEW_ARRAY(o->context->arena, bool, n_ops + 1)};
    if (o->last->operands[0]->type.home != KG_HOME_FRAG) {
        misfit_at(o, o->last->loc, "give it the fragment itself",
                  "the last product's first operand is in shared memory, not in registers");
        return;
    }
    reach_value(&r, o->last->operands[0]);
    for (kg_op *op = o->body->first; op != o->last && !o->first; op = op->next)
        if (op->code == KG_OP_WGMMA && r.seen[op->id]) o->first = op;
    if (!o->first)
        misfit_at(o, o->last->loc, NULL,
                  "the last product's first operand depends on no other product of its trip");
}

// ---- what a product needs ----------------------------------------------------------------------
static const kg_trip_counter *counter_of(kg_overlap *o, const kg_value *value)
{
    for (int i = 0; i < o->counters.count; i++)
        if (o->counters.items[i].value == value) return &o->counters.items[i];
    return NULL;
}

// Adds a constant, once a trip, in the loop's own block, behind all that uses it.
static bool is_counter(kg_overlap *o, kg_value *value)
{
    const kg_op *step = NULL;
    kg_trip_counter c = {.value = value};
    if (counter_of(o, value)) return true;
    for (const kg_use *use = o->uses[value->id]; use; use = use->next) {
        if (!kg_op_within(use->op, o->loop)) continue;
        if (c.assign) return false; // used behind, or assigned twice
        if (use->op->code == KG_OP_ASSIGN && !use->operand) c.assign = use->op;
    }
    if (!c.assign || c.assign->parent != o->body || !kg_is_scalar(value)) return false;
    step = c.assign->operands[1]->kind == KG_VALUE_RESULT ? c.assign->operands[1]->op : NULL;
    if (!step || step->code != KG_OP_ADD || step->operands[0] != value ||
        !kg_const_int(step->operands[1], &c.by))
        return false;
    KG_PUSH(o->context->arena, &o->counters, c);
    return true;
}

static void need(kg_overlap *o, const kg_op *product, kg_value *value, unsigned bit);

static void need_op(kg_overlap *o, const kg_op *product, kg_op *op, unsigned bit)
{
    if (op->parent != o->body || o->part[op->id] & bit) return;
    if (!kg_is_computed(op) && op->code != KG_OP_VIEW && op->code != KG_OP_TRANSPOSE) {
        misfit_at(o, op->loc, NULL,
                  "the %s product depends on this %s, which is of one trip and cannot be repeated",
                  product == o->first ? "first" : "last", kg_op_info_of(op->code)->name);
        return;
    }
    o->part[op->id] |= (uint8_t)bit;
    for (int i = 0; i < op->n_operands; i++) need(o, product, op->operands[i], bit);
}

static void need(kg_overlap *o, const kg_op *product, kg_value *value, unsigned bit)
{
    if (changes(o, value, NULL) && !is_counter(o, value)) {
        misfit_at(o, product->loc, NULL,
                  "the %s product depends on '%s', which the loop assigns",
                  product == o->first ? "first" : "last", name_of(value));
        return;
    }
    if (in_body(o, value)) need_op(o, product, value->op, bit);
}

static void need_operand(kg_overlap *o, const kg_op *product, int operand, unsigned bit)
{
    kg_value *value = product->operands[operand];
    const kg_value *root = kg_root(value);
    if (root && kg_block_writes(o->body, root))
        misfit_at(o, product->loc, "have it filled by the producer, or in front of the loop",
                  "the loop writes '%s', which this product reads", name_of(root));
    need(o, product, value, bit);
}

static void find_needs(kg_overlap *o)
{
    for (int i = 0; i < 3; i++) need_operand(o, o->first, i, KG_OVERLAP_FIRST);
    need_operand(o, o->last, 1, KG_OVERLAP_LAST);
    o->part[o->first->id] |= KG_OVERLAP_FIRST;
    o->part[o->last->id] |= KG_OVERLAP_LAST;
}

// ---- what stands between -----------------------------------------------------------------------
static bool is_count(const kg_overlap *o, const kg_op *op)
{
    for (int i = 0; i < o->counters.count; i++)
        if (o->counters.items[i].assign == op) return true;
    return false;
}

// It can be done at the end of its trip: what it reads is the same there.
static bool can_wait(const kg_overlap *o, const kg_op *op)
{
    bool fixed = kg_is_computed(op) && !(o->part[op->id] & KG_OVERLAP_FIRST);
    for (int i = 0; i < op->n_operands; i++) fixed &= !changes(o, op->operands[i], o->carries);
    return fixed;
}

// Needed by C's accumulator alone.
static bool only_scales(const kg_overlap *o, const kg_op *op)
{
    int count = 0;
    for (int i = 0; i < op->n_results; i++)
        for (const kg_use *use = o->uses[op->results[i]->id]; use; use = use->next, count++)
            if (!(use->op == o->last && use->operand == 2) &&
                !(use->op->parent == o->body && o->part[use->op->id] & KG_OVERLAP_SCALES))
                return false;
    return count > 0;
}

static bool reads_fragment(const kg_overlap *o, const kg_op *op)
{
    for (int i = 0; i < op->n_operands; i++) {
        const kg_value *v = op->operands[i];
        if (v == o->fragment || (v->kind == KG_VALUE_RESULT && v->op->parent == o->body &&
                                 o->part[v->op->id] & KG_OVERLAP_AWAITS))
            return true;
    }
    return false;
}

static void sort_between(kg_overlap *o)
{
    for (kg_op *op = o->body->last; op; op = op->prev) {
        if (op == o->first || op == o->last || op == o->carries || is_count(o, op)) continue;
        o->part[op->id] |= KG_OVERLAP_BETWEEN;
        if (can_wait(o, op) && only_scales(o, op)) o->part[op->id] |= KG_OVERLAP_SCALES;
    }
    for (const kg_op *op = o->body->first; op; op = op->next)
        if (o->part[op->id] & KG_OVERLAP_SCALES && reads_fragment(o, op))
            o->part[op->id] |= KG_OVERLAP_AWAITS;
    const kg_value *handed = o->last->operands[0];
    const kg_use *use = o->uses[handed->id];
    if (!kg_is_mutable(handed) && handed->op->code == KG_OP_CAST && handed->op->parent == o->body &&
        !use->next && can_wait(o, handed->op))
        o->part[handed->op->id] |= KG_OVERLAP_HANDS;
}

// ---- the rest of the trip ----------------------------------------------------------------------
static bool check_op(kg_op *op, void *user)
{
    kg_overlap *o = user;
    if (kg_op_info_of(op->code)->cls == KG_CLASS_Y || op->code == KG_OP_WARPS)
        misfit_at(o, op->loc, "leave roles and synchronization to the passes",
                  "the loop says by itself who does what and when ('%s')",
                  kg_op_info_of(op->code)->name);
    return true;
}

static void check_behind(kg_overlap *o)
{
    for (const kg_use *use = o->uses[o->fragment->id]; use; use = use->next)
        if (use->op != o->carries && kg_op_within(use->op, o->loop) && use->op->id > o->last->id)
            misfit_at(o, use->op->loc, "use it behind the loop, or in front of the product",
                      "'%s' is used in its trip behind the product that adds to it",
                      name_of(o->fragment));
}

static void check_loop(kg_overlap *o)
{
    int64_t step;
    if (!kg_const_int(o->loop->operands[2], &step) || step != 1)
        misfit_at(o, o->loop->loc, "count trips, and multiply", "the loop's step is not 1");
    for (int i = 0; i < 2; i++)
        if (changes(o, o->loop->operands[i], NULL))
            misfit_at(o, o->loop->loc, NULL, "the loop changes its bound '%s'",
                      name_of(o->loop->operands[i]));
    kg_walk(o->body, check_op, o);
}

bool kg_overlap_fits(kg_overlap *o)
{
    int n_ops;
    o->body = o->loop->blocks[0];
    o->uses = kg_uses_collect(o->context->arena, o->kernel, &o->n_values);
    kg_kernel_number(o->kernel, &n_ops);
    o->part = KG_NEW_ARRAY(o->context->arena, uint8_t, n_ops + 1);
    check_loop(o);
    find_last(o);
    if (!o->misfit.reason) find_first(o, n_ops);
    if (!o->misfit.reason) find_needs(o);
    if (!o->misfit.reason) check_behind(o);
    if (!o->misfit.reason) sort_between(o);
    return !o->misfit.reason;
}
