// SPDX-License-Identifier: MIT
// Weighing layouts: a count of what each op around a class would issue per warp, in units of about
// one issue slot. The figures are rough on purpose; what matters is the order of magnitude between
// a register move, a shuffle, a sector of global memory and an exchange between warps.
#include "passes/layout_internal.h"
#include <string.h>

enum {
    SHUFFLE = 4,        // one lane exchange with its use
    WARP_EXCHANGE = 80, // store, barrier, load
    MMA_STEP = 8,       // one m16n8k16
    REGISTERS = 128,    // a tile above this crowds out the rest
    NEVER = 1 << 28
};

// How a layout spreads each dimension.
typedef struct profile {
    int total;                   // registers a thread
    int regs[KG_MAX_RANK];       // registers along a dimension
    int lanes[KG_MAX_RANK];      // lane bits
    int warps[KG_MAX_RANK];      // warp bits
    int vec[KG_MAX_RANK];        // consecutive elements in a thread
    int contiguous[KG_MAX_RANK]; // consecutive elements in a warp
    int lane_bits;               // that move at all
} profile;

static bool has_step(const kg_layout *layout, int in, int d, int32_t step)
{
    for (int bit = 0; bit < layout->bits[in]; bit++)
        if (layout->basis[in][bit][d] == step) return true;
    return false;
}

static int count_bits(const kg_layout *layout, int in, int d)
{
    int count = 0;
    for (int bit = 0; bit < layout->bits[in]; bit++) count += layout->basis[in][bit][d] != 0;
    return count;
}

static void profile_of(const kg_layout *layout, profile *out)
{
    memset(out, 0, sizeof *out);
    out->total = kg_layout_registers(layout);
    for (int d = 0; d < layout->rank; d++) {
        out->regs[d] = layout->reps[d] << count_bits(layout, KG_IN_REG, d);
        out->lanes[d] = count_bits(layout, KG_IN_LANE, d);
        out->warps[d] = count_bits(layout, KG_IN_WARP, d);
        out->lane_bits += out->lanes[d];
        int32_t step = 1;
        for (; has_step(layout, KG_IN_REG, d, step); step *= 2)
            ;
        out->vec[d] = step;
        for (; has_step(layout, KG_IN_LANE, d, step); step *= 2)
            ;
        out->contiguous[d] = step;
    }
}

bool kg_layout_axis_spans_warps(const kg_layout *layout, int axis)
{
    return count_bits(layout, KG_IN_WARP, axis) > 0;
}

bool kg_needs_axis_in_warp(const kg_op *op)
{
    return kg_op_info_of(op->code)->cls == KG_CLASS_N || op->code == KG_OP_ARGMAX ||
           op->code == KG_OP_ARGMIN;
}

// ---- costs --------------------------------------------------------------------------------------

void kg_touch_memory(kg_layouts *ls, kg_touch *touch)
{
    kg_value *view = touch->op->operands[0];
    kg_view_info info;
    kg_view_resolve(view, &info);
    touch->global = info.root->type.home == KG_HOME_GLOBAL;
    touch->fast = -1;
    for (int d = 0; d < info.rank; d++) {
        int dim = info.dim[d];
        const kg_sexpr *stride = touch->global ? info.root->tensor->strides[dim] : NULL;
        bool unit = touch->global ? stride && stride->kind == KG_SX_INT && stride->value == 1
                                  : dim == info.root->type.rank - 1;
        if (unit && !info.gather[d]) touch->fast = (int8_t)d;
    }
    bool edge = touch->op->code != KG_OP_LOAD;
    int bytes = kg_view_vector_bytes(ls->kernel, view, edge || touch->global);
    int vec = bytes / kg_dtype_bytes(view->type.dtype);
    bool atomic = touch->op->code != KG_OP_LOAD && touch->op->code != KG_OP_STORE;
    touch->vec = (int8_t)(vec < 1 || atomic ? 1 : vec);
}

static int64_t memory_cost(const kg_touch *t, const profile *p)
{
    const kg_type *type = &t->op->operands[0]->type;
    int bytes = kg_dtype_bytes(type->dtype), last = type->rank - 1;
    int vec = last >= 0 && t->fast == last && p->vec[last] < t->vec ? p->vec[last] : t->vec;
    int64_t issues = p->total / vec ? p->total / vec : 1;
    int64_t moved = ((int64_t)vec * bytes) << p->lane_bits; // distinct bytes of a warp's access
    if (!t->global) return issues * (2 + (moved + 127) / 128);
    int64_t run = t->fast < 0 ? bytes : (int64_t)p->contiguous[t->fast] * bytes;
    int64_t sectors = run >= 32 ? moved / 32 : moved / (run ? run : 1);
    return issues * (2 + (sectors ? sectors : 1));
}

