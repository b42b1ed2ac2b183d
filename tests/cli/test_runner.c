// SPDX-License-Identifier: MIT
// The task runner on tasks that go wrong: elements that stay the same over reruns, and that do not.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tools/kgen/task_runner.h"
#include <stdlib.h>
#include <string.h>

enum { N = 64 };

// Sums whose result depends on which warp adds first, as the large numbers swallow the small ones
// that lie between them. The other output does not depend on it.
static const char source[] = "kernel sums(sum: global f32[8], index: global i32[64])\n"
                             "  warps 8\n"
                             "  grid n: 1\n"
                             "{\n"
                             "  i = iota(256)\n"
                             "  to = i % 8\n"
                             "  warp = i / 32\n"
                             "  other = warp == (to + 1) % 8 ? -1e8 : 1.0\n"
                             "  x = warp == to ? 1e8 : other\n"
                             "  atomic_add sum[to] = x\n"
                             "  j = iota(64)\n"
                             "  store index[..] = j + j / 50\n"
                             "}\n";
enum { SUM, INDEX };

// The sums without rounding: four lanes each of six warps. index is off from 50 on.
static bool reference(kgen_task *task)
{
    for (int i = 0; i < 8; i++) task->tensors[SUM].expect[i] = 24;
    for (int i = 0; i < N; i++) task->tensors[INDEX].expect[i] = i;
    return true;
}

static void add_tensor(kgen_task *task, const char *name, const char *dtype, kgen_task_role role,
                       int64_t n)
{
    task->tensors[task->n_tensors++] = (kgen_task_tensor){.name = name,
                                                          .dtype = dtype,
                                                          .role = role,
                                                          .rank = 1,
                                                          .dims = {n},
                                                          .bytes = (size_t)n * 4,
                                                          .data = calloc((size_t)n, 4),
                                                          .alias = -1};
}

// `compared` is the output that counts.
static kgen_task *make_task(int compared)
{
    kgen_task *task = calloc(1, sizeof *task);
    task->family = "sums";
    strcpy(task->shape, "64");
    task->source = source;
    task->source_bytes = sizeof source - 1;
    task->source_name = "sums.kg";
    add_tensor(task, "sum", "f32", compared == SUM ? KGEN_TASK_UPDATED : KGEN_TASK_ZEROED, 8);
    add_tensor(task, "index", "i32", compared == INDEX ? KGEN_TASK_OUTPUT : KGEN_TASK_SCRATCH, N);
    for (int i = 0; i < 2; i++) {
        task->tensors[i].expect = calloc(N, sizeof(double));
        task->tensors[i].bound = calloc(N, sizeof(double));
    }
    task->reference = reference;
    return task;
}

static void run(kgen_task *task, int reruns, run_result *result, cli_session *session)
{
    run_settings settings = {.device_kind = "cpu", .reruns = reruns};
    settings.device.cpu_threads = 1;
    settings.device.seed = 1; // out of order
    assert_true(session_open(session));
    task_run(session, task, &settings, result);
    assert_int_equal(result->n_outputs, 1);
}

static void finish(kgen_task *task, run_result *result, cli_session *session)
{
    run_result_free(result);
    session_close(session);
    kgen_task_free(task);
}

static void same_elements_over_reruns(void **state)
{
    cli_session session;
    run_result result;
    kgen_task *task = make_task(INDEX);
    run(task, 3, &result, &session);
    assert_true(result.mismatch);
    assert_int_equal(result.outputs[0].comparison.wrong, N - 50);
    assert_int_equal(result.reruns, 3);
    assert_int_equal(result.stability, SAME_ELEMENTS);
    finish(task, &result, &session);
}

static void other_elements_over_reruns(void **state)
{
    cli_session session;
    run_result result;
    kgen_task *task = make_task(SUM);
    run(task, 5, &result, &session);
    assert_true(result.mismatch);
    assert_int_equal(result.stability, OTHER_ELEMENTS);
    finish(task, &result, &session);
}

static void no_reruns_on_request(void **state)
{
    cli_session session;
    run_result result;
    kgen_task *task = make_task(INDEX);
    run(task, 0, &result, &session);
    assert_int_equal(result.stability, NOT_RERUN);
    finish(task, &result, &session);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_elements_over_reruns),
        cmocka_unit_test(other_elements_over_reruns),
        cmocka_unit_test(no_reruns_on_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
