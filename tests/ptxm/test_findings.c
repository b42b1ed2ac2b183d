// SPDX-License-Identifier: MIT
// Each kind of planted mistake is found, with the right rule and place; its repaired twin is not.
#include "harness.h"

#include <stdio.h>
#include <string.h>

// A kernel around a body: %r1 thread, %r2 its 4-byte offset, %r3 address of s + offset, %r4 of s,
// %d1 parameter p, %d2 p + offset. s has 1024 bytes.
#define BEFORE                                                                                     \
    HEAD ".visible .entry k(.param .u64 p, .param .u64 q)\n{\n"                                    \
         " .reg .b32 %r<40>; .reg .b64 %d<20>; .reg .pred %p<10>; .reg .f32 %f<10>;\n"             \
         " .shared .align 16 .b8 s[1024];\n"                                                       \
         " ld.param.u64 %d1, [p]; ld.param.u64 %d3, [q]; mov.u32 %r1, %tid.x;\n"                   \
         " shl.b32 %r2, %r1, 2; mov.u32 %r4, s; add.s32 %r3, %r4, %r2; mul.wide.u32 %d4, %r1, 4;\n"\
         " add.s64 %d2, %d1, %d4;\n"
#define AFTER "\n ret;\n}\n"
#define KERNEL(body) BEFORE body AFTER

struct planted {
    const char *body;
    const char *rule; // NULL: clean
    unsigned grid, block;
};

static void run_planted(const struct planted *p, struct bench *b)
{
    char text[8192];
    static const uint32_t zeros[4096];
    snprintf(text, sizeof text, "%s%s%s", BEFORE, p->body, AFTER);
    struct ptxm_launch_options keep = b->options;
    bench_load(b, text);
    b->options = keep;
    uint64_t buffer = bench_buffer(b, sizeof zeros, zeros), flag = bench_buffer(b, 256, zeros);
    RUN(b, "k", p->grid ? p->grid : 1, p->block ? p->block : 64, 0, buffer, flag);
}

static void check_all(const struct planted *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct bench b = {.status = PTXM_OK};
        run_planted(&list[i], &b);
        if (list[i].rule)
            bench_only(&b, list[i].rule);
        else
            bench_clean(&b);
        bench_free(&b);
    }
}
#define CHECK_ALL(list) check_all(list, sizeof list / sizeof *list)

#define READ_NEIGHBOUR " xor.b32 %r5, %r2, 128; add.s32 %r5, %r4, %r5; ld.shared.u32 %r6, [%r5];"
#define READ_LANE " xor.b32 %r5, %r2, 4; add.s32 %r5, %r4, %r5; ld.shared.u32 %r6, [%r5];"
#define FILL " st.shared.u32 [%r3], %r1;"
#define BS " bar.sync 0;"

