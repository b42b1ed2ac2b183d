// SPDX-License-Identifier: MIT
// Builders of everything that computes in registers: arithmetic, moves, comparisons, conversions.
#include "decode.h"
#include "steps.h"

#include <string.h>

static bool lane(struct decoder *d, lane_fn *fn, uint32_t immediate)
{
    return ptxm_d_lane(d, fn, d->nsrc, d->operands, immediate);
}

static bool step(struct decoder *d, step_fn *fn, uint8_t mode)
{
    struct op *op = ptxm_d_emit(d, d->ndst, d->nsrc, d->operands);
    if (!op)
        return false;
    op->step = fn;
    op->mode = mode;
    op->immediate = (uint32_t)d->immediate;
    return true;
}

bool build_int(struct decoder *d, int argument)
{
    return lane(d, d->lanes->integer((enum lane_op)argument, d->t == T_NONE ? T_PRED : d->t),
                (uint32_t)d->immediate);
}

bool build_bfi(struct decoder *d, int argument)
{
    return step(d, ptxm_step_bfi, 0);
}

// The product's bits 16 to 47, then a sum.
bool build_mad24_hi(struct decoder *d, int saturate)
{
    int32_t product[3] = {ptxm_d_temporary(d, T_B32), d->operands[1], d->operands[2]};
    int32_t sum[3] = {d->operands[0], product[0], d->operands[3]};
    return ptxm_d_lane(d, d->lanes->integer(L_MUL24_HI, d->t), 2, product, 0) &&
           ptxm_d_lane(d, d->lanes->integer(saturate ? L_ADD_SAT : L_ADD, d->t), 2, sum, 0);
}

// The condition code register is one predicate-like register of the function.
bool build_carry(struct decoder *d, int argument)
{
    struct function *f = d->function;
    size_t cc = 0;
    while (cc < f->reg_count && !(f->regs[cc].type == T_PRED && f->regs[cc].slot == -2)) cc++;
    if (cc == f->reg_count) {
        int32_t fresh = ptxm_d_temporary(d, T_PRED);
        if (fresh == OPERAND_NONE)
            return false;
        f->regs[fresh].slot = -2;
    }
    // d, cc <- a, b, (c,) cc
    int32_t list[6] = {d->operands[0], (int32_t)cc};
    unsigned count = 2;
    for (unsigned i = 0; i < d->nsrc; i++) list[count++] = d->operands[1 + i];
    list[count++] = (int32_t)cc;
    struct op *op = ptxm_d_emit(d, 2, count - 2, list);
    if (!op)
        return false;
    op->step = ptxm_step_carry;
    op->mode = (uint8_t)argument;
    op->flags = ptxm_d_has(d, 'c') ? 1 : 0;
    return true;
}

bool build_dp(struct decoder *d, int argument)
{
    const struct operand *o = d->statement->operands;
    bool is_signed = d->t == T_S32 || d->u == T_S32;
    enum type result = is_signed ? T_S32 : T_U32;
    int32_t list[4] = {ptxm_d_dest(d, &o[0], result, false), ptxm_d_source(d, &o[1], T_B32, false),
                       ptxm_d_source(d, &o[2], T_B32, false),
                       ptxm_d_source(d, &o[3], result, false)};
    uint32_t flags = (d->t == T_S32 ? 1 : 0) | (d->u == T_S32 ? 2 : 0) |
                     (ptxm_d_is(d, 'm', "hi") ? 4 : 0);
    return ptxm_d_lane(d, d->lanes->integer(argument == 4 ? L_DP4A : L_DP2A, T_U32), 3, list,
                       flags);
}

// lop3.or.b32 d|p, a, b, c, lut, q: p = (d != 0) or q
bool build_lop3_predicate(struct decoder *d, int argument)
{
    const struct operand *o = d->statement->operands;
    struct operand first = o[0];
    if (!first.second || o[4].kind != OPERAND_INT)
        return ptxm_d_complain(d, &o[0].token, "expected d|p");
    first.second = NULL;
    int32_t t = ptxm_d_temporary(d, T_PRED), value = ptxm_d_dest(d, &first, T_B32, false);
    int32_t lop[4] = {value, ptxm_d_source(d, &o[1], T_B32, false),
                      ptxm_d_source(d, &o[2], T_B32, false), ptxm_d_source(d, &o[3], T_B32, false)};
    int32_t ne[3] = {t, value, ptxm_d_constant(d, 0, T_B32)};
    int32_t combine[3] = {ptxm_d_dest(d, first.second = o[0].second, T_PRED, false), t,
                          ptxm_d_source(d, &o[5], T_PRED, false)};
    enum lane_op op = ptxm_d_is(d, 'm', "or") ? L_OR : L_AND;
    return ptxm_d_lane(d, d->lanes->integer(L_LOP3, T_B32), 3, lop, (uint32_t)o[4].value) &&
           ptxm_d_lane(d, d->lanes->compare(CMP_NE, T_U32, false), 2, ne, 0) &&
           ptxm_d_lane(d, d->lanes->integer(op, T_PRED), 2, combine, 0);
}

