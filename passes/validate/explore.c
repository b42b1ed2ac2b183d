// SPDX-License-Identifier: MIT
// Runs a set of states through the program: both ways through a branch whose outcome does not
// follow from what is known, and every number of trips of a loop. A loop is left alone when its
// next trip would start in a state that one has started in before, so the rings have closed. An
// integer that trips and branches depend on is decided when something first asks: each number up to
// the one beyond which nothing can tell them apart, and "more".
#include "passes/validate/model.h"

#include <string.h>

enum {
    MOST_STATES = 40000,
    DOUBTED_STATES = 8000,
    MOST_WORK = 20000000,
    KNOWN_TRIPS = 40,
    NEAR_TRIPS = 8
};

static void run_block(validator *v, const kg_block *block, state_set *set);

bool validator_spent(validator *v)
{
    int most = v->in_doubt ? DOUBTED_STATES : MOST_STATES;
    if (v->states <= most && v->work <= MOST_WORK) return v->stop;
    if (v->in_doubt && !v->stop) {
        *v->out = v->doubt; // it says more than that the states are too many
        v->stop = true;
    }
    validator_give_up(v, "more than %d states", MOST_STATES);
    return true;
}

// ---- unknown integers -------------------------------------------------------------------------

static void set_value(validator *v, state *s, int which, int number)
{
    const variable *x = &v->variables.items[which];
    s->value[which] = (int8_t)number;
    if (x->script) validator_lead(v, s, x->script - 1, x->seat, number);
}

// What the variable's value says of it at least and at most.
static void bounds_of(const validator *v, const state *s, int which, int64_t *least, int64_t *most)
{
    const variable *x = &v->variables.items[which];
    int value = s->value[which];
    *least = value ? x->low + value : -FAR;
    *most = value > x->high - x->low ? FAR : x->low + value;
}

// The variable exceeds one that is never less, or is less than one that never exceeds it.
static bool is_absurd(const validator *v, const state *s, int which)
{
    int64_t least, most, others_least, others_most;
    bounds_of(v, s, which, &least, &most);
    for (int i = 0; i < v->variables.count; i++) {
        if (i == which || s->value[i] == VALUE_OPEN) continue;
        bounds_of(v, s, i, &others_least, &others_most);
        if (v->variables.items[i].above >> which & 1 && least > others_most) return true;
        if (v->variables.items[which].above >> i & 1 && others_least > most) return true;
    }
    return false;
}

static void leave_out_absurd(validator *v, state_set *set, int which)
{
    int kept = 0;
    for (int i = 0; i < set->count; i++)
        if (is_absurd(v, set->items[i], which))
            state_free(v, set->items[i]);
        else
            set->items[kept++] = set->items[i];
    set->count = kept;
}

// Decides a variable where it is open: a state for each value that it may have beside the others'.
static void decide(validator *v, state_set *set, const quantity *q)
{
    if (q->variable < 0) return;
    uint32_t bit = 1u << q->variable;
    const variable *x = &v->variables.items[q->variable];
    for (int i = 0, n = set->count; i < n; i++) {
        state *s = set->items[i];
        if (s->value[q->variable] != VALUE_OPEN) continue;
        for (int k = 0; k < v->loops.count; k++)
            s->guessed |= (v->loops.items[k].variables & bit) && s->distance[k] != NOT_RUNNING;
        s->guessed |= x->vague;
        int found = x->script ? validator_follow(v, s, x->script - 1, x->seat) : -1;
        if (found >= 0) {
            s->value[q->variable] = (int8_t)found;
            continue;
        }
        for (int64_t number = 0; number <= x->high - x->low; number++) {
            state *copy = state_copy(v, s);
            set_value(v, copy, q->variable, (int)number);
            state_push(v, set, copy);
        }
        set_value(v, s, q->variable, (int)(x->high - x->low + 1));
    }
    leave_out_absurd(v, set, q->variable);
}

