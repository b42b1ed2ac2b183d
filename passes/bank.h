// SPDX-License-Identifier: MIT
// Bank conflicts as an analysis: what a warp's access to shared memory costs, from addresses alone.
//
// The model: 32 banks of 4 bytes. A warp's access of up to 4 bytes a lane is one phase of 32 lanes,
// of 8 bytes two phases of 16, of 16 bytes four of 8; ldmatrix reads each 8x8 matrix in one phase
// of 8 rows of 16 bytes. A phase takes as many wavefronts as the most distinct words that fall on
// one bank.
#pragma once
#include "ir/access.h"

typedef struct kg_bank_count {
    int64_t wavefronts; // taken
    int64_t phases;     // wavefronts that would do without conflicts
    int64_t issues;     // instructions
} kg_bank_count;

// One access: a byte offset for each lane (negative: the lane takes no part) and the bytes of each.
void kg_bank_add(kg_bank_count *count, const int64_t *lane_offset, int lanes, int bytes);

// Byte within a slot of the element at (row, column) under a layout; row counts all leading
// dimensions.
int64_t kg_bank_byte(const kg_shared_layout *layout, int64_t row, int64_t column, int bytes);

// All accesses that an op makes to a shared operand, as if the operand's root had `layout`; views
// start at 0 where they start at run time. Only a sample of the registers and rounds is looked at;
// the result is scaled to one warp's whole access.
kg_bank_count kg_bank_of_access(const kg_access *access, const kg_shared_layout *layout);

// The same for a store by stmatrix: each matrix is one phase of eight rows.
kg_bank_count kg_bank_of_matrices(const kg_access *access, const kg_matrix_store *matrices,
                                  const kg_shared_layout *layout);

// Elements along the last dimension that one load or store may take, from the fragment's layout
// alone.
int kg_layout_vector(const kg_layout *layout);
