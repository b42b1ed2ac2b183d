// SPDX-License-Identifier: MIT
// Fragments that wgmma works on. Between a wgmma and the wait for its group nothing else may use
// the registers of its result and of an operand A; and between any other use and a wgmma there has
// to be a wgmma_fence. An assignment is no use: the variable is the registers. A product that goes
// on with the sum of the one before needs nothing between the two.
#include "passes/validate/model.h"

// ---- which --------------------------------------------------------------------------------------

static bool want(validator *v, const kg_value *value)
{
    if (value->id < 0 || value->type.home != KG_HOME_FRAG || !value->type.rank ||
        v->registers_of[value->id] >= 0)
        return false;
    v->registers_of[value->id] = v->n_registers++;
    return true;
}

static int number(const validator *v, const kg_value *value)
{
    return value->id >= 0 ? v->registers_of[value->id] : -1;
}

// What the op only gives another name; NULL.
static const kg_value *renamed(const kg_op *op)
{
    if (op->code == KG_OP_ASSIGN) return op->operands[1];
    return op->code == KG_OP_FRAG && op->n_results == 1 ? op->operands[0] : NULL;
}

static const kg_value *new_name(const kg_op *op)
{
    return op->code == KG_OP_ASSIGN ? op->operands[0] : op->results[0];
}

static bool spread(validator *v, const kg_block *block)
{
    bool added = false;
    for (const kg_op *op = block->first; op; op = op->next) {
        if (op->code == KG_OP_WGMMA) {
            added |= want(v, op->operands[0]) | want(v, op->results[0]);
            if (!kg_wgmma_is_fresh(op)) added |= want(v, op->operands[2]);
        }
        if (renamed(op) && number(v, renamed(op)) >= 0) added |= want(v, new_name(op));
        for (int i = 0; i < op->n_blocks; i++) added |= spread(v, op->blocks[i]);
    }
    return added;
}

// Does the sum that a wgmma starts from live on beside its result? Then it is copied, and where is
// not for us to say.
static bool lives_on(const kg_op *wgmma, const kg_block *block, int *uses)
{
    const kg_value *sum = wgmma->operands[2];
    for (const kg_op *op = block->first; op; op = op->next) {
        for (int i = 0; i < op->n_operands; i++) *uses += op->operands[i] == sum;
        if (op->code == KG_OP_ASSIGN && op->operands[0] == sum &&
            op->operands[1] == wgmma->results[0])
            return false;
        for (int i = 0; i < op->n_blocks; i++)
            if (!lives_on(wgmma, op->blocks[i], uses)) return false;
    }
    return true;
}

static void check_sums(validator *v, const kg_block *block)
{
    for (const kg_op *op = block->first; op; op = op->next) {
        int uses = 0;
        if (op->code == KG_OP_WGMMA && !kg_wgmma_is_fresh(op) &&
            lives_on(op, v->kernel->body, &uses) && uses > 1)
            validator_give_up(v, "the sum that a wgmma starts from is used beside its result");
        for (int i = 0; i < op->n_blocks; i++) check_sums(v, op->blocks[i]);
    }
}

void validator_find_registers(validator *v)
{
    check_sums(v, v->kernel->body);
    while (spread(v, v->kernel->body)) {
    }
}

bool validator_has_registers(const validator *v, const kg_op *op)
{
    for (int i = 0; i < op->n_operands; i++)
        if (number(v, op->operands[i]) >= 0) return true;
    for (int i = 0; i < op->n_results; i++)
        if (number(v, op->results[i]) >= 0) return true;
    return false;
}

// ---- branches that change nothing ---------------------------------------------------------------

static void collect_value(const validator *v, const kg_value *value, bool *used)
{
    if (number(v, value) >= 0) used[number(v, value)] = true;
}

// Adds the registers that the op uses; false: it does something else as well. Of `certain` uses: a
// result may be in other registers, see use.
static bool collect(const validator *v, const kg_op *op, bool certain, bool *used)
{
    if (!v->matters[op->id]) return true;
    const kg_value *target = renamed(op) ? new_name(op) : op->n_results ? op->results[0] : NULL;
    if (v->first_access[op->id] >= 0 || kg_op_info_of(op->code)->cls == KG_CLASS_Y ||
        op->code == KG_OP_WGMMA || (target && target->id >= 0 && v->scalar_of[target->id] >= 0))
        return false;
    if (op->n_blocks && (op->code != KG_OP_IF || validator_has_registers(v, op))) return false;
    for (int i = 0; i < op->n_blocks; i++)
        for (const kg_op *o = op->blocks[i]->first; o; o = o->next)
            if (!collect(v, o, certain, used)) return false;
    bool product =
        renamed(op) && renamed(op)->kind == KG_VALUE_RESULT && renamed(op)->op->code == KG_OP_WGMMA;
    if (product && number(v, target) >= 0) return false; // it gets what is known of the product's
    for (int i = 0; i < op->n_operands; i++) collect_value(v, op->operands[i], used);
    for (int i = 0; i < op->n_results && (!certain || renamed(op)); i++)
        collect_value(v, op->results[i], used);
    return true;
}

static bool all_used(const validator *v, const bool *wanted, const bool *used)
{
    for (int i = 0; i < v->n_registers; i++)
        if (wanted[i] && !used[i]) return false;
    return true;
}

