// SPDX-License-Identifier: MIT
// wgmma.mma_async, fence, commit_group, wait_group: whose turn it is, and what may be touched.
//
// A product runs at one moment between the arrival of the last of its four warps and the first
// wait for its group: at once (eager), at that wait (late), or somewhere between, by seed. Products
// of a warpgroup run in order. What the checker says does not depend on the moment.
#include "wgmma.h"
#include "mbarrier.h"

#include <string.h>

static uint32_t bit_of(const struct warp *w)
{
    return 1u << w->index % WARPGROUP_WARPS;
}

static struct warpgroup *group_of(const struct warp *w)
{
    return &w->cta->warpgroups[w->index / WARPGROUP_WARPS];
}

static struct wgmma_record *record_at(const struct warpgroup *g, uint32_t number)
{
    return &g->records[number - g->first];
}

enum { ALL_WARPS = (1 << WARPGROUP_WARPS) - 1 };

void ptxm_wgmma_free(struct cta *cta)
{
    struct allocator *a = cta->grid->allocator;
    for (uint32_t i = 0; cta->warpgroups && i < cta->warp_count / WARPGROUP_WARPS; i++) {
        ptxm_free(a, cta->warpgroups[i].records);
        ptxm_free(a, cta->warpgroups[i].scratch);
    }
    ptxm_free(a, cta->warpgroups);
    cta->warpgroups = NULL;
}

// ---- findings ----------------------------------------------------------------------------------

void ptxm_wgmma_finding(struct warp *w, const struct op *op, unsigned lane, enum rule rule,
                        const struct op *other)
{
    bool swap = other && op->line > other->line, fresh;
    uint32_t line_a = swap ? other->line : op->line;
    uint32_t line_b = !other ? 0 : swap ? op->line : other->line;
    struct finding_entry *e = ptxm_findings_note(&w->cta->findings, rule, line_a, line_b, &fresh);
    if (!e || !fresh)
        return;
    struct ptxm_place *mine = swap ? &e->finding.b : &e->finding.a;
    struct ptxm_place *theirs = swap ? &e->finding.a : &e->finding.b;
    uint32_t thread = ptxm_thread(w, lane);
    ptxm_describe(w->cta, mine, op, thread, SPACE_REG, 0, 0, ACCESS_READ);
    if (other)
        ptxm_describe(w->cta, theirs, other, thread, SPACE_REG, 0, 0, ACCESS_READ);
}

const struct op *ptxm_wgmma_op(struct warp *w, uint32_t mark)
{
    return record_at(group_of(w), mark - 1)->op;
}

static const struct op *op_number(const struct warp *w, uint32_t index)
{
    return &w->cta->grid->module->ops[index];
}

// ---- the moment --------------------------------------------------------------------------------

static void run_until(struct warp *w, uint32_t end)
{
    struct warpgroup *g = group_of(w);
    for (; g->done < end; g->done++)
        ptxm_wgmma_compute(w->cta, w->index / WARPGROUP_WARPS, g->scratch, record_at(g, g->done));
}

static bool all_arrived(const struct warpgroup *g, uint32_t end)
{
    // Warps come in order: when all are at the last one, they have been at the earlier ones.
    return end <= g->first || record_at(g, end - 1)->arrived == ALL_WARPS;
}

static void wake(struct warp *w)
{
    struct warp *first = w - w->index % WARPGROUP_WARPS;
    for (struct warp *x = first; x < first + WARPGROUP_WARPS; x++)
        for (uint32_t i = 0; i < x->fragment_count; i++)
            if (x->fragments[i].state == FRAGMENT_WARPGROUP) {
                x->fragments[i].state = FRAGMENT_READY;
                w->cta->progress = true;
            }
}

static enum step_result settle(struct warp *w, uint32_t end)
{
    struct warpgroup *g = group_of(w);
    if (all_arrived(g, end)) {
        run_until(w, end);
        return STEP_NEXT;
    }
    w->current->state = FRAGMENT_WARPGROUP;
    w->current->wait = record_at(g, end - 1)->arrived ^ ALL_WARPS;
    return STEP_BLOCK;
}

