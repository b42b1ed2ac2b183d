// SPDX-License-Identifier: MIT
// Divergence, calls, warp-wide instructions, shared and local memory, by hand-written PTX.
#include "harness.h"

#include <stdio.h>
#include <string.h>

#define KERNEL(body)                                                                               \
    HEAD ".visible .entry k(.param .u64 p)\n{\n"                                                   \
         " .reg .b32 %r<60>; .reg .b64 %d<20>; .reg .pred %p<10>; .reg .b16 %h<20>;\n"             \
         " ld.param.u64 %d1, [p]; mov.u32 %r1, %tid.x; mul.wide.u32 %d2, %r1, 4;\n"                \
         " add.s64 %d3, %d1, %d2;\n" body "\n st.global.u32 [%d3], %r2;\n ret;\n}\n"

// Runs one warp; %r2 of each lane.
static void lanes(const char *text, uint32_t out[32])
{
    struct bench b;
    bench_load(&b, text);
    uint64_t p = bench_buffer(&b, 128, NULL);
    RUN(&b, "k", 1, 32, 0, p);
    bench_clean(&b);
    bench_read(&b, p, out, 128);
    bench_free(&b);
}

static void test_shuffles(void **state)
{
    uint32_t out[32];
    lanes(KERNEL(" shfl.sync.up.b32 %r2, %r1, 3, 0, -1;"), out);
    for (uint32_t i = 0; i < 32; i++) assert_int_equal(out[i], i >= 3 ? i - 3 : i);
    lanes(KERNEL(" shfl.sync.down.b32 %r2|%p1, %r1, 3, 31, -1; selp.b32 %r3, 100, 0, %p1;"
                 " add.s32 %r2, %r2, %r3;"), out);
    for (uint32_t i = 0; i < 32; i++) assert_int_equal(out[i], i + 3 < 32 ? i + 103 : i);
    // width 8: segments of eight lanes
    lanes(KERNEL(" shfl.sync.bfly.b32 %r2, %r1, 5, 6175, -1;"), out);
    for (uint32_t i = 0; i < 32; i++) assert_int_equal(out[i], i ^ 5);
    lanes(KERNEL(" shfl.sync.idx.b32 %r2, %r1, 2, 6175, -1;"), out);
    for (uint32_t i = 0; i < 32; i++) assert_int_equal(out[i], (i & ~7u) + 2);
}

static void test_votes(void **state)
{
    uint32_t out[32];
    lanes(KERNEL(" setp.gt.u32 %p1, %r1, 9; vote.sync.ballot.b32 %r2, %p1, -1;"), out);
    assert_int_equal(out[5], 0xfffffc00);
    lanes(KERNEL(" and.b32 %r3, %r1, 3; match.any.sync.b32 %r2, %r3, -1;"), out);
    for (uint32_t i = 0; i < 32; i++) assert_int_equal(out[i], 0x11111111u << (i & 3));
    lanes(KERNEL(" redux.sync.add.s32 %r2, %r1, -1;"), out);
    assert_int_equal(out[31], 31 * 16);
    lanes(KERNEL(" setp.lt.u32 %p1, %r1, 5; mov.u32 %r2, 0; @%p1 activemask.b32 %r2;"), out);
    assert_int_equal(out[4], 31);
    lanes(KERNEL(" setp.ne.u32 %p1, %r1, 40; vote.sync.all.pred %p2, !%p1, -1;"
                 " vote.sync.any.pred %p3, %p1, -1; selp.u32 %r2, 1, 0, %p2;"
                 " selp.u32 %r3, 2, 0, %p3; add.u32 %r2, %r2, %r3;"), out);
    assert_int_equal(out[0], 2);
}

