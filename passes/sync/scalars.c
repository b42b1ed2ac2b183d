// SPDX-License-Identifier: MIT
// Evaluates scalar integers of a program whose run-time values are tried out. See scalars.h.
#include "passes/sync/scalars.h"

// ---- leaves -------------------------------------------------------------------------------------
static struct kg_decided *decided(const kg_scalars *s, kg_leaf *leaf)
{
    return &leaf->decided[leaf->value && leaf->loop >= 0 ? s->trip[leaf->loop] & 1 : 0];
}

static void decide(const kg_scalars *s, struct kg_decided *of, bool number, int64_t at)
{
    struct kg_decision x = {of, *of, number, at, s->moment};
    KG_PUSH(s->p->arena, s->decisions, x);
    of->least = number ? at : at + 1;
    if (number) of->most = at;
}

int64_t kg_leaf_number(const kg_scalars *s, kg_leaf *leaf)
{
    struct kg_decided *of = decided(s, leaf);
    if (!s->decisions) return leaf->low;
    if (of->least < of->most) decide(s, of, true, of->least);
    return of->least;
}

bool kg_leaf_exceeds(const kg_scalars *s, kg_leaf *leaf, int64_t than)
{
    struct kg_decided *of = decided(s, leaf);
    if (of->least <= than && than < of->most) decide(s, of, false, than);
    return of->least > than;
}

void kg_decisions_begin(kg_scalars *s, kg_decisions *decisions)
{
    s->decisions = decisions;
    for (int i = 0; i < s->leaves.count; i++) {
        kg_leaf *leaf = &s->leaves.items[i];
        struct kg_decided all = {leaf->low, leaf->low + leaf->count - 1};
        leaf->decided[0] = leaf->decided[1] = all;
    }
}

bool kg_decisions_next(kg_decisions *decisions)
{
    for (; decisions->count; decisions->count--) {
        struct kg_decision *x = &decisions->items[decisions->count - 1];
        bool yes = x->of->least > x->at; // what it was answered last
        *x->of = x->before;
        if (x->number && x->at < x->before.most) {
            x->of->least = x->of->most = ++x->at;
            return true;
        }
        if (!x->number && yes) {
            x->of->most = x->at;
            return true;
        }
    }
    return false;
}

kg_leaf *kg_scalars_leaf(const kg_scalars *s, const kg_value *value)
{
    for (int i = 0; i < s->leaves.count; i++)
        if (s->leaves.items[i].value && kg_same_value(s->leaves.items[i].value, value))
            return &s->leaves.items[i];
    return NULL;
}

static int64_t floor_div(int64_t a, int64_t b)
{
    int64_t q = a / b;
    return q - (a % b != 0 && (a < 0) != (b < 0));
}

static bool fold(kg_opcode code, int64_t a, int64_t b, int64_t *out)
{
    switch (code) {
    case KG_OP_ADD:
        return !__builtin_add_overflow(a, b, out);
    case KG_OP_SUB:
        return !__builtin_sub_overflow(a, b, out);
    case KG_OP_MUL:
        return !__builtin_mul_overflow(a, b, out);
    case KG_OP_DIV:
        return b > 0 && (*out = floor_div(a, b), true);
    case KG_OP_MOD:
        return b > 0 && (*out = a - b * floor_div(a, b), true);
    case KG_OP_MIN:
        *out = a < b ? a : b;
        return true;
    case KG_OP_MAX:
        *out = a > b ? a : b;
        return true;
    case KG_OP_AND:
        *out = a & b;
        return true;
    case KG_OP_OR:
        *out = a | b;
        return true;
    case KG_OP_XOR:
        *out = a ^ b;
        return true;
    case KG_OP_EQ:
        *out = a == b;
        return true;
    case KG_OP_NE:
        *out = a != b;
        return true;
    case KG_OP_LT:
        *out = a < b;
        return true;
    case KG_OP_LE:
        *out = a <= b;
        return true;
    case KG_OP_GT:
        *out = a > b;
        return true;
    case KG_OP_GE:
        *out = a >= b;
        return true;
    default:
        return false;
    }
}

static bool is_truth(const kg_value *v)
{
    return v->type.dtype == KG_I1;
}

bool kg_scalars_compute(const kg_scalars *s, const kg_op *op, int64_t *out)
{
    int64_t a, b, c;
    if (op->code == KG_OP_CONST) return kg_const_int(op->results[0], out);
    if (op->code == KG_OP_CAST) return kg_scalars_eval(s, op->operands[0], out);
    if (op->code == KG_OP_NOT && is_truth(op->results[0]))
        return kg_scalars_eval(s, op->operands[0], &a) && (*out = !a, true);
    if (op->code == KG_OP_NEG) return kg_scalars_eval(s, op->operands[0], &a) && (*out = -a, true);
    if (op->code == KG_OP_SELECT)
        return kg_scalars_eval(s, op->operands[0], &c) &&
               kg_scalars_eval(s, op->operands[c ? 1 : 2], out);
    if (op->n_operands != 2) return false;
    bool ka = kg_scalars_eval(s, op->operands[0], &a), kb = kg_scalars_eval(s, op->operands[1], &b);
    if (is_truth(op->results[0]) && (op->code == KG_OP_AND || op->code == KG_OP_OR)) {
        int64_t decides = op->code == KG_OP_OR;
        if ((ka && a == decides) || (kb && b == decides)) return *out = decides, true;
    }
    return ka && kb && fold(op->code, a, b, out);
}

bool kg_scalars_eval(const kg_scalars *s, kg_value *value, int64_t *out)
{
    if (s->known[value->id]) {
        *out = s->number[value->id];
        return true;
    }
    if (!kg_is_scalar(value) || kg_dtype_info_of(value->type.dtype)->is_float ||
        kg_is_mutable(value))
        return false;
    kg_leaf *leaf = kg_scalars_leaf(s, value);
    if (leaf) {
        *out = kg_leaf_number(s, leaf);
        return true;
    }
    return value->kind == KG_VALUE_RESULT && !s->frozen[value->id] &&
           kg_scalars_compute(s, value->op, out);
}

static bool mark_follower(kg_op *op, void *user)
{
    bool *follows = user;
    for (int i = 0; i < op->n_results; i++)
        for (int k = 0; k < op->n_operands; k++)
            follows[op->results[i]->id] |=
                op->operands[k]->id >= 0 &&
                (follows[op->operands[k]->id] || kg_is_mutable(op->operands[k]));
    return true;
}

void kg_scalars_mark_followers(const kg_kernel *kernel, bool *follows)
{
    kg_walk(kernel->body, mark_follower, follows);
}
