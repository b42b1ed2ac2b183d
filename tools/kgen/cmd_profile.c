// SPDX-License-Identifier: MIT
// kgen profile: what each instruction and source line of a kernel does, counted on the cpu device.
#include "commands.h"
#include "json.h"
#include "output.h"
#include "profile_view.h"
#include "raw_args.h"
#include "raw_run.h"
#include "report.h"
#include "task_keys.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { TOP_OF_BOTH = 10, TOP_OF_ONE = 20 };

// A profile that was made, whatever it was made of.
typedef struct profile_run {
    const command_line *options;
    profile_form form;
    schedule_plan plan;
    instruction_list instructions;
    // What is said of it; the texts live while the runner below has not returned.
    const char *title, *kernel, *ptx, *source, *verdict;
    const finding_list *findings;
    json_t *diagnostics;
    profile_formula formula;
} profile_run;

// ---- reading the command line ------------------------------------------------------------------

static bool read_form(profile_run *p)
{
    static const char *const by_words[] = {"line", "instruction", NULL};
    const command_line *o = p->options;
    int by = -1, sort = SORT_WARPS;
    bool json = has(o, OPTION_json);
    if (!option_word(o, OPTION_by, by_words, &by) ||
        !option_word(o, OPTION_sort, profile_sort_words, &sort))
        return false;
    p->form = (profile_form){.sort = (profile_sort)sort,
                             .by_line = by != 1,
                             .by_instruction = by != 0,
                             .top = json     ? 0
                                    : by < 0 ? TOP_OF_BOTH
                                             : TOP_OF_ONE};
    return option_number(o, OPTION_top, 0, INT32_MAX, &p->form.top);
}

static bool ends_in(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && !strcmp(text + n - m, end);
}

static bool is_file(const char *path)
{
    struct stat facts;
    return !strcmp(path, "-") || strchr(path, '/') || ends_in(path, ".ptx") ||
           (stat(path, &facts) == 0 && S_ISREG(facts.st_mode));
}

// Options that only a PTX file takes would say nothing elsewhere.
static bool no_launch_options(const profile_run *p, bool takes_arguments)
{
    static const option_id of_files[] = {OPTION_grid, OPTION_block, OPTION_cluster, OPTION_shared};
    for (size_t i = 0; i < sizeof of_files / sizeof *of_files; i++)
        if (has(p->options, of_files[i])) {
            usage_error(COMMAND_profile, "--%s goes with a PTX file; a program knows its own",
                        option_table[of_files[i]].name);
            return false;
        }
    if (takes_arguments || !has(p->options, OPTION_arg)) return true;
    usage_error(COMMAND_profile, "--arg goes with a file; a shipped kernel takes KEY=VALUE");
    return false;
}

// ---- the answer --------------------------------------------------------------------------------

static void print_json(profile_run *p, const profile_view *view)
{
    json_t *object =
        must(json_pack("{s:o, s:o, s:s, s:o}", "title", json_text(p->title), "kernel",
                       json_text(p->kernel), "status", p->verdict, "device", json_text("cpu")));
    if (p->instructions.n) profile_add_json(object, view, &p->form, &p->formula);
    json_object_set(object, "findings", p->findings->json);
    json_object_set(object, "diagnostics", p->diagnostics);
    json_print(object);
}

// Counts are printed where there are some, even if the run had findings or came to no good end.
static void answer(profile_run *p)
{
    profile_view view;
    profile_view_make(&view, &p->instructions, p->ptx ? p->ptx : "", p->source);
    profile_view_sort(&view, p->form.sort);
    if (has(p->options, OPTION_json)) {
        print_json(p, &view);
    } else if (p->instructions.n) {
        printf("%s\n", p->title);
        profile_print(&view, &p->form, &p->formula);
        if (p->findings->text) printf("\n%s", p->findings->text);
        if (strcmp(p->verdict, "ok")) puts(p->verdict);
    }
    profile_view_free(&view);
}

// ---- a PTX file --------------------------------------------------------------------------------

