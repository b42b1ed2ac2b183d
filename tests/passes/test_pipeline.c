// SPDX-License-Identifier: MIT
// fold, home and pipeline keep what a program does: each program below is run on symbols (trace.h)
// as written and as lowered, for 1 to 6 stages, several ways to count, and trip counts around the
// number of stages. No copy is issued that the program as written would not make.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "passes/pass_list.h"
#include "tests/passes/trace.h"

typedef struct program {
    const char *name;
    const char *text;   // %LOOP is the head of the loop, up to its stages
    bool all_async;     // every copy of the loop becomes copy_async
    int copies_outside; // plain ones
} program;

#define F16_PAIR "a: global f16[64, 32, 64], b: global f16[64, 64, 32], o: global f32[64, 32, 32]"
#define F32_PAIR "a: global f32[64, 128], b: global f32[64, 128], o: global f32[64, 128]"
#define TABLE "k: global f32[64, 128], table: global i32[64], o: global f32[64, 128]"
#define PROGRAM(parameters, ...) "kernel p(" parameters ", lo: i32, hi: i32)\n{\n" __VA_ARGS__ "}\n"

static const program programs[] = {
    {"one buffer",
     PROGRAM("a: global f32[64, 128], o: global f32[64, 128]",
             "  %LOOP {\n"
             "    shared s: f32[128] = load a[i, ..]\n"
             "    store o[i, ..] = load s\n"
             "  }\n"),
     true, 0},
    {"two buffers, read twice",
     PROGRAM(F16_PAIR, "  frag acc: f32[32, 32] = 0.0\n"
                       "  %LOOP {\n"
                       "    shared s: f16[32, 64] = load a[i, .., ..]\n"
                       "    shared t: f16[64, 32] = load b[i, .., ..]\n"
                       "    acc = dot(s, t, acc)\n"
                       "    store o[i, .., ..] = acc\n"
                       "    x = load s[.., 0 .. + 32]\n"
                       "    store o[i, 0.., ..] = dot(s, t, acc) + cast(x, f32)\n"
                       "  }\n"),
     true, 0},
    {"global operands",
     PROGRAM(F16_PAIR, "  frag acc: f32[32, 32] = 0.0\n"
                       "  %LOOP {\n"
                       "    acc = dot(a[i, .., ..], b[i, .., ..], acc)\n"
                       "    store o[i, .., ..] = acc\n"
                       "  }\n"),
     true, 0},
    {"a table of rows",
     PROGRAM(TABLE, "  %LOOP {\n"
                    "    row = load table[i * 2]\n"
                    "    shared s: f32[128] = load k[row + 1, ..]\n"
                    "    store o[i, ..] = load s\n"
                    "    store o[row, ..] = load s * 2.0\n"
                    "  }\n"),
     true, 0},
    {"a table of tables",
     PROGRAM(TABLE, "  %LOOP {\n"
                    "    row = load table[load table[i] + lo]\n"
                    "    shared s: f32[128] = load k[row, ..]\n"
                    "    shared t: f32[128] = load k[load table[lo], ..]\n"
                    "    store o[i, ..] = load s + load t\n"
                    "  }\n"),
     true, 0},
    {"gathered rows",
     PROGRAM("k: global f32[64, 128], table: global i32[64], o: global f32[64, 32, 128]",
             "  %LOOP {\n"
             "    row = load table[i + iota(32)]\n"
             "    shared s: f32[32, 128] = load k[row, ..]\n"
             "    store o[i, .., ..] = load s\n"
             "  }\n"),
     true, 0},
    {"nested, the outer one too",
     PROGRAM("a: global f32[64, 128], b: global f32[64, 64, 128], o: global f32[64, 128]",
             "  frag bound: i32 = hi\n"
             "  for u in 0 .. 3 pipeline 2 {\n"
             "    shared t: f32[128] = load a[u, ..]\n"
             "    %LOOP {\n"
             "      shared s: f32[128] = load b[i, u, ..]\n"
             "      store o[i + u, ..] = load s + load t\n"
             "    }\n"
             "    bound = bound + 1\n"
             "    store o[bound, ..] = load t\n"
             "  }\n"),
     true, 0},
    {"in two parts",
     PROGRAM("a: global f32[64, 128], o: global f32[64, 128]",
             "  %LOOP {\n"
             "    shared s: f32[2, 128]\n"
             "    copy s[0, ..] = a[i, ..]\n"
             "    copy s[1, ..] = a[i + 7, ..]\n"
             "    store o[i, ..] = load s[0, ..]\n"
             "    store o[i + 1, ..] = load s[1, ..]\n"
             "  }\n"),
     true, 0},
    {"a branch in the body",
     PROGRAM("a: global f32[64, 128], o: global f32[64, 128]",
             "  shared w: f32[128] = load a[0, ..]\n"
             "  frag n: i32 = 0\n"
             "  %LOOP {\n"
             "    shared s: f32[128] = load a[i, ..]\n"
             "    if i % 2 == 0 {\n"
             "      n = n + 1\n"
             "      store o[n, ..] = load s * load w\n"
             "    }\n"
             "  }\n"
             "  store o[n, ..] = load w\n"),
     true, 1},
    {"rows of odd length",
     PROGRAM("a: global f16[64, 129], o: global f16[64, 129]",
             "  %LOOP {\n"
             "    shared s: f16[64] = load a[i, 1 ..]\n"
             "    store o[i, 0 ..] = load s\n"
             "  }\n"),
     false, 0},
    {"stored, not copied",
     PROGRAM(F32_PAIR, "  %LOOP {\n"
                       "    shared s: f32[128] = load a[i, ..]\n"
                       "    shared t: f32[128] = load b[i, ..] + load s\n"
                       "    store o[i, ..] = load t\n"
                       "  }\n"),
     true, 0},
};

