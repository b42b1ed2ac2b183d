// SPDX-License-Identifier: MIT
// Random programs: see gen_program.h. Values that are in scope wait in a pool; each statement takes
// some that fit and adds what it makes. A region's values leave the pool with it.
#include "tests/ir/gen_program.h"
#include <stdio.h>

enum { MOST_VALUES = 400, MOST_BUFFERS = 16, DEEPEST = 3 };

typedef struct gen {
    kg_build *b;
    const gen_options *options;
    uint64_t state;
    kg_value *pool[MOST_VALUES]; // fragments and scalars
    int count;
    kg_value *buffers[MOST_BUFFERS];
    int rings[MOST_BUFFERS], n_buffers;
    kg_value *tensors[4]; // f32[N], f32[M, N], i32[N], f16[M, N]
    int depth, budget, n_names;
    bool in_role;
    int role_start; // of the values that the role has made
} gen;

// ---- choices -----------------------------------------------------------------------------------
static unsigned roll(gen *g, unsigned sides)
{
    g->state = g->state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(g->state >> 33) % sides;
}

static bool chance(gen *g, unsigned percent)
{
    return roll(g, 100) < percent;
}

static kg_dtype random_dtype(gen *g)
{
    static const kg_dtype common[] = {KG_F32, KG_F32, KG_F32, KG_I32, KG_I32, KG_F16, KG_BF16};
    static const kg_dtype rare[] = {KG_I8, KG_I16, KG_I64, KG_F64};
    if (g->options->wide_types && chance(g, 20)) return rare[roll(g, 4)];
    return common[roll(g, 7)];
}

static int random_shape(gen *g, int *shape)
{
    static const int extents[] = {16, 32, 64, 8}, odd[] = {12, 48, 5, 1};
    int rank = 1 + (int)roll(g, 2) + (chance(g, 10) ? 1 : 0);
    for (int d = 0; d < rank; d++)
        shape[d] = g->options->odd_shapes && chance(g, 30) ? odd[roll(g, 4)]
                                                           : extents[roll(g, rank > 2 ? 2 : 4)];
    return rank;
}

static const char *random_name(gen *g)
{
    static const char *const names[] = {"x", "sum",  "row",  "tile", "acc",
                                        "m", "step", "ring", "value"};
    static char text[32];
    if (chance(g, 55)) return NULL;
    if (chance(g, 50)) return names[roll(g, 9)];
    snprintf(text, sizeof text, "v%d", g->n_names++);
    return text;
}

// ---- the pool ----------------------------------------------------------------------------------
static void add(gen *g, kg_value *value)
{
    const char *name = value && value->kind == KG_VALUE_RESULT && value->op && !value->name
                           ? random_name(g)
                           : NULL;
    if (!value) return;
    if (name) kg_build_name(g->b, value, name);
    if (g->count < MOST_VALUES) g->pool[g->count++] = value;
}

typedef bool (*wanted)(const kg_value *value, const void *like);

// A random value of the pool that is wanted, or NULL.
static kg_value *pick(gen *g, wanted is_wanted, const void *like)
{
    if (!g->count) return NULL;
    int start = (int)roll(g, (unsigned)g->count);
    for (int i = 0; i < g->count; i++) {
        kg_value *value = g->pool[(start + i) % g->count];
        if (is_wanted(value, like)) return value;
    }
    return NULL;
}

static bool is_float(const kg_value *v)
{
    return kg_dtype_info_of(v->type.dtype)->is_float;
}

static bool any_number(const kg_value *v, const void *like)
{
    return v->type.dtype != KG_I1;
}

static bool any_float(const kg_value *v, const void *like)
{
    return is_float(v);
}

static bool any_tile(const kg_value *v, const void *like)
{
    return v->type.rank > 0 && v->type.dtype != KG_I1;
}

static bool any_truth(const kg_value *v, const void *like)
{
    return v->type.dtype == KG_I1 && v->type.rank == 0;
}

static bool index_scalar(const kg_value *v, const void *like)
{
    return v->type.rank == 0 && v->type.dtype == KG_I32;
}

static bool same_shape(const kg_type *a, const kg_type *b)
{
    if (a->rank != b->rank) return false;
    for (int d = 0; d < a->rank; d++)
        if (a->dims[d] != b->dims[d]) return false;
    return true;
}

