// SPDX-License-Identifier: MIT
/*
 * Devices and contexts, memory, streams and events.
 *
 * The primary context of a device is the one that the CUDA runtime and PyTorch use, so that a host
 * can mix their buffers with ours. Each call pushes it and pops it again: the host's own current
 * context is what it was. Retaining is counted by the driver.
 */
#include "driver.h"

#include <string.h>

/* ---- devices ---- */

enum kg_cuda_status kg_cuda_device_count(struct kg_cuda_driver *driver, int *count)
{
    *count = 0;
    return driver_check(driver, driver->api.cuDeviceGetCount(count), "count the CUDA devices");
}

static enum kg_cuda_status find_device(struct kg_cuda_driver *driver, int ordinal,
                                       cu_device *device)
{
    int count;
    enum kg_cuda_status status = kg_cuda_device_count(driver, &count);

    if (status != KG_CUDA_OK) return status;
    if (ordinal < 0 || ordinal >= count)
        return driver_report(&driver->config, KG_CUDA_ERROR, KG_CUDA_NO_DEVICE,
                             "no CUDA device %d: there %s %d, counted from 0", ordinal,
                             count == 1 ? "is" : "are", count);
    return driver_check(driver, driver->api.cuDeviceGet(device, ordinal), "find CUDA device %d",
                        ordinal);
}

struct info_row {
    int attribute;
    size_t offset; /* of an int in struct kg_cuda_device_info */
    bool required; /* clocks are gone from newer drivers */
};

#define INFO_ROW(name, field, required)                                                            \
    {                                                                                              \
        KG_CU_DEVICE_ATTRIBUTE_##name, offsetof(struct kg_cuda_device_info, field), required       \
    }

static const struct info_row info_rows[] = {
    INFO_ROW(MULTIPROCESSOR_COUNT, multiprocessors, true),
    INFO_ROW(WARP_SIZE, warp_size, true),
    INFO_ROW(MAX_THREADS_PER_BLOCK, threads_per_block, true),
    INFO_ROW(MAX_THREADS_PER_MULTIPROCESSOR, threads_per_multiprocessor, true),
    INFO_ROW(MAX_REGISTERS_PER_MULTIPROCESSOR, registers_per_multiprocessor, true),
    INFO_ROW(MAX_SHARED_MEMORY_PER_BLOCK, shared_per_block, true),
    INFO_ROW(MAX_SHARED_MEMORY_PER_BLOCK_OPTIN, shared_per_block_opt_in, true),
    INFO_ROW(MAX_SHARED_MEMORY_PER_MULTIPROCESSOR, shared_per_multiprocessor, true),
    INFO_ROW(L2_CACHE_SIZE, l2_bytes, true),
    INFO_ROW(CLOCK_RATE, clock_khz, false),
    INFO_ROW(MEMORY_CLOCK_RATE, memory_clock_khz, false),
    INFO_ROW(GLOBAL_MEMORY_BUS_WIDTH, memory_bus_bits, false),
};

static enum kg_cuda_status read_attributes(struct kg_cuda_driver *driver, cu_device device,
                                           struct kg_cuda_device_info *info)
{
    for (size_t i = 0; i < sizeof info_rows / sizeof info_rows[0]; i++) {
        const struct info_row *row = &info_rows[i];
        int value = 0;
        cu_result result = driver->api.cuDeviceGetAttribute(&value, row->attribute, device);

        if (result != 0 && row->required)
            return driver_check(driver, result, "read attribute %d of CUDA device %d",
                                row->attribute, info->ordinal);
        if (result != 0) value = 0;
        memcpy((char *)info + row->offset, &value, sizeof value);
    }
    return KG_CUDA_OK;
}

static enum kg_cuda_status read_info(struct kg_cuda_driver *driver, cu_device device,
                                     struct kg_cuda_device_info *info)
{
    const struct driver_api *api = &driver->api;
    int major = 0, minor = 0, clusters = 0;
    size_t bytes = 0;
    cu_result result;

    result = api->cuDeviceGetName(info->name, sizeof info->name, device);
    if (result == 0)
        result = api->cuDeviceGetAttribute(&major, KG_CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR,
                                           device);
    if (result == 0)
        result = api->cuDeviceGetAttribute(&minor, KG_CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR,
                                           device);
    if (result == 0) result = api->cuDeviceTotalMem(&bytes, device);
    if (result != 0) return driver_check(driver, result, "describe CUDA device %d", info->ordinal);
    /* Drivers before 11.8 do not know this attribute. */
    if (api->cuDeviceGetAttribute(&clusters, KG_CU_DEVICE_ATTRIBUTE_CLUSTER_LAUNCH, device) != 0)
        clusters = 0;
    info->name[sizeof info->name - 1] = '\0';
    info->sm = 10 * major + minor;
    info->driver_version = driver->version;
    info->memory_bytes = bytes;
    info->has_clusters = clusters != 0 && api->cuLaunchKernelEx;
    return read_attributes(driver, device, info);
}

