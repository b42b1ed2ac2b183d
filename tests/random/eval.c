// SPDX-License-Identifier: MIT
// See eval.h. This file: structure (blocks, loops, branches, the grid) and numbers.
#include "eval_internal.h"

#include <math.h>

enum { STEP_LIMIT = 40000000, TRIP_LIMIT = 10000 };

void eval_refuse(run *r, const kg_op *op, const char *why)
{
    if (r->e->refused) return;
    r->e->refused = why;
    r->e->refused_line = op->loc.line;
}

// ---- numbers ------------------------------------------------------------------------------------
static double round_to(double v, int bits, int lowest, double limit)
{
    if (v == 0 || !isfinite(v)) return v;
    int exponent;
    frexp(v, &exponent);
    int ulp = exponent - bits < lowest ? lowest : exponent - bits;
    double rounded = ldexp(nearbyint(ldexp(v, -ulp)), ulp);
    return fabs(rounded) > limit ? copysign(INFINITY, v) : rounded;
}

double eval_round(kg_dtype dtype, double v)
{
    switch (dtype) {
    case KG_F32:
        return (float)v;
    case KG_F16:
        return round_to(v, 11, -24, 65504);
    case KG_BF16:
        return round_to(v, 8, -133, 0x1.fep127);
    default:
        return v;
    }
}

double eval_epsilon(kg_dtype dtype)
{
    return dtype == KG_F64   ? 0x1p-52
           : dtype == KG_F32 ? 0x1p-23
           : dtype == KG_F16 ? 0x1p-10
                             : 0x1p-7;
}

int64_t eval_wrap(kg_dtype dtype, int64_t v)
{
    switch (dtype) {
    case KG_I1:
        return v & 1;
    case KG_I8:
        return (int8_t)v;
    case KG_I16:
        return (int16_t)v;
    case KG_I32:
        return (int32_t)v;
    default:
        return v;
    }
}

double eval_largest(const cell *cells, int64_t n)
{
    double most = 0;
    for (int64_t i = 0; i < n; i++) most = fmax(most, fabs(cells[i].f));
    return most;
}

cell *eval_result(run *r, kg_op *op)
{
    kg_value *v = op->results[0];
    int64_t n = kg_type_elements(&v->type);
    tile *t = &r->tiles[v->id];
    if (!t->cells) t->cells = KG_NEW_ARRAY(r->e->arena, cell, n);
    t->error = 0;
    r->e->steps += n;
    return t->cells;
}

// ---- structure ----------------------------------------------------------------------------------
static void block(run *r, kg_block *b);

static int64_t scalar(run *r, kg_value *v)
{
    return r->tiles[v->id].cells[0].i;
}

static void copy_tile(run *r, kg_value *to, kg_value *from)
{
    tile *t = &r->tiles[to->id], *f = &r->tiles[from->id];
    int64_t n = kg_type_elements(&to->type);
    if (!t->cells) t->cells = KG_NEW_ARRAY(r->e->arena, cell, n);
    for (int64_t i = 0; i < n; i++) t->cells[i] = f->cells[i];
    t->error = f->error;
    r->e->steps += n;
}

static void counted_loop(run *r, kg_op *op)
{
    int64_t lo = scalar(r, op->operands[0]), hi = scalar(r, op->operands[1]),
            step = scalar(r, op->operands[2]);
    if (step <= 0) {
        eval_refuse(r, op, "a step that is not positive");
        return;
    }
    tile *index = &r->tiles[op->blocks[0]->arg->id];
    if (!index->cells) index->cells = KG_NEW(r->e->arena, cell);
    for (int64_t i = lo; i < hi && !r->e->refused; i += step) {
        index->cells[0].i = i;
        block(r, op->blocks[0]);
    }
}

static void while_loop(run *r, kg_op *op)
{
    for (int trips = 0; !r->e->refused; trips++) {
        block(r, op->blocks[0]);
        if (r->e->refused || !scalar(r, op->blocks[0]->last->operands[0])) return;
        if (trips == TRIP_LIMIT) eval_refuse(r, op, "a loop that does not end");
        block(r, op->blocks[1]);
    }
}

static void structure(run *r, kg_op *op)
{
    switch (op->code) {
    case KG_OP_SHARED:
        eval_shared(r, op);
        break;
    case KG_OP_FRAG:
        copy_tile(r, op->results[0], op->operands[0]);
        break;
    case KG_OP_ASSIGN:
        copy_tile(r, op->operands[0], op->operands[1]);
        break;
    case KG_OP_VIEW:
        eval_view(r, op);
        break;
    case KG_OP_TRANSPOSE:
        if (op->results[0]->type.home == KG_HOME_FRAG)
            eval_pure(r, op);
        else
            eval_transpose_view(r, op);
        break;
    case KG_OP_FOR:
        counted_loop(r, op);
        break;
    case KG_OP_WHILE:
        while_loop(r, op);
        break;
    case KG_OP_IF:
        block(r, op->blocks[scalar(r, op->operands[0]) ? 0 : 1]);
        break;
    case KG_OP_WARPS:
        block(r, op->blocks[0]);
        break; // roles in the order of the text
    default:
        break; // yield
    }
}

