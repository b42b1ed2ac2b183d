// SPDX-License-Identifier: MIT
// The tables and types of runtime/drop_in against NVIDIA's header, at compile time: every number,
// every offset, and every function once more with the parameters of its row in NVIDIA's types.
// When it runs it looks up every name in the library: usage: test LIBRARY.
#define __CUDA_API_VERSION_INTERNAL // every version under its own name
#include <cuda.h>
#include <cudaProfiler.h>
#include <dlfcn.h>
#include <stddef.h>
#include <stdio.h>

// First our types as they are, for the layouts.
#define KGEN_DROP_IN_TYPES_ONLY
#include "runtime/drop_in/cuda_types.h"

#define CONSTANT(name, number) _Static_assert((int)CU_##name == (number), "CU_" #name);
#include "runtime/drop_in/constants.def"
#define ATTRIBUTE(name, number, value)                                                             \
    _Static_assert((int)CU_DEVICE_ATTRIBUTE_##name == (number), #name);
#include "runtime/drop_in/attributes.def"
#define ERROR(name, number, text) _Static_assert((int)CUDA_ERROR_##name == (number), #name);
#include "runtime/drop_in/errors.def"

#define SAME_SIZE(ours, theirs)                                                                    \
    _Static_assert(sizeof(ours) == sizeof(theirs) && _Alignof(ours) == _Alignof(theirs), #ours)
#define SAME_PLACE(ours, our_field, theirs, their_field)                                           \
    _Static_assert(offsetof(ours, our_field) == offsetof(theirs, their_field), #our_field)

SAME_SIZE(cu_result, CUresult);
SAME_SIZE(cu_address, CUdeviceptr);
SAME_SIZE(cu_device_attribute, CUdevice_attribute);
SAME_SIZE(cu_uuid, CUuuid);
SAME_SIZE(cu_location, CUmemLocation);
_Static_assert(sizeof(cu_tensor_map) == sizeof(CUtensorMap), "cu_tensor_map");
SAME_SIZE(cu_pool_properties, CUmemPoolProps);
SAME_PLACE(cu_pool_properties, location, CUmemPoolProps, location);
SAME_PLACE(cu_pool_properties, max_bytes, CUmemPoolProps, maxSize);
SAME_SIZE(cu_device_properties, CUdevprop);
SAME_PLACE(cu_device_properties, grid, CUdevprop, maxGridSize);
SAME_PLACE(cu_device_properties, texture_alignment, CUdevprop, textureAlign);
SAME_SIZE(cu_context_params, CUctxCreateParams);
SAME_PLACE(cu_context_params, graphics, CUctxCreateParams, cigParams);
SAME_SIZE(cu_copy_2d, CUDA_MEMCPY2D);
SAME_PLACE(cu_copy_2d, from.device, CUDA_MEMCPY2D, srcDevice);
SAME_PLACE(cu_copy_2d, from.pitch, CUDA_MEMCPY2D, srcPitch);
SAME_PLACE(cu_copy_2d, to.type, CUDA_MEMCPY2D, dstMemoryType);
SAME_PLACE(cu_copy_2d, to.pitch, CUDA_MEMCPY2D, dstPitch);
SAME_PLACE(cu_copy_2d, height, CUDA_MEMCPY2D, Height);
SAME_SIZE(cu_copy_3d, CUDA_MEMCPY3D);
SAME_PLACE(cu_copy_3d, from.level, CUDA_MEMCPY3D, srcLOD);
SAME_PLACE(cu_copy_3d, from.pitch, CUDA_MEMCPY3D, srcPitch);
SAME_PLACE(cu_copy_3d, to.host, CUDA_MEMCPY3D, dstHost);
SAME_PLACE(cu_copy_3d, to.height, CUDA_MEMCPY3D, dstHeight);
SAME_PLACE(cu_copy_3d, depth, CUDA_MEMCPY3D, Depth);
SAME_SIZE(cu_launch_attribute, CUlaunchAttribute);
SAME_PLACE(cu_launch_attribute, value.integer, CUlaunchAttribute, value.cooperative);
SAME_PLACE(cu_launch_attribute, value.integer, CUlaunchAttribute, value.priority);
SAME_PLACE(cu_launch_attribute, value.cluster.z, CUlaunchAttribute, value.clusterDim.z);
SAME_PLACE(cu_launch_attribute, value.event.flags, CUlaunchAttribute,
           value.programmaticEvent.flags);
SAME_SIZE(cu_launch_config, CUlaunchConfig);
SAME_PLACE(cu_launch_config, block, CUlaunchConfig, blockDimX);
SAME_PLACE(cu_launch_config, shared_bytes, CUlaunchConfig, sharedMemBytes);
SAME_PLACE(cu_launch_config, stream, CUlaunchConfig, hStream);
SAME_PLACE(cu_launch_config, attributes, CUlaunchConfig, attrs);
SAME_PLACE(cu_launch_config, attribute_count, CUlaunchConfig, numAttrs);

// Then our names stand for NVIDIA's types, for the parameters.
#define cu_result CUresult
#define cu_device CUdevice
#define cu_device_attribute CUdevice_attribute
#define cu_function_attribute CUfunction_attribute
#define cu_pointer_attribute CUpointer_attribute
#define cu_pool_attribute CUmemPool_attribute
#define cu_peer_attribute CUdevice_P2PAttribute
#define cu_affinity_type CUexecAffinityType
#define cu_affinity CUexecAffinityParam
#define cu_context_params CUctxCreateParams
#define cu_cache_config CUfunc_cache
#define cu_bank_config CUsharedconfig
#define cu_limit CUlimit
#define cu_jit_option CUjit_option
#define cu_jit_input CUjitInputType
#define cu_library_option CUlibraryOption
#define cu_loading_mode CUmoduleLoadingMode
#define cu_loading_state CUfunctionLoadingState
#define cu_symbol_status CUdriverProcAddressQueryResult
#define cu_advice CUmem_advise
#define cu_capture_mode CUstreamCaptureMode
#define cu_capture_status CUstreamCaptureStatus
#define cu_launch_attribute_id CUlaunchAttributeID
#define cu_launch_attribute_value CUlaunchAttributeValue
#define cu_launch_config CUlaunchConfig
#define cu_tensor_type CUtensorMapDataType
#define cu_tensor_interleave CUtensorMapInterleave
#define cu_tensor_swizzle CUtensorMapSwizzle
#define cu_tensor_promotion CUtensorMapL2promotion
#define cu_tensor_fill CUtensorMapFloatOOBfill
#define cu_tensor_map CUtensorMap
#define cu_address CUdeviceptr
#define cu_context CUcontext
#define cu_module CUmodule
#define cu_library CUlibrary
#define cu_function CUfunction
#define cu_kernel CUkernel
#define cu_stream CUstream
#define cu_event CUevent
#define cu_pool CUmemoryPool
#define cu_link CUlinkState
#define cu_graph CUgraph
#define cu_graph_node CUgraphNode
#define cu_graph_edge CUgraphEdgeData
#define cu_host_function CUhostFn
#define cu_stream_callback CUstreamCallback
#define cu_shared_of_block CUoccupancyB2DSize
#define cu_uuid CUuuid
#define cu_location CUmemLocation
#define cu_pool_properties CUmemPoolProps
#define cu_device_properties CUdevprop
#define cu_copy_2d CUDA_MEMCPY2D
#define cu_copy_3d CUDA_MEMCPY3D

#define FUNCTION(export, name, version, parameters) CUresult CUDAAPI export parameters;
#include "runtime/drop_in/functions.def"

static const char *const names[] = {
#define FUNCTION(export, name, version, parameters) #export,
#define ALIAS(export, alias) #alias,
#define UNSUPPORTED(export) #export,
#include "runtime/drop_in/functions.def"
};

int main(int count, char **arguments)
{
    void *library = count == 2 ? dlopen(arguments[1], RTLD_NOW) : NULL;
    size_t missing = 0;

    puts("1..1");
    if (!library) printf("# cannot open the library: %s\n", count == 2 ? dlerror() : "usage");
    for (size_t i = 0; library && i < sizeof names / sizeof names[0]; i++)
        if (!dlsym(library, names[i])) {
            printf("# no %s\n", names[i]);
            missing++;
        }
    printf("%s 1 - %zu names\n", library && !missing ? "ok" : "not ok",
           sizeof names / sizeof names[0]);
    return library && !missing ? 0 : 1;
}
