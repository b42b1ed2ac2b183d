// SPDX-License-Identifier: MIT
// A shipped kernel and its KEY=VALUE words on the command line.
#pragma once
#include "kernels/kernels.h"
#include "options.h"

// By the first operand; NULL after a usage error was said.
const kgen_family *task_family(const command_line *options);
// The operands after it, cut in place, and --target; `keys` has room for one more than operands.
// How many; -1 after a usage error was said.
int task_keys(const command_line *options, const kgen_family *family, kgen_task_key *keys);
// The plan for the problem that they state. NULL after an error was said; *status is what to exit
// with.
kgen_task *task_planned(const command_line *options, const kgen_family *family, int *status);
