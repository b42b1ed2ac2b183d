// SPDX-License-Identifier: MIT
// Fragment layouts as maps: evaluation, comparison, slices and lifts between ranks, blocked
// layouts.
//
// The one fact that everything here rests on: within a dimension the core part of a coordinate is
// below core[d] and the repetition adds a multiple of core[d], so both combine by XOR as well as by
// addition. A coordinate is therefore f(register) XOR g(lane, warp) with g linear over GF(2), and
// questions about all threads are answered on the bits of g and the span of the register bases.
#include "ir/layout.h"
#include <string.h>

typedef struct span {
    uint64_t rows[64]; // rows[i] has i as its highest bit, or is 0
} span;

static bool zero_vector(const kg_layout *layout, int in, int bit)
{
    for (int d = 0; d < layout->rank; d++)
        if (layout->basis[in][bit][d]) return false;
    return true;
}

static void add_bit(kg_layout *layout, kg_layout_in in, int axis, int32_t step)
{
    int bit = layout->bits[in]++;
    memset(layout->basis[in][bit], 0, sizeof layout->basis[in][bit]);
    if (step) layout->basis[in][bit][axis] = step;
}

int kg_layout_registers(const kg_layout *layout)
{
    int count = 1 << layout->bits[KG_IN_REG];
    for (int d = 0; d < layout->rank; d++) count *= layout->reps[d];
    return count;
}

bool kg_layout_three_of_four(const kg_layout *layout, int d, int32_t extent, int warps)
{
    int top = layout->bits[KG_IN_WARP] - 1;
    int32_t core = layout->core[d];
    return top >= 1 && core >= 4 && layout->reps[d] == 1 && extent == core / 4 * 3 &&
           warps == 3 << (top - 1) && layout->basis[KG_IN_WARP][top][d] == core / 2 &&
           layout->basis[KG_IN_WARP][top - 1][d] == core / 4;
}

int kg_layout_threads(const kg_layout *layout)
{
    return 32 << layout->bits[KG_IN_WARP];
}

static void xor_bits(const kg_layout *layout, int in, int value, int32_t *coord)
{
    for (int bit = 0; value && bit < layout->bits[in]; bit++, value >>= 1)
        if (value & 1)
            for (int d = 0; d < layout->rank; d++) coord[d] ^= layout->basis[in][bit][d];
}

void kg_layout_coord(const kg_layout *layout, int reg, int lane, int warp, int32_t *coord)
{
    for (int d = 0; d < layout->rank; d++) coord[d] = 0;
    xor_bits(layout, KG_IN_REG, reg & ((1 << layout->bits[KG_IN_REG]) - 1), coord);
    xor_bits(layout, KG_IN_LANE, lane, coord);
    xor_bits(layout, KG_IN_WARP, warp, coord);
    int repetition = reg >> layout->bits[KG_IN_REG];
    for (int d = layout->rank - 1; d >= 0; d--) {
        coord[d] += layout->core[d] * (repetition % layout->reps[d]);
        repetition /= layout->reps[d];
    }
}

bool kg_layout_is_owner(const kg_layout *layout, int reg, int lane, int warp)
{
    const int value[KG_IN_COUNT] = {reg, lane, warp};
    if (warp >> layout->bits[KG_IN_WARP])
        return false; // bits that the layout does not know move nothing
    for (int in = 0; in < KG_IN_COUNT; in++)
        for (int bit = 0; bit < layout->bits[in]; bit++)
            if ((value[in] >> bit & 1) && zero_vector(layout, in, bit)) return false;
    return true;
}

int kg_layout_find_register(const kg_layout *layout, const int32_t *coord)
{
    int32_t found[KG_MAX_RANK];
    int repetition = 0, core = 1 << layout->bits[KG_IN_REG];
    for (int d = 0; d < layout->rank; d++) {
        if (coord[d] < 0 || coord[d] >= layout->core[d] * layout->reps[d]) return -1;
        repetition = repetition * layout->reps[d] + coord[d] / layout->core[d];
    }
    for (int reg = 0; reg < core; reg++) {
        kg_layout_coord(layout, repetition * core + reg, 0, 0, found);
        if (!memcmp(found, coord, sizeof(int32_t) * (size_t)layout->rank))
            return repetition * core + reg;
    }
    return -1;
}

static bool same_thread_bits(const kg_layout *a, const kg_layout *b, int in)
{
    int bits = a->bits[in] > b->bits[in] ? a->bits[in] : b->bits[in];
    for (int bit = 0; bit < bits; bit++)
        for (int d = 0; d < a->rank; d++) {
            int32_t x = bit < a->bits[in] ? a->basis[in][bit][d] : 0;
            int32_t y = bit < b->bits[in] ? b->basis[in][bit][d] : 0;
            if (x != y) return false;
        }
    return true;
}

static bool same_shape(const kg_layout *a, const kg_layout *b)
{
    if (a->rank != b->rank) return false;
    for (int d = 0; d < a->rank; d++)
        if (a->core[d] * a->reps[d] != b->core[d] * b->reps[d]) return false;
    return true;
}

