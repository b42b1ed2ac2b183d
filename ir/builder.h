// SPDX-License-Identifier: MIT
// The C builder: makes every kernel that the text form can say, by calls instead of text.
//
// It follows the same rules as the parser, by the same code: operands broadcast, literals take the
// other operand's type, i32 with i64 and f16 or bf16 with f32 are promoted, memory used as a value
// is loaded.
//
//   kg_build *b = kg_build_new(NULL);
//   kg_build_kernel(b, "scale");
//   kg_value *x = kg_build_tensor(b, "x", KG_F32, 1, kg_build_size(b, "N"));
//   kg_value *i = kg_build_grid(b, "i", kg_build_size_op(b, KG_SX_CEILDIV, kg_build_size(b, "N"),
//                                                     kg_build_size_int(b, 256)));
//   kg_value *start = kg_build_op(b, KG_OP_MUL, 2, i, kg_build_int(b, 256));
//   kg_value *tile = kg_build_view(b, x, 1, kg_from(start, 256));
//   kg_build_store(b, tile, kg_build_op(b, KG_OP_MUL, 2, tile, kg_build_float(b, 2.0)), NULL);
//   const char *text = kg_build_text(b);   // for kgen_compile; NULL when there was an error
//   puts(text ? text : kg_build_report(b));
//   kg_build_free(b);
//
// Errors. Nothing is returned as a status on each call: a call that cannot do what it is asked for
// adds a finding (kg_build_findings) and returns NULL, and a call that is given such a NULL returns
// NULL without a finding of its own. So a whole kernel can be built without looking, and asked
// about at the end. A failed allocation counts as a finding too; no call ever ends the process.
//
// Order. Ops stand in the order of the calls that make them; views and constants are ops too. C
// evaluates the arguments of one call in any order, so give calls of their own to what must come
// first.
//
// Ownership. Everything belongs to the builder and lives until kg_build_free: values, sizes,
// findings, text. Strings given to calls are copied. Values belong to the kernel that was open when
// they were made.
//
// Threads. A builder belongs to one thread at a time; builders share nothing.
#pragma once
#include "ir/ir.h"

#if defined(__GNUC__)
#define KG_BUILD_API __attribute__((visibility("default")))
#else
#define KG_BUILD_API
#endif

typedef struct kg_build kg_build;

// ---- life of a builder -------------------------------------------------------------------------
// A NULL allocator means malloc and free. NULL when there is no memory.
KG_BUILD_API kg_build *kg_build_new(const kg_allocator *allocator);
KG_BUILD_API void kg_build_free(kg_build *b); // NULL is fine
// Findings so far: how many errors, the list (linked by `next`), all of them as text.
KG_BUILD_API int kg_build_errors(const kg_build *b);
KG_BUILD_API const kg_diag *kg_build_findings(const kg_build *b);
KG_BUILD_API const char *kg_build_report(kg_build *b);
// Ends what is open, verifies, and gives the kernels; NULL when there is any finding. The unit may
// be handed to the passes; it dies with the builder.
KG_BUILD_API kg_unit *kg_build_unit(kg_build *b);
// The same as text of the .kg language, which parses to the same IR.
KG_BUILD_API const char *kg_build_text(kg_build *b);

// ---- header ------------------------------------------------------------------------------------
// Begins a kernel, after ending the one before. Parameters and clauses come first, in any order;
// the first op ends the header.
KG_BUILD_API bool kg_build_kernel(kg_build *b, const char *name);
KG_BUILD_API bool kg_build_warps(kg_build *b, int warps);   // 1 to 32; 4 when not called
KG_BUILD_API bool kg_build_ctas(kg_build *b, int min_ctas); // CTAs that should fit on an SM
// CTAs along the first axis of the grid that run together.
KG_BUILD_API bool kg_build_cluster(kg_build *b, int ctas);
// The clause `schedule`: one of schedule.def by its name, with its value or values.
KG_BUILD_API bool kg_build_schedule(kg_build *b, const char *key, int count, ...);
KG_BUILD_API bool kg_build_assume(kg_build *b, kg_sexpr *condition);
// A grid axis, the first fastest; its index is an i32 scalar.
KG_BUILD_API kg_value *kg_build_grid(kg_build *b, const char *name, kg_sexpr *extent);

