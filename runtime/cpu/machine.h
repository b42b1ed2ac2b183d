// SPDX-License-Identifier: MIT
// The running machine: device memory, a grid, its CTAs, their warps and the fragments of a warp.
//
// A warp whose lanes disagree about where to go is split into fragments, each with a program
// counter and a mask. Fragments that stand at the same instruction merge. Everything a CTA owns is
// touched by one CPU thread at a time; a grid's shared parts are locked.
#ifndef PTXM_MACHINE_H
#define PTXM_MACHINE_H

#include "lanes.h"
#include "machine_modes.h"
#include "module.h"
#include "report.h"
#include "steps.h"

#include <pthread.h>
#include <stdatomic.h>

// ---- device memory ------------------------------------------------------------------------------

// WRITTEN_MAP: last as a tensor map, by an instruction for that.
enum written { NEVER_WRITTEN, WRITTEN, WRITTEN_MAP };

struct allocation {
    uint64_t base, size;
    uint8_t *host;        // NULL once freed
    uint8_t *initialised; // a byte each; nonzero once written: enum written
    char *name;
    bool read_only;
    bool adopted; // host is the caller's
};

struct instance {
    struct ptxm_module *module;
    struct { struct variable *variable; uint64_t address; } *places;
    size_t place_count;
};

struct ptxm_device {
    struct allocator allocator;
    struct allocation *allocations; // by address; freed ones stay
    size_t allocation_count, allocation_capacity;
    struct instance *instances;
    size_t instance_count, instance_capacity;
    struct past_grid *past; // newest first: see grid_past.c
    uint64_t next_address, memory_used, memory_limit;
};
struct allocation *ptxm_device_find(const struct ptxm_device *device, uint64_t address);
enum ptxm_status ptxm_device_instance(struct ptxm_device *device, struct ptxm_module *module,
                                      struct instance **instance);

// ---- warps --------------------------------------------------------------------------------------

enum fragment_state {
    FRAGMENT_READY,
    FRAGMENT_CONVERGE, // at a collective instruction, for other lanes of the warp
    FRAGMENT_BARRIER,  // arrived at a barrier, for its generation to end
    FRAGMENT_WARP_SYNC,
    FRAGMENT_MBARRIER, // in try_wait, for a phase
    FRAGMENT_CLUSTER,  // at barrier.cluster.wait
    FRAGMENT_WARPGROUP, // for the other warps of its warpgroup to issue the same wgmma
};

struct fragment {
    uint32_t pc, mask, depth;
    enum fragment_state state;
    uint32_t wait; // barrier id, or mask of a warp sync
    uint64_t last_run;
    // The mbarrier that the last test_wait or try_wait found incomplete, and what it asked for.
    struct mbarrier *awaits;
    const struct op *asked;
    uint32_t phase; // absolute, or a parity
    bool by_parity, timeout;
};

enum { MAX_BARRIERS = 16, MAX_WARPS = 32 };

struct async_copy {
    uint8_t *to;               // host memory in shared
    uint64_t from, shared;     // device address, shared offset
    uint8_t bytes, valid;      // size of the copy, bytes that are read; the rest is zero
    uint8_t lane;
    bool done;
    uint32_t group, batch;     // of its thread
    const struct op *op;
};

// One call in progress. A function that is called while it runs already gets its local variables
// from the lane's stack; its registers and the parameters in its frame are put aside.
struct activation {
    struct function *callee;
    uint32_t return_pc, locals; // locals: of the caller
    bool again;
};
struct call_stack {
    struct activation *calls; // as many as the depth of the lane
    size_t capacity;
    uint32_t locals;          // local address of the variables of the function that runs
    uint8_t *saved;           // what is put aside
    size_t saved_bytes, saved_capacity;
    uint8_t *memory;          // behind the frames, in the lane's local addresses
    size_t memory_bytes, memory_capacity;
};

