// SPDX-License-Identifier: MIT
// The report of a kernel's synchronization, from what the planner computed. See record.h.
#include "passes/sync/record.h"
#include "passes/sync/fences.h"
#include "passes/sync/groups.h"
#include "passes/sync/phases.h"

// ---- questions about the plan -------------------------------------------------------------------
// Of a wait for products in the trip and behind the product that the obligation waits for: are
// there at least as many younger groups as it leaves in flight?
static bool completes(const kg_sync_outcome *c, const kg_obligation *o, int point)
{
    const kg_sync_program *p = c->p;
    const kg_sync_access *a = &p->accesses.items[o->a];
    const int *count = c->plan->waits[a->group].count;
    int source = kg_sync_source(p, a), younger = 0, end = p->points[point].position;
    const kg_sync_node *n = source < 0 ? NULL : kg_sync_node_at(p, source);
    if (a->group != KG_GROUP_WGMMA || !count || !n || n->block != p->points[point].block ||
        n->position >= end)
        return true;
    const kg_sync_block *block = kg_sync_block_at(p, n->block);
    for (int i = n->position + 1; i < end; i++)
        younger += kg_sync_commits(kg_sync_node_at(p, block->items[i])->op) == a->group;
    return count[point] <= younger;
}

static bool waits_or_fences(const kg_sync_outcome *c, const kg_obligation *o, int point)
{
    kg_group group = c->p->accesses.items[o->a].group;
    if (o->wait) return kg_points_has(c->plan->waits[group].at, point) && completes(c, o, point);
    return o->fence != KG_FENCE_NONE && kg_points_has(c->plan->fence[o->fence], point) &&
           kg_fence_serves(c->p, o, point);
}

bool kg_sync_meets_at(const kg_sync_outcome *c, const kg_obligation *o, int point)
{
    const kg_sync_plan *plan = c->plan;
    bool barrier = kg_points_has(plan->barrier, point) || kg_points_has(plan->hand, point);
    bool warp = kg_points_has(plan->warp_sync, point) || kg_points_has(plan->hand_warp, point);
    barrier &= kg_sync_group_meets(c->p, plan, point, o);
    if (o->meet == KG_MEET_NONE && !o->wait) return waits_or_fences(c, o, point);
    return barrier || (warp && o->meet == KG_MEET_WARP) ||
           (o->meet == KG_MEET_NONE && waits_or_fences(c, o, point));
}

bool kg_sync_met_without(const kg_sync_outcome *c, int obligation, int point)
{
    for (int i = 0; i < c->p->n_points; i++)
        if (i != point && kg_points_has(c->plan->cuts[obligation], i) &&
            kg_sync_meets_at(c, &c->o->items[obligation], i))
            return true;
    return false;
}

const char *kg_sync_point_text(const kg_sync_program *p, int point)
{
    const kg_sync_block *b = kg_sync_block_at(p, p->points[point].block);
    int position = p->points[point].position;
    const kg_block *ir = b->ir[b->kind == KG_SB_WHILE && position >= b->condition_nodes];
    return kg_sync_place_text(
        p->arena, ir, position < b->count ? kg_sync_node_at(p, b->items[position])->op : NULL);
}

double kg_sync_runs_at(const kg_sync_outcome *c, int point)
{
    return (double)(c->plan->cost[point] / KG_COST_TIE) / (KG_COST_ONCE / KG_COST_TIE);
}

int kg_sync_cheapest_alone(const kg_sync_outcome *c, int obligation)
{
    int best = -1;
    for (int i = 0; i < c->p->n_points; i++)
        if (kg_points_has(c->plan->cuts[obligation], i) &&
            (best < 0 || c->plan->cost[i] < c->plan->cost[best]))
            best = i;
    return best;
}

// ---- one obligation -----------------------------------------------------------------------------
static const char *deed(const kg_sync_access *a)
{
    if (a->registers && a->async) return a->writes ? "works on" : "takes";
    if (a->registers) return a->writes ? "sets" : "uses";
    if (a->released) return "frees";
    if (!a->at.root) return a->writes ? "acquires" : "releases";
    if (a->phase) return a->writes ? "copies into" : "copies from";
    if (a->object) return "uses";
    if (a->group == KG_GROUP_WGMMA) return "reads";
    if (a->async) return a->writes ? "copies into" : "copies from";
    return a->atomic ? "updates" : a->writes ? "writes" : "reads";
}

static int distance_of(int x, int y)
{
    return x / 32 != y / 32 ? 2 : x != y;
}

enum { THREADS = 1024 };
typedef struct seeker {
    int64_t byte;
    bool found[THREADS];
} seeker;

