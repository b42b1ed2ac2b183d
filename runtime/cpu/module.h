// SPDX-License-Identifier: MIT
// A loaded module: what the parser and decoder make and the rest only reads.
#ifndef PTXM_MODULE_H
#define PTXM_MODULE_H

#include "isa.h"
#include "lexer.h"
#include "machine_modes.h"
#include "memory.h"

// Generic addresses: each space that is not global has a window of its own above all allocations.
#define WINDOW_SIZE ((uint64_t)1 << 32)
#define WINDOW_SHARED ((uint64_t)1 << 40)
#define WINDOW_LOCAL ((uint64_t)2 << 40)
#define WINDOW_PARAM ((uint64_t)3 << 40)
// An address in the shared memory of the cluster: the rank of the CTA plus one above this bit, an
// offset below; rank bits of zero stand for the CTA itself.
enum { PEER_SHIFT = 24 };
// Shared variables start here, so that an access through a null pointer is out of bounds.
enum { SHARED_START = 1024 };

// Registers with a fixed place at the start of every warp's register file.
#define PTXM_SPECIALS(X)                                                                           \
    X(TID_X, "%tid.x") X(TID_Y, "%tid.y") X(TID_Z, "%tid.z") X(NTID_X, "%ntid.x")                  \
    X(NTID_Y, "%ntid.y") X(NTID_Z, "%ntid.z") X(CTAID_X, "%ctaid.x") X(CTAID_Y, "%ctaid.y")        \
    X(CTAID_Z, "%ctaid.z") X(NCTAID_X, "%nctaid.x") X(NCTAID_Y, "%nctaid.y")                       \
    X(NCTAID_Z, "%nctaid.z") X(LANEID, "%laneid") X(WARPID, "%warpid") X(NWARPID, "%nwarpid")      \
    X(SMID, "%smid") X(NSMID, "%nsmid") X(LANEMASK_EQ, "%lanemask_eq")                             \
    X(LANEMASK_LE, "%lanemask_le") X(LANEMASK_LT, "%lanemask_lt") X(LANEMASK_GE, "%lanemask_ge")   \
    X(LANEMASK_GT, "%lanemask_gt") X(TOTAL_SMEM, "%total_smem_size")                               \
    X(DYNAMIC_SMEM, "%dynamic_smem_size") X(CLUSTERID_X, "%clusterid.x")                           \
    X(CLUSTERID_Y, "%clusterid.y") X(CLUSTERID_Z, "%clusterid.z")                                  \
    X(NCLUSTERID_X, "%nclusterid.x") X(NCLUSTERID_Y, "%nclusterid.y")                              \
    X(NCLUSTERID_Z, "%nclusterid.z") X(CLUSTER_CTAID_X, "%cluster_ctaid.x")                        \
    X(CLUSTER_CTAID_Y, "%cluster_ctaid.y") X(CLUSTER_CTAID_Z, "%cluster_ctaid.z")                  \
    X(CLUSTER_NCTAID_X, "%cluster_nctaid.x") X(CLUSTER_NCTAID_Y, "%cluster_nctaid.y")              \
    X(CLUSTER_NCTAID_Z, "%cluster_nctaid.z") X(CLUSTER_CTARANK, "%cluster_ctarank")                \
    X(CLUSTER_NCTARANK, "%cluster_nctarank") X(IS_EXPLICIT_CLUSTER, "%is_explicit_cluster") \
    X(ENVREG1, "%envreg1") X(ENVREG2, "%envreg2")
enum special {
#define X(id, name) SPECIAL_##id,
    PTXM_SPECIALS(X)
#undef X
        SPECIAL_COUNT,
    // Read anew at every use, by a step function; 64-bit ones follow the 32-bit ones.
    SPECIAL_CLOCK = SPECIAL_COUNT,
    SPECIAL_CLOCK_HI,
    SPECIAL_GLOBALTIMER_LO,
    SPECIAL_GLOBALTIMER_HI,
    SPECIAL_GRIDID_START,
    SPECIAL_CLOCK64 = SPECIAL_GRIDID_START,
    SPECIAL_GLOBALTIMER,
    SPECIAL_GRIDID,
    SPECIAL_ALL
};
enum { SPECIAL_BYTES = SPECIAL_COUNT * LANES * 4 };

struct function;

struct variable {
    const char *name;
    enum space space;
    uint64_t size, offset; // offset: in the frame, in the parameters, in the shared segment
    uint32_t align;
    bool is_extern;
    struct function *owner; // NULL: module scope
    uint8_t *initial;       // NULL: zero
    struct variable *next;
    unsigned line;
    bool pointer_param;
    bool in_register;       // a parameter that the text has in a register: reg, of this type
    uint8_t type;
    int32_t reg;
};

// A place in the constant pool, or in a variable's initial bytes, that gets a symbol's address.
struct relocation {
    size_t offset;
    struct variable *symbol;
    struct function *function; // instead of a variable: the function's handle
    int64_t addend;
    bool generic;
    uint8_t bytes;             // 4 or 8; in the pool the value is repeated for every lane
    struct variable *within;   // NULL: the constant pool
};

struct reg {
    uint8_t type;
    bool used;
    int32_t slot;  // offset in the register file once placed
};

