// SPDX-License-Identifier: MIT
// The rules of wgmma: each planted mistake is found with the lines of both ends, at every moment
// at which a product may run, and its repaired twin is not.
//   test_ptxm_wgmma_rules [PTXAS]
#include "matrix.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *ptxas;

// A (64x16) at s, B (16x16) at s + 2048, both of f16 in core matrices of 128 bytes. d1, d2: their
// descriptors; c0-c7, e0-e7: accumulators; a0-a3: a fragment of A; r3: s + 4 * thread; p: thread
// 0; g: the first 128 threads.
#define BEFORE                                                                                     \
    ".version 8.4\n.target sm_90a\n.address_size 64\n"                                             \
    ".visible .entry k(.param .u64 out, .param .u64 in) .maxntid 256, 1, 1\n{\n"                   \
    " .reg .b32 r<20>; .reg .b64 d<10>; .reg .b32 c<8>; .reg .b32 e<8>; .reg .b32 a<4>;\n"         \
    " .reg .pred p, q, w, g; .reg .f32 f<4>;\n"                                                    \
    " .shared .align 1024 .b8 s[4096];\n"                                                          \
    " mov.u32 r0, %tid.x; setp.eq.u32 p, r0, 0; shl.b32 r1, r0, 2; mov.u32 r2, s;\n"               \
    " setp.lt.u32 g, r0, 128;\n"                                                                   \
    " add.s32 r3, r2, r1; shr.u32 r4, r2, 4; cvt.u64.u32 d0, r4; shr.u32 r9, r0, 5;\n"             \
    " add.s64 d1, d0, 0x0000001000080000; add.s64 d2, d1, 128; setp.eq.u32 q, r2, r2;\n"           \
    " ld.param.u64 d3, [out]; mul.wide.u32 d4, r0, 4; add.s64 d3, d3, d4; mov.b32 r8, 0;\n"        \
    " ld.param.u64 d5, [in]; add.s64 d5, d5, d4;\n"                                                \
    " mov.b32 a0, 0; mov.b32 a1, 0; mov.b32 a2, 0; mov.b32 a3, 0; mov.f32 f1, 0f3F800000;\n"       \
    ZERO("c") ZERO("e") "// the body\n"
#define ZERO(x)                                                                                    \
    " mov.f32 " x "0, 0f00000000; mov.f32 " x "1, 0f00000000; mov.f32 " x "2, 0f00000000;"         \
    " mov.f32 " x "3, 0f00000000; mov.f32 " x "4, 0f00000000; mov.f32 " x "5, 0f00000000;"         \
    " mov.f32 " x "6, 0f00000000; mov.f32 " x "7, 0f00000000;\n"
#define AFTER                                                                                      \
    " add.f32 f0, c0, c1; add.f32 f0, f0, e0; add.f32 f0, f0, e1; st.global.f32 [d3], f0;\n"       \
    " ret;\n}\n"

#define FILL                                                                                       \
    " @g st.shared.b32 [r3], r8; @g st.shared.b32 [r3+512], r8; @g st.shared.b32 [r3+1024], r8;"   \
    " @g st.shared.b32 [r3+1536], r8; @g st.shared.b32 [r3+2048], r8;\n"
#define PROXY " fence.proxy.async.shared::cta;\n"
#define BAR " bar.sync 0;\n"
#define READY FILL PROXY BAR
#define FENCE " wgmma.fence.sync.aligned;\n"
#define COMMIT " wgmma.commit_group.sync.aligned;\n"
#define WAIT(n) " wgmma.wait_group.sync.aligned " #n ";\n"
#define MMA8(x)                                                                                    \
    " wgmma.mma_async.sync.aligned.m64n8k16.f32.f16.f16 {" x "0," x "1," x "2," x "3}, d1, d2, q," \
    " 1, 1, 0, 0;\n"
#define MMA16(x)                                                                                   \
    " wgmma.mma_async.sync.aligned.m64n16k16.f32.f16.f16 {" x "0," x "1," x "2," x "3," x "4," x   \
    "5," x "6," x "7}, d1, d2, q, 1, 1, 0, 0;\n"
