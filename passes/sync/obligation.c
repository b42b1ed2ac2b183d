// SPDX-License-Identifier: MIT
// Derives the obligations of a program: every pair of accesses, within one trip and across the back
// edge of every loop that holds both. See obligation.h; how one pair meets is relation.c's
// business.
#include "passes/sync/obligation.h"
#include "passes/sync/phases.h"
#include "passes/sync/registers.h"

typedef struct deriver {
    kg_sync_program *p;
    kg_obligations *out;
    bool *written; // by access: its tensor (or one that may alias it) is written somewhere in the
                   // kernel
} deriver;

static void find_written(deriver *d)
{
    const kg_sync_program *p = d->p;
    d->written = KG_NEW_ARRAY(p->arena, bool, p->accesses.count + 1);
    for (int i = 0; i < p->accesses.count; i++) {
        const kg_sync_access *a = &p->accesses.items[i];
        for (int j = 0; j < p->accesses.count && !d->written[i] && a->global && a->at.root; j++) {
            const kg_sync_access *w = &p->accesses.items[j];
            d->written[i] =
                w->writes && w->global && w->at.root && kg_sync_may_alias(a->at.root, w->at.root);
        }
    }
}

// A release publishes what came before it: earlier writes, and earlier reads of memory that others
// may then overwrite. An acquire holds back everything global that comes after it.
static bool ordered_by_all(const deriver *d, int ia, int ib)
{
    const kg_sync_access *a = &d->p->accesses.items[ia], *b = &d->p->accesses.items[ib];
    if (!a->global || !b->global) return false;
    if (!b->at.root) return !b->writes && (a->writes ? a->at.root != NULL : d->written[ia]);
    return a->writes; // a stands for all tensors
}

static bool conflict(const deriver *d, int ia, int ib)
{
    const kg_sync_access *a = &d->p->accesses.items[ia], *b = &d->p->accesses.items[ib];
    if (a->registers || b->registers) return kg_sync_registers_conflict(a, b);
    if (a->released) return false;
    if (b->released) return kg_sync_may_free(a, b);
    if (!a->at.root || !b->at.root) return ordered_by_all(d, ia, ib);
    if (a->global != b->global || (!a->writes && !b->writes)) return false;
    return !(a->atomic && b->atomic && kg_updates_commute(a->at.op, b->at.op));
}

static kg_fence fence_of(const kg_sync_access *a, const kg_sync_access *b)
{
    if (a->registers) return kg_sync_register_fence(a, b);
    if (a->async_proxy || !b->async_proxy || a->object) return KG_FENCE_NONE;
    return a->global ? KG_FENCE_GLOBAL : KG_FENCE_SHARED;
}

static void add(deriver *d, int ia, int ib, int carrier, const kg_relation *r)
{
    const kg_sync_access *a = &d->p->accesses.items[ia], *b = &d->p->accesses.items[ib];
    if (!r->meets) {
        *(r->by_ring ? &d->out->spared.by_ring : &d->out->spared.apart) += 1;
        return;
    }
    kg_obligation o = {.a = ia,
                       .b = ib,
                       .carrier = carrier,
                       .distance = r->distance,
                       .distances = r->distances,
                       .byte = r->byte};
    o.wait = a->async;
    o.fence = fence_of(a, b);
    o.meet = r->apart == KG_APART_CTA    ? KG_MEET_CTA
             : r->apart == KG_APART_WARP ? KG_MEET_WARP
                                         : KG_MEET_NONE;
    if (o.meet == KG_MEET_NONE && !o.wait && o.fence == KG_FENCE_NONE) { // order of one thread
        d->out->spared.one_thread++;
        return;
    }
    KG_PUSH(d->p->arena, d->out, o);
}

// Different arms of one branch: never both in one trip.
static bool exclusive(const kg_sync_program *p, int a, int b, int common)
{
    int x = kg_sync_lift(p, a, common), y = kg_sync_lift(p, b, common);
    return x == y && a != b;
}

// A loop with constant bounds has no trips further apart than its first and its last.
static void clip_distances(const kg_op *loop, kg_relation *r)
{
    int64_t lo, hi, step;
    if (loop->code != KG_OP_FOR || !kg_const_int(loop->operands[0], &lo) ||
        !kg_const_int(loop->operands[1], &hi) || !kg_const_int(loop->operands[2], &step) ||
        step <= 0)
        return;
    int64_t farthest = hi > lo ? (hi - lo - 1) / step : 0;
    if (farthest < 64) r->distances &= (UINT64_C(1) << farthest) - 1;
    r->meets = r->meets && r->distances;
    r->distance = r->distances ? __builtin_ctzll(r->distances) + 1 : 0;
}

// Two accesses of shared memory that have no byte in common, in whatever trips.
static bool never_meet(const kg_sync_access *a, const kg_sync_access *b)
{
    return !a->global && !b->global && !b->released && a->at.root != b->at.root &&
           kg_sync_lie_apart(a, b);
}

static void derive_pair(deriver *d, int ia, int ib)
{
    const kg_sync_program *p = d->p;
    const kg_sync_access *a = &p->accesses.items[ia], *b = &p->accesses.items[ib];
    int common = kg_sync_common(p, a->node, b->node);
    bool in_trip = a->node < b->node && !exclusive(p, a->node, b->node, common);
    if (never_meet(a, b)) {
        d->out->spared.apart += in_trip + kg_sync_block_at(p, common)->loops;
        return;
    }
    if (in_trip) {
        kg_relation r = kg_sync_relate(p, a, b, NULL);
        add(d, ia, ib, -1, &r);
    }
    for (int block = common; block >= 0; block = kg_sync_parent(p, block)) {
        const kg_sync_block *loop = kg_sync_block_at(p, block);
        if (!kg_sync_is_loop(loop)) continue;
        const kg_op *op = kg_sync_node_at(p, loop->owner)->op;
        kg_relation r = kg_sync_relate(p, a, b, op);
        clip_distances(op, &r);
        add(d, ia, ib, block, &r);
    }
}

void kg_obligations_derive(kg_sync_program *p, kg_obligations *out)
{
    deriver d = {p, out, NULL};
    find_written(&d);
    for (int a = 0; a < p->accesses.count; a++)
        for (int b = 0; b < p->accesses.count; b++)
            if (conflict(&d, a, b)) derive_pair(&d, a, b);
}
