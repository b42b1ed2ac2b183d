// SPDX-License-Identifier: MIT
// mma.sync: a warp multiplies fragments that its lanes hold in registers.
//
// The maps from (lane, register, part) to (row, column) are those of the ISA. A register of A or B
// holds `parts` neighbours along k. Register i of A covers rows + 8 for odd i (16 rows) and, for
// every second pair of registers, the next 4 * parts of k.
#include "wgmma.h"

#include <math.h>
#include <string.h>

static unsigned parts_of(enum type type)
{
    return 32 / ptxm_type_bits(type);
}

// Where element k of a row of A stands among the spread registers (lanes.h, struct matrix_step).
void ptxm_fragment_offsets(int *offset, unsigned k, unsigned parts, unsigned registers_a_step)
{
    for (unsigned i = 0; i < k; i++) {
        unsigned within = i % (4 * parts), step = i / (4 * parts);
        offset[i] = (int)((step * registers_a_step * parts + within % parts) * LANES +
                          within / parts);
    }
}

// B of a block of eight columns: column l / 4 is in lane l, rows as in A.
static void gather_b(struct warp *w, const struct op *op, unsigned first, unsigned k, float *b)
{
    enum type type = (enum type)op->type2;
    unsigned parts = parts_of(type);
    for (unsigned i = 0; i * 4 * parts < k; i++) {
        float spread[8 * LANES];
        ptxm_lanes()->spread(spread, ptxm_src(w, op, first + i), type);
        for (unsigned x = 0; x < 4; x++)
            for (unsigned p = 0; p < parts; p++) {
                const float *from = spread + p * LANES + x;
                float *to = b + ((i * 4 + x) * parts + p) * 8;
                for (unsigned j = 0; j < 4; j++) {
                    to[j] = from[8 * j];
                    to[4 + j] = from[8 * j + 4];
                }
            }
    }
}

struct fragments {
    float a[8 * 8 * LANES], b[MATRIX_MOST_K * 8], d[4][LANES];
    float *registers[4];
    int offsets[MATRIX_MOST_K];
};

// op.mode: rows; op.immediate: k; op.type, type2: of A and B.
static void multiply(struct warp *w, const struct op *op, struct fragments *f)
{
    unsigned m = op->mode, k = op->immediate, parts = parts_of((enum type)op->type);
    unsigned na = m * k / parts / LANES;
    for (unsigned i = 0; i < na; i++)
        ptxm_lanes()->spread(f->a + i * parts * LANES, ptxm_src(w, op, i), (enum type)op->type);
    gather_b(w, op, na, k, f->b);
    ptxm_fragment_offsets(f->offsets, k, parts, m / 8);
    for (unsigned i = 0; i < 4; i++) f->registers[i] = f->d[i];
    struct matrix_step step = {.d = f->registers, .a = f->a, .b = f->b, .k_offset = f->offsets,
                               .row_stride = 4, .half_stride = (int)(parts * LANES),
                               .rows = (int)m, .n = 8, .k = (int)k};
    ptxm_lanes()->multiply(&step);
}

static unsigned first_of_c(const struct op *op)
{
    unsigned k = op->immediate, parts = parts_of((enum type)op->type);
    return (op->mode + 8) * k / parts / LANES;
}

// op.vector: bits of an accumulator, flags: OPF_UNIFORM when C has 16 bits.
static void float_mma(struct warp *w, const struct op *op)
{
    const struct lane_table *lanes = ptxm_lanes();
    struct fragments f;
    unsigned c = first_of_c(op);
    for (unsigned i = 0; i < 4; i++) {
        if (op->flags & OPF_UNIFORM && i < 2)
            lanes->spread(f.d[2 * i], ptxm_src(w, op, c + i), T_F16);
        else if (!(op->flags & OPF_UNIFORM))
            memcpy(f.d[i], ptxm_src(w, op, c + i), sizeof f.d[i]);
    }
    multiply(w, op, &f);
    for (unsigned i = 0; i < op->ndst; i++) {
        if (op->vector == 16) {
            lanes->halves(ptxm_dst(w, op, i), f.d[2 * i], f.d[2 * i + 1]);
        } else {
            lanes->canonical(f.d[i]);
            memcpy(ptxm_dst(w, op, i), f.d[i], sizeof f.d[i]);
        }
    }
}

