// SPDX-License-Identifier: MIT
// Memory of the evaluator: views as lists of places, and what goes through them. A read of shared
// memory that has no value, an index out of a buffer, two elements of one store in one place, and
// what another CTA does without order are refused.
#include "eval_internal.h"

// Where one role fills rings for others, roles run one after the other here, the first until its
// end. So a slot for each trip.
enum { TRIPS_OF_ROLES = 64 };

void eval_shared(run *r, kg_op *op)
{
    kg_value *v = op->results[0];
    storage *s = r->storages[v->id];
    int64_t slots = kg_op_int(op, KG_A_RING, 1), n = kg_type_elements(&v->type);
    if (r->producers && kg_op_attr(op, KG_A_RING)) slots = TRIPS_OF_ROLES;
    if (!s) {
        s = r->storages[v->id] = KG_NEW(r->e->arena, storage);
        s->cells = KG_NEW_ARRAY(r->e->arena, cell, n * slots);
        s->written = KG_NEW_ARRAY(r->e->arena, unsigned char, n *slots);
        s->rank = v->type.rank;
        s->error = &s->own_error;
        s->slots = (int32_t)slots;
        s->slot = n;
        s->elements = n * slots;
        int64_t stride = n;
        for (int d = 0; d < s->rank; d++) {
            s->dims[d] = v->type.dims[d];
            stride /= s->dims[d];
            s->strides[d] = stride;
        }
    }
    // Its life begins here: what an earlier trip or CTA left is gone.
    for (int64_t i = 0; i < s->elements; i++) s->written[i] = 0;
    s->own_error = 0;
}

// ---- views --------------------------------------------------------------------------------------
static place *new_place(run *r, kg_value *v)
{
    place *p = r->places[v->id];
    if (!p) {
        p = r->places[v->id] = KG_NEW(r->e->arena, place);
        p->rank = v->type.rank;
        for (int d = 0; d < p->rank; d++) p->dims[d] = v->type.dims[d];
        p->at = KG_NEW_ARRAY(r->e->arena, int64_t, kg_type_elements(&v->type));
    }
    r->e->steps += kg_type_elements(&v->type);
    return p;
}

// One dimension of the memory as the view sees it: which of the view's axes moves along it (-1:
// none) from where, or by which table.
typedef struct axis {
    int of;
    int64_t from;
    const cell *table;
} axis;

static void fill_places(run *r, const kg_op *op, place *p, const axis *axes, int64_t base)
{
    int64_t n = 1;
    for (int d = 0; d < p->rank; d++) n *= p->dims[d];
    for (int64_t e = 0; e < n; e++) {
        int64_t coordinate[KG_MAX_RANK], rest = e, at = base;
        for (int d = p->rank; d-- > 0;) {
            coordinate[d] = rest % p->dims[d];
            rest /= p->dims[d];
        }
        for (int d = 0; d < p->of->rank && at >= 0; d++) {
            int64_t i = axes[d].from;
            if (axes[d].table)
                i = axes[d].table[coordinate[axes[d].of]].i;
            else if (axes[d].of >= 0)
                i += coordinate[axes[d].of];
            at = i < 0 || i >= p->of->dims[d] ? -1 : at + i * p->of->strides[d];
        }
        p->at[e] = at;
        if (at < 0 && p->of->written) eval_refuse(r, op, "an index outside of a shared buffer");
    }
}

void eval_view(run *r, kg_op *op)
{
    const kg_attr *kinds = kg_op_attr(op, KG_A_INDEX);
    place *p = new_place(r, op->results[0]);
    p->of = r->storages[op->operands[0]->id];
    axis axes[KG_MAX_RANK];
    int operand = 1, out = 0;
    int64_t base = 0;
    if (kg_op_int(op, KG_A_SLOT, 0)) {
        int64_t i = r->tiles[op->operands[operand++]->id].cells[0].i;
        if (i < 0) eval_refuse(r, op, "a negative iteration number");
        if (r->producers && i >= TRIPS_OF_ROLES) eval_refuse(r, op, "too many trips of a role");
        base = i % p->of->slots * p->of->slot;
    }
    for (int d = 0; d < p->of->rank; d++) {
        int64_t kind = kinds->ints[d];
        axes[d] = (axis){.of = kind == KG_INDEX_AT ? -1 : out++};
        if (kind == KG_INDEX_ALL) continue;
        const cell *value = r->tiles[op->operands[operand++]->id].cells;
        if (kind == KG_INDEX_GATHER)
            axes[d].table = value;
        else
            axes[d].from = value[0].i;
    }
    if (!r->e->refused) fill_places(r, op, p, axes, base);
}

place *eval_place(run *r, kg_value *v)
{
    if (!r->storages[v->id]) return r->places[v->id];
    place *p = new_place(r, v);
    axis axes[KG_MAX_RANK];
    p->of = r->storages[v->id];
    if (p->of->slots > 1) eval_refuse(r, r->op, "a ring without an iteration number");
    for (int d = 0; d < p->of->rank; d++) axes[d] = (axis){.of = d};
    fill_places(r, r->op, p, axes, 0);
    return p;
}

