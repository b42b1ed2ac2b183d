// SPDX-License-Identifier: MIT
// Do batons come round? Who waits for whom, warpgroup by warpgroup.
//
// Nobody learns anything of memory by a baton: the kernel is looked at as if there were none, and
// what is shown of all its schedules holds of those that batons leave. What a baton can do is let
// somebody wait for ever. That is shown of a second, smaller kernel: of each role that uses batons
// it has one region a warpgroup, and in them nothing but what lets them wait or go on: mbarriers,
// what counts towards them, barriers, batons as the barriers that they are, and the loops, branches
// and scalars around these.
#include "passes/validate/model.h"

typedef struct reducer {
    validator *v;
    kg_kernel *to;
    kg_value **map; // by value id; NULL: left out
    int n_values;
    int group; // of the region, that is being made; -1: not one of several
} reducer;

static bool is_baton(const kg_op *op)
{
    return op->code == KG_OP_BATON_WAIT || op->code == KG_OP_BATON_PASS;
}

static bool has_batons(const kg_block *block)
{
    for (const kg_op *op = block->first; op; op = op->next) {
        if (is_baton(op)) return true;
        for (int i = 0; i < op->n_blocks; i++)
            if (has_batons(op->blocks[i])) return true;
    }
    return false;
}

// ---- what is kept -------------------------------------------------------------------------------

static bool meets(const kg_op *op)
{
    switch (op->code) {
    case KG_OP_BARRIER:
    case KG_OP_ARRIVE:
    case KG_OP_CLUSTER_BARRIER:
    case KG_OP_BATON_WAIT:
    case KG_OP_BATON_PASS:
    case KG_OP_MBARRIER_INIT:
    case KG_OP_COPY_BULK:
        return true;
    default:
        return validator_at_mbarrier(op);
    }
}

static bool counts(const kg_op *op)
{
    if (op->code == KG_OP_ASSIGN) return kg_is_scalar(op->operands[0]);
    return op->code == KG_OP_SHARED || op->code == KG_OP_VIEW ||
           (op->n_results == 1 && kg_is_scalar(op->results[0]) &&
            !kg_op_info_of(op->code)->n_effects);
}

static bool matters_in(const kg_block *block)
{
    for (const kg_op *op = block->first; op; op = op->next) {
        if (meets(op) || op->code == KG_OP_WARPS) return true;
        if (op->code == KG_OP_ASSIGN && counts(op)) return true;
        for (int i = 0; i < op->n_blocks; i++)
            if (matters_in(op->blocks[i])) return true;
    }
    return false;
}

// By one thread for all its region's warps.
static bool is_elected(const kg_op *op)
{
    return op->code == KG_OP_MBARRIER_EXPECT || op->code == KG_OP_MBARRIER_INIT ||
           op->code == KG_OP_COPY_BULK;
}

// ---- making it ----------------------------------------------------------------------------------

static bool has_operands(const reducer *r, const kg_op *op)
{
    for (int i = 0; i < op->n_operands; i++) {
        const kg_value *v = op->operands[i];
        if (v->kind == KG_VALUE_RESULT && v->id >= 0 && !r->map[v->id]) return false;
    }
    return true;
}

static void reduce_block(reducer *r, const kg_block *from, kg_block *to);

static void put_baton(reducer *r, const kg_op *op, kg_block *to)
{
    const kg_attr *ids = kg_op_attr(op, KG_A_IDS);
    int group = r->group < 0 ? 0 : r->group;
    int64_t id = ids && group < ids->count ? ids->ints[group] : 0;
    if (!id) return;
    kg_opcode code = op->code == KG_OP_BATON_WAIT ? KG_OP_BARRIER : KG_OP_ARRIVE;
    kg_op *copy = kg_op_new(r->to, code, op->loc, 0, NULL);
    kg_op_set_int(r->to, copy, KG_A_ID, id);
    kg_op_set_int(r->to, copy, KG_A_COUNT, 2 * 128);
    kg_block_append(to, copy);
}

