// SPDX-License-Identifier: MIT
// kgen sync: what of a program's own synchronization is missing, and what is not needed.
#include "commands.h"
#include "json.h"
#include "output.h"
#include "session.h"
#include <stdlib.h>
#include <string.h>

static const char *const kind_words[] = {"missing", "redundant", "strict"};

// ---- what is said ------------------------------------------------------------------------------

static int count_of(const kgen_judgement *judgement, kgen_sync_kind kind)
{
    kgen_sync_item item;
    int n = 0;
    for (int i = 0; kgen_judgement_item(judgement, i, &item); i++) n += item.kind == kind;
    return n;
}

// Pairs that the same addition orders are one line.
static void print_added(const kgen_judgement *judgement, const char *name)
{
    kgen_sync_item item, other;
    for (int i = 0; kgen_judgement_item(judgement, i, &item); i++) {
        int more = 0;
        bool told = item.kind != KGEN_SYNC_MISSING;
        for (int k = 0; kgen_judgement_item(judgement, k, &other); k++) {
            bool same = other.kind == item.kind && !strcmp(other.what, item.what);
            told |= same && k < i;
            more += same && k > i;
        }
        if (told) continue;
        printf("%s:%d: %s; left to the compiler (by hand: %s", name, item.line, item.text,
               item.what);
        if (more) printf(", as for %d more pair%s", more, more == 1 ? "" : "s");
        printf(")\n");
    }
}

static void print_text(const kgen_judgement *judgement, const char *name, bool by_hand)
{
    if (!by_hand) print_added(judgement, name);
    int missing = count_of(judgement, KGEN_SYNC_MISSING);
    printf("%s: %d by hand, %d not needed, %d stricter than needed, %d pair%s %s\n", name,
           kgen_judgement_syncs(judgement), count_of(judgement, KGEN_SYNC_REDUNDANT),
           count_of(judgement, KGEN_SYNC_STRICT), missing, missing == 1 ? "" : "s",
           by_hand ? "left open" : "left to the compiler");
}

static void print_json(const kgen_judgement *judgement, const cli_session *session,
                       const char *name)
{
    kgen_sync_item item;
    json_t *items = must(json_array());
    const char *program = kgen_judgement_program(judgement);
    for (int i = 0; kgen_judgement_item(judgement, i, &item); i++)
        json_array_append_new(items,
                              json_pack("{s:s, s:i, s:i, s:o, s:o}", "kind", kind_words[item.kind],
                                        "line", item.line, "column", item.column, "what",
                                        json_text(item.what), "text", json_text(item.text)));
    json_print(must(json_pack("{s:o, s:i, s:o, s:o, s:O}", "file", json_text(name), "by_hand",
                              kgen_judgement_syncs(judgement), "items", items, "program",
                              json_text(program), "diagnostics", session->diagnostics)));
}

static int write_minimized(const command_line *options, const kgen_judgement *judgement)
{
    const char *text = kgen_judgement_program(judgement);
    const char *path = has(options, OPTION_output) ? options->values[OPTION_output] : "-";
    if (!text) {
        say_error("no text of this program has the cheapest set and nothing else");
        return EXIT_PROBLEM;
    }
    return write_file(path, text, strlen(text)) ? EXIT_FINE : EXIT_PROBLEM;
}

// ---- the command -------------------------------------------------------------------------------

static int judge_and_say(const command_line *options, cli_session *session,
                         const program_source *source, const kgen_sync_options *o)
{
    kgen_judgement *judgement = NULL;
    kgen_status status =
        kgen_judge_sync(session->context, source->text, source->length, o, &judgement);
    int result = session_exit(session, status, "judging");
    if (!result && has(options, OPTION_json))
        print_json(judgement, session, source->name);
    else if (!result && o->minimize)
        result = write_minimized(options, judgement);
    else if (!result)
        print_text(judgement, source->name, o->by_hand);
    if (!result && !o->minimize && o->by_hand && count_of(judgement, KGEN_SYNC_MISSING))
        result = EXIT_PROBLEM;
    kgen_judgement_free(judgement);
    return result;
}

int command_sync(const command_line *options)
{
    cli_session session;
    program_source source;
    kgen_define *defines = NULL;
    size_t n_defines = 0;
    int status = EXIT_FINE;
    if (!known_name(options, OPTION_target, "target", kgen_target_name)) return EXIT_USAGE;
    if (!source_read(&source, options, options->operands[0], &status)) return status;
    if (!read_defines(options, &defines, &n_defines)) {
        status = EXIT_USAGE;
    } else if (!session_open(&session)) {
        status = EXIT_PROBLEM;
    } else {
        kgen_sync_options o = {.name = source.name,
                               .kernel = options->values[OPTION_kernel],
                               .target = options->values[OPTION_target],
                               .defines = defines,
                               .n_defines = n_defines,
                               .no_share = has(options, OPTION_no_share),
                               .by_hand = has(options, OPTION_by_hand),
                               .minimize = has(options, OPTION_minimize)};
        status = judge_and_say(options, &session, &source, &o);
        session_close(&session);
    }
    free(defines);
    source_free(&source);
    return status;
}
