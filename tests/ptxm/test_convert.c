// SPDX-License-Identifier: MIT
// Conversions and half-precision arithmetic: all 65536 values where 16 bits are the input, random
// and tie cases where 32 are, all against a slow exact reference.
#include "harness.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = 65536 };
static uint32_t a[N], b[N], c[N], out[N];

// out = op(a, b, c) for N 32-bit words.
static void run(const char *body)
{
    char text[4096];
    snprintf(text, sizeof text, "%s%s%s",
             HEAD ".visible .entry k(.param .u64 a, .param .u64 b, .param .u64 c,"
                  " .param .u64 o)\n{\n"
                  " .reg .b64 %d<20>; .reg .b32 %r<20>; .reg .b16 %h<20>; .reg .pred %p<4>;\n"
                  " mov.u32 %r1, %tid.x; mov.u32 %r2, %ctaid.x; mad.lo.u32 %r1, %r2, 1024, %r1;\n"
                  " mul.wide.u32 %d1, %r1, 4; ld.param.u64 %d2, [a]; ld.param.u64 %d3, [b];\n"
                  " ld.param.u64 %d4, [c]; ld.param.u64 %d5, [o]; add.s64 %d2, %d2, %d1;\n"
                  " add.s64 %d3, %d3, %d1; add.s64 %d4, %d4, %d1; add.s64 %d5, %d5, %d1;\n"
                  " ld.global.b32 %r4, [%d2]; ld.global.b32 %r5, [%d3]; ld.global.b32 %r6, [%d4];\n"
                  " mov.b32 {%h4, %h14}, %r4; mov.b32 {%h5, %h15}, %r5; mov.b32 {%h6, %h16}, %r6;\n"
                  " mov.b16 %h7, 0;\n",
             body, "\n st.global.b32 [%d5], %r7; ret;\n}\n");
    struct bench bench;
    bench_load(&bench, text);
    bench.options.no_checks = true;
    uint64_t pa = bench_buffer(&bench, sizeof a, a), pb = bench_buffer(&bench, sizeof b, b);
    uint64_t pc = bench_buffer(&bench, sizeof c, c), po = bench_buffer(&bench, sizeof out, NULL);
    RUN(&bench, "k", N / 1024, 1024, 0, pa, pb, pc, po);
    bench_clean(&bench);
    bench_read(&bench, po, out, sizeof out);
    bench_free(&bench);
}

static float float_of(uint32_t u)
{
    float f;
    memcpy(&f, &u, 4);
    return f;
}

static uint32_t bits_of(float f)
{
    uint32_t u;
    memcpy(&u, &f, 4);
    return u;
}

struct format {
    int mantissa, least, most; // exponents of the smallest normal and of the largest number
};
static const struct format f16 = {10, -14, 15}, bf16 = {7, -126, 127};

static long double value(uint32_t h, const struct format *f)
{
    int field = (int)(h & 0x7fff) >> f->mantissa, fraction = h & ((1 << f->mantissa) - 1);
    int top = f->most - f->least + 2;
    long double v = field == top ? (fraction ? NAN : INFINITY)
                  : field ? ldexpl(fraction + (1 << f->mantissa),
                                   field - 1 + f->least - f->mantissa)
                          : ldexpl(fraction, f->least - f->mantissa);
    return h & 0x8000 ? -v : v;
}

// The nearest value, ties to even; toward zero when `chop`.
static uint32_t encode(long double x, const struct format *f, bool chop)
{
    uint32_t sign = signbit(x) ? 0x8000 : 0;
    uint32_t infinity = (uint32_t)(f->most - f->least + 2) << f->mantissa;
    if (x != x)
        return 0x7fff;
    x = fabsl(x);
    if (isinf(x))
        return sign | infinity;
    int e;
    frexpl(x, &e);
    e = x == 0 || e - 1 < f->least ? f->least : e - 1;
    long double unit = ldexpl(1, e - f->mantissa), scaled = x / unit;
    long double whole = floorl(scaled), rest = scaled - whole;
    if (!chop && (rest > 0.5L || (rest == 0.5L && fmodl(whole, 2) == 1)))
        whole += 1;
    uint64_t w = (uint64_t)whole;
    uint64_t r = w < 1ull << f->mantissa ? w : w + ((uint64_t)(e - f->least) << f->mantissa);
    return sign | (uint32_t)(r < infinity ? r : chop ? infinity - 1 : infinity);
}

