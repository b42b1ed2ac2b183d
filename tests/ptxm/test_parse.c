// SPDX-License-Identifier: MIT
// What the loader accepts, what it says about a module, and how it refuses what is no PTX.
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct heard {
    unsigned count, line, column;
    char message[256];
};

static void listen(void *user, const struct ptxm_diagnostic *d)
{
    struct heard *h = user;
    if (h->count++)
        return;
    h->line = d->line;
    h->column = d->column;
    snprintf(h->message, sizeof h->message, "%s", d->message);
    assert_non_null(d->text);
}

static enum ptxm_status load(const char *text, size_t length, struct heard *heard)
{
    struct ptxm_module *module = NULL;
    struct ptxm_load_options options = {.diagnostic = listen, .diagnostic_user = heard};
    memset(heard, 0, sizeof *heard);
    enum ptxm_status status = ptxm_module_load(text, length, &options, &module);
    assert_int_equal(status == PTXM_OK, module != NULL);
    ptxm_module_free(module);
    return status;
}

#define BODY(text) HEAD ".visible .entry k(.param .u64 p)\n{\n" text "\nret;\n}\n"
#define REGS ".reg .b32 %r<9>; .reg .b64 %d<9>; .reg .pred %p<9>; .reg .f32 %f<9>;" \
             " .reg .b16 %h<9>;\n"

static void test_refused(void **state)
{
    static const struct { const char *text, *says; unsigned line; } list[] = {
        {"", "no .version", 1},
        {"hello", "expected a directive", 1},
        {"\x7f""ELF\x02\x01\x01", "expected a directive", 1},
        {".version 7.8\n", "no .target", 2},
        {".version x\n.target sm_80\n", "expected a version", 1},
        {BODY("frobnicate.b32 %r1, %r2;"), "unknown", 6},
        {BODY(REGS "add.u33 %r1, %r2, %r3;"), "unknown modifier '.u33'", 7},
        {BODY(REGS "add.s32 %r1, %r2;"), "wrong number of operands", 7},
        {BODY(REGS "add.s32 %r1, %r2, %q3;"), "unknown register '%q3'", 7},
        {BODY(REGS "add.s32 %r1, %r2, %r10;"), "unknown register '%r10'", 7},
        {BODY(REGS "add.s32 %r1, %d2, %r3;"), "needs .s32", 7},
        {BODY(REGS "add.s32 1, %r2, %r3;"), "cannot be a destination", 7},
        {BODY(REGS "@%r1 add.s32 %r1, %r2, %r3;"), "no predicate", 7},
        {BODY(REGS "bra NOWHERE;"), "no label 'NOWHERE'", 7},
        {BODY(REGS "mul.s32 %r1, %r2, %r3;"), "'mul.s32'", 7},
        {BODY(REGS "ld.global.u32 %r1, %r2;"), "expected an [address]", 7},
        {BODY(REGS "ld.global.v4.u32 {%r1, %r2}, [%d1];"), "vector elements", 7},
        {BODY(REGS "add.s32 %r1, %r2, %r3"), "expected ';'", 8},
        {BODY(REGS "ld.global.u32 %r1, [%d1-4];"), "write it as +-", 7},
        {BODY(REGS REGS), "declared twice", 7},
        {BODY(REGS "cp.async.cg.shared.global [%r1], [%d1], 8;"), "cp-size", 7},
        {BODY(REGS "cvt.s32.f32 %r1, %f1;"), "rounding", 7},
        {BODY(REGS "tcgen05.wait::ld.sync.aligned;"), "the tensor memory of sm_100", 7},
        {BODY(REGS "call (), nothing, ();"), "no function", 7},
        {BODY(REGS "L: L: bra L;"), "declared twice", 7},
        {BODY("{{{{{"), "the text ends", 9},
        {HEAD ".visible .entry k(.param .u64 p", "", 4},
        {HEAD ".global .align 3 .b8 x[4];", ".align 3", 4},
        {HEAD ".global .b32 x[2] = {1,2,3};", "too many initial values", 4},
        {HEAD ".global .b8 x[99999999999999];", "", 4},
        {HEAD ".visible .entry k() { .reg .b32 %r<99999999>; ret; }", "too many", 4},
        {HEAD ".func f(.param .b32 x);\n.visible .entry k() { .param .b32 a; call f, (a); ret; }",
         "no body", 5},
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        struct heard heard;
        assert_int_equal(load(list[i].text, strlen(list[i].text), &heard), PTXM_ERROR_PARSE);
        if (!strstr(heard.message, list[i].says) || heard.line != list[i].line)
            print_message("# %s: line %u: %s\n", list[i].says, heard.line, heard.message);
        assert_non_null(strstr(heard.message, list[i].says));
        assert_int_equal(heard.line, list[i].line);
    }
}

