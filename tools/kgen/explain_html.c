// SPDX-License-Identifier: MIT
// The page: the program with its synchronizations, their reasons, the drawings with their text.
#include "explain.h"
#include "output.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

void print_escaped(FILE *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '<')
            fputs("&lt;", out);
        else if (*text == '>')
            fputs("&gt;", out);
        else if (*text == '&')
            fputs("&amp;", out);
        else if (*text == '"')
            fputs("&quot;", out);
        else
            fputc(*text, out);
    }
}

static void print_character(FILE *out, char c)
{
    char text[2] = {c, 0};
    print_escaped(out, text);
}

// ---- the program --------------------------------------------------------------------------------

static bool is_keyword(const char *word, size_t length)
{
    static const char *const words[] = {
        "kernel", "const", "type",   "assume", "grid",     "warps", "ctas",  "for",      "in",
        "step",   "while", "if",     "else",   "shared",   "frag",  "load",  "store",    "ring",
        "where",  "and",   "or",     "not",    "pipeline", "copy",  "wait",  "barrier",  "commit",
        "global", "alias", "unroll", "level",  "layout",   "role",  "fence", "warp_sync"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strlen(words[i]) == length && !memcmp(words[i], word, length)) return true;
    return false;
}

static void print_code(FILE *out, const char *line, size_t length)
{
    for (size_t i = 0; i < length;) {
        size_t word = 0;
        if (length - i >= 2 && line[i] == '/' && line[i + 1] == '/') {
            fprintf(out, "<i>");
            for (; i < length; i++) print_character(out, line[i]);
            fprintf(out, "</i>");
            return;
        }
        while (i + word < length &&
               (isalnum((unsigned char)line[i + word]) || line[i + word] == '_'))
            word++;
        bool keyword = word && is_keyword(line + i, word);
        if (keyword) fprintf(out, "<b>");
        for (size_t end = i + (word ? word : 1); i < end; i++) print_character(out, line[i]);
        if (keyword) fprintf(out, "</b>");
    }
}

static int indent_of(const char *line)
{
    int n = (int)strspn(line, " ");
    return line[n] == '\n' || !line[n] ? 0 : n;
}

static void print_sync_row(FILE *out, const kgen_sync_info *s, int indent)
{
    fprintf(out,
            "<div class=\"sync %s\" id=\"S%d\" data-sync=\"%d\" tabindex=\"0\" role=\"button\" "
            "style=\"--indent:%d\"><span class=\"chip\">S%d</span> <b>",
            s->kind, s->id, s->id, indent, s->id);
    print_escaped(out, s->name);
    fprintf(out, "</b> <span class=\"short\">");
    print_escaped(out, s->summary);
    fprintf(out, "</span></div>\n");
}

static void print_program(FILE *out, const kgen_report *r)
{
    const char *at = r->source;
    fprintf(out, "<div class=\"code\" id=\"code\"><svg id=\"arc\" aria-hidden=\"true\"></svg>\n");
    for (int line = 1; *at; line++) {
        size_t length = strcspn(at, "\n");
        const char *next = at + length + (at[length] == '\n');
        fprintf(out, "<div class=\"line\" id=\"L%d\"><span class=\"no\">%d</span><code>", line,
                line);
        print_code(out, at, length);
        fprintf(out, "</code></div>\n");
        int here = indent_of(at), below = indent_of(next);
        for (int i = 0; i < r->n_syncs; i++)
            if (r->syncs[i].after_line == line)
                print_sync_row(out, &r->syncs[i], here > below ? here : below);
        at = next;
    }
    for (int i = 0; i < r->n_syncs; i++) // of a program without text of its own
        if (r->syncs[i].after_line < 1) print_sync_row(out, &r->syncs[i], 0);
    fprintf(out, "</div>\n");
}

// ---- reasons ------------------------------------------------------------------------------------

static bool same_access(const kgen_access_info *a, const kgen_access_info *b)
{
    return a->line == b->line && !strcmp(a->does, b->does) && !strcmp(a->buffer, b->buffer) &&
           !strcmp(a->op, b->op);
}

static bool alike(const kgen_obligation *a, const kgen_obligation *b)
{
    return same_access(&a->first, &b->first) && same_access(&a->second, &b->second) &&
           a->distance == b->distance && a->loop_line == b->loop_line && a->wait == b->wait;
}

