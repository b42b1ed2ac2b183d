// SPDX-License-Identifier: MIT
/*
 * runtime/cuda on a driver that runs kernels: the path of the library is the argument, by default
 * libcuda.so.1 of the loader. In CI that is the driver of runtime/drop_in; on a machine with a GPU
 * it may be the real one. Where the fake driver shows what is called, this shows that it works.
 */
#include "runtime/cuda/cuda_device.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *driver_path;

static const char fill_ptx[] =
    ".version 7.0\n.target sm_80\n.address_size 64\n"
    ".visible .entry fill(.param .u64 to, .param .u32 value) {\n"
    ".reg .b32 %r<6>; .reg .b64 %d<4>;\n"
    "mov.u32 %r1, %ctaid.x; mov.u32 %r2, %ntid.x; mov.u32 %r3, %tid.x;\n"
    "mad.lo.u32 %r4, %r1, %r2, %r3; ld.param.u64 %d1, [to]; ld.param.u32 %r5, [value];\n"
    "mul.wide.u32 %d2, %r4, 4; add.s64 %d3, %d1, %d2; st.global.u32 [%d3], %r5; ret;\n}\n";

struct fixture {
    struct kg_cuda_driver *driver;
    struct kg_cuda_context *context;
    char messages[4096];
    int ptx_line;
};

static void record(void *user, const struct kg_cuda_message *message)
{
    struct fixture *fixture = user;
    size_t used = strlen(fixture->messages);

    snprintf(fixture->messages + used, sizeof fixture->messages - used, "%s\n", message->text);
    if (message->ptx_line) fixture->ptx_line = message->ptx_line;
}

static void open_fixture(struct fixture *fixture)
{
    struct kg_cuda_config config = {driver_path, NULL, record, fixture};

    memset(fixture, 0, sizeof *fixture);
    if (kg_cuda_open(&config, &fixture->driver) != KG_CUDA_OK) fail_msg("%s", fixture->messages);
    assert_int_equal(kg_cuda_context_retain(fixture->driver, 0, &fixture->context), KG_CUDA_OK);
}

static void close_fixture(struct fixture *fixture)
{
    kg_cuda_context_release(fixture->context);
    kg_cuda_close(fixture->driver);
}

static void device_info(void **unused)
{
    struct fixture f;
    const struct kg_cuda_device_info *info;
    struct kg_cuda_context *none;

    open_fixture(&f);
    info = kg_cuda_context_device(f.context);
    assert_true(info->sm >= 80 && info->multiprocessors > 0 && info->warp_size == 32);
    assert_true(info->shared_per_block_opt_in > info->shared_per_block);
    assert_true(info->memory_bytes > 0 && info->driver_version >= 11000);
    assert_int_equal(kg_cuda_context_retain(f.driver, 4096, &none), KG_CUDA_NO_DEVICE);
    close_fixture(&f);
}

static void memory(void **unused)
{
    struct fixture f;
    uint32_t in[64], out[64] = {0};
    uint64_t a, b, none = 1;
    size_t before, after, total;
    void *host;

    open_fixture(&f);
    for (uint32_t i = 0; i < 64; i++) in[i] = i;
    assert_int_equal(kg_cuda_memory_info(f.context, &before, &total), KG_CUDA_OK);
    assert_int_equal(kg_cuda_memory_alloc(f.context, sizeof in, &a), KG_CUDA_OK);
    assert_int_equal(kg_cuda_memory_alloc(f.context, sizeof in, &b), KG_CUDA_OK);
    assert_int_equal(kg_cuda_copy_to_device(f.context, a, in, sizeof in, NULL), KG_CUDA_OK);
    assert_int_equal(kg_cuda_copy_on_device(f.context, b, a, sizeof in, NULL), KG_CUDA_OK);
    assert_int_equal(kg_cuda_fill_words(f.context, b, 7, 2, NULL), KG_CUDA_OK);
    assert_int_equal(kg_cuda_fill_bytes(f.context, b + 252, 0xff, 4, NULL), KG_CUDA_OK);
    assert_int_equal(kg_cuda_copy_to_host(f.context, out, b, sizeof out, NULL), KG_CUDA_OK);
    assert_int_equal(kg_cuda_synchronize(f.context), KG_CUDA_OK);
    assert_true(out[0] == 7 && out[1] == 7 && out[2] == 2 && out[63] == UINT32_MAX);
    assert_int_equal(kg_cuda_memory_alloc(f.context, total + 1, &none),
                     KG_CUDA_OUT_OF_DEVICE_MEMORY);
    assert_int_equal(none, 0);
    assert_int_equal(kg_cuda_memory_free(f.context, a), KG_CUDA_OK);
    assert_int_equal(kg_cuda_memory_free(f.context, b), KG_CUDA_OK);
    assert_int_equal(kg_cuda_memory_info(f.context, &after, &total), KG_CUDA_OK);
    assert_int_equal(kg_cuda_host_alloc(f.context, 64, &host), KG_CUDA_OK);
    memset(host, 1, 64);
    assert_int_equal(kg_cuda_host_free(f.context, host), KG_CUDA_OK);
    close_fixture(&f);
}

