// SPDX-License-Identifier: MIT
// Contexts: the primary one, those that the host creates, and which of them a thread has current.
// All of them are on one device and share its memory; each has its own objects and its own error.
#include "driver.h"

#include <string.h>

static __thread struct {
    uint64_t handles[MAX_CONTEXTS_OF_THREAD];
    int count;
} current;
static __thread cu_capture_mode capture_mode;

static uint64_t top(void)
{
    return current.count ? current.handles[current.count - 1] : 0;
}

cu_result driver_enter_context(struct context **context)
{
    cu_result result = driver_enter();

    if (result) return result;
    *context = driver_find_number(top(), KIND_CONTEXT);
    if (!*context)
        return driver_leave(top() ? CUDA_ERROR_CONTEXT_IS_DESTROYED : CUDA_ERROR_INVALID_CONTEXT);
    return (*context)->error ? driver_leave((*context)->error) : CUDA_SUCCESS;
}

// The same for what works in a context with an error, too.
static cu_result enter_any(struct context **context)
{
    cu_result result = driver_enter();

    if (result) return result;
    *context = driver_find_number(top(), KIND_CONTEXT);
    return *context ? CUDA_SUCCESS : driver_leave(CUDA_ERROR_INVALID_CONTEXT);
}

// With no work left in the queue: what is destroyed now is used by nobody.
static cu_result enter_drained(void)
{
    cu_result result = driver_enter();

    if (!result) driver_drain();
    return result;
}

static void set_defaults(struct context *context)
{
    static const size_t limits[LIMIT_COUNT] = {1024, 1 << 20, 8 << 20, 2, 2048, 64, 0};

    context->error = CUDA_SUCCESS;
    context->cache = 0;
    memcpy(context->limits, limits, sizeof limits);
}

static struct context *make(unsigned flags)
{
    struct context *context = driver_new(KIND_CONTEXT, sizeof *context, NULL);

    if (!context) return NULL;
    context->flags = flags;
    set_defaults(context);
    return context;
}

struct context *driver_primary(void)
{
    struct driver *d = &the_driver;

    if (!d->primary) d->primary = make(d->primary_flags);
    if (d->primary) d->primary->primary = true;
    return d->primary;
}

// Everything that the host made in it. The caller has drained the queue since it took the lock.
static void clear(struct context *context)
{
    driver_free_context_objects(context);
    driver_forget_memories(context, NULL);
}

// ---- the primary context -----------------------------------------------------------------------

cu_result cuDevicePrimaryCtxRetain(cu_context *context, cu_device device)
{
    cu_result result = driver_enter();
    struct context *primary;

    if (result) return result;
    if (!driver_is_device(device)) return driver_leave(CUDA_ERROR_INVALID_DEVICE);
    if (!context) return driver_leave(CUDA_ERROR_INVALID_VALUE);
    primary = driver_primary();
    if (!primary) return driver_leave(CUDA_ERROR_OUT_OF_MEMORY);
    primary->retained++;
    *context = HANDLE_OF(cu_context, primary);
    return driver_leave(CUDA_SUCCESS);
}

// A context that is nobody's any more gets a new handle: the old one is one of a destroyed context.
static void reset_primary(void)
{
    struct driver *d = &the_driver;
    struct context *context = d->primary;

    if (!context) return;
    clear(context);
    d->primary = NULL;
    driver_delete(context);
}

cu_result cuDevicePrimaryCtxRelease_v2(cu_device device)
{
    cu_result result = enter_drained();
    struct context *primary;

    if (result) return result;
    primary = the_driver.primary;
    if (!driver_is_device(device)) return driver_leave(CUDA_ERROR_INVALID_DEVICE);
    if (!primary || !primary->retained) return driver_leave(CUDA_ERROR_INVALID_CONTEXT);
    if (--primary->retained == 0) reset_primary();
    return driver_leave(CUDA_SUCCESS);
}

cu_result cuDevicePrimaryCtxRelease(cu_device device)
{
    return cuDevicePrimaryCtxRelease_v2(device);
}

