// SPDX-License-Identifier: MIT
// Roles that hand work to each other through barriers of the author's: played through.
//
// The warps fall into parties that no `warps` region splits. For small numbers of trips each
// party's barriers, arrivals, waits and accesses are listed in order, and the lists are run side by
// side with a clock a party. What holds of one schedule holds of all, as long as no arrival can
// fall into another phase of its barrier; that is checked too. Reported: accesses that nothing
// orders, a barrier id whose phases can mix (two purposes at once), parties that wait for ever.
// Conditions and trip counts that only run time knows end the play without a verdict.
//
// What a bulk copy does is done by a party of its own, one for each slot of its mbarrier, whose
// time passes by phases: who has waited for a phase knows of the copies that counted towards it.
#include "passes/sync/checks.h"
#include "passes/sync/phases.h"
#include "passes/sync/phrase.h"
#include "passes/sync/play.h"
#include "passes/sync/report.h"
#include "passes/sync/steps.h"

#include <string.h>

enum { PARTIES = 32, IDS = 16, EVENT_LIMIT = 4000, TILE = 64, NEVER = INT32_MAX };

typedef struct event {
    int node, access; // access -1: a synchronization
    bool slot_known;
    int64_t slot;
    bool trip_known; // of an mbarrier's phase
    int64_t trip;
} event;

typedef struct event_list {
    event *items;
    int count, capacity;
} event_list;

// One execution of an access.
typedef struct deed {
    event what;
    int party, stamp; // of its party's clock; NEVER: a copy that is still in flight
    kg_group kind;
    int group; // of copies: groups of the party closed before it, -1 when complete
} deed;

typedef struct barrier_state {
    int threads, waiting, clock[KG_PLAY_CLOCKS]; // of the phase that fills; bits of those that wait
    uint32_t parties;
    const kg_op *last;        // the arrival that came last
    int done[KG_PLAY_CLOCKS]; // clock at the end of the phase before
    uint32_t done_parties;
    const kg_op *done_by; // and its last arrival
} barrier_state;

typedef struct party {
    int first, last; // warps
    event_list events;
    int at, clock[KG_PLAY_CLOCKS], groups[KG_GROUPS];
    bool waits;   // at a barrier, until its phase ends
    bool blocked; // at an mbarrier, and looks again
} party;

typedef struct play {
    const kg_sync_program *p;
    const kg_obligations *o;
    kg_diags *diags;
    const int *state; // by node, as in kg_sync_plan: -1 not there
    kg_steps steps;
    bool *meet; // by access a * n + b: a pair that the author has to order
    party parties[PARTIES];
    int n_parties, current, number;
    barrier_state barriers[IDS];
    kg_play_phases phases;
    struct {
        deed *items;
        int count, capacity;
    } deeds;
    bool failed;  // not understood
    bool stopped; // something was reported
} play;

// ---- lists --------------------------------------------------------------------------------------
static void push(kg_steps *steps, event e)
{
    play *x = steps->user;
    event_list *list = &x->parties[x->current].events;
    KG_PUSH(x->p->arena, list, e);
}

// The trip whose phase of an mbarrier the node means.
static void note_trip(const kg_steps *steps, const kg_sync_node *n, event *e)
{
    play *x = steps->user;
    for (int i = n->first_access; i < n->first_access + n->n_accesses; i++) {
        const kg_sync_access *a = &x->p->accesses.items[i];
        if (a->object)
            e->trip_known = a->at.slot && kg_scalars_eval(&steps->s, a->at.slot, &e->trip);
    }
}

static void list_node(kg_steps *steps, int node)
{
    play *x = steps->user;
    const kg_sync_node *n = kg_sync_node_at(x->p, node);
    if (kg_op_info_of(n->op->code)->cls == KG_CLASS_Y) {
        event e = {.node = node, .access = -1};
        note_trip(steps, n, &e);
        if (!x->state || x->state[node] >= 0) push(steps, e);
        return;
    }
    event phase = {.node = node, .access = -1};
    note_trip(steps, n, &phase);
    for (int i = n->first_access; i < n->first_access + n->n_accesses; i++) {
        const kg_sync_access *a = &x->p->accesses.items[i];
        event e = phase;
        e.access = i;
        e.slot_known = kg_steps_slot(steps, a, &e.slot);
        if (!a->object && !a->registers && !a->released) push(steps, e);
    }
}

