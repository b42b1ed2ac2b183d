// SPDX-License-Identifier: MIT
// What the tests of this folder share. They are written against NVIDIA's cuda.h, as any host
// program, and linked with our libcuda.so.1.
#ifndef KGEN_TESTS_DROP_IN_HOST_H
#define KGEN_TESTS_DROP_IN_HOST_H

#include <cuda.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static inline const char *name_of(CUresult result)
{
    const char *name = NULL;

    cuGetErrorName(result, &name);
    return name ? name : "no result of the driver";
}

#define EXPECT(expected, call)                                                                     \
    do {                                                                                           \
        CUresult expect_result = (call);                                                           \
        if (expect_result != (expected))                                                           \
            fail_msg("%s gives %s, not %s", #call, name_of(expect_result), name_of(expected));     \
    } while (0)
#define OK(call) EXPECT(CUDA_SUCCESS, call)
#define BAD(call) EXPECT(CUDA_ERROR_INVALID_VALUE, call)

// A context of the test's own around each test: what a test leaves behind, or breaks, goes with it.
static inline int enter_context(void **state)
{
    CUcontext context;

    if (cuInit(0) || cuCtxCreate(&context, NULL, 0, 0)) return -1;
    *state = context;
    return 0;
}

static inline int leave_context(void **state)
{
    return cuCtxDestroy(*state) == CUDA_SUCCESS ? 0 : -1;
}

#define IN_CONTEXT(test) cmocka_unit_test_setup_teardown(test, enter_context, leave_context)

// A stream that is no stream, and so on: never a handle of the driver.
#define NO_STREAM ((CUstream)(uintptr_t)0xdead0)
#define NO_EVENT ((CUevent)(uintptr_t)0xdead0)
#define NO_MODULE ((CUmodule)(uintptr_t)0xdead0)
#define NO_FUNCTION ((CUfunction)(uintptr_t)0xdead0)
#define NO_CONTEXT ((CUcontext)(uintptr_t)0xdead0)

// add(a, b, c, n): c[i] = a[i] + b[i]; fill(to, value, n); scale(n): table[i] *= factor, both
// globals; square(): wants 8 x 8 threads; late(to, n): fills so slowly that the host is long ahead.
extern const char kernels_ptx[];
CUfunction load_function(CUmodule *module, const char *name);

#endif
