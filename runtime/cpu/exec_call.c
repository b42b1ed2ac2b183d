// SPDX-License-Identifier: MIT
// Calls and returns.
//
// A function has one place for its registers, its parameters and its variables. When it is called
// while it runs already, what the earlier call still needs is put aside for the lane: registers and
// parameters are saved and come back at the return; variables, whose addresses may have been handed
// on, stay where they are, and the later call's are made on the lane's stack.
#include "machine.h"

#include <string.h>

enum { MAX_DEPTH = 1024, MAX_STACK = 256 * 1024 };

static uint8_t *frame(struct warp *w, unsigned lane)
{
    return w->cta->frames + (size_t)ptxm_thread(w, lane) * w->cta->grid->frame_bytes;
}

void ptxm_calls_free(struct warp *w)
{
    if (!w->calls)
        return;
    struct allocator *a = w->cta->grid->allocator;
    for (unsigned lane = 0; lane < LANES; lane++) {
        ptxm_free(a, w->calls[lane].calls);
        ptxm_free(a, w->calls[lane].saved);
        ptxm_free(a, w->calls[lane].memory);
    }
    ptxm_free(a, w->calls);
    w->calls = NULL;
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
    // A handle may name the prototype, or an alias.
    if (!f->has_body)
        f = ptxm_function_body(m, f->name);
    return f && !f->is_entry ? f : NULL;
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

// ---- a function that runs already ---------------------------------------------------------------

static bool runs(const struct call_stack *stack, uint32_t depth, const struct function *f)
{
    while (depth > 0)
        if (stack->calls[--depth].callee == f)
            return true;
    return false;
}

static bool reserve(struct warp *w, uint8_t **bytes, size_t *capacity, size_t wanted)
{
    if (wanted < *capacity)
        return true;
    // Never nothing: what is saved may be empty, and is pointed to all the same.
    size_t more = *capacity * 2 > wanted ? *capacity * 2 : wanted + 256;
    uint8_t *grown = ptxm_realloc(w->cta->grid->allocator, *bytes, more);
    if (!grown)
        return false;
    memset(grown + *capacity, 0, more - *capacity);
    *bytes = grown;
    *capacity = more;
    return true;
}

static size_t saved_size(const struct function *f)
{
    size_t bytes = f->frame_params;
    for (size_t i = 0; i < f->slot_count; i++) bytes += f->slots[i].bytes ? f->slots[i].bytes : 1;
    return bytes;
}

static uint8_t *move(uint8_t *saved, void *at, size_t bytes, bool back)
{
    memcpy(back ? at : saved, back ? saved : at, bytes);
    return saved + bytes;
}

// Registers and parameters of f, as this lane has them: put aside, or put back.
static void swap_out(struct warp *w, unsigned lane, const struct function *f, uint8_t *saved,
                     bool back)
{
    saved = move(saved, frame(w, lane) + f->frame_base, f->frame_params, back);
    for (size_t i = 0; i < f->slot_count; i++) {
        uint8_t *slot = w->regs + f->slots[i].at;
        if (f->slots[i].bytes) {
            saved = move(saved, slot + lane * f->slots[i].bytes, f->slots[i].bytes, back);
            continue;
        }
        uint32_t *bits = (uint32_t *)(void *)slot;
        if (back)
            *bits = (*bits & ~(1u << lane)) | (uint32_t)*saved++ << lane;
        else
            *saved++ = *bits >> lane & 1;
    }
}

static bool enter_again(struct warp *w, unsigned lane, const struct function *f)
{
    struct call_stack *stack = &w->calls[lane];
    size_t bytes = saved_size(f);
    if (!reserve(w, &stack->saved, &stack->saved_capacity, stack->saved_bytes + bytes) ||
        !reserve(w, &stack->memory, &stack->memory_capacity, stack->memory_bytes + f->frame_bytes))
        return false;
    swap_out(w, lane, f, stack->saved + stack->saved_bytes, false);
    stack->saved_bytes += bytes;
    stack->locals = (uint32_t)(w->cta->grid->frame_bytes + stack->memory_bytes);
    stack->memory_bytes += f->frame_bytes;
    return true;
}

// ---- calls -------------------------------------------------------------------------------------

static bool make_stack(struct warp *w, uint32_t mask, uint32_t depth)
{
    struct allocator *a = w->cta->grid->allocator;
    if (!w->calls)
        w->calls = ptxm_alloc_zero(a, LANES * sizeof *w->calls);
    FOR_LANES (lane, w->calls ? mask : 0) {
        struct call_stack *stack = &w->calls[lane];
        while (depth >= stack->capacity)
            if (!ptxm_grow(a, (void **)&stack->calls, sizeof *stack->calls, &stack->capacity))
                return false;
    }
    return w->calls != NULL;
}

// NULL: the lane may call. Else why not.
static const char *refusal(struct warp *w, const struct op *op, unsigned lane, uint32_t depth,
                           const struct function *callee)
{
    const struct call_stack *stack = &w->calls[lane];
    if (!callee)
        return "the address is no function";
    if (!fits_call(op, callee))
        return "the parameters do not match";
    if (depth + 1 >= MAX_DEPTH || stack->saved_bytes + stack->memory_bytes > MAX_STACK)
        return "calls nest too deeply: recursion without an end?";
    if (callee->param_address && runs(stack, depth, callee))
        return "recursion of a function that takes the address of a parameter is not supported";
    return NULL;
}

static bool enter(struct warp *w, const struct op *op, unsigned lane, uint32_t depth,
                  struct function *callee, uint32_t return_pc)
{
    struct call_stack *stack = &w->calls[lane];
    bool again = runs(stack, depth, callee);
    uint8_t *base = frame(w, lane);
    stack->calls[depth] = (struct activation){callee, return_pc, stack->locals, again};
    stack->locals = (uint32_t)(callee->frame_base + callee->frame_params);
    if (again && !enter_again(w, lane, callee))
        return false;
    for (uint32_t i = op->mode; i < op->immediate; i++) {
        const struct variable *mine = (const void *)(uintptr_t)op->target_list[i];
        const struct variable *theirs = callee->params[i - op->mode];
        memmove(base + ptxm_frame_offset(theirs), base + ptxm_frame_offset(mine), theirs->size);
    }
    return true;
}

enum step_result ptxm_step_call(struct warp *w, const struct op *op, uint32_t mask)
{
    struct fragment *f = w->current;
    uint32_t depth = f->depth, rest = mask, start_mask = f->mask, return_pc = f->pc + 1;
    bool room = make_stack(w, mask, depth);
    f->pc = return_pc;
    FOR_LANES (lane, room ? mask : 0) {
        struct function *callee = callee_of(w, op, lane);
        if (!(rest >> lane & 1))
            continue;
        uint32_t same = 0;
        FOR_LANES (other, rest)
            same |= (uint32_t)(callee_of(w, op, other) == callee) << other;
        rest &= ~same;
        FOR_LANES (other, same) {
            const char *why = refusal(w, op, other, depth, callee);
            if (why) {
                ptxm_finding(w, op, other, RULE_CALL, NULL, 0, ACCESS_READ, "%s", why);
                return STEP_ABORT;
            }
            room &= enter(w, op, other, depth, callee, return_pc);
        }
        if (same == start_mask) {
            f->pc = callee->first_op;
            f->depth = depth + 1;
        } else {
            ptxm_split(w, same, callee->first_op);
            w->fragments[w->fragment_count - 1].depth = depth + 1;
        }
    }
    if (room)
        return STEP_JUMP;
    ptxm_cta_out_of_memory(w->cta);
    return STEP_ABORT;
}

// ---- returns -----------------------------------------------------------------------------------

static size_t result_size(const struct op *call)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < call->mode; i++)
        bytes += ((const struct variable *)(uintptr_t)call->target_list[i])->size;
    return bytes;
}

