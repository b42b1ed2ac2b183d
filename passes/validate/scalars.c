// SPDX-License-Identifier: MIT
// Integers that ring slots depend on, modulo a common multiple of the rings' lengths. What cannot
// be computed from others takes every residue in turn, so a slot is always known.
#include "passes/validate/model.h"

static int residue(const validator *v, int64_t number)
{
    int64_t r = number % v->modulus;
    return (int)(r < 0 ? r + v->modulus : r);
}

int scalar_value(const validator *v, const state *s, const kg_value *value)
{
    int64_t number;
    if (kg_const_int(value, &number)) return residue(v, number);
    if (value->kind == KG_VALUE_ARG) return s->index[v->loop_of[value->op->id]];
    int k = value->id >= 0 ? v->scalar_of[value->id] : -1;
    return k >= 0 && scalars_of(v, s)[k] >= 0 ? scalars_of(v, s)[k] : UNKNOWN_SCALAR;
}

static int compute(const validator *v, const state *s, const kg_op *op)
{
    int64_t m;
    int a = op->n_operands > 0 ? scalar_value(v, s, op->operands[0]) : UNKNOWN_SCALAR;
    int b = op->n_operands > 1 ? scalar_value(v, s, op->operands[1]) : UNKNOWN_SCALAR;
    if (op->code == KG_OP_ASSIGN) return b;
    if (a == UNKNOWN_SCALAR) return a;
    switch (op->code) {
    case KG_OP_FRAG:
    case KG_OP_CAST:
        return a;
    case KG_OP_NEG:
        return residue(v, -(int64_t)a);
    case KG_OP_ADD:
        return b == UNKNOWN_SCALAR ? b : residue(v, (int64_t)a + b);
    case KG_OP_SUB:
        return b == UNKNOWN_SCALAR ? b : residue(v, (int64_t)a - b);
    case KG_OP_MUL:
        return b == UNKNOWN_SCALAR ? b : residue(v, (int64_t)a * b);
    case KG_OP_MOD:
        if (kg_const_int(op->operands[1], &m) && m > 0 && v->modulus % m == 0) return (int)(a % m);
        return UNKNOWN_SCALAR;
    default:
        return UNKNOWN_SCALAR;
    }
}

// A state for each of the first `count` residues.
static void fork_residues(validator *v, state_set *out, state *s, int which, int count)
{
    for (int r = 0; r < count; r++) {
        state *copy = r + 1 < count ? state_copy(v, s) : s;
        scalars_of(v, copy)[which] = (int16_t)r;
        state_push(v, out, copy);
    }
}

// The state with this scalar, or one for each residue it may have.
static void assign(validator *v, state_set *out, state *s, int which, int number)
{
    if (number != UNKNOWN_SCALAR) {
        scalars_of(v, s)[which] = (int16_t)number;
        state_push(v, out, s);
        return;
    }
    for (int i = 0; i < v->loops.count; i++)
        s->guessed |= s->distance[i] != NOT_RUNNING && v->modulus > 1;
    fork_residues(v, out, s, which, v->modulus);
}

void validator_scalar(validator *v, state_set *set, const kg_op *op)
{
    const kg_value *target = op->code == KG_OP_ASSIGN ? op->operands[0] : op->results[0];
    int which = v->scalar_of[target->id];
    state_set out = {0};
    if (which < 0) return;
    for (int i = 0; i < set->count; i++)
        assign(v, &out, set->items[i], which, compute(v, set->items[i], op));
    *set = out;
    state_unify(v, set);
}

// A CTA's index stays below the extent of its axis.
static int residues_of(const validator *v, int param)
{
    const kg_sexpr *extent = param < 0 ? v->kernel->grid[-1 - param].extent : NULL;
    bool few = extent && extent->kind == KG_SX_INT && extent->value >= 1;
    return few && extent->value < v->modulus ? (int)extent->value : v->modulus;
}

void validator_scalar_parameters(validator *v, state_set *set)
{
    for (int i = -v->kernel->n_grid; i < v->kernel->n_params; i++) {
        const kg_value *value = i < 0 ? v->kernel->grid[-1 - i].value : v->kernel->params[i];
        int which = value->id >= 0 ? v->scalar_of[value->id] : -1;
        state_set out = {0};
        if (which < 0) continue;
        for (int k = 0; k < set->count; k++)
            fork_residues(v, &out, set->items[k], which, residues_of(v, i));
        *set = out;
    }
}

// ---- the last use -------------------------------------------------------------------------------

// By scalar, the op of the block it is defined in that contains the last use; program order.
typedef struct last_uses {
    validator *v;
    const kg_op **last;      // NULL: not known
    bool *defined, *carried; // so far; used in front of that
} last_uses;

static void note_use(const last_uses *all, const kg_value *value, const kg_op *op)
{
    int k = value && value->id >= 0 ? all->v->scalar_of[value->id] : -1;
    if (k < 0 || value->kind != KG_VALUE_RESULT) return;
    const kg_block *home = value->op->parent;
    all->defined[k] |= op == value->op;
    all->carried[k] |= !all->defined[k];
    while (op && op->parent != home) op = op->parent->owner;
    all->last[k] = op;
}

// Definitions before uses, so that one without any dies at once.
static void note_uses(const last_uses *all, const kg_block *block)
{
    const validator *v = all->v;
    for (const kg_op *op = block->first; op; op = op->next) {
        if (!v->matters[op->id]) continue;
        for (int i = 0; i < op->n_results; i++) note_use(all, op->results[i], op);
        for (int i = 0; i < op->n_operands; i++) note_use(all, op->operands[i], op);
        if (op->code == KG_OP_IF) note_use(all, v->guards[op->id].scalar, op);
        for (int i = v->first_access[op->id];
             i >= 0 && i < v->accesses.count && v->accesses.items[i].at.op == op; i++)
            note_use(all, v->accesses.items[i].at.slot, op);
        for (int i = 0; i < op->n_blocks; i++) note_uses(all, op->blocks[i]);
    }
}

// A use in a block that is not within the defining one (a condition's, of a `while`) leaves NULL.
// One in front of the definition is of what the last trip left, in programs that nobody has
// verified.
void validator_find_last_uses(validator *v)
{
    last_uses all = {.v = v,
                     .last = KG_NEW_ARRAY(v->arena, const kg_op *, v->n_scalars + 1),
                     .defined = KG_NEW_ARRAY(v->arena, bool, v->n_scalars + 1),
                     .carried = KG_NEW_ARRAY(v->arena, bool, v->n_scalars + 1)};
    v->dies = KG_NEW_ARRAY(v->arena, bool, v->n_scalars + 1);
    v->dies_too = KG_NEW_ARRAY(v->arena, int, v->n_scalars + 1);
    note_uses(&all, v->kernel->body);
    for (int k = 0; k < v->n_scalars; k++) {
        v->dies[k] = all.last[k] && !all.carried[k];
        if (!v->dies[k]) continue;
        v->dies_too[k] = v->dies_at[all.last[k]->id];
        v->dies_at[all.last[k]->id] = k;
    }
}

void validator_forget_scalars(const validator *v, state *s, const kg_op *op)
{
    for (int k = v->dies_at[op->id]; k >= 0; k = v->dies_too[k])
        scalars_of(v, s)[k] = UNUSED_SCALAR;
}
