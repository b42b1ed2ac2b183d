// SPDX-License-Identifier: MIT
// The mbarriers of a program that is played through (handshake.c): slots, phases, arrivals, bytes,
// and the clocks that a phase hands on.
#pragma once
#include "passes/sync/program.h"

enum { KG_PLAY_SLOTS = 64, KG_PLAY_CLOCKS = 32 + KG_PLAY_SLOTS };

typedef struct kg_play_slot {
    const kg_value *mbarrier;
    int ring, slot;
    int64_t pending, bytes, arrivals; // of the phase that fills
    int clock[KG_PLAY_CLOCKS];        // what its arrivals know
    struct {
        int (*items)[KG_PLAY_CLOCKS]; // by phase that is over
        int count, capacity;
    } done;
} kg_play_slot;

typedef struct kg_play_phases {
    kg_arena *arena;
    kg_play_slot *slots; // all slots of one mbarrier after another
    int n_slots, first_clock;
} kg_play_phases;

// A phase: of which slot, and the number of turns before it.
typedef struct kg_play_place {
    int slot;
    int64_t turn;
    int clock; // that the copies of this slot have
} kg_play_place;

// All phases are to come. Clocks of slots begin at `first_clock`.
void kg_play_begin(kg_play_phases *phases, const kg_sync_program *p, int first_clock);
// false: no such mbarrier, or too many.
bool kg_play_find(const kg_play_phases *phases, const kg_value *mbarrier, int64_t trip,
                  kg_play_place *out);
// Phases of the slot that are over.
int64_t kg_play_done(const kg_play_phases *phases, const kg_play_place *place);
// false: more arrivals than the phase has.
bool kg_play_arrive(kg_play_phases *phases, const kg_play_place *place, int64_t count,
                    int64_t bytes, const int *clock);
void kg_play_copied(kg_play_phases *phases, const kg_play_place *place, int64_t bytes);
// Joins what was known when phase `turn` ended.
void kg_play_acquire(const kg_play_phases *phases, const kg_play_place *place, int64_t turn,
                     int *clock);
