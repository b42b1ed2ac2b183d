// SPDX-License-Identifier: MIT
// Clusters: CTAs that reach into each other's shared memory are validated as one CTA that has the
// warps and the memory of all of them.
//
// Of each CTA there is a copy of the program: its warps follow those of the CTA before, its buffers
// lie behind that one's. What stands outside of regions is put in a region of the CTA's warps, so
// that copies run beside each other, and a cluster_barrier is the barrier of all. An arrival in
// every CTA is one at the mbarrier of each. A tile that the CTAs bring together is, by each of
// them, its rows of it for the buffer of each, counted at that one's mbarrier. The number of a CTA
// along the grid's first axis is the cluster's times N, plus its rank: so quotients by N are the
// same number in all, and remainders are known.
//
// What is generic memory of a CTA alone (tensors) every copy has for itself: how CTAs share that is
// not asked, here as anywhere.
#include "passes/validate/cluster.h"
#include "ir/access.h"
#include "ir/tensor_map.h"

#include <string.h>

enum { HARDWARE_BARRIERS = 16 };

typedef struct maker {
    kg_kernel *from, *to;
    int ctas, warps, used;          // warps from CTA to CTA; of these the first `used` do something
    int64_t bytes;                  // from CTA to CTA
    kg_value **map[KG_MAX_CLUSTER]; // by CTA, by value id
    int n_values;
    kg_value *cluster; // its number
    int barrier[HARDWARE_BARRIERS], n_barriers;
    const char *why; // it cannot be made
} maker;

static void copy_op(maker *m, int cta, const kg_op *op, kg_block *to);

// ---- making -------------------------------------------------------------------------------------

static kg_value *make_int(maker *m, kg_block *to, int64_t number)
{
    kg_op *op = kg_op_new(m->to, KG_OP_CONST, m->from->loc, 0, NULL);
    kg_op_set_int(m->to, op, KG_A_VALUE_INT, number);
    kg_block_append(to, op);
    return kg_op_result(m->to, op, m->from->grid[0].value->type, NULL);
}

static kg_value *make_binary(maker *m, kg_block *to, kg_opcode code, kg_value *a, int64_t b)
{
    kg_value *operands[] = {a, make_int(m, to, b)};
    kg_op *op = kg_op_new(m->to, code, m->from->loc, 2, operands);
    kg_block_append(to, op);
    return kg_op_result(m->to, op, a->type, NULL);
}

// A copy for the CTA, without blocks.
static kg_op *copy_bare(maker *m, int cta, const kg_op *op, kg_block *to)
{
    kg_op bare = *op;
    bare.n_blocks = 0;
    kg_op *copy = kg_op_clone(m->to, &bare, m->map[cta], m->n_values);
    copy->note = (void *)op;
    kg_block_append(to, copy);
    return copy;
}

static void copy_blocks(maker *m, int cta, const kg_op *op, kg_op *copy)
{
    for (int i = 0; i < op->n_blocks; i++) {
        const kg_block *from = op->blocks[i];
        kg_block *to = kg_op_add_block(m->to, copy);
        if (from->arg) {
            to->arg = KG_NEW(m->to->unit->arena, kg_value);
            *to->arg = *from->arg;
            to->arg->op = copy;
            m->map[cta][from->arg->id] = to->arg;
        }
        for (const kg_op *o = from->first; o; o = o->next) copy_op(m, cta, o, to);
    }
}

// ---- the number of the CTA ----------------------------------------------------------------------

static bool is_axis(const maker *m, const kg_value *value)
{
    while (value->kind == KG_VALUE_RESULT && value->op->code == KG_OP_CAST)
        value = value->op->operands[0];
    return value == m->from->grid[0].value;
}

