// SPDX-License-Identifier: MIT
// The types of the CUDA driver's interface, declared by ourselves so that no toolkit is needed to
// build. The names are ours, so that a test may include NVIDIA's header beside this one and compare
// sizes and offsets. Enumerations are plain ints: a host may pass values that are unknown to us.
#ifndef KGEN_DROP_IN_CUDA_TYPES_H
#define KGEN_DROP_IN_CUDA_TYPES_H

#include <stddef.h>
#include <stdint.h>

typedef int cu_result, cu_device;
typedef int cu_device_attribute, cu_function_attribute, cu_pointer_attribute, cu_pool_attribute;
typedef int cu_peer_attribute, cu_affinity_type, cu_cache_config, cu_bank_config, cu_limit;
typedef int cu_jit_option, cu_jit_input, cu_library_option, cu_loading_mode, cu_loading_state;
typedef int cu_symbol_status, cu_advice, cu_capture_mode, cu_capture_status;
typedef int cu_launch_attribute_id;
typedef int cu_tensor_type, cu_tensor_interleave, cu_tensor_swizzle, cu_tensor_promotion;
typedef int cu_tensor_fill;
typedef unsigned long long cu_address;

typedef struct cu_context_object *cu_context;
typedef struct cu_module_object *cu_module;
typedef struct cu_library_object *cu_library;
typedef struct cu_function_object *cu_function;
typedef struct cu_kernel_object *cu_kernel;
typedef struct cu_stream_object *cu_stream;
typedef struct cu_event_object *cu_event;
typedef struct cu_pool_object *cu_pool;
typedef struct cu_link_object *cu_link;
typedef struct cu_graph_object *cu_graph;
typedef struct cu_graph_node_object *cu_graph_node;
typedef struct cu_graph_edge cu_graph_edge;
typedef struct cu_affinity cu_affinity;
typedef struct cu_context_params {
    cu_affinity *affinities;
    int affinity_count;
    void *graphics;
} cu_context_params;

typedef void (*cu_host_function)(void *user);
typedef void (*cu_stream_callback)(cu_stream stream, cu_result status, void *user);
typedef size_t (*cu_shared_of_block)(int threads);

typedef struct cu_uuid {
    char bytes[16];
} cu_uuid;

typedef struct cu_location {
    int type, id;
} cu_location;

typedef struct cu_tensor_map {
    _Alignas(64) unsigned long long words[16];
} cu_tensor_map;

typedef struct cu_device_properties {
    int threads_per_block, block[3], grid[3];
    int shared_per_block, constant_bytes, warp_size, pitch, registers_per_block, clock_khz;
    int texture_alignment;
} cu_device_properties;

typedef struct cu_copy_2d_end {
    size_t x, y; // x in bytes
    int type;    // CU_MEMORYTYPE_
    void *host;
    cu_address device;
    void *array;
    size_t pitch;
} cu_copy_2d_end;
typedef struct cu_copy_2d {
    cu_copy_2d_end from, to;
    size_t width, height; // width in bytes
} cu_copy_2d;

typedef struct cu_copy_3d_end {
    size_t x, y, z, level;
    int type;
    void *host;
    cu_address device;
    void *array, *reserved;
    size_t pitch, height;
} cu_copy_3d_end;
typedef struct cu_copy_3d {
    cu_copy_3d_end from, to;
    size_t width, height, depth;
} cu_copy_3d;

typedef struct cu_pool_properties {
    int allocation_type, handle_types;
    cu_location location;
    void *security;
    size_t max_bytes;
    unsigned short usage;
    unsigned char reserved[54];
} cu_pool_properties;

// Only these members are looked at; 64 bytes whatever is in it.
typedef union cu_launch_attribute_value {
    char bytes[64];
    int integer;
    struct {
        unsigned x, y, z;
    } cluster;
    struct {
        cu_event event;
        int flags, at_block_start;
    } event;
    void *alignment;
} cu_launch_attribute_value;
typedef struct cu_launch_attribute {
    int id;
    char padding[4];
    cu_launch_attribute_value value;
} cu_launch_attribute;
typedef struct cu_launch_config {
    unsigned grid[3], block[3], shared_bytes;
    cu_stream stream;
    cu_launch_attribute *attributes;
    unsigned attribute_count;
} cu_launch_config;

// Left out by the test that includes NVIDIA's header, which has these names.
#ifndef KGEN_DROP_IN_TYPES_ONLY
enum {
#define CONSTANT(name, number) CU_##name = number,
#include "constants.def"
#define ATTRIBUTE(name, number, value) CU_DEVICE_ATTRIBUTE_##name = number,
#include "attributes.def"
#define ERROR(name, number, text) CUDA_ERROR_##name = number,
#include "errors.def"
    CUDA_SUCCESS = 0,
};
#endif

#endif
