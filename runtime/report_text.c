// SPDX-License-Identifier: MIT
// The report of a program as text.
#include "runtime/report.h"
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

#define SAY(w, ...) say(w, kg_arena_printf((w)->arena, __VA_ARGS__))

static const char *plural(int n)
{
    return n == 1 ? "" : "s";
}

static void say_access(writer *w, const kgen_access_info *a, const char *buffer)
{
    if (a->line)
        SAY(w, "line %d", a->line);
    else
        say(w, "an inserted op");
    if (a->thread >= 0) SAY(w, " (thread %d)", a->thread);
    SAY(w, " %s %s", a->does, buffer);
}

static const char *pair_text(kg_arena *arena, const kgen_sync_info *s, const kgen_obligation *o)
{
    writer w = {.arena = arena};
    say_access(&w, &o->first, o->first.buffer);
    say(&w, ", then ");
    say_access(&w, &o->second, o->second.buffer);
    if (o->loop_line)
        SAY(&w, ", %lld trip%s later of the loop at line %d", (long long)o->distance,
            plural((int)o->distance), o->loop_line);
    if (o->other_buffer) say(&w, " on the same bytes");
    if (o->byte >= 0) SAY(&w, ", byte %lld", (long long)o->byte);
    if (o->wait && o->wait != s->id) SAY(&w, "; S%d completes it", o->wait);
    if (o->completion && !o->wait) say(&w, "; waits on the way complete it");
    say(&w, "\n");
    if (o->alone && !strstr(o->alone, s->where)) SAY(&w, "          alone: %s\n", o->alone);
    KG_PUSH(arena, &w, '\0');
    return w.items;
}

static bool is_wait(const kgen_sync_info *s)
{
    return strstr(s->kind, "wait") && strcmp(s->kind, "mbarrier_wait");
}

static bool is_fence(const kgen_sync_info *s)
{
    return !strcmp(s->kind, "proxy_fence") || !strcmp(s->kind, "wgmma_fence");
}

// A wait's obligations are listed where their threads meet.
static void say_completed(writer *w, const kgen_report *report, const kgen_sync_info *s)
{
    int n = 0;
    for (int i = 0; i < s->n_obligations; i++) {
        const kgen_obligation *o = &report->obligations[s->obligations[i]];
        if (o->sync == s->id) continue;
        SAY(w, n++ ? ", %d" : "    completes the copies of %d", o->number);
    }
    if (n) say(w, "\n");
}

// Pairs that read alike are listed once.
static void say_obligations(writer *w, const kgen_report *report, const kgen_sync_info *s)
{
    const char **texts = KG_NEW_ARRAY(w->arena, const char *, s->n_obligations + 1);
    for (int i = 0; i < s->n_obligations; i++) {
        const kgen_obligation *o = &report->obligations[s->obligations[i]];
        if (o->sync == s->id || is_fence(s)) texts[i] = pair_text(w->arena, s, o);
    }
    for (int i = 0; i < s->n_obligations; i++) {
        if (!texts[i]) continue;
        SAY(w, "    %4d", report->obligations[s->obligations[i]].number);
        for (int k = i + 1; k < s->n_obligations; k++)
            if (texts[k] && !strcmp(texts[i], texts[k])) {
                SAY(w, ", %d", report->obligations[s->obligations[k]].number);
                texts[k] = NULL;
            }
        SAY(w, "  %s", texts[i]);
    }
}

static const char *runs_text(kg_arena *arena, double runs)
{
    if (runs <= 1) return runs == 1 ? "runs once" : "runs at most once";
    return kg_arena_printf(arena, "about %.0f runs", runs);
}

static void say_repair(writer *w, const kgen_sync_info *s, const kgen_repair *r)
{
    bool rejected = !strcmp(r->verdict, "rejected");
    SAY(w, "      %s: %s%s%s", r->repair, rejected ? "" : r->verdict, rejected ? "" : ", ",
        r->text);
    if (r->runs > 0 && (int)(r->runs + 0.5) != (int)(s->runs + 0.5))
        SAY(w, " (%s)", runs_text(w->arena, r->runs));
    say(w, "\n");
}

static void say_sync(writer *w, const kgen_report *report, const kgen_sync_info *s)
{
    SAY(w, "\nS%d %s %s%s", s->id, s->name, s->where, s->by_hand ? ", by hand" : "");
    if (s->runs > 0) SAY(w, "; %s", runs_text(w->arena, s->runs));
    if (s->sharing_only) say(w, "; only because buffers share bytes");
    say(w, "\n");
    if (*s->summary) SAY(w, "    %s\n", s->summary);
    if (s->n_obligations && !is_wait(s))
        SAY(w, "    orders %d pair%s of accesses:\n", s->n_obligations, plural(s->n_obligations));
    if (is_wait(s)) say_completed(w, report, s);
    say_obligations(w, report, s);
    if (s->n_repairs) say(w, "    considered instead:\n");
    for (int i = 0; i < s->n_repairs; i++) say_repair(w, s, &s->repairs[i]);
}

