// SPDX-License-Identifier: MIT
// The builder's ops, regions and attributes. A literal is a value without an op: its `note` is the tree.
#include "ir/builder_state.h"
#include <string.h>

// ---- trees -------------------------------------------------------------------------------------------
static kg_node *new_node(kg_build *b, kg_node_kind kind)
{
    return kg_node_new(b->parser, kind, (kg_loc){0});
}

kg_node *kg_build_node(kg_build *b, kg_value *value)
{
    if (value->kind == KG_VALUE_RESULT && !value->op) {
        kg_node *n = KG_NEW(&b->arena, kg_node);
        *n = *(const kg_node *)value->note;
        return n;
    }
    kg_node *n = new_node(b, KG_N_VALUE);
    n->value = value;
    return n;
}

static kg_node *optional(kg_build *b, kg_value *value)
{
    return value ? kg_build_node(b, value) : NULL;
}

static kg_node *int_node(kg_build *b, int64_t value)
{
    kg_node *n = new_node(b, KG_N_INT);
    n->i = value;
    return n;
}

static kg_node *call_node(kg_build *b, const char *name, int count, kg_value *const *args)
{
    kg_node *n = new_node(b, KG_N_CALL);
    n->name = name;
    n->n_args = count;
    n->args = KG_NEW_ARRAY(&b->arena, kg_node *, count + 1);
    for (int i = 0; i < count; i++) n->args[i] = kg_build_node(b, args[i]);
    return n;
}

static void add_key(kg_build *b, kg_node *n, const char *key, int64_t value)
{
    kg_keyed *k = KG_NEW(&b->arena, kg_keyed);
    k->key = key;
    k->value = int_node(b, value);
    k->next = n->keyed;
    n->keyed = k;
}

kg_value *kg_build_made(kg_build *b, kg_node *n)
{
    kg_parser *p = b->parser;
    kg_type_node(p, n);
    if (n->kind == KG_N_POISON) return NULL;
    bool memory = !kg_is_literal(n) && n->type.home != KG_HOME_FRAG;
    kg_value *value = memory ? kg_emit_memory(p, n, NULL) : kg_emit(p, n, kg_natural_dtype(n), NULL);
    if (value && value->op) b->newest = value->op;
    return value;
}

bool kg_build_done(kg_build *b, int errors_before)
{
    if (b->diags.errors != errors_before) return false;
    b->newest = b->parser->block->last;
    return true;
}

static bool all_there(kg_value *const *values, int count)
{
    for (int i = 0; i < count; i++)
        if (!values[i]) return false;
    return true;
}

static void error(kg_build *b, kg_diag_id id, const char *text)
{
    kg_error(&b->diags, id, (kg_loc){0}, "%s", text);
}

static bool is_dtype(kg_build *b, kg_dtype dtype)
{
    if ((unsigned)dtype < KG_DTYPE_COUNT) return true;
    error(b, KG_D_P005, "unknown type");
    return false;
}

// ---- literals ----------------------------------------------------------------------------------------
static kg_value *literal(kg_build *b, kg_node_kind kind, int64_t i, double f)
{
    kg_node *n = new_node(b, kind);
    n->i = i;
    n->f = f;
    kg_value *value = KG_NEW(&b->arena, kg_value);
    *value = (kg_value){.kind = KG_VALUE_RESULT, .type = kg_scalar_type(kg_natural_dtype(n)), .note = n,
                        .id = -1};
    return value;
}

kg_value *kg_build_int(kg_build *b, int64_t value)
{
    KG_BUILD_GUARD(b, NULL);
    return literal(b, KG_N_INT, value, 0);
}

kg_value *kg_build_float(kg_build *b, double value)
{
    KG_BUILD_GUARD(b, NULL);
    return literal(b, KG_N_FLOAT, 0, value);
}

kg_value *kg_build_truth(kg_build *b, bool value)
{
    KG_BUILD_GUARD(b, NULL);
    return literal(b, KG_N_TRUTH, value, 0);
}

static kg_value *typed(kg_build *b, kg_dtype dtype, int64_t i, double f)
{
    KG_BUILD_GUARD(b, NULL);
    if (!is_dtype(b, dtype) || !kg_build_in_body(b)) return NULL;
    kg_node *n = new_node(b, KG_N_TYPED);
    n->dtype = dtype;
    n->i = i;
    n->f = f;
    return kg_build_made(b, n);
}

