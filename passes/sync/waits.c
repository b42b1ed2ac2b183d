// SPDX-License-Identifier: MIT
// Replays commit sequences. See waits.h.
#include "passes/sync/replay.h"

#include <string.h>

enum { SEEN = 1, OPEN = 2 };
enum { EVENT_LIMIT = 30000, WORK_LIMIT = 400000, TRIP_LIMIT = 4096 };

// ---- events -------------------------------------------------------------------------------------
static void push(replay *r, event e)
{
    if (r->events.count >= EVENT_LIMIT) {
        r->failed = true;
        return;
    }
    if (r->events.count) {
        const event *last = &r->events.items[r->events.count - 1];
        e.commits = last->commits;
        e.of = last->of;
        e.first = last->first;
    }
    if (e.kind == EVENT_COMMIT) {
        if (!e.commits++ || e.context != e.of) e.first = r->events.count;
        e.of = e.context;
    }
    KG_PUSH(r->p->arena, &r->events, e);
}

static bool certain_for(const replay *r, int context, int when)
{
    for (; when != context; when = r->contexts.items[when].parent)
        if (when == 0) return false;
    return true;
}

// What happens in context `when` happens to the threads that issued a copy in context `copy`, if
// the access in context `reader` comes about.
static bool happens_to(const replay *r, int when, int copy, int reader)
{
    for (; !certain_for(r, when, copy); when = r->contexts.items[when].parent)
        if (r->contexts.items[when].threads || !certain_for(r, when, reader)) return false;
    return true;
}

static bool exclusive(const replay *r, int x, int y)
{
    for (int i = x; i; i = r->contexts.items[i].parent)
        for (int j = y; j; j = r->contexts.items[j].parent)
            if (r->contexts.items[i].branch == r->contexts.items[j].branch &&
                r->contexts.items[i].arm != r->contexts.items[j].arm)
                return true;
    return false;
}

static bool slot_of(const replay *r, int access, int64_t *slot)
{
    const kg_sync_access *a = &r->p->accesses.items[access];
    if (!a->at.slot || !kg_scalars_eval(&r->s, a->at.slot, slot)) return false;
    *slot = (*slot % a->ring + a->ring) % a->ring;
    return true;
}

// ---- the check of one access --------------------------------------------------------------------
// The commit that closes the group of a copy event, certain for the copy; -1 without one.
static int commit_of(const replay *r, int copy)
{
    for (int i = copy + 1; i < r->events.count; i++)
        if (r->events.items[i].kind == EVENT_COMMIT &&
            certain_for(r, r->events.items[i].context, r->events.items[copy].context))
            return i;
    return -1;
}

// The commits between two events that count, by stretches of those in one context.
static int groups_between(const replay *r, int commit, int wait, int copy, int reader)
{
    const event *events = r->events.items;
    int groups = 0, before = events[commit].commits;
    for (int i = wait - 1; i > commit && events[i].commits > before; i = events[i].first - 1) {
        int from = events[events[i].first].commits - 1;
        if (happens_to(r, events[i].of, copy, reader))
            groups += events[i].commits - (from > before ? from : before);
    }
    return groups;
}

static bool rendezvous(const replay *r, const event *e, kg_rendezvous meet, const kg_ties *ties)
{
    if (e->kind == EVENT_BARRIER && e->groups && meet == KG_MEET_CTA) {
        kg_ties there = kg_ties_of_barrier(e->groups, r->p->kernel->warps);
        return ties && kg_ties_cover(&there, ties);
    }
    return e->kind == EVENT_BARRIER || (meet == KG_MEET_WARP && e->kind == EVENT_WARP_SYNC);
}

bool kg_waits_concern(const kg_sync_program *p, const kg_obligation *o, kg_group group)
{
    return o->wait && p->accesses.items[o->a].group == group;
}

