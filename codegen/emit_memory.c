// SPDX-License-Identifier: MIT
// Loads, stores and atomics of fragments: each thread moves the elements of its registers.
//
// Registers that lie next to each other along the view's last dimension go in one access where the
// alignment was proven, no edge can fall between them, and one mask holds for all. Only owners
// write. Elements under a
// predicate (an edge, a mask, an owner) use guarded instructions, without a branch.
#include "codegen/emit.h"

// -- which registers go together ------------------------------------------------------------------

typedef struct plan {
    const kg_layout *layout; // NULL: one scalar
    int count, rank, vec;
    int step_bit[4]; // register bit that moves by 1, 2, 4, 8 along the last dimension
    uint32_t copies; // register bits that move nothing
    emit_part thread[KG_MAX_RANK];
} plan;

static bool pure_step(const kg_layout *layout, int bit, int axis, int32_t step)
{
    for (int d = 0; d < layout->rank; d++)
        if (layout->basis[KG_IN_REG][bit][d] != (d == axis ? step : 0)) return false;
    return true;
}

// Elements that consecutive registers hold along the last dimension, and the bits that walk them.
static int contiguous(plan *p, int limit)
{
    int vec = 1;
    for (int level = 0; vec < limit && level < 4; level++) {
        int found = -1;
        for (int bit = 0; bit < p->layout->bits[KG_IN_REG]; bit++)
            if (pure_step(p->layout, bit, p->rank - 1, vec)) found = bit;
        if (found < 0 || p->thread[p->rank - 1].mask & (uint32_t)vec) break;
        p->step_bit[level] = found;
        vec *= 2;
    }
    return vec;
}

// A coordinate must be the sum of its thread and register parts.
static bool separable(const plan *p)
{
    for (int bit = 0; bit < p->layout->bits[KG_IN_REG]; bit++)
        for (int d = 0; d < p->rank; d++)
            if (p->thread[d].mask & (uint32_t)p->layout->basis[KG_IN_REG][bit][d]) return false;
    return true;
}

static bool make_plan(kg_emit *e, const kg_value *fragment, plan *p)
{
    memset(p, 0, sizeof *p);
    p->rank = fragment->type.rank;
    p->count = emit_register_count(fragment);
    p->vec = 1;
    p->layout = p->rank ? fragment->layout : NULL;
    for (int d = 0; d < p->rank && p->layout; d++) p->thread[d] = emit_layout_part(e, p->layout, d);
    if (!p->layout)
        return p->rank == 0 ||
               emit_error(e, KG_D_V204, "a fragment without a layout reaches memory");
    for (int bit = 0; bit < p->layout->bits[KG_IN_REG]; bit++)
        if (pure_step(p->layout, bit, 0, 0)) p->copies |= UINT32_C(1) << bit;
    return separable(p) ||
           emit_error(e, KG_D_L301, "a layout that mixes thread and register bits reaches memory");
}

static int member(const plan *p, int reg, int k)
{
    for (int level = 0; 1 << level < p->vec; level++)
        if (k >> level & 1) reg |= 1 << p->step_bit[level];
    return reg;
}

// Is the register the first of its access, and not a copy?
static bool leads(const plan *p, int reg)
{
    for (int level = 0; 1 << level < p->vec; level++)
        if (reg >> p->step_bit[level] & 1) return false;
    return (reg & p->copies) == 0;
}

// A mask that was broadcast along the last dimension is one value for the registers of an access.
static bool one_mask(const plan *p, const cg_value *mask)
{
    for (int reg = 0; reg < p->count; reg++)
        for (int k = 1; leads(p, reg) && k < p->vec; k++)
            if (mask[member(p, reg, k)] != mask[reg]) return false;
    return true;
}