static void dot(run *r, kg_op *op)
{
    tile sides[2];
    for (int i = 0; i < 2; i++) {
        kg_value *v = op->operands[i];
        sides[i] = r->tiles[v->id];
        if (v->type.home == KG_HOME_FRAG) continue;
        sides[i] = (tile){.cells = KG_NEW_ARRAY(r->e->arena, cell, kg_type_elements(&v->type))};
        eval_read(r, op, eval_place(r, v), &sides[i]);
    }
    if (!r->e->refused) eval_dot(r, op, &sides[0], &sides[1]);
}

static void execute(run *r, kg_op *op)
{
    r->op = op;
    switch (kg_op_info_of(op->code)->cls) {
    case KG_CLASS_S:
        structure(r, op);
        break;
    case KG_CLASS_R:
        eval_reduce(r, op);
        break;
    case KG_CLASS_N:
        eval_scan(r, op);
        break;
    case KG_CLASS_M:
        eval_memory(r, op);
        break;
    case KG_CLASS_D:
        dot(r, op);
        break;
    case KG_CLASS_Y:
        break; // one thing after the other needs no synchronization
    default:
        eval_pure(r, op);
        break;
    }
    if (++r->e->steps > STEP_LIMIT) eval_refuse(r, op, "too much work");
}

static void block(run *r, kg_block *b)
{
    for (kg_op *op = b->first; op && !r->e->refused; op = op->next) execute(r, op);
}

// ---- the launch ---------------------------------------------------------------------------------
bool eval_sizes(kg_kernel *kernel, evaluation *e)
{
    for (int p = 0; p < kernel->n_params; p++) {
        kg_value *v = kernel->params[p];
        if (!v->tensor) continue;
        int64_t last = 0;
        for (int d = 0; d < v->type.rank; d++) {
            int64_t dim, stride;
            if (!kg_sexpr_eval(v->tensor->dims[d], e->params, &dim) ||
                !kg_sexpr_eval(v->tensor->strides[d], e->params, &stride) || dim <= 0 || stride < 0)
                return false;
            last += (dim - 1) * stride;
        }
        if (last > 1 << 22) return false;
        e->tensors[p].value = v;
        e->tensors[p].dtype = v->type.dtype;
        e->tensors[p].elements = last + 1;
    }
    return true;
}

static void bind_params(run *r)
{
    kg_arena *arena = r->e->arena;
    for (int p = 0; p < r->kernel->n_params; p++) {
        kg_value *v = r->kernel->params[p];
        if (!v->tensor) {
            r->tiles[v->id].cells = KG_NEW(arena, cell);
            r->tiles[v->id].cells[0].i = r->e->params[p];
            continue;
        }
        eval_tensor *t = &r->e->tensors[p];
        storage *s = KG_NEW(arena, storage);
        *s = (storage){.cells = t->cells,
                       .writer = KG_NEW_ARRAY(arena, int32_t, t->elements),
                       .reader = KG_NEW_ARRAY(arena, int32_t, t->elements),
                       .elements = t->elements,
                       .slots = 1,
                       .slot = t->elements,
                       .rank = v->type.rank,
                       .error = &t->error};
        for (int d = 0; d < s->rank; d++) {
            kg_sexpr_eval(v->tensor->dims[d], r->e->params, &s->dims[d]);
            kg_sexpr_eval(v->tensor->strides[d], r->e->params, &s->strides[d]);
        }
        r->storages[v->id] = s;
    }
    for (int g = 0; g < r->kernel->n_grid; g++)
        r->tiles[r->kernel->grid[g].value->id].cells = KG_NEW(arena, cell);
}

// A copy by the copy engine in a region of warps.
static bool has_producers(const kg_block *b, bool in_role)
{
    for (const kg_op *op = b->first; op; op = op->next) {
        if (op->code == KG_OP_COPY_BULK && in_role) return true;
        for (int i = 0; i < op->n_blocks; i++)
            if (has_producers(op->blocks[i], in_role || op->code == KG_OP_WARPS)) return true;
    }
    return false;
}

bool evaluate(kg_kernel *kernel, evaluation *e)
{
    int n = kg_kernel_number(kernel, NULL);
    run r = {.e = e, .kernel = kernel};
    r.tiles = KG_NEW_ARRAY(e->arena, tile, n + 1);
    r.storages = KG_NEW_ARRAY(e->arena, storage *, n + 1);
    r.places = KG_NEW_ARRAY(e->arena, place *, n + 1);
    int64_t extent[3] = {1, 1, 1};
    for (int g = 0; g < kernel->n_grid; g++)
        if (!kg_sexpr_eval(kernel->grid[g].extent, e->params, &extent[g]) || extent[g] > 64) {
            e->refused = "a grid that is too large";
            return false;
        }
    bind_params(&r);
    r.producers = has_producers(kernel->body, false);
    for (int64_t c = 0; c < extent[0] * extent[1] * extent[2] && !e->refused; c++) {
        int64_t at[3] = {c % extent[0], c / extent[0] % extent[1], c / extent[0] / extent[1]};
        for (int g = 0; g < kernel->n_grid; g++)
            r.tiles[kernel->grid[g].value->id].cells[0].i = at[g];
        r.cta = (int32_t)c + 1;
        r.acquired = false;
        block(&r, kernel->body);
    }
    return !e->refused;
}
