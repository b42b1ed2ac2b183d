// SPDX-License-Identifier: MIT
// Runs a kernel's scalars and synchronization for a few trips of a loop and writes down what
// happens. See timeline.h.
#include "passes/sync/timeline.h"
#include "passes/sync/phases.h"
#include "passes/sync/scalars.h"

#include <string.h>

enum { MORE_TRIPS = 2, PLAIN_TRIPS = 2, MOST_TRIPS = 8, STEPS_AROUND = 12, ROUNDS = 2 };
enum { GROUPS = 512, SLOTS = 64, MBARRIERS = 16 };

// Groups of one kind, that end in the order of their commits.
typedef struct flights {
    int committed, complete;
    int open;           // works in the group that is not closed yet
    int filled[GROUPS]; // works by group, for the newest
} flights;

typedef struct runner {
    const kg_sync_program *p;
    kg_timeline *line;
    kg_scalars s;
    bool *pinned;  // by value id: chosen by us, whatever the program computes
    bool *follows; // by value id
    int *node_of;  // by op id, -1
    int phase, trip, round, step;
    const kg_op *role;
    flights groups[KG_GROUPS];
    // Slots of mbarriers that bulk copies were announced to: until the slot is free again, they may
    // be under way.
    const kg_value *announced[MBARRIERS];
    bool under_way[MBARRIERS][SLOTS];
} runner;

static void set_value(runner *r, const kg_value *value, bool known, int64_t number)
{
    if (r->pinned[value->id]) return;
    r->s.known[value->id] = known;
    r->s.number[value->id] = number;
}

static void pin(runner *r, const kg_value *value, int64_t number)
{
    r->pinned[value->id] = false;
    set_value(r, value, true, number);
    r->pinned[value->id] = true;
}

// ---- events -------------------------------------------------------------------------------------
static int in_flight(const runner *r)
{
    int n = 0;
    for (int kind = 0; kind < KG_GROUPS; kind++) {
        const flights *f = &r->groups[kind];
        for (int g = f->complete + 1; g <= f->committed; g++) n += f->filled[g % GROUPS] > 0;
    }
    for (int i = 0; i < MBARRIERS * SLOTS; i++) n += r->under_way[i / SLOTS][i % SLOTS];
    return n;
}

static void note(runner *r, kg_timeline_event e, const kg_op *op)
{
    e.step = r->step;
    e.phase = r->phase;
    e.trip = r->trip;
    e.round = r->round;
    e.op = op;
    e.role = r->role;
    e.in_flight = in_flight(r);
    KG_PUSH(r->p->arena, &r->line->events, e);
}

static int slot_of(const runner *r, const kg_sync_access *a)
{
    int64_t slot;
    if (a->ring <= 1) return 0;
    if (!a->at.slot || !kg_scalars_eval(&r->s, a->at.slot, &slot)) return -1;
    return (int)((slot % a->ring + a->ring) % a->ring);
}

static void run_accesses(runner *r, const kg_sync_node *n)
{
    bool noted = false;
    kg_group works = KG_GROUP_NONE;
    for (int i = n->first_access; i < n->first_access + n->n_accesses; i++) {
        const kg_sync_access *a = &r->p->accesses.items[i];
        if (a->async && a->group != KG_GROUP_NONE) works = a->group;
    }
    if (works != KG_GROUP_NONE) r->groups[works].open++;
    for (int i = n->first_access; i < n->first_access + n->n_accesses; i++) {
        const kg_sync_access *a = &r->p->accesses.items[i];
        if (a->global || a->object || a->registers) continue;
        kg_timeline_event e = {.buffer = a->at.root, .slot = slot_of(r, a)};
        e.kind = (a->async || a->async_proxy) && a->writes ? KG_TIMELINE_COPY
                 : a->writes                               ? KG_TIMELINE_WRITE
                                                           : KG_TIMELINE_READ;
        if (e.kind == KG_TIMELINE_COPY && a->group == KG_GROUP_COPY)
            e.group = r->groups[KG_GROUP_COPY].committed + 1;
        note(r, e, n->op);
        noted = true;
    }
    r->step += noted;
}

