// SPDX-License-Identifier: MIT
// pipeline: loops marked `pipeline N` fetch the tiles of later iterations while this one computes.
//
// Needs: level tile; operands of dots at home.
// Guarantees: level staged. A buffer filled by a copy in such a loop is a ring of N slots in front
//   of it; slot j is that of iteration j. N-1 iterations are on their way when the loop starts,
//   each trip issues one more at its top, before the uses of its own slot, so that one barrier a
//   trip orders both. Each iteration has one commit group, empty or not. Copies beyond the last
//   iteration are not issued.
// Never: waits (the sync pass derives waits from effects), moves a read past a write, touches
//   `while` loops or synchronization by hand.
//
//   for k in 0 .. n pipeline 3 {               shared s: f16[64, 32] ring 3
//     shared s: f16[64, 32] = load a[k*64..]   if 0 < n { copy_async s[0] = a[0..] }; commit
//     acc = dot(s, b, acc)                =>   if 1 < n { copy_async s[1] = a[64..] }; commit
//   }                                          for k in 0 .. n {
//                                                if k+2 < n { copy_async s[k+2] = a[(k+2)*64..] }
//                                                commit
//                                                acc = dot(s[k], b, acc)
//                                              }
//
// Copies are cp.async where alignment and extents allow at least 4 bytes, else plain ones in the
// same place. With N = 1 nothing moves: the copies only become asynchronous.
//
// Loads that the copies' addresses need (a page table) are one trip further ahead, in mutable
// fragments: else each trip would start by waiting for them.
#include "passes/pipeline_internal.h"

#include "ir/access.h"
#include "passes/pass_list.h"

enum { MOST_STAGES = 64 };

typedef struct stager {
    kg_pass_context *context;
    kg_kernel *kernel;
    kg_staged_loop s;
    kg_slice slice;
    int64_t stages;
    bool async; // some copy is
    struct {
        kg_op **items;
        int count, capacity;
    } loops;
} stager;

// ---- asynchronous copies -----------------------------------------------------------------------
// Bytes of each cp.async that a copy can be made of, 0 when fewer than 4.
static int async_bytes(const kg_kernel *kernel, const kg_op *copy)
{
    int to = kg_view_vector_bytes(kernel, copy->operands[0], false);
    int from = kg_view_vector_bytes(kernel, copy->operands[1], true);
    int bytes = to < from ? to : from;
    return bytes < 4 ? 0 : bytes > 16 ? 16 : bytes;
}

static void choose_async(stager *p)
{
    for (int i = 0; i < p->s.found.count; i++)
        for (int c = 0; c < p->s.found.items[i].copies.count; c++) {
            kg_op *copy = p->s.found.items[i].copies.items[c];
            int bytes = async_bytes(p->kernel, copy);
            if (bytes)
                kg_op_set_int(p->kernel, copy, KG_A_ASYNC, bytes);
            p->async |= bytes > 0;
        }
}

// N = 1: the copies stand where they are; a group is closed before the first op that could need it.
static void make_async_in_place(stager *p)
{
    kg_block *body = p->s.loop->blocks[0];
    bool open = false;
    for (int i = 0; i < p->s.found.count; i++)
        for (int c = 0; c < p->s.found.items[i].copies.count; c++) {
            kg_op *copy = p->s.found.items[i].copies.items[c];
            if (kg_op_attr(copy, KG_A_ASYNC))
                copy->code = KG_OP_COPY_ASYNC;
        }
    for (kg_op *op = body->first; op; op = op->next) {
        bool quiet = op->n_blocks == 0 && kg_op_info_of(op->code)->n_effects == 0 &&
                     op->code != KG_OP_ASSIGN;
        if (op->code == KG_OP_COPY_ASYNC) {
            open = true;
        } else if (open && !quiet) {
            kg_place place = kg_place_before(p->kernel, op);
            kg_make(&place, KG_OP_COMMIT, 0, NULL);
            open = false;
        }
    }
    if (open) {
        kg_place place = kg_place_end(p->kernel, body, p->s.loop->loc);
        kg_make(&place, KG_OP_COMMIT, 0, NULL);
    }
}

