// SPDX-License-Identifier: MIT
// What a producer computes: the addresses of the copies, the loops and branches around them, and
// what those depend on. All of it are scalars that no other role has a hand in.
#include "passes/specialize_internal.h"

#include <string.h>

typedef struct marker {
    kg_specializer *s;
    struct {
        kg_op **items;
        int count, capacity;
    } work, assigns;
} marker;

static bool list_assigns(kg_op *op, void *user)
{
    marker *m = user;
    if (op->code == KG_OP_ASSIGN) KG_PUSH(m->s->context->arena, &m->assigns, op);
    return true;
}

static void mark(marker *m, kg_op *op)
{
    if (!op || m->s->needed[op->id]) return;
    m->s->needed[op->id] = true;
    KG_PUSH(m->s->context->arena, &m->work, op);
}

// Every warp could do it on its own.
static bool is_private(kg_specializer *s, const kg_op *op)
{
    kg_op_class cls = kg_op_info_of(op->code)->cls;
    const kg_value *moved = op->n_results              ? op->results[0]
                            : op->code == KG_OP_ASSIGN ? op->operands[0]
                                                       : NULL;
    if (op->code == KG_OP_LOAD) {
        const kg_value *root = kg_root(op->operands[0]);
        return !moved->type.rank && root->tensor && !kg_block_writes(s->kernel->body, root);
    }
    if (op->code == KG_OP_VIEW || op->code == KG_OP_TRANSPOSE)
        return moved->type.home == KG_HOME_GLOBAL;
    if (moved && moved->type.rank) return false;
    return cls == KG_CLASS_P || cls == KG_CLASS_U || cls == KG_CLASS_B || cls == KG_CLASS_C ||
           (cls == KG_CLASS_S && op->code != KG_OP_SHARED && op->code != KG_OP_WARPS);
}

static void mark_needs(marker *m, kg_op *op)
{
    if (!is_private(m->s, op)) {
        kg_misfit_at(m->s, op, NULL,
                     "the addresses of the copies depend on this %s, which the producer cannot "
                     "compute by itself",
                     kg_op_info_of(op->code)->name);
        return;
    }
    mark(m, op->parent->owner);
    for (int i = 0; i < op->n_operands; i++)
        if (op->operands[i]->kind == KG_VALUE_RESULT) mark(m, op->operands[i]->op);
    if (op->code == KG_OP_WHILE) mark(m, op->blocks[0]->last);
    for (int i = 0; op->code == KG_OP_FRAG && i < m->assigns.count; i++)
        if (m->assigns.items[i]->operands[0] == op->results[0]) mark(m, m->assigns.items[i]);
}

static void mark_copy(marker *m, kg_op *copy)
{
    m->s->needed[copy->id] = true;
    mark(m, copy->operands[1]->op);
    mark(m, copy->parent->owner);
    while (m->work.count > 0) mark_needs(m, m->work.items[--m->work.count]);
}

// Lone copies that the producer cannot issue stay with the consumers.
static void mark_lone_copies(marker *m)
{
    kg_specializer *s = m->s;
    int kept = 0;
    for (int i = 0; i < s->lone.count; i++) {
        bool *before = KG_NEW_ARRAY(s->context->arena, bool, s->n_ops + 1);
        memcpy(before, s->needed, sizeof *before * (size_t)(s->n_ops + 1));
        for (int c = 0; c < s->lone.items[i].n_copies; c++)
            mark_copy(m, s->lone.items[i].copies[c]);
        if (!s->misfit.reason) {
            s->lone.items[kept++] = s->lone.items[i];
            continue;
        }
        s->needed = before;
        s->misfit = (kg_misfit){0};
    }
    s->lone.count = kept;
}

bool kg_specialize_slice(kg_specializer *s)
{
    marker m = {.s = s};
    s->uses = kg_uses_collect(s->context->arena, s->kernel, &s->n_values);
    kg_kernel_number(s->kernel, &s->n_ops);
    s->needed = KG_NEW_ARRAY(s->context->arena, bool, s->n_ops + 1);
    kg_walk(s->kernel->body, list_assigns, &m);
    for (int l = 0; l < s->loops.count; l++)
        for (int i = 0; i < s->loops.items[l].n_rings; i++)
            mark_copy(&m, s->loops.items[l].rings[i].copies.items[0]);
    if (!s->misfit.reason) mark_lone_copies(&m);
    return !s->misfit.reason;
}

// ---- copying -----------------------------------------------------------------------------------
// What was made since the ops got their numbers, rings and tiles, stands in front of both roles.
static bool is_needed(const kg_specializer *s, const kg_op *op)
{
    return op->id >= 0 && s->needed[op->id];
}

// Two lists of the same structure: takes out of the second what is not needed of the first.
static void sweep(const kg_specializer *s, const kg_block *original, kg_block *copy)
{
    const kg_op *from = original->first;
    for (kg_op *op = copy->first, *next; op; op = next, from = from->next) {
        next = op->next;
        if (!is_needed(s, from)) {
            kg_op_remove(op);
            continue;
        }
        for (int i = 0; i < op->n_blocks; i++) sweep(s, from->blocks[i], op->blocks[i]);
    }
}

void kg_specialize_clone(kg_specializer *s, kg_block *from, kg_block *to, kg_value **map)
{
    for (const kg_op *op = from->first; op; op = op->next) {
        if (!is_needed(s, op)) continue;
        kg_op *copy = kg_op_clone(s->kernel, op, map, s->n_values);
        kg_block_append(to, copy);
        for (int i = 0; i < op->n_blocks; i++) sweep(s, op->blocks[i], copy->blocks[i]);
    }
}
