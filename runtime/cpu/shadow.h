// SPDX-License-Identifier: MIT
// The shadow of memory (who touched each byte last) and the clocks that say what orders what.
// See shadow.c, clock.c and grid_shadow.c. All calls are no-ops when the CTA has no shadow.
#ifndef PTXM_SHADOW_H
#define PTXM_SHADOW_H

#include "knowledge.h"
#include "machine.h"

// ---- clocks -------------------------------------------------------------------------------------

// An asynchronous operation's reads and its writes end apart.
enum async_part { ASYNC_READS, ASYNC_WRITES, ASYNC_PARTS };

struct thread_clock {
    struct knowledge *know;     // beyond the CTA's common base; NULL: nothing
    struct knowledge *pending;  // read by relaxed operations, waits for a fence
    struct knowledge *at_fence; // what was known at the last fence
    struct knowledge *missed;   // what it would know if scopes had been wide enough
    uint32_t fence_generation, fence_clock;
    enum scope fence_scope, pending_scope;
    bool fenced, sequential;
    // cp.async, in batches (see machine.h): complete at the start of this generation, and later
    // waits of it
    uint32_t groups_before, groups_now;
    struct { uint32_t groups, clock; } *waits; // both ascending
    size_t wait_count, wait_capacity;
    uint32_t bulk_agents[ASYNC_PARTS]; // plus one: bulk groups read, bulk groups done; 0: none yet
    uint32_t copy_agent; // plus one: batches that have arrived at an mbarrier; 0: never
};

// From (generation, clock) on, this thread (or all: thread == UINT32_MAX) knows `know` of others.
struct know_log {
    uint32_t thread, generation, clock;
    struct knowledge *know;
};

// What lanes that know `know` could tell; what lanes learn from such a message.
struct knowledge *ptxm_clock_message(struct warp *w, uint32_t lanes, struct knowledge *know,
                                     uint32_t generation, uint32_t clock);
void ptxm_clock_learn(struct warp *w, uint32_t mask, struct knowledge *what);
// fence.proxy.async; spaces: a bit for each enum proxy_space.
void ptxm_clock_proxy_fence(struct warp *w, uint32_t mask, unsigned spaces);
// The other half of what was released by a fence of PROXY_RELEASED.
void ptxm_clock_proxy_acquire(struct warp *w, uint32_t mask);
void ptxm_clock_fence(struct warp *w, uint32_t mask, enum scope scope);
// clock_fence.c: whether the fence just made is sequentially consistent; all threads meet; what
// such fences let a relaxed write announce.
void ptxm_clock_fence_sc(struct warp *w, uint32_t mask, bool sequential);
void ptxm_clock_fences_meet(struct cta *cta);
struct knowledge *ptxm_clock_fenced(struct warp *w, unsigned lane);
void ptxm_clock_warp_sync(struct warp *w, uint32_t mask);
// A strong access to a word: called under the grid's lock, after the value has been read or
// written. read and write say what it did; rmw: both, in one.
void ptxm_clock_strong(struct warp *w, const struct op *op, unsigned lane,
                       const struct place *place, bool read, bool write);
void ptxm_clock_arrive(struct cta *cta, struct warp *w, struct barrier *b, uint32_t mask);
// The generation of a barrier is over. whole: all threads of the CTA synchronized.
void ptxm_clock_barrier(struct cta *cta, struct barrier *b, bool whole);
void ptxm_clock_wait_groups(struct warp *w, unsigned lane);
// What of k concerns those within this scope of the CTA: a new reference.
struct knowledge *ptxm_clock_within(const struct cta *cta, struct knowledge *k, enum scope scope);
// Whether an access of that thread of `of` is ordered before what the lane does now.
bool ptxm_clock_ordered(const struct warp *w, unsigned lane, const struct cta *of,
                        uint32_t generation, uint32_t thread, uint32_t clock);

struct sync_table *ptxm_sync_create(struct allocator *allocator);
void ptxm_sync_free(struct sync_table *table);

// ---- asynchronous operations --------------------------------------------------------------------

