// SPDX-License-Identifier: MIT
// Pure ops of the evaluator, on whole tiles, with the bound of the error that goes along.
#include "eval_internal.h"

#include <math.h>

// ---- one element --------------------------------------------------------------------------------
static double unary_float(kg_opcode code, double x)
{
    switch (code) {
    case KG_OP_NEG:
        return -x;
    case KG_OP_ABS:
        return fabs(x);
    case KG_OP_EXP:
        return exp(x);
    case KG_OP_EXP2:
        return exp2(x);
    case KG_OP_LOG:
        return log(x);
    case KG_OP_LOG2:
        return log2(x);
    case KG_OP_SQRT:
        return sqrt(x);
    case KG_OP_RSQRT:
        return 1 / sqrt(x);
    case KG_OP_RCP:
        return 1 / x;
    case KG_OP_SIN:
        return sin(x);
    case KG_OP_COS:
        return cos(x);
    case KG_OP_TANH:
        return tanh(x);
    case KG_OP_SIGMOID:
        return 1 / (1 + exp(-x));
    case KG_OP_ERF:
        return erf(x);
    case KG_OP_FLOOR:
        return floor(x);
    case KG_OP_CEIL:
        return ceil(x);
    default:
        return nearbyint(x); // round
    }
}

static double binary_float(kg_opcode code, double a, double b)
{
    switch (code) {
    case KG_OP_ADD:
        return a + b;
    case KG_OP_SUB:
        return a - b;
    case KG_OP_MUL:
        return a * b;
    case KG_OP_DIV:
        return a / b;
    case KG_OP_MIN:
        return fmin(a, b);
    default:
        return fmax(a, b);
    }
}

static int64_t floor_div(int64_t a, int64_t b)
{
    int64_t q = a / b;
    return a % b != 0 && (a < 0) != (b < 0) ? q - 1 : q;
}

static int64_t binary_int(run *r, kg_op *op, int64_t a, int64_t b)
{
    int bits = kg_dtype_info_of(op->operands[0]->type.dtype)->bits;
    switch (op->code) {
    case KG_OP_ADD:
        return (int64_t)((uint64_t)a + (uint64_t)b);
    case KG_OP_SUB:
        return (int64_t)((uint64_t)a - (uint64_t)b);
    case KG_OP_MUL:
        return (int64_t)((uint64_t)a * (uint64_t)b);
    case KG_OP_DIV:
    case KG_OP_MOD:
        if (b == 0 || (b == -1 && a == INT64_MIN)) {
            eval_refuse(r, op, "a division that has no value");
            return 0;
        }
        return op->code == KG_OP_DIV ? floor_div(a, b) : a - b * floor_div(a, b);
    case KG_OP_MIN:
        return a < b ? a : b;
    case KG_OP_MAX:
        return a > b ? a : b;
    case KG_OP_AND:
        return a & b;
    case KG_OP_OR:
        return a | b;
    case KG_OP_XOR:
        return a ^ b;
    default:
        break;
    }
    if (b < 0) eval_refuse(r, op, "a negative shift");
    if (op->code == KG_OP_SHL) return b >= bits || b < 0 ? 0 : (int64_t)((uint64_t)a << b);
    return a >> (b >= bits || b < 0 ? bits - 1 : b);
}

// Of a and b: less, equal, greater; none of these for NaN.
static bool holds(kg_opcode code, bool less, bool equal, bool greater)
{
    switch (code) {
    case KG_OP_EQ:
        return equal;
    case KG_OP_NE:
        return !equal;
    case KG_OP_LT:
        return less;
    case KG_OP_LE:
        return less || equal;
    case KG_OP_GT:
        return greater;
    default:
        return greater || equal;
    }
}
#define COMPARE(code, a, b) holds(code, (a) < (b), (a) == (b), (a) > (b))

