// SPDX-License-Identifier: MIT
// Builtins: what name(args, key=value) stands for. Each becomes an OP with attributes, or a small
// tree of them (sum over all axes, ceildiv, zeros), and is then typed like an operator.
#include "ir/parse.h"
#include <string.h>

static void poison(kg_node *n)
{
    n->kind = KG_N_POISON;
}

// ---- arguments by key --------------------------------------------------------------------------
static kg_node *take_key(kg_node *n, const char *key)
{
    for (kg_keyed **k = &n->keyed; *k; k = &(*k)->next)
        if (!strcmp((*k)->key, key)) {
            kg_node *value = (*k)->value;
            *k = (*k)->next;
            return value;
        }
    return NULL;
}

static bool no_more_keys(kg_parser *p, kg_node *n)
{
    static const char *const keys[] = {"axis",    "shape", "perm", "dtype",
                                       "partial", "first", "last"};
    if (!n->keyed) return true;
    kg_diag *d =
        kg_error(p->diags, KG_D_P006, n->keyed->loc, "%s has no key '%s'", n->name, n->keyed->key);
    const char *nearest = kg_nearest_name(n->keyed->key, keys, sizeof keys / sizeof *keys);
    if (nearest) kg_diag_help(p->diags, d, "did you mean '%s'?", nearest);
    poison(n);
    return false;
}

static bool count_is(kg_parser *p, kg_node *n, int least, int most)
{
    if (n->n_args >= least && n->n_args <= most) return true;
    if (least == most)
        kg_error(p->diags, KG_D_T103, n->loc, "%s takes %d argument%s, not %d", n->name, least,
                 least == 1 ? "" : "s", n->n_args);
    else
        kg_error(p->diags, KG_D_T103, n->loc, "%s takes %d to %d arguments, not %d", n->name, least,
                 most, n->n_args);
    poison(n);
    return false;
}

// The constant under a key (or at a position), as an attribute.
static bool int_attr(kg_parser *p, kg_node *n, kg_node *value, kg_attr_key key)
{
    int64_t number;
    if (!value) return true;
    if (!kg_constant_int(p, value, kg_attr_info_of(key)->name, &number)) {
        poison(n);
        return false;
    }
    n->attrs = kg_attr_int(p, n->attrs, key, number);
    return true;
}

static bool shape_attr(kg_parser *p, kg_node *n, kg_node *list)
{
    kg_type type = {0};
    int64_t dims[KG_MAX_RANK];
    if (list->kind != KG_N_LIST) { // iota(N) means iota([N])
        kg_node *one = kg_node_new(p, KG_N_LIST, list->loc);
        one->args = KG_NEW_ARRAY(p->arena, kg_node *, 1);
        one->args[0] = list;
        one->n_args = 1;
        list = one;
    }
    if (!kg_constant_extents(p, list, &type)) {
        poison(n);
        return false;
    }
    for (int d = 0; d < type.rank; d++) dims[d] = type.dims[d];
    n->attrs = kg_attr_ints(p, n->attrs, KG_A_SHAPE, type.rank, dims);
    return true;
}

static bool dtype_attr(kg_parser *p, kg_node *n, kg_node *name)
{
    kg_dtype dtype;
    bool ok = name->kind == KG_N_NAME && kg_dtype_of_name(p, name->name, name->loc, &dtype);
    if (name->kind != KG_N_NAME && name->kind != KG_N_POISON)
        kg_error(p->diags, KG_D_P005, name->loc, "a type is expected here");
    if (ok)
        n->attrs = kg_attr_dtype(p, n->attrs, KG_A_DTYPE, dtype);
    else
        poison(n);
    return ok;
}

static void as_op(kg_parser *p, kg_node *n, kg_opcode op)
{
    n->kind = KG_N_OP;
    n->op = op;
}

// ---- builtins of their own ---------------------------------------------------------------------
// Axis counted from the end when negative. Needs the operand's rank, so the operand is typed first.
static bool axis_attr(kg_parser *p, kg_node *n, kg_node *value, int rank)
{
    int64_t axis;
    if (!kg_constant_int(p, value, "axis", &axis)) {
        poison(n);
        return false;
    }
    if (axis < -rank || axis >= rank) {
        kg_error(p->diags, KG_D_T108, value->loc, "axis %lld of %s is out of range for rank %d",
                 (long long)axis, n->name, rank);
        poison(n);
        return false;
    }
    n->attrs = kg_attr_int(p, n->attrs, KG_A_AXIS, axis < 0 ? axis + rank : axis);
    return true;
}

