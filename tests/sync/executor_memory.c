// SPDX-License-Identifier: MIT
// Memory of the executor: who wrote and read each cell when, and copies in flight. See executor.h.
#include "executor_internal.h"

#include <stdlib.h>
#include <string.h>

uint32_t executor_draw(machine *m)
{
    m->run->drew = true;
    m->random = m->random * 1664525u + 1013904223u;
    return m->random >> 16;
}

// A loaded integer: small, or a size.
static int64_t draw_number(machine *m)
{
    uint32_t r = executor_draw(m);
    return r & 1 ? r >> 1 & 3 : 32 * (r >> 1 & 7);
}

static void find(machine *m, const char *what, const kg_op *a, int ta, const kg_op *b, int tb,
                 int64_t place)
{
    if (!m->run->found.what) m->run->found = (finding){what, a, b, ta, tb, place};
    m->stop = true;
}

// Something is not modelled or not known: this run proves nothing.
void executor_give_up(machine *m)
{
    m->run->finished = false;
    m->run->not_modelled = true;
    m->stop = true;
}

// ---- memory -------------------------------------------------------------------------------------
static cell *global_cell(machine *m, int64_t key)
{
    if (m->global.count * 2 >= m->global.size) {
        table old = m->global;
        m->global.size = old.size ? old.size * 2 : 1024;
        m->global.slots = calloc(m->global.size, sizeof(cell *));
        for (size_t i = 0; i < old.size; i++) {
            if (!old.slots[i]) continue;
            size_t at = (uint64_t)old.slots[i]->key * UINT64_C(0x9E3779B97F4A7C15) >> 20;
            while (m->global.slots[at & (m->global.size - 1)]) at++;
            m->global.slots[at & (m->global.size - 1)] = old.slots[i];
        }
        free(old.slots);
    }
    size_t at = (uint64_t)key * UINT64_C(0x9E3779B97F4A7C15) >> 20;
    for (;; at++) {
        cell **slot = &m->global.slots[at & (m->global.size - 1)];
        if (*slot && (*slot)->key == key) return *slot;
        if (*slot) continue;
        *slot = calloc(1, sizeof(cell));
        **slot = m->acquired;
        (*slot)->key = key;
        m->global.count++;
        return *slot;
    }
}

static void check_against_write(machine *m, const cell *c, int t, const kg_op *op, int64_t place)
{
    if (c->writer != NOBODY && c->writer != t && m->clock[t][c->writer] < c->write_clock)
        find(m, "unordered after a write", c->write_op, c->writer, op, t, place);
    for (int u = 0; c->atomics && u < m->threads; u++)
        if (u != t && m->clock[t][u] < c->atomics[u])
            find(m, "unordered after an update", c->write_op, u, op, t, place);
}

static void check_against_reads(machine *m, const cell *c, int t, const kg_op *op, int64_t place)
{
    for (int u = 0; c->reads && u < m->threads; u++)
        if (u != t && m->clock[t][u] < c->reads[u]) {
            find(m, "write unordered after a read", c->read_op, u, op, t, place);
            return;
        }
}

static void read_cell(machine *m, cell *c, int t, const kg_op *op, int64_t place)
{
    if (c->flight) find(m, "read while a copy is in flight", c->write_op, NOBODY, op, t, place);
    if (!c->written && m->run->uninitialised)
        find(m, "read of bytes never written", NULL, NOBODY, op, t, place);
    check_against_write(m, c, t, op, place);
    if (!c->reads) c->reads = calloc((size_t)m->threads, sizeof *c->reads);
    c->reads[t] = m->clock[t][t];
    c->read_op = op;
}

