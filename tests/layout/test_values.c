// SPDX-License-Identifier: MIT
// Programs whose layouts disagree with each other, run on the CPU device and held against plain C,
// with different numbers of warps: whatever the passes choose, the values must be the same.
#include "tests/programs/harness.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define IN PROGRAM_INPUT
#define OUT PROGRAM_OUTPUT

static const char *const warps[] = {"W=1", "W=2", "W=3", "W=4", "W=8"};
enum { CHOICES = sizeof warps / sizeof *warps };

static void axes(void **state)
{
    for (int choice = 0; choice < CHOICES; choice++) {
        enum { A = 8, B = 12, C = 20 };
        program_case c = {.file = "axes.kg", .defines = warps[choice]};
        double *x = program_add(&c, "x", "f32", IN, 0, A * B * C);
        double *s0 = program_add(&c, "s0", "f32", OUT, 1e-5, B * C),
               *s1 = program_add(&c, "s1", "f32", OUT, 0, A * C);
        double *s2 = program_add(&c, "s2", "f32", OUT, 0, A * B),
               *all = program_add(&c, "all", "f32", OUT, 1e-4, 1);
        for (int i = 0; i < A * C; i++) s1[i] = -INFINITY;
        for (int i = 0; i < A * B; i++) s2[i] = INFINITY;
        for (int i = 0; i < A * B * C; i++) {
            int a = i / (B * C), b = i / C % B, k = i % C;
            s0[b * C + k] += x[i];
            s1[a * C + k] = fmax(s1[a * C + k], x[i]);
            s2[a * B + b] = fmin(s2[a * B + b], x[i]);
            *all += x[i];
        }
        program_run(&c);
    }
}

static void turns(void **state)
{
    for (int choice = 0; choice < CHOICES; choice++) {
        enum { N = 48 };
        program_case c = {.file = "turns.kg", .defines = warps[choice]};
        double *x = program_add(&c, "x", "f32", IN, 0, N * N),
               *y = program_add(&c, "y", "f32", OUT, 1e-6, N * N);
        double *z = program_add(&c, "z", "f32", OUT, 1e-5, N * N),
               *v = program_add(&c, "v", "f32", OUT, 1e-6, 4 * N * N);
        for (int i = 0; i < N; i++)
            for (int j = 0; j < N; j++) {
                y[i * N + j] = x[i * N + j] * x[j * N + i] + x[i * N + j];
                z[i * N + j] = x[i] * 2 + x[j] + i - x[i * N + j];
                for (int l = 0; l < 4; l++) v[(l * N + i) * N + j] = x[j * N + i] + l;
            }
        program_run(&c);
    }
}

static void along(void **state)
{
    for (int choice = 0; choice < CHOICES; choice++) {
        enum { M = 16, N = 40 };
        program_case c = {.file = "along.kg", .defines = warps[choice]};
        double *x = program_add(&c, "x", "f32", IN, 0, M * N),
               *rows = program_add(&c, "rows", "f32", OUT, 1e-5, M * N);
        double *columns = program_add(&c, "columns", "f32", OUT, 0, M * N);
        double *best = program_add(&c, "best", "i32", OUT, 0, M),
               *least = program_add(&c, "least", "i32", OUT, 0, N);
        for (int i = 0; i < M; i++)
            for (int j = 0; j < N; j++) {
                rows[i * N + j] = x[i * N + j] + (j ? rows[i * N + j - 1] : 0);
                columns[i * N + j] =
                    fmax(x[i * N + j] * 0.5, i ? columns[(i - 1) * N + j] : -INFINITY);
                if (x[i * N + j] > x[i * N + (int)best[i]]) best[i] = j;
                if (x[i * N + j] < x[(int)least[j] * N + j]) least[j] = i;
            }
        program_run(&c);
    }
}

