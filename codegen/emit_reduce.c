// SPDX-License-Identifier: MIT
// Reductions and scans along an axis: registers of a thread first, then lanes of its warp, in an
// order that the layout alone decides, so the same kernel always gives the same bits.
//
// Needs: warps do not share the axis (pass lower saw to that), or PARTIAL, where each warp's part
// is kept. Half-precision sums are carried in f32 and rounded once.
#include "codegen/emit.h"

static kg_dtype carrier(kg_dtype dtype)
{
    return dtype == KG_F16 || dtype == KG_BF16 ? KG_F32 : dtype;
}

static cg_value *widen_all(kg_emit *e, kg_dtype dtype, const cg_value *in, int count)
{
    cg_value *out = emit_new_registers(e, count);
    emit_cast(e, dtype, carrier(dtype), in, count, out);
    return out;
}

static cg_value *narrow_all(kg_emit *e, kg_dtype dtype, const cg_value *in, int count)
{
    cg_value *out = emit_new_registers(e, count);
    emit_cast(e, carrier(dtype), dtype, in, count, out);
    return out;
}

// -- combining two elements -----------------------------------------------------------------------

// An element under reduction; argmax and argmin carry where it came from.
typedef struct item {
    cg_value value, index;
} item;

static bool is_arg(kg_opcode code)
{
    return code == KG_OP_ARGMAX || code == KG_OP_ARGMIN;
}

static kg_opcode combiner(kg_opcode code)
{
    switch (code) {
    case KG_OP_SUM:
    case KG_OP_CUMSUM:
        return KG_OP_ADD;
    case KG_OP_PROD:
    case KG_OP_CUMPROD:
        return KG_OP_MUL;
    case KG_OP_RMIN:
        return KG_OP_MIN;
    case KG_OP_ANY:
        return KG_OP_OR;
    case KG_OP_ALL:
        return KG_OP_AND;
    default:
        return KG_OP_MAX; // RMAX, CUMMAX
    }
}

// Is b to be taken instead of a? A NaN loses against everything. `ties`: of equals the lower index
// wins; else a.
static cg_value better(kg_emit *e, kg_opcode code, kg_dtype dtype, item a, item b, bool ties)
{
    struct cg_module *m = e->m;
    bool most = code == KG_OP_ARGMAX, floats = kg_dtype_info_of(dtype)->is_float;
    enum cg_compare_op op = floats ? (most ? CG_COMPARE_FGT : CG_COMPARE_FLT)
                                   : (most ? CG_COMPARE_SGT : CG_COMPARE_SLT);
    if (dtype == KG_I1) op = most ? CG_COMPARE_UGT : CG_COMPARE_ULT;
    cg_value wins = cg_compare(m, op, b.value, a.value);
    cg_value equal = floats ? cg_feq(m, a.value, b.value) : cg_eq(m, a.value, b.value);
    if (floats) {
        cg_value lost = cg_funordered(m, a.value, a.value), alive = cg_feq(m, b.value, b.value);
        wins = cg_or(m, wins, cg_and(m, lost, alive));
        equal = cg_or(m, equal, cg_and(m, lost, cg_not(m, alive)));
    }
    if (!ties) return wins;
    return cg_or(m, wins, cg_and(m, equal, cg_slt(m, b.index, a.index)));
}

static item combine(kg_emit *e, kg_opcode code, kg_dtype dtype, item a, item b, bool ties)
{
    if (!is_arg(code)) return (item){emit_binary(e, combiner(code), dtype, a.value, b.value), NULL};
    cg_value take = better(e, code, dtype, a, b, ties);
    return (item){cg_select(e->m, take, b.value, a.value), cg_select(e->m, take, b.index, a.index)};
}

// -- reductions -----------------------------------------------------------------------------------

typedef struct reduction {
    kg_emit *e;
    kg_opcode code;
    kg_dtype dtype; // carried
    const kg_layout *layout;
    int axis;
    int32_t lanes; // lane bits that move along the axis
} reduction;

