// SPDX-License-Identifier: MIT
// Instructions that are known and not supported: kernels that have them, or may come to them, are
// not launched, and say why; the other kernels of the text run.
#include "planted.h"

#include <stdio.h>
#include <string.h>

struct heard {
    char message[400];
    unsigned line, count;
};

static void hear(void *user, const struct ptxm_diagnostic *d)
{
    struct heard *h = user;
    h->line = d->line;
    h->count++;
    snprintf(h->message, sizeof h->message, "%s", d->message);
}

#define SM90 ".version 8.6\n.target sm_90a\n.address_size 64\n"
// Line 4 and following. `plain` writes 7 to p.
#define TEXTURES                                                                                   \
    SM90 ".global .texref image;\n"                                                                \
         ".global .texref more = {addr_mode_0 = clamp_to_border, filter_mode = linear};\n"         \
         ".global .surfref face;\n"
#define PLAIN                                                                                      \
    ".visible .entry plain(.param .u64 p) { .reg .b64 %d<4>; ld.param.u64 %d1, [p];"               \
    " st.global.u32 [%d1], 7; ret; }\n"
#define WITH(name, body)                                                                           \
    ".visible .entry " name "(.param .u64 p) {\n"                                                  \
    " .reg .b64 %d<9>; .reg .b32 %r<9>; .reg .f32 %f<9>; .reg .pred %p<4>; .reg .b16 %h<9>;"       \
    " ld.param.u64 %d1, [p];\n" body "\n ret; }\n"

static enum ptxm_status launch(struct bench *b, const char *kernel, uint64_t p, struct heard *h)
{
    struct ptxm_launch l = {.kernel = kernel, .grid = {1, 1, 1}, .block = {1, 1, 1},
                            .params = &p, .param_bytes = 8, .options = &b->options};
    *h = (struct heard){.count = 0};
    ptxm_report_free(b->report);
    b->report = NULL;
    return ptxm_launch(b->device, b->module, &l, hear, h, &b->report);
}

// `kernel` is refused at this line, `plain` runs.
static void check(const char *text, const char *kernel, const char *says, unsigned line)
{
    struct bench b;
    struct heard h;
    uint32_t word = 0;
    planted_assemble(text);
    bench_load(&b, text);
    uint64_t p = bench_buffer(&b, 4, &word);
    assert_int_equal(launch(&b, kernel, p, &h), PTXM_ERROR_PARSE);
    assert_null(b.report);
    if (!strstr(h.message, says))
        print_message("# %s\n", h.message);
    assert_non_null(strstr(h.message, says));
    assert_int_equal(h.line, line);
    const struct ptxm_kernel *facts = ptxm_module_find(b.module, kernel);
    assert_string_equal(facts->refused, h.message);
    assert_int_equal(facts->refused_line, line);
    assert_null(ptxm_module_find(b.module, "plain")->refused);
    assert_int_equal(launch(&b, "plain", p, &h), PTXM_OK);
    bench_clean(&b);
    bench_read(&b, p, &word, 4);
    assert_int_equal(word, 7);
    bench_free(&b);
}

static void test_one_kernel(void **state)
{
    static const char *const textures = "textures are not supported: read the data through a";
    static const char *const surfaces = "surfaces are not supported";
    static const struct { const char *body, *says; } list[] = {
        {"tex.2d.v4.f32.f32 {%f1, %f2, %f3, %f4}, [%d1, {%f5, %f6}];", textures},
        {"tex.1d.v4.s32.s32 {%r1, %r2, %r3, %r4}, [image, {%r5}];", textures},
        {"tex.level.2d.v4.f32.f32 {%f1, %f2, %f3, %f4}, [%d1, {%f5, %f6}], %f7;", textures},
        {"tld4.r.2d.v4.f32.f32 {%f1, %f2, %f3, %f4}, [%d1, {%f5, %f6}];", textures},
        {"txq.width.b32 %r1, [image];", "textures are not supported: pass sizes"},
        {"suld.b.1d.b32.trap %r1, [face, {%r2}];", surfaces},
        {"sust.b.2d.v2.b32.clamp [face, {%r1, %r2}], {%r3, %r4};", surfaces},
        {"sured.b.add.2d.u32.trap [face, {%r1, %r2}], %r3;", surfaces},
        {"suq.width.b32 %r1, [face];", surfaces},
        {"istypep.texref %p1, %d1;", "textures and surfaces are not supported"},
        {"vadd.s32.s32.s32 %r1, %r2, %r3;", "video instructions are not supported"},
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        char text[2048];
        const char *around = TEXTURES PLAIN WITH("other", "#"), *mark = strchr(around, '#');
        snprintf(text, sizeof text, "%.*s%s%s", (int)(mark - around), around, list[i].body,
                 mark + 1);
        check(text, "other", list[i].says, 10);
    }
}

#define FUNCTION                                                                                   \
    ".func helper(.param .b64 x) {\n .reg .b32 %r<4>;\n txq.width.b32 %r1, [image];\n ret; }\n"

static void test_calls(void **state)
{
    // by name, through another function, and by address
    check(TEXTURES PLAIN FUNCTION
          WITH("other", "{ .param .b64 a; st.param.b64 [a], %d1; call helper, (a); }"),
          "other", "txq.width.b32", 10);
    check(TEXTURES PLAIN FUNCTION
          ".func between(.param .b64 x) {\n { .param .b64 a; .reg .b64 %d1; mov.b64 %d1, 0;"
          " st.param.b64 [a], %d1; call helper, (a); }\n ret; }\n"
          WITH("other", "{ .param .b64 a; st.param.b64 [a], %d1; call between, (a); }"),
          "other", "txq.width.b32", 10);
    check(TEXTURES PLAIN FUNCTION
          WITH("other", "proto: .callprototype _ (.param .b64 _);\n mov.u64 %d2, helper;"
               " { .param .b64 a; st.param.b64 [a], %d1; call %d2, (a), proto; }"),
          "other", "txq.width.b32", 10);
}

#define MALLOC ".extern .func (.param .b64 r) malloc (.param .b64 n);\n"

static void test_heap(void **state)
{
    check(TEXTURES PLAIN MALLOC
          WITH("other", "{ .param .b64 n; .param .b64 r; st.param.b64 [n], %d1;"
               " call (r), malloc, (n); ld.param.b64 %d2, [r]; }"),
          "other", "allocate on the host and pass the address", 11);
}

// Nothing in the text can run: it is refused as a whole, with each kernel's reason.
static void test_nothing_left(void **state)
{
    static const char text[] = TEXTURES WITH("one", "txq.width.b32 %r1, [image];")
        WITH("two", "suq.width.b32 %r1, [face];");
    struct heard h = {.count = 0};
    struct ptxm_load_options options = {.diagnostic = hear, .diagnostic_user = &h};
    struct ptxm_module *m;
    assert_int_equal(ptxm_module_load(text, strlen(text), &options, &m), PTXM_ERROR_PARSE);
    assert_int_equal(h.count, 2);
    assert_int_equal(h.line, 13);
    assert_non_null(strstr(h.message, "surfaces are not supported"));
}

int main(int argc, char **argv)
{
    planted_start(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_kernel),
        cmocka_unit_test(test_calls),
        cmocka_unit_test(test_heap),
        cmocka_unit_test(test_nothing_left),
    };
    return cmocka_run_group_tests_name("refusal", tests, NULL, NULL);
}
