// SPDX-License-Identifier: MIT
// What happens in a loop, as SVG: a row for each slot of each ring, one for the copies in flight,
// one for the threads and one for the tensor cores; steps from left to right, trips in bands.
#include "explain.h"
#include "output.h"
#include <stdlib.h>
#include <string.h>

enum {
    LEAST_LEFT = 130,
    MOST_LEFT = 230,
    RIGHT = 24,
    HEAD = 46,
    ROW = 20,
    GAP = 10,
    FOOT = 108,
    MOST_ROWS = 512
};
enum { WIDE = 1380, NARROWEST = 22, WIDEST = 46 }; // of the drawing; of a step

typedef struct row {
    int buffer, slot, y;
    // What the slot holds: since when it is filled, when that was complete, which filling it is.
    int start, ready, group, number; // steps; start -1: nothing yet, ready -1: in flight
} row;

typedef struct timeline {
    FILE *out;
    const kgen_report *r;
    const kgen_timeline_info *t;
    const char *role;
    int dx, first, last; // steps of this role
    int left, width, height;
    int flight, threads, tensors, bottom; // lanes; 0: not drawn
    row rows[MOST_ROWS];
    int n_rows;
    int *filled; // by buffer: how often a slot of it was
} timeline;

static bool is(const kgen_event_info *e, const char *kind)
{
    return !strcmp(e->kind, kind);
}

static bool same_role(const char *a, const char *b)
{
    return a == b || (a && b && !strcmp(a, b));
}

static bool concerns(const timeline *l, const kgen_event_info *e)
{
    return same_role(l->role, e->role);
}

static int x_of(const timeline *l, int step)
{
    return l->left + (step - l->first) * l->dx;
}

static row *row_of(timeline *l, const kgen_event_info *e)
{
    int slot = e->slot > 0 ? e->slot : 0;
    for (int i = 0; i < l->n_rows; i++)
        if (l->rows[i].buffer == e->buffer && l->rows[i].slot == slot) return &l->rows[i];
    return NULL;
}

// ---- rows ---------------------------------------------------------------------------------------

static bool is_product(const kgen_event_info *e)
{
    return !strcmp(e->op, "dot") || !strcmp(e->op, "wgmma");
}

static bool any_product(const timeline *l)
{
    for (int i = 0; i < l->t->n_events; i++)
        if (concerns(l, &l->t->events[i]) && is_product(&l->t->events[i])) return true;
    return false;
}

static bool any_flight(const timeline *l)
{
    for (int i = 0; i < l->t->n_events; i++)
        if (concerns(l, &l->t->events[i]) &&
            (l->t->events[i].in_flight || is(&l->t->events[i], "copy")))
            return true;
    return false;
}

static bool touched(const timeline *l, int buffer)
{
    for (int i = 0; i < l->t->n_events; i++)
        if (l->t->events[i].buffer == buffer && concerns(l, &l->t->events[i])) return true;
    return false;
}

static void add_rows(timeline *l)
{
    int y = HEAD + 6;
    l->left = LEAST_LEFT;
    for (int b = 0; b < l->r->n_buffers; b++) {
        if (!touched(l, b)) continue;
        int wide = 40 + 13 * (int)strlen(l->r->buffers[b].name) / 2;
        if (wide > l->left) l->left = wide < MOST_LEFT ? wide : MOST_LEFT;
        for (int s = 0; s < l->r->buffers[b].slots && l->n_rows < MOST_ROWS; s++, y += ROW)
            l->rows[l->n_rows++] = (row){.buffer = b, .slot = s, .y = y, .start = -1};
        y += GAP;
    }
    l->flight = any_flight(l) ? y : 0;
    l->threads = y + (l->flight ? ROW + GAP : 0);
    l->tensors = any_product(l) ? l->threads + ROW : 0;
    l->bottom = l->threads + (l->tensors ? 2 : 1) * ROW;
    l->height = l->bottom + FOOT;
}

static void draw_lane_label(const timeline *l, const char *name, int y)
{
    if (!y) return;
    fprintf(l->out,
            "<rect class=\"lane\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"/>"
            "<text class=\"name\" x=\"%d\" y=\"%d\" text-anchor=\"end\">",
            l->left, y + 1, l->width - RIGHT - l->left, ROW - 2, l->left - 8, y + 14);
    print_escaped(l->out, name);
    fprintf(l->out, "</text>\n");
}

