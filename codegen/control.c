// SPDX-License-Identifier: MIT
//
// Branches and loops from blocks. Loops stay loops: a body is built once and nothing here or in
// the passes copies it.
#include "codegen/internal.h"

cg_value cg_undecided(struct cg_module *m, cg_value condition)
{
    const cg_type truth = CG_I1;
    return cg_raw_asm(m, "mov.pred $0, $1;", "=b,b", CG_PTX_SIDE_EFFECT, &truth, 1, &condition, 1);
}

void cg_if_begin(struct cg_module *m, struct cg_if *state, cg_value condition)
{
    cg_block then = cg_block_new(m, "then");
    state->has_else = false;
    state->join = cg_block_new(m, "join");
    state->otherwise = cg_block_new(m, "else");
    cg_branch_if(m, condition, then, state->otherwise);
    cg_block_enter(m, then);
}

void cg_if_else(struct cg_module *m, struct cg_if *state)
{
    if (!cg_block_ended(m)) cg_branch(m, state->join);
    cg_block_enter(m, state->otherwise);
    state->has_else = true;
}

void cg_if_end(struct cg_module *m, struct cg_if *state)
{
    if (!state->has_else) cg_if_else(m, state);
    if (!cg_block_ended(m)) cg_branch(m, state->join);
    cg_block_enter(m, state->join);
}

// Is `lower < upper` known, so that the loop needs no guard? An empty range keeps its guard.
static bool surely_runs(struct cg_module *m, cg_value lower, cg_value upper)
{
    int64_t first, limit;
    return cg_is_constant(m, lower, &first) && cg_is_constant(m, upper, &limit) && first < limit;
}

void cg_loop_begin(struct cg_module *m, struct cg_loop *loop, cg_value lower, cg_value upper,
                   cg_value step)
{
    loop->body = cg_block_new(m, "loop");
    loop->exit = cg_block_new(m, "done");
    loop->upper = upper;
    loop->step = step;
    cg_block before = cg_block_current(m);
    loop->head = surely_runs(m, lower, upper) ? NULL : cg_block_new(m, "test");
    cg_branch(m, loop->head ? loop->head : loop->body);
    cg_head_open(m, loop->head ? loop->head : loop->body);
    cg_block_enter(m, loop->head ? loop->head : loop->body);
    loop->index = cg_phi(m, cg_type_of(m, lower));
    cg_phi_add(m, loop->index, lower, before);
    if (!loop->head) return;
    cg_branch_if(m, cg_slt(m, loop->index, upper), loop->body, loop->exit);
    cg_block_enter(m, loop->body);
}

void cg_loop_end(struct cg_module *m, struct cg_loop *loop)
{
    cg_value next = cg_add(m, loop->index, loop->step);
    cg_block latch = cg_block_current(m);
    if (loop->head)
        cg_branch(m, loop->head);
    else
        cg_branch_if(m, cg_slt(m, next, loop->upper), loop->body, loop->exit);
    cg_phi_add(m, loop->index, next, latch);
    cg_head_close(m, loop->head ? loop->head : loop->body);
    if (loop->keep_rolled) cg_raw_keep_rolled(m, latch);
    cg_block_enter(m, loop->exit);
}

void cg_while_begin(struct cg_module *m, struct cg_while *loop)
{
    loop->head = cg_block_new(m, "while");
    loop->exit = cg_block_new(m, "done");
    cg_branch(m, loop->head);
    cg_head_open(m, loop->head);
    cg_block_enter(m, loop->head);
}

void cg_while_test(struct cg_module *m, struct cg_while *loop, cg_value condition)
{
    cg_block body = cg_block_new(m, "do");
    cg_branch_if(m, condition, body, loop->exit);
    cg_block_enter(m, body);
}

void cg_while_end(struct cg_module *m, struct cg_while *loop)
{
    cg_block latch = cg_block_current(m);
    if (!cg_block_ended(m)) cg_branch(m, loop->head);
    cg_head_close(m, loop->head);
    if (loop->keep_rolled) cg_raw_keep_rolled(m, latch);
    cg_block_enter(m, loop->exit);
}
