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

// Extends the life of a buffer by one access.
static void live_at(const kg_sync_program *p, const kg_value *buffer, int node, int *from, int *to)
{
    int first = node, last = node;
    const kg_block *home = buffer->op->parent;
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
    *first = *last = -1;
    for (int i = 0; i < p->accesses.count; i++)
        if (p->accesses.items[i].at.root == buffer)
            live_at(p, buffer, p->accesses.items[i].node, first, last);
}
