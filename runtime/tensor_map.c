// SPDX-License-Identifier: MIT
// Tensor maps at launch: sizes, strides and the address of a tensor as the kernel's parameters give
// them, held against what the copy engine takes, and encoded by the device.
#include "runtime/internal.h"
#include <inttypes.h>

static const int64_t longest_stride = (INT64_C(1) << 40) - 1; // bytes

// Coordinates in a kernel have 32 bits with a sign; sizes stay below that.
static kgen_status check_size(kgen_context *context, const kg_value *tensor, int d, int64_t size)
{
    if (size >= 1 && size <= INT32_MAX) return KGEN_OK;
    return context_fail(context, KGEN_ERROR_INPUT, KG_D_R703, NULL,
                        "dimension %d of tensor '%s' is %" PRId64
                        ", and the copy engine takes 1 to %d",
                        d, tensor->name, size, INT32_MAX);
}

static kgen_status check_stride(kgen_context *context, const kg_value *tensor, int d,
                                int64_t stride, int64_t bytes)
{
    if (bytes >= 0 && bytes % 16 == 0 && bytes <= longest_stride) return KGEN_OK;
    return context_fail(context, KGEN_ERROR_INPUT, KG_D_R703,
                        "pad the tensor, or compile a kernel without bulk copies",
                        "the stride of dimension %d of tensor '%s' is %" PRId64
                        " elements, %" PRId64
                        " bytes, and the copy engine takes multiples of 16 below 2^40",
                        d, tensor->name, stride, bytes);
}

static kgen_status fill_dimension(kgen_context *context, const kg_tensor_map *map, int i,
                                  const int64_t *values, device_tensor *out)
{
    const kg_tensor *tensor = map->tensor->tensor;
    int d = map->dim[i];
    int64_t size = 0, stride = 0, bytes = -1;
    if (!kg_sexpr_eval(tensor->dims[d], values, &size)) size = 0;
    kgen_status status = check_size(context, map->tensor, d, size);
    out->sizes[i] = (uint64_t)size;
    out->box[i] = (uint32_t)map->box[i];
    if (i == 0 || status) return status; // the fastest dimension has stride 1
    if (kg_sexpr_eval(tensor->strides[d], values, &stride) &&
        __builtin_mul_overflow(stride, out->element_bytes, &bytes))
        bytes = -1;
    out->strides[i - 1] = (uint64_t)bytes;
    return check_stride(context, map->tensor, d, stride, bytes);
}

kgen_status program_encode_map(kgen_program *program, kgen_device *device, const kg_tensor_map *map,
                               uint64_t address, const int64_t *values, void *out)
{
    kgen_context *context = device->context;
    device_tensor tensor = {.rank = map->rank,
                            .element_bytes = kg_dtype_bytes(map->tensor->type.dtype),
                            .address = address,
                            .swizzle = map->swizzle};
    if (address % 16)
        return context_fail(context, KGEN_ERROR_INPUT, KG_D_R703, NULL,
                            "tensor '%s' must start at a multiple of 16 bytes: kernel %s has the "
                            "copy engine move it",
                            map->tensor->name, program->kernel->name);
    for (int i = 0; i < map->rank; i++) {
        kgen_status status = fill_dimension(context, map, i, values, &tensor);
        if (status) return status;
    }
    return device->ops->encode_map(device, &tensor, out);
}