static void list_party(play *x, int current)
{
    party *me = &x->parties[current];
    x->current = current;
    x->steps.first_warp = me->first;
    x->steps.last_warp = me->last;
    me->events.count = 0;
    x->failed |= !kg_steps_run(&x->steps, x->number);
}

// ---- findings -----------------------------------------------------------------------------------
static const char *warps_text(const play *x, int p)
{
    const party *q = &x->parties[p];
    if (q->last - q->first == 1) return kg_arena_printf(x->p->arena, "warp %d", q->first);
    return kg_arena_printf(x->p->arena, "warps %d to %d", q->first, q->last - 1);
}

static kg_loc loc_of(const play *x, int node)
{
    return kg_sync_node_at(x->p, node)->op->loc;
}

static void report_unordered(play *x, const deed *a, const event *b)
{
    const kg_sync_access *first = &x->p->accesses.items[a->what.access];
    const kg_sync_access *second = &x->p->accesses.items[b->access];
    const char *slot = b->slot_known && first->at.root == second->at.root
                           ? kg_arena_printf(x->p->arena, "slot %lld of ", (long long)b->slot)
                           : "";
    kg_diag *d = kg_error(x->diags, KG_D_S505, loc_of(x, b->node),
                          "the barriers of these roles leave this %s of %s%s unordered with the %s "
                          "at line %d",
                          kg_say_deed(second), slot, kg_say_root(x->p, second), kg_say_deed(first),
                          loc_of(x, a->what.node).line);
    kg_diag_note(x->diags, d, loc_of(x, a->what.node), "the %s, by %s; the other is by %s",
                 kg_say_deed(first), warps_text(x, a->party), warps_text(x, x->current));
    if (a->stamp == NEVER)
        kg_diag_help(x->diags, d, "let the copying warps `wait` for the copy before they arrive");
    else if (first->writes && !second->writes)
        kg_diag_help(
            x->diags, d,
            "let the writers arrive at a barrier behind the write, and the readers wait at "
            "it in front of the read");
    else
        kg_diag_help(x->diags, d,
                     "let the readers arrive at a barrier behind the read, and the writers wait at "
                     "it before they write the slot again");
    x->stopped = true;
}

static void report_mixed(play *x, const kg_op *op, int id, const kg_op *other)
{
    kg_diag *d = kg_error(x->diags, KG_D_S508, op->loc,
                          "barrier %d serves two purposes at once: threads may arrive here before "
                          "its phase of line %d is over",
                          id, other->loc.line);
    kg_diag_note(x->diags, d, other->loc, "the other use");
    kg_diag_help(x->diags, d,
                 "take another id for one of them, one a slot where a ring has several, or let "
                 "these threads wait for the phase before they arrive again");
    x->stopped = true;
}

static void report_stuck(play *x)
{
    kg_diag *d = NULL;
    for (int i = 0; i < x->n_parties; i++) {
        const party *me = &x->parties[i];
        if (!me->waits && !me->blocked) continue;
        const event *e = &me->events.items[me->at];
        const kg_op *op = kg_sync_node_at(x->p, e->node)->op;
        int id = (int)kg_op_int(op, KG_A_ID, 0);
        int64_t count = kg_op_int(op, KG_A_COUNT, 32 * (int64_t)x->p->kernel->warps);
        const char *text =
            me->blocked
                ? kg_arena_printf(
                      x->p->arena, "%s wait for ever for a phase of mbarrier %s", warps_text(x, i),
                      kg_sync_buffer_name(x->p->arena, x->p->kernel, kg_sync_mbarrier(op)))
                : kg_arena_printf(x->p->arena,
                                  "%s wait for ever at barrier %d: %d of %lld threads come",
                                  warps_text(x, i), id, x->barriers[id].threads, (long long)count);
        if (d)
            kg_diag_note(x->diags, d, op->loc, "%s", text);
        else
            d = kg_error(x->diags, KG_D_S508, op->loc, "%s", text);
    }
    for (int i = 0; i < x->n_parties && d; i++)
        if (!x->parties[i].waits && !x->parties[i].blocked)
            kg_diag_note(x->diags, d, (kg_loc){0}, "%s have reached their end", warps_text(x, i));
    if (!d) return;
    kg_diag_help(x->diags, d,
                 "each phase needs as many arrivals as its count, also on the first trips and the "
                 "last (found with sizes of %d)",
                 x->number);
    x->stopped = true;
}