struct warp {
    uint8_t *regs;
    const uint8_t *constants;
    struct cta *cta;
    uint32_t index, present, live;
    struct fragment fragments[LANES];
    uint32_t fragment_count;
    struct fragment *current;
    struct call_stack *calls; // by lane, made at the first call
    uint64_t turn, since;      // since: how long the fragment that ran last has run
    struct fragment *previous; // that one
    bool moved, polled;     // in this turn of the CTA
    bool asked;             // in this round, last: for a phase that is not complete
    bool divergent_barrier; // the checker let an aligned barrier go by fragments
    // clocks
    uint32_t clock, full_sync; // see clock.h
    // cp.async
    struct async_copy *copies;
    size_t copy_count, copy_capacity;
    uint32_t group_open[LANES], group_done[LANES]; // group being filled; groups complete
    // Batches: the copies of a lane up to a commit or an arrival that stands for them. The last
    // eight commits tell with which batch a group ended.
    uint32_t batch[LANES], batch_done[LANES], group_batch[LANES][8];
    const struct op *last_copy[LANES]; // and its batch; NULL: none
    uint32_t last_copy_batch[LANES];
    // cp.async.bulk: the group that a lane fills, the first operation that may be of it
    uint32_t bulk_open[LANES], bulk_first[LANES];
    // barrier.cluster: lanes between arrive and wait, the generation they arrived in, lanes that
    // have ever waited
    uint32_t cluster_arrived, cluster_ticket[LANES], cluster_waited;
    struct flight *flight; // wgmma.h; NULL until the first
    // phases.c: its agent (plus one) passes a ticket each time that all lanes meet behind a wait
    // for an mbarrier; whether there was one since; those that only some lanes waited for.
    uint32_t meeting_agent, meetings;
    bool watches;
    struct mbarrier *partly[8];
    uint32_t partly_count;
};

struct barrier {
    bool active;
    uint32_t expected;  // threads; 0: all of the CTA
    uint32_t arrived;   // threads, by whole warps
    uint32_t lanes[MAX_WARPS];   // arrived lanes of this generation
    uint32_t waiting[MAX_WARPS]; // those of them that wait
    bool has_arrive_only;
    uint32_t popc;
    bool all, any;
    enum barrier_mode mode;
    const struct op *first_op;
    uint32_t first_thread;
    uint64_t generation;
    uint32_t clocks[MAX_WARPS]; // of each warp's arrival, plus one
    struct knowledge *know;     // of those who arrived, when they did
};

// CTAs that run together and see each other's shared memory; without clusters each is one of its
// own. The barrier is the one of barrier.cluster.
enum { MAX_CLUSTER = 16 };
struct cluster {
    struct grid *grid;
    struct cta *ctas[MAX_CLUSTER]; // by rank
    uint32_t count, index, id[3];
    struct cluster *next; // in the queue of the parked
    uint64_t epoch, quiet_turns;
    // Rounds in a row in which nothing happened but waiting; try_waits that ran into their limit.
    uint64_t idle_rounds, random;
    bool aborted;
    struct engine_job *first_job, *last_job; // asynchronous work, in order of issue
    struct cluster_barrier {
        uint32_t generation, arrived; // threads that have arrived
        struct knowledge *released, *done; // of this generation, of the one before
    } barrier;
};

enum cta_state { CTA_RUNNING, CTA_DONE, CTA_YIELD };

struct cta {
    struct grid *grid;
    struct cluster *cluster;
    uint32_t index, id[3], rank; // rank: in the cluster
    uint32_t thread_count, warp_count, live_threads;
    struct warp *warps;
    uint8_t *registers;
    uint8_t *shared;
    uint32_t shared_size; // from address 0, SHARED_START included
    uint8_t *frames;      // local memory, thread after thread
    struct barrier barriers[MAX_BARRIERS];
    struct shadow *shadow;  // NULL when checks are off
    struct findings findings;
    struct ptxm_counters counters;
    struct profile *profile; // NULL: not asked for
    uint64_t random;
    uint64_t polls, steps;
    // Whether this turn (from ptxm_cta_run to its return) changed memory, ended a thread, read a
    // clock or ran a warp that does not poll; turns in a row in which nothing of that happened in
    // the whole grid (see workers.c).
    bool changed;
    bool stirred; // in this round: an mbarrier, memory or a thread's life changed
    struct poll {
        const struct op *op; // the last strong read of global memory, or NULL
        uint32_t thread, size;
        uint64_t address;
    } poll;
    bool progress, exited_early_reported;
    uint32_t next_warp;
    struct allocation *last_allocation;
    struct warpgroup *warpgroups; // wgmma.h; NULL until the first wgmma
    bool aborted;
    struct mbarrier_table *mbarriers; // made at the first init
    // Generations of the cluster's barrier that a thread has waited for; the CTA's own generation
    // when one did last.
    uint32_t cluster_waits, cluster_generation;
    struct knowledge *known_at_exit; // of the threads that have exited
    struct visit {                   // the last access of each warp of each peer
        const struct op *op;
        uint32_t thread, generation, clock, cluster_generation;
    } *visits;
};

// ---- grid ---------------------------------------------------------------------------------------

