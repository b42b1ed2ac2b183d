// SPDX-License-Identifier: MIT
// wgmma against matrices in f64: every type, every n, all swizzles, both majors, A in registers.
//   test_ptxm_wgmma [PTXAS]
//
// Where an element stands in shared memory is computed here from the canonical layouts of the ISA,
// in elements of T to 16 bytes, and from the definition of a swizzle of b bits: bits 4 up of the
// byte's offset are xored with bits 7 up.
#include "matrix.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *ptxas;

// How an operand lies in shared memory.
struct place {
    unsigned swizzle;   // bits: 0 none, 1: 32 bytes, 2: 64, 3: 128
    bool mn_major;
    bool loose;         // other strides than the tightest
    unsigned k_advance; // K-major: steps of 32 bytes into a wider line
    unsigned unaligned; // base offset: the pattern starts so many lines of 128 bytes late
};

struct product {
    const char *accumulator; // "f32", "f16", "s32"
    enum format_id a_type, b_type;
    unsigned n;
    bool a_in_registers, negate_a, negate_b, saturate, fresh; // fresh: scale-d is false
    struct place a, b;
    enum ptxm_completion completion;
};

enum { MOST_BYTES = 200 * 1024, MOST_PRODUCTS = 700 };
static struct product products[MOST_PRODUCTS];
static size_t product_count;

static unsigned depth(const struct product *p)
{
    return 256 / formats[p->a_type].bits;
}

// ---- layouts -----------------------------------------------------------------------------------

struct strides {
    unsigned leading, stride, start; // bytes
};

static struct strides strides_of(const struct place *p, unsigned extent, unsigned start)
{
    unsigned line = 16u << p->swizzle, pattern = 8 * line, extra = p->loose ? pattern : 0;
    struct strides s = {0, 0, start + p->unaligned * 128};
    if (!p->mn_major && !p->swizzle) {
        s.leading = p->loose ? extent * 16 + 128 : 128;
        s.stride = p->loose ? 128 : 256;
    } else if (!p->mn_major) {
        s.stride = pattern + extra;
    } else if (!p->swizzle) {
        s.stride = p->loose ? 256 : 128; // along m or n
        s.leading = p->loose ? 128 : extent / 8 * 128;
    } else {
        unsigned groups = (extent * 2 + line - 1) / line;
        s.leading = p->loose ? pattern : 2 * pattern; // along m or n
        s.stride = p->loose ? groups * pattern : pattern;
    }
    if (!p->mn_major)
        s.start += p->k_advance * 32;
    return s;
}

static unsigned element_offset(const struct place *p, const struct strides *s, unsigned size,
                               unsigned mn, unsigned k)
{
    unsigned t = 16 / size, w = 1u << p->swizzle, at; // in elements
    unsigned leading = s->leading / size, stride = s->stride / size;
    if (!p->mn_major && !p->swizzle)
        at = mn % 8 * t + mn / 8 * stride + k % t + k / t * leading;
    else if (!p->mn_major)
        at = mn % 8 * w * t + mn / 8 * stride + k;
    else if (!p->swizzle)
        at = mn % t + mn / t * stride + k % 8 * t + k / 8 * leading;
    else
        at = mn % (w * t) + mn / (w * t) * leading + k % 8 * w * t + k / 8 * stride;
    // The swizzle starts with the pattern, which k_advance is a place within.
    unsigned origin = s->start - (p->mn_major ? 0 : p->k_advance * 32);
    unsigned byte = at * size + s->start - origin;
    return origin + (byte ^ (byte >> 3 & (w - 1) << 4));
}

static uint64_t descriptor(const struct place *p, const struct strides *s)
{
    static const uint64_t modes[4] = {0, 3, 2, 1};
    return (uint64_t)(s->start >> 4) | (uint64_t)(s->leading >> 4) << 16 |
           (uint64_t)(s->stride >> 4) << 32 | (uint64_t)p->unaligned << 49 |
           modes[p->swizzle] << 62;
}

