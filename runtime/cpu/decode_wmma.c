// SPDX-License-Identifier: MIT
// Builders of wmma.load, wmma.store and wmma.mma: which registers a fragment has.
#include "decode.h"
#include "steps.h"

#include <stdlib.h>
#include <string.h>

struct shape {
    unsigned m, n, k;
};

static struct shape read_shape(const struct decoder *d)
{
    const char *text = d->fields['h'];
    struct shape s = {(unsigned)strtoul(text + 1, NULL, 10), 0, 0};
    text = strchr(text, 'n');
    s.n = (unsigned)strtoul(text + 1, NULL, 10);
    s.k = (unsigned)strtoul(strchr(text, 'k') + 1, NULL, 10);
    return s;
}

static uint32_t packed_shape(struct shape s)
{
    return s.m | s.n << 8 | s.k << 16;
}

// The shapes that go with a type of the operands a and b.
static bool shape_fits(struct shape s, enum type type)
{
    if (type == T_F64)
        return s.m == 8 && s.k == 4;
    return type == T_TF32 ? s.m == 16 && s.k == 8 : s.k == 16;
}

// Registers of a lane: as the ISA lists them. Operands of f16 are held twice.
static unsigned registers(char matrix, struct shape s, enum type type)
{
    if (matrix == 'c' || matrix == 'd')
        return type == T_F16 ? 4 : type == T_F64 ? 2 : 8;
    if (type == T_F16)
        return 8;
    unsigned elements = (matrix == 'a' ? s.m : s.n) * s.k, bits = ptxm_type_bits(type);
    return type == T_F64 ? 1 : elements * bits / 32 / 32;
}

static bool fragment(struct decoder *d, const struct operand *o, bool destination, enum type type,
                     unsigned count, int32_t *list)
{
    const struct operand *element = o->kind == OPERAND_VECTOR ? o->elements : o;
    enum type whole = type == T_F64 ? T_F64 : T_B32;
    if ((o->kind == OPERAND_VECTOR ? o->count : 1) != count)
        return ptxm_d_complain(d, &o->token, "wrong number of registers in a fragment");
    for (unsigned i = 0; i < count; i++) {
        list[i] = destination ? ptxm_d_dest(d, &element[i], whole, false)
                              : ptxm_d_source(d, &element[i], whole, false);
        if (list[i] == OPERAND_NONE)
            return false;
    }
    return true;
}

// [address], stride: the stride counts elements; without one the matrix is dense.
bool build_wmma_memory(struct decoder *d, int store)
{
    const struct operand *o = d->statement->operands;
    struct shape s = read_shape(d);
    char matrix = store ? 'd' : d->fields['M'][0];
    bool by_columns = ptxm_d_is(d, 'y', "col");
    enum type type = d->t;
    bool sum = type == T_F16 || type == T_F32 || type == T_S32;
    bool fits = matrix == 'a' || matrix == 'b' ? type != T_F32 && type != T_S32
                                               : type == T_F64 || sum;
    // Sums of f32 are those of tf32 or of f16 operands.
    if (!fits || !(shape_fits(s, type) || (sum && s.k == 16) || (type == T_F32 && s.k == 8)))
        return ptxm_d_complain(d, NULL, "no such shape of this type");
    unsigned rows = matrix == 'b' ? s.k : s.m, columns = matrix == 'a' ? s.k : s.n;
    unsigned count = registers(matrix, s, type), at = store ? 0 : count;
    int32_t list[12];
    if (!fragment(d, store ? &o[1] : &o[0], !store, type, count, list))
        return false;
    list[count] = d->statement->operand_count > 2
                      ? ptxm_d_source(d, &o[2], T_U32, false)
                      : ptxm_d_constant(d, by_columns ? rows : columns, T_U32);
    enum space space = ptxm_d_space(d, NULL);
    int64_t displacement;
    if (!ptxm_d_address(d, d->address, &space, &list[count + 1], &displacement))
        return false;
    struct op *op = ptxm_d_emit(d, at, count + 2 - at, list);
    if (!op)
        return false;
    op->step = store ? ptxm_step_wmma_store : ptxm_step_wmma_load;
    op->space = (uint8_t)space;
    op->displacement = displacement;
    op->immediate = packed_shape(s);
    op->mode = (uint8_t)matrix;
    op->vector = (uint8_t)count;
    op->type2 = list[count + 1] < 0 ? 8 : (uint8_t)ptxm_d_slot_bytes(d, list[count + 1]);
    op->flags = (uint8_t)(OPF_ALIGNED | (by_columns ? OPF_TRANS : 0));
    return true;
}

bool build_wmma_mma(struct decoder *d, int typed)
{
    const struct operand *o = d->statement->operands;
    struct shape s = read_shape(d);
    enum type dt = ptxm_d_is(d, 'd', "f16") ? T_F16 : ptxm_d_is(d, 'd', "f32") ? T_F32
                 : ptxm_d_is(d, 'd', "f64") ? T_F64 : T_S32;
    enum type ct = ptxm_d_is(d, 'c', "f16") ? T_F16 : ptxm_d_is(d, 'c', "f32") ? T_F32
                 : ptxm_d_is(d, 'c', "f64") ? T_F64 : T_S32;
    enum type at = !typed ? T_F16 : ptxm_type_parse(d->fields['a'], strcspn(d->fields['a'], "|? "));
    enum type bt = !typed ? T_F16 : ptxm_type_parse(d->fields['b'], strcspn(d->fields['b'], "|? "));
    bool together = at == bt && shape_fits(s, at) &&
                    (at == T_F64 ? dt == T_F64 && ct == T_F64
                     : at == T_S8 || at == T_U8 ? dt == T_S32 && ct == T_S32
                     : at == T_F16 ? dt != T_S32 && ct != T_S32 && dt != T_F64 && ct != T_F64
                                   : dt == T_F32 && ct == T_F32);
    if (!together)
        return ptxm_d_complain(d, NULL, "these types and shapes do not go together");
    unsigned nd = registers('d', s, dt), na = registers('a', s, at), nb = registers('b', s, bt),
             nc = registers('c', s, ct);
    int32_t list[40];
    if (!fragment(d, &o[0], true, dt, nd, list) ||
        !fragment(d, &o[1], false, at, na, list + nd) ||
        !fragment(d, &o[2], false, bt, nb, list + nd + na) ||
        !fragment(d, &o[3], false, ct, nc, list + nd + na + nb))
        return false;
    struct op *op = ptxm_d_emit(d, nd, na + nb + nc, list);
    if (!op)
        return false;
    op->step = ptxm_step_wmma_mma;
    op->type = (uint8_t)at;
    op->type2 = (uint8_t)dt;
    op->mode = (uint8_t)ct;
    op->vector = (uint8_t)na;
    op->immediate = packed_shape(s);
    op->flags = (uint8_t)(OPF_ALIGNED | (ptxm_d_has(d, 's') ? OPF_SATURATE : 0));
    return true;
}
