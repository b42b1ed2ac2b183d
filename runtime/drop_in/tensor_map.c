// SPDX-License-Identifier: MIT
// Tensor maps: everything that the driver refuses about their parameters; the machine encodes them.
// What is in order and unknown to the machine (interleaved layouts, NaN fills) is not supported.
#include "driver.h"

#include <string.h>

enum { LEAST_ALIGNMENT = 16, MOST_BOX = 256, MOST_STEP = 8, MOST_RANK = 5 };

// 0: no such type.
static unsigned element_bytes(int type)
{
    static const unsigned char bytes[] = {
        [CU_TENSOR_MAP_DATA_TYPE_UINT8] = 1,        [CU_TENSOR_MAP_DATA_TYPE_UINT16] = 2,
        [CU_TENSOR_MAP_DATA_TYPE_UINT32] = 4,       [CU_TENSOR_MAP_DATA_TYPE_INT32] = 4,
        [CU_TENSOR_MAP_DATA_TYPE_UINT64] = 8,       [CU_TENSOR_MAP_DATA_TYPE_INT64] = 8,
        [CU_TENSOR_MAP_DATA_TYPE_FLOAT16] = 2,      [CU_TENSOR_MAP_DATA_TYPE_FLOAT32] = 4,
        [CU_TENSOR_MAP_DATA_TYPE_FLOAT64] = 8,      [CU_TENSOR_MAP_DATA_TYPE_BFLOAT16] = 2,
        [CU_TENSOR_MAP_DATA_TYPE_FLOAT32_FTZ] = 4,  [CU_TENSOR_MAP_DATA_TYPE_TFLOAT32] = 4,
        [CU_TENSOR_MAP_DATA_TYPE_TFLOAT32_FTZ] = 4,
    };

    return type >= 0 && type < (int)sizeof bytes ? bytes[type] : 0;
}

static bool is_float(int type)
{
    return type >= CU_TENSOR_MAP_DATA_TYPE_FLOAT16 && type <= CU_TENSOR_MAP_DATA_TYPE_TFLOAT32_FTZ;
}

static bool choices_are_valid(int type, int interleave, int swizzle, int promotion, int fill)
{
    if (interleave < 0 || interleave > CU_TENSOR_MAP_INTERLEAVE_32B) return false;
    if (swizzle < 0 || swizzle > CU_TENSOR_MAP_SWIZZLE_128B_ATOM_64B) return false;
    if (promotion < 0 || promotion > CU_TENSOR_MAP_L2_PROMOTION_L2_256B) return false;
    if (interleave == CU_TENSOR_MAP_INTERLEAVE_32B && swizzle != CU_TENSOR_MAP_SWIZZLE_32B)
        return false;
    return fill == 0 ||
           (fill == CU_TENSOR_MAP_FLOAT_OOB_FILL_NAN_REQUEST_ZERO_FMA && is_float(type));
}

// The innermost row of a box, without interleaving: a multiple of 16 bytes, within the swizzle.
static bool row_is_valid(uint64_t row, int interleave, int swizzle)
{
    static const unsigned spans[] = {0, 32, 64, 128, 128, 128, 128};

    if (interleave != CU_TENSOR_MAP_INTERLEAVE_NONE) return true;
    return row % 16 == 0 && (!spans[swizzle] || row <= spans[swizzle]);
}

// Dimensions may come in any order: kernels that run on GPUs walk a row in pieces of 64 elements as
// the third dimension, whose stride is below that of the rows.
static bool extents_are_valid(unsigned rank, int interleave, const uint64_t *sizes,
                              const uint64_t *strides, const uint32_t *box, const uint32_t *steps)
{
    unsigned alignment = interleave == CU_TENSOR_MAP_INTERLEAVE_32B ? 32 : LEAST_ALIGNMENT;

    for (unsigned i = 0; i < rank; i++) {
        if (!sizes[i] || sizes[i] > (uint64_t)1 << 32) return false;
        if (!box[i] || box[i] > MOST_BOX || !steps[i] || steps[i] > MOST_STEP) return false;
        if (i == 0) continue;
        if (strides[i - 1] % alignment || strides[i - 1] >= (uint64_t)1 << 40) return false;
    }
    return true;
}

static void hear(void *unused, const struct ptxm_diagnostic *d)
{
    driver_note("cuTensorMapEncodeTiled: %s", d->message);
}

cu_result cuTensorMapEncodeTiled(cu_tensor_map *map, cu_tensor_type type, unsigned rank,
                                 void *address, const uint64_t *sizes, const uint64_t *strides,
                                 const uint32_t *box, const uint32_t *steps,
                                 cu_tensor_interleave interleave, cu_tensor_swizzle swizzle,
                                 cu_tensor_promotion promotion, cu_tensor_fill fill)
{
    unsigned bytes = element_bytes(type);
    unsigned alignment = interleave == CU_TENSOR_MAP_INTERLEAVE_32B ? 32 : LEAST_ALIGNMENT;
    struct ptxm_tensor_map encoded;
    struct ptxm_tensor tensor;
    enum ptxm_status status;
    cu_result result = driver_enter();

    if (result) return result;
    driver_leave(CUDA_SUCCESS);
    if (!map || (uintptr_t)map % 64 || !bytes || !rank || rank > MOST_RANK || !address || !sizes ||
        (rank > 1 && !strides) || !box || !steps || (uintptr_t)address % alignment)
        return CUDA_ERROR_INVALID_VALUE;
    if (interleave != CU_TENSOR_MAP_INTERLEAVE_NONE && rank < 3) return CUDA_ERROR_INVALID_VALUE;
    if (!choices_are_valid(type, interleave, swizzle, promotion, fill) ||
        !extents_are_valid(rank, interleave, sizes, strides, box, steps) ||
        !row_is_valid((uint64_t)box[0] * bytes, interleave, swizzle))
        return CUDA_ERROR_INVALID_VALUE;
    tensor = (struct ptxm_tensor){.type = (enum ptxm_tensor_type)type,
                                  .rank = rank,
                                  .address = (uint64_t)(uintptr_t)address,
                                  .dims = sizes,
                                  .strides = strides,
                                  .box = box,
                                  .element_strides = steps,
                                  .interleave = (enum ptxm_tensor_interleave)interleave,
                                  .swizzle = (enum ptxm_tensor_swizzle)swizzle,
                                  .promotion = (enum ptxm_tensor_promotion)promotion,
                                  .fill = (enum ptxm_tensor_fill)fill};
    status = ptxm_tensor_map_encode_tiled(&encoded, &tensor, hear, NULL);
    if (status) return CUDA_ERROR_NOT_SUPPORTED;
    memcpy(map, &encoded, sizeof *map);
    return CUDA_SUCCESS;
}
