// SPDX-License-Identifier: MIT
// kgen run: a shipped kernel on a device, against its reference.
#include "commands.h"
#include "json.h"
#include "launch_plan.h"
#include "output.h"
#include "report.h"
#include "task_keys.h"
#include <stdlib.h>
#include <string.h>

// ---- reading the command line ------------------------------------------------------------------

static bool read_device(const command_line *options, run_settings *settings, int64_t *seed)
{
    int kind = 0;
    int64_t reruns = 3, repeat = 0;
    if (!option_word(options, OPTION_device, device_kinds, &kind) ||
        !option_number(options, OPTION_seed, 0, INT64_MAX, seed) ||
        !option_number(options, OPTION_reruns, 0, 1000, &reruns) ||
        !option_number(options, OPTION_repeat, 1, 1000000, &repeat) ||
        !known_name(options, OPTION_target, "target", kgen_target_name))
        return false;
    bool on_cpu = !strcmp(device_kinds[kind], "cpu");
    if (on_cpu && repeat) {
        usage_error(COMMAND_run, "--repeat times a GPU; it goes with --device=cuda");
        return false;
    }
    if (!on_cpu && settings->plan->many) {
        usage_error(COMMAND_run, "--schedules is of the cpu device; a GPU has its own");
        return false;
    }
    settings->device_kind = device_kinds[kind];
    settings->target = options->values[OPTION_target];
    settings->device.cpu_threads = schedules_threads(options);
    settings->device.unchecked = has(options, OPTION_unchecked);
    settings->reruns = (int)reruns;
    settings->repeat = (int)repeat;
    return true;
}

// ---- the answer --------------------------------------------------------------------------------

static void print_schedule(const schedule_plan *plan, const run_result *result)
{
    if (!plan->many || !result->n_outputs) return;
    if (!result->findings.n && !result->mismatch) {
        printf("  %d schedules: all is well under each\n", plan->count);
        return;
    }
    char *text = schedules_text(schedules_at(plan, result->schedule));
    printf("  schedule %d of %d: %s\n", result->schedule + 1, plan->count, text);
    free(text);
}

static void print_replay(const schedule_plan *plan, const run_result *result)
{
    if (!result->findings.n && !result->mismatch) return;
    char *replay = schedules_replay(plan, schedules_at(plan, result->schedule));
    printf("replay: %s\n", replay);
    free(replay);
}

static void print_run(const kgen_task *task, const run_settings *settings, const run_result *result)
{
    const kgen_program_info *info = &result->info;
    const kgen_statistics *s = &result->statistics;
    bool on_gpu = !strcmp(settings->device_kind, "cuda");
    if (!info->kernel) return;
    printf("%s %s, %s, on %s\n", task->family, task->shape, info->target,
           result->device_name[0] ? result->device_name : settings->device_kind);
    printf("  compiled in %.1f ms: %d threads, %lld bytes of shared memory, %d barriers, "
           "%d warp syncs, %d waits, %d fences\n",
           1e3 * info->compile_seconds, info->threads, (long long)info->shared_bytes,
           info->barriers, info->warp_syncs, info->waits, info->fences);
    if (result->n_outputs && on_gpu)
        printf("  ran in %.1f us\n", 1e6 * s->seconds);
    else if (result->n_outputs)
        printf("  ran in %.3f s: %llu lane instructions, %llu bank conflicts\n", s->seconds,
               (unsigned long long)s->lane_instructions, (unsigned long long)s->bank_conflicts);
    if (result->timed_seconds > 0)
        printf("  timed over %d launches: %.2f us each, %.2f TFLOP/s, %.1f GB/s\n",
               settings->repeat, 1e6 * result->timed_seconds,
               1e-12 * task->flop / result->timed_seconds,
               1e-9 * task->bytes / result->timed_seconds);
    print_outputs(task, result, on_gpu);
    print_schedule(settings->plan, result);
    if (result->findings.text) fputs(result->findings.text, stdout);
    if (result->n_outputs && !on_gpu && !settings->device.unchecked && !result->findings.n)
        puts("  no findings");
    print_replay(settings->plan, result);
    puts(verdict_of(result));
}

static void print_json(const cli_session *session, const kgen_task *task,
                       const run_settings *settings, const run_result *result)
{
    schedule s = schedules_at(settings->plan, result->schedule);
    char *replay = schedules_replay(settings->plan, s);
    json_t *run = json_of_run(session, task, result);
    json_object_set_new(run, "schedule", schedules_json(settings->plan, s, result->schedule));
    json_object_set_new(run, "replay", json_text(replay));
    json_print(run);
    free(replay);
}

static int run_task(const command_line *options, kgen_task *task, const run_settings *settings)
{
    cli_session session;
    run_result result;
    if (!session_open(&session)) return EXIT_PROBLEM;
    bool ok = task_run(&session, task, settings, &result);
    if (has(options, OPTION_json))
        print_json(&session, task, settings, &result);
    else
        print_run(task, settings, &result);
    int status = session_exit(&session, result.status, result.doing);
    run_result_free(&result);
    session_close(&session);
    return ok ? EXIT_FINE : status ? status : EXIT_PROBLEM;
}

int command_run(const command_line *options)
{
    schedule_plan schedules;
    run_settings settings = {.plan = &schedules};
    int64_t seed = 0;
    const kgen_family *family = task_family(options);
    if (!family) return EXIT_USAGE;
    if (!schedules_read(&schedules, options) || !read_device(options, &settings, &seed)) {
        schedules_free(&schedules);
        return EXIT_USAGE;
    }
    kgen_define *defines = NULL;
    kgen_task_key *keys = must(calloc((size_t)options->n_operands + 1, sizeof *keys));
    int status = EXIT_USAGE;
    int n_keys = read_defines(options, &defines, &settings.n_defines)
                     ? task_keys(options, family, keys)
                     : -1;
    if (n_keys >= 0) {
        char error[256];
        settings.defines = defines;
        bool plan = has(options, OPTION_plan);
        kgen_task *task = plan ? kgen_task_plan(family, keys, n_keys, error)
                               : kgen_task_create(family, keys, n_keys, (uint64_t)seed, error);
        if (task && plan)
            status = launch_plan_print(task, &settings, has(options, OPTION_json));
        else if (task)
            status = run_task(options, task, &settings);
        if (!task) say_error("%s: %s", family->name, error);
        if (!task) status = EXIT_PROBLEM;
        kgen_task_free(task);
    }
    free(defines);
    free(keys);
    schedules_free(&schedules);
    return status;
}
