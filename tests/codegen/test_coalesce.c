// SPDX-License-Identifier: MIT
//
// The removal of copies, on bodies written here: what goes, what has to stay, and what is not
// touched. Each expectation stands under its input.
#include "codegen/body.h"
#include "codegen/internal.h"
#include "codegen/ptx.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define KERNEL(body) ".entry k(\n)\n{\n\t.reg .pred %p<9>;\n\t.reg .b32 %r<9>;\n" body "}\n"
#define RESULT(declarations, body) ".entry k(\n)\n{\n" declarations body "}\n"

static void expect(const char *in, const char *out)
{
    static const struct cg_allocator plain;
    size_t length = 0;
    char *got = cg_coalesce_copies(&plain, in, strlen(in), &length);
    assert_non_null(got);
    assert_string_equal(got, out);
    assert_int_equal(length, strlen(out));
    cg_release(&plain, got);
}

static void an_operand_of_an_assembly(void **state)
{
    expect(KERNEL("\tmov.u32 \t%r1, %tid.x;\n"
                  "\tmov.b32 \t%r2, %r1;\n"
                  "\tst.global.b32 [%r2], %r1;\n"
                  "\tret;\n"),
           RESULT("\t.reg .b32 %r<2>;\n", "\tmov.u32 \t%r1, %tid.x;\n"
                                          "\tst.global.b32 [%r1], %r1;\n"
                                          "\tret;\n"));
}

// Registers of text get LLVM's names. %w1 is written in one place, as a copy of what is written
// once; but not in all blocks before the loop, and holds the value of the round before.
static void registers_of_text(void **state)
{
    expect(".entry k(\n)\n{\n\t.reg .pred %p<9>;\n\t.reg .b32 %r<9>;\n\t.reg .b32 %v<3>;\n"
           "\t.reg .b32 %w<2>;\n"
           "$L__BB0_1:\n"
           "\tmov.u32 \t%v1, %clock;\n"
           "\tmov.b32 \t%r1, %v1;\n"
           "\tst.global.b32 [%w1], %r1;\n"
           "\tmov.b32 \t%w1, %v1;\n"
           "\tsetp.lt.s32 \t%p1, %w1, 70;\n"
           "\t@%p1 bra \t$L__BB0_1;\n"
           "\tret;\n}\n",
           RESULT("\t.reg .pred %p<2>;\n\t.reg .b32 %r<3>;\n",
                  "$L__BB0_1:\n"
                  "\tmov.u32 \t%r1, %clock;\n"
                  "\tst.global.b32 [%r2], %r1;\n"
                  "\tmov.b32 \t%r2, %r1;\n"
                  "\tsetp.lt.s32 \t%p1, %r2, 70;\n"
                  "\t@%p1 bra \t$L__BB0_1;\n"
                  "\tret;\n"));
}

// The accumulator of a loop: carried in %r2, read as %r3, new in %r4.
static void what_a_loop_carries(void **state)
{
    expect(KERNEL("\tmov.b32 \t%r1, 0;\n"
                  "\tmov.b32 \t%r2, %r1;\n"
                  "$L__BB0_1:\n"
                  "\tmov.b32 \t%r3, %r2;\n"
                  "\tadd.s32 \t%r4, %r3, 7;\n"
                  "\tsetp.lt.s32 \t%p1, %r4, 70;\n"
                  "\tmov.b32 \t%r2, %r4;\n"
                  "\t@%p1 bra \t$L__BB0_1;\n"
                  "\tst.global.b32 [%r4], %r4;\n"
                  "\tret;\n"),
           RESULT("\t.reg .pred %p<2>;\n\t.reg .b32 %r<2>;\n", "\tmov.b32 \t%r1, 0;\n"
                                                               "$L__BB0_1:\n"
                                                               "\tadd.s32 \t%r1, %r1, 7;\n"
                                                               "\tsetp.lt.s32 \t%p1, %r1, 70;\n"
                                                               "\t@%p1 bra \t$L__BB0_1;\n"
                                                               "\tst.global.b32 [%r1], %r1;\n"
                                                               "\tret;\n"));
}

