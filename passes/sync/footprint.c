// SPDX-License-Identifier: MIT
// Footprints of shared accesses. See footprint.h.
#include "passes/sync/footprint.h"

#include <string.h>

int16_t kg_spread_join(int16_t a, int16_t b)
{
    if (a == b || b == KG_NOBODY) return a;
    if (a == KG_NOBODY) return b;
    int wa = a < KG_ONE_WARP ? a / 32 : a - KG_ONE_WARP,
        wb = b < KG_ONE_WARP ? b / 32 : b - KG_ONE_WARP;
    return a == KG_MANY || b == KG_MANY || wa != wb ? KG_MANY : (int16_t)(KG_ONE_WARP + wa);
}

typedef struct filler {
    kg_arena *arena;
    kg_footprint *out;
} filler;

// Splits granules until they divide `unit`.
static void refine(filler *f, uint64_t unit)
{
    kg_footprint *p = f->out;
    int log2 = p->granule_log2;
    while (log2 && (unit & ((1u << log2) - 1))) log2--;
    int factor = 1 << (p->granule_log2 - log2);
    if (factor == 1) return;
    int64_t n = p->bytes >> p->granule_log2;
    int16_t *finer = KG_NEW_ARRAY(f->arena, int16_t, p->bytes >> log2);
    uint32_t *warps = KG_NEW_ARRAY(f->arena, uint32_t, p->bytes >> log2);
    memset(finer, -1, sizeof *finer * (size_t)(p->bytes >> log2));
    for (int64_t i = p->first; i <= p->last && i < n; i++)
        for (int j = 0; j < factor; j++) {
            finer[i * factor + j] = p->owner[i];
            warps[i * factor + j] = p->warps[i];
        }
    if (p->last >= p->first) {
        p->first *= factor;
        p->last = p->last * factor + factor - 1;
    } else {
        p->first = p->bytes >> log2;
    }
    p->owner = finer;
    p->warps = warps;
    p->granule_log2 = log2;
}

static void fill(int thread, int64_t offset, int bytes, void *user)
{
    filler *f = user;
    kg_footprint *p = f->out;
    if (((uint64_t)offset | (uint64_t)bytes) & ((1u << p->granule_log2) - 1))
        refine(f, (uint64_t)offset | (uint64_t)bytes);
    int64_t from = offset >> p->granule_log2, to = (offset + bytes - 1) >> p->granule_log2;
    int64_t n = p->bytes >> p->granule_log2;
    if (from < 0 || to >= n) { // cannot be: the slot is too small for its own view; stay safe
        p->exact = false;
        p->spread = KG_MANY;
        return;
    }
    for (int64_t i = from; i <= to; i++) {
        p->warps[i] |= UINT32_C(1) << (thread / 32);
        if (p->owner[i] != thread && p->owner[i] != KG_MANY)
            p->owner[i] = kg_spread_join(p->owner[i], (int16_t)thread);
    }
    p->first = from < p->first ? from : p->first;
    p->last = to > p->last ? to : p->last;
    p->spread = kg_spread_join(p->spread, (int16_t)thread);
}

static int16_t spread_of_region(const kg_access *access)
{
    kg_region region = kg_op_region(access->op);
    if (access->effect->agent == KG_AGENT_ELECTED) return (int16_t)(region.first_warp * 32);
    return region.n_warps == 1 ? (int16_t)(KG_ONE_WARP + region.first_warp) : KG_MANY;
}

const kg_footprint *kg_footprint_of(kg_arena *arena, const kg_access *access, int64_t slot_bytes)
{
    kg_footprint *p = KG_NEW(arena, kg_footprint);
    p->bytes = slot_bytes;
    p->spread = KG_NOBODY;
    p->exact = access->exact;
    if (access->exact) {
        p->granule_log2 = 4;
        while (p->granule_log2 && (slot_bytes & ((1 << p->granule_log2) - 1))) p->granule_log2--;
        int64_t n = slot_bytes >> p->granule_log2;
        p->owner = KG_NEW_ARRAY(arena, int16_t, n);
        p->warps = KG_NEW_ARRAY(arena, uint32_t, n);
        memset(p->owner, -1, sizeof *p->owner * (size_t)n);
        p->first = n;
        p->last = -1;
        kg_access_sharers(access, fill, &(filler){arena, p});
    }
    if (!p->exact) p->spread = spread_of_region(access);
    return p;
}

