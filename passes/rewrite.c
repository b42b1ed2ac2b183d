// SPDX-License-Identifier: MIT
// Building ops at a place, lists of uses, and the questions about memory that the passes share.
#include "ir/cache.h"
#include "passes/rewrite.h"

#include <string.h>

// ---- building ----------------------------------------------------------------------------------
kg_place kg_place_before(kg_kernel *kernel, kg_op *op)
{
    return (kg_place){kernel, op->parent, op, op->loc};
}

kg_place kg_place_end(kg_kernel *kernel, kg_block *block, kg_loc loc)
{
    return (kg_place){kernel, block, NULL, loc};
}

void kg_place_op(const kg_place *place, kg_op *op)
{
    if (place->before)
        kg_block_insert_before(place->before, op);
    else
        kg_block_append(place->block, op);
}

kg_op *kg_make(const kg_place *place, kg_opcode code, int n, kg_value *const *operands)
{
    kg_op *op = kg_op_new(place->kernel, code, place->loc, n, operands);
    kg_place_op(place, op);
    return op;
}

kg_value *kg_make_constant(const kg_place *place, const kg_constant *constant)
{
    kg_op *op = kg_make(place, KG_OP_CONST, 0, NULL);
    if (kg_dtype_info_of(constant->dtype)->is_float)
        kg_op_set_float(place->kernel, op, KG_A_VALUE_FLOAT, constant->f);
    else
        kg_op_set_int(place->kernel, op, KG_A_VALUE_INT, constant->i);
    kg_op_set_dtype(place->kernel, op, KG_A_DTYPE, constant->dtype);
    return kg_op_result(place->kernel, op, kg_scalar_type(constant->dtype), NULL);
}

kg_value *kg_make_int(const kg_place *place, kg_dtype dtype, int64_t value)
{
    return kg_make_constant(place, &(kg_constant){.dtype = dtype, .i = value});
}

kg_value *kg_make_binary(const kg_place *place, kg_opcode code, kg_value *a, kg_value *b)
{
    int64_t x;
    if (!kg_is_mutable(a) && kg_const_int(b, &x) &&
        ((x == 0 && (code == KG_OP_ADD || code == KG_OP_SUB)) || (x == 1 && code == KG_OP_MUL)))
        return a;
    bool compare = kg_op_info_of(code)->cls == KG_CLASS_C;
    kg_op *op = kg_op_new(place->kernel, code, place->loc, 2, (kg_value *[]){a, b});
    kg_value *result =
        kg_op_result(place->kernel, op, kg_scalar_type(compare ? KG_I1 : a->type.dtype), NULL);
    kg_constant in[2], out;
    if (kg_constant_of(a, &in[0]) && kg_constant_of(b, &in[1]) && kg_constant_eval(op, in, &out))
        return kg_make_constant(place, &out);
    kg_place_op(place, op);
    return result;
}

kg_value *kg_make_slot_view(const kg_place *place, kg_value *buffer, kg_value *slot)
{
    int rank = buffer->type.rank;
    int64_t index[KG_MAX_RANK], extent[KG_MAX_RANK];
    for (int d = 0; d < rank; d++) {
        index[d] = KG_INDEX_ALL;
        extent[d] = buffer->type.dims[d];
    }
    kg_op *op = kg_make(place, KG_OP_VIEW, slot ? 2 : 1, (kg_value *[]){buffer, slot});
    if (slot)
        kg_op_set_int(place->kernel, op, KG_A_SLOT, 1);
    kg_op_set_ints(place->kernel, op, KG_A_INDEX, rank, index);
    kg_op_set_ints(place->kernel, op, KG_A_EXTENT, rank, extent);
    return kg_op_result(place->kernel, op, buffer->type, NULL);
}

