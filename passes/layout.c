// SPDX-License-Identifier: MIT
// Pass layout: a layout for every fragment, and conversions where two of them meet.
//
// Needs: level STAGED, verified.
// Guarantees: every fragment of rank > 0 has a layout over the warps of its region; each op's
// operands have
//   the layouts that the op demands of them (kg_layout_demand); copies have VEC, asynchronous ones
//   ASYNC.
// A kernel that has such layouts already (it was printed behind this pass) keeps them.
// Never: changes what is computed, or touches synchronization; a conversion is only a `convert`
// here, how
//   data crosses warps is the next pass's affair.
//
//     %a = load x[..]          %a @#1 = load x[..]          #1: rows by warps, columns by lanes
//     %m = rmax(%a)            %m @#2 = rmax(%a)            #2: slice of #1, copies in the lanes
//     %e = expand(%m)          %e @#3 = expand(%m)
//     %b = broadcast(%e)       %b @#1 = broadcast(%e)
//     store y[..] = %a - %b    store y[..] = %a - %b
//
// How: fragments of one shape joined by elementwise ops and assignments form a class (union-find).
// Classes choose in order: accumulators of dots, index fragments of gathering copies, then by the
// amount of data touched. Each choice is handed on to the classes that follow from it (slices along
// reductions, the small side of a broadcast, dot operands). What disagrees after that is converted
// where it is used; cheap producers are repeated in the wanted layout instead.
#include "passes/layout_internal.h"
#include "passes/pass_list.h"
#include "passes/rewrite.h"
#include <string.h>

// ---- classes ------------------------------------------------------------------------------------

static int find(kg_layouts *ls, int id)
{
    while (ls->parent[id] != id) id = ls->parent[id] = ls->parent[ls->parent[id]];
    return id;
}

static void unite(kg_layouts *ls, const kg_value *a, const kg_value *b)
{
    if (!kg_is_tile(a) || !kg_is_tile(b)) return;
    int x = find(ls, a->id), y = find(ls, b->id);
    ls->parent[x > y ? x : y] = x > y ? y : x;
}

kg_class *kg_class_of(kg_layouts *ls, const kg_value *value)
{
    if (!kg_is_tile(value) || value->id < 0 || value->id >= ls->n_values) return NULL;
    return ls->by_root[find(ls, value->id)];
}

const kg_layout *kg_layout_intern(kg_layouts *ls, const kg_layout *layout)
{
    for (int i = 0; i < ls->known.count; i++)
        if (ls->known.items[i] == layout || !memcmp(ls->known.items[i], layout, sizeof *layout))
            return ls->known.items[i];
    kg_layout *copy = KG_NEW(ls->arena, kg_layout);
    *copy = *layout;
    KG_PUSH(ls->arena, &ls->known, copy);
    return copy;
}

// Operands and result have one layout, element for element.
static bool is_elementwise(const kg_op *op)
{
    switch (kg_op_info_of(op->code)->cls) {
    case KG_CLASS_U:
    case KG_CLASS_B:
    case KG_CLASS_C:
    case KG_CLASS_N:
        return true;
    default:
        break;
    }
    return op->code == KG_OP_CAST || op->code == KG_OP_BITCAST || op->code == KG_OP_SELECT ||
           op->code == KG_OP_FMA || op->code == KG_OP_FRAG;
}

// Fragments that an op wants in one layout: how many, in `out` (at most four).
static int joined(const kg_op *op, kg_value **out)
{
    int n = 0;
    if (is_elementwise(op)) {
        out[n++] = op->results[0];
        for (int i = 0; i < op->n_operands; i++) out[n++] = op->operands[i];
    } else if (op->code == KG_OP_ASSIGN) {
        out[n++] = op->operands[0];
        out[n++] = op->operands[1];
    } else if (kg_op_info_of(op->code)->cls == KG_CLASS_D) {
        out[n++] = op->results[0];
        out[n++] = op->operands[2];
    } else if (kg_op_info_of(op->code)->cls == KG_CLASS_M && op->n_operands > 1) {
        if (op->n_results) out[n++] = op->results[0];
        for (int i = 1; i < op->n_operands; i++) out[n++] = op->operands[i];
    }
    return n;
}

