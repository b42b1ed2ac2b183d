// SPDX-License-Identifier: MIT
// Writes the plan into the kernel. See materialize.h.
#include "passes/sync/materialize.h"
#include "passes/sync/fences.h"
#include "passes/sync/groups.h"

#include <string.h>

enum { REASONS_SHOWN = 6 };

// ---- commits ------------------------------------------------------------------------------------
static kg_group group_of(const kg_op *op)
{
    const kg_op_info *info = kg_op_info_of(op->code);
    for (int i = 0; i < info->n_effects; i++) {
        kg_group group = kg_sync_group_of(info->effects[i].completes);
        if (group != KG_GROUP_NONE) return group;
    }
    return KG_GROUP_NONE;
}

// A commit stands behind the op on every path before its loop's trip ends.
static bool committed(const kg_op *op, kg_group group)
{
    for (;;) {
        for (const kg_op *next = op->next; next; next = next->next)
            if (kg_sync_commits(next) == group) return true;
        op = op->parent->owner;
        if (!op || kg_is_loop(op)) return false;
    }
}

// What only gives the result of a wgmma its name may stand between two of them.
static bool renames(const kg_op *op)
{
    const kg_value *value = op->code == KG_OP_ASSIGN ? op->operands[1] : NULL;
    return value && value->kind == KG_VALUE_RESULT && group_of(value->op) == KG_GROUP_WGMMA;
}

static bool uses_result_of_run(const kg_op *op)
{
    for (int i = 0; i < op->n_operands; i++) {
        const kg_value *v = op->operands[i];
        bool acc = group_of(op) == KG_GROUP_WGMMA && i == 2;
        if (!acc && v->kind == KG_VALUE_RESULT && group_of(v->op) == KG_GROUP_WGMMA) return true;
    }
    return false;
}

// The copy engine updates what an op of the run from `first` to `last` updates in another way: it
// has to come behind a wait for that, so behind the run's commit.
static bool comes_after(const kg_op *first, const kg_op *last, const kg_op *op)
{
    for (const kg_op *x = first; group_of(op) == KG_GROUP_BULK; x = x->next) {
        if (group_of(x) == KG_GROUP_BULK && !kg_updates_commute(x, op) &&
            kg_sync_may_alias(kg_root(x->operands[0]), kg_root(op->operands[0])))
            return true;
        if (x == last) break;
    }
    return false;
}

// The last of its kind before something else happens to memory.
static kg_op *end_of_run(kg_op *copy, kg_group group)
{
    kg_op *last = copy;
    for (kg_op *op = copy->next; op; op = op->next) {
        const kg_op_info *info = kg_op_info_of(op->code);
        if (group_of(op) == group && comes_after(copy, last, op)) break;
        if (group_of(op) == group && !uses_result_of_run(op))
            last = op;
        else if (renames(op) && last->next == op)
            last = op;
        else if (uses_result_of_run(op) || info->n_effects || info->cls == KG_CLASS_Y ||
                 op->n_blocks)
            break;
    }
    return last;
}

static bool commit_copy(kg_op *op, void *user)
{
    kg_kernel *kernel = user;
    kg_group group = group_of(op);
    if (group != KG_GROUP_NONE && !committed(op, group))
        kg_block_insert_after(end_of_run(op, group),
                              kg_op_new(kernel, kg_sync_commit_code(group), op->loc, 0, NULL));
    return true;
}

void kg_sync_commit_copies(kg_kernel *kernel)
{
    kg_walk(kernel->body, commit_copy, kernel);
}

// ---- insertion ----------------------------------------------------------------------------------
// Puts an
// op at a point, in front of the node that follows it and behind what was inserted before.
static void put(const kg_sync_program *p, int point, kg_op *op)
{
    const kg_sync_block *b = kg_sync_block_at(p, p->points[point].block);
    int position = p->points[point].position;
    kg_block *ir = b->ir[b->kind == KG_SB_WHILE && position >= b->condition_nodes];
    if (position < b->count)
        kg_block_insert_before(kg_sync_node_at(p, b->items[position])->op, op);
    else
        kg_block_append(ir, op);
}

