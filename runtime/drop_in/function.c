// SPDX-License-Identifier: MIT
// Functions of modules and kernels of libraries: names, parameters, attributes.
#include "driver.h"

// What the machine does not know: PTX has virtual registers only, and how many a compiler would
// have needed nobody can say. A number that hosts can divide by.
enum { NOMINAL_REGISTERS = 32 };

// A kernel's handle will do where one of a function is asked for.
struct function *driver_find_function(cu_function handle)
{
    struct function *function = driver_find(handle, KIND_FUNCTION);
    struct kernel *kernel = function ? NULL : driver_find(handle, KIND_KERNEL);

    return kernel ? kernel->function : function;
}

int driver_shared_limit(const struct function *function)
{
    bool known;
    int most = driver_attribute(&the_driver.settings.model,
                                CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN, &known);

    return most - (int)function->info->static_shared;
}

static int dynamic_shared_allowed(const struct function *function)
{
    int usual = 48 * 1024 - (int)function->info->static_shared;

    if (function->dynamic_shared >= 0) return function->dynamic_shared;
    return usual > 0 ? usual : 0;
}

int driver_threads_limit(const struct function *function)
{
    const uint32_t *most = function->info->max_threads, *exact = function->info->required_threads;
    uint64_t threads = 1024;

    if (most[0]) threads = (uint64_t)most[0] * most[1] * most[2];
    if (exact[0]) threads = (uint64_t)exact[0] * exact[1] * exact[2];
    return threads < 1024 ? (int)threads : 1024;
}

cu_result driver_function_get(const struct function *function, int attribute, int *value)
{
    switch (attribute) {
    case CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK:
        *value = driver_threads_limit(function);
        break;
    case CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES:
        *value = (int)function->info->static_shared;
        break;
    case CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES:
        *value = (int)function->info->local_bytes;
        break;
    case CU_FUNC_ATTRIBUTE_NUM_REGS:
        *value = NOMINAL_REGISTERS;
        break;
    case CU_FUNC_ATTRIBUTE_PTX_VERSION:
        *value = function->module->ptx_sm;
        break;
    case CU_FUNC_ATTRIBUTE_BINARY_VERSION:
        *value = the_driver.settings.model.sm;
        break;
    case CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES:
        *value = dynamic_shared_allowed(function);
        break;
    case CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT:
        *value = function->carveout;
        break;
    case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_WIDTH:
    case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_HEIGHT:
    case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_DEPTH:
        *value = (int)function->info
                     ->required_cluster[attribute - CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_WIDTH];
        if (!function->info->required_cluster[0])
            *value = function->cluster[attribute - CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_WIDTH];
        break;
    case CU_FUNC_ATTRIBUTE_CLUSTER_SIZE_MUST_BE_SET:
        *value = function->info->explicit_cluster;
        break;
    case CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED:
        *value = function->nonportable;
        break;
    case CU_FUNC_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE:
        *value = function->policy;
        break;
    case CU_FUNC_ATTRIBUTE_CONST_SIZE_BYTES:
    case CU_FUNC_ATTRIBUTE_CACHE_MODE_CA:
        *value = 0;
        break;
    default:
        return CUDA_ERROR_INVALID_VALUE;
    }
    return CUDA_SUCCESS;
}

cu_result driver_function_set(struct function *function, int attribute, int value)
{
    switch (attribute) {
    case CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES:
        if (value < 0 || value > driver_shared_limit(function)) return CUDA_ERROR_INVALID_VALUE;
        function->dynamic_shared = value;
        break;
    case CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT:
        if (value < -1 || value > 100) return CUDA_ERROR_INVALID_VALUE;
        function->carveout = value;
        break;
    case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_WIDTH:
    case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_HEIGHT:
    case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_DEPTH:
        if (value < 0) return CUDA_ERROR_INVALID_VALUE;
        function->cluster[attribute - CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_WIDTH] = value;
        break;
    case CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED:
        function->nonportable = value != 0;
        break;
    case CU_FUNC_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE:
        if (value < 0 || value > 2) return CUDA_ERROR_INVALID_VALUE;
        function->policy = value;
        break;
    default:
        return CUDA_ERROR_INVALID_VALUE;
    }
    return CUDA_SUCCESS;
}

// ---- functions ---------------------------------------------------------------------------------

static cu_result enter_function(cu_function handle, struct function **function)
{
    struct context *context;
    cu_result result = driver_enter_context(&context);

    if (result) return result;
    *function = driver_find_function(handle);
    return *function ? CUDA_SUCCESS : driver_leave(CUDA_ERROR_INVALID_HANDLE);
}

cu_result cuFuncGetAttribute(int *value, cu_function_attribute attribute, cu_function handle)
{
    struct function *function;
    cu_result result = enter_function(handle, &function);

    if (result) return result;
    if (!value) return driver_leave(CUDA_ERROR_INVALID_VALUE);
    return driver_leave(driver_function_get(function, attribute, value));
}

cu_result cuFuncSetAttribute(cu_function handle, cu_function_attribute attribute, int value)
{
    struct function *function;
    cu_result result = enter_function(handle, &function);

    return result ? result : driver_leave(driver_function_set(function, attribute, value));
}

cu_result cuFuncSetCacheConfig(cu_function handle, cu_cache_config config)
{
    struct function *function;
    cu_result result = enter_function(handle, &function);

    if (result) return result;
    return driver_leave(config < 0 || config > CU_FUNC_CACHE_PREFER_EQUAL ? CUDA_ERROR_INVALID_VALUE
                                                                          : CUDA_SUCCESS);
}

