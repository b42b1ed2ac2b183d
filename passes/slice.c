// SPDX-License-Identifier: MIT
// The slice of a pipelined loop: the ops that the copies' addresses need, repeated for other
// iterations.
#include "passes/fold_internal.h"
#include "passes/pipeline_internal.h"

// ---- splitting ---------------------------------------------------------------------------------
static void hoist_invariants(kg_staged_loop *s)
{
    kg_block *body = s->loop->blocks[0];
    for (kg_op *op = body->first, *next; op; op = next) {
        next = op->next;
        bool still = s->sliced[op->id] && op->results[0]->type.home == KG_HOME_FRAG;
        for (int i = 0; still && i < op->n_operands; i++) {
            const kg_value *v = op->operands[i];
            still = v != body->arg && !(v->kind == KG_VALUE_RESULT && kg_op_within(v->op, s->loop));
        }
        if (!still)
            continue;
        s->sliced[op->id] = false;
        kg_op_remove(op);
        kg_block_insert_before(s->loop, op);
    }
}

typedef struct marks {
    kg_slice *slice;
    bool *near, *far; // by op id
} marks;

static kg_op *sliced_op(const marks *m, const kg_value *value)
{
    bool known = value->kind == KG_VALUE_RESULT && value->op->id >= 0;
    return known && m->slice->s->sliced[value->op->id] ? value->op : NULL;
}

static void mark_far(marks *m, const kg_value *value)
{
    kg_op *op = sliced_op(m, value);
    if (!op || m->far[op->id])
        return;
    m->far[op->id] = true;
    for (int i = 0; i < op->n_operands; i++)
        mark_far(m, op->operands[i]);
}

static void carry(marks *m, kg_op *load)
{
    kg_slice *slice = m->slice;
    for (int i = 0; i < slice->carried.count; i++)
        if (slice->carried.items[i].load == load)
            return;
    mark_far(m, load->results[0]);
    KG_PUSH(slice->s->arena, &slice->carried, ((kg_carried){load, NULL}));
}

static void mark_near(marks *m, const kg_value *value)
{
    kg_op *op = sliced_op(m, value);
    if (!op || m->near[op->id])
        return;
    if (op->code == KG_OP_LOAD) {
        carry(m, op);
        return;
    }
    m->near[op->id] = true;
    for (int i = 0; i < op->n_operands; i++)
        mark_near(m, op->operands[i]);
}

static void mark_copy(marks *m, const kg_value *buffer, const kg_op *copy)
{
    const kg_value *destination = copy->operands[0];
    mark_near(m, copy->operands[1]);
    for (int i = 1; destination != buffer && i < destination->op->n_operands; i++)
        mark_near(m, destination->op->operands[i]);
}

kg_slice kg_slice_split(kg_staged_loop *s)
{
    kg_slice slice = {.s = s};
    marks m = {&slice, KG_NEW_ARRAY(s->arena, bool, s->n_ops + 1),
               KG_NEW_ARRAY(s->arena, bool, s->n_ops + 1)};
    hoist_invariants(s);
    for (int i = 0; i < s->found.count; i++)
        for (int c = 0; c < s->found.items[i].copies.count; c++)
            mark_copy(&m, s->found.items[i].buffer, s->found.items[i].copies.items[c]);
    for (kg_op *op = s->loop->blocks[0]->first; op; op = op->next) {
        if (m.near[op->id])
            KG_PUSH(s->arena, &slice.near, op);
        if (m.far[op->id])
            KG_PUSH(s->arena, &slice.far, op);
    }
    return slice;
}

// ---- repeating ---------------------------------------------------------------------------------
kg_repeat kg_repeat_for(const kg_slice *slice, kg_place place, kg_value *index)
{
    kg_repeat r = {slice, place, KG_NEW_ARRAY(slice->s->arena, kg_value *, slice->s->n_values + 1)};
    r.map[slice->s->loop->blocks[0]->arg->id] = index;
    return r;
}

kg_value *kg_repeat_value(const kg_repeat *r, kg_value *value)
{
    bool mapped = value->id >= 0 && value->id < r->slice->s->n_values && r->map[value->id];
    return mapped ? r->map[value->id] : value;
}

static void repeat(kg_repeat *r, const kg_op *op)
{
    if (r->map[op->results[0]->id])
        return; // in both halves
    kg_op *copy = kg_op_clone(r->place.kernel, op, r->map, r->slice->s->n_values);
    copy->results[0]->name = NULL; // the author's name stays with the body's own value
    kg_place_op(&r->place, copy);
    if (copy->code == KG_OP_LOAD || copy->results[0]->type.home != KG_HOME_FRAG)
        return;
    kg_value *simpler = kg_fold_algebra(r->place.kernel, copy); // the index may be a constant
    if (simpler) {
        kg_op_remove(copy);
        r->map[op->results[0]->id] = simpler;
    }
}

void kg_repeat_far(kg_repeat *r)
{
    for (int i = 0; i < r->slice->far.count; i++)
        repeat(r, r->slice->far.items[i]);
}

void kg_repeat_near(kg_repeat *r)
{
    for (int i = 0; i < r->slice->near.count; i++)
        repeat(r, r->slice->near.items[i]);
}

void kg_repeat_use_carried(kg_repeat *r)
{
    for (int i = 0; i < r->slice->carried.count; i++)
        r->map[r->slice->carried.items[i].load->results[0]->id] = r->slice->carried.items[i].next;
}
