// SPDX-License-Identifier: MIT
// Accesses to global memory, or to a shared buffer at computed places: do the elements of two views
// overlap, and if they are the same elements, does the same thread handle them? Decided dimension
// by dimension from the views' starts as linear forms.
#include "passes/validate/model.h"

// A view along one dimension of its tensor.
typedef struct range {
    linear start;
    int64_t extent;
    bool scattered; // gathered rows
} range;

static range range_of(const kg_view_info *view, const kg_type *type, int dim)
{
    range r = {.start = linear_of(view->fixed[dim]), .extent = 1};
    for (int d = 0; d < view->rank; d++) {
        if (view->dim[d] != dim) continue;
        r.start = linear_of(view->start[d]);
        r.extent = type->dims[d];
        r.scattered = view->gather[d] != NULL;
    }
    return r;
}

// Loops around both accesses, counted from outside.
static int common_loops(const access_model *a, const access_model *b)
{
    int n = 0;
    while (n < a->n_loops && n < b->n_loops && a->loops[n] == b->loops[n]) n++;
    return n;
}

static bool inside(const kg_op *op, const kg_op *loop)
{
    for (; op; op = op->parent->owner)
        if (op == loop) return true;
    return false;
}

// AXIS_TILED: the same or apart.
typedef enum axis_verdict {
    AXIS_APART,
    AXIS_EQUAL,
    AXIS_TILED,
    AXIS_OVERLAPS,
    AXIS_UNKNOWN
} axis_verdict;

// What the values of a form do between a's time and b's: `loop` made at least one trip (NULL: none
// did), and everything computed inside of it may have changed. Left over: `slope` times the trips.
static bool settle(linear *d, const linear *a, const kg_op *loop, int64_t *slope)
{
    *slope = 0;
    if (!d->known || !a->known) return false;
    if (loop) {
        for (int i = 0; i < a->count; i++) {
            const kg_value *value = a->terms[i].value;
            int64_t step;
            bool own = value->kind == KG_VALUE_ARG && value->op == loop;
            if (own && kg_const_int(loop->operands[2], &step))
                *slope = a->terms[i].factor * step;
            else if (value->op && inside(value->op, loop))
                return false;
        }
    }
    return linear_is_constant(d);
}

static bool in_steps_of(const linear *a, int64_t step)
{
    bool all = a->known;
    for (int i = 0; i < a->count; i++) all &= a->terms[i].factor % step == 0;
    return all;
}

// Equally long, and their starts differ by a multiple of that, whatever the values are.
static bool tiles(const range *a, const range *b)
{
    if (a->scattered || b->scattered || a->extent != b->extent) return false;
    return a->extent == 1 ||
           (in_steps_of(&a->start, a->extent) && in_steps_of(&b->start, b->extent) &&
            (a->start.constant - b->start.constant) % a->extent == 0);
}

static int64_t common_step(int64_t step, const linear *a)
{
    for (int i = 0; i < a->count; i++) {
        int64_t x = a->terms[i].factor < 0 ? -a->terms[i].factor : a->terms[i].factor;
        while (x) {
            int64_t rest = step % x;
            step = x;
            x = rest;
        }
    }
    return step;
}

// Both repeat in steps of one number, and lie apart within it, whatever the values are.
static bool interleave(const range *a, const range *b)
{
    if (a->scattered || b->scattered || !a->start.known || !b->start.known) return false;
    int64_t step = common_step(common_step(0, &a->start), &b->start);
    if (!step) return false;
    int64_t from = (b->start.constant % step - a->start.constant % step + 2 * step) % step;
    return from >= a->extent && from + b->extent <= step;
}

static axis_verdict compare(const range *a, const range *b, const kg_op *loop)
{
    linear d = linear_sum(&b->start, &a->start, -1);
    int64_t slope, at;
    if (interleave(a, b)) return AXIS_APART;
    axis_verdict unknown = tiles(a, b) ? AXIS_TILED : AXIS_UNKNOWN;
    if (a->scattered || b->scattered || !settle(&d, &a->start, loop, &slope)) return unknown;
    at = d.constant + (loop ? slope : 0); // after one trip
    if (at >= a->extent && slope >= 0) return AXIS_APART;
    if (at <= -b->extent && slope <= 0) return AXIS_APART;
    if (slope) return unknown;
    return at == 0 && a->extent == b->extent ? AXIS_EQUAL : AXIS_OVERLAPS;
}

