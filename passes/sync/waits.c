// SPDX-License-Identifier: MIT
// Replays commit sequences. See waits.h.
#include "passes/sync/replay.h"

#include <string.h>

// What the plan does at a point.
enum { MEETS = 1, MEETS_GROUPS = 2, MEETS_LANES = 4, WAITS = 8 };

bool kg_waits_concern(const kg_sync_program *p, const kg_obligation *o, kg_group group)
{
    return o->wait && p->accesses.items[o->a].group == group;
}

// ---- preparation --------------------------------------------------------------------------------
static void collect_needs(kg_recording *r)
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
        list->items[k].asked |= !o->found_by_hand;
        if (!o->found_by_hand && kg_fence_is_of_proxy(o->fence)) list->items[k].fence = o->fence;
        if (o->meet > list->items[k].meet) list->items[k].meet = o->meet;
        if (r->plan->hand_groups && !kg_ties_add(p, &list->items[k].ties, o))
            list->items[k].ties = kg_ties_all(p->kernel->warps);
    }
}

static bool touches_groups(const kg_recording *r, int node)
{
    const kg_sync_node *n = kg_sync_node_at(r->p, node);
    if (kg_sync_commits(n->op) == r->group || kg_sync_waits_for(n->op) == r->group) return true;
    for (int i = n->first_access; i < n->first_access + n->n_accesses; i++)
        if (r->p->accesses.items[i].group == r->group || r->needs[i].count) return true;
    return false;
}

// A node that is walked, with all that it stands in.
static void mark(kg_recording *r, int node)
{
    for (; node >= 0 && !r->relevant[node];
         node = kg_sync_block_at(r->p, kg_sync_node_at(r->p, node)->block)->owner)
        r->relevant[node] = true;
}

static void mark_relevant(kg_recording *r)
{
    const kg_sync_program *p = r->p;
    r->relevant = KG_NEW_ARRAY(p->arena, bool, p->nodes.count + 1);
    for (int i = 0; i < p->nodes.count; i++)
        if (touches_groups(r, i)) mark(r, i);
    for (int i = 0; i < p->n_points; i++)
        if (kg_points_has(r->waits, i)) mark(r, kg_sync_block_at(p, p->points[i].block)->owner);
}

typedef struct finder {
    const kg_recording *r;
    const kg_value *except;
    bool *matters;
} finder;

// Through all assignments.
static void matter(const finder *f, const kg_value *value)
{
    if (!value || !kg_is_scalar(value) || f->matters[value->id]) return;
    f->matters[value->id] = true;
    if (f->except && kg_same_value(value, f->except)) return;
    for (int i = 0; value->kind == KG_VALUE_RESULT && i < value->op->n_operands; i++)
        matter(f, value->op->operands[i]);
    const kg_assigns *assigns = &f->r->p->assigns;
    for (int i = 0; i < assigns->count && kg_is_mutable(value); i++) {
        const kg_op *op = assigns->items[i].op;
        if (assigns->items[i].counter != value) continue;
        matter(f, op->operands[1]);
        // A loop that is passed over counts on by its trips.
        for (op = op->parent->owner; op; op = op->parent->owner)
            for (int k = 0; k < 2 && op->code == KG_OP_FOR; k++) matter(f, op->operands[k]);
    }
}

void kg_find_what_matters(const kg_recording *r, const kg_value *except, bool *matters)
{
    const kg_sync_program *p = r->p;
    finder f = {r, except, matters};
    for (int i = 0; i < p->nodes.count; i++) {
        const kg_op *op = kg_sync_node_at(p, i)->op;
        for (int k = 0; k < op->n_operands && r->relevant[i] && op->n_blocks; k++)
            matter(&f, op->operands[k]);
    }
    for (int i = 0; i < p->accesses.count; i++)
        if (p->accesses.items[i].group == r->group || r->needs[i].count)
            matter(&f, p->accesses.items[i].at.slot);
}

static bool assigns(const kg_recording *r, const kg_op *op)
{
    return (op->code == KG_OP_ASSIGN && r->matters[op->operands[0]->id]) ||
           (op->code == KG_OP_FRAG && r->matters[op->results[0]->id]);
}

typedef struct assign_finder {
    const kg_recording *r;
    bool found;
} assign_finder;

