// SPDX-License-Identifier: MIT
// What accesses and synchronizations do to a state.
//
// Time is cut into generations, each begun by a synchronization. Of every generation it is known
// which warps know what warp w did in it, and whether the lanes of w have met since. What everybody
// knows is forgotten: it can conflict with nothing any more.
#include "passes/validate/model.h"

#include <string.h>

// ---- order ------------------------------------------------------------------------------------

// Does everybody of `warps` (in each the lane, or MANY_LANES) know of the entry? If not, *from and
// *to are a warp of the entry and one that does not know.
static bool ordered(const state *s, const entry *e, uint32_t warps, int lane, uint32_t *from,
                    uint32_t *to)
{
    if (!e->generation) return true;
    for (uint32_t left = e->warps; left; left &= left - 1) {
        int w = __builtin_ctz(left);
        uint32_t lost = warps & ~(1u << w) & ~s->knows[e->generation][w];
        bool same = lane != MANY_LANES && lane == e->lane;
        if ((warps >> w & 1) && !same && !(s->lanes[e->generation] >> w & 1)) lost |= 1u << w;
        if (!lost) continue;
        *from = 1u << w;
        *to = lost & -lost;
        return false;
    }
    return true;
}

// The lanes of each of the warps have met since.
static bool lanes_met(const state *s, const entry *e, uint32_t warps)
{
    return !e->generation || !(e->warps & warps & ~s->lanes[e->generation]);
}

static bool commute(const validator *v, const entry *e, const access_model *b)
{
    return e->kind == ENTRY_UPDATE && b->atomic &&
           v->accesses.items[e->access].at.op->code == b->at.op->code;
}

static bool may_conflict(const validator *v, const entry *e, const access_model *b)
{
    return e->kind && (e->kind != ENTRY_READ || b->writes) && !commute(v, e, b);
}

static entry entry_for(const validator *v, const state *s, const access_model *a)
{
    return (entry){.access = (uint16_t)(a - v->accesses.items),
                   .kind = (uint8_t)(a->atomic   ? ENTRY_UPDATE
                                     : a->writes ? ENTRY_WRITE
                                                 : ENTRY_READ),
                   .generation = (uint8_t)s->generations,
                   .phase = a->async,
                   .warps = a->region};
}

// ---- cells ------------------------------------------------------------------------------------

static const char *what_is_wrong(const entry *e, const access_model *b)
{
    if (e->phase)
        return b->writes ? "written while a copy is in flight" : "read while a copy is in flight";
    if (e->kind == ENTRY_READ) return "written, and nothing orders it after a read";
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
    return how == NEVER_MEET || (how == SAME_THREAD && !e->phase);
}

static void check_entry(validator *v, const state *s, const entry *e, const access_model *b,
                        const touch *t, int slot)
{
    complaint c = {.certain = !e->inexact && b->at.exact,
                   .a = &v->accesses.items[e->access],
                   .b = b,
                   .slot = slot,
                   .cell = t->cell,
                   .warps_a = e->warps,
                   .warps_b = t->warps};
    if (!may_conflict(v, e, b) || lie_apart(v, e, b)) return;
    if (!e->phase && ordered(s, e, t->warps, t->lane, &c.warps_a, &c.warps_b)) return;
    c.what = what_is_wrong(e, b);
    validator_report(v, s, &c);
}

static bool replaces(const entry *old, const entry *now)
{
    if (old->kind != now->kind || old->phase || now->phase || old->stale != now->stale)
        return false;
    return old->access == now->access || (old->warps == now->warps && old->lane == now->lane &&
                                          now->lane != MANY_LANES && old->inexact == now->inexact);
}

static void add_entry(cell *c, const entry *now)
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
    uint32_t warps = last->warps | now->warps;
    uint8_t kind = last->kind > now->kind ? last->kind : now->kind;
    *last = *now;
    last->warps = warps;
    last->kind = kind;
    last->lane = MANY_LANES;
    last->inexact = MIXED;
}