static void test_shared_races(void **state)
{
    static const struct planted list[] = {
        {FILL READ_NEIGHBOUR, "race"}, // (only one warp's words are there by then)
        {FILL BS READ_NEIGHBOUR, NULL},
        {FILL BS READ_NEIGHBOUR FILL, "race"},
        {FILL BS READ_NEIGHBOUR BS FILL, NULL},
        {FILL " ld.shared.u32 %r6, [%r3];", NULL},
        {FILL " bar.warp.sync -1;" READ_LANE, NULL},
        {FILL READ_LANE, "race-in-warp", 1, 32},
        {FILL " bar.warp.sync -1;" READ_LANE FILL, "race-in-warp", 1, 32},
        {FILL " bar.warp.sync -1;" READ_LANE " bar.warp.sync -1;" FILL, NULL, 1, 32},
        // shfl is no memory order
        {FILL " shfl.sync.bfly.b32 %r7, %r1, 1, 31, -1;" READ_LANE, "race-in-warp", 1, 32},
        {" st.shared.u32 [%r4], %r1;", "race-in-warp", 1, 32},
        {" mov.u32 %r7, 5; st.shared.u32 [%r4], %r7;", NULL}, // one store by many: on purpose
        {" mov.u32 %r7, 5; setp.lt.u32 %p1, %r1, 32; @%p1 bra A; st.shared.u32 [%r4], %r7; ret;\n"
         "A: st.shared.u32 [%r4], %r7;", "race-same-value"},
        {" red.shared.add.u32 [%r4], 1;", "uninitialised-shared"},
        {" setp.eq.u32 %p1, %r1, 0; @%p1 st.shared.u32 [%r4], 0;" BS
         " red.shared.add.u32 [%r4], 1;" BS " ld.shared.u32 %r6, [%r4];", NULL},
        {" setp.eq.u32 %p1, %r1, 0; @%p1 st.shared.u32 [%r4], 0;" BS
         " red.shared.add.u32 [%r4], 1; ld.shared.u32 %r6, [%r4];", "race"},
        // neighbouring halves of one word
        {" shl.b32 %r5, %r1, 1; add.s32 %r5, %r4, %r5; cvt.u16.u32 %r6, %r1;", NULL},
        // warp 0 meets warp 1 at barrier 1, warps 2 and 3 at barrier 2
        {FILL " shr.u32 %r7, %r1, 6; add.s32 %r7, %r7, 1; bar.sync %r7, 64;" READ_NEIGHBOUR, NULL,
         1, 128},
        {FILL " shr.u32 %r7, %r1, 5; add.s32 %r7, %r7, 1; bar.sync %r7, 32;" READ_NEIGHBOUR, "race",
         1, 64},
        {"", NULL},
    };
    for (size_t i = 0; list[i].body[0]; i++) {
        struct bench b = {.status = PTXM_OK};
        run_planted(&list[i], &b);
        if (list[i].rule && i == 0)
            bench_found(&b, list[i].rule);
        else if (list[i].rule)
            bench_found(&b, list[i].rule);
        else
            bench_clean(&b);
        bench_free(&b);
    }
}

static void test_bytes(void **state)
{
    static const struct planted list[] = {
        {" .reg .b16 %h<4>; shl.b32 %r5, %r1, 1; add.s32 %r5, %r4, %r5; cvt.u16.u32 %r1, %r1;"
         " st.shared.u16 [%r5], %r1;" BS " ld.shared.u32 %r6, [%r3];", "uninitialised-shared"},
        {" .reg .b16 %h<4>; shl.b32 %r5, %r1, 1; add.s32 %r5, %r4, %r5; cvt.u16.u32 %r1, %r1;"
         " st.shared.u16 [%r5], %r1;" BS " ld.shared.u16 %h2, [%r5];", NULL},
        {" .reg .b16 %h<4>; cvt.u16.u32 %r1, %r1; add.s32 %r5, %r4, %r1; st.shared.u8 [%r5], %r1;"
         " xor.b32 %r6, %r1, 1; add.s32 %r6, %r4, %r6; ld.shared.u8 %h2, [%r6];", "race-in-warp", 1,
         32},
    };
    CHECK_ALL(list);
}

static void test_bounds(void **state)
{
    static const struct planted list[] = {
        {" st.global.u32 [%d2+16384], %r1;", "global-bounds"},
        {" st.global.u32 [%d2+-4], %r1;", "global-bounds"},
        {" ld.global.v4.u32 {%r5,%r6,%r7,%r8}, [%d2];", "misaligned"},
        {" st.shared.u32 [%r3+1024], %r1;", "shared-bounds"},
        {" mov.u32 %r5, 0; ld.shared.u32 %r6, [%r5];", "shared-bounds"},
        {" st.shared.u32 [%r3+2], %r1;", "misaligned"},
        {" ld.param.u32 %r5, [p+16];", "param-bounds"},
    };
    CHECK_ALL(list);
}

static void test_freed(void **state)
{
    struct bench b;
    uint64_t p, q;
    bench_load(&b, KERNEL(" ld.global.u32 %r5, [%d2];"));
    p = bench_buffer(&b, 4096, NULL);
    q = bench_buffer(&b, 64, NULL);
    assert_int_equal(ptxm_memory_free(b.device, p), PTXM_OK);
    assert_int_equal(ptxm_memory_free(b.device, p), PTXM_ERROR_BOUNDS);
    RUN(&b, "k", 1, 32, 0, p, q);
    bench_only(&b, "use-after-free");
    bench_free(&b);
}