static int profile_ptx(profile_run *p)
{
    raw_run raw;
    if (p->options->n_operands > 1)
        return usage_error(COMMAND_profile, "unexpected '%s'", p->options->operands[1]);
    if (!raw_run_read(&raw, p->options)) return EXIT_USAGE;
    int status = raw_run_open(&raw);
    raw.findings.instructions = &p->instructions;
    if (!status) status = raw_run_once(&raw, p->plan.first);
    char *title =
        format_text("%s, kernel %s", p->options->operands[0], raw.kernel ? raw.kernel : "unknown");
    p->title = title;
    p->kernel = raw.kernel;
    p->ptx = raw.text;
    p->findings = &raw.findings;
    p->diagnostics = raw.session.diagnostics;
    p->verdict = raw.findings.n ? "findings" : status ? "error" : "ok";
    if (status != EXIT_USAGE && raw.session.diagnostics) answer(p);
    free(title);
    raw_run_close(&raw);
    return status;
}

// ---- a program ---------------------------------------------------------------------------------

typedef struct program_run {
    cli_session session;
    program_source source;
    kgen_program *program;
    kgen_device *device;
    raw_args raw;
    finding_list findings;
    char *title;
} program_run;

static int wrong_arguments(const program_run *r, const kgen_program_info *info)
{
    char *list = format_text("%s", "");
    kgen_param_info param;
    for (int i = 0; kgen_program_get_param(r->program, i, &param) == KGEN_OK; i++) {
        char *more = format_text("%s%s%s (%s%s)", list, i ? ", " : "", param.name,
                                 param.is_tensor ? "buffer of " : "", param.type);
        free(list);
        list = more;
    }
    int status = usage_error(COMMAND_profile, "kernel %s takes %d arguments in this order: %s",
                             info->kernel, info->n_params, list);
    free(list);
    return status;
}

static int64_t integer_of(const kgen_raw_arg *a)
{
    uint64_t bits = 0;
    memcpy(&bits, a->value, a->bytes);
    unsigned unused = 64 - 8 * (unsigned)a->bytes;
    return (int64_t)(bits << unused) >> unused;
}

static double real_of(const kgen_raw_arg *a)
{
    float f;
    double d;
    memcpy(&f, a->value, sizeof f);
    if (a->bytes == 4) return f;
    memcpy(&d, a->value, sizeof d);
    return d;
}

// --arg in the order of the parameters. false where number or kind are not those of the kernel.
static bool bind_arguments(const program_run *r, const kgen_program_info *info, kgen_arg *args)
{
    kgen_param_info param;
    if (r->raw.n != (size_t)info->n_params) return false;
    for (int i = 0; kgen_program_get_param(r->program, i, &param) == KGEN_OK; i++) {
        const kgen_raw_arg *a = &r->raw.args[i];
        if (!a->buffer != !param.is_tensor) return false;
        args[i] = (kgen_arg){.name = param.name, .buffer = a->buffer};
        if (a->buffer) continue;
        args[i].i = integer_of(a);
        if (*param.type == 'f' && a->bytes >= 4) args[i].f = real_of(a);
    }
    return true;
}

static int launch_program(profile_run *p, program_run *r, const kgen_program_info *info)
{
    int status = EXIT_FINE;
    int64_t seed = 0;
    if (!option_number(p->options, OPTION_seed, 0, INT64_MAX, &seed)) return EXIT_USAGE;
    if (!raw_args_make(&r->raw, p->options, r->device, (uint64_t)seed, &status)) return status;
    kgen_arg *args = must(calloc((size_t)info->n_params + 1, sizeof *args));
    if (bind_arguments(r, info, args)) {
        kgen_launch_options o = {
            .finding = findings_keep, .instruction = instructions_keep, .user = &r->findings};
        kgen_status done = kgen_launch(r->device, r->program, args, (size_t)info->n_params, &o);
        status = session_exit(&r->session, done, "launching");
    } else {
        status = wrong_arguments(r, info);
    }
    free(args);
    return status;
}

static int run_program(profile_run *p, program_run *r)
{
    const command_line *o = p->options;
    kgen_define *defines = NULL;
    kgen_compile_options compile = {.name = r->source.name,
                                    .kernel = o->values[OPTION_kernel],
                                    .target = o->values[OPTION_target]};
    if (!read_defines(o, &defines, &compile.n_defines)) {
        free(defines);
        return EXIT_USAGE;
    }
    compile.defines = defines;
    kgen_status done =
        kgen_compile(r->session.context, r->source.text, r->source.length, &compile, &r->program);
    free(defines);
    int status = session_exit(&r->session, done, "compiling");
    if (status) return status;
    kgen_program_info info;
    kgen_program_get_info(r->program, &info);
    r->title = format_text("%s, kernel %s, %s", r->source.name, info.kernel, info.target);
    kgen_device_options device = {.completion = p->plan.first.completion,
                                  .seed = p->plan.first.order,
                                  .cpu_threads = schedules_threads(o),
                                  .unchecked = has(o, OPTION_unchecked)};
    done = kgen_device_open(r->session.context, "cpu", &device, &r->device);
    status = session_exit(&r->session, done, "opening the device");
    if (!status) status = launch_program(p, r, &info);
    p->kernel = info.kernel;
    return status;
}