// ---- one stage ---------------------------------------------------------------------------------
// A view of a buffer becomes a view of a ring: the slot is its second operand.
static void add_slot(kg_kernel *kernel, kg_op *view, kg_value *slot)
{
    kg_value **operands = KG_NEW_ARRAY(kernel->unit->arena, kg_value *, view->n_operands + 1);
    operands[0] = view->operands[0];
    operands[1] = slot;
    for (int i = 1; i < view->n_operands; i++)
        operands[i + 1] = view->operands[i];
    view->operands = operands;
    view->n_operands++;
    kg_op_set_int(kernel, view, KG_A_SLOT, 1);
}

// The views of the source stand right in front of the copy, where the text form has them.
static void bring_source(const kg_staged_loop *s, const kg_op *original, kg_op *copy)
{
    const kg_value *view = original->operands[1];
    kg_value *made = copy->operands[1];
    for (kg_op *place = copy; made->kind == KG_VALUE_RESULT; made = made->op->operands[0]) {
        if (made->op->id >= 0 || view->id < 0 || s->uses[view->id]->next)
            return; // not one of our copies, or a shared one
        kg_op_remove(made->op);
        kg_block_insert_before(place, made->op);
        place = made->op;
        view = view->op->operands[0];
    }
}

static void repeat_copy(const kg_repeat *r, const kg_value *buffer, const kg_op *copy,
                        kg_value *slot)
{
    kg_kernel *kernel = r->place.kernel;
    kg_value *to = copy->operands[0];
    if (to == buffer) {
        to = kg_make_slot_view(&r->place, to, slot);
    } else {
        kg_op *view = kg_op_clone(kernel, to->op, r->map, r->slice->s->n_values);
        kg_place_op(&r->place, view);
        if (kg_op_int(view, KG_A_SLOT, 0))
            kg_op_set_operand(view, 1, slot);
        else
            add_slot(kernel, view, slot);
        to = view->results[0];
        to->name = NULL;
    }
    int64_t bytes = kg_op_int(copy, KG_A_ASYNC, 0);
    kg_value *from = kg_repeat_value(r, copy->operands[1]);
    kg_op *made =
        kg_make(&r->place, bytes ? KG_OP_COPY_ASYNC : KG_OP_COPY, 2, (kg_value *[]){to, from});
    made->loc = copy->loc;
    if (bytes)
        kg_op_set_int(kernel, made, KG_A_ASYNC, bytes);
    kg_keep_cache(kernel, made, copy);
    bring_source(r->slice->s, copy, made);
}

// A slot: base + plus, or plus alone.
typedef struct slot_number {
    kg_value *base;
    int64_t plus;
} slot_number;

// The copies of iteration `index` into slot number `slot`, if there is such an iteration; then a
// commit.
static void issue(stager *p, const kg_place *place, kg_value *index, slot_number slot, bool carried)
{
    kg_op *loop = p->s.loop;
    kg_value *more = kg_make_binary(place, KG_OP_LT, index, loop->operands[1]);
    kg_constant known = {.i = 1};
    kg_place inner = *place;
    if (!kg_constant_of(more, &known)) {
        kg_op *guard = kg_make(place, KG_OP_IF, 1, &more);
        inner = kg_place_end(p->kernel, kg_op_add_block(p->kernel, guard), place->loc);
        kg_op_add_block(p->kernel, guard);
    }
    if (known.i) {
        kg_repeat r = kg_repeat_for(&p->slice, inner, index);
        if (carried)
            kg_repeat_use_carried(&r);
        else
            kg_repeat_far(&r);
        kg_repeat_near(&r);
        kg_value *number = kg_make_int(&inner, KG_I32, slot.plus);
        if (slot.base)
            number = kg_make_binary(&inner, KG_OP_ADD, slot.base, number);
        for (int i = 0; i < p->s.found.count; i++)
            for (int c = 0; c < p->s.found.items[i].copies.count; c++)
                repeat_copy(&r, p->s.found.items[i].buffer, p->s.found.items[i].copies.items[c],
                            number);
    }
    if (p->async)
        kg_make(place, KG_OP_COMMIT, 0, NULL);
}

// ---- the loop ----------------------------------------------------------------------------------
// index + n * step
static kg_value *advance(stager *p, const kg_place *place, kg_value *index, int64_t n)
{
    kg_value *step = p->s.loop->operands[2];
    kg_value *count = kg_make_int(place, index->type.dtype, n);
    return kg_make_binary(place, KG_OP_ADD, index, kg_make_binary(place, KG_OP_MUL, step, count));
}

