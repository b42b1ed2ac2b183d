// SPDX-License-Identifier: MIT
// What the author's synchronization orders. See hand.h.
#include "passes/sync/hand.h"
#include "passes/sync/fences.h"
#include "passes/sync/groups.h"
#include "passes/sync/waits.h"

#include <string.h>

// ---- places -------------------------------------------------------------------------------------
bool kg_sync_is_full_barrier(const kg_sync_program *p, int node)
{
    const kg_sync_node *n = kg_sync_node_at(p, node);
    int region = kg_sync_block_at(p, n->block)->region;
    if (n->op->code == KG_OP_CLUSTER_BARRIER) return true;
    if (n->op->code != KG_OP_BARRIER) return false;
    if (region < 0) return kg_sync_is_cta_barrier(p, node);
    return kg_op_int(n->op, KG_A_COUNT, -1) == 32 * (int64_t)kg_op_region(n->op).n_warps;
}

int *kg_sync_hand_state(const kg_sync_program *p)
{
    int *state = KG_NEW_ARRAY(p->arena, int, p->nodes.count + 1);
    for (int i = 0; i < p->nodes.count; i++)
        state[i] = (int)kg_op_int(kg_sync_node_at(p, i)->op, KG_A_COUNT, 0);
    return state;
}

static bool off(const kg_sync_plan *plan, int node)
{
    return plan->hand_state && plan->hand_state[node] == KG_HAND_OFF;
}

void kg_sync_hand_find(const kg_sync_program *p, kg_sync_plan *plan)
{
    for (int i = 0; plan->hand_groups && i < p->n_points; i++) plan->hand_groups[i] = NULL;
    for (int i = 0; i < p->nodes.count; i++) {
        const kg_sync_node *n = kg_sync_node_at(p, i);
        int point = kg_sync_block_at(p, n->block)->first_point + n->position;
        if (off(plan, i)) continue;
        if (kg_sync_is_full_barrier(p, i)) kg_points_add(plan->hand, point);
        if (n->op->code == KG_OP_WARP_SYNC) kg_points_add(plan->hand_warp, point);
        if (!kg_sync_group_ids(n->op)) continue;
        if (!plan->hand_groups)
            plan->hand_groups = KG_NEW_ARRAY(p->arena, const kg_op *, p->n_points + 1);
        plan->hand_groups[point] = n->op;
    }
}

// ---- what it orders -----------------------------------------------------------------------------
static bool any_wait(const kg_sync_program *p, const kg_sync_plan *plan, kg_group group)
{
    for (int i = 0; i < p->nodes.count; i++)
        if (kg_sync_waits_for(kg_sync_node_at(p, i)->op) == group && !off(plan, i)) return true;
    return false;
}

static bool drains(const kg_sync_program *p, const kg_sync_plan *plan, int node, kg_group group)
{
    const kg_op *op = kg_sync_node_at(p, node)->op;
    return kg_sync_waits_for(op) == group && kg_sync_hand_count(plan, node, op) == 0;
}

// Whatever the number of groups: some wait for all of them lies on every path, and behind it a
// rendezvous on every path that goes on from there. `anywhere`: the rendezvous may stand in front
// of the wait; enough for a pair that no replay saw meet.
static bool drained(const kg_sync_program *p, const kg_sync_plan *plan, const kg_obligation *x,
                    kg_points meets, bool anywhere)
{
    kg_points cuts = kg_points_new(p);
    int a = p->accesses.items[x->a].node, b = p->accesses.items[x->b].node;
    kg_sync_cuts(p, x, cuts, (kg_points){0});
    for (int i = 0; i < p->nodes.count; i++) {
        const kg_sync_node *n = kg_sync_node_at(p, i);
        int point = kg_sync_block_at(p, n->block)->first_point + n->position;
        if (!drains(p, plan, i, p->accesses.items[x->a].group) || !kg_points_has(cuts, point))
            continue;
        if (x->meet == KG_MEET_NONE) return true;
        if (anywhere && !kg_sync_path_open(p, x, meets)) return true;
        // In front of b in the later trip, or behind a in the earlier one.
        int carrier = x->carrier >= 0 && i < b && i < a ? -1 : x->carrier;
        if (!kg_sync_path_open_from(p, x, i, carrier, meets)) return true;
    }
    return false;
}

