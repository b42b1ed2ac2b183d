// SPDX-License-Identifier: MIT
// Tensor maps: their encoding, with the checks that the driver's cuTensorMapEncodeTiled makes.
//
// The documentation of the driver also asks that each stride be a multiple of the one before; the
// driver takes others (layouts whose dimensions are permuted), and so does this.
#include "tensor_map.h"
#include "machine_modes.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MAP_MARK 0x70616d2d6d787470ull // "ptxm-map"

// What the 128 bytes hold. Dimensions and boxes are kept less one.
struct encoded {
    uint64_t mark, sum, address;
    uint64_t strides[TENSOR_MAX_RANK - 1];
    uint32_t dims[TENSOR_MAX_RANK];
    uint8_t box[TENSOR_MAX_RANK], steps[TENSOR_MAX_RANK];
    uint8_t rank, type, swizzle;
};
_Static_assert(sizeof(struct encoded) <= sizeof(struct ptxm_tensor_map), "a map has 128 bytes");

static uint64_t sum_of(const struct encoded *e)
{
    struct encoded copy = *e;
    const uint8_t *bytes = (const uint8_t *)&copy;
    uint64_t sum = 14695981039346656037ull;
    copy.sum = 0;
    for (size_t i = 0; i < sizeof copy; i++) sum = (sum ^ bytes[i]) * 1099511628211ull;
    return sum;
}

static unsigned element_bytes(enum ptxm_tensor_type type)
{
    switch (type) {
    case PTXM_TENSOR_UINT8: return 1;
    case PTXM_TENSOR_UINT16:
    case PTXM_TENSOR_FLOAT16:
    case PTXM_TENSOR_BFLOAT16: return 2;
    case PTXM_TENSOR_UINT32:
    case PTXM_TENSOR_INT32:
    case PTXM_TENSOR_FLOAT32:
    case PTXM_TENSOR_TFLOAT32: return 4;
    case PTXM_TENSOR_UINT64:
    case PTXM_TENSOR_INT64:
    case PTXM_TENSOR_FLOAT64: return 8;
    default: return 0;
    }
}

static unsigned swizzle_bytes(enum ptxm_tensor_swizzle swizzle)
{
    static const unsigned bytes[] = {0, 32, 64, 128};
    return bytes[swizzle];
}

// ---- checks -------------------------------------------------------------------------------------

struct listener {
    ptxm_diagnostic_fn *fn;
    void *user;
};

static enum ptxm_status complain(const struct listener *l, const char *format, ...)
{
    char message[200];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    struct ptxm_diagnostic d = {0, 0, message, ""};
    if (l->fn)
        l->fn(l->user, &d);
    return PTXM_ERROR_ARGUMENT;
}

static enum ptxm_status check_kind(const struct ptxm_tensor *t, const struct listener *l)
{
    if ((unsigned)t->type > PTXM_TENSOR_TFLOAT32_FTZ)
        return complain(l, "unknown or packed element type %u", (unsigned)t->type);
    if (!element_bytes(t->type))
        return complain(l, "element types that flush denormals are not supported");
    if (t->rank < 1 || t->rank > TENSOR_MAX_RANK)
        return complain(l, "a rank of %u: 1 to 5 are legal", t->rank);
    if (t->interleave != PTXM_TENSOR_INTERLEAVE_NONE)
        return complain(l, "interleaved layouts are not supported: "
                           "use PTXM_TENSOR_INTERLEAVE_NONE");
    if ((unsigned)t->swizzle > PTXM_TENSOR_SWIZZLE_128B)
        return complain(l, "unknown swizzle %u", (unsigned)t->swizzle);
    if ((unsigned)t->promotion > PTXM_TENSOR_L2_256B)
        return complain(l, "unknown L2 promotion %u", (unsigned)t->promotion);
    if (t->fill != PTXM_TENSOR_FILL_ZERO)
        return complain(l, "only zero fill is supported");
    if (!t->dims || !t->box || !t->element_strides || (t->rank > 1 && !t->strides))
        return complain(l, "an array is missing");
    return PTXM_OK;
}