static struct kg_cuda_kernel load(struct fixture *f, const char *ptx, const char *name)
{
    struct kg_cuda_load_options options = {.line_info = true, .verbose = true};
    struct kg_cuda_module *module;
    struct kg_cuda_kernel kernel;

    if (kg_cuda_module_load(f->context, ptx, strlen(ptx), &options, &module) != KG_CUDA_OK)
        fail_msg("%s", f->messages);
    assert_int_equal(kg_cuda_module_kernel(module, name, &kernel), KG_CUDA_OK);
    return kernel;
}

static void launches(void **unused)
{
    struct fixture f;
    struct kg_cuda_kernel kernel, absent;
    struct kg_cuda_kernel_attributes attributes;
    uint32_t value = 42, out[256];
    uint64_t to;
    int blocks;
    void *arguments[] = {&to, &value};
    struct kg_cuda_launch launch = {
        .grid = {2, 1, 1}, .block = {128, 1, 1}, .shared_bytes = 65536, .arguments = arguments};

    open_fixture(&f);
    kernel = load(&f, fill_ptx, "fill");
    assert_int_equal(kg_cuda_module_kernel(kernel.module, "none", &absent), KG_CUDA_NOT_FOUND);
    assert_int_equal(kg_cuda_kernel_attributes(kernel, &attributes), KG_CUDA_OK);
    assert_true(attributes.registers > 0 && attributes.max_threads_per_block == 1024);
    assert_int_equal(attributes.ptx_sm, 80);
    assert_int_equal(kg_cuda_kernel_allow_shared(kernel, 65536), KG_CUDA_OK);
    assert_int_equal(kg_cuda_kernel_occupancy(kernel, 128, 65536, &blocks), KG_CUDA_OK);
    assert_true(blocks > 0);
    assert_int_equal(kg_cuda_memory_alloc(f.context, sizeof out, &to), KG_CUDA_OK);
    assert_int_equal(kg_cuda_launch(kernel, &launch), KG_CUDA_OK);
    assert_int_equal(kg_cuda_copy_to_host(f.context, out, to, sizeof out, NULL), KG_CUDA_OK);
    assert_int_equal(kg_cuda_synchronize(f.context), KG_CUDA_OK);
    for (int i = 0; i < 256; i++) assert_int_equal(out[i], 42);
    launch.cooperative = true;
    value = 43;
    assert_int_equal(kg_cuda_launch(kernel, &launch), KG_CUDA_OK);
    launch.block[0] = 2048;
    assert_int_equal(kg_cuda_launch(kernel, &launch), KG_CUDA_LAUNCH_REFUSED);
    kg_cuda_module_unload(kernel.module);
    assert_int_equal(kg_cuda_memory_free(f.context, to), KG_CUDA_OK);
    close_fixture(&f);
}

static void bad_modules(void **unused)
{
    static const char bad[] = ".version 7.0\n.target sm_80\n.address_size 64\n"
                              ".visible .entry k() {\nfrobnicate.b32 %r1;\nret;\n}\n";
    struct fixture f;
    struct kg_cuda_module *module;

    open_fixture(&f);
    assert_int_equal(kg_cuda_module_load(f.context, bad, strlen(bad), NULL, &module),
                     KG_CUDA_BAD_MODULE);
    assert_null(module);
    assert_int_equal(f.ptx_line, 5);
    assert_non_null(strstr(f.messages, "CUDA_ERROR_INVALID_PTX, 218"));
    close_fixture(&f);
}