#define MMA_A(x)                                                                                   \
    " wgmma.mma_async.sync.aligned.m64n8k16.f32.f16.f16 {" x "0," x "1," x "2," x "3},"            \
    " {a0,a1,a2,a3}, d2, q, 1, 1, 0;\n"
#define DONE COMMIT WAIT(0)
#define TOUCH " add.f32 c0, c0, f1;\n"

struct planted {
    const char *body, *rule; // NULL: clean; "race": or race-async-operation, as the schedule goes
    unsigned block;          // 0: 128
    unsigned line_a, line_b; // within the body, from 1; 0: not looked at
    bool strict;
    bool others; // what follows from the mistake is found as well
};

static unsigned line_of_body(const char *text)
{
    unsigned line = 1;
    const char *body = strstr(text, "// the body\n");
    for (const char *at = text; at < body; at++) line += *at == '\n';
    return line;
}

static void check_lines(const struct planted *p, const struct ptxm_finding *f, const char *text)
{
    unsigned base = line_of_body(text);
    bool first = f->a.line == base + p->line_a, second = f->b.line == base + p->line_b;
    if ((p->line_a && !first) || (p->line_b && !second))
        fail_msg("%s at lines %u and %u, not %u and %u, of:\n%s", f->rule, f->a.line - base,
                 f->b.line - base, p->line_a, p->line_b, p->body);
}

// A race between an operation and a thread is told from the end that comes second.
static const struct ptxm_finding *found(struct bench *b, const struct planted *p)
{
    const char *rule = p->rule;
    for (size_t i = 0; p->others && !strcmp(rule, "race") && i < ptxm_report_count(b->report); i++)
        if (!strcmp(ptxm_report_finding(b->report, i)->rule, "race-async-operation"))
            rule = "race-async-operation";
    return p->others ? bench_found(b, rule) : bench_only(b, rule);
}

static void run_planted(const struct planted *p, enum ptxm_completion completion, uint64_t seed)
{
    static char text[16384];
    static const uint32_t zeros[1024];
    struct bench b;
    snprintf(text, sizeof text, "%s%s%s", BEFORE, p->body, AFTER);
    bench_load(&b, text);
    b.options.completion = completion;
    b.options.seed = seed;
    b.options.strict = p->strict;
    uint64_t out = bench_buffer(&b, sizeof zeros, zeros);
    uint64_t in = bench_buffer(&b, sizeof zeros, zeros);
    RUN(&b, "k", 1, p->block ? p->block : 128, 0, out, in);
    if (p->rule)
        check_lines(p, found(&b, p), text);
    else
        bench_clean(&b);
    bench_free(&b);
}

static void check_all(const struct planted *list, size_t count)
{
    static char text[16384];
    for (size_t i = 0; i < count; i++) {
        snprintf(text, sizeof text, "%s%s%s", BEFORE, list[i].body, AFTER);
        assemble(ptxas, text);
        run_planted(&list[i], PTXM_EAGER, 0);
        run_planted(&list[i], PTXM_LATE, 0);
        for (uint64_t seed = 1; seed <= 4; seed++) run_planted(&list[i], PTXM_SEEDED, seed);
        run_planted(&list[i], PTXM_EAGER, 7);
    }
}
#define CHECK_ALL(list) check_all(list, sizeof list / sizeof *list)