static int64_t along_axis_cost(const kg_touch *t, const profile *p)
{
    int axis = (int)kg_op_int(t->op, KG_A_AXIS, 0);
    int64_t kept = p->regs[axis] ? p->total / p->regs[axis] : p->total;
    if (kg_needs_axis_in_warp(t->op))
        return p->warps[axis] ? NEVER : p->total * 2 + kept * p->lanes[axis] * SHUFFLE * 2;
    return p->total + kept * p->lanes[axis] * SHUFFLE +
           (p->warps[axis] ? WARP_EXCHANGE + kept * 6 : 0);
}

// The smaller operand of a broadcast: its registers are loaded or computed once more for each copy.
static int64_t broadcast_cost(const kg_op *op, const profile *p)
{
    int64_t kept = 1;
    const kg_type *from = &op->operands[0]->type;
    for (int d = 0; d < from->rank; d++)
        if (from->dims[d] > 1) kept *= p->regs[d];
    return from->rank ? kept * 2 : 0;
}

static int64_t touch_cost(const kg_touch *t, const profile *p)
{
    const kg_op *op = t->op;
    switch (kg_op_info_of(op->code)->cls) {
    case KG_CLASS_M:
        return t->operand == -1 || t->operand == 1 ? memory_cost(t, p) : 0;
    case KG_CLASS_R:
        return t->operand == 0 ? along_axis_cost(t, p) : 0;
    case KG_CLASS_N:
        return t->operand == 0 ? along_axis_cost(t, p) : 0;
    default:
        break;
    }
    if (t->operand >= 0) return 0;
    return op->code == KG_OP_BROADCAST ? broadcast_cost(op, p) : p->total;
}

static int64_t class_cost(const kg_class *cls, const profile *p)
{
    int64_t cost = p->total > REGISTERS ? (int64_t)(p->total - REGISTERS) * 50 : 0;
    for (const kg_touch *t = cls->first; t; t = t->next) cost += touch_cost(t, p) * t->weight;
    return cost;
}

// ---- candidates ---------------------------------------------------------------------------------

typedef struct search {
    kg_layouts *ls;
    const kg_class *cls;
    kg_layout best;
    int64_t cost; // of best; negative: none yet
} search;

static void consider(search *s, const kg_layout *candidate)
{
    profile p;
    profile_of(candidate, &p);
    int64_t cost = class_cost(s->cls, &p);
    if (s->cost >= 0 && cost >= s->cost) return;
    s->cost = cost;
    s->best = *candidate;
}

// All splits of the lanes between `fast` and the other axes; warps over `fast` first, or last.
static void consider_axis(search *s, int fast, int vec)
{
    const kg_type *type = &s->cls->type;
    int axes[KG_MAX_RANK + 1], others_first[KG_MAX_RANK], n = 0;
    axes[n++] = fast;
    for (int d = type->rank - 1; d >= 0; d--)
        if (d != fast) axes[n++] = d;
    for (int i = 0; i < n; i++) others_first[i] = axes[(i + 1) % n];
    axes[n] = fast; // a second turn, when the others are too short
    for (int bits = 5; bits >= (n > 1 ? 0 : 5); bits--)
        for (int order = 0; order < 3; order++) {
            kg_layout candidate;
            const int *warp_axes = order == 0 ? axes : others_first;
            int n_warp_axes =
                order == 2 ? n - 1 : n; // order 2: `fast` stays within a warp at any price
            kg_layout_spread(type->rank, type->dims, fast, vec, axes, n + 1, bits, warp_axes,
                             n_warp_axes, s->cls->warps, &candidate);
            consider(s, &candidate);
        }
}

