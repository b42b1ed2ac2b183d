// SPDX-License-Identifier: MIT
// Why there are fences between proxies, or none: one sentence a buffer. See report.h.
#include "passes/sync/phases.h"
#include "passes/sync/record.h"

typedef struct touched {
    const kg_value *buffer;
    const char *by_engine, *by_threads; // ops, in words
} touched;

static const char *joined(kg_arena *arena, const char *list, const kg_op *op)
{
    const char *text = kg_sync_op_text(arena, op);
    return list ? kg_arena_printf(arena, "%s, %s", list, text) : text;
}

static bool seen_before(const kg_sync_program *p, int access)
{
    const kg_sync_access *a = &p->accesses.items[access];
    for (int i = 0; i < access; i++) {
        const kg_sync_access *b = &p->accesses.items[i];
        if (!b->global && b->at.root == a->at.root && b->at.op->loc.line == a->at.op->loc.line &&
            b->at.op->code == a->at.op->code)
            return true;
    }
    return false;
}

static touched find_touched(const kg_sync_program *p, const kg_value *buffer)
{
    touched t = {.buffer = buffer};
    for (int i = 0; i < p->accesses.count; i++) {
        const kg_sync_access *a = &p->accesses.items[i];
        if (a->global || a->at.root != buffer || seen_before(p, i)) continue;
        const char **list = a->async_proxy ? &t.by_engine : &t.by_threads;
        *list = joined(p->arena, *list, a->at.op);
    }
    return t;
}

// "S4, S9" for the fences that obligations of the buffer have.
static const char *fences_of(const kg_sync_outcome *c, const kg_sync_report *report,
                             const kg_value *buffer)
{
    const char *text = NULL;
    int most = 0;
    bool *has;
    for (int i = 0; i < report->n_reasons; i++)
        if (report->reasons[i].fenced_by > most) most = report->reasons[i].fenced_by;
    has = KG_NEW_ARRAY(c->p->arena, bool, most + 1);
    for (int i = 0; i < report->n_reasons; i++) {
        const kg_sync_reason *r = &report->reasons[i];
        if (r->buffer == buffer || r->other == buffer) has[r->fenced_by] = true;
    }
    for (int i = 1; i <= most; i++)
        if (has[i])
            text = text ? kg_arena_printf(c->p->arena, "%s, S%d", text, i)
                        : kg_arena_printf(c->p->arena, "S%d", i);
    return text;
}

static const char *sentence(const kg_sync_outcome *c, const kg_sync_report *report,
                            const touched *t)
{
    kg_arena *arena = c->p->arena;
    const char *name = kg_sync_buffer_name(arena, c->p->kernel, t->buffer);
    const char *fences = fences_of(c, report, t->buffer);
    if (!t->by_threads)
        return kg_arena_printf(arena,
                               "%s: no fence, only the async proxy touches it (%s); phases of "
                               "mbarriers and waits order that",
                               name, t->by_engine);
    if (!fences)
        return kg_arena_printf(arena,
                               "%s: no fence, what the async proxy does (%s) is complete before "
                               "threads touch it (%s), and never the other way round",
                               name, t->by_engine, t->by_threads);
    return kg_arena_printf(arena,
                           "%s: %s, once for each rendezvous by all who touched it: threads (%s) "
                           "come before the async proxy (%s)",
                           name, fences, t->by_threads, t->by_engine);
}

static bool is_first(const kg_sync_program *p, int access)
{
    const kg_sync_access *a = &p->accesses.items[access];
    for (int i = 0; i < access; i++)
        if (!p->accesses.items[i].global && p->accesses.items[i].at.root == a->at.root)
            return false;
    return true;
}

void kg_sync_say_proxies(const kg_sync_outcome *c, kg_sync_report *report)
{
    const kg_sync_program *p = c->p;
    report->proxies = KG_NEW_ARRAY(p->arena, const char *, p->accesses.count + 1);
    for (int i = 0; i < p->accesses.count; i++) {
        const kg_sync_access *a = &p->accesses.items[i];
        if (a->global || a->object || kg_sync_mbarrier(a->at.op) == a->at.root || !is_first(p, i))
            continue;
        touched t = find_touched(p, a->at.root);
        if (t.by_engine) report->proxies[report->n_proxies++] = sentence(c, report, &t);
    }
}
