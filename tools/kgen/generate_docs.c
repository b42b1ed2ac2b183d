// SPDX-License-Identifier: MIT
// Build tool: the man page, the shell completion and the reference page from options.def.
//   generate_docs man|bash|markdown VERSION OUT
#include "options.h"
#include <ctype.h>
#include <string.h>

static bool takes(command_id command, const option_row *row)
{
    return row->commands >> command & 1;
}

// ---- man ---------------------------------------------------------------------------------------

// Text with what roff would take for itself escaped.
static void roff(FILE *out, const char *text)
{
    if (*text == '.' || *text == '\'') fputs("\\&", out);
    for (; *text; text++) {
        if (*text == '-')
            fputs("\\-", out);
        else if (*text == '\\')
            fputs("\\e", out);
        else if (*text == '`')
            fputs("\\(cq", out);
        else
            fputc(*text, out);
    }
    fputc('\n', out);
}

static void man_command(FILE *out, command_id command)
{
    const command_row *row = &command_table[command];
    fprintf(out, ".SS kgen %s %s\n", row->name, row->operands);
    roff(out, row->text);
    for (int id = 0; id < OPTION_COUNT; id++) {
        char spelling[64];
        if (!takes(command, &option_table[id])) continue;
        option_spelling(&option_table[id], spelling, sizeof spelling);
        fputs(".TP\n.B ", out);
        roff(out, spelling);
        roff(out, option_table[id].doc);
    }
}

static void man(FILE *out, const char *version)
{
    fprintf(out, ".\\\" Generated from options.def.\n.TH KGEN 1 \"\" \"kgen %s\" \"\"\n.SH NAME\n",
            version);
    fputs("kgen \\- compile tile programs to GPU kernels and check them\n.SH SYNOPSIS\n"
          ".B kgen\n.I command\n[arguments] [options]\n.SH COMMANDS\n",
          out);
    for (int i = 0; i < COMMAND_COUNT; i++) man_command(out, (command_id)i);
    fputs(".SH EXIT STATUS\n", out);
    for (int i = 0; i < n_exits; i++) {
        fprintf(out, ".TP\n.B %d\n", exit_table[i].code);
        roff(out, exit_table[i].doc);
    }
    fputs(".SH ENVIRONMENT\n.TP\n.B NO_COLOR\n"
          "If set, messages have no colours unless \\-\\-color=always is given.\n"
          ".TP\n.B CUDA_HOME, CUDA_PATH\nWhere ptxas is looked for, in bin, beside $PATH.\n"
          ".SH EXAMPLES\n",
          out);
    for (int i = 0; i < n_examples; i++) {
        fputs(".TP\n.B ", out);
        roff(out, example_table[i].line);
        roff(out, example_table[i].doc);
    }
}

// ---- bash --------------------------------------------------------------------------------------

// The words of a value: those of the table, with @x replaced by what lists x.
static void bash_values(FILE *out, const char *values)
{
    fputs("\"", out);
    while (*values) {
        int length = (int)strcspn(values, " ");
        if (*values == '@')
            fprintf(out, "$(_kgen_list %.*s)", length - 1, values + 1);
        else
            fprintf(out, "%.*s", length, values);
        values += length;
        if (*values) fputc(*values++, out);
    }
    fputs("\"", out);
}

static void bash_option_values(FILE *out)
{
    fputs("    case $option in\n", out);
    for (int id = 0; id < OPTION_COUNT; id++) {
        const option_row *row = &option_table[id];
        if (!row->values) continue;
        fprintf(out, "    --%s", row->name);
        if (row->letter) fprintf(out, " | -%c", row->letter);
        if (!strcmp(row->values, "@file")) {
            fputs(") COMPREPLY=($(compgen -f -- \"$value\")) ;;\n", out);
            continue;
        }
        fputs(") COMPREPLY=($(compgen -W ", out);
        bash_values(out, row->values);
        fputs(" -- \"$value\")) ;;\n", out);
    }
    fputs("    *) return 1 ;;\n    esac\n", out);
}

