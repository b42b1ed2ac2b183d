// SPDX-License-Identifier: MIT
// Modules and libraries, the logs of loading, functions and variables, fatbinaries.
#include "host.h"

#include <unistd.h>

#define PTX(target, body) ".version 7.8\n.target " target "\n.address_size 64\n" body
static const char empty_kernel[] = PTX("sm_80", ".visible .entry nothing() { ret; }\n");

// ---- loading -----------------------------------------------------------------------------------

static void load_with_logs(void **unused)
{
    static const char bad[] = PTX("sm_80", ".visible .entry k() {\nfrobnicate.u32 %r1;\nret; }\n");
    char error[512] = "x", info[512] = "x";
    CUjit_option options[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES,
                              CU_JIT_INFO_LOG_BUFFER,  CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES,
                              CU_JIT_LOG_VERBOSE,      CU_JIT_MAX_REGISTERS};
    void *values[] = {error,     (void *)sizeof error, info, (void *)sizeof info, (void *)1,
                      (void *)64};
    CUmodule module;

    EXPECT(CUDA_ERROR_INVALID_PTX, cuModuleLoadDataEx(&module, bad, 6, options, values));
    assert_non_null(strstr(error, "ptxas application ptx input, line 5; error   : "));
    assert_int_equal((size_t)values[1], strlen(error));
    assert_string_equal(info, "");
    values[1] = (void *)(uintptr_t)8;
    memset(error, 'x', sizeof error);
    EXPECT(CUDA_ERROR_INVALID_PTX, cuModuleLoadDataEx(&module, bad, 2, options, values));
    assert_string_equal(error, "ptxas a");
    assert_int_equal((size_t)values[1], 7);
    for (size_t i = 8; i < sizeof error; i++) assert_int_equal(error[i], 'x');
    values[1] = (void *)sizeof error, values[3] = (void *)sizeof info;
    OK(cuModuleLoadDataEx(&module, kernels_ptx, 6, options, values));
    assert_string_equal(error, "");
    assert_non_null(strstr(info, "5 kernels"));
    OK(cuModuleUnload(module));
    options[5] = CU_JIT_NUM_OPTIONS;
    BAD(cuModuleLoadDataEx(&module, kernels_ptx, 6, options, values));
    BAD(cuModuleLoadDataEx(&module, kernels_ptx, 1, NULL, NULL));
}

static void load_refused(void **unused)
{
    CUmodule module;

    BAD(cuModuleLoadData(&module, NULL));
    BAD(cuModuleLoadData(NULL, kernels_ptx));
    EXPECT(CUDA_ERROR_INVALID_IMAGE, cuModuleLoadData(&module, ""));
    EXPECT(CUDA_ERROR_INVALID_PTX, cuModuleLoadData(&module, "?"));
    EXPECT(CUDA_ERROR_NO_BINARY_FOR_GPU, cuModuleLoadData(&module, "\177ELF and so on"));
    EXPECT(CUDA_ERROR_INVALID_PTX,
           cuModuleLoadData(&module, PTX("sm_100", ".visible .entry k() { ret; }")));
    EXPECT(CUDA_ERROR_INVALID_HANDLE, cuModuleUnload(NO_MODULE));
    EXPECT(CUDA_ERROR_INVALID_HANDLE, cuModuleUnload(NULL));
    OK(cuModuleLoadData(&module, PTX("sm_90a", ".visible .entry k() { ret; }")));
    OK(cuModuleUnload(module));
    EXPECT(CUDA_ERROR_INVALID_HANDLE, cuModuleUnload(module));
}

static void load_file(void **unused)
{
    char path[] = "/tmp/kgen-drop-in-XXXXXX";
    int file = mkstemp(path);
    CUmodule module;

    assert_true(file >= 0);
    assert_int_equal(write(file, empty_kernel, strlen(empty_kernel)), strlen(empty_kernel));
    close(file);
    OK(cuModuleLoad(&module, path));
    OK(cuModuleUnload(module));
    unlink(path);
    EXPECT(CUDA_ERROR_FILE_NOT_FOUND, cuModuleLoad(&module, path));
    BAD(cuModuleLoad(&module, NULL));
}

