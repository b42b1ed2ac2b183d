// SPDX-License-Identifier: MIT
// warp.cu: what goes in, what must come out, what each planted error is found by.
#include "trial.h"

#include <stdlib.h>
#include <string.h>

static unsigned vote(const int *v, int lane)
{
    unsigned r = 0, all = 1, any = 0, same = 1, equal = 0, active = UINT32_MAX;
    for (int i = 0; i < 32; i++) {
        r |= (unsigned)(v[i] & 1) << i;
        all &= v[i] < 1000;
        any |= v[i] == 5;
        same &= v[i] / 2000 == v[0] / 2000;
        equal |= (unsigned)((v[i] & 7) == (v[lane] & 7)) << i;
    }
    r ^= all ? 0x10000 : 0;
    r ^= any ? 0x20000 : 0;
    r ^= same ? UINT32_MAX : 0;
    r ^= same ? 0x40000 : 0;
    r ^= equal * 3;
    r += (unsigned)v[(lane & 24) + ((lane * 5 + 1) & 7)];
    r += (unsigned)((long long)v[lane ^ 7] << 33) * 2 + active;
    if (lane < 12)
        r += (unsigned)v[lane ^ 3];
    else
        r -= (unsigned)v[lane + 2 < 32 ? lane + 2 : lane];
    return r;
}

static void votes(struct trial *t)
{
    int x[64];
    unsigned out[64];
    trial_numbers(x, 64, 0, 900);
    for (int i = 0; i < 64; i++) out[i] = vote(x + i / 32 * 32, i % 32);
    uint64_t in = trial_in(t, sizeof x, x), to = trial_zeros(t, sizeof out);
    LAUNCH(t, LINE(1, 64), in, to);
    trial_expect(t, to, out, sizeof out);
}

static void warp_exchange(struct trial *t)
{
    int v[2][128];
    trial_numbers(v[0], 128, 0, 1000);
    uint64_t in = trial_in(t, sizeof v[0], v[0]), to = trial_zeros(t, sizeof v[0]);
    for (int r = 0; r < 4; r++)
        for (int i = 0; i < 128; i++)
            v[1 - r % 2][i] = v[r % 2][i / 32 * 32 + (i % 32 + 1 + r) % 32] + r;
    LAUNCH(t, LINE(1, 128), in, to, 4);
    trial_expect(t, to, v[0], sizeof v[0]);
}

static int ascending(const void *left, const void *right)
{
    int a = *(const int *)left, b = *(const int *)right;
    return a < b ? -1 : a > b;
}

static void aggregate(struct trial *t)
{
    int x[256], out[256] = {0}, got[256], n = 0;
    trial_numbers(x, 256, -100, 100);
    for (int i = 0; i < 256; i++)
        if (x[i] > 0)
            out[n++] = x[i];
    uint64_t in = trial_in(t, sizeof x, x), count = trial_zeros(t, 4),
             to = trial_zeros(t, sizeof out);
    LAUNCH(t, LINE(2, 128), in, count, to);
    trial_expect(t, count, &n, 4);
    // In some order: sorted, both are the same.
    bench_read(&t->bench, to, got, sizeof got);
    qsort(got, (size_t)n, 4, ascending);
    qsort(out, (size_t)n, 4, ascending);
    if (t->correct)
        assert_memory_equal(got, out, sizeof out);
}

static void locked(struct trial *t)
{
    int sum = 0;
    for (int i = 0; i < 40; i++) sum += 3 * (1 + i);
    uint64_t lock = trial_zeros(t, 4), value = trial_zeros(t, 4);
    LAUNCH(t, LINE(3, 40), lock, value);
    trial_expect(t, value, &sum, 4);
}

static void ring_of_barriers(struct trial *t)
{
    enum { ROUNDS = 7 };
    int x[ROUNDS * 64], out[ROUNDS * 64];
    trial_numbers(x, ROUNDS * 64, 0, 1000);
    for (int i = 0; i < ROUNDS * 64; i++) out[i] = x[i / 64 * 64 + 63 - i % 64] + i / 64;
    uint64_t in = trial_in(t, sizeof x, x), to = trial_zeros(t, sizeof out);
    LAUNCH(t, LINE(1, 128), in, to, ROUNDS);
    trial_expect(t, to, out, sizeof out);
}

static void grid_turns(struct trial *t)
{
    enum { N = 4 * 64, TURNS = 3 };
    int x[N], v[2][N];
    trial_numbers(x, N, -9, 9);
    memcpy(v[0], x, sizeof x);
    for (int k = 0; k < TURNS; k++)
        for (int i = 0; i < N; i++)
            v[1 - k % 2][i] = v[k % 2][(i + 1) % N] + v[k % 2][(i + N - 1) % N] * 2;
    uint64_t in = trial_in(t, sizeof x, x), a = trial_zeros(t, sizeof x),
             b = trial_zeros(t, sizeof x);
    LAUNCH(t, LINE(4, 64), in, a, b, TURNS);
    trial_expect(t, b, v[1], sizeof x);
}

const struct cuda_case warp_cases[] = {
    {"votes", votes, {NULL, "warp-mask"}},
    {"warp_exchange", warp_exchange, {NULL, "race-in-warp", "race-in-warp", "race-in-warp"}},
    {"aggregate", aggregate, {NULL, "race|race-in-warp"}},
    {"locked", locked,
     {NULL, "race-between-ctas", "race-between-ctas|race", "race-between-ctas|race"}},
    {"ring_of_barriers", ring_of_barriers,
     {NULL, "barrier-excess", "barrier-count", "race|deadlock|barrier-excess", "race",
      "barrier-id", "race"}},
    {"grid_turns", grid_turns, {NULL, "race-between-ctas"}},
    {NULL, NULL, {NULL}},
};
