// SPDX-License-Identifier: MIT
// Where to synchronize: the points that cut an obligation's paths, and a cheapest set of points
// that cuts them all.
#pragma once
#include "passes/sync/obligation.h"

// ---- sets of points -----------------------------------------------------------------------------
typedef struct kg_points {
    uint64_t *words;
} kg_points;
static inline bool kg_points_has(kg_points s, int i)
{
    return s.words[i >> 6] >> (i & 63) & 1;
}
static inline void kg_points_add(kg_points s, int i)
{
    s.words[i >> 6] |= UINT64_C(1) << (i & 63);
}
static inline int kg_points_words(const kg_sync_program *p)
{
    return (p->n_points + 63) / 64;
}
kg_points kg_points_new(const kg_sync_program *p);
bool kg_points_meet(const kg_sync_program *p, kg_points a, kg_points b);

// ---- paths (paths.c) ----------------------------------------------------------------------------
// The node after
// which a rendezvous counts: the access itself, or the commit that closes a copy's group; -1 when
// no commit follows within the copy's loop.
int kg_sync_source(const kg_sync_program *p, const kg_sync_access *a);
// Every point of which one synchronization alone cuts all paths of the obligation and is legal
// there. `late` (may be empty): those on b's side, closest in time to b.
void kg_sync_cuts(const kg_sync_program *p, const kg_obligation *o, kg_points cuts, kg_points late);
// Some path of the obligation meets none of the points where a barrier stands already: by[point] is
// set.
bool kg_sync_path_open(const kg_sync_program *p, const kg_obligation *o, kg_points by);
// The same for the paths that begin behind node `a`.
bool kg_sync_path_open_from(const kg_sync_program *p, const kg_obligation *o, int a, int carrier,
                            kg_points by);
// A path from node a to the kernel's end passes none of the points.
bool kg_sync_end_open(const kg_sync_program *p, int a, kg_points by);
// A barrier at that point would be met by all threads of the obligation.
bool kg_sync_legal(const kg_sync_program *p, const kg_obligation *o, int point);

enum { KG_COST_TIE = 1024, KG_COST_ONCE = 64 * KG_COST_TIE };

// ---- choice (cover.c) ---------------------------------------------------------------------------
// A cheapest set
// of points so that each of `sets` holds one of them. Points in `chosen` at entry are free; the new
// ones are added. Sets that hold no point are skipped (the caller reports them).
void kg_cover_choose(const kg_sync_program *p, const kg_points *sets, int n_sets,
                     const int64_t *cost, kg_points chosen);

// A copy and the access that needs it complete, by number; -1 for none.
typedef struct kg_binding {
    int copy, access;
} kg_binding;

// ---- the plan -----------------------------------------------------------------------------------
// The waits for one kind of groups.
typedef struct kg_sync_waits {
    kg_points at;        // new ones, by point
    int *count;          // by point; NULL: not known yet
    kg_binding *binding; // by point: the pair that its count is as low as it is for
} kg_sync_waits;

typedef struct kg_sync_plan {
    kg_points barrier, warp_sync;   // new ones, by point
    kg_sync_waits waits[KG_GROUPS]; // a wait stands in front of the others
    kg_points fence[KG_FENCES];     // behind the waits, in front of the rendezvous
    kg_points hand;            // points where the author's barrier of all concerned threads stands
    kg_points hand_warp;       // the author's warp syncs
    const kg_op **hand_groups; // by point: the author's barrier of groups of warps; NULL: no such
    int64_t *cost;             // by point: KG_COST_ONCE for one that runs once
    kg_points *cuts;           // by obligation
    // By point of a new barrier: the hardware barrier of each warp, where groups of warps meet
    // among themselves only; NULL for all. See groups.h.
    const int8_t **ids;
    // By node, what counts of the author's synchronization: -1 nothing, for a wait the groups that
    // it leaves. NULL: all as written.
    const int *hand_state;
    bool fenced; // while it is judged: of rendezvous only those with the fence count
} kg_sync_plan;

static inline int kg_sync_hand_count(const kg_sync_plan *plan, int node, const kg_op *op)
{
    return plan->hand_state ? plan->hand_state[node] : (int)kg_op_int(op, KG_A_COUNT, 0);
}

// hand_state as above; where it leaves a barrier out, its place is still the one preferred.
// A wait of the plan stands at that point, for whichever groups.
bool kg_sync_any_wait(const kg_sync_plan *plan, int point);
void kg_sync_plan_make(kg_sync_program *p, kg_obligations *o, const int *hand_state,
                       kg_sync_plan *plan);
// The points alone, without the counts of waits (they stay NULL): what a price needs.
void kg_sync_plan_points(kg_sync_program *p, kg_obligations *o, kg_sync_plan *plan);
