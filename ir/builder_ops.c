// SPDX-License-Identifier: MIT
// The builder's ops, regions and attributes. A literal is a value without an op: its `note` is the
// tree.
#include "ir/builder_state.h"
#include <string.h>

// ---- trees -------------------------------------------------------------------------------------
kg_node *kg_build_new_node(kg_build *b, kg_node_kind kind)
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
    kg_node *n = kg_build_new_node(b, KG_N_VALUE);
    n->value = value;
    return n;
}

kg_node *kg_build_optional(kg_build *b, kg_value *value)
{
    return value ? kg_build_node(b, value) : NULL;
}

kg_node *kg_build_int_node(kg_build *b, int64_t value)
{
    kg_node *n = kg_build_new_node(b, KG_N_INT);
    n->i = value;
    return n;
}

static kg_node *call_node(kg_build *b, const char *name, int count, kg_value *const *args)
{
    kg_node *n = kg_build_new_node(b, KG_N_CALL);
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
    k->value = kg_build_int_node(b, value);
    k->next = n->keyed;
    n->keyed = k;
}

kg_value *kg_build_made(kg_build *b, kg_node *n)
{
    kg_parser *p = b->parser;
    kg_type_node(p, n);
    if (n->kind == KG_N_POISON) return NULL;
    bool memory = !kg_is_literal(n) && n->type.home != KG_HOME_FRAG;
    kg_value *value =
        memory ? kg_emit_memory(p, n, NULL) : kg_emit(p, n, kg_natural_dtype(n), NULL);
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

void kg_build_error(kg_build *b, kg_diag_id id, const char *text)
{
    kg_error(&b->diags, id, (kg_loc){0}, "%s", text);
}

bool kg_build_is_dtype(kg_build *b, kg_dtype dtype)
{
    if ((unsigned)dtype < KG_DTYPE_COUNT) return true;
    kg_build_error(b, KG_D_P005, "unknown type");
    return false;
}

// ---- literals ----------------------------------------------------------------------------------
static kg_value *literal(kg_build *b, kg_node_kind kind, int64_t i, double f)
{
    kg_node *n = kg_build_new_node(b, kind);
    n->i = i;
    n->f = f;
    kg_value *value = KG_NEW(&b->arena, kg_value);
    *value = (kg_value){
        .kind = KG_VALUE_RESULT, .type = kg_scalar_type(kg_natural_dtype(n)), .note = n, .id = -1};
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
    if (!kg_build_is_dtype(b, dtype) || !kg_build_in_body(b)) return NULL;
    kg_node *n = kg_build_new_node(b, KG_N_TYPED);
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

// ---- pure ops ----------------------------------------------------------------------------------
static kg_value *made_of_op(kg_build *b, kg_opcode op, int count, kg_value *const *operands,
                            kg_attr *attrs)
{
    kg_node *n = kg_build_new_node(b, KG_N_OP);
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
        kg_build_error(b, KG_D_T103, "kg_build_op: unknown op, or too many operands");
        return NULL;
    }
    if (!all_there(operands, count) || !kg_build_in_body(b)) return NULL;
    const kg_op_info *info = kg_op_info_of(op);
    if (info->cls == KG_CLASS_D) return kg_build_made(b, call_node(b, info->name, count, operands));
    bool plain = info->cls == KG_CLASS_U || info->cls == KG_CLASS_B || info->cls == KG_CLASS_C ||
                 op == KG_OP_SELECT || op == KG_OP_FMA;
    if (!plain || count != info->min_operands) {
        kg_error(&b->diags, plain ? KG_D_T103 : KG_D_P004, (kg_loc){0},
                 plain ? "%s takes %d operands" : "%s has a function of its own in builder.h (%d)",
                 info->name, info->min_operands);
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
    if (!x || !kg_build_is_dtype(b, dtype) || !kg_build_in_body(b)) return NULL;
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
    bool along = (unsigned)op < KG_OP_COUNT &&
                 (kg_op_info_of(op)->cls == KG_CLASS_R || kg_op_info_of(op)->cls == KG_CLASS_N);
    if (!along) {
        kg_build_error(b, KG_D_P004, "kg_build_along takes reductions and scans");
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
        kg_build_error(b, KG_D_T106, "a tile has 1 to 5 dimensions");
        return NULL;
    }
    for (int d = 0; d < rank; d++) dims[d] = type.dims[d] = shape[d];
    const char *problem = kg_shape_problem(&b->arena, &type, false);
    if (problem) kg_build_error(b, KG_D_T106, problem);
    return problem ? NULL : kg_attr_ints(b->parser, NULL, KG_A_SHAPE, rank, dims);
}

kg_value *kg_build_iota_array(kg_build *b, kg_dtype dtype, int axis, int rank, const int *shape)
{
    KG_BUILD_GUARD(b, NULL);
    if (!kg_build_is_dtype(b, dtype) || !kg_build_in_body(b)) return NULL;
    kg_attr *attrs = shape_attr(b, rank, shape);
    if (!attrs) return NULL;
    attrs = kg_attr_int(b->parser, attrs, KG_A_AXIS, axis < 0 ? axis + rank : axis);
    attrs = kg_attr_dtype(b->parser, attrs, KG_A_DTYPE, dtype);
    return made_of_op(b, KG_OP_IOTA, 0, NULL, attrs);
}

kg_value *kg_build_iota(kg_build *b, kg_dtype dtype, int axis, int rank, ...)
{
    KG_BUILD_COLLECT(int, shape, rank, rank);
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

kg_value *kg_build_part(kg_build *b, kg_value *x, int axis, int first, int last)
{
    KG_BUILD_GUARD(b, NULL);
    if (!x || !kg_build_in_body(b)) return NULL;
    kg_node *n = call_node(b, "part", 1, &x);
    add_key(b, n, "axis", axis);
    add_key(b, n, "first", first);
    add_key(b, n, "last", last);
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
    KG_BUILD_COLLECT(int, shape, rank, rank);
    return kg_build_broadcast_array(b, x, rank, shape);
}

kg_value *kg_build_transpose_array(kg_build *b, kg_value *x, int rank, const int *permutation)
{
    KG_BUILD_GUARD(b, NULL);
    if (!x || !kg_build_in_body(b)) return NULL;
    kg_node *n = call_node(b, "transpose", 1, &x);
    if (permutation && rank >= 0 && rank <= KG_MAX_RANK) {
        kg_node *list = kg_build_new_node(b, KG_N_LIST);
        list->args = KG_NEW_ARRAY(&b->arena, kg_node *, rank);
        for (int d = 0; d < rank; d++) list->args[d] = kg_build_int_node(b, permutation[d]);
        list->n_args = rank;
        n->args[n->n_args++] = list;
    }
    return kg_build_made(b, n);
}

kg_value *kg_build_transpose(kg_build *b, kg_value *x)
{
    return kg_build_transpose_array(b, x, 0, NULL);
}