// Bulk copies are announced to a slot of an mbarrier, which was waited for: what came into it
// before is there.
static void announce(runner *r, const kg_op *op)
{
    int node = r->node_of[op->id], i = 0;
    if (node < 0 || !kg_sync_node_at(r->p, node)->n_accesses) return;
    const kg_sync_access *a = &r->p->accesses.items[kg_sync_node_at(r->p, node)->first_access];
    int slot = slot_of(r, a);
    while (i < MBARRIERS && r->announced[i] && r->announced[i] != a->at.root) i++;
    if (i == MBARRIERS || slot < 0 || slot >= SLOTS) return;
    r->announced[i] = a->at.root;
    r->under_way[i][slot] = true;
}

static void run_sync(runner *r, const kg_op *op)
{
    kg_timeline_event e = {.kind = KG_TIMELINE_MEET};
    kg_group commits = kg_sync_commits(op), waits = kg_sync_waits_for(op);
    if (commits != KG_GROUP_NONE) {
        flights *f = &r->groups[commits];
        e.kind = KG_TIMELINE_COMMIT;
        f->filled[++f->committed % GROUPS] = f->open;
        f->open = 0;
        if (commits == KG_GROUP_COPY) e.group = f->committed;
    } else if (waits != KG_GROUP_NONE) {
        flights *f = &r->groups[waits];
        int complete = f->committed - (int)kg_op_int(op, KG_A_COUNT, 0);
        if (complete > f->complete) f->complete = complete;
        e.kind = KG_TIMELINE_WAIT;
        if (waits == KG_GROUP_COPY) e.group = f->complete;
    } else if (kg_sync_is_phase_wait(op)) {
        e.kind = KG_TIMELINE_WAIT;
    } else if (kg_op_attr(op, KG_A_BYTES)) {
        announce(r, op);
    }
    note(r, e, op);
    r->step++;
}

// ---- the program --------------------------------------------------------------------------------
static void run_block(runner *r, const kg_block *block);

static bool worth_drawing(const kg_sync_program *p, int block);

// A loop of the role inside of this one synchronizes or copies.
static bool holds_one(const runner *r, const kg_op *loop)
{
    for (int i = 0; i < r->p->blocks.count; i++) {
        const kg_sync_block *b = kg_sync_block_at(r->p, i);
        const kg_op *inner = kg_sync_is_loop(b) ? kg_sync_node_at(r->p, b->owner)->op : NULL;
        if (inner && inner != loop && kg_op_inside(inner, loop) && worth_drawing(r->p, i))
            return true;
    }
    return false;
}

// The loop that is drawn; of roles each loop that synchronizes, and has none inside that does.
static bool is_drawn(const runner *r, const kg_op *loop)
{
    if (!r->role || loop == r->line->loop) return loop == r->line->loop;
    int node = r->node_of[loop->id];
    return node >= 0 && worth_drawing(r->p, kg_sync_node_at(r->p, node)->child[0]) &&
           !holds_one(r, loop);
}

static void run_trips(runner *r, const kg_op *loop, int trips, int64_t lo, int64_t step, int *trip)
{
    for (int t = 0; t < trips; t++) {
        if (trip) *trip = t;
        if (trip == &r->round) r->phase = 0;
        if (loop->blocks[0]->arg) set_value(r, loop->blocks[0]->arg, true, lo + t * step);
        for (int i = 0; i < loop->n_blocks; i++) run_block(r, loop->blocks[i]);
    }
}

static int trips_of(runner *r, const kg_op *loop, int64_t *lo, int64_t *step)
{
    int64_t hi, trips;
    if (loop->code == KG_OP_WHILE) return r->line->trips;
    if (!kg_scalars_eval(&r->s, loop->operands[0], lo)) *lo = 0;
    if (!kg_const_int(loop->operands[2], step)) *step = 1;
    if (!kg_scalars_eval(&r->s, loop->operands[1], &hi)) return r->line->trips;
    trips = hi > *lo ? (hi - *lo + *step - 1) / *step : 0;
    if (trips > r->line->trips) r->line->cut = true;
    return trips > r->line->trips ? r->line->trips : (int)trips;
}

