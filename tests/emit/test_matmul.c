// SPDX-License-Identifier: MIT
// dot: each instruction family, operand homes, operand majors, tiles, warps and tails.
#include "tests/programs/harness.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#define IN PROGRAM_INPUT
#define OUT PROGRAM_OUTPUT

typedef struct tiling {
    const char *in, *out;
    int bm, bn, bk, warps, stages;
    bool a_column, b_column; // stored transposed
} tiling;

static const tiling tilings[] = {
    {"bf16", "f32", 64, 64, 32, 4, 3, false, false},
    {"f16", "f32", 64, 64, 32, 4, 2, true, false},
    {"f16", "f32", 32, 128, 64, 4, 3, false, true},
    {"bf16", "f32", 128, 32, 16, 2, 2, true, true},
    {"f16", "f32", 16, 8, 16, 1, 2, false, false},
    {"f16", "f32", 48, 40, 32, 1, 2, false, false},
    {"i8", "i32", 32, 64, 64, 2, 2, false, true},
    {"i8", "i32", 32, 32, 32, 2, 2, false, false},
    {"f32", "f32", 32, 64, 16, 4, 2, false, false},
    {"f32", "f32", 16, 16, 12, 1, 2, true, true},
    {"bf16", "f32", 16, 32, 8, 2, 2, false, false},
    {"f16", "f32", 20, 12, 10, 1, 2, false, false},
    {"i8", "i32", 16, 16, 16, 1, 2, true, false},
    {"bf16", "f32", 64, 96, 32, 4, 2, false, false},
};

static void fill(const tiling *t, double *a, double *b, double *y, int64_t m, int64_t n, int64_t k)
{
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            double sum = 0;
            for (int64_t l = 0; l < k; l++)
                sum +=
                    a[t->a_column ? l * m + i : i * k + l] * b[t->b_column ? j * k + l : l * n + j];
            y[i * n + j] = sum;
        }
}

static void run_tiling(const tiling *t, int64_t m, int64_t n, int64_t k)
{
    char source[1024];
    snprintf(source, sizeof source,
             "kernel mm(a: global %s[%s], b: global %s[%s], c: global %s[M, N])\n"
             "  const BM = %d, BN = %d, BK = %d\n  warps %d\n"
             "  grid n: ceildiv(N, BN), m: ceildiv(M, BM)\n{\n"
             "  frag acc: %s[BM, BN] = %s\n"
             "  for k in 0 .. ceildiv(K, BK) pipeline %d {\n"
             "    shared sa: %s[%s] = load a[%s]\n    shared sb: %s[%s] = load b[%s]\n"
             "    acc = dot(%s, %s, acc)\n  }\n  store c[m*BM.., n*BN..] = acc\n}\n",
             t->in, t->a_column ? "K, M" : "M, K", t->in, t->b_column ? "N, K" : "K, N", t->out,
             t->bm, t->bn, t->bk, t->warps, t->out, t->out[0] == 'i' ? "0" : "0.0", t->stages,
             t->in, t->a_column ? "BK, BM" : "BM, BK",
             t->a_column ? "k*BK.., m*BM.." : "m*BM.., k*BK..", t->in,
             t->b_column ? "BN, BK" : "BK, BN", t->b_column ? "n*BN.., k*BK.." : "k*BK.., n*BN..",
             t->a_column ? "transpose(sa)" : "sa", t->b_column ? "transpose(sb)" : "sb");
    program_case c = {.file = source, .source = source};
    double *a = program_add(&c, "a", t->in, IN, 0, m * k),
           *b = program_add(&c, "b", t->in, IN, 0, k * n);
    double *y = program_add(&c, "c", t->out, OUT, t->out[0] == 'i' ? 0 : 2e-5, m * n);
    program_scalar(&c, "M", m);
    program_scalar(&c, "N", n);
    program_scalar(&c, "K", k);
    fill(t, a, b, y, m, n, k);
    program_run(&c);
}

static void whole_tiles(void **state)
{
    for (size_t i = 0; i < sizeof tilings / sizeof tilings[0]; i++) {
        const tiling *t = &tilings[i];
        run_tiling(t, 2 * t->bm, t->bn, 3 * t->bk);
    }
}

static void tails(void **state)
{
    for (size_t i = 0; i < sizeof tilings / sizeof tilings[0]; i++) {
        const tiling *t = &tilings[i];
        run_tiling(t, t->bm + 5, t->bn - 3, 2 * t->bk + 7);
        run_tiling(t, 1, 1, 1);
    }
}

// The first product stays in registers and is an operand of the second.
static void fragment_operands(void **state)
{
    program_case c = {
        .file = "chain",
        .source =
            "kernel chain(a: global f16[64, 32], b: global f16[32, 48], d: global f16[48, 32],\n"
            "             y: global f32[64, 32])\n  warps 4\n{\n"
            "  shared sa: f16[64, 32] = load a[0.., 0..]\n"
            "  shared sb: f16[32, 48] = load b[0.., 0..]\n"
            "  shared sd: f16[48, 32] = load d[0.., 0..]\n"
            "  p = cast(sa @ sb, f16)\n  store y[0.., 0..] = p @ sd\n}\n"};
    double *a = program_add(&c, "a", "f16", IN, 0, 64 * 32),
           *b = program_add(&c, "b", "f16", IN, 0, 32 * 48);
    double *d = program_add(&c, "d", "f16", IN, 0, 48 * 32),
           *y = program_add(&c, "y", "f32", OUT, 2e-2, 64 * 32);
    for (int i = 0; i < 64; i++)
        for (int j = 0; j < 32; j++) {
            y[i * 32 + j] = 0;
            for (int k = 0; k < 48; k++) {
                double p = 0;
                for (int l = 0; l < 32; l++) p += a[i * 32 + l] * b[l * 48 + k];
                y[i * 32 + j] += p * d[k * 32 + j];
            }
        }
    program_run(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_tiles),
        cmocka_unit_test(tails),
        cmocka_unit_test(fragment_operands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