bool build_prmt(struct decoder *d, int argument)
{
    static const char *const modes[] = {"f4e", "b4e", "rc8", "ecl", "ecr", "rc16"};
    uint32_t mode = 0;
    for (uint32_t i = 0; i < 6; i++)
        if (ptxm_d_is(d, 'm', modes[i]))
            mode = i + 1;
    return lane(d, d->lanes->integer(L_PRMT, T_B32), mode);
}

// ---- moves --------------------------------------------------------------------------------------

bool build_mov_pred(struct decoder *d, int argument)
{
    return lane(d, d->lanes->integer(L_MOV, T_PRED), 0);
}

static bool pack(struct decoder *d, const struct operand *vector, const struct operand *whole,
                 bool unpack)
{
    unsigned bits = ptxm_type_bits(d->t) / (vector->count ? (unsigned)vector->count : 1);
    enum type part = bits == 8 ? T_B8 : bits == 16 ? T_B16 : bits == 32 ? T_B32
                   : bits == 64 ? T_B64 : T_NONE;
    if (part == T_NONE || vector->count < 2 || bits * vector->count != ptxm_type_bits(d->t))
        return ptxm_d_complain(d, &vector->token, "wrong number of vector elements");
    int32_t list[17];
    unsigned n = (unsigned)vector->count;
    int32_t one = unpack ? ptxm_d_source(d, whole, d->t, false)
                         : ptxm_d_dest(d, whole, d->t, false);
    list[unpack ? n : 0] = one;
    for (unsigned i = 0; i < n; i++)
        list[unpack ? i : 1 + i] = unpack ? ptxm_d_dest(d, &vector->elements[i], part, false)
                                          : ptxm_d_source(d, &vector->elements[i], part, false);
    struct op *op = ptxm_d_emit(d, unpack ? n : 1, unpack ? 1 : n, list);
    if (!op)
        return false;
    op->step = unpack ? ptxm_step_unpack : ptxm_step_pack;
    op->immediate = bits / 8;
    op->mode = (uint8_t)(ptxm_type_bits(d->t) / 8);
    return true;
}

static bool mov_special(struct decoder *d, const struct operand *o)
{
    int32_t list[1] = {ptxm_d_dest(d, &o[0], d->t, false)};
    bool wide = o[1].index >= SPECIAL_CLOCK64;
    if (list[0] == OPERAND_NONE)
        return false;
    if (wide && ptxm_type_bits(d->t) != 64)
        return ptxm_d_complain(d, &o[1].token, "this register is 64 bits wide");
    struct op *op = ptxm_d_emit(d, 1, 0, list);
    if (!op)
        return false;
    op->step = ptxm_step_mov_special;
    op->mode = (uint8_t)o[1].index;
    return true;
}

bool build_mov(struct decoder *d, int argument)
{
    const struct operand *o = d->statement->operands;
    if (o[0].kind == OPERAND_VECTOR)
        return pack(d, &o[0], &o[1], true);
    if (o[1].kind == OPERAND_VECTOR)
        return pack(d, &o[1], &o[0], false);
    if (o[0].second || o[1].second)
        return ptxm_d_complain(d, &o[0].token, "unexpected '|'");
    if (o[1].kind == OPERAND_SPECIAL && (o[1].index >= SPECIAL_COUNT))
        return mov_special(d, o);
    if (o[1].kind == OPERAND_SPECIAL && ptxm_type_bits(d->t) == 64) {
        int32_t wide[2] = {ptxm_d_dest(d, &o[0], d->t, false), SPECIAL_BIT + o[1].index};
        return ptxm_d_lane(d, d->lanes->convert(T_U64, T_U32, 0), 1, wide, 0);
    }
    int32_t list[2] = {ptxm_d_dest(d, &o[0], d->t, false), ptxm_d_source(d, &o[1], d->t, false)};
    return ptxm_d_lane(d, d->lanes->integer(L_MOV, d->t), 1, list, 0);
}

