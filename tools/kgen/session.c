// SPDX-License-Identifier: MIT
// What the commands share around the library.
#include "session.h"
#include "json.h"
#include "kernels/kernels.h"
#include "output.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

// ---- the context and its findings --------------------------------------------------------------

static void show(const kgen_diagnostic *diagnostic, void *user)
{
    cli_session *session = user;
    if (diagnostic->severity == KGEN_ERROR) session->errors++;
    json_array_append_new(session->diagnostics, json_of_diagnostic(diagnostic));
    fputs(diagnostic->rendered ? diagnostic->rendered : diagnostic->text, stderr);
}

bool session_open(cli_session *session)
{
    *session = (cli_session){.diagnostics = must(json_array())};
    kgen_options o = {.diagnostic = show, .user = session, .color = output_has_color(stderr)};
    kgen_status status = kgen_context_create(&o, &session->context);
    if (!status) return true;
    say_error("cannot start: %s", kgen_status_name(status));
    return false;
}

void session_close(cli_session *session)
{
    kgen_context_free(session->context);
    json_decref(session->diagnostics);
}

int session_exit(const cli_session *session, kgen_status status, const char *doing)
{
    if (status == KGEN_OK) return EXIT_FINE;
    if (status == KGEN_ERROR_INTERNAL) {
        say_error("a bug in kgen while %s; please report it", doing);
        return EXIT_BUG;
    }
    if (!session->errors && status != KGEN_ERROR_FINDINGS) {
        if (status == KGEN_ERROR_MEMORY)
            say_error("out of memory while %s", doing);
        else
            say_error("%s failed: %s", doing, kgen_status_name(status));
    }
    return EXIT_PROBLEM;
}

// ---- sources -----------------------------------------------------------------------------------

static bool ends_in(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && !strcmp(text + n - m, end);
}

// A shipped kernel hides behind a directory of its name, not behind a file.
static bool is_path(const char *name, bool shipped)
{
    struct stat facts;
    if (!strcmp(name, "-") || ends_in(name, ".kg") || strchr(name, '/')) return true;
    return stat(name, &facts) == 0 && !(shipped && S_ISDIR(facts.st_mode));
}

static int unknown_kernel(const command_line *options, const char *name)
{
    const char *names[32];
    int n = 0;
    for (; n < 32 && kgen_families[n]; n++) names[n] = kgen_families[n]->name;
    return unknown_word(options->command, "file or kernel", name, names, n);
}

static void take_text(program_source *source, const char *text, size_t length)
{
    source->length = length;
    source->text = must(malloc(length + 1));
    memcpy(source->text, text, length);
    source->text[length] = 0;
}

bool source_read(program_source *source, const command_line *options, const char *name, int *status)
{
    size_t length = 0;
    const char *shipped = kgen_kernel_source(name, &length);
    *source = (program_source){.name = strcmp(name, "-") ? name : "<stdin>"};
    if (is_path(name, shipped)) {
        source->text = read_file(name, &source->length);
        if (!source->text) *status = EXIT_PROBLEM;
        return source->text != NULL;
    }
    if (!shipped) return *status = unknown_kernel(options, name), false;
    const kgen_family *family = kgen_family_named(name);
    if (family) source->name = family->source_name;
    take_text(source, shipped, length);
    return true;
}

void source_of_task(program_source *source, const kgen_task *task)
{
    *source = (program_source){.name = task->source_name};
    take_text(source, task->source, task->source_bytes);
}

void source_free(program_source *source)
{
    free(source->text);
}

// ---- definitions -------------------------------------------------------------------------------

// NAME=VALUE is cut in place: the strings of argv belong to us.
bool read_defines(const command_line *options, kgen_define **defines, size_t *n_defines)
{
    size_t n = 0;
    *defines = must(calloc((size_t)options->n_given + 1, sizeof **defines));
    for (int i = 0; i < options->n_given; i++) {
        if (options->given[i].id != OPTION_define) continue;
        char *text = (char *)options->given[i].value, *equals = strchr(text, '=');
        if (!equals || equals == text || !equals[1]) {
            usage_error(options->command, "-D %s: must be NAME=VALUE", text);
            return false;
        }
        *equals = 0;
        (*defines)[n++] = (kgen_define){text, equals + 1};
    }
    *n_defines = n;
    return true;
}

// ---- names -------------------------------------------------------------------------------------

const char *const device_kinds[] = {"cpu", "cuda", NULL};

int collect_names(table_function *table, const char **names, int most)
{
    int n = 0;
    while (n < most && (names[n] = table(n, NULL))) n++;
    return n;
}

enum { MOST_NAMES = 256 };

bool known_name(const command_line *options, option_id id, const char *what, table_function *table)
{
    const char *names[MOST_NAMES], *value = options->values[id];
    int n = collect_names(table, names, MOST_NAMES);
    for (int i = 0; i < n && value; i++)
        if (!strcmp(names[i], value)) return true;
    if (!value) return true;
    unknown_word(options->command, what, value, names, n);
    return false;
}

bool known_passes(const command_line *options)
{
    const char *names[MOST_NAMES], *list = options->values[OPTION_passes];
    int n = collect_names(kgen_pass_name, names, MOST_NAMES);
    while (list && *list) {
        int length = (int)strcspn(list, ","), i = 0;
        while (i < n &&
               ((int)strlen(names[i]) != length || strncmp(names[i], list, (size_t)length)))
            i++;
        if (i == n) {
            char *word = format_text("%.*s", length, list);
            unknown_word(options->command, "pass", word, names, n);
            free(word);
            return false;
        }
        list += length;
        if (*list) list++;
    }
    return true;
}