// Bounds are evaluated once, before the loop: one that the body assigns gets a copy that holds
// still.
static void pin_bounds(stager *p)
{
    kg_op *loop = p->s.loop;
    kg_place place = kg_place_before(p->kernel, loop);
    for (int i = 0; i < 3; i++) {
        kg_value *bound = loop->operands[i];
        if (kg_is_mutable(bound) && kg_assigned_within(loop, bound))
            kg_op_set_operand(loop, i,
                              kg_make_binary(&place, KG_OP_ADD, bound,
                                             kg_make_int(&place, bound->type.dtype, 0)));
    }
}

// The number of the iteration, an i32: the index itself when it counts from 0 by 1, else a counter.
static kg_value *make_slot(stager *p, bool *counter)
{
    kg_op *loop = p->s.loop;
    kg_value *index = loop->blocks[0]->arg;
    int64_t lo, step;
    *counter = !(index->type.dtype == KG_I32 && kg_const_int(loop->operands[0], &lo) && lo == 0 &&
                 kg_const_int(loop->operands[2], &step) && step == 1);
    if (!*counter)
        return index;
    kg_place place = kg_place_before(p->kernel, loop);
    kg_value *zero = kg_make_int(&place, KG_I32, 0);
    kg_op *frag = kg_make(&place, KG_OP_FRAG, 1, &zero);
    return kg_op_result(p->kernel, frag, kg_scalar_type(KG_I32), "slot");
}

static void count_up(stager *p, kg_value *counter)
{
    kg_place place = kg_place_end(p->kernel, p->s.loop->blocks[0], p->s.loop->loc);
    kg_value *next = kg_make_binary(&place, KG_OP_ADD, counter, kg_make_int(&place, KG_I32, 1));
    kg_make(&place, KG_OP_ASSIGN, 2, (kg_value *[]){counter, next});
}

static void make_rings(stager *p)
{
    for (int i = 0; i < p->s.found.count; i++) {
        kg_op *shared = p->s.found.items[i].buffer->op;
        kg_op_remove(shared);
        kg_block_insert_before(p->s.loop, shared);
        kg_op_set_int(p->kernel, shared, KG_A_RING, p->stages);
    }
}

// The body's own uses see the slot of this iteration; its copies are gone.
static void use_slots(stager *p, kg_value *slot)
{
    for (int i = 0; i < p->s.found.count; i++) {
        const kg_candidate *candidate = &p->s.found.items[i];
        for (int c = 0; c < candidate->copies.count; c++)
            kg_op_remove(candidate->copies.items[c]);
        for (const kg_use *use = p->s.uses[candidate->buffer->id]; use; use = use->next) {
            if (!use->op->parent)
                continue; // a removed copy
            kg_place place = kg_place_before(p->kernel, use->op);
            if (use->op->code == KG_OP_VIEW)
                add_slot(p->kernel, use->op, slot);
            else
                kg_op_set_operand(use->op, use->operand,
                                  kg_make_slot_view(&place, candidate->buffer, slot));
        }
    }
}

// Loads that addresses need: their first values, and in each trip those for the next one.
static void start_carried(stager *p, const kg_place *place, kg_value *index)
{
    kg_repeat r = kg_repeat_for(&p->slice, *place, index);
    kg_repeat_far(&r);
    for (int i = 0; i < p->slice.carried.count; i++) {
        kg_carried *c = &p->slice.carried.items[i];
        kg_value *first = kg_repeat_value(&r, c->load->results[0]);
        kg_op *frag = kg_make(place, KG_OP_FRAG, 1, &first);
        c->next = kg_op_result(p->kernel, frag, first->type, c->load->results[0]->name);
    }
}

static void advance_carried(stager *p, const kg_place *place, kg_value *index)
{
    kg_repeat r = kg_repeat_for(&p->slice, *place, index);
    kg_repeat_far(&r);
    for (int i = 0; i < p->slice.carried.count; i++) {
        const kg_carried *c = &p->slice.carried.items[i];
        kg_make(place, KG_OP_ASSIGN, 2,
                (kg_value *[]){c->next, kg_repeat_value(&r, c->load->results[0])});
    }
}

static void make_prologue(stager *p)
{
    kg_op *loop = p->s.loop;
    kg_place place = kg_place_before(p->kernel, loop);
    for (int64_t stage = 0; stage < p->stages - 1; stage++)
        issue(p, &place, advance(p, &place, loop->operands[0], stage), (slot_number){NULL, stage},
              false);
    if (p->slice.carried.count)
        start_carried(p, &place, advance(p, &place, loop->operands[0], p->stages - 1));
}

