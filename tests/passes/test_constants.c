// SPDX-License-Identifier: MIT
// Constant folding against values worked out by hand: what each type's arithmetic gives, to the
// last bit, and what is left for the GPU.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "passes/rewrite.h"

typedef struct fixture {
    kg_arena arena;
    jmp_buf recovery;
    kg_unit unit;
    kg_kernel kernel;
} fixture;

static int set_up(void **state)
{
    static fixture f;
    memset(&f, 0, sizeof f);
    kg_arena_init(&f.arena, NULL);
    if (setjmp(f.recovery))
        return 1;
    f.arena.recovery = &f.recovery;
    f.unit.arena = &f.arena;
    f.kernel.unit = &f.unit;
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    kg_arena_free(&((fixture *)*state)->arena);
    return 0;
}

static kg_constant integer(kg_dtype dtype, int64_t i)
{
    return (kg_constant){.dtype = dtype, .i = i};
}

static kg_constant real(kg_dtype dtype, double f)
{
    return (kg_constant){.dtype = dtype, .f = f};
}

static bool eval(void **state, kg_opcode code, kg_dtype result, const kg_constant *in,
                 kg_constant *out)
{
    fixture *f = *state;
    kg_op *op = kg_op_new(&f->kernel, code, (kg_loc){0}, 0, NULL);
    kg_op_result(&f->kernel, op, kg_scalar_type(result), NULL);
    return kg_constant_eval(op, in, out);
}

typedef struct int_case {
    kg_opcode code;
    kg_dtype dtype;
    int64_t a, b, expected;
    bool left; // for the GPU
} int_case;

