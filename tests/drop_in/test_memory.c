// SPDX-License-Identifier: MIT
// Memory of all kinds, copies, fills, and what is known about pointers.
#include "host.h"

static void allocations(void **unused)
{
    size_t available, before, total, size, pitch;
    CUdeviceptr a, b, base;

    OK(cuMemGetInfo(&before, &total));
    assert_true(before <= total);
    OK(cuMemAlloc(&a, 1000));
    OK(cuMemAllocPitch(&b, &pitch, 100, 7, 4));
    assert_true(pitch >= 100 && pitch % 128 == 0);
    OK(cuMemGetInfo(&available, &total));
    assert_int_equal(before - available, 1000 + 7 * pitch);
    OK(cuMemGetAddressRange(&base, &size, a + 999));
    assert_true(base == a && size == 1000);
    EXPECT(CUDA_ERROR_NOT_FOUND, cuMemGetAddressRange(&base, &size, a + 1000));
    BAD(cuMemAlloc(&base, 0));
    BAD(cuMemAlloc(NULL, 16));
    BAD(cuMemAllocPitch(&base, &pitch, 100, 7, 3));
    EXPECT(CUDA_ERROR_OUT_OF_MEMORY, cuMemAlloc(&base, total));
    EXPECT(CUDA_ERROR_OUT_OF_MEMORY, cuMemAlloc(&base, SIZE_MAX));
    BAD(cuMemFree(a + 4));
    OK(cuMemFree(a));
    BAD(cuMemFree(a));
    BAD(cuMemFree(12345));
    OK(cuMemFree(0));
    OK(cuMemFree(b));
    OK(cuMemGetInfo(&available, &total));
    assert_int_equal(before, available);
}

static void copies(void **unused)
{
    int in[64], out[64] = {0};
    CUdeviceptr a, b;

    for (int i = 0; i < 64; i++) in[i] = i * i;
    OK(cuMemAlloc(&a, sizeof in));
    OK(cuMemAlloc(&b, sizeof in));
    OK(cuMemcpyHtoD(a, in, sizeof in));
    OK(cuMemcpyDtoD(b + 4, a, sizeof in - 4));
    OK(cuMemcpyDtoH(out + 1, b + 4, sizeof in - 4));
    assert_memory_equal(out + 1, in, sizeof in - 4);
    OK(cuMemcpy((CUdeviceptr)(uintptr_t)out, a, sizeof in)); // which side is told by the address
    assert_memory_equal(out, in, sizeof in);
    OK(cuMemcpyHtoD(a, NULL, 0));
    BAD(cuMemcpyHtoD(a, NULL, 4));
    BAD(cuMemcpyHtoD(a + 4, in, sizeof in));
    BAD(cuMemcpyHtoD(0, in, 4));
    BAD(cuMemcpyDtoH(out, a, SIZE_MAX));
    BAD(cuMemcpyDtoD(a, b + sizeof in, 1));
    EXPECT(CUDA_ERROR_INVALID_HANDLE, cuMemcpyHtoDAsync(a, in, 4, NO_STREAM));
    OK(cuMemFree(b));
    BAD(cuMemcpyDtoH(out, b, 4));
}

