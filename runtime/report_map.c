// SPDX-License-Identifier: MIT
// The report of a program: points, shared memory, and what happens around loops in time.
#include "runtime/report.h"
#include <string.h>

int report_buffer_index(const report_maker *m, const kg_value *root)
{
    for (int i = 0; i < m->out->n_buffers; i++)
        if (m->roots[i] == root) return i;
    return -1;
}

static int sync_id(const kg_op *op)
{
    return kg_op_info_of(op->code)->cls == KG_CLASS_Y ? (int)kg_op_int(op, KG_A_SYNC_ID, 0) : 0;
}

static const char *op_word(const kg_op *op)
{
    return op->code == KG_OP_COPY_ASYNC ? "copy" : kg_op_info_of(op->code)->name;
}

// ---- points -------------------------------------------------------------------------------------
static int loop_of(const kg_sync_program *p, int node)
{
    for (int block = kg_sync_node_at(p, node)->block; block >= 0; block = kg_sync_parent(p, block))
        if (kg_sync_is_loop(kg_sync_block_at(p, block))) return kg_sync_block_at(p, block)->owner;
    return -1;
}

void report_points(report_maker *m)
{
    const kg_sync_program *p = m->points;
    kgen_point_info *points = KG_NEW_ARRAY(m->arena, kgen_point_info, p->nodes.count + 1);
    for (int i = 0; i < p->nodes.count; i++) {
        const kg_sync_node *n = kg_sync_node_at(p, i);
        points[i] = (kgen_point_info){.op = op_word(n->op),
                                      .line = n->op->loc.line,
                                      .loops = kg_sync_block_at(p, n->block)->loops,
                                      .loop = loop_of(p, i),
                                      .sync = sync_id(n->op)};
    }
    m->out->points = points;
    m->out->n_points = p->nodes.count;
}

// ---- buffers ------------------------------------------------------------------------------------
typedef struct buffers {
    report_maker *m;
    const kg_value **items;
    int count, capacity;
} buffers;

static bool find_buffer(kg_op *op, void *user)
{
    buffers *b = user;
    if (op->code == KG_OP_SHARED) KG_PUSH(b->m->arena, b, op->results[0]);
    return true;
}

static const char *type_text(const report_maker *m, const kg_type *type)
{
    const char *text = kg_arena_printf(m->arena, "%s[", kg_dtype_info_of(type->dtype)->name);
    for (int d = 0; d < type->rank; d++)
        text = kg_arena_printf(m->arena, "%s%s%d", text, d ? ", " : "", (int)type->dims[d]);
    return kg_arena_printf(m->arena, "%s]", text);
}

void report_buffers(report_maker *m)
{
    buffers found = {.m = m};
    kg_walk(m->kernel->body, find_buffer, &found);
    kgen_shared_info *all = KG_NEW_ARRAY(m->arena, kgen_shared_info, found.count + 1);
    for (int i = 0; i < found.count; i++) {
        const kg_value *v = found.items[i];
        all[i] = (kgen_shared_info){.name = report_buffer_name(m, v),
                                    .type = type_text(m, &v->type),
                                    .line = v->loc.line ? v->loc.line : v->op->loc.line,
                                    .offset = kg_op_int(v->op, KG_A_OFFSET, 0),
                                    .bytes = kg_shared_bytes(v),
                                    .slot_bytes = kg_shared_slot_bytes(v),
                                    .slots = (int)kg_op_int(v->op, KG_A_RING, 1)};
        kg_sync_lifetime(m->points, v, &all[i].first, &all[i].last);
    }
    m->roots = found.items;
    m->out->buffers = all;
    m->out->n_buffers = found.count;
}

// ---- sharing ------------------------------------------------------------------------------------
static bool orders_both(const kg_sync_reason *r, const kg_value *a, const kg_value *b)
{
    return r->other && ((r->buffer == a && r->other == b) || (r->buffer == b && r->other == a));
}

