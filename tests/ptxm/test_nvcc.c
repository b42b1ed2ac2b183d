// SPDX-License-Identifier: MIT
// kernels.cu as nvcc compiles it, run and compared: test_nvcc KERNELS_O0.ptx KERNELS_O3.ptx.
// Every kernel runs with early, late and seeded completion and shuffled warps; none may be accused.
#include "harness.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *path;

static void with_each_schedule(void (*test)(struct bench *))
{
    for (unsigned i = 0; i < 5; i++) {
        struct bench b;
        bench_load_file(&b, path);
        b.options.completion = i == 1 ? PTXM_LATE : i > 1 ? PTXM_SEEDED : PTXM_EAGER;
        b.options.seed = i > 1 ? i : 0;
        b.options.threads = i == 4 ? 2 : 1;
        b.options.check_global_init = true;
        test(&b);
        bench_free(&b);
    }
}
#define EACH_SCHEDULE(name)                                                                        \
    static void test_##name(void **state)                                                          \
    {                                                                                              \
        with_each_schedule(name);                                                                  \
    }

static void saxpy(struct bench *b)
{
    enum { N = 1000 };
    float x[N], y[N];
    for (int i = 0; i < N; i++) x[i] = (float)i, y[i] = 1;
    struct { uint64_t y, x; float a; int n; } p = {bench_buffer(b, sizeof y, y),
                                                   bench_buffer(b, sizeof x, x), 2.5f, N};
    bench_run(b, "saxpy", 4, 256, 0, &p, sizeof p);
    bench_clean(b);
    bench_read(b, p.y, y, sizeof y);
    for (int i = 0; i < N; i++) assert_true(y[i] == 2.5f * x[i] + 1);
}

static void block_sum(struct bench *b)
{
    enum { N = 5000 };
    float x[N], out = 0;
    for (int i = 0; i < N; i++) x[i] = (float)(i % 7);
    struct { uint64_t x, out; int n; } p = {bench_buffer(b, sizeof x, x),
                                            bench_buffer(b, sizeof out, &out), N};
    float want = 0;
    for (int i = 0; i < N; i++) want += x[i];
    bench_run(b, "block_sum", 3, 256, 0, &p, sizeof p);
    bench_clean(b);
    bench_read(b, p.out, &out, sizeof out);
    assert_true(out == want);
}

static void warp_scan(struct bench *b)
{
    int x[256], out[256], sum = 0;
    for (int i = 0; i < 256; i++) x[i] = i * i % 31;
    uint64_t px = bench_buffer(b, sizeof x, x), po = bench_buffer(b, sizeof out, NULL);
    RUN(b, "warp_scan", 1, 256, 0, px, po);
    bench_clean(b);
    bench_read(b, po, out, sizeof out);
    for (int i = 0; i < 256; i++) assert_int_equal(out[i], sum += x[i]);
}

static float classify(int k, float x)
{
    const float values[] = {x + 1, x * 2, x - 3, -x, x / 4, x * x, fabsf(x) + 0.5f};
    return k < 7 ? values[k] : 0;
}

static void divergent(struct bench *b)
{
    enum { N = 300 };
    int steps[N];
    float classes[N];
    struct { uint64_t steps, classes; int n; } p = {bench_buffer(b, sizeof steps, NULL),
                                                    bench_buffer(b, sizeof classes, NULL), N};
    bench_run(b, "divergent", 3, 128, 0, &p, sizeof p);
    bench_clean(b);
    bench_read(b, p.steps, steps, sizeof steps);
    bench_read(b, p.classes, classes, sizeof classes);
    for (int i = 0; i < N; i++) {
        int want = 0;
        for (unsigned n = (unsigned)i + 1; n != 1; want++) n = n & 1 ? 3 * n + 1 : n / 2;
        assert_int_equal(steps[i], want);
        assert_true(classes[i] == classify(i % 9, (float)i));
    }
}