// Fits beside a value in an elementwise op: the same type, a scalar of it, or a shape that
// broadcasts.
static bool fits_beside(const kg_value *v, const void *like)
{
    const kg_value *other = like;
    if (v->type.dtype != other->type.dtype) return false;
    for (int d = 1; d <= v->type.rank && d <= other->type.rank; d++) {
        int a = v->type.dims[v->type.rank - d], b = other->type.dims[other->type.rank - d];
        if (a != b && a != 1 && b != 1) return false;
    }
    return true;
}

static bool same_type(const kg_value *v, const void *like)
{
    const kg_value *other = like;
    return v->type.dtype == other->type.dtype && same_shape(&v->type, &other->type);
}

static bool is_mutable(const kg_value *v, const void *like)
{
    return v->kind == KG_VALUE_RESULT && v->op && v->op->code == KG_OP_FRAG;
}

static kg_value *literal_for(gen *g, const kg_value *like)
{
    if (like->type.dtype == KG_I1) return kg_build_truth(g->b, chance(g, 50));
    if (is_float(like) && chance(g, 60))
        return kg_build_float(g->b, (double)roll(g, 1000) / 16 - 20);
    return kg_build_int(g->b, (int)roll(g, 9) + 1);
}

// ---- values ------------------------------------------------------------------------------------
static void make_constant(gen *g)
{
    kg_dtype dtype = chance(g, 15) ? KG_I1 : random_dtype(g);
    if (kg_dtype_info_of(dtype)->is_float)
        add(g, kg_build_const(g->b, dtype, (double)roll(g, 64) / 4 - 8));
    else
        add(g, kg_build_const_int(g->b, dtype,
                                  dtype == KG_I1 ? (int)roll(g, 2) : (int)roll(g, 100) - 50));
}

static void make_iota(gen *g)
{
    int shape[KG_MAX_RANK], rank = random_shape(g, shape);
    add(g, kg_build_iota_array(g->b, chance(g, 90) ? KG_I32 : KG_I64, (int)roll(g, (unsigned)rank),
                               rank, shape));
}

static void make_tile(gen *g)
{
    int shape[KG_MAX_RANK], rank = random_shape(g, shape);
    kg_value *scalar = pick(g, any_number, NULL);
    if (!scalar || scalar->type.rank) scalar = kg_build_const(g->b, KG_F32, 0.5);
    add(g, kg_build_broadcast_array(g->b, scalar, rank, shape));
}

static void make_unary(gen *g)
{
    static const kg_opcode floats[] = {KG_OP_NEG,   KG_OP_ABS,  KG_OP_EXP,  KG_OP_EXP2,
                                       KG_OP_LOG,   KG_OP_SQRT, KG_OP_TANH, KG_OP_SIGMOID,
                                       KG_OP_FLOOR, KG_OP_ERF,  KG_OP_RSQRT};
    kg_value *x = pick(g, chance(g, 80) ? any_float : any_number, NULL);
    if (!x) return;
    kg_opcode op = is_float(x) ? floats[roll(g, 11)] : chance(g, 50) ? KG_OP_NEG : KG_OP_NOT;
    add(g, kg_build_op(g->b, op, 1, x));
}

static void make_binary(gen *g)
{
    static const kg_opcode ops[] = {KG_OP_ADD, KG_OP_SUB, KG_OP_MUL, KG_OP_DIV,
                                    KG_OP_MIN, KG_OP_MAX, KG_OP_LT,  KG_OP_GE,
                                    KG_OP_EQ,  KG_OP_NE,  KG_OP_GT,  KG_OP_LE};
    static const kg_opcode integer[] = {KG_OP_MOD, KG_OP_AND, KG_OP_OR,
                                        KG_OP_XOR, KG_OP_SHL, KG_OP_SHR};
    kg_value *x = pick(g, any_number, NULL);
    if (!x) return;
    kg_value *y = chance(g, 35) ? literal_for(g, x) : pick(g, fits_beside, x);
    kg_opcode op = !is_float(x) && chance(g, 30) ? integer[roll(g, 6)] : ops[roll(g, 12)];
    add(g, chance(g, 50) ? kg_build_op(g->b, op, 2, x, y) : kg_build_op(g->b, op, 2, y, x));
}

