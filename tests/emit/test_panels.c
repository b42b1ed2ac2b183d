// SPDX-License-Identifier: MIT
// Buffers cut into panels: copies, loads and stores of each width, views that start at run time,
// within a panel or across, ldmatrix, transposes. Each program is compiled as far as pass place,
// its buffers are given panels and swizzles, and it goes on from there; the validator and the PTX
// machine work with the bytes that kg_shared_byte names.
#include "runtime/kgen.h"
#include "tests/programs/harness.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define IN PROGRAM_INPUT
#define OUT PROGRAM_OUTPUT

static void show(const kgen_diagnostic *d, void *user)
{
    fputs(d->rendered, stderr);
}

// Another layout for a buffer of the placed text: all behind its offset.
static void set_layout(char *ir, size_t room, const char *buffer, const char *layout)
{
    char start[32], rest[16384];
    snprintf(start, sizeof start, "  shared %s: ", buffer);
    char *line = strstr(ir, start), *pitch = line ? strstr(line, "pitch=") : NULL;
    assert_non_null(pitch);
    snprintf(rest, sizeof rest, "%s", strchr(pitch, '}'));
    snprintf(pitch, room - (size_t)(pitch - ir), "%s%s", layout, rest);
}

static char *place(const char *source)
{
    static char ir[16384];
    kgen_context *context = NULL;
    kgen_program *program = NULL;
    assert_int_equal(kgen_context_create(&(kgen_options){.diagnostic = show}, &context), KGEN_OK);
    kgen_compile_options options = {.stop_after = "place", .no_share = 1, .no_repair = 1};
    assert_int_equal(kgen_compile(context, source, strlen(source), &options, &program), KGEN_OK);
    snprintf(ir, sizeof ir, "%s", kgen_program_ir(program));
    kgen_program_free(program);
    kgen_context_free(context);
    return ir;
}

// ---- loads and stores ---------------------------------------------------------------------------

enum { ROWS = 32, COLUMNS = 96, PART = 24 };

static const char moves_source[] =
    "kernel moves(x: global bf16[32, 96], rows: global bf16[32, 96], turned: global bf16[96, 32],\n"
    "             parts: global bf16[32, 96], slid: global bf16[32, 96], n: i32)\n"
    "  warps 4\n  grid g: 1\n{\n"
    "  shared s: bf16[32, 96]\n  shared t: bf16[32, 96] ring 2\n"
    "  copy s = x[0.., 0..]\n"
    "  store rows[0.., 0..] = load s\n"
    "  store turned[0.., 0..] = load transpose(s)\n"
    "  for i in 0 .. n {\n"
    "    frag part: bf16[32, 24] = load s[0.., i*24..]\n"
    "    store parts[0.., i*24..] = part\n"
    "    frag all: bf16[32, 96] = load s\n    store t[i] = all\n    barrier\n"
    "    frag back: bf16[8, 96] = load t[i; i*8.., 0..]\n"
    "    store slid[i*8.., 0..] = back\n  }\n}\n";

static const char *const layouts[] = {
    "pitch=32, swizzle=[4, 2, 1], panel=32",
    "pitch=16, swizzle=[4, 1, 2], panel=16",
    "pitch=32, panel=32",
    "pitch=8, panel=8",
    "pitch=48, panel=48",
    "pitch=32, swizzle=[4, 1, 0], panel=32",
};

static void moves(void **state)
{
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++) {
        char *ir = place(moves_source);
        set_layout(ir, 16384, "s", layouts[i]);
        set_layout(ir, 16384, "t", layouts[(i + 1) % 6]);
        program_case c = {.file = layouts[i], .source = ir};
        double *x = program_add(&c, "x", "bf16", IN, 0, ROWS * COLUMNS);
        double *rows = program_add(&c, "rows", "bf16", OUT, 0, ROWS * COLUMNS);
        double *turned = program_add(&c, "turned", "bf16", OUT, 0, ROWS * COLUMNS);
        double *parts = program_add(&c, "parts", "bf16", OUT, 0, ROWS * COLUMNS);
        double *slid = program_add(&c, "slid", "bf16", OUT, 0, ROWS * COLUMNS);
        program_scalar(&c, "n", COLUMNS / PART);
        for (int r = 0; r < ROWS; r++)
            for (int k = 0; k < COLUMNS; k++) {
                int at = r * COLUMNS + k;
                rows[at] = parts[at] = slid[at] = turned[k * ROWS + r] = x[at];
            }
        program_run(&c);
    }
}

// ---- ldmatrix -----------------------------------------------------------------------------------

static const char product_source[] =
    "kernel product(a: global f16[64, K], b: global f16[K, 128], c: global f32[64, 128], K: i32)\n"
    "  assume K % 64 == 0\n  warps 4\n  grid g: 1\n{\n"
    "  frag acc: f32[64, 128] = 0.0\n"
    "  for k in 0 .. K / 64 pipeline 2 {\n"
    "    shared sa: f16[64, 64] = load a[0.., k*64..]\n"
    "    shared sb: f16[64, 128] = load b[k*64.., 0..]\n"
    "    for j in 0 .. 4 { acc = dot(sa[0.., j*16 .. + 16], sb[j*16 .. + 16, 0..], acc) }\n  }\n"
    "  store c[0.., 0..] = acc\n}\n";

static void products(void **state)
{
    static const char *const of_a[] = {"pitch=64, swizzle=[4, 3, 0]",
                                       "pitch=32, swizzle=[4, 2, 1], panel=32", "pitch=8, panel=8"};
    static const char *const of_b[] = {"pitch=64, swizzle=[4, 3, 0], panel=64",
                                       "pitch=16, swizzle=[4, 1, 2], panel=16",
                                       "pitch=32, panel=32"};
    enum { M = 64, N = 128, K = 128 };
    for (int i = 0; i < 3; i++) {
        char *ir = place(product_source);
        set_layout(ir, 16384, "sa", of_a[i]);
        set_layout(ir, 16384, "sb", of_b[i]);
        program_case c = {.file = of_b[i], .source = ir};
        double *a = program_add(&c, "a", "f16", IN, 0, M * K);
        double *b = program_add(&c, "b", "f16", IN, 0, K * N);
        double *y = program_add(&c, "c", "f32", OUT, 2e-5, M * N);
        program_scalar(&c, "K", K);
        for (int r = 0; r < M; r++)
            for (int j = 0; j < N; j++)
                for (int k = 0; k < K; k++) y[r * N + j] += a[r * K + k] * b[k * N + j];
        program_run(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(moves), cmocka_unit_test(products)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
