// SPDX-License-Identifier: MIT
// The order in which CTAs go through the tiles of a kernel.
//
// The grid's axes become one, numbered in the order of the raster, and each role finds the indices
// of its tile again. With `persistent N` there are at most N CTAs, and each goes through every N-th
// tile. With `raster G` tiles go along the second axis in groups of G, so that CTAs that run at a
// time read few rows and few columns of tiles:
//
//   grid n: 3, m: 4   raster 2        tile   0 1 2 3 4 5 | 6 7 8 9 10 11
//                                     m      0 1 0 1 0 1 | 2 3 2 3 2  3
//                                     n      0 0 1 1 2 2 | 0 0 1 1 2  2
//
// With `cluster N` a cluster of N CTAs has N tiles side by side along an axis, one each, so that
// clusters are given out where else tiles are: the axis has an N-th as many, rounded up, and its
// index in a CTA is N times the cluster's plus the CTA's rank. All but the rank is one number in
// all CTAs of a cluster.
#include "passes/fold_internal.h"
#include "passes/specialize_internal.h"

static kg_value *calculate(const kg_place *place, kg_opcode code, kg_value *a, kg_value *b)
{
    kg_value *value = kg_make_binary(place, code, a, b);
    if (value == a || value->op->code != code) return value;
    kg_value *simpler = kg_fold_algebra(place->kernel, value->op);
    if (!simpler) return value;
    kg_op_remove(value->op);
    return simpler;
}

static kg_value *negate(const kg_place *place, kg_value *a)
{
    kg_op *op = kg_make(place, KG_OP_NEG, 1, &a);
    return kg_op_result(place->kernel, op, a->type, NULL);
}

static kg_value *as_type(const kg_place *place, kg_value *a, kg_dtype dtype)
{
    if (a->type.dtype == dtype) return a;
    kg_op *op = kg_make(place, KG_OP_CAST, 1, &a);
    kg_op_set_dtype(place->kernel, op, KG_A_DTYPE, dtype);
    return kg_op_result(place->kernel, op, kg_scalar_type(dtype), NULL);
}

static bool is_wide(const kg_sexpr *e)
{
    if (e->kind == KG_SX_INT) return e->value != (int32_t)e->value;
    if (e->kind == KG_SX_PARAM) return e->param->type.dtype == KG_I64;
    return is_wide(e->a) || is_wide(e->b);
}

// A size as a scalar of the program, computed in this type.
static kg_value *scalar_of(const kg_place *place, const kg_sexpr *e, kg_dtype dtype)
{
    static const kg_opcode codes[] = {
        [KG_SX_ADD] = KG_OP_ADD, [KG_SX_SUB] = KG_OP_SUB, [KG_SX_MUL] = KG_OP_MUL,
        [KG_SX_DIV] = KG_OP_DIV, [KG_SX_MOD] = KG_OP_MOD, [KG_SX_CEILDIV] = KG_OP_DIV,
        [KG_SX_MIN] = KG_OP_MIN, [KG_SX_MAX] = KG_OP_MAX};
    if (e->kind == KG_SX_INT) return kg_make_int(place, dtype, e->value);
    if (e->kind == KG_SX_PARAM) return as_type(place, e->param, dtype);
    kg_value *a = scalar_of(place, e->a, dtype);
    if (e->kind == KG_SX_CEILDIV) a = negate(place, a);
    kg_value *b = scalar_of(place, e->b, dtype);
    kg_value *value = calculate(place, codes[e->kind], a, b);
    return e->kind == KG_SX_CEILDIV ? negate(place, value) : value;
}

// How long an axis of the grid is: below 2^31, whatever it is computed from.
static kg_value *length_of(const kg_place *place, const kg_sexpr *e)
{
    return as_type(place, scalar_of(place, e, is_wide(e) ? KG_I64 : KG_I32), KG_I32);
}

static bool is_arithmetic(const kg_sexpr *e)
{
    if (e->kind == KG_SX_INT || e->kind == KG_SX_PARAM) return true;
    return e->kind < KG_SX_EQ && is_arithmetic(e->a) && is_arithmetic(e->b);
}

bool kg_changes_grid(const kg_specializer *s)
{
    return s->schedule.persistent > 0 || s->schedule.raster > 1 || s->schedule.cluster > 1;
}

bool kg_is_linear_grid(kg_specializer *s)
{
    for (int i = 0; i < s->kernel->n_grid; i++)
        if (!is_arithmetic(s->kernel->grid[i].extent))
            kg_misfit_at(s, NULL, "leave out `persistent`, `raster` and `cluster`",
                         "the size of the grid's axis '%s' is decided by a comparison",
                         s->kernel->grid[i].value->name);
    if (!s->kernel->n_grid)
        kg_misfit_at(s, NULL, "leave out `persistent`, `raster` and `cluster`",
                     "the kernel has no grid whose tiles could be given out");
    return !s->misfit.reason;
}

