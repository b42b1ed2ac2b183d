// SPDX-License-Identifier: MIT
// Arithmetic against plain C: random operands and the corners, 32 lanes at a time.
#include "harness.h"

#include <fenv.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = 2048 };

// Runs "op d, a, b, c;" over N elements of `bytes` each, held in 64-bit words.
static void run(const char *op, const char *type, unsigned sources, unsigned out_bytes,
                const uint64_t *a, const uint64_t *b, const uint64_t *c, uint64_t *out)
{
    char text[4096], operands[64] = "";
    unsigned bits = !strcmp(type, "b64") ? 64 : 32;
    for (unsigned i = 0; i < sources; i++)
        snprintf(operands + strlen(operands), 16, ", %%s%u", i);
    snprintf(text, sizeof text,
             HEAD ".visible .entry k(.param .u64 a, .param .u64 b, .param .u64 c,"
                  " .param .u64 o)\n{\n"
                  " .reg .b64 %%d<20>; .reg .b32 %%r<9>; .reg .%s %%s<4>; .reg .%s %%o;\n"
                  " .reg .b%u %%w<4>;\n"
                  " mov.u32 %%r1, %%tid.x; mov.u32 %%r2, %%ctaid.x;\n"
                  " mad.lo.u32 %%r1, %%r2, 256, %%r1;\n"
                  " mul.wide.u32 %%d1, %%r1, 8; ld.param.u64 %%d2, [a]; ld.param.u64 %%d3, [b];\n"
                  " ld.param.u64 %%d4, [c]; ld.param.u64 %%d5, [o]; add.s64 %%d2, %%d2, %%d1;\n"
                  " add.s64 %%d3, %%d3, %%d1; add.s64 %%d4, %%d4, %%d1; add.s64 %%d5, %%d5, %%d1;\n"
                  " ld.global.%s %%s0, [%%d2]; ld.global.%s %%s1, [%%d3];\n"
                  " ld.global.%s %%s2, [%%d4];\n"
                  " %s%s%s; st.global.b%u [%%d5], %%o; ret;\n}\n",
             type, out_bytes == 8 ? "b64" : out_bytes == 4 ? "b32" : "b16", bits, type, type, type,
             op, strchr(op, ';') ? "" : " %o", strchr(op, ';') ? "" : operands, out_bytes * 8);
    struct bench bench;
    bench_load(&bench, text);
    bench.options.no_checks = true;
    uint64_t pa = bench_buffer(&bench, N * 8, a), pb = bench_buffer(&bench, N * 8, b);
    uint64_t pc = bench_buffer(&bench, N * 8, c), po = bench_buffer(&bench, N * 8, NULL);
    RUN(&bench, "k", N / 256, 256, 0, pa, pb, pc, po);
    bench_clean(&bench);
    bench_read(&bench, po, out, N * 8);
    bench_free(&bench);
}

static uint64_t a[N], b[N], c[N], out[N];

static uint64_t corner(uint64_t random)
{
    static const uint64_t list[] = {0, 1, 2, UINT64_MAX, INT64_MAX, 1ull << 63, 0x7fffffff,
                                    0x80000000, 0xffffffff, 0x8000, 0x7fff, 31, 32, 33, 63, 64};
    return list[random % 16];
}

static void fill_integers(uint64_t seed)
{
    for (int i = 0; i < N; i++) {
        uint64_t r = bench_random(&seed);
        a[i] = r & 1 ? bench_random(&seed) : corner(bench_random(&seed));
        b[i] = r & 2 ? bench_random(&seed) : corner(bench_random(&seed));
        c[i] = r & 4 ? bench_random(&seed) >> (r >> 8 & 63) : corner(bench_random(&seed));
    }
}

#define INTEGER(op, type, sources, result_bytes, T, expression)                                \
    do {                                                                                           \
        run(op, type, sources, result_bytes, a, b, c, out);                                        \
        for (int i = 0; i < N; i++) {                                                              \
            T x = (T)a[i], y = (T)b[i], z = (T)c[i];                                               \
            (void)x, (void)y, (void)z;                                                             \
            uint64_t want = (uint64_t)(expression), got = out[i];                                  \
            uint64_t kept = result_bytes < 8 ? (1ull << (8 * (result_bytes & 7))) - 1 : UINT64_MAX;\
            want &= kept, got &= kept;                                                             \
            if (want != got)                                                                       \
                print_message("# " op ": %llx %llx %llx: %llx, want %llx\n", (long long)a[i],      \
                              (long long)b[i], (long long)c[i], (long long)got, (long long)want);  \
            assert_true(want == got);                                                              \
        }                                                                                          \
    } while (0)

