// SPDX-License-Identifier: MIT
// Attributes: which op may carry which, their ranges, and where buffers lie.
#include "ir/cache.h"
#include "ir/verify.h"
#include <string.h>

static bool is_memory(const kg_op *op)
{
    return kg_op_info_of(op->code)->cls == KG_CLASS_M;
}

static bool is_copy(const kg_op *op)
{
    return op->code == KG_OP_COPY || op->code == KG_OP_COPY_ASYNC;
}

static bool is_bulk(const kg_op *op)
{
    return op->code == KG_OP_COPY_BULK || op->code == KG_OP_STORE_BULK ||
           op->code == KG_OP_REDUCE_BULK;
}

static bool is_barrier(const kg_op *op)
{
    return op->code == KG_OP_BARRIER || op->code == KG_OP_ARRIVE;
}

static bool is_baton(const kg_op *op)
{
    return op->code == KG_OP_BATON_WAIT || op->code == KG_OP_BATON_PASS;
}

// Whether an op of this kind may carry the attribute at all.
static bool is_legal(const kg_op *op, kg_attr_key key)
{
    kg_op_class cls = kg_op_info_of(op->code)->cls;
    kg_opcode code = op->code;
    bool by_axis = cls == KG_CLASS_R || cls == KG_CLASS_N;
    switch (key) {
    case KG_A_VALUE_INT:
    case KG_A_VALUE_FLOAT:
        return code == KG_OP_CONST;
    case KG_A_DTYPE:
        return code == KG_OP_CONST || code == KG_OP_CAST || code == KG_OP_BITCAST ||
               code == KG_OP_IOTA;
    case KG_A_AXIS:
        return by_axis || code == KG_OP_EXPAND || code == KG_OP_IOTA || code == KG_OP_PART;
    case KG_A_SHAPE:
        return code == KG_OP_BROADCAST || code == KG_OP_IOTA;
    case KG_A_PERM:
        return code == KG_OP_TRANSPOSE;
    case KG_A_INDEX:
    case KG_A_EXTENT:
    case KG_A_SLOT:
    case KG_A_INBOUNDS:
    case KG_A_DIVISIBLE:
        return code == KG_OP_VIEW;
    case KG_A_RING:
    case KG_A_OFFSET:
    case KG_A_ALIGN:
    case KG_A_PITCH:
    case KG_A_SWIZZLE:
    case KG_A_PANEL:
    case KG_A_ARRIVALS:
        return code == KG_OP_SHARED;
    case KG_A_PIPELINE:
    case KG_A_UNROLL:
    case KG_A_SPLIT:
        return code == KG_OP_FOR;
    case KG_A_ASYNC:
        return is_copy(op);
    case KG_A_VEC:
        return is_memory(op);
    case KG_A_CACHE:
        return is_copy(op) || is_bulk(op) || code == KG_OP_LOAD || code == KG_OP_STORE;
    case KG_A_BY:
        return code == KG_OP_REDUCE_BULK;
    case KG_A_MATRIX:
        return code == KG_OP_STORE;
    case KG_A_PARTIAL:
        return cls == KG_CLASS_R;
    case KG_A_FIRST:
    case KG_A_LAST:
        return code == KG_OP_WARPS || code == KG_OP_PART;
    case KG_A_ROLE:
    case KG_A_REGISTERS:
        return code == KG_OP_WARPS;
    case KG_A_ID:
        return is_barrier(op);
    case KG_A_IDS:
        return code == KG_OP_BARRIER || is_baton(op);
    case KG_A_BATON:
        return is_baton(op);
    case KG_A_COUNT:
        return is_barrier(op) || code == KG_OP_WAIT || code == KG_OP_BULK_WAIT ||
               code == KG_OP_WGMMA_WAIT;
    case KG_A_ORDER:
        return code == KG_OP_FENCE;
    case KG_A_SCOPE:
        return code == KG_OP_FENCE || code == KG_OP_PROXY_FENCE || code == KG_OP_MBARRIER_ARRIVE;
    case KG_A_BYTES:
        return code == KG_OP_MBARRIER_EXPECT;
    case KG_A_BEHIND:
        return code == KG_OP_MBARRIER_WAIT;
    case KG_A_BY_THREAD:
        return code == KG_OP_MBARRIER_ARRIVE;
    case KG_A_CLUSTER:
        return code == KG_OP_MBARRIER_ARRIVE || code == KG_OP_MBARRIER_WAIT;
    case KG_A_MULTICAST:
        return code == KG_OP_COPY_BULK;
    case KG_A_READ:
        return code == KG_OP_BULK_WAIT;
    case KG_A_COMPARE:
        return code == KG_OP_AWAIT;
    default:
        return true; // sync, why, by_hand: where an order comes from can be said of any op
    }
}

