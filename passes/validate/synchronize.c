// SPDX-License-Identifier: MIT
// What synchronizations do to a state: barriers, arrivals, fences, waits.
#include "passes/validate/model.h"

#include <string.h>

uint32_t validator_warps_of(const kg_op *op)
{
    kg_region region = kg_op_region(op);
    return (region.n_warps >= 32 ? ~0u : (1u << region.n_warps) - 1) << region.first_warp;
}

static void complain_of(validator *v, const state *s, const kg_op *op, const char *what,
                        bool certain)
{
    access_model here = {.at = {.op = op}, .region = validator_warps_of(op)};
    complaint c = {certain, what, NULL, &here, 0, -1, here.region, here.region};
    validator_report(v, s, &c);
}

void validator_complain_of(validator *v, const state *s, const kg_op *op, const char *what)
{
    complain_of(v, s, op, what, true);
}

// ---- barriers -----------------------------------------------------------------------------------

// An id is of one set of warps until all warps have met. Roles may be ordered in other ways, which
// nobody looks at here.
static void own(validator *v, state *s, const kg_op *op, int id, uint32_t warps, bool certain)
{
    if (s->owner[id] && s->owner[id] != warps)
        complain_of(v, s, op, "one barrier id serves two sets of warps at a time", certain);
    s->owner[id] = warps;
}

// Groups of warps, each at a barrier of its own.
static void barrier_of_groups(validator *v, state *s, const kg_op *op, const kg_attr *ids)
{
    for (int w = 0; w < v->warps; w++) {
        uint32_t group = 0;
        for (int u = 0; u < v->warps && u < ids->count; u++)
            group |= (uint32_t)(ids->ints[u] == ids->ints[w]) << u;
        if (__builtin_ctz(group) != w) continue;
        own(v, s, op, (int)ids->ints[w] & (BARRIERS - 1), group, true);
        validator_tell(v, s, group);
    }
    validator_begin_generation(v, s);
}

static void barrier(validator *v, state *s, const kg_op *op, uint32_t warps)
{
    int64_t all = 32 * (int64_t)v->warps, count = kg_op_int(op, KG_A_COUNT, all);
    int id = (int)kg_op_int(op, KG_A_ID, 0) & (BARRIERS - 1);
    if (count != 32 * __builtin_popcount(warps)) {
        validator_give_up(v, "regions of warps that meet do not follow each other directly");
        return;
    }
    own(v, s, op, id, warps, true);
    if (warps == all_warps(v)) memset(s->owner, 0, sizeof s->owner);
    validator_tell(v, s, warps);
    validator_begin_generation(v, s);
}

static void forget_word(const validator *v, state *s, int teller)
{
    for (int g = 1; g <= s->generations; g++)
        for (uint32_t left = planes_in(v, s, g); left; left &= left - 1)
            *told_of(v, s, g, teller, __builtin_ctz(left)) = 0;
}

// All are there: those who wait learn what those who came know of.
static void complete(validator *v, state *s, int id)
{
    meeting *m = &s->meetings[id];
    validator_take_word(v, s, id, m->warps);
    validator_meet_lanes(v, s, m->warps);
    forget_word(v, s, id);
    s->held &= (uint16_t)~m->waiting;
    *m = (meeting){0};
}

bool validator_arrive(validator *v, state *s, const kg_op *op, int role, bool waits)
{
    uint32_t warps = validator_warps_of(op);
    int64_t count = kg_op_int(op, KG_A_COUNT, 32 * (int64_t)v->warps);
    int id = (int)kg_op_int(op, KG_A_ID, 0) & (BARRIERS - 1);
    meeting *m = &s->meetings[id];
    if (m->arrived && m->count != count)
        validator_complain_of(v, s, op, "one barrier is used with two counts at a time");
    if (waits && !m->arrived && !v->ctas.count && count == 32 * __builtin_popcount(warps))
        own(v, s, op, id, warps, false);
    m->count = (uint16_t)count;
    m->arrived = (uint16_t)(m->arrived + 32 * __builtin_popcount(warps));
    if (m->came & warps)
        validator_complain_of(v, s, op,
                              "a warp comes to this barrier again while it is counted there");
    m->came |= warps;
    if (m->arrived > count)
        validator_complain_of(v, s, op, "more threads come to this barrier than it counts");
    validator_leave_word(v, s, id, warps, true);
    if (waits) {
        m->warps |= warps;
        m->waiting |= (uint16_t)(1u << role);
        s->held |= (uint16_t)(1u << role);
    }
    bool all_there = m->arrived >= count;
    if (all_there) complete(v, s, id);
    validator_begin_generation(v, s);
    return all_there || !waits;
}

