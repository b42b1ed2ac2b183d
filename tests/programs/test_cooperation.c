// SPDX-License-Identifier: MIT
// The programs of this folder in which threads, warps or CTAs hand things to each other: through
// shared memory, flags, tickets, hardware barriers and rings filled by hand.
#include "harness.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define IN PROGRAM_INPUT
#define OUT PROGRAM_OUTPUT
#define ZEROED PROGRAM_ZEROED

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void bitonic_sort(void **state)
{
    int64_t rows = 5, n = 64;
    program_case c = {.file = "bitonic_sort.kg"};
    double *x = program_add(&c, "x", "f32", IN, 0, rows * n),
           *y = program_add(&c, "y", "f32", OUT, 0, rows * n);
    program_scalar(&c, "R", rows);
    for (int64_t i = 0; i < rows * n; i++) y[i] = x[i];
    for (int64_t r = 0; r < rows; r++) qsort(y + r * n, (size_t)n, sizeof *y, by_value);
    program_run(&c);
}

static void chained_scan(void **state)
{
    int64_t n = 3000, blocks = 12;
    program_case c = {.file = "chained_scan.kg"};
    double *x = program_add(&c, "x", "i32", IN, 0, n), *y = program_add(&c, "y", "i32", OUT, 0, n);
    double *carry = program_add(&c, "carry", "i32", ZEROED, 0, blocks + 1),
           *flag = program_add(&c, "flag", "i32", ZEROED, 0, blocks + 1);
    program_scalar(&c, "N", n);
    for (int64_t i = 0; i < n; i++) y[i] = x[i] + (i ? y[i - 1] : 0);
    for (int64_t g = 0; g < blocks; g++) {
        carry[g + 1] = y[g == blocks - 1 ? n - 1 : 256 * g + 255];
        flag[g + 1] = 1;
    }
    program_run(&c);
}

static void split_sum(void **state)
{
    int64_t n = 5000, ctas = 7;
    program_case c = {.file = "split_sum.kg"};
    double *x = program_add(&c, "x", "f32", IN, 0, n),
           *part = program_add(&c, "part", "f32", OUT, 1e-4, ctas);
    double *ticket = program_add(&c, "ticket", "i32", ZEROED, 0, 1),
           *total = program_add(&c, "total", "f32", OUT, 1e-4, 1);
    program_scalar(&c, "N", n);
    program_scalar(&c, "G", ctas);
    for (int64_t i = 0; i < n; i++) part[i / 512 % ctas] += x[i], total[0] += x[i];
    ticket[0] = (double)ctas;
    program_run(&c);
}

static void work_queue(void **state)
{
    int64_t rows = 11, n = 300, ctas = 3;
    program_case c = {.file = "work_queue.kg"};
    double *x = program_add(&c, "x", "f32", IN, 0, rows * n),
           *y = program_add(&c, "y", "f32", OUT, 1e-6, rows * n);
    double *next = program_add(&c, "next", "i32", ZEROED, 0, 1);
    program_scalar(&c, "R", rows);
    program_scalar(&c, "N", n);
    program_scalar(&c, "G", ctas);
    for (int64_t r = 0; r < rows; r++) {
        double most = 0;
        for (int64_t i = 0; i < n; i++) most = fmax(most, fabs(x[r * n + i]));
        for (int64_t i = 0; i < n; i++) y[r * n + i] = x[r * n + i] / most;
    }
    next[0] = (double)(rows + ctas); // each CTA asks once in vain
    program_run(&c);
}

static void roles_ring(void **state)
{
    int64_t n = 2000;
    program_case c = {.file = "roles_ring.kg"};
    double *x = program_add(&c, "x", "f32", IN, 0, n), *y = program_add(&c, "y", "f32", OUT, 0, n);
    program_scalar(&c, "N", n);
    program_scalar(&c, "G", 3); // 16 tiles: six, five and five
    for (int64_t i = 0; i < n; i++) y[i] = 2 * x[i];
    program_run(&c);
}

static void copy_ring(void **state)
{
    static const int64_t lengths[] = {4, 256, 1000};
    for (int k = 0; k < 3; k++) {
        int64_t rows = 5, n = lengths[k];
        program_case c = {.file = "copy_ring.kg"};
        double *x = program_add(&c, "x", "f32", IN, 0, rows * n),
               *y = program_add(&c, "y", "f32", OUT, 1e-5, rows);
        program_scalar(&c, "R", rows);
        program_scalar(&c, "N", n);
        for (int64_t i = 0; i < rows * n; i++) y[i / n] += x[i];
        program_run(&c);
    }
}

