// SPDX-License-Identifier: MIT
// What moves elements between registers, lanes and warps: broadcasts, transposes, reductions,
// scans, over shapes with and without powers of two and over one to six warps.
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

typedef struct shape {
    int m, n, warps;
} shape;

static const shape shapes[] = {
    {16, 64, 4}, {64, 16, 4}, {128, 32, 2}, {8, 8, 1},   {1, 256, 4}, {256, 1, 4},
    {12, 40, 4}, {100, 8, 2}, {3, 5, 1},    {48, 96, 3}, {64, 64, 6}, {2, 1024, 8},
};

enum { SHAPES = sizeof shapes / sizeof shapes[0] };

static char source[2048], name[128];

// A program on x[M, N] with the shape's constants; `body` may use x, y, M and N.
static double *start(program_case *c, const shape *s, const char *in, const char *out,
                     const char *out_dims, int64_t out_elements, const char *body, double tolerance,
                     double **y)
{
    snprintf(source, sizeof source,
             "kernel k(x: global %s[M, N], y: global %s[%s])\n  const M = %d, N = %d\n"
             "  warps %d\n{\n  a = load x[0.. + M, 0.. + N]\n%s\n}\n",
             in, out, out_dims, s->m, s->n, s->warps, body);
    snprintf(name, sizeof name, "%dx%d %d warps: %s", s->m, s->n, s->warps, body);
    *c = (program_case){.file = name, .source = source};
    double *x = program_add(c, "x", in, IN, 0, (int64_t)s->m * s->n);
    *y = program_add(c, "y", out, OUT, tolerance, out_elements);
    return x;
}

static void transposes(void **state)
{
    for (int i = 0; i < SHAPES; i++) {
        const shape *s = &shapes[i];
        program_case c;
        double *y, *x = start(&c, s, "f32", "f32", "N, M", s->m * s->n,
                              "  store y[0.., 0..] = transpose(a)", 0, &y);
        for (int m = 0; m < s->m; m++)
            for (int n = 0; n < s->n; n++) y[n * s->m + m] = x[m * s->n + n];
        program_run(&c);
    }
}

static void transposed_stores(void **state)
{
    for (int i = 0; i < SHAPES; i++) {
        const shape *s = &shapes[i];
        program_case c;
        double *y, *x = start(&c, s, "i8", "i8", "N, M", s->m * s->n,
                              "  store transpose(y[0.. + N, 0.. + M]) = a", 0, &y);
        for (int m = 0; m < s->m; m++)
            for (int n = 0; n < s->n; n++) y[n * s->m + m] = x[m * s->n + n];
        program_run(&c);
    }
}

static void through_shared(void **state)
{
    for (int i = 0; i < SHAPES; i++) {
        const shape *s = &shapes[i];
        program_case c;
        double *y,
            *x = start(&c, s, "f16", "f16", "N, M", s->m * s->n,
                       "  shared t: f16[M, N] = a\n  store y[0.., 0..] = load transpose(t)", 0, &y);
        for (int m = 0; m < s->m; m++)
            for (int n = 0; n < s->n; n++) y[n * s->m + m] = x[m * s->n + n];
        program_run(&c);
    }
}

static void broadcasts(void **state)
{
    for (int i = 0; i < SHAPES; i++) {
        const shape *s = &shapes[i];
        program_case c;
        double *y,
            *x = start(
                &c, s, "f32", "f32", "M, N", s->m * s->n,
                "  r = max(a, axis=1)\n  q = min(a, axis=0)\n"
                "  i = cast(iota([M, N], axis=0), f32)\n"
                "  j = cast(iota(N), f32)\n"
                "  store y[0.., 0..] = r[:, None] * 2.0 + q[None, :] + i * 100.0 + j[None, :]",
                1e-6, &y);
        for (int m = 0; m < s->m; m++)
            for (int n = 0; n < s->n; n++) {
                double most = -INFINITY, least = INFINITY;
                for (int k = 0; k < s->n; k++) most = fmax(most, x[m * s->n + k]);
                for (int k = 0; k < s->m; k++) least = fmin(least, x[k * s->n + n]);
                y[m * s->n + n] = most * 2 + least + m * 100 + n;
            }
        program_run(&c);
    }
}

// -- Reductions
// -------------------------------------------------------------------------------------

