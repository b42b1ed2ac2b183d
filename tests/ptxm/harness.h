// SPDX-License-Identifier: MIT
// Small helpers for the tests of the PTX machine: load a text, make buffers, launch, look at the
// findings. Failures end the test with what the machine said.
#ifndef PTXM_TEST_HARNESS_H
#define PTXM_TEST_HARNESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include "ptxm.h"

struct bench {
    struct ptxm_device *device;
    struct ptxm_module *module;
    struct ptxm_report *report;
    struct ptxm_launch_options options;
    enum ptxm_status status;
};

// The text's head: .version 7.8, .target sm_80, .address_size 64.
#define HEAD ".version 7.8\n.target sm_80\n.address_size 64\n"

// An allocator whose allocations fail once `left` of them are made; `alive`: blocks not freed yet.
struct failing {
    long left, alive;
};
struct ptxm_allocator failing_allocator(struct failing *f);

void bench_load(struct bench *bench, const char *text);
void bench_load_file(struct bench *bench, const char *path);
char *bench_read_file(const char *path, size_t *length); // ends in a NUL; to be freed
void bench_free(struct bench *bench);
uint64_t bench_buffer(struct bench *bench, size_t size, const void *content); // NULL: not written
void bench_read(struct bench *bench, uint64_t address, void *to, size_t size);
// Launches with 8-byte parameters packed one after the other.
void bench_run(struct bench *bench, const char *kernel, unsigned grid, unsigned block,
               unsigned shared, const void *params, size_t param_bytes);
#define RUN(b, kernel, grid, block, shared, ...)                                                   \
    bench_run(b, kernel, grid, block, shared, (uint64_t[]){__VA_ARGS__},                           \
              sizeof((uint64_t[]){__VA_ARGS__}))
// Fails unless the last run ended well and nothing was found.
void bench_clean(struct bench *bench);
// The finding of this rule; fails if there is none.
const struct ptxm_finding *bench_found(struct bench *bench, const char *rule);
const struct ptxm_finding *bench_only(struct bench *bench, const char *rule); // and no other

// Pseudo-random numbers, the same on every machine.
uint64_t bench_random(uint64_t *state);

#endif
