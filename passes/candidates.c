// SPDX-License-Identifier: MIT
// Which copies of a loop can be issued some iterations ahead.
//
// A buffer qualifies when it is declared in the loop's body, filled there by copies from global
// memory and by nothing else, read only after them, and when source and destination of each copy
// can be computed from the index and from what holds still during the loop: pure ops, and loads of
// memory that the loop does not write (the page table of a gather). These ops form the slice that
// is repeated for each stage.
#include "passes/pipeline_internal.h"

typedef struct inspector {
    kg_staged_loop *s;
    kg_value *buffer;
    kg_candidate candidate;
    const kg_op *first_read; // by position in the loop's own block
    const kg_op *bad;        // why not: the op to point at
    const char *reason;
} inspector;

// ---- messages ----------------------------------------------------------------------------------
static const char *name_of(const kg_value *value)
{
    return value->name ? value->name : "(unnamed)";
}

static void refuse(inspector *in, const kg_op *op, const char *reason)
{
    if (!in->reason) {
        in->bad = op;
        in->reason = reason;
    }
}

// ---- what holds still --------------------------------------------------------------------------
static bool not_assigned(kg_op *op, void *user)
{
    return op->code != KG_OP_ASSIGN || op->operands[0] != (const kg_value *)user;
}

bool kg_assigned_within(kg_op *loop, const kg_value *value)
{
    return !kg_walk(loop->blocks[0], not_assigned, (void *)value);
}

static bool inside_role(const kg_op *op)
{
    for (const kg_block *block = op->parent; block->owner; block = block->owner->parent)
        if (block->owner->code == KG_OP_WARPS)
            return true;
    return false;
}

// Memory that can be read some trips early. In a role, other warps may write it meanwhile.
static bool memory_still(kg_staged_loop *s, const kg_value *root)
{
    kg_block *writers = inside_role(s->loop) ? s->kernel->body : s->loop->blocks[0];
    return !kg_block_writes(writers, root);
}

static bool slice_value(inspector *in, kg_value *value);

// Marks the op as part of the slice, with all that it needs; false (and a reason) when it cannot
// be.
static bool slice_op(inspector *in, kg_op *op)
{
    kg_staged_loop *s = in->s;
    if (s->sliced[op->id])
        return true;
    if (op->parent != s->loop->blocks[0]) {
        refuse(in, op, "its source is computed inside of another region of the body");
        return false;
    }
    kg_op_class cls = kg_op_info_of(op->code)->cls;
    bool pure = cls == KG_CLASS_P || cls == KG_CLASS_U || cls == KG_CLASS_B || cls == KG_CLASS_C ||
                cls == KG_CLASS_R || cls == KG_CLASS_N || op->code == KG_OP_VIEW ||
                op->code == KG_OP_TRANSPOSE;
    if (op->code == KG_OP_LOAD && !memory_still(s, kg_root(op->operands[0]))) {
        refuse(in, op, "its source depends on memory that the loop also writes");
        return false;
    }
    if (!pure && op->code != KG_OP_LOAD) {
        refuse(in, op, "its source depends on what this op computes in the loop");
        return false;
    }
    for (int i = 0; i < op->n_operands; i++)
        if (!slice_value(in, op->operands[i]))
            return false;
    s->sliced[op->id] = true;
    return true;
}

static bool slice_value(inspector *in, kg_value *value)
{
    kg_op *loop = in->s->loop;
    if (kg_is_mutable(value)) {
        if (!kg_op_within(value->op, loop) && !kg_assigned_within(loop, value))
            return true;
        refuse(in, value->op, "its source depends on a value that the loop assigns");
        return false;
    }
    if (value->op == NULL || value->kind == KG_VALUE_PARAM || value->kind == KG_VALUE_GRID ||
        value == loop->blocks[0]->arg || !kg_op_within(value->op, loop))
        return true;
    if (value->kind != KG_VALUE_RESULT || value->op->code == KG_OP_SHARED) {
        refuse(in, value->op,
               "its source depends on what the body keeps in shared memory or counts itself");
        return false;
    }
    return slice_op(in, value->op);
}

