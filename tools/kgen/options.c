// SPDX-License-Identifier: MIT
// The parser of the command line, driven by options.def.
#include "options.h"
#include "output.h"
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

// ---- near misses -------------------------------------------------------------------------------

enum { LONGEST_WORD = 48 };

// Edits between two words: insertions, deletions, changes, swaps of neighbours.
static int distance(const char *a, const char *b)
{
    int rows = (int)strlen(a), columns = (int)strlen(b);
    int d[LONGEST_WORD + 1][LONGEST_WORD + 1];
    if (rows > LONGEST_WORD || columns > LONGEST_WORD) return LONGEST_WORD;
    for (int i = 0; i <= rows; i++) d[i][0] = i;
    for (int j = 0; j <= columns; j++) d[0][j] = j;
    for (int i = 1; i <= rows; i++)
        for (int j = 1; j <= columns; j++) {
            int best = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            if (d[i - 1][j] + 1 < best) best = d[i - 1][j] + 1;
            if (d[i][j - 1] + 1 < best) best = d[i][j - 1] + 1;
            bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if (swapped && d[i - 2][j - 2] + 1 < best) best = d[i - 2][j - 2] + 1;
            d[i][j] = best;
        }
    return d[rows][columns];
}

const char *nearest(const char *word, const char *const *names, int n_names)
{
    const char *found = NULL;
    int best = ((int)strlen(word) + 2) / 3 + 1; // farther away is another word
    for (int i = 0; i < n_names; i++) {
        int edits = distance(word, names[i]);
        if (edits >= best) continue;
        best = edits;
        found = names[i];
    }
    return found;
}

// ---- usage errors ------------------------------------------------------------------------------

static int point_to_help(command_id command)
{
    if (command == COMMAND_COUNT)
        say("try: kgen help");
    else
        say("try: kgen help %s", command_table[command].name);
    return EXIT_USAGE;
}

int usage_error(command_id command, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say_error_list(format, arguments);
    va_end(arguments);
    return point_to_help(command);
}

int unknown_word(command_id command, const char *what, const char *word, const char *const *known,
                 int n_known)
{
    const char *near = nearest(word, known, n_known);
    if (near) {
        say_error("unknown %s '%s'; did you mean '%s'?", what, word, near);
    } else {
        say_error("unknown %s '%s'", what, word);
        char list[512] = "";
        for (int i = 0; i < n_known && strlen(list) + strlen(known[i]) + 4 < sizeof list; i++) {
            if (i) strcat(list, ", ");
            strcat(list, known[i]);
        }
        if (n_known) say("known are: %s", list);
    }
    return point_to_help(command);
}

// ---- values ------------------------------------------------------------------------------------

bool option_number(const command_line *options, option_id id, int64_t least, int64_t most,
                   int64_t *value)
{
    const char *text = options->values[id];
    if (!text) return true;
    char *end;
    errno = 0;
    long long number = strtoll(text, &end, 0);
    if (*text && !*end && !errno && number >= least && number <= most) return *value = number, true;
    usage_error(options->command, "--%s=%s: must be a whole number from %lld to %lld",
                option_table[id].name, text, (long long)least, (long long)most);
    return false;
}

bool option_word(const command_line *options, option_id id, const char *const *words, int *value)
{
    const char *text = options->values[id];
    if (!text) return true;
    int n = 0;
    for (; words[n]; n++)
        if (!strcmp(words[n], text)) return *value = n, true;
    char what[64];
    snprintf(what, sizeof what, "value of --%s", option_table[id].name);
    unknown_word(options->command, what, text, words, n);
    return false;
}

// ---- parsing -----------------------------------------------------------------------------------

static bool applies(option_id id, command_id command)
{
    return option_table[id].commands >> command & 1;
}

// getopt's own tables for one command. A long option's value is 256 + its id.
static void make_getopt_tables(command_id command, char *letters, struct option *rows)
{
    *letters++ = ':';
    for (int id = 0; id < OPTION_COUNT; id++) {
        const option_row *row = &option_table[id];
        if (!applies(id, command)) continue;
        *rows++ = (struct option){row->name, row->argument ? required_argument : no_argument, NULL,
                                  256 + id};
        if (!row->letter) continue;
        *letters++ = (char)row->letter;
        if (row->argument) *letters++ = ':';
    }
    *rows = (struct option){0};
    *letters = 0;
}

static option_id option_of(int value)
{
    if (value >= 256) return (option_id)(value - 256);
    int id = 0;
    while (option_table[id].letter != value) id++;
    return (option_id)id;
}