static void touch_cell(validator *v, state *s, const access_model *a, touch *t, int slot)
{
    cell *c = &cells_of(v, s)[t->cell];
    check_entry(v, s, &c->write, a, t, slot);
    for (int i = 0; i < c->count && !v->stop; i++) check_entry(v, s, &c->entries[i], a, t, slot);
    bool several = t->lane == MANY_LANES || (t->warps & (t->warps - 1));
    complaint twice = {
        true, "written by several threads at once", NULL, a, slot, t->cell, t->warps, t->warps};
    if (a->writes && !a->atomic && a->at.exact && several) validator_report(v, s, &twice);
    entry now = entry_for(v, s, a);
    now.warps = t->warps;
    now.lane = (int8_t)t->lane;
    now.inexact = !a->at.exact;
    if (!a->writes) {
        t->reached = true;
        t->covered |= c->written || a->masked || !a->at.exact;
    }
    c->written |= a->writes;
    if (a->writes && !a->atomic && a->at.exact) {
        memset(c->entries, 0, sizeof c->entries);
        c->count = 0;
        c->write = now;
    } else {
        add_entry(c, &now);
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
        if (how == NEVER_MEET || (how == SAME_THREAD && !e->phase)) continue;
        if (how == SAME_WARP && !e->phase && lanes_met(s, e, b->region)) continue;
        complaint c = {how != MAY_MEET,
                       release ? "published before it is complete" : what_is_wrong(e, b),
                       a,
                       b,
                       0,
                       -1,
                       e->warps,
                       b->region};
        int lane = b->elected ? 0 : MANY_LANES;
        if (!e->phase && ordered(s, e, b->region, lane, &c.warps_a, &c.warps_b)) continue;
        validator_report(v, s, &c);
    }
}

static void note_in_tensor(validator *v, state *s, tensor_state *t, const access_model *a)
{
    entry now = entry_for(v, s, a);
    now.lane = a->elected ? 0 : MANY_LANES;
    s->used = true;
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
        bool all = a->tensor < 0;
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
        if (slot == UNKNOWN_SCALAR)
            validator_give_up(v, "the slot of a ring is not understood");
        else
            access_shared(v, s, a, slot % a->ring);
    }
}

// Reads before writes; what a release publishes before the flag.
void validator_access(validator *v, state_set *set, const kg_op *op)
{
    int first = v->first_access[op->id];
    for (int writes = 0; writes < 2; writes++)
        for (int i = first; i < v->accesses.count && v->accesses.items[i].at.op == op; i++)
            if (v->accesses.items[i].writes == writes) make_access(v, set, &v->accesses.items[i]);
}

// ---- synchronization --------------------------------------------------------------------------

static void fresh_generation(const validator *v, state *s, int g)
{
    memset(s->knows[g], 0, sizeof s->knows[g]);
    for (int w = 0; w < v->warps; w++) s->knows[g][w] = 1u << w;
    s->lanes[g] = 0;
    s->used = false;
}

typedef struct renaming {
    uint8_t to[MOST_GENERATIONS];
} renaming;

// The same access at the same time as far as anything tells, by other warps at most.
static bool same_but_warps(const entry *a, const entry *b)
{
    entry c = *b;
    c.warps = a->warps;
    return !memcmp(a, &c, sizeof c);
}

static void rename_list(entry *entries, int *count, const renaming *r)
{
    int kept = 0;
    for (int i = 0; i < *count; i++) {
        entry e = entries[i];
        int k = 0;
        e.generation = r->to[e.generation];
        if (!e.generation && !e.phase) continue;
        while (k < kept && !same_but_warps(&entries[k], &e)) k++;
        if (k == kept)
            entries[kept++] = e;
        else
            entries[k].warps |= e.warps;
    }
    memset(&entries[kept], 0, sizeof *entries * (size_t)(*count - kept));
    *count = kept;
}

static void rename_all(const validator *v, state *s, const renaming *r)
{
    cell *cells = cells_of(v, s);
    for (int i = 0; i < v->n_cells; i++) {
        cell *c = &cells[i];
        int count = c->count;
        c->write.generation = r->to[c->write.generation];
        if (!c->write.generation && !c->write.phase) c->write = (entry){0};
        if (count) rename_list(c->entries, &count, r);
        c->count = (uint8_t)count;
    }
    for (int i = 0; i < v->n_tensors; i++)
        rename_list(tensors_of(v, s)[i].entries, &tensors_of(v, s)[i].count, r);
    for (int i = 0; i < BARRIERS; i++) {
        uint32_t told[MOST_GENERATIONS] = {0};
        for (int g = 1; s->meetings[i].arrived && g <= s->generations; g++)
            if (r->to[g]) told[r->to[g]] |= s->meetings[i].told[g];
        memcpy(s->meetings[i].told, told, sizeof told);
    }
}

static bool known_to_all(const validator *v, const state *s, int g)
{
    for (int w = 0; w < v->warps; w++)
        if (s->knows[g][w] != all_warps(v)) return false;
    return s->lanes[g] == all_warps(v);
}