// Loops of a role around those that are drawn: CTAs that go from tile to tile.
static void run_rounds(runner *r, const kg_op *loop)
{
    int64_t lo = 0, step = 1;
    int rounds = trips_of(r, loop, &lo, &step);
    if (rounds > ROUNDS) rounds = ROUNDS, r->line->cut = true;
    run_trips(r, loop, rounds, lo, step, &r->round);
    if (rounds > r->line->rounds) r->line->rounds = rounds;
    r->round = 0;
    r->phase = 2;
}

static void run_loop(runner *r, const kg_op *loop)
{
    int64_t lo = 0, step = 1;
    if (is_drawn(r, loop)) {
        int phase = r->phase, trips = trips_of(r, loop, &lo, &step);
        r->phase = 1;
        run_trips(r, loop, trips, lo, step, &r->trip);
        r->phase = 2;
        if (phase == 1) r->phase = 1;
    } else if (r->role && holds_one(r, loop)) {
        run_rounds(r, loop);
    } else if (r->role || r->phase == 1 || kg_op_inside(r->line->loop, loop)) {
        trips_of(r, loop, &lo, &step);
        run_trips(r, loop, 1, lo, step, NULL);
    }
}

static void run_if(runner *r, const kg_op *op)
{
    int64_t c = 1;
    if (!kg_scalars_eval(&r->s, op->operands[0], &c)) c = 1;
    if (c || op->n_blocks > 1) run_block(r, op->blocks[c ? 0 : 1]);
}

static void run_role(runner *r, const kg_op *op)
{
    r->role = op;
    int phase = r->phase; // a loop around the roles is drawn as itself
    if (phase == 2) r->phase = 0;
    memset(r->groups, 0, sizeof r->groups); // groups belong to threads
    memset(r->announced, 0, sizeof r->announced);
    memset(r->under_way, 0, sizeof r->under_way);
    run_block(r, op->blocks[0]);
    r->role = NULL;
    r->phase = phase == 1 ? 1 : 2;
}

static void run_scalar(runner *r, const kg_op *op)
{
    const kg_value *target = op->code == KG_OP_ASSIGN ? op->operands[0]
                             : op->n_results          ? op->results[0]
                                                      : NULL;
    int64_t number = 0;
    bool known;
    if (!target || !kg_is_scalar(target) || kg_dtype_info_of(target->type.dtype)->is_float) return;
    if (op->code == KG_OP_FRAG || op->code == KG_OP_ASSIGN)
        known = kg_scalars_eval(&r->s, op->operands[op->code == KG_OP_ASSIGN], &number);
    else if (r->follows[target->id])
        known = kg_scalars_compute(&r->s, op, &number);
    else
        return;
    set_value(r, target, known, number);
}

static void run_block(runner *r, const kg_block *block)
{
    for (const kg_op *op = block->first; op; op = op->next) {
        int node = r->node_of[op->id];
        if (kg_is_loop(op))
            run_loop(r, op);
        else if (op->code == KG_OP_IF)
            run_if(r, op);
        else if (op->code == KG_OP_WARPS)
            run_role(r, op);
        else if (kg_op_info_of(op->code)->cls == KG_CLASS_Y)
            run_sync(r, op);
        else if (node >= 0)
            run_accesses(r, kg_sync_node_at(r->p, node));
        run_scalar(r, op);
    }
}

// ---- which loops, how many trips ----------------------------------------------------------------
static int ring_of(const kg_sync_program *p, const kg_op *loop)
{
    int ring = 1;
    for (int i = 0; i < p->accesses.count; i++) {
        const kg_sync_access *a = &p->accesses.items[i];
        if (!a->global && a->ring > ring && kg_op_inside(a->at.op, loop)) ring = a->ring;
    }
    return ring;
}