bool build_selp(struct decoder *d, int argument)
{
    const struct operand *o = d->statement->operands;
    int32_t list[4] = {ptxm_d_dest(d, &o[0], T_PRED, false), ptxm_d_source(d, &o[1], T_PRED, false),
                       ptxm_d_source(d, &o[2], T_PRED, false),
                       ptxm_d_source(d, &o[3], T_PRED, false)};
    return ptxm_d_lane(d, d->lanes->integer(L_SELP, T_PRED), 3, list, 0);
}

// d = c >= 0 ? a : b
bool build_slct(struct decoder *d, int argument)
{
    int32_t t = ptxm_d_temporary(d, T_PRED);
    int32_t compare[3] = {t, d->operands[3], ptxm_d_constant(d, 0, d->u)};
    int32_t select[4] = {d->operands[0], d->operands[1], d->operands[2], t};
    return ptxm_d_lane(d, d->lanes->compare(CMP_GE, d->u, ptxm_d_has(d, 'z')), 2, compare, 0) &&
           ptxm_d_lane(d, d->lanes->integer(L_SELP, d->t), 3, select, 0);
}

// ---- comparisons --------------------------------------------------------------------------------

static lane_fn *compare_fn(struct decoder *d, enum type type)
{
    static const char *const names[CMP_COUNT] = {"eq",  "ne",  "lt",  "le",  "gt",  "ge",  "equ",
                                                 "neu", "ltu", "leu", "gtu", "geu", "num", "nan"};
    static const char *const unsigned_names[] = {"lo", "ls", "hi", "hs"};
    for (int i = 0; i < 4; i++)
        if (ptxm_d_is(d, 'c', unsigned_names[i]))
            return ptxm_type_class(type) == 'u'
                       ? d->lanes->compare((enum compare)(CMP_LT + i), type, false)
                       : NULL;
    for (int i = 0; i < CMP_COUNT; i++)
        if (ptxm_d_is(d, 'c', names[i]))
            return d->lanes->compare((enum compare)i, type, ptxm_d_has(d, 'z'));
    return NULL;
}

static enum lane_op boolean(struct decoder *d)
{
    return ptxm_d_is(d, 'b', "and") ? L_AND : ptxm_d_is(d, 'b', "or") ? L_OR : L_XOR;
}

// p = (a ? b) bool c; q = !(a ? b) bool c
static bool combined(struct decoder *d, int32_t p, int32_t q, int32_t c)
{
    int32_t t = ptxm_d_temporary(d, T_PRED), n = ptxm_d_temporary(d, T_PRED);
    int32_t compare[3] = {t, d->operands[d->ndst], d->operands[d->ndst + 1]};
    lane_fn *not_fn = d->lanes->integer(L_NOT, T_PRED);
    lane_fn *combine = d->lanes->integer(c == OPERAND_NONE ? L_MOV : boolean(d), T_PRED);
    if (!ptxm_d_lane(d, compare_fn(d, d->t), 2, compare, 0))
        return false;
    unsigned sources = c == OPERAND_NONE ? 1 : 2;
    // q first: p may be c.
    if (q != OPERAND_NONE &&
        (!ptxm_d_lane(d, not_fn, 1, (int32_t[]){n, t}, 0) ||
         !ptxm_d_lane(d, combine, sources, (int32_t[]){n, n, c}, 0)))
        return false;
    if (!ptxm_d_lane(d, combine, sources, (int32_t[]){p, t, c}, 0))
        return false;
    return q == OPERAND_NONE ||
           ptxm_d_lane(d, d->lanes->integer(L_MOV, T_PRED), 1, (int32_t[]){q, n}, 0);
}