// ---- one buffer --------------------------------------------------------------------------------
// The op of the loop's own block in which `op` stands.
static kg_op *outermost(const kg_staged_loop *s, kg_op *op)
{
    while (op->parent != s->loop->blocks[0])
        op = op->parent->owner;
    return op;
}

static void inspect_copy(inspector *in, kg_op *copy)
{
    if (copy->parent != in->s->loop->blocks[0])
        refuse(in, copy, "its copy stands inside of another region of the body");
    else
        KG_PUSH(in->s->arena, &in->candidate.copies, copy);
}

static void inspect_uses(inspector *in, kg_value *value)
{
    for (const kg_use *use = in->s->uses[value->id]; use; use = use->next) {
        kg_op *op = use->op;
        if (op->code == KG_OP_VIEW || op->code == KG_OP_TRANSPOSE) {
            inspect_uses(in, op->results[0]);
        } else if (op->code == KG_OP_COPY && use->operand == 0) {
            inspect_copy(in, op);
        } else if (kg_op_writes(op)) {
            refuse(in, op, "the body also writes it here");
        } else {
            kg_op *read = outermost(in->s, op);
            if (!in->first_read || read->id < in->first_read->id)
                in->first_read = read;
        }
    }
}

static bool copy_can_move(inspector *in, kg_op *copy, bool rings)
{
    kg_value *source = copy->operands[1], *destination = copy->operands[0];
    if (source->type.home != KG_HOME_GLOBAL)
        refuse(in, copy, "its copy does not read global memory");
    else if (!memory_still(in->s, kg_root(source)))
        refuse(in, copy, "the loop writes the tensor that it is copied from");
    else if (rings && in->first_read && in->first_read->id < copy->id)
        refuse(in, in->first_read, "it is read here before it is filled");
    if (in->reason || !rings)
        return !in->reason;
    if (destination != in->buffer && destination->op->code != KG_OP_VIEW) {
        refuse(in, copy, "its copy writes a transposed view of it");
        return false;
    }
    for (int i = 1; destination != in->buffer && i < destination->op->n_operands; i++)
        if (!slice_value(in, destination->op->operands[i]))
            return false;
    return slice_value(in, source);
}

// The copies in program order: views made their uses come in any.
static void sort_copies(kg_candidate *c)
{
    for (int i = 1; i < c->copies.count; i++)
        for (int j = i; j > 0 && c->copies.items[j]->id < c->copies.items[j - 1]->id; j--) {
            kg_op *copy = c->copies.items[j];
            c->copies.items[j] = c->copies.items[j - 1];
            c->copies.items[j - 1] = copy;
        }
}

// Where a view of the buffer starts along a dimension, and how far it goes there; false: only run
// time knows.
static bool range_of(const kg_value *view, int dimension, int64_t *from, int64_t *extent)
{
    const kg_op *op = view->op;
    *from = 0;
    *extent = view->type.dims[dimension];
    if (op->code == KG_OP_SHARED)
        return true;
    if (op->code != KG_OP_VIEW)
        return false;
    const int64_t *kinds = kg_op_attr(op, KG_A_INDEX)->ints;
    int operand = 1 + (int)kg_op_int(op, KG_A_SLOT, 0);
    for (int d = 0; d < dimension; d++)
        operand += kinds[d] != KG_INDEX_ALL;
    *extent = kg_op_attr(op, KG_A_EXTENT)->ints[dimension];
    if (kinds[dimension] == KG_INDEX_ALL)
        return true;
    return kinds[dimension] != KG_INDEX_GATHER && kg_const_int(op->operands[operand], from);
}

