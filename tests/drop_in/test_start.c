// SPDX-License-Identifier: MIT
// Start, the device, contexts and names: what is right, and which error stands for what is not.
#include "host.h"

#include <cudaProfiler.h>
#include <dlfcn.h>
#include <pthread.h>

static void before_init(void **unused)
{
    CUcontext context;
    CUdeviceptr address;
    int count, version;

    EXPECT(CUDA_ERROR_NOT_INITIALIZED, cuDeviceGetCount(&count));
    EXPECT(CUDA_ERROR_NOT_INITIALIZED, cuCtxGetCurrent(&context));
    EXPECT(CUDA_ERROR_NOT_INITIALIZED, cuMemAlloc(&address, 16));
    EXPECT(CUDA_ERROR_NOT_INITIALIZED, cuCtxSynchronize());
    BAD(cuInit(1));
    OK(cuDriverGetVersion(&version));
    assert_int_equal(version, 13000);
    BAD(cuDriverGetVersion(NULL));
    OK(cuInit(0));
    OK(cuInit(0));
}

static void device(void **unused)
{
    CUdevice device = -1;
    CUuuid uuid;
    char name[64], id[16];
    size_t bytes;
    int count = 0, value;

    OK(cuDeviceGetCount(&count));
    assert_int_equal(count, 1);
    OK(cuDeviceGet(&device, 0));
    EXPECT(CUDA_ERROR_INVALID_DEVICE, cuDeviceGet(&device, 1));
    EXPECT(CUDA_ERROR_INVALID_DEVICE, cuDeviceGet(&device, -1));
    BAD(cuDeviceGet(NULL, 0));
    OK(cuDeviceGetName(name, sizeof name, device));
    assert_string_equal(name, "kgen PTX machine (sm_90)");
    OK(cuDeviceGetName(name, 5, device));
    assert_string_equal(name, "kgen");
    BAD(cuDeviceGetName(name, 0, device));
    OK(cuDeviceGetUuid(&uuid, device));
    OK(cuDeviceTotalMem(&bytes, device));
    assert_int_equal(bytes, (size_t)16 << 30);
    OK(cuDeviceGetPCIBusId(id, sizeof id, device));
    assert_string_equal(id, "0000:00:00.0");
    device = -1;
    OK(cuDeviceGetByPCIBusId(&device, id));
    assert_int_equal(device, 0);
    EXPECT(CUDA_ERROR_INVALID_DEVICE, cuDeviceGetByPCIBusId(&device, "0000:01:00.0"));
    BAD(cuDeviceGetByPCIBusId(&device, "here"));
    EXPECT(CUDA_ERROR_INVALID_DEVICE, cuDeviceGetAttribute(&value, 1, 1));
    BAD(cuDeviceGetAttribute(NULL, 1, 0));
    BAD(cuDeviceGetAttribute(&value, 0, 0));
    BAD(cuDeviceGetAttribute(&value, CU_DEVICE_ATTRIBUTE_MAX, 0));
    OK(cuDeviceCanAccessPeer(&value, 0, 0));
    assert_int_equal(value, 0);
}

// Every attribute of the header has an answer; these are the ones that hosts decide by.
static void attributes(void **unused)
{
    static const struct {
        CUdevice_attribute attribute;
        int value;
    } known[] = {
        {CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK, 1024},
        {CU_DEVICE_ATTRIBUTE_WARP_SIZE, 32},
        {CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, 132},
        {CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, 9},
        {CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, 0},
        {CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK, 49152},
        {CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN, 232448},
        {CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR, 233472},
        {CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR, 2048},
        {CU_DEVICE_ATTRIBUTE_MAX_BLOCKS_PER_MULTIPROCESSOR, 32},
        {CU_DEVICE_ATTRIBUTE_CLUSTER_LAUNCH, 1},
        {CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING, 1},
        {CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED, 0},
    };
    int value;

    for (int i = 1; i < CU_DEVICE_ATTRIBUTE_MAX; i++) OK(cuDeviceGetAttribute(&value, i, 0));
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        OK(cuDeviceGetAttribute(&value, known[i].attribute, 0));
        assert_int_equal(value, known[i].value);
    }
}