static void streams_and_events(void **unused)
{
    struct fixture f;
    struct kg_cuda_kernel kernel;
    struct kg_cuda_stream *first, *second;
    struct kg_cuda_event *start, *end;
    uint32_t value = 1, out[64];
    uint64_t to;
    float milliseconds = -1;
    void *arguments[] = {&to, &value};
    struct kg_cuda_launch launch = {.grid = {1, 1, 1}, .block = {64, 1, 1}, .arguments = arguments};

    open_fixture(&f);
    kernel = load(&f, fill_ptx, "fill");
    assert_int_equal(kg_cuda_stream_create(f.context, &first), KG_CUDA_OK);
    assert_int_equal(kg_cuda_stream_create(f.context, &second), KG_CUDA_OK);
    assert_int_equal(kg_cuda_event_create(f.context, &start), KG_CUDA_OK);
    assert_int_equal(kg_cuda_event_create(f.context, &end), KG_CUDA_OK);
    assert_int_equal(kg_cuda_memory_alloc(f.context, sizeof out, &to), KG_CUDA_OK);
    assert_int_equal(kg_cuda_event_record(f.context, start, first), KG_CUDA_OK);
    launch.stream = first;
    assert_int_equal(kg_cuda_launch(kernel, &launch), KG_CUDA_OK);
    assert_int_equal(kg_cuda_event_record(f.context, end, first), KG_CUDA_OK);
    assert_int_equal(kg_cuda_stream_wait(f.context, second, end), KG_CUDA_OK);
    value = 2;
    launch.stream = second;
    assert_int_equal(kg_cuda_launch(kernel, &launch), KG_CUDA_OK);
    assert_int_equal(kg_cuda_copy_to_host(f.context, out, to, sizeof out, second), KG_CUDA_OK);
    assert_int_equal(kg_cuda_stream_synchronize(f.context, second), KG_CUDA_OK);
    assert_true(out[0] == 2 && out[63] == 2);
    assert_int_equal(kg_cuda_event_synchronize(f.context, end), KG_CUDA_OK);
    assert_int_equal(kg_cuda_event_elapsed(f.context, start, end, &milliseconds), KG_CUDA_OK);
    assert_true(milliseconds >= 0);
    assert_int_equal(kg_cuda_event_destroy(f.context, start), KG_CUDA_OK);
    assert_int_equal(kg_cuda_event_destroy(f.context, end), KG_CUDA_OK);
    assert_int_equal(kg_cuda_stream_destroy(f.context, first), KG_CUDA_OK);
    assert_int_equal(kg_cuda_stream_destroy(f.context, second), KG_CUDA_OK);
    kg_cuda_module_unload(kernel.module);
    close_fixture(&f);
}

static void *use_memory(void *argument)
{
    struct fixture *f = argument;

    for (int i = 0; i < 100; i++) {
        uint64_t address;
        uint8_t out[64];

        if (kg_cuda_memory_alloc(f->context, 64, &address) ||
            kg_cuda_fill_bytes(f->context, address, (uint8_t)i, 64, NULL) ||
            kg_cuda_copy_to_host(f->context, out, address, 64, NULL) ||
            kg_cuda_synchronize(f->context) || out[63] != i ||
            kg_cuda_memory_free(f->context, address))
            return "wrong";
    }
    return NULL;
}

static void many_threads(void **unused)
{
    struct fixture f;
    pthread_t threads[4];
    void *wrong;

    open_fixture(&f);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, use_memory, &f), 0);
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], &wrong);
        assert_null(wrong);
    }
    close_fixture(&f);
}

/* Last: on a real GPU nothing works in this process afterwards. */
static void failed_kernel(void **unused)
{
    struct fixture f;
    struct kg_cuda_kernel kernel;
    uint32_t value = 1;
    uint64_t nowhere = 256;
    void *arguments[] = {&nowhere, &value};
    struct kg_cuda_launch launch = {.grid = {1, 1, 1}, .block = {64, 1, 1}, .arguments = arguments};

    open_fixture(&f);
    kernel = load(&f, fill_ptx, "fill");
    f.messages[0] = '\0';
    assert_int_equal(kg_cuda_launch(kernel, &launch), KG_CUDA_OK);
    assert_int_equal(kg_cuda_synchronize(f.context), KG_CUDA_DEVICE_LOST);
    assert_non_null(strstr(f.messages, "CUDA_ERROR_ILLEGAL_ADDRESS, 700"));
    kg_cuda_module_unload(kernel.module);
    close_fixture(&f);
}

int main(int count, char **arguments)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(device_info),        cmocka_unit_test(memory),
        cmocka_unit_test(launches),           cmocka_unit_test(bad_modules),
        cmocka_unit_test(streams_and_events), cmocka_unit_test(many_threads),
        cmocka_unit_test(failed_kernel),
    };

    driver_path = count > 1 ? arguments[1] : NULL;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
