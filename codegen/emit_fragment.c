// SPDX-License-Identifier: MIT
// Fragments as registers: coordinates of a thread's elements, and moves between layouts.
//
// A move is solved over GF(2). The wanted element of a thread is where its own register and lane
// bits put it; each thread bit of the target is written as register bits and lane bits of the
// source. Register bits that depend on the thread become selects, lane bits that differ become
// shuffles.
#include "codegen/emit.h"

// -- coordinates ----------------------------------------------------------------------------------

static int log2_of(uint32_t value)
{
    return 31 - __builtin_clz(value);
}

static bool one_hot(int32_t value)
{
    return value > 0 && (value & (value - 1)) == 0;
}

// Bits from..from+length-1 of the thread's number, moved to `to`.
static cg_value thread_bits(kg_emit *e, int from, int length, int to)
{
    struct cg_module *m = e->m;
    cg_value t = e->region_thread;
    uint32_t field = ((UINT32_C(1) << length) - 1) << from;
    bool top = (INT64_C(1) << (from + length)) >= 32 * (int64_t)e->region.n_warps;
    bool bottom = from == 0;
    if (to < from) {
        t = cg_lshr(m, t, cg_i32(m, from - to));
        return top && to == 0 ? t : cg_and(m, t, cg_i32(m, (int32_t)(field >> (from - to))));
    }
    if (!(top && bottom)) t = cg_and(m, t, cg_i32(m, (int32_t)field));
    return to > from ? cg_shl(m, t, cg_i32(m, to - from)) : t;
}

static void part_xor(kg_emit *e, emit_part *part, cg_value value, uint32_t mask)
{
    if (part->value)
        part->value =
            part->mask & mask ? cg_xor(e->m, part->value, value) : cg_or(e->m, part->value, value);
    else
        part->value = value;
    part->mask |= mask;
}

static void build_part(kg_emit *e, const int32_t *basis, int count, emit_part *part)
{
    for (int i = 0; i < count;) {
        int length = 1;
        if (!basis[i]) {
            i++;
            continue;
        }
        if (one_hot(basis[i])) {
            while (i + length < count && basis[i + length] == basis[i] << length) length++;
            int to = log2_of((uint32_t)basis[i]);
            part_xor(e, part, thread_bits(e, i, length, to), ((UINT32_C(1) << length) - 1) << to);
        } else { // one thread bit that moves several coordinate bits
            cg_value bit = thread_bits(e, i, 1, 0);
            part_xor(e, part, cg_and(e->m, cg_neg(e->m, bit), cg_i32(e->m, basis[i])),
                     (uint32_t)basis[i]);
        }
        i += length;
    }
}

emit_part emit_linear_part(kg_emit *e, const int32_t *lane, int n_lane, const int32_t *warp,
                           int n_warp)
{
    emit_cached_part entry = {.first_warp = e->region.first_warp, .part.linear = true};
    int32_t basis[10] = {0};
    memcpy(entry.part.lane, lane, sizeof(int32_t) * (size_t)n_lane);
    memcpy(entry.part.warp, warp, sizeof(int32_t) * (size_t)n_warp);
    for (int i = e->parts.count - 1; i >= 0; i--) {
        const emit_cached_part *held = &e->parts.items[i];
        if (held->first_warp == entry.first_warp &&
            !memcmp(held->part.lane, entry.part.lane, sizeof basis / 2) &&
            !memcmp(held->part.warp, entry.part.warp, sizeof basis / 2))
            return held->part;
    }
    memcpy(basis, entry.part.lane, sizeof entry.part.lane);
    memcpy(basis + 5, entry.part.warp, sizeof entry.part.warp);
    cg_block here = cg_detour_begin(e->m, e->region_start);
    build_part(e, basis, 10, &entry.part);
    cg_detour_end(e->m, here);
    KG_PUSH(e->arena, &e->parts, entry);
    return entry.part;
}