static void test_from_half(void **state)
{
    for (uint32_t i = 0; i < N; i++) a[i] = i;
    run("cvt.f32.f16 %r7, %h4;");
    for (uint32_t i = 0; i < N; i++) {
        float want = (float)value(i, &f16);
        assert_int_equal(out[i], want != want ? 0x7fffffff : bits_of(want));
    }
    run("cvt.f32.bf16 %r7, %h4;");
    for (uint32_t i = 0; i < N; i++) {
        float want = (float)value(i, &bf16);
        assert_int_equal(out[i], want != want ? 0x7fffffff : bits_of(want));
    }
    run("cvt.rzi.s32.f16 %r7, %h4;");
    for (uint32_t i = 0; i < N; i++) {
        float x = (float)value(i, &f16);
        int32_t want = x != x ? 0 : isinf(x) ? (x > 0 ? INT32_MAX : INT32_MIN) : (int32_t)x;
        assert_int_equal((int32_t)out[i], want);
    }
}

static void fill(uint64_t seed)
{
    for (int i = 0; i < N; i++) {
        uint64_t r = bench_random(&seed);
        a[i] = (uint32_t)r;
        if (r >> 32 & 1) // near the ties of 16-bit formats
            a[i] = (a[i] & 0xffffe000) | (r >> 33 & 1 ? 0x1000 : 0) | (r >> 34 & 1);
        if (r >> 35 & 1)
            a[i] = (a[i] & 0x807fffff) | (uint32_t)(100 + (r >> 40 & 63)) << 23;
        if (r >> 36 & 1)
            a[i] = (a[i] & 0xffff0000) | (r >> 37 & 1 ? 0x8000 : 0) | (r >> 38 & 1);
        b[i] = (uint32_t)bench_random(&seed);
        c[i] = (uint32_t)bench_random(&seed);
    }
}

static void test_to_half(void **state)
{
    fill(1);
    static const struct { const char *body; const struct format *f; bool chop; } list[] = {
        {"cvt.rn.f16.f32 %h8, %r4; mov.b32 %r7, {%h8, %h7};", &f16, false},
        {"cvt.rz.f16.f32 %h8, %r4; mov.b32 %r7, {%h8, %h7};", &f16, true},
        {"cvt.rn.bf16.f32 %h8, %r4; mov.b32 %r7, {%h8, %h7};", &bf16, false},
        {"cvt.rz.bf16.f32 %h8, %r4; mov.b32 %r7, {%h8, %h7};", &bf16, true},
    };
    for (size_t k = 0; k < sizeof list / sizeof *list; k++) {
        run(list[k].body);
        for (int i = 0; i < N; i++)
            assert_int_equal(out[i], encode((long double)float_of(a[i]), list[k].f, list[k].chop));
    }
    run("cvt.rn.bf16x2.f32 %r7, %r4, %r5;");
    for (int i = 0; i < N; i++)
        assert_int_equal(out[i], encode((long double)float_of(a[i]), &bf16, false) << 16 |
                                     encode((long double)float_of(b[i]), &bf16, false));
    run("cvt.rn.relu.f16x2.f32 %r7, %r4, %r5;");
    for (int i = 0; i < N; i++) {
        float x = float_of(a[i]), y = float_of(b[i]);
        assert_int_equal(out[i], encode(x > 0 || x != x ? x : 0, &f16, false) << 16 |
                                     encode(y > 0 || y != y ? y : 0, &f16, false));
    }
    run("cvt.rna.tf32.f32 %r7, %r4;");
    for (int i = 0; i < N; i++)
        if ((a[i] & 0x7f800000) != 0x7f800000 && (a[i] & 0x7fffffff) < 0x7f7ff000)
            assert_int_equal(out[i], (a[i] + 0x1000) & 0xffffe000);
}