// An asynchronous operation (a bulk copy, a wgmma) reads and writes in the async proxy, at unknown
// moments between its issue and its completion, as a thread of its own.
//   It begins with ptxm_async_begin, which gives it an id in the issuing CTA. What the issuing lane
//     knows then is ordered before it: G for accesses by operations, A for generic ones.
//   It touches memory with ptxm_async_access, once for each range, at issue: it is judged against
//     all accesses before, and stays in the cells until others know that it is over.
//   It ends with ptxm_async_end, for its reads and its writes apart: an agent has passed a ticket.
//     When this is called does not matter (a group: at its commit; a copy that completes on an
//     mbarrier: when its bytes are counted). An operation without an end runs for ever.
//   A lane learns of it with ptxm_agent_learn: it has seen that the agent passed all tickets below
//     `count`. Whoever synchronizes with that lane then knows it, too; no proxy fence is needed.
// The builder of such an instruction sets function->asynchronous: readers are kept longer then.
// An agent is a counter that only grows and that somebody waits for: the phases of an mbarrier, the
// bulk groups of a thread (one agent for their reads, one for all of them), the wgmma groups of a
// warpgroup. It belongs to a CTA: the mbarrier's, the thread's.
enum { NO_AGENT = UINT32_MAX };

struct mbarrier;
struct async_operation {
    const struct op *op;
    struct mbarrier *barrier; // that it counts its bytes on, while its cluster lives; NULL: none
    uint32_t thread, generation, clock; // of the issue
    bool grouped;                       // it belongs to the bulk group that its thread fills
    struct async_end { uint32_t cta, agent, ticket; } end[ASYNC_PARTS];
    // Whose shared memory it touches: a bit for each rank in the cluster.
    uint32_t shared_ctas[ASYNC_PARTS];
};

uint32_t ptxm_agent_create(struct cta *home); // NO_AGENT without a shadow or without memory
uint32_t ptxm_async_begin(struct warp *w, const struct op *op, unsigned lane); // 0: likewise
void ptxm_async_access(struct warp *w, const struct op *op, unsigned lane, uint32_t operation,
                       const struct place *place, uint32_t size, enum access_kind kind);
// The same of shared memory that is read for nothing, as what lies outside of a tensor.
void ptxm_async_discard(struct warp *w, const struct op *op, unsigned lane, uint32_t operation,
                        const struct place *place, uint32_t size);
// The tensormap proxy reads a map; use: an id (see struct map_use).
void ptxm_shadow_map_read(struct warp *w, const struct op *op, unsigned lane, uint32_t use,
                          const struct place *place);
void ptxm_async_end(struct cta *issuer, uint32_t operation, enum async_part part, struct cta *home,
                    uint32_t agent, uint32_t ticket);
// The lane's operation will count its bytes on this mbarrier (NULL: on none).
void ptxm_async_counts_on(struct warp *w, unsigned lane, uint32_t operation,
                          struct mbarrier *barrier);
// The lane does something that others may follow without an order of memory (see phases.c).
void ptxm_clock_sent(struct warp *w, unsigned lane);
void ptxm_agent_learn(struct warp *w, uint32_t mask, struct cta *home, uint32_t agent,
                      uint32_t count);
// Whether the reads of an older operation of this CTA are over when those of a newer one are, which
// somebody issues who knows `know`: they are known to be over, or the same agent tells of both.
bool ptxm_async_outlasts(const struct cta *cta, const struct knowledge *know, uint32_t newer,
                         uint32_t older);
// Whether somebody who knows `know`, in this CTA, knows that the operation's part is over.
bool ptxm_async_over(const struct cta *cta, const struct knowledge *know,
                     const struct async_operation *operation, enum async_part part);

// ---- tensor maps --------------------------------------------------------------------------------

// Tensor copies read their maps in the tensormap proxy. A write of the kernel's is seen by it when
// a release by fence.proxy.tensormap lies behind the write (which travels as the rest of what
// threads know), and an acquire of that very map lies behind the release and before the copy. A use
// knows what the acquires before it knew. See exec_map.c.
struct map_acquire {
    uint64_t address;
    uint32_t warp, lanes, generation, clock;
    struct knowledge *know;
};
struct map_use {
    struct knowledge *know;
};
// A read of the map at this place by this lane: the shadow is asked.
void ptxm_map_use(struct warp *w, const struct op *op, unsigned lane, const struct place *place);
void ptxm_maps_free(struct shadow *shadow);

// ---- cells --------------------------------------------------------------------------------------

