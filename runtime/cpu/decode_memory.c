// SPDX-License-Identifier: MIT
// Builders of memory, warp-wide, matrix, synchronization and control instructions.
#include "decode.h"
#include "machine_modes.h"
#include "steps.h"

#include <string.h>

struct op *ptxm_d_step(struct decoder *d, step_fn *fn, unsigned ndst, unsigned nsrc,
                       const int32_t *operands)
{
    struct op *op = ptxm_d_emit(d, ndst, nsrc, operands);
    if (op) {
        op->step = fn;
        op->immediate = (uint32_t)d->immediate;
    }
    return op;
}

static enum sem semantics(struct decoder *d)
{
    static const char *const words[] = {"volatile", "mmio", "relaxed", "acquire", "release",
                                        "acq_rel"};
    static const enum sem sems[] = {SEM_VOLATILE, SEM_RELAXED, SEM_RELAXED, SEM_ACQUIRE,
                                    SEM_RELEASE, SEM_ACQ_REL};
    for (int i = 0; i < 6; i++)
        if (ptxm_d_is(d, 'o', words[i]))
            return sems[i];
    return SEM_WEAK;
}

// Fills what every access has: base as the last source, displacement, space, order.
struct op *ptxm_d_access(struct decoder *d, step_fn *fn, const struct operand *address,
                         unsigned ndst, unsigned nsrc, int32_t *list)
{
    enum space space = ptxm_d_space(d, NULL);
    int64_t displacement;
    if (!ptxm_d_address(d, address, &space, &list[ndst + nsrc], &displacement))
        return NULL;
    struct op *op = ptxm_d_step(d, fn, ndst, nsrc + 1, list);
    if (!op)
        return NULL;
    op->space = (uint8_t)space;
    op->displacement = displacement;
    op->sem = (uint8_t)semantics(d);
    op->scope = (uint8_t)ptxm_d_scope(d);
    if (op->sem == SEM_VOLATILE || (op->sem == SEM_RELAXED && ptxm_d_is(d, 'o', "mmio")))
        op->scope = SCOPE_SYS;
    return op;
}

// A base register is 4 or 8 bytes a lane: kept in type2 as the width of the address.
uint8_t ptxm_d_address_bytes(struct decoder *d, int32_t base)
{
    return base < 0 ? 8 : (uint8_t)ptxm_d_slot_bytes(d, base);
}

// False after a complaint: .v8 is there for elements of up to four bytes, .v4 of up to eight.
static bool fits_in_access(struct decoder *d, unsigned elements)
{
    return elements * ptxm_type_bits(d->t) <= 256 ||
           ptxm_d_complain(d, NULL, "a vector has at most 32 bytes: use several");
}

bool build_load(struct decoder *d, int argument)
{
    if (!fits_in_access(d, d->ndst))
        return false;
    struct op *op = ptxm_d_access(d, ptxm_step_load, d->address, d->ndst, 0, d->operands);
    if (!op)
        return false;
    op->type2 = ptxm_d_address_bytes(d, op->operands[op->ndst]);
    op->flags = ptxm_d_has(d, 'n') ? OPF_NC : 0;
    op->vector = op->ndst;
    op->transfer = d->lanes->load(d->t, op->vector, op->dst_bytes);
    return true;
}

bool build_store(struct decoder *d, int argument)
{
    unsigned values = d->nsrc;
    if (!fits_in_access(d, values))
        return false;
    struct op *op = ptxm_d_access(d, ptxm_step_store, d->address, 0, values, d->operands);
    if (!op)
        return false;
    if (op->space == SPACE_CONST || op->space == SPACE_PARAM)
        return ptxm_d_complain(d, NULL, "this space cannot be written");
    op->type2 = ptxm_d_address_bytes(d, op->operands[values]);
    op->vector = (uint8_t)values;
    op->dst_bytes = (uint8_t)ptxm_d_slot_bytes(d, d->operands[0]);
    if (d->operands[0] < 0)
        op->dst_bytes = (uint8_t)(ptxm_type_bits(d->t) <= 32 ? 4 : ptxm_type_bits(d->t) / 8);
    op->transfer = d->lanes->store(d->t, op->vector, op->dst_bytes);
    return true;
}

