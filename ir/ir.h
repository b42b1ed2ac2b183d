// SPDX-License-Identifier: MIT
// The tile IR: kernels, blocks, ops, values. One IR at every level; passes make it more explicit.
//
// Ownership: everything lives in the unit's arena. Thread safety: a unit belongs to one thread at a
// time; different units share nothing. Source text form and semantics of each op: docs/language.md.
#pragma once
#include "ir/arena.h"
#include "ir/diag.h"
#include "ir/layout.h"

typedef enum kg_dtype {
#define KG_DTYPE(E, name, bits, cls, ok) KG_##E,
#include "ir/types.def"
#undef KG_DTYPE
    KG_DTYPE_COUNT
} kg_dtype;

// Where a value lives. Rank-0 fragments are scalars, uniform over the threads that execute them.
typedef enum kg_home { KG_HOME_FRAG, KG_HOME_SHARED, KG_HOME_GLOBAL } kg_home;

typedef struct kg_type {
    kg_dtype dtype;
    kg_home home;
    int8_t rank;
    // elements; unused for a global parameter (see kg_tensor), set for its views
    int32_t dims[KG_MAX_RANK];
} kg_type;

typedef enum kg_opcode {
#define KG_OP(E, name, cls, lo, hi, res, blocks, effects, doc) KG_OP_##E,
#include "ir/ops.def"
#undef KG_OP
    KG_OP_COUNT
} kg_opcode;

typedef enum kg_attr_key {
#define KG_ATTR(E, name, kind) KG_A_##E,
#include "ir/attrs.def"
#undef KG_ATTR
    KG_ATTR_COUNT
} kg_attr_key;

typedef enum kg_attr_kind {
    KG_ATTR_INT,
    KG_ATTR_FLOAT,
    KG_ATTR_DTYPE,
    KG_ATTR_NAME,
    KG_ATTR_INTS,
    KG_ATTR_LIST
} kg_attr_kind;

typedef struct kg_attr {
    kg_attr_key key;
    int32_t count; // INTS, LIST
    union {
        int64_t i;
        double f;
        kg_dtype dtype;
        const char *name;
        const int64_t *ints; // INTS and LIST (kg_index_kind values)
    };
    struct kg_attr *next; // sorted by key
} kg_attr;

// How a view addresses one dimension. AT takes one scalar operand and drops the dimension; FROM
// takes the scalar start and keeps `extent` elements; ALL starts at 0; GATHER takes a rank-1
// integer fragment.
typedef enum kg_index_kind {
    KG_INDEX_AT,
    KG_INDEX_FROM,
    KG_INDEX_ALL,
    KG_INDEX_GATHER
} kg_index_kind;

typedef struct kg_op kg_op;
typedef struct kg_value kg_value;
typedef struct kg_block kg_block;
typedef struct kg_kernel kg_kernel;
typedef struct kg_unit kg_unit;
typedef struct kg_sexpr kg_sexpr;

// Scalar expressions over parameters, for sizes, strides, the grid and assumptions: evaluated by
// the host at launch and materialized by codegen. Integers of 64 bits.
typedef enum kg_sexpr_kind {
    KG_SX_INT,
    KG_SX_PARAM,
    KG_SX_ADD,
    KG_SX_SUB,
    KG_SX_MUL,
    KG_SX_DIV,
    KG_SX_MOD,
    KG_SX_CEILDIV,
    KG_SX_MIN,
    KG_SX_MAX,
    KG_SX_EQ,
    KG_SX_NE,
    KG_SX_LT,
    KG_SX_LE,
    KG_SX_GT,
    KG_SX_GE,
    KG_SX_AND,
    KG_SX_OR
} kg_sexpr_kind;

struct kg_sexpr {
    kg_sexpr_kind kind;
    int64_t value;   // INT
    kg_value *param; // PARAM: a scalar integer parameter
    kg_sexpr *a, *b;
    kg_loc loc;
};

// What a global tensor parameter adds to its value. Strides count elements.
typedef struct kg_tensor {
    kg_sexpr *dims[KG_MAX_RANK];
    kg_sexpr *strides[KG_MAX_RANK]; // always set; row-major unless given
    bool row_major;                 // strides were not given
    int32_t align;                  // bytes the base pointer is aligned to; 16 unless given
    kg_value *alias;                // another tensor parameter that may be the same memory, or NULL
} kg_tensor;

