// SPDX-License-Identifier: MIT
// Layouts of fragments: each is a bijection (up to copies) between its threads' registers and the
// tile, and ops that work register by register find their operands in the layout of their result.
#include "ir/verify.h"

#include <string.h>

static int log2_of(int64_t value)
{
    int bits = 0;
    while (value > 1) value >>= 1, bits++;
    return bits;
}

// A basis as one number: its coordinates side by side, `log2(core[d])` bits each.
static int64_t packed(const kg_layout *layout, const int32_t *basis)
{
    int64_t value = 0;
    for (int d = 0; d < layout->rank; d++) value = value * layout->core[d] + basis[d];
    return value;
}

// The number of independent bases; the bases that are not zero must be independent, or an element
// would have two places.
static bool covers_core(const kg_layout *layout, int wanted)
{
    int64_t reduced[64];
    int rank = 0;
    for (int in = 0; in < KG_IN_COUNT; in++)
        for (int i = 0; i < layout->bits[in]; i++) {
            int64_t x = packed(layout, layout->basis[in][i]);
            if (!x) continue;
            for (int r = 0; r < rank; r++)
                if ((x ^ reduced[r]) < x) x ^= reduced[r];
            if (!x || rank == 64) return false;
            reduced[rank++] = x;
        }
    return rank == wanted;
}

static const char *shape_finding(const kg_layout *layout, const kg_type *type, int warps,
                                 int *core_bits)
{
    if (layout->rank != type->rank) return "has another rank";
    *core_bits = 0;
    for (int d = 0; d < layout->rank; d++) {
        if (layout->core[d] < 1 || (layout->core[d] & (layout->core[d] - 1)))
            return "has a core that is not a power of two";
        if (layout->reps[d] < 1 || ((int64_t)layout->core[d] * layout->reps[d] != type->dims[d] &&
                                    !kg_layout_three_of_four(layout, d, type->dims[d], warps)))
            return "has another shape";
        *core_bits += log2_of(layout->core[d]);
    }
    return NULL;
}

static const char *finding(const kg_layout *layout, const kg_type *type, int warps)
{
    int core_bits;
    const char *text = shape_finding(layout, type, warps, &core_bits);
    if (text) return text;
    int64_t registers = (int64_t)1 << layout->bits[KG_IN_REG];
    if (layout->bits[KG_IN_LANE] != 5) return "does not have 32 lanes";
    // A number of warps that is no power of two: the warps beyond the last power hold copies, or
    // a tile has three of four.
    int warp_bits = layout->bits[KG_IN_WARP];
    if (1 << warp_bits < warps || 1 << warp_bits >= 2 * warps)
        return "is for another number of warps";
    for (int d = 0; d < layout->rank && 1 << warp_bits != warps; d++)
        if (layout->basis[KG_IN_WARP][warp_bits - 1][d] &&
            !kg_layout_three_of_four(layout, d, type->dims[d], warps))
            return "is for another number of warps";
    for (int d = 0; d < layout->rank; d++) registers *= layout->reps[d];
    if (registers > KG_MOST_REGISTERS) return "keeps too many elements in a thread";
    for (int in = 0; in < KG_IN_COUNT; in++)
        for (int i = 0; i < layout->bits[in]; i++)
            for (int d = 0; d < layout->rank; d++)
                if (layout->basis[in][i][d] < 0 || layout->basis[in][i][d] >= layout->core[d])
                    return "has a basis outside of its core";
    return covers_core(layout, core_bits) ? NULL : "does not cover its tile once";
}

// The layout has the rank of a tile that it was right for.
static bool has_dims(const kg_right_layout *right, const kg_type *type)
{
    return right->layout->rank == type->rank &&
           !memcmp(right->dims, type->dims, sizeof *right->dims * (size_t)type->rank);
}

void kg_verify_layout(kg_verifier *v, const kg_op *op, const kg_value *value)
{
    bool is_tile = value->type.home == KG_HOME_FRAG && value->type.rank > 0;
    if (!is_tile) {
        if (value->layout) kg_verify_fail(v, KG_D_V204, op, "only a fragment has a layout");
        return;
    }
    if (!value->layout) {
        if (v->has_layouts)
            kg_verify_fail(v, KG_D_V204, op, "the result of %s has no layout",
                           kg_op_info_of(op->code)->name);
        return;
    }
    int warps = v->last_warp - v->first_warp;
    kg_right_layout *right = &v->right[(uintptr_t)value->layout / sizeof *value->layout % 8];
    if (right->layout == value->layout && right->warps == warps && has_dims(right, &value->type))
        return;
    const char *text = finding(value->layout, &value->type, warps);
    if (text) {
        kg_verify_fail(v, KG_D_V204, op, "the layout of this %s %s",
                       kg_type_text(v->diags->arena, &value->type), text);
        return;
    }
    *right = (kg_right_layout){.layout = value->layout, .warps = warps};
    memcpy(right->dims, value->type.dims, sizeof *right->dims * (size_t)value->type.rank);
}

// ---- agreement ---------------------------------------------------------------------------------
static void same(kg_verifier *v, const kg_op *op, const kg_value *a, const kg_value *b)
{
    if (!a->layout || !b->layout || a->type.rank != b->type.rank || !a->type.rank) return;
    if (kg_layout_equal(a->layout, b->layout)) return;
    kg_verify_fail(v, KG_D_V204, op,
                   "%s works register by register, but its values have different layouts",
                   kg_op_info_of(op->code)->name);
}

// A part has the registers of its tile.
static void check_part(kg_verifier *v, const kg_op *op)
{
    int axis = (int)kg_op_int(op, KG_A_AXIS, 0);
    const kg_value *whole = op->operands[0], *part = op->results[0];
    kg_layout wanted;
    if (!whole->layout || !part->layout) return;
    if (!kg_layout_part(whole->layout, axis, part->type.dims[axis], &wanted) ||
        !kg_layout_equal(&wanted, part->layout))
        kg_verify_fail(v, KG_D_V204, op, "a part has the layout of its tile along the axis");
}

void kg_verify_layouts_agree(kg_verifier *v, const kg_op *op)
{
    if (op->code == KG_OP_PART) check_part(v, op);
    if (op->code == KG_OP_ASSIGN) same(v, op, op->operands[0], op->operands[1]);
    if (kg_op_info_of(op->code)->cls == KG_CLASS_D) same(v, op, op->results[0], op->operands[2]);
    switch (kg_op_info_of(op->code)->cls) {
    case KG_CLASS_U:
    case KG_CLASS_B:
    case KG_CLASS_C:
    case KG_CLASS_N:
        break;
    case KG_CLASS_M: // mask and value elsewhere follow the fragment that is moved
        if (op->code == KG_OP_LOAD)
            for (int i = 1; i < op->n_operands; i++) same(v, op, op->results[0], op->operands[i]);
        else if (op->n_operands > 2 && op->code != KG_OP_FETCH_ADD)
            same(v, op, op->operands[1], op->operands[2]);
        return;
    default:
        if (op->code != KG_OP_SELECT && op->code != KG_OP_FMA && op->code != KG_OP_CAST &&
            op->code != KG_OP_BITCAST && op->code != KG_OP_FRAG)
            return;
    }
    for (int i = 0; i < op->n_operands; i++) same(v, op, op->results[0], op->operands[i]);
}