bool build_nop(struct decoder *d, int argument)
{
    return true;
}

// What its thread learns goes on to others, through memory as well.
bool build_grid_wait(struct decoder *d, int argument)
{
    d->function->synchronizes = true;
    return ptxm_d_step(d, ptxm_step_grid_wait, 0, 0, NULL) != NULL;
}

// A policy is only ever handed on: what is in it is the hardware's own business.
bool build_policy(struct decoder *d, int argument)
{
    int32_t list[2] = {d->operands[0], ptxm_d_constant(d, 1, T_B64)};
    return ptxm_d_lane(d, d->lanes->integer(L_MOV, T_B64), 1, list, 0);
}

int ptxm_d_atomic_operation(struct decoder *d)
{
    static const char *const words[ATOM_COUNT] = {"add", "min", "max", "and", "or", "xor", "inc",
                                                  "dec", "exch", "cas"};
    for (int i = 0; i < ATOM_COUNT; i++)
        if (ptxm_d_is(d, 'a', words[i]))
            return i;
    return -1;
}

static bool atomic_type_fits(int operation, enum type t)
{
    char kind = ptxm_type_class(t);
    switch (operation) {
    case ATOM_ADD: return kind != 'b';
    case ATOM_MIN:
    case ATOM_MAX: return kind == 'u' || kind == 's' || kind == 'x' || t == T_F16 || t == T_BF16;
    case ATOM_INC:
    case ATOM_DEC: return t == T_U32;
    case ATOM_AND:
    case ATOM_OR:
    case ATOM_XOR: return kind == 'b' && t != T_B16;
    default: return kind == 'b';
    }
}

bool build_atomic(struct decoder *d, int reduction)
{
    const struct operand *o = d->statement->operands;
    size_t count = d->statement->operand_count, next = reduction ? 1 : 2;
    int operation = ptxm_d_atomic_operation(d);
    size_t values = operation == ATOM_CAS ? 2 : 1;
    if (d->t == T_B128)
        return ptxm_d_complain(d, NULL, "atomics of 128 bits are not supported: use a lock");
    if (!atomic_type_fits(operation, d->t))
        return ptxm_d_complain(d, NULL, "no such type for this operation");
    // With a cache hint one more operand follows: its policy.
    if (count != next + values + (ptxm_d_has(d, 'h') ? 1 : 0))
        return ptxm_d_complain(d, NULL, "wrong number of operands");
    int32_t list[4];
    unsigned ndst = reduction ? 0 : 1;
    if (ndst)
        list[0] = d->operands[0];
    for (size_t i = 0; i < values; i++) {
        // The one "a" that the table reads is not reliable for .v forms: read values here.
        list[ndst + i] = ptxm_d_source(d, &o[next + i], d->t, false);
        if (list[ndst + i] == OPERAND_NONE)
            return false;
    }
    struct op *op = ptxm_d_access(d, ptxm_step_atomic, d->address, ndst, (unsigned)values, list);
    if (!op)
        return false;
    op->type2 = ptxm_d_address_bytes(d, op->operands[ndst + values]);
    op->mode = (uint8_t)operation;
    if (op->sem == SEM_WEAK)
        op->sem = SEM_RELAXED;
    if (op->scope == SCOPE_NONE)
        op->scope = SCOPE_GPU;
    op->flags = reduction ? OPF_UNIFORM : 0; // a reduction never acquires
    return true;
}