static void local_array(struct bench *b)
{
    enum { N = 64 };
    int x[N], out[N];
    for (int i = 0; i < N; i++) x[i] = i * 7 % 23;
    struct { uint64_t x, out; int n; } p = {bench_buffer(b, sizeof x, x),
                                            bench_buffer(b, sizeof out, NULL), N};
    bench_run(b, "local_array", 1, N, 0, &p, sizeof p);
    bench_clean(b);
    bench_read(b, p.out, out, sizeof out);
    for (int i = 0; i < N; i++) {
        int want = 0;
        for (int k = 0; k < 16; k++) {
            int at = (x[i] + k) & 15;
            want += x[(i + at) % N] * at * (k + 1);
        }
        assert_int_equal(out[i], want);
    }
}

static void indirect(struct bench *b)
{
    int x[96], out[96];
    for (int i = 0; i < 96; i++) x[i] = i - 40;
    uint64_t px = bench_buffer(b, sizeof x, x), po = bench_buffer(b, sizeof out, NULL);
    RUN(b, "indirect", 1, 96, 0, px, po);
    bench_clean(b);
    bench_read(b, po, out, sizeof out);
    for (int i = 0; i < 96; i++)
        assert_int_equal(out[i], i % 3 == 0 ? 2 * x[i] : i % 3 == 1 ? x[i] * x[i] : -x[i]);
}

static void symbols(struct bench *b)
{
    static const int weights[] = {1, -2, 3, -4};
    int out[64];
    uint64_t counter, address;
    size_t size;
    uint64_t po = bench_buffer(b, sizeof out, NULL);
    RUN(b, "symbols", 3, 64, 0, po);
    bench_found(b, "race-between-ctas-same-value"); // three CTAs write the same 64 words
    bench_read(b, po, out, sizeof out);
    for (int i = 0; i < 64; i++) assert_int_equal(out[i], weights[i & 3]);
    assert_int_equal(ptxm_module_symbol(b->device, b->module, "counter", &address, &size), PTXM_OK);
    assert_int_equal(size, 8);
    bench_read(b, address, &counter, 8);
    assert_int_equal(counter, 2 * 64 * 3);
}

static void histogram(struct bench *b)
{
    enum { N = 3000 };
    uint8_t x[N];
    unsigned bins[256] = {0}, want[256] = {0};
    for (int i = 0; i < N; i++) want[x[i] = (uint8_t)(i * i)]++;
    struct { uint64_t x, bins; int n; } p = {bench_buffer(b, sizeof x, x),
                                             bench_buffer(b, sizeof bins, bins), N};
    bench_run(b, "histogram", 3, 128, 0, &p, sizeof p);
    bench_clean(b);
    bench_read(b, p.bins, bins, sizeof bins);
    assert_memory_equal(bins, want, sizeof want);
}

static void last_block(struct bench *b)
{
    enum { BLOCKS = 7, PER = 200 };
    float x[BLOCKS * PER], out = 0, want = 0;
    for (int i = 0; i < BLOCKS * PER; i++) want += x[i] = (float)(i % 5);
    struct { uint64_t x, partial, out; int per; } p = {
        bench_buffer(b, sizeof x, x), bench_buffer(b, BLOCKS * 4, NULL),
        bench_buffer(b, 4, NULL), PER};
    for (int again = 0; again < 2; again++) {
        bench_run(b, "last_block", BLOCKS, 128, 0, &p, sizeof p);
        bench_clean(b);
        bench_read(b, p.out, &out, 4);
        assert_true(out == want);
    }
}

static void turnstile(struct bench *b)
{
    int value = 1, flag = 0, want = 1;
    uint64_t pv = bench_buffer(b, 4, &value), pf = bench_buffer(b, 4, &flag);
    for (int i = 9; i >= 0; i--) want = want * 3 + i;
    RUN(b, "turnstile", 10, 32, 0, pv, pf);
    bench_clean(b);
    bench_read(b, pv, &value, 4);
    assert_int_equal(value, want);
}

