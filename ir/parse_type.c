// SPDX-License-Identifier: MIT
// Types of expression trees, bottom-up. Names of builtins become ops here, memory used as a value
// becomes a load, and each elementwise op learns the type that its operands are converted to. An
// extent that is taken from the other side is KG_OPEN; parse_emit.c closes it.
#include "ir/parse.h"
#include <string.h>

static void poison(kg_node *n)
{
    n->kind = KG_N_POISON;
}

static bool is_poison(const kg_node *n)
{
    return n->kind == KG_N_POISON;
}

static bool is_float(kg_dtype dtype)
{
    return kg_dtype_info_of(dtype)->is_float;
}

kg_dtype kg_natural_dtype(const kg_node *n)
{
    if (n->kind == KG_N_INT) return n->i < INT32_MIN || n->i > INT32_MAX ? KG_I64 : KG_I32;
    if (n->kind == KG_N_FLOAT) return KG_F32;
    if (n->kind == KG_N_TRUTH) return KG_I1;
    return n->type.dtype;
}

// ---- asking infer.c ----------------------------------------------------------------------------
static void report(kg_parser *p, const kg_infer *q, kg_node *n)
{
    bool at_operand = q->operand >= 0 && q->operand < n->n_args && n->args[q->operand];
    kg_loc loc = at_operand ? n->args[q->operand]->loc : n->loc;
    kg_error(p->diags, q->id, loc, "%s", q->text);
    poison(n);
}

// Result type of an OP from its arguments' types, with what they will be converted to.
static void infer(kg_parser *p, kg_node *n, const kg_type *types)
{
    kg_infer q = {.arena = p->arena, .code = n->op, .n = n->n_args, .attrs = n->attrs};
    for (int i = 0; i < n->n_args && i < KG_INFER_OPERANDS; i++) q.types[i] = types[i];
    if (kg_infer_type(&q))
        n->type = q.result;
    else
        report(p, &q, n);
}

static void infer_as_is(kg_parser *p, kg_node *n)
{
    kg_type types[KG_INFER_OPERANDS];
    for (int i = 0; i < n->n_args && i < KG_INFER_OPERANDS; i++) types[i] = n->args[i]->type;
    infer(p, n, types);
}

// ---- elementwise -------------------------------------------------------------------------------
bool kg_same_promoted(kg_dtype a, kg_dtype b, kg_dtype *out)
{
    *out = a;
    if (a == b) return true;
    if ((a == KG_I32 && b == KG_I64) || (a == KG_I64 && b == KG_I32)) return *out = KG_I64, true;
    bool half_a = a == KG_F16 || a == KG_BF16, half_b = b == KG_F16 || b == KG_BF16;
    if ((half_a && b == KG_F32) || (a == KG_F32 && half_b)) return *out = KG_F32, true;
    return false;
}

static bool literal_fits(const kg_node *literal, kg_dtype dtype)
{
    if (literal->kind == KG_N_TRUTH) return dtype == KG_I1;
    if (literal->kind == KG_N_FLOAT) return is_float(dtype);
    return dtype != KG_I1;
}

static bool unify_two(const kg_node *a, kg_dtype sofar, bool literal, const kg_node *b,
                      kg_dtype *out)
{
    if (literal && !kg_is_literal(b)) {
        *out = b->type.dtype;
        return literal_fits(a, b->type.dtype);
    }
    if (!literal && kg_is_literal(b)) {
        *out = sofar;
        return literal_fits(b, sofar);
    }
    if (literal && (a->kind == KG_N_FLOAT) != (b->kind == KG_N_FLOAT) && a->kind != KG_N_TRUTH &&
        b->kind != KG_N_TRUTH)
        return *out = KG_F32, true;
    return kg_same_promoted(sofar, kg_natural_dtype(b), out);
}

