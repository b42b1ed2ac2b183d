// SPDX-License-Identifier: MIT
// The map of shared memory as SVG: points of the program from left to right, bytes from bottom to
// top, a rectangle for each buffer for as long as it lives.
#include "explain.h"
#include "output.h"
#include <stdlib.h>
#include <string.h>

enum { LEFT = 66, LEAST_RIGHT = 40, TOP = 58, PLOT = 300, BOTTOM = 118, LABEL = 15, SMALL = 3 };
enum { WIDE = 1380, NARROWEST = 18, WIDEST = 46 }; // of the drawing; of a point

typedef struct memory_map {
    FILE *out;
    const kgen_report *r;
    int dx, right, width, height; // right: margin for labels
    long long top;                // bytes at the upper edge of the plot
} memory_map;

static int x_of(const memory_map *m, int point)
{
    return LEFT + point * m->dx;
}

static int y_of(const memory_map *m, long long byte)
{
    return TOP + PLOT - (int)(PLOT * byte / m->top);
}

// The limit is in reach of the scale.
static bool limit_fits(const kgen_report *r)
{
    return r->shared_limit <= r->shared_bytes * 8 / 5;
}

static void draw_axis(const memory_map *m)
{
    long long step = 16;
    char text[32];
    while (step * 6 < m->r->shared_bytes) step *= 2;
    for (long long at = 0; at <= m->top; at += step) {
        int y = y_of(m, at);
        fprintf(m->out,
                "<line class=\"grid\" x1=\"%d\" y1=\"%d\" x2=\"%d\" y2=\"%d\"/>"
                "<text class=\"tick\" x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text>\n",
                LEFT, y, m->width - m->right, y, LEFT - 8, y + 4, at ? bytes_text(text, at) : "0");
    }
}

static void draw_limits(const memory_map *m)
{
    char text[32];
    int y = y_of(m, m->r->shared_bytes), right = m->width - m->right;
    fprintf(m->out,
            "<line class=\"peak\" x1=\"%d\" y1=\"%d\" x2=\"%d\" y2=\"%d\"/>"
            "<text class=\"peak\" x=\"%d\" y=\"%d\">peak %s</text>\n",
            LEFT, y, right, y, LEFT + 6, y - 5, bytes_text(text, m->r->shared_bytes));
    bytes_text(text, m->r->shared_limit);
    if (limit_fits(m->r)) {
        y = y_of(m, m->r->shared_limit);
        fprintf(m->out,
                "<line class=\"limit\" x1=\"%d\" y1=\"%d\" x2=\"%d\" y2=\"%d\"/>"
                "<text class=\"limit\" x=\"%d\" y=\"%d\">limit of %s: %s</text>\n",
                LEFT, y, right, y, LEFT + 6, y - 5, m->r->target, text);
        return;
    }
    y = TOP - 22; // a broken axis
    fprintf(m->out,
            "<path class=\"limit\" d=\"M%d %d H%d l4 -5 l6 10 l4 -5 H%d\"/>"
            "<text class=\"limit\" x=\"%d\" y=\"%d\">limit of %s: %s, %.1f times the peak (not to "
            "scale)</text>\n",
            LEFT, y, LEFT + 12, right, LEFT + 6, y - 8, m->r->target, text,
            (double)m->r->shared_limit / (double)m->r->shared_bytes);
}

// ---- points -------------------------------------------------------------------------------------

static void draw_points(const memory_map *m)
{
    int base = TOP + PLOT;
    for (int i = 0; i < m->r->n_points; i++) {
        const kgen_point_info *p = &m->r->points[i];
        int x = x_of(m, i) + m->dx / 2;
        if (p->sync) {
            fprintf(m->out,
                    "<g class=\"mark %s\" data-sync=\"%d\"><line x1=\"%d\" y1=\"%d\" x2=\"%d\" "
                    "y2=\"%d\"/><text x=\"%d\" y=\"%d\" text-anchor=\"middle\">S%d</text></g>\n",
                    p->op, p->sync, x, TOP, x, base, x, base + 14, p->sync);
            continue;
        }
        if (!strcmp(p->op, "if")) continue; // what it guards stands beside it
        fprintf(m->out,
                "<text class=\"op\" transform=\"translate(%d %d) rotate(-90)\" "
                "text-anchor=\"end\">%s",
                x + 4, base + 6, p->op);
        if (p->line) fprintf(m->out, " %d", p->line);
        fprintf(m->out, "</text>\n");
    }
}

