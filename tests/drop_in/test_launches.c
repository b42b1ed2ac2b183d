// SPDX-License-Identifier: MIT
// Launches: parameters in every form, attributes, refusals, occupancy, tensor maps.
#include "host.h"

enum { N = 1000 };

struct vectors {
    CUmodule module;
    CUfunction add;
    CUdeviceptr a, b, c;
    float in[N], out[N];
};

static void make_vectors(struct vectors *v)
{
    v->add = load_function(&v->module, "add");
    for (int i = 0; i < N; i++) v->in[i] = (float)i;
    OK(cuMemAlloc(&v->a, sizeof v->in));
    OK(cuMemAlloc(&v->b, sizeof v->in));
    OK(cuMemAlloc(&v->c, sizeof v->in));
    OK(cuMemcpyHtoD(v->a, v->in, sizeof v->in));
    OK(cuMemcpyHtoD(v->b, v->in, sizeof v->in));
}

static void expect_sum(struct vectors *v)
{
    OK(cuMemcpyDtoH(v->out, v->c, sizeof v->out));
    for (int i = 0; i < N; i++) assert_true(v->out[i] == 2.0f * (float)i);
    OK(cuMemsetD32(v->c, 0, N));
}

static void vector_add(void **unused)
{
    struct vectors v;
    unsigned n = N;
    void *params[] = {&v.a, &v.b, &v.c, &n};

    make_vectors(&v);
    OK(cuLaunchKernel(v.add, (N + 127) / 128, 1, 1, 128, 1, 1, 0, NULL, params, NULL));
    expect_sum(&v);
    // What the parameters are is settled when the launch returns.
    OK(cuLaunchKernel(v.add, 4, 1, 1, 256, 1, 1, 0, CU_STREAM_PER_THREAD, params, NULL));
    n = 0;
    expect_sum(&v);
}

static void packed_params(void **unused)
{
    struct vectors v;
    struct {
        CUdeviceptr a, b, c;
        unsigned n;
    } packed;
    size_t size = sizeof packed;
    void *extra[] = {CU_LAUNCH_PARAM_BUFFER_POINTER, &packed, CU_LAUNCH_PARAM_BUFFER_SIZE, &size,
                     CU_LAUNCH_PARAM_END};
    void *params[] = {NULL, NULL, NULL, NULL};

    make_vectors(&v);
    packed.a = v.a, packed.b = v.b, packed.c = v.c, packed.n = N;
    OK(cuLaunchKernel(v.add, 8, 1, 1, 128, 1, 1, 0, NULL, NULL, extra));
    expect_sum(&v);
    size = 20;
    BAD(cuLaunchKernel(v.add, 8, 1, 1, 128, 1, 1, 0, NULL, NULL, extra));
    extra[2] = (void *)7;
    BAD(cuLaunchKernel(v.add, 8, 1, 1, 128, 1, 1, 0, NULL, NULL, extra));
    extra[0] = CU_LAUNCH_PARAM_END;
    BAD(cuLaunchKernel(v.add, 8, 1, 1, 128, 1, 1, 0, NULL, NULL, extra));
    BAD(cuLaunchKernel(v.add, 8, 1, 1, 128, 1, 1, 0, NULL, NULL, NULL));
    BAD(cuLaunchKernel(v.add, 8, 1, 1, 128, 1, 1, 0, NULL, params, NULL));
    BAD(cuLaunchKernel(v.add, 8, 1, 1, 128, 1, 1, 0, NULL, params, extra));
}

