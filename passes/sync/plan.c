// SPDX-License-Identifier: MIT
// From obligations to a plan: which points get a barrier, a warp sync, a wait.
//
//   1  what the author wrote discharges what it can
//   2  barriers: the cheapest points that cut every obligation between warps
//   3  warp syncs: for obligations within a warp that no barrier cuts
//   4  waits: in front of each of these that serves a copy, and alone where only the issuer is
//   concerned 5  counts by replay; waits that no replay needs go again
#include "passes/sync/fences.h"
#include "passes/sync/groups.h"
#include "passes/sync/hand.h"
#include "passes/sync/waits.h"

#include <limits.h>
#include <string.h>

enum { TIE = 1024 }; // costs differ by less only to prefer one of equals

typedef struct planner {
    kg_sync_program *p;
    kg_obligations *o;
    kg_sync_plan *plan;
    kg_points *late; // by obligation with wait
    int64_t *cost;   // by point
} planner;

// ---- what is there already ----------------------------------------------------------------------
static void use_hand_written(planner *l)
{
    bool *met = KG_NEW_ARRAY(l->p->arena, bool, l->o->count + 1);
    kg_sync_hand_meets(l->p, l->o, l->plan, met);
    for (int i = 0; i < l->o->count; i++) l->o->items[i].found_by_hand = met[i];
}

// An author who waits for some groups only before a barrier wants the others in flight there:
// copies that this wait does not serve are not drained at that barrier.
static void respect_open_groups(planner *l)
{
    for (int i = 0; i < l->p->nodes.count; i++) {
        const kg_sync_node *n = kg_sync_node_at(l->p, i);
        int point = kg_sync_block_at(l->p, n->block)->first_point + n->position + 1;
        kg_group group = kg_sync_waits_for(n->op);
        if (group == KG_GROUP_NONE || kg_sync_hand_count(l->plan, i, n->op) <= 0 ||
            !kg_points_has(l->plan->hand, point))
            continue;
        for (int k = 0; k < l->o->count; k++)
            for (int at = point - 1; at <= point && kg_waits_concern(l->p, &l->o->items[k], group);
                 at++)
                l->plan->cuts[k].words[at >> 6] &= ~(UINT64_C(1) << (at & 63));
    }
}

// ---- costs --------------------------------------------------------------------------------------
static int arms_around(const kg_sync_program *p, int block)
{
    int n = 0;
    for (; block >= 0; block = kg_sync_parent(p, block))
        n += kg_sync_block_at(p, block)->kind == KG_SB_ARM;
    return n < 2 ? n : 2;
}

// A wait between the copies of a group would not wait for those before it, and reads as a mistake:
// in front of the group it does the same.
static void price_open_groups(planner *l)
{
    const kg_sync_program *p = l->p;
    for (int i = 0; i < p->blocks.count; i++) {
        const kg_sync_block *b = kg_sync_block_at(p, i);
        bool open = false;
        for (int k = 0; k < b->count; k++) {
            const kg_sync_node *n = kg_sync_node_at(p, b->items[k]);
            if (open) l->cost[b->first_point + k] += TIE;
            for (int x = n->first_access; x < n->first_access + n->n_accesses; x++)
                open |= p->accesses.items[x].async;
            open &= kg_sync_commits(n->op) == KG_GROUP_NONE;
        }
    }
}

// How often a point runs: 16 trips a loop; an arm a little less often than its branch (a little
// only, because the pipeline's guards are true on nearly every trip). Among equals the latest one,
// close to the access that needs the copy, so that copies have the most time.
static void price_points(planner *l)
{
    const kg_sync_program *p = l->p;
    l->cost = l->plan->cost = KG_NEW_ARRAY(p->arena, int64_t, p->n_points + 1);
    for (int i = 0; i < p->n_points; i++) {
        const kg_sync_block *b = kg_sync_block_at(p, p->points[i].block);
        int loops = b->loops < 8 ? b->loops : 8;
        int64_t often = INT64_C(64) << (4 * loops);
        often -= often / 64 * arms_around(p, p->points[i].block);
        l->cost[i] =
            often * TIE + TIE / 2 - (int64_t)(TIE / 4) * p->points[i].position / (b->count + 1);
    }
    for (int i = 0; i < l->o->count; i++)
        for (int k = 0; l->late[i].words && k < p->n_points; k++)
            if (kg_points_has(l->late[i], k) && (l->cost[k] & (TIE - 1)) > TIE / 4)
                l->cost[k] -= TIE / 4;
    for (int i = 0; l->plan->hand_state && i < p->nodes.count; i++) {
        const kg_sync_node *n = kg_sync_node_at(p, i);
        if (kg_sync_is_full_barrier(p, i) || n->op->code == KG_OP_WARP_SYNC)
            l->cost[kg_sync_block_at(p, n->block)->first_point + n->position] -= TIE;
    }
    price_open_groups(l);
}

