// SPDX-License-Identifier: MIT
// Where what a finding lacks could stand: the place that is named, and that a barrier there makes
// the kernel clean.
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// The body begins in line 8. %r1 thread, %r3 address of its word, %r5 of the word 32 threads on,
// %d1 the buffer.
#define BEFORE(version, target)                                                                    \
    ".version " version "\n.target " target "\n.address_size 64\n"                                 \
    ".visible .entry k(.param .u64 p) {\n"                                                    \
         ".reg .b32 %r<40>; .reg .b64 %d<20>; .reg .pred %p<10>; .shared .align 16 .b8 s[1024];\n" \
         "ld.param.u64 %d1, [p]; mov.u32 %r1, %tid.x; shl.b32 %r2, %r1, 2; mov.u32 %r4, s;\n"      \
         "add.s32 %r3, %r4, %r2; xor.b32 %r5, %r2, 128; add.s32 %r5, %r4, %r5; mov.u32 %r9, 0;\n"

struct planted {
    const char *body, *rule, *where; // where NULL: no place is known
    unsigned grid, cluster;          // 0: 1, none
    bool by_hand;                    // nothing that can be added repairs it
};

static void load_and_run(struct bench *b, const struct planted *p, const char *text)
{
    static const uint32_t zeros[1024];
    bench_load(b, text);
    uint64_t buffer = bench_buffer(b, sizeof zeros, zeros);
    struct ptxm_launch l = {.kernel = "k", .grid = {p->grid ? p->grid : 1, 1, 1},
                            .block = {64, 1, 1},
                            .cluster = {p->cluster, !!p->cluster, !!p->cluster},
                            .params = &buffer, .param_bytes = 8, .options = &b->options};
    b->status = ptxm_launch(b->device, b->module, &l, NULL, NULL, &b->report);
}

// The text with `what` in front of line `line`.
static void insert(char *text, size_t room, unsigned line, const char *what)
{
    char *at = text;
    while (--line) at = strchr(at, '\n') + 1;
    size_t length = strlen(what), rest = strlen(at) + 1;
    assert_true(strlen(text) + length < room);
    memmove(at + length, at, rest);
    memcpy(at, what, length);
}

static void check(const struct planted *p)
{
    char text[8192];
    struct bench b;
    snprintf(text, sizeof text, "%s%s\nret;\n}\n",
             p->cluster ? BEFORE("8.6", "sm_90a") : BEFORE("7.8", "sm_80"), p->body);
    load_and_run(&b, p, text);
    const struct ptxm_finding *f = bench_found(&b, p->rule);
    if (!p->where) {
        assert_null(f->where);
        assert_null(f->repair);
        bench_free(&b);
        return;
    }
    assert_non_null(f->where);
    if (strcmp(f->where, p->where))
        print_message("# %s\n", f->where);
    assert_string_equal(f->where, p->where);
    if (p->by_hand) {
        assert_null(f->repair);
        assert_int_equal(f->repair_line, 0);
        bench_free(&b);
        return;
    }
    assert_non_null(f->repair);
    assert_int_equal(strtoul(strstr(f->where, "in front of line ") + 17, NULL, 10),
                     f->repair_line);
    insert(text, sizeof text, f->repair_line, f->repair);
    bench_free(&b);
    load_and_run(&b, p, text);
    bench_clean(&b);
    bench_free(&b);
}

static void check_all(const struct planted *list, size_t count)
{
    for (size_t i = 0; i < count; i++) check(&list[i]);
}
#define CHECK_ALL(list) check_all(list, sizeof list / sizeof *list)

#define FILL "st.shared.u32 [%r3], %r1;\n"
#define CROSS "ld.shared.u32 %r6, [%r5];\n"
#define BARRIER "bar.sync 0;\n"
#define COUNT "add.u32 %r9, %r9, 1; setp.lt.u32 %p1, %r9, 3;\n"

static void test_straight(void **state)
{
    static const struct planted list[] = {
        // 8: the write, 9: the barrier, 10: the read, 11: the write again
        {FILL BARRIER CROSS FILL, "race",
         "a bar.sync between line 10 and line 11, for example in front of line 11"},
        // the read is behind a branch: in front of that
        {FILL BARRIER FILL BARRIER CROSS "setp.lt.u32 %p1, %r1, 32;\n@%p1 bra past;\n" FILL
         "past:\n", "race",
         "a bar.sync between line 12 and line 15, for example in front of line 14"},
        {FILL BARRIER CROSS "setp.lt.u32 %p1, %r1, 32;\n@%p1 " FILL, "race",
         "a bar.sync between line 10 and line 12, for example in front of line 12"},
        {FILL "bar.warp.sync -1;\nxor.b32 %r7, %r2, 4; add.s32 %r7, %r4, %r7;\n"
         "ld.shared.u32 %r6, [%r7];\n" FILL, "race-in-warp",
         "a bar.warp.sync between line 11 and line 12, for example in front of line 12"},
    };
    CHECK_ALL(list);
}