static void seek(int thread, int64_t offset, int bytes, void *user)
{
    seeker *s = user;
    if (s->byte >= offset && s->byte < offset + bytes && thread < THREADS) s->found[thread] = true;
}

// Threads that touch the common byte. One that may touch any byte counts with all of its region.
static void find_threads(const kg_sync_access *a, const kg_obligation *o, seeker *s)
{
    s->byte = (o->byte - a->offset) % a->slot_bytes;
    if (a->at.exact) {
        kg_access_bytes(&a->at, seek, s);
        return;
    }
    int first = a->region.first_warp * 32, count = a->elected ? 1 : a->region.n_warps * 32;
    for (int i = 0; i < count; i++) s->found[first + i] = true;
}

// Two threads at the common byte, as far apart as can be.
static void find_witnesses(const kg_sync_access *a, const kg_sync_access *b, const kg_obligation *o,
                           kg_sync_reason *r)
{
    seeker sa = {0}, sb = {0};
    if (o->byte < 0 || !a->bytes || !b->bytes) return;
    find_threads(a, o, &sa);
    find_threads(b, o, &sb);
    for (int i = 0; i < THREADS; i++)
        for (int k = 0; sa.found[i] && k < THREADS; k++)
            if (sb.found[k] &&
                (r->thread_a < 0 || distance_of(i, k) > distance_of(r->thread_a, r->thread_b))) {
                r->thread_a = i;
                r->thread_b = k;
            }
}

static const char *alone_text(const kg_sync_outcome *c, const kg_obligation *o, int point)
{
    static const char *const meets[] = {"", "warp sync ", "barrier "};
    return kg_arena_printf(c->p->arena, "%s%s%s%s", o->wait ? "wait " : "",
                           o->wait && o->meet != KG_MEET_NONE ? "and " : "", meets[o->meet],
                           kg_sync_point_text(c->p, point));
}

static void add_alone(const kg_sync_outcome *c, int index, kg_sync_reason *r)
{
    int cheapest = kg_sync_cheapest_alone(c, index);
    if (cheapest < 0) return;
    r->alone = alone_text(c, &c->o->items[index], cheapest);
    r->alone_runs = kg_sync_runs_at(c, cheapest);
}

static kg_sync_reason reason_of(const kg_sync_outcome *c, int index, bool wanted)
{
    const kg_obligation *o = &c->o->items[index];
    const kg_sync_program *p = c->p;
    const kg_sync_access *a = &p->accesses.items[o->a], *b = &p->accesses.items[o->b];
    kg_sync_reason r = {.number = o->number,
                        .a = a->at.op,
                        .b = b->at.op,
                        .a_does = deed(a),
                        .b_does = deed(b),
                        .distance = o->distance,
                        .byte = o->byte,
                        .thread_a = -1,
                        .thread_b = -1,
                        .meet = o->meet,
                        .wait = o->wait,
                        .by_hand = o->found_by_hand,
                        .by_author = o->by_author};
    r.buffer = b->registers ? b->registers : b->at.root ? b->at.root : a->at.root;
    r.other = a->at.root && a->at.root != r.buffer ? a->at.root : NULL;
    if (o->carrier >= 0) r.loop = kg_sync_node_at(p, kg_sync_block_at(p, o->carrier)->owner)->op;
    for (int i = 0; i < kg_points_words(p); i++)
        r.choices += __builtin_popcountll(c->plan->cuts[index].words[i]);
    if (!wanted) return r;
    find_witnesses(a, b, o, &r);
    if (!o->by_author) add_alone(c, index, &r);
    return r;
}

// ---- who answers --------------------------------------------------------------------------------
static int id_of(const kg_op *op)
{
    return op ? (int)kg_op_int(op, KG_A_SYNC_ID, 0) : 0;
}

// What stands at a point: alone, or in front of the rendezvous there.
static const kg_op *standing_at(const kg_sync_outcome *c, int point, kg_opcode code)
{
    const kg_op *op = c->op_at[point];
    for (const kg_op *next = op ? op->next : NULL; next && kg_fence_code_is(next->code);
         next = next->next)
        op = next; // a fence behind a wait that has no rendezvous
    while (op && op->code != code && op->prev && kg_op_info_of(op->prev->code)->cls == KG_CLASS_Y)
        op = op->prev;
    return op && op->code == code ? op : NULL;
}

static const kg_op *wait_at(const kg_sync_outcome *c, int point, kg_group group)
{
    return standing_at(c, point, kg_sync_wait_code(group));
}