static void in_range(kg_verifier *v, const kg_op *op, const kg_attr *attr, int64_t low,
                     int64_t high)
{
    if (attr->i >= low && attr->i <= high) return;
    kg_verify_fail(v, KG_D_V203, op, "%s=%lld of %s is not between %lld and %lld",
                   kg_attr_info_of(attr->key)->name, (long long)attr->i,
                   kg_op_info_of(op->code)->name, (long long)low, (long long)high);
}

static void power_of_two(kg_verifier *v, const kg_op *op, const kg_attr *attr, int64_t high)
{
    if (attr->i >= 1 && attr->i <= high && !(attr->i & (attr->i - 1))) return;
    kg_verify_fail(v, KG_D_V203, op, "%s=%lld is not a power of two up to %lld",
                   kg_attr_info_of(attr->key)->name, (long long)attr->i, (long long)high);
}

static void one_per_dimension(kg_verifier *v, const kg_op *op, const kg_attr *attr)
{
    if (attr->count != op->operands[0]->type.rank)
        kg_verify_fail(v, KG_D_V203, op, "%s has %d numbers for %d dimensions",
                       kg_attr_info_of(attr->key)->name, attr->count, op->operands[0]->type.rank);
}

static void check_vec(kg_verifier *v, const kg_op *op, const kg_attr *attr)
{
    power_of_two(v, op, attr, 16);
    int bytes = kg_dtype_bytes(op->operands[0]->type.dtype);
    if (attr->i > 0 && attr->i <= 16 && attr->i * (bytes ? bytes : 1) > 16)
        kg_verify_fail(v, KG_D_V203, op,
                       "%lld elements of %d bytes are wider than an access of 16 bytes",
                       (long long)attr->i, bytes);
}

static void check_async(kg_verifier *v, const kg_op *op, const kg_attr *attr)
{
    if (attr->i != 4 && attr->i != 8 && attr->i != 16)
        kg_verify_fail(v, KG_D_V203, op, "cp.async copies 4, 8 or 16 bytes, not %lld",
                       (long long)attr->i);
}

static void check_cache(kg_verifier *v, const kg_op *op)
{
    const char *help;
    const char *problem = kg_cache_problem(v->diags->arena, op, &help);
    if (!problem) return;
    kg_diag *diag = kg_error(v->diags, KG_D_V203, op->loc, "%s", problem);
    if (help) kg_diag_help(v->diags, diag, "%s", help);
}

// ---- buffers -----------------------------------------------------------------------------------
static void check_swizzle(kg_verifier *v, const kg_op *op, const kg_attr *attr)
{
    const kg_type *type = &op->results[0]->type;
    if (attr->count != 3) {
        kg_verify_fail(v, KG_D_V204, op, "swizzle has three numbers: chunk_log2, bits, shift");
        return;
    }
    int64_t chunk = attr->ints[0], bits = attr->ints[1], shift = attr->ints[2];
    if (chunk < 0 || chunk > 12 || bits < 0 || bits > 6 || shift < 0 || shift > 20) {
        kg_verify_fail(v, KG_D_V204, op, "swizzle [%lld, %lld, %lld] is out of range",
                       (long long)chunk, (long long)bits, (long long)shift);
        return;
    }
    int64_t row = (int64_t)kg_shared_layout_of(op->results[0]).pitch * kg_dtype_bytes(type->dtype);
    if (bits &&
        (row % ((int64_t)1 << (chunk + bits)) || (1 << chunk) < kg_dtype_bytes(type->dtype)))
        kg_verify_fail(v, KG_D_V204, op,
                       "swizzle [%lld, %lld, %lld] does not stay within a row of %lld bytes",
                       (long long)chunk, (long long)bits, (long long)shift, (long long)row);
}

