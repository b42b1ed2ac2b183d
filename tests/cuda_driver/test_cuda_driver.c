// SPDX-License-Identifier: MIT
/*
 * runtime/cuda on a driver that is no driver: what it finds, what it calls, and above all what it
 * says and returns when something fails. Usage: test_cuda_driver FAKE_12 FAKE_11 FAKE_PLAIN
 * NOT_A_DRIVER.
 */
#include "fake_driver.h"

#include "runtime/cuda/cuda_device.h"
#include "runtime/cuda/driver_types.h"

#include <dlfcn.h>
#include <elf.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *fake_12, *fake_11, *fake_plain, *not_a_driver;

/* ---- a driver with its messages ---- */

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

static void *counting_malloc(void *user, size_t bytes)
{
    struct fixture *fixture = user;

    if (fixture->allowed == 0) return NULL;
    if (fixture->allowed > 0) fixture->allowed--;
    __atomic_add_fetch(&fixture->balance, 1, __ATOMIC_RELAXED);
    return malloc(bytes);
}

static void *counting_realloc(void *user, void *memory, size_t bytes)
{
    return realloc(memory, bytes);
}

static void counting_free(void *user, void *memory)
{
    struct fixture *fixture = user;

    __atomic_sub_fetch(&fixture->balance, 1, __ATOMIC_RELAXED);
    free(memory);
}

/* "error: text", "note@12: text": one line for each message. */
static void record(void *user, const struct kg_cuda_message *message)
{
    static const char *const words[] = {"note", "warning", "error", "help"};
    struct fixture *fixture = user;
    char line[1200];

    if (message->ptx_line)
        snprintf(line, sizeof line, "%s@%d: %s\n", words[message->severity], message->ptx_line,
                 message->text);
    else
        snprintf(line, sizeof line, "%s: %s\n", words[message->severity], message->text);
    pthread_mutex_lock(&fixture->lock);
    strncat(fixture->messages, line, sizeof fixture->messages - strlen(fixture->messages) - 1);
    pthread_mutex_unlock(&fixture->lock);
}

static void prepare(struct fixture *fixture, const char *path)
{
    static struct kg_cuda_allocator allocator;
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    fake_driver_reset_function *reset = NULL;
    void *symbol;

    memset(fixture, 0, sizeof *fixture);
    fixture->allowed = -1;
    pthread_mutex_init(&fixture->lock, NULL);
    allocator =
        (struct kg_cuda_allocator){counting_malloc, counting_realloc, counting_free, fixture};
    fixture->config = (struct kg_cuda_config){path, &allocator, record, fixture};
    if (!library) return;
    symbol = dlsym(library, "fake_driver_reset");
    memcpy(&reset, &symbol, sizeof symbol);
    if (reset) fixture->fake = reset();
}

static void open_driver(struct fixture *fixture, const char *path)
{
    prepare(fixture, path);
    assert_non_null(fixture->fake);
    assert_int_equal(kg_cuda_open(&fixture->config, &fixture->driver), KG_CUDA_OK);
    assert_int_equal(kg_cuda_context_retain(fixture->driver, 0, &fixture->context), KG_CUDA_OK);
    fixture->fake->trace[0] = '\0';
}

/* Everything that was taken is given back, whatever failed in between. */
static void close_driver(struct fixture *fixture)
{
    kg_cuda_context_release(fixture->context);
    kg_cuda_close(fixture->driver);
    assert_int_equal(fixture->balance, 0);
    assert_int_equal(fixture->fake->contexts, 0);
    assert_int_equal(fixture->fake->allocations, 0);
    assert_int_equal(fixture->fake->host_allocations, 0);
    assert_int_equal(fixture->fake->modules + fixture->fake->libraries, 0);
    assert_int_equal(fixture->fake->streams + fixture->fake->events, 0);
    assert_int_equal(fixture->fake->wrong_context_calls, 0);
}

static void fail_call(struct fixture *fixture, const char *name, int result)
{
    fixture->fake->failing = name;
    fixture->fake->failing_result = result;
    fixture->fake->failing_after = 0;
    fixture->messages[0] = '\0';
}

#define assert_says(fixture, words)                                                                \
    do {                                                                                           \
        if (!strstr((fixture)->messages, words))                                                   \
            fail_msg("'%s' is not in:\n%s", words, (fixture)->messages);                           \
    } while (0)

static const char ptx[] = ".version 7.0\n.target sm_80\n.address_size 64\n";

static struct kg_cuda_kernel load_kernel(struct fixture *fixture)
{
    struct kg_cuda_module *module;
    struct kg_cuda_kernel kernel;

