// SPDX-License-Identifier: MIT
// Stores moved ahead of reads that do not concern them, so that one barrier serves both.
//
//   store p = %a                            store p = %a
//   barrier                                 store q = %b
//   %c = load p                    =>       barrier
//   store q = %b                            %c = load p
//   barrier                                 %d = load q
//   %d = load q
//
// A store moves with all that it is computed from and that stands behind its target. It stays where
// an op between them holds one of these: a write of what they read, an access of what they write,
// an assignment of a fragment that they use, any synchronization, an acquire or a release.
#include "passes/repair_internal.h"

#include "ir/access.h"

// ---- candidates ---------------------------------------------------------------------------------
static const kg_value *shared_root(const kg_value *operand)
{
    const kg_value *root = operand->type.home == KG_HOME_FRAG ? NULL : kg_root((kg_value *)operand);
    return root && root->type.home == KG_HOME_SHARED ? root : NULL;
}

static bool is_store(const kg_op *op)
{
    return (op->code == KG_OP_STORE || op->code == KG_OP_COPY) && shared_root(op->operands[0]);
}

static bool reads_other(const kg_op *op, const kg_value *than)
{
    const kg_op_info *info = kg_op_info_of(op->code);
    for (int i = 0; i < info->n_effects; i++) {
        int k = info->effects[i].operand;
        if (info->effects[i].mode != KG_MODE_R || k < 0 || k >= op->n_operands) continue;
        const kg_value *root = shared_root(op->operands[k]);
        if (root && root != than) return true;
    }
    return false;
}

typedef struct finder {
    kg_arena *arena;
    kg_gatherings *out;
} finder;

static bool find(kg_op *op, void *user)
{
    finder *f = user;
    if (!is_store(op) || kg_loops_around(op) == 0) return true;
    const kg_value *root = shared_root(op->operands[0]);
    for (kg_op *target = op->parent->first; target != op; target = target->next)
        if (reads_other(target, root)) KG_PUSH(f->arena, f->out, ((kg_gathering){op, target}));
    return true;
}

void kg_gather_find(kg_arena *arena, kg_kernel *kernel, kg_gatherings *out)
{
    kg_walk(kernel->body, find, &(finder){arena, out});
}

// ---- what moves ---------------------------------------------------------------------------------
typedef struct slice {
    kg_arena *arena;
    kg_op **items; // from the store backwards
    int count, capacity;
} slice;

// Ops that compute what the slice uses carry the slice as their note while it is looked at.
static void note_needs(const kg_op *item, slice *s)
{
    for (int k = 0; k < item->n_operands; k++)
        if (item->operands[k]->kind == KG_VALUE_RESULT) item->operands[k]->op->note = s;
}

static void take(slice *s, kg_op *op)
{
    KG_PUSH(s->arena, s, op);
    note_needs(op, s);
}

static void forget_needs(const slice *s)
{
    for (int i = 0; i < s->count; i++) note_needs(s->items[i], NULL);
}

static bool movable(const kg_op *op)
{
    return kg_is_computed(op) || op->code == KG_OP_LOAD || op->code == KG_OP_VIEW ||
           op->code == KG_OP_TRANSPOSE || op->code == KG_OP_SHARED || op->code == KG_OP_DOT;
}

static bool moves(const slice *s, const kg_op *op)
{
    return op == s->items[0] || op->note == s;
}

static bool collect(slice *s, kg_gathering g)
{
    take(s, g.store);
    for (kg_op *op = g.store->prev; op != g.target; op = op->prev) {
        if (!op) return false; // it stands in front already
        if (op->note != s) continue;
        if (!movable(op)) return false;
        take(s, op);
    }
    return g.target->note != s;
}

// ---- what holds it ------------------------------------------------------------------------------
typedef struct crossing {
    const kg_op *mover;
    bool free;
} crossing;

static bool meets(const kg_op *a, const kg_effect *ea, const kg_op *b, const kg_effect *eb)
{
    if (ea->mode == KG_MODE_R && eb->mode == KG_MODE_R) return false;
    if (ea->operand == KG_OPERAND_ALL || eb->operand == KG_OPERAND_ALL) return true;
    if (ea->operand >= a->n_operands || eb->operand >= b->n_operands) return false;
    const kg_value *x = kg_root(a->operands[ea->operand]), *y = kg_root(b->operands[eb->operand]);
    return x && y && kg_roots_alias(x, y); // a fragment is no memory
}

static bool may_cross(kg_op *passed, void *user)
{
    crossing *c = user;
    const kg_op_info *x = kg_op_info_of(c->mover->code), *y = kg_op_info_of(passed->code);
    if (y->cls == KG_CLASS_Y) c->free = false;
    for (int i = 0; i < x->n_effects; i++)
        for (int k = 0; k < y->n_effects; k++)
            if (meets(c->mover, &x->effects[i], passed, &y->effects[k])) c->free = false;
    for (int i = 0; passed->code == KG_OP_ASSIGN && i < c->mover->n_operands; i++)
        if (c->mover->operands[i] == passed->operands[0]) c->free = false;
    return c->free;
}

static bool crosses(kg_op *mover, kg_op *passed)
{
    crossing c = {mover, true};
    may_cross(passed, &c);
    for (int i = 0; i < passed->n_blocks && c.free; i++) kg_walk(passed->blocks[i], may_cross, &c);
    return c.free;
}

static bool free_to_move(const slice *s, kg_gathering g)
{
    for (int i = 0; i < s->count; i++)
        for (kg_op *op = s->items[i]->prev;; op = op->prev) {
            if (!moves(s, op) && !crosses(s->items[i], op)) return false;
            if (op == g.target) break;
        }
    return true;
}

int kg_gather_apply(kg_edits *edits, kg_gathering g)
{
    slice s = {.arena = edits->arena};
    bool free = collect(&s, g) && free_to_move(&s, g);
    forget_needs(&s);
    if (!free) return 0;
    for (int i = s.count - 1; i >= 0; i--) {
        kg_edit_keep(edits, s.items[i]);
        kg_op_remove(s.items[i]);
        kg_block_insert_before(g.target, s.items[i]);
    }
    return s.count;
}