bool kg_layout_equal(const kg_layout *a, const kg_layout *b)
{
    if (a == b) return true;
    int registers = kg_layout_registers(a);
    if (!same_shape(a, b) || registers != kg_layout_registers(b) ||
        !same_thread_bits(a, b, KG_IN_LANE) || !same_thread_bits(a, b, KG_IN_WARP))
        return false;
    for (int reg = 0; reg < registers; reg++) {
        int32_t x[KG_MAX_RANK], y[KG_MAX_RANK];
        kg_layout_coord(a, reg, 0, 0, x);
        kg_layout_coord(b, reg, 0, 0, y);
        if (memcmp(x, y, sizeof(int32_t) * (size_t)a->rank)) return false;
    }
    return true;
}

// A coordinate modulo `base`'s core as one bit vector: all that decides whether a thread of `base`
// has it.
static uint64_t pack(const kg_layout *base, const int32_t *coord)
{
    uint64_t out = 0;
    for (int d = 0; d < base->rank; d++)
        out = out * (uint64_t)base->core[d] + ((uint64_t)coord[d] & (uint64_t)(base->core[d] - 1));
    return out;
}

static bool reduce_by(const span *s, uint64_t *vector)
{
    for (int bit = 63; bit >= 0 && *vector; bit--)
        if ((*vector >> bit & 1) && s->rows[bit]) *vector ^= s->rows[bit];
    return *vector == 0;
}

static void span_add(span *s, uint64_t vector)
{
    if (reduce_by(s, &vector)) return;
    s->rows[63 - __builtin_clzll(vector)] = vector;
}

static void span_add_bits(span *s, const kg_layout *base, int in)
{
    for (int bit = 0; bit < base->bits[in]; bit++) span_add(s, pack(base, base->basis[in][bit]));
}

// Every register's coordinate of `to` (thread 0) lies in the span; repetitions finer than from's
// core count too.
static bool registers_within(const span *s, const kg_layout *from, const kg_layout *to)
{
    for (int bit = 0; bit < to->bits[KG_IN_REG]; bit++) {
        uint64_t vector = pack(from, to->basis[KG_IN_REG][bit]);
        if (!reduce_by(s, &vector)) return false;
    }
    for (int d = 0; d < to->rank; d++)
        for (int32_t step = to->core[d]; step < from->core[d]; step *= 2) {
            int32_t coord[KG_MAX_RANK] = {0};
            coord[d] = step;
            uint64_t vector = pack(from, coord);
            if (!reduce_by(s, &vector)) return false;
        }
    return true;
}

// The difference that each thread bit makes between the two layouts lies in the span.
static bool threads_within(const span *s, const kg_layout *from, const kg_layout *to, int in)
{
    int bits = from->bits[in] > to->bits[in] ? from->bits[in] : to->bits[in];
    for (int bit = 0; bit < bits; bit++) {
        uint64_t vector = bit < from->bits[in] ? pack(from, from->basis[in][bit]) : 0;
        if (bit < to->bits[in]) vector ^= pack(from, to->basis[in][bit]);
        if (!reduce_by(s, &vector)) return false;
    }
    return true;
}

int kg_layout_distance(const kg_layout *from, const kg_layout *to)
{
    if (kg_layout_equal(from, to)) return 0;
    if (!same_shape(from, to)) return 3;
    span s = {{0}};
    span_add_bits(&s, from, KG_IN_REG);
    if (registers_within(&s, from, to) && threads_within(&s, from, to, KG_IN_LANE) &&
        threads_within(&s, from, to, KG_IN_WARP))
        return 1;
    span_add_bits(&s, from, KG_IN_LANE);
    if (registers_within(&s, from, to) && threads_within(&s, from, to, KG_IN_LANE) &&
        threads_within(&s, from, to, KG_IN_WARP))
        return 2;
    return 3;
}

// ---- between ranks ------------------------------------------------------------------------------

// A register bit that moves nothing holds a second copy in the same thread: it is left out.
static void drop_zero_registers(kg_layout *layout)
{
    int kept = 0;
    for (int bit = 0; bit < layout->bits[KG_IN_REG]; bit++)
        if (!zero_vector(layout, KG_IN_REG, bit))
            memmove(layout->basis[KG_IN_REG][kept++], layout->basis[KG_IN_REG][bit],
                    sizeof layout->basis[KG_IN_REG][bit]);
    memset(layout->basis[KG_IN_REG][kept], 0,
           sizeof layout->basis[0][0] * (size_t)(layout->bits[KG_IN_REG] - kept));
    layout->bits[KG_IN_REG] = kept;
}

void kg_layout_squash(const kg_layout *parent, int axis, kg_layout *out)
{
    *out = *parent;
    out->core[axis] = out->reps[axis] = 1;
    for (int in = 0; in < KG_IN_COUNT; in++)
        for (int bit = 0; bit < out->bits[in]; bit++) out->basis[in][bit][axis] = 0;
    drop_zero_registers(out);
}

