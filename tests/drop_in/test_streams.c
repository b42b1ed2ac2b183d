// SPDX-License-Identifier: MIT
// Streams, events and host functions: the order of work, and that the host does not wait for it.
#include "host.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

static void streams(void **unused)
{
    CUstream a, b;
    CUcontext context, current;
    CUstreamCaptureStatus status;
    unsigned flags;
    unsigned long long id_a, id_b;
    int priority;
    CUdevice device;

    OK(cuStreamCreate(&a, CU_STREAM_NON_BLOCKING));
    OK(cuStreamCreateWithPriority(&b, 0, -99));
    OK(cuStreamGetPriority(b, &priority));
    assert_int_equal(priority, -5);
    OK(cuStreamGetFlags(a, &flags));
    assert_int_equal(flags, CU_STREAM_NON_BLOCKING);
    OK(cuStreamGetCtx(a, &context));
    OK(cuCtxGetCurrent(&current));
    assert_ptr_equal(context, current);
    OK(cuStreamGetDevice(a, &device));
    OK(cuStreamGetId(a, &id_a));
    OK(cuStreamGetId(b, &id_b));
    assert_true(id_a != id_b);
    OK(cuStreamIsCapturing(a, &status));
    assert_int_equal(status, CU_STREAM_CAPTURE_STATUS_NONE);
    EXPECT(CUDA_ERROR_NOT_SUPPORTED, cuStreamBeginCapture(a, CU_STREAM_CAPTURE_MODE_GLOBAL));
    OK(cuStreamQuery(NULL));
    OK(cuStreamSynchronize(CU_STREAM_LEGACY));
    OK(cuStreamSynchronize(CU_STREAM_PER_THREAD));
    BAD(cuStreamCreate(&a, 2));
    BAD(cuStreamCreate(NULL, 0));
    EXPECT(CUDA_ERROR_INVALID_HANDLE, cuStreamQuery(NO_STREAM));
    EXPECT(CUDA_ERROR_INVALID_HANDLE, cuStreamDestroy(NO_STREAM));
    EXPECT(CUDA_ERROR_INVALID_HANDLE, cuStreamDestroy(NULL));
    OK(cuStreamDestroy(b));
    EXPECT(CUDA_ERROR_INVALID_HANDLE, cuStreamSynchronize(b));
}

// ---- a gate: a host function that keeps the queue waiting until the test opens it ---------------

struct gate {
    pthread_mutex_t lock;
    pthread_cond_t opened;
    bool open;
};

static void wait_at_gate(void *user)
{
    struct gate *gate = user;

    pthread_mutex_lock(&gate->lock);
    while (!gate->open) pthread_cond_wait(&gate->opened, &gate->lock);
    pthread_mutex_unlock(&gate->lock);
}

static void open_gate(struct gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    gate->open = true;
    pthread_cond_broadcast(&gate->opened);
    pthread_mutex_unlock(&gate->lock);
}

#define GATE                                                                                       \
    {                                                                                              \
        PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false                                 \
    }

