// SPDX-License-Identifier: MIT
// A shipped kernel and its KEY=VALUE words on the command line.
#include "task_keys.h"
#include "output.h"
#include <stdlib.h>
#include <string.h>

const kgen_family *task_family(const command_line *options)
{
    const char *name = options->operands[0], *names[32];
    const kgen_family *family = kgen_family_named(name);
    int n = 0;
    if (family) return family;
    for (; n < 32 && kgen_families[n]; n++) names[n] = kgen_families[n]->name;
    unknown_word(options->command, options->command == COMMAND_run ? "kernel" : "file or kernel",
                 name, names, n);
    return NULL;
}

static bool known_key(const command_line *options, const kgen_family *family, const char *name)
{
    const char *names[64];
    int n = 0;
    for (; n < 64 && family->keys[n].name; n++) {
        names[n] = family->keys[n].name;
        if (!strcmp(names[n], name)) return true;
    }
    char *what = format_text("key of %s", family->name);
    unknown_word(options->command, what, name, names, n);
    free(what);
    return false;
}

// --target is the key of that name, where the family's plan depends on it.
static int add_target(const command_line *options, const kgen_family *family, kgen_task_key *keys,
                      int n)
{
    const char *target = options->values[OPTION_target];
    int known = 0;
    for (int i = 0; family->keys[i].name; i++) known |= !strcmp(family->keys[i].name, "target");
    for (int i = 0; i < n; i++) known &= strcmp(keys[i].name, "target") != 0;
    if (!target || !known) return n;
    keys[n] = (kgen_task_key){.name = "target", .value = target};
    return n + 1;
}

int task_keys(const command_line *options, const kgen_family *family, kgen_task_key *keys)
{
    int n = 0;
    for (int i = 1; i < options->n_operands; i++) {
        char *text = options->operands[i], *equals = strchr(text, '=');
        if (!equals || equals == text) {
            usage_error(options->command, "'%s': must be KEY=VALUE", text);
            return -1;
        }
        *equals = 0;
        if (!known_key(options, family, text)) return -1;
        keys[n++] = (kgen_task_key){.name = text, .value = equals + 1};
    }
    return add_target(options, family, keys, n);
}

kgen_task *task_planned(const command_line *options, const kgen_family *family, int *status)
{
    char error[256];
    kgen_task *task = NULL;
    kgen_task_key *keys = must(calloc((size_t)options->n_operands + 1, sizeof *keys));
    int n_keys = task_keys(options, family, keys);
    if (n_keys < 0) {
        *status = EXIT_USAGE;
    } else if (!(task = kgen_task_plan(family, keys, n_keys, error))) {
        say_error("%s: %s", family->name, error);
        *status = EXIT_PROBLEM;
    }
    free(keys);
    return task;
}
