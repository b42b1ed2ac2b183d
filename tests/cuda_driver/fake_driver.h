// SPDX-License-Identifier: MIT
/*
 * A CUDA driver without a GPU, for the tests of runtime/cuda: it keeps books on what is allocated,
 * writes down every call and fails where it is told to. "Device memory" is host memory, so that
 * copies and fills can be checked; kernels do not run.
 *
 * It is a shared library that exports the driver's symbols and fake_driver_control(), which gives
 * the test a hand on it. Three variants are built: `fake_driver_12` (cuGetProcAddress_v2),
 * `fake_driver_11` (the older cuGetProcAddress) and `fake_driver_plain` (none, and none of the
 * newer functions).
 */
#ifndef KGEN_TESTS_FAKE_DRIVER_H
#define KGEN_TESTS_FAKE_DRIVER_H

#include <stddef.h>

struct fake_driver {
    /* Set by the test. */
    int version;
    int device_count;
    int sm;
    const char *hidden[4];   /* functions that this driver does not have */
    const char *failing;     /* this function ... */
    int failing_result;      /* ... returns this ... */
    int failing_after;       /* ... after so many good calls */
    const char *error_log;   /* what the JIT writes when it fails */
    const char *info_log;    /* what it writes when it does not */
    size_t memory_limit;     /* cuMemAlloc fails above it */
    int static_shared_bytes; /* of every kernel */

    /* Kept by the driver. */
    int contexts; /* retained and not released */
    int allocations, host_allocations, modules, libraries, streams, events;
    int wrong_context_calls; /* calls that need a context, made without one */
    int last_module_bytes;   /* length of the PTX text last loaded */
    int last_dynamic_shared; /* what cuFuncSetAttribute was told */
    char trace[8192];        /* a line for each call */
};

/* Puts everything back to a driver of 12.8 with one sm_90 device. */
typedef struct fake_driver *fake_driver_reset_function(void);

#endif