static bool join(kg_op *op, void *user)
{
    kg_value *tiles[8];
    int n = joined(op, tiles);
    for (int i = 1; i < n; i++) unite(user, tiles[0], tiles[i]);
    return true;
}

static int32_t weight_of(const kg_op *op)
{
    int32_t weight = 1;
    for (const kg_block *b = op->parent; b->owner && weight < 4096; b = b->owner->parent)
        if (kg_is_loop(b->owner)) weight *= 8;
    return weight;
}

static void add_touch(kg_layouts *ls, kg_op *op, int operand, const kg_value *value, int32_t weight)
{
    int root = find(ls, value->id);
    kg_class *cls = ls->by_root[root];
    if (!cls) {
        cls = ls->by_root[root] = KG_NEW(ls->arena, kg_class);
        cls->type = value->type;
        cls->warps = kg_op_region(op).n_warps;
        *(ls->last ? &ls->last->next : &ls->first) = cls;
        ls->last = cls;
    }
    kg_touch *touch = KG_NEW(ls->arena, kg_touch);
    *touch = (kg_touch){.op = op, .operand = operand, .weight = weight};
    if (kg_op_info_of(op->code)->cls == KG_CLASS_M && op->operands[0]->type.home != KG_HOME_FRAG)
        kg_touch_memory(ls, touch);
    if (kg_op_info_of(op->code)->cls == KG_CLASS_D && operand == -1) cls->dot = true;
    cls->weight += kg_type_elements(&value->type) * weight;
    *(cls->last ? &cls->last->next : &cls->first) = touch;
    cls->last = touch;
}

static bool collect(kg_op *op, void *user)
{
    kg_layouts *ls = user;
    int32_t weight = weight_of(op);
    for (int i = 0; i < op->n_results; i++)
        if (kg_is_tile(op->results[i])) add_touch(ls, op, -1, op->results[i], weight);
    for (int i = 0; i < op->n_operands; i++)
        if (kg_is_tile(op->operands[i])) add_touch(ls, op, i, op->operands[i], weight);
    return true;
}

kg_op *kg_op_like(kg_kernel *kernel, const kg_op *op)
{
    kg_op *copy = kg_op_new(kernel, op->code, op->loc, op->n_operands, op->operands);
    kg_attr **end = &copy->attrs;
    for (const kg_attr *attr = op->attrs; attr; attr = attr->next, end = &(*end)->next) {
        *end = KG_NEW(kernel->unit->arena, kg_attr);
        **end = *attr;
        (*end)->next = NULL;
    }
    return copy;
}

// A tile that costs nothing to make again is made for each user, so that it ties no classes
// together.
static bool is_free(const kg_op *op)
{
    return op->code == KG_OP_IOTA ||
           (op->code == KG_OP_BROADCAST && op->operands[0]->type.rank == 0);
}

static bool split_free(kg_op *op, void *user)
{
    kg_use **uses = user;
    if (!is_free(op)) return true;
    for (kg_use *use = uses[op->results[0]->id]; use && use->next; use = use->next) {
        kg_kernel *kernel = op->parent->kernel;
        kg_op *copy = kg_op_like(kernel, op);
        kg_value *result = kg_op_result(kernel, copy, op->results[0]->type, op->results[0]->name);
        kg_block_insert_before(op, copy);
        kg_op_set_operand(use->op, use->operand, result);
    }
    return true;
}

// ---- warps regions ------------------------------------------------------------------------------

typedef struct region_check {
    kg_layouts *ls;
    bool fine;
} region_check;

static bool check_region(kg_op *op, void *user)
{
    region_check *check = user;
    kg_region here = kg_op_region(op);
    for (int i = 0; i < op->n_operands; i++) {
        const kg_value *value = op->operands[i];
        if (!kg_is_tile(value) || value->kind != KG_VALUE_RESULT) continue;
        kg_region there = kg_op_region(value->op);
        if (there.first_warp == here.first_warp && there.n_warps == here.n_warps) continue;
        kg_diags *diags = check->ls->context->diags;
        kg_diag *diag = kg_error(
            diags, KG_D_V205, op->loc, "fragment %s of warps %d to %d is used by warps %d to %d",
            value->name ? value->name : "value", there.first_warp, there.first_warp + there.n_warps,
            here.first_warp, here.first_warp + here.n_warps);
        kg_diag_note(diags, diag, value->loc, "defined here");
        kg_diag_help(diags, diag, "hand tiles between regions through a shared buffer");
        check->fine = false;
    }
    return true;
}