kg_value *kg_build_const(kg_build *b, kg_dtype dtype, double value)
{
    bool fits = value > -9e18 && value < 9e18;
    return typed(b, dtype, fits ? (int64_t)value : 0, value);
}

kg_value *kg_build_const_int(kg_build *b, kg_dtype dtype, int64_t value)
{
    return typed(b, dtype, value, (double)value);
}

// ---- pure ops ----------------------------------------------------------------------------------------
static kg_value *made_of_op(kg_build *b, kg_opcode op, int count, kg_value *const *operands, kg_attr *attrs)
{
    kg_node *n = new_node(b, KG_N_OP);
    n->op = op;
    n->n_args = count;
    n->attrs = attrs;
    n->args = KG_NEW_ARRAY(&b->arena, kg_node *, count + 1);
    for (int i = 0; i < count; i++) n->args[i] = kg_build_node(b, operands[i]);
    return kg_build_made(b, n);
}

kg_value *kg_build_op_array(kg_build *b, kg_opcode op, int count, kg_value *const *operands)
{
    KG_BUILD_GUARD(b, NULL);
    if ((unsigned)op >= KG_OP_COUNT || count < 0 || count > 3 || !operands) {
        error(b, KG_D_T103, "kg_build_op: unknown op, or too many operands");
        return NULL;
    }
    if (!all_there(operands, count) || !kg_build_in_body(b)) return NULL;
    const kg_op_info *info = kg_op_info_of(op);
    if (info->cls == KG_CLASS_D) return kg_build_made(b, call_node(b, "dot", count, operands));
    bool plain = info->cls == KG_CLASS_U || info->cls == KG_CLASS_B || info->cls == KG_CLASS_C ||
                 op == KG_OP_SELECT || op == KG_OP_FMA;
    if (!plain || count != info->min_operands) {
        kg_error(&b->diags, plain ? KG_D_T103 : KG_D_P004, (kg_loc){0},
                 plain ? "%s takes %d operands" : "%s has a function of its own in builder.h (%d)", info->name,
                 info->min_operands);
        return NULL;
    }
    return made_of_op(b, op, count, operands, NULL);
}

kg_value *kg_build_op(kg_build *b, kg_opcode op, int count, ...)
{
    kg_value *operands[3] = {NULL};
    va_list args;
    va_start(args, count);
    for (int i = 0; i < count && i < 3; i++) operands[i] = va_arg(args, kg_value *);
    va_end(args);
    return kg_build_op_array(b, op, count, operands);
}

static kg_value *cast(kg_build *b, kg_opcode op, kg_value *x, kg_dtype dtype)
{
    KG_BUILD_GUARD(b, NULL);
    if (!x || !is_dtype(b, dtype) || !kg_build_in_body(b)) return NULL;
    return made_of_op(b, op, 1, &x, kg_attr_dtype(b->parser, NULL, KG_A_DTYPE, dtype));
}

kg_value *kg_build_cast(kg_build *b, kg_value *x, kg_dtype dtype)
{
    return cast(b, KG_OP_CAST, x, dtype);
}

kg_value *kg_build_bitcast(kg_build *b, kg_value *x, kg_dtype dtype)
{
    return cast(b, KG_OP_BITCAST, x, dtype);
}

kg_value *kg_build_along(kg_build *b, kg_opcode op, kg_value *x, int axis)
{
    KG_BUILD_GUARD(b, NULL);
    if (!x || !kg_build_in_body(b)) return NULL;
    bool along = (unsigned)op < KG_OP_COUNT && (kg_op_info_of(op)->cls == KG_CLASS_R ||
                                                kg_op_info_of(op)->cls == KG_CLASS_N);
    if (!along) {
        error(b, KG_D_P004, "kg_build_along takes reductions and scans");
        return NULL;
    }
    kg_node *n = call_node(b, kg_op_info_of(op)->name, 1, &x);
    if (axis != KG_ALL_AXES) add_key(b, n, "axis", axis);
    return kg_build_made(b, n);
}