// ---- ops ----------------------------------------------------------------------------------------

static int count_of(const kg_op *op)
{
    return (int)kg_op_int(op, KG_A_COUNT, 0);
}

static void wait_for_bulk(validator *v, state *s, const kg_op *op, uint32_t warps)
{
    uint32_t elected = warps & -warps;
    validator_wait(v, s, FLIGHT_BULK_READ, elected, count_of(op));
    if (!kg_op_int(op, KG_A_READ, 0)) validator_wait(v, s, FLIGHT_BULK, elected, count_of(op));
}

static void proxy_fence(validator *v, state *s, const kg_op *op, uint32_t warps)
{
    const kg_attr *scope = kg_op_attr(op, KG_A_SCOPE);
    bool global = scope && !strcmp(scope->name, "global");
    validator_proxy_fence(v, s, global ? GLOBAL_FENCED : SHARED_FENCED, warps);
    validator_begin_generation(v, s);
}

static void barrier_op(validator *v, state *s, const kg_op *op, uint32_t warps)
{
    const kg_attr *ids = kg_op_attr(op, KG_A_IDS);
    if (ids)
        barrier_of_groups(v, s, op, ids);
    else
        barrier(v, s, op, warps);
}

// False: the op is none of these.
static bool synchronize_groups(validator *v, state *s, const kg_op *op, uint32_t warps)
{
    switch (op->code) {
    case KG_OP_COMMIT:
        validator_commit(v, s, FLIGHT_COPY, warps);
        return true;
    case KG_OP_WAIT:
        validator_wait(v, s, FLIGHT_COPY, warps, count_of(op));
        return true;
    case KG_OP_BULK_COMMIT:
        validator_commit(v, s, FLIGHT_BULK_READ, warps & -warps);
        validator_commit(v, s, FLIGHT_BULK, warps & -warps);
        return true;
    case KG_OP_BULK_WAIT:
        wait_for_bulk(v, s, op, warps);
        return true;
    case KG_OP_WGMMA_COMMIT:
        validator_commit(v, s, FLIGHT_WGMMA, warps);
        return true;
    case KG_OP_WGMMA_WAIT:
        validator_wait(v, s, FLIGHT_WGMMA, warps, count_of(op));
        return true;
    case KG_OP_WGMMA_FENCE:
        return true;
    default:
        return false;
    }
}

static void synchronize(validator *v, state *s, const kg_op *op, uint32_t warps)
{
    if (synchronize_groups(v, s, op, warps)) {
        validator_synchronize_registers(v, s, op, warps);
        return;
    }
    switch (op->code) {
    case KG_OP_BARRIER:
        barrier_op(v, s, op, warps);
        break;
    case KG_OP_CLUSTER_BARRIER:
        barrier_op(v, s, op, warps);
        break;
    case KG_OP_WARP_SYNC:
        validator_meet_lanes(v, s, warps);
        validator_begin_generation(v, s);
        break;
    case KG_OP_BATON_WAIT:
    case KG_OP_BATON_PASS:
        break; // nothing is to rely on them; whether they come round: batons.c
    case KG_OP_GRID_WAIT:
    case KG_OP_LAUNCH_DEPENDENTS:
        break; // between kernels: ir/verify_grid.c has the rule
    case KG_OP_FENCE:
        break; // orders nothing that is modelled: it is no fence between proxies
    case KG_OP_PROXY_FENCE:
        proxy_fence(v, s, op, warps);
        break;
    case KG_OP_MBARRIER_INIT:
    case KG_OP_MBARRIER_EXPECT:
    case KG_OP_MBARRIER_ARRIVE:
    case KG_OP_MBARRIER_WAIT:
        validator_mbarrier(v, s, op, -1);
        break;
    default:
        validator_give_up(v, "'%s' is not modelled", kg_op_info_of(op->code)->name);
    }
}

void validator_synchronize(validator *v, state_set *set, const kg_op *op)
{
    for (int i = 0; i < set->count && !v->stop; i++) {
        v->work += v->n_cells / 8;
        synchronize(v, set->items[i], op, validator_warps_of(op));
    }
}
