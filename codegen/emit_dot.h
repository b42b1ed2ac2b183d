// SPDX-License-Identifier: MIT
// Between emit_dot.c (mma) and emit_fma.c (multiply-adds).
#pragma once
#include "codegen/emit.h"

// Constant parts of the accumulator's rows and columns in a thread, ascending.
typedef struct emit_tiles {
    int32_t *m, *n;
    int n_m, n_n;
} emit_tiles;
void emit_tile_origins(kg_emit *e, const kg_layout *acc, int step_m, int step_n, emit_tiles *out);

// Register + 1 by constant coordinate of a rank-2 layout, and a look-up in it (-1: none).
int *emit_coordinate_map(kg_emit *e, const kg_layout *layout);
int emit_register_at(const int *map, const kg_layout *layout, int row, int column);

// acc += a x b without tensor cores; `acc` by the registers of the result's layout.
void emit_dot_fma(kg_emit *e, kg_op *op, cg_value *acc);