// A shape as an attribute; NULL and a finding when it is none.
static kg_attr *shape_attr(kg_build *b, int rank, const int *shape)
{
    int64_t dims[KG_MAX_RANK];
    kg_type type = {.rank = (int8_t)rank};
    if (rank < 1 || rank > KG_MAX_RANK || !shape) {
        error(b, KG_D_T106, "a tile has 1 to 5 dimensions");
        return NULL;
    }
    for (int d = 0; d < rank; d++) dims[d] = type.dims[d] = shape[d];
    const char *problem = kg_shape_problem(&b->arena, &type, false);
    if (problem) error(b, KG_D_T106, problem);
    return problem ? NULL : kg_attr_ints(b->parser, NULL, KG_A_SHAPE, rank, dims);
}

#define COLLECT(type, out, count, last)                                                            \
    type out[KG_MAX_RANK];                                                                         \
    memset(out, 0, sizeof out);                                                                    \
    va_list args;                                                                                  \
    va_start(args, last);                                                                          \
    for (int i = 0; i < (count) && i < KG_MAX_RANK; i++) out[i] = va_arg(args, type);              \
    va_end(args)

kg_value *kg_build_iota_array(kg_build *b, kg_dtype dtype, int axis, int rank, const int *shape)
{
    KG_BUILD_GUARD(b, NULL);
    if (!is_dtype(b, dtype) || !kg_build_in_body(b)) return NULL;
    kg_attr *attrs = shape_attr(b, rank, shape);
    if (!attrs) return NULL;
    attrs = kg_attr_int(b->parser, attrs, KG_A_AXIS, axis < 0 ? axis + rank : axis);
    attrs = kg_attr_dtype(b->parser, attrs, KG_A_DTYPE, dtype);
    return made_of_op(b, KG_OP_IOTA, 0, NULL, attrs);
}

kg_value *kg_build_iota(kg_build *b, kg_dtype dtype, int axis, int rank, ...)
{
    COLLECT(int, shape, rank, rank);
    return kg_build_iota_array(b, dtype, axis, rank, shape);
}

kg_value *kg_build_expand(kg_build *b, kg_value *x, int axis)
{
    KG_BUILD_GUARD(b, NULL);
    if (!x || !kg_build_in_body(b)) return NULL;
    kg_node *n = call_node(b, "expand", 1, &x);
    add_key(b, n, "axis", axis);
    return kg_build_made(b, n);
}

kg_value *kg_build_broadcast_array(kg_build *b, kg_value *x, int rank, const int *shape)
{
    KG_BUILD_GUARD(b, NULL);
    if (!x || !kg_build_in_body(b)) return NULL;
    kg_attr *attrs = shape_attr(b, rank, shape);
    return attrs ? made_of_op(b, KG_OP_BROADCAST, 1, &x, attrs) : NULL;
}

kg_value *kg_build_broadcast(kg_build *b, kg_value *x, int rank, ...)
{
    COLLECT(int, shape, rank, rank);
    return kg_build_broadcast_array(b, x, rank, shape);
}

kg_value *kg_build_transpose_array(kg_build *b, kg_value *x, int rank, const int *permutation)
{
    KG_BUILD_GUARD(b, NULL);
    if (!x || !kg_build_in_body(b)) return NULL;
    kg_node *n = call_node(b, "transpose", 1, &x);
    if (permutation && rank >= 0 && rank <= KG_MAX_RANK) {
        kg_node *list = new_node(b, KG_N_LIST);
        list->args = KG_NEW_ARRAY(&b->arena, kg_node *, rank);
        for (int d = 0; d < rank; d++) list->args[d] = int_node(b, permutation[d]);
        list->n_args = rank;
        n->args[n->n_args++] = list;
    }
    return kg_build_made(b, n);
}

kg_value *kg_build_transpose(kg_build *b, kg_value *x)
{
    return kg_build_transpose_array(b, x, 0, NULL);
}

// ---- memory ------------------------------------------------------------------------------------------
static bool named(kg_build *b, kg_value *value, const char *name)
{
    if (!value || !name) return value != NULL;
    value->name = kg_build_checked_name(b, name);
    return value->name != NULL;
}

static bool tile_type(kg_build *b, kg_dtype dtype, int rank, const int *shape, kg_type *type)
{
    *type = (kg_type){.dtype = dtype, .rank = (int8_t)rank};
    if ((unsigned)dtype >= KG_DTYPE_COUNT || rank < 0 || rank > KG_MAX_RANK || (rank && !shape)) {
        error(b, KG_D_T106, "unknown type, or a rank that is not 0 to 5");
        return false;
    }
    for (int d = 0; d < rank; d++) type->dims[d] = shape[d];
    const char *problem = kg_shape_problem(&b->arena, type, false);
    if (problem) error(b, KG_D_T106, problem);
    return !problem;
}