typedef enum kg_value_kind {
    KG_VALUE_RESULT, // of an op; of FRAG: mutable
    KG_VALUE_PARAM,  // kernel parameter: global tensor or scalar
    KG_VALUE_GRID,   // index of the CTA along a grid axis, i32
    KG_VALUE_ARG     // block argument: the index of a for
} kg_value_kind;

struct kg_value {
    kg_value_kind kind;
    kg_type type;
    const char *name; // NULL: printed as %n
    kg_loc loc;
    kg_op *op;               // RESULT: defining op; ARG: the loop
    int32_t index;           // result, parameter, grid axis
    kg_tensor *tensor;       // global parameter
    const kg_layout *layout; // fragment of rank > 0, from pass layout on; NULL before
    int32_t id;              // dense number within the kernel: kg_kernel_number
    void *note;              // scratch of the pass that runs now
    struct kg_known_tile *known; // its elements, once they were asked for: known.c
};

struct kg_op {
    kg_opcode code;
    int32_t n_operands, n_results, n_blocks;
    kg_value **operands;
    kg_value **results;
    kg_block **blocks;
    kg_attr *attrs;
    kg_loc loc;
    kg_block *parent;
    kg_op *prev, *next;
    int32_t id; // position in a pre-order walk: kg_kernel_number
    void *note; // scratch of the pass that runs now
};

struct kg_block {
    kg_op *first, *last;
    kg_op *owner; // NULL for the kernel's body
    kg_kernel *kernel;
    kg_value *arg; // index of a for, else NULL
};

// How far lowering has come; printed as `level NAME` in the kernel's header (absent for tile).
typedef enum kg_level {
    KG_LEVEL_TILE,     // as written: no layouts, loops not pipelined
    KG_LEVEL_STAGED,   // rings, prologues and asynchronous copies are explicit
    KG_LEVEL_LAID_OUT, // every fragment and buffer has a layout; cross-warp exchange is explicit
    KG_LEVEL_PLACED,   // every buffer has an offset
    KG_LEVEL_SYNCED    // every barrier and wait stands in the program
} kg_level;

enum { KG_MAX_CLUSTER = 8 }; // CTAs

typedef struct kg_grid_axis {
    kg_value *value;
    kg_sexpr *extent;
} kg_grid_axis;

// How a kernel is to be spread over roles of warps and over the GPU: the clause `schedule`. It
// changes no result. The pass that does what it asks for takes it off the kernel. 0: not asked for.
typedef struct kg_schedule {
    // schedule.def
    int32_t producers, registers[2], persistent, raster, cluster, cluster_axis, bulk_store,
        store_columns, bulk_load, turns, overlap, pingpong, dependent, fallback;
    kg_loc loc;
} kg_schedule;

typedef struct kg_schedule_key {
    const char *name;
    int32_t field; // of kg_schedule, counted in int32_t
    int32_t values, least, most;
} kg_schedule_key;
extern const kg_schedule_key kg_schedule_keys[];
extern const int kg_n_schedule_keys;

struct kg_kernel {
    kg_unit *unit;
    const char *name;
    kg_loc loc;
    kg_value **params; // in launch order: as declared, then implicit sizes and strides
    int32_t n_params, n_declared;
    kg_grid_axis grid[3];
    int32_t n_grid;
    kg_sexpr **assumes;
    int32_t n_assumes;
    int32_t warps;    // of the CTA
    int32_t min_ctas; // wanted resident CTAs an SM, 0 = no wish
    int32_t cluster;  // CTAs along the first axis of the grid that run together; 0 = no clusters
    kg_schedule schedule;
    kg_block *body;
    kg_level level;
    int64_t shared_bytes; // from place on
    kg_kernel *next;
};

struct kg_unit {
    kg_arena *arena;
    kg_diags *diags;
    const kg_source *source;
    kg_kernel *kernels; // in file order
};

