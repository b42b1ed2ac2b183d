// SPDX-License-Identifier: MIT
// The meaning of a kernel by the book: its tile-level IR is interpreted one op after the other, one
// CTA after the other, on host arrays. There are no threads here, and nothing of passes/ or
// codegen/.
//
// Integers wrap at their width; floats are computed in double and rounded to their type by every
// op. Where the result may depend on an order of additions or on an approximation, a bound of the
// error goes along with the tile, and whatever would jump because of it (a comparison, a cast to
// integers) is refused; so is everything else that is not determined by the program.
#pragma once
#include "ir/ir.h"

typedef union cell {
    double f;
    int64_t i;
} cell;

typedef struct eval_tensor {
    kg_value *value; // the parameter
    kg_dtype dtype;
    int64_t elements;
    cell *cells;  // in: before the launch; out: after it
    double error; // out: bound of the absolute error of each element
} eval_tensor;

typedef struct evaluation {
    kg_arena *arena;
    int64_t *params;      // by index; of a tensor: unused
    eval_tensor *tensors; // by index of the parameter; of a scalar: unused
    int64_t steps;        // out: element operations
    const char *refused;  // out: why there is no single answer, or NULL
    int refused_line;
} evaluation;

// Element count of each tensor (dims and strides from the params); false: a size is not positive.
bool eval_sizes(kg_kernel *kernel, evaluation *e);
// false: `refused` says why.
bool evaluate(kg_kernel *kernel, evaluation *e);
// The value that `v` becomes in an element of this type.
double eval_round(kg_dtype dtype, double v);
