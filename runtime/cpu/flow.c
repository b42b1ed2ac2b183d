// SPDX-License-Identifier: MIT
// Control flow of a function: block leaders, reconvergence order, and places for registers.
//
// The order is a reverse postorder of the control-flow graph in which, of two successors, the one
// further down the text comes later; a warp whose lanes disagree runs the part with the smallest
// order first, so that the parts meet again where the paths join. Correctness never hangs on it.
// Registers get places by liveness: kernels in SSA form have thousands, few live at once.
#include "flow.h"
#include "steps.h"

#include <stdlib.h>
#include <string.h>

// Bytes of one set of registers by blocks: a text that needs more is not meant to be run.
enum { MOST_LIVENESS = 256 << 20 };

static bool ends_block(const struct op *op)
{
    return op->step == ptxm_step_branch || op->step == ptxm_step_branch_indexed ||
           op->step == ptxm_step_exit || op->step == ptxm_step_ret || op->step == ptxm_step_trap ||
           op->step == ptxm_step_call;
}

static bool falls_through(const struct op *op)
{
    if (op->step == ptxm_step_call)
        return true;
    return !ends_block(op) || op->guard != OPERAND_NONE;
}

static void mark_leaders(struct flow *f)
{
    uint32_t n = f->function->op_count, base = f->function->first_op;
    op_at(f, 0)->leader = 1;
    for (uint32_t i = 0; i < n; i++) {
        struct op *op = op_at(f, i);
        if (op->step == ptxm_step_branch)
            op_at(f, op->target - base)->leader = 1;
        if (op->step == ptxm_step_branch_indexed)
            for (uint32_t k = 0; k < op->immediate; k++)
                op_at(f, (uint32_t)op->target_list[k] - base)->leader = 1;
        if (ends_block(op) && i + 1 < n)
            op_at(f, i + 1)->leader = 1;
    }
}

static bool make_blocks(struct flow *f)
{
    uint32_t n = f->function->op_count;
    struct allocator *a = &f->module->allocator;
    for (uint32_t i = 0; i < n; i++) f->count += op_at(f, i)->leader;
    f->blocks = ptxm_alloc_zero(a, f->count * sizeof *f->blocks);
    f->block_of = ptxm_alloc_zero(a, n * sizeof *f->block_of);
    if (!f->blocks || !f->block_of)
        return false;
    uint32_t block = UINT32_MAX;
    for (uint32_t i = 0; i < n; i++) {
        if (op_at(f, i)->leader)
            f->blocks[++block].first = i;
        f->blocks[block].last = i;
        f->block_of[i] = block;
    }
    return true;
}

// The k-th successor of a block, or UINT32_MAX. Later text first: see the top of the file.
uint32_t ptxm_flow_successor(const struct flow *f, uint32_t block, uint32_t k)
{
    struct op *op = op_at(f, f->blocks[block].last);
    uint32_t base = f->function->first_op;
    uint32_t next = falls_through(op) && block + 1 < f->count ? block + 1 : UINT32_MAX;
    if (op->step == ptxm_step_branch) {
        uint32_t target = f->block_of[op->target - base];
        if (next == UINT32_MAX || next == target)
            return k == 0 ? target : UINT32_MAX;
        uint32_t later = target > next ? target : next, earlier = target > next ? next : target;
        return k == 0 ? later : k == 1 ? earlier : UINT32_MAX;
    }
    if (op->step == ptxm_step_branch_indexed) {
        if (k < op->immediate)
            return f->block_of[op->target_list[op->immediate - 1 - k] - base];
        return k == op->immediate ? next : UINT32_MAX;
    }
    return k == 0 ? next : UINT32_MAX;
}

static bool order_blocks(struct flow *f)
{
    struct allocator *a = &f->module->allocator;
    struct { uint32_t block, next; } *stack = ptxm_alloc(a, (f->count + 1) * sizeof *stack);
    uint32_t depth = 0, number = f->count;
    if (!stack)
        return false;
    stack[depth].block = 0;
    stack[depth++].next = 0;
    f->blocks[0].visited = true;
    while (depth) {
        uint32_t to = ptxm_flow_successor(f, stack[depth - 1].block, stack[depth - 1].next++);
        if (to == UINT32_MAX) {
            f->blocks[stack[--depth].block].order = --number;
        } else if (!f->blocks[to].visited) {
            f->blocks[to].visited = true;
            stack[depth].block = to;
            stack[depth++].next = 0;
        }
    }
    ptxm_free(a, stack);
    for (uint32_t i = 0; i < f->function->op_count; i++)
        op_at(f, i)->order = f->blocks[f->block_of[i]].order;
    return true;
}

