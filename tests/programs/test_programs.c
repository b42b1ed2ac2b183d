// SPDX-License-Identifier: MIT
// The programs of this folder against plain C: what each computes stands here a second time, by the
// textbook.
#include "harness.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#define IN PROGRAM_INPUT
#define OUT PROGRAM_OUTPUT

static void row_softmax(void **state)
{
    for (int64_t n = 1; n <= 512; n = n * 5 + 2) {
        int64_t rows = 7;
        program_case c = {.file = "row_softmax.kg"};
        double *x = program_add(&c, "x", "f32", IN, 0, rows * n),
               *y = program_add(&c, "y", "f32", OUT, 1e-5, rows * n);
        program_scalar(&c, "R", rows);
        program_scalar(&c, "N", n);
        for (int64_t r = 0; r < rows; r++) {
            double total = 0;
            for (int64_t i = 0; i < n; i++) total += exp(x[r * n + i]);
            for (int64_t i = 0; i < n; i++) y[r * n + i] = exp(x[r * n + i]) / total;
        }
        program_run(&c);
    }
}

static void layer_norm(void **state)
{
    int64_t rows = 5, n = 300;
    program_case c = {.file = "layer_norm.kg"};
    double *x = program_add(&c, "x", "f32", IN, 0, rows * n),
           *w = program_add(&c, "w", "f32", IN, 0, n);
    double *b = program_add(&c, "b", "f32", IN, 0, n),
           *y = program_add(&c, "y", "f32", OUT, 1e-5, rows * n);
    program_scalar(&c, "R", rows);
    program_scalar(&c, "N", n);
    program_scalar_float(&c, "eps", 1e-5);
    for (int64_t r = 0; r < rows; r++) {
        double mean = 0, variance = 0;
        for (int64_t i = 0; i < n; i++) mean += x[r * n + i] / (double)n;
        for (int64_t i = 0; i < n; i++)
            variance += (x[r * n + i] - mean) * (x[r * n + i] - mean) / (double)n;
        for (int64_t i = 0; i < n; i++)
            y[r * n + i] = (x[r * n + i] - mean) / sqrt(variance + 1e-5) * w[i] + b[i];
    }
    program_run(&c);
}

static void transpose(void **state)
{
    int64_t rows = 70, columns = 45;
    program_case c = {.file = "transpose.kg"};
    double *x = program_add(&c, "x", "f32", IN, 0, rows * columns),
           *y = program_add(&c, "y", "f32", OUT, 0, rows * columns);
    program_scalar(&c, "R", rows);
    program_scalar(&c, "C", columns);
    for (int64_t i = 0; i < rows * columns; i++) y[i % columns * rows + i / columns] = x[i];
    program_run(&c);
}

static void batched_matvec(void **state)
{
    int64_t batch = 2, m = 50, k = 200;
    program_case c = {.file = "batched_matvec.kg"};
    double *a = program_add(&c, "a", "f32", IN, 0, batch * m * k),
           *x = program_add(&c, "x", "f32", IN, 0, batch * k);
    double *y = program_add(&c, "y", "f32", OUT, 1e-5, batch * m);
    program_scalar(&c, "B", batch);
    program_scalar(&c, "M", m);
    program_scalar(&c, "K", k);
    for (int64_t i = 0; i < batch * m * k; i++) y[i / k] += a[i] * x[i / (m * k) * k + i % k];
    program_run(&c);
}

static void tree_reduction(void **state)
{
    int64_t n = 5000;
    program_case c = {.file = "tree_reduction.kg"};
    double *x = program_add(&c, "x", "i32", IN, 0, n),
           *total = program_add(&c, "total", "i32", PROGRAM_ZEROED, 0, 1);
    program_scalar(&c, "N", n);
    for (int64_t i = 0; i < n; i++) total[0] += x[i];
    program_run(&c);
}