// ---- choice -------------------------------------------------------------------------------------
static bool ours(const kg_obligation *o)
{
    return !o->found_by_hand && !o->by_author;
}

static void join(const planner *l, kg_points to, kg_points from)
{
    for (int i = 0; i < kg_points_words(l->p); i++) to.words[i] |= from.words[i];
}

static void choose(planner *l, kg_rendezvous meets, kg_points chosen)
{
    kg_points *sets = KG_NEW_ARRAY(l->p->arena, kg_points, l->o->count + 1);
    int n = 0;
    for (int i = 0; i < l->o->count; i++)
        if (l->o->items[i].meet == meets && ours(&l->o->items[i])) sets[n++] = l->plan->cuts[i];
    kg_cover_choose(l->p, sets, n, l->cost, chosen);
}

static void subtract(const planner *l, kg_points from, kg_points what)
{
    for (int i = 0; i < kg_points_words(l->p); i++) from.words[i] &= ~what.words[i];
}

static kg_sync_waits *waits_of(const planner *l, const kg_obligation *o)
{
    return &l->plan->waits[l->p->accesses.items[o->a].group];
}

static void wait_where_served(planner *l, kg_rendezvous meets, kg_points rendezvous)
{
    for (int i = 0; i < l->o->count; i++) {
        const kg_obligation *o = &l->o->items[i];
        if (!o->wait || o->meet != meets || !ours(o)) continue;
        kg_points at = waits_of(l, o)->at;
        for (int w = 0; w < kg_points_words(l->p); w++)
            at.words[w] |= l->plan->cuts[i].words[w] & rendezvous.words[w];
    }
}

// Where the fewest loops are around: what is needed behind a loop only is not waited for in each of
// its trips, where groups that go on would have to be drained for it.
static kg_points outermost(const planner *l, kg_points cuts)
{
    kg_points out = kg_points_new(l->p);
    int least = INT32_MAX;
    for (int i = 0; i < l->p->n_points; i++) {
        int loops = kg_sync_block_at(l->p, l->p->points[i].block)->loops;
        if (kg_points_has(cuts, i) && loops < least) least = loops;
    }
    for (int i = 0; i < l->p->n_points; i++)
        if (kg_points_has(cuts, i) && kg_sync_block_at(l->p, l->p->points[i].block)->loops == least)
            kg_points_add(out, i);
    return out;
}

static bool stands_in(const kg_sync_program *p, int block, int outer)
{
    while (block >= 0 && block != outer) block = kg_sync_parent(p, block);
    return block >= 0;
}

// A product in one arm of a branch is waited for there, for where the arms meet its sum would have
// to be moved. ptxas cannot do that in flight: it serializes all products (C7515).
static kg_points within_arm(const planner *l, const kg_obligation *o, kg_points cuts)
{
    const kg_sync_program *p = l->p;
    int arm = kg_sync_node_at(p, p->accesses.items[o->a].node)->block;
    kg_points out = kg_points_new(p);
    bool any = false;
    while (arm >= 0 && kg_sync_block_at(p, arm)->kind != KG_SB_ARM) arm = kg_sync_parent(p, arm);
    if (arm < 0 || kg_sync_lift(p, p->accesses.items[o->b].node, arm) >= 0) return cuts;
    for (int i = 0; i < p->n_points; i++)
        if (kg_points_has(cuts, i) && stands_in(p, p->points[i].block, arm)) {
            kg_points_add(out, i);
            any = true;
        }
    return any ? out : cuts;
}

// A wait for the tensor core hands all sums on: in one arm of a branch they would have to be moved.
static const int64_t *cost_of_waits(const planner *l, kg_group group)
{
    if (group != KG_GROUP_WGMMA) return l->cost;
    int64_t *cost = KG_NEW_ARRAY(l->p->arena, int64_t, l->p->n_points + 1);
    for (int i = 0; i < l->p->n_points; i++)
        cost[i] = l->cost[i] + l->cost[i] / 16 * arms_around(l->p, l->p->points[i].block);
    return cost;
}

