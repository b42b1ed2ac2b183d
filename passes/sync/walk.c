// SPDX-License-Identifier: MIT
// Walks a program in all ways that matter to one kind of groups, and notes what happens.
//
// A way is what was chosen for the numbers that only run time knows (trials.c). The walk asks for
// one when it first comes to need it, and the next way is the same up to the last such question
// that has an answer left: so ways that differ in nothing that is asked for are one, and what two
// have in common is noted and judged once.
#include "passes/sync/replay.h"

#include <limits.h>
#include <string.h>

enum { EVENT_LIMIT = 30000, RUN_LIMIT = 3000, TRIP_LIMIT = 4096 };

// ---- events -------------------------------------------------------------------------------------
// What comes now came in the run before this one as well.
static bool shared(const kg_recording *r)
{
    return r->s.moment < r->shared;
}

static void close_groups(kg_recording *r, int commit)
{
    event *events = r->events.items;
    int left = 0;
    for (int i = 0; i < r->loose.count; i++) {
        int copy = r->loose.items[i];
        if (kg_certain_for(r, events[commit].context, events[copy].context))
            events[copy].commit = commit;
        else
            r->loose.items[left++] = copy;
    }
    r->loose.count = left;
}

static int append(kg_recording *r, event e)
{
    int at = r->events.count;
    e.before = r->path.count ? r->path.items[r->path.count - 1] : -1;
    if (e.before >= 0) {
        const event *last = &r->events.items[e.before];
        e.commits = last->commits;
        e.of = last->of;
        e.first = last->first;
    }
    if (e.kind == EVENT_COMMIT) {
        if (!e.commits++ || e.context != e.of) e.first = at;
        e.of = e.context;
    }
    KG_PUSH(r->p->arena, &r->events, e);
    KG_PUSH(r->p->arena, &r->path, at);
    r->work++;
    r->failed |= r->path.count > EVENT_LIMIT || r->work > KG_REPLAY_WORK;
    return at;
}

// The event's number.
static int push(kg_recording *r, event e)
{
    int at = shared(r) ? r->path.items[r->s.moment] : append(r, e);
    r->s.moment++;
    if (e.kind == EVENT_COMMIT) close_groups(r, at);
    if (e.kind == EVENT_COPY) {
        r->events.items[at].commit = -1;
        KG_PUSH(r->p->arena, &r->loose, at);
    }
    return at;
}

static int enter(kg_recording *r, condition inner)
{
    int at = r->n_entered++;
    if (shared(r)) return r->entered.items[at];
    r->entered.count = at;
    KG_PUSH(r->p->arena, &r->entered, r->contexts.count);
    KG_PUSH(r->p->arena, &r->contexts, inner);
    return r->contexts.count - 1;
}

static bool exclusive(const kg_recording *r, int x, int y)
{
    for (int i = x; i; i = r->contexts.items[i].parent)
        for (int j = y; j; j = r->contexts.items[j].parent)
            if (r->contexts.items[i].branch == r->contexts.items[j].branch &&
                r->contexts.items[i].arm != r->contexts.items[j].arm)
                return true;
    return false;
}

static bool slot_of(const kg_recording *r, int access, int64_t *slot)
{
    const kg_sync_access *a = &r->p->accesses.items[access];
    if (!a->at.slot || !kg_scalars_eval(&r->s, a->at.slot, slot)) return false;
    *slot = (*slot % a->ring + a->ring) % a->ring;
    return true;
}

// ---- accesses that need copies ------------------------------------------------------------------
static bool same_place(const event *copy, bool slot_known, int64_t slot, bool one_ring)
{
    return !one_ring || !copy->slot_known || !slot_known || copy->slot == slot;
}

