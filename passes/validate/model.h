// SPDX-License-Identifier: MIT
//
// The abstract machine of the validator: what the files of this folder share. See README.md.
#pragma once
#include "ir/access.h"
#include "passes/validate/validate.h"

enum {
    MOST_ENTRIES = 4,      // accesses of a cell since its last write that are told apart
    MOST_GENERATIONS = 20, // 0: everybody knows
    MOST_GLOBAL = 24,      // accesses of a tensor that are told apart
    MOST_CONDITIONS = 64,  // whose outcome is remembered
    MOST_WARPS = 32,
    MOST_LOOPS = 8, // around one another
    MANY_LANES = -1,
    UNKNOWN_SCALAR = -1, // else a residue modulo `modulus`
    VALUE_OPEN = -1,     // of a variable: not decided yet; else the number above `low`
    MOST_VALUES = 100,
    MOST_ROLES = 8,
    MOST_AHEAD = 64, // trips
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

typedef struct access_model {
    kg_access at;
    uint32_t region; // warps that execute the op
    bool writes, atomic, async, elected, masked;
    bool shared;    // else global, or all of it (root NULL)
    int tensor;     // global: number of the memory; -1 for all
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
    bool used; // has a threshold
} variable;

// `sign` 1 or -1 times a variable, plus an offset; `variable` -1: the offset alone.
typedef struct quantity {
    int variable, sign;
    int64_t offset;
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
} guard;

typedef struct loop_model {
    kg_op *op;
    quantity trips;      // of a for: distance from the first index to the end
    int64_t step;        // of the index; 0: computed at run time
    int64_t unit;        // distances are counted in these
    int64_t most;        // above this distance from the end nothing looks at it
    int64_t most_passed; // above this one from the start; -1: nothing looks at it at all
    int partners;        // number of a set of roles' loops that make the same trips; -1
    uint64_t conditions; // defined inside: forgotten with each trip
    uint32_t variables;  // likewise
} loop_model;

// ---- a state ----------------------------------------------------------------------------------

enum { MIXED = 2 };
typedef enum entry_kind { ENTRY_NONE, ENTRY_READ, ENTRY_WRITE, ENTRY_UPDATE } entry_kind;

// One access that later ones may have to be ordered after.
typedef struct entry {
    uint16_t access;
    uint8_t kind, generation;
    int8_t lane;
    uint8_t phase;   // of a copy: 0 complete, 1 not committed, 2 + n: n younger groups committed
    uint8_t stale;   // 1 + number of the outermost loop around that has made a trip since
    uint8_t inexact; // it may have been elsewhere; MIXED: stands for several accesses
    uint32_t warps;
} entry;

typedef struct cell {
    entry write;
    entry entries[MOST_ENTRIES]; // reads, updates, writes that may have been elsewhere
    uint8_t count, written, pad[2];
} cell;

typedef struct tensor_state {
    entry entries[MOST_GLOBAL];
    int count;
} tensor_state;

// A named barrier at which some have arrived.
typedef struct meeting {
    uint16_t arrived, count; // threads
    uint16_t waiting;        // roles that are held
    uint16_t unused;
    uint32_t warps;                  // that wait
    uint32_t told[MOST_GENERATIONS]; // warps whose accesses of then those who arrived know
} meeting;

// What compares and hashes is the block from `generations` on. Everything in it is zero where it is
// not used.
typedef struct state {
    uint64_t hash;
    int trip[32]; // by loop, for the report
    // compared from here on
    int generations; // the youngest; accesses get this one
    bool used;       // some entry has it
    bool guessed;    // something was chosen, trip by trip, that may never go together like this
    uint32_t knows[MOST_GENERATIONS][MOST_WARPS]; // warps that know of warp v's accesses of then
    uint32_t lanes[MOST_GENERATIONS];             // warps whose lanes have met since
    uint64_t decided, taken;                      // conditions
    uint32_t owner[BARRIERS];                     // by barrier id: warps that used it last
    meeting meetings[BARRIERS];                   // by barrier id
    int16_t next[MOST_ROLES];                     // by role: id of its next op
    int8_t value[32];                             // by variable
    int16_t distance[32];                         // by loop, from the index to the end
    int16_t least[32];                            // by loop that is FAR: no less than this; or 0
    int16_t passed[32];                           // by loop, from the start to the index
    int8_t ahead[32]; // by loop of a role: trips more than the slowest partner's, while all are FAR
    int16_t due[32];  // by loop of a role: its distance when it is entered, once a partner knows
    int16_t index[32]; // by loop, a residue
    // then int16_t scalars[], tensor_state tensors[], cell cells[]: see the functions below
} state;

typedef struct state_set {
    state **items;
    int count, capacity;
} state_set;

typedef struct validator {
    kg_arena *arena;
    kg_kernel *kernel;
    kg_validation *out;
    struct {
        access_model *items;
        int count, capacity;
    } accesses;
    struct {
        loop_model *items;
        int count, capacity;
    } loops;
    struct {
        variable *items;
        int count, capacity;
    } variables;
    int *first_access; // by op id; -1: none
    int *loop_of;      // by op id
    bool *matters;     // by op id
    guard *guards;     // by op id
    const kg_op **ops; // by op id
    int *scalar_of;    // by value id: number of a scalar that slots depend on, -1
    int *condition_of; // by value id
    int n_scalars, n_conditions, n_tensors, n_cells, modulus, warps;
    const kg_value **tensors;
    int *cell_byte;    // by cell: one of its bytes
    bool *contested;   // by tensor: it is written, or an acquire may bring something new
    bool *written;     // by tensor: some access writes it
    bool any_computed; // some access of shared memory is at a computed place
    int most_groups;   // above this many groups in flight nothing looks at the number
    size_t state_bytes;
    state_set spare; // memory of states that are done with
    int states, work;
    bool stop;
    // the first doubt: reported if nothing certain turns up
    kg_validation doubt;
    bool in_doubt;
} validator;

static inline int16_t *scalars_of(const state *s)
{
    return (int16_t *)(s + 1);
}
static inline tensor_state *tensors_of(const validator *v, const state *s)
{
    return (tensor_state *)((char *)(s + 1) + (((size_t)v->n_scalars * 2 + 7) & ~(size_t)7));
}
static inline cell *cells_of(const validator *v, const state *s)
{
    return (cell *)(tensors_of(v, s) + v->n_tensors);
}
static inline uint32_t all_warps(const validator *v)
{
    return v->warps == 32 ? ~0u : (1u << v->warps) - 1;
}

// Nothing can be shown any more: UNKNOWN, with the reason.
void validator_give_up(validator *v, const char *format, ...) __attribute__((format(printf, 2, 3)));
// Something is not in order. `certain`: there is such an execution; else it may be that the two
// never meet.
typedef struct complaint {
    bool certain;
    const char *what;
    const access_model *a, *b; // the earlier and the later access; a may be NULL
    int slot, cell;            // of b; cell -1: global memory
    uint32_t warps_a, warps_b; // in which there are two threads that show it
} complaint;
void validator_report(validator *v, const state *s, const complaint *c);

// ---- program.c ----------------------------------------------------------------------------------
bool validator_prepare(validator *v);
// `x == c`, or with !=, where x is something modulo m: x, and the constants.
bool validator_residue_condition(const kg_value *condition, const kg_value **x, int64_t *m,
                                 int64_t *equal);

// ---- guards.c -----------------------------------------------------------------------------------
void validator_describe_loop(validator *v, kg_op *op, loop_model *l);
// The guards of all branches, the values of all variables; accesses and loops are known.
void validator_find_guards(validator *v);

// ---- linear.c: integers as sums of multiples of what is not understood further ------------------
linear linear_of(const kg_value *value);
linear linear_sum(const linear *a, const linear *b, int64_t factor); // a + factor * b
// The factor of a value; 0 when it is not there.
int64_t linear_factor(const linear *a, const kg_value *value);
bool linear_is_constant(const linear *a);

// ---- cells.c ------------------------------------------------------------------------------------
void validator_make_cells(validator *v);
// A thread of these warps, other than `other`, that touches the byte through the access; -1: none.
int validator_thread_at(const access_model *a, int slot, int64_t byte, uint32_t warps, int other);

// ---- global.c -----------------------------------------------------------------------------------
typedef enum how_apart { NEVER_MEET, SAME_THREAD, SAME_WARP, MAY_MEET, SURELY_MEET } how_apart;
// How the elements of the earlier access a and of b lie to each other; `stale`: see struct entry.
how_apart validator_relate(const validator *v, const access_model *a, const access_model *b,
                           int stale);

// ---- memory.c -----------------------------------------------------------------------------------
void validator_access(validator *v, state_set *set, const kg_op *op);
void validator_synchronize(validator *v, state_set *set, const kg_op *op);
// No copy may be in flight when the kernel ends.
void validator_at_end(validator *v, state *s);
void validator_next_trip(const validator *v, state *s, const kg_op *loop);

// A barrier (waits: its warps are held until all are there) or an arrival. False: to be held.
bool validator_arrive(validator *v, state *s, const kg_op *op, int role, bool waits);

// ---- state.c ------------------------------------------------------------------------------------
state *state_new(validator *v);
state *state_copy(validator *v, const state *from);
void state_free(validator *v, state *s);
void state_push(validator *v, state_set *set, state *s);
void state_unify(validator *v, state_set *set); // drops all but one of equal ones
bool state_known(validator *v, state_set *visited, const state *s); // else adds a copy
void state_hash(const validator *v, state *s);

// ---- scalars.c ----------------------------------------------------------------------------------
// The residue of an integer; UNKNOWN_SCALAR of one that is not kept.
int scalar_value(const validator *v, const state *s, const kg_value *value);
// Computes what the op gives to scalars that slots depend on. Where that is not known, the set gets
// a state for each residue.
void validator_scalar(validator *v, state_set *set, const kg_op *op);
// The same for parameters, before anything runs.
void validator_scalar_parameters(validator *v, state_set *set);

// ---- roles.c ------------------------------------------------------------------------------------
// The regions from `first` on that run beside each other and meet; returns the last of them. NULL:
// the region meets nobody, and can be run by itself.
const kg_op *validator_last_role(const validator *v, const kg_op *first);
void validator_find_partners(validator *v);
void validator_roles(validator *v, const kg_op *first, const kg_op *last, state_set *set);

// ---- explore.c ----------------------------------------------------------------------------------
// Steps of control, which roles.c takes one by one.
//
// Empties the set into the arms.
void validator_branch(validator *v, const kg_op *op, state_set arms[2], state_set *set);
// Empties the set into heads: those with distance > 0 make a trip, the others leave the loop.
void validator_enter(validator *v, const kg_op *op, state_set *heads, state_set *set);
// From the end of a trip; to heads likewise.
void validator_go_on(validator *v, const kg_op *op, state_set *heads, state *s);
void validator_leave(validator *v, const kg_op *op, state *s);
// Everything but control.
void validator_plain_op(validator *v, const kg_op *op, state_set *set);
bool validator_spent(validator *v);
void validator_explore(validator *v);
// The number of a quantity whose variable is decided: FAR where it is above all that matters, -FAR
// where below.
int64_t validator_number(const validator *v, const state *s, const quantity *q);
