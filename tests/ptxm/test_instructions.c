// SPDX-License-Identifier: MIT
// What compilers write for sm_89 and sm_90 beside matrices: conversions of 8-bit floats, packing of
// bytes, minima with signs, products of 24 bits, atomics on vectors, cache policies.
//   test_ptxm_instructions [PTXAS]
#include "matrix.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *ptxas;
enum { N = 65536 };
static uint32_t in[N], second[N], third[N], out[N];

// out = body(r4, r5, r6) for every word; h4 is the lower half of r4.
static void run(const char *body)
{
    char text[4096];
    snprintf(text, sizeof text,
             ".version 8.4\n.target sm_90a\n.address_size 64\n"
             ".visible .entry k(.param .u64 pa, .param .u64 pb, .param .u64 pc, .param .u64 po)\n"
             "{\n"
             " .reg .b64 d<8>; .reg .b32 r<12>; .reg .b16 h<8>;\n"
             " mov.u32 r1, %%tid.x; mov.u32 r2, %%ctaid.x; mad.lo.u32 r1, r2, 1024, r1;\n"
             " mul.wide.u32 d1, r1, 4; ld.param.u64 d2, [pa]; ld.param.u64 d3, [pb];\n"
             " ld.param.u64 d4, [pc]; ld.param.u64 d5, [po]; add.s64 d2, d2, d1;\n"
             " add.s64 d3, d3, d1; add.s64 d4, d4, d1; add.s64 d5, d5, d1;\n"
             " ld.global.b32 r4, [d2]; ld.global.b32 r5, [d3]; ld.global.b32 r6, [d4];\n"
             " mov.b32 {h4, h5}, r4; mov.b16 h6, 0;\n%s\n st.global.b32 [d5], r7; ret;\n}\n", body);
    struct bench b;
    assemble(ptxas, text);
    bench_load(&b, text);
    b.options.no_checks = true;
    uint64_t pa = bench_buffer(&b, sizeof in, in), pb = bench_buffer(&b, sizeof in, second);
    uint64_t pc = bench_buffer(&b, sizeof in, third), po = bench_buffer(&b, sizeof out, NULL);
    RUN(&b, "k", N / 1024, 1024, 0, pa, pb, pc, po);
    bench_clean(&b);
    bench_read(&b, po, out, sizeof out);
    bench_free(&b);
}

// ---- 8-bit floats ------------------------------------------------------------------------------

static bool is_nan8(enum format_id f, unsigned byte)
{
    return (byte & 0x7f) > (f == E4M3 ? 0x7eu : 0x7cu);
}

static bool is_infinite8(enum format_id f, unsigned byte)
{
    return f == E5M2 && (byte & 0x7f) == 0x7c;
}

// The 8-bit float next to x, to nearest even among all finite ones; too large is the largest.
static unsigned nearest8(enum format_id f, double x)
{
    unsigned best = 0, most = f == E4M3 ? 0x7e : 0x7b;
    double size = fmin(fabs(x), format_value(f, most)), distance = INFINITY;
    for (unsigned byte = 0; byte <= most; byte++) {
        double d = fabs(format_value(f, byte) - size);
        if (d < distance || (d == distance && !(byte & 1))) {
            distance = d;
            best = byte;
        }
    }
    return best | (signbit(x) ? 0x80u : 0);
}

static double half_value(unsigned h)
{
    unsigned exponent = h >> 10 & 31;
    if (exponent == 31)
        return h & 0x3ff ? NAN : h & 0x8000 ? -INFINITY : INFINITY;
    return format_value(F16, h);
}

static void check_narrow(enum format_id f, bool relu)
{
    for (unsigned i = 0; i < N; i++) {
        double x = half_value(i);
        unsigned want = x != x ? 0x7f : nearest8(f, relu && x < 0 ? 0 : x);
        unsigned low = out[i] & 0xff, high = out[i] >> 8;
        // The upper half holds the lower one's bits, inverted.
        double y = half_value(~i & 0xffff);
        unsigned want_high = y != y ? 0x7f : nearest8(f, relu && y < 0 ? 0 : y);
        if (relu && x <= 0)
            want &= 0x7f, low &= 0x7f; // the sign of zero is not told
        if (relu && y <= 0)
            want_high &= 0x7f, high &= 0x7f;
        if (low != want || high != want_high)
            fail_msg("%s of %g and %g: 0x%04x, not 0x%02x%02x", formats[f].name, x, y, out[i],
                     want_high, want);
    }
}

