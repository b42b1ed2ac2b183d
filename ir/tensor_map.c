// SPDX-License-Identifier: MIT
// Copies by the copy engine, taken apart into boxes; the tensor maps that a kernel needs.
#include "ir/tensor_map.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { LINE = 128, QUANTUM = 16 };

// A copy on its way to a plan. Dimensions are the operands' unless said otherwise.
typedef struct planning {
    const kg_kernel *kernel;
    const kg_type *type; // of both views
    int size;            // bytes of an element
    kg_view_info global, shared;
    int order[KG_MAX_RANK]; // operand dimensions, fastest first
    char *why;
} planning;

static bool refuse(const planning *p, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(p->why, KG_BULK_WHY, format, args);
    va_end(args);
    return false;
}

// ---- global memory ------------------------------------------------------------------------------

static bool has_stride_one(const planning *p, int base)
{
    const kg_sexpr *stride = p->global.root->tensor->strides[base];
    return stride->kind == KG_SX_INT && stride->value == 1;
}

// The operand dimension along which the tensor's elements lie side by side; -1: none.
static int contiguous(const planning *p)
{
    for (int d = p->global.rank - 1; d >= 0; d--)
        if (has_stride_one(p, p->global.dim[d])) return d;
    return -1;
}

static bool strides_fit(const planning *p, int inner)
{
    const kg_value *root = p->global.root;
    for (int base = 0; base < root->type.rank; base++) {
        if (base == p->global.dim[inner]) continue;
        int64_t known = kg_sexpr_divisor(p->kernel, root->tensor->strides[base]) * p->size;
        if (known % QUANTUM == 0) continue;
        return refuse(
            p,
            "the stride of dimension %d of '%s' is not known to be a multiple of 16 bytes "
            "(%d elements): assume it, or pad the tensor",
            base, root->name, QUANTUM / p->size);
    }
    return true;
}

static bool global_fits(const planning *p)
{
    const kg_value *root = p->global.root;
    int inner = contiguous(p);
    if (p->size < 1 || p->size > 8) return refuse(p, "it moves elements of 1 to 8 bytes");
    if (inner < 0) return refuse(p, "no dimension of the view has stride 1 in '%s'", root->name);
    for (int d = 0; d < p->global.rank; d++)
        if (p->global.gather[d]) return refuse(p, "it does not gather");
    if (root->tensor->align % QUANTUM)
        return refuse(p, "'%s' may start at any multiple of %d bytes, not only of 16", root->name,
                      root->tensor->align > 0 ? root->tensor->align : 1);
    if (!strides_fit(p, inner)) return false;
    if ((int64_t)p->type->dims[inner] * p->size % QUANTUM)
        return refuse(p, "its rows of %lld bytes are no multiple of 16",
                      (long long)p->type->dims[inner] * p->size);
    return true;
}

// ---- order of the dimensions --------------------------------------------------------------------

// Operand dimensions by their place in the shared buffer, the last one first.
static void order_by_shared(planning *p)
{
    for (int d = 0; d < p->shared.rank; d++) {
        int before = 0;
        for (int other = 0; other < p->shared.rank; other++)
            before += p->shared.dim[other] > p->shared.dim[d];
        p->order[before] = d;
    }
}

static bool order_fits(const planning *p)
{
    const kg_value *buffer = p->shared.root;
    int last = buffer->type.rank - 1;
    if (p->shared.dim[p->order[0]] != last)
        return refuse(p, "the last dimension of the buffer is not part of the view");
    if (has_stride_one(p, p->global.dim[p->order[0]])) return true;
    return refuse(p, "the last dimension of the buffer is not the one of stride 1 in '%s'",
                  p->global.root->name);
}

static bool start(planning *p, const kg_kernel *kernel, kg_value *global, kg_value *shared,
                  char *why)
{
    *p = (planning){.kernel = kernel, .type = &global->type, .why = why};
    p->size = kg_dtype_info_of(global->type.dtype)->bits / 8;
    kg_view_resolve(global, &p->global);
    if (!p->global.root || !p->global.root->tensor)
        return refuse(p, "one side of the copy is a tensor in global memory");
    if (!p->type->rank) return refuse(p, "it moves rows, not single elements");
    if (!global_fits(p)) return false;
    if (!shared) return true;
    kg_view_resolve(shared, &p->shared);
    if (!p->shared.root || p->shared.root->type.home != KG_HOME_SHARED)
        return refuse(p, "one side of the copy is a buffer in shared memory");
    for (int d = 0; d < p->shared.rank; d++)
        if (p->shared.gather[d]) return refuse(p, "it does not gather");
    order_by_shared(p);
    return order_fits(p);
}

