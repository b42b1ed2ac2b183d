// SPDX-License-Identifier: MIT
/*
 * The driver library of fake_driver.h. The prototypes come from runtime/cuda/driver.def, so that a
 * function whose parameters differ from its row does not compile.
 */
#include "fake_driver.h"

#include "runtime/cuda/driver_types.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

#define FUNCTION(name, export, version, need, parameters) EXPORT cu_result export parameters;
#include "runtime/cuda/driver.def"
EXPORT fake_driver_reset_function fake_driver_reset;

static struct fake_driver state;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static __thread int context_depth;

struct fake_driver *fake_driver_reset(void)
{
    state = (struct fake_driver){
        .version = 12080,
        .device_count = 1,
        .sm = 90,
        .memory_limit = (size_t)1 << 30,
    };
    return &state;
}

/* ---- books ---- */

__attribute__((format(printf, 1, 2))) static void trace(const char *format, ...)
{
    size_t length = strlen(state.trace);
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(state.trace + length, sizeof state.trace - length, format, arguments);
    va_end(arguments);
}

/* The result that the test wants from this call, or 0. Called with the lock held. */
static cu_result wanted_failure(const char *name)
{
    if (!state.failing || strcmp(state.failing, name) != 0) return 0;
    return state.failing_after-- > 0 ? 0 : state.failing_result;
}

/* Notes the call; `change` is what a good call does to `counter`. */
static cu_result note(const char *name, bool needs_context, int *counter, int change)
{
    cu_result result;

    pthread_mutex_lock(&lock);
    trace("%s\n", name);
    if (needs_context && context_depth == 0) state.wrong_context_calls++;
    result = wanted_failure(name);
    if (result == 0 && counter) *counter += change;
    pthread_mutex_unlock(&lock);
    return result;
}

#define CALL(counter, change)                                                                      \
    do {                                                                                           \
        cu_result wanted = note(__func__, true, counter, change);                                  \
        if (wanted != 0) return wanted;                                                            \
    } while (0)
#define CALL_ANYWHERE(counter, change)                                                             \
    do {                                                                                           \
        cu_result wanted = note(__func__, false, counter, change);                                 \
        if (wanted != 0) return wanted;                                                            \
    } while (0)

/* ---- start ---- */

cu_result cuInit(unsigned flags)
{
    CALL_ANYWHERE(NULL, 0);
    return state.device_count > 0 ? 0 : KG_CUDA_ERROR_NO_DEVICE;
}

cu_result cuDriverGetVersion(int *version)
{
    *version = state.version;
    return 0;
}

cu_result cuGetErrorName(cu_result result, const char **text)
{
    *text = NULL;
    switch (result) {
#define ERROR(name, number, status, help)                                                          \
    case number:                                                                                   \
        *text = "CUDA_ERROR_" #name;                                                               \
        return 0;
#include "runtime/cuda/driver.def"
    default:
        return KG_CUDA_ERROR_INVALID_VALUE;
    }
}

cu_result cuGetErrorString(cu_result result, const char **text)
{
    cu_result known = cuGetErrorName(result, text);

    if (known == 0) *text = "the fake driver's words";
    return known;
}

/* ---- devices and contexts ---- */

cu_result cuDeviceGetCount(int *count)
{
    CALL_ANYWHERE(NULL, 0);
    *count = state.device_count;
    return 0;
}

cu_result cuDeviceGet(cu_device *device, int ordinal)
{
    *device = ordinal;
    return ordinal < state.device_count ? 0 : KG_CUDA_ERROR_INVALID_DEVICE;
}

cu_result cuDeviceGetName(char *name, int length, cu_device device)
{
    snprintf(name, (size_t)length, "Fake GPU %d", device);
    return 0;
}

cu_result cuDeviceGetAttribute(int *value, cu_device_attribute attribute, cu_device device)
{
    *value = 0;
    switch (attribute) {
    case KG_CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR:
        *value = state.sm / 10;
        return 0;
    case KG_CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR:
        *value = state.sm % 10;
        return 0;
    case KG_CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT:
        *value = 132;
        return 0;
    case KG_CU_DEVICE_ATTRIBUTE_WARP_SIZE:
        *value = 32;
        return 0;
    case KG_CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK:
        *value = 1024;
        return 0;
    case KG_CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR:
        *value = 2048;
        return 0;
    case KG_CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_MULTIPROCESSOR:
        *value = 65536;
        return 0;
    case KG_CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK:
        *value = 49152;
        return 0;
    case KG_CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN:
        *value = 232448;
        return 0;
    case KG_CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR:
        *value = 233472;
        return 0;
    case KG_CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE:
        *value = 52428800;
        return 0;
    case KG_CU_DEVICE_ATTRIBUTE_CLUSTER_LAUNCH:
        *value = state.sm >= 90;
        return 0;
    default:
        return KG_CUDA_ERROR_INVALID_VALUE; /* the clocks, as in newer drivers */
    }
}

