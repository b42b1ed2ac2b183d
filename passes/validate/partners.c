// SPDX-License-Identifier: MIT
// Loops of several roles that make the same trips. However many these are, the roles make them
// together: otherwise one could end while the other still waits for it. The role that is ahead
// finds out, trip by trip, whether the loop goes on; a script keeps that for those who follow. It
// stays short, for a ring lets nobody run far ahead. Nested loops have scripts of their own: with
// as many trips in each run, it does not matter which run is taken for which.
//
// A role may make its first trips, a constant number of them, in front of its loop: that loop lags
// behind the others, and begins with what these found out about so many trips.
//
// A role that has nothing to do in some trip of a loop around may count the trips of an inner one
// nevertheless. The loops in the two arms of its branch go by one place in the script.
#include "passes/validate/model.h"

#include <string.h>

// The region that the loop stands in, and the loop around it within the region; both may be NULL.
static const kg_op *role_of(const kg_op *loop, const kg_op **around)
{
    *around = NULL;
    for (const kg_op *op = loop->parent->owner; op; op = op->parent->owner) {
        if (op->code == KG_OP_WARPS) return op;
        if (kg_is_loop(op) && !*around) *around = op;
    }
    return NULL;
}

static bool same_step(const loop_model *a, const loop_model *b)
{
    if (a->step || b->step) return a->step == b->step;
    linear x = linear_of(a->op->operands[2]), y = linear_of(b->op->operands[2]);
    linear d = linear_sum(&x, &y, -1);
    return x.known && y.known && linear_is_constant(&d) && d.constant == 0;
}

// By how many trips a loop's run is shorter than the other's, given the same number to go by.
static bool differ_by(const loop_model *a, const loop_model *b, int64_t *trips)
{
    enum { MOST = 4 };
    int64_t step = a->step ? a->step / a->unit : 0, apart = b->trips.offset - a->trips.offset;
    *trips = step ? apart / step : 0;
    return a->trips.sign == b->trips.sign && a->unit == b->unit && *trips * step == apart &&
           *trips >= -MOST && *trips <= MOST;
}

static bool same_trips(const loop_model *a, const loop_model *b)
{
    int64_t trips;
    return a->op->code == KG_OP_FOR && b->op->code == KG_OP_FOR && a->trips.variable >= 0 &&
           a->trips.variable == b->trips.variable && a->trips.limit == b->trips.limit &&
           same_step(a, b) && differ_by(a, b, &trips) && (!a->trips.limit || !trips);
}

static variable *variable_of(const validator *v, const loop_model *l)
{
    return l->trips.variable < 0 ? NULL : &v->variables.items[l->trips.variable];
}

// The branch asks for trips of the loop, so it leaves none of its long runs out.
static bool asks_for_trips(const validator *v, const kg_op *branch, const loop_model *l)
{
    const guard *g = branch->code == KG_OP_IF ? &v->guards[branch->id] : NULL;
    if (!g || g->kind != GUARD_VALUE || g->equals || g->shift_loop >= 0 ||
        g->of.variable != l->trips.variable)
        return false;
    // -x + offset > least is not x > offset - least - 1
    bool same = g->of.sign == l->trips.sign, first = l->op->parent == branch->blocks[0];
    int64_t least = same ? g->least - g->of.offset : g->of.offset - g->least - 1;
    return (g->negated == same) != first && least + l->trips.offset <= l->most;
}

// The loop in the other arm of a branch that stands directly in `around`, going by the same number:
// each trip of `around` makes a run of the one or of the other. NULL: there is none.
static loop_model *in_other_arm(const validator *v, const loop_model *l, const kg_op *around)
{
    const kg_op *branch = l->op->parent->owner;
    if (!around || branch->code != KG_OP_IF || branch->parent->owner != around) return NULL;
    for (int i = 0; i < v->loops.count; i++) {
        loop_model *k = &v->loops.items[i];
        int64_t trips;
        if (k->op->parent->owner == branch && k->op->parent != l->op->parent && same_trips(k, l) &&
            differ_by(k, l, &trips) && !trips)
            return k;
    }
    return NULL;
}

// Each trip of `around` makes one run of the loop; how long it is may change with the trip.
static bool once_a_trip(const validator *v, const loop_model *l, const kg_op *around)
{
    const kg_op *owner = l->op->parent->owner;
    if (around && in_other_arm(v, l, around)) owner = owner->parent->owner;
    if (around && owner != around && asks_for_trips(v, owner, l)) owner = owner->parent->owner;
    return around && owner == around;
}

// As many trips in each run, because roles that go together compute it from what they go by.
static bool twin_trips(const validator *v, const loop_model *a, const loop_model *b,
                       const kg_op *around, const kg_op *others)
{
    const variable *x = variable_of(v, a), *y = variable_of(v, b);
    int64_t trips;
    if (!x || !y || x == y || a->op->code != KG_OP_FOR || b->op->code != KG_OP_FOR) return false;
    if (x->unit != y->unit || !differ_by(a, b, &trips)) return false;
    if (!once_a_trip(v, a, around) || !once_a_trip(v, b, others)) return false;
    return x->script == 0 && same_step(a, b) && linear_correspond(v, &x->part, &y->part);
}

// One decides for all: what the one has to tell apart, they all do.
static bool agree_on(validator *v, variable *x, variable *y)
{
    int64_t low = x->low < y->low ? x->low : y->low, high = x->high > y->high ? x->high : y->high;
    if (high - low > MOST_VALUES) return false;
    if (!y->script) {
        y->script = 1 + v->n_scripts++;
        y->seat = v->seats[y->script - 1]++;
    }
    x->script = y->script;
    x->seat = v->seats[x->script - 1]++;
    for (int i = 0; i < v->variables.count; i++) {
        variable *z = &v->variables.items[i];
        if (z->script == x->script) z->low = low, z->high = high;
    }
    return true;
}

