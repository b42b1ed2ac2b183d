// SPDX-License-Identifier: MIT
// The shadow of memory (who touched each byte last) and the clocks that say what orders what.
// See shadow.c, clock.c and grid_shadow.c. All calls are no-ops when the CTA has no shadow.
#ifndef PTXM_SHADOW_H
#define PTXM_SHADOW_H

#include "machine.h"

// ---- clocks ------------------------------------------------------------------------------------

// What a thread knows to have happened, CTA by CTA: of `cta` all accesses of generations before
// `generation`, and in that generation those of thread u whose clock is below clocks->v[u].
struct clocks {
    atomic_uint references;
    uint32_t count, v[];
};
struct known {
    uint32_t cta, generation;
    struct clocks *clocks; // NULL: none in that generation
};
struct knowledge {
    atomic_uint references;
    uint32_t count;
    struct known of[]; // by cta, ascending
};

struct thread_clock {
    struct knowledge *know;     // beyond the CTA's common base; NULL: nothing
    struct knowledge *pending;  // read by relaxed operations, waits for a fence
    struct knowledge *at_fence; // what was known at the last fence
    uint32_t fence_generation, fence_clock;
    enum scope fence_scope, pending_scope;
    bool fenced;
    // cp.async: groups complete at the start of this generation, and later waits of it
    uint32_t groups_before, groups_now;
    struct { uint32_t groups, clock; } *waits; // both ascending
    size_t wait_count, wait_capacity;
    // The two-clock rule: A per space (shared, global), the part of G that the async proxy sees.
    // Equal to G for everything that only the generic proxy touches.
    struct knowledge *proxy[2];
};

// From (generation, clock) on, this thread (or all: thread == UINT32_MAX) knows `know` of others.
struct know_log {
    uint32_t thread, generation, clock;
    struct knowledge *know;
};

void ptxm_knowledge_free(struct allocator *a, struct knowledge *k);
struct knowledge *ptxm_knowledge_hold(struct knowledge *k);
const struct known *ptxm_knowledge_of(const struct knowledge *k, uint32_t cta);
bool ptxm_knows(const struct knowledge *k, uint32_t cta, uint32_t generation, uint32_t thread,
                uint32_t clock);

void ptxm_clock_fence(struct warp *w, uint32_t mask, enum scope scope);
void ptxm_clock_warp_sync(struct warp *w, uint32_t mask);
// A strong access to a word: called under the grid's lock, after the value has been read or
// written. read and write say what it did; rmw: both, in one.
void ptxm_clock_strong(struct warp *w, const struct op *op, unsigned lane,
                       const struct place *place, bool read, bool write);
void ptxm_clock_arrive(struct cta *cta, struct warp *w, struct barrier *b, uint32_t mask);
// The generation of a barrier is over. whole: all threads of the CTA synchronized.
void ptxm_clock_barrier(struct cta *cta, struct barrier *b, bool whole);
void ptxm_clock_wait_groups(struct warp *w, unsigned lane);

struct sync_table *ptxm_sync_create(struct allocator *allocator);
void ptxm_sync_free(struct sync_table *table);

// ---- cells -------------------------------------------------------------------------------------

// The last plain write of four bytes (or of one, in a split cell).
struct stamp {
    uint32_t generation; // 0: never
    uint32_t clock, op;
    uint32_t value;      // what was written; the group for an asynchronous write
    // Strong accesses are numbered as they happen. A strong read has observed those before it, and
    // so has every access that is ordered after the read: PTX's observation order.
    uint32_t sequence, observed;
    uint16_t thread, epoch;
    uint8_t kind, strong; // strong: its scope, or SCOPE_NONE for a weak access
};
// Reads and atomics since then: lanes of one warp at one clock; next is an index into a pool.
struct reader {
    uint32_t generation, clock, op, group, lanes, next, sequence, observed;
    uint16_t epoch;
    uint8_t warp, kind, strong;
    bool observes;
};
struct cell {
    struct stamp write;
    struct reader reader;
    uint32_t observed; // by readers of earlier generations
    uint32_t split;    // index of four cells, a byte each; 0: not split
};
enum { PAGE_CELLS = 256, PAGE_BYTES = PAGE_CELLS * 4, PAGE_BUCKETS = 1024 };
struct page {
    uint64_t number; // address / PAGE_BYTES
    struct page *next, *all;
    struct cell cells[PAGE_CELLS];
};
// What a global cell forgets, kept for the check across CTAs.
struct spilled {
    uint64_t address;
    uint8_t bytes;
    struct stamp stamp;
};

struct shadow {
    struct allocator *allocator;
    uint32_t generation, thread_count;
    uint16_t epoch; // of what the CTA knows about others, or has told them
    bool fine;      // some thread knows more than the barriers tell
    struct knowledge *base;
    struct thread_clock *threads;
    struct know_log *log;
    size_t log_count, log_capacity;
    struct cell *shared;
    uint32_t shared_cells;
    struct page *buckets[PAGE_BUCKETS], *pages, *last_page;
    struct cell *split;
    size_t split_count, split_capacity;
    struct reader *readers[2]; // of shared cells (emptied at every CTA barrier), of global cells
    size_t reader_count[2], reader_capacity[2];
    struct spilled *spills;
    size_t spill_count, spill_capacity;
    struct sync_table *sync; // of shared memory
};

// ---- shadow ------------------------------------------------------------------------------------

bool ptxm_shadow_create(struct cta *cta);
void ptxm_shadow_free(struct cta *cta);
// One lane's access to resolved memory. value: what a plain write writes, else NULL.
void ptxm_shadow_access(struct warp *w, const struct op *op, unsigned lane,
                        const struct place *place, uint32_t size, enum access_kind kind,
                        const void *value);
// In the order of CTA indices, under the grid's lock: checks against all earlier CTAs.
void ptxm_shadow_commit(struct cta *cta);
struct grid_shadow *ptxm_grid_shadow_create(struct allocator *allocator);
void ptxm_grid_shadow_free(struct grid_shadow *shadow);

#endif
