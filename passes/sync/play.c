// SPDX-License-Identifier: MIT
// Mbarriers of a play. See play.h.
#include "passes/sync/play.h"
#include "passes/sync/phases.h"

#include <string.h>

static void add_mbarrier(kg_play_phases *x, const kg_value *mbarrier)
{
    int ring = (int)kg_op_int(mbarrier->op, KG_A_RING, 1);
    int64_t arrivals = kg_op_int(mbarrier->op, KG_A_ARRIVALS, 1);
    for (int i = 0; i < x->n_slots; i++)
        if (x->slots[i].mbarrier == mbarrier) return;
    if (x->n_slots + ring > KG_PLAY_SLOTS) return; // kg_play_find says so
    for (int s = 0; s < ring; s++)
        x->slots[x->n_slots++] = (kg_play_slot){.mbarrier = mbarrier,
                                                .ring = ring,
                                                .slot = s,
                                                .pending = arrivals,
                                                .arrivals = arrivals};
}

void kg_play_begin(kg_play_phases *x, const kg_sync_program *p, int first_clock)
{
    if (!x->slots) x->slots = KG_NEW_ARRAY(p->arena, kg_play_slot, KG_PLAY_SLOTS);
    x->arena = p->arena;
    x->n_slots = 0;
    x->first_clock = first_clock;
    for (int i = 0; i < p->nodes.count; i++) {
        const kg_value *mbarrier = kg_sync_mbarrier(kg_sync_node_at(p, i)->op);
        if (mbarrier) add_mbarrier(x, mbarrier);
    }
}

bool kg_play_find(const kg_play_phases *x, const kg_value *mbarrier, int64_t trip,
                  kg_play_place *out)
{
    for (int i = 0; i < x->n_slots; i++) {
        const kg_play_slot *s = &x->slots[i];
        int64_t slot = (trip % s->ring + s->ring) % s->ring;
        if (s->mbarrier != mbarrier || s->slot != slot) continue;
        *out = (kg_play_place){i, (trip - slot) / s->ring, x->first_clock + i};
        return true;
    }
    return false;
}

int64_t kg_play_done(const kg_play_phases *x, const kg_play_place *place)
{
    return x->slots[place->slot].done.count;
}

static void join(int *to, const int *from)
{
    for (int i = 0; i < KG_PLAY_CLOCKS; i++)
        if (from[i] > to[i]) to[i] = from[i];
}

// All have arrived and all bytes are there: the copies are known of from now on.
static void end_phase(kg_play_phases *x, const kg_play_place *place)
{
    kg_play_slot *s = &x->slots[place->slot];
    if (s->pending || s->bytes) return;
    s->clock[place->clock] = s->done.count + 1;
    int known[KG_PLAY_CLOCKS];
    memcpy(known, s->clock, sizeof known);
    if (s->done.count == s->done.capacity) {
        int capacity = s->done.capacity ? 2 * s->done.capacity : 8;
        int(*items)[KG_PLAY_CLOCKS] = kg_arena_alloc(x->arena, sizeof *items * (size_t)capacity);
        if (s->done.count) memcpy(items, s->done.items, sizeof *items * (size_t)s->done.count);
        s->done.items = items;
        s->done.capacity = capacity;
    }
    memcpy(s->done.items[s->done.count++], known, sizeof known);
    s->pending = s->arrivals;
    memset(s->clock, 0, sizeof s->clock);
}

bool kg_play_arrive(kg_play_phases *x, const kg_play_place *place, int64_t count, int64_t bytes,
                    const int *clock)
{
    kg_play_slot *s = &x->slots[place->slot];
    if (count > s->pending) return false;
    s->bytes += bytes;
    s->pending -= count;
    join(s->clock, clock);
    end_phase(x, place);
    return true;
}

void kg_play_copied(kg_play_phases *x, const kg_play_place *place, int64_t bytes)
{
    x->slots[place->slot].bytes -= bytes;
    end_phase(x, place);
}

void kg_play_acquire(const kg_play_phases *x, const kg_play_place *place, int64_t turn, int *clock)
{
    const kg_play_slot *s = &x->slots[place->slot];
    if (turn < s->done.count) join(clock, s->done.items[turn]);
}
