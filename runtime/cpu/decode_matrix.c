// SPDX-License-Identifier: MIT
// Builders of the matrix instructions: mma.sync, movmatrix, wgmma.
#include "decode.h"
#include "machine_modes.h"
#include "steps.h"

#include <stdio.h>
#include <string.h>

static enum type word_type(struct decoder *d, char field)
{
    const char *f = d->fields[(unsigned char)field];
    return ptxm_type_parse(f, strcspn(f, "|? "));
}

static bool fragment(struct decoder *d, const struct operand *o, bool destination, enum type type,
                     unsigned count, int32_t *list)
{
    if ((o->kind == OPERAND_VECTOR ? o->count : 1) != count) {
        char message[80];
        snprintf(message, sizeof message, "a fragment of %u registers is expected", count);
        return ptxm_d_complain(d, &o->token, message);
    }
    const struct operand *element = o->kind == OPERAND_VECTOR ? o->elements : o;
    for (unsigned i = 0; i < count; i++) {
        list[i] = destination ? ptxm_d_dest(d, &element[i], type, false)
                              : ptxm_d_source(d, &element[i], type, false);
        if (list[i] == OPERAND_NONE)
            return false;
    }
    return true;
}

static unsigned number_after(const char *word, char letter)
{
    return (unsigned)strtoul(strchr(word, letter) + 1, NULL, 10);
}

bool build_movmatrix(struct decoder *d, int argument)
{
    struct op *op = ptxm_d_emit(d, 1, 1, d->operands);
    if (op)
        op->step = ptxm_step_movmatrix;
    return op != NULL;
}

// ---- mma.sync ----------------------------------------------------------------------------------

static bool target_reaches(struct decoder *d, unsigned least)
{
    bool specific;
    char message[80];
    if (ptxm_d_target(d, &specific) >= least)
        return true;
    snprintf(message, sizeof message, "this needs .target sm_%u or above", least);
    return ptxm_d_complain(d, NULL, message);
}

bool build_mma(struct decoder *d, int least_target)
{
    const struct operand *o = d->statement->operands;
    enum type dt = word_type(d, 'd'), a = word_type(d, 'a'), b = word_type(d, 'b'),
              c = word_type(d, 'c');
    bool f64 = dt == T_F64, integer = dt == T_S32;
    unsigned m = number_after(d->fields['h'], 'm'), k = number_after(d->fields['h'], 'k');
    unsigned bits = ptxm_type_bits(a), word = f64 ? 64 : 32;
    bool small_float = a == T_E4M3 || a == T_E5M2;
    if ((!integer && !small_float && a != b) || (a == T_BF16 && dt != T_F32) ||
        (!integer && dt != c))
        return ptxm_d_complain(d, NULL, "these types do not go together");
    if (!target_reaches(d, (unsigned)least_target))
        return false;
    struct mma_shape s = {.a = m * k * bits / word / LANES, .b = 8 * k * bits / word / LANES,
                          .c = m * 8 / LANES / (ptxm_type_bits(c) == 16 ? 2 : 1),
                          .d = m * 8 / LANES / (ptxm_type_bits(dt) == 16 ? 2 : 1)};
    int32_t list[24];
    enum type whole = f64 ? T_F64 : T_B32;
    if (!fragment(d, &o[0], true, whole, s.d, list) ||
        !fragment(d, &o[1], false, whole, s.a, list + s.d) ||
        !fragment(d, &o[2], false, whole, s.b, list + s.d + s.a) ||
        !fragment(d, &o[3], false, whole, s.c, list + s.d + s.a + s.b))
        return false;
    struct op *op = ptxm_d_emit(d, s.d, s.a + s.b + s.c, list);
    if (!op)
        return false;
    op->step = ptxm_step_mma;
    op->type = (uint8_t)a;
    op->type2 = (uint8_t)b;
    op->vector = (uint8_t)ptxm_type_bits(dt);
    op->mode = (uint8_t)m;
    op->immediate = k;
    op->flags = (uint8_t)(OPF_ALIGNED | (c == T_F16 ? OPF_UNIFORM : 0) |
                          (ptxm_d_is(d, 'x', "xor") ? OPF_NEGATE : 0) |
                          (ptxm_d_has(d, 's') ? OPF_SATURATE : 0));
    return true;
}

// ---- wgmma -------------------------------------------------------------------------------------

static bool only_on_hopper(struct decoder *d)
{
    bool specific;
    if (ptxm_d_target(d, &specific) == 90 && specific)
        return true;
    return ptxm_d_complain(d, NULL, "this needs .target sm_90a");
}

// An immediate operand that is one of two values; *second tells which.
static bool one_of(struct decoder *d, const struct operand *o, int64_t first, int64_t second,
                   bool *is_second)
{
    if (o->kind != OPERAND_INT || (o->value != first && o->value != second)) {
        char message[60];
        snprintf(message, sizeof message, "this operand is %d or %d", (int)first, (int)second);
        return ptxm_d_complain(d, &o->token, message);
    }
    *is_second = o->value == second;
    return true;
}

