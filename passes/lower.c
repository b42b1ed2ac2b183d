// SPDX-License-Identifier: MIT
// Pass lower: everything that crosses warps goes through shared memory in so many words.
//
// Needs: level STAGED with a layout on every fragment, as pass layout leaves it.
// Guarantees: level LAID_OUT: every remaining `convert` stays within a warp; a reduction with
// attribute
//   PARTIAL stops at its warp and none other spans warps; fetch_add has its cell; every buffer has
//   its pitch, swizzle and alignment, every load, store and copy its width.
// Never: places a buffer or a barrier; changes what is computed but for the order in which a
// reduction
//   adds its parts.
//
//     %s @#2 = sum(%x) {axis=1}     %p @#3 = sum(%x) {axis=1, partial=4}   // a part for each warp
//                                   shared %b: f32[64, 4] {pitch=4}
//                                   store %b = %p
//                                   %q @#4 = load %b                       // parts in registers
//                                   %s @#2 = sum(%q) {axis=1}
#include "passes/lower_internal.h"
#include "ir/access.h"
#include "passes/pass_list.h"
#include "passes/rewrite.h"
#include <string.h>

// Instructions of a convert within a warp above which shared memory is the shorter way.
enum { SHUFFLE_LIMIT = 48 };

typedef struct lowering {
    kg_arena *arena;
    kg_kernel *kernel;
    kg_use **uses; // by value id, of the kernel as it was
    int n_values;
} lowering;

// ---- building -----------------------------------------------------------------------------------

static kg_value *build_scratch(lowering *l, kg_op *place, const kg_type *like)
{
    kg_op *op = kg_op_new(l->kernel, KG_OP_SHARED, place->loc, 0, NULL);
    kg_type type = *like;
    type.home = KG_HOME_SHARED;
    kg_block_insert_before(place, op);
    return kg_op_result(l->kernel, op, type, NULL);
}

static void build_store(lowering *l, kg_op *place, kg_value *buffer, kg_value *value)
{
    kg_block_insert_before(
        place, kg_op_new(l->kernel, KG_OP_STORE, place->loc, 2, (kg_value *[]){buffer, value}));
}

static kg_value *build_load(lowering *l, kg_op *place, kg_value *buffer, const kg_layout *layout)
{
    kg_op *op = kg_op_new(l->kernel, KG_OP_LOAD, place->loc, 1, &buffer);
    kg_type type = buffer->type;
    type.home = KG_HOME_FRAG;
    kg_block_insert_before(place, op);
    kg_value *value = kg_op_result(l->kernel, op, type, NULL);
    value->layout = layout;
    return value;
}

static const kg_layout *keep(lowering *l, const kg_layout *layout)
{
    kg_layout *copy = KG_NEW(l->arena, kg_layout);
    *copy = *layout;
    return copy;
}

// ---- conversions --------------------------------------------------------------------------------

static bool lane_difference(const kg_layout *from, const int32_t *delta)
{
    // Lane bases of all our layouts are single steps: a difference is theirs when each of its bits
    // is one.
    for (int d = 0; d < from->rank; d++) {
        int32_t steps = 0;
        for (int bit = 0; bit < from->bits[KG_IN_LANE]; bit++)
            steps |= from->basis[KG_IN_LANE][bit][d];
        if (delta[d] & ~steps) return false;
    }
    return true;
}

// Registers of `from` that the lanes of a warp look into for one register of `to`: so many
// shuffles.
static int sources_of(const kg_layout *from, const kg_layout *to, int reg)
{
    uint64_t seen[8] = {0};
    int registers = kg_layout_registers(from), sources = 0;
    for (int lane = 0; lane < 32; lane++) {
        int32_t want[KG_MAX_RANK], at[KG_MAX_RANK];
        kg_layout_coord(to, reg, lane, 0, want);
        for (int r = 0; r < registers && r < 512; r++) {
            kg_layout_coord(from, r, 0, 0, at);
            for (int d = 0; d < from->rank; d++) at[d] ^= want[d];
            if (!lane_difference(from, at)) continue;
            sources += !(seen[r / 64] >> (r % 64) & 1);
            seen[r / 64] |= UINT64_C(1) << (r % 64);
            break;
        }
    }
    return sources ? sources : 1;
}