// What only the issuer is concerned with: points for each kind of groups by itself.
static void choose_waits(planner *l, kg_group group)
{
    kg_points *sets = KG_NEW_ARRAY(l->p->arena, kg_points, l->o->count + 1);
    int n = 0;
    for (int i = 0; i < l->o->count; i++) {
        const kg_obligation *o = &l->o->items[i];
        if (o->meet == KG_MEET_NONE && ours(o) && kg_waits_concern(l->p, o, group))
            sets[n++] = outermost(l, group == KG_GROUP_WGMMA ? within_arm(l, o, l->plan->cuts[i])
                                                             : l->plan->cuts[i]);
    }
    kg_cover_choose(l->p, sets, n, cost_of_waits(l, group), l->plan->waits[group].at);
}

static int64_t cost_of(const planner *l, kg_points chosen)
{
    int64_t cost = 0;
    for (int i = 0; i < l->p->n_points; i++)
        if (kg_points_has(chosen, i) && !kg_points_has(l->plan->hand, i)) cost += l->cost[i] / TIE;
    return cost;
}

// Barriers for what needs them. Of equally cheap sets one that also meets what a warp sync would do
// for, where there is such a set.
static void choose_barriers(planner *l, kg_points all)
{
    kg_points more = kg_points_new(l->p);
    join(l, more, all);
    choose(l, KG_MEET_CTA, all);
    kg_points *sets = KG_NEW_ARRAY(l->p->arena, kg_points, l->o->count + 1);
    int n = 0;
    for (int i = 0; i < l->o->count; i++) {
        const kg_obligation *o = &l->o->items[i];
        bool lanes_met =
            o->meet == KG_MEET_WARP && kg_points_meet(l->p, l->plan->cuts[i], l->plan->hand_warp);
        if (o->meet != KG_MEET_NONE && ours(o) && !lanes_met) sets[n++] = l->plan->cuts[i];
    }
    kg_cover_choose(l->p, sets, n, l->cost, more);
    if (cost_of(l, more) > cost_of(l, all)) return;
    subtract(l, all, all);
    join(l, all, more);
}

static void choose_all(planner *l)
{
    kg_sync_plan *plan = l->plan;
    kg_points all = kg_points_new(l->p);
    join(l, all, plan->hand);
    choose_barriers(l, all);
    join(l, plan->barrier, all);
    subtract(l, plan->barrier, plan->hand);
    wait_where_served(l, KG_MEET_CTA, all);
    join(l, all, plan->hand_warp);
    kg_points before = kg_points_new(l->p);
    join(l, before, all);
    choose(l, KG_MEET_WARP, all);
    wait_where_served(l, KG_MEET_WARP, all);
    join(l, plan->warp_sync, all);
    subtract(l, plan->warp_sync, before);
    for (int g = 0; g < KG_GROUPS; g++) choose_waits(l, (kg_group)g);
}

// ---- counts -------------------------------------------------------------------------------------
typedef struct counter {
    planner *l;
    kg_group group;
    kg_sync_waits *waits;
    kg_recording *record;
} counter;

static bool newly_open(const counter *c, const kg_replay *replay)
{
    for (int i = 0; i < c->l->o->count; i++)
        if (replay->open[i] && ours(&c->l->o->items[i])) return true;
    return false;
}

static bool same_counts(const counter *c, const kg_replay *a, const kg_replay *b, int except)
{
    for (int i = 0; i < c->l->p->n_points; i++)
        if (i != except && kg_points_has(c->waits->at, i) && a->count[i] != b->count[i])
            return false;
    return true;
}

// What no replay came to keeps a wait of its own, for everything.
static void guard_unseen(const counter *c, kg_replay *replay)
{
    for (int i = 0; i < c->l->o->count; i++)
        for (int k = 0; replay->unseen[i] && ours(&c->l->o->items[i]) && k < c->l->p->n_points; k++)
            if (kg_points_has(c->l->plan->cuts[i], k) && kg_points_has(c->waits->at, k))
                replay->count[k] = 0;
}

static bool all_unseen_wait(const counter *c, const kg_replay *replay)
{
    for (int i = 0; i < c->l->o->count; i++)
        if (replay->unseen[i] && ours(&c->l->o->items[i]) &&
            !kg_points_meet(c->l->p, c->l->plan->cuts[i], c->waits->at))
            return false;
    return true;
}

static void drop_wait(const counter *c, int point)
{
    c->waits->at.words[point >> 6] &= ~(UINT64_C(1) << (point & 63));
}