// ---- what is in it -----------------------------------------------------------------------------

static void functions(void **unused)
{
    CUfunction add, again, all[8] = {0};
    CUmodule module, owner;
    const char *name;
    size_t offset, size;
    unsigned count;

    add = load_function(&module, "add");
    OK(cuModuleGetFunction(&again, module, "add"));
    assert_ptr_equal(add, again);
    EXPECT(CUDA_ERROR_NOT_FOUND, cuModuleGetFunction(&again, module, "subtract"));
    EXPECT(CUDA_ERROR_INVALID_HANDLE, cuModuleGetFunction(&again, NO_MODULE, "add"));
    BAD(cuModuleGetFunction(&again, module, NULL));
    OK(cuModuleGetFunctionCount(&count, module));
    assert_int_equal(count, 5);
    OK(cuModuleEnumerateFunctions(all, 8, module));
    assert_ptr_equal(all[0], add);
    assert_null(all[5]);
    OK(cuFuncGetModule(&owner, add));
    assert_ptr_equal(owner, module);
    OK(cuFuncGetName(&name, add));
    assert_string_equal(name, "add");
    OK(cuFuncGetParamInfo(add, 3, &offset, &size));
    assert_int_equal(offset, 24);
    assert_int_equal(size, 4);
    BAD(cuFuncGetParamInfo(add, 4, &offset, &size));
    OK(cuModuleUnload(module));
    EXPECT(CUDA_ERROR_INVALID_HANDLE, cuFuncGetName(&name, add));
}

static void attributes(void **unused)
{
    CUmodule module;
    CUfunction square, late = load_function(&module, "late");
    int value;

    OK(cuFuncGetAttribute(&value, CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES, late));
    assert_int_equal(value, 1024);
    OK(cuFuncGetAttribute(&value, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK, late));
    assert_int_equal(value, 64);
    OK(cuModuleGetFunction(&square, module, "square"));
    OK(cuFuncGetAttribute(&value, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK, square));
    assert_int_equal(value, 64);
    OK(cuFuncGetAttribute(&value, CU_FUNC_ATTRIBUTE_PTX_VERSION, late));
    assert_int_equal(value, 80);
    OK(cuFuncGetAttribute(&value, CU_FUNC_ATTRIBUTE_BINARY_VERSION, late));
    assert_int_equal(value, 90);
    OK(cuFuncGetAttribute(&value, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, late));
    assert_int_equal(value, 48 * 1024 - 1024);
    BAD(cuFuncSetAttribute(late, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 232448));
    OK(cuFuncSetAttribute(late, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 232448 - 1024));
    OK(cuFuncGetAttribute(&value, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, late));
    assert_int_equal(value, 232448 - 1024);
    BAD(cuFuncSetAttribute(late, CU_FUNC_ATTRIBUTE_NUM_REGS, 16));
    BAD(cuFuncGetAttribute(&value, CU_FUNC_ATTRIBUTE_MAX, late));
    BAD(cuFuncGetAttribute(NULL, 0, late));
    EXPECT(CUDA_ERROR_INVALID_HANDLE, cuFuncGetAttribute(&value, 0, NO_FUNCTION));
    BAD(cuFuncSetCacheConfig(late, 77));
    OK(cuFuncSetCacheConfig(late, CU_FUNC_CACHE_PREFER_SHARED));
}

