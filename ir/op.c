// SPDX-License-Identifier: MIT
// The tables of ops, types and attributes as data, and the lists that tie ops, blocks and values
// together.
#include "ir/ir.h"
#include <string.h>

// ---- the op table ------------------------------------------------------------------------------
// An op that touches memory and states no effect does not build, and no other op may state one.
enum {
    TOUCHES_S,
    TOUCHES_P = 0,
    TOUCHES_U = 0,
    TOUCHES_B = 0,
    TOUCHES_C = 0,
    TOUCHES_R = 0,
    TOUCHES_N = 0,
    TOUCHES_Y = 2, // on objects in memory or on none
    TOUCHES_M = 1,
    TOUCHES_D = 1
};
#define NO_EFFECTS 0
#define EFFECTS(...) 1
#define KG_OP(E, name, cls, lo, hi, res, blocks, effects, doc)                                     \
    _Static_assert(TOUCHES_##cls == 2 || TOUCHES_##cls == (effects),                               \
                   "op " name ": memory ops state effects, others none");                          \
    _Static_assert((hi) == -1 || (lo) <= (hi), "op " name ": operand counts");                     \
    _Static_assert((res) <= 1, "op " name ": at most one result");
#include "ir/ops.def"
#undef KG_OP
#undef NO_EFFECTS
#undef EFFECTS

enum { OPERAND_0, OPERAND_1, OPERAND_2, OPERAND_ALL = KG_OPERAND_ALL };
#define NO_EFFECTS
#define EFFECTS(...) __VA_ARGS__
#define E(operand, mode, proxy, agent, completes)                                                  \
    {                                                                                              \
        OPERAND_##operand, KG_MODE_##mode, KG_PROXY_##proxy, KG_AGENT_##agent,                     \
            KG_COMPLETES_##completes                                                               \
    }
static const kg_op_info op_table[KG_OP_COUNT] = {
#define KG_OP(ENUM, name, cls, lo, hi, res, blocks, effects, doc)                                  \
    [KG_OP_##ENUM] = {name,                                                                        \
                      KG_CLASS_##cls,                                                              \
                      lo,                                                                          \
                      hi,                                                                          \
                      res,                                                                         \
                      blocks,                                                                      \
                      sizeof((kg_effect[]){effects}) / sizeof(kg_effect),                          \
                      {effects},                                                                   \
                      doc},
#include "ir/ops.def"
#undef KG_OP
};
#undef E
#undef NO_EFFECTS
#undef EFFECTS

static const kg_dtype_info dtype_table[KG_DTYPE_COUNT] = {
#define CLASS_I false
#define CLASS_F true
#define KG_DTYPE(E, name, bits, cls, ok) [KG_##E] = {name, bits, CLASS_##cls, ok},
#include "ir/types.def"
#undef KG_DTYPE
};

static const kg_attr_info attr_table[KG_ATTR_COUNT] = {
#define KG_ATTR(E, name, kind) [KG_A_##E] = {name, KG_ATTR_##kind},
#include "ir/attrs.def"
#undef KG_ATTR
};

const kg_op_info *kg_op_info_of(kg_opcode code)
{
    return &op_table[code];
}

bool kg_op_named(const char *name, kg_opcode *code)
{
    for (int i = 0; i < KG_OP_COUNT; i++) {
        if (op_table[i].name[0] != name[0] || strcmp(op_table[i].name, name)) continue;
        *code = (kg_opcode)i;
        return true;
    }
    return false;
}

const kg_dtype_info *kg_dtype_info_of(kg_dtype dtype)
{
    return &dtype_table[dtype];
}

bool kg_dtype_named(const char *name, kg_dtype *dtype)
{
    for (int i = 0; i < KG_DTYPE_COUNT; i++) {
        if (strcmp(dtype_table[i].name, name)) continue;
        *dtype = (kg_dtype)i;
        return true;
    }
    return false;
}

const kg_attr_info *kg_attr_info_of(kg_attr_key key)
{
    return &attr_table[key];
}

// ---- ops, values, blocks -----------------------------------------------------------------------
kg_op *kg_op_new(kg_kernel *kernel, kg_opcode code, kg_loc loc, int n_operands,
                 kg_value *const *operands)
{
    kg_arena *arena = kernel->unit->arena;
    kg_op *op = KG_NEW(arena, kg_op);
    op->code = code;
    op->loc = loc;
    op->id = -1;
    op->n_operands = n_operands;
    if (n_operands) {
        op->operands = KG_NEW_ARRAY(arena, kg_value *, n_operands);
        memcpy(op->operands, operands, sizeof *operands * (size_t)n_operands);
    }
    return op;
}

