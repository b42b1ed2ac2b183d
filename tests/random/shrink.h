// SPDX-License-Identifier: MIT
// Makes a failing program smaller while it fails in the same way. It works on the text: whatever
// is no legal program any more fails differently, or is unsuitable for the evaluator, and is not
// taken.
#pragma once
#include "case.h"

// `text` (of `size` bytes of room) is replaced by the smaller one, `last` by its report. `run` is
// run_case, or the same in a process of its own. Returns the number of programs tried.
typedef void case_runner(machine *m, const char *text, report *out);
int shrink(machine *m, case_runner *run, char *text, size_t size, report *last, int limit);