static void test_divergence(void **state)
{
    uint32_t out[32];
    // after a diamond with a loop in one arm, all lanes meet before the shuffle
    lanes(KERNEL(" and.b32 %r3, %r1, 1; setp.eq.u32 %p1, %r3, 0; mov.u32 %r4, %r1; @%p1 bra A;\n"
                 "L: add.u32 %r4, %r4, 1; setp.lt.u32 %p2, %r4, 40; @%p2 bra L; bra J;\n"
                 "A: mul.lo.u32 %r4, %r4, 2;\n"
                 "J: shfl.sync.bfly.b32 %r2, %r4, 1, 31, -1;"), out);
    for (uint32_t i = 0; i < 32; i++) assert_int_equal(out[i], i & 1 ? (i ^ 1) * 2 : 40);
    // shuffles of halves of the warp in the two arms
    lanes(KERNEL(" setp.lt.u32 %p1, %r1, 16; @%p1 bra A;\n"
                 " shfl.sync.bfly.b32 %r2, %r1, 1, 31, 0xffff0000; bra J;\n"
                 "A: shfl.sync.bfly.b32 %r2, %r1, 2, 31, 0xffff;\nJ:"), out);
    for (uint32_t i = 0; i < 32; i++) assert_int_equal(out[i], i < 16 ? i ^ 2 : i ^ 1);
    // warp syncs at two places
    lanes(KERNEL(" setp.lt.u32 %p1, %r1, 16; @%p1 bra A;\n"
                 " bar.warp.sync -1; mov.u32 %r2, 1; bra J;\n"
                 "A: bar.warp.sync -1; mov.u32 %r2, 2;\nJ:"), out);
    assert_int_equal(out[0] * 10 + out[31], 21);
    // a list of branch targets
    lanes(KERNEL(" and.b32 %r3, %r1, 3;\n T: .branchtargets A, B, C, D;\n brx.idx %r3, T;\n"
                 "A: mov.u32 %r2, 5; bra J;\nB: mov.u32 %r2, 6; bra J;\n"
                 "C: mov.u32 %r2, 7; bra J;\nD: mov.u32 %r2, 8;\nJ: add.u32 %r2, %r2, 1;"), out);
    for (uint32_t i = 0; i < 32; i++) assert_int_equal(out[i], 6 + (i & 3));
}

static void test_reductions_by_barrier(void **state)
{
    uint32_t out[32];
    lanes(KERNEL(" setp.lt.u32 %p1, %r1, 7; bar.red.popc.u32 %r2, 0, %p1;"
                 " bar.red.or.pred %p2, 0, %p1; bar.red.and.pred %p3, 0, !%p1;"
                 " selp.u32 %r3, 100, 0, %p2; selp.u32 %r4, 1000, 0, %p3;"
                 " add.u32 %r2, %r2, %r3; add.u32 %r2, %r2, %r4;"), out);
    assert_int_equal(out[20], 107);
}

static void test_vectors_and_spaces(void **state)
{
    uint32_t out[32];
    lanes(KERNEL(" .shared .align 16 .b8 s[512]; .local .align 8 .b8 l[16];\n"
                 " mov.u32 %r10, s; shl.b32 %r11, %r1, 4; add.u32 %r10, %r10, %r11;\n"
                 " add.u32 %r12, %r1, 1; st.shared.v4.u32 [%r10], {%r1, %r12, 7, %r11};\n"
                 " ld.shared.v2.u64 {%d4, %d5}, [%r10]; mov.b64 {%r13, %r14}, %d4;\n"
                 " cvta.local.u64 %d6, l; st.u32 [%d6+4], %r14; ld.local.u32 %r15, [l+4];\n"
                 " mov.b32 {%h1, %h2}, %r15; mov.b32 %r16, {%h2, %h1}; shr.u32 %r16, %r16, 16;\n"
                 " cvt.u64.u32 %d7, %r10; cvta.shared.u64 %d8, %d7; ld.u8 %r17, [%d8+8];\n"
                 " isspacep.shared %p1, %d8; isspacep.global %p2, %d1;\n"
                 " add.u32 %r2, %r16, %r17; @%p1 add.u32 %r2, %r2, 100; @!%p2 mov.u32 %r2, 0;"),
          out);
    for (uint32_t i = 0; i < 32; i++) assert_int_equal(out[i], i + 1 + 7 + 100);
}

static const char call_text[] =
    HEAD ".func (.param .b32 r) twice(.param .b32 x)\n{\n .reg .b32 %r<4>;\n"
         " ld.param.u32 %r1, [x]; shl.b32 %r2, %r1, 1; st.param.b32 [r], %r2; ret;\n}\n"
         ".func (.param .b32 r) more(.param .b32 x)\n{\n .reg .b32 %r<4>;\n .reg .pred %p;\n"
         " ld.param.u32 %r1, [x]; setp.gt.u32 %p, %r1, 10; @%p bra L;\n"
         " { .param .b32 a; .param .b32 b; st.param.b32 [a], %r1; call.uni (b), twice, (a);\n"
         " ld.param.b32 %r1, [b]; }\n"
         "L: add.u32 %r2, %r1, 1; st.param.b32 [r], %r2; ret;\n}\n"
         ".visible .entry k(.param .u64 p)\n{\n .reg .b32 %r<9>; .reg .b64 %d<9>;\n"
         " ld.param.u64 %d1, [p]; mov.u32 %r1, %tid.x; mul.wide.u32 %d2, %r1, 4;\n"
         " add.s64 %d3, %d1, %d2;\n"
         " { .param .b32 a; .param .b32 b; st.param.b32 [a], %r1;\n"
         " call (b), more, (a); ld.param.b32 %r2, [b]; }\n"
         " mov.u64 %d4, twice;\n"
         " { .param .b32 a; .param .b32 b; st.param.b32 [a], %r2;\n"
         " proto: .callprototype (.param .b32 _) _ (.param .b32 _);\n"
         " call (b), %d4, (a), proto; ld.param.b32 %r3, [b]; }\n"
         " st.global.u32 [%d3], %r3; ret;\n}\n";

