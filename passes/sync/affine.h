// SPDX-License-Identifier: MIT
// Scalar integers as sums of constants and unknowns, to tell at which iteration distance two
// indices meet. What holds: `known` forms are exact; everything else is "may be anything".
#pragma once
#include "ir/ir.h"

#define KG_AFFINE_TERMS 6
typedef struct kg_affine {
    bool known;
    int n;
    int64_t constant;
    struct kg_affine_term {
        kg_value
            *value; // loop index, parameter, counter (mutable scalar), or result of an opaque op
        int64_t factor;
    } term[KG_AFFINE_TERMS];
} kg_affine;

// Assignments to mutable integer scalars: counters are recognized by them.
typedef struct kg_assign {
    kg_value *counter;
    kg_op *op;
    bool increment;   // counter = counter + by (possibly wrapped by modulo `wrap`)
    int64_t by, wrap; // wrap: 0 when not wrapped
} kg_assign;
typedef struct kg_assigns {
    kg_assign *items;
    int count, capacity;
} kg_assigns;
void kg_assigns_collect(kg_arena *arena, kg_kernel *kernel, kg_assigns *out);

// The form of `value` as `user` sees it (ops must be numbered). With modulus > 0 only the value
// modulo that number matters. A NULL value is 0.
kg_affine kg_affine_of(const kg_assigns *assigns, kg_value *value, const kg_op *user,
                       int64_t modulus);

// a - b where b runs `distance` trips of `loop` after a: base + slope * distance. loop == NULL: the
// same trip of every loop that holds both. exact == false: may be anything.
typedef struct kg_difference {
    bool exact;
    int64_t base, slope;
} kg_difference;
kg_difference kg_affine_difference(const kg_assigns *assigns, const kg_affine *a,
                                   const kg_op *a_user, const kg_affine *b, const kg_op *b_user,
                                   const kg_op *loop, int64_t modulus);

// Two scalars have the same value whenever both are defined in the same trips (no counters
// involved).
bool kg_same_value(const kg_value *a, const kg_value *b);
// Least and most of an integer, as far as its minima, maxima and remainders say; INT64_MIN,
// INT64_MAX: not known.
typedef struct kg_bounds {
    int64_t least, most;
} kg_bounds;
kg_bounds kg_bounds_of(const kg_value *value);
// The op stands inside (at any depth) of owner's regions.
bool kg_op_inside(const kg_op *op, const kg_op *owner);
