// SPDX-License-Identifier: MIT
// Pure functions over 32 lanes: what decode.c asks the lanes_*.c files for.
//
// The lanes_*.c files are compiled more than once, for the plain machine and for wider vector
// units; PTXM_SUFFIX names the copy. lanes.c picks one at module load.
#ifndef PTXM_LANES_H
#define PTXM_LANES_H

#include "isa.h"

enum lane_op {
    L_ADD, L_SUB, L_ADD_SAT, L_SUB_SAT, L_MUL_LO, L_MUL_HI, L_MUL_WIDE, L_MUL24_LO, L_MUL24_HI,
    L_MAD24_LO, L_MAD_LO, L_MAD_HI, L_MAD_HI_SAT, L_MAD_WIDE, L_SAD, L_DIV, L_REM, L_ABS, L_NEG,
    L_MIN, L_MAX, L_MIN_RELU, L_MAX_RELU, L_POPC, L_CLZ, L_BFIND, L_BFIND_SHIFT, L_BREV, L_BFE,
    L_FNS, L_SZEXT_CLAMP, L_SZEXT_WRAP, L_BMSK_CLAMP, L_BMSK_WRAP, L_AND, L_OR, L_XOR, L_NOT,
    L_CNOT, L_SHL, L_SHR, L_SHF_L_CLAMP, L_SHF_L_WRAP, L_SHF_R_CLAMP, L_SHF_R_WRAP, L_LOP3,
    L_PRMT, L_COPYSIGN, L_SELP, L_MOV, L_SLCT, L_DP4A, L_DP2A,
    // float only
    L_MUL, L_FMA, L_DIVF, L_RCP, L_SQRT, L_RSQRT, L_SIN, L_COS, L_LG2, L_EX2, L_TANH,
};

// The immediate of float operations.
enum {
    F_ROUND = 3, // mask: 0 rn, 1 rz, 2 rm, 3 rp
    F_FTZ = 4,
    F_SAT = 8,
    F_RELU = 16,
    F_NAN = 32, // min and max return NaN for NaN
    F_XORSIGN = 64,
    F_INTEGER = 128, // cvt: round to an integral value
    F_AWAY = 256,    // cvt.rna: ties away from zero
    F_SATFINITE = 512,
    F_APPROX = 1024,
};

// One warp's share of a matrix product: 16 rows (or 8) by n columns. Every block of eight columns
// is four registers of 32 lanes, as the ISA lays out accumulators: lane l holds columns 2 * (l % 4)
// and the next one of row l / 4 in the first two, of row l / 4 + 8 in the last two. Element (r, k)
// of a stands at a + r / 8 * half_stride + r % 8 * row_stride + k_offset[k]; b is k rows of n,
// in each block columns 0 2 4 6 1 3 5 7.
struct matrix_step {
    float *const *d;
    const float *a, *b;
    const int *k_offset;
    int row_stride, half_stride, rows, n, k;
};
enum { MATRIX_MOST_N = 256, MATRIX_MOST_K = 64 };

// Where the addresses of a warp's lanes lie, in bytes from some start. Lanes that take no part lie
// where one lies that does.
enum { SPAN_PARTS = 4 };
struct lane_span {
    uint32_t at[LANES];
    uint32_t least[SPAN_PARTS], most[SPAN_PARTS]; // of eight lanes each
    uint32_t bits; // of all of at, ored: what is aligned
    bool far;      // a lane is not within 4 GiB behind the start: nothing else here holds
    bool in_turn;  // all lanes take part, each `size` bytes behind the one before it
};

struct lane_table {
    lane_fn *(*integer)(enum lane_op op, enum type type);
    lane_fn *(*compare)(enum compare compare, enum type type, bool ftz);
    lane_fn *(*real)(enum lane_op op, enum type type, uint32_t flags); // f32, f64
    lane_fn *(*half)(enum lane_op op, enum type type, uint32_t flags);
    lane_fn *(*convert)(enum type to, enum type from, uint32_t flags);
    lane_fn *(*pack)(enum type to, uint32_t flags); // two f32 into one register
    lane_fn *(*testp)(unsigned test, enum type type);
    // d[m][8] += a[m][k] * b[k][8]
    void (*multiply_add)(float *d, const float *a, const float *b, int m, int n, int k);
    // lanes_matrix.c
    void (*widen)(float *out, const void *in, int count, enum type type);
    void (*spread)(float *out, const uint32_t *in, enum type type);
    void (*multiply)(const struct matrix_step *step);
    void (*canonical)(float *d);
    void (*halves)(uint32_t *d, const float *low, const float *high);
    void (*add_integers)(uint32_t *d, const float *sums, bool saturate);
    // lanes_memory.c. wide: addresses are 64 bits; the mask has a lane. A transfer of this type
    // for registers of 4, 8 or 16 bytes a lane: NULL if there is none.
    void (*span)(struct lane_span *span, const void *addresses, bool wide, uint64_t start,
                 uint32_t mask, uint32_t size);
    transfer_fn *(*load)(enum type type, unsigned vector, unsigned register_bytes);
    transfer_fn *(*store)(enum type type, unsigned vector, unsigned register_bytes);
};
const struct lane_table *ptxm_lanes(void); // the fastest that this processor runs

extern const struct lane_table ptxm_lane_table_base, ptxm_lane_table_v3;

#endif