static void launch_attributes(void **unused)
{
    struct vectors v;
    unsigned n = N;
    CUevent event, timed;
    void *params[] = {&v.a, &v.b, &v.c, &n};
    CUlaunchAttribute attributes[3] = {
        {.id = CU_LAUNCH_ATTRIBUTE_COOPERATIVE, .value.cooperative = 1},
        {.id = CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION,
         .value.programmaticStreamSerializationAllowed = 1},
        {.id = CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION, .value.clusterDim = {1, 1, 1}},
    };
    CUlaunchConfig config = {.gridDimX = 8,
                             .gridDimY = 1,
                             .gridDimZ = 1,
                             .blockDimX = 128,
                             .blockDimY = 1,
                             .blockDimZ = 1,
                             .attrs = attributes,
                             .numAttrs = 3};

    make_vectors(&v);
    OK(cuLaunchKernelEx(&config, v.add, params, NULL));
    expect_sum(&v);
    OK(cuLaunchCooperativeKernel(v.add, 8, 1, 1, 128, 1, 1, 0, NULL, params));
    expect_sum(&v);
    attributes[2].value.clusterDim.x = 3;
    EXPECT(CUDA_ERROR_INVALID_CLUSTER_SIZE, cuLaunchKernelEx(&config, v.add, params, NULL));
    attributes[2].value.clusterDim.y = 0;
    EXPECT(CUDA_ERROR_INVALID_CLUSTER_SIZE, cuLaunchKernelEx(&config, v.add, params, NULL));
    config.gridDimX = 16;
    attributes[2].value.clusterDim.x = 16;
    attributes[2].value.clusterDim.y = 1;
    EXPECT(CUDA_ERROR_INVALID_CLUSTER_SIZE, cuLaunchKernelEx(&config, v.add, params, NULL));
    config.numAttrs = 1;
    config.gridDimX = 1 << 20;
    EXPECT(CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE, cuLaunchKernelEx(&config, v.add, params, NULL));
    config.gridDimX = 8;
    attributes[0].id = CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_EVENT;
    attributes[0].value.programmaticEvent.event = NO_EVENT;
    EXPECT(CUDA_ERROR_INVALID_HANDLE, cuLaunchKernelEx(&config, v.add, params, NULL));
    OK(cuEventCreate(&timed, 0));
    attributes[0].value.programmaticEvent.event = timed;
    BAD(cuLaunchKernelEx(&config, v.add, params, NULL));
    OK(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING));
    attributes[0].value.programmaticEvent.event = event;
    OK(cuLaunchKernelEx(&config, v.add, params, NULL));
    OK(cuEventSynchronize(event));
    expect_sum(&v);
    attributes[0].id = CU_LAUNCH_ATTRIBUTE_DEVICE_UPDATABLE_KERNEL_NODE;
    EXPECT(CUDA_ERROR_NOT_SUPPORTED, cuLaunchKernelEx(&config, v.add, params, NULL));
    attributes[0].id = 99;
    BAD(cuLaunchKernelEx(&config, v.add, params, NULL));
    config.attrs = NULL;
    BAD(cuLaunchKernelEx(&config, v.add, params, NULL));
    BAD(cuLaunchKernelEx(NULL, v.add, params, NULL));
}

static void refused(void **unused)
{
    struct vectors v;
    CUmodule module;
    CUfunction late, square;
    CUdeviceptr to;
    unsigned n = N;
    void *params[] = {&v.a, &v.b, &v.c, &n}, *late_params[] = {&to, &n};

    make_vectors(&v);
    BAD(cuLaunchKernel(v.add, 0, 1, 1, 128, 1, 1, 0, NULL, params, NULL));
    BAD(cuLaunchKernel(v.add, 1, 65536, 1, 128, 1, 1, 0, NULL, params, NULL));
    BAD(cuLaunchKernel(v.add, 1, 1, 1, 0, 1, 1, 0, NULL, params, NULL));
    BAD(cuLaunchKernel(v.add, 1, 1, 1, 1025, 1, 1, 0, NULL, params, NULL));
    BAD(cuLaunchKernel(v.add, 1, 1, 1, 32, 32, 2, 0, NULL, params, NULL));
    BAD(cuLaunchKernel(v.add, 1, 1, 1, 1, 1, 65, 0, NULL, params, NULL));
    BAD(cuLaunchKernel(v.add, 1, 1, 1, 32, 1, 1, 49153, NULL, params, NULL));
    OK(cuFuncSetAttribute(v.add, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 100000));
    OK(cuLaunchKernel(v.add, 8, 1, 1, 128, 1, 1, 100000, NULL, params, NULL));
    expect_sum(&v);
    EXPECT(CUDA_ERROR_INVALID_HANDLE,
           cuLaunchKernel(NO_FUNCTION, 1, 1, 1, 32, 1, 1, 0, NULL, params, NULL));
    EXPECT(CUDA_ERROR_INVALID_HANDLE,
           cuLaunchKernel(NULL, 1, 1, 1, 32, 1, 1, 0, NULL, params, NULL));
    EXPECT(CUDA_ERROR_INVALID_HANDLE,
           cuLaunchKernel(v.add, 1, 1, 1, 32, 1, 1, 0, NO_STREAM, params, NULL));
    OK(cuModuleGetFunction(&square, v.module, "square"));
    BAD(cuLaunchKernel(square, 1, 1, 1, 64, 1, 1, 0, NULL, NULL, NULL));
    OK(cuLaunchKernel(square, 1, 1, 1, 8, 8, 1, 0, NULL, NULL, NULL));
    late = load_function(&module, "late");
    OK(cuMemAlloc(&to, 256));
    EXPECT(CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES,
           cuLaunchKernel(late, 1, 1, 1, 65, 1, 1, 0, NULL, late_params, NULL));
    OK(cuLaunchKernel(late, 1, 1, 1, 64, 1, 1, 0, NULL, late_params, NULL));
    OK(cuCtxSynchronize());
}