static void shared_atomics(void **state)
{
    int64_t n = 3000, bins = 50;
    program_case c = {.file = "shared_atomics.kg"};
    double *x = program_add(&c, "x", "i32", IN, 0, n),
           *counts = program_add(&c, "counts", "i32", ZEROED, 0, bins);
    program_scalar(&c, "N", n);
    program_scalar(&c, "G", 3);
    for (int64_t i = 0; i < n; i++) {
        x[i] = (double)(i * i % bins); // some bins often, some never
        counts[(int64_t)x[i]] += 1;
    }
    program_run(&c);
}

static void pair_exchange(void **state)
{
    enum { T = 7, N = 256, HALF = N / 2 };
    program_case c = {.file = "pair_exchange.kg"};
    double *x = program_add(&c, "x", "f32", IN, 0, T * N),
           *y = program_add(&c, "y", "f32", OUT, 1e-5, T * HALF);
    program_scalar(&c, "T", T);
    for (int t = 0; t < T; t++)
        for (int i = 0; i < HALF; i++)
            y[t * HALF + i] = (t ? y[(t - 1) * HALF + i] : 0) + x[t * N + i] + x[t * N + HALF + i];
    program_run(&c);
}

static void row_stripes(void **state)
{
    enum { T = 3, M = 100, N = 64, K = 64 };
    program_case c = {.file = "row_stripes.kg"};
    double *a = program_add(&c, "a", "bf16", IN, 0, M * K),
           *b = program_add(&c, "b", "bf16", IN, 0, T * K * N);
    double *y = program_add(&c, "y", "f32", OUT, 1e-2, T * M * N);
    program_scalar(&c, "T", T);
    program_scalar(&c, "M", M);
    for (int r = 0; r < T * M; r++) {
        double sum = 0;
        for (int n = 0; n < N; n++) {
            double dot = 0;
            for (int k = 0; k < K; k++) dot += a[r % M * K + k] * b[(r / M * K + k) * N + n];
            sum += y[r * N + n] = exp(dot);
        }
        for (int n = 0; n < N; n++) y[r * N + n] /= sum;
    }
    program_run(&c);
}

static void late_changes(void **state)
{
    for (int64_t i = 0; i < 27; i++) {
        int64_t n = i % 9 + 1, first = i * 5 % 13, least = (i / 9) * (INT64_C(1) << 30) - 1;
        program_case c = {.file = "late_changes.kg"};
        double *a = program_add(&c, "a", "f32", IN, 0, n * 64),
               *o = program_add(&c, "o", "f32", OUT, 1e-5, 64);
        program_scalar(&c, "N", n), program_scalar(&c, "first", first);
        program_scalar(&c, "least", least);
        for (int64_t k = 0; k < n * 64; k++)
            o[k % 64] += a[k] * ((int32_t)(k / 64 << 30) > least ? 2 : 1) + (k / 64 + 3 > first);
        program_run(&c);
    }
}

static void quarters(void **state)
{
    int64_t n = 50, s = 32, half = 16;
    program_case c = {.file = "quarters.kg"};
    double *x = program_add(&c, "x", "f32", IN, 0, n * n),
           *y = program_add(&c, "y", "f32", OUT, 1e-5, n * n);
    program_scalar(&c, "N", n);
    for (int64_t e = 0; e < n * n; e++) {
        int64_t r = e / n % s, q = e % n % s, row = e / n - r, column = e % n - q;
        int64_t from_row = (r + half) % s, from_column = (q + half) % s;
        bool last = r >= half && q >= half;
        if (last) { // turned round as well
            from_row = q - half;
            from_column = r - half;
        }
        bool inside = row + from_row < n && column + from_column < n;
        double value = inside ? x[(row + from_row) * n + column + from_column] : 0;
        double factor = r < half ? q < half ? 1 : 2 : q < half ? 3 : 1;
        y[e] = factor * value;
        for (int64_t i = 0; i < s && r < half && q >= half; i++)
            if (row + i < n && column + from_column < n)
                y[e] += x[(row + i) * n + column + from_column];
    }
    program_run(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bitonic_sort),   cmocka_unit_test(chained_scan),
        cmocka_unit_test(split_sum),      cmocka_unit_test(work_queue),
        cmocka_unit_test(roles_ring),     cmocka_unit_test(copy_ring),
        cmocka_unit_test(shared_atomics), cmocka_unit_test(pair_exchange),
        cmocka_unit_test(row_stripes),    cmocka_unit_test(late_changes),
        cmocka_unit_test(quarters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
