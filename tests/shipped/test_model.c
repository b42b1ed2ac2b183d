// SPDX-License-Identifier: MIT
// The model that chooses tiles for GPUs with wgmma: what it chooses can be had (the passes take it,
// and shared memory holds it), it gives its reasons, and it chooses the same every time.
#include "kernels/attention/order.h"
#include "kernels/matmul/model.h"
#include "tests/shipped/shipped.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const int64_t extents[] = {64, 72, 128, 200, 512, 1000, 2048, 4096, 11008};
enum { EXTENTS = sizeof extents / sizeof *extents };

static kgen_task *plan(const char *shape, const char *rest)
{
    char line[256];
    const char *family = strstr(shape, "SQ=") ? "attention" : "matmul";
    snprintf(line, sizeof line, "%s %s target=sm_90a %s", family, shape, rest);
    return shipped_plan(line);
}

static int64_t constant(const kgen_task *task, const char *name)
{
    for (int i = 0; i < task->n_defines; i++)
        if (!strcmp(task->defines[i].name, name)) return atoll(task->defines[i].value);
    return -1;
}

// Compiles as far as buffers have their places; no warning that the schedule did not fit.
static void place(kgen_context *context, const kgen_task *task, const char *what)
{
    kgen_define defines[KGEN_TASK_DEFINES];
    for (int i = 0; i < task->n_defines; i++)
        defines[i] = (kgen_define){task->defines[i].name, task->defines[i].value};
    kgen_compile_options options = {.name = task->source_name,
                                    .target = task->target,
                                    .defines = defines,
                                    .n_defines = (size_t)task->n_defines,
                                    .stop_after = "place"};
    kgen_program *program = NULL;
    kgen_program_info info;
    kgen_status status =
        kgen_compile(context, task->source, task->source_bytes, &options, &program);
    if (status) fail_msg("%s: %s\n%s", what, kgen_status_name(status), task->reasons);
    assert_int_equal(kgen_program_get_info(program, &info), KGEN_OK);
    assert_true(info.shared_bytes <= 227 * 1024);
    int64_t sets = constant(task, "TURNS") > 1 ? constant(task, "TURNS") : 1;
    assert_int_equal(info.threads, 32 * (sets * constant(task, "WARPS") + 4));
    assert_non_null(strstr(kgen_program_ir(program), "wgmma("));
    kgen_program_free(program);
}

static void test_placed(void **state)
{
    static const char *const rests[] = {"out=bf16",
                                        "out=f32",
                                        "out=f16 dtype=f16 a_col=true",
                                        "out=bf16 b_col=true bias=true activation=gelu",
                                        "out=f32 splits=2",
                                        "out=bf16 splits=2",
                                        "out=f32 activation=gelu"};
    kgen_context *context = shipped_context();
    for (int i = 0; i < EXTENTS * EXTENTS; i++) {
        char shape[128];
        int64_t m = extents[i / EXTENTS], n = extents[i % EXTENTS];
        snprintf(shape, sizeof shape, "M=%lld N=%lld K=%lld", (long long)m, (long long)n,
                 (long long)extents[(i * 5 + 3) % EXTENTS]);
        kgen_task *task = plan(shape, rests[i % 7]);
        assert_non_null(strstr(task->reasons, "chosen: "));
        if (i % 4 == 0) place(context, task, shape);
        kgen_task_free(task);
    }
    kgen_context_free(context);
}

static void test_every_tile(void **state)
{
    static const char *const tiles[] = {"128x256", "256x128", "128x192", "128x160", "64x192",
                                        "128x128", "256x64",  "128x64",  "192x192", "128x208",
                                        "64x256",  "64x128",  "64x64"};
    kgen_context *context = shipped_context();
    for (size_t i = 0; i < 2 * sizeof tiles / sizeof *tiles; i++) {
        int m = 0, n = 0, size = 1 + (int)(i % 2);
        char rest[128];
        sscanf(tiles[i / 2], "%dx%d", &m, &n);
        snprintf(rest, sizeof rest, "out=bf16 tile_m=%d tile_n=%d cluster=%d", m, n, size);
        kgen_task *task = plan("M=1000 N=1000 K=1000", rest);
        assert_int_equal(constant(task, "BM"), m);
        assert_int_equal(constant(task, "BN"), n);
        assert_int_equal(constant(task, "CLUSTER"), size > 1 ? size : 0);
        place(context, task, tiles[i / 2]);
        kgen_task_free(task);
    }
    kgen_context_free(context);
}

static void test_attention(void **state)
{
    static const char *const shapes[] = {
        "SQ=4096 SK=4096 H=32 HKV=8 D=128",
        "SQ=4096 SK=4096 H=32 HKV=8 D=128 causal=true",
        "SQ=100 SK=300 D=64",
        "SQ=16384 SK=16384 H=16 HKV=16 D=64 dtype=f16",
        "SQ=16384 SK=16384 H=16 HKV=16 D=128",
        "SQ=1000 SK=1000 H=16 HKV=16 D=64 causal=true persistent=true",
    };
    kgen_context *context = shipped_context();
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        kgen_task *task = plan(shapes[i], "");
        assert_int_equal(constant(task, "PRODUCERS"), 1);
        assert_non_null(strstr(task->reasons, "chosen: "));
        place(context, task, shapes[i]);
        kgen_task_free(task);
    }
    kgen_context_free(context);
}