static void print_access(FILE *out, const kgen_access_info *a, const char *which)
{
    fprintf(out, "<span class=\"access %s\"><a class=\"to\" href=\"#L%d\">%d</a> ", which, a->line,
            a->line);
    if (strncmp(a->does, "copies", 6)) fprintf(out, "%s ", a->op);
    fprintf(out, "%s <b>", a->does);
    print_escaped(out, a->buffer);
    fprintf(out, "</b>");
    if (a->thread >= 0) fprintf(out, " <small>thread %d</small>", a->thread);
    fprintf(out, "</span>");
}

static void print_details(FILE *out, const kgen_sync_info *s, const kgen_obligation *o)
{
    fprintf(out, "<span class=\"more\">");
    if (o->loop_line)
        fprintf(out, "%lld trip%s later of the loop at line %d; ", (long long)o->distance,
                o->distance == 1 ? "" : "s", o->loop_line);
    if (o->other_buffer) fprintf(out, "on the same bytes; ");
    if (o->byte >= 0) fprintf(out, "byte %lld; ", (long long)o->byte);
    if (o->wait && o->wait != s->id) fprintf(out, "S%d completes the copy; ", o->wait);
    if (o->completion && !o->wait) fprintf(out, "waits on the way complete the copy; ");
    if (o->alone && !strstr(o->alone, s->where)) {
        fprintf(out, "alone: ");
        print_escaped(out, o->alone);
        fprintf(out, "; ");
    }
    fprintf(out, "%s</span>",
            o->needs_sync ? "nothing else orders it" : "other synchronization orders it too");
}

static void print_pair(FILE *out, const kgen_report *r, const kgen_sync_info *s, int index)
{
    const kgen_obligation *o = &r->obligations[s->obligations[index]];
    for (int k = 0; k < index; k++)
        if (alike(o, &r->obligations[s->obligations[k]])) return;
    fprintf(out, "<li data-a=\"%d\" data-b=\"%d\"><span class=\"numbers\">%d", o->first.line,
            o->second.line, o->number);
    for (int k = index + 1; k < s->n_obligations; k++)
        if (alike(o, &r->obligations[s->obligations[k]]))
            fprintf(out, ", %d", r->obligations[s->obligations[k]].number);
    fprintf(out, "</span>");
    print_access(out, &o->first, "a");
    print_access(out, &o->second, "b");
    print_details(out, s, o);
    fprintf(out, "</li>\n");
}

static void print_repairs(FILE *out, const kgen_sync_info *s)
{
    if (!s->n_repairs) return;
    fprintf(out, "<h4>Considered instead</h4><dl>\n");
    for (int i = 0; i < s->n_repairs; i++) {
        const kgen_repair *p = &s->repairs[i];
        fprintf(out, "<dt>");
        print_escaped(out, p->repair);
        fprintf(out, " <span class=\"verdict\">%s</span></dt><dd>", p->verdict);
        print_escaped(out, p->text);
        if (p->runs >= 2 && (int)(p->runs + 0.5) != (int)(s->runs + 0.5))
            fprintf(out, " (about %.0f runs)", p->runs);
        fprintf(out, "</dd>\n");
    }
    fprintf(out, "</dl>\n");
}

static void print_reasons(FILE *out, const kgen_report *r, const kgen_sync_info *s)
{
    fprintf(out, "<article data-sync=\"%d\"><h3><span class=\"chip\">S%d</span> ", s->id, s->id);
    print_escaped(out, s->name);
    fprintf(out, "</h3><p class=\"where\">");
    print_escaped(out, s->where);
    if (s->runs > 1) fprintf(out, "; about %.0f runs", s->runs);
    if (s->runs == 1) fprintf(out, "; runs once");
    if (s->by_hand) fprintf(out, "; by hand");
    if (s->sharing_only) fprintf(out, "; only because buffers share bytes");
    fprintf(out, "; line %d of the IR</p><p class=\"summary\">", s->ir_line);
    print_escaped(out, s->summary);
    fprintf(out, "</p>\n");
    if (s->n_obligations)
        fprintf(out, "<h4>%s %d pair%s of accesses</h4><ol class=\"pairs\">\n",
                strcmp(s->kind, "wait") ? "Orders" : "Completes the copies of", s->n_obligations,
                s->n_obligations == 1 ? "" : "s");
    for (int i = 0; i < s->n_obligations; i++) print_pair(out, r, s, i);
    if (s->n_obligations) fprintf(out, "</ol>\n");
    print_repairs(out, s);
    fprintf(out, "</article>\n");
}

