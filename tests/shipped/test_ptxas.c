// SPDX-License-Identifier: MIT
// The PTX of every configuration assembles for every target, with no spill and no local memory.
//   test_ptxas PTXAS
#include "tests/shipped/shipped.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static const char *ptxas;
static const char *const targets[] = {"sm_80", "sm_86", "sm_89", "sm_90", "sm_100", "sm_120"};

static void assemble_configuration(void **state)
{
    const char *line = *state;
    kgen_context *context = shipped_context();
    kgen_task *task = shipped_task(line, 1);
    kgen_program *program = shipped_program(context, task, NULL, NULL);
    bool one = task->target[0]; // PTX of such a target is for nothing else
    for (size_t i = 0; i < (one ? 1 : sizeof targets / sizeof *targets); i++)
        shipped_assemble(ptxas, one ? task->target : targets[i], program, line);
    kgen_program_free(program);
    kgen_task_free(task);
    kgen_context_free(context);
}

int main(int argc, char **argv)
{
    ptxas = argc > 1 ? argv[1] : NULL;
    if (!ptxas || access(ptxas, X_OK)) {
        printf("1..0 # SKIP no ptxas on this machine\n");
        return 0;
    }
    return shipped_main(assemble_configuration);
}