static void spinlock(struct bench *b)
{
    int zero = 0, value;
    uint64_t lock = bench_buffer(b, 4, &zero), pv = bench_buffer(b, 4, &zero);
    RUN(b, "spinlock", 3, 64, 0, lock, pv);
    bench_clean(b);
    bench_read(b, pv, &value, 4);
    assert_int_equal(value, 3 * 64);
}

static void named_barriers(struct bench *b)
{
    enum { ROUNDS = 5 };
    int x[ROUNDS * 64], out[ROUNDS * 64];
    for (int i = 0; i < ROUNDS * 64; i++) x[i] = i * 3;
    struct { uint64_t x, out; int rounds; } p = {bench_buffer(b, sizeof x, x),
                                                 bench_buffer(b, sizeof out, NULL), ROUNDS};
    bench_run(b, "named_barriers", 1, 128, 0, &p, sizeof p);
    bench_clean(b);
    bench_read(b, p.out, out, sizeof out);
    for (int i = 0; i < ROUNDS * 64; i++)
        assert_int_equal(out[i], x[i / 64 * 64 + 63 - i % 64] + i / 64);
}

static uint16_t to_bf16(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, 4);
    return (uint16_t)(bits >> 16);
}

static void matmul(struct bench *b)
{
    enum { M = 128, N = 64, K = 96 };
    static uint16_t a[M * K], bb[K * N];
    static float c[M * N];
    for (int i = 0; i < M * K; i++) a[i] = to_bf16((float)(i * 7 % 11 - 5));
    for (int i = 0; i < K * N; i++) bb[i] = to_bf16((float)(i * 5 % 13 - 6));
    struct { uint64_t a, b, c; int m, n, k; } p = {
        bench_buffer(b, sizeof a, a), bench_buffer(b, sizeof bb, bb),
        bench_buffer(b, sizeof c, NULL), M, N, K};
    struct ptxm_launch launch = {.kernel = "matmul", .grid = {N / 64, M / 64, 1},
                                 .block = {128, 1, 1}, .params = &p, .param_bytes = sizeof p,
                                 .options = &b->options};
    b->status = ptxm_launch(b->device, b->module, &launch, NULL, NULL, &b->report);
    bench_clean(b);
    assert_int_equal(ptxm_report_counters(b->report)->matrix_multiplies,
                     M * N * K / (16 * 8 * 16));
    bench_read(b, p.c, c, sizeof c);
    for (int i = 0; i < M; i++)
        for (int j = 0; j < N; j++) {
            float want = 0;
            for (int k = 0; k < K; k++)
                want += (float)((i * K + k) * 7 % 11 - 5) * (float)((k * N + j) * 5 % 13 - 6);
            assert_true(c[i * N + j] == want);
        }
}

EACH_SCHEDULE(saxpy)
EACH_SCHEDULE(block_sum)
EACH_SCHEDULE(warp_scan)
EACH_SCHEDULE(divergent)
EACH_SCHEDULE(local_array)
EACH_SCHEDULE(indirect)
EACH_SCHEDULE(symbols)
EACH_SCHEDULE(histogram)
EACH_SCHEDULE(last_block)
EACH_SCHEDULE(turnstile)
EACH_SCHEDULE(spinlock)
EACH_SCHEDULE(named_barriers)
EACH_SCHEDULE(matmul)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_saxpy),       cmocka_unit_test(test_block_sum),
        cmocka_unit_test(test_warp_scan),   cmocka_unit_test(test_divergent),
        cmocka_unit_test(test_local_array), cmocka_unit_test(test_indirect),
        cmocka_unit_test(test_symbols),     cmocka_unit_test(test_histogram),
        cmocka_unit_test(test_last_block),  cmocka_unit_test(test_turnstile),
        cmocka_unit_test(test_spinlock),    cmocka_unit_test(test_named_barriers),
        cmocka_unit_test(test_matmul),
    };
    if (argc < 2)
        return 77; // nvcc is not there: nothing to run
    path = argv[1];
    return cmocka_run_group_tests_name("nvcc", tests, NULL, NULL);
}