// The copy must be complete for `access`, which happens now: finds the wait that sees to it.
static bool served(replay *r, int copy, int access, const need *n, int context)
{
    int commit = commit_of(r, copy), issuer = r->events.items[copy].context;
    bool met = n->meet == KG_MEET_NONE;
    if (commit < 0) return false;
    for (int i = r->events.count - 1; i > commit; i--, r->work++) {
        const event *e = &r->events.items[i];
        met |= rendezvous(r, e, n->meet, &n->ties) && certain_for(r, e->context, context);
        if (e->kind != EVENT_WAIT || !met || (e->read && n->full) ||
            !happens_to(r, e->context, issuer, context))
            continue;
        int groups = groups_between(r, commit, i, issuer, context);
        if (e->fixed >= 0) {
            if (e->fixed <= groups) return true;
            continue;
        }
        int *count = &r->out->count[e->point];
        if (*count < 0 || groups < *count) {
            *count = groups;
            r->out->binding[e->point] = (kg_binding){r->events.items[copy].access, access};
        }
        return true;
    }
    return false;
}

static bool same_place(const event *copy, bool slot_known, int64_t slot, bool one_ring)
{
    return !one_ring || !copy->slot_known || !slot_known || copy->slot == slot;
}

static uint8_t *pair_of(const replay *r, int a, int b)
{
    return &r->pair[(size_t)a * (size_t)r->p->accesses.count + (size_t)b];
}

static void check(replay *r, int access, int context)
{
    const needs *list = &r->needs[access];
    int64_t slot = 0;
    bool known = list->count && slot_of(r, access, &slot);
    for (int i = 0; i < list->count; i++) {
        const need *n = &list->items[i];
        for (int copy = r->latest[n->a]; copy >= 0; copy = r->events.items[copy].earlier) {
            const event *e = &r->events.items[copy];
            r->work++;
            if (!same_place(e, known, slot, n->one_ring) || exclusive(r, e->context, context))
                continue;
            bool fine = served(r, copy, access, n, context);
            *pair_of(r, n->a, access) |= SEEN | (fine ? 0 : OPEN);
            if (certain_for(r, e->context, context))
                break; // older copies are in older groups; one that may not have run hides none
        }
    }
    r->failed |= r->work > WORK_LIMIT;
}

// ---- running ------------------------------------------------------------------------------------
static void run_block(replay *r, int block, int part, int context);

static void run_point(replay *r, int point, int context)
{
    const kg_sync_plan *plan = r->plan;
    const kg_sync_waits *waits = &plan->waits[r->group];
    if (kg_points_has(waits->at, point))
        push(r, (event){.kind = EVENT_WAIT,
                        .context = context,
                        .point = point,
                        .fixed = waits->count ? waits->count[point] : -1});
    if (kg_points_has(plan->warp_sync, point) || kg_points_has(plan->hand_warp, point))
        push(r, (event){.kind = EVENT_WARP_SYNC, .context = context});
    if (kg_points_has(plan->barrier, point) || kg_points_has(plan->hand, point))
        push(r, (event){.kind = EVENT_BARRIER, .context = context});
    else if (plan->hand_groups && plan->hand_groups[point])
        push(r, (event){
                    .kind = EVENT_BARRIER, .context = context, .groups = plan->hand_groups[point]});
}

static void run_accesses(replay *r, const kg_sync_node *n, int context)
{
    for (int i = n->first_access; i < n->first_access + n->n_accesses; i++) check(r, i, context);
    for (int i = n->first_access; i < n->first_access + n->n_accesses; i++) {
        if (r->p->accesses.items[i].group != r->group) continue;
        event e = {.kind = EVENT_COPY, .context = context, .access = i, .earlier = r->latest[i]};
        e.slot_known = slot_of(r, i, &e.slot);
        push(r, e);
        r->latest[i] = r->events.count - 1;
    }
}

static void set_value(replay *r, const kg_value *value, bool known, int64_t number)
{
    r->s.known[value->id] = known;
    r->s.number[value->id] = number;
}

