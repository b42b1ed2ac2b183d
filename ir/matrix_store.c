// SPDX-License-Identifier: MIT
// Stores of fragments by stmatrix: which lane gives which row's address.
//
// An accumulator's layout consists of 8 x 8 matrices as stmatrix wants them: a lane has two
// neighbouring columns of a row. Up to four matrices go in one instruction: those at row 8, at
// column 8, and at both. Lane l gives the address of row l % 8 of matrix l / 8; where the buffer is
// the other way round, of column l % 8.
#include "ir/access.h"
#include <string.h>

// The register bit that moves by this much and nothing else; -1: none.
static int register_bit(const kg_layout *layout, int32_t row, int32_t column)
{
    for (int bit = 0; bit < layout->bits[KG_IN_REG]; bit++)
        if (layout->basis[KG_IN_REG][bit][0] == row && layout->basis[KG_IN_REG][bit][1] == column)
            return bit;
    return -1;
}

static bool lanes_fit(const kg_layout *layout)
{
    static const int32_t wanted[5][2] = {{0, 2}, {0, 4}, {1, 0}, {2, 0}, {4, 0}};
    if (layout->rank != 2 || layout->bits[KG_IN_LANE] != 5) return false;
    for (int bit = 0; bit < 5; bit++)
        if (memcmp(layout->basis[KG_IN_LANE][bit], wanted[bit], sizeof wanted[bit]) != 0)
            return false;
    return true;
}

// Each warp has elements of its own: no copies, which do not store.
static bool warps_fit(const kg_op *store, const kg_layout *layout)
{
    int warps = kg_op_region(store).n_warps;
    int32_t rows = store->operands[1]->type.dims[0];
    for (int bit = 0; bit < layout->bits[KG_IN_WARP]; bit++)
        if (!layout->basis[KG_IN_WARP][bit][0] && !layout->basis[KG_IN_WARP][bit][1]) return false;
    return warps == 1 << layout->bits[KG_IN_WARP] ||
           kg_layout_three_of_four(layout, 0, rows, warps);
}

bool kg_matrix_store_of(const kg_op *store, kg_matrix_store *out)
{
    memset(out, 0, sizeof *out);
    if (store->code != KG_OP_STORE || store->n_operands != 2) return false;
    const kg_value *value = store->operands[1];
    const kg_layout *layout = value->layout;
    if (value->type.rank != 2 || !layout || kg_dtype_bytes(value->type.dtype) != 2) return false;
    int next = register_bit(layout, 0, 1), below = register_bit(layout, 8, 0);
    int beside = register_bit(layout, 0, 8);
    if (next < 0 || below < 0 || !lanes_fit(layout) || !warps_fit(store, layout)) return false;
    int rows = kg_shared_run_bytes(store->operands[0], 1);
    out->transposed = rows < 16;
    if (out->transposed && kg_shared_run_bytes(store->operands[0], 0) < 16) return false;
    out->count = beside < 0 ? 2 : 4;
    for (int i = 0; i < 3; i++) out->lane[i][out->transposed] = 1 << i;
    out->lane[3][0] = 8;
    if (beside >= 0) out->lane[4][1] = 8;
    out->pair = 1 << next;
    out->matrix[1] = 1 << below;
    out->matrix[2] = beside < 0 ? 0 : 1 << beside;
    out->matrix[3] = out->matrix[1] | out->matrix[2];
    return true;
}
