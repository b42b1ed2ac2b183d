// SPDX-License-Identifier: MIT
// Asynchronous products of a warpgroup, between issue and completion.
//
// The four warps of a warpgroup come to a wgmma one after the other; when the last is there the
// product may run, and it has run when the first of them waits for its group. A product is a record
// in the order of issue; its number, plus one, is what registers are marked with.
#ifndef PTXM_WGMMA_H
#define PTXM_WGMMA_H

#include "machine.h"

enum { WARPGROUP_WARPS = 4 };

// Of 16 bytes of a warp's register file.
struct flight_mark {
    uint32_t writer, reader; // newest wgmma that has it as accumulator, as A: number + 1
    uint32_t fenced;         // fences executed when that writer was issued
    uint32_t dirty;          // fences executed when it was last touched without one behind
    uint32_t toucher;        // the op that did
};

// A warp's side.
struct flight {
    uint32_t fences;          // wgmma.fence executed
    uint32_t issued, retired; // products: issued, and known to be complete
    uint32_t groups;          // committed
    uint32_t committed;       // products in them
    uint32_t registers;       // what setmaxnreg said last, 0: nothing yet
    uint32_t changes;         // by setmaxnreg
    uint32_t meetings[WARPGROUP_WARPS]; // of the warps of its group: what it has learned
    struct flight_mark marks[];
};

struct wgmma_record {
    const struct op *op;
    uint64_t a, b;            // descriptors
    uint32_t group;           // of the warps that issued it
    uint8_t arrived, retired; // warps, a bit each
    uint32_t meetings[WARPGROUP_WARPS]; // of each warp's lanes, when it came to this (phases.c)
    bool adds;                // scale-d
};

struct wgmma_scratch {
    uint8_t raw[256 * 32] __attribute__((aligned(16)));
    float flat[256 * 32], b[256 * 32], a[64 * 32];
    float d[128][LANES];
    float *registers[128];
    int offsets[MATRIX_MOST_K];
};

enum { RECENT_CHANGES = 8 };

struct warpgroup {
    struct wgmma_record *records; // not yet retired by all warps
    size_t count, capacity;
    uint32_t first, done; // number of records[0]; of the first that has not run
    const struct op *changed[RECENT_CHANGES]; // setmaxnreg, by number
    uint32_t changes;
    uint32_t agent;       // passes a ticket for each group whose products have run
    bool watched;         // the agent exists
    struct wgmma_scratch *scratch;
};

static inline struct flight_mark *ptxm_flight_mark(const struct flight *f, int32_t slot)
{
    return (struct flight_mark *)(uintptr_t)&f->marks[slot / 16];
}

// exec_wgmma.c
void ptxm_wgmma_free(struct cta *cta);
// The products up to this mark run now, if all warps have come to them; else the warp waits.
enum step_result ptxm_wgmma_settle(struct warp *w, uint32_t mark);
const struct op *ptxm_wgmma_op(struct warp *w, uint32_t mark);
void ptxm_wgmma_finding(struct warp *w, const struct op *op, unsigned lane, enum rule rule,
                        const struct op *other);

// wgmma_operand.c
// Says what is wrong with the descriptors and the bytes that they name.
void ptxm_wgmma_check(struct warp *w, const struct wgmma_record *record);
// Counts the operands, for launches that profile.
void ptxm_wgmma_profile(struct warp *w, const struct wgmma_record *record);
// Shows the shadow what this warp's part reads: its 16 rows of A, all of B.
void ptxm_wgmma_read(struct warp *w, const struct wgmma_record *record, uint32_t operation);
// Reads the operands, multiplies, and writes the accumulators of all four warps.
void ptxm_wgmma_compute(struct cta *cta, uint32_t warpgroup, struct wgmma_scratch *scratch,
                        const struct wgmma_record *record);
// exec_mma.c
void ptxm_fragment_offsets(int *offset, unsigned k, unsigned parts, unsigned registers_a_step);

#endif
