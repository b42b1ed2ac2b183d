// SPDX-License-Identifier: MIT
/*
 * runtime/cuda/driver.def and driver_types.h against NVIDIA's header: declares each function once
 * more with the parameters of its row, in NVIDIA's types, which compiles only if they agree, and
 * compares every number and every offset. Built only where cuda.h is installed; running it does
 * nothing.
 */
#include <cuda.h>
#include <stddef.h>

/* NVIDIA's enumerations have at least the size of int, as ours. */
_Static_assert(sizeof(CUresult) == sizeof(int), "cu_result");
_Static_assert(sizeof(CUdevice_attribute) == sizeof(int), "cu_device_attribute");
_Static_assert(sizeof(CUfunction_attribute) == sizeof(int), "cu_function_attribute");
_Static_assert(sizeof(CUjit_option) == sizeof(int), "cu_jit_option");
_Static_assert(sizeof(CUdeviceptr) == sizeof(unsigned long long), "cu_address");

/* First our types as they are, for the layouts. */
#include "runtime/cuda/driver_types.h"

#define CONSTANT(name, number) _Static_assert((int)CU_##name == number, "CU_" #name);
#include "runtime/cuda/driver.def"
#define ERROR(name, number, status, help)                                                          \
    _Static_assert((int)CUDA_ERROR_##name == number, "CUDA_ERROR_" #name);
#include "runtime/cuda/driver.def"

#define SAME_PLACE(ours, our_field, theirs, their_field)                                           \
    _Static_assert(offsetof(ours, our_field) == offsetof(theirs, their_field), #our_field)

_Static_assert(sizeof(cu_launch_attribute) == sizeof(CUlaunchAttribute), "cu_launch_attribute");
_Static_assert(sizeof(cu_launch_config) == sizeof(CUlaunchConfig), "cu_launch_config");
_Static_assert(sizeof(cu_tensor_map) == sizeof(CUtensorMap), "cu_tensor_map");
_Static_assert(sizeof(CUtensorMapDataType) == sizeof(int), "cu_tensor_type");
SAME_PLACE(cu_launch_attribute, id, CUlaunchAttribute, id);
SAME_PLACE(cu_launch_attribute, value.cooperative, CUlaunchAttribute, value.cooperative);
SAME_PLACE(cu_launch_attribute, value.cluster.x, CUlaunchAttribute, value.clusterDim.x);
SAME_PLACE(cu_launch_attribute, value.cluster.z, CUlaunchAttribute, value.clusterDim.z);
SAME_PLACE(cu_launch_config, grid_x, CUlaunchConfig, gridDimX);
SAME_PLACE(cu_launch_config, grid_z, CUlaunchConfig, gridDimZ);
SAME_PLACE(cu_launch_config, block_x, CUlaunchConfig, blockDimX);
SAME_PLACE(cu_launch_config, block_z, CUlaunchConfig, blockDimZ);
SAME_PLACE(cu_launch_config, shared_bytes, CUlaunchConfig, sharedMemBytes);
SAME_PLACE(cu_launch_config, stream, CUlaunchConfig, hStream);
SAME_PLACE(cu_launch_config, attributes, CUlaunchConfig, attrs);
SAME_PLACE(cu_launch_config, attribute_count, CUlaunchConfig, numAttrs);

/* Then our names stand for NVIDIA's types, for the parameters. */
#define cu_result CUresult
#define cu_device CUdevice
#define cu_device_attribute CUdevice_attribute
#define cu_function_attribute CUfunction_attribute
#define cu_jit_option CUjit_option
#define cu_library_option CUlibraryOption
#define cu_address CUdeviceptr
#define cu_context CUcontext
#define cu_module CUmodule
#define cu_library CUlibrary
#define cu_function CUfunction
#define cu_stream CUstream
#define cu_event CUevent
#define cu_launch_config CUlaunchConfig
#define cu_tensor_map CUtensorMap
#define cu_tensor_type CUtensorMapDataType
#define cu_tensor_interleave CUtensorMapInterleave
#define cu_tensor_swizzle CUtensorMapSwizzle
#define cu_tensor_promotion CUtensorMapL2promotion
#define cu_tensor_fill CUtensorMapFloatOOBfill

#define FUNCTION(name, export, version, need, parameters) cu_result CUDAAPI export parameters;
#include "runtime/cuda/driver.def"

int main(void)
{
    return 0;
}
