// SPDX-License-Identifier: MIT
// Runs a kernel of tile or staged level on symbols instead of tiles, for one CTA, to compare what a
// program does before and after a pass.
//
// Integers are computed; every other value is a hash of the op that made it and of its
// operands; a shared slot holds the hash of what was copied or stored into it. The trace is what
// reaches global memory, in order. Two programs with the same trace do the same, up to accidents of
// hashing.
#pragma once
#include "ir/ir.h"

typedef struct trace {
    struct {
        uint64_t *items;
        int count, capacity;
    } events;
    int copies; // executed, of either kind
    int async;  // executed copy_async
    int commits;
    const char *bad; // a rule that was broken, or NULL: see trace.c
} trace;

// `scalars`: values of the kernel's integer parameters, by index. Grid indices are 0.
trace trace_run(kg_arena *arena, kg_kernel *kernel, const int64_t *scalars);
bool trace_equal(const trace *a, const trace *b);