// The same warps know of both: nothing tells them apart. (Of what is older no fewer know, so equal
// ones follow each other.)
static bool same_known(const state *s, int g, int h)
{
    for (int i = 0; i < BARRIERS; i++)
        if (s->meetings[i].arrived && s->meetings[i].told[g] != s->meetings[i].told[h])
            return false;
    return s->lanes[g] == s->lanes[h] && !memcmp(s->knows[g], s->knows[h], sizeof s->knows[g]);
}

// A new generation; older ones that everybody knows become number 0, equal ones become one, the
// rest move down.
static void begin_generation(validator *v, state *s)
{
    renaming r = {{0}};
    int last = s->generations, next = 1, last_kept = 0; // as it is numbered still
    for (int g = 1; g <= last; g++) {
        if (known_to_all(v, s, g) || (g == last && !s->used)) continue;
        r.to[g] = (uint8_t)next;
        if (last_kept && same_known(s, last_kept, g)) {
            r.to[g] = (uint8_t)(next - 1);
            continue;
        }
        last_kept = g;
        if (next != g) {
            memcpy(s->knows[next], s->knows[g], sizeof s->knows[g]);
            s->lanes[next] = s->lanes[g];
        }
        next++;
    }
    if (next <= last) rename_all(v, s, &r);
    for (int g = next + 1; g <= last; g++) {
        memset(s->knows[g], 0, sizeof s->knows[g]);
        s->lanes[g] = 0;
    }
    if (next == MOST_GENERATIONS) {
        validator_give_up(v, "too many synchronizations of some warps only in a row");
        return;
    }
    s->generations = next;
    fresh_generation(v, s, next);
}

// What one of these warps knows, all of them know.
static void tell(const validator *v, state *s, uint32_t warps)
{
    for (int g = 1; g <= s->generations; g++) {
        for (int w = 0; w < v->warps; w++)
            if (s->knows[g][w] & warps) s->knows[g][w] |= warps;
        s->lanes[g] |= warps;
    }
}

static void meet(validator *v, state *s, uint32_t warps, bool warp_by_warp)
{
    for (int g = 1; warp_by_warp && g <= s->generations; g++) s->lanes[g] |= warps;
    if (!warp_by_warp) tell(v, s, warps);
    begin_generation(v, s);
}

// Calls for every copy in flight of some warp; the callback may complete it.
typedef void (*phase_fn)(validator *v, state *s, entry *e, uint32_t warps, int number);

static void for_copies(validator *v, state *s, uint32_t warps, phase_fn fn, int number)
{
    cell *cells = cells_of(v, s);
    for (int i = 0; i < v->n_cells; i++) {
        if (cells[i].write.phase) fn(v, s, &cells[i].write, warps, number);
        for (int k = 0; k < cells[i].count; k++)
            if (cells[i].entries[k].phase) fn(v, s, &cells[i].entries[k], warps, number);
    }
    for (int i = 0; i < v->n_tensors; i++)
        for (int k = 0; k < tensors_of(v, s)[i].count; k++) {
            entry *e = &tensors_of(v, s)[i].entries[k];
            if (e->phase) fn(v, s, e, warps, number);
        }
}

static bool concerns(validator *v, const entry *e, uint32_t warps)
{
    if ((e->warps & warps) && (e->warps & ~warps))
        validator_give_up(v, "some of the warps that copy together commit or wait alone");
    return (e->warps & ~warps) == 0;
}

static void commit(validator *v, state *s, entry *e, uint32_t warps, int number)
{
    if (concerns(v, e, warps) && e->phase < 2 + v->most_groups + 1) e->phase++;
}

static void wait(validator *v, state *s, entry *e, uint32_t warps, int number)
{
    if (!concerns(v, e, warps) || e->phase < 2 + number) return;
    e->phase = 0;
    e->generation = (uint8_t)s->generations; // it acts now, for the thread that waited
    s->used = true;
}

static uint32_t warps_of(const kg_op *op)
{
    kg_region region = kg_op_region(op);
    return (region.n_warps >= 32 ? ~0u : (1u << region.n_warps) - 1) << region.first_warp;
}

static void complain_of_barrier(validator *v, const state *s, const kg_op *op, const char *what)
{
    access_model here = {.at = {.op = op}, .region = warps_of(op)};
    complaint c = {true, what, NULL, &here, 0, -1, here.region, here.region};
    validator_report(v, s, &c);
}

static void in_flight(validator *v, state *s, entry *e, uint32_t warps, int number)
{
    const access_model *a = &v->accesses.items[e->access];
    complaint c = {true, "in flight when the kernel ends", NULL, a, 0, -1, e->warps, e->warps};
    if (a->writes) validator_report(v, s, &c); // its other half reads
}