// ---- running ------------------------------------------------------------------------------------
static void check_access(play *x, const event *e)
{
    const kg_sync_access *list = x->p->accesses.items;
    const party *me = &x->parties[x->current];
    for (int i = 0; i < x->deeds.count && !x->stopped; i++) {
        const deed *d = &x->deeds.items[i];
        if (d->party == x->current || !x->meet[d->what.access * x->p->accesses.count + e->access])
            continue;
        bool ring =
            list[e->access].ring > 1 && list[d->what.access].at.root == list[e->access].at.root;
        if (ring && (!d->what.slot_known || !e->slot_known || d->what.slot != e->slot)) continue;
        if (d->stamp > me->clock[d->party]) report_unordered(x, d, e);
    }
}

// Which phase of an mbarrier an event means.
static bool place_of(play *x, const event *e, const kg_value *mbarrier, kg_play_place *out)
{
    bool known = e->trip_known && kg_play_find(&x->phases, mbarrier, e->trip, out);
    x->failed |= !known;
    return known;
}

static void run_access(play *x, const event *e)
{
    party *me = &x->parties[x->current];
    check_access(x, e);
    const kg_sync_access *a = &x->p->accesses.items[e->access];
    deed d = {.what = *e, .party = x->current, .stamp = me->clock[x->current], .group = -1};
    if (a->async) {
        d.stamp = NEVER;
        d.kind = a->group;
        d.group = me->groups[a->group];
    } else if (a->phase) { // by the engine, in the phase that it counts towards
        kg_play_place place;
        if (!place_of(x, e, kg_sync_mbarrier(a->at.op), &place)) return;
        d.party = place.clock;
        d.stamp = (int)place.turn + 1;
    }
    KG_PUSH(x->p->arena, &x->deeds, d);
}

static void complete_copies(play *x, kg_group kind, int newest)
{
    party *me = &x->parties[x->current];
    for (int i = 0; i < x->deeds.count; i++) {
        deed *d = &x->deeds.items[i];
        if (d->party != x->current || d->group < 0 || d->kind != kind ||
            d->group >= me->groups[kind] - newest)
            continue;
        d->group = -1;
        d->stamp = me->clock[x->current];
    }
}

static bool knows(const party *me, const barrier_state *b, int n)
{
    for (int i = 0; i < n; i++)
        if (b->done_parties >> i & 1 && me->clock[i] < b->done[i]) return false;
    return true;
}

static void end_phase(play *x, barrier_state *b)
{
    for (int i = 0; i < x->n_parties; i++) {
        party *q = &x->parties[i];
        if (!(b->waiting >> i & 1)) continue;
        for (int k = 0; k < x->n_parties; k++)
            if (b->clock[k] > q->clock[k]) q->clock[k] = b->clock[k];
        q->waits = false;
        q->at++;
    }
    memcpy(b->done, b->clock, sizeof b->done);
    b->done_parties = b->parties;
    b->done_by = b->last;
    b->threads = b->waiting = 0;
    b->parties = 0;
    memset(b->clock, 0, sizeof b->clock);
}

static void arrive(play *x, const kg_op *op, bool waits)
{
    party *me = &x->parties[x->current];
    int id = (int)kg_op_int(op, KG_A_ID, 0) & (IDS - 1);
    int64_t count = kg_op_int(op, KG_A_COUNT, 32 * (int64_t)x->p->kernel->warps);
    barrier_state *b = &x->barriers[id];
    if (b->parties >> x->current & 1 || !knows(me, b, x->n_parties)) {
        report_mixed(x, op, id, b->parties >> x->current & 1 ? b->last : b->done_by);
        return;
    }
    b->threads += 32 * (me->last - me->first);
    b->parties |= UINT32_C(1) << x->current;
    b->last = op;
    for (int k = 0; k < x->n_parties; k++)
        if (me->clock[k] > b->clock[k]) b->clock[k] = me->clock[k];
    me->clock[x->current]++;
    if (waits) b->waiting |= 1 << x->current;
    me->waits = waits;
    if (b->threads > count)
        report_mixed(x, op, id, op);
    else if (b->threads == count)
        end_phase(x, b);
    if (!waits) me->at++;
}

// ---- mbarriers ----------------------------------------------------------------------------------
static bool elected(const play *x, const kg_op *op)
{
    return x->parties[x->current].first == kg_op_region(op).first_warp;
}

