// SPDX-License-Identifier: MIT
// Regions of warps that run beside each other and meet at barriers or by arrivals. Each role has a
// next op; one of them goes on until it is held, then the next. One schedule will do: what the
// roles know of each other does not depend on it, since barriers say who waits for whom.
#include "passes/validate/model.h"

#include <string.h>

enum { MOST_STEPS = 64, FAR_BEHIND = 4 };

typedef struct crew {
    validator *v;
    const kg_op *regions[MOST_ROLES];
    int count;
    bool copies[MOST_ROLES];
    uint32_t loops[MOST_ROLES], idle; // of a role, that have partners; that only count
    bool last;                        // behind them nobody touches anything
    int leader;                       // its trips are where equal states are looked for
    state_set work, visited, out;
} crew;

// ---- which regions ------------------------------------------------------------------------------

static bool meets_others(const kg_block *block, int threads)
{
    for (const kg_op *op = block->first; op; op = op->next) {
        if (op->code == KG_OP_ARRIVE || validator_at_mbarrier(op)) return true;
        if (op->code == KG_OP_BARRIER && kg_op_int(op, KG_A_COUNT, threads) != threads) return true;
        for (int i = 0; i < op->n_blocks; i++)
            if (meets_others(op->blocks[i], threads)) return true;
    }
    return false;
}

static uint32_t warps_in(const kg_op *region)
{
    int64_t first = kg_op_int(region, KG_A_FIRST, 0), last = kg_op_int(region, KG_A_LAST, 1);
    return (uint32_t)(((UINT64_C(1) << (last - first)) - 1) << first);
}

static bool copies_in_bulk(const kg_block *block)
{
    for (const kg_op *op = block->first; op; op = op->next) {
        if (op->code == KG_OP_COPY_BULK) return true;
        for (int i = 0; i < op->n_blocks; i++)
            if (copies_in_bulk(op->blocks[i])) return true;
    }
    return false;
}

static bool accesses_from(const validator *v, const kg_op *op)
{
    for (; op; op = op->next) {
        if (v->first_access[op->id] >= 0) return true;
        for (int i = 0; i < op->n_blocks; i++)
            if (accesses_from(v, op->blocks[i]->first)) return true;
    }
    return false;
}

static bool region_meets(const kg_op *region)
{
    int64_t first = kg_op_int(region, KG_A_FIRST, 0), last = kg_op_int(region, KG_A_LAST, 1);
    return meets_others(region->blocks[0], (int)(32 * (last - first)));
}

const kg_op *validator_last_role(const validator *v, const kg_op *first)
{
    const kg_op *last = NULL;
    bool any = false;
    uint32_t warps = 0;
    for (const kg_op *op = first; op; op = op->next) {
        if (op->code == KG_OP_WARPS) {
            if (warps & warps_in(op)) break; // the same warps do the one, then the other
            warps |= warps_in(op);
            any |= region_meets(op);
            last = op;
        } else if (v->matters[op->id]) {
            break;
        }
    }
    return any ? last : NULL;
}

// ---- positions ----------------------------------------------------------------------------------

static const kg_op *skip(const validator *v, const kg_op *op)
{
    while (op && !v->matters[op->id]) op = op->next;
    return op;
}

static void put(crew *c, state *s, int role, const kg_op *op)
{
    s->next[role] = op ? op->id : ROLE_DONE;
    if (!op && c->last) s->alive &= ~warps_in(c->regions[role]);
    state_push(c->v, &c->work, s);
}

// One state may have gone into both arms, and what was chosen is not remembered: where it is, what
// comes out of the one is never equal to what comes out of the other.
static bool may_go_both_ways(const validator *v, const kg_op *branch)
{
    const guard *g = &v->guards[branch->id];
    return g->kind == GUARD_FREE && g->condition < 0;
}

static void go_to_block(crew *c, state *s, int role, const kg_block *block);
static void go_behind(crew *c, state *s, int role, const kg_op *op);

// States at the head of a loop: into the next trip, or behind it. The last one is taken up first;
// who only counts comes to the loop's end before it counts for ever.
static void go_from_head(crew *c, state_set *heads, int role, const kg_op *loop)
{
    for (int i = heads->count - 1; i >= 0 && !c->v->stop; i--) {
        state *s = heads->items[i];
        s->head |= role == c->leader;
        if (s->distance[c->v->loop_of[loop->id]] > 0) {
            go_to_block(c, s, role, loop->blocks[0]);
            continue;
        }
        validator_leave(c->v, loop, s);
        go_behind(c, s, role, loop);
    }
}

static void go_behind(crew *c, state *s, int role, const kg_op *op)
{
    const kg_op *next = skip(c->v, op->next), *owner = op->parent->owner;
    state_set heads = {0};
    validator_forget_scalars(c->v, s, op);
    if (next || owner == c->regions[role]) {
        put(c, s, role, next);
    } else if (owner->code == KG_OP_FOR) {
        validator_go_on(c->v, owner, &heads, s);
        go_from_head(c, &heads, role, owner);
    } else {
        s->head |= role == c->leader && may_go_both_ways(c->v, owner); // the other arm came here
        go_behind(c, s, role, owner);
    }
}