emit_part emit_layout_part(kg_emit *e, const kg_layout *layout, int d)
{
    int32_t lane[5] = {0}, warp[5] = {0};
    for (int i = 0; i < layout->bits[KG_IN_LANE] && i < 5; i++)
        lane[i] = layout->basis[KG_IN_LANE][i][d];
    for (int i = 0; i < layout->bits[KG_IN_WARP] && i < 5; i++)
        warp[i] = layout->basis[KG_IN_WARP][i][d];
    return emit_linear_part(e, lane, 5, warp, 5);
}

cg_value emit_part_value(kg_emit *e, emit_part part)
{
    return part.value ? part.value : cg_i32(e->m, 0);
}

cg_value emit_coordinate(kg_emit *e, const kg_layout *layout, int d, int reg)
{
    int32_t coord[KG_MAX_RANK];
    emit_part part = emit_layout_part(e, layout, d);
    kg_layout_coord(layout, reg, 0, 0, coord);
    cg_value constant = cg_i32(e->m, coord[d]);
    if (!part.value || !coord[d]) return part.value ? part.value : constant;
    return part.mask & (uint32_t)coord[d] ? cg_xor(e->m, part.value, constant)
                                          : cg_add(e->m, part.value, constant);
}

// -- the equations --------------------------------------------------------------------------------

enum { MAX_COLUMNS = 32, LANE_SHIFT = 32 };

// The source: columns are register bits (bits 0.. of a combination), power-of-two parts of the
// repetitions (next bits), lane bits (from LANE_SHIFT on).
typedef struct source {
    const kg_layout *layout;
    int32_t core[KG_MAX_RANK];  // of the enlarged core
    int32_t inner[KG_MAX_RANK]; // repetitions inside it
    int registers;              // columns of registers, repetitions included
    int column_dim[MAX_COLUMNS];
    uint64_t rows[64];    // echelon form: rows[i] has i as its highest bit
    uint64_t made_of[64]; // of which columns
} source;

static uint64_t pack(const source *s, const int32_t *coord)
{
    uint64_t out = 0;
    for (int d = 0; d < s->layout->rank; d++)
        out = out * (uint64_t)s->core[d] + ((uint64_t)coord[d] & (uint64_t)(s->core[d] - 1));
    return out;
}

// Writes a vector by columns; false when it is not in their span.
static bool solve(const source *s, uint64_t vector, uint64_t *combination)
{
    *combination = 0;
    for (int bit = 63; bit >= 0 && vector; bit--)
        if ((vector >> bit & 1) && s->rows[bit]) {
            vector ^= s->rows[bit];
            *combination ^= s->made_of[bit];
        }
    return vector == 0;
}

static void add_column(source *s, uint64_t vector, int column)
{
    uint64_t combination = UINT64_C(1) << column;
    for (int bit = 63; bit >= 0 && vector; bit--) {
        if (!(vector >> bit & 1)) continue;
        if (!s->rows[bit]) {
            s->rows[bit] = vector;
            s->made_of[bit] = combination;
            return;
        }
        vector ^= s->rows[bit];
        combination ^= s->made_of[bit];
    }
}

static void add_registers(source *s)
{
    const kg_layout *layout = s->layout;
    for (int bit = 0; bit < layout->bits[KG_IN_REG]; bit++)
        add_column(s, pack(s, layout->basis[KG_IN_REG][bit]), s->registers++);
    for (int d = 0; d < layout->rank; d++)
        for (int32_t step = layout->core[d]; step < s->core[d]; step *= 2) {
            int32_t coord[KG_MAX_RANK] = {0};
            coord[d] = step;
            s->column_dim[s->registers] = d;
            add_column(s, pack(s, coord), s->registers++);
        }
}

static void open_source(source *s, const kg_layout *layout)
{
    memset(s, 0, sizeof *s);
    s->layout = layout;
    for (int d = 0; d < layout->rank; d++) {
        s->inner[d] = layout->reps[d] & -layout->reps[d];
        s->core[d] = layout->core[d] * s->inner[d];
    }
    add_registers(s);
}

