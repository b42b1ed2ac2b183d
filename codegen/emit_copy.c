// SPDX-License-Identifier: MIT
// Copies of a global view into a shared view: by cp.async, or through registers.
//
// The view, row-major, is cut into chunks of `vec` elements; chunk c belongs to thread c mod T
// (ir/access.h). Where sizes are powers of two a chunk's coordinates split into a thread part and a
// constant part by bits.
#include "codegen/emit.h"

int64_t emit_copy_chunks(const kg_op *op, int *vec)
{
    const kg_type *type = &op->operands[0]->type;
    int bytes = kg_dtype_bytes(type->dtype);
    *vec = (int)kg_op_int(op, KG_A_VEC, 1);
    if (kg_op_attr(op, KG_A_ASYNC)) *vec = (int)kg_op_int(op, KG_A_ASYNC, bytes) / bytes;
    return kg_type_elements(type) / (*vec > 0 ? *vec : 1);
}

typedef struct copying {
    kg_emit *e;
    kg_op *op;
    const kg_type *type;
    int vec, bytes; // of a chunk
    int64_t chunks, threads;
    bool by_bits, by_rows; // how coordinates split; neither: each chunk by itself
    bool constant;         // the source is not written while the kernel runs
    emit_place to, from;
    cg_value policy; // of L2; NULL: none
    cg_value size;   // of every chunk: 0 where the fixed dimensions are outside; NULL: bytes
} copying;

static bool power_of_two(int64_t n)
{
    return n > 0 && (n & (n - 1)) == 0;
}

static int64_t row_chunks(const copying *c)
{
    return c->type->rank ? c->type->dims[c->type->rank - 1] / c->vec : 1;
}

static void chunk_coord(const copying *c, int64_t chunk, int32_t *coord)
{
    memset(coord, 0, sizeof(int32_t) * KG_MAX_RANK);
    for (int d = c->type->rank - 1; d >= 0; d--) {
        bool last = d == c->type->rank - 1;
        int64_t extent = last ? row_chunks(c) : c->type->dims[d];
        int64_t at = d ? chunk % extent : chunk;
        coord[d] = (int32_t)(last ? at * c->vec : at);
        chunk /= extent;
    }
}

static void choose_split(copying *c)
{
    c->by_bits = power_of_two(c->threads) && power_of_two(c->vec);
    for (int d = 1; d < c->type->rank; d++) c->by_bits &= power_of_two(c->type->dims[d]);
    c->by_rows = !c->by_bits && c->type->rank == 2 && c->threads % row_chunks(c) == 0;
}

static void parts_by_bits(const copying *c, emit_part *parts)
{
    int32_t coord[KG_MAX_RANK];
    for (int d = 0; d < c->type->rank; d++) {
        int32_t lane[5] = {0}, warp[5] = {0};
        for (int bit = 0; (INT64_C(1) << bit) < c->threads; bit++) {
            // Threads beyond the last chunk do nothing: their coordinates may be anything.
            if ((INT64_C(1) << bit) >= c->chunks) break;
            chunk_coord(c, INT64_C(1) << bit, coord);
            if (bit < 5)
                lane[bit] = coord[d];
            else
                warp[bit - 5] = coord[d];
        }
        parts[d] = emit_linear_part(c->e, lane, 5, warp, 5);
    }
}

static uint32_t mask_below(int64_t limit)
{
    uint32_t mask = 0;
    while ((int64_t)mask + 1 < limit) mask = mask * 2 + 1;
    return mask;
}

// Coordinates of chunk thread + first by division.
static void parts_by_division(const copying *c, int64_t first, emit_part *parts)
{
    struct cg_module *m = c->e->m;
    cg_value rest = c->e->region_thread;
    if (first) rest = cg_add(m, rest, cg_i32(m, (int32_t)first));
    for (int d = c->type->rank - 1; d >= 0; d--) {
        bool last = d == c->type->rank - 1;
        int64_t extent = last ? row_chunks(c) : c->type->dims[d];
        cg_value at = d ? cg_urem(m, rest, cg_i32(m, (int32_t)extent)) : rest;
        int64_t step = last ? c->vec : 1;
        memset(&parts[d], 0, sizeof parts[d]);
        parts[d].value = step > 1 ? cg_mul(m, at, cg_i32(m, (int32_t)step)) : at;
        parts[d].mask = mask_below(c->type->dims[d] > first + c->threads ? c->type->dims[d]
                                                                         : first + c->threads);
        if (d)
            parts[d].mask = mask_below(c->type->dims[d]),
            rest = cg_udiv(m, rest, cg_i32(m, (int32_t)extent));
    }
}

