// SPDX-License-Identifier: MIT
// Synchronization: one op, one instruction, with the id of the sync beside it; and the ops of one
// elected thread on flags in global memory.
#include "codegen/emit.h"
#include <stdio.h>

// "S3: sk written by copy (line 7), read by dot (line 9)", or "S3: why 1 4" where only the numbers
// are known, or "S3": what stands in the PTX beside the instruction.
const char *emit_sync_comment(kg_emit *e, const kg_op *op)
{
    const kg_attr *id = kg_op_attr(op, KG_A_SYNC_ID), *why = kg_op_attr(op, KG_A_REASON);
    if (!id) return NULL;
    if (id->i >= 1 && id->i <= e->n_sync_reasons && e->sync_reasons[id->i - 1])
        return kg_arena_printf(e->arena, "S%lld: %s", (long long)id->i, e->sync_reasons[id->i - 1]);
    char *text =
        kg_arena_printf(e->arena, "S%lld%s", (long long)id->i, why && why->count ? ": why" : "");
    for (int i = 0; why && i < why->count; i++)
        text = kg_arena_printf(e->arena, "%s %lld", text, (long long)why->ints[i]);
    return text;
}

static void sync_template(kg_emit *e, const kg_op *op, enum cg_ptx_id id, const cg_value *arguments,
                          unsigned count)
{
    cg_template(e->m, id, arguments, count, NULL, emit_sync_comment(e, op));
}

// A nibble a warp.
static uint64_t table_of(const kg_attr *ids, int first)
{
    uint64_t table = 0;
    for (int w = 0; w < 16 && first + w < ids->count; w++)
        table |= (uint64_t)(ids->ints[first + w] & 15) << 4 * w;
    return table;
}

// The warp's own id: first + warp % n or first + warp / n where they go like that, else looked up.
static cg_value id_of_warp(kg_emit *e, const kg_attr *ids)
{
    struct cg_module *m = e->m;
    int64_t first = ids->ints[0];
    for (int log2 = 0; log2 < 5; log2++) {
        bool modulo = true, quotient = true;
        for (int w = 0; w < ids->count; w++) {
            modulo &= ids->ints[w] == first + (w & ((1 << log2) - 1));
            quotient &= ids->ints[w] == first + (w >> log2);
        }
        cg_value part = modulo     ? cg_and(m, e->warp, cg_i32(m, (1 << log2) - 1))
                        : quotient ? cg_lshr(m, e->warp, cg_i32(m, log2))
                                   : NULL;
        if (part) return cg_add(m, part, cg_i32(m, (int32_t)first));
    }
    cg_value table = cg_i64(m, (int64_t)table_of(ids, 0));
    if (ids->count > 16)
        table = cg_select(m, cg_slt(m, e->warp, cg_i32(m, 16)), table,
                          cg_i64(m, (int64_t)table_of(ids, 16)));
    cg_value place = cg_shl(m, cg_and(m, e->warp, cg_i32(m, 15)), cg_i32(m, 2));
    cg_value id = cg_trunc(m, cg_lshr(m, table, cg_zext(m, place, CG_I64)), CG_I32);
    return cg_and(m, id, cg_i32(m, 15));
}

static void emit_barrier(kg_emit *e, const kg_op *op)
{
    const kg_attr *ids = kg_op_attr(op, KG_A_IDS);
    if (ids) {
        cg_value group[] = {id_of_warp(e, ids),
                            cg_i32(e->m, (int32_t)kg_op_int(op, KG_A_COUNT, 0))};
        sync_template(e, op, CG_PTX_BAR_SYNC_OF_WARP, group, 2);
        return;
    }
    cg_value arguments[] = {cg_i32(e->m, (int32_t)kg_op_int(op, KG_A_ID, 0)),
                            cg_i32(e->m, (int32_t)kg_op_int(op, KG_A_COUNT, 0))};
    if (op->code == KG_OP_ARRIVE)
        sync_template(e, op, CG_PTX_BAR_ARRIVE, arguments, 2);
    else if (kg_op_attr(op, KG_A_COUNT))
        sync_template(e, op, CG_PTX_BAR_SYNC_COUNT, arguments, 2);
    else
        sync_template(e, op, CG_PTX_BAR_SYNC, arguments, 1);
}