static void test_fence(void **state)
{
    static const struct planted list[] = {
        {READY FENCE MMA8("c") DONE, NULL},
        {READY MMA8("c") DONE, "wgmma-fence"},
        {READY FENCE TOUCH MMA8("c") DONE, "wgmma-fence", 0, 5, 6},
        {READY TOUCH FENCE MMA8("c") DONE, NULL},
        {READY FENCE " mov.f32 c2, 0f3F800000;\n" MMA8("c") DONE, "wgmma-fence", 0, 5, 6},
        // A copy of a register that was touched is as touched as that one; one that was not is not.
        {READY FENCE " mov.f32 c2, c3;\n" MMA8("c") DONE, NULL},
        {READY FENCE " mov.f32 c2, c3;\n" MMA8("c") DONE, "wgmma-fence", 0, 5, 6, true},
        {READY FENCE " mov.f32 c2, f1;\n" MMA8("c") DONE, "wgmma-fence", 0, 5, 6},
        // Chains on one accumulator.
        {READY FENCE MMA8("c") MMA8("c") MMA8("c") DONE, NULL},
        {READY FENCE MMA8("c") DONE MMA8("c") DONE, NULL},
        {READY FENCE MMA8("c") MMA16("c") DONE, "wgmma-fence", 0, 5, 6},
        {READY FENCE MMA8("c") FENCE MMA16("c") DONE, NULL},
        {READY FENCE MMA8("c") MMA16("e") DONE, NULL},
        {READY FENCE MMA8("c") DONE TOUCH MMA8("c") DONE, "wgmma-fence", 0, 8, 9},
        {READY FENCE MMA8("c") DONE TOUCH FENCE MMA8("c") DONE, NULL},
        // Fragments of A.
        {READY FENCE MMA_A("c") DONE, NULL},
        {READY FENCE " mov.b32 a2, 5;\n" MMA_A("c") DONE, "wgmma-fence", 0, 5, 6},
        {READY " mov.b32 a2, 5;\n" FENCE MMA_A("c") DONE, NULL},
        {READY FENCE MMA_A("c") MMA_A("e") DONE, NULL},
        // A loop whose second trip lacks what the first one has.
        {READY FENCE " mov.b32 r5, 0;\n"
         "L: setp.eq.u32 w, r5, 1; @w bra SKIP;\n" MMA8("c") DONE
         "SKIP: add.u32 r5, r5, 1; setp.lt.u32 w, r5, 3; @w bra L;\n", NULL},
        {READY FENCE " mov.b32 r5, 0;\n"
         "L:\n" MMA8("c") DONE TOUCH " add.u32 r5, r5, 1; setp.lt.u32 w, r5, 3; @w bra L;\n",
         "wgmma-fence", 0, 7, 10},
        {READY " mov.b32 r5, 0;\n"
         "L:\n" FENCE MMA8("c") DONE TOUCH " add.u32 r5, r5, 1; setp.lt.u32 w, r5, 3; @w bra L;\n",
         NULL},
    };
    CHECK_ALL(list);
}

static void test_in_flight(void **state)
{
    static const struct planted list[] = {
        {READY FENCE MMA8("c") TOUCH DONE, "wgmma-register-in-flight", 0, 5, 6},
        {READY FENCE MMA8("c") COMMIT TOUCH WAIT(0), "wgmma-register-in-flight", 0, 5, 7},
        {READY FENCE MMA8("c") COMMIT WAIT(0) TOUCH, NULL},
        {READY FENCE MMA8("c") COMMIT " st.global.f32 [d3], c1;\n" WAIT(0),
         "wgmma-register-in-flight", 0, 5, 7},
        {READY FENCE MMA8("c") COMMIT " @p add.f32 c3, f1, f1;\n" WAIT(0),
         "wgmma-register-in-flight", 0, 5, 7},
        // Two groups, one of them waited for.
        {READY FENCE MMA8("c") COMMIT MMA8("e") COMMIT WAIT(1) TOUCH WAIT(0), NULL},
        {READY FENCE MMA8("e") COMMIT MMA8("c") COMMIT WAIT(1) TOUCH WAIT(0),
         "wgmma-register-in-flight", 0, 7, 10},
        {READY FENCE MMA8("c") COMMIT MMA8("e") COMMIT WAIT(2) TOUCH WAIT(0),
         "wgmma-register-in-flight", 0, 5, 10},
        {READY FENCE MMA8("c") MMA8("e") COMMIT WAIT(1) TOUCH WAIT(0), "wgmma-register-in-flight",
         0, 5, 9},
        // Fragments of A are read late, too.
        {READY FENCE MMA_A("c") COMMIT " mov.b32 a1, 7;\n" WAIT(0), "wgmma-register-in-flight", 0,
         5, 7},
        {READY FENCE MMA_A("c") COMMIT WAIT(0) " mov.b32 a1, 7;\n", NULL},
        {READY FENCE MMA_A("c") COMMIT " st.global.b32 [d3], a1;\n" WAIT(0),
         "wgmma-register-in-flight", 0, 5, 7},
        // A compiler's copy is none of the program's accesses; the letter of the ISA sees it.
        {READY FENCE MMA8("c") COMMIT " mov.f32 f2, c0;\n" WAIT(0), NULL},
        {READY FENCE MMA8("c") COMMIT " mov.f32 f2, c0;\n" WAIT(0), "wgmma-register-in-flight", 0,
         5, 7, true},
        // Accumulators of one product as A of the next.
        {READY FENCE MMA8("c") " wgmma.mma_async.sync.aligned.m64n8k16.f32.f16.f16 {e0,e1,e2,e3},"
         " {c0,c1,c2,c3}, d2, q, 1, 1, 0;\n" DONE, "wgmma-register-in-flight", 0, 5, 6},
        {READY FENCE MMA8("c") DONE FENCE
         " wgmma.mma_async.sync.aligned.m64n8k16.f32.f16.f16 {e0,e1,e2,e3},"
         " {c0,c1,c2,c3}, d2, q, 1, 1, 0;\n" DONE, NULL},
        // The wait at the loop's top is for the trip before.
        {READY " mov.b32 r5, 0;\n"
         "L:\n" WAIT(0) TOUCH FENCE MMA8("c") COMMIT
         " add.u32 r5, r5, 1; setp.lt.u32 w, r5, 3; @w bra L;\n" WAIT(0), NULL},
        {READY " mov.b32 r5, 0;\n"
         "L:\n" TOUCH FENCE MMA8("c") COMMIT
         " add.u32 r5, r5, 1; setp.lt.u32 w, r5, 3; @w bra L;\n" WAIT(0),
         "wgmma-register-in-flight", 0, 6, 8},
    };
    // ptxas warns where it has to serialize, but assembles all of them.
    CHECK_ALL(list);
}

