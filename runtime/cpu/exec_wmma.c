// SPDX-License-Identifier: MIT
// wmma.load, wmma.store, wmma.mma.
//
// How a fragment lies in the registers is the implementation's choice. Here the elements of the
// matrix, row by row, fill lane after lane; an f16 operand has room for two of each and holds the
// matrix twice. Sums are made in the order of k, in f32, f64 or integers of 64 bits.
#include "shadow.h"

#include <math.h>
#include <string.h>

enum { MOST = 512 }; // elements of a matrix

struct layout {
    unsigned rows, columns, registers, parts; // parts: elements in a register
    enum type type;
};

static struct layout layout_of(char matrix, uint32_t shape, enum type type, unsigned registers)
{
    unsigned m = shape & 255, n = shape >> 8 & 255, k = shape >> 16;
    struct layout l = {matrix == 'b' ? k : m, matrix == 'a' ? k : n, registers, 1, type};
    unsigned bits = ptxm_type_bits(type);
    l.parts = bits < 32 ? 32 / bits : 1;
    return l;
}

static unsigned element_of(const struct layout *l, unsigned lane, unsigned reg, unsigned part)
{
    return ((lane * l->registers + reg) * l->parts + part) % (l->rows * l->columns);
}

// ---- memory ------------------------------------------------------------------------------------

static uint64_t base_address(const struct warp *w, const struct op *op, unsigned lane,
                             const struct layout *l, unsigned element, unsigned bytes)
{
    uint32_t stride = ((const uint32_t *)ptxm_src(w, op, op->nsrc - 2u))[lane];
    uint64_t row = element / l->columns, column = element % l->columns;
    uint64_t at = op->flags & OPF_TRANS ? column * stride + row : row * stride + column;
    return ptxm_address(w, op, lane) + at * bytes;
}

static void move_element(struct warp *w, const struct op *op, unsigned lane, uint64_t address,
                         unsigned bytes, uint8_t *value, bool store)
{
    enum access_kind kind = store ? ACCESS_WRITE : ACCESS_READ;
    struct place p = ptxm_place(w, op, lane, (enum space)op->space, address, bytes, bytes, kind);
    if (!p.host)
        return;
    if (w->cta->shadow && (p.space == SPACE_SHARED || p.space == SPACE_GLOBAL))
        ptxm_shadow_access(w, op, lane, &p, bytes, kind, store ? value : NULL);
    memcpy(store ? p.host : value, store ? value : p.host, bytes);
    if (store && p.allocation)
        memset(p.allocation->initialised + (p.address - p.allocation->base), 1, bytes);
}

static enum step_result memory(struct warp *w, const struct op *op, uint32_t mask, bool store)
{
    enum step_result result = ptxm_converge(w, mask, UINT32_MAX);
    struct layout l = layout_of((char)op->mode, op->immediate, (enum type)op->type, op->vector);
    unsigned bytes = ptxm_type_bits(l.type) / 8, word = bytes == 8 ? 8 : 4;
    if (result != STEP_NEXT)
        return result;
    FOR_LANES (lane, mask) {
        for (unsigned reg = 0; reg < l.registers; reg++) {
            uint8_t value[8] = {0};
            uint8_t *at = (uint8_t *)ptxm_operand(w, op->operands[reg]) + (size_t)lane * word;
            if (store)
                memcpy(value, at, word);
            for (unsigned part = 0; part < l.parts; part++)
                move_element(w, op, lane,
                             base_address(w, op, lane, &l, element_of(&l, lane, reg, part), bytes),
                             bytes, value + part * bytes, store);
            if (!store)
                memcpy(at, value, word);
        }
    }
    w->cta->changed |= store;
    return STEP_NEXT;
}

enum step_result ptxm_step_wmma_load(struct warp *w, const struct op *op, uint32_t mask)
{
    return memory(w, op, mask, false);
}

enum step_result ptxm_step_wmma_store(struct warp *w, const struct op *op, uint32_t mask)
{
    return memory(w, op, mask, true);
}

// ---- multiplication ----------------------------------------------------------------------------

static void to_float(float out[LANES], const uint32_t in[LANES], enum type type)
{
    uint32_t bits[LANES];
    memcpy(bits, in, sizeof bits);
    for (unsigned i = 0; type == T_TF32 && i < LANES; i++) bits[i] &= 0xffffe000;
    if (type == T_F16 || type == T_BF16)
        ptxm_lanes()->convert(T_F32, type, 0)(out, bits, bits, bits, 0);
    else
        memcpy(out, bits, sizeof bits);
}

static void gather_floats(struct warp *w, const struct op *op, unsigned first,
                          const struct layout *l, float *out)
{
    for (unsigned reg = 0; reg < l->registers; reg++)
        for (unsigned part = 0; part < l->parts; part++) {
            const uint32_t *s = ptxm_src(w, op, first + reg);
            uint32_t bits[LANES];
            float value[LANES];
            for (unsigned i = 0; i < LANES; i++)
                bits[i] = l->parts == 2 ? s[i] >> (16 * part) & 0xffff : s[i];
            to_float(value, bits, l->type);
            for (unsigned i = 0; i < LANES; i++) out[element_of(l, i, reg, part)] = value[i];
        }
}