static bool truth_like(const kg_value *v, const void *like)
{
    const kg_value *other = like;
    return v->type.dtype == KG_I1 && (v->type.rank == 0 || same_shape(&v->type, &other->type));
}

static void make_select(gen *g)
{
    kg_value *x = pick(g, any_number, NULL);
    kg_value *truth = x ? pick(g, truth_like, x) : NULL;
    if (!truth) return;
    kg_value *y = chance(g, 40) ? literal_for(g, x) : pick(g, fits_beside, x);
    if (y->op && !same_shape(&y->type, &x->type) && y->type.rank) y = x;
    add(g, kg_build_op(g->b, KG_OP_SELECT, 3, truth, x, y));
}

static void make_fma(gen *g)
{
    kg_value *x = pick(g, any_float, NULL);
    if (x) add(g, kg_build_op(g->b, KG_OP_FMA, 3, x, pick(g, same_type, x), literal_for(g, x)));
}

static void make_logic(gen *g)
{
    kg_value *x = pick(g, any_truth, NULL), *y = pick(g, any_truth, NULL);
    if (!x) return;
    if (chance(g, 30))
        add(g, kg_build_op(g->b, KG_OP_NOT, 1, x));
    else
        add(g, kg_build_op(g->b, chance(g, 50) ? KG_OP_AND : KG_OP_OR, 2, x, y));
}

static void make_along(gen *g)
{
    static const kg_opcode ops[] = {KG_OP_SUM,    KG_OP_RMAX,   KG_OP_RMIN,   KG_OP_PROD,
                                    KG_OP_ARGMAX, KG_OP_ARGMIN, KG_OP_CUMSUM, KG_OP_CUMMAX};
    kg_value *x = pick(g, any_tile, NULL);
    if (!x) return;
    kg_opcode op = ops[roll(g, 8)];
    bool all = (op == KG_OP_SUM || op == KG_OP_RMAX) && chance(g, 30);
    add(g, kg_build_along(g->b, op, x, all ? KG_ALL_AXES : (int)roll(g, (unsigned)x->type.rank)));
}

static void make_shape(gen *g)
{
    kg_value *x = pick(g, any_tile, NULL);
    if (!x) return;
    if (chance(g, 40) && x->type.rank < 4)
        add(g, kg_build_expand(g->b, x, (int)roll(g, (unsigned)x->type.rank + 1)));
    else if (chance(g, 20) && x->type.dims[0] > 1)
        add(g, kg_build_part(g->b, x, 0, x->type.dims[0] - 1, x->type.dims[0]));
    else if (chance(g, 60))
        add(g, kg_build_transpose(g->b, x));
    else
        add(g, kg_build_cast(g->b, x, random_dtype(g)));
}

static void make_cast(gen *g)
{
    kg_value *x = pick(g, any_number, NULL);
    if (x) add(g, kg_build_cast(g->b, x, random_dtype(g)));
}

// ---- memory ------------------------------------------------------------------------------------
static kg_value *random_start(gen *g)
{
    kg_value *start = chance(g, 70) ? pick(g, index_scalar, NULL) : NULL;
    if (start && chance(g, 40))
        return kg_build_op(g->b, KG_OP_MUL, 2, start, kg_build_int(g->b, 16));
    return start ? start : kg_build_int(g->b, (int)roll(g, 4) * 16);
}

// A view of a tensor with a shape: [rank 1] of x, [rank 2] of a matrix, or a row or a part of one.
static kg_value *tensor_view(gen *g, int which, const int *shape, int rank)
{
    kg_value *tensor = g->tensors[which];
    if (tensor->type.rank == 1 && rank == 1)
        return kg_build_view(g->b, tensor, 1, kg_from(random_start(g), shape[0]));
    if (tensor->type.rank == 2 && rank == 1)
        return kg_build_view(g->b, tensor, 2, kg_at(random_start(g)),
                             kg_from(random_start(g), shape[0]));
    if (tensor->type.rank == 2 && rank == 2)
        return kg_build_view(g->b, tensor, 2, kg_from(random_start(g), shape[0]),
                             chance(g, 50) ? kg_all(shape[1]) : kg_from(random_start(g), shape[1]));
    return NULL;
}