// ---- elementwise --------------------------------------------------------------------------------
static void unary(run *r, kg_op *op, const tile *a, tile *out, int64_t n)
{
    kg_dtype dtype = op->results[0]->type.dtype;
    if (!eval_is_float(dtype)) {
        for (int64_t i = 0; i < n; i++) {
            int64_t v = a->cells[i].i;
            if (op->code == KG_OP_NOT)
                v = ~v;
            else if (op->code == KG_OP_NEG || v < 0)
                v = (int64_t)(0 - (uint64_t)v);
            out->cells[i].i = eval_wrap(dtype, v);
        }
        return;
    }
    bool sign = op->code == KG_OP_NEG || op->code == KG_OP_ABS;
    bool exact = sign || op->code == KG_OP_SQRT || op->code == KG_OP_FLOOR ||
                 op->code == KG_OP_CEIL || op->code == KG_OP_ROUND;
    if (a->error > 0 && !sign) eval_refuse(r, op, "a function of an inexact value");
    double most = 1;
    for (int64_t i = 0; i < n; i++) {
        double v = unary_float(op->code, a->cells[i].f);
        most = fmax(most, fabs(v));
        out->cells[i].f = eval_round(dtype, v);
    }
    out->error = sign ? a->error : exact && dtype != KG_F64 ? 0 : most * 4e-6;
    if (!exact && dtype != KG_F32 && dtype != KG_F64) out->error += most * eval_epsilon(dtype);
}

static double binary_error(run *r, kg_op *op, const tile *a, const tile *b, const tile *out,
                           int64_t n)
{
    if (a->error == 0 && b->error == 0) return 0;
    double error = a->error + b->error;
    if (op->code == KG_OP_MUL)
        error = eval_largest(a->cells, n) * b->error + eval_largest(b->cells, n) * a->error +
                a->error * b->error;
    if (op->code == KG_OP_DIV) {
        double least = INFINITY;
        for (int64_t i = 0; i < n; i++) least = fmin(least, fabs(b->cells[i].f));
        if (b->error > 0 || least == 0) eval_refuse(r, op, "a division by an inexact value");
        error = a->error / least;
    }
    return error + eval_epsilon(op->results[0]->type.dtype) * eval_largest(out->cells, n);
}

static void binary(run *r, kg_op *op, const tile *a, const tile *b, tile *out, int64_t n)
{
    kg_dtype dtype = op->results[0]->type.dtype;
    for (int64_t i = 0; i < n; i++)
        if (eval_is_float(dtype))
            out->cells[i].f =
                eval_round(dtype, binary_float(op->code, a->cells[i].f, b->cells[i].f));
        else
            out->cells[i].i = eval_wrap(dtype, binary_int(r, op, a->cells[i].i, b->cells[i].i));
    if (eval_is_float(dtype)) out->error = binary_error(r, op, a, b, out, n);
}

static void compare(run *r, kg_op *op, const tile *a, const tile *b, tile *out, int64_t n)
{
    bool real = eval_is_float(op->operands[0]->type.dtype);
    if (a->error > 0 || b->error > 0) eval_refuse(r, op, "a comparison of inexact values");
    for (int64_t i = 0; i < n; i++)
        out->cells[i].i = real ? COMPARE(op->code, a->cells[i].f, b->cells[i].f)
                               : COMPARE(op->code, a->cells[i].i, b->cells[i].i);
}

static void cast(run *r, kg_op *op, const tile *a, tile *out, int64_t n)
{
    kg_dtype to = op->results[0]->type.dtype, from = op->operands[0]->type.dtype;
    bool real = eval_is_float(from);
    for (int64_t i = 0; i < n; i++) {
        if (eval_is_float(to)) {
            out->cells[i].f = eval_round(to, real ? a->cells[i].f : (double)a->cells[i].i);
            continue;
        }
        if (!real) {
            out->cells[i].i = to == KG_I1 ? a->cells[i].i != 0 : eval_wrap(to, a->cells[i].i);
            continue;
        }
        double v = trunc(a->cells[i].f), limit = ldexp(1, kg_dtype_info_of(to)->bits - 1);
        if (to == KG_I1 || !(v >= -limit && v < limit)) {
            eval_refuse(r, op, "a cast that does not fit");
            return;
        }
        out->cells[i].i = (int64_t)v;
    }
    out->error = a->error;
    if (a->error > 0 && !eval_is_float(to)) eval_refuse(r, op, "a cast of an inexact value");
    if (a->error > 0) out->error += eval_epsilon(to) * eval_largest(out->cells, n);
}