// The register named by a combination and the repetition that a coordinate lies in.
static int physical(const source *s, uint64_t combination, const int32_t *coord)
{
    const kg_layout *layout = s->layout;
    int core_bits = layout->bits[KG_IN_REG], repetition = 0;
    int32_t digit[KG_MAX_RANK] = {0}, weight[KG_MAX_RANK];
    for (int d = 0; d < layout->rank; d++) {
        digit[d] = coord[d] / s->core[d] * s->inner[d];
        weight[d] = 1;
    }
    for (int column = core_bits; column < s->registers; column++) {
        int d = s->column_dim[column];
        if (combination >> column & 1) digit[d] += weight[d];
        weight[d] *= 2;
    }
    for (int d = 0; d < layout->rank; d++) repetition = repetition * layout->reps[d] + digit[d];
    return (repetition << core_bits) + (int)(combination & ((UINT64_C(1) << core_bits) - 1));
}

// -- the exchange ---------------------------------------------------------------------------------

typedef struct exchange {
    kg_emit *e;
    source from;
    const cg_value *registers;
    int n_registers;
    uint32_t lane_registers[5],
        warp_registers[5];                // register columns that a thread bit of the target moves
    int32_t lane_lanes[5], warp_lanes[5]; // source lane bits that it moves
    bool moves;                           // some lane reads from another even for a constant 0
    uint32_t span[MAX_COLUMNS];           // reduced basis of what lane_ and warp_registers reach
    cg_value condition[MAX_COLUMNS];      // is that basis vector part of it in this thread
    int n_span;
    cg_value lane;      // source lane for the constant 0
    cg_value *shuffled; // [register][constant of the lane], made on demand
} exchange;

static bool fits_core(const source *s, const int32_t *coord)
{
    for (int d = 0; d < s->layout->rank; d++)
        if (coord[d] >= s->core[d]) return false;
    return true;
}

// One thread bit of the target: as registers alone if the lane can stay, else as registers and
// lanes.
static bool solve_thread_bit(exchange *x, const source *with_lanes, const int32_t *wanted,
                             const int32_t *own, int32_t own_lane, uint32_t *registers,
                             int32_t *lanes)
{
    uint64_t combination, goal = pack(&x->from, wanted);
    if (!fits_core(&x->from, wanted)) return false;
    if (solve(&x->from, goal ^ pack(&x->from, own), &combination)) {
        *registers = (uint32_t)combination;
        *lanes = own_lane;
        return true;
    }
    // A warp cannot read from another: its own part stays, whatever the lanes do.
    if (!solve(with_lanes, own_lane ? goal : goal ^ pack(&x->from, own), &combination))
        return false;
    *registers = (uint32_t)combination;
    *lanes = (int32_t)(combination >> LANE_SHIFT);
    return true;
}

static bool solve_threads(exchange *x, const source *with_lanes, const emit_wanted *wanted)
{
    static const int32_t nowhere[KG_MAX_RANK] = {0};
    const kg_layout *from = x->from.layout;
    for (int i = 0; i < 5; i++) {
        const int32_t *own = i < from->bits[KG_IN_LANE] ? from->basis[KG_IN_LANE][i] : nowhere;
        if (!solve_thread_bit(x, with_lanes, wanted->lane[i], own, 1 << i, &x->lane_registers[i],
                              &x->lane_lanes[i]))
            return false;
        x->moves |= x->lane_lanes[i] != 1 << i;
    }
    for (int i = 0; i < 5; i++) {
        const int32_t *own = i < from->bits[KG_IN_WARP] ? from->basis[KG_IN_WARP][i] : nowhere;
        if (!solve_thread_bit(x, with_lanes, wanted->warp[i], own, 0, &x->warp_registers[i],
                              &x->warp_lanes[i]))
            return false;
        x->moves |= x->warp_lanes[i] != 0;
    }
    return true;
}

