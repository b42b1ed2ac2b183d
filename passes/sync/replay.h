// SPDX-License-Identifier: MIT
// What the program can do with one kind of groups, for walk.c (which goes through it and notes what
// happens), trials.c (the trip counts and numbers that it is walked with) and waits.c (which judges
// a plan by it). Nobody else includes this.
#pragma once
#include "passes/sync/groups.h"
#include "passes/sync/scalars.h"
#include "passes/sync/waits.h"

typedef enum event_kind { EVENT_COPY, EVENT_COMMIT, EVENT_WAIT, EVENT_POINT } event_kind;

// Runs that begin alike share these events: they are a tree.
typedef struct event {
    event_kind kind;
    int context;
    int number;  // COPY: the access; WAIT: by the author, the groups that it leaves; POINT: which
    int before;  // the event ahead of it, -1
    int earlier; // COPY: the instance of the same access before this one, -1
    bool read;   // WAIT: until sources have been read only
    bool slot_known;
    int64_t slot;
    int commit; // COPY: what closes its group in the run that goes on, -1
    // Running, this event included: commits so far, and of the last ones that share a context that
    // and the event of the first.
    int commits, of, first;
} event;

// A stretch of the program that runs only if a condition holds that the walk cannot know.
typedef struct condition {
    int parent, branch, arm; // branch: which execution of the `if`
    bool threads;            // a region of warps: other threads do not come here
} condition;

// A copy that an access waits for, merged over carriers.
typedef struct need {
    int a;
    kg_rendezvous meet;
    bool one_ring;
    bool full;      // of a bulk store: what it has written, not what it reads
    bool asked;     // the author's synchronization does not see to it
    kg_fence fence; // for the async proxy, ours: behind the wait, at the rendezvous; or none
    kg_ties ties;   // warps that exchange the bytes; only if the author has groups meet
} need;
typedef struct needs {
    need *items;
    int count, capacity;
} needs;

// An access came about that needs a copy complete.
typedef struct meeting {
    const need *need;
    int access, context;
    int copy, commit; // events: the copy and what closes its group
    int last;         // the event ahead of the access
} meeting;

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

typedef struct numbers {
    int *items;
    int count, capacity;
} numbers;

// A block that is being walked.
typedef struct frame {
    const kg_sync_node *node; // that has it; NULL: the kernel's body
    int block, part, context;
    int next;            // stop; one more than there are: all is done behind the last one as well
    bool other;          // of an `if`: the second arm is to come
    bool known;          // of a `for`: its index
    int64_t trip, trips; // of a loop: the one to come, and how many there are
    int64_t low, step;
    kg_leaf *leaf; // that says how many, instead
} frame;

// A run as it was at some moment.
typedef struct kept_state {
    bool kept;
    void *piece;
    numbers loose;
    int depth, moment, n_entered;
} kept_state;

enum { PAIR_SEEN = 1, PAIR_OPEN = 2 };

struct kg_recording {
    const kg_sync_program *p;
    const kg_obligations *o;
    const kg_sync_plan *plan;
    kg_group group;
    bool ends;       // what is in flight at the end is asked for, and nothing else
    kg_points waits; // points at which the plan may have waits, and at which it may act
    kg_points acts;
    kg_scalars s;
    int n_values;
    needs *needs;   // by access b
    bool *follows;  // by value id: computed from a mutable scalar, so evaluated where it stands
    bool *matters;  // by value id: control or a slot depends on it
    bool *relevant; // by node
    int *node_of;   // by op id, -1
    stops *stops;   // by block and part, 2 * block + part
    uint8_t *pair;  // by access pair a * n + b: PAIR_SEEN; PAIR_OPEN: whatever waits there are
    struct {
        event *items;
        int count, capacity;
    } events;
    struct {
        condition *items;
        int count, capacity;
    } contexts;
    struct {
        meeting *items;
        int count, capacity;
    } meetings;
    // The run that goes on: its events (s.moment of them have come about), its contexts, how far it
    // is the same as the one before it, its copies that no commit has closed.
    numbers path, entered, loose;
    int shared, n_entered;
    frame *frames; // the innermost is the last
    int depth;
    int *latest; // by access: its last copy event
    int *home;   // by value id: the context that a mutable scalar was declared in
    void *piece; // all that changes of frames, latest, home, and numbers of s
    size_t piece_bytes;
    struct {
        kept_state *items; // by decision: the run when it was asked for
        int count, capacity;
    } kept;
    bool *copied; // by access: some run came to it
    int branches, runs, work;
    bool unclosed; // ends: a group that is never committed
    bool failed;   // too big
};

enum { KG_REPLAY_WORK = 400000 };

// What happens in `context` happens to whoever comes to context `when`.
static inline bool kg_certain_for(const kg_recording *r, int context, int when)
{
    for (; when != context; when = r->contexts.items[when].parent)
        if (when == 0) return false;
    return true;
}

// Walks the program in all ways, once all is prepared.
void kg_walk_all(kg_recording *r);
// Marks, by value id, what control or a slot is computed from, but for what goes into `except`
// only.
void kg_find_what_matters(const kg_recording *r, const kg_value *except, bool *matters);
// What the loop `block` has to be tried with joins the leaves of r->s.
void kg_trials_of_loop(kg_recording *r, int block);