static void draw_row_labels(const timeline *l)
{
    for (int i = 0; i < l->n_rows; i++) {
        const row *w = &l->rows[i];
        const kgen_shared_info *b = &l->r->buffers[w->buffer];
        fprintf(l->out, "<rect class=\"lane\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"/>",
                l->left, w->y + 1, l->width - RIGHT - l->left, ROW - 2);
        if (b->slots > 1)
            fprintf(l->out, "<text class=\"slot\" x=\"%d\" y=\"%d\" text-anchor=\"end\">%d</text>",
                    l->left - 8, w->y + 14, w->slot);
        if (w->slot) continue;
        fprintf(l->out, "<text class=\"name\" x=\"%d\" y=\"%d\" text-anchor=\"end\">",
                l->left - (b->slots > 1 ? 26 : 8), w->y + 14 + (b->slots - 1) * ROW / 2);
        print_escaped(l->out, b->name);
        fprintf(l->out, "</text>\n");
    }
    draw_lane_label(l, "in flight", l->flight);
    draw_lane_label(l, l->role ? l->role : "all threads", l->threads);
    draw_lane_label(l, "tensor cores", l->tensors);
}

// ---- trips --------------------------------------------------------------------------------------

static void draw_band(const timeline *l, const kgen_event_info *e, int from, int to, int number)
{
    char text[40];
    int x = x_of(l, from), w = (to + 1 - from) * l->dx;
    if (e->phase == 1 && e->role && l->t->rounds)
        snprintf(text, sizeof text, w < 90 ? "%d.%d" : "round %d, trip %d", e->round, e->trip);
    else if (e->phase == 1)
        snprintf(text, sizeof text, w < 48 ? "%d" : "trip %d", e->trip);
    else
        snprintf(text, sizeof text, "%s", e->phase ? "after" : w < 60 ? "before" : "prologue");
    fprintf(l->out,
            "<rect class=\"band%s\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"/>"
            "<text class=\"trip\" x=\"%d\" y=\"14\" text-anchor=\"middle\">%s</text>\n",
            number & 1 ? " odd" : "", x, 20, w, l->bottom - 20, x + w / 2, text);
}

static void draw_bands(const timeline *l)
{
    const kgen_event_info *from = NULL;
    int last = 0, number = 0;
    for (int i = 0; i < l->t->n_events; i++) {
        const kgen_event_info *e = &l->t->events[i];
        if (!concerns(l, e)) continue;
        if (from && (e->phase != from->phase || e->round != from->round ||
                     (e->phase == 1 && e->trip != from->trip))) {
            draw_band(l, from, from->step, last, number++);
            from = NULL;
        }
        if (!from) from = e;
        last = e->step;
    }
    if (from) draw_band(l, from, from->step, last, number);
}

// ---- contents of slots --------------------------------------------------------------------------

static void draw_stretch(const timeline *l, const row *w, const char *what, int from, int to)
{
    if (to <= from) return;
    fprintf(l->out,
            "<rect class=\"%s c%d\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"3\"/>\n",
            what, w->buffer % PAGE_COLORS, x_of(l, from), w->y + 2, (to - from) * l->dx, ROW - 4);
}

// The slot's contents end at `step`.
static void close_row(const timeline *l, row *w, int step)
{
    if (w->start < 0) return;
    int ready = w->ready < 0 ? step : w->ready;
    draw_stretch(l, w, "flying", w->start, ready);
    draw_stretch(l, w, "holds", ready, step);
    fprintf(l->out, "<text class=\"number\" x=\"%d\" y=\"%d\">%d</text>\n", x_of(l, w->start) + 5,
            w->y + 14, w->number);
    w->start = -1;
}

static void complete_groups(timeline *l, int group, int step)
{
    for (int i = 0; i < l->n_rows; i++) {
        row *w = &l->rows[i];
        if (w->start >= 0 && w->ready < 0 && w->group && w->group <= group) w->ready = step + 1;
    }
}

// Ends what lies on the bytes of a slot that is filled: its old contents, and other buffers.
static void overwrite(timeline *l, const row *filled, int step)
{
    const kgen_shared_info *b = &l->r->buffers[filled->buffer];
    long long from = b->offset + filled->slot * b->slot_bytes, end = from + b->slot_bytes;
    for (int i = 0; i < l->n_rows; i++) {
        const kgen_shared_info *other = &l->r->buffers[l->rows[i].buffer];
        long long at = other->offset + l->rows[i].slot * other->slot_bytes;
        if (at < end && from < at + other->slot_bytes) close_row(l, &l->rows[i], step);
    }
}

static void fill(timeline *l, const kgen_event_info *e)
{
    row *w = row_of(l, e);
    if (!w) return;
    bool copy = is(e, "copy");
    overwrite(l, w, e->step);
    *w = (row){.buffer = w->buffer,
               .slot = w->slot,
               .y = w->y,
               .start = e->step,
               .ready = copy ? -1 : e->step,
               .group = copy ? e->group : 0,
               .number = l->filled[e->buffer]++};
}