static void globals(void **unused)
{
    unsigned table[4], factor = 10, limit = 0;
    CUdeviceptr table_at, factor_at, limit_at;
    CUmodule module, other;
    CUfunction scale = load_function(&module, "scale");
    size_t size;

    OK(cuModuleLoadData(&other, kernels_ptx));
    OK(cuModuleGetGlobal(&table_at, &size, module, "table"));
    assert_int_equal(size, 16);
    OK(cuModuleGetGlobal(&factor_at, NULL, module, "factor"));
    OK(cuModuleGetGlobal(&limit_at, NULL, module, "limit"));
    EXPECT(CUDA_ERROR_NOT_FOUND, cuModuleGetGlobal(&table_at, &size, module, "tables"));
    BAD(cuModuleGetGlobal(NULL, NULL, module, "table"));
    OK(cuMemcpyHtoD(factor_at, &factor, 4));
    OK(cuMemcpyDtoH(&limit, limit_at, 4));
    assert_int_equal(limit, 7);
    OK(cuLaunchKernel(scale, 1, 1, 1, 4, 1, 1, 0, NULL, NULL, NULL));
    OK(cuMemcpyDtoH(table, table_at, sizeof table));
    assert_int_equal(table[0], 10);
    assert_int_equal(table[3], 40);
    BAD(cuMemcpyDtoH(table, table_at + 4, sizeof table));
    BAD(cuMemFree(table_at));
    // A second module has variables of its own.
    OK(cuModuleGetGlobal(&factor_at, NULL, other, "table"));
    OK(cuMemcpyDtoH(table, factor_at, sizeof table));
    assert_int_equal(table[3], 4);
    OK(cuModuleUnload(module));
    BAD(cuMemcpyDtoH(table, table_at, 4));
}

static void libraries(void **unused)
{
    CUlibrary library, owner;
    CUkernel kernel, all[4];
    CUfunction function;
    CUmodule module;
    CUdeviceptr to;
    unsigned count, value = 9, n = 32, out[32];
    void *params[] = {&to, &value, &n};
    int number;
    const char *name;

    OK(cuLibraryLoadData(&library, kernels_ptx, NULL, NULL, 0, NULL, NULL, 0));
    OK(cuLibraryGetKernel(&kernel, library, "fill"));
    EXPECT(CUDA_ERROR_NOT_FOUND, cuLibraryGetKernel(&kernel, library, "none"));
    OK(cuLibraryGetKernelCount(&count, library));
    assert_int_equal(count, 5);
    OK(cuLibraryEnumerateKernels(all, 4, library));
    assert_ptr_equal(all[1], kernel);
    OK(cuKernelGetName(&name, kernel));
    assert_string_equal(name, "fill");
    OK(cuKernelGetLibrary(&owner, kernel));
    assert_ptr_equal(owner, library);
    OK(cuKernelGetFunction(&function, kernel));
    OK(cuLibraryGetModule(&module, library));
    OK(cuKernelGetAttribute(&number, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK, kernel, 0));
    assert_int_equal(number, 1024);
    EXPECT(CUDA_ERROR_INVALID_DEVICE, cuKernelGetAttribute(&number, 0, kernel, 3));
    OK(cuKernelSetAttribute(CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT, 50, kernel, 0));
    OK(cuMemAlloc(&to, sizeof out));
    // A kernel may be launched where a function is asked for.
    OK(cuLaunchKernel((CUfunction)kernel, 1, 1, 1, 32, 1, 1, 0, NULL, params, NULL));
    OK(cuMemcpyDtoH(out, to, sizeof out));
    assert_int_equal(out[31], 9);
    EXPECT(CUDA_ERROR_INVALID_HANDLE, cuModuleUnload(module));
    OK(cuLibraryUnload(library));
    EXPECT(CUDA_ERROR_INVALID_HANDLE, cuLibraryUnload(library));
    EXPECT(CUDA_ERROR_INVALID_HANDLE, cuKernelGetFunction(&function, kernel));
    EXPECT(CUDA_ERROR_INVALID_HANDLE,
           cuLaunchKernel(function, 1, 1, 1, 32, 1, 1, 0, NULL, params, NULL));
}

