// SPDX-License-Identifier: MIT
// What the files of the repair pass share: edit.c undoes changes, widen.c makes rings of 2,
// keep.c spares second reads, gather.c moves stores ahead, repair.c searches.
#pragma once
#include "passes/repair.h"
#include "passes/rewrite.h"

// ---- changes that can be taken back (edit.c) ----------------------------------------------------
typedef struct kg_edit {
    kg_op *op;
    bool made;        // it did not exist before
    kg_block *parent; // else: where it stood, and how it looked
    kg_op *next;
    kg_value **operands;
    int32_t n_operands;
    kg_attr *attrs;
} kg_edit;

typedef struct kg_edits {
    kg_arena *arena;
    kg_kernel *kernel;
    kg_edit *items;
    int count, capacity;
} kg_edits;

void kg_edit_keep(kg_edits *edits, kg_op *op); // before it is moved or changed
void kg_edit_made(kg_edits *edits, kg_op *op); // after it was inserted
void kg_edits_undo(kg_edits *edits);           // all of them, the last one first

// ---- rings of 2 (widen.c) -----------------------------------------------------------------------
typedef struct kg_widening {
    kg_value *buffer;
    kg_op *loop;
    int64_t bytes; // of a slot
    int accesses;
    bool on;
} kg_widening;

typedef struct kg_widenings {
    kg_widening *items;
    int count, capacity;
} kg_widenings;

// Plain buffers that each trip of a loop fills anew.
void kg_widen_find(kg_arena *arena, kg_kernel *kernel, kg_widenings *out);
// Makes rings of those that are on.
void kg_widen_apply(kg_edits *edits, const kg_widenings *all);

// ---- values kept in registers (keep.c) ----------------------------------------------------------
typedef struct kg_keeping {
    kg_op *first, *second; // reads of the same bytes; the second one goes
    int registers;         // of a thread, held from the first to where the second stood
    bool on;
} kg_keeping;

typedef struct kg_keepings {
    kg_keeping *items;
    int count, capacity;
} kg_keepings;

void kg_keep_find(kg_arena *arena, kg_kernel *kernel, kg_keepings *out);
void kg_keep_apply(kg_edits *edits, const kg_keepings *all);

// ---- stores ahead of earlier reads (gather.c) ---------------------------------------------------
typedef struct kg_gathering {
    kg_op *store;  // that goes, with what it is computed from,
    kg_op *target; // in front of this read of another buffer
} kg_gathering;

typedef struct kg_gatherings {
    kg_gathering *items;
    int count, capacity;
} kg_gatherings;

// Stores to shared memory in loops behind reads of other buffers; of one store the earliest target
// comes first.
void kg_gather_find(kg_arena *arena, kg_kernel *kernel, kg_gatherings *out);
// Moves the store and what it needs; returns how many ops moved, 0 when something holds them.
int kg_gather_apply(kg_edits *edits, kg_gathering g);
