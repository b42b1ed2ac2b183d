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
    int sync;          // id of the synchronization that discharges it, 0: none alone does
    int completed_by;  // id of the wait that sees to a's completion, 0: none does alone
    int fenced_by;     // id of the fence that it needs besides, 0: none
    bool needs_sync;   // without `sync` the plan's other points would leave it open
    int choices;       // points of the program of which any one would cut it
    const char *alone; // the cheapest of them: what this obligation by itself would have taken
    double alone_runs;
} kg_sync_reason;

// Something else that would order, or was thought to, and what became of it.
typedef enum kg_sync_verdict {
    KG_SYNC_VERDICT_CHOSEN,   // it is what stands there
    KG_SYNC_VERDICT_REJECTED, // it does not do, or it costs more
    KG_SYNC_VERDICT_EQUAL     // it does, at the same price
} kg_sync_verdict;
typedef struct kg_sync_repair {
    const char *repair; // "warp sync", "the end of the loop at line 7"
    kg_sync_verdict verdict;
    double runs; // how often it would run: 16 a loop, a little less in an arm; -1: not priced
    const char *text;
} kg_sync_repair;

typedef struct kg_sync_entry {
    int id; // S1 is 1
    kg_op *op;
    bool by_hand;
    double runs;  // as above; of one by hand 0, because it was not priced
    int *reasons; // indices into reasons
    int n_reasons;
    int first;                  // of reasons: the one with the fewest other ways out, -1
    const kg_op *copy, *access; // wait: the pair that its count is due to, or NULL
    const kg_op **copies;       // commit: the copies of the group
    int n_copies;
    struct {
        kg_sync_repair *items;
        int count, capacity;
    } repairs;
} kg_sync_entry;

typedef struct kg_sync_report {
    bool wanted; // in: witnesses and repairs too, which take time
    kg_sync_entry *syncs;
    int n_syncs;
    kg_sync_reason *reasons;
    int n_reasons;
    kg_sync_spared spared;
    const char **proxies; // for each buffer of the async proxy, which fences it has and why
    int n_proxies;
} kg_sync_report;

// ---- words (describe.c); all strings in the arena ----------------------------------------------
// The author's name, or a readable one for what a pass made: "scratch of sum, line 40". NULL:
// "global memory".
const char *kg_sync_buffer_name(kg_arena *arena, const kg_kernel *kernel, const kg_value *buffer);
// "copy (line 37)".
const char *kg_sync_op_text(kg_arena *arena, const kg_op *op);
// In front of `next` (NULL: at the end) of a block: "in front of dot (line 9), in the loop at line
// 7".
const char *kg_sync_place_text(kg_arena *arena, const kg_block *block, const kg_op *next);
// Where a synchronization stands.
const char *kg_sync_where(kg_arena *arena, const kg_op *sync);
// "barrier", "wait 1", "barrier id 2 count 64".
const char *kg_sync_name(kg_arena *arena, const kg_op *sync);
// One line of at most `room` characters: what it orders.
const char *kg_sync_summary(kg_arena *arena, const kg_kernel *kernel, const kg_sync_report *report,
                            const kg_sync_entry *entry, int room);
