// SPDX-License-Identifier: MIT
// Which of the author's syncs nobody needs.
//
// Taken one by one: a sync may go when everything that all of them meet is still met without it,
// with those that went before it gone, and roles still get on. Dear ones are tried first, among
// equals those that meet least; so what stays is a set of which none can go. Waits that stay are
// then loosened as far as nothing opens.
#include "passes/sync/checks.h"
#include "passes/sync/hand.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_GROUPS = 64 };

typedef struct pruner {
    const kg_sync_program *p;
    const kg_obligations *o;
    kg_hand_syncs *syncs;
    bool *before, *now; // by obligation
    kg_sync_plan plan;
} pruner;

// ---- the author's statements --------------------------------------------------------------------
static bool may_go(const kg_sync_program *p, int node)
{
    const kg_op *op = kg_sync_node_at(p, node)->op;
    if (!kg_op_int(op, KG_A_BY_HAND, 0)) return false;
    return op->code == KG_OP_WARP_SYNC || op->code == KG_OP_WAIT ||
           kg_sync_is_full_barrier(p, node) || kg_sync_group_ids(op);
}

static kg_hand_sync *sync_at(kg_hand_syncs *syncs, const kg_op *op)
{
    for (int i = 0; i < syncs->count; i++) {
        const kg_loc *loc = &syncs->items[i].op->loc;
        if (loc->line && loc->line == op->loc.line && loc->column == op->loc.column)
            return &syncs->items[i];
    }
    return NULL;
}

// Runs of a barrier cost more than those of a wait, and these more than those of a warp sync.
static int64_t cost_of(const kg_sync_program *p, int node)
{
    const kg_sync_node *n = kg_sync_node_at(p, node);
    int loops = kg_sync_block_at(p, n->block)->loops;
    int64_t often = INT64_C(64) << (4 * (loops < 8 ? loops : 8));
    switch (n->op->code) {
    case KG_OP_BARRIER:
        return often * 8;
    case KG_OP_WAIT:
        return often * 4;
    default:
        return often * 2;
    }
}

static void find_syncs(pruner *r)
{
    const kg_sync_program *p = r->p;
    for (int i = 0; i < p->nodes.count; i++) {
        if (!may_go(p, i)) continue;
        const kg_op *op = kg_sync_node_at(p, i)->op;
        kg_hand_sync *s = sync_at(r->syncs, op);
        if (!s) {
            kg_hand_sync fresh = {.op = op, .nodes = KG_NEW_ARRAY(p->arena, int, p->nodes.count)};
            fresh.count = fresh.needed = (int)kg_op_int(op, KG_A_COUNT, 0);
            KG_PUSH(p->arena, r->syncs, fresh);
            s = &r->syncs->items[r->syncs->count - 1];
        }
        s->nodes[s->n_nodes++] = i;
        s->cost += cost_of(p, i);
    }
}

// ---- trying -------------------------------------------------------------------------------------
static bool holds(pruner *r)
{
    memset(r->plan.hand.words, 0, sizeof(uint64_t) * (size_t)kg_points_words(r->p));
    memset(r->plan.hand_warp.words, 0, sizeof(uint64_t) * (size_t)kg_points_words(r->p));
    kg_sync_hand_find(r->p, &r->plan);
    kg_sync_hand_meets(r->p, r->o, &r->plan, r->now);
    for (int i = 0; i < r->o->count; i++)
        if (r->before[i] && !r->now[i]) return false;
    kg_diags dropped = {.arena = r->p->arena};
    return kg_sync_play_handshakes(r->p, r->o, r->syncs->state, &dropped) == KG_HANDSHAKE_FINE;
}

static void set_state(pruner *r, const kg_hand_sync *s, int state)
{
    for (int i = 0; i < s->n_nodes; i++) r->syncs->state[s->nodes[i]] = state;
}

static bool try_without(pruner *r, kg_hand_sync *s)
{
    set_state(r, s, KG_HAND_OFF);
    s->redundant = holds(r);
    if (!s->redundant) set_state(r, s, s->count);
    return s->redundant;
}

static void loosen(pruner *r, kg_hand_sync *s)
{
    for (int count = s->count + 1; count <= MOST_GROUPS; count++) {
        set_state(r, s, count);
        if (!holds(r)) break;
        s->needed = count;
    }
    set_state(r, s, s->needed);
}

// How many obligations this sync alone would leave open.
static int alone(pruner *r, const kg_hand_sync *s)
{
    int n = 0;
    set_state(r, s, KG_HAND_OFF);
    if (!holds(r)) {
        n = 1;
        for (int i = 0; i < r->o->count; i++) n += r->before[i] && !r->now[i];
    }
    set_state(r, s, s->count);
    return n;
}

typedef struct turn {
    kg_hand_sync *sync;
    int opens, place;
} turn;

static int dearest_first(const void *x, const void *y)
{
    const turn *a = x, *b = y;
    if (a->sync->cost != b->sync->cost) return a->sync->cost < b->sync->cost ? 1 : -1;
    if (a->opens != b->opens) return a->opens < b->opens ? -1 : 1;
    return a->place - b->place;
}

void kg_sync_hand_prune(const kg_sync_program *p, const kg_obligations *o, kg_hand_syncs *out)
{
    pruner r = {.p = p, .o = o, .syncs = out};
    r.before = KG_NEW_ARRAY(p->arena, bool, o->count + 1);
    r.now = KG_NEW_ARRAY(p->arena, bool, o->count + 1);
    out->state = kg_sync_hand_state(p);
    r.plan.hand = kg_points_new(p);
    r.plan.hand_warp = kg_points_new(p);
    r.plan.barrier = kg_points_new(p);
    r.plan.warp_sync = kg_points_new(p);
    for (int g = 0; g < KG_GROUPS; g++) r.plan.waits[g].at = kg_points_new(p);
    r.plan.hand_state = out->state;
    find_syncs(&r);
    holds(&r);
    memcpy(r.before, r.now, sizeof *r.now * (size_t)o->count);
    turn *turns = KG_NEW_ARRAY(p->arena, turn, out->count + 1);
    for (int i = 0; i < out->count; i++)
        turns[i] = (turn){&out->items[i], alone(&r, &out->items[i]), i};
    qsort(turns, (size_t)out->count, sizeof *turns, dearest_first);
    for (int i = 0; i < out->count; i++)
        if (!turns[i].opens) try_without(&r, turns[i].sync);
    for (int i = 0; i < out->count; i++)
        if (!turns[i].sync->redundant && turns[i].sync->op->code == KG_OP_WAIT)
            loosen(&r, turns[i].sync);
}