cu_result cuDeviceTotalMem_v2(size_t *bytes, cu_device device)
{
    *bytes = state.memory_limit;
    return 0;
}

cu_result cuDevicePrimaryCtxRetain(cu_context *context, cu_device device)
{
    CALL_ANYWHERE(&state.contexts, 1);
    *context = (cu_context)(uintptr_t)(4096 + device);
    return 0;
}

cu_result cuDevicePrimaryCtxRelease_v2(cu_device device)
{
    CALL_ANYWHERE(&state.contexts, -1);
    return 0;
}

cu_result cuCtxPushCurrent_v2(cu_context context)
{
    pthread_mutex_lock(&lock);
    cu_result result = wanted_failure("cuCtxPushCurrent_v2");
    pthread_mutex_unlock(&lock);
    if (result == 0) context_depth++;
    return result;
}

cu_result cuCtxPopCurrent_v2(cu_context *context)
{
    if (context_depth == 0) return KG_CUDA_ERROR_INVALID_CONTEXT;
    context_depth--;
    return 0;
}

cu_result cuCtxSynchronize(void)
{
    CALL(NULL, 0);
    return 0;
}

/* ---- memory ---- */

cu_result cuMemAlloc_v2(cu_address *address, size_t bytes)
{
    cu_result result = note(__func__, true, &state.allocations, 1);

    if (result != 0) return result;
    if (bytes <= state.memory_limit) {
        *address = (cu_address)(uintptr_t)malloc(bytes);
        return 0;
    }
    pthread_mutex_lock(&lock);
    state.allocations--;
    pthread_mutex_unlock(&lock);
    return KG_CUDA_ERROR_OUT_OF_MEMORY;
}

cu_result cuMemFree_v2(cu_address address)
{
    CALL(&state.allocations, -1);
    free((void *)(uintptr_t)address);
    return 0;
}

cu_result cuMemGetInfo_v2(size_t *available, size_t *total)
{
    CALL(NULL, 0);
    *available = state.memory_limit / 2;
    *total = state.memory_limit;
    return 0;
}

cu_result cuMemAllocHost_v2(void **memory, size_t bytes)
{
    CALL(&state.host_allocations, 1);
    *memory = malloc(bytes);
    return 0;
}

cu_result cuMemFreeHost(void *memory)
{
    CALL(&state.host_allocations, -1);
    free(memory);
    return 0;
}

cu_result cuMemcpyHtoDAsync_v2(cu_address to, const void *from, size_t bytes, cu_stream stream)
{
    CALL(NULL, 0);
    memcpy((void *)(uintptr_t)to, from, bytes);
    return 0;
}

cu_result cuMemcpyDtoHAsync_v2(void *to, cu_address from, size_t bytes, cu_stream stream)
{
    CALL(NULL, 0);
    memcpy(to, (void *)(uintptr_t)from, bytes);
    return 0;
}

cu_result cuMemcpyDtoDAsync_v2(cu_address to, cu_address from, size_t bytes, cu_stream stream)
{
    CALL(NULL, 0);
    memmove((void *)(uintptr_t)to, (void *)(uintptr_t)from, bytes);
    return 0;
}

cu_result cuMemsetD8Async(cu_address to, unsigned char value, size_t count, cu_stream stream)
{
    CALL(NULL, 0);
    memset((void *)(uintptr_t)to, value, count);
    return 0;
}

cu_result cuMemsetD32Async(cu_address to, unsigned value, size_t count, cu_stream stream)
{
    unsigned *words = (unsigned *)(uintptr_t)to;

    CALL(NULL, 0);
    for (size_t i = 0; i < count; i++) words[i] = value;
    return 0;
}

/* ---- modules ---- */

static void write_log(int option, int size_option, unsigned count, const cu_jit_option *options,
                      void **values, const char *text)
{
    char *buffer = NULL;
    size_t bytes = 0;

    for (unsigned i = 0; i < count; i++) {
        if (options[i] == option) buffer = values[i];
        if (options[i] == size_option) bytes = (uintptr_t)values[i];
    }
    if (buffer && bytes && text) snprintf(buffer, bytes, "%s", text);
}