// Elements are atomic one by one: an op for each. Only the first looks at the vector's alignment;
// results are handed over at the end, for a destination may be a later element's value.
bool build_atomic_vector(struct decoder *d, int reduction)
{
    const struct operand *o = d->statement->operands, *value = &o[reduction ? 1 : 2];
    int operation = ptxm_d_atomic_operation(d);
    unsigned count = (unsigned)(d->fields['v'][1] - '0'), ndst = reduction ? 0 : 1;
    unsigned bytes = ptxm_type_bits(d->t) / 8;
    int32_t old[8];
    bool fits = d->t == T_F32 ? operation == ATOM_ADD && count < 8 : bytes == 2 || count < 8;
    if (!fits || d->statement->operand_count != 2 + ndst + (ptxm_d_has(d, 'h') ? 1u : 0u))
        return ptxm_d_complain(d, NULL, "no such vector for this operation");
    if (value->kind != OPERAND_VECTOR || value->count != count ||
        (ndst && (o[0].kind != OPERAND_VECTOR || o[0].count != count)))
        return ptxm_d_complain(d, &value->token, "wrong number of vector elements");
    for (unsigned i = 0; i < count; i++) {
        int32_t list[3] = {0};
        list[0] = old[i] = ptxm_d_temporary(d, d->t);
        list[ndst] = ptxm_d_source(d, &value->elements[i], d->t, false);
        struct op *op = list[ndst] == OPERAND_NONE
                            ? NULL : ptxm_d_access(d, ptxm_step_atomic, d->address, ndst, 1, list);
        if (!op)
            return false;
        op->type2 = ptxm_d_address_bytes(d, op->operands[ndst + 1]);
        op->mode = (uint8_t)operation;
        op->displacement += i * bytes;
        op->immediate = i ? 0 : count * bytes;
        op->sem = op->sem == SEM_WEAK ? SEM_RELAXED : op->sem;
        op->scope = op->scope == SCOPE_NONE ? SCOPE_GPU : op->scope;
        op->flags = reduction ? OPF_UNIFORM : 0;
    }
    for (unsigned i = 0; ndst && i < count; i++) {
        int32_t move[2] = {ptxm_d_dest(d, &o[0].elements[i], d->t, false), old[i]};
        if (!ptxm_d_lane(d, d->lanes->integer(L_MOV, T_B32), 1, move, 0))
            return false;
    }
    return true;
}

bool build_ldmatrix(struct decoder *d, int store)
{
    const struct operand *o = d->statement->operands;
    const struct operand *v = store ? &o[1] : &o[0], *address = store ? &o[0] : &o[1];
    unsigned count = (unsigned)(d->fields['v'][1] - '0');
    const struct operand *element = v->kind == OPERAND_VECTOR ? v->elements : v;
    int32_t list[6];
    if ((v->kind == OPERAND_VECTOR ? v->count : 1) != count)
        return ptxm_d_complain(d, &v->token, "wrong number of vector elements");
    for (unsigned i = 0; i < count; i++) {
        list[i] = store ? ptxm_d_source(d, &element[i], T_B32, false)
                        : ptxm_d_dest(d, &element[i], T_B32, false);
        if (list[i] == OPERAND_NONE)
            return false;
    }
    struct op *op = ptxm_d_access(d, store ? ptxm_step_stmatrix : ptxm_step_ldmatrix, address,
                           store ? 0 : count, store ? count : 0, list);
    if (!op)
        return false;
    op->type2 = ptxm_d_address_bytes(d, op->operands[count]);
    op->vector = (uint8_t)count;
    op->flags = (ptxm_d_has(d, 'n') ? OPF_TRANS : 0) | OPF_ALIGNED;
    return true;
}