static void go_to_block(crew *c, state *s, int role, const kg_block *block)
{
    const kg_op *first = skip(c->v, block->first);
    state_set heads = {0};
    if (first || block->owner == c->regions[role]) {
        put(c, s, role, first);
    } else if (block->owner->code == KG_OP_FOR) {
        validator_go_on(c->v, block->owner, &heads, s); // a trip without a thing in it
        go_from_head(c, &heads, role, block->owner);
    } else {
        go_behind(c, s, role, block->owner);
    }
}

// ---- steps --------------------------------------------------------------------------------------

static void step(crew *c, state *s, int role, const kg_op *op)
{
    validator *v = c->v;
    state *only[] = {s};
    state_set one = {.items = only, .count = 1, .capacity = 1};
    state_set heads = {0}, arms[2] = {{0}, {0}};
    switch (op->code) {
    case KG_OP_FOR:
        validator_enter(v, op, &heads, &one);
        go_from_head(c, &heads, role, op);
        return;
    case KG_OP_IF:
        validator_branch(v, op, arms, &one);
        for (int arm = 0; arm < 2; arm++)
            for (int i = 0; i < arms[arm].count; i++)
                if (arm < op->n_blocks)
                    go_to_block(c, arms[arm].items[i], role, op->blocks[arm]);
                else
                    go_behind(c, arms[arm].items[i], role, op);
        return;
    case KG_OP_WHILE:
    case KG_OP_WARPS:
        validator_give_up(v, "'%s' inside of a role that meets others is not modelled",
                          kg_op_info_of(op->code)->name);
        return;
    case KG_OP_BARRIER:
    case KG_OP_ARRIVE:
        // One that is held goes on behind the barrier, but only when it is not held any more.
        validator_arrive(v, s, op, role, op->code == KG_OP_BARRIER);
        go_behind(c, s, role, op);
        return;
    case KG_OP_MBARRIER_WAIT:
        if (v->first_access[op->id] >= 0) validator_access(v, &one, op);
        validator_mbarrier(v, s, op, role);
        go_behind(c, s, role, op);
        return;
    default:
        validator_plain_op(v, op, &one);
        for (int i = 0; i < one.count && !v->stop; i++) go_behind(c, one.items[i], role, op);
    }
}

static bool inside_crew(const crew *c, const kg_op *op)
{
    for (; op; op = op->parent->owner)
        for (int i = 0; i < c->count; i++)
            if (op == c->regions[i]) return true;
    return false;
}

// Somebody else may still arrive at the mbarrier, behind these regions or in another trip around.
static bool others_come(const crew *c, int slot)
{
    const validator *v = c->v;
    bool again = kg_loops_around(c->regions[0]) > 0;
    for (int i = 0; i < v->accesses.count; i++) {
        const access_model *a = &v->accesses.items[i];
        bool here = a->use && v->mbarrier_root[a->mbarrier] == v->mbarrier_root[slot];
        if (!here || a->at.op->code == KG_OP_MBARRIER_WAIT) continue;
        if (again || (!inside_crew(c, a->at.op) && a->at.op->id > c->regions[0]->id)) return true;
    }
    return false;
}

static void report_at_mbarrier(crew *c, const state *s)
{
    for (int i = 0; i < c->v->n_mbarriers; i++) {
        const mbarrier *m = &mbarriers_of(c->v, s)[i];
        if (!m->waiting) continue;
        if (others_come(c, i))
            validator_give_up(c->v, "regions of warps that meet do not follow each other directly");
        else
            validator_report_waiting(c->v, s, i, c->v->accesses.items[m->held].at.op);
        return;
    }
}

// Nobody can go on: somebody waits for an arrival that never comes.
static void report_stuck(crew *c, const state *s)
{
    for (int i = 0; i < BARRIERS; i++) {
        const meeting *m = &s->meetings[i];
        if (!m->waiting) continue;
        const kg_op *region = c->regions[__builtin_ctz(m->waiting)];
        access_model here = {.at = {.op = region}, .region = m->warps};
        complaint stuck = {.certain = true, .b = &here, .cell = -1};
        stuck.what =
            kg_arena_printf(c->v->arena, "waits for ever at barrier %d: %d of %d threads come", i,
                            m->arrived, m->count);
        validator_report(c->v, s, &stuck);
        return;
    }
    report_at_mbarrier(c, s);
}

// ---- turning ------------------------------------------------------------------------------------

static bool stands_in(const kg_op *op, const kg_op *around)
{
    for (op = op->parent->owner; op; op = op->parent->owner)
        if (op == around) return true;
    return false;
}

// Who stands in front of `next` comes to the op: it is behind that, or in a loop around both.
static bool comes_to(const kg_op *next, const kg_op *op)
{
    if (op->id >= next->id) return true;
    for (const kg_op *o = next->parent->owner; o; o = o->parent->owner)
        if (kg_is_loop(o) && stands_in(op, o)) return true;
    return false;
}

