// SPDX-License-Identifier: MIT
// fold: constants, exact algebra, equal ops, constant branches, unrolled loops, dead ops.
//
// Needs: level tile.
// Guarantees: the same results to the last bit. Branches and loops whose constants decide them are
//   gone; a loop marked `unroll N` whose trip count is a constant of at most N is straight code
//   (unless it is also marked `pipeline`); a mutable value assigned only in its own block is none,
//   unless an author's wgmma_fence stands between its first value and a product.
// Never: reorders float arithmetic, evaluates what the GPU approximates, moves an op past a write.
//
//   for i in 0 .. 2 unroll 4 {                  y = load b[0 .. + 64]
//     x = load a[i*64 .. + 64] * 1.0            x = load a[0 .. + 64]
//     y = load b[0 .. + 64]              =>     store c[0 ..] = x + y
//     store c[i*64 ..] = x + y                  x.1 = load a[64 .. + 64]
//   }                                           store c[64 ..] = x.1 + y
//
// One forward walk; a replaced value points to its replacement (note) and later operands follow.
#include "passes/fold_internal.h"
#include "passes/pass_list.h"

enum {
    CLONE_LIMIT = 1 << 16, // ops that unrolling may make in one kernel; loops beyond stay loops
    ROUNDS = 4
};

typedef struct folder {
    kg_pass_context *context;
    kg_kernel *kernel;
    kg_available *available;
    int cloned;
    bool again; // structure changed: constants or dead assignments may have come up
} folder;

static void fold_block(folder *f, kg_block *block);

// ---- replaced values ---------------------------------------------------------------------------
static kg_value *resolve(kg_value *value)
{
    while (value->note)
        value = value->note;
    return value;
}

static bool resolve_operands(kg_op *op, void *user)
{
    for (int i = op->code == KG_OP_ASSIGN; i < op->n_operands;
         i++) // an assignment names its fragment
        op->operands[i] = resolve(op->operands[i]);
    return true;
}

static bool clear_notes(kg_op *op, void *user)
{
    op->note = NULL;
    for (int i = 0; i < op->n_results; i++)
        op->results[i]->note = NULL;
    for (int i = 0; i < op->n_blocks; i++)
        if (op->blocks[i]->arg)
            op->blocks[i]->arg->note = NULL;
    return true;
}

// What is assigned to a mutable fragment (note of its declaration; NULL: nothing). When all of it
// stands in the declaration's own block, each use sees a known one of the values: the fragment is
// not needed.
typedef struct assignments {
    bool straight; // and no assigned value can change later
} assignments;

static bool note_assigned(kg_op *op, void *user)
{
    if (op->code != KG_OP_ASSIGN)
        return true;
    kg_op *frag = op->operands[0]->op;
    if (!frag->note) {
        assignments *a = KG_NEW((kg_arena *)user, assignments);
        a->straight = true;
        frag->note = a;
    }
    if (op->parent != frag->parent || kg_is_mutable(op->operands[1]) ||
        !kg_type_equal(&op->operands[0]->type, &op->operands[1]->type))
        ((assignments *)frag->note)->straight = false;
    return true;
}

// The author's name for what goes is good for what takes its place.
static void lend_name(kg_value *value, const kg_value *gone)
{
    if (!value->name && value->kind == KG_VALUE_RESULT && !kg_is_literal_value(value))
        value->name = gone->name;
}

static void replace(kg_op *op, kg_value *value)
{
    lend_name(value, op->results[0]);
    op->results[0]->note = value;
    kg_op_remove(op);
}

// ---- control flow ------------------------------------------------------------------------------
// Moves the ops of a block in front of `place`; returns the first of them, or `place`.
static kg_op *splice(kg_block *block, kg_op *place)
{
    kg_op *first = block->first;
    for (kg_op *op = first, *next; op; op = next) {
        next = op->next;
        kg_op_remove(op);
        kg_block_insert_before(place, op);
    }
    return first ? first : place;
}

