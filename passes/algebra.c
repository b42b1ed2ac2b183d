// SPDX-License-Identifier: MIT
// Algebra on one op: constants, and identities that hold to the last bit.
//
// No float result ever changes: x * 1 and x - 0 are exact, x + 0 is not (-0 + 0 is +0), x * 0 is
// not (infinity, NaN). A mutable operand may have changed by the time the result is used, so it is
// never given back, and never reached through another op.
#include "passes/fold_internal.h"

static kg_value *steady(kg_value *value)
{
    return kg_is_mutable(value) ? NULL : value;
}

// The op that computes the value, when it is of that opcode and all its operands hold still.
static kg_op *made_by(kg_value *value, kg_opcode code)
{
    if (value->kind != KG_VALUE_RESULT || value->op->code != code)
        return NULL;
    for (int i = 0; i < value->op->n_operands; i++)
        if (kg_is_mutable(value->op->operands[i]))
            return NULL;
    return value->op;
}

// `value` stands for the op's result only if it has its type and holds still.
static kg_value *as_result(const kg_op *op, kg_value *value)
{
    const kg_type *type = &op->results[0]->type;
    return value && kg_type_equal(&value->type, type) ? steady(value) : NULL;
}

static kg_value *constant_tile(kg_kernel *kernel, kg_op *op, const kg_constant *constant)
{
    kg_place place = kg_place_before(kernel, op);
    kg_type type = op->results[0]->type;
    kg_value *scalar = kg_make_constant(&place, constant);
    if (type.rank == 0)
        return scalar;
    kg_op *tile = kg_make(&place, KG_OP_BROADCAST, 1, &scalar);
    int64_t shape[KG_MAX_RANK];
    for (int d = 0; d < type.rank; d++)
        shape[d] = type.dims[d];
    kg_op_set_ints(kernel, tile, KG_A_SHAPE, type.rank, shape);
    return kg_op_result(kernel, tile, type, NULL);
}

static kg_value *int_tile(kg_kernel *kernel, kg_op *op, int64_t value)
{
    return constant_tile(kernel, op,
                         &(kg_constant){.dtype = op->results[0]->type.dtype, .i = value});
}

static bool all_constant(kg_kernel *kernel, kg_op *op, kg_value **out)
{
    kg_constant in[3], result;
    if (op->n_operands < 1 || op->n_operands > 3)
        return false;
    for (int i = 0; i < op->n_operands; i++)
        if (!kg_constant_of(op->operands[i], &in[i]))
            return false;
    if (!kg_constant_eval(op, in, &result))
        return false;
    *out = constant_tile(kernel, op, &result);
    return true;
}

// ---- identities of binary ops ------------------------------------------------------------------
// Constants of commutative ops go to the right, where the identities look for them.
static void constant_right(kg_op *op)
{
    kg_constant c;
    switch (op->code) {
    case KG_OP_ADD:
    case KG_OP_MUL:
    case KG_OP_AND:
    case KG_OP_OR:
    case KG_OP_XOR:
    case KG_OP_MIN:
    case KG_OP_MAX:
    case KG_OP_EQ:
    case KG_OP_NE: break;
    default: return;
    }
    if (kg_constant_of(op->operands[0], &c) && !kg_constant_of(op->operands[1], &c)) {
        kg_value *a = op->operands[0];
        op->operands[0] = op->operands[1];
        op->operands[1] = a;
    }
}

// (x + c1) + c2, (x * c1) * c2 and the like, on integer scalars: wrapping arithmetic is
// associative.
static void associate(kg_kernel *kernel, kg_op *op, const kg_constant *right)
{
    if (op->code != KG_OP_ADD && op->code != KG_OP_MUL && op->code != KG_OP_AND &&
        op->code != KG_OP_OR && op->code != KG_OP_XOR)
        return;
    kg_op *inner = made_by(op->operands[0], op->code);
    kg_constant in[2], out;
    if (!inner || op->results[0]->type.rank != 0 || !kg_constant_of(inner->operands[1], &in[0]))
        return;
    in[1] = *right;
    if (!kg_constant_eval(op, in, &out))
        return;
    kg_place place = kg_place_before(kernel, op);
    op->operands[0] = inner->operands[0];
    op->operands[1] = kg_make_constant(&place, &out);
}