static void run_trip(replay *r, const kg_sync_node *n, int trip, bool known, int64_t index,
                     int context)
{
    r->s.trip[n->child[0]] = trip;
    if (n->op->blocks[0]->arg) set_value(r, n->op->blocks[0]->arg, known, index);
    run_block(r, n->child[0], n->op->code == KG_OP_WHILE, context);
}

// The leaf that stands for the trips of a loop whose bounds are not understood.
static const kg_leaf *trips_leaf(const replay *r, int block)
{
    for (int i = 0; i < r->s.leaves.count; i++)
        if (!r->s.leaves.items[i].value && r->s.leaves.items[i].loop == block)
            return &r->s.leaves.items[i];
    return NULL;
}

static void run_for(replay *r, const kg_sync_node *n, int context)
{
    int64_t lo = 0, hi = 0, step = 1;
    bool known = kg_scalars_eval(&r->s, n->op->operands[0], &lo) &
                 kg_scalars_eval(&r->s, n->op->operands[1], &hi) &
                 kg_const_int(n->op->operands[2], &step);
    const kg_leaf *leaf = trips_leaf(r, n->child[0]);
    if (!known && !leaf) {
        r->failed = true;
        return;
    }
    int64_t trips =
        known ? (hi > lo ? (hi - lo + step - 1) / step : 0) : kg_leaf_number(&r->s, leaf);
    if (trips > TRIP_LIMIT) {
        r->failed = true;
        return;
    }
    for (int64_t t = 0; t < trips && !r->failed; t++)
        run_trip(r, n, (int)t, known, lo + t * step, context);
}

static void run_while(replay *r, const kg_sync_node *n, int context)
{
    const kg_leaf *leaf = trips_leaf(r, n->child[0]);
    run_block(r, n->child[0], 0, context);
    for (int t = 0; t < (leaf ? kg_leaf_number(&r->s, leaf) : 0) && !r->failed; t++) {
        run_trip(r, n, t, false, 0, context);
        run_block(r, n->child[0], 0, context);
    }
}

static void run_if(replay *r, const kg_sync_node *n, int context)
{
    int64_t c;
    if (kg_scalars_eval(&r->s, n->op->operands[0], &c)) {
        run_block(r, n->child[c ? 0 : 1], 0, context);
        return;
    }
    int branch = ++r->branches;
    for (int arm = 0; arm < 2; arm++) {
        condition inner = {context, branch, arm, false};
        KG_PUSH(r->p->arena, &r->contexts, inner);
        run_block(r, n->child[arm], 0, r->contexts.count - 1);
    }
}

static void run_warps(replay *r, const kg_sync_node *n, int context)
{
    condition inner = {context, ++r->branches, 0, true};
    KG_PUSH(r->p->arena, &r->contexts, inner);
    run_block(r, n->child[0], 0, r->contexts.count - 1);
}

static void run_group_op(replay *r, int node, const kg_op *op, int context)
{
    int hand = kg_sync_hand_count(r->plan, node, op);
    event e = {.kind = kg_sync_commits(op) == r->group ? EVENT_COMMIT : EVENT_WAIT,
               .context = context,
               .fixed = hand,
               .read = kg_op_int(op, KG_A_READ, 0) != 0};
    if (hand >= 0) push(r, e);
}

static void run_node(replay *r, int node, int context)
{
    const kg_sync_node *n = kg_sync_node_at(r->p, node);
    if (kg_sync_commits(n->op) == r->group || kg_sync_waits_for(n->op) == r->group) {
        run_group_op(r, node, n->op, context);
        return;
    }
    switch (n->op->code) {
    case KG_OP_FOR:
        run_for(r, n, context);
        break;
    case KG_OP_WHILE:
        run_while(r, n, context);
        break;
    case KG_OP_IF:
        run_if(r, n, context);
        break;
    case KG_OP_WARPS:
        run_warps(r, n, context);
        break;
    default:
        run_accesses(r, n, context);
        break;
    }
}

