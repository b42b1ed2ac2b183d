// SPDX-License-Identifier: MIT
// Matmul by multiply-adds, for the types and shapes that mma does not have: f32, f64, mixed types,
// odd tiles.
//
// A rolled loop over the inner dimension, a few steps unrolled; each step loads a thread's rows of
// a and columns of b from shared memory and updates all its accumulators. Fragment operands are
// looked up by register, which needs the loop unrolled whole.
#include "codegen/emit_dot.h"

typedef struct side {
    kg_value *value;
    int k_dim;
    const int32_t *at; // constant parts along the outer dimension
    int count;
    int vec; // elements of a load: of a along K, of b along N
    const kg_layout *layout;
    cg_value *registers;
    int *map;
    emit_place place;
    cg_value *held; // [step][outer], as the accumulator's type
} side;

typedef struct fma_dot {
    kg_emit *e;
    kg_op *op;
    const kg_layout *acc;
    const int *map;
    emit_tiles tiles;
    kg_dtype dtype; // of the accumulator
    int k, steps;   // inner extent; of it unrolled
    side a, b;
} fma_dot;

static bool open_fragment(fma_dot *x, side *s)
{
    kg_layout *layout = KG_NEW(x->e->arena, kg_layout);
    if (s->k_dim)
        kg_layout_dot_a(KG_DOT_FMA, x->acc, x->k, layout);
    else
        kg_layout_dot_b(KG_DOT_FMA, x->acc, x->k, layout);
    s->layout = layout;
    s->registers = emit_read_as(x->e, s->value, layout, kg_layout_registers(layout));
    s->map = emit_coordinate_map(x->e, layout);
    return s->registers != NULL;
}

// The run-time part of K is the loop's index, a multiple of the unrolled steps.
static bool open_place(fma_dot *x, side *s, cg_value index)
{
    emit_part parts[KG_MAX_RANK];
    memset(parts, 0, sizeof parts);
    uint32_t mask = 0;
    while ((int64_t)mask + 1 < x->k) mask = mask * 2 + 1;
    uint32_t low = (uint32_t)(x->steps & -x->steps) - 1;
    parts[s->k_dim] = (emit_part){.value = index, .mask = index ? mask & ~low : 0};
    parts[1 - s->k_dim] = emit_layout_part(x->e, x->acc, 1 - s->k_dim);
    if (!emit_place_open(x->e, s->value, parts, &s->place)) return false;
    if (!s->place.shared)
        return emit_error(x->e, KG_D_L303, "a matmul operand is still in global memory");
    return true;
}

static int consecutive(const side *s, int from, int limit)
{
    int run = 1;
    while (run < limit && from + run < s->count && s->at[from + run] == s->at[from] + run) run++;
    return run == limit ? run : 1;
}

static void load_run(fma_dot *x, side *s, int step, int outer, int run, cg_value *out)
{
    int32_t coord[KG_MAX_RANK] = {0};
    coord[s->k_dim] = step;
    coord[1 - s->k_dim] = s->at[outer];
    emit_element at = emit_place_at(x->e, &s->place, coord);
    struct cg_access access = {.space = CG_SPACE_SHARED,
                               .address = at.address,
                               .offset = at.offset,
                               .align = (unsigned)(run * s->place.size)};
    cg_value got[16];
    cg_load_if(x->e->m, &access, NULL, emit_type(s->value->type.dtype), (unsigned)run, got);
    emit_cast(x->e, s->value->type.dtype, x->dtype, got, run, out);
}

// All elements of a side for the unrolled steps, vectors along whatever is contiguous.
static void load_side(fma_dot *x, side *s)
{
    cg_value got[16];
    bool along_k = s->k_dim == 1;
    for (int step = 0; step < x->steps; step++)
        for (int outer = 0; outer < s->count;) {
            int run = along_k ? (step % s->vec == 0 ? s->vec : 0) : consecutive(s, outer, s->vec);
            if (run) load_run(x, s, step, outer, run, got);
            for (int i = 0; i < run; i++)
                s->held[along_k ? (step + i) * s->count + outer : step * s->count + outer + i] =
                    got[i];
            outer += along_k || !run ? 1 : run;
        }
}

static void look_up_side(fma_dot *x, side *s)
{
    for (int step = 0; step < x->steps; step++)
        for (int i = 0; i < s->count; i++) {
            int reg = emit_register_at(s->map, s->layout, s->k_dim ? s->at[i] : step,
                                       s->k_dim ? step : s->at[i]);
            if (reg < 0) {
                emit_error(x->e, KG_D_L301, "a matmul operand lacks an element in its thread");
                return;
            }
            emit_cast(x->e, s->value->type.dtype, x->dtype, &s->registers[reg], 1,
                      &s->held[step * s->count + i]);
        }
}

