// SPDX-License-Identifier: MIT
// tiles.cu: what goes in, what must come out, what each planted error is found by.
#include "trial.h"

#include <string.h>

static void transpose(struct trial *t)
{
    enum { R = 70, C = 45 };
    static float x[R * C], out[R * C];
    for (int i = 0; i < R * C; i++) x[i] = (float)i;
    for (int r = 0; r < R; r++)
        for (int c = 0; c < C; c++) out[c * R + r] = x[r * C + c];
    uint64_t in = trial_in(t, sizeof x, x), to = trial_zeros(t, sizeof out);
    LAUNCH(t, ((struct shape){{2, 3, 1}, {32, 8, 1}, 0}), in, to, R, C);
    trial_expect(t, to, out, sizeof out);
}

static void transpose_in_place(struct trial *t)
{
    enum { N = 48 };
    static float x[N * N], out[N * N];
    for (int i = 0; i < N * N; i++) x[i] = (float)i;
    for (int r = 0; r < N; r++)
        for (int c = 0; c < N; c++) out[c * N + r] = x[r * N + c];
    uint64_t in = trial_in(t, sizeof x, x);
    LAUNCH(t, ((struct shape){{3, 3, 1}, {16, 16, 1}, 0}), in, N);
    trial_expect(t, in, out, sizeof out);
}

static void histogram(struct trial *t)
{
    uint8_t x[1000];
    unsigned bins[64] = {0};
    uint64_t state = 5;
    for (int i = 0; i < 1000; i++) {
        x[i] = (uint8_t)bench_random(&state);
        bins[x[i] & 63]++;
    }
    uint64_t in = trial_in(t, sizeof x, x), to = trial_zeros(t, sizeof bins);
    LAUNCH(t, LINE(3, 128), in, to, sizeof x);
    trial_expect(t, to, bins, sizeof bins);
}

static void match_histogram(struct trial *t)
{
    uint8_t x[512];
    unsigned bins[16] = {0};
    uint64_t state = 6;
    for (int i = 0; i < 512; i++) {
        x[i] = (uint8_t)bench_random(&state);
        bins[x[i] & 15]++;
    }
    uint64_t in = trial_in(t, sizeof x, x), to = trial_zeros(t, sizeof bins);
    LAUNCH(t, LINE(1, 128), in, to);
    trial_expect(t, to, bins, sizeof bins);
}

static void stencil(struct trial *t)
{
    enum { N = 300 };
    float x[N], out[N];
    for (int i = 0; i < N; i++) x[i] = (float)(i * 13 % 101);
    for (int i = 0; i < N; i++) {
        float v[5];
        for (int k = 0; k < 5; k++) {
            int at = i + k - 2;
            v[k] = x[at < 0 ? 0 : at >= N ? N - 1 : at];
        }
        out[i] = v[0] + 2 * v[1] + 4 * v[2] + 2 * v[3] + v[4];
    }
    uint64_t in = trial_in(t, sizeof x, x), to = trial_zeros(t, sizeof out);
    LAUNCH(t, LINE(3, 128), in, to, N);
    trial_expect(t, to, out, sizeof out);
}

static void relax(struct trial *t)
{
    int s[2][128];
    trial_numbers(s[0], 128, 0, 1000);
    uint64_t in = trial_in(t, sizeof s[0], s[0]), to = trial_zeros(t, sizeof s[0]);
    for (int k = 0; k < 6; k++)
        for (int i = 0; i < 128; i++)
            s[1 - k % 2][i] = (s[k % 2][(i + 1) % 128] + s[k % 2][(i + 127) % 128]) & 0xffff;
    LAUNCH(t, LINE(1, 128), in, to, 6);
    trial_expect(t, to, s[0], sizeof s[0]);
}

static void column_stencil(struct trial *t)
{
    enum { R = 9 };
    int x[R][64], out[R][64];
    trial_numbers(x[0], R * 64, -1000, 1000);
    memset(out, 0, sizeof out);
    for (int r = 1; r + 1 < R; r++)
        for (int c = 0; c < 64; c++)
            out[r][c] = x[r - 1][(c + 63) % 64] + x[r][c] + x[r + 1][(c + 1) % 64];
    uint64_t in = trial_in(t, sizeof x, x), to = trial_zeros(t, sizeof out);
    LAUNCH(t, LINE(1, 64), in, to, R);
    trial_expect(t, to, out, sizeof out);
}

const struct cuda_case tiles_cases[] = {
    {"transpose", transpose, {NULL, "race", "global-bounds", "shared-bounds", "misaligned"}},
    {"transpose_in_place", transpose_in_place, {NULL, "race-between-ctas"}},
    {"histogram", histogram,
     {NULL, "race", "race|race-in-warp", "race", "race-between-ctas", "race-between-ctas",
      "shared-bounds"}},
    {"match_histogram", match_histogram, {NULL, "race-in-warp|race-same-value", "race-in-warp"}},
    {"stencil", stencil, {NULL, "race", "uninitialised-shared", "global-bounds"}},
    {"relax", relax, {NULL, "race", "race"}},
    {"column_stencil", column_stencil, {NULL, "race", "race"}},
    {NULL, NULL, {NULL}},
};
