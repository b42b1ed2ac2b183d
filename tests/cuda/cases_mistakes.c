// SPDX-License-Identifier: MIT
// mistakes.cu: what goes in, what must come out, what each planted error is found by.
#include "trial.h"

static void handed_over(struct trial *t)
{
    int x = 1000, out[64];
    for (int i = 0; i < 64; i++) out[i] = x + i + 32;
    uint64_t in = trial_in(t, sizeof x, &x), to = trial_zeros(t, sizeof out);
    LAUNCH(t, LINE(1, 96), in, to);
    trial_expect(t, to, out, sizeof out);
}

static void gate(struct trial *t)
{
    int out[4] = {1, 1, 1, 1};
    uint64_t opened = trial_zeros(t, 4), to = trial_zeros(t, sizeof out);
    LAUNCH(t, LINE(4, 32), opened, to);
    trial_expect(t, to, out, sizeof out);
}

static void plain(struct trial *t)
{
    static const int fixed[4] = {2, 3, 5, 7};
    int x[128], out[128];
    trial_numbers(x, 128, -100, 100);
    for (int i = 0; i < 128; i++) out[i] = fixed[i % 4] + x[127 - i];
    uint64_t in = trial_in(t, sizeof x, x), to = trial_zeros(t, sizeof out),
             gone = trial_in(t, sizeof x, x);
    assert_int_equal(ptxm_memory_free(t->bench.device, gone), PTXM_OK);
    LAUNCH(t, LINE(1, 128), in, to, gone);
    trial_expect(t, to, out, sizeof out);
}

const struct cuda_case mistakes_cases[] = {
    {"handed_over", handed_over, {NULL, "barrier-count|deadlock", "deadlock"}},
    {"gate", gate, {NULL, "endless-wait|instruction-budget"}},
    {"plain", plain,
     {NULL, "read-only", "use-after-free", "async-copy-uncommitted", "global-bounds"}},
    {NULL, NULL, {NULL}},
};
