// SPDX-License-Identifier: MIT
// shfl, vote, match, redux, elect, activemask: a rendezvous of lanes without memory order.
#include "machine.h"

#include <string.h>

// The member masks of the lanes that are here; lanes that their own mask does not name are errors.
static enum step_result meet(struct warp *w, const struct op *op, uint32_t mask,
                             const uint32_t *members)
{
    uint32_t need = 0;
    FOR_LANES (lane, mask)
    {
        need |= members[lane];
        if (!(members[lane] >> lane & 1))
            ptxm_finding(w, op, lane, RULE_WARP_MASK, NULL, 0, ACCESS_READ,
                         "lane %u executes '%s' with mask 0x%08x, which does not name it", lane,
                         op->text, members[lane]);
    }
    enum step_result result = ptxm_converge(w, mask, need);
    uint32_t gone = need & w->present & ~w->live;
    if (result == STEP_NEXT && gone)
        ptxm_finding(w, op, (unsigned)__builtin_ctz(mask), RULE_WARP_MASK, NULL, 0, ACCESS_READ,
                     "the mask 0x%08x of '%s' names lanes that have exited (0x%08x)", need,
                     op->text, gone);
    return result;
}

enum step_result ptxm_step_shfl(struct warp *w, const struct op *op, uint32_t mask)
{
    enum { UP, DOWN, BFLY, IDX };
    const uint32_t *a = ptxm_src(w, op, 0), *b = ptxm_src(w, op, 1), *c = ptxm_src(w, op, 2);
    enum step_result result = meet(w, op, mask, ptxm_src(w, op, 3));
    uint32_t value[LANES], valid = 0;
    if (result != STEP_NEXT)
        return result;
    FOR_LANES (lane, mask)
    {
        int32_t segment = (int32_t)(c[lane] >> 8 & 31), clamp = (int32_t)(c[lane] & 31);
        int32_t by = (int32_t)(b[lane] & 31), self = (int32_t)lane, from;
        int32_t low = self & segment, high = low | (clamp & ~segment);
        bool inside;
        switch (op->mode) {
        case UP: from = self - by; inside = from >= high; break;
        case DOWN: from = self + by; inside = from <= high; break;
        case BFLY: from = self ^ by; inside = from <= high; break;
        default: from = low | (by & ~segment); inside = from <= high; break;
        }
        if (!inside)
            from = self;
        valid |= (uint32_t)inside << lane;
        value[lane] = a[from & 31];
    }
    uint32_t *d = ptxm_dst(w, op, 0);
    FOR_LANES (lane, mask)
        d[lane] = value[lane];
    if (op->ndst > 1) {
        uint32_t *p = ptxm_dst(w, op, 1);
        *p = (*p & ~mask) | valid;
    }
    return STEP_NEXT;
}

static uint32_t vote_result(enum vote_mode mode, uint32_t yes, uint32_t members)
{
    yes &= members;
    switch (mode) {
    case VOTE_ALL: return yes == members;
    case VOTE_ANY: return yes != 0;
    case VOTE_UNI: return yes == 0 || yes == members;
    default: return yes;
    }
}

enum step_result ptxm_step_vote(struct warp *w, const struct op *op, uint32_t mask)
{
    uint32_t yes = *(const uint32_t *)ptxm_src(w, op, 0), out = 0;
    const uint32_t *members = ptxm_src(w, op, 1);
    enum step_result result = meet(w, op, mask, members);
    if (result != STEP_NEXT)
        return result;
    uint32_t *d = ptxm_dst(w, op, 0);
    FOR_LANES (lane, mask)
    {
        uint32_t r = vote_result(op->mode, yes, members[lane] & mask);
        if (op->mode == VOTE_BALLOT)
            d[lane] = r;
        out |= (r & 1) << lane;
    }
    if (op->mode != VOTE_BALLOT)
        *d = (*d & ~mask) | out;
    return STEP_NEXT;
}

static uint64_t lane_value(const struct warp *w, const struct op *op, unsigned lane)
{
    return ptxm_type_bits((enum type)op->type) == 64
               ? ((const uint64_t *)ptxm_src(w, op, 0))[lane]
               : ((const uint32_t *)ptxm_src(w, op, 0))[lane];
}

// mode 0: any, 1: all
enum step_result ptxm_step_match(struct warp *w, const struct op *op, uint32_t mask)
{
    const uint32_t *members = ptxm_src(w, op, 1);
    enum step_result result = meet(w, op, mask, members);
    uint32_t out[LANES], all = 0;
    if (result != STEP_NEXT)
        return result;
    FOR_LANES (lane, mask)
    {
        uint32_t same = 0, group = members[lane] & mask;
        FOR_LANES (other, group)
            same |= (uint32_t)(lane_value(w, op, other) == lane_value(w, op, lane)) << other;
        all |= (uint32_t)(same == group) << lane;
        out[lane] = op->mode == 0 || same == group ? same : 0;
    }
    uint32_t *d = ptxm_dst(w, op, 0);
    FOR_LANES (lane, mask)
        d[lane] = out[lane];
    if (op->ndst > 1) {
        uint32_t *p = ptxm_dst(w, op, 1);
        *p = (*p & ~mask) | all;
    }
    return STEP_NEXT;
}

static uint32_t reduce(enum atomic_op op, bool is_signed, uint32_t a, uint32_t b)
{
    switch (op) {
    case ATOM_ADD: return a + b;
    case ATOM_MIN: return is_signed ? ((int32_t)a < (int32_t)b ? a : b) : a < b ? a : b;
    case ATOM_MAX: return is_signed ? ((int32_t)a > (int32_t)b ? a : b) : a > b ? a : b;
    case ATOM_AND: return a & b;
    case ATOM_OR: return a | b;
    default: return a ^ b;
    }
}

enum step_result ptxm_step_redux(struct warp *w, const struct op *op, uint32_t mask)
{
    const uint32_t *a = ptxm_src(w, op, 0), *members = ptxm_src(w, op, 1);
    enum step_result result = meet(w, op, mask, members);
    uint32_t out[LANES];
    if (result != STEP_NEXT)
        return result;
    FOR_LANES (lane, mask)
    {
        uint32_t group = members[lane] & mask, first = (uint32_t)__builtin_ctz(group | 1u << 31);
        out[lane] = a[first];
        FOR_LANES (other, group & ~(1u << first))
            out[lane] = reduce(op->mode, op->type == T_S32, out[lane], a[other]);
    }
    uint32_t *d = ptxm_dst(w, op, 0);
    FOR_LANES (lane, mask)
        d[lane] = out[lane];
    return STEP_NEXT;
}

enum step_result ptxm_step_elect(struct warp *w, const struct op *op, uint32_t mask)
{
    const uint32_t *members = ptxm_src(w, op, 0);
    enum step_result result = meet(w, op, mask, members);
    if (result != STEP_NEXT)
        return result;
    uint32_t leader = (uint32_t)__builtin_ctz(mask), *d = ptxm_dst(w, op, 0);
    FOR_LANES (lane, mask)
        d[lane] = leader;
    if (op->ndst > 1) {
        uint32_t *p = ptxm_dst(w, op, 1);
        *p = (*p & ~mask) | 1u << leader;
    }
    return STEP_NEXT;
}

enum step_result ptxm_step_activemask(struct warp *w, const struct op *op, uint32_t mask)
{
    uint32_t *d = ptxm_dst(w, op, 0);
    FOR_LANES (lane, mask)
        d[lane] = mask;
    return STEP_NEXT;
}