// Adds a vector to the reduced basis: every basis vector has a lowest bit that no other one has.
static void span_add(exchange *x, uint32_t vector)
{
    for (int i = 0; i < x->n_span; i++)
        if (vector & x->span[i] & -x->span[i]) vector ^= x->span[i];
    if (!vector) return;
    for (int i = 0; i < x->n_span; i++)
        if (x->span[i] & vector & -vector) x->span[i] ^= vector;
    x->span[x->n_span++] = vector;
}

static void find_conditions(exchange *x)
{
    struct cg_module *m = x->e->m;
    for (int i = 0; i < 5; i++) span_add(x, x->lane_registers[i]);
    for (int i = 0; i < 5; i++) span_add(x, x->warp_registers[i]);
    // The pivots by themselves decide, so only they are computed.
    for (int k = 0; k < x->n_span; k++) {
        uint32_t pivot = x->span[k] & -x->span[k];
        int32_t lane[5], warp[5];
        for (int i = 0; i < 5; i++) {
            lane[i] = (x->lane_registers[i] & pivot) != 0;
            warp[i] = (x->warp_registers[i] & pivot) != 0;
        }
        emit_part part = emit_linear_part(x->e, lane, 5, warp, 5);
        x->condition[k] = cg_ne(m, emit_part_value(x->e, part), cg_i32(m, 0));
    }
}

static cg_value read_lane(exchange *x, int reg, int lane_constant)
{
    struct cg_module *m = x->e->m;
    cg_value *held = &x->shuffled[reg * 32 + lane_constant];
    if (!x->moves && !lane_constant) return x->registers[reg];
    if (*held) return *held;
    if (!x->moves) // every lane reads from the one that differs by a constant
        return *held = emit_shuffle(x->e, CG_PTX_SHFL_BFLY, x->registers[reg],
                                    cg_i32(m, lane_constant));
    cg_value lane = lane_constant ? cg_xor(m, x->lane, cg_i32(m, lane_constant)) : x->lane;
    return *held = emit_shuffle(x->e, CG_PTX_SHFL_IDX, x->registers[reg], lane);
}

// The element at a register combination that the first `level` basis vectors of the span still
// change.
static cg_value select_register(exchange *x, uint64_t combination, const int32_t *coord,
                                int lane_constant, int level)
{
    if (level == 0) return read_lane(x, physical(&x->from, combination, coord), lane_constant);
    cg_value otherwise = select_register(x, combination, coord, lane_constant, level - 1);
    cg_value then =
        select_register(x, combination ^ x->span[level - 1], coord, lane_constant, level - 1);
    return cg_select(x->e->m, x->condition[level - 1], then, otherwise);
}

static cg_value *run_exchange(exchange *x, const source *with_lanes, const emit_wanted *wanted)
{
    kg_emit *e = x->e;
    cg_value *out = emit_new_registers(e, wanted->count);
    x->shuffled = emit_new_registers(e, x->n_registers * 32);
    for (int r = 0; r < wanted->count; r++) {
        uint64_t combination, vector = pack(&x->from, wanted->coord[r]);
        if (!solve(&x->from, vector, &combination) && !solve(with_lanes, vector, &combination))
            return NULL;
        out[r] = select_register(x, combination & UINT32_MAX, wanted->coord[r],
                                 (int)(combination >> LANE_SHIFT), x->n_span);
    }
    return out;
}

