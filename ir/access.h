// SPDX-License-Identifier: MIT
// Who touches which bytes: the one place that says how a memory op spreads over the CTA's threads.
// Codegen emits exactly this and the sync passes analyse exactly this.
//
// - load, store, atomic_*: thread (lane, warp) handles the elements of its registers under the
//   fragment's layout; for writes and atomics only owners act (kg_layout_is_owner). A scalar value:
//   load by every thread, store and atomic by the first thread of the region.
//   A store with the attribute MATRIX goes by stmatrix: the lane that gives a row's address writes
//   its 16 bytes (kg_matrix_store).
// - copy, copy_async: the view, row-major, is cut into chunks of `vec` elements along its last
//   dimension (attribute VEC; ASYNC = the same in bytes); chunk c belongs to thread c mod T, T =
//   threads of the region, c = t, t + T, ... in order. Gather indices of the view are held in the
//   layout that kg_layout_copy gives for the view, squashed to the gathered dimension: register i
//   for the thread's i-th chunk's row.
// - dot: a shared operand is read by all lanes of every warp that needs it, in the layouts of
//   kg_layout_dot_a and kg_layout_dot_b (fragment operands must already have those layouts).
// - wgmma: a shared operand is read by all four warps of each warpgroup that needs it.
// - elected ops and bulk copies: the first thread of the region.
#pragma once
#include "ir/ir.h"

// The threads that execute an op: those of the innermost enclosing `warps` region, else the whole
// CTA.
typedef struct kg_region {
    int32_t first_warp, n_warps;
} kg_region;
kg_region kg_op_region(const kg_op *op);
// The warps that `warp` meets at a barrier it comes to, itself included, as bits: those of its
// group, else of the region. (How many come from other regions only `count` says.)
uint32_t kg_barrier_warps(const kg_op *barrier, int warp);

// One memory operand of an op, resolved to its root buffer.
typedef struct kg_access {
    const kg_op *op;
    const kg_effect *effect;
    kg_value *root;    // SHARED result or global parameter; NULL for operand ALL
    kg_value *operand; // the view as the op sees it (possibly transposed), or the root itself
    kg_value *slot;    // ring iteration number, NULL without ring
    // The byte ranges below are exact: all starts within the slot are constants, and what is
    // gathered (and, where a store gathers, its mask) is known element by element.
    bool exact;
} kg_access;

// The element of an integer or i1 fragment where the text alone tells it: iota, constants and
// arithmetic on these. (known.c)
bool kg_known_element(const kg_value *value, const int32_t *coord, int64_t *out);
bool kg_known_tile(const kg_value *value); // all of its elements

// Fills up to KG_MAX_EFFECTS accesses of an op; returns how many. Sync ops have none.
int kg_op_accesses(const kg_op *op, kg_access *out);

// Updates of one place by two ops give the same in any order: both atomic, and the same operation.
bool kg_updates_commute(const kg_op *a, const kg_op *b);

// Whether an op by itself (not what is in its blocks) reads or writes global memory.
bool kg_touches_global(const kg_op *op);

// Calls `visit` for every run of bytes (offset within a slot of the root, swizzled, without the
// buffer's arena offset) that a thread of the CTA touches through a shared access with exact ==
// true. Threads are numbered in the CTA (warp * 32 + lane). An agent of a whole warp reports every
// lane of the warp.
void kg_access_bytes(const kg_access *access,
                     void (*visit)(int thread, int64_t offset, int bytes, void *user), void *user);
// The same, but of an agent of a whole warp two lanes only: enough to know who shares a byte.
void kg_access_sharers(const kg_access *access,
                       void (*visit)(int thread, int64_t offset, int bytes, void *user),
                       void *user);
// A number of bytes, a power of two, that divides each offset and length that such a visit would
// report; known without the visit. `access` is exact.
int kg_access_unit(const kg_access *access);