enum kg_cuda_status kg_cuda_device_info(struct kg_cuda_driver *driver, int ordinal,
                                        struct kg_cuda_device_info *info)
{
    cu_device device;
    enum kg_cuda_status status;

    *info = (struct kg_cuda_device_info){.ordinal = ordinal};
    status = find_device(driver, ordinal, &device);
    return status == KG_CUDA_OK ? read_info(driver, device, info) : status;
}

/* ---- contexts ---- */

enum kg_cuda_status kg_cuda_context_retain(struct kg_cuda_driver *driver, int ordinal,
                                           struct kg_cuda_context **context)
{
    struct kg_cuda_context made = {.driver = driver, .info.ordinal = ordinal};
    enum kg_cuda_status status = find_device(driver, ordinal, &made.device);

    *context = NULL;
    if (status == KG_CUDA_OK) status = read_info(driver, made.device, &made.info);
    if (status != KG_CUDA_OK) return status;
    *context = driver_malloc(driver, sizeof made);
    if (!*context) return KG_CUDA_OUT_OF_HOST_MEMORY;
    status = driver_check(driver, driver->api.cuDevicePrimaryCtxRetain(&made.handle, made.device),
                          "open a context on CUDA device %d", ordinal);
    if (status == KG_CUDA_OK) {
        **context = made;
        return status;
    }
    driver_free(driver, *context);
    *context = NULL;
    return status;
}

void kg_cuda_context_release(struct kg_cuda_context *context)
{
    if (!context) return;
    context->driver->api.cuDevicePrimaryCtxRelease(context->device);
    driver_free(context->driver, context);
}

const struct kg_cuda_device_info *kg_cuda_context_device(const struct kg_cuda_context *context)
{
    return &context->info;
}

enum kg_cuda_status context_enter(struct kg_cuda_context *context)
{
    return driver_check(context->driver, context->driver->api.cuCtxPushCurrent(context->handle),
                        "make the context of CUDA device %d current", context->info.ordinal);
}

void context_leave(struct kg_cuda_context *context)
{
    cu_context ours;

    context->driver->api.cuCtxPopCurrent(&ours);
}

enum kg_cuda_status kg_cuda_synchronize(struct kg_cuda_context *context)
{
    RETURN_DRIVER_CALL(context, cuCtxSynchronize(), "finish the work on CUDA device %d (%s)",
                       context->info.ordinal, context->info.name);
}

/* ---- memory ---- */

enum kg_cuda_status kg_cuda_memory_alloc(struct kg_cuda_context *context, size_t bytes,
                                         uint64_t *address)
{
    cu_address allocated = 0;
    enum kg_cuda_status status;
    cu_result result;

    *address = 0;
    if (bytes == 0) return KG_CUDA_OK;
    status = context_enter(context);
    if (status != KG_CUDA_OK) return status;
    result = context->driver->api.cuMemAlloc(&allocated, bytes);
    context_leave(context);
    if (result == 0) *address = allocated;
    return driver_check(context->driver, result, "allocate %zu bytes on CUDA device %d (%s)", bytes,
                        context->info.ordinal, context->info.name);
}

enum kg_cuda_status kg_cuda_memory_free(struct kg_cuda_context *context, uint64_t address)
{
    if (address == 0) return KG_CUDA_OK;
    RETURN_DRIVER_CALL(context, cuMemFree(address), "free device memory");
}

enum kg_cuda_status kg_cuda_memory_info(struct kg_cuda_context *context, size_t *available,
                                        size_t *total)
{
    *available = *total = 0;
    RETURN_DRIVER_CALL(context, cuMemGetInfo(available, total), "ask for free device memory");
}

enum kg_cuda_status kg_cuda_host_alloc(struct kg_cuda_context *context, size_t bytes, void **memory)
{
    *memory = NULL;
    if (bytes == 0) return KG_CUDA_OK;
    RETURN_DRIVER_CALL(context, cuMemAllocHost(memory, bytes),
                       "allocate %zu bytes of page-locked host memory", bytes);
}

enum kg_cuda_status kg_cuda_host_free(struct kg_cuda_context *context, void *memory)
{
    if (!memory) return KG_CUDA_OK;
    RETURN_DRIVER_CALL(context, cuMemFreeHost(memory), "free page-locked host memory");
}

static cu_stream stream_of(struct kg_cuda_stream *stream)
{
    return (cu_stream)stream;
}

static cu_event event_of(struct kg_cuda_event *event)
{
    return (cu_event)event;
}

enum kg_cuda_status kg_cuda_copy_to_device(struct kg_cuda_context *context, uint64_t to,
                                           const void *from, size_t bytes,
                                           struct kg_cuda_stream *stream)
{
    if (bytes == 0) return KG_CUDA_OK;
    RETURN_DRIVER_CALL(context, cuMemcpyHtoDAsync(to, from, bytes, stream_of(stream)),
                       "copy %zu bytes to CUDA device %d", bytes, context->info.ordinal);
}

