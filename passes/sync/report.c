// SPDX-License-Identifier: MIT
// The report of a kernel's synchronization as text. See report.h.
#include "passes/sync/report.h"

#include <stdio.h>
#include <string.h>

typedef struct writer {
    kg_arena *arena;
    char *items;
    int count, capacity;
} writer;

static void say(writer *w, const char *text)
{
    for (; *text; text++) KG_PUSH(w->arena, w, *text);
}

static const char *place(kg_arena *arena, kg_loc loc)
{
    return loc.line ? kg_arena_printf(arena, "line %d", loc.line) : "an inserted op";
}

static const char *sync_text(kg_arena *arena, const kg_op *op)
{
    const char *name = kg_op_info_of(op->code)->name;
    if (op->code == KG_OP_WAIT)
        return kg_arena_printf(arena, "wait %lld", (long long)kg_op_int(op, KG_A_COUNT, 0));
    if (kg_op_attr(op, KG_A_ID))
        return kg_arena_printf(arena, "%s id %lld count %lld", name,
                               (long long)kg_op_int(op, KG_A_ID, 0),
                               (long long)kg_op_int(op, KG_A_COUNT, 0));
    return name;
}

static const char *buffer_name(kg_arena *arena, const kg_value *v)
{
    if (!v) return "global memory";
    return v->name ? v->name : kg_arena_printf(arena, "%%%d", v->id);
}

static const char *thread_text(kg_arena *arena, int thread)
{
    return thread < 0 ? "" : kg_arena_printf(arena, " (thread %d)", thread);
}

static void say_reason(writer *w, const kg_sync_reason *r)
{
    kg_arena *a = w->arena;
    say(w, kg_arena_printf(a, "    %3d  %s%s %s %s, then %s%s %s %s", r->number,
                           place(a, r->a->loc), thread_text(a, r->thread_a), r->a_does,
                           buffer_name(a, r->other ? r->other : r->buffer), place(a, r->b->loc),
                           thread_text(a, r->thread_b), r->b_does, buffer_name(a, r->buffer)));
    if (r->loop)
        say(w, kg_arena_printf(a, ", %lld trip%s later of the loop at %s", (long long)r->distance,
                               r->distance == 1 ? "" : "s", place(a, r->loop->loc)));
    if (r->other) say(w, " on the same bytes");
    if (r->byte >= 0) say(w, kg_arena_printf(a, ", byte %lld", (long long)r->byte));
    say(w, "\n");
}

char *kg_sync_explain(kg_arena *arena, const kg_kernel *kernel, const kg_sync_report *report)
{
    writer w = {.arena = arena};
    say(&w, kg_arena_printf(arena, "%s: %d synchronization%s, %d obligation%s\n", kernel->name,
                            report->n_syncs, report->n_syncs == 1 ? "" : "s", report->n_reasons,
                            report->n_reasons == 1 ? "" : "s"));
    for (int i = 0; i < report->n_syncs; i++) {
        const kg_sync_entry *e = &report->syncs[i];
        say(&w, kg_arena_printf(arena, "S%d %s at %s%s", e->id, sync_text(arena, e->op),
                                place(arena, e->op->loc), e->by_hand ? ", by hand" : ""));
        say(&w, e->n_reasons ? kg_arena_printf(arena, ", for %d\n", e->n_reasons) : "\n");
        for (int k = 0; k < e->n_reasons; k++) say_reason(&w, &report->reasons[e->reasons[k]]);
    }
    int by_hand = 0, by_author = 0;
    for (int i = 0; i < report->n_reasons; i++) {
        by_hand += report->reasons[i].by_hand;
        by_author += report->reasons[i].by_author;
    }
    if (by_hand)
        say(&w, kg_arena_printf(
                    arena, "%d obligations are met by synchronization that stood there before\n",
                    by_hand));
    if (by_author)
        say(&w, kg_arena_printf(arena,
                                "%d obligations between roles are left to the author's barriers\n",
                                by_author));
    KG_PUSH(arena, &w, '\0');
    return w.items;
}
