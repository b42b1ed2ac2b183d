// SPDX-License-Identifier: MIT
//
// The code generator's lower half: a thin builder over LLVM that knows nothing of the tile IR.
// Only llvm_*.c see LLVM, by llvm.h; emitters see this header alone.
//
//   context  one LLVM context and its target machines; made once, used for many modules
//   module   one PTX text in the making; all building goes through it, into its current block
//   value    an LLVM value of one module; nothing to free
//
// Errors are sticky: the first one stands in the module, every later call does nothing and returns
// NULL values, which all calls accept. So an emitter builds on, and asks once, at the end.
// A context and its modules belong to one thread at a time; different contexts are independent.
// The one process-wide act is LLVM's registration of the NVPTX target, done once under
// pthread_once. LLVM itself ends the process when it gets no memory; our own allocations do not.
#ifndef KGEN_CODEGEN_CG_H
#define KGEN_CODEGEN_CG_H

#include "codegen/ptx.h"
#include "codegen/target.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cg_context;
struct cg_module;
typedef struct cg_value_handle *cg_value;
typedef struct cg_block_handle *cg_block;

enum cg_status {
    CG_OK,
    CG_ERROR_USAGE,  // the emitter built something that is not sound: a bug of ours
    CG_ERROR_TARGET, // the target lacks an instruction, or this LLVM lacks the target
    CG_ERROR_MEMORY,
    CG_ERROR_LLVM,   // LLVM's verifier or its code generator refused the module
};

// -- Types: plain numbers, a kind in the low byte and lanes (0: a scalar) in the next. ----------
typedef uint16_t cg_type;
enum cg_type_kind {
    CG_VOID,
    CG_I1,
    CG_I8,
    CG_I16,
    CG_I32,
    CG_I64,
    CG_F16,
    CG_BF16,
    CG_F32,
    CG_F64,
    CG_PTR,        // generic address, 64 bits
    CG_PTR_GLOBAL, // address in global memory, 64 bits
};
#define CG_VECTOR(kind, lanes) ((cg_type)((kind) | (lanes) << 8))
#define CG_KIND(type) ((enum cg_type_kind)((type) & 0xff))
#define CG_LANES(type) ((unsigned)((type) >> 8))
#define CG_F16X2 CG_VECTOR(CG_F16, 2)
#define CG_BF16X2 CG_VECTOR(CG_BF16, 2)

// Size of a type in bits (I1 is 1), all lanes together.
unsigned cg_type_bits(cg_type type);
cg_type cg_type_of(struct cg_module *m, cg_value value);

// -- Contexts and modules -----------------------------------------------------------------------
// Like realloc, with `size` 0 for free. NULL stands for the C library's.
struct cg_allocator {
    void *(*resize)(void *user, void *block, size_t size);
    void *user;
};

enum cg_status cg_context_new(const struct cg_allocator *allocator, struct cg_context **out);
void cg_context_free(struct cg_context *context);
unsigned cg_llvm_major(void); // 19 or 22: what this was built against

struct cg_module_options {
    const char *name;
    const struct cg_target *target;
    const char *directory; // of the source file, for .loc; NULL: no .loc lines
    const char *file;
};

enum cg_status cg_module_new(struct cg_context *context, const struct cg_module_options *options,
                             struct cg_module **out);
void cg_module_free(struct cg_module *m);
const struct cg_target *cg_module_target(const struct cg_module *m);

