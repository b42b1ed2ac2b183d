// SPDX-License-Identifier: MIT
// What orders what, beyond the barriers of test_findings.c: fences of several threads before one
// flag, warp syncs of parts of a warp, reads that a compare-and-swap confirms, kinds of barriers,
// and lanes that wait for lanes whatever the order of turns.
#include "harness.h"

#include <stdio.h>
#include <string.h>

// %r1 thread, %r2 its 4-byte offset, %r3 shared s + offset, %r4 s, %r9 CTA; %d1 data,
// %d2 data + offset, %d3 flag.
#define BEFORE                                                                                     \
    HEAD ".visible .entry k(.param .u64 p, .param .u64 q)\n{\n"                                    \
         " .reg .b32 %r<40>; .reg .b64 %d<20>; .reg .pred %p<10>;\n"                               \
         " .shared .align 16 .b8 s[1024];\n"                                                       \
         " ld.param.u64 %d1, [p]; ld.param.u64 %d3, [q]; mov.u32 %r1, %tid.x;\n"                   \
         " mov.u32 %r9, %ctaid.x;\n"                                                               \
         " shl.b32 %r2, %r1, 2; mov.u32 %r4, s; add.s32 %r3, %r4, %r2; mul.wide.u32 %d4, %r1, 4;\n"\
         " add.s64 %d2, %d1, %d4;\n"

struct sample {
    const char *body, *rule; // NULL: clean
    unsigned grid, block;
};

static void check(const struct sample *list, size_t count, struct ptxm_launch_options options)
{
    static const uint32_t zeros[1024];
    for (size_t i = 0; i < count; i++) {
        char text[8192];
        struct bench b;
        snprintf(text, sizeof text, "%s%s\n ret;\n}\n", BEFORE, list[i].body);
        bench_load(&b, text);
        b.options = options;
        b.options.instruction_budget = 100000000;
        uint64_t data = bench_buffer(&b, sizeof zeros, zeros), flag = bench_buffer(&b, 256, zeros);
        RUN(&b, "k", list[i].grid, list[i].block, 0, data, flag);
        if (list[i].rule)
            bench_found(&b, list[i].rule);
        else
            bench_clean(&b);
        bench_free(&b);
    }
}
#define CHECK(list, ...)                                                                           \
    check(list, sizeof list / sizeof *list, (struct ptxm_launch_options){__VA_ARGS__})

// CTA 0: all threads write, `FENCE` each, meet, thread 0 raises the flag. CTA 1 waits for it.
#define PRODUCE(fence, meet)                                                                       \
    " setp.ne.u32 %p2, %r9, 0; @%p2 bra READ; st.global.u32 [%d2], 7;" fence meet                  \
    " setp.ne.u32 %p1, %r1, 0; @%p1 ret; atom.global.exch.b32 %r5, [%d3], 1; ret;\n"               \
    "READ: ld.relaxed.gpu.global.u32 %r5, [%d3]; setp.eq.u32 %p3, %r5, 0; @%p3 bra READ;"
#define CONSUME " fence.sc.gpu; ld.global.u32 %r6, [%d2];"
#define BS " bar.sync 0;"

static void test_fences_before_a_barrier(void **state)
{
    static const struct sample list[] = {
        {PRODUCE(" membar.gl;", BS) CONSUME, NULL, 2, 64},
        {PRODUCE(" fence.sc.gpu;", BS BS) CONSUME, NULL, 2, 64},
        {PRODUCE(" membar.gl;", " bar.warp.sync -1;") CONSUME, NULL, 2, 32},
        {PRODUCE(" membar.gl;", " bar.sync 1, 64;") CONSUME, NULL, 2, 64},
        {PRODUCE(" membar.gl;", "") CONSUME, "race-between-ctas", 2, 64},      // they do not meet
        {PRODUCE(" membar.cta;", BS) CONSUME, "race-between-ctas", 2, 64},     // too narrow
        {PRODUCE(" fence.acq_rel.gpu;", BS) CONSUME, "race-between-ctas", 2, 64}, // no one order
        {PRODUCE("", BS) CONSUME, "race-between-ctas", 2, 64},
        {PRODUCE(" membar.gl;", BS) " ld.global.u32 %r6, [%d2];", "race-between-ctas", 2, 64},
        // a write behind the fence is not covered
        {PRODUCE(" membar.gl; st.global.u32 [%d2], 8;", BS) CONSUME, "race-between-ctas", 2, 64},
    };
    CHECK(list, .threads = 1);
    CHECK(list, .threads = 2);
    CHECK(list, .seed = 5);
}