static void prefix_sum(void **state)
{
    int64_t rows = 3, n = 700;
    program_case c = {.file = "prefix_sum.kg"};
    double *x = program_add(&c, "x", "i32", IN, 0, rows * n),
           *y = program_add(&c, "y", "i32", OUT, 0, rows * n);
    program_scalar(&c, "R", rows);
    program_scalar(&c, "N", n);
    for (int64_t i = 0; i < rows * n; i++) y[i] = x[i] + (i % n ? y[i - 1] : 0);
    program_run(&c);
}

static void rotary(void **state)
{
    int64_t tokens = 13, heads = 3, d = 64, half = 32;
    program_case c = {.file = "rotary.kg"};
    double *x = program_add(&c, "x", "f32", IN, 0, tokens * heads * d);
    double *cosine = program_add(&c, "cosine", "f32", IN, 0, tokens * half);
    double *sine = program_add(&c, "sine", "f32", IN, 0, tokens * half);
    double *y = program_add(&c, "y", "f32", OUT, 1e-6, tokens * heads * d);
    program_scalar(&c, "T", tokens);
    program_scalar(&c, "H", heads);
    for (int64_t r = 0; r < tokens * heads; r++)
        for (int64_t i = 0; i < half; i++) {
            double a = x[r * d + i], b = x[r * d + half + i], cs = cosine[r / heads * half + i],
                   sn = sine[r / heads * half + i];
            y[r * d + i] = a * cs - b * sn;
            y[r * d + half + i] = b * cs + a * sn;
        }
    program_run(&c);
}

static void int8_matmul(void **state)
{
    int64_t m = 40, n = 72, k = 50;
    program_case c = {.file = "int8_matmul.kg"};
    double *a = program_add(&c, "a", "f16", IN, 0, m * k),
           *w = program_add(&c, "w", "i8", IN, 0, k * n);
    double *scale = program_add(&c, "scale", "f32", IN, 0, n),
           *y = program_add(&c, "c", "f32", OUT, 1e-5, m * n);
    program_scalar(&c, "M", m);
    program_scalar(&c, "N", n);
    program_scalar(&c, "K", k);
    for (int64_t i = 0; i < m * n; i++)
        for (int64_t j = 0; j < k; j++) y[i] += a[i / n * k + j] * w[j * n + i % n] * scale[i % n];
    program_run(&c);
}

static void depthwise_conv(void **state)
{
    int64_t channels = 10, n = 200;
    program_case c = {.file = "depthwise_conv.kg"};
    double *x = program_add(&c, "x", "f32", IN, 0, channels * n),
           *w = program_add(&c, "w", "f32", IN, 0, channels * 5);
    double *y = program_add(&c, "y", "f32", OUT, 1e-6, channels * n);
    program_scalar(&c, "C", channels);
    program_scalar(&c, "N", n);
    for (int64_t i = 0; i < channels * n; i++)
        for (int64_t j = 0; j < 5; j++) {
            int64_t at = i % n + j - 2;
            if (at >= 0 && at < n) y[i] += w[i / n * 5 + j] * x[i / n * n + at];
        }
    program_run(&c);
}

static void top1(void **state)
{
    int64_t rows = 9, n = 600;
    program_case c = {.file = "top1.kg"};
    double *x = program_add(&c, "x", "f32", IN, 0, rows * n),
           *value = program_add(&c, "value", "f32", OUT, 0, rows);
    double *place = program_add(&c, "place", "i32", OUT, 0, rows);
    program_scalar(&c, "R", rows);
    program_scalar(&c, "N", n);
    for (int64_t r = 0; r < rows; r++) {
        x[r * n + 100] = x[r * n + 40 + 60 * r] = 2; // equals: the first counts
        for (int64_t i = 1; i < n; i++)
            if (x[r * n + i] > x[r * n + (int64_t)place[r]]) place[r] = (double)i;
        value[r] = x[r * n + (int64_t)place[r]];
    }
    program_run(&c);
}

