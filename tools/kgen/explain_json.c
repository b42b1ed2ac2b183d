// SPDX-License-Identifier: MIT
// The report of a program as JSON; docs/explain.md has the schema.
#include "explain.h"
#include "output.h"
#include <string.h>

enum { SCHEMA_VERSION = 1 };

static json_t *id_or_null(int sync)
{
    char text[16];
    if (!sync) return json_null();
    snprintf(text, sizeof text, "S%d", sync);
    return must(json_string(text));
}

static json_t *number_or_null(long long number, long long none)
{
    return number == none ? json_null() : must(json_integer(number));
}

static json_t *json_of_access(const kgen_access_info *a)
{
    return must(json_pack("{s:o, s:s, s:s, s:o, s:o}", "line", number_or_null(a->line, 0), "op",
                          a->op, "does", a->does, "buffer", json_text(a->buffer), "thread",
                          number_or_null(a->thread, -1)));
}

static json_t *json_of_obligation(const kgen_obligation *o)
{
    static const char *const meets[] = {"thread", "warp", "cta"};
    json_t *value = must(json_pack("{s:i, s:o, s:o, s:I, s:o, s:o, s:s, s:b, s:b}", "number",
                                   o->number, "first", json_of_access(&o->first), "second",
                                   json_of_access(&o->second), "distance", (json_int_t)o->distance,
                                   "loop_line", number_or_null(o->loop_line, 0), "byte",
                                   number_or_null(o->byte, -1), "meet", meets[o->meet],
                                   "completion", o->completion, "other_buffer", o->other_buffer));
    json_t *met = must(json_pack("{s:o, s:o, s:b, s:b, s:b, s:i, s:o, s:o}", "sync",
                                 id_or_null(o->sync), "wait", id_or_null(o->wait), "needs_sync",
                                 o->needs_sync, "by_hand", o->by_hand, "by_author", o->by_author,
                                 "choices", o->choices, "alone", json_text(o->alone), "alone_runs",
                                 o->alone ? json_number(o->alone_runs) : json_null()));
    json_object_update(value, met);
    json_decref(met);
    return value;
}

static json_t *json_of_repair(const kgen_repair *r)
{
    return must(json_pack("{s:o, s:s, s:o, s:o}", "repair", json_text(r->repair), "verdict",
                          r->verdict, "runs", r->runs < 0 ? json_null() : json_number(r->runs),
                          "text", json_text(r->text)));
}

static json_t *json_of_sync(const kgen_report *report, const kgen_sync_info *s)
{
    json_t *obligations = must(json_array()), *repairs = must(json_array()),
           *copies = must(json_array());
    for (int i = 0; i < s->n_obligations; i++)
        json_array_append_new(obligations,
                              json_integer(report->obligations[s->obligations[i]].number));
    for (int i = 0; i < s->n_repairs; i++)
        json_array_append_new(repairs, json_of_repair(&s->repairs[i]));
    for (int i = 0; i < s->n_copy_lines; i++)
        json_array_append_new(copies, json_integer(s->copy_lines[i]));
    json_t *value =
        must(json_pack("{s:o, s:s, s:s, s:o, s:o, s:i, s:i, s:o, s:o}", "id", id_or_null(s->id),
                       "kind", s->kind, "name", s->name, "count", number_or_null(s->count, -1),
                       "line", number_or_null(s->line, 0), "after_line", s->after_line, "ir_line",
                       s->ir_line, "where", json_text(s->where), "summary", json_text(s->summary)));
    json_t *more = must(json_pack("{s:i, s:o, s:b, s:b, s:o, s:o, s:o}", "loops", s->loops, "runs",
                                  s->runs > 0 ? json_number(s->runs) : json_null(), "by_hand",
                                  s->by_hand, "sharing_only", s->sharing_only, "obligations",
                                  obligations, "repairs", repairs, "copy_lines", copies));
    json_object_update(value, more);
    json_decref(more);
    return value;
}

static json_t *json_of_buffer(const kgen_shared_info *b)
{
    return must(json_pack("{s:o, s:s, s:o, s:I, s:I, s:I, s:i, s:o, s:o}", "name",
                          json_text(b->name), "type", b->type, "line", number_or_null(b->line, 0),
                          "offset", (json_int_t)b->offset, "bytes", (json_int_t)b->bytes,
                          "slot_bytes", (json_int_t)b->slot_bytes, "slots", b->slots, "first_point",
                          number_or_null(b->first, -1), "last_point", number_or_null(b->last, -1)));
}

static json_t *json_of_overlap(const kgen_overlap_info *o)
{
    json_t *syncs = must(json_array());
    for (int i = 0; i < o->n_syncs; i++) json_array_append_new(syncs, id_or_null(o->syncs[i]));
    return must(json_pack("{s:[i, i], s:I, s:o}", "buffers", o->a, o->b, "bytes",
                          (json_int_t)o->bytes, "syncs", syncs));
}

