// SPDX-License-Identifier: MIT
// Layouts of matmul operands: the fragments of mma.sync as the PTX ISA draws them, tiled over
// registers and warps, and a register-blocked layout for dots that run on FMA.
//
// Register bits of an accumulator, lowest first: column 1, row 8, further columns, further rows.
// Those of an A operand: columns within the instruction with row 8 among them, further columns,
// further rows; so an accumulator whose warps are split along M is, register for register, the A
// operand of a following dot.
#include "ir/access.h"
#include <string.h>

enum { M, N, K = 1 }; // dimensions: accumulator [M, N], A operand [M, K]

static void add_bit(kg_layout *layout, kg_layout_in in, int axis, int32_t step)
{
    int bit = layout->bits[in]++;
    memset(layout->basis[in][bit], 0, sizeof layout->basis[in][bit]);
    if (step) layout->basis[in][bit][axis] = step;
}

static int32_t power_of_two_part(int32_t n)
{
    return n & -n;
}

static void start(kg_layout *out)
{
    memset(out, 0, sizeof *out);
    out->rank = 2;
    out->core[0] = out->core[1] = out->reps[0] = out->reps[1] = 1;
}

// Bits of `in` for steps from, 2 from, ... below to along an axis.
static void add_run(kg_layout *out, kg_layout_in in, int axis, int32_t from, int32_t to)
{
    for (int32_t step = from; step < to; step *= 2) add_bit(out, in, axis, step);
}

// Warps take the top bits of what the core leaves: whole blocks of rows and of columns.
static void finish_warps(kg_layout *out, int m, int n, int warps_m, int warps_n)
{
    out->core[M] = power_of_two_part(m);
    out->core[N] = power_of_two_part(n);
    add_run(out, KG_IN_WARP, M, out->core[M] / warps_m, out->core[M]);
    add_run(out, KG_IN_WARP, N, out->core[N] / warps_n, out->core[N]);
    out->reps[M] = m / out->core[M];
    out->reps[N] = n / out->core[N];
}