static void events(void **unused)
{
    struct gate gate = GATE;
    CUevent never, start, end, untimed;
    CUstream stream;
    float milliseconds = -1;

    OK(cuStreamCreate(&stream, 0));
    OK(cuEventCreate(&never, 0));
    OK(cuEventCreate(&start, CU_EVENT_BLOCKING_SYNC));
    OK(cuEventCreate(&end, 0));
    OK(cuEventCreate(&untimed, CU_EVENT_DISABLE_TIMING));
    OK(cuEventQuery(never));
    OK(cuEventSynchronize(never));
    OK(cuEventRecord(start, stream));
    OK(cuLaunchHostFunc(stream, wait_at_gate, &gate));
    OK(cuEventRecord(end, stream));
    OK(cuEventRecord(untimed, stream));
    OK(cuStreamWaitEvent(NULL, end, 0));
    OK(cuEventSynchronize(start));
    EXPECT(CUDA_ERROR_NOT_READY, cuEventQuery(end));
    EXPECT(CUDA_ERROR_NOT_READY, cuStreamQuery(stream));
    EXPECT(CUDA_ERROR_NOT_READY, cuEventElapsedTime(&milliseconds, start, end));
    usleep(30000);
    open_gate(&gate);
    OK(cuEventSynchronize(end));
    OK(cuEventElapsedTime(&milliseconds, start, end));
    assert_true(milliseconds >= 25 && milliseconds < 60000);
    OK(cuStreamSynchronize(stream));
    OK(cuStreamQuery(stream));
    EXPECT(CUDA_ERROR_INVALID_HANDLE, cuEventElapsedTime(&milliseconds, start, never));
    EXPECT(CUDA_ERROR_INVALID_HANDLE, cuEventElapsedTime(&milliseconds, start, untimed));
    EXPECT(CUDA_ERROR_INVALID_HANDLE, cuEventElapsedTime(&milliseconds, start, NO_EVENT));
    BAD(cuEventElapsedTime(NULL, start, end));
    BAD(cuEventCreate(&end, 64));
    EXPECT(CUDA_ERROR_INVALID_HANDLE, cuEventRecord(NO_EVENT, stream));
    EXPECT(CUDA_ERROR_INVALID_HANDLE, cuEventRecord(start, NO_STREAM));
    EXPECT(CUDA_ERROR_INVALID_HANDLE, cuStreamWaitEvent(NO_STREAM, start, 0));
    OK(cuEventDestroy(start));
    EXPECT(CUDA_ERROR_INVALID_HANDLE, cuEventDestroy(start));
    EXPECT(CUDA_ERROR_INVALID_HANDLE, cuEventQuery(start));
}

// Copies, fills, kernels and host functions of one stream run one after the other.
static void note_first(void *user)
{
    unsigned **numbers = user;

    numbers[1][0] = numbers[0][0];
}

static void in_order(void **unused)
{
    struct gate gate = GATE;
    unsigned *in, *out, seen = 0, *numbers[2], value = 5, n = 64;
    CUmodule module;
    CUfunction fill = load_function(&module, "fill");
    CUstream stream;
    CUdeviceptr a;
    void *memory, *params[] = {&a, &value, &n};

    OK(cuMemAllocHost(&memory, 2 * 64 * sizeof *in));
    in = memory, out = in + 64;
    numbers[0] = out, numbers[1] = &seen;
    for (unsigned i = 0; i < 64; i++) in[i] = i, out[i] = 99;
    OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    OK(cuMemAlloc(&a, 256));
    OK(cuLaunchHostFunc(stream, wait_at_gate, &gate));
    OK(cuMemcpyHtoDAsync(a, in, 256, stream));
    n = 32;
    OK(cuLaunchKernel(fill, 1, 1, 1, 64, 1, 1, 0, stream, params, NULL));
    OK(cuMemsetD32Async(a + 252, 77, 1, stream));
    OK(cuMemcpyDtoHAsync(out, a, 256, stream));
    OK(cuLaunchHostFunc(stream, note_first, numbers));
    OK(cuMemsetD32Async(a, 1, 64, stream));
    EXPECT(CUDA_ERROR_NOT_READY, cuStreamQuery(stream));
    assert_int_equal(out[0], 99);
    in[40] = 1040; // page-locked memory is read when the copy runs
    open_gate(&gate);
    OK(cuStreamSynchronize(stream));
    assert_int_equal(out[0], 5);
    assert_int_equal(out[31], 5);
    assert_int_equal(out[32], 32);
    assert_int_equal(out[40], 1040);
    assert_int_equal(out[63], 77);
    assert_int_equal(seen, 5);
    OK(cuMemFreeHost(memory));
}

// The host is ahead of a slow kernel; destroying what it uses waits.
static void host_goes_on(void **unused)
{
    CUmodule module;
    CUfunction late = load_function(&module, "late");
    CUdeviceptr to;
    unsigned n = 300000;
    void *params[] = {&to, &n};
    CUstream stream;

    OK(cuStreamCreate(&stream, 0));
    OK(cuMemAlloc(&to, 256));
    OK(cuLaunchKernel(late, 1, 1, 1, 64, 1, 1, 0, stream, params, NULL));
    EXPECT(CUDA_ERROR_NOT_READY, cuStreamQuery(stream));
    OK(cuStreamDestroy(stream));
    OK(cuModuleUnload(module));
    OK(cuMemcpyDtoH(&n, to + 252, 4));
    assert_int_equal(n, 300000);
    OK(cuMemFree(to));
}