static void no_context(void **unused)
{
    CUcontext context = NO_CONTEXT;
    CUdeviceptr address;
    CUstream stream;
    CUdevice device;

    OK(cuCtxGetCurrent(&context));
    assert_null(context);
    EXPECT(CUDA_ERROR_INVALID_CONTEXT, cuMemAlloc(&address, 16));
    EXPECT(CUDA_ERROR_INVALID_CONTEXT, cuStreamCreate(&stream, 0));
    EXPECT(CUDA_ERROR_INVALID_CONTEXT, cuCtxSynchronize());
    EXPECT(CUDA_ERROR_INVALID_CONTEXT, cuCtxGetDevice(&device));
    EXPECT(CUDA_ERROR_INVALID_CONTEXT, cuCtxPopCurrent(&context));
    EXPECT(CUDA_ERROR_INVALID_CONTEXT, cuCtxPushCurrent(NO_CONTEXT));
    EXPECT(CUDA_ERROR_INVALID_CONTEXT, cuCtxSetCurrent(NO_CONTEXT));
    EXPECT(CUDA_ERROR_INVALID_CONTEXT, cuCtxDestroy(NO_CONTEXT));
    EXPECT(CUDA_ERROR_INVALID_CONTEXT, cuCtxDestroy(NULL));
    EXPECT(CUDA_ERROR_INVALID_CONTEXT, cuDevicePrimaryCtxRelease(0));
}

static void contexts(void **unused)
{
    CUcontext a, b, current;
    CUdevice device = -1;
    unsigned flags, version;
    CUctxCreateParams params = {0};
    unsigned long long id_a, id_b;

    BAD(cuCtxCreate(NULL, NULL, 0, 0));
    BAD(cuCtxCreate(&a, NULL, CU_CTX_SCHED_SPIN | CU_CTX_SCHED_YIELD, 0));
    EXPECT(CUDA_ERROR_INVALID_DEVICE, cuCtxCreate(&a, NULL, 0, 1));
    params.numExecAffinityParams = 1;
    EXPECT(CUDA_ERROR_UNSUPPORTED_EXEC_AFFINITY, cuCtxCreate(&a, &params, 0, 0));
    params.numExecAffinityParams = 0;
    OK(cuCtxCreate(&a, &params, CU_CTX_SCHED_YIELD, 0));
    OK(cuCtxCreate(&b, NULL, 0, 0));
    OK(cuCtxGetCurrent(&current));
    assert_ptr_equal(current, b);
    OK(cuCtxPopCurrent(&current));
    assert_ptr_equal(current, b);
    OK(cuCtxGetFlags(&flags));
    assert_int_equal(flags, CU_CTX_SCHED_YIELD);
    OK(cuCtxGetDevice(&device));
    assert_int_equal(device, 0);
    OK(cuCtxSetCurrent(b));
    OK(cuCtxGetId(a, &id_a));
    OK(cuCtxGetId(NULL, &id_b));
    assert_true(id_a != id_b);
    OK(cuCtxGetApiVersion(b, &version));
    OK(cuCtxDestroy(b));
    EXPECT(CUDA_ERROR_INVALID_CONTEXT, cuCtxDestroy(b));
    EXPECT(CUDA_ERROR_INVALID_CONTEXT, cuCtxPushCurrent(b));
    OK(cuCtxPushCurrent(a));
    OK(cuCtxDestroy(a));
    OK(cuCtxGetCurrent(&current));
    assert_null(current);
}

