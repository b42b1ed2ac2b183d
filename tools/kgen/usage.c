// SPDX-License-Identifier: MIT
// --help, made from options.def.
#include "options.h"
#include <string.h>

enum { WIDTH = 80 };

// Prints text from `column` on, wrapped, each line indented by `indent`.
static void wrap(FILE *out, const char *text, int column, int indent)
{
    while (*text) {
        int length = (int)strcspn(text, " ");
        if (column > indent && column + 1 + length > WIDTH) {
            fprintf(out, "\n%*s", indent, "");
            column = indent;
        } else if (column > indent) {
            fputc(' ', out);
            column++;
        }
        fprintf(out, "%.*s", length, text);
        column += length;
        text += length;
        text += strspn(text, " ");
    }
    fputc('\n', out);
}

void option_spelling(const option_row *row, char *text, size_t room)
{
    char letter[8] = "";
    if (row->letter) snprintf(letter, sizeof letter, "-%c, ", row->letter);
    snprintf(text, room, "%s--%s%s%s", letter, row->name, row->argument ? "=" : "",
             row->argument ? row->argument : "");
}

void print_overview(FILE *out)
{
    fputs("kgen compiles tile programs to GPU kernels and checks them without a GPU.\n\n"
          "usage: kgen COMMAND [ARGUMENTS] [OPTIONS]\n\ncommands:\n",
          out);
    for (int i = 0; i < COMMAND_COUNT; i++)
        fprintf(out, "  %-9s %s\n", command_table[i].name, command_table[i].doc);
    fputs("\nexamples:\n", out);
    for (int i = 0; i < n_examples; i++) {
        bool first = i == 0 || example_table[i - 1].command != example_table[i].command;
        if (first && example_table[i].command <= COMMAND_demo)
            fprintf(out, "  %s\n", example_table[i].line);
    }
    fputs("\n`kgen help COMMAND` and `kgen COMMAND --help` say more.\n", out);
}

static void print_options(FILE *out, command_id command)
{
    enum { INDENT = 30 };
    fputs("\noptions:\n", out);
    for (int id = 0; id < OPTION_COUNT; id++) {
        const option_row *row = &option_table[id];
        if (!(row->commands >> command & 1)) continue;
        char spelling[64];
        option_spelling(row, spelling, sizeof spelling);
        int n = fprintf(out, "  %s%s", row->letter ? "" : "    ", spelling);
        if (n + 2 > INDENT)
            fprintf(out, "\n%*s", INDENT, "");
        else
            fprintf(out, "%*s", INDENT - n, "");
        wrap(out, row->doc, INDENT, INDENT);
    }
}

void print_command_help(FILE *out, command_id command)
{
    const command_row *row = &command_table[command];
    fprintf(out, "usage: kgen %s%s%s [OPTIONS]\n\n", row->name, *row->operands ? " " : "",
            row->operands);
    wrap(out, row->text, 0, 0);
    print_options(out, command);
    fputs("\nexamples:\n", out);
    for (int i = 0; i < n_examples; i++)
        if (example_table[i].command == command)
            fprintf(out, "  %s\n      %s\n", example_table[i].line, example_table[i].doc);
    fputs("\nexit status:\n", out);
    for (int i = 0; i < n_exits; i++) {
        fprintf(out, "  %-2d  ", exit_table[i].code);
        wrap(out, exit_table[i].doc, 6, 6);
    }
}