// What no single synchronization of the program answers for.
static void print_others(FILE *out, const kgen_report *r)
{
    int by_author = 0, together = 0, complete = 0;
    for (int i = 0; i < r->n_obligations; i++) {
        by_author += r->obligations[i].by_author;
        together += r->obligations[i].by_hand && !r->obligations[i].sync;
        complete += r->obligations[i].completion && !r->obligations[i].sync &&
                    !r->obligations[i].by_hand && !r->obligations[i].by_author;
    }
    if (complete)
        fprintf(out, "<p class=\"where\">%d cop%s complete in time by waits for others.</p>\n",
                complete, complete == 1 ? "y is" : "ies are");
    if (by_author)
        fprintf(out,
                "<p class=\"where\">%d pair%s of accesses between roles: taken as ordered by "
                "the author's barriers.</p>\n",
                by_author, by_author == 1 ? "" : "s");
    if (together)
        fprintf(out,
                "<p class=\"where\">%d pair%s of accesses: ordered by several "
                "synchronizations of the author together.</p>\n",
                together, together == 1 ? "" : "s");
}

static void print_proxies(FILE *out, const kgen_report *r)
{
    if (!r->n_proxies) return;
    fprintf(out, "<section><h2>Fences between threads and the async proxy</h2>"
                 "<ul class=\"where\">\n");
    for (int i = 0; i < r->n_proxies; i++) {
        fprintf(out, "<li>");
        print_escaped(out, r->proxies[i]);
        fprintf(out, "</li>\n");
    }
    fprintf(out, "</ul></section>\n");
}

static void print_changes(FILE *out, const kgen_report *r)
{
    if (!r->n_changes && !r->fewest) return;
    fprintf(out, "<section><h2>Instead of synchronizing</h2><ul class=\"where\">\n");
    for (int i = 0; i < r->n_changes; i++) {
        const kgen_change *c = &r->changes[i];
        fprintf(out, "<li><b>%s</b> ", c->taken ? "taken" : "not taken");
        print_escaped(out, c->what);
        if (c->line) fprintf(out, ", line %d", c->line);
        fprintf(out, ": ");
        print_escaped(out, c->text);
        if (c->fits)
            fprintf(out, "; cost %lld &rarr; %lld", (long long)c->cost_before,
                    (long long)c->cost_after);
        else
            fprintf(out, "; %smemory does not suffice", c->taken ? "without it " : "");
        fprintf(out, "</li>\n");
    }
    if (r->fewest) {
        fprintf(out, "<li>");
        print_escaped(out, r->fewest);
        fprintf(out, "</li>\n");
    }
    fprintf(out, "</ul></section>\n");
}

// ---- the head -----------------------------------------------------------------------------------

static void print_fact(FILE *out, const char *value, const char *what)
{
    fprintf(out, "<li><b>%s</b> %s</li>", value, what);
}

static void print_counts(FILE *out, const kgen_report *r)
{
    char text[64];
    snprintf(text, sizeof text, "%d", r->n_syncs);
    print_fact(out, text, r->n_syncs == 1 ? "synchronization" : "synchronizations");
    snprintf(text, sizeof text, "%d", r->n_obligations);
    print_fact(out, text,
               r->n_obligations == 1 ? "pair of accesses to order" : "pairs of accesses to order");
    snprintf(text, sizeof text, "%d", r->same_thread + r->by_ring);
    print_fact(out, text,
               r->same_thread + r->by_ring == 1 ? "more pair needs nothing"
                                                : "more pairs need nothing");
}