// A quotient or remainder by a multiple of the cluster's size. False: it is none.
static bool copy_of_axis(maker *m, int cta, const kg_op *op, kg_block *to)
{
    int64_t by;
    bool divides = op->code == KG_OP_DIV, rest = op->code == KG_OP_MOD;
    if (!(divides || rest) || !is_axis(m, op->operands[0]) || !kg_const_int(op->operands[1], &by) ||
        by <= 0 || by % m->ctas)
        return false;
    kg_value **result = &m->map[cta][op->results[0]->id];
    bool one = by == m->ctas;
    if (divides) {
        *result = one ? m->cluster : make_binary(m, to, KG_OP_DIV, m->cluster, by / m->ctas);
    } else if (one) {
        *result = make_int(m, to, cta);
    } else {
        *result = make_binary(m, to, KG_OP_MOD, m->cluster, by / m->ctas);
        *result = make_binary(m, to, KG_OP_MUL, *result, m->ctas);
        *result = make_binary(m, to, KG_OP_ADD, *result, cta);
    }
    return true;
}

static void make_axis(maker *m)
{
    kg_arena *arena = m->to->unit->arena;
    kg_grid_axis *axis = &m->to->grid[0];
    const kg_sexpr *extent = axis->extent;
    m->cluster = KG_NEW(arena, kg_value);
    *m->cluster = *axis->value;
    m->cluster->name = NULL;
    m->cluster->id = -1;
    bool known = extent && extent->kind == KG_SX_INT;
    axis->value = m->cluster;
    axis->extent = known ? kg_sexpr_int(arena, extent->value / m->ctas) : NULL;
    kg_value *first = make_binary(m, m->to->body, KG_OP_MUL, m->cluster, m->ctas);
    for (int cta = 0; cta < m->ctas; cta++)
        m->map[cta][m->from->grid[0].value->id] =
            make_binary(m, m->to->body, KG_OP_ADD, first, cta);
}

// ---- what reaches other CTAs --------------------------------------------------------------------

// What the operand of a CTA's op is in another one: the same place, chosen by the CTA that asks.
static kg_value *reach(maker *m, int cta, int other, kg_value *operand, kg_block *to)
{
    kg_op *view = operand->kind == KG_VALUE_RESULT ? operand->op : NULL;
    if (view && view->code == KG_OP_SHARED) return m->map[other][operand->id];
    if (!view || view->code != KG_OP_VIEW || view->operands[0]->kind != KG_VALUE_RESULT ||
        view->operands[0]->op->code != KG_OP_SHARED) {
        m->why = "what a CTA reaches in another one is no plain part of a buffer";
        return operand;
    }
    kg_value *own = m->map[cta][operand->id];
    kg_op *copy = copy_bare(m, cta, view, to);
    m->map[cta][operand->id] = own;
    kg_op_set_operand(copy, 0, m->map[other][view->operands[0]->id]);
    return copy->results[0];
}

static void copy_arrival(maker *m, int cta, const kg_op *op, kg_block *to)
{
    bool all = kg_op_int(op, KG_A_CLUSTER, 0) != 0;
    for (int other = 0; other < m->ctas; other++) {
        if (!all && other != cta) continue;
        kg_value *operand = reach(m, cta, other, op->operands[0], to);
        kg_op *copy = copy_bare(m, cta, op, to);
        kg_op_set_operand(copy, 0, operand);
        kg_op_unset(copy, KG_A_CLUSTER);
    }
}

// The dimension of a view that its shares are cut along; -1.
static int cut_dimension(const kg_type *type)
{
    for (int d = 0; d < type->rank; d++)
        if (type->dims[d] > 1) return d;
    return -1;
}

