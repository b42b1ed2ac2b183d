// SPDX-License-Identifier: MIT
// A kernel of a PTX file on the cpu device, with the arguments of the command line: what `kgen
// check` and `kgen profile` have in common.
#pragma once
#include "schedules.h"
#include "task_runner.h"

typedef struct raw_run {
    const command_line *options;
    cli_session session;
    kgen_device_options device_options;
    uint64_t seed; // of inputs
    unsigned cluster[3];
    kgen_raw_launch launch; // its kernel is set once it is known
    char *text, *kernel;
    size_t length;
    finding_list findings; // of the last launch, as are the statistics
    kgen_statistics statistics;
} raw_run;

// Reads --grid, --block and so on. false after a usage error was said; nothing is to be closed
// then.
bool raw_run_read(raw_run *run, const command_line *options);
// Both the exit status; errors were said. Close in any case after raw_run_read.
int raw_run_open(raw_run *run);
// Everything anew: device, module, buffers with their filling.
int raw_run_once(raw_run *run, schedule s);
void raw_run_close(raw_run *run);