// Integers have no n between multiples of 16, but for 8 and 24.
static bool shape_exists(struct decoder *d, unsigned n, bool integer)
{
    if (!integer || n % 16 == 0 || n == 8 || n == 24)
        return true;
    return ptxm_d_complain(d, NULL, "integers have no such n: 8, 24 or a multiple of 16");
}

// imm-scale-a, imm-scale-b {, imm-trans-a} {, imm-trans-b} after the first four operands.
static bool immediates(struct decoder *d, int kinds, bool registers, uint8_t *flags)
{
    const struct operand *o = d->statement->operands;
    size_t count = d->statement->operand_count;
    bool negate_a = false, negate_b = false, transpose_a = false, transpose_b = false;
    if (kinds == 2 && count != (registers ? 7u : 8u))
        return ptxm_d_complain(d, NULL, registers ? "A in registers has no imm-trans-a"
                                                  : "imm-trans-a and imm-trans-b are expected");
    if (kinds >= 1 && (!one_of(d, &o[4], 1, -1, &negate_a) || !one_of(d, &o[5], 1, -1, &negate_b)))
        return false;
    if (kinds == 2 && !registers && !one_of(d, &o[6], 0, 1, &transpose_a))
        return false;
    if (kinds == 2 && !one_of(d, &o[count - 1], 0, 1, &transpose_b))
        return false;
    *flags = (uint8_t)((negate_a != negate_b ? WGMMA_NEGATE : 0) |
                       (registers ? WGMMA_A_REGISTERS : 0) |
                       (transpose_a ? WGMMA_A_TRANSPOSED : 0) |
                       (transpose_b ? WGMMA_B_TRANSPOSED : 0) |
                       (ptxm_d_has(d, 's') ? WGMMA_SATURATE : 0));
    return true;
}

// kinds: 0 no immediates, 1 the scales, 2 scales and majors. Destinations: the accumulators, which
// are read as well. Sources: A (a descriptor or four registers), descriptor of B, scale-d.
bool build_wgmma(struct decoder *d, int kinds)
{
    const struct operand *o = d->statement->operands;
    enum type dt = word_type(d, 'd'), a = word_type(d, 'a'), b = word_type(d, 'b');
    unsigned n = number_after(d->fields['h'], 'n'), k = number_after(d->fields['h'], 'k');
    unsigned accumulators = ptxm_type_bits(dt) == 16 ? n / 4 : n / 2;
    bool registers = o[1].kind == OPERAND_VECTOR;
    unsigned na = registers ? 4 : 1;
    uint8_t flags = 0;
    int32_t list[128 + 6], *source = list + accumulators;
    if (!only_on_hopper(d) || !shape_exists(d, n, dt == T_S32) ||
        !immediates(d, kinds, registers, &flags))
        return false;
    if (!fragment(d, &o[0], true, T_B32, accumulators, list) ||
        !fragment(d, &o[1], false, registers ? T_B32 : T_B64, na, source))
        return false;
    source[na] = ptxm_d_source(d, &o[2], T_B64, false);
    source[na + 1] = d->operands[0];
    struct op *op = ptxm_d_emit(d, accumulators, na + 2, list);
    if (!op)
        return false;
    d->function->asynchronous = true; // it reads in the async proxy
    op->step = ptxm_step_wgmma;
    op->type = (uint8_t)a;
    op->type2 = (uint8_t)b;
    op->vector = (uint8_t)(dt == T_F16 ? 16 : 32);
    op->mode = dt == T_S32;
    op->immediate = n | k << 16;
    op->flags = flags;
    op->space = SPACE_SHARED;
    return true;
}

bool build_setmaxnreg(struct decoder *d, int argument)
{
    const struct operand *o = &d->statement->operands[0];
    const struct function *f = d->function;
    if (!only_on_hopper(d))
        return false;
    if (o->value < 24 || o->value > 256 || o->value % 8)
        return ptxm_d_complain(d, &o->token, "a multiple of 8 from 24 to 256 is expected");
    struct op *op = ptxm_d_emit(d, 0, 0, NULL);
    if (!op)
        return false;
    op->step = ptxm_step_setmaxnreg;
    op->immediate = (uint32_t)d->immediate;
    op->mode = ptxm_d_is(d, 'm', "inc");
    // Without a bound of the threads the number of registers at the start is not known.
    op->flags = f->is_entry && !f->max_threads[0] && !f->required_threads[0] ? OPF_NEGATE : 0;
    return true;
}

bool build_wgmma_step(struct decoder *d, int which)
{
    static step_fn *const steps[] = {[WGMMA_FENCE] = ptxm_step_wgmma_fence,
                                     [WGMMA_COMMIT] = ptxm_step_wgmma_commit,
                                     [WGMMA_WAIT] = ptxm_step_wgmma_wait};
    if (!only_on_hopper(d))
        return false;
    if (which == WGMMA_WAIT && d->immediate > INT32_MAX)
        return ptxm_d_complain(d, NULL, "the number of pending groups is no negative number");
    struct op *op = ptxm_d_emit(d, 0, 0, NULL);
    if (!op)
        return false;
    op->step = steps[which];
    op->immediate = (uint32_t)d->immediate;
    return true;
}