cg_value *emit_exchange(kg_emit *e, const kg_layout *from, const cg_value *registers,
                        const emit_wanted *wanted)
{
    exchange x = {.e = e, .registers = registers, .n_registers = kg_layout_registers(from)};
    open_source(&x.from, from);
    source with_lanes = x.from;
    for (int i = 0; i < from->bits[KG_IN_LANE]; i++)
        add_column(&with_lanes, pack(&with_lanes, from->basis[KG_IN_LANE][i]), LANE_SHIFT + i);
    cg_value *out = NULL;
    if (solve_threads(&x, &with_lanes, wanted)) {
        find_conditions(&x);
        if (x.moves)
            x.lane = emit_part_value(e, emit_linear_part(e, x.lane_lanes, 5, x.warp_lanes, 5));
        out = run_exchange(&x, &with_lanes, wanted);
    }
    if (!out)
        emit_error(e, KG_D_L301, "elements would have to move between warps without shared memory");
    return out;
}

void emit_wanted_layout(kg_emit *e, const kg_layout *layout, emit_wanted *out)
{
    memset(out, 0, sizeof *out);
    out->rank = layout->rank;
    out->count = kg_layout_registers(layout);
    out->coord = kg_arena_alloc(e->arena, sizeof *out->coord * (size_t)out->count);
    for (int r = 0; r < out->count; r++) kg_layout_coord(layout, r, 0, 0, out->coord[r]);
    for (int i = 0; i < 5; i++)
        for (int d = 0; d < layout->rank; d++) {
            if (i < layout->bits[KG_IN_LANE]) out->lane[i][d] = layout->basis[KG_IN_LANE][i][d];
            if (i < layout->bits[KG_IN_WARP]) out->warp[i][d] = layout->basis[KG_IN_WARP][i][d];
        }
}

cg_value *emit_convert(kg_emit *e, const kg_layout *from, const kg_layout *to,
                       const cg_value *registers)
{
    emit_wanted wanted;
    if (from == to || kg_layout_equal(from, to)) {
        cg_value *same = emit_new_registers(e, kg_layout_registers(to));
        memcpy(same, registers, sizeof *same * (size_t)kg_layout_registers(to));
        return same;
    }
    emit_wanted_layout(e, to, &wanted);
    return emit_exchange(e, from, registers, &wanted);
}

cg_value *emit_read_as(kg_emit *e, kg_value *value, const kg_layout *layout, int count)
{
    cg_value *held = emit_read(e, value);
    if (value->type.rank == 0 && (layout || count > 1)) {
        cg_value *out = emit_new_registers(e, count);
        for (int i = 0; i < count; i++) out[i] = held[0];
        return out;
    }
    if (!layout || !value->layout || layout == value->layout ||
        kg_layout_equal(layout, value->layout))
        return held;
    return emit_convert(e, value->layout, layout, held);
}

// -- shuffles of any type -------------------------------------------------------------------------

static cg_value shuffle_word(kg_emit *e, enum cg_ptx_id id, cg_value word, cg_value selector)
{
    cg_value arguments[] = {word, selector, cg_i32(e->m, 31), cg_i32(e->m, -1)};
    return cg_template1(e->m, id, arguments, 4, NULL);
}

static cg_value shuffle_pair(kg_emit *e, enum cg_ptx_id id, cg_value value, cg_value selector)
{
    struct cg_module *m = e->m;
    cg_type type = cg_type_of(m, value), pair = CG_VECTOR(CG_I32, 2);
    cg_value words = cg_bitcast(m, value, pair), moved[2];
    for (unsigned i = 0; i < 2; i++) moved[i] = shuffle_word(e, id, cg_lane(m, words, i), selector);
    return cg_bitcast(m, cg_pack(m, pair, moved), type);
}

cg_value emit_shuffle(kg_emit *e, enum cg_ptx_id id, cg_value value, cg_value selector)
{
    static const cg_type same_size[] = {[8] = CG_I8, [16] = CG_I16};
    struct cg_module *m = e->m;
    cg_type type = cg_type_of(m, value);
    unsigned bits = cg_type_bits(type);
    if (bits == 64) return shuffle_pair(e, id, value, selector);
    if (bits == 32) return cg_bitcast(m, shuffle_word(e, id, value, selector), type);
    if (bits == 1)
        return cg_trunc(m, shuffle_word(e, id, cg_zext(m, value, CG_I32), selector), CG_I1);
    if (bits != 8 && bits != 16) return NULL;
    cg_value small = cg_bitcast(m, value, same_size[bits]);
    cg_value moved = shuffle_word(e, id, cg_zext(m, small, CG_I32), selector);
    return cg_bitcast(m, cg_trunc(m, moved, same_size[bits]), type);
}

