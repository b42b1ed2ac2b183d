// SPDX-License-Identifier: MIT
// Builders of mbarriers, clusters, bulk copies and proxy fences.
#include "decode.h"
#include "machine_modes.h"
#include "steps.h"

// ---- mbarriers -----------------------------------------------------------------------------------

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
