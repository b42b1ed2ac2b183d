// SPDX-License-Identifier: MIT
// ldmatrix, stmatrix and mma.sync. Fragments are gathered into plain matrices, multiplied, and
// scattered back; the maps from (lane, register, part) to (row, column) are those of the ISA.
#include "shadow.h"

#include <fenv.h>
#include <math.h>
#include <string.h>

// ---- 8x8 matrices of 16-bit elements ------------------------------------------------------------

// Lane 8*m + r gives the address of row r of matrix m.
static bool rows(struct warp *w, const struct op *op, uint8_t *row[32], enum access_kind kind)
{
    bool fine = true;
    for (unsigned lane = 0; lane < op->vector * 8u; lane++) {
        struct place p = ptxm_place(w, op, lane, op->space == SPACE_GENERIC ? SPACE_GENERIC
                                                                              : SPACE_SHARED,
                                      ptxm_address(w, op, lane), 16, 16, kind);
        row[lane] = p.host;
        if (!p.host) {
            fine = false;
            continue;
        }
        if (w->cta->shadow)
            ptxm_shadow_access(w, op, lane, &p, 16, kind, NULL);
    }
    return fine;
}

static void count_rows(struct warp *w, const struct op *op)
{
    struct ptxm_counters *c = &w->cta->counters;
    if (w->cta->grid->options.no_counters)
        return;
    c->shared_accesses++;
    for (unsigned m = 0; m < op->vector; m++) {
        uint32_t groups[8] = {0}, most = 1;
        for (unsigned r = 0; r < 8; r++) {
            uint64_t a = ptxm_address(w, op, m * 8 + r);
            bool repeated = false;
            for (unsigned k = 0; k < r; k++) repeated |= ptxm_address(w, op, m * 8 + k) == a;
            uint32_t *g = &groups[a >> 4 & 7];
            *g += !repeated;
            most = *g > most ? *g : most;
        }
        c->shared_wavefronts += most;
        c->bank_conflicts += most - 1;
    }
}

enum step_result ptxm_step_ldmatrix(struct warp *w, const struct op *op, uint32_t mask)
{
    uint8_t *row[32];
    enum step_result result = ptxm_converge(w, mask, UINT32_MAX);
    if (result != STEP_NEXT)
        return result;
    if (!rows(w, op, row, ACCESS_READ))
        return STEP_NEXT;
    count_rows(w, op);
    for (unsigned m = 0; m < op->vector; m++) {
        uint32_t *d = ptxm_dst(w, op, m);
        for (unsigned lane = 0; lane < LANES; lane++) {
            unsigned r = lane / 4, c = lane % 4 * 2;
            uint16_t pair[2];
            if (op->flags & OPF_TRANS) {
                memcpy(&pair[0], row[m * 8 + c] + 2 * r, 2);
                memcpy(&pair[1], row[m * 8 + c + 1] + 2 * r, 2);
            } else {
                memcpy(pair, row[m * 8 + r] + 2 * c, 4);
            }
            d[lane] = pair[0] | (uint32_t)pair[1] << 16;
        }
    }
    return STEP_NEXT;
}

enum step_result ptxm_step_stmatrix(struct warp *w, const struct op *op, uint32_t mask)
{
    uint8_t *row[32];
    enum step_result result = ptxm_converge(w, mask, UINT32_MAX);
    if (result != STEP_NEXT)
        return result;
    if (!rows(w, op, row, ACCESS_WRITE))
        return STEP_NEXT;
    count_rows(w, op);
    for (unsigned m = 0; m < op->vector; m++) {
        const uint32_t *s = ptxm_src(w, op, m);
        for (unsigned lane = 0; lane < LANES; lane++) {
            unsigned r = lane / 4, c = lane % 4 * 2;
            uint16_t pair[2] = {(uint16_t)s[lane], (uint16_t)(s[lane] >> 16)};
            if (op->flags & OPF_TRANS) {
                memcpy(row[m * 8 + c] + 2 * r, &pair[0], 2);
                memcpy(row[m * 8 + c + 1] + 2 * r, &pair[1], 2);
            } else {
                memcpy(row[m * 8 + r] + 2 * c, pair, 4);
            }
        }
    }
    return STEP_NEXT;
}