static json_t *json_of_shared(const kgen_report *r)
{
    json_t *buffers = must(json_array()), *overlaps = must(json_array());
    for (int i = 0; i < r->n_buffers; i++)
        json_array_append_new(buffers, json_of_buffer(&r->buffers[i]));
    for (int i = 0; i < r->n_overlaps; i++)
        json_array_append_new(overlaps, json_of_overlap(&r->overlaps[i]));
    return must(json_pack("{s:I, s:I, s:I, s:o, s:o}", "bytes", (json_int_t)r->shared_bytes,
                          "limit", (json_int_t)r->shared_limit, "bytes_apart",
                          (json_int_t)r->shared_apart, "buffers", buffers, "overlaps", overlaps));
}

static json_t *json_of_point(const kgen_point_info *p)
{
    return must(json_pack("{s:s, s:o, s:i, s:o, s:o}", "op", p->op, "line",
                          number_or_null(p->line, 0), "loops", p->loops, "loop",
                          number_or_null(p->loop, -1), "sync", id_or_null(p->sync)));
}

static json_t *json_of_event(const kgen_event_info *e)
{
    static const char *const phases[] = {"before", "trip", "after"};
    return must(json_pack("{s:s, s:i, s:s, s:o, s:i, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:i}",
                          "kind", e->kind, "step", e->step, "phase", phases[e->phase], "trip",
                          e->phase == 1 ? json_integer(e->trip) : json_null(), "round", e->round,
                          "op", e->op, "role", json_text(e->role), "line",
                          number_or_null(e->line, 0), "sync", id_or_null(e->sync), "buffer",
                          number_or_null(e->buffer, -1), "slot",
                          e->buffer < 0 ? json_null() : number_or_null(e->slot, -1), "group",
                          number_or_null(e->group, 0), "in_flight", e->in_flight));
}

static json_t *json_of_timeline(const kgen_timeline_info *t)
{
    json_t *events = must(json_array());
    for (int i = 0; i < t->n_events; i++)
        json_array_append_new(events, json_of_event(&t->events[i]));
    return must(json_pack("{s:o, s:i, s:i, s:i, s:b, s:o}", "line", number_or_null(t->line, 0),
                          "trips", t->trips, "rounds", t->rounds, "ring", t->ring, "cut", t->cut,
                          "events", events));
}

static json_t *json_of_changes(const kgen_report *r)
{
    json_t *changes = must(json_array());
    for (int i = 0; i < r->n_changes; i++) {
        const kgen_change *c = &r->changes[i];
        json_array_append_new(changes, json_pack("{s:o, s:s, s:s, s:b, s:b, s:I, s:I}", "line",
                                                 number_or_null(c->line, 0), "what", c->what,
                                                 "text", c->text, "taken", c->taken, "fits",
                                                 c->fits, "cost_before", (json_int_t)c->cost_before,
                                                 "cost_after", (json_int_t)c->cost_after));
    }
    return changes;
}

static json_t *json_of_proxies(const kgen_report *r)
{
    json_t *proxies = must(json_array());
    for (int i = 0; i < r->n_proxies; i++) json_array_append_new(proxies, json_text(r->proxies[i]));
    return proxies;
}

static json_t *json_of_proof(const kgen_report *r)
{
    if (!r->proof) return json_null();
    return must(json_pack("{s:s, s:o, s:i, s:i}", "verdict", r->proof, "reason",
                          json_text(r->proof_reason), "states", r->proof_states, "cells",
                          r->proof_cells));
}

json_t *json_of_report(const kgen_report *r)
{
    json_t *syncs = must(json_array()), *obligations = must(json_array()),
           *points = must(json_array()), *timelines = must(json_array());
    for (int i = 0; i < r->n_syncs; i++)
        json_array_append_new(syncs, json_of_sync(r, &r->syncs[i]));
    for (int i = 0; i < r->n_obligations; i++)
        json_array_append_new(obligations, json_of_obligation(&r->obligations[i]));
    for (int i = 0; i < r->n_points; i++)
        json_array_append_new(points, json_of_point(&r->points[i]));
    for (int i = 0; i < r->n_timelines; i++)
        json_array_append_new(timelines, json_of_timeline(&r->timelines[i]));
    return must(json_pack("{s:i, s:s, s:s, s:o, s:i, s:o, s:o, s:{s:i, s:i, s:i}, s:o, s:o, s:o, "
                          "s:o, s:o, s:o, s:o}",
                          "schema", SCHEMA_VERSION, "kernel", r->kernel, "target", r->target,
                          "source", json_text(r->source_name), "threads", r->threads, "syncs",
                          syncs, "obligations", obligations, "needs_nothing", "same_thread",
                          r->same_thread, "by_ring", r->by_ring, "apart", r->apart, "shared",
                          json_of_shared(r), "points", points, "timelines", timelines, "changes",
                          json_of_changes(r), "fewest", json_text(r->fewest), "proxies",
                          json_of_proxies(r), "proof", json_of_proof(r)));
}