static bool find_assign(kg_op *op, void *user)
{
    assign_finder *f = user;
    f->found |= assigns(f->r, op);
    return !f->found;
}

// A run would go over the op without any effect on what is noted.
static bool idle(const kg_recording *r, const kg_op *op, int node, int point)
{
    assign_finder f = {r, assigns(r, op)};
    for (int i = 0; i < op->n_blocks && !f.found; i++) kg_walk(op->blocks[i], find_assign, &f);
    if (node >= 0) return !f.found && !r->relevant[node] && !kg_points_has(r->acts, point);
    const kg_value *result = op->n_results ? op->results[0] : NULL;
    return !f.found && !(result && r->follows[result->id] && r->matters[result->id]);
}

// Most ops compute with tiles. Runs are many, so what they go over is picked out once.
static void collect_stops(kg_recording *r)
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

static size_t whole(size_t bytes)
{
    return (bytes + 7) & ~(size_t)7;
}

// What changes from event to event lies together, so that it can be kept and gone back to.
static void make_state(kg_recording *r, int n_values)
{
    const kg_sync_program *p = r->p;
    size_t values = (size_t)n_values + 1, blocks = (size_t)p->blocks.count + 1;
    size_t at[6] = {whole(blocks * sizeof *r->frames),
                    whole(values * sizeof *r->s.number),
                    whole(values * sizeof *r->home),
                    whole(blocks * sizeof *r->s.trip),
                    whole(((size_t)p->accesses.count + 1) * sizeof *r->latest),
                    whole(values)};
    for (int i = 0; i < 6; i++) r->piece_bytes += at[i];
    char *piece = r->piece = kg_arena_alloc(p->arena, r->piece_bytes);
    r->frames = (frame *)piece;
    r->s.number = (int64_t *)(piece += at[0]);
    r->home = (int *)(piece += at[1]);
    r->s.trip = (int *)(piece += at[2]);
    r->latest = (int *)(piece += at[3]);
    r->s.known = (bool *)(piece + at[4]);
}

static void prepare(kg_recording *r, int n_values, int n_ops)
{
    const kg_sync_program *p = r->p;
    kg_arena *arena = p->arena;
    r->s.p = p;
    r->n_values = n_values;
    make_state(r, n_values);
    r->follows = KG_NEW_ARRAY(arena, bool, n_values + 1);
    r->matters = KG_NEW_ARRAY(arena, bool, n_values + 1);
    r->s.frozen = r->follows;
    r->copied = KG_NEW_ARRAY(arena, bool, p->accesses.count + 1);
    r->pair = KG_NEW_ARRAY(arena, uint8_t, p->accesses.count * p->accesses.count + 1);
    r->node_of = KG_NEW_ARRAY(arena, int, n_ops + 1);
    memset(r->node_of, -1, sizeof *r->node_of * (size_t)n_ops);
    for (int i = 0; i < p->nodes.count; i++) r->node_of[kg_sync_node_at(p, i)->op->id] = i;
    kg_scalars_mark_followers(p->kernel, r->follows);
    collect_needs(r);
    mark_relevant(r);
    kg_find_what_matters(r, NULL, r->matters);
    collect_stops(r);
    for (int i = 0; i < p->blocks.count; i++) {
        const kg_sync_block *b = kg_sync_block_at(p, i);
        if (kg_sync_is_loop(b) && r->relevant[b->owner]) kg_trials_of_loop(r, i);
    }
    kg_decisions_begin(&r->s, KG_NEW(arena, kg_decisions));
}

// ---- the record ---------------------------------------------------------------------------------
static int acts_at(const kg_sync_plan *plan, kg_group group, int point)
{
    int acts = kg_points_has(plan->waits[group].at, point) ? WAITS : 0;
    if (kg_points_has(plan->warp_sync, point) || kg_points_has(plan->hand_warp, point))
        acts |= MEETS_LANES;
    if (kg_points_has(plan->barrier, point) || kg_points_has(plan->hand, point))
        acts |= MEETS;
    else if (plan->hand_groups && plan->hand_groups[point])
        acts |= MEETS_GROUPS;
    return acts;
}

