// SPDX-License-Identifier: MIT
// See shrink.h. Each kind of step goes over the whole text from its end to its beginning, and the
// kinds take turns until none of them gets any further.
#include "shrink.h"

#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct shrinker {
    machine *m;
    case_runner *run;
    char *text, *candidate;
    size_t size;
    report *last;
    int tried, limit;
} shrinker;

// The text with [from, to) replaced. true: it fails in the same way and is taken.
static bool attempt(shrinker *s, size_t from, size_t to, const char *with, size_t length)
{
    static report r;
    size_t n = strlen(s->text);
    if (s->tried >= s->limit || from > to || to > n || n - (to - from) + length >= s->size)
        return false;
    if (to - from == length && !memcmp(s->text + from, with, length)) return false;
    memcpy(s->candidate, s->text, from);
    memmove(s->candidate + from, with, length);
    strcpy(s->candidate + from + length, s->text + to);
    s->tried++;
    s->run(s->m, s->candidate, &r);
    if (r.outcome != s->last->outcome || strcmp(r.kind, s->last->kind)) return false;
    strcpy(s->text, s->candidate);
    *s->last = r;
    return true;
}

// ---- lines --------------------------------------------------------------------------------------
enum { LINES = 2048 };

static int line_starts(const char *text, size_t *starts)
{
    int n = 0;
    for (size_t at = 0; text[at] && n < LINES; n++) {
        starts[n] = at;
        const char *end = strchr(text + at, '\n');
        at = end ? (size_t)(end - text) + 1 : strlen(text);
    }
    starts[n] = strlen(text);
    return n;
}

// Braces that open minus those that close; -1 when one closes that was not opened here.
static int balance(const char *text, size_t from, size_t to)
{
    int depth = 0;
    for (size_t i = from; i < to; i++) {
        depth += (text[i] == '{') - (text[i] == '}');
        if (depth < 0) return -1;
    }
    return depth;
}

static bool drop_lines(shrinker *s)
{
    static size_t starts[LINES + 1];
    bool any = false;
    int n = line_starts(s->text, starts);
    for (int span = n / 2 > 0 ? n / 2 : 1; span > 0; span /= 2)
        for (int i = n - span; i >= 0; i--) {
            if (s->text[starts[i]] == '/' || balance(s->text, starts[i], starts[i + span]))
                continue;
            if (!attempt(s, starts[i], starts[i + span], "", 0)) continue;
            any = true;
            n = line_starts(s->text, starts);
            if (i > n - span) i = n - span + 1;
        }
    return any;
}

// A block of statements is dropped as a whole, or its statements stand for it.
static bool open_blocks(shrinker *s)
{
    static size_t starts[LINES + 1];
    bool any = false;
    int n = line_starts(s->text, starts);
    for (int i = n - 1; i >= 0; i--) {
        if (s->text[starts[i]] != ' ' || balance(s->text, starts[i], starts[i + 1]) != 1) continue;
        int close = i + 1, otherwise = 0;
        for (int depth = 1; close < n; close++) {
            const char *line = s->text + starts[close];
            size_t length = starts[close + 1] - starts[close];
            if (depth == 1 && memchr(line, '}', length) && memchr(line, '{', length))
                otherwise = close;
            for (size_t c = 0; c < length; c++) depth += (line[c] == '{') - (line[c] == '}');
            if (!depth) break;
        }
        if (close >= n) continue;
        if (attempt(s, starts[i], starts[close + 1], "", 0)) {
            any = true;
        } else {
            int end = otherwise ? otherwise : close;
            size_t length = starts[end] - starts[i + 1];
            static char inner[1 << 16];
            if (length >= sizeof inner) continue;
            memcpy(inner, s->text + starts[i + 1], length);
            if (!attempt(s, starts[i], starts[close + 1], inner, length)) continue;
            any = true;
        }
        n = line_starts(s->text, starts);
        if (i > n) i = n;
    }
    return any;
}

// ---- within a line ------------------------------------------------------------------------------
static size_t closing(const char *text, size_t open)
{
    int depth = 0;
    for (size_t i = open; text[i] && text[i] != '\n'; i++) {
        depth += text[i] == '(' || text[i] == '[';
        depth -= text[i] == ')' || text[i] == ']';
        if (!depth) return i;
    }
    return 0;
}