// ---- mma.sync -----------------------------------------------------------------------------------

static float as_float(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

static uint32_t float_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, 4);
    return bits;
}

static float half_value(uint32_t h)
{
    uint32_t sign = (h & 0x8000) << 16, magnitude = h & 0x7fff;
    float scaled = as_float(magnitude << 13) * 0x1p112f;
    return as_float((magnitude >= 0x7c00 ? (magnitude << 13) + 0x70000000 : float_bits(scaled)) |
                    sign);
}

static float element(uint32_t word, unsigned part, enum type type)
{
    if (type == T_TF32)
        return as_float(word & 0xffffe000);
    uint32_t h = part ? word >> 16 : word & 0xffff;
    return type == T_BF16 ? as_float(h << 16) : half_value(h);
}

// A register holds `parts` neighbours along k. Register i of A covers rows +8 for odd i and, for
// every second pair of registers, the next half of k.
static void gather_a(struct warp *w, const struct op *op, unsigned parts, unsigned registers,
                     float *a)
{
    unsigned k = op->immediate;
    for (unsigned i = 0; i < registers; i++) {
        const uint32_t *s = ptxm_src(w, op, i);
        for (unsigned lane = 0; lane < LANES; lane++) {
            unsigned row = lane / 4 + (i & 1) * 8, column = (lane % 4 + (i / 2) * 4) * parts;
            for (unsigned p = 0; p < parts; p++)
                a[row * k + column + p] = element(s[lane], p, (enum type)op->type);
        }
    }
}

static void gather_b(struct warp *w, const struct op *op, unsigned parts, unsigned first,
                     unsigned registers, float *b)
{
    for (unsigned i = 0; i < registers; i++) {
        const uint32_t *s = ptxm_src(w, op, first + i);
        for (unsigned lane = 0; lane < LANES; lane++) {
            unsigned row = (lane % 4 + i * 4) * parts, column = lane / 4;
            for (unsigned p = 0; p < parts; p++)
                b[(row + p) * 8 + column] = element(s[lane], p, (enum type)op->type);
        }
    }
}

static void float_mma(struct warp *w, const struct op *op)
{
    unsigned k = op->immediate, parts = op->type == T_TF32 ? 1 : 2;
    unsigned na = 16 * k / parts / LANES, nb = 8 * k / parts / LANES;
    bool half = op->type2 == T_F16;
    float a[16 * 16], b[16 * 8], d[16 * 8];
    gather_a(w, op, parts, na, a);
    gather_b(w, op, parts, na, nb, b);
    for (unsigned lane = 0; lane < LANES; lane++)
        for (unsigned i = 0; i < 4; i++) {
            unsigned at = (lane / 4 + i / 2 * 8) * 8 + lane % 4 * 2 + i % 2;
            const uint32_t *c = ptxm_src(w, op, na + nb + (half ? i / 2 : i));
            d[at] = half ? half_value(i % 2 ? c[lane] >> 16 : c[lane] & 0xffff) : as_float(c[lane]);
        }
    ptxm_lanes()->multiply_add(d, a, b, 16, 8, (int)k);
    uint32_t packed[LANES * 2], low[LANES], high[LANES];
    if (!half) {
        for (unsigned i = 0; i < 4; i++) {
            uint32_t *out = ptxm_dst(w, op, i);
            for (unsigned lane = 0; lane < LANES; lane++) {
                float v = d[(lane / 4 + i / 2 * 8) * 8 + lane % 4 * 2 + i % 2];
                out[lane] = v != v ? 0x7fffffff : float_bits(v);
            }
        }
        return;
    }
    for (unsigned i = 0; i < 2; i++) {
        for (unsigned lane = 0; lane < LANES; lane++) {
            unsigned at = (lane / 4 + i * 8) * 8 + lane % 4 * 2;
            low[lane] = float_bits(d[at]);
            high[lane] = float_bits(d[at + 1]);
        }
        ptxm_lanes()->pack(T_F16X2, 0)(packed, high, low, low, 0);
        memcpy(ptxm_dst(w, op, i), packed, LANES * 4);
    }
}