static enum ptxm_status check_arrays(const struct ptxm_tensor *t, const struct listener *l)
{
    unsigned size = element_bytes(t->type), span = swizzle_bytes(t->swizzle);
    if (t->address % 16)
        return complain(l, "the global address 0x%llx is not a multiple of 16",
                        (unsigned long long)t->address);
    for (uint32_t i = 0; i < t->rank; i++) {
        if (!t->dims[i] || t->dims[i] > (uint64_t)1 << 32)
            return complain(l, "dimension %u has %llu elements: 1 to 2^32 are legal", i,
                            (unsigned long long)t->dims[i]);
        if (!t->box[i] || t->box[i] > 256)
            return complain(l, "the box has %u elements along dimension %u: 1 to 256 are legal",
                            t->box[i], i);
        if (!t->element_strides[i] || t->element_strides[i] > 8)
            return complain(l, "element stride %u of dimension %u: 1 to 8 are legal",
                            t->element_strides[i], i);
        if (i && (t->strides[i - 1] % 16 || t->strides[i - 1] >= (uint64_t)1 << 40))
            return complain(l, "stride %llu of dimension %u: multiples of 16 below 2^40 are legal",
                            (unsigned long long)t->strides[i - 1], i);
    }
    if (t->box[0] * size % 16)
        return complain(l, "the box has %u bytes along dimension 0, no multiple of 16",
                        t->box[0] * size);
    if (span && t->box[0] * size > span)
        return complain(l, "the box has %u bytes along dimension 0, the swizzle %u at most",
                        t->box[0] * size, span);
    return PTXM_OK;
}

enum ptxm_status ptxm_tensor_map_encode_tiled(struct ptxm_tensor_map *map,
                                              const struct ptxm_tensor *t,
                                              ptxm_diagnostic_fn *diagnostic, void *user)
{
    struct listener l = {diagnostic, user};
    if (!map || !t)
        return PTXM_ERROR_ARGUMENT;
    if ((uintptr_t)map % 64)
        return complain(&l, "the map itself is not aligned to 64 bytes");
    enum ptxm_status status = check_kind(t, &l);
    if (status == PTXM_OK)
        status = check_arrays(t, &l);
    if (status != PTXM_OK)
        return status;
    struct encoded e;
    memset(&e, 0, sizeof e);
    e.mark = MAP_MARK;
    e.address = t->address;
    e.rank = (uint8_t)t->rank;
    e.type = (uint8_t)t->type;
    e.swizzle = (uint8_t)t->swizzle;
    for (uint32_t i = 0; i < t->rank; i++) {
        e.dims[i] = (uint32_t)(t->dims[i] - 1);
        e.box[i] = (uint8_t)(t->box[i] - 1);
        e.steps[i] = (uint8_t)t->element_strides[i];
        if (i)
            e.strides[i - 1] = t->strides[i - 1];
    }
    e.sum = sum_of(&e);
    memset(map, 0, sizeof *map);
    memcpy(map, &e, sizeof e);
    return PTXM_OK;
}

// ---- reading ------------------------------------------------------------------------------------

bool ptxm_tensor_map_read(const void *bytes, struct tensor_map *m)
{
    struct encoded e;
    memcpy(&e, bytes, sizeof e);
    if (e.mark != MAP_MARK || e.sum != sum_of(&e))
        return false;
    *m = (struct tensor_map){.address = e.address, .rank = e.rank,
                             .type = (enum ptxm_tensor_type)e.type,
                             .swizzle = (enum ptxm_tensor_swizzle)e.swizzle,
                             .element_bytes = element_bytes((enum ptxm_tensor_type)e.type)};
    for (uint32_t i = 0; i < TENSOR_MAX_RANK; i++) {
        m->dims[i] = (uint64_t)e.dims[i] + 1;
        m->box[i] = e.box[i] + 1u;
        m->steps[i] = e.steps[i] ? e.steps[i] : 1;
        m->strides[i] = i ? e.strides[i - 1] : m->element_bytes;
    }
    return true;
}

