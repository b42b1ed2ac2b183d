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
typedef struct shipped_device {
    const char *kind, *driver; // driver: a library, or NULL
    kgen_completion completion;
} shipped_device;
// Fails the running test where anything is found, or an output is wrong (the task has its
// reference).
void shipped_run(kgen_context *context, const shipped_device *on, kgen_program *program,
                 kgen_task *task, const char *line);
// Fails the running test unless ptxas takes it with no warning, no spill and no local memory.
void shipped_assemble(const char *ptxas, const char *target, const kgen_program *program,
                      const char *line);
// Runs the test once for each configuration, its line as the state; the exit status of the program.
int shipped_main(void (*test)(void **state));