// A view of some rows of a view, or of a buffer.
static kg_value *rows_of(maker *m, kg_value *whole, int32_t first, int32_t rows, kg_block *to)
{
    kg_op *view = whole->op->code == KG_OP_VIEW ? whole->op : NULL;
    kg_value *base = view ? view->operands[0] : whole, *operands[KG_MAX_RANK + 2] = {base};
    int64_t index[KG_MAX_RANK], extent[KG_MAX_RANK];
    int n = 1, next = 1;
    bool slot = view && kg_op_int(view, KG_A_SLOT, 0), cut = false;
    if (slot) operands[n++] = view->operands[next++];
    for (int d = 0; d < base->type.rank; d++) {
        index[d] = view ? kg_op_attr(view, KG_A_INDEX)->ints[d] : KG_INDEX_ALL;
        extent[d] = view ? kg_op_attr(view, KG_A_EXTENT)->ints[d] : base->type.dims[d];
        kg_value *start = index[d] == KG_INDEX_ALL ? NULL : view->operands[next++];
        if (index[d] == KG_INDEX_GATHER) m->why = "a tile of several CTAs is gathered";
        if (index[d] != KG_INDEX_AT && extent[d] > 1 && !cut) {
            int64_t number = 0;
            bool known = !start || kg_const_int(start, &number);
            start = known ? make_int(m, to, number + first)
                          : make_binary(m, to, KG_OP_ADD, start, first);
            index[d] = KG_INDEX_FROM;
            extent[d] = rows;
            cut = true;
        }
        if (start) operands[n++] = start;
    }
    kg_op *op = kg_op_new(m->to, KG_OP_VIEW, whole->loc, n, operands);
    if (slot) kg_op_set_int(m->to, op, KG_A_SLOT, 1);
    kg_op_set_ints(m->to, op, KG_A_INDEX, base->type.rank, index);
    kg_op_set_ints(m->to, op, KG_A_EXTENT, base->type.rank, extent);
    kg_block_append(to, op);
    kg_type type = whole->type;
    type.dims[cut_dimension(&type)] = rows;
    return kg_op_result(m->to, op, type, NULL);
}

// Each CTA's share is 1/N of every box.
static void copy_shares(maker *m, int cta, const kg_op *op, kg_block *to)
{
    kg_bulk_copy plan;
    char why[KG_BULK_WHY];
    const kg_type *type = &op->operands[0]->type;
    int d = cut_dimension(type);
    int32_t rows = d < 0 ? 0 : type->dims[d], box = rows;
    if (kg_bulk_copy_plan_of(op, &plan, why) && plan.shares > 1)
        box = plan.map.box[plan.share_dim] * plan.shares;
    if (!rows || op->n_operands < 3 || rows % box || box % m->ctas || box > KG_BOX_LIMIT) {
        m->why = "the shares of a tile that several CTAs bring are not understood";
        return;
    }
    for (int other = 0; other < m->ctas && !m->why; other++)
        for (int32_t first = 0; first < rows; first += box) {
            kg_value *tile = reach(m, cta, other, op->operands[0], to);
            kg_value *mbarrier = reach(m, cta, other, op->operands[2], to);
            kg_value *share = rows_of(m, tile, first + cta * (box / m->ctas), box / m->ctas, to);
            kg_op *copy = copy_bare(m, cta, op, to);
            kg_op_set_operand(copy, 0, share);
            kg_op_set_operand(copy, 2, mbarrier);
            kg_op_unset(copy, KG_A_MULTICAST);
        }
}

// ---- ops ----------------------------------------------------------------------------------------

// Barriers of the CTA, which has hardware barriers of its own.
static void copy_barrier(maker *m, int cta, const kg_op *op, kg_block *to)
{
    kg_op *copy = copy_bare(m, cta, op, to);
    int64_t id = kg_op_int(op, KG_A_ID, 0), all = 32 * (int64_t)m->from->warps;
    bool everybody = !op->parent->owner && kg_op_int(op, KG_A_COUNT, all) == all;
    int number = 0;
    while (number < m->n_barriers && m->barrier[number] != id) number++;
    if (number == m->n_barriers && number < HARDWARE_BARRIERS)
        m->barrier[m->n_barriers++] = (int)id;
    if (kg_op_attr(op, KG_A_IDS)) m->why = "groups of warps meet in several CTAs";
    kg_op_set_int(m->to, copy, KG_A_ID, number * m->ctas + cta);
    if (everybody) kg_op_set_int(m->to, copy, KG_A_COUNT, 32 * (int64_t)m->used);
    if (number * m->ctas + cta >= HARDWARE_BARRIERS) m->why = "there are too many barriers";
}

