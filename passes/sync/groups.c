// SPDX-License-Identifier: MIT
// Groups of warps. See groups.h.
#include "passes/sync/groups.h"

#include <string.h>

// ---- ties ---------------------------------------------------------------------------------------
kg_ties kg_ties_none(int warps)
{
    kg_ties ties = {.warps = warps, .groups = warps};
    for (int w = 0; w < KG_MOST_WARPS; w++) ties.parent[w] = w;
    return ties;
}

kg_ties kg_ties_all(int warps)
{
    kg_ties ties = {.warps = warps, .groups = 1};
    return ties;
}

int kg_ties_group(const kg_ties *ties, int warp)
{
    while (ties->parent[warp] != warp) warp = ties->parent[warp];
    return warp;
}

// The lowest warp of a group is its root.
static bool tie(uint32_t warps, void *user)
{
    kg_ties *ties = user;
    int first = kg_ties_group(ties, __builtin_ctz(warps));
    for (uint32_t left = warps & (warps - 1); left; left &= left - 1) {
        int other = kg_ties_group(ties, __builtin_ctz(left));
        if (other == first) continue;
        int low = other < first ? other : first, high = other < first ? first : other;
        ties->parent[high] = first = low;
        ties->groups--;
    }
    return ties->groups > 1;
}

bool kg_ties_add(const kg_sync_program *p, kg_ties *ties, const kg_obligation *o)
{
    const kg_sync_access *a = &p->accesses.items[o->a], *b = &p->accesses.items[o->b];
    if (a->global || b->global || !a->bytes || !b->bytes || !a->at.exact || !b->at.exact)
        return false;
    // Two accesses of one ring meet in one slot; of two buffers, in any.
    bool one = a->at.root == b->at.root;
    for (int i = 0; i < (one ? 1 : a->ring); i++)
        for (int j = 0; j < (one ? 1 : b->ring); j++)
            if (!kg_footprint_common(a->bytes, a->offset + i * a->slot_bytes, b->bytes,
                                     b->offset + j * b->slot_bytes, tie, ties))
                return false;
    return true;
}

const char *kg_ties_text(kg_arena *arena, const kg_ties *ties)
{
    const char *text = "";
    for (int w = 0; w < ties->warps; w++) {
        if (kg_ties_group(ties, w) != w) continue;
        const char *members = "";
        for (int v = 0; v < ties->warps; v++)
            if (kg_ties_group(ties, v) == w)
                members = kg_arena_printf(arena, "%s%s%d", members, *members ? "," : "", v);
        text = kg_arena_printf(arena, "%s%s{%s}", text, *text ? " " : "", members);
    }
    return text;
}

bool kg_ties_cover(const kg_ties *wide, const kg_ties *narrow)
{
    for (int w = 0; w < wide->warps; w++)
        if (kg_ties_group(wide, w) != kg_ties_group(wide, kg_ties_group(narrow, w))) return false;
    return true;
}

static int size_of(const kg_ties *ties, int root)
{
    int n = 0;
    for (int w = 0; w < ties->warps; w++) n += kg_ties_group(ties, w) == root;
    return n;
}

// Puts groups together until all are as large as the largest; false when that does not come out
// even. Large ones first, each into the first that has room.
static bool make_even(kg_ties *ties)
{
    int most = 0;
    for (int w = 0; w < ties->warps; w++) {
        int n = size_of(ties, w);
        most = n > most ? n : most;
    }
    for (int size = most - 1; size > 0; size--)
        for (int w = 0; w < ties->warps; w++) {
            if (size_of(ties, w) != size) continue;
            for (int u = 0; u < ties->warps; u++) {
                int there = size_of(ties, u);
                if (u == w || !there || there + size > most) continue;
                tie(UINT32_C(1) << u | UINT32_C(1) << w, ties);
                w = -1; // sizes have changed
                break;
            }
        }
    for (int w = 0; w < ties->warps; w++)
        if (size_of(ties, kg_ties_group(ties, w)) != most) return false;
    return true;
}

// ---- splitting ----------------------------------------------------------------------------------
typedef struct splitter {
    const kg_sync_program *p;
    const kg_obligations *o;
    kg_sync_plan *plan;
    kg_ties *of; // by obligation; groups 0: not known yet, 1: all warps
    uint32_t taken;
} splitter;

static bool counts(const kg_obligation *o)
{
    return o->meet == KG_MEET_CTA && !o->found_by_hand && !o->by_author;
}

static const kg_ties *ties_of(splitter *s, int obligation)
{
    kg_ties *ties = &s->of[obligation];
    if (ties->groups) return ties;
    *ties = kg_ties_none(s->p->kernel->warps);
    if (!kg_ties_add(s->p, ties, &s->o->items[obligation]))
        *ties = kg_ties_all(s->p->kernel->warps);
    return ties;
}

kg_ties kg_ties_of_barrier(const kg_op *barrier, int warps)
{
    kg_ties ties = kg_ties_none(warps);
    for (int w = 0; w < warps; w++) tie(kg_barrier_warps(barrier, w), &ties);
    return ties;
}

