// SPDX-License-Identifier: MIT
// Mbarriers, as the hardware has them: a phase ends when its arrivals and bytes are there, and a
// wait asks for the parity of a phase alone. The number of a phase is not kept. What is shown
// instead is that every party always meets the same phase, whatever the schedule:
//
// - who waits for the end of a phase knows that the one before is over (it does not mistake that
//   one's parity for its own), and has seen the end before the next one's (or it would wait for a
//   turn too long);
// - who arrives at a phase, or has bytes counted there, knows that the one before is over.
//
// Bulk copies land when the last arrival and byte of their phase are there: not earlier than
// anybody may rely on it. All lanes of a warp leave a wait together.
#include "passes/validate/model.h"

#include <string.h>

// ---- which --------------------------------------------------------------------------------------

bool validator_at_mbarrier(const kg_op *op)
{
    switch (op->code) {
    case KG_OP_MBARRIER_EXPECT:
    case KG_OP_MBARRIER_ARRIVE:
    case KG_OP_MBARRIER_WAIT:
        return true;
    case KG_OP_COPY_BULK:
        return op->n_operands > 2;
    default:
        return false;
    }
}

const access_model *validator_use_of(const validator *v, const kg_op *op)
{
    for (int i = v->first_access[op->id]; i >= 0 && i < v->accesses.count; i++) {
        const access_model *a = &v->accesses.items[i];
        if (a->at.op != op) break;
        if (a->use || a->init) return a;
    }
    return NULL;
}

// The trip number modulo everything; -1: not understood.
static int trip_of(validator *v, const state *s, const access_model *use)
{
    int trip = use->at.slot ? scalar_value(v, s, use->at.slot) : 0;
    if (trip == UNKNOWN_SCALAR) validator_give_up(v, "the trip at an mbarrier is not understood");
    return trip;
}

int validator_slot_of(validator *v, const state *s, const access_model *use)
{
    int trip = use ? trip_of(v, s, use) : -1;
    if (!use) validator_give_up(v, "a bulk copy has no mbarrier");
    return trip < 0 ? -1 : use->mbarrier + trip % use->ring;
}

static int parity_of(validator *v, const state *s, const access_model *use)
{
    int turn = trip_of(v, s, use) / use->ring;
    return (turn + (int)kg_op_int(use->at.op, KG_A_BEHIND, 0)) & 1;
}

// ---- events -------------------------------------------------------------------------------------

static void note_event(const validator *v, state *s, phase *p, event *list, int access,
                       uint32_t warps)
{
    int k = 0;
    while (k < MOST_EVENTS && list[k].warps && list[k].generation != s->generations) k++;
    if (k == MOST_EVENTS) {
        p->inexact = true;
        k--; // it stands for both, as if all of it were now
    }
    if (!list[k].warps) list[k].access = (uint16_t)access;
    list[k].warps |= warps;
    list[k].generation = (uint8_t)s->generations;
    validator_keep_event(v, s);
}

static int number_of(const validator *v, const access_model *a)
{
    return (int)(a - v->accesses.items);
}

static bool knows_some(const validator *v, const state *s, const event *e, int x)
{
    if (!e->generation) return true;
    const uint32_t *rows = rows_of(v, s, e->generation, v->at.came_after);
    for (uint32_t left = e->warps; left; left &= left - 1) {
        int w = __builtin_ctz(left);
        if (w == x || (rows[w] >> x & 1)) return true;
    }
    return false;
}

static bool knows_all(const validator *v, const state *s, const event *e, int x)
{
    if (!e->generation) return true;
    const uint32_t *rows = rows_of(v, s, e->generation, v->at.came_after);
    for (uint32_t left = e->warps & ~(1u << x); left; left &= left - 1)
        if (!(rows[__builtin_ctz(left)] >> x & 1)) return false;
    return true;
}

// The first lane of warp x knows that the phase is over: it has seen it, or knows of one who has,
// or of everything that made it so.
static bool knows_over(const validator *v, const state *s, const phase *p, int x)
{
    if (!p->exists) return true;
    for (int i = 0; i < MOST_EVENTS && p->seen[i].warps; i++)
        if (knows_some(v, s, &p->seen[i], x)) return true;
    for (int i = 0; i < MOST_EVENTS && p->came[i].warps; i++)
        if (!knows_all(v, s, &p->came[i], x)) return false;
    if (!p->copies || !p->landed) return true;
    return rows_of(v, s, p->landed, v->at.came_after)[v->warps] >> x & 1;
}