static void test_barriers(void **state)
{
    static const struct planted list[] = {
        {" setp.lt.u32 %p1, %r1, 32; @%p1 bra L; bar.sync 0; ret;\nL: bar.sync 0;", NULL},
        {" setp.lt.u32 %p1, %r1, 16; @%p1 bra L; bar.sync 0; bra M;\nL: bar.sync 0;\nM:",
         "barrier-divergence", 1, 32},
        {" setp.lt.u32 %p1, %r1, 40; @%p1 ret; bar.sync 0;", "barrier-exited"},
        {" setp.lt.u32 %p1, %r1, 32; @%p1 bra L; bar.sync 1, 64;\nL:", "deadlock"},
        {" bar.sync 0, 48;", "barrier-count"},
        {" bar.sync 0, 128;", "barrier-count"},
        {" bar.sync 16;", "barrier-id"},
        {" setp.lt.u32 %p1, %r1, 32; @%p1 bra L; bar.sync 1, 96; ret;\nL: bar.sync 1, 64;",
         "barrier-count", 1, 128},
        {" bar.arrive 1, 64; bar.arrive 1, 64;", "barrier-excess"},
        {" bar.warp.sync 1;", "warp-mask", 1, 32},
        {" setp.lt.u32 %p1, %r1, 8; @%p1 bra L; shfl.sync.idx.b32 %r5, %r1, 0, 31, -1;\nL:",
         "warp-mask"},
        {" setp.lt.u32 %p1, %r1, 8; @%p1 bra L; shfl.sync.idx.b32 %r5, %r1, 0, 31, -1;\n"
         "L: bar.sync 0;", "deadlock", 1, 32},
        {"L: bra L;", "instruction-budget"},
        {" trap;", "trap"},
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        struct bench b = {.options.instruction_budget = 100000};
        run_planted(&list[i], &b);
        if (list[i].rule)
            bench_found(&b, list[i].rule);
        else
            bench_clean(&b);
        bench_free(&b);
    }
}

#define ONE " setp.ne.u32 %p1, %r1, 0; @%p1 ret;\n" // thread 0 alone goes on

static void test_endless_waits(void **state)
{
    static const struct planted list[] = {
        // nobody will ever write what is polled
        {ONE "L: ld.acquire.gpu.global.u32 %r5, [%d2]; setp.ne.u32 %p1, %r5, 7; @%p1 bra L;",
         "endless-wait"},
        {ONE "L: atom.global.cas.b32 %r5, [%d2], 7, 8; setp.ne.u32 %p1, %r5, 7; @%p1 bra L;",
         "endless-wait"},
        // a wait that gives up, and one for a time, end by themselves
        {" mov.u32 %r6, 0;\nL: ld.relaxed.gpu.global.u32 %r5, [%d2]; add.u32 %r6, %r6, 1;"
         " setp.lt.u32 %p1, %r6, 20000; @%p1 bra L;", NULL},
        {" mov.u32 %r6, 0;\nL: mov.u32 %r5, %clock; add.u32 %r6, %r6, 1;"
         " setp.lt.u32 %p1, %r6, 20000; @%p1 bra L;", NULL},
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        struct bench b = {.options.instruction_budget = 1 << 28};
        run_planted(&list[i], &b);
        if (list[i].rule)
            bench_found(&b, list[i].rule);
        else
            bench_clean(&b);
        bench_free(&b);
    }
}

#define COPY " cp.async.ca.shared.global [%r3], [%d2], 4;"
#define COMMIT " cp.async.commit_group;"
#define WAIT(n) " cp.async.wait_group " #n ";"

