// SPDX-License-Identifier: MIT
// Builders of tensor copies, of the fences of tensor maps, and of what changes maps.
#include "bulk.h"
#include "decode.h"
#include "machine_modes.h"
#include "steps.h"
#include "tensor_map.h"

// [map, {c0, c1}]: the map's address, always generic, and its coordinates.
static bool add_map(struct decoder *d, const struct operand *o, struct bulk_form *f, unsigned which,
                    int32_t *list, unsigned *count)
{
    if (o->kind != OPERAND_ADDRESS || o->count != 2)
        return ptxm_d_complain(d, &o->token, "expected [map, {coordinates}]");
    struct operand map = *o;
    const struct operand *c = &o->elements[1];
    size_t given = c->kind == OPERAND_VECTOR ? c->count : 1;
    const struct operand *element = c->kind == OPERAND_VECTOR ? c->elements : c;
    map.count = 1;
    if (!ptxm_d_bulk_address(d, &map, SPACE_GENERIC, &f->address[which], list, count))
        return false;
    if (given != (size_t)f->rank)
        return ptxm_d_complain(d, &c->token, "wrong number of coordinates");
    f->coordinates = (int8_t)*count;
    for (size_t i = 0; i < given; i++)
        if (ptxm_d_bulk_source(list, count, ptxm_d_source(d, &element[i], T_B32, false)) < 0)
            return false;
    return true;
}

static struct bulk_form *tensor_form(struct decoder *d)
{
    struct bulk_form *f = ptxm_d_bulk_form(d);
    if (f)
        f->rank = (int8_t)(d->fields['d'][0] - '0');
    return f;
}

static bool operand_count(struct decoder *d, size_t wanted)
{
    return d->statement->operand_count == wanted ||
           ptxm_d_complain(d, NULL, "wrong number of operands");
}

// [to], [map, {c}], [mbarrier]{, mask}{, policy}; a prefetch has the map only
bool build_tensor_load(struct decoder *d, int prefetch)
{
    const struct operand *o = d->statement->operands;
    struct bulk_form *f = tensor_form(d);
    enum space space = ptxm_d_is(d, 'S', "shared::cta") ? SPACE_SHARED : SPACE_CLUSTER;
    bool multicast = ptxm_d_has(d, 'M');
    unsigned count = 0;
    int32_t list[12];
    if (!f || !operand_count(d, (prefetch ? 1u : 3u) + multicast + ptxm_d_has(d, 'h')))
        return false;
    if (prefetch)
        return add_map(d, &o[0], f, BULK_FROM, list, &count) &&
               ptxm_d_bulk_op(d, ptxm_step_tensor, f, list, count) != NULL;
    if (!ptxm_d_bulk_address(d, &o[0], space, &f->address[BULK_TO], list, &count) ||
        !add_map(d, &o[1], f, BULK_FROM, list, &count) ||
        !ptxm_d_bulk_address(d, &o[2], space, &f->address[BULK_BARRIER], list, &count))
        return false;
    if (multicast &&
        (f->mask = ptxm_d_bulk_source(list, &count, ptxm_d_source(d, &o[3], T_B16, true))) < 0)
        return false;
    return ptxm_d_bulk_op(d, ptxm_step_tensor, f, list, count) != NULL;
}

// [map, {c}], [from]{, policy}
bool build_tensor_store(struct decoder *d, int reduces)
{
    const struct operand *o = d->statement->operands;
    struct bulk_form *f = tensor_form(d);
    unsigned count = 0;
    int32_t list[12];
    if (!f || !operand_count(d, 2u + ptxm_d_has(d, 'h')) ||
        !add_map(d, &o[0], f, BULK_TO, list, &count) ||
        !ptxm_d_bulk_address(d, &o[1], SPACE_SHARED, &f->address[BULK_FROM], list, &count))
        return false;
    struct op *op = ptxm_d_bulk_op(d, ptxm_step_tensor, f, list, count);
    if (!op)
        return false;
    op->flags = OPF_STORES | (reduces ? OPF_REDUCES : 0);
    op->mode = reduces ? (uint8_t)ptxm_d_atomic_operation(d) : 0;
    return true;
}

bool build_tensor_refused(struct decoder *d, int argument)
{
    return ptxm_d_refuse(d, "only tile mode is supported: im2col and gather are not");
}