static void say_summary(writer *w, const kgen_report *r)
{
    int spared = r->same_thread + r->by_ring;
    SAY(w, "%s for %s: %d synchronization%s, %d obligation%s\n", r->kernel, r->target, r->n_syncs,
        plural(r->n_syncs), r->n_obligations, plural(r->n_obligations));
    if (spared)
        SAY(w, "%d more pair%s of accesses need%s nothing:%s%s%s\n", spared, plural(spared),
            spared == 1 ? "s" : "",
            r->same_thread
                ? kg_arena_printf(w->arena, " in %d one thread does both", r->same_thread)
                : "",
            r->same_thread && r->by_ring ? "," : "",
            r->by_ring ? kg_arena_printf(w->arena, " in %d a ring keeps them in different slots",
                                         r->by_ring)
                       : "");
}

static void say_sharing(writer *w, const kgen_report *r)
{
    SAY(w, "shared memory: %lld of %lld bytes", (long long)r->shared_bytes,
        (long long)r->shared_limit);
    if (r->shared_apart <= r->shared_bytes) {
        say(w, "\n");
        return;
    }
    int cost = 0;
    for (int i = 0; i < r->n_syncs; i++) cost += r->syncs[i].sharing_only;
    SAY(w, "; sharing saves %lld and costs %d synchronization%s\n",
        (long long)(r->shared_apart - r->shared_bytes), cost, plural(cost));
}

// A copy that only its own thread is concerned with, and that a replay finds complete by then.
static bool complete_anyway(const kgen_obligation *o)
{
    return !o->sync && o->completion && !o->by_hand && !o->by_author;
}

static void say_others(writer *w, const kgen_report *r)
{
    int together = 0, by_author = 0, complete = 0;
    for (int i = 0; i < r->n_obligations; i++) {
        complete += complete_anyway(&r->obligations[i]);
        by_author += r->obligations[i].by_author && !r->obligations[i].sync;
        together += r->obligations[i].by_hand && !r->obligations[i].sync;
    }
    if (together)
        SAY(w, "\n%d obligation%s met by several synchronizations of the author together\n",
            together, together == 1 ? " is" : "s are");
    if (complete)
        SAY(w, "\n%d cop%s complete in time by waits for others\n", complete,
            complete == 1 ? "y is" : "ies are");
    if (by_author)
        SAY(w, "\n%d obligation%s between roles left to the author's barriers\n", by_author,
            by_author == 1 ? " is" : "s are");
    if (r->n_proxies) say(w, "\nfences between threads and the async proxy\n");
    for (int i = 0; i < r->n_proxies; i++) SAY(w, "  %s\n", r->proxies[i]);
}

static void say_changes(writer *w, const kgen_report *r)
{
    if (!r->n_changes && !r->fewest) return;
    say(w, "\nchanges considered instead\n");
    for (int i = 0; i < r->n_changes; i++) {
        const kgen_change *c = &r->changes[i];
        if (c->line)
            SAY(w, "  %s, line %d: %s: %s", c->taken ? "taken" : "not taken", c->line, c->what,
                c->text);
        else
            SAY(w, "  %s: %s: %s", c->taken ? "taken" : "not taken", c->what, c->text);
        if (c->fits)
            SAY(w, "; cost %lld -> %lld\n", (long long)c->cost_before, (long long)c->cost_after);
        else
            say(w, c->taken ? "; without it memory does not suffice\n" : "; does not fit\n");
    }
    if (r->fewest) SAY(w, "  %s\n", r->fewest);
}

static void say_proof(writer *w, const kgen_report *r)
{
    if (!r->proof) return;
    SAY(w, "\nproof: %s", r->proof);
    if (r->proof_reason) SAY(w, ", %s", r->proof_reason);
    SAY(w, "; %d states of %d cells of shared memory\n", r->proof_states, r->proof_cells);
}

const char *program_make_explanation(kgen_program *program, const kgen_report *report)
{
    writer w = {.arena = &program->arena};
    say_summary(&w, report);
    say_sharing(&w, report);
    for (int i = 0; i < report->n_syncs; i++) say_sync(&w, report, &report->syncs[i]);
    say_others(&w, report);
    say_changes(&w, report);
    say_proof(&w, report);
    KG_PUSH(w.arena, &w, '\0');
    return w.items;
}
