// SPDX-License-Identifier: MIT
// What the emitters share: the state of one kernel's emission, thread-dependent coordinates,
// places.
//
// A fragment is an array of values, one a register of its layout; a scalar is an array of one. A
// mutable fragment is an array of variables. i1 elements are predicates; all others have the type
// of their dtype. Errors are sticky: emit_error reports once, everything after it builds harmlessly
// on.
#pragma once
#include "codegen/cg.h"
#include "codegen/codegen.h"
#include "ir/cache.h"
#include "ir/split.h"
#include "ir/tensor_map.h"
#include <string.h>

// The part of a coordinate that differs from thread to thread: `value`, with no bit outside `mask`.
// Where `linear`, it is the XOR of lane[i] and warp[i] over the set bits of the thread's number.
typedef struct emit_part {
    cg_value value; // i32; NULL stands for 0
    uint32_t mask;
    bool linear;
    int32_t lane[5], warp[5];
} emit_part;

typedef struct emit_cached_part {
    emit_part part;
    int first_warp;
} emit_cached_part;

// A shared address that depends on the thread alone: run-time parts of the indices, how they are
// scaled, and the swizzled bits that are flipped.
typedef struct emit_base_key {
    cg_value index[KG_MAX_RANK];
    int64_t multiplier[KG_MAX_RANK];
    kg_shared_layout layout;
    int32_t rank, size;
    uint32_t flip;
} emit_base_key;

typedef struct emit_cached_base {
    emit_base_key key;
    cg_value address;
} emit_cached_base;

// Bytes times a stride that is known at run time only.
typedef struct emit_cached_step {
    const kg_sexpr *stride;
    int64_t bytes;
    cg_value value; // i64
} emit_cached_step;

typedef struct emit_cached_value {
    const void *key;
    cg_value value;
} emit_cached_value;

// Registers of an immutable fragment behind a wgmma_fence: its elements, or A's words.
typedef struct emit_led {
    const kg_value *value;
    bool words;
    cg_value *registers;
    int count;
} emit_led;

typedef struct kg_emit {
    struct cg_module *m;
    kg_kernel *kernel;
    kg_arena *arena;
    kg_diags *diags;
    const struct cg_target *target;
    const char *const *sync_reasons; // by id, of kg_codegen_options
    int n_sync_reasons;
    bool failed;
    cg_value **values;                   // by value id; NULL: not defined
    bool *written;                       // by parameter: some op writes it or an alias
    int *readers;                        // by value id: how many operands it is
    struct emit_run *chained;            // a product whose run goes on in the next one; NULL: none
    cg_value thread, lane, warp;         // of the CTA
    kg_region region;                    // that executes the current op
    cg_value region_thread, region_warp; // counted from the region's first warp
    cg_value first_thread;               // predicate: the region's first thread; NULL: it is alone
    cg_value first_lane;                 // predicate: of each warp; NULL: not asked for yet
    cg_value shared_base;
    cg_block region_start; // where what depends on the thread alone is built
    struct {
        emit_cached_part *items;
        int count, capacity;
    } parts;
    struct {
        emit_cached_base *items;
        int count, capacity;
    } bases;
    struct {
        emit_cached_step *items;
        int count, capacity;
    } steps;
    struct {
        emit_cached_value *items;
        int count, capacity;
    } scalars; // materialized sexprs, in the entry
    struct {
        emit_cached_value *items;
        int count, capacity;
    } uniform; // parts that are the same in all lanes, so that ptxas sees it
    struct {
        emit_led *items;
        int count, capacity;
    } led;                      // in this block and those around it
    struct emit_flight *flight; // NULL: no wgmma
    const kg_op *fence;         // that the product right behind it has in its text; NULL: none
    kg_tensor_maps maps;        // behind the other parameters
    cg_value *map_address;      // i64, of each
    cg_value policies[KG_CACHE_PRIORITIES]; // of L2, in this region; NULL: not asked for yet
    cg_value cluster_rank;                  // of this CTA in its cluster, where copies ask for it
    const kg_op *op;                        // that is being emitted
    const kg_op *unbranched; // split loop whose branches are left out for now; NULL: none
    cg_value guard; // predicate of loads and copies, of a branch that was not made; NULL: none
} kg_emit;