const kg_layout *kg_layout_choose(kg_layouts *ls, const kg_class *cls)
{
    search s = {ls, cls, .cost = -1};
    for (int fast = cls->type.rank - 1; fast >= 0; fast--) {
        int vec = 0;
        for (const kg_touch *t = cls->first; t; t = t->next)
            if (kg_op_info_of(t->op->code)->cls == KG_CLASS_M && t->fast == fast && t->vec > vec)
                vec = t->vec;
        if (!vec && fast != cls->type.rank - 1) continue;
        consider_axis(&s, fast, vec ? vec : 1);
        if (vec >= 4) consider_axis(&s, fast, vec / 2);
        if (vec >= 2) consider_axis(&s, fast, 1);
    }
    return kg_layout_intern(ls, &s.best);
}

const kg_layout *kg_layout_within_warp(kg_layouts *ls, const kg_type *type, int axis, int warps)
{
    int lanes[KG_MAX_RANK], others[KG_MAX_RANK], n = 0, n_others = 0;
    kg_layout out;
    lanes[n++] = axis;
    for (int d = type->rank - 1; d >= 0; d--)
        if (d != axis) lanes[n++] = others[n_others++] = d;
    kg_layout_spread(type->rank, type->dims, axis, 1, lanes, n, 5, others, n_others, warps, &out);
    return kg_layout_intern(ls, &out);
}

const kg_layout *kg_layout_better_for_memory(kg_layouts *ls, kg_op *op, const kg_layout *now)
{
    kg_touch touch = {.op = op, .operand = op->n_results ? -1 : 1, .weight = 1};
    kg_class alone = {.type = op->operands[0]->type,
                      .warps = kg_op_region(op).n_warps,
                      .first = &touch,
                      .last = &touch};
    profile p, q;
    kg_touch_memory(ls, &touch);
    profile_of(now, &p);
    int64_t direct = memory_cost(&touch, &p);
    if (!touch.global || direct < 2 * WARP_EXCHANGE) return NULL;
    const kg_layout *best = kg_layout_choose(ls, &alone);
    profile_of(best, &q);
    // Through shared memory: one pass each way, vectors as far as each side has them, and a
    // barrier.
    int64_t detour = (int64_t)p.total * 3 + q.total * 2 + WARP_EXCHANGE;
    return memory_cost(&touch, &q) + detour < direct ? best : NULL;
}

// ---- dots ---------------------------------------------------------------------------------------

static bool is_product(const kg_op *op)
{
    return kg_op_info_of(op->code)->cls == KG_CLASS_D;
}

// A warpgroup's instruction has a layout of its own, and the others have no choice but to take it.
static kg_dot_kind class_dot_kind(const kg_class *cls)
{
    kg_dot_kind found = KG_DOT_FMA;
    for (const kg_touch *t = cls->first; t; t = t->next) {
        if (!is_product(t->op) || t->operand != -1) continue;
        kg_dot_kind kind = kg_dot_kind_of(t->op);
        if (kind == KG_DOT_WGMMA || found == KG_DOT_FMA) found = kind;
    }
    return found;
}

bool kg_layout_pays_in_place(kg_layouts *ls, const kg_class *cls, const kg_layout *wanted,
                             int64_t *cost)
{
    profile p, q;
    profile_of(wanted, &p);
    int64_t here = class_cost(cls, &p);
    profile_of(kg_layout_choose(ls, cls), &q);
    int32_t weight = cls->last->weight;
    int64_t elsewhere = class_cost(cls, &q) + (WARP_EXCHANGE + (int64_t)p.total + q.total) * weight;
    *cost = here <= elsewhere ? here : elsewhere;
    return here <= elsewhere;
}

// A fragment operand of the dot that has to be computed in its place, or to move there.
static int64_t operand_cost(kg_layouts *ls, const kg_op *dot, int i, const kg_layout *acc)
{
    const kg_value *value = dot->operands[i];
    kg_class *cls = kg_class_of(ls, value);
    kg_layout wanted;
    int64_t cost;
    if (!cls) return 0;
    if (i == 0)
        kg_layout_dot_a(kg_dot_kind_of(dot), acc, value->type.dims[1], &wanted);
    else
        kg_layout_dot_b(kg_dot_kind_of(dot), acc, value->type.dims[0], &wanted);
    if (!cls->layout) {
        kg_layout_pays_in_place(ls, cls, &wanted, &cost);
        return cost / cls->last->weight;
    }
    int distance = kg_layout_distance(cls->layout, &wanted);
    return distance <= 1   ? 0
           : distance == 2 ? kg_layout_registers(&wanted) * SHUFFLE
                           : WARP_EXCHANGE + kg_layout_registers(&wanted) * 4;
}