// Two values that change places: one copy of the three is needed.
static void a_swap_stays_a_swap(void **state)
{
    expect(KERNEL("\tmov.b32 \t%r1, 1;\n"
                  "\tmov.b32 \t%r2, 2;\n"
                  "$L__BB0_1:\n"
                  "\tsetp.lt.s32 \t%p1, %r1, %r2;\n"
                  "\tmov.b32 \t%r3, %r1;\n"
                  "\tmov.b32 \t%r1, %r2;\n"
                  "\tmov.b32 \t%r2, %r3;\n"
                  "\t@%p1 bra \t$L__BB0_1;\n"
                  "\tst.global.b32 [%r1], %r2;\n"
                  "\tret;\n"),
           RESULT("\t.reg .pred %p<2>;\n\t.reg .b32 %r<4>;\n", "\tmov.b32 \t%r1, 1;\n"
                                                               "\tmov.b32 \t%r2, 2;\n"
                                                               "$L__BB0_1:\n"
                                                               "\tsetp.lt.s32 \t%p1, %r1, %r2;\n"
                                                               "\tmov.b32 \t%r3, %r1;\n"
                                                               "\tmov.b32 \t%r1, %r2;\n"
                                                               "\tmov.b32 \t%r2, %r3;\n"
                                                               "\t@%p1 bra \t$L__BB0_1;\n"
                                                               "\tst.global.b32 [%r1], %r2;\n"
                                                               "\tret;\n"));
}

// The old value is read behind the loop, so it needs a register of its own.
static void a_value_that_is_still_read(void **state)
{
    expect(KERNEL("\tmov.b32 \t%r1, 0;\n"
                  "$L__BB0_1:\n"
                  "\tmov.b32 \t%r3, %r1;\n"
                  "\tadd.s32 \t%r1, %r1, 7;\n"
                  "\tsetp.lt.s32 \t%p1, %r1, 70;\n"
                  "\t@%p1 bra \t$L__BB0_1;\n"
                  "\tst.global.b32 [%r3], %r1;\n"
                  "\tret;\n"),
           RESULT("\t.reg .pred %p<2>;\n\t.reg .b32 %r<3>;\n", "\tmov.b32 \t%r1, 0;\n"
                                                               "$L__BB0_1:\n"
                                                               "\tmov.b32 \t%r2, %r1;\n"
                                                               "\tadd.s32 \t%r1, %r1, 7;\n"
                                                               "\tsetp.lt.s32 \t%p1, %r1, 70;\n"
                                                               "\t@%p1 bra \t$L__BB0_1;\n"
                                                               "\tst.global.b32 [%r2], %r1;\n"
                                                               "\tret;\n"));
}

// A load under a guard leaves %r2 as it was in the other lanes: %r1 must not be written by it.
static void a_guarded_write_keeps_the_rest(void **state)
{
    expect(KERNEL("\tmov.b32 \t%r1, 5;\n"
                  "\tmov.b32 \t%r2, %r1;\n"
                  "\t@%p1 ld.global.b32 %r2, [%r3];\n"
                  "\tst.global.b32 [%r1], %r2;\n"
                  "\tret;\n"),
           RESULT("\t.reg .pred %p<2>;\n\t.reg .b32 %r<4>;\n", "\tmov.b32 \t%r1, 5;\n"
                                                               "\tmov.b32 \t%r2, %r1;\n"
                                                               "\t@%p1 ld.global.b32 %r2, [%r3];\n"
                                                               "\tst.global.b32 [%r1], %r2;\n"
                                                               "\tret;\n"));
}

// Results that nobody reads still exist beside each other.
static void results_of_one_statement(void **state)
{
    expect(KERNEL("\tld.global.v2.b32 {%r1, %r2}, [%r8];\n"
                  "\tmov.b32 \t%r3, %r1;\n"
                  "\tmov.b32 \t%r3, %r2;\n"
                  "\tst.global.b32 [%r8], %r3;\n"
                  "\tret;\n"),
           RESULT("\t.reg .b32 %r<4>;\n", "\tld.global.v2.b32 {%r1, %r2}, [%r3];\n"
                                          "\tmov.b32 \t%r1, %r2;\n"
                                          "\tst.global.b32 [%r3], %r1;\n"
                                          "\tret;\n"));
}

// Copies of one value never conflict, however many of them are read at the same time.
static void many_copies_of_one_value(void **state)
{
    expect(KERNEL("\tsetp.eq.s32 \t%p1, %r1, 0;\n"
                  "\tmov.pred \t%p2, %p1;\n"
                  "\tmov.pred \t%p3, %p1;\n"
                  "\t@%p2 st.global.b32 [%r1], %r1;\n"
                  "\t@%p3 st.global.b32 [%r1], %r1;\n"
                  "\t@%p2 st.global.b32 [%r1], %r1;\n"
                  "\tret;\n"),
           RESULT("\t.reg .pred %p<2>;\n\t.reg .b32 %r<2>;\n", "\tsetp.eq.s32 \t%p1, %r1, 0;\n"
                                                               "\t@%p1 st.global.b32 [%r1], %r1;\n"
                                                               "\t@%p1 st.global.b32 [%r1], %r1;\n"
                                                               "\t@%p1 st.global.b32 [%r1], %r1;\n"
                                                               "\tret;\n"));
}

