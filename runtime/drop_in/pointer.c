// SPDX-License-Identifier: MIT
// What is known about a pointer; advice about managed memory, which is checked and has no effect.
#include "driver.h"

#include <string.h>

// The allocation of a device address or of a host pointer into page-locked or registered memory.
static struct memory *find(cu_address pointer)
{
    struct memory *memory = driver_memory(pointer, 0);

    return memory ? memory : driver_host_memory((void *)(uintptr_t)pointer, 0);
}

static cu_address device_address(const struct memory *m, cu_address pointer)
{
    return driver_is_device_range(pointer) ? pointer
                                           : m->base + (pointer - (cu_address)(uintptr_t)m->host);
}

union answer {
    cu_context context;
    unsigned number;
    int signed_number;
    cu_address address;
    size_t size;
    unsigned long long id;
    void *pointer;
    bool flag;
};

static size_t set(union answer *answer, union answer value, size_t size)
{
    *answer = value;
    return size;
}

#define SET(member, value)                                                                         \
    set(answer, (union answer){.member = (value)}, sizeof((union answer *)0)->member)

// The bytes of the answer; 0: no such attribute, or not of this memory.
static size_t attribute_of(const struct memory *m, cu_address pointer, int attribute,
                           union answer *answer)
{
    bool on_host = m->kind == MEMORY_HOST || m->kind == MEMORY_REGISTERED;
    cu_address device = device_address(m, pointer);

    switch (attribute) {
    case CU_POINTER_ATTRIBUTE_CONTEXT:
        return m->context ? SET(context, HANDLE_OF(cu_context, m->context)) : 0;
    case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
        return SET(number, on_host ? CU_MEMORYTYPE_HOST : CU_MEMORYTYPE_DEVICE);
    case CU_POINTER_ATTRIBUTE_DEVICE_POINTER:
        return SET(address, device);
    case CU_POINTER_ATTRIBUTE_HOST_POINTER:
        return m->host ? SET(pointer, m->host + (device - m->base)) : 0;
    case CU_POINTER_ATTRIBUTE_SYNC_MEMOPS:
        return SET(flag, false);
    case CU_POINTER_ATTRIBUTE_BUFFER_ID:
        return SET(id, m->id);
    case CU_POINTER_ATTRIBUTE_IS_MANAGED:
        return SET(flag, m->kind == MEMORY_MANAGED);
    case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
        return SET(signed_number, 0);
    case CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE:
    case CU_POINTER_ATTRIBUTE_IS_GPU_DIRECT_RDMA_CAPABLE:
        return SET(flag, false);
    case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR:
        return SET(address, m->base);
    case CU_POINTER_ATTRIBUTE_RANGE_SIZE:
        return SET(size, m->size);
    case CU_POINTER_ATTRIBUTE_MAPPED:
        return SET(flag, true);
    case CU_POINTER_ATTRIBUTE_ALLOWED_HANDLE_TYPES:
        return SET(id, 0);
    case CU_POINTER_ATTRIBUTE_ACCESS_FLAGS:
        return SET(number, CU_POINTER_ATTRIBUTE_ACCESS_FLAG_READWRITE);
    case CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE:
        return SET(pointer, (void *)(uintptr_t)m->pool);
    default:
        return 0;
    }
}

cu_result cuPointerGetAttribute(void *value, cu_pointer_attribute attribute, cu_address pointer)
{
    struct context *context;
    cu_result result = driver_enter_context(&context);
    struct memory *memory;
    union answer answer;
    size_t size;

    if (result) return result;
    memory = value ? find(pointer) : NULL;
    size = memory ? attribute_of(memory, pointer, attribute, &answer) : 0;
    if (!size) return driver_leave(CUDA_ERROR_INVALID_VALUE);
    memcpy(value, &answer, size);
    return driver_leave(CUDA_SUCCESS);
}

