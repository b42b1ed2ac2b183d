// SPDX-License-Identifier: MIT
// The arithmetic of the tensor core over registers of 32 lanes and over plain arrays: widening of
// operands to f32, one warp's share of d += a * b, and the way back from f32.
//
// Every product is exact in f32 (f16, bf16, tf32, 8-bit floats and integers; bf16 and tf32 as long
// as the product is no subnormal), and products are added one after the other along k, each sum
// rounded. The hardware keeps other bits inside a step; both are within what the ISA promises.
#include "lanes_common.h"

// Vectors of the compiler: they become two narrower ones where the processor has none so wide.
typedef float wide __attribute__((vector_size(32)));

// ---- widening ----------------------------------------------------------------------------------

static inline float e4m3_to_f32(uint32_t byte)
{
    uint32_t magnitude = byte & 0x7f, sign = (byte & 0x80) << 24;
    float scaled = as_f32(magnitude << 20) * 0x1p120f; // the exponent bias moves from 7 to 127
    uint32_t nan = (uint32_t)((int32_t)(0x7e - magnitude) >> 31); // a mask
    return as_f32((f32_bits(scaled) & ~nan) | (0x7fffffff & nan) | sign);
}

static inline float e5m2_to_f32(uint32_t byte)
{
    return f16_to_f32((byte & 0xff) << 8); // the top of an f16
}

#define WIDEN(name, T, expression)                                                                 \
    static void name(float *restrict out, const void *from, int count)                             \
    {                                                                                              \
        const T *in = from;                                                                        \
        for (int i = 0; i < count; i++) {                                                          \
            uint32_t x = (uint32_t)in[i];                                                          \
            out[i] = (expression);                                                                 \
        }                                                                                          \
    }
WIDEN(widen_f16, uint16_t, f16_to_f32(x))
WIDEN(widen_bf16, uint16_t, bf16_to_f32(x))
WIDEN(widen_tf32, uint32_t, as_f32(x & 0xffffe000))
WIDEN(widen_e4m3, uint8_t, e4m3_to_f32(x))
WIDEN(widen_e5m2, uint8_t, e5m2_to_f32(x))
WIDEN(widen_s8, int8_t, (float)(int32_t)x)
WIDEN(widen_u8, uint8_t, (float)x)

void COPY(ptxm_widen)(float *out, const void *in, int count, enum type type)
{
    switch (type) {
    case T_F16: widen_f16(out, in, count); break;
    case T_BF16: widen_bf16(out, in, count); break;
    case T_TF32: widen_tf32(out, in, count); break;
    case T_E4M3: widen_e4m3(out, in, count); break;
    case T_E5M2: widen_e5m2(out, in, count); break;
    case T_S8: widen_s8(out, in, count); break;
    default: widen_u8(out, in, count); break;
    }
}

// A register of 32 lanes, part by part: out[part * 32 + lane].
#define SPREAD(bits, one)                                                                          \
    for (unsigned part = 0; part < 32 / bits; part++)                                              \
        for (int i = 0; i < LANES; i++) {                                                          \
            uint32_t x = in[i] >> (part * bits);                                                   \
            out[part * LANES + (unsigned)i] = (one);                                               \
        }                                                                                          \
    break;

void COPY(ptxm_spread)(float *restrict out, const uint32_t *restrict in, enum type type)
{
    switch (type) {
    case T_F16: SPREAD(16, f16_to_f32(x & 0xffff))
    case T_BF16: SPREAD(16, bf16_to_f32(x & 0xffff))
    case T_TF32: SPREAD(32, as_f32(x & 0xffffe000))
    case T_F32: SPREAD(32, as_f32(x))
    case T_E4M3: SPREAD(8, e4m3_to_f32(x))
    case T_E5M2: SPREAD(8, e5m2_to_f32(x))
    case T_S8: SPREAD(8, (float)(int8_t)x)
    case T_U8: SPREAD(8, (float)(x & 0xff))
    case T_S4: SPREAD(4, (float)((int32_t)(x << 28) >> 28))
    default: SPREAD(4, (float)(x & 15))
    }
}

