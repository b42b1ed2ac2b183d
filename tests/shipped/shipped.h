// SPDX-License-Identifier: MIT
// From a configuration line to a task and its program.
#pragma once
#include "kernels/kernels.h"
#include "runtime/kgen.h"

kgen_context *shipped_context(void); // diagnostics go to stderr
// Fails the running test when the line is wrong.
kgen_task *shipped_task(const char *line, unsigned seed);
kgen_task *shipped_plan(const char *line); // tensors without data
// after_pass may be NULL.
kgen_program *shipped_program(kgen_context *context, const kgen_task *task,
                              void (*after_pass)(const char *pass, const char *ir, void *user),
                              void *user);
// Runs the test once for each configuration, its line as the state; the exit status of the program.
int shipped_main(void (*test)(void **state));