// A view resolved for address computation: dimension d of the operand (after transposes) is
// dimension dim[d] of the root with start `start[d]` (scalar or NULL = 0) or gather indices
// `gather[d]` (rank-1 fragment). Dimensions of the root that the view fixes by AT are in fixed[] by
// root dimension (else NULL).
typedef struct kg_view_info {
    kg_value *root, *slot;
    int rank; // of the operand
    int dim[KG_MAX_RANK];
    kg_value *start[KG_MAX_RANK];
    kg_value *gather[KG_MAX_RANK];
    kg_value *fixed[KG_MAX_RANK];     // by root dimension
    bool inbounds[KG_MAX_RANK];       // by operand dimension: needs no test
    bool fixed_inbounds[KG_MAX_RANK]; // by root dimension: the AT index needs no test
    int64_t divisor[KG_MAX_RANK]; // by operand dimension: known divisor of the start (power of two)
    int64_t fixed_divisor[KG_MAX_RANK]; // by root dimension: of the AT index
} kg_view_info;
void kg_view_resolve(kg_value *operand, kg_view_info *out);

// Widest access in bytes (1 to 16, a power of two) that is aligned for every chunk along the
// operand's last dimension: from strides, starts, divisors, base alignment, pitch and swizzle. 0
// when the last dimension is not contiguous. `extent_too`: also requires that a chunk never
// straddles the tensor's edge (the dimension's size is a multiple), which cp.async and vector
// stores need.
int kg_view_vector_bytes(const kg_kernel *kernel, kg_value *operand, bool extent_too);

// Bytes that lie together and aligned along dimension d of a view of a shared buffer, at most 16; 0
// when the dimension is not the contiguous one.
int kg_shared_run_bytes(kg_value *operand, int d);

// A store by stmatrix. A lane gives the address at row and column lane[i][0 and 1] for each bit i
// of its number that is set; of two matrices lanes 0 to 15 alone. The instruction's k-th matrix has
// the registers r | matrix[k] and r | matrix[k] | pair, for each r without any of these bits.
typedef struct kg_matrix_store {
    int count;       // matrices: 4 or 2
    bool transposed; // the buffer is contiguous along the fragment's rows
    int32_t lane[5][2];
    int pair, matrix[4];
} kg_matrix_store;
// Can the op be such a store: layout, alignment and warps fit?
bool kg_matrix_store_of(const kg_op *store, kg_matrix_store *out);

// ---- layouts of matmul operands -------------------------------------------------------------
typedef enum kg_dot_kind {
    KG_DOT_FMA,
    KG_DOT_MMA_F16,
    KG_DOT_MMA_TF32,
    KG_DOT_MMA_I8,
    KG_DOT_WGMMA
} kg_dot_kind;
// Which instruction family a dot uses: f16/bf16 with f32 accumulators and M % 16 == 0, N % 8 == 0,
// K % 16 == 0 is mma.m16n8k16; i8 with i32 accumulators and K % 32 == 0 is m16n8k32; anything else
// FMA from shared operands. The op wgmma is KG_DOT_WGMMA.
kg_dot_kind kg_dot_kind_of(const kg_op *dot);
// Is the accumulator that goes into a wgmma zero, by the text alone? Then none goes in: the first
// instruction does not add, and nobody has to make zeros.
bool kg_wgmma_is_fresh(const kg_op *wgmma);
// Accumulator layout for [M, N] with warps_m x warps_n warps; false when it does not divide. Of
// wgmma: the four warps of a warpgroup take 64 rows, 16 each; warps_m counts these four; each
// warpgroup has columns that lie side by side, at most 256 of them.
bool kg_layout_dot_acc(kg_dot_kind kind, int m, int n, int warps_m, int warps_n, kg_layout *out);
void kg_layout_dot_a(kg_dot_kind kind, const kg_layout *acc, int k, kg_layout *out); // [M, K]
void kg_layout_dot_b(kg_dot_kind kind, const kg_layout *acc, int k, kg_layout *out); // [K, N]

// The layout that copy and copy_async of `vec` elements a chunk have over the tile of a view, by
// `warps` warps: register = chunk round * vec + element within the chunk. false when chunks do not
// fall on threads linearly (then a gather by copy is not possible; every other copy needs no
// layout).
bool kg_layout_copy(const kg_type *view, int vec, int warps, kg_layout *out);
// Sizes of cp.async that the hardware has.
static inline bool kg_async_bytes_legal(int bytes)
{
    return bytes == 4 || bytes == 8 || bytes == 16;
}
