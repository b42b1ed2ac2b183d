// SPDX-License-Identifier: MIT
// Which branches a loop may be split at. See split.h.
//
// That a condition holds to the end is seen from its text: it compares what grows by the trip with
// what does not. Integers that wrap around are left out of account. They may: where the first loop
// ends is found out by asking, each trip, so that only the lengths of the two loops depend on it.
#include "ir/split.h"

enum { DEEPEST = 24 };

// How a value goes with the index.
typedef enum trend { FALLS = -1, STAYS = 0, GROWS = 1, UNKNOWN = 2 } trend;

typedef struct fragments {
    const kg_value *fragment;
    bool changed;
} fragments;

static bool within(const kg_op *op, const kg_op *owner)
{
    for (const kg_block *b = op->parent; b && b->owner; b = b->owner->parent)
        if (b->owner == owner) return true;
    return false;
}

static bool is_assigned(kg_op *op, void *user)
{
    fragments *f = user;
    f->changed |= op->code == KG_OP_ASSIGN && op->operands[0] == f->fragment;
    return !f->changed;
}

static bool changes_in(const kg_value *fragment, const kg_op *loop)
{
    fragments f = {.fragment = fragment};
    if (within(fragment->op, loop)) return true;
    for (int i = 0; i < loop->n_blocks && !f.changed; i++)
        kg_walk(loop->blocks[i], is_assigned, &f);
    return f.changed;
}

static trend opposite(trend t)
{
    return t == UNKNOWN ? t : (trend)-t;
}

static trend both(trend a, trend b)
{
    if (a == UNKNOWN || b == UNKNOWN || a * b < 0) return UNKNOWN;
    return a ? a : b;
}

static trend trend_of(const kg_op *loop, const kg_value *value, int depth);

static trend scaled(const kg_op *op, trend a, trend b)
{
    int64_t factor;
    if (a == STAYS && b == STAYS) return STAYS;
    if (b == STAYS && kg_const_int(op->operands[1], &factor))
        return factor > 0 ? a : factor < 0 && op->code == KG_OP_MUL ? opposite(a) : UNKNOWN;
    if (a == STAYS && op->code == KG_OP_MUL && kg_const_int(op->operands[0], &factor))
        return factor > 0 ? b : opposite(b);
    return UNKNOWN;
}

// Of an op in the loop's own block. A truth value grows when it is false first, then true.
static trend trend_of_op(const kg_op *loop, const kg_op *op, int depth)
{
    trend t[3] = {STAYS, STAYS, STAYS}, all = STAYS;
    if (!kg_is_computed(op) || op->n_operands > 3) return UNKNOWN;
    for (int i = 0; i < op->n_operands; i++) {
        t[i] = trend_of(loop, op->operands[i], depth + 1);
        all = both(all, t[i]);
        if (t[i] == UNKNOWN) return UNKNOWN;
    }
    switch (op->code) {
    case KG_OP_ADD:
    case KG_OP_MIN:
    case KG_OP_MAX:
    case KG_OP_AND:
    case KG_OP_OR:
    case KG_OP_CAST:
        return all;
    case KG_OP_SUB:
    case KG_OP_GT:
    case KG_OP_GE:
        return both(t[0], opposite(t[1]));
    case KG_OP_LT:
    case KG_OP_LE:
        return both(opposite(t[0]), t[1]);
    case KG_OP_NEG:
    case KG_OP_NOT:
        return opposite(t[0]);
    case KG_OP_MUL:
    case KG_OP_DIV:
        return scaled(op, t[0], t[1]);
    default:
        return t[0] == STAYS && t[1] == STAYS && t[2] == STAYS ? STAYS : UNKNOWN;
    }
}

static trend trend_of(const kg_op *loop, const kg_value *value, int depth)
{
    if (!kg_is_scalar(value) || depth == DEEPEST) return UNKNOWN;
    if (value == loop->blocks[0]->arg) return GROWS;
    if (kg_is_mutable(value)) return changes_in(value, loop) ? UNKNOWN : STAYS;
    if (value->kind != KG_VALUE_RESULT || !within(value->op, loop)) return STAYS;
    return value->op->parent == loop->blocks[0] ? trend_of_op(loop, value->op, depth) : UNKNOWN;
}

bool kg_splits_loop(const kg_op *loop, const kg_op *branch)
{
    if (loop->code != KG_OP_FOR || branch->code != KG_OP_IF || branch->parent != loop->blocks[0] ||
        branch->blocks[1]->first || !branch->blocks[0]->first)
        return false;
    for (const kg_op *op = branch->blocks[0]->first; op; op = op->next)
        if (!kg_is_computed(op) && op->code != KG_OP_ASSIGN) return false;
    return trend_of(loop, branch->operands[0], 0) == GROWS;
}

bool kg_is_split(const kg_op *loop)
{
    if (loop->code != KG_OP_FOR || !kg_op_int(loop, KG_A_SPLIT, 0)) return false;
    for (const kg_op *op = loop->blocks[0]->first; op; op = op->next)
        if (kg_splits_loop(loop, op)) return true;
    return false;
}

static bool needs(const kg_op *loop, const kg_value *value, const kg_op *op)
{
    if (value->kind != KG_VALUE_RESULT || value->op->parent != loop->blocks[0]) return false;
    if (value->op == op) return true;
    for (int i = 0; i < value->op->n_operands; i++)
        if (needs(loop, value->op->operands[i], op)) return true;
    return false;
}

bool kg_decides_split(const kg_op *loop, const kg_op *op)
{
    if (op->parent != loop->blocks[0] || !kg_is_computed(op)) return false;
    for (const kg_op *branch = op->next; branch; branch = branch->next)
        if (kg_splits_loop(loop, branch) && needs(loop, branch->operands[0], op)) return true;
    return false;
}