// cp.async.ca.shared.global [dst], [src], size{, src-size or ignore-src}{, cache-policy}
bool build_cp_async(struct decoder *d, int argument)
{
    const struct operand *o = d->statement->operands;
    size_t count = d->statement->operand_count - (ptxm_d_has(d, 'h') ? 1 : 0);
    int64_t size = o[2].value, displacement[2];
    enum space shared = SPACE_SHARED, global = SPACE_GLOBAL;
    int32_t list[3], ignore = OPERAND_NONE;
    if (size != 16 && (ptxm_d_is(d, 'k', "cg") || (size != 4 && size != 8)))
        return ptxm_d_complain(d, &o[2].token, "cp-size must be 4, 8 or 16 (16 for .cg)");
    if (count < 3 || count > 4)
        return ptxm_d_complain(d, NULL, "wrong number of operands");
    if (!ptxm_d_address(d, d->address, &shared, &list[0], &displacement[0]) ||
        !ptxm_d_address(d, d->address2, &global, &list[1], &displacement[1]))
        return false;
    list[2] = ptxm_d_constant(d, (uint64_t)size, T_U32);
    if (count == 4) {
        bool predicate = o[3].kind == OPERAND_REG && d->function->regs[o[3].index].type == T_PRED;
        int32_t fourth = ptxm_d_source(d, &o[3], predicate ? T_PRED : T_U32, false);
        if (fourth == OPERAND_NONE)
            return false;
        if (predicate)
            ignore = fourth;
        else
            list[2] = fourth;
    }
    if (ignore != OPERAND_NONE) {
        // ignore-src: the source size is zero where the predicate holds.
        int32_t select[4] = {ptxm_d_temporary(d, T_U32), ptxm_d_constant(d, 0, T_U32), list[2],
                             ignore};
        if (!ptxm_d_lane(d, d->lanes->integer(L_SELP, T_U32), 3, select, 0))
            return false;
        list[2] = select[0];
    }
    struct op *op = ptxm_d_step(d, ptxm_step_cp_async, 0, 3, list);
    if (!op)
        return false;
    // Both displacements: the shared one fits 32 bits.
    op->displacement = displacement[1];
    op->target = (uint32_t)displacement[0];
    op->immediate = (uint32_t)size;
    op->mode = ptxm_d_address_bytes(d, list[0]);
    op->type2 = ptxm_d_address_bytes(d, list[1]);
    op->space = SPACE_SHARED;
    return true;
}

// ---- warp-wide ---------------------------------------------------------------------------------

bool build_shfl(struct decoder *d, int argument)
{
    static const char *const modes[] = {"up", "down", "bfly", "idx"};
    struct op *op = ptxm_d_step(d, ptxm_step_shfl, d->ndst, d->nsrc, d->operands);
    for (int i = 0; op && i < 4; i++)
        if (ptxm_d_is(d, 'm', modes[i]))
            op->mode = (uint8_t)i;
    return op != NULL;
}

bool build_vote(struct decoder *d, int argument)
{
    struct op *op = ptxm_d_step(d, ptxm_step_vote, d->ndst, d->nsrc, d->operands);
    if (op)
        op->mode = argument                    ? VOTE_BALLOT
                 : ptxm_d_is(d, 'm', "all")    ? VOTE_ALL
                 : ptxm_d_is(d, 'm', "any")    ? VOTE_ANY
                                               : VOTE_UNI;
    return op != NULL;
}

bool build_match(struct decoder *d, int argument)
{
    struct op *op = ptxm_d_step(d, ptxm_step_match, d->ndst, d->nsrc, d->operands);
    if (op)
        op->mode = (uint8_t)argument;
    return op != NULL;
}

bool build_redux(struct decoder *d, int argument)
{
    struct op *op = ptxm_d_step(d, ptxm_step_redux, d->ndst, d->nsrc, d->operands);
    if (op)
        op->mode = (uint8_t)ptxm_d_atomic_operation(d);
    return op != NULL;
}

bool build_elect(struct decoder *d, int argument)
{
    return ptxm_d_step(d, ptxm_step_elect, d->ndst, d->nsrc, d->operands) != NULL;
}

// ---- synchronization ----------------------------------------------------------------------------

// bar.sync id{, count}: sources id, count (0: all threads)
static struct op *barrier_op(struct decoder *d, unsigned ndst, unsigned nsrc, int32_t *list,
                             enum barrier_mode mode)
{
    struct op *op = ptxm_d_step(d, ptxm_step_barrier, ndst, nsrc, list);
    if (!op)
        return NULL;
    op->mode = (uint8_t)mode;
    bool old_name = ptxm_token_is(&d->statement->opcode, "bar");
    op->flags = old_name || ptxm_d_has(d, 'l') ? OPF_ALIGNED : 0;
    return op;
}