// One element type for the arguments from `first` on, into n->dtype.
static bool unify(kg_parser *p, kg_node *n, int first)
{
    const kg_node *a = n->args[first];
    bool literal = kg_is_literal(a);
    kg_dtype dtype = kg_natural_dtype(a);
    for (int i = first + 1; i < n->n_args; i++) {
        const kg_node *b = n->args[i];
        kg_dtype joined;
        if (!unify_two(a, dtype, literal, b, &joined)) {
            kg_diag *d = kg_error(
                p->diags, KG_D_T102, n->loc, "element types do not match: %s and %s",
                kg_dtype_info_of(dtype)->name, kg_dtype_info_of(kg_natural_dtype(b))->name);
            // An integer becomes a float without loss of meaning, not the other way round.
            kg_dtype other = kg_natural_dtype(b);
            bool to_other = kg_dtype_info_of(other)->is_float && !kg_dtype_info_of(dtype)->is_float;
            kg_diag_help(p->diags, d, "convert one side with cast(x, %s)",
                         kg_dtype_info_of(to_other ? other : dtype)->name);
            poison(n);
            return false;
        }
        dtype = joined;
        if (!kg_is_literal(b)) literal = false, a = b;
    }
    n->dtype = dtype;
    return true;
}

static void type_elementwise(kg_parser *p, kg_node *n, int first)
{
    kg_type shape = n->args[0]->type, types[3];
    if (!unify(p, n, first)) return;
    for (int i = 1; i < n->n_args; i++) {
        if (kg_shape_join(&shape, &n->args[i]->type, &shape)) continue;
        kg_type other = n->args[i]->type;
        other.dtype = shape.dtype = n->dtype;
        kg_error(p->diags, KG_D_T101, n->loc, "shapes do not match: %s and %s",
                 kg_type_text(p->arena, &shape), kg_type_text(p->arena, &other));
        poison(n);
        return;
    }
    for (int i = 0; i < n->n_args && i < 3; i++) {
        types[i] = shape;
        types[i].dtype = i < first ? n->args[i]->type.dtype : n->dtype;
        types[i].home = KG_HOME_FRAG;
    }
    infer(p, n, types);
}

// ---- pieces of trees ---------------------------------------------------------------------------
static kg_node *op_over(kg_parser *p, kg_opcode op, kg_node *operand, kg_attr *attrs)
{
    kg_node *n = kg_node_op(p, op, operand->loc, 1, operand, NULL);
    n->attrs = attrs;
    return n;
}

static kg_node *copy_of(kg_parser *p, const kg_node *n)
{
    kg_node *copy = KG_NEW(p->arena, kg_node);
    *copy = *n;
    return copy;
}

void kg_value_node(kg_parser *p, kg_node *n)
{
    kg_type_node(p, n);
    if (is_poison(n) || kg_is_literal(n) || n->type.home == KG_HOME_FRAG) return;
    kg_node *view = copy_of(p, n);
    kg_type type = n->type;
    *n = (kg_node){.kind = KG_N_LOAD, .loc = n->loc, .depth = n->depth + 1, .type = type};
    n->type.home = KG_HOME_FRAG;
    n->args = KG_NEW_ARRAY(p->arena, kg_node *, 3);
    n->args[0] = view;
    n->n_args = 3;
}

static bool values(kg_parser *p, kg_node *n)
{
    bool ok = true;
    for (int i = 0; i < n->n_args; i++) {
        if (n->args[i]->kind == KG_N_LIST) {
            kg_error(p->diags, KG_D_P001, n->args[i]->loc, "a list is not a value");
            poison(n->args[i]);
        } else {
            kg_value_node(p, n->args[i]);
        }
        ok &= !is_poison(n->args[i]);
    }
    if (!ok) poison(n);
    return ok;
}

// ---- names and views ---------------------------------------------------------------------------
static void type_of_value(kg_node *n, kg_value *value)
{
    n->value = value;
    n->type = value->type;
    if (!value->tensor) return;
    for (int d = 0; d < n->type.rank; d++) { // a tensor as a whole: constant dimensions are known
        const kg_sexpr *dim = value->tensor->dims[d];
        bool known =
            dim && dim->kind == KG_SX_INT && dim->value > 0 && dim->value <= KG_TILE_ELEMENTS;
        n->type.dims[d] = known ? (int32_t)dim->value : KG_OPEN;
    }
}

// Looks up the name of a value; NULL and poison when it is not one.
static kg_value *named_value(kg_parser *p, kg_node *n)
{
    const kg_symbol *symbol = kg_lookup(p, n->name);
    kg_value *value = NULL;
    if (!symbol)
        kg_unknown_name(p, n->name, n->loc);
    else if (symbol->kind == KG_S_TYPE)
        kg_error(p->diags, KG_D_P001, n->loc, "'%s' is a type, not a value", n->name);
    else if (symbol->kind == KG_S_VALUE)
        value = symbol->value;
    if (!value) poison(n);
    return value;
}