// Those who retained it keep it, empty and without error.
cu_result cuDevicePrimaryCtxReset_v2(cu_device device)
{
    cu_result result = enter_drained();
    struct context *primary;

    if (result) return result;
    primary = the_driver.primary;
    if (!driver_is_device(device)) return driver_leave(CUDA_ERROR_INVALID_DEVICE);
    if (primary) {
        clear(primary);
        set_defaults(primary);
    }
    return driver_leave(CUDA_SUCCESS);
}

cu_result cuDevicePrimaryCtxReset(cu_device device)
{
    return cuDevicePrimaryCtxReset_v2(device);
}

cu_result cuDevicePrimaryCtxGetState(cu_device device, unsigned *flags, int *active)
{
    cu_result result = driver_enter();

    if (result) return result;
    if (!driver_is_device(device)) return driver_leave(CUDA_ERROR_INVALID_DEVICE);
    if (!flags || !active) return driver_leave(CUDA_ERROR_INVALID_VALUE);
    *flags = the_driver.primary_flags;
    *active = the_driver.primary && the_driver.primary->retained;
    return driver_leave(CUDA_SUCCESS);
}

// Of the ways to wait one may be chosen. None makes a difference here.
static bool flags_are_valid(unsigned flags)
{
    unsigned way = flags & CU_CTX_SCHED_MASK;

    return !(flags & ~(unsigned)CU_CTX_FLAGS_MASK) && (way & (way - 1)) == 0;
}

cu_result cuDevicePrimaryCtxSetFlags_v2(cu_device device, unsigned flags)
{
    cu_result result = driver_enter();

    if (result) return result;
    if (!driver_is_device(device)) return driver_leave(CUDA_ERROR_INVALID_DEVICE);
    if (!flags_are_valid(flags)) return driver_leave(CUDA_ERROR_INVALID_VALUE);
    the_driver.primary_flags = flags;
    if (the_driver.primary) the_driver.primary->flags = flags;
    return driver_leave(CUDA_SUCCESS);
}

cu_result cuDevicePrimaryCtxSetFlags(cu_device device, unsigned flags)
{
    return cuDevicePrimaryCtxSetFlags_v2(device, flags);
}

// ---- the host's own contexts -------------------------------------------------------------------

cu_result cuCtxCreate_v2(cu_context *out, unsigned flags, cu_device device)
{
    cu_result result = driver_enter();
    struct context *context;

    if (result) return result;
    if (!out || !flags_are_valid(flags)) return driver_leave(CUDA_ERROR_INVALID_VALUE);
    if (!driver_is_device(device)) return driver_leave(CUDA_ERROR_INVALID_DEVICE);
    if (current.count == MAX_CONTEXTS_OF_THREAD) return driver_leave(CUDA_ERROR_OUT_OF_MEMORY);
    context = make(flags);
    if (!context) return driver_leave(CUDA_ERROR_OUT_OF_MEMORY);
    current.handles[current.count++] = context->object.handle;
    *out = HANDLE_OF(cu_context, context);
    return driver_leave(CUDA_SUCCESS);
}

cu_result cuCtxCreate_v3(cu_context *out, cu_affinity *affinities, int count, unsigned flags,
                         cu_device device)
{
    return affinities || count ? CUDA_ERROR_UNSUPPORTED_EXEC_AFFINITY
                               : cuCtxCreate_v2(out, flags, device);
}

cu_result cuCtxCreate_v4(cu_context *out, cu_context_params *params, unsigned flags,
                         cu_device device)
{
    if (params && params->graphics) return CUDA_ERROR_NOT_SUPPORTED;
    return params ? cuCtxCreate_v3(out, params->affinities, params->affinity_count, flags, device)
                  : cuCtxCreate_v2(out, flags, device);
}

cu_result cuCtxDestroy_v2(cu_context handle)
{
    cu_result result = enter_drained();
    struct context *context;

    if (result) return result;
    context = driver_find(handle, KIND_CONTEXT);
    if (!context || context->primary) return driver_leave(CUDA_ERROR_INVALID_CONTEXT);
    if (top() == context->object.handle) current.count--;
    clear(context);
    driver_delete(context);
    return driver_leave(CUDA_SUCCESS);
}