static bool same_expression(const kg_sexpr *a, const kg_sexpr *b)
{
    if (a == b) return true;
    return a && b && a->kind == b->kind && a->value == b->value && a->param == b->param &&
           same_expression(a->a, b->a) && same_expression(a->b, b->b);
}

// Coordinates of the one are coordinates of the other, and different ones are different memory.
static bool same_tensor(const kg_value *a, const kg_value *b)
{
    if (a->type.rank != b->type.rank || a->type.dtype != b->type.dtype) return false;
    if (!a->tensor || !b->tensor) return a == b; // a shared buffer
    for (int d = 0; d < a->type.rank; d++) {
        const kg_sexpr *stride = a->tensor->strides[d];
        if (a != b && (!same_expression(a->tensor->dims[d], b->tensor->dims[d]) ||
                       !same_expression(stride, b->tensor->strides[d])))
            return false;
        if (!a->tensor->row_major && (!stride || (stride->kind == KG_SX_INT && !stride->value)))
            return false;
    }
    return true;
}

// ---- threads ----------------------------------------------------------------------------------

static const kg_value *fragment_of(const access_model *a)
{
    const kg_op *op = a->at.op;
    const kg_value *v = op->n_results        ? op->results[0]
                        : op->n_operands > 1 ? op->operands[1]
                                             : NULL;
    return v && v->type.home == KG_HOME_FRAG ? v : NULL;
}

static bool has_copies(const kg_layout *layout, kg_layout_in in)
{
    for (int bit = 0; bit < layout->bits[in]; bit++) {
        bool moves = false;
        for (int d = 0; d < layout->rank; d++) moves |= layout->basis[in][bit][d] != 0;
        if (!moves) return true;
    }
    return false;
}

static int64_t chunk_of(const access_model *a)
{
    int64_t bytes = kg_dtype_bytes(a->at.operand->type.dtype);
    return kg_op_int(a->at.op, KG_A_VEC, kg_op_int(a->at.op, KG_A_ASYNC, bytes) / bytes);
}

// The views are the same elements in the same order.
static how_apart threads_of(const access_model *a, const access_model *b)
{
    if (a->region != b->region) return SURELY_MEET;
    if (a->elected || b->elected) return a->elected && b->elected ? SAME_THREAD : SURELY_MEET;
    const kg_value *x = fragment_of(a), *y = fragment_of(b);
    if (x && y && x->type.rank && y->type.rank && x->layout && y->layout &&
        kg_layout_equal(x->layout, y->layout)) {
        bool owners = a->writes && b->writes;
        if (owners || !has_copies(x->layout, KG_IN_WARP))
            return owners || !has_copies(x->layout, KG_IN_LANE) ? SAME_THREAD : SAME_WARP;
    }
    if (x || y) return SURELY_MEET;
    return chunk_of(a) == chunk_of(b) ? SAME_THREAD : SURELY_MEET;
}

// ---- one tile a trip ----------------------------------------------------------------------------

static bool is_same(const kg_value *a, const kg_value *b)
{
    linear x = linear_of(a), y = linear_of(b), d = linear_sum(&x, &y, -1);
    return linear_is_constant(&d) && !d.constant;
}

// The index of the loop, and things that it leaves alone.
static bool counts_trips(const kg_value *t, const kg_op *loop)
{
    linear x = linear_of(t);
    bool own = false;
    for (int i = 0; x.known && i < x.count; i++) {
        const kg_value *value = x.terms[i].value;
        if (value->kind == KG_VALUE_ARG && value->op == loop)
            own = true;
        else if (linear_changes_in(value, loop))
            return false;
    }
    return x.known && own;
}

// What the places of two views have in common: integers of which each, where it differs, makes them
// lie apart.
enum { MOST_DIGITS = 16, DEEPEST = 12 };
typedef struct digits {
    const kg_value *items[MOST_DIGITS];
    int count;
} digits;

// Least and most of an integer, or all of them.
typedef struct interval {
    int64_t least, most;
} interval;

static const kg_op *computed_by(const kg_value *value, kg_opcode code)
{
    return value->kind == KG_VALUE_RESULT && value->op->code == code ? value->op : NULL;
}

static interval interval_of(const kg_value *value, int depth)
{
    interval all = {INT64_MIN, INT64_MAX}, a = all, b = all;
    const kg_op *least = computed_by(value, KG_OP_MIN), *most = computed_by(value, KG_OP_MAX),
                *rest = computed_by(value, KG_OP_MOD), *op = least ? least : rest;
    if (most) op = most;
    if (kg_const_int(value, &a.least)) return (interval){a.least, a.least};
    if (!op || depth == DEEPEST) return all;
    a = interval_of(op->operands[0], depth + 1);
    b = interval_of(op->operands[1], depth + 1);
    if (rest) return b.least > 0 ? (interval){0, b.most - 1} : all;
    bool lower = least ? a.least < b.least : a.least > b.least;
    bool upper = least ? a.most < b.most : a.most > b.most;
    return (interval){lower ? a.least : b.least, upper ? a.most : b.most};
}