static int32_t byte_of(uint32_t word, unsigned part, bool is_signed)
{
    uint32_t byte = word >> (8 * part) & 0xff;
    return is_signed ? (int8_t)byte : (int32_t)byte;
}

// m16n8k16, m16n8k32 and m8n8k16 of 8-bit integers: four neighbours along k in a register.
static void integer_mma(struct warp *w, const struct op *op)
{
    unsigned k = op->immediate, m = op->mode, na = m * k / 4 / LANES, nb = 8 * k / 4 / LANES;
    int32_t a[16 * 32], b[32 * 8];
    for (unsigned i = 0; i < na; i++) {
        const uint32_t *s = ptxm_src(w, op, i);
        unsigned down = m == 16 ? (i & 1) * 8 : 0, right = (m == 16 ? i / 2 : i) * 16;
        for (unsigned lane = 0; lane < LANES; lane++)
            for (unsigned p = 0; p < 4; p++)
                a[(lane / 4 + down) * k + lane % 4 * 4 + right + p] =
                    byte_of(s[lane], p, op->flags & OPF_A_SIGNED);
    }
    for (unsigned i = 0; i < nb; i++) {
        const uint32_t *s = ptxm_src(w, op, na + i);
        for (unsigned lane = 0; lane < LANES; lane++)
            for (unsigned p = 0; p < 4; p++)
                b[(lane % 4 * 4 + i * 16 + p) * 8 + lane / 4] =
                    byte_of(s[lane], p, op->flags & OPF_B_SIGNED);
    }
    for (unsigned i = 0; i < m / 4; i++) {
        const int32_t *c = ptxm_src(w, op, na + nb + i);
        int32_t result[LANES];
        for (unsigned lane = 0; lane < LANES; lane++) {
            unsigned row = lane / 4 + i / 2 * 8, column = lane % 4 * 2 + i % 2;
            int64_t sum = c[lane];
            for (unsigned x = 0; x < k; x++) sum += (int64_t)a[row * k + x] * b[x * 8 + column];
            if (op->flags & OPF_SATURATE)
                sum = sum > INT32_MAX ? INT32_MAX : sum < INT32_MIN ? INT32_MIN : sum;
            result[lane] = (int32_t)(uint32_t)(uint64_t)sum;
        }
        memcpy(ptxm_dst(w, op, i), result, sizeof result);
    }
}

// m8n8k4 of f64: a fused multiply-add for each k, in order.
static void double_mma(struct warp *w, const struct op *op)
{
    const double *a = ptxm_src(w, op, 0), *b = ptxm_src(w, op, 1);
    double result[2][LANES];
    for (unsigned i = 0; i < 2; i++) {
        const double *c = ptxm_src(w, op, 2 + i);
        for (unsigned lane = 0; lane < LANES; lane++) {
            unsigned row = lane / 4, column = lane % 4 * 2 + i;
            double sum = c[lane];
            for (unsigned k = 0; k < 4; k++) sum = fma(a[row * 4 + k], b[column * 4 + k], sum);
            result[i][lane] = sum;
        }
    }
    for (unsigned i = 0; i < 2; i++) memcpy(ptxm_dst(w, op, i), result[i], sizeof result[i]);
}

enum step_result ptxm_step_mma(struct warp *w, const struct op *op, uint32_t mask)
{
    enum step_result result = ptxm_converge(w, mask, UINT32_MAX);
    if (result != STEP_NEXT)
        return result;
    w->cta->counters.matrix_multiplies++;
    if (op->type2 == T_F64)
        double_mma(w, op);
    else if (op->type2 == T_S32)
        integer_mma(w, op);
    else
        float_mma(w, op);
    return STEP_NEXT;
}