static kg_value *int_right(kg_kernel *kernel, kg_op *op, int64_t c)
{
    kg_value *x = op->operands[0];
    bool ones = c == -1 || (c == 1 && x->type.dtype == KG_I1);
    switch (op->code) {
    case KG_OP_ADD:
    case KG_OP_SUB:
    case KG_OP_SHL:
    case KG_OP_SHR:
    case KG_OP_XOR: return c == 0 ? x : NULL;
    case KG_OP_OR: return c == 0 ? x : ones ? int_tile(kernel, op, c) : NULL;
    case KG_OP_AND: return ones ? x : c == 0 ? int_tile(kernel, op, 0) : NULL;
    case KG_OP_MUL: return c == 1 ? x : c == 0 ? int_tile(kernel, op, 0) : NULL;
    case KG_OP_DIV: return c == 1 ? x : NULL;
    case KG_OP_MOD: return c == 1 ? int_tile(kernel, op, 0) : NULL;
    default: return NULL;
    }
}

static kg_value *float_right(kg_op *op, double c)
{
    bool zero = c == 0, minus = zero && 1 / c < 0;
    switch (op->code) {
    case KG_OP_ADD: return minus ? op->operands[0] : NULL;
    case KG_OP_SUB: return zero && !minus ? op->operands[0] : NULL;
    case KG_OP_MUL:
    case KG_OP_DIV: return c == 1 ? op->operands[0] : NULL;
    default: return NULL;
    }
}

// x op x
static kg_value *same_operands(kg_kernel *kernel, kg_op *op, bool is_float)
{
    switch (op->code) {
    case KG_OP_MIN:
    case KG_OP_MAX:
    case KG_OP_AND:
    case KG_OP_OR: return op->operands[0];
    case KG_OP_SUB:
    case KG_OP_XOR:
    case KG_OP_NE:
    case KG_OP_LT:
    case KG_OP_GT: return is_float ? NULL : int_tile(kernel, op, 0);
    case KG_OP_EQ:
    case KG_OP_LE:
    case KG_OP_GE: return is_float ? NULL : int_tile(kernel, op, 1);
    default: return NULL;
    }
}

static kg_value *binary(kg_kernel *kernel, kg_op *op)
{
    constant_right(op);
    bool is_float = kg_dtype_info_of(op->operands[0]->type.dtype)->is_float;
    if (op->operands[0] == op->operands[1])
        return same_operands(kernel, op, is_float);
    kg_constant c;
    if (!kg_constant_of(op->operands[1], &c))
        return NULL;
    if (is_float)
        return float_right(op, c.f);
    if (op->operands[0]->type.dtype != KG_I1)
        associate(kernel, op, &c);
    return kg_constant_of(op->operands[1], &c) ? int_right(kernel, op, c.i) : NULL;
}

// ---- shape ops and casts -----------------------------------------------------------------------
static int significant_bits(kg_dtype dtype)
{
    switch (dtype) {
    case KG_F16: return 11;
    case KG_BF16: return 8;
    case KG_F32: return 24;
    case KG_F64: return 53;
    default: return 0;
    }
}

// Every value of `from` exists in `to`, so that a cast through it changes nothing.
static bool cast_is_exact(kg_dtype from, kg_dtype to)
{
    const kg_dtype_info *a = kg_dtype_info_of(from), *b = kg_dtype_info_of(to);
    if (from == KG_I1 || to == KG_I1)
        return false;
    if (!a->is_float)
        return b->is_float ? a->bits - 1 <= significant_bits(to) : a->bits <= b->bits;
    return significant_bits(from) > 0 && (to == KG_F64 || (to == KG_F32 && a->bits == 16));
}