    assert_int_equal(kg_cuda_module_load(fixture->context, ptx, strlen(ptx), NULL, &module),
                     KG_CUDA_OK);
    assert_int_equal(kg_cuda_module_kernel(module, "kernel", &kernel), KG_CUDA_OK);
    return kernel;
}

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

/* ---- modules ---- */

static void load_and_launch(void **unused)
{
    struct fixture fixture;
    struct kg_cuda_kernel kernel;
    struct kg_cuda_kernel_attributes attributes;
    int value = 42, blocks;
    void *arguments[] = {&value};
    struct kg_cuda_launch launch = {
        .grid = {4, 2, 1}, .block = {128, 1, 1}, .shared_bytes = 65536, .arguments = arguments};

    open_driver(&fixture, fake_12);
    kernel = load_kernel(&fixture);
    assert_int_equal(fixture.fake->libraries, 1);
    assert_int_equal(fixture.fake->last_module_bytes, strlen(ptx));
    assert_int_equal(kg_cuda_kernel_attributes(kernel, &attributes), KG_CUDA_OK);
    assert_int_equal(attributes.registers, 154);
    assert_int_equal(attributes.local_bytes, 16);
    assert_int_equal(attributes.ptx_sm, 80);
    assert_int_equal(kg_cuda_kernel_allow_shared(kernel, 65536), KG_CUDA_OK);
    assert_int_equal(fixture.fake->last_dynamic_shared, 65536);
    assert_int_equal(kg_cuda_kernel_occupancy(kernel, 128, 65536, &blocks), KG_CUDA_OK);
    assert_int_equal(blocks, 16);
    assert_int_equal(kg_cuda_launch(kernel, &launch), KG_CUDA_OK);
    assert_non_null(
        strstr(fixture.fake->trace,
               "cuLaunchKernelEx\ngrid 4 2 1 block 128 1 1 shared 65536 argument 42\n"));
    assert_null(strstr(fixture.fake->trace, "cluster"));
    launch.cluster[0] = 2;
    launch.cooperative = true;
    assert_int_equal(kg_cuda_launch(kernel, &launch), KG_CUDA_OK);
    assert_non_null(strstr(fixture.fake->trace, "cluster 2 1 1\ncooperative 1\n"));
    kg_cuda_module_unload(kernel.module);
    close_driver(&fixture);
}

static void load_options(void **unused)
{
    struct fixture fixture;
    struct kg_cuda_load_options options = {.line_info = true, .verbose = true};
    struct kg_cuda_module *module;

    open_driver(&fixture, fake_12);
    fixture.fake->info_log =
        "ptxas info : Used 40 registers\n\nptxas warning : line 3, error-prone\n";
    /* sizeof: a text that brings its own zero is not copied, and means the same. */
    assert_int_equal(kg_cuda_module_load(fixture.context, ptx, sizeof ptx, &options, &module),
                     KG_CUDA_OK);
    assert_non_null(strstr(fixture.fake->trace, "option 12 = 1\noption 13 = 1\n"));
    assert_string_equal(fixture.messages, "note: ptxas info : Used 40 registers\n"
                                          "note: ptxas warning : line 3, error-prone\n");
    kg_cuda_module_unload(module);
    close_driver(&fixture);
}

static void jit_failure(const char *path, const char *loader)
{
    struct fixture fixture;
    struct kg_cuda_module *module;

    open_driver(&fixture, path);
    fixture.fake->error_log = "ptxas application ptx input, line 12; error   : Unknown symbol 'x'\n"
                              "ptxas fatal   : Ptx assembly aborted due to errors\n";
    fail_call(&fixture, loader, KG_CUDA_ERROR_INVALID_PTX);
    assert_int_equal(kg_cuda_module_load(fixture.context, ptx, strlen(ptx), NULL, &module),
                     KG_CUDA_BAD_MODULE);
    assert_null(module);
    assert_says(&fixture, "error: cannot load a module for Fake GPU 0 (sm_90): the fake driver's "
                          "words (CUDA_ERROR_INVALID_PTX, 218)\n");
    assert_says(&fixture, "error@12: ptxas application ptx input, line 12; error   : Unknown");
    assert_says(&fixture, "error: ptxas fatal   : Ptx assembly aborted due to errors\n");
    close_driver(&fixture);
}

static void jit_failure_library(void **unused)
{
    jit_failure(fake_12, "cuLibraryLoadData");
}

static void jit_failure_module(void **unused)
{
    jit_failure(fake_plain, "cuModuleLoadDataEx");
}