// Elements of each access: what the layout pass asked for (or what the view allows), the registers
// offer, and no edge of the tensor or change of the mask (NULL: none) can cut.
static void choose_vec(kg_emit *e, const kg_op *op, kg_value *operand, const emit_place *place,
                       const cg_value *mask, plan *p)
{
    if (!p->layout) return;
    int last = place->view.dim[p->rank - 1];
    bool edge = !place->shared && place->test[last];
    int64_t limit = kg_view_vector_bytes(e->kernel, operand, edge) / place->size;
    int64_t asked = kg_op_int(op, KG_A_VEC, limit);
    limit = asked < limit ? asked : limit;
    if (limit > 16 / place->size) limit = 16 / place->size;
    while (limit & (limit - 1)) limit &= limit - 1;
    if (limit > 1) p->vec = contiguous(p, (int)limit);
    while (mask && p->vec > 1 && !one_mask(p, mask)) p->vec /= 2;
}

static void coordinates(const plan *p, int reg, int32_t *coord)
{
    memset(coord, 0, sizeof(int32_t) * KG_MAX_RANK);
    if (p->layout) kg_layout_coord(p->layout, reg, 0, 0, coord);
}

static bool same_rank(kg_emit *e, const kg_value *operand, const kg_value *fragment)
{
    if (operand->type.rank == fragment->type.rank) return true;
    return emit_error(e, KG_D_V203, "a fragment of rank %d meets a view of rank %d",
                      fragment->type.rank, operand->type.rank);
}

static struct cg_access access_of(kg_emit *e, const emit_place *place, emit_element at, int vec,
                                  bool constant)
{
    return (struct cg_access){.space = place->shared ? CG_SPACE_SHARED : CG_SPACE_GLOBAL,
                              .address = at.address,
                              .offset = at.offset,
                              .align = (unsigned)(vec * place->size),
                              .flags = constant ? CG_ACCESS_NONCOHERENT : 0};
}

// -- load -----------------------------------------------------------------------------------------

typedef struct loading {
    const kg_op *op;
    plan p;
    emit_place place;
    bool constant; // nobody writes the tensor while the kernel runs
    kg_dtype dtype;
    cg_value *mask, *otherwise, *out;
} loading;

static cg_value from_memory(kg_emit *e, kg_dtype dtype, cg_value x)
{
    return dtype == KG_I1 ? cg_ne(e->m, x, cg_integer(e->m, CG_I8, 0)) : x;
}

static void load_group(kg_emit *e, loading *l, int reg)
{
    int32_t coord[KG_MAX_RANK];
    cg_value got[16];
    coordinates(&l->p, reg, coord);
    emit_element at = emit_place_at(e, &l->place, coord);
    struct cg_access access = access_of(e, &l->place, at, l->p.vec, l->constant);
    emit_cache(e, l->op, &access);
    cg_value inside = emit_and(e, at.inside, l->mask ? l->mask[reg] : NULL);
    inside = emit_and(e, inside, e->guard);
    cg_type type = emit_memory_type(l->dtype);
    cg_load_if(e->m, &access, inside, type, (unsigned)l->p.vec, got);
    for (int k = 0; k < l->p.vec; k++) {
        int to = member(&l->p, reg, k);
        l->out[to] = from_memory(e, l->dtype, got[k]);
        if (l->otherwise && inside)
            l->out[to] = cg_select(e->m, inside, l->out[to], l->otherwise[to]);
    }
}

void emit_load(kg_emit *e, kg_op *op)
{
    kg_value *operand = op->operands[0], *result = op->results[0];
    loading l = {.op = op, .dtype = result->type.dtype};
    int count = emit_register_count(result);
    l.out = emit_new_registers(e, count);
    emit_define(e, result, l.out);
    if (!same_rank(e, operand, result) || !make_plan(e, result, &l.p) ||
        !emit_place_open(e, operand, l.p.thread, &l.place))
        return;
    kg_cache cache = kg_cache_of(op);
    l.constant = !l.place.shared && !e->written[l.place.root->index];
    // By `ca` a load stays where it is; ptxas moves those of constant memory over barriers.
    if (cache == KG_CACHE_CA || cache == KG_CACHE_CG) l.constant = false;
    if (cache == KG_CACHE_NC) l.constant = !l.place.shared;
    if (op->n_operands > 1) l.mask = emit_read_as(e, op->operands[1], result->layout, count);
    if (op->n_operands > 2) l.otherwise = emit_read_as(e, op->operands[2], result->layout, count);
    choose_vec(e, op, operand, &l.place, l.mask, &l.p);
    for (int reg = 0; reg < count; reg++)
        if (leads(&l.p, reg)) load_group(e, &l, reg);
    for (int reg = 0; reg < count; reg++) l.out[reg] = l.out[(uint32_t)reg & ~l.p.copies];
}