static void write_cell(machine *m, cell *c, int t, const kg_op *op, int64_t place, bool atomic)
{
    if (c->flight || c->flight_reads)
        find(m, "write while a copy is in flight", c->write_op, NOBODY, op, t, place);
    bool commutes = atomic && c->atomic && c->write_op && c->write_op->code == op->code;
    if (!commutes) check_against_write(m, c, t, op, place);
    check_against_reads(m, c, t, op, place);
    if (c->reads && !commutes) memset(c->reads, 0, sizeof *c->reads * (size_t)m->threads);
    if (atomic && !c->atomics) c->atomics = calloc((size_t)m->threads, sizeof *c->atomics);
    if (c->atomics && !commutes) memset(c->atomics, 0, sizeof *c->atomics * (size_t)m->threads);
    if (atomic) c->atomics[t] = m->clock[t][t];
    c->writer = t;
    c->write_clock = m->clock[t][t];
    c->write_op = op;
    c->written = true;
    c->atomic = atomic;
}

static void issue(machine *m, cell *c, int count, int t, const kg_op *op, int64_t place, bool write)
{
    for (int i = 0; i < count; i++) {
        if (write)
            write_cell(m, c + i, t, op, place + i, false);
        else
            read_cell(m, c + i, t, op, place + i);
        *(write ? &c[i].flight : &c[i].flight_reads) += 1;
    }
    if (m->copies.count == m->copies.size) {
        m->copies.size = m->copies.size ? m->copies.size * 2 : 1024;
        m->copies.items = realloc(m->copies.items, sizeof(copy) * (size_t)m->copies.size);
    }
    m->copies.items[m->copies.count++] = (copy){t, NOBODY, write, c, count};
}

// ---- accesses -----------------------------------------------------------------------------------
typedef struct visitor {
    machine *m;
    const kg_access *access;
    int64_t base;
} visitor;

static void touch(machine *m, const kg_access *a, cell *c, int count, int thread, int64_t place)
{
    if (m->stop) return;
    if (a->effect->completes == KG_COMPLETES_GROUP) {
        issue(m, c, count, thread, a->op, place, a->effect->mode == KG_MODE_W);
        return;
    }
    for (int i = 0; i < count; i++)
        if (a->effect->mode == KG_MODE_R)
            read_cell(m, c + i, thread, a->op, place + i);
        else
            write_cell(m, c + i, thread, a->op, place + i, a->effect->mode == KG_MODE_A);
}

static void visit_bytes(int thread, int64_t offset, int bytes, void *user)
{
    visitor *v = user;
    touch(v->m, v->access, &v->m->shared[v->base + offset], bytes, thread, v->base + offset);
}

// The same view with its starts as constants, as they are now; NULL when one is not known.
static kg_value *frozen(machine *m, kg_value *operand)
{
    if (operand->kind != KG_VALUE_RESULT ||
        (operand->op->code != KG_OP_VIEW && operand->op->code != KG_OP_TRANSPOSE))
        return operand;
    const kg_op *op = operand->op;
    kg_value **operands = calloc((size_t)op->n_operands, sizeof *operands);
    operands[0] = frozen(m, op->operands[0]);
    for (int i = 1; i < op->n_operands && operands[0]; i++) {
        int64_t number;
        operands[i] = op->operands[i];
        if (!kg_is_scalar(operands[i])) continue;
        if (!executor_value(m, operands[i], &number)) {
            operands[0] = NULL;
            break;
        }
        kg_op *constant = kg_op_new(m->kernel, KG_OP_CONST, op->loc, 0, NULL);
        kg_op_set_int(m->kernel, constant, KG_A_VALUE_INT, number);
        operands[i] = kg_op_result(m->kernel, constant, operands[i]->type, NULL);
    }
    kg_value *result = NULL;
    if (operands[0]) {
        kg_op *copy_op = kg_op_new(m->kernel, op->code, op->loc, op->n_operands, operands);
        copy_op->attrs = op->attrs;
        copy_op->parent = op->parent;
        result = kg_op_result(m->kernel, copy_op, operand->type, NULL);
    }
    free(operands);
    return result;
}