// Notes all runs, with the points at which the plan acts, and those where it acted before.
static void record(kg_recording *r)
{
    const kg_sync_program *p = r->p;
    int n_ops, n_values = kg_kernel_number(p->kernel, &n_ops);
    kg_recording fresh = {.p = p, .o = r->o, .plan = r->plan, .group = r->group, .ends = r->ends};
    fresh.waits = r->waits;
    fresh.acts = r->acts;
    for (int i = 0; i < p->n_points; i++) {
        int acts = acts_at(r->plan, r->group, i);
        if (acts) kg_points_add(fresh.acts, i);
        if (acts & WAITS) kg_points_add(fresh.waits, i);
    }
    *r = fresh;
    prepare(r, n_values, n_ops);
    if (!r->failed) kg_walk_all(r);
}

static kg_recording *make(const kg_sync_program *p, const kg_obligations *o,
                          const kg_sync_plan *plan, kg_group group, kg_points more, bool ends)
{
    kg_recording *r = KG_NEW(p->arena, kg_recording);
    *r = (kg_recording){.p = p, .o = o, .plan = plan, .group = group, .ends = ends};
    r->waits = kg_points_new(p);
    r->acts = kg_points_new(p);
    for (int i = 0; more.words && i < kg_points_words(p); i++)
        r->waits.words[i] = r->acts.words[i] = more.words[i];
    record(r);
    return r;
}

kg_recording *kg_waits_record(const kg_sync_program *p, const kg_obligations *o,
                              const kg_sync_plan *plan, kg_group group, kg_points more)
{
    return make(p, o, plan, group, more, false);
}

// ---- judging a plan by it -----------------------------------------------------------------------
typedef struct judge {
    const kg_recording *r;
    const kg_sync_plan *plan;
    kg_replay *out;
    const int *least; // by point; NULL: whatever it comes to
    uint8_t *acts;    // by point
    int work;
    bool refused;
} judge;

// What happens in context `when` happens to the threads that issued a copy in context `copy`, if
// the access in context `reader` comes about.
static bool happens_to(const kg_recording *r, int when, int copy, int reader)
{
    for (; !kg_certain_for(r, when, copy); when = r->contexts.items[when].parent)
        if (r->contexts.items[when].threads || !kg_certain_for(r, when, reader)) return false;
    return true;
}

// The commits between two events that count, by stretches of those in one context.
static int groups_between(const kg_recording *r, int commit, int wait, int copy, int reader)
{
    const event *events = r->events.items;
    int groups = 0, before = events[commit].commits;
    for (int i = events[wait].before; i > commit && events[i].commits > before;
         i = events[events[i].first].before) {
        int from = events[events[i].first].commits - 1;
        if (happens_to(r, events[i].of, copy, reader))
            groups += events[i].commits - (from > before ? from : before);
    }
    return groups;
}

static bool needs_fence(const judge *j, const need *n)
{
    return j->plan->fenced && n->fence != KG_FENCE_NONE;
}

static bool rendezvous(const judge *j, int point, const need *n)
{
    int acts = j->acts[point];
    if (needs_fence(j, n) && !kg_points_has(j->plan->fence[n->fence], point)) return false;
    if (n->meet == KG_MEET_NONE) return true;
    if (acts & MEETS_GROUPS && n->meet == KG_MEET_CTA) {
        kg_ties there = kg_ties_of_barrier(j->plan->hand_groups[point], j->r->p->kernel->warps);
        return kg_ties_cover(&there, &n->ties);
    }
    return acts & (MEETS | MEETS_GROUPS) || (n->meet == KG_MEET_WARP && acts & MEETS_LANES);
}

static void lower_count(judge *j, int point, int groups, const meeting *m)
{
    int *count = &j->out->count[point];
    j->refused |= j->least && groups < j->least[point];
    if (*count >= 0 && groups >= *count) return;
    *count = groups;
    j->out->binding[point] = (kg_binding){j->r->events.items[m->copy].number, m->access};
}