static void embedding(void **state)
{
    int64_t vocabulary = 30, n = 37, d = 100;
    program_case c = {.file = "embedding.kg"};
    double *table = program_add(&c, "table", "f16", IN, 0, vocabulary * d),
           *ids = program_add(&c, "ids", "i32", IN, 0, n);
    double *y = program_add(&c, "y", "f16", OUT, 0, n * d);
    program_scalar(&c, "V", vocabulary);
    program_scalar(&c, "D", d);
    program_scalar(&c, "N", n);
    for (int64_t i = 0; i < n; i++) ids[i] = i % 7 == 3 ? -1 : (double)(i * 11 % vocabulary);
    for (int64_t i = 0; i < n * d; i++)
        y[i] = ids[i / d] < 0 ? 0 : table[(int64_t)ids[i / d] * d + i % d];
    program_run(&c);
}

static void histogram(void **state)
{
    int64_t n = 1300;
    program_case c = {.file = "histogram.kg"};
    double *x = program_add(&c, "x", "i32", IN, 0, n),
           *counts = program_add(&c, "counts", "i32", PROGRAM_ZEROED, 0, 64);
    program_scalar(&c, "N", n);
    for (int64_t i = 0; i < n; i++) counts[(int64_t)(x[i] = (double)(i * i % 64))] += 1;
    program_run(&c);
}

static void mlp(void **state)
{
    enum { M = 45, D = 64, F = 128 };
    program_case c = {.file = "mlp.kg"};
    double *x = program_add(&c, "x", "bf16", IN, 0, M * D),
           *w1 = program_add(&c, "w1", "bf16", IN, 0, D * F);
    double *w3 = program_add(&c, "w3", "bf16", IN, 0, D * F),
           *w2 = program_add(&c, "w2", "bf16", IN, 0, F * D);
    double *y = program_add(&c, "y", "f32", OUT, 0.15, M * D);
    program_scalar(&c, "M", M);
    for (int m = 0; m < M; m++)
        for (int f = 0; f < F; f++) {
            double a = 0, b = 0;
            for (int d = 0; d < D; d++)
                a += x[m * D + d] * w1[d * F + f], b += x[m * D + d] * w3[d * F + f];
            for (int d = 0; d < D; d++) y[m * D + d] += a / (1 + exp(-a)) * b * w2[f * D + d];
        }
    program_run(&c);
}

static void newton(void **state)
{
    int64_t n = 400;
    program_case c = {.file = "newton.kg"};
    double *x = program_add(&c, "x", "f32", IN, 0, n),
           *y = program_add(&c, "y", "f32", OUT, 1e-6, n);
    program_scalar(&c, "N", n);
    for (int64_t i = 0; i < n; i++) y[i] = cbrt(fabs(x[i]) + 0.5);
    program_run(&c);
}

static void float_matmul(void **state)
{
    int64_t m = 50, n = 40, k = 70;
    program_case c = {.file = "float_matmul.kg"};
    double *a = program_add(&c, "a", "f32", IN, 0, m * k),
           *b = program_add(&c, "b", "f32", IN, 0, k * n);
    double *y = program_add(&c, "c", "f32", OUT, 1e-5, m * n);
    program_scalar(&c, "M", m);
    program_scalar(&c, "N", n);
    program_scalar(&c, "K", k);
    for (int64_t i = 0; i < m * n; i++)
        for (int64_t j = 0; j < k; j++) y[i] += a[i / n * k + j] * b[j * n + i % n];
    program_run(&c);
}

static void by_hand(void **state)
{
    int64_t n = 256;
    program_case c = {.file = "by_hand.kg"};
    double *x = program_add(&c, "x", "f32", IN, 0, n), *y = program_add(&c, "y", "f32", OUT, 0, n);
    program_scalar(&c, "N", n);
    for (int64_t i = 0; i < n; i++) y[i] = 2 * x[i / 128 * 128 + 127 - i % 128];
    program_run(&c);
}

