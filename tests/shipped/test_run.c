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

static shipped_device device = {.kind = "cpu"};

static void run_configuration(void **state)
{
    const char *line = *state;
    kgen_context *context = shipped_context();
    kgen_task *task = shipped_task(line, 1);
    kgen_program *program = shipped_program(context, task, NULL, NULL);
    assert_true(kgen_task_reference(task));
    // The driver chooses the mode itself.
    int last = device.driver ? KGEN_COMPLETE_EAGER : KGEN_COMPLETE_SEEDED;
    for (int mode = KGEN_COMPLETE_EAGER; mode <= last; mode++) {
        device.completion = (kgen_completion)mode;
        shipped_run(context, &device, program, task, line);
    }
    kgen_program_free(program);
    kgen_task_free(task);
    kgen_context_free(context);
}

int main(int count, char **arguments)
{
    if (count >= 3) {
        device.kind = arguments[1];
        device.driver = arguments[2];
    }
    // test_run cuda DRIVER skip|only PATTERN
    if (count == 5 && !strcmp(arguments[3], "skip")) cmocka_set_skip_filter(arguments[4]);
    if (count == 5 && !strcmp(arguments[3], "only")) cmocka_set_test_filter(arguments[4]);
    return shipped_main(run_configuration);
}
