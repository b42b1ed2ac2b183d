// SPDX-License-Identifier: MIT
// What accesses do to a state: each against what was done to the same bytes before.
#include "passes/validate/model.h"

#include <string.h>

// ---- conflicts ----------------------------------------------------------------------------------

// The lanes of each of the warps have met since.
static bool lanes_met(const validator *v, const state *s, const entry *e, uint32_t warps)
{
    if (e->generation && !(planes_in(v, s, e->generation) & 1)) return false;
    for (uint32_t left = e->generation ? e->warps & warps : 0; left; left &= left - 1) {
        int w = __builtin_ctz(left);
        if (!(rows_of(v, s, e->generation, 0)[w] >> w & 1)) return false;
    }
    return true;
}

static bool commute(const validator *v, const entry *e, const access_model *b)
{
    return e->kind == ENTRY_UPDATE && b->atomic &&
           kg_updates_commute(v->accesses.items[e->access].at.op, b->at.op);
}

// Uses of an mbarrier only have to come after what made it.
static bool may_conflict(const validator *v, const entry *e, const access_model *b)
{
    if (b->use) return e->kind == ENTRY_WRITE;
    return e->kind && (e->kind != ENTRY_READ || b->writes) && !commute(v, e, b);
}

// What the async proxy does has to come after a fence for what was not done by it.
static knowledge needed(const validator *v, const entry *e, const access_model *b)
{
    if (!b->proxy || v->accesses.items[e->access].proxy) return KNOWN;
    return b->shared ? SHARED_FENCED : GLOBAL_FENCED;
}

static uint8_t flight_phase(validator *v, const state *s, const access_model *a)
{
    if (a->flight != FLIGHT_PHASE) return a->flight != FLIGHT_NONE;
    int slot = validator_slot_of(v, s, validator_use_of(v, a->at.op));
    return (uint8_t)(slot < 0 ? 1 : 1 + slot);
}

static entry entry_for(validator *v, const state *s, const access_model *a)
{
    uint8_t flies = flight_phase(v, s, a);
    return (entry){.access = (uint16_t)(a - v->accesses.items),
                   .kind = (uint8_t)(a->atomic   ? ENTRY_UPDATE
                                     : a->writes ? ENTRY_WRITE
                                                 : ENTRY_READ),
                   .generation = (uint8_t)(flies ? 0 : s->generations),
                   .phase = flies,
                   .warps = a->region};
}

// ---- cells ------------------------------------------------------------------------------------

static const char *what_flies(const validator *v, const entry *e)
{
    switch (v->accesses.items[e->access].flight) {
    case FLIGHT_WGMMA:
        return "a wgmma that reads it";
    case FLIGHT_BULK:
    case FLIGHT_BULK_READ:
        return "a bulk store";
    default:
        return "a copy";
    }
}

static const char *what_is_wrong(validator *v, const entry *e, const access_model *b, bool fence)
{
    const char *did = b->writes ? "written" : "read";
    if (e->phase)
        return kg_arena_printf(v->arena, "%s while %s is in flight", did, what_flies(v, e));
    if (fence)
        return kg_arena_printf(v->arena, "%s by the async proxy without a proxy fence after %s",
                               did, e->kind == ENTRY_READ ? "a read" : "a write");
    if (e->kind == ENTRY_READ) return "written, and nothing orders it after a read";
    if (b->use) return "an mbarrier is used, and nothing orders it after its initialization";
    return b->writes ? "written, and nothing orders it after another write"
                     : "read, and nothing orders it after a write";
}

// Accesses of one buffer whose places within a slot are computed: their views may say that they
// never meet, or are by the same thread.
static bool lie_apart(const validator *v, const entry *e, const access_model *b)
{
    const access_model *a = &v->accesses.items[e->access];
    if (e->inexact == MIXED || (!e->inexact && b->at.exact) || a->at.root != b->at.root)
        return false;
    how_apart how = validator_relate(v, a, b, e->stale);
    return how == NEVER_MEET || (how == SAME_THREAD && !e->phase && needed(v, e, b) == KNOWN);
}

static void check_entry(validator *v, const state *s, const entry *e, const access_model *b,
                        const touch *t, int slot)
{
    if (!may_conflict(v, e, b) || lie_apart(v, e, b)) return;
    uint32_t warps_a = e->warps, warps_b = t->warps;
    knowledge need = needed(v, e, b);
    bool known =
        !e->phase && validator_ordered(v, s, e, KNOWN, t->warps, t->lane, &warps_a, &warps_b);
    bool fence = known && need != KNOWN &&
                 !validator_ordered(v, s, e, need, t->warps, t->lane, &warps_a, &warps_b);
    if (known && !fence) return;
    validator_report(v, s,
                     &(complaint){.certain = !e->inexact && b->at.exact,
                                  .what = what_is_wrong(v, e, b, fence),
                                  .a = &v->accesses.items[e->access],
                                  .b = b,
                                  .slot = slot,
                                  .cell = t->cell,
                                  .warps_a = warps_a,
                                  .warps_b = warps_b});
}