static void test_copies(void **state)
{
    static const struct planted list[] = {
        {COPY COMMIT WAIT(0) BS READ_NEIGHBOUR, NULL},
        {COPY COMMIT WAIT(0) " ld.shared.u32 %r6, [%r3];", NULL},          // its own bytes
        {COPY COMMIT WAIT(0) READ_LANE, "race-async-copy"},                // no rendezvous
        {COPY COMMIT BS WAIT(0) READ_NEIGHBOUR, "race-async-copy"},        // wait after it
        {COPY COMMIT " ld.shared.u32 %r6, [%r3];" WAIT(0), "race-async-copy"},
        {COPY WAIT(0) BS READ_NEIGHBOUR COMMIT WAIT(0), "async-copy-uncommitted"},
        {COPY COMMIT BS, "async-copy-at-exit"},
        {COPY " cp.async.wait_all;" BS READ_NEIGHBOUR, NULL},
        // two groups, wait for the older: the older may be read, the newer not
        {COPY COMMIT " cp.async.ca.shared.global [%r3+256], [%d2], 4;" COMMIT WAIT(1) BS
         READ_NEIGHBOUR WAIT(0), NULL},
        {COPY COMMIT " cp.async.ca.shared.global [%r3+256], [%d2], 4;" COMMIT WAIT(1) BS
         " ld.shared.u32 %r6, [%r3+256];" WAIT(0), "race-async-copy"},
        // a write over bytes that a copy may still fill
        {COPY COMMIT BS FILL WAIT(0), "race-async-copy"},
        // reading what is about to be copied over
        {FILL BS READ_NEIGHBOUR COPY COMMIT WAIT(0), "race"},
        {FILL BS READ_NEIGHBOUR BS COPY COMMIT WAIT(0), NULL},
        // wait, warp sync: the warp's copies are visible to the warp
        {COPY COMMIT WAIT(0) " bar.warp.sync -1;" READ_LANE, NULL},
        // the wait that counts is long ago: the copying warp went on, and waited many times
        {" setp.lt.u32 %p1, %r1, 32; @!%p1 bra READ;" COPY COMMIT WAIT(0)
         " bar.arrive 1, 64; mov.u32 %r5, 0; add.u32 %r6, %r3, 512;\n"
         "MORE: cp.async.ca.shared.global [%r6], [%d2], 4;" COMMIT WAIT(0)
         " add.u32 %r5, %r5, 1; setp.lt.u32 %p1, %r5, 20; @%p1 bra MORE; ret;\n"
         "READ: bar.sync 1, 64; ld.shared.u32 %r6, [%r3+-128];", NULL, 1, 64},
    };
    for (int completion = PTXM_EAGER; completion <= PTXM_SEEDED; completion++)
        for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
            struct bench b = {.options.completion = (enum ptxm_completion)completion};
            run_planted(&list[i], &b);
            if (list[i].rule)
                bench_found(&b, list[i].rule);
            else
                bench_clean(&b);
            bench_free(&b);
        }
}

#define FIRST " setp.ne.u32 %p1, %r1, 0; @%p1 ret; mov.u32 %r9, %ctaid.x;"
#define PUBLISH " setp.eq.u32 %p2, %r9, 0; @!%p2 bra READ; st.global.u32 [%d1], 7;"
#define SPIN_ACQUIRE                                                                               \
    " ret;\nREAD: ld.acquire.gpu.global.u32 %r5, [%d3]; setp.eq.u32 %p3, %r5, 0; @%p3 bra READ;"   \
    " ld.global.u32 %r6, [%d1];"
#define SPIN_RELAXED                                                                               \
    " ret;\nREAD: ld.relaxed.gpu.global.u32 %r5, [%d3]; setp.eq.u32 %p3, %r5, 0; @%p3 bra READ;"   \
    " ld.global.u32 %r6, [%d1];"