static void test_loops(void **state)
{
    static const struct planted list[] = {
        // 9 write, 10 barrier, 11 read, 12 count, 13 back
        {"again:\n" FILL BARRIER CROSS COUNT "@%p1 bra again;\n", "race",
         "a bar.sync between line 11 and line 9 of the next trip, for example in front of line 13"},
        // Written ahead of the loop; in it 11 the read, 12 the write: nothing there yet
        {FILL BARRIER "again:\n" CROSS FILL BARRIER COUNT "@%p1 bra again;\n", "race",
         "a bar.sync between line 11 and line 12, for example in front of line 12"},
        // A loop that is left in its middle, and that may have no trip: 11 write, 13 read, 15 leave
        {"setp.gt.u32 %p2, %r9, 5;\n@%p2 bra out;\nagain:\n" FILL BARRIER CROSS COUNT
         "@!%p1 bra out;\nadd.u32 %r8, %r9, 1;\nbra again;\nout:\n", "race",
         "a bar.sync between line 13 and line 11 of the next trip, for example in front of line "
         "17"},
        // Synchronized on both sides, but not for these warps
        {FILL BARRIER "shr.u32 %r8, %r1, 5; add.u32 %r8, %r8, 1;\nagain:\n" FILL
         "bar.sync %r8, 32;\n" CROSS
         "bar.sync %r8, 32;\n" COUNT "@%p1 bra again;\n", "race", NULL},
    };
    CHECK_ALL(list);
}

static void test_copies(void **state)
{
    static const struct planted list[] = {
        {FILL BARRIER "mul.wide.u32 %d2, %r1, 4; add.s64 %d2, %d1, %d2;\n"
         "cp.async.ca.shared.global [%r3], [%d2], 4;\n" CROSS "cp.async.wait_all;\n",
         "race-async-copy",
         "cp.async.wait_group by the copying threads and a bar.sync between line 11 and line 12, "
         "for example in front of line 12"},
    };
    CHECK_ALL(list);
}

// ---- between CTAs -------------------------------------------------------------------------------

// %r10 CTA; %d2 the thread's word, %d3 that of the next CTA's thread (words of CTA 0 and 1)
#define CTAS                                                                                       \
    "mov.u32 %r10, %ctaid.x; shl.b32 %r11, %r10, 8; add.u32 %r12, %r11, %r2; and.b32 %r12, %r12, " \
    "511; cvt.u64.u32 %d4, %r12; add.s64 %d2, %d1, %d4; xor.b32 %r12, %r12, 256;"                  \
    " cvt.u64.u32 %d4, %r12; add.s64 %d3, %d1, %d4; setp.eq.u32 %p2, %r1, 0;\n"
#define PUT "st.global.u32 [%d2], %r1;\n"
#define TAKE "ld.global.u32 %r6, [%d3];\n"

static void test_clusters(void **state)
{
    static const struct planted list[] = {
        // 9 the store, 10 the load
        {CTAS PUT TAKE, "race-between-ctas",
         "a barrier.cluster (arrive and wait) between line 9 and line 10, for example in front of "
         "line 10", 2, 2},
        {CTAS "mapa.shared::cluster.u32 %r13, %r3, 1;\n"
         "barrier.cluster.arrive; barrier.cluster.wait;\nsetp.eq.u32 %p3, %r10, 0;\n"
         "@%p3 st.shared::cluster.u32 [%r13], %r1;\nadd.u32 %r9, %r9, 1;\n"
         "@!%p3 ld.shared.u32 %r6, [%r3];\n" BARRIER, "race",
         "a barrier.cluster (arrive and wait) between line 12 and line 14, for example in front of "
         "line 14", 2, 2},
        // in a loop: the other way round
        {CTAS "again:\n" PUT "barrier.cluster.arrive; barrier.cluster.wait;\n" TAKE COUNT
         "@%p1 bra again;\n", "race-between-ctas",
         "a barrier.cluster (arrive and wait) between line 12 and line 10 of the next trip, for "
         "example in front of line 14", 2, 2},
    };
    CHECK_ALL(list);
}

