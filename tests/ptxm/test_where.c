// SPDX-License-Identifier: MIT
// Where what a finding lacks could stand: the place that is named, and that a barrier there makes
// the kernel clean.
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// The body begins in line 8. %r1 thread, %r3 address of its word, %r5 of the word 32 threads on,
// %d1 the buffer.
#define BEFORE                                                                                     \
    HEAD ".visible .entry k(.param .u64 p) {\n"                                                    \
         ".reg .b32 %r<40>; .reg .b64 %d<20>; .reg .pred %p<10>; .shared .align 16 .b8 s[1024];\n" \
         "ld.param.u64 %d1, [p]; mov.u32 %r1, %tid.x; shl.b32 %r2, %r1, 2; mov.u32 %r4, s;\n"      \
         "add.s32 %r3, %r4, %r2; xor.b32 %r5, %r2, 128; add.s32 %r5, %r4, %r5; mov.u32 %r9, 0;\n"

struct planted {
    const char *body, *rule, *where; // where NULL: no place is known
};

static void load_and_run(struct bench *b, const char *text)
{
    static const uint32_t zeros[1024];
    bench_load(b, text);
    uint64_t buffer = bench_buffer(b, sizeof zeros, zeros);
    RUN(b, "k", 1, 64, 0, buffer);
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
    snprintf(text, sizeof text, "%s%s\nret;\n}\n", BEFORE, p->body);
    load_and_run(&b, text);
    const struct ptxm_finding *f = bench_found(&b, p->rule);
    if (!p->where) {
        assert_null(f->where);
        assert_null(f->repair);
        bench_free(&b);
        return;
    }
    assert_non_null(f->where);
    assert_string_equal(f->where, p->where);
    assert_int_equal(strtoul(strstr(f->where, "in front of line ") + 17, NULL, 10),
                     f->repair_line);
    insert(text, sizeof text, f->repair_line, f->repair);
    bench_free(&b);
    load_and_run(&b, text);
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
        cmocka_unit_test(test_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