static void test_ctas(void **state)
{
    static const struct planted list[] = {
        {FIRST " st.global.u32 [%d1], %r9;", "race-between-ctas", 2},
        {FIRST " st.global.u32 [%d1], 3;", "race-between-ctas-same-value", 2},
        {FIRST " red.global.add.u32 [%d1], 1;", NULL, 4},
        {FIRST " red.cta.global.add.u32 [%d1], 1;", "race-between-ctas", 4},
        {FIRST PUBLISH " st.release.gpu.global.u32 [%d3], 1;" SPIN_ACQUIRE, NULL, 2},
        {FIRST PUBLISH " st.relaxed.gpu.global.u32 [%d3], 1;" SPIN_ACQUIRE, "race-between-ctas", 2},
        {FIRST PUBLISH " st.release.gpu.global.u32 [%d3], 1;" SPIN_RELAXED, "race-between-ctas", 2},
        {FIRST PUBLISH " fence.acq_rel.gpu; red.global.add.u32 [%d3], 1;" SPIN_ACQUIRE, NULL, 2},
        {FIRST PUBLISH " fence.acq_rel.cta; red.global.add.u32 [%d3], 1;" SPIN_ACQUIRE,
         "race-between-ctas", 2},
        {FIRST PUBLISH " st.release.cta.global.u32 [%d3], 1;" SPIN_ACQUIRE, "race-between-ctas", 2},
    };
    for (unsigned threads = 1; threads <= 2; threads++)
        for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
            struct bench b = {.options.threads = threads};
            run_planted(&list[i], &b);
            if (list[i].rule)
                bench_found(&b, list[i].rule);
            else
                bench_clean(&b);
            bench_free(&b);
        }
}

// All threads write, one signals: without a barrier the others' writes are not released.
static void test_signal_too_early(void **state)
{
#define DATA " mov.u32 %r9, %ctaid.x;" \
             " setp.ne.u32 %p2, %r9, 0; @%p2 bra READ; st.global.u32 [%d2], 1;"
#define SIGNAL " setp.ne.u32 %p1, %r1, 0; @%p1 ret; st.release.gpu.global.u32 [%d3], 1;"
#define CONSUME                                                                                    \
    " ret;\nREAD: ld.acquire.gpu.global.u32 %r5, [%d3]; setp.eq.u32 %p3, %r5, 0; @%p3 bra READ;"   \
    " ld.global.u32 %r6, [%d1+128];"
    static const struct planted list[] = {
        {DATA BS SIGNAL CONSUME, NULL, 2},
        {DATA SIGNAL CONSUME, "race-between-ctas", 2},
    };
    CHECK_ALL(list);
}

static void test_places(void **state)
{
    struct bench b = {.status = PTXM_OK};
    struct planted p = {" .loc 1 12 0\n" FILL "\n .loc 1 13 0\n" READ_NEIGHBOUR, "race"};
    run_planted(&p, &b);
    const struct ptxm_finding *f = bench_found(&b, "race");
    assert_int_equal(f->a.source_line, 12);
    assert_int_equal(f->b.source_line, 13);
    assert_int_equal(f->b.line, f->a.line + 2);
    assert_string_equal(f->a.object, "s");
    assert_string_equal(f->a.space, "shared");
    assert_string_equal(f->a.kind, "write");
    assert_string_equal(f->b.kind, "read");
    assert_int_not_equal(f->a.warp, f->b.warp);
    assert_int_equal(f->a.thread[0] * 4, f->a.offset);
    assert_true(f->count >= 1);
    bench_free(&b);
}