static unsigned bytes_of(const struct place *p, const struct strides *s, unsigned extent)
{
    unsigned line = 16u << p->swizzle, groups = p->mn_major ? 2 : extent / 8;
    unsigned columns = p->mn_major ? (extent * 2 + line - 1) / line : 2;
    unsigned bytes = groups * s->stride + columns * s->leading + 8 * line;
    if (p->mn_major && !p->swizzle)
        bytes = extent / 8 * s->stride + 2 * s->leading + 128;
    return (s->start + bytes + 2047) / 1024 * 1024;
}

// ---- the text ----------------------------------------------------------------------------------

static const char before[] =
    " .reg .pred p, q; .reg .b32 r<16>; .reg .b64 d<16>; .reg .b32 c<128>; .reg .b32 a<4>;\n"
    " mov.u32 r0, %tid.x; shl.b32 r1, r0, 4; mov.u32 r2, sm; ld.param.u64 d0, [image];\n"
    " ld.param.u64 d1, [size]; cvt.u32.u64 r3, d1;\n"
    "COPY: setp.ge.u32 p, r1, r3; @p bra COPIED;\n"
    " cvt.u64.u32 d2, r1; add.s64 d2, d0, d2; ld.global.v4.u32 {r4, r5, r6, r7}, [d2];\n"
    " add.s32 r8, r2, r1; st.shared.v4.u32 [r8], {r4, r5, r6, r7}; add.s32 r1, r1, 2048;\n"
    " bra COPY;\n"
    "COPIED: fence.proxy.async.shared::cta; bar.sync 0;\n"
    " ld.param.u64 d4, [pc]; ld.param.u64 d5, [pa]; mul.wide.u32 d6, r0, 4;\n"
    " add.s64 d4, d4, d6; add.s64 d5, d5, d6; shr.b32 r9, r2, 4; cvt.u64.u32 d7, r9;\n"
    " ld.param.u64 d8, [da]; ld.param.u64 d9, [db]; add.s64 d8, d8, d7; add.s64 d9, d9, d7;\n"
    " ld.param.u32 r10, [adds]; setp.ne.u32 q, r10, 0;\n";

static unsigned accumulators(const struct product *p)
{
    return !strcmp(p->accumulator, "f16") ? p->n / 4 : p->n / 2;
}

