// SPDX-License-Identifier: MIT
// wgmma of single bits: random matrices against a direct count, for several n, A in shared memory
// and in registers, without a swizzle and in lines of 128 bytes.
#include "planted.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { K = 256, WORDS = K / 32, START_B = 16384, IMAGE = 65536 };

struct product {
    unsigned n;
    bool registers, swizzled, fresh; // fresh: scale-d is false
};

struct run {
    uint32_t a[64][WORDS], b[256][WORDS], fragments[4][128], c[128][128], d[128][128];
    uint8_t image[IMAGE];
};

// Bytes of a row are 32; without a swizzle its two halves lie 128 bytes apart, eight rows a block.
static unsigned offset_of(const struct product *p, unsigned row, unsigned half)
{
    if (!p->swizzled)
        return row % 8 * 16 + row / 8 * 256 + half * 128;
    return row % 8 * 128 + row / 8 * 1024 + (half * 16 ^ row % 8 << 4);
}

static uint64_t descriptor(const struct product *p, unsigned start)
{
    uint64_t leading = p->swizzled ? 0 : 128, stride = p->swizzled ? 1024 : 256;
    return start >> 4 | leading >> 4 << 16 | stride >> 4 << 32 | (uint64_t)p->swizzled << 62;
}

static void text_of(const struct product *p, char *out, size_t room)
{
    static const char head[] =
        ".version 8.6\n.target sm_90a\n.address_size 64\n.extern .shared .align 1024 .b8 sm[];\n"
        ".visible .entry k(.param .u64 image, .param .u64 pc, .param .u64 pa, .param .u64 da,"
        " .param .u64 db, .param .u64 adds)\n{\n"
        " .reg .pred p, q; .reg .b32 r<16>; .reg .b64 d<16>; .reg .b32 c<128>; .reg .b32 a<4>;\n"
        " mov.u32 r0, %tid.x; shl.b32 r1, r0, 4; mov.u32 r2, sm; ld.param.u64 d0, [image];\n"
        "COPY: setp.ge.u32 p, r1, 65536; @p bra COPIED;\n"
        " cvt.u64.u32 d2, r1; add.s64 d2, d0, d2; ld.global.v4.u32 {r4, r5, r6, r7}, [d2];\n"
        " add.s32 r8, r2, r1; st.shared.v4.u32 [r8], {r4, r5, r6, r7}; add.s32 r1, r1, 2048;\n"
        " bra COPY;\nCOPIED: fence.proxy.async.shared::cta; bar.sync 0;\n"
        " ld.param.u64 d4, [pc]; ld.param.u64 d5, [pa]; mul.wide.u32 d6, r0, 4;\n"
        " add.s64 d4, d4, d6; add.s64 d5, d5, d6; shr.b32 r9, r2, 4; cvt.u64.u32 d7, r9;\n"
        " ld.param.u64 d8, [da]; ld.param.u64 d9, [db]; add.s64 d8, d8, d7; add.s64 d9, d9, d7;\n"
        " ld.param.u32 r10, [adds]; setp.ne.u32 q, r10, 0;\n";
    size_t at = (size_t)snprintf(out, room, "%s", head);
#define ADD(...) at += (size_t)snprintf(out + at, room - at, __VA_ARGS__)
    for (unsigned i = 0; i < p->n / 2; i++) ADD(" ld.global.b32 c%u, [d4+%u];\n", i, i * 512);
    for (unsigned i = 0; p->registers && i < 4; i++)
        ADD(" ld.global.b32 a%u, [d5+%u];\n", i, i * 512);
    ADD(" wgmma.fence.sync.aligned;\n"
        " wgmma.mma_async.sync.aligned.m64n%uk256.s32.b1.b1.and.popc {", p->n);
    for (unsigned i = 0; i < p->n / 2; i++) ADD("%sc%u", i ? ", " : "", i);
    ADD("}, %s, d9, q;\n wgmma.commit_group.sync.aligned;\n wgmma.wait_group.sync.aligned 0;\n",
        p->registers ? "{a0, a1, a2, a3}" : "d8");
    for (unsigned i = 0; i < p->n / 2; i++) ADD(" st.global.b32 [d4+%u], c%u;\n", i * 512, i);
    ADD(" ret;\n}\n");
#undef ADD
}

