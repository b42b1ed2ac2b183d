// SPDX-License-Identifier: MIT
/*
 * Modules, kernels and launches: the log of the JIT, damaged images, and what the drivers of
 * several ages are asked to do.
 */
#include "fixture.h"

#include <elf.h>

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

/* ---- tensor maps ---- */

static void tensor_maps(void **unused)
{
    struct fixture fixture;
    unsigned char map[128] __attribute__((aligned(64))), filled[128];
    struct kg_cuda_tensor tensor = {.rank = 3,
                                    .element_bytes = 2,
                                    .address = 0x7f0000001000,
                                    .sizes = {200, 100, 7},
                                    .strides = {400, 40000},
                                    .box = {64, 128, 1},
                                    .swizzle = 128};

    memset(filled, 0x5a, sizeof filled);
    open_driver(&fixture, fake_12);
    assert_int_equal(kg_cuda_encode_map(fixture.context, &tensor, map), KG_CUDA_OK);
    assert_memory_equal(map, filled, sizeof map);
    assert_non_null(strstr(fixture.fake->trace,
                           "map type 1 rank 3 at 0x7f0000001000 swizzle 3 fill 0\n"
                           "dimension 0: 200 by 0 box 64 step 1\n"
                           "dimension 1: 100 by 400 box 128 step 1\n"
                           "dimension 2: 7 by 40000 box 1 step 1\n"));
    static const struct {
        unsigned bytes;
        enum kg_cuda_element element;
        const char *says;
    } kinds[] = {{2, KG_CUDA_FLOAT, "map type 6 "},    {2, KG_CUDA_BFLOAT, "map type 9 "},
                 {4, KG_CUDA_FLOAT, "map type 7 "},    {4, KG_CUDA_SIGNED, "map type 3 "},
                 {4, KG_CUDA_UNSIGNED, "map type 2 "}, {8, KG_CUDA_UNSIGNED, "map type 4 "},
                 {8, KG_CUDA_FLOAT, "map type 8 "},    {8, KG_CUDA_BITS, "map type 5 "}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        tensor.element_bytes = kinds[i].bytes;
        tensor.element = kinds[i].element;
        assert_int_equal(kg_cuda_encode_map(fixture.context, &tensor, map), KG_CUDA_OK);
        assert_non_null(strstr(fixture.fake->trace, kinds[i].says));
    }
    fail_call(&fixture, "cuTensorMapEncodeTiled", 1);
    assert_int_equal(kg_cuda_encode_map(fixture.context, &tensor, map), KG_CUDA_BAD_ARGUMENT);
    assert_says(&fixture, "encode a tensor map of rank 3");
    close_driver(&fixture);
}

static void tensor_maps_of_an_old_driver(void **unused)
{
    struct fixture fixture;
    unsigned char map[128] __attribute__((aligned(64)));
    struct kg_cuda_tensor tensor = {.rank = 1, .element_bytes = 4, .sizes = {64}, .box = {64}};

    prepare(&fixture, fake_11);
    fixture.fake->version = 11080;
    fixture.fake->hidden[0] = "cuTensorMapEncodeTiled";
    assert_int_equal(kg_cuda_open(&fixture.config, &fixture.driver), KG_CUDA_OK);
    assert_int_equal(kg_cuda_context_retain(fixture.driver, 0, &fixture.context), KG_CUDA_OK);
    assert_int_equal(kg_cuda_encode_map(fixture.context, &tensor, map), KG_CUDA_TOO_OLD);
    assert_says(&fixture, "tensor maps need a driver of CUDA 12.0 or newer");
    close_driver(&fixture);
}

int main(int count, char **arguments)
{
    const struct CMUnitTest tests[] = {
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
        cmocka_unit_test(tensor_maps),
        cmocka_unit_test(tensor_maps_of_an_old_driver),
    };
    int status = take_arguments(count, arguments);

    return status ? status : cmocka_run_group_tests(tests, NULL, NULL);
}
