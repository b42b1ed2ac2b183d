// SPDX-License-Identifier: MIT
// Which tile, ring and raster a matmul gets on a GPU with a copy engine and wgmma.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct matmul_shape {
    int64_t m, n, k;
    int64_t out_bytes; // of an element of c
    bool staged;       // the result leaves through shared memory
    bool a_col, b_col; // operands are stored column by column
    bool bias;         // a row is added to all rows of c
    bool residual;     // a matrix of c's shape is added
    bool curved;       // an activation with exponentials
    int64_t splits;    // CTAs along K
    int64_t ctas;      // SMs of the GPU
    // What the caller wants; 0: by the model.
    int64_t tile_m, tile_n, tile_k, stages, turns, cluster;
} matmul_shape;

typedef struct matmul_choice {
    int64_t bm, bn, bk, stages, warps, persistent, raster, store_columns;
    // CTAs that have tiles side by side along an axis of the grid, 0: n, 1: m, and share what those
    // have in common; 0: each has its own.
    int64_t cluster, cluster_axis;
    int64_t turns; // sets of so many warps that take a CTA's tiles in turn; 0: one set for all
    double cycles; // of the whole product, by the model
} matmul_choice;

// The candidate of the fewest cycles; of equals the first of the table. false: none fits. `reasons`
// gets a line for each candidate and the choice.
bool matmul_model(const matmul_shape *shape, matmul_choice *best, char *reasons, size_t size);