// The fence that stands for an obligation, at the first of its points that has one.
static const kg_op *fence_for(const kg_sync_outcome *c, int index)
{
    const kg_obligation *o = &c->o->items[index];
    for (int i = 0; o->fence != KG_FENCE_NONE && i < c->p->n_points; i++)
        if (kg_points_has(c->plan->fence[o->fence], i) && kg_points_has(c->plan->cuts[index], i) &&
            kg_fence_serves(c->p, o, i))
            return standing_at(c, i, kg_fence_code(o->fence));
    return NULL;
}

static kg_group group_of(const kg_sync_outcome *c, int index)
{
    kg_group group = c->p->accesses.items[c->o->items[index].a].group;
    return group == KG_GROUP_NONE ? KG_GROUP_COPY : group;
}

// All points that cut an obligation. The plan's own sets lack those where the author keeps other
// groups in flight.
static kg_points all_cuts(const kg_sync_outcome *c, int index)
{
    kg_points cuts = kg_points_new(c->p);
    kg_sync_cuts(c->p, &c->o->items[index], cuts, (kg_points){NULL});
    return cuts;
}

// The author's last wait on the way of an obligation.
static const kg_op *hand_wait(const kg_sync_outcome *c, int index)
{
    const kg_sync_program *p = c->p;
    kg_points cuts = all_cuts(c, index);
    for (int i = p->nodes.count - 1; i >= 0; i--) {
        const kg_sync_node *n = kg_sync_node_at(p, i);
        int point = kg_sync_block_at(p, n->block)->first_point + n->position;
        if (kg_sync_waits_for(n->op) == group_of(c, index) && kg_points_has(cuts, point))
            return n->op;
    }
    return NULL;
}

// The wait that completes a copy whose obligation is answered at `point`: the one there, else the
// last one on the way.
static int completing_wait(const kg_sync_outcome *c, int index, int point)
{
    kg_group group = group_of(c, index);
    const kg_op *found = point < 0 ? NULL : wait_at(c, point, group);
    if (!found && c->o->items[index].found_by_hand) found = hand_wait(c, index);
    for (int i = c->p->n_points - 1; i >= 0 && !found; i--)
        if (kg_points_has(c->plan->waits[group].at, i) && kg_points_has(c->plan->cuts[index], i))
            found = wait_at(c, i, group);
    return id_of(found);
}

// The author's synchronization on all paths of an obligation; -1 when it takes several together.
static int hand_point(const kg_sync_outcome *c, int index)
{
    const kg_obligation *o = &c->o->items[index];
    kg_points cuts = all_cuts(c, index);
    for (int i = 0; i < c->p->n_points; i++)
        if (kg_points_has(cuts, i) &&
            (kg_points_has(c->plan->hand, i) ||
             (kg_points_has(c->plan->hand_warp, i) && o->meet == KG_MEET_WARP)))
            return i;
    return -1;
}

static void answer(const kg_sync_outcome *c, int index, kg_sync_reason *r)
{
    int point = r->by_hand ? hand_point(c, index) : c->point_of[index];
    const kg_op *op = point < 0 ? NULL : c->op_at[point];
    if (r->wait && (op || r->by_hand)) r->completed_by = completing_wait(c, index, point);
    if (op) {
        r->sync = id_of(op);
        r->needs_sync = !kg_sync_met_without(c, index, point);
    }
    if (r->meet == KG_MEET_NONE && r->completed_by) r->sync = r->completed_by;
    r->fenced_by = id_of(fence_for(c, index));
    if (r->meet == KG_MEET_NONE && !r->sync) r->sync = r->fenced_by;
    if (r->by_author) r->sync = id_of(kg_sync_phase_answer(c->p, &c->o->items[index]));
}

// ---- one synchronization ------------------------------------------------------------------------
typedef struct lister {
    const kg_sync_outcome *c;
    kg_sync_report *report;
} lister;

static bool list_sync(kg_op *op, void *user)
{
    lister *l = user;
    if (kg_op_info_of(op->code)->cls != KG_CLASS_Y) return true;
    kg_sync_entry *e = &l->report->syncs[l->report->n_syncs++];
    *e = (kg_sync_entry){
        .id = id_of(op), .op = op, .by_hand = kg_op_int(op, KG_A_BY_HAND, 0) != 0, .first = -1};
    return true;
}

static void add_reasons(const kg_sync_outcome *c, const kg_sync_report *report, kg_sync_entry *e)
{
    int count = 0;
    for (int turn = 0; turn < 2; turn++) {
        if (turn) e->reasons = KG_NEW_ARRAY(c->p->arena, int, count + 1);
        for (int i = 0; i < report->n_reasons; i++) {
            const kg_sync_reason *r = &report->reasons[i];
            if (r->sync != e->id && r->completed_by != e->id && r->fenced_by != e->id) continue;
            if (turn)
                e->reasons[e->n_reasons++] = i;
            else
                count++;
        }
    }
}