// -- store ----------------------------------------------------------------------------------------

// Predicate of the threads that write: those with every bit clear that moves nothing. NULL: all.
static cg_value owners(kg_emit *e, const plan *p)
{
    struct cg_module *m = e->m;
    if (!p->layout) return e->first_thread;
    uint32_t idle = 0;
    for (int in = KG_IN_LANE; in < KG_IN_COUNT; in++)
        for (int bit = 0; bit < p->layout->bits[in]; bit++) {
            bool moves = false;
            for (int d = 0; d < p->rank; d++) moves |= p->layout->basis[in][bit][d] != 0;
            if (!moves) idle |= UINT32_C(1) << (bit + (in == KG_IN_WARP ? 5 : 0));
        }
    cg_value out = NULL;
    if (idle) out = cg_eq(m, cg_and(m, e->region_thread, cg_i32(m, (int32_t)idle)), cg_i32(m, 0));
    int known = 1 << p->layout->bits[KG_IN_WARP]; // warps beyond are copies too
    if (e->region.n_warps > known)
        out = emit_and(e, out, cg_ult(m, e->region_warp, cg_i32(m, known)));
    return out;
}

static cg_value to_memory(kg_emit *e, kg_dtype dtype, cg_value x)
{
    return dtype == KG_I1 ? cg_zext(e->m, x, CG_I8) : x;
}

typedef struct storing {
    const kg_op *op;
    plan p;
    emit_place place;
    kg_dtype dtype;
    cg_value owner, *mask, *values;
} storing;

static bool open_store(kg_emit *e, kg_op *op, storing *s)
{
    kg_value *operand = op->operands[0], *value = op->operands[1];
    memset(s, 0, sizeof *s);
    s->op = op;
    s->dtype = value->type.dtype;
    if (!same_rank(e, operand, value) || !make_plan(e, value, &s->p) ||
        !emit_place_open(e, operand, s->p.thread, &s->place))
        return false;
    s->owner = owners(e, &s->p);
    s->values = emit_read(e, value);
    if (op->n_operands > 2) s->mask = emit_read_as(e, op->operands[2], value->layout, s->p.count);
    return !e->failed;
}

static void store_group(kg_emit *e, storing *s, int reg)
{
    int32_t coord[KG_MAX_RANK];
    cg_value values[16];
    coordinates(&s->p, reg, coord);
    emit_element at = emit_place_at(e, &s->place, coord);
    struct cg_access access = access_of(e, &s->place, at, s->p.vec, false);
    emit_cache(e, s->op, &access);
    for (int k = 0; k < s->p.vec; k++)
        values[k] = to_memory(e, s->dtype, s->values[member(&s->p, reg, k)]);
    cg_value inside = emit_and(e, emit_and(e, s->owner, at.inside), s->mask ? s->mask[reg] : NULL);
    cg_store_if(e->m, &access, inside, values, (unsigned)s->p.vec);
}

void emit_store(kg_emit *e, kg_op *op)
{
    storing s;
    if (kg_op_attr(op, KG_A_MATRIX)) {
        emit_stmatrix(e, op);
        return;
    }
    if (!open_store(e, op, &s)) return;
    choose_vec(e, op, op->operands[0], &s.place, s.mask, &s.p);
    for (int reg = 0; reg < s.p.count; reg++)
        if (leads(&s.p, reg)) store_group(e, &s, reg);
}

