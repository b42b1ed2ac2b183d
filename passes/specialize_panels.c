// SPDX-License-Identifier: MIT
// Tiles leave in panels: `schedule bulk_store 1, store_columns 64`.
//
//   store c[m*128.., n*128..]     shared c.1: bf16[128, 64] ring 2
//     = cast(acc, bf16)           store c.1[0; ..] = cast(part(acc, axis=1, first=0, last=64), ..)
//                            =>   store_bulk c[m*128.., n*128..] = c.1[0; ..]
//                                 store c.1[1; ..] = cast(part(acc, axis=1, first=64, ..), ..)
//                                 store_bulk c[m*128.., n*128 + 64..] = c.1[1; ..]
//
// Two panels take fewer bytes than a tile, and one leaves while the next is computed. What is
// computed element by element is computed panel by panel, down to tiles in registers, of which
// panels are parts, and to loads, which become loads of panels: of a row that is added a thread
// keeps a panel's columns only.
#include "ir/cache.h"
#include "passes/rewrite.h"
#include "passes/specialize_internal.h"

enum { SLOTS = 2 }; // one is read by the copy engine, one is written

typedef struct cutter {
    kg_specializer *s;
    kg_op *store;
    int32_t first, columns; // of this panel
    kg_value **made;        // by value id: this panel of it
    kg_lone_copy *brought;  // by value id, for all panels: the loads that the copy engine does
} cutter;

// ---- what may be computed later ----------------------------------------------------------------
typedef struct assignment {
    const kg_value *target;
    bool found;
} assignment;

static bool find_assignment(kg_op *op, void *user)
{
    assignment *a = user;
    a->found |= op->code == KG_OP_ASSIGN && op->operands[0] == a->target;
    return !a->found;
}

static bool assigned_in(const kg_value *target, kg_block *block)
{
    assignment a = {target, false};
    kg_walk(block, find_assignment, &a);
    return a.found;
}

// The store would read the same that `op` reads.
static bool is_kept(const cutter *c, const kg_op *op, const kg_value *value)
{
    if (!kg_is_mutable(value)) return true;
    if (op->parent != c->store->parent) return false;
    for (; op != c->store; op = op->next) {
        if (op->code == KG_OP_ASSIGN && op->operands[0] == value) return false;
        for (int i = 0; i < op->n_blocks; i++)
            if (assigned_in(value, op->blocks[i])) return false;
    }
    return true;
}

static bool operands_are_kept(const cutter *c, const kg_op *op)
{
    for (int i = 0; i < op->n_operands; i++)
        if (!is_kept(c, op, op->operands[i])) return false;
    return true;
}

static bool is_elementwise(const kg_op *op)
{
    kg_op_class cls = kg_op_info_of(op->code)->cls;
    return cls == KG_CLASS_U || cls == KG_CLASS_B || cls == KG_CLASS_C || op->code == KG_OP_CAST ||
           op->code == KG_OP_BITCAST || op->code == KG_OP_SELECT || op->code == KG_OP_FMA;
}

// An axis in front of the columns, or more rows.
static bool keeps_columns(const kg_op *op)
{
    int last = op->results[0]->type.rank - 1;
    return op->code == KG_OP_BROADCAST ||
           (op->code == KG_OP_EXPAND && kg_op_int(op, KG_A_AXIS, 0) != last);
}

// ---- views -------------------------------------------------------------------------------------
// The dimension of a view's tensor that its columns are; -1: it is no plain view.
static int column_dimension(const kg_value *view)
{
    if (view->kind != KG_VALUE_RESULT || view->op->code != KG_OP_VIEW) return -1;
    const kg_attr *index = kg_op_attr(view->op, KG_A_INDEX);
    int d = index->count - 1;
    while (d >= 0 && index->ints[d] == KG_INDEX_AT) d--;
    return d >= 0 && index->ints[d] != KG_INDEX_GATHER ? d : -1;
}

