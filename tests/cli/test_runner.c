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

// Each CTA takes a number; which one depends on who comes first. The other output does not.
static const char source[] = "kernel tickets(ticket: global i32[N], index: global i32[N],\n"
                             "               counter: global i32[1], N: i32)\n"
                             "  warps 1\n"
                             "  grid n: N\n"
                             "{\n"
                             "  t = fetch_add counter[0], 1\n"
                             "  store ticket[n] = t\n"
                             "  store index[n] = n + n / 50\n"
                             "}\n";
enum { TICKET, INDEX, COUNTER };

// What the kernel writes where CTAs come in order. index is off from 50 on.
static bool reference(kgen_task *task)
{
    for (int i = 0; i < N; i++) {
        task->tensors[TICKET].expect[i] = i;
        task->tensors[INDEX].expect[i] = i;
    }
    return true;
}

static void add_tensor(kgen_task *task, const char *name, kgen_task_role role, int64_t n)
{
    task->tensors[task->n_tensors++] = (kgen_task_tensor){.name = name,
                                                          .dtype = "i32",
                                                          .role = role,
                                                          .rank = 1,
                                                          .dims = {n},
                                                          .bytes = (size_t)n * 4,
                                                          .data = calloc((size_t)n, 4),
                                                          .alias = -1};
}

// `compared` is the output that counts; the other one is only scratch.
static kgen_task *make_task(int compared)
{
    kgen_task *task = calloc(1, sizeof *task);
    task->family = "tickets";
    strcpy(task->shape, "64");
    task->source = source;
    task->source_bytes = sizeof source - 1;
    task->source_name = "tickets.kg";
    add_tensor(task, "ticket", compared == TICKET ? KGEN_TASK_OUTPUT : KGEN_TASK_SCRATCH, N);
    add_tensor(task, "index", compared == INDEX ? KGEN_TASK_OUTPUT : KGEN_TASK_SCRATCH, N);
    add_tensor(task, "counter", KGEN_TASK_ZEROED, 1);
    for (int i = 0; i < 2; i++) {
        task->tensors[i].expect = calloc(N, sizeof(double));
        task->tensors[i].bound = calloc(N, sizeof(double));
    }
    task->scalars[task->n_scalars++] = (kgen_task_scalar){"N", N, N};
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
    kgen_task *task = make_task(TICKET);
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