// Finds the wait that sees to it.
static bool served(judge *j, const meeting *m)
{
    const kg_recording *r = j->r;
    const need *n = m->need;
    const int *counts = j->plan->waits[r->group].count;
    int issuer = r->events.items[m->copy].context;
    bool met = n->meet == KG_MEET_NONE && !needs_fence(j, n);
    for (int i = m->last; i > m->commit; i = r->events.items[i].before, j->work++) {
        const event *e = &r->events.items[i];
        bool waits = e->kind == EVENT_WAIT && !(e->read && n->full);
        int fixed = e->number;
        if (e->kind == EVENT_POINT) {
            met = met || (rendezvous(j, e->number, n) && kg_certain_for(r, e->context, m->context));
            waits = j->acts[e->number] & WAITS;
            fixed = waits && counts ? counts[e->number] : -1;
        }
        if (!waits || !met || !happens_to(r, e->context, issuer, m->context)) continue;
        int groups = groups_between(r, m->commit, i, issuer, m->context);
        if (fixed > groups) continue;
        if (fixed < 0) lower_count(j, e->number, groups, m);
        return true;
    }
    return false;
}

static judge judge_of(const kg_recording *r, kg_replay *out)
{
    judge j = {.r = r, .plan = r->plan, .out = out};
    j.acts = KG_NEW_ARRAY(r->p->arena, uint8_t, r->p->n_points + 1);
    for (int i = 0; i < r->p->n_points; i++) j.acts[i] = (uint8_t)acts_at(r->plan, r->group, i);
    return j;
}

static bool knows_all_points(const judge *j)
{
    for (int i = 0; i < j->r->p->n_points; i++)
        if (j->acts[i] && (!kg_points_has(j->r->acts, i) ||
                           (j->acts[i] & WAITS && !kg_points_has(j->r->waits, i))))
            return false;
    return true;
}

static bool judge_all(judge *j, uint8_t *pair)
{
    const kg_recording *r = j->r;
    for (int i = 0; i < r->meetings.count && j->work <= KG_REPLAY_WORK && !j->refused; i++) {
        const meeting *m = &r->meetings.items[i];
        if (served(j, m)) continue;
        pair[(size_t)m->need->a * (size_t)r->p->accesses.count + (size_t)m->access] |= PAIR_OPEN;
        j->refused |= j->least && m->need->asked;
    }
    return !r->failed && j->work <= KG_REPLAY_WORK && !j->refused;
}

void kg_waits_replay(kg_recording *r, kg_replay *out)
{
    kg_waits_try(r, NULL, out);
}

bool kg_waits_try(kg_recording *r, const int *least, kg_replay *out)
{
    const kg_sync_program *p = r->p;
    size_t n = (size_t)p->accesses.count, n_counts = sizeof *out->count * (size_t)p->n_points;
    *out = (kg_replay){.count = KG_NEW_ARRAY(p->arena, int, p->n_points + 1)};
    out->binding = KG_NEW_ARRAY(p->arena, kg_binding, p->n_points + 1);
    memset(out->binding, -1, sizeof *out->binding * (size_t)p->n_points);
    out->open = KG_NEW_ARRAY(p->arena, bool, r->o->count + 1);
    out->unseen = KG_NEW_ARRAY(p->arena, bool, r->o->count + 1);
    memset(out->count, -1, n_counts);
    judge j = judge_of(r, out);
    j.least = least;
    if (!knows_all_points(&j)) record(r);
    uint8_t *pairs = KG_NEW_ARRAY(p->arena, uint8_t, n * n + 1);
    memcpy(pairs, r->pair, n * n);
    out->bounded = judge_all(&j, pairs);
    if (!out->bounded) {
        memset(out->count, 0, n_counts);
        return false;
    }
    for (int i = 0; i < r->o->count; i++) {
        const kg_obligation *x = &r->o->items[i];
        uint8_t pair = pairs[(size_t)x->a * n + (size_t)x->b];
        bool wait = kg_waits_concern(p, x, r->group);
        out->open[i] = wait && (pair & PAIR_OPEN);
        out->unseen[i] = wait && !(pair & PAIR_SEEN);
    }
    return true;
}

bool kg_waits_in_flight(const kg_sync_program *p, const kg_obligations *o, const kg_sync_plan *plan,
                        kg_group group)
{
    const kg_recording *r = make(p, o, plan, group, (kg_points){0}, true);
    judge j = judge_of(r, NULL);
    bool open = r->failed;
    // A copy that no run came to may be in flight as well.
    for (int i = 0; i < p->accesses.count; i++)
        open |= p->accesses.items[i].group == group && !r->copied[i];
    for (int i = 0; i < r->meetings.count && !open; i++)
        open = !served(&j, &r->meetings.items[i]) || j.work > KG_REPLAY_WORK;
    return open || r->unclosed;
}