static void linking(void **unused)
{
    CUlinkState link;
    CUmodule module;
    CUfunction function;
    void *image;
    size_t size;

    OK(cuLinkCreate(0, NULL, NULL, &link));
    BAD(cuLinkComplete(link, &image, &size));
    EXPECT(CUDA_ERROR_NO_BINARY_FOR_GPU,
           cuLinkAddData(link, CU_JIT_INPUT_CUBIN, "\177ELF", 4, "x", 0, NULL, NULL));
    OK(cuLinkAddData(link, CU_JIT_INPUT_PTX, (void *)empty_kernel, sizeof empty_kernel, "x", 0,
                     NULL, NULL));
    EXPECT(CUDA_ERROR_NOT_SUPPORTED, cuLinkAddData(link, CU_JIT_INPUT_PTX, (void *)empty_kernel,
                                                   sizeof empty_kernel, "y", 0, NULL, NULL));
    OK(cuLinkComplete(link, &image, &size));
    OK(cuModuleLoadData(&module, image));
    OK(cuModuleGetFunction(&function, module, "nothing"));
    OK(cuLinkDestroy(link));
    EXPECT(CUDA_ERROR_INVALID_HANDLE, cuLinkDestroy(link));
}

// ---- fatbinaries -------------------------------------------------------------------------------

enum { ENTRY = 64 };

static void put(unsigned char *at, uint64_t value, size_t bytes)
{
    memcpy(at, &value, bytes);
}

// Appends an entry; returns the bytes so far.
static size_t add_entry(unsigned char *image, size_t used, unsigned kind, unsigned sm,
                        uint64_t flags, const void *payload, size_t size, size_t unpacked)
{
    unsigned char *entry = image + used;
    size_t padded = (size + 7) & ~(size_t)7;

    memset(entry, 0, ENTRY + padded);
    put(entry, kind | 0x01010000u, 4);
    put(entry + 4, ENTRY, 4);
    put(entry + 8, padded, 8);
    put(entry + 16, size, 4);
    put(entry + 28, sm, 4);
    put(entry + 40, flags, 8);
    put(entry + 56, unpacked, 8);
    memcpy(entry + ENTRY, payload, size);
    put(image, 0xba55ed50u, 4);
    put(image + 4, 0x00100001u, 4);
    put(image + 8, used + ENTRY + padded - 16, 8);
    return used + ENTRY + padded;
}

static void fatbinary_choice(void **unused)
{
    static const char for_90[] = PTX("sm_90", ".visible .entry of_90() { ret; }\n");
    static const char for_90a[] = PTX("sm_90a", ".visible .entry of_90a() { ret; }\n");
    static const char for_100[] = PTX("sm_100", ".visible .entry of_100() { ret; }\n");
    unsigned char image[2048];
    struct {
        unsigned magic, version;
        const void *image, *name;
    } wrapper = {0x466243b1u, 1, image, NULL};
    CUmodule module;
    CUfunction function;
    size_t used = 16;

    used = add_entry(image, used, 2, 90, 0, "\177ELF", 4, 0);
    EXPECT(CUDA_ERROR_NO_BINARY_FOR_GPU, cuModuleLoadFatBinary(&module, image));
    used = add_entry(image, used, 1, 100, 0, for_100, sizeof for_100, 0);
    EXPECT(CUDA_ERROR_NO_BINARY_FOR_GPU, cuModuleLoadFatBinary(&module, image));
    used = add_entry(image, used, 1, 80, 0, empty_kernel, sizeof empty_kernel, 0);
    used = add_entry(image, used, 1, 90, 0, for_90, sizeof for_90, 0);
    OK(cuModuleLoadFatBinary(&module, image));
    OK(cuModuleGetFunction(&function, module, "of_90"));
    // Whatever the order.
    used = add_entry(image, used, 1, 80, 0, empty_kernel, sizeof empty_kernel, 0);
    OK(cuModuleLoadFatBinary(&module, image));
    OK(cuModuleGetFunction(&function, module, "of_90"));
    add_entry(image, used, 1, 90, 0, for_90a, sizeof for_90a, 0);
    OK(cuModuleLoadData(&module, &wrapper));
    OK(cuModuleGetFunction(&function, module, "of_90a"));
}

