// SPDX-License-Identifier: MIT
// The copy engine: copies of tiles by tensor maps, one instruction a box, and the groups of stores.
//
// Everything here is done by the region's first thread, under a predicate: a branch would let its
// warp fall apart in front of the next rendezvous.
#include "codegen/emit.h"

// -- tensor maps ----------------------------------------------------------------------------------

void emit_maps(kg_emit *e)
{
    struct cg_module *m = e->m;
    e->map_address = KG_NEW_ARRAY(e->arena, cg_value, e->maps.count + 1);
    for (int i = 0; i < e->maps.count; i++) {
        cg_value map = cg_argument(m, (unsigned)(e->kernel->n_params + i));
        e->map_address[i] = cg_bitcast(m, map, CG_I64);
        cg_template_if(m, CG_PTX_PREFETCH_TENSORMAP, e->first_thread, &e->map_address[i], 1, NULL);
    }
    if (e->kernel->cluster > 1 && e->maps.count)
        e->cluster_rank = cg_special(m, CG_PTX_CLUSTER_CTARANK);
}

// -- boxes ----------------------------------------------------------------------------------------

cg_value emit_slot_address(kg_emit *e, kg_value *operand, int64_t bytes)
{
    const emit_part none[KG_MAX_RANK] = {{0}};
    struct cg_module *m = e->m;
    emit_place place;
    if (!emit_place_open(e, operand, none, &place)) return NULL;
    cg_value address = e->shared_base;
    if (place.slot) address = cg_add(m, address, place.slot);
    bytes += place.base;
    return bytes ? cg_add(m, address, cg_i32(m, (int32_t)bytes)) : address;
}

// start + offset as the 32 bits that a coordinate has. No tensor reaches beyond them (the launch
// sees to that), so what does not fit is outside, and stays so.
static cg_value coordinate(kg_emit *e, kg_value *start, int64_t offset)
{
    struct cg_module *m = e->m;
    int64_t constant = 0;
    if (!start || kg_const_int(start, &constant)) {
        int64_t at = constant + offset;
        at = at > INT32_MAX ? INT32_MAX : at < INT32_MIN ? INT32_MIN : at;
        return cg_i32(m, (int32_t)at);
    }
    cg_value at = emit_scalar(e, start);
    cg_type type = cg_type_of(m, at);
    if (type != CG_I64) {
        if (type != CG_I32) at = cg_sext(m, at, CG_I32);
        return offset ? cg_add(m, at, cg_i32(m, (int32_t)offset)) : at;
    }
    if (offset) at = cg_add(m, at, cg_i64(m, offset));
    at = cg_smin(m, at, cg_i64(m, INT32_MAX));
    return cg_trunc(m, cg_smax(m, at, cg_i64(m, INT32_MIN)), CG_I32);
}

typedef struct bulk {
    const kg_op *op;
    bool load;
    kg_bulk_copy copy;
    cg_value map, shared, barrier, policy, rank; // rank: of this CTA in the cluster, with multicast
} bulk;

// What the box holds along dimension i of the map starts at the `number`-th of the tile's boxes;
// with multicast at this CTA's share of it.
static cg_value start_of(kg_emit *e, const bulk *b, int i, int32_t number)
{
    const kg_bulk_copy *c = &b->copy;
    bool cut = c->shares > 1 && i == c->share_dim;
    int64_t boxes = (int64_t)number * (cut ? c->shares : 1);
    cg_value at = coordinate(e, c->start[i], boxes * c->map.box[i]);
    if (!cut) return at;
    return cg_add(e->m, at, cg_mul(e->m, b->rank, cg_i32(e->m, c->map.box[i])));
}

// That of one dimension, without a hint.
static int first_template(const bulk *b)
{
    if (b->op->code == KG_OP_REDUCE_BULK)
        return CG_PTX_CP_ASYNC_BULK_TENSOR_REDUCE_ADD_1D +
               2 * KG_MAX_RANK * (int)kg_bulk_reduction_of(b->op);
    if (!b->load) return CG_PTX_CP_ASYNC_BULK_TENSOR_STORE_1D;
    return b->copy.shares > 1 ? CG_PTX_CP_ASYNC_BULK_TENSOR_MULTICAST_1D
                              : CG_PTX_CP_ASYNC_BULK_TENSOR_LOAD_1D;
}

// One box: its number along each dimension is in `at`.
static void emit_box(kg_emit *e, const bulk *b, const int32_t *at)
{
    struct cg_module *m = e->m;
    const kg_bulk_copy *c = &b->copy;
    cg_value arguments[KG_MAX_RANK + 5];
    unsigned n = 0;
    int64_t bytes = 0;
    for (int i = 0; i < c->map.rank; i++) bytes += at[i] * c->bytes[i];
    cg_value shared = b->shared;
    if (bytes) shared = cg_add(m, shared, cg_i32(m, (int32_t)bytes));
    if (b->load) arguments[n++] = shared;
    arguments[n++] = b->map;
    for (int i = 0; i < c->map.rank; i++) arguments[n++] = start_of(e, b, i, at[i]);
    arguments[n++] = b->load ? b->barrier : shared;
    if (c->shares > 1) arguments[n++] = cg_integer(m, CG_I16, (1 << c->shares) - 1);
    if (b->policy) arguments[n++] = b->policy;
    int id = first_template(b) + (b->policy ? KG_MAX_RANK : 0) + c->map.rank - 1;
    cg_template_if(m, (enum cg_ptx_id)id, e->first_thread, arguments, n, NULL);
}

void emit_bulk_copy(kg_emit *e, kg_op *op)
{
    bulk b = {.op = op, .load = op->code == KG_OP_COPY_BULK};
    char why[KG_BULK_WHY];
    int32_t at[KG_MAX_RANK] = {0};
    if (!kg_bulk_copy_plan_of(op, &b.copy, why)) {
        emit_error(e, KG_D_L304, "the copy engine cannot do this copy: %s", why);
        return;
    }
    int number = kg_tensor_maps_find(&e->maps, &b.copy.map);
    if (number < 0) {
        emit_error(e, KG_D_C604, "a copy has no tensor map");
        return;
    }
    b.map = e->map_address[number];
    b.policy = emit_policy(e, op);
    b.shared = emit_slot_address(e, op->operands[!b.load], b.copy.first_byte);
    if (b.load) b.barrier = emit_slot_address(e, op->operands[2], 0);
    if (b.copy.shares > 1) {
        b.rank = e->cluster_rank;
        cg_value bytes = cg_i32(e->m, (int32_t)b.copy.share_bytes);
        b.shared = cg_add(e->m, b.shared, cg_mul(e->m, b.rank, bytes));
    }
    for (int i = 0; i < b.copy.map.rank && !e->failed;) {
        if (i == 0) emit_box(e, &b, at);
        if (++at[i] < b.copy.copies[i])
            i = 0;
        else
            at[i++] = 0;
    }
}

void emit_bulk_group(kg_emit *e, kg_op *op)
{
    cg_value left = cg_i32(e->m, (int32_t)kg_op_int(op, KG_A_COUNT, 0));
    bool wait = op->code == KG_OP_BULK_WAIT;
    enum cg_ptx_id id = !wait                         ? CG_PTX_CP_ASYNC_BULK_COMMIT
                        : kg_op_int(op, KG_A_READ, 0) ? CG_PTX_CP_ASYNC_BULK_WAIT_READ
                                                      : CG_PTX_CP_ASYNC_BULK_WAIT;
    cg_template_if(e->m, id, e->first_thread, &left, wait ? 1 : 0, emit_sync_comment(e, op));
}