// What an arm uses is used behind the branch anyway, with nothing between: then it makes no
// difference which way is taken, neither to what is found nor to what is left behind.
static bool changes_nothing(validator *v, const kg_op *branch)
{
    bool *wanted = KG_NEW_ARRAY(v->arena, bool, v->n_registers + 1);
    bool *used = KG_NEW_ARRAY(v->arena, bool, v->n_registers + 1);
    if (!collect(v, branch, false, wanted)) return false;
    for (const kg_op *op = branch->next; op && !all_used(v, wanted, used); op = op->next)
        if ((op->n_blocks && v->matters[op->id]) || !collect(v, op, true, used)) return false;
    return all_used(v, wanted, used);
}

void validator_pass_over_uses(validator *v, const kg_block *block)
{
    for (const kg_op *op = block->first; op; op = op->next) {
        for (int i = 0; i < op->n_blocks; i++) validator_pass_over_uses(v, op->blocks[i]);
        if (op->code == KG_OP_IF && v->matters[op->id] && changes_nothing(v, op))
            v->matters[op->id] = false;
    }
}

// ---- uses ---------------------------------------------------------------------------------------

static void complain(validator *v, const state *s, const kg_op *op, bool certain, const char *what)
{
    access_model here = {.at = {.op = op}, .region = validator_warps_of(op)};
    complaint c = {certain, what, NULL, &here, 0, -1, here.region, here.region};
    validator_report(v, s, &c);
}

static void use(validator *v, state *s, const kg_op *op, const kg_value *value, bool writes)
{
    int k = number(v, value);
    uint32_t warps = validator_warps_of(op);
    if (k < 0) return;
    registers *r = &registers_of(v, s)[k];
    if (r->flying & warps)
        complain(v, s, op, !writes,
                 r->written
                     ? "these registers are used while a wgmma that writes them is in flight"
                     : "these registers are used while a wgmma that reads them is in flight");
    r->touched |= warps;
}

// What was in flight under the old name goes on without one, but nobody can ask for it any more.
static void rename_registers(validator *v, state *s, const kg_op *op)
{
    const kg_value *from = renamed(op), *to = new_name(op);
    int a = number(v, from), b = number(v, to);
    uint32_t warps = validator_warps_of(op);
    if (b < 0) {
        use(v, s, op, from, false);
        return;
    }
    registers *r = registers_of(v, s);
    bool result = from->kind == KG_VALUE_RESULT && from->op->code == KG_OP_WGMMA;
    bool same = result && from->op->operands[2] == to;
    if ((r[b].flying & warps) && !same)
        complain(v, s, op, true, "assigned while a wgmma works on its registers");
    if (result && a >= 0) {
        r[b] = r[a];
        // From now on whoever uses the variable uses the registers that the product comes back to.
        r[a].touched |= warps;
        return;
    }
    use(v, s, op, from, false);
    r[b].touched |= warps;
}

static void multiply(validator *v, state *s, const kg_op *op)
{
    uint32_t warps = validator_warps_of(op);
    registers *r = registers_of(v, s);
    int a = number(v, op->operands[0]), result = number(v, op->results[0]);
    int c = kg_wgmma_is_fresh(op) ? result : number(v, op->operands[2]);
    if (a >= 0 && r[a].written && (r[a].flying & warps))
        complain(v, s, op, true, "operand A is the result of a wgmma that is in flight");
    if (c >= 0 && !r[c].written && (r[c].flying & warps))
        complain(v, s, op, true, "the sum is operand A of a wgmma that is in flight");
    if (((a >= 0 ? r[a].touched : 0) | (c >= 0 ? r[c].touched : 0)) & warps)
        complain(v, s, op, true,
                 "these registers were used otherwise, and no wgmma_fence is between");
    if (a >= 0)
        r[a] = (registers){.touched = r[a].touched, .flying = r[a].flying | warps, .phase = 1};
    if (result >= 0) r[result] = (registers){.flying = warps, .phase = 1, .written = true};
}

void validator_touch_registers(validator *v, state *s, const kg_op *op)
{
    if (op->code == KG_OP_WGMMA) {
        multiply(v, s, op);
        return;
    }
    if (renamed(op)) {
        rename_registers(v, s, op);
        return;
    }
    for (int i = 0; i < op->n_operands; i++) use(v, s, op, op->operands[i], false);
    for (int i = 0; i < op->n_results; i++) use(v, s, op, op->results[i], true);
}

// ---- synchronization ----------------------------------------------------------------------------

static void land(validator *v, registers *r, uint32_t warps, int count)
{
    if (!r->flying || r->phase < 2 + count) return;
    r->flying &= ~warps;
    if (!r->flying) *r = (registers){.touched = r->touched};
}

void validator_synchronize_registers(validator *v, state *s, const kg_op *op, uint32_t warps)
{
    int count = (int)kg_op_int(op, KG_A_COUNT, 0);
    for (int i = 0; i < v->n_registers; i++) {
        registers *r = &registers_of(v, s)[i];
        switch (op->code) {
        case KG_OP_WGMMA_FENCE:
            r->touched &= ~warps;
            break;
        case KG_OP_WGMMA_WAIT:
            land(v, r, warps, count);
            break;
        case KG_OP_WGMMA_COMMIT:
            if (!(r->flying & warps)) break;
            if (r->flying & ~warps)
                validator_give_up(v, "some of the warps that multiply together commit alone");
            if (r->phase < 2 + v->most_groups + 1) r->phase++;
            break;
        default:
            break;
        }
    }
}
