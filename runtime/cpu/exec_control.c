// SPDX-License-Identifier: MIT
// Branches, calls, returns, exit. Each changes the current fragment or splits it.
#include "machine.h"

#include <string.h>

static void split(struct warp *w, uint32_t mask, uint32_t pc)
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
    split(w, mask, pc);
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
            split(w, same, target);
    }
    return STEP_JUMP;
}

// ---- calls --------------------------------------------------------------------------------------

static uint8_t *frame(struct warp *w, unsigned lane)
{
    return w->cta->frames + (size_t)ptxm_thread(w, lane) * w->cta->grid->frame_bytes;
}

static size_t frame_offset(const struct grid *grid, const struct function *function,
                           const struct variable *v)
{
    return function->frame_base + v->offset;
}

static struct function *callee_of(struct warp *w, const struct op *op, unsigned lane)
{
    const struct ptxm_module *m = w->cta->grid->module;
    if (!op->nsrc)
        return (struct function *)(uintptr_t)op->displacement;
    uint64_t handle = ((const uint64_t *)ptxm_src(w, op, 0))[lane];
    uint64_t index = (handle >> 4) - 1;
    if (handle & 15 || index >= m->function_count)
        return NULL;
    struct function *f = m->functions[index];
    // A handle may name the prototype; the body is another entry of that name.
    for (size_t i = 0; !f->has_body && i < m->function_count; i++)
        if (m->functions[i]->has_body && !strcmp(m->functions[i]->name, f->name))
            f = m->functions[i];
    return f->has_body && !f->is_entry ? f : NULL;
}

static bool make_call_stack(struct warp *w)
{
    struct allocator *a = w->cta->grid->allocator;
    if (!w->returns)
        w->returns = ptxm_alloc_zero(a, MAX_DEPTH * sizeof *w->returns);
    for (unsigned lane = 0; w->returns && lane < LANES; lane++)
        if (!w->calls[lane] &&
            !(w->calls[lane] = ptxm_alloc_zero(a, MAX_DEPTH * sizeof *w->calls[lane])))
            return false;
    return w->returns != NULL;
}

static bool already_active(const struct warp *w, unsigned lane, uint32_t depth,
                           const struct function *f)
{
    for (uint32_t i = 0; i < depth; i++)
        if (w->calls[lane][i] == f)
            return true;
    return false;
}

static void copy_arguments(struct warp *w, const struct op *op, unsigned lane,
                           const struct function *callee)
{
    uint8_t *base = frame(w, lane);
    for (uint32_t i = op->mode; i < op->immediate; i++) {
        const struct variable *mine = (const void *)(uintptr_t)op->target_list[i];
        const struct variable *theirs = callee->params[i - op->mode];
        memcpy(base + frame_offset(w->cta->grid, callee, theirs),
               base + frame_offset(w->cta->grid, mine->owner, mine), theirs->size);
    }
}

static bool fits_call(const struct op *op, const struct function *callee)
{
    if (op->mode > callee->return_count || op->immediate - op->mode != callee->param_count)
        return false;
    for (uint32_t i = 0; i < op->immediate; i++) {
        const struct variable *mine = (const void *)(uintptr_t)op->target_list[i];
        const struct variable *theirs = i < op->mode ? callee->returns[i]
                                                     : callee->params[i - op->mode];
        if (mine->size != theirs->size)
            return false;
    }
    return true;
}

enum step_result ptxm_step_call(struct warp *w, const struct op *op, uint32_t mask)
{
    struct fragment *f = w->current;
    uint32_t depth = f->depth, rest = mask, start_mask = f->mask;
    uint32_t return_pc = f->pc + 1;
    if (!make_call_stack(w)) {
        ptxm_cta_out_of_memory(w->cta);
        return STEP_ABORT;
    }
    f->pc = return_pc;
    FOR_LANES (lane, mask)
    {
        struct function *callee = callee_of(w, op, lane);
        if (!(rest >> lane & 1))
            continue;
        if (!callee || depth + 1 >= MAX_DEPTH || already_active(w, lane, depth, callee) ||
            !fits_call(op, callee)) {
            ptxm_finding(w, op, lane, RULE_CALL, NULL, 0, ACCESS_READ, "%s",
                         !callee                     ? "the address is no function"
                         : depth + 1 >= MAX_DEPTH    ? "calls nest too deeply"
                         : fits_call(op, callee)     ? "recursion is not supported"
                                                     : "the parameters do not match");
            return STEP_ABORT;
        }
        uint32_t same = 0;
        FOR_LANES (other, rest)
            same |= (uint32_t)(callee_of(w, op, other) == callee) << other;
        rest &= ~same;
        FOR_LANES (other, same)
        {
            w->returns[depth][other] = return_pc;
            w->calls[other][depth] = callee;
            copy_arguments(w, op, other, callee);
        }
        if (same == start_mask) {
            f->pc = callee->first_op;
            f->depth = depth + 1;
        } else {
            split(w, same, callee->first_op);
            w->fragments[w->fragment_count - 1].depth = depth + 1;
        }
    }
    return STEP_JUMP;
}

static void copy_results(struct warp *w, unsigned lane, uint32_t return_pc,
                         const struct function *callee)
{
    const struct op *call = &w->cta->grid->module->ops[return_pc - 1];
    uint8_t *base = frame(w, lane);
    for (uint32_t i = 0; i < call->mode; i++) {
        const struct variable *mine = (const void *)(uintptr_t)call->target_list[i];
        const struct variable *theirs = callee->returns[i];
        memcpy(base + frame_offset(w->cta->grid, mine->owner, mine),
               base + frame_offset(w->cta->grid, callee, theirs), mine->size);
    }
}

enum step_result ptxm_step_ret(struct warp *w, const struct op *op, uint32_t mask)
{
    struct fragment *f = w->current;
    uint32_t rest = mask, start_mask = f->mask;
    if (!f->depth)
        return ptxm_step_exit(w, op, mask);
    uint32_t depth = f->depth - 1;
    f->pc++;
    FOR_LANES (lane, mask)
    {
        uint32_t same = 0, to = w->returns[depth][lane];
        copy_results(w, lane, to, w->calls[lane][depth]);
        if (!(rest >> lane & 1))
            continue;
        FOR_LANES (other, rest)
            same |= (uint32_t)(w->returns[depth][other] == to) << other;
        rest &= ~same;
        if (same == start_mask) {
            f->pc = to;
            f->depth = depth;
        } else {
            split(w, same, to);
            w->fragments[w->fragment_count - 1].depth = depth;
        }
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