static bool setp_pair(struct decoder *d)
{
    const struct operand *o = d->statement->operands;
    struct operand first = o[0];
    enum type half = d->t == T_F16X2 ? T_F16 : T_BF16;
    if (!first.second)
        return ptxm_d_complain(d, &first.token, "expected p|q");
    first.second = NULL;
    int32_t dst[2] = {ptxm_d_dest(d, &first, T_PRED, false),
                      ptxm_d_dest(d, o[0].second, T_PRED, false)};
    int32_t c = d->nsrc == 3 ? d->operands[2] : OPERAND_NONE;
    int32_t t[2] = {ptxm_d_temporary(d, T_PRED), ptxm_d_temporary(d, T_PRED)};
    for (int i = 0; i < 2; i++) {
        int32_t part[2] = {ptxm_d_temporary(d, T_B32), ptxm_d_temporary(d, T_B32)};
        for (int k = 0; k < 2; k++) {
            int32_t shift[3] = {part[k], d->operands[k], ptxm_d_constant(d, i ? 16 : 0, T_U32)};
            if (!ptxm_d_lane(d, d->lanes->integer(L_SHR, T_U32), 2, shift, 0))
                return false;
        }
        int32_t list[3] = {t[i], part[0], part[1]};
        if (!ptxm_d_lane(d, compare_fn(d, half), 2, list, 0))
            return false;
        if (c != OPERAND_NONE && !ptxm_d_lane(d, d->lanes->integer(boolean(d), T_PRED), 2,
                                              (int32_t[]){t[i], t[i], c}, 0))
            return false;
    }
    lane_fn *mov = d->lanes->integer(L_MOV, T_PRED);
    return ptxm_d_lane(d, mov, 1, (int32_t[]){dst[0], t[0]}, 0) &&
           ptxm_d_lane(d, mov, 1, (int32_t[]){dst[1], t[1]}, 0);
}

bool build_setp(struct decoder *d, int argument)
{
    if (argument)
        return setp_pair(d);
    if (ptxm_d_has(d, 'b') != (d->nsrc == 3))
        return ptxm_d_complain(d, NULL, "a boolean operation and its predicate belong together");
    if (d->nsrc == 2 && d->ndst == 1)
        return ptxm_d_lane(d, compare_fn(d, d->t), 2, d->operands, 0);
    return combined(d, d->operands[0], d->ndst == 2 ? d->operands[1] : OPERAND_NONE,
                    d->nsrc == 3 ? d->operands[d->ndst + 2] : OPERAND_NONE);
}

static uint64_t set_true(enum type type)
{
    switch (type) {
    case T_F32: return 0x3f800000;
    case T_F16: return 0x3c00;
    case T_BF16: return 0x3f80;
    case T_F16X2: return 0x3c00;
    case T_BF16X2: return 0x3f80;
    case T_U16:
    case T_S16: return 0xffff;
    default: return 0xffffffff;
    }
}

static bool set_pair(struct decoder *d)
{
    enum type half = d->t == T_F16X2 ? T_F16 : T_BF16;
    uint64_t yes = d->u == T_U32 || d->u == T_S32 ? 0xffff : set_true(d->u);
    int32_t result[2] = {ptxm_d_temporary(d, T_B32), ptxm_d_temporary(d, T_B32)};
    for (int i = 0; i < 2; i++) {
        int32_t part[2], t = ptxm_d_temporary(d, T_PRED);
        for (int k = 0; k < 2; k++) {
            part[k] = ptxm_d_temporary(d, T_B32);
            int32_t shift[3] = {part[k], d->operands[1 + k], ptxm_d_constant(d, i ? 16 : 0, T_U32)};
            if (!ptxm_d_lane(d, d->lanes->integer(L_SHR, T_U32), 2, shift, 0))
                return false;
        }
        int32_t compare[3] = {t, part[0], part[1]};
        int32_t select[4] = {result[i], ptxm_d_constant(d, i ? yes << 16 : yes, T_B32),
                             ptxm_d_constant(d, 0, T_B32), t};
        if (!ptxm_d_lane(d, compare_fn(d, half), 2, compare, 0) ||
            !ptxm_d_lane(d, d->lanes->integer(L_SELP, T_B32), 3, select, 0))
            return false;
    }
    return ptxm_d_lane(d, d->lanes->integer(L_OR, T_B32), 2,
                       (int32_t[]){d->operands[0], result[0], result[1]}, 0);
}