int64_t validator_number(const validator *v, const state *s, const quantity *q)
{
    if (q->variable < 0) return q->offset;
    const variable *x = &v->variables.items[q->variable];
    int value = s->value[q->variable];
    int64_t number = value == 0                 ? -q->sign * (int64_t)FAR
                     : value > x->high - x->low ? q->sign * (int64_t)FAR
                                                : q->sign * (x->low + value) + q->offset;
    return q->limit && number > q->limit ? q->limit : number;
}

// ---- branches ---------------------------------------------------------------------------------

static int outcome(const validator *v, const state *s, const guard *g)
{
    if (g->kind == GUARD_FIXED) return g->value;
    if (g->kind == GUARD_FREE) {
        if (g->condition < 0 || !(s->decided >> g->condition & 1)) return -1;
        return (int)(s->taken >> g->condition & 1);
    }
    if (g->kind == GUARD_RESIDUE) {
        int residue = scalar_value(v, s, g->scalar);
        if (residue == UNKNOWN_SCALAR) return -1;
        return (residue == g->least) != g->negated; // it is smaller than the modulus
    }
    int64_t number = g->kind == GUARD_VALUE      ? validator_number(v, s, &g->of)
                     : g->kind == GUARD_DISTANCE ? s->distance[g->loop]
                                                 : s->passed[g->loop];
    int64_t least = g->least;
    if (g->kind == GUARD_VALUE && g->shift_loop >= 0) least -= g->shift * s->passed[g->shift_loop];
    return (g->equals ? number == least : number > least) != g->negated;
}

// Outside of loops a free choice is an input of the program; from trip to trip it may follow from
// the choices before, in ways that are not understood.
static void remember(state *s, const guard *g, bool taken)
{
    if (g->kind != GUARD_FREE || g->condition < 0) return;
    s->decided |= UINT64_C(1) << g->condition;
    if (taken) s->taken |= UINT64_C(1) << g->condition;
}

// Sends the states into the arms: both where the outcome is not known.
void validator_branch(validator *v, const kg_op *op, state_set arms[2], state_set *set)
{
    guard g = v->guards[op->id];
    if (g.kind == GUARD_VALUE) decide(v, set, &g.of);
    for (int i = 0; i < set->count; i++) {
        state *s = set->items[i];
        int way = outcome(v, s, &g);
        if (way < 0) {
            s->guessed |= kg_loops_around(op) > 0 || v->ctas.count;
            state *copy = state_copy(v, s);
            remember(copy, &g, false);
            state_push(v, &arms[1], copy);
        }
        if (way) remember(s, &g, true);
        state_push(v, &arms[!way], s);
    }
    set->count = 0;
}

static void run_if(validator *v, const kg_op *op, state_set *set)
{
    state_set arms[2] = {{0}, {0}};
    validator_branch(v, op, arms, set);
    for (int arm = 0; arm < 2; arm++)
        if (arms[arm].count && arm < op->n_blocks) run_block(v, op->blocks[arm], &arms[arm]);
    for (int arm = 0; arm < 2; arm++)
        for (int i = 0; i < arms[arm].count; i++) state_push(v, set, arms[arm].items[i]);
    state_unify(v, set);
}

// ---- loops ------------------------------------------------------------------------------------

static void forget_trip(validator *v, const loop_model *l, state *s)
{
    s->decided &= ~l->conditions;
    s->taken &= ~l->conditions;
    for (int i = 0; i < v->variables.count; i++)
        if (l->variables >> i & 1) s->value[i] = VALUE_OPEN;
    validator_next_trip(v, s, l->op);
}

// The first index modulo everything; a state for each where that is not known.
static void set_index(validator *v, state_set *heads, state *s, int loop)
{
    int first = scalar_value(v, s, v->loops.items[loop].op->operands[0]);
    if (!v->loops.items[loop].index_wanted) first = 0;
    int last = first == UNKNOWN_SCALAR ? v->modulus - 1 : first;
    for (int r = first == UNKNOWN_SCALAR ? 0 : first; r < last; r++) {
        state *copy = state_copy(v, s);
        copy->index[loop] = (int16_t)r;
        state_push(v, heads, copy);
    }
    s->index[loop] = (int16_t)last;
    state_push(v, heads, s);
}

