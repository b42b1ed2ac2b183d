// SPDX-License-Identifier: MIT
// The kgen command: reads the command line and hands over to the command.
#include "commands.h"
#include "output.h"
#include "runtime/kgen.h"

static int command_version(void)
{
    printf("kgen %s (LLVM %s)\n", KGEN_VERSION, KGEN_LLVM);
    return EXIT_FINE;
}

static int run_command(const command_line *options)
{
    switch (options->command) {
    case COMMAND_build:
        return command_build(options);
    case COMMAND_run:
        return command_run(options);
    case COMMAND_check:
        return command_check(options);
    case COMMAND_profile:
        return command_profile(options);
    case COMMAND_explain:
        return command_explain(options);
    case COMMAND_sync:
        return command_sync(options);
    case COMMAND_list:
        return command_list(options);
    case COMMAND_demo:
        return command_demo(options);
    case COMMAND_version:
        return command_version();
    case COMMAND_help: // answered by the parser
    case COMMAND_COUNT:
        break;
    }
    return EXIT_BUG;
}

int main(int argc, char **argv)
{
    command_line options;
    int status = EXIT_FINE;
    if (options_parse(&options, argc, argv, &status)) status = run_command(&options);
    options_free(&options);
    if (!finish_stdout() && status == EXIT_FINE) status = EXIT_PROBLEM;
    return status;
}
