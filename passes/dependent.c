// SPDX-License-Identifier: MIT
// dependent: kernels that may begin before the kernel launched ahead of them has ended.
//
// Needs: level laid_out; mbarriers are there.
// Guarantees: with `schedule dependent 1`, where the target has it, each thread waits for the end
//   of the kernel ahead (grid_wait) before anything that it does to global memory; what comes
//   before, such as making mbarriers, runs beside that kernel's end. In a kernel of roles each role
//   that touches global memory waits for itself, in front of the first statement that does.
//   The kernel behind may begin (launch_dependents) when all CTAs of this one run: it has to wait
//   for their end anyway, and takes no place from any of them.
// Never: looks at which tensors the kernel ahead writes; it waits for all of them.
//
//   warps 0 .. 1 as producer {                 launch_dependents
//     for k in 0 .. n {                        warps 0 .. 1 as producer {
//       copy_bulk sa[k; ..] = a[..]     =>       grid_wait
//     }                                          for k in 0 .. n {
//   }                                              copy_bulk sa[k; ..] = a[..]
#include "passes/pass_list.h"

#include "ir/access.h"
#include "passes/rewrite.h"

static bool look(kg_op *op, void *user)
{
    bool *touches = user;
    *touches |= kg_touches_global(op);
    return !*touches;
}

static bool touches(kg_op *op)
{
    bool found = kg_touches_global(op);
    for (int i = 0; i < op->n_blocks && !found; i++) kg_walk(op->blocks[i], look, &found);
    return found;
}

static void wait_in(kg_kernel *kernel, kg_block *block)
{
    for (kg_op *op = block->first; op; op = op->next) {
        if (!touches(op)) continue;
        if (op->code == KG_OP_WARPS) {
            wait_in(kernel, op->blocks[0]);
            continue;
        }
        kg_place here = kg_place_before(kernel, op);
        kg_make(&here, KG_OP_GRID_WAIT, 0, NULL);
        return;
    }
}

static bool by_hand(kg_op *op, void *user)
{
    bool *found = user;
    *found |= op->code == KG_OP_GRID_WAIT || op->code == KG_OP_LAUNCH_DEPENDENTS;
    return !*found;
}

bool kg_pass_dependent(kg_pass_context *context, kg_kernel *kernel)
{
    bool found = false;
    bool wanted = kernel->schedule.dependent && context->machine->grid_dependency;
    kernel->schedule.dependent = 0;
    kg_walk(kernel->body, by_hand, &found);
    if (!wanted || found || !kernel->body->first) return true;
    wait_in(kernel, kernel->body);
    kg_place first = kg_place_before(kernel, kernel->body->first);
    kg_make(&first, KG_OP_LAUNCH_DEPENDENTS, 0, NULL);
    return true;
}
