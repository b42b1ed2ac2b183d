// SPDX-License-Identifier: MIT
// Clusters: what their CTAs do together, they all do, in the same trips and with the same tiles.
//
// With multicast each CTA brings its share of a tile to all; so the tile, the slot it goes to and
// the way to the copy must not depend on which CTA of the cluster this is: not on the first axis of
// the grid, along which clusters lie, and not on what is read from memory.
#include "ir/verify.h"

#include <string.h>

enum { DEEPEST = 64 };

typedef struct search {
    const kg_verifier *v;
    const kg_value *path[DEEPEST]; // values that are being looked at
    int depth;
    bool varies;
} search;

static void look_at(search *s, const kg_value *value);

// Loops and branches around an op: how often, and whether, it is executed.
static void look_around(search *s, const kg_op *op)
{
    for (op = op->parent->owner; op && !s->varies; op = op->parent->owner) {
        s->varies |= op->code == KG_OP_WHILE;
        for (int i = 0; i < op->n_operands; i++) look_at(s, op->operands[i]);
    }
}

typedef struct target {
    search *s;
    const kg_value *value;
} target;

static bool look_at_assignment(kg_op *op, void *user)
{
    target *t = user;
    if (op->code != KG_OP_ASSIGN || op->operands[0] != t->value) return true;
    look_at(t->s, op->operands[1]);
    look_around(t->s, op);
    return !t->s->varies;
}

static void look_at_op(search *s, const kg_value *value, const kg_op *op)
{
    const kg_op_info *info = kg_op_info_of(op->code);
    s->varies |= info->n_effects && op->code != KG_OP_VIEW;
    for (int i = 0; i < op->n_operands && !s->varies; i++) look_at(s, op->operands[i]);
    target t = {s, value};
    if (!s->varies && kg_is_mutable(value)) kg_walk(s->v->kernel->body, look_at_assignment, &t);
}

static void look_at(search *s, const kg_value *value)
{
    for (int i = 0; i < s->depth; i++)
        if (s->path[i] == value) return;
    if (s->varies || value->kind == KG_VALUE_PARAM) return;
    if (s->depth == DEEPEST || value == s->v->kernel->grid[0].value) {
        s->varies = true;
        return;
    }
    if (value->kind == KG_VALUE_GRID) return;
    s->path[s->depth++] = value;
    if (value->kind == KG_VALUE_RESULT)
        look_at_op(s, value, value->op);
    else if (value->kind == KG_VALUE_ARG)
        for (int i = 0; i < value->op->n_operands; i++) look_at(s, value->op->operands[i]);
    s->depth--;
}

static void check_multicast(kg_verifier *v, const kg_op *op)
{
    search s = {.v = v};
    for (int i = 0; i < op->n_operands; i++) look_at(&s, op->operands[i]);
    look_around(&s, op);
    if (s.varies)
        kg_verify_fail(v, KG_D_V203, op,
                       "the CTAs of a cluster bring a tile together, so which one, where to and "
                       "whether must not depend on the grid's first axis '%s' or on memory",
                       v->kernel->grid[0].value->name);
}

void kg_verify_cluster(kg_verifier *v, const kg_op *op)
{
    bool multicast = kg_op_int(op, KG_A_MULTICAST, 0) != 0;
    bool barrier = op->code == KG_OP_CLUSTER_BARRIER;
    if (!multicast && !barrier && !kg_op_int(op, KG_A_CLUSTER, 0)) return;
    if (!v->kernel->cluster || !v->kernel->n_grid) {
        kg_verify_fail(v, KG_D_V203, op,
                       "%s needs a cluster: say `cluster 2` in the header of a kernel with a grid",
                       barrier     ? "cluster_barrier"
                       : multicast ? "multicast"
                                   : "cluster=1");
        return;
    }
    if (barrier && op->parent->owner)
        kg_verify_fail(v, KG_D_V205, op,
                       "all threads meet at a cluster_barrier, so it stands in no region or loop");
    if (multicast) check_multicast(v, op);
}
