// SPDX-License-Identifier: MIT
// Values kept in registers: what was read from shared memory is not read a second time.
//
//   %a = load s                             %a = load s
//   ... = f(%a)                      =>     ... = f(%a)
//   %b = load s                             ... = g(%a)
//   ... = g(%b)
//
// Both reads stand in one block, see the same bytes in the same layout, and nothing between them
// writes the buffer or synchronizes. The first read's registers stay taken until the second's would
// have been read.
#include "passes/repair_internal.h"

#include "ir/access.h"

typedef struct finder {
    kg_arena *arena;
    kg_keepings *out;
} finder;

static bool in_loop_without_role(const kg_op *op)
{
    bool loop = false;
    for (const kg_block *b = op->parent; b->owner; b = b->owner->parent) {
        if (b->owner->code == KG_OP_WARPS) return false;
        loop |= kg_is_loop(b->owner);
    }
    return loop;
}

// Views whose places may change between two reads are not compared.
static bool still_view(const kg_value *view)
{
    for (; view->op->code == KG_OP_VIEW || view->op->code == KG_OP_TRANSPOSE;
         view = view->op->operands[0])
        for (int i = 1; i < view->op->n_operands; i++)
            if (kg_is_mutable(view->op->operands[i])) return false;
    return view->op->code == KG_OP_SHARED;
}

static bool plain_read(const kg_op *op)
{
    return op->code == KG_OP_LOAD && op->n_operands == 1 && op->results[0]->layout &&
           op->operands[0]->type.home == KG_HOME_SHARED && still_view(op->operands[0]);
}

static bool same_read(const kg_op *a, const kg_op *b)
{
    return a->results[0]->type.dtype == b->results[0]->type.dtype &&
           kg_layout_equal(a->results[0]->layout, b->results[0]->layout) &&
           kg_same_view(a->operands[0], b->operands[0]);
}

typedef struct passing {
    const kg_value *root;
    bool quiet;
} passing;

static bool leaves_alone(kg_op *op, void *user)
{
    passing *p = user;
    const kg_op_info *info = kg_op_info_of(op->code);
    if (info->cls == KG_CLASS_Y) p->quiet = false;
    for (int i = 0; i < info->n_effects; i++) {
        const kg_effect *e = &info->effects[i];
        if (e->mode != KG_MODE_R && e->operand >= 0 && e->operand < op->n_operands &&
            kg_root(op->operands[e->operand]) == p->root)
            p->quiet = false;
    }
    return p->quiet;
}

static bool find(kg_op *op, void *user)
{
    finder *f = user;
    if (!plain_read(op) || !in_loop_without_role(op)) return true;
    passing p = {kg_root(op->operands[0]), true};
    for (kg_op *before = op->prev; before && p.quiet; before = before->prev) {
        if (plain_read(before) && same_read(before, op)) {
            kg_keeping k = {before, op, kg_layout_registers(op->results[0]->layout), false};
            int words = kg_dtype_bytes(op->results[0]->type.dtype) > 4 ? 2 : 1;
            k.registers *= words;
            KG_PUSH(f->arena, f->out, k);
            break;
        }
        leaves_alone(before, &p);
        for (int i = 0; i < before->n_blocks && p.quiet; i++)
            kg_walk(before->blocks[i], leaves_alone, &p);
    }
    return true;
}

void kg_keep_find(kg_arena *arena, kg_kernel *kernel, kg_keepings *out)
{
    kg_walk(kernel->body, find, &(finder){arena, out});
}

// ---- the change ---------------------------------------------------------------------------------
typedef struct replacing {
    kg_edits *edits;
    kg_value *from, *to;
} replacing;

static bool replace(kg_op *op, void *user)
{
    replacing *r = user;
    bool kept = false;
    for (int i = 0; i < op->n_operands; i++) {
        if (op->operands[i] != r->from) continue;
        if (!kept) kg_edit_keep(r->edits, op);
        kept = true;
        kg_op_set_operand(op, i, r->to);
    }
    return true;
}

void kg_keep_apply(kg_edits *edits, const kg_keepings *all)
{
    for (int i = 0; i < all->count; i++) {
        const kg_keeping *k = &all->items[i];
        kg_value *first = k->first->results[0];
        if (!k->on) continue;
        for (int e = 0; e < i; e++) // the first read may itself have gone
            if (all->items[e].on && all->items[e].second == k->first)
                first = all->items[e].first->results[0];
        kg_walk(k->second->parent, replace, &(replacing){edits, k->second->results[0], first});
        kg_edit_keep(edits, k->second);
        kg_op_remove(k->second);
    }
}