static size_t sixty_four_each(int threads)
{
    return (size_t)threads * 64;
}

static void occupancy(void **unused)
{
    CUmodule module;
    CUfunction add = load_function(&module, "add");
    int blocks, grid, block;
    size_t bytes;

    OK(cuOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, add, 128, 0));
    assert_int_equal(blocks, 16);
    OK(cuOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, add, 32, 0));
    assert_int_equal(blocks, 32);
    OK(cuOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, add, 128, 100 * 1024));
    assert_int_equal(blocks, 2);
    OK(cuOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, add, 2000, 0));
    assert_int_equal(blocks, 0);
    BAD(cuOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, add, 0, 0));
    OK(cuOccupancyMaxPotentialBlockSize(&grid, &block, add, NULL, 0, 0));
    assert_int_equal(block, 1024);
    assert_int_equal(grid, 2 * 132);
    OK(cuOccupancyMaxPotentialBlockSize(&grid, &block, add, sixty_four_each, 0, 512));
    assert_true(block > 0 && block <= 512);
    OK(cuOccupancyAvailableDynamicSMemPerBlock(&bytes, add, 2, 128));
    assert_int_equal(bytes, 228 * 1024 / 2 - 1024);
    EXPECT(CUDA_ERROR_INVALID_HANDLE,
           cuOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, NO_FUNCTION, 128, 0));
}

static CUresult encode(unsigned rank, cuuint64_t stride, cuuint32_t box, CUtensorMapSwizzle swizzle)
{
    static CUtensorMap map;
    cuuint64_t sizes[5] = {64, 64, 64, 64, 64}, strides[4] = {stride, 65536, 1 << 20, 1 << 24};
    cuuint32_t boxes[5] = {box, 8, 1, 1, 1}, steps[5] = {1, 1, 1, 1, 1};

    return cuTensorMapEncodeTiled(
        &map, CU_TENSOR_MAP_DATA_TYPE_FLOAT16, rank, (void *)(uintptr_t)0x1000000000, sizes,
        strides, boxes, steps, CU_TENSOR_MAP_INTERLEAVE_NONE, swizzle,
        CU_TENSOR_MAP_L2_PROMOTION_NONE, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
}

static void tensor_maps(void **unused)
{
    EXPECT(CUDA_ERROR_NOT_SUPPORTED, encode(2, 128, 64, CU_TENSOR_MAP_SWIZZLE_128B));
    BAD(encode(0, 128, 64, CU_TENSOR_MAP_SWIZZLE_NONE));
    BAD(encode(6, 128, 64, CU_TENSOR_MAP_SWIZZLE_NONE));
    BAD(encode(2, 120, 64, CU_TENSOR_MAP_SWIZZLE_NONE));
    BAD(encode(2, 112, 64, CU_TENSOR_MAP_SWIZZLE_NONE));
    BAD(encode(2, 128, 257, CU_TENSOR_MAP_SWIZZLE_NONE));
    BAD(encode(2, 128, 64, CU_TENSOR_MAP_SWIZZLE_64B));
    BAD(encode(2, 128, 4, CU_TENSOR_MAP_SWIZZLE_NONE));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_CONTEXT(vector_add), IN_CONTEXT(packed_params), IN_CONTEXT(launch_attributes),
        IN_CONTEXT(refused),    IN_CONTEXT(occupancy),     IN_CONTEXT(tensor_maps),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