// Sizes: integers, parameters by name, and what can be made of both. A name that is no parameter
// yet becomes one behind the declared ones: i32 by kg_build_size, i64 by kg_build_stride.
KG_BUILD_API kg_sexpr *kg_build_size_int(kg_build *b, int64_t value);
KG_BUILD_API kg_sexpr *kg_build_size(kg_build *b, const char *name);
KG_BUILD_API kg_sexpr *kg_build_stride(kg_build *b, const char *name);
KG_BUILD_API kg_sexpr *kg_build_size_op(kg_build *b, kg_sexpr_kind kind, kg_sexpr *left,
                                        kg_sexpr *right);

// Parameters in launch order. A tensor has `rank` (1 to 5) sizes, given as arguments or as an
// array.
KG_BUILD_API kg_value *kg_build_tensor(kg_build *b, const char *name, kg_dtype dtype, int rank,
                                       ... /* kg_sexpr * */);
KG_BUILD_API kg_value *kg_build_tensor_array(kg_build *b, const char *name, kg_dtype dtype,
                                             int rank, kg_sexpr *const *sizes);
KG_BUILD_API kg_value *kg_build_scalar(kg_build *b, const char *name, kg_dtype dtype);
// Of a tensor parameter: strides in elements, one a dimension (row-major when not called); bytes
// that the base pointer is aligned to (16 when not called); another tensor that may be the same
// memory.
KG_BUILD_API bool kg_build_strides(kg_build *b, kg_value *tensor, int rank, ... /* kg_sexpr * */);
KG_BUILD_API bool kg_build_strides_array(kg_build *b, kg_value *tensor, int rank,
                                         kg_sexpr *const *strides);
KG_BUILD_API bool kg_build_align(kg_build *b, kg_value *tensor, int bytes);
KG_BUILD_API bool kg_build_alias(kg_build *b, kg_value *tensor, kg_value *other);
// The value of a size parameter in the body (a parameter that kg_build_size made).
KG_BUILD_API kg_value *kg_build_param(kg_build *b, const char *name);

// ---- constants and pure ops --------------------------------------------------------------------
// Literals without a type of their own: they take the other operand's, i32, f32 or i1 when alone.
// Not ops yet: each use makes one.
KG_BUILD_API kg_value *kg_build_int(kg_build *b, int64_t value);
KG_BUILD_API kg_value *kg_build_float(kg_build *b, double value);
KG_BUILD_API kg_value *kg_build_truth(kg_build *b, bool value);
// A constant of a stated type: a scalar.
KG_BUILD_API kg_value *kg_build_const(kg_build *b, kg_dtype dtype, double value);
KG_BUILD_API kg_value *kg_build_const_int(kg_build *b, kg_dtype dtype, int64_t value);

// Unary, binary and compare ops, select, fma, dot, wgmma: `count` operands by the op's rules. dot
// and wgmma take views or fragments; with two operands their accumulator is zero.
KG_BUILD_API kg_value *kg_build_op(kg_build *b, kg_opcode op, int count, ... /* kg_value * */);
KG_BUILD_API kg_value *kg_build_op_array(kg_build *b, kg_opcode op, int count,
                                         kg_value *const *operands);
KG_BUILD_API kg_value *kg_build_cast(kg_build *b, kg_value *x, kg_dtype dtype);
KG_BUILD_API kg_value *kg_build_bitcast(kg_build *b, kg_value *x, kg_dtype dtype);
// Reductions and scans along an axis, negative ones from the end. KG_ALL_AXES: reductions to a
// scalar.
#define KG_ALL_AXES INT32_MAX
KG_BUILD_API kg_value *kg_build_along(kg_build *b, kg_opcode op, kg_value *x, int axis);
// Integers 0, 1, .. along an axis of a tile.
KG_BUILD_API kg_value *kg_build_iota(kg_build *b, kg_dtype dtype, int axis, int rank,
                                     ... /* int */);
KG_BUILD_API kg_value *kg_build_iota_array(kg_build *b, kg_dtype dtype, int axis, int rank,
                                           const int *shape);
KG_BUILD_API kg_value *kg_build_expand(kg_build *b, kg_value *x, int axis); // an axis of extent 1
// Elements `first` to `last` (not included) along an axis, one of equal parts.
KG_BUILD_API kg_value *kg_build_part(kg_build *b, kg_value *x, int axis, int first, int last);
KG_BUILD_API kg_value *kg_build_broadcast(kg_build *b, kg_value *x, int rank, ... /* int */);
KG_BUILD_API kg_value *kg_build_broadcast_array(kg_build *b, kg_value *x, int rank,
                                                const int *shape);