// The warpgroup's own id: first + group or first - group where they go like that, else looked up.
static cg_value id_of_group(kg_emit *e, const kg_attr *ids, cg_value group)
{
    struct cg_module *m = e->m;
    bool up = true, down = true;
    uint32_t table = 0;
    for (int g = 0; g < ids->count; g++) {
        up &= ids->ints[g] == ids->ints[0] + g;
        down &= ids->ints[g] == ids->ints[0] - g;
        table |= (uint32_t)ids->ints[g] << 4 * g;
    }
    cg_value first = cg_i32(m, (int32_t)ids->ints[0]);
    if (up) return cg_add(m, first, group);
    if (down) return cg_sub(m, first, group);
    cg_value place = cg_shl(m, group, cg_i32(m, 2));
    return cg_and(m, cg_lshr(m, cg_i32(m, (int32_t)table), place), cg_i32(m, 15));
}

// All of a role's warpgroups, each at a barrier of its own, or one of them. Those who pass the
// baton on and those who wait for it make two warpgroups.
static void emit_baton(kg_emit *e, const kg_op *op)
{
    struct cg_module *m = e->m;
    const kg_attr *ids = kg_op_attr(op, KG_A_IDS);
    bool waits = op->code == KG_OP_BATON_WAIT;
    int alone = -1, used = 0;
    for (int g = 0; g < ids->count; g++)
        if (ids->ints[g]) alone = g, used++;
    cg_value arguments[] = {NULL, cg_i32(m, 2 * 128)};
    cg_value warp = cg_sub(m, e->warp, cg_i32(m, kg_op_region(op).first_warp));
    cg_value group = cg_lshr(m, warp, cg_i32(m, 2));
    if (used > 1) {
        arguments[0] = id_of_group(e, ids, group);
        sync_template(e, op, waits ? CG_PTX_BAR_SYNC_OF_WARP : CG_PTX_BAR_ARRIVE_OF_WARP, arguments,
                      2);
        return;
    }
    enum cg_ptx_id id = waits ? CG_PTX_BAR_SYNC_COUNT : CG_PTX_BAR_ARRIVE;
    arguments[0] = cg_i32(m, (int32_t)ids->ints[alone]);
    if (ids->count == 1)
        sync_template(e, op, id, arguments, 2);
    else
        cg_template_if(m, id, cg_eq(m, group, cg_i32(m, alone)), arguments, 2,
                       emit_sync_comment(e, op));
}

static void emit_fence(kg_emit *e, const kg_op *op)
{
    const kg_attr *scope = kg_op_attr(op, KG_A_SCOPE);
    const char *name = scope ? scope->name : "gpu";
    enum cg_ptx_id id = !strcmp(name, "cta")   ? CG_PTX_FENCE_ACQ_REL_CTA
                        : !strcmp(name, "sys") ? CG_PTX_FENCE_ACQ_REL_SYS
                                               : CG_PTX_FENCE_ACQ_REL_GPU;
    sync_template(e, op, id, NULL, 0);
}

void emit_sync(kg_emit *e, kg_op *op)
{
    cg_value all = cg_i32(e->m, -1);
    cg_value groups = cg_i32(e->m, (int32_t)kg_op_int(op, KG_A_COUNT, 0));
    switch (op->code) {
    case KG_OP_BARRIER:
    case KG_OP_ARRIVE:
        emit_barrier(e, op);
        return;
    case KG_OP_BATON_WAIT:
    case KG_OP_BATON_PASS:
        emit_baton(e, op);
        return;
    case KG_OP_CLUSTER_BARRIER:
        sync_template(e, op, CG_PTX_CLUSTER_ARRIVE, NULL, 0);
        cg_template(e->m, CG_PTX_CLUSTER_WAIT, NULL, 0, NULL, NULL);
        return;
    case KG_OP_GRID_WAIT:
        sync_template(e, op, CG_PTX_GRID_WAIT, NULL, 0);
        return;
    case KG_OP_LAUNCH_DEPENDENTS:
        sync_template(e, op, CG_PTX_GRID_LAUNCH_DEPENDENTS, NULL, 0);
        return;
    case KG_OP_WARP_SYNC:
        sync_template(e, op, CG_PTX_BAR_WARP_SYNC, &all, 1);
        return;
    case KG_OP_COMMIT:
        sync_template(e, op, CG_PTX_CP_ASYNC_COMMIT, NULL, 0);
        return;
    case KG_OP_WAIT:
        sync_template(e, op, CG_PTX_CP_ASYNC_WAIT, &groups, 1);
        return;
    case KG_OP_FENCE:
        emit_fence(e, op);
        return;
    case KG_OP_WGMMA_FENCE:
    case KG_OP_WGMMA_COMMIT:
    case KG_OP_WGMMA_WAIT:
        emit_flight_op(e, op);
        return;
    case KG_OP_PROXY_FENCE:
        emit_proxy_fence(e, op);
        return;
    case KG_OP_MBARRIER_INIT:
    case KG_OP_MBARRIER_EXPECT:
    case KG_OP_MBARRIER_ARRIVE:
    case KG_OP_MBARRIER_WAIT:
        emit_mbarrier(e, op);
        return;
    case KG_OP_BULK_COMMIT:
    case KG_OP_BULK_WAIT:
        emit_bulk_group(e, op);
        return;
    default:
        emit_error(e, KG_D_C601, "no emitter for op %s", kg_op_info_of(op->code)->name);
        return;
    }
}

