// SPDX-License-Identifier: MIT
// Tiles that the CTAs of a cluster fetch together: `schedule cluster N`.
//
//   grid n, m     cluster 2, cluster_axis 1       m = .. * 2 + rank
//   copy_bulk sa[k] = a[m*128.., k*64..]     =>   copy_bulk sa[k] = a[m*128.., k*64..]
//   copy_bulk sb[k] = b[k*64.., n*256..]          copy_bulk sb[k] = b[k*64.., n*256..]
//   {multicast=1}
//
// A copy is one for all CTAs of the cluster where neither its tile nor the way to it depends on the
// axis along which the cluster lies, and its rows can be cut in shares.
//
// The last clusters along the axis may have CTAs whose tiles lie beyond the grid. They do what the
// others do, since those count on them, and nothing comes of it: whatever they would write lies
// outside of the tensor. Where the text does not show that, there is no cluster.
#include "passes/specialize_internal.h"

enum { PATTERN = 8, MOST_ROWS = 256 }; // rows: of a swizzle; of a box

// ---- copies that are one for all ---------------------------------------------------------------
// Rows of a box, of which each CTA brings as many, in whole patterns of the swizzle.
static bool is_cut(kg_specializer *s, kg_value *view)
{
    int contiguous;
    const char *help;
    if (view->type.rank != 2 || kg_bulk_misfit(s, view, &contiguous, &help)) return false;
    int rows = view->type.dims[1 - contiguous], parts = (rows + MOST_ROWS - 1) / MOST_ROWS;
    while (rows % parts) parts++;
    return rows / parts % (PATTERN * s->schedule.cluster) == 0;
}

static void check_copies(kg_specializer *s)
{
    const kg_value *axis = s->kernel->grid[s->schedule.cluster_axis].value;
    const kg_op *common = NULL;
    for (int l = 0; l < s->loops.count; l++)
        for (int i = 0; i < s->loops.items[l].n_rings; i++) {
            const kg_op *copy = s->loops.items[l].rings[i].copies.items[0];
            if (kg_varies_along(s->kernel, axis, copy)) continue;
            common = copy;
            if (is_cut(s, copy->operands[1])) return;
        }
    if (common)
        kg_misfit_at(s, common, "rows of the tile in multiples of 8 for each CTA",
                     "this tile cannot be cut in %d shares", s->schedule.cluster);
    else
        kg_misfit_at(s, s->loops.items[0].loop,
                     "`cluster_axis` says along which axis of the grid the tiles of a cluster lie",
                     "no tile that this loop fetches is the same for neighbours along '%s'",
                     axis->name);
}

typedef struct sharing {
    kg_specializer *s;
    const kg_value *cta;
} sharing;

static bool share_copy(kg_op *op, void *user)
{
    sharing *x = user;
    if (op->code == KG_OP_COPY_BULK && is_cut(x->s, op->operands[1]) &&
        !kg_varies_along(x->s->kernel, x->cta, op))
        kg_op_set_int(x->s->kernel, op, KG_A_MULTICAST, 1);
    return true;
}

void kg_share_copies(kg_specializer *s, kg_block *producer)
{
    sharing x = {s, s->kernel->grid[0].value};
    kg_walk(producer, share_copy, &x);
}

// ---- tiles beyond the grid ---------------------------------------------------------------------
// A place is so many times the index along an axis; 0: it is not.
static int64_t multiple_of(const kg_value *start, const kg_value *axis)
{
    int64_t by;
    if (start == axis) return 1;
    if (!start || start->kind != KG_VALUE_RESULT) return 0;
    const kg_op *op = start->op;
    if (op->code == KG_OP_CAST) return multiple_of(op->operands[0], axis);
    if (op->code != KG_OP_MUL || !kg_const_int(op->operands[1], &by) || by < 1) return 0;
    return multiple_of(op->operands[0], axis) ? by : 0;
}

// Whoever stands beyond the end of the axis and starts there is outside of the dimension.
static bool covers(const kg_grid_axis *axis, const kg_value *start, const kg_sexpr *dim)
{
    int64_t by = multiple_of(start, axis->value);
    const kg_sexpr *extent = axis->extent;
    if (by == 1 && kg_sexpr_equal(extent, dim)) return true;
    if (by < 1) return false;
    if (extent->kind == KG_SX_INT && dim->kind == KG_SX_INT)
        return extent->value * by >= dim->value;
    return extent->kind == KG_SX_CEILDIV && kg_sexpr_equal(extent->a, dim) &&
           extent->b->kind == KG_SX_INT && extent->b->value <= by;
}

static bool is_outside(const kg_grid_axis *axis, kg_value *view)
{
    kg_view_info info;
    kg_view_resolve(view, &info);
    for (int d = 0; d < info.rank; d++)
        if (!info.gather[d] && covers(axis, info.start[d], info.root->tensor->dims[info.dim[d]]))
            return true;
    for (int d = 0; d < info.root->type.rank; d++)
        if (info.fixed[d] && covers(axis, info.fixed[d], info.root->tensor->dims[d])) return true;
    return false;
}

static bool is_dropped(kg_op *op, void *user)
{
    kg_specializer *s = user;
    const kg_op_info *info = kg_op_info_of(op->code);
    const kg_grid_axis *axis = &s->kernel->grid[s->schedule.cluster_axis];
    bool tells = op->code == KG_OP_FETCH_ADD || op->code == KG_OP_SIGNAL || op->code == KG_OP_AWAIT;
    for (int i = 0; i < info->n_effects && !tells; i++) {
        int operand = info->effects[i].operand;
        if (info->effects[i].mode == KG_MODE_R || operand < 0 || operand >= op->n_operands)
            continue;
        kg_value *root = kg_root(op->operands[operand]);
        tells = root && root->tensor && !is_outside(axis, op->operands[operand]);
    }
    if (tells)
        kg_misfit_at(s, op, "round the axis up to a multiple of it, as in `ceildiv(M, 256) * 2`",
                     "the axis '%s' may not be a multiple of the %d tiles of a cluster, and what "
                     "this %s does for a tile beyond it is not seen to be nothing",
                     axis->value->name, s->schedule.cluster, info->name);
    return !tells;
}

bool kg_cluster_fits(kg_specializer *s)
{
    int size = s->schedule.cluster, axis = s->schedule.cluster_axis;
    const kg_kernel *k = s->kernel;
    if (k->cluster)
        kg_misfit_at(s, NULL, "leave out one of them", "the kernel has clusters of its own");
    else if (s->schedule.turns > 1)
        kg_misfit_at(s, NULL, "leave out `turns` or `cluster`",
                     "in a cluster one set of consumers makes all tiles of a CTA");
    else if (axis >= k->n_grid)
        kg_misfit_at(s, NULL, NULL, "the grid has no axis %d, they count from 0", axis);
    else if (s->schedule.persistent && s->schedule.persistent < size)
        kg_misfit_at(s, NULL, NULL, "%d CTAs are less than a cluster of %d", s->schedule.persistent,
                     size);
    if (s->misfit.reason) return false;
    check_copies(s);
    int64_t length = kg_sexpr_divisor(k, k->grid[axis].extent);
    const kg_sexpr *extent = k->grid[axis].extent;
    bool full = extent->kind == KG_SX_INT ? extent->value % size == 0 : length % size == 0;
    if (!full && !s->misfit.reason) kg_walk(s->kernel->body, is_dropped, s);
    return !s->misfit.reason;
}
