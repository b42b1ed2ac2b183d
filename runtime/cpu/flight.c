// SPDX-License-Identifier: MIT
// Registers under wgmma. Between the issue of a wgmma and the wait for its group nothing may touch
// its accumulators or the registers that hold A; and what was touched needs a wgmma.fence before
// the next wgmma that uses it.
//
// At load: which ops may touch such registers, on some path (forward: in flight; backward: used by
// a wgmma before any fence). Only those get a check, so that everything else runs as fast as ever,
// and registers that may be in flight never share their place with others.
// At run time: the check, with the groups that are really pending.
#include "flow.h"
#include "wgmma.h"

#include <string.h>

// ---- at load -----------------------------------------------------------------------------------

struct sets {
    uint64_t *flight; // may be in flight at the block's start
    uint64_t *exposed; // a wgmma may use it, from the block's start on, before a fence
    uint64_t *used;    // by some wgmma
    uint64_t *now;
};

// Calls for each register of a wgmma: accumulators, and A when it is in registers.
#define EACH_FRAGMENT(op, k)                                                                       \
    for (unsigned k = 0; k < (op)->ndst + ((op)->flags & WGMMA_A_REGISTERS ? 4u : 0u); k++)        \
        if (is_register((op)->operands[k]))

static bool is_wgmma(const struct op *op)
{
    return op->step == ptxm_step_wgmma;
}

static bool retires_all(const struct op *op)
{
    return op->step == ptxm_step_wgmma_wait && !op->immediate && op->guard == OPERAND_NONE;
}

static bool fences(const struct op *op)
{
    return op->step == ptxm_step_wgmma_fence && op->guard == OPERAND_NONE;
}

static bool merge(uint64_t *into, const uint64_t *from, size_t words)
{
    bool changed = false;
    for (size_t w = 0; w < words; w++) {
        changed |= (from[w] & ~into[w]) != 0;
        into[w] |= from[w];
    }
    return changed;
}

static void forward_step(const struct flow *f, const struct op *op, uint64_t *now)
{
    if (is_wgmma(op))
        EACH_FRAGMENT (op, k)
            set_bit(now, op->operands[k]);
    if (retires_all(op))
        memset(now, 0, f->words * sizeof *now);
}

static void backward_step(const struct flow *f, const struct op *op, uint64_t *now)
{
    if (fences(op))
        memset(now, 0, f->words * sizeof *now);
    if (is_wgmma(op))
        EACH_FRAGMENT (op, k)
            set_bit(now, op->operands[k]);
}

static void solve_flight(const struct flow *f, struct sets *s)
{
    for (bool changed = true; changed;) {
        changed = false;
        for (uint32_t b = 0; b < f->count; b++) {
            memcpy(s->now, s->flight + b * f->words, f->words * sizeof *s->now);
            for (uint32_t i = f->blocks[b].first; i <= f->blocks[b].last; i++)
                forward_step(f, op_at(f, i), s->now);
            uint32_t to;
            for (uint32_t k = 0; (to = ptxm_flow_successor(f, b, k)) != UINT32_MAX; k++)
                changed |= merge(s->flight + to * f->words, s->now, f->words);
        }
    }
}

// What is exposed behind the last op of a block.
static void exposed_behind(const struct flow *f, struct sets *s, uint32_t b)
{
    uint32_t to;
    memset(s->now, 0, f->words * sizeof *s->now);
    for (uint32_t k = 0; (to = ptxm_flow_successor(f, b, k)) != UINT32_MAX; k++)
        merge(s->now, s->exposed + to * f->words, f->words);
}

static void solve_exposed(const struct flow *f, struct sets *s)
{
    for (bool changed = true; changed;) {
        changed = false;
        for (uint32_t b = f->count; b-- > 0;) {
            exposed_behind(f, s, b);
            for (uint32_t i = f->blocks[b].last + 1; i-- > f->blocks[b].first;)
                backward_step(f, op_at(f, i), s->now);
            changed |= merge(s->exposed + b * f->words, s->now, f->words);
        }
    }
}

// Ops of the family check by themselves; those that change the program counter touch no fragment.
static bool can_watch(const struct op *op)
{
    return !is_wgmma(op) && op->step != ptxm_step_barrier && op->step != ptxm_step_branch &&
           op->step != ptxm_step_branch_indexed && op->step != ptxm_step_call;
}

static bool touches(const struct op *op, const uint64_t *registers)
{
    for (unsigned k = 0; k < (unsigned)op->ndst + op->nsrc; k++)
        if (is_register(op->operands[k]) && get_bit(registers, op->operands[k]))
            return true;
    return false;
}

static bool watch(struct flow *f, struct op *op, const uint64_t *used)
{
    if (op->watch)
        return true;
    struct watch *w = ptxm_arena_alloc(&f->module->arena, sizeof *w);
    if (!w)
        return false;
    *w = (struct watch){.lane = op->lane, .step = op->step};
    for (unsigned k = 0; k < (unsigned)op->ndst + op->nsrc && k < 64; k++)
        if (is_register(op->operands[k]) && get_bit(used, op->operands[k]))
            w->used |= (uint64_t)1 << k;
    w->copies = op->lane && !strncmp(op->text, "mov.", 4) && op->nsrc == 1 &&
                is_register(op->operands[1]);
    op->watch = w;
    return true;
}

static void extend_all(const struct flow *f, struct interval *v, const uint64_t *registers,
                       uint32_t at)
{
    for (size_t w = 0; w < f->words; w++)
        for (uint64_t rest = registers[w]; rest; rest &= rest - 1)
            interval_extend(&v[w * 64 + (unsigned)__builtin_ctzll(rest)], at);
}

