// SPDX-License-Identifier: MIT
// Random programs, legal by construction, made with the builder. For property tests of anything
// that takes IR.
#pragma once
#include "ir/builder.h"

typedef struct gen_options {
    unsigned seed;
    int statements; // about so many in all; 0 means 24
    // also synchronization by hand, roles and flags (such programs need not make sense)
    bool sync;
    bool odd_shapes; // also extents that are no powers of two
    bool wide_types; // also i8, i16, i64, f64 and not only what most kernels use
} gen_options;

// Adds one kernel to the builder and ends it. The same options give the same kernel.
void gen_program(kg_build *b, const gen_options *options);