static void report_turn(play *x, const kg_op *op, bool early)
{
    kg_diag *d =
        kg_error(x->diags, KG_D_S508, op->loc,
                 early ? "this waits for a phase of an mbarrier before it knows that the one "
                         "before it is over: one bit tells them apart"
                       : "this waits for a phase of an mbarrier that is over by two: one "
                         "bit tells them apart");
    kg_diag_help(x->diags, d,
                 "wait for each phase in turn, and arrive for the next but one only "
                 "behind that");
    x->stopped = true;
}

static void wait_for_phase(play *x, const event *e, const kg_op *op)
{
    party *me = &x->parties[x->current];
    kg_play_place place;
    if (!place_of(x, e, kg_sync_mbarrier(op), &place)) return;
    int64_t turn = place.turn - kg_op_int(op, KG_A_BEHIND, 0);
    int64_t done = kg_play_done(&x->phases, &place);
    if (turn >= 0 && (done < turn || done > turn + 1)) {
        report_turn(x, op, done < turn);
        return;
    }
    me->blocked = turn >= 0 && done == turn;
    if (me->blocked) return;
    me->at++;
    if (turn >= 0) kg_play_acquire(&x->phases, &place, turn, me->clock);
}

// How often these threads arrive by the op.
static int64_t arrivals_of(const play *x, const kg_op *op)
{
    const party *me = &x->parties[x->current];
    if (!kg_sync_is_arrival(op)) return elected(x, op);
    int64_t ctas = kg_op_int(op, KG_A_CLUSTER, 0) ? x->p->kernel->cluster : 1; // all do alike
    return ctas * (me->last - me->first) * (kg_op_int(op, KG_A_BY_THREAD, 0) ? 32 : 1);
}

static void arrive_for_phase(play *x, const event *e, const kg_op *op)
{
    party *me = &x->parties[x->current];
    kg_play_place place;
    int64_t count = arrivals_of(x, op);
    me->at++;
    if (!count || !place_of(x, e, kg_sync_mbarrier(op), &place)) return;
    int64_t bytes = kg_op_int(op, KG_A_BYTES, 0);
    if (kg_play_done(&x->phases, &place) != place.turn ||
        !kg_play_arrive(&x->phases, &place, count, bytes, me->clock)) {
        kg_diag *d = kg_error(x->diags, KG_D_S508, op->loc,
                              "more arrivals come to a phase of mbarrier %s than it has",
                              kg_sync_buffer_name(x->p->arena, x->p->kernel, kg_sync_mbarrier(op)));
        kg_diag_help(x->diags, d,
                     "`arrivals` says how many a phase has: one for each warp, or for "
                     "each thread, that arrives in a trip");
        x->stopped = true;
    }
    me->clock[x->current]++;
}

static void count_bytes(play *x, const event *e, const kg_op *op)
{
    kg_play_place place;
    if (!elected(x, op) || !place_of(x, e, kg_sync_mbarrier(op), &place)) return;
    const kg_type *type = &op->operands[0]->type;
    kg_play_copied(&x->phases, &place, kg_type_elements(type) * kg_dtype_bytes(type->dtype));
}

// false: not one of theirs.
static bool run_phase(play *x, const event *e, const kg_op *op)
{
    if (kg_op_info_of(op->code)->cls != KG_CLASS_Y || !kg_sync_mbarrier(op)) return false;
    party *me = &x->parties[x->current];
    if (kg_sync_is_phase_wait(op))
        wait_for_phase(x, e, op);
    else if (op->code == KG_OP_MBARRIER_INIT)
        me->at++;
    else
        arrive_for_phase(x, e, op);
    return true;
}

static void run_event(play *x)
{
    party *me = &x->parties[x->current];
    const event e = me->events.items[me->at];
    const kg_op *op = kg_sync_node_at(x->p, e.node)->op;
    if (run_phase(x, &e, op)) return;
    if (op->code == KG_OP_BARRIER || op->code == KG_OP_ARRIVE) {
        arrive(x, op, op->code == KG_OP_BARRIER);
        return;
    }
    me->at++;
    kg_group closes = kg_sync_commits(op), waits = kg_sync_waits_for(op);
    if (closes != KG_GROUP_NONE)
        me->groups[closes]++;
    else if (waits != KG_GROUP_NONE)
        complete_copies(x, waits, x->state ? x->state[e.node] : (int)kg_op_int(op, KG_A_COUNT, 0));
    if (e.access < 0) return;
    const kg_sync_access *a = &x->p->accesses.items[e.access];
    if (a->phase && a->writes) count_bytes(x, &e, op);
    if (!x->failed && (!a->phase || elected(x, op))) run_access(x, &e);
}

