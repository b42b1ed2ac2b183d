// SPDX-License-Identifier: MIT
// What flow.c and flight.c share: the blocks of a function and the places of its registers.
#ifndef PTXM_FLOW_H
#define PTXM_FLOW_H

#include "module.h"

struct block {
    uint32_t first, last; // ops, inclusive
    uint32_t order;
    bool visited;
};

struct flow {
    struct ptxm_module *module;
    struct function *function;
    struct block *blocks;
    uint32_t count;
    uint32_t *block_of; // op relative to the function: its block
    uint64_t *live_in, *use, *def;
    size_t words; // of a set of registers, a bit each
};

// One interval a register: first to last op (in text order) where it may be live.
struct interval {
    uint32_t from, to;
    int32_t reg;
};

static inline struct op *op_at(const struct flow *f, uint32_t relative)
{
    return &f->module->ops[f->function->first_op + relative];
}

static inline bool is_register(int32_t operand)
{
    return operand >= 0 && operand < 0x40000000;
}

static inline void set_bit(uint64_t *bits, int32_t index)
{
    bits[index / 64] |= (uint64_t)1 << (index % 64);
}

static inline bool get_bit(const uint64_t *bits, int32_t index)
{
    return bits[index / 64] >> (index % 64) & 1;
}

static inline void interval_extend(struct interval *v, uint32_t at)
{
    v->from = at < v->from ? at : v->from;
    v->to = at > v->to ? at : v->to;
}

// The k-th successor of a block, or UINT32_MAX.
uint32_t ptxm_flow_successor(const struct flow *f, uint32_t block, uint32_t k);
// flight.c: finds the ops that touch registers which a wgmma may still be using, or which one will
// use without a wgmma.fence between; keeps registers in flight from being shared.
bool ptxm_flight_find(struct flow *f, struct interval *intervals);
// Puts the check in front of those ops; after operands have their places.
void ptxm_flight_watch(struct flow *f);

#endif