static void test_groups(void **state)
{
    static const struct planted list[] = {
        {READY FENCE MMA8("c") DONE MMA8("e") WAIT(0) DONE, "wgmma-uncommitted", 0, 8, 9},
        {READY FENCE MMA8("c") DONE MMA8("e") COMMIT WAIT(0), NULL},
        {READY FENCE MMA8("c") DONE MMA8("e") COMMIT, "wgmma-register-in-flight", .others = true},
        {READY FENCE MMA8("c") DONE MMA8("e") COMMIT " ret;\n", "wgmma-at-exit", 0, 8},
        {READY FENCE MMA8("c") DONE MMA8("e") DONE " ret;\n", NULL},
        {COMMIT WAIT(0) FENCE READY, NULL},
    };
    CHECK_ALL(list);
}

static void test_warpgroup(void **state)
{
    static const struct planted list[] = {
        {READY " setp.lt.u32 w, r9, 3; @!w bra OUT;\n" FENCE MMA8("c") DONE "OUT:\n ret;\n",
         "wgmma-warpgroup", .others = true},
        {READY " setp.lt.u32 w, r9, 4; @!w bra OUT;\n" FENCE MMA8("c") DONE "OUT:\n", NULL, 256},
        {READY FENCE MMA8("c") DONE, "wgmma-warpgroup", 160},
        {READY FENCE MMA8("c") DONE, NULL, 256},
        // Descriptors and scale-d are the same for all warps.
        {READY " and.b32 r9, r9, 1; cvt.u64.u32 d6, r9; shl.b64 d6, d6, 4; add.s64 d1, d1, d6;\n"
         FENCE MMA8("c") DONE, "wgmma-warpgroup"},
        {READY " setp.lt.u32 q, r9, 2;\n" FENCE MMA8("c") DONE, "wgmma-warpgroup"},
        {READY " setp.lt.u32 q, r9, 4;\n" FENCE MMA8("c") DONE, NULL},
        {READY FENCE " setp.lt.u32 w, r9, 2; @w bra ELSE;\n" MMA8("c") " bra JOIN;\nELSE:\n"
         MMA8("c") "JOIN:\n" DONE, "wgmma-warpgroup", 0, 6, 9},
        // Lanes of one warp go apart.
        {READY " and.b32 r10, r0, 31; setp.lt.u32 w, r10, 16; @w bra ON;\n" FENCE "ON:\n",
         "wgmma-warpgroup"},
        {READY " and.b32 r10, r0, 31; setp.lt.u32 w, r10, 16; @w bra ON;\n" FENCE "ON:\n" BAR,
         "deadlock"},
        // One warp commits twice.
        {READY FENCE MMA8("c") " setp.lt.u32 w, r9, 1; @!w bra ON;\n" COMMIT "ON:\n" COMMIT
         MMA8("e") DONE, "wgmma-warpgroup"},
    };
    CHECK_ALL(list);
}