enum kg_cuda_status kg_cuda_copy_to_host(struct kg_cuda_context *context, void *to, uint64_t from,
                                         size_t bytes, struct kg_cuda_stream *stream)
{
    if (bytes == 0) return KG_CUDA_OK;
    RETURN_DRIVER_CALL(context, cuMemcpyDtoHAsync(to, from, bytes, stream_of(stream)),
                       "copy %zu bytes from CUDA device %d", bytes, context->info.ordinal);
}

enum kg_cuda_status kg_cuda_copy_on_device(struct kg_cuda_context *context, uint64_t to,
                                           uint64_t from, size_t bytes,
                                           struct kg_cuda_stream *stream)
{
    if (bytes == 0) return KG_CUDA_OK;
    RETURN_DRIVER_CALL(context, cuMemcpyDtoDAsync(to, from, bytes, stream_of(stream)),
                       "copy %zu bytes on CUDA device %d", bytes, context->info.ordinal);
}

enum kg_cuda_status kg_cuda_fill_bytes(struct kg_cuda_context *context, uint64_t to, uint8_t value,
                                       size_t bytes, struct kg_cuda_stream *stream)
{
    if (bytes == 0) return KG_CUDA_OK;
    RETURN_DRIVER_CALL(context, cuMemsetD8Async(to, value, bytes, stream_of(stream)),
                       "fill %zu bytes on CUDA device %d", bytes, context->info.ordinal);
}

enum kg_cuda_status kg_cuda_fill_words(struct kg_cuda_context *context, uint64_t to, uint32_t value,
                                       size_t words, struct kg_cuda_stream *stream)
{
    if (words == 0) return KG_CUDA_OK;
    RETURN_DRIVER_CALL(context, cuMemsetD32Async(to, value, words, stream_of(stream)),
                       "fill %zu words on CUDA device %d", words, context->info.ordinal);
}

/* ---- streams and events ---- */

enum kg_cuda_status kg_cuda_stream_create(struct kg_cuda_context *context,
                                          struct kg_cuda_stream **stream)
{
    *stream = NULL;
    RETURN_DRIVER_CALL(context, cuStreamCreate((cu_stream *)stream, KG_CU_STREAM_NON_BLOCKING),
                       "make a stream");
}

enum kg_cuda_status kg_cuda_stream_destroy(struct kg_cuda_context *context,
                                           struct kg_cuda_stream *stream)
{
    if (!stream) return KG_CUDA_OK;
    RETURN_DRIVER_CALL(context, cuStreamDestroy(stream_of(stream)), "destroy a stream");
}

enum kg_cuda_status kg_cuda_stream_synchronize(struct kg_cuda_context *context,
                                               struct kg_cuda_stream *stream)
{
    RETURN_DRIVER_CALL(context, cuStreamSynchronize(stream_of(stream)),
                       "finish the work of a stream on CUDA device %d (%s)", context->info.ordinal,
                       context->info.name);
}

enum kg_cuda_status kg_cuda_stream_wait(struct kg_cuda_context *context,
                                        struct kg_cuda_stream *stream, struct kg_cuda_event *event)
{
    RETURN_DRIVER_CALL(context, cuStreamWaitEvent(stream_of(stream), event_of(event), 0),
                       "make a stream wait for an event");
}

enum kg_cuda_status kg_cuda_event_create(struct kg_cuda_context *context,
                                         struct kg_cuda_event **event)
{
    *event = NULL;
    RETURN_DRIVER_CALL(context, cuEventCreate((cu_event *)event, 0), "make an event");
}

enum kg_cuda_status kg_cuda_event_destroy(struct kg_cuda_context *context,
                                          struct kg_cuda_event *event)
{
    if (!event) return KG_CUDA_OK;
    RETURN_DRIVER_CALL(context, cuEventDestroy(event_of(event)), "destroy an event");
}

enum kg_cuda_status kg_cuda_event_record(struct kg_cuda_context *context,
                                         struct kg_cuda_event *event, struct kg_cuda_stream *stream)
{
    RETURN_DRIVER_CALL(context, cuEventRecord(event_of(event), stream_of(stream)),
                       "record an event");
}

enum kg_cuda_status kg_cuda_event_synchronize(struct kg_cuda_context *context,
                                              struct kg_cuda_event *event)
{
    RETURN_DRIVER_CALL(context, cuEventSynchronize(event_of(event)), "wait for an event");
}

enum kg_cuda_status kg_cuda_event_elapsed(struct kg_cuda_context *context,
                                          struct kg_cuda_event *start, struct kg_cuda_event *end,
                                          float *milliseconds)
{
    enum kg_cuda_status status = context_enter(context);
    cu_result result;

    *milliseconds = 0;
    if (status != KG_CUDA_OK) return status;
    result = context->driver->api.cuEventElapsedTime(milliseconds, event_of(start), event_of(end));
    context_leave(context);
    if (result == KG_CUDA_ERROR_NOT_READY) return KG_CUDA_NOT_READY;
    return driver_check(context->driver, result, "take the time between two events");
}