static bool apart(const inspector *in, const kg_value *a, const kg_value *b)
{
    for (int d = 0; d < in->buffer->type.rank; d++) {
        int64_t from[2], extent[2];
        if (range_of(a, d, &from[0], &extent[0]) && range_of(b, d, &from[1], &extent[1]) &&
            (from[0] + extent[0] <= from[1] || from[1] + extent[1] <= from[0]))
            return true;
    }
    return false;
}

// Copies of one group have no order among each other.
static void refuse_overlap(inspector *in)
{
    const kg_candidate *c = &in->candidate;
    for (int i = 1; i < c->copies.count; i++)
        for (int j = 0; j < i; j++)
            if (!apart(in, c->copies.items[i]->operands[0], c->copies.items[j]->operands[0]))
                refuse(in, c->copies.items[i], "this copy may write what another one wrote");
}

static void inspect(kg_staged_loop *s, kg_op *shared, bool rings)
{
    inspector in = {.s = s, .buffer = shared->results[0]};
    in.candidate.buffer = in.buffer;
    inspect_uses(&in, in.buffer);
    if (in.candidate.copies.count == 0 && !in.reason)
        return; // computed in the body
    for (int i = 0; i < in.candidate.copies.count && !in.reason; i++)
        copy_can_move(&in, in.candidate.copies.items[i], rings);
    sort_copies(&in.candidate);
    if (!in.reason)
        refuse_overlap(&in);
    if (!in.reason) {
        KG_PUSH(s->arena, &s->found, in.candidate);
        return;
    }
    if (in.candidate.copies.count == 0 && in.bad->code != KG_OP_COPY)
        return; // computed in the body, by stores
    KG_PUSH(s->arena, &s->refused, ((kg_refusal){in.buffer, in.bad, in.reason}));
}

// ---- the loop ----------------------------------------------------------------------------------
// Synchronization by hand counts on the order of the program as it stands; an acquire must come
// first.
static bool plain_op(kg_op *op, void *user)
{
    const kg_op **found = user;
    bool plain = kg_op_info_of(op->code)->cls != KG_CLASS_Y && op->code != KG_OP_AWAIT &&
                 op->code != KG_OP_FETCH_ADD && op->code != KG_OP_COPY_ASYNC;
    if (!plain)
        *found = op;
    return plain;
}

void kg_find_candidates(kg_diags *diags, kg_staged_loop *s, bool rings)
{
    const kg_op *hand = NULL;
    kg_block *body = s->loop->blocks[0];
    if (!kg_walk(body, plain_op, &hand)) {
        kg_diag *diag = kg_warn(diags, KG_D_L302, s->loop->loc,
                                "loop is not pipelined: its body synchronizes by hand");
        kg_diag_note(diags, diag, hand->loc, "'%s' stands here", kg_op_info_of(hand->code)->name);
        kg_diag_help(diags, diag, "remove it, or remove `pipeline` from the loop");
        return;
    }
    for (kg_op *op = body->first; op; op = op->next)
        if (op->code == KG_OP_SHARED && !kg_op_attr(op, KG_A_RING))
            inspect(s, op, rings);
    if (s->found.count > 0 && s->refused.count == 0)
        return;
    kg_diag *diag = kg_warn(
        diags, KG_D_L302, s->loop->loc, "%s",
        s->found.count ? "not all copies of this loop are pipelined"
                       : "loop is not pipelined: no buffer in its body can be filled ahead");
    for (int i = 0; i < s->refused.count; i++)
        kg_diag_note(diags, diag, s->refused.items[i].bad->loc, "buffer '%s' stays as it is: %s",
                     name_of(s->refused.items[i].buffer), s->refused.items[i].reason);
    if (s->refused.count == 0)
        kg_diag_help(diags, diag,
                     "fill a buffer from global memory in the loop's own body, "
                     "as in `shared s: T[M, N] = load a[i*M.., 0..]`, or remove `pipeline`");
}
