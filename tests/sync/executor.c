// SPDX-License-Identifier: MIT
// Runs a synchronized kernel abstractly. See executor.h.
#include "executor_internal.h"

#include <stdlib.h>
#include <string.h>

// ---- scalars ------------------------------------------------------------------------------------
static int64_t floor_div(int64_t a, int64_t b)
{
    return b ? a / b - (a % b != 0 && (a < 0) != (b < 0)) : 0;
}

static bool compute(machine *m, const kg_op *op, int64_t *out)
{
    int64_t a = 0, b = 0, c = 0;
    bool ka = op->n_operands > 0 && executor_value(m, op->operands[0], &a),
         kb = op->n_operands > 1 && executor_value(m, op->operands[1], &b);
    if (op->code == KG_OP_CONST) return kg_const_int(op->results[0], out);
    if (op->code == KG_OP_SELECT)
        return ka && (a ? kb : executor_value(m, op->operands[2], &c)) && (*out = a ? b : c, true);
    if (!ka || (op->n_operands > 1 && !kb)) return false;
    switch (op->code) {
    case KG_OP_CAST:
        *out = a;
        return true;
    case KG_OP_NEG:
        *out = -a;
        return true;
    case KG_OP_NOT:
        *out = op->results[0]->type.dtype == KG_I1 ? !a : ~a;
        return true;
    case KG_OP_ADD:
        *out = a + b;
        return true;
    case KG_OP_SUB:
        *out = a - b;
        return true;
    case KG_OP_MUL:
        *out = a * b;
        return true;
    case KG_OP_DIV:
        *out = floor_div(a, b);
        return b != 0;
    case KG_OP_MOD:
        *out = a - b * floor_div(a, b);
        return b != 0;
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
    case KG_OP_SHL:
        *out = a << (b & 31);
        return true;
    case KG_OP_SHR:
        *out = a >> (b & 31);
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

static void run_scalar(machine *m, const kg_op *op)
{
    int64_t number = 0;
    if (op->code == KG_OP_FRAG || op->code == KG_OP_ASSIGN) {
        const kg_value *target = op->code == KG_OP_ASSIGN ? op->operands[0] : op->results[0];
        bool known = executor_value(m, op->operands[op->code == KG_OP_ASSIGN], &number);
        executor_set(m, target, known, number);
    } else if (op->n_results && kg_is_scalar(op->results[0])) {
        bool known = compute(m, op, &number);
        executor_set(m, op->results[0], known, number);
    }
}

// ---- synchronization ----------------------------------------------------------------------------
static void join_warps(machine *m, uint32_t warps)
{
    uint32_t *all = calloc((size_t)m->threads, sizeof *all);
    for (int t = 0; t < m->threads; t++)
        for (int u = 0; u < m->threads && warps >> t / 32 & 1; u++)
            all[u] = m->clock[t][u] > all[u] ? m->clock[t][u] : all[u];
    for (int t = 0; t < m->threads; t++) {
        if (!(warps >> t / 32 & 1)) continue;
        memcpy(m->clock[t], all, sizeof *all * (size_t)m->threads);
        m->clock[t][t]++;
    }
    free(all);
}

static void join(machine *m, int first, int count)
{
    join_warps(m, (uint32_t)(((UINT64_C(1) << count / 32) - 1) << first / 32));
}

static void join_groups(machine *m, const kg_op *op, int warps)
{
    for (int w = 0; w < warps; w++) {
        uint32_t group = kg_barrier_warps(op, w);
        if (__builtin_ctz(group) == w) join_warps(m, group);
    }
}

static void run_sync(machine *m, const kg_op *op)
{
    kg_region region = kg_op_region(op);
    int first = region.first_warp * 32, count = region.n_warps * 32;
    if (op->code == KG_OP_WARP_SYNC)
        for (int t = first; t < first + count; t += 32) join(m, t, 32);
    if (op->code == KG_OP_BARRIER) {
        const kg_attr *ids = kg_op_attr(op, KG_A_IDS);
        if (ids)
            join_groups(m, op, ids->count);
        else if (kg_op_int(op, KG_A_COUNT, 32 * (int64_t)m->kernel->warps) != count)
            executor_give_up(m); // between roles: not modelled
        else
            join(m, first, count);
    }
    if (op->code == KG_OP_COMMIT) {
        for (int i = 0; i < m->copies.count; i++) {
            copy *c = &m->copies.items[i];
            if (c->group == NOBODY && c->thread >= first && c->thread < first + count)
                c->group = m->committed[c->thread];
        }
        for (int t = first; t < first + count; t++) m->committed[t]++;
    }
    if (op->code == KG_OP_WAIT)
        executor_complete(m, first, count, (int)kg_op_int(op, KG_A_COUNT, 0));
}

// ---- control ------------------------------------------------------------------------------------
static void run_block(machine *m, const kg_block *block);

static void run_for(machine *m, const kg_op *op)
{
    int64_t lo, hi, step;
    bool known = executor_value(m, op->operands[0], &lo) & executor_value(m, op->operands[1], &hi) &
                 executor_value(m, op->operands[2], &step);
    if (!known) {
        lo = 0;
        step = 1;
        hi = executor_draw(m) % 5;
    }
    int64_t constant;
    int limit = kg_const_int(op->operands[0], &constant) && kg_const_int(op->operands[1], &constant)
                    ? CONSTANT_TRIPS
                    : m->run->trip_limit;
    if (step < 1 || (hi - lo + step - 1) / step > limit) {
        m->run->finished = false;
        m->stop = true;
        return;
    }
    for (int64_t i = lo; i < hi && !m->stop; i += step) {
        executor_set(m, op->blocks[0]->arg, true, i);
        run_block(m, op->blocks[0]);
    }
}

static void run_while(machine *m, const kg_op *op)
{
    for (int trip = 0; !m->stop; trip++) {
        int64_t go;
        run_block(m, op->blocks[0]);
        if (!executor_value(m, op->blocks[0]->last->operands[0], &go)) go = executor_draw(m) & 3;
        if (!go) return;
        if (trip >= m->run->trip_limit) {
            m->run->finished = false;
            m->stop = true;
        }
        run_block(m, op->blocks[1]);
    }
}

static void run_op(machine *m, const kg_op *op)
{
    int64_t c;
    if (++m->steps > STEP_LIMIT) {
        m->run->finished = false;
        m->stop = true;
    }
    if (kg_op_info_of(op->code)->n_effects)
        executor_accesses(m, op);
    else if (kg_op_info_of(op->code)->cls == KG_CLASS_Y)
        run_sync(m, op);
    else if (op->code == KG_OP_FOR)
        run_for(m, op);
    else if (op->code == KG_OP_WHILE)
        run_while(m, op);
    else if (op->code == KG_OP_IF)
        run_block(
            m, op->blocks[(executor_value(m, op->operands[0], &c) ? c != 0 : (executor_draw(m) & 1))
                              ? 0
                              : 1]);
    else if (op->code == KG_OP_WARPS)
        run_block(m, op->blocks[0]);
    else
        run_scalar(m, op);
}

static void run_block(machine *m, const kg_block *block)
{
    for (const kg_op *op = block->first; op && !m->stop; op = op->next) run_op(m, op);
}

static void start(machine *m)
{
    int n = kg_kernel_number(m->kernel, NULL);
    m->threads = m->kernel->warps * 32;
    m->clock = calloc((size_t)m->threads, sizeof *m->clock);
    m->committed = calloc((size_t)m->threads, sizeof *m->committed);
    for (int t = 0; t < m->threads; t++) {
        m->clock[t] = calloc((size_t)m->threads, sizeof **m->clock);
        m->clock[t][t] = 1;
    }
    m->shared = calloc((size_t)m->kernel->shared_bytes + 1, sizeof *m->shared);
    for (int64_t i = 0; i < m->kernel->shared_bytes; i++) m->shared[i].writer = NOBODY;
    m->number = calloc((size_t)n + 1, sizeof *m->number);
    m->known = calloc((size_t)n + 1, sizeof *m->known);
    for (int i = 0; i < m->kernel->n_params; i++)
        if (kg_is_scalar(m->kernel->params[i]) &&
            !kg_dtype_info_of(m->kernel->params[i]->type.dtype)->is_float)
            executor_set(m, m->kernel->params[i], true, m->run->number);
    for (int i = 0; i < m->kernel->n_grid; i++) executor_set(m, m->kernel->grid[i].value, true, 0);
}

static void finish(machine *m)
{
    for (int64_t i = 0; i < m->kernel->shared_bytes; i++) {
        free(m->shared[i].reads);
        free(m->shared[i].atomics);
    }
    for (size_t i = 0; i < m->global.size; i++)
        if (m->global.slots[i]) {
            free(m->global.slots[i]->reads);
            free(m->global.slots[i]->atomics);
            free(m->global.slots[i]);
        }
    for (int t = 0; t < m->threads; t++) free(m->clock[t]);
    free(m->clock);
    free(m->committed);
    free(m->shared);
    free(m->global.slots);
    free(m->copies.items);
    free(m->number);
    free(m->known);
}

void execute(kg_kernel *kernel, execution *run)
{
    machine m = {.kernel = kernel, .run = run, .random = run->seed * 2654435761u + 12345};
    run->finished = true;
    run->found = (finding){0};
    m.acquired = (cell){.writer = NOBODY, .written = true};
    start(&m);
    run_block(&m, kernel->body);
    if (run->finished && !run->found.what && m.copies.count)
        run->found = (finding){.what = "a copy outlasts the kernel",
                               .a = m.copies.items[0].at->write_op,
                               .thread_a = m.copies.items[0].thread,
                               .thread_b = NOBODY,
                               .place = NOBODY};
    finish(&m);
}