// sum(x) over all axes: the last axis first.
static void reduce_all(kg_parser *p, kg_node *n, int rank)
{
    kg_node *tree = n->args[0];
    for (int axis = rank - 1; axis > 0; axis--) {
        tree = kg_node_op(p, n->op, n->loc, 1, tree, NULL);
        tree->attrs = kg_attr_int(p, NULL, KG_A_AXIS, axis);
    }
    n->args[0] = tree;
    n->attrs = kg_attr_int(p, n->attrs, KG_A_AXIS, 0);
}

static void call_reduce(kg_parser *p, kg_node *n, kg_opcode op)
{
    kg_node *axis = take_key(n, "axis"), *partial = take_key(n, "partial");
    if (!no_more_keys(p, n) || !count_is(p, n, 1, 1)) return;
    kg_value_node(p, n->args[0]);
    if (n->args[0]->kind == KG_N_POISON) {
        poison(n);
        return;
    }
    int rank = n->args[0]->type.rank;
    bool scan = kg_op_info_of(op)->cls == KG_CLASS_N;
    bool index = op == KG_OP_ARGMAX || op == KG_OP_ARGMIN;
    if (rank == 0 || (!axis && rank > 1 && (scan || index))) {
        kg_diag *d = kg_error(p->diags, KG_D_T108, n->loc,
                              rank ? "%s of a tile needs an axis" : "%s needs a tile, not a scalar",
                              n->name);
        if (rank) kg_diag_help(p->diags, d, "write %s(x, axis=0)", n->name);
        poison(n);
        return;
    }
    as_op(p, n, op);
    if (axis && !axis_attr(p, n, axis, rank)) return;
    if (!axis) reduce_all(p, n, rank);
    if (int_attr(p, n, partial, KG_A_PARTIAL)) kg_type_op(p, n);
}

static void call_cast(kg_parser *p, kg_node *n, kg_opcode op)
{
    if (!no_more_keys(p, n) || !count_is(p, n, 2, 2) || !dtype_attr(p, n, n->args[1])) return;
    as_op(p, n, op);
    n->n_args = 1;
    kg_type_op(p, n);
}

static void call_iota(kg_parser *p, kg_node *n)
{
    kg_node *axis = take_key(n, "axis"), *dtype = take_key(n, "dtype");
    if (!no_more_keys(p, n) || !count_is(p, n, 1, 1) || !shape_attr(p, n, n->args[0])) return;
    int rank = 0;
    for (const kg_attr *a = n->attrs; a; a = a->next)
        if (a->key == KG_A_SHAPE) rank = a->count;
    if (axis ? !axis_attr(p, n, axis, rank) : rank != 1) {
        if (!axis) kg_error(p->diags, KG_D_T108, n->loc, "iota of a tile needs an axis");
        poison(n);
        return;
    }
    if (!axis) n->attrs = kg_attr_int(p, n->attrs, KG_A_AXIS, 0);
    if (dtype ? !dtype_attr(p, n, dtype)
              : (n->attrs = kg_attr_dtype(p, n->attrs, KG_A_DTYPE, KG_I32), false))
        return;
    as_op(p, n, KG_OP_IOTA);
    n->n_args = 0;
    kg_type_op(p, n);
}

static void call_expand(kg_parser *p, kg_node *n)
{
    kg_node *axis = take_key(n, "axis");
    if (!no_more_keys(p, n) || !count_is(p, n, 1, 1)) return;
    kg_value_node(p, n->args[0]);
    if (n->args[0]->kind == KG_N_POISON) {
        poison(n);
        return;
    }
    if (!axis) {
        kg_error(p->diags, KG_D_T108, n->loc, "expand needs an axis");
        poison(n);
        return;
    }
    as_op(p, n, KG_OP_EXPAND);
    if (axis_attr(p, n, axis, n->args[0]->type.rank + 1)) kg_type_op(p, n);
}

static void call_part(kg_parser *p, kg_node *n)
{
    kg_node *axis = take_key(n, "axis"), *first = take_key(n, "first"), *last = take_key(n, "last");
    if (!no_more_keys(p, n) || !count_is(p, n, 1, 1)) return;
    kg_value_node(p, n->args[0]);
    if (n->args[0]->kind == KG_N_POISON) {
        poison(n);
        return;
    }
    if (!axis || !first || !last) {
        kg_diag *d =
            kg_error(p->diags, KG_D_T108, n->loc, "part needs an axis, a first and a last");
        kg_diag_help(p->diags, d, "write part(x, axis=0, first=0, last=16)");
        poison(n);
        return;
    }
    as_op(p, n, KG_OP_PART);
    if (axis_attr(p, n, axis, n->args[0]->type.rank) && int_attr(p, n, first, KG_A_FIRST) &&
        int_attr(p, n, last, KG_A_LAST))
        kg_type_op(p, n);
}

