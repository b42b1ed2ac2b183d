// SPDX-License-Identifier: MIT
// The drawings of the page as text: the map of shared memory, the loops in time.
#include "explain.h"
#include <string.h>

// ---- shared memory ------------------------------------------------------------------------------

const char *bytes_text(char text[32], long long bytes)
{
    if (bytes >= 1024 && bytes % 1024 == 0)
        snprintf(text, 32, "%lld KiB", bytes / 1024);
    else if (bytes >= 10240)
        snprintf(text, 32, "%.1f KiB", (double)bytes / 1024);
    else
        snprintf(text, 32, "%lld byte%s", bytes, bytes == 1 ? "" : "s");
    return text;
}

static void point_text(const kgen_report *r, int point, char *text, size_t room)
{
    if (point < 0)
        snprintf(text, room, "-");
    else if (r->points[point].sync)
        snprintf(text, room, "S%d", r->points[point].sync);
    else if (r->points[point].line)
        snprintf(text, room, "%s (line %d)", r->points[point].op, r->points[point].line);
    else
        snprintf(text, room, "%s", r->points[point].op);
}

static void print_buffers(FILE *out, const kgen_report *r)
{
    fprintf(out, "  %8s %8s  %-12s %-20s %-20s %s\n", "offset", "bytes", "slots", "first", "last",
            "buffer");
    for (int i = 0; i < r->n_buffers; i++) {
        const kgen_shared_info *b = &r->buffers[i];
        char first[48], last[48], slots[32] = "";
        point_text(r, b->first, first, sizeof first);
        point_text(r, b->last, last, sizeof last);
        if (b->slots > 1)
            snprintf(slots, sizeof slots, "%d x %lld", b->slots, (long long)b->slot_bytes);
        fprintf(out, "  %8lld %8lld  %-12s %-20s %-20s %s: %s\n", (long long)b->offset,
                (long long)b->bytes, slots, first, last, b->name, b->type);
    }
}

static long long live_at(const kgen_report *r, int point, unsigned long long *set)
{
    long long bytes = 0;
    *set = 0;
    for (int i = 0; i < r->n_buffers; i++) {
        const kgen_shared_info *b = &r->buffers[i];
        if (b->first < 0 || b->first > point || b->last < point) continue;
        bytes += b->bytes;
        *set = *set * 31 + (unsigned long long)i + 1;
    }
    return bytes;
}

// One line for each stretch of points at which the same buffers live.
static void print_use(FILE *out, const kgen_report *r)
{
    fprintf(out, "  in use\n");
    for (int from = 0, to; from < r->n_points; from = to) {
        unsigned long long set, next = 0;
        long long bytes = live_at(r, from, &set);
        char first[48], last[48];
        for (to = from + 1; to < r->n_points; to++) {
            live_at(r, to, &next);
            if (next != set) break;
        }
        point_text(r, from, first, sizeof first);
        point_text(r, to - 1, last, sizeof last);
        fprintf(out, "  %17lld  %-12s %-20s %-20s", bytes, "", first, last);
        const char *separator = " ";
        for (int i = 0; i < r->n_buffers; i++)
            if (r->buffers[i].first >= 0 && r->buffers[i].first <= from &&
                r->buffers[i].last >= from) {
                fprintf(out, "%s%s", separator, r->buffers[i].name);
                separator = "; ";
            }
        fprintf(out, "\n");
    }
}

void print_memory_map(FILE *out, const kgen_report *r)
{
    fprintf(out, "shared memory of %s: %lld bytes, %.0f %% of the %lld that %s allows\n", r->kernel,
            (long long)r->shared_bytes,
            r->shared_limit ? 100.0 * (double)r->shared_bytes / (double)r->shared_limit : 0.0,
            (long long)r->shared_limit, r->target);
    if (!r->n_buffers) return;
    if (r->shared_apart > r->shared_bytes)
        fprintf(out, "  %lld bytes if no buffers shared bytes\n", (long long)r->shared_apart);
    print_buffers(out, r);
    print_use(out, r);
    for (int i = 0; i < r->n_overlaps; i++) {
        const kgen_overlap_info *o = &r->overlaps[i];
        fprintf(out, "  %s and %s share %lld bytes", r->buffers[o->a].name, r->buffers[o->b].name,
                (long long)o->bytes);
        for (int k = 0; k < o->n_syncs; k++)
            fprintf(out, "%sS%d", k ? ", " : "; ordered by ", o->syncs[k]);
        fprintf(out, "\n");
    }
}

// ---- time ---------------------------------------------------------------------------------------

static void phase_text(const kgen_event_info *e, char text[32])
{
    if (e->phase == 1)
        snprintf(text, 32, "trip %d", e->trip);
    else
        snprintf(text, 32, "%s", e->phase ? "after" : "before");
}

static void print_event(FILE *out, const kgen_report *r, const kgen_event_info *e)
{
    char what[160];
    const kgen_shared_info *b = e->buffer >= 0 ? &r->buffers[e->buffer] : NULL;
    if (e->sync && !strcmp(e->kind, "commit") && e->group)
        snprintf(what, sizeof what, "S%d commit group %d", e->sync, e->group);
    else if (e->sync && !strcmp(e->kind, "wait") && e->group)
        snprintf(what, sizeof what, "S%d %s: groups up to %d complete", e->sync,
                 r->syncs[e->sync - 1].name, e->group);
    else if (e->sync)
        snprintf(what, sizeof what, "S%d %s", e->sync, r->syncs[e->sync - 1].name);
    else if (b && b->slots > 1 && e->slot >= 0)
        snprintf(what, sizeof what, "%s (line %d) %ss %s, slot %d", e->op, e->line,
                 !strcmp(e->kind, "copy") ? "fill" : e->kind, b->name, e->slot);
    else
        snprintf(what, sizeof what, "%s (line %d) %ss %s", e->op, e->line,
                 !strcmp(e->kind, "copy") ? "fill" : e->kind, b ? b->name : "");
    fprintf(out, "%-60s %d in flight\n", what, e->in_flight);
}

void print_timeline(FILE *out, const kgen_report *r, const kgen_timeline_info *t)
{
    const char *role = NULL;
    char phase[32], before[32] = "";
    int step = -1, round = -1;
    fprintf(out, "loop at line %d: %d trips shown%s", t->line, t->trips, t->cut ? " of more" : "");
    if (t->ring > 1) fprintf(out, ", %d slots", t->ring);
    fprintf(out, "\n");
    for (int i = 0; i < t->n_events; i++) {
        const kgen_event_info *e = &t->events[i];
        if (e->role && (!role || strcmp(role, e->role))) {
            fprintf(out, "  %s, side by side with the other roles\n", e->role);
            *before = 0;
            round = -1;
        }
        if (e->role && t->rounds && e->round != round) {
            fprintf(out, "  round %d of the loop around it\n", e->round);
            round = e->round;
            *before = 0;
        }
        role = e->role;
        phase_text(e, phase);
        fprintf(out, "  %-8s", strcmp(phase, before) ? phase : "");
        strcpy(before, phase);
        if (e->step != step)
            fprintf(out, " %3d  ", e->step);
        else
            fprintf(out, "      ");
        step = e->step;
        print_event(out, r, e);
    }
}

void print_timelines(FILE *out, const kgen_report *r)
{
    if (!r->n_timelines) fprintf(out, "%s has no loop that synchronizes or copies\n", r->kernel);
    for (int i = 0; i < r->n_timelines; i++) print_timeline(out, r, &r->timelines[i]);
}