static void bash_operands(FILE *out, command_id command)
{
    const char *operands = command_table[command].operands;
    fprintf(out, "    %s)\n        words=\"", command_table[command].name);
    for (int id = 0; id < OPTION_COUNT; id++)
        if (takes(command, &option_table[id]))
            fprintf(out, "--%s%s ", option_table[id].name, option_table[id].argument ? "=" : "");
    if (strstr(operands, "NAME")) fputs("$(_kgen_list kernels) ", out);
    if (!strcmp(operands, "[COMMAND]")) fputs("$commands ", out);
    for (const char *c = operands; command == COMMAND_list && *c; c++)
        fputc(*c == '|' ? ' ' : *c, out);
    fputs("\"\n", out);
    if (strstr(operands, "FILE")) fputs("        files=1\n", out);
    fputs("        ;;\n", out);
}

static void bash(FILE *out)
{
    fputs("# bash completion for kgen. Generated from options.def.\n"
          "_kgen_list() {\n"
          "    kgen list \"$1\" 2>/dev/null | sed -n 's/^\\([a-z][^ ]*\\).*/\\1/p'\n}\n\n"
          "_kgen_values() {\n    local option=$1 value=$2\n",
          out);
    bash_option_values(out);
    fputs("}\n\n_kgen() {\n    local current=${COMP_WORDS[COMP_CWORD]} previous words files=0\n"
          "    previous=${COMP_WORDS[COMP_CWORD-1]}\n    local commands=\"",
          out);
    for (int i = 0; i < COMMAND_COUNT; i++)
        fprintf(out, "%s%s", i ? " " : "", command_table[i].name);
    fputs("\"\n    COMPREPLY=()\n"
          "    if [ \"$COMP_CWORD\" = 1 ]; then\n"
          "        COMPREPLY=($(compgen -W \"$commands --help --version\" -- \"$current\"))\n"
          "        return\n    fi\n"
          "    # bash takes --option=value apart at the equals sign\n"
          "    if [ \"$current\" = '=' ]; then\n"
          "        _kgen_values \"$previous\" ''\n        return\n"
          "    elif [ \"$previous\" = '=' ]; then\n"
          "        _kgen_values \"${COMP_WORDS[COMP_CWORD-2]}\" \"$current\"\n        return\n"
          "    elif [[ $previous == -* ]]; then\n"
          "        _kgen_values \"$previous\" \"$current\" && return\n    fi\n"
          "    case ${COMP_WORDS[1]} in\n",
          out);
    for (int i = 0; i < COMMAND_COUNT; i++) bash_operands(out, (command_id)i);
    fputs("    *) return ;;\n    esac\n"
          "    COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
          "    [[ ${COMPREPLY[0]} == *= ]] && compopt -o nospace\n"
          "    if [ $files = 1 ]; then COMPREPLY+=($(compgen -f -- \"$current\")); fi\n}\n"
          "complete -o filenames -F _kgen kgen\n",
          out);
}

// ---- markdown ----------------------------------------------------------------------------------

static void cell(FILE *out, const char *text)
{
    for (; *text; text++) fprintf(out, *text == '|' ? "\\%c" : "%c", *text);
}

static void markdown_command(FILE *out, command_id command)
{
    const command_row *row = &command_table[command];
    fprintf(out, "\n## kgen %s\n\n    kgen %s%s%s [OPTIONS]\n\n%s\n\n| option | |\n|---|---|\n",
            row->name, row->name, *row->operands ? " " : "", row->operands, row->text);
    for (int id = 0; id < OPTION_COUNT; id++) {
        char spelling[64];
        if (!takes(command, &option_table[id])) continue;
        option_spelling(&option_table[id], spelling, sizeof spelling);
        fprintf(out, "| `%s` | ", spelling);
        cell(out, option_table[id].doc);
        fputs(" |\n", out);
    }
    fputs("\nExamples:\n\n", out);
    for (int i = 0; i < n_examples; i++)
        if (example_table[i].command == command) fprintf(out, "    %s\n", example_table[i].line);
}

static void markdown(FILE *out)
{
    fputs("# The options of kgen\n\nGenerated from `tools/kgen/options.def`.\n", out);
    for (int i = 0; i < COMMAND_COUNT; i++) markdown_command(out, (command_id)i);
}

int main(int argc, char **argv)
{
    if (argc != 4) return fputs("usage: generate_docs man|bash|markdown VERSION OUT\n", stderr), 2;
    FILE *out = fopen(argv[3], "w");
    if (!out) return perror(argv[3]), 1;
    if (!strcmp(argv[1], "man")) man(out, argv[2]);
    if (!strcmp(argv[1], "bash")) bash(out);
    if (!strcmp(argv[1], "markdown")) markdown(out);
    return fclose(out) ? (perror(argv[3]), 1) : 0;
}