struct grid {
    struct ptxm_device *device;
    struct ptxm_module *module;
    struct function *kernel;
    struct ptxm_launch_options options;
    struct allocator *allocator, watch; // the device's, watched: see launch.c
    uint8_t *constants;
    const uint8_t *params;
    size_t param_bytes;
    uint32_t dims[3], block[3];
    uint32_t dynamic_shared, shared_size;
    uint32_t cluster_dims[3];
    bool explicit_cluster;
    uint64_t stream;
    bool programmatic;   // launches before it in its stream may still run
    atomic_bool waited;  // some thread has waited for the one before it
    uint64_t cta_count, cluster_count;
    size_t frame_bytes;
    _Atomic uint8_t *validated; // by op: weak reads of words that their thread then swapped
    uint64_t workspace; // of cooperative launches, 0: none
    pthread_mutex_t lock; // queue, findings, grid shadow, sync objects
    pthread_cond_t wake;
    uint64_t next_cluster, finished, next_commit, parked_count;
    uint64_t epoch, quiet_turns, stuck; // since the last change; clusters that poll ever since
    bool endless_wait;
    struct cluster *parked, *parked_last;
    struct cta **uncommitted; // finished CTAs that wait for an earlier one: a ring, by index
    uint64_t uncommitted_capacity;
    uint32_t running;
    atomic_bool abort, out_of_memory;
    _Atomic uint64_t steps;
    _Atomic uint32_t sequence; // of strong accesses
    struct findings findings;
    struct ptxm_counters counters;
    struct grid_shadow *shadow; // global memory across CTAs
    struct profile *profile;    // of the CTAs that are gone; NULL: not asked for
    struct sync_table *sync;    // release clocks of memory words
};

// What the launches before this one in its stream have touched: forgotten where they have ended,
// and kept of this one if a later launch may ask. See grid_past.c.
void ptxm_past_begin(struct grid *grid);
bool ptxm_past_end(struct grid *grid); // false: no memory
void ptxm_past_forget(struct ptxm_device *device, const struct ptxm_module *module); // NULL: all

// Runs all clusters, on the calling thread and as many others as the options say.
void ptxm_grid_run(struct grid *grid);
struct cluster *ptxm_cluster_create(struct grid *grid, uint64_t index);
void ptxm_cluster_free(struct cluster *cluster); // and its CTAs
enum cta_state ptxm_cluster_run(struct cluster *cluster);
struct cta *ptxm_cta_create(struct cluster *cluster, uint32_t rank);
void ptxm_cta_free(struct cta *cta);
void ptxm_cta_report_deadlock(struct cta *cta);
void ptxm_cluster_lanes_exit(struct cta *cta, struct warp *warp, uint32_t mask);
const char *ptxm_cta_object(struct cta *cta, enum space space, uint64_t address, uint64_t *offset);
void ptxm_cta_lanes_exit(struct cta *cta, struct warp *warp, uint32_t mask);
void ptxm_barrier_check(struct cta *cta, uint32_t id);
bool ptxm_barrier_force(struct cta *cta);
// True if the warp did something.
bool ptxm_warp_run(struct warp *warp, uint64_t quantum);
void ptxm_warp_init(struct warp *warp);
// A lane function of this op for some lanes only.
void ptxm_warp_lane_masked(struct warp *warp, const struct op *op, lane_fn *lane, uint32_t mask);
void ptxm_wgmma_some(struct warp *warp);    // some products that can run do, by seed
void ptxm_wgmma_at_exit(struct warp *warp); // the last lanes of the warp are gone
void ptxm_cta_out_of_memory(struct cta *cta);
// The CTA polls for what nobody writes any more.
void ptxm_cta_report_endless_wait(struct cta *cta);

static inline uint64_t ptxm_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

// ---- operands -----------------------------------------------------------------------------------