static void make_load(gen *g)
{
    int shape[KG_MAX_RANK], which = (int)roll(g, 4), rank = 1 + (int)roll(g, 2);
    for (int d = 0; d < rank; d++) shape[d] = 16 << roll(g, 2);
    if (g->tensors[which]->type.rank < rank) rank = 1;
    kg_value *view = tensor_view(g, which, shape, rank);
    kg_value *mask = chance(g, 25) ? pick(g, any_truth, NULL) : NULL;
    kg_value *other = mask && chance(g, 50) ? kg_build_int(g->b, 0) : NULL;
    add(g, kg_build_load(g->b, view, mask, other));
}

static bool is_index_tile(const kg_value *v, const void *like)
{
    return v->type.rank == 1 && v->type.dtype == KG_I32;
}

static void make_gather(gen *g)
{
    kg_value *indices = pick(g, is_index_tile, NULL);
    if (indices)
        add(g, kg_build_load(g->b, kg_build_view(g->b, g->tensors[0], 1, kg_gather(indices)), NULL,
                             NULL));
}

static bool storable(const kg_value *v, const void *like)
{
    const kg_value *tensor = like;
    return v->type.dtype == tensor->type.dtype && v->type.rank <= tensor->type.rank;
}

static void make_store(gen *g)
{
    int which = (int)roll(g, 4), shape[KG_MAX_RANK] = {32, 16}, rank = g->tensors[which]->type.rank;
    kg_value *value = pick(g, storable, g->tensors[which]);
    if (!value) return;
    if (value->type.rank) rank = value->type.rank;
    for (int d = 0; d < value->type.rank; d++) shape[d] = value->type.dims[d];
    kg_value *view = tensor_view(g, which, shape, rank);
    kg_value *mask = chance(g, 25) ? pick(g, any_truth, NULL) : NULL;
    if (which == 2 && chance(g, 50))
        kg_build_atomic(g->b, chance(g, 50) ? KG_OP_ATOMIC_ADD : KG_OP_ATOMIC_MAX, view, value,
                        mask);
    else
        kg_build_store(g->b, view, value, mask);
}

static void make_buffer(gen *g)
{
    int shape[KG_MAX_RANK], rank = random_shape(g, shape),
                            ring = chance(g, 35) ? 2 + (int)roll(g, 3) : 0;
    if (g->n_buffers == MOST_BUFFERS) return;
    const char *name = random_name(g);
    kg_value *buffer = kg_build_shared_array(g->b, name, random_dtype(g), ring,
                                             chance(g, 20) ? 64 : 0, rank, shape);
    g->rings[g->n_buffers] = ring;
    g->buffers[g->n_buffers++] = buffer;
}

// All of a buffer, or of a random slot.
static kg_value *buffer_view(gen *g, int which)
{
    kg_value *buffer = g->buffers[which];
    if (g->rings[which]) return kg_build_slot(g->b, buffer, random_start(g), 0);
    if (chance(g, 60) || buffer->type.rank != 1) return buffer;
    return kg_build_view(g->b, buffer, 1, kg_from(kg_build_int(g->b, 0), buffer->type.dims[0]));
}

static void use_buffer(gen *g)
{
    if (!g->n_buffers) return;
    int which = (int)roll(g, (unsigned)g->n_buffers);
    kg_value *buffer = g->buffers[which], *value = NULL;
    for (int i = 0; i < g->count && !value; i++)
        if (same_type(g->pool[i], buffer)) value = g->pool[i];
    if (chance(g, 50))
        add(g, kg_build_load(g->b, buffer_view(g, which), NULL, NULL));
    else if (chance(g, 30) && buffer->type.dtype == KG_F32 && buffer->type.rank <= 2)
        kg_build_copy(
            g->b, buffer_view(g, which),
            tensor_view(g, buffer->type.rank == 1 ? 0 : 1, buffer->type.dims, buffer->type.rank));
    else
        kg_build_store(g->b, buffer_view(g, which), value ? value : kg_build_int(g->b, 1), NULL);
}