cu_result cuCtxPushCurrent_v2(cu_context handle)
{
    cu_result result = driver_enter();

    if (result) return result;
    if (!driver_find(handle, KIND_CONTEXT)) return driver_leave(CUDA_ERROR_INVALID_CONTEXT);
    if (current.count == MAX_CONTEXTS_OF_THREAD) return driver_leave(CUDA_ERROR_OUT_OF_MEMORY);
    current.handles[current.count++] = (uint64_t)(uintptr_t)handle;
    return driver_leave(CUDA_SUCCESS);
}

cu_result cuCtxPopCurrent_v2(cu_context *handle)
{
    cu_result result = driver_enter();

    if (result) return result;
    if (!current.count) return driver_leave(CUDA_ERROR_INVALID_CONTEXT);
    if (handle) *handle = (cu_context)(uintptr_t)top();
    current.count--;
    return driver_leave(CUDA_SUCCESS);
}

// NULL takes the top away; otherwise it is replaced.
cu_result cuCtxSetCurrent(cu_context handle)
{
    cu_result result = driver_enter();

    if (result) return result;
    if (handle && !driver_find(handle, KIND_CONTEXT))
        return driver_leave(CUDA_ERROR_INVALID_CONTEXT);
    if (current.count) current.count--;
    if (handle) current.handles[current.count++] = (uint64_t)(uintptr_t)handle;
    return driver_leave(CUDA_SUCCESS);
}

cu_result cuCtxGetCurrent(cu_context *handle)
{
    cu_result result = driver_enter();

    if (result) return result;
    if (!handle) return driver_leave(CUDA_ERROR_INVALID_VALUE);
    *handle = (cu_context)(uintptr_t)top();
    return driver_leave(CUDA_SUCCESS);
}

// ---- what a context is asked and told ----------------------------------------------------------

// The context of a handle, or the current one for NULL.
static cu_result enter_this(cu_context handle, struct context **context)
{
    cu_result result;

    if (!handle) return enter_any(context);
    result = driver_enter();
    if (result) return result;
    *context = driver_find(handle, KIND_CONTEXT);
    return *context ? CUDA_SUCCESS : driver_leave(CUDA_ERROR_INVALID_CONTEXT);
}

cu_result cuCtxGetDevice_v2(cu_device *device, cu_context handle)
{
    struct context *context;
    cu_result result = enter_this(handle, &context);

    if (result) return result;
    if (!device) return driver_leave(CUDA_ERROR_INVALID_VALUE);
    *device = 0;
    return driver_leave(CUDA_SUCCESS);
}

cu_result cuCtxGetDevice(cu_device *device)
{
    return cuCtxGetDevice_v2(device, NULL);
}

cu_result cuCtxGetFlags(unsigned *flags)
{
    struct context *context;
    cu_result result = enter_any(&context);

    if (result) return result;
    if (!flags) return driver_leave(CUDA_ERROR_INVALID_VALUE);
    *flags = context->flags;
    return driver_leave(CUDA_SUCCESS);
}

cu_result cuCtxSetFlags(unsigned flags)
{
    struct context *context;
    cu_result result = driver_enter_context(&context);

    if (result) return result;
    if (!flags_are_valid(flags)) return driver_leave(CUDA_ERROR_INVALID_VALUE);
    context->flags = flags;
    return driver_leave(CUDA_SUCCESS);
}

cu_result cuCtxGetId(cu_context handle, unsigned long long *id)
{
    struct context *context;
    cu_result result = enter_this(handle, &context);

    if (result) return result;
    if (!id) return driver_leave(CUDA_ERROR_INVALID_VALUE);
    *id = context->object.handle;
    return driver_leave(CUDA_SUCCESS);
}

cu_result cuCtxGetApiVersion(cu_context handle, unsigned *version)
{
    struct context *context;
    cu_result result = enter_this(handle, &context);

    if (result) return result;
    if (!version) return driver_leave(CUDA_ERROR_INVALID_VALUE);
    *version = 3020;
    return driver_leave(CUDA_SUCCESS);
}

cu_result cuCtxSynchronize_v2(cu_context handle)
{
    struct context *context;
    cu_result result = enter_this(handle, &context);

    return result ? result : driver_leave(driver_wait(context, context->issued));
}

cu_result cuCtxSynchronize(void)
{
    return cuCtxSynchronize_v2(NULL);
}