/* The library loads, but compiling it for our context fails: nothing stays behind. */
static void deferred_jit_failure(void **unused)
{
    struct fixture fixture;
    struct kg_cuda_module *module;

    open_driver(&fixture, fake_12);
    fail_call(&fixture, "cuLibraryGetModule", KG_CUDA_ERROR_UNSUPPORTED_PTX_VERSION);
    assert_int_equal(kg_cuda_module_load(fixture.context, ptx, strlen(ptx), NULL, &module),
                     KG_CUDA_BAD_MODULE);
    assert_null(module);
    assert_says(&fixture, "help: the PTX is newer than the driver");
    close_driver(&fixture);
}

static void kernel_not_found(void **unused)
{
    struct fixture fixture;
    struct kg_cuda_kernel kernel, absent;

    open_driver(&fixture, fake_12);
    kernel = load_kernel(&fixture);
    assert_int_equal(kg_cuda_module_kernel(kernel.module, "absent", &absent), KG_CUDA_NOT_FOUND);
    assert_null(absent.function);
    assert_says(&fixture, "error: cannot find kernel 'absent' in the module");
    kg_cuda_module_unload(kernel.module);
    close_driver(&fixture);
}

static void expect_bad_image(struct fixture *fixture, const void *image, size_t bytes,
                             const char *words)
{
    struct kg_cuda_module *module;

    fixture->messages[0] = '\0';
    assert_int_equal(kg_cuda_module_load(fixture->context, image, bytes, NULL, &module),
                     KG_CUDA_BAD_MODULE);
    assert_null(module);
    assert_says(fixture, words);
}

/* The driver would believe each of these headers and read past the end. */
static void damaged_images(void **unused)
{
    struct fixture fixture;
    struct kg_cuda_module *module;
    struct {
        Elf64_Ehdr header;
        Elf64_Shdr section;
    } cubin = {0};

    open_driver(&fixture, fake_12);
    expect_bad_image(&fixture, NULL, 0, "the module is empty");
    expect_bad_image(&fixture, "", 0, "the module is empty");
    expect_bad_image(&fixture, "a\0b", 3, "neither PTX text nor a cubin");
    expect_bad_image(&fixture, "\177ELF", 4, "truncated or damaged");
    memcpy(cubin.header.e_ident, ELFMAG, SELFMAG);
    expect_bad_image(&fixture, &cubin, sizeof cubin, "truncated or damaged");
    cubin.header.e_ident[EI_CLASS] = ELFCLASS64;
    cubin.header.e_shoff = sizeof cubin.header;
    cubin.header.e_shnum = 2;
    cubin.header.e_shentsize = sizeof cubin.section;
    expect_bad_image(&fixture, &cubin, sizeof cubin, "truncated or damaged");
    cubin.header.e_shnum = 1;
    cubin.section.sh_type = SHT_PROGBITS;
    cubin.section.sh_offset = 64;
    cubin.section.sh_size = (Elf64_Xword)-1;
    expect_bad_image(&fixture, &cubin, sizeof cubin, "truncated or damaged");
    cubin.section.sh_size = 1;
    assert_int_equal(kg_cuda_module_load(fixture.context, &cubin, sizeof cubin, NULL, &module),
                     KG_CUDA_OK);
    kg_cuda_module_unload(module);
    close_driver(&fixture);
}

/* ---- launches that cannot be ---- */

static void expect_refused(struct fixture *fixture, struct kg_cuda_kernel kernel,
                           struct kg_cuda_launch launch, const char *words)
{
    fixture->messages[0] = '\0';
    assert_int_equal(kg_cuda_launch(kernel, &launch), KG_CUDA_LAUNCH_REFUSED);
    assert_says(fixture, words);
}

static void launch_refused(void **unused)
{
    struct fixture fixture;
    struct kg_cuda_kernel kernel;

    open_driver(&fixture, fake_12);
    kernel = load_kernel(&fixture);
    expect_refused(&fixture, kernel, (struct kg_cuda_launch){.grid = {1, 0, 1}, .block = {1, 1, 1}},
                   "the grid has no blocks");
    expect_refused(&fixture, kernel, (struct kg_cuda_launch){.grid = {1, 1, 1}, .block = {1, 1, 0}},
                   "the block has no threads");
    expect_refused(&fixture, kernel,
                   (struct kg_cuda_launch){.grid = {1, 1, 1}, .block = {1024, 2, 1}},
                   "more threads than the device allows");
    expect_refused(
        &fixture, kernel,
        (struct kg_cuda_launch){.grid = {3, 1, 1}, .block = {32, 1, 1}, .cluster = {2, 1, 1}},
        "a cluster dimension does not divide the grid's");
    assert_int_equal(kg_cuda_kernel_allow_shared(kernel, 232449), KG_CUDA_LAUNCH_REFUSED);
    assert_says(&fixture, "asks for 232449 bytes of shared memory; Fake GPU 0 (sm_90) has 232448");
    fixture.fake->static_shared_bytes = 1024;
    assert_int_equal(kg_cuda_kernel_allow_shared(kernel, 231425), KG_CUDA_LAUNCH_REFUSED);
    assert_int_equal(kg_cuda_kernel_allow_shared(kernel, 231424), KG_CUDA_OK);
    fail_call(&fixture, "cuLaunchKernelEx", KG_CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES);
    expect_refused(&fixture, kernel,
                   (struct kg_cuda_launch){.grid = {9, 1, 1}, .block = {256, 1, 1}},
                   "launch a kernel of 9 x 1 x 1 blocks of 256 x 1 x 1 threads");
    kg_cuda_module_unload(kernel.module);
    close_driver(&fixture);
}

