// SPDX-License-Identifier: MIT
// The engine: asynchronous work between issue and completion. A job reads its sources at one
// moment and writes, counts its bytes or arrives at a later one; when, the launch's completion says:
// at once (eager), when nobody can go on without it (late), or by seed in between.
#ifndef PTXM_ENGINE_H
#define PTXM_ENGINE_H

#include "mbarrier.h"

enum job_kind {
    JOB_ARRIVAL, // cp.async.mbarrier.arrive
    JOB_COPY,
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
};

// Each of these runs the job at once under eager completion. False: out of memory.
bool ptxm_engine_add_arrival(struct warp *w, const struct op *op, unsigned lane,
                             struct mbarrier *barrier);
// Completes the oldest job. False: there is none.
bool ptxm_engine_step(struct cluster *cluster);
// Completes some, by seed; called after each turn of a warp.
void ptxm_engine_some(struct cluster *cluster);
void ptxm_engine_free(struct cluster *cluster);

#endif