struct function {
    const char *name;
    const char *alias; // whose body it has, if it has none of its own
    bool is_entry, has_body;
    bool synchronizes; // has strong accesses: order through memory is possible
    bool asynchronous; // uses the async proxy, mbarriers or clusters: set by the builders
    bool calls;
    unsigned line;
    // The first instruction of it, or of what it may call, that is known and not supported: why,
    // and where (which points into the text, so for the time of loading only). NULL: it can run.
    const char *refused;
    struct token refused_at;
    uint32_t first_op, op_count;
    uint32_t index;
    struct reg *regs;
    size_t reg_count, reg_capacity;
    // Where its registers are: a function that calls itself has them put aside.
    struct { int32_t at; uint32_t bytes; } *slots; // bytes of one lane; 0: a predicate
    size_t slot_count, slot_capacity;
    struct variable *params[256], *returns[8]; // in order of declaration
    size_t param_count, return_count;
    // Of a thread's local memory: parameters first, its own and those of its calls, then variables.
    size_t param_bytes, frame_base, frame_bytes, frame_params, frame_align;
    bool too_large;     // to find out which registers live where
    bool param_address; // the address of a parameter is taken
    uint32_t max_threads[3], required_threads[3], required_cluster[3], max_cluster_rank;
    bool explicit_cluster;
    struct ptxm_kernel info;
};

struct location {
    const char *file;
    uint32_t line;
};

enum { POOL_SLOTS = 512 };
struct pool_entry {
    uint64_t value;
    int32_t offset; // 0: free
    unsigned bytes;
};

struct ptxm_module {
    struct pool_entry pool_index[POOL_SLOTS];
    struct allocator allocator;
    struct arena arena;
    struct op *ops;
    size_t op_count, op_capacity;
    uint8_t *constants;
    size_t constant_bytes, constant_capacity;
    struct relocation *relocations;
    size_t relocation_count, relocation_capacity;
    struct function **functions;
    size_t function_count, function_capacity;
    struct variable *variables, *last_variable; // every .global, .const and .shared one
    struct location *locations;
    size_t location_count, location_capacity;
    const struct ptxm_kernel **kernels;
    size_t kernel_count;
    bool cooperative;      // reads the address of the grid's workspace
    size_t register_bytes; // of a warp's register file
    size_t frame_bytes;    // of a thread
    uint64_t shared_common_end; // module-scope shared variables lie below
    const char *target;
    unsigned version;
};

// ---- what the parser hands to the decoder -------------------------------------------------------

enum operand_kind {
    OPERAND_REG,     // index
    OPERAND_INT,     // value
    OPERAND_F32,     // value: bits
    OPERAND_F64,     // value: bits
    OPERAND_SYMBOL,  // variable + value
    OPERAND_FUNCTION,
    OPERAND_LABEL,   // name
    OPERAND_SPECIAL, // index
    OPERAND_SINK,    // _
    OPERAND_VECTOR,  // elements, of {a, b}
    OPERAND_ADDRESS, // [elements[0] + value]
    OPERAND_LIST,    // elements, of (a, b)
};

struct operand {
    enum operand_kind kind;
    bool negated; // !p, or -value already applied
    int32_t index;
    int64_t value;
    struct variable *variable;
    struct function *function;
    struct operand *elements, *second; // second: of a|b
    size_t count;
    struct token token;
};

enum { MAX_MODIFIERS = 16, MAX_OPERANDS = 12 };

struct statement {
    struct token opcode;
    struct token modifiers[MAX_MODIFIERS];
    size_t modifier_count;
    struct operand operands[MAX_OPERANDS];
    size_t operand_count;
    int32_t guard; // register index, -1: none
    bool guard_negated;
    const char *text; // opcode with modifiers, in the arena
};

struct parser;
// decode.c: appends the op of one statement. False after it complained.
bool ptxm_decode(struct parser *parser, struct function *function, const struct statement *s);
// flow.c: places registers and orders the blocks of a function whose labels are resolved.
// refusal.c: hands refusals from functions to their callers, and tells what the launch of a kernel
// will say. A text of whose kernels none can run is refused: false, after complaints.
bool ptxm_refusals_finish(struct parser *parser);
// The words for an instruction, in the module's arena; NULL without memory.
const char *ptxm_refusal_text(struct ptxm_module *module, const char *instruction, const char *why);
// load.c: appends the implicit return of a function whose text has been read.
// The function of this name that has a body, by way of aliases; NULL: there is none.
struct function *ptxm_function_body(const struct ptxm_module *module, const char *name);
void ptxm_body_end(struct parser *parser, struct function *function);
// exec_host.c: which of the driver's functions a call without a body means, HOST_NONE if none.
enum host_function ptxm_host_function(const struct op *call, const char *name);
bool ptxm_flow_finish(struct ptxm_module *module, struct function *function);

// parser.c, for the decoder
void ptxm_complain(struct parser *parser, const struct token *at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
struct ptxm_module *ptxm_parser_module(struct parser *parser);
uint32_t ptxm_parser_location(struct parser *parser);
// Remembers that ops[op].target (or its list entry, when entry >= 0) is this label.
bool ptxm_parser_label(struct parser *parser, const struct token *name, uint32_t op, int entry);
// The labels of a .branchtargets list that was declared under this name.
const struct token *ptxm_parser_targets(struct parser *parser, const struct token *name,
                                        size_t *count);
// register_params.c: a parameter in memory for one in a register; a move between the two, under
// the guard of a statement; what goes before a return.
struct variable *ptxm_hidden_param(struct parser *parser, struct function *function,
                                   const char *name, enum type type);
bool ptxm_param_move(struct parser *parser, const struct statement *like, const struct token *at,
                     struct variable *variable, const struct operand *value, bool store);
bool ptxm_register_results_store(struct parser *parser, const struct statement *like,
                                 const struct token *at);
int32_t ptxm_constant(struct ptxm_module *module, uint64_t value, unsigned bytes);
int32_t ptxm_constant_address(struct ptxm_module *module, const struct relocation *relocation);

#endif
