// SPDX-License-Identifier: MIT
// Tensor maps, as ptxm_tensor_map_encode_tiled makes them and tensor copies read them. The layout
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

// False: these 128 bytes were not made by ptxm_tensor_map_encode_tiled.
bool ptxm_tensor_map_read(const void *bytes, struct tensor_map *map);
// Elements of the box along a dimension that are really copied.
static inline uint32_t ptxm_tensor_count(const struct tensor_map *m, unsigned i)
{
    return i ? (m->box[i] + m->steps[i] - 1) / m->steps[i] : m->box[0];
}
// Where a byte of the box lands: the address with the swizzle of the map.
uint64_t ptxm_tensor_swizzle(const struct tensor_map *m, uint64_t address);

#endif