#define FILL " st.shared.u32 [%r3], %r1;"
#define HALVES " setp.lt.u32 %p1, %r1, 16; selp.b32 %r7, 65535, 0xffff0000, %p1; bar.warp.sync %r7;"
#define READ(distance)                                                                             \
    " xor.b32 %r5, %r2, " distance "; add.s32 %r5, %r4, %r5; ld.shared.u32 %r6, [%r5];"

static void test_syncs_of_half_a_warp(void **state)
{
    static const struct sample list[] = {
        {FILL HALVES READ("4"), NULL, 1, 32},            // within the half
        {FILL HALVES READ("64"), "race-in-warp", 1, 32}, // in the other half
        {FILL " bar.warp.sync -1;" READ("64"), NULL, 1, 32},
    };
    CHECK(list, .seed = 0);
    CHECK(list, .seed = 3);
}

// old = *word; do { seen = old; old = cas(word, seen, seen + 1) } while (old != seen)
#define SWAP                                                                                       \
    " ld.global.u32 %r5, [%d1];\nL: mov.u32 %r6, %r5; add.u32 %r7, %r6, 1;"                        \
    " atom.global.cas.b32 %r5, [%d1], %r6, %r7; setp.ne.u32 %p1, %r5, %r6; @%p1 bra L;"

static void test_reads_that_are_confirmed(void **state)
{
    static const struct sample list[] = {
        {SWAP, NULL, 1, 64},
        {SWAP, NULL, 3, 32},
        // read, but nothing is made of whether it was right
        {" ld.global.u32 %r5, [%d1]; atom.global.add.u32 %r6, [%d1], %r5;", "race", 1, 64},
        {" ld.global.u32 %r5, [%d1]; red.global.add.u32 [%d1], 1;", "race-between-ctas", 2, 1},
        {" ld.global.u32 %r5, [%d1]; atom.global.cas.b32 %r6, [%d3], 0, 1;"
         " red.global.add.u32 [%d1], 1;", "race", 1, 64}, // another word is compared
    };
    CHECK(list, .threads = 1);
    CHECK(list, .seed = 8);
    static const struct sample strict[] = {{SWAP, "race", 1, 64}};
    CHECK(strict, .strict = true);
}

static void test_kinds_of_barriers(void **state)
{
    static const struct sample list[] = {
        {" setp.lt.u32 %p1, %r1, 32; @%p1 bra A; bar.red.popc.u32 %r5, 0, %p1; ret;\n"
         "A: bar.sync 0;", "barrier-mixed", 1, 64},
        {" setp.lt.u32 %p1, %r1, 32; @%p1 bra A; bar.red.popc.u32 %r5, 0, %p1; ret;\n"
         "A: bar.red.and.pred %p2, 0, %p1;", "barrier-mixed", 1, 64},
        {" setp.lt.u32 %p1, %r1, 32; @%p1 bra A; bar.red.popc.u32 %r5, 0, %p1; ret;\n"
         "A: bar.red.popc.u32 %r5, 0, %p1;", NULL, 1, 64},
        {" setp.lt.u32 %p1, %r1, 32; @%p1 bra A; bar.sync 1, 64; ret;\nA: bar.arrive 1, 64;", NULL,
         1, 64},
    };
    CHECK(list, .seed = 0);
}

// The lane that has the lock stands behind the loop of those that want it.
#define LOCK                                                                                       \
    "L: atom.global.cas.b32 %r5, [%d3], 0, 1; setp.ne.u32 %p1, %r5, 0; @%p1 bra L; membar.gl;"     \
    " ld.global.u32 %r6, [%d1]; add.u32 %r6, %r6, 1; st.global.u32 [%d1], %r6; membar.gl;"         \
    " atom.global.exch.b32 %r5, [%d3], 0;"

static void test_turns(void **state)
{
    static const struct sample list[] = {{LOCK, NULL, 1, 32}, {LOCK, NULL, 2, 40}};
    for (uint64_t seed = 0; seed < 5; seed++) CHECK(list, .seed = seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fences_before_a_barrier),
        cmocka_unit_test(test_syncs_of_half_a_warp),
        cmocka_unit_test(test_reads_that_are_confirmed),
        cmocka_unit_test(test_kinds_of_barriers),
        cmocka_unit_test(test_turns),
    };
    return cmocka_run_group_tests_name("order", tests, NULL, NULL);
}
