// SPDX-License-Identifier: MIT
/*
 * Opening a driver, devices, memory, streams and threads, on a driver that is no driver: what is
 * called, and above all what is said and returned when something fails.
 */
#include "fixture.h"

#include <stdlib.h>

static const char ptx[] = ".version 7.0\n.target sm_80\n.address_size 64\n";

/* ---- opening ---- */

static void expect_open_failure(struct fixture *fixture, enum kg_cuda_status status,
                                const char *words)
{
    struct kg_cuda_driver *driver = (struct kg_cuda_driver *)fixture;

    assert_int_equal(kg_cuda_open(&fixture->config, &driver), status);
    assert_null(driver);
    assert_int_equal(fixture->balance, 0);
    assert_says(fixture, words);
}

static void missing_driver(void **unused)
{
    struct fixture fixture;

    prepare(&fixture, "/nowhere/libcuda.so.1");
    expect_open_failure(&fixture, KG_CUDA_NO_DRIVER,
                        "error: no CUDA driver: /nowhere/libcuda.so.1");
    assert_says(&fixture, "help: install NVIDIA's driver, or use the cpu device");
}

static void silent_without_report(void **unused)
{
    struct kg_cuda_config config = {.driver_path = "/nowhere/libcuda.so.1"};
    struct kg_cuda_driver *driver;

    assert_int_equal(kg_cuda_open(&config, &driver), KG_CUDA_NO_DRIVER);
    assert_null(driver);
}

static void library_that_is_no_driver(void **unused)
{
    struct fixture fixture;

    prepare(&fixture, not_a_driver);
    expect_open_failure(&fixture, KG_CUDA_TOO_OLD, "error: the CUDA driver has no cuInit");
}

static void driver_too_old(void **unused)
{
    struct fixture fixture;

    prepare(&fixture, fake_11);
    fixture.fake->version = 10020;
    expect_open_failure(&fixture, KG_CUDA_TOO_OLD,
                        "error: the CUDA driver supports CUDA 10.2; kgen needs 11.0 or newer");
}

static void no_device(void **unused)
{
    struct fixture fixture;

    prepare(&fixture, fake_12);
    fixture.fake->device_count = 0;
    expect_open_failure(&fixture, KG_CUDA_NO_DEVICE,
                        "error: cannot start the CUDA driver: the fake driver's words "
                        "(CUDA_ERROR_NO_DEVICE, 100)");
    assert_says(&fixture, "help: check nvidia-smi");
}

static void stub_library(void **unused)
{
    struct fixture fixture;

    prepare(&fixture, fake_12);
    fail_call(&fixture, "cuInit", KG_CUDA_ERROR_STUB_LIBRARY);
    expect_open_failure(&fixture, KG_CUDA_NO_DRIVER,
                        "help: this libcuda.so.1 is the toolkit's stub");
}

static void unknown_error(void **unused)
{
    struct fixture fixture;

    prepare(&fixture, fake_12);
    fail_call(&fixture, "cuInit", 4711);
    expect_open_failure(&fixture, KG_CUDA_DRIVER_FAILED,
                        "the driver has no words for it (unknown error, 4711)");
}

static void no_host_memory(void **unused)
{
    struct fixture fixture;

    prepare(&fixture, fake_12);
    fixture.allowed = 0;
    expect_open_failure(&fixture, KG_CUDA_OUT_OF_HOST_MEMORY, "error: no host memory");
    fixture.allowed = 1;
    assert_int_equal(kg_cuda_open(&fixture.config, &fixture.driver), KG_CUDA_OK);
    assert_int_equal(kg_cuda_context_retain(fixture.driver, 0, &fixture.context),
                     KG_CUDA_OUT_OF_HOST_MEMORY);
    assert_null(fixture.context);
    fixture.allowed = 1;
    assert_int_equal(kg_cuda_context_retain(fixture.driver, 0, &fixture.context), KG_CUDA_OK);
    for (fixture.allowed = 0; fixture.allowed < 2; fixture.allowed++) {
        struct kg_cuda_module *module;
        long allowed = fixture.allowed;

        assert_int_equal(kg_cuda_module_load(fixture.context, ptx, strlen(ptx), NULL, &module),
                         KG_CUDA_OUT_OF_HOST_MEMORY);
        assert_null(module);
        fixture.allowed = allowed;
    }
    close_driver(&fixture);
}