// -- atomics --------------------------------------------------------------------------------------

typedef struct atomic_row {
    kg_opcode code;
    kg_dtype dtype;
    enum cg_ptx_id global, shared;
} atomic_row;

static const atomic_row atomics[] = {
    {KG_OP_ATOMIC_ADD, KG_I32, CG_PTX_RED_ADD_S32_RELAXED_GPU, CG_PTX_RED_ADD_S32_RELAXED_SHARED},
    {KG_OP_ATOMIC_ADD, KG_I64, CG_PTX_RED_ADD_U64_RELAXED_GPU, CG_PTX_RED_ADD_U64_RELAXED_SHARED},
    {KG_OP_ATOMIC_ADD, KG_F32, CG_PTX_RED_ADD_F32_RELAXED_GPU, CG_PTX_RED_ADD_F32_RELAXED_SHARED},
    {KG_OP_ATOMIC_MAX, KG_I32, CG_PTX_RED_MAX_S32_RELAXED_GPU, CG_PTX_RED_MAX_S32_RELAXED_SHARED},
    {KG_OP_ATOMIC_MAX, KG_I64, CG_PTX_RED_MAX_S64_RELAXED_GPU, CG_PTX_RED_MAX_S64_RELAXED_SHARED},
    {KG_OP_ATOMIC_MIN, KG_I32, CG_PTX_RED_MIN_S32_RELAXED_GPU, CG_PTX_RED_MIN_S32_RELAXED_SHARED},
    {KG_OP_ATOMIC_MIN, KG_I64, CG_PTX_RED_MIN_S64_RELAXED_GPU, CG_PTX_RED_MIN_S64_RELAXED_SHARED},
};

static const atomic_row *find_atomic(kg_opcode code, kg_dtype dtype)
{
    for (size_t i = 0; i < sizeof atomics / sizeof atomics[0]; i++)
        if (atomics[i].code == code && atomics[i].dtype == dtype) return &atomics[i];
    return NULL;
}

static void atomic_element(kg_emit *e, storing *s, const atomic_row *row, int reg)
{
    int32_t coord[KG_MAX_RANK];
    struct cg_if branch;
    coordinates(&s->p, reg, coord);
    emit_element at = emit_place_at(e, &s->place, coord);
    cg_value arguments[] = {emit_element_address(e, &s->place, at), s->values[reg]};
    cg_value inside = emit_and(e, emit_and(e, s->owner, at.inside), s->mask ? s->mask[reg] : NULL);
    if (inside) cg_if_begin(e->m, &branch, cg_undecided(e->m, inside));
    cg_template(e->m, s->place.shared ? row->shared : row->global, arguments, 2, NULL, NULL);
    if (inside) cg_if_end(e->m, &branch);
}

// Addresses and predicates are cached by the place, so they must all exist before the first branch.
static void prepare_elements(kg_emit *e, storing *s)
{
    int32_t coord[KG_MAX_RANK];
    for (int reg = 0; reg < s->p.count; reg++) {
        coordinates(&s->p, reg, coord);
        if (leads(&s->p, reg)) emit_place_at(e, &s->place, coord);
    }
}

void emit_atomic(kg_emit *e, kg_op *op)
{
    storing s;
    const atomic_row *row = find_atomic(op->code, op->operands[1]->type.dtype);
    if (!row) {
        emit_error(e, KG_D_L303, "%s has no instruction for elements of type %s",
                   kg_op_info_of(op->code)->name,
                   kg_dtype_info_of(op->operands[1]->type.dtype)->name);
        return;
    }
    if (!open_store(e, op, &s)) return;
    prepare_elements(e, &s);
    for (int reg = 0; reg < s.p.count && !e->failed; reg++)
        if (leads(&s.p, reg)) atomic_element(e, &s, row, reg);
}
