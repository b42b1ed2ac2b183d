// SPDX-License-Identifier: MIT
// Shared by the lanes_*.c files: the loop over lanes, names of the copy, small float helpers.
// Compiled with -fno-strict-aliasing and -ffp-contract=off: registers are read as any type.
#ifndef PTXM_LANES_COMMON_H
#define PTXM_LANES_COMMON_H

#include "lanes.h"

#include <math.h>
#include <string.h>

#ifndef PTXM_SUFFIX
#define PTXM_SUFFIX base
#endif
#define PTXM_JOIN2(a, b) a##_##b
#define PTXM_JOIN(a, b) PTXM_JOIN2(a, b)
#define COPY(name) PTXM_JOIN(name, PTXM_SUFFIX)

// Destination and sources may be the same register but never overlap otherwise.
#define EACH_LANE _Pragma("GCC ivdep") for (int i = 0; i < LANES; i++)

typedef const void *source;

static inline float as_f32(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

static inline uint32_t f32_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, 4);
    return bits;
}

static inline double as_f64(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, 8);
    return value;
}

static inline uint64_t f64_bits(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, 8);
    return bits;
}

// Subnormals to zero of the same sign.
static inline float flush(float x)
{
    uint32_t b = f32_bits(x);
    return as_f32((b & 0x7f800000) ? b : b & 0x80000000);
}

static inline float canonical(float x)
{
    return x != x ? as_f32(0x7fffffff) : x;
}

static inline float saturate(float x)
{
    return x > 0.0f ? (x < 1.0f ? x : 1.0f) : 0.0f; // NaN gives 0
}

static inline float f16_to_f32(uint32_t h)
{
    uint32_t sign = (h & 0x8000) << 16, magnitude = h & 0x7fff;
    // Scaling by 2^112 moves the exponent bias and normalizes subnormals in one step.
    float scaled = as_f32(magnitude << 13) * 0x1p112f;
    // Infinities and NaN by a mask, not by a choice, which the compiler makes a branch of.
    uint32_t special = (uint32_t)((int32_t)(0x7bff - magnitude) >> 31);
    uint32_t bits = (((magnitude << 13) + 0x70000000) & special) | (f32_bits(scaled) & ~special);
    return as_f32(bits | sign);
}

static inline uint32_t f32_to_f16(float f) // round to nearest even; NaN is 0x7fff
{
    uint32_t bits = f32_bits(f), sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
    uint32_t normal = (magnitude + 0xfff + (magnitude >> 13 & 1) - 0x38000000) >> 13;
    // Below 2^-14 adding 0.5 leaves the rounded subnormal in the low bits.
    uint32_t small = f32_bits(as_f32(magnitude) + 0.5f) - 0x3f000000;
    uint32_t value = magnitude < 0x38800000 ? small : normal;
    value = magnitude >= 0x477ff000 ? 0x7c00 : value;
    return magnitude > 0x7f800000 ? 0x7fff : value | sign;
}

static inline float bf16_to_f32(uint32_t h)
{
    return as_f32(h << 16);
}

static inline uint32_t f32_to_bf16(float f) // round to nearest even; NaN is 0x7fff
{
    uint32_t bits = f32_bits(f);
    uint32_t value = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
    return (bits & 0x7fffffff) > 0x7f800000 ? 0x7fff : value;
}

lane_fn *COPY(ptxm_lane_integer)(enum lane_op op, enum type type);
lane_fn *COPY(ptxm_lane_compare)(enum compare compare, enum type type, bool ftz);
lane_fn *COPY(ptxm_lane_real)(enum lane_op op, enum type type, uint32_t flags);
lane_fn *COPY(ptxm_lane_half)(enum lane_op op, enum type type, uint32_t flags);
lane_fn *COPY(ptxm_lane_convert)(enum type to, enum type from, uint32_t flags);
lane_fn *COPY(ptxm_lane_pack)(enum type to, uint32_t flags);
lane_fn *COPY(ptxm_lane_testp)(unsigned test, enum type type);
void COPY(ptxm_multiply_add)(float *d, const float *a, const float *b, int m, int n, int k);
void COPY(ptxm_widen)(float *out, const void *in, int count, enum type type);
void COPY(ptxm_spread)(float *out, const uint32_t *in, enum type type);
void COPY(ptxm_multiply)(const struct matrix_step *step);
void COPY(ptxm_canonical)(float *d);
void COPY(ptxm_halves)(uint32_t *d, const float *low, const float *high);
void COPY(ptxm_add_integers)(uint32_t *d, const float *sums, bool saturate);
void COPY(ptxm_span)(struct lane_span *span, const void *addresses, bool wide, uint64_t start,
                     uint32_t mask, uint32_t size);
transfer_fn *COPY(ptxm_transfer_load)(enum type type, unsigned vector, unsigned register_bytes);
transfer_fn *COPY(ptxm_transfer_store)(enum type type, unsigned vector, unsigned register_bytes);

#endif
