// SPDX-License-Identifier: MIT
// Gathers whose index is no gather.
//
// An index that the text alone tells, such as iota(64) % 16 or iota(64) / 16 * 16, often takes bits
// of the coordinate and puts them elsewhere. Then it is no gather: it has a thread part and a
// constant part as any coordinate has, and what is added to it (a loop's index, say) is a start.
// So in shared memory. In global memory it is the rows of a sequence that end somewhere:
// select(first + iota(64) < end, first + iota(64), -1) are consecutive rows under a predicate.
#include "codegen/emit.h"

// Takes the scalars off a sum: what is left when nothing more comes off.
static const kg_value *without_scalars(const kg_value *index, kg_value **scalars, int *count,
                                       int limit)
{
    while (index->kind == KG_VALUE_RESULT && !kg_known_tile(index)) {
        const kg_op *op = index->op;
        if (op->code == KG_OP_CONVERT) {
            index = op->operands[0];
            continue;
        }
        if (op->code != KG_OP_ADD || *count == limit) break;
        bool first = op->operands[0]->kind == KG_VALUE_RESULT &&
                     op->operands[0]->op->code == KG_OP_BROADCAST;
        const kg_value *all = op->operands[first ? 0 : 1];
        bool broadcast = all->kind == KG_VALUE_RESULT && all->op->code == KG_OP_BROADCAST &&
                         all->op->operands[0]->type.rank == 0;
        if (!broadcast) break;
        scalars[(*count)++] = all->op->operands[0];
        index = op->operands[first ? 1 : 0];
    }
    return index;
}

static int64_t element(const kg_value *index, int32_t at)
{
    int64_t out = -1;
    return kg_known_element(index, &at, &out) ? out : -1;
}

int64_t emit_gathered_constant(const emit_gather_bits *bits, int64_t constant)
{
    int64_t out = 0;
    for (int bit = 0; bit < 31; bit++)
        if (constant >> bit & 1) out += bits->adds[bit];
    return out;
}

// Is each element the first one plus what the bits of its place add, each to bits of its own?
static bool is_linear(const kg_value *index, emit_gather_bits *bits)
{
    int32_t extent = index->type.rank == 1 ? index->type.dims[0] : 0;
    int64_t first = extent ? element(index, 0) : -1, taken = 0;
    if (first < 0 || (extent & (extent - 1)) || !kg_known_tile(index)) return false;
    for (int bit = 0; INT64_C(1) << bit < extent; bit++) {
        int64_t adds = element(index, 1 << bit) - first;
        if (adds < 0 || adds > INT32_MAX || (taken & adds)) return false;
        bits->adds[bit] = (int32_t)adds;
        taken |= adds;
    }
    for (int32_t at = 0; at < extent; at++)
        if (element(index, at) != first + emit_gathered_constant(bits, at)) return false;
    return true;
}

bool emit_linear_gather(kg_emit *e, emit_place *place, int r)
{
    enum { MOST_SCALARS = 4 };
    kg_value *scalars[MOST_SCALARS];
    const emit_part *thread = &place->thread[r];
    emit_gather_bits *bits = KG_NEW(e->arena, emit_gather_bits);
    int32_t lane[5], warp[5], count = 0;
    if (!place->shared || (thread->value && !thread->linear)) return false;
    const kg_value *index = without_scalars(place->gather[r], scalars, &count, MOST_SCALARS);
    if (!is_linear(index, bits)) return false;
    for (int i = 0; i < 5; i++) {
        lane[i] = (int32_t)emit_gathered_constant(bits, thread->lane[i]);
        warp[i] = (int32_t)emit_gathered_constant(bits, thread->warp[i]);
    }
    place->dyn[r] = emit_linear_part(e, lane, 5, warp, 5);
    place->constant[r] = element(index, 0);
    for (int i = 0; i < count; i++)
        emit_place_add(e, place, r, scalars[i], kg_value_divisor(e->kernel, scalars[i]));
    place->linear[r] = bits;
    return true;
}

static bool counts_up(const emit_gather_bits *bits, int32_t extent)
{
    for (int bit = 0; 1 << bit < extent; bit++)
        if (bits->adds[bit] != 1 << bit) return false;
    return true;
}

// Is it one constant below zero, which is outside of everything?
static bool is_outside(const kg_value *value)
{
    int64_t constant;
    return value->kind == KG_VALUE_RESULT && value->op->code == KG_OP_BROADCAST &&
           kg_const_int(value->op->operands[0], &constant) && constant < 0;
}

bool emit_limited_gather(kg_emit *e, emit_place *place, int r)
{
    enum { MOST_SCALARS = 4 };
    kg_value *scalars[MOST_SCALARS], *gather = place->gather[r];
    const emit_part *thread = &place->thread[r];
    emit_gather_bits bits = {{0}};
    int count = 0;
    bool limited = gather->kind == KG_VALUE_RESULT && gather->op->code == KG_OP_SELECT &&
                   is_outside(gather->op->operands[2]);
    if (place->shared || !limited || (thread->value && !thread->linear)) return false;
    const kg_value *index = without_scalars(gather->op->operands[1], scalars, &count, MOST_SCALARS);
    if (!is_linear(index, &bits) || !counts_up(&bits, index->type.dims[0])) return false;
    place->dyn[r] = *thread;
    place->constant[r] = element(index, 0);
    for (int i = 0; i < count; i++)
        emit_place_add(e, place, r, scalars[i], kg_value_divisor(e->kernel, scalars[i]));
    place->which[r] = gather->op->operands[0];
    place->gather[r] = NULL;
    return true;
}
