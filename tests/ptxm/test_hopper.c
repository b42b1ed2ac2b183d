// SPDX-License-Identifier: MIT
// hopper.cu as nvcc compiles it, run and compared: test_hopper HOPPER.ptx. Every kernel runs under
// every kind of completion and shuffled orders; none may be accused. With two more arguments, a
// kernel and a rule, the text has a planted mistake in that kernel, and each run must find it.
#include "harness.h"

#include <stdlib.h>
#include <string.h>

static const char *path, *rule; // rule: that must be found; NULL: the kernels are right

static void with_each_schedule(void (*test)(struct bench *))
{
    for (unsigned i = 0; i < 6; i++) {
        struct bench b;
        bench_load_file(&b, path);
        b.options.completion = i == 1 || i == 5 ? PTXM_LATE : i > 1 ? PTXM_SEEDED : PTXM_EAGER;
        b.options.seed = i > 1 ? i : 0;
        b.options.threads = i == 4 ? 2 : 1;
        test(&b);
        bench_free(&b);
    }
}
// True if the results are to be looked at.
static bool judged(struct bench *b)
{
    if (rule)
        bench_found(b, rule);
    else
        bench_clean(b);
    return !rule;
}

#define EACH_SCHEDULE(name)                                                                        \
    static void test_##name(void **state)                                                          \
    {                                                                                              \
        with_each_schedule(name);                                                                  \
    }

static void scale(struct bench *b)
{
    enum { TILES = 7, N = TILES * 256 };
    static float in[N], out[N];
    for (int i = 0; i < N; i++) in[i] = (float)i;
    struct { uint64_t out, in; int tiles; float factor; } p = {
        bench_buffer(b, sizeof out, NULL), bench_buffer(b, sizeof in, in), TILES, 3};
    bench_run(b, "scale", 2, 128, 0, &p, sizeof p);
    if (!judged(b))
        return;
    bench_read(b, p.out, out, sizeof out);
    for (int i = 0; i < N; i++) assert_true(out[i] == 3 * (float)i);
}
EACH_SCHEDULE(scale)

static void histogram(struct bench *b)
{
    enum { N = 3000 };
    static uint32_t in[N], bins[64], expected[64];
    uint64_t state = 5;
    memset(bins, 0, sizeof bins);
    memset(expected, 0, sizeof expected);
    for (int i = 0; i < N; i++) expected[(in[i] = (uint32_t)bench_random(&state)) % 64]++;
    struct { uint64_t bins, in; int count; } p = {bench_buffer(b, sizeof bins, bins),
                                                  bench_buffer(b, sizeof in, in), N};
    bench_run(b, "histogram", 4, 96, 0, &p, sizeof p);
    if (!judged(b))
        return;
    bench_read(b, p.bins, bins, sizeof bins);
    assert_memory_equal(bins, expected, sizeof bins);
}
EACH_SCHEDULE(histogram)

static void map_of(uint64_t address, uint64_t columns, uint64_t rows, struct ptxm_tensor_map *map)
{
    uint64_t dims[] = {columns, rows}, stride[] = {columns * 4};
    uint32_t box[] = {32, 32}, ones[] = {1, 1};
    struct ptxm_tensor t = {.type = PTXM_TENSOR_FLOAT32, .rank = 2, .address = address,
                            .dims = dims, .strides = stride, .box = box, .element_strides = ones};
    assert_int_equal(ptxm_tensor_map_encode_tiled(map, &t, NULL, NULL), PTXM_OK);
}

static void transpose(struct bench *b)
{
    enum { COLUMNS = 80, ROWS = 52 };
    static float in[ROWS][COLUMNS], out[COLUMNS][ROWS];
    struct { struct ptxm_tensor_map from, to; } p;
    for (int r = 0; r < ROWS; r++)
        for (int c = 0; c < COLUMNS; c++) in[r][c] = (float)(r * COLUMNS + c);
    uint64_t from = bench_buffer(b, sizeof in, in), to = bench_buffer(b, sizeof out, NULL);
    map_of(from, COLUMNS, ROWS, &p.from);
    map_of(to, ROWS, COLUMNS, &p.to);
    struct ptxm_launch launch = {.kernel = "transpose", .grid = {3, 2, 1}, .block = {128, 1, 1},
                                 .params = &p, .param_bytes = sizeof p, .options = &b->options};
    b->status = ptxm_launch(b->device, b->module, &launch, NULL, NULL, &b->report);
    if (!judged(b))
        return;
    bench_read(b, to, out, sizeof out);
    for (int r = 0; r < ROWS; r++)
        for (int c = 0; c < COLUMNS; c++) assert_true(out[c][r] == in[r][c]);
}
EACH_SCHEDULE(transpose)

static void ring(struct bench *b)
{
    enum { CTAS = 2, TILES = 11, N = CTAS * TILES * 128 };
    static float in[N], out[CTAS];
    memset(out, 0, sizeof out);
    for (int i = 0; i < N; i++) in[i] = (float)(i % 13);
    struct { uint64_t out, in; int tiles; } p = {bench_buffer(b, sizeof out, out),
                                                 bench_buffer(b, sizeof in, in), TILES};
    bench_run(b, "ring", CTAS, 128, 0, &p, sizeof p);
    if (!judged(b))
        return;
    bench_read(b, p.out, out, sizeof out);
    for (int c = 0; c < CTAS; c++) {
        float sum = 0;
        for (int i = 0; i < TILES * 128; i++) sum += in[c * TILES * 128 + i];
        assert_true(out[c] == sum); // small integers: exact in any order
    }
}
EACH_SCHEDULE(ring)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scale),
        cmocka_unit_test(test_histogram),
        cmocka_unit_test(test_transpose),
        cmocka_unit_test(test_ring),
    };
    if (argc != 2 && argc != 4)
        return 2;
    path = argv[1];
    rule = argc == 4 ? argv[3] : NULL;
    for (size_t i = 0; rule && i < sizeof tests / sizeof *tests; i++)
        if (strstr(tests[i].name, argv[2])) {
            const struct CMUnitTest one[] = {tests[i]};
            return cmocka_run_group_tests_name("planted", one, NULL, NULL);
        }
    return rule ? 2 : cmocka_run_group_tests_name("hopper", tests, NULL, NULL);
}
