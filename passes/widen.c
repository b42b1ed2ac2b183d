// SPDX-License-Identifier: MIT
// Rings of 2: what one trip of a loop reads is not what the next one writes.
//
// A buffer qualifies when each trip of a loop fills it by a plain write before anything reads it,
// and hands nothing on: it is declared in the loop, or used there only and overwritten whole. It
// becomes a ring of two slots in front of the loop; slot j is that of trip j: the loop's index
// where that counts trips, else a counter.
//
//   for t in 0 .. n {                       shared s: f32[128] ring 2
//     shared s: f32[128]                    for t in 0 .. n {
//     store s = ...                  =>       store s[t; ..] = ...
//     x = load s                              x = load s[t; ..]
//   }                                       }
#include "passes/repair_internal.h"

#include "ir/access.h"

// ---- candidates ---------------------------------------------------------------------------------
// The innermost loop in whose body the op stands; NULL also when a role lies between.
static kg_op *loop_of(const kg_op *op)
{
    for (const kg_block *b = op->parent; b->owner; b = b->owner->parent) {
        if (b->owner->code == KG_OP_WARPS) return NULL;
        if (kg_is_loop(b->owner))
            return b == b->owner->blocks[b->owner->n_blocks - 1] ? b->owner : NULL;
    }
    return NULL;
}

static const kg_op *role_of(const kg_op *op)
{
    for (const kg_block *b = op->parent; b->owner; b = b->owner->parent)
        if (b->owner->code == KG_OP_WARPS) return b->owner;
    return NULL;
}

typedef struct inspector {
    kg_value *buffer;
    kg_op *loop; // NULL until the first access of a buffer that is declared outside of loops
    int accesses;
    bool fit;
} inspector;

// The first access: it fills the buffer on every trip. What is declared in the loop starts each
// trip empty, anything else has to be overwritten whole.
static bool fills(inspector *in, const kg_op *op, const kg_access *access)
{
    if (access->effect->mode != KG_MODE_W || (op->code == KG_OP_STORE && op->n_operands > 2))
        return false;
    if (in->loop) return op->parent == in->buffer->op->parent;
    in->loop = loop_of(op);
    return in->loop && op->parent->owner == in->loop && op->operands[0] == in->buffer &&
           access->effect->agent != KG_AGENT_ELECTED;
}

static bool uses(const kg_op *op, const kg_value *value)
{
    for (int i = 0; i < op->n_operands; i++)
        if (op->operands[i] == value) return true;
    return false;
}

static bool inspect(kg_op *op, void *user)
{
    inspector *in = user;
    kg_access found[KG_MAX_EFFECTS];
    int n = kg_op_info_of(op->code)->n_effects ? kg_op_accesses(op, found) : 0;
    for (int i = 0; i < n; i++) {
        if (found[i].root != in->buffer) continue;
        in->fit &= in->accesses > 0 || fills(in, op, &found[i]);
        in->fit &= found[i].effect->completes == KG_COMPLETES_ISSUE;
        in->fit &= role_of(op) == role_of(in->buffer->op);
        in->accesses++;
    }
    if (uses(op, in->buffer)) in->fit &= in->loop && kg_op_within(op, in->loop);
    return in->fit;
}

typedef struct finder {
    kg_arena *arena;
    kg_widenings *out;
} finder;

static bool find(kg_op *op, void *user)
{
    finder *f = user;
    if (op->code != KG_OP_SHARED || kg_op_attr(op, KG_A_RING)) return true;
    inspector in = {.buffer = op->results[0], .loop = loop_of(op), .fit = true};
    kg_walk(op->parent, inspect, &in);
    if (!in.fit || in.accesses < 2) return true;
    kg_widening w = {.buffer = in.buffer, .loop = in.loop, .accesses = in.accesses};
    w.bytes = kg_shared_slot_bytes(w.buffer);
    KG_PUSH(f->arena, f->out, w);
    return true;
}

void kg_widen_find(kg_arena *arena, kg_kernel *kernel, kg_widenings *out)
{
    kg_walk(kernel->body, find, &(finder){arena, out});
}

