// SPDX-License-Identifier: MIT
// The second half of home: a buffer that is filled along the wrong dimension is turned round.
//
// A copy goes through its source in row-major order. From a tensor whose contiguous dimension is
// not the last of the view, neighbouring threads would read elements a whole row apart, and no
// access could be wider than an element. The buffer gets its dimensions swapped, the copies read
// the transposed view, and every other use sees a transposed view of the buffer, which costs
// nothing (ldmatrix has a transposing form).
#include "ir/access.h"
#include "passes/rewrite.h"

typedef struct turner {
    kg_arena *arena;
    kg_kernel *kernel;
    struct {
        kg_op **items;
        int count, capacity;
    } buffers;
    kg_use **uses;
} turner;

static bool find_buffer(kg_op *op, void *user)
{
    turner *t = user;
    if (op->code == KG_OP_SHARED && op->results[0]->type.rank >= 2)
        KG_PUSH(t->arena, &t->buffers, op);
    return true;
}

// The dimension of a global view along which memory is contiguous, or -1.
static int contiguous_dim(kg_value *view)
{
    kg_view_info info;
    kg_view_resolve(view, &info);
    for (int d = info.rank - 1; d >= 0; d--) {
        const kg_sexpr *stride = info.root->tensor->strides[info.dim[d]];
        if (!info.gather[d] && stride->kind == KG_SX_INT && stride->value == 1)
            return d;
    }
    return -1;
}

// A destination that is the buffer itself or a view of it that keeps all dimensions.
static bool whole_rank(const kg_value *buffer, const kg_value *destination)
{
    return destination == buffer ||
           (destination->op->code == KG_OP_VIEW && destination->op->operands[0] == buffer &&
            destination->type.rank == buffer->type.rank);
}

// How the uses of a buffer (and of its views) speak for turning it.
typedef struct verdict {
    bool legal;
    int dim; // all copies are contiguous along it
    int copies;
} verdict;

static void judge_copy(const kg_value *buffer, kg_op *copy, verdict *v)
{
    kg_value *source = copy->operands[1];
    int dim = source->type.home == KG_HOME_GLOBAL ? contiguous_dim(source) : -1;
    if (!whole_rank(buffer, copy->operands[0]) || dim < 0 || (v->copies && dim != v->dim) ||
        source->type.dims[dim] == 1)
        v->legal = false;
    v->dim = dim;
    v->copies++;
}

static void judge_uses(turner *t, const kg_value *buffer, const kg_value *value, verdict *v)
{
    for (const kg_use *use = t->uses[value->id]; use; use = use->next) {
        kg_op *op = use->op;
        if (op->code == KG_OP_VIEW || op->code == KG_OP_TRANSPOSE)
            judge_uses(t, buffer, op->results[0], v);
        else if ((op->code == KG_OP_COPY || op->code == KG_OP_COPY_ASYNC) && use->operand == 0)
            judge_copy(buffer, op, v);
        else if (op->code != KG_OP_LOAD && op->code != KG_OP_DOT)
            v->legal = false; // written by threads: the layout of the store has its own wishes
    }
}

// ---- turning -----------------------------------------------------------------------------------
static void swap_list(kg_kernel *kernel, kg_op *op, kg_attr_key key, int d)
{
    const kg_attr *attr = kg_op_attr(op, key);
    int64_t list[KG_MAX_RANK];
    if (!attr)
        return;
    for (int i = 0; i < attr->count; i++)
        list[i] = attr->ints[i];
    list[d] = attr->ints[attr->count - 1];
    list[attr->count - 1] = attr->ints[d];
    kg_op_set_ints(kernel, op, key, attr->count, list);
}

// The operands of a view follow the order of its dimensions.
static void swap_indices(kg_op *view, int d)
{
    const kg_attr *index = kg_op_attr(view, KG_A_INDEX);
    kg_value *of[KG_MAX_RANK] = {NULL};
    int next = 1 + (int)kg_op_int(view, KG_A_SLOT, 0), first = next, last = index->count - 1;
    for (int i = 0; i < index->count; i++)
        if (index->ints[i] != KG_INDEX_ALL)
            of[i] = view->operands[next++];
    kg_value *value = of[d];
    of[d] = of[last];
    of[last] = value;
    next = first;
    for (int i = 0; i < index->count; i++)
        if (of[i])
            view->operands[next++] = of[i];
}

