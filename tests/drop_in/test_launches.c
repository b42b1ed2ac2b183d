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

// ---- clusters ----------------------------------------------------------------------------------

// Each block of a cluster of four writes its rank into its neighbour's shared memory; each then
// writes what it got to out[block].
static const char cluster_ptx[] =
    ".version 8.0\n.target sm_90\n.address_size 64\n"
    ".visible .entry ring(.param .u64 out) {\n"
    ".reg .b32 %r<8>; .reg .b64 %d<4>; .shared .align 4 .b8 s[4];\n"
    "mov.u32 %r1, %cluster_ctarank; add.u32 %r2, %r1, 1; and.b32 %r2, %r2, 3; mov.u32 %r3, s;\n"
    "barrier.cluster.arrive; barrier.cluster.wait;\n"
    "mapa.shared::cluster.u32 %r4, %r3, %r2; st.shared::cluster.u32 [%r4], %r1;\n"
    "barrier.cluster.arrive; barrier.cluster.wait;\n"
    "ld.shared.u32 %r5, [%r3]; mov.u32 %r6, %ctaid.x; ld.param.u64 %d1, [out];\n"
    "mul.wide.u32 %d2, %r6, 4; add.s64 %d3, %d1, %d2; st.global.u32 [%d3], %r5; ret;\n}\n";

// __cluster_dims__ in CUDA C: the launch need not name them.
static void own_clusters(void **unused)
{
    static const char text[] =
        ".version 8.0\n.target sm_90\n.address_size 64\n"
        ".visible .entry own(.param .u64 to)\n.explicitcluster\n.reqnctapercluster 2, 1, 1\n{\n"
        ".reg .b32 %r<4>; .reg .b64 %d<4>;\n"
        "ld.param.u64 %d1, [to]; mov.u32 %r1, %ctaid.x; mov.u32 %r2, %cluster_nctaid.x;\n"
        "mul.wide.u32 %d2, %r1, 4; add.s64 %d1, %d1, %d2; st.global.u32 [%d1], %r2; ret;\n}\n";
    unsigned out[4];
    CUmodule module;
    CUfunction own;
    CUdeviceptr to;
    void *params[] = {&to};

    OK(cuModuleLoadData(&module, text));
    OK(cuModuleGetFunction(&own, module, "own"));
    OK(cuMemAlloc(&to, sizeof out));
    OK(cuLaunchKernel(own, 4, 1, 1, 1, 1, 1, 0, NULL, params, NULL));
    OK(cuMemcpyDtoH(out, to, sizeof out));
    for (unsigned i = 0; i < 4; i++) assert_int_equal(out[i], 2);
    EXPECT(CUDA_ERROR_INVALID_CLUSTER_SIZE,
           cuLaunchKernel(own, 3, 1, 1, 1, 1, 1, 0, NULL, params, NULL));
    OK(cuMemFree(to));
    OK(cuModuleUnload(module));
}

static void clusters(void **unused)
{
    CUlaunchAttribute attribute = {.id = CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION,
                                   .value.clusterDim = {4, 1, 1}};
    CUlaunchConfig config = {.gridDimX = 8,
                             .gridDimY = 1,
                             .gridDimZ = 1,
                             .blockDimX = 1,
                             .blockDimY = 1,
                             .blockDimZ = 1,
                             .attrs = &attribute,
                             .numAttrs = 1};
    unsigned out[8];
    CUmodule module;
    CUfunction ring;
    CUdeviceptr to;
    void *params[] = {&to};
    int count;

    OK(cuModuleLoadData(&module, cluster_ptx));
    OK(cuModuleGetFunction(&ring, module, "ring"));
    OK(cuMemAlloc(&to, sizeof out));
    OK(cuLaunchKernelEx(&config, ring, params, NULL));
    OK(cuMemcpyDtoH(out, to, sizeof out));
    for (unsigned i = 0; i < 8; i++) assert_int_equal(out[i], (i + 3) % 4);
    // The function's attribute will do as well.
    config.numAttrs = 0;
    OK(cuMemsetD8(to, 0xff, sizeof out));
    OK(cuFuncSetAttribute(ring, CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_WIDTH, 4));
    OK(cuLaunchKernelEx(&config, ring, params, NULL));
    OK(cuMemcpyDtoH(out, to, sizeof out));
    for (unsigned i = 0; i < 8; i++) assert_int_equal(out[i], (i + 3) % 4);
    OK(cuOccupancyMaxPotentialClusterSize(&count, ring, &config));
    assert_int_equal(count, 8);
    OK(cuFuncSetAttribute(ring, CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED, 1));
    OK(cuOccupancyMaxPotentialClusterSize(&count, ring, &config));
    assert_int_equal(count, 16);
    config.numAttrs = 1;
    OK(cuOccupancyMaxActiveClusters(&count, ring, &config));
    assert_int_equal(count, 32 * 132 / 4);
}

// ---- tensor maps -------------------------------------------------------------------------------