enum step_result ptxm_wgmma_settle(struct warp *w, uint32_t mark)
{
    return settle(w, mark);
}

void ptxm_wgmma_some(struct warp *w)
{
    struct warpgroup *g = group_of(w);
    while (g->done < g->first + g->count && all_arrived(g, g->done + 1) &&
           (ptxm_random(&w->cta->random) & 3) == 0)
        run_until(w, g->done + 1);
}

// ---- the family's common part ------------------------------------------------------------------

static bool prepare(struct warp *w)
{
    struct cta *cta = w->cta;
    struct allocator *a = cta->grid->allocator;
    size_t marks = cta->grid->module->register_bytes / 16 + 1;
    if (!cta->warpgroups)
        cta->warpgroups = ptxm_alloc_zero(a, cta->warp_count / WARPGROUP_WARPS *
                                                 sizeof *cta->warpgroups);
    if (cta->warpgroups && !w->flight)
        w->flight = ptxm_alloc_zero(a, sizeof *w->flight + marks * sizeof *w->flight->marks);
    if (cta->warpgroups && w->flight) {
        if (!group_of(w)->watched)
            group_of(w)->agent = ptxm_agent_create(cta);
        return group_of(w)->watched = true;
    }
    ptxm_cta_out_of_memory(cta);
    return false;
}

// All lanes of the warp, in a warpgroup of four warps.
static enum step_result meet(struct warp *w, const struct op *op, uint32_t mask)
{
    enum step_result result = ptxm_converge(w, mask, UINT32_MAX);
    if (result != STEP_NEXT)
        return result;
    bool whole = (w->index | (WARPGROUP_WARPS - 1)) < w->cta->warp_count;
    if (!whole || mask != UINT32_MAX) {
        ptxm_finding(w, op, (unsigned)__builtin_ctz(mask), RULE_WGMMA_WARPGROUP, NULL, 0,
                     ACCESS_READ, "%s: %s", ptxm_rule_message(RULE_WGMMA_WARPGROUP),
                     whole ? "lanes of this warp have exited"
                           : "the CTA has no four warps here");
        return STEP_ABORT;
    }
    return prepare(w) ? STEP_NEXT : STEP_ABORT;
}

enum step_result ptxm_step_wgmma_fence(struct warp *w, const struct op *op, uint32_t mask)
{
    enum step_result result = meet(w, op, mask);
    if (result == STEP_NEXT)
        w->flight->fences++;
    return result;
}

enum step_result ptxm_step_wgmma_commit(struct warp *w, const struct op *op, uint32_t mask)
{
    enum step_result result = meet(w, op, mask);
    if (result != STEP_NEXT)
        return result;
    w->flight->groups++;
    w->flight->committed = w->flight->issued;
    return STEP_NEXT;
}

// ---- wait --------------------------------------------------------------------------------------

// The product has run, so all four warps have come to it.
static void meet_warps(struct warp *w, const struct wgmma_record *last)
{
    const struct warp *first = w - w->index % WARPGROUP_WARPS;
    for (unsigned i = 0; i < WARPGROUP_WARPS; i++) {
        if (last->meetings[i] <= w->flight->meetings[i] || first + i == w)
            continue;
        w->flight->meetings[i] = last->meetings[i];
        ptxm_phases_meet_warp(w, first + i, last->meetings[i]);
    }
}

static void drop_retired(struct warpgroup *g)
{
    size_t gone = 0;
    while (gone < g->count && g->records[gone].retired == ALL_WARPS) gone++;
    if (!gone)
        return;
    memmove(g->records, g->records + gone, (g->count - gone) * sizeof *g->records);
    g->count -= gone;
    g->first += (uint32_t)gone;
}