static void fma_tile(run *r, kg_op *op, tile *const *in, tile *out, int64_t n)
{
    kg_dtype dtype = op->results[0]->type.dtype;
    for (int64_t i = 0; i < n; i++)
        out->cells[i].f =
            eval_round(dtype, fma(in[0]->cells[i].f, in[1]->cells[i].f, in[2]->cells[i].f));
    if (in[0]->error > 0 || in[1]->error > 0) eval_refuse(r, op, "a product of inexact values");
    if (in[2]->error > 0)
        out->error = in[2]->error + eval_epsilon(dtype) * eval_largest(out->cells, n);
}

// ---- shapes -------------------------------------------------------------------------------------
static int64_t strides_of(const kg_type *type, int64_t *strides)
{
    int64_t n = 1;
    for (int d = type->rank; d-- > 0;) {
        strides[d] = n;
        n *= type->dims[d];
    }
    return n;
}

// Each element of the result comes from the operand's element at sum of coordinate * step.
static void pick(const kg_type *type, const int64_t *step, int64_t first, const tile *a, tile *out)
{
    int64_t strides[KG_MAX_RANK], n = strides_of(type, strides);
    for (int64_t e = 0; e < n; e++) {
        int64_t at = first;
        for (int d = 0; d < type->rank; d++) at += e / strides[d] % type->dims[d] * step[d];
        out->cells[e] = a->cells[at];
    }
    out->error = a->error;
}

static void reshape(kg_op *op, const tile *a, tile *out)
{
    const kg_type *from = &op->operands[0]->type, *to = &op->results[0]->type;
    int64_t strides[KG_MAX_RANK], step[KG_MAX_RANK] = {0}, first = 0;
    strides_of(from, strides);
    if (op->code == KG_OP_PART)
        first = kg_op_int(op, KG_A_FIRST, 0) * strides[kg_op_int(op, KG_A_AXIS, 0)];
    const kg_attr *perm = kg_op_attr(op, KG_A_PERM);
    for (int d = 0; d < to->rank; d++) {
        if (op->code == KG_OP_TRANSPOSE)
            step[d] = strides[perm->ints[d]];
        else if (from->rank && from->dims[d] > 1) // broadcast, part
            step[d] = strides[d];
    }
    pick(to, step, first, a, out);
}

static void iota(kg_op *op, tile *out)
{
    const kg_type *type = &op->results[0]->type;
    int64_t strides[KG_MAX_RANK], n = strides_of(type, strides), axis = kg_op_int(op, KG_A_AXIS, 0);
    for (int64_t e = 0; e < n; e++)
        out->cells[e].i = eval_wrap(type->dtype, e / strides[axis] % type->dims[axis]);
}