// The panel's columns of a plain view.
static kg_value *narrow(const cutter *c, const kg_place *place, const kg_value *view)
{
    kg_kernel *kernel = c->s->kernel;
    const kg_op *from = view->op;
    const kg_attr *old = kg_op_attr(from, KG_A_INDEX), *whole = kg_op_attr(from, KG_A_EXTENT);
    int d = column_dimension(view), next = 1 + (int)kg_op_int(from, KG_A_SLOT, 0), n = next;
    int64_t index[KG_MAX_RANK], extent[KG_MAX_RANK];
    kg_value *operands[KG_MAX_RANK + 2];
    for (int i = 0; i < n; i++) operands[i] = from->operands[i];
    for (int i = 0; i < old->count; i++) {
        index[i] = i == d ? KG_INDEX_FROM : old->ints[i];
        extent[i] = i == d ? c->columns : whole->ints[i];
        kg_value *start = old->ints[i] == KG_INDEX_ALL ? NULL : from->operands[next++];
        if (i == d && !start)
            start = kg_make_int(place, KG_I32, c->first);
        else if (i == d && c->first)
            start = kg_make_binary(place, KG_OP_ADD, start,
                                   kg_make_int(place, start->type.dtype, c->first));
        if (start) operands[n++] = start;
    }
    kg_op *op = kg_make(place, KG_OP_VIEW, n, operands);
    if (kg_op_int(from, KG_A_SLOT, 0)) kg_op_set_int(kernel, op, KG_A_SLOT, 1);
    kg_op_set_ints(kernel, op, KG_A_INDEX, old->count, index);
    kg_op_set_ints(kernel, op, KG_A_EXTENT, old->count, extent);
    kg_type type = view->type;
    type.dims[type.rank - 1] = c->columns;
    return kg_op_result(kernel, op, type, NULL);
}

// Nothing in the kernel writes what is loaded, so it can be loaded later.
static bool is_steady_load(const cutter *c, const kg_op *op)
{
    return op->code == KG_OP_LOAD && op->n_operands == 1 &&
           op->operands[0]->type.home == KG_HOME_GLOBAL && column_dimension(op->operands[0]) >= 0 &&
           operands_are_kept(c, op->operands[0]->op) &&
           !kg_block_writes(c->s->kernel->body, kg_root(op->operands[0]));
}

// ---- panels ------------------------------------------------------------------------------------
static kg_value *cut(cutter *c, const kg_place *place, kg_value *value);

static kg_value *cut_part(const cutter *c, const kg_place *place, kg_value *value)
{
    kg_kernel *kernel = c->s->kernel;
    kg_op *op = kg_make(place, KG_OP_PART, 1, &value);
    kg_type type = value->type;
    type.dims[type.rank - 1] = c->columns;
    kg_op_set_int(kernel, op, KG_A_AXIS, type.rank - 1);
    kg_op_set_int(kernel, op, KG_A_FIRST, c->first);
    kg_op_set_int(kernel, op, KG_A_LAST, c->first + c->columns);
    return kg_op_result(kernel, op, type, NULL);
}

// ---- loads by the copy engine ------------------------------------------------------------------
static bool can_bring(const cutter *c, const kg_op *load, kg_value *view)
{
    const kg_type *type = &load->results[0]->type, *tile = &c->store->operands[1]->type;
    const char *help;
    int contiguous;
    if (kg_op_attr(load, KG_A_CACHE) && !kg_cache_of_l2(load)) return false;
    return c->s->schedule.bulk_load && type->rank == 2 && type->dims[0] == tile->dims[0] &&
           type->dims[1] == tile->dims[1] && !kg_bulk_misfit(c->s, view, &contiguous, &help) &&
           contiguous == 1;
}

static kg_lone_copy *brought_by(const cutter *c, const kg_op *load)
{
    kg_lone_copy *lone = &c->brought[load->results[0]->id];
    if (lone->buffer) return lone;
    kg_place place = kg_place_before(c->s->kernel, c->store);
    kg_type type = load->results[0]->type;
    type.home = KG_HOME_SHARED;
    type.dims[1] = c->columns;
    kg_op *shared = kg_make(&place, KG_OP_SHARED, 0, NULL);
    const char *of = kg_root(load->operands[0])->name;
    const char *name = of ? kg_arena_printf(c->s->context->arena, "%s_panel", of) : NULL;
    int panels = load->results[0]->type.dims[1] / c->columns;
    *lone = (kg_lone_copy){.copies = KG_NEW_ARRAY(c->s->context->arena, kg_op *, panels),
                           .buffer = kg_op_result(c->s->kernel, shared, type, name),
                           .repeats = true,
                           .slots = SLOTS};
    return lone;
}

// Instead of a load of this panel: a copy into a buffer, for the producer, and a load from there.
static kg_value *bring(const cutter *c, const kg_place *place, const kg_op *load, kg_value *view)
{
    kg_lone_copy *lone = brought_by(c, load);
    kg_value *operands[] = {lone->buffer, view};
    kg_op *made = lone->copies[lone->n_copies++] = kg_make(place, KG_OP_COPY, 2, operands);
    kg_keep_cache(c->s->kernel, made, load);
    kg_op *copy = kg_make(place, KG_OP_LOAD, 1, &lone->buffer);
    kg_type type = lone->buffer->type;
    type.home = KG_HOME_FRAG;
    return kg_op_result(c->s->kernel, copy, type, NULL);
}

static void bring_all(const cutter *c)
{
    for (int i = 0; i < c->s->n_values; i++)
        if (c->brought[i].buffer) KG_PUSH(c->s->context->arena, &c->s->lone, c->brought[i]);
}

