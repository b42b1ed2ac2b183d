// SPDX-License-Identifier: MIT
// Which trips of a loop a role has for itself. See share.h.
#include "passes/share.h"
#include "passes/rewrite.h"
#include "passes/sync/affine.h"

// index % of == rest, for the index of a loop that counts from 0.
static bool is_share(const kg_value *condition, kg_share *out)
{
    if (condition->kind != KG_VALUE_RESULT || condition->op->code != KG_OP_EQ) return false;
    const kg_value *rest = condition->op->operands[0];
    if (rest->kind != KG_VALUE_RESULT || rest->op->code != KG_OP_MOD) return false;
    const kg_value *index = rest->op->operands[0];
    int64_t first, step;
    if (index->kind != KG_VALUE_ARG || index->op->code != KG_OP_FOR ||
        !kg_const_int(index->op->operands[0], &first) || first ||
        !kg_const_int(index->op->operands[2], &step) || step != 1)
        return false;
    out->loop = index->op;
    return kg_const_int(condition->op->operands[1], &out->rest) &&
           kg_const_int(rest->op->operands[1], &out->of) && out->of > 1;
}

bool kg_share_of(const kg_op *op, kg_share *out)
{
    for (const kg_block *block = op->parent; block && block->owner; block = block->owner->parent)
        if (block->owner->code == KG_OP_IF && block == block->owner->blocks[0] &&
            is_share(block->owner->operands[0], out) && kg_op_within(block->owner, out->loop))
            return true;
    return false;
}

bool kg_shares_apart(const kg_share *a, const kg_share *b)
{
    for (int i = 0; i < 3; i++)
        if (!kg_same_value(a->loop->operands[i], b->loop->operands[i])) return false;
    return a->loop != b->loop && a->of == b->of && a->rest != b->rest;
}