// ---- the op table as data ----------------------------------------------------------------------
typedef enum kg_op_class {
    KG_CLASS_S,
    KG_CLASS_P,
    KG_CLASS_U,
    KG_CLASS_B,
    KG_CLASS_C,
    KG_CLASS_R,
    KG_CLASS_N,
    KG_CLASS_M,
    KG_CLASS_D,
    KG_CLASS_Y
} kg_op_class;
typedef enum kg_mode { KG_MODE_R, KG_MODE_W, KG_MODE_A, KG_MODE_S } kg_mode;
typedef enum kg_proxy { KG_PROXY_GENERIC, KG_PROXY_ASYNC } kg_proxy;
typedef enum kg_agent {
    KG_AGENT_THREAD,
    KG_AGENT_ELECTED,
    KG_AGENT_WARP,
    KG_AGENT_WARPGROUP,
    KG_AGENT_CP_ASYNC,
    KG_AGENT_BULK,
    KG_AGENT_TENSOR
} kg_agent;
typedef enum kg_completes {
    KG_COMPLETES_ISSUE,
    KG_COMPLETES_GROUP,
    KG_COMPLETES_MBARRIER,
    KG_COMPLETES_BULK_READ,
    KG_COMPLETES_BULK_FULL,
    KG_COMPLETES_WGMMA_GROUP
} kg_completes;

#define KG_OPERAND_ALL (-1)
typedef struct kg_effect {
    int8_t operand; // or KG_OPERAND_ALL
    kg_mode mode;
    kg_proxy proxy;
    kg_agent agent;
    kg_completes completes;
} kg_effect;

#define KG_MAX_EFFECTS 4
typedef struct kg_op_info {
    const char *name;
    kg_op_class cls;
    int8_t min_operands, max_operands, results, blocks;
    int8_t n_effects;
    kg_effect effects[KG_MAX_EFFECTS];
    const char *doc;
} kg_op_info;

const kg_op_info *kg_op_info_of(kg_opcode code);
bool kg_op_named(const char *name, kg_opcode *code);

typedef struct kg_dtype_info {
    const char *name;
    int bits; // in memory
    bool is_float;
    bool codegen;
} kg_dtype_info;
const kg_dtype_info *kg_dtype_info_of(kg_dtype dtype);
bool kg_dtype_named(const char *name, kg_dtype *dtype);
static inline int kg_dtype_bytes(kg_dtype dtype)
{
    return kg_dtype_info_of(dtype)->bits / 8;
}

typedef struct kg_attr_info {
    const char *name;
    kg_attr_kind kind;
} kg_attr_info;
const kg_attr_info *kg_attr_info_of(kg_attr_key key);

// ---- ops and blocks ----------------------------------------------------------------------------
// A detached op with copies of the operand list. Results are created by kg_op_result.
kg_op *kg_op_new(kg_kernel *kernel, kg_opcode code, kg_loc loc, int n_operands,
                 kg_value *const *operands);
kg_value *kg_op_result(kg_kernel *kernel, kg_op *op, kg_type type, const char *name);
kg_block *kg_op_add_block(kg_kernel *kernel, kg_op *op);
void kg_block_append(kg_block *block, kg_op *op);
void kg_block_insert_before(kg_op *place, kg_op *op);
void kg_block_insert_after(kg_op *place, kg_op *op);
void kg_op_remove(kg_op *op); // unlink; memory stays with the arena
void kg_op_set_operand(kg_op *op, int i, kg_value *value);
// Deep copy of an op with its regions; `map` (indexed by value id, may hold NULL) says what
// replaces operands and is extended with the results. Call kg_kernel_number first; map has room for
// `n_map` values.
kg_op *kg_op_clone(kg_kernel *kernel, const kg_op *op, kg_value **map, int n_map);

void kg_op_set_int(kg_kernel *kernel, kg_op *op, kg_attr_key key, int64_t value);
void kg_op_set_float(kg_kernel *kernel, kg_op *op, kg_attr_key key, double value);
void kg_op_set_dtype(kg_kernel *kernel, kg_op *op, kg_attr_key key, kg_dtype value);
void kg_op_set_name(kg_kernel *kernel, kg_op *op, kg_attr_key key, const char *value);
void kg_op_set_ints(kg_kernel *kernel, kg_op *op, kg_attr_key key, int count,
                    const int64_t *values);
void kg_op_unset(kg_op *op, kg_attr_key key);
// NULL when absent
const kg_attr *kg_op_attr(const kg_op *op, kg_attr_key key);
int64_t kg_op_int(const kg_op *op, kg_attr_key key, int64_t otherwise);

