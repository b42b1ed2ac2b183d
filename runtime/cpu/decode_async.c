// SPDX-License-Identifier: MIT
// Builders of mbarriers, clusters, bulk copies and proxy fences.
#include "bulk.h"
#include "decode.h"
#include "machine_modes.h"
#include "steps.h"

// ---- mbarriers ----------------------------------------------------------------------------------

// Order and scope of an mbarrier operation: `word` and the CTA unless the text says otherwise.
static void order(struct decoder *d, struct op *op, enum sem usual)
{
    op->sem = (uint8_t)(ptxm_d_is(d, 'o', "relaxed") ? SEM_RELAXED : usual);
    op->scope = (uint8_t)(ptxm_d_has(d, 'O') ? ptxm_d_scope(d) : SCOPE_CTA);
}

static struct op *mbarrier(struct decoder *d, step_fn *fn, unsigned ndst, unsigned nsrc,
                           int32_t *list)
{
    struct op *op = ptxm_d_access(d, fn, d->address, ndst, nsrc, list);
    d->function->asynchronous = true;
    if (!op)
        return NULL;
    op->type2 = ptxm_d_address_bytes(d, op->operands[ndst + nsrc]);
    return op;
}

bool build_mbarrier_init(struct decoder *d, int inval)
{
    return mbarrier(d, inval ? ptxm_step_mbarrier_inval : ptxm_step_mbarrier_init, 0,
                    inval ? 0 : 1, d->operands) != NULL;
}

// mbarrier.arrive{_drop} state, [addr]{, count or tx-count}
bool build_mbarrier_arrive(struct decoder *d, int drop)
{
    int32_t list[3];
    bool expect = ptxm_d_is(d, 'h', "expect_tx"), no_complete = ptxm_d_is(d, 'h', "noComplete");
    const struct operand *o = d->statement->operands;
    if (ptxm_d_is(d, 'S', "shared::cluster") && o[0].kind != OPERAND_SINK)
        return ptxm_d_complain(d, &o[0].token, "an arrival in the cluster returns no state: '_'");
    if ((expect || no_complete) && !d->nsrc)
        return ptxm_d_complain(d, NULL, "a count is missing");
    list[0] = d->operands[0];
    list[1] = d->nsrc ? d->operands[1] : OPERAND_NONE;
    struct op *op = mbarrier(d, ptxm_step_mbarrier_arrive, 1, d->nsrc, list);
    if (!op)
        return false;
    order(d, op, SEM_RELEASE);
    op->mode = (uint8_t)((drop ? MBARRIER_DROP : 0) | (expect ? MBARRIER_EXPECT : 0) |
                         (no_complete ? MBARRIER_NO_COMPLETE : 0));
    return true;
}

// mbarrier.expect_tx and complete_tx [addr], bytes
bool build_mbarrier_bytes(struct decoder *d, int completes)
{
    struct op *op = mbarrier(d, ptxm_step_mbarrier_bytes, 0, 1, d->operands);
    if (op)
        op->mode = completes ? MBARRIER_COMPLETES : 0;
    return op != NULL;
}

// mbarrier.test_wait and try_wait{.parity} p, [addr], state or parity{, time hint}
bool build_mbarrier_wait(struct decoder *d, int try)
{
    const struct operand *o = d->statement->operands;
    bool parity = ptxm_d_has(d, 'h');
    int32_t list[3] = {d->operands[0], ptxm_d_source(d, &o[2], parity ? T_B32 : T_B64, false)};
    if (d->statement->operand_count > 3 &&
        (!try || ptxm_d_source(d, &o[3], T_B32, false) == OPERAND_NONE))
        return try ? false : ptxm_d_complain(d, NULL, "wrong number of operands");
    if (list[1] == OPERAND_NONE)
        return false;
    struct op *op = mbarrier(d, ptxm_step_mbarrier_wait, 1, 1, list);
    if (!op)
        return false;
    order(d, op, SEM_ACQUIRE);
    op->mode = (uint8_t)((parity ? MBARRIER_PARITY : 0) | (try ? MBARRIER_TRY : 0));
    return true;
}

bool build_mbarrier_pending(struct decoder *d, int argument)
{
    return ptxm_d_step(d, ptxm_step_mbarrier_pending, d->ndst, d->nsrc, d->operands) != NULL;
}

bool build_cp_async_arrive(struct decoder *d, int argument)
{
    int32_t list[1];
    struct op *op = mbarrier(d, ptxm_step_cp_async_arrive, 0, 0, list);
    if (op)
        op->mode = ptxm_d_has(d, 'n') ? MBARRIER_NO_INCREMENT : 0;
    return op != NULL;
}

// ---- clusters -----------------------------------------------------------------------------------