bool build_barrier(struct decoder *d, int arrive)
{
    int32_t list[2] = {d->operands[0],
                       d->nsrc > 1 ? d->operands[1] : ptxm_d_constant(d, 0, T_U32)};
    return barrier_op(d, 0, 2, list, arrive ? BARRIER_ARRIVE : BARRIER_SYNC) != NULL;
}

// bar.red.popc.u32 d, id{, count}, {!}p
bool build_barrier_red(struct decoder *d, int argument)
{
    const struct operand *o = d->statement->operands;
    size_t count = d->statement->operand_count;
    bool popc = ptxm_d_is(d, 'a', "popc");
    if (count > 4)
        return ptxm_d_complain(d, NULL, "wrong number of operands");
    int32_t list[4] = {ptxm_d_dest(d, &o[0], popc ? T_U32 : T_PRED, false),
                       ptxm_d_source(d, &o[1], T_B32, false),
                       count == 4 ? ptxm_d_source(d, &o[2], T_B32, false)
                                  : ptxm_d_constant(d, 0, T_U32),
                       ptxm_d_source(d, &o[count - 1], T_PRED, false)};
    enum barrier_mode mode = popc ? BARRIER_POPC
                           : ptxm_d_is(d, 'a', "and") ? BARRIER_AND : BARRIER_OR;
    return barrier_op(d, 1, 3, list, mode) != NULL;
}

bool build_fence(struct decoder *d, int argument)
{
    struct op *op = ptxm_d_step(d, ptxm_step_fence, 0, 0, NULL);
    if (op)
        op->scope = (uint8_t)ptxm_d_scope(d);
    if (op)
        op->mode = ptxm_d_is(d, 'o', "sc") || ptxm_token_is(&d->statement->opcode, "membar");
    return op != NULL;
}

static step_fn *const simple_steps[S_COUNT] = {
    [S_CP_COMMIT] = ptxm_step_cp_commit, [S_CP_WAIT] = ptxm_step_cp_wait,
    [S_CP_WAIT_ALL] = ptxm_step_cp_wait_all, [S_RET] = ptxm_step_ret, [S_EXIT] = ptxm_step_exit,
    [S_TRAP] = ptxm_step_trap, [S_NANOSLEEP] = ptxm_step_nanosleep,
    [S_ACTIVEMASK] = ptxm_step_activemask, [S_WARP_SYNC] = ptxm_step_warp_sync,
};

bool build_step(struct decoder *d, int argument)
{
    if (argument == S_RET &&
        !ptxm_register_results_store(d->parser, d->statement, &d->statement->opcode))
        return false;
    return ptxm_d_step(d, simple_steps[argument], 0, 0, NULL) != NULL;
}

bool build_step1(struct decoder *d, int argument)
{
    return ptxm_d_step(d, simple_steps[argument], d->ndst, d->nsrc, d->operands) != NULL;
}

// ---- control ------------------------------------------------------------------------------------

bool build_branch(struct decoder *d, int argument)
{
    const struct operand *o = d->statement->operands;
    if (o[0].kind != OPERAND_LABEL)
        return ptxm_d_complain(d, &o[0].token, "expected a label");
    struct op *op = ptxm_d_step(d, ptxm_step_branch, 0, 0, NULL);
    return op && ptxm_parser_label(d->parser, &o[0].token,
                                   (uint32_t)(op - d->module->ops), -1);
}

bool build_branch_indexed(struct decoder *d, int argument)
{
    const struct operand *o = d->statement->operands;
    size_t count = 0;
    if (o[1].kind != OPERAND_LABEL)
        return ptxm_d_complain(d, &o[1].token, "expected a .branchtargets list");
    const struct token *targets = ptxm_parser_targets(d->parser, &o[1].token, &count);
    if (!targets)
        return false;
    struct op *op = ptxm_d_step(d, ptxm_step_branch_indexed, 0, 1, d->operands);
    if (!op)
        return false;
    op->immediate = (uint32_t)count;
    op->target_list = ptxm_arena_alloc(&d->module->arena, count * sizeof *op->target_list);
    if (!op->target_list)
        return false;
    uint32_t index = (uint32_t)(op - d->module->ops);
    for (size_t i = 0; i < count; i++)
        if (!ptxm_parser_label(d->parser, &targets[i], index, (int)i))
            return false;
    return true;
}