static bool open_places(copying *c, int64_t first)
{
    emit_part parts[KG_MAX_RANK];
    memset(parts, 0, sizeof parts);
    if (c->by_bits)
        parts_by_bits(c, parts);
    else
        parts_by_division(c, first, parts);
    return emit_place_open(c->e, c->op->operands[0], parts, &c->to) &&
           emit_place_open(c->e, c->op->operands[1], parts, &c->from);
}

typedef struct chunk {
    emit_element to, from;
    cg_value mine; // predicate: the thread has this chunk; NULL = all threads
} chunk;

// The i-th chunk of each thread. All its addresses are built here, before any branch.
static chunk make_chunk(copying *c, int64_t i)
{
    kg_emit *e = c->e;
    int64_t first = i * c->threads;
    int32_t coord[KG_MAX_RANK] = {0};
    chunk out = {.mine = NULL};
    if (c->by_bits)
        chunk_coord(c, first, coord);
    else if (c->by_rows)
        coord[0] = (int32_t)(first / row_chunks(c));
    else if (i && !open_places(c, first))
        return out;
    if (first + c->threads > c->chunks)
        out.mine = cg_ult(e->m, e->region_thread, cg_i32(e->m, (int32_t)(c->chunks - first)));
    out.to = emit_place_at(e, &c->to, coord);
    out.from = emit_place_at(e, &c->from, coord);
    return out;
}

static int64_t steps(const copying *c)
{
    return (c->chunks + c->threads - 1) / c->threads;
}

// -- cp.async -------------------------------------------------------------------------------------

static enum cg_ptx_id hinted_template(int bytes, bool fill)
{
    switch (bytes) {
    case 4:
        return fill ? CG_PTX_CP_ASYNC_CA_4_ZFILL_HINTED : CG_PTX_CP_ASYNC_CA_4_HINTED;
    case 8:
        return fill ? CG_PTX_CP_ASYNC_CA_8_ZFILL_HINTED : CG_PTX_CP_ASYNC_CA_8_HINTED;
    case 16:
        return fill ? CG_PTX_CP_ASYNC_CG_16_ZFILL_HINTED : CG_PTX_CP_ASYNC_CG_16_HINTED;
    default:
        return CG_PTX_UNKNOWN;
    }
}

static enum cg_ptx_id async_template(const copying *c, bool fill)
{
    if (c->policy) return hinted_template(c->bytes, fill);
    switch (c->bytes) {
    case 4:
        return fill ? CG_PTX_CP_ASYNC_CA_4_ZFILL : CG_PTX_CP_ASYNC_CA_4;
    case 8:
        return fill ? CG_PTX_CP_ASYNC_CA_8_ZFILL : CG_PTX_CP_ASYNC_CA_8;
    case 16:
        return fill ? CG_PTX_CP_ASYNC_CG_16_ZFILL : CG_PTX_CP_ASYNC_CG_16;
    default:
        return CG_PTX_UNKNOWN;
    }
}

// How many of the chunk's bytes are read, the rest is zeros; NULL: all, whatever the thread.
static cg_value chunk_size(const copying *c, const chunk *x)
{
    struct cg_module *m = c->e->m;
    if (!x->from.inside) return c->size;
    cg_value size = c->size ? c->size : cg_i32(m, c->bytes);
    return cg_select(m, x->from.inside, size, cg_i32(m, 0));
}

static void async_chunk(copying *c, const chunk *x)
{
    struct cg_module *m = c->e->m;
    cg_value size = chunk_size(c, x);
    cg_value arguments[4] = {emit_element_address(c->e, &c->to, x->to),
                             emit_element_address(c->e, &c->from, x->from)};
    unsigned count = 2;
    if (size) arguments[count++] = size;
    if (c->policy) arguments[count++] = c->policy;
    cg_value mine = emit_and(c->e, x->mine, c->e->guard);
    enum cg_ptx_id id = async_template(c, size != NULL);
    if (mine)
        cg_template_if(m, id, mine, arguments, count, NULL);
    else
        cg_template(m, id, arguments, count, NULL, NULL);
}

// So many chunks are one run of instructions: more would have to hold all of their addresses.
enum { RUN = 8 };