static int last_inside(const kgen_report *r, int loop)
{
    int last = loop;
    for (int i = loop + 1; i < r->n_points; i++)
        for (int around = r->points[i].loop; around >= 0; around = r->points[around].loop)
            if (around == loop) last = i;
    return last;
}

static void draw_loops(const memory_map *m)
{
    for (int i = 0; i < m->r->n_points; i++) {
        int last = last_inside(m->r, i), y = TOP + PLOT + 84 + 14 * m->r->points[i].loops;
        if (last == i) continue;
        int from = x_of(m, i) + 3, to = x_of(m, last + 1) - 3;
        fprintf(m->out,
                "<path class=\"loop\" d=\"M%d %d v4 H%d v-4\"/><text class=\"loop\" x=\"%d\" "
                "y=\"%d\" text-anchor=\"middle\">%s %d</text>\n",
                from, y, to, (from + to) / 2, y + 16, to - from > 60 ? "loop at line" : "loop",
                m->r->points[i].line);
    }
}

// ---- buffers ------------------------------------------------------------------------------------

static int height_of(const memory_map *m, const kgen_shared_info *b)
{
    int h = y_of(m, b->offset) - y_of(m, b->offset + b->bytes);
    return h < SMALL ? SMALL : h;
}

static int label_width(const kgen_shared_info *b)
{
    return 7 * (int)strlen(b->name) + (b->slots > 1 ? 90 : 70);
}

static bool label_fits(const memory_map *m, const kgen_shared_info *b)
{
    return height_of(m, b) >= LABEL + 2 && (b->last + 1 - b->first) * m->dx >= label_width(b);
}

static void print_size(const memory_map *m, const kgen_shared_info *b)
{
    char text[32];
    if (b->slots > 1)
        fprintf(m->out, "%d × %s", b->slots, bytes_text(text, b->slot_bytes));
    else
        fprintf(m->out, "%s", bytes_text(text, b->bytes));
}

static void draw_buffer(const memory_map *m, int index)
{
    const kgen_shared_info *b = &m->r->buffers[index];
    int x = x_of(m, b->first) + 1, w = (b->last + 1 - b->first) * m->dx - 2, h = height_of(m, b);
    int y = y_of(m, b->offset) - h;
    fprintf(m->out, "<g class=\"buffer c%d\" data-line=\"%d\"><title>", index % PAGE_COLORS,
            b->line);
    print_escaped(m->out, b->name);
    fprintf(m->out, ": %s, bytes %lld to %lld</title>", b->type, (long long)b->offset,
            (long long)(b->offset + b->bytes));
    fprintf(m->out, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"/>", x, y, w, h);
    for (int s = 1; s < b->slots && h / b->slots >= SMALL; s++) {
        int at = y_of(m, b->offset + s * b->slot_bytes);
        fprintf(m->out, "<line x1=\"%d\" y1=\"%d\" x2=\"%d\" y2=\"%d\"/>", x, at, x + w, at);
    }
    for (int s = 0; s < b->slots && b->slots > 1 && h / b->slots >= 12; s++)
        fprintf(m->out, "<text class=\"slot\" x=\"%d\" y=\"%d\">%d</text>", x + 5,
                y_of(m, b->offset + s * b->slot_bytes) - h / b->slots / 2 + 4, s);
    if (label_fits(m, b)) {
        fprintf(m->out, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\"><tspan class=\"name\">",
                x + w / 2, y + h / 2 + 5);
        print_escaped(m->out, b->name);
        fprintf(m->out, "</tspan> ");
        print_size(m, b);
        fprintf(m->out, "</text>");
    }
    fprintf(m->out, "</g>\n");
}