static struct function *prototype_of(const struct operand *o)
{
    return o->kind == OPERAND_FUNCTION ? o->function : NULL;
}

// An argument that is no .param variable of the caller's: a register or a constant, which the
// callee has in a register.
static struct variable *plain_argument(struct decoder *d, const struct operand *o,
                                       const struct variable *theirs, bool result)
{
    if (!theirs || !theirs->in_register) {
        ptxm_d_complain(d, &o->token, "arguments of a call are .param variables");
        return NULL;
    }
    struct variable *v = ptxm_hidden_param(d->parser, d->function, theirs->name,
                                           (enum type)theirs->type);
    if (v && !result && !ptxm_param_move(d->parser, d->statement, &o->token, v, o, true))
        return NULL;
    return v;
}

// Parameters of a call are .param variables of the caller: target_list holds them, returns first.
static bool call_variables(struct decoder *d, const struct operand *list, bool results,
                           const struct function *callee, uint64_t *out, size_t *count)
{
    size_t most = !callee ? 0 : results ? callee->return_count : callee->param_count;
    for (size_t i = 0; list && i < list->count; i++) {
        const struct operand *o = &list->elements[i];
        struct variable *v = o->variable;
        if (o->kind != OPERAND_SYMBOL || v->space != SPACE_FRAME_PARAM)
            v = plain_argument(d, o, i < most ? results ? callee->returns[i] : callee->params[i]
                                              : NULL, results);
        if (!v)
            return false;
        out[(*count)++] = (uint64_t)(uintptr_t)v;
    }
    return true;
}

static bool take_results(struct decoder *d, const struct operand *list, const uint64_t *variables)
{
    for (size_t i = 0; list && i < list->count; i++) {
        const struct operand *o = &list->elements[i];
        if (o->kind != OPERAND_SYMBOL &&
            !ptxm_param_move(d->parser, d->statement, &o->token,
                             (struct variable *)(uintptr_t)variables[i], o, false))
            return false;
    }
    return true;
}

bool build_call(struct decoder *d, int argument)
{
    const struct operand *o = d->statement->operands;
    size_t n = d->statement->operand_count, at = 0, count = 0;
    const struct operand *returns = o[0].kind == OPERAND_LIST ? &o[at++] : NULL;
    const struct operand *callee = &o[at++];
    const struct operand *arguments = at < n && o[at].kind == OPERAND_LIST ? &o[at++] : NULL;
    uint64_t *list = ptxm_arena_alloc(&d->module->arena, 130 * sizeof *list);
    bool direct = prototype_of(callee) != NULL;
    int32_t target[1];
    if (!list)
        return false;
    if (at > n || callee->kind == OPERAND_LABEL ||
        (at < n && (direct || o[at].kind != OPERAND_LABEL)))
        return ptxm_d_complain(d, &callee->token, "this is no function");
    if (direct && callee->function->is_entry)
        return ptxm_d_complain(d, &callee->token, "a kernel cannot be called");
    size_t return_count = returns ? returns->count : 0;
    const struct function *known = direct ? callee->function : NULL;
    if (!call_variables(d, returns, true, known, list, &count) ||
        !call_variables(d, arguments, false, known, list, &count))
        return false;
    if (!direct && (target[0] = ptxm_d_source(d, callee, T_U64, false)) == OPERAND_NONE)
        return false;
    struct op *op = ptxm_d_step(d, ptxm_step_call, 0, direct ? 0 : 1, target);
    if (!op)
        return false;
    op->target_list = list;
    op->immediate = (uint32_t)count;
    op->mode = (uint8_t)return_count;
    // Prototypes may precede bodies: the name is looked up again when all is read.
    op->displacement = direct ? (int64_t)(uintptr_t)callee->function->name : 0;
    return take_results(d, returns, list);
}