static void test_descriptors(void **state)
{
    static const struct planted list[] = {
        {READY " or.b64 d1, d1, 0x4000;\n" FENCE MMA8("c") DONE, "wgmma-descriptor"},
        {READY " or.b64 d2, d2, 0x0010000000000000;\n" FENCE MMA8("c") DONE, "wgmma-descriptor"},
        {READY " add.s64 d2, d2, 240;\n" FENCE MMA8("c") DONE, "shared-bounds"},
        {READY " add.s64 d2, d2, -144;\n" FENCE MMA8("c") DONE, "shared-bounds"},
        {READY " add.s64 d2, d2, 8;\n" FENCE MMA8("c") DONE, NULL},
        {READY " add.s64 d2, d2, 64;\n" FENCE MMA8("c") DONE, "uninitialised-shared"},
    };
    CHECK_ALL(list);
}

static void test_memory(void **state)
{
    static const struct planted list[] = {
        {FILL BAR FENCE MMA8("c") DONE, "proxy-fence", 0, 1, 4},
        {FILL PROXY FENCE MMA8("c") DONE, "race", .others = true},
        {FILL PROXY BAR FENCE MMA8("c") DONE, NULL},
        {FILL BAR PROXY FENCE MMA8("c") DONE, NULL},
        // A is read by the warp whose rows they are, B by all: a warp's own rows need its lanes.
        {READY " bar.sync 0;\n" FENCE MMA8("c") DONE FILL PROXY FENCE MMA8("c") DONE, "race",
         .others = true},
        // The products of the whole warpgroup are over when one of its warps has waited.
        {READY FENCE MMA8("c") COMMIT FILL WAIT(0), "race-async-operation", .others = true},
        {READY FENCE MMA8("c") DONE FILL, NULL},
        {READY FENCE MMA8("c") DONE BAR FILL, NULL},
        // Another warpgroup overwrites: it must meet those who waited.
        {READY " setp.lt.u32 w, r9, 4; @w bra MULTIPLY;\n st.shared.b32 [r3+-512], r8;\n bra ON;\n"
         "MULTIPLY:\n" FENCE MMA8("c") DONE "ON:\n", "race", 256, .others = true},
        {READY " setp.lt.u32 w, r9, 4; @w bra MULTIPLY;\n bar.sync 1, 256;\n"
         " st.shared.b32 [r3+-512], r8;\n bra ON;\n"
         "MULTIPLY:\n" FENCE MMA8("c") DONE " bar.arrive 1, 256;\nON:\n", NULL, 256},
        {READY " setp.lt.u32 w, r9, 4; @w bra MULTIPLY;\n bar.sync 1, 256;\n"
         " st.shared.b32 [r3+-512], r8;\n bra ON;\n"
         "MULTIPLY:\n" FENCE MMA8("c") COMMIT " bar.arrive 1, 256;\n" WAIT(0) "ON:\n",
         "race-async-operation", 256, .others = true},
        // Two groups, of which the first is over: the second still reads what both do.
        {READY " setp.lt.u32 w, r9, 4; @w bra MULTIPLY;\n bar.sync 1, 256;\n"
         " st.shared.b32 [r3+-512], r8;\n bra ON;\n"
         "MULTIPLY:\n" FENCE MMA8("c") COMMIT MMA8("e") COMMIT WAIT(1) " bar.arrive 1, 256;\n"
         WAIT(0) "ON:\n", "race-async-operation", 256},
        {READY " setp.lt.u32 w, r9, 4; @w bra MULTIPLY;\n bar.sync 1, 256;\n"
         " st.shared.b32 [r3+-512], r8;\n bra ON;\n"
         "MULTIPLY:\n" FENCE MMA8("c") COMMIT MMA_A("e") COMMIT WAIT(1) " bar.arrive 1, 256;\n"
         WAIT(0) "ON:\n", NULL, 256},
        // cp.async: shipped code has no fence behind its wait; the letter demands one.
        {FILL PROXY BAR " cp.async.ca.shared.global [r3], [d5], 4;\n cp.async.wait_all;\n" BAR
         FENCE MMA8("c") DONE, NULL},
        {FILL PROXY BAR " cp.async.ca.shared.global [r3], [d5], 4;\n cp.async.wait_all;\n" BAR
         FENCE MMA8("c") DONE, "proxy-fence-cp-async", 0, 4, 8, true},
        {FILL PROXY BAR " cp.async.ca.shared.global [r3], [d5], 4;\n cp.async.wait_all;\n" PROXY
         BAR FENCE MMA8("c") DONE, NULL, .strict = true},
        {FILL PROXY BAR " cp.async.ca.shared.global [r3], [d5], 4;\n" BAR FENCE MMA8("c") DONE
         " cp.async.wait_all;\n", "race-async-copy", 0, 4, 7},
    };
    CHECK_ALL(list);
}