static kg_value *cast(kg_op *op)
{
    kg_dtype to = op->results[0]->type.dtype;
    if (op->operands[0]->type.dtype == to)
        return op->operands[0];
    kg_op *inner = made_by(op->operands[0], KG_OP_CAST);
    if (inner && to != KG_I1 &&
        cast_is_exact(inner->operands[0]->type.dtype, op->operands[0]->type.dtype)) {
        op->operands[0] = inner->operands[0];
        return op->operands[0]->type.dtype == to ? op->operands[0] : NULL;
    }
    return NULL;
}

static kg_value *select(kg_op *op)
{
    kg_constant c;
    if (op->operands[1] == op->operands[2])
        return op->operands[1];
    return kg_constant_of(op->operands[0], &c) ? op->operands[c.i ? 1 : 2] : NULL;
}

static kg_value *transpose(kg_kernel *kernel, kg_op *op)
{
    kg_value *from = op->operands[0];
    const kg_attr *perm = kg_op_attr(op, KG_A_PERM);
    int order[KG_MAX_RANK], rank = from->type.rank;
    bool identity = true;
    for (int d = 0; d < rank; d++) {
        order[d] = perm ? (int)perm->ints[d] : rank - 1 - d;
        identity &= order[d] == d;
    }
    kg_constant c;
    if (identity)
        return from;
    if (from->type.home == KG_HOME_FRAG && kg_constant_of(from, &c))
        return constant_tile(kernel, op, &c);
    if (!made_by(from, KG_OP_TRANSPOSE))
        return NULL;
    kg_place place = kg_place_before(kernel, op);
    return kg_make_transpose(&place, from, order);
}

static kg_value *broadcast(kg_op *op)
{
    kg_op *inner = made_by(op->operands[0], KG_OP_BROADCAST);
    if (inner && inner->operands[0]->type.rank == 0)
        op->operands[0] = inner->operands[0];
    return op->operands[0];
}

static kg_value *expand(kg_kernel *kernel, kg_op *op)
{
    kg_constant c;
    return kg_constant_of(op->operands[0], &c) ? constant_tile(kernel, op, &c) : NULL;
}

// A reduction of equal elements, where no rounding is involved.
static kg_value *reduction(kg_kernel *kernel, kg_op *op)
{
    kg_constant c;
    if (op->code != KG_OP_RMAX && op->code != KG_OP_RMIN && op->code != KG_OP_ANY &&
        op->code != KG_OP_ALL)
        return NULL;
    return kg_constant_of(op->operands[0], &c) ? constant_tile(kernel, op, &c) : NULL;
}

static kg_value *simpler(kg_kernel *kernel, kg_op *op)
{
    switch (kg_op_info_of(op->code)->cls) {
    case KG_CLASS_B:
    case KG_CLASS_C: return binary(kernel, op);
    case KG_CLASS_R: return reduction(kernel, op);
    default: break;
    }
    switch (op->code) {
    case KG_OP_CAST: return cast(op);
    case KG_OP_SELECT: return select(op);
    case KG_OP_TRANSPOSE: return transpose(kernel, op);
    case KG_OP_BROADCAST: return broadcast(op);
    case KG_OP_EXPAND: return expand(kernel, op);
    case KG_OP_PART:
        return kg_shape_equal(&op->results[0]->type, &op->operands[0]->type) ? op->operands[0]
                                                                             : NULL;
    case KG_OP_NEG:
    case KG_OP_NOT: {
        kg_op *inner = made_by(op->operands[0], op->code);
        return inner ? inner->operands[0] : NULL;
    }
    default: return NULL;
    }
}

kg_value *kg_fold_algebra(kg_kernel *kernel, kg_op *op)
{
    kg_value *constant = NULL;
    if (all_constant(kernel, op, &constant))
        return constant;
    return as_result(op, simpler(kernel, op));
}
