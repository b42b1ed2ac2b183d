// SPDX-License-Identifier: MIT
// The engine: asynchronous work between issue and completion. A job reads its sources at one
// moment and writes, counts its bytes or arrives at a later one. When, the launch's completion
// says: at once (eager), when nobody can go on without it (late), or by seed in between.
#ifndef PTXM_ENGINE_H
#define PTXM_ENGINE_H

#include "bulk.h"
#include "mbarrier.h"

enum job_kind {
    JOB_ARRIVAL, // cp.async.mbarrier.arrive
    JOB_COPY,
};

// Bytes from here to there. from == NULL: zeros; to == NULL: read, and nothing else.
struct job_piece {
    const uint8_t *from;
    uint8_t *to, *initialised; // flags of global bytes, or NULL
    uint32_t size;
};

// Chunks of 16 bytes of shared memory that a copy moves next to each other, at most 128 bytes.
struct lines {
    uint32_t count;
    uint64_t at[8];
};

struct engine_job {
    struct engine_job *next;
    enum job_kind kind;
    struct warp *warp; // of the issue
    const struct op *op;
    uint32_t lane;
    uint32_t operation;        // id in the issuing CTA
    struct mbarrier *barrier;  // to count bytes on or to arrive at; NULL: a bulk group
    uint32_t batch;            // JOB_ARRIVAL: copies of the lane below this one
    uint32_t group, bytes;     // JOB_COPY
    bool reduces, has_read;
    enum type type;            // of the elements, if it reduces
    struct job_piece *pieces;
    size_t piece_count, piece_capacity;
    uint8_t *buffer;           // what has been read, or what an st.async writes
    struct lines lines;        // for profiles
};

// Each of these runs the job at once under eager completion. False: out of memory.
bool ptxm_engine_add_arrival(struct warp *w, const struct op *op, unsigned lane,
                             struct mbarrier *barrier);
// A copy, to be filled with pieces and then issued; NULL: out of memory. A job that is not issued
// must be dropped.
struct engine_job *ptxm_engine_copy(struct warp *w, const struct op *op, unsigned lane);
bool ptxm_engine_piece(struct engine_job *job, const struct place *from, const struct place *to,
                       uint64_t from_offset, uint64_t to_offset, uint32_t size);
bool ptxm_engine_issue(struct engine_job *job);
void ptxm_engine_drop(struct engine_job *job);
// Bulk copies of this lane in groups below `groups` are read, or done.
bool ptxm_engine_finish(struct warp *w, unsigned lane, uint32_t groups, bool read_only);
// Completes the oldest job. False: there is none.
bool ptxm_engine_step(struct cluster *cluster);
// Completes some, by seed; called after each turn of a warp.
void ptxm_engine_some(struct cluster *cluster);
void ptxm_engine_free(struct cluster *cluster);

// ---- what bulk and tensor copies share (exec_bulk.c) --------------------------------------------

uint64_t ptxm_bulk_address(const struct warp *w, const struct op *op, unsigned lane,
                           const struct bulk_address *address);
uint32_t ptxm_bulk_word(const struct warp *w, const struct op *op, unsigned lane, int8_t source);
// The same offset in the shared memory of the CTA with that rank.
static inline uint64_t ptxm_bulk_at_rank(uint64_t address, uint32_t rank)
{
    return (address & (((uint64_t)1 << PEER_SHIFT) - 1)) | (uint64_t)(rank + 1) << PEER_SHIFT;
}
bool ptxm_bulk_ranks(struct warp *w, const struct op *op, unsigned lane, uint32_t *ranks);
// The job belongs to the group that its lane fills.
void ptxm_bulk_join_group(struct warp *w, unsigned lane, struct engine_job *job);
// The mbarrier of a copy, which must lie in the CTA that the bytes go to; NULL after a finding.
struct mbarrier *ptxm_bulk_barrier(struct warp *w, const struct op *op, unsigned lane,
                                   enum space space, uint64_t at, const struct place *to);

#endif