/* ---- devices ---- */

static void device_info(void **unused)
{
    struct fixture fixture;
    struct kg_cuda_device_info info;
    struct kg_cuda_context *context;
    int count;

    open_driver(&fixture, fake_12);
    assert_int_equal(kg_cuda_driver_version(fixture.driver), 12080);
    assert_int_equal(kg_cuda_device_count(fixture.driver, &count), KG_CUDA_OK);
    assert_int_equal(count, 1);
    assert_int_equal(kg_cuda_device_info(fixture.driver, 0, &info), KG_CUDA_OK);
    assert_string_equal(info.name, "Fake GPU 0");
    assert_int_equal(info.sm, 90);
    assert_int_equal(info.multiprocessors, 132);
    assert_int_equal(info.shared_per_block, 49152);
    assert_int_equal(info.shared_per_block_opt_in, 232448);
    assert_int_equal(info.clock_khz, 0);
    assert_true(info.has_clusters);
    assert_memory_equal(&info, kg_cuda_context_device(fixture.context), sizeof info);
    assert_int_equal(kg_cuda_context_retain(fixture.driver, 1, &context), KG_CUDA_NO_DEVICE);
    assert_null(context);
    assert_says(&fixture, "error: no CUDA device 1: there is 1, counted from 0");
    close_driver(&fixture);
}

static void context_refused(void **unused)
{
    struct fixture fixture;
    uint64_t address = 1;

    prepare(&fixture, fake_12);
    assert_int_equal(kg_cuda_open(&fixture.config, &fixture.driver), KG_CUDA_OK);
    fail_call(&fixture, "cuDevicePrimaryCtxRetain", KG_CUDA_ERROR_DEVICE_UNAVAILABLE);
    assert_int_equal(kg_cuda_context_retain(fixture.driver, 0, &fixture.context),
                     KG_CUDA_NO_DEVICE);
    assert_null(fixture.context);
    assert_says(&fixture, "help: another process holds the device exclusively");
    fixture.fake->failing = NULL;
    assert_int_equal(kg_cuda_context_retain(fixture.driver, 0, &fixture.context), KG_CUDA_OK);
    fail_call(&fixture, "cuCtxPushCurrent_v2", KG_CUDA_ERROR_INVALID_CONTEXT);
    assert_int_equal(kg_cuda_memory_alloc(fixture.context, 16, &address), KG_CUDA_DRIVER_FAILED);
    assert_int_equal(address, 0);
    fixture.fake->failing = NULL;
    close_driver(&fixture);
}

/* ---- memory ---- */

