// SPDX-License-Identifier: MIT
// Every function of the driver with nothing but zeros and NULLs, before cuInit, without a context
// and with one; and every function that there is none of. None may crash, and none may succeed
// that has something to answer.
#include "host.h"

#include <dlfcn.h>

// Enough of them for the longest list of parameters; a callee ignores what it has no name for.
typedef CUresult call_fn(uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t,
                         uint64_t, uint64_t, uint64_t, uint64_t, uint64_t);

static const char *const functions[] = {
#define FUNCTION(export, name, version, parameters) #export,
#define ALIAS(export, alias) #alias,
#include "runtime/drop_in/functions.def"
};
static const char *const unsupported[] = {
#define UNSUPPORTED(export) #export,
#include "runtime/drop_in/functions.def"
};

// Those for which zeros say something: nothing to do, the default stream, the first device, the
// first limit, leave it as it is, no current context.
static const char *const may_succeed[] = {
    "cuInit",
    "cuCtxSynchronize",
    "cuCtxSynchronize_v2",
    "cuCtxSetFlags",
    "cuCtxSetLimit",
    "cuCtxSetCurrent",
    "cuCtxSetCacheConfig",
    "cuCtxSetSharedMemConfig",
    "cuMemFree_v2",
    "cuMemFreeHost",
    "cuStreamSynchronize",
    "cuStreamQuery",
    "cuProfilerStart",
    "cuProfilerStop",
    "cuStreamCopyAttributes",
    "cuCtxPopCurrent_v2",
    "cuMemcpy",
    "cuMemset",
    "cuDevicePrimaryCtx",
    "cuCtxResetPersistingL2Cache",
    "cuCtxGetStreamPriorityRange",
};

static bool is_allowed(const char *name)
{
    for (size_t i = 0; i < sizeof may_succeed / sizeof may_succeed[0]; i++)
        if (strncmp(name, may_succeed[i], strlen(may_succeed[i])) == 0) return true;
    return false;
}

static call_fn *find(void *library, const char *name)
{
    void *symbol = dlsym(library, name);
    call_fn *call = NULL;

    if (!symbol) fail_msg("there is no %s", name);
    memcpy(&call, &symbol, sizeof symbol);
    return call;
}

static void call_all(bool started)
{
    void *library = dlopen("libcuda.so.1", RTLD_NOW);

    assert_non_null(library);
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
        CUresult result;

        if (!started && strcmp(functions[i], "cuInit") == 0) continue;
        result = find(library, functions[i])(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
        if (result == CUDA_SUCCESS && (!started || !is_allowed(functions[i])) &&
            strcmp(functions[i], "cuMemFreeHost") != 0)
            fail_msg("%s succeeds with zeros", functions[i]);
        if (strcmp(name_of(result), "no result of the driver") == 0)
            fail_msg("%s returns %d", functions[i], result);
    }
    dlclose(library);
}

static void before_init(void **unused)
{
    call_all(false);
}

static void without_context(void **unused)
{
    OK(cuInit(0));
    call_all(true);
}

static void with_context(void **unused)
{
    CUcontext a, b;

    OK(cuInit(0));
    // One more than those that the calls pop and replace.
    OK(cuCtxCreate(&a, NULL, 0, 0));
    OK(cuCtxPushCurrent(a));
    OK(cuCtxCreate(&b, NULL, 0, 0));
    OK(cuCtxPushCurrent(a));
    call_all(true);
    OK(cuCtxDestroy(a));
    OK(cuCtxDestroy(b));
    while (cuCtxPopCurrent(NULL) == CUDA_SUCCESS) continue;
}

static void none_of_it(void **unused)
{
    void *library = dlopen("libcuda.so.1", RTLD_NOW);

    for (size_t i = 0; i < sizeof unsupported / sizeof unsupported[0]; i++)
        EXPECT(CUDA_ERROR_NOT_SUPPORTED,
               find(library, unsupported[i])(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12));
    dlclose(library);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(before_init),
        cmocka_unit_test(without_context),
        cmocka_unit_test(with_context),
        cmocka_unit_test(none_of_it),
    };

    setenv("KGEN_DRIVER_REPORT", "/dev/null", 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