static bool fetch_side(fma_dot *x, side *s, cg_value index)
{
    if (s->registers) {
        look_up_side(x, s);
        return !x->e->failed;
    }
    if (!open_place(x, s, index)) return false;
    load_side(x, s);
    return !x->e->failed;
}

static cg_value multiply_add(fma_dot *x, cg_value a, cg_value b, cg_value c)
{
    if (kg_dtype_info_of(x->dtype)->is_float) return cg_fma(x->e->m, a, b, c);
    return cg_add(x->e->m, cg_mul(x->e->m, a, b), c);
}

static void update(fma_dot *x, cg_value *acc)
{
    for (int step = 0; step < x->steps; step++)
        for (int i = 0; i < x->a.count; i++)
            for (int j = 0; j < x->b.count; j++) {
                int reg = emit_register_at(x->map, x->acc, x->a.at[i], x->b.at[j]);
                if (reg >= 0)
                    acc[reg] = multiply_add(x, x->a.held[step * x->a.count + i],
                                            x->b.held[step * x->b.count + j], acc[reg]);
            }
}

static void body(fma_dot *x, cg_value index, cg_value *acc)
{
    if (fetch_side(x, &x->a, index) && fetch_side(x, &x->b, index)) update(x, acc);
}

static void rolled(fma_dot *x, cg_value *acc, int count)
{
    struct cg_module *m = x->e->m;
    struct cg_loop loop = {.keep_rolled = true};
    cg_value *variables = emit_new_registers(x->e, count);
    for (int i = 0; i < count; i++) {
        variables[i] = cg_variable(m, emit_type(x->dtype), "dot");
        cg_set(m, variables[i], acc[i]);
    }
    cg_loop_begin(m, &loop, cg_i32(m, 0), cg_i32(m, x->k), cg_i32(m, x->steps));
    for (int i = 0; i < count; i++) acc[i] = cg_get(m, variables[i]);
    body(x, loop.index, acc);
    for (int i = 0; i < count && !x->e->failed; i++) cg_set(m, variables[i], acc[i]);
    cg_loop_end(m, &loop);
    for (int i = 0; i < count; i++) acc[i] = cg_get(m, variables[i]);
}

static bool open_side(fma_dot *x, side *s, kg_value *value, int k_dim)
{
    s->value = value;
    s->k_dim = k_dim;
    s->at = k_dim ? x->tiles.m : x->tiles.n;
    s->count = k_dim ? x->tiles.n_m : x->tiles.n_n;
    s->vec = 1;
    if (value->type.home == KG_HOME_FRAG) return open_fragment(x, s);
    int64_t limit =
        kg_view_vector_bytes(x->e->kernel, value, false) / kg_dtype_bytes(value->type.dtype);
    for (int most = k_dim ? 4 : s->count; s->vec * 2 <= limit && s->vec * 2 <= most && s->vec < 8;)
        s->vec *= 2;
    while (!k_dim && s->vec > 1 &&
           (consecutive(s, 0, s->vec) == 1 || s->at[0] % s->vec ||
            emit_layout_part(x->e, x->acc, 1).mask & (uint32_t)(s->vec - 1)))
        s->vec /= 2;
    return true;
}

void emit_dot_fma(kg_emit *e, kg_op *op, cg_value *acc)
{
    kg_value *result = op->results[0];
    fma_dot x = {.e = e, .op = op, .acc = result->layout, .dtype = result->type.dtype};
    x.k = op->operands[0]->type.dims[1];
    x.map = emit_coordinate_map(e, x.acc);
    emit_tile_origins(e, x.acc, 1, 1, &x.tiles);
    if (!open_side(&x, &x.a, op->operands[0], 1) || !open_side(&x, &x.b, op->operands[1], 0))
        return;
    bool whole = x.a.registers || x.b.registers || x.k <= 8;
    x.steps = whole ? x.k : x.k % 4 == 0 ? 4 : x.k % 2 == 0 ? 2 : 1;
    while (x.steps % x.a.vec) x.a.vec /= 2;
    x.a.held = emit_new_registers(e, x.steps * x.a.count);
    x.b.held = emit_new_registers(e, x.steps * x.b.count);
    if (whole)
        body(&x, NULL, acc);
    else
        rolled(&x, acc, kg_layout_registers(x.acc));
}