static int64_t weight(const linear *a, int term)
{
    int64_t factor = a->terms[term].factor;
    return factor > 0 ? factor : factor < -INT64_MAX ? INT64_MAX : -factor;
}

// The term of a sum with the smallest weight above this one; -1.
static int next_term(const linear *a, int64_t above)
{
    int found = -1;
    for (int i = 0; i < a->count; i++)
        if (weight(a, i) > above && (found < 0 || weight(a, i) < weight(a, found))) found = i;
    return found;
}

// What a sum comes to apart from the terms that are the same in all trips of the loop.
static linear moving_part(const linear *a, const kg_op *loop)
{
    linear part = *a;
    part.count = 0;
    for (int i = 0; i < a->count; i++)
        if (linear_changes_in(a->terms[i].value, loop)) part.terms[part.count++] = a->terms[i];
    return part;
}

// Both begin at the same sum plus something, up to `room` from where the sum alone would be. In the
// sum each digit counts more, one way or the other, than all that the lower ones come to.
static void add_digits(digits *known, const range *x, const range *y, const kg_op *loop)
{
    linear d = linear_sum(&y->start, &x->start, -1);
    const linear moving = moving_part(&x->start, loop), *sum = &moving;
    if (x->scattered || y->scattered || !sum->known || !linear_is_constant(&d)) return;
    int64_t at = d.constant, room = at > 0 ? at + y->extent : y->extent;
    if (room < x->extent) room = x->extent;
    if (at < 0 && room < x->extent - at) room = x->extent - at;
    digits found = *known;
    int terms = 0;
    for (int t = next_term(sum, 0); t >= 0; t = next_term(sum, weight(sum, t)), terms++) {
        interval of = interval_of(sum->terms[t].value, 0);
        bool bounded = of.least > INT32_MIN && of.most < INT32_MAX;
        if (room < 0 || weight(sum, t) < room || found.count == MOST_DIGITS) return;
        found.items[found.count++] = sum->terms[t].value;
        bool over = !bounded ||
                    __builtin_mul_overflow(of.most - of.least, weight(sum, t), &of.most) ||
                    __builtin_add_overflow(room, of.most, &room);
        if (over) room = -1; // nothing can count more
    }
    if (terms == sum->count) *known = found;
}

// The same in two trips of the loop if the digits are.
static bool is_settled_by(const digits *known, const kg_value *value, const kg_op *loop, int depth)
{
    for (int i = 0; i < known->count; i++)
        if (is_same(known->items[i], value)) return true;
    if (!linear_changes_in(value, loop)) return true;
    if (value->kind != KG_VALUE_RESULT || kg_is_mutable(value) || depth == DEEPEST) return false;
    const kg_op *op = value->op;
    kg_op_class cls = kg_op_info_of(op->code)->cls;
    if (cls != KG_CLASS_U && cls != KG_CLASS_B) return false;
    for (int i = 0; i < op->n_operands; i++)
        if (!is_settled_by(known, op->operands[i], loop, depth + 1)) return false;
    return true;
}

// t / n and t mod n say what t is. True once the digits say which trip of the loop it was.
static bool digits_count(digits *known, const kg_op *loop)
{
    for (int i = 0; i < known->count; i++) {
        if (counts_trips(known->items[i], loop)) return true;
        const kg_op *high = computed_by(known->items[i], KG_OP_DIV);
        for (int k = 0; high && k < known->count && known->count < MOST_DIGITS; k++) {
            const kg_op *low = computed_by(known->items[k], KG_OP_MOD);
            bool fit = low && is_same(high->operands[0], low->operands[0]) &&
                       is_same(high->operands[1], low->operands[1]) &&
                       is_settled_by(known, high->operands[1], loop, 0);
            if (!fit) continue;
            known->items[k] = high->operands[0]; // for the lower digit
            i = -1;                              // it may be half of something too
            break;
        }
    }
    return false;
}