/* What compiling does: the logs, and the length of the text to see that it ended with a zero. */
static void compile(const void *image, cu_result result, unsigned count,
                    const cu_jit_option *options, void **values)
{
    if (memcmp(image, "\177ELF", 4) != 0) state.last_module_bytes = (int)strlen(image);
    if (result != 0)
        write_log(KG_CU_JIT_ERROR_LOG_BUFFER, KG_CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES, count, options,
                  values, state.error_log);
    else
        write_log(KG_CU_JIT_INFO_LOG_BUFFER, KG_CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES, count, options,
                  values, state.info_log);
    for (unsigned i = 0; i < count; i++)
        if (options[i] == KG_CU_JIT_LOG_VERBOSE || options[i] == KG_CU_JIT_GENERATE_LINE_INFO)
            trace("option %d = %d\n", options[i], (int)(uintptr_t)values[i]);
}

cu_result cuModuleLoadDataEx(cu_module *module, const void *image, unsigned count,
                             cu_jit_option *options, void **values)
{
    cu_result result = note(__func__, true, &state.modules, 1);

    compile(image, result, count, options, values);
    *module = (cu_module)(uintptr_t)8192;
    return result;
}

cu_result cuModuleUnload(cu_module module)
{
    CALL(&state.modules, -1);
    return 0;
}

cu_result cuModuleGetFunction(cu_function *function, cu_module module, const char *name)
{
    CALL(NULL, 0);
    if (strcmp(name, "absent") == 0) return KG_CUDA_ERROR_NOT_FOUND;
    *function = (cu_function)(uintptr_t)8256;
    return 0;
}

#ifndef FAKE_DRIVER_PLAIN
cu_result cuLibraryLoadData(cu_library *library, const void *image, cu_jit_option *options,
                            void **values, unsigned count, cu_library_option *library_options,
                            void **library_values, unsigned library_count)
{
    cu_result result = note(__func__, false, &state.libraries, 1);

    compile(image, result, count, options, values);
    *library = (cu_library)(uintptr_t)8320;
    return result;
}

cu_result cuLibraryUnload(cu_library library)
{
    CALL_ANYWHERE(&state.libraries, -1);
    return 0;
}

cu_result cuLibraryGetModule(cu_module *module, cu_library library)
{
    CALL(NULL, 0);
    *module = (cu_module)(uintptr_t)8192;
    return 0;
}
#endif

/* ---- kernels ---- */

cu_result cuFuncGetAttribute(int *value, cu_function_attribute attribute, cu_function function)
{
    CALL(NULL, 0);
    switch (attribute) {
    case KG_CU_FUNC_ATTRIBUTE_NUM_REGS:
        *value = 154;
        break;
    case KG_CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES:
        *value = 16;
        break;
    case KG_CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES:
        *value = state.static_shared_bytes;
        break;
    case KG_CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES:
        *value = 49152;
        break;
    case KG_CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK:
        *value = 256;
        break;
    case KG_CU_FUNC_ATTRIBUTE_BINARY_VERSION:
        *value = state.sm;
        break;
    case KG_CU_FUNC_ATTRIBUTE_PTX_VERSION:
        *value = 80;
        break;
    default:
        *value = 0;
    }
    return 0;
}

cu_result cuFuncSetAttribute(cu_function function, cu_function_attribute attribute, int value)
{
    CALL(NULL, 0);
    state.last_dynamic_shared = value;
    return 0;
}

cu_result cuOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, cu_function function,
                                                      int threads, size_t shared_bytes)
{
    CALL(NULL, 0);
    *blocks = 2048 / threads;
    return 0;
}

cu_result cuLaunchKernel(cu_function function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                         unsigned block_x, unsigned block_y, unsigned block_z,
                         unsigned shared_bytes, cu_stream stream, void **parameters, void **extra)
{
    CALL(NULL, 0);
    trace("grid %u %u %u block %u %u %u shared %u\n", grid_x, grid_y, grid_z, block_x, block_y,
          block_z, shared_bytes);
    return 0;
}