static int unknown_option(command_id command, const char *text, int letter)
{
    char word[LONGEST_WORD + 1];
    const char *known[OPTION_COUNT];
    int n = 0;
    if (strncmp(text, "--", 2)) {
        snprintf(word, sizeof word, "-%c", letter);
        return unknown_word(command, "option", word, NULL, 0);
    }
    snprintf(word, sizeof word, "%.*s", (int)strcspn(text + 2, "="), text + 2);
    for (int id = 0; id < OPTION_COUNT; id++) {
        if (!applies(id, command)) continue;
        if (!strcmp(option_table[id].name, word))
            return usage_error(command, "option --%s takes no value", word);
        known[n++] = option_table[id].name;
    }
    const char *near = nearest(word, known, n);
    if (near)
        return usage_error(command, "unknown option '--%s'; did you mean '--%s'?", word, near);
    return usage_error(command, "unknown option '--%s'", word);
}

static bool read_options(command_line *options, int argc, char **argv, int *status)
{
    char letters[2 * OPTION_COUNT + 2];
    struct option rows[OPTION_COUNT + 1];
    make_getopt_tables(options->command, letters, rows);
    opterr = 0;
    optind = 0; // start over, permuting
    for (int value; (value = getopt_long(argc, argv, letters, rows, NULL)) != -1;) {
        if (value == '?')
            return *status = unknown_option(options->command, argv[optind - 1], optopt), false;
        if (value == ':')
            return *status =
                       usage_error(options->command, "option %s needs a value", argv[optind - 1]),
                   false;
        option_id id = option_of(value);
        const char *text = optarg ? optarg : "";
        options->values[id] = text;
        options->given[options->n_given++] = (given_option){id, text};
    }
    options->operands = argv + optind;
    options->n_operands = argc - optind;
    return true;
}

static bool check_operands(const command_line *options, int *status)
{
    const command_row *row = &command_table[options->command];
    if (options->n_operands < row->least)
        *status = usage_error(options->command, "%s: missing %s", row->name, row->operands);
    else if (row->most >= 0 && options->n_operands > row->most)
        *status = usage_error(options->command, "%s: unexpected '%s'", row->name,
                              options->operands[row->most]);
    else
        return true;
    return false;
}

static bool find_command(const char *name, command_id *command)
{
    for (int i = 0; i < COMMAND_COUNT; i++)
        if (!strcmp(command_table[i].name, name)) return *command = (command_id)i, true;
    return false;
}

static int unknown_command(const char *name)
{
    const char *known[COMMAND_COUNT];
    for (int i = 0; i < COMMAND_COUNT; i++) known[i] = command_table[i].name;
    return unknown_word(COMMAND_COUNT, "command", name, known, COMMAND_COUNT);
}

// What stands in front of the command: --help, --version, --color=WHEN. Returns the index of the
// command's name in argv, 0 when the word was the last one.
static int read_front(command_line *options, int argc, char **argv, int *status)
{
    int i = 1;
    for (; i < argc && argv[i][0] == '-' && argv[i][1]; i++) {
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
            print_overview(stdout);
            return *status = EXIT_FINE, 0;
        }
        if (!strcmp(argv[i], "--version")) {
            options->command = COMMAND_version;
            return argc;
        }
        if (strncmp(argv[i], "--color=", 8)) {
            *status = unknown_option(COMMAND_help, argv[i], argv[i][1]);
            return 0;
        }
        options->values[OPTION_color] = argv[i] + 8;
    }
    if (i < argc) return i;
    print_overview(stderr);
    *status = EXIT_USAGE;
    return 0;
}

// `kgen help`, `kgen help COMMAND`, `kgen COMMAND --help`.
static bool print_help(const command_line *options, int *status)
{
    command_id about = options->command;
    bool asked = has(options, OPTION_help);
    *status = EXIT_FINE;
    if (!asked && options->n_operands && !find_command(options->operands[0], &about))
        *status = unknown_command(options->operands[0]);
    else if (!asked && !options->n_operands)
        print_overview(stdout);
    else
        print_command_help(stdout, about);
    return false;
}

bool options_parse(command_line *options, int argc, char **argv, int *status)
{
    static const char *const when[] = {"auto", "always", "never", NULL};
    *options = (command_line){.command = COMMAND_COUNT};
    options->given = must(calloc((size_t)argc + 1, sizeof *options->given));
    int first = read_front(options, argc, argv, status);
    if (!first) return false;
    if (first < argc) {
        if (!find_command(argv[first], &options->command))
            return *status = unknown_command(argv[first]), false;
        if (!read_options(options, argc - first, argv + first, status)) return false;
    }
    int color = COLOR_AUTO;
    if (!option_word(options, OPTION_color, when, &color)) return *status = EXIT_USAGE, false;
    output_use_color(color);
    if (has(options, OPTION_help) || options->command == COMMAND_help)
        return print_help(options, status);
    return check_operands(options, status);
}

void options_free(command_line *options)
{
    free(options->given);
}
