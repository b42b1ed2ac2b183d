// SPDX-License-Identifier: MIT
// Where fences stand. See fences.h.
#include "passes/sync/fences.h"
#include "passes/sync/hand.h"
#include "passes/sync/phases.h"

#include <string.h>

kg_opcode kg_fence_code(kg_fence fence)
{
    return fence == KG_FENCE_REGISTERS ? KG_OP_WGMMA_FENCE : KG_OP_PROXY_FENCE;
}

bool kg_fence_code_is(kg_opcode code)
{
    return code == KG_OP_WGMMA_FENCE || code == KG_OP_PROXY_FENCE;
}

const char *kg_fence_scope(kg_fence fence)
{
    return fence == KG_FENCE_SHARED ? "shared" : fence == KG_FENCE_GLOBAL ? "global" : NULL;
}

// ---- derived ------------------------------------------------------------------------------------
static bool ours(const kg_obligation *o)
{
    return !o->found_by_hand && !o->by_author;
}

bool kg_fence_serves(const kg_sync_program *p, const kg_obligation *o, int point)
{
    const kg_sync_node *b = kg_sync_node_at(p, p->accesses.items[o->b].node);
    const kg_sync_block *block = kg_sync_block_at(p, b->block);
    int from = point - block->first_point;
    if (o->fence != KG_FENCE_REGISTERS) return true;
    if (p->points[point].block != b->block || from > b->position) return false;
    for (int i = from; i < b->position; i++)
        if (kg_sync_is_phase_wait(kg_sync_node_at(p, block->items[i])->op)) return false;
    return true;
}

// In front of the wait a fence is too early for what a copy brings: the points that have a wait, if
// some do. An author's wait may stand elsewhere.
static void keep_waits(const kg_sync_program *p, const kg_sync_plan *plan, kg_group group,
                       kg_points *at)
{
    bool any = false;
    const uint64_t *waits = plan->waits[group].at.words;
    for (int w = 0; w < kg_points_words(p); w++) any |= (at->words[w] & waits[w]) != 0;
    for (int w = 0; any && w < kg_points_words(p); w++) at->words[w] &= waits[w];
}

// The points of its cuts where the threads of the obligation meet, or all of them when they need
// not.
static kg_points places(const kg_sync_program *p, const kg_sync_plan *plan, int index,
                        const kg_obligation *o)
{
    kg_points at = kg_points_new(p);
    for (int w = 0; w < kg_points_words(p); w++) {
        uint64_t meet = plan->barrier.words[w] | plan->hand.words[w];
        if (o->meet == KG_MEET_WARP) meet |= plan->warp_sync.words[w] | plan->hand_warp.words[w];
        if (o->meet == KG_MEET_NONE) meet = ~UINT64_C(0);
        at.words[w] = plan->cuts[index].words[w] & meet;
    }
    for (int i = 0; i < p->n_points; i++)
        if (kg_points_has(at, i) && !kg_fence_serves(p, o, i))
            at.words[i >> 6] &= ~(UINT64_C(1) << (i & 63));
    if (o->wait) keep_waits(p, plan, p->accesses.items[o->a].group, &at);
    return at;
}

void kg_fences_add(const kg_sync_program *p, const kg_obligations *o, const int64_t *cost,
                   kg_sync_plan *plan)
{
    kg_points *sets = KG_NEW_ARRAY(p->arena, kg_points, o->count + 1);
    for (int f = KG_FENCE_SHARED; f < KG_FENCES; f++) {
        int n = 0;
        for (int i = 0; i < o->count; i++)
            if ((int)o->items[i].fence == f && ours(&o->items[i]))
                sets[n++] = places(p, plan, i, &o->items[i]);
        if (n) kg_cover_choose(p, sets, n, cost, plan->fence[f]);
    }
}

// ---- by hand ------------------------------------------------------------------------------------
static bool is_fence(const kg_op *op, kg_fence fence)
{
    if (op->code != kg_fence_code(fence)) return false;
    const kg_attr *scope = kg_op_attr(op, KG_A_SCOPE);
    const char *wanted = kg_fence_scope(fence);
    return !wanted || (scope && !strcmp(scope->name, wanted));
}

// What a copy brings is there behind a wait for it: a fence counts where one stands in front of it.
static bool behind_wait(const kg_sync_program *p, const kg_sync_node *n, kg_group group)
{
    const kg_sync_block *b = kg_sync_block_at(p, n->block);
    for (int i = n->position - 1; i >= 0; i--) {
        const kg_op *op = kg_sync_node_at(p, b->items[i])->op;
        if (kg_sync_waits_for(op) == group) return true;
        if (kg_op_info_of(op->code)->cls != KG_CLASS_Y) return false;
    }
    return false;
}

bool kg_fences_by_hand(const kg_sync_program *p, const kg_sync_plan *plan, const kg_obligation *o,
                       bool met)
{
    bool needs_more = o->wait || o->meet != KG_MEET_NONE;
    kg_points by = kg_points_new(p);
    if (needs_more && !met) return false;
    for (int i = 0; i < p->nodes.count; i++) {
        const kg_sync_node *n = kg_sync_node_at(p, i);
        if (!is_fence(n->op, o->fence) || kg_sync_hand_count(plan, i, n->op) == KG_HAND_OFF)
            continue;
        if (o->wait && !behind_wait(p, n, p->accesses.items[o->a].group)) continue;
        kg_points_add(by, kg_sync_block_at(p, n->block)->first_point + n->position);
    }
    return !kg_sync_path_open(p, o, by);
}