static void boxes(void **unused)
{
    unsigned char in[6][8], out[6][8];
    CUDA_MEMCPY2D flat = {0};
    CUDA_MEMCPY3D deep = {0};
    CUdeviceptr a;
    size_t pitch;

    for (int i = 0; i < 48; i++) in[i / 8][i % 8] = (unsigned char)i;
    memset(out, 0xff, sizeof out);
    OK(cuMemAllocPitch(&a, &pitch, 8, 6, 4));
    flat = (CUDA_MEMCPY2D){.srcMemoryType = CU_MEMORYTYPE_HOST,
                           .srcHost = in,
                           .srcPitch = 8,
                           .dstMemoryType = CU_MEMORYTYPE_DEVICE,
                           .dstDevice = a,
                           .dstPitch = pitch,
                           .WidthInBytes = 8,
                           .Height = 6};
    OK(cuMemcpy2D(&flat));
    // Rows 1 to 3 and 4 to 5, bytes 2 to 6, through the three-dimensional form.
    deep = (CUDA_MEMCPY3D){.srcXInBytes = 2,
                           .srcY = 1,
                           .srcMemoryType = CU_MEMORYTYPE_UNIFIED,
                           .srcDevice = a,
                           .srcPitch = pitch,
                           .srcHeight = 3,
                           .dstMemoryType = CU_MEMORYTYPE_HOST,
                           .dstHost = out,
                           .dstPitch = 8,
                           .dstHeight = 3,
                           .WidthInBytes = 5,
                           .Height = 2,
                           .Depth = 2};
    OK(cuMemcpy3D(&deep));
    assert_memory_equal(out[0], in[1] + 2, 5);
    assert_memory_equal(out[1], in[2] + 2, 5);
    assert_memory_equal(out[3], in[4] + 2, 5);
    assert_memory_equal(out[4], in[5] + 2, 5);
    assert_int_equal(out[0][5], 0xff);
    assert_int_equal(out[2][0], 0xff);
    deep.srcXInBytes = pitch;
    BAD(cuMemcpy3D(&deep));
    flat.dstPitch = 4;
    BAD(cuMemcpy2D(&flat));
    flat.dstPitch = pitch;
    flat.Height = 60;
    BAD(cuMemcpy2D(&flat));
    flat.dstMemoryType = CU_MEMORYTYPE_ARRAY;
    flat.Height = 6;
    EXPECT(CUDA_ERROR_NOT_SUPPORTED, cuMemcpy2D(&flat));
    flat.dstMemoryType = 9;
    BAD(cuMemcpy2D(&flat));
    BAD(cuMemcpy2D(NULL));
    BAD(cuMemcpy3D(NULL));
}

static void fills(void **unused)
{
    unsigned words[64];
    CUdeviceptr a;

    OK(cuMemAlloc(&a, sizeof words));
    OK(cuMemsetD32(a, 0x01020304, 64));
    OK(cuMemsetD8(a + 1, 0xee, 1));
    OK(cuMemsetD16(a + 4, 0x5566, 2));
    OK(cuMemsetD2D32(a + 16, 64, 7, 2, 3));
    OK(cuMemcpyDtoH(words, a, sizeof words));
    assert_int_equal(words[0], 0x0102ee04);
    assert_int_equal(words[1], 0x55665566);
    assert_int_equal(words[2], 0x01020304);
    for (int row = 0; row < 3; row++) {
        assert_int_equal(words[4 + 16 * row], 7);
        assert_int_equal(words[5 + 16 * row], 7);
        assert_int_equal(words[6 + 16 * row], 0x01020304);
    }
    BAD(cuMemsetD32(a + 2, 0, 1));
    BAD(cuMemsetD16(a + 1, 0, 1));
    BAD(cuMemsetD32(a, 0, 65));
    BAD(cuMemsetD32(a, 0, SIZE_MAX));
    BAD(cuMemsetD2D8(a, 4, 0, 8, 2));
    BAD(cuMemsetD8(0, 0, 1));
    OK(cuMemsetD8(a, 0, 0));
}

// A kernel and the host work on the same memory.
static void run_fill(CUdeviceptr to, unsigned value, unsigned n)
{
    CUmodule module;
    CUfunction fill = load_function(&module, "fill");
    void *params[] = {&to, &value, &n};

    OK(cuLaunchKernel(fill, 1, 1, 1, n, 1, 1, 0, NULL, params, NULL));
    OK(cuCtxSynchronize());
    OK(cuModuleUnload(module));
}

