// SPDX-License-Identifier: MIT
// Layouts: which thread and register holds which element of a tile, and where an element of a
// shared buffer lies. Linear over GF(2) for the power-of-two core, repeated affinely.
//
// Fragment layout. The tile's shape is core[d] * reps[d] per dimension; core[d] is a power of two.
// Within the core, the element at bit vectors (register, lane, warp) has the coordinate
//     coord[d] = XOR over set bits i of basis[in][i][d]
// A basis of all zeros means that the bit does not move: those lanes, warps or registers hold
// copies, and the one with the bit clear is the owner (the only one that stores). Repetition r
// (mixed radix over dimensions, the LAST dimension fastest) adds core[d] * r[d]. Register number =
// repetition * 2^n_reg_bits + core register.
// Source: linear layouts over F2 as described by Zhou et al., "Linear Layouts" (2025).
#pragma once
#include "ir/arena.h"
#include <stdbool.h>
#include <stdint.h>

#define KG_MAX_RANK 5
#define KG_MAX_BITS 13

typedef enum kg_layout_in { KG_IN_REG, KG_IN_LANE, KG_IN_WARP, KG_IN_COUNT } kg_layout_in;

typedef struct kg_layout {
    int rank;
    int32_t core[KG_MAX_RANK];
    int32_t reps[KG_MAX_RANK];
    int bits[KG_IN_COUNT]; // register bits of the core; lane bits = 5; warp bits
    int32_t basis[KG_IN_COUNT][KG_MAX_BITS][KG_MAX_RANK];
} kg_layout;

// Shared layout of one slot of a buffer, row-major: byte = row * pitch * size + column * size, then
// XOR of the byte's chunk number with the row's low bits:
//     chunk(byte) = byte >> chunk_log2;  chunk ^= (row >> shift) & ((1 << bits) - 1)
// where "row" counts all leading dimensions (row-major) and the last dimension is the column. bits
// = 0: no swizzle. The XOR stays within a row: (1 << bits) chunks divide the row.
// With panels the columns are cut into panels of `panel` elements, each of which is a slot of its
// own in this sense: all rows of the first, then all rows of the second. Copy engine and tensor
// core want rows of at most 128 bytes.
typedef struct kg_shared_layout {
    int32_t pitch; // elements
    int32_t chunk_log2, bits, shift;
    int32_t panel; // elements; 0: rows are whole
    int32_t rows;  // of a slot
} kg_shared_layout;
// The byte of an element within a slot; `column` in bytes, elements of `size` bytes.
int64_t kg_shared_byte(const kg_shared_layout *layout, int64_t row, int64_t column, int size);

// Three of four: a tile's extent along one dimension may be three quarters of its core, where the
// two topmost warp bits are the steps of a quarter and of a half along it. What is missing then
// belongs to the last quarter of 2^bits warps, and these do not exist: 12 warps have the 192 rows
// of a core of 256.
bool kg_layout_three_of_four(const kg_layout *layout, int d, int32_t extent, int warps);
int kg_layout_registers(const kg_layout *layout); // elements held by a thread
enum { KG_MOST_REGISTERS = 4096 };                // that any layout may ask for
int kg_layout_threads(const kg_layout *layout);   // 32 << warp bits
void kg_layout_coord(const kg_layout *layout, int reg, int lane, int warp, int32_t *coord);
// False for the copies of zero bases, see above.
bool kg_layout_is_owner(const kg_layout *layout, int reg, int lane, int warp);
bool kg_layout_equal(const kg_layout *a, const kg_layout *b); // as maps
// How to get from one layout to another: 0 identical, 1 registers of the same thread, 2 within the
// warp, 3 through shared memory.
int kg_layout_distance(const kg_layout *from, const kg_layout *to);
// The register of thread 0 that holds `coord`, or -1. For any thread: the register of `from` that
// holds what register r of `to` holds in the same thread is kg_layout_find_register(from,
// coordinate of r in thread 0 of `to`), whenever kg_layout_distance(from, to) <= 1 and their thread
// bits agree (elementwise, broadcast, slices).
int kg_layout_find_register(const kg_layout *layout, const int32_t *coord);

// Slices and lifts between ranks. Copies in lanes and warps stay as zero bases; copies in registers
// go. slice drops an axis, as a reduction does; squash leaves it with extent 1, as broadcast needs
// it; expand inserts an axis of extent 1.
void kg_layout_slice(const kg_layout *parent, int axis, kg_layout *out);
void kg_layout_squash(const kg_layout *parent, int axis, kg_layout *out);
void kg_layout_expand(const kg_layout *layout, int axis, kg_layout *out);
// One of equal parts along an axis, each of `extent` elements: every thread has of each part what
// it has of the first. false: where threads divide the axis they would have none of some parts.
bool kg_layout_part(const kg_layout *layout, int axis, int32_t extent, kg_layout *out);
// Dimension d of the result is dimension perm[d] of the operand.
void kg_layout_transpose(const kg_layout *layout, const int *perm, kg_layout *out);

// A layout for coalesced access: `vec` consecutive elements along `fast` per thread, then lanes,
// then warps (first `fast`, then the last axis and so on to the first); what remains is repeated in
// registers. `warps` need not be a power of two: warps beyond the last power of two hold copies.
void kg_layout_blocked(int rank, const int32_t *shape, int fast, int vec, int warps,
                       kg_layout *out);
// The same with the axes for lanes and for warps given, each in order; axes not named are not
// divided. An axis may be named twice; at most `first_bits` lane bits go to the first lane axis in
// its first turn.
void kg_layout_spread(int rank, const int32_t *shape, int fast, int vec, const int *lane_axes,
                      int n_lane_axes, int first_bits, const int *warp_axes, int n_warp_axes,
                      int warps, kg_layout *out);