static void test_integers(void **state)
{
    fill(2);
    run("cvt.rni.s32.f32 %r7, %r4;");
    for (int i = 0; i < N; i++) {
        float x = float_of(a[i]);
        int32_t want = x != x ? 0 : x >= 0x1p31f ? INT32_MAX : x < -0x1p31f ? INT32_MIN
                     : (int32_t)nearbyintf(x);
        assert_int_equal((int32_t)out[i], want);
    }
    run("cvt.rzi.u32.f32 %r7, %r4;");
    for (int i = 0; i < N; i++) {
        float x = float_of(a[i]);
        uint32_t want = x != x || x <= 0 ? 0 : x >= 0x1p32f ? UINT32_MAX : (uint32_t)x;
        assert_int_equal(out[i], want);
    }
    run("cvt.rn.f32.u32 %r7, %r5;");
    for (int i = 0; i < N; i++) assert_int_equal(out[i], bits_of((float)b[i]));
    run("cvt.rn.f32.s32 %r7, %r5;");
    for (int i = 0; i < N; i++) assert_int_equal(out[i], bits_of((float)(int32_t)b[i]));
    run("cvt.s32.s8 %r7, %r5;");
    for (int i = 0; i < N; i++) assert_int_equal((int32_t)out[i], (int8_t)b[i]);
    run("cvt.sat.s8.s32 %r7, %r5;");
    for (int i = 0; i < N; i++) {
        int32_t x = (int32_t)b[i];
        assert_int_equal((int32_t)out[i], x > 127 ? 127 : x < -128 ? -128 : x);
    }
    run("cvt.u32.u64 %r7, %d2; cvt.rn.f64.s32 %d6, %r5; cvt.rzi.s32.f64 %r7, %d6;");
    for (int i = 0; i < N; i++) assert_int_equal(out[i], b[i]);
    run("cvt.rn.f16.s32 %h8, %r5; mov.b32 %r7, {%h8, %h7};");
    for (int i = 0; i < N; i++)
        assert_int_equal(out[i], encode((long double)(int32_t)b[i], &f16, false));
    run("cvt.rmi.f32.f32 %r7, %r4;");
    for (int i = 0; i < N; i++) {
        float want = floorf(float_of(a[i]));
        assert_int_equal(out[i], want != want ? 0x7fffffff : bits_of(want));
    }
}

static uint32_t operate(char op, uint32_t x, uint32_t y, uint32_t z, const struct format *f)
{
    long double p = value(x, f), q = value(y, f), r = value(z, f), exact;
    switch (op) {
    case '+': exact = p + q; break;
    case '-': exact = p - q; break;
    case '*': exact = p * q; break;
    default: {
        // The product is exact in 64 bits; a sticky bit stands for what the sum loses.
        long double product = p * q, sum = product + r, back = sum - product;
        long double lost = (product - (sum - back)) + (r - back);
        if (isfinite(sum) && lost != 0)
            sum = nextafterl(sum, lost > 0 ? INFINITY : -INFINITY) == sum ? sum
                : fmodl(ldexpl(frexpl(sum, &(int){0}), 64), 2) != 0 ? sum
                : nextafterl(sum, lost > 0 ? INFINITY : -INFINITY);
        exact = sum;
    }
    }
    return encode(exact, f, false);
}

static void check_pairs(const char *name, char op, const struct format *f)
{
    char body[128];
    snprintf(body, sizeof body, "%s %%r7, %%r4, %%r5%s;", name, op == 'f' ? ", %r6" : "");
    run(body);
    for (int i = 0; i < N; i++) {
        uint32_t low = operate(op, a[i] & 0xffff, b[i] & 0xffff, c[i] & 0xffff, f);
        uint32_t high = operate(op, a[i] >> 16, b[i] >> 16, c[i] >> 16, f);
        if (out[i] != (high << 16 | low))
            print_message("# %s %08x %08x %08x: %08x, want %04x%04x\n", name, a[i], b[i], c[i],
                          out[i], high, low);
        assert_int_equal(out[i], high << 16 | low);
    }
}

static void test_half_arithmetic(void **state)
{
    uint64_t seed = 3;
    for (int i = 0; i < N; i++) {
        a[i] = (uint32_t)bench_random(&seed);
        b[i] = (uint32_t)bench_random(&seed);
        c[i] = (uint32_t)bench_random(&seed);
        if (i & 1) { // exponents close together
            a[i] = (a[i] & 0x83ff83ff) | 0x38003c00;
            b[i] = (b[i] & 0x83ff83ff) | 0x3c003800;
            c[i] = (c[i] & 0x87ff87ff) | 0x38003000;
        }
    }
    check_pairs("add.f16x2", '+', &f16);
    check_pairs("sub.f16x2", '-', &f16);
    check_pairs("mul.f16x2", '*', &f16);
    check_pairs("fma.rn.f16x2", 'f', &f16);
    check_pairs("add.bf16x2", '+', &bf16);
    check_pairs("sub.bf16x2", '-', &bf16);
    check_pairs("mul.bf16x2", '*', &bf16);
    check_pairs("fma.rn.bf16x2", 'f', &bf16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_from_half), cmocka_unit_test(test_to_half),
        cmocka_unit_test(test_integers), cmocka_unit_test(test_half_arithmetic),
    };
    return cmocka_run_group_tests_name("convert", tests, NULL, NULL);
}
