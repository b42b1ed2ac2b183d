// SPDX-License-Identifier: MIT
// Elements of integer tiles that the text alone tells: iota, constants, and arithmetic on these.
#include "ir/access.h"
#include <string.h>

enum {
    DEEPEST = 32,       // ops above each other; more count as unknown
    MOST_KEPT = 1 << 16 // elements of a tile
};

static bool known(const kg_value *value, const int32_t *coord, int depth, int64_t *out);

// The element of an operand that goes into the element `coord` of its op's result: axes are aligned
// at the last one, an extent of 1 repeats.
static bool known_operand(const kg_op *op, int i, const int32_t *coord, int depth, int64_t *out)
{
    const kg_type *to = &op->results[0]->type, *from = &op->operands[i]->type;
    int32_t at[KG_MAX_RANK] = {0};
    if (from->rank > to->rank) return false;
    for (int d = 0; d < from->rank; d++)
        at[d] = from->dims[d] == 1 ? 0 : coord[d + to->rank - from->rank];
    return known(op->operands[i], at, depth, out);
}

static bool known_expand(const kg_op *op, const int32_t *coord, int depth, int64_t *out)
{
    int axis = (int)kg_op_int(op, KG_A_AXIS, 0), n = 0;
    int32_t at[KG_MAX_RANK] = {0};
    for (int d = 0; d < op->results[0]->type.rank; d++)
        if (d != axis) at[n++] = coord[d];
    return known(op->operands[0], at, depth, out);
}

static bool known_part(const kg_op *op, const int32_t *coord, int depth, int64_t *out)
{
    int32_t at[KG_MAX_RANK];
    memcpy(at, coord, sizeof at);
    at[kg_op_int(op, KG_A_AXIS, 0)] += (int32_t)kg_op_int(op, KG_A_FIRST, 0);
    return known(op->operands[0], at, depth, out);
}

static bool divided(kg_opcode code, int64_t a, int64_t b, int64_t *out)
{
    if (b <= 0) return false; // nobody counts in these
    int64_t rest = (a % b + b) % b;
    *out = code == KG_OP_MOD ? rest : (a - rest) / b;
    return true;
}

static bool combined(kg_opcode code, int64_t a, int64_t b, int64_t *out)
{
    switch (code) {
    case KG_OP_ADD:
        return !__builtin_add_overflow(a, b, out);
    case KG_OP_SUB:
        return !__builtin_sub_overflow(a, b, out);
    case KG_OP_MUL:
        return !__builtin_mul_overflow(a, b, out);
    case KG_OP_DIV:
    case KG_OP_MOD:
        return divided(code, a, b, out);
    case KG_OP_MIN:
        return *out = a < b ? a : b, true;
    case KG_OP_MAX:
        return *out = a > b ? a : b, true;
    case KG_OP_AND:
        return *out = a & b, true;
    case KG_OP_OR:
        return *out = a | b, true;
    case KG_OP_XOR:
        return *out = a ^ b, true;
    case KG_OP_EQ:
        return *out = a == b, true;
    case KG_OP_NE:
        return *out = a != b, true;
    case KG_OP_LT:
        return *out = a < b, true;
    case KG_OP_LE:
        return *out = a <= b, true;
    case KG_OP_GT:
        return *out = a > b, true;
    case KG_OP_GE:
        return *out = a >= b, true;
    default:
        return false;
    }
}

static bool computed(const kg_op *op, const int32_t *coord, int depth, int64_t *out)
{
    int64_t a, b;
    switch (op->code) {
    case KG_OP_CONST:
        return kg_const_int(op->results[0], out);
    case KG_OP_IOTA:
        return *out = coord[kg_op_int(op, KG_A_AXIS, 0)], true;
    case KG_OP_EXPAND:
        return known_expand(op, coord, depth, out);
    case KG_OP_PART:
        return known_part(op, coord, depth, out);
    case KG_OP_CAST:
    case KG_OP_CONVERT:
    case KG_OP_BROADCAST:
        return known_operand(op, 0, coord, depth, out);
    case KG_OP_SELECT:
        return known_operand(op, 0, coord, depth, &a) &&
               known_operand(op, a ? 1 : 2, coord, depth, out);
    default:
        return op->n_operands == 2 && known_operand(op, 0, coord, depth, &a) &&
               known_operand(op, 1, coord, depth, &b) && combined(op->code, a, b, out);
    }
}

// Kept with the value: what it is does not change, whatever passes do around it.
struct kg_known_tile {
    bool all; // every element is known
    int64_t elements[];
};

static int64_t element_of(const kg_value *value, const int32_t *coord)
{
    int64_t n = 0;
    for (int d = 0; d < value->type.rank; d++) n = n * value->type.dims[d] + coord[d];
    return value->known->elements[n];
}

static bool known(const kg_value *value, const int32_t *coord, int depth, int64_t *out)
{
    kg_dtype dtype = value->type.dtype;
    if (value->known && value->known->all) return *out = element_of(value, coord), true;
    if (value->kind != KG_VALUE_RESULT || value->type.home != KG_HOME_FRAG || depth == DEEPEST ||
        (dtype != KG_I1 && dtype != KG_I32 && dtype != KG_I64))
        return false;
    if (!computed(value->op, coord, depth + 1, out)) return false;
    if (dtype == KG_I1) return *out == 0 || *out == 1;
    return dtype == KG_I64 || (*out >= INT32_MIN && *out <= INT32_MAX);
}

// ---- tiles --------------------------------------------------------------------------------------

static struct kg_known_tile *tile_of(const kg_value *value, int depth);

static void fill(struct kg_known_tile *tile, const kg_value *value, int64_t count)
{
    const kg_type *type = &value->type;
    int32_t coord[KG_MAX_RANK];
    tile->all = true;
    for (int64_t n = 0; n < count && tile->all; n++) {
        int64_t left = n;
        for (int d = type->rank - 1; d >= 0; d--) {
            coord[d] = (int32_t)(left % type->dims[d]);
            left /= type->dims[d];
        }
        tile->all = known(value, coord, 0, &tile->elements[n]);
    }
}

// What it is computed from is kept as well: each element of it goes into many.
static void keep_operands(const kg_value *value, int depth)
{
    const kg_op *op = value->op;
    for (int i = 0; i < op->n_operands && depth < DEEPEST; i++)
        if (op->operands[i]->type.home == KG_HOME_FRAG && op->operands[i]->type.rank)
            tile_of(op->operands[i], depth + 1);
}

static struct kg_known_tile *tile_of(const kg_value *value, int depth)
{
    int64_t count = kg_type_elements(&value->type);
    bool result = value->kind == KG_VALUE_RESULT && value->op->parent;
    kg_arena *arena = result ? value->op->parent->kernel->unit->arena : NULL;
    if (value->known || !arena || count > MOST_KEPT) return value->known;
    int32_t first[KG_MAX_RANK] = {0};
    int64_t number;
    if (!known(value, first, 0, &number)) count = 0;
    struct kg_known_tile *tile =
        kg_arena_alloc(arena, sizeof *tile + (size_t)count * sizeof *tile->elements);
    if (count) keep_operands(value, depth);
    if (count) fill(tile, value, count);
    return ((kg_value *)value)->known = tile;
}

bool kg_known_element(const kg_value *value, const int32_t *coord, int64_t *out)
{
    tile_of(value, 0);
    return known(value, coord, 0, out);
}

bool kg_known_tile(const kg_value *value)
{
    const struct kg_known_tile *tile = tile_of(value, 0);
    return tile && tile->all;
}
