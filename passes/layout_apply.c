// SPDX-License-Identifier: MIT
// Writes the chosen layouts into the values, then walks the program once and gives every operand
// the layout that its op demands: by repeating a cheap producer in that layout, or by a `convert`.
#include "ir/infer.h"
#include "passes/layout_internal.h"
#include "passes/rewrite.h"

enum {
    REPEAT_DEPTH = 6,       // ops in a chain that is repeated rather than converted
    REPEAT_ELEMENTS = 1024, // of a load from global memory, or within a chain, that is repeated
};

// What has been made of an immutable value already.
typedef struct made {
    const kg_value *from;
    const kg_layout *layout;
    kg_value *value;
} made;

typedef struct applier {
    kg_layouts *ls;
    struct {
        made *items;
        int count, capacity;
    } made;
} applier;

static kg_value *materialize(applier *a, kg_value *value, const kg_layout *layout, kg_op *user);

static bool is_elementwise_pure(const kg_op *op)
{
    kg_op_class cls = kg_op_info_of(op->code)->cls;
    return cls == KG_CLASS_U || cls == KG_CLASS_B || cls == KG_CLASS_C || op->code == KG_OP_CAST ||
           op->code == KG_OP_BITCAST || op->code == KG_OP_SELECT;
}

// Computing the tile again costs less than moving it.
static bool is_cheap(const kg_value *value, int depth)
{
    if (!kg_is_tile(value)) return true;
    if (kg_is_mutable(value) || value->kind != KG_VALUE_RESULT || depth == 0) return false;
    const kg_op *op = value->op;
    if (op->code == KG_OP_IOTA) return true;
    if (op->code == KG_OP_LOAD &&
        (kg_type_elements(&value->type) > REPEAT_ELEMENTS || op->n_operands > 1))
        return false;
    if (op->code == KG_OP_LOAD) return !kg_gather_view(op->operands[0]);
    if (op->code != KG_OP_BROADCAST && op->code != KG_OP_EXPAND && !is_elementwise_pure(op))
        return false;
    for (int i = 0; i < op->n_operands; i++)
        if (!is_cheap(op->operands[i], depth - 1)) return false;
    return true;
}

// Moving a tile between warps is a store, a barrier and a load: what lies in shared memory is read
// from there once more.
static bool is_in_shared(const kg_op *op)
{
    return op->code == KG_OP_LOAD && op->n_operands == 1 &&
           op->operands[0]->type.home == KG_HOME_SHARED && !kg_gather_view(op->operands[0]);
}

static bool is_repeated(const kg_value *value, int distance)
{
    if (kg_is_mutable(value) || value->kind != KG_VALUE_RESULT) return false;
    kg_opcode code = value->op->code;
    if (code == KG_OP_BROADCAST || code == KG_OP_EXPAND)
        return true; // whatever has to move is smaller before it
    if (distance <= 1) return false;
    if (is_in_shared(value->op)) return true;
    return is_cheap(value, REPEAT_DEPTH);
}

static kg_value *repeat(applier *a, const kg_value *value, const kg_layout *layout)
{
    kg_kernel *kernel = a->ls->kernel;
    kg_op *op = value->op;
    kg_op *copy = kg_op_like(kernel, op);
    kg_value *result = kg_op_result(kernel, copy, value->type, value->name);
    result->id = -1;
    result->layout = layout;
    kg_block_insert_after(op, copy);
    for (int i = 0; i < copy->n_operands; i++) {
        kg_layout wanted;
        if (kg_layout_demand(copy, i, layout, &wanted))
            kg_op_set_operand(
                copy, i, materialize(a, copy->operands[i], kg_layout_intern(a->ls, &wanted), copy));
    }
    return result;
}

static kg_value *convert(applier *a, kg_value *value, const kg_layout *layout, kg_op *user)
{
    kg_op *op = kg_op_new(a->ls->kernel, KG_OP_CONVERT, user->loc, 1, &value);
    kg_value *result = kg_op_result(a->ls->kernel, op, value->type, NULL);
    result->id = -1;
    result->layout = layout;
    if (kg_is_mutable(value))
        kg_block_insert_before(user, op);
    else
        kg_block_insert_after(value->op, op);
    return result;
}

// The value in `layout`, for `user`. What is made of an immutable value stands right after it and
// is shared.
static kg_value *materialize(applier *a, kg_value *value, const kg_layout *layout, kg_op *user)
{
    int distance = kg_layout_distance(value->layout, layout);
    if (distance == 0) return value;
    for (int i = 0; i < a->made.count; i++)
        if (a->made.items[i].from == value && a->made.items[i].layout == layout)
            return a->made.items[i].value;
    kg_value *result =
        is_repeated(value, distance) ? repeat(a, value, layout) : convert(a, value, layout, user);
    if (!kg_is_mutable(value)) KG_PUSH(a->ls->arena, &a->made, ((made){value, layout, result}));
    return result;
}