// Ids of the synchronizations that order one buffer against the other, ascending.
static void ordering_syncs(const report_maker *m, kgen_overlap_info *o)
{
    bool *ids = KG_NEW_ARRAY(m->arena, bool, m->out->n_syncs + 1);
    int *list = KG_NEW_ARRAY(m->arena, int, m->out->n_syncs + 1);
    for (int i = 0; i < m->syncs->n_reasons; i++) {
        const kg_sync_reason *r = &m->syncs->reasons[i];
        if (orders_both(r, m->roots[o->a], m->roots[o->b])) ids[r->sync] = true;
    }
    for (int id = 1; id <= m->out->n_syncs; id++)
        if (ids[id]) list[o->n_syncs++] = id;
    o->syncs = list;
}

void report_overlaps(report_maker *m)
{
    struct {
        kgen_overlap_info *items;
        int count, capacity;
    } all = {0};
    for (int a = 0; a < m->out->n_buffers; a++)
        for (int b = a + 1; b < m->out->n_buffers; b++) {
            const kgen_shared_info *x = &m->out->buffers[a], *y = &m->out->buffers[b];
            int64_t from = x->offset > y->offset ? x->offset : y->offset;
            int64_t end = x->offset + x->bytes, other = y->offset + y->bytes;
            int64_t common = (end < other ? end : other) - from;
            if (common <= 0 || x->first < 0 || y->first < 0) continue;
            kgen_overlap_info o = {.a = a, .b = b, .bytes = common};
            ordering_syncs(m, &o);
            KG_PUSH(m->arena, &all, o);
        }
    m->out->overlaps = all.items;
    m->out->n_overlaps = all.count;
}

// ---- time ---------------------------------------------------------------------------------------
static const char *role_text(const report_maker *m, const kg_op *role)
{
    if (!role) return NULL;
    const kg_attr *name = kg_op_attr(role, KG_A_ROLE);
    if (name) return name->name;
    int first = (int)kg_op_int(role, KG_A_FIRST, 0), last = (int)kg_op_int(role, KG_A_LAST, 1);
    if (last - first == 1) return kg_arena_printf(m->arena, "warp %d", first);
    return kg_arena_printf(m->arena, "warps %d to %d", first, last - 1);
}

static kgen_event_info event_of(const report_maker *m, const kg_timeline_event *e)
{
    static const char *const kinds[] = {
        [KG_TIMELINE_COPY] = "copy", [KG_TIMELINE_COMMIT] = "commit", [KG_TIMELINE_WAIT] = "wait",
        [KG_TIMELINE_MEET] = "meet", [KG_TIMELINE_WRITE] = "write",   [KG_TIMELINE_READ] = "read"};
    return (kgen_event_info){.kind = kinds[e->kind],
                             .step = e->step,
                             .phase = e->phase,
                             .trip = e->trip,
                             .round = e->round,
                             .op = op_word(e->op),
                             .role = role_text(m, e->role),
                             .line = e->op->loc.line,
                             .sync = sync_id(e->op),
                             .buffer = e->buffer ? report_buffer_index(m, e->buffer) : -1,
                             .slot = e->slot,
                             .group = e->group,
                             .in_flight = e->in_flight};
}

void report_timelines(report_maker *m)
{
    kg_timelines lines = {0};
    kg_sync_timelines(m->points, &lines);
    kgen_timeline_info *all = KG_NEW_ARRAY(m->arena, kgen_timeline_info, lines.count + 1);
    for (int i = 0; i < lines.count; i++) {
        const kg_timeline *t = &lines.items[i];
        kgen_event_info *events = KG_NEW_ARRAY(m->arena, kgen_event_info, t->events.count + 1);
        int first = t->events.count ? t->events.items[0].step : 0;
        for (int k = 0; k < t->events.count; k++) {
            events[k] = event_of(m, &t->events.items[k]);
            events[k].step -= first;
        }
        all[i] = (kgen_timeline_info){.line = t->loop->loc.line,
                                      .trips = t->trips,
                                      .rounds = t->rounds,
                                      .ring = t->ring,
                                      .cut = t->cut,
                                      .events = events,
                                      .n_events = t->events.count};
    }
    m->out->timelines = all;
    m->out->n_timelines = lines.count;
}