// Scalars that change over time are computed where they stand.
static void run_scalar(replay *r, const kg_op *op, int context)
{
    kg_value *target = op->code == KG_OP_ASSIGN ? op->operands[0]
                       : op->n_results          ? op->results[0]
                                                : NULL;
    if (!target || !kg_is_scalar(target) || kg_dtype_info_of(target->type.dtype)->is_float) return;
    int64_t number = 0;
    if (op->code == KG_OP_FRAG || op->code == KG_OP_ASSIGN) {
        bool known = kg_scalars_eval(&r->s, op->operands[op->code == KG_OP_ASSIGN], &number);
        const kg_leaf *leaf = known ? NULL : kg_scalars_leaf(&r->s, target);
        if (leaf) number = kg_leaf_number(&r->s, leaf);
        if (op->code == KG_OP_FRAG) r->home[target->id] = context;
        // In a context of its own the assignment may not have come about for who reads it later.
        set_value(r, target, (known || leaf) && r->home[target->id] == context, number);
    } else if (r->follows[target->id]) {
        bool known = kg_scalars_compute(&r->s, op, &number);
        set_value(r, target, known, number);
    }
}

// What an op that is passed over would have assigned is not known any more.
static bool forget(kg_op *op, void *user)
{
    replay *r = user;
    if (op->code == KG_OP_ASSIGN) r->s.known[op->operands[0]->id] = false;
    return true;
}

// A loop that only counts takes its counter further by as much as it makes trips.
static bool count_on(replay *r, const kg_op *op, int context)
{
    kg_value *counter = kg_counted_by(op);
    int64_t lo, hi, step;
    if (!counter || !kg_scalars_eval(&r->s, op->operands[0], &lo) ||
        !kg_scalars_eval(&r->s, op->operands[1], &hi) || !kg_const_int(op->operands[2], &step))
        return false;
    int64_t trips = hi > lo ? (hi - lo + step - 1) / step : 0;
    bool known = r->s.known[counter->id] && r->home[counter->id] == context;
    set_value(r, counter, known, r->s.number[counter->id] + trips);
    return true;
}

static void pass_over(replay *r, const kg_op *op, int context)
{
    if (count_on(r, op, context)) return;
    for (int i = 0; i < op->n_blocks; i++) kg_walk(op->blocks[i], forget, r);
}

// part: of a `while` 0 is the condition, 1 the body.
static void run_block(replay *r, int block, int part, int context)
{
    if (block < 0 || r->failed) return;
    const kg_sync_block *b = kg_sync_block_at(r->p, block);
    const stops *list = &r->stops[2 * block + part];
    for (int i = 0; i < list->count; i++) {
        const stop *at = &list->items[i];
        if (at->node < 0)
            run_scalar(r, at->op, context);
        else
            run_point(r, at->point, context);
        if (at->node >= 0 && r->relevant[at->node])
            run_node(r, at->node, context);
        else
            pass_over(r, at->op, context);
    }
    if (list->to_end && !(b->kind == KG_SB_WHILE && !part))
        run_point(r, b->first_point + b->count, context);
}

// ---- preparation --------------------------------------------------------------------------------
static void collect_needs(replay *r)
{
    const kg_sync_program *p = r->p;
    r->needs = KG_NEW_ARRAY(p->arena, needs, p->accesses.count + 1);
    for (int i = 0; i < r->o->count; i++) {
        const kg_obligation *o = &r->o->items[i];
        if (!kg_waits_concern(p, o, r->group) || o->by_author) continue;
        needs *list = &r->needs[o->b];
        int k = 0;
        while (k < list->count && list->items[k].a != o->a) k++;
        if (k == list->count) {
            const kg_sync_access *a = &p->accesses.items[o->a], *b = &p->accesses.items[o->b];
            bool one_root = a->at.root == (b->released ? b->released : b->at.root);
            need n = {.a = o->a, .one_ring = !a->global && one_root && a->ring > 1};
            n.full = a->at.effect && a->at.effect->completes == KG_COMPLETES_BULK_FULL;
            n.ties = kg_ties_none(p->kernel->warps);
            KG_PUSH(p->arena, list, n);
        }
        if (o->meet > list->items[k].meet) list->items[k].meet = o->meet;
        if (r->plan->hand_groups && !kg_ties_add(p, &list->items[k].ties, o))
            list->items[k].ties = kg_ties_all(p->kernel->warps);
    }
}

