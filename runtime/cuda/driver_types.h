// SPDX-License-Identifier: MIT
/*
 * The few types of the CUDA driver's interface that kgen uses, declared by ourselves so that no
 * CUDA toolkit is needed to build. The names are ours (cu_context for CUcontext and so on): a file
 * may include both this and NVIDIA's header, as the test that compares the two does.
 */
#ifndef KGEN_RUNTIME_CUDA_DRIVER_TYPES_H
#define KGEN_RUNTIME_CUDA_DRIVER_TYPES_H

#include <stddef.h>
#include <stdint.h>

#ifndef KGEN_CUDA_OWN_TYPES_ELSEWHERE
/* Enumerations of the driver are plain ints here: a newer driver may return values unknown to us.
 */
typedef int cu_result;
typedef int cu_device;
typedef int cu_device_attribute;
typedef int cu_function_attribute;
typedef int cu_jit_option;
typedef int cu_library_option;
typedef int cu_tensor_type, cu_tensor_interleave, cu_tensor_swizzle, cu_tensor_promotion;
typedef int cu_tensor_fill;
typedef unsigned long long cu_address;
typedef struct cu_context_object *cu_context;
typedef struct cu_module_object *cu_module;
typedef struct cu_library_object *cu_library;
typedef struct cu_function_object *cu_function;
typedef struct cu_stream_object *cu_stream;
typedef struct cu_event_object *cu_event;

/* The value is a union of 64 bytes in the driver; only these members are used here. */
typedef struct cu_launch_attribute {
    int id;
    char padding[4];
    union {
        char bytes[64];
        int cooperative;
        int programmatic; /* stream serialization */
        struct {
            unsigned x, y, z;
        } cluster;
        void *alignment;
    } value;
} cu_launch_attribute;

/* Opaque: the driver fills it, a kernel gets it by value. */
typedef struct cu_tensor_map {
    uint64_t opaque[16] __attribute__((aligned(64)));
} cu_tensor_map;

typedef struct cu_launch_config {
    unsigned grid_x, grid_y, grid_z;    /* in blocks */
    unsigned block_x, block_y, block_z; /* in threads */
    unsigned shared_bytes;              /* dynamic shared memory of a block */
    cu_stream stream;
    cu_launch_attribute *attributes;
    unsigned attribute_count;
} cu_launch_config;
#endif

enum {
#define CONSTANT(name, number) KG_CU_##name = number,
#include "driver.def"
#define ERROR(name, number, status, help) KG_CUDA_ERROR_##name = number,
#include "driver.def"
};

#endif