static void make_dot(gen *g)
{
    int m = 16 << roll(g, 2), n = 16 << roll(g, 2), k = 16 << roll(g, 2);
    kg_value *a = kg_build_view(g->b, g->tensors[3], 2, kg_from(random_start(g), m),
                                kg_from(random_start(g), k));
    kg_value *b = kg_build_view(g->b, g->tensors[3], 2, kg_from(random_start(g), k), kg_all(n));
    kg_value *transposed =
        chance(g, 30)
            ? kg_build_transpose(g->b, kg_build_view(g->b, g->tensors[3], 2,
                                                     kg_from(random_start(g), n), kg_all(k)))
            : b;
    kg_value *s = kg_build_shared(g->b, random_name(g), KG_F16, 0, 2, m, k);
    kg_build_copy(g->b, s, a);
    add(g, kg_build_op(g->b, KG_OP_DOT, 2, chance(g, 50) ? s : kg_build_load(g->b, a, NULL, NULL),
                       transposed));
}

// ---- mutable values and regions ----------------------------------------------------------------
static void make_frag(gen *g)
{
    kg_value *x = pick(g, any_number, NULL);
    const char *name = random_name(g);
    if (x) add(g, kg_build_frag(g->b, name, chance(g, 25) ? literal_for(g, x) : x));
}

// A role changes its own scalars only: the other warps would not see it.
static kg_value *pick_to_assign(gen *g)
{
    kg_value *x = pick(g, is_mutable, NULL);
    for (int i = 0; x && g->in_role && i < g->role_start; i++)
        if (g->pool[i] == x) return NULL;
    return x;
}

static void make_assign(gen *g)
{
    kg_value *x = pick_to_assign(g);
    if (!x) return;
    if (chance(g, 50))
        kg_build_assign(g->b, x, kg_build_op(g->b, KG_OP_ADD, 2, x, literal_for(g, x)));
    else
        kg_build_assign(g->b, x, chance(g, 30) ? literal_for(g, x) : pick(g, same_type, x));
}

static void statements(gen *g, int most);

static void region(gen *g)
{
    int count = g->count, buffers = g->n_buffers;
    g->depth++;
    statements(g, 1 + (int)roll(g, 5));
    g->depth--;
    g->count = count;
    g->n_buffers = buffers;
}

static void make_for(gen *g)
{
    kg_value *high = chance(g, 60) ? pick(g, index_scalar, NULL) : NULL;
    int count = g->count;
    kg_value *index = kg_build_for(g->b, chance(g, 70) ? "i" : NULL, kg_build_int(g->b, 0),
                                   high ? high : kg_build_int(g->b, 1 + (int)roll(g, 6)),
                                   chance(g, 20) ? kg_build_int(g->b, 2) : NULL,
                                   chance(g, 20) ? 3 : 0, chance(g, 15) ? 4 : 0);
    add(g, index);
    region(g);
    g->count = count;
    kg_build_end(g->b);
}

static void make_while(gen *g)
{
    kg_value *x = pick_to_assign(g);
    if (!x || x->type.rank || x->type.dtype == KG_I1) return;
    kg_build_while(g->b);
    kg_value *truth = kg_build_op(g->b, KG_OP_LT, 2, x, kg_build_int(g->b, 10));
    if (chance(g, 30)) truth = kg_build_op(g->b, KG_OP_OR, 2, truth, truth);
    kg_build_do(g->b, truth);
    region(g);
    kg_build_assign(g->b, x, kg_build_op(g->b, KG_OP_ADD, 2, x, kg_build_int(g->b, 1)));
    kg_build_end(g->b);
}

static void make_if(gen *g)
{
    kg_value *truth = pick(g, any_truth, NULL);
    if (!truth) return;
    kg_build_if(g->b, truth);
    region(g);
    if (chance(g, 50)) {
        kg_build_else(g->b);
        region(g);
    }
    kg_build_end(g->b);
}

static void make_role(gen *g)
{
    if (g->in_role || g->depth) return;
    int first = (int)roll(g, 3);
    kg_build_role(g->b, first, 4, chance(g, 50) ? "worker" : NULL);
    g->in_role = true;
    g->role_start = g->count;
    region(g);
    g->in_role = false;
    kg_build_end(g->b);
}

