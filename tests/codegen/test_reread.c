// SPDX-License-Identifier: MIT
//
// The re-reader, on text written here. (test_templates.c holds it against every template.)
#include "support.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const char text[] =
    ".version 7.0\n"
    ".visible .entry one(\n"
    "\t.param .u32 one_param_0\n"
    ")\n"
    "{\n"
    "\t.loc\t1 12 3\n"
    "\tcp.async.cg.shared.global [%r1], [%rd2], 16; // C1: k, slot 0\n"
    "\tcp.async.cg.shared.global  [ %r1 ],[%rd2], 16, %r7;\n"
    "\tcp.async.commit_group;\n"
    "\t.loc\t1 14 3\n"
    "\tcp.async.wait_group 2; //C1\n"
    "$L__BB0_1:\n"
    "\tbar.sync 0; // S3: k read after write\n"
    "\tadd.s32 %r1, %r2, %r3;\n"
    "\t@%p1 bra $L__BB0_1;\n"
    "\tbar.sync 4, 64;\n"
    "\t@%p1 bar.sync 5;\n"
    "\tbar.sync %r9;\n"
    "\t// bar.sync 9; is only talk\n"
    "\tret;\n"
    "}\n"
    "\t.visible .entry two(){ ret; }\n"
    ".entry two(\n"
    ")\n"
    "{\n"
    "\tmbarrier.frobnicate.shared.b64 [%r1];\n"
    "\tshfl.sync.bfly.b32 %r1, %r2, 16, 31, -1;";

static struct cg_reread read_all(uint32_t classes)
{
    struct cg_reread reread;
    assert_int_equal(cg_reread(NULL, text, sizeof text - 1, classes, &reread), CG_OK);
    return reread;
}

static void expect_span(struct cg_span span, const char *expected)
{
    assert_int_equal(span.length, strlen(expected));
    assert_memory_equal(span.start, expected, span.length);
}

static void names_what_it_reads(void **state)
{
    static const enum cg_ptx_id expected[] = {
        CG_PTX_CP_ASYNC_CG_16, CG_PTX_CP_ASYNC_CG_16_ZFILL, CG_PTX_CP_ASYNC_COMMIT,
        CG_PTX_CP_ASYNC_WAIT,  CG_PTX_BAR_SYNC,             CG_PTX_BAR_SYNC_COUNT,
        CG_PTX_BAR_SYNC,       CG_PTX_UNKNOWN,              CG_PTX_UNKNOWN,
    };
    struct cg_reread reread = read_all(CG_CLASSES_SYNC);
    assert_int_equal(reread.count, sizeof expected / sizeof expected[0]);
    for (size_t i = 0; i < reread.count; i++)
        assert_int_equal(reread.instructions[i].id, expected[i]);
    cg_reread_free(NULL, &reread);
}

static void gives_numbers_lines_and_words(void **state)
{
    struct cg_reread reread = read_all(CG_CLASSES_SYNC);
    const struct cg_instruction *copy = &reread.instructions[0], *wait = &reread.instructions[3];
    const struct cg_instruction *sync = &reread.instructions[4], *named = &reread.instructions[5];
    assert_int_equal(copy->line, 7);
    assert_int_equal(copy->source_line, 12);
    expect_span(copy->kernel, "one");
    expect_span(copy->comment, "C1: k, slot 0");
    expect_span(copy->tag, "C1");
    expect_span(copy->text, "cp.async.cg.shared.global [%r1], [%rd2], 16;");
    assert_int_equal(wait->source_line, 14);
    assert_int_equal(wait->immediate_count, 1);
    assert_int_equal(wait->immediates[0], 2);
    expect_span(wait->tag, "C1");
    expect_span(sync->tag, "S3");
    expect_span(sync->comment, "S3: k read after write");
    assert_int_equal(named->immediate_count, 2);
    assert_int_equal(named->immediates[0], 4);
    assert_int_equal(named->immediates[1], 64);
    expect_span(named->tag, "");
    assert_false(named->guarded);
    cg_reread_free(NULL, &reread);
}

static void tells_what_is_not_ours(void **state)
{
    struct cg_reread reread = read_all(CG_CLASSES_SYNC);
    assert_true(reread.instructions[6].guarded);
    assert_int_equal(reread.instructions[7].class, CG_CLASS_BARRIER); // the id is in a register
    assert_int_equal(reread.instructions[7].immediate_count, 0);
    assert_int_equal(reread.instructions[8].class, CG_CLASS_MBARRIER);
    expect_span(reread.instructions[8].kernel, "two");
    assert_int_equal(reread.instructions[8].source_line, 0);
    cg_reread_free(NULL, &reread);
}

static void looks_at_the_classes_asked_for(void **state)
{
    struct cg_reread reread = read_all(CG_CLASS_BIT(CG_CLASS_SHUFFLE));
    assert_int_equal(reread.count, 1);
    assert_int_equal(reread.instructions[0].id, CG_PTX_SHFL_BFLY);
    assert_int_equal(reread.instructions[0].immediate_count, 3);
    assert_int_equal(reread.instructions[0].immediates[2], -1);
    cg_reread_free(NULL, &reread);
    assert_int_equal(cg_reread(NULL, "", 0, CG_CLASSES_ALL, &reread), CG_OK);
    assert_int_equal(reread.count, 0);
    cg_reread_free(NULL, &reread);
}

// A comment of any content stays on its line, and comes back.
static void comments_survive(void **state)
{
    static const char wild[] = "S7: {a|b} $0 100% \"q\" \\ ; // x";
    struct bench bench;
    struct cg_reread reread;
    bench_open(&bench, NULL);
    cg_value zero = cg_i32(bench.m, 0);
    cg_template(bench.m, CG_PTX_BAR_SYNC, &zero, 1, NULL, wild);
    cg_template(bench.m, CG_PTX_BAR_SYNC, &zero, 1, NULL, "two\nlines");
    const char *ptx = bench_ptx(&bench);
    cg_reread(NULL, ptx, bench.out.ptx_length, CG_CLASSES_SYNC, &reread);
    assert_int_equal(reread.count, 2);
    expect_span(reread.instructions[0].comment, wild);
    expect_span(reread.instructions[0].tag, "S7");
    expect_span(reread.instructions[1].comment, "two lines");
    cg_reread_free(NULL, &reread);
    if (*ptxas_path) assert_true(ptxas_accepts(ptx, "sm_80", NULL, 0));
    bench_close(&bench);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_what_it_reads),
        cmocka_unit_test(gives_numbers_lines_and_words),
        cmocka_unit_test(tells_what_is_not_ours),
        cmocka_unit_test(looks_at_the_classes_asked_for),
        cmocka_unit_test(comments_survive),
    };
    if (argc > 1) ptxas_path = argv[1];
    return cmocka_run_group_tests_name("codegen reread", tests, NULL, NULL);
}