kg_value *kg_make_transpose(const kg_place *place, kg_value *value, const int *perm)
{
    int rank = value->type.rank;
    int64_t order[KG_MAX_RANK];
    for (int d = 0; d < rank; d++)
        order[d] = perm[d];
    if (value->kind == KG_VALUE_RESULT && value->op->code == KG_OP_TRANSPOSE &&
        !kg_is_mutable(value->op->operands[0])) {
        const kg_attr *inner = kg_op_attr(value->op, KG_A_PERM);
        for (int d = 0; d < rank; d++)
            order[d] = inner ? inner->ints[perm[d]] : rank - 1 - perm[d];
        value = value->op->operands[0];
    }
    bool identity = true;
    kg_type type = value->type;
    for (int d = 0; d < rank; d++) {
        identity &= order[d] == d;
        type.dims[d] = value->type.dims[order[d]];
    }
    if (identity)
        return value;
    kg_op *op = kg_make(place, KG_OP_TRANSPOSE, 1, &value);
    kg_op_set_ints(place->kernel, op, KG_A_PERM, rank, order);
    return kg_op_result(place->kernel, op, type, NULL);
}

// ---- uses --------------------------------------------------------------------------------------
typedef struct collector {
    kg_arena *arena;
    kg_use **first, **last;
} collector;

static bool collect(kg_op *op, void *user)
{
    collector *c = user;
    for (int i = 0; i < op->n_operands; i++) {
        kg_use *use = KG_NEW(c->arena, kg_use);
        int id = op->operands[i]->id;
        *use = (kg_use){op, i, NULL};
        if (c->last[id])
            c->last[id]->next = use;
        else
            c->first[id] = use;
        c->last[id] = use;
    }
    return true;
}

kg_use **kg_uses_collect(kg_arena *arena, kg_kernel *kernel, int *n_values)
{
    int n = kg_kernel_number(kernel, NULL);
    collector c = {arena, KG_NEW_ARRAY(arena, kg_use *, n + 1),
                   KG_NEW_ARRAY(arena, kg_use *, n + 1)};
    kg_walk(kernel->body, collect, &c);
    if (n_values)
        *n_values = n;
    return c.first;
}

typedef struct replacement {
    const kg_value *from;
    kg_value *to;
} replacement;

static bool replace(kg_op *op, void *user)
{
    const replacement *r = user;
    for (int i = 0; i < op->n_operands; i++)
        if (op->operands[i] == r->from)
            op->operands[i] = r->to;
    return true;
}

void kg_replace_uses(kg_kernel *kernel, const kg_value *from, kg_value *to)
{
    kg_walk(kernel->body, replace, &(replacement){from, to});
}

// ---- memory and structure ----------------------------------------------------------------------
bool kg_op_within(const kg_op *op, const kg_op *owner)
{
    for (const kg_block *block = op->parent; block && block->owner; block = block->owner->parent)
        if (block->owner == owner)
            return true;
    return false;
}

// The parameter at the end of a chain of `alias` clauses; a ring of them ends anywhere.
static const kg_value *alias_end(const kg_value *value)
{
    for (int i = 0; i < 32 && value->tensor->alias && value->tensor->alias->tensor; i++)
        value = value->tensor->alias;
    return value;
}

bool kg_roots_alias(const kg_value *a, const kg_value *b)
{
    if (a == b)
        return true;
    if (!a->tensor || !b->tensor)
        return false;
    return a->tensor->alias == b || b->tensor->alias == a || alias_end(a) == alias_end(b);
}

bool kg_op_writes(const kg_op *op)
{
    const kg_op_info *info = kg_op_info_of(op->code);
    for (int i = 0; i < info->n_effects; i++)
        if (info->effects[i].mode != KG_MODE_R)
            return true;
    return false;
}

static bool no_write_to(kg_op *op, void *user)
{
    const kg_op_info *info = kg_op_info_of(op->code);
    for (int i = 0; i < info->n_effects; i++) {
        int operand = info->effects[i].operand;
        if (info->effects[i].mode == KG_MODE_R || operand == KG_OPERAND_ALL ||
            operand >= op->n_operands)
            continue;
        const kg_value *root = kg_root(op->operands[operand]);
        if (root && kg_roots_alias(root, user))
            return false;
    }
    return true;
}

bool kg_block_writes(kg_block *block, const kg_value *root)
{
    return !kg_walk(block, no_write_to, (void *)root);
}

void kg_keep_cache(kg_kernel *kernel, kg_op *made, const kg_op *op)
{
    const char *word = kg_cache_of_l2(op);
    if (word) kg_op_set_name(kernel, made, KG_A_CACHE, word);
}