kg_value *kg_op_result(kg_kernel *kernel, kg_op *op, kg_type type, const char *name)
{
    kg_arena *arena = kernel->unit->arena;
    kg_value *value = KG_NEW(arena, kg_value);
    value->kind = KG_VALUE_RESULT;
    value->type = type;
    value->name = name;
    value->loc = op->loc;
    value->op = op;
    value->index = op->n_results;
    value->id = -1;
    kg_value **results = KG_NEW_ARRAY(arena, kg_value *, op->n_results + 1);
    if (op->n_results) memcpy(results, op->results, sizeof *results * (size_t)op->n_results);
    results[op->n_results++] = value;
    op->results = results;
    return value;
}

kg_block *kg_op_add_block(kg_kernel *kernel, kg_op *op)
{
    kg_arena *arena = kernel->unit->arena;
    kg_block *block = KG_NEW(arena, kg_block);
    block->owner = op;
    block->kernel = kernel;
    kg_block **blocks = KG_NEW_ARRAY(arena, kg_block *, op->n_blocks + 1);
    if (op->n_blocks) memcpy(blocks, op->blocks, sizeof *blocks * (size_t)op->n_blocks);
    blocks[op->n_blocks++] = block;
    op->blocks = blocks;
    return block;
}

void kg_block_append(kg_block *block, kg_op *op)
{
    op->parent = block;
    op->prev = block->last;
    op->next = NULL;
    if (block->last)
        block->last->next = op;
    else
        block->first = op;
    block->last = op;
}

void kg_block_insert_before(kg_op *place, kg_op *op)
{
    op->parent = place->parent;
    op->next = place;
    op->prev = place->prev;
    if (place->prev)
        place->prev->next = op;
    else
        place->parent->first = op;
    place->prev = op;
}

void kg_block_insert_after(kg_op *place, kg_op *op)
{
    op->parent = place->parent;
    op->prev = place;
    op->next = place->next;
    if (place->next)
        place->next->prev = op;
    else
        place->parent->last = op;
    place->next = op;
}

void kg_op_remove(kg_op *op)
{
    if (!op->parent) return;
    if (op->prev)
        op->prev->next = op->next;
    else
        op->parent->first = op->next;
    if (op->next)
        op->next->prev = op->prev;
    else
        op->parent->last = op->prev;
    op->parent = NULL;
    op->prev = op->next = NULL;
}

void kg_op_set_operand(kg_op *op, int i, kg_value *value)
{
    op->operands[i] = value;
}

// ---- cloning -----------------------------------------------------------------------------------
typedef struct cloner {
    kg_kernel *kernel;
    kg_value **map;
    int n_map;
} cloner;

static kg_value *mapped(const cloner *c, kg_value *value)
{
    if (value && value->id >= 0 && value->id < c->n_map && c->map[value->id])
        return c->map[value->id];
    return value;
}

static void remember(const cloner *c, const kg_value *from, kg_value *to)
{
    if (from->id >= 0 && from->id < c->n_map) c->map[from->id] = to;
}

static kg_attr *clone_attrs(kg_arena *arena, const kg_attr *attrs)
{
    kg_attr *first = NULL, **end = &first;
    // lists of integers and names never change, so they are shared
    for (; attrs; attrs = attrs->next) {
        *end = KG_NEW(arena, kg_attr);
        **end = *attrs;
        (*end)->next = NULL;
        end = &(*end)->next;
    }
    return first;
}

static kg_op *clone_op(const cloner *c, const kg_op *op);

static void clone_block(const cloner *c, const kg_block *from, kg_op *owner)
{
    kg_block *to = kg_op_add_block(c->kernel, owner);
    if (from->arg) {
        to->arg = KG_NEW(c->kernel->unit->arena, kg_value);
        *to->arg = *from->arg;
        to->arg->op = owner;
        to->arg->id = -1;
        to->arg->note = NULL;
        remember(c, from->arg, to->arg);
    }
    for (const kg_op *op = from->first; op; op = op->next) kg_block_append(to, clone_op(c, op));
}