// ---- copies -------------------------------------------------------------------------------------

int kg_copy_vector(const kg_kernel *kernel, const kg_op *copy)
{
    int to = kg_view_vector_bytes(kernel, copy->operands[0], true);
    int from = kg_view_vector_bytes(kernel, copy->operands[1], true);
    int bytes = to < from ? to : from, size = kg_dtype_bytes(copy->operands[0]->type.dtype);
    return bytes > size ? bytes / size : 1;
}

static bool is_copy(const kg_op *op)
{
    return op->code == KG_OP_COPY || op->code == KG_OP_COPY_ASYNC;
}

// cp.async moves 4, 8 or 16 bytes; a copy in smaller pieces goes through registers, and one that
// gathers in a way that no layout describes becomes a load and a store.
static void settle_copy(kg_layouts *ls, kg_op *op)
{
    int vec = kg_copy_vector(ls->kernel, op), size = kg_dtype_bytes(op->operands[0]->type.dtype);
    kg_layout ignored;
    kg_op_set_int(ls->kernel, op, KG_A_VEC, vec);
    kg_op_unset(op, KG_A_ASYNC);
    if (op->code == KG_OP_COPY_ASYNC && kg_async_bytes_legal(vec * size))
        kg_op_set_int(ls->kernel, op, KG_A_ASYNC, vec * size);
    else
        op->code = KG_OP_COPY;
    bool gathers = kg_gather_view(op->operands[0]) || kg_gather_view(op->operands[1]);
    if (!gathers || kg_layout_copy(&op->operands[1]->type, vec, kg_op_region(op).n_warps, &ignored))
        return;
    kg_op *load = kg_op_new(ls->kernel, KG_OP_LOAD, op->loc, 1, &op->operands[1]);
    kg_type type = op->operands[1]->type;
    type.home = KG_HOME_FRAG;
    kg_value *tile = kg_op_result(ls->kernel, load, type, NULL);
    kg_block_insert_before(op, load);
    kg_block_insert_before(
        op, kg_op_new(ls->kernel, KG_OP_STORE, op->loc, 2, (kg_value *[]){op->operands[0], tile}));
    kg_op_remove(op);
}

static void settle_copies(kg_layouts *ls, kg_block *block)
{
    for (kg_op *op = block->first, *next; op; op = next) {
        next = op->next;
        for (int i = 0; i < op->n_blocks; i++) settle_copies(ls, op->blocks[i]);
        if (is_copy(op)) settle_copy(ls, op);
    }
}

// ---- what ops demand ----------------------------------------------------------------------------

void kg_layout_of_gather(const kg_layout *tile, int d, kg_layout *out)
{
    *out = *tile;
    for (int axis = tile->rank - 1; axis >= 0; axis--)
        if (axis != d) kg_layout_slice(out, axis, out);
}

bool kg_layout_of_moved(const kg_op *op, kg_layout *out)
{
    if (is_copy(op))
        return kg_layout_copy(&op->operands[1]->type, (int)kg_op_int(op, KG_A_VEC, 1),
                              kg_op_region(op).n_warps, out);
    const kg_value *moved = op->n_results        ? op->results[0]
                            : op->n_operands > 1 ? op->operands[1]
                                                 : NULL;
    if (!moved || !kg_is_tile(moved) || !moved->layout) return false;
    *out = *moved->layout;
    return true;
}

static void demand_of_transpose(const kg_op *op, const kg_layout *result, kg_layout *out)
{
    const kg_attr *perm = kg_op_attr(op, KG_A_PERM);
    int inverse[KG_MAX_RANK];
    for (int d = 0; d < result->rank; d++) inverse[perm ? perm->ints[d] : result->rank - 1 - d] = d;
    kg_layout_transpose(result, inverse, out);
}