static bool has_seat(const validator *v, int set, const kg_op *role)
{
    const kg_op *around;
    for (int i = 0; i < v->loops.count; i++)
        if (v->loops.items[i].partners == set && role_of(v->loops.items[i].op, &around) == role)
            return true;
    return false;
}

// Loops around both of them are partners too.
static bool as_deep(const validator *v, const kg_op *a, const kg_op *b)
{
    if (!a || !b) return !a && !b;
    int set = v->loops.items[v->loop_of[a->id]].partners;
    return set >= 0 && set == v->loops.items[v->loop_of[b->id]].partners;
}

// What one of a set has to tell apart, they all do.
static void level_most(validator *v, const loop_model *a)
{
    int64_t most = a->most;
    for (int i = 0; i < v->loops.count; i++) {
        const loop_model *l = &v->loops.items[i];
        if (l->partners == a->partners && l->most > most) most = l->most;
    }
    for (int i = 0; i < v->loops.count; i++)
        if (v->loops.items[i].partners == a->partners) v->loops.items[i].most = most;
}

static void join(validator *v, loop_model *a, loop_model *b)
{
    const kg_op *around;
    if (b->partners < 0) {
        b->partners = v->n_scripts++;
        b->seat = v->seats[b->partners]++;
        b->role = role_of(b->op, &around);
    }
    int64_t less = 0;
    differ_by(a, b, &less);
    a->role = role_of(a->op, &around);
    a->partners = b->partners;
    a->seat = v->seats[a->partners]++;
    a->lag = b->lag + (int)less;
    level_most(v, a);
    int longest = a->lag < 0 ? a->lag : 0;
    for (int i = 0; i < v->loops.count; i++)
        if (v->loops.items[i].partners == a->partners) v->loops.items[i].lag -= longest;
}

// The loops in the two arms of a branch have one seat.
static bool share_seat(validator *v, loop_model *a, const kg_op *around)
{
    const loop_model *b = in_other_arm(v, a, around);
    if (!b || b->partners < 0) return false;
    a->partners = b->partners;
    a->seat = b->seat;
    a->role = b->role;
    a->lag = b->lag;
    level_most(v, a);
    return true;
}

static bool is_idle(const validator *v, const kg_op *loop)
{
    for (const kg_op *op = loop->blocks[0]->first; op; op = op->next)
        if (op->n_blocks || v->first_access[op->id] >= 0 ||
            kg_op_info_of(op->code)->cls == KG_CLASS_Y)
            return false;
    return true;
}

void validator_find_partners(validator *v)
{
    for (int i = 0; i < v->loops.count; i++) {
        loop_model *a = &v->loops.items[i];
        const kg_op *around, *others, *role = role_of(a->op, &around);
        a->idle = is_idle(v, a->op);
        if (role && share_seat(v, a, around)) continue;
        for (int k = 0; role && k < i && a->partners < 0; k++) {
            loop_model *b = &v->loops.items[k];
            const kg_op *other = role_of(b->op, &others);
            if (!other || other == role) continue;
            bool deep = as_deep(v, around, others);
            bool twins = deep && twin_trips(v, a, b, around, others);
            if (!twins && !same_trips(a, b)) continue;
            bool full = b->partners >= 0 &&
                        (has_seat(v, b->partners, role) || v->seats[b->partners] == MOST_ROLES);
            bool fit =
                other->parent == role->parent && deep && !full && v->n_scripts + 2 <= MOST_SCRIPTS;
            if (fit && twins) fit = agree_on(v, variable_of(v, a), variable_of(v, b));
            if (fit)
                join(v, a, b);
            else
                a->lonely = b->lonely = true;
        }
    }
}

// ---- scripts ------------------------------------------------------------------------------------

int validator_trips_behind(const validator *v, const state *s, uint32_t loops)
{
    int most = 0;
    for (; loops; loops &= loops - 1) {
        const loop_model *l = &v->loops.items[__builtin_ctz(loops)];
        const script *t = &scripts_of(v, s)[l->partners];
        int behind = t->count - t->at[l->seat];
        most = behind > most ? behind : most;
    }
    return most;
}

// The role stands in a loop that does nothing but count, and would be the first to find out how it
// goes on.
bool validator_leads_idly(const validator *v, const state *s, const kg_op *next)
{
    const kg_op *owner = next->parent->owner;
    if (!owner || owner->code != KG_OP_FOR) return false;
    const loop_model *l = &v->loops.items[v->loop_of[owner->id]];
    if (!l->idle || l->partners < 0) return false;
    const script *t = &scripts_of(v, s)[l->partners];
    return t->at[l->seat] == t->count;
}

int validator_follow(validator *v, state *s, int which, int seat)
{
    script *t = &scripts_of(v, s)[which];
    if (t->at[seat] == t->count) return -1;
    int found = t->found[t->at[seat]++], least = t->count;
    for (int i = 0; i < v->seats[which]; i++)
        if (t->at[i] < least) least = t->at[i];
    if (!least) return found;
    for (int i = 0; i < v->seats[which]; i++) t->at[i] = (uint8_t)(t->at[i] - least);
    t->count = (uint8_t)(t->count - least);
    memmove(t->found, t->found + least, t->count);
    memset(t->found + t->count, 0, (size_t)(MOST_AHEAD - t->count));
    return found;
}

void validator_lead(validator *v, state *s, int which, int seat, int found)
{
    script *t = &scripts_of(v, s)[which];
    if (t->count == MOST_AHEAD) {
        validator_give_up(v, "one role runs far ahead of another");
        return;
    }
    t->found[t->count++] = (uint8_t)found;
    t->at[seat] = t->count;
}
