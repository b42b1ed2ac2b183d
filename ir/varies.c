// SPDX-License-Identifier: MIT
// What an op does is the same for all CTAs along an axis of the grid: its operands, and the loops
// and branches around it, depend neither on the place along the axis nor on memory.
#include "ir/ir.h"

enum { DEEPEST = 64 };

typedef struct search {
    const kg_kernel *kernel;
    const kg_value *axis;
    const kg_value *path[DEEPEST]; // values that are being looked at
    int depth;
    bool varies;
} search;

static void look_at(search *s, const kg_value *value);

// Loops and branches around an op: how often, and whether, it is executed.
static void look_around(search *s, const kg_op *op)
{
    for (op = op->parent->owner; op && !s->varies; op = op->parent->owner) {
        s->varies |= op->code == KG_OP_WHILE;
        for (int i = 0; i < op->n_operands; i++) look_at(s, op->operands[i]);
    }
}

typedef struct target {
    search *s;
    const kg_value *value;
} target;

static bool look_at_assignment(kg_op *op, void *user)
{
    target *t = user;
    if (op->code != KG_OP_ASSIGN || op->operands[0] != t->value) return true;
    look_at(t->s, op->operands[1]);
    look_around(t->s, op);
    return !t->s->varies;
}

// Clusters lie along the first axis: a quotient by a multiple of their size is one for all CTAs.
static bool is_number_of_cluster(const search *s, const kg_op *op)
{
    int64_t by;
    if (op->code != KG_OP_DIV || s->kernel->cluster < 1 || s->axis != s->kernel->grid[0].value ||
        !kg_const_int(op->operands[1], &by) || by <= 0 || by % s->kernel->cluster ||
        kg_dtype_bytes(op->operands[0]->type.dtype) < 4)
        return false;
    const kg_value *value = op->operands[0];
    while (value->kind == KG_VALUE_RESULT && value->op->code == KG_OP_CAST)
        value = value->op->operands[0];
    return value == s->axis;
}

static void look_at_op(search *s, const kg_value *value, const kg_op *op)
{
    const kg_op_info *info = kg_op_info_of(op->code);
    if (is_number_of_cluster(s, op)) return;
    s->varies |= info->n_effects && op->code != KG_OP_VIEW;
    for (int i = 0; i < op->n_operands && !s->varies; i++) look_at(s, op->operands[i]);
    target t = {s, value};
    if (!s->varies && kg_is_mutable(value)) kg_walk(s->kernel->body, look_at_assignment, &t);
}

static void look_at(search *s, const kg_value *value)
{
    for (int i = 0; i < s->depth; i++)
        if (s->path[i] == value) return;
    if (s->varies || value->kind == KG_VALUE_PARAM) return;
    if (s->depth == DEEPEST || value == s->axis) {
        s->varies = true;
        return;
    }
    if (value->kind == KG_VALUE_GRID) return;
    s->path[s->depth++] = value;
    if (value->kind == KG_VALUE_RESULT)
        look_at_op(s, value, value->op);
    else if (value->kind == KG_VALUE_ARG)
        for (int i = 0; i < value->op->n_operands; i++) look_at(s, value->op->operands[i]);
    s->depth--;
}

bool kg_varies_along(const kg_kernel *kernel, const kg_value *axis, const kg_op *op)
{
    search s = {.kernel = kernel, .axis = axis};
    for (int i = 0; i < op->n_operands; i++) look_at(&s, op->operands[i]);
    look_around(&s, op);
    return s.varies;
}