static void cross_entropy(void **state)
{
    int64_t rows = 5, n = 700;
    program_case c = {.file = "cross_entropy.kg"};
    double *x = program_add(&c, "x", "bf16", IN, 0, rows * n);
    double *label = program_add(&c, "label", "i32", IN, 0, rows);
    double *loss = program_add(&c, "loss", "f32", OUT, 1e-5, rows);
    program_scalar(&c, "R", rows);
    program_scalar(&c, "N", n);
    for (int64_t r = 0; r < rows; r++) {
        double total = 0;
        for (int64_t i = 0; i < n; i++) total += exp(x[r * n + i]);
        label[r] = (double)(r * 131 % n);
        loss[r] = log(total) - x[r * n + (int64_t)label[r]];
    }
    program_run(&c);
}

static void scatter(void **state)
{
    int64_t n = 37, d = 50, v = 64;
    program_case c = {.file = "scatter.kg"};
    double *x = program_add(&c, "x", "f32", IN, 0, n * d);
    double *idx = program_add(&c, "idx", "i32", IN, 0, n);
    double *y = program_add(&c, "y", "f32", PROGRAM_ZEROED, 0, v * d);
    program_scalar(&c, "N", n);
    program_scalar(&c, "D", d);
    program_scalar(&c, "V", v);
    for (int64_t i = 0; i < n; i++) {
        idx[i] = i % 9 == 4 ? -1 : (double)(i * 5 % v); // -1: not written
        for (int64_t j = 0; j < d && idx[i] >= 0; j++) y[(int64_t)idx[i] * d + j] = x[i * d + j];
    }
    program_run(&c);
}

static void batched_matmul(void **state)
{
    int64_t batch = 3, m = 70, n = 90, k = 80;
    program_case c = {.file = "batched_matmul.kg"};
    double *a = program_add(&c, "a", "bf16", IN, 0, batch * m * k);
    double *b = program_add(&c, "b", "bf16", IN, 0, batch * n * k);
    double *y = program_add(&c, "c", "bf16", OUT, 0x1p-8, batch * m * n);
    program_scalar(&c, "B", batch);
    program_scalar(&c, "M", m);
    program_scalar(&c, "N", n);
    program_scalar(&c, "K", k);
    program_scalar(&c, "G", 5); // 12 tiles on 5 CTAs
    for (int64_t i = 0; i < batch * m * n; i++)
        for (int64_t j = 0; j < k; j++)
            y[i] += a[i / n * k + j] * b[(i / (m * n) * n + i % n) * k + j];
    program_run(&c);
}

static void stencil(void **state)
{
    int64_t h = 20, w = 45;
    program_case c = {.file = "stencil.kg"};
    double *x = program_add(&c, "x", "f32", IN, 0, h * w),
           *k = program_add(&c, "w", "f32", IN, 0, 9);
    double *y = program_add(&c, "y", "f32", OUT, 1e-6, h * w);
    program_scalar(&c, "H", h);
    program_scalar(&c, "W", w);
    for (int64_t i = 0; i < h * w; i++)
        for (int64_t t = 0; t < 9; t++) {
            int64_t row = i / w + t / 3 - 1, column = i % w + t % 3 - 1;
            if (row >= 0 && row < h && column >= 0 && column < w)
                y[i] += k[t] * x[row * w + column];
        }
    program_run(&c);
}

static void pool(void **state)
{
    int64_t n = 9;
    program_case c = {.file = "pool.kg"};
    double *x = program_add(&c, "x", "f32", IN, 0, n * 128),
           *y = program_add(&c, "y", "f32", OUT, 0, n * 16);
    double *z = program_add(&c, "z", "i32", OUT, 0, n * 8);
    program_scalar(&c, "N", n);
    for (int64_t i = 0; i < n * 128; i++) {
        double *most = &y[i / 128 * 16 + i % 16], *least = &z[i / 16];
        if (i / 16 % 8 == 0 || x[i] > *most) *most = x[i];
        if (x[i] < x[i / 16 * 16 + (int64_t)*least]) *least = (double)(i % 16);
    }
    program_run(&c);
}