static void memory_round_trip(void **unused)
{
    struct fixture fixture;
    uint32_t in[4] = {1, 2, 3, 4}, out[4] = {0};
    uint64_t a, b;
    size_t available, total;
    void *host;

    open_driver(&fixture, fake_12);
    assert_int_equal(kg_cuda_memory_alloc(fixture.context, sizeof in, &a), KG_CUDA_OK);
    assert_int_equal(kg_cuda_memory_alloc(fixture.context, sizeof in, &b), KG_CUDA_OK);
    assert_int_equal(kg_cuda_copy_to_device(fixture.context, a, in, sizeof in, NULL), KG_CUDA_OK);
    assert_int_equal(kg_cuda_copy_on_device(fixture.context, b, a, sizeof in, NULL), KG_CUDA_OK);
    assert_int_equal(kg_cuda_fill_words(fixture.context, b, 7, 1, NULL), KG_CUDA_OK);
    assert_int_equal(kg_cuda_fill_bytes(fixture.context, b + 12, 0xff, 4, NULL), KG_CUDA_OK);
    assert_int_equal(kg_cuda_copy_to_host(fixture.context, out, b, sizeof out, NULL), KG_CUDA_OK);
    assert_int_equal(kg_cuda_synchronize(fixture.context), KG_CUDA_OK);
    assert_int_equal(out[0], 7);
    assert_int_equal(out[2], 3);
    assert_int_equal(out[3], UINT32_MAX);
    assert_int_equal(kg_cuda_memory_info(fixture.context, &available, &total), KG_CUDA_OK);
    assert_true(available < total);
    assert_int_equal(kg_cuda_memory_free(fixture.context, a), KG_CUDA_OK);
    assert_int_equal(kg_cuda_memory_free(fixture.context, b), KG_CUDA_OK);
    assert_int_equal(kg_cuda_host_alloc(fixture.context, 64, &host), KG_CUDA_OK);
    assert_int_equal(kg_cuda_host_free(fixture.context, host), KG_CUDA_OK);
    assert_string_equal(fixture.messages, "");
    close_driver(&fixture);
}

static void nothing_is_nothing(void **unused)
{
    struct fixture fixture;
    uint64_t address = 1;
    void *host = &fixture;

    open_driver(&fixture, fake_12);
    assert_int_equal(kg_cuda_memory_alloc(fixture.context, 0, &address), KG_CUDA_OK);
    assert_int_equal(address, 0);
    assert_int_equal(kg_cuda_memory_free(fixture.context, 0), KG_CUDA_OK);
    assert_int_equal(kg_cuda_host_alloc(fixture.context, 0, &host), KG_CUDA_OK);
    assert_null(host);
    assert_int_equal(kg_cuda_copy_to_device(fixture.context, 0, NULL, 0, NULL), KG_CUDA_OK);
    assert_int_equal(kg_cuda_fill_bytes(fixture.context, 0, 1, 0, NULL), KG_CUDA_OK);
    kg_cuda_context_release(NULL);
    kg_cuda_module_unload(NULL);
    kg_cuda_close(NULL);
    assert_string_equal(fixture.fake->trace, "");
    close_driver(&fixture);
}

static void out_of_device_memory(void **unused)
{
    struct fixture fixture;
    uint64_t address = 1;

    open_driver(&fixture, fake_12);
    assert_int_equal(kg_cuda_memory_alloc(fixture.context, (size_t)1 << 31, &address),
                     KG_CUDA_OUT_OF_DEVICE_MEMORY);
    assert_int_equal(address, 0);
    assert_says(&fixture, "error: cannot allocate 2147483648 bytes on CUDA device 0 (Fake GPU 0)");
    assert_says(&fixture, "(CUDA_ERROR_OUT_OF_MEMORY, 2)");
    assert_says(&fixture, "help: free device memory");
    close_driver(&fixture);
}

/* ---- running ---- */

static void failed_kernel_is_explained(void **unused)
{
    struct fixture fixture;

    open_driver(&fixture, fake_12);
    fail_call(&fixture, "cuCtxSynchronize", KG_CUDA_ERROR_ILLEGAL_ADDRESS);
    assert_int_equal(kg_cuda_synchronize(fixture.context), KG_CUDA_DEVICE_LOST);
    assert_says(&fixture, "error: cannot finish the work on CUDA device 0 (Fake GPU 0): the fake "
                          "driver's words (CUDA_ERROR_ILLEGAL_ADDRESS, 700)\n");
    assert_says(&fixture, "help: a kernel accessed memory outside its buffers");
    assert_string_equal(kg_cuda_status_text(KG_CUDA_DEVICE_LOST), "device lost");
    assert_string_equal(kg_cuda_status_text((enum kg_cuda_status)99), "unknown status");
    close_driver(&fixture);
}