static kg_value *cut_load(const cutter *c, const kg_place *place, kg_op *op)
{
    kg_kernel *kernel = c->s->kernel;
    kg_value *view = narrow(c, place, op->operands[0]);
    if (can_bring(c, op, view)) return bring(c, place, op, view);
    kg_op *copy = kg_op_clone(kernel, op, NULL, 0);
    copy->operands[0] = view;
    // Not with those of the other panels, far in front, where registers are scarce.
    if (!kg_op_attr(copy, KG_A_CACHE)) kg_op_set_name(kernel, copy, KG_A_CACHE, "ca");
    kg_value *result = copy->results[0];
    result->type.dims[result->type.rank - 1] = c->columns;
    result->name = NULL;
    kg_place_op(place, copy);
    return result;
}

static kg_value *cut_op(cutter *c, const kg_place *place, kg_op *op)
{
    kg_kernel *kernel = c->s->kernel;
    kg_op *copy = kg_op_clone(kernel, op, NULL, 0);
    kg_value *result = copy->results[0];
    int last = result->type.rank - 1;
    for (int i = 0; i < op->n_operands; i++) copy->operands[i] = cut(c, place, op->operands[i]);
    const kg_attr *shape = kg_op_attr(copy, KG_A_SHAPE);
    if (shape) {
        int64_t dims[KG_MAX_RANK];
        for (int d = 0; d <= last; d++) dims[d] = d == last ? c->columns : shape->ints[d];
        kg_op_set_ints(kernel, copy, KG_A_SHAPE, last + 1, dims);
    }
    result->type.dims[last] = c->columns;
    result->name = NULL;
    kg_place_op(place, copy);
    return result;
}

// The panel of what a value is where the store stands.
static kg_value *cut(cutter *c, const kg_place *place, kg_value *value)
{
    if (!value->type.rank || value->type.dims[value->type.rank - 1] == 1) return value;
    if (value->id >= 0 && c->made[value->id]) return c->made[value->id];
    kg_op *op = value->kind == KG_VALUE_RESULT ? value->op : NULL;
    kg_value *panel;
    if (op && op->code == KG_OP_FRAG && !assigned_in(value, c->s->kernel->body) &&
        is_kept(c, op, op->operands[0]))
        panel = cut(c, place, op->operands[0]); // another name
    else if (op && !kg_is_mutable(value) && operands_are_kept(c, op) && is_steady_load(c, op))
        panel = cut_load(c, place, op);
    else if (op && !kg_is_mutable(value) && operands_are_kept(c, op) &&
             (is_elementwise(op) || keeps_columns(op)))
        panel = cut_op(c, place, op);
    else
        panel = cut_part(c, place, value);
    if (value->id >= 0) c->made[value->id] = panel;
    return panel;
}

bool kg_specialize_panels(kg_specializer *s, kg_op *store)
{
    int32_t columns = s->schedule.store_columns;
    kg_value *view = store->operands[0], *value = store->operands[1];
    kg_type type = value->type;
    int last = type.rank - 1;
    if (!columns || columns >= type.dims[last] || type.dims[last] % columns ||
        column_dimension(view) < 0 ||
        !operands_are_kept(&(cutter){.s = s, .store = store}, view->op))
        return false;
    if (columns * kg_dtype_bytes(type.dtype) % 32) return false; // no row of the copy engine's
    kg_place place = kg_place_before(s->kernel, store);
    type.home = KG_HOME_SHARED;
    type.dims[last] = columns;
    kg_op *shared = kg_make(&place, KG_OP_SHARED, 0, NULL);
    kg_value *buffer = kg_op_result(s->kernel, shared, type, kg_root(view)->name);
    kg_op_set_int(s->kernel, shared, KG_A_RING, SLOTS);
    cutter c = {.s = s, .store = store, .columns = columns};
    c.brought = KG_NEW_ARRAY(s->context->arena, kg_lone_copy, s->n_values + 1);
    for (; c.first < value->type.dims[last]; c.first += columns) {
        c.made = KG_NEW_ARRAY(s->context->arena, kg_value *, s->n_values + 1);
        kg_value *panel = cut(&c, &place, value);
        kg_value *number = kg_make_int(&place, KG_I32, c.first / columns);
        kg_value *slot = kg_make_slot_view(&place, buffer, number);
        kg_make(&place, KG_OP_STORE, 2, (kg_value *[]){slot, panel});
        kg_value *target = narrow(&c, &place, view);
        slot = kg_make_slot_view(&place, buffer, number);
        kg_specialize_leave(s, &place, store, target, slot);
    }
    bring_all(&c);
    kg_op_remove(store);
    return true;
}