#ifndef FAKE_DRIVER_PLAIN
cu_result cuLaunchKernelEx(const cu_launch_config *config, cu_function function, void **parameters,
                           void **extra)
{
    CALL(NULL, 0);
    trace("grid %u %u %u block %u %u %u shared %u argument %d\n", config->grid_x, config->grid_y,
          config->grid_z, config->block_x, config->block_y, config->block_z, config->shared_bytes,
          parameters ? *(int *)parameters[0] : 0);
    for (unsigned i = 0; i < config->attribute_count; i++) {
        const cu_launch_attribute *attribute = &config->attributes[i];

        if (attribute->id == KG_CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION)
            trace("cluster %u %u %u\n", attribute->value.cluster.x, attribute->value.cluster.y,
                  attribute->value.cluster.z);
        if (attribute->id == KG_CU_LAUNCH_ATTRIBUTE_COOPERATIVE)
            trace("cooperative %d\n", attribute->value.cooperative);
        if (attribute->id == KG_CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION)
            trace("programmatic %d\n", attribute->value.programmatic);
    }
    return 0;
}
#endif

#ifndef FAKE_DRIVER_PLAIN
cu_result cuTensorMapEncodeTiled(cu_tensor_map *map, cu_tensor_type type, unsigned rank,
                                 void *address, const uint64_t *sizes, const uint64_t *strides,
                                 const uint32_t *box, const uint32_t *steps,
                                 cu_tensor_interleave interleave, cu_tensor_swizzle swizzle,
                                 cu_tensor_promotion promotion, cu_tensor_fill fill)
{
    CALL(NULL, 0);
    trace("map type %d rank %u at %p swizzle %d fill %d\n", type, rank, address, swizzle, fill);
    for (unsigned i = 0; i < rank; i++)
        trace("dimension %u: %llu by %llu box %u step %u\n", i, (unsigned long long)sizes[i],
              i ? (unsigned long long)strides[i - 1] : 0, box[i], steps[i]);
    memset(map, 0x5a, sizeof *map);
    return 0;
}
#endif

/* ---- streams and events ---- */

cu_result cuStreamCreate(cu_stream *stream, unsigned flags)
{
    CALL(&state.streams, 1);
    trace("flags %u\n", flags);
    *stream = (cu_stream)(uintptr_t)12288;
    return 0;
}

cu_result cuStreamDestroy_v2(cu_stream stream)
{
    CALL(&state.streams, -1);
    return 0;
}

cu_result cuStreamSynchronize(cu_stream stream)
{
    CALL(NULL, 0);
    return 0;
}

cu_result cuStreamWaitEvent(cu_stream stream, cu_event event, unsigned flags)
{
    CALL(NULL, 0);
    return 0;
}

cu_result cuEventCreate(cu_event *event, unsigned flags)
{
    CALL(&state.events, 1);
    *event = (cu_event)(uintptr_t)12352;
    return 0;
}

cu_result cuEventDestroy_v2(cu_event event)
{
    CALL(&state.events, -1);
    return 0;
}

cu_result cuEventRecord(cu_event event, cu_stream stream)
{
    CALL(NULL, 0);
    return 0;
}

cu_result cuEventSynchronize(cu_event event)
{
    CALL(NULL, 0);
    return 0;
}

cu_result cuEventElapsedTime(float *milliseconds, cu_event start, cu_event end)
{
    CALL(NULL, 0);
    *milliseconds = 1.5f;
    return 0;
}

/* ---- cuGetProcAddress ---- */

#ifndef FAKE_DRIVER_PLAIN
struct row {
    const char *name;
    int version;
    void *address;
};

static cu_result find(const char *name, void **address, int version)
{
    const struct row rows[] = {
#define FUNCTION(name, export, version, need, parameters) {#name, version, (void *)export},
#include "runtime/cuda/driver.def"
    };

    *address = NULL;
    for (size_t i = 0; i < sizeof state.hidden / sizeof state.hidden[0]; i++)
        if (state.hidden[i] && strcmp(state.hidden[i], name) == 0) return KG_CUDA_ERROR_NOT_FOUND;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (strcmp(rows[i].name, name) == 0 && version >= rows[i].version)
            *address = rows[i].address;
    return *address ? 0 : KG_CUDA_ERROR_NOT_FOUND;
}

#ifdef FAKE_DRIVER_11
EXPORT cu_result cuGetProcAddress(const char *name, void **address, int version,
                                  unsigned long long flags);

cu_result cuGetProcAddress(const char *name, void **address, int version, unsigned long long flags)
{
    return find(name, address, version);
}
#else
EXPORT cu_result cuGetProcAddress_v2(const char *name, void **address, int version,
                                     unsigned long long flags, int *found);

cu_result cuGetProcAddress_v2(const char *name, void **address, int version,
                              unsigned long long flags, int *found)
{
    cu_result result = find(name, address, version);

    *found = result == 0 ? 0 : 1;
    return result;
}
#endif
#endif
