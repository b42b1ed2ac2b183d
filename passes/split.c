// SPDX-License-Identifier: MIT
// split: the trips of a loop that take none of its branches are a loop of their own, without them.
//
// Needs: level tile, a `schedule` with `split 1`. Loops marked `pipeline` are left alone: their
//   rings are still to be made.
// Guarantees: a loop whose branches are `if index * a + x > y`, or `>=`, with a constant a above 0
//   and x and y that the loop does not change, is two: up to the first trip that takes one of them,
//   and from there on. Both go through the trips in their order.
// Never: splits at a branch with an `else`, or at one that only the first trips take. Takes for
//   granted that index * a + x does not overflow in any trip, as the addresses of its tiles do.
//
//   for j in 0 .. n {                          first = max(0, min((m - 64) / 64 + 1, n))
//     s = ..                                   for j in 0 .. first { s = .. }
//     if j*64 + 64 > m {                 =>    for j in first .. n {
//       s = select(..)                           s = ..
//     }                                          if j*64 + 64 > m { s = select(..) }
//   }                                          }
#include "passes/pass_list.h"
#include "passes/rewrite.h"

enum { DEEPEST = 32 }; // of the expressions that conditions are

typedef struct splitter {
    kg_pass_context *context;
    kg_kernel *kernel;
    kg_op *loop;
    kg_place front; // of the loop
    struct {
        kg_op **items;
        int count, capacity;
    } assigns, loops;
} splitter;

// index * by + rest; rest is computed in front of the loop.
typedef struct linear {
    int64_t by;
    kg_value *rest; // i64
} linear;

static bool list_assigns(kg_op *op, void *user)
{
    splitter *s = user;
    if (op->code == KG_OP_ASSIGN) KG_PUSH(s->context->arena, &s->assigns, op);
    return true;
}

// The same in every trip, and there in front of the loop.
static bool is_fixed(const splitter *s, const kg_value *value)
{
    if (value->kind == KG_VALUE_RESULT && kg_op_within(value->op, s->loop)) return false;
    for (int i = 0; i < s->assigns.count; i++)
        if (s->assigns.items[i]->operands[0] == value) return false;
    return value != s->loop->blocks[0]->arg;
}

static kg_value *widen(const kg_place *place, kg_value *value)
{
    int64_t number;
    if (kg_const_int(value, &number)) return kg_make_int(place, KG_I64, number);
    if (value->type.dtype == KG_I64) return value;
    kg_op *op = kg_make(place, KG_OP_CAST, 1, &value);
    kg_op_set_dtype(place->kernel, op, KG_A_DTYPE, KG_I64);
    return kg_op_result(place->kernel, op, kg_scalar_type(KG_I64), NULL);
}

static bool is_integer(const kg_value *value)
{
    return kg_is_scalar(value) && (value->type.dtype == KG_I32 || value->type.dtype == KG_I64);
}

static bool linear_of(const splitter *s, kg_value *value, int depth, linear *out);

static bool linear_op(const splitter *s, const kg_op *op, int depth, linear *out)
{
    linear a, b;
    int64_t factor;
    if (depth > DEEPEST || op->n_operands != 2 || !linear_of(s, op->operands[0], depth + 1, &a) ||
        !linear_of(s, op->operands[1], depth + 1, &b))
        return false;
    if (op->code == KG_OP_MUL && !b.by && kg_const_int(b.rest, &factor) &&
        !__builtin_mul_overflow(a.by, factor, &out->by)) {
        out->rest = kg_make_binary(&s->front, KG_OP_MUL, a.rest, b.rest);
        return true;
    }
    if ((op->code == KG_OP_ADD && !__builtin_add_overflow(a.by, b.by, &out->by)) ||
        (op->code == KG_OP_SUB && !__builtin_sub_overflow(a.by, b.by, &out->by))) {
        out->rest = kg_make_binary(&s->front, op->code, a.rest, b.rest);
        return true;
    }
    return false;
}

static bool linear_of(const splitter *s, kg_value *value, int depth, linear *out)
{
    int64_t number;
    if (!is_integer(value)) return false;
    if (value == s->loop->blocks[0]->arg) {
        *out = (linear){1, kg_make_int(&s->front, KG_I64, 0)};
        return true;
    }
    if (kg_const_int(value, &number) || is_fixed(s, value)) {
        *out = (linear){0, widen(&s->front, value)};
        return true;
    }
    return value->kind == KG_VALUE_RESULT && value->op->parent == s->loop->blocks[0] &&
           linear_op(s, value->op, depth, out);
}