// Operands that the copy engine brings: two stages of A and B in one buffer, m: "full", "empty".
#define BULK                                                                                       \
    " .shared .align 8 .b64 m[2]; .reg .b32 mb; .reg .pred v; mov.u32 mb, m;\n"                    \
    " @p mbarrier.init.shared.b64 [mb], 1; @p mbarrier.init.shared.b64 [mb+8], 4;\n" BAR
#define LOAD                                                                                       \
    " @p mbarrier.arrive.expect_tx.shared.b64 _, [mb], 2560;\n"                                    \
    " @p cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [r2], [d5], 2560, "     \
    "[mb];\n"
#define AWAIT(label, at, parity)                                                                   \
    label ": mbarrier.try_wait.parity.shared.b64 v, [mb+" #at "], " #parity "; @!v bra " label ";\n"
#define RELEASE                                                                                    \
    " and.b32 r10, r0, 31; setp.eq.u32 w, r10, 0;"                                                 \
    " @w mbarrier.arrive.shared.b64 _, [mb+8];\n"

static void test_copy_engine(void **state)
{
    static const struct planted list[] = {
        // The mbarrier's phase is all that a product needs.
        {BULK LOAD AWAIT("W", 0, 0) FENCE MMA8("c") DONE, NULL},
        {BULK LOAD FENCE MMA8("c") DONE AWAIT("W", 0, 0), "race-async-operation", .others = true},
        // The slot is loaded again when all four warps have given it back behind their waits.
        {BULK LOAD AWAIT("W", 0, 0) FENCE MMA8("c") DONE RELEASE " @!p bra ON;\n"
         AWAIT("X", 8, 0) LOAD "ON:\n" AWAIT("Y", 0, 1) FENCE MMA8("e") DONE, NULL},
        {BULK LOAD AWAIT("W", 0, 0) FENCE MMA8("c") COMMIT RELEASE " @!p bra ON;\n"
         AWAIT("X", 8, 0) LOAD "ON:\n" AWAIT("Y", 0, 1) WAIT(0) FENCE MMA8("e") DONE,
         "race-async-operation"},
        {BULK LOAD AWAIT("W", 0, 0) FENCE MMA8("c") COMMIT MMA8("e") COMMIT WAIT(1) RELEASE
         " @!p bra ON;\n" AWAIT("X", 8, 0) LOAD "ON:\n" AWAIT("Y", 0, 1) WAIT(0),
         "race-async-operation"},
        // Generic writes into the slot, between two loads: the writers fence.
        {BULK LOAD AWAIT("W", 0, 0) FENCE MMA8("c") DONE BAR FILL PROXY BAR LOAD AWAIT("Y", 0, 1)
         FENCE MMA8("e") DONE, NULL},
        {BULK LOAD AWAIT("W", 0, 0) FENCE MMA8("c") DONE BAR FILL BAR LOAD AWAIT("Y", 0, 1)
         FENCE MMA8("e") DONE, "proxy-fence"},
    };
    CHECK_ALL(list);
}

