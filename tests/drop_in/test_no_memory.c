// SPDX-License-Identifier: MIT
// The driver when memory runs out: each allocation that a little program leads to fails once, the
// first, the second and so on. The program then hears CUDA_ERROR_OUT_OF_MEMORY from some call, and
// what it gives back is everything that it took. The driver's objects are linked into this test,
// with malloc and its kin going through the functions below.
#include "host.h"

#include <stdatomic.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void __real_free(void *memory);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
void __wrap_free(void *memory);
char *__wrap_strdup(const char *text);

static atomic_long until_failure = -1; // allocations until one fails; negative: none does
static atomic_long live;
static atomic_bool failed;

static bool fails(void)
{
    if (atomic_load(&until_failure) < 0 || atomic_fetch_sub(&until_failure, 1) != 0) return false;
    atomic_store(&failed, true);
    return true;
}

static void *count(void *memory)
{
    if (memory) atomic_fetch_add(&live, 1);
    return memory;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : count(__real_malloc(size));
}

void *__wrap_calloc(size_t number, size_t size)
{
    return fails() ? NULL : count(__real_calloc(number, size));
}

void *__wrap_realloc(void *memory, size_t size)
{
    void *moved = fails() ? NULL : __real_realloc(memory, size);

    if (moved && !memory) atomic_fetch_add(&live, 1);
    return moved;
}

char *__wrap_strdup(const char *text)
{
    return fails() ? NULL : count(__real_strdup(text));
}

void __wrap_free(void *memory)
{
    if (memory) atomic_fetch_sub(&live, 1);
    __real_free(memory);
}

#define TRY(call)                                                                                  \
    do {                                                                                           \
        CUresult try_result = (call);                                                              \
        if (try_result != CUDA_SUCCESS) return try_result;                                         \
    } while (0)

// In a context of its own, which takes everything along.
static CUresult work(void)
{
    unsigned value = 5, n = 32, out[32];
    CUmodule module, same;
    CUlibrary library;
    CUkernel kernel;
    CUfunction fill;
    CUstream stream;
    CUevent event;
    CUdeviceptr a, b, global;
    void *host, *image, *params[] = {&a, &value, &n};
    CUlinkState link;
    size_t size;

    TRY(cuStreamCreate(&stream, 0));
    TRY(cuEventCreate(&event, 0));
    TRY(cuMemAlloc(&a, 128));
    TRY(cuMemAllocAsync(&b, 128, stream));
    TRY(cuMemHostAlloc(&host, 128, 0));
    TRY(cuModuleLoadData(&module, kernels_ptx));
    TRY(cuModuleGetFunction(&fill, module, "fill"));
    TRY(cuModuleGetGlobal(&global, NULL, module, "table"));
    TRY(cuLaunchKernel(fill, 1, 1, 1, 32, 1, 1, 0, stream, params, NULL));
    TRY(cuEventRecord(event, stream));
    TRY(cuMemcpyDtoDAsync(b, a, 128, stream));
    TRY(cuMemsetD32Async(a, 1, 32, stream));
    TRY(cuMemcpyDtoHAsync(host, b, 128, stream));
    TRY(cuMemFreeAsync(b, stream));
    TRY(cuStreamSynchronize(stream));
    TRY(cuMemcpyDtoH(out, a, 128));
    if (out[31] != 1 || ((unsigned *)host)[31] != 5) return CUDA_ERROR_UNKNOWN;
    TRY(cuLinkCreate(0, NULL, NULL, &link));
    TRY(cuLinkAddData(link, CU_JIT_INPUT_PTX, (void *)kernels_ptx, strlen(kernels_ptx), "k", 0,
                      NULL, NULL));
    TRY(cuLinkComplete(link, &image, &size));
    TRY(cuModuleLoadData(&same, image));
    TRY(cuLibraryLoadData(&library, kernels_ptx, NULL, NULL, 0, NULL, NULL, 0));
    CUresult result = cuLibraryGetKernel(&kernel, library, "fill");
    TRY(cuLibraryUnload(library));
    return result;
}

static CUresult work_in_context(void)
{
    CUcontext context;

    TRY(cuCtxCreate(&context, NULL, 0, 0));
    CUresult result = work(), end;
    atomic_store(&until_failure, -1);
    end = cuCtxDestroy(context);
    return result ? result : end;
}

static void each_allocation(void **unused)
{
    long before, failures = 0, most = 0;

    OK(cuInit(0));
    OK(work_in_context()); // tables of the driver have grown as far as they need to
    OK(work_in_context());
    for (long n = 0;; n++) {
        before = atomic_load(&live);
        atomic_store(&failed, false);
        atomic_store(&until_failure, n);
        CUresult result = work_in_context();
        atomic_store(&until_failure, -1);
        if (!atomic_load(&failed)) {
            assert_int_equal(result, CUDA_SUCCESS);
            break;
        }
        failures++;
        if (result != CUDA_ERROR_OUT_OF_MEMORY)
            fail_msg("allocation %ld fails and the program hears %s", n, name_of(result));
        // The machine keeps a record of each address that it ever gave out, by doubling tables.
        if (atomic_load(&live) - before > most) most = atomic_load(&live) - before;
    }
    assert_true(failures > 100);
    print_message("# %ld allocations failed\n", failures);
    assert_true(most <= 8);
    before = atomic_load(&live);
    OK(work_in_context());
    OK(work_in_context());
    assert_true(atomic_load(&live) - before <= 2 * 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_allocation)};

    setenv("KGEN_DRIVER_REPORT", "/dev/null", 1);
    setenv("KGEN_DRIVER_THREADS", "1", 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