static void odd_extents(void **state)
{
    int64_t n = 10;
    program_case c = {.file = "odd_extents.kg"};
    double *x = program_add(&c, "x", "f32", IN, 0, n * 100),
           *y = program_add(&c, "y", "f32", OUT, 1e-5, n * 100);
    double *s = program_add(&c, "s", "f32", OUT, 1e-5, n);
    program_scalar(&c, "N", n);
    for (int64_t i = 0; i < n * 100; i++) s[i / 100] += x[i];
    for (int64_t i = 0; i < n * 100; i++) y[i] = x[i] - s[i / 100] / 100;
    program_run(&c);
}

static void exchanges(void **state)
{
    int64_t t_end = 8;
    program_case c = {.file = "exchanges.kg"};
    double *x = program_add(&c, "x", "f32", IN, 0, t_end * 4096),
           *y = program_add(&c, "y", "f32", PROGRAM_ZEROED, 1e-4, t_end * 4),
           *z = program_add(&c, "z", "f32", PROGRAM_ZEROED, 0, t_end * 512), scale = 1;
    program_scalar(&c, "T", t_end);
    for (int64_t t = 1; t < t_end; t += 2) {
        double sum = 0, most = -1e30;
        for (int64_t i = 0; i < 4096; i++) sum += x[t * 4096 + i];
        y[t * 4] = sum;
        y[t * 4 + 1] = sum * scale;
        scale = sum * 0.01 + 1;
        y[t * 4 + 2] = sum * scale;
        for (int64_t i = 0; i < 512; i++) {
            z[t * 512 + i] = x[t * 4096 + 511 - i];
            most = fmax(most, z[t * 512 + i] * scale);
        }
        y[t * 4 + 3] = most;
    }
    program_run(&c);
}

static void conv3x3(void **state)
{
    enum { C = 20, H = 9, W = 35, O = 24 };
    program_case c = {.file = "conv3x3.kg"};
    double *x = program_add(&c, "x", "f16", IN, 0, C * H * W),
           *w = program_add(&c, "w", "f16", IN, 0, 9 * O * C);
    double *y = program_add(&c, "y", "f32", OUT, 1e-4, O * H * W);
    program_scalar(&c, "C", C);
    program_scalar(&c, "H", H);
    program_scalar(&c, "W", W);
    program_scalar(&c, "O", O);
    for (int i = 0; i < O * H * W; i++)
        for (int tap = 0; tap < 9; tap++) {
            int row = i / W % H + tap / 3 - 1, column = i % W + tap % 3 - 1, o = i / (H * W);
            if (row < 0 || row >= H || column < 0 || column >= W) continue;
            for (int k = 0; k < C; k++)
                y[i] += w[(tap * O + o) * C + k] * x[(k * H + row) * W + column];
        }
    program_run(&c);
}

static void int4_matmul(void **state)
{
    enum { M = 20, K = 70, N = 48 };
    program_case c = {.file = "int4_matmul.kg"};
    double *x = program_add(&c, "x", "f16", IN, 0, M * K),
           *w = program_add(&c, "w", "i8", IN, 0, K / 2 * N);
    double *y = program_add(&c, "y", "f32", OUT, 1e-4, M * N);
    program_scalar(&c, "M", M);
    program_scalar(&c, "K", K);
    program_scalar(&c, "N", N);
    for (int i = 0; i < M * N; i++)
        for (int k = 0; k < K; k++) {
            int pair = (int)w[k / 2 * N + i % N], high = (int)floor(pair / 16.0);
            int low = pair - 16 * high;
            y[i] += x[i / N * K + k] * (k % 2 ? high : low < 8 ? low : low - 16);
        }
    program_run(&c);
}

