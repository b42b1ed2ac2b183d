// SPDX-License-Identifier: MIT
// The one device: its name, its numbers, its place.
#include "driver.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

static const char bus_id[] = "0000:00:00.0";

static cu_result enter_device(cu_device device, const void *out)
{
    cu_result result = driver_enter();

    if (result) return result;
    if (!out) return driver_leave(CUDA_ERROR_INVALID_VALUE);
    return driver_is_device(device) ? CUDA_SUCCESS : driver_leave(CUDA_ERROR_INVALID_DEVICE);
}

int driver_attribute(const struct model *m, int attribute, bool *known)
{
    *known = true;
    switch (attribute) {
#define ATTRIBUTE(name, number, value)                                                             \
    case number:                                                                                   \
        return value;
#include "attributes.def"
    default:
        *known = false;
        return 0;
    }
}

cu_result cuDeviceGetCount(int *count)
{
    cu_result result = enter_device(0, count);

    if (result) return result;
    *count = 1;
    return driver_leave(CUDA_SUCCESS);
}

cu_result cuDeviceGet(cu_device *device, int ordinal)
{
    cu_result result = enter_device(ordinal, device);

    if (result) return result;
    *device = ordinal;
    return driver_leave(CUDA_SUCCESS);
}

cu_result cuDeviceGetName(char *name, int length, cu_device device)
{
    cu_result result = enter_device(device, name);

    if (result) return result;
    if (length <= 0) return driver_leave(CUDA_ERROR_INVALID_VALUE);
    snprintf(name, (size_t)length, "kgen PTX machine (sm_%d)", the_driver.settings.model.sm);
    return driver_leave(CUDA_SUCCESS);
}

cu_result cuDeviceGetUuid_v2(cu_uuid *uuid, cu_device device)
{
    cu_result result = enter_device(device, uuid);

    if (result) return result;
    memset(uuid, 0, sizeof *uuid);
    snprintf(uuid->bytes, sizeof uuid->bytes, "kgen-ptxm-%d", the_driver.settings.model.sm);
    return driver_leave(CUDA_SUCCESS);
}

cu_result cuDeviceGetUuid(cu_uuid *uuid, cu_device device)
{
    return cuDeviceGetUuid_v2(uuid, device);
}

cu_result cuDeviceTotalMem_v2(size_t *bytes, cu_device device)
{
    cu_result result = enter_device(device, bytes);

    if (result) return result;
    *bytes = the_driver.settings.memory_bytes;
    return driver_leave(CUDA_SUCCESS);
}

cu_result cuDeviceGetAttribute(int *value, cu_device_attribute attribute, cu_device device)
{
    cu_result result = enter_device(device, value);
    bool known;
    int answer;

    if (result) return result;
    answer = driver_attribute(&the_driver.settings.model, attribute, &known);
    if (known) *value = answer;
    return driver_leave(known ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE);
}

cu_result cuDeviceComputeCapability(int *major, int *minor, cu_device device)
{
    cu_result result = enter_device(device, major && minor ? major : NULL);

    if (result) return result;
    *major = the_driver.settings.model.sm / 10;
    *minor = the_driver.settings.model.sm % 10;
    return driver_leave(CUDA_SUCCESS);
}

cu_result cuDeviceGetProperties(cu_device_properties *out, cu_device device)
{
    cu_result result = enter_device(device, out);

    if (result) return result;
    *out = (cu_device_properties){.threads_per_block = 1024,
                                  .block = {1024, 1024, 64},
                                  .grid = {INT_MAX, 65535, 65535},
                                  .shared_per_block = 48 * 1024,
                                  .constant_bytes = 64 * 1024,
                                  .warp_size = 32,
                                  .pitch = INT_MAX,
                                  .registers_per_block = 65536,
                                  .clock_khz = the_driver.settings.model.clock_khz,
                                  .texture_alignment = 512};
    return driver_leave(CUDA_SUCCESS);
}

cu_result cuDeviceGetPCIBusId(char *id, int length, cu_device device)
{
    cu_result result = enter_device(device, id);

    if (result) return result;
    if (length < (int)sizeof bus_id) return driver_leave(CUDA_ERROR_INVALID_VALUE);
    memcpy(id, bus_id, sizeof bus_id);
    return driver_leave(CUDA_SUCCESS);
}

cu_result cuDeviceGetByPCIBusId(cu_device *device, const char *id)
{
    cu_result result = enter_device(0, device && id ? device : NULL);
    unsigned domain = 0, bus, slot, function = 0;

    if (result) return result;
    if (sscanf(id, "%x:%x:%x.%x", &domain, &bus, &slot, &function) < 3) {
        domain = 0;
        if (sscanf(id, "%x:%x.%x", &bus, &slot, &function) < 2)
            return driver_leave(CUDA_ERROR_INVALID_VALUE);
    }
    if (domain || bus || slot || function) return driver_leave(CUDA_ERROR_INVALID_DEVICE);
    *device = 0;
    return driver_leave(CUDA_SUCCESS);
}

cu_result cuDeviceCanAccessPeer(int *can, cu_device device, cu_device peer)
{
    cu_result result = enter_device(device, can);

    if (result) return result;
    if (!driver_is_device(peer)) return driver_leave(CUDA_ERROR_INVALID_DEVICE);
    *can = 0; // a device is not its own peer
    return driver_leave(CUDA_SUCCESS);
}

cu_result cuDeviceGetP2PAttribute(int *value, cu_peer_attribute attribute, cu_device device,
                                  cu_device peer)
{
    cu_result result = enter_device(device, value);

    if (result) return result;
    if (attribute < CU_DEVICE_P2P_ATTRIBUTE_PERFORMANCE_RANK ||
        attribute > CU_DEVICE_P2P_ATTRIBUTE_ONLY_PARTIAL_NATIVE_ATOMIC_SUPPORTED)
        return driver_leave(CUDA_ERROR_INVALID_VALUE);
    return driver_leave(CUDA_ERROR_INVALID_DEVICE); // two different devices are wanted
}

cu_result cuDeviceGetExecAffinitySupport(int *supported, cu_affinity_type type, cu_device device)
{
    cu_result result = enter_device(device, supported);

    if (result) return result;
    *supported = 0;
    return driver_leave(type == 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE);
}
