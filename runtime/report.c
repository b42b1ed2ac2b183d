// SPDX-License-Identifier: MIT
// The report of a program: synchronizations and obligations, resolved to lines and names.
#include "runtime/report.h"
#include <stdio.h>
#include <string.h>

const char *report_buffer_name(report_maker *m, const kg_value *root)
{
    if (!root) return "global memory";
    if (!m->root_names[root->id])
        m->root_names[root->id] = kg_sync_buffer_name(m->arena, m->kernel, root);
    return m->root_names[root->id];
}

// ---- obligations --------------------------------------------------------------------------------
static const char *op_word(const kg_op *op)
{
    return op->code == KG_OP_COPY_ASYNC ? "copy" : kg_op_info_of(op->code)->name;
}

// Two buffers that the place pass put on the same bytes; tensors may only alias.
static bool shares_bytes(const kg_sync_reason *r)
{
    return r->other && r->other->type.home == KG_HOME_SHARED;
}

static kgen_obligation obligation_of(report_maker *m, const kg_sync_reason *r)
{
    static const kgen_meet meets[] = {[KG_MEET_NONE] = KGEN_MEET_THREAD,
                                      [KG_MEET_WARP] = KGEN_MEET_WARP,
                                      [KG_MEET_CTA] = KGEN_MEET_CTA};
    const kg_value *first = r->other ? r->other : r->buffer;
    return (kgen_obligation){.number = r->number,
                             .first = {r->a->loc.line, op_word(r->a), r->a_does,
                                       report_buffer_name(m, first), r->thread_a},
                             .second = {r->b->loc.line, op_word(r->b), r->b_does,
                                        report_buffer_name(m, r->buffer), r->thread_b},
                             .distance = r->loop ? r->distance : 0,
                             .loop_line = r->loop ? r->loop->loc.line : 0,
                             .byte = r->byte,
                             .meet = meets[r->meet],
                             .completion = r->wait,
                             .other_buffer = shares_bytes(r),
                             .sync = r->sync,
                             .wait = r->completed_by,
                             .needs_sync = r->needs_sync,
                             .by_hand = r->by_hand,
                             .by_author = r->by_author,
                             .choices = r->choices,
                             .alone = r->alone,
                             .alone_runs = r->alone_runs};
}

static void report_obligations(report_maker *m)
{
    int n = m->syncs->n_reasons;
    kgen_obligation *all = KG_NEW_ARRAY(m->arena, kgen_obligation, n + 1);
    for (int i = 0; i < n; i++) all[i] = obligation_of(m, &m->syncs->reasons[i]);
    m->out->obligations = all;
    m->out->n_obligations = n;
    m->out->same_thread = m->syncs->spared.one_thread;
    m->out->by_ring = m->syncs->spared.by_ring;
    m->out->apart = m->syncs->spared.apart;
    m->out->proxies = m->syncs->proxies;
    m->out->n_proxies = m->syncs->n_proxies;
}

// ---- what was tried, and the proof --------------------------------------------------------------
static void report_changes(report_maker *m)
{
    const kg_repairs *r = &m->program->repairs;
    kgen_change *all = KG_NEW_ARRAY(m->arena, kgen_change, r->count + 1);
    for (int i = 0; i < r->count; i++) {
        const kg_repair_note *n = &r->items[i];
        all[i] = (kgen_change){.line = n->loc.line,
                               .what = n->what,
                               .text = n->text,
                               .taken = n->verdict == KG_REPAIR_TAKEN,
                               .cost_before = n->cost_before,
                               .cost_after = n->cost_after,
                               .fits = n->cost_before < KG_DOES_NOT_FIT &&
                                       n->cost_after < KG_DOES_NOT_FIT};
    }
    m->out->changes = all;
    m->out->n_changes = r->count;
    m->out->fewest = r->summary;
    m->out->proof = m->program->info.proof;
    m->out->proof_reason = m->program->info.proof_reason;
    m->out->proof_states = m->program->info.proof_states;
    m->out->proof_cells = m->program->info.proof_cells;
}

// ---- places in the source -----------------------------------------------------------------------
static int last_line(const kg_block *block)
{
    int last = 0;
    for (const kg_op *op = block->first; op; op = op->next) {
        last = op->loc.line > last ? op->loc.line : last;
        for (int i = 0; i < op->n_blocks; i++) {
            int inner = last_line(op->blocks[i]);
            last = inner > last ? inner : last;
        }
    }
    return last;
}