static void async_run(copying *c, int64_t first, int64_t count)
{
    kg_emit *e = c->e;
    struct cg_run_step items[RUN];
    cg_value inputs[4 * RUN];
    struct cg_run run = {.steps = items, .inputs = inputs, .guard = e->guard};
    for (int64_t i = first; i < first + count && !e->failed; i++) {
        chunk x = make_chunk(c, i);
        bool near = x.from.offset >= 0 && x.from.offset <= INT32_MAX;
        cg_value size = chunk_size(c, &x);
        const cg_value arguments[] = {
            x.to.address, near ? x.from.address : emit_element_address(e, &c->from, x.from),
            size ? size : c->policy, size ? c->policy : NULL};
        struct cg_run_step *step = &items[run.step_count++];
        *step = (struct cg_run_step){.id = async_template(c, size != NULL)};
        for (int k = 0; k < 4 && arguments[k]; k++) {
            unsigned at = 0;
            while (at < run.input_count && inputs[at] != arguments[k]) at++;
            if (at == run.input_count) inputs[run.input_count++] = arguments[k];
            step->operands[k] = (struct cg_run_operand){.kind = CG_RUN_INPUT, .index = at};
        }
        step->operands[0].offset = (int32_t)x.to.offset;
        step->operands[1].offset = near ? (int32_t)x.from.offset : 0;
    }
    if (!e->failed) cg_run_emit(e->m, &run);
}

static void copy_async(copying *c)
{
    if (async_template(c, false) == CG_PTX_UNKNOWN) {
        emit_error(c->e, KG_D_L303, "cp.async moves 4, 8 or 16 bytes, not %d", c->bytes);
        return;
    }
    // What decides for all chunks is decided once.
    if (c->from.inside && (c->by_bits || c->by_rows)) {
        cg_value none = cg_i32(c->e->m, 0);
        c->size = cg_select(c->e->m, c->from.inside, cg_i32(c->e->m, c->bytes), none);
        c->from.inside = NULL;
    }
    bool even = c->chunks % c->threads == 0 && (c->by_bits || c->by_rows);
    for (int64_t i = 0; even && i < steps(c) && !c->e->failed; i += RUN)
        async_run(c, i, steps(c) - i < RUN ? steps(c) - i : RUN);
    if (even) return;
    for (int64_t i = 0; i < steps(c) && !c->e->failed; i++) {
        chunk x = make_chunk(c, i);
        async_chunk(c, &x);
    }
}

// -- through registers ----------------------------------------------------------------------------

enum { IN_FLIGHT = 8, WIDEST = 16 };

static void load_chunk(copying *c, const chunk *x, cg_value *out)
{
    struct cg_module *m = c->e->m;
    struct cg_access access = {.space = CG_SPACE_GLOBAL,
                               .address = x->from.address,
                               .offset = x->from.offset,
                               .align = (unsigned)c->bytes,
                               .flags = c->constant ? CG_ACCESS_NONCOHERENT : 0};
    emit_cache(c->e, c->op, &access);
    cg_type type = emit_memory_type(c->type->dtype);
    cg_value inside = emit_and(c->e, x->mine, x->from.inside);
    cg_load_if(m, &access, inside, type, (unsigned)c->vec, out);
}

static void store_chunk(copying *c, const chunk *x, const cg_value *values)
{
    struct cg_module *m = c->e->m;
    struct cg_access access = {.space = CG_SPACE_SHARED,
                               .address = x->to.address,
                               .offset = x->to.offset,
                               .align = (unsigned)c->bytes};
    cg_store_if(m, &access, x->mine, values, (unsigned)c->vec);
}

// A batch of loads, then its stores, so that the loads overlap.
static void copy_by_registers(copying *c)
{
    int64_t count = steps(c);
    for (int64_t done = 0; done < count; done += IN_FLIGHT) {
        cg_value held[IN_FLIGHT][WIDEST];
        chunk x[IN_FLIGHT];
        int batch = (int)(count - done < IN_FLIGHT ? count - done : IN_FLIGHT);
        for (int i = 0; i < batch && !c->e->failed; i++) {
            x[i] = make_chunk(c, done + i);
            load_chunk(c, &x[i], held[i]);
        }
        for (int i = 0; i < batch && !c->e->failed; i++) store_chunk(c, &x[i], held[i]);
    }
}

void emit_copy(kg_emit *e, kg_op *op)
{
    copying c = {
        .e = e, .op = op, .type = &op->operands[0]->type, .threads = 32 * e->region.n_warps};
    c.chunks = emit_copy_chunks(op, &c.vec);
    c.bytes = c.vec * kg_dtype_bytes(c.type->dtype);
    if (c.vec < 1 || c.bytes > 16 || (c.type->rank && c.type->dims[c.type->rank - 1] % c.vec)) {
        emit_error(e, KG_D_V203, "a copy in chunks of %d elements does not divide its rows", c.vec);
        return;
    }
    c.policy = emit_policy(e, op);
    choose_split(&c);
    if (!open_places(&c, 0)) return;
    if (!c.to.shared || c.from.shared) {
        emit_error(e, KG_D_L303, "a copy goes from global to shared memory");
        return;
    }
    c.constant = !e->written[c.from.root->index];
    if (op->code == KG_OP_COPY_ASYNC)
        copy_async(&c);
    else
        copy_by_registers(&c);
}
