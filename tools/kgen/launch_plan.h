// SPDX-License-Identifier: MIT
// kgen run --plan: what would be launched, for a program that launches it by itself.
#pragma once
#include "task_runner.h"

// Compiles the task, which needs no data, and prints its launch: for a reader, or as JSON with the
// PTX in it. Returns the exit status.
int launch_plan_print(const kgen_task *task, const run_settings *settings, bool as_json);
