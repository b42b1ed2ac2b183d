// SPDX-License-Identifier: MIT
// What the commands share around the library: a context whose findings are shown, sources by name,
// definitions, names checked against the library's tables.
#pragma once
#include "options.h"
#include "runtime/kgen.h"
#include <jansson.h>

typedef struct cli_session {
    kgen_context *context;
    json_t *diagnostics; // of this session, as JSON
    int errors;          // shown so far
} cli_session;

bool session_open(cli_session *session);
void session_close(cli_session *session);
// The exit status for a status of the library. Says so when nothing else was said.
int session_exit(const cli_session *session, kgen_status status, const char *doing);

struct kgen_task;

// A program's text: a file, a shipped kernel or the standard input.
typedef struct program_source {
    char *text;
    size_t length;
    const char *name; // for messages
} program_source;
// false after an error was said; *status is what to exit with.
bool source_read(program_source *source, const command_line *options, const char *name,
                 int *status);
// The text that a planned problem of a shipped kernel has.
void source_of_task(program_source *source, const struct kgen_task *task);
void source_free(program_source *source);

// -D definitions, in order. false after a usage error was said; free() the array.
bool read_defines(const command_line *options, kgen_define **defines, size_t *n_defines);

// The device kinds, and all names that a table function of the library lists.
extern const char *const device_kinds[];
typedef const char *table_function(int index, const char **doc);
int collect_names(table_function *table, const char **names, int most);
// Checks an option's value against such a table; not given is fine.
bool known_name(const command_line *options, option_id id, const char *what, table_function *table);
bool known_passes(const command_line *options);