// The first error, CG_OK and "" if there is none.
enum cg_status cg_module_status(const struct cg_module *m);
const char *cg_module_error(const struct cg_module *m);
// Sets the error unless there is one; returns false, for `return cg_fail(...)`.
bool cg_fail(struct cg_module *m, enum cg_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

// -- Kernels ------------------------------------------------------------------------------------
enum cg_parameter_flag {
    // Never on what another CTA or an asynchronous agent writes. None is the default.
    CG_PARAMETER_NOALIAS = 1u << 0,
    CG_PARAMETER_READONLY = 1u << 1,
    // `bytes` opaque bytes, aligned to `align`, of type CG_PTR: the argument is their address in
    // the parameters, and no copy of them is made (a grid constant).
    CG_PARAMETER_BY_VALUE = 1u << 2,
};

struct cg_parameter {
    const char *name;
    cg_type type;   // CG_PTR_GLOBAL, I32, I64, F32, ...
    uint32_t align; // of the address, in bytes, for pointers; 0: 1
    uint32_t flags; // enum cg_parameter_flag
    uint32_t bytes; // of what is passed by value
};

struct cg_kernel {
    const char *name;
    const struct cg_parameter *parameters;
    unsigned parameter_count;
    unsigned threads[3];       // .reqntid; all 0: not stated
    unsigned max_threads;      // .maxntid; 0: not stated
    unsigned min_ctas;         // .minnctapersm; 0: not stated
    unsigned max_registers;    // .maxnreg; 0: not stated
    unsigned cluster[3];       // .reqnctapercluster; all 0: not stated
    unsigned line;             // in the source file
};

// Opens a kernel and enters its first block. One is open at a time.
bool cg_kernel_begin(struct cg_module *m, const struct cg_kernel *kernel);
bool cg_kernel_end(struct cg_module *m); // returns from the kernel if the last block is open
cg_value cg_argument(struct cg_module *m, unsigned index);

// The source line of what is built from here on; 0: none.
void cg_line(struct cg_module *m, unsigned line, unsigned column);

// -- Blocks -------------------------------------------------------------------------------------
// Blocks stand in the text in the order in which they are entered. A block ends with one branch.
cg_block cg_block_new(struct cg_module *m, const char *name);
void cg_block_enter(struct cg_module *m, cg_block block);
cg_block cg_block_current(struct cg_module *m);
bool cg_block_ended(struct cg_module *m); // has the current block its branch?
// Builds at the end of an earlier block, before its branch, until the detour ends. For values that
// do not change where they are used: LLVM takes nothing out of a loop for which registers seem
// short.
cg_block cg_detour_begin(struct cg_module *m, cg_block block);
void cg_detour_end(struct cg_module *m, cg_block back);

void cg_branch(struct cg_module *m, cg_block to);
void cg_branch_if(struct cg_module *m, cg_value condition, cg_block then, cg_block otherwise);
// The truth value as LLVM cannot know it: a branch that it could decide would take the barriers and
// copies of one arm out of the text, where the kernel has them. The move that it costs goes with
// those that coalescing removes.
cg_value cg_undecided(struct cg_module *m, cg_value condition);
void cg_switch(struct cg_module *m, cg_value value, cg_block otherwise, const int64_t *cases,
               const cg_block *blocks, unsigned count);
void cg_return(struct cg_module *m);

cg_value cg_phi(struct cg_module *m, cg_type type);
void cg_phi_add(struct cg_module *m, cg_value phi, cg_value value, cg_block from);

// A mutable variable of scalar type (or two 16-bit lanes); it becomes registers. Starts undefined.
cg_value cg_variable(struct cg_module *m, cg_type type, const char *name);
cg_value cg_get(struct cg_module *m, cg_value variable);
void cg_set(struct cg_module *m, cg_value variable, cg_value value);

// Structured control (control.c), with no LLVM in it. Values change across arms by variables.
struct cg_if {
    cg_block otherwise, join;
    bool has_else;
};
void cg_if_begin(struct cg_module *m, struct cg_if *state, cg_value condition);
void cg_if_else(struct cg_module *m, struct cg_if *state);
void cg_if_end(struct cg_module *m, struct cg_if *state);

// for (index = lower; index < upper; index += step), signed, I32 or I64, step > 0. The test stands
// at the top, so that values carried around the loop have one phi and not a second one behind it
// (ptxas turns the loop itself); at the bottom when constants make the first trip sure. Rolled:
// nothing here unrolls, and with `keep_rolled` ptxas does not either (`.pragma "nounroll"`).
// `upper` and `step` must be values from before the loop. The index must not overflow past `upper`
// by `step`.
struct cg_loop {
    cg_value index; // inside the body
    cg_block head, body, exit; // head: of the test, NULL when the first trip is sure
    cg_value upper, step;
    bool keep_rolled;
};
void cg_loop_begin(struct cg_module *m, struct cg_loop *loop, cg_value lower, cg_value upper,
                   cg_value step);
void cg_loop_end(struct cg_module *m, struct cg_loop *loop);

// while (condition) { ... }: begin, compute the condition, test, build the body, end.
struct cg_while {
    cg_block head, exit;
    bool keep_rolled;
};
void cg_while_begin(struct cg_module *m, struct cg_while *loop);
void cg_while_test(struct cg_module *m, struct cg_while *loop, cg_value condition);
void cg_while_end(struct cg_module *m, struct cg_while *loop);

// -- Values -------------------------------------------------------------------------------------
cg_value cg_integer(struct cg_module *m, cg_type type, int64_t value); // wraps to the type
cg_value cg_float(struct cg_module *m, cg_type type, double value);    // rounds to the type
cg_value cg_undefined(struct cg_module *m, cg_type type);
bool cg_is_constant(struct cg_module *m, cg_value value, int64_t *out); // integers only
bool cg_is_zero(struct cg_module *m, cg_value value); // a constant without a set bit

static inline cg_value cg_i32(struct cg_module *m, int32_t value)
{
    return cg_integer(m, CG_I32, value);
}
static inline cg_value cg_i64(struct cg_module *m, int64_t value)
{
    return cg_integer(m, CG_I64, value);
}
static inline cg_value cg_f32(struct cg_module *m, float value)
{
    return cg_float(m, CG_F32, value);
}
static inline cg_value cg_true(struct cg_module *m)
{
    return cg_integer(m, CG_I1, 1);
}

// What LLVM may assume of the floating-point operations built from here on. Contraction (a
// multiplication and an addition become one fused operation) is on at first, all else is off.
enum cg_fast_math {
    CG_FAST_REASSOCIATE = 1u << 0,
    CG_FAST_NO_NANS = 1u << 1,
    CG_FAST_NO_INFS = 1u << 2,
    CG_FAST_NO_SIGNED_ZEROS = 1u << 3,
    CG_FAST_RECIPROCAL = 1u << 4,
    CG_FAST_CONTRACT = 1u << 5,
    CG_FAST_APPROXIMATE = 1u << 6,
};
void cg_set_fast_math(struct cg_module *m, unsigned flags);

// Operands of one type, result of that type. Scalars, and vectors of two 16-bit lanes.
#define CG_BINARY_OPS(X) \
    X(ADD, add) X(SUB, sub) X(MUL, mul) X(SDIV, sdiv) X(UDIV, udiv) X(SREM, srem) X(UREM, urem) \
    X(SHL, shl) X(LSHR, lshr) X(ASHR, ashr) X(AND, and) X(OR, or) X(XOR, xor) \
    X(FADD, fadd) X(FSUB, fsub) X(FMUL, fmul) X(FDIV, fdiv) \
    X(SMIN, smin) X(SMAX, smax) X(UMIN, umin) X(UMAX, umax) \
    X(FMIN, fmin) X(FMAX, fmax)         /* the number, when one operand is a NaN */ \
    X(FMIN_NAN, fmin_nan) X(FMAX_NAN, fmax_nan) /* the NaN, when one operand is one */ \
    X(COPYSIGN, copysign)
#define CG_UNARY_OPS(X) \
    X(NOT, not) X(NEG, neg) X(FNEG, fneg) X(FABS, fabs) X(SQRT, sqrt) X(FLOOR, floor) \
    X(CEIL, ceil) X(TRUNC, ftrunc) X(ROUND, round_even) \
    X(POPCOUNT, popcount) X(CLZ, clz) X(CTZ, ctz) X(REVERSE, reverse_bits)
#define CG_COMPARE_OPS(X) \
    X(EQ, eq) X(NE, ne) X(SLT, slt) X(SLE, sle) X(SGT, sgt) X(SGE, sge) \
    X(ULT, ult) X(ULE, ule) X(UGT, ugt) X(UGE, uge) \
    X(FEQ, feq) X(FNE, fne) X(FLT, flt) X(FLE, fle) X(FGT, fgt) X(FGE, fge) /* ordered, but FNE */ \
    X(FUNORDERED, funordered)
// ZEXT SEXT TRUNC: integers; FPEXT FPTRUNC: floats; the rest by their names (F2I rounds to zero).
// BITCAST keeps the bits, between integers, floats and vectors of one size (at most 64 bits), and
// between I64 and pointers.
#define CG_CONVERT_OPS(X) \
    X(ZEXT, zext) X(SEXT, sext) X(TRUNC, trunc) X(FPEXT, fpext) X(FPTRUNC, fptrunc) \
    X(S2F, s2f) X(U2F, u2f) X(F2S, f2s) X(F2U, f2u) X(BITCAST, bitcast)

enum cg_binary_op {
#define X(ID, name) CG_##ID,
    CG_BINARY_OPS(X) CG_BINARY_COUNT
#undef X
};
enum cg_unary_op {
#define X(ID, name) CG_UNARY_##ID,
    CG_UNARY_OPS(X) CG_UNARY_COUNT
#undef X
};
enum cg_compare_op {
#define X(ID, name) CG_COMPARE_##ID,
    CG_COMPARE_OPS(X) CG_COMPARE_COUNT
#undef X
};
enum cg_convert_op {
#define X(ID, name) CG_CONVERT_##ID,
    CG_CONVERT_OPS(X) CG_CONVERT_COUNT
#undef X
};

cg_value cg_binary(struct cg_module *m, enum cg_binary_op op, cg_value a, cg_value b);
cg_value cg_unary(struct cg_module *m, enum cg_unary_op op, cg_value a);
cg_value cg_compare(struct cg_module *m, enum cg_compare_op op, cg_value a, cg_value b);
cg_value cg_convert(struct cg_module *m, enum cg_convert_op op, cg_value a, cg_type to);
cg_value cg_fma(struct cg_module *m, cg_value a, cg_value b, cg_value c); // one rounding
cg_value cg_select(struct cg_module *m, cg_value condition, cg_value a, cg_value b);

// cg_add(m, a, b), cg_fneg(m, a), cg_slt(m, a, b), cg_zext(m, a, type), ...
#define X(ID, name) \
    static inline cg_value cg_##name(struct cg_module *m, cg_value a, cg_value b) \
    { \
        return cg_binary(m, CG_##ID, a, b); \
    }
CG_BINARY_OPS(X)
#undef X
#define X(ID, name) \
    static inline cg_value cg_##name(struct cg_module *m, cg_value a) \
    { \
        return cg_unary(m, CG_UNARY_##ID, a); \
    }
CG_UNARY_OPS(X)
#undef X
#define X(ID, name) \
    static inline cg_value cg_##name(struct cg_module *m, cg_value a, cg_value b) \
    { \
        return cg_compare(m, CG_COMPARE_##ID, a, b); \
    }
CG_COMPARE_OPS(X)
#undef X
#define X(ID, name) \
    static inline cg_value cg_##name(struct cg_module *m, cg_value a, cg_type to) \
    { \
        return cg_convert(m, CG_CONVERT_##ID, a, to); \
    }
CG_CONVERT_OPS(X)
#undef X

// Vectors exist to pair 16-bit lanes (or 8-bit quadruples) in a 32-bit register.
cg_value cg_pack(struct cg_module *m, cg_type vector, const cg_value *lanes);
cg_value cg_lane(struct cg_module *m, cg_value vector, unsigned lane);

// -- Memory -------------------------------------------------------------------------------------
// Global addresses are CG_PTR_GLOBAL values; shared addresses are I32 values, counted from the
// start of the window of shared memory, as ldmatrix and cp.async want them.
enum cg_space { CG_SPACE_GLOBAL, CG_SPACE_SHARED };

// Start of the module's shared memory: one external array, sized by the launch, aligned to 1024.
cg_value cg_shared_base(struct cg_module *m);
// `address` plus a number of bytes: I64 in global memory, I32 in shared memory.
cg_value cg_advance(struct cg_module *m, enum cg_space space, cg_value address, cg_value bytes);

enum cg_access_flag {
    CG_ACCESS_VOLATILE = 1u << 0,
    CG_ACCESS_NONCOHERENT = 1u << 1, // global reads of what nobody writes while the kernel runs
};

struct cg_access {
    enum cg_space space;
    cg_value address;
    int64_t offset; // constant bytes, part of the instruction
    unsigned align; // known alignment of address + offset in bytes; 0: of the element
    uint32_t flags; // enum cg_access_flag
    // Of cg_load_if and cg_store_if: a cache operator as it is written (".cg"; NULL: none), and a
    // policy of L2 (from createpolicy; NULL: none).
    const char *cache;
    cg_value policy;
};

// `count` elements next to each other, as scalars: one instruction of at most 16 bytes if the
// alignment allows it. count * size is a power of two, at most 16.
bool cg_load(struct cg_module *m, const struct cg_access *access, cg_type element, unsigned count,
             cg_value *out);
bool cg_store(struct cg_module *m, const struct cg_access *access, const cg_value *values,
              unsigned count);

// The same as one instruction of our own, without a branch: where `inside` does not hold, a load
// gives zeros and a store does nothing, and the address may point anywhere. `inside` may be NULL.
// The address must be aligned to the whole access.
bool cg_load_if(struct cg_module *m, const struct cg_access *access, cg_value inside,
                cg_type element, unsigned count, cg_value *out);
bool cg_store_if(struct cg_module *m, const struct cg_access *access, cg_value inside,
                 const cg_value *values, unsigned count);

// -- Templates ----------------------------------------------------------------------------------
// One instruction of ptx.def. Arguments may have any type of the operand's size; an I1 goes to a
// predicate. Results come as I32, I64, I16, F32, F64, I1 by their letter. `comment` (may be NULL)
// follows the instruction on its line: "S3: k read after write" gives `bar.sync 0; // S3: ...`.
bool cg_template(struct cg_module *m, enum cg_ptx_id id, const cg_value *arguments, unsigned count,
                 cg_value *results, const char *comment);
// The same for a template with exactly one result; NULL on error.
cg_value cg_template1(struct cg_module *m, enum cg_ptx_id id, const cg_value *arguments,
                      unsigned count, const char *comment);
// A run of templates as one inline assembly: what one step gives to the next stays in registers of
// the text, where LLVM spends no time on it. For long rows of ldmatrix and mma, and of copies.
enum cg_run_kind {
    CG_RUN_VARIABLE,  // goes in and comes out
    CG_RUN_INPUT,     // goes in
    CG_RUN_TEMPORARY, // 32 bits that live in the run only
};
struct cg_run_operand {
    enum cg_run_kind kind;
    uint32_t index;
    int32_t offset; // of an address, in bytes; written into the text
};
struct cg_run_step {
    enum cg_ptx_id id;
    unsigned line, column; // of its .loc; 0: the run's
    struct cg_run_operand operands[CG_PTX_OPERAND_LIMIT]; // results, then arguments
};
struct cg_run {
    const struct cg_run_step *steps;
    unsigned step_count;
    cg_value *variables; // F32 or I32; each is replaced by what the run leaves in it
    unsigned variable_count;
    const cg_value *inputs; // 32 or 64 bits
    unsigned input_count;
    unsigned temporary_count;
    cg_value guard; // predicate of every step; NULL: none
};
bool cg_run_emit(struct cg_module *m, const struct cg_run *run);

// Products of a warpgroup: D (64 x n) = A (64 x 16) x B (16 x n) + D for each step, in order, by
// wgmma.mma_async with 16-bit elements and f32 accumulators. A descriptor's lower half is an input
// plus a constant, its upper half is the same in all steps.
struct cg_wgmma_step {
    const uint32_t *accumulators; // variables: n / 2, in the order of the instruction
    bool fresh;                   // what they held before does not count
    uint32_t a[4];                // inputs: A's four words, or a[0] alone for its descriptor
    uint32_t b;                   // input, for B's descriptor
    int32_t a_add, b_add;
};
struct cg_wgmma_run {
    unsigned n;
    bool bf16, a_in_registers;
    bool a_transposed, b_transposed; // contiguous along M, along N
    bool fresh;                      // variables go in only if this does not hold
    bool fenced;                     // by a wgmma.fence in front, with this comment (NULL: none)
    const char *comment;
    uint32_t a_high, b_high;
    const struct cg_wgmma_step *steps;
    unsigned step_count;
    cg_value *variables; // F32; each is replaced by what the run leaves in it
    unsigned variable_count;
    const cg_value *inputs; // I32
    unsigned input_count;
};
bool cg_wgmma_emit(struct cg_module *m, const struct cg_wgmma_run *run);
// The predicate of a step that starts afresh, in the text; body.c knows by it that the accumulators
// are not read.
#define CG_WGMMA_FRESH "%kp0"

// A template without results that values go through, F32 or I32: they go in, and are replaced by
// what comes out, without an instruction. Nothing that uses them moves across.
struct cg_through {
    cg_value *values;
    unsigned count;
};
bool cg_template_through(struct cg_module *m, enum cg_ptx_id id, const cg_value *arguments,
                         unsigned count, const struct cg_through *through, const char *comment);
// A template without results under a predicate (NULL: none), without a branch. Not for what a warp
// does as one.
bool cg_template_if(struct cg_module *m, enum cg_ptx_id id, cg_value predicate,
                    const cg_value *arguments, unsigned count, const char *comment);
// A special register, or any other template without arguments.
static inline cg_value cg_special(struct cg_module *m, enum cg_ptx_id id)
{
    return cg_template1(m, id, NULL, 0, NULL);
}

// -- The end ------------------------------------------------------------------------------------
struct cg_finish_options {
    const char *passes; // LLVM function passes; NULL: CG_DEFAULT_PASSES; "": the least
    unsigned ptx;       // lowest PTX version wanted, times ten; 0: what the instructions need
    bool want_llvm;     // also return the LLVM IR, after the passes
};
// Short on purpose. Never simplifycfg, jump-threading, loop-unroll: they copy or move barriers.
// `instcombine` must be told not to verify its fixpoint: that check ends the process.
#define CG_LEAST_PASSES "dce"
#define CG_DEFAULT_PASSES "early-cse,instcombine<no-verify-fixpoint>,dce"
// For kernels with wgmma: what instcombine does to addresses costs ptxas two instructions a trip.
#define CG_WGMMA_PASSES "early-cse,dce"

struct cg_output {
    char *ptx; // ends with a NUL, not counted
    size_t ptx_length;
    char *llvm; // NULL unless asked for
    unsigned ptx_version;
    bool local_memory; // some variable did not become a register
};

// Verifies, runs the passes, generates. The module cannot be built on afterwards.
enum cg_status cg_finish(struct cg_module *m, const struct cg_finish_options *options,
                         struct cg_output *out);
void cg_output_free(struct cg_context *context, struct cg_output *out);

#endif
