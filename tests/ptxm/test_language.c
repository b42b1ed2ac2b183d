// SPDX-License-Identifier: MIT
// Calls, recursion, parameters, printf and assertions, by the smallest PTX that shows each; and
// what is refused, with the words that say why.
#include "harness.h"

#include <stdio.h>
#include <string.h>

#define KERNEL(before, body)                                                                       \
    HEAD before ".visible .entry k(.param .u64 p)\n{\n"                                            \
         " .reg .b32 %r<60>; .reg .b64 %d<20>; .reg .pred %p<10>; .reg .f32 %f<10>;\n"             \
         " ld.param.u64 %d1, [p]; mov.u32 %r1, %tid.x; mul.wide.u32 %d2, %r1, 4;\n"                \
         " add.s64 %d3, %d1, %d2;\n" body "\n st.global.u32 [%d3], %r2;\n ret;\n}\n"

static void run(struct bench *b, const char *text, uint32_t out[32])
{
    bench_load(b, text);
    uint64_t p = bench_buffer(b, 128, NULL);
    RUN(b, "k", 1, 32, 0, p);
    bench_read(b, p, out, 128);
}

static void lanes(const char *text, uint32_t out[32])
{
    struct bench b;
    run(&b, text, out);
    bench_clean(&b);
    bench_free(&b);
}

// sum(n) = n + sum(n - 1), n apart in every lane
#define SUM                                                                                        \
    ".func (.param .b32 r) sum(.param .b32 n)\n{ .reg .b32 %r<9>; .reg .pred %p<2>;\n"             \
    " ld.param.u32 %r1, [n]; mov.u32 %r2, 0; setp.eq.u32 %p1, %r1, 0; @%p1 bra END;\n"             \
    " sub.u32 %r3, %r1, STEP; { .param .b32 a; .param .b32 c; st.param.b32 [a], %r3;\n"            \
    " call.uni (c), sum, (a); ld.param.b32 %r4, [c]; } add.u32 %r2, %r4, %r1;\n"                   \
    "END: st.param.b32 [r], %r2; ret; }\n"
#define CALL(f, value)                                                                             \
    " { .param .b32 a; .param .b32 c; st.param.b32 [a], " value "; call.uni (c), " f ", (a);"      \
    " ld.param.b32 %r2, [c]; }"

static void with_step(char *out, size_t size, const char *text, const char *step)
{
    const char *at = strstr(text, "STEP");
    snprintf(out, size, "%.*s%s%s", (int)(at - text), text, step, at + 4);
}

static void test_recursion(void **state)
{
    uint32_t out[32];
    char text[4096];
    with_step(text, sizeof text, KERNEL(SUM, CALL("sum", "%r1")), "1");
    lanes(text, out);
    for (uint32_t i = 0; i < 32; i++) assert_int_equal(out[i], i * (i + 1) / 2);
    with_step(text, sizeof text, KERNEL(SUM, CALL("sum", "900")), "1");
    lanes(text, out);
    assert_int_equal(out[3], 900 * 901 / 2);
    struct bench b;
    with_step(text, sizeof text, KERNEL(SUM, CALL("sum", "1")), "0");
    run(&b, text, out);
    assert_non_null(strstr(bench_only(&b, "call")->message, "recursion without an end"));
    bench_free(&b);
}

// Each call keeps its local variable, and hands its address on to the next one.
static void test_local_of_each_call(void **state)
{
    uint32_t out[32];
    lanes(KERNEL(
        ".func (.param .b32 r) f(.param .b32 n, .param .b64 q)\n"
        "{ .reg .b32 %r<9>; .reg .b64 %d<5>; .reg .pred %p<2>; .local .align 8 .b8 own[8];\n"
        " ld.param.u32 %r1, [n]; ld.param.u64 %d1, [q]; mov.u64 %d2, own;\n"
        " cvta.local.u64 %d3, %d2;\n"
        " st.u32 [%d3], %r1; ld.u32 %r2, [%d1]; add.u32 %r2, %r2, 100; st.u32 [%d1], %r2;\n"
        " setp.eq.u32 %p1, %r1, 0; @%p1 bra END; sub.u32 %r3, %r1, 1;\n"
        " { .param .b32 a; .param .b64 b; .param .b32 c; st.param.b32 [a], %r3;\n"
        " st.param.b64 [b], %d3; call.uni (c), f, (a, b); ld.param.b32 %r4, [c]; }\n"
        "END: ld.local.u32 %r5, [own]; add.u32 %r5, %r5, %r4; st.param.b32 [r], %r5; ret; }\n",
        " { .reg .b64 %z; .local .align 4 .b8 top[4]; mov.u64 %z, top; cvta.local.u64 %z, %z;"
        " st.u32 [%z], 0; .param .b32 a; .param .b64 b; .param .b32 c; and.b32 %r5, %r1, 3;"
        " st.param.b32 [a], %r5; st.param.b64 [b], %z; call.uni (c), f, (a, b);"
        " ld.param.b32 %r2, [c]; ld.u32 %r6, [%z]; add.u32 %r2, %r2, %r6; }"), out);
    for (uint32_t i = 0; i < 32; i++) {
        uint32_t n = i & 3, sum = 100; // what f(n) added to the caller's word
        for (uint32_t k = 0; k <= n; k++) sum += k + (k ? 100 : 0);
        assert_int_equal(out[i], sum);
    }
}

