// SPDX-License-Identifier: MIT
// Which thread touches which bytes of a slot, compressed to what a conflict needs to know: for each
// granule of bytes nobody, one thread, several threads of one warp, or several warps.
//
// Two accesses of which one writes conflict at a byte between different threads unless both know
// the same single thread there. So one number a granule decides exactly, for all pairs of threads
// at once.
#pragma once
#include "ir/access.h"

enum {
    KG_NOBODY = -1,
    KG_ONE_WARP = 1024,
    KG_MANY = 2048
}; // 0..1023: that thread; 1024 + w: warp w

typedef struct kg_footprint {
    bool exact; // false: any byte of the slot, `spread` says by whom
    int granule_log2;
    int64_t bytes;       // of the slot; granules = bytes >> granule_log2
    int16_t spread;      // the union of all owners
    int64_t first, last; // granules touched lie in [first, last]
    int16_t *owner;
    uint32_t *warps; // by granule: bits of those that touch it
} kg_footprint;

// How far apart the agents of a conflict are.
typedef enum kg_apart { KG_APART_NOT, KG_APART_THREAD, KG_APART_WARP, KG_APART_CTA } kg_apart;

const kg_footprint *kg_footprint_of(kg_arena *arena, const kg_access *access, int64_t slot_bytes);
// The two accesses touch the same bytes of their slot by the same threads, as far as a quick look
// tells.
bool kg_footprint_same(const kg_access *a, const kg_access *b);
// The widest conflict of two footprints that lie at these byte offsets; KG_APART_NOT: no common
// byte. *byte: where (arena byte). KG_APART_THREAD: every common byte belongs to one thread.
kg_apart kg_footprint_conflict(const kg_footprint *a, int64_t a_offset, const kg_footprint *b,
                               int64_t b_offset, int64_t *byte);
// The same where a's bytes are read by products of warpgroups: they belong to each thread of the
// warpgroup, for the wait of one of them is for the products of all four warps.
kg_apart kg_footprint_conflict_by_group(const kg_footprint *a, int64_t a_offset,
                                        const kg_footprint *b, int64_t b_offset, int64_t *byte);
// Calls for the warps that touch a common byte of the two, byte range by byte range, as bits; false
// from the callback ends it. False: the bytes of one of them are not known.
typedef bool (*kg_warps_fn)(uint32_t warps, void *user);
bool kg_footprint_common(const kg_footprint *a, int64_t a_offset, const kg_footprint *b,
                         int64_t b_offset, kg_warps_fn fn, void *user);
// Up to two threads that touch a byte of the slot; returns how many.
int kg_footprint_threads(const kg_access *access, const kg_footprint *footprint, int64_t byte,
                         int threads[2]);
int16_t kg_spread_join(int16_t a, int16_t b);
