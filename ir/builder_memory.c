// SPDX-License-Identifier: MIT
// The builder's buffers, views, loads, stores, and mutable fragments.
#include "ir/builder_state.h"

// ---- memory ------------------------------------------------------------------------------------
bool kg_build_named(kg_build *b, kg_value *value, const char *name)
{
    if (!value || !name) return value != NULL;
    value->name = kg_build_checked_name(b, name);
    return value->name != NULL;
}

static bool tile_type(kg_build *b, kg_dtype dtype, int rank, const int *shape, kg_type *type)
{
    *type = (kg_type){.dtype = dtype, .rank = (int8_t)rank};
    if ((unsigned)dtype >= KG_DTYPE_COUNT || rank < 0 || rank > KG_MAX_RANK || (rank && !shape)) {
        kg_build_error(b, KG_D_T106, "unknown type, or a rank that is not 0 to 5");
        return false;
    }
    for (int d = 0; d < rank; d++) type->dims[d] = shape[d];
    const char *problem = kg_shape_problem(&b->arena, type, false);
    if (problem) kg_build_error(b, KG_D_T106, problem);
    return !problem;
}

kg_value *kg_build_shared_array(kg_build *b, const char *name, kg_dtype dtype, int ring, int align,
                                int rank, const int *shape)
{
    KG_BUILD_GUARD(b, NULL);
    kg_type type;
    if (!kg_build_in_body(b) || !tile_type(b, dtype, rank, shape, &type)) return NULL;
    kg_value *value = kg_make_shared(b->parser, &type, ring, align, (kg_loc){0});
    if (!kg_build_named(b, value, name)) return NULL;
    b->newest = value->op;
    return value;
}

kg_value *kg_build_shared(kg_build *b, const char *name, kg_dtype dtype, int ring, int rank, ...)
{
    KG_BUILD_COLLECT(int, shape, rank, rank);
    return kg_build_shared_array(b, name, dtype, ring, 0, rank, shape);
}

static bool item_of(kg_build *b, const kg_index *index, kg_item *item)
{
    *item = (kg_item){.kind = KG_ITEM_ALL};
    if (index->kind != KG_INDEX_ALL) {
        if (!index->value) return false; // reported where it was made
        item->start = kg_build_node(b, index->value);
        item->kind = index->kind == KG_INDEX_FROM ? KG_ITEM_FROM : KG_ITEM_AT;
    }
    bool ranged = index->kind == KG_INDEX_FROM || index->kind == KG_INDEX_ALL;
    if (ranged && index->extent != 0) item->extent = kg_build_int_node(b, index->extent);
    return true;
}

static kg_value *view(kg_build *b, kg_value *memory, kg_value *slot, int count,
                      const kg_index *indices)
{
    KG_BUILD_GUARD(b, NULL);
    if (count < 0 || count > KG_MAX_RANK || (count && !indices)) {
        kg_build_error(b, KG_D_T103, "a view has at most 5 indices");
        return NULL;
    }
    if (!memory || !kg_build_in_body(b)) return NULL;
    kg_node *n = kg_build_new_node(b, KG_N_INDEX);
    n->args = KG_NEW_ARRAY(&b->arena, kg_node *, 1);
    n->args[0] = kg_build_node(b, memory);
    n->n_args = 1;
    n->slot = kg_build_optional(b, slot);
    n->items = KG_NEW_ARRAY(&b->arena, kg_item, count);
    n->n_items = count;
    for (int i = 0; i < count; i++)
        if (!item_of(b, &indices[i], &n->items[i])) return NULL;
    if (memory->type.home == KG_HOME_FRAG) {
        kg_build_error(b, KG_D_T104, "a view is taken of a tensor or buffer, not of a fragment");
        return NULL;
    }
    return kg_build_made(b, n);
}

kg_value *kg_build_view_array(kg_build *b, kg_value *memory, int count, const kg_index *indices)
{
    return view(b, memory, NULL, count, indices);
}

kg_value *kg_build_view(kg_build *b, kg_value *memory, int count, ...)
{
    KG_BUILD_COLLECT(kg_index, indices, count, count);
    return view(b, memory, NULL, count, indices);
}

kg_value *kg_build_slot_array(kg_build *b, kg_value *ring, kg_value *iteration, int count,
                              const kg_index *indices)
{
    return iteration ? view(b, ring, iteration, count, indices) : NULL;
}

kg_value *kg_build_slot(kg_build *b, kg_value *ring, kg_value *iteration, int count, ...)
{
    KG_BUILD_COLLECT(kg_index, indices, count, count);
    return kg_build_slot_array(b, ring, iteration, count, indices);
}

kg_value *kg_build_load(kg_build *b, kg_value *from, kg_value *mask, kg_value *otherwise)
{
    KG_BUILD_GUARD(b, NULL);
    if (!from || !kg_build_in_body(b)) return NULL;
    kg_node *n = kg_build_new_node(b, KG_N_LOAD);
    n->args = KG_NEW_ARRAY(&b->arena, kg_node *, 3);
    n->n_args = 3;
    n->args[0] = kg_build_node(b, from);
    n->args[1] = kg_build_optional(b, mask);
    n->args[2] = mask ? kg_build_optional(b, otherwise) : NULL;
    return kg_build_made(b, n);
}