static void test_parameters_in_registers(void **state)
{
    uint32_t out[32];
    lanes(KERNEL(".func (.reg .u32 %sum, .reg .f32 %half) f(.reg .u32 %a, .reg .f32 %b)\n"
                 "{ .reg .pred %p; add.u32 %sum, %a, 7; mul.f32 %half, %b, 0f3F000000;\n"
                 " setp.lt.u32 %p, %a, 10; @%p ret; add.u32 %sum, %sum, 1000; }\n",
                 " call (%r2, %f1), f, (%r1, 0f40800000); call (%r3, _), f, (2, 1.0);\n"
                 " cvt.rzi.u32.f32 %r4, %f1; add.u32 %r2, %r2, %r4; add.u32 %r2, %r2, %r3;"), out);
    for (uint32_t i = 0; i < 32; i++) assert_int_equal(out[i], i + 7 + (i < 10 ? 0 : 1000) + 2 + 9);
}

static void test_vector_registers(void **state)
{
    uint32_t out[32];
    lanes(KERNEL("", " .reg .v4 .b32 v; .reg .v2 .b32 w; .shared .align 16 .b8 s[16];"
                 " mov.u32 v.x, 1; mov.u32 v.y, 20; mov.u32 v.b, 300; mov.u32 v.w, %r1;"
                 " setp.ne.u32 %p1, %r1, 5; @%p1 bra A; st.shared.v4.b32 [s], v;\nA: bar.sync 0;"
                 " ld.shared.v2.b32 w, [s]; add.u32 %r2, w.x, w.y; ld.shared.v2.b32 w, [s+8];"
                 " add.u32 %r2, %r2, w.r; add.u32 %r2, %r2, w.g;"), out);
    assert_int_equal(out[9], 326);
}

static void test_alias(void **state)
{
    uint32_t out[32];
    lanes(KERNEL(".func (.param .b32 r) real(.param .b32 n)\n{ .reg .b32 %r<3>;\n"
                 " ld.param.u32 %r1, [n]; add.u32 %r1, %r1, 9; st.param.b32 [r], %r1; ret; }\n"
                 ".func (.param .b32 r) other(.param .b32 n);\n.alias other, real;\n",
                 CALL("other", "%r1")), out);
    assert_int_equal(out[4], 13);
}

// ---- functions of the driver --------------------------------------------------------------------

struct printed {
    char text[1024];
    unsigned calls;
};

static void hear(void *user, const char *text, size_t length)
{
    struct printed *p = user;
    strncat(p->text, text, sizeof p->text - strlen(p->text) - 1);
    assert_int_equal(strlen(text), length);
    p->calls++;
}

#define PRINTF                                                                                     \
    ".extern .func (.param .b32 r) vprintf(.param .b64 f, .param .b64 a);\n"                       \
    ".global .align 1 .b8 format[40] = {91,37,100,32,37,53,46,49,102,32,37,115,32,37,45,51,99,"    \
    "124,37,108,108,117,32,37,110,37,37,93,10,0};\n"                                               \
    ".global .align 1 .b8 word[6] = {119,111,114,100,115,0};\n"

// The format is "[%d %5.1f %s %-3c|%llu %n%%]\n"; %n is no conversion here.
static void test_printf(void **state)
{
    uint32_t out[32];
    struct printed p = {.calls = 0};
    struct bench b;
    bench_load(&b, KERNEL(PRINTF,
                          " mov.u32 %r2, 0; setp.ne.u32 %p1, %r1, 3; @%p1 bra END;"
                          " { .local .align 8 .b8 list[40]; .reg .b64 %z<4>; mov.u64 %z1, list;"
                          " st.local.u32 [%z1], -12; st.local.f64 [%z1+8], 2.25;"
                          " mov.u64 %z2, word; cvta.global.u64 %z2, %z2;"
                          " st.local.u64 [%z1+16], %z2;"
                          " st.local.u32 [%z1+24], 120; st.local.u64 [%z1+32], -1;"
                          " cvta.local.u64 %z1, %z1; mov.u64 %z3, format; cvta.global.u64 %z3, %z3;"
                          " .param .b64 f; .param .b64 a; .param .b32 c; st.param.b64 [f], %z3;"
                          " st.param.b64 [a], %z1; call.uni (c), vprintf, (f, a);"
                          " ld.param.b32 %r2, [c]; }\nEND:"));
    b.options.print = hear;
    b.options.print_user = &p;
    uint64_t buffer = bench_buffer(&b, 128, NULL);
    RUN(&b, "k", 1, 32, 0, buffer);
    bench_clean(&b);
    bench_read(&b, buffer, out, sizeof out);
    assert_string_equal(p.text, "[-12   2.2 words x  |18446744073709551615 n%]\n");
    assert_int_equal(p.calls, 1);
    assert_int_equal(out[3], 5);
    bench_free(&b);
}