// ---- findings -----------------------------------------------------------------------------------

static void complain(validator *v, const state *s, const kg_op *op, const phase *about,
                     const char *what)
{
    access_model here = {.at = {.op = op}, .region = validator_warps_of(op)};
    complaint c = {!about || !about->inexact, what, NULL, &here, 0, -1, here.region, here.region};
    validator_report(v, s, &c);
}

static void check_over(validator *v, const state *s, const kg_op *op, const phase *p,
                       uint32_t warps, const char *what)
{
    for (uint32_t left = warps; left && !v->stop; left &= left - 1)
        if (!knows_over(v, s, p, __builtin_ctz(left))) {
            complain(v, s, op, p, what);
            return;
        }
}

// Somebody who still waits for the last phase when the next one ends waits on.
static void check_seen(validator *v, const state *s, const kg_op *op, int slot)
{
    const mbarrier *m = &mbarriers_of(v, s)[slot];
    int plane = v->at.came_after, teller = teller_of(v, slot, false);
    for (int i = 0; i < MOST_EVENTS && m->last.seen[i].warps; i++) {
        const event *e = &m->last.seen[i];
        uint32_t told = e->generation ? *told_of(v, s, e->generation, teller, plane) : ~0u;
        if (e->generation && has_peers(v, slot))
            told |= *told_of(v, s, e->generation, peer_of(v, slot, false), plane);
        if (!(e->warps & ~told)) continue;
        access_model late = v->accesses.items[e->access];
        access_model here = {.at = {.op = op}, .region = validator_warps_of(op)};
        complaint c = {!m->last.inexact,
                       "this may end a phase before another warp has seen the end of the one "
                       "before: that one's wait then takes it for the next and goes on waiting",
                       &late,
                       &here,
                       0,
                       -1,
                       e->warps,
                       here.region};
        validator_report(v, s, &c);
        return;
    }
}

void validator_report_waiting(validator *v, const state *s, int slot, const kg_op *op)
{
    const mbarrier *m = &mbarriers_of(v, s)[slot];
    int all = v->arrivals[slot];
    access_model here = {.at = {.op = op}, .region = m->warps};
    complaint stuck = {.certain = true, .b = &here, .cell = -1};
    stuck.what = kg_arena_printf(
        v->arena, "waits for ever at an mbarrier: %d of %d arrivals come, and %d of %d bytes",
        all - m->pending, all, m->issued, m->expected);
    validator_report(v, s, &stuck);
}

// ---- phases -------------------------------------------------------------------------------------

static void move_word(const validator *v, state *s, int now, int last)
{
    for (int g = 1; g <= s->generations; g++)
        for (uint32_t left = planes_in(v, s, g); left; left &= left - 1) {
            uint32_t *word = told_of(v, s, g, 0, __builtin_ctz(left));
            word[last] = word[now];
            word[now] = 0;
        }
}

// Without the cluster's scope nobody learns what memory has of other CTAs, only that these came.
static void take_word_of_peers(const validator *v, state *s, int slot, uint32_t warps, uint32_t far)
{
    int teller = peer_of(v, slot, true);
    if (far) validator_take_word(v, s, teller, far);
    if (warps & ~far) validator_take_trace(v, s, teller, warps & ~far);
}

// They learn what those who came to the last phase knew, `far` also of other CTAs. Once all who
// ever wait there have, nobody learns anything from it any more: the word is fixed, and who took it
// knows it.
static void take_last_word(const validator *v, state *s, int slot, uint32_t warps, uint32_t far)
{
    const phase *last = &mbarriers_of(v, s)[slot].last;
    int teller = teller_of(v, slot, true);
    uint32_t seen = 0;
    validator_take_word(v, s, teller, warps);
    if (has_peers(v, slot)) take_word_of_peers(v, s, slot, warps, far);
    for (int i = 0; i < MOST_EVENTS; i++) seen |= last->seen[i].warps;
    if (v->mbarrier_waiters[slot] & ~(seen | warps)) return;
    for (int g = 1; g <= s->generations; g++)
        for (uint32_t left = planes_in(v, s, g); left; left &= left - 1) {
            uint32_t *word = told_of(v, s, g, 0, __builtin_ctz(left));
            word[teller] = 0;
            // Another wait for the phase may be of the cluster's scope.
            if (has_peers(v, slot) && (!(warps & ~far) || !v->far_waits[slot]))
                word[peer_of(v, slot, true)] = 0;
        }
}