static bool shuffles_pay(const kg_value *value, const kg_layout *to)
{
    enum { SAMPLES = 2 };
    int registers = kg_layout_registers(to), sources = 0, looked = 0;
    if (registers > 128) return false;
    for (int reg = 0; reg < registers && looked < SAMPLES;
         reg += (registers + 1) / SAMPLES, looked++)
        sources += sources_of(value->layout, to, reg);
    int words = kg_dtype_bytes(value->type.dtype) == 8 ? 2 : 1;
    return registers * sources * words <= SHUFFLE_LIMIT * looked;
}

// Every use is a matrix operand, which the tensor core's loads take from shared memory themselves.
static bool used_by_dots_only(const lowering *l, const kg_value *value)
{
    if (value->id < 0 || value->id >= l->n_values || !l->uses[value->id]) return false;
    for (const kg_use *use = l->uses[value->id]; use; use = use->next)
        if (use->op->code != KG_OP_DOT || use->operand > 1 ||
            kg_dot_kind_of(use->op) != KG_DOT_MMA_F16)
            return false;
    return true;
}

static void through_scratch(lowering *l, kg_op *convert)
{
    kg_value *buffer = build_scratch(l, convert, &convert->operands[0]->type);
    build_store(l, convert, buffer, convert->operands[0]);
    if (used_by_dots_only(l, convert->results[0])) {
        kg_replace_uses(l->kernel, convert->results[0], buffer);
        kg_op_remove(convert);
        return;
    }
    convert->code = KG_OP_LOAD; // in place: the result and its uses stay
    kg_op_set_operand(convert, 0, buffer);
}

static void lower_convert(lowering *l, kg_op *op)
{
    const kg_layout *to = op->results[0]->layout;
    int distance = kg_layout_distance(op->operands[0]->layout, to);
    if (distance == 3 || (distance == 2 && !shuffles_pay(op->operands[0], to)))
        through_scratch(l, op);
}

// ---- reductions ---------------------------------------------------------------------------------

static int warp_bits_along(const kg_layout *layout, int axis)
{
    int count = 0;
    for (int bit = 0; bit < layout->bits[KG_IN_WARP]; bit++)
        count += layout->basis[KG_IN_WARP][bit][axis] != 0;
    return count;
}

// What each warp has after reducing its own part: the warp bits that ran along the axis number the
// parts.
static void layout_of_parts(const kg_layout *operand, int axis, kg_layout *out)
{
    int32_t step = 1;
    kg_layout_squash(operand, axis, out);
    for (int bit = 0; bit < operand->bits[KG_IN_WARP]; bit++)
        if (operand->basis[KG_IN_WARP][bit][axis]) {
            out->basis[KG_IN_WARP][bit][axis] = step;
            step *= 2;
        }
    out->core[axis] = step;
}

// All parts in the registers of the thread that wants the result.
static void layout_of_gathered(const kg_layout *result, int axis, int parts, kg_layout *out)
{
    kg_layout_expand(result, axis, out);
    int added = 0;
    for (int32_t step = 1; step < parts; step *= 2) added++;
    memmove(out->basis[KG_IN_REG] + added, out->basis[KG_IN_REG],
            sizeof out->basis[0][0] * (size_t)out->bits[KG_IN_REG]);
    for (int i = 0; i < added; i++) {
        memset(out->basis[KG_IN_REG][i], 0, sizeof out->basis[0][0]);
        out->basis[KG_IN_REG][i][axis] = 1 << i;
    }
    out->bits[KG_IN_REG] += added;
    out->core[axis] = parts;
}

// The only use of the result is a conversion: the parts can be read in that layout at once.
static void absorb_convert(lowering *l, kg_op *reduction)
{
    kg_value *result = reduction->results[0];
    kg_use *use = result->id >= 0 && result->id < l->n_values ? l->uses[result->id] : NULL;
    if (!use || use->next || use->op->code != KG_OP_CONVERT || use->op->parent != reduction->parent)
        return;
    kg_value *wanted = use->op->results[0];
    if (wanted->layout->bits[KG_IN_REG] + 5 > KG_MAX_BITS) return;
    result->layout = wanted->layout;
    kg_replace_uses(l->kernel, wanted, result);
    kg_op_remove(use->op);
}