static kg_ties ties_of_ids(const int8_t *ids, int warps)
{
    kg_ties ties = kg_ties_none(warps);
    for (int w = 0; w < warps; w++)
        for (int u = 0; u < w; u++)
            if (ids[u] == ids[w]) {
                tie(UINT32_C(1) << u | UINT32_C(1) << w, &ties);
                break;
            }
    return ties;
}

// Another point, decided already or whole as long as it is not, makes the obligation's warps meet.
static bool met_elsewhere(splitter *s, int obligation, int point)
{
    const kg_sync_plan *plan = s->plan;
    for (int i = 0; i < s->p->n_points; i++) {
        if (i == point || !kg_points_has(plan->barrier, i) ||
            !kg_points_has(plan->cuts[obligation], i))
            continue;
        if (!plan->ids[i]) return true;
        kg_ties there = ties_of_ids(plan->ids[i], s->p->kernel->warps);
        if (kg_ties_cover(&there, ties_of(s, obligation))) return true;
    }
    return false;
}

// What the barrier at a point is for. Pairs with a copy count at every barrier: how its groups come
// in was found out with each of them whole.
static kg_ties ties_at(splitter *s, int point)
{
    kg_ties ties = kg_ties_none(s->p->kernel->warps);
    for (int i = 0; i < s->o->count && ties.groups > 1; i++) {
        const kg_obligation *o = &s->o->items[i];
        bool here = kg_points_has(s->plan->cuts[i], point) && !met_elsewhere(s, i, point);
        if (!counts(o) || (!o->wait && !here)) continue;
        const kg_ties *own = ties_of(s, i);
        for (int w = 0; w < ties.warps; w++)
            tie(UINT32_C(1) << w | UINT32_C(1) << kg_ties_group(own, w), &ties);
    }
    return ties;
}

// Equal groups have equal ids. NULL: too few are left.
static const int8_t *ids_for(splitter *s, const kg_ties *ties)
{
    int warps = ties->warps, next = 0, of_root[KG_MOST_WARPS];
    for (int i = 0; i < s->p->n_points; i++) {
        if (!s->plan->ids[i]) continue;
        kg_ties there = ties_of_ids(s->plan->ids[i], warps);
        if (kg_ties_cover(&there, ties) && kg_ties_cover(ties, &there)) return s->plan->ids[i];
    }
    int8_t *ids = KG_NEW_ARRAY(s->p->arena, int8_t, KG_MOST_WARPS);
    uint32_t taken = s->taken;
    for (int w = 0; w < warps; w++) {
        int root = kg_ties_group(ties, w);
        if (root == w) {
            while (next < KG_BARRIER_IDS && taken >> next & 1) next++;
            if (next == KG_BARRIER_IDS) return NULL;
            taken |= UINT32_C(1) << next;
            of_root[w] = next;
        }
        ids[w] = (int8_t)of_root[root];
    }
    s->taken = taken;
    return ids;
}

uint32_t kg_barriers_by_hand(const kg_sync_program *p)
{
    uint32_t taken = 1;
    for (int i = 0; i < p->nodes.count; i++) {
        const kg_op *op = kg_sync_node_at(p, i)->op;
        const kg_attr *ids = kg_op_attr(op, KG_A_IDS);
        if (op->code == KG_OP_BARRIER || op->code == KG_OP_ARRIVE)
            taken |= UINT32_C(1) << (kg_op_int(op, KG_A_ID, 0) & 15);
        for (int w = 0; ids && w < ids->count; w++) taken |= UINT32_C(1) << (ids->ints[w] & 15);
    }
    return taken;
}

void kg_sync_split_barriers(const kg_sync_program *p, const kg_obligations *o, kg_sync_plan *plan)
{
    splitter s = {.p = p, .o = o, .plan = plan};
    plan->ids = KG_NEW_ARRAY(p->arena, const int8_t *, p->n_points + 1);
    if (p->has_roles || p->kernel->warps < 4 || p->kernel->warps > KG_MOST_WARPS) return;
    s.of = KG_NEW_ARRAY(p->arena, kg_ties, o->count + 1);
    s.taken = kg_barriers_by_hand(p);
    for (int i = 0; i < p->n_points; i++) {
        if (!kg_points_has(plan->barrier, i)) continue;
        kg_ties ties = ties_at(&s, i);
        if (ties.groups > 1 && make_even(&ties) && ties.groups > 1)
            plan->ids[i] = ids_for(&s, &ties);
    }
}

bool kg_sync_group_meets(const kg_sync_program *p, const kg_sync_plan *plan, int point,
                         const kg_obligation *o)
{
    if (!plan->ids || !plan->ids[point] || o->meet != KG_MEET_CTA) return true;
    kg_ties there = ties_of_ids(plan->ids[point], p->kernel->warps);
    kg_ties ties = kg_ties_none(p->kernel->warps);
    return kg_ties_add(p, &ties, o) && kg_ties_cover(&there, &ties);
}