static kg_loc loc_of(const kg_sync_program *p, int point)
{
    const kg_sync_block *b = kg_sync_block_at(p, p->points[point].block);
    int position = p->points[point].position;
    if (position < b->count) return kg_sync_node_at(p, b->items[position])->op->loc;
    return b->owner >= 0 ? kg_sync_node_at(p, b->owner)->op->loc : p->kernel->loc;
}

static kg_op *make(const kg_sync_program *p, int point, kg_opcode code)
{
    return kg_op_new(p->kernel, code, loc_of(p, point), 0, NULL);
}

typedef struct naming {
    uint32_t taken;
    int first[KG_BARRIER_IDS], last[KG_BARRIER_IDS]; // warps of the region that owns an id
    int until[KG_BARRIER_IDS]; // position in the kernel's body of its last use
} naming;

// A barrier of the whole CTA stands in the kernel's body behind `position` and not behind `end`:
// whoever used an id up to there is through with it.
static bool cta_meets(const kg_sync_program *p, const kg_sync_plan *plan, int position, int end)
{
    const kg_sync_block *body = kg_sync_block_at(p, 0);
    for (int i = position + 1; i <= end; i++)
        if (kg_points_has(plan->barrier, body->first_point + i) ||
            kg_points_has(plan->hand, body->first_point + i))
            return true;
    return false;
}

// Regions of the same warps run one after the other, so they share an id. Others do only when none
// is left and the CTA has met between them. Ids that the author uses are never taken.
static int id_of_region(const kg_sync_program *p, const kg_sync_plan *plan, naming *names,
                        kg_region region, int position)
{
    int last = region.first_warp + region.n_warps, id = -1;
    for (int i = 1; i < KG_BARRIER_IDS && id < 0; i++)
        if (names->first[i] == region.first_warp && names->last[i] == last) id = i;
    for (int i = 1; i < KG_BARRIER_IDS && id < 0; i++)
        if (!(names->taken >> i & 1)) id = i;
    for (int i = 1; i < KG_BARRIER_IDS && id < 0; i++)
        if (names->first[i] >= 0 && cta_meets(p, plan, names->until[i], position)) id = i;
    if (id < 0) return -1;
    names->taken |= UINT32_C(1) << id;
    names->first[id] = region.first_warp;
    names->last[id] = last;
    names->until[id] = position;
    return id;
}

static kg_op *make_groups(const kg_sync_program *p, const int8_t *ids, int point)
{
    kg_op *op = make(p, point, KG_OP_BARRIER);
    int warps = p->kernel->warps;
    int64_t numbers[KG_MOST_WARPS];
    for (int w = 0; w < warps; w++) numbers[w] = ids[w];
    kg_op_set_ints(p->kernel, op, KG_A_IDS, warps, numbers);
    kg_op_set_int(p->kernel, op, KG_A_COUNT, 32 * (int64_t)kg_group_size(ids, warps));
    return op;
}

static kg_op *make_barrier(const kg_sync_program *p, const kg_sync_plan *plan, int point,
                           naming *names, kg_diags *diags)
{
    int region = kg_sync_block_at(p, p->points[point].block)->region;
    if (plan->ids[point]) return make_groups(p, plan->ids[point], point);
    if (region < 0) return make(p, point, KG_OP_BARRIER);
    const kg_op *warps = kg_sync_node_at(p, region)->op;
    int32_t first = (int32_t)kg_op_int(warps, KG_A_FIRST, 0),
            last = (int32_t)kg_op_int(warps, KG_A_LAST, first + 1);
    if (last - first == 1) return make(p, point, KG_OP_WARP_SYNC);
    if (last - first == p->kernel->warps) return make(p, point, KG_OP_BARRIER);
    int position = kg_sync_node_at(p, kg_sync_lift(p, region, 0))->position;
    int id = id_of_region(p, plan, names, (kg_region){first, last - first}, position);
    if (id < 0) {
        kg_error(diags, KG_D_S501, warps->loc, "more than 15 named barriers are needed");
        return NULL;
    }
    kg_op *op = make(p, point, KG_OP_BARRIER);
    kg_op_set_int(p->kernel, op, KG_A_ID, id);
    kg_op_set_int(p->kernel, op, KG_A_COUNT, 32 * (int64_t)(last - first));
    return op;
}