// ---- gathers ------------------------------------------------------------------------------------

// The op gets a view of its own whose index fragment lies as its tile needs it.
static void fit_gather(applier *a, kg_op *op, int i, const kg_layout *tile)
{
    kg_op *view = kg_gather_view(op->operands[i]);
    if (!view || op->operands[i] != view->results[0]) return;
    kg_view_info info;
    kg_view_resolve(op->operands[i], &info);
    for (int d = 0; d < info.rank; d++) {
        kg_layout index;
        if (!info.gather[d]) continue;
        kg_layout_of_gather(tile, d, &index);
        kg_value *fit = materialize(a, info.gather[d], kg_layout_intern(a->ls, &index), op);
        if (fit == info.gather[d]) continue;
        kg_op *own = kg_op_like(a->ls->kernel, view);
        kg_value *result = kg_op_result(a->ls->kernel, own, view->results[0]->type, NULL);
        kg_block_insert_before(op, own);
        for (int j = 1; j < own->n_operands; j++)
            if (own->operands[j] == info.gather[d]) kg_op_set_operand(own, j, fit);
        kg_op_set_operand(op, i, result);
        view = own;
    }
}

static void fit_gathers(applier *a, kg_op *op)
{
    kg_layout tile;
    if (kg_op_info_of(op->code)->cls != KG_CLASS_M || !kg_layout_of_moved(op, &tile)) return;
    for (int i = 0; i < op->n_operands && i < 2; i++) fit_gather(a, op, i, &tile);
}

// ---- ops ----------------------------------------------------------------------------------------

// A reduction's result lies as its operand does; a scan and argmax want their axis within a warp.
static void fit_along_axis(applier *a, kg_op *op)
{
    int axis = (int)kg_op_int(op, KG_A_AXIS, 0);
    kg_value *operand = op->operands[0], *result = op->results[0];
    if (kg_needs_axis_in_warp(op) && kg_layout_axis_spans_warps(operand->layout, axis)) {
        const kg_layout *within =
            kg_layout_within_warp(a->ls, &operand->type, axis, kg_op_region(op).n_warps);
        operand = materialize(a, operand, within, op);
        kg_op_set_operand(op, 0, operand);
    }
    if (kg_op_info_of(op->code)->cls == KG_CLASS_N) {
        result->layout = operand->layout;
    } else if (kg_is_tile(result)) {
        kg_layout slice;
        kg_layout_slice(operand->layout, axis, &slice);
        if (!kg_layout_equal(&slice, result->layout))
            result->layout = kg_layout_intern(a->ls, &slice);
    }
}

// A part lies as its tile does; where threads divide the axis otherwise, each gets it whole.
static void fit_part(applier *a, kg_op *op)
{
    int axis = (int)kg_op_int(op, KG_A_AXIS, 0), others[KG_MAX_RANK], n = 0;
    kg_value *operand = op->operands[0], *result = op->results[0];
    kg_layout part, whole;
    if (!kg_layout_part(operand->layout, axis, result->type.dims[axis], &part)) {
        for (int d = operand->type.rank - 1; d >= 0; d--)
            if (d != axis) others[n++] = d;
        kg_layout_spread(operand->type.rank, operand->type.dims, axis, 1, others, n, 5, others, n,
                         kg_op_region(op).n_warps, &whole);
        operand = materialize(a, operand, kg_layout_intern(a->ls, &whole), op);
        kg_op_set_operand(op, 0, operand);
        kg_layout_part(operand->layout, axis, result->type.dims[axis], &part);
    }
    if (!kg_layout_equal(&part, result->layout)) result->layout = kg_layout_intern(a->ls, &part);
}

// A load or store of global memory that its class left in an unfortunate layout.
static void fit_memory(applier *a, kg_op *op)
{
    if (op->code == KG_OP_LOAD && op->n_operands == 1 && kg_is_tile(op->results[0])) {
        const kg_layout *better = kg_layout_better_for_memory(a->ls, op, op->results[0]->layout);
        if (better) op->results[0]->layout = better;
    }
    if (op->code == KG_OP_STORE && op->n_operands == 2 && kg_is_tile(op->operands[1])) {
        const kg_layout *better = kg_layout_better_for_memory(a->ls, op, op->operands[1]->layout);
        if (better) kg_op_set_operand(op, 1, materialize(a, op->operands[1], better, op));
    }
}

static void apply_op(applier *a, kg_op *op)
{
    kg_op_class cls = kg_op_info_of(op->code)->cls;
    if ((cls == KG_CLASS_R || cls == KG_CLASS_N) && kg_is_tile(op->operands[0])) {
        fit_along_axis(a, op);
        return;
    }
    if (op->code == KG_OP_PART) {
        fit_part(a, op);
        return;
    }
    if (cls == KG_CLASS_M) fit_memory(a, op);
    for (int i = 0; i < op->n_operands; i++) {
        kg_layout wanted;
        const kg_layout *result = op->n_results ? op->results[0]->layout : NULL;
        if (kg_layout_demand(op, i, result, &wanted))
            kg_op_set_operand(
                op, i, materialize(a, op->operands[i], kg_layout_intern(a->ls, &wanted), op));
    }
    fit_gathers(a, op);
}