// -- one thread for all ---------------------------------------------------------------------------

static bool flag_address(kg_emit *e, kg_value *operand, cg_value *address)
{
    static const int32_t origin[KG_MAX_RANK] = {0};
    const emit_part none[KG_MAX_RANK] = {{0}};
    emit_place place;
    if (!emit_place_open(e, operand, none, &place)) return false;
    emit_element at = emit_place_at(e, &place, origin);
    *address = emit_element_address(e, &place, at);
    return true;
}

static bool flag_type(kg_emit *e, const kg_op *op, bool wide_too)
{
    kg_dtype dtype = op->operands[0]->type.dtype;
    if (dtype == KG_I32 || (wide_too && dtype == KG_I64)) return true;
    return emit_error(e, KG_D_L303, "%s needs a flag of type i32%s", kg_op_info_of(op->code)->name,
                      wide_too ? " or i64" : "");
}

static void emit_signal(kg_emit *e, kg_op *op)
{
    cg_value arguments[2] = {NULL, emit_scalar(e, op->operands[1])};
    if (!flag_type(e, op, true) || !flag_address(e, op->operands[0], &arguments[0])) return;
    bool wide = op->operands[0]->type.dtype == KG_I64;
    cg_template(e->m, wide ? CG_PTX_ST_RELEASE_GPU_B64 : CG_PTX_ST_RELEASE_GPU_B32, arguments, 2,
                NULL, emit_sync_comment(e, op));
}

static void emit_await(kg_emit *e, kg_op *op)
{
    struct cg_module *m = e->m;
    struct cg_while loop = {0};
    cg_value address, wanted = emit_scalar(e, op->operands[1]);
    const kg_attr *how = kg_op_attr(op, KG_A_COMPARE);
    if (!flag_type(e, op, true) || !flag_address(e, op->operands[0], &address)) return;
    bool wide = op->operands[0]->type.dtype == KG_I64, equal = how && !strcmp(how->name, "eq");
    cg_while_begin(m, &loop);
    cg_value seen = cg_template1(m, wide ? CG_PTX_LD_ACQUIRE_GPU_B64 : CG_PTX_LD_ACQUIRE_GPU_B32,
                                 &address, 1, emit_sync_comment(e, op));
    cg_while_test(m, &loop, equal ? cg_ne(m, seen, wanted) : cg_slt(m, seen, wanted));
    cg_while_end(m, &loop);
}

static void emit_fetch_add(kg_emit *e, kg_op *op)
{
    cg_value arguments[2] = {NULL, emit_scalar(e, op->operands[1])}, cell, old;
    if (op->n_operands < 3) {
        emit_error(e, KG_D_V203, "fetch_add has no shared cell for its result");
        return;
    }
    if (!flag_type(e, op, false) || !flag_address(e, op->operands[0], &arguments[0]) ||
        !flag_address(e, op->operands[2], &cell))
        return;
    old =
        cg_template1(e->m, CG_PTX_ATOM_ADD_S32_ACQ_REL_GPU, arguments, 2, emit_sync_comment(e, op));
    struct cg_access access = {.space = CG_SPACE_SHARED, .address = cell, .align = 4};
    cg_store(e->m, &access, &old, 1);
}

void emit_elected(kg_emit *e, kg_op *op)
{
    struct cg_if branch;
    for (int i = 1; i < op->n_operands;
         i++) // read before the branch, where everything can see them
        if (op->operands[i]->type.home == KG_HOME_FRAG) emit_scalar(e, op->operands[i]);
    if (e->first_thread) cg_if_begin(e->m, &branch, e->first_thread);
    if (op->code == KG_OP_SIGNAL)
        emit_signal(e, op);
    else if (op->code == KG_OP_AWAIT)
        emit_await(e, op);
    else if (op->code == KG_OP_FETCH_ADD)
        emit_fetch_add(e, op);
    else
        emit_error(e, KG_D_C601, "no emitter for op %s", kg_op_info_of(op->code)->name);
    if (e->first_thread) cg_if_end(e->m, &branch);
    for (int i = 0; i < op->n_results; i++) // lowering reads the cell instead
        emit_define(e, op->results[i], emit_new_registers(e, 1));
}
