// SPDX-License-Identifier: MIT
// What the pass phases works on: streams of bulk copies into one buffer, and who reads them. See
// phases.c.
#pragma once
#include "passes/pass_list.h"
#include "passes/share.h"
#include "passes/sync/phases.h"

// Copies of one buffer at one place.
typedef struct kg_phase_site {
    kg_op *copy;
    kg_value *slot; // trip number; NULL: no ring
} kg_phase_site;

typedef struct kg_phase_stream {
    kg_value *buffer;
    struct {
        kg_phase_site *items;
        int count, capacity;
    } sites;
    kg_op *first_reader;
    int region;     // node of the producer's `warps`, -1
    bool looped;    // copies stand in a loop
    bool once;      // each number of a slot comes up once: the only copy's loop stands in no other
    bool multicast; // some come from all CTAs of the cluster; of the first of a class: of any of it
    bool handed;    // ordinary accesses of a CTA come before another one's copies
    int class;      // number of the first stream of its class
    kg_value *full, *empty;
} kg_phase_stream;

// Readers of one slot of a class, in one block.
typedef struct kg_phase_reading {
    int class, region;
    kg_value *slot;
    kg_block *block;
    kg_op *first, *last; // in `block`, or what holds them there
} kg_phase_reading;

// What a role does in its turns, from its first reading to its last one.
typedef struct kg_phase_turn {
    kg_share share;
    kg_block *arm;
    kg_op *first, *last; // in it
    int warps;
    kg_value *mbarrier;
} kg_phase_turn;

typedef struct kg_phaser {
    kg_pass_context *context;
    kg_kernel *kernel;
    kg_sync_program *p;
    struct {
        kg_phase_stream *items;
        int count, capacity;
    } streams;
    struct {
        kg_phase_reading *items;
        int count, capacity;
    } readings;
    struct {
        kg_phase_turn *items;
        int count, capacity;
    } turns;
    kg_op *top; // new declarations stand in front of it
} kg_phaser;

// Fills streams, classes and readings. false after an error was reported.
bool kg_phases_find(kg_phaser *s);
bool kg_phases_same_slot(const kg_value *a, const kg_value *b);
bool kg_phases_in_loop(const kg_op *op);
// Nobody but the tensor cores reads what comes into the buffers of a class.
bool kg_phases_for_products(const kg_phaser *s, int class);
// Is a mutable slot number assigned in what `owner` holds?
bool kg_phases_assigned_inside(const kg_value *slot, kg_op *owner);
// Readers of two regions, as many warps each, that take turns: of the trips of one loop that both
// go through the one reads some, the other others.
bool kg_phases_take_turns(const kg_phaser *s, int class, int a, int b);

// phases.c: mbarriers, one for each slot of a ring, named after the stream's buffer.
kg_value *kg_phases_declare(kg_phaser *s, const kg_phase_stream *x, const char *what, int64_t ring,
                            int64_t arrivals);

// phases_turns.c: in front of the first wait of each turn, and, once all waits stand, behind it.
void kg_phases_wait_for_turns(kg_phaser *s);
void kg_phases_hand_turns_on(kg_phaser *s);
