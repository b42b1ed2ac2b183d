// SPDX-License-Identifier: MIT
// A kernel of a PTX file on the cpu device, with the arguments of the command line.
#include "raw_run.h"
#include "output.h"
#include "raw_args.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_KERNELS = 256 };

// ---- reading the command line ------------------------------------------------------------------

// "4", "4,2" or "4,2,1"; what is missing stays as it is.
static bool read_triple(const command_line *options, option_id id, unsigned most, unsigned *triple)
{
    const char *text = options->values[id];
    for (int i = 0; text && i < 3; i++) {
        char *end;
        errno = 0;
        long long n = strtoll(text, &end, 10);
        if (end == text || errno || n < 1 || n > most || (*end && *end != ',')) break;
        triple[i] = (unsigned)n;
        text = *end ? end + 1 : NULL;
    }
    if (!text) return true;
    usage_error(options->command, "--%s=%s: must be 1 to 3 numbers from 1 to %u, as in 8,4,1",
                option_table[id].name, options->values[id], most);
    return false;
}

bool raw_run_read(raw_run *run, const command_line *options)
{
    int64_t seed = 0, shared = 0, steps = 4000000000;
    *run = (raw_run){.options = options,
                     .launch = {.grid = {1, 1, 1}, .block = {32, 1, 1}},
                     .device_options = {.unchecked = has(options, OPTION_unchecked),
                                        .cpu_threads = schedules_threads(options)}};
    if (has(options, OPTION_block)) run->launch.block[0] = 1;
    if (has(options, OPTION_cluster)) run->cluster[0] = run->cluster[1] = run->cluster[2] = 1;
    if (!option_number(options, OPTION_seed, 0, INT64_MAX, &seed) ||
        !option_number(options, OPTION_shared, 0, 1 << 20, &shared) ||
        !option_number(options, OPTION_steps, 1, INT64_MAX, &steps) ||
        !read_triple(options, OPTION_grid, INT32_MAX, run->launch.grid) ||
        !read_triple(options, OPTION_block, 1024, run->launch.block) ||
        !read_triple(options, OPTION_cluster, 16, run->cluster))
        return false;
    unsigned threads = run->launch.block[0] * run->launch.block[1] * run->launch.block[2];
    if (threads > 1024) {
        usage_error(options->command, "--block=%s: %u threads; a CTA has at most 1024",
                    options->values[OPTION_block], threads);
        return false;
    }
    run->launch.shared_bytes = (size_t)shared;
    run->device_options.step_limit = (uint64_t)steps;
    run->seed = (uint64_t)seed;
    return true;
}

// ---- the kernel --------------------------------------------------------------------------------

int raw_run_open(raw_run *run)
{
    findings_open(&run->findings);
    if (!session_open(&run->session)) return EXIT_PROBLEM;
    run->text = read_file(run->options->operands[0], &run->length);
    return run->text ? EXIT_FINE : EXIT_PROBLEM;
}

void raw_run_close(raw_run *run)
{
    findings_free(&run->findings);
    if (run->session.diagnostics) session_close(&run->session);
    free(run->text);
    free(run->kernel);
}

static int choose_kernel(raw_run *run, const kgen_module *module)
{
    const char *names[MOST_KERNELS], *wanted = run->options->values[OPTION_kernel];
    int n = 0;
    while (n < MOST_KERNELS && (names[n] = kgen_module_kernel(module, n))) n++;
    if (n == 0) {
        say_error("%s has no kernel", run->options->operands[0]);
        return EXIT_PROBLEM;
    }
    if (!wanted && n > 1)
        return usage_error(run->options->command,
                           "the file has %d kernels; say --kernel=%s, for example", n, names[0]);
    free(run->kernel);
    run->kernel = format_text("%s", wanted ? wanted : names[0]);
    run->launch.kernel = run->kernel;
    for (int i = 0; i < n; i++)
        if (!strcmp(names[i], run->kernel)) return EXIT_FINE;
    unknown_word(run->options->command, "kernel", wanted, names, n);
    return EXIT_PROBLEM;
}

// ---- one launch --------------------------------------------------------------------------------

// What the kernel prints goes to stdout; to stderr where stdout is JSON.
static void print_out(const char *text, size_t length, void *user)
{
    (void)user;
    fwrite(text, 1, length, stdout);
}

static void print_aside(const char *text, size_t length, void *user)
{
    (void)user;
    fwrite(text, 1, length, stderr);
}

static int launch(raw_run *run, kgen_device *device, kgen_module *module)
{
    raw_args args;
    int status = EXIT_FINE;
    if (raw_args_make(&args, run->options, device, run->seed, &status)) {
        kgen_launch_options o = {.finding = findings_keep,
                                 .instruction =
                                     run->findings.instructions ? instructions_keep : NULL,
                                 .print = has(run->options, OPTION_json) ? print_aside : print_out,
                                 .user = &run->findings,
                                 .statistics = &run->statistics,
                                 .cluster = {run->cluster[0], run->cluster[1], run->cluster[2]}};
        run->launch.args = args.args;
        run->launch.n_args = args.n;
        kgen_status launched = kgen_module_launch(module, &run->launch, &o);
        status = session_exit(&run->session, launched, "launching");
    }
    raw_args_free(&args);
    return status;
}

int raw_run_once(raw_run *run, schedule s)
{
    kgen_device *device = NULL;
    kgen_module *module = NULL;
    const char *path = run->options->operands[0], *name = strcmp(path, "-") ? path : "<stdin>";
    run->device_options.completion = s.completion;
    run->device_options.seed = s.order;
    findings_clear(&run->findings);
    kgen_status done = kgen_device_open(run->session.context, "cpu", &run->device_options, &device);
    int status = session_exit(&run->session, done, "opening the device");
    if (!status) {
        done = kgen_module_load(device, name, run->text, run->length, &module);
        status = session_exit(&run->session, done, "loading the PTX");
    }
    if (!status) status = choose_kernel(run, module);
    if (!status) status = launch(run, device, module);
    kgen_module_free(module);
    kgen_device_close(device);
    return status;
}
