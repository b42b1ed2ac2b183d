// SPDX-License-Identifier: MIT
// async.cu: what goes in, what must come out, what each planted error is found by.
#include "trial.h"

static void tiles(struct trial *t, unsigned threads)
{
    enum { TILES = 6 };
    int x[TILES * 64], out[64] = {0};
    trial_numbers(x, TILES * 64, -100, 100);
    for (int i = 0; i < 64; i++)
        for (int k = 0; k < TILES; k++) out[i] += x[k * 64 + 63 - i] * (k + 1);
    uint64_t in = trial_in(t, sizeof x, x), to = trial_zeros(t, sizeof out);
    LAUNCH(t, LINE(1, threads), in, to, TILES);
    trial_expect(t, to, out, sizeof out);
}

static void tiles_64(struct trial *t) { tiles(t, 64); }
static void tiles_128(struct trial *t) { tiles(t, 128); }

static void split_barrier(struct trial *t)
{
    int x[128], out[128];
    trial_numbers(x, 128, -100, 100);
    for (int i = 0; i < 128; i++) out[i] = x[i] * 3 + x[127 - i];
    uint64_t in = trial_in(t, sizeof x, x), to = trial_zeros(t, sizeof out);
    LAUNCH(t, LINE(1, 128), in, to);
    trial_expect(t, to, out, sizeof out);
}

const struct cuda_case async_cases[] = {
    {"barrier_copy", tiles_64, {NULL, "race-async-copy", "race-async-copy|race"}},
    {"hand_over", tiles_128,
     {NULL, "race|mbarrier-stale-phase", "race|uninitialised-shared|mbarrier-phase-unobserved"}},
    {"role_pipeline", tiles_128, {NULL, "race-async-copy|race"}},
    {"split_barrier", split_barrier, {NULL, "race|uninitialised-shared"}},
    {"block_pipeline", tiles_64, {NULL, "race-async-copy|race"}},
    {NULL, NULL, {NULL}},
};
