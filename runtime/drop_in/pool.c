// SPDX-License-Identifier: MIT
// Memory pools: the default one and those that the host makes. They count; memory that was given
// back is never kept.
#include "driver.h"

cu_result cuDeviceGetDefaultMemPool(cu_pool *pool, cu_device device)
{
    cu_result result = driver_enter();

    if (result) return result;
    if (!pool) return driver_leave(CUDA_ERROR_INVALID_VALUE);
    if (!driver_is_device(device)) return driver_leave(CUDA_ERROR_INVALID_DEVICE);
    *pool = HANDLE_OF(cu_pool, the_driver.default_pool);
    return driver_leave(CUDA_SUCCESS);
}

cu_result cuDeviceGetMemPool(cu_pool *pool, cu_device device)
{
    cu_result result = driver_enter();

    if (result) return result;
    if (!pool) return driver_leave(CUDA_ERROR_INVALID_VALUE);
    if (!driver_is_device(device)) return driver_leave(CUDA_ERROR_INVALID_DEVICE);
    *pool = HANDLE_OF(cu_pool, the_driver.current_pool);
    return driver_leave(CUDA_SUCCESS);
}

static cu_result enter_pool(cu_pool handle, struct pool **pool)
{
    cu_result result = driver_enter();

    if (result) return result;
    *pool = driver_find(handle, KIND_POOL);
    return *pool ? CUDA_SUCCESS : driver_leave(CUDA_ERROR_INVALID_VALUE);
}

cu_result cuDeviceSetMemPool(cu_device device, cu_pool handle)
{
    struct pool *pool;
    cu_result result = enter_pool(handle, &pool);

    if (result) return result;
    if (!driver_is_device(device)) return driver_leave(CUDA_ERROR_INVALID_DEVICE);
    the_driver.current_pool = pool;
    return driver_leave(CUDA_SUCCESS);
}

cu_result cuMemPoolCreate(cu_pool *handle, const cu_pool_properties *properties)
{
    cu_result result = driver_enter();
    struct pool *pool;

    if (result) return result;
    if (!handle || !properties || properties->allocation_type != CU_MEM_ALLOCATION_TYPE_PINNED)
        return driver_leave(CUDA_ERROR_INVALID_VALUE);
    if (properties->location.type != CU_MEM_LOCATION_TYPE_DEVICE || properties->handle_types)
        return driver_leave(CUDA_ERROR_NOT_SUPPORTED);
    if (!driver_is_device(properties->location.id)) return driver_leave(CUDA_ERROR_INVALID_DEVICE);
    pool = driver_new(KIND_POOL, sizeof *pool, NULL);
    if (!pool) return driver_leave(CUDA_ERROR_OUT_OF_MEMORY);
    *handle = HANDLE_OF(cu_pool, pool);
    return driver_leave(CUDA_SUCCESS);
}

// Allocations outlive it.
cu_result cuMemPoolDestroy(cu_pool handle)
{
    struct pool *pool;
    cu_result result = enter_pool(handle, &pool);

    if (result) return result;
    if (pool->is_default) return driver_leave(CUDA_ERROR_INVALID_VALUE);
    if (the_driver.current_pool == pool) the_driver.current_pool = the_driver.default_pool;
    driver_delete(pool);
    return driver_leave(CUDA_SUCCESS);
}

cu_result cuMemPoolTrimTo(cu_pool handle, size_t keep)
{
    struct pool *pool;
    cu_result result = enter_pool(handle, &pool);

    return result ? result : driver_leave(CUDA_SUCCESS);
}

cu_result cuMemPoolSetAttribute(cu_pool handle, cu_pool_attribute attribute, void *value)
{
    struct pool *pool;
    cu_result result = enter_pool(handle, &pool);

    if (result) return result;
    if (!value) return driver_leave(CUDA_ERROR_INVALID_VALUE);
    if (attribute >= CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES &&
        attribute <= CU_MEMPOOL_ATTR_REUSE_ALLOW_INTERNAL_DEPENDENCIES)
        pool->switches[attribute] = *(const int *)value + 1;
    else if (attribute == CU_MEMPOOL_ATTR_RELEASE_THRESHOLD)
        pool->threshold = *(const uint64_t *)value;
    else if ((attribute == CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH ||
              attribute == CU_MEMPOOL_ATTR_USED_MEM_HIGH) &&
             *(const uint64_t *)value == 0)
        pool->most = pool->used;
    else
        return driver_leave(CUDA_ERROR_INVALID_VALUE);
    return driver_leave(CUDA_SUCCESS);
}

cu_result cuMemPoolGetAttribute(cu_pool handle, cu_pool_attribute attribute, void *value)
{
    struct pool *pool;
    cu_result result = enter_pool(handle, &pool);

    if (result) return result;
    if (!value) return driver_leave(CUDA_ERROR_INVALID_VALUE);
    switch (attribute) {
    case CU_MEMPOOL_ATTR_RELEASE_THRESHOLD:
        *(uint64_t *)value = pool->threshold;
        break;
    case CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT:
    case CU_MEMPOOL_ATTR_USED_MEM_CURRENT:
        *(uint64_t *)value = pool->used;
        break;
    case CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH:
    case CU_MEMPOOL_ATTR_USED_MEM_HIGH:
        *(uint64_t *)value = pool->most;
        break;
    default:
        if (attribute < CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES ||
            attribute > CU_MEMPOOL_ATTR_USED_MEM_HIGH)
            return driver_leave(CUDA_ERROR_INVALID_VALUE);
        // Switches are on until they are set; what is kept is the value plus one.
        *(int *)value = pool->switches[attribute] ? pool->switches[attribute] - 1 : 1;
    }
    return driver_leave(CUDA_SUCCESS);
}
