// SPDX-License-Identifier: MIT
// What there is to execute: accesses with their threads, loops, and the scalars that ring slots
// depend on.
#include "passes/validate/model.h"

#include <string.h>

// ---- accesses ---------------------------------------------------------------------------------

static const kg_value *memory_of(const kg_value *root)
{
    for (int i = 0; i < 16 && root->tensor && root->tensor->alias; i++) root = root->tensor->alias;
    return root;
}

// Each CTA of a cluster has a number of its own for it.
static int tensor_number(validator *v, const kg_value *root, int cta)
{
    const kg_value *memory = memory_of(root);
    for (int i = 0; i < v->n_tensors; i++)
        if (v->tensors[i] == memory && v->cta_of_tensor[i] == cta) return i;
    v->tensors[v->n_tensors] = memory;
    v->cta_of_tensor[v->n_tensors] = cta;
    return v->n_tensors++;
}

// A flag of global memory: it concerns all that its CTA does there, and nothing else.
static bool concerns(const validator *v, const access_model *a, int tensor)
{
    return !a->shared &&
           (a->tensor == tensor || (a->tensor < 0 && a->cta == v->cta_of_tensor[tensor]));
}

// By the first thread of its region only: a scalar's store, or an elected op.
static bool by_one_thread(const kg_access *at)
{
    if (at->effect->agent == KG_AGENT_ELECTED || at->effect->agent == KG_AGENT_BULK) return true;
    if (at->effect->mode == KG_MODE_S) return false;
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

static flight flight_of(validator *v, const kg_access *at)
{
    switch (at->effect->completes) {
    case KG_COMPLETES_ISSUE:
        return FLIGHT_NONE;
    case KG_COMPLETES_GROUP:
        return FLIGHT_COPY;
    case KG_COMPLETES_MBARRIER:
        return FLIGHT_PHASE;
    case KG_COMPLETES_BULK_READ:
        return FLIGHT_BULK_READ;
    case KG_COMPLETES_BULK_FULL:
        return FLIGHT_BULK;
    case KG_COMPLETES_WGMMA_GROUP:
        return FLIGHT_WGMMA;
    }
    validator_give_up(v, "an access of '%s' completes in a way that is not modelled",
                      kg_op_info_of(at->op->code)->name);
    return FLIGHT_NONE;
}

// The number of the first slot of a ring of mbarriers.
static int mbarrier_number(validator *v, const kg_value *root)
{
    int64_t ring = kg_op_int(root->op, KG_A_RING, 1);
    for (int i = 0; i < v->n_mbarriers; i++)
        if (v->mbarrier_root[i] == root) return i;
    if (ring < 1 || v->n_mbarriers + ring > MOST_SLOTS) {
        validator_give_up(v, "more than %d mbarriers", MOST_SLOTS);
        return 0;
    }
    for (int64_t i = 0; i < ring; i++) {
        v->mbarrier_root[v->n_mbarriers] = root;
        v->cta_of_mbarrier[v->n_mbarriers] =
            (uint8_t)cta_of_byte(v, kg_op_int(root->op, KG_A_OFFSET, 0));
        v->arrivals[v->n_mbarriers++] = (int32_t)kg_op_int(root->op, KG_A_ARRIVALS, 1);
    }
    return v->n_mbarriers - (int)ring;
}

static void add_access(validator *v, const kg_access *at)
{
    access_model a = {.at = *at, .ring = 1, .tensor = -1, .mbarrier = -1};
    kg_region region = kg_op_region(at->op);
    a.elected = by_one_thread(at);
    int warps = a.elected ? 1 : region.n_warps;
    a.region = (warps >= 32 ? ~0u : (1u << warps) - 1) << region.first_warp;
    a.cta = cta_of(v, a.region);
    a.use = at->effect->mode == KG_MODE_S;
    a.init = at->op->code == KG_OP_MBARRIER_INIT;
    a.writes = at->effect->mode != KG_MODE_R && !a.use;
    a.atomic = at->effect->mode == KG_MODE_A;
    a.proxy = at->effect->proxy == KG_PROXY_ASYNC;
    a.flight = (uint8_t)flight_of(v, at);
    a.masked = may_leave_out(at);
    a.shared = at->root && at->root->type.home == KG_HOME_SHARED;
    if (a.use || a.init) a.mbarrier = mbarrier_number(v, at->root);
    if (a.use && !at->exact) validator_give_up(v, "an mbarrier's place is computed");
    if (a.shared) {
        a.offset = kg_op_int(at->root->op, KG_A_OFFSET, 0);
        a.ring = (int)kg_op_int(at->root->op, KG_A_RING, 1);
        a.slot_bytes = kg_shared_slot_bytes(at->root);
    } else if (at->root) {
        a.tensor = tensor_number(v, at->root, a.cta);
    }
    const kg_op *around[64];
    int n = 0;
    for (const kg_op *o = at->op->parent->owner; o; o = o->parent->owner)
        if (kg_is_loop(o) && n < 64) around[n++] = o;
    for (int i = 0; i < n && i < MOST_LOOPS; i++) a.loops[i] = around[n - 1 - i];
    a.n_loops = n < MOST_LOOPS ? n : MOST_LOOPS;
    if (n > MOST_LOOPS) validator_give_up(v, "more than %d loops around one another", MOST_LOOPS);
    KG_PUSH(v->arena, &v->accesses, a);
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
    if (value->kind == KG_VALUE_ARG) { // a loop's index: kept by loop
        v->loops.items[v->loop_of[value->op->id]].index_wanted = true;
        return false;
    }
    v->scalar_of[value->id] = v->n_scalars++;
    return true;
}

static void widen_modulus(validator *v, int64_t m)
{
    int64_t both = common_multiple(v->modulus, m);
    if (both <= MOST_MODULUS) v->modulus = (int)both;
}

bool validator_residue_condition(const kg_value *condition, const kg_value **x, int64_t *m,
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
        if (op->code == KG_OP_IF && validator_residue_condition(op->operands[0], &x, &m, &equal)) {
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
            m <= MOST_MODULUS) {
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
        if (a->ring <= 1 && a->mbarrier < 0) continue;
        // Of an mbarrier the turn's parity matters besides.
        int64_t both = common_multiple(v->modulus, a->mbarrier < 0 ? a->ring : 2 * a->ring);
        if (both > MOST_MODULUS) {
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
    if (op->code == KG_OP_FOR) validator_describe_loop(v, op, &l);
    KG_PUSH(v->arena, &v->loops, l);
    if (v->loops.count > 32) validator_give_up(v, "more than 32 loops");
}

static int largest(int a, int b)
{
    return a > b ? a : b;
}

// Roles, and CTAs of a cluster, compute for themselves what they share.
static void number_condition(validator *v, const kg_value *condition)
{
    int k = 0;
    while (k < v->n_conditions && !linear_same_value(v->conditions[k], condition)) k++;
    if (k == MOST_CONDITIONS) return;
    v->conditions[k] = condition;
    v->condition_of[condition->id] = k;
    if (k == v->n_conditions) v->n_conditions++;
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
    if (kg_is_loop(op)) visit_loop(v, op);
    bool waits =
        op->code == KG_OP_WAIT || op->code == KG_OP_BULK_WAIT || op->code == KG_OP_WGMMA_WAIT;
    if (waits && count > v->most_groups) v->most_groups = (int)count;
    if (op->code == KG_OP_ARRIVE || (op->code == KG_OP_BARRIER && op->parent->owner))
        v->at.barriers =
            largest(v->at.barriers, 1 + ((int)kg_op_int(op, KG_A_ID, 0) & (BARRIERS - 1)));
    if (op->code == KG_OP_IF && op->operands[0]->id >= 0 &&
        v->condition_of[op->operands[0]->id] < 0 && !kg_is_mutable(op->operands[0]))
        number_condition(v, op->operands[0]);
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
        m |= validator_has_registers(v, op);
        for (int i = 0; i < op->n_blocks; i++) m |= mark_matters(v, op->blocks[i]);
        v->matters[op->id] = m;
        any |= m;
    }
    return any;
}

// Whenever the two are made, they are apart or by one thread.
static bool never_clash(const validator *v, const access_model *a, const access_model *b)
{
    bool plain = !a->proxy && !a->flight && !b->proxy && !b->flight;
    for (int stale = 0; stale <= a->n_loops; stale++) {
        how_apart how = validator_relate(v, a, b, stale);
        if (how != NEVER_MEET && !(how == SAME_THREAD && plain)) return false;
    }
    return true;
}

// Room for what is known of each two accesses, where these are few.
static void make_relations(validator *v)
{
    enum { FEW = 128 };
    size_t n = (size_t)v->accesses.count;
    if (n <= FEW) v->related = KG_NEW_ARRAY(v->arena, uint8_t, n * n * (MOST_LOOPS + 1));
}

static bool is_settled(const validator *v, int tensor)
{
    for (int i = 0; i < v->accesses.count; i++)
        for (int k = 0; k < v->accesses.count; k++) {
            const access_model *a = &v->accesses.items[i], *b = &v->accesses.items[k];
            if (a->tensor != tensor || b->tensor != tensor || !(a->writes || b->writes)) continue;
            if (!never_clash(v, a, b)) return false;
        }
    return true;
}

static void find_users(validator *v)
{
    v->tensor_users = KG_NEW_ARRAY(v->arena, uint32_t, v->n_tensors + 1);
    v->tensor_writers = KG_NEW_ARRAY(v->arena, uint32_t, v->n_tensors + 1);
    v->tensor_proxies = KG_NEW_ARRAY(v->arena, uint32_t, v->n_tensors + 1);
    for (int i = 0; i < v->accesses.count; i++) {
        const access_model *a = &v->accesses.items[i];
        for (int k = 0; k < v->n_tensors; k++) {
            if (!concerns(v, a, k)) continue;
            v->tensor_users[k] |= a->region;
            if (a->proxy) v->tensor_proxies[k] |= a->region;
            // A release asks for reads too.
            if (a->writes || a->tensor < 0) v->tensor_writers[k] |= a->region;
        }
        // Its own CTA has to know of what others did there before it ends.
        for (int k = 0; (a->use || (a->init && v->ctas.count)) && k < a->ring; k++) {
            v->mbarrier_users[a->mbarrier + k] |= a->region;
            if (a->at.op->code != KG_OP_MBARRIER_WAIT) continue;
            v->mbarrier_waiters[a->mbarrier + k] |= a->region;
            v->far_waits[a->mbarrier + k] |= kg_op_int(a->at.op, KG_A_CLUSTER, 0) != 0;
        }
    }
}

static void find_contested(validator *v)
{
    bool acquires = false, publishes = false;
    v->contested = KG_NEW_ARRAY(v->arena, bool, v->n_tensors + 1);
    v->written = KG_NEW_ARRAY(v->arena, bool, v->n_tensors + 1);
    for (int i = 0; i < v->accesses.count; i++) {
        const access_model *a = &v->accesses.items[i];
        if (a->tensor >= 0) v->written[a->tensor] |= a->writes;
        acquires |= !a->at.root && a->writes;
        publishes |= !a->at.root;
        v->any_computed |= a->shared && !a->at.exact;
    }
    for (int i = 0; i < v->n_tensors; i++)
        v->contested[i] = v->written[i] && (acquires || publishes || !is_settled(v, i));
}

// Of shared memory (tensor -1), or of a tensor.
static bool has_accesses(const validator *v, int tensor, bool proxy)
{
    for (int i = 0; i < v->accesses.count; i++) {
        const access_model *a = &v->accesses.items[i];
        bool there = tensor < 0 ? a->shared : concerns(v, a, tensor);
        if (there && a->proxy == proxy && !a->use && !a->init) return true;
    }
    return false;
}

// Something is accessed by the async proxy and without it, and somebody will ask for the order.
static bool by_both(const validator *v, knowledge space)
{
    if (space == SHARED_FENCED) return has_accesses(v, -1, false) && has_accesses(v, -1, true);
    for (int i = 0; i < v->n_tensors; i++)
        if (v->contested[i] && has_accesses(v, i, false) && has_accesses(v, i, true)) return true;
    return false;
}

static size_t rounded(size_t bytes)
{
    return (bytes + 7) & ~(size_t)7;
}

// Returns how many mbarriers there are at which other CTAs arrive.
static int number_peers(validator *v)
{
    int count = 0;
    for (int i = 0; i < v->n_mbarriers; i++) v->peers_of[i] = -1;
    for (int i = 0; i < v->accesses.count; i++) {
        const access_model *a = &v->accesses.items[i];
        if (!a->use || a->at.op->code != KG_OP_MBARRIER_ARRIVE ||
            a->cta == v->cta_of_mbarrier[a->mbarrier] || v->peers_of[a->mbarrier] >= 0)
            continue;
        for (int k = 0; k < a->ring; k++) v->peers_of[a->mbarrier + k] = (int16_t)count++;
    }
    return count;
}

// Some CTA tells another one no more than that operations are over.
static bool tells_of_operations(const validator *v)
{
    bool any = false;
    for (int i = 0; i < v->accesses.count; i++) {
        const access_model *a = &v->accesses.items[i];
        any |= a->use && a->at.op->code == KG_OP_MBARRIER_ARRIVE &&
               kg_op_attr(a->at.op, KG_A_SCOPE) != NULL;
    }
    return any && v->ctas.count > 0;
}

static int even(int words)
{
    return words + (words & 1);
}

static void find_shape(validator *v)
{
    shape *at = &v->at;
    at->scalars = rounded(sizeof(state));
    at->tensors = at->scalars + rounded((size_t)v->n_scalars * sizeof(int16_t));
    at->cells = at->tensors + rounded((size_t)v->n_tensors * sizeof(tensor_state));
    at->mbarriers = at->cells + rounded((size_t)v->n_cells * sizeof(cell));
    at->registers = at->mbarriers + rounded((size_t)v->n_mbarriers * sizeof(mbarrier));
    at->scripts = at->registers + rounded((size_t)v->n_registers * sizeof(registers));
    at->end = at->scripts + rounded((size_t)v->n_scripts * sizeof(script));
    at->firsts = v->n_mbarriers ? 2 : 1;
    at->rows = v->warps + (v->n_mbarriers > 0);
    at->fenced[KNOWN] = 0;
    at->planes = at->firsts;
    for (int space = SHARED_FENCED; space <= GLOBAL_FENCED; space++) {
        bool both = by_both(v, (knowledge)space);
        at->fenced[space] = both ? at->planes : -1;
        if (both) at->planes += at->firsts;
    }
    at->came_after = v->n_mbarriers ? at->planes++ : -1;
    at->over = tells_of_operations(v) ? at->planes++ : -1;
    at->peers = teller_of(v, v->n_mbarriers, false);
    at->tellers = at->peers + 2 * number_peers(v);
    for (int half = 0; half < 2; half++)
        for (int kind = KNOWN; kind < KINDS_OF_KNOWLEDGE; kind++)
            if (plane_of(v, (knowledge)kind, half) >= 0)
                at->of_half[half] |= 1u << plane_of(v, (knowledge)kind, half);
    at->plane = even(at->rows + at->tellers);
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
    v->dies_at = KG_NEW_ARRAY(v->arena, int, n_ops + 1);
    int tensors = v->kernel->n_params * (v->ctas.count ? v->ctas.count : 1);
    v->tensors = KG_NEW_ARRAY(v->arena, const kg_value *, tensors + 1);
    v->cta_of_tensor = KG_NEW_ARRAY(v->arena, int, tensors + 1);
    v->registers_of = KG_NEW_ARRAY(v->arena, int, n_values + 1);
    for (int i = 0; i <= n_values; i++)
        v->scalar_of[i] = v->condition_of[i] = v->registers_of[i] = -1;
    for (int i = 0; i <= n_ops; i++) v->dies_at[i] = -1;
    if (v->warps > MOST_WARPS) validator_give_up(v, "more than %d warps", MOST_WARPS);
    if (!v->stop) visit(v, v->kernel->body);
    if (v->accesses.count > UINT16_MAX || n_ops > INT16_MAX)
        validator_give_up(v, "the program is too long");
    if (v->n_mbarriers && v->warps >= MOST_WARPS)
        validator_give_up(v, "more than %d warps beside mbarriers", MOST_WARPS - 1);
    if (!v->stop) find_scalars(v);
    if (!v->stop) validator_find_registers(v);
    if (v->stop) return false;
    mark_matters(v, v->kernel->body);
    validator_pass_over_uses(v, v->kernel->body);
    validator_find_guards(v);
    validator_find_last_uses(v);
    make_relations(v);
    find_contested(v);
    find_users(v);
    if (v->stop) return false;
    validator_make_cells(v);
    find_shape(v);
    if (!v->plain) validator_find_turns(v);
    return true;
}
