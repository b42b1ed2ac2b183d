// SPDX-License-Identifier: MIT
// The result of a run as text and as JSON.
#pragma once
#include "task_runner.h"

// "ok", "mismatch", "findings" or "error".
const char *verdict_of(const run_result *result);
// The outputs with their errors, and for wrong ones where they are wrong.
void print_outputs(const kgen_task *task, const run_result *result, bool on_gpu);
json_t *json_of_run(const cli_session *session, const kgen_task *task, const run_result *result);