// A wait whose copies another wait has completed already, at the same counts, is not needed.
static void prune_waits(const counter *c, kg_replay *replay)
{
    int *least = KG_NEW_ARRAY(c->l->p->arena, int, c->l->p->n_points + 1);
    for (int i = 0; i < c->l->p->n_points; i++)
        least[i] = replay->count[i] < 0 ? INT_MAX : replay->count[i];
    for (int i = 0; i < c->l->p->n_points; i++) {
        if (!kg_points_has(c->waits->at, i)) continue;
        drop_wait(c, i);
        if (replay->count[i] < 0) continue;
        kg_replay without;
        bool same = kg_waits_try(c->record, least, &without) && !newly_open(c, &without);
        if (same) guard_unseen(c, &without);
        if (same && same_counts(c, replay, &without, i) && all_unseen_wait(c, &without)) continue;
        kg_points_add(c->waits->at, i);
    }
}

// The point itself, or the one in front of the group of copies that is open there.
static int before_group(const planner *l, int point)
{
    const kg_sync_program *p = l->p;
    const kg_sync_block *b = kg_sync_block_at(p, p->points[point].block);
    int first = -1;
    for (int k = 0; k < p->points[point].position; k++) {
        const kg_sync_node *n = kg_sync_node_at(p, b->items[k]);
        for (int x = n->first_access; x < n->first_access + n->n_accesses && first < 0; x++)
            if (p->accesses.items[x].async) first = k;
        if (kg_sync_commits(n->op) != KG_GROUP_NONE) first = -1;
    }
    return first < 0 ? point : b->first_point + first;
}

// In front of the second access, or of the region around it where not all that have to meet come
// in.
static int in_front(const planner *l, const kg_obligation *o)
{
    int node = l->p->accesses.items[o->b].node;
    for (;;) {
        const kg_sync_node *n = kg_sync_node_at(l->p, node);
        const kg_sync_block *b = kg_sync_block_at(l->p, n->block);
        int point = b->first_point + n->position;
        if (b->owner < 0 || kg_sync_legal(l->p, o, point)) return before_group(l, point);
        node = b->owner;
    }
}

// The replay knows a schedule that the points do not serve: wait and meet as late as possible.
static bool close_open(const counter *c, const kg_replay *replay)
{
    planner *l = c->l;
    bool changed = false;
    for (int i = 0; i < l->o->count; i++) {
        const kg_obligation *o = &l->o->items[i];
        if (!replay->open[i] || !ours(o)) continue;
        int point = in_front(l, o);
        kg_points rendezvous = o->meet == KG_MEET_CTA ? l->plan->barrier : l->plan->warp_sync;
        bool there = o->meet == KG_MEET_NONE || kg_points_has(rendezvous, point) ||
                     kg_points_has(l->plan->hand, point);
        changed |= !kg_points_has(c->waits->at, point) || !there;
        kg_points_add(c->waits->at, point);
        if (!there) kg_points_add(rendezvous, point);
    }
    return changed;
}

// A wait that stands behind the start of what the obligation waits for, in its trip, and in front
// of `point`; -1 when there is none.
static int earlier_wait(const counter *c, const kg_obligation *o, int point)
{
    const kg_sync_program *p = c->l->p;
    const kg_sync_node *a = kg_sync_node_at(p, p->accesses.items[o->a].node);
    if (p->points[point].block != a->block) return -1;
    for (int i = kg_sync_block_at(p, a->block)->first_point + a->position + 1; i < point; i++)
        if (kg_points_has(c->waits->at, i)) return i;
    return -1;
}

// One wait does for several products, if it comes in front of the first that needs one. Where the
// others are needed later only, a second wait there leaves them in the tensor core until then.
static void wait_later(const counter *c, kg_replay *replay)
{
    planner *l = c->l;
    int *early = KG_NEW_ARRAY(l->p->arena, int, l->p->n_points + 1);
    int *least = KG_NEW_ARRAY(l->p->arena, int, l->p->n_points + 1);
    for (int i = 0; i < l->p->n_points; i++) early[i] = -1;
    for (int i = 0; i < l->o->count; i++) {
        const kg_obligation *o = &l->o->items[i];
        int point = in_front(l, o);
        if (o->meet == KG_MEET_NONE && ours(o) && kg_waits_concern(l->p, o, c->group) &&
            !kg_points_has(c->waits->at, point) && kg_points_has(l->plan->cuts[i], point) &&
            early[point] < 0)
            early[point] = earlier_wait(c, o, point);
    }
    for (int point = l->p->n_points - 1; point >= 0; point--) { // the latest that does
        kg_replay with;
        if (early[point] < 0) continue;
        kg_points_add(c->waits->at, point);
        least[early[point]] = replay->count[early[point]] + 1;
        if (kg_waits_try(c->record, least, &with) && !newly_open(c, &with) &&
            with.count[early[point]] > replay->count[early[point]])
            *replay = with;
        else
            drop_wait(c, point);
        least[early[point]] = 0;
    }
}