static void scatter_floats(struct warp *w, const struct op *op, const struct layout *l,
                           const float *in)
{
    uint32_t packed[LANES * 2], value[2][LANES];
    for (unsigned reg = 0; reg < l->registers; reg++) {
        for (unsigned part = 0; part < l->parts; part++)
            for (unsigned i = 0; i < LANES; i++) {
                float v = in[element_of(l, i, reg, part)];
                memcpy(&value[part][i], &v, 4);
                if (v != v)
                    value[part][i] = 0x7fffffff;
            }
        if (l->parts == 2)
            ptxm_lanes()->pack(T_F16X2, 0)(packed, value[1], value[0], value[0], 0);
        memcpy(ptxm_dst(w, op, reg), l->parts == 2 ? packed : value[0], LANES * 4);
    }
}

struct matrices {
    struct layout a, b, c, d;
};

static void float_mma(struct warp *w, const struct op *op, const struct matrices *m)
{
    float a[MOST], b[MOST], c[MOST];
    gather_floats(w, op, 0, &m->a, a);
    gather_floats(w, op, m->a.registers, &m->b, b);
    gather_floats(w, op, m->a.registers + m->b.registers, &m->c, c);
    unsigned columns = m->c.columns, depth = m->a.columns;
    for (unsigned row = 0; row < m->c.rows; row++)
        for (unsigned k = 0; k < depth; k++)
            for (unsigned column = 0; column < columns; column++)
                c[row * columns + column] += a[row * depth + k] * b[k * columns + column];
    scatter_floats(w, op, &m->d, c);
}

static void gather_bytes(struct warp *w, const struct op *op, unsigned first,
                         const struct layout *l, int32_t *out)
{
    for (unsigned reg = 0; reg < l->registers; reg++)
        for (unsigned i = 0; i < LANES; i++)
            for (unsigned part = 0; part < 4; part++) {
                const uint32_t *s = ptxm_src(w, op, first + reg);
                uint8_t byte = (uint8_t)(s[i] >> (8 * part));
                out[element_of(l, i, reg, part)] = l->type == T_S8 ? (int8_t)byte : byte;
            }
}

static void integer_mma(struct warp *w, const struct op *op, const struct matrices *m)
{
    int32_t a[MOST], b[MOST];
    gather_bytes(w, op, 0, &m->a, a);
    gather_bytes(w, op, m->a.registers, &m->b, b);
    unsigned first = m->a.registers + m->b.registers, depth = m->a.columns;
    for (unsigned reg = 0; reg < m->d.registers; reg++) {
        const int32_t *c = ptxm_src(w, op, first + reg);
        int32_t result[LANES];
        for (unsigned i = 0; i < LANES; i++) {
            unsigned at = element_of(&m->d, i, reg, 0);
            unsigned row = at / m->d.columns, column = at % m->d.columns;
            int64_t sum = c[i];
            for (unsigned k = 0; k < depth; k++)
                sum += (int64_t)a[row * depth + k] * b[k * m->b.columns + column];
            if (op->flags & OPF_SATURATE)
                sum = sum > INT32_MAX ? INT32_MAX : sum < INT32_MIN ? INT32_MIN : sum;
            result[i] = (int32_t)(uint32_t)(uint64_t)sum;
        }
        memcpy(ptxm_dst(w, op, reg), result, sizeof result);
    }
}

static void double_mma(struct warp *w, const struct op *op, const struct matrices *m)
{
    const double *a = ptxm_src(w, op, 0), *b = ptxm_src(w, op, 1);
    double result[2][LANES];
    for (unsigned reg = 0; reg < 2; reg++) {
        const double *c = ptxm_src(w, op, 2 + reg);
        for (unsigned i = 0; i < LANES; i++) {
            unsigned at = element_of(&m->d, i, reg, 0), row = at / 8, column = at % 8;
            result[reg][i] = c[i];
            for (unsigned k = 0; k < 4; k++)
                result[reg][i] = fma(a[row * 4 + k], b[k * 8 + column], result[reg][i]);
        }
    }
    for (unsigned reg = 0; reg < 2; reg++)
        memcpy(ptxm_dst(w, op, reg), result[reg], sizeof result[reg]);
}

enum step_result ptxm_step_wmma_mma(struct warp *w, const struct op *op, uint32_t mask)
{
    enum step_result result = ptxm_converge(w, mask, UINT32_MAX);
    enum type dt = (enum type)op->type2, ct = (enum type)op->mode;
    if (result != STEP_NEXT)
        return result;
    unsigned nc = ct == T_F16 ? 4 : ct == T_F64 ? 2 : 8, na = op->vector, nb = op->nsrc - na - nc;
    struct matrices m = {
        layout_of('a', op->immediate, (enum type)op->type, na),
        layout_of('b', op->immediate, (enum type)op->type, nb),
        layout_of('c', op->immediate, ct, nc),
        layout_of('d', op->immediate, dt, op->ndst),
    };
    w->cta->counters.matrix_multiplies++;
    if (dt == T_F64)
        double_mma(w, op, &m);
    else if (dt == T_S32)
        integer_mma(w, op, &m);
    else
        float_mma(w, op, &m);
    return STEP_NEXT;
}
