// SPDX-License-Identifier: MIT
// The other repairs: for what stands at a point, what else would have ordered its accesses, and
// why it was not taken. Everything is read off the plan: which points cut what, what they cost,
// which threads meet.
#include "passes/sync/groups.h"
#include "passes/sync/record.h"

enum { PLACES_SHOWN = 3, WARPS = 32 };

typedef struct considerer {
    const kg_sync_outcome *c;
    const kg_sync_report *report;
    kg_sync_entry *entry;
    int point;
    int *needs, n_needs; // obligations that nothing else of the plan meets, by index
} considerer;

static void say(const considerer *x, const char *repair, kg_sync_verdict verdict, double runs,
                const char *text)
{
    kg_sync_repair r = {repair, verdict, runs, text};
    KG_PUSH(x->c->p->arena, &x->entry->repairs, r);
}

// ---- nothing ------------------------------------------------------------------------------------
static void consider_nothing(const considerer *x)
{
    kg_arena *a = x->c->p->arena;
    if (!x->n_needs) {
        say(x, "nothing", KG_SYNC_VERDICT_REJECTED, 0,
            "a replay of copies and waits has a schedule that only this one serves");
        return;
    }
    const char *text =
        x->n_needs == 1
            ? kg_arena_printf(a, "obligation %d would be open: nothing else cuts its paths",
                              x->report->reasons[x->needs[0]].number)
            : kg_arena_printf(a, "%d obligations would be open, %d the first", x->n_needs,
                              x->report->reasons[x->needs[0]].number);
    say(x, "nothing", KG_SYNC_VERDICT_REJECTED, 0, text);
}

// ---- fewer threads ------------------------------------------------------------------------------
static const kg_sync_reason *needed_between_warps(const considerer *x)
{
    const kg_sync_reason *any = NULL;
    for (int i = 0; i < x->n_needs; i++) {
        const kg_sync_reason *r = &x->report->reasons[x->needs[i]];
        if (r->meet != KG_MEET_CTA) continue;
        if (r->thread_a >= 0 && r->thread_a / WARPS != r->thread_b / WARPS) return r;
        any = any ? any : r;
    }
    return any;
}

static void consider_warp_sync(const considerer *x)
{
    kg_arena *a = x->c->p->arena;
    const kg_sync_reason *r = needed_between_warps(x);
    if (!r) return;
    if (r->thread_a >= 0 && r->thread_a / WARPS != r->thread_b / WARPS)
        say(x, "warp sync", KG_SYNC_VERDICT_REJECTED, x->entry->runs,
            kg_arena_printf(a, "threads %d and %d of obligation %d are of warps %d and %d",
                            r->thread_a, r->thread_b, r->number, r->thread_a / WARPS,
                            r->thread_b / WARPS));
    else
        say(x, "warp sync", KG_SYNC_VERDICT_REJECTED, x->entry->runs,
            kg_arena_printf(a,
                            "which threads meet in obligation %d is only known at run time: any "
                            "two may",
                            r->number));
}

// Without a barrier of groups where one would do: why.
static const char *no_groups(const considerer *x, const kg_ties *ties)
{
    kg_arena *arena = x->c->p->arena;
    if (ties->groups == 1)
        return kg_arena_printf(arena, "the bytes tie all %d warps together", ties->warps);
    return kg_arena_printf(arena, "the bytes tie together %s only, but %s",
                           kg_ties_text(arena, ties),
                           ties->warps < 4 ? "that is too few warps to part them"
                                           : "groups of equal size, or ids for them, are not to be "
                                             "had, or copies tie more at another barrier");
}