// Turns a view of the buffer. Its result gets the new order of dimensions; `perm` says how to read
// it in the old order. false when the order of the kept dimensions is the same as before.
static bool turn_view(kg_kernel *kernel, kg_op *view, int d, int *perm)
{
    const kg_attr *index = kg_op_attr(view, KG_A_INDEX), *extent = kg_op_attr(view, KG_A_EXTENT);
    int last = index->count - 1, position[KG_MAX_RANK], kept = 0, old = 0;
    kg_type *type = &view->results[0]->type;
    for (int i = 0; i < index->count; i++) { // new dimension i was i with d and last swapped
        int was = i == d ? last : i == last ? d : i;
        position[i] = kept;
        if (index->ints[was] != KG_INDEX_AT)
            type->dims[kept++] = (int32_t)extent->ints[was];
    }
    bool moved = false;
    for (int was = 0; was < index->count; was++) {
        if (index->ints[was] == KG_INDEX_AT)
            continue;
        perm[old] = position[was == d ? last : was == last ? d : was];
        moved |= perm[old] != old;
        old++;
    }
    swap_indices(view, d);
    swap_list(kernel, view, KG_A_INDEX, d);
    swap_list(kernel, view, KG_A_EXTENT, d);
    swap_list(kernel, view, KG_A_INBOUNDS, d);
    swap_list(kernel, view, KG_A_DIVISIBLE, d);
    return moved;
}

// A use that wants the old order reads through a transpose; a copy turns its source instead.
static void turn_use(turner *t, const kg_use *use, kg_value *value, const int *perm)
{
    kg_op *op = use->op;
    kg_place place = kg_place_before(t->kernel, op);
    if (op->code == KG_OP_COPY ||
        op->code == KG_OP_COPY_ASYNC) { // a swap of two is its own inverse
        kg_op_set_operand(op, 1, kg_make_transpose(&place, op->operands[1], perm));
        return;
    }
    kg_op_set_operand(op, use->operand, kg_make_transpose(&place, value, perm));
    if (op->code != KG_OP_TRANSPOSE)
        return;
    const kg_attr *order = kg_op_attr(op, KG_A_PERM); // compose the two
    int outer[KG_MAX_RANK], rank = value->type.rank;
    for (int i = 0; i < rank; i++)
        outer[i] = order ? (int)order->ints[i] : rank - 1 - i;
    kg_value *composed = kg_make_transpose(&place, op->operands[0], outer);
    kg_replace_uses(t->kernel, op->results[0], composed);
}

static void turn(turner *t, kg_value *buffer, int d)
{
    int rank = buffer->type.rank, perm[KG_MAX_RANK];
    int32_t extent = buffer->type.dims[d];
    buffer->type.dims[d] = buffer->type.dims[rank - 1];
    buffer->type.dims[rank - 1] = extent;
    for (const kg_use *use = t->uses[buffer->id]; use; use = use->next) {
        for (int i = 0; i < rank; i++)
            perm[i] = i == d ? rank - 1 : i == rank - 1 ? d : i;
        if (use->op->code != KG_OP_VIEW) {
            turn_use(t, use, buffer, perm);
            continue;
        }
        kg_value *view = use->op->results[0];
        if (turn_view(t->kernel, use->op, d, perm))
            for (const kg_use *inner = t->uses[view->id]; inner; inner = inner->next)
                turn_use(t, inner, view, perm);
    }
}

void kg_turn_buffers(kg_arena *arena, kg_kernel *kernel)
{
    turner t = {.arena = arena, .kernel = kernel};
    kg_walk(kernel->body, find_buffer, &t);
    for (int i = 0; i < t.buffers.count; i++) {
        kg_value *buffer = t.buffers.items[i]->results[0];
        verdict v = {.legal = true};
        if (i == 0 || t.uses == NULL)
            t.uses = kg_uses_collect(arena, kernel, NULL);
        judge_uses(&t, buffer, buffer, &v);
        if (!v.legal || v.copies == 0 || v.dim == buffer->type.rank - 1)
            continue;
        turn(&t, buffer, v.dim);
        t.uses = NULL; // new ops: collect again
    }
}