// Where the step is not known the index may be any.
static void advance(validator *v, state_set *heads, state *s, int loop)
{
    int64_t step = v->loops.items[loop].step;
    if (!v->loops.items[loop].index_wanted) {
        state_push(v, heads, s);
        return;
    }
    s->guessed |= !step && v->modulus > 1;
    for (int r = 1; !step && r < v->modulus; r++) {
        state *copy = state_copy(v, s);
        copy->index[loop] = (int16_t)((s->index[loop] + r) % v->modulus);
        state_push(v, heads, copy);
    }
    s->index[loop] = (int16_t)((s->index[loop] + step) % v->modulus);
    state_push(v, heads, s);
}

static void pass(const loop_model *l, state *s, int loop)
{
    int64_t passed = s->passed[loop] + l->step;
    if (l->most_passed >= 0 && s->passed[loop] != FAR)
        s->passed[loop] = (int16_t)(passed > l->most_passed ? FAR : passed);
}

// ---- trips --------------------------------------------------------------------------------------

// How far from its end a loop that starts FAR is at least: its variable is above or below all that
// matters, or has a value.
static int64_t least_distance(const validator *v, const state *s, const quantity *q)
{
    if (q->variable < 0) return 0;
    return q->sign * (v->variables.items[q->variable].low + s->value[q->variable]) + q->offset;
}

// Of a loop that is FAR: what it says beyond "above all that matters".
static void set_least(const loop_model *l, state *s, int loop, int64_t least)
{
    s->least[loop] = (int16_t)(l->step && least > l->most + 1 ? least : 0);
}

static void go_to(validator *v, state_set *heads, state *s, int loop, int64_t distance)
{
    s->distance[loop] = (int16_t)distance;
    if (distance != FAR) s->least[loop] = 0;
    advance(v, heads, s, loop);
}

// A state for each distance that may come next. A role that follows others does as they did.
static void go_to_one_of(validator *v, state_set *heads, state *s, int loop, int64_t first,
                         int64_t last, bool far)
{
    const loop_model *l = &v->loops.items[loop];
    bool open = far || !l->step;
    int found = open && l->partners >= 0 ? validator_follow(v, s, l->partners, l->seat) : -1;
    if (found >= 0) {
        go_to(v, heads, s, loop, found ? found - 1 : FAR);
        return;
    }
    s->guessed |= open && l->lonely && l->partners < 0;
    for (int64_t left = first; left <= last; left++) {
        state *next = far || left < last ? state_copy(v, s) : s;
        if (open && l->partners >= 0) validator_lead(v, next, l->partners, l->seat, (int)left + 1);
        go_to(v, heads, next, loop, left);
    }
    if (far) {
        if (l->partners >= 0) validator_lead(v, s, l->partners, l->seat, 0);
        go_to(v, heads, s, loop, FAR);
    } else if (first > last) {
        state_free(v, s);
    }
}

// Closer to the end by a step, or still too far to tell, or at one of the distances that come first
// when it can be told.
static void come_closer(validator *v, state_set *heads, state *s, int loop)
{
    const loop_model *l = &v->loops.items[loop];
    int64_t step = l->step / l->unit, first = 0, last = l->most;
    bool far = s->distance[loop] == FAR;
    if (!far) first = l->step ? s->distance[loop] - step : 0, last = s->distance[loop] - 1;
    if (!far && l->step) last = first;
    if (far && l->step && l->most >= step) first = l->most - step + 1;
    if (far) {
        int64_t least = s->least[loop] - step;
        if (least > first) first = least;
        set_least(l, s, loop, least);
    }
    go_to_one_of(v, heads, s, loop, first, last, far);
}

// What a trip leaves behind goes on to the next.
void validator_go_on(validator *v, const kg_op *op, state_set *heads, state *s)
{
    int loop = v->loop_of[op->id];
    const loop_model *l = &v->loops.items[loop];
    forget_trip(v, l, s);
    s->trip[loop]++;
    pass(l, s, loop);
    come_closer(v, heads, s, loop);
}