// ---- bulk stores --------------------------------------------------------------------------------
// A wait for bulk stores need not wait until they have written, when only their sources are needed.
static bool needs_written(const kg_sync_program *p, const kg_obligation *o)
{
    const kg_sync_access *a = &p->accesses.items[o->a];
    return o->wait && a->at.effect->completes == KG_COMPLETES_BULK_FULL;
}

// The points at which a wait until stores have written does for the obligation by itself.
static kg_points that_serve(const kg_sync_program *p, const kg_sync_plan *plan, int i,
                            const kg_obligation *o, kg_points full)
{
    kg_points by = kg_points_new(p);
    for (int w = 0; w < kg_points_words(p); w++) {
        by.words[w] = full.words[w] & plan->cuts[i].words[w];
        if (o->meet != KG_MEET_NONE) by.words[w] &= plan->barrier.words[w];
    }
    return by;
}

static bool all_served(const kg_sync_program *p, const kg_obligations *o, const kg_sync_plan *plan,
                       kg_points full, const bool *asked)
{
    for (int i = 0; i < o->count; i++)
        if (asked[i] &&
            kg_sync_path_open(p, &o->items[i], that_serve(p, plan, i, &o->items[i], full)))
            return false;
    return true;
}

// Waits that have to wait until stores have written. Where several are on the way of a pair the
// first one does: of the stores that a trip issues it is the one furthest behind them.
static kg_points full_waits(const kg_sync_program *p, const kg_obligations *o,
                            const kg_sync_plan *plan)
{
    const kg_sync_waits *waits = &plan->waits[KG_GROUP_BULK];
    kg_points full = kg_points_new(p);
    bool *asked = KG_NEW_ARRAY(p->arena, bool, o->count + 1), all_zero = true;
    for (int i = 0; i < o->count; i++)
        for (int at = 0; needs_written(p, &o->items[i]) && at < p->n_points; at++)
            if (kg_points_has(plan->cuts[i], at) && kg_points_has(waits->at, at)) {
                kg_points_add(full, at);
                all_zero &= !waits->count[at];
            }
    if (!all_zero) return full; // counts were made for all of them together
    for (int i = 0; i < o->count; i++)
        asked[i] = needs_written(p, &o->items[i]) &&
                   !kg_sync_path_open(p, &o->items[i], that_serve(p, plan, i, &o->items[i], full));
    for (int at = p->n_points - 1; at >= 0; at--) {
        if (!kg_points_has(full, at)) continue;
        full.words[at >> 6] &= ~(UINT64_C(1) << (at & 63));
        bool spared = all_served(p, o, plan, full, asked);
        for (int i = 0; i < o->count && spared; i++) // nor those that it serves in another way
            spared =
                asked[i] || !needs_written(p, &o->items[i]) || !kg_points_has(plan->cuts[i], at);
        if (!spared) kg_points_add(full, at);
    }
    return full;
}

static void insert_waits(const kg_sync_program *p, const kg_sync_plan *plan, kg_points full,
                         int point, kg_op **op_at)
{
    for (int g = 0; g < KG_GROUPS; g++) {
        if (!kg_points_has(plan->waits[g].at, point)) continue;
        kg_op *wait = make(p, point, kg_sync_wait_code((kg_group)g));
        kg_op_set_int(p->kernel, wait, KG_A_COUNT, plan->waits[g].count[point]);
        if (g == KG_GROUP_BULK && !kg_points_has(full, point))
            kg_op_set_int(p->kernel, wait, KG_A_READ, 1);
        put(p, point, wait);
        op_at[point] = wait;
    }
}

static void insert_fences(const kg_sync_program *p, const kg_sync_plan *plan, int point,
                          kg_op **op_at)
{
    for (int f = KG_FENCE_SHARED; f < KG_FENCES; f++) {
        if (!kg_points_has(plan->fence[f], point)) continue;
        kg_op *fence = make(p, point, kg_fence_code((kg_fence)f));
        const char *scope = kg_fence_scope((kg_fence)f);
        if (scope) kg_op_set_name(p->kernel, fence, KG_A_SCOPE, scope);
        put(p, point, fence);
        if (!op_at[point]) op_at[point] = fence;
    }
}

