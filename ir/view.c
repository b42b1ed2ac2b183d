// SPDX-License-Identifier: MIT
// Views resolved to their root: which dimension starts where, what is known of bounds and
// alignment.
#include "ir/access.h"
#include <string.h>

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}
static int64_t power_of_two_part(int64_t n)
{
    return n ? n & -n : 1 << 16;
}

static int64_t list_at(const kg_op *op, kg_attr_key key, int i, int64_t otherwise)
{
    const kg_attr *attr = kg_op_attr(op, key);
    return attr && i < attr->count ? attr->ints[i] : otherwise;
}

// The extent of a root dimension when it is a constant, else -1.
static int64_t known_extent(const kg_value *root, int dim)
{
    if (!root->tensor) return root->type.dims[dim];
    const kg_sexpr *e = root->tensor->dims[dim];
    return e && e->kind == KG_SX_INT ? e->value : -1;
}

static const kg_kernel *kernel_of(const kg_value *value)
{
    return value->op && value->op->parent ? value->op->parent->kernel : NULL;
}

// ---- bounds that the grid tells ----------------------------------------------------------------
// index * by + plus, for the index along an axis of the grid.
typedef struct along_axis {
    const kg_grid_axis *axis;
    int64_t by, plus;
} along_axis;

static bool is_along_axis(const kg_kernel *kernel, const kg_value *value, along_axis *out)
{
    if (value->kind == KG_VALUE_GRID) {
        *out = (along_axis){&kernel->grid[value->index], 1, 0};
        return out->axis->value == value && out->axis->extent; // none: a kernel made for a proof
    }
    const kg_op *op = value->kind == KG_VALUE_RESULT ? value->op : NULL;
    int64_t constant;
    if (!op || !op->n_operands || !is_along_axis(kernel, op->operands[0], out)) return false;
    if (op->code == KG_OP_CAST) return value->type.dtype == KG_I64;
    if (op->n_operands != 2 || !kg_const_int(op->operands[1], &constant)) return false;
    if (constant < 0 || constant > INT32_MAX) return false;
    if (op->code == KG_OP_ADD) return !__builtin_add_overflow(out->plus, constant, &out->plus);
    return op->code == KG_OP_MUL && constant > 0 &&
           !__builtin_mul_overflow(out->by, constant, &out->by) &&
           !__builtin_mul_overflow(out->plus, constant, &out->plus);
}

// Takes a constant off a sum.
static const kg_sexpr *without_constant(const kg_sexpr *e, int64_t *constant)
{
    *constant = 0;
    if (e->kind != KG_SX_ADD || e->b->kind != KG_SX_INT) return e;
    *constant = e->b->value;
    return e->a;
}

// No index into so much overflows 32 bits.
static bool is_narrow(const kg_sexpr *dim)
{
    if (dim->kind == KG_SX_INT) return dim->value <= INT32_MAX;
    if (dim->kind == KG_SX_ADD && dim->b->kind == KG_SX_INT && dim->b->value == 1)
        return is_narrow(dim->a);
    return dim->kind == KG_SX_PARAM && dim->param->type.dtype == KG_I32;
}

// Is an axis so long that tiles of `by` cover the dimension, and nothing behind its end?
static bool divides(const kg_kernel *kernel, const kg_sexpr *axis, const kg_sexpr *dim, int64_t by)
{
    bool down = axis->kind == KG_SX_DIV, up = axis->kind == KG_SX_CEILDIV;
    if ((!down && !up) || axis->b->kind != KG_SX_INT || axis->b->value < by) return false;
    if (!kg_sexpr_equal(axis->a, dim)) return false;
    return down || kg_sexpr_divisor(kernel, dim) % axis->b->value == 0;
}

// The index along an axis is less than the axis is long: a kernel is launched with the grid that it
// has.
static bool within_grid(const kg_kernel *kernel, const kg_sexpr *dim, const kg_value *start,
                        int64_t extent)
{
    along_axis at;
    int64_t more_in_dim, more_in_axis;
    if (!is_along_axis(kernel, start, &at)) return false;
    const kg_sexpr *axis = at.axis->extent;
    int64_t end = at.plus + extent;
    if (axis->kind == KG_SX_INT && dim->kind == KG_SX_INT)
        return axis->value <= INT32_MAX && dim->value <= INT32_MAX && at.by <= INT32_MAX &&
               (axis->value - 1) * at.by + end <= dim->value;
    if (start->type.dtype != KG_I64 && !is_narrow(dim)) return false;
    if (end <= at.by && divides(kernel, axis, dim, at.by)) return true;
    const kg_sexpr *a = without_constant(dim, &more_in_dim);
    const kg_sexpr *b = without_constant(axis, &more_in_axis);
    return at.by == 1 && kg_sexpr_equal(a, b) && more_in_axis - 1 + end <= more_in_dim;
}