static bool is_ring(const kg_value *value)
{
    return value->kind == KG_VALUE_RESULT && value->op->code == KG_OP_SHARED &&
           kg_op_attr(value->op, KG_A_RING);
}

static void type_name(kg_parser *p, kg_node *n)
{
    kg_dtype dtype;
    if (kg_dtype_named(n->name, &dtype)) {
        kg_error(p->diags, KG_D_P001, n->loc, "'%s' is a type, not a value", n->name);
        poison(n);
        return;
    }
    kg_value *value = named_value(p, n);
    if (!value) return;
    if (is_ring(value)) {
        kg_diag *d = kg_error(p->diags, KG_D_T103, n->loc,
                              "'%s' is a ring: it needs an iteration number", n->name);
        kg_diag_help(p->diags, d, "write %s[i]", n->name);
        poison(n);
        return;
    }
    type_of_value(n, value);
}

// x[:, None] becomes expand(x[:], axis=1): the None items are taken out, from the last to the
// first.
static void take_out_none(kg_parser *p, kg_node *n)
{
    kg_node *inner = copy_of(p, n);
    inner->items = KG_NEW_ARRAY(p->arena, kg_item, n->n_items);
    inner->n_items = 0;
    int axes[KG_MAX_RANK * 2], n_axes = 0, kept = 0;
    bool whole = true;
    for (int i = 0; i < n->n_items; i++) {
        const kg_item *item = &n->items[i];
        if (item->kind != KG_ITEM_NONE) {
            inner->items[inner->n_items++] = *item;
            whole &= item->kind == KG_ITEM_ALL && !item->extent;
            kept += item->kind != KG_ITEM_AT;
        } else if (n_axes < KG_MAX_RANK * 2) {
            axes[n_axes++] = kept++;
        }
    }
    if (whole && !n->slot) inner->whole = true;
    kg_node *tree = inner;
    for (int i = 0; i < n_axes; i++)
        tree = op_over(p, KG_OP_EXPAND, tree, kg_attr_int(p, NULL, KG_A_AXIS, axes[i]));
    kg_loc loc = n->loc;
    *n = *tree;
    n->loc = loc;
}

static bool has_none(const kg_node *n)
{
    for (int i = 0; i < n->n_items; i++)
        if (n->items[i].kind == KG_ITEM_NONE) return true;
    return false;
}

// An index on a fragment: only whole dimensions are left when None has been taken out.
static void type_indexed_fragment(kg_parser *p, kg_node *n, kg_node *base)
{
    bool whole = !n->slot && n->n_items == base->type.rank;
    for (int i = 0; i < n->n_items; i++)
        whole &= n->items[i].kind == KG_ITEM_ALL && !n->items[i].extent;
    if (whole) {
        kg_loc loc = n->loc;
        *n = *base;
        n->loc = loc;
        return;
    }
    kg_diag *d;
    if (n->n_items != base->type.rank)
        d = kg_error(p->diags, KG_D_T103, n->loc, "%d indices for rank %d", n->n_items,
                     base->type.rank);
    else
        d = kg_error(p->diags, KG_D_T104, n->loc, "a fragment cannot be indexed by position");
    kg_diag_help(p->diags, d,
                 "fragments take ':' and None only; keep the tile in a shared buffer to "
                 "take parts of it");
    poison(n);
}

static void ring_slot(kg_node *n)
{
    if (n->slot || n->n_items != 1 || n->items[0].kind != KG_ITEM_AT) return;
    n->slot = n->items[0].start; // s[i] is slot i as a whole
    n->n_items = 0;
}

