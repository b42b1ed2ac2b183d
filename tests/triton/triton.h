// SPDX-License-Identifier: MIT
// The kernels of ptx/: how each one is launched and what must come out.
#pragma once
#include "harness.h"

#include <stdbool.h>

struct kernel {
    const char *name, *entry;
    void (*run)(struct bench *b, const struct kernel *kernel);
    int m, n, k;         // sizes, as the function understands them
    unsigned tile[2];    // rows and columns of a block
    const char *type;    // of the operands
    // Threads that hold the same element all read it; only one of them adds to it and writes, and
    // nothing orders its write behind the others' reads. What they read is not used: a race by the
    // letter of PTX, and the one finding that is expected.
    const char *finding;
};
extern const struct kernel triton_kernels[];
enum { KERNELS = 11 };

struct kernel_file {
    const struct kernel *kernel;
    char path[512];
    char *text; // of the whole file
    size_t length;
    unsigned shared; // bytes of dynamic shared memory, as the first line says
};
void kernel_file_read(struct kernel_file *file);
// Launches, fails if the results are wrong; with `correct`, also if anything unexpected was found.
void kernel_file_run(struct bench *bench, const struct kernel_file *file, bool correct);