// When a product reads what it reads, and that registers in flight are nobody else's.
static void test_moments(void **state)
{
    static const struct {
        const char *body;
        float eager, late; // what every thread stores
    } moments[] = {
        {" mov.b32 r8, 0x3c003c00;\n" READY FENCE MMA8("c") DONE, 32, 32},
        // The operands are overwritten before the wait: a mistake, and its two outcomes.
        {" mov.b32 r8, 0x3c003c00;\n" READY FENCE MMA8("c") COMMIT BAR " mov.b32 r8, 0;\n" FILL BAR
         WAIT(0), 32, 0},
        {" mov.b32 r8, 0x3c003c00;\n" READY " mov.b32 a0, r8; mov.b32 a1, r8; mov.b32 a2, r8;"
         " mov.b32 a3, r8;\n" FENCE MMA_A("c") COMMIT BAR " mov.b32 a0, 0; mov.b32 a1, 0;"
         " mov.b32 a2, 0; mov.b32 a3, 0;\n" BAR WAIT(0), 32, 0},
        // x0 to x7 are dead when they are written; what lives meanwhile must not have their places.
        {" .reg .b32 x<8>; mov.b32 r8, 0x3c003c00;\n" READY FENCE
         " wgmma.mma_async.sync.aligned.m64n16k16.f32.f16.f16 {x0, x1, x2, x3, x4, x5, x6, x7}, d1,"
         " d2, q, 1, 1, 0, 0;\n" COMMIT
         " .reg .b32 y<8>; add.u32 y0, r8, 0; add.u32 y1, r8, 1; add.u32 y2, r8, 2;"
         " add.u32 y3, r8, 3; add.u32 y4, r8, 4; add.u32 y5, r8, 5; add.u32 y6, r8, 6;"
         " add.u32 y7, r8, 7;\n" WAIT(0)
         " xor.b32 y0, y0, y1; xor.b32 y0, y0, y2; xor.b32 y0, y0, y3; xor.b32 y0, y0, y4;"
         " xor.b32 y0, y0, y5; xor.b32 y0, y0, y6; xor.b32 y0, y0, y7; add.u32 y0, y0, 5;"
         " cvt.rn.f32.u32 c0, y0;\n", 5, 5},
        // A copy of an accumulator in flight has the product's result.
        {" mov.b32 r8, 0x3c003c00;\n" READY FENCE MMA8("c") COMMIT " mov.b32 e0, c0;\n" WAIT(0), 48,
         48},
    };
    static char text[16384];
    static const uint32_t zeros[1024];
    for (size_t i = 0; i < sizeof moments / sizeof *moments; i++)
        for (int late = 0; late < 2; late++) {
            struct bench b;
            float out[128];
            snprintf(text, sizeof text, "%s%s%s", BEFORE, moments[i].body, AFTER);
            assemble(ptxas, text);
            bench_load(&b, text);
            b.options.completion = late ? PTXM_LATE : PTXM_EAGER;
            uint64_t p = bench_buffer(&b, sizeof zeros, zeros);
            RUN(&b, "k", 1, 128, 0, p, p);
            if (moments[i].eager == moments[i].late)
                bench_clean(&b);
            bench_read(&b, p, out, sizeof out);
            for (int t = 0; t < 128; t++)
                if (out[t] != (late ? moments[i].late : moments[i].eager))
                    fail_msg("%zu %s: thread %d has %g", i, late ? "late" : "eager", t,
                             (double)out[t]);
            bench_free(&b);
        }
}

// ---- no memory ---------------------------------------------------------------------------------

static enum ptxm_status whole_run(struct failing *f, const char *text)
{
    struct ptxm_allocator hook = failing_allocator(f);
    struct ptxm_load_options load_options = {.allocator = &hook};
    struct ptxm_device_options device_options = {.allocator = &hook};
    struct ptxm_launch_options options = {.completion = PTXM_LATE};
    struct ptxm_module *m = NULL;
    struct ptxm_device *d = NULL;
    struct ptxm_report *r = NULL;
    uint64_t p[2];
    enum ptxm_status status = ptxm_module_load(text, strlen(text), &load_options, &m);
    if (status == PTXM_OK)
        status = ptxm_device_create(&device_options, &d);
    if (status == PTXM_OK)
        status = ptxm_memory_allocate(d, 4096, NULL, &p[0]);
    p[1] = p[0];
    struct ptxm_launch l = {.kernel = "k", .grid = {1, 1, 1}, .block = {128, 1, 1}, .params = p,
                            .param_bytes = 16, .options = &options};
    if (status == PTXM_OK)
        status = ptxm_launch(d, m, &l, NULL, NULL, &r);
    ptxm_report_free(r);
    ptxm_device_free(d);
    ptxm_module_free(m);
    return status;
}

