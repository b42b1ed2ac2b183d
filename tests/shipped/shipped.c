// SPDX-License-Identifier: MIT
#include "tests/shipped/shipped.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
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
