// SPDX-License-Identifier: MIT
// Judges the synchronization that .kg files have by hand, and makes the cheapest program of each.
//
//   // by-hand: missing 1 redundant 2 strict 0     what `kgen sync --by-hand` must find
//   // finding: KG-S505 part of a line             a finding with that id, rendered, has these
//   words
//
// Whatever the file says: the text that comes out with the cheapest set must compile, with nothing
// missing and nothing that is not needed; a second time it must come out as it went in. Arguments
// are paths; each is a test (TAP). --random FIRST COUNT: as many random programs, one test.
#include "random_program.h"
#include "words.h"
#include "runtime/kgen.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_LIMIT = 1 << 18, FINDINGS_LIMIT = 1 << 17 };

typedef struct subject {
    char text[TEXT_LIMIT];
    char found[FINDINGS_LIMIT]; // rendered findings, each with its id in front
    char failure[1024];
    const char *path;
    kgen_context *context;
} subject;

static void collect(const kgen_diagnostic *d, void *user)
{
    subject *s = user;
    size_t used = strlen(s->found);
    snprintf(s->found + used, sizeof s->found - used, "\x01%s %s", d->id, d->rendered);
}

static void fail(subject *s, const char *format, const char *what)
{
    if (!s->failure[0]) snprintf(s->failure, sizeof s->failure, format, what);
}

static kgen_judgement *judge(subject *s, const char *text, bool by_hand, bool minimize)
{
    kgen_sync_options o = {.name = s->path, .by_hand = by_hand, .minimize = minimize};
    kgen_judgement *judgement = NULL;
    s->found[0] = 0;
    return kgen_judge_sync(s->context, text, strlen(text), &o, &judgement) ? NULL : judgement;
}

static int count_of(const kgen_judgement *judgement, int kind)
{
    kgen_sync_item item;
    int n = 0;
    for (int i = 0; kgen_judgement_item(judgement, i, &item); i++)
        n += kind < 0 || (int)item.kind == kind;
    return n;
}

// ---- the file's words ---------------------------------------------------------------------------
static void check_counts(subject *s, const kgen_judgement *judgement, const char *words)
{
    char have[128];
    snprintf(have, sizeof have, " missing %d redundant %d strict %d",
             count_of(judgement, KGEN_SYNC_MISSING), count_of(judgement, KGEN_SYNC_REDUNDANT),
             count_of(judgement, KGEN_SYNC_STRICT));
    if (strcmp(have, words)) fail(s, "found%s", have);
}

static void check_finding(subject *s, const char *words)
{
    char id[16] = "";
    int length = 0;
    sscanf(words, " %15s %n", id, &length);
    for (char *at = s->found; (at = strchr(at, 1)); at++) {
        char *end = strchr(at + 1, 1);
        if (end) *end = 0;
        bool here = !strncmp(at + 1, id, strlen(id)) && strstr(at + 1, words + length);
        if (end) *end = 1;
        if (here) return;
    }
    fail(s, "no finding%s", words);
}

static void check_words(subject *s, bool *refused)
{
    char line[256];
    kgen_judgement *judgement = judge(s, s->text, true, false);
    *refused = !judgement;
    if (line_with(s->text, "// by-hand:", line, sizeof line)) {
        if (judgement)
            check_counts(s, judgement, line);
        else
            fail(s, "%s", "cannot be judged");
    }
    for (const char *at = s->text; (at = line_with(at, "// finding:", line, sizeof line));)
        check_finding(s, line);
    kgen_judgement_free(judgement);
}

// ---- the cheapest program -----------------------------------------------------------------------
// false: none comes out.
static bool check_minimized(subject *s)
{
    kgen_judgement *first = judge(s, s->text, false, true);
    const char *text = kgen_judgement_program(first);
    if (!text) {
        kgen_judgement_free(first);
        return false;
    }
    kgen_judgement *second = judge(s, text, true, true);
    if (!second) {
        fail(s, "the cheapest program is refused:\n%s", text);
    } else if (count_of(second, -1)) {
        fail(s, "the cheapest program is not in order:\n%s", s->found + 1);
    } else if (!kgen_judgement_program(second) || strcmp(text, kgen_judgement_program(second))) {
        fail(s, "%s", "the cheapest program has a cheaper one");
    }
    kgen_judgement_free(second);
    kgen_judgement_free(first);
    return true;
}

static bool test_file(int number, const char *path)
{
    static subject s;
    memset(&s, 0, sizeof s);
    s.path = path;
    FILE *file = fopen(path, "rb");
    size_t n = file ? fread(s.text, 1, sizeof s.text - 1, file) : 0;
    if (file) fclose(file);
    kgen_options o = {.diagnostic = collect, .user = &s};
    bool refused = false;
    if (!n || kgen_context_create(&o, &s.context)) {
        fail(&s, "%s", "cannot be read");
    } else {
        check_words(&s, &refused);
        bool compiles = !strstr(s.text, "// expect-error:");
        if (!refused && compiles && !check_minimized(&s))
            fail(&s, "%s", "the cheapest program does not come out");
        if (refused && !strstr(s.text, "// expect-error:") && !strstr(s.text, "// RUN: not"))
            fail(&s, "refused: %.900s", s.found + (s.found[0] == 1));
        kgen_context_free(s.context);
    }
    const char *base = strrchr(path, '/');
    printf("%sok %d - %s\n", s.failure[0] ? "not " : "", number, base ? base + 1 : path);
    for (char *line = strtok(s.failure, "\n"); line; line = strtok(NULL, "\n"))
        printf("# %s\n", line);
    fflush(stdout);
    return !s.failure[0];
}

// What the compiler refuses is no subject. A few come to no end: a barrier keeps two equal loads
// apart that would be one without it, and then buffers share bytes that need the barrier.
static bool test_random(uint64_t first, int count)
{
    static subject s;
    int refused = 0, endless = 0;
    for (int i = 0; i < count && !s.failure[0]; i++) {
        memset(&s, 0, sizeof s);
        s.path = "random";
        random_program(first + (uint64_t)i, s.text, sizeof s.text);
        kgen_options o = {.diagnostic = collect, .user = &s};
        if (kgen_context_create(&o, &s.context)) return false;
        kgen_judgement *judgement = judge(&s, s.text, true, false);
        refused += !judgement;
        if (judgement) endless += !check_minimized(&s);
        kgen_judgement_free(judgement);
        kgen_context_free(s.context);
        if (s.failure[0])
            printf("# seed %llu\n%s", (unsigned long long)first + (uint64_t)i, s.text);
    }
    bool ok = !s.failure[0] && endless * 100 <= count;
    printf("1..1\n%sok 1 - random programs\n# %s\n# %d programs, %d refused, %d without an end\n",
           ok ? "" : "not ", s.failure, count, refused, endless);
    return ok;
}

int main(int argc, char **argv)
{
    bool ok = true;
    if (argc == 4 && !strcmp(argv[1], "--random"))
        return test_random(strtoull(argv[2], NULL, 10), atoi(argv[3])) ? 0 : 1;
    printf("1..%d\n", argc - 1);
    for (int i = 1; i < argc; i++) ok &= test_file(i, argv[i]);
    return ok ? 0 : 1;
}