bool kg_layout_demand(const kg_op *op, int i, const kg_layout *result, kg_layout *out)
{
    const kg_value *operand = op->operands[i];
    if (!kg_is_tile(operand)) return false;
    if (op->code == KG_OP_ASSIGN && i == 1) result = op->operands[0]->layout;
    if (kg_op_info_of(op->code)->cls == KG_CLASS_M && !op->n_results && i == 2)
        result = op->operands[1]->layout; // masks follow the value
    if (!result || op->code == KG_OP_CONVERT || op->code == KG_OP_PART ||
        kg_op_info_of(op->code)->cls == KG_CLASS_R)
        return false;
    *out = *result;
    switch (op->code) {
    case KG_OP_ASSIGN:
        return i == 1;
    case KG_OP_STORE:
    case KG_OP_ATOMIC_ADD:
    case KG_OP_ATOMIC_MAX:
    case KG_OP_ATOMIC_MIN:
        return i == 2;
    case KG_OP_EXPAND:
        kg_layout_slice(result, (int)kg_op_int(op, KG_A_AXIS, 0), out);
        return true;
    case KG_OP_TRANSPOSE:
        demand_of_transpose(op, result, out);
        return true;
    case KG_OP_BROADCAST:
        for (int d = 0; d < operand->type.rank; d++)
            if (operand->type.dims[d] != op->results[0]->type.dims[d])
                kg_layout_squash(out, d, out);
        return true;
    case KG_OP_DOT:
    case KG_OP_WGMMA:
        if (i == 0) kg_layout_dot_a(kg_dot_kind_of(op), result, operand->type.dims[1], out);
        if (i == 1) kg_layout_dot_b(kg_dot_kind_of(op), result, operand->type.dims[0], out);
        return true;
    default:
        return op->n_results > 0;
    }
}

// ---- choosing and handing on --------------------------------------------------------------------

static void assign(kg_layouts *ls, kg_class *cls, const kg_layout *layout);

// Products choose for themselves: not every layout is one that their instruction can leave.
static bool takes_suggestions(const kg_class *cls)
{
    return cls && !cls->layout && !cls->dot;
}

static void suggest(kg_layouts *ls, const kg_value *value, const kg_layout *layout)
{
    kg_class *cls = kg_class_of(ls, value);
    if (takes_suggestions(cls)) assign(ls, cls, layout);
}

// A big tile from or to global memory keeps the right to choose for itself.
static bool has_big_global_access(const kg_class *cls)
{
    if (kg_type_elements(&cls->type) < 1024) return false;
    for (const kg_touch *t = cls->first; t; t = t->next)
        if (kg_op_info_of(t->op->code)->cls == KG_CLASS_M && t->global &&
            t->op->code != KG_OP_AWAIT)
            return true;
    return false;
}

static void suggest_operand(kg_layouts *ls, const kg_op *op, int i, const kg_layout *result)
{
    kg_layout wanted;
    kg_class *cls = kg_class_of(ls, op->operands[i]);
    if (!takes_suggestions(cls) || !kg_layout_demand(op, i, result, &wanted)) return;
    if (op->code == KG_OP_TRANSPOSE && has_big_global_access(cls)) return;
    int64_t cost;
    if (op->code == KG_OP_DOT && i < 2 && !kg_layout_pays_in_place(ls, cls, &wanted, &cost)) return;
    assign(ls, cls, &wanted);
}

static void suggest_gather(kg_layouts *ls, const kg_op *op, const kg_layout *tile)
{
    for (int i = 0; i < op->n_operands && i < 2; i++) {
        kg_op *view = kg_gather_view(op->operands[i]);
        if (!view) continue;
        kg_view_info info;
        kg_layout index;
        kg_view_resolve(op->operands[i], &info);
        for (int d = 0; d < info.rank; d++)
            if (info.gather[d]) {
                kg_layout_of_gather(tile, d, &index);
                suggest(ls, info.gather[d], &index);
            }
    }
}

