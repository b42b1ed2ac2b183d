// SPDX-License-Identifier: MIT
// Runs again with what findings propose, a proposal at a time, and compares the findings.
#include "repairs.h"
#include "json.h"
#include "output.h"
#include <stdlib.h>
#include <string.h>

// The statements stand in front of what the line holds, so that lines keep their numbers.
static char *text_with(const raw_run *run, const finding_key *key)
{
    const char *at = run->text;
    for (int line = 1; line < key->repair_line && at; line++) {
        at = strchr(at, '\n');
        at = at ? at + 1 : NULL;
    }
    if (!at) return NULL;
    return format_text("%.*s%s %s", (int)(at - run->text), run->text, key->repair, at);
}

static bool same_finding(const finding_key *a, const finding_key *b)
{
    return !strcmp(a->rule, b->rule) && a->line_a == b->line_a && a->line_b == b->line_b;
}

static bool holds(const finding_list *list, const finding_key *key)
{
    for (size_t i = 0; i < list->n; i++)
        if (same_finding(&list->keys[i], key)) return true;
    return false;
}

// Another run of the same with another text. Nothing that it says is for the user.
static void try_one(tried_repair *tried, const raw_run *run, char *text, schedule s)
{
    raw_run again = *run;
    tried->outcome = "error";
    again.text = text;
    again.length = strlen(text);
    again.kernel = format_text("%s", run->kernel);
    again.session = (cli_session){.diagnostics = must(json_array()), .errors = 1};
    findings_open(&again.findings);
    if (kgen_context_create(NULL, &again.session.context) == KGEN_OK) {
        int status = raw_run_once(&again, s);
        const finding_list *found = &again.findings;
        if (holds(found, &tried->key))
            tried->outcome = "stays";
        else if (found->n || !status)
            tried->outcome = "gone";
        for (size_t i = 0; i < found->n && !strcmp(tried->outcome, "gone"); i++)
            if (!holds(&run->findings, &found->keys[i])) {
                tried->outcome = "others";
                tried->other = format_text("%s of lines %d and %d", found->keys[i].rule,
                                           found->keys[i].line_a, found->keys[i].line_b);
            }
    }
    raw_run_close(&again);
}

static bool was_tried(const repair_list *list, const finding_key *key)
{
    for (int i = 0; i < list->n; i++)
        if (same_finding(&list->items[i].key, key)) return true;
    return false;
}

void repairs_try(repair_list *list, const raw_run *run, schedule s)
{
    *list = (repair_list){.items = must(calloc(MOST_REPAIRS, sizeof *list->items))};
    for (size_t i = 0; i < run->findings.n && list->n < MOST_REPAIRS; i++) {
        const finding_key *key = &run->findings.keys[i];
        if (!key->repair || was_tried(list, key)) continue;
        char *text = text_with(run, key);
        if (!text) continue;
        tried_repair *tried = &list->items[list->n++];
        tried->key = *key;
        try_one(tried, run, text, s);
    }
}

void repairs_print(const repair_list *list)
{
    for (int i = 0; i < list->n; i++) {
        const tried_repair *t = &list->items[i];
        printf("tried: %s in front of line %d: %s of lines %d and %d %s%s%s\n", t->key.repair,
               t->key.repair_line, t->key.rule, t->key.line_a, t->key.line_b,
               !strcmp(t->outcome, "gone")     ? "is gone"
               : !strcmp(t->outcome, "stays")  ? "stays"
               : !strcmp(t->outcome, "others") ? "is gone, but there is "
                                               : "could not be tried",
               t->other ? t->other : "", t->other ? " instead" : "");
    }
}

json_t *repairs_json(const repair_list *list)
{
    json_t *rows = must(json_array());
    for (int i = 0; i < list->n; i++) {
        const tried_repair *t = &list->items[i];
        json_array_append_new(rows, json_pack("{s:o, s:[i, i], s:o, s:i, s:s, s:o}", "rule",
                                              json_text(t->key.rule), "lines", t->key.line_a,
                                              t->key.line_b, "repair", json_text(t->key.repair),
                                              "line", t->key.repair_line, "outcome", t->outcome,
                                              "other", json_text(t->other)));
    }
    return rows;
}

void repairs_free(repair_list *list)
{
    for (int i = 0; i < list->n; i++) free(list->items[i].other);
    free(list->items);
}