static void test_assertion(void **state)
{
    uint32_t out[32];
    struct bench b;
    run(&b, KERNEL(".extern .func __assertfail(.param .b64 a, .param .b64 b, .param .b32 c,"
                   " .param .b64 d, .param .b64 e);\n"
                   ".global .align 1 .b8 text[4] = {105,60,51,0}; .global .align 1 .b8 z[1];\n"
                   ".global .align 1 .b8 file[4] = {97,46,99,0};\n",
                   " setp.ne.u32 %p1, %r1, 3; @%p1 bra END; { .param .b64 a; .param .b64 b;"
                   " .param .b32 c; .param .b64 d; .param .b64 e; .reg .b64 %z<4>;"
                   " mov.u64 %z1, text; cvta.global.u64 %z1, %z1; mov.u64 %z2, file;"
                   " cvta.global.u64 %z2, %z2;"
                   " st.param.b64 [a], %z1; st.param.b64 [b], %z2; st.param.b32 [c], 42;"
                   " st.param.b64 [d], %z2; st.param.b64 [e], 1;"
                   " call.uni __assertfail, (a, b, c, d, e); }\nEND:"), out);
    const struct ptxm_finding *f = bench_only(&b, "assertion");
    assert_non_null(strstr(f->message, "failed at a.c:42"));
    assert_int_equal(f->a.thread[0], 3);
    assert_int_equal(b.status, PTXM_ERROR_RUN);
    bench_free(&b);
}

// ---- what is refused ---------------------------------------------------------------------------

struct heard {
    char message[512];
    unsigned count, line;
};

static void keep(void *user, const struct ptxm_diagnostic *d)
{
    struct heard *h = user;
    if (!h->count++) {
        snprintf(h->message, sizeof h->message, "%s", d->message);
        h->line = d->line;
    }
}

static void test_refusals(void **state)
{
    static const struct { const char *text, *word; } list[] = {
        {KERNEL("", " tex.1d.v4.f32.s32 {%f1, %f2, %f3, %f4}, [%d1, {%r1}];"), "textures are not"},
        {KERNEL("", " sust.b.1d.b32.trap [%d1, {%r1}], {%r1};"), "surfaces are not"},
        {KERNEL("", " vadd4.s32.s32.s32 %r2, %r1, %r1, %r1;"), "video instructions"},
        {KERNEL("", " vmad.s32.s32.s32 %r2, %r1.b0, %r1, %r1;"), "video instructions"},
        {KERNEL("", " alloca.u64 %d4, %d2, 16;"), "known at run time"},
        {KERNEL("", " .reg .b128 %q; atom.global.exch.b128 %q, [%d1], %q;"), "128 bits"},
        {KERNEL("", " ld.global.v8.b64 {%d1,%d1,%d1,%d1,%d2,%d2,%d2,%d2}, [%d1];"), "32 bytes"},
        {KERNEL("", " .reg .b128 %q; st.global.v4.b128 [%d1], {%q,%q,%q,%q};"), "32 bytes"},
        {KERNEL(".extern .func (.param .b64 r) malloc(.param .b64 n);\n",
                " { .param .b64 a; .param .b64 c; st.param.b64 [a], 8; call (c), malloc, (a); }"),
         "allocate on the host"},
        {KERNEL(".extern .func (.param .b32 r) f(.param .b32 n);\n", CALL("f", "1")), "link it in"},
        {KERNEL("", " .reg .v4 .b32 v; mov.u32 %r2, v.q;"), "no element"},
        {KERNEL("", " shf.l.wrap.b32 %r2, !%r1, %r1, 3;"), "cannot be a source"},
        {KERNEL(".alias a, b;\n", ""), "declared before"},
        {HEAD ".visible .entry k(.reg .u32 %a)\n{ ret; }\n", "parameters in .param"},
        {KERNEL(".func f(.reg .pred %a) { ret; }\n", ""), "no register of this type"},
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        struct heard h = {.count = 0};
        struct ptxm_load_options options = {.diagnostic = keep, .diagnostic_user = &h};
        struct ptxm_module *m = NULL;
        assert_int_equal(ptxm_module_load(list[i].text, strlen(list[i].text), &options, &m),
                         PTXM_ERROR_PARSE);
        if (!strstr(h.message, list[i].word))
            fail_msg("'%s' was expected in: %s", list[i].word, h.message);
        assert_int_equal(h.count, 1);
        assert_true(h.line > 3);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recursion),
        cmocka_unit_test(test_local_of_each_call),
        cmocka_unit_test(test_parameters_in_registers),
        cmocka_unit_test(test_vector_registers),
        cmocka_unit_test(test_alias),
        cmocka_unit_test(test_printf),
        cmocka_unit_test(test_assertion),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests_name("language", tests, NULL, NULL);
}