// A context that another thread destroyed is still current, and of no use.
static void destroyed_elsewhere(void **unused)
{
    CUcontext a, b;
    CUdeviceptr address;

    OK(cuCtxCreate(&a, NULL, 0, 0));
    OK(cuCtxPushCurrent(a));
    OK(cuCtxDestroy(a));
    OK(cuCtxCreate(&b, NULL, 0, 0));
    OK(cuCtxPopCurrent(NULL));
    EXPECT(CUDA_ERROR_CONTEXT_IS_DESTROYED, cuMemAlloc(&address, 16));
    OK(cuCtxPopCurrent(NULL));
    OK(cuCtxDestroy(b));
}

static void primary(void **unused)
{
    CUcontext a, b, other;
    CUdeviceptr address;
    unsigned flags;
    int active;

    OK(cuDevicePrimaryCtxGetState(0, &flags, &active));
    assert_false(active);
    OK(cuDevicePrimaryCtxSetFlags(0, CU_CTX_SCHED_SPIN));
    OK(cuDevicePrimaryCtxRetain(&a, 0));
    OK(cuDevicePrimaryCtxRetain(&b, 0));
    assert_ptr_equal(a, b);
    OK(cuDevicePrimaryCtxGetState(0, &flags, &active));
    assert_true(active);
    assert_int_equal(flags, CU_CTX_SCHED_SPIN);
    EXPECT(CUDA_ERROR_INVALID_CONTEXT, cuCtxDestroy(a));
    OK(cuCtxPushCurrent(a));
    OK(cuMemAlloc(&address, 64));
    OK(cuDevicePrimaryCtxRelease(0));
    OK(cuMemsetD8(address, 1, 64));
    OK(cuDevicePrimaryCtxReset(0));
    BAD(cuMemsetD8(address, 1, 64));
    OK(cuMemAlloc(&address, 64));
    OK(cuDevicePrimaryCtxRelease(0));
    EXPECT(CUDA_ERROR_CONTEXT_IS_DESTROYED, cuMemsetD8(address, 1, 64));
    OK(cuDevicePrimaryCtxRetain(&other, 0));
    assert_ptr_not_equal(other, a);
    OK(cuCtxPopCurrent(NULL));
    OK(cuDevicePrimaryCtxRelease(0));
    EXPECT(CUDA_ERROR_INVALID_CONTEXT, cuDevicePrimaryCtxRelease(0));
    EXPECT(CUDA_ERROR_INVALID_DEVICE, cuDevicePrimaryCtxRetain(&a, 7));
}

static void limits(void **state)
{
    int least, greatest;
    size_t value;
    CUfunc_cache cache;

    OK(cuCtxSetLimit(CU_LIMIT_STACK_SIZE, 4096));
    OK(cuCtxGetLimit(&value, CU_LIMIT_STACK_SIZE));
    assert_int_equal(value, 4096);
    EXPECT(CUDA_ERROR_UNSUPPORTED_LIMIT, cuCtxGetLimit(&value, CU_LIMIT_MAX));
    BAD(cuCtxGetLimit(NULL, CU_LIMIT_STACK_SIZE));
    OK(cuCtxSetCacheConfig(CU_FUNC_CACHE_PREFER_L1));
    OK(cuCtxGetCacheConfig(&cache));
    assert_int_equal(cache, CU_FUNC_CACHE_PREFER_L1);
    BAD(cuCtxSetCacheConfig(9));
    OK(cuCtxGetStreamPriorityRange(&least, &greatest));
    assert_true(greatest < least);
    OK(cuProfilerStart());
    OK(cuProfilerStop());
    EXPECT(CUDA_ERROR_PEER_ACCESS_UNSUPPORTED, cuCtxEnablePeerAccess(*state, 0));
}

static void error_names(void **unused)
{
    const char *text = "";

    OK(cuGetErrorName(CUDA_ERROR_LAUNCH_FAILED, &text));
    assert_string_equal(text, "CUDA_ERROR_LAUNCH_FAILED");
    OK(cuGetErrorName(CUDA_SUCCESS, &text));
    assert_string_equal(text, "CUDA_SUCCESS");
    OK(cuGetErrorString(CUDA_ERROR_OUT_OF_MEMORY, &text));
    assert_string_equal(text, "out of memory");
    BAD(cuGetErrorName(4711, &text));
    assert_null(text);
    BAD(cuGetErrorString(CUDA_SUCCESS, NULL));
}