// Where waits and rendezvous may come to stand beside those that there are.
static kg_points late_points(const counter *c)
{
    const planner *l = c->l;
    kg_points out = kg_points_new(l->p);
    for (int i = 0; i < l->o->count; i++) {
        const kg_obligation *o = &l->o->items[i];
        if (ours(o) && kg_waits_concern(l->p, o, c->group)) kg_points_add(out, in_front(l, o));
    }
    return out;
}

static void replay_waits(planner *l, kg_group group, kg_replay *replay)
{
    counter c = {l, group, &l->plan->waits[group], NULL};
    c.record = kg_waits_record(l->p, l->o, l->plan, group, late_points(&c));
    kg_waits_replay(c.record, replay);
    while (replay->bounded && newly_open(&c, replay) && close_open(&c, replay))
        kg_waits_replay(c.record, replay);
    if (!replay->bounded) return;
    if (group == KG_GROUP_WGMMA) wait_later(&c, replay);
    guard_unseen(&c, replay);
    prune_waits(&c, replay);
}

// How many groups each wait of the plan leaves, and what for.
static void count_waits(planner *l, kg_group group)
{
    kg_sync_waits *waits = &l->plan->waits[group];
    int n = l->p->n_points;
    kg_replay replay = {0};
    if (l->p->has_async[group]) replay_waits(l, group, &replay);
    waits->count = KG_NEW_ARRAY(l->p->arena, int, n + 1);
    waits->binding = replay.binding;
    for (int i = 0; i < n && replay.count; i++)
        waits->count[i] = replay.count[i] > 0 ? replay.count[i] : 0;
    if (replay.binding) return;
    waits->binding = KG_NEW_ARRAY(l->p->arena, kg_binding, n + 1);
    memset(waits->binding, -1, sizeof *waits->binding * (size_t)n);
}

// Behind its commit every way to the end leads past a wait for all, whatever a replay could or
// could not follow.
static bool retired(const planner *l, kg_group group)
{
    const kg_sync_program *p = l->p;
    const kg_sync_waits *waits = &l->plan->waits[group];
    kg_points by = kg_points_new(p);
    for (int i = 0; i < p->n_points; i++)
        if (kg_points_has(waits->at, i) && !waits->count[i]) kg_points_add(by, i);
    for (int i = 0; i < p->nodes.count; i++) {
        const kg_sync_node *n = kg_sync_node_at(p, i);
        if (kg_sync_waits_for(n->op) == group && !kg_sync_hand_count(l->plan, i, n->op))
            kg_points_add(by, kg_sync_block_at(p, n->block)->first_point + n->position);
    }
    for (int i = 0; i < p->accesses.count; i++) {
        const kg_sync_access *a = &p->accesses.items[i];
        int commit = a->group == group ? kg_sync_source(p, a) : -1;
        if (a->group == group && (commit < 0 || kg_sync_end_open(p, commit, by))) return false;
    }
    return true;
}

// Where the threads of an access meet a wait of the group last. Behind all roles the first thread
// of the kernel does what elected threads do; what is another one's ends with its role.
static int last_point_of(const planner *l, const kg_sync_access *a)
{
    const kg_sync_block *end = kg_sync_block_at(l->p, 0);
    int region = kg_sync_block_at(l->p, kg_sync_node_at(l->p, a->node)->block)->region;
    if (a->elected && a->region.first_warp && region >= 0)
        end = kg_sync_block_at(l->p, kg_sync_node_at(l->p, region)->child[0]);
    return end->first_point + end->count;
}

// No thread may end while something of its is in flight: what nobody waits for is drained at the
// end.
static void drain(planner *l, kg_group group)
{
    if (!l->p->has_async[group] || retired(l, group) ||
        !kg_waits_in_flight(l->p, l->o, l->plan, group))
        return;
    for (int i = 0; i < l->p->accesses.count; i++) {
        const kg_sync_access *a = &l->p->accesses.items[i];
        int end = last_point_of(l, a);
        if (a->group != group) continue;
        kg_points_add(l->plan->waits[group].at, end);
        l->plan->waits[group].count[end] = 0;
    }
}

