// SPDX-License-Identifier: MIT
// Branches and exit. Each changes the current fragment or splits it.
#include "machine.h"

#include <string.h>

void ptxm_split(struct warp *w, uint32_t mask, uint32_t pc)
{
    struct fragment *f = w->current, *g = &w->fragments[w->fragment_count++];
    *g = *f;
    g->mask = mask;
    g->pc = pc;
    g->state = FRAGMENT_READY;
    f->mask &= ~mask;
}

// Sends `mask` to `pc`, the rest of the fragment to the next instruction.
static enum step_result go(struct warp *w, uint32_t mask, uint32_t pc)
{
    struct fragment *f = w->current;
    if (mask == f->mask) {
        f->pc = pc;
        return STEP_JUMP;
    }
    ptxm_split(w, mask, pc);
    f->pc++;
    return STEP_JUMP;
}

enum step_result ptxm_step_branch(struct warp *w, const struct op *op, uint32_t mask)
{
    return go(w, mask, op->target);
}

enum step_result ptxm_step_branch_indexed(struct warp *w, const struct op *op, uint32_t mask)
{
    const uint32_t *index = ptxm_src(w, op, 0);
    struct fragment *f = w->current;
    uint32_t rest = mask, start_mask = f->mask;
    f->pc++;
    FOR_LANES (lane, mask)
    {
        uint32_t same = 0;
        if (!(rest >> lane & 1))
            continue;
        FOR_LANES (other, rest)
            same |= (uint32_t)(index[other] == index[lane]) << other;
        rest &= ~same;
        if (index[lane] >= op->immediate) {
            ptxm_finding(w, op, lane, RULE_BRANCH_INDEX, NULL, 0, ACCESS_READ, "index %u of %u",
                         index[lane], op->immediate);
            return STEP_ABORT;
        }
        uint32_t target = (uint32_t)op->target_list[index[lane]];
        if (same == start_mask)
            f->pc = target;
        else
            ptxm_split(w, same, target);
    }
    return STEP_JUMP;
}

enum step_result ptxm_step_exit(struct warp *w, const struct op *op, uint32_t mask)
{
    ptxm_async_at_exit(w, mask);
    w->current->mask &= ~mask;
    w->current->pc++;
    w->live &= ~mask;
    if (w->cta->warpgroups && !w->live)
        ptxm_wgmma_at_exit(w);
    ptxm_cta_lanes_exit(w->cta, w, mask);
    return STEP_EXIT;
}

enum step_result ptxm_step_trap(struct warp *w, const struct op *op, uint32_t mask)
{
    ptxm_finding(w, op, (unsigned)__builtin_ctz(mask), RULE_TRAP, NULL, 0, ACCESS_READ, "%s",
                 ptxm_rule_message(RULE_TRAP));
    return STEP_ABORT;
}

enum step_result ptxm_step_nanosleep(struct warp *w, const struct op *op, uint32_t mask)
{
    w->cta->polls += 64;
    return STEP_YIELD;
}