static bool touches_groups(const replay *r, int node)
{
    const kg_sync_node *n = kg_sync_node_at(r->p, node);
    if (kg_sync_commits(n->op) == r->group || kg_sync_waits_for(n->op) == r->group) return true;
    for (int i = n->first_access; i < n->first_access + n->n_accesses; i++)
        if (r->p->accesses.items[i].group == r->group || r->needs[i].count) return true;
    return false;
}

// A node that is walked, with all that it stands in.
static void mark(replay *r, int node)
{
    for (; node >= 0 && !r->relevant[node];
         node = kg_sync_block_at(r->p, kg_sync_node_at(r->p, node)->block)->owner)
        r->relevant[node] = true;
}

static void mark_relevant(replay *r)
{
    const kg_sync_program *p = r->p;
    r->relevant = KG_NEW_ARRAY(p->arena, bool, p->nodes.count + 1);
    for (int i = 0; i < p->nodes.count; i++)
        if (touches_groups(r, i)) mark(r, i);
    for (int i = 0; i < p->n_points; i++)
        if (kg_points_has(r->plan->waits[r->group].at, i))
            mark(r, kg_sync_block_at(p, p->points[i].block)->owner);
}

static bool note_assign(kg_op *op, void *user)
{
    *(bool *)user |= op->code == KG_OP_ASSIGN;
    return true;
}

static bool point_acts(const replay *r, int point)
{
    const kg_sync_plan *plan = r->plan;
    return kg_points_has(plan->waits[r->group].at, point) ||
           kg_points_has(plan->warp_sync, point) || kg_points_has(plan->hand_warp, point) ||
           kg_points_has(plan->barrier, point) || kg_points_has(plan->hand, point) ||
           (plan->hand_groups && plan->hand_groups[point]);
}

// A run would go over the op without any effect on the replay.
static bool idle(const replay *r, const kg_op *op, int node, int point)
{
    bool assigns = op->code == KG_OP_ASSIGN || op->code == KG_OP_FRAG;
    for (int i = 0; i < op->n_blocks && !assigns; i++)
        kg_walk(op->blocks[i], note_assign, &assigns);
    if (node >= 0) return !assigns && !r->relevant[node] && !point_acts(r, point);
    return !assigns && !(op->n_results && r->follows[op->results[0]->id]);
}

// Most ops compute with tiles. Runs are many, so what they go over is picked out once.
static void collect_stops(replay *r)
{
    const kg_sync_program *p = r->p;
    r->stops = KG_NEW_ARRAY(p->arena, stops, 2 * p->blocks.count + 1);
    for (int k = 0; k < 2 * p->blocks.count; k++) {
        const kg_sync_block *b = kg_sync_block_at(p, k / 2);
        bool loop = b->kind == KG_SB_WHILE;
        int part = k % 2, i = loop && part ? b->condition_nodes : 0;
        for (const kg_op *op = b->ir[part] ? b->ir[part]->first : NULL; op; op = op->next) {
            stop at = {op, r->node_of[op->id], b->first_point + i};
            i += at.node >= 0;
            if (!idle(r, op, at.node, at.point)) KG_PUSH(p->arena, &r->stops[k], at);
        }
        r->stops[k].to_end = i == (loop && !part ? b->condition_nodes : b->count);
    }
}