// ---- liveness -----------------------------------------------------------------------------------

// A guarded definition keeps the old value in some lanes: it is a use as well. So is that of an
// accumulator, which wgmma adds to.
static void uses_and_definitions(struct flow *f, uint32_t block)
{
    uint64_t *use = f->use + block * f->words, *def = f->def + block * f->words;
    for (uint32_t i = f->blocks[block].first; i <= f->blocks[block].last; i++) {
        struct op *op = op_at(f, i);
        bool guarded = op->guard != OPERAND_NONE, adds = op->step == ptxm_step_wgmma;
        if (guarded && !get_bit(def, op->guard))
            set_bit(use, op->guard);
        for (unsigned k = op->ndst; k < op->ndst + (op->lane ? 3u : op->nsrc); k++)
            if (is_register(op->operands[k]) && !get_bit(def, op->operands[k]))
                set_bit(use, op->operands[k]);
        for (unsigned k = 0; k < op->ndst; k++) {
            if ((guarded || adds) && !get_bit(def, op->operands[k]))
                set_bit(use, op->operands[k]);
            else
                set_bit(def, op->operands[k]);
        }
    }
}

static void solve_liveness(struct flow *f)
{
    bool changed = true;
    while (changed) {
        changed = false;
        for (uint32_t block = f->count; block-- > 0;) {
            uint64_t *in = f->live_in + block * f->words;
            for (size_t w = 0; w < f->words; w++) {
                uint64_t out = 0;
                uint32_t to;
                for (uint32_t k = 0; (to = ptxm_flow_successor(f, block, k)) != UINT32_MAX; k++)
                    out |= f->live_in[to * f->words + w];
                uint64_t fresh = f->use[block * f->words + w] |
                                 (out & ~f->def[block * f->words + w]);
                changed |= fresh != in[w];
                in[w] = fresh;
            }
        }
    }
}

static void measure_intervals(struct flow *f, struct interval *v)
{
    for (uint32_t block = 0; block < f->count; block++) {
        struct block *b = &f->blocks[block];
        for (int32_t r = 0; r < (int32_t)f->function->reg_count; r++) {
            if (get_bit(f->live_in + block * f->words, r))
                interval_extend(&v[r], b->first);
            uint32_t to;
            for (uint32_t k = 0; (to = ptxm_flow_successor(f, block, k)) != UINT32_MAX; k++)
                if (get_bit(f->live_in + to * f->words, r))
                    interval_extend(&v[r], b->last);
        }
        for (uint32_t i = b->first; i <= b->last; i++) {
            struct op *op = op_at(f, i);
            if (op->guard != OPERAND_NONE)
                interval_extend(&v[op->guard], i);
            for (unsigned k = 0; k < op->ndst + (op->lane ? 3u : op->nsrc); k++)
                if (is_register(op->operands[k]))
                    interval_extend(&v[op->operands[k]], i);
        }
    }
}

static int by_start(const void *left, const void *right)
{
    const struct interval *a = left, *b = right;
    if (a->from != b->from)
        return a->from < b->from ? -1 : 1;
    return a->reg < b->reg ? -1 : a->reg > b->reg;
}

static unsigned place_bytes(enum type type)
{
    unsigned bits = ptxm_type_bits(type);
    return type == T_PRED ? 4 : bits <= 32 ? LANES * 4 : LANES * bits / 8;
}

