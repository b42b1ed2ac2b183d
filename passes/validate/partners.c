// SPDX-License-Identifier: MIT
// Loops of several roles that make the same trips. However many these are, the roles make them
// together: otherwise one could end while the other still waits for it. The role that is ahead
// finds out, trip by trip, whether the loop goes on; a script keeps that for those who follow. It
// stays short, for a ring lets nobody run far ahead. Nested loops have scripts of their own: with
// as many trips in each run, it does not matter which run is taken for which.
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

static bool same_trips(const loop_model *a, const loop_model *b)
{
    return a->op->code == KG_OP_FOR && b->op->code == KG_OP_FOR && a->trips.variable >= 0 &&
           a->trips.variable == b->trips.variable && a->trips.sign == b->trips.sign &&
           a->trips.offset == b->trips.offset && same_step(a, b);
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

static void join(validator *v, loop_model *a, loop_model *b)
{
    const kg_op *around;
    if (b->partners < 0) {
        b->partners = v->n_scripts++;
        b->seat = v->seats[b->partners]++;
        b->role = role_of(b->op, &around);
    }
    a->role = role_of(a->op, &around);
    a->partners = b->partners;
    a->seat = v->seats[a->partners]++;
    for (int i = 0; i < v->loops.count; i++) {
        loop_model *l = &v->loops.items[i];
        if (l->partners != a->partners) continue;
        a->most = l->most > a->most ? l->most : a->most;
    }
    for (int i = 0; i < v->loops.count; i++)
        if (v->loops.items[i].partners == a->partners) v->loops.items[i].most = a->most;
}

void validator_find_partners(validator *v)
{
    for (int i = 0; i < v->loops.count; i++) {
        loop_model *a = &v->loops.items[i];
        const kg_op *around, *others, *role = role_of(a->op, &around);
        for (int k = 0; role && k < i && a->partners < 0; k++) {
            loop_model *b = &v->loops.items[k];
            const kg_op *other = role_of(b->op, &others);
            if (!other || other == role || !same_trips(a, b)) continue;
            bool full = b->partners >= 0 &&
                        (has_seat(v, b->partners, role) || v->seats[b->partners] == MOST_ROLES);
            if (other->parent == role->parent && as_deep(v, around, others) && !full)
                join(v, a, b);
            else
                a->lonely = b->lonely = true;
        }
    }
}

// ---- scripts ------------------------------------------------------------------------------------

bool validator_is_far_behind(const validator *v, const state *s, const kg_op *role)
{
    enum { FAR_BEHIND = 4 };
    for (int i = 0; i < v->loops.count; i++) {
        const loop_model *l = &v->loops.items[i];
        if (l->partners < 0 || l->role != role) continue;
        const script *t = &scripts_of(v, s)[l->partners];
        if (t->count - t->at[l->seat] >= FAR_BEHIND) return true;
    }
    return false;
}

int validator_follow(validator *v, state *s, const loop_model *l)
{
    script *t = &scripts_of(v, s)[l->partners];
    if (t->at[l->seat] == t->count) return -1;
    int found = t->found[t->at[l->seat]++], least = t->count;
    for (int i = 0; i < v->seats[l->partners]; i++)
        if (t->at[i] < least) least = t->at[i];
    if (!least) return found;
    for (int i = 0; i < v->seats[l->partners]; i++) t->at[i] = (uint8_t)(t->at[i] - least);
    t->count = (uint8_t)(t->count - least);
    memmove(t->found, t->found + least, t->count);
    memset(t->found + t->count, 0, (size_t)(MOST_AHEAD - t->count));
    return found;
}

void validator_lead(validator *v, state *s, const loop_model *l, int found)
{
    script *t = &scripts_of(v, s)[l->partners];
    if (t->count == MOST_AHEAD) {
        validator_give_up(v, "one role runs far ahead of another");
        return;
    }
    t->found[t->count++] = (uint8_t)found;
    t->at[l->seat] = t->count;
}