static void access_shared(machine *m, kg_access *a)
{
    int64_t slot = 0, ring = kg_op_int(a->root->op, KG_A_RING, 1);
    kg_value *operand = frozen(m, a->operand);
    kg_view_info info;
    if (!operand || (a->slot && !executor_value(m, a->slot, &slot))) {
        executor_give_up(m);
        return;
    }
    kg_access exact = *a;
    exact.operand = operand;
    kg_view_resolve(operand, &info);
    exact.exact = true;
    slot = (slot % ring + ring) % ring;
    visitor v = {m, &exact,
                 kg_op_int(a->root->op, KG_A_OFFSET, 0) + slot * kg_shared_slot_bytes(a->root)};
    bool gathers = false;
    for (int d = 0; d < info.rank; d++) gathers |= info.gather[d] != NULL;
    if (!gathers) {
        kg_access_bytes(&exact, visit_bytes, &v);
        return;
    }
    if (a->effect->mode != KG_MODE_R) {
        executor_give_up(m); // which elements is not known
        return;
    }
    kg_region region = kg_op_region(a->op);
    for (int t = region.first_warp * 32; t < (region.first_warp + region.n_warps) * 32; t++)
        visit_bytes(t, 0, (int)kg_shared_slot_bytes(a->root), &v); // it may be any
}

static const kg_value *memory_of(const kg_value *root)
{
    while (root->tensor && root->tensor->alias) root = root->tensor->alias;
    return root;
}

// Element of a global tensor by coordinates: far apart enough that different ones never collide.
static void touch_global(machine *m, const kg_access *a, const kg_view_info *info,
                         const int64_t *start, const int32_t *coord, int thread)
{
    int64_t at[KG_MAX_RANK] = {0}, key = (memory_of(a->root)->id + 1) * INT64_C(0x1000003D5);
    for (int d = 0; d < a->root->type.rank; d++)
        if (info->fixed[d]) at[d] = start[d];
    for (int d = 0; d < info->rank; d++) at[info->dim[d]] = start[info->dim[d]] + coord[d];
    for (int d = 0; d < KG_MAX_RANK;
         d++) // no two coordinates of a test come near each other in 64 bits
        key = (int64_t)(((uint64_t)key ^ (uint64_t)at[d]) * UINT64_C(0xD6E8FEB86659FD93));
    touch(m, a, global_cell(m, key), 1, thread, key);
}

static void touch_global_layout(machine *m, const kg_access *a, const kg_view_info *info,
                                const int64_t *start, const kg_layout *layout)
{
    kg_region region = kg_op_region(a->op);
    int registers = kg_layout_registers(layout);
    for (int t = 0; t < region.n_warps * 32; t++)
        for (int r = 0; r < registers; r++) {
            int32_t coord[KG_MAX_RANK];
            if (a->effect->mode != KG_MODE_R && !kg_layout_is_owner(layout, r, t % 32, t / 32))
                continue;
            kg_layout_coord(layout, r, t % 32, t / 32, coord);
            touch_global(m, a, info, start, coord, region.first_warp * 32 + t);
        }
}

static void touch_global_chunks(machine *m, const kg_access *a, const kg_view_info *info,
                                const int64_t *start)
{
    const kg_type *type = &a->operand->type;
    kg_region region = kg_op_region(a->op);
    int64_t bytes = kg_dtype_bytes(type->dtype), n = kg_type_elements(type);
    int64_t vec = kg_op_int(a->op, KG_A_VEC, kg_op_int(a->op, KG_A_ASYNC, bytes) / bytes);
    for (int64_t e = 0; e < n; e++) {
        int32_t coord[KG_MAX_RANK];
        int64_t rest = e;
        for (int d = type->rank - 1; d >= 0; d--) {
            coord[d] = (int32_t)(rest % type->dims[d]);
            rest /= type->dims[d];
        }
        touch_global(m, a, info, start, coord,
                     region.first_warp * 32 +
                         (int)(e / (vec > 0 ? vec : 1) % (region.n_warps * 32)));
    }
}