static int profile_program(profile_run *p)
{
    program_run r = {.title = NULL};
    int status = EXIT_FINE;
    if (p->options->n_operands > 1)
        return usage_error(COMMAND_profile, "unexpected '%s'", p->options->operands[1]);
    if (!no_launch_options(p, true) ||
        !known_name(p->options, OPTION_target, "target", kgen_target_name))
        return EXIT_USAGE;
    if (!source_read(&r.source, p->options, p->options->operands[0], &status)) return status;
    if (!session_open(&r.session)) return source_free(&r.source), EXIT_PROBLEM;
    findings_open(&r.findings);
    r.findings.instructions = &p->instructions;
    status = run_program(p, &r);
    p->title = r.title ? r.title : r.source.name;
    p->ptx = r.program ? kgen_program_ptx(r.program, NULL) : NULL;
    p->source = r.source.text;
    p->findings = &r.findings;
    p->diagnostics = r.session.diagnostics;
    p->verdict = r.findings.n ? "findings" : status ? "error" : "ok";
    if (status != EXIT_USAGE) answer(p);
    raw_args_free(&r.raw);
    kgen_device_close(r.device);
    kgen_program_free(r.program);
    findings_free(&r.findings);
    session_close(&r.session);
    source_free(&r.source);
    free(r.title);
    return status;
}

// ---- a shipped kernel --------------------------------------------------------------------------

static int run_task(profile_run *p, kgen_task *task, const run_settings *settings)
{
    cli_session session;
    run_result result;
    if (!session_open(&session)) return EXIT_PROBLEM;
    bool ok = task_run(&session, task, settings, &result);
    char *title = format_text("%s %s, %s", task->family, task->shape,
                              result.info.target ? result.info.target : "not compiled");
    p->title = title;
    p->kernel = result.info.kernel;
    p->ptx = result.program ? kgen_program_ptx(result.program, NULL) : NULL;
    p->source = task->source;
    p->findings = &result.findings;
    p->diagnostics = session.diagnostics;
    p->formula = (profile_formula){task->flop, task->bytes};
    p->verdict = verdict_of(&result);
    answer(p);
    int status = session_exit(&session, result.status, result.doing);
    free(title);
    run_result_free(&result);
    session_close(&session);
    return ok ? EXIT_FINE : status ? status : EXIT_PROBLEM;
}

static int profile_task(profile_run *p)
{
    const command_line *o = p->options;
    run_settings settings = {
        .device_kind = "cpu",
        .target = o->values[OPTION_target],
        .plan = &p->plan,
        .instructions = &p->instructions,
        .device = {.unchecked = has(o, OPTION_unchecked), .cpu_threads = schedules_threads(o)}};
    const kgen_family *family = task_family(o);
    int64_t seed = 0;
    if (!family || !no_launch_options(p, false) ||
        !option_number(o, OPTION_seed, 0, INT64_MAX, &seed) ||
        !known_name(o, OPTION_target, "target", kgen_target_name))
        return EXIT_USAGE;
    kgen_define *defines = NULL;
    kgen_task_key *keys = must(calloc((size_t)o->n_operands + 1, sizeof *keys));
    int status = EXIT_USAGE;
    int n_keys =
        read_defines(o, &defines, &settings.n_defines) ? task_keys(o, family, keys) : -1;
    if (n_keys >= 0) {
        char error[256];
        settings.defines = defines;
        kgen_task *task = kgen_task_create(family, keys, n_keys, (uint64_t)seed, error);
        if (!task) say_error("%s: %s", family->name, error);
        status = task ? run_task(p, task, &settings) : EXIT_PROBLEM;
        kgen_task_free(task);
    }
    free(defines);
    free(keys);
    return status;
}

int command_profile(const command_line *options)
{
    profile_run p = {.options = options};
    const char *what = options->operands[0];
    int status = EXIT_USAGE;
    if (schedules_read(&p.plan, options) && read_form(&p))
        status = ends_in(what, ".kg") ? profile_program(&p)
                 : is_file(what)      ? profile_ptx(&p)
                                      : profile_task(&p);
    instructions_free(&p.instructions);
    schedules_free(&p.plan);
    return status;
}
