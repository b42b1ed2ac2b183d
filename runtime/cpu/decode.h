// SPDX-License-Identifier: MIT
// What decode.c (tables, operands) and decode_*.c (builders of instruction families) share.
#ifndef PTXM_DECODE_H
#define PTXM_DECODE_H

#include "lanes.h"
#include "module.h"

struct decoder;
typedef bool builder_fn(struct decoder *d, int argument);

struct row {
    const char *opcode, *modifiers, *operands;
    builder_fn *build;
    int argument;
};

struct decoder {
    struct parser *parser;
    struct ptxm_module *module;
    struct function *function;
    const struct statement *statement;
    const struct row *row;
    const struct lane_table *lanes;
    const char *fields[128]; // the word of each modifier group, by its letter
    enum type t, u;
    int32_t operands[64]; // encoded, destinations first, as the operand letters ask
    unsigned ndst, nsrc;
    const struct operand *address;
    const struct operand *address2; // second address of cp.async
    uint64_t immediate;
};

// Encoded operands before placement: a register index, SPECIAL_BIT + special, or a constant (< 0).
enum { SPECIAL_BIT = 0x40000000 };

bool ptxm_d_complain(struct decoder *d, const struct token *at, const char *message);
// The operand as a source of `type`; OPERAND_NONE after a complaint. loose: the register may be
// wider than the type.
int32_t ptxm_d_source(struct decoder *d, const struct operand *o, enum type type, bool loose);
int32_t ptxm_d_dest(struct decoder *d, const struct operand *o, enum type type, bool loose);
int32_t ptxm_d_temporary(struct decoder *d, enum type type);
int32_t ptxm_d_constant(struct decoder *d, uint64_t value, enum type type);
unsigned ptxm_d_slot_bytes(struct decoder *d, int32_t encoded); // 4, 8, 16; 0 predicate
// Appends an op that carries the statement's guard, line and location; NULL when out of memory.
struct op *ptxm_d_emit(struct decoder *d, unsigned ndst, unsigned nsrc, const int32_t *operands);
bool ptxm_d_lane(struct decoder *d, lane_fn *fn, unsigned nsrc, const int32_t *operands,
                 uint32_t immediate);
bool ptxm_d_has(const struct decoder *d, char field); // the optional word is there
bool ptxm_d_is(const struct decoder *d, char field, const char *word);
// The number in .target sm_NN, and whether it is the variant with a letter, as in sm_90a.
unsigned ptxm_d_target(const struct decoder *d, bool *specific);
enum space ptxm_d_space(struct decoder *d, const char *word);
enum scope ptxm_d_scope(const struct decoder *d);
// Resolves [base + offset]: the base as a source operand (a constant when there is no register).
bool ptxm_d_address(struct decoder *d, const struct operand *o, enum space *space, int32_t *base,
                    int64_t *displacement);

// A step op with d->immediate; one that accesses [address], whose base becomes the last source
// (room for it in list) and whose space, displacement, order and scope are filled in.
struct op *ptxm_d_step(struct decoder *d, step_fn *fn, unsigned ndst, unsigned nsrc,
                       const int32_t *operands);
struct op *ptxm_d_access(struct decoder *d, step_fn *fn, const struct operand *address,
                         unsigned ndst, unsigned nsrc, int32_t *list);
uint8_t ptxm_d_address_bytes(struct decoder *d, int32_t base); // of a lane of the base: 4 or 8

int ptxm_d_atomic_operation(struct decoder *d); // an enum atomic_op, or -1

// decode_forms.c: a statement with its modifiers in the order of the rows, false if they are; why
// no row knows its opcode, NULL if there is nothing to say.
bool ptxm_d_sort_modifiers(const struct statement *s, struct statement *sorted);
const char *ptxm_d_not_supported(const struct statement *s);
// Known, and not supported: the function is marked (see refusal.c). False without memory.
bool ptxm_d_refuse(struct decoder *d, const char *why);

#define BUILDERS(X)                                                                                \
    X(build_int) X(build_carry) X(build_bfi) X(build_mad24_hi) X(build_dp)                         \
    X(build_lop3_predicate) X(build_prmt)                                                          \
    X(build_mov_pred) X(build_mov) X(build_selp) X(build_slct) X(build_setp) X(build_set)          \
    X(build_testp) X(build_float) X(build_minmax) X(build_half) X(build_cvt) X(build_cvt_pack)     \
    X(build_cvt_pack16) X(build_cvta) X(build_isspacep) X(build_load) X(build_store)               \
    X(build_nop) X(build_atomic) X(build_ldmatrix) X(build_cp_async) X(build_step)                 \
    X(build_movmatrix) X(build_wgmma) X(build_wgmma_step) X(build_setmaxnreg) X(build_policy)      \
    X(build_cvt_pairs) X(build_cvt_pack8) X(build_atomic_vector)                                  \
    X(build_step1) X(build_mma) X(build_shfl) X(build_vote) X(build_match) X(build_redux)          \
    X(build_elect) X(build_barrier) X(build_barrier_red) X(build_fence) X(build_branch)            \
    X(build_branch_indexed) X(build_call) X(build_mbarrier_init) X(build_mbarrier_arrive)          \
    X(build_mbarrier_bytes) X(build_mbarrier_wait) X(build_mbarrier_pending)                       \
    X(build_cp_async_arrive) X(build_cluster_barrier) X(build_mapa) X(build_st_async)           \
    X(build_bulk) X(build_bulk_group) X(build_fence_init) X(build_fence_proxy) X(build_grid_wait)  \
    X(build_tensor_load) X(build_tensor_store) X(build_tensor_refused) X(build_fence_tensormap)    \
    X(build_map_replace) X(build_map_copy) X(build_fence_half)                                     \
    X(build_prefetch_map) X(build_wmma_memory) X(build_wmma_mma)
#define X(name) builder_fn name;
BUILDERS(X)
#undef X

enum carry_op { CARRY_ADD, CARRY_ADDC, CARRY_SUB, CARRY_SUBC, CARRY_MAD_LO, CARRY_MAD_HI,
                CARRY_MADC_LO, CARRY_MADC_HI };
// Simple step functions by number, for build_step and build_step1.
enum simple_step { S_CP_COMMIT, S_CP_WAIT, S_CP_WAIT_ALL, S_RET, S_EXIT, S_TRAP, S_NANOSLEEP,
                   S_ACTIVEMASK, S_WARP_SYNC, S_COUNT };

#endif