cu_result cuFuncSetSharedMemConfig(cu_function handle, cu_bank_config config)
{
    struct function *function;
    cu_result result = enter_function(handle, &function);

    if (result) return result;
    return driver_leave(config < 0 || config > CU_SHARED_MEM_CONFIG_EIGHT_BYTE_BANK_SIZE
                            ? CUDA_ERROR_INVALID_VALUE
                            : CUDA_SUCCESS);
}

cu_result cuFuncGetModule(cu_module *module, cu_function handle)
{
    struct function *function;
    cu_result result = enter_function(handle, &function);

    if (result) return result;
    if (!module) return driver_leave(CUDA_ERROR_INVALID_VALUE);
    *module = HANDLE_OF(cu_module, function->module);
    return driver_leave(CUDA_SUCCESS);
}

cu_result cuFuncGetName(const char **name, cu_function handle)
{
    struct function *function;
    cu_result result = enter_function(handle, &function);

    if (result) return result;
    if (!name) return driver_leave(CUDA_ERROR_INVALID_VALUE);
    *name = function->info->name;
    return driver_leave(CUDA_SUCCESS);
}

cu_result cuFuncGetParamInfo(cu_function handle, size_t index, size_t *offset, size_t *size)
{
    struct function *function;
    cu_result result = enter_function(handle, &function);

    if (result) return result;
    if (!offset || index >= function->info->param_count)
        return driver_leave(CUDA_ERROR_INVALID_VALUE);
    *offset = function->info->params[index].offset;
    if (size) *size = function->info->params[index].size;
    return driver_leave(CUDA_SUCCESS);
}

cu_result cuFuncIsLoaded(cu_loading_state *state, cu_function handle)
{
    struct function *function;
    cu_result result = enter_function(handle, &function);

    if (result) return result;
    if (!state) return driver_leave(CUDA_ERROR_INVALID_VALUE);
    *state = CU_FUNCTION_LOADING_STATE_LOADED;
    return driver_leave(CUDA_SUCCESS);
}

cu_result cuFuncLoad(cu_function handle)
{
    struct function *function;
    cu_result result = enter_function(handle, &function);

    return result ? result : driver_leave(CUDA_SUCCESS);
}

// ---- kernels of libraries ----------------------------------------------------------------------

static cu_result enter_kernel(cu_kernel handle, struct kernel **kernel)
{
    cu_result result = driver_enter();

    if (result) return result;
    *kernel = driver_find(handle, KIND_KERNEL);
    return *kernel ? CUDA_SUCCESS : driver_leave(CUDA_ERROR_INVALID_HANDLE);
}

cu_result cuKernelGetFunction(cu_function *function, cu_kernel handle)
{
    struct kernel *kernel;
    cu_result result = enter_kernel(handle, &kernel);

    if (result) return result;
    if (!function) return driver_leave(CUDA_ERROR_INVALID_VALUE);
    *function = HANDLE_OF(cu_function, kernel->function);
    return driver_leave(CUDA_SUCCESS);
}

cu_result cuKernelGetLibrary(cu_library *library, cu_kernel handle)
{
    struct kernel *kernel;
    cu_result result = enter_kernel(handle, &kernel);

    if (result) return result;
    if (!library) return driver_leave(CUDA_ERROR_INVALID_VALUE);
    *library = HANDLE_OF(cu_library, kernel->library);
    return driver_leave(CUDA_SUCCESS);
}

cu_result cuKernelGetAttribute(int *value, cu_function_attribute attribute, cu_kernel handle,
                               cu_device device)
{
    struct kernel *kernel;
    cu_result result = enter_kernel(handle, &kernel);

    if (result) return result;
    if (!driver_is_device(device)) return driver_leave(CUDA_ERROR_INVALID_DEVICE);
    if (!value) return driver_leave(CUDA_ERROR_INVALID_VALUE);
    return driver_leave(driver_function_get(kernel->function, attribute, value));
}

cu_result cuKernelSetAttribute(cu_function_attribute attribute, int value, cu_kernel handle,
                               cu_device device)
{
    struct kernel *kernel;
    cu_result result = enter_kernel(handle, &kernel);

    if (result) return result;
    if (!driver_is_device(device)) return driver_leave(CUDA_ERROR_INVALID_DEVICE);
    return driver_leave(driver_function_set(kernel->function, attribute, value));
}

cu_result cuKernelSetCacheConfig(cu_kernel handle, cu_cache_config config, cu_device device)
{
    struct kernel *kernel;
    cu_result result = enter_kernel(handle, &kernel);

    if (result) return result;
    if (!driver_is_device(device)) return driver_leave(CUDA_ERROR_INVALID_DEVICE);
    return driver_leave(config < 0 || config > CU_FUNC_CACHE_PREFER_EQUAL ? CUDA_ERROR_INVALID_VALUE
                                                                          : CUDA_SUCCESS);
}

cu_result cuKernelGetName(const char **name, cu_kernel handle)
{
    struct kernel *kernel;
    cu_result result = enter_kernel(handle, &kernel);

    if (result) return result;
    if (!name) return driver_leave(CUDA_ERROR_INVALID_VALUE);
    *name = kernel->function->info->name;
    return driver_leave(CUDA_SUCCESS);
}

cu_result cuKernelGetParamInfo(cu_kernel handle, size_t index, size_t *offset, size_t *size)
{
    struct kernel *kernel;
    cu_result result = enter_kernel(handle, &kernel);

    if (result) return result;
    if (!offset || index >= kernel->function->info->param_count)
        return driver_leave(CUDA_ERROR_INVALID_VALUE);
    *offset = kernel->function->info->params[index].offset;
    if (size) *size = kernel->function->info->params[index].size;
    return driver_leave(CUDA_SUCCESS);
}
