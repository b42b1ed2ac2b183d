// SPDX-License-Identifier: MIT
// reduce.cu: what goes in, what must come out, what each planted error is found by.
#include "trial.h"

static void tree_sum(struct trial *t)
{
    float x[512], sums[2];
    for (int i = 0; i < 512; i++) x[i] = (float)(i * 7 % 33) - 16;
    for (int b = 0; b < 2; b++) {
        float s[256];
        for (int i = 0; i < 256; i++) s[i] = x[b * 256 + i];
        for (int k = 128; k > 0; k /= 2)
            for (int i = 0; i < k; i++) s[i] += s[i + k];
        sums[b] = s[0];
    }
    uint64_t in = trial_in(t, sizeof x, x), out = trial_zeros(t, sizeof sums);
    LAUNCH(t, LINE(2, 256), in, out);
    trial_expect(t, out, sums, sizeof sums);
}

static void block_sums(struct trial *t, bool one)
{
    int x[3 * 256], sums[3] = {0};
    trial_numbers(x, 3 * 256, -1000, 1000);
    for (int i = 0; i < 3 * 256; i++) sums[one ? 0 : i / 256] += x[i];
    uint64_t in = trial_in(t, sizeof x, x), out = trial_zeros(t, sizeof sums);
    LAUNCH(t, LINE(3, 256), in, out);
    trial_expect(t, out, sums, sizeof sums);
}

static void separate_sums(struct trial *t) { block_sums(t, false); }
static void one_sum(struct trial *t) { block_sums(t, true); }

static void last_sum(struct trial *t)
{
    int x[5 * 64], sum = 0;
    trial_numbers(x, 5 * 64, -1000, 1000);
    for (int i = 0; i < 5 * 64; i++) sum += 2 * x[i];
    uint64_t in = trial_in(t, sizeof x, x), partial = trial_zeros(t, sizeof x),
             out = trial_zeros(t, 4);
    LAUNCH(t, LINE(5, 64), in, partial, out);
    trial_expect(t, out, &sum, 4);
}

static void reduce_intrinsics(struct trial *t)
{
    int x[64], out[64];
    trial_numbers(x, 64, -50, 90);
    for (int w = 0; w < 2; w++) {
        const int *v = x + w * 32;
        int sum = 0, least = v[0];
        unsigned most = 0, or = 0, and = UINT32_MAX, xor = 0;
        for (int i = 0; i < 32; i++) {
            sum += v[i];
            least = v[i] < least ? v[i] : least;
            most = (unsigned)v[i] > most ? (unsigned)v[i] : most;
            or |= (unsigned)v[i];
            and &= (unsigned)v[i];
            xor ^= (unsigned)v[i];
        }
        for (int i = 0; i < 32; i++)
            out[w * 32 + i] = (int)((unsigned)(sum + least) + most + (or ^ and ^ xor));
    }
    uint64_t in = trial_in(t, sizeof x, x), to = trial_zeros(t, sizeof out);
    LAUNCH(t, LINE(1, 64), in, to);
    trial_expect(t, to, out, sizeof out);
}

static void count_barriers(struct trial *t)
{
    int x[96], out[96], count = 0, any = 0;
    trial_numbers(x, 96, -900, 900);
    x[50] = 77;
    for (int i = 0; i < 96; i++) {
        count += x[i] > 0;
        any |= x[i] == 77;
    }
    for (int i = 0; i < 96; i++) out[i] = count * 4 + 2 + any;
    uint64_t in = trial_in(t, sizeof x, x), to = trial_zeros(t, sizeof out);
    LAUNCH(t, LINE(1, 96), in, to);
    trial_expect(t, to, out, sizeof out);
}

const struct cuda_case reduce_cases[] = {
    {"tree_sum", tree_sum,
     {NULL, "race", "race", "barrier-exited|barrier-divergence", "shared-bounds",
      "uninitialised-shared", "race-in-warp"}},
    {"shuffle_sum", separate_sums, {NULL, "warp-mask", "warp-mask", "race"}},
    {"atomic_sum", one_sum,
     {NULL, "race", "race-between-ctas", "race-between-ctas", "uninitialised-shared", "race",
      "race"}},
    {"group_sum", separate_sums, {NULL, "race", "race-in-warp"}},
    {"last_sum", last_sum,
     {NULL, "race-between-ctas", "race-between-ctas", "race-between-ctas", "race-between-ctas",
      "race-between-ctas"}},
    {"reduce_intrinsics", reduce_intrinsics, {NULL, "warp-mask", "warp-mask"}},
    {"count_barriers", count_barriers, {NULL, "barrier-mixed", "barrier-divergence"}},
    {NULL, NULL, {NULL}},
};
