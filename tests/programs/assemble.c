// SPDX-License-Identifier: MIT
// Runs ptxas for the tests of whole programs.
#include "assemble.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

void program_assemble(const char *ptxas, const char *name, const char *target, const char *ptx,
                      size_t length)
{
    char path[] = "/tmp/kgen-program-XXXXXX", command[1024], said[4096];
    int file = mkstemp(path);
    assert_true(file >= 0);
    assert_int_equal(write(file, ptx, length), length);
    close(file);
    snprintf(command, sizeof command, "'%s' -arch=%s -v -o /dev/null '%s' 2>&1", ptxas, target,
             path);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    said[fread(said, 1, sizeof said - 1, pipe)] = 0;
    int status = pclose(pipe);
    unlink(path);
    const char *clean = " 0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads";
    if (status || strstr(said, "arning") || strstr(said, "(C") || !strstr(said, clean))
        fail_msg("%s for %s: %s\n%s", name, target, said, ptx);
}