static unsigned row_of(unsigned thread, unsigned i)
{
    return thread / 32 * 16 + thread % 32 / 4 + i / 2 % 2 * 8;
}

static unsigned column_of(unsigned thread, unsigned i)
{
    return i / 4 * 8 + thread % 4 * 2 + i % 2;
}

static void fill(const struct product *p, struct run *r, uint64_t *random)
{
    memset(r->image, 0xa5, sizeof r->image);
    for (unsigned m = 0; m < 64; m++)
        for (unsigned w = 0; w < WORDS; w++) r->a[m][w] = (uint32_t)bench_random(random);
    for (unsigned n = 0; n < p->n; n++)
        for (unsigned w = 0; w < WORDS; w++) r->b[n][w] = (uint32_t)bench_random(random);
    for (unsigned half = 0; half < 2; half++) {
        for (unsigned m = 0; m < 64; m++)
            memcpy(r->image + offset_of(p, m, half), &r->a[m][half * 4], 16);
        for (unsigned n = 0; n < p->n; n++)
            memcpy(r->image + START_B + offset_of(p, n, half), &r->b[n][half * 4], 16);
    }
    // Register i of A: words t and t + 4 of the rows g and g + 8.
    for (unsigned t = 0; t < 128; t++)
        for (unsigned i = 0; i < 4; i++)
            r->fragments[i][t] = r->a[t / 32 * 16 + t % 32 / 4 + i % 2 * 8][t % 4 + i / 2 * 4];
    for (unsigned i = 0; i < 128; i++)
        for (unsigned t = 0; t < 128; t++) r->c[i][t] = (uint32_t)bench_random(random);
}

static uint32_t expected(const struct product *p, const struct run *r, unsigned t, unsigned i)
{
    uint32_t sum = p->fresh ? 0 : r->c[i][t];
    for (unsigned k = 0; k < K; k++)
        sum += r->a[row_of(t, i)][k / 32] >> k % 32 & r->b[column_of(t, i)][k / 32] >> k % 32 & 1;
    return sum;
}

static void check(const struct product *p)
{
    static char text[65536];
    static struct run r;
    uint64_t random = p->n * 8 + p->registers * 4 + p->swizzled * 2 + p->fresh;
    struct bench b;
    fill(p, &r, &random);
    text_of(p, text, sizeof text);
    planted_assemble(text);
    bench_load(&b, text);
    b.options.completion = (enum ptxm_completion)(p->n / 8 % 3);
    uint64_t image = bench_buffer(&b, sizeof r.image, r.image);
    uint64_t c = bench_buffer(&b, sizeof r.c, r.c);
    uint64_t a = bench_buffer(&b, sizeof r.fragments, r.fragments);
    RUN(&b, "k", 1, 128, IMAGE, image, c, a, descriptor(p, 0), descriptor(p, START_B), !p->fresh);
    bench_clean(&b);
    bench_read(&b, c, r.d, sizeof r.d);
    for (unsigned i = 0; i < p->n / 2; i++)
        for (unsigned t = 0; t < 128; t++) assert_int_equal(r.d[i][t], expected(p, &r, t, i));
    bench_free(&b);
}

static void test_bits(void **state)
{
    static const unsigned sizes[] = {8, 16, 24, 32, 48, 112, 128, 240, 256};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (unsigned form = 0; form < 8; form++) {
            struct product p = {sizes[i], form & 1, form >> 1 & 1, form >> 2 & 1};
            check(&p);
        }
}

int main(int argc, char **argv)
{
    planted_start(argc, argv);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_bits)};
    return cmocka_run_group_tests_name("wgmma bits", tests, NULL, NULL);
}