static void check_buffer(kg_verifier *v, const kg_op *op)
{
    const kg_value *buffer = op->results[0];
    const kg_type *type = &buffer->type;
    if (type->home != KG_HOME_SHARED) {
        kg_verify_fail(v, KG_D_T104, op, "a buffer lives in shared memory");
        return;
    }
    const kg_attr *pitch = kg_op_attr(op, KG_A_PITCH), *offset = kg_op_attr(op, KG_A_OFFSET);
    const kg_attr *panel = kg_op_attr(op, KG_A_PANEL);
    int64_t width = type->rank ? type->dims[type->rank - 1] : 1;
    if (panel && (panel->i < 1 || width % panel->i)) {
        kg_verify_fail(v, KG_D_V204, op, "panels of %lld elements do not divide rows of %lld",
                       (long long)panel->i, (long long)width);
        return;
    }
    if (panel) width = panel->i;
    if (kg_op_attr(op, KG_A_ARRIVALS) && (type->dtype != KG_I64 || kg_type_elements(type) != 1)) {
        kg_verify_fail(v, KG_D_V203, op, "a ring of mbarriers has slots of one i64 element");
        return;
    }
    if (pitch && (pitch->i < width || pitch->i > width + 4096)) {
        kg_verify_fail(v, KG_D_V204, op, "pitch=%lld does not fit rows of %lld elements",
                       (long long)pitch->i, (long long)width);
        return;
    }
    if (!offset) return;
    int64_t bytes = kg_shared_bytes(buffer),
            align = kg_op_int(op, KG_A_ALIGN, kg_dtype_bytes(type->dtype));
    if (offset->i < 0 || offset->i > INT32_MAX || (align > 0 && offset->i % align))
        kg_verify_fail(v, KG_D_M402, op, "offset=%lld of the buffer is not aligned to %lld bytes",
                       (long long)offset->i, (long long)align);
    else if (v->kernel->level >= KG_LEVEL_PLACED && offset->i + bytes > v->kernel->shared_bytes)
        kg_verify_fail(v, KG_D_M402, op, "the buffer ends at byte %lld, the kernel has %lld",
                       (long long)(offset->i + bytes), (long long)v->kernel->shared_bytes);
}

// ---- all attributes ----------------------------------------------------------------------------
static void check_attr(kg_verifier *v, const kg_op *op, const kg_attr *attr)
{
    switch (attr->key) {
    case KG_A_RING:
        in_range(v, op, attr, 1, 64);
        break;
    case KG_A_ALIGN:
        power_of_two(v, op, attr, 4096);
        break;
    case KG_A_SWIZZLE:
        check_swizzle(v, op, attr);
        break;
    case KG_A_PIPELINE:
        in_range(v, op, attr, 1, 1 << 20);
        break;
    case KG_A_UNROLL:
        in_range(v, op, attr, 1, 1 << 20);
        break;
    case KG_A_ASYNC:
        check_async(v, op, attr);
        break;
    case KG_A_VEC:
        check_vec(v, op, attr);
        break;
    case KG_A_CACHE:
        check_cache(v, op);
        break;
    case KG_A_SLOT:
    case KG_A_BEHIND:
    case KG_A_BY_THREAD:
    case KG_A_CLUSTER:
    case KG_A_MULTICAST:
    case KG_A_READ:
    case KG_A_SPLIT:
        in_range(v, op, attr, 0, 1);
        break;
    case KG_A_ARRIVALS:
        in_range(v, op, attr, 1, 1024);
        break;
    case KG_A_BYTES:
        in_range(v, op, attr, 1, (1 << 20) - 1);
        break;
    case KG_A_REGISTERS:
        in_range(v, op, attr, 24, 256);
        if (attr->i % 8)
            kg_verify_fail(v, KG_D_V203, op, "registers=%lld is not a multiple of 8",
                           (long long)attr->i);
        break;
    case KG_A_INBOUNDS:
    case KG_A_DIVISIBLE:
        one_per_dimension(v, op, attr);
        break;
    default:
        break;
    }
}

void kg_verify_attrs(kg_verifier *v, const kg_op *op)
{
    for (const kg_attr *attr = op->attrs; attr; attr = attr->next) {
        if (is_legal(op, attr->key))
            check_attr(v, op, attr);
        else
            kg_verify_fail(v, KG_D_V203, op, "%s has no attribute '%s'",
                           kg_op_info_of(op->code)->name, kg_attr_info_of(attr->key)->name);
        if (attr->next && attr->next->key <= attr->key)
            kg_verify_fail(v, KG_D_V203, op, "attributes of %s are not in order",
                           kg_op_info_of(op->code)->name);
    }
    if (op->code == KG_OP_SHARED) check_buffer(v, op);
}