typedef struct side_label {
    int index, wanted, y;
} side_label;

static int by_height(const void *a, const void *b)
{
    const side_label *x = a, *y = b;
    return x->wanted != y->wanted ? x->wanted - y->wanted : y->index - x->index;
}

// Labels that do not fit in stand at the right, none on another.
static void draw_side_labels(const memory_map *m)
{
    side_label *labels = must(calloc((size_t)m->r->n_buffers + 1, sizeof *labels));
    int n = 0, lowest = TOP + PLOT - 4;
    for (int i = 0; i < m->r->n_buffers; i++) {
        const kgen_shared_info *b = &m->r->buffers[i];
        if (b->first < 0 || label_fits(m, b)) continue;
        labels[n++] = (side_label){i, y_of(m, b->offset) - height_of(m, b) / 2, 0};
    }
    qsort(labels, (size_t)n, sizeof *labels, by_height);
    for (int i = 0, free_from = TOP + 8; i < n; i++, free_from += LABEL) {
        if (free_from < labels[i].wanted) free_from = labels[i].wanted;
        labels[i].y = free_from;
    }
    for (int i = n - 1; i >= 0; i--, lowest -= LABEL) {
        if (labels[i].y > lowest) labels[i].y = lowest;
        lowest = labels[i].y;
    }
    for (int i = 0; i < n; i++) {
        const kgen_shared_info *b = &m->r->buffers[labels[i].index];
        int right = m->width - m->right;
        fprintf(m->out,
                "<g class=\"buffer c%d\"><path class=\"leader\" d=\"M%d %d H%d L%d %d\"/>"
                "<text x=\"%d\" y=\"%d\"><tspan class=\"name\">",
                labels[i].index % PAGE_COLORS, x_of(m, b->last + 1), labels[i].wanted, right - 8,
                right + 8, labels[i].y, right + 12, labels[i].y + 4);
        print_escaped(m->out, b->name);
        fprintf(m->out, "</tspan> ");
        print_size(m, b);
        fprintf(m->out, "</text></g>\n");
    }
    free(labels);
}

// Labels at the right: those that have no room in their rectangle.
static int right_margin(const memory_map *m)
{
    int most = LEAST_RIGHT;
    for (int i = 0; i < m->r->n_buffers; i++) {
        const kgen_shared_info *b = &m->r->buffers[i];
        int wide = 30 + 15 * label_width(b) / 14;
        if (b->first >= 0 && !label_fits(m, b) && wide > most) most = wide;
    }
    return most;
}

void draw_memory(FILE *out, const kgen_report *r)
{
    int n = r->n_points;
    memory_map m = {.out = out, .r = r, .dx = (WIDE - LEFT - 200) / (n + 1)};
    int deepest = 0;
    m.dx = m.dx < NARROWEST ? NARROWEST : m.dx > WIDEST ? WIDEST : m.dx;
    for (int i = 0; i < n; i++)
        deepest = r->points[i].loops > deepest ? r->points[i].loops : deepest;
    m.top = (limit_fits(r) ? r->shared_limit : r->shared_bytes) * 53 / 50 + 1;
    m.right = right_margin(&m);
    m.width = LEFT + n * m.dx + m.right;
    m.height = TOP + PLOT + BOTTOM + 14 * (deepest > 1 ? deepest - 1 : 0);
    fprintf(out,
            "<svg class=\"map\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" role=\"img\" "
            "aria-label=\"map of shared memory\">\n",
            m.width, m.height, m.width, m.height);
    draw_axis(&m);
    for (int i = 0; i < r->n_buffers; i++)
        if (r->buffers[i].first >= 0) draw_buffer(&m, i);
    draw_points(&m);
    draw_loops(&m);
    draw_limits(&m);
    draw_side_labels(&m);
    fprintf(out, "</svg>\n");
}