// Temporaries of a scope, special registers, comments and strings are not the kernel's registers.
static void what_is_no_register(void **state)
{
    expect(KERNEL("\t{\n"
                  "\t.reg .b32 %kt<2>;\n"
                  "\tadd.s32 %kt1, %r7, 1;\n"
                  "\tmov.b32 %r8, %kt1;\n"
                  "\t}\n"
                  "\t.pragma \"nounroll\";\n"
                  "\tbar.sync 0; // S1: %r7; %r8\n"
                  "\tst.global.b32 [%r7], %r8;\n"
                  "\tret;\n"),
           RESULT("\t.reg .b32 %r<3>;\n", "\t{\n"
                                          "\t.reg .b32 %kt<2>;\n"
                                          "\tadd.s32 %kt1, %r1, 1;\n"
                                          "\tmov.b32 %r2, %kt1;\n"
                                          "\t}\n"
                                          "\t.pragma \"nounroll\";\n"
                                          "\tbar.sync 0; // S1: %r7; %r8\n"
                                          "\tst.global.b32 [%r1], %r2;\n"
                                          "\tret;\n"));
}

// Without knowing what a statement writes there is nothing to say.
static void an_unknown_statement(void **state)
{
    static const char *const unknown[] = {
        KERNEL("\tmov.b32 \t%r2, %r1;\n\tfrobnicate.b32 %r1, %r2;\n\tret;\n"),
        KERNEL("\tmov.b32 \t%r2, %r1;\n\tbrx.idx %r2, targets;\n\tret;\n"),
        KERNEL("\tmov.b32 \t%r2, %r1;\n\tbra.uni $L__BB0_7;\n"),
        KERNEL("\tmov.b32 \t%r2, %r1;\n\tadd.s32 %r1, %r2\n"),
        KERNEL("$L__BB0_1:\n"),
        "{\n",
        "no kernel\n",
        "",
    };
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) expect(unknown[i], unknown[i]);
}

// Many names: numbers with more digits than before need more room.
static void numbers_grow(void **state)
{
    enum { COUNT = 20000, LINE = 40 };
    static char in[COUNT * LINE + 200];
    int at = snprintf(in, sizeof in, ".entry k(\n)\n{\n\t.reg .b32 %%r<%d>;\n", COUNT + 1);
    for (int i = COUNT; i > 0; i--)
        at += snprintf(in + at, sizeof in - (size_t)at, "\tmov.b32 %%r%d,0;\n", i);
    snprintf(in + at, sizeof in - (size_t)at, "\tret;\n}\n");
    static const struct cg_allocator plain;
    size_t length = 0;
    char *got = cg_coalesce_copies(&plain, in, strlen(in), &length);
    assert_non_null(strstr(got, "\tmov.b32 %r20000,0;\n\tret;\n}\n"));
    assert_int_equal(length, strlen(in));
    cg_release(&plain, got);
}

// Every template is known, and what it writes is what its row says.
static void every_template_is_known(void **state)
{
    static const struct cg_allocator plain;
    for (unsigned id = 0; id < CG_PTX_COUNT; id++) {
        const struct cg_ptx *row = cg_ptx_get((enum cg_ptx_id)id);
        struct cg_ptx_operands operands = cg_ptx_operands(row);
        char text[1024], *end = text + sprintf(text, "\t.reg .b32 %%r<32>;\n\t");
        unsigned registers = 0;
        for (const char *c = row->text; *c; c++) {
            if (*c != '$') {
                *end++ = *c;
                continue;
            }
            unsigned index = (unsigned)strtoul(c + 1, (char **)&c, 10);
            c--;
            bool immediate = operands.letters[index] == 'n';
            registers += !immediate;
            end += sprintf(end, immediate ? "%u" : "%%r%u", index);
        }
        sprintf(end, "\n\tret;\n");
        struct cg_body body;
        assert_int_equal(cg_body_read(&plain, text, strlen(text), &body), CG_BODY_OK);
        assert_int_equal(body.use_count, registers);
        for (unsigned i = 0; i < body.use_count; i++) {
            const struct cg_register_use *use = &body.uses[i];
            if (use->writes != (use->index < operands.results))
                fail_msg("%s: %s", row->name, row->text);
        }
        cg_body_free(&plain, &body);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_operand_of_an_assembly),
        cmocka_unit_test(registers_of_text),
        cmocka_unit_test(what_a_loop_carries),
        cmocka_unit_test(a_swap_stays_a_swap),
        cmocka_unit_test(a_value_that_is_still_read),
        cmocka_unit_test(a_guarded_write_keeps_the_rest),
        cmocka_unit_test(results_of_one_statement),
        cmocka_unit_test(many_copies_of_one_value),
        cmocka_unit_test(what_is_no_register),
        cmocka_unit_test(an_unknown_statement),
        cmocka_unit_test(numbers_grow),
        cmocka_unit_test(every_template_is_known),
    };
    return cmocka_run_group_tests_name("codegen coalesce", tests, NULL, NULL);
}
