// SPDX-License-Identifier: MIT
// Steps through a program with concrete numbers. See steps.h.
#include "passes/sync/steps.h"

#include <string.h>

static void step_block(kg_steps *x, const kg_block *block);

static void set(kg_steps *x, const kg_value *value, bool known, int64_t number)
{
    x->s.known[value->id] = known;
    x->s.number[value->id] = number;
}

static bool is_integer(const kg_value *v)
{
    return kg_is_scalar(v) && !kg_dtype_info_of(v->type.dtype)->is_float;
}

static bool forget(kg_op *op, void *user)
{
    kg_steps *x = user;
    if (op->code == KG_OP_ASSIGN) x->s.known[op->operands[0]->id] = false;
    return true;
}

static void step_scalar(kg_steps *x, const kg_op *op)
{
    kg_value *target = op->code == KG_OP_ASSIGN ? op->operands[0]
                       : op->n_results          ? op->results[0]
                                                : NULL;
    int64_t number = 0;
    if (!target || !is_integer(target)) return;
    bool copies = op->code == KG_OP_FRAG || op->code == KG_OP_ASSIGN;
    bool known = copies ? kg_scalars_eval(&x->s, op->operands[op->code == KG_OP_ASSIGN], &number)
                        : kg_scalars_compute(&x->s, op, &number);
    set(x, target, known, number);
}

// What may happen, once, with nothing kept of what it assigns.
static void step_uncertain(kg_steps *x, kg_block *block)
{
    if (x->strict) {
        x->failed = true;
        return;
    }
    x->uncertain++;
    kg_walk(block, forget, x);
    step_block(x, block);
    kg_walk(block, forget, x);
    x->uncertain--;
}

static void step_for(kg_steps *x, const kg_op *op)
{
    int64_t lo, hi, step;
    kg_value *index = op->blocks[0]->arg;
    if (!kg_scalars_eval(&x->s, op->operands[0], &lo) ||
        !kg_scalars_eval(&x->s, op->operands[1], &hi) || !kg_const_int(op->operands[2], &step) ||
        step <= 0) {
        set(x, index, false, 0);
        step_uncertain(x, op->blocks[0]);
        return;
    }
    for (int64_t i = lo; i < hi && !x->failed; i += step) {
        set(x, index, true, i);
        x->failed |= ++x->taken > x->limit;
        step_block(x, op->blocks[0]);
    }
}

static void step_while(kg_steps *x, const kg_op *op)
{
    int64_t again;
    while (!x->failed) {
        step_block(x, op->blocks[0]);
        if (!kg_scalars_eval(&x->s, op->blocks[0]->last->operands[0], &again)) {
            step_uncertain(x, op->blocks[1]);
            kg_walk(op->blocks[0], forget, x);
            return;
        }
        if (!again) return;
        x->failed |= ++x->taken > x->limit;
        step_block(x, op->blocks[1]);
    }
}

static void step_if(kg_steps *x, const kg_op *op)
{
    int64_t c;
    if (kg_scalars_eval(&x->s, op->operands[0], &c)) {
        if (c || op->n_blocks > 1) step_block(x, op->blocks[c ? 0 : 1]);
        return;
    }
    bool matters = x->node_of[op->id] >= 0;
    for (int i = 0; i < op->n_blocks; i++) {
        if (matters)
            step_uncertain(x, op->blocks[i]);
        else
            kg_walk(op->blocks[i], forget, x);
    }
}

static void step_op(kg_steps *x, const kg_op *op)
{
    const kg_op_info *info = kg_op_info_of(op->code);
    if (op->code == KG_OP_FOR) {
        step_for(x, op);
    } else if (op->code == KG_OP_WHILE) {
        step_while(x, op);
    } else if (op->code == KG_OP_IF) {
        step_if(x, op);
    } else if (op->code == KG_OP_WARPS) {
        int64_t first = kg_op_int(op, KG_A_FIRST, 0), last = kg_op_int(op, KG_A_LAST, first + 1);
        if (x->first_warp < last && x->last_warp > first) step_block(x, op->blocks[0]);
    } else if (info->n_effects || info->cls == KG_CLASS_Y) {
        x->failed |= ++x->taken > x->limit;
        x->visit(x, x->node_of[op->id]);
        step_scalar(x, op);
    } else {
        step_scalar(x, op);
    }
}

static void step_block(kg_steps *x, const kg_block *block)
{
    for (const kg_op *op = block->first; op && !x->failed; op = op->next) step_op(x, op);
}

void kg_steps_begin(kg_steps *x)
{
    const kg_sync_program *p = x->p;
    int n_ops;
    x->n_values = kg_kernel_number(p->kernel, &n_ops);
    x->s = (kg_scalars){.p = p};
    x->s.number = KG_NEW_ARRAY(p->arena, int64_t, x->n_values + 1);
    x->s.known = KG_NEW_ARRAY(p->arena, bool, x->n_values + 1);
    x->s.trip = KG_NEW_ARRAY(p->arena, int, p->blocks.count + 1);
    bool *frozen = KG_NEW_ARRAY(p->arena, bool, x->n_values + 1);
    memset(frozen, 1, sizeof *frozen * (size_t)x->n_values); // computed where it stands, or not
    x->s.frozen = frozen;
    x->node_of = KG_NEW_ARRAY(p->arena, int, n_ops + 1);
    memset(x->node_of, -1, sizeof *x->node_of * (size_t)n_ops);
    for (int i = 0; i < p->nodes.count; i++) x->node_of[kg_sync_node_at(p, i)->op->id] = i;
}

bool kg_steps_run(kg_steps *x, int number)
{
    const kg_kernel *kernel = x->p->kernel;
    memset(x->s.known, 0, sizeof *x->s.known * (size_t)x->n_values);
    x->taken = x->uncertain = 0;
    x->failed = false;
    for (int i = 0; i < kernel->n_params; i++)
        if (is_integer(kernel->params[i])) set(x, kernel->params[i], true, number);
    for (int i = 0; i < kernel->n_grid; i++) set(x, kernel->grid[i].value, true, 0);
    step_block(x, kernel->body);
    return !x->failed;
}

bool kg_steps_assumed(const kg_sync_program *p, int number)
{
    int64_t *params = KG_NEW_ARRAY(p->arena, int64_t, p->kernel->n_params + 1), holds;
    for (int i = 0; i < p->kernel->n_params; i++) params[i] = number;
    for (int i = 0; i < p->kernel->n_assumes; i++)
        if (!kg_sexpr_eval(p->kernel->assumes[i], params, &holds) || !holds) return false;
    return true;
}

bool kg_steps_slot(const kg_steps *x, const kg_sync_access *a, int64_t *slot)
{
    *slot = 0;
    if (a->ring == 1) return true;
    if (!a->at.slot || !kg_scalars_eval(&x->s, a->at.slot, slot)) return false;
    *slot = (*slot % a->ring + a->ring) % a->ring;
    return true;
}