// Lane bits along the axis must move along nothing else, and no warp bit may.
static bool check_bits(reduction *r, bool partial)
{
    const kg_layout *layout = r->layout;
    for (int in = KG_IN_LANE; in < KG_IN_COUNT; in++)
        for (int bit = 0; bit < layout->bits[in]; bit++) {
            bool along = layout->basis[in][bit][r->axis] != 0;
            for (int d = 0; along && d < layout->rank; d++)
                if (d != r->axis && layout->basis[in][bit][d])
                    return emit_error(r->e, KG_D_L301,
                                      "threads are spread diagonally over the reduced axis");
            if (along && in == KG_IN_LANE) r->lanes |= 1 << bit;
            if (along && in == KG_IN_WARP && !partial)
                return emit_error(r->e, KG_D_L301,
                                  "warps share the reduced axis without an exchange");
        }
    return true;
}

// Halves in turn, so that sums of many elements lose little.
static item tree(const reduction *r, item *items, int count)
{
    for (; count > 1; count = (count + 1) / 2) {
        for (int i = 0; i < count / 2; i++)
            items[i] = combine(r->e, r->code, r->dtype, items[2 * i], items[2 * i + 1], false);
        if (count & 1) items[count / 2] = items[count - 1];
    }
    return items[0];
}

static item across_lanes(const reduction *r, item x)
{
    kg_emit *e = r->e;
    for (int bit = 0; bit < 5; bit++) {
        if (!(r->lanes >> bit & 1)) continue;
        cg_value selector = cg_i32(e->m, 1 << bit);
        item other = {emit_shuffle(e, CG_PTX_SHFL_BFLY, x.value, selector), NULL};
        if (x.index) other.index = emit_shuffle(e, CG_PTX_SHFL_BFLY, x.index, selector);
        x = combine(e, r->code, r->dtype, x, other, true);
    }
    return x;
}

// Registers that differ from the first one only along the axis, in order along it.
static int group_of(const reduction *r, const int32_t (*coord)[KG_MAX_RANK], int count, int first,
                    int *members)
{
    int n = 0;
    for (int i = 0; i < count; i++) {
        bool same = true, seen = false;
        for (int d = 0; d < r->layout->rank; d++)
            same &= d == r->axis || coord[i][d] == coord[first][d];
        for (int k = 0; k < n; k++) seen |= coord[members[k]][r->axis] == coord[i][r->axis];
        if (!same || seen) continue;
        int at = n++;
        for (; at > 0 && coord[members[at - 1]][r->axis] > coord[i][r->axis]; at--)
            members[at] = members[at - 1];
        members[at] = i;
    }
    return n;
}

static item reduce_group(const reduction *r, const cg_value *in, const int *members, int n)
{
    item *items = KG_NEW_ARRAY(r->e->arena, item, n);
    for (int k = 0; k < n; k++)
        items[k] =
            (item){in[members[k]],
                   is_arg(r->code) ? emit_coordinate(r->e, r->layout, r->axis, members[k]) : NULL};
    return across_lanes(r, tree(r, items, n));
}

static int find_coord(const kg_layout *layout, int axis, const int32_t *coord, bool keeps_axis)
{
    int32_t at[KG_MAX_RANK] = {0};
    int rank = 0;
    for (int d = 0; d < layout->rank + !keeps_axis; d++)
        if (d != axis || keeps_axis) at[rank++] = d == axis ? 0 : coord[d];
    return kg_layout_find_register(layout, at);
}

// The registers of a partial result: each warp's part has the coordinate that the warp's bits give
// it.
static void place_partial(kg_emit *e, const reduction *r, kg_value *result, const int32_t *coord,
                          cg_value value, cg_value *out)
{
    int reg = find_coord(result->layout, r->axis, coord, true);
    if (reg < 0)
        emit_error(e, KG_D_L301, "the layout of a partial reduction does not follow its operand");
    else
        out[reg] = value;
}

static cg_value *fill_copies(const kg_layout *layout, cg_value *out)
{
    int count = kg_layout_registers(layout);
    int32_t coord[KG_MAX_RANK];
    for (int i = 0; i < count; i++)
        if (!out[i]) {
            kg_layout_coord(layout, i, 0, 0, coord);
            int first = kg_layout_find_register(layout, coord);
            out[i] = first >= 0 ? out[first] : NULL;
        }
    return out;
}