bool build_cluster_barrier(struct decoder *d, int wait)
{
    struct op *op = ptxm_d_step(d, wait ? ptxm_step_cluster_wait : ptxm_step_cluster_arrive, 0, 0,
                                NULL);
    d->function->asynchronous = true;
    if (!op)
        return false;
    op->sem = (uint8_t)(ptxm_d_is(d, 'o', "relaxed") ? SEM_RELAXED
                        : wait                       ? SEM_ACQUIRE : SEM_RELEASE);
    op->scope = SCOPE_CLUSTER;
    op->flags = ptxm_d_has(d, 'l') ? OPF_ALIGNED : 0;
    return true;
}

// mapa d, address, rank and getctarank d, address
bool build_mapa(struct decoder *d, int rank_of)
{
    const struct operand *o = d->statement->operands;
    int32_t list[3] = {ptxm_d_dest(d, &o[0], rank_of ? T_B32 : d->t, false),
                       ptxm_d_source(d, &o[1], d->t, false),
                       rank_of ? 0 : ptxm_d_source(d, &o[2], T_B32, false)};
    for (int i = 0; i < 3; i++)
        if (list[i] == OPERAND_NONE)
            return false;
    struct op *op = ptxm_d_step(d, rank_of ? ptxm_step_getctarank : ptxm_step_mapa, 1,
                                rank_of ? 1 : 2, list);
    d->function->asynchronous = true;
    if (!op)
        return false;
    op->space = (uint8_t)(ptxm_d_has(d, 'S') ? SPACE_CLUSTER : SPACE_GENERIC);
    op->mode = (uint8_t)(ptxm_type_bits(d->t) / 8);
    return true;
}

// ---- bulk copies --------------------------------------------------------------------------------

// Adds a source; its place among the sources, or -1 after a complaint.
int8_t ptxm_d_bulk_source(int32_t *list, unsigned *count, int32_t source)
{
    if (source == OPERAND_NONE)
        return -1;
    list[*count] = source;
    return (int8_t)(*count)++;
}

bool ptxm_d_bulk_address(struct decoder *d, const struct operand *o, enum space space,
                         struct bulk_address *a, int32_t *list, unsigned *count)
{
    int32_t base;
    if (!ptxm_d_address(d, o, &space, &base, &a->displacement))
        return false;
    a->width = ptxm_d_address_bytes(d, base);
    a->space = (uint8_t)space;
    a->source = ptxm_d_bulk_source(list, count, base);
    return a->source >= 0;
}

struct bulk_form *ptxm_d_bulk_form(struct decoder *d)
{
    struct bulk_form *f = ptxm_arena_alloc(&d->module->arena, sizeof *f);
    if (!f)
        return NULL;
    for (int i = 0; i < BULK_ADDRESSES; i++) f->address[i].source = -1;
    f->size = f->mask = f->coordinates = -1;
    d->function->asynchronous = true;
    return f;
}

struct op *ptxm_d_bulk_op(struct decoder *d, step_fn *fn, struct bulk_form *f, const int32_t *list,
                          unsigned count)
{
    struct op *op = ptxm_d_step(d, fn, 0, count, list);
    if (op)
        op->target_list = (uint64_t *)(void *)f;
    return op;
}

static enum space bulk_space(struct decoder *d, char field)
{
    return ptxm_d_is(d, field, "global")           ? SPACE_GLOBAL
         : ptxm_d_is(d, field, "shared::cluster") ? SPACE_CLUSTER : SPACE_SHARED;
}

static bool reduction(struct decoder *d, struct op *op)
{
    int what = ptxm_d_atomic_operation(d);
    bool half = d->t == T_F16 || d->t == T_BF16;
    bool real = half || d->t == T_F32 || d->t == T_F64, noftz = ptxm_d_has(d, 'n');
    char kind = ptxm_type_class(d->t);
    bool fits = what == ATOM_ADD                       ? kind != 'b' && half == noftz
              : what == ATOM_MIN || what == ATOM_MAX   ? kind != 'b' && (!real || half)
              : what == ATOM_INC || what == ATOM_DEC   ? d->t == T_U32 : kind == 'b';
    if (bulk_space(d, 'S') == SPACE_CLUSTER && (real || (ptxm_type_bits(d->t) == 64 &&
                                                         what != ATOM_ADD)))
        fits = false;
    if (!fits)
        return ptxm_d_complain(d, NULL, "no such type for this operation");
    op->mode = (uint8_t)what;
    op->flags = OPF_REDUCES;
    return true;
}