static void test_narrow(void **state)
{
    for (unsigned i = 0; i < N; i++) in[i] = i | ~i << 16;
    run(" cvt.rn.satfinite.e4m3x2.f16x2 h4, r4; mov.b32 r7, {h4, h6};");
    check_narrow(E4M3, false);
    run(" cvt.rn.satfinite.e5m2x2.f16x2 h4, r4; mov.b32 r7, {h4, h6};");
    check_narrow(E5M2, false);
    run(" cvt.rn.satfinite.relu.e4m3x2.f16x2 h4, r4; mov.b32 r7, {h4, h6};");
    check_narrow(E4M3, true);
    run(" cvt.rn.satfinite.relu.e5m2x2.f16x2 h4, r4; mov.b32 r7, {h4, h6};");
    check_narrow(E5M2, true);
}

static uint16_t widened(enum format_id f, unsigned byte, bool relu)
{
    if (is_nan8(f, byte))
        return 0x7fff;
    if (relu && byte & 0x80)
        return 0;
    if (is_infinite8(f, byte))
        return byte & 0x80 ? 0xfc00 : 0x7c00;
    return format_to_f16(format_value(f, byte));
}

static void test_widen(void **state)
{
    static const struct { const char *body; enum format_id f; bool relu; } forms[] = {
        {" cvt.rn.f16x2.e4m3x2 r7, h4;", E4M3, false},
        {" cvt.rn.f16x2.e5m2x2 r7, h4;", E5M2, false},
        {" cvt.rn.relu.f16x2.e4m3x2 r7, h4;", E4M3, true},
        {" cvt.rn.relu.f16x2.e5m2x2 r7, h4;", E5M2, true},
    };
    for (unsigned i = 0; i < N; i++) in[i] = i;
    for (unsigned k = 0; k < 4; k++) {
        run(forms[k].body);
        for (unsigned i = 0; i < N; i++)
            assert_int_equal(out[i],
                             widened(forms[k].f, i & 0xff, forms[k].relu) |
                                 (uint32_t)widened(forms[k].f, i >> 8, forms[k].relu) << 16);
    }
}

static float float_of(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, 4);
    return f;
}

// f16 and bf16 that stop at the largest number.
static void test_satfinite(void **state)
{
    uint64_t random = 3;
    for (unsigned i = 0; i < N; i++) in[i] = (uint32_t)bench_random(&random);
    in[0] = 0x7f800000, in[1] = 0xff800000, in[2] = 0x7fc00000, in[3] = 0x477fffff;
    run(" cvt.rn.satfinite.f16.f32 h4, r4; mov.b32 r7, {h4, h6};");
    for (unsigned i = 0; i < N; i++) {
        float x = float_of(in[i]);
        uint32_t most = in[i] >> 31 ? 0xfbff : 0x7bff;
        uint32_t want = x != x ? 0x7fff : fabsf(x) >= 65520 ? most : format_to_f16((double)x);
        assert_int_equal(out[i], want);
    }
    run(" cvt.rn.satfinite.bf16.f32 h4, r4; mov.b32 r7, {h4, h6};");
    assert_int_equal(out[0], 0x7f7f);
    assert_int_equal(out[1], 0xff7f);
    assert_int_equal(out[2], 0x7fff);
}

// ---- integers ----------------------------------------------------------------------------------

static int32_t clamp(int32_t x, int32_t least, int32_t most)
{
    return x < least ? least : x > most ? most : x;
}

static void fill_random(uint64_t seed)
{
    for (unsigned i = 0; i < N; i++) {
        unsigned shift = bench_random(&seed) % 32;
        in[i] = (uint32_t)((int32_t)bench_random(&seed) >> shift);
        second[i] = (uint32_t)((int32_t)bench_random(&seed) >> (bench_random(&seed) % 32));
        third[i] = (uint32_t)bench_random(&seed);
    }
}

