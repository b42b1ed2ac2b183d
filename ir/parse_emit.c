// SPDX-License-Identifier: MIT
// Trees to ops, operands first and left to right, each followed by what converts it: cast, expand,
// broadcast. The order is a contract with print.c, which prints ops inline only when they stand in
// exactly this order.
#include "ir/parse.h"
#include <string.h>

// ---- attributes and ops ------------------------------------------------------------------------
static kg_attr *insert(kg_parser *p, kg_attr **list, kg_attr_key key)
{
    while (*list && (*list)->key < key) list = &(*list)->next;
    kg_attr *attr = KG_NEW(p->arena, kg_attr);
    attr->key = key;
    attr->next = *list;
    *list = attr;
    return attr;
}

kg_attr *kg_attr_int(kg_parser *p, kg_attr *next, kg_attr_key key, int64_t value)
{
    insert(p, &next, key)->i = value;
    return next;
}

kg_attr *kg_attr_dtype(kg_parser *p, kg_attr *next, kg_attr_key key, kg_dtype value)
{
    insert(p, &next, key)->dtype = value;
    return next;
}

kg_attr *kg_attr_ints(kg_parser *p, kg_attr *next, kg_attr_key key, int count,
                      const int64_t *values)
{
    kg_attr *attr = insert(p, &next, key);
    int64_t *copy = KG_NEW_ARRAY(p->arena, int64_t, count);
    if (count) memcpy(copy, values, sizeof *copy * (size_t)count);
    attr->count = count;
    attr->ints = copy;
    return next;
}

kg_op *kg_emit_op(kg_parser *p, kg_opcode code, kg_loc loc, int n, kg_value *const *operands,
                  kg_attr *attrs)
{
    for (int i = 0; i < n; i++)
        if (!operands[i]) return NULL;
    kg_op *op = kg_op_new(p->kernel, code, loc, n, operands);
    kg_infer q = {.arena = p->arena};
    op->attrs = attrs;
    if (!kg_infer_op(&q, op)) {
        kg_error(p->diags, q.id, loc, "%s", q.text);
        return NULL;
    }
    if (kg_op_info_of(code)->results) kg_op_result(p->kernel, op, q.result, NULL);
    kg_block_append(p->block, op);
    return op;
}

static kg_value *emit_one(kg_parser *p, kg_opcode code, kg_loc loc, int n,
                          kg_value *const *operands, kg_attr *attrs)
{
    kg_op *op = kg_emit_op(p, code, loc, n, operands, attrs);
    return op ? op->results[0] : NULL;
}

static kg_value *emit_const(kg_parser *p, const kg_node *n, kg_dtype dtype)
{
    kg_attr *attrs = kg_attr_dtype(p, NULL, KG_A_DTYPE, dtype);
    if (kg_dtype_info_of(dtype)->is_float) {
        insert(p, &attrs, KG_A_VALUE_FLOAT)->f =
            n->kind == KG_N_INT || n->kind == KG_N_TRUTH ? (double)n->i : n->f;
    } else {
        insert(p, &attrs, KG_A_VALUE_INT)->i = n->i;
    }
    return emit_one(p, KG_OP_CONST, n->loc, 0, NULL, attrs);
}

// ---- open extents ------------------------------------------------------------------------------
bool kg_is_open(const kg_type *type)
{
    for (int d = 0; d < type->rank; d++)
        if (type->dims[d] == KG_OPEN) return true;
    return false;
}

void kg_fill_open(kg_type *type, const kg_type *shape)
{
    if (!shape) return;
    int shift = shape->rank - type->rank;
    for (int d = 0; d < type->rank; d++)
        if (type->dims[d] == KG_OPEN && d + shift >= 0) type->dims[d] = shape->dims[d + shift];
}

static bool closed(kg_parser *p, const kg_type *type, kg_loc loc)
{
    if (!kg_is_open(type)) return true;
    kg_diag *d = kg_error(p->diags, KG_D_T105, loc, "the extent of this range cannot be inferred");
    kg_diag_help(p->diags, d, "write it: `e .. + N`");
    return false;
}

// ---- memory ------------------------------------------------------------------------------------
static bool at_is_gather(const kg_item *item)
{
    return item->kind == KG_ITEM_AT && item->start->type.rank == 1;
}

static kg_index_kind index_kind(const kg_item *item)
{
    if (item->kind == KG_ITEM_FROM) return KG_INDEX_FROM;
    if (item->kind == KG_ITEM_ALL) return KG_INDEX_ALL;
    return at_is_gather(item) ? KG_INDEX_GATHER : KG_INDEX_AT;
}

static kg_value *emit_index(kg_parser *p, kg_node *e, const kg_type *type)
{
    return kg_emit(p, e, kg_natural_dtype(e), type);
}