static void copy_op(maker *m, int cta, const kg_op *op, kg_block *to)
{
    kg_op *copy;
    if (m->why || op->code == KG_OP_SHARED || copy_of_axis(m, cta, op, to)) return;
    switch (op->code) {
    case KG_OP_MBARRIER_ARRIVE:
        copy_arrival(m, cta, op, to);
        return;
    case KG_OP_BARRIER:
    case KG_OP_ARRIVE:
        copy_barrier(m, cta, op, to);
        return;
    case KG_OP_COPY_BULK:
        if (!kg_op_int(op, KG_A_MULTICAST, 0)) break;
        copy_shares(m, cta, op, to);
        return;
    default:
        break;
    }
    copy = copy_bare(m, cta, op, to);
    copy_blocks(m, cta, op, copy);
    if (op->code != KG_OP_WARPS) return;
    int64_t first = kg_op_int(op, KG_A_FIRST, 0), last = kg_op_int(op, KG_A_LAST, first + 1);
    kg_op_set_int(m->to, copy, KG_A_FIRST, first + cta * m->warps);
    kg_op_set_int(m->to, copy, KG_A_LAST, last + cta * m->warps);
}

static bool copy_buffer(kg_op *op, void *user)
{
    maker *m = user;
    for (int cta = 0; op->code == KG_OP_SHARED && cta < m->ctas; cta++) {
        kg_op *copy = copy_bare(m, cta, op, m->to->body);
        int64_t offset = kg_op_int(op, KG_A_OFFSET, 0);
        kg_op_set_int(m->to, copy, KG_A_OFFSET, offset + cta * m->bytes);
    }
    return true;
}

// ---- outside of regions -------------------------------------------------------------------------

// What stands side by side there: regions, or ops of the whole CTA. Neither: arithmetic, which
// belongs to both.
typedef enum kind { NEITHER, REGIONS, WHOLE, MEETING } kind;

static kind kind_of(const kg_op *op)
{
    const kg_op_info *info = kg_op_info_of(op->code);
    if (op->code == KG_OP_CLUSTER_BARRIER) return MEETING;
    if (op->code == KG_OP_WARPS) return REGIONS;
    if (op->code == KG_OP_SHARED || op->code == KG_OP_VIEW) return NEITHER;
    if (info->n_effects || info->cls == KG_CLASS_Y || op->n_blocks) return WHOLE;
    for (int i = 0; i < op->n_results; i++)
        if (!kg_is_scalar(op->results[i])) return WHOLE;
    for (int i = 0; i < op->n_operands; i++)
        if (op->operands[i]->type.rank) return WHOLE;
    return NEITHER;
}

// Of each CTA, one after the other.
static void copy_run(maker *m, kind what, const kg_op *first, const kg_op *end)
{
    for (int cta = 0; first && cta < m->ctas; cta++) {
        kg_block *to = m->to->body;
        if (what == WHOLE) {
            kg_op *region = kg_op_new(m->to, KG_OP_WARPS, first->loc, 0, NULL);
            region->note = (void *)first;
            kg_op_set_int(m->to, region, KG_A_FIRST, cta * m->warps);
            kg_op_set_int(m->to, region, KG_A_LAST, cta * m->warps + m->used);
            kg_block_append(to, region);
            to = kg_op_add_block(m->to, region);
        }
        for (const kg_op *op = first; op != end; op = op->next) copy_op(m, cta, op, to);
    }
}

static void copy_body(maker *m)
{
    kind now = NEITHER;
    const kg_op *first = NULL;
    for (const kg_op *op = m->from->body->first; op; op = op->next) {
        kind what = kind_of(op);
        if (what != NEITHER && now != NEITHER && what != now) {
            copy_run(m, now, first, op);
            first = NULL;
        }
        if (what == MEETING) {
            copy_run(m, now, first, op);
            copy_bare(m, 0, op, m->to->body);
            first = NULL;
            now = NEITHER;
            continue;
        }
        if (!first) first = op;
        if (what != NEITHER) now = what;
    }
    copy_run(m, now, first, NULL);
}

// ---- the kernel ---------------------------------------------------------------------------------