static bool replaces(const entry *old, const entry *now)
{
    if (old->phase || now->phase) return !memcmp(old, now, sizeof *old);
    if (old->kind != now->kind || old->stale != now->stale) return false;
    return old->access == now->access || (old->warps == now->warps && old->lane == now->lane &&
                                          now->lane != MANY_LANES && old->inexact == now->inexact);
}

static void add_entry(validator *v, cell *c, const entry *now)
{
    for (int i = 0; i < c->count; i++)
        if (replaces(&c->entries[i], now)) {
            c->entries[i] = *now;
            return;
        }
    if (c->count < MOST_ENTRIES) {
        c->entries[c->count++] = *now;
        return;
    }
    // No room: the last one stands for both, as if it could be anybody's and were made now.
    entry *last = &c->entries[c->count - 1];
    const access_model *a = &v->accesses.items[last->access], *b = &v->accesses.items[now->access];
    if (last->phase || now->phase || a->proxy != b->proxy || a->elected != b->elected)
        validator_give_up(v, "too much is in flight at one place at once");
    uint32_t warps = last->warps | now->warps;
    uint8_t kind = last->kind > now->kind ? last->kind : now->kind;
    *last = *now;
    last->warps = warps;
    last->kind = kind;
    last->lane = MANY_LANES;
    last->inexact = MIXED;
}

// An mbarrier has no end: there is no op for it.
static void check_live(validator *v, const state *s, const cell *c, const access_model *a,
                       const touch *t, int slot)
{
    if (!c->live) return;
    complaint alive = {.certain = a->at.exact,
                       .what = a->init ? "an mbarrier is initialized twice"
                                       : "touched, and it is an mbarrier that is in use",
                       .a = c->write.kind ? &v->accesses.items[c->write.access] : NULL,
                       .b = a,
                       .slot = slot,
                       .cell = t->cell,
                       .warps_a = t->warps,
                       .warps_b = t->warps};
    validator_report(v, s, &alive);
}

static void touch_cell(validator *v, state *s, const access_model *a, touch *t, int slot)
{
    cell *c = &cells_of(v, s)[t->cell];
    if (!a->use) check_live(v, s, c, a, t, slot);
    if (c->write.kind) check_entry(v, s, &c->write, a, t, slot);
    for (int i = 0; i < c->count && !v->stop; i++) check_entry(v, s, &c->entries[i], a, t, slot);
    bool several = t->lane == MANY_LANES || (t->warps & (t->warps - 1));
    if (a->writes && !a->atomic && a->at.exact && several)
        validator_report(v, s,
                         &(complaint){true, "written by several threads at once", NULL, a, slot,
                                      t->cell, t->warps, t->warps});
    if (a->use) return;
    c->live |= a->init;
    if (v->n_mbarriers && !a->writes && c->count == MOST_ENTRIES) validator_tidy(v, s);
    entry now = entry_for(v, s, a);
    now.warps = t->warps;
    now.lane = (int8_t)t->lane;
    now.inexact = !a->at.exact;
    validator_keep(v, s, &now);
    if (!a->writes) {
        bool covered = c->written || a->masked || !a->at.exact;
        t->reached = true;
        t->covered |= covered;
        v->bare |= !covered;
    }
    c->written |= a->writes;
    if (a->writes && !a->atomic && a->at.exact) {
        memset(c->entries, 0, sizeof c->entries);
        c->count = 0;
        c->write = now;
    } else {
        add_entry(v, c, &now);
    }
}

static void access_shared(validator *v, state *s, access_model *a, int slot)
{
    touches *all = &a->by_slot[slot];
    v->work += all->count;
    for (int i = 0; i < all->count && !v->stop; i++) touch_cell(v, s, a, &all->items[i], slot);
    s->used = true;
}

// ---- global memory ----------------------------------------------------------------------------

static void check_tensor(validator *v, const state *s, const tensor_state *t, const access_model *b,
                         bool release, bool written)
{
    for (int i = 0; i < t->count && !v->stop; i++) {
        const entry *e = &t->entries[i];
        const access_model *a = &v->accesses.items[e->access];
        bool concerns_others = a->at.root && (e->kind != ENTRY_READ || written);
        if (release ? !concerns_others : !may_conflict(v, e, b)) continue;
        how_apart how = release ? SURELY_MEET : validator_relate(v, a, b, e->stale);
        knowledge need = release ? KNOWN : needed(v, e, b);
        if (how == NEVER_MEET) continue;
        if (how == SAME_THREAD && !e->phase && need == KNOWN) continue;
        if (how == SAME_WARP && !e->phase && need == KNOWN && lanes_met(v, s, e, b->region))
            continue;
        complaint c = {how != MAY_MEET && !(how == SAME_THREAD && e->phase),
                       "published before it is complete",
                       a,
                       b,
                       0,
                       -1,
                       e->warps,
                       b->region};
        int lane = b->elected ? 0 : MANY_LANES;
        bool known = how == SAME_THREAD ||
                     validator_ordered(v, s, e, KNOWN, b->region, lane, &c.warps_a, &c.warps_b);
        bool fenced = need == KNOWN ||
                      validator_ordered(v, s, e, need, b->region, lane, &c.warps_a, &c.warps_b);
        if (!e->phase && known && fenced) continue;
        if (!release) c.what = what_is_wrong(v, e, b, known && !fenced);
        validator_report(v, s, &c);
    }
}