// Of a view (no data moves) or a fragment. The array flavour takes the permutation; without one:
// reversed.
KG_BUILD_API kg_value *kg_build_transpose(kg_build *b, kg_value *x);
KG_BUILD_API kg_value *kg_build_transpose_array(kg_build *b, kg_value *x, int rank,
                                                const int *permutation);

// ---- memory ------------------------------------------------------------------------------------
typedef struct kg_index {
    kg_index_kind kind;
    kg_value *value; // AT, FROM: integer scalar; GATHER: rank-1 integer fragment
    int extent;      // FROM, ALL; 0 with ALL: the whole dimension, which must be constant
} kg_index;

static inline kg_index kg_at(kg_value *i)
{
    return (kg_index){KG_INDEX_AT, i, 1};
}
static inline kg_index kg_from(kg_value *start, int extent)
{
    return (kg_index){KG_INDEX_FROM, start, extent};
}
static inline kg_index kg_all(int extent)
{
    return (kg_index){KG_INDEX_ALL, NULL, extent};
}
static inline kg_index kg_gather(kg_value *indices)
{
    return (kg_index){KG_INDEX_GATHER, indices, 0};
}

// A buffer in shared memory; `ring` slots of that shape, 0 for no ring. Name may be NULL.
KG_BUILD_API kg_value *kg_build_shared(kg_build *b, const char *name, kg_dtype dtype, int ring,
                                       int rank, ... /* int */);
KG_BUILD_API kg_value *kg_build_shared_array(kg_build *b, const char *name, kg_dtype dtype,
                                             int ring, int align, int rank, const int *shape);
// A tile of a tensor or of a buffer without ring, one index a dimension.
KG_BUILD_API kg_value *kg_build_view(kg_build *b, kg_value *memory, int count, ... /* kg_index */);
KG_BUILD_API kg_value *kg_build_view_array(kg_build *b, kg_value *memory, int count,
                                           const kg_index *indices);
// The same of a ring's slot `iteration` mod ring; count 0: the whole slot.
KG_BUILD_API kg_value *kg_build_slot(kg_build *b, kg_value *ring, kg_value *iteration, int count,
                                     ... /* kg_index */);
KG_BUILD_API kg_value *kg_build_slot_array(kg_build *b, kg_value *ring, kg_value *iteration,
                                           int count, const kg_index *indices);
// mask, otherwise: NULL when there is none.
KG_BUILD_API kg_value *kg_build_load(kg_build *b, kg_value *view, kg_value *mask,
                                     kg_value *otherwise);
KG_BUILD_API bool kg_build_store(kg_build *b, kg_value *view, kg_value *value, kg_value *mask);
KG_BUILD_API bool kg_build_copy(kg_build *b, kg_value *shared_view, kg_value *global_view);
KG_BUILD_API bool kg_build_copy_async(kg_build *b, kg_value *shared_view, kg_value *global_view);
// By the copy engine. `on`: the phase of an mbarrier, a slot of its ring; NULL until there is one.
KG_BUILD_API bool kg_build_copy_bulk(kg_build *b, kg_value *shared_view, kg_value *global_view,
                                     kg_value *on);
KG_BUILD_API bool kg_build_store_bulk(kg_build *b, kg_value *global_view, kg_value *shared_view);
// `by`: add, min, max, and, or, xor.
KG_BUILD_API bool kg_build_reduce_bulk(kg_build *b, kg_value *global_view, kg_value *shared_view,
                                       const char *by);
KG_BUILD_API bool kg_build_atomic(kg_build *b, kg_opcode op, kg_value *view, kg_value *value,
                                  kg_value *mask);
KG_BUILD_API kg_value *kg_build_fetch_add(kg_build *b, kg_value *view, kg_value *value);
KG_BUILD_API bool kg_build_signal(kg_build *b, kg_value *view, kg_value *value);
// >= or ==
KG_BUILD_API bool kg_build_await(kg_build *b, kg_value *view, bool at_least, kg_value *value);