// -- ops that only rename -------------------------------------------------------------------------

static void emit_iota(kg_emit *e, kg_op *op)
{
    kg_value *result = op->results[0];
    int axis = (int)kg_op_int(op, KG_A_AXIS, 0), count = emit_register_count(result);
    cg_value *out = emit_new_registers(e, count);
    for (int r = 0; r < count; r++) {
        cg_value index = emit_coordinate(e, result->layout, axis, r);
        emit_cast(e, KG_I32, result->type.dtype, &index, 1, &out[r]);
    }
    emit_define(e, result, out);
}

// Which dimension of the operand each dimension of the result comes from; -1: from none.
static void operand_dims(const kg_op *op, int *dim)
{
    const kg_type *from = &op->operands[0]->type, *to = &op->results[0]->type;
    const kg_attr *perm = kg_op_attr(op, KG_A_PERM);
    int axis = (int)kg_op_int(op, KG_A_AXIS, 0);
    for (int d = 0; d < to->rank; d++) {
        if (op->code == KG_OP_EXPAND)
            dim[d] = d == axis ? -1 : d - (d > axis);
        else if (op->code == KG_OP_TRANSPOSE)
            dim[d] = perm && d < perm->count ? (int)perm->ints[d] : to->rank - 1 - d;
        else
            dim[d] = d - (to->rank - from->rank);
        if (dim[d] >= 0 && from->dims[dim[d]] == 1) dim[d] = -1; // only coordinate 0 exists
    }
}

static void move_coord(int32_t *to, const int32_t *from, const int *dim, int rank)
{
    int32_t moved[KG_MAX_RANK] = {0};
    for (int d = 0; d < rank; d++)
        if (dim[d] >= 0) moved[dim[d]] = from[d];
    memcpy(to, moved, sizeof moved);
}

static void emit_renaming(kg_emit *e, kg_op *op)
{
    kg_value *operand = op->operands[0], *result = op->results[0];
    int count = emit_register_count(result), dim[KG_MAX_RANK];
    emit_wanted wanted;
    if (operand->type.rank == 0 || !operand->layout || !result->layout) {
        emit_define(e, result, emit_read_as(e, operand, result->layout, count));
        return;
    }
    emit_wanted_layout(e, result->layout, &wanted);
    operand_dims(op, dim);
    for (int r = 0; r < wanted.count; r++)
        move_coord(wanted.coord[r], wanted.coord[r], dim, result->type.rank);
    for (int i = 0; i < 5; i++) {
        move_coord(wanted.lane[i], wanted.lane[i], dim, result->type.rank);
        move_coord(wanted.warp[i], wanted.warp[i], dim, result->type.rank);
    }
    for (int r = 0; r < wanted.count && op->code == KG_OP_PART; r++)
        wanted.coord[r][kg_op_int(op, KG_A_AXIS, 0)] += (int32_t)kg_op_int(op, KG_A_FIRST, 0);
    wanted.rank = operand->type.rank;
    cg_value *out = emit_exchange(e, operand->layout, emit_read(e, operand), &wanted);
    emit_define(e, result, out ? out : emit_new_registers(e, count));
}

bool emit_fragment_op(kg_emit *e, kg_op *op)
{
    switch (op->code) {
    case KG_OP_IOTA:
        emit_iota(e, op);
        return true;
    case KG_OP_EXPAND:
    case KG_OP_PART:
    case KG_OP_BROADCAST:
    case KG_OP_TRANSPOSE:
    case KG_OP_CONVERT:
        emit_renaming(e, op);
        return true;
    default:
        return false;
    }
}