const char *kg_bulk_copy_problem(kg_arena *arena, const kg_kernel *kernel, kg_value *global,
                                 kg_value *shared)
{
    char why[KG_BULK_WHY];
    planning p;
    if (start(&p, kernel, global, shared, why)) return NULL;
    return kg_arena_strndup(arena, why, strlen(why));
}

// ---- boxes --------------------------------------------------------------------------------------

// The fewest equal parts of at most 256 elements.
static int32_t parts_of(int32_t extent)
{
    int32_t parts = (extent + KG_BOX_LIMIT - 1) / KG_BOX_LIMIT;
    while (extent % parts) parts++;
    return parts;
}

// The constant index at which a view starts in a dimension of its root; false: known at run time.
static bool constant_start(const kg_value *value, int64_t *out)
{
    *out = 0;
    return !value || kg_const_int(value, out);
}

// The swizzle that the engine would need for this layout, in bytes of a row; -1: it has none.
static int32_t swizzle_of(const kg_shared_layout *s, int size)
{
    int32_t row = s->pitch * size;
    if (!s->bits) return 0;
    for (int bits = 1; bits <= 3; bits++)
        if (s->chunk_log2 == 4 && s->bits == bits && s->shift == 3 - bits && row == 16 << bits)
            return row;
    return -1;
}

static bool layout_fits(const planning *p, const kg_shared_layout *s, kg_bulk_copy *out)
{
    const kg_type *buffer = &p->shared.root->type;
    int32_t width = s->panel ? s->panel : buffer->dims[buffer->rank - 1];
    out->map.swizzle = swizzle_of(s, p->size);
    if (s->pitch != width)
        return refuse(p, "the rows of the buffer are padded: pitch=%d for %d elements", s->pitch,
                      width);
    if (out->map.swizzle < 0)
        return refuse(p, "swizzle=[%d, %d, %d] with rows of %d bytes is none of the copy engine's",
                      s->chunk_log2, s->bits, s->shift, s->pitch * p->size);
    // Where a row has 32, 64 or 128 bytes the pattern comes again after 8 lines, 4 or 2.
    out->slot_align = out->map.swizzle ? 8 * out->map.swizzle : KG_BULK_ALIGN;
    int64_t panel = (int64_t)s->rows * s->pitch * p->size;
    int64_t slot = kg_shared_slot_bytes(p->shared.root);
    bool many = kg_op_int(p->shared.root->op, KG_A_RING, 1) > 1;
    if (s->panel && s->panel < buffer->dims[buffer->rank - 1] && panel % out->slot_align)
        return refuse(p, "panels of %lld bytes are no multiple of %d", (long long)panel,
                      out->slot_align);
    if (many && slot % out->slot_align)
        return refuse(p, "slots of %lld bytes are no multiple of %d", (long long)slot,
                      out->slot_align);
    return true;
}

// Does the view fix a dimension of the buffer that lies between its i-th and the next one?
static bool gap_behind(const planning *p, int i)
{
    int next = i + 1 < p->shared.rank ? p->shared.dim[p->order[i + 1]] : -1;
    for (int between = p->shared.dim[p->order[i]] - 1; between > next; between--)
        if (p->shared.root->type.dims[between] > 1) return true;
    return false;
}

// Boxes along the rows' own dimension: a panel each, else the row or parts of it.
static bool split_row(const planning *p, const kg_shared_layout *s, kg_bulk_copy *out, bool *broken)
{
    int d = p->order[0];
    int32_t extent = p->type->dims[d], width = p->shared.root->type.dims[p->shared.dim[d]];
    int64_t first;
    if (!constant_start(p->shared.start[d], &first))
        return refuse(p, "its part of the buffer starts at a column known at run time only");
    int32_t box = s->panel ? s->panel : extent / parts_of(extent);
    if (s->panel && (first % s->panel || extent % s->panel))
        return refuse(p, "its part of the buffer is not made of whole panels");
    if (box > KG_BOX_LIMIT) return refuse(p, "panels of %d elements are too wide", box);
    if (out->map.swizzle && !s->panel && box != width)
        return refuse(p, "its part of the buffer has parts of swizzled rows");
    *broken = (!s->panel && box != width) || gap_behind(p, 0);
    out->map.box[0] = box;
    out->copies[0] = extent / box;
    out->bytes[0] = s->panel ? (int64_t)s->rows * s->pitch * p->size : (int64_t)box * p->size;
    out->first_byte = first / box * out->bytes[0];
    if (!s->panel) out->first_byte = first * p->size;
    return true;
}