static void consider_named_barrier(const considerer *x)
{
    kg_arena *arena = x->c->p->arena;
    const char *repair = "named barriers of fewer warps";
    const kg_sync_program *p = x->c->p;
    kg_ties ties = kg_ties_none(p->kernel->warps);
    if (p->kernel->warps <= 1 || p->kernel->warps > KG_MOST_WARPS || p->has_roles) return;
    for (int i = 0; i < x->n_needs; i++)
        if (!kg_ties_add(p, &ties, &x->c->o->items[x->needs[i]])) {
            say(x, repair, KG_SYNC_VERDICT_REJECTED, x->entry->runs,
                kg_arena_printf(arena,
                                "obligation %d has no fixed map from threads to bytes, so any "
                                "two warps may meet",
                                x->c->o->items[x->needs[i]].number));
            return;
        }
    if (x->c->plan->ids[x->point])
        say(x, "barrier of all warps", KG_SYNC_VERDICT_REJECTED, x->entry->runs,
            kg_arena_printf(arena, "the bytes tie together %s only; others need not wait",
                            kg_ties_text(arena, &ties)));
    else
        say(x, repair, KG_SYNC_VERDICT_REJECTED, x->entry->runs, no_groups(x, &ties));
}

// ---- other places -------------------------------------------------------------------------------
// How many of the obligations that need this point another one would cut as well, and the first
// that it would not.
static int cut_there(const considerer *x, int point, int *missed)
{
    int n = 0;
    *missed = -1;
    for (int i = 0; i < x->n_needs; i++) {
        if (kg_points_has(x->c->plan->cuts[x->needs[i]], point))
            n++;
        else if (*missed < 0)
            *missed = x->needs[i];
    }
    return n;
}

static const char *missed_text(const considerer *x, int cut, int missed)
{
    kg_arena *arena = x->c->p->arena;
    const kg_sync_reason *r = &x->report->reasons[missed];
    const char *how =
        r->loop ? kg_arena_printf(arena, "round the loop at line %d past it", r->loop->loc.line)
                : "past it";
    return kg_arena_printf(arena, "would do for %d of %d; obligation %d goes %s", cut, x->n_needs,
                           r->number, how);
}

static bool taken(const considerer *x, int point)
{
    const kg_sync_plan *plan = x->c->plan;
    return kg_points_has(plan->barrier, point) || kg_points_has(plan->warp_sync, point) ||
           kg_points_has(plan->hand, point) || kg_points_has(plan->hand_warp, point);
}

// Of a block's points the best: those that cut all that is needed first, then the cheapest.
static int best_of_block(const considerer *x, int block, int *cut, int *missed)
{
    const kg_sync_block *b = kg_sync_block_at(x->c->p, block);
    int best = -1;
    *cut = 0;
    for (int i = b->first_point; i <= b->first_point + b->count; i++) {
        int miss, n = cut_there(x, i, &miss);
        if (i == x->point || taken(x, i) || !n) continue;
        bool better =
            best < 0 || n > *cut || (n == *cut && x->c->plan->cost[i] < x->c->plan->cost[best]);
        if (!better) continue;
        best = i;
        *cut = n;
        *missed = miss;
    }
    return best;
}

static void consider_place(const considerer *x, int at, int cut, int missed)
{
    double here = x->entry->runs, there = kg_sync_runs_at(x->c, at);
    const char *where = kg_sync_point_text(x->c->p, at);
    if (cut < x->n_needs)
        say(x, where, KG_SYNC_VERDICT_REJECTED, there, missed_text(x, cut, missed));
    else if (there > here)
        say(x, where, KG_SYNC_VERDICT_REJECTED, there, "does as well, but runs more often");
    else
        say(x, where, KG_SYNC_VERDICT_EQUAL, there,
            "does as well and runs as often; of equals the later one is taken, or for a copy the "
            "one closest to its reader");
}

static void consider_places(const considerer *x)
{
    int shown = 0;
    for (int block = 0; block < x->c->p->blocks.count && shown < PLACES_SHOWN && x->n_needs;
         block++) {
        int cut, missed = -1, at = best_of_block(x, block, &cut, &missed);
        if (at < 0) continue;
        consider_place(x, at, cut, missed);
        shown++;
    }
}

