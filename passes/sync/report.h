// SPDX-License-Identifier: MIT
// Why each synchronization stands where it stands: kept beside the kernel for those who ask.
#pragma once
#include "passes/sync/obligation.h"

// One obligation, resolved to places and witnesses.
typedef struct kg_sync_reason {
    int number;
    const kg_op *a, *b;          // a first
    const char *a_does, *b_does; // "writes", "reads", "copies into", ...
    const kg_value *buffer;      // root of b; NULL: all tensors
    const kg_value *other; // root of a where it is another buffer on the same bytes, else NULL
    const kg_op *loop;     // whose back edge lies between, or NULL
    int64_t distance;
    int64_t byte;           // arena byte, -1 when not known
    int thread_a, thread_b; // witnesses, -1 when not known
    kg_rendezvous meet;
    bool wait, by_hand, by_author;
    int sync; // id of the synchronization that discharges it, 0: those of the author together
} kg_sync_reason;

typedef struct kg_sync_entry {
    int id; // S1 is 1
    kg_op *op;
    bool by_hand;
    int *reasons; // indices into reasons
    int n_reasons;
} kg_sync_entry;

typedef struct kg_sync_report {
    kg_sync_entry *syncs;
    int n_syncs;
    kg_sync_reason *reasons;
    int n_reasons;
} kg_sync_report;

// Text for people: each synchronization with its place and the pairs that it orders.
char *kg_sync_explain(kg_arena *arena, const kg_kernel *kernel, const kg_sync_report *report);
