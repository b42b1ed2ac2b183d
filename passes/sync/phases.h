// SPDX-License-Identifier: MIT
// Phases of mbarriers: what a bulk copy brings, and when its bytes may be overwritten.
//
// A phase of a slot's "full" mbarrier ends when the copies of one trip are complete; the phase of
// its "empty" one when every warp that reads the slot has arrived. The pass `phases`
// (../phases.c) makes both; here is what the rest of the pass sync asks about them.
#pragma once
#include "passes/sync/obligation.h"

// The mbarrier that an op uses, as its declared buffer; NULL for all others. Of a copy: the one
// that its bytes count towards.
kg_value *kg_sync_mbarrier(const kg_op *op);
// The op acquires a phase: it waits, or does what a wait stands in front of.
bool kg_sync_is_phase_wait(const kg_op *op);
// An arrival of threads that frees what a copy behind a wait for it overwrites.
bool kg_sync_is_arrival(const kg_op *op);

// For an arrival: an access for each buffer that some bulk copy overwrites once it has waited for
// this mbarrier. It stands for that copy.
void kg_sync_add_releases(kg_sync_program *p, int node);
// The access `a` is one that the arrival `b` has to be behind.
bool kg_sync_may_free(const kg_sync_access *a, const kg_sync_access *b);
// Whom of its warp an arriving thread answers for.
kg_apart kg_sync_freed_by(const kg_sync_access *a, const kg_sync_access *b);

// What the mbarriers order between the two: the roles share one, or b stands behind a wait for the
// copies of a.
bool kg_sync_by_phase(const kg_sync_program *p, const kg_obligation *o);
// The op among the mbarriers' that answers for such an obligation: the wait in front of b for the
// copy a, the arrival behind the reads a; NULL when there is none.
// What the op is for, in words; NULL where the obligations that it answers for say it (a wait for
// what copies bring), and for ops without an mbarrier.
const char *kg_sync_phase_text(kg_arena *arena, const kg_kernel *kernel, const kg_op *op);
const kg_op *kg_sync_phase_answer(const kg_sync_program *p, const kg_obligation *o);