static void streams_and_events(void **unused)
{
    struct fixture fixture;
    struct kg_cuda_stream *stream;
    struct kg_cuda_event *start, *end;
    float milliseconds;

    open_driver(&fixture, fake_12);
    assert_int_equal(kg_cuda_stream_create(fixture.context, &stream), KG_CUDA_OK);
    assert_non_null(strstr(fixture.fake->trace, "cuStreamCreate\nflags 1\n"));
    assert_int_equal(kg_cuda_event_create(fixture.context, &start), KG_CUDA_OK);
    assert_int_equal(kg_cuda_event_create(fixture.context, &end), KG_CUDA_OK);
    assert_int_equal(kg_cuda_event_record(fixture.context, start, stream), KG_CUDA_OK);
    assert_int_equal(kg_cuda_event_record(fixture.context, end, stream), KG_CUDA_OK);
    assert_int_equal(kg_cuda_stream_wait(fixture.context, stream, end), KG_CUDA_OK);
    fail_call(&fixture, "cuEventElapsedTime", KG_CUDA_ERROR_NOT_READY);
    assert_int_equal(kg_cuda_event_elapsed(fixture.context, start, end, &milliseconds),
                     KG_CUDA_NOT_READY);
    assert_string_equal(fixture.messages, "");
    fixture.fake->failing = NULL;
    assert_int_equal(kg_cuda_event_synchronize(fixture.context, end), KG_CUDA_OK);
    assert_int_equal(kg_cuda_event_elapsed(fixture.context, start, end, &milliseconds), KG_CUDA_OK);
    assert_true(milliseconds > 1 && milliseconds < 2);
    assert_int_equal(kg_cuda_stream_synchronize(fixture.context, stream), KG_CUDA_OK);
    assert_int_equal(kg_cuda_event_destroy(fixture.context, start), KG_CUDA_OK);
    assert_int_equal(kg_cuda_event_destroy(fixture.context, end), KG_CUDA_OK);
    assert_int_equal(kg_cuda_stream_destroy(fixture.context, stream), KG_CUDA_OK);
    close_driver(&fixture);
}

static void *worker(void *argument)
{
    struct fixture *fixture = argument;
    intptr_t errors = 0;

    for (int i = 0; i < 200; i++) {
        uint64_t address;

        errors += kg_cuda_memory_alloc(fixture->context, 64, &address) != KG_CUDA_OK;
        errors += kg_cuda_fill_bytes(fixture->context, address, (uint8_t)i, 64, NULL) != KG_CUDA_OK;
        errors += kg_cuda_memory_free(fixture->context, address) != KG_CUDA_OK;
        errors += kg_cuda_memory_alloc(fixture->context, (size_t)1 << 40, &address) !=
                  KG_CUDA_OUT_OF_DEVICE_MEMORY;
    }
    return (void *)errors;
}

static void many_threads(void **unused)
{
    struct fixture fixture;
    pthread_t threads[4];

    open_driver(&fixture, fake_12);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, worker, &fixture), 0);
    for (int i = 0; i < 4; i++) {
        void *errors;

        pthread_join(threads[i], &errors);
        assert_null(errors);
    }
    close_driver(&fixture);
}

int main(int count, char **arguments)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(missing_driver),
        cmocka_unit_test(silent_without_report),
        cmocka_unit_test(library_that_is_no_driver),
        cmocka_unit_test(driver_too_old),
        cmocka_unit_test(no_device),
        cmocka_unit_test(stub_library),
        cmocka_unit_test(unknown_error),
        cmocka_unit_test(no_host_memory),
        cmocka_unit_test(device_info),
        cmocka_unit_test(context_refused),
        cmocka_unit_test(memory_round_trip),
        cmocka_unit_test(nothing_is_nothing),
        cmocka_unit_test(out_of_device_memory),
        cmocka_unit_test(failed_kernel_is_explained),
        cmocka_unit_test(streams_and_events),
        cmocka_unit_test(many_threads),
    };
    int status = take_arguments(count, arguments);

    return status ? status : cmocka_run_group_tests(tests, NULL, NULL);
}
