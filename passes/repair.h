// SPDX-License-Identifier: MIT
// The choice between synchronizing an obligation and removing it, by cost; and what was considered.
//
// The cost of a kernel is that of its synchronization (passes/sync/price.h) and that of its shared
// memory: a little for each byte, much for each resident CTA that the bytes cost. Whoever chooses
// (repair: wider rings, stores moved ahead; place: bytes shared) compares whole kernels by it.
#pragma once
#include "passes/passes.h"
#include "passes/sync/price.h"

typedef enum kg_repair_verdict { KG_REPAIR_TAKEN, KG_REPAIR_REJECTED } kg_repair_verdict;

// One repair that was tried, with the cost of the whole kernel without and with it.
typedef struct kg_repair_note {
    const char *what; // "ring 2 for 'sk'"
    kg_repair_verdict verdict;
    int64_t cost_before, cost_after;
    int64_t bytes;    // of shared memory, more (or fewer) with it
    kg_loc loc;       // of the buffer or access
    const char *text; // what it buys and costs, in words
} kg_repair_note;

typedef struct kg_repairs {
    kg_repair_note *items;
    int count, capacity;
    const char *summary; // why no barrier more can go, or NULL
} kg_repairs;

// ---- cost ---------------------------------------------------------------------------------------
// Of so many bytes; more than the target has cost more than anything else does.
int64_t kg_memory_cost(const kg_machine *machine, const kg_kernel *kernel, int64_t bytes);

// Costs from here on say that the target does not have the bytes.
#define KG_DOES_NOT_FIT (INT64_C(1) << 50)

typedef struct kg_cost {
    kg_sync_price sync;
    int64_t bytes, total;
} kg_cost;

// Gives every buffer its offset (place.c), sharing bytes where that is cheaper, and prices the
// result. `known` keeps footprints from one call to the next.
kg_cost kg_place_and_price(kg_pass_context *context, kg_kernel *kernel, kg_footprints *known);
