// SPDX-License-Identifier: MIT
// kgen build, kgen explain: from a tile program to what is asked for.
#include "commands.h"
#include "explain.h"
#include "output.h"
#include "ptxas.h"
#include "session.h"
#include "task_keys.h"
#include "task_runner.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { EMIT_IR, EMIT_LLVM, EMIT_PTX, EMIT_CUBIN };
static const char *const emit_words[] = {"ir", "llvm", "ptx", "cubin", NULL};

// ---- dumps -------------------------------------------------------------------------------------

typedef struct pass_dumps {
    const char *folder, *after; // NULL: none; "all" or a pass
    int number;
    bool failed;
} pass_dumps;

static void dump(const char *pass, const char *ir, void *user)
{
    pass_dumps *d = user;
    if (d->after && pass && (!strcmp(d->after, "all") || !strcmp(d->after, pass)))
        fprintf(stderr, "// ---- after %s\n%s", pass, ir);
    if (d->folder && !d->failed) {
        char *path = format_text("%s/%02d-%s.kg", d->folder, d->number, pass ? pass : "tile");
        d->failed = !write_file(path, ir, strlen(ir));
        free(path);
    }
    d->number++;
}

// ---- what is written ---------------------------------------------------------------------------

static int write_text(const command_line *options, const char *text)
{
    const char *path = has(options, OPTION_output) ? options->values[OPTION_output] : "-";
    if (write_file(path, text, strlen(text))) return EXIT_FINE;
    return EXIT_PROBLEM;
}

static int write_cubin(const command_line *options, const kgen_program *program, const char *target)
{
    const char *path = has(options, OPTION_output) ? options->values[OPTION_output] : "-";
    if (!strcmp(path, "-") && isatty(STDOUT_FILENO))
        return usage_error(COMMAND_build, "a cubin is not for a terminal; say -o FILE");
    char *ptxas = ptxas_find();
    if (!ptxas) {
        say_error("--emit=cubin needs ptxas, which is not in $PATH, $CUDA_HOME or /usr/local/cuda");
        say("install the CUDA toolkit, or use --emit=ptx: the driver assembles PTX itself");
        return EXIT_PROBLEM;
    }
    size_t length;
    const char *ptx = kgen_program_ptx(program, &length);
    ptxas_result result;
    bool ok = ptxas_run(ptxas, ptx, length, target, &result);
    if (!ok) {
        say_error("ptxas refused the PTX:");
        fputs(result.log, stderr);
    }
    ok = ok && write_file(path, result.cubin, result.bytes);
    ptxas_free(&result);
    free(ptxas);
    return ok ? EXIT_FINE : EXIT_PROBLEM;
}

static int write_result(const command_line *options, const cli_session *session,
                        const kgen_program *program, int emit)
{
    kgen_program_info info;
    const char *ptx = kgen_program_ptx(program, NULL), *text = NULL;
    kgen_program_get_info(program, &info);
    if (!ptx && emit != EMIT_IR && has(options, OPTION_emit))
        return usage_error(COMMAND_build, "--emit=%s needs all passes; these leave IR only",
                           emit_words[emit]);
    if (!ptx) emit = EMIT_IR;
    if (emit == EMIT_CUBIN) return write_cubin(options, program, info.target);
    if (emit == EMIT_PTX) text = ptx;
    if (emit == EMIT_LLVM) text = kgen_program_llvm(program);
    if (emit == EMIT_IR) text = kgen_program_ir(program);
    if (!text) return session_exit(session, KGEN_ERROR_MEMORY, "printing");
    return write_text(options, text);
}

// ---- the commands ------------------------------------------------------------------------------

static bool known_print_after(const command_line *options)
{
    const char *value = options->values[OPTION_print_after];
    if (value && !strcmp(value, "all")) return true;
    return known_name(options, OPTION_print_after, "pass", kgen_pass_name);
}

