// SPDX-License-Identifier: MIT
// The price of a kernel's synchronization. See price.h.
#include "passes/sync/price.h"
#include "passes/sync/checks.h"
#include "passes/sync/groups.h"

static int warps_at(const kg_sync_program *p, const kg_sync_plan *plan, int point)
{
    int region = kg_sync_block_at(p, p->points[point].block)->region;
    const int8_t *ids = plan->ids[point];
    if (region < 0) return ids ? kg_group_size(ids, p->kernel->warps) : p->kernel->warps;
    const kg_op *warps = kg_sync_node_at(p, region)->op;
    return (int)(kg_op_int(warps, KG_A_LAST, 1) - kg_op_int(warps, KG_A_FIRST, 0));
}

static void add_point(const kg_sync_program *p, const kg_sync_plan *plan, int point,
                      kg_sync_price *out)
{
    int loops = kg_sync_block_at(p, p->points[point].block)->loops;
    int64_t weight = 0;
    if (kg_points_has(plan->barrier, point)) {
        weight += kg_barrier_weight(warps_at(p, plan, point));
        out->barriers++;
        out->loop_barriers += loops > 0;
    }
    if (kg_points_has(plan->warp_sync, point)) {
        weight += KG_WARP_SYNC_WEIGHT;
        out->warp_syncs++;
    }
    for (int g = 0; g < KG_GROUPS; g++)
        if (kg_points_has(plan->waits[g].at, point)) {
            weight += KG_WAIT_WEIGHT;
            out->waits++;
        }
    out->cost += weight * kg_runs_in_loops(loops);
}

static int points_of(const kg_sync_program *p, kg_points set)
{
    int n = 0;
    for (int i = 0; i < kg_points_words(p); i++) n += __builtin_popcountll(set.words[i]);
    return n;
}

// Obligations with pairwise disjoint cuts, those with the fewest points first: a lower bound.
static int count_apart(const kg_sync_program *p, const kg_obligations *o, const kg_sync_plan *plan)
{
    kg_points used = kg_points_new(p);
    int count = 0;
    for (;;) {
        int best = -1, fewest = 0;
        for (int i = 0; i < o->count; i++) {
            const kg_obligation *x = &o->items[i];
            int n = points_of(p, plan->cuts[i]);
            if (x->meet == KG_MEET_CTA && !x->found_by_hand && !x->by_author && n > 0 &&
                !kg_points_meet(p, plan->cuts[i], used) && (best < 0 || n < fewest)) {
                best = i;
                fewest = n;
            }
        }
        if (best < 0) return count;
        for (int w = 0; w < kg_points_words(p); w++) used.words[w] |= plan->cuts[best].words[w];
        count++;
    }
}

kg_sync_price kg_sync_price_of(kg_arena *arena, kg_kernel *kernel, kg_footprints *known, bool exact)
{
    kg_sync_price price = {0};
    kg_obligations obligations = {0};
    kg_sync_plan plan;
    kg_diags unheard = {.arena = arena, .limit = 1}; // the sync pass reports what it finds
    kg_sync_program *p = kg_sync_program_rebuild(arena, kernel, known);
    kg_obligations_derive(p, &obligations);
    kg_sync_check_roles(p, &obligations, &unheard);
    if (exact)
        kg_sync_plan_make(p, &obligations, NULL, &plan);
    else
        kg_sync_plan_points(p, &obligations, &plan);
    for (int i = 0; i < p->n_points; i++) add_point(p, &plan, i, &price);
    for (int i = 0; i < obligations.count; i++)
        price.between_warps += obligations.items[i].meet == KG_MEET_CTA;
    price.apart = count_apart(p, &obligations, &plan);
    return price;
}