void eval_pure(run *r, kg_op *op)
{
    eval_result(r, op);
    tile *out = &r->tiles[op->results[0]->id], *in[3] = {0};
    int64_t n = kg_type_elements(&op->results[0]->type);
    kg_dtype dtype = op->results[0]->type.dtype;
    for (int i = 0; i < op->n_operands && i < 3; i++) in[i] = &r->tiles[op->operands[i]->id];
    switch (kg_op_info_of(op->code)->cls) {
    case KG_CLASS_U:
        unary(r, op, in[0], out, n);
        return;
    case KG_CLASS_B:
        binary(r, op, in[0], in[1], out, n);
        return;
    case KG_CLASS_C:
        compare(r, op, in[0], in[1], out, n);
        return;
    default:
        break;
    }
    switch (op->code) {
    case KG_OP_CONST:
        if (eval_is_float(dtype))
            out->cells[0].f = eval_round(dtype, kg_op_attr(op, KG_A_VALUE_FLOAT)->f);
        else
            out->cells[0].i = eval_wrap(dtype, kg_op_attr(op, KG_A_VALUE_INT)->i);
        break;
    case KG_OP_IOTA:
        iota(op, out);
        break;
    case KG_OP_CAST:
        cast(r, op, in[0], out, n);
        break;
    case KG_OP_SELECT:
        for (int64_t i = 0; i < n; i++)
            out->cells[i] = in[0]->cells[i].i ? in[1]->cells[i] : in[2]->cells[i];
        out->error = fmax(in[1]->error, in[2]->error);
        break;
    case KG_OP_FMA:
        fma_tile(r, op, in, out, n);
        break;
    case KG_OP_EXPAND:
        for (int64_t i = 0; i < n; i++) out->cells[i] = in[0]->cells[i];
        out->error = in[0]->error;
        break;
    case KG_OP_PART:
    case KG_OP_BROADCAST:
    case KG_OP_TRANSPOSE:
        reshape(op, in[0], out);
        break;
    default:
        eval_refuse(r, op, "an op that the evaluator does not know");
        break;
    }
}

// ---- along an axis ------------------------------------------------------------------------------
// Is every sum of some of these values exact, in whatever order they are added?
static double order_error(kg_dtype dtype, double magnitude, double quantum_broken)
{
    double limit = 1 / eval_epsilon(dtype); // integers up to here
    if (dtype == KG_F32 || dtype == KG_F64) limit /= 256;
    return quantum_broken == 0 && magnitude <= limit ? 0 : magnitude * eval_epsilon(dtype) * 16;
}

// 1 when v is no multiple of the quantum that order_error counts with.
static double off_quantum(kg_dtype dtype, double v)
{
    double scaled = dtype == KG_F32 || dtype == KG_F64 ? v * 256 : v;
    return scaled == nearbyint(scaled) ? 0 : 1;
}

typedef struct line {
    const cell *in;
    int64_t stride;
    int n;
} line;

static cell fold_int(kg_op *op, kg_dtype dtype, line l)
{
    int64_t v = l.in[0].i, at = 0;
    for (int i = 1; i < l.n; i++) {
        int64_t x = l.in[i * l.stride].i;
        bool better = op->code == KG_OP_ARGMAX || op->code == KG_OP_RMAX || op->code == KG_OP_CUMMAX
                          ? x > v
                          : x < v;
        switch (op->code) {
        case KG_OP_SUM:
            v = (int64_t)((uint64_t)v + (uint64_t)x);
            break;
        case KG_OP_PROD:
            v = (int64_t)((uint64_t)v * (uint64_t)x);
            break;
        case KG_OP_ANY:
            v |= x;
            break;
        case KG_OP_ALL:
            v &= x;
            break;
        default:
            if (better) v = x, at = i;
            break;
        }
    }
    bool index = op->code == KG_OP_ARGMAX || op->code == KG_OP_ARGMIN;
    return (cell){.i = index ? at : eval_wrap(dtype, v)};
}

static cell fold_float(kg_op *op, kg_dtype dtype, line l, double *error)
{
    double v = l.in[0].f, magnitude = fabs(v), broken = off_quantum(dtype, v);
    int64_t at = 0;
    for (int i = 1; i < l.n; i++) {
        double x = l.in[i * l.stride].f;
        broken += off_quantum(dtype, x);
        switch (op->code) {
        case KG_OP_SUM:
            v += x, magnitude += fabs(x);
            break;
        case KG_OP_PROD:
            v *= x, magnitude *= fmax(1, fabs(x)), broken += x != nearbyint(x);
            break;
        case KG_OP_RMAX:
        case KG_OP_ARGMAX:
            if (x > v) v = x, at = i;
            break;
        default:
            if (x < v) v = x, at = i;
            break;
        }
    }
    if (op->code == KG_OP_ARGMAX || op->code == KG_OP_ARGMIN) return (cell){.i = at};
    if (op->code == KG_OP_SUM || op->code == KG_OP_PROD)
        *error = fmax(*error, order_error(dtype, magnitude, broken));
    return (cell){.f = eval_round(dtype, v)};
}

