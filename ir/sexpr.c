// SPDX-License-Identifier: MIT
// Scalar expressions of the header: folding, evaluation with overflow checks, known divisors.
#include "ir/ir.h"

enum { LARGEST_DIVISOR = 1 << 16, DEEPEST_SEARCH = 12 };

kg_sexpr *kg_sexpr_int(kg_arena *arena, int64_t value)
{
    kg_sexpr *e = KG_NEW(arena, kg_sexpr);
    e->kind = KG_SX_INT;
    e->value = value;
    return e;
}

kg_sexpr *kg_sexpr_param(kg_arena *arena, kg_value *param)
{
    kg_sexpr *e = KG_NEW(arena, kg_sexpr);
    e->kind = KG_SX_PARAM;
    e->param = param;
    return e;
}

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b != 0 && (a < 0) != (b < 0));
}

// false: division by zero or overflow.
static bool apply(kg_sexpr_kind kind, int64_t a, int64_t b, int64_t *out)
{
    switch (kind) {
    case KG_SX_ADD: return !__builtin_add_overflow(a, b, out);
    case KG_SX_SUB: return !__builtin_sub_overflow(a, b, out);
    case KG_SX_MUL: return !__builtin_mul_overflow(a, b, out);
    case KG_SX_DIV:
    case KG_SX_MOD:
    case KG_SX_CEILDIV:
        if (b == 0 || (a == INT64_MIN && b == -1)) return false;
        *out = floor_div(a, b);
        if (kind == KG_SX_MOD) *out = a % b != 0 && (a < 0) != (b < 0) ? a % b + b : a % b;
        if (kind == KG_SX_CEILDIV && a % b != 0) ++*out;
        return true;
    case KG_SX_MIN: *out = a < b ? a : b; return true;
    case KG_SX_MAX: *out = a > b ? a : b; return true;
    case KG_SX_EQ: *out = a == b; return true;
    case KG_SX_NE: *out = a != b; return true;
    case KG_SX_LT: *out = a < b; return true;
    case KG_SX_LE: *out = a <= b; return true;
    case KG_SX_GT: *out = a > b; return true;
    case KG_SX_GE: *out = a >= b; return true;
    case KG_SX_AND: *out = a && b; return true;
    case KG_SX_OR: *out = a || b; return true;
    case KG_SX_INT:
    case KG_SX_PARAM: break;
    }
    return false;
}

kg_sexpr *kg_sexpr_binary(kg_arena *arena, kg_sexpr_kind kind, kg_sexpr *a, kg_sexpr *b)
{
    int64_t folded;
    if (a->kind == KG_SX_INT && b->kind == KG_SX_INT && apply(kind, a->value, b->value, &folded)) {
        kg_sexpr *e = kg_sexpr_int(arena, folded);
        e->loc = a->loc;
        return e;
    }
    kg_sexpr *e = KG_NEW(arena, kg_sexpr);
    e->kind = kind;
    e->a = a;
    e->b = b;
    e->loc = a->loc;
    return e;
}

bool kg_sexpr_eval(const kg_sexpr *expr, const int64_t *params, int64_t *out)
{
    if (expr->kind == KG_SX_INT) {
        *out = expr->value;
        return true;
    }
    if (expr->kind == KG_SX_PARAM) {
        *out = params[expr->param->index];
        return true;
    }
    int64_t a, b;
    if (!kg_sexpr_eval(expr->a, params, &a)) return false;
    // The right side of `and`, `or` is not looked at when the left decides: it may divide by zero.
    if (expr->kind == KG_SX_AND && !a) return *out = 0, true;
    if (expr->kind == KG_SX_OR && a) return *out = 1, true;
    return kg_sexpr_eval(expr->b, params, &b) && apply(expr->kind, a, b, out);
}

