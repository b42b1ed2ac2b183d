// SPDX-License-Identifier: MIT
// Schedules of the cpu device: when asynchronous work completes, in which order warps and CTAs run.
// What `kgen check` and `kgen run` try, and the command line that tries one of them again.
#pragma once
#include "options.h"
#include "runtime/kgen.h"
#include <jansson.h>

typedef struct schedule {
    kgen_completion completion;
    uint64_t order; // seed of the order; 0: as they are numbered
} schedule;

typedef struct schedule_plan {
    schedule first;
    bool fixed_completion; // --completion was given: only orders are tried
    int count;
    bool many;      // --schedules was given
    char *replay;   // the command line without what chooses the schedule
    double started; // seconds
    bool shown;     // there is a line of progress to wipe
} schedule_plan;

// Reads --completion, --seed, --order and --schedules, and keeps the command line before anybody
// cuts it up. false after a usage error was said. Free in any case.
bool schedules_read(schedule_plan *plan, const command_line *options);
void schedules_free(schedule_plan *plan);
// CPU threads for the device: one where a schedule is asked for, so that it repeats itself; 0: all.
int schedules_threads(const command_line *options);
// Eager, late, then seeds under changing modes; number from 0.
schedule schedules_at(const schedule_plan *plan, int number);
// The command line that runs this schedule alone; to be freed.
char *schedules_replay(const schedule_plan *plan, schedule s);
// "late, order 3"; to be freed.
char *schedules_text(schedule s);
json_t *schedules_json(const schedule_plan *plan, schedule s, int number);
// A line on the standard error that is overwritten, when that is a terminal and it takes long.
void schedules_progress(schedule_plan *plan, int number);
void schedules_progress_end(schedule_plan *plan);
