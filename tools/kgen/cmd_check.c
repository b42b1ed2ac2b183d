// SPDX-License-Identifier: MIT
// kgen check: any PTX under the checks of the cpu device.
#include "commands.h"
#include "json.h"
#include "output.h"
#include "raw_args.h"
#include "task_runner.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *const completion_words[] = {"eager", "late", "seeded", NULL};
enum { MOST_KERNELS = 256 };

typedef struct check_run {
    const command_line *options;
    cli_session session;
    kgen_device *device;
    kgen_module *module;
    kgen_device_options device_options;
    kgen_raw_launch launch;
    unsigned cluster[3];
    finding_list findings;
    kgen_statistics statistics;
} check_run;

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
    usage_error(COMMAND_check, "--%s=%s: must be 1 to 3 numbers from 1 to %u, as in 8,4,1",
                option_table[id].name, options->values[id], most);
    return false;
}

static bool read_options(check_run *c)
{
    const command_line *o = c->options;
    int completion = KGEN_COMPLETE_EAGER;
    int64_t seed = 0, shared = 0, steps = 4000000000;
    c->launch = (kgen_raw_launch){.grid = {1, 1, 1}, .block = {32, 1, 1}};
    if (has(o, OPTION_block)) c->launch.block[0] = 1;
    if (has(o, OPTION_cluster)) c->cluster[0] = c->cluster[1] = c->cluster[2] = 1;
    if (!option_word(o, OPTION_completion, completion_words, &completion) ||
        !option_number(o, OPTION_seed, 0, INT64_MAX, &seed) ||
        !option_number(o, OPTION_shared, 0, 1 << 20, &shared) ||
        !option_number(o, OPTION_steps, 1, INT64_MAX, &steps) ||
        !read_triple(o, OPTION_grid, INT32_MAX, c->launch.grid) ||
        !read_triple(o, OPTION_block, 1024, c->launch.block) ||
        !read_triple(o, OPTION_cluster, 16, c->cluster))
        return false;
    unsigned threads = c->launch.block[0] * c->launch.block[1] * c->launch.block[2];
    if (threads > 1024) {
        usage_error(COMMAND_check, "--block=%s: %u threads; a CTA has at most 1024",
                    o->values[OPTION_block], threads);
        return false;
    }
    c->launch.shared_bytes = (size_t)shared;
    c->device_options.completion = (kgen_completion)completion;
    c->device_options.seed = (uint64_t)seed;
    c->device_options.step_limit = (uint64_t)steps;
    return true;
}

// ---- the kernel --------------------------------------------------------------------------------

static int load(check_run *c, const char *path)
{
    size_t length;
    char *text = read_file(path, &length);
    if (!text) return EXIT_PROBLEM;
    const char *name = strcmp(path, "-") ? path : "<stdin>";
    kgen_status status = kgen_module_load(c->device, name, text, length, &c->module);
    free(text);
    return session_exit(&c->session, status, "loading the PTX");
}

static int choose_kernel(check_run *c)
{
    const char *names[MOST_KERNELS], *wanted = c->options->values[OPTION_kernel];
    int n = 0;
    while (n < MOST_KERNELS && (names[n] = kgen_module_kernel(c->module, n))) n++;
    if (n == 0) {
        say_error("%s has no kernel", c->options->operands[0]);
        return EXIT_PROBLEM;
    }
    if (!wanted && n > 1)
        return usage_error(COMMAND_check, "the file has %d kernels; say --kernel=%s, for example",
                           n, names[0]);
    c->launch.kernel = wanted ? wanted : names[0];
    for (int i = 0; i < n; i++)
        if (!strcmp(names[i], c->launch.kernel)) return EXIT_FINE;
    unknown_word(COMMAND_check, "kernel", wanted, names, n);
    return EXIT_PROBLEM;
}

// ---- the answer --------------------------------------------------------------------------------

static const char *verdict(const check_run *c, int status)
{
    return c->findings.n ? "findings" : status ? "error" : "ok";
}

static void print_json(const check_run *c, int status)
{
    json_print(json_pack(
        "{s:o, s:o, s:s, s:O, s:o, s:O}", "file", json_text(c->options->operands[0]), "kernel",
        json_text(c->launch.kernel), "status", verdict(c, status), "findings", c->findings.json,
        "statistics", json_of_statistics(&c->statistics), "diagnostics", c->session.diagnostics));
}

static void print_text(const check_run *c, int status)
{
    const kgen_statistics *s = &c->statistics;
    if (c->findings.text) fputs(c->findings.text, stdout);
    if (status && !c->findings.n) return; // the error was said
    printf("%s: ", c->launch.kernel);
    if (c->findings.n)
        printf("%zu finding%s", c->findings.n, c->findings.n > 1 ? "s" : "");
    else
        printf("no findings");
    printf(" (%llu lane instructions, %llu barriers, %llu bank conflicts)\n",
           (unsigned long long)s->lane_instructions, (unsigned long long)s->barriers,
           (unsigned long long)s->bank_conflicts);
}

// What the kernel prints goes to stdout; to stderr where stdout is JSON.
static void print_on(const char *text, size_t length, FILE *stream)
{
    fwrite(text, 1, length, stream);
}

static void print_out(const char *text, size_t length, void *user)
{
    (void)user;
    print_on(text, length, stdout);
}

static void print_aside(const char *text, size_t length, void *user)
{
    (void)user;
    print_on(text, length, stderr);
}

static int launch(check_run *c)
{
    raw_args args;
    int status = EXIT_FINE;
    if (raw_args_make(&args, c->options, c->device, c->device_options.seed, &status)) {
        kgen_launch_options o = {.finding = findings_keep,
                                 .print = has(c->options, OPTION_json) ? print_aside : print_out,
                                 .user = &c->findings,
                                 .statistics = &c->statistics,
                                 .cluster = {c->cluster[0], c->cluster[1], c->cluster[2]}};
        c->launch.args = args.args;
        c->launch.n_args = args.n;
        kgen_status launched = kgen_module_launch(c->module, &c->launch, &o);
        status = session_exit(&c->session, launched, "launching");
    }
    raw_args_free(&args);
    return status;
}

static int run(check_run *c)
{
    kgen_status opened =
        kgen_device_open(c->session.context, "cpu", &c->device_options, &c->device);
    int status = session_exit(&c->session, opened, "opening the device");
    if (!status) status = load(c, c->options->operands[0]);
    if (!status) status = choose_kernel(c);
    if (!status) status = launch(c);
    if (status == EXIT_USAGE) return status;
    if (has(c->options, OPTION_json))
        print_json(c, status);
    else
        print_text(c, status);
    return status;
}

int command_check(const command_line *options)
{
    check_run c = {.options = options};
    if (!read_options(&c)) return EXIT_USAGE;
    if (!session_open(&c.session)) return EXIT_PROBLEM;
    findings_open(&c.findings);
    int status = run(&c);
    kgen_module_free(c.module);
    kgen_device_close(c.device);
    findings_free(&c.findings);
    session_close(&c.session);
    return status;
}
