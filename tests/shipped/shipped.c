// SPDX-License-Identifier: MIT
#include "tests/shipped/shipped.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static void show(const kgen_diagnostic *d, void *user)
{
    (void)user;
    fputs(d->rendered, stderr);
}

kgen_context *shipped_context(void)
{
    kgen_context *context = NULL;
    assert_int_equal(kgen_context_create(&(kgen_options){.diagnostic = show}, &context), KGEN_OK);
    return context;
}

static kgen_task *task_of(const char *line, const unsigned *seed)
{
    char copy[256], error[256] = "", *save = NULL;
    kgen_task_key keys[16];
    int n = 0;
    snprintf(copy, sizeof copy, "%s", line);
    const kgen_family *family = kgen_family_named(strtok_r(copy, " ", &save));
    assert_non_null(family);
    for (char *p; (p = strtok_r(NULL, " ", &save)); n++) {
        char *equals = strchr(p, '=');
        *equals = 0;
        keys[n] = (kgen_task_key){.name = p, .value = equals + 1};
    }
    kgen_task *task = seed ? kgen_task_create(family, keys, n, *seed, error)
                           : kgen_task_plan(family, keys, n, error);
    if (!task) fail_msg("%s: %s", line, error);
    return task;
}

kgen_task *shipped_task(const char *line, unsigned seed)
{
    return task_of(line, &seed);
}

kgen_task *shipped_plan(const char *line)
{
    return task_of(line, NULL);
}

kgen_program *shipped_program(kgen_context *context, const kgen_task *task,
                              void (*after_pass)(const char *pass, const char *ir, void *user),
                              void *user)
{
    kgen_define defines[KGEN_TASK_DEFINES];
    for (int i = 0; i < task->n_defines; i++)
        defines[i] = (kgen_define){task->defines[i].name, task->defines[i].value};
    kgen_compile_options options = {.name = task->source_name,
                                    .target = task->target[0] ? task->target : NULL,
                                    .defines = defines,
                                    .n_defines = (size_t)task->n_defines,
                                    .after_pass = after_pass,
                                    .user = user};
    kgen_program *program = NULL;
    kgen_status status =
        kgen_compile(context, task->source, task->source_bytes, &options, &program);
    if (status) fail_msg("%s %s: %s", task->family, task->shape, kgen_status_name(status));
    return program;
}

// ---- running and assembling ---------------------------------------------------------------------
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

// What has to be zero before a launch is so again behind it.
static void check_zero(kgen_task *task, int i, kgen_buffer *buffer, const char *line)
{
    kgen_task_tensor *t = &task->tensors[i];
    if (t->role != KGEN_TASK_ZEROED) return;
    unsigned char *left = malloc(t->bytes);
    assert_int_equal(kgen_buffer_read(buffer, 0, left, t->bytes), KGEN_OK);
    for (size_t k = 0; k < t->bytes; k++)
        if (left[k]) fail_msg("%s: byte %zu of %s is left at %d", line, k, t->name, left[k]);
    free(left);
}

void shipped_run(kgen_context *context, const shipped_device *on, kgen_program *program,
                 kgen_task *task, const char *line)
{
    kgen_device *device = NULL;
    kgen_buffer *buffers[KGEN_TASK_TENSORS] = {0}, *used[KGEN_TASK_TENSORS] = {0};
    kgen_arg args[KGEN_TASK_TENSORS + KGEN_TASK_SCALARS];
    size_t n = 0;
    kgen_device_options options = {
        .completion = on->completion, .seed = (uint64_t)on->completion, .driver = on->driver};
    assert_int_equal(kgen_device_open(context, on->kind, &options, &device), KGEN_OK);
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
        if (used[i]) compare(task, i, used[i], line), check_zero(task, i, used[i], line);
    for (int i = 0; i < task->n_tensors; i++) kgen_buffer_free(buffers[i]);
    kgen_device_close(device);
}

// What ptxas -v says; false when it fails.
static bool assemble(const char *ptxas, const char *path, const char *target, char *said,
                     size_t room)
{
    char command[512];
    snprintf(command, sizeof command, "'%s' -arch=%s -v -o /dev/null '%s' 2>&1", ptxas, target,
             path);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    size_t n = fread(said, 1, room - 1, pipe);
    said[n] = 0;
    return pclose(pipe) == 0;
}

void shipped_assemble(const char *ptxas, const char *target, const kgen_program *program,
                      const char *line)
{
    char path[] = "/tmp/kgen-shipped-XXXXXX", said[8192];
    int file = mkstemp(path);
    assert_true(file >= 0);
    size_t length;
    const char *ptx = kgen_program_ptx(program, &length);
    assert_int_equal(write(file, ptx, length), length);
    close(file);
    bool ok = assemble(ptxas, path, target, said, sizeof said);
    bool clean = strstr(said, " 0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads");
    unlink(path);
    if (!ok || !clean || strstr(said, "warning")) fail_msg("%s for %s: %s", line, target, said);
}

int shipped_main(void (*test)(void **state))
{
    struct CMUnitTest tests[96] = {{0}};
    const char *const *lists[] = {kgen_configurations, kgen_target_configurations};
    size_t n = 0;
    for (int l = 0; l < 2; l++)
        for (const char *const *line = lists[l]; *line && n < sizeof tests / sizeof *tests; line++)
            tests[n++] = (struct CMUnitTest){
                .name = *line, .test_func = test, .initial_state = (void *)*line};
    return _cmocka_run_group_tests("shipped", tests, n, NULL, NULL);
}