void validator_leave(validator *v, const kg_op *op, state *s)
{
    int loop = v->loop_of[op->id];
    s->distance[loop] = NOT_RUNNING;
    s->least[loop] = 0;
    s->index[loop] = s->passed[loop] = 0;
    s->trip[loop] = 0;
}

// From the start of the longest of its partners on: trips that this loop does not make pass by.
static void come_in(validator *v, state_set *heads, state *s, int loop)
{
    const loop_model *l = &v->loops.items[loop];
    state_set here = {0};
    set_index(v, &here, s, loop);
    for (int i = 0; i < here.count && l->index_wanted; i++) {
        int64_t index = (here.items[i]->index[loop] - l->lag * l->step) % v->modulus;
        here.items[i]->index[loop] = (int16_t)(index < 0 ? index + v->modulus : index);
    }
    for (int lag = 0; lag < l->lag; lag++) {
        state_set next = {0};
        for (int i = 0; i < here.count; i++)
            if (here.items[i]->distance[loop] > 0)
                come_closer(v, &next, here.items[i], loop);
            else
                state_push(v, &next, here.items[i]);
        here = next;
    }
    for (int i = 0; i < here.count; i++) state_push(v, heads, here.items[i]);
}

void validator_enter(validator *v, const kg_op *op, state_set *heads, state_set *set)
{
    int loop = v->loop_of[op->id];
    const loop_model *l = &v->loops.items[loop];
    decide(v, set, &l->trips);
    for (int i = 0; i < set->count; i++) {
        state *s = set->items[i];
        int64_t distance = validator_number(v, s, &l->trips);
        int64_t step = l->step ? l->step / l->unit : 1, lag = l->lag * step;
        bool known = l->trips.variable < 0;
        if (distance > -FAR && distance < FAR) distance += lag;
        bool near = distance <= l->most + (known ? KNOWN_TRIPS : NEAR_TRIPS) * step;
        s->distance[loop] = (int16_t)(distance <= 0 ? 0 : near ? distance : FAR);
        s->guessed |= known && !near; // its end will be tried before it is due
        set_least(l, s, loop, s->distance[loop] == FAR ? lag + least_distance(v, s, &l->trips) : 0);
        s->trip[loop] = 0;
        if (s->distance[loop] > 0)
            come_in(v, heads, s, loop);
        else
            state_push(v, heads, s);
    }
    set->count = 0;
}

// Runs the block that a loop begins with, from a state at its head; false, and the state gone, if
// one like it has been there.
static bool run_head(validator *v, const kg_block *block, state *s, state_set *visited,
                     state_set *trip)
{
    if (v->n_mbarriers) validator_tidy(v, s);
    if (state_known(v, visited, s, NULL)) {
        state_free(v, s);
        return false;
    }
    state_push(v, trip, s);
    v->states++;
    run_block(v, block, trip);
    return true;
}

static void run_for(validator *v, const kg_op *op, state_set *set)
{
    int loop = v->loop_of[op->id];
    state_set heads = {0}, visited = {0}, out = {0};
    validator_enter(v, op, &heads, set);
    while (heads.count && !validator_spent(v)) {
        state *s = heads.items[--heads.count];
        if (s->distance[loop] <= 0) {
            validator_leave(v, op, s);
            state_push(v, &out, s);
            continue;
        }
        state_set trip = {0};
        if (!run_head(v, op->blocks[0], s, &visited, &trip)) continue;
        for (int i = 0; i < trip.count && !v->stop; i++)
            validator_go_on(v, op, &heads, trip.items[i]);
    }
    for (int i = 0; i < visited.count; i++) state_free(v, visited.items[i]);
    *set = out;
    state_unify(v, set);
}