static inline void *ptxm_operand(const struct warp *w, int32_t offset)
{
    return offset >= 0 ? w->regs + offset : (uint8_t *)(uintptr_t)w->constants + (-1 - offset);
}
static inline void *ptxm_dst(const struct warp *w, const struct op *op, unsigned k)
{
    return ptxm_operand(w, op->operands[k]);
}
static inline const void *ptxm_src(const struct warp *w, const struct op *op, unsigned k)
{
    return ptxm_operand(w, op->operands[op->ndst + k]);
}
static inline uint32_t ptxm_thread(const struct warp *w, unsigned lane)
{
    return w->index * LANES + lane;
}
#define FOR_LANES(lane, mask)                                                                      \
    for (uint32_t lane##_rest = (mask), lane = 0;                                                  \
         lane##_rest && ((lane = (uint32_t)__builtin_ctz(lane##_rest)), true);                     \
         lane##_rest &= lane##_rest - 1)

// Where a variable of a function is in local memory, while the function runs once.
static inline uint64_t ptxm_frame_offset(const struct variable *v)
{
    const struct function *f = v->owner;
    return f->frame_base + v->offset + (v->space == SPACE_LOCAL ? f->frame_params : 0);
}
// A fragment of its own for `mask`, at pc.
void ptxm_split(struct warp *w, uint32_t mask, uint32_t pc);
void ptxm_calls_free(struct warp *w);
// Collective instructions: STEP_NEXT when every lane of `need` is here, else the fragment waits.
enum step_result ptxm_converge(struct warp *w, uint32_t mask, uint32_t need);

// ---- memory -------------------------------------------------------------------------------------

enum access_kind {
    ACCESS_READ,
    ACCESS_WRITE,
    ACCESS_ATOMIC,
    ACCESS_COPY_READ, // cp.async: the generic proxy, from issue to the wait of its thread
    ACCESS_COPY_WRITE,
    ACCESS_ASYNC_READ, // an operation in the async proxy, from issue to completion
    ACCESS_ASYNC_WRITE,
    ACCESS_ASYNC_REDUCE,
    ACCESS_BARRIER, // the bytes are a live mbarrier
    ACCESS_MAP_READ, // by the tensormap proxy
};
static inline bool ptxm_is_async(enum access_kind kind)
{
    return kind >= ACCESS_ASYNC_READ && kind <= ACCESS_ASYNC_REDUCE;
}

// Where one lane's access lands, after bounds and alignment are checked.
struct place {
    uint8_t *host; // NULL: refused, a finding was made
    enum space space;
    uint64_t address; // in the space; for global the device address
    struct allocation *allocation;
    struct cta *owner; // of shared memory, if it is not the CTA's own
};
struct place ptxm_resolve(struct warp *w, const struct op *op, unsigned lane, enum space space,
                          uint64_t address, uint32_t size, uint32_t align, enum access_kind kind);
// A lane touches a peer's shared memory: false, after a finding, if it is gone.
bool ptxm_peer_lives(struct warp *w, const struct op *op, unsigned lane, struct cta *peer,
                     const struct place *place, uint32_t size, enum access_kind kind);
// The same, with the frequent cases on the spot.
static inline struct place ptxm_place(struct warp *w, const struct op *op, unsigned lane,
                                      enum space space, uint64_t address, uint32_t size,
                                      uint32_t align, enum access_kind kind)
{
    const struct cta *cta = w->cta;
    struct allocation *a = cta->last_allocation;
    if (!(address & (align - 1))) {
        if (space == SPACE_SHARED && address >= SHARED_START && address < cta->shared_size &&
            size <= cta->shared_size - address)
            return (struct place){cta->shared + address, SPACE_SHARED, address, NULL, NULL};
        if ((space == SPACE_GLOBAL || (space == SPACE_GENERIC && address < WINDOW_SHARED)) && a &&
            !a->read_only && address - a->base < a->size && size <= a->size - (address - a->base))
            return (struct place){a->host + (address - a->base), SPACE_GLOBAL, address, a,
                                  NULL};
    }
    return ptxm_resolve(w, op, lane, space, address, size, align, kind);
}
// A strong read of global memory, or an atomic that left the word as it was.
static inline void ptxm_note_poll(struct warp *w, const struct op *op, unsigned lane,
                                  const struct place *p, uint32_t size)
{
    w->polled = true;
    w->cta->poll = (struct poll){op, ptxm_thread(w, lane), size, p->address};
}
// The address of one lane: the last source and the displacement.
static inline uint64_t ptxm_address(const struct warp *w, const struct op *op, unsigned lane)
{
    const void *registers = ptxm_src(w, op, op->nsrc - 1u);
    uint64_t address = op->type2 == 8 ? ((const uint64_t *)registers)[lane]
                                      : ((const uint32_t *)registers)[lane];
    return address + (uint64_t)op->displacement;
}
void ptxm_finding(struct warp *w, const struct op *op, unsigned lane, enum rule rule,
                  const struct place *place, uint32_t size, enum access_kind kind,
                  const char *format, ...) __attribute__((format(printf, 8, 9)));
void ptxm_describe(struct cta *cta, struct ptxm_place *out, const struct op *op, uint32_t thread,
                   enum space space, uint64_t address, uint32_t size, enum access_kind kind);
// The same of an access that a cell has kept: `bytes` of the four from `address` on, a bit each.
// What it touched in all follows from its op.
void ptxm_describe_stamp(struct cta *cta, struct ptxm_place *out, const struct op *op,
                         uint32_t thread, enum space space, uint64_t address, unsigned bytes,
                         enum access_kind kind);
// old op b (c: what cas writes), of the type.
uint64_t ptxm_atomic_apply(enum atomic_op mode, enum type type, uint64_t old, uint64_t b,
                           uint64_t c);
void ptxm_async_complete(struct warp *w, unsigned lane, uint32_t groups); // all below `groups`
void ptxm_async_some(struct warp *w);
void ptxm_async_land_batch(struct warp *w, unsigned lane, uint32_t batches); // all below
void ptxm_async_at_exit(struct warp *w, uint32_t mask);

#endif