static bool fenced_copy(const planner *l, const kg_obligation *o, kg_group group)
{
    return kg_fence_is_of_proxy(o->fence) && ours(o) && kg_waits_concern(l->p, o, group);
}

// A fence does for a copy only when that is complete, which another wait may see to that comes
// between the fence and the reader. So where fences stand, the waits in front of them are counted
// once more, and added where there is none.
static void wait_for_fences(planner *l, kg_group group)
{
    kg_sync_plan *plan = l->plan;
    kg_sync_waits *waits = &plan->waits[group];
    int *counts = waits->count;
    bool any = false;
    kg_replay replay = {0};
    for (int i = 0; i < l->o->count; i++) any |= fenced_copy(l, &l->o->items[i], group);
    if (!any) return;
    waits->count = NULL;
    plan->fenced = true;
    kg_waits_replay(kg_waits_record(l->p, l->o, plan, group, (kg_points){0}), &replay);
    plan->fenced = false;
    waits->count = counts;
    for (int i = 0; i < l->p->n_points; i++)
        if (kg_points_has(waits->at, i) && replay.count[i] >= 0 && replay.count[i] < counts[i]) {
            counts[i] = replay.count[i];
            waits->binding[i] = replay.binding[i];
        }
    for (int i = 0; i < l->o->count; i++)
        for (int k = 0; replay.open[i] && k < l->p->n_points; k++) {
            kg_fence fence = l->o->items[i].fence;
            if (fence == KG_FENCE_NONE || !kg_points_has(plan->fence[fence], k) ||
                !kg_points_has(plan->cuts[i], k))
                continue;
            kg_points_add(waits->at, k);
            counts[k] = 0;
        }
}

bool kg_sync_any_wait(const kg_sync_plan *plan, int point)
{
    bool any = false;
    for (int g = 0; g < KG_GROUPS; g++) any |= kg_points_has(plan->waits[g].at, point);
    return any;
}

static planner make_planner(kg_sync_program *p, kg_obligations *o, const int *hand_state,
                            kg_sync_plan *plan)
{
    planner l = {p, o, plan, KG_NEW_ARRAY(p->arena, kg_points, o->count + 1), NULL};
    plan->ids = NULL;
    plan->hand_groups = NULL;
    plan->fenced = false;
    plan->barrier = kg_points_new(p);
    plan->warp_sync = kg_points_new(p);
    for (int g = 0; g < KG_GROUPS; g++) plan->waits[g] = (kg_sync_waits){.at = kg_points_new(p)};
    for (int f = 0; f < KG_FENCES; f++) plan->fence[f] = kg_points_new(p);
    plan->hand = kg_points_new(p);
    plan->hand_warp = kg_points_new(p);
    plan->hand_state = hand_state;
    plan->cuts = KG_NEW_ARRAY(p->arena, kg_points, o->count + 1);
    for (int i = 0; i < o->count; i++) {
        plan->cuts[i] = kg_points_new(p);
        if (o->items[i].wait) l.late[i] = kg_points_new(p);
        kg_sync_cuts(p, &o->items[i], plan->cuts[i], l.late[i]);
    }
    kg_sync_hand_find(p, plan);
    use_hand_written(&l);
    respect_open_groups(&l);
    price_points(&l);
    return l;
}

void kg_sync_plan_points(kg_sync_program *p, kg_obligations *o, kg_sync_plan *plan)
{
    planner l = make_planner(p, o, NULL, plan);
    choose_all(&l);
    kg_sync_split_barriers(p, o, plan);
}

void kg_sync_plan_make(kg_sync_program *p, kg_obligations *o, const int *hand_state,
                       kg_sync_plan *plan)
{
    planner l = make_planner(p, o, hand_state, plan);
    choose_all(&l);
    for (int g = 0; g < KG_GROUPS; g++) count_waits(&l, (kg_group)g);
    for (int g = 0; g < KG_GROUPS; g++) drain(&l, (kg_group)g);
    kg_fences_add(p, o, l.cost, plan);
    for (int g = 0; g < KG_GROUPS; g++) wait_for_fences(&l, (kg_group)g);
    kg_sync_split_barriers(p, o, plan);
}
