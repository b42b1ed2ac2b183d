// SPDX-License-Identifier: MIT
// kgen explain NAME --schedule: which tile, ring and roles a shipped kernel gets for a problem, and
// why.
#include "explain.h"
#include "output.h"
#include "task_keys.h"
#include <stdlib.h>
#include <string.h>

static int print_schedule(const kgen_family *family, const kgen_task_key *keys, int n_keys)
{
    char error[256];
    kgen_task *task = kgen_task_plan(family, keys, n_keys, error);
    if (!task) {
        say_error("%s: %s", family->name, error);
        return EXIT_PROBLEM;
    }
    printf("%s %s for %s\n", task->family, task->shape, task->target[0] ? task->target : "any GPU");
    for (const char *line = task->reasons; *line;) {
        int length = (int)strcspn(line, "\n");
        printf("  %.*s\n", length, line);
        line += length + (line[length] == '\n');
    }
    for (int i = 0; i < task->n_defines; i++)
        printf("%s-D %s=%s", i ? " " : "  ", task->defines[i].name, task->defines[i].value);
    puts("");
    kgen_task_free(task);
    return EXIT_FINE;
}

int explain_schedule(const command_line *options)
{
    const kgen_family *family = task_family(options);
    if (!family || !known_name(options, OPTION_target, "target", kgen_target_name))
        return EXIT_USAGE;
    kgen_task_key *keys = must(calloc((size_t)options->n_operands + 1, sizeof *keys));
    int status = EXIT_USAGE;
    int n_keys = task_keys(options, family, keys);
    if (n_keys >= 0) status = print_schedule(family, keys, n_keys);
    free(keys);
    return status;
}