// Every group of registers is reduced once; `out` takes the results by the layout of the remaining
// dimensions.
static void reduce_groups(const reduction *r, const cg_value *in, kg_value *result,
                          const kg_layout *rest, bool partial, cg_value *out)
{
    kg_emit *e = r->e;
    int count = kg_layout_registers(r->layout);
    int *members = KG_NEW_ARRAY(e->arena, int, count);
    bool *done = KG_NEW_ARRAY(e->arena, bool, count);
    int32_t(*coord)[KG_MAX_RANK] = kg_arena_alloc(e->arena, sizeof *coord * (size_t)count);
    for (int i = 0; i < count; i++) kg_layout_coord(r->layout, i, 0, 0, coord[i]);
    for (int i = 0; i < count && !e->failed; i++) {
        if (done[i]) continue;
        int n = group_of(r, (const int32_t(*)[KG_MAX_RANK])coord, count, i, members);
        for (int k = i; k < count; k++) {
            bool same = true;
            for (int d = 0; d < r->layout->rank; d++)
                same &= d == r->axis || coord[k][d] == coord[i][d];
            done[k] |= same;
        }
        item x = reduce_group(r, in, members, n);
        cg_value value = is_arg(r->code) ? x.index : x.value;
        int reg = partial || !rest ? 0 : find_coord(rest, r->axis, coord[i], false);
        if (partial)
            place_partial(e, r, result, coord[i], value, out);
        else if (reg >= 0)
            out[reg] = value;
    }
}

void emit_reduce(kg_emit *e, kg_op *op)
{
    kg_value *operand = op->operands[0], *result = op->results[0];
    kg_dtype dtype = operand->type.dtype, out_type = result->type.dtype;
    bool partial = kg_op_int(op, KG_A_PARTIAL, 0) != 0, scalar = result->type.rank == 0;
    reduction r = {e, op->code, carrier(dtype), operand->layout, (int)kg_op_int(op, KG_A_AXIS, 0),
                   0};
    cg_value *in = emit_read(e, operand);
    emit_define(e, result, emit_new_registers(e, emit_register_count(result)));
    if (!operand->layout) { // one element
        if (is_arg(op->code))
            e->values[result->id][0] = cg_i32(e->m, 0);
        else
            e->values[result->id][0] = in[0];
        return;
    }
    if (!check_bits(&r, partial)) return;
    kg_layout rest;
    kg_layout_slice(operand->layout, r.axis, &rest);
    const kg_layout *made = partial ? result->layout : &rest;
    int count = scalar ? 1 : kg_layout_registers(made);
    cg_value *out = emit_new_registers(e, count);
    reduce_groups(&r, widen_all(e, dtype, in, kg_layout_registers(r.layout)), result,
                  scalar ? NULL : made, partial, out);
    if (e->failed) return;
    if (!scalar) fill_copies(made, out);
    if (!is_arg(op->code)) out = narrow_all(e, out_type, out, count);
    emit_define(e, result, scalar || partial ? out : emit_convert(e, &rest, result->layout, out));
}

// -- scans ----------------------------------------------------------------------------------------

// The bits of the coordinate along the axis, lowest first, each made by one register or lane bit.
typedef struct axis_bit {
    kg_layout_in in;
    int bit;
} axis_bit;

typedef struct scan {
    reduction r;
    axis_bit bits[KG_MAX_BITS];
    int n_bits;
    cg_value *x;
    int count;
} scan;

static bool find_axis_bits(scan *s)
{
    const kg_layout *layout = s->r.layout;
    for (int32_t step = 1; step < layout->core[s->r.axis]; step *= 2) {
        bool found = false;
        for (int in = KG_IN_REG; in <= KG_IN_LANE; in++)
            for (int bit = 0; bit < layout->bits[in]; bit++) {
                bool pure = layout->basis[in][bit][s->r.axis] == step;
                for (int d = 0; d < layout->rank; d++)
                    pure &= d == s->r.axis || !layout->basis[in][bit][d];
                if (pure && !found) s->bits[s->n_bits++] = (axis_bit){(kg_layout_in)in, bit};
                found |= pure;
            }
        if (!found)
            return emit_error(s->r.e, KG_D_L301,
                              "no layout for a scan: the axis is not in one warp's order");
    }
    return true;
}

