// SPDX-License-Identifier: MIT
// Collecting and rendering of findings. Nothing is printed here: see diag.h.
#include "ir/diag.h"
#include <stdio.h>
#include <string.h>

enum { DEFAULT_LIMIT = 100 };

static kg_diag *make(kg_diags *diags, kg_severity severity, kg_diag_id id, kg_loc loc,
                     const char *format, va_list args)
{
    kg_diag *diag = KG_NEW(diags->arena, kg_diag);
    diag->severity = severity;
    diag->id = id;
    diag->loc = loc;
    diag->text = kg_arena_vprintf(diags->arena, format, args);
    return diag;
}

static void add(kg_diags *diags, kg_diag *diag)
{
    if (diags->last)
        diags->last->next = diag;
    else
        diags->first = diag;
    diags->last = diag;
}

kg_diag *kg_error(kg_diags *diags, kg_diag_id id, kg_loc loc, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    kg_diag *diag = make(diags, KG_ERROR, id, loc, format, args);
    va_end(args);
    int limit = diags->limit ? diags->limit : DEFAULT_LIMIT;
    if (diags->errors++ < limit) add(diags, diag); // beyond the limit it is returned but not kept
    return diag;
}

kg_diag *kg_warn(kg_diags *diags, kg_diag_id id, kg_loc loc, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    kg_diag *diag = make(diags, KG_WARNING, id, loc, format, args);
    va_end(args);
    diags->warnings++;
    add(diags, diag);
    return diag;
}

void kg_diag_note(kg_diags *diags, kg_diag *diag, kg_loc loc, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    kg_diag *note = make(diags, KG_NOTE, diag->id, loc, format, args);
    va_end(args);
    kg_diag **end = &diag->notes;
    while (*end) end = &(*end)->next;
    *end = note;
}

void kg_diag_help(kg_diags *diags, kg_diag *diag, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    diag->help = kg_arena_vprintf(diags->arena, format, args);
    va_end(args);
}

const char *kg_diag_id_name(kg_diag_id id)
{
    static const char *const names[] = {
#define KG_DIAG(id, text) "KG-" #id,
#include "ir/diag.def"
#undef KG_DIAG
    };
    return (unsigned)id < KG_DIAG_COUNT ? names[id] : "KG-?";
}

// ---- rendering ---------------------------------------------------------------------------------
typedef struct text {
    char *items;
    int count, capacity;
    kg_arena *arena;
} text;

static void put_char(text *out, char c)
{
    KG_PUSH(out->arena, out, c);
}

static void put(text *out, const char *string)
{
    while (*string) put_char(out, *string++);
}

// A line of the source without its newline; empty when the place has none.
static const char *source_line(const kg_loc *loc, size_t *length)
{
    *length = 0;
    if (!loc->source || !loc->source->text || loc->line < 1) return NULL;
    const char *p = loc->source->text, *end = p + loc->source->length;
    for (int line = 1; line < loc->line; line++) {
        const char *newline = memchr(p, '\n', (size_t)(end - p));
        if (!newline) return NULL;
        p = newline + 1;
    }
    const char *newline = memchr(p, '\n', (size_t)(end - p));
    *length = (size_t)((newline ? newline : end) - p);
    if (*length && p[*length - 1] == '\r') (*length)--;
    return p;
}

static bool is_continuation(char c)
{
    return ((unsigned char)c & 0xC0) == 0x80; // of a UTF-8 character: has no width of its own
}

enum { LONGEST_EXCERPT = 200 };