static bool same_start(const kg_value *a, const kg_value *b)
{
    int64_t x = 0, y = 0;
    bool constant = (!a || kg_const_int(a, &x)) && (!b || kg_const_int(b, &y));
    return constant && x == y;
}

// What is moved; of an op that moves nothing, its object.
static const kg_value *moved(const kg_op *op)
{
    return op->n_results ? op->results[0] : op->operands[op->n_operands > 1];
}

static bool same_layout(const kg_op *a, const kg_op *b)
{
    const kg_value *x = moved(a), *y = moved(b);
    if (x->layout && y->layout) return kg_layout_equal(x->layout, y->layout);
    return x->layout == y->layout && x->type.home == y->type.home && x->type.rank == y->type.rank;
}

bool kg_footprint_same(const kg_access *a, const kg_access *b)
{
    if (a->root != b->root || a->op->code != b->op->code || a->effect != b->effect || !a->exact ||
        !b->exact || memcmp(&a->operand->type, &b->operand->type, sizeof a->operand->type) ||
        a->operand->type.dtype != b->operand->type.dtype)
        return false;
    kg_region ra = kg_op_region(a->op), rb = kg_op_region(b->op);
    if (ra.first_warp != rb.first_warp || ra.n_warps != rb.n_warps ||
        kg_op_int(a->op, KG_A_VEC, 0) != kg_op_int(b->op, KG_A_VEC, 0) ||
        kg_op_int(a->op, KG_A_MATRIX, 0) != kg_op_int(b->op, KG_A_MATRIX, 0) ||
        kg_op_int(a->op, KG_A_ASYNC, 0) != kg_op_int(b->op, KG_A_ASYNC, 0) ||
        !same_layout(a->op, b->op))
        return false;
    kg_view_info va, vb;
    kg_view_resolve(a->operand, &va);
    kg_view_resolve(b->operand, &vb);
    for (int d = 0; d < va.rank; d++)
        if (va.dim[d] != vb.dim[d] || va.gather[d] || vb.gather[d] ||
            !same_start(va.start[d], vb.start[d]))
            return false;
    for (int d = 0; d < a->root->type.rank; d++)
        if (!va.fixed[d] != !vb.fixed[d] || !same_start(va.fixed[d], vb.fixed[d])) return false;
    return true;
}

// ---- conflicts ----------------------------------------------------------------------------------
static kg_apart apart(int16_t a, int16_t b)
{
    int16_t both = kg_spread_join(a, b);
    return both == KG_MANY ? KG_APART_CTA : both >= KG_ONE_WARP ? KG_APART_WARP : KG_APART_THREAD;
}

static int16_t owner_at(const kg_footprint *p, int64_t byte)
{
    return p->exact ? p->owner[byte >> p->granule_log2] : p->spread;
}

static void extent(const kg_footprint *p, int64_t *lo, int64_t *hi)
{
    *lo = p->exact ? p->first << p->granule_log2 : 0;
    *hi = p->exact ? (p->last + 1) << p->granule_log2 : p->bytes;
}

// Where both may have bytes, in steps that granules of both, and the distance of the two slots,
// divide.
typedef struct common_range {
    int64_t lo, hi, step;
} common_range;