// Longest first is done earlier than the order of rows, later than is possible at all, and counts
// what it says: two CTAs take blocks of 4, 3, 2, 1 tiles as 4 + 1 and 3 + 2, or in the order of
// rows as 1 + 3 and 2 + 4.
static void test_longest_first(void **state)
{
    attention_blocks four = {512, 512, 128, 128, 1, 1, true};
    attention_order rows = {0, 2, false, 1, 0}, first = {1, 2, false, 1, 0};
    assert_int_equal(attention_time(&four, &rows), 6);
    assert_int_equal(attention_time(&four, &first), 5);
    first.persistent = true; // 4 + 2 and 3 + 1
    assert_int_equal(attention_time(&four, &first), 6);
    assert_int_equal(attention_least_time(&four, &first), 5);
    for (int64_t sq = 512; sq <= 16384; sq *= 2)
        for (int64_t heads = 8; heads <= 64; heads += 8) {
            attention_blocks blocks = {sq, sq, 128, 128, 1, heads, true};
            attention_order order = {0, 132, false, 2, 3}, longest = order;
            longest.section = attention_section(heads, 1, 4 * sq * 128, 32 << 20);
            assert_int_equal(heads % longest.section, 0);
            assert_true(longest.section == 1 || longest.section * 4 * sq * 128 <= 32 << 20);
            int64_t time = attention_time(&blocks, &longest);
            assert_true(time >= attention_least_time(&blocks, &longest));
            assert_true(time <= attention_time(&blocks, &order));
        }
    attention_blocks none = {128, 16, 128, 128, 1, 1, true}, far = {128, 16, 64, 128, 1, 1, true};
    assert_int_equal(attention_depth(&none, 0), 1);
    assert_int_equal(attention_depth(&far, 0), 0); // rows in front of all keys
    four.heads = 1 << 20;
    assert_int_equal(attention_time(&four, &rows), -1);
}

static void test_same_again(void **state)
{
    for (int i = 0; i < EXTENTS; i++) {
        matmul_shape shape = {.m = extents[i], .n = 4096, .k = 4096, .out_bytes = 2};
        shape.staged = true;
        shape.splits = 1;
        shape.ctas = 132;
        char first[2048], second[2048];
        matmul_choice a, b;
        assert_true(matmul_model(&shape, &a, first, sizeof first));
        assert_true(matmul_model(&shape, &b, second, sizeof second));
        assert_memory_equal(&a, &b, sizeof a);
        assert_string_equal(first, second);
        shape.k *= 2;
        assert_true(matmul_model(&shape, &b, second, sizeof second));
        assert_true(b.cycles > a.cycles);
        char small[16];
        assert_true(matmul_model(&shape, &a, small, sizeof small)); // cut, not overrun
        assert_true(strlen(small) < sizeof small);
    }
}

// A row of bias beside the sums does not fit into the registers of the widest tile, unless a tile
// leaves in panels, each with its columns of the row.
static void test_bias(void **state)
{
    kgen_task *panels = plan("M=4096 N=4096 K=4096", "out=bf16 bias=true"),
              *without = plan("M=4096 N=4096 K=4096", "out=f32"),
              *with = plan("M=4096 N=4096 K=4096", "out=f32 bias=true");
    assert_int_equal(constant(panels, "BN"), 256);
    assert_int_equal(constant(panels, "STAGES"), 4);
    assert_int_equal(constant(panels, "STORE_COLUMNS"), 64);
    assert_int_equal(constant(without, "BN"), 256);
    assert_int_equal(constant(with, "BM"), 256);
    assert_int_equal(constant(with, "BN"), 128);
    assert_non_null(strstr(with->reasons, "192 registers of a thread, too many"));
    kgen_task_free(panels);
    kgen_task_free(without);
    kgen_task_free(with);
}

// Pairs of CTAs share tiles where most SMs ask for some; on request everywhere.
static void test_pairs(void **state)
{
    static const char *const alone[] = {"M=512 N=512 K=4096 out=bf16", "M=64 N=2048 K=4096",
                                        "M=4096 N=4096 K=4096 out=bf16 cluster=1",
                                        "M=4096 N=4096 K=4096 splits=2"};
    kgen_context *context = shipped_context();
    for (size_t i = 0; i < sizeof alone / sizeof *alone; i++) {
        kgen_task *task = plan(alone[i], "");
        assert_int_equal(constant(task, "CLUSTER"), 0);
        kgen_task_free(task);
    }
    for (int i = 0; i < 4; i++) {
        const char *const rests[] = {"out=bf16", "out=f32", "out=bf16 tile_m=256 tile_n=128",
                                     "out=bf16 b_col=true"};
        kgen_task *task = plan("M=4096 N=4096 K=4096", rests[i]);
        assert_int_equal(constant(task, "CLUSTER"), 2);
        assert_int_equal(constant(task, "CLUSTER_AXIS"), i != 2);
        assert_non_null(strstr(task->reasons,
                               i == 2 ? "along n share those of a" : "along m share those of b"));
        place(context, task, rests[i]);
        kgen_task_free(task);
    }
    kgen_task *few = plan("M=64 N=4096 K=512", "cluster=2"); // one row of tiles
    assert_int_equal(constant(few, "CLUSTER"), 2);
    assert_int_equal(constant(few, "CLUSTER_AXIS"), 0);
    kgen_task_free(few);
    kgen_context_free(context);
}

static void test_left_alone(void **state)
{
    static const char *const shapes[] = {"M=16 N=4096 K=4096", "M=256 N=256 K=100",
                                         "M=256 N=100 K=256"};
    for (int i = 0; i < 3; i++) {
        kgen_task *task = plan(shapes[i], "");
        assert_int_equal(constant(task, "PRODUCERS"), -1);
        assert_non_null(strstr(task->reasons, "all warps work alike"));
        kgen_task_free(task);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_placed),    cmocka_unit_test(test_every_tile),
        cmocka_unit_test(test_attention), cmocka_unit_test(test_same_again),
        cmocka_unit_test(test_bias),      cmocka_unit_test(test_pairs),
        cmocka_unit_test(test_left_alone), cmocka_unit_test(test_longest_first)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