// ---- mutable fragments -------------------------------------------------------------------------
// With the type of the first value, or of a stated shape to which a scalar is broadcast.
KG_BUILD_API kg_value *kg_build_frag(kg_build *b, const char *name, kg_value *first);
KG_BUILD_API kg_value *kg_build_frag_tile(kg_build *b, const char *name, kg_dtype dtype,
                                          kg_value *first, int rank, ... /* int */);
KG_BUILD_API kg_value *kg_build_frag_array(kg_build *b, const char *name, kg_dtype dtype,
                                           kg_value *first, int rank, const int *shape);
KG_BUILD_API bool kg_build_assign(kg_build *b, kg_value *frag, kg_value *value);

// ---- regions: each begin has its kg_build_end --------------------------------------------------
// Gives the index. step NULL: 1. pipeline, unroll: 0 for none.
KG_BUILD_API kg_value *kg_build_for(kg_build *b, const char *name, kg_value *low, kg_value *high,
                                    kg_value *step, int pipeline, int unroll);
// what follows computes the condition
KG_BUILD_API bool kg_build_while(kg_build *b);
KG_BUILD_API bool kg_build_do(kg_build *b, kg_value *condition); // what follows is the body
KG_BUILD_API bool kg_build_if(kg_build *b, kg_value *condition);
KG_BUILD_API bool kg_build_else(kg_build *b);
// role may be NULL
KG_BUILD_API bool kg_build_role(kg_build *b, int first_warp, int last_warp, const char *role);
KG_BUILD_API bool kg_build_end(kg_build *b);

// ---- synchronization by hand: checked by the compiler ------------------------------------------
KG_BUILD_API bool kg_build_barrier(kg_build *b);
KG_BUILD_API bool kg_build_named_barrier(kg_build *b, int id, int threads);
KG_BUILD_API bool kg_build_arrive(kg_build *b, int id, int threads);
KG_BUILD_API bool kg_build_warp_sync(kg_build *b);
KG_BUILD_API bool kg_build_cluster_barrier(kg_build *b);
KG_BUILD_API bool kg_build_grid_wait(kg_build *b);
KG_BUILD_API bool kg_build_launch_dependents(kg_build *b);
KG_BUILD_API bool kg_build_commit(kg_build *b);
KG_BUILD_API bool kg_build_wait(kg_build *b, int groups_in_flight);
KG_BUILD_API bool kg_build_fence(kg_build *b, const char *order, const char *scope);
// mbarriers: a ring of `slots` (0: one alone) whose phases end with so many arrivals. The others
// take a slot of it (kg_build_slot), or the lone one.
KG_BUILD_API kg_value *kg_build_mbarrier(kg_build *b, const char *name, int slots, int arrivals);
KG_BUILD_API bool kg_build_mbarrier_init(kg_build *b, kg_value *ring);
KG_BUILD_API bool kg_build_mbarrier_expect(kg_build *b, kg_value *slot, int64_t bytes);
// One thread of each warp arrives, or every thread.
KG_BUILD_API bool kg_build_mbarrier_arrive(kg_build *b, kg_value *slot, bool by_thread);
// For the phase of this trip, or of the trip one turn of the ring before.
KG_BUILD_API bool kg_build_mbarrier_wait(kg_build *b, kg_value *slot, bool behind);
KG_BUILD_API bool kg_build_proxy_fence(kg_build *b, const char *space); // shared, global
KG_BUILD_API bool kg_build_bulk_commit(kg_build *b);
// `read`: only until the sources have been read.
KG_BUILD_API bool kg_build_bulk_wait(kg_build *b, int groups_in_flight, bool read);
KG_BUILD_API bool kg_build_wgmma_fence(kg_build *b);
KG_BUILD_API bool kg_build_wgmma_commit(kg_build *b);
KG_BUILD_API bool kg_build_wgmma_wait(kg_build *b, int groups_in_flight);

// ---- names and attributes ----------------------------------------------------------------------
// What the text calls a value: for readers of the text and of messages. NULL back when the name is
// no name.
KG_BUILD_API kg_value *kg_build_name(kg_build *b, kg_value *value, const char *name);
// Attributes of the newest op, as in braces of the text.
KG_BUILD_API bool kg_build_attr_int(kg_build *b, const char *key, int64_t value);
KG_BUILD_API bool kg_build_attr_ints(kg_build *b, const char *key, int count,
                                     const int64_t *values);
KG_BUILD_API bool kg_build_attr_word(kg_build *b, const char *key, const char *word);