static bool by_number(const access_model *a, const access_model *b, const kg_op *loop)
{
    kg_view_info va, vb;
    digits known = {{NULL}, 0};
    kg_view_resolve(a->at.operand, &va);
    kg_view_resolve(b->at.operand, &vb);
    for (int d = 0; d < a->at.root->type.rank; d++) {
        range x = range_of(&va, &a->at.operand->type, d);
        range y = range_of(&vb, &b->at.operand->type, d);
        add_digits(&known, &x, &y, loop);
    }
    return digits_count(&known, loop);
}

// ---- one tile a turn ----------------------------------------------------------------------------

// The trips of a loop, whose index leaves a rest, in which an access comes about.
typedef struct share {
    const kg_op *loop;
    int64_t of, rest;
} share;

static bool share_of(const validator *v, const access_model *a, share *out)
{
    const kg_block *block = a->at.op->parent;
    for (; block->owner; block = block->owner->parent) {
        const guard *g = &v->guards[block->owner->id];
        if (block->owner->code != KG_OP_IF || g->kind != GUARD_RESIDUE) continue;
        if (g->negated != (block != block->owner->blocks[0])) continue;
        const kg_value *index = g->scalar->op->operands[0];
        if (index->kind != KG_VALUE_ARG || !kg_is_loop(index->op)) continue;
        *out = (share){index->op, g->modulus, g->least};
        return inside(a->at.op, index->op);
    }
    return false;
}

// Two roles each do some trips of a loop that both go through, no trip both. What the one computes
// of its trip's index the other one does of another index.
static bool by_turns(const validator *v, const access_model *a, const access_model *b)
{
    share x, y;
    kg_view_info va, vb;
    digits known = {{NULL}, 0};
    if (!share_of(v, a, &x) || !share_of(v, b, &y)) return false;
    const loop_model *k = &v->loops.items[v->loop_of[x.loop->id]];
    const loop_model *l = &v->loops.items[v->loop_of[y.loop->id]];
    if (k == l || k->partners < 0 || k->partners != l->partners || x.of != y.of || x.rest == y.rest)
        return false;
    kg_view_resolve(a->at.operand, &va);
    kg_view_resolve(b->at.operand, &vb);
    for (int d = 0; d < a->at.root->type.rank; d++) {
        range here = range_of(&va, &a->at.operand->type, d);
        range there = range_of(&vb, &b->at.operand->type, d);
        int64_t at = there.start.constant;
        there.start.constant = here.start.constant;
        if (!linear_correspond(v, &here.start, &there.start)) continue;
        there.start = here.start;
        there.start.constant = at;
        add_digits(&known, &here, &there, x.loop);
    }
    return digits_count(&known, x.loop);
}

static how_apart relate(const validator *v, const access_model *a, const access_model *b,
                        int stale)
{
    int common = common_loops(a, b);
    const kg_op *loop = stale && stale <= common ? a->loops[stale - 1] : NULL;
    kg_view_info va, vb;
    bool equal = true, surely = true;
    if (!a->at.root || !b->at.root) return SURELY_MEET;
    if (!same_tensor(a->at.root, b->at.root)) return MAY_MEET;
    kg_view_resolve(a->at.operand, &va);
    kg_view_resolve(b->at.operand, &vb);
    if (loop ? by_number(a, b, loop) : !common && by_turns(v, a, b)) return NEVER_MEET;
    for (int d = 0; d < a->at.root->type.rank; d++) {
        range x = range_of(&va, &a->at.operand->type, d);
        range y = range_of(&vb, &b->at.operand->type, d);
        axis_verdict verdict = compare(&x, &y, loop);
        if (verdict == AXIS_APART) return NEVER_MEET;
        equal &= verdict == AXIS_EQUAL || verdict == AXIS_TILED;
        surely &= verdict != AXIS_UNKNOWN && verdict != AXIS_TILED;
    }
    for (int d = 0; equal && d < va.rank; d++) equal = va.rank == vb.rank && va.dim[d] == vb.dim[d];
    how_apart how = equal ? threads_of(a, b) : SURELY_MEET;
    return how == SURELY_MEET && !surely ? MAY_MEET : how;
}

// It is asked again and again.
how_apart validator_relate(const validator *v, const access_model *a, const access_model *b,
                           int stale)
{
    size_t first = (size_t)(a - v->accesses.items), second = (size_t)(b - v->accesses.items);
    size_t at = (first * (size_t)v->accesses.count + second) * (MOST_LOOPS + 1) + (size_t)stale;
    if (!v->related) return relate(v, a, b, stale);
    if (!v->related[at]) v->related[at] = (uint8_t)(1 + relate(v, a, b, stale));
    return (how_apart)(v->related[at] - 1);
}