static double reduce(const char *op, const double *x, int64_t count, int64_t step)
{
    double sum = 0, product = 1, most = -INFINITY, least = INFINITY;
    int at_most = 0, at_least = 0, any = 0, all = 1;
    for (int64_t k = 0; k < count; k++) {
        double v = x[k * step];
        sum += v;
        product *= v;
        if (v > most) most = v, at_most = (int)k;
        if (v < least) least = v, at_least = (int)k;
        any |= v > 0.9;
        all &= v > -0.9;
    }
    if (!strcmp(op, "sum")) return sum;
    if (!strcmp(op, "prod")) return product;
    if (!strcmp(op, "max")) return most;
    if (!strcmp(op, "min")) return least;
    if (!strcmp(op, "argmax")) return at_most;
    if (!strcmp(op, "argmin")) return at_least;
    return !strcmp(op, "any") ? any : all;
}

static const char *const reductions[] = {"sum",    "prod",   "max", "min",
                                         "argmax", "argmin", "any", "all"};

static void reduce_one(const shape *s, const char *op, int axis, const char *dtype)
{
    program_case c;
    char body[256];
    bool arg = op[0] == 'a' && op[1] == 'r', truth = !strcmp(op, "any") || !strcmp(op, "all");
    const char *out = arg || truth ? "i32" : dtype;
    int count = axis ? s->m : s->n;
    if (truth)
        snprintf(body, sizeof body, "  store y[0..] = cast(%s(a > %s, axis=%d), i32)", op,
                 op[1] == 'n' ? "0.9" : "-0.9", axis);
    else
        snprintf(body, sizeof body, "  store y[0..] = %s(a, axis=%d)", op, axis);
    double tolerance = out[0] == 'i' ? 0 : !strcmp(dtype, "f32") ? 2e-5 : 2e-2;
    double *y, *x = start(&c, s, dtype, out, axis ? "M" : "N", count, body, tolerance, &y);
    for (int k = 0; k < s->m * s->n && dtype[0] == 'f' && arg; k++)
        x[k] = floor(x[k] * 8) / 8; // ties: the first wins
    for (int k = 0; k < count; k++)
        y[k] = axis ? reduce(op, x + (int64_t)k * s->n, s->n, 1) : reduce(op, x + k, s->m, s->n);
    program_run(&c);
}

static void reductions_of_f32(void **state)
{
    for (int i = 0; i < SHAPES; i++)
        for (int r = 0; r < 8; r++)
            for (int axis = 0; axis < 2; axis++) reduce_one(&shapes[i], reductions[r], axis, "f32");
}

static void reductions_of_other_types(void **state)
{
    static const char *const types[] = {"f16", "bf16", "i32", "f64"};
    for (int t = 0; t < 4; t++)
        for (int r = 0; r < 6; r++) {
            if (!strcmp(types[t], "i32") && r == 1) continue; // overflows
            reduce_one(&shapes[r % 3], reductions[r], t & 1, types[t]);
        }
}

static void reductions_to_a_scalar(void **state)
{
    for (int i = 0; i < SHAPES; i++) {
        const shape *s = &shapes[i];
        program_case c;
        double *y,
            *x = start(&c, s, "f32", "f32", "1", 1, "  store y[0] = sum(a) + max(a)", 1e-4, &y);
        double sum = 0, most = -INFINITY;
        for (int k = 0; k < s->m * s->n; k++) sum += x[k], most = fmax(most, x[k]);
        y[0] = sum + most;
        program_run(&c);
    }
}

// -- Scans
// --------------------------------------------------------------------------------------------

static void scans(void **state)
{
    static const char *const ops[] = {"cumsum", "cummax", "cumprod"};
    for (int i = 0; i < SHAPES; i++)
        for (int o = 0; o < 3; o++)
            for (int axis = 0; axis < 2; axis++) {
                const shape *s = &shapes[i];
                char body[96];
                program_case c;
                snprintf(body, sizeof body, "  store y[0.., 0..] = %s(a, axis=%d)", ops[o], axis);
                double *y, *x = start(&c, s, "f32", "f32", "M, N", s->m * s->n, body, 1e-5, &y);
                for (int m = 0; m < s->m; m++)
                    for (int n = 0; n < s->n; n++) {
                        int at = m * s->n + n, before = axis ? at - 1 : at - s->n;
                        bool first = axis ? n == 0 : m == 0;
                        if (o == 2) x[at] = (float)(1 + x[at] / 16);
                        double p = first ? (o == 1 ? -INFINITY : o / 2) : y[before];
                        y[at] = o == 0 ? p + x[at] : o == 1 ? fmax(p, x[at]) : p * x[at];
                    }
                program_run(&c);
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(transposes),
        cmocka_unit_test(transposed_stores),
        cmocka_unit_test(through_shared),
        cmocka_unit_test(broadcasts),
        cmocka_unit_test(reductions_of_f32),
        cmocka_unit_test(reductions_of_other_types),
        cmocka_unit_test(reductions_to_a_scalar),
        cmocka_unit_test(scans),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