// What must be complete for the access, which comes about now.
static void meet(kg_recording *r, const need *n, int copy, int access, int context)
{
    r->unclosed |= r->events.items[copy].commit < 0;
    meeting m = {
        n, access, context, copy, r->events.items[copy].commit, r->path.items[r->path.count - 1]};
    uint8_t *pair = &r->pair[(size_t)n->a * (size_t)r->p->accesses.count + (size_t)access];
    *pair |= PAIR_SEEN | (m.commit < 0 ? PAIR_OPEN : 0);
    if (m.commit >= 0) KG_PUSH(r->p->arena, &r->meetings, m);
}

static void check(kg_recording *r, int access, int context)
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
            meet(r, n, copy, access, context);
            if (kg_certain_for(r, e->context, context))
                break; // older copies are in older groups; one that may not have run hides none
        }
    }
}

// The kernel's end is an access of all that was copied.
static void check_ends(kg_recording *r)
{
    static const need complete = {.meet = KG_MEET_NONE};
    for (int i = 0; i < r->p->accesses.count && !r->failed; i++)
        for (int copy = r->latest[i]; copy >= 0; copy = r->events.items[copy].earlier) {
            r->copied[i] = true;
            r->work++;
            meet(r, &complete, copy, i, 0);
        }
}

// ---- running ------------------------------------------------------------------------------------
static void run_point(kg_recording *r, int point, int context)
{
    if (kg_points_has(r->acts, point))
        push(r, (event){.kind = EVENT_POINT, .context = context, .number = point});
}

static void run_accesses(kg_recording *r, const kg_sync_node *n, int context)
{
    int end = n->first_access + n->n_accesses;
    for (int i = n->first_access; i < end && !r->ends && !shared(r); i++) check(r, i, context);
    for (int i = n->first_access; i < end; i++) {
        if (r->p->accesses.items[i].group != r->group) continue;
        event e = {.kind = EVENT_COPY, .context = context, .number = i, .earlier = r->latest[i]};
        if (!shared(r)) e.slot_known = slot_of(r, i, &e.slot);
        r->latest[i] = push(r, e);
    }
}

static void set_value(kg_recording *r, const kg_value *value, bool known, int64_t number)
{
    r->s.known[value->id] = known;
    r->s.number[value->id] = number;
}

// The leaf that stands for the trips of a loop whose bounds are not understood.
static kg_leaf *trips_leaf(const kg_recording *r, int block)
{
    for (int i = 0; i < r->s.leaves.count; i++)
        if (!r->s.leaves.items[i].value && r->s.leaves.items[i].loop == block)
            return &r->s.leaves.items[i];
    return NULL;
}

// Goes into a block at stop `next`; BEHIND: to ask whether it is gone through at all.
enum { BEHIND = INT_MAX };
static frame *go_into(kg_recording *r, const kg_sync_node *n, int block, int context, int next)
{
    if (block < 0) return NULL;
    frame *f = &r->frames[r->depth++];
    *f = (frame){.node = n, .block = block, .context = context, .next = next, .step = 1};
    return f;
}

static void run_for(kg_recording *r, const kg_sync_node *n, int context)
{
    const kg_op *op = n->op;
    kg_value *bound = op->operands[1];
    int64_t hi = 0;
    frame f = {.step = 1};
    f.known =
        kg_scalars_eval(&r->s, op->operands[0], &f.low) & kg_const_int(op->operands[2], &f.step);
    f.leaf = kg_is_mutable(bound) || r->s.known[bound->id] ? NULL : kg_scalars_leaf(&r->s, bound);
    f.known = f.known && (f.leaf || kg_scalars_eval(&r->s, bound, &hi));
    if (f.known)
        f.trips = f.leaf || hi <= f.low ? 0 : (hi - f.low + f.step - 1) / f.step;
    else
        f.leaf = trips_leaf(r, n->child[0]);
    r->failed |= f.trips > TRIP_LIMIT || (!f.known && !f.leaf);
    frame *at = go_into(r, n, n->child[0], context, BEHIND);
    at->known = f.known;
    at->low = f.low;
    at->step = f.step;
    at->trips = f.trips;
    at->leaf = f.leaf;
}