static size_t add_text(char *out, size_t room, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static size_t add_text(char *out, size_t room, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(out, room, format, arguments);
    va_end(arguments);
    assert_true(n >= 0 && (size_t)n < room);
    return (size_t)n;
}

static size_t product_text(char *out, size_t room, const struct product *p, size_t number)
{
    size_t at = 0;
#define ADD(...) at += add_text(out + at, room - at, __VA_ARGS__)
    bool integer = !strcmp(p->accumulator, "s32"), half = formats[p->a_type].bits == 16;
    ADD(".visible .entry k%zu(.param .u64 image, .param .u64 size, .param .u64 pc, .param .u64 pa,"
        " .param .u64 da, .param .u64 db, .param .u64 adds)\n{\n%s", number, before);
    for (unsigned i = 0; i < accumulators(p); i++)
        ADD(" ld.global.b32 c%u, [d4+%u];\n", i, i * 512);
    for (unsigned i = 0; p->a_in_registers && i < 4; i++)
        ADD(" ld.global.b32 a%u, [d5+%u];\n", i, i * 512);
    ADD(" wgmma.fence.sync.aligned;\n wgmma.mma_async.sync.aligned.m64n%uk%u%s.%s.%s.%s {", p->n,
        depth(p), p->saturate ? ".satfinite" : "", p->accumulator, formats[p->a_type].name,
        formats[p->b_type].name);
    for (unsigned i = 0; i < accumulators(p); i++) ADD("%sc%u", i ? ", " : "", i);
    ADD("}, %s, d9, q", p->a_in_registers ? "{a0, a1, a2, a3}" : "d8");
    if (!integer)
        ADD(", %d, %d", p->negate_a ? -1 : 1, p->negate_b ? -1 : 1);
    if (half && !p->a_in_registers)
        ADD(", %d", p->a.mn_major);
    if (half)
        ADD(", %d", p->b.mn_major);
    ADD(";\n wgmma.commit_group.sync.aligned;\n wgmma.wait_group.sync.aligned 0;\n");
    for (unsigned i = 0; i < accumulators(p); i++)
        ADD(" st.global.b32 [d4+%u], c%u;\n", i * 512, i);
    ADD(" ret;\n}\n");
#undef ADD
    return at;
}

// ---- one product -------------------------------------------------------------------------------

struct run {
    const struct product *p;
    uint8_t image[MOST_BYTES];
    uint32_t a[64][32], b[256][32]; // bits, [m][k] and [n][k]
    uint32_t a_registers[4][128], c[128][128], d[128][128];
    unsigned bytes;
    uint64_t descriptor_a, descriptor_b;
    uint64_t random;
};

static void put(uint8_t *image, unsigned offset, unsigned size, uint32_t bits)
{
    assert_true(offset + size <= MOST_BYTES);
    memcpy(image + offset, &bits, size);
}

static unsigned place_operand(struct run *r, const struct place *p, unsigned start, unsigned extent,
                              enum format_id type, uint32_t (*bits)[32], uint64_t *described)
{
    struct strides s = strides_of(p, extent, start);
    unsigned size = formats[type].bits / 8;
    for (unsigned mn = 0; mn < extent; mn++)
        for (unsigned k = 0; k < depth(r->p); k++)
            put(r->image, element_offset(p, &s, size, mn, k), size, bits[mn][k]);
    *described = descriptor(p, &s);
    return bytes_of(p, &s, extent);
}

// A in registers: lane l has rows l / 4 and + 8 (odd registers); a register holds neighbours in k.
static void fill_registers(struct run *r)
{
    unsigned bits = formats[r->p->a_type].bits, parts = 32 / bits;
    for (unsigned t = 0; t < 128; t++)
        for (unsigned i = 0; i < 4; i++) {
            unsigned row = t / 32 * 16 + t % 32 / 4 + i % 2 * 8;
            unsigned k = (t % 4 + i / 2 * 4) * parts;
            r->a_registers[i][t] = 0;
            for (unsigned x = 0; x < parts; x++)
                r->a_registers[i][t] |= r->a[row][k + x] << (x * bits);
        }
}

static void fill(struct run *r, const struct product *p, uint64_t seed)
{
    r->p = p;
    r->random = seed;
    for (unsigned i = 0; i < MOST_BYTES; i += 4) {
        uint32_t word = (uint32_t)bench_random(&r->random) & 0x3f3f3f3f;
        memcpy(r->image + i, &word, 4);
    }
    for (unsigned k = 0; k < depth(p); k++) {
        for (unsigned m = 0; m < 64; m++) r->a[m][k] = format_random(p->a_type, &r->random);
        for (unsigned n = 0; n < p->n; n++) r->b[n][k] = format_random(p->b_type, &r->random);
    }
    unsigned end = place_operand(r, &p->a, 0, 64, p->a_type, r->a, &r->descriptor_a);
    r->bytes = place_operand(r, &p->b, end, p->n, p->b_type, r->b, &r->descriptor_b);
    fill_registers(r);
    for (unsigned i = 0; i < 128; i++)
        for (unsigned t = 0; t < 128; t++) {
            bool half = !strcmp(p->accumulator, "f16");
            uint32_t low = format_random(half ? F16 : F32, &r->random);
            r->c[i][t] = half ? low | format_random(F16, &r->random) << 16 : low;
            if (!strcmp(p->accumulator, "s32"))
                r->c[i][t] = (uint32_t)bench_random(&r->random) >> (p->saturate ? 1 : 0);
        }
}

static double expected(const struct run *r, unsigned m, unsigned n, double c, double *size)
{
    const struct product *p = r->p;
    double sum = p->fresh ? 0 : c, sign = p->negate_a != p->negate_b ? -1 : 1;
    *size = fabs(sum);
    for (unsigned k = 0; k < depth(p); k++) {
        double product = sign * format_value(p->a_type, r->a[m][k]) *
                         format_value(p->b_type, r->b[n][k]);
        sum += product;
        *size += fabs(product);
    }
    return sum;
}

static void compare_one(const struct run *r, unsigned m, unsigned n, uint32_t c, uint32_t d)
{
    const char *type = r->p->accumulator;
    double size, want, got, slack = 0;
    if (!strcmp(type, "s32")) {
        want = expected(r, m, n, (int32_t)c, &size);
        if (r->p->saturate)
            want = fmin(fmax(want, INT32_MIN), INT32_MAX);
        got = r->p->saturate ? (int32_t)d : (double)d;
        want = r->p->saturate ? want : (double)(uint32_t)(int64_t)want;
    } else {
        enum format_id f = !strcmp(type, "f16") ? F16 : F32;
        want = expected(r, m, n, format_value(f, c), &size);
        got = format_value(f, d);
        slack = size * (depth(r->p) + 1) * 0x1p-24;
        if (f == F16)
            slack += fabs(want) * 0x1p-11 + 0x1p-25;
    }
    if (fabs(want - got) > slack)
        fail_msg("m64n%uk%u.%s.%s.%s swizzles %u %u majors %d %d registers %d: d[%u][%u] is %.9g, "
                 "not %.9g", r->p->n, depth(r->p), type, formats[r->p->a_type].name,
                 formats[r->p->b_type].name, r->p->a.swizzle, r->p->b.swizzle, r->p->a.mn_major,
                 r->p->b.mn_major, r->p->a_in_registers, m, n, got, want);
}

static void compare(const struct run *r)
{
    bool half = !strcmp(r->p->accumulator, "f16");
    for (unsigned t = 0; t < 128; t++)
        for (unsigned i = 0; i < r->p->n / 2; i++) {
            unsigned m = t / 32 * 16 + t % 32 / 4 + i / 2 % 2 * 8;
            unsigned n = i / 4 * 8 + t % 4 * 2 + i % 2, shift = half ? i % 2 * 16 : 0;
            unsigned at = half ? i / 2 : i;
            uint32_t mask = half ? 0xffff : UINT32_MAX;
            compare_one(r, m, n, r->c[at][t] >> shift & mask, r->d[at][t] >> shift & mask);
        }
}

static void run_one(struct bench *b, struct run *r, size_t number)
{
    char name[32];
    snprintf(name, sizeof name, "k%zu", number);
    fill(r, &products[number], number * 77 + 5);
    uint64_t image = bench_buffer(b, r->bytes, r->image);
    uint64_t c = bench_buffer(b, sizeof r->c, r->c);
    uint64_t a = bench_buffer(b, sizeof r->a_registers, r->a_registers);
    b->options.completion = r->p->completion;
    b->options.seed = r->p->completion == PTXM_SEEDED ? number + 1 : 0;
    RUN(b, name, 1, 128, r->bytes, image, r->bytes, c, a, r->descriptor_a, r->descriptor_b,
        !r->p->fresh);
    bench_clean(b);
    assert_int_equal(ptxm_report_counters(b->report)->multiply_adds, 64 * r->p->n * depth(r->p));
    bench_read(b, c, r->d, sizeof r->d);
    compare(r);
    assert_int_equal(ptxm_memory_free(b->device, image), PTXM_OK);
    assert_int_equal(ptxm_memory_free(b->device, c), PTXM_OK);
    assert_int_equal(ptxm_memory_free(b->device, a), PTXM_OK);
}

static void run_products(void)
{
    enum { ROOM = 8 << 20 };
    char *text = malloc(ROOM);
    struct run *r = malloc(sizeof *r);
    assert_true(text && r);
    size_t at = add_text(text, ROOM, ".version 8.4\n.target sm_90a\n.address_size 64\n"
                                     ".extern .shared .align 1024 .b8 sm[];\n");
    for (size_t i = 0; i < product_count; i++)
        at += product_text(text + at, ROOM - at, &products[i], i);
    assemble(ptxas, text);
    struct bench b;
    bench_load(&b, text);
    for (size_t i = 0; i < product_count; i++) run_one(&b, r, i);
    bench_free(&b);
    free(r);
    free(text);
}

static struct product *add(struct product p)
{
    assert_true(product_count < MOST_PRODUCTS);
    products[product_count] = p;
    return &products[product_count++];
}

// ---- the tests ---------------------------------------------------------------------------------

static void test_every_n(void **state)
{
    product_count = 0;
    for (unsigned n = 8; n <= 256; n += 8)
        add((struct product){"f32", F16, F16, n, .a = {3}, .b = {3}});
    run_products();
}

static void test_layouts(void **state)
{
    static const unsigned sizes[] = {8, 64, 136, 256};
    product_count = 0;
    for (unsigned i = 0; i < 4 * 4 * 4; i++)
        for (unsigned size = 0; size < 4; size += 1 + (i + size) % 2) {
            struct place a = {i & 3, i >> 4 & 1, size & 1, 0, 0};
            struct place b = {i >> 2 & 3, i >> 5 & 1, size >> 1 & 1, 0, 0};
            if (a.swizzle >= 2 && !a.mn_major)
                a.k_advance = size % (a.swizzle == 3 ? 4 : 2);
            if (b.swizzle >= 2 && !b.mn_major)
                b.k_advance = (size + 1) % (b.swizzle == 3 ? 4 : 2);
            add((struct product){size & 1 ? "f32" : i & 1 ? "f16" : "f32",
                                 i & 1 || size & 1 ? F16 : BF16, i & 1 || size & 1 ? F16 : BF16,
                                 sizes[size], .a = a, .b = b});
        }
    run_products();
}

static void test_base_offset(void **state)
{
    product_count = 0;
    for (unsigned lines = 1; lines < 8; lines++) {
        add((struct product){"f32", F16, F16, 64, .a = {3, .unaligned = lines},
                             .b = {3, .unaligned = 8 - lines}});
        add((struct product){"f32", F16, F16, 64, .a = {3, true, .unaligned = lines},
                             .b = {3, true, .unaligned = lines}});
    }
    for (unsigned lines = 1; lines < 4; lines++)
        add((struct product){"f32", BF16, BF16, 32, .a = {2, .unaligned = lines},
                             .b = {2, .unaligned = lines}});
    run_products();
}

static void test_types(void **state)
{
    static const struct { const char *d; enum format_id a, b; } types[] = {
        {"f16", F16, F16}, {"f32", F16, F16}, {"f32", BF16, BF16}, {"f32", TF32, TF32},
        {"f32", E4M3, E4M3}, {"f32", E4M3, E5M2}, {"f32", E5M2, E4M3}, {"f32", E5M2, E5M2},
        {"f16", E4M3, E4M3}, {"f16", E4M3, E5M2}, {"f16", E5M2, E4M3}, {"f16", E5M2, E5M2},
        {"s32", S8, S8}, {"s32", S8, U8}, {"s32", U8, S8}, {"s32", U8, U8},
    };
    static const unsigned sizes[] = {8, 24, 96, 256};
    product_count = 0;
    for (unsigned t = 0; t < sizeof types / sizeof *types; t++)
        for (unsigned swizzle = 0; swizzle < 4; swizzle++)
            for (int registers = 0; registers < 2; registers++) {
                struct product *p = add((struct product){
                    types[t].d, types[t].a, types[t].b, sizes[(t + swizzle) % 4],
                    .a_in_registers = registers, .a = {swizzle}, .b = {3 - swizzle}});
                p->saturate = !strcmp(p->accumulator, "s32") && swizzle & 1;
                p->fresh = swizzle == 2;
                p->b.mn_major = registers && formats[p->b_type].bits == 16 && swizzle & 1;
                p->completion = (enum ptxm_completion)((t + swizzle + (unsigned)registers) % 3);
            }
    run_products();
}

static void test_signs(void **state)
{
    static const enum format_id types[] = {F16, BF16, TF32, E5M2};
    product_count = 0;
    for (unsigned i = 0; i < 4 * 4 * 2; i++)
        add((struct product){"f32", types[i / 4 % 4], types[i / 4 % 4], 16, .negate_a = i & 1,
                             .negate_b = i & 2, .a_in_registers = i / 16, .a = {1}, .b = {1}});
    run_products();
}

int main(int argc, char **argv)
{
    ptxas = argc > 1 ? argv[1] : NULL;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_n), cmocka_unit_test(test_layouts),
        cmocka_unit_test(test_base_offset), cmocka_unit_test(test_types),
        cmocka_unit_test(test_signs),
    };
    return cmocka_run_group_tests_name("ptxm wgmma", tests, NULL, NULL);
}