static void note_in_tensor(validator *v, state *s, tensor_state *t, const access_model *a)
{
    entry now = entry_for(v, s, a);
    now.lane = a->elected ? 0 : MANY_LANES;
    validator_keep(v, s, &now);
    s->asked[s->generations] |= 1; // lanes_met
    for (int i = 0; i < t->count; i++)
        if (replaces(&t->entries[i], &now) && t->entries[i].access == now.access) {
            t->entries[i] = now;
            return;
        }
    if (t->count == MOST_GLOBAL)
        validator_give_up(v, "more than %d accesses of one tensor are open at once", MOST_GLOBAL);
    else
        t->entries[t->count++] = now;
}

static void access_global(validator *v, state *s, const access_model *a)
{
    for (int i = 0; i < v->n_tensors && !v->stop; i++) {
        tensor_state *t = &tensors_of(v, s)[i];
        bool all = a->tensor < 0 && a->cta == v->cta_of_tensor[i];
        if (!v->contested[i] || (!all && a->tensor != i)) continue;
        if (!all || !a->writes)
            check_tensor(v, s, t, a, all, v->written[i]); // an acquire changes nothing
        if (!all || a->writes) note_in_tensor(v, s, t, a);
    }
}

// ---- an op ------------------------------------------------------------------------------------

static void make_access(validator *v, state_set *set, access_model *a)
{
    for (int i = 0; i < set->count && !v->stop; i++) {
        state *s = set->items[i];
        if (!a->shared) {
            access_global(v, s, a);
            continue;
        }
        int slot = a->ring > 1 && a->at.slot ? scalar_value(v, s, a->at.slot) : 0;
        if (slot == UNKNOWN_SCALAR) validator_give_up(v, "the slot of a ring is not understood");
        for (int k = 0; a->init && k < a->ring; k++) access_shared(v, s, a, k);
        if (!a->init && !v->stop) access_shared(v, s, a, slot % a->ring);
    }
}

// Reads (and uses of mbarriers) before writes; what a release publishes before the flag.
void validator_access(validator *v, state_set *set, const kg_op *op)
{
    int first = v->first_access[op->id];
    for (int writes = 0; writes < 2; writes++)
        for (int i = first; i < v->accesses.count && v->accesses.items[i].at.op == op; i++)
            if (v->accesses.items[i].writes == writes) make_access(v, set, &v->accesses.items[i]);
}

// ---- trips ------------------------------------------------------------------------------------

// Of several entries of one access the youngest stands for all: who knows of it knows of them.
static int join_equal(entry *entries, int count)
{
    int kept = 0;
    for (int i = 0; i < count; i++) {
        const entry *e = &entries[i];
        int k = 0;
        while (k < kept && !(entries[k].access == e->access && entries[k].kind == e->kind &&
                             entries[k].stale == e->stale && entries[k].phase == e->phase))
            k++;
        if (k == kept)
            entries[kept++] = *e;
        else if (e->generation > entries[k].generation)
            entries[k] = *e;
    }
    memset(&entries[kept], 0, sizeof *entries * (size_t)(count - kept));
    return kept;
}

static void make_stale(const validator *v, entry *e, const kg_op *loop)
{
    const access_model *a = &v->accesses.items[e->access];
    for (int d = 0; e->kind && d < a->n_loops; d++)
        if (a->loops[d] == loop && (!e->stale || e->stale > d + 1)) e->stale = (uint8_t)(d + 1);
}

void validator_next_trip(const validator *v, state *s, const kg_op *loop)
{
    cell *cells = cells_of(v, s);
    for (int i = 0; v->any_computed && i < v->n_cells; i++) {
        make_stale(v, &cells[i].write, loop);
        for (int k = 0; k < cells[i].count; k++) make_stale(v, &cells[i].entries[k], loop);
        if (cells[i].count > 1)
            cells[i].count = (uint8_t)join_equal(cells[i].entries, cells[i].count);
    }
    for (int i = 0; i < v->n_tensors; i++) {
        tensor_state *t = &tensors_of(v, s)[i];
        for (int k = 0; k < t->count; k++) make_stale(v, &t->entries[k], loop);
        t->count = join_equal(t->entries, t->count);
    }
}