// Boxes along the others. Rows of a box lie one behind the other: behind a dimension of which it
// has a part only, it is one element thick.
static bool split_rows(const planning *p, const kg_shared_layout *s, kg_bulk_copy *out, bool broken)
{
    const kg_type *buffer = &p->shared.root->type;
    int64_t rows[KG_MAX_RANK] = {0}, at = 1, row = (int64_t)s->pitch * p->size;
    for (int base = buffer->rank - 2; base >= 0; base--) {
        int64_t fixed;
        rows[base] = at;
        at *= buffer->dims[base];
        if (!constant_start(p->shared.fixed[base], &fixed))
            return refuse(p, "its part of the buffer starts at a row known at run time only");
        out->first_byte += fixed * rows[base] * row;
    }
    for (int i = 1; i < p->shared.rank; i++) {
        int d = p->order[i], base = p->shared.dim[d];
        int64_t first;
        int32_t extent = p->type->dims[d], box = broken ? 1 : extent / parts_of(extent);
        if (!constant_start(p->shared.start[d], &first))
            return refuse(p, "its part of the buffer starts at a row known at run time only");
        out->map.box[i] = box;
        out->copies[i] = extent / box;
        out->bytes[i] = box * rows[base] * row;
        out->first_byte += first * rows[base] * row;
        broken |= box != buffer->dims[base] || gap_behind(p, i);
    }
    return true;
}

static bool aligned(const planning *p, const kg_bulk_copy *c)
{
    bool fits = c->first_byte % KG_BULK_ALIGN == 0;
    for (int i = 0; i < p->shared.rank; i++)
        fits &= c->copies[i] == 1 || c->bytes[i] % KG_BULK_ALIGN == 0;
    if (fits) return true;
    return refuse(p, "a box would not start at a multiple of %d bytes of the buffer",
                  KG_BULK_ALIGN);
}

// Dimensions of the tensor: those of the view as the buffer has them, then the fixed ones.
static void name_dimensions(const planning *p, kg_bulk_copy *out)
{
    const kg_value *root = p->global.root;
    int n = 0;
    bool kept[KG_MAX_RANK] = {false};
    for (; n < p->global.rank; n++) {
        int d = p->order[n];
        kept[p->global.dim[d]] = true;
        out->map.dim[n] = p->global.dim[d];
        out->start[n] = p->global.start[d];
    }
    for (int base = root->type.rank - 1; base >= 0; base--) {
        if (kept[base]) continue;
        out->map.dim[n] = base;
        out->map.box[n] = out->copies[n] = 1;
        out->start[n++] = p->global.fixed[base];
    }
    out->map.tensor = p->global.root;
    out->map.rank = n;
}

bool kg_bulk_copy_plan(const kg_kernel *kernel, kg_value *global, kg_value *shared,
                       kg_bulk_copy *out, char why[KG_BULK_WHY])
{
    planning p;
    bool broken = false;
    memset(out, 0, sizeof *out);
    out->shares = 1;
    if (!start(&p, kernel, global, shared, why)) return false;
    kg_shared_layout layout = kg_shared_layout_of(p.shared.root);
    if (!layout_fits(&p, &layout, out) || !split_row(&p, &layout, out, &broken) ||
        !split_rows(&p, &layout, out, broken))
        return false;
    name_dimensions(&p, out);
    if (!aligned(&p, out)) return false;
    int64_t offset = kg_op_int(p.shared.root->op, KG_A_OFFSET, 0);
    if (offset % out->slot_align)
        return refuse(&p, "its buffer is not aligned to %d bytes: ask for it with `align`",
                      out->slot_align);
    if ((int64_t)out->map.box[0] * p.size % QUANTUM)
        return refuse(&p, "rows of boxes of %d bytes are no multiple of 16",
                      out->map.box[0] * p.size);
    if (kg_bulk_copy_count(out) <= KG_BULK_COPIES) return true;
    return refuse(&p, "it would take more than %d instructions", KG_BULK_COPIES);
}

// Cuts the boxes along their slowest dimension, one share for each CTA of the cluster.
static bool cut_shares(kg_bulk_copy *c, int32_t shares, char why[KG_BULK_WHY])
{
    int d = c->map.rank - 1;
    while (d > 0 && c->map.box[d] == 1) d--;
    int32_t rows = c->map.box[d];
    int64_t bytes = c->bytes[d] / shares;
    if (rows % shares || bytes % c->slot_align) {
        snprintf(why, KG_BULK_WHY,
                 "a box of %d rows cannot be cut in %d shares of whole multiples of %d bytes", rows,
                 shares, c->slot_align);
        return false;
    }
    c->shares = shares;
    c->share_dim = d;
    c->share_bytes = bytes;
    c->map.box[d] = rows / shares;
    return true;
}