// Unlike the one above this answers zeros for what is not known.
cu_result cuPointerGetAttributes(unsigned count, cu_pointer_attribute *attributes, void **values,
                                 cu_address pointer)
{
    struct context *context;
    cu_result result = driver_enter_context(&context);
    struct memory *memory, example = {.host = (char *)&example};

    if (result) return result;
    example.context = context;
    if (!count || !attributes || !values) return driver_leave(CUDA_ERROR_INVALID_VALUE);
    memory = find(pointer);
    for (unsigned i = 0; i < count; i++) {
        union answer answer = {0}, unused;
        size_t size = attribute_of(&example, 0, attributes[i], &unused);

        if (!values[i] || !size) return driver_leave(CUDA_ERROR_INVALID_VALUE);
        if (memory) attribute_of(memory, pointer, attributes[i], &answer);
        if (!memory && attributes[i] == CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL)
            answer.signed_number = -2; // no device
        memcpy(values[i], &answer, size);
    }
    return driver_leave(CUDA_SUCCESS);
}

cu_result cuPointerSetAttribute(const void *value, cu_pointer_attribute attribute,
                                cu_address pointer)
{
    struct context *context;
    cu_result result = driver_enter_context(&context);
    bool fine;

    if (result) return result;
    fine = value && find(pointer) && attribute == CU_POINTER_ATTRIBUTE_SYNC_MEMOPS;
    return driver_leave(fine ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE);
}

// ---- advice ------------------------------------------------------------------------------------

static cu_result check_managed(cu_address address, size_t size, cu_device device,
                               cu_stream stream_handle)
{
    struct context *context;
    cu_result result = driver_enter_context(&context);
    struct stream *stream;
    struct memory *memory;

    if (result) return result;
    memory = size ? driver_memory(address, size) : NULL;
    if (!memory || memory->kind != MEMORY_MANAGED) return driver_leave(CUDA_ERROR_INVALID_VALUE);
    if (!driver_is_device(device) && device != CU_DEVICE_CPU)
        return driver_leave(CUDA_ERROR_INVALID_DEVICE);
    return driver_leave(driver_stream(context, stream_handle, &stream) ? CUDA_SUCCESS
                                                                       : CUDA_ERROR_INVALID_HANDLE);
}

static bool location_is_valid(cu_location location)
{
    return location.type == CU_MEM_LOCATION_TYPE_DEVICE
               ? driver_is_device(location.id)
               : location.type >= CU_MEM_LOCATION_TYPE_HOST &&
                     location.type <= CU_MEM_LOCATION_TYPE_HOST_NUMA_CURRENT;
}

cu_result cuMemPrefetchAsync(cu_address address, size_t size, cu_device device, cu_stream stream)
{
    return check_managed(address, size, device, stream);
}
ALSO(cuMemPrefetchAsync, cuMemPrefetchAsync_ptsz);

cu_result cuMemPrefetchAsync_v2(cu_address address, size_t size, cu_location location,
                                unsigned flags, cu_stream stream)
{
    if (flags || !location_is_valid(location)) return CUDA_ERROR_INVALID_VALUE;
    return check_managed(address, size, 0, stream);
}
ALSO(cuMemPrefetchAsync_v2, cuMemPrefetchAsync_v2_ptsz);

cu_result cuMemAdvise(cu_address address, size_t size, cu_advice advice, cu_device device)
{
    if (advice < CU_MEM_ADVISE_SET_READ_MOSTLY || advice > CU_MEM_ADVISE_UNSET_ACCESSED_BY)
        return CUDA_ERROR_INVALID_VALUE;
    return check_managed(address, size, device, NULL);
}

cu_result cuMemAdvise_v2(cu_address address, size_t size, cu_advice advice, cu_location location)
{
    if (!location_is_valid(location)) return CUDA_ERROR_INVALID_VALUE;
    return cuMemAdvise(address, size, advice, 0);
}

cu_result cuStreamAttachMemAsync(cu_stream stream, cu_address address, size_t size, unsigned flags)
{
    if (flags != CU_MEM_ATTACH_GLOBAL && flags != CU_MEM_ATTACH_HOST &&
        flags != CU_MEM_ATTACH_SINGLE)
        return CUDA_ERROR_INVALID_VALUE;
    return check_managed(address, size ? size : 1, 0, stream);
}
ALSO(cuStreamAttachMemAsync, cuStreamAttachMemAsync_ptsz);