static void test_integers(void **state)
{
    fill_integers(1);
    INTEGER("add.s32", "b32", 2, 4, uint32_t, x + y);
    INTEGER("sub.u64", "b64", 2, 8, uint64_t, x - y);
    INTEGER("mul.lo.s64", "b64", 2, 8, uint64_t, x * y);
    INTEGER("mul.hi.s32", "b32", 2, 4, int32_t, ((int64_t)x * y) >> 32);
    INTEGER("mul.hi.u64", "b64", 2, 8, uint64_t, (uint64_t)(((unsigned __int128)x * y) >> 64));
    INTEGER("mul.wide.u32", "b32", 2, 8, uint32_t, (uint64_t)x * y);
    INTEGER("mul.wide.s32", "b32", 2, 8, int32_t, (int64_t)x * y);
    INTEGER("mad.lo.s32", "b32", 3, 4, uint32_t, x * y + z);
    INTEGER("min.s32", "b32", 2, 4, int32_t, x < y ? x : y);
    INTEGER("max.u64", "b64", 2, 8, uint64_t, x > y ? x : y);
    INTEGER("div.u32", "b32", 2, 4, uint32_t, y ? x / y : UINT32_MAX);
    INTEGER("rem.s64", "b64", 2, 8, int64_t, !y ? x : y == -1 ? 0 : x % y);
    INTEGER("abs.s32", "b32", 1, 4, uint32_t, (int32_t)x < 0 ? 0u - x : x);
    INTEGER("shl.b32", "b32", 2, 4, uint32_t, y > 31 ? 0 : x << y);
    INTEGER("shr.s32", "b32", 2, 4, int32_t, x >> ((uint32_t)y > 31 ? 31 : y));
    INTEGER("shr.u32", "b32", 2, 4, uint32_t, y > 31 ? 0 : x >> y);
    INTEGER("popc.b64", "b64", 1, 4, uint64_t, __builtin_popcountll(x));
    INTEGER("clz.b32", "b32", 1, 4, uint32_t, x ? __builtin_clz(x) : 32);
    INTEGER("bfind.s32", "b32", 1, 4, int32_t,
            (x < 0 ? ~x : x) ? 31 - __builtin_clz((uint32_t)(x < 0 ? ~x : x)) : -1);
    INTEGER("shf.l.wrap.b32", "b32", 3, 4, uint32_t,
            (((uint64_t)y << 32 | x) << (z & 31)) >> 32);
    INTEGER("shf.r.clamp.b32", "b32", 3, 4, uint32_t,
            ((uint64_t)y << 32 | x) >> (z > 32 ? 32 : z));
    INTEGER("sad.u32", "b32", 3, 4, uint32_t, z + (x > y ? x - y : y - x));
    INTEGER("add.sat.s32", "b32", 2, 4, int32_t,
            (int64_t)x + y > INT32_MAX ? INT32_MAX : (int64_t)x + y < INT32_MIN ? INT32_MIN
                                                                                : (int64_t)x + y);
    INTEGER("cnot.b32", "b32", 1, 4, uint32_t, x == 0);
    INTEGER("add.u16x2", "b32", 2, 4, uint32_t,
            ((x + y) & 0xffff) | (((x >> 16) + (y >> 16)) << 16));
}

static uint32_t majority(uint32_t x, uint32_t y, uint32_t z)
{
    return (x & y) | (y & z) | (x & z);
}

static uint32_t bytes(uint32_t x, uint32_t y, uint32_t selector)
{
    uint32_t result = 0;
    for (int k = 0; k < 4; k++) {
        uint32_t n = selector >> (4 * k) & 15;
        uint32_t byte = (n & 7) < 4 ? x >> (8 * (n & 3)) & 255 : y >> (8 * (n & 3)) & 255;
        result |= (n & 8 ? (byte & 128 ? 255u : 0) : byte) << (8 * k);
    }
    return result;
}