// ---- d += a * b --------------------------------------------------------------------------------

// Row r (of 8) of block j of d: columns 0, 2, 4, 6 from one register, 1, 3, 5, 7 from the next.
static inline __attribute__((always_inline)) void load_row(wide *v, float *const *d, int r)
{
    memcpy(v, d[0] + 4 * r, 16);
    memcpy((char *)v + 16, d[1] + 4 * r, 16);
}

static inline __attribute__((always_inline)) void store_row(float *const *d, int r, const wide *v)
{
    memcpy(d[0] + 4 * r, v, 16);
    memcpy(d[1] + 4 * r, (const char *)v + 16, 16);
}

// `rows` rows by `blocks` blocks of eight columns: constants at each call, eight sums in all.
static inline __attribute__((always_inline)) void tile(const struct matrix_step *s, const float *a,
                                                       const float *b, float *const *d, int row,
                                                       const int rows, const int blocks)
{
    wide sum[8][2];
    for (int r = 0; r < rows; r++)
        for (int j = 0; j < blocks; j++) load_row(&sum[r][j], d + 4 * j, row + r);
    for (int k = 0; k < s->k; k++) {
        const float *at = a + s->k_offset[k];
        wide right[2];
        for (int j = 0; j < blocks; j++) memcpy(&right[j], b + 8 * j, sizeof right[j]);
        for (int r = 0; r < rows; r++) {
            float x = at[r * s->row_stride];
            wide left = {x, x, x, x, x, x, x, x};
            for (int j = 0; j < blocks; j++) sum[r][j] += left * right[j];
        }
        b += s->n;
    }
    for (int r = 0; r < rows; r++)
        for (int j = 0; j < blocks; j++) store_row(d + 4 * j, row + r, &sum[r][j]);
}

void COPY(ptxm_multiply)(const struct matrix_step *s)
{
    int blocks = s->n / 8;
    for (int half = 0; half < s->rows / 8; half++) {
        const float *a = s->a + half * s->half_stride;
        float *const *d = s->d + 2 * half;
        int j = 0;
        for (; j + 2 <= blocks; j += 2) {
            tile(s, a, s->b + 8 * j, d + 4 * j, 0, 4, 2);
            tile(s, a + 4 * s->row_stride, s->b + 8 * j, d + 4 * j, 4, 4, 2);
        }
        if (j < blocks)
            tile(s, a, s->b + 8 * j, d + 4 * j, 0, 8, 1);
    }
}

// ---- the way back ------------------------------------------------------------------------------

// NaN is 0x7fffffff.
void COPY(ptxm_canonical)(float *d)
{
    uint32_t *bits = (uint32_t *)(void *)d;
    EACH_LANE bits[i] = (bits[i] & 0x7fffffff) > 0x7f800000 ? 0x7fffffff : bits[i];
}

void COPY(ptxm_halves)(uint32_t *restrict d, const float *restrict low, const float *restrict high)
{
    EACH_LANE d[i] = f32_to_f16(low[i]) | f32_to_f16(high[i]) << 16;
}

// Sums of products of 8-bit integers are exact in f32: at most 32 * 255 * 255.
void COPY(ptxm_add_integers)(uint32_t *restrict d, const float *restrict sums, bool saturate)
{
    if (!saturate) {
        EACH_LANE d[i] += (uint32_t)(int32_t)sums[i];
        return;
    }
    EACH_LANE
    {
        int64_t sum = (int64_t)(int32_t)d[i] + (int32_t)sums[i];
        sum = sum > INT32_MAX ? INT32_MAX : sum < INT32_MIN ? INT32_MIN : sum;
        d[i] = (uint32_t)(uint64_t)sum;
    }
}