// -- emit_kernel.c --------------------------------------------------------------------------------
bool emit_error(kg_emit *e, kg_diag_id id, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
cg_type emit_type(kg_dtype dtype);        // of a register
cg_type emit_memory_type(kg_dtype dtype); // of an element in memory
// Registers of a fragment now. Mutable ones are read; the array is the caller's then.
cg_value *emit_read(kg_emit *e, kg_value *value);
cg_value emit_scalar(kg_emit *e, kg_value *value);
cg_value *emit_new_registers(kg_emit *e, int count);
void emit_define(kg_emit *e, kg_value *value, cg_value *registers);
int emit_register_count(const kg_value *value);
// Is the value held in variables: a mutable fragment, or one that is made in the background?
bool emit_in_variables(const kg_value *value);
cg_value emit_sexpr(kg_emit *e, const kg_sexpr *expr); // i64
// Of a thread when the kernel starts: ptxas shares out the register file by the launch bounds.
int emit_launch_registers(const kg_kernel *kernel);

// -- emit_control.c -------------------------------------------------------------------------------
void emit_enter_region(kg_emit *e, kg_region region);
void emit_block(kg_emit *e, kg_block *block);
void emit_op(kg_emit *e, kg_op *op);

// -- emit_fragment.c: coordinates, and moving registers between layouts ---------------------------
// Thread part of dimension d of a layout, in the current region.
emit_part emit_layout_part(kg_emit *e, const kg_layout *layout, int d);
emit_part emit_linear_part(kg_emit *e, const int32_t *lane, int n_lane, const int32_t *warp,
                           int n_warp);
cg_value emit_part_value(kg_emit *e, emit_part part); // i32, 0 when NULL
// i32 coordinate of a register along d.
cg_value emit_coordinate(kg_emit *e, const kg_layout *layout, int d, int reg);

// A tile as a set of wanted coordinates: those of `from`'s elements that each register of each
// thread shall get.
typedef struct emit_wanted {
    int rank, count;               // of `from`; registers
    int32_t (*coord)[KG_MAX_RANK]; // of each register, thread 0
    int32_t lane[5][KG_MAX_RANK], warp[5][KG_MAX_RANK];
} emit_wanted;
void emit_wanted_layout(kg_emit *e, const kg_layout *layout, emit_wanted *out);
// Gives each thread the elements it wants, by renaming, selects and shuffles. NULL after an error.
cg_value *emit_exchange(kg_emit *e, const kg_layout *from, const cg_value *registers,
                        const emit_wanted *wanted);
cg_value *emit_convert(kg_emit *e, const kg_layout *from, const kg_layout *to,
                       const cg_value *registers);
// The value as a fragment of that layout (scalars are repeated, other layouts are exchanged).
cg_value *emit_read_as(kg_emit *e, kg_value *value, const kg_layout *layout, int count);
cg_value emit_shuffle(kg_emit *e, enum cg_ptx_id id, cg_value value, cg_value selector);
bool emit_fragment_op(kg_emit *e, kg_op *op); // iota, expand, broadcast, transpose, convert

// -- emit_address.c -------------------------------------------------------------------------------
typedef struct emit_place_address {
    int32_t key[KG_MAX_RANK];
    cg_value address;
} emit_place_address;
typedef struct emit_place_test {
    int d;
    int64_t c;
    cg_value value;
} emit_place_test;

// Where the elements of a memory operand lie, for one op: run-time parts and caches of what was
// computed. Dimensions are the root's. An element's index is dyn (or the gathered one) + constant +
// what emit_place_at is given.
typedef struct emit_gather_bits {
    int32_t adds[31]; // by bit of the coordinate; no two have a bit in common
} emit_gather_bits;

typedef struct emit_place {
    kg_view_info view;
    kg_value *root;
    bool shared;
    int rank;                     // of the root
    int size;                     // bytes of an element
    int operand_dim[KG_MAX_RANK]; // -1 = fixed
    emit_part dyn[KG_MAX_RANK];   // start, fixed index and thread part; i64 where the index is
    emit_part thread[KG_MAX_RANK];
    int64_t constant[KG_MAX_RANK]; // constant starts
    kg_value *gather[KG_MAX_RANK]; // index fragment
    bool gathers;
    // Shared: a gather whose index is dyn + constant + what each set bit of the coordinate's
    // constant part adds (emit_gather.c); NULL: it is not.
    const emit_gather_bits *linear[KG_MAX_RANK];
    bool all_linear; // every gather is
    // Global: an index that is select(which, consecutive ones, outside) is a start that holds where
    // `which` does, an i1 fragment; NULL: everywhere.
    kg_value *which[KG_MAX_RANK];
    // shared: bits that the run-time parts of row and column may have, and constant bytes
    kg_shared_layout layout;
    int64_t multiplier[KG_MAX_RANK]; // rows for each step of a leading dimension
    cg_value slot;                   // bytes; NULL = 0
    uint32_t row_mask, column_mask;
    int64_t base;
    // global
    cg_value pointer;            // base, fixed and run-time parts
    bool known[KG_MAX_RANK];     // the stride is a constant:
    int64_t stride[KG_MAX_RANK]; // bytes
    bool test[KG_MAX_RANK];      // must be held against the tensor's size
    cg_value inside;             // predicate of the fixed dimensions, NULL = always
    struct {
        emit_place_address *items;
        int count, capacity;
    } addresses;
    struct {
        emit_place_test *items;
        int count, capacity;
    } tests, gathered;
} emit_place;

typedef struct emit_element {
    cg_value address; // as cg_access wants it
    int64_t offset;
    cg_value inside; // predicate; NULL = always
} emit_element;

// `thread`: the run-time part of each operand dimension (rank entries). false after an error.
bool emit_place_open(kg_emit *e, kg_value *operand, const emit_part *thread, emit_place *out);
// The element at thread part + constant part.
emit_element emit_place_at(kg_emit *e, emit_place *place, const int32_t *constant);
cg_value emit_element_address(kg_emit *e, const emit_place *place,
                              emit_element element); // offset added
// The slot of a view, times `unit`; NULL for 0.
cg_value emit_slot(kg_emit *e, const emit_place *place, int64_t unit);
// Does the address depend on the thread alone, and exist since the region's start?
bool emit_is_thread_base(const kg_emit *e, cg_value address);
cg_value emit_and(kg_emit *e, cg_value a, cg_value b); // predicates; NULL = true
// Adds a scalar, a known multiple of the divisor, to the index of the root's dimension r.
void emit_place_add(kg_emit *e, emit_place *place, int r, kg_value *scalar, int64_t divisor);
// emit_gather.c: takes the gather of dimension r apart, where that can be done.
bool emit_linear_gather(kg_emit *e, emit_place *place, int r);
bool emit_limited_gather(kg_emit *e, emit_place *place, int r);
int64_t emit_gathered_constant(const emit_gather_bits *bits, int64_t constant);
kg_value *emit_root_of(kg_value *operand);

// -- the rest -------------------------------------------------------------------------------------
bool emit_elementwise(kg_emit *e, kg_op *op);
// A run of such ops on large fragments from `op` on, some registers of all of them at a time; the
// last op of the run, NULL when there is none.
kg_op *emit_strips(kg_emit *e, kg_op *op);
cg_value emit_unary(kg_emit *e, kg_opcode code, kg_dtype dtype, cg_value x);
cg_value emit_binary(kg_emit *e, kg_opcode code, kg_dtype dtype, cg_value a, cg_value b);
void emit_cast(kg_emit *e, kg_dtype from, kg_dtype to, const cg_value *in, int count,
               cg_value *out);
cg_value emit_math(kg_emit *e, kg_opcode code, kg_dtype dtype,
                   cg_value x); // f32 or f64; NULL: not a function
cg_value emit_constant(kg_emit *e, kg_dtype dtype, double f, int64_t i);
void emit_reduce(kg_emit *e, kg_op *op);
void emit_scan(kg_emit *e, kg_op *op);
void emit_load(kg_emit *e, kg_op *op);
void emit_store(kg_emit *e, kg_op *op);
void emit_atomic(kg_emit *e, kg_op *op);
void emit_stmatrix(kg_emit *e, kg_op *op); // a store with the attribute MATRIX
void emit_copy(kg_emit *e, kg_op *op);
// How a copy's chunks spread over the threads of its region.
int64_t emit_copy_chunks(const kg_op *op, int *vec);
void emit_dot(kg_emit *e, kg_op *op);
void emit_sync(kg_emit *e, kg_op *op);
// What stands in the PTX beside a synchronization: its id and reasons; NULL when it has none.
const char *emit_sync_comment(kg_emit *e, const kg_op *op);
void emit_elected(kg_emit *e, kg_op *op); // fetch_add, signal, await

// -- emit_cache.c ---------------------------------------------------------------------------------
// The policy of L2 that the op asks for; NULL: none.
cg_value emit_policy(kg_emit *e, const kg_op *op);
// The same, or a cache operator, for an access of the op to global memory.
void emit_cache(kg_emit *e, const kg_op *op, struct cg_access *access);

// -- emit_bulk.c: the copy engine -----------------------------------------------------------------
void emit_maps(kg_emit *e); // in the entry: addresses of the tensor maps, and their prefetch
void emit_bulk_copy(kg_emit *e, kg_op *op);  // copy_bulk, store_bulk, reduce_bulk
void emit_bulk_group(kg_emit *e, kg_op *op); // bulk_commit, bulk_wait
// Shared address of an operand's slot, `bytes` behind its start; NULL after an error.
cg_value emit_slot_address(kg_emit *e, kg_value *operand, int64_t bytes);

// -- emit_mbarrier.c ------------------------------------------------------------------------------
void emit_mbarrier(kg_emit *e, kg_op *op);
void emit_proxy_fence(kg_emit *e, kg_op *op);

// -- emit_wgmma.c: products of warpgroups ---------------------------------------------------------
void emit_wgmma(kg_emit *e, kg_op *op);
// The words of an A fragment, as wgmma takes them: steps of K, then blocks of 64 rows, then four.
cg_value *emit_wgmma_words(kg_emit *e, const kg_op *op, int *count);

// -- emit_flight.c: registers that wgmma has in the background ------------------------------------
void emit_flight_open(kg_emit *e);                        // before the first op
void emit_flight_assigned(kg_emit *e, kg_value *mutable); // declared or assigned
void emit_flight_op(kg_emit *e, kg_op *op);               // wgmma_fence, wgmma_commit, wgmma_wait
// What a fence in front led through, as it is now; NULL: nothing.
cg_value *emit_led_registers(kg_emit *e, const kg_value *value, bool words);