// A packer that knows literals only, then a hand-made block with a match that overlaps itself.
static void fatbinary_lz4(void **unused)
{
    static const unsigned char spaces[] = {0x1f, ' ', 1, 0, 10, 0x00}; // 1 + 29 spaces
    unsigned char packed[512], image[1024];
    size_t length = sizeof empty_kernel - 1, at = 0;
    CUmodule module;

    memcpy(packed, spaces, 5);
    at = 5;
    packed[at++] = 0xf0; // literals: 15 and what follows
    for (size_t rest = length - 15;; rest -= 255) {
        packed[at++] = rest < 255 ? (unsigned char)rest : 255;
        if (rest < 255) break;
    }
    memcpy(packed + at, empty_kernel, length);
    at += length;
    add_entry(image, 16, 1, 80, 0x2000, packed, at, 30 + length);
    OK(cuModuleLoadData(&module, image));
    for (size_t cut = 1; cut < at; cut++) {
        add_entry(image, 16, 1, 80, 0x2000, packed, at - cut, 30 + length);
        EXPECT(CUDA_ERROR_NO_BINARY_FOR_GPU, cuModuleLoadData(&module, image));
    }
    packed[2] = 200; // a match from before the text
    add_entry(image, 16, 1, 80, 0x2000, packed, at, 30 + length);
    EXPECT(CUDA_ERROR_NO_BINARY_FOR_GPU, cuModuleLoadData(&module, image));
}

// Sizes that lead out of the container end the search.
static void fatbinary_damaged(void **unused)
{
    unsigned char image[1024];
    CUmodule module;

    add_entry(image, 16, 1, 80, 0, empty_kernel, sizeof empty_kernel, 0);
    OK(cuModuleLoadData(&module, image));
    put(image + 16 + 8, 1 << 20, 8);
    EXPECT(CUDA_ERROR_NO_BINARY_FOR_GPU, cuModuleLoadData(&module, image));
    add_entry(image, 16, 1, 80, 0, empty_kernel, sizeof empty_kernel, 0);
    put(image + 16 + 4, 1 << 30, 4);
    EXPECT(CUDA_ERROR_NO_BINARY_FOR_GPU, cuModuleLoadData(&module, image));
    add_entry(image, 16, 1, 80, 0, empty_kernel, sizeof empty_kernel, 0);
    put(image + 16 + 4, 8, 4);
    EXPECT(CUDA_ERROR_NO_BINARY_FOR_GPU, cuModuleLoadData(&module, image));
    add_entry(image, 16, 1, 80, 0x8000, empty_kernel, sizeof empty_kernel, 100);
    EXPECT(CUDA_ERROR_NO_BINARY_FOR_GPU, cuModuleLoadData(&module, image));
    add_entry(image, 16, 1, 80, 0x2000, empty_kernel, sizeof empty_kernel, (size_t)1 << 40);
    EXPECT(CUDA_ERROR_NO_BINARY_FOR_GPU, cuModuleLoadData(&module, image));
    put(image + 8, 8, 8);
    EXPECT(CUDA_ERROR_NO_BINARY_FOR_GPU, cuModuleLoadData(&module, image));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_CONTEXT(load_with_logs), IN_CONTEXT(load_refused),      IN_CONTEXT(load_file),
        IN_CONTEXT(functions),      IN_CONTEXT(attributes),        IN_CONTEXT(globals),
        IN_CONTEXT(libraries),      IN_CONTEXT(linking),           IN_CONTEXT(fatbinary_choice),
        IN_CONTEXT(fatbinary_lz4),  IN_CONTEXT(fatbinary_damaged),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