static void test_all_errors_at_once(void **state)
{
    struct heard heard;
    static const char text[] = BODY(REGS "foo %r1;\nadd.s32 %r1, %r2, %r3;\nbar.baz;\nqux;");
    assert_int_equal(load(text, strlen(text), &heard), PTXM_ERROR_PARSE);
    assert_int_equal(heard.count, 3);
    assert_int_equal(heard.line, 7);
    assert_int_equal(heard.column, 1);
}

static const char whole[] =
    "// a comment\n.version 7.10\n.target sm_90a, debug\n.address_size 64\n"
    ".file 1 \"dir/x.kg\", 1, 2\n"
    ".const .align 4 .b8 table[8] = {1, 2, 0x3, 04, 0b101};\n"
    ".global .f32 real = 0f3F800000;\n.global .u64 where = generic(real)+4;\n"
    ".visible .entry first(.param .align 8 .b8 s[12], .param .u64 .ptr .global .align 16 q,\n"
    " .param .f32 x) .maxntid 128, 2, 1 .minnctapersm 2\n{\n"
    " .reg .b32 %r<4>, %x; .reg .pred p; .shared .align 128 .b8 buf[100]; .local .b64 l[3];\n"
    " .pragma \"nounroll\"; .loc 1 3 4, function_name $L__info+3, inlined_at 1 2 3\n"
    " mov.u32 %r1, buf+4; /* block\n comment */ @!p bra $L_1; { .reg .b32 %r1; mov.b32 %r1, -1; }\n"
    "$L_1:\n ret;\n}\n"
    ".section .debug_str { .b8 1, 2 }\n"
    ".entry second() .reqntid 32 { exit; }\n";

static void test_module_facts(void **state)
{
    struct ptxm_module *m;
    assert_int_equal(ptxm_module_load(whole, strlen(whole), NULL, &m), PTXM_OK);
    assert_int_equal(ptxm_module_kernel_count(m), 2);
    assert_string_equal(ptxm_module_target(m), "sm_90a");
    assert_int_equal(ptxm_module_version(m), 710);
    const struct ptxm_kernel *k = ptxm_module_find(m, "first");
    assert_non_null(k);
    assert_int_equal(k->param_count, 3);
    assert_int_equal(k->params[0].size, 12);
    assert_int_equal(k->params[1].offset, 16);
    assert_int_equal(k->params[1].align, 8);
    assert_true(k->params[1].is_pointer);
    assert_int_equal(k->params[2].offset, 24);
    assert_int_equal(k->param_bytes, 28);
    assert_int_equal(k->max_threads[1], 2);
    assert_int_equal(k->required_threads[0], 0);
    assert_int_equal(k->local_bytes, 24);
    assert_true(k->static_shared >= 100);
    assert_int_equal(ptxm_module_find(m, "second")->required_threads[0], 32);
    assert_null(ptxm_module_find(m, "third"));
    struct ptxm_device *d;
    uint64_t real, where, address;
    size_t size;
    assert_int_equal(ptxm_device_create(NULL, &d), PTXM_OK);
    assert_int_equal(ptxm_module_symbol(d, m, "real", &real, &size), PTXM_OK);
    assert_int_equal(ptxm_module_symbol(d, m, "where", &where, &size), PTXM_OK);
    assert_int_equal(ptxm_memory_read(d, where, &address, 8), PTXM_OK);
    assert_int_equal(address, real + 4);
    assert_int_equal(ptxm_module_symbol(d, m, "nothing", &where, &size), PTXM_ERROR_NOT_FOUND);
    ptxm_device_free(d);
    ptxm_module_free(m);
}