// From a tile of a CTA to its next one, and from that of a cluster.
static int32_t step_of(const kg_specializer *s)
{
    return s->schedule.persistent / (s->schedule.cluster > 1 ? s->schedule.cluster : 1);
}

// Which cluster a CTA is of, and its rank there.
static void divide_cluster(kg_specializer *s, kg_tile_loop *t, const kg_place *outside)
{
    t->first = t->cta;
    if (s->schedule.cluster < 2) return;
    kg_value *size = kg_make_int(outside, KG_I32, s->schedule.cluster);
    t->first = calculate(outside, KG_OP_DIV, t->cta, size);
    t->rank = calculate(outside, KG_OP_MOD, t->cta, size);
}

// The grid's axes, that of the clusters with an N-th of its tiles.
static kg_grid_axis axis_of_clusters(const kg_specializer *s, int i)
{
    kg_grid_axis axis = s->kernel->grid[i];
    int32_t size = s->schedule.cluster;
    if (size < 2 || i != s->schedule.cluster_axis) return axis;
    kg_arena *arena = s->kernel->unit->arena;
    axis.extent = kg_sexpr_binary(arena, KG_SX_CEILDIV, axis.extent, kg_sexpr_int(arena, size));
    return axis;
}

kg_tile_loop kg_make_linear_grid(kg_specializer *s, const kg_place *outside)
{
    kg_kernel *k = s->kernel;
    kg_arena *arena = k->unit->arena;
    int32_t size = s->schedule.cluster > 1 ? s->schedule.cluster : 1;
    kg_tile_loop t = {.linear = kg_changes_grid(s)};
    if (!t.linear) return t;
    kg_sexpr *all = NULL;
    t.n_old = k->n_grid;
    for (int i = 0; i < k->n_grid; i++) {
        t.old[i] = axis_of_clusters(s, i);
        t.extent[i] = length_of(outside, t.old[i].extent);
        t.tiles = i ? calculate(outside, KG_OP_MUL, t.tiles, t.extent[i]) : t.extent[i];
        all = i ? kg_sexpr_binary(arena, KG_SX_MUL, all, t.old[i].extent) : t.old[i].extent;
    }
    if (s->schedule.persistent)
        all = kg_sexpr_binary(arena, KG_SX_MIN, all,
                              kg_sexpr_int(arena, s->schedule.persistent / size));
    if (size > 1) all = kg_sexpr_binary(arena, KG_SX_MUL, all, kg_sexpr_int(arena, size));
    t.cta = KG_NEW(arena, kg_value);
    *t.cta = (kg_value){.kind = KG_VALUE_GRID,
                        .type = kg_scalar_type(KG_I32),
                        .name = "cta",
                        .loc = k->grid[0].value->loc,
                        .id = -1};
    k->grid[0] = (kg_grid_axis){t.cta, all};
    k->n_grid = 1;
    k->cluster = size > 1 ? size : k->cluster;
    divide_cluster(s, &t, outside);
    if (s->schedule.turns > 1) {
        kg_value *left = negate(outside, calculate(outside, KG_OP_SUB, t.tiles, t.first));
        kg_value *step = kg_make_int(outside, KG_I32, step_of(s));
        t.turns = negate(outside, calculate(outside, KG_OP_DIV, left, step));
    }
    return t;
}

// A CTA's tiles, or its turns: 0, 1, 2, ..
static kg_block *open_loop(kg_specializer *s, const kg_tile_loop *t, kg_block *role)
{
    kg_place place = kg_place_end(s->kernel, role, s->schedule.loc);
    kg_value *first = t->turns ? kg_make_int(&place, KG_I32, 0) : t->first;
    kg_value *step = kg_make_int(&place, KG_I32, t->turns ? 1 : step_of(s));
    kg_value *end = t->turns ? t->turns : t->tiles;
    kg_op *loop = kg_make(&place, KG_OP_FOR, 3, (kg_value *[]){first, end, step});
    kg_block *body = kg_op_add_block(s->kernel, loop);
    body->arg = KG_NEW(s->kernel->unit->arena, kg_value);
    *body->arg = (kg_value){.kind = KG_VALUE_ARG,
                            .type = kg_scalar_type(KG_I32),
                            .name = t->turns ? "turn" : "tile",
                            .loc = loop->loc,
                            .op = loop,
                            .id = -1};
    return body;
}