static void print_sizes(FILE *out, const kgen_report *r)
{
    char used[32], limit[32], text[80];
    int cost = 0;
    snprintf(text, sizeof text, "%s", bytes_text(used, r->shared_bytes));
    fprintf(out, "<li><b>%s</b> of %s shared memory</li>", text,
            bytes_text(limit, r->shared_limit));
    if (r->shared_apart <= r->shared_bytes) return;
    for (int i = 0; i < r->n_syncs; i++) cost += r->syncs[i].sharing_only;
    fprintf(out, "<li><b>%s</b> saved by sharing bytes",
            bytes_text(used, r->shared_apart - r->shared_bytes));
    if (cost)
        fprintf(out, ", for %d synchronization%s</li>", cost, cost == 1 ? "" : "s");
    else
        fprintf(out, ", at no synchronization of its own</li>");
}

static void print_head(FILE *out, const kgen_report *r)
{
    fprintf(out,
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
            "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
            "<title>%s: its synchronization</title>\n<style>\n%s</style>\n</head>\n<body>\n"
            "<header><h1>%s</h1><p>",
            r->kernel, explain_page_css, r->kernel);
    print_escaped(out, r->source_name);
    fprintf(out, ", compiled for %s, %d threads a CTA</p><ul class=\"facts\">", r->target,
            r->threads);
    print_counts(out, r);
    print_sizes(out, r);
    if (r->proof) print_fact(out, r->proof, "by the validator");
    fprintf(out, "</ul></header>\n");
}

static void print_twin(FILE *out, void (*print)(FILE *, const kgen_report *), const kgen_report *r,
                       const kgen_timeline_info *t)
{
    char *text = NULL;
    size_t length;
    FILE *memory = must(open_memstream(&text, &length));
    if (t)
        print_timeline(memory, r, t);
    else
        print(memory, r);
    fclose(memory);
    fprintf(out, "<details><summary>As text</summary><pre>");
    print_escaped(out, must(text));
    fprintf(out, "</pre></details>\n");
    free(text);
}

static void print_drawings(FILE *out, const kgen_report *r)
{
    if (r->n_buffers) {
        fprintf(out, "<section><h2>Shared memory</h2><p class=\"key\">Points of the program from "
                     "left to right, bytes from bottom to top. A buffer takes its bytes for as "
                     "long as it lives; slots of a ring are bands.</p><div class=\"scroll\">\n");
        draw_memory(out, r);
        fprintf(out, "</div>\n");
        print_twin(out, print_memory_map, r, NULL);
        fprintf(out, "</section>\n");
    }
    for (int i = 0; i < r->n_timelines; i++) {
        const kgen_timeline_info *t = &r->timelines[i];
        fprintf(out,
                "<section><h2>The loop at line %d in time</h2><p class=\"key\">"
                "<span class=\"key-flying\"></span> a copy fills the slot, for the nth time "
                "<span class=\"key-holds\"></span> it is there "
                "<span class=\"key-reads\"></span> read <span class=\"key-wait\"></span> wait "
                "<span class=\"key-meet\"></span> barrier. %d trips%s; steps are in order, not "
                "to scale.</p><div class=\"scroll\">\n",
                t->line, t->trips, t->cut ? " of more" : "");
        draw_timeline(out, r, t);
        fprintf(out, "</div>\n");
        print_twin(out, NULL, r, t);
        fprintf(out, "</section>\n");
    }
}

void print_page(FILE *out, const kgen_report *r, const char *explanation)
{
    print_head(out, r);
    fprintf(out, "<main><section class=\"split\"><div class=\"program\"><h2>Program</h2>\n");
    print_program(out, r);
    fprintf(out, "</div><aside id=\"panel\"><h2>Why</h2>\n");
    if (!r->n_syncs)
        fprintf(out,
                "<p>No access of one thread meets another's: nothing has to be ordered.</p>\n");
    for (int i = 0; i < r->n_syncs; i++) print_reasons(out, r, &r->syncs[i]);
    print_others(out, r);
    fprintf(out, "</aside></section>\n");
    print_drawings(out, r);
    print_proxies(out, r);
    print_changes(out, r);
    fprintf(out, "<section><h2>All of it as text</h2><details><summary>kgen explain</summary>"
                 "<pre>");
    print_escaped(out, explanation);
    fprintf(out, "</pre></details></section></main>\n<script>\n%s</script>\n</body>\n</html>\n",
            explain_page_js);
}