static void call_broadcast(kg_parser *p, kg_node *n)
{
    if (!no_more_keys(p, n) || !count_is(p, n, 2, 2) || !shape_attr(p, n, n->args[1])) return;
    as_op(p, n, KG_OP_BROADCAST);
    n->n_args = 1;
    kg_type_op(p, n);
}

static void call_transpose(kg_parser *p, kg_node *n)
{
    int64_t perm[KG_MAX_RANK];
    if (!no_more_keys(p, n) || !count_is(p, n, 1, 2)) return;
    kg_node *list = n->n_args == 2 ? n->args[1] : NULL;
    kg_type_node(p, n->args[0]);
    if (n->args[0]->kind == KG_N_POISON) {
        poison(n);
        return;
    }
    int rank = n->args[0]->type.rank;
    for (int d = 0; d < rank; d++) perm[d] = rank - 1 - d;
    if (list && (list->kind != KG_N_LIST || list->n_args != rank)) {
        kg_error(p->diags, KG_D_T108, list->loc,
                 "the permutation must name each of the %d dimensions once", rank);
        poison(n);
        return;
    }
    for (int d = 0; list && d < rank; d++)
        if (!kg_constant_int(p, list->args[d], "a dimension", &perm[d])) {
            poison(n);
            return;
        }
    n->attrs = kg_attr_ints(p, n->attrs, KG_A_PERM, rank, perm);
    as_op(p, n, KG_OP_TRANSPOSE);
    n->n_args = 1;
    kg_type_op(p, n);
}

// zeros(T, [d, ..]) and full(E, [d, ..]) are broadcasts of a scalar.
static void call_full(kg_parser *p, kg_node *n, bool zeros)
{
    if (!no_more_keys(p, n) || !count_is(p, n, 2, 2) || !shape_attr(p, n, n->args[1])) return;
    if (zeros) {
        kg_dtype dtype;
        kg_node *name = n->args[0];
        if (name->kind != KG_N_NAME || !kg_dtype_of_name(p, name->name, name->loc, &dtype)) {
            if (name->kind != KG_N_NAME)
                kg_error(p->diags, KG_D_P005, name->loc, "zeros takes a type first");
            poison(n);
            return;
        }
        n->args[0] = kg_node_new(p, KG_N_TYPED, name->loc);
        n->args[0]->dtype = dtype;
    }
    as_op(p, n, KG_OP_BROADCAST);
    n->n_args = 1;
    kg_type_op(p, n);
    if (n->kind == KG_N_POISON || n->args[0]->type.rank == 0) return;
    kg_error(p->diags, KG_D_T101, n->args[0]->loc, "full takes a scalar first");
    poison(n);
}

// ceildiv(a, b) of run-time values: -((-a) / b), since / rounds towards minus infinity.
static void call_ceildiv(kg_parser *p, kg_node *n)
{
    if (!no_more_keys(p, n) || !count_is(p, n, 2, 2)) return;
    kg_node *minus = kg_node_op(p, KG_OP_NEG, n->loc, 1, n->args[0], NULL);
    kg_node *quotient = kg_node_op(p, KG_OP_DIV, n->loc, 2, minus, n->args[1]);
    n->args[0] = quotient;
    n->n_args = 1;
    as_op(p, n, KG_OP_NEG);
    kg_fold(p, minus);
    kg_type_op(p, n);
}

// The accumulator of dot(a, b) is zero. Operands stay in memory: dot reads them itself.
static void call_dot(kg_parser *p, kg_node *n, kg_opcode op)
{
    if (!no_more_keys(p, n) || !count_is(p, n, 2, 3)) return;
    kg_node **args = KG_NEW_ARRAY(p->arena, kg_node *, 3);
    memcpy(args, n->args, sizeof *args * (size_t)n->n_args);
    if (n->n_args == 2) {
        args[2] = kg_node_new(p, KG_N_INT, n->loc);
        args[2]->i = 0;
    }
    n->args = args;
    n->n_args = 3;
    as_op(p, n, op);
    kg_type_op(p, n);
}