// How well an obligation tells what a synchronization is for: nothing else meets it, it makes
// threads meet, few other points would do, one trip sees it.
static int weight_of(const kg_sync_reason *r)
{
    int choices = r->choices < 1000 ? r->choices : 1000;
    return r->needs_sync * 8000 + (r->meet != KG_MEET_NONE) * 4000 - 2 * choices + !r->loop;
}

static void choose_first(const kg_sync_report *report, kg_sync_entry *e)
{
    for (int i = 0; i < e->n_reasons; i++) {
        int r = e->reasons[i];
        if (e->first < 0 || weight_of(&report->reasons[r]) > weight_of(&report->reasons[e->first]))
            e->first = r;
    }
}

static void add_copies(const kg_sync_outcome *c, kg_sync_entry *e)
{
    const kg_sync_program *p = c->p;
    for (int turn = 0; turn < 2; turn++) {
        if (turn) e->copies = KG_NEW_ARRAY(p->arena, const kg_op *, e->n_copies + 1);
        e->n_copies = 0;
        for (int i = 0; i < p->accesses.count; i++) {
            const kg_sync_access *a = &p->accesses.items[i];
            bool one = a->writes || a->group != KG_GROUP_COPY; // of a copy its destination
            int source = a->async && one && !a->registers ? kg_sync_source(p, a) : -1;
            if (source < 0 || kg_sync_node_at(p, source)->op != e->op) continue;
            if (turn) e->copies[e->n_copies] = a->at.op;
            e->n_copies++;
        }
    }
}

static void add_plan(const kg_sync_outcome *c, const kg_sync_report *report, kg_sync_entry *e,
                     int point)
{
    kg_group group = kg_sync_waits_for(e->op);
    e->runs = kg_sync_runs_at(c, point);
    kg_binding binding = {-1, -1};
    if (group != KG_GROUP_NONE) binding = c->plan->waits[group].binding[point];
    if (binding.copy >= 0) {
        e->copy = c->p->accesses.items[binding.copy].at.op;
        e->access = c->p->accesses.items[binding.access].at.op;
    }
    if (report->wanted) kg_sync_consider(c, report, point, e);
}

static void add_fences(const kg_sync_outcome *c, const kg_sync_report *report, int point)
{
    if (!kg_points_has(c->plan->fence[KG_FENCE_REGISTERS], point)) return;
    const kg_op *fence = standing_at(c, point, kg_fence_code(KG_FENCE_REGISTERS));
    if (!fence) return;
    kg_sync_entry *e = &report->syncs[id_of(fence) - 1];
    e->runs = kg_sync_runs_at(c, point);
    if (report->wanted) kg_sync_consider_fence(c, report, point, e);
}

void kg_sync_record(const kg_sync_outcome *c, kg_sync_report *report)
{
    kg_arena *arena = c->p->arena;
    report->syncs = KG_NEW_ARRAY(arena, kg_sync_entry, c->n_syncs + 1);
    report->reasons = KG_NEW_ARRAY(arena, kg_sync_reason, c->o->count + 1);
    report->n_syncs = 0;
    report->n_reasons = c->o->count;
    report->spared = c->o->spared;
    for (int i = 0; i < c->o->count; i++) {
        report->reasons[i] = reason_of(c, i, report->wanted);
        answer(c, i, &report->reasons[i]);
    }
    report->n_proxies = 0;
    kg_sync_say_proxies(c, report);
    lister l = {c, report};
    kg_walk(c->p->kernel->body, list_sync, &l);
    for (int i = 0; i < report->n_syncs; i++) {
        add_reasons(c, report, &report->syncs[i]);
        choose_first(report, &report->syncs[i]);
        if (kg_sync_commits(report->syncs[i].op) != KG_GROUP_NONE) add_copies(c, &report->syncs[i]);
    }
    for (int i = 0; i < c->p->n_points; i++) {
        bool ours = kg_points_has(c->plan->barrier, i) || kg_points_has(c->plan->warp_sync, i);
        for (int g = 0; g < KG_GROUPS; g++) {
            const kg_op *wait = c->op_at[i] ? wait_at(c, i, (kg_group)g) : NULL;
            if (kg_points_has(c->plan->waits[g].at, i) && wait)
                add_plan(c, report, &report->syncs[id_of(wait) - 1], i);
        }
        if (ours && c->op_at[i]) add_plan(c, report, &report->syncs[id_of(c->op_at[i]) - 1], i);
        add_fences(c, report, i);
    }
}