static const char *const loops[] = {
    "for i in 0 .. hi pipeline %d",         "for i in lo .. hi pipeline %d",
    "for i in lo .. hi step 3 pipeline %d", "for i in 0 .. hi step 2 pipeline %d",
    "for i in 0 .. 4 pipeline %d",          "for i in 5 .. 12 step 3 pipeline %d",
    "for i in 3 .. 3 pipeline %d",
};

typedef struct fixture {
    kg_arena arena;
    kg_diags diags;
    jmp_buf recovery;
} fixture;

static kg_kernel *parse(fixture *f, const char *text)
{
    kg_source *source = KG_NEW(&f->arena, kg_source);
    *source = (kg_source){"test", text, strlen(text)};
    kg_unit *unit = kg_parse(&f->arena, &f->diags, source, NULL, 0);
    if (!unit || !kg_verify(unit->kernels, &f->diags))
        fail_msg("%s\n%s", text,
                 f->diags.first ? kg_diag_render(&f->arena, f->diags.first, false) : "?");
    return unit->kernels;
}

static void verify(fixture *f, kg_kernel *kernel, const char *pass)
{
    if (!kg_verify(kernel, &f->diags))
        fail_msg("after %s: %s\n%s", pass,
                 f->diags.first ? kg_diag_render(&f->arena, f->diags.first, false) : "?",
                 kg_print_kernel(&f->arena, kernel));
    char *text = kg_print_kernel(&f->arena, kernel);
    kg_kernel *again = parse(f, text);
    if (!kg_kernel_equal(kernel, again))
        fail_msg("after %s: printing and parsing changes\n%s\n%s", pass, text,
                 kg_print_kernel(&f->arena, again));
}

static kg_kernel *lower(fixture *f, const char *text)
{
    kg_kernel *kernel = parse(f, text);
    kg_pass_context context = {.arena = &f->arena, .diags = &f->diags};
    assert_true(kg_pass_fold(&context, kernel));
    verify(f, kernel, "fold");
    assert_true(kg_pass_home(&context, kernel));
    verify(f, kernel, "home");
    assert_true(kg_pass_pipeline(&context, kernel));
    kernel->level = KG_LEVEL_STAGED;
    verify(f, kernel, "pipeline");
    return kernel;
}

static bool find_pipeline(kg_op *op, void *user)
{
    return !kg_op_attr(op, KG_A_PIPELINE);
}

static void compare(fixture *f, const program *p, kg_kernel *written, kg_kernel *lowered, int lo,
                    int hi)
{
    const int64_t scalars[] = {0, 0, 0, lo, hi}, *at = scalars + 5 - written->n_params;
    trace a = trace_run(&f->arena, written, at), b = trace_run(&f->arena, lowered, at);
    const char *problem = b.bad ? b.bad : !trace_equal(&a, &b) ? "the traces differ" : NULL;
    if (!problem && a.copies && b.copies != a.copies)
        problem = "another number of copies";
    if (!problem && p->all_async && b.async != b.copies - p->copies_outside)
        problem = "a copy is not asynchronous";
    if (!problem && !p->all_async && (b.async || b.commits))
        problem = "there should be no asynchronous copy";
    if (problem || a.bad)
        fail_msg("%s, lo %d, hi %d: %s %s (%d and %d events, %d and %d copies, %d async)\n%s\n%s",
                 p->name, lo, hi, problem, a.bad ? a.bad : "", a.events.count, b.events.count,
                 a.copies, b.copies, b.async, kg_print_kernel(&f->arena, written),
                 kg_print_kernel(&f->arena, lowered));
}

static void run_program(const program *p, const char *loop, int stages)
{
    static fixture f;
    char head[128], text[2048];
    memset(&f, 0, sizeof f);
    kg_arena_init(&f.arena, NULL);
    if (setjmp(f.recovery))
        fail_msg("out of memory");
    f.arena.recovery = &f.recovery;
    f.diags.arena = &f.arena;
    snprintf(head, sizeof head, loop, stages);
    const char *mark = strstr(p->text, "%LOOP");
    snprintf(text, sizeof text, "%.*s%s%s", (int)(mark - p->text), p->text, head, mark + 5);
    kg_kernel *written = parse(&f, text),
              *lowered = lower(&f, kg_arena_strndup(&f.arena, text, strlen(text)));
    assert_true(kg_walk(lowered->body, find_pipeline, NULL));
    for (int lo = -2; lo <= 2; lo += 2)
        for (int hi = -1; hi <= 9; hi += 1 + (hi > 1) * 3)
            compare(&f, p, written, lowered, lo, hi);
    kg_arena_free(&f.arena);
}

static void lowered_programs_do_the_same(void **state)
{
    for (size_t p = 0; p < sizeof programs / sizeof *programs; p++)
        for (size_t l = 0; l < sizeof loops / sizeof *loops; l++)
            for (int stages = 1; stages <= 6; stages++)
                run_program(&programs[p], loops[l], stages);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(lowered_programs_do_the_same)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