static bool mark_block(struct flow *f, struct sets *s, uint32_t b, struct interval *v)
{
    struct block *block = &f->blocks[b];
    bool fine = true;
    memcpy(s->now, s->flight + b * f->words, f->words * sizeof *s->now);
    extend_all(f, v, s->now, block->first);
    for (uint32_t i = block->first; i <= block->last; i++) {
        struct op *op = op_at(f, i);
        if (can_watch(op) && touches(op, s->now))
            fine &= watch(f, op, s->used);
        if (retires_all(op))
            extend_all(f, v, s->now, i);
        forward_step(f, op, s->now);
    }
    extend_all(f, v, s->now, block->last);
    exposed_behind(f, s, b);
    for (uint32_t i = block->last + 1; i-- > block->first;) {
        struct op *op = op_at(f, i);
        if (can_watch(op) && touches(op, s->now))
            fine &= watch(f, op, s->used);
        backward_step(f, op, s->now);
    }
    return fine;
}

static bool has_wgmma(const struct flow *f)
{
    for (uint32_t i = 0; i < f->function->op_count; i++)
        if (is_wgmma(op_at(f, i)))
            return true;
    return false;
}

bool ptxm_flight_find(struct flow *f, struct interval *v)
{
    struct allocator *a = &f->module->allocator;
    if (!has_wgmma(f))
        return true;
    struct sets s = {.flight = ptxm_alloc_zero(a, f->words * f->count * sizeof(uint64_t)),
                     .exposed = ptxm_alloc_zero(a, f->words * f->count * sizeof(uint64_t)),
                     .used = ptxm_alloc_zero(a, f->words * sizeof(uint64_t)),
                     .now = ptxm_alloc_zero(a, f->words * sizeof(uint64_t))};
    bool fine = s.flight && s.exposed && s.used && s.now;
    if (fine) {
        for (uint32_t i = 0; i < f->function->op_count; i++)
            if (is_wgmma(op_at(f, i)))
                EACH_FRAGMENT (op_at(f, i), k)
                    set_bit(s.used, op_at(f, i)->operands[k]);
        solve_flight(f, &s);
        solve_exposed(f, &s);
        for (uint32_t b = 0; b < f->count; b++) fine &= mark_block(f, &s, b, v);
    }
    ptxm_free(a, s.flight);
    ptxm_free(a, s.exposed);
    ptxm_free(a, s.used);
    ptxm_free(a, s.now);
    return fine;
}

void ptxm_flight_watch(struct flow *f)
{
    for (uint32_t i = 0; i < f->function->op_count; i++) {
        struct op *op = op_at(f, i);
        if (!op->watch)
            continue;
        op->lane = NULL;
        op->step = ptxm_step_watched;
    }
}

// ---- at run time -------------------------------------------------------------------------------

// A register of the op that is in flight and may not be touched this way; NULL if there is none.
static const struct flight_mark *in_flight(const struct warp *w, const struct op *op,
                                           const struct flight *f)
{
    for (unsigned k = 0; k < (unsigned)op->ndst + op->nsrc; k++) {
        if (op->operands[k] < 0)
            continue;
        const struct flight_mark *m = ptxm_flight_mark(f, op->operands[k]);
        if (m->writer > f->retired || m->reader > f->retired)
            return m;
    }
    return NULL;
}

static void note_touched(struct warp *w, const struct op *op, struct flight *f)
{
    const struct watch *watch = op->watch;
    for (unsigned k = 0; k < (unsigned)op->ndst + op->nsrc && k < 64; k++) {
        if (!(watch->used >> k & 1))
            continue;
        struct flight_mark *m = ptxm_flight_mark(f, op->operands[k]);
        // A compiler's copy of a fragment is no access: ptxas gives both the same register.
        if (watch->copies && !w->cta->grid->options.strict) {
            if (k == 0 && watch->used & 2)
                m->dirty = ptxm_flight_mark(f, op->operands[1])->dirty;
            if (k == 1 || watch->used & 2)
                continue;
        }
        m->dirty = f->fences;
        m->toucher = (uint32_t)(op - w->cta->grid->module->ops);
    }
}

static enum step_result run_watched(struct warp *w, const struct op *op, uint32_t mask)
{
    if (op->watch->step)
        return op->watch->step(w, op, mask);
    if (mask == UINT32_MAX)
        op->watch->lane(ptxm_dst(w, op, 0), ptxm_src(w, op, 0), ptxm_src(w, op, 1),
                        ptxm_src(w, op, 2), op->immediate);
    else
        ptxm_warp_lane_masked(w, op, op->watch->lane, mask);
    return STEP_NEXT;
}

enum step_result ptxm_step_watched(struct warp *w, const struct op *op, uint32_t mask)
{
    struct flight *f = w->flight;
    if (!f)
        return run_watched(w, op, mask);
    if (f->retired < f->issued) {
        const struct flight_mark *m = in_flight(w, op, f);
        bool written = m && op->ndst && m == ptxm_flight_mark(f, op->operands[0]);
        if (m && op->watch->copies && !written && !w->cta->grid->options.strict) {
            enum step_result result = ptxm_wgmma_settle(w, m->writer);
            if (result != STEP_NEXT)
                return result;
        } else if (m) {
            uint32_t newest = m->writer > m->reader ? m->writer : m->reader;
            ptxm_wgmma_finding(w, op, (unsigned)__builtin_ctz(mask), RULE_WGMMA_IN_FLIGHT,
                               ptxm_wgmma_op(w, newest));
        }
    }
    note_touched(w, op, f);
    return run_watched(w, op, mask);
}
