// SPDX-License-Identifier: MIT
// split: loops of which only the last trips need their masks.
//
// Needs: level staged; pipelined loops have their stages.
// Guarantees: a loop is marked `split` when it has no loop inside, and a branch of its own that
//   changes tiles and nothing else, taken in the last trips only: by its condition, once taken it
//   is taken to the end. Code generation writes such a loop twice: trips up to the first in which a
//   branch of this kind is taken, with nothing of these branches, and the rest as it stands. Which
//   trip that is the code asks before each one, so the mark is never wrong. A loop that says
//   `split=0` stays one: it costs what the branch costs in each trip, and half as much text.
// Never: changes what is computed, or the order of anything. Each warp runs the same ops in the
//   same order, so the passes behind this one see one loop.
//
//   for j in 0 .. n {                            for j in 0 .. n with {split=1} {
//     frag s: f32[64, 64] = ..                     frag s: f32[64, 64] = ..
//     if j * 64 + 64 > N {                =>       if j * 64 + 64 > N {
//       s = select(.., s, -inf)                      s = select(.., s, -inf)
//     }                                            }
//   }                                            }
//
// Written twice at the end and not here, because two loops with a common count of trips would have
// to be recognised as one by all that reason about rings, phases and groups in flight.
#include "ir/split.h"

#include "passes/pass_list.h"

static bool has_loop(const kg_block *block)
{
    for (const kg_op *op = block->first; op; op = op->next)
        for (int i = 0; i < op->n_blocks; i++)
            if (kg_is_loop(op) || has_loop(op->blocks[i])) return true;
    return false;
}

static bool changes_tile(const kg_op *branch)
{
    for (const kg_op *op = branch->blocks[0]->first; op; op = op->next)
        if (op->code == KG_OP_ASSIGN && op->operands[0]->type.rank > 0) return true;
    return false;
}

static bool mark(kg_op *op, void *user)
{
    bool wanted = false;
    if (op->code != KG_OP_FOR || has_loop(op->blocks[0]) || !kg_op_int(op, KG_A_SPLIT, 1))
        return true;
    for (kg_op *branch = op->blocks[0]->first; branch && !wanted; branch = branch->next)
        wanted = kg_splits_loop(op, branch) && changes_tile(branch);
    if (wanted) kg_op_set_int(user, op, KG_A_SPLIT, 1);
    return true;
}

bool kg_pass_split(kg_pass_context *context, kg_kernel *kernel)
{
    (void)context;
    kg_walk(kernel->body, mark, kernel);
    return true;
}