// The result's layout when only the operand's is known.
static void suggest_result(kg_layouts *ls, const kg_op *op, const kg_layout *operand)
{
    kg_layout out;
    int axis = (int)kg_op_int(op, KG_A_AXIS, 0);
    kg_class *cls = kg_class_of(ls, op->results[0]);
    if (!takes_suggestions(cls)) return;
    if (kg_op_info_of(op->code)->cls == KG_CLASS_R) {
        if (kg_needs_axis_in_warp(op) && kg_layout_axis_spans_warps(operand, axis)) return;
        kg_layout_slice(operand, axis, &out);
        assign(ls, cls, &out);
    } else if (op->code == KG_OP_EXPAND) {
        kg_layout_expand(operand, axis, &out);
        assign(ls, cls, &out);
    } else if (op->code == KG_OP_PART) {
        if (kg_layout_part(operand, axis, op->results[0]->type.dims[axis], &out))
            assign(ls, cls, &out);
    } else if (op->code == KG_OP_TRANSPOSE && !has_big_global_access(cls)) {
        const kg_attr *perm = kg_op_attr(op, KG_A_PERM);
        int order[KG_MAX_RANK];
        for (int d = 0; d < operand->rank; d++)
            order[d] = perm ? (int)perm->ints[d] : operand->rank - 1 - d;
        kg_layout_transpose(operand, order, &out);
        assign(ls, cls, &out);
    }
}

static void assign(kg_layouts *ls, kg_class *cls, const kg_layout *layout)
{
    cls->layout = kg_layout_intern(ls, layout);
    for (kg_touch *t = cls->first; t; t = t->next) {
        if (t->operand >= 0 && t->op->n_results) suggest_result(ls, t->op, cls->layout);
        for (int i = 0; t->operand == -1 && i < t->op->n_operands; i++)
            suggest_operand(ls, t->op, i, cls->layout);
        if (kg_op_info_of(t->op->code)->cls == KG_CLASS_M && (t->operand == -1 || t->operand == 1))
            suggest_gather(ls, t->op, cls->layout);
    }
}

static bool choose_for_copy(kg_op *op, void *user)
{
    kg_layout tile;
    if (is_copy(op) && (kg_gather_view(op->operands[0]) || kg_gather_view(op->operands[1])) &&
        kg_layout_of_moved(op, &tile))
        suggest_gather(user, op, &tile);
    return true;
}

// Products that feed a dot choose before it, so that it can take them where they lie.
static void choose_dot(kg_layouts *ls, kg_class *cls)
{
    if (!cls || !cls->dot || cls->layout || cls->choosing) return;
    cls->choosing = true;
    for (kg_touch *t = cls->first; t; t = t->next)
        for (int i = 0; kg_op_info_of(t->op->code)->cls == KG_CLASS_D && t->operand == -1 && i < 2;
             i++)
            choose_dot(ls, kg_class_of(ls, t->op->operands[i]));
    const kg_layout *layout = cls->layout ? NULL : kg_layout_choose_dot(ls, cls);
    if (layout) assign(ls, cls, layout);
}

static bool choose_all(kg_layouts *ls)
{
    for (kg_class *cls = ls->first; cls; cls = cls->next) choose_dot(ls, cls);
    kg_walk(ls->kernel->body, choose_for_copy, ls);
    for (;;) {
        kg_class *next = NULL;
        for (kg_class *cls = ls->first; cls; cls = cls->next)
            if (!cls->layout && (!next || cls->weight > next->weight)) next = cls;
        if (!next) return true;
        assign(ls, next, kg_layout_choose(ls, next));
    }
}

bool kg_pass_layout(kg_pass_context *context, kg_kernel *kernel)
{
    kg_layouts ls = {.context = context, .arena = context->arena, .kernel = kernel};
    region_check check = {&ls, true};
    kg_walk(kernel->body, check_region, &check);
    if (!check.fine) return false;
    if (kg_layouts_stand(kernel)) return true;
    settle_copies(&ls, kernel->body);
    kg_walk(kernel->body, split_free, kg_uses_collect(ls.arena, kernel, NULL));
    ls.n_values = kg_kernel_number(kernel, NULL);
    ls.parent = KG_NEW_ARRAY(ls.arena, int, ls.n_values + 1);
    ls.by_root = KG_NEW_ARRAY(ls.arena, kg_class *, ls.n_values + 1);
    for (int i = 0; i < ls.n_values; i++) ls.parent[i] = i;
    kg_walk(kernel->body, join, &ls);
    kg_walk(kernel->body, collect, &ls);
    return choose_all(&ls) && kg_layouts_apply(&ls);
}
