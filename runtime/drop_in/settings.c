// SPDX-License-Identifier: MIT
// Settings: environment variables, read at cuInit. README.md lists them.
#include "driver.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DEFAULT_SM = 90, DEFAULT_MEMORY_MIB = 16384 };

const struct model *driver_model(int sm)
{
    static const struct model models[] = {
#define MODEL(sm, multiprocessors, shared, threads, blocks, l2, clock, memory_clock, bus, ratio)   \
    {sm, multiprocessors, shared, threads, blocks, l2, clock, memory_clock, bus, ratio, false},
#include "models.def"
    };

    for (size_t i = 0; i < sizeof models / sizeof models[0]; i++)
        if (models[i].sm == sm) return &models[i];
    return NULL;
}

static bool refuse(const char *name, const char *value, const char *expected)
{
    driver_note("%s is '%.60s'; %s", name, value, expected);
    return false;
}

// Leaves *value as it is when the variable is not set, or empty.
static bool read_number(const char *name, uint64_t least, uint64_t most, uint64_t *value)
{
    const char *text = getenv(name);
    unsigned long long number;
    char *end;

    if (!text || !*text) return true;
    errno = 0;
    number = strtoull(text, &end, 0);
    if (errno || *end || text[0] == '-' || number < least || number > most)
        return refuse(name, text, "a number within its limits is expected");
    *value = number;
    return true;
}

// *value becomes the index of the word.
static bool read_word(const char *name, const char *const *words, unsigned *value)
{
    const char *text = getenv(name);
    char expected[128] = "expected is one of:";

    if (!text || !*text) return true;
    for (unsigned i = 0; words[i]; i++)
        if (strcmp(words[i], text) == 0) {
            *value = i;
            return true;
        }
    for (unsigned i = 0; words[i]; i++) {
        strcat(expected, " ");
        strcat(expected, words[i]);
    }
    return refuse(name, text, expected);
}

static bool read_model(struct settings *settings)
{
    const char *text = getenv("KGEN_DRIVER_SM");
    const struct model *model = driver_model(DEFAULT_SM);

    if (text && *text) {
        const char *digits = strncmp(text, "sm_", 3) == 0 ? text + 3 : text;
        char *end;
        long sm = strtol(digits, &end, 10);

        if (*end == 'a' || *end == 'f') end++;
        model = *end == '\0' && sm > 0 && sm < 1000 ? driver_model((int)sm) : NULL;
        if (!model)
            return refuse("KGEN_DRIVER_SM", text, "known are 80, 86, 89, 90, 100, 103 and 120");
    }
    settings->model = *model;
    return true;
}

static bool read_launch(struct settings *settings)
{
    static const char *const completions[] = {"eager", "late", "seeded", NULL};
    static const char *const checks[] = {"on", "off", "strict", NULL};
    struct ptxm_launch_options *launch = &settings->launch;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    uint64_t threads = cores > 0 ? (uint64_t)cores : 1;
    unsigned completion = 0, check = 0;

    if (!read_word("KGEN_DRIVER_COMPLETION", completions, &completion) ||
        !read_word("KGEN_DRIVER_CHECKS", checks, &check) ||
        !read_number("KGEN_DRIVER_SEED", 0, UINT64_MAX, &launch->seed) ||
        !read_number("KGEN_DRIVER_BUDGET", 1, UINT64_MAX, &launch->instruction_budget) ||
        !read_number("KGEN_DRIVER_THREADS", 1, 64, &threads))
        return false;
    launch->completion = completion == 1 ? PTXM_LATE : completion == 2 ? PTXM_SEEDED : PTXM_EAGER;
    launch->no_checks = check == 1;
    launch->strict = check == 2;
    launch->threads = (unsigned)(threads < 64 ? threads : 64);
    return true;
}

static bool read_report(struct settings *settings)
{
    static const char *const actions[] = {"error", "continue", NULL};
    const char *path = getenv("KGEN_DRIVER_REPORT");
    unsigned action = 0;

    if (!read_word("KGEN_DRIVER_ON_FINDING", actions, &action)) return false;
    settings->go_on = action == 1;
    if (path && *path) settings->report_path = strdup(path);
    return !path || !*path || settings->report_path;
}

bool driver_read_settings(struct settings *settings)
{
    const char *visible = getenv("CUDA_VISIBLE_DEVICES");
    const char *blocking = getenv("CUDA_LAUNCH_BLOCKING");
    uint64_t memory = DEFAULT_MEMORY_MIB;

    free(settings->report_path);
    *settings = (struct settings){.launch = {.no_counters = true}};
    if (!read_model(settings) || !read_launch(settings) || !read_report(settings) ||
        !read_number("KGEN_DRIVER_MEMORY", 1, (uint64_t)1 << 18, &memory))
        return false;
    settings->memory_bytes = (size_t)memory << 20;
    settings->blocking = blocking && strcmp(blocking, "1") == 0;
    // As with the real one: the list ends at the first entry that is no device.
    settings->invisible = visible && strncmp(visible, "0", 1) != 0 && strncmp(visible, "GPU-", 4);
    return true;
}