static void integers_wrap_and_divide_downwards(void **state)
{
    static const int_case cases[] = {
        {KG_OP_ADD, KG_I32, INT32_MAX, 1, INT32_MIN, false},
        {KG_OP_ADD, KG_I8, 127, 1, -128, false},
        {KG_OP_SUB, KG_I16, -32768, 1, 32767, false},
        {KG_OP_MUL, KG_I32, 1 << 20, 1 << 20, 0, false},
        {KG_OP_MUL, KG_I64, INT64_MAX, 2, -2, false},
        {KG_OP_DIV, KG_I32, -7, 2, -4, false},
        {KG_OP_DIV, KG_I32, 7, -2, -4, false},
        {KG_OP_DIV, KG_I32, -8, 2, -4, false},
        {KG_OP_DIV, KG_I32, INT32_MIN, -1, INT32_MIN, false},
        {KG_OP_DIV, KG_I64, INT64_MIN, -1, INT64_MIN, false},
        {KG_OP_DIV, KG_I32, 1, 0, 0, true},
        {KG_OP_MOD, KG_I32, -7, 2, 1, false},
        {KG_OP_MOD, KG_I32, 7, -2, -1, false},
        {KG_OP_MOD, KG_I64, INT64_MIN, -1, 0, false},
        {KG_OP_MOD, KG_I32, 1, 0, 0, true},
        {KG_OP_SHL, KG_I32, 1, 31, INT32_MIN, false},
        {KG_OP_SHL, KG_I32, 1, 32, 0, false},
        {KG_OP_SHL, KG_I32, 1, -1, 0, true},
        {KG_OP_SHR, KG_I32, -8, 1, -4, false},
        {KG_OP_SHR, KG_I32, -8, 32, 0, true},
        {KG_OP_MIN, KG_I32, -1, 1, -1, false},
        {KG_OP_XOR, KG_I1, 1, 1, 0, false},
        {KG_OP_ADD, KG_I1, 1, 1, 0, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const int_case *c = &cases[i];
        kg_constant out, in[] = {integer(c->dtype, c->a), integer(c->dtype, c->b)};
        assert_int_equal(eval(state, c->code, c->dtype, in, &out), !c->left);
        if (!c->left)
            assert_int_equal(out.i, c->expected);
    }
}

typedef struct float_case {
    kg_opcode code;
    kg_dtype dtype;
    double a, b, expected;
} float_case;

static void floats_round_once_to_their_type(void **state)
{
    static const float_case cases[] = {
        {KG_OP_ADD, KG_F32, 16777216, 1, 16777216}, // tie to even
        {KG_OP_ADD, KG_F32, 16777216, 3, 16777220},
        {KG_OP_ADD, KG_F16, 2048, 1, 2048},
        {KG_OP_ADD, KG_F16, 2048, 3, 2052},
        {KG_OP_ADD, KG_BF16, 256, 1, 256},
        {KG_OP_ADD, KG_BF16, 256, 3, 260},
        {KG_OP_MUL, KG_F16, 256, 256, INFINITY},
        {KG_OP_MUL, KG_F16, 0x1p-14, 0x1p-10, 0x1p-24}, // smallest subnormal
        {KG_OP_MUL, KG_F16, 0x1p-14, 0x1p-11, 0},       // a tie below it
        {KG_OP_MUL, KG_F16, 0x1p-14, 0x1.8p-11, 0x1p-24},
        {KG_OP_DIV, KG_F32, 1, 3, 0x1.555556p-2},
        {KG_OP_DIV, KG_F16, 1, 3, 0x1.554p-2},
        {KG_OP_DIV, KG_F64, 1, 3, 1.0 / 3},
        {KG_OP_MIN, KG_F32, NAN, 1, 1},
        {KG_OP_MAX, KG_F32, 1, NAN, 1},
        {KG_OP_SUB, KG_F32, 0, 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const float_case *c = &cases[i];
        kg_constant out, in[] = {real(c->dtype, c->a), real(c->dtype, c->b)};
        assert_true(eval(state, c->code, c->dtype, in, &out));
        if (out.f != c->expected)
            fail_msg("case %zu: %a, expected %a", i, out.f, c->expected);
    }
    kg_constant out, zeros[] = {real(KG_F32, -0.0), real(KG_F32, 0.0)};
    assert_true(eval(state, KG_OP_MIN, KG_F32, zeros, &out) && signbit(out.f));
    assert_true(eval(state, KG_OP_MAX, KG_F32, zeros, &out) && !signbit(out.f));
}

static void comparisons_know_nan(void **state)
{
    kg_constant out, in[] = {real(KG_F32, NAN), real(KG_F32, NAN)};
    assert_true(eval(state, KG_OP_NE, KG_I1, in, &out) && out.i == 1);
    assert_true(eval(state, KG_OP_EQ, KG_I1, in, &out) && out.i == 0);
    assert_true(eval(state, KG_OP_LE, KG_I1, in, &out) && out.i == 0);
}

static void casts_are_exact_or_left(void **state)
{
    kg_constant out, in = integer(KG_I32, 16777217);
    assert_true(eval(state, KG_OP_CAST, KG_F32, &in, &out) && out.f == 16777216);
    assert_true(eval(state, KG_OP_CAST, KG_I8, &in, &out) && out.i == 1);
    in = integer(KG_I64, (INT64_C(1) << 53) + 1);
    assert_true(eval(state, KG_OP_CAST, KG_F64, &in, &out) && out.f == 0x1p53);
    assert_false(eval(state, KG_OP_CAST, KG_BF16, &in, &out)); // would round twice
    in = real(KG_F32, -1.75);
    assert_true(eval(state, KG_OP_CAST, KG_I32, &in, &out) && out.i == -1);
    in = real(KG_F32, 3e9);
    assert_false(eval(state, KG_OP_CAST, KG_I32, &in, &out));
    assert_true(eval(state, KG_OP_CAST, KG_F16, &in, &out) && isinf(out.f));
    in = real(KG_F32, NAN);
    assert_false(eval(state, KG_OP_CAST, KG_I32, &in, &out));
    in = real(KG_F32, 1.0);
    assert_true(eval(state, KG_OP_BITCAST, KG_I32, &in, &out) && out.i == 0x3f800000);
}

static void approximations_are_left_to_the_gpu(void **state)
{
    static const kg_opcode approximate[] = {KG_OP_EXP,   KG_OP_EXP2, KG_OP_LOG,
                                            KG_OP_RSQRT, KG_OP_RCP,  KG_OP_TANH,
                                            KG_OP_SIN,   KG_OP_ERF,  KG_OP_SIGMOID};
    kg_constant out, in = real(KG_F32, 2);
    for (size_t i = 0; i < sizeof approximate / sizeof *approximate; i++)
        assert_false(eval(state, approximate[i], KG_F32, &in, &out));
    assert_true(eval(state, KG_OP_SQRT, KG_F32, &in, &out) && out.f == 0x1.6a09e6p0);
    in.f = -2.5;
    assert_true(eval(state, KG_OP_ROUND, KG_F32, &in, &out) && out.f == -2);
    assert_true(eval(state, KG_OP_FLOOR, KG_F32, &in, &out) && out.f == -3);
}

static void fma_rounds_once(void **state)
{
    kg_constant out,
        in[] = {real(KG_F32, 1 + 0x1p-12), real(KG_F32, 1 - 0x1p-12), real(KG_F32, -1)};
    assert_true(eval(state, KG_OP_FMA, KG_F32, in, &out) && out.f == -0x1p-24);
    in[0].dtype = in[1].dtype = in[2].dtype = KG_F16;
    assert_false(eval(state, KG_OP_FMA, KG_F16, in, &out));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_wrap_and_divide_downwards),
        cmocka_unit_test(floats_round_once_to_their_type),
        cmocka_unit_test(comparisons_know_nan),
        cmocka_unit_test(casts_are_exact_or_left),
        cmocka_unit_test(approximations_are_left_to_the_gpu),
        cmocka_unit_test(fma_rounds_once),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
