// SPDX-License-Identifier: MIT
// Flags between CTAs: that what is awaited is written with release, and that an await does not see
// the signal of the one before it. Only what is certain is reported.
#include "passes/sync/checks.h"
#include "passes/sync/phrase.h"

static bool is_await(const kg_sync_access *a)
{
    return a->at.op->code == KG_OP_AWAIT && a->at.root;
}

static bool writes_zero(const kg_op *op)
{
    int64_t value;
    return op->n_operands > 1 && kg_const_int(op->operands[1], &value) && value == 0;
}

// Elements with constant places that differ; any other two may be one, seen from two CTAs.
static bool apart(const kg_sync_access *a, const kg_sync_access *b)
{
    kg_view_info va, vb;
    int64_t x, y;
    if (a->at.root != b->at.root) return false;
    kg_view_resolve(a->at.operand, &va);
    kg_view_resolve(b->at.operand, &vb);
    for (int d = 0; d < a->at.root->type.rank; d++)
        if (va.fixed[d] && vb.fixed[d] && kg_const_int(va.fixed[d], &x) &&
            kg_const_int(vb.fixed[d], &y) && x != y)
            return true;
    return false;
}

// ---- release ------------------------------------------------------------------------------------
static void check_release(const kg_sync_program *p, const kg_sync_access *w, kg_diags *diags)
{
    const kg_op *op = w->at.op;
    bool plain = op->code == KG_OP_STORE || op->code == KG_OP_ATOMIC_ADD ||
                 op->code == KG_OP_ATOMIC_MAX || op->code == KG_OP_ATOMIC_MIN;
    if (!plain || !w->writes || !w->global || writes_zero(op)) return;
    for (int i = 0; i < p->accesses.count; i++) {
        const kg_sync_access *a = &p->accesses.items[i];
        if (!is_await(a) || !kg_sync_may_alias(a->at.root, w->at.root) || apart(a, w)) continue;
        kg_diag *d = kg_error(diags, KG_D_S509, op->loc,
                              "%s is awaited, but this %s of it publishes nothing of what was "
                              "written before",
                              kg_say_root(p, w), kg_op_info_of(op->code)->name);
        kg_diag_note(diags, d, a->at.op->loc, "awaited here");
        kg_diag_help(diags, d, "set the flag with `signal`, or count with `fetch_add`");
        return;
    }
}

// ---- awaited twice ------------------------------------------------------------------------------
static bool no_difference(const kg_sync_program *p, kg_value *x, const kg_op *a, kg_value *y,
                          const kg_op *b, const kg_op *carrier)
{
    kg_affine fx = kg_affine_of(&p->assigns, x, a, 0), fy = kg_affine_of(&p->assigns, y, b, 0);
    kg_difference d = kg_affine_difference(&p->assigns, &fx, a, &fy, b, carrier, 0);
    return d.exact && d.base + (carrier ? d.slope : 0) == 0;
}

static bool same_element(const kg_sync_program *p, const kg_sync_access *a, const kg_sync_access *b,
                         const kg_op *carrier)
{
    kg_view_info va, vb;
    if (a->at.root != b->at.root) return false;
    kg_view_resolve(a->at.operand, &va);
    kg_view_resolve(b->at.operand, &vb);
    for (int d = 0; d < a->at.root->type.rank; d++)
        if (!no_difference(p, va.fixed[d], a->at.op, vb.fixed[d], b->at.op, carrier)) return false;
    return true;
}

// Something in the kernel sets the flag back, or to what no one awaits yet.
static bool may_be_reset(const kg_sync_program *p, const kg_value *root)
{
    for (int i = 0; i < p->accesses.count; i++) {
        const kg_sync_access *w = &p->accesses.items[i];
        if (!w->at.root || !w->global || !w->writes || is_await(w) ||
            !kg_sync_may_alias(w->at.root, root))
            continue;
        if (w->at.op->code != KG_OP_SIGNAL || writes_zero(w->at.op)) return true;
    }
    return false;
}

static void check_twice(const kg_sync_program *p, const kg_sync_access *a, const kg_sync_access *b,
                        const kg_op *carrier, kg_diags *diags)
{
    const kg_op *first = a->at.op, *second = b->at.op;
    if (!same_element(p, a, b, carrier) || may_be_reset(p, a->at.root) ||
        !no_difference(p, first->operands[1], first, second->operands[1], second, carrier))
        return;
    kg_diag *d = kg_error(diags, KG_D_S510, second->loc,
                          "this await sees the flag that the one at line %d%s has seen: %s still "
                          "has the value, and nothing resets it",
                          first->loc.line, carrier ? " saw a trip earlier" : "", kg_say_root(p, a));
    kg_diag_note(diags, d, first->loc, "awaited here first");
    kg_diag_help(diags, d,
                 "signal and await a number that grows with each use, or another element");
}

void kg_sync_check_flags(const kg_sync_program *p, kg_diags *diags)
{
    for (int i = 0; i < p->accesses.count; i++) {
        const kg_sync_access *a = &p->accesses.items[i];
        if (a->at.root) check_release(p, a, diags);
        if (!is_await(a)) continue;
        for (int block = kg_sync_node_at(p, a->node)->block; block >= 0;
             block = kg_sync_parent(p, block)) {
            const kg_sync_block *b = kg_sync_block_at(p, block);
            if (!kg_sync_is_loop(b)) continue;
            check_twice(p, a, a, kg_sync_node_at(p, b->owner)->op, diags);
            break; // the innermost one; further out its own index need not be the same
        }
        for (int k = i + 1; k < p->accesses.count; k++) {
            const kg_sync_access *other = &p->accesses.items[k];
            int common = kg_sync_common(p, a->node, other->node);
            bool both = kg_sync_node_at(p, a->node)->block == common &&
                        kg_sync_node_at(p, other->node)->block == common;
            if (is_await(other) && both) check_twice(p, a, other, NULL, diags);
        }
    }
}
