// SPDX-License-Identifier: MIT
// kgen explain NAME --schedule: which tile, ring and roles a shipped kernel gets for a problem, and
// why.
#include "explain.h"
#include "output.h"
#include "task_keys.h"
#include <string.h>

static void print_schedule(const kgen_task *task)
{
    printf("%s %s for %s\n", task->family, task->shape, task->target[0] ? task->target : "any GPU");
    for (const char *line = task->reasons; *line;) {
        int length = (int)strcspn(line, "\n");
        printf("  %.*s\n", length, line);
        line += length + (line[length] == '\n');
    }
    for (int i = 0; i < task->n_defines; i++)
        printf("%s-D %s=%s", i ? " " : "  ", task->defines[i].name, task->defines[i].value);
    puts("");
}

int explain_schedule(const command_line *options)
{
    int status = EXIT_FINE;
    const kgen_family *family = task_family(options);
    if (!family || !known_name(options, OPTION_target, "target", kgen_target_name))
        return EXIT_USAGE;
    kgen_task *task = task_planned(options, family, &status);
    if (!task) return status;
    print_schedule(task);
    kgen_task_free(task);
    return EXIT_FINE;
}