bool build_set(struct decoder *d, int argument)
{
    if (argument)
        return set_pair(d);
    if (ptxm_d_has(d, 'b') != (d->nsrc == 3))
        return ptxm_d_complain(d, NULL, "a boolean operation and its predicate belong together");
    int32_t t = ptxm_d_temporary(d, T_PRED);
    int32_t c = d->nsrc == 3 ? d->operands[3] : OPERAND_NONE;
    int32_t select[4] = {d->operands[0], ptxm_d_constant(d, set_true(d->u), d->u),
                         ptxm_d_constant(d, 0, d->u), t};
    return combined(d, t, OPERAND_NONE, c) &&
           ptxm_d_lane(d, d->lanes->integer(L_SELP, d->u), 3, select, 0);
}

bool build_testp(struct decoder *d, int argument)
{
    static const char *const tests[] = {"finite", "infinite", "number", "notanumber", "normal",
                                        "subnormal"};
    unsigned test = 0;
    while (test < 5 && !ptxm_d_is(d, 'm', tests[test])) test++;
    return lane(d, d->lanes->testp(test, d->t), 0);
}

// ---- floating point and conversion --------------------------------------------------------------

static uint32_t float_flags(struct decoder *d)
{
    static const char *const modes[] = {"rn", "rz", "rm", "rp", "rni", "rzi", "rmi", "rpi"};
    uint32_t flags = 0;
    for (uint32_t i = 0; i < 8; i++)
        if (ptxm_d_is(d, 'r', modes[i]))
            flags |= (i & 3) | (i >= 4 ? F_INTEGER : 0);
    flags |= ptxm_d_is(d, 'r', "rna") ? F_AWAY : 0;
    flags |= ptxm_d_is(d, 'r', "approx") || ptxm_d_is(d, 'r', "full") ? F_APPROX : 0;
    flags |= ptxm_d_has(d, 'z') ? F_FTZ : 0;
    flags |= ptxm_d_is(d, 's', "sat") ? F_SAT : ptxm_d_has(d, 's') ? F_SATFINITE : 0;
    flags |= ptxm_d_is(d, 'x', "relu") ? F_RELU : ptxm_d_has(d, 'x') ? F_XORSIGN : 0;
    flags |= ptxm_d_has(d, 'n') ? F_NAN : 0;
    return flags;
}

bool build_float(struct decoder *d, int argument)
{
    uint32_t flags = float_flags(d);
    return lane(d, d->lanes->real((enum lane_op)argument, d->t, flags), flags);
}

// .xorsign and .abs, field y, are one modifier in two words.
static bool halved(struct decoder *d)
{
    return (ptxm_d_is(d, 'x', "xorsign") != ptxm_d_has(d, 'y')) &&
           !ptxm_d_complain(d, NULL, ".xorsign and .abs belong together");
}

bool build_minmax(struct decoder *d, int argument)
{
    return !halved(d) && build_float(d, argument);
}

bool build_half(struct decoder *d, int argument)
{
    uint32_t flags = float_flags(d);
    if (halved(d))
        return false;
    return lane(d, d->lanes->half((enum lane_op)argument, d->t, flags), flags);
}

bool build_cvt(struct decoder *d, int argument)
{
    const struct operand *o = d->statement->operands;
    uint32_t flags = float_flags(d);
    bool from_float = ptxm_type_class(d->u) == 'f', to_float = ptxm_type_class(d->t) == 'f';
    bool rounded = ptxm_d_has(d, 'r');
    if ((from_float && !to_float && !(flags & F_INTEGER)) ||
        (!from_float && to_float && !rounded) ||
        (!from_float && !to_float && rounded))
        return ptxm_d_complain(d, NULL, "rounding is missing or has no place");
    if (from_float && to_float && ptxm_type_bits(d->t) < ptxm_type_bits(d->u) && !rounded)
        return ptxm_d_complain(d, NULL, "rounding is missing");
    int32_t list[2] = {ptxm_d_dest(d, &o[0], d->t, true), ptxm_d_source(d, &o[1], d->u, true)};
    if (list[0] == OPERAND_NONE || list[1] == OPERAND_NONE)
        return false;
    // A wider register is narrowed before, or filled by extension after.
    if (list[1] >= 0 && ptxm_d_slot_bytes(d, list[1]) == 8 && ptxm_type_bits(d->u) <= 32) {
        int32_t narrow[2] = {ptxm_d_temporary(d, T_B32), list[1]};
        if (!ptxm_d_lane(d, d->lanes->convert(T_U32, T_U64, 0), 1, narrow, 0))
            return false;
        list[1] = narrow[0];
    }
    lane_fn *fn = d->lanes->convert(d->t, d->u, flags);
    unsigned have = ptxm_type_bits((enum type)(list[0] < SPECIAL_BIT
                                                   ? d->function->regs[list[0]].type : T_B32));
    if (have <= ptxm_type_bits(d->t))
        return ptxm_d_lane(d, fn, 1, list, flags);
    int32_t t = ptxm_d_temporary(d, d->t), wide = list[0];
    list[0] = t;
    bool is_signed = ptxm_type_class(d->t) == 's';
    enum type from = d->t == T_F16 || d->t == T_BF16 ? T_U16 : d->t == T_F32 ? T_U32 : d->t;
    enum type to = have == 64 ? (is_signed ? T_S64 : T_U64)
                 : have == 32 ? (is_signed ? T_S32 : T_U32) : (is_signed ? T_S16 : T_U16);
    return ptxm_d_lane(d, fn, 1, list, flags) &&
           ptxm_d_lane(d, d->lanes->convert(to, from, 0), 1, (int32_t[]){wide, t}, 0);
}

