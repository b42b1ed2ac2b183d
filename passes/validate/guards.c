// SPDX-License-Identifier: MIT
// Loops and branches in terms of unknown integers: what a loop's number of trips and a branch's
// condition are compared with, and so which values have to be told apart.
#include "passes/validate/model.h"

enum { HIGHEST_LIMIT = 8 }; // so many values are told apart for it

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
                if (linear_changes_in(part->terms[t].value, v->loops.items[i].op))
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

// Something else goes by that number than this loop and others that end there.
static bool is_used_elsewhere(const kg_block *block, const kg_op *loop, const kg_value *number)
{
    for (const kg_op *op = block->first; op; op = op->next) {
        for (int i = 0; i < op->n_operands; i++) {
            const kg_value *value = op->operands[i];
            if (op == loop || value->kind != KG_VALUE_RESULT || value->op->code != KG_OP_MIN ||
                !kg_is_scalar(value))
                continue;
            linear x = linear_of(value), y = linear_of(number);
            linear apart = linear_sum(&x, &y, -1);
            bool ends = op->code == KG_OP_FOR && i == 1 && apart.constant == 0;
            if (linear_is_constant(&apart) && !ends) return true;
        }
        for (int i = 0; i < op->n_blocks; i++)
            if (is_used_elsewhere(op->blocks[i], loop, number)) return true;
    }
    return false;
}

// first .. min(n, constant): the distance to n, at most that to the constant. Where others go by
// the lesser of the two it is a number of its own, so that all of them agree on it.
static bool has_limit(validator *v, const kg_op *loop, const linear *first, quantity *out)
{
    const kg_value *end = loop->operands[1];
    if (end->kind != KG_VALUE_RESULT || end->op->code != KG_OP_MIN ||
        is_used_elsewhere(v->kernel->body, loop, end))
        return false;
    for (int i = 0; i < 2; i++) {
        linear limit = linear_of(end->op->operands[i]), n = linear_of(end->op->operands[!i]);
        limit = linear_sum(&limit, first, -1);
        n = linear_sum(&n, first, -1);
        if (!linear_is_constant(&limit) || limit.constant < 1 || limit.constant > HIGHEST_LIMIT ||
            !quantity_of(v, &n, out) || out->variable < 0)
            continue;
        out->limit = limit.constant;
        return true;
    }
    return false;
}

void validator_describe_loop(validator *v, kg_op *op, loop_model *l)
{
    linear first = linear_of(op->operands[0]), end = linear_of(op->operands[1]);
    linear distance = linear_sum(&end, &first, -1);
    l->step = step_of(op);
    if (has_limit(v, op, &first, &l->trips)) return;
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
    if (validator_residue_condition(condition, &g.scalar, &g.modulus, &g.least) &&
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
        if (l->trips.sign < 0 || !l->step || l->trips.limit) return 1;
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

static bool commits(const kg_block *block)
{
    for (const kg_op *op = block->first; op; op = op->next) {
        if (op->code == KG_OP_COMMIT || op->code == KG_OP_BULK_COMMIT ||
            op->code == KG_OP_WGMMA_COMMIT)
            return true;
        for (int i = 0; i < op->n_blocks; i++)
            if (commits(op->blocks[i])) return true;
    }
    return false;
}

// Loops over the same number commit groups: how many there are after one of them says how many
// there will be after the other, up to the count above which nobody looks. So the number is told
// apart as far as that. Groups are a warp's own.
static void count_groups(validator *v, int which)
{
    const variable *x = &v->variables.items[which];
    const loop_model *found[32];
    int n = 0;
    for (int i = 0; i < v->loops.count; i++) {
        const loop_model *l = &v->loops.items[i];
        if (l->op->code == KG_OP_FOR && l->trips.variable == which && l->step &&
            commits(l->op->blocks[0]))
            found[n++] = l;
    }
    for (int i = 0; i < n; i++) {
        uint32_t warps = 0;
        for (int k = 0; k < n; k++) warps |= k == i ? 0 : validator_warps_of(found[k]->op);
        if (!(warps & validator_warps_of(found[i]->op))) continue;
        int64_t most = found[i]->most + (v->most_groups + 1) * (found[i]->step / found[i]->unit);
        if (most + x->high - x->low <= MOST_VALUES) add_threshold(v, &found[i]->trips, most);
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
        if (l->trips.limit) add_threshold(v, &l->trips, l->trips.limit);
    }
    for (int i = 0; i < v->variables.count; i++) count_groups(v, i);
    for (int i = 0; i < v->variables.count; i++)
        if (v->variables.items[i].high - v->variables.items[i].low > MOST_VALUES)
            validator_give_up(v, "loops and branches depend on too many values of one number");
}

// ---- what a trip forgets ------------------------------------------------------------------------

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

// Terms that cannot be less than zero: indices of the grid, some times.
static bool is_never_negative(const validator *v, const linear *form)
{
    if (!form->known || form->constant < 0) return false;
    for (int t = 0; t < form->count; t++)
        if (form->terms[t].factor < 0 || form->terms[t].value->kind != KG_VALUE_GRID) return false;
    return true;
}

// It depends on which CTA of the cluster this is, and is no sum with that one's number in it.
static bool is_vague(const validator *v, const kg_value *value, int depth)
{
    enum { DEEPEST = 24 };
    if (value == v->kernel->grid[0].value) return depth > 0;
    if (value->kind != KG_VALUE_RESULT) return false;
    if (depth == DEEPEST || kg_is_mutable(value)) return true;
    for (int i = 0; i < value->op->n_operands; i++)
        if (is_vague(v, value->op->operands[i], depth + 1)) return true;
    return false;
}

// What one number of that kind says it says of all CTAs alike; of two nobody knows how they go
// together.
static void find_vague(validator *v)
{
    int count = 0;
    for (int i = 0; v->ctas.count && i < v->variables.count; i++) {
        variable *x = &v->variables.items[i];
        for (int t = 0; t < x->part.count; t++) x->vague |= is_vague(v, x->part.terms[t].value, 0);
        count += x->vague;
    }
    for (int i = 0; count == 1 && i < v->variables.count; i++) v->variables.items[i].vague = false;
}

static void find_order(validator *v)
{
    for (int i = 0; i < v->variables.count; i++)
        for (int k = 0; k < v->variables.count; k++) {
            variable *x = &v->variables.items[i], *y = &v->variables.items[k];
            linear apart = linear_sum(&x->part, &y->part, -1);
            if (i != k && x->unit == y->unit && is_never_negative(v, &apart)) x->above |= 1u << k;
        }
}

void validator_find_guards(validator *v)
{
    find_guards(v, v->kernel->body);
    set_units(v);
    set_thresholds(v);
    validator_find_partners(v);
    forget_inside(v);
    find_order(v);
    find_vague(v);
    find_conditions_of_loops(v, v->kernel->body);
}
