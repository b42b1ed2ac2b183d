// SPDX-License-Identifier: MIT
// Accesses in flight: cp.async copies and bulk stores by the groups of their threads, wgmma by the
// groups of its warpgroups, bulk copies by the phase of an mbarrier. At the wait they become
// accesses of those who waited; at the end of a phase, of an engine of which nobody knows yet.
#include "passes/validate/model.h"

// Calls for everything of a kind in flight; the callback may complete it.
typedef struct round {
    validator *v;
    state *s;
    flight kind;
    uint32_t warps;
    int number;
    void (*each)(struct round *r, entry *e);
} round;

static void try_entry(round *r, entry *e)
{
    if (e->phase && r->v->accesses.items[e->access].flight == r->kind) r->each(r, e);
}

static void go_round(round *r)
{
    cell *cells = cells_of(r->v, r->s);
    for (int i = 0; i < r->v->cells_in_flight[r->kind].count; i++) {
        cell *c = &cells[r->v->cells_in_flight[r->kind].items[i]];
        try_entry(r, &c->write);
        for (int k = 0; k < c->count; k++) try_entry(r, &c->entries[k]);
    }
    for (int i = 0; i < r->v->n_tensors; i++) {
        tensor_state *t = &tensors_of(r->v, r->s)[i];
        for (int k = 0; k < t->count; k++) try_entry(r, &t->entries[k]);
    }
}

static bool concerns(const round *r, const entry *e)
{
    if ((e->warps & r->warps) && (e->warps & ~r->warps))
        validator_give_up(r->v, "some of the warps that %s together commit or wait alone",
                          r->kind == FLIGHT_WGMMA ? "multiply" : "copy");
    return (e->warps & ~r->warps) == 0;
}

static void commit(round *r, entry *e)
{
    if (concerns(r, e) && e->phase < 2 + r->v->most_groups + 1) e->phase++;
}

void validator_commit(validator *v, state *s, flight kind, uint32_t warps)
{
    go_round(&(round){v, s, kind, warps, 0, commit});
}

// It acts now, for the thread that waited.
static void complete(round *r, entry *e)
{
    if (!concerns(r, e) || e->phase < 2 + r->number) return;
    e->phase = 0;
    e->generation = (uint8_t)r->s->generations;
    validator_keep(r->v, r->s, e);
}

// ---- wgmma --------------------------------------------------------------------------------------

// Each warpgroup waits for what it reads, as a whole. Of several that read together those that did
// not wait stay in flight: a cell's list has an entry more then.
static void split_cell(validator *v, cell *c, uint32_t warps, int number)
{
    for (int k = c->count - 1; k >= 0; k--) {
        entry *e = &c->entries[k];
        bool flies = e->phase && v->accesses.items[e->access].flight == FLIGHT_WGMMA;
        if (!flies || e->phase < 2 + number || !(e->warps & warps) || !(e->warps & ~warps))
            continue;
        if (c->count == MOST_ENTRIES) {
            validator_give_up(v, "too much is in flight at one place at once");
            return;
        }
        entry rest = *e;
        rest.warps &= ~warps;
        e->warps &= warps;
        c->entries[c->count++] = rest;
    }
}

static void retire(round *r, entry *e)
{
    if ((e->warps & ~r->warps) || e->phase < 2 + r->number) return;
    e->phase = 0;
    e->generation = (uint8_t)r->s->generations;
    validator_keep(r->v, r->s, e);
}

// A generation for these reads alone: who knows of them is not who knows of the warps' own
// accesses.
static void wait_for_wgmma(validator *v, state *s, uint32_t warps, int number)
{
    for (int i = 0; i < v->cells_in_flight[FLIGHT_WGMMA].count; i++)
        split_cell(v, &cells_of(v, s)[v->cells_in_flight[FLIGHT_WGMMA].items[i]], warps, number);
    validator_begin_generation(v, s);
    if (v->stop) return;
    go_round(&(round){v, s, FLIGHT_WGMMA, warps, number, retire});
    for (int p = 0; p < v->at.planes && s->used; p++)
        for (uint32_t left = warps; left; left &= left - 1) {
            int w = __builtin_ctz(left);
            rows_of(v, s, s->generations, p)[w] = warps & 0xfu << (w & ~3);
        }
    validator_begin_generation(v, s);
}

void validator_wait(validator *v, state *s, flight kind, uint32_t warps, int count)
{
    if (kind == FLIGHT_WGMMA)
        wait_for_wgmma(v, s, warps, count);
    else
        go_round(&(round){v, s, kind, warps, count, complete});
}

// ---- phases -------------------------------------------------------------------------------------

static void land(round *r, entry *e)
{
    if (e->phase != 1 + r->number) return;
    e->phase = 0;
    e->generation = (uint8_t)r->s->generations;
    e->warps = engine(r->v);
    validator_keep(r->v, r->s, e);
}

void validator_land(validator *v, state *s, int slot)
{
    go_round(&(round){v, s, FLIGHT_PHASE, 0, slot, land});
    for (int p = 0; p < v->at.planes; p++) rows_of(v, s, s->generations, p)[v->warps] = 0;
    s->used = true;
}

// ---- the end ------------------------------------------------------------------------------------

static void complain(validator *v, const state *s, const entry *e, const char *what)
{
    const access_model *a = &v->accesses.items[e->access];
    validator_report(v, s, &(complaint){true, what, NULL, a, 0, -1, e->warps, e->warps});
}

static void in_flight(round *r, entry *e)
{
    const access_model *a = &r->v->accesses.items[e->access];
    bool other_half = a->flight != FLIGHT_WGMMA && a->flight != FLIGHT_BULK_READ && !a->writes;
    if (!other_half) complain(r->v, r->s, e, "in flight when the kernel ends");
}

// A bulk copy that is complete, but by the mbarrier nobody of the CTA has learned of it.
static bool unseen(const validator *v, const state *s, const entry *e, int cta)
{
    if (!e->kind || e->phase || !e->generation || e->warps != engine(v)) return false;
    int plane = v->at.over >= 0 ? v->at.over : plane_of(v, KNOWN, true);
    return !(rows_of(v, s, e->generation, plane)[v->warps] & warps_of_cta(v, cta));
}

// Shared memory ends with the kernel. What bulk stores have still to write outlives it.
void validator_at_end(validator *v, state *s)
{
    static const flight kinds[] = {FLIGHT_COPY, FLIGHT_PHASE, FLIGHT_BULK_READ, FLIGHT_WGMMA};
    for (int i = 0; i < 4; i++) go_round(&(round){v, s, kinds[i], ~0u, 0, in_flight});
    for (int i = 0; i < v->n_cells; i++) {
        const cell *c = &cells_of(v, s)[i];
        if (unseen(v, s, &c->write, cta_of_byte(v, v->cell_byte[i])))
            complain(v, s, &c->write, "may be in flight when the kernel ends: nobody waits for it");
    }
    if (v->ctas.count) validator_mbarriers_at_end(v, s);
}