static void run_while(validator *v, const kg_op *op, state_set *set)
{
    int loop = v->loop_of[op->id];
    state_set heads = *set, visited = {0}, out = {0};
    while (heads.count && !validator_spent(v)) {
        state *s = heads.items[--heads.count];
        s->guessed |= v->loops.count > 1; // its trips may depend on those of other loops
        state_set trip = {0};
        if (!run_head(v, op->blocks[0], s, &visited, &trip)) continue;
        for (int i = 0; i < trip.count; i++) state_push(v, &out, state_copy(v, trip.items[i]));
        run_block(v, op->blocks[1], &trip);
        for (int i = 0; i < trip.count && !v->stop; i++) {
            forget_trip(v, &v->loops.items[loop], trip.items[i]);
            trip.items[i]->trip[loop]++;
            state_push(v, &heads, trip.items[i]);
        }
    }
    for (int i = 0; i < visited.count; i++) state_free(v, visited.items[i]);
    for (int i = 0; i < out.count; i++) out.items[i]->trip[loop] = 0;
    *set = out;
    state_unify(v, set);
}

// ---- ops --------------------------------------------------------------------------------------

// Everything but control.
void validator_plain_op(validator *v, const kg_op *op, state_set *set)
{
    if (v->first_access[op->id] >= 0) validator_access(v, set, op);
    for (int i = 0; validator_has_registers(v, op) && i < set->count && !v->stop; i++)
        validator_touch_registers(v, set->items[i], op);
    if (kg_op_info_of(op->code)->cls == KG_CLASS_Y) validator_synchronize(v, set, op);
    for (int i = 0; op->code == KG_OP_COPY_BULK && i < set->count && !v->stop; i++)
        validator_mbarrier(v, set->items[i], op, -1);
    if (op->n_results == 1 || op->code == KG_OP_ASSIGN) validator_scalar(v, set, op);
}

// Returns the last op that was run: regions that meet each other are run together.
static const kg_op *run_op(validator *v, const kg_op *op, state_set *set)
{
    const kg_op *last;
    if (!v->matters[op->id]) return op;
    switch (op->code) {
    case KG_OP_FOR:
        run_for(v, op, set);
        break;
    case KG_OP_WHILE:
        run_while(v, op, set);
        break;
    case KG_OP_IF:
        run_if(v, op, set);
        break;
    case KG_OP_WARPS:
        last = validator_last_role(v, op);
        if (last) {
            validator_roles(v, op, last, set);
            return last;
        }
        run_block(v, op->blocks[0], set);
        break;
    default:
        validator_plain_op(v, op, set);
    }
    return op;
}

static void forget_behind(validator *v, const kg_op *first, const kg_op *last, state_set *set)
{
    for (const kg_op *op = first; op != last->next; op = op->next)
        for (int i = 0; i < set->count; i++) validator_forget_scalars(v, set->items[i], op);
}

static void run_block(validator *v, const kg_block *block, state_set *set)
{
    for (const kg_op *op = block->first; op && !v->stop && set->count; op = op->next) {
        const kg_op *first = op;
        op = run_op(v, op, set);
        forget_behind(v, first, op, set);
        if (set->count > 1) v->states += set->count;
        if (validator_spent(v)) return;
    }
}

void validator_explore(validator *v)
{
    state *s = state_new(v);
    state_set set = {0};
    s->generations = 1;
    s->alive = all_warps(v);
    validator_fresh_generation(v, s, 1);
    for (int i = 0; i < v->n_registers; i++) registers_of(v, s)[i].touched = all_warps(v);
    memset(s->value, VALUE_OPEN, sizeof s->value);
    for (int i = 0; i < v->n_scalars; i++) scalars_of(v, s)[i] = v->dies[i] ? UNUSED_SCALAR : 0;
    for (int i = 0; i < v->loops.count; i++) s->distance[i] = NOT_RUNNING;
    for (int i = 0; i < MOST_ROLES; i++) s->next[i] = ROLE_NONE;
    state_push(v, &set, s);
    validator_scalar_parameters(v, &set);
    run_block(v, v->kernel->body, &set);
    for (int i = 0; i < set.count && !v->stop; i++) validator_at_end(v, set.items[i]);
}