// Chunks of 16 bytes change places within lines of 128: bits 4 to 6 of the address (as many as the
// swizzle says) are combined with those that count the lines.
uint64_t ptxm_tensor_swizzle(const struct tensor_map *m, uint64_t address)
{
    uint64_t chunks = swizzle_bytes(m->swizzle) / 16;
    return chunks ? address ^ ((address >> 7 & (chunks - 1)) << 4) : address;
}

// ---- changing -----------------------------------------------------------------------------------

const char *ptxm_tensor_map_problem(const struct tensor_map *m)
{
    unsigned span = swizzle_bytes(m->swizzle);
    if (m->address % 16)
        return "its global address is not a multiple of 16";
    for (uint32_t i = 1; i < m->rank; i++)
        if (m->strides[i] % 16 || m->strides[i] >= (uint64_t)1 << 40)
            return "a stride is no multiple of 16 below 2^40";
    if (m->box[0] * m->element_bytes % 16)
        return "the bytes of its box along dimension 0 are no multiple of 16";
    if (span && m->box[0] * m->element_bytes > span)
        return "its box has more bytes along dimension 0 than its swizzle";
    return NULL;
}

bool ptxm_tensor_map_type(uint64_t number, enum ptxm_tensor_type *type)
{
    static const enum ptxm_tensor_type types[] = {
        PTXM_TENSOR_UINT8,   PTXM_TENSOR_UINT16,      PTXM_TENSOR_UINT32,  PTXM_TENSOR_INT32,
        PTXM_TENSOR_UINT64,  PTXM_TENSOR_INT64,       PTXM_TENSOR_FLOAT16, PTXM_TENSOR_FLOAT32,
        PTXM_TENSOR_FLOAT32_FTZ, PTXM_TENSOR_FLOAT64, PTXM_TENSOR_BFLOAT16, PTXM_TENSOR_TFLOAT32,
        PTXM_TENSOR_TFLOAT32_FTZ,
    };
    if (number >= sizeof types / sizeof *types || !element_bytes(types[number]))
        return false;
    *type = types[number];
    return true;
}

static bool is_blank(const void *bytes)
{
    static const struct ptxm_tensor_map zeros;
    return !memcmp(bytes, &zeros, sizeof zeros);
}

// Fields of dimensions hold their sizes less one.
static const char *set_field(struct encoded *e, unsigned field, unsigned i, uint64_t value)
{
    switch (field) {
    case MAP_ADDRESS: e->address = value; break;
    case MAP_RANK:
        if (value >= TENSOR_MAX_RANK)
            return "the rank less one is 0 to 4";
        e->rank = (uint8_t)(value + 1);
        break;
    case MAP_BOX:
        if (value < 1 || value > 256)
            return "a box has 1 to 256 elements along a dimension";
        e->box[i] = (uint8_t)(value - 1);
        break;
    case MAP_DIM:
        if (!value)
            return "a tensor has at least one element along a dimension";
        e->dims[i] = (uint32_t)value - 1;
        break;
    case MAP_STRIDE: e->strides[i] = value; break;
    case MAP_STEP:
        if (value < 1 || value > 8)
            return "an element stride is 1 to 8";
        e->steps[i] = (uint8_t)value;
        break;
    case MAP_TYPE: e->type = (uint8_t)value; break;
    case MAP_SWIZZLE: e->swizzle = (uint8_t)value; break;
    default: break; // no interleave, zero fill: there is nothing else
    }
    return NULL;
}

const char *ptxm_tensor_map_replace(void *bytes, unsigned field, unsigned index, uint64_t value)
{
    struct encoded e;
    memcpy(&e, bytes, sizeof e);
    if (is_blank(bytes))
        e = (struct encoded){.mark = MAP_MARK, .rank = 1};
    else if (e.mark != MAP_MARK || e.sum != sum_of(&e))
        return "these bytes are neither a tensor map nor zeros";
    const char *wrong = set_field(&e, field, index, value);
    if (wrong)
        return wrong;
    e.sum = sum_of(&e);
    memcpy(bytes, &e, sizeof e);
    return NULL;
}