static void make_prefetch(stager *p, kg_value *slot)
{
    kg_block *body = p->s.loop->blocks[0];
    kg_place place = {p->kernel, body, body->first, p->s.loop->loc};
    kg_value *ahead = advance(p, &place, body->arg, p->stages - 1);
    if (ahead->kind == KG_VALUE_RESULT && ahead->op->code == KG_OP_ADD && !ahead->name)
        ahead->name = "ahead";
    slot_number target = {slot, p->stages - 1};
    if (slot == body->arg)
        target = (slot_number){ahead, 0};
    issue(p, &place, ahead, target, p->slice.carried.count > 0);
    if (p->slice.carried.count)
        advance_carried(p, &place, advance(p, &place, body->arg, p->stages));
}

// More slots than iterations would never be used.
static int64_t useful_stages(const kg_op *loop, int64_t stages)
{
    int64_t lo, hi, step;
    if (!kg_const_int(loop->operands[0], &lo) || !kg_const_int(loop->operands[1], &hi) ||
        !kg_const_int(loop->operands[2], &step) || step < 1)
        return stages;
    int64_t trips = hi > lo && hi - lo < INT32_MAX ? (hi - lo - 1) / step + 1 : 1;
    return trips < stages ? trips : stages;
}

static void pipeline_loop(stager *p, kg_op *loop)
{
    int64_t stages = useful_stages(loop, kg_op_int(loop, KG_A_PIPELINE, 0));
    kg_op_unset(loop, KG_A_PIPELINE);
    if (stages > MOST_STAGES) {
        kg_diag *diag = kg_error(p->context->diags, KG_D_L302, loop->loc,
                                 "%lld stages are too many: a ring has at most %d slots",
                                 (long long)stages, MOST_STAGES);
        kg_diag_help(p->context->diags, diag, "2 to 5 stages hide the latency of memory");
    }
    if (stages < 1 || stages > MOST_STAGES)
        return;
    kg_arena *arena = p->context->arena;
    p->stages = stages;
    p->async = false;
    p->s = (kg_staged_loop){.arena = arena, .kernel = p->kernel, .loop = loop};
    kg_kernel_number(p->kernel, &p->s.n_ops);
    p->s.uses = kg_uses_collect(arena, p->kernel, &p->s.n_values);
    p->s.sliced = KG_NEW_ARRAY(arena, bool, p->s.n_ops + 1);
    kg_find_candidates(p->context->diags, &p->s, stages > 1);
    if (p->s.found.count == 0)
        return;
    choose_async(p);
    if (stages == 1) {
        make_async_in_place(p);
        return;
    }
    bool counter;
    p->slice = kg_slice_split(&p->s);
    pin_bounds(p);
    make_rings(p);
    kg_value *slot = make_slot(p, &counter);
    make_prologue(p);
    use_slots(p, slot);
    make_prefetch(p, slot);
    if (counter)
        count_up(p, slot);
}

static bool find_loop(kg_op *op, void *user)
{
    stager *p = user;
    if (op->code == KG_OP_FOR && kg_op_attr(op, KG_A_PIPELINE))
        KG_PUSH(p->context->arena, &p->loops, op);
    return true;
}

// A copy_async of the author's own: how wide, or that it cannot be.
static bool check_by_hand(kg_op *op, void *user)
{
    stager *p = user;
    if (op->code != KG_OP_COPY_ASYNC || kg_op_attr(op, KG_A_ASYNC))
        return true;
    int bytes = async_bytes(p->kernel, op);
    if (bytes) {
        kg_op_set_int(p->kernel, op, KG_A_ASYNC, bytes);
        return true;
    }
    kg_diag *diag =
        kg_error(p->context->diags, KG_D_L303, op->loc,
                 "copy_async needs at least 4 contiguous and aligned bytes in both views");
    kg_diag_help(p->context->diags, diag,
                 "state what holds with `assume X %% 8 == 0`, or write `copy`");
    return true;
}

bool kg_pass_pipeline(kg_pass_context *context, kg_kernel *kernel)
{
    stager p = {.context = context, .kernel = kernel};
    int errors = context->diags->errors;
    kg_walk(kernel->body, find_loop, &p);
    for (int i = 0; i < p.loops.count; i++)
        pipeline_loop(&p, p.loops.items[i]);
    kg_walk(kernel->body, check_by_hand, &p);
    kg_remove_dead(context->arena, kernel);
    kg_tidy(context->arena, kernel);
    return context->diags->errors == errors;
}
