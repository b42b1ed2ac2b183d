// SPDX-License-Identifier: MIT
// Constants stand where they are used.
//
// Each use of a constant gets one of its own, at the place where the text form has it: operands
// left to right, directly in front of the op. So the printed kernel says `x * 2.0` and not
// `%3 = 2.0` far above, and no register lives across a loop to hold a literal.
#include "passes/rewrite.h"

typedef struct tidier {
    kg_kernel *kernel;
    int *uses; // by value id
} tidier;

bool kg_is_literal_value(const kg_value *value)
{
    if (value->kind != KG_VALUE_RESULT || value->name)
        return false;
    const kg_op *op = value->op;
    if (op->code == KG_OP_BROADCAST)
        return kg_is_scalar(op->operands[0]) && kg_is_literal_value(op->operands[0]);
    return op->code == KG_OP_CONST;
}

static bool count_uses(kg_op *op, void *user)
{
    tidier *t = user;
    for (int i = 0; i < op->n_operands; i++)
        t->uses[op->operands[i]->id]++;
    return true;
}

// Takes the literals out of the block; users still point to them.
static void detach(kg_block *block)
{
    for (kg_op *op = block->first, *next; op; op = next) {
        next = op->next;
        if (op->n_results && kg_is_literal_value(op->results[0]))
            kg_op_remove(op);
        for (int i = 0; i < op->n_blocks; i++)
            detach(op->blocks[i]);
    }
}

// Puts a literal in front of `anchor`, a copy when its first use took the original. Returns the
// first op of what now stands there.
static kg_op *settle(tidier *t, kg_op *user, int operand, kg_op *anchor)
{
    kg_op *op = user->operands[operand]->op;
    if (op->parent) {
        kg_op *copy = kg_op_clone(t->kernel, op, NULL, 0);
        kg_op_set_operand(user, operand, copy->results[0]);
        op = copy;
    }
    kg_block_insert_before(anchor, op);
    return op->code == KG_OP_BROADCAST ? settle(t, op, 0, op) : op;
}

// An op starts where the first of the operands that stand inside of it does (note).
static void place_literals(tidier *t, kg_op *op)
{
    kg_op *anchor = op;
    for (int i = op->n_operands - 1; i >= 0; i--) {
        kg_value *v = op->operands[i];
        if (kg_is_literal_value(v)) {
            anchor = settle(t, op, i, anchor);
            continue;
        }
        bool inside = v->kind == KG_VALUE_RESULT && anchor->prev == v->op && !v->name &&
                      v->id >= 0 && t->uses[v->id] == 1 && v->op->note;
        if (inside)
            anchor = v->op->note;
    }
    op->note = anchor;
}

static void tidy_block(tidier *t, kg_block *block)
{
    for (kg_op *op = block->first; op; op = op->next) {
        op->note = NULL;
        place_literals(t, op);
        for (int i = 0; i < op->n_blocks; i++)
            tidy_block(t, op->blocks[i]);
    }
}

void kg_tidy(kg_arena *arena, kg_kernel *kernel)
{
    tidier t = {kernel, KG_NEW_ARRAY(arena, int, kg_kernel_number(kernel, NULL) + 1)};
    kg_walk(kernel->body, count_uses, &t);
    detach(kernel->body);
    tidy_block(&t, kernel->body);
}