// Trip count of a loop with constant bounds; -1 when it is not known.
static int64_t trip_count(const kg_op *loop, int64_t *lo, int64_t *step)
{
    int64_t hi, span;
    if (!kg_const_int(loop->operands[0], lo) || !kg_const_int(loop->operands[1], &hi) ||
        !kg_const_int(loop->operands[2], step) || *step <= 0 ||
        __builtin_sub_overflow(hi, *lo, &span))
        return -1;
    return span <= 0 ? 0 : (span - 1) / *step + 1;
}

static bool count_op(kg_op *op, void *user)
{
    ++*(int *)user;
    return true;
}

static kg_op *unroll(folder *f, kg_op *loop, int64_t trips, int64_t lo, int64_t step)
{
    kg_block *body = loop->blocks[0];
    kg_walk(body, resolve_operands,
            NULL); // an old number of a replaced value must not confuse the clones
    int n_values = kg_kernel_number(f->kernel, NULL);
    kg_op *first = NULL;
    for (int64_t t = 0; t < trips; t++) {
        kg_value **map = KG_NEW_ARRAY(f->context->arena, kg_value *, n_values + 1);
        kg_place place = kg_place_before(f->kernel, loop);
        kg_value *index = kg_make_int(&place, body->arg->type.dtype, lo + t * step);
        map[body->arg->id] = index;
        if (!first)
            first = index->op;
        for (kg_op *op = body->first; op; op = op->next)
            kg_block_insert_before(loop, kg_op_clone(f->kernel, op, map, n_values));
    }
    for (kg_op *op = first; op != loop; op = op->next) {
        note_assigned(op, f->context->arena);
        for (int i = 0; i < op->n_blocks; i++)
            kg_walk(op->blocks[i], note_assigned, f->context->arena);
    }
    kg_op_remove(loop);
    return first;
}

// Loops without trips go, one trip is straight code, loops marked for it are unrolled. Returns the
// op to go on with, NULL when the loop stays.
static kg_op *fold_for(folder *f, kg_op *loop, kg_op *next, bool *gone)
{
    int64_t lo, step, trips = trip_count(loop, &lo, &step);
    *gone = false;
    if (trips < 0)
        return NULL;
    if (trips == 0) {
        kg_op_remove(loop);
        *gone = f->again = true;
        return next;
    }
    int64_t limit = kg_op_int(loop, KG_A_UNROLL, 1);
    if (trips > limit || kg_op_int(loop, KG_A_PIPELINE, 0))
        return NULL;
    int ops = 1;
    kg_walk(loop->blocks[0], count_op, &ops);
    if (trips > 1 && trips * ops > CLONE_LIMIT - f->cloned)
        return NULL;
    *gone = f->again = true;
    if (trips == 1) {
        kg_block *body = loop->blocks[0];
        body->arg->note = loop->operands[0];
        kg_op *first = splice(body, loop);
        kg_op_remove(loop);
        return first == loop ? next : first;
    }
    f->cloned += (int)trips * ops;
    return unroll(f, loop, trips, lo, step);
}

static kg_op *fold_if(folder *f, kg_op *op, kg_op *next, bool *gone)
{
    kg_constant c;
    *gone = kg_constant_of(op->operands[0], &c);
    if (!*gone)
        return NULL;
    f->again = true;
    kg_op *first = splice(op->blocks[c.i ? 0 : 1], op);
    kg_op_remove(op);
    return first == op ? next : first;
}

// `while` whose condition is false from the start runs the condition once.
static kg_op *fold_while(folder *f, kg_op *op, kg_op *next, bool *gone)
{
    kg_constant c;
    kg_op *last = op->blocks[0]->last;
    *gone =
        last && last->code == KG_OP_YIELD && kg_constant_of(resolve(last->operands[0]), &c) && !c.i;
    if (!*gone)
        return NULL;
    f->again = true;
    kg_op_remove(last);
    kg_op *first = splice(op->blocks[0], op);
    kg_op_remove(op);
    return first == op ? next : first;
}

// ---- the walk ----------------------------------------------------------------------------------
static bool can_replace(const kg_op *op)
{
    return kg_is_computed(op) || op->code == KG_OP_VIEW || op->code == KG_OP_TRANSPOSE ||
           op->code == KG_OP_LOAD;
}

static void fold_regions(folder *f, kg_op *op)
{
    for (int i = 0; i < op->n_blocks; i++) {
        kg_available_enter(f->available, op);
        fold_block(f, op->blocks[i]);
        kg_available_leave(f->available);
    }
}

