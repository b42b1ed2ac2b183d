// SPDX-License-Identifier: MIT
// Integer scalars as a constant plus multiples of values that are not understood further: loop
// indices, parameters, results of other ops. Mutable scalars are never understood, for their value
// depends on when one asks.
#include "passes/validate/model.h"

#include <string.h>

enum { DEEPEST = 24 };

static linear unknown(void)
{
    return (linear){.known = false};
}

static linear constant(int64_t number)
{
    return (linear){.known = true, .constant = number};
}

static bool is_pure(const kg_op *op)
{
    kg_op_class cls = kg_op_info_of(op->code)->cls;
    return cls == KG_CLASS_P || cls == KG_CLASS_U || cls == KG_CLASS_B || cls == KG_CLASS_C;
}

static bool same_value(const kg_value *a, const kg_value *b, const validator *v, int depth);

// Of loops that go together, trip by trip.
static bool same_index(const validator *v, const kg_value *a, const kg_value *b)
{
    const loop_model *k = &v->loops.items[v->loop_of[a->op->id]];
    const loop_model *l = &v->loops.items[v->loop_of[b->op->id]];
    return k->partners >= 0 && k->partners == l->partners &&
           same_value(k->op->operands[0], l->op->operands[0], NULL, 0);
}

// The op may write the tensor, or lets the CTA know of what others have written. (A tensor that may
// lie on another one counts as written where that one is.)
static bool may_write(kg_op *op, void *user)
{
    const kg_value *root = user;
    const kg_op_info *info = kg_op_info_of(op->code);
    for (int i = 0; i < info->n_effects; i++) {
        const kg_effect *e = &info->effects[i];
        if (e->mode != KG_MODE_W && e->mode != KG_MODE_A) continue;
        if (e->operand == KG_OPERAND_ALL) return false;
        const kg_value *to = e->operand < op->n_operands ? kg_root(op->operands[e->operand]) : NULL;
        if (to == root || (to && to->tensor && (to->tensor->alias || root->tensor->alias)))
            return false;
    }
    return true;
}

static bool same_operands(const kg_op *a, const kg_op *b, int first, const validator *v, int depth)
{
    if (a->n_operands != b->n_operands) return false;
    for (int i = first; i < a->n_operands; i++)
        if (!same_value(a->operands[i], b->operands[i], v, depth + 1)) return false;
    return true;
}

static bool same_place(const kg_value *a, const kg_value *b, const validator *v, int depth)
{
    if (a->kind != KG_VALUE_RESULT || b->kind != KG_VALUE_RESULT) return a == b;
    const kg_op *x = a->op, *y = b->op;
    const kg_attr *i = kg_op_attr(x, KG_A_INDEX), *k = kg_op_attr(y, KG_A_INDEX);
    return x->code == KG_OP_VIEW && y->code == KG_OP_VIEW && x->operands[0] == y->operands[0] &&
           i->count == k->count && !memcmp(i->ints, k->ints, (size_t)i->count * sizeof *i->ints) &&
           same_operands(x, y, 1, v, depth);
}

// What is read of one element of a tensor that the kernel does not write, nor waits for.
static bool same_load(const kg_op *a, const kg_op *b, const validator *v, int depth)
{
    if (a->code != KG_OP_LOAD || b->code != KG_OP_LOAD || a->n_operands != 1 || b->n_operands != 1)
        return false;
    const kg_value *root = kg_root(a->operands[0]);
    return root->type.home == KG_HOME_GLOBAL &&
           same_place(a->operands[0], b->operands[0], v, depth) &&
           kg_walk(a->parent->kernel->body, may_write, (void *)root);
}

// The same integer whenever both are computed: one value, or the same arithmetic on such ones.
// Roles compute for themselves what they share. With `v`: the same in trips of roles that go
// together.
static bool same_value(const kg_value *a, const kg_value *b, const validator *v, int depth)
{
    int64_t x, y;
    if (a == b) return !kg_is_mutable(a);
    if (v && a->kind == KG_VALUE_ARG && b->kind == KG_VALUE_ARG) return same_index(v, a, b);
    if (kg_const_int(a, &x)) return kg_const_int(b, &y) && x == y && a->type.dtype == b->type.dtype;
    if (depth == DEEPEST || a->kind != KG_VALUE_RESULT || b->kind != KG_VALUE_RESULT ||
        a->op->code != b->op->code || a->type.dtype != b->type.dtype || !kg_is_scalar(a) ||
        !kg_is_scalar(b) || !a->op->n_operands)
        return false;
    if (same_load(a->op, b->op, v, depth)) return true;
    return is_pure(a->op) && same_operands(a->op, b->op, 0, v, depth);
}

