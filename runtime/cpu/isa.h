// SPDX-License-Identifier: MIT
// Types, decoded instructions and the shapes of the functions that execute them.
//
// A decoded instruction (struct op) is executed by exactly one of
//   lane   a pure function over all 32 lanes: no side effect but its destination. It is run for
//          all lanes and, under a partial mask, its result is blended in.
//   step   everything that looks at the mask, memory, other lanes or the program counter.
#ifndef PTXM_ISA_H
#define PTXM_ISA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LANES = 32 };

// name, bits, class: p predicate, b bits, u unsigned, s signed, f float, x packed pair
#define PTXM_TYPES(X)                                                                              \
    X(PRED, "pred", 1, 'p') X(B8, "b8", 8, 'b') X(B16, "b16", 16, 'b') X(B32, "b32", 32, 'b')      \
    X(B64, "b64", 64, 'b') X(B128, "b128", 128, 'b') X(U8, "u8", 8, 'u') X(U16, "u16", 16, 'u')    \
    X(U32, "u32", 32, 'u') X(U64, "u64", 64, 'u') X(S8, "s8", 8, 's') X(S16, "s16", 16, 's')       \
    X(S32, "s32", 32, 's') X(S64, "s64", 64, 's') X(F16, "f16", 16, 'f')                           \
    X(F16X2, "f16x2", 32, 'x') X(BF16, "bf16", 16, 'f') X(BF16X2, "bf16x2", 32, 'x')               \
    X(TF32, "tf32", 32, 'f') X(F32, "f32", 32, 'f') X(F64, "f64", 64, 'f')                         \
    X(E4M3, "e4m3", 8, 'f')          \
    X(E5M2, "e5m2", 8, 'f') X(S4, "s4", 4, 's') X(U4, "u4", 4, 'u') X(B1, "b1", 1, 'b')            \
    X(E4M3X2, "e4m3x2", 16, 'x') X(E5M2X2, "e5m2x2", 16, 'x') X(U16X2, "u16x2", 32, 'x')           \
    X(S16X2, "s16x2", 32, 'x')

enum type {
    T_NONE,
#define X(id, name, bits, kind) T_##id,
    PTXM_TYPES(X)
#undef X
        T_COUNT
};
unsigned ptxm_type_bits(enum type type);
char ptxm_type_class(enum type type);
const char *ptxm_type_name(enum type type);
enum type ptxm_type_parse(const char *text, size_t length); // T_NONE if there is no such type

enum space {
    SPACE_GENERIC,
    SPACE_GLOBAL,
    SPACE_SHARED,
    SPACE_LOCAL,
    SPACE_CONST,
    SPACE_PARAM,       // of a kernel: read only, one for the grid
    SPACE_FRAME_PARAM, // of a function call: per thread
    SPACE_CLUSTER,     // shared memory of the cluster: a rank and an offset in one address
    SPACE_REG,
    SPACE_COUNT
};
const char *ptxm_space_name(enum space space);

enum sem { SEM_WEAK, SEM_VOLATILE, SEM_RELAXED, SEM_ACQUIRE, SEM_RELEASE, SEM_ACQ_REL };
enum scope { SCOPE_NONE, SCOPE_CTA, SCOPE_CLUSTER, SCOPE_GPU, SCOPE_SYS };

// The comparison and atomic operation numbers used by decode.c and the execution files.
enum compare { CMP_EQ, CMP_NE, CMP_LT, CMP_LE, CMP_GT, CMP_GE, CMP_EQU, CMP_NEU, CMP_LTU, CMP_LEU,
               CMP_GTU, CMP_GEU, CMP_NUM, CMP_NAN, CMP_COUNT };
enum atomic_op { ATOM_ADD, ATOM_MIN, ATOM_MAX, ATOM_AND, ATOM_OR, ATOM_XOR, ATOM_INC, ATOM_DEC,
                 ATOM_EXCH, ATOM_CAS, ATOM_COUNT };

// Where a warp's registers live, seen from an operand offset:
//   offset >= 0   bytes from the start of the warp's register file
//   offset < 0    bytes from the start of the constant pool, at -1 - offset
// A 32-bit (or narrower) register is 32 uint32_t, a 64-bit one 32 uint64_t, a predicate one
// uint32_t with a bit a lane. Narrow values are kept zero-extended; readers do not rely on it.
enum { OPERAND_NONE = INT32_MIN };

struct warp;
struct op;
// Between registers, one for each element of a vector, and memory + span->at, for some lanes.
struct lane_span; // lanes.h
typedef void transfer_fn(void *const *registers, uint8_t *memory, const struct lane_span *span,
                         uint32_t mask, unsigned vector);
typedef void lane_fn(void *d, const void *a, const void *b, const void *c, uint32_t immediate);

enum step_result {
    STEP_NEXT,  // go to the next instruction
    STEP_JUMP,  // the function has set the program counter (or split the fragment)
    STEP_BLOCK, // wait: the same instruction is tried again when the fragment is woken
    STEP_YIELD, // done, and this is a good moment to let others run
    STEP_EXIT,  // the lanes are gone
    STEP_ABORT, // the grid ends here; a finding says why
};
typedef enum step_result step_fn(struct warp *warp, const struct op *op, uint32_t mask);

enum { OP_MAX_SOURCES = 4 };

struct op {
    lane_fn *lane;
    step_fn *step;
    int32_t *operands;      // ndst destinations, then nsrc sources
    uint64_t *target_list;  // brx.idx, calls: see exec_control.c
    int64_t displacement;   // of an address, or an immediate
    uint32_t line;
    uint32_t location;      // index of .loc, 0: none
    uint32_t target;        // op index of a branch or function
    uint32_t immediate;
    uint32_t row;           // in isa.def
    uint32_t order;         // reconvergence order: smaller runs first
    int32_t guard;          // predicate offset, OPERAND_NONE if unguarded
    uint8_t guard_negated;
    uint8_t ndst, nsrc;
    uint8_t dst_bytes;      // of one destination lane: 4, 8, 16; 0 for a predicate
    uint8_t leader;         // starts a basic block
    uint8_t type, type2, vector, space, sem, scope;
    uint8_t mode;           // meaning is the step function's: atomic op, shuffle mode, shape...
    uint8_t flags;
    struct watch *watch;    // flight.c; NULL for nearly all
    transfer_fn *transfer;  // ld, st: what moves the bytes of many lanes, or NULL
    const char *text;       // the opcode with its modifiers as written
};

// An op in whose way a check of registers under wgmma stands.
struct watch {
    lane_fn *lane; // of the op itself, of which only one is set
    step_fn *step;
    uint64_t used; // operands that some wgmma uses, a bit each
    bool copies;   // mov from a register
};
enum { OPF_NEGATE = 1, OPF_ALIGNED = 2, OPF_NC = 4, OPF_TRANS = 8, OPF_A_SIGNED = 16,
       OPF_B_SIGNED = 32, OPF_SATURATE = 64, OPF_UNIFORM = 128, OPF_REDUCES = 1, OPF_STORES = 2 };

#endif
