// SPDX-License-Identifier: MIT
// Arithmetic of single elements for every type, against the same in C.
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

enum { N = 256 };

static char source[2048];

// y = EXPRESSION of x, by element.
static double *unary(program_case *c, const char *in, const char *out, const char *expression,
                     double tolerance, double **y)
{
    snprintf(source, sizeof source,
             "kernel k(x: global %s[256], y: global %s[256])\n  warps 2\n{\n"
             "  a = load x[0.. + 256]\n  store y[0..] = %s\n}\n",
             in, out, expression);
    *c = (program_case){.file = expression, .source = source};
    double *x = program_add(c, "x", in, IN, 0, N);
    *y = program_add(c, "y", out, OUT, tolerance, N);
    return x;
}

typedef struct function {
    const char *text;
    double (*f)(double);
    double scale, offset, tolerance;
} function;

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

static double rsqrt(double x)
{
    return 1 / sqrt(x);
}

static double reciprocal(double x)
{
    return 1 / x;
}

static double negative(double x)
{
    return -x;
}

static const function functions[] = {
    {"exp(a)", exp, 10, 0, 1e-6},
    {"exp2(a)", exp2, 20, 0, 1e-6},
    {"log(a)", log, 50, 50.5, 1e-6},
    {"log2(a)", log2, 50, 50.5, 1e-6},
    {"sqrt(a)", sqrt, 50, 50.5, 6e-8},
    {"rsqrt(a)", rsqrt, 50, 50.5, 4e-7},
    {"rcp(a)", reciprocal, 5, 6, 3e-7},
    {"sin(a)", sin, 100, 0, 1.5e-6},
    {"cos(a)", cos, 100, 0, 1.5e-6},
    {"tanh(a)", tanh, 3, 0, 5e-7},
    {"tanh(a)", tanh, 0.5, 0, 2e-7},
    {"tanh(a)", tanh, 60, 0, 2e-7},
    {"sigmoid(a)", sigmoid, 30, 0, 5e-7},
    {"erf(a)", erf, 1, 0, 3e-7},
    {"erf(a)", erf, 5, 0, 3e-7},
    {"floor(a)", floor, 9, 0, 0},
    {"ceil(a)", ceil, 9, 0, 0},
    {"round(a)", nearbyint, 9, 0, 0},
    {"abs(a)", fabs, 9, 0, 0},
    {"neg(a)", negative, 9, 0, 0},
};

static void functions_of_f32(void **state)
{
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
        const function *f = &functions[i];
        program_case c;
        double *y, *x = unary(&c, "f32", "f32", f->text, f->tolerance, &y);
        for (int k = 0; k < N; k++) {
            x[k] = (float)(x[k] * f->scale + f->offset);
            y[k] = f->f(x[k]);
        }
        program_run(&c);
    }
}

static void extremes_of_f32(void **state)
{
    program_case c;
    double *y, *x = unary(&c, "f32", "f32", "tanh(a) + erf(a) + sigmoid(a)", 1e-6, &y);
    const double at[] = {-INFINITY, INFINITY, -1e30, 1e30, 0, -88, 88, 1e-20};
    for (int k = 0; k < N; k++) {
        x[k] = (float)at[k % 8];
        y[k] = tanh(x[k]) + erf(x[k]) + sigmoid(x[k]);
    }
    program_run(&c);
}

static void half_precision(void **state)
{
    static const char *const types[] = {"f16", "bf16"};
    for (int t = 0; t < 2; t++) {
        program_case c;
        double *y, *x = unary(&c, types[t], types[t], "fma(a, a, a) * a - a / (a + 4.0)", 2e-2, &y);
        for (int k = 0; k < N; k++) y[k] = (x[k] * x[k] + x[k]) * x[k] - x[k] / (x[k] + 4);
        program_run(&c);
        x = unary(&c, types[t], types[t], "max(min(exp(a), 1.5), a) + abs(neg(a))", 2e-2, &y);
        for (int k = 0; k < N; k++) y[k] = fmax(fmin(exp(x[k]), 1.5), x[k]) + fabs(x[k]);
        program_run(&c);
    }
}

static void double_precision(void **state)
{
    program_case c;
    double *y,
        *x = unary(&c, "f64", "f64", "sqrt(a * a + 2.0) / (a + 3.0) - rcp(a + 5.0)", 1e-14, &y);
    for (int k = 0; k < N; k++) y[k] = sqrt(x[k] * x[k] + 2) / (x[k] + 3) - 1 / (x[k] + 5);
    program_run(&c);
}

// -- Casts
// ------------------------------------------------------------------------------------------

static double truncated(double x, const char *to)
{
    int64_t i = (int64_t)x;
    if (!strcmp(to, "i8")) return (int8_t)i;
    if (!strcmp(to, "i16")) return (int16_t)i;
    if (!strcmp(to, "i32")) return (int32_t)i;
    return (double)i;
}

static void casts(void **state)
{
    static const char *const types[] = {"i8", "i16", "i32", "i64", "f16", "bf16", "f32", "f64"};
    for (int from = 0; from < 8; from++)
        for (int to = 0; to < 8; to++) {
            char text[64];
            program_case c;
            double *y;
            snprintf(text, sizeof text, "cast(a, %s)", types[to]);
            double *x = unary(&c, types[from], types[to], text,
                              to < 4    ? 0
                              : to == 5 ? 8e-3
                                        : 1e-3,
                              &y);
            for (int k = 0; k < N; k++) {
                if (from >= 4) x[k] = floor(x[k] * 60) + (from == 5 ? 0 : 0.5);
                y[k] = to < 4 ? truncated(trunc(x[k]), types[to]) : x[k];
            }
            program_run(&c);
        }
}

