// SPDX-License-Identifier: MIT
// Runs a synchronized kernel abstractly. See executor.h.
#include "executor.h"

#include <stdlib.h>
#include <string.h>

enum { NOBODY = -1, STEP_LIMIT = 20000, CONSTANT_TRIPS = 300 };

// One granule of memory: its last write and the reads since, by thread.
typedef struct cell {
    int64_t key; // global: mixed from the tensor and the coordinates
    int writer;
    uint32_t write_clock;
    const kg_op *write_op;
    bool written, atomic;
    int flight;        // copies that write it and are not complete
    int flight_reads;  // copies that read it and are not complete
    uint32_t *reads;   // clock by thread, 0: none
    uint32_t *atomics; // of commuting updates that the last write is only one of
    const kg_op *read_op;
} cell;

typedef struct copy {
    int thread, group; // group: number of the commit that closes it, -1 open
    bool write;
    cell *at;
    int count; // cells from `at` on
} copy;

typedef struct table {
    cell **slots;
    size_t count, size;
} table;

typedef struct machine {
    kg_kernel *kernel;
    execution *run;
    int threads, steps;
    uint32_t **clock; // clock[t][u]: what t knows of u
    int *committed;   // groups by thread
    cell *shared;     // by byte
    table global;
    cell acquired; // what cells look like that nobody of this CTA has written: the last acquire's
    struct {
        copy *items;
        int count, size;
    } copies;
    int64_t *number;
    bool *known;
    uint32_t random;
    bool stop;
} machine;

static uint32_t draw(machine *m)
{
    m->run->drew = true;
    m->random = m->random * 1664525u + 1013904223u;
    return m->random >> 16;
}

// A loaded integer: small, or a size.
static int64_t draw_number(machine *m)
{
    uint32_t r = draw(m);
    return r & 1 ? r >> 1 & 3 : 32 * (r >> 1 & 7);
}

static void find(machine *m, const char *what, const kg_op *a, int ta, const kg_op *b, int tb,
                 int64_t place)
{
    if (!m->run->found.what) m->run->found = (finding){what, a, b, ta, tb, place};
    m->stop = true;
}

// Something is not modelled or not known: this run proves nothing.
static void give_up(machine *m)
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

// ---- scalars ------------------------------------------------------------------------------------
static int64_t floor_div(int64_t a, int64_t b)
{
    return b ? a / b - (a % b != 0 && (a < 0) != (b < 0)) : 0;
}

static bool value_of(machine *m, const kg_value *v, int64_t *out)
{
    *out = m->number[v->id];
    return m->known[v->id];
}

static void set(machine *m, const kg_value *v, bool known, int64_t number)
{
    m->known[v->id] = known;
    m->number[v->id] = number;
}

static bool compute(machine *m, const kg_op *op, int64_t *out)
{
    int64_t a = 0, b = 0, c = 0;
    bool ka = op->n_operands > 0 && value_of(m, op->operands[0], &a),
         kb = op->n_operands > 1 && value_of(m, op->operands[1], &b);
    if (op->code == KG_OP_CONST) return kg_const_int(op->results[0], out);
    if (op->code == KG_OP_SELECT)
        return ka && (a ? kb : value_of(m, op->operands[2], &c)) && (*out = a ? b : c, true);
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
        bool known = value_of(m, op->operands[op->code == KG_OP_ASSIGN], &number);
        set(m, target, known, number);
    } else if (op->n_results && kg_is_scalar(op->results[0])) {
        bool known = compute(m, op, &number);
        set(m, op->results[0], known, number);
    }
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
        if (!value_of(m, operands[i], &number)) {
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
    if (!operand || (a->slot && !value_of(m, a->slot, &slot))) {
        give_up(m);
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
        give_up(m); // which elements is not known
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
        if (info.start[d] && !value_of(m, info.start[d], &start[info.dim[d]])) return;
    }
    for (int d = 0; d < a->root->type.rank; d++)
        if (info.fixed[d] && !value_of(m, info.fixed[d], &start[d])) return;
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

static void run_accesses(machine *m, const kg_op *op)
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
        if (kg_is_scalar(op->results[i])) set(m, op->results[i], true, draw_number(m));
}

// ---- synchronization ----------------------------------------------------------------------------
static void join(machine *m, int first, int count)
{
    uint32_t *all = calloc((size_t)m->threads, sizeof *all);
    for (int t = first; t < first + count; t++)
        for (int u = 0; u < m->threads; u++)
            all[u] = m->clock[t][u] > all[u] ? m->clock[t][u] : all[u];
    for (int t = first; t < first + count; t++) {
        memcpy(m->clock[t], all, sizeof *all * (size_t)m->threads);
        m->clock[t][t]++;
    }
    free(all);
}

static void complete(machine *m, int first, int count, int pending)
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

static void run_sync(machine *m, const kg_op *op)
{
    kg_region region = kg_op_region(op);
    int first = region.first_warp * 32, count = region.n_warps * 32;
    if (op->code == KG_OP_WARP_SYNC)
        for (int t = first; t < first + count; t += 32) join(m, t, 32);
    if (op->code == KG_OP_BARRIER) {
        if (kg_op_int(op, KG_A_COUNT, 32 * (int64_t)m->kernel->warps) != count)
            give_up(m); // between roles: not modelled
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
    if (op->code == KG_OP_WAIT) complete(m, first, count, (int)kg_op_int(op, KG_A_COUNT, 0));
}

// ---- control ------------------------------------------------------------------------------------
static void run_block(machine *m, const kg_block *block);

static void run_for(machine *m, const kg_op *op)
{
    int64_t lo, hi, step;
    bool known = value_of(m, op->operands[0], &lo) & value_of(m, op->operands[1], &hi) &
                 value_of(m, op->operands[2], &step);
    if (!known) {
        lo = 0;
        step = 1;
        hi = draw(m) % 5;
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
        set(m, op->blocks[0]->arg, true, i);
        run_block(m, op->blocks[0]);
    }
}

static void run_while(machine *m, const kg_op *op)
{
    for (int trip = 0; !m->stop; trip++) {
        int64_t go;
        run_block(m, op->blocks[0]);
        if (!value_of(m, op->blocks[0]->last->operands[0], &go)) go = draw(m) & 3;
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
        run_accesses(m, op);
    else if (kg_op_info_of(op->code)->cls == KG_CLASS_Y)
        run_sync(m, op);
    else if (op->code == KG_OP_FOR)
        run_for(m, op);
    else if (op->code == KG_OP_WHILE)
        run_while(m, op);
    else if (op->code == KG_OP_IF)
        run_block(m,
                  op->blocks[(value_of(m, op->operands[0], &c) ? c != 0 : (draw(m) & 1)) ? 0 : 1]);
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
            set(m, m->kernel->params[i], true, m->run->number);
    for (int i = 0; i < m->kernel->n_grid; i++) set(m, m->kernel->grid[i].value, true, 0);
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
    finish(&m);
}