// The source line and the caret line below it. Tabs are copied into the caret line so that both
// align.
static void put_excerpt(text *out, const kg_loc *loc, const char *caret, const char *reset)
{
    size_t length;
    const char *line = source_line(loc, &length);
    if (!line) return;
    size_t start = loc->column > 0 ? (size_t)loc->column - 1 : 0;
    if (length > LONGEST_EXCERPT) length = LONGEST_EXCERPT;
    if (start > length) return;
    put(out, "  ");
    for (size_t i = 0; i < length; i++)
        put_char(out, (unsigned char)line[i] < 32 && line[i] != '\t' ? '?' : line[i]);
    put(out, "\n  ");
    for (size_t i = 0; i < start; i++)
        if (!is_continuation(line[i])) put_char(out, line[i] == '\t' ? '\t' : ' ');
    put(out, caret);
    put_char(out, '^');
    for (size_t i = start + 1;
         i < length && i < start + (size_t)(loc->length > 0 ? loc->length : 1); i++)
        if (!is_continuation(line[i])) put_char(out, '~');
    put(out, reset);
    put_char(out, '\n');
}

static void put_place(text *out, const kg_loc *loc)
{
    if (!loc->source && loc->line < 1) return;
    put(out, loc->source && loc->source->name ? loc->source->name : "<input>");
    if (loc->line > 0) put(out, kg_arena_printf(out->arena, ":%d:%d", loc->line, loc->column));
    put(out, ": ");
}

static void put_diag(text *out, const kg_diag *diag, bool colour)
{
    static const char *const words[] = {"note", "warning", "error"};
    static const char *const colours[] = {"\033[1;36m", "\033[1;35m", "\033[1;31m"};
    const char *tint = colour ? colours[diag->severity] : "";
    const char *bold = colour ? "\033[1m" : "", *reset = colour ? "\033[0m" : "";
    put(out, bold);
    put_place(out, &diag->loc);
    put(out, reset);
    put(out, tint);
    put(out, words[diag->severity]);
    put(out, ": ");
    put(out, reset);
    put(out, bold);
    put(out, diag->text);
    put(out, reset);
    if (diag->severity != KG_NOTE)
        put(out, kg_arena_printf(out->arena, " [%s]", kg_diag_id_name(diag->id)));
    put_char(out, '\n');
    put_excerpt(out, &diag->loc, colour ? "\033[1;32m" : "", reset);
}

char *kg_diag_render(kg_arena *arena, const kg_diag *diag, bool colour)
{
    text out = {.arena = arena};
    put_diag(&out, diag, colour);
    for (const kg_diag *note = diag->notes; note; note = note->next) put_diag(&out, note, colour);
    if (diag->help) {
        put(&out, colour ? "\033[1;32mhelp:\033[0m " : "help: ");
        put(&out, diag->help);
        put_char(&out, '\n');
    }
    put_char(&out, 0);
    return out.items;
}

// ---- did you mean ------------------------------------------------------------------------------
enum { LONGEST_WORD = 63 };

// Edits (insert, delete, replace, swap of neighbours) from one word to the other.
static int edit_distance(const char *a, int n, const char *b, int m)
{
    int rows[3][LONGEST_WORD + 1];
    int *before = rows[0], *last = rows[1], *row = rows[2];
    for (int j = 0; j <= m; j++) last[j] = j;
    for (int i = 1; i <= n; i++) {
        row[0] = i;
        for (int j = 1; j <= m; j++) {
            int best = last[j - 1] + (a[i - 1] != b[j - 1]);
            if (last[j] + 1 < best) best = last[j] + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if (swapped && before[j - 2] + 1 < best) best = before[j - 2] + 1;
            row[j] = best;
        }
        int *oldest = before;
        before = last;
        last = row;
        row = oldest;
    }
    return last[m];
}

const char *kg_nearest_name(const char *word, const char *const *names, int count)
{
    int length = (int)strnlen(word, LONGEST_WORD + 1);
    if (length > LONGEST_WORD || !length) return NULL;
    int limit = length < 3 ? 1 : length / 3;
    const char *nearest = NULL;
    for (int i = 0; i < count; i++) {
        int other = names[i] ? (int)strnlen(names[i], LONGEST_WORD + 1) : 0;
        if (!other || other > LONGEST_WORD || (length == 1 && other == 1)) continue;
        int distance = edit_distance(word, length, names[i], other);
        if (distance > limit || distance == 0) continue;
        nearest = names[i];
        limit = distance - 1;
        if (limit < 0) break;
    }
    return nearest;
}