void validator_at_end(validator *v, state *s)
{
    for_copies(v, s, ~0u, in_flight, 0);
}

// An id is of one set of warps until all warps have met.
static void own(validator *v, state *s, const kg_op *op, int id, uint32_t warps)
{
    if (s->owner[id] && s->owner[id] != warps)
        complain_of_barrier(v, s, op, "one barrier id serves two sets of warps at a time");
    s->owner[id] = warps;
}

// Groups of warps, each at a barrier of its own.
static void barrier_of_groups(validator *v, state *s, const kg_op *op, const kg_attr *ids)
{
    for (int w = 0; w < v->warps; w++) {
        uint32_t group = 0;
        for (int u = 0; u < v->warps && u < ids->count; u++)
            group |= (uint32_t)(ids->ints[u] == ids->ints[w]) << u;
        if (__builtin_ctz(group) != w) continue;
        own(v, s, op, (int)ids->ints[w] & (BARRIERS - 1), group);
        tell(v, s, group);
    }
    begin_generation(v, s);
}

static void barrier(validator *v, state *s, const kg_op *op, uint32_t warps)
{
    int64_t all = 32 * (int64_t)v->warps, count = kg_op_int(op, KG_A_COUNT, all);
    int id = (int)kg_op_int(op, KG_A_ID, 0) & (BARRIERS - 1);
    if (count != 32 * __builtin_popcount(warps)) {
        validator_give_up(v, "regions of warps that meet do not follow each other directly");
        return;
    }
    own(v, s, op, id, warps);
    if (warps == all_warps(v)) memset(s->owner, 0, sizeof s->owner);
    meet(v, s, warps, false);
}

// All are there: those who wait learn what those who came know of.
static void complete(validator *v, state *s, meeting *m)
{
    for (int g = 1; g <= s->generations; g++) {
        for (uint32_t left = m->told[g]; left; left &= left - 1)
            s->knows[g][__builtin_ctz(left)] |= m->warps;
        s->lanes[g] |= m->warps;
    }
    memset(m, 0, sizeof *m);
}

bool validator_arrive(validator *v, state *s, const kg_op *op, int role, bool waits)
{
    uint32_t warps = warps_of(op);
    int64_t count = kg_op_int(op, KG_A_COUNT, 32 * (int64_t)v->warps);
    meeting *m = &s->meetings[kg_op_int(op, KG_A_ID, 0) & (BARRIERS - 1)];
    if (m->arrived && m->count != count)
        complain_of_barrier(v, s, op, "one barrier is used with two counts at a time");
    m->count = (uint16_t)count;
    m->arrived = (uint16_t)(m->arrived + 32 * __builtin_popcount(warps));
    if (m->arrived > count)
        complain_of_barrier(v, s, op, "more threads come to this barrier than it counts");
    for (int g = 1; g <= s->generations; g++)
        for (int w = 0; w < v->warps; w++)
            if (s->knows[g][w] & warps) m->told[g] |= 1u << w;
    if (waits) m->warps |= warps, m->waiting |= (uint16_t)(1u << role);
    bool all_there = m->arrived >= count;
    if (all_there) complete(v, s, m);
    begin_generation(v, s);
    return all_there || !waits;
}

void validator_synchronize(validator *v, state_set *set, const kg_op *op)
{
    uint32_t warps = warps_of(op);
    for (int i = 0; i < set->count && !v->stop; i++) {
        state *s = set->items[i];
        v->work += v->n_cells / 8;
        switch (op->code) {
        case KG_OP_BARRIER:
            if (kg_op_attr(op, KG_A_IDS))
                barrier_of_groups(v, s, op, kg_op_attr(op, KG_A_IDS));
            else
                barrier(v, s, op, warps);
            break;
        case KG_OP_WARP_SYNC:
            meet(v, s, warps, true);
            break;
        case KG_OP_COMMIT:
            for_copies(v, s, warps, commit, 0);
            break;
        case KG_OP_WAIT:
            for_copies(v, s, warps, wait, (int)kg_op_int(op, KG_A_COUNT, 0));
            break;
        case KG_OP_FENCE:
            break; // orders nothing that is modelled: no access is by another proxy
        default:
            validator_give_up(v, "'%s' is not modelled", kg_op_info_of(op->code)->name);
        }
    }
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
        cells[i].count = (uint8_t)join_equal(cells[i].entries, cells[i].count);
    }
    for (int i = 0; i < v->n_tensors; i++) {
        tensor_state *t = &tensors_of(v, s)[i];
        for (int k = 0; k < t->count; k++) make_stale(v, &t->entries[k], loop);
        t->count = join_equal(t->entries, t->count);
    }
}