static void top2_gating(void **state)
{
    enum { T = 33, E = 8 };
    program_case c = {.file = "top2_gating.kg"};
    double *x = program_add(&c, "x", "f32", IN, 0, T * E),
           *gate = program_add(&c, "gate", "f32", OUT, 1e-6, T * 2);
    double *expert = program_add(&c, "expert", "i32", OUT, 0, T * 2),
           *tokens = program_add(&c, "tokens", "i32", PROGRAM_ZEROED, 0, E);
    program_scalar(&c, "T", T);
    x[5 * E + 6] = x[5 * E + 2] = 2; // equals: the first counts
    for (int t = 0; t < T; t++) {
        int best[2] = {0, -1};
        for (int e = 1; e < E; e++)
            if (x[t * E + e] > x[t * E + best[0]]) best[0] = e;
        for (int e = 0; e < E; e++)
            if (e != best[0] && (best[1] < 0 || x[t * E + e] > x[t * E + best[1]])) best[1] = e;
        double ratio = exp(x[t * E + best[1]] - x[t * E + best[0]]);
        for (int k = 0; k < 2; k++) {
            gate[2 * t + k] = (k ? ratio : 1) / (1 + ratio);
            expert[2 * t + k] = best[k];
            tokens[best[k]] += 1;
        }
    }
    program_run(&c);
}

// The layout of the hand-written kernel: columns split across warps, sums exchanged.
static void delta_net_by_columns(void **state)
{
    enum { D = 128 };
    int64_t tokens = 5, heads = 2, keys = 1;
    program_case c = {.file = "../hazards/b09_columns.kg"};
    double *q = program_add(&c, "q", "f32", IN, 0, tokens * keys * D),
           *k = program_add(&c, "k", "f32", IN, 0, tokens * keys * D),
           *v = program_add(&c, "v", "f32", IN, 0, tokens * heads * D),
           *g = program_add(&c, "g", "f32", IN, 0, tokens * heads),
           *beta = program_add(&c, "beta", "f32", IN, 0, tokens * heads),
           *s0 = program_add(&c, "s0", "f32", IN, 0, heads * D * D),
           *s1 = program_add(&c, "s1", "f32", OUT, 1e-3, heads * D * D),
           *o = program_add(&c, "o", "f32", OUT, 1e-3, tokens * heads * D);
    program_scalar(&c, "T", tokens);
    program_scalar(&c, "H", heads);
    program_scalar(&c, "HK", keys);
    for (int64_t i = 0; i < tokens * D; i++) k[i] = (float)(k[i] * 0.125);
    for (int64_t h = 0; h < heads; h++)
        for (int64_t row = 0; row < D; row++) {
            double *state_row = &s1[(h * D + row) * D];
            for (int64_t i = 0; i < D; i++) state_row[i] = s0[(h * D + row) * D + i];
            for (int64_t t = 0; t < tokens; t++) {
                const double *kt = &k[t * D], *qt = &q[t * D];
                double a = 0, b = 0, kq = 0, decay = exp(g[t * heads + h]);
                for (int64_t i = 0; i < D; i++) {
                    a += state_row[i] * kt[i];
                    b += state_row[i] * qt[i] / sqrt(D);
                    kq += kt[i] * qt[i] / sqrt(D);
                }
                double rate = 1 / (1 + exp(-beta[t * heads + h]));
                double d = rate * (v[(t * heads + h) * D + row] - decay * a);
                o[(t * heads + h) * D + row] = decay * b + d * kq;
                for (int64_t i = 0; i < D; i++) state_row[i] = decay * state_row[i] + d * kt[i];
            }
        }
    program_run(&c);
}

static void selective_scan(void **state)
{
    enum { T = 30, D = 40, N = 16 };
    program_case c = {.file = "selective_scan.kg"};
    double *u = program_add(&c, "u", "f32", IN, 0, T * D),
           *dt = program_add(&c, "dt", "f32", IN, 0, T * D);
    double *a = program_add(&c, "a", "f32", IN, 0, D * N),
           *b = program_add(&c, "b", "f32", IN, 0, T * N);
    double *gain = program_add(&c, "c", "f32", IN, 0, T * N),
           *y = program_add(&c, "y", "f32", OUT, 1e-5, T * D);
    program_scalar(&c, "T", T);
    program_scalar(&c, "D", D);
    for (int i = 0; i < T * D; i++) dt[i] = fabs(dt[i]);
    for (int i = 0; i < D * N; i++) {
        double h = 0;
        int d = i / N, n = i % N;
        a[i] = -fabs(a[i]);
        for (int t = 0; t < T; t++) {
            h = exp(dt[t * D + d] * a[i]) * h + dt[t * D + d] * u[t * D + d] * b[t * N + n];
            y[t * D + d] += h * gain[t * N + n];
        }
    }
    program_run(&c);
}

