// SPDX-License-Identifier: MIT
// What a replay has to be tried with, so that every order of copies, commits and waits that the
// program can produce is among the runs.
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
    kg_use **uses;
    bool *seen; // by value id
    int n_values;
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

// Where control goes, or which slot is meant, may depend on the value. Tiles and their elements say
// nothing of either.
static bool decides(const residue_finder *r, const kg_value *value)
{
    if (!kg_is_scalar(value) || r->seen[value->id]) return false;
    r->seen[value->id] = true;
    for (const kg_use *use = r->uses[value->id]; use; use = use->next) {
        const kg_op *op = use->op;
        if (op->code == KG_OP_ASSIGN ? decides(r, op->operands[0])
            : op->code == KG_OP_VIEW ? op->results[0]->type.home == KG_HOME_SHARED
            : op->n_results          ? decides(r, op->results[0])
                                     : op->n_blocks > 0 || op->code == KG_OP_YIELD)
            return true;
    }
    return false;
}

static bool multiply_by_residues(kg_op *op, void *user)
{
    residue_finder *r = user;
    int64_t m;
    if (op->code != KG_OP_MOD || !kg_is_scalar(op->results[0]) ||
        !kg_const_int(op->operands[1], &m) || m <= 1)
        return true;
    memset(r->seen, 0, (size_t)r->n_values);
    if (decides(r, op->results[0])) multiply(&r->period, m);
    return true;
}

static int period_within(replay *r, int block)
{
    const kg_sync_block *loop = kg_sync_block_at(r->p, block);
    residue_finder found = {.period = {1, false}};
    for (int i = 0; i < r->p->accesses.count; i++) {
        const kg_sync_access *a = &r->p->accesses.items[i];
        if (a->async && kg_sync_lift(r->p, a->node, block) >= 0) multiply(&found.period, a->ring);
    }
    if (found.period.trips > 1) {
        found.uses = kg_uses_collect(r->p->arena, r->p->kernel, &found.n_values);
        found.seen = KG_NEW_ARRAY(r->p->arena, bool, found.n_values + 1);
        for (int i = 0; i < 2 && loop->ir[i]; i++)
            kg_walk(loop->ir[i], multiply_by_residues, &found);
    }
    r->failed |= found.period.too_long; // nothing is known of its counts, so all waits are for all
    return (int)found.period.trips;
}

static bool holds_groups_itself(const replay *r, int block)
{
    const kg_sync_block *b = kg_sync_block_at(r->p, block);
    for (int i = 0; i < b->count; i++) {
        kg_opcode code = kg_sync_node_at(r->p, b->items[i])->op->code;
        if (r->relevant[b->items[i]] && code != KG_OP_FOR && code != KG_OP_WHILE) return true;
    }
    return false;
}

static int loop_around(const replay *r, const kg_value *value)
{
    const kg_op *at = value->op;
    for (const kg_block *b = at ? at->parent : NULL; b && b->owner; b = b->owner->parent)
        if (kg_is_loop(b->owner) && r->node_of[b->owner->id] >= 0)
            return kg_sync_node_at(r->p, r->node_of[b->owner->id])->child[0];
    return -1;
}

static void try_numbers(replay *r, kg_value *value, int64_t low, int64_t count)
{
    for (int i = 0; i < r->s.leaves.count; i++) {
        kg_leaf *leaf = &r->s.leaves.items[i];
        if (!leaf->value || !kg_same_value(leaf->value, value)) continue;
        int64_t end = low + count, old = leaf->low + leaf->count;
        leaf->low = low < leaf->low ? low : leaf->low;
        leaf->count = (end > old ? end : old) - leaf->low;
        return;
    }
    kg_leaf leaf = {value, loop_around(r, value), low, count, {0, 0}};
    KG_PUSH(r->p->arena, &r->s.leaves, leaf);
}

static void try_trips(replay *r, int block, int trips)
{
    kg_leaf leaf = {NULL, block, 0, trips + 1, {0, 0}};
    KG_PUSH(r->p->arena, &r->s.leaves, leaf);
}

// A bound of a loop: the unknowns in it get numbers so that the bound runs over `span` from `from`
// on. One by one, not in the loop's steps: guards compare against any number.
static bool try_bound(replay *r, kg_value *bound, const kg_op *loop, int64_t from, int64_t span)
{
    kg_affine form = kg_affine_of(&r->p->assigns, bound, loop, 0);
    int64_t number;
    if (!form.known) return false;
    for (int i = 0; i < form.n; i++) {
        kg_value *value = form.term[i].value;
        int64_t factor = form.term[i].factor, size = factor < 0 ? -factor : factor;
        if (value->kind == KG_VALUE_ARG) continue; // of a loop around this one
        if (!kg_is_mutable(value) && kg_scalars_eval(&r->s, value, &number) &&
            !kg_scalars_leaf(&r->s, value))
            continue;
        int64_t count = (span + size - 1) / size + 1;
        int64_t low = form.n == 1 && form.constant < from ? (from - form.constant) / size : 0;
        if (factor < 0) // ceildiv(a, b) is -(-a / b)
            low = -low - (count - 1);
        try_numbers(r, value, low, count);
    }
    return true;
}

void kg_trials_of_loop(replay *r, int block)
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

bool kg_trials_next(replay *r)
{
    for (int i = 0; i < r->s.leaves.count; i++) {
        kg_leaf *leaf = &r->s.leaves.items[i];
        int turns = leaf->value && leaf->loop >= 0 ? 2 : 1;
        for (int k = 0; k < turns; k++) {
            if (++leaf->chosen[k] < leaf->count) return true;
            leaf->chosen[k] = 0;
        }
    }
    return false;
}

int64_t kg_trials_count(const replay *r)
{
    int64_t n = 1;
    for (int i = 0; i < r->s.leaves.count && n <= COMBINATION_LIMIT; i++) {
        const kg_leaf *leaf = &r->s.leaves.items[i];
        if (leaf->count > COMBINATION_LIMIT) return COMBINATION_LIMIT + 1;
        n *= leaf->value && leaf->loop >= 0 ? leaf->count * leaf->count : leaf->count;
    }
    return n;
}
