// SPDX-License-Identifier: MIT
// Registers under the tensor core. See registers.h.
#include "passes/sync/registers.h"

#include <string.h>

static bool is_wgmma(const kg_op *op)
{
    const kg_op_info *info = kg_op_info_of(op->code);
    return info->cls == KG_CLASS_D && info->effects[0].agent == KG_AGENT_TENSOR;
}

typedef struct finder {
    kg_sync_program *p;
    bool found;
} finder;

// acc = wgmma(..): the result has the registers of acc.
static bool note_assignment(kg_op *op, void *user)
{
    finder *f = user;
    if (op->code != KG_OP_ASSIGN) return true;
    const kg_value *value = op->operands[1];
    if (value->kind == KG_VALUE_RESULT && is_wgmma(value->op))
        f->p->fragments[value->id] = op->operands[0];
    return true;
}

static bool note_wgmma(kg_op *op, void *user)
{
    finder *f = user;
    const kg_value **of = f->p->fragments;
    if (!is_wgmma(op)) return true;
    const kg_value *result = op->results[0];
    if (!of[result->id]) of[result->id] = result;
    of[of[result->id]->id] = of[result->id];
    if (op->operands[0]->type.home == KG_HOME_FRAG) of[op->operands[0]->id] = op->operands[0];
    return true;
}

static bool any_wgmma(kg_op *op, void *user)
{
    ((finder *)user)->found |= is_wgmma(op);
    return !((finder *)user)->found;
}

void kg_sync_find_fragments(kg_sync_program *p)
{
    finder f = {.p = p};
    kg_walk(p->kernel->body, any_wgmma, &f);
    if (!f.found) return;
    int n_values = kg_kernel_number(p->kernel, NULL);
    p->fragments = KG_NEW_ARRAY(p->arena, const kg_value *, n_values + 1);
    kg_walk(p->kernel->body, note_assignment, &f);
    kg_walk(p->kernel->body, note_wgmma, &f);
}

const kg_value *kg_sync_fragment(const kg_sync_program *p, const kg_value *value)
{
    return p->fragments && value->id >= 0 ? p->fragments[value->id] : NULL;
}

// acc = wgmma(..) moves nothing: the registers have been acc's all along.
static bool only_names(const kg_sync_program *p, const kg_op *op)
{
    return op->code == KG_OP_ASSIGN && kg_sync_fragment(p, op->operands[1]) == op->operands[0];
}

// A wgmma that starts from another value than its own accumulator: that value is moved there first.
static bool starts_from(const kg_sync_program *p, const kg_op *op, int operand)
{
    return is_wgmma(op) && operand == 2 &&
           kg_sync_fragment(p, op->operands[2]) != kg_sync_fragment(p, op->results[0]);
}

// By value: the wgmma that starts from it, or NULL.
static const kg_op *started_by(const kg_sync_program *p, const kg_op *op)
{
    const kg_op *found = NULL;
    for (const kg_op *next = op->next; next && op->n_results && !found; next = next->next)
        if (is_wgmma(next) && next->operands[2] == op->results[0] && starts_from(p, next, 2))
            found = next;
    return found;
}

bool kg_sync_touches_fragments(const kg_sync_program *p, const kg_op *op)
{
    if (!p->fragments || only_names(p, op)) return false;
    for (int i = 0; i < op->n_operands; i++)
        if (kg_sync_fragment(p, op->operands[i])) return true;
    for (int i = 0; i < op->n_results; i++)
        if (kg_sync_fragment(p, op->results[i])) return true;
    return started_by(p, op) != NULL;
}

static void add(kg_sync_program *p, int node, const kg_value *fragment, const kg_effect *effect)
{
    kg_op *op = kg_sync_node_at(p, node)->op;
    kg_sync_access a = {.at = {.op = op, .effect = effect},
                        .node = node,
                        .ring = 1,
                        .global = true,
                        .registers = fragment,
                        .region = kg_op_region(op)};
    a.writes = effect->mode == KG_MODE_W;
    a.async_proxy = effect->agent == KG_AGENT_TENSOR;
    a.group = kg_sync_group_of(effect->completes);
    a.async = a.group != KG_GROUP_NONE;
    if (a.async) p->has_async[a.group] = true;
    KG_PUSH(p->arena, &p->accesses, a);
}

static const kg_effect by_tensor[] = {
    {0, KG_MODE_R, KG_PROXY_ASYNC, KG_AGENT_TENSOR, KG_COMPLETES_WGMMA_GROUP},
    {0, KG_MODE_W, KG_PROXY_ASYNC, KG_AGENT_TENSOR, KG_COMPLETES_WGMMA_GROUP}};
static const kg_effect by_thread[] = {
    {0, KG_MODE_R, KG_PROXY_GENERIC, KG_AGENT_THREAD, KG_COMPLETES_ISSUE},
    {0, KG_MODE_W, KG_PROXY_GENERIC, KG_AGENT_THREAD, KG_COMPLETES_ISSUE}};

void kg_sync_add_registers(kg_sync_program *p, int node)
{
    const kg_op *op = kg_sync_node_at(p, node)->op;
    if (!p->fragments || !kg_sync_touches_fragments(p, op)) return;
    if (is_wgmma(op)) {
        const kg_value *a = kg_sync_fragment(p, op->operands[0]);
        if (a && op->operands[0]->type.home == KG_HOME_FRAG) add(p, node, a, &by_tensor[0]);
        add(p, node, kg_sync_fragment(p, op->results[0]), &by_tensor[1]);
        return;
    }
    bool assigns = op->code == KG_OP_ASSIGN;
    for (int i = assigns; i < op->n_operands; i++)
        if (kg_sync_fragment(p, op->operands[i]))
            add(p, node, kg_sync_fragment(p, op->operands[i]), &by_thread[0]);
    if (assigns && kg_sync_fragment(p, op->operands[0]))
        add(p, node, kg_sync_fragment(p, op->operands[0]), &by_thread[1]);
    for (int i = 0; i < op->n_results; i++)
        if (kg_sync_fragment(p, op->results[i]))
            add(p, node, kg_sync_fragment(p, op->results[i]), &by_thread[1]);
    const kg_op *start = started_by(p, op);
    if (start) add(p, node, kg_sync_fragment(p, start->results[0]), &by_thread[1]);
}

bool kg_sync_registers_conflict(const kg_sync_access *a, const kg_sync_access *b)
{
    if (a->registers != b->registers || (!a->writes && !b->writes)) return false;
    return a->async_proxy != b->async_proxy; // the tensor core's own order, the thread's own order
}

kg_fence kg_sync_register_fence(const kg_sync_access *a, const kg_sync_access *b)
{
    return !a->async_proxy && b->async_proxy ? KG_FENCE_REGISTERS : KG_FENCE_NONE;
}