// Every prefix, and every text with one byte changed: a status, never a crash.
static void test_damaged(void **state)
{
    struct heard heard;
    size_t length = strlen(whole);
    uint64_t random = 1;
    for (size_t i = 0; i < length; i++) {
        load(whole, i, &heard);
        char *copy = malloc(length);
        memcpy(copy, whole, length);
        copy[i] = (char)bench_random(&random);
        load(copy, length, &heard);
        free(copy);
    }
}

// ---- the n-th allocation fails ------------------------------------------------------------------

static const char run_text[] = BODY(
    REGS ".shared .b32 s[64]; ld.param.u64 %d1, [p]; mov.u32 %r1, %tid.x; mov.u32 %r2, s;\n"
         "shl.b32 %r3, %r1, 2; add.u32 %r2, %r2, %r3; cp.async.ca.shared.global [%r2], [%d1], 4;\n"
         "cp.async.commit_group; cp.async.wait_group 0; bar.sync 1, 64; ld.shared.u32 %r4, [%r2];\n"
         "fence.acq_rel.gpu; atom.global.add.u32 %r5, [%d1], 1; ld.acquire.gpu.u32 %r6, [%d1];\n"
         "bar.sync 0; st.shared.u8 [%r2], %r4; st.global.u32 [%d1], %r1;");

static enum ptxm_status whole_run(struct failing *f)
{
    struct ptxm_allocator hook = failing_allocator(f);
    struct ptxm_load_options load_options = {.allocator = &hook};
    struct ptxm_device_options device_options = {.allocator = &hook};
    struct ptxm_module *m = NULL;
    struct ptxm_device *d = NULL;
    struct ptxm_report *r = NULL;
    uint64_t p;
    enum ptxm_status status = ptxm_module_load(run_text, strlen(run_text), &load_options, &m);
    if (status == PTXM_OK)
        status = ptxm_device_create(&device_options, &d);
    if (status == PTXM_OK)
        status = ptxm_memory_allocate(d, 64, NULL, &p);
    struct ptxm_launch l = {.kernel = "k", .grid = {3, 1, 1}, .block = {64, 1, 1}, .params = &p,
                            .param_bytes = 8};
    if (status == PTXM_OK)
        status = ptxm_launch(d, m, &l, NULL, NULL, &r);
    ptxm_report_free(r);
    ptxm_device_free(d);
    ptxm_module_free(m);
    return status;
}

static void test_allocation_failure(void **state)
{
    struct failing f = {.left = 1000000};
    assert_int_equal(whole_run(&f), PTXM_OK);
    long used = 1000000 - f.left;
    for (long n = 0; n < used; n++) {
        struct failing g = {.left = n};
        assert_int_equal(whole_run(&g), PTXM_ERROR_MEMORY);
        assert_int_equal(g.alive, 0);
    }
    assert_int_equal(f.alive, 0);
}

static void test_null_arguments(void **state)
{
    struct ptxm_module *m;
    uint64_t a;
    assert_int_equal(ptxm_module_load(NULL, 0, NULL, &m), PTXM_ERROR_ARGUMENT);
    assert_int_equal(ptxm_module_load("", 0, NULL, NULL), PTXM_ERROR_ARGUMENT);
    assert_int_equal(ptxm_device_create(NULL, NULL), PTXM_ERROR_ARGUMENT);
    assert_int_equal(ptxm_memory_allocate(NULL, 4, NULL, &a), PTXM_ERROR_ARGUMENT);
    assert_int_equal(ptxm_launch(NULL, NULL, NULL, NULL, NULL, NULL), PTXM_ERROR_ARGUMENT);
    assert_int_equal(ptxm_module_kernel_count(NULL), 0);
    assert_null(ptxm_report_finding(NULL, 0));
    ptxm_module_free(NULL);
    ptxm_device_free(NULL);
    ptxm_report_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),        cmocka_unit_test(test_all_errors_at_once),
        cmocka_unit_test(test_module_facts),   cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_allocation_failure), cmocka_unit_test(test_null_arguments),
    };
    return cmocka_run_group_tests_name("parse", tests, NULL, NULL);
}