// The first trip that takes the branch, as an i64; NULL when that cannot be told.
static kg_value *first_taken(const splitter *s, const kg_op *branch)
{
    const kg_value *condition = branch->operands[0];
    if (branch->code != KG_OP_IF || branch->blocks[1]->first ||
        condition->kind != KG_VALUE_RESULT || condition->op->parent != s->loop->blocks[0])
        return NULL;
    const kg_op *compare = condition->op;
    bool above = compare->code == KG_OP_GT || compare->code == KG_OP_GE;
    bool equal = compare->code == KG_OP_GE || compare->code == KG_OP_LE;
    if (!above && compare->code != KG_OP_LT && compare->code != KG_OP_LE) return NULL;
    linear big, small;
    if (!linear_of(s, compare->operands[!above], 0, &big) ||
        !linear_of(s, compare->operands[above], 0, &small) || big.by <= small.by)
        return NULL;
    // index * by > limit; and index * by >= limit is index * by > limit - 1
    kg_value *limit = kg_make_binary(&s->front, KG_OP_SUB, small.rest, big.rest);
    if (equal)
        limit = kg_make_binary(&s->front, KG_OP_SUB, limit, kg_make_int(&s->front, KG_I64, 1));
    kg_value *by = kg_make_int(&s->front, KG_I64, big.by - small.by);
    kg_value *last = kg_make_binary(&s->front, KG_OP_DIV, limit, by); // rounds down
    return kg_make_binary(&s->front, KG_OP_ADD, last, kg_make_int(&s->front, KG_I64, 1));
}

// Within the loop's bounds, of the type of its index.
static kg_value *clamp(const splitter *s, kg_value *first)
{
    kg_value *low = s->loop->operands[0], *high = s->loop->operands[1];
    first = kg_make_binary(&s->front, KG_OP_MIN, first, widen(&s->front, high));
    first = kg_make_binary(&s->front, KG_OP_MAX, first, widen(&s->front, low));
    if (low->type.dtype == KG_I64) return first;
    kg_op *op = kg_make(&s->front, KG_OP_CAST, 1, &first);
    kg_op_set_dtype(s->kernel, op, KG_A_DTYPE, low->type.dtype);
    return kg_op_result(s->kernel, op, low->type, NULL);
}

// Notes the branches that trips in front of the returned one do not take.
static kg_value *first_of_all(splitter *s)
{
    kg_value *first = NULL;
    for (kg_op *op = s->loop->blocks[0]->first; op; op = op->next) {
        kg_value *taken = op->code == KG_OP_IF ? first_taken(s, op) : NULL;
        op->note = taken;
        if (taken)
            first = first ? kg_make_binary(&s->front, KG_OP_MIN, first, taken) : taken;
    }
    return first;
}

static bool can_split(const splitter *s)
{
    int64_t step;
    const kg_value *low = s->loop->operands[0], *high = s->loop->operands[1];
    return kg_const_int(s->loop->operands[2], &step) && step == 1 && is_integer(low) &&
           is_fixed(s, high) && is_fixed(s, low);
}

static void split(splitter *s)
{
    kg_value *first = can_split(s) ? first_of_all(s) : NULL;
    if (!first) return;
    first = clamp(s, first);
    int n = kg_kernel_number(s->kernel, NULL);
    kg_value **map = KG_NEW_ARRAY(s->context->arena, kg_value *, n + 1);
    kg_op *without = kg_op_clone(s->kernel, s->loop, map, n);
    kg_block_insert_before(s->loop, without);
    kg_op_set_operand(without, 1, first);
    kg_op_set_operand(s->loop, 0, first);
    kg_op *copy = without->blocks[0]->first;
    for (kg_op *op = s->loop->blocks[0]->first, *next; op; op = op->next, copy = next) {
        next = copy->next;
        if (op->note) kg_op_remove(copy);
        op->note = NULL;
    }
}

static bool find_loop(kg_op *op, void *user)
{
    splitter *s = user;
    if (op->code == KG_OP_FOR && !kg_op_attr(op, KG_A_PIPELINE))
        KG_PUSH(s->context->arena, &s->loops, op);
    return true;
}

bool kg_pass_split(kg_pass_context *context, kg_kernel *kernel)
{
    splitter all = {.context = context, .kernel = kernel};
    if (!kernel->schedule.split || kernel->schedule.producers) return true;
    kg_walk(kernel->body, find_loop, &all);
    for (int i = 0; i < all.loops.count; i++) {
        splitter s = {.context = context, .kernel = kernel, .loop = all.loops.items[i]};
        s.front = kg_place_before(kernel, s.loop);
        kg_walk(s.loop->blocks[0], list_assigns, &s);
        split(&s);
    }
    kernel->schedule.split = 0;
    return kg_pass_fold(context, kernel);
}
