// SPDX-License-Identifier: MIT
// Schedules of the cpu device, and the command line that tries one of them again.
#include "schedules.h"
#include "output.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *const completion_words[] = {"eager", "late", "seeded", NULL};

// ---- the command line again --------------------------------------------------------------------

static bool is_plain(const char *text)
{
    static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                               "%+,-./:=@_";
    return *text && !text[strspn(text, safe)];
}

// One word more, quoted where a shell would read it otherwise.
static char *add_word(char *line, const char *word)
{
    size_t length = strlen(line), room = length + 4 * strlen(word) + 4;
    line = must(realloc(line, room));
    char *to = line + length;
    *to++ = ' ';
    if (is_plain(word)) {
        strcpy(to, word);
        return line;
    }
    *to++ = '\'';
    for (; *word; word++) {
        if (*word == '\'') to += sprintf(to, "'\\'");
        *to++ = *word;
    }
    strcpy(to, "'");
    return line;
}

static bool chooses_schedule(option_id id)
{
    return id == OPTION_completion || id == OPTION_order || id == OPTION_schedules ||
           id == OPTION_json || id == OPTION_color;
}

static char *command_without_schedule(const command_line *options)
{
    char *line = format_text("kgen %s", command_table[options->command].name);
    for (int i = 0; i < options->n_operands; i++) line = add_word(line, options->operands[i]);
    for (int i = 0; i < options->n_given; i++) {
        const given_option *given = &options->given[i];
        if (chooses_schedule(given->id)) continue;
        bool takes = option_table[given->id].argument != NULL;
        char *word =
            format_text("--%s%s%s", option_table[given->id].name, takes ? "=" : "", given->value);
        line = add_word(line, word);
        free(word);
    }
    return line;
}

char *schedules_replay(const schedule_plan *plan, schedule s)
{
    return format_text("%s --completion=%s --order=%llu", plan->replay,
                       completion_words[s.completion], (unsigned long long)s.order);
}

// ---- which -------------------------------------------------------------------------------------

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

bool schedules_read(schedule_plan *plan, const command_line *options)
{
    int completion = KGEN_COMPLETE_EAGER;
    int64_t seed = 0, order, count = 1;
    *plan = (schedule_plan){.replay = command_without_schedule(options), .started = now()};
    if (!option_word(options, OPTION_completion, completion_words, &completion) ||
        !option_number(options, OPTION_seed, 0, INT64_MAX, &seed))
        return false;
    order = seed;
    if (!option_number(options, OPTION_order, 0, INT64_MAX, &order) ||
        !option_number(options, OPTION_schedules, 1, 1000000, &count))
        return false;
    plan->first = (schedule){(kgen_completion)completion, (uint64_t)order};
    plan->fixed_completion = has(options, OPTION_completion);
    plan->count = (int)count;
    plan->many = has(options, OPTION_schedules);
    return true;
}

void schedules_free(schedule_plan *plan)
{
    free(plan->replay);
}

int schedules_threads(const command_line *options)
{
    return has(options, OPTION_order) || has(options, OPTION_schedules);
}

schedule schedules_at(const schedule_plan *plan, int number)
{
    static const kgen_completion modes[] = {KGEN_COMPLETE_SEEDED, KGEN_COMPLETE_LATE,
                                            KGEN_COMPLETE_EAGER};
    schedule s = plan->first;
    if (plan->fixed_completion) {
        s.order += (uint64_t)number;
    } else if (number == 1) {
        s.completion = KGEN_COMPLETE_LATE;
    } else if (number > 1) {
        s.completion = modes[(number - 2) % 3];
        s.order += (uint64_t)number - 1;
    }
    return s;
}

char *schedules_text(schedule s)
{
    return format_text("%s, order %llu", completion_words[s.completion],
                       (unsigned long long)s.order);
}

json_t *schedules_json(const schedule_plan *plan, schedule s, int number)
{
    return must(json_pack("{s:s, s:I, s:i, s:i}", "completion", completion_words[s.completion],
                          "order", (json_int_t)s.order, "number", number + 1, "of", plan->count));
}

// ---- progress ----------------------------------------------------------------------------------

void schedules_progress(schedule_plan *plan, int number)
{
    enum { SECONDS_OF_SILENCE = 1 };
    if (plan->count < 2 || !isatty(STDERR_FILENO) || now() - plan->started < SECONDS_OF_SILENCE)
        return;
    char *text = schedules_text(schedules_at(plan, number));
    fprintf(stderr, "\r\033[Kkgen: schedule %d of %d (%s)", number + 1, plan->count, text);
    fflush(stderr);
    free(text);
    plan->shown = true;
}

void schedules_progress_end(schedule_plan *plan)
{
    if (plan->shown) fputs("\r\033[K", stderr);
    plan->shown = false;
}