// The line of what comes next in the block, 0 at its end. A branch is where its first access is.
static int next_line(const kg_op *op)
{
    for (; op; op = op->next) {
        const kg_op_info *info = kg_op_info_of(op->code);
        if (info->n_effects || kg_is_loop(op) || op->code == KG_OP_WARPS) return op->loc.line;
        for (int i = 0; i < op->n_blocks; i++) {
            int inner = next_line(op->blocks[i]->first);
            if (inner) return inner;
        }
    }
    return 0;
}

// The statement that the op stands in the middle of: what comes before it in its block has the
// same line as what comes after. 0: none.
static int line_around(const kg_op *sync, int next)
{
    for (const kg_op *op = sync->prev; op; op = op->prev)
        if (kg_op_info_of(op->code)->n_effects || op->n_blocks)
            return next && op->loc.line == next ? next : 0;
    return 0;
}

typedef struct placing {
    const kg_op *sync;
    int after; // line
} placing;

static bool inside(const kg_op *op, const kg_op *owner)
{
    for (const kg_block *b = op->parent; b && b->owner; b = b->owner->parent)
        if (b->owner == owner) return true;
    return false;
}

// What a pass moved out of a loop keeps its lines: it is shown in front of the loop, or behind it.
static bool move_out_of_loop(kg_op *loop, void *user)
{
    placing *x = user;
    if ((loop->code != KG_OP_FOR && loop->code != KG_OP_WHILE) || inside(x->sync, loop))
        return true;
    int first = loop->loc.line, last = first;
    for (int i = 0; i < loop->n_blocks; i++) {
        int end = last_line(loop->blocks[i]);
        last = end > last ? end : last;
    }
    if (first && x->after >= first && x->after < last)
        x->after = x->sync->id < loop->id ? first - 1 : last;
    return true;
}

static int source_place(const report_maker *m, const kg_op *sync, int *line)
{
    const kg_op *owner = sync->parent->owner;
    placing x = {sync, 0};
    if (kg_op_int(sync, KG_A_BY_HAND, 0) && sync->loc.line) return *line = sync->loc.line;
    *line = next_line(sync->next);
    x.after = *line ? *line - 1 : last_line(sync->parent);
    if (!*line && owner) *line = owner->loc.line;
    if (owner && owner->loc.line > x.after) x.after = owner->loc.line;
    if (line_around(sync, *line)) x.after = *line;
    kg_walk(m->kernel->body, move_out_of_loop, &x);
    return x.after;
}

// Lines of the IR text by sync id.
static void find_ir_lines(const report_maker *m, kgen_sync_info *syncs)
{
    const char *text = kg_print_kernel(m->arena, m->kernel);
    int line = 1, id;
    for (const char *at = text; *at; at++) {
        line += *at == '\n';
        if ((at[0] == '{' || at[0] == ' ') && sscanf(at + 1, "sync=%d", &id) == 1 && id >= 1 &&
            id <= m->out->n_syncs)
            syncs[id - 1].ir_line = line;
    }
}

// ---- synchronizations ---------------------------------------------------------------------------
static void copy_repairs(report_maker *m, const kg_sync_entry *e, kgen_sync_info *s)
{
    static const char *const verdicts[] = {[KG_SYNC_VERDICT_CHOSEN] = "chosen",
                                           [KG_SYNC_VERDICT_REJECTED] = "rejected",
                                           [KG_SYNC_VERDICT_EQUAL] = "equal"};
    kgen_repair *repairs = KG_NEW_ARRAY(m->arena, kgen_repair, e->repairs.count + 1);
    for (int i = 0; i < e->repairs.count; i++) {
        const kg_sync_repair *r = &e->repairs.items[i];
        repairs[i] = (kgen_repair){r->repair, verdicts[r->verdict], r->runs, r->text};
    }
    s->repairs = repairs;
    s->n_repairs = e->repairs.count;
}

static bool sharing_only(const report_maker *m, const kg_sync_entry *e)
{
    int needs = 0;
    for (int i = 0; i < e->n_reasons; i++) {
        const kg_sync_reason *r = &m->syncs->reasons[e->reasons[i]];
        if (!r->needs_sync && e->op->code != KG_OP_WAIT) continue;
        if (!shares_bytes(r)) return false;
        needs++;
    }
    return needs > 0;
}

