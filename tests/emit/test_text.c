// SPDX-License-Identifier: MIT
// Arithmetic that is written as text behind LLVM (codegen/llvm_spell.h): what loops and branches
// carry in its registers, and products that sums take unrounded.
#include "tests/programs/harness.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

enum { N = 256 };

static char source[1024];

// y and z from x and n, by the statements given.
static double *program(program_case *c, const char *statements, int64_t n, double **y, double **z)
{
    snprintf(source, sizeof source,
             "kernel k(x: global f32[256], y: global f32[256], z: global f32[256], n: i32)\n"
             "  warps 2\n{\n  frag a: f32[256] = load x[0.. + 256]\n%s"
             "  store y[0..] = a\n  store z[0..] = b\n}\n",
             statements);
    *c = (program_case){.file = statements, .source = source};
    double *x = program_add(c, "x", "f32", PROGRAM_INPUT, 0, N);
    *y = program_add(c, "y", "f32", PROGRAM_OUTPUT, 0, N);
    *z = program_add(c, "z", "f32", PROGRAM_OUTPUT, 0, N);
    program_scalar(c, "n", n);
    return x;
}

// Each of two phis gets the other one: neither may be written before the other was read.
static void tiles_change_places(void **state)
{
    for (int n = 0; n < 4; n++) {
        program_case c;
        double *y, *z,
            *x = program(&c,
                         "  frag b: f32[256] = a * 0.5\n  for t in 0 .. n {\n"
                         "    was = a * 1.0\n    a = b\n    b = was\n  }\n",
                         n, &y, &z);
        for (int k = 0; k < N; k++) {
            y[k] = n % 2 ? x[k] / 2 : x[k];
            z[k] = n % 2 ? x[k] : x[k] / 2;
        }
        program_run(&c);
    }
}

// What a loop leaves behind is read after its phi would have been written again.
static void the_round_before(void **state)
{
    for (int n = 0; n < 3; n++) {
        program_case c;
        double *y, *z,
            *x = program(&c,
                         "  frag b: f32[256] = 8.0\n  for t in 0 .. n {\n"
                         "    b = a\n    a = a * 0.5\n  }\n",
                         n, &y, &z);
        for (int k = 0; k < N; k++) {
            y[k] = ldexp(x[k], -n);
            z[k] = n ? ldexp(x[k], 1 - n) : 8;
        }
        program_run(&c);
    }
}

// A tile that one arm changes, and one that is made in a loop whose first trip is sure.
static void branches_and_sure_loops(void **state)
{
    for (int n = 0; n < 4; n++) {
        program_case c;
        double *y, *z,
            *x =
                program(&c,
                        "  frag b: f32[256] = 0.0\n  for t in 0 .. 3 {\n"
                        "    if t == n {\n      a = a * 2.0\n    } else {\n      b = b + a\n    }\n"
                        "    if t > n {\n      b = b * 0.25\n    }\n  }\n",
                        n, &y, &z);
        for (int k = 0; k < N; k++) {
            float a = (float)x[k], b = 0;
            for (int t = 0; t < 3; t++) {
                if (t == n)
                    a *= 2;
                else
                    b += a;
                if (t > n) b *= 0.25f;
            }
            y[k] = a;
            z[k] = b;
        }
        program_run(&c);
    }
}

// A loop carries what only an instruction of LLVM's reads, the rounding to f16.
static void rounded_at_each_trip(void **state)
{
    for (int n = 0; n < 3; n++) {
        program_case c;
        double *y, *z,
            *x = program(&c,
                         "  frag h: f16[256] = min(cast(8.0 * a, f16), 4.0)\n"
                         "  for t in 0 .. n {\n    h = h + h\n  }\n  b = cast(h, f32)\n",
                         n, &y, &z);
        for (int k = 0; k < N; k++) {
            x[k] = (double)(k % 64) / 64;
            y[k] = x[k];
            z[k] = ldexp(fmin(8 * x[k], 4), n);
        }
        program_run(&c);
    }
}

// The same of products, whose registers LLVM carries together.
static void the_product_before(void **state)
{
    enum { D = 16 };
    for (int n = 0; n < 4; n++) {
        program_case c = {.file = "the_product_before",
                          .source = "kernel k(x: global f16[16, 16], y: global f32[16, 16],\n"
                                    "         z: global f32[16, 16], n: i32)\n  warps 1\n{\n"
                                    "  shared s: f16[16, 16] = load x[0.., 0..]\n"
                                    "  frag a: f32[16, 16] = dot(s, s)\n"
                                    "  frag b: f32[16, 16] = 0.0\n  for t in 0 .. n {\n"
                                    "    b = a\n    a = dot(s, s, a)\n  }\n"
                                    "  store y[0.., 0..] = a\n  store z[0.., 0..] = b\n}\n"};
        double *x = program_add(&c, "x", "f16", PROGRAM_INPUT, 0, D * D);
        double *y = program_add(&c, "y", "f32", PROGRAM_OUTPUT, 0, D * D);
        double *z = program_add(&c, "z", "f32", PROGRAM_OUTPUT, 0, D * D);
        program_scalar(&c, "n", n);
        for (int i = 0; i < D * D; i++) x[i] = i % 7 - 3;
        for (int i = 0; i < D; i++)
            for (int k = 0; k < D; k++) {
                double sum = 0;
                for (int j = 0; j < D; j++) sum += x[i * D + j] * x[j * D + k];
                y[i * D + k] = (n + 1) * sum;
                z[i * D + k] = n * sum;
            }
        program_run(&c);
    }
}

// Bit by bit what a fused operation gives, not what two give.
static void products_are_not_rounded(void **state)
{
    static const struct {
        const char *text;
        float factor, summand;
    } forms[] = {
        {"  b = a * 1.7 + 0.3\n", 1.7f, 0.3f},
        {"  b = a * 1.7 - 0.3\n", 1.7f, -0.3f},
        {"  b = 0.3 - a * 1.7\n", -1.7f, 0.3f},
    };
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        program_case c;
        double *y, *z, *x = program(&c, forms[i].text, 0, &y, &z);
        for (int k = 0; k < N; k++) {
            y[k] = x[k];
            z[k] = fmaf((float)x[k], forms[i].factor, forms[i].summand);
        }
        program_run(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tiles_change_places),     cmocka_unit_test(the_round_before),
        cmocka_unit_test(branches_and_sure_loops), cmocka_unit_test(rounded_at_each_trip),
        cmocka_unit_test(the_product_before),      cmocka_unit_test(products_are_not_rounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
