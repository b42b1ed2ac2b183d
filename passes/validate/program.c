// SPDX-License-Identifier: MIT
// What there is to execute: accesses with their threads, loops with their numbers of trips, the
// branches whose outcome follows from these, and the scalars that ring slots depend on.
#include "passes/validate/model.h"

#include <string.h>

enum { LARGEST_MODULUS = 64 };

// ---- accesses ---------------------------------------------------------------------------------

static const kg_value *memory_of(const kg_value *root)
{
    for (int i = 0; i < 16 && root->tensor && root->tensor->alias; i++) root = root->tensor->alias;
    return root;
}

static int tensor_number(validator *v, const kg_value *root)
{
    const kg_value *memory = memory_of(root);
    for (int i = 0; i < v->n_tensors; i++)
        if (v->tensors[i] == memory) return i;
    v->tensors[v->n_tensors] = memory;
    return v->n_tensors++;
}

// By the first thread of its region only: a scalar's store, or an elected op.
static bool by_one_thread(const kg_access *at)
{
    if (at->effect->agent == KG_AGENT_ELECTED) return true;
    return at->effect->mode != KG_MODE_R && at->effect->agent == KG_AGENT_THREAD &&
           at->op->n_operands > 1 && kg_is_scalar(at->op->operands[1]);
}

static bool may_leave_out(const kg_access *at)
{
    const kg_op *op = at->op;
    int plain = at->effect->mode == KG_MODE_R ? 1 : 2;
    bool by_threads = at->effect->agent == KG_AGENT_THREAD && op->n_blocks == 0;
    bool from_view = op->n_operands > 1 && op->operands[1]->type.home != KG_HOME_FRAG;
    return by_threads && !from_view && op->n_operands > plain;
}

static void add_access(validator *v, const kg_access *at)
{
    access_model a = {.at = *at, .ring = 1, .tensor = -1};
    kg_region region = kg_op_region(at->op);
    a.elected = by_one_thread(at);
    int warps = a.elected ? 1 : region.n_warps;
    a.region = (warps >= 32 ? ~0u : (1u << warps) - 1) << region.first_warp;
    a.writes = at->effect->mode != KG_MODE_R;
    a.atomic = at->effect->mode == KG_MODE_A;
    a.async = at->effect->completes == KG_COMPLETES_GROUP;
    a.masked = may_leave_out(at);
    a.shared = at->root && at->root->type.home == KG_HOME_SHARED;
    if (a.shared) {
        a.offset = kg_op_int(at->root->op, KG_A_OFFSET, 0);
        a.ring = (int)kg_op_int(at->root->op, KG_A_RING, 1);
        a.slot_bytes = kg_shared_slot_bytes(at->root);
    } else if (at->root) {
        a.tensor = tensor_number(v, at->root);
    }
    const kg_op *around[64];
    int n = 0;
    for (const kg_op *o = at->op->parent->owner; o; o = o->parent->owner)
        if ((o->code == KG_OP_FOR || o->code == KG_OP_WHILE) && n < 64) around[n++] = o;
    for (int i = 0; i < n && i < MOST_LOOPS; i++) a.loops[i] = around[n - 1 - i];
    a.n_loops = n < MOST_LOOPS ? n : MOST_LOOPS;
    if (n > MOST_LOOPS) validator_give_up(v, "more than %d loops around one another", MOST_LOOPS);
    if (!(at->effect->completes == KG_COMPLETES_ISSUE ||
          at->effect->completes == KG_COMPLETES_GROUP))
        validator_give_up(v, "an access of '%s' completes in a way that is not modelled",
                          kg_op_info_of(at->op->code)->name);
    KG_PUSH(v->arena, &v->accesses, a);
}

static bool residue_condition(const kg_value *condition, const kg_value **x, int64_t *m,
                              int64_t *equal);

// ---- unknown integers -------------------------------------------------------------------------

