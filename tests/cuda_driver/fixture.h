// SPDX-License-Identifier: MIT
/*
 * What the tests of this folder share: a fake driver opened, the messages it led to, and the books
 * that must be even at the end.
 */
#ifndef KGEN_TESTS_CUDA_FIXTURE_H
#define KGEN_TESTS_CUDA_FIXTURE_H

#include "fake_driver.h"

#include "runtime/cuda/cuda_device.h"
#include "runtime/cuda/driver_types.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* Paths of the libraries, from the command line. */
extern const char *fake_12, *fake_11, *fake_plain, *not_a_driver;

struct fixture {
    struct fake_driver *fake;
    struct kg_cuda_config config;
    struct kg_cuda_driver *driver;
    struct kg_cuda_context *context;
    char messages[4096];
    long balance; /* host allocations not yet freed */
    long allowed; /* allocations until the allocator fails; negative: never */
    pthread_mutex_t lock;
};

/* A fixture with everything but a driver: for tests of opening. */
void prepare(struct fixture *fixture, const char *path);
/* With an open driver and a context on its device. */
void open_driver(struct fixture *fixture, const char *path);
/* Everything that was taken is given back, whatever failed in between. */
void close_driver(struct fixture *fixture);
/* From now on this driver function returns this result. Forgets the messages. */
void fail_call(struct fixture *fixture, const char *name, int result);

#define assert_says(fixture, words)                                                                \
    do {                                                                                           \
        if (!strstr((fixture)->messages, words))                                                   \
            fail_msg("'%s' is not in:\n%s", words, (fixture)->messages);                           \
    } while (0)

/* 2 with a word on usage, unless the four paths are there. */
int take_arguments(int count, char **arguments);

#endif