// ---- one for each -------------------------------------------------------------------------------
static void consider_apart(const considerer *x)
{
    kg_arena *arena = x->c->p->arena;
    kg_points chosen = kg_points_new(x->c->p);
    int n = 0;
    double runs = 0;
    if (x->entry->n_reasons < 2) return;
    for (int i = 0; i < x->entry->n_reasons; i++) {
        int at = kg_sync_cheapest_alone(x->c, x->entry->reasons[i]);
        if (at < 0 || kg_points_has(chosen, at)) continue;
        kg_points_add(chosen, at);
        runs += kg_sync_runs_at(x->c, at);
        n++;
    }
    if (n < 2) return;
    say(x, "each obligation at its own cheapest place", KG_SYNC_VERDICT_REJECTED, runs,
        kg_arena_printf(arena, "%d synchronizations instead of one", n));
}

// ---- waits --------------------------------------------------------------------------------------
static void consider_counts(const considerer *x)
{
    kg_arena *arena = x->c->p->arena;
    const kg_sync_entry *e = x->entry;
    int count = (int)kg_op_int(e->op, KG_A_COUNT, 0);
    if (e->copy)
        say(x, kg_arena_printf(arena, "wait %d", count + 1), KG_SYNC_VERDICT_REJECTED, e->runs,
            kg_arena_printf(arena, "a group of %s may then be in flight at %s",
                            kg_sync_op_text(arena, e->copy), kg_sync_op_text(arena, e->access)));
    if (count)
        say(x, "wait 0", KG_SYNC_VERDICT_REJECTED, e->runs,
            kg_arena_printf(arena,
                            "would also hold for the %d newest group%s, which nothing here "
                            "needs yet",
                            count, count == 1 ? "" : "s"));
}

// ---- fences of registers ------------------------------------------------------------------------
// The place that would do for all obligations and runs less often, or has a fence anyway: what the
// rule in fences.h gives up.
static void consider_elsewhere(const considerer *x)
{
    const kg_sync_plan *plan = x->c->plan;
    int best = -1, missed;
    for (int i = 0; i < x->c->p->n_points; i++) {
        bool fenced = i != x->point && kg_points_has(plan->fence[KG_FENCE_REGISTERS], i);
        if ((fenced || plan->cost[i] < plan->cost[x->point]) &&
            (best < 0 || plan->cost[i] < plan->cost[best]) &&
            cut_there(x, i, &missed) == x->n_needs)
            best = i;
    }
    if (best >= 0)
        say(x, kg_sync_point_text(x->c->p, best), KG_SYNC_VERDICT_REJECTED,
            kg_sync_runs_at(x->c, best),
            "does as well for the registers, but the machine has one for every batch of products: "
            "ptxas would add it to this one, and moves of registers with it (C7519)");
}

void kg_sync_consider_fence(const kg_sync_outcome *c, const kg_sync_report *report, int point,
                            kg_sync_entry *entry)
{
    considerer x = {.c = c, .report = report, .entry = entry, .point = point};
    x.needs = entry->reasons;
    x.n_needs = entry->n_reasons;
    consider_elsewhere(&x);
}

static void find_needs(considerer *x)
{
    bool wait = x->entry->op->code == KG_OP_WAIT;
    x->needs = KG_NEW_ARRAY(x->c->p->arena, int, x->entry->n_reasons + 1);
    for (int i = 0; i < x->entry->n_reasons; i++) {
        int index = x->entry->reasons[i];
        if (wait || !kg_sync_met_without(x->c, index, x->point)) x->needs[x->n_needs++] = index;
    }
}

void kg_sync_consider(const kg_sync_outcome *c, const kg_sync_report *report, int point,
                      kg_sync_entry *entry)
{
    considerer x = {.c = c, .report = report, .entry = entry, .point = point};
    find_needs(&x);
    consider_nothing(&x);
    if (entry->op->code == KG_OP_WAIT) {
        consider_counts(&x);
        return;
    }
    if (entry->op->code == KG_OP_BARRIER) {
        consider_warp_sync(&x);
        consider_named_barrier(&x);
    }
    consider_places(&x);
    consider_apart(&x);
}
