// SPDX-License-Identifier: MIT
// Tensor maps: sizes and strides of a tensor as the kernel's parameters give them, held against
// what the copy engine takes. The devices encode them.
#include "runtime/internal.h"
#include <inttypes.h>
#include <stdio.h>

static const int64_t longest_stride = (INT64_C(1) << 40) - 1; // bytes

// Coordinates in a kernel have 32 bits with a sign; sizes stay below that.
static kgen_status check_size(kgen_context *context, const char *tensor, int d, int64_t size)
{
    if (size >= 1 && size <= INT32_MAX) return KGEN_OK;
    return context_fail(context, KGEN_ERROR_INPUT, KG_D_R703, NULL,
                        "dimension %d of tensor '%s' is %" PRId64
                        ", and the copy engine takes 1 to %d",
                        d, tensor, size, INT32_MAX);
}

static kgen_status check_stride(kgen_context *context, const char *tensor, int d, int64_t bytes)
{
    if (bytes >= 0 && bytes % 16 == 0 && bytes <= longest_stride) return KGEN_OK;
    return context_fail(context, KGEN_ERROR_INPUT, KG_D_R703,
                        "pad the tensor, or compile a kernel without bulk copies",
                        "the stride of dimension %d of tensor '%s' is %" PRId64
                        " bytes, and the copy engine takes multiples of 16 below 2^40",
                        d, tensor, bytes);
}

static kgen_status describe_dimension(kgen_context *context, const kg_tensor_map *map, int i,
                                      const int64_t *values, kgen_tensor_map_info *out)
{
    const kg_tensor *tensor = map->tensor->tensor;
    int d = map->dim[i];
    int64_t stride;
    if (!kg_sexpr_eval(tensor->dims[d], values, &out->sizes[i])) out->sizes[i] = 0;
    kgen_status status = check_size(context, out->tensor, d, out->sizes[i]);
    out->box[i] = map->box[i];
    out->strides[i] = out->element_bytes;
    if (i == 0 || status) return status; // the fastest dimension has stride 1
    if (!kg_sexpr_eval(tensor->strides[d], values, &stride) ||
        __builtin_mul_overflow(stride, out->element_bytes, &out->strides[i]))
        out->strides[i] = INT64_MAX;
    return check_stride(context, out->tensor, d, out->strides[i]);
}

kgen_status program_describe_map(kgen_context *context, const kg_tensor_map *map,
                                 const int64_t *values, kgen_tensor_map_info *out)
{
    kgen_status status = KGEN_OK;
    *out = (kgen_tensor_map_info){.tensor = map->tensor->name,
                                  .rank = map->rank,
                                  .element_bytes = kg_dtype_bytes(map->tensor->type.dtype),
                                  .swizzle = map->swizzle,
                                  .dtype = kg_dtype_info_of(map->tensor->type.dtype)->name};
    for (int i = 0; !status && i < map->rank; i++)
        status = describe_dimension(context, map, i, values, out);
    return status;
}

// ---- maps of the host's own ---------------------------------------------------------------------

static const char *problem_of(const kgen_tensor_map_info *info)
{
    int bytes = info->element_bytes, swizzle = info->swizzle;
    if (info->rank < 1 || info->rank > 5) return "a rank of 1 to 5";
    if (bytes != 1 && bytes != 2 && bytes != 4 && bytes != 8) return "elements of 1, 2, 4, 8 bytes";
    if (swizzle && swizzle != 32 && swizzle != 64 && swizzle != 128)
        return "a swizzle of 0, 32, 64 or 128 bytes";
    for (int i = 0; i < info->rank; i++)
        if (info->box[i] < 1 || info->box[i] > 256) return "boxes of 1 to 256 elements";
    if (info->strides[0] != bytes) return "elements side by side in dimension 0";
    if (info->box[0] * bytes % 16) return "rows of boxes that are multiples of 16 bytes";
    if (swizzle && info->box[0] * bytes > swizzle) return "rows of boxes within the swizzle";
    return NULL;
}

kgen_status kgen_tensor_map_encode(kgen_buffer *buffer, size_t offset,
                                   const kgen_tensor_map_info *info, void *map)
{
    if (!buffer || !info || !map || (uintptr_t)map % KGEN_TENSOR_MAP_ALIGN) return KGEN_ERROR_USAGE;
    kgen_device *device = buffer->device;
    kgen_context *context = device->context;
    const char *wanted = problem_of(info), *name = info->tensor ? info->tensor : "of the map";
    if (!wanted && (offset > buffer->bytes || (buffer->address + offset) % 16))
        wanted = "tensors that start in their buffer, at a multiple of 16 bytes";
    if (wanted)
        return context_fail(context, KGEN_ERROR_INPUT, KG_D_R703, NULL, "a tensor map takes %s",
                            wanted);
    for (int i = 0; i < info->rank; i++) {
        kgen_status status = check_size(context, name, i, info->sizes[i]);
        if (!status && i) status = check_stride(context, name, i, info->strides[i]);
        if (status) return status;
    }
    return device->ops->encode_map(device, info, buffer->address + offset, map);
}