// Linear scan with one free list a size. Destinations never share with sources of the same op
// (intervals are closed), so step functions may write while they read.
static bool place(struct flow *f, struct interval *v)
{
    struct function *fn = f->function;
    struct allocator *a = &f->module->allocator;
    size_t n = fn->reg_count;
    int32_t *active = ptxm_alloc(a, (n + 1) * sizeof *active);
    int32_t *idle = ptxm_alloc(a, (n + 1) * sizeof *idle);
    uint32_t *end = ptxm_alloc(a, (n + 1) * sizeof *end);
    size_t active_count = 0, idle_count = 0;
    bool fine = true;
    if (!active || !idle || !end) {
        ptxm_free(a, active);
        ptxm_free(a, idle);
        ptxm_free(a, end);
        return false;
    }
    for (size_t r = 0; r < n; r++) end[v[r].reg] = v[r].to;
    for (size_t i = 0; i < n && v[i].from != UINT32_MAX; i++) {
        struct reg *reg = &fn->regs[v[i].reg];
        unsigned bytes = place_bytes((enum type)reg->type);
        size_t kept = 0;
        for (size_t k = 0; k < active_count; k++) {
            if (end[active[k]] < v[i].from)
                idle[idle_count++] = active[k];
            else
                active[kept++] = active[k];
        }
        active_count = kept;
        size_t found = idle_count;
        for (size_t k = idle_count; k-- > 0;)
            if (place_bytes((enum type)fn->regs[idle[k]].type) == bytes) {
                found = k;
                break;
            }
        if (found < idle_count) {
            reg->slot = fn->regs[idle[found]].slot;
            idle[found] = idle[--idle_count];
        } else {
            reg->slot = (int32_t)f->module->register_bytes;
            f->module->register_bytes += bytes < 16 ? 16 : bytes;
            if (!PTXM_GROW(a, fn->slots, fn->slot_count, fn->slot_capacity)) {
                fine = false;
                break;
            }
            fn->slots[fn->slot_count].at = reg->slot;
            fn->slots[fn->slot_count++].bytes = reg->type == T_PRED ? 0 : bytes / LANES;
        }
        active[active_count++] = v[i].reg;
    }
    ptxm_free(a, active);
    ptxm_free(a, idle);
    ptxm_free(a, end);
    return fine;
}

static int32_t placed(const struct function *fn, int32_t operand)
{
    if (operand < 0)
        return operand;
    return operand >= 0x40000000 ? (operand - 0x40000000) * LANES * 4 : fn->regs[operand].slot;
}

static void rewrite_operands(struct flow *f)
{
    for (uint32_t i = 0; i < f->function->op_count; i++) {
        struct op *op = op_at(f, i);
        if (op->guard != OPERAND_NONE)
            op->guard = placed(f->function, op->guard);
        for (unsigned k = 0; k < op->ndst + (op->lane ? 3u : op->nsrc); k++)
            op->operands[k] = placed(f->function, op->operands[k]);
    }
}

static bool place_registers(struct flow *f)
{
    struct function *fn = f->function;
    struct allocator *a = &f->module->allocator;
    f->words = (fn->reg_count + 63) / 64;
    size_t bytes = f->words * f->count * sizeof(uint64_t);
    if (bytes > MOST_LIVENESS)
        return !(fn->too_large = true);
    struct interval *v = ptxm_alloc(a, (fn->reg_count + 1) * sizeof *v);
    f->use = ptxm_alloc_zero(a, bytes);
    f->def = ptxm_alloc_zero(a, bytes);
    f->live_in = ptxm_alloc_zero(a, bytes);
    bool fine = v && f->use && f->def && f->live_in;
    if (fine) {
        for (uint32_t b = 0; b < f->count; b++) uses_and_definitions(f, b);
        solve_liveness(f);
        for (size_t r = 0; r < fn->reg_count; r++)
            v[r] = (struct interval){UINT32_MAX, 0, (int32_t)r};
        measure_intervals(f, v);
        fine = ptxm_flight_find(f, v);
        qsort(v, fn->reg_count, sizeof *v, by_start);
        fine = fine && place(f, v);
    }
    if (fine) {
        rewrite_operands(f);
        ptxm_flight_watch(f);
    }
    ptxm_free(a, v);
    ptxm_free(a, f->use);
    ptxm_free(a, f->def);
    ptxm_free(a, f->live_in);
    return fine;
}

bool ptxm_flow_finish(struct ptxm_module *module, struct function *function)
{
    struct flow f = {.module = module, .function = function};
    if (!function->op_count)
        return true;
    mark_leaders(&f);
    bool fine = make_blocks(&f) && order_blocks(&f) && place_registers(&f);
    ptxm_free(&module->allocator, f.blocks);
    ptxm_free(&module->allocator, f.block_of);
    return fine;
}