static void make_sync(gen *g)
{
    kg_value *cell = kg_build_view(g->b, g->tensors[2], 1, kg_at(random_start(g)));
    switch (roll(g, 9)) {
    case 0: g->in_role ? kg_build_warp_sync(g->b) : kg_build_barrier(g->b); break;
    case 1: kg_build_named_barrier(g->b, (int)roll(g, 16), 128); break;
    case 2: kg_build_arrive(g->b, (int)roll(g, 16), 64); break;
    case 3: kg_build_commit(g->b); break;
    case 4: kg_build_wait(g->b, (int)roll(g, 4)); break;
    case 5:
        kg_build_fence(g->b, chance(g, 50) ? "acq_rel" : "release", chance(g, 50) ? "gpu" : "cta");
        break;
    case 6: add(g, kg_build_fetch_add(g->b, cell, kg_build_int(g->b, 1))); break;
    case 7: kg_build_signal(g->b, cell, kg_build_int(g->b, 1)); break;
    default: kg_build_await(g->b, cell, chance(g, 50), kg_build_int(g->b, 1)); break;
    }
}

// ---- programs ----------------------------------------------------------------------------------
static void statement(gen *g)
{
    static void (*const makers[])(gen *) = {
        make_constant, make_iota,   make_tile,   make_unary, make_unary, make_binary, make_binary,
        make_binary,   make_select, make_fma,    make_logic, make_along, make_shape,  make_cast,
        make_load,     make_load,   make_gather, make_store, make_store, make_buffer, use_buffer,
        use_buffer,    make_dot,    make_frag,   make_assign};
    static void (*const regions[])(gen *) = {make_for, make_if, make_while};
    if (g->options->sync && chance(g, 12)) {
        chance(g, 20) ? make_role(g) : make_sync(g);
        return;
    }
    if (g->depth < DEEPEST && chance(g, 14))
        regions[roll(g, 3)](g);
    else
        makers[roll(g, sizeof makers / sizeof *makers)](g);
}

static void statements(gen *g, int most)
{
    for (int i = 0; i < most && g->budget > 0; i++, g->budget--) statement(g);
}

static void header(gen *g)
{
    kg_build *b = g->b;
    kg_sexpr *n = kg_build_size(b, "N"), *m = kg_build_size(b, "M");
    bool strided = chance(g, 30);
    g->tensors[0] = kg_build_tensor(b, "a", KG_F32, 1, n);
    g->tensors[1] = kg_build_tensor(b, "b", KG_F32, 2, m, n);
    g->tensors[2] = kg_build_tensor(b, "c", KG_I32, 1, n);
    g->tensors[3] = kg_build_tensor(b, "d", KG_F16, 2, m, kg_build_size_int(b, 64));
    if (strided)
        kg_build_strides(b, g->tensors[1], 2, kg_build_stride(b, "ldb"), kg_build_size_int(b, 1));
    if (chance(g, 30)) kg_build_align(b, g->tensors[0], 4 << roll(g, 5));
    if (chance(g, 20)) kg_build_alias(b, g->tensors[1], g->tensors[0]);
    add(g, kg_build_scalar(b, "scale", KG_F32));
    add(g, kg_build_scalar(b, "limit", KG_I32));
    add(g, kg_build_grid(b, "p", kg_build_size_op(b, KG_SX_CEILDIV, n, kg_build_size_int(b, 64))));
    if (chance(g, 50)) add(g, kg_build_grid(b, "q", m));
    if (chance(g, 50))
        kg_build_assume(b,
                        kg_build_size_op(b, KG_SX_EQ,
                                         kg_build_size_op(b, KG_SX_MOD, n, kg_build_size_int(b, 8)),
                                         kg_build_size_int(b, 0)));
    if (chance(g, 30)) kg_build_ctas(b, 2);
    if (chance(g, 20)) kg_build_schedule(b, "raster", 1, 1 + roll(g, 8));
    if (chance(g, 10)) kg_build_schedule(b, "registers", 2, 24 + 8 * roll(g, 4), 128);
}

void gen_program(kg_build *b, const gen_options *options)
{
    char name[32];
    gen g = {.b = b,
             .options = options,
             .state = options->seed * 2654435761u + 12345,
             .budget = options->statements ? options->statements : 24};
    for (int i = 0; i < 4; i++) roll(&g, 2);
    snprintf(name, sizeof name, "random_%u", options->seed);
    kg_build_kernel(b, name);
    header(&g);
    statements(&g, g.budget);
    // Something must be seen of it.
    kg_value *out = kg_build_view(b, g.tensors[0], 1, kg_from(kg_build_int(b, 0), 16));
    kg_build_store(b, out, kg_build_float(b, 1.0), NULL);
}