static kg_value *emit_view(kg_parser *p, kg_node *n, const kg_type *type)
{
    kg_value *operands[KG_INFER_OPERANDS] = {n->args[0]->value};
    int64_t kinds[KG_MAX_RANK], extents[KG_MAX_RANK];
    int count = 1, kept = 0;
    if (n->slot) operands[count++] = emit_index(p, n->slot, NULL);
    for (int d = 0; d < n->n_items; d++) {
        const kg_item *item = &n->items[d];
        kinds[d] = index_kind(item);
        extents[d] = kinds[d] == KG_INDEX_AT ? 1 : type->dims[kept++];
        kg_type gathered = {.rank = 1, .dims = {(int32_t)extents[d]}};
        if (item->start) operands[count++] = emit_index(p, item->start, &gathered);
    }
    kg_attr *attrs = kg_attr_ints(p, NULL, KG_A_INDEX, n->n_items, kinds);
    attrs = kg_attr_ints(p, attrs, KG_A_EXTENT, n->n_items, extents);
    if (n->slot) attrs = kg_attr_int(p, attrs, KG_A_SLOT, 1);
    kg_op *op = kg_emit_op(p, KG_OP_VIEW, n->loc, count, operands, attrs);
    if (op && n->braces) kg_apply_attrs(p, op, n->braces);
    return op ? op->results[0] : NULL;
}

// A tensor as a whole; a shared buffer or a named view stands for itself.
static kg_value *emit_whole(kg_parser *p, kg_node *n, const kg_type *type)
{
    int64_t kinds[KG_MAX_RANK], extents[KG_MAX_RANK];
    if (!n->value->tensor) return n->value;
    for (int d = 0; d < type->rank; d++) {
        kinds[d] = KG_INDEX_ALL;
        extents[d] = type->dims[d];
    }
    kg_attr *attrs = kg_attr_ints(p, NULL, KG_A_INDEX, type->rank, kinds);
    attrs = kg_attr_ints(p, attrs, KG_A_EXTENT, type->rank, extents);
    return emit_one(p, KG_OP_VIEW, n->loc, 1, &n->value, attrs);
}

static const kg_attr *attr(const kg_node *n, kg_attr_key key)
{
    for (const kg_attr *a = n->attrs; a; a = a->next)
        if (a->key == key) return a;
    return NULL;
}

// The shape expected of transpose's operand.
static kg_type untransposed(const kg_node *n, const kg_type *type)
{
    const kg_attr *perm = attr(n, KG_A_PERM);
    kg_type from = *type;
    for (int d = 0; d < type->rank; d++) from.dims[perm->ints[d]] = type->dims[d];
    return from;
}

kg_value *kg_emit_memory(kg_parser *p, kg_node *n, const kg_type *shape)
{
    if (n->kind == KG_N_POISON) return NULL;
    kg_type type = n->type;
    kg_fill_open(&type, shape);
    if (!closed(p, &type, n->loc)) return NULL;
    if (n->kind == KG_N_INDEX) return emit_view(p, n, &type);
    if (n->kind == KG_N_NAME || n->kind == KG_N_VALUE) return emit_whole(p, n, &type);
    kg_type from = untransposed(n, &type); // transpose(view)
    kg_value *operand = kg_emit_memory(p, n->args[0], &from);
    return emit_one(p, KG_OP_TRANSPOSE, n->loc, 1, &operand, n->attrs);
}

// ---- values ------------------------------------------------------------------------------------
// Brings a value to an element type and shape: cast, leading axes, broadcast, in this order.
static kg_value *convert(kg_parser *p, kg_value *value, kg_loc loc, const kg_type *type)
{
    if (!value) return NULL;
    if (value->type.dtype != type->dtype)
        value = emit_one(p, KG_OP_CAST, loc, 1, &value,
                         kg_attr_dtype(p, NULL, KG_A_DTYPE, type->dtype));
    while (value && value->type.rank > 0 && value->type.rank < type->rank)
        value = emit_one(p, KG_OP_EXPAND, loc, 1, &value, kg_attr_int(p, NULL, KG_A_AXIS, 0));
    if (!value || kg_shape_equal(&value->type, type)) return value;
    int64_t dims[KG_MAX_RANK];
    for (int d = 0; d < type->rank; d++) dims[d] = type->dims[d];
    return emit_one(p, KG_OP_BROADCAST, loc, 1, &value,
                    kg_attr_ints(p, NULL, KG_A_SHAPE, type->rank, dims));
}

kg_value *kg_emit_as(kg_parser *p, kg_node *n, const kg_type *type)
{
    return convert(p, kg_emit(p, n, type->dtype, type), n->loc, type);
}

static kg_value *emit_load(kg_parser *p, kg_node *n, const kg_type *shape)
{
    kg_value *operands[3] = {kg_emit_memory(p, n->args[0], shape)};
    int count = 1;
    if (!operands[0]) return NULL;
    kg_type type = operands[0]->type;
    type.home = KG_HOME_FRAG;
    for (int i = 1; i < 3; i++) {
        if (!n->args[i]) continue;
        kg_type wanted = type;
        if (i == 1) wanted.dtype = KG_I1;
        operands[count++] = kg_emit_as(p, n->args[i], &wanted);
    }
    return emit_one(p, KG_OP_LOAD, n->loc, count, operands, NULL);
}