// Register and lane masks of the lowest `n` axis bits.
static void masks_below(const scan *s, int n, int *registers, int32_t *lanes)
{
    *registers = 0;
    *lanes = 0;
    for (int i = 0; i < n; i++) {
        if (s->bits[i].in == KG_IN_REG)
            *registers |= 1 << s->bits[i].bit;
        else
            *lanes |= 1 << s->bits[i].bit;
    }
}

static cg_value from_lane(kg_emit *e, cg_value value, int32_t set, int32_t clear)
{
    struct cg_module *m = e->m;
    cg_value lane = e->lane;
    if (!set && !clear) return value;
    if (clear) lane = cg_and(m, lane, cg_i32(m, ~clear));
    if (set) lane = cg_or(m, lane, cg_i32(m, set));
    return emit_shuffle(e, CG_PTX_SHFL_IDX, value, lane);
}

// Doubling: the upper half of each block of 2^(k+1) takes on the last element of the lower half.
static void scan_step(scan *s, int k)
{
    kg_emit *e = s->r.e;
    struct cg_module *m = e->m;
    int below_registers;
    int32_t below_lanes;
    bool by_register = s->bits[k].in == KG_IN_REG;
    int bit = 1 << s->bits[k].bit;
    cg_value *source = emit_new_registers(e, s->count), *next = emit_new_registers(e, s->count);
    masks_below(s, k, &below_registers, &below_lanes);
    cg_value upper =
        by_register ? NULL : cg_ne(m, cg_and(m, e->lane, cg_i32(m, bit)), cg_i32(m, 0));
    for (int i = 0; i < s->count; i++) {
        next[i] = s->x[i];
        if (by_register && !(i & bit)) continue;
        int from = (by_register ? i & ~bit : i) | below_registers;
        if (!source[from])
            source[from] = from_lane(e, s->x[from], below_lanes, by_register ? 0 : bit);
        cg_value sum = emit_binary(e, combiner(s->r.code), s->r.dtype, source[from], s->x[i]);
        next[i] = by_register ? sum : cg_select(m, upper, sum, s->x[i]);
    }
    s->x = next;
}

// Repetitions follow each other: each takes on the last element of the one before.
static void scan_repetitions(scan *s)
{
    kg_emit *e = s->r.e;
    const kg_layout *layout = s->r.layout;
    int core = 1 << layout->bits[KG_IN_REG], inner = 1, all_registers;
    int32_t all_lanes;
    for (int d = s->r.axis + 1; d < layout->rank; d++) inner *= layout->reps[d];
    masks_below(s, s->n_bits, &all_registers, &all_lanes);
    cg_value *carry = emit_new_registers(e, s->count);
    for (int i = 0; i < s->count; i++) {
        int repetition = i / core;
        if (repetition / inner % layout->reps[s->r.axis] == 0) continue;
        int last = (i - inner * core) | all_registers;
        if (!carry[last]) carry[last] = from_lane(e, s->x[last], all_lanes, 0);
        s->x[i] = emit_binary(e, combiner(s->r.code), s->r.dtype, carry[last], s->x[i]);
    }
}

void emit_scan(kg_emit *e, kg_op *op)
{
    kg_value *operand = op->operands[0], *result = op->results[0];
    kg_dtype dtype = operand->type.dtype;
    scan s = {
        .r = {e, op->code, carrier(dtype), operand->layout, (int)kg_op_int(op, KG_A_AXIS, 0), 0}};
    cg_value *in = emit_read(e, operand);
    emit_define(e, result, emit_new_registers(e, emit_register_count(result)));
    if (!operand->layout || !find_axis_bits(&s)) return;
    s.count = kg_layout_registers(operand->layout);
    s.x = widen_all(e, dtype, in, s.count);
    for (int k = 0; k < s.n_bits; k++) scan_step(&s, k);
    scan_repetitions(&s);
    cg_value *out = narrow_all(e, dtype, s.x, s.count);
    emit_define(e, result, emit_convert(e, operand->layout, result->layout, out));
}