// [to], [from], size{, [mbarrier]}{, mask}{, policy}
bool build_bulk(struct decoder *d, int reduces)
{
    const struct operand *o = d->statement->operands;
    size_t n = d->statement->operand_count, at = 0;
    bool barrier = ptxm_d_is(d, 'c', "mbarrier::complete_tx::bytes");
    bool multicast = ptxm_d_has(d, 'M'), prefetch = !ptxm_d_has(d, 'S');
    enum space to = bulk_space(d, 'S');
    struct bulk_form *f = ptxm_d_bulk_form(d);
    int32_t list[8];
    unsigned count = 0;
    if (!f)
        return false;
    if (n != 2u + !prefetch + barrier + multicast + ptxm_d_has(d, 'h'))
        return ptxm_d_complain(d, NULL, "wrong number of operands");
    if (!prefetch &&
        !ptxm_d_bulk_address(d, &o[at++], to, &f->address[BULK_TO], list, &count))
        return false;
    if (!ptxm_d_bulk_address(d, &o[at++], bulk_space(d, 's'), &f->address[BULK_FROM], list, &count))
        return false;
    f->size = ptxm_d_bulk_source(list, &count, ptxm_d_source(d, &o[at++], T_B32, false));
    if (f->size < 0)
        return false;
    if (barrier &&
        !ptxm_d_bulk_address(d, &o[at++], to, &f->address[BULK_BARRIER], list, &count))
        return false;
    if (multicast)
        f->mask = ptxm_d_bulk_source(list, &count, ptxm_d_source(d, &o[at++], T_B16, true));
    if (multicast && f->mask < 0)
        return false;
    struct op *op = ptxm_d_bulk_op(d, ptxm_step_bulk, f, list, count);
    return op && (!reduces || reduction(d, op));
}

bool build_bulk_group(struct decoder *d, int wait)
{
    struct op *op = ptxm_d_step(d, wait ? ptxm_step_bulk_wait : ptxm_step_bulk_commit, 0, 0, NULL);
    if (op)
        op->mode = ptxm_d_has(d, 'n');
    return op != NULL;
}

// Of red.async: which types an operation has.
static bool can_reduce(struct decoder *d, int what)
{
    bool word = d->t == T_U32 || d->t == T_S32;
    bool fits = what == ATOM_ADD                     ? word || d->t == T_U64
              : what == ATOM_MIN || what == ATOM_MAX ? word
              : what == ATOM_INC || what == ATOM_DEC ? d->t == T_U32 : d->t == T_B32;
    return fits || ptxm_d_complain(d, NULL, "no such type for this operation");
}

// st.async and red.async [to], value, [mbarrier]
bool build_st_async(struct decoder *d, int reduces)
{
    const struct operand *o = d->statement->operands;
    struct bulk_form *f = ptxm_d_bulk_form(d);
    int32_t list[8];
    unsigned count = 0;
    int what = reduces ? ptxm_d_atomic_operation(d) : 0;
    if (reduces && !can_reduce(d, what))
        return false;
    if (!f || !ptxm_d_bulk_address(d, &o[0], SPACE_CLUSTER, &f->address[BULK_TO], list, &count) ||
        !ptxm_d_bulk_address(d, &o[2], SPACE_CLUSTER, &f->address[BULK_BARRIER], list, &count))
        return false;
    f->size = (int8_t)count;
    for (unsigned i = 0; i < d->nsrc; i++) ptxm_d_bulk_source(list, &count, d->operands[i]);
    struct op *op = ptxm_d_bulk_op(d, ptxm_step_st_async, f, list, count);
    if (!op)
        return false;
    op->vector = (uint8_t)d->nsrc;
    op->mode = (uint8_t)what;
    op->flags = reduces ? OPF_REDUCES : 0;
    return true;
}

// ---- fences -------------------------------------------------------------------------------------

bool build_fence_init(struct decoder *d, int argument)
{
    d->function->asynchronous = true;
    return ptxm_d_step(d, ptxm_step_fence_init, 0, 0, NULL) != NULL;
}

// mode: a bit for each enum proxy_space
bool build_fence_proxy(struct decoder *d, int argument)
{
    struct op *op = ptxm_d_step(d, ptxm_step_fence_proxy, 0, 0, NULL);
    d->function->asynchronous = true;
    if (op)
        op->mode = ptxm_d_is(d, 'S', "global") ? FENCES_GLOBAL
                 : ptxm_d_has(d, 'S')          ? FENCES_SHARED : FENCES_SHARED | FENCES_GLOBAL;
    return op != NULL;
}

// fence.proxy.async::generic.release and .acquire, of shared memory in the cluster
bool build_fence_half(struct decoder *d, int argument)
{
    bool acquire = ptxm_d_is(d, 'o', "acquire");
    struct op *op = ptxm_d_step(d, ptxm_step_fence_half, 0, 0, NULL);
    d->function->asynchronous = true;
    if (acquire == ptxm_d_is(d, 'r', "sync_restrict::shared::cta"))
        return ptxm_d_complain(d, NULL, "a release is of .shared::cta, an acquire of "
                                        ".shared::cluster");
    if (op) {
        op->sem = acquire ? SEM_ACQUIRE : SEM_RELEASE;
        op->scope = (uint8_t)ptxm_d_scope(d);
    }
    return op != NULL;
}