static void casts_of_truth(void **state)
{
    program_case c;
    double *y,
        *x = unary(&c, "f32", "i32", "cast(a > 0.0, i32) + 2 * cast(cast(a, i1), i32)", 0, &y);
    for (int k = 0; k < N; k++) {
        if (k % 5 == 0) x[k] = 0;
        y[k] = (x[k] > 0) + 2 * (x[k] != 0);
    }
    program_run(&c);
}

static void bit_casts(void **state)
{
    program_case c;
    double *y, *x = unary(&c, "f32", "i32", "bitcast(a, i32)", 0, &y);
    for (int k = 0; k < N; k++) {
        float f = (float)x[k];
        int32_t bits;
        memcpy(&bits, &f, 4);
        y[k] = bits;
    }
    program_run(&c);
}

// -- Integers
// ---------------------------------------------------------------------------------------

static int64_t floor_div(int64_t a, int64_t b)
{
    int64_t q = a / b;
    return a % b && (a % b < 0) != (b < 0) ? q - 1 : q;
}

static void integer_division(void **state)
{
    static const int divisors[] = {1, 2, 7, 8, 100, -3};
    static const char *const types[] = {"i8", "i32", "i64"};
    for (int t = 0; t < 3; t++)
        for (int i = 0; i < 6; i++) {
            char text[96];
            program_case c;
            double *y;
            snprintf(text, sizeof text, "(a / cast(%d, %s)) + (a %% cast(%d, %s))", divisors[i],
                     types[t], divisors[i], types[t]);
            double *x = unary(&c, types[t], types[t], text, 0, &y);
            for (int k = 0; k < N; k++) {
                int64_t a = (int64_t)x[k], b = divisors[i];
                y[k] = (double)(floor_div(a, b) + a - b * floor_div(a, b));
            }
            program_run(&c);
        }
}

static void division_by_a_tile(void **state)
{
    program_case c;
    double *y,
        *x = unary(&c, "i32", "i32", "(a * 7 + 3) / (a | 1) * 1000 + (a * 7 + 3) % (a | 1)", 0, &y);
    for (int k = 0; k < N; k++) {
        int64_t a = (int64_t)x[k], b = a | 1, n = a * 7 + 3;
        y[k] = (double)(floor_div(n, b) * 1000 + n - b * floor_div(n, b));
    }
    program_run(&c);
}

static void bits_and_shifts(void **state)
{
    program_case c;
    double *y,
        *x = unary(&c, "i32", "i32",
                   "((a << (a & 63)) ^ (a >> (a & 63))) + (~a & 255) - min(a, 3) + max(a, -3)", 0,
                   &y);
    for (int k = 0; k < N; k++) {
        int32_t a = (int32_t)x[k], n = a & 63;
        int32_t left = n < 32 ? (int32_t)((uint32_t)a << n) : 0, right = a >> (n < 32 ? n : 31);
        y[k] = (int32_t)((uint32_t)(left ^ right) + (uint32_t)(~a & 255) -
                         (uint32_t)(a < 3 ? a : 3) + (uint32_t)(a > -3 ? a : -3));
    }
    program_run(&c);
}

static void comparisons(void **state)
{
    program_case c;
    double *y, *x = unary(&c, "f32", "i32",
                          "cast(a < 0.1, i32) + 2 * cast(a <= 0.1, i32) + 4 * cast(a == a, i32) + "
                          "8 * cast(a != a, i32) + 16 * cast(not (a > 0.1) and (a >= -0.5), i32)",
                          0, &y);
    for (int k = 0; k < N; k++) {
        if (k % 7 == 0) x[k] = NAN;
        double a = x[k];
        float edge = 0.1f;
        y[k] = (a < edge) + 2 * (a <= edge) + 4 * (a == a) + 8 * (a != a) +
               16 * (!(a > edge) && a >= -0.5);
    }
    program_run(&c);
}

static void selects_and_nan(void **state)
{
    program_case c;
    double *y,
        *x = unary(&c, "f32", "f32",
                   "select(a == a, max(a, 0.25), min(a, 2.0)) + (a < 0.0 ? 1.0 : 2.0)", 1e-6, &y);
    for (int k = 0; k < N; k++) {
        if (k % 7 == 0) x[k] = NAN;
        double a = x[k];
        y[k] = (isnan(a) ? 2 : fmax(a, 0.25)) + (a < 0 ? 1 : 2);
    }
    program_run(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(functions_of_f32),
        cmocka_unit_test(extremes_of_f32),
        cmocka_unit_test(half_precision),
        cmocka_unit_test(double_precision),
        cmocka_unit_test(casts),
        cmocka_unit_test(casts_of_truth),
        cmocka_unit_test(bit_casts),
        cmocka_unit_test(integer_division),
        cmocka_unit_test(division_by_a_tile),
        cmocka_unit_test(bits_and_shifts),
        cmocka_unit_test(comparisons),
        cmocka_unit_test(selects_and_nan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
