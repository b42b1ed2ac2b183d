// SPDX-License-Identifier: MIT
// Removal of dead ops: mark from the ops that have an effect, then sweep.
//
// Effects are writes to memory, synchronization and `while` loops (which might not end). A mutable
// fragment that nobody reads takes its assignments with it; a loop or branch left empty goes; a
// shared buffer goes when nothing refers to it.
#include "passes/rewrite.h"

typedef struct assignment {
    kg_op *op;
    struct assignment *next;
} assignment;

typedef struct marker {
    kg_arena *arena;
    struct {
        kg_op **items;
        int count, capacity;
    } work;
    assignment **assigned; // by value id of the mutable fragment
    bool *live;            // by op id
    int removed;
} marker;

static void mark(marker *m, kg_op *op)
{
    if (!op || m->live[op->id])
        return;
    m->live[op->id] = true;
    KG_PUSH(m->arena, &m->work, op);
}

static bool has_effect(const kg_op *op)
{
    kg_op_class cls = kg_op_info_of(op->code)->cls;
    return cls == KG_CLASS_Y || op->code == KG_OP_WHILE || op->code == KG_OP_YIELD ||
           kg_op_writes(op);
}

static bool list_assignments(kg_op *op, void *user)
{
    marker *m = user;
    if (op->code == KG_OP_ASSIGN) {
        assignment *a = KG_NEW(m->arena, assignment);
        *a = (assignment){op, m->assigned[op->operands[0]->id]};
        m->assigned[op->operands[0]->id] = a;
    }
    return true;
}

static bool mark_effect(kg_op *op, void *user)
{
    if (has_effect(op))
        mark(user, op);
    return true;
}

static void mark_needs(marker *m, kg_op *op)
{
    if (op->parent->owner)
        mark(m, op->parent->owner);
    for (int i = 0; i < op->n_operands; i++)
        if (op->operands[i]->kind == KG_VALUE_RESULT)
            mark(m, op->operands[i]->op);
    if (op->code == KG_OP_FRAG)
        for (const assignment *a = m->assigned[op->results[0]->id]; a; a = a->next)
            mark(m, a->op);
}

static void sweep(marker *m, kg_block *block)
{
    for (kg_op *op = block->first, *next; op; op = next) {
        next = op->next;
        if (!m->live[op->id]) {
            kg_op_remove(op);
            m->removed++;
            continue;
        }
        for (int i = 0; i < op->n_blocks; i++)
            sweep(m, op->blocks[i]);
    }
}

int kg_remove_dead(kg_arena *arena, kg_kernel *kernel)
{
    int n_ops, n_values = kg_kernel_number(kernel, &n_ops);
    marker m = {.arena = arena,
                .assigned = KG_NEW_ARRAY(arena, assignment *, n_values + 1),
                .live = KG_NEW_ARRAY(arena, bool, n_ops + 1)};
    kg_walk(kernel->body, list_assignments, &m);
    kg_walk(kernel->body, mark_effect, &m);
    while (m.work.count > 0)
        mark_needs(&m, m.work.items[--m.work.count]);
    sweep(&m, kernel->body);
    return m.removed;
}