static kg_op *clone_op(const cloner *c, const kg_op *op)
{
    kg_op *copy = kg_op_new(c->kernel, op->code, op->loc, op->n_operands, op->operands);
    for (int i = 0; i < copy->n_operands; i++) copy->operands[i] = mapped(c, copy->operands[i]);
    copy->attrs = clone_attrs(c->kernel->unit->arena, op->attrs);
    for (int i = 0; i < op->n_results; i++) {
        const kg_value *from = op->results[i];
        kg_value *to = kg_op_result(c->kernel, copy, from->type, from->name);
        to->loc = from->loc;
        to->layout = from->layout;
        remember(c, from, to);
    }
    for (int i = 0; i < op->n_blocks; i++) clone_block(c, op->blocks[i], copy);
    return copy;
}

kg_op *kg_op_clone(kg_kernel *kernel, const kg_op *op, kg_value **map, int n_map)
{
    cloner c = {kernel, map, n_map};
    return clone_op(&c, op);
}

// ---- attributes --------------------------------------------------------------------------------
static kg_attr *attr_slot(kg_kernel *kernel, kg_op *op, kg_attr_key key)
{
    kg_attr **place = &op->attrs;
    while (*place && (*place)->key < key) place = &(*place)->next;
    if (*place && (*place)->key == key) return *place;
    kg_attr *attr = KG_NEW(kernel->unit->arena, kg_attr);
    attr->key = key;
    attr->next = *place;
    *place = attr;
    return attr;
}

void kg_op_set_int(kg_kernel *kernel, kg_op *op, kg_attr_key key, int64_t value)
{
    attr_slot(kernel, op, key)->i = value;
}

void kg_op_set_float(kg_kernel *kernel, kg_op *op, kg_attr_key key, double value)
{
    attr_slot(kernel, op, key)->f = value;
}

void kg_op_set_dtype(kg_kernel *kernel, kg_op *op, kg_attr_key key, kg_dtype value)
{
    attr_slot(kernel, op, key)->dtype = value;
}

void kg_op_set_name(kg_kernel *kernel, kg_op *op, kg_attr_key key, const char *value)
{
    attr_slot(kernel, op, key)->name = value;
}

void kg_op_set_ints(kg_kernel *kernel, kg_op *op, kg_attr_key key, int count, const int64_t *values)
{
    int64_t *copy = KG_NEW_ARRAY(kernel->unit->arena, int64_t, count);
    if (count) memcpy(copy, values, sizeof *copy * (size_t)count);
    kg_attr *attr = attr_slot(kernel, op, key);
    attr->count = count;
    attr->ints = copy;
}

void kg_op_unset(kg_op *op, kg_attr_key key)
{
    for (kg_attr **place = &op->attrs; *place; place = &(*place)->next)
        if ((*place)->key == key) {
            *place = (*place)->next;
            return;
        }
}

const kg_attr *kg_op_attr(const kg_op *op, kg_attr_key key)
{
    for (const kg_attr *attr = op->attrs; attr && attr->key <= key; attr = attr->next)
        if (attr->key == key) return attr;
    return NULL;
}

int64_t kg_op_int(const kg_op *op, kg_attr_key key, int64_t otherwise)
{
    const kg_attr *attr = kg_op_attr(op, key);
    return attr ? attr->i : otherwise;
}

// ---- questions ---------------------------------------------------------------------------------
int64_t kg_type_elements(const kg_type *type)
{
    int64_t elements = 1;
    for (int d = 0; d < type->rank; d++) elements *= type->dims[d];
    return elements;
}

kg_value *kg_root(kg_value *value)
{
    while (value && value->kind == KG_VALUE_RESULT &&
           (value->op->code == KG_OP_VIEW || value->op->code == KG_OP_TRANSPOSE))
        value = value->op->operands[0];
    return value && value->type.home != KG_HOME_FRAG ? value : NULL;
}

bool kg_const_int(const kg_value *value, int64_t *out)
{
    if (!value || value->kind != KG_VALUE_RESULT || value->op->code != KG_OP_CONST) return false;
    const kg_attr *attr = kg_op_attr(value->op, KG_A_VALUE_INT);
    if (attr) *out = attr->i;
    return attr != NULL;
}

