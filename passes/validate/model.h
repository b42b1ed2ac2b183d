// SPDX-License-Identifier: MIT
// The abstract machine of the validator: what the files of this folder share. See README.md.
#pragma once
#include "passes/validate/program.h"
#include "passes/validate/validate.h"

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

// What is compared is what comes from `generations` on, and of each generation `own` and the planes
// that are kept. Everything in it is zero where it is not used.
typedef struct state {
    // Of one that is kept to compare these, and what visited.c puts behind them.
    uint64_t hash;
    uint32_t *planes_memory; // room for `room` planes
    int packed;              // words that are kept
    uint16_t planes, room;   // how many there are but for those of the youngest generation
    uint8_t capacity;        // in SIZE_STEPs
    bool head;               // an equal one may have been here: look
    uint8_t steps;           // since somebody last looked
    uint16_t held;           // roles that wait
    int trip[32];            // by loop, for the report
    // By generation: planes that something is kept of, as bits, see planes_in; where they lie,
    // those of older ones first; and by state space who has fenced his accesses since.
    uint8_t asked[MOST_GENERATIONS];
    uint16_t plane_at[MOST_GENERATIONS][MOST_PLANES];
    uint32_t own[MOST_GENERATIONS][KINDS_OF_KNOWLEDGE];
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

enum { STATE_KEPT = offsetof(state, trip), STATE_COMPARED = offsetof(state, generations) };

// Where the variable part of a state has what; in bytes. A plane of a generation: a row for each
// warp, and one more for what engines have completed: who knows of what this warp (its first lane)
// did then. A warp that knows of itself: its lanes have met since. Behind the rows, by teller:
// warps whose accesses of then those who came there know. Tellers are the named barriers, and two
// for each mbarrier: its current phase, and the last one that is complete. Where CTAs of a cluster
// are joined, two more for each: what those of other CTAs have left there.
typedef struct shape {
    size_t scalars, tensors, cells, mbarriers, registers, scripts, end;
    int planes, rows, firsts, fenced[KINDS_OF_KNOWLEDGE]; // a plane's number; -1
    int came_after, over; // planes: what happened before, whatever memory shows; operations; -1
    uint32_t of_half[2];  // the other planes, as bits: of all lanes, of first lanes
    int plane;            // words
    int barriers, tellers, peers; // that tell; in all; number of the first of other CTAs
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
    int *condition_of; // by value id
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
    uint32_t *cell_proxies, *tensor_proxies; // that come there by the async proxy
    struct {
        int *items;
        int count;
    } cells_in_flight[KINDS_OF_FLIGHT]; // those that such accesses come to
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
    struct {
        turning *items;
        int count, capacity;
    } turnings;             // that were asked for
    bool plain, turned;     // nothing is to be turned; something was
    bool bare;              // a read met bytes without contents
    uint32_t *packed;       // room for a state
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
static inline uint32_t *rows_of(const validator *v, const state *s, int g, int plane)
{
    return s->planes_memory + (size_t)s->plane_at[g][plane] * (size_t)v->at.plane;
}
static inline uint32_t *told_of(const validator *v, const state *s, int g, int teller, int plane)
{
    return rows_of(v, s, g, plane) + v->at.rows + teller;
}
static inline uint32_t all_planes(const validator *v)
{
    return (1u << v->at.planes) - 1;
}
// The planes of a generation that somebody may ask for, as bits; in the others stands anything. Of
// the youngest it is all, for what is kept of it is still to come. What comes to a plane does not
// depend on the others, but for those of fences, which are kept together with what they fence.
static inline uint32_t planes_in(const validator *v, const state *s, int g)
{
    return g == s->generations || !v->n_mbarriers ? all_planes(v) : s->asked[g];
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

static inline bool by_first_lane(const validator *v, const entry *e)
{
    return v->accesses.items[e->access].elected;
}
static inline bool of_first_lanes(const validator *v, int plane)
{
    bool trace = plane == v->at.came_after || plane == v->at.over;
    return trace || (v->at.firsts == 2 && (plane & 1));
}
// That an engine or a tensor core is done with something needs no scope: it is over for everybody
// in the cluster who comes after, whatever memory shows him of other CTAs.
static inline bool is_over(const validator *v, const entry *e)
{
    if (v->at.over < 0) return false;
    return e->warps == engine(v) ||
           (e->kind == ENTRY_READ && v->accesses.items[e->access].flight == FLIGHT_WGMMA);
}
extern const uint32_t validator_bits[32]; // 1 << i: for loops that compilers make vectors of

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
void validator_fresh_generation(validator *v, state *s, int g); // behind `planes`
// Something is kept of the youngest generation: an entry, or what came to an mbarrier.
void validator_keep(const validator *v, state *s, const entry *e);
void validator_keep_event(const validator *v, state *s);
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

// ---- forget.c -----------------------------------------------------------------------------------
// Time is cut here.
void validator_begin_generation(validator *v, state *s);
// The same, and what nobody asks for is forgotten: equal states become equal.
void validator_tidy(validator *v, state *s);

// ---- batons.c -----------------------------------------------------------------------------------
kg_kernel *validator_baton_kernel(validator *v); // NULL: there are no batons

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
// Branches whose arms do nothing but use registers that are used behind them too do not matter.
void validator_pass_over_uses(validator *v, const kg_block *block);
void validator_touch_registers(validator *v, state *s, const kg_op *op);
void validator_synchronize_registers(validator *v, state *s, const kg_op *op, uint32_t warps);

// ---- state.c ------------------------------------------------------------------------------------
state *state_new(validator *v);
state *state_copy(validator *v, const state *from);
void state_make_room(validator *v, state *s, int planes);
void state_free(validator *v, state *s);
void state_push(validator *v, state_set *set, state *s);
void state_unify(validator *v, state_set *set); // drops all but one of equal ones
void state_hash(const validator *v, state *s);
uint64_t state_hash_of(const char *at, size_t n);
state *state_take(validator *v, size_t bytes); // memory for so much of one

// ---- visited.c ----------------------------------------------------------------------------------
// One like it is in the set, with the rings turned (NULL: as it is); else it is noted there.
bool state_known(validator *v, state_set *visited, const state *s, const turning *turned);

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
void validator_find_partners(validator *v);
// How many trips these loops (as bits) are behind the longest way that some partner has come.
int validator_trips_behind(const validator *v, const state *s, uint32_t loops);
bool validator_leads_idly(const validator *v, const state *s, const kg_op *next);
// What a role that came to this trip of its loop before has found; -1: it is the first.
int validator_follow(validator *v, state *s, int which, int seat);
void validator_lead(validator *v, state *s, int which, int seat, int found);
void validator_roles(validator *v, const kg_op *first, const kg_op *last, state_set *set);

// ---- turns.c ------------------------------------------------------------------------------------
void validator_find_turns(validator *v);
// What turns the rings of these classes (as bits) to 0; NULL: they are. Good until the next call.
const turning *validator_turn(validator *v, const state *s, uint32_t classes);

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