struct unloading {
    CUcontext context;
    CUmodule module;
    CUresult result;
    atomic_bool ended;
};

static void *unload(void *argument)
{
    struct unloading *unloading = argument;

    cuCtxSetCurrent(unloading->context);
    unloading->result = cuModuleUnload(unloading->module);
    atomic_store(&unloading->ended, true);
    return NULL;
}

// A module that work is still to come from is not unloaded under it.
static void unloading_waits(void **state)
{
    struct gate gate = GATE;
    struct unloading unloading = {.context = *state, .result = CUDA_ERROR_UNKNOWN};
    CUfunction fill = load_function(&unloading.module, "fill");
    unsigned value = 3, n = 1, out = 0;
    CUdeviceptr to;
    pthread_t thread;
    void *params[] = {&to, &value, &n};

    OK(cuMemAlloc(&to, 4));
    OK(cuLaunchHostFunc(NULL, wait_at_gate, &gate));
    OK(cuLaunchKernel(fill, 1, 1, 1, 1, 1, 1, 0, NULL, params, NULL));
    assert_int_equal(pthread_create(&thread, NULL, unload, &unloading), 0);
    usleep(30000);
    assert_false(atomic_load(&unloading.ended));
    open_gate(&gate);
    pthread_join(thread, NULL);
    OK(unloading.result);
    OK(cuMemcpyDtoH(&out, to, 4));
    assert_int_equal(out, 3);
}

static CUresult inside[2];

static void call_driver(CUstream stream, CUresult status, void *user)
{
    CUdeviceptr address;

    inside[0] = cuMemAlloc(&address, 16);
    inside[1] = cuStreamSynchronize(stream);
    *(CUresult *)user = status;
}

static void callbacks(void **unused)
{
    CUresult status = CUDA_ERROR_UNKNOWN;

    OK(cuStreamAddCallback(NULL, call_driver, &status, 0));
    OK(cuCtxSynchronize());
    assert_int_equal(status, CUDA_SUCCESS);
    assert_int_equal(inside[0], CUDA_ERROR_NOT_PERMITTED);
    assert_int_equal(inside[1], CUDA_ERROR_NOT_PERMITTED);
    BAD(cuStreamAddCallback(NULL, NULL, NULL, 0));
    BAD(cuStreamAddCallback(NULL, call_driver, NULL, 1));
    BAD(cuLaunchHostFunc(NULL, NULL, NULL));
    EXPECT(CUDA_ERROR_INVALID_HANDLE, cuLaunchHostFunc(NO_STREAM, note_first, NULL));
}

// Several threads, each with a stream, share a context, a module and the machine.
static CUcontext shared_context;
static CUfunction shared_fill;

static void *fill_often(void *number)
{
    unsigned value = (unsigned)(uintptr_t)number, n = 64, out[64];
    CUstream stream;
    CUdeviceptr to;
    void *params[] = {&to, &value, &n};

    if (cuCtxSetCurrent(shared_context) || cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING))
        return "no stream";
    for (int i = 0; i < 50; i++, value += 100) {
        if (cuMemAlloc(&to, sizeof out) ||
            cuLaunchKernel(shared_fill, 1, 1, 1, 64, 1, 1, 0, stream, params, NULL) ||
            cuMemcpyDtoHAsync(out, to, sizeof out, stream) || cuStreamSynchronize(stream) ||
            out[0] != value || out[63] != value || cuMemFree(to))
            return "wrong";
    }
    return cuStreamDestroy(stream) ? "not destroyed" : NULL;
}

static void many_threads(void **state)
{
    CUmodule module;
    pthread_t threads[4];

    shared_context = *state;
    shared_fill = load_function(&module, "fill");
    for (uintptr_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, fill_often, (void *)i), 0);
    for (int i = 0; i < 4; i++) {
        void *wrong;

        pthread_join(threads[i], &wrong);
        assert_null(wrong);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_CONTEXT(streams),      IN_CONTEXT(events),          IN_CONTEXT(in_order),
        IN_CONTEXT(host_goes_on), IN_CONTEXT(unloading_waits), IN_CONTEXT(callbacks),
        IN_CONTEXT(many_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