// A value that may differ from CTA to CTA of a cluster.
static bool may_differ(const kg_value *value, int depth)
{
    enum { DEEPEST = 24 };
    if (value->kind == KG_VALUE_GRID || depth == DEEPEST || kg_is_mutable(value)) return true;
    bool differs = value->kind == KG_VALUE_RESULT && !kg_is_computed(value->op);
    for (int i = 0; value->op && i < value->op->n_operands && !differs; i++)
        differs = may_differ(value->op->operands[i], depth + 1);
    return differs;
}

typedef struct look {
    int last;                           // warp that some region has, plus 1
    bool whole, wgmma, reaches, differ; // in whether and how often they reach others
} look;

static bool look_at(kg_op *op, void *user)
{
    look *l = user;
    const kg_op *region = op->parent->owner;
    while (region && region->code != KG_OP_WARPS) region = region->parent->owner;
    int last = op->code == KG_OP_WARPS ? (int)kg_op_int(op, KG_A_LAST, 1) : 0;
    if (last > l->last) l->last = last;
    l->wgmma |= op->code == KG_OP_WGMMA;
    bool reaches = kg_op_int(op, KG_A_CLUSTER, 0) || kg_op_int(op, KG_A_MULTICAST, 0);
    l->reaches |= reaches;
    for (const kg_op *o = op->parent->owner; reaches && o; o = o->parent->owner) {
        l->differ |= o->code == KG_OP_WHILE;
        for (int i = 0; i < o->n_operands; i++) l->differ |= may_differ(o->operands[i], 0);
    }
    kg_access found[KG_MAX_EFFECTS];
    int n = region || !kg_op_info_of(op->code)->n_effects ? 0 : kg_op_accesses(op, found);
    for (int i = 0; i < n; i++) l->whole |= found[i].effect->agent != KG_AGENT_ELECTED;
    return true;
}

bool validator_reaches_others(kg_kernel *kernel)
{
    look l = {0};
    if (kernel->cluster > 1) kg_walk(kernel->body, look_at, &l);
    return l.reaches;
}

static void start(maker *m, kg_arena *arena)
{
    kg_unit *unit = KG_NEW(arena, kg_unit);
    *unit = *m->from->unit;
    unit->arena = arena;
    unit->kernels = m->to = KG_NEW(arena, kg_kernel);
    *m->to = *m->from;
    m->to->unit = unit;
    m->to->next = NULL;
    m->to->cluster = 0;
    m->to->body = KG_NEW(arena, kg_block);
    m->to->body->kernel = m->to;
    m->to->warps = (m->ctas - 1) * m->warps + m->used;
    m->to->shared_bytes = m->ctas * m->bytes;
    for (int cta = 0; cta < m->ctas; cta++)
        m->map[cta] = KG_NEW_ARRAY(arena, kg_value *, m->n_values + 1);
}

// Warps behind the last region that only come to barriers are left out. Warpgroups stay together.
bool validator_join_ctas(kg_arena *arena, kg_kernel *kernel, joined_ctas *out)
{
    enum { SWIZZLE = 1024 };
    look l = {0};
    kg_walk(kernel->body, look_at, &l);
    int used = l.last && !l.whole ? l.last : kernel->warps;
    maker m = {.from = kernel,
               .ctas = kernel->cluster,
               .used = used,
               .warps = l.wgmma ? (used + 3) & ~3 : used,
               .bytes = (kernel->shared_bytes + SWIZZLE - 1) / SWIZZLE * SWIZZLE};
    *out = (joined_ctas){m.ctas, m.warps, m.bytes, .in_step = !l.differ};
    if ((m.ctas - 1) * m.warps + m.used > MOST_JOINED_WARPS) {
        out->why = kg_arena_printf(arena, "the %d CTAs of a cluster have more than %d warps",
                                   m.ctas, MOST_JOINED_WARPS);
        return false;
    }
    m.n_values = kg_kernel_number(kernel, NULL);
    start(&m, arena);
    make_axis(&m);
    kg_walk(kernel->body, copy_buffer, &m);
    copy_body(&m);
    out->kernel = m.to;
    out->why = m.why;
    return !m.why;
}