static void access_global(machine *m, kg_access *a)
{
    kg_view_info info;
    int64_t start[KG_MAX_RANK] = {0};
    kg_region region = kg_op_region(a->op);
    kg_view_resolve(a->operand, &info);
    for (int d = 0; d < info.rank; d++) {
        if (info.gather[d]) return; // which rows is not known: left out
        if (info.start[d] && !executor_value(m, info.start[d], &start[info.dim[d]])) return;
    }
    for (int d = 0; d < a->root->type.rank; d++)
        if (info.fixed[d] && !executor_value(m, info.fixed[d], &start[d])) return;
    const kg_op *op = a->op;
    const kg_value *moved = op->n_results        ? op->results[0]
                            : op->n_operands > 1 ? op->operands[1]
                                                 : NULL;
    int32_t zero[KG_MAX_RANK] = {0};
    if (a->effect->agent == KG_AGENT_ELECTED) {
        touch_global(m, a, &info, start, zero, region.first_warp * 32);
    } else if (moved && moved->type.home != KG_HOME_FRAG) {
        touch_global_chunks(m, a, &info, start);
    } else if (moved && moved->type.rank && moved->layout) {
        touch_global_layout(m, a, &info, start, moved->layout);
    } else if (!moved || moved->type.rank == 0) {
        int threads = a->effect->mode == KG_MODE_R ? region.n_warps * 32 : 1;
        for (int t = 0; t < threads && kg_type_elements(&a->operand->type) == 1; t++)
            touch_global(m, a, &info, start, zero, region.first_warp * 32 + t);
    }
}

// A release by one thread needs everybody's earlier global writes in its clock; an acquire counts
// as a write that others must know of before they go on.
static void release_or_acquire(machine *m, const kg_access *a)
{
    int t = kg_op_region(a->op).first_warp * 32;
    for (size_t i = 0; i < m->global.size; i++) {
        cell *c = m->global.slots[i];
        if (!c) continue;
        if (a->effect->mode == KG_MODE_R) check_against_write(m, c, t, a->op, c->key);
    }
    if (a->effect->mode == KG_MODE_R) return;
    m->acquired =
        (cell){.writer = t, .write_clock = m->clock[t][t], .write_op = a->op, .written = true};
    for (size_t i = 0; i < m->global.size; i++)
        if (m->global.slots[i]) {
            cell *c = m->global.slots[i];
            c->writer = t;
            c->write_clock = m->clock[t][t];
            c->write_op = a->op;
        }
}

void executor_accesses(machine *m, const kg_op *op)
{
    kg_access found[KG_MAX_EFFECTS];
    int n = kg_op_accesses(op, found);
    for (int pass = 0; pass < 2; pass++) // releases before acquires, reads before writes
        for (int i = 0; i < n && !m->stop; i++) {
            if ((found[i].effect->mode == KG_MODE_R) != (pass == 0)) continue;
            if (!found[i].root)
                release_or_acquire(m, &found[i]);
            else if (found[i].root->type.home == KG_HOME_SHARED)
                access_shared(m, &found[i]);
            else
                access_global(m, &found[i]);
        }
    for (int i = 0; i < op->n_results; i++)
        if (kg_is_scalar(op->results[i])) executor_set(m, op->results[i], true, draw_number(m));
}

void executor_complete(machine *m, int first, int count, int pending)
{
    int kept = 0;
    for (int i = 0; i < m->copies.count; i++) {
        copy *c = &m->copies.items[i];
        int t = c->thread;
        if (t < first || t >= first + count || c->group == NOBODY ||
            c->group >= m->committed[t] - pending) {
            m->copies.items[kept++] = *c;
            continue;
        }
        for (cell *at = c->at; at < c->at + c->count; at++)
            if (c->write) {
                at->flight--;
                at->writer = t;
                at->write_clock = m->clock[t][t];
            } else {
                at->flight_reads--;
                at->reads[t] = m->clock[t][t];
            }
    }
    m->copies.count = kept;
}