// f32(2.0): a constant of a stated type.
static void call_typed(kg_parser *p, kg_node *n, kg_dtype dtype)
{
    if (!no_more_keys(p, n) || !count_is(p, n, 1, 1)) return;
    const kg_node *value = n->args[0];
    bool is_float = kg_dtype_info_of(dtype)->is_float;
    bool fits = value->kind == KG_N_INT     ? dtype != KG_I1
                : value->kind == KG_N_FLOAT ? is_float
                                            : value->kind == KG_N_TRUTH && dtype == KG_I1;
    if (!fits) {
        if (value->kind != KG_N_POISON) {
            kg_diag *d = kg_error(p->diags, KG_D_T102, n->loc,
                                  "%s(..) takes a constant of that type", n->name);
            kg_diag_help(p->diags, d, "to convert a value write cast(x, %s)", n->name);
        }
        poison(n);
        return;
    }
    n->f = value->kind == KG_N_FLOAT ? value->f : (double)value->i;
    n->i = value->i;
    n->kind = KG_N_TYPED;
    n->dtype = dtype;
    n->n_args = 0;
    n->type = kg_scalar_type(dtype);
}

// ---- dispatch ----------------------------------------------------------------------------------
static const char *const extra_builtins[] = {"zeros", "full", "ceildiv"};

static void unknown(kg_parser *p, kg_node *n)
{
    const char *names[KG_OP_COUNT + 3];
    int count = 0;
    for (int i = 0; i < KG_OP_COUNT; i++)
        if (kg_op_info_of((kg_opcode)i)->results &&
            !kg_is_keyword(kg_op_info_of((kg_opcode)i)->name))
            names[count++] = kg_op_info_of((kg_opcode)i)->name;
    for (int i = 0; i < 3; i++) names[count++] = extra_builtins[i];
    kg_diag *d = kg_error(p->diags, KG_D_P004, n->loc, "unknown op or builtin '%s'", n->name);
    const char *nearest = kg_nearest_name(n->name, names, count);
    if (nearest) kg_diag_help(p->diags, d, "did you mean '%s'?", nearest);
    poison(n);
}

static bool special(kg_parser *p, kg_node *n)
{
    if (!strcmp(n->name, "zeros") || !strcmp(n->name, "full"))
        call_full(p, n, n->name[0] == 'z');
    else if (!strcmp(n->name, "ceildiv"))
        call_ceildiv(p, n);
    else
        return false;
    return true;
}

static void call_op(kg_parser *p, kg_node *n, kg_opcode op)
{
    const kg_op_info *info = kg_op_info_of(op);
    switch (op) {
    case KG_OP_CAST:
    case KG_OP_BITCAST: call_cast(p, n, op); return;
    case KG_OP_IOTA: call_iota(p, n); return;
    case KG_OP_EXPAND: call_expand(p, n); return;
    case KG_OP_PART:
        call_part(p, n);
        return;
    case KG_OP_BROADCAST: call_broadcast(p, n); return;
    case KG_OP_TRANSPOSE: call_transpose(p, n); return;
    case KG_OP_DOT:
    case KG_OP_WGMMA: call_dot(p, n, op); return;
    case KG_OP_CONST:
    case KG_OP_SHARED:
    case KG_OP_VIEW: unknown(p, n); return;
    default: break;
    }
    if (info->cls == KG_CLASS_R || info->cls == KG_CLASS_N) {
        call_reduce(p, n, op);
        return;
    }
    if (!info->results || info->cls == KG_CLASS_S || info->cls == KG_CLASS_M) {
        unknown(p, n);
        return;
    }
    if (!no_more_keys(p, n) || !count_is(p, n, info->min_operands, info->max_operands)) return;
    as_op(p, n, op);
    kg_type_op(p, n);
}

void kg_type_call(kg_parser *p, kg_node *n)
{
    kg_opcode op;
    kg_dtype dtype;
    const kg_symbol *symbol;
    if (kg_dtype_named(n->name, &dtype)) {
        call_typed(p, n, dtype);
        return;
    }
    if (special(p, n)) return;
    bool one = n->n_args == 1; // max(x, axis=..) reduces, max(a, b) is elementwise
    if (one && !strcmp(n->name, "max")) {
        call_reduce(p, n, KG_OP_RMAX);
    } else if (one && !strcmp(n->name, "min")) {
        call_reduce(p, n, KG_OP_RMIN);
    } else if (kg_op_named(n->name, &op)) {
        call_op(p, n, op);
    } else if ((symbol = kg_lookup(p, n->name)) && symbol->kind == KG_S_TYPE) {
        call_typed(p, n, symbol->dtype);
    } else if (symbol && symbol->kind == KG_S_POISON) {
        poison(n);
    } else {
        unknown(p, n);
    }
}