// The last plain write of four bytes (or of one, in a split cell).
struct stamp {
    uint32_t generation; // 0: never
    uint32_t clock, op;
    uint32_t value;      // what was written; cp.async: the group; an operation: its id
    // Strong accesses are numbered as they happen. A strong read has observed those before it, and
    // so has every access that is ordered after the read: PTX's observation order.
    uint32_t sequence, observed;
    uint16_t thread, epoch;
    uint8_t kind, strong; // strong: its scope, or SCOPE_NONE for a weak access
    uint8_t rank;         // of its CTA in the cluster
    bool lasting;         // a full barrier of the CTA does not settle it
};
// Reads and atomics since then: lanes of one warp at one clock; next is an index into a pool.
struct reader {
    uint32_t generation, clock, op, group, lanes, next, sequence, observed;
    uint16_t epoch;
    uint8_t warp, kind, strong, rank;
    bool observes;
    bool lasting; // this one or a later one of the list: a full barrier does not settle it
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
    struct cta *cta;
    struct allocator *allocator;
    uint32_t generation, thread_count;
    uint16_t epoch; // of what the CTA knows about others, or has told them
    bool fine;      // some thread knows more than the barriers tell
    struct knowledge *fenced; // by sequentially consistent fences that all threads have met behind
    bool fences;              // there were such fences in this generation
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
    uint32_t free_reader; // of shared cells: the list of those that are free
    bool keeps_readers;   // across CTA barriers: the async proxy, or other CTAs, may come later
    struct async_operation *operations; // from 1 on
    size_t operation_count, operation_capacity;
    uint32_t agent_count;
    // What lay before operations that an mbarrier tells of: no thread learns it.
    struct knowledge *sent;
    struct map_acquire *acquires;
    size_t acquire_count, acquire_capacity;
    struct map_use *uses; // by id, from 1 on
    size_t use_count, use_capacity;
    struct spilled *spills;
    size_t spill_count, spill_capacity;
    struct sync_table *sync; // of shared memory
};

// ---- shadow -------------------------------------------------------------------------------------

bool ptxm_shadow_create(struct cta *cta);
struct page *ptxm_shadow_page(struct cta *cta, uint64_t number); // NULL: no memory
// A compare-and-swap is about to touch a word that its thread may have read: see report.h.
void ptxm_shadow_confirm(struct warp *w, unsigned lane, const struct place *place);
// Reports a read of global memory that neither the host nor a kernel has written.
void ptxm_shadow_initialised(struct warp *w, const struct op *op, unsigned lane,
                             const struct place *place, uint32_t size, enum access_kind kind);
// Of two accesses that race, the op of the weak read that meets an atomic, plus 1; else 0.
uint32_t ptxm_shadow_optimistic(enum access_kind a, uint32_t a_op, enum access_kind b,
                                uint32_t b_op);
bool ptxm_shadow_split(struct cta *cta, struct cell *c);
uint32_t ptxm_reader_new(struct cta *cta, bool global); // a free entry; 0: no memory
void ptxm_readers_forget(struct shadow *shadow, struct cell *c);
void ptxm_readers_prune(struct shadow *shadow, struct cell *c, uint8_t own);
void ptxm_readers_copy(struct cta *cta, struct cell *c);
void ptxm_shadow_free(struct cta *cta);
// Weak reads and writes by the lanes of a warp in memory of the CTA or of the device, `at` bytes
// from `start` each. values: what is written, `pitch` bytes from lane to lane, or NULL.
void ptxm_shadow_lanes(struct warp *w, const struct op *op, uint32_t mask,
                       const struct place *start, const uint32_t *at, uint32_t size,
                       enum access_kind kind, const uint8_t *values, uint32_t pitch);
// One lane's access to resolved memory. value: what a plain write writes, else NULL.
void ptxm_shadow_access(struct warp *w, const struct op *op, unsigned lane,
                        const struct place *place, uint32_t size, enum access_kind kind,
                        const void *value);
// The bytes of an mbarrier are plain memory from now on, last written by who invalidated it.
void ptxm_shadow_plain(struct cta *cta, uint64_t address, uint32_t size);
// In the order of CTA indices, under the grid's lock: checks against all earlier CTAs.
void ptxm_shadow_commit(struct cta *cta);
struct grid_shadow *ptxm_grid_shadow_create(struct allocator *allocator);
void ptxm_grid_shadow_free(struct grid_shadow *shadow);

#endif
