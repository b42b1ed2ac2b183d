// SPDX-License-Identifier: MIT
// What a program has to be walked with, so that every order of copies, commits and waits that it
// can produce is among the runs.
#include "passes/rewrite.h"
#include "passes/sync/replay.h"

#include <string.h>

enum { EXTRA_TRIPS = 2, OUTER_TRIPS = 3, WIDEST_BOUND = 256 };

// Trips after which slots come back as they were: a common multiple of the rings' lengths and of
// what the loop computes residues of.
typedef struct period {
    int64_t trips;
    bool too_long;
} period;

typedef struct residue_finder {
    period period;
    const bool *matters; // by value id
} residue_finder;

static void multiply(period *p, int64_t by)
{
    enum { LONGEST = 64 };
    int64_t a = p->trips, b = by;
    while (b) {
        int64_t rest = a % b;
        a = b;
        b = rest;
    }
    p->too_long |= p->trips / a * by > LONGEST;
    if (!p->too_long) p->trips = p->trips / a * by;
}

static bool multiply_by_residues(kg_op *op, void *user)
{
    residue_finder *r = user;
    int64_t m;
    if (op->code == KG_OP_MOD && r->matters[op->results[0]->id] &&
        kg_const_int(op->operands[1], &m) && m > 1)
        multiply(&r->period, m);
    return true;
}

static int period_within(kg_recording *r, int block)
{
    const kg_sync_block *loop = kg_sync_block_at(r->p, block);
    residue_finder found = {{1, false}, r->matters};
    bool rings = false;
    for (int i = 0; i < r->p->accesses.count; i++) {
        const kg_sync_access *a = &r->p->accesses.items[i];
        if (!a->async || kg_sync_lift(r->p, a->node, block) < 0) continue;
        rings |= a->ring > 1;
        if (a->group == r->group) multiply(&found.period, a->ring);
    }
    for (int i = 0; i < 2 && loop->ir[i] && rings; i++)
        kg_walk(loop->ir[i], multiply_by_residues, &found);
    r->failed |= found.period.too_long; // nothing is known of its counts, so all waits are for all
    return (int)found.period.trips;
}

static bool holds_groups_itself(const kg_recording *r, int block)
{
    const kg_sync_block *b = kg_sync_block_at(r->p, block);
    for (int i = 0; i < b->count; i++) {
        kg_opcode code = kg_sync_node_at(r->p, b->items[i])->op->code;
        if (r->relevant[b->items[i]] && code != KG_OP_FOR && code != KG_OP_WHILE) return true;
    }
    return false;
}

static int loop_around(const kg_recording *r, const kg_value *value)
{
    const kg_op *at = value->op;
    for (const kg_block *b = at ? at->parent : NULL; b && b->owner; b = b->owner->parent)
        if (kg_is_loop(b->owner) && r->node_of[b->owner->id] >= 0)
            return kg_sync_node_at(r->p, r->node_of[b->owner->id])->child[0];
    return -1;
}

static void try_numbers(kg_recording *r, kg_value *value, int loop, int64_t low, int64_t count)
{
    for (int i = 0; i < r->s.leaves.count; i++) {
        kg_leaf *leaf = &r->s.leaves.items[i];
        if (!leaf->value || !kg_same_value(leaf->value, value)) continue;
        int64_t end = low + count, old = leaf->low + leaf->count;
        leaf->low = low < leaf->low ? low : leaf->low;
        leaf->count = (end > old ? end : old) - leaf->low;
        return;
    }
    kg_leaf leaf = {.value = value, .loop = loop, .low = low, .count = count};
    KG_PUSH(r->p->arena, &r->s.leaves, leaf);
}

static void try_trips(kg_recording *r, int block, int trips)
{
    kg_leaf leaf = {.loop = block, .count = trips + 1};
    KG_PUSH(r->p->arena, &r->s.leaves, leaf);
}

// Of what the bound is the sum of nothing matters but this sum, which may be any number: it is
// tried as one. `around`: the innermost loop that its terms come from.
static bool is_one_unknown(const kg_recording *r, const kg_value *bound, const kg_affine *form,
                           int *around)
{
    bool *elsewhere = KG_NEW_ARRAY(r->p->arena, bool, r->n_values + 1);
    *around = -1;
    for (int i = 0; i < form->n; i++) {
        const kg_value *value = form->term[i].value;
        int loop = loop_around(r, value);
        if (value->kind == KG_VALUE_ARG || kg_is_mutable(value) ||
            (form->term[i].factor != 1 && form->term[i].factor != -1))
            return false;
        if (loop >= 0 && (*around < 0 || kg_sync_block_at(r->p, loop)->depth >
                                             kg_sync_block_at(r->p, *around)->depth))
            *around = loop;
    }
    kg_find_what_matters(r, bound, elsewhere);
    for (int i = 0; i < form->n; i++)
        if (elsewhere[form->term[i].value->id]) return false;
    return form->n > 0 && !kg_is_mutable(bound);
}

// A bound of a loop: the unknowns in it get numbers so that the bound runs over `span` from `from`
// on. One by one, not in the loop's steps: guards compare against any number.
static bool try_bound(kg_recording *r, kg_value *bound, const kg_op *loop, int64_t from,
                      int64_t span)
{
    kg_affine form = kg_affine_of(&r->p->assigns, bound, loop, 0);
    int64_t number;
    int around;
    if (!form.known) return false;
    if (is_one_unknown(r, bound, &form, &around)) {
        try_numbers(r, bound, around, form.constant < from ? from : form.constant, span + 1);
        return true;
    }
    for (int i = 0; i < form.n; i++) {
        kg_value *value = form.term[i].value;
        int64_t factor = form.term[i].factor, size = factor < 0 ? -factor : factor;
        if (value->kind == KG_VALUE_ARG) continue; // of a loop around this one
        if (!kg_is_mutable(value) && kg_scalars_eval(&r->s, value, &number) &&
            !kg_scalars_leaf(&r->s, value))
            continue;
        int64_t count = (span + size - 1) / size + 1;
        int64_t low = 0;
        if (form.n == 1 && form.constant < from) {
            // One number less than the least that gives a trip: a guard around the loop, as
            // `0 < n` around one of n - 1 trips, may tell it from that of no trip.
            low = (from - form.constant) / size - 1;
            count++;
        }
        if (factor < 0) // ceildiv(a, b) is -(-a / b)
            low = -low - (count - 1);
        try_numbers(r, value, loop_around(r, value), low, count);
    }
    return true;
}

void kg_trials_of_loop(kg_recording *r, int block)
{
    const kg_sync_block *b = kg_sync_block_at(r->p, block);
    const kg_op *op = kg_sync_node_at(r->p, b->owner)->op;
    int ring = period_within(r, block);
    // A copy runs up to a ring ahead, and its slot comes back a ring later: both fit.
    int trips = holds_groups_itself(r, block) ? 2 * ring + EXTRA_TRIPS : OUTER_TRIPS;
    int64_t step, lo = 0;
    if (op->code == KG_OP_WHILE) {
        try_trips(r, block, trips);
        return;
    }
    // Of long strides (a CTA's tiles are far apart) the trips alone are tried.
    bool understood =
        kg_const_int(op->operands[2], &step) && step > 0 && step <= WIDEST_BOUND / trips;
    bool constant_lo = kg_const_int(op->operands[0], &lo);
    int residues = constant_lo ? 0 : ring - 1;
    understood = understood && try_bound(r, op->operands[0], op, 0, residues) &&
                 try_bound(r, op->operands[1], op, lo, residues + trips * step);
    if (!understood) try_trips(r, block, trips);
}