// Bytes of shared memory that a warp with m rows and n columns reads. The four warps of a warpgroup
// read their columns together, once for each 16 rows that each of them has.
static int64_t operand_traffic(const kg_op *dot, int64_t m, int64_t n)
{
    const kg_type *a = &dot->operands[0]->type;
    int64_t rows = a->home == KG_HOME_FRAG ? 0 : m;
    int64_t columns = dot->operands[1]->type.home == KG_HOME_FRAG ? 0 : n;
    if (dot->code == KG_OP_WGMMA) columns = columns * (m / 16) / 4;
    return (rows + columns) * a->dims[1] * kg_dtype_bytes(a->dtype);
}

// Multiplications and operand traffic of one warp, all warps sharing the memory port.
static int64_t dot_cost(kg_layouts *ls, const kg_op *dot, const kg_layout *acc, int warps)
{
    const kg_type *a = &dot->operands[0]->type;
    profile p;
    profile_of(acc, &p);
    int64_t m = (int64_t)p.regs[0] << p.lanes[0], n = (int64_t)p.regs[1] << p.lanes[1],
            k = a->dims[1];
    if (kg_dot_kind_of(dot) == KG_DOT_FMA) return p.total * k + (p.regs[0] + p.regs[1]) * k * 2;
    int64_t steps = m * n * k / (16 * 8 * 16);
    return steps * MMA_STEP + operand_traffic(dot, m, n) * warps / 128 +
           operand_cost(ls, dot, 0, acc) + operand_cost(ls, dot, 1, acc);
}

// The accumulator, or something computed from it element by element, is the A operand of another
// dot.
static bool feeds_a_dot(kg_layouts *ls, const kg_class *cls, int32_t *weight)
{
    for (const kg_touch *t = cls->first; t; t = t->next)
        if (is_product(t->op) && t->operand == 0) {
            *weight = t->weight;
            return true;
        }
    return false;
}

static int64_t dot_class_cost(kg_layouts *ls, const kg_class *cls, const kg_layout *acc,
                              int warps_n)
{
    profile p;
    int32_t weight;
    profile_of(acc, &p);
    int64_t cost = class_cost(cls, &p);
    for (const kg_touch *t = cls->first; t; t = t->next)
        if (is_product(t->op) && t->operand == -1)
            cost += dot_cost(ls, t->op, acc, cls->warps) * t->weight;
    if (warps_n > 1 && feeds_a_dot(ls, cls, &weight))
        cost += (WARP_EXCHANGE + p.total * 6) * weight;
    return cost;
}

// Something is computed along the rows, of which three warpgroups have no power of two.
static bool reduces_rows(const kg_class *cls)
{
    for (const kg_touch *t = cls->first; t; t = t->next) {
        kg_op_class c = kg_op_info_of(t->op->code)->cls;
        if ((c == KG_CLASS_R || c == KG_CLASS_N) && t->operand == 0 &&
            kg_op_int(t->op, KG_A_AXIS, 0) == 0)
            return true;
    }
    return false;
}

const kg_layout *kg_layout_choose_dot(kg_layouts *ls, const kg_class *cls)
{
    kg_layout best, acc;
    int64_t least = -1;
    kg_dot_kind kind = class_dot_kind(cls);
    if (kind == KG_DOT_WGMMA && cls->warps == 12 && !reduces_rows(cls) &&
        kg_layout_dot_acc(kind, cls->type.dims[0], cls->type.dims[1], 12, 1, &acc))
        return kg_layout_intern(ls, &acc);
    for (int warps_m = 32; warps_m >= 1; warps_m /= 2)
        for (int warps_n = 1; warps_m * warps_n <= cls->warps; warps_n *= 2) {
            if (!kg_layout_dot_acc(kind, cls->type.dims[0], cls->type.dims[1], warps_m, warps_n,
                                   &acc))
                continue;
            int64_t cost = dot_class_cost(ls, cls, &acc, warps_n);
            if (least >= 0 && cost >= least) continue;
            least = cost;
            best = acc;
        }
    if (least < 0) return NULL;
    while (1 << best.bits[KG_IN_WARP] <
           cls->warps) // warps that no split found work for hold copies
        best.bits[KG_IN_WARP]++;
    return kg_layout_intern(ls, &best);
}