void eval_reduce(run *r, kg_op *op)
{
    const kg_type *from = &op->operands[0]->type;
    const tile *a = &r->tiles[op->operands[0]->id];
    cell *out = eval_result(r, op);
    int axis = (int)kg_op_int(op, KG_A_AXIS, 0), length = from->dims[axis];
    int64_t strides[KG_MAX_RANK], n = strides_of(from, strides), error_lines = 0;
    double error = 0;
    for (int64_t e = 0; e < n; e++) {
        if (e / strides[axis] % length) continue; // the first of each line
        line l = {a->cells + e, strides[axis], length};
        out[error_lines++] = eval_is_float(from->dtype) ? fold_float(op, from->dtype, l, &error)
                                                        : fold_int(op, from->dtype, l);
    }
    bool keeps = op->code == KG_OP_RMAX || op->code == KG_OP_RMIN;
    if (a->error > 0 && !keeps && op->code != KG_OP_SUM)
        eval_refuse(r, op, "a reduction of inexact values");
    r->tiles[op->results[0]->id].error = error + a->error * (keeps ? 1 : length);
    r->e->steps += n;
}

void eval_scan(run *r, kg_op *op)
{
    const kg_type *type = &op->operands[0]->type;
    const tile *a = &r->tiles[op->operands[0]->id];
    cell *out = eval_result(r, op);
    int axis = (int)kg_op_int(op, KG_A_AXIS, 0);
    int64_t strides[KG_MAX_RANK], n = strides_of(type, strides);
    kg_opcode reduction = op->code == KG_OP_CUMSUM    ? KG_OP_SUM
                          : op->code == KG_OP_CUMPROD ? KG_OP_PROD
                                                      : KG_OP_RMAX;
    kg_op as = *op;
    as.code = reduction;
    double error = 0;
    if (a->error > 0) eval_refuse(r, op, "a scan of inexact values");
    for (int64_t e = 0; e < n; e++) { // each prefix anew: the plain meaning
        int64_t i = e / strides[axis] % type->dims[axis];
        line l = {a->cells + e - i * strides[axis], strides[axis], (int)i + 1};
        out[e] = eval_is_float(type->dtype) ? fold_float(&as, type->dtype, l, &error)
                                            : fold_int(&as, type->dtype, l);
    }
    r->tiles[op->results[0]->id].error = error;
    r->e->steps += n * type->dims[axis] / 2;
}

void eval_dot(run *r, kg_op *op, const tile *a, const tile *b)
{
    const kg_type *at = &op->operands[0]->type, *ct = &op->results[0]->type;
    const tile *c = &r->tiles[op->operands[2]->id];
    cell *out = eval_result(r, op);
    int64_t rows = ct->dims[0], columns = ct->dims[1], inner = at->dims[1];
    bool real = eval_is_float(at->dtype);
    double error = c->error;
    if (a->error > 0 || b->error > 0) eval_refuse(r, op, "a product of inexact values");
    for (int64_t e = 0; e < rows * columns; e++) {
        double sum = c->cells[e].f, magnitude = fabs(sum), broken = off_quantum(KG_F32, sum);
        int64_t count = c->cells[e].i;
        for (int64_t k = 0; k < inner; k++) {
            cell x = a->cells[e / columns * inner + k], y = b->cells[k * columns + e % columns];
            if (real) {
                sum += x.f * y.f;
                magnitude += fabs(x.f * y.f);
                broken += off_quantum(KG_F32, x.f * y.f);
            } else {
                count += x.i * y.i;
            }
        }
        if (real) {
            out[e].f = eval_round(KG_F32, sum);
            error = fmax(error, c->error + order_error(KG_F32, magnitude, broken));
        } else {
            out[e].i = eval_wrap(KG_I32, count);
        }
    }
    r->tiles[op->results[0]->id].error = real ? error : 0;
    r->e->steps += rows * columns * inner;
}