static common_range common_of(const kg_footprint *a, int64_t a_offset, const kg_footprint *b,
                              int64_t b_offset)
{
    int64_t alo, ahi, blo, bhi;
    extent(a, &alo, &ahi);
    extent(b, &blo, &bhi);
    int64_t lo = alo + a_offset > blo + b_offset ? alo + a_offset : blo + b_offset;
    int64_t hi = ahi + a_offset < bhi + b_offset ? ahi + a_offset : bhi + b_offset;
    int step_log2 = 4;
    if (a->exact && a->granule_log2 < step_log2) step_log2 = a->granule_log2;
    if (b->exact && b->granule_log2 < step_log2) step_log2 = b->granule_log2;
    while (step_log2 && ((a_offset | b_offset) & ((1 << step_log2) - 1))) step_log2--;
    return (common_range){lo, hi, (int64_t)1 << step_log2};
}

kg_apart kg_footprint_conflict(const kg_footprint *a, int64_t a_offset, const kg_footprint *b,
                               int64_t b_offset, int64_t *byte)
{
    common_range r = common_of(a, a_offset, b, b_offset);
    kg_apart worst = KG_APART_NOT;
    for (int64_t x = r.lo & -r.step; x < r.hi && worst < KG_APART_CTA; x += r.step) {
        int64_t at = x > r.lo ? x : r.lo;
        int16_t oa = owner_at(a, at - a_offset), ob = owner_at(b, at - b_offset);
        if (oa == KG_NOBODY || ob == KG_NOBODY) continue;
        kg_apart here = apart(oa, ob);
        if (here > worst) {
            worst = here;
            *byte = at;
        }
    }
    return worst;
}

bool kg_footprint_common(const kg_footprint *a, int64_t a_offset, const kg_footprint *b,
                         int64_t b_offset, kg_warps_fn fn, void *user)
{
    if (!a->exact || !b->exact) return false;
    common_range r = common_of(a, a_offset, b, b_offset);
    uint32_t last = 0;
    for (int64_t x = r.lo & -r.step; x < r.hi; x += r.step) {
        int64_t at = x > r.lo ? x : r.lo;
        uint32_t wa = a->warps[(at - a_offset) >> a->granule_log2],
                 wb = b->warps[(at - b_offset) >> b->granule_log2];
        if (!wa || !wb || (wa | wb) == last) continue;
        last = wa | wb;
        if (!fn(last, user)) break;
    }
    return true;
}

static bool of_one_warpgroup(uint32_t warps, void *user)
{
    bool *all = user;
    *all &= !(warps & ~(UINT32_C(15) << (__builtin_ctz(warps) & ~3)));
    return *all;
}

kg_apart kg_footprint_conflict_by_group(const kg_footprint *a, int64_t a_offset,
                                        const kg_footprint *b, int64_t b_offset, int64_t *byte)
{
    kg_apart apart = kg_footprint_conflict(a, a_offset, b, b_offset, byte);
    bool own = apart > KG_APART_THREAD;
    if (own && kg_footprint_common(a, a_offset, b, b_offset, of_one_warpgroup, &own) && own)
        return KG_APART_THREAD;
    return apart;
}

typedef struct seeker {
    int64_t byte;
    int *threads, count;
} seeker;

static void seek(int thread, int64_t offset, int bytes, void *user)
{
    seeker *s = user;
    if (s->byte < offset || s->byte >= offset + bytes || s->count == 2 ||
        (s->count == 1 && s->threads[0] == thread))
        return;
    if (s->count == 1 && s->threads[0] / 32 == thread / 32 && thread % 32 != 31)
        return; // prefer a thread of another warp as the second one; the last lane is taken if
                // there is none
    s->threads[s->count++] = thread;
}

int kg_footprint_threads(const kg_access *access, const kg_footprint *footprint, int64_t byte,
                         int threads[2])
{
    if (!footprint->exact) {
        kg_region region = kg_op_region(access->op);
        threads[0] = region.first_warp * 32;
        if (access->effect->agent == KG_AGENT_ELECTED) return 1;
        threads[1] = (region.first_warp + region.n_warps) * 32 - 1;
        return 2;
    }
    seeker s = {byte, threads, 0};
    kg_access_bytes(access, seek, &s);
    return s.count;
}