static int count_of(const kg_op *op)
{
    bool counts = op->code == KG_OP_WAIT || op->code == KG_OP_WGMMA_WAIT ||
                  op->code == KG_OP_BULK_WAIT || op->code == KG_OP_BARRIER ||
                  op->code == KG_OP_ARRIVE;
    return counts ? (int)kg_op_int(op, KG_A_COUNT, 0) : -1;
}

static kgen_sync_info sync_of(report_maker *m, const kg_sync_entry *e)
{
    enum { ROOM = 120 };
    kgen_sync_info s = {.id = e->id,
                        .kind = kg_op_info_of(e->op->code)->name,
                        .name = kg_sync_name(m->arena, e->op),
                        .count = count_of(e->op),
                        .where = kg_sync_where(m->arena, e->op),
                        .loops = kg_loops_around(e->op),
                        .runs = e->runs,
                        .by_hand = e->by_hand,
                        .sharing_only = sharing_only(m, e),
                        .obligations = e->reasons,
                        .n_obligations = e->n_reasons,
                        .first = e->first};
    s.after_line = source_place(m, e->op, &s.line);
    s.summary = kg_sync_summary(m->arena, m->kernel, m->syncs, e, ROOM);
    copy_repairs(m, e, &s);
    int *lines = KG_NEW_ARRAY(m->arena, int, e->n_copies + 1);
    for (int i = 0; i < e->n_copies; i++) lines[i] = e->copies[i]->loc.line;
    s.copy_lines = lines;
    s.n_copy_lines = e->n_copies;
    return s;
}

typedef struct collector {
    kg_arena *arena;
    kg_sync_entry *items;
    int count, capacity;
} collector;

static bool collect_sync(kg_op *op, void *user)
{
    collector *c = user;
    if (kg_op_info_of(op->code)->cls != KG_CLASS_Y) return true;
    kg_sync_entry e = {.id = c->count + 1, .op = op, .first = -1};
    KG_PUSH(c->arena, c, e);
    return true;
}

static void report_syncs(report_maker *m)
{
    const kg_sync_entry *entries = m->syncs->syncs;
    int n = m->syncs->n_syncs;
    collector found = {.arena = m->arena};
    if (!n) { // it was synchronized before, and the reasons stayed there
        kg_walk(m->kernel->body, collect_sync, &found);
        entries = found.items;
        n = found.count;
    }
    kgen_sync_info *all = KG_NEW_ARRAY(m->arena, kgen_sync_info, n + 1);
    for (int i = 0; i < n; i++) {
        all[i] = sync_of(m, &entries[i]);
        for (int k = i - 1; k >= 0; k--) // those of one block stay in order
            if (entries[k].op->parent == entries[i].op->parent) {
                if (all[k].after_line > all[i].after_line) all[i].after_line = all[k].after_line;
                break;
            }
    }
    m->out->syncs = all;
    m->out->n_syncs = n;
    find_ir_lines(m, all);
}

const kgen_report *program_make_report(kgen_program *program)
{
    kg_arena *arena = &program->arena;
    kg_kernel *kernel = program->kernel;
    kgen_report *out = KG_NEW(arena, kgen_report);
    *out = (kgen_report){.kernel = kernel->name,
                         .target = program->target->name,
                         .source_name = program->label,
                         .source = program->text,
                         .threads = 32 * kernel->warps,
                         .shared_bytes = kernel->shared_bytes,
                         .shared_limit = program->target->shared_cta};
    report_maker m = {.program = program,
                      .arena = arena,
                      .kernel = kernel,
                      .syncs = &program->sync_report,
                      .out = out};
    int n_values = kg_kernel_number(kernel, NULL);
    m.root_names = KG_NEW_ARRAY(arena, const char *, n_values + 1);
    m.points = kg_sync_program_build(arena, kernel, false);
    report_obligations(&m);
    report_changes(&m);
    report_syncs(&m);
    report_points(&m);
    report_buffers(&m);
    report_overlaps(&m);
    report_timelines(&m);
    out->shared_apart = kg_place_bytes_apart(arena, kernel);
    return out;
}