// ---- questions that every pass asks ------------------------------------------------------------
static inline bool kg_is_scalar(const kg_value *v)
{
    return v->type.home == KG_HOME_FRAG && v->type.rank == 0;
}
static inline bool kg_is_mutable(const kg_value *v)
{
    return v->kind == KG_VALUE_RESULT && v->op->code == KG_OP_FRAG;
}
static inline bool kg_is_loop(const kg_op *op)
{
    return op->code == KG_OP_FOR || op->code == KG_OP_WHILE;
}
int kg_loops_around(const kg_op *op); // that it stands in
// The `for` does nothing but count its trips: `x = x + 1` in each. The counter, or NULL.
kg_value *kg_counted_by(const kg_op *loop);
// The result follows from the operands alone: constants, elementwise ops, reductions, shapes.
bool kg_is_computed(const kg_op *op);
int64_t kg_type_elements(const kg_type *type);
// The parameter or SHARED result that a (view of a view of a) memory operand is a part of; NULL for
// fragments.
kg_value *kg_root(kg_value *value);
bool kg_const_int(const kg_value *value, int64_t *out); // value is a CONST op of integer type
// from PITCH and SWIZZLE; row-major when absent
kg_shared_layout kg_shared_layout_of(const kg_value *buffer);
int64_t kg_shared_slot_bytes(const kg_value *buffer); // one slot, with its pitch
int64_t kg_shared_bytes(const kg_value *buffer);      // all slots
// Numbers ops (pre-order) and values densely from 0; returns the number of values, ops in *n_ops
// (may be NULL).
int kg_kernel_number(kg_kernel *kernel, int *n_ops);
// Pre-order walk; false from the callback stops it.
bool kg_walk(kg_block *block, bool (*visit)(kg_op *op, void *user), void *user);

// Whether what an op does may differ between CTAs along this axis of the grid, by its operands or
// by the loops and branches around it; what comes from memory may.
bool kg_varies_along(const kg_kernel *kernel, const kg_value *axis, const kg_op *op);

// Registers of a thread in each role, as the schedule says or as many as there are.
typedef struct kg_role_registers {
    int producer, consumer;
    int store; // what the warpgroups of a CTA have together
    bool fits;
} kg_role_registers;
kg_role_registers kg_schedule_registers(const kg_kernel *kernel);
// Warps of all consumers: with `turns` the kernel's warps are those of one set.
int kg_schedule_consumers(const kg_kernel *kernel);

// ---- scalar expressions ------------------------------------------------------------------------
kg_sexpr *kg_sexpr_int(kg_arena *arena, int64_t value);
kg_sexpr *kg_sexpr_param(kg_arena *arena, kg_value *param);
// folds constants
kg_sexpr *kg_sexpr_binary(kg_arena *arena, kg_sexpr_kind kind, kg_sexpr *a, kg_sexpr *b);
// Values by parameter index. false: division by zero or overflow of 64 bits.
bool kg_sexpr_eval(const kg_sexpr *expr, const int64_t *params, int64_t *out);
bool kg_sexpr_equal(const kg_sexpr *a, const kg_sexpr *b); // the same text
// Largest known divisor (a power of two, at most 1 << 16) of the value, using the kernel's
// assumptions.
int64_t kg_sexpr_divisor(const kg_kernel *kernel, const kg_sexpr *expr);
// The same for a scalar value of the body, following its ops.
int64_t kg_value_divisor(const kg_kernel *kernel, const kg_value *value);

// ---- text --------------------------------------------------------------------------------------
typedef struct kg_define {
    const char *name, *value; // -D NAME=VALUE: integer, float, true/false or a type name
} kg_define;

// Parses a file. Findings go to unit->diags; NULL when there was any error (all findings of the
// file are reported at once). The source must outlive the unit.
kg_unit *kg_parse(kg_arena *arena, kg_diags *diags, const kg_source *source,
                  const kg_define *defines, int n_defines);
// Prints a unit or kernel so that parsing gives the same IR again. Arena memory, ended by '\n'.
char *kg_print_unit(kg_arena *arena, const kg_unit *unit);
char *kg_print_kernel(kg_arena *arena, kg_kernel *kernel);
char *kg_print_op(kg_arena *arena, const kg_op *op); // one line, for messages
// Structural equality of two kernels up to value names that are not the author's. For tests.
bool kg_kernel_equal(const kg_kernel *a, const kg_kernel *b);

// Checks every rule of the kernel's level; reports all findings. true when there is none.
bool kg_verify(kg_kernel *kernel, kg_diags *diags);