static bool within(const kg_kernel *kernel, const kg_value *root, int dim, const kg_value *start,
                   int64_t extent)
{
    int64_t first = 0;
    if (root->type.home == KG_HOME_SHARED) return true;
    if (start && !kg_const_int(start, &first))
        return kernel && root->tensor && root->tensor->dims[dim] &&
               within_grid(kernel, root->tensor->dims[dim], start, extent);
    return first >= 0 && first + extent <= known_extent(root, dim);
}

static int64_t start_divisor(const kg_value *view, const kg_value *start, int64_t stated)
{
    const kg_kernel *kernel = kernel_of(view);
    int64_t found = 1;
    if (!start) return 1 << 16;
    if (kernel) found = kg_value_divisor(kernel, start);
    stated = power_of_two_part(stated);
    return found > stated ? found : stated;
}

// Dimensions of a view's base that it keeps, in order, with starts; the others are fixed.
static void read_view(const kg_value *view, kg_view_info *out, const int *perm, int rank)
{
    const kg_op *op = view->op;
    const kg_attr *index = kg_op_attr(op, KG_A_INDEX);
    int kept = 0, next = 1;
    int position[KG_MAX_RANK];
    if (kg_op_int(op, KG_A_SLOT, 0)) out->slot = op->operands[next++];
    for (int d = 0; d < rank; d++) position[perm[d]] = d; // view dimension -> operand dimension
    for (int base = 0; index && base < index->count; base++) {
        kg_index_kind kind = (kg_index_kind)index->ints[base];
        kg_value *value = kind == KG_INDEX_ALL ? NULL : op->operands[next++];
        int64_t stated = list_at(op, KG_A_DIVISIBLE, base, 1);
        bool inbounds = list_at(op, KG_A_INBOUNDS, base, 0) != 0;
        if (kind == KG_INDEX_AT) {
            out->fixed[base] = value;
            out->fixed_inbounds[base] = inbounds;
            out->fixed_divisor[base] = start_divisor(view, value, stated);
            continue;
        }
        int d = position[kept++];
        out->dim[d] = base;
        out->start[d] = kind == KG_INDEX_FROM ? value : NULL;
        out->gather[d] = kind == KG_INDEX_GATHER ? value : NULL;
        out->inbounds[d] = inbounds;
        out->divisor[d] = kind == KG_INDEX_GATHER ? 1 : start_divisor(view, out->start[d], stated);
    }
}

// Renames base dimensions through a transpose that stands between the view and its root.
static void rename_dims(kg_view_info *out, const kg_op *transpose)
{
    kg_view_info old = *out;
    int rank = transpose->results[0]->type.rank;
    for (int d = 0; d < out->rank; d++)
        out->dim[d] = (int)list_at(transpose, KG_A_PERM, old.dim[d], rank - 1 - old.dim[d]);
    for (int base = 0; base < rank; base++) {
        int to = (int)list_at(transpose, KG_A_PERM, base, rank - 1 - base);
        out->fixed[to] = old.fixed[base];
        out->fixed_inbounds[to] = old.fixed_inbounds[base];
        out->fixed_divisor[to] = old.fixed_divisor[base];
    }
}

static void add_known_bounds(kg_view_info *out, const kg_value *view)
{
    const kg_kernel *kernel = kernel_of(view);
    const int32_t *dims = view->type.dims;
    for (int d = 0; d < out->rank; d++)
        if (!out->gather[d] && within(kernel, out->root, out->dim[d], out->start[d], dims[d]))
            out->inbounds[d] = true;
    for (int d = 0; d < out->root->type.rank; d++)
        if (out->fixed[d] && within(kernel, out->root, d, out->fixed[d], 1))
            out->fixed_inbounds[d] = true;
}