bool linear_same_value(const kg_value *a, const kg_value *b)
{
    return same_value(a, b, NULL, 0);
}

bool linear_changes_in(const kg_value *value, const kg_op *loop)
{
    const kg_op *op = value->op;
    if (value->kind != KG_VALUE_RESULT && value->kind != KG_VALUE_ARG) return false;
    while (op && op != loop) op = op->parent->owner;
    if (kg_is_mutable(value)) return true; // it may be assigned there
    if (!op) return false;
    if (value->kind == KG_VALUE_ARG || !is_pure(value->op)) return true;
    for (int i = 0; i < value->op->n_operands; i++)
        if (linear_changes_in(value->op->operands[i], loop)) return true;
    return false;
}

linear linear_sum(const linear *a, const linear *b, int64_t factor)
{
    linear sum = *a;
    if (!a->known || !b->known) return unknown();
    int64_t product;
    if (__builtin_mul_overflow(b->constant, factor, &product) ||
        __builtin_add_overflow(sum.constant, product, &sum.constant))
        return unknown();
    for (int i = 0; i < b->count; i++) {
        int k = 0;
        while (k < sum.count && !same_value(sum.terms[k].value, b->terms[i].value, NULL, 0)) k++;
        if (k == MOST_TERMS || __builtin_mul_overflow(b->terms[i].factor, factor, &product))
            return unknown();
        if (k == sum.count) {
            sum.terms[k].value = b->terms[i].value;
            sum.terms[k].factor = 0;
            sum.count++;
        }
        if (__builtin_add_overflow(sum.terms[k].factor, product, &sum.terms[k].factor))
            return unknown();
        if (!sum.terms[k].factor) sum.terms[k] = sum.terms[--sum.count];
    }
    return sum;
}

static linear of(const kg_value *value, int depth)
{
    int64_t number;
    if (kg_const_int(value, &number)) return constant(number);
    if (kg_is_mutable(value) || !kg_is_scalar(value) || depth == DEEPEST) return unknown();
    linear leaf = {.known = true, .count = 1, .terms = {{value, 1}}};
    if (value->kind != KG_VALUE_RESULT) return leaf;
    const kg_op *op = value->op;
    linear zero = constant(0), a, b;
    switch (op->code) {
    case KG_OP_ADD:
    case KG_OP_SUB:
        a = of(op->operands[0], depth + 1);
        b = of(op->operands[1], depth + 1);
        a = linear_sum(&a, &b, op->code == KG_OP_ADD ? 1 : -1);
        break;
    case KG_OP_NEG:
        b = of(op->operands[0], depth + 1);
        a = linear_sum(&zero, &b, -1);
        break;
    case KG_OP_MUL:
        a = of(op->operands[0], depth + 1);
        b = of(op->operands[1], depth + 1);
        if (linear_is_constant(&b))
            a = linear_sum(&zero, &a, b.constant);
        else if (linear_is_constant(&a))
            a = linear_sum(&zero, &b, a.constant);
        else
            return leaf;
        break;
    case KG_OP_CAST:
        if (kg_dtype_info_of(op->operands[0]->type.dtype)->is_float) return leaf;
        a = of(op->operands[0], depth + 1);
        break;
    default:
        return leaf;
    }
    return a.known ? a : leaf;
}

// A value computed from a mutable scalar is a leaf of its own: it does not change any more.
linear linear_of(const kg_value *value)
{
    return value ? of(value, 0) : constant(0);
}

int64_t linear_factor(const linear *a, const kg_value *value)
{
    for (int i = 0; i < a->count; i++)
        if (a->terms[i].value == value) return a->terms[i].factor;
    return 0;
}

bool linear_correspond(const validator *v, const linear *a, const linear *b)
{
    if (!a->known || !b->known || a->constant != b->constant || a->count != b->count) return false;
    uint32_t taken = 0;
    for (int i = 0; i < a->count; i++) {
        int k = 0;
        while (k < b->count && (taken >> k & 1 || a->terms[i].factor != b->terms[k].factor ||
                                !same_value(a->terms[i].value, b->terms[k].value, v, 0)))
            k++;
        if (k == b->count) return false;
        taken |= 1u << k;
    }
    return true;
}

bool linear_is_constant(const linear *a)
{
    return a->known && a->count == 0;
}