static void *address_of(const char *name, int version, CUdriverProcAddressQueryResult expected)
{
    CUdriverProcAddressQueryResult status = -1;
    void *address = (void *)&status;

    OK(cuGetProcAddress(name, &address, version, 0, &status));
    assert_int_equal(status, expected);
    if (expected != CU_GET_PROC_ADDRESS_SUCCESS) assert_null(address);
    return address;
}

static void proc_addresses(void **unused)
{
    CUdriverProcAddressQueryResult status;
    CUresult (*graph)(void);
    void *address, *library = dlopen("libcuda.so.1", RTLD_NOW);
    CUresult (*older)(const char *, void **, int, cuuint64_t);

    assert_non_null(library);
    assert_ptr_equal(address_of("cuMemAlloc", 3020, CU_GET_PROC_ADDRESS_SUCCESS),
                     dlsym(library, "cuMemAlloc_v2"));
    assert_ptr_equal(address_of("cuCtxCreate", 12000, CU_GET_PROC_ADDRESS_SUCCESS),
                     dlsym(library, "cuCtxCreate_v3"));
    assert_ptr_equal(address_of("cuGetProcAddress", 12000, CU_GET_PROC_ADDRESS_SUCCESS),
                     dlsym(library, "cuGetProcAddress_v2"));
    address_of("cuLaunchKernelEx", 11050, CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT);
    address_of("cuLaunchRocket", 13000, CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND);
    BAD(cuGetProcAddress("cuInit", &address, 13010, 0, &status));
    BAD(cuGetProcAddress(NULL, &address, 12000, 0, &status));
    BAD(cuGetProcAddress("cuInit", NULL, 12000, 0, &status));
    address = address_of("cuGraphCreate", 12000, CU_GET_PROC_ADDRESS_SUCCESS);
    memcpy(&graph, &address, sizeof graph);
    EXPECT(CUDA_ERROR_NOT_SUPPORTED, graph());
    address = dlsym(library, "cuGetProcAddress");
    memcpy(&older, &address, sizeof older);
    EXPECT(CUDA_ERROR_NOT_FOUND, older("cuLaunchRocket", &address, 12000, 0));
    OK(older("cuInit", &address, 12000, 0));
    dlclose(library);
}

static void *use_contexts(void *unused)
{
    for (int i = 0; i < 50; i++) {
        CUcontext context;
        CUdeviceptr address;
        unsigned char bytes[256];

        if (cuCtxCreate(&context, NULL, 0, 0) || cuMemAlloc(&address, sizeof bytes) ||
            cuMemsetD8(address, (unsigned char)i, sizeof bytes) ||
            cuMemcpyDtoH(bytes, address, sizeof bytes) || bytes[255] != i || cuMemFree(address) ||
            cuMemFree(address) != CUDA_ERROR_INVALID_VALUE || cuCtxDestroy(context))
            return "wrong";
    }
    return NULL;
}

static void many_threads(void **unused)
{
    pthread_t threads[4];
    void *wrong[4];

    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, use_contexts, NULL), 0);
    for (int i = 0; i < 4; i++) pthread_join(threads[i], &wrong[i]);
    for (int i = 0; i < 4; i++) assert_null(wrong[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(before_init),  cmocka_unit_test(device),
        cmocka_unit_test(attributes),   cmocka_unit_test(no_context),
        cmocka_unit_test(contexts),     cmocka_unit_test(destroyed_elsewhere),
        cmocka_unit_test(primary),      IN_CONTEXT(limits),
        cmocka_unit_test(error_names),  cmocka_unit_test(proc_addresses),
        cmocka_unit_test(many_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