// All is there: those who wait go on.
static void end_phase(validator *v, state *s, const kg_op *op, int slot)
{
    mbarrier *m = &mbarriers_of(v, s)[slot];
    check_seen(v, s, op, slot);
    move_word(v, s, teller_of(v, slot, false), teller_of(v, slot, true));
    if (has_peers(v, slot)) move_word(v, s, peer_of(v, slot, false), peer_of(v, slot, true));
    if (m->now.copies) {
        validator_land(v, s, slot);
        m->now.landed = (uint8_t)s->generations;
        validator_keep_event(v, s);
        for (int p = 0; p < v->at.planes; p++)
            *told_of(v, s, s->generations, teller_of(v, slot, true), p) |= engine(v);
    }
    m->before = m->last;
    m->last = m->now;
    m->now = (phase){.exists = true};
    m->parity ^= 1;
    m->pending = v->arrivals[slot];
    m->expected = m->issued = 0;
    if (m->warps) {
        take_last_word(v, s, slot, m->warps, m->far);
        note_event(v, s, &m->last, m->last.seen, m->held, m->warps);
    }
    m->held = 0;
    s->held &= (uint16_t)~m->waiting;
    m->waiting = 0;
    m->warps = m->far = 0;
    validator_begin_generation(v, s);
}

static void try_end(validator *v, state *s, const kg_op *op, int slot)
{
    mbarrier *m = &mbarriers_of(v, s)[slot];
    if (m->pending || v->stop) return;
    if (m->issued > m->expected)
        complain(v, s, op, NULL,
                 kg_arena_printf(v->arena,
                                 "%d bytes of copies come to a phase that expects %d: it may end "
                                 "before they are all there, or never",
                                 m->issued, m->expected));
    else if (m->issued == m->expected)
        end_phase(v, s, op, slot);
}

// ---- ops ----------------------------------------------------------------------------------------

static void initialize(validator *v, state *s, const access_model *a)
{
    for (int slot = a->mbarrier; slot < a->mbarrier + a->ring; slot++) {
        mbarrier *m = &mbarriers_of(v, s)[slot];
        m->live = true;
        m->pending = v->arrivals[slot];
        m->now.exists = true;
    }
}

static void arrive(validator *v, state *s, const access_model *a, int slot)
{
    const kg_op *op = a->at.op;
    mbarrier *m = &mbarriers_of(v, s)[slot];
    bool expect = op->code == KG_OP_MBARRIER_EXPECT, each = kg_op_int(op, KG_A_BY_THREAD, 0) != 0;
    uint32_t warps = a->region;
    int32_t ctas = kg_op_int(op, KG_A_CLUSTER, 0) ? v->kernel->cluster : 1; // all in step
    int32_t count = expect ? 1 : ctas * __builtin_popcount(warps) * (each ? 32 : 1);
    check_over(v, s, op, &m->last, warps,
               "the phase before may still be current: this arrival would count there");
    if (count > m->pending) {
        complain(v, s, op, NULL, "more arrivals come to a phase than it counts");
        return;
    }
    bool far = v->ctas.count && cta_of(v, warps) != v->cta_of_mbarrier[slot];
    int teller = far ? peer_of(v, slot, false) : teller_of(v, slot, false);
    if (far && kg_op_attr(op, KG_A_SCOPE))
        validator_leave_trace(v, s, teller, warps, true); // nothing of memory
    else
        validator_leave_word(v, s, teller, warps, each);
    note_event(v, s, &m->now, m->now.came, number_of(v, a), warps);
    m->pending -= count;
    if (expect) m->expected += (int32_t)kg_op_int(op, KG_A_BYTES, 0);
    validator_begin_generation(v, s);
    try_end(v, s, op, slot);
}