static CUresult encode_at(CUtensorMap *map, CUdeviceptr address, unsigned rank, cuuint64_t stride,
                          cuuint32_t box, CUtensorMapSwizzle swizzle)
{
    cuuint64_t sizes[5] = {64, 64, 64, 64, 64}, strides[4] = {stride, 65536, 1 << 20, 1 << 24};
    cuuint32_t boxes[5] = {box, 8, 1, 1, 1}, steps[5] = {1, 1, 1, 1, 1};

    return cuTensorMapEncodeTiled(
        map, CU_TENSOR_MAP_DATA_TYPE_FLOAT16, rank, (void *)(uintptr_t)address, sizes, strides,
        boxes, steps, CU_TENSOR_MAP_INTERLEAVE_NONE, swizzle, CU_TENSOR_MAP_L2_PROMOTION_NONE,
        CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
}

static CUresult encode(unsigned rank, cuuint64_t stride, cuuint32_t box, CUtensorMapSwizzle swizzle)
{
    static CUtensorMap map;

    return encode_at(&map, 0x1000000000, rank, stride, box, swizzle);
}

static void tensor_maps(void **unused)
{
    OK(encode(2, 128, 64, CU_TENSOR_MAP_SWIZZLE_128B));
    BAD(encode(0, 128, 64, CU_TENSOR_MAP_SWIZZLE_NONE));
    BAD(encode(6, 128, 64, CU_TENSOR_MAP_SWIZZLE_NONE));
    BAD(encode(2, 120, 64, CU_TENSOR_MAP_SWIZZLE_NONE));
    OK(encode(3, 1 << 17, 64, CU_TENSOR_MAP_SWIZZLE_NONE)); // the third stride is smaller
    BAD(encode(2, 128, 257, CU_TENSOR_MAP_SWIZZLE_NONE));
    BAD(encode(2, 128, 64, CU_TENSOR_MAP_SWIZZLE_64B));
    BAD(encode(2, 128, 4, CU_TENSOR_MAP_SWIZZLE_NONE));
    EXPECT(CUDA_ERROR_NOT_SUPPORTED, encode(2, 128, 64, CU_TENSOR_MAP_SWIZZLE_128B_ATOM_32B));
}

// Copies the box at column 32, row 2 into shared memory and from there to out, 4 bytes a thread.
static const char tensor_ptx[] =
    ".version 8.0\n.target sm_90\n.address_size 64\n"
    ".visible .entry k(.param .align 64 .b8 map[128], .param .u64 out) {\n"
    ".reg .b32 %r<9>; .reg .b64 %d<6>; .reg .pred %p<3>;\n"
    ".shared .align 128 .b8 s[512]; .shared .align 8 .b8 m[8];\n"
    "mov.b64 %d1, map; cvta.param.u64 %d2, %d1; ld.param.u64 %d3, [out]; mov.u32 %r1, m;\n"
    "mov.u32 %r2, s; mov.u32 %r3, %tid.x; setp.eq.u32 %p1, %r3, 0; shl.b32 %r4, %r3, 2;\n"
    "mov.u32 %r5, 32; mov.u32 %r6, 2;\n"
    "@%p1 mbarrier.init.shared.b64 [%r1], 1;\n"
    "@%p1 mbarrier.arrive.expect_tx.shared.b64 _, [%r1], 512;\n"
    "@%p1 cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes"
    " [%r2], [%d2, {%r5, %r6}], [%r1]; bar.sync 0;\n"
    "W: mbarrier.try_wait.parity.shared.b64 %p2, [%r1], 0; @!%p2 bra W;\n"
    "add.u32 %r7, %r2, %r4; ld.shared.u32 %r8, [%r7]; cvt.u64.u32 %d4, %r4;\n"
    "add.s64 %d5, %d3, %d4; st.global.u32 [%d5], %r8; ret;\n}\n";

static void tensor_copy(void **unused)
{
    unsigned short in[64][64], out[8][32];
    CUtensorMap map;
    CUmodule module;
    CUfunction k;
    CUdeviceptr from, to;
    void *params[] = {&map, &to};

    for (int i = 0; i < 64 * 64; i++) in[i / 64][i % 64] = (unsigned short)i;
    OK(cuModuleLoadData(&module, tensor_ptx));
    OK(cuModuleGetFunction(&k, module, "k"));
    OK(cuMemAlloc(&from, sizeof in));
    OK(cuMemAlloc(&to, sizeof out));
    OK(cuMemcpyHtoD(from, in, sizeof in));
    OK(encode_at(&map, from, 2, 128, 32, CU_TENSOR_MAP_SWIZZLE_NONE));
    OK(cuLaunchKernel(k, 1, 1, 1, 128, 1, 1, 0, NULL, params, NULL));
    OK(cuMemcpyDtoH(out, to, sizeof out));
    for (int row = 0; row < 8; row++) assert_memory_equal(out[row], &in[row + 2][32], 64);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_CONTEXT(vector_add), IN_CONTEXT(packed_params), IN_CONTEXT(launch_attributes),
        IN_CONTEXT(refused),    IN_CONTEXT(occupancy),     IN_CONTEXT(tensor_maps),
        IN_CONTEXT(clusters),   IN_CONTEXT(own_clusters),  IN_CONTEXT(tensor_copy),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