static bool index_scalar(kg_parser *p, kg_node *e, bool gather)
{
    kg_value_node(p, e);
    if (is_poison(e)) return false;
    kg_dtype dtype = kg_natural_dtype(e);
    bool integer = !is_float(dtype) && dtype != KG_I1;
    if (integer && (e->type.rank == 0 || (gather && e->type.rank == 1))) return true;
    kg_diag *d = kg_error(
        p->diags, KG_D_T102, e->loc, "an index must be an integer scalar%s, not %s",
        gather ? " or a rank-1 integer fragment" : "", kg_type_text(p->arena, &e->type));
    if (gather && integer)
        kg_diag_help(p->diags, d,
                     "each fragment is a dimension of its own; to walk two dimensions together, "
                     "declare them as one and compute its index");
    return false;
}

static bool type_item(kg_parser *p, kg_item *item, int32_t whole, kg_type *type)
{
    int64_t extent = KG_OPEN;
    if (item->start && !index_scalar(p, item->start, item->kind == KG_ITEM_AT)) return false;
    if (item->kind == KG_ITEM_AT && item->start->type.rank == 0) return true;
    if (item->kind == KG_ITEM_AT) extent = item->start->type.dims[0];
    if (item->kind == KG_ITEM_ALL) extent = whole;
    if (item->extent) {
        if (!kg_constant_int(p, item->extent, "the extent of a range", &extent)) return false;
        if (extent < 1 || extent > KG_TILE_ELEMENTS) {
            kg_error(p->diags, KG_D_T106, item->extent->loc, "extent %lld is not between 1 and %d",
                     (long long)extent, (int)KG_TILE_ELEMENTS);
            return false;
        }
    }
    type->dims[type->rank++] = (int32_t)extent;
    return true;
}

static bool can_be_indexed(kg_parser *p, kg_node *n, kg_node *base)
{
    bool named = base->kind == KG_N_NAME || base->kind == KG_N_VALUE;
    if (named && base->value && kg_root(base->value) == base->value) return true;
    kg_diag *d = kg_error(p->diags, KG_D_T103, n->loc, "a view cannot be indexed again");
    kg_diag_help(p->diags, d, "index the tensor or buffer itself");
    return false;
}

static bool slot_is_right(kg_parser *p, kg_node *n, const kg_value *value, const char *name)
{
    bool ring = is_ring(value);
    if (ring == (n->slot != NULL)) return !n->slot || index_scalar(p, n->slot, false);
    kg_diag *d;
    if (ring) {
        d = kg_error(p->diags, KG_D_T103, n->loc, "a ring takes its iteration number first");
        kg_diag_help(p->diags, d, "write %s[i; ..]", name);
    } else {
        d = kg_error(p->diags, KG_D_T103, n->slot->loc, "'%s' is not a ring: it has no slots",
                     name);
    }
    return false;
}

static bool type_view(kg_parser *p, kg_node *n, kg_node *base)
{
    kg_value *value = base->value;
    kg_node whole = {0};
    type_of_value(&whole, value);
    if (is_ring(value)) ring_slot(n);
    if (!slot_is_right(p, n, value, base->name)) return false;
    if (n->slot && n->n_items == 0) { // the whole slot
        n->items = KG_NEW_ARRAY(p->arena, kg_item, value->type.rank);
        n->n_items = value->type.rank;
        for (int d = 0; d < n->n_items; d++)
            n->items[d] = (kg_item){KG_ITEM_ALL, NULL, NULL, n->loc};
    }
    if (n->n_items != value->type.rank) {
        kg_error(p->diags, KG_D_T103, n->loc, "%d ind%s for the %d dimension%s of '%s'", n->n_items,
                 n->n_items == 1 ? "ex" : "ices", value->type.rank,
                 value->type.rank == 1 ? "" : "s", base->name);
        return false;
    }
    n->type = (kg_type){.dtype = value->type.dtype, .home = value->type.home};
    bool ok = true;
    for (int d = 0; d < n->n_items; d++)
        ok &= type_item(p, &n->items[d], whole.type.dims[d], &n->type);
    if (!ok) return false;
    const char *problem = kg_shape_problem(p->arena, &n->type, true);
    if (problem) kg_error(p->diags, KG_D_T106, n->loc, "%s", problem);
    return !problem;
}

