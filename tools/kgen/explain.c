// SPDX-License-Identifier: MIT
// kgen explain: which form, and where it goes.
#include "explain.h"
#include "output.h"
#include <stdlib.h>
#include <string.h>

bool explanation_form_known(const command_line *options)
{
    bool text = has(options, OPTION_memory) || has(options, OPTION_timeline);
    if (has(options, OPTION_json) + has(options, OPTION_html) + text <= 1) return true;
    usage_error(COMMAND_explain, "--json, --html, and --memory or --timeline exclude each other");
    return false;
}

static void print_json(FILE *out, const kgen_report *report)
{
    json_t *value = json_of_report(report);
    char *text = must(json_dumps(value, JSON_INDENT(2) | JSON_REAL_PRECISION(9)));
    fprintf(out, "%s\n", text);
    free(text);
    json_decref(value);
}

int write_explanation(const command_line *options, const cli_session *session,
                      const kgen_program *program)
{
    const kgen_report *report = kgen_program_report(program);
    const char *words = kgen_program_explain(program);
    const char *path = has(options, OPTION_output) ? options->values[OPTION_output] : "-";
    char *text = NULL;
    size_t length = 0;
    if (!report || !words) return session_exit(session, KGEN_ERROR_MEMORY, "explaining");
    FILE *out = must(open_memstream(&text, &length));
    if (has(options, OPTION_json))
        print_json(out, report);
    else if (has(options, OPTION_html))
        print_page(out, report, words);
    else if (!has(options, OPTION_memory) && !has(options, OPTION_timeline))
        fputs(words, out);
    if (has(options, OPTION_memory)) print_memory_map(out, report);
    if (has(options, OPTION_timeline)) print_timelines(out, report);
    fclose(out);
    bool ok = write_file(path, must(text), length);
    free(text);
    return ok ? EXIT_FINE : EXIT_PROBLEM;
}
