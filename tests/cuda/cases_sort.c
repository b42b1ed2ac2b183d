// SPDX-License-Identifier: MIT
// sort.cu: what goes in, what must come out, what each planted error is found by.
#include "trial.h"

#include <stdlib.h>

static int ascending(const void *left, const void *right)
{
    int a = *(const int *)left, b = *(const int *)right;
    return a < b ? -1 : a > b;
}

static void sort(struct trial *t, unsigned n)
{
    int x[256], out[256];
    trial_numbers(x, n, 0, 1 << 30);
    for (unsigned i = 0; i < n; i++) out[i] = x[i] % (i % 3 == 0 ? 17 : 1 << 30);
    uint64_t in = trial_in(t, n * 4, out), to = trial_zeros(t, n * 4);
    qsort(out, n, 4, ascending);
    LAUNCH(t, LINE(1, n), in, to);
    trial_expect(t, to, out, n * 4);
}

static void sort_256(struct trial *t) { sort(t, 256); }
static void sort_128(struct trial *t) { sort(t, 128); }
static void sort_32(struct trial *t) { sort(t, 32); }

const struct cuda_case sort_cases[] = {
    {"bitonic", sort_256, {NULL, "race", "barrier-divergence|barrier-exited", "race-in-warp",
                           "race|race-same-value"}},
    {"warp_bitonic", sort_32, {NULL, "warp-mask"}},
    {"radix", sort_128, {NULL, "race", "race", "race", "race"}},
    {NULL, NULL, {NULL}},
};