bool kg_bulk_copy_plan_of(const kg_op *op, kg_bulk_copy *out, char why[KG_BULK_WHY])
{
    bool load = op->code == KG_OP_COPY_BULK;
    const kg_kernel *kernel = op->parent->kernel;
    if (!kg_bulk_copy_plan(kernel, op->operands[load], op->operands[!load], out, why)) return false;
    bool cut = kg_op_int(op, KG_A_MULTICAST, 0) && kernel->cluster > 1;
    return !cut || cut_shares(out, kernel->cluster, why);
}

static const char *const reductions[KG_BULK_REDUCTIONS] = {"add", "min", "max", "and", "or", "xor"};

kg_bulk_reduction kg_bulk_reduction_of(const kg_op *op)
{
    const kg_attr *by = kg_op_attr(op, KG_A_BY);
    for (int i = 0; by && by->name && i < KG_BULK_REDUCTIONS; i++)
        if (!strcmp(by->name, reductions[i])) return (kg_bulk_reduction)i;
    return KG_BULK_NONE;
}

const char *kg_bulk_reduction_misfit(const kg_op *op)
{
    kg_bulk_reduction by = kg_bulk_reduction_of(op);
    kg_dtype dtype = op->operands[0]->type.dtype;
    bool whole = dtype == KG_I32 || dtype == KG_I64, half = dtype == KG_F16 || dtype == KG_BF16;
    if (by == KG_BULK_ADD)
        return whole || half || dtype == KG_F32 ? NULL : "i32, i64, f16, bf16 and f32";
    if (by == KG_BULK_MIN || by == KG_BULK_MAX)
        return whole || half ? NULL : "i32, i64, f16 and bf16";
    return whole ? NULL : "i32 and i64";
}

int kg_bulk_copy_count(const kg_bulk_copy *copy)
{
    int64_t count = 1;
    for (int i = 0; i < copy->map.rank && count <= KG_BULK_COPIES; i++) count *= copy->copies[i];
    return (int)(count > KG_BULK_COPIES ? KG_BULK_COPIES + 1 : count);
}

kg_shared_layout kg_bulk_layout(const kg_type *type, int *align)
{
    int32_t width = type->rank ? type->dims[type->rank - 1] : 1;
    int size = kg_dtype_bytes(type->dtype);
    kg_shared_layout out = {.pitch = width, .rows = 1};
    for (int d = 0; d + 1 < type->rank; d++) out.rows *= type->dims[d];
    *align = KG_BULK_ALIGN;
    int64_t row = (int64_t)width * size;
    if (type->rank < 2) return out;
    int64_t line = LINE;
    while (line > 32 && row % line) line /= 2;
    bool panels = row > line && row % line == 0 && out.rows % 8 == 0;
    if (panels) out.panel = out.pitch = (int32_t)line / size, row = line;
    for (int bits = 1; bits <= 3; bits++) {
        if (row != 16 << bits) continue;
        out.chunk_log2 = 4;
        out.bits = bits;
        out.shift = 3 - bits;
        *align = 8 * (int)row;
    }
    return out;
}

// ---- the maps of a kernel -----------------------------------------------------------------------

static bool same_map(const kg_tensor_map *a, const kg_tensor_map *b)
{
    bool same = a->tensor == b->tensor && a->rank == b->rank && a->swizzle == b->swizzle;
    for (int i = 0; same && i < a->rank; i++)
        same = a->dim[i] == b->dim[i] && a->box[i] == b->box[i];
    return same;
}

int kg_tensor_maps_find(const kg_tensor_maps *maps, const kg_tensor_map *map)
{
    for (int i = 0; i < maps->count; i++)
        if (same_map(&maps->items[i], map)) return i;
    return -1;
}

typedef struct collector {
    kg_arena *arena;
    kg_tensor_maps *maps;
} collector;

static bool collect(kg_op *op, void *user)
{
    collector *c = user;
    kg_bulk_copy copy;
    char why[KG_BULK_WHY];
    if (op->code != KG_OP_COPY_BULK && op->code != KG_OP_STORE_BULK &&
        op->code != KG_OP_REDUCE_BULK)
        return true;
    if (!kg_bulk_copy_plan_of(op, &copy, why)) return true;
    if (kg_tensor_maps_find(c->maps, &copy.map) < 0) KG_PUSH(c->arena, c->maps, copy.map);
    return true;
}

void kg_tensor_maps_collect(kg_arena *arena, kg_kernel *kernel, kg_tensor_maps *out)
{
    collector c = {arena, out};
    *out = (kg_tensor_maps){0};
    kg_walk(kernel->body, collect, &c);
}
