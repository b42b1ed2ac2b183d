// SPDX-License-Identifier: MIT
// The CTAs of a cluster as one CTA.
#pragma once
#include "ir/ir.h"

enum { MOST_JOINED_WARPS = 31 };

typedef struct joined_ctas {
    int count, warps;  // CTAs; warps from one to the next
    int64_t bytes;     // of shared memory, from one to the next
    kg_kernel *kernel; // each op has the one it is a copy of as its note
    bool in_step;      // all reach the others alike, whichever CTA they are
    const char *why;   // it could not be made
} joined_ctas;

// Does some CTA of the kernel touch another one's memory or mbarriers?
bool validator_reaches_others(kg_kernel *kernel);
// Numbers the kernel anew, and leaves it alone otherwise. False: `why`.
bool validator_join_ctas(kg_arena *arena, kg_kernel *kernel, joined_ctas *out);