static void test_pack_bytes(void **state)
{
    fill_random(1);
    run(" cvt.pack.sat.s8.s32.b32 r7, r4, r5, r6;");
    for (unsigned i = 0; i < N; i++) {
        uint32_t a = (uint8_t)clamp((int32_t)in[i], -128, 127);
        uint32_t b = (uint8_t)clamp((int32_t)second[i], -128, 127);
        assert_int_equal(out[i], third[i] << 16 | a << 8 | b);
    }
    run(" cvt.pack.sat.u8.s32.b32 r7, r4, r5, r6;");
    for (unsigned i = 0; i < N; i++)
        assert_int_equal(out[i], third[i] << 16 | (uint32_t)clamp((int32_t)in[i], 0, 255) << 8 |
                                     (uint32_t)clamp((int32_t)second[i], 0, 255));
}

static int64_t low24(uint32_t x, bool is_signed)
{
    int64_t value = x & 0xffffff;
    return is_signed && value >> 23 ? value - (1 << 24) : value;
}

static void test_mad24(void **state)
{
    fill_random(2);
    run(" mad24.hi.s32 r7, r4, r5, r6;");
    for (unsigned i = 0; i < N; i++)
        assert_int_equal(out[i], (uint32_t)(low24(in[i], true) * low24(second[i], true) >> 16) +
                                     third[i]);
    run(" mad24.hi.u32 r7, r4, r5, r6;");
    for (unsigned i = 0; i < N; i++)
        assert_int_equal(out[i], (uint32_t)(low24(in[i], false) * low24(second[i], false) >> 16) +
                                     third[i]);
    run(" mad24.hi.sat.s32 r7, r4, r5, r6;");
    for (unsigned i = 0; i < N; i++) {
        int64_t sum = (int32_t)(low24(in[i], true) * low24(second[i], true) >> 16) +
                      (int64_t)(int32_t)third[i];
        sum = sum > INT32_MAX ? INT32_MAX : sum < INT32_MIN ? INT32_MIN : sum;
        assert_int_equal((int32_t)out[i], sum);
    }
}

static void test_xorsign(void **state)
{
    static const uint32_t edges[] = {0, 0x80000000, 0x3f800000, 0xbf800000, 0x7f800000, 0xff800000,
                                     0x7fc00000, 0xffc12345, 1, 0x80000001, 0x40490fdb, 0xc0490fdb};
    enum { EDGES = sizeof edges / sizeof *edges };
    for (unsigned i = 0; i < N; i++) {
        in[i] = edges[i % EDGES];
        second[i] = edges[i / EDGES % EDGES];
    }
    for (int form = 0; form < 4; form++) {
        bool most = form & 1, nan = form & 2;
        char body[80];
        snprintf(body, sizeof body, " %s%s.xorsign.abs.f32 r7, r4, r5;", most ? "max" : "min",
                 nan ? ".NaN" : "");
        run(body);
        for (unsigned i = 0; i < EDGES * EDGES; i++) {
            float a = fabsf(float_of(in[i])), b = fabsf(float_of(second[i]));
            bool none = nan ? a != a || b != b : a != a && b != b;
            float r = a != a ? b : b != b ? a : most ? fmaxf(a, b) : fminf(a, b);
            uint32_t want;
            memcpy(&want, &r, 4);
            want = none ? 0x7fffffff : want | ((in[i] ^ second[i]) & 0x80000000);
            if (out[i] != want)
                fail_msg("%s 0x%08x, 0x%08x: 0x%08x, not 0x%08x", body, in[i], second[i], out[i],
                         want);
        }
    }
}

// ---- memory ------------------------------------------------------------------------------------

#define KERNEL(body)                                                                               \
    ".version 8.4\n.target sm_90a\n.address_size 64\n.visible .entry k(.param .u64 out)\n{\n"      \
    " .reg .b64 d<8>; .reg .b32 r<12>; .reg .f32 f<12>; .reg .pred p;\n"                           \
    " mov.u32 r0, %tid.x; ld.param.u64 d0, [out]; mul.wide.u32 d1, r0, 16; add.s64 d1, d0, d1;\n"  \
    " cvt.rn.f32.u32 f0, r0;\n" body "\n ret;\n}\n"

static void run_kernel(struct bench *b, const char *text, void *memory, size_t bytes)
{
    assemble(ptxas, text);
    bench_load(b, text);
    uint64_t p = bench_buffer(b, bytes, memory);
    RUN(b, "k", 1, 32, 0, p);
    bench_read(b, p, memory, bytes);
}

