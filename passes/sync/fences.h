// SPDX-License-Identifier: MIT
// Fences between proxies, and between registers and the tensor core.
//
// Who touched bytes by ordinary accesses fences them before the copy engine or the tensor core may
// touch them: once for each rendezvous that hands them over, however many accesses there were, by
// all threads that meet there, behind the waits for their own copies and in front of the
// rendezvous. Where no rendezvous is needed (one thread hands over to itself) a fence stands alone.
#pragma once
#include "passes/sync/cover.h"

// Adds plan->fence for what the plan's waits and rendezvous leave to be fenced.
// A point among an obligation's cuts will do. The fence of registers stands in the block of the
// product, and behind the last wait for a phase there, which is a loop. In front of a loop it would
// do as well, but the machine has one for every batch of products (WARPGROUP.ARRIVE), and where the
// program has it elsewhere ptxas puts it in by itself, with moves of registers, and says so
// (C7519).
bool kg_fence_serves(const kg_sync_program *p, const kg_obligation *o, int point);
void kg_fences_add(const kg_sync_program *p, const kg_obligations *o, const int64_t *cost,
                   kg_sync_plan *plan);
// The author's fences stand on every path of an obligation that needs one. For those between
// proxies `met` says whether the rest is met by the author.
bool kg_fences_by_hand(const kg_sync_program *p, const kg_sync_plan *plan, const kg_obligation *o,
                       bool met);
// The op for a fence.
kg_opcode kg_fence_code(kg_fence fence);
const char *kg_fence_scope(kg_fence fence); // NULL: has none
bool kg_fence_code_is(kg_opcode code);      // of one of them
