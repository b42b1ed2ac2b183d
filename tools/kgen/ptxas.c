// SPDX-License-Identifier: MIT
// NVIDIA's assembler: found, run in a scratch directory, its report read.
#include "ptxas.h"
#include "output.h"
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static char *executable(const char *folder, int length, const char *below)
{
    char *path = format_text("%.*s%s/ptxas", length, folder, below);
    if (length && access(path, X_OK) == 0) return path;
    free(path);
    return NULL;
}

char *ptxas_find(void)
{
    const char *path = getenv("PATH");
    char *found = NULL;
    for (const char *folder = path ? path : ""; *folder && !found;) {
        int length = (int)strcspn(folder, ":");
        found = executable(folder, length, "");
        folder += length;
        if (*folder) folder++;
    }
    const char *homes[] = {getenv("CUDA_HOME"), getenv("CUDA_PATH"), "/usr/local/cuda"};
    for (int i = 0; i < 3 && !found; i++)
        if (homes[i]) found = executable(homes[i], (int)strlen(homes[i]), "/bin");
    return found;
}

// Runs it with both of its outputs in a file; its exit status, or -1.
static int run(char *const *arguments, const char *log)
{
    posix_spawn_file_actions_t actions;
    pid_t child;
    int status, error;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    posix_spawn_file_actions_adddup2(&actions, 1, 2);
    error = posix_spawn(&child, arguments[0], &actions, NULL, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (error) return errno = error, -1;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR) return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void keep_largest(int *slot, int value)
{
    if (value > *slot) *slot = value;
}

// "Used 40 registers", "0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads".
static void read_report(ptxas_result *result)
{
    const char *text = result->log;
    int n, stores, loads;
    result->registers = result->spill_bytes = result->stack_bytes = -1;
    for (const char *at = text; (at = strstr(at, "Used ")); at++)
        if (sscanf(at, "Used %d registers", &n) == 1) keep_largest(&result->registers, n);
    for (const char *at = text; (at = strstr(at, " bytes stack frame")); at++) {
        const char *line = at;
        while (line > text && line[-1] != '\n') line--;
        if (sscanf(line, " %d bytes stack frame, %d bytes spill stores, %d bytes spill loads", &n,
                   &stores, &loads) != 3)
            continue;
        keep_largest(&result->stack_bytes, n);
        keep_largest(&result->spill_bytes, stores + loads);
    }
}

bool ptxas_run(const char *ptxas, const char *ptx, size_t length, const char *target,
               ptxas_result *result)
{
    const char *scratch = getenv("TMPDIR");
    char *folder = format_text("%s/kgen-ptxas-XXXXXX", scratch && *scratch ? scratch : "/tmp");
    *result = (ptxas_result){.registers = -1, .spill_bytes = -1, .stack_bytes = -1};
    if (!mkdtemp(folder)) {
        result->log = format_text("no scratch directory %s: %s\n", folder, strerror(errno));
        free(folder);
        return false;
    }
    char *in = format_text("%s/in.ptx", folder), *out = format_text("%s/out.cubin", folder);
    char *log = format_text("%s/log", folder), *arch = format_text("-arch=%s", target);
    char *arguments[] = {(char *)ptxas, "-v", arch, in, "-o", out, NULL};
    bool ok = write_file(in, ptx, length);
    int status = ok ? run(arguments, log) : -1;
    size_t ignored;
    if (access(log, R_OK) == 0) result->log = read_file(log, &ignored);
    if (!result->log)
        result->log = format_text("%s could not be run: %s\n", ptxas, strerror(errno));
    ok = status == 0 && (result->cubin = read_file(out, &result->bytes));
    if (ok) read_report(result);
    unlink(in);
    unlink(out);
    unlink(log);
    rmdir(folder);
    free(in);
    free(out);
    free(log);
    free(arch);
    free(folder);
    return ok;
}

void ptxas_free(ptxas_result *result)
{
    free(result->cubin);
    free(result->log);
}
