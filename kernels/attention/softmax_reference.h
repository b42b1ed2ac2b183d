// SPDX-License-Identifier: MIT
// One row of attention by the textbook: scores, softmax, weighted sum, all in f64.
#pragma once
#include "kernels/plan.h"

typedef struct softmax_row {
    const char *dtype;
    int64_t d, n; // head dimension, keys seen
    const void *query, *keys, *values;
    int64_t query_at; // element of the query's first component
    int64_t first,
        stride; // element of key j's first component: first + (rows ? rows[j] : j) * stride
    const int64_t *rows; // page table resolved, or NULL
    double *weights;     // scratch, n
    double *out, *bound; // d each
} softmax_row;

// Returns the log-sum-exp; a row without keys gives zeros and -inf.
double softmax_reference(const softmax_row *row);
