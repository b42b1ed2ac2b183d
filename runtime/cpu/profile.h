// SPDX-License-Identifier: MIT
// Counters of each instruction, made only for launches that ask for a profile.
//
// The interpreter's loop has a second form that looks at each instruction before it runs (a load
// may overwrite the address that it reads) and counts it behind that. Nothing else of the machine
// knows of profiles, so a launch without one pays nothing.
#ifndef PTXM_PROFILE_H
#define PTXM_PROFILE_H

#include "machine.h"

// The lanes of one memory access of a warp. kinds: what is done to the bytes.
struct lane_addresses {
    enum space space; // of all lanes: SPACE_GENERIC is looked up lane by lane
    uint32_t mask, size;
    bool reads, writes;
    uint64_t at[LANES];
};

// What one execution is about to touch: a cp.async has two accesses, all others at most one.
struct sample {
    uint32_t live; // lanes of the warp before it
    unsigned count;
    struct lane_addresses access[2];
};

struct profile *ptxm_profile_create(struct allocator *allocator, const struct ptxm_module *module);
void ptxm_profile_free(struct profile *profile);
// A CTA counts for itself, if at all, and adds to its grid when it is freed (with the grid's lock
// held): sums do not depend on the order of CTAs. False without memory.
bool ptxm_profile_begin(struct cta *cta);
void ptxm_profile_end(struct cta *cta);
// Before the instruction runs for the lanes of `mask`.
void ptxm_profile_look(struct sample *sample, const struct warp *w, const struct op *op,
                       uint32_t mask);
// Behind it. False without memory.
bool ptxm_profile_count(struct warp *w, const struct op *op, uint32_t mask,
                        const struct sample *sample);
// A piece of a bulk or tensor copy: contiguous bytes from here to there (either may be NULL).
// False without memory. When all pieces are there, the job is issued.
struct engine_job;
bool ptxm_profile_piece(struct engine_job *job, const struct place *from, uint64_t from_offset,
                        const struct place *to, uint64_t to_offset, uint32_t size);
void ptxm_profile_issue(struct engine_job *job);
// An operand of a wgmma: core matrices, as the addresses of eight chunks of 16 bytes each. The
// first of an operand begins an access.
void ptxm_profile_matrix(struct warp *w, const struct op *op, const uint64_t chunks[8], bool first);
// One row for each statement that ran, in the order of the text. False without memory.
bool ptxm_profile_report(const struct profile *profile, struct ptxm_report *report);

// The shared-memory model by itself: wavefronts for these lanes, and the fewest that as many lanes
// could do with.
void ptxm_shared_wavefronts(const struct lane_addresses *a, uint32_t mask, uint64_t *wavefronts,
                            uint64_t *ideal);

#endif