static kg_value *emit_elementwise(kg_parser *p, kg_node *n, const kg_type *shape)
{
    kg_value *operands[3];
    kg_type type = n->type;
    kg_fill_open(&type, shape);
    for (int i = 0; i < n->n_args; i++) {
        type.dtype = n->op == KG_OP_SELECT && i == 0 ? KG_I1 : n->dtype;
        operands[i] = kg_emit_as(p, n->args[i], &type);
        if (!operands[i]) return NULL;
    }
    return emit_one(p, n->op, n->loc, n->n_args, operands, n->attrs);
}

static kg_value *emit_dot(kg_parser *p, kg_node *n, const kg_type *shape)
{
    kg_type acc = n->type, a = n->args[0]->type, b = n->args[1]->type;
    kg_fill_open(&acc, shape);
    if (a.dims[1] == KG_OPEN) a.dims[1] = b.dims[0];
    if (b.dims[0] == KG_OPEN) b.dims[0] = a.dims[1];
    if (a.dims[0] == KG_OPEN) a.dims[0] = acc.dims[0];
    if (b.dims[1] == KG_OPEN) b.dims[1] = acc.dims[1];
    kg_value *operands[3];
    const kg_type *types[2] = {&a, &b};
    for (int i = 0; i < 2; i++) {
        bool memory = n->args[i]->type.home != KG_HOME_FRAG;
        operands[i] = memory ? kg_emit_memory(p, n->args[i], types[i])
                             : kg_emit(p, n->args[i], types[i]->dtype, types[i]);
        if (!operands[i]) return NULL;
    }
    acc.dims[0] = operands[0]->type.dims[0];
    acc.dims[1] = operands[1]->type.dims[1];
    operands[2] = kg_emit_as(p, n->args[2], &acc);
    return emit_one(p, n->op, n->loc, 3, operands, n->attrs);
}

// The shape expected of an operand whose op changes the rank, as far as it is known.
static kg_type before(const kg_node *n, const kg_type *type)
{
    kg_type from = n->args[0]->type;
    const kg_attr *axis = attr(n, KG_A_AXIS);
    if (n->op == KG_OP_TRANSPOSE) return untransposed(n, type);
    if (n->op == KG_OP_EXPAND || kg_op_info_of(n->op)->cls == KG_CLASS_R) {
        bool expand = n->op == KG_OP_EXPAND;
        for (int d = 0; axis && d < from.rank; d++) {
            int to = expand ? d + (d >= axis->i) : d - (d > axis->i);
            bool kept = expand || d != axis->i || attr(n, KG_A_PARTIAL);
            if (from.dims[d] == KG_OPEN && kept && to < type->rank) from.dims[d] = type->dims[to];
        }
        return from;
    }
    kg_type whole = *type; // a part says nothing of how long its axis was
    if (n->op == KG_OP_PART && axis && from.rank == type->rank)
        whole.dims[axis->i] = from.dims[axis->i];
    if (from.rank == type->rank) kg_fill_open(&from, &whole);
    return from;
}

static kg_value *emit_plain(kg_parser *p, kg_node *n, const kg_type *shape)
{
    kg_value *operands[KG_INFER_OPERANDS];
    kg_type type = n->type;
    kg_fill_open(&type, shape);
    for (int i = 0; i < n->n_args; i++) {
        kg_type from = before(n, &type);
        operands[i] = kg_emit(p, n->args[i], kg_natural_dtype(n->args[i]), &from);
        if (!operands[i]) return NULL;
    }
    return emit_one(p, n->op, n->loc, n->n_args, operands, n->attrs);
}

static kg_value *emit_op_node(kg_parser *p, kg_node *n, const kg_type *shape)
{
    switch (kg_op_info_of(n->op)->cls) {
    case KG_CLASS_U:
    case KG_CLASS_B:
    case KG_CLASS_C: return emit_elementwise(p, n, shape);
    case KG_CLASS_D: return emit_dot(p, n, shape);
    default: break;
    }
    if (n->op == KG_OP_SELECT || n->op == KG_OP_FMA) return emit_elementwise(p, n, shape);
    return emit_plain(p, n, shape);
}

kg_value *kg_emit(kg_parser *p, kg_node *n, kg_dtype dtype, const kg_type *shape)
{
    switch (n->kind) {
    case KG_N_INT:
    case KG_N_FLOAT:
    case KG_N_TRUTH: {
        bool is_float = kg_dtype_info_of(dtype)->is_float;
        bool fits = n->kind == KG_N_TRUTH ? dtype == KG_I1
                                          : dtype != KG_I1 && (n->kind == KG_N_INT || is_float);
        return emit_const(p, n, fits ? dtype : kg_natural_dtype(n));
    }
    case KG_N_TYPED: return emit_const(p, n, n->dtype);
    case KG_N_NAME:
    case KG_N_VALUE: return n->value;
    case KG_N_LOAD: return emit_load(p, n, shape);
    case KG_N_OP: return emit_op_node(p, n, shape);
    default: return NULL; // poison: reported
    }
}