static uint32_t field(uint32_t x, uint32_t position, uint32_t length)
{
    uint32_t result = 0;
    for (uint32_t k = 0; k < (length & 255) && k < 32; k++)
        if ((position & 255) + k < 32)
            result |= (x >> ((position & 255) + k) & 1) << k;
    return result;
}

static uint32_t signed_field(uint32_t x, uint32_t position, uint32_t length)
{
    uint32_t p = position & 255, l = length & 255, result = 0;
    uint32_t sign = l == 0 ? 0 : x >> (p + l - 1 < 31 ? p + l - 1 : 31) & 1;
    for (uint32_t k = 0; k < 32; k++)
        result |= (k < l && p + k <= 31 ? x >> (p + k) & 1 : sign) << k;
    return result;
}

static void run_text_op(const char *op)
{
    char whole[256];
    snprintf(whole, sizeof whole, "%s; mov.b32 %%o, %%o", op);
    run(whole, "b32", 1, 4, a, b, c, out);
}

static void test_three_operands(void **state)
{
    fill_integers(3);
    run_text_op("lop3.b32 %o, %s0, %s1, %s2, 0xe8");
    for (int i = 0; i < N; i++)
        assert_int_equal((uint32_t)out[i],
                         majority((uint32_t)a[i], (uint32_t)b[i], (uint32_t)c[i]));
    run_text_op("prmt.b32 %o, %s0, %s1, %s2");
    for (int i = 0; i < N; i++)
        assert_int_equal((uint32_t)out[i], bytes((uint32_t)a[i], (uint32_t)b[i], (uint32_t)c[i]));
    for (int i = 0; i < N; i++) b[i] %= 40, c[i] %= 40;
    run_text_op("bfe.u32 %o, %s0, %s1, %s2");
    for (int i = 0; i < N; i++)
        assert_int_equal((uint32_t)out[i], field((uint32_t)a[i], (uint32_t)b[i], (uint32_t)c[i]));
    run_text_op("bfe.s32 %o, %s0, %s1, %s2");
    for (int i = 0; i < N; i++)
        assert_int_equal((uint32_t)out[i],
                         signed_field((uint32_t)a[i], (uint32_t)b[i], (uint32_t)c[i]));
}

// ---- floating point -----------------------------------------------------------------------------

static uint32_t bits_of(float f)
{
    uint32_t u;
    memcpy(&u, &f, 4);
    return u;
}

static float float_of(uint64_t u)
{
    uint32_t low = (uint32_t)u;
    float f;
    memcpy(&f, &low, 4);
    return f;
}

static void fill_floats(uint64_t seed)
{
    static const uint32_t list[] = {0, 0x80000000, 0x3f800000, 0x7f800000, 0xff800000, 0x7fc00000,
                                    1, 0x007fffff, 0x00800000, 0x7f7fffff, 0xbf800000, 0x33800000};
    for (int i = 0; i < N; i++) {
        uint64_t r = bench_random(&seed);
        uint64_t *to[] = {&a[i], &b[i], &c[i]};
        for (int k = 0; k < 3; k++) {
            uint64_t v = bench_random(&seed);
            uint64_t moderate = (v & 0x807fffff) | (0x3f000000 + ((v >> 40 & 7) << 23));
            uint64_t kind = r >> (4 * k) & 3;
            *to[k] = kind & 1 ? moderate : kind ? (uint32_t)v : list[v % 12];
        }
    }
}

static bool same_float(uint32_t got, float want)
{
    return want != want ? got == 0x7fffffff : got == bits_of(want);
}

static float flush(float x)
{
    return fpclassify(x) == FP_SUBNORMAL ? copysignf(0, x) : x;
}

#define FLOAT(op, sources, mode, expression)                                                       \
    do {                                                                                           \
        run(op, "b32", sources, 4, a, b, c, out);                                                  \
        fesetround(mode);                                                                          \
        for (int i = 0; i < N; i++) {                                                              \
            volatile float x = float_of(a[i]), y = float_of(b[i]), z = float_of(c[i]);             \
            (void)x, (void)y, (void)z;                                                             \
            volatile float want = (expression);                                                    \
            if (!same_float((uint32_t)out[i], want)) {                                             \
                fesetround(FE_TONEAREST);                                                          \
                print_message("# " op " %08x %08x %08x: %08x, want %08x\n", (unsigned)a[i],        \
                              (unsigned)b[i], (unsigned)c[i], (unsigned)out[i], bits_of(want));    \
                assert_true(!"differs");                                                           \
            }                                                                                      \
        }                                                                                          \
        fesetround(FE_TONEAREST);                                                                  \
    } while (0)

