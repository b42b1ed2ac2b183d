// SPDX-License-Identifier: MIT
// A kernel of this folder, run as often as there are ways to run it: what cases_*.c describe and
// test_cuda.c does.
#pragma once
#include "harness.h"

#include <stdbool.h>

enum { MOST_PLANTS = 8 };

// One run of one variant. The function of a case makes its buffers, launches, and, where `correct`
// holds, compares what came out.
struct trial {
    struct bench bench;
    const char *kernel; // as in the source
    int plant;
    bool correct;
    char *text; // what the kernel printed
    size_t text_length;
};

struct cuda_case {
    const char *kernel;
    void (*run)(struct trial *trial);
    // By planted error: the rule that must find it, "a|b" where either will do. NULL ends.
    const char *rules[MOST_PLANTS];
};

#define X(name) extern const struct cuda_case name##_cases[];
#define CUDA_FILES(X)                                                                              \
    X(reduce) X(scan) X(tiles) X(sort) X(matmul) X(warp) X(language) X(async) X(mistakes)
CUDA_FILES(X)
#undef X

struct shape {
    uint32_t grid[3], block[3], shared;
};
// Launches with parameters of up to 8 bytes, each cut to the size that the kernel declares.
void trial_launch(struct trial *trial, struct shape shape, const uint64_t *params, size_t count);
#define LAUNCH(trial, shape, ...)                                                                  \
    trial_launch(trial, shape, (uint64_t[]){__VA_ARGS__},                                          \
                 sizeof((uint64_t[]){__VA_ARGS__}) / 8)
#define LINE(g, b) ((struct shape){{(g), 1, 1}, {(b), 1, 1}, 0})
uint64_t trial_in(struct trial *trial, size_t size, const void *content);
uint64_t trial_zeros(struct trial *trial, size_t size);
// Where the trial is a correct one: fails unless the buffer holds these bytes.
void trial_expect(struct trial *trial, uint64_t address, const void *bytes, size_t size);
// The same for floats and doubles, within a relative error (absolute below 1).
void trial_near(struct trial *trial, uint64_t address, const float *values, size_t n, double error);
void trial_near64(struct trial *trial, uint64_t address, const double *values, size_t n,
                  double error);
// Integers between low and high, the same in every run.
void trial_numbers(int *out, size_t n, int low, int high);
