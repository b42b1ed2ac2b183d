// SPDX-License-Identifier: MIT
// Every configuration on the CPU device, in every completion mode, or (arguments: cuda, DRIVER) on
// the cuda device with this driver library, against its reference: right
// results, no finding.
#include "tests/shipped/shipped.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const char *device_kind = "cpu", *driver_path;

static void show_finding(const kgen_finding *f, void *user)
{
    (void)user;
    fputs(f->rendered, stderr);
}

static bool has_param(const kgen_program *program, const char *name)
{
    kgen_param_info info;
    for (int i = 0; kgen_program_get_param(program, i, &info) == KGEN_OK; i++)
        if (!strcmp(info.name, name)) return true;
    return false;
}

// A tensor that shares another's memory takes its buffer.
static kgen_buffer *buffer_of(kgen_device *device, kgen_task *task, int i, kgen_buffer **buffers)
{
    kgen_task_tensor *t = &task->tensors[i];
    if (t->alias >= 0) return buffers[t->alias];
    assert_int_equal(kgen_buffer_create(device, t->bytes, &buffers[i]), KGEN_OK);
    assert_int_equal(kgen_buffer_write(buffers[i], 0, t->data, t->bytes), KGEN_OK);
    return buffers[i];
}

static void compare(kgen_task *task, int i, kgen_buffer *buffer, const char *line)
{
    kgen_task_tensor *t = &task->tensors[i];
    if (t->role != KGEN_TASK_OUTPUT && t->role != KGEN_TASK_UPDATED) return;
    void *result = malloc(t->bytes);
    kgen_comparison c;
    assert_int_equal(kgen_buffer_read(buffer, 0, result, t->bytes), KGEN_OK);
    kgen_task_compare(task, i, result, &c);
    free(result);
    if (c.wrong)
        fail_msg("%s: %lld of %lld elements of %s are wrong, the worst (flat %lld) is %g, not %g",
                 line, (long long)c.wrong, (long long)c.elements, t->name, (long long)c.worst,
                 c.worst_result, c.worst_expect);
}

static void run(kgen_context *context, kgen_program *program, kgen_task *task, const char *line,
                int mode)
{
    kgen_device *device = NULL;
    kgen_buffer *buffers[KGEN_TASK_TENSORS] = {0}, *used[KGEN_TASK_TENSORS] = {0};
    kgen_arg args[KGEN_TASK_TENSORS + KGEN_TASK_SCALARS];
    size_t n = 0;
    kgen_device_options options = {
        .completion = (kgen_completion)mode, .seed = (uint64_t)mode, .driver = driver_path};
    assert_int_equal(kgen_device_open(context, device_kind, &options, &device), KGEN_OK);
    for (int i = 0; i < task->n_tensors; i++) {
        if (!task->tensors[i].bytes) continue;
        used[i] = buffer_of(device, task, i, buffers);
        args[n++] = (kgen_arg){.name = task->tensors[i].name, .buffer = used[i]};
    }
    for (int i = 0; i < task->n_scalars; i++)
        if (has_param(program, task->scalars[i].name))
            args[n++] = (kgen_arg){
                .name = task->scalars[i].name, .i = task->scalars[i].i, .f = task->scalars[i].f};
    kgen_status status =
        kgen_launch(device, program, args, n, &(kgen_launch_options){.finding = show_finding});
    if (status) fail_msg("%s: %s", line, kgen_status_name(status));
    for (int i = 0; i < task->n_tensors; i++)
        if (used[i]) compare(task, i, used[i], line);
    for (int i = 0; i < task->n_tensors; i++) kgen_buffer_free(buffers[i]);
    kgen_device_close(device);
}

static void run_configuration(void **state)
{
    const char *line = *state;
    kgen_context *context = shipped_context();
    kgen_task *task = shipped_task(line, 1);
    kgen_program *program = shipped_program(context, task, NULL, NULL);
    assert_true(kgen_task_reference(task));
    // The driver chooses the mode itself.
    int last = driver_path ? KGEN_COMPLETE_EAGER : KGEN_COMPLETE_SEEDED;
    for (int mode = KGEN_COMPLETE_EAGER; mode <= last; mode++)
        run(context, program, task, line, mode);
    kgen_program_free(program);
    kgen_task_free(task);
    kgen_context_free(context);
}

int main(int count, char **arguments)
{
    if (count >= 3) {
        device_kind = arguments[1];
        driver_path = arguments[2];
    }
    // test_run cuda DRIVER skip|only PATTERN
    if (count == 5 && !strcmp(arguments[3], "skip")) cmocka_set_skip_filter(arguments[4]);
    if (count == 5 && !strcmp(arguments[3], "only")) cmocka_set_test_filter(arguments[4]);
    return shipped_main(run_configuration);
}