/* A driver of 11.0: no cuGetProcAddress, no libraries, no cuLaunchKernelEx. */
static void old_driver_without_libraries(void **unused)
{
    struct fixture fixture;
    struct kg_cuda_kernel kernel;
    struct kg_cuda_launch launch = {.grid = {5, 6, 7}, .block = {32, 2, 1}, .shared_bytes = 8};

    prepare(&fixture, fake_plain);
    fixture.fake->version = 11000;
    assert_int_equal(kg_cuda_open(&fixture.config, &fixture.driver), KG_CUDA_OK);
    assert_int_equal(kg_cuda_context_retain(fixture.driver, 0, &fixture.context), KG_CUDA_OK);
    assert_false(kg_cuda_context_device(fixture.context)->has_clusters);
    kernel = load_kernel(&fixture);
    assert_int_equal(fixture.fake->modules, 1);
    assert_int_equal(kg_cuda_launch(kernel, &launch), KG_CUDA_OK);
    assert_non_null(
        strstr(fixture.fake->trace, "cuLaunchKernel\ngrid 5 6 7 block 32 2 1 shared 8\n"));
    launch.cluster[0] = 5;
    expect_refused(&fixture, kernel, launch, "clusters need an sm_90 device");
    launch.cluster[0] = 1;
    launch.cooperative = true;
    expect_refused(&fixture, kernel, launch, "a cooperative launch needs a driver of CUDA 11.6");
    kg_cuda_module_unload(kernel.module);
    close_driver(&fixture);
}

/* A driver of 11.8: the older cuGetProcAddress, no libraries, but cuLaunchKernelEx. */
static void driver_11_8(void **unused)
{
    struct fixture fixture;
    struct kg_cuda_kernel kernel;
    struct kg_cuda_launch launch = {.grid = {4, 1, 1}, .block = {32, 1, 1}, .cluster = {4, 1, 1}};

    prepare(&fixture, fake_11);
    fixture.fake->version = 11080;
    fixture.fake->hidden[0] = "cuLibraryLoadData";
    assert_int_equal(kg_cuda_open(&fixture.config, &fixture.driver), KG_CUDA_OK);
    assert_int_equal(kg_cuda_context_retain(fixture.driver, 0, &fixture.context), KG_CUDA_OK);
    kernel = load_kernel(&fixture);
    assert_int_equal(fixture.fake->modules, 1);
    assert_int_equal(fixture.fake->libraries, 0);
    assert_int_equal(kg_cuda_launch(kernel, &launch), KG_CUDA_OK);
    assert_non_null(strstr(fixture.fake->trace, "cluster 4 1 1\n"));
    kg_cuda_module_unload(kernel.module);
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
        cmocka_unit_test(load_and_launch),
        cmocka_unit_test(load_options),
        cmocka_unit_test(jit_failure_library),
        cmocka_unit_test(jit_failure_module),
        cmocka_unit_test(deferred_jit_failure),
        cmocka_unit_test(kernel_not_found),
        cmocka_unit_test(damaged_images),
        cmocka_unit_test(launch_refused),
        cmocka_unit_test(old_driver_without_libraries),
        cmocka_unit_test(driver_11_8),
        cmocka_unit_test(failed_kernel_is_explained),
        cmocka_unit_test(streams_and_events),
        cmocka_unit_test(many_threads),
    };

    if (count != 5) {
        fprintf(stderr, "usage: test_cuda_driver FAKE_12 FAKE_11 FAKE_PLAIN NOT_A_DRIVER\n");
        return 2;
    }
    fake_12 = arguments[1];
    fake_11 = arguments[2];
    fake_plain = arguments[3];
    not_a_driver = arguments[4];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