static void test_floats(void **state)
{
    fill_floats(4);
    FLOAT("add.f32", 2, FE_TONEAREST, x + y);
    FLOAT("sub.rn.f32", 2, FE_TONEAREST, x - y);
    FLOAT("mul.f32", 2, FE_TONEAREST, x *y);
    FLOAT("fma.rn.f32", 3, FE_TONEAREST, fmaf(x, y, z));
    FLOAT("div.rn.f32", 2, FE_TONEAREST, x / y);
    FLOAT("sqrt.rn.f32", 1, FE_TONEAREST, sqrtf(x));
    FLOAT("rcp.rn.f32", 1, FE_TONEAREST, 1 / x);
    FLOAT("add.rz.f32", 2, FE_TOWARDZERO, x + y);
    FLOAT("mul.rp.f32", 2, FE_UPWARD, x *y);
    FLOAT("div.rm.f32", 2, FE_DOWNWARD, x / y);
    FLOAT("fma.rz.f32", 3, FE_TOWARDZERO, fmaf(x, y, z));
    FLOAT("add.ftz.f32", 2, FE_TONEAREST, flush(flush(x) + flush(y)));
    FLOAT("mul.ftz.f32", 2, FE_TONEAREST, flush(flush(x) * flush(y)));
    FLOAT("add.sat.f32", 2, FE_TONEAREST, x + y > 0 ? fminf(x + y, 1) : 0);
}

static void test_minmax(void **state)
{
    fill_floats(5);
    run("min.f32", "b32", 2, 4, a, b, c, out);
    for (int i = 0; i < N; i++) {
        float x = float_of(a[i]), y = float_of(b[i]);
        float want = x != x ? y : y != y ? x : x == y ? (signbit(x) ? x : y) : x < y ? x : y;
        assert_true(same_float((uint32_t)out[i], want));
    }
    run("max.NaN.f32", "b32", 2, 4, a, b, c, out);
    for (int i = 0; i < N; i++) {
        float x = float_of(a[i]), y = float_of(b[i]);
        float want = x != x || y != y ? NAN : x == y ? (signbit(x) ? y : x) : x > y ? x : y;
        assert_true(same_float((uint32_t)out[i], want));
    }
}

#define CLOSE(op, low, high, expression, bound)                                                    \
    do {                                                                                           \
        uint64_t seed = 6;                                                                         \
        for (int i = 0; i < N; i++) {                                                              \
            double unit = (double)(bench_random(&seed) >> 40) * 0x1p-24;                           \
            a[i] = bits_of((float)(low + (high - low) * unit));                                    \
        }                                                                                          \
        run(op, "b32", 1, 4, a, b, c, out);                                                        \
        for (int i = 0; i < N; i++) {                                                              \
            double x = float_of(a[i]), want = (expression), got = float_of(out[i]);                \
            assert_true(fabs(got - want) <= bound * fmax(fabs(want), 1e-3));                       \
        }                                                                                          \
    } while (0)

static void test_approximations(void **state)
{
    CLOSE("ex2.approx.ftz.f32", -20.0, 20.0, exp2(x), 3e-7);
    CLOSE("lg2.approx.f32", 0.01, 100.0, log2(x), 3e-7);
    CLOSE("rcp.approx.ftz.f32", 0.01, 100.0, 1 / x, 2e-7);
    CLOSE("rsqrt.approx.f32", 0.01, 100.0, 1 / sqrt(x), 2e-7);
    CLOSE("sqrt.approx.ftz.f32", 0.01, 100.0, sqrt(x), 2e-7);
    CLOSE("sin.approx.f32", -3.0, 3.0, sin(x), 3e-7);
    CLOSE("cos.approx.f32", -3.0, 3.0, cos(x), 3e-7);
    CLOSE("tanh.approx.f32", -4.0, 4.0, tanh(x), 3e-7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_integers), cmocka_unit_test(test_three_operands),
        cmocka_unit_test(test_floats),   cmocka_unit_test(test_minmax),
        cmocka_unit_test(test_approximations),
    };
    return cmocka_run_group_tests_name("arithmetic", tests, NULL, NULL);
}