kg_shared_layout kg_shared_layout_of(const kg_value *buffer)
{
    const kg_type *type = &buffer->type;
    int32_t width = type->rank ? type->dims[type->rank - 1] : 1;
    int32_t panel = (int32_t)kg_op_int(buffer->op, KG_A_PANEL, 0);
    kg_shared_layout layout = {
        .pitch = (int32_t)kg_op_int(buffer->op, KG_A_PITCH, panel ? panel : width),
        .panel = panel,
        .rows = 1};
    for (int d = 0; d + 1 < type->rank; d++) layout.rows *= type->dims[d];
    const kg_attr *swizzle = kg_op_attr(buffer->op, KG_A_SWIZZLE);
    if (swizzle && swizzle->count == 3) {
        layout.chunk_log2 = (int32_t)swizzle->ints[0];
        layout.bits = (int32_t)swizzle->ints[1];
        layout.shift = (int32_t)swizzle->ints[2];
    }
    return layout;
}

int64_t kg_shared_byte(const kg_shared_layout *layout, int64_t row, int64_t column, int size)
{
    int64_t pitch = (int64_t)layout->pitch * size, start = 0;
    if (layout->panel) {
        int64_t width = (int64_t)layout->panel * size;
        start = column / width * layout->rows * pitch;
        column %= width;
    }
    if (layout->bits)
        column ^= (row >> layout->shift & ((1 << layout->bits) - 1)) << layout->chunk_log2;
    return start + row * pitch + column;
}

int64_t kg_shared_slot_bytes(const kg_value *buffer)
{
    kg_shared_layout layout = kg_shared_layout_of(buffer);
    int64_t panels = 1;
    if (layout.panel) panels = buffer->type.dims[buffer->type.rank - 1] / layout.panel;
    return panels * layout.rows * layout.pitch * kg_dtype_bytes(buffer->type.dtype);
}

int64_t kg_shared_bytes(const kg_value *buffer)
{
    return kg_shared_slot_bytes(buffer) * kg_op_int(buffer->op, KG_A_RING, 1);
}

static void number_block(kg_block *block, int *values, int *ops)
{
    if (block->arg) block->arg->id = (*values)++;
    for (kg_op *op = block->first; op; op = op->next) {
        op->id = (*ops)++;
        for (int i = 0; i < op->n_results; i++) op->results[i]->id = (*values)++;
        for (int i = 0; i < op->n_blocks; i++) number_block(op->blocks[i], values, ops);
    }
}

int kg_kernel_number(kg_kernel *kernel, int *n_ops)
{
    int values = 0, ops = 0;
    for (int i = 0; i < kernel->n_params; i++) kernel->params[i]->id = values++;
    for (int i = 0; i < kernel->n_grid; i++) kernel->grid[i].value->id = values++;
    number_block(kernel->body, &values, &ops);
    if (n_ops) *n_ops = ops;
    return values;
}

bool kg_walk(kg_block *block, bool (*visit)(kg_op *op, void *user), void *user)
{
    for (kg_op *op = block->first, *next; op; op = next) {
        next = op->next; // the callback may remove the op
        if (!visit(op, user)) return false;
        for (int i = 0; i < op->n_blocks; i++)
            if (!kg_walk(op->blocks[i], visit, user)) return false;
    }
    return true;
}

int kg_loops_around(const kg_op *op)
{
    int loops = 0;
    for (const kg_block *b = op->parent; b && b->owner; b = b->owner->parent)
        loops += kg_is_loop(b->owner);
    return loops;
}

bool kg_is_computed(const kg_op *op)
{
    switch (kg_op_info_of(op->code)->cls) {
    case KG_CLASS_P:
    case KG_CLASS_U:
    case KG_CLASS_B:
    case KG_CLASS_C:
    case KG_CLASS_R:
    case KG_CLASS_N:
        return true;
    default:
        return false;
    }
}

kg_value *kg_counted_by(const kg_op *loop)
{
    int64_t by;
    kg_value *counter = NULL;
    if (loop->code != KG_OP_FOR) return NULL;
    for (const kg_op *op = loop->blocks[0]->first; op; op = op->next) {
        if (op->code == KG_OP_CONST) continue;
        if (op->code == KG_OP_ADD && !counter && op->next && op->next->code == KG_OP_ASSIGN &&
            op->next->operands[1] == op->results[0] && kg_is_scalar(op->results[0]) &&
            op->operands[0] == op->next->operands[0] && kg_const_int(op->operands[1], &by) &&
            by == 1)
            counter = op->operands[0];
        else if (op->code != KG_OP_ASSIGN || op->operands[0] != counter)
            return NULL;
    }
    return counter;
}