static void test_allocation_failure(void **state)
{
    static char text[16384];
    snprintf(text, sizeof text, "%s%s%s", BEFORE, READY FENCE MMA8("c") TOUCH MMA_A("e") COMMIT
             " setmaxnreg.dec.sync.aligned.u32 40;\n" MMA8("c") COMMIT WAIT(0), AFTER);
    struct failing f = {.left = 1000000};
    assert_int_equal(whole_run(&f, text), PTXM_OK);
    assert_int_equal(f.alive, 0);
    long used = 1000000 - f.left;
    for (long n = 0; n < used; n++) {
        struct failing g = {.left = n};
        assert_int_equal(whole_run(&g, text), PTXM_ERROR_MEMORY);
        assert_int_equal(g.alive, 0);
    }
}

// A text with some characters changed loads or is refused; what loads runs to an end of some kind.
static void test_damaged(void **state)
{
    static char text[16384], damaged[16384];
    static const uint32_t zeros[1024];
    static const char letters[] = "0123456789.,;{}[]%@!-_ abcdqrpsmn";
    uint64_t random = 9;
    snprintf(text, sizeof text, "%s%s%s", BEFORE, READY FENCE MMA8("c") MMA16("e") COMMIT WAIT(1)
             FENCE MMA_A("c") COMMIT WAIT(0) " setmaxnreg.dec.sync.aligned.u32 40;\n", AFTER);
    size_t length = strlen(text), loaded = 0;
    for (int i = 0; i < 3000; i++) {
        struct ptxm_module *m = NULL;
        struct ptxm_device *d = NULL;
        struct ptxm_report *r = NULL;
        uint64_t p[2];
        memcpy(damaged, text, length + 1);
        for (unsigned k = 0; k < 1 + bench_random(&random) % 3; k++)
            damaged[bench_random(&random) % length] =
                letters[bench_random(&random) % (sizeof letters - 1)];
        if (ptxm_module_load(damaged, length, NULL, &m) != PTXM_OK)
            continue;
        loaded++;
        assert_int_equal(ptxm_device_create(NULL, &d), PTXM_OK);
        assert_int_equal(ptxm_memory_allocate(d, sizeof zeros, NULL, &p[0]), PTXM_OK);
        assert_int_equal(ptxm_memory_write(d, p[0], zeros, sizeof zeros), PTXM_OK);
        p[1] = p[0];
        struct ptxm_launch_options options = {.instruction_budget = 20000,
                                              .completion = (enum ptxm_completion)(i % 3)};
        struct ptxm_launch l = {.kernel = "k", .grid = {1, 1, 1}, .params = p, .param_bytes = 16,
                                .block = {i & 1 ? 128 : 224, 1, 1}, .options = &options};
        ptxm_launch(d, m, &l, NULL, NULL, &r);
        ptxm_report_free(r);
        ptxm_device_free(d);
        ptxm_module_free(m);
    }
    assert_true(loaded > 100 && loaded < 2900);
}

int main(int argc, char **argv)
{
    ptxas = argc > 1 ? argv[1] : NULL;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fence),     cmocka_unit_test(test_in_flight),
        cmocka_unit_test(test_groups),    cmocka_unit_test(test_warpgroup),
        cmocka_unit_test(test_descriptors), cmocka_unit_test(test_memory),
        cmocka_unit_test(test_copy_engine),
        cmocka_unit_test(test_moments),     cmocka_unit_test(test_allocation_failure),
        cmocka_unit_test(test_damaged),
    };
    return cmocka_run_group_tests_name("ptxm wgmma rules", tests, NULL, NULL);
}
