// SPDX-License-Identifier: MIT
// The abstract machine of the validator: what the files of this folder share. See README.md.
#pragma once
#include "ir/access.h"
#include "passes/validate/cluster.h"
#include "passes/validate/validate.h"

enum {
    MOST_ENTRIES = 4,      // accesses of a cell since its last write that are told apart
    MOST_GENERATIONS = 40, // 0: everybody knows
    MANY_GENERATIONS = 24, // that are kept though nobody may ask for them
    MOST_GLOBAL = 32,      // accesses of a tensor that are told apart
    MOST_CONDITIONS = 64,  // whose outcome is remembered
    MOST_WARPS = 32,
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
    FLIGHT_WGMMA      // a group of a warpgroup
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
    int condition, script, seat; // FREE: its number, or -1; the others as of a variable
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

// ---- a state ----------------------------------------------------------------------------------

enum { MIXED = 2 };
typedef enum entry_kind { ENTRY_NONE, ENTRY_READ, ENTRY_WRITE, ENTRY_UPDATE } entry_kind;

// One access that later ones may have to be ordered after.
typedef struct entry {
    uint16_t access;
    uint8_t kind, generation;
    int8_t lane;
    uint8_t phase;   // 0: complete. In flight: by groups, 1 not committed, 2 + n: n younger groups
                     // committed; FLIGHT_PHASE: 1 + the mbarrier's slot
    uint8_t stale;   // 1 + number of the outermost loop around that has made a trip since
    uint8_t inexact; // it may have been elsewhere; MIXED: stands for several accesses
    uint32_t warps;
} entry;

typedef struct cell {
    entry write;
    entry entries[MOST_ENTRIES]; // reads, updates, writes that may have been elsewhere
    uint8_t count, written;
    uint8_t live; // an mbarrier's bytes
    uint8_t pad;
} cell;

typedef struct tensor_state {
    entry entries[MOST_GLOBAL];
    int count;
} tensor_state;

// A named barrier at which some have arrived.
typedef struct meeting {
    uint16_t arrived, count;  // threads
    uint16_t waiting, unused; // roles that are held
    uint32_t warps, came;     // that wait, that have arrived
} meeting;

// Something that warps did at an mbarrier: of each its first lane.
typedef struct event {
    uint32_t warps;
    uint16_t access;
    uint8_t generation, pad;
} event;

// What happened in a phase of an mbarrier, and who has seen that it is over.
typedef struct phase {
    event came[MOST_EVENTS], seen[MOST_EVENTS];
    bool exists;    // it is not before the first
    bool copies;    // counted towards it
    bool inexact;   // more events than are told apart
    uint8_t landed; // the generation in which its copies were complete
} phase;

// A slot of a ring of mbarriers. `parity` is that of the current phase.
typedef struct mbarrier {
    bool live;
    uint8_t parity;
    uint16_t waiting;                  // roles that are held
    uint16_t held;                     // the access of one that waits
    uint32_t warps;                    // that wait
    uint32_t far;                      // of these, at the cluster's scope
    int32_t pending, expected, issued; // arrivals to come; bytes
    phase now, last, before;
} mbarrier;

// Registers of a fragment that wgmma works on.
typedef struct registers {
    uint32_t touched; // warps that used them otherwise since their last wgmma_fence
    uint32_t flying;  // warps in which a wgmma works on them
    uint8_t phase, written, pad[2];
} registers;

// How often loops of a set go on: what the fastest role has found, for the others. By trip: 0 too
// far from the end to tell, else 1 + the distance.
typedef struct script {
    uint8_t count, at[MOST_ROLES];
    uint8_t found[MOST_AHEAD];
} script;

// What is known of an access by its order alone; and what the async proxy sees of it. (The clocks G
// and A, the latter by state space.)
typedef enum knowledge { KNOWN, SHARED_FENCED, GLOBAL_FENCED, KINDS_OF_KNOWLEDGE } knowledge;

// What compares and hashes is the block from `generations` on, up to the last generation.
// Everything in it is zero where it is not used.
typedef struct state {
    uint64_t hash;
    int trip[32];     // by loop, for the report
    bool head;        // an equal one may have been here: look
    uint8_t steps;    // since somebody last looked
    uint8_t capacity; // in SIZE_STEPs
    int packed;       // of one that is kept to compare: words from `generations` on, see state.c
    // compared from here on
    int generations; // the youngest; accesses get this one
    bool used;       // some entry has it
    bool guessed;    // something was chosen, trip by trip, that may never go together like this
    uint32_t alive;  // warps that have something left to touch
    uint64_t decided, taken;    // conditions
    uint32_t owner[BARRIERS];   // by barrier id: warps that used it last
    meeting meetings[BARRIERS]; // by barrier id
    int16_t next[MOST_ROLES];   // by role: id of its next op
    int8_t value[32];           // by variable
    int16_t distance[32];       // by loop, from the index to the end
    int16_t least[32];          // by loop that is FAR: no less than this; or 0
    int16_t passed[32];         // by loop, from the start to the index
    int16_t index[32];          // by loop, a residue
    // Then scalars, tensors, cells, mbarriers, registers, scripts, and a block of words for each
    // generation: see struct shape.
} state;

// Where the variable part of a state has what; in bytes. A block of a generation: `planes` times a
// row for each warp, and one more for what engines have completed: who knows of what this warp (its
// first lane) did then. A warp that knows of itself: its lanes have met since. Behind the rows, by
// state space, the warps that have fenced their own accesses since. Then, by plane and teller:
// warps whose accesses of then those who came there know. Tellers are the named barriers, and two
// for each mbarrier: its current phase, and the last one that is complete. Where CTAs of a cluster
// are joined, two more for each: what those of other CTAs have left there.
typedef struct shape {
    size_t scalars, tensors, cells, mbarriers, registers, scripts, generations, bytes;
    int planes, rows, firsts, fenced[KINDS_OF_KNOWLEDGE]; // a plane's number; -1
    int came_after, over; // planes: what happened before, whatever memory shows; operations; -1
    int own, told, words, barriers; // in a block; barriers that tell
    int tellers, peers;             // in all; number of the first of other CTAs
} shape;

typedef struct state_set {
    state **items;
    int count, capacity;
    int *table, slots; // of state_known: numbers of items + 1, by hash
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
    int *dies_at;      // by op id: number of a scalar that nobody asks for behind the op; -1
    bool *dies;        // by scalar: there is such an op
    int *dies_too;     // by scalar: the next of the same op; -1
    int *condition_of, *twin_of; // by value id; 1 + that of one known to be the same
    const kg_value *conditions[MOST_CONDITIONS];
    int n_scalars, n_conditions, n_tensors, n_cells, n_mbarriers, n_registers, n_scripts;
    int modulus, warps;
    joined_ctas ctas;             // count 0: one alone
    int *registers_of;            // by value id: number of registers that wgmma works on, -1
    int32_t arrivals[MOST_SLOTS]; // by slot of an mbarrier
    const kg_value *mbarrier_root[MOST_SLOTS];
    int seats[MOST_SCRIPTS]; // by script: roles
    shape at;
    const kg_value **tensors;
    int *cta_of_tensor;
    int *cell_byte;                                                  // by cell: one of its bytes
    uint32_t *cell_users, *tensor_users, mbarrier_users[MOST_SLOTS]; // warps that come there at all
    uint32_t mbarrier_waiters[MOST_SLOTS];
    int16_t peers_of[MOST_SLOTS];            // a number of those at which other CTAs arrive; -1
    bool far_waits[MOST_SLOTS];              // some wait there is of the cluster's scope
    uint32_t *cell_writers, *tensor_writers; // that a read may have to come before
    bool *contested;   // by tensor: it is written, and not only where nobody else comes
    bool *written;     // by tensor: some access writes it
    uint8_t *related;  // by two accesses and stale loops: 1 + how_apart, once asked; or NULL
    bool any_computed; // some access of shared memory is at a computed place
    int most_groups;   // above this many groups in flight nothing looks at the number
    struct {
        ring_class *items;
        int count, capacity;
    } turns;
    int *turn_of_scalar, turn_of_loop[32]; // -1: none
    int turn_of_mbarrier[MOST_SLOTS];
    uint8_t ring_of_mbarrier[MOST_SLOTS], place_of_mbarrier[MOST_SLOTS],
        cta_of_mbarrier[MOST_SLOTS];
    state *form[2];         // turned
    bool plain, turned;     // nothing is to be turned; something was
    bool bare;              // a read met bytes without contents
    uint64_t *packed;       // room for a state
    state_set spare[SIZES]; // memory of states that are done with, by capacity
    int states, work;
    bool stop;
    // the first doubt: reported if nothing certain turns up
    kg_validation doubt;
    bool in_doubt;
} validator;

static inline int16_t *scalars_of(const validator *v, const state *s)
{
    return (int16_t *)((char *)s + v->at.scalars);
}
static inline tensor_state *tensors_of(const validator *v, const state *s)
{
    return (tensor_state *)((char *)s + v->at.tensors);
}
static inline cell *cells_of(const validator *v, const state *s)
{
    return (cell *)((char *)s + v->at.cells);
}
static inline mbarrier *mbarriers_of(const validator *v, const state *s)
{
    return (mbarrier *)((char *)s + v->at.mbarriers);
}
static inline registers *registers_of(const validator *v, const state *s)
{
    return (registers *)((char *)s + v->at.registers);
}
static inline script *scripts_of(const validator *v, const state *s)
{
    return (script *)((char *)s + v->at.scripts);
}
static inline uint32_t *generation_of(const validator *v, const state *s, int g)
{
    return (uint32_t *)((char *)s + v->at.generations) + (ptrdiff_t)(g - 1) * v->at.words;
}
static inline uint32_t *rows_of(const validator *v, const state *s, int g, int plane)
{
    return generation_of(v, s, g) + plane * v->at.rows;
}
static inline uint32_t *told_of(const validator *v, const state *s, int g, int teller, int plane)
{
    return generation_of(v, s, g) + v->at.told + plane * v->at.tellers + teller;
}
static inline uint32_t *own_of(const validator *v, const state *s, int g, knowledge space)
{
    return generation_of(v, s, g) + v->at.own + space;
}
// The plane for what a warp's first lane did, or all lanes; -1: no such thing is kept.
static inline int plane_of(const validator *v, knowledge kind, bool first)
{
    return v->at.fenced[kind] < 0 ? -1 : v->at.fenced[kind] + (first && v->at.firsts == 2);
}
static inline int teller_of(const validator *v, int slot, bool last)
{
    return v->at.barriers + 2 * slot + last;
}
static inline bool has_peers(const validator *v, int slot)
{
    return v->peers_of[slot] >= 0;
}
static inline int peer_of(const validator *v, int slot, bool last)
{
    return v->at.peers + 2 * v->peers_of[slot] + last;
}
static inline int cta_of(const validator *v, uint32_t warps)
{
    return v->ctas.count ? __builtin_ctz(warps) / v->ctas.warps : 0;
}
static inline uint32_t warps_of_cta(const validator *v, int cta)
{
    if (!v->ctas.count) return ~0u;
    return ((UINT32_C(1) << v->ctas.warps) - 1) << cta * v->ctas.warps;
}
static inline int cta_of_byte(const validator *v, int64_t byte)
{
    return v->ctas.count ? (int)(byte / v->ctas.bytes) : 0;
}
// In masks of warps: the copy engine.
static inline uint32_t engine(const validator *v)
{
    return v->n_mbarriers ? 1u << v->warps : 0;
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
// The same integer whenever both are computed, by what the text says.
bool linear_same_value(const kg_value *a, const kg_value *b);
// Equal in trips of roles that go together.
bool linear_correspond(const validator *v, const linear *a, const linear *b);
bool linear_same_in_trips(const validator *v, const kg_value *a, const kg_value *b);
// From trip to trip of the loop.
bool linear_changes_in(const kg_value *value, const kg_op *loop);

// ---- cells.c ------------------------------------------------------------------------------------
void validator_make_cells(validator *v);
// A thread of these warps, other than `other`, that touches the byte through the access; -1: none.
int validator_thread_at(const access_model *a, int slot, int64_t byte, uint32_t warps, int other);

// ---- global.c -----------------------------------------------------------------------------------
typedef enum how_apart { NEVER_MEET, SAME_THREAD, SAME_WARP, MAY_MEET, SURELY_MEET } how_apart;
// How the elements of the earlier access a and of b lie to each other; `stale`: see struct entry.
how_apart validator_relate(const validator *v, const access_model *a, const access_model *b,
                           int stale);

// ---- order.c: who knows of what -----------------------------------------------------------------
// Does everybody of `warps` (in each the lane, or MANY_LANES) know of the entry? If not, *from and
// *to are a warp of the entry and one that does not know.
bool validator_ordered(const validator *v, const state *s, const entry *e, knowledge kind,
                       uint32_t warps, int lane, uint32_t *from, uint32_t *to);
void validator_fresh_generation(const validator *v, state *s, int g);
// Time is cut here.
void validator_begin_generation(validator *v, state *s);
// The same, and what nobody asks for is forgotten: equal states become equal.
void validator_tidy(validator *v, state *s);
kg_kernel *validator_baton_kernel(validator *v); // see batons.c; NULL: there are no batons
// What one of these warps knows, all of them know; their lanes meet.
void validator_tell(const validator *v, state *s, uint32_t warps);
void validator_meet_lanes(const validator *v, state *s, uint32_t warps);
// All lanes of the warps, or the first of each, leave with a teller what they know.
void validator_leave_word(const validator *v, state *s, int teller, uint32_t warps, bool all_lanes);
// Only that they came this far; `over`: and which operations of engines are over.
void validator_leave_trace(const validator *v, state *s, int teller, uint32_t warps, bool over);
void validator_take_word(const validator *v, state *s, int teller, uint32_t warps);
// Only what has happened, not what memory shows of it.
void validator_take_trace(const validator *v, state *s, int teller, uint32_t warps);
void validator_proxy_fence(const validator *v, state *s, knowledge space, uint32_t warps);

// ---- memory.c -----------------------------------------------------------------------------------
void validator_access(validator *v, state_set *set, const kg_op *op);
void validator_next_trip(const validator *v, state *s, const kg_op *loop);

// ---- copies.c: what is in flight ----------------------------------------------------------------
void validator_commit(validator *v, state *s, flight kind, uint32_t warps);
void validator_wait(validator *v, state *s, flight kind, uint32_t warps, int count);
// The copies of a slot's phase are complete.
void validator_land(validator *v, state *s, int slot);
// Nothing may be in flight when the kernel ends.
void validator_at_end(validator *v, state *s);

// ---- synchronize.c ------------------------------------------------------------------------------
uint32_t validator_warps_of(const kg_op *op);
void validator_synchronize(validator *v, state_set *set, const kg_op *op);
void validator_complain_of(validator *v, const state *s, const kg_op *op, const char *what);
// A barrier (waits: its warps are held until all are there) or an arrival. False: to be held.
bool validator_arrive(validator *v, state *s, const kg_op *op, int role, bool waits);

// ---- mbarriers.c --------------------------------------------------------------------------------
bool validator_at_mbarrier(const kg_op *op); // it does something at one
const access_model *validator_use_of(const validator *v, const kg_op *op);
int validator_slot_of(validator *v, const state *s, const access_model *use);
// Role -1: nobody is there who could come to the help of one who waits.
void validator_mbarrier(validator *v, state *s, const kg_op *op, int role);
void validator_report_waiting(validator *v, const state *s, int slot, const kg_op *op);
// No CTA of a cluster has ended before what others did to its mbarriers.
void validator_mbarriers_at_end(validator *v, const state *s);

// ---- registers.c --------------------------------------------------------------------------------
void validator_find_registers(validator *v);
bool validator_has_registers(const validator *v, const kg_op *op);
void validator_touch_registers(validator *v, state *s, const kg_op *op);
void validator_synchronize_registers(validator *v, state *s, const kg_op *op, uint32_t warps);

// ---- state.c ------------------------------------------------------------------------------------
state *state_new(validator *v);
state *state_copy(validator *v, const state *from);
void state_set_to(const validator *v, state *s, const state *from); // it has room for all
void state_free(validator *v, state *s);
void state_push(validator *v, state_set *set, state *s);
void state_unify(validator *v, state_set *set); // drops all but one of equal ones
bool state_known(validator *v, state_set *visited, const state *s); // else notes it
void state_hash(const validator *v, state *s);

// ---- scalars.c ----------------------------------------------------------------------------------
// The residue of an integer; UNKNOWN_SCALAR of one that is not kept.
int scalar_value(const validator *v, const state *s, const kg_value *value);
// Computes what the op gives to scalars that slots depend on. Where that is not known, the set gets
// a state for each residue.
void validator_scalar(validator *v, state_set *set, const kg_op *op);
// Where each of them is used last; guards are known.
void validator_find_last_uses(validator *v);
// Behind the op: what nobody asks for again is UNUSED_SCALAR, so that fewer states differ.
void validator_forget_scalars(const validator *v, state *s, const kg_op *op);
// For parameters, before anything runs.
void validator_scalar_parameters(validator *v, state_set *set);

// ---- roles.c ------------------------------------------------------------------------------------
// The regions from `first` on that run beside each other and meet; returns the last of them. NULL:
// the region meets nobody, and can be run by itself.
const kg_op *validator_last_role(const validator *v, const kg_op *first);
void validator_find_partners(validator *v), validator_find_twin_branches(validator *v, int n_ops);
// How many trips a role's loops are behind the longest way that some partner has come.
int validator_trips_behind(const validator *v, const state *s, const kg_op *role);
bool validator_leads_idly(const validator *v, const state *s, const kg_op *next);
// What a role that came to this trip of its loop before has found; -1: it is the first.
int validator_follow(validator *v, state *s, int which, int seat);
void validator_lead(validator *v, state *s, int which, int seat, int found);
void validator_roles(validator *v, const kg_op *first, const kg_op *last, state_set *set);

// ---- turns.c ------------------------------------------------------------------------------------
void validator_find_turns(validator *v);
// With the rings of these classes (as bits) turned to 0; good until the next call.
state *validator_turned(validator *v, state *s, uint32_t classes);

// ---- explore.c ----------------------------------------------------------------------------------
// Steps of control, which roles.c takes one by one. This one empties the set into the arms.
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
// Of a quantity whose variable is decided: FAR above all that matters, -FAR below.
int64_t validator_number(const validator *v, const state *s, const quantity *q);