// out dimension d takes parent's dimension source[d], or is new with extent 1 when source[d] is
// negative.
static void remap(const kg_layout *parent, int rank, const int *source, kg_layout *out)
{
    memset(out, 0, sizeof *out);
    out->rank = rank;
    memcpy(out->bits, parent->bits, sizeof out->bits);
    for (int d = 0; d < rank; d++) {
        out->core[d] = source[d] < 0 ? 1 : parent->core[source[d]];
        out->reps[d] = source[d] < 0 ? 1 : parent->reps[source[d]];
        for (int in = 0; in < KG_IN_COUNT; in++)
            for (int bit = 0; bit < out->bits[in]; bit++)
                out->basis[in][bit][d] = source[d] < 0 ? 0 : parent->basis[in][bit][source[d]];
    }
}

void kg_layout_slice(const kg_layout *parent, int axis, kg_layout *out)
{
    kg_layout copy = *parent;
    int source[KG_MAX_RANK] = {0}, rank = 0;
    for (int d = 0; d < copy.rank; d++)
        if (d != axis) source[rank++] = d;
    remap(&copy, rank, source, out);
    drop_zero_registers(out);
}

void kg_layout_expand(const kg_layout *layout, int axis, kg_layout *out)
{
    kg_layout copy = *layout;
    int source[KG_MAX_RANK] = {0};
    for (int d = 0; d <= copy.rank; d++) source[d] = d == axis ? -1 : d - (d > axis);
    remap(&copy, copy.rank + 1, source, out);
}

bool kg_layout_part(const kg_layout *layout, int axis, int32_t extent, kg_layout *out)
{
    kg_layout whole = *layout;
    int32_t core = extent & -extent;
    if (core > whole.core[axis]) core = whole.core[axis];
    *out = whole;
    out->core[axis] = core;
    out->reps[axis] = extent / core;
    for (int in = KG_IN_LANE; in < KG_IN_COUNT; in++)
        for (int bit = 0; bit < whole.bits[in]; bit++)
            if (whole.basis[in][bit][axis] >= core) return false;
    out->bits[KG_IN_REG] = 0;
    memset(out->basis[KG_IN_REG], 0, sizeof out->basis[KG_IN_REG]);
    for (int bit = 0; bit < whole.bits[KG_IN_REG]; bit++) {
        const int32_t *basis = whole.basis[KG_IN_REG][bit];
        if (basis[axis] >= core) continue;
        memcpy(out->basis[KG_IN_REG][out->bits[KG_IN_REG]++], basis, sizeof whole.basis[0][0]);
    }
    return true;
}

void kg_layout_transpose(const kg_layout *layout, const int *perm, kg_layout *out)
{
    kg_layout copy = *layout;
    remap(&copy, copy.rank, perm, out);
}

// ---- blocked ------------------------------------------------------------------------------------

static int32_t power_of_two_part(int32_t n)
{
    return n & -n;
}

// Gives `bits` thread bits to the axes in order, each as far as its power-of-two part reaches (the
// first as far as `first_bits`); bits that find no axis hold copies.
static void spread_bits(kg_layout *out, kg_layout_in in, int bits, const int *axes, int n_axes,
                        int first_bits, const int32_t *shape)
{
    int next = 0;
    for (int bit = 0; bit < bits; bit++) {
        if (next == 0 && bit == first_bits) next++;
        while (next < n_axes && out->core[axes[next]] >= power_of_two_part(shape[axes[next]]))
            next++;
        if (next == n_axes) {
            add_bit(out, in, 0, 0);
            continue;
        }
        add_bit(out, in, axes[next], out->core[axes[next]]);
        out->core[axes[next]] *= 2;
    }
}

void kg_layout_spread(int rank, const int32_t *shape, int fast, int vec, const int *lane_axes,
                      int n_lane_axes, int first_bits, const int *warp_axes, int n_warp_axes,
                      int warps, kg_layout *out)
{
    memset(out, 0, sizeof *out);
    out->rank = rank;
    for (int d = 0; d < rank; d++) out->core[d] = 1;
    for (; vec > 1 && out->core[fast] < power_of_two_part(shape[fast]); vec /= 2) {
        add_bit(out, KG_IN_REG, fast, out->core[fast]);
        out->core[fast] *= 2;
    }
    spread_bits(out, KG_IN_LANE, 5, lane_axes, n_lane_axes, first_bits, shape);
    int warp_bits = 31 - __builtin_clz((unsigned)warps);
    spread_bits(out, KG_IN_WARP, warp_bits, warp_axes, n_warp_axes, warp_bits, shape);
    if (warps & (warps - 1)) // warps beyond the last power of two hold copies
        add_bit(out, KG_IN_WARP, 0, 0);
    for (int d = 0; d < rank; d++) out->reps[d] = shape[d] / out->core[d];
}

void kg_layout_blocked(int rank, const int32_t *shape, int fast, int vec, int warps, kg_layout *out)
{
    int axes[KG_MAX_RANK], n = 0;
    axes[n++] = fast;
    for (int d = rank - 1; d >= 0; d--)
        if (d != fast) axes[n++] = d;
    kg_layout_spread(rank, shape, fast, vec, axes, n, 5, axes, n, warps, out);
}
