// SPDX-License-Identifier: MIT
// The builder's synchronization by hand.
#include "ir/builder_state.h"

typedef struct sync_request {
    kg_opcode op;
    int id, count; // -1: not stated
    const char *order, *scope;
    kg_value *object; // mbarrier
    kg_attr_key key;  // besides: `number`, unless that is 0
    int64_t number;
} sync_request;

static bool synchronize(kg_build *b, const sync_request *request)
{
    KG_BUILD_GUARD(b, false);
    if (!kg_build_in_body(b)) return false;
    kg_kernel *k = b->parser->kernel;
    const char *order = NULL, *scope = NULL;
    if (request->op == KG_OP_FENCE && !(order = kg_build_checked_name(b, request->order)))
        return false;
    if (request->op == KG_OP_FENCE && !(scope = kg_build_checked_name(b, request->scope)))
        return false;
    if (request->op == KG_OP_PROXY_FENCE) scope = request->scope;
    kg_value *object = request->object;
    kg_op *op = kg_op_new(k, request->op, (kg_loc){0}, object != NULL, &object);
    if (request->id >= 0) kg_op_set_int(k, op, KG_A_ID, request->id);
    if (request->count >= 0) kg_op_set_int(k, op, KG_A_COUNT, request->count);
    if (order) kg_op_set_name(k, op, KG_A_ORDER, order);
    if (scope) kg_op_set_name(k, op, KG_A_SCOPE, scope);
    if (request->number) kg_op_set_int(k, op, request->key, request->number);
    kg_op_set_int(k, op, KG_A_BY_HAND, 1);
    kg_block_append(b->parser->block, op);
    b->newest = op;
    return true;
}

bool kg_build_barrier(kg_build *b)
{
    return synchronize(b, &(sync_request){KG_OP_BARRIER, -1, -1, NULL, NULL});
}

bool kg_build_named_barrier(kg_build *b, int id, int threads)
{
    return synchronize(b, &(sync_request){KG_OP_BARRIER, id, threads, NULL, NULL});
}

bool kg_build_arrive(kg_build *b, int id, int threads)
{
    return synchronize(b, &(sync_request){KG_OP_ARRIVE, id, threads, NULL, NULL});
}

bool kg_build_warp_sync(kg_build *b)
{
    return synchronize(b, &(sync_request){KG_OP_WARP_SYNC, -1, -1, NULL, NULL});
}

bool kg_build_cluster_barrier(kg_build *b)
{
    return synchronize(b, &(sync_request){KG_OP_CLUSTER_BARRIER, -1, -1, NULL, NULL});
}

bool kg_build_grid_wait(kg_build *b)
{
    return synchronize(b, &(sync_request){KG_OP_GRID_WAIT, -1, -1, NULL, NULL});
}

bool kg_build_launch_dependents(kg_build *b)
{
    return synchronize(b, &(sync_request){KG_OP_LAUNCH_DEPENDENTS, -1, -1, NULL, NULL});
}

bool kg_build_commit(kg_build *b)
{
    return synchronize(b, &(sync_request){KG_OP_COMMIT, -1, -1, NULL, NULL});
}

bool kg_build_wait(kg_build *b, int groups_in_flight)
{
    return synchronize(b, &(sync_request){KG_OP_WAIT, -1, groups_in_flight, NULL, NULL});
}

bool kg_build_fence(kg_build *b, const char *order, const char *scope)
{
    return synchronize(b, &(sync_request){KG_OP_FENCE, -1, -1, order, scope});
}

bool kg_build_proxy_fence(kg_build *b, const char *space)
{
    bool global = space && !strcmp(space, "global");
    if (global || (space && !strcmp(space, "shared")))
        return synchronize(
            b, &(sync_request){KG_OP_PROXY_FENCE, -1, -1, NULL, global ? "global" : "shared"});
    KG_BUILD_GUARD(b, false);
    kg_build_error(b, KG_D_V203, "a proxy fence is for shared or for global memory");
    return false;
}

bool kg_build_bulk_commit(kg_build *b)
{
    return synchronize(b, &(sync_request){KG_OP_BULK_COMMIT, -1, -1});
}

bool kg_build_bulk_wait(kg_build *b, int groups_in_flight, bool read)
{
    return synchronize(b, &(sync_request){KG_OP_BULK_WAIT, -1, groups_in_flight, .key = KG_A_READ,
                                          .number = read});
}

bool kg_build_wgmma_fence(kg_build *b)
{
    return synchronize(b, &(sync_request){KG_OP_WGMMA_FENCE, -1, -1});
}

bool kg_build_wgmma_commit(kg_build *b)
{
    return synchronize(b, &(sync_request){KG_OP_WGMMA_COMMIT, -1, -1});
}

bool kg_build_wgmma_wait(kg_build *b, int groups_in_flight)
{
    return synchronize(b, &(sync_request){KG_OP_WGMMA_WAIT, -1, groups_in_flight});
}

// ---- mbarriers ---------------------------------------------------------------------------------
kg_value *kg_build_mbarrier(kg_build *b, const char *name, int slots, int arrivals)
{
    kg_value *value = kg_build_shared(b, name, KG_I64, slots, 1, 1);
    return value && kg_build_attr_int(b, "arrivals", arrivals) ? value : NULL;
}

static bool on_mbarrier(kg_build *b, kg_opcode op, kg_value *object, kg_attr_key key,
                        int64_t number)
{
    if (!object) return false; // reported where it was made
    return synchronize(b,
                       &(sync_request){op, -1, -1, .object = object, .key = key, .number = number});
}

bool kg_build_mbarrier_init(kg_build *b, kg_value *ring)
{
    return on_mbarrier(b, KG_OP_MBARRIER_INIT, ring, KG_A_BYTES, 0);
}

bool kg_build_mbarrier_expect(kg_build *b, kg_value *slot, int64_t bytes)
{
    return on_mbarrier(b, KG_OP_MBARRIER_EXPECT, slot, KG_A_BYTES, bytes);
}

bool kg_build_mbarrier_arrive(kg_build *b, kg_value *slot, bool by_thread)
{
    return on_mbarrier(b, KG_OP_MBARRIER_ARRIVE, slot, KG_A_BY_THREAD, by_thread);
}

bool kg_build_mbarrier_wait(kg_build *b, kg_value *slot, bool behind)
{
    return on_mbarrier(b, KG_OP_MBARRIER_WAIT, slot, KG_A_BEHIND, behind);
}