static int32_t smaller(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

// FMA: up to four columns a thread, lanes 8 by columns and 4 by rows where the tile allows, rest in
// registers.
static bool fma_acc(int m, int n, int warps_m, int warps_n, kg_layout *out)
{
    int32_t rows = power_of_two_part(m) / warps_m, columns = power_of_two_part(n) / warps_n;
    if (!rows || !columns) return false;
    int32_t lanes_n = smaller(columns, 8), lanes_m = smaller(rows, 32 / lanes_n);
    lanes_n = smaller(columns, 32 / lanes_m);
    int32_t vec = smaller(columns / lanes_n, 4);
    add_run(out, KG_IN_REG, N, 1, vec);
    add_run(out, KG_IN_LANE, N, vec, vec * lanes_n);
    add_run(out, KG_IN_LANE, M, 1, lanes_m);
    while (out->bits[KG_IN_LANE] < 5) add_bit(out, KG_IN_LANE, 0, 0);
    add_run(out, KG_IN_REG, N, vec * lanes_n, columns);
    add_run(out, KG_IN_REG, M, lanes_m, rows);
    finish_warps(out, m, n, warps_m, warps_n);
    return true;
}

static bool power_of_two(int n)
{
    return n > 0 && (n & (n - 1)) == 0;
}

// wgmma.m64nNk16 C: as mma.m16n8, warp w of a warpgroup 16 w rows further. What a warpgroup has
// beyond 64 rows are products of their own, so its rows come in steps of 64. Of three warpgroups
// along M each has what it would have as one of four: see ir/layout.h, three of four.
static bool wgmma_acc(int m, int n, int warps_m, int warps_n, kg_layout *out)
{
    if (warps_m == 12) {
        if (m % 3) return false;
        warps_m = 16;
        m = m / 3 * 4;
        if (!power_of_two(m)) return false;
    }
    int32_t groups_m = warps_m / 4, columns = power_of_two_part(n) / warps_n;
    if (warps_m % 4 || power_of_two_part(m) < 64 * groups_m || n / warps_n > 256 ||
        (warps_n > 1 && !power_of_two(n)))
        return false;
    add_bit(out, KG_IN_REG, N, 1);
    add_bit(out, KG_IN_REG, M, 8);
    add_run(out, KG_IN_LANE, N, 2, 8);
    add_run(out, KG_IN_LANE, M, 1, 8);
    add_run(out, KG_IN_REG, N, 8, columns);
    add_run(out, KG_IN_REG, M, 64, power_of_two_part(m) / groups_m);
    add_run(out, KG_IN_WARP, M, 16, 64);
    finish_warps(out, m, n, groups_m, warps_n);
    return true;
}

bool kg_layout_dot_acc(kg_dot_kind kind, int m, int n, int warps_m, int warps_n, kg_layout *out)
{
    start(out);
    bool three = kind == KG_DOT_WGMMA && warps_m == 12 && warps_n == 1;
    if (m <= 0 || n <= 0 || !(three || power_of_two(warps_m)) || !power_of_two(warps_n))
        return false;
    if (three && n >= 8 && n % 8 == 0) return wgmma_acc(m, n, warps_m, warps_n, out);
    if (three) return false;
    if (kind == KG_DOT_FMA) return fma_acc(m, n, warps_m, warps_n, out);
    int32_t rows = power_of_two_part(m) / warps_m, columns = power_of_two_part(n) / warps_n;
    if (rows < 16 || columns < 8) return false;
    if (kind == KG_DOT_WGMMA) return wgmma_acc(m, n, warps_m, warps_n, out);
    add_bit(out, KG_IN_REG, N, 1); // mma.m16n8 C: two columns, then row + 8
    add_bit(out, KG_IN_REG, M, 8);
    add_run(out, KG_IN_LANE, N, 2, 8);
    add_run(out, KG_IN_LANE, M, 1, 8);
    add_run(out, KG_IN_REG, N, 8, columns);
    add_run(out, KG_IN_REG, M, 16, rows);
    finish_warps(out, m, n, warps_m, warps_n);
    return true;
}

// The operand that shares dimension `acc_dim` with the accumulator: which bits move along it is the
// accumulator's affair; K is spread by the instruction over the lanes that move along the other
// dimension. dim and k_dim are the operand's.
typedef struct operand {
    const kg_layout *acc;
    kg_layout *out;
    int acc_dim, dim, k_dim, k;
} operand;

static void copy_bits(const operand *o, kg_layout_in in, int32_t from, int32_t below)
{
    for (int bit = 0; bit < o->acc->bits[in]; bit++) {
        int32_t step = o->acc->basis[in][bit][o->acc_dim];
        if (in != KG_IN_REG && !step)
            add_bit(o->out, in, 0, 0);
        else if (step >= from && step < below)
            add_bit(o->out, in, o->dim, step);
    }
}

static void finish_operand(const operand *o)
{
    kg_layout *out = o->out;
    copy_bits(o, KG_IN_WARP, 1, INT32_MAX);
    out->core[o->dim] = o->acc->core[o->acc_dim];
    out->reps[o->dim] = o->acc->reps[o->acc_dim];
    out->core[o->k_dim] = power_of_two_part(o->k);
    out->reps[o->k_dim] = o->k / out->core[o->k_dim];
}

// FMA: a thread holds all of K for each of its rows (or columns).
static void fma_operand(const operand *o)
{
    copy_bits(o, KG_IN_LANE, 1, INT32_MAX);
    add_run(o->out, KG_IN_REG, o->k_dim, 1, power_of_two_part(o->k));
    copy_bits(o, KG_IN_REG, 1, INT32_MAX);
    finish_operand(o);
}

// How an instruction spreads K: `pack` consecutive elements in a register, 4 lanes, then a second
// register.
static int32_t k_pack(kg_dot_kind kind)
{
    return kind == KG_DOT_MMA_I8 ? 4 : kind == KG_DOT_MMA_F16 || kind == KG_DOT_WGMMA ? 2 : 1;
}

void kg_layout_dot_a(kg_dot_kind kind, const kg_layout *acc, int k, kg_layout *out)
{
    const operand o = {.acc = acc, .out = out, .acc_dim = M, .dim = M, .k_dim = K, .k = k};
    start(out);
    if (kind == KG_DOT_FMA) {
        fma_operand(&o);
        return;
    }
    int32_t pack = k_pack(kind);
    add_run(out, KG_IN_REG, K, 1, pack);
    add_bit(out, KG_IN_REG, M, 8);
    add_run(out, KG_IN_REG, K, pack * 4, power_of_two_part(k));
    add_run(out, KG_IN_LANE, K, pack, pack * 4);
    add_run(out, KG_IN_LANE, M, 1, 8);
    copy_bits(&o, KG_IN_REG, 16, INT32_MAX);
    finish_operand(&o);
}

void kg_layout_dot_b(kg_dot_kind kind, const kg_layout *acc, int k, kg_layout *out)
{
    const operand o = {.acc = acc, .out = out, .acc_dim = N, .dim = N, .k_dim = 0, .k = k};
    start(out);
    if (kind == KG_DOT_FMA) {
        fma_operand(&o);
        return;
    }
    int32_t pack = k_pack(kind);
    add_run(out, KG_IN_REG, 0, 1, pack);
    add_run(out, KG_IN_REG, 0, pack * 4, power_of_two_part(k));
    add_run(out, KG_IN_LANE, 0, pack, pack * 4);
    add_run(out, KG_IN_LANE, N, 1, 8);
    copy_bits(&o, KG_IN_REG, 8, INT32_MAX);
    finish_operand(&o);
}

kg_dot_kind kg_dot_kind_of(const kg_op *dot)
{
    const kg_type *a = &dot->operands[0]->type, *b = &dot->operands[1]->type;
    if (dot->code == KG_OP_WGMMA) return KG_DOT_WGMMA;
    kg_dtype acc = dot->results[0]->type.dtype;
    int32_t m = a->dims[0], k = a->dims[1], n = b->dims[1];
    if (a->dtype != b->dtype || m % 16 || n % 8) return KG_DOT_FMA;
    if ((a->dtype == KG_F16 || a->dtype == KG_BF16) && acc == KG_F32 && k % 16 == 0)
        return KG_DOT_MMA_F16;
    if (a->dtype == KG_I8 && acc == KG_I32 && k % 32 == 0) return KG_DOT_MMA_I8;
    if (a->dtype == KG_TF32 && acc == KG_F32 && k % 8 == 0) return KG_DOT_MMA_TF32;
    return KG_DOT_FMA;
}

bool kg_wgmma_is_fresh(const kg_op *op)
{
    const kg_value *acc = op->operands[2];
    if (acc->kind != KG_VALUE_RESULT || acc->op->code != KG_OP_BROADCAST) return false;
    const kg_value *from = acc->op->operands[0];
    if (from->kind != KG_VALUE_RESULT || from->op->code != KG_OP_CONST) return false;
    const kg_attr *number = kg_op_attr(from->op, KG_A_VALUE_FLOAT);
    return number && number->f == 0 && !__builtin_signbit(number->f);
}