// The author has a fence of registers between the fragment and a product that works on it. What
// the fragment begins with has to stay in front of that, and a literal would stand with its user.
static bool is_fenced(const kg_op *frag)
{
    bool fenced = false;
    for (const kg_op *op = frag->next; op; op = op->next) {
        fenced |= op->code == KG_OP_WGMMA_FENCE;
        for (int i = 0; fenced && op->code == KG_OP_WGMMA && i < op->n_operands; i++)
            if (op->operands[i] == frag->results[0]) return true;
    }
    return false;
}

static void fold_simple(folder *f, kg_op *op)
{
    if (op->code == KG_OP_FRAG) {
        const assignments *a = op->note;
        if (!is_fenced(op) && (!a || a->straight) && !kg_is_mutable(op->operands[0]) &&
            kg_type_equal(&op->operands[0]->type, &op->results[0]->type)) {
            f->again |= a != NULL;
            replace(op, op->operands[0]);
        }
        return;
    }
    if (op->code == KG_OP_ASSIGN &&
        !op->operands[0]->op->parent) { // the fragment is gone: see above
        lend_name(op->operands[1], op->operands[0]);
        op->operands[0]->note = op->operands[1];
        kg_op_remove(op);
        return;
    }
    if (op->code == KG_OP_ASSIGN && op->operands[0] == op->operands[1]) {
        kg_op_remove(op);
        return;
    }
    if (!can_replace(op)) {
        kg_available_passed(f->available, op);
        return;
    }
    kg_op *before = op->prev;
    kg_value *value = op->code == KG_OP_LOAD ? NULL : kg_fold_algebra(f->kernel, op);
    // Constants that the algebra made stand in front of the op: they are shared like any other.
    for (kg_op *made = before ? before->next : op->parent->first, *next; made != op; made = next) {
        next = made->next;
        resolve_operands(made, NULL);
        kg_value *old = kg_available_find(f->available, made);
        if (old)
            replace(made, old);
    }
    resolve_operands(op, NULL);
    if (!value)
        value = kg_available_find(f->available, op);
    if (value)
        replace(op, resolve(value));
}

static void fold_block(folder *f, kg_block *block)
{
    for (kg_op *op = block->first, *next; op; op = next) {
        next = op->next;
        resolve_operands(op, NULL);
        bool gone = false;
        kg_op *first = NULL;
        if (op->code == KG_OP_FOR)
            first = fold_for(f, op, next, &gone);
        else if (op->code == KG_OP_IF)
            first = fold_if(f, op, next, &gone);
        else if (op->code == KG_OP_WHILE)
            first = fold_while(f, op, next, &gone);
        if (gone)
            next = first;
        else if (op->n_blocks)
            fold_regions(f, op);
        else
            fold_simple(f, op);
    }
}

// A grid axis of one CTA has index 0.
static void fold_grid(kg_kernel *kernel)
{
    for (int i = 0; i < kernel->n_grid; i++) {
        kg_value *index = kernel->grid[i].value;
        const kg_sexpr *extent = kernel->grid[i].extent;
        index->note = NULL;
        if (extent->kind != KG_SX_INT || extent->value != 1)
            continue;
        kg_place place = {kernel, kernel->body, kernel->body->first, kernel->loc};
        index->note = kg_make_int(&place, index->type.dtype, 0);
    }
}

bool kg_pass_fold(kg_pass_context *context, kg_kernel *kernel)
{
    folder f = {.context = context, .kernel = kernel, .again = true};
    for (int i = 0; i < kernel->n_params; i++)
        kernel->params[i]->note = NULL;
    for (int round = 0; round < ROUNDS && f.again; round++) {
        f.again = false;
        kg_walk(kernel->body, clear_notes, NULL);
        fold_grid(kernel);
        kg_walk(kernel->body, note_assigned, context->arena);
        f.available = kg_available_new(context->arena, kernel);
        kg_available_enter(f.available, NULL);
        fold_block(&f, kernel->body);
        kg_available_leave(f.available);
        kg_remove_dead(context->arena, kernel);
    }
    kg_tidy(context->arena, kernel);
    return true;
}
