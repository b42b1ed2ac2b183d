// SPDX-License-Identifier: MIT
// scan.cu: what goes in, what must come out, what each planted error is found by.
#include "trial.h"

static void inclusive(struct trial *t)
{
    int x[256], out[256], sum = 0;
    trial_numbers(x, 256, -1000, 1000);
    for (int i = 0; i < 256; i++) out[i] = sum += x[i];
    uint64_t in = trial_in(t, sizeof x, x), to = trial_zeros(t, sizeof out);
    LAUNCH(t, LINE(1, 256), in, to);
    trial_expect(t, to, out, sizeof out);
}

static void exclusive(struct trial *t)
{
    int x[256], out[256], sum = 0;
    trial_numbers(x, 256, -1000, 1000);
    for (int i = 0; i < 256; i++) {
        out[i] = sum;
        sum += x[i];
    }
    uint64_t in = trial_in(t, sizeof x, x), to = trial_zeros(t, sizeof out);
    struct shape shape = LINE(1, 128);
    shape.shared = sizeof x;
    LAUNCH(t, shape, in, to);
    trial_expect(t, to, out, sizeof out);
}

static void across(struct trial *t, bool flags)
{
    int x[6 * 64], out[6 * 64], sum = 0;
    trial_numbers(x, 6 * 64, -1000, 1000);
    for (int i = 0; i < 6 * 64; i++) out[i] = sum += x[i];
    uint64_t in = trial_in(t, sizeof x, x), to = trial_zeros(t, sizeof out),
             state = trial_zeros(t, 64), more = trial_zeros(t, 64);
    if (flags)
        LAUNCH(t, LINE(6, 64), in, state, more, to);
    else
        LAUNCH(t, LINE(6, 64), in, state, to);
    trial_expect(t, to, out, sizeof out);
}

static void chained_scan(struct trial *t) { across(t, true); }
static void look_back(struct trial *t) { across(t, false); }

const struct cuda_case scan_cases[] = {
    {"warp_scan", inclusive, {NULL, "race", "deadlock|warp-mask"}},
    {"buffer_scan", inclusive, {NULL, "race", "race", "race"}},
    {"tree_scan", exclusive, {NULL, "race", "race", "shared-bounds"}},
    {"chained_scan", chained_scan,
     {NULL, "race-between-ctas", "race-between-ctas", "race-between-ctas", "race-between-ctas",
      "race-between-ctas"}},
    {"look_back", look_back, {NULL, "race-between-ctas"}},
    {NULL, NULL, {NULL}},
};
