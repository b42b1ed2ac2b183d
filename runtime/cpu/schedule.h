// SPDX-License-Identifier: MIT
// Orders by seed: which CTA starts next, which warp has its turn and for how long.
//
// Without a seed all goes in the order of numbers, with long turns. A seed chooses an adversary:
// one that shuffles, one that changes the warp every few instructions, one that starves a warp, one
// that lets each warp run until it has to wait. Every warp gets a turn in every round and every CTA
// starts, so what ends under one order ends under all, unless it waits for what nobody promises.
#ifndef PTXM_SCHEDULE_H
#define PTXM_SCHEDULE_H

#include "machine.h"

enum adversary { ADVERSARY_SHUFFLE, ADVERSARY_HASTE, ADVERSARY_STARVE, ADVERSARY_PATIENCE };
enum { SCHEDULE_WINDOW = 128, QUANTUM_IN_ORDER = 3000 };

static inline uint64_t ptxm_schedule_hash(uint64_t seed, uint64_t salt)
{
    uint64_t state = seed * 0xd1342543de82ef95 + salt;
    return ptxm_random(&state);
}

// A step that visits all of `count` numbers.
static inline uint64_t ptxm_schedule_stride(uint64_t random, uint64_t count)
{
    for (uint64_t stride = count > 1 ? 1 + random % (count - 1) : 1;; stride++) {
        uint64_t a = stride, b = count;
        while (b) {
            uint64_t rest = a % b;
            a = b;
            b = rest;
        }
        if (a == 1)
            return stride;
    }
}

// The number-th of `count` CTAs to start. They are shuffled a window at a time: one that has ended
// is kept until all before it have, and so these stay few.
static inline uint64_t ptxm_schedule_cta(uint64_t seed, uint64_t number, uint64_t count)
{
    if (!seed)
        return number;
    uint64_t window = number / SCHEDULE_WINDOW, first = window * SCHEDULE_WINDOW;
    uint64_t size = count - first < SCHEDULE_WINDOW ? count - first : SCHEDULE_WINDOW;
    uint64_t start = ptxm_schedule_hash(seed, 2 * window + 2);
    uint64_t stride = ptxm_schedule_stride(ptxm_schedule_hash(seed, 2 * window + 3), size);
    return first + (start % size + (number - first) * stride) % size;
}

// A round of turns: the i-th is that of warp (start + i * stride) % warp_count.
struct round_order {
    uint32_t start, stride;
};

static inline struct round_order ptxm_schedule_round(struct cta *cta)
{
    if (!cta->grid->options.seed)
        return (struct round_order){0, 1};
    uint32_t start = (uint32_t)(ptxm_random(&cta->random) % cta->warp_count);
    return (struct round_order){
        start, (uint32_t)ptxm_schedule_stride(ptxm_random(&cta->random), cta->warp_count)};
}

// How many instructions the turn of a warp may take.
static inline uint64_t ptxm_schedule_quantum(struct cta *cta, uint32_t warp)
{
    uint64_t seed = cta->grid->options.seed;
    if (!seed)
        return QUANTUM_IN_ORDER;
    uint64_t random = ptxm_random(&cta->random);
    switch (ptxm_schedule_hash(seed, 0) % 4) {
    case ADVERSARY_HASTE:
        return 1 + random % 8;
    case ADVERSARY_STARVE:
        return warp == ptxm_schedule_hash(seed, 1) % cta->warp_count ? 1 : 1 + random % 600;
    case ADVERSARY_PATIENCE:
        return 100000;
    default:
        return 1 + random % 600;
    }
}

#endif