// ---- divisors ----------------------------------------------------------------------------------
static int64_t power_of_two_in(int64_t value)
{
    if (value == 0) return LARGEST_DIVISOR;
    int64_t lowest = value & -(uint64_t)value;
    return lowest > LARGEST_DIVISOR || lowest < 0 ? LARGEST_DIVISOR : lowest;
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t product(int64_t a, int64_t b)
{
    return smaller(a * b, LARGEST_DIVISOR);
}

// a / b exactly, when b is a known power of two that divides a.
static int64_t quotient(int64_t a, int64_t b)
{
    return b > 0 && (b & (b - 1)) == 0 && b <= a ? a / b : 1;
}

static bool same(const kg_sexpr *a, const kg_sexpr *b)
{
    if (a->kind != b->kind) return false;
    if (a->kind == KG_SX_INT) return a->value == b->value;
    if (a->kind == KG_SX_PARAM) return a->param == b->param;
    return same(a->a, b->a) && same(a->b, b->b);
}

// What one assumption says about the divisibility of `expr`: (expr % n) == 0, alone or joined by
// `and`.
static int64_t assumed(const kg_sexpr *assume, const kg_sexpr *expr)
{
    if (assume->kind == KG_SX_AND)
        return larger(assumed(assume->a, expr), assumed(assume->b, expr));
    if (assume->kind != KG_SX_EQ) return 1;
    const kg_sexpr *mod = assume->a, *zero = assume->b;
    if (mod->kind != KG_SX_MOD) mod = assume->b, zero = assume->a;
    if (mod->kind != KG_SX_MOD || zero->kind != KG_SX_INT || zero->value != 0) {
        if (zero->kind == KG_SX_INT && same(assume->a, expr)) return power_of_two_in(zero->value);
        return 1;
    }
    if (mod->b->kind != KG_SX_INT || !same(mod->a, expr)) return 1;
    return power_of_two_in(mod->b->value);
}

static int64_t from_assumptions(const kg_kernel *kernel, const kg_sexpr *expr)
{
    int64_t best = 1;
    for (int i = 0; i < kernel->n_assumes; i++)
        best = larger(best, assumed(kernel->assumes[i], expr));
    return best;
}

static int64_t structural(const kg_kernel *kernel, const kg_sexpr *expr)
{
    if (expr->kind == KG_SX_INT) return power_of_two_in(expr->value);
    if (expr->kind == KG_SX_PARAM || expr->kind >= KG_SX_EQ) return 1;
    int64_t a = kg_sexpr_divisor(kernel, expr->a);
    if (expr->kind == KG_SX_DIV || expr->kind == KG_SX_CEILDIV)
        return expr->b->kind == KG_SX_INT ? quotient(a, expr->b->value) : 1;
    int64_t b = kg_sexpr_divisor(kernel, expr->b);
    return expr->kind == KG_SX_MUL ? product(a, b) : smaller(a, b); // + - % min max
}

int64_t kg_sexpr_divisor(const kg_kernel *kernel, const kg_sexpr *expr)
{
    return larger(from_assumptions(kernel, expr), structural(kernel, expr));
}

static int64_t value_divisor(const kg_kernel *kernel, const kg_value *value, int depth);

static int64_t op_divisor(const kg_kernel *kernel, const kg_op *op, int depth)
{
    int64_t constant;
    int64_t a = op->n_operands > 0 ? value_divisor(kernel, op->operands[0], depth) : 1;
    int64_t b = op->n_operands > 1 ? value_divisor(kernel, op->operands[1], depth) : 1;
    switch (op->code) {
    case KG_OP_CAST: return kg_dtype_info_of(op->operands[0]->type.dtype)->is_float ? 1 : a;
    case KG_OP_ADD:
    case KG_OP_SUB:
    case KG_OP_MOD:
    case KG_OP_MIN:
    case KG_OP_MAX:
    case KG_OP_OR:
    case KG_OP_XOR: return smaller(a, b);
    case KG_OP_AND: return larger(a, b);
    case KG_OP_MUL: return product(a, b);
    case KG_OP_DIV: return kg_const_int(op->operands[1], &constant) ? quotient(a, constant) : 1;
    case KG_OP_SHL:
        if (!kg_const_int(op->operands[1], &constant)) return a;
        return constant >= 0 && constant < 16 ? product(a, (int64_t)1 << constant)
                                              : LARGEST_DIVISOR;
    case KG_OP_SELECT: return smaller(b, value_divisor(kernel, op->operands[2], depth));
    case KG_OP_NEG: return a;
    default: return 1;
    }
}

static int64_t value_divisor(const kg_kernel *kernel, const kg_value *value, int depth)
{
    int64_t constant;
    if (value->type.rank != 0 || value->type.home != KG_HOME_FRAG || depth >= DEEPEST_SEARCH)
        return 1;
    if (kg_dtype_info_of(value->type.dtype)->is_float) return 1;
    if (kg_const_int(value, &constant)) return power_of_two_in(constant);
    if (value->kind == KG_VALUE_PARAM) {
        kg_sexpr param = {.kind = KG_SX_PARAM, .param = (kg_value *)value};
        return from_assumptions(kernel, &param);
    }
    if (value->kind == KG_VALUE_ARG) // lo + i * step
        return smaller(value_divisor(kernel, value->op->operands[0], depth + 1),
                       value_divisor(kernel, value->op->operands[2], depth + 1));
    if (value->kind != KG_VALUE_RESULT) return 1;
    return op_divisor(kernel, value->op, depth + 1);
}

int64_t kg_value_divisor(const kg_kernel *kernel, const kg_value *value)
{
    return value_divisor(kernel, value, 0);
}