// fence.proxy.tensormap::generic.release.gpu, and .acquire.gpu [map], 128
bool build_fence_tensormap(struct decoder *d, int acquire)
{
    int32_t list[1];
    struct op *op;
    if (acquire && d->immediate != 128)
        return ptxm_d_complain(d, NULL, "the size of a tensor map is 128");
    if (acquire) {
        if (!(op = ptxm_d_access(d, ptxm_step_fence_tensormap, d->address, 0, 0, list)))
            return false;
        op->type2 = ptxm_d_address_bytes(d, op->operands[0]);
    } else if (!(op = ptxm_d_step(d, ptxm_step_fence_tensormap, 0, 0, NULL))) {
        return false;
    }
    op->sem = acquire ? SEM_ACQUIRE : SEM_RELEASE;
    op->scope = (uint8_t)ptxm_d_scope(d);
    return true;
}

bool build_prefetch_map(struct decoder *d, int argument)
{
    int32_t list[1];
    struct op *op = ptxm_d_access(d, ptxm_step_prefetch_map, d->address, 0, 0, list);
    if (op)
        op->type2 = ptxm_d_address_bytes(d, op->operands[0]);
    return op != NULL;
}

// ---- maps that are changed ----------------------------------------------------------------------

static enum map_field field_of(const struct decoder *d)
{
    static const char *const names[] = {"global_address", "rank", "box_dim", "global_dim",
                                        "global_stride", "element_stride", "elemtype",
                                        "interleave_layout", "swizzle_mode", "fill_mode"};
    unsigned i = 0;
    while (i < MAP_FILL && !ptxm_d_is(d, 'f', names[i])) i++;
    return (enum map_field)i;
}

// What a constant means; false: it is not supported.
static bool constant_of(struct decoder *d, enum map_field field, uint32_t *value)
{
    enum ptxm_tensor_type type = PTXM_TENSOR_UINT8;
    uint64_t given = d->immediate;
    const char *why = NULL;
    if (field == MAP_TYPE && !ptxm_tensor_map_type(given, &type))
        why = "this element type is not supported: use one that is neither packed nor flushed";
    else if (field == MAP_INTERLEAVE && given)
        why = "interleaved layouts are not supported: use 0";
    else if (field == MAP_SWIZZLE && given > PTXM_TENSOR_SWIZZLE_128B)
        why = "this swizzle is not supported: use 0 to 3";
    else if (field == MAP_FILL && given)
        why = "only zero fill is supported: use 0";
    *value = field == MAP_TYPE ? (uint32_t)type : (uint32_t)given;
    return !why || (ptxm_d_refuse(d, why), false);
}

// [map]{, dimension}, value
bool build_map_replace(struct decoder *d, int constant)
{
    int32_t list[2] = {constant ? OPERAND_NONE : d->operands[0]};
    enum map_field field = field_of(d);
    uint32_t value = 0;
    if (constant && !constant_of(d, field, &value))
        return d->function->refused != NULL;
    if (!constant && d->immediate >= TENSOR_MAX_RANK - (field == MAP_STRIDE))
        return ptxm_d_complain(d, NULL, "a tensor has five dimensions, and four strides");
    struct op *op = ptxm_d_access(d, ptxm_step_map_replace, d->address, 0, !constant, list);
    if (!op)
        return false;
    op->type2 = ptxm_d_address_bytes(d, op->operands[!constant]);
    op->mode = field;
    op->target = value;
    return true;
}

// [to], [from], 128
bool build_map_copy(struct decoder *d, int argument)
{
    struct bulk_form *f = ptxm_d_bulk_form(d);
    unsigned count = 0;
    int32_t list[2];
    if (d->immediate != 128)
        return ptxm_d_complain(d, NULL, "the size of a tensor map is 128");
    if (!f ||
        !ptxm_d_bulk_address(d, d->address, SPACE_GLOBAL, &f->address[BULK_TO], list, &count) ||
        !ptxm_d_bulk_address(d, d->address2, SPACE_SHARED, &f->address[BULK_FROM], list, &count))
        return false;
    struct op *op = ptxm_d_bulk_op(d, ptxm_step_map_copy, f, list, count);
    if (op)
        op->scope = (uint8_t)ptxm_d_scope(d);
    return op != NULL;
}