// Something in the loop, but in no loop inside of it, synchronizes or copies.
static bool worth_drawing(const kg_sync_program *p, int block)
{
    for (int i = 0; i < p->nodes.count; i++) {
        const kg_sync_node *n = kg_sync_node_at(p, i);
        bool speaks =
            kg_op_info_of(n->op->code)->cls == KG_CLASS_Y || n->op->code == KG_OP_COPY_ASYNC;
        int at = n->block;
        while (speaks && at >= 0 && at != block && !kg_sync_is_loop(kg_sync_block_at(p, at)))
            at = kg_sync_parent(p, at);
        if (speaks && at == block) return true;
    }
    return false;
}

// Bounds that run time decides: a start of 0, an end so that all trips are drawn.
static void pin_bounds(runner *r)
{
    for (int i = 0; i < r->p->nodes.count; i++) {
        const kg_op *op = kg_sync_node_at(r->p, i)->op;
        int64_t lo = 0, hi, step = 1;
        if (op->code != KG_OP_FOR) continue;
        if (!kg_scalars_eval(&r->s, op->operands[0], &lo)) pin(r, op->operands[0], lo = 0);
        kg_const_int(op->operands[2], &step);
        if (!kg_scalars_eval(&r->s, op->operands[1], &hi))
            pin(r, op->operands[1], lo + r->line->trips * step);
    }
}

// Far from the loop nothing is drawn.
static void trim(kg_timeline *line)
{
    int first = 0, last = 0, kept = 0;
    if (line->rounds) return;
    for (int i = 0; i < line->events.count; i++) {
        if (line->events.items[i].phase == 0) first = line->events.items[i].step;
        if (line->events.items[i].phase <= 1) last = line->events.items[i].step;
    }
    for (int i = 0; i < line->events.count; i++) {
        kg_timeline_event e = line->events.items[i];
        if (e.phase == 0 && e.step <= first - STEPS_AROUND) continue;
        if (e.phase == 2 && e.step > last + STEPS_AROUND) continue;
        line->events.items[kept++] = e;
    }
    line->events.count = kept;
}

static void draw(const kg_sync_program *p, const kg_op *loop, kg_timelines *out)
{
    int n_ops, n_values = kg_kernel_number(p->kernel, &n_ops), ring = ring_of(p, loop);
    kg_timeline line = {.loop = loop, .ring = ring};
    line.trips = ring > 1 ? ring + MORE_TRIPS : PLAIN_TRIPS;
    if (line.trips > MOST_TRIPS) line.trips = MOST_TRIPS;
    runner r = {.p = p, .line = &line};
    r.s = (kg_scalars){.p = p,
                       .number = KG_NEW_ARRAY(p->arena, int64_t, n_values + 1),
                       .known = KG_NEW_ARRAY(p->arena, bool, n_values + 1),
                       .trip = KG_NEW_ARRAY(p->arena, int, p->blocks.count + 1)};
    r.pinned = KG_NEW_ARRAY(p->arena, bool, n_values + 1);
    r.follows = KG_NEW_ARRAY(p->arena, bool, n_values + 1);
    r.s.frozen = r.follows;
    r.node_of = KG_NEW_ARRAY(p->arena, int, n_ops + 1);
    memset(r.node_of, -1, sizeof *r.node_of * (size_t)(n_ops + 1));
    for (int i = 0; i < p->nodes.count; i++) r.node_of[kg_sync_node_at(p, i)->op->id] = i;
    kg_scalars_mark_followers(p->kernel, r.follows);
    pin_bounds(&r);
    run_block(&r, p->kernel->body);
    trim(&line);
    if (line.events.count) KG_PUSH(p->arena, out, line);
}

void kg_sync_timelines(const kg_sync_program *p, kg_timelines *out)
{
    bool role_drawn = false;
    for (int i = 0; i < p->blocks.count; i++) {
        const kg_sync_block *b = kg_sync_block_at(p, i);
        if (!kg_sync_is_loop(b) || !worth_drawing(p, i)) continue;
        bool in_role = b->region >= 0;
        if (!in_role || !role_drawn) draw(p, kg_sync_node_at(p, b->owner)->op, out);
        role_drawn |= in_role;
    }
}