cu_result cuCtxSetLimit(cu_limit limit, size_t value)
{
    struct context *context;
    cu_result result = driver_enter_context(&context);

    if (result) return result;
    if (limit < 0 || limit >= LIMIT_COUNT) return driver_leave(CUDA_ERROR_UNSUPPORTED_LIMIT);
    context->limits[limit] = value;
    return driver_leave(CUDA_SUCCESS);
}

cu_result cuCtxGetLimit(size_t *value, cu_limit limit)
{
    struct context *context;
    cu_result result = driver_enter_context(&context);

    if (result) return result;
    if (!value) return driver_leave(CUDA_ERROR_INVALID_VALUE);
    if (limit < 0 || limit >= LIMIT_COUNT) return driver_leave(CUDA_ERROR_UNSUPPORTED_LIMIT);
    *value = context->limits[limit];
    return driver_leave(CUDA_SUCCESS);
}

cu_result cuCtxGetCacheConfig(cu_cache_config *config)
{
    struct context *context;
    cu_result result = driver_enter_context(&context);

    if (result) return result;
    if (!config) return driver_leave(CUDA_ERROR_INVALID_VALUE);
    *config = context->cache;
    return driver_leave(CUDA_SUCCESS);
}

cu_result cuCtxSetCacheConfig(cu_cache_config config)
{
    struct context *context;
    cu_result result = driver_enter_context(&context);

    if (result) return result;
    if (config < 0 || config > CU_FUNC_CACHE_PREFER_EQUAL)
        return driver_leave(CUDA_ERROR_INVALID_VALUE);
    context->cache = config;
    return driver_leave(CUDA_SUCCESS);
}

cu_result cuCtxGetSharedMemConfig(cu_bank_config *config)
{
    struct context *context;
    cu_result result = driver_enter_context(&context);

    if (result) return result;
    if (!config) return driver_leave(CUDA_ERROR_INVALID_VALUE);
    *config = CU_SHARED_MEM_CONFIG_FOUR_BYTE_BANK_SIZE;
    return driver_leave(CUDA_SUCCESS);
}

// As on every device since Maxwell: accepted, without effect.
cu_result cuCtxSetSharedMemConfig(cu_bank_config config)
{
    struct context *context;
    cu_result result = driver_enter_context(&context);

    if (result) return result;
    return driver_leave(config < 0 || config > CU_SHARED_MEM_CONFIG_EIGHT_BYTE_BANK_SIZE
                            ? CUDA_ERROR_INVALID_VALUE
                            : CUDA_SUCCESS);
}

cu_result cuCtxGetStreamPriorityRange(int *least, int *greatest)
{
    struct context *context;
    cu_result result = driver_enter_context(&context);

    if (result) return result;
    if (least) *least = 0;
    if (greatest) *greatest = -5;
    return driver_leave(CUDA_SUCCESS);
}

cu_result cuCtxResetPersistingL2Cache(void)
{
    struct context *context;
    cu_result result = driver_enter_context(&context);

    return result ? result : driver_leave(CUDA_SUCCESS);
}

// There is one device only.
cu_result cuCtxEnablePeerAccess(cu_context peer, unsigned flags)
{
    struct context *context;
    cu_result result = driver_enter_context(&context);

    if (result) return result;
    if (flags) return driver_leave(CUDA_ERROR_INVALID_VALUE);
    if (!driver_find(peer, KIND_CONTEXT)) return driver_leave(CUDA_ERROR_INVALID_CONTEXT);
    return driver_leave(CUDA_ERROR_PEER_ACCESS_UNSUPPORTED);
}

cu_result cuCtxDisablePeerAccess(cu_context peer)
{
    struct context *context;
    cu_result result = driver_enter_context(&context);

    if (result) return result;
    if (!driver_find(peer, KIND_CONTEXT)) return driver_leave(CUDA_ERROR_INVALID_CONTEXT);
    return driver_leave(CUDA_ERROR_PEER_ACCESS_NOT_ENABLED);
}

cu_result cuThreadExchangeStreamCaptureMode(cu_capture_mode *mode)
{
    cu_capture_mode before = capture_mode;

    if (!mode || *mode < 0 || *mode > CU_STREAM_CAPTURE_MODE_RELAXED)
        return CUDA_ERROR_INVALID_VALUE;
    capture_mode = *mode;
    *mode = before;
    return CUDA_SUCCESS;
}