static void segment_sum(void **state)
{
    enum { N = 150, D = 20, S = 6 };
    static const int bounds[S + 1] = {0, 3, 3, 40, 41, 120, N};
    program_case c = {.file = "segment_sum.kg"};
    double *x = program_add(&c, "x", "f32", IN, 0, N * D),
           *offset = program_add(&c, "offset", "i32", IN, 0, S + 1);
    double *y = program_add(&c, "y", "f32", OUT, 1e-5, S * D);
    program_scalar(&c, "N", N);
    program_scalar(&c, "S", S);
    program_scalar(&c, "D", D);
    for (int s = 0; s <= S; s++) offset[s] = bounds[s];
    for (int i = 0; i < S * D; i++)
        for (int r = bounds[i / D]; r < bounds[i / D + 1]; r++) y[i] += x[r * D + i % D];
    program_run(&c);
}

static void cache_append(void **state)
{
    enum { P = 7, PAGE = 16, D = 70, T = 3, MOST = 3 };
    static const int page[T][MOST] = {{3, 1, -1}, {5, -1, -1}, {0, 6, 2}},
                     lengths[T] = {17, 15, 32};
    program_case c = {.file = "cache_append.kg"};
    double *key = program_add(&c, "key", "f16", IN, 0, T * D),
           *cache = program_add(&c, "cache", "f16", PROGRAM_ZEROED, 0, P * PAGE * D);
    double *pages = program_add(&c, "pages", "i32", IN, 0, T * MOST),
           *length = program_add(&c, "length", "i32", IN, 0, T);
    program_scalar(&c, "P", P);
    program_scalar(&c, "D", D);
    program_scalar(&c, "T", T);
    program_scalar(&c, "MOST", MOST);
    for (int t = 0; t < T; t++) {
        int row = page[t][lengths[t] / PAGE] * PAGE + lengths[t] % PAGE;
        length[t] = lengths[t];
        for (int i = 0; i < MOST; i++) pages[t * MOST + i] = page[t][i];
        for (int d = 0; d < D; d++) cache[row * D + d] = key[t * D + d];
    }
    program_run(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(row_softmax),
        cmocka_unit_test(layer_norm),
        cmocka_unit_test(transpose),
        cmocka_unit_test(batched_matvec),
        cmocka_unit_test(tree_reduction),
        cmocka_unit_test(prefix_sum),
        cmocka_unit_test(rotary),
        cmocka_unit_test(int8_matmul),
        cmocka_unit_test(depthwise_conv),
        cmocka_unit_test(top1),
        cmocka_unit_test(embedding),
        cmocka_unit_test(histogram),
        cmocka_unit_test(mlp),
        cmocka_unit_test(newton),
        cmocka_unit_test(float_matmul),
        cmocka_unit_test(by_hand),
        cmocka_unit_test(cross_entropy),
        cmocka_unit_test(scatter),
        cmocka_unit_test(batched_matmul),
        cmocka_unit_test(stencil),
        cmocka_unit_test(pool),
        cmocka_unit_test(odd_extents),
        cmocka_unit_test(exchanges),
        cmocka_unit_test(delta_net_by_columns),
        cmocka_unit_test(conv3x3),
        cmocka_unit_test(int4_matmul),
        cmocka_unit_test(top2_gating),
        cmocka_unit_test(selective_scan),
        cmocka_unit_test(segment_sum),
        cmocka_unit_test(cache_append),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