void eval_transpose_view(run *r, kg_op *op)
{
    place *from = eval_place(r, op->operands[0]), *to = new_place(r, op->results[0]);
    const kg_attr *perm = kg_op_attr(op, KG_A_PERM);
    int64_t stride[KG_MAX_RANK], n = 1;
    to->of = from->of;
    for (int d = from->rank; d-- > 0;) {
        stride[d] = n;
        n *= from->dims[d];
    }
    for (int64_t e = 0; e < n; e++) {
        int64_t rest = e, source = 0;
        for (int d = to->rank; d-- > 0;) {
            source += rest % to->dims[d] * stride[perm->ints[d]];
            rest /= to->dims[d];
        }
        to->at[e] = from->at[source];
    }
}

static int64_t places(const place *p)
{
    int64_t n = 1;
    for (int d = 0; d < p->rank; d++) n *= p->dims[d];
    return n;
}

// ---- one element --------------------------------------------------------------------------------
static cell read_one(run *r, kg_op *op, storage *s, int64_t at)
{
    if (s->written) {
        if (!s->written[at]) eval_refuse(r, op, "a read of shared memory that has no value");
        return s->cells[at];
    }
    int32_t writer = s->writer[at];
    if (writer && writer != r->cta && !r->acquired)
        eval_refuse(r, op, "a read of what another CTA wrote");
    s->reader[at] = s->reader[at] && s->reader[at] != r->cta ? -1 : r->cta;
    return s->cells[at];
}

static void write_one(run *r, kg_op *op, storage *s, int64_t at, cell v)
{
    s->cells[at] = v;
    if (s->written) {
        s->written[at] = 1;
        return;
    }
    int32_t writer = s->writer[at], reader = s->reader[at];
    if (((writer && writer != r->cta) || (reader && reader != r->cta)) && !r->acquired)
        eval_refuse(r, op, "a write where another CTA reads or writes");
    s->writer[at] = r->cta;
}

void eval_read(run *r, kg_op *op, place *from, tile *to)
{
    int64_t n = places(from);
    for (int64_t i = 0; i < n && !r->e->refused; i++)
        to->cells[i] = from->at[i] < 0 ? (cell){0} : read_one(r, op, from->of, from->at[i]);
    to->error = *from->of->error;
    r->e->steps += n;
}

// ---- ops ----------------------------------------------------------------------------------------
static void load(run *r, kg_op *op)
{
    place *from = eval_place(r, op->operands[0]);
    int64_t n = places(from);
    cell *out = eval_result(r, op);
    tile *mask = op->n_operands > 1 ? &r->tiles[op->operands[1]->id] : NULL;
    tile *other = op->n_operands > 2 ? &r->tiles[op->operands[2]->id] : NULL;
    // Out of bounds and masked off are one: both give the value elsewhere.
    for (int64_t i = 0; i < n && !r->e->refused; i++) {
        bool there = from->at[i] >= 0 && (!mask || mask->cells[i].i);
        out[i] = there   ? read_one(r, op, from->of, from->at[i])
                 : other ? other->cells[i]
                         : (cell){0};
    }
    double error = other ? other->error : 0;
    r->tiles[op->results[0]->id].error = error > *from->of->error ? error : *from->of->error;
}

// Two elements of one store in one place: which one stays is not said.
static void refuse_twice(run *r, kg_op *op, const place *to, const tile *mask, int64_t n)
{
    unsigned char *seen = KG_NEW_ARRAY(r->e->arena, unsigned char, to->of->elements);
    for (int64_t i = 0; i < n; i++) {
        if (to->at[i] < 0 || (mask && !mask->cells[i].i)) continue;
        if (seen[to->at[i]]++) eval_refuse(r, op, "two elements of a store in one place");
    }
}

static bool gathers(kg_value *v)
{
    if (!v->op || v->kind != KG_VALUE_RESULT) return false;
    if (v->op->code == KG_OP_TRANSPOSE) return gathers(v->op->operands[0]);
    const kg_attr *kinds = v->op->code == KG_OP_VIEW ? kg_op_attr(v->op, KG_A_INDEX) : NULL;
    for (int d = 0; kinds && d < kinds->count; d++)
        if (kinds->ints[d] == KG_INDEX_GATHER) return true;
    return false;
}

static void store(run *r, kg_op *op)
{
    place *to = eval_place(r, op->operands[0]);
    int64_t n = places(to);
    const tile *value = &r->tiles[op->operands[1]->id];
    const tile *mask = op->n_operands > 2 ? &r->tiles[op->operands[2]->id] : NULL;
    if (gathers(op->operands[0])) refuse_twice(r, op, to, mask, n);
    for (int64_t i = 0; i < n && !r->e->refused; i++)
        if (to->at[i] >= 0 && (!mask || mask->cells[i].i))
            write_one(r, op, to->of, to->at[i], value->cells[i]);
    if (value->error > *to->of->error) *to->of->error = value->error;
    r->e->steps += n;
}