// A loop, branch or region without what it holds.
static kg_op *shell_of(reducer *r, const kg_op *op)
{
    kg_op *shell = kg_op_new(r->to, op->code, op->loc, op->n_operands, op->operands);
    for (int i = 0; i < op->n_operands; i++) {
        const kg_value *v = op->operands[i];
        if (v->id >= 0 && r->map[v->id]) shell->operands[i] = r->map[v->id];
    }
    if (op->code == KG_OP_WARPS) {
        kg_op_set_int(r->to, shell, KG_A_FIRST, kg_op_int(op, KG_A_FIRST, 0));
        kg_op_set_int(r->to, shell, KG_A_LAST, kg_op_int(op, KG_A_LAST, 1));
    }
    return shell;
}

static void fill_shell(reducer *r, const kg_op *op, kg_op *shell)
{
    for (int i = 0; i < op->n_blocks; i++) {
        const kg_value *index = op->blocks[i]->arg;
        kg_block *block = kg_op_add_block(r->to, shell);
        if (index) {
            block->arg = KG_NEW(r->v->arena, kg_value);
            *block->arg = *index;
            block->arg->op = shell;
            block->arg->id = -1;
            r->map[index->id] = block->arg;
        }
        reduce_block(r, op->blocks[i], block);
    }
}

static void reduce_region(reducer *r, const kg_op *op, kg_block *to)
{
    int first = (int)kg_op_int(op, KG_A_FIRST, 0), last = (int)kg_op_int(op, KG_A_LAST, 1);
    int groups = has_batons(op->blocks[0]) ? (last - first) / 4 : 1;
    for (int g = 0; g < groups; g++) {
        kg_op *shell = shell_of(r, op);
        kg_block_append(to, shell);
        r->group = groups > 1 ? g : -1;
        if (groups > 1) {
            kg_op_set_int(r->to, shell, KG_A_FIRST, first + 4 * g);
            kg_op_set_int(r->to, shell, KG_A_LAST, first + 4 * g + 4);
        }
        fill_shell(r, op, shell);
        r->group = -1;
    }
}

static void reduce_op(reducer *r, const kg_op *op, kg_block *to)
{
    for (int i = 0; i < op->n_results; i++) r->map[op->results[i]->id] = NULL;
    if (is_baton(op)) {
        put_baton(r, op, to);
    } else if (op->n_blocks) {
        if (op->code != KG_OP_WARPS && !matters_in(op->blocks[0]) &&
            (op->n_blocks < 2 || !matters_in(op->blocks[1])))
            return;
        if (op->code == KG_OP_WARPS) {
            reduce_region(r, op, to);
        } else if (!has_operands(r, op)) {
            validator_give_up(r->v, "whether batons come round depends on computed values");
        } else {
            kg_op *shell = shell_of(r, op);
            kg_block_append(to, shell);
            fill_shell(r, op, shell);
        }
    } else if (op->code == KG_OP_YIELD || meets(op) || (counts(op) && has_operands(r, op))) {
        if (r->group <= 0 || !is_elected(op))
            kg_block_append(to, kg_op_clone(r->to, op, r->map, r->n_values));
    }
}

static void reduce_block(reducer *r, const kg_block *from, kg_block *to)
{
    for (const kg_op *op = from->first; op && !r->v->stop; op = op->next) reduce_op(r, op, to);
}

kg_kernel *validator_baton_kernel(validator *v)
{
    int n_ops;
    if (!has_batons(v->kernel->body)) return NULL;
    reducer r = {.v = v, .n_values = kg_kernel_number(v->kernel, &n_ops), .group = -1};
    r.map = KG_NEW_ARRAY(v->arena, kg_value *, r.n_values + 1);
    r.to = KG_NEW(v->arena, kg_kernel);
    *r.to = *v->kernel;
    r.to->body = KG_NEW(v->arena, kg_block);
    r.to->body->kernel = r.to;
    reduce_block(&r, v->kernel->body, r.to->body);
    return r.to;
}
