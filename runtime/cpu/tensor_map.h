// SPDX-License-Identifier: MIT
// Tensor maps, as ptxm_tensor_map_encode_tiled and tensormap.replace make them and tensor copies
// read them. The layout
// is this machine's own: the hardware's is not public. A mark and a sum tell a map from other
// bytes.
#ifndef PTXM_TENSOR_MAP_H
#define PTXM_TENSOR_MAP_H

#include "isa.h"
#include "ptxm.h"

enum { TENSOR_MAX_RANK = 5 };

struct tensor_map {
    uint64_t address, dims[TENSOR_MAX_RANK], strides[TENSOR_MAX_RANK]; // strides[0]: of an element
    uint32_t box[TENSOR_MAX_RANK], steps[TENSOR_MAX_RANK];
    uint32_t rank, element_bytes;
    enum ptxm_tensor_type type;
    enum ptxm_tensor_swizzle swizzle;
};

// False: these 128 bytes are no map.
bool ptxm_tensor_map_read(const void *bytes, struct tensor_map *map);
// What keeps copies from using a map that tensormap.replace has made, or NULL.
const char *ptxm_tensor_map_problem(const struct tensor_map *map);
// Puts a value into a field (enum map_field) of 128 bytes that are a map, or zeros. NULL, or what
// is wrong. index: the dimension of the field, where it has one.
const char *ptxm_tensor_map_replace(void *bytes, unsigned field, unsigned index, uint64_t value);
// The type that a number in tensormap.replace means; PTX numbers them otherwise than the driver.
// false: none that is supported.
bool ptxm_tensor_map_type(uint64_t number, enum ptxm_tensor_type *type);
// Elements of the box along a dimension that are really copied.
static inline uint32_t ptxm_tensor_count(const struct tensor_map *m, unsigned i)
{
    return i ? (m->box[i] + m->steps[i] - 1) / m->steps[i] : m->box[0];
}
// Where a byte of the box lands: the address with the swizzle of the map.
uint64_t ptxm_tensor_swizzle(const struct tensor_map *m, uint64_t address);

#endif