static void lower_reduction(lowering *l, kg_op *op)
{
    kg_value *operand = op->operands[0];
    int axis = (int)kg_op_int(op, KG_A_AXIS, 0);
    int bits = warp_bits_along(operand->layout, axis);
    if (!bits || kg_op_attr(op, KG_A_PARTIAL)) return;
    if (op->results[0]->type.rank) absorb_convert(l, op);
    kg_op *partial = kg_op_new(l->kernel, op->code, op->loc, 1, &operand);
    kg_op_set_int(l->kernel, partial, KG_A_AXIS, axis);
    kg_op_set_int(l->kernel, partial, KG_A_PARTIAL, 1 << bits);
    kg_type type = operand->type;
    type.dims[axis] = 1 << bits;
    kg_layout parts, gathered, scalar = {0};
    layout_of_parts(operand->layout, axis, &parts);
    const kg_layout *wanted = op->results[0]->layout;
    if (!op->results[0]->type.rank) { // every thread gets the scalar
        kg_layout_slice(operand->layout, axis, &scalar);
        wanted = &scalar;
    }
    layout_of_gathered(wanted, axis, 1 << bits, &gathered);
    kg_block_insert_before(op, partial);
    kg_value *part = kg_op_result(l->kernel, partial, type, NULL);
    part->layout = keep(l, &parts);
    kg_value *buffer = build_scratch(l, op, &type);
    build_store(l, op, buffer, part);
    kg_op_set_operand(op, 0, build_load(l, op, buffer, keep(l, &gathered)));
}

// ---- fetch_add ----------------------------------------------------------------------------------

// One thread learns the old value; a cell hands it to all.
static void lower_fetch_add(lowering *l, kg_op *op)
{
    if (op->n_operands > 2) return;
    kg_type type = {.dtype = KG_I32, .home = KG_HOME_SHARED, .rank = 1, .dims = {1}};
    kg_value *cell = build_scratch(l, op, &type);
    kg_value **operands = KG_NEW_ARRAY(l->arena, kg_value *, 3);
    memcpy(operands, op->operands, sizeof *operands * 2);
    operands[2] = cell;
    op->operands = operands;
    op->n_operands = 3;
    kg_op *after = kg_op_new(l->kernel, KG_OP_CONST, op->loc, 0, NULL);
    kg_op_set_int(l->kernel, after, KG_A_VALUE_INT, 0);
    kg_op_set_dtype(l->kernel, after, KG_A_DTYPE, KG_I32);
    kg_value *zero = kg_op_result(l->kernel, after, (kg_type){.dtype = KG_I32}, NULL);
    kg_block_insert_after(op, after);
    kg_op *view = kg_op_new(l->kernel, KG_OP_VIEW, op->loc, 2, (kg_value *[]){cell, zero});
    kg_op_set_ints(l->kernel, view, KG_A_INDEX, 1, (int64_t[]){KG_INDEX_AT});
    kg_op_set_ints(l->kernel, view, KG_A_EXTENT, 1, (int64_t[]){1});
    kg_value *at =
        kg_op_result(l->kernel, view, (kg_type){.dtype = KG_I32, .home = KG_HOME_SHARED}, NULL);
    kg_block_insert_after(after, view);
    kg_op *load = kg_op_new(l->kernel, KG_OP_LOAD, op->loc, 1, &at);
    kg_value *old = kg_op_result(l->kernel, load, (kg_type){.dtype = KG_I32}, op->results[0]->name);
    kg_block_insert_after(view, load);
    kg_replace_uses(l->kernel, op->results[0], old);
    op->results[0]->name = NULL;
}

static void lower_block(lowering *l, kg_block *block)
{
    for (kg_op *op = block->first, *next; op; op = next) {
        if (kg_op_info_of(op->code)->cls == KG_CLASS_R && op->operands[0]->layout)
            lower_reduction(l, op); // may take up a conversion behind it
        next = op->next;
        for (int i = 0; i < op->n_blocks; i++) lower_block(l, op->blocks[i]);
        if (op->code == KG_OP_CONVERT) lower_convert(l, op);
        if (op->code == KG_OP_FETCH_ADD) lower_fetch_add(l, op);
    }
}

bool kg_pass_lower(kg_pass_context *context, kg_kernel *kernel)
{
    lowering l = {.arena = context->arena, .kernel = kernel};
    l.uses = kg_uses_collect(context->arena, kernel, &l.n_values);
    lower_block(&l, kernel->body);
    kg_remove_dead(context->arena, kernel);
    kg_lower_shared(context, kernel);
    kernel->level = KG_LEVEL_LAID_OUT;
    return true;
}