static int64_t common_divisor(int64_t a, int64_t b)
{
    while (b) {
        int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a < 0 ? -a : a;
}

static bool same_form(const linear *a, const linear *b, int64_t sign)
{
    linear d = linear_sum(a, b, -sign);
    return linear_is_constant(&d) && d.constant == 0;
}

// The form as a variable and an offset. False where it is not understood.
static bool quantity_of(validator *v, const linear *form, quantity *out)
{
    linear part = *form;
    *out = (quantity){.variable = -1, .sign = 1, .offset = form->constant};
    if (!form->known) return false;
    if (!form->count) return true;
    part.constant = 0;
    for (int i = 0; i < v->variables.count; i++)
        for (int sign = 1; sign >= -1; sign -= 2)
            if (same_form(&part, &v->variables.items[i].part, sign)) {
                out->variable = i;
                out->sign = sign;
                return true;
            }
    if (v->variables.count == 32) return false;
    linear nothing = {.known = true};
    if (part.count == 1 && part.terms[0].value->name && part.terms[0].factor < 0) {
        part = linear_sum(&nothing, &part, -1); // a person wants to read of T, not of -T
        out->sign = -1;
    }
    variable x = {.part = part};
    KG_PUSH(v->arena, &v->variables, x);
    out->variable = v->variables.count - 1;
    return true;
}

// Whether the quantity exceeds `least` matters.
static void add_threshold(validator *v, const quantity *q, int64_t least)
{
    if (q->variable < 0) return;
    variable *x = &v->variables.items[q->variable];
    int64_t at = q->sign > 0 ? least - q->offset : q->offset - least - 1;
    x->low = !x->used || at < x->low ? at : x->low;
    x->high = !x->used || at > x->high ? at : x->high;
    x->used = true;
}

static bool inside(const kg_op *op, const kg_op *of)
{
    for (; op; op = op->parent->owner)
        if (op == of) return true;
    return false;
}

static bool defined_inside(const kg_value *value, const kg_op *loop)
{
    return (value->kind == KG_VALUE_RESULT || value->kind == KG_VALUE_ARG) && value->op &&
           inside(value->op, loop);
}

static void forget_inside(validator *v)
{
    for (int i = 0; i < v->loops.count; i++)
        for (int k = 0; k < v->variables.count; k++) {
            const linear *part = &v->variables.items[k].part;
            for (int t = 0; t < part->count; t++)
                if (defined_inside(part->terms[t].value, v->loops.items[i].op))
                    v->loops.items[i].variables |= 1u << k;
        }
}

// ---- loops ------------------------------------------------------------------------------------

// 0: computed at run time.
static int64_t step_of(const kg_op *loop)
{
    int64_t step = 0;
    return kg_const_int(loop->operands[2], &step) && step > 0 ? step : 0;
}

static void describe_loop(validator *v, kg_op *op, loop_model *l)
{
    linear first = linear_of(op->operands[0]), end = linear_of(op->operands[1]);
    linear distance = linear_sum(&end, &first, -1);
    l->step = step_of(op);
    if (quantity_of(v, &distance, &l->trips)) return;
    // Nothing is known of its end: a variable of its own, in which nothing else is expressed.
    linear unknown = {.known = true, .count = 1, .terms = {{op->blocks[0]->arg, 1}}};
    if (!quantity_of(v, &unknown, &l->trips)) validator_give_up(v, "too many loops and branches");
}

// ---- guards -----------------------------------------------------------------------------------

static bool compares(const kg_op *op, guard *g, bool *swapped, bool *strict)
{
    *swapped = op->code == KG_OP_GT || op->code == KG_OP_GE;
    *strict = op->code == KG_OP_LT || op->code == KG_OP_GT;
    g->equals = op->code == KG_OP_EQ || op->code == KG_OP_NE;
    g->negated = op->code == KG_OP_NE;
    return *swapped || *strict || g->equals || op->code == KG_OP_LE;
}

// d is what is compared with zero: d < 0 (strict), d <= 0, or d == 0. As a quantity q > least:
// d = q * sign + rest.
static void set_least(guard *g, int sign, int64_t rest, bool strict)
{
    if (g->equals)
        g->least = sign > 0 ? -rest : rest;
    else if (sign < 0)
        g->least = rest - !strict; // -q + rest < 0: q > rest
    else {
        g->least = -rest - strict; // q + rest < 0: not q > -rest - 1
        g->negated = !g->negated;
    }
}

// d = sign * distance + a constant, where the distance is from the index of a loop around the
// branch to its end, or from its first index.
static bool against_running_loop(const validator *v, const kg_op *branch, const linear *d,
                                 bool strict, guard *g)
{
    for (int i = 0; i < v->loops.count; i++) {
        const loop_model *l = &v->loops.items[i];
        if (l->op->code != KG_OP_FOR || branch == l->op || !inside(branch, l->op)) continue;
        linear first = linear_of(l->op->operands[0]), end = linear_of(l->op->operands[1]);
        linear index = {.known = true, .count = 1, .terms = {{l->op->blocks[0]->arg, 1}}};
        linear distances[] = {linear_sum(&end, &index, -1), linear_sum(&index, &first, -1)};
        for (int form = 0; form < (l->step ? 4 : 2); form++) {
            int sign = form & 1 ? -1 : 1;
            linear rest = linear_sum(d, &distances[form / 2], -sign);
            if (!linear_is_constant(&rest)) continue;
            g->kind = form < 2 ? GUARD_DISTANCE : GUARD_PASSED;
            g->loop = i;
            set_least(g, sign, rest.constant, strict);
            return true;
        }
    }
    return false;
}

// All trips of the loop, where these are few and known; 0 otherwise.
static int64_t few_trips(const loop_model *l)
{
    enum { FEW = 32 };
    bool known = l->op->code == KG_OP_FOR && l->trips.variable < 0 && l->step > 0;
    int64_t trips = known ? (l->trips.offset + l->step - 1) / l->step : 0;
    return trips > 0 && trips <= FEW ? trips : 0;
}

// A comparison that also depends on the index of such a loop around it: the index is a number.
static void use_index(validator *v, const kg_op *branch, guard *g, linear *d)
{
    for (int i = 0; i < v->loops.count; i++) {
        loop_model *l = &v->loops.items[i];
        linear first = linear_of(l->op->code == KG_OP_FOR ? l->op->operands[0] : NULL);
        linear index = {.known = true, .count = 1};
        if (!few_trips(l) || !inside(branch, l->op) || !linear_is_constant(&first)) continue;
        index.terms[0].value = l->op->blocks[0]->arg;
        index.terms[0].factor = 1;
        int64_t factor = linear_factor(d, index.terms[0].value);
        if (!factor) continue;
        *d = linear_sum(d, &index, -factor);
        d->constant += factor * first.constant;
        g->shift_loop = i;
        g->shift = factor;
        l->most_passed = (few_trips(l) - 1) * l->step;
        return;
    }
}

static guard find_guard(validator *v, const kg_op *branch)
{
    const kg_value *condition = branch->operands[0];
    guard g = {.shift_loop = -1,
               .condition = condition->id >= 0 ? v->condition_of[condition->id] : -1};
    int64_t number;
    bool swapped, strict;
    if (kg_const_int(condition, &number)) {
        g.kind = GUARD_FIXED;
        g.value = number != 0;
        return g;
    }
    if (residue_condition(condition, &g.scalar, &g.modulus, &g.least) &&
        v->modulus % g.modulus == 0) {
        g.kind = GUARD_RESIDUE;
        g.equals = true;
        g.negated = condition->op->code == KG_OP_NE;
        return g;
    }
    if (condition->kind != KG_VALUE_RESULT || condition->op->n_operands != 2 ||
        !compares(condition->op, &g, &swapped, &strict))
        return g;
    linear x = linear_of(condition->op->operands[swapped]);
    linear y = linear_of(condition->op->operands[!swapped]);
    linear d = linear_sum(&x, &y, -1);
    if (!d.known || kg_dtype_info_of(condition->op->operands[0]->type.dtype)->is_float) return g;
    if (against_running_loop(v, branch, &d, strict, &g)) return g;
    use_index(v, branch, &g, &d);
    linear part = d;
    part.constant = 0;
    if (!quantity_of(v, &part, &g.of)) return g;
    g.kind = GUARD_VALUE;
    set_least(&g, 1, d.constant, strict);
    return g;
}

static void find_guards(validator *v, const kg_block *block)
{
    for (const kg_op *op = block->first; op; op = op->next) {
        if (op->code == KG_OP_IF && v->matters[op->id]) {
            guard g = v->guards[op->id] = find_guard(v, op);
            loop_model *l = &v->loops.items[g.loop];
            if (g.kind == GUARD_DISTANCE && g.least >= l->most) l->most = g.least + 1;
            if (g.kind == GUARD_PASSED && g.least > l->most_passed) l->most_passed = g.least;
        }
        for (int i = 0; i < op->n_blocks; i++) find_guards(v, op->blocks[i]);
    }
}

// ---- units and thresholds ---------------------------------------------------------------------

static int64_t unit_of(const validator *v, int which)
{
    int64_t unit = 0;
    for (int i = 0; i < v->loops.count; i++) {
        const loop_model *l = &v->loops.items[i];
        if (l->op->code != KG_OP_FOR || l->trips.variable != which) continue;
        if (l->trips.sign < 0 || !l->step) return 1;
        unit = common_divisor(unit, common_divisor(l->step, l->trips.offset));
    }
    return unit ? unit : 1;
}

static bool guards_in_units(const validator *v, const kg_block *block, int which, int64_t unit)
{
    for (const kg_op *op = block->first; op; op = op->next) {
        const guard *g = &v->guards[op->id];
        bool value = g->kind == GUARD_VALUE && g->of.variable == which;
        bool distance =
            g->kind == GUARD_DISTANCE && v->loops.items[g->loop].trips.variable == which;
        if ((value && (g->of.sign < 0 || g->equals || g->shift_loop >= 0 ||
                       (g->least - g->of.offset) % unit)) ||
            (distance && (g->equals || g->least % unit)))
            return false;
        for (int i = 0; i < op->n_blocks; i++)
            if (!guards_in_units(v, op->blocks[i], which, unit)) return false;
    }
    return true;
}

static void scale_guards(validator *v, const kg_block *block, int which, int64_t unit)
{
    for (const kg_op *op = block->first; op; op = op->next) {
        guard *g = &v->guards[op->id];
        if (g->kind == GUARD_VALUE && g->of.variable == which) {
            g->least = (g->least - g->of.offset) / unit;
            g->of.offset = 0;
        }
        if (g->kind == GUARD_DISTANCE && v->loops.items[g->loop].trips.variable == which)
            g->least /= unit;
        for (int i = 0; i < op->n_blocks; i++) scale_guards(v, op->blocks[i], which, unit);
    }
}

static void set_units(validator *v)
{
    for (int i = 0; i < v->variables.count; i++) {
        variable *x = &v->variables.items[i];
        x->unit = unit_of(v, i);
        if (x->unit > 1 && !guards_in_units(v, v->kernel->body, i, x->unit)) x->unit = 1;
        if (x->unit == 1) continue;
        scale_guards(v, v->kernel->body, i, x->unit);
        for (int k = 0; k < v->loops.count; k++) {
            loop_model *l = &v->loops.items[k];
            if (l->op->code != KG_OP_FOR || l->trips.variable != i) continue;
            l->unit = x->unit;
            l->trips.offset /= x->unit;
            l->most = (l->most + x->unit - 1) / x->unit;
        }
    }
}

static void note_guard(validator *v, const guard *g)
{
    const loop_model *l = g->shift_loop >= 0 ? &v->loops.items[g->shift_loop] : NULL;
    for (int64_t at = 0; at <= (l ? l->most_passed : 0); at += l ? l->step : 1) {
        add_threshold(v, &g->of, g->least - g->shift * at);
        if (g->equals) add_threshold(v, &g->of, g->least - g->shift * at - 1);
    }
}

static void note_thresholds(validator *v, const kg_block *block)
{
    for (const kg_op *op = block->first; op; op = op->next) {
        const guard *g = &v->guards[op->id];
        if (op->code == KG_OP_IF && g->kind == GUARD_VALUE) note_guard(v, g);
        for (int i = 0; i < op->n_blocks; i++) note_thresholds(v, op->blocks[i]);
    }
}

static void set_thresholds(validator *v)
{
    for (int i = 0; i < v->variables.count; i++) v->variables.items[i].used = false;
    note_thresholds(v, v->kernel->body);
    for (int i = 0; i < v->loops.count; i++) {
        loop_model *l = &v->loops.items[i];
        if (l->op->code != KG_OP_FOR) continue;
        if (l->most > MOST_VALUES || l->most_passed > MOST_VALUES) {
            validator_give_up(v, "a branch asks for more than %d trips of a loop", MOST_VALUES);
            return;
        }
        add_threshold(v, &l->trips, 0);
        add_threshold(v, &l->trips, l->most);
    }
    for (int i = 0; i < v->variables.count; i++)
        if (v->variables.items[i].high - v->variables.items[i].low > MOST_VALUES)
            validator_give_up(v, "loops and branches depend on too many values of one number");
}

// ---- scalars that slots depend on -------------------------------------------------------------

static int64_t common_multiple(int64_t a, int64_t b)
{
    int64_t x = a, y = b;
    while (y) {
        int64_t rest = x % y;
        x = y;
        y = rest;
    }
    return a / x * b;
}

static bool want(validator *v, const kg_value *value)
{
    int64_t number;
    if (!value || value->id < 0 || !kg_is_scalar(value) || kg_const_int(value, &number) ||
        kg_dtype_info_of(value->type.dtype)->is_float || v->scalar_of[value->id] >= 0)
        return false;
    if (value->kind == KG_VALUE_ARG) return false; // a loop's index: kept by loop
    v->scalar_of[value->id] = v->n_scalars++;
    return true;
}

static void widen_modulus(validator *v, int64_t m)
{
    int64_t both = common_multiple(v->modulus, m);
    if (both <= LARGEST_MODULUS) v->modulus = (int)both;
}

// `x == c`, or with !=, where x is something modulo m: x, and the constants.
static bool residue_condition(const kg_value *condition, const kg_value **x, int64_t *m,
                              int64_t *equal)
{
    if (condition->kind != KG_VALUE_RESULT) return false;
    const kg_op *op = condition->op;
    if ((op->code != KG_OP_EQ && op->code != KG_OP_NE) || !kg_const_int(op->operands[1], equal))
        return false;
    const kg_value *left = op->operands[0];
    if (left->kind != KG_VALUE_RESULT || left->op->code != KG_OP_MOD || !kg_is_scalar(left))
        return false;
    *x = left;
    return kg_const_int(left->op->operands[1], m) && *m > 0;
}

static void want_conditions(validator *v, const kg_block *block)
{
    for (const kg_op *op = block->first; op; op = op->next) {
        const kg_value *x;
        int64_t m, equal;
        if (op->code == KG_OP_IF && residue_condition(op->operands[0], &x, &m, &equal)) {
            widen_modulus(v, m);
            if (v->modulus % m == 0) want(v, x);
        }
        for (int i = 0; i < op->n_blocks; i++) want_conditions(v, op->blocks[i]);
    }
}

// One round: operands of what is wanted are wanted. True when something was added.
static bool spread(validator *v, const kg_block *block)
{
    bool added = false;
    for (const kg_op *op = block->first; op; op = op->next) {
        const kg_value *target = op->code == KG_OP_ASSIGN ? op->operands[0]
                                 : op->n_results == 1     ? op->results[0]
                                                          : NULL;
        bool wanted = target && target->id >= 0 && v->scalar_of[target->id] >= 0;
        int64_t m;
        for (int i = 0; wanted && i < op->n_operands; i++) added |= want(v, op->operands[i]);
        if (wanted && op->code == KG_OP_MOD && kg_const_int(op->operands[1], &m) && m > 0 &&
            m <= LARGEST_MODULUS) {
            widen_modulus(v, m);
        }
        for (int i = 0; i < op->n_blocks; i++) added |= spread(v, op->blocks[i]);
    }
    return added;
}

static void find_scalars(validator *v)
{
    v->modulus = 1;
    for (int i = 0; i < v->accesses.count; i++) {
        const access_model *a = &v->accesses.items[i];
        if (a->ring <= 1) continue;
        int64_t both = common_multiple(v->modulus, a->ring);
        if (both > LARGEST_MODULUS) {
            validator_give_up(v, "rings of too many different lengths");
            return;
        }
        v->modulus = (int)both;
        want(v, a->at.slot);
    }
    want_conditions(v, v->kernel->body);
    while (spread(v, v->kernel->body)) {
    }
}

// ---- the walk ---------------------------------------------------------------------------------

static void visit(validator *v, kg_block *block);

static void visit_loop(validator *v, kg_op *op)
{
    loop_model l = {.op = op,
                    .trips = {.variable = -1},
                    .step = 1,
                    .unit = 1,
                    .most = 1,
                    .most_passed = -1,
                    .partners = -1};
    v->loop_of[op->id] = v->loops.count;
    if (op->code == KG_OP_FOR) describe_loop(v, op, &l);
    KG_PUSH(v->arena, &v->loops, l);
    if (v->loops.count > 32) validator_give_up(v, "more than 32 loops");
}

static void visit_op(validator *v, kg_op *op)
{
    int64_t count = kg_op_int(op, KG_A_COUNT, 0);
    v->ops[op->id] = op;
    v->first_access[op->id] = -1;
    if (kg_op_info_of(op->code)->n_effects) {
        kg_access found[KG_MAX_EFFECTS];
        int n = kg_op_accesses(op, found);
        if (n) v->first_access[op->id] = v->accesses.count;
        for (int i = 0; i < n; i++) add_access(v, &found[i]);
    }
    if (op->code == KG_OP_FOR || op->code == KG_OP_WHILE) visit_loop(v, op);
    if (op->code == KG_OP_WAIT && count > v->most_groups) v->most_groups = (int)count;
    if (op->code == KG_OP_IF && op->operands[0]->id >= 0 &&
        v->condition_of[op->operands[0]->id] < 0 && !kg_is_mutable(op->operands[0]) &&
        v->n_conditions < MOST_CONDITIONS)
        v->condition_of[op->operands[0]->id] = v->n_conditions++;
    for (int i = 0; i < op->n_blocks; i++) visit(v, op->blocks[i]);
}

static void visit(validator *v, kg_block *block)
{
    for (kg_op *op = block->first; op && !v->stop; op = op->next) visit_op(v, op);
}

// An op that neither touches memory nor synchronizes nor moves such a scalar is passed over.
static bool mark_matters(validator *v, const kg_block *block)
{
    bool any = false;
    for (const kg_op *op = block->first; op; op = op->next) {
        const kg_op_info *info = kg_op_info_of(op->code);
        bool m = v->first_access[op->id] >= 0 || info->cls == KG_CLASS_Y;
        const kg_value *target = op->code == KG_OP_ASSIGN ? op->operands[0]
                                 : op->n_results == 1     ? op->results[0]
                                                          : NULL;
        m |= target && target->id >= 0 && v->scalar_of[target->id] >= 0;
        for (int i = 0; i < op->n_blocks; i++) m |= mark_matters(v, op->blocks[i]);
        v->matters[op->id] = m;
        any |= m;
    }
    return any;
}

static void find_contested(validator *v)
{
    bool acquires = false;
    v->contested = KG_NEW_ARRAY(v->arena, bool, v->n_tensors + 1);
    v->written = KG_NEW_ARRAY(v->arena, bool, v->n_tensors + 1);
    for (int i = 0; i < v->accesses.count; i++) {
        const access_model *a = &v->accesses.items[i];
        if (a->tensor >= 0) v->written[a->tensor] |= a->writes;
        acquires |= !a->at.root && a->writes;
        v->any_computed |= a->shared && !a->at.exact;
    }
    for (int i = 0; i < v->n_tensors; i++) v->contested[i] = acquires || v->written[i];
}

static void find_conditions_of_loops(validator *v, const kg_block *block)
{
    for (const kg_op *op = block->first; op; op = op->next) {
        int c = op->code == KG_OP_IF && op->operands[0]->id >= 0
                    ? v->condition_of[op->operands[0]->id]
                    : -1;
        for (int i = 0; c >= 0 && i < v->loops.count; i++)
            if (defined_inside(op->operands[0], v->loops.items[i].op))
                v->loops.items[i].conditions |= UINT64_C(1) << c;
        for (int i = 0; i < op->n_blocks; i++) find_conditions_of_loops(v, op->blocks[i]);
    }
}

bool validator_prepare(validator *v)
{
    int n_ops, n_values = kg_kernel_number(v->kernel, &n_ops);
    v->warps = v->kernel->warps;
    v->first_access = KG_NEW_ARRAY(v->arena, int, n_ops + 1);
    v->loop_of = KG_NEW_ARRAY(v->arena, int, n_ops + 1);
    v->matters = KG_NEW_ARRAY(v->arena, bool, n_ops + 1);
    v->guards = KG_NEW_ARRAY(v->arena, guard, n_ops + 1);
    v->ops = KG_NEW_ARRAY(v->arena, const kg_op *, n_ops + 1);
    v->scalar_of = KG_NEW_ARRAY(v->arena, int, n_values + 1);
    v->condition_of = KG_NEW_ARRAY(v->arena, int, n_values + 1);
    v->tensors = KG_NEW_ARRAY(v->arena, const kg_value *, v->kernel->n_params + 1);
    for (int i = 0; i <= n_values; i++) v->scalar_of[i] = v->condition_of[i] = -1;
    if (v->warps > MOST_WARPS) validator_give_up(v, "more than %d warps", MOST_WARPS);
    if (!v->stop) visit(v, v->kernel->body);
    if (v->accesses.count > UINT16_MAX || n_ops > INT16_MAX)
        validator_give_up(v, "the program is too long");
    if (!v->stop) find_scalars(v);
    if (v->stop) return false;
    mark_matters(v, v->kernel->body);
    find_guards(v, v->kernel->body);
    set_units(v);
    set_thresholds(v);
    validator_find_partners(v);
    forget_inside(v);
    find_conditions_of_loops(v, v->kernel->body);
    find_contested(v);
    if (v->stop) return false;
    validator_make_cells(v);
    v->state_bytes = sizeof(state) + (((size_t)v->n_scalars * 2 + 7) & ~(size_t)7) +
                     (size_t)v->n_tensors * sizeof(tensor_state) +
                     (size_t)v->n_cells * sizeof(cell);
    return true;
}