static void integer_mma(struct warp *w, const struct op *op)
{
    struct fragments f;
    uint32_t d[4][LANES];
    unsigned c = first_of_c(op);
    memset(f.d, 0, sizeof f.d);
    multiply(w, op, &f);
    for (unsigned i = 0; i < op->ndst; i++) {
        memcpy(d[i], ptxm_src(w, op, c + i), sizeof d[i]);
        ptxm_lanes()->add_integers(d[i], f.d[i], op->flags & OPF_SATURATE);
    }
    for (unsigned i = 0; i < op->ndst; i++) memcpy(ptxm_dst(w, op, i), d[i], sizeof d[i]);
}

// Bits, m8n8k128, m16n8k128 and m16n8k256: the sum over k of popc(a op b); OPF_NEGATE for xor.
static void bit_mma(struct warp *w, const struct op *op)
{
    unsigned m = op->mode, k = op->immediate, na = m * k / 32 / LANES, step = m / 8;
    unsigned nb = k / 128, c = na + nb;
    uint32_t result[4][LANES];
    for (unsigned i = 0; i < op->ndst; i++)
        for (unsigned lane = 0; lane < LANES; lane++) {
            unsigned row = lane / 4, column = lane % 4 * 2 + i % 2;
            uint32_t sum = ((const uint32_t *)ptxm_src(w, op, c + i))[lane];
            for (unsigned word = 0; word < k / 32; word++) {
                const uint32_t *a = ptxm_src(w, op, word / 4 * step + i / 2);
                const uint32_t *b = ptxm_src(w, op, na + word / 4);
                uint32_t x = a[row * 4 + word % 4], y = b[column * 4 + word % 4];
                sum += (uint32_t)__builtin_popcount(op->flags & OPF_NEGATE ? x ^ y : x & y);
            }
            result[i][lane] = sum;
        }
    for (unsigned i = 0; i < op->ndst; i++) memcpy(ptxm_dst(w, op, i), result[i], LANES * 4);
}

// f64, m8n8k4 and m16n8k4, k8, k16: a fused multiply-add for each k, in order.
static void double_mma(struct warp *w, const struct op *op)
{
    unsigned m = op->mode, k = op->immediate, step = m / 8, na = step * k / 4, c = na + k / 4;
    double result[4][LANES];
    for (unsigned i = 0; i < op->ndst; i++)
        for (unsigned lane = 0; lane < LANES; lane++) {
            unsigned row = lane / 4, column = lane % 4 * 2 + i % 2;
            double sum = ((const double *)ptxm_src(w, op, c + i))[lane];
            for (unsigned x = 0; x < k; x++) {
                const double *a = ptxm_src(w, op, x / 4 * step + i / 2);
                const double *b = ptxm_src(w, op, na + x / 4);
                sum = fma(a[row * 4 + x % 4], b[column * 4 + x % 4], sum);
            }
            result[i][lane] = sum;
        }
    for (unsigned i = 0; i < op->ndst; i++) memcpy(ptxm_dst(w, op, i), result[i], LANES * 8);
}

enum step_result ptxm_step_mma(struct warp *w, const struct op *op, uint32_t mask)
{
    enum step_result result = ptxm_converge(w, mask, UINT32_MAX);
    if (result != STEP_NEXT)
        return result;
    w->cta->counters.matrix_multiplies++;
    w->cta->counters.multiply_adds += op->mode * 8u * op->immediate;
    if (op->type == T_F64)
        double_mma(w, op);
    else if (op->type == T_B1)
        bit_mma(w, op);
    else if (ptxm_type_class((enum type)op->type) == 'f')
        float_mma(w, op);
    else
        integer_mma(w, op);
    return STEP_NEXT;
}