// The problem that KEY=VALUE words state of a shipped kernel: its plan. *task is NULL where there
// are none. false after an error was said; *status is what to exit with.
static bool read_problem(const command_line *options, kgen_task **task, int *status)
{
    *task = NULL;
    if (options->n_operands == 1) return true;
    const kgen_family *family = kgen_family_named(options->operands[0]);
    if (!family) {
        *status = usage_error(options->command,
                              "'%s': KEY=VALUE words are for shipped kernels; -D NAME=VALUE gives "
                              "constants of a program",
                              options->operands[1]);
        return false;
    }
    *task = task_planned(options, family, status);
    return *task != NULL;
}

// Compiles what the options say, for a problem where there is one; the dumps go where they say.
static int compile(const command_line *options, cli_session *session, const program_source *source,
                   const kgen_task *task, pass_dumps *dumps, kgen_program **program)
{
    kgen_define *defines = NULL;
    size_t n_defines = 0;
    if (!read_defines(options, &defines, &n_defines)) {
        free(defines);
        return EXIT_USAGE;
    }
    const char *target = options->values[OPTION_target];
    if (task) {
        kgen_define *given = defines;
        defines = task_defines(task, given, n_defines, &n_defines);
        free(given);
        if (!target && task->target[0]) target = task->target;
    }
    bool listen = dumps->folder || dumps->after;
    kgen_compile_options o = {.name = source->name,
                              .kernel = options->values[OPTION_kernel],
                              .target = target,
                              .defines = defines,
                              .n_defines = n_defines,
                              .passes = options->values[OPTION_passes],
                              .stop_after = options->values[OPTION_stop_after],
                              .no_share = has(options, OPTION_no_share),
                              .no_validate = has(options, OPTION_no_validate),
                              .no_repair = has(options, OPTION_no_repair),
                              .reasons = options->command == COMMAND_explain,
                              .after_pass = listen ? dump : NULL,
                              .user = dumps};
    kgen_status status = kgen_compile(session->context, source->text, source->length, &o, program);
    free(defines);
    return session_exit(session, status, "compiling");
}

static int compile_and_write(const command_line *options, cli_session *session, int emit)
{
    program_source source;
    kgen_task *task;
    int status = EXIT_FINE;
    if (!read_problem(options, &task, &status)) return status;
    if (task)
        source_of_task(&source, task);
    else if (!source_read(&source, options, options->operands[0], &status))
        return status;
    pass_dumps dumps = {.folder = options->values[OPTION_dump_dir],
                        .after = options->values[OPTION_print_after]};
    kgen_program *program = NULL;
    if (dumps.folder && !make_directory(dumps.folder)) status = EXIT_PROBLEM;
    if (!status) status = compile(options, session, &source, task, &dumps, &program);
    if (!status && dumps.failed) status = EXIT_PROBLEM;
    if (!status && options->command == COMMAND_explain)
        status = write_explanation(options, session, program);
    else if (!status)
        status = write_result(options, session, program, emit);
    kgen_program_free(program);
    source_free(&source);
    kgen_task_free(task);
    return status;
}

int command_build(const command_line *options)
{
    cli_session session;
    int emit = EMIT_PTX;
    if (!option_word(options, OPTION_emit, emit_words, &emit) ||
        !known_name(options, OPTION_target, "target", kgen_target_name) ||
        !known_name(options, OPTION_stop_after, "pass", kgen_pass_name) ||
        !known_print_after(options) || !known_passes(options))
        return EXIT_USAGE;
    if (!session_open(&session)) return EXIT_PROBLEM;
    int status = compile_and_write(options, &session, emit);
    session_close(&session);
    return status;
}

int command_explain(const command_line *options)
{
    if (has(options, OPTION_schedule)) return explain_schedule(options);
    if (!explanation_form_known(options)) return EXIT_USAGE;
    return command_build(options); // the options that it lacks are not given
}