static void run_while(kg_recording *r, const kg_sync_node *n, int context)
{
    go_into(r, n, n->child[0], context, 0)->leaf = trips_leaf(r, n->child[0]);
}

static void run_if(kg_recording *r, const kg_sync_node *n, int context)
{
    int64_t c;
    if (kg_scalars_eval(&r->s, n->op->operands[0], &c)) {
        go_into(r, n, n->child[c ? 0 : 1], context, 0);
        return;
    }
    int inner = enter(r, (condition){context, ++r->branches, 0, false});
    go_into(r, n, n->child[0], inner, 0)->other = n->child[1] >= 0;
}

static void run_warps(kg_recording *r, const kg_sync_node *n, int context)
{
    int inner = enter(r, (condition){context, ++r->branches, 0, true});
    go_into(r, n, n->child[0], inner, 0);
}

static void run_group_op(kg_recording *r, int node, const kg_op *op, int context)
{
    int hand = kg_sync_hand_count(r->plan, node, op);
    event e = {.kind = kg_sync_commits(op) == r->group ? EVENT_COMMIT : EVENT_WAIT,
               .context = context,
               .number = hand,
               .read = kg_op_int(op, KG_A_READ, 0) != 0};
    if (hand >= 0) push(r, e);
}

static void run_node(kg_recording *r, int node, int context)
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
static void run_scalar(kg_recording *r, const kg_op *op, int context)
{
    kg_value *target = op->code == KG_OP_ASSIGN ? op->operands[0]
                       : op->n_results          ? op->results[0]
                                                : NULL;
    if (!target || !kg_is_scalar(target) || kg_dtype_info_of(target->type.dtype)->is_float) return;
    int64_t number = 0;
    if (op->code == KG_OP_FRAG || op->code == KG_OP_ASSIGN) {
        bool known = kg_scalars_eval(&r->s, op->operands[op->code == KG_OP_ASSIGN], &number);
        kg_leaf *leaf = known ? NULL : kg_scalars_leaf(&r->s, target);
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
    kg_recording *r = user;
    if (op->code == KG_OP_ASSIGN) r->s.known[op->operands[0]->id] = false;
    return true;
}

// A loop that only counts takes its counter further by as much as it makes trips.
static bool count_on(kg_recording *r, const kg_op *op, int context)
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

static void pass_over(kg_recording *r, const kg_op *op, int context)
{
    if (count_on(r, op, context)) return;
    for (int i = 0; i < op->n_blocks; i++) kg_walk(op->blocks[i], forget, r);
}

static void run_stop(kg_recording *r, const stop *at, int context)
{
    if (at->node < 0)
        run_scalar(r, at->op, context);
    else
        run_point(r, at->point, context);
    if (at->node >= 0 && r->relevant[at->node])
        run_node(r, at->node, context);
    else
        pass_over(r, at->op, context);
}

static void run_end(kg_recording *r, const frame *f)
{
    const kg_sync_block *b = kg_sync_block_at(r->p, f->block);
    if (r->stops[2 * f->block + f->part].to_end && !(b->kind == KG_SB_WHILE && !f->part))
        run_point(r, b->first_point + b->count, f->context);
}

// ---- from block to block ------------------------------------------------------------------------
// Keeps the run as it is when the last question comes up, which nothing has followed from yet.
static void keep_state(kg_recording *r)
{
    static const kept_state none;
    while (r->kept.count < r->s.decisions->count) KG_PUSH(r->p->arena, &r->kept, none);
    kept_state *k = &r->kept.items[r->s.decisions->count - 1];
    if (!k->piece) k->piece = kg_arena_alloc(r->p->arena, r->piece_bytes);
    memcpy(k->piece, r->piece, r->piece_bytes);
    k->kept = true;
    k->depth = r->depth;
    k->moment = r->s.moment;
    k->n_entered = r->n_entered;
    k->loose.count = 0;
    for (int i = 0; i < r->loose.count; i++) KG_PUSH(r->p->arena, &k->loose, r->loose.items[i]);
}

static bool another_trip(kg_recording *r, frame *f)
{
    if (!f->leaf) return f->trip < f->trips;
    int asked = r->s.decisions->count;
    bool more = kg_leaf_exceeds(&r->s, f->leaf, f->known ? f->low + f->trip * f->step : f->trip);
    if (r->s.decisions->count > asked) keep_state(r);
    return more;
}

static void begin_trip(kg_recording *r, frame *f)
{
    kg_value *index = f->node->op->blocks[0]->arg;
    r->s.trip[f->block] = (int)f->trip;
    if (index) set_value(r, index, f->known, f->low + f->trip * f->step);
    f->trip++;
    f->next = 0;
}

// What comes behind a block. False: what is around it goes on.
static bool again(kg_recording *r, frame *f)
{
    if (f->other) {
        int branch = r->contexts.items[f->context].branch;
        int parent = r->contexts.items[f->context].parent;
        f->block = f->node->child[1];
        f->context = enter(r, (condition){parent, branch, 1, false});
        f->next = 0;
        f->other = false;
        return true;
    }
    const kg_sync_block *b = kg_sync_block_at(r->p, f->block);
    if (!kg_sync_is_loop(b)) return false;
    if (b->kind == KG_SB_WHILE && f->part) {
        f->part = f->next = 0; // its condition
        return true;
    }
    if (!another_trip(r, f)) return false;
    f->part = b->kind == KG_SB_WHILE;
    begin_trip(r, f);
    return true;
}

static void run_on(kg_recording *r)
{
    while (r->depth && !r->failed) {
        frame *f = &r->frames[r->depth - 1];
        const stops *list = &r->stops[2 * f->block + f->part];
        int next = f->next;
        if (next <= list->count) f->next++;
        if (next < list->count)
            run_stop(r, &list->items[next], f->context);
        else if (next == list->count)
            run_end(r, f);
        else if (!again(r, f))
            r->depth--;
    }
}

// ---- the runs -----------------------------------------------------------------------------------
static void begin(kg_recording *r)
{
    memset(r->piece, 0, r->piece_bytes);
    memset(r->latest, -1, sizeof *r->latest * (size_t)r->p->accesses.count);
    r->loose.count = 0;
    r->depth = r->s.moment = r->n_entered = 0;
    go_into(r, NULL, 0, 0, 0);
}

// Back to where the last question came up, or to one before it that was kept.
static void go_back(kg_recording *r)
{
    int i = r->s.decisions->count - 1;
    while (i >= 0 && !(i < r->kept.count && r->kept.items[i].kept)) i--;
    for (int k = i + 1; k < r->kept.count; k++) r->kept.items[k].kept = false;
    if (i < 0) {
        begin(r);
        return;
    }
    const kept_state *k = &r->kept.items[i];
    memcpy(r->piece, k->piece, r->piece_bytes);
    r->depth = k->depth;
    r->s.moment = k->moment;
    r->n_entered = k->n_entered;
    r->loose.count = 0;
    for (int n = 0; n < k->loose.count; n++) KG_PUSH(r->p->arena, &r->loose, k->loose.items[n]);
}

// Goes on to the next way.
static bool next_run(kg_recording *r)
{
    kg_decisions *made = r->s.decisions;
    if (!kg_decisions_next(made)) return false;
    r->shared = r->path.count = made->items[made->count - 1].moment;
    go_back(r);
    return true;
}

void kg_walk_all(kg_recording *r)
{
    condition always = {0, 0, 0, false};
    KG_PUSH(r->p->arena, &r->contexts, always);
    begin(r);
    do {
        run_on(r);
        if (r->ends) check_ends(r);
        r->failed |= ++r->runs > RUN_LIMIT;
    } while (!r->failed && next_run(r));
}