static void host_memory(void **unused)
{
    CUdeviceptr device;
    unsigned *host, flags, *own = malloc(64 * sizeof *own);
    void *pointer;

    OK(cuMemHostAlloc(&pointer, 256, CU_MEMHOSTALLOC_DEVICEMAP));
    host = pointer;
    OK(cuMemHostGetDevicePointer(&device, host + 1, 0));
    run_fill(device, 42, 32);
    assert_int_equal(host[1], 42);
    assert_int_equal(host[33], 0);
    OK(cuMemHostGetFlags(&flags, host));
    assert_int_equal(flags, CU_MEMHOSTALLOC_DEVICEMAP);
    BAD(cuMemHostGetDevicePointer(&device, host, 1));
    BAD(cuMemHostGetDevicePointer(&device, own, 0));
    BAD(cuMemFreeHost(host + 1));
    OK(cuMemHostRegister(own, 64 * sizeof *own, 0));
    EXPECT(CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED, cuMemHostRegister(own + 8, 16, 0));
    OK(cuMemHostGetDevicePointer(&device, own, 0));
    run_fill(device, 43, 64);
    assert_int_equal(own[63], 43);
    BAD(cuMemFreeHost(own));
    OK(cuMemHostUnregister(own));
    EXPECT(CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED, cuMemHostUnregister(own));
    BAD(cuMemHostRegister(NULL, 16, 0));
    BAD(cuMemHostAlloc(&pointer, 0, 0));
    BAD(cuMemHostAlloc(&pointer, 16, 0x100));
    OK(cuMemFreeHost(host));
    BAD(cuMemFreeHost(host));
    OK(cuMemAllocHost(&pointer, 64));
    OK(cuMemFreeHost(pointer));
    free(own);
}

static void managed_memory(void **unused)
{
    CUdeviceptr address = 0;
    int supported;
    unsigned *both;

    OK(cuDeviceGetAttribute(&supported, CU_DEVICE_ATTRIBUTE_MANAGED_MEMORY, 0));
    if (!supported) {
        EXPECT(CUDA_ERROR_NOT_SUPPORTED, cuMemAllocManaged(&address, 256, CU_MEM_ATTACH_GLOBAL));
        return; // under the address sanitizer, which sits where the memory would lie
    }
    OK(cuMemAllocManaged(&address, 256, CU_MEM_ATTACH_GLOBAL));
    both = (unsigned *)(uintptr_t)address;
    both[3] = 5;
    run_fill(address, 44, 3);
    assert_int_equal(both[2], 44);
    assert_int_equal(both[3], 5);
    OK(cuStreamAttachMemAsync(NULL, address, 0, CU_MEM_ATTACH_GLOBAL));
    OK(cuMemAdvise(address, 256, CU_MEM_ADVISE_SET_READ_MOSTLY,
                   (CUmemLocation){CU_MEM_LOCATION_TYPE_DEVICE, 0}));
    OK(cuMemPrefetchAsync(address, 256, (CUmemLocation){CU_MEM_LOCATION_TYPE_HOST, 0}, 0, NULL));
    BAD(cuMemPrefetchAsync(address, 257, (CUmemLocation){CU_MEM_LOCATION_TYPE_HOST, 0}, 0, NULL));
    BAD(cuMemAllocManaged(&address, 256, 0));
    OK(cuMemFree((CUdeviceptr)(uintptr_t)both));
}

