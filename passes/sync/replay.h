// SPDX-License-Identifier: MIT
// The state of a replay, for waits.c (the walk and its checks) and trials.c (the trip counts and
// numbers that it is walked with). Nobody else includes this.
#pragma once
#include "passes/sync/groups.h"
#include "passes/sync/scalars.h"
#include "passes/sync/waits.h"

enum { COMBINATION_LIMIT = 3000 };

typedef enum event_kind {
    EVENT_COPY,
    EVENT_COMMIT,
    EVENT_WAIT,
    EVENT_BARRIER,
    EVENT_WARP_SYNC
} event_kind;

typedef struct event {
    event_kind kind;
    int context;
    int access;       // COPY
    int point, fixed; // WAIT: of the plan (fixed -1), or the author's count
    bool read;        // WAIT: the author's, until sources have been read only
    bool slot_known;
    int64_t slot;
    int earlier;         // COPY: the instance of the same access before this one, -1
    const kg_op *groups; // BARRIER: of the author's, among groups of warps only; NULL: of all
    // Running, this event included: commits so far, and of the last ones that share a context that
    // and the event of the first.
    int commits, of, first;
} event;

// A stretch of the program that runs only if a condition holds that the replay cannot know.
typedef struct condition {
    int parent, branch, arm; // branch: which execution of the `if`
    bool threads;            // a region of warps: other threads do not come here
} condition;

// A copy that an access waits for, merged over carriers.
typedef struct need {
    int a;
    kg_rendezvous meet;
    bool one_ring;
    bool full;    // of a bulk store: what it has written, not what it reads
    kg_ties ties; // warps that exchange the bytes; only if the author has groups meet
} need;
typedef struct needs {
    need *items;
    int count, capacity;
} needs;

// An op that a run does something at, the node it is or -1, and the point in front of a node.
typedef struct stop {
    const kg_op *op;
    int node, point;
} stop;
typedef struct stops {
    stop *items;
    int count, capacity;
    bool to_end; // the ops are all nodes of the block's part, so its last point is behind them
} stops;

typedef struct replay {
    const kg_sync_program *p;
    const kg_obligations *o;
    const kg_sync_plan *plan;
    kg_group group;
    kg_replay *out;
    kg_scalars s;
    needs *needs;   // by access b
    bool *follows;  // by value id: computed from a mutable scalar, so evaluated where it stands
    int *home;      // by value id: the context that a mutable scalar was declared in
    bool *relevant; // by node
    int *node_of;   // by op id, -1
    stops *stops;   // by block and part, 2 * block + part
    uint8_t *pair;  // by access pair a * n + b: SEEN, OPEN
    struct {
        event *items;
        int count, capacity;
    } events;
    struct {
        condition *items;
        int count, capacity;
    } contexts;
    int *latest;  // by access: its last copy event
    bool *copied; // by access: some run came to it
    int branches, work;
    bool failed;
} replay;

// What the loop `block` has to be tried with joins the leaves of r->s.
void kg_trials_of_loop(replay *r, int block);
// How many combinations there are; counted up to COMBINATION_LIMIT + 1.
int64_t kg_trials_count(const replay *r);
// Goes on to the next combination; false after the last.
bool kg_trials_next(replay *r);
