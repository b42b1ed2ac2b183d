// SPDX-License-Identifier: MIT
// What the validator executes: accesses with their cells, loops, branches, unknown integers, rings.
#pragma once
#include "ir/access.h"
#include "passes/validate/cluster.h"

enum {
    MOST_ENTRIES = 4,      // accesses of a cell since its last write that are told apart
    MOST_GENERATIONS = 40, // 0: everybody knows
    MANY_GENERATIONS = 32, // that are kept though nobody may ask for them
    MOST_GLOBAL = 64,      // accesses of a tensor that are told apart
    MOST_CONDITIONS = 64,  // whose outcome is remembered
    MOST_WARPS = 32,
    MOST_PLANES = 8, // of a generation
    MOST_LOOPS = 8, // around one another
    MANY_LANES = -1,
    UNKNOWN_SCALAR = -1, // else a residue modulo `modulus`
    UNUSED_SCALAR = -2,  // nobody asks for it before it is set again
    VALUE_OPEN = -1,     // of a variable: not decided yet; else the number above `low`
    MOST_VALUES = 100,
    MOST_ROLES = 8,
    MOST_AHEAD = 64, // trips
    MOST_SCRIPTS = 32,
    SIZES = 256,
    SIZE_STEP = 1024, // bytes
    MOST_SLOTS = 250, // of mbarriers
    MOST_EVENTS = 4,  // of a phase, by generation
    MOST_MODULUS = 64,
    ROLE_DONE = -1,
    ROLE_NONE = -2, // in place of a role's next op
    BARRIERS = 16,
    NOT_RUNNING = INT16_MIN, // distance of a loop
    FAR = INT16_MAX          // more than `most`
};

enum { MOST_TERMS = 6 };
typedef struct linear {
    bool known;
    int64_t constant;
    int count;
    struct {
        const kg_value *value;
        int64_t factor;
    } terms[MOST_TERMS];
} linear;

// ---- the program ------------------------------------------------------------------------------

// Bytes that no access tells apart are one cell. `lane` numbers the lanes of a cell in the order
// in which accesses name them; MANY_LANES: more than one.
typedef struct touch {
    int cell;
    uint32_t warps;
    int lane;
    bool reached, covered; // reads: some state got here; in one of these the cell was written
} touch;

typedef struct touches {
    touch *items;
    int count;
} touches;

// How an access ends that goes on after its op. The groups are counted apart from each other.
typedef enum flight {
    FLIGHT_NONE,
    FLIGHT_COPY,      // cp.async: a group of the threads
    FLIGHT_PHASE,     // of an mbarrier
    FLIGHT_BULK_READ, // a group of bulk stores, once it has read its sources
    FLIGHT_BULK,      // the same, once it is complete
    FLIGHT_WGMMA,     // a group of a warpgroup
    KINDS_OF_FLIGHT
} flight;

typedef struct access_model {
    kg_access at;
    uint32_t region; // warps that execute the op
    bool writes, atomic, elected, masked;
    bool shared;    // else global, or all of it (root NULL)
    bool proxy;     // by the async proxy
    bool use;       // of an mbarrier, by what mbarriers are there for
    bool init;      // makes mbarriers of the bytes
    uint8_t flight; // what ends it: struct entry, `phase`
    int mbarrier;   // use, init: number of the first slot
    int tensor;     // global: number of the memory; -1 for all
    int cta;        // of the cluster
    int64_t offset; // shared: of the buffer
    int64_t slot_bytes;
    int ring;
    touches *by_slot;               // shared
    const kg_op *loops[MOST_LOOPS]; // around it, outermost first
    int n_loops;
} access_model;

// An unknown integer that loops and branches depend on: `part`, a linear form without constant.
// Only whether it exceeds certain thresholds matters, so its values are: at most `low`, each number
// up to `high`, and more. With `unit` g, all of that is in multiples of g, rounded up: g divides
// every step and threshold.
typedef struct variable {
    linear part;
    int64_t unit, low, high;
    bool used;        // has a threshold
    bool vague;       // CTAs of a cluster differ in it, in ways that are not understood
    int script, seat; // 1 + the script by which roles that go together agree on it; 0: none
    uint32_t above;   // the variables that are never more than this one
} variable;

// `sign` 1 or -1 times a variable, plus an offset; `variable` -1: the offset alone. With `limit` at
// most that much, where it is positive.
typedef struct quantity {
    int variable, sign;
    int64_t offset, limit;
} quantity;

typedef enum guard_kind {
    GUARD_FREE,     // nothing is known of it
    GUARD_FIXED,    // always the same
    GUARD_VALUE,    // `of` exceeds (or equals) `least`
    GUARD_DISTANCE, // so does the distance of a running loop's index from its end
    GUARD_PASSED,   // so does the distance of a running loop's index from its start
    GUARD_RESIDUE   // a scalar modulo `modulus` equals `least`
} guard_kind;

typedef struct guard {
    guard_kind kind;
    bool negated, equals;
    bool value; // FIXED
    quantity of;
    int loop;
    int64_t least, modulus;
    int shift_loop; // VALUE: `least` falls by `shift` for each step of this loop; -1
    int64_t shift;
    const kg_value *scalar; // RESIDUE
    int condition;          // FREE: its number, or -1
    int script, seat;       // FREE: as of a variable
} guard;

typedef struct loop_model {
    kg_op *op;
    quantity trips;      // of a for: distance from the first index to the end
    int64_t step;        // of the index; 0: computed at run time
    int64_t unit;        // distances are counted in these
    int64_t most;        // above this distance from the end nothing looks at it
    int64_t most_passed; // above this one from the start; -1: nothing looks at it at all
    int partners;        // number of a set of roles' loops that make the same trips; -1
    int seat;            // which of the set's roles
    int lag;             // how many trips fewer it makes than the longest of them, at its start
    const kg_op *role;   // the region that it stands in, if it has partners
    bool lonely;         // a role's loop without partners, though others make the same trips
    bool idle;           // nothing in it touches memory or synchronizes
    bool index_wanted;   // some slot depends on its index
    uint64_t conditions; // defined inside: forgotten with each trip
    uint32_t variables;  // likewise
} loop_model;

// A class of rings and counters that may be turned together; see turns.c.
typedef struct ring_class {
    int *next_cell; // by cell: the same one of the next slot, or itself
    const kg_op **anchors;
    int n_anchors;
} ring_class;

// What comes where when each class is turned by so many. Tellers that belong to mbarriers are in
// pairs, those of other CTAs last.
enum { MOST_TURNS = 32 };
typedef struct turning {
    int8_t by[MOST_TURNS]; // by class
    int *cell_from, *tellers_from;
    uint8_t slot_from[MOST_SLOTS], slot_to[MOST_SLOTS];
    bool flips[MOST_SLOTS]; // parity, of what comes to the slot
} turning;
