// SPDX-License-Identifier: MIT
// mbarriers: a ring of them, of which trip t uses slot t mod ring in its turn t / ring; and fences
// between the ordinary accesses of a thread and those of the copy engine and the tensor cores.
#include "codegen/emit.h"

// Each warp's first lane, as a predicate from the start of the region.
static cg_value first_lane(kg_emit *e)
{
    if (e->first_lane) return e->first_lane;
    cg_block here = cg_detour_begin(e->m, e->region_start);
    e->first_lane = cg_eq(e->m, e->lane, cg_i32(e->m, 0));
    cg_detour_end(e->m, here);
    return e->first_lane;
}

static void init(kg_emit *e, const kg_op *op)
{
    kg_view_info view;
    kg_view_resolve(op->operands[0], &view);
    int64_t slots = view.slot ? 1 : kg_op_int(view.root->op, KG_A_RING, 1);
    int64_t bytes = kg_shared_slot_bytes(view.root);
    int64_t arrivals = kg_op_int(view.root->op, KG_A_ARRIVALS, 1);
    for (int64_t i = 0; i < slots; i++) {
        cg_value arguments[] = {emit_slot_address(e, op->operands[0], i * bytes),
                                cg_i32(e->m, (int32_t)arrivals)};
        cg_template_if(e->m, CG_PTX_MBARRIER_INIT, e->first_thread, arguments, 2,
                       emit_sync_comment(e, op));
    }
    // Other CTAs use them as well, once a barrier of the cluster has told them.
    if (e->kernel->cluster)
        cg_template_if(e->m, CG_PTX_FENCE_MBARRIER_INIT, e->first_thread, NULL, 0, NULL);
}

static void expect(kg_emit *e, const kg_op *op)
{
    cg_value arguments[] = {emit_slot_address(e, op->operands[0], 0),
                            cg_i32(e->m, (int32_t)kg_op_int(op, KG_A_BYTES, 0))};
    cg_template_if(e->m, CG_PTX_MBARRIER_ARRIVE_EXPECT_TX, e->first_thread, arguments, 2,
                   emit_sync_comment(e, op));
}

// At the mbarrier in the same place of each CTA of the cluster, this one among them. What is told
// there of memory takes a fence, which is left out for the scope of the CTA.
static void arrive_in_cluster(kg_emit *e, const kg_op *op, cg_value address)
{
    struct cg_module *m = e->m;
    cg_value one = kg_op_int(op, KG_A_BY_THREAD, 0) ? NULL : first_lane(e);
    enum cg_ptx_id id =
        kg_op_attr(op, KG_A_SCOPE) ? CG_PTX_MBARRIER_ARRIVE_PEER : CG_PTX_MBARRIER_ARRIVE_CLUSTER;
    for (int32_t rank = 0; rank < e->kernel->cluster; rank++) {
        cg_value arguments[] = {address, cg_i32(m, rank)};
        cg_value there = cg_template1(m, CG_PTX_MAPA, arguments, 2, NULL);
        const char *comment = rank ? NULL : emit_sync_comment(e, op);
        if (one)
            cg_template_if(m, id, one, &there, 1, comment);
        else
            cg_template(m, id, &there, 1, NULL, comment);
    }
}

static void arrive(kg_emit *e, const kg_op *op)
{
    cg_value address = emit_slot_address(e, op->operands[0], 0);
    if (kg_op_int(op, KG_A_CLUSTER, 0)) {
        arrive_in_cluster(e, op, address);
        return;
    }
    if (kg_op_int(op, KG_A_BY_THREAD, 0))
        cg_template(e->m, CG_PTX_MBARRIER_ARRIVE, &address, 1, NULL, emit_sync_comment(e, op));
    else
        cg_template_if(e->m, CG_PTX_MBARRIER_ARRIVE, first_lane(e), &address, 1,
                       emit_sync_comment(e, op));
}

// The lowest bit of turn t / ring, flipped for the turn before.
static cg_value parity_of(kg_emit *e, const kg_op *op)
{
    struct cg_module *m = e->m;
    kg_view_info view;
    kg_view_resolve(op->operands[0], &view);
    int64_t ring = kg_op_int(view.root->op, KG_A_RING, 1), t = 0;
    int32_t behind = (int32_t)kg_op_int(op, KG_A_BEHIND, 0);
    if (!view.slot || kg_const_int(view.slot, &t)) {
        int64_t turn = t / ring - (t % ring < 0);
        return cg_i32(m, (int32_t)(turn & 1) ^ behind);
    }
    cg_value turn = emit_scalar(e, view.slot);
    cg_type type = cg_type_of(m, turn);
    bool power = (ring & (ring - 1)) == 0;
    cg_value by = cg_integer(m, type, power ? __builtin_ctzll((uint64_t)ring) : ring);
    turn = power ? cg_lshr(m, turn, by) : cg_udiv(m, turn, by);
    if (type == CG_I64) turn = cg_trunc(m, turn, CG_I32);
    cg_value parity = cg_and(m, turn, cg_i32(m, 1));
    return behind ? cg_xor(m, parity, cg_i32(m, 1)) : parity;
}

// All threads ask again until the phase is complete; the instruction itself sleeps a while.
static void wait(kg_emit *e, const kg_op *op)
{
    struct cg_module *m = e->m;
    cg_value arguments[] = {emit_slot_address(e, op->operands[0], 0), parity_of(e, op)};
    cg_block again = cg_block_new(m, "wait"), done = cg_block_new(m, "done");
    cg_branch(m, again);
    cg_block_enter(m, again);
    enum cg_ptx_id id = kg_op_int(op, KG_A_CLUSTER, 0) ? CG_PTX_MBARRIER_TRY_WAIT_PARITY_CLUSTER
                                                       : CG_PTX_MBARRIER_TRY_WAIT_PARITY;
    cg_value complete = cg_template1(m, id, arguments, 2, emit_sync_comment(e, op));
    cg_branch_if(m, complete, done, again);
    cg_block_enter(m, done);
}

void emit_mbarrier(kg_emit *e, kg_op *op)
{
    if (op->code == KG_OP_MBARRIER_INIT)
        init(e, op);
    else if (op->code == KG_OP_MBARRIER_EXPECT)
        expect(e, op);
    else if (op->code == KG_OP_MBARRIER_ARRIVE)
        arrive(e, op);
    else
        wait(e, op);
}

void emit_proxy_fence(kg_emit *e, kg_op *op)
{
    const kg_attr *scope = kg_op_attr(op, KG_A_SCOPE);
    bool global = scope && !strcmp(scope->name, "global");
    cg_template(e->m,
                global ? CG_PTX_FENCE_PROXY_ASYNC_GLOBAL : CG_PTX_FENCE_PROXY_ASYNC_SHARED_CTA,
                NULL, 0, NULL, emit_sync_comment(e, op));
}