// Each end of a finding is told with its own first byte and its own size.
static void test_sizes(void **state)
{
    static const struct {
        const char *body, *rule;
        unsigned grid, a_bytes, a_offset, b_bytes, b_offset;
    } list[] = {
        {" setp.ne.u32 %p1, %r1, 0; @%p1 bra R; st.shared.u16 [%r4+6], %r1; bra E;\n"
         "R: setp.ne.u32 %p1, %r1, 33; @%p1 bra E; ld.shared.u8 %r5, [%r4+7];\nE:",
         "race", 1, 2, 6, 1, 7},
        {" setp.ne.u32 %p1, %r1, 0; @%p1 bra R; ld.shared.u8 %r5, [%r4+7]; bra E;\n"
         "R: setp.ne.u32 %p1, %r1, 33; @%p1 bra E;\n"
         " st.shared.v2.u32 [%r4], {%r1, %r1};\nE:", "race", 1, 1, 7, 8, 0},
        {" setp.ne.u32 %p1, %r1, 0; @%p1 bra R; st.shared.v4.u32 [%r4+16], {%r1, %r1, %r1, %r1};"
         " bra E;\nR: setp.ne.u32 %p1, %r1, 33; @%p1 bra E; ld.shared.u32 %r5, [%r4+24];\nE:",
         "race", 1, 16, 16, 4, 24},
        {" setp.ne.u32 %p1, %r1, 0; @%p1 bra E; mov.u32 %r6, %ctaid.x; setp.ne.u32 %p1, %r6, 0;"
         " @%p1 bra R; st.global.u16 [%d1+10], %r1; bra E;\nR: ld.global.u64 %d5, [%d1+8];\nE:",
         "race-between-ctas", 2, 2, 10, 8, 8},
        {" setp.ne.u32 %p1, %r1, 0; @%p1 bra R; st.shared.u8 [%r4+9], %r1; bra E;\n"
         "R: setp.ne.u32 %p1, %r1, 33; @%p1 bra E; cp.async.ca.shared.global [%r4+8], [%d1], 8;\n"
         " cp.async.wait_all;\nE:", "race", 1, 1, 9, 8, 8},
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        struct bench b = {.status = PTXM_OK};
        struct planted p = {list[i].body, list[i].rule, list[i].grid};
        run_planted(&p, &b);
        const struct ptxm_finding *f = bench_found(&b, list[i].rule);
        assert_int_equal(f->a.size, list[i].a_bytes);
        assert_int_equal(f->a.offset, list[i].a_offset);
        assert_int_equal(f->b.size, list[i].b_bytes);
        assert_int_equal(f->b.offset, list[i].b_offset);
        bench_free(&b);
    }
}

static void test_uninitialised_global(void **state)
{
    struct bench b;
    bench_load(&b, KERNEL(" ld.global.u32 %r5, [%d2]; st.global.u32 [%d3], %r5;"));
    b.options.check_global_init = true;
    uint64_t p = bench_buffer(&b, 4096, NULL), q = bench_buffer(&b, 64, NULL);
    RUN(&b, "k", 1, 1, 0, p, q);
    bench_only(&b, "uninitialised-global");
    RUN(&b, "k", 1, 1, 0, q, p);
    bench_clean(&b);
    bench_free(&b);
}

static void test_limit_and_determinism(void **state)
{
    struct planted p = {FILL READ_NEIGHBOUR " st.global.u32 [%d1], %r1;", "race", 8, 128};
    size_t counts[3];
    uint64_t sums[3];
    for (unsigned i = 0; i < 3; i++) {
        struct bench b = {.options.threads = i + 1, .options.seed = 9};
        run_planted(&p, &b);
        counts[i] = ptxm_report_count(b.report);
        sums[i] = 0;
        for (size_t k = 0; k < counts[i]; k++) {
            const struct ptxm_finding *f = ptxm_report_finding(b.report, k);
            sums[i] = sums[i] * 31 + f->count + f->a.address + f->b.thread[0] + f->a.cta[0] * 7;
        }
        bench_free(&b);
    }
    assert_int_equal(counts[0], counts[1]);
    assert_int_equal(sums[0], sums[1]);
    assert_int_equal(sums[0], sums[2]);
    struct bench b = {.options.max_findings = 1};
    run_planted(&p, &b);
    assert_int_equal(ptxm_report_count(b.report), 1);
    assert_true(ptxm_report_truncated(b.report));
    bench_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shared_races), cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_bounds),       cmocka_unit_test(test_freed),
        cmocka_unit_test(test_barriers), cmocka_unit_test(test_endless_waits),
        cmocka_unit_test(test_copies),
        cmocka_unit_test(test_ctas),         cmocka_unit_test(test_signal_too_early),
        cmocka_unit_test(test_places),       cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_uninitialised_global),
        cmocka_unit_test(test_limit_and_determinism),
    };
    return cmocka_run_group_tests_name("findings", tests, NULL, NULL);
}
