// SPDX-License-Identifier: MIT
// Between which nodes a shared buffer lives. See lifetime.h.
#include "passes/sync/lifetime.h"

int kg_sync_last_inside(const kg_sync_program *p, int node)
{
    int last = node;
    const kg_sync_node *n = kg_sync_node_at(p, node);
    for (int i = 0; i < 2; i++)
        if (n->child[i] >= 0) {
            const kg_sync_block *b = kg_sync_block_at(p, n->child[i]);
            if (b->count) last = kg_sync_last_inside(p, b->items[b->count - 1]);
        }
    return last;
}

// Regions of one block run side by side: all of them count.
static void span_roles(const kg_sync_program *p, int block, int *first, int *last)
{
    const kg_sync_block *b = kg_sync_block_at(p, block);
    for (int i = 0; i < b->count; i++) {
        int node = b->items[i];
        if (kg_sync_node_at(p, node)->op->code != KG_OP_WARPS) continue;
        *first = node < *first ? node : *first;
        int end = kg_sync_last_inside(p, node);
        *last = end > *last ? end : *last;
    }
}

// ---- from role to role
// ---------------------------------------------------------------------------
typedef struct handover {
    const kg_sync_program *p;
    const kg_value *buffer;
    int role, last; // node of the region, and the last access there
} handover;

static int region_of(const kg_sync_program *p, int node)
{
    return kg_sync_block_at(p, kg_sync_node_at(p, node)->block)->region;
}

// Who uses it besides copies.
static bool find_role(handover *h)
{
    h->role = h->last = -1;
    for (int i = 0; i < h->p->accesses.count; i++) {
        const kg_sync_access *a = &h->p->accesses.items[i];
        if (a->at.root != h->buffer || a->phase) continue;
        int region = region_of(h->p, a->node);
        if (region < 0 || (h->role >= 0 && region != h->role)) return false;
        h->role = region;
        h->last = a->node > h->last ? a->node : h->last;
    }
    return h->role >= 0;
}

// The role waits for the copy in any case, before its last access.
static bool awaits(const handover *h, const kg_op *copy)
{
    const kg_sync_block *b = kg_sync_block_at(h->p, kg_sync_node_at(h->p, h->role)->child[0]);
    const kg_value *mbarrier = copy->n_operands > 2 ? kg_root(copy->operands[2]) : NULL;
    if (!mbarrier || kg_op_int(mbarrier->op, KG_A_RING, 1) > 1) return false;
    for (int i = 0; i < b->count && b->items[i] < h->last; i++) {
        const kg_op *op = kg_sync_node_at(h->p, b->items[i])->op;
        if (op->code == KG_OP_MBARRIER_WAIT && kg_root(op->operands[0]) == mbarrier &&
            !kg_op_int(op, KG_A_BEHIND, 0))
            return true;
    }
    return false;
}

const kg_op *kg_sync_handed_to(const kg_sync_program *p, const kg_value *buffer)
{
    handover h = {.p = p, .buffer = buffer};
    int copies = 0;
    if (buffer->op->parent != p->kernel->body || !find_role(&h)) return NULL;
    for (int i = 0; i < p->accesses.count; i++) {
        const kg_sync_access *a = &p->accesses.items[i];
        if (a->at.root != buffer || !a->phase) continue;
        bool once = !kg_sync_block_at(p, kg_sync_node_at(p, a->node)->block)->loops;
        if (!once || !a->writes || !awaits(&h, a->at.op)) return NULL;
        copies++;
    }
    return copies ? kg_sync_node_at(p, h.role)->op : NULL;
}

// ---- lifetimes
// ----------------------------------------------------------------------------------- Extends the
// life of a buffer by one access; what is declared in `home` does not outlast it.
static void live_at(const kg_sync_program *p, const kg_block *home, int node, int *from, int *to)
{
    int first = node, last = node;
    for (int block = kg_sync_node_at(p, node)->block;; block = kg_sync_parent(p, block)) {
        const kg_sync_block *around = kg_sync_block_at(p, block);
        if (around->ir[0] == home || around->ir[1] == home || around->owner < 0) break;
        if (kg_sync_is_loop(around)) {
            first = around->owner;
            last = kg_sync_last_inside(p, around->owner);
        } else if (around->kind == KG_SB_WARPS) {
            span_roles(p, kg_sync_parent(p, block), &first, &last);
        }
    }
    *from = *from < 0 || first < *from ? first : *from;
    *to = last > *to ? last : *to;
}

void kg_sync_lifetime(const kg_sync_program *p, const kg_value *buffer, int *first, int *last)
{
    const kg_op *role = kg_sync_handed_to(p, buffer);
    int end = -1, ignored = -1;
    *first = *last = -1;
    for (int i = 0; i < p->accesses.count; i++) {
        const kg_sync_access *a = &p->accesses.items[i];
        if (a->at.root != buffer) continue;
        live_at(p, buffer->op->parent, a->node, first, last);
        if (role && !a->phase) live_at(p, role->blocks[0], a->node, &ignored, &end);
    }
    if (role) *last = end;
}
