// SPDX-License-Identifier: MIT
// A host program as people write them: compiled by nvcc, kernels inside as PTX and as fatbinaries
// in every compression that nvcc knows, the driver API, no word about our driver. Reports in TAP.
#include <cuda.h>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "program_ptx.h"
#include "program_plain.h"
#include "program_lz4.h"
#include "program_zstd.h"

struct error {
    CUresult result;
    int line;
};

static void check(CUresult result, int line)
{
    if (result != CUDA_SUCCESS) throw error{result, line};
}
#define CHECK(call) check(call, __LINE__)
#define REQUIRE(what) check((what) ? CUDA_SUCCESS : CUDA_ERROR_UNKNOWN, __LINE__)

static CUfunction find(CUmodule module, const char *name)
{
    CUfunction function;
    CHECK(cuModuleGetFunction(&function, module, name));
    return function;
}

static void sum(CUmodule module)
{
    int n = 10000;
    std::vector<float> values(n, 0.5f);
    CUdeviceptr in, out, counter;
    float result = 0;
    unsigned blocks = 0;
    CHECK(cuMemAlloc(&in, n * sizeof(float)));
    CHECK(cuMemAlloc(&out, sizeof(float)));
    CHECK(cuMemcpyHtoD(in, values.data(), n * sizeof(float)));
    CHECK(cuMemsetD32(out, 0, 1));
    void *params[] = {&in, &n, &out};
    CHECK(cuLaunchKernel(find(module, "sum"), 8, 1, 1, 256, 1, 1, 0, nullptr, params, nullptr));
    CHECK(cuMemcpyDtoH(&result, out, sizeof(float)));
    REQUIRE(result == 10000.0f);
    CHECK(cuModuleGetGlobal(&counter, nullptr, module, "blocks_done"));
    CHECK(cuMemcpyDtoH(&blocks, counter, sizeof blocks));
    REQUIRE(blocks == 8);
    CHECK(cuMemFree(in));
    CHECK(cuMemFree(out));
}

static void transpose(CUmodule module)
{
    int size = 50;
    std::vector<int> from(size * size), to(size * size);
    CUdeviceptr in, out;
    CUstream stream;
    for (int i = 0; i < size * size; i++) from[i] = i;
    CHECK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    CHECK(cuMemAllocAsync(&in, from.size() * sizeof(int), stream));
    CHECK(cuMemAllocAsync(&out, from.size() * sizeof(int), stream));
    CHECK(cuMemcpyHtoDAsync(in, from.data(), from.size() * sizeof(int), stream));
    void *params[] = {&in, &out, &size};
    CHECK(cuLaunchKernel(find(module, "transpose"), 4, 4, 1, 16, 16, 1, 16 * 17 * sizeof(int),
                         stream, params, nullptr));
    CHECK(cuMemcpyDtoHAsync(to.data(), out, from.size() * sizeof(int), stream));
    CHECK(cuMemFreeAsync(in, stream));
    CHECK(cuMemFreeAsync(out, stream));
    CHECK(cuStreamSynchronize(stream));
    CHECK(cuStreamDestroy(stream));
    for (int y = 0; y < size; y++)
        for (int x = 0; x < size; x++) REQUIRE(to[y * size + x] == x * size + y);
}

// The one that is wrong: the driver says so.
static void forgets_barrier(CUmodule module)
{
    struct {
        CUdeviceptr data;
        int first, count;
        double factor;
    } window = {0, 4, 256, 3.0};
    CHECK(cuMemAlloc(&window.data, 260 * sizeof(int)));
    CHECK(cuMemsetD32(window.data, 1, 260));
    void *params[] = {&window};
    CHECK(cuLaunchKernel(find(module, "forgets_barrier"), 1, 1, 1, 256, 1, 1, 0, nullptr, params,
                         nullptr));
    REQUIRE(cuCtxSynchronize() == CUDA_ERROR_LAUNCH_FAILED);
}

// May skip: the last form needs a library of the system.
static bool run(int number, const char *name, const void *image, void (*test)(CUmodule))
{
    CUcontext context;
    CUmodule module;
    char log[512] = "";
    CUjit_option options[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
    void *values[] = {log, (void *)sizeof log};
    bool good = true;
    try {
        CHECK(cuCtxCreate(&context, nullptr, 0, 0));
        CUresult loaded = cuModuleLoadDataEx(&module, image, 2, options, values);
        if (loaded == CUDA_ERROR_NO_BINARY_FOR_GPU && strstr(log, "no libzstd.so.1")) {
            printf("ok %d - %s # SKIP there is no libzstd.so.1\n", number, name);
            CHECK(cuCtxDestroy(context));
            return true;
        }
        CHECK(loaded);
        test(module);
        CHECK(cuCtxDestroy(context));
    } catch (const error &e) {
        const char *text = "?";
        cuGetErrorName(e.result, &text);
        printf("# %s in line %d %s\n", text, e.line, log);
        good = false;
    }
    printf("%s %d - %s\n", good ? "ok" : "not ok", number, name);
    return good;
}

int main()
{
    bool good = cuInit(0) == CUDA_SUCCESS;
    printf("1..6\n");
    good &= run(1, "a sum from PTX text", image_ptx, sum);
    good &= run(2, "a transposition from PTX text", image_ptx, transpose);
    good &= run(3, "from a fatbinary", image_plain, sum);
    good &= run(4, "from a fatbinary with LZ4", image_lz4, sum);
    good &= run(5, "from a fatbinary with zstd", image_zstd, transpose);
    good &= run(6, "a missing barrier is an error", image_plain, forgets_barrier);
    return good ? 0 : 1;
}