static void type_index(kg_parser *p, kg_node *n)
{
    if (has_none(n)) {
        take_out_none(p, n);
        kg_type_node(p, n);
        return;
    }
    kg_node *base = n->args[0];
    if (base->kind == KG_N_NAME) {
        kg_value *value = named_value(p, base);
        if (value) type_of_value(base, value);
    } else {
        kg_type_node(p, base);
    }
    if (is_poison(base)) {
        poison(n);
    } else if (base->type.home == KG_HOME_FRAG) {
        type_indexed_fragment(p, n, base);
    } else if (n->whole && !(base->value && is_ring(base->value))) {
        *n = *base; // s[:, None] of a buffer or view: all of it
    } else if (!can_be_indexed(p, n, base) || !type_view(p, n, base)) {
        poison(n);
    }
}

// ---- loads and choices -------------------------------------------------------------------------
static void type_load(kg_parser *p, kg_node *n)
{
    kg_node *view = n->args[0];
    kg_type_node(p, view);
    for (int i = 1; i < 3; i++)
        if (n->args[i]) {
            kg_value_node(p, n->args[i]);
            if (is_poison(n->args[i])) poison(view);
        }
    if (is_poison(view)) {
        poison(n);
    } else if (view->type.home == KG_HOME_FRAG) {
        kg_error(p->diags, KG_D_T104, view->loc, "load reads a view of global or shared memory");
        poison(n);
    } else {
        n->type = view->type;
        n->type.home = KG_HOME_FRAG;
    }
}

static void type_choice(kg_parser *p, kg_node *n)
{
    n->kind = KG_N_OP;
    n->op = KG_OP_SELECT;
    if (values(p, n)) type_elementwise(p, n, 1);
}

// dot reads shared and global operands itself; a scalar accumulator is broadcast.
static void type_dot(kg_parser *p, kg_node *n)
{
    for (int i = 0; i < 2; i++) {
        kg_type_node(p, n->args[i]);
        if (is_poison(n->args[i])) poison(n);
    }
    kg_value_node(p, n->args[2]);
    if (is_poison(n->args[2])) poison(n);
    if (is_poison(n)) return;
    kg_type types[3] = {n->args[0]->type, n->args[1]->type, n->args[2]->type};
    if (kg_is_literal(n->args[2])) {
        types[2] = kg_scalar_type(types[0].dtype == KG_I8 ? KG_I32 : KG_F32);
        types[2].rank = 2;
        types[2].dims[0] = types[2].dims[1] = KG_OPEN;
    }
    infer(p, n, types);
}

// ---- operators and builtins --------------------------------------------------------------------
void kg_type_op(kg_parser *p, kg_node *n)
{
    kg_op_class cls = kg_op_info_of(n->op)->cls;
    if (n->op == KG_OP_TRANSPOSE) {
        kg_type_node(p, n->args[0]);
        if (is_poison(n->args[0]))
            poison(n);
        else
            infer_as_is(p, n);
        return;
    }
    if (cls == KG_CLASS_D) {
        type_dot(p, n);
        return;
    }
    if (!values(p, n)) return;
    if (cls == KG_CLASS_U || cls == KG_CLASS_B || cls == KG_CLASS_C || n->op == KG_OP_FMA)
        type_elementwise(p, n, 0);
    else if (n->op == KG_OP_SELECT)
        type_elementwise(p, n, 1);
    else
        infer_as_is(p, n);
}

static void type_literal(kg_node *n)
{
    n->type = kg_scalar_type(kg_natural_dtype(n));
}

void kg_type_node(kg_parser *p, kg_node *n)
{
    switch (n->kind) {
    case KG_N_POISON:
        break;
    case KG_N_INT:
    case KG_N_FLOAT:
    case KG_N_TRUTH:
        type_literal(n);
        break;
    case KG_N_NAME:
        type_name(p, n);
        break;
    case KG_N_VALUE:
        type_of_value(n, n->value);
        break;
    case KG_N_OP:
        kg_type_op(p, n);
        break;
    case KG_N_CALL:
        kg_type_call(p, n);
        break;
    case KG_N_CHOICE:
        type_choice(p, n);
        break;
    case KG_N_INDEX:
        type_index(p, n);
        break;
    case KG_N_LOAD:
        type_load(p, n);
        break;
    case KG_N_TYPED:
        n->type = kg_scalar_type(n->dtype);
        break;
    case KG_N_LIST:
        kg_error(p->diags, KG_D_P001, n->loc, "a list is not a value");
        poison(n);
        break;
    }
}