static void draw_contents(timeline *l)
{
    for (int i = 0; i < l->t->n_events; i++) {
        const kgen_event_info *e = &l->t->events[i];
        if (!concerns(l, e)) continue;
        if (is(e, "copy") || is(e, "write")) fill(l, e);
        if (is(e, "wait")) complete_groups(l, e->group, e->step);
    }
    for (int i = 0; i < l->n_rows; i++) close_row(l, &l->rows[i], l->last + 1);
}

// ---- lanes --------------------------------------------------------------------------------------

static void draw_read(timeline *l, const kgen_event_info *e)
{
    const row *w = row_of(l, e);
    bool reads = is(e, "read");
    int y = is_product(e) ? l->tensors : l->threads, x = x_of(l, e->step);
    if (w)
        fprintf(l->out,
                "<rect class=\"%s c%d\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"3\"/>",
                reads ? "reads" : "writes", e->buffer % PAGE_COLORS, x + 3, w->y + 4, l->dx - 6,
                ROW - 8);
    fprintf(l->out,
            "<rect class=\"works\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"3\"/>\n",
            x + 2, y + 4, l->dx - 4, ROW - 8);
}

static void draw_mark(const timeline *l, const kgen_event_info *e)
{
    int x = x_of(l, e->step) + l->dx / 2;
    fprintf(l->out,
            "<g class=\"mark %s\" data-sync=\"%d\"><line x1=\"%d\" y1=\"38\" x2=\"%d\" y2=\"%d\"/>"
            "<text x=\"%d\" y=\"34\" text-anchor=\"middle\">S%d</text></g>\n",
            e->kind, e->sync, x, x, is(e, "commit") && l->flight ? l->flight : l->bottom, x,
            e->sync);
}

static void draw_flight(const timeline *l, int step, int count)
{
    if (count && l->flight)
        fprintf(l->out,
                "<rect class=\"flight\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"/>"
                "<text class=\"number\" x=\"%d\" y=\"%d\" text-anchor=\"middle\">%d</text>\n",
                x_of(l, step), l->flight + 2, l->dx, ROW - 4, x_of(l, step) + l->dx / 2,
                l->flight + 14, count);
}

static void draw_name(const timeline *l, const kgen_event_info *e)
{
    fprintf(l->out,
            "<text class=\"op\" transform=\"translate(%d %d) rotate(-90)\" text-anchor=\"end\">%s",
            x_of(l, e->step) + l->dx / 2 + 4, l->bottom + 6, e->op);
    if (is(e, "wait") && e->sync && !strstr(e->op, "mbarrier"))
        fprintf(l->out, " %d", l->r->syncs[e->sync - 1].count);
    if (!e->sync && e->line) fprintf(l->out, " %d", e->line);
    fprintf(l->out, "</text>\n");
}

static void draw_lanes(timeline *l)
{
    int step = -1;
    for (int i = 0; i < l->t->n_events; i++) {
        const kgen_event_info *e = &l->t->events[i];
        if (!concerns(l, e)) continue;
        if (e->step != step) {
            draw_flight(l, e->step, e->in_flight);
            draw_name(l, e);
        }
        step = e->step;
        if (e->sync)
            draw_mark(l, e);
        else
            draw_read(l, e);
    }
}

// ---- a drawing ----------------------------------------------------------------------------------

static void draw_role(FILE *out, const kgen_report *r, const kgen_timeline_info *t,
                      const char *role)
{
    timeline *l = must(calloc(1, sizeof *l));
    *l = (timeline){.out = out, .r = r, .t = t, .role = role, .first = -1};
    l->filled = must(calloc((size_t)r->n_buffers + 1, sizeof *l->filled));
    for (int i = 0; i < t->n_events; i++) {
        if (!concerns(l, &t->events[i])) continue;
        if (l->first < 0) l->first = t->events[i].step;
        l->last = t->events[i].step;
    }
    add_rows(l);
    int steps = l->last + 1 - l->first, dx = (WIDE - l->left - RIGHT) / steps;
    l->dx = dx < NARROWEST ? NARROWEST : dx > WIDEST ? WIDEST : dx;
    l->width = l->left + steps * l->dx + RIGHT;
    fprintf(out,
            "<svg class=\"time\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" role=\"img\" "
            "aria-label=\"timeline of the loop at line %d\">\n",
            l->width, l->height, l->width, l->height, t->line);
    draw_bands(l);
    draw_row_labels(l);
    draw_contents(l);
    draw_lanes(l);
    fprintf(out, "</svg>\n");
    free(l->filled);
    free(l);
}

void draw_timeline(FILE *out, const kgen_report *r, const kgen_timeline_info *t)
{
    for (int i = 0; i < t->n_events; i++) {
        bool seen = false;
        for (int k = 0; k < i && !seen; k++) seen = same_role(t->events[k].role, t->events[i].role);
        if (!seen) draw_role(out, r, t, t->events[i].role);
    }
}