static void run_all(play *x)
{
    for (bool moved = true; moved && !x->stopped && !x->failed;) {
        moved = false;
        for (x->current = 0; x->current < x->n_parties; x->current++) {
            party *me = &x->parties[x->current];
            me->blocked = false;
            while (!me->waits && me->at < me->events.count && !x->stopped && !x->failed) {
                run_event(x);
                if (me->blocked) break;
                moved = true;
            }
        }
    }
    if (!x->stopped && !x->failed) report_stuck(x);
}

static void play_once(play *x, int number)
{
    x->number = number;
    memset(x->barriers, 0, sizeof x->barriers);
    x->deeds.count = 0;
    kg_play_begin(&x->phases, x->p, PARTIES);
    for (int i = 0; i < x->n_parties; i++) {
        party *q = &x->parties[i];
        list_party(x, i);
        q->at = 0;
        q->waits = q->blocked = false;
        memset(q->groups, 0, sizeof q->groups);
        memset(q->clock, 0, sizeof q->clock);
        q->clock[i] = 1;
    }
    if (!x->failed) run_all(x);
}

// ---- preparation --------------------------------------------------------------------------------
// Warps that are in the same regions everywhere.
static void find_parties(play *x)
{
    bool cut[PARTIES + 1] = {true};
    int warps = x->p->kernel->warps;
    for (int i = 0; i < x->p->nodes.count; i++) {
        const kg_op *op = kg_sync_node_at(x->p, i)->op;
        if (op->code != KG_OP_WARPS) continue;
        int64_t first = kg_op_int(op, KG_A_FIRST, 0);
        cut[first & 31] = true;
        cut[kg_op_int(op, KG_A_LAST, first + 1) % (PARTIES + 1)] = true;
    }
    cut[warps] = true;
    for (int w = 0, first = 0; w < warps; w++)
        if (cut[w + 1]) {
            x->parties[x->n_parties++] = (party){.first = first, .last = w + 1};
            first = w + 1;
        }
}

static int find_pairs(play *x)
{
    int ring = 1, n = x->p->accesses.count;
    x->meet = KG_NEW_ARRAY(x->p->arena, bool, n *n + 1);
    for (int i = 0; i < x->o->count; i++) {
        const kg_obligation *o = &x->o->items[i];
        const kg_sync_access *a = &x->p->accesses.items[o->a];
        if (!o->by_author || a->global || (o->byte < 0 && a->ring == 1)) continue;
        x->meet[o->a * n + o->b] = x->meet[o->b * n + o->a] = true;
        ring = a->ring > ring ? a->ring : ring;
    }
    return ring;
}

static bool hands_over(const kg_sync_program *p)
{
    if (p->has_phases) return true;
    for (int i = 0; i < p->nodes.count && p->has_roles; i++) {
        const kg_op *op = kg_sync_node_at(p, i)->op;
        if ((op->code == KG_OP_BARRIER || op->code == KG_OP_ARRIVE) && kg_op_attr(op, KG_A_ID))
            return true;
    }
    return false;
}

kg_handshake kg_sync_play_handshakes(const kg_sync_program *p, const kg_obligations *o,
                                     const int *state, kg_diags *diags)
{
    if (!hands_over(p)) return KG_HANDSHAKE_FINE;
    play *x = KG_NEW(p->arena, play);
    *x = (play){.p = p, .o = o, .diags = diags, .state = state};
    x->steps =
        (kg_steps){.p = p, .strict = true, .visit = list_node, .user = x, .limit = EVENT_LIMIT};
    kg_steps_begin(&x->steps);
    find_parties(x);
    int most = 2 * find_pairs(x) + 3;
    for (int number = 0; number <= most && !x->failed && !x->stopped; number++)
        if (kg_steps_assumed(p, number)) play_once(x, number);
    // Tiles are wide: with larger sizes their loops have as many trips.
    for (int n = 1; p->has_phases && n <= most && !x->failed && !x->stopped; n++)
        if (kg_steps_assumed(p, n * TILE)) play_once(x, n * TILE);
    return x->stopped ? KG_HANDSHAKE_WRONG : x->failed ? KG_HANDSHAKE_UNKNOWN : KG_HANDSHAKE_FINE;
}
