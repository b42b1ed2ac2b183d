// SPDX-License-Identifier: MIT
// The tables of options.def.
#include "options.h"

enum {
#define COMMAND(id, name, operands, least, most, doc, text) IN_##id = 1 << COMMAND_##id,
#include "options.def"
    IN_all = (1 << COMMAND_COUNT) - 1
};

const command_row command_table[COMMAND_COUNT] = {
#define COMMAND(id, name, operands, least, most, doc, text)                                        \
    {name, operands, least, most, doc, text},
#include "options.def"
};

const option_row option_table[OPTION_COUNT] = {
#define OPTION(id, short, long, argument, values, commands, doc)                                   \
    {short, long, argument, values, commands, doc},
#include "options.def"
};

const example_row example_table[] = {
#define EXAMPLE(command, line, doc) {COMMAND_##command, line, doc},
#include "options.def"
};
const int n_examples = sizeof example_table / sizeof *example_table;

const exit_row exit_table[] = {
#define EXIT_STATUS(code, doc) {code, doc},
#include "options.def"
};
const int n_exits = sizeof exit_table / sizeof *exit_table;
