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

// What ptxas -v says; false when it fails.
static bool assemble(const char *path, const char *target, char *said, size_t room)
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

static void assemble_configuration(void **state)
{
    const char *line = *state;
    kgen_context *context = shipped_context();
    kgen_task *task = shipped_task(line, 1);
    kgen_program *program = shipped_program(context, task, NULL, NULL);
    char path[] = "/tmp/kgen-shipped-XXXXXX", said[8192];
    int file = mkstemp(path);
    assert_true(file >= 0);
    size_t length;
    const char *ptx = kgen_program_ptx(program, &length);
    assert_int_equal(write(file, ptx, length), length);
    close(file);
    bool one = task->target[0]; // PTX of such a target is for nothing else
    for (size_t i = 0; i < (one ? 1 : sizeof targets / sizeof *targets); i++) {
        const char *target = one ? task->target : targets[i];
        bool ok = assemble(path, target, said, sizeof said);
        bool clean =
            strstr(said, " 0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads");
        if (!ok || !clean || strstr(said, "warning")) {
            unlink(path);
            fail_msg("%s for %s: %s", line, target, said);
        }
    }
    unlink(path);
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