// Where the author's barriers, those of groups of warps too, make the threads of an obligation
// meet.
static kg_points meeting_points(const kg_sync_program *p, const kg_sync_plan *plan,
                                const kg_obligation *x)
{
    kg_points all = kg_points_new(p);
    kg_ties ties = kg_ties_none(p->kernel->warps);
    bool in_warp = x->meet == KG_MEET_WARP;
    for (int i = 0; i < kg_points_words(p); i++)
        all.words[i] = plan->hand.words[i] | (in_warp ? plan->hand_warp.words[i] : 0);
    if (!plan->hand_groups || (!in_warp && !kg_ties_add(p, &ties, x))) return all;
    for (int i = 0; i < p->n_points; i++) {
        if (!plan->hand_groups[i]) continue;
        kg_ties there = kg_ties_of_barrier(plan->hand_groups[i], p->kernel->warps);
        if (in_warp || kg_ties_cover(&there, &ties)) kg_points_add(all, i);
    }
    return all;
}

static void waits_meet(const kg_sync_program *p, const kg_obligations *o, const kg_sync_plan *plan,
                       kg_group group, bool *met)
{
    kg_replay replay = {0};
    bool waits = any_wait(p, plan, group);
    if (waits) kg_waits_replay(kg_waits_record(p, o, plan, group, (kg_points){0}), &replay);
    for (int i = 0; i < o->count; i++) {
        const kg_obligation *x = &o->items[i];
        if (!kg_waits_concern(p, x, group)) continue;
        if (replay.bounded && !replay.unseen[i])
            met[i] = !replay.open[i];
        else // no replay came to it: all must have landed
            met[i] = waits && drained(p, plan, x, meeting_points(p, plan, x), replay.bounded);
    }
}

// The author lets any threads meet.
static bool any_meeting(const kg_sync_program *p, const kg_sync_plan *plan)
{
    uint64_t any = 0;
    for (int i = 0; i < kg_points_words(p); i++)
        any |= plan->hand.words[i] | plan->hand_warp.words[i];
    return any || plan->hand_groups;
}

void kg_sync_hand_meets(const kg_sync_program *p, const kg_obligations *o, const kg_sync_plan *plan,
                        bool *met)
{
    bool meetings = any_meeting(p, plan);
    for (int g = 0; g < KG_GROUPS; g++) waits_meet(p, o, plan, (kg_group)g, met);
    for (int i = 0; i < o->count; i++) {
        const kg_obligation *x = &o->items[i];
        if (!x->wait && x->meet != KG_MEET_NONE)
            met[i] = meetings && !kg_sync_path_open(p, x, meeting_points(p, plan, x));
        if (x->fence != KG_FENCE_NONE) met[i] = kg_fences_by_hand(p, plan, x, met[i]);
    }
}

// ---- whose buffers ------------------------------------------------------------------------------
typedef struct collector {
    kg_arena *arena;
    kg_author *out;
} collector;

static bool in_pipelined_loop(const kg_op *op)
{
    for (const kg_block *b = op->parent; b && b->owner; b = b->owner->parent)
        if (kg_op_attr(b->owner, KG_A_PIPELINE)) return true;
    return false;
}

static bool collect(kg_op *op, void *user)
{
    collector *c = user;
    if (op->code != KG_OP_SHARED || in_pipelined_loop(op)) return true;
    struct kg_author_place place = {op->loc.line, op->loc.column};
    KG_PUSH(c->arena, c->out, place);
    return true;
}

void kg_author_collect(kg_arena *arena, kg_kernel *kernel, kg_author *out)
{
    collector c = {arena, out};
    kg_walk(kernel->body, collect, &c);
}

static bool owns(const kg_author *author, const kg_sync_access *a)
{
    if (a->global) return true;
    for (int i = 0; i < author->count; i++)
        if (author->items[i].line == a->at.root->op->loc.line &&
            author->items[i].column == a->at.root->op->loc.column)
            return true;
    return false;
}

bool kg_author_owns(const kg_author *author, const kg_sync_program *p, const kg_obligation *o)
{
    return owns(author, &p->accesses.items[o->a]) && owns(author, &p->accesses.items[o->b]);
}