static bool store(kg_build *b, kg_opcode op, kg_value *to, kg_value *value, kg_value *mask)
{
    KG_BUILD_GUARD(b, false);
    int errors = b->diags.errors;
    if (!to || !value || !kg_build_in_body(b)) return false;
    kg_make_store(b->parser, op, (kg_loc){0}, kg_build_node(b, to), kg_build_node(b, value),
                  kg_build_optional(b, mask), NULL);
    return kg_build_done(b, errors);
}

bool kg_build_store(kg_build *b, kg_value *to, kg_value *value, kg_value *mask)
{
    return store(b, KG_OP_STORE, to, value, mask);
}

bool kg_build_atomic(kg_build *b, kg_opcode op, kg_value *to, kg_value *value, kg_value *mask)
{
    if (op == KG_OP_ATOMIC_ADD || op == KG_OP_ATOMIC_MAX || op == KG_OP_ATOMIC_MIN)
        return store(b, op, to, value, mask);
    KG_BUILD_GUARD(b, false);
    kg_build_error(b, KG_D_P004, "kg_build_atomic takes atomic ops");
    return false;
}

static bool copy(kg_build *b, kg_opcode op, kg_value *to, kg_value *from, kg_value *on)
{
    KG_BUILD_GUARD(b, false);
    int errors = b->diags.errors;
    if (!to || !from || !kg_build_in_body(b)) return false;
    kg_make_copy(b->parser, op, (kg_loc){0}, kg_build_node(b, to), kg_build_node(b, from),
                 kg_build_optional(b, on), NULL);
    return kg_build_done(b, errors);
}

bool kg_build_copy(kg_build *b, kg_value *to, kg_value *from)
{
    return copy(b, KG_OP_COPY, to, from, NULL);
}

bool kg_build_copy_async(kg_build *b, kg_value *to, kg_value *from)
{
    return copy(b, KG_OP_COPY_ASYNC, to, from, NULL);
}

bool kg_build_copy_bulk(kg_build *b, kg_value *to, kg_value *from, kg_value *on)
{
    return copy(b, KG_OP_COPY_BULK, to, from, on);
}

bool kg_build_store_bulk(kg_build *b, kg_value *to, kg_value *from)
{
    return copy(b, KG_OP_STORE_BULK, to, from, NULL);
}

kg_value *kg_build_fetch_add(kg_build *b, kg_value *at, kg_value *value)
{
    KG_BUILD_GUARD(b, NULL);
    if (!at || !value || !kg_build_in_body(b)) return NULL;
    kg_value *old = kg_make_fetch_add(b->parser, (kg_loc){0}, kg_build_node(b, at),
                                      kg_build_node(b, value), NULL);
    if (old) b->newest = old->op;
    return old;
}

bool kg_build_reduce_bulk(kg_build *b, kg_value *to, kg_value *from, const char *by)
{
    return copy(b, KG_OP_REDUCE_BULK, to, from, NULL) && kg_build_attr_word(b, "by", by);
}

static bool flag(kg_build *b, kg_opcode op, kg_value *at, bool ge, kg_value *value)
{
    KG_BUILD_GUARD(b, false);
    int errors = b->diags.errors;
    if (!at || !value || !kg_build_in_body(b)) return false;
    kg_make_flag(b->parser, op, (kg_loc){0}, kg_build_node(b, at), ge, kg_build_node(b, value),
                 NULL);
    return kg_build_done(b, errors);
}

bool kg_build_signal(kg_build *b, kg_value *at, kg_value *value)
{
    return flag(b, KG_OP_SIGNAL, at, false, value);
}

bool kg_build_await(kg_build *b, kg_value *at, bool at_least, kg_value *value)
{
    return flag(b, KG_OP_AWAIT, at, at_least, value);
}

// ---- mutable fragments -------------------------------------------------------------------------
static kg_value *frag(kg_build *b, const char *name, const kg_type *type, kg_value *first)
{
    if (!first || !kg_build_in_body(b)) return NULL;
    kg_value *value = kg_make_frag(b->parser, kg_build_node(b, first), type, (kg_loc){0});
    if (!kg_build_named(b, value, name)) return NULL;
    b->newest = value->op;
    return value;
}

kg_value *kg_build_frag(kg_build *b, const char *name, kg_value *first)
{
    KG_BUILD_GUARD(b, NULL);
    return frag(b, name, NULL, first);
}

kg_value *kg_build_frag_array(kg_build *b, const char *name, kg_dtype dtype, kg_value *first,
                              int rank, const int *shape)
{
    KG_BUILD_GUARD(b, NULL);
    kg_type type;
    return tile_type(b, dtype, rank, shape, &type) ? frag(b, name, &type, first) : NULL;
}

kg_value *kg_build_frag_tile(kg_build *b, const char *name, kg_dtype dtype, kg_value *first,
                             int rank, ...)
{
    KG_BUILD_COLLECT(int, shape, rank, rank);
    return kg_build_frag_array(b, name, dtype, first, rank, shape);
}

bool kg_build_assign(kg_build *b, kg_value *target, kg_value *value)
{
    KG_BUILD_GUARD(b, false);
    int errors = b->diags.errors;
    if (!target || !value || !kg_build_in_body(b)) return false;
    if (target->kind != KG_VALUE_RESULT || !target->op || target->op->code != KG_OP_FRAG) {
        kg_build_error(b, KG_D_T107, "only a mutable fragment (kg_build_frag) can be assigned to");
        return false;
    }
    kg_make_assign(b->parser, (kg_loc){0}, target, kg_build_node(b, value));
    return kg_build_done(b, errors);
}
