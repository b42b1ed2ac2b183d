// SPDX-License-Identifier: MIT
// The command line as data: tables made from options.def, and what a user gave.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

// Exit statuses; options.def documents them.
enum { EXIT_FINE = 0, EXIT_PROBLEM = 1, EXIT_USAGE = 2, EXIT_BUG = 70 };

typedef enum command_id {
#define COMMAND(id, name, operands, least, most, doc, text) COMMAND_##id,
#include "options.def"
    COMMAND_COUNT
} command_id;

typedef enum option_id {
#define OPTION(id, short, long, argument, values, commands, doc) OPTION_##id,
#include "options.def"
    OPTION_COUNT
} option_id;

typedef struct command_row {
    const char *name, *operands;
    int least, most; // operands; most -1: any number
    const char *doc, *text;
} command_row;

typedef struct option_row {
    int letter; // 0: none
    const char *name, *argument, *values;
    unsigned commands; // bit 1 << command_id
    const char *doc;
} option_row;

typedef struct example_row {
    command_id command;
    const char *line, *doc;
} example_row;

typedef struct exit_row {
    int code;
    const char *doc;
} exit_row;

extern const command_row command_table[COMMAND_COUNT];
extern const option_row option_table[OPTION_COUNT];
extern const example_row example_table[];
extern const exit_row exit_table[];
extern const int n_examples, n_exits;

// One use of an option, in the order of the command line.
typedef struct given_option {
    option_id id;
    const char *value; // "" without an argument
} given_option;

typedef struct command_line {
    command_id command;
    const char *values[OPTION_COUNT]; // of the last use; NULL: not given
    given_option *given;
    int n_given;
    char **operands; // inside argv
    int n_operands;
} command_line;

// Reads argv. Returns true when there is a command to run; else *status is what to exit with, and
// everything there was to say was said. options_free afterwards in both cases.
bool options_parse(command_line *options, int argc, char **argv, int *status);
void options_free(command_line *options);

static inline bool has(const command_line *options, option_id id)
{
    return options->values[id] != NULL;
}

// A whole number within limits, decimal or 0x; else a usage error about option --NAME.
bool option_number(const command_line *options, option_id id, int64_t least, int64_t most,
                   int64_t *value);
// One of the words of a NULL-terminated list; its index in *value, unchanged when not given.
bool option_word(const command_line *options, option_id id, const char *const *words, int *value);

// Prints "kgen: error: ..." and where to find help; returns EXIT_USAGE.
int usage_error(command_id command, const char *format, ...) __attribute__((format(printf, 2, 3)));
// The same for a word that is none of those known, with the nearest of them.
int unknown_word(command_id command, const char *what, const char *word, const char *const *known,
                 int n_known);

// The nearest of the names to a word that may be misspelt, or NULL when none is near.
const char *nearest(const char *word, const char *const *names, int n_names);

// The help texts (usage.c).
void print_overview(FILE *out);
void print_command_help(FILE *out, command_id command);
// "-D, --define=NAME=VALUE" into text.
void option_spelling(const option_row *row, char *text, size_t room);
