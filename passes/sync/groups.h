// SPDX-License-Identifier: MIT
// Which warps the bytes of obligations tie together, and barriers of these groups alone.
//
// Warps that exchange nothing need not wait for each other. Where the bytes of all that a barrier
// is for fall into groups of warps, each group gets a hardware barrier of its own: one instruction
// still, whose id each warp computes.
#pragma once
#include "passes/sync/cover.h"

enum { KG_MOST_WARPS = 32, KG_BARRIER_IDS = 16 };

// Warps with the same root are in one group.
typedef struct kg_ties {
    int warps, groups;
    int parent[KG_MOST_WARPS];
} kg_ties;

kg_ties kg_ties_none(int warps);
kg_ties kg_ties_all(int warps); // one group
// The groups of a barrier with `ids`.
kg_ties kg_ties_of_barrier(const kg_op *barrier, int warps);
// Whoever `narrow` ties together, `wide` does.
bool kg_ties_cover(const kg_ties *wide, const kg_ties *narrow);
int kg_ties_group(const kg_ties *ties, int warp);
// Joins the warps that touch a common byte of the two accesses. False when their bytes are not
// known: any warps may meet.
bool kg_ties_add(const kg_sync_program *p, kg_ties *ties, const kg_obligation *o);
// Warps that have the first one's hardware barrier: all groups of a barrier have this size.
static inline int kg_group_size(const int8_t *ids, int warps)
{
    int together = 0;
    for (int w = 0; w < warps; w++) together += ids[w] == ids[0];
    return together;
}
// Hardware barriers that the author uses, as bits, and 0, which is the CTA's.
uint32_t kg_barriers_by_hand(const kg_sync_program *p);
// "{0,4} {1,5}"
const char *kg_ties_text(kg_arena *arena, const kg_ties *ties);

// Fills plan->ids, once its points are final. What it keeps: each obligation between warps is cut
// by a point whose groups hold the warps that it ties; one id is of one group of warps in the whole
// kernel; all groups of a barrier have the same size. Kernels with roles are left alone.
void kg_sync_split_barriers(const kg_sync_program *p, const kg_obligations *o, kg_sync_plan *plan);
// What stands at the point makes those warps meet which the obligation ties together.
bool kg_sync_group_meets(const kg_sync_program *p, const kg_sync_plan *plan, int point,
                         const kg_obligation *o);