static void pointers(void **unused)
{
    CUpointer_attribute several[] = {CU_POINTER_ATTRIBUTE_MEMORY_TYPE,
                                     CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL,
                                     CU_POINTER_ATTRIBUTE_RANGE_SIZE};
    CUdeviceptr a, base;
    CUcontext context, current;
    unsigned type = 99;
    size_t size = 0;
    int ordinal = 5;
    void *values[] = {&type, &ordinal, &size}, *host;

    OK(cuMemAlloc(&a, 100));
    OK(cuMemAllocHost(&host, 100));
    OK(cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, a + 50));
    assert_int_equal(type, CU_MEMORYTYPE_DEVICE);
    OK(cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE,
                             (CUdeviceptr)(uintptr_t)host));
    assert_int_equal(type, CU_MEMORYTYPE_HOST);
    OK(cuPointerGetAttribute(&base, CU_POINTER_ATTRIBUTE_RANGE_START_ADDR, a + 50));
    assert_true(base == a);
    OK(cuPointerGetAttribute(&context, CU_POINTER_ATTRIBUTE_CONTEXT, a));
    OK(cuCtxGetCurrent(&current));
    assert_ptr_equal(context, current);
    BAD(cuPointerGetAttribute(&host, CU_POINTER_ATTRIBUTE_HOST_POINTER, a));
    BAD(cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE,
                              (CUdeviceptr)(uintptr_t)&type));
    BAD(cuPointerGetAttribute(NULL, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, a));
    BAD(cuPointerGetAttribute(&type, 0, a));
    OK(cuPointerGetAttributes(3, several, values, a));
    assert_int_equal(type, CU_MEMORYTYPE_DEVICE);
    assert_int_equal(ordinal, 0);
    assert_int_equal(size, 100);
    OK(cuPointerGetAttributes(3, several, values, (CUdeviceptr)(uintptr_t)&type));
    assert_int_equal(type, 0);
    assert_int_equal(ordinal, -2);
    BAD(cuPointerGetAttributes(0, several, values, a));
}

static void pools(void **unused)
{
    CUmemPoolProps props = {.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
                            .location = {CU_MEM_LOCATION_TYPE_DEVICE, 0}};
    CUmemoryPool standard, pool;
    CUdeviceptr a, b;
    CUstream stream;
    cuuint64_t used, threshold = 1 << 20;
    unsigned char bytes[32];

    OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    OK(cuDeviceGetDefaultMemPool(&standard, 0));
    OK(cuMemPoolSetAttribute(standard, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &threshold));
    OK(cuMemPoolCreate(&pool, &props));
    OK(cuMemAllocAsync(&a, 32, stream));
    OK(cuMemAllocFromPoolAsync(&b, 64, pool, stream));
    OK(cuMemPoolGetAttribute(pool, CU_MEMPOOL_ATTR_USED_MEM_CURRENT, &used));
    assert_int_equal(used, 64);
    OK(cuMemsetD8Async(a, 9, 32, stream));
    OK(cuMemcpyDtoHAsync(bytes, a, 32, stream));
    OK(cuMemFreeAsync(a, stream));
    OK(cuMemFreeAsync(b, stream));
    OK(cuStreamSynchronize(stream));
    assert_int_equal(bytes[31], 9);
    BAD(cuMemFreeAsync(a, stream));
    OK(cuMemPoolGetAttribute(pool, CU_MEMPOOL_ATTR_USED_MEM_CURRENT, &used));
    assert_int_equal(used, 0);
    OK(cuMemPoolGetAttribute(pool, CU_MEMPOOL_ATTR_USED_MEM_HIGH, &used));
    assert_int_equal(used, 64);
    OK(cuMemPoolTrimTo(pool, 0));
    OK(cuMemPoolDestroy(pool));
    BAD(cuMemPoolDestroy(pool));
    BAD(cuMemPoolDestroy(standard));
    BAD(cuMemAllocFromPoolAsync(&b, 64, pool, stream));
    BAD(cuMemPoolCreate(&pool, NULL));
}

// Memory belongs to its context, and goes with it.
static void freed_with_context(void **unused)
{
    CUcontext inner;
    CUdeviceptr a;
    size_t before, after, total;

    OK(cuMemGetInfo(&before, &total));
    OK(cuCtxCreate(&inner, NULL, 0, 0));
    OK(cuMemAlloc(&a, 4096));
    OK(cuCtxDestroy(inner));
    OK(cuMemGetInfo(&after, &total));
    assert_int_equal(before, after);
    BAD(cuMemsetD8(a, 0, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_CONTEXT(allocations), IN_CONTEXT(copies),      IN_CONTEXT(boxes),
        IN_CONTEXT(fills),       IN_CONTEXT(host_memory), IN_CONTEXT(managed_memory),
        IN_CONTEXT(pointers),    IN_CONTEXT(pools),       IN_CONTEXT(freed_with_context),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