kg_value *kg_build_shared_array(kg_build *b, const char *name, kg_dtype dtype, int ring, int align, int rank,
                                const int *shape)
{
    KG_BUILD_GUARD(b, NULL);
    kg_type type;
    if (!kg_build_in_body(b) || !tile_type(b, dtype, rank, shape, &type)) return NULL;
    kg_value *value = kg_make_shared(b->parser, &type, ring, align, (kg_loc){0});
    if (!named(b, value, name)) return NULL;
    b->newest = value->op;
    return value;
}

kg_value *kg_build_shared(kg_build *b, const char *name, kg_dtype dtype, int ring, int rank, ...)
{
    COLLECT(int, shape, rank, rank);
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
    if (ranged && index->extent != 0) item->extent = int_node(b, index->extent);
    return true;
}

static kg_value *view(kg_build *b, kg_value *memory, kg_value *slot, int count, const kg_index *indices)
{
    KG_BUILD_GUARD(b, NULL);
    if (count < 0 || count > KG_MAX_RANK || (count && !indices)) {
        error(b, KG_D_T103, "a view has at most 5 indices");
        return NULL;
    }
    if (!memory || !kg_build_in_body(b)) return NULL;
    kg_node *n = new_node(b, KG_N_INDEX);
    n->args = KG_NEW_ARRAY(&b->arena, kg_node *, 1);
    n->args[0] = kg_build_node(b, memory);
    n->n_args = 1;
    n->slot = optional(b, slot);
    n->items = KG_NEW_ARRAY(&b->arena, kg_item, count);
    n->n_items = count;
    for (int i = 0; i < count; i++)
        if (!item_of(b, &indices[i], &n->items[i])) return NULL;
    if (memory->type.home == KG_HOME_FRAG) {
        error(b, KG_D_T104, "a view is taken of a tensor or buffer, not of a fragment");
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
    COLLECT(kg_index, indices, count, count);
    return view(b, memory, NULL, count, indices);
}

kg_value *kg_build_slot_array(kg_build *b, kg_value *ring, kg_value *iteration, int count,
                              const kg_index *indices)
{
    return iteration ? view(b, ring, iteration, count, indices) : NULL;
}

kg_value *kg_build_slot(kg_build *b, kg_value *ring, kg_value *iteration, int count, ...)
{
    COLLECT(kg_index, indices, count, count);
    return kg_build_slot_array(b, ring, iteration, count, indices);
}

kg_value *kg_build_load(kg_build *b, kg_value *from, kg_value *mask, kg_value *otherwise)
{
    KG_BUILD_GUARD(b, NULL);
    if (!from || !kg_build_in_body(b)) return NULL;
    kg_node *n = new_node(b, KG_N_LOAD);
    n->args = KG_NEW_ARRAY(&b->arena, kg_node *, 3);
    n->n_args = 3;
    n->args[0] = kg_build_node(b, from);
    n->args[1] = optional(b, mask);
    n->args[2] = mask ? optional(b, otherwise) : NULL;
    return kg_build_made(b, n);
}

static bool store(kg_build *b, kg_opcode op, kg_value *to, kg_value *value, kg_value *mask)
{
    KG_BUILD_GUARD(b, false);
    int errors = b->diags.errors;
    if (!to || !value || !kg_build_in_body(b)) return false;
    kg_make_store(b->parser, op, (kg_loc){0}, kg_build_node(b, to), kg_build_node(b, value),
                  optional(b, mask), NULL);
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
    error(b, KG_D_P004, "kg_build_atomic takes atomic ops");
    return false;
}

static bool copy(kg_build *b, kg_opcode op, kg_value *to, kg_value *from)
{
    KG_BUILD_GUARD(b, false);
    int errors = b->diags.errors;
    if (!to || !from || !kg_build_in_body(b)) return false;
    kg_make_copy(b->parser, op, (kg_loc){0}, kg_build_node(b, to), kg_build_node(b, from), NULL);
    return kg_build_done(b, errors);
}

bool kg_build_copy(kg_build *b, kg_value *to, kg_value *from)
{
    return copy(b, KG_OP_COPY, to, from);
}

bool kg_build_copy_async(kg_build *b, kg_value *to, kg_value *from)
{
    return copy(b, KG_OP_COPY_ASYNC, to, from);
}

kg_value *kg_build_fetch_add(kg_build *b, kg_value *at, kg_value *value)
{
    KG_BUILD_GUARD(b, NULL);
    if (!at || !value || !kg_build_in_body(b)) return NULL;
    kg_value *old = kg_make_fetch_add(b->parser, (kg_loc){0}, kg_build_node(b, at), kg_build_node(b, value),
                                      NULL);
    if (old) b->newest = old->op;
    return old;
}

static bool flag(kg_build *b, kg_opcode op, kg_value *at, bool ge, kg_value *value)
{
    KG_BUILD_GUARD(b, false);
    int errors = b->diags.errors;
    if (!at || !value || !kg_build_in_body(b)) return false;
    kg_make_flag(b->parser, op, (kg_loc){0}, kg_build_node(b, at), ge, kg_build_node(b, value), NULL);
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

// ---- mutable fragments -------------------------------------------------------------------------------
static kg_value *frag(kg_build *b, const char *name, const kg_type *type, kg_value *first)
{
    if (!first || !kg_build_in_body(b)) return NULL;
    kg_value *value = kg_make_frag(b->parser, kg_build_node(b, first), type, (kg_loc){0});
    if (!named(b, value, name)) return NULL;
    b->newest = value->op;
    return value;
}

kg_value *kg_build_frag(kg_build *b, const char *name, kg_value *first)
{
    KG_BUILD_GUARD(b, NULL);
    return frag(b, name, NULL, first);
}

kg_value *kg_build_frag_array(kg_build *b, const char *name, kg_dtype dtype, kg_value *first, int rank,
                              const int *shape)
{
    KG_BUILD_GUARD(b, NULL);
    kg_type type;
    return tile_type(b, dtype, rank, shape, &type) ? frag(b, name, &type, first) : NULL;
}

kg_value *kg_build_frag_tile(kg_build *b, const char *name, kg_dtype dtype, kg_value *first, int rank, ...)
{
    COLLECT(int, shape, rank, rank);
    return kg_build_frag_array(b, name, dtype, first, rank, shape);
}

bool kg_build_assign(kg_build *b, kg_value *target, kg_value *value)
{
    KG_BUILD_GUARD(b, false);
    int errors = b->diags.errors;
    if (!target || !value || !kg_build_in_body(b)) return false;
    if (target->kind != KG_VALUE_RESULT || !target->op || target->op->code != KG_OP_FRAG) {
        error(b, KG_D_T107, "only a mutable fragment (kg_build_frag) can be assigned to");
        return false;
    }
    kg_make_assign(b->parser, (kg_loc){0}, target, kg_build_node(b, value));
    return kg_build_done(b, errors);
}

// ---- regions -----------------------------------------------------------------------------------------
// Goes on in a block; a region whose beginning failed gets a block that is in no kernel, so that ends still pair.
static void enter(kg_build *b, kg_op *op, kg_block *block, bool in_condition)
{
    kg_open_region region = {op, b->parser->block, in_condition};
    if (!block) {
        block = KG_NEW(&b->arena, kg_block);
        block->kernel = b->parser->kernel;
    }
    KG_PUSH(&b->arena, &b->regions, region);
    b->parser->block = block;
    if (op) b->newest = op;
}

static void set_count(kg_build *b, kg_op *op, kg_attr_key key, int value)
{
    if (value > 0) kg_op_set_int(b->parser->kernel, op, key, value);
}

kg_value *kg_build_for(kg_build *b, const char *name, kg_value *low, kg_value *high, kg_value *step,
                       int pipeline, int unroll)
{
    KG_BUILD_GUARD(b, NULL);
    if (!kg_build_in_body(b)) return NULL;
    kg_value *operands[3];
    const char *checked = name ? kg_build_checked_name(b, name) : NULL;
    kg_op *op = NULL;
    if (low && high && (checked || !name)) {
        kg_node *n[3] = {kg_build_node(b, low), kg_build_node(b, high),
                         step ? kg_build_node(b, step) : int_node(b, 1)};
        if (kg_make_bounds(b->parser, n, operands))
            op = kg_emit_op(b->parser, KG_OP_FOR, (kg_loc){0}, 3, operands, NULL);
    }
    kg_block *body = op ? kg_op_add_block(b->parser->kernel, op) : NULL;
    enter(b, op, body, false);
    if (!op) return NULL;
    set_count(b, op, KG_A_PIPELINE, pipeline);
    set_count(b, op, KG_A_UNROLL, unroll);
    body->arg = KG_NEW(&b->arena, kg_value);
    *body->arg = (kg_value){.kind = KG_VALUE_ARG, .type = operands[0]->type, .name = checked, .op = op, .id = -1};
    return body->arg;
}

bool kg_build_while(kg_build *b)
{
    KG_BUILD_GUARD(b, false);
    if (!kg_build_in_body(b)) return false;
    kg_op *op = kg_op_new(b->parser->kernel, KG_OP_WHILE, (kg_loc){0}, 0, NULL);
    kg_block_append(b->parser->block, op);
    kg_block *condition = kg_op_add_block(b->parser->kernel, op);
    kg_op_add_block(b->parser->kernel, op);
    enter(b, op, condition, true);
    return true;
}

static kg_open_region *innermost(kg_build *b)
{
    return b->regions.count ? &b->regions.items[b->regions.count - 1] : NULL;
}

bool kg_build_do(kg_build *b, kg_value *condition)
{
    KG_BUILD_GUARD(b, false);
    kg_open_region *region = innermost(b);
    int errors = b->diags.errors;
    if (!region || !region->in_condition) {
        error(b, KG_D_V203, "kg_build_do ends the condition that kg_build_while began");
        return false;
    }
    if (condition) kg_make_yield(b->parser, kg_build_node(b, condition), (kg_loc){0});
    region->in_condition = false;
    b->parser->block = region->op->blocks[1];
    return condition && b->diags.errors == errors;
}

bool kg_build_if(kg_build *b, kg_value *condition)
{
    KG_BUILD_GUARD(b, false);
    if (!kg_build_in_body(b)) return false;
    kg_op *op = NULL;
    if (condition) {
        kg_node *n = kg_build_node(b, condition);
        kg_value_node(b->parser, n);
        kg_value *truth = kg_make_truth(b->parser, n);
        op = kg_emit_op(b->parser, KG_OP_IF, (kg_loc){0}, 1, &truth, NULL);
    }
    kg_block *then = op ? kg_op_add_block(b->parser->kernel, op) : NULL;
    if (op) kg_op_add_block(b->parser->kernel, op);
    enter(b, op, then, false);
    return op != NULL;
}

bool kg_build_else(kg_build *b)
{
    KG_BUILD_GUARD(b, false);
    kg_open_region *region = innermost(b);
    if (region && !region->op) return false; // its beginning failed
    if (!region || region->op->code != KG_OP_IF || b->parser->block != region->op->blocks[0]) {
        error(b, KG_D_V203, "kg_build_else belongs to an open kg_build_if");
        return false;
    }
    b->parser->block = region->op->blocks[1];
    return true;
}

bool kg_build_role(kg_build *b, int first_warp, int last_warp, const char *role)
{
    KG_BUILD_GUARD(b, false);
    if (!kg_build_in_body(b)) return false;
    kg_kernel *k = b->parser->kernel;
    const char *checked = role ? kg_build_checked_name(b, role) : NULL;
    kg_op *op = NULL;
    if (first_warp < 0 || last_warp <= first_warp || last_warp > k->warps) {
        error(b, KG_D_V205, "the warps of a role do not lie within the CTA");
    } else if (checked || !role) {
        op = kg_op_new(k, KG_OP_WARPS, (kg_loc){0}, 0, NULL);
        kg_op_set_int(k, op, KG_A_FIRST, first_warp);
        kg_op_set_int(k, op, KG_A_LAST, last_warp);
        if (role) kg_op_set_name(k, op, KG_A_ROLE, checked);
        kg_block_append(b->parser->block, op);
    }
    enter(b, op, op ? kg_op_add_block(k, op) : NULL, false);
    return op != NULL;
}

bool kg_build_end(kg_build *b)
{
    KG_BUILD_GUARD(b, false);
    kg_open_region *region = innermost(b);
    if (!region) {
        error(b, KG_D_V203, "kg_build_end: nothing is open");
        return false;
    }
    b->parser->block = region->outer;
    b->newest = region->op;
    b->regions.count--;
    return region->op != NULL;
}

// ---- synchronization by hand -------------------------------------------------------------------------
typedef struct sync_request {
    kg_opcode op;
    int id, count; // -1: not stated
    const char *order, *scope;
} sync_request;

static bool synchronize(kg_build *b, const sync_request *request)
{
    KG_BUILD_GUARD(b, false);
    if (!kg_build_in_body(b)) return false;
    kg_kernel *k = b->parser->kernel;
    const char *order = NULL, *scope = NULL;
    if (request->op == KG_OP_FENCE) {
        order = kg_build_checked_name(b, request->order);
        scope = kg_build_checked_name(b, request->scope);
        if (!order || !scope) return false;
    }
    kg_op *op = kg_op_new(k, request->op, (kg_loc){0}, 0, NULL);
    if (request->id >= 0) kg_op_set_int(k, op, KG_A_ID, request->id);
    if (request->count >= 0) kg_op_set_int(k, op, KG_A_COUNT, request->count);
    if (order) kg_op_set_name(k, op, KG_A_ORDER, order);
    if (scope) kg_op_set_name(k, op, KG_A_SCOPE, scope);
    kg_op_set_int(k, op, KG_A_BY_HAND, 1);
    kg_block_append(b->parser->block, op);
    b->newest = op;
    return true;
}

bool kg_build_barrier(kg_build *b)
{
    return synchronize(b, &(sync_request){KG_OP_BARRIER, -1, -1, NULL, NULL});
}

bool kg_build_named_barrier(kg_build *b, int id, int threads)
{
    return synchronize(b, &(sync_request){KG_OP_BARRIER, id, threads, NULL, NULL});
}

bool kg_build_arrive(kg_build *b, int id, int threads)
{
    return synchronize(b, &(sync_request){KG_OP_ARRIVE, id, threads, NULL, NULL});
}

bool kg_build_warp_sync(kg_build *b)
{
    return synchronize(b, &(sync_request){KG_OP_WARP_SYNC, -1, -1, NULL, NULL});
}

bool kg_build_commit(kg_build *b)
{
    return synchronize(b, &(sync_request){KG_OP_COMMIT, -1, -1, NULL, NULL});
}

bool kg_build_wait(kg_build *b, int groups_in_flight)
{
    return synchronize(b, &(sync_request){KG_OP_WAIT, -1, groups_in_flight, NULL, NULL});
}

bool kg_build_fence(kg_build *b, const char *order, const char *scope)
{
    return synchronize(b, &(sync_request){KG_OP_FENCE, -1, -1, order, scope});
}

// ---- names and attributes ----------------------------------------------------------------------------
kg_value *kg_build_name(kg_build *b, kg_value *value, const char *name)
{
    KG_BUILD_GUARD(b, NULL);
    if (!value || (value->kind == KG_VALUE_RESULT && !value->op)) return value; // literals have no names
    if (value->kind == KG_VALUE_PARAM || value->kind == KG_VALUE_GRID) {
        error(b, KG_D_P007, "parameters and grid axes have their names already");
        return NULL;
    }
    return named(b, value, name) ? value : NULL;
}

static bool apply(kg_build *b, const char *key, kg_node *value)
{
    int errors = b->diags.errors;
    if (!b->newest || !key) {
        if (!b->diags.errors) error(b, KG_D_P006, "there is no op to give an attribute to");
        return false;
    }
    kg_keyed keyed = {.key = kg_arena_strndup(&b->arena, key, strlen(key)), .value = value};
    kg_apply_attrs(b->parser, b->newest, &keyed);
    return b->diags.errors == errors;
}

bool kg_build_attr_int(kg_build *b, const char *key, int64_t value)
{
    KG_BUILD_GUARD(b, false);
    return apply(b, key, int_node(b, value));
}

bool kg_build_attr_ints(kg_build *b, const char *key, int count, const int64_t *values)
{
    KG_BUILD_GUARD(b, false);
    kg_node *list = new_node(b, KG_N_LIST);
    if (count < 0 || (count && !values)) return false;
    list->args = KG_NEW_ARRAY(&b->arena, kg_node *, count);
    for (int i = 0; i < count; i++) list->args[i] = int_node(b, values[i]);
    list->n_args = count;
    return apply(b, key, list);
}

bool kg_build_attr_word(kg_build *b, const char *key, const char *word)
{
    KG_BUILD_GUARD(b, false);
    kg_node *n = new_node(b, KG_N_NAME);
    n->name = kg_build_checked_name(b, word);
    return n->name && apply(b, key, n);
}
