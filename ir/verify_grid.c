// SPDX-License-Identifier: MIT
// Kernels that wait for the one launched ahead of them: nothing of global memory is touched before.
//
// A grid_wait serves what comes behind it in its block and in the blocks inside. In a region of
// warps it serves that region; behind a loop or a branch nobody counts on one that stands in it.
#include "ir/access.h"
#include "ir/verify.h"

static bool is_wait(kg_op *op, void *user)
{
    bool *found = user;
    *found |= op->code == KG_OP_GRID_WAIT;
    return !*found;
}

static void walk(kg_verifier *v, const kg_block *block, bool waited)
{
    for (const kg_op *op = block->first; op; op = op->next) {
        waited |= op->code == KG_OP_GRID_WAIT;
        if (!waited && kg_touches_global(op))
            kg_verify_fail(v, KG_D_V207, op,
                           "'%s' touches global memory and no grid_wait lies before it in its "
                           "block or around it: the kernel ahead may still be at work there",
                           kg_op_info_of(op->code)->name);
        for (int i = 0; i < op->n_blocks; i++) walk(v, op->blocks[i], waited);
    }
}

void kg_verify_grid_wait(kg_verifier *v)
{
    bool found = false;
    kg_walk(v->kernel->body, is_wait, &found);
    if (found) walk(v, v->kernel->body, false);
}
