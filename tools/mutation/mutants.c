// SPDX-License-Identifier: MIT
#include "mutants.h"
#include "tools/kgen/output.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct line {
    const char *start;
    size_t length; // without its end
} line;

typedef struct program {
    const char *ir;
    line *lines;
    size_t count;
} program;

static program split(const char *ir)
{
    program p = {ir, NULL, 0};
    size_t room = 0;
    for (const char *at = ir; *at;) {
        size_t length = strcspn(at, "\n");
        if (p.count == room) {
            room = room ? 2 * room : 256;
            p.lines = must(realloc(p.lines, room * sizeof *p.lines));
        }
        p.lines[p.count++] = (line){at, length};
        at += length + (at[length] == '\n');
    }
    return p;
}

static const char *op_of(line l, size_t *length)
{
    size_t blanks = strspn(l.start, " ");
    const char *op = l.start + blanks;
    *length = strcspn(op, " \n");
    return op;
}

static bool is_op(line l, const char *name)
{
    size_t length;
    const char *op = op_of(l, &length);
    return length == strlen(name) && !memcmp(op, name, length);
}

static bool synchronizes(line l)
{
    static const char *const names[] = {"barrier", "warp_sync", "wait",
                                        "commit",  "arrive",    "fence"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (is_op(l, names[i])) return true;
    return false;
}

// The program with line `at` replaced by `instead` (NULL: left out), which comes `shift` lines
// further down.
static char *rewrite(const program *p, size_t at, const char *instead, size_t shift)
{
    size_t room = strlen(p->ir) + (instead ? strlen(instead) : 0) + 2;
    char *text = must(malloc(room)), *end = text;
    for (size_t i = 0; i < p->count; i++) {
        if (i != at) {
            memcpy(end, p->lines[i].start, p->lines[i].length);
            end += p->lines[i].length;
            *end++ = '\n';
        }
        if (instead && i == at + shift) end += sprintf(end, "%s\n", instead);
    }
    *end = '\0';
    return text;
}

static void add(mutant_list *out, const program *p, size_t at, const char *instead, size_t shift,
                const char *how)
{
    size_t length;
    const char *op = op_of(p->lines[at], &length);
    const char *id = strstr(op, "sync=");
    int number = id && id < p->lines[at].start + p->lines[at].length ? atoi(id + 5) : 0;
    int words = (int)strcspn(op, "{\n");
    while (words && op[words - 1] == ' ') words--;
    if (out->count == out->capacity) {
        out->capacity = out->capacity ? 2 * out->capacity : 32;
        out->items = must(realloc(out->items, out->capacity * sizeof *out->items));
    }
    mutant *m = &out->items[out->count++];
    m->text = rewrite(p, at, instead, shift);
    snprintf(m->what, sizeof m->what, "S%d (%.*s, line %zu) %s", number, words, op, at + 1, how);
}

// `wait 1 {sync=3}` with a count that leaves one group more.
static void add_loosened(mutant_list *out, const program *p, size_t at)
{
    line l = p->lines[at];
    size_t before = (size_t)(strstr(l.start, "wait ") - l.start) + 5;
    char *rest, text[256];
    long count = strtol(l.start + before, &rest, 10);
    snprintf(text, sizeof text, "%.*s%ld%.*s", (int)before, l.start, count + 1,
             (int)(l.start + l.length - rest), rest);
    add(out, p, at, text, 0, "loosened by one");
}

static void add_behind(mutant_list *out, const program *p, size_t at)
{
    line l = p->lines[at];
    char text[256];
    snprintf(text, sizeof text, "%.*s", (int)l.length, l.start);
    add(out, p, at, text, 1, "moved behind its barrier");
}

void mutants_of(const char *ir, mutant_list *out)
{
    program p = split(ir);
    *out = (mutant_list){0};
    for (size_t i = 0; i < p.count; i++) {
        if (!synchronizes(p.lines[i])) continue;
        add(out, &p, i, NULL, 0, "removed");
        if (!is_op(p.lines[i], "wait")) continue;
        add_loosened(out, &p, i);
        if (i + 1 < p.count &&
            (is_op(p.lines[i + 1], "barrier") || is_op(p.lines[i + 1], "warp_sync")))
            add_behind(out, &p, i);
    }
    free(p.lines);
}

void mutants_free(mutant_list *list)
{
    for (size_t i = 0; i < list->count; i++) free(list->items[i].text);
    free(list->items);
}