// CTA 0 writes and raises the flag at word 512; CTA 1 waits and reads.
#define HAND_OVER(put, raise, see, take)                                                           \
    CTAS "setp.ne.u32 %p3, %r10, 0;\n@%p3 bra reads;\n" put raise "bra out;\nreads:\n" see         \
    "setp.eq.u32 %p4, %r7, 0;\n@%p4 bra reads;\n" take "out:\n"
#define RAISE(how) "@%p2 st." how ".global.u32 [%d1+2048], 1;\n"
#define SEE(how) "ld." how ".global.u32 %r7, [%d1+2048];\n"

static void test_flags(void **state)
{
    static const struct planted list[] = {
        // 11 store, 12 barrier, 13 flag, 16 the loop's load, 18 back, 19 load
        {HAND_OVER(PUT BARRIER, RAISE("relaxed.gpu"), SEE("acquire.gpu"), TAKE),
         "race-between-ctas",
         "a fence.acq_rel.gpu: the flag is raised without a release (the flag of line 13, seen at "
         "line 16): in front of line 13", 2},
        {HAND_OVER(PUT BARRIER, RAISE("release.gpu"), SEE("relaxed.gpu"), TAKE),
         "race-between-ctas",
         "a fence.acq_rel.gpu: the flag is seen without an acquire (the flag of line 13, seen at "
         "line 16): in front of line 19", 2},
        // 11 store, 12 flag, 15 the loop's load, 18 load
        {HAND_OVER(PUT, RAISE("release.gpu"), SEE("acquire.gpu"), TAKE), "race-between-ctas",
         "a bar.sync: the thread that raises the flag has to meet those that write (the flag of "
         "line 12, seen at line 15): in front of line 12", 2},
        // one thread waits, and the others do not wait for it
        {CTAS "setp.ne.u32 %p3, %r10, 0;\n@%p3 bra reads;\n" PUT BARRIER RAISE("release.gpu")
         "bra out;\nreads:\n@!%p2 bra seen;\npoll:\n" SEE("acquire.gpu")
         "setp.eq.u32 %p4, %r7, 0;\n@%p4 bra poll;\nseen:\nadd.u32 %r9, %r9, 1;\n" TAKE "out:\n",
         "race-between-ctas",
         "a bar.sync: the thread that sees the flag has to meet those that read (the flag of line "
         "13, seen at line 18): in front of line 23", 2},
        // the last CTA to come reads: one atomic raises and sees
        {CTAS PUT "@%p2 atom.acq_rel.gpu.global.add.u32 %r7, [%d1+2048], 1;\n"
         "@%p2 st.shared.u32 [%r4], %r7;\n" BARRIER "ld.shared.u32 %r7, [%r4];\n"
         "setp.ne.u32 %p4, %r7, 1;\n@%p4 bra out;\n" TAKE "out:\n", "race-between-ctas",
         "a bar.sync: the thread that raises the flag has to meet those that write (the flag of "
         "line 10, seen at line 10): in front of line 10", 2},
        {HAND_OVER(PUT BARRIER, RAISE("release.cta"), SEE("acquire.gpu"), TAKE),
         "race-between-ctas",
         "scope .gpu: the flag is raised or seen within the CTA or the cluster only (the flag of "
         "line 13, seen at line 16): at line 13", 2, 0, true},
        // no flag at all
        {CTAS PUT TAKE, "race-between-ctas",
         "the end of the kernel between line 9 and line 10, or a flag: bar.sync and a "
         "st.release.gpu by one thread behind the first, a loop of ld.acquire.gpu and a bar.sync "
         "before the second", 2, 0, true},
    };
    CHECK_ALL(list);
}

// Rules that no barrier repairs, and findings of one place.
static void test_others(void **state)
{
    static const struct planted list[] = {
        {CROSS, "uninitialised-shared", NULL},
        {"st.global.u32 [%d1+8192], %r1;\n", "global-bounds", NULL},
        {"st.shared.u32 [%r4], 7;\nst.shared.u32 [%r4], 7;\n", "race-same-value", NULL},
    };
    CHECK_ALL(list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_straight),
        cmocka_unit_test(test_loops),
        cmocka_unit_test(test_copies),
        cmocka_unit_test(test_clusters),
        cmocka_unit_test(test_flags),
        cmocka_unit_test(test_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