enum step_result ptxm_step_wgmma_wait(struct warp *w, const struct op *op, uint32_t mask)
{
    enum step_result result = meet(w, op, mask);
    if (result != STEP_NEXT)
        return result;
    struct flight *f = w->flight;
    struct warpgroup *g = group_of(w);
    if (f->committed < f->issued)
        ptxm_wgmma_finding(w, op, 0, RULE_WGMMA_UNCOMMITTED, record_at(g, f->issued - 1)->op);
    uint32_t over = f->groups > op->immediate ? f->groups - op->immediate : 0, end = f->retired;
    while (end < f->committed && record_at(g, end)->group < over) end++;
    if (end == f->retired)
        return STEP_NEXT;
    result = settle(w, end);
    if (result != STEP_NEXT)
        return result;
    for (uint32_t i = f->retired; i < end; i++) record_at(g, i)->retired |= (uint8_t)bit_of(w);
    f->retired = end;
    meet_warps(w, record_at(g, end - 1));
    drop_retired(g);
    ptxm_agent_learn(w, mask, w->cta, g->agent, over);
    return STEP_NEXT;
}

// ---- issue -------------------------------------------------------------------------------------

static bool same_product(const struct op *a, const struct op *b)
{
    return a->immediate == b->immediate && a->type == b->type && a->type2 == b->type2 &&
           a->vector == b->vector && a->mode == b->mode;
}

// Accumulators may belong to earlier products of the same shape, or a fence stands between.
static void check_accumulator(struct warp *w, const struct op *op, const struct flight_mark *m,
                              bool *reported)
{
    const struct flight *f = w->flight;
    if (*reported)
        return;
    const struct op *other = NULL;
    enum rule rule = RULE_WGMMA_FENCE;
    if (m->dirty == f->fences && m->toucher) {
        other = op_number(w, m->toucher);
    } else if (m->reader > f->retired) {
        other = ptxm_wgmma_op(w, m->reader);
        rule = RULE_WGMMA_IN_FLIGHT;
    } else if (m->writer > f->retired && m->fenced == f->fences &&
               !same_product(op, ptxm_wgmma_op(w, m->writer))) {
        other = ptxm_wgmma_op(w, m->writer);
    }
    *reported = other != NULL;
    if (other)
        ptxm_wgmma_finding(w, op, 0, rule, other);
}

static void check_registers(struct warp *w, const struct op *op)
{
    struct flight *f = w->flight;
    bool reported = false;
    if (!f->fences) {
        ptxm_finding(w, op, 0, RULE_WGMMA_FENCE, NULL, 0, ACCESS_READ,
                     "no wgmma.fence stands before the first wgmma of this warp");
        reported = true;
    }
    for (unsigned k = 0; k < op->ndst; k++)
        if (op->operands[k] >= 0)
            check_accumulator(w, op, ptxm_flight_mark(f, op->operands[k]), &reported);
    for (unsigned k = op->ndst; op->flags & WGMMA_A_REGISTERS && k < op->ndst + 4u; k++) {
        if (op->operands[k] < 0 || reported)
            continue;
        const struct flight_mark *m = ptxm_flight_mark(f, op->operands[k]);
        bool running = m->writer > f->retired, dirty = m->dirty == f->fences && m->toucher;
        if (running || dirty)
            ptxm_wgmma_finding(w, op, 0, running ? RULE_WGMMA_IN_FLIGHT : RULE_WGMMA_FENCE,
                               running ? ptxm_wgmma_op(w, m->writer) : op_number(w, m->toucher));
        reported = running || dirty;
    }
}

static void mark_registers(struct flight *f, const struct op *op, uint32_t mark)
{
    for (unsigned k = 0; k < op->ndst; k++) {
        if (op->operands[k] < 0)
            continue;
        ptxm_flight_mark(f, op->operands[k])->writer = mark;
        ptxm_flight_mark(f, op->operands[k])->fenced = f->fences;
    }
    for (unsigned k = op->ndst; op->flags & WGMMA_A_REGISTERS && k < op->ndst + 4u; k++)
        if (op->operands[k] >= 0)
            ptxm_flight_mark(f, op->operands[k])->reader = mark;
}

static bool uniform(const uint64_t *lanes)
{
    for (unsigned i = 1; i < LANES; i++)
        if (lanes[i] != lanes[0])
            return false;
    return true;
}