static bool is_to_come(const crew *c, const state *s, const kg_op *op)
{
    if (op->id < c->regions[0]->id) return false; // no loop is around the regions
    for (int role = 0; role < c->count; role++)
        if (stands_in(op, c->regions[role]))
            return s->next[role] != ROLE_DONE && comes_to(c->v->ops[s->next[role]], op);
    return true;
}

// The classes whose anchors are all behind, as bits.
static uint32_t free_to_turn(const crew *c, const state *s)
{
    uint32_t found = 0;
    if (kg_loops_around(c->regions[0]) > 0) return 0;
    for (int i = 0; i < c->v->turns.count && i < 32; i++) {
        const ring_class *t = &c->v->turns.items[i];
        bool come = false;
        for (int k = 0; k < t->n_anchors && !come; k++) come = is_to_come(c, s, t->anchors[k]);
        if (!come) found |= 1u << i;
    }
    return found;
}

// ---- going on -----------------------------------------------------------------------------------

// Who lets copies come does so only when nobody else can go on, so that consumers wait for each
// copy at the same place. Last comes who would count ahead of all others, for nothing holds it.
static int patience(const crew *c, const state *s, int role)
{
    bool idly =
        (c->loops[role] & c->idle) && validator_leads_idly(c->v, s, c->v->ops[s->next[role]]);
    return idly ? 2 : c->copies[role];
}

// Of CTAs that go together the one that is behind comes first.
static bool comes_before(const crew *c, const state *s, int role, int other)
{
    int ours = patience(c, s, role), others = patience(c, s, other);
    if (ours != others) return ours < others;
    return c->v->ctas.count && validator_trips_behind(c->v, s, c->loops[role]) >
                                   validator_trips_behind(c->v, s, c->loops[other]);
}

// One that can go on; ROLE_NONE: none can. One that others are far ahead of comes first.
static int choose(const crew *c, const state *s, bool *done)
{
    int chosen = ROLE_NONE;
    *done = true;
    for (int role = 0; role < c->count; role++) {
        *done &= s->next[role] == ROLE_DONE;
        if (s->next[role] == ROLE_DONE || s->held >> role & 1) continue;
        if (validator_trips_behind(c->v, s, c->loops[role]) >= FAR_BEHIND) return role;
        if (chosen == ROLE_NONE || comes_before(c, s, role, chosen)) chosen = role;
    }
    return chosen;
}

static void go_on(crew *c, state *s)
{
    bool done;
    int role = choose(c, s, &done);
    if (role != ROLE_NONE) {
        step(c, s, role, c->v->ops[s->next[role]]);
        return;
    }
    if (!done) {
        report_stuck(c, s);
        return;
    }
    for (role = 0; role < c->count; role++) s->next[role] = ROLE_NONE;
    state_push(c->v, &c->out, s);
}

void validator_roles(validator *v, const kg_op *first, const kg_op *last, state_set *set)
{
    crew c = {.v = v};
    for (const kg_op *op = first;; op = op->next) {
        if (op->code == KG_OP_WARPS && c.count == MOST_ROLES) {
            validator_give_up(v, "more than %d roles", MOST_ROLES);
            return;
        }
        if (op->code == KG_OP_WARPS) {
            c.copies[c.count] = copies_in_bulk(op->blocks[0]);
            c.regions[c.count++] = op;
        }
        if (op == last) break;
    }
    for (int role = 0; role < c.count; role++)
        if (!c.copies[role]) c.leader = role;
    for (int i = 0; i < v->loops.count; i++) {
        const loop_model *l = &v->loops.items[i];
        if (l->idle) c.idle |= 1u << i;
        for (int role = 0; l->partners >= 0 && role < c.count; role++)
            if (l->role == c.regions[role]) c.loops[role] |= 1u << i;
    }
    // A CTA of a cluster still has to learn, before it ends, what others do to it.
    c.last = !v->ctas.count && !last->parent->owner && !accesses_from(v, last->next);
    for (int i = 0; i < set->count; i++) {
        state *s = set->items[i];
        for (int role = 0; c.last && role < c.count; role++)
            s->alive = (role ? s->alive : 0) | warps_in(c.regions[role]);
        for (int role = 0; role < c.count; role++) {
            const kg_op *start = skip(v, c.regions[role]->blocks[0]->first);
            s->next[role] = start ? start->id : ROLE_DONE;
        }
        s->head = true;
        state_push(v, &c.work, s);
    }
    while (c.work.count && !validator_spent(v)) {
        state *s = c.work.items[--c.work.count];
        if (s->head && v->n_mbarriers) validator_tidy(v, s);
        if (s->head && state_known(v, &c.visited, s, validator_turn(v, s, free_to_turn(&c, s)))) {
            state_free(v, s);
            continue;
        }
        v->states += s->head;
        v->work += v->n_cells / 8 + 1;
        s->steps = (uint8_t)(s->head ? 0 : s->steps + 1);
        s->head = s->steps >= MOST_STEPS;
        go_on(&c, s);
    }
    *set = c.out;
    state_unify(v, set);
}