// Indices of the two fastest axes, grouped along the second.
static void raster(const kg_place *place, const kg_tile_loop *t, int64_t group, kg_value *tile,
                   kg_value **indices)
{
    kg_value *height = kg_make_int(place, KG_I32, group);
    kg_value *per_group = calculate(place, KG_OP_MUL, t->extent[0], height);
    kg_value *first = calculate(place, KG_OP_MUL, calculate(place, KG_OP_DIV, tile, per_group),
                                kg_make_int(place, KG_I32, group));
    kg_value *rows = calculate(place, KG_OP_MIN, calculate(place, KG_OP_SUB, t->extent[1], first),
                               kg_make_int(place, KG_I32, group));
    // A group that tiles are in has a row; said so, no two tiles lie on one another for any sizes.
    rows = calculate(place, KG_OP_MAX, rows, kg_make_int(place, KG_I32, 1));
    kg_value *within = calculate(place, KG_OP_MOD, tile, per_group);
    indices[1] = calculate(place, KG_OP_ADD, first, calculate(place, KG_OP_MOD, within, rows));
    indices[0] = calculate(place, KG_OP_DIV, within, rows);
}

// Of the cluster's tiles, the one of this CTA.
static kg_value *own_tile(const kg_specializer *s, const kg_tile_loop *t, const kg_place *place,
                          kg_value *cluster)
{
    kg_value *size = kg_make_int(place, KG_I32, s->schedule.cluster);
    return calculate(place, KG_OP_ADD, calculate(place, KG_OP_MUL, cluster, size), t->rank);
}

static void name_index(const kg_tile_loop *t, int axis, kg_value *index)
{
    if (index->kind == KG_VALUE_RESULT && !index->name) index->name = t->old[axis].value->name;
}

static void find_indices(kg_specializer *s, const kg_tile_loop *t, kg_tile_work *work,
                         kg_value *tile)
{
    kg_value **indices = work->indices;
    kg_place place = kg_place_end(s->kernel, work->block, s->schedule.loc);
    if (t->turns) {
        kg_value *step = kg_make_int(&place, KG_I32, step_of(s));
        tile = calculate(&place, KG_OP_ADD, calculate(&place, KG_OP_MUL, tile, step), t->first);
        tile->name = "tile";
    }
    if (t->n_old == 3) {
        int64_t layers;
        kg_value *layer = calculate(&place, KG_OP_MUL, t->extent[0], t->extent[1]);
        bool one = kg_const_int(t->extent[2], &layers) && layers == 1;
        indices[2] =
            one ? kg_make_int(&place, KG_I32, 0) : calculate(&place, KG_OP_DIV, tile, layer);
        if (!one) tile = calculate(&place, KG_OP_MOD, tile, layer);
    }
    if (t->n_old == 1) {
        indices[0] = tile;
    } else if (s->schedule.raster > 1) {
        raster(&place, t, s->schedule.raster, tile, indices);
    } else {
        indices[0] = calculate(&place, KG_OP_MOD, tile, t->extent[0]);
        indices[1] = calculate(&place, KG_OP_DIV, tile, t->extent[0]);
    }
    if (t->rank)
        indices[s->schedule.cluster_axis] =
            own_tile(s, t, &place, indices[s->schedule.cluster_axis]);
    for (int i = 0; i < t->n_old; i++) name_index(t, i, indices[i]);
}

kg_tile_work kg_make_tile_loop(kg_specializer *s, const kg_tile_loop *t, kg_block *role)
{
    kg_tile_work work = {.block = role};
    if (!t->linear) return work;
    if (s->schedule.persistent) work.block = open_loop(s, t, role);
    find_indices(s, t, &work, s->schedule.persistent ? work.block->arg : t->first);
    return work;
}

kg_tile_work kg_make_turn_loop(kg_specializer *s, const kg_tile_loop *t, kg_block *role,
                               kg_tile_work *others)
{
    kg_block *body = open_loop(s, t, role);
    kg_place place = kg_place_end(s->kernel, body, s->schedule.loc);
    kg_value *rest = kg_make_binary(&place, KG_OP_MOD, body->arg,
                                    kg_make_int(&place, KG_I32, s->schedule.turns));
    kg_op *equal =
        kg_make(&place, KG_OP_EQ, 2, (kg_value *[]){rest, kg_make_int(&place, KG_I32, 0)});
    kg_value *own = kg_op_result(s->kernel, equal, kg_scalar_type(KG_I1), NULL);
    kg_op *branch = kg_make(&place, KG_OP_IF, 1, &own);
    kg_tile_work work = {.block = kg_op_add_block(s->kernel, branch)};
    *others = (kg_tile_work){.block = kg_op_add_block(s->kernel, branch)};
    find_indices(s, t, &work, body->arg);
    find_indices(s, t, others, body->arg);
    return work;
}