static struct wgmma_record make_record(struct warp *w, const struct op *op)
{
    bool registers = op->flags & WGMMA_A_REGISTERS;
    const uint64_t *a = registers ? NULL : ptxm_src(w, op, 0);
    const uint64_t *b = ptxm_src(w, op, registers ? 4 : 1);
    uint32_t adds = *(const uint32_t *)ptxm_src(w, op, registers ? 5 : 2);
    if ((a && !uniform(a)) || !uniform(b) || (adds && adds != UINT32_MAX))
        ptxm_finding(w, op, 0, RULE_WGMMA_WARPGROUP, NULL, 0, ACCESS_READ,
                     "the lanes of warp %u do not agree about %s", w->index,
                     adds && adds != UINT32_MAX ? "scale-d" : "a descriptor");
    return (struct wgmma_record){.op = op, .a = a ? a[0] : 0, .b = b[0],
                                 .group = w->flight->groups, .adds = adds & 1};
}

static void compare(struct warp *w, const struct wgmma_record *first,
                    const struct wgmma_record *mine)
{
    const char *what = first->a != mine->a || first->b != mine->b ? "the descriptors"
                     : first->adds != mine->adds                  ? "scale-d"
                     : first->group != mine->group                ? "the commit group" : NULL;
    if (first->op != mine->op)
        ptxm_wgmma_finding(w, mine->op, 0, RULE_WGMMA_WARPGROUP, first->op);
    else if (what)
        ptxm_finding(w, mine->op, 0, RULE_WGMMA_WARPGROUP, NULL, 0, ACCESS_READ,
                     "the warps of a warpgroup do not agree about %s (warp %u)", what, w->index);
}

// The record of this warp's next product, made by the first warp that comes to it.
static struct wgmma_record *enter(struct warp *w, const struct op *op)
{
    struct warpgroup *g = group_of(w);
    struct wgmma_record mine = make_record(w, op);
    uint32_t number = w->flight->issued;
    if (number < g->first + g->count) {
        compare(w, record_at(g, number), &mine);
        return record_at(g, number);
    }
    if (!PTXM_GROW(w->cta->grid->allocator, g->records, g->count, g->capacity)) {
        ptxm_cta_out_of_memory(w->cta);
        return NULL;
    }
    if (!g->scratch && !(g->scratch = ptxm_alloc_zero(w->cta->grid->allocator,
                                                      sizeof *g->scratch))) {
        ptxm_cta_out_of_memory(w->cta);
        return NULL;
    }
    g->records[g->count++] = mine;
    const struct warp *first = w - w->index % WARPGROUP_WARPS;
    for (const struct warp *x = first; x < first + WARPGROUP_WARPS; x++)
        if (!x->live)
            ptxm_finding(w, op, 0, RULE_WGMMA_WARPGROUP, NULL, 0, ACCESS_READ,
                         "%s: warp %u has exited", ptxm_rule_message(RULE_WGMMA_WARPGROUP),
                         x->index);
    return record_at(g, number);
}

// This warp's part of the product reads from now on, until its group is over.
static void show_reads(struct warp *w, const struct wgmma_record *record)
{
    struct warpgroup *g = group_of(w);
    uint32_t operation = ptxm_async_begin(w, record->op, 0);
    if (!operation)
        return;
    // The end comes first: what earlier products of the warpgroup have read is then forgotten.
    ptxm_async_end(w->cta, operation, ASYNC_READS, w->cta, g->agent, w->flight->groups);
    ptxm_wgmma_read(w, record, operation);
}

enum step_result ptxm_step_wgmma(struct warp *w, const struct op *op, uint32_t mask)
{
    enum step_result result = meet(w, op, mask);
    if (result != STEP_NEXT)
        return result;
    check_registers(w, op);
    struct wgmma_record *record = enter(w, op);
    if (!record)
        return STEP_ABORT;
    w->flight->issued++;
    mark_registers(w->flight, op, w->flight->issued);
    show_reads(w, record);
    record->arrived |= (uint8_t)bit_of(w);
    record->meetings[w->index % WARPGROUP_WARPS] = w->meetings;
    if (record->arrived != ALL_WARPS)
        return STEP_NEXT;
    w->cta->counters.matrix_multiplies++;
    w->cta->counters.multiply_adds += 64u * (op->immediate & 0xffff) * (op->immediate >> 16);
    ptxm_wgmma_check(w, record);
    if (w->cta->profile)
        ptxm_wgmma_profile(w, record);
    if (w->cta->grid->options.completion == PTXM_EAGER)
        run_until(w, w->flight->issued);
    wake(w);
    return STEP_NEXT;
}