static void copy(run *r, kg_op *op)
{
    place *to = eval_place(r, op->operands[0]), *from = eval_place(r, op->operands[1]);
    int64_t n = places(to);
    for (int64_t i = 0; i < n && !r->e->refused; i++)
        if (to->at[i] >= 0) // outside of a tensor nothing is stored
            write_one(r, op, to->of, to->at[i],
                      from->at[i] < 0 ? (cell){0} : read_one(r, op, from->of, from->at[i]));
    if (*from->of->error > *to->of->error) *to->of->error = *from->of->error;
    r->e->steps += n;
}

static void atomic(run *r, kg_op *op)
{
    place *to = eval_place(r, op->operands[0]);
    int64_t n = places(to);
    kg_dtype dtype = op->operands[1]->type.dtype;
    const tile *value = &r->tiles[op->operands[1]->id];
    const tile *mask = op->n_operands > 2 ? &r->tiles[op->operands[2]->id] : NULL;
    if (value->error > 0) eval_refuse(r, op, "an inexact atomic");
    for (int64_t i = 0; i < n && !r->e->refused; i++) {
        if (to->at[i] < 0 || (mask && !mask->cells[i].i)) continue;
        storage *s = to->of;
        cell *c = &s->cells[to->at[i]], v = value->cells[i];
        if (s->written && !s->written[to->at[i]])
            eval_refuse(r, op, "a read of shared memory that has no value");
        if (s->writer &&
            ((s->writer[to->at[i]] > 0 && s->writer[to->at[i]] != r->cta) || s->reader[to->at[i]]))
            eval_refuse(r, op, "an atomic beside reads and writes");
        if (s->writer) s->writer[to->at[i]] = -1;
        if (eval_is_float(dtype)) {
            double sum = eval_round(dtype, c->f + v.f);
            if (sum != c->f + v.f) eval_refuse(r, op, "an inexact atomic");
            c->f = sum;
        } else if (op->code == KG_OP_ATOMIC_ADD) {
            c->i = eval_wrap(dtype, (int64_t)((uint64_t)c->i + (uint64_t)v.i));
        } else {
            c->i = op->code == KG_OP_ATOMIC_MAX ? (c->i > v.i ? c->i : v.i)
                                                : (c->i < v.i ? c->i : v.i);
        }
    }
    r->e->steps += n;
}

static void fetch_add(run *r, kg_op *op)
{
    place *to = eval_place(r, op->operands[0]);
    cell *out = eval_result(r, op);
    if (to->at[0] < 0) {
        eval_refuse(r, op, "a counter out of bounds");
        return;
    }
    cell *c = &to->of->cells[to->at[0]];
    out[0] = *c;
    c->i = eval_wrap(KG_I32, c->i + r->tiles[op->operands[1]->id].cells[0].i);
    to->of->writer[to->at[0]] = -1;
    r->acquired = true;
}

// CTAs run one after the other here, so what a CTA waits for must come from one before it.
static void flag(run *r, kg_op *op)
{
    place *to = eval_place(r, op->operands[0]);
    int64_t value = r->tiles[op->operands[1]->id].cells[0].i;
    const kg_attr *compare = kg_op_attr(op, KG_A_COMPARE);
    if (to->at[0] < 0) {
        eval_refuse(r, op, "a flag out of bounds");
        return;
    }
    cell *c = &to->of->cells[to->at[0]];
    if (op->code == KG_OP_SIGNAL) {
        c->i = value;
        to->of->writer[to->at[0]] = -1;
        return;
    }
    bool met = compare && compare->name[0] == 'e' ? c->i == value : c->i >= value;
    if (!met) eval_refuse(r, op, "a wait for a CTA that comes later");
    r->acquired = true;
}

void eval_memory(run *r, kg_op *op)
{
    switch (op->code) {
    case KG_OP_LOAD:
        load(r, op);
        break;
    case KG_OP_STORE:
        store(r, op);
        break;
    case KG_OP_COPY:
    case KG_OP_COPY_ASYNC:
    case KG_OP_COPY_BULK:
    case KG_OP_STORE_BULK:
        copy(r, op);
        break;
    case KG_OP_ATOMIC_ADD:
    case KG_OP_ATOMIC_MAX:
    case KG_OP_ATOMIC_MIN:
        atomic(r, op);
        break;
    case KG_OP_FETCH_ADD:
        fetch_add(r, op);
        break;
    case KG_OP_SIGNAL:
    case KG_OP_AWAIT:
        flag(r, op);
        break;
    default:
        eval_refuse(r, op, "an op that the evaluator does not know");
        break;
    }
}