static void test_vector_atomics(void **state)
{
    struct bench b;
    float sums[2 * 64] = {1, 2, 3, 4};
    // What was there comes back, though a destination is the next element's value.
    run_kernel(&b, KERNEL(" mov.f32 f1, 0f3F800000; mov.f32 f2, 0f40000000;\n"
                          " setp.ne.u32 p, r0, 0; @p bra ALL;\n"
                          " atom.global.add.v2.f32 {f2, f1}, [d0], {f1, f2};\n"
                          " st.global.v2.f32 [d0+256], {f2, f1};\nALL: bar.warp.sync -1;\n"
                          " red.global.add.v4.f32 [d0], {f0, f0, f0, f0};\n"), sums, sizeof sums);
    bench_clean(&b);
    static const float want[4] = {1 + 1 + 496, 2 + 2 + 496, 3 + 496, 4 + 496};
    for (int i = 0; i < 4; i++) assert_true(sums[i] == want[i]);
    assert_true(sums[64] == 1 && sums[65] == 2);
    bench_free(&b);

    uint16_t halves[64] = {0x3c00, 0x4000, 0xbc00, 0};
    run_kernel(&b, KERNEL(" mov.b32 r1, 0x3c003c00; mov.b32 r2, 0x40003c00;\n"
                          " red.global.add.noftz.v2.f16x2 [d0], {r1, r2};\n"), halves,
               sizeof halves);
    bench_clean(&b);
    assert_int_equal(halves[0], 0x5020); // 33
    assert_int_equal(halves[1], 0x5040); // 34
    assert_int_equal(halves[2], 0x4fc0); // 31
    assert_int_equal(halves[3], 0x5400); // 64
    bench_free(&b);

    uint32_t words[64] = {0};
    run_kernel(&b, KERNEL(" red.global.add.v4.f32 [d0+8], {f0, f0, f0, f0};\n"), words,
               sizeof words);
    bench_only(&b, "misaligned");
    bench_free(&b);
}

static void test_policies(void **state)
{
    struct bench b;
    uint32_t words[128];
    for (unsigned i = 0; i < 128; i++) words[i] = i;
    run_kernel(&b, KERNEL(
        " createpolicy.fractional.L2::evict_last.b64 d2, 0.5;\n"
        " createpolicy.fractional.L2::evict_first.L2::evict_unchanged.b64 d3;\n"
        " mov.b64 d5, 0x14f0000000000000; createpolicy.cvt.L2.b64 d5, d5;\n"
        " createpolicy.range.global.L2::evict_last.L2::evict_first.b64 d4, [d0], 256, 512;\n"
        " ld.global.L2::cache_hint.v4.b32 {r1, r2, r3, r4}, [d1], d2; add.u32 r1, r1, r4;\n"
        " prefetch.global.L2::evict_last [d0]; applypriority.global.L2::evict_normal [d0], 128;\n"
        " st.global.L2::cache_hint.b32 [d1], r1, d3;\n"
        " red.global.add.L2::cache_hint.u32 [d1+4], 1, d4;\n"
        " ld.mmio.relaxed.sys.global.b32 r5, [d1+8];\n"
        " st.mmio.relaxed.sys.global.b32 [d1+12], r5;\n"),
        words, sizeof words);
    bench_clean(&b);
    for (unsigned i = 0; i < 32; i++) {
        assert_int_equal(words[4 * i], 8 * i + 3);
        assert_int_equal(words[4 * i + 1], 4 * i + 2);
        assert_int_equal(words[4 * i + 3], 4 * i + 2);
    }
    bench_free(&b);
}

int main(int argc, char **argv)
{
    ptxas = argc > 1 ? argv[1] : NULL;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_narrow),     cmocka_unit_test(test_widen),
        cmocka_unit_test(test_satfinite),  cmocka_unit_test(test_pack_bytes),
        cmocka_unit_test(test_mad24),      cmocka_unit_test(test_xorsign),
        cmocka_unit_test(test_vector_atomics), cmocka_unit_test(test_policies),
    };
    return cmocka_run_group_tests_name("ptxm instructions", tests, NULL, NULL);
}