static void apply_block(applier *a, kg_block *block)
{
    for (kg_op *op = block->first, *next; op; op = next) {
        next = op->next;
        apply_op(a, op);
        for (int i = 0; i < op->n_blocks; i++) apply_block(a, op->blocks[i]);
    }
}

static bool name_layouts(kg_op *op, void *user)
{
    for (int i = 0; i < op->n_results; i++) {
        kg_class *cls = kg_class_of(user, op->results[i]);
        if (cls) op->results[i]->layout = cls->layout;
    }
    return true;
}

// Nothing of what follows could use a tile that a thread has to keep so many elements of.
static bool report_too_big(kg_op *op, void *user)
{
    kg_layouts *ls = user;
    for (int i = 0; i < op->n_results; i++) {
        const kg_value *value = op->results[i];
        if (!kg_is_tile(value) || !value->layout) continue;
        int registers = kg_layout_registers(value->layout);
        if (registers <= KG_MOST_REGISTERS) continue;
        kg_diag *diag = kg_error(ls->context->diags, KG_D_L301, value->loc,
                                 "each thread would have to keep %d elements of this %s, and may "
                                 "keep %d",
                                 registers, kg_type_text(ls->arena, &value->type),
                                 KG_MOST_REGISTERS);
        kg_diag_help(ls->context->diags, diag,
                     "take smaller tiles; threads share an extent by its factors of two, so an "
                     "odd one is kept whole by each");
        return false;
    }
    return true;
}

bool kg_layouts_apply(kg_layouts *ls)
{
    applier a = {.ls = ls};
    kg_walk(ls->kernel->body, name_layouts, ls);
    apply_block(&a, ls->kernel->body);
    kg_remove_dead(ls->arena, ls->kernel);
    return kg_walk(ls->kernel->body, report_too_big, ls);
}

// ---- layouts that stand already -----------------------------------------------------------------

static bool gathers_fit(const kg_op *op)
{
    kg_layout tile, index;
    if (kg_op_info_of(op->code)->cls != KG_CLASS_M || !kg_layout_of_moved(op, &tile)) return true;
    for (int i = 0; i < op->n_operands && i < 2; i++) {
        kg_view_info info;
        if (!kg_gather_view(op->operands[i])) continue;
        kg_view_resolve(op->operands[i], &info);
        for (int d = 0; d < info.rank; d++) {
            if (!info.gather[d]) continue;
            kg_layout_of_gather(&tile, d, &index);
            if (!kg_layout_equal(info.gather[d]->layout, &index)) return false;
        }
    }
    return true;
}

static bool axis_fits(const kg_op *op)
{
    kg_op_class cls = kg_op_info_of(op->code)->cls;
    if ((cls != KG_CLASS_R && cls != KG_CLASS_N) || !kg_is_tile(op->operands[0])) return true;
    int axis = (int)kg_op_int(op, KG_A_AXIS, 0);
    const kg_layout *operand = op->operands[0]->layout;
    kg_layout slice = *operand;
    if (kg_needs_axis_in_warp(op) && kg_layout_axis_spans_warps(operand, axis)) return false;
    if (cls == KG_CLASS_R) kg_layout_slice(operand, axis, &slice);
    return !kg_is_tile(op->results[0]) || kg_layout_equal(op->results[0]->layout, &slice);
}

static bool part_fits(const kg_op *op)
{
    kg_layout part;
    int axis = (int)kg_op_int(op, KG_A_AXIS, 0);
    return op->code != KG_OP_PART ||
           (kg_layout_part(op->operands[0]->layout, axis, op->results[0]->type.dims[axis], &part) &&
            kg_layout_equal(op->results[0]->layout, &part));
}

static bool op_stands(kg_op *op, void *user)
{
    bool *any = user;
    for (int i = 0; i < op->n_results; i++)
        if (kg_is_tile(op->results[i])) {
            if (!op->results[i]->layout) return false;
            *any = true;
        }
    for (int i = 0; i < op->n_operands; i++) {
        kg_layout wanted;
        const kg_layout *result = op->n_results ? op->results[0]->layout : NULL;
        if (kg_layout_demand(op, i, result, &wanted) &&
            kg_layout_distance(op->operands[i]->layout, &wanted) != 0)
            return false;
    }
    return axis_fits(op) && part_fits(op) && gathers_fit(op);
}

bool kg_layouts_stand(kg_kernel *kernel)
{
    bool any = false;
    return kg_walk(kernel->body, op_stands, &any) && any;
}