static void take_results(struct warp *w, unsigned lane, const struct op *call,
                         const struct function *callee, uint8_t *out)
{
    uint8_t *base = frame(w, lane);
    for (uint32_t i = 0; i < call->mode; i++)
        out = move(out, base + ptxm_frame_offset(callee->returns[i]), callee->returns[i]->size,
                   false);
}

static void put_results(struct warp *w, unsigned lane, const struct op *call, uint8_t *from)
{
    uint8_t *base = frame(w, lane);
    for (uint32_t i = 0; i < call->mode; i++) {
        const struct variable *mine = (const void *)(uintptr_t)call->target_list[i];
        from = move(from, base + ptxm_frame_offset(mine), mine->size, true);
    }
}

// The results are kept behind what was put aside while that comes back.
static bool leave(struct warp *w, unsigned lane, const struct activation *a)
{
    struct call_stack *stack = &w->calls[lane];
    const struct op *call = &w->cta->grid->module->ops[a->return_pc - 1];
    size_t bytes = result_size(call);
    if (!reserve(w, &stack->saved, &stack->saved_capacity, stack->saved_bytes + bytes))
        return false;
    uint8_t *results = stack->saved + stack->saved_bytes;
    take_results(w, lane, call, a->callee, results);
    if (a->again) {
        stack->saved_bytes -= saved_size(a->callee);
        stack->memory_bytes -= a->callee->frame_bytes;
        swap_out(w, lane, a->callee, stack->saved + stack->saved_bytes, true);
    }
    put_results(w, lane, call, results);
    stack->locals = a->locals;
    return true;
}

enum step_result ptxm_step_ret(struct warp *w, const struct op *op, uint32_t mask)
{
    struct fragment *f = w->current;
    uint32_t rest = mask, start_mask = f->mask;
    if (!f->depth)
        return ptxm_step_exit(w, op, mask);
    uint32_t depth = f->depth - 1;
    bool room = true;
    f->pc++;
    FOR_LANES (lane, mask) {
        const struct activation *a = &w->calls[lane].calls[depth];
        uint32_t same = 0;
        room &= leave(w, lane, a);
        if (!(rest >> lane & 1))
            continue;
        FOR_LANES (other, rest)
            same |= (uint32_t)(w->calls[other].calls[depth].return_pc == a->return_pc) << other;
        rest &= ~same;
        if (same == start_mask) {
            f->pc = a->return_pc;
            f->depth = depth;
        } else {
            ptxm_split(w, same, a->return_pc);
            w->fragments[w->fragment_count - 1].depth = depth;
        }
    }
    if (room)
        return STEP_JUMP;
    ptxm_cta_out_of_memory(w->cta);
    return STEP_ABORT;
}

enum step_result ptxm_step_frame_address(struct warp *w, const struct op *op, uint32_t mask)
{
    FOR_LANES (lane, mask) {
        uint64_t at = (uint64_t)op->displacement + (w->calls ? w->calls[lane].locals : 0);
        if (op->dst_bytes == 8)
            ((uint64_t *)ptxm_dst(w, op, 0))[lane] = at;
        else
            ((uint32_t *)ptxm_dst(w, op, 0))[lane] = (uint32_t)at;
    }
    return STEP_NEXT;
}