static void issue(validator *v, state *s, const access_model *a, int slot)
{
    const kg_op *op = a->at.op;
    const kg_type *type = &op->operands[0]->type;
    mbarrier *m = &mbarriers_of(v, s)[slot];
    check_over(v, s, op, &m->last, a->region,
               "the phase before may still be current: these bytes would count there");
    m->issued += (int32_t)(kg_type_elements(type) * kg_dtype_bytes(type->dtype));
    m->now.copies = true;
    validator_leave_trace(v, s, teller_of(v, slot, false), a->region, false);
    validator_begin_generation(v, s);
    try_end(v, s, op, slot);
}

static void wait(validator *v, state *s, const access_model *a, int slot, int role)
{
    static const char *const early =
        "the phase before may not be over: its parity would be taken for that of this one";
    const kg_op *op = a->at.op;
    mbarrier *m = &mbarriers_of(v, s)[slot];
    uint32_t far = kg_op_int(op, KG_A_CLUSTER, 0) ? a->region : 0;
    if (m->parity != parity_of(v, s, a)) {
        check_over(v, s, op, &m->before, a->region, early);
        take_last_word(v, s, slot, a->region, far);
        note_event(v, s, &m->last, m->last.seen, number_of(v, a), a->region);
        validator_begin_generation(v, s);
        return;
    }
    check_over(v, s, op, &m->last, a->region, early);
    m->warps |= a->region;
    m->far |= far;
    m->held = (uint16_t)number_of(v, a);
    if (role < 0) {
        validator_report_waiting(v, s, slot, op);
        return;
    }
    m->waiting |= (uint16_t)(1u << role);
    s->held |= (uint16_t)(1u << role);
}

void validator_mbarrier(validator *v, state *s, const kg_op *op, int role)
{
    const access_model *a = validator_use_of(v, op);
    int slot = a && a->init ? a->mbarrier : validator_slot_of(v, s, a);
    if (slot < 0) return;
    if (!a->init && !mbarriers_of(v, s)[slot].live) {
        complain(v, s, op, NULL, "an mbarrier is used before it is initialized");
        return;
    }
    switch (op->code) {
    case KG_OP_MBARRIER_INIT:
        initialize(v, s, a);
        return;
    case KG_OP_COPY_BULK:
        issue(v, s, a, slot);
        return;
    case KG_OP_MBARRIER_WAIT:
        wait(v, s, a, slot, role);
        return;
    default:
        arrive(v, s, a, slot);
    }
}

// ---- the end ------------------------------------------------------------------------------------

// Some warp of the CTA knows of the arrival; its memory lasts as long as that one.
static bool outlives(const validator *v, const state *s, const event *e, int w, int cta)
{
    uint32_t own = warps_of_cta(v, cta);
    return !e->generation || (rows_of(v, s, e->generation, v->at.came_after)[w] & own);
}

static void check_end(validator *v, const state *s, const phase *p, int cta)
{
    for (int i = 0; i < MOST_EVENTS && p->came[i].warps; i++)
        for (uint32_t left = p->came[i].warps & ~warps_of_cta(v, cta); left; left &= left - 1) {
            const event *e = &p->came[i];
            if (outlives(v, s, e, __builtin_ctz(left), cta)) continue;
            const kg_op *op = v->accesses.items[e->access].at.op;
            complain(v, s, op, p,
                     "arrives in another CTA of the cluster, which may have ended: a "
                     "cluster_barrier at the end keeps its memory");
            return;
        }
}

// Arrivals that somebody knew to be over when he came to the next phase are known with that one's.
void validator_mbarriers_at_end(validator *v, const state *s)
{
    for (int i = 0; i < v->n_mbarriers && !v->stop; i++) {
        const mbarrier *m = &mbarriers_of(v, s)[i];
        check_end(v, s, &m->now, v->cta_of_mbarrier[i]);
        check_end(v, s, &m->last, v->cta_of_mbarrier[i]);
        check_end(v, s, &m->before, v->cta_of_mbarrier[i]);
    }
}