static void test_calls(void **state)
{
    uint32_t out[32];
    lanes(call_text, out);
    for (uint32_t i = 0; i < 32; i++) assert_int_equal(out[i], 2 * (i > 10 ? i + 1 : 2 * i + 1));
}

static void test_carry(void **state)
{
    uint32_t out[32];
    lanes(KERNEL(" mov.u32 %r3, -1; add.cc.u32 %r4, %r3, %r1; addc.u32 %r2, 0, 0;"), out);
    for (uint32_t i = 0; i < 32; i++) assert_int_equal(out[i], i > 0);
    lanes(KERNEL(" sub.cc.u32 %r4, %r1, 5; subc.u32 %r2, 0, 0;"), out);
    for (uint32_t i = 0; i < 32; i++) assert_int_equal(out[i], i < 5 ? UINT32_MAX : 0);
    lanes(KERNEL(" mov.u32 %r3, -1; mad.lo.cc.u32 %r4, %r3, %r3, %r1;"
                 " madc.hi.u32 %r2, %r3, %r3, 0;"), out);
    for (uint32_t i = 0; i < 32; i++)
        assert_int_equal(out[i], (0xfffffffe00000001u + (uint64_t)i) >> 32);
}

static void test_dynamic_shared(void **state)
{
    struct bench b;
    uint32_t out[32];
    bench_load(&b, HEAD ".extern .shared .align 16 .b8 dyn[];\n"
                        ".visible .entry k(.param .u64 p)\n{\n"
                        " .reg .b32 %r<9>; .reg .b64 %d<9>;\n ld.param.u64 %d1, [p];\n"
                        " mov.u32 %r1, %tid.x; mul.wide.u32 %d2, %r1, 4; add.s64 %d3, %d1, %d2;\n"
                        " mov.u32 %r2, dyn; shl.b32 %r3, %r1, 2; add.u32 %r2, %r2, %r3;\n"
                        " st.shared.u32 [%r2], %r1; ld.shared.u32 %r4, [%r2];\n"
                        " st.global.u32 [%d3], %r4; ret;\n}\n");
    uint64_t p = bench_buffer(&b, 128, NULL);
    RUN(&b, "k", 1, 32, 128, p);
    bench_clean(&b);
    bench_read(&b, p, out, 128);
    assert_int_equal(out[31], 31);
    RUN(&b, "k", 1, 32, 124, p);
    const struct ptxm_finding *f = bench_only(&b, "shared-bounds");
    assert_int_equal(f->a.lane, 31);
    bench_free(&b);
}

static void test_bad_launches(void **state)
{
    struct bench b;
    bench_load(&b, HEAD ".visible .entry k(.param .u64 p) .maxntid 64, 1, 1\n{ ret; }\n");
    uint64_t zero = 0;
    struct { const char *kernel; unsigned grid, block, shared, bytes; int status; } list[] = {
        {"k", 1, 32, 0, 8, PTXM_OK},
        {"k", 0, 32, 0, 8, PTXM_ERROR_ARGUMENT},
        {"k", 1, 0, 0, 8, PTXM_ERROR_ARGUMENT},
        {"k", 1, 96, 0, 8, PTXM_ERROR_ARGUMENT},
        {"k", 1, 1025, 0, 8, PTXM_ERROR_ARGUMENT},
        {"k", 1, 32, 300000, 8, PTXM_ERROR_ARGUMENT},
        {"k", 1, 32, 0, 4, PTXM_ERROR_ARGUMENT},
        {"none", 1, 32, 0, 8, PTXM_ERROR_NOT_FOUND},
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        bench_run(&b, list[i].kernel, list[i].grid, list[i].block, list[i].shared, &zero,
                  list[i].bytes);
        assert_int_equal(b.status, list[i].status);
    }
    bench_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shuffles),   cmocka_unit_test(test_votes),
        cmocka_unit_test(test_divergence), cmocka_unit_test(test_reductions_by_barrier),
        cmocka_unit_test(test_calls),      cmocka_unit_test(test_vectors_and_spaces),
        cmocka_unit_test(test_carry),      cmocka_unit_test(test_dynamic_shared),
        cmocka_unit_test(test_bad_launches),
    };
    return cmocka_run_group_tests_name("control", tests, NULL, NULL);
}
