// SPDX-License-Identifier: MIT
// The verifier, batons: warpgroups that take turns.
//
// `baton_wait N` and `baton_pass N` stand in `warps` regions of whole warpgroups. From the pass
// pingpong on each names the hardware barriers that it uses: {ids=[1, 2]} is barrier 1 for the
// first warpgroup of the region and 2 for the second, 0 that a warpgroup passes over the op. A
// barrier of a baton counts 256 threads: those who pass it on, and those who wait for it.
#include "ir/verify.h"

enum { MOST_BATONS = 8 };

static void check_ids(kg_verifier *v, const kg_op *op, const kg_attr *ids)
{
    int groups = (v->last_warp - v->first_warp) / 4, used = 0;
    if (ids->count != groups) {
        kg_verify_fail(v, KG_D_V203, op, "ids has %d numbers for %d warpgroups", ids->count,
                       groups);
        return;
    }
    for (int g = 0; g < groups; g++) {
        used += ids->ints[g] != 0;
        if (ids->ints[g] < 0 || ids->ints[g] > 15)
            kg_verify_fail(v, KG_D_V203, op,
                           "barrier %lld of a baton: ids go from 1 to 15, 0 is for a warpgroup "
                           "that passes over this",
                           (long long)ids->ints[g]);
    }
    if (used != groups && used != 1)
        kg_verify_fail(v, KG_D_V203, op,
                       "a baton's ids name a barrier for each warpgroup, or for one of them");
}

void kg_verify_baton(kg_verifier *v, const kg_op *op)
{
    const kg_attr *baton = kg_op_attr(op, KG_A_BATON), *ids = kg_op_attr(op, KG_A_IDS);
    bool in_region = false;
    for (const kg_op *owner = op->parent->owner; owner; owner = owner->parent->owner)
        in_region |= owner->code == KG_OP_WARPS;
    if (!baton || baton->i < 0 || baton->i >= MOST_BATONS)
        kg_verify_fail(v, KG_D_V203, op, "%s needs the number of a baton, 0 to %d",
                       kg_op_info_of(op->code)->name, MOST_BATONS - 1);
    else if (!in_region || v->first_warp % 4 || v->last_warp % 4)
        kg_verify_fail(v, KG_D_V205, op,
                       "a baton goes from warpgroup to warpgroup: it is for `warps` regions of "
                       "four warps or a multiple, from a multiple of four on");
    else if (ids)
        check_ids(v, op, ids);
    else if (v->kernel->level >= KG_LEVEL_PLACED)
        kg_verify_fail(v, KG_D_V201, op,
                       "from level placed on a baton names its barriers: {ids=[..]}");
}