void kg_view_resolve(kg_value *operand, kg_view_info *out)
{
    int perm[KG_MAX_RANK];
    kg_value *value = operand;
    memset(out, 0, sizeof *out);
    out->rank = operand->type.rank;
    out->root = kg_root(operand);
    for (int d = 0; d < out->rank; d++) {
        perm[d] = out->dim[d] = d;
        out->divisor[d] = 1 << 16;
    }
    while (value->kind == KG_VALUE_RESULT && value->op->code == KG_OP_TRANSPOSE) {
        for (int d = 0; d < out->rank; d++)
            out->dim[d] = perm[d] =
                (int)list_at(value->op, KG_A_PERM, perm[d], out->rank - 1 - perm[d]);
        value = value->op->operands[0];
    }
    if (value->kind == KG_VALUE_RESULT && value->op->code == KG_OP_VIEW) {
        read_view(value, out, perm, out->rank);
        value = value->op->operands[0];
    }
    for (; value->kind == KG_VALUE_RESULT && value->op->code == KG_OP_TRANSPOSE;
         value = value->op->operands[0])
        rename_dims(out, value->op);
    add_known_bounds(out, operand);
}

// Bytes that the position of one row (all dimensions but the contiguous one) is a multiple of.
static int64_t global_row_alignment(const kg_kernel *kernel, const kg_view_info *info,
                                    const kg_type *type, int contiguous, int bytes)
{
    const kg_tensor *tensor = info->root->tensor;
    int64_t alignment = tensor->align > 0 ? power_of_two_part(tensor->align) : bytes;
    for (int d = 0; d < info->rank; d++) {
        if (info->dim[d] == contiguous) continue;
        int64_t stride = kg_sexpr_divisor(kernel, tensor->strides[info->dim[d]]) * bytes;
        bool moves = type->dims[d] > 1 || info->gather[d];
        alignment = least(alignment, moves ? stride : stride * info->divisor[d]);
    }
    for (int base = 0; base < info->root->type.rank; base++)
        if (info->fixed[base])
            alignment = least(alignment, kg_sexpr_divisor(kernel, tensor->strides[base]) * bytes *
                                             info->fixed_divisor[base]);
    return alignment;
}

static int64_t shared_row_alignment(const kg_view_info *info, int bytes)
{
    const kg_value *root = info->root;
    kg_shared_layout layout = kg_shared_layout_of(root);
    int64_t alignment = kg_op_int(root->op, KG_A_ALIGN, 16);
    if (alignment < 16) alignment = 16; // place aligns every buffer at least so
    if (root->type.rank > 1)
        alignment = least(alignment, power_of_two_part((int64_t)layout.pitch * bytes));
    if (kg_op_int(root->op, KG_A_RING, 1) > 1)
        alignment = least(alignment, power_of_two_part(kg_shared_slot_bytes(root)));
    if (layout.bits) alignment = least(alignment, INT64_C(1) << layout.chunk_log2);
    if (layout.panel)
        alignment = least(alignment, power_of_two_part((int64_t)layout.panel * bytes));
    return alignment;
}

int kg_shared_run_bytes(kg_value *operand, int d)
{
    kg_view_info info;
    kg_view_resolve(operand, &info);
    if (!info.root || info.root->type.home != KG_HOME_SHARED) return 0;
    if (info.dim[d] != info.root->type.rank - 1 || info.gather[d]) return 0;
    int bytes = kg_dtype_bytes(operand->type.dtype);
    int64_t alignment = least(shared_row_alignment(&info, bytes), info.divisor[d] * bytes);
    return (int)least(least(alignment, power_of_two_part(operand->type.dims[d]) * bytes), 16);
}

int kg_view_vector_bytes(const kg_kernel *kernel, kg_value *operand, bool extent_too)
{
    kg_view_info info;
    kg_view_resolve(operand, &info);
    if (!info.root) return 0;
    int bytes = kg_dtype_bytes(operand->type.dtype), last = info.rank - 1;
    if (info.rank == 0) return bytes;
    bool global = info.root->type.home == KG_HOME_GLOBAL;
    int contiguous = info.root->type.rank - 1;
    if (global) {
        int64_t stride = 0; // any dimension of stride 1 is contiguous
        contiguous = info.dim[last];
        const kg_sexpr *e = info.root->tensor->strides[contiguous];
        if (e && e->kind == KG_SX_INT) stride = e->value;
        if (stride != 1) return 0;
    }
    if (info.dim[last] != contiguous || info.gather[last]) return 0;
    int64_t alignment = global
                            ? global_row_alignment(kernel, &info, &operand->type, contiguous, bytes)
                            : shared_row_alignment(&info, bytes);
    alignment = least(alignment, info.divisor[last] * bytes);
    alignment = least(alignment, power_of_two_part(operand->type.dims[last]) * bytes);
    if (extent_too && global && !info.inbounds[last])
        alignment =
            least(alignment, kg_sexpr_divisor(kernel, info.root->tensor->dims[contiguous]) * bytes);
    return (int)least(alignment < bytes ? bytes : alignment, 16);
}