// ---- the slot -----------------------------------------------------------------------------------
static bool counts_trips(const kg_op *loop)
{
    int64_t lo, step;
    return loop->code == KG_OP_FOR && loop->blocks[0]->arg->type.dtype == KG_I32 &&
           kg_const_int(loop->operands[0], &lo) && lo == 0 &&
           kg_const_int(loop->operands[2], &step) && step == 1;
}

static kg_value *make_int(kg_edits *edits, const kg_place *place, int64_t value)
{
    kg_value *made = kg_make_int(place, KG_I32, value);
    kg_edit_made(edits, made->op);
    return made;
}

static kg_value *make_counter(kg_edits *edits, kg_op *loop)
{
    kg_kernel *kernel = edits->kernel;
    kg_place before = kg_place_before(kernel, loop);
    kg_value *zero = make_int(edits, &before, 0);
    kg_op *frag = kg_make(&before, KG_OP_FRAG, 1, &zero);
    kg_edit_made(edits, frag);
    kg_value *counter = kg_op_result(kernel, frag, zero->type, "slot");
    kg_place end = kg_place_end(kernel, loop->blocks[loop->n_blocks - 1], loop->loc);
    kg_value *one = make_int(edits, &end, 1);
    kg_op *add = kg_make(&end, KG_OP_ADD, 2, (kg_value *[]){counter, one});
    kg_edit_made(edits, add);
    kg_value *sum = kg_op_result(kernel, add, zero->type, NULL);
    kg_edit_made(edits, kg_make(&end, KG_OP_ASSIGN, 2, (kg_value *[]){counter, sum}));
    return counter;
}

// ---- the change ---------------------------------------------------------------------------------
typedef struct user_list {
    kg_arena *arena;
    const kg_value *buffer;
    kg_op **items;
    int count, capacity;
} user_list;

static bool list_user(kg_op *op, void *user)
{
    user_list *l = user;
    for (int i = 0; i < op->n_operands; i++)
        if (op->operands[i] == l->buffer) {
            KG_PUSH(l->arena, l, op);
            break;
        }
    return true;
}

static void add_slot(kg_edits *edits, kg_op *view, kg_value *slot)
{
    kg_value **operands =
        KG_NEW_ARRAY(edits->kernel->unit->arena, kg_value *, view->n_operands + 1);
    operands[0] = view->operands[0];
    operands[1] = slot;
    for (int i = 1; i < view->n_operands; i++) operands[i + 1] = view->operands[i];
    view->operands = operands;
    view->n_operands++;
    kg_op_set_int(edits->kernel, view, KG_A_SLOT, 1);
}

static void use_slot(kg_edits *edits, kg_op *op, kg_value *buffer, kg_value *slot)
{
    kg_edit_keep(edits, op);
    if (op->code == KG_OP_VIEW) {
        add_slot(edits, op, slot);
        return;
    }
    kg_place place = kg_place_before(edits->kernel, op);
    kg_value *view = kg_make_slot_view(&place, buffer, slot);
    kg_edit_made(edits, view->op);
    for (int i = 0; i < op->n_operands; i++)
        if (op->operands[i] == buffer) kg_op_set_operand(op, i, view);
}

static void make_ring(kg_edits *edits, const kg_widening *w, kg_value *slot)
{
    kg_op *shared = w->buffer->op;
    user_list users = {.arena = edits->arena, .buffer = w->buffer};
    kg_walk(shared->parent, list_user, &users);
    kg_edit_keep(edits, shared);
    kg_op_remove(shared);
    kg_block_insert_before(w->loop, shared);
    kg_op_set_int(edits->kernel, shared, KG_A_RING, 2);
    for (int i = 0; i < users.count; i++) use_slot(edits, users.items[i], w->buffer, slot);
}

void kg_widen_apply(kg_edits *edits, const kg_widenings *all)
{
    kg_value **slots = KG_NEW_ARRAY(edits->arena, kg_value *, all->count + 1);
    for (int i = 0; i < all->count; i++) {
        const kg_widening *w = &all->items[i];
        if (!w->on) continue;
        for (int k = 0; k < i && !slots[i]; k++)
            if (all->items[k].loop == w->loop) slots[i] = slots[k];
        if (!slots[i])
            slots[i] =
                counts_trips(w->loop) ? w->loop->blocks[0]->arg : make_counter(edits, w->loop);
        make_ring(edits, w, slots[i]);
    }
}