static void products(void **state)
{
    static const char *const shapes[] = {"W=1",      "W=4",           "W=8",
                                         "M=16,W=4", "M=64,N=16,W=4", "K=16,P=8,W=2",
                                         "M=8,W=4",  "K=12,P=5,W=4"};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        int64_t m = i == 3 ? 16 : i == 4 ? 64 : i == 6 ? 8 : 32, n = i == 4 ? 16 : 64;
        int64_t k = i == 5 ? 16 : i == 7 ? 12 : 48, p = i == 5 ? 8 : i == 7 ? 5 : 24;
        program_case c = {.file = "products.kg", .defines = shapes[i]};
        double *a = program_add(&c, "a", "f16", IN, 0, m * k),
               *b = program_add(&c, "b", "f16", IN, 0, k * n);
        double *d = program_add(&c, "c", "f16", IN, 0, n * p),
               *y = program_add(&c, "y", "f32", OUT, 2e-2, m * p);
        for (int64_t r = 0; r < m; r++)
            for (int64_t j = 0; j < n; j++) {
                double first = 0;
                for (int64_t l = 0; l < k; l++) first += a[r * k + l] * 0.5 * (b[l * n + j] + 0.25);
                for (int64_t o = 0; o < p; o++) y[r * p + o] += first * 0.125 * d[j * p + o] * 2;
            }
        program_run(&c);
    }
}

static void carried(void **state)
{
    for (int choice = 0; choice < CHOICES; choice++) {
        enum { R = 32, C = 24, T = 3 };
        program_case c = {.file = "carried.kg", .defines = warps[choice]};
        double *x = program_add(&c, "x", "f32", IN, 0, T * R * C),
               *s = program_add(&c, "y", "f32", OUT, 1e-5, R * C);
        double *left = program_add(&c, "u", "f32", OUT, 1e-5, R),
               *up = program_add(&c, "w", "f32", OUT, 1e-5, C);
        program_scalar(&c, "T", T);
        for (int i = 0; i < R; i++) left[i] = 1;
        for (int j = 0; j < C; j++) up[j] = 2;
        for (int t = 0; t < T; t++, x += R * C) {
            for (int i = 0; i < R * C; i++) s[i] = s[i] * 0.5 + x[i] * left[i / C] + up[i % C];
            for (int i = 0; i < R; i++) left[i] *= 0.25;
            for (int j = 0; j < C; j++) up[j] *= 0.25;
            for (int i = 0; i < R * C; i++) {
                left[i / C] += x[i] / 16;
                up[i % C] += s[i] / 64;
            }
        }
        program_run(&c);
    }
}

static void gathers(void **state)
{
    for (int choice = 0; choice < CHOICES; choice++) {
        enum { R = 9, C = 40, N = 24 };
        program_case c = {.file = "gathers.kg", .defines = warps[choice]};
        double *x = program_add(&c, "x", "f32", IN, 0, R * C),
               *index = program_add(&c, "index", "i32", IN, 0, N);
        double *y = program_add(&c, "y", "f32", OUT, 0, N * C),
               *z = program_add(&c, "z", "f32", OUT, 0, N * C);
        double *q = program_add(&c, "q", "f32", OUT, 0, N * C);
        program_scalar(&c, "R", R);
        for (int i = 0; i < N * C; i++) {
            int row = (int)index[i / C] % R, column = i % C;
            row += row < 0 ? R : 0;
            y[i] = x[row * C + column];
            z[i] = row + 1 < R ? x[(row + 1) * C + column] : 0;
            q[i] = row < 5 && column < 33 ? y[i] : 7;
        }
        program_run(&c);
    }
}

static void teams(void **state)
{
    enum { N = 200 };
    program_case c = {.file = "teams.kg"};
    double *x = program_add(&c, "x", "f32", IN, 0, N),
           *y = program_add(&c, "y", "f32", OUT, 1e-5, N);
    double *z = program_add(&c, "z", "f32", OUT, 1e-5, 1);
    for (int i = 0; i < N; i++) y[i] = *z += x[i] * 2;
    program_run(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(axes),     cmocka_unit_test(turns),   cmocka_unit_test(along),
        cmocka_unit_test(products), cmocka_unit_test(carried), cmocka_unit_test(gathers),
        cmocka_unit_test(teams),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