// The end of the operand or argument that starts at `at`, within a group that ends at `end`.
static size_t piece_end(const char *text, size_t at, size_t end)
{
    int depth = 0;
    for (size_t i = at; i < end; i++) {
        depth += text[i] == '(' || text[i] == '[';
        depth -= text[i] == ')' || text[i] == ']';
        if (depth) continue;
        if (text[i] == ',') return i;
        if (text[i] == ' ' && i + 2 < end && strchr("+-*/%&<>=!", text[i + 1])) return i;
    }
    return end;
}

// f(a, b) or (a + b): one of its pieces stands for the whole.
static bool take_pieces(shrinker *s)
{
    bool any = false;
    for (size_t open = strlen(s->text); open-- > 0;) {
        if (s->text[open] != '(') continue;
        size_t close = closing(s->text, open), from = open;
        if (!close) continue;
        while (from > 0 && (isalnum((unsigned char)s->text[from - 1]) || s->text[from - 1] == '_'))
            from--;
        for (size_t at = open + 1; at < close;) {
            size_t end = piece_end(s->text, at, close);
            char piece[4096];
            int n = snprintf(piece, sizeof piece, "%.*s", (int)(end - at), s->text + at);
            if (n > 0 && (size_t)n < sizeof piece &&
                attempt(s, from, close + 1, piece, (size_t)n)) {
                any = true;
                break;
            }
            at = end + 1;
            while (at < close && strchr(" +-*/%&<>=!", s->text[at])) at++;
        }
    }
    return any;
}

static bool drop_words(shrinker *s)
{
    static const char *const words[] = {" where ",  " else ", " pipeline ", " step ",
                                        " unroll ", " ring ", " + ",        "*"};
    bool any = false;
    for (size_t at = strlen(s->text); at-- > 0;)
        for (size_t w = 0; w < sizeof words / sizeof *words; w++) {
            if (strncmp(s->text + at, words[w], strlen(words[w]))) continue;
            size_t end = at + strlen(words[w]);
            for (int depth = 0; s->text[end] && s->text[end] != '\n'; end++) {
                char c = s->text[end];
                depth += (c == '(' || c == '[') - (c == ')' || c == ']');
                if (depth < 0 || (!depth && (c == ' ' || c == ',' || c == ';'))) break;
            }
            any |= attempt(s, at, end, "", 0);
        }
    return any;
}

// A divisor or an extent of 0 would make another program, one that no launch gets to; comments are
// no part of it.
static long least(const char *text, size_t at)
{
    size_t line = at;
    while (line && text[line - 1] != '\n') line--;
    if (!strncmp(text + line, "//", 2) && strncmp(text + line, "// run:", 7)) return INT32_MAX;
    if (!strncmp(text + line, "  const", 7)) return 1;
    return at > 1 && (text[at - 2] == '%' || text[at - 2] == '/') ? 1 : 0;
}

static bool lower_numbers(shrinker *s)
{
    bool any = false;
    for (size_t at = strlen(s->text); at-- > 0;) {
        const char *text = s->text;
        if (!isdigit((unsigned char)text[at])) continue;
        if (at && (isalnum((unsigned char)text[at - 1]) || strchr("_.", text[at - 1]))) continue;
        char *end;
        long v = strtol(text + at, &end, 10);
        size_t to = (size_t)(end - text);
        const long tries[] = {0, 1, v / 2, v - 1};
        for (int i = 0; i < 4; i++) {
            char number[24];
            if (tries[i] >= v || tries[i] < least(s->text, at)) continue;
            snprintf(number, sizeof number, "%ld", tries[i]);
            if (!attempt(s, at, to, number, strlen(number))) continue;
            any = true;
            break;
        }
    }
    return any;
}

int shrink(machine *m, case_runner *run, char *text, size_t size, report *last, int limit)
{
    shrinker s = {m, run, text, malloc(size), size, last, 0, limit};
    if (!s.candidate) return 0;
    bool more = true;
    while (more && s.tried < limit) {
        more = drop_lines(&s);
        more |= open_blocks(&s);
        more |= take_pieces(&s);
        more |= drop_words(&s);
        more |= lower_numbers(&s);
    }
    free(s.candidate);
    return s.tried;
}
