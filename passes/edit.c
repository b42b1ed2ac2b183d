// SPDX-License-Identifier: MIT
// Changes of a kernel that can be taken back: moves, operands and attributes of ops, new ops.
#include "passes/repair_internal.h"

#include <string.h>

static kg_attr *copy_attrs(kg_arena *arena, const kg_attr *attrs)
{
    kg_attr *first = NULL, **end = &first;
    for (; attrs; attrs = attrs->next, end = &(*end)->next) {
        *end = KG_NEW(arena, kg_attr);
        **end = *attrs;
        (*end)->next = NULL;
    }
    return first;
}

void kg_edit_keep(kg_edits *edits, kg_op *op)
{
    kg_edit e = {.op = op, .parent = op->parent, .next = op->next, .n_operands = op->n_operands};
    e.operands = KG_NEW_ARRAY(edits->arena, kg_value *, op->n_operands + 1);
    for (int i = 0; i < op->n_operands; i++) e.operands[i] = op->operands[i];
    e.attrs = copy_attrs(edits->arena, op->attrs);
    KG_PUSH(edits->arena, edits, e);
}

void kg_edit_made(kg_edits *edits, kg_op *op)
{
    KG_PUSH(edits->arena, edits, ((kg_edit){.op = op, .made = true}));
}

// Undone from the last one on, so that `next` stands again where it stood.
void kg_edits_undo(kg_edits *edits)
{
    while (edits->count > 0) {
        kg_edit *e = &edits->items[--edits->count];
        kg_op_remove(e->op);
        if (e->made) continue;
        e->op->operands = e->operands;
        e->op->n_operands = e->n_operands;
        e->op->attrs = e->attrs;
        if (e->next)
            kg_block_insert_before(e->next, e->op);
        else
            kg_block_append(e->parent, e->op);
    }
}