// ---- setmaxnreg --------------------------------------------------------------------------------

static void check_change(struct warp *w, const struct op *op, const struct op *other)
{
    const struct flight *f = w->flight;
    if (op->flags & OPF_NEGATE)
        ptxm_finding(w, op, 0, RULE_SETMAXNREG, NULL, 0, ACCESS_READ,
                     "setmaxnreg has no effect in a kernel without .maxntid or .reqntid");
    else if (other && other != op)
        ptxm_wgmma_finding(w, op, 0, RULE_SETMAXNREG, other);
    else if (f->registers && (op->mode ? op->immediate < f->registers
                                       : op->immediate > f->registers))
        ptxm_finding(w, op, 0, RULE_SETMAXNREG, NULL, 0, ACCESS_READ,
                     "setmaxnreg.%s to %u registers, from %u", op->mode ? "inc" : "dec",
                     op->immediate, f->registers);
}

enum step_result ptxm_step_setmaxnreg(struct warp *w, const struct op *op, uint32_t mask)
{
    enum step_result result = meet(w, op, mask);
    if (result != STEP_NEXT)
        return result;
    struct warpgroup *g = group_of(w);
    struct flight *f = w->flight;
    const struct op **first = &g->changed[f->changes % RECENT_CHANGES];
    bool seen = f->changes < g->changes && g->changes - f->changes <= RECENT_CHANGES;
    check_change(w, op, seen ? *first : NULL);
    const struct warp *zero = w - w->index % WARPGROUP_WARPS;
    for (const struct warp *x = zero; x < zero + WARPGROUP_WARPS; x++)
        if (!x->live && (!x->flight || x->flight->changes <= f->changes))
            ptxm_finding(w, op, 0, RULE_SETMAXNREG, NULL, 0, ACCESS_READ,
                         "warp %u of the warpgroup has exited without this setmaxnreg", x->index);
    if (f->changes == g->changes) {
        *first = op;
        g->changes++;
    }
    f->changes++;
    f->registers = op->immediate;
    return STEP_NEXT;
}

// ---- exit --------------------------------------------------------------------------------------

void ptxm_wgmma_at_exit(struct warp *w)
{
    if (w->index / WARPGROUP_WARPS >= w->cta->warp_count / WARPGROUP_WARPS)
        return;
    struct warpgroup *g = group_of(w);
    uint32_t changes = w->flight ? w->flight->changes : 0;
    uint32_t issued = w->flight ? w->flight->issued : 0;
    uint32_t retired = w->flight ? w->flight->retired : 0;
    if (changes < g->changes && g->changes - changes <= RECENT_CHANGES)
        ptxm_finding(w, g->changed[changes % RECENT_CHANGES], 0, RULE_SETMAXNREG, NULL, 0,
                     ACCESS_READ, "warp %u of the warpgroup exits before it executes setmaxnreg",
                     w->index);
    if (retired < issued) {
        ptxm_wgmma_finding(w, record_at(g, retired)->op, 0, RULE_WGMMA_AT_EXIT, NULL);
        // It has been told: that the operation outlives the CTA need not be said again.
        ptxm_agent_learn(w, UINT32_MAX, w->cta, g->agent, w->flight->groups + 1);
    }
    if (issued < g->first + g->count)
        ptxm_finding(w, record_at(g, issued)->op, 0, RULE_WGMMA_WARPGROUP, NULL, 0, ACCESS_READ,
                     "%s: warp %u exits before it", ptxm_rule_message(RULE_WGMMA_WARPGROUP),
                     w->index);
}