bool kg_sync_insert(kg_sync_program *p, const kg_obligations *o, const kg_sync_plan *plan,
                    kg_op **op_at, kg_diags *diags)
{
    naming names = {.taken = kg_barriers_by_hand(p)};
    kg_points full = full_waits(p, o, plan);
    for (int i = 0; i < KG_BARRIER_IDS; i++) names.first[i] = -1;
    for (int i = 0; i < p->n_points; i++) {
        insert_waits(p, plan, full, i, op_at);
        insert_fences(p, plan, i, op_at);
        kg_op *meet = NULL;
        if (kg_points_has(plan->barrier, i)) {
            meet = make_barrier(p, plan, i, &names, diags);
            if (!meet) return false;
        } else if (kg_points_has(plan->warp_sync, i)) {
            meet = make(p, i, KG_OP_WARP_SYNC);
        }
        if (meet) put(p, i, meet);
        const kg_sync_block *b = kg_sync_block_at(p, p->points[i].block);
        if (!meet && (kg_points_has(plan->hand, i) || kg_points_has(plan->hand_warp, i)))
            meet = kg_sync_node_at(p, b->items[p->points[i].position])->op;
        if (meet) op_at[i] = meet;
    }
    return true;
}

// ---- reasons ------------------------------------------------------------------------------------
static bool number_sync(kg_op *op, void *user)
{
    kg_sync_outcome *c = user;
    if (kg_op_info_of(op->code)->cls != KG_CLASS_Y) return true;
    kg_op_set_int(c->p->kernel, op, KG_A_SYNC_ID, ++c->n_syncs);
    return true;
}

static int points_in(const kg_sync_program *p, kg_points s)
{
    int n = 0;
    for (int i = 0; i < kg_points_words(p); i++) n += __builtin_popcountll(s.words[i]);
    return n;
}

// The synchronization that answers for an obligation: the first chosen point among its cuts.
static int answering_point(const kg_sync_outcome *c, const kg_obligation *o, int index)
{
    if (o->found_by_hand || o->by_author) return -1;
    for (int i = 0; i < c->p->n_points; i++)
        if (kg_points_has(c->plan->cuts[index], i) && kg_sync_meets_at(c, o, i)) return i;
    return -1;
}

static void list_reasons(const kg_sync_outcome *c, int point, kg_op *op)
{
    int64_t shown[REASONS_SHOWN];
    int width[REASONS_SHOWN], count = 0;
    for (int i = 0; i < c->o->count; i++) {
        bool waits_only = c->o->items[i].meet == KG_MEET_NONE &&
                          kg_sync_waits_for(op) == KG_GROUP_NONE &&
                          c->o->items[i].fence == KG_FENCE_NONE;
        if (c->point_of[i] != point || waits_only) continue;
        int w = points_in(c->p, c->plan->cuts[i]), k = count;
        while (k > 0 && width[k - 1] > w) k--;
        if (k >= REASONS_SHOWN) continue;
        if (count < REASONS_SHOWN) count++;
        memmove(shown + k + 1, shown + k, sizeof *shown * (size_t)(count - k - 1));
        memmove(width + k + 1, width + k, sizeof *width * (size_t)(count - k - 1));
        shown[k] = c->o->items[i].number;
        width[k] = w;
    }
    if (count) kg_op_set_ints(c->p->kernel, op, KG_A_REASON, count, shown);
}

void kg_sync_number(kg_sync_outcome *c)
{
    kg_walk(c->p->kernel->body, number_sync, c);
    c->point_of = KG_NEW_ARRAY(c->p->arena, int, c->o->count + 1);
    for (int i = 0; i < c->o->count; i++) c->point_of[i] = answering_point(c, &c->o->items[i], i);
    for (int i = 0; i < c->p->n_points; i++)
        if (c->op_at[i]) list_reasons(c, i, c->op_at[i]);
}