// cvt.pack.sat.s8.s32.b32 d, a, b, c: c moves up by both bytes
bool build_cvt_pack8(struct decoder *d, int argument)
{
    const struct operand *o = d->statement->operands;
    int32_t list[4] = {ptxm_d_dest(d, &o[0], T_B32, false), ptxm_d_source(d, &o[1], T_S32, false),
                       ptxm_d_source(d, &o[2], T_S32, false),
                       ptxm_d_source(d, &o[3], T_B32, false)};
    return ptxm_d_lane(d, d->lanes->pack(d->t, 0), 3, list, 0);
}

// Pairs to pairs: f16x2 and two 8-bit floats.
bool build_cvt_pairs(struct decoder *d, int argument)
{
    uint32_t flags = float_flags(d);
    return ptxm_d_lane(d, d->lanes->convert(d->t, d->u, flags), 1, d->operands, flags);
}

// cvt.rn.bf16x2.f32 d, a, b: a goes to the upper half
bool build_cvt_pack(struct decoder *d, int argument)
{
    const struct operand *o = d->statement->operands;
    uint32_t flags = float_flags(d);
    int32_t list[3] = {ptxm_d_dest(d, &o[0], d->t, false), ptxm_d_source(d, &o[1], T_F32, false),
                       ptxm_d_source(d, &o[2], T_F32, false)};
    return ptxm_d_lane(d, d->lanes->pack(d->t, flags), 2, list, flags);
}

// cvt.pack.sat.s16.s32 d, a, b
bool build_cvt_pack16(struct decoder *d, int argument)
{
    const struct operand *o = d->statement->operands;
    int32_t list[3] = {ptxm_d_dest(d, &o[0], T_B32, false), ptxm_d_source(d, &o[1], T_S32, false),
                       ptxm_d_source(d, &o[2], T_S32, false)};
    return ptxm_d_lane(d, d->lanes->pack(d->t, 0), 2, list, 0);
}

bool build_cvta(struct decoder *d, int argument)
{
    const struct operand *o = d->statement->operands;
    enum space space = ptxm_d_space(d, NULL);
    if (space == SPACE_FRAME_PARAM)
        return ptxm_d_complain(d, NULL, "parameters of a function have no generic address");
    int32_t list[2] = {ptxm_d_dest(d, &o[0], d->t, false), ptxm_d_source(d, &o[1], d->t, false)};
    struct op *op = ptxm_d_emit(d, 1, 1, list);
    if (!op)
        return false;
    op->step = ptxm_step_cvta;
    op->space = (uint8_t)space;
    op->flags = argument ? 1 : 0;
    return true;
}

bool build_isspacep(struct decoder *d, int argument)
{
    const struct operand *o = d->statement->operands;
    bool wide = o[1].kind == OPERAND_REG &&
                ptxm_type_bits((enum type)d->function->regs[o[1].index].type) == 64;
    int32_t list[2] = {ptxm_d_dest(d, &o[0], T_PRED, false),
                       ptxm_d_source(d, &o[1], wide ? T_B64 : T_B32, false)};
    struct op *op = ptxm_d_emit(d, 1, 1, list);
    if (!op)
        return false;
    op->step = ptxm_step_isspacep;
    op->space = (uint8_t)ptxm_d_space(d, NULL);
    op->mode = wide ? 8 : 4;
    return true;
}