// ---- the runs -----------------------------------------------------------------------------------
static void run_once(replay *r, int n_values)
{
    memset(r->s.known, 0, sizeof *r->s.known * (size_t)n_values);
    memset(r->s.trip, 0, sizeof *r->s.trip * (size_t)r->p->blocks.count);
    memset(r->latest, -1, sizeof *r->latest * (size_t)r->p->accesses.count);
    r->events.count = 0;
    r->contexts.count = 0;
    r->branches = 0;
    condition always = {0, 0, 0, false};
    KG_PUSH(r->p->arena, &r->contexts, always);
    run_block(r, 0, 0, 0);
    const int *counts = r->plan->waits[r->group].count;
    for (int i = 0; i < r->p->accesses.count && counts && !r->failed; i++)
        for (int copy = r->latest[i]; copy >= 0; copy = r->events.items[copy].earlier) {
            r->copied[i] = true;
            r->out->in_flight |= !served(r, copy, i, &(need){.meet = KG_MEET_NONE}, 0);
        }
}

static void prepare(replay *r, int n_values, int n_ops)
{
    const kg_sync_program *p = r->p;
    kg_arena *arena = p->arena;
    r->s.p = p;
    r->s.number = KG_NEW_ARRAY(arena, int64_t, n_values + 1);
    r->s.known = KG_NEW_ARRAY(arena, bool, n_values + 1);
    r->s.trip = KG_NEW_ARRAY(arena, int, p->blocks.count);
    r->follows = KG_NEW_ARRAY(arena, bool, n_values + 1);
    r->s.frozen = r->follows;
    r->home = KG_NEW_ARRAY(arena, int, n_values + 1);
    r->latest = KG_NEW_ARRAY(arena, int, p->accesses.count + 1);
    r->copied = KG_NEW_ARRAY(arena, bool, p->accesses.count + 1);
    r->pair = KG_NEW_ARRAY(arena, uint8_t, p->accesses.count * p->accesses.count + 1);
    r->node_of = KG_NEW_ARRAY(arena, int, n_ops + 1);
    memset(r->node_of, -1, sizeof *r->node_of * (size_t)n_ops);
    for (int i = 0; i < p->nodes.count; i++) r->node_of[kg_sync_node_at(p, i)->op->id] = i;
    kg_scalars_mark_followers(p->kernel, r->follows);
    collect_needs(r);
    mark_relevant(r);
    collect_stops(r);
    for (int i = 0; i < p->blocks.count; i++) {
        const kg_sync_block *b = kg_sync_block_at(p, i);
        if (kg_sync_is_loop(b) && r->relevant[b->owner]) kg_trials_of_loop(r, i);
    }
}

void kg_waits_replay(const kg_sync_program *p, const kg_obligations *o, const kg_sync_plan *plan,
                     kg_group group, kg_replay *out)
{
    int n_ops, n_values = kg_kernel_number(p->kernel, &n_ops);
    replay r = {.p = p, .o = o, .plan = plan, .group = group, .out = out};
    *out = (kg_replay){.count = KG_NEW_ARRAY(p->arena, int, p->n_points + 1)};
    out->binding = KG_NEW_ARRAY(p->arena, kg_binding, p->n_points + 1);
    memset(out->binding, -1, sizeof *out->binding * (size_t)p->n_points);
    out->open = KG_NEW_ARRAY(p->arena, bool, o->count + 1);
    out->unseen = KG_NEW_ARRAY(p->arena, bool, o->count + 1);
    memset(out->count, -1, sizeof *out->count * (size_t)p->n_points);
    prepare(&r, n_values, n_ops);
    r.failed |= kg_trials_count(&r) > COMBINATION_LIMIT;
    do run_once(&r, n_values);
    while (!r.failed && kg_trials_next(&r));
    out->bounded = !r.failed;
    // A copy that no run came to may be in flight as well.
    for (int i = 0; i < p->accesses.count && plan->waits[group].count; i++)
        out->in_flight |= p->accesses.items[i].group == group && !r.copied[i];
    out->in_flight |= r.failed;
    if (r.failed) {
        memset(out->count, 0, sizeof *out->count * (size_t)p->n_points);
        return;
    }
    for (int i = 0; i < o->count; i++) {
        uint8_t pair = *pair_of(&r, o->items[i].a, o->items[i].b);
        bool wait = kg_waits_concern(p, &o->items[i], group);
        out->open[i] = wait && (pair & OPEN);
        out->unseen[i] = wait && !(pair & SEEN);
    }
}
