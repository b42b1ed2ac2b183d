// SPDX-License-Identifier: MIT
// kgen-bench: time from text to PTX in process, warm, for the shipped kernels, and what part of it
// is the passes and the proof of synchronization; and the speed of the PTX machine on one core. A
// table on the standard output, or JSON with --json. A word chooses the kernels to compile: those
// that have it in their name; the machine is not measured then.
#include "kernels/kernels.h"
#include "tools/kgen/json.h"
#include "tools/kgen/output.h"
#include "tools/kgen/task_runner.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct bench_case {
    const char *family;
    kgen_task_key keys[6];
} bench_case;

#define HOPPER                                                                                     \
    {                                                                                              \
        "target", "sm_90a"                                                                         \
    }

static const bench_case compiled[] = {
    {"matmul", {{"M", "256"}, {"N", "256"}}},
    {"matmul", {{"M", "4096"}, {"N", "4096"}}},
    {"matmul", {{"M", "4096"}, {"N", "4096"}, {"stages", "5"}, {"bias", "true"}}},
    {"matmul", {{"splits", "4"}, {"activation", "gelu"}, {"out", "bf16"}}},
    {"attention", {{"D", "64"}, {"causal", "true"}}},
    {"attention", {{"D", "128"}, {"causal", "true"}}},
    {"attention_decode", {{"D", "64"}}},
    {"attention_decode", {{"D", "128"}, {"splits", "8"}}},
    {"delta_net", {{"D", "64"}}},
    {"delta_net", {{"D", "128"}}},
    {"delta_net_decode", {{"N", "8"}, {"checkpoints", "true"}}},
    {"delta_net_prefill", {{"D", "64"}, {"rows", "64"}}},
    {"delta_net_prefill", {{"D", "128"}, {"rows", "64"}}},
    {"delta_net_prefill", {{"D", "128"}, {"form", "chunks"}}},
    {"matmul", {HOPPER, {"M", "4096"}, {"N", "4096"}, {"K", "4096"}, {"out", "bf16"}}},
    {"matmul", {HOPPER, {"M", "8192"}, {"N", "8192"}, {"K", "8192"}, {"b_col", "true"}}},
    {"attention", {HOPPER, {"SQ", "4096"}, {"SK", "4096"}, {"D", "128"}}},
    {"attention", {HOPPER, {"SQ", "4096"}, {"SK", "4096"}, {"D", "128"}, {"causal", "true"}}},
    {"attention", {HOPPER, {"SQ", "4096"}, {"SK", "4096"}, {"D", "64"}}},
    // With more blocks of queries than SMs: persistent CTAs.
    {"attention", {HOPPER, {"H", "32"}, {"SQ", "4096"}, {"SK", "4096"}, {"D", "64"}}},
    {"attention", {HOPPER, {"H", "16"}, {"SQ", "4096"}, {"SK", "4096"}, {"D", "128"}}},
};
enum { N_COMPILED = sizeof compiled / sizeof *compiled, MOST_RUNS = 200 };

static double clock_seconds(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static kgen_task *make_task(const bench_case *c)
{
    char error[256];
    int n_keys = 0;
    while (c->keys[n_keys].name) n_keys++;
    kgen_task *task = kgen_task_plan(kgen_family_named(c->family), c->keys, n_keys, error);
    if (!task) say_error("%s: %s", c->family, error);
    return task;
}

static double now(void)
{
    return clock_seconds(CLOCK_MONOTONIC);
}

// ---- text to PTX -------------------------------------------------------------------------------

static int compare_numbers(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

// Compiles until `seconds` have gone by; the times in milliseconds, sorted. Returns how many.
// Where other processes want the cores too, the time of this process's own (cpu_ms) is the one to
// look at.
static int time_compiles(kgen_context *context, const kgen_task *task, double seconds, double *ms,
                         double *cpu_ms, double *passes_ms, double *proof_ms)
{
    kgen_define defines[KGEN_TASK_DEFINES];
    for (int i = 0; i < task->n_defines; i++)
        defines[i] = (kgen_define){task->defines[i].name, task->defines[i].value};
    kgen_compile_options o = {.name = task->source_name,
                              .target = task->target[0] ? task->target : NULL,
                              .defines = defines,
                              .n_defines = (size_t)task->n_defines};
    int n = 0;
    // The first two warm the caches up.
    for (double start = now(); n < MOST_RUNS + 2 && (n < 5 || now() - start < seconds); n++) {
        kgen_program *program = NULL;
        double before = now(), cpu_before = clock_seconds(CLOCK_PROCESS_CPUTIME_ID);
        if (kgen_compile(context, task->source, task->source_bytes, &o, &program)) return 0;
        if (n >= 2) {
            ms[n - 2] = 1e3 * (now() - before);
            cpu_ms[n - 2] = 1e3 * (clock_seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu_before);
            kgen_program_info info;
            kgen_program_get_info(program, &info);
            passes_ms[n - 2] = 1e3 * info.passes_seconds;
            proof_ms[n - 2] = 1e3 * info.proof_seconds;
        }
        kgen_program_free(program);
    }
    qsort(ms, (size_t)n - 2, sizeof *ms, compare_numbers);
    qsort(cpu_ms, (size_t)n - 2, sizeof *cpu_ms, compare_numbers);
    qsort(passes_ms, (size_t)n - 2, sizeof *passes_ms, compare_numbers);
    qsort(proof_ms, (size_t)n - 2, sizeof *proof_ms, compare_numbers);
    return n - 2;
}

static bool bench_compile(kgen_context *context, const bench_case *c, const char *word,
                          double seconds, json_t *rows)
{
    double ms[MOST_RUNS], cpu_ms[MOST_RUNS], passes_ms[MOST_RUNS], proof_ms[MOST_RUNS];
    kgen_task *task = make_task(c);
    if (!task) return false;
    char name[200];
    snprintf(name, sizeof name, "%s %s", task->family, task->shape);
    for (int i = 0; c->keys[i].name; i++)
        snprintf(name + strlen(name), sizeof name - strlen(name), " %s=%s", c->keys[i].name,
                 c->keys[i].value);
    if (word && !strstr(name, word)) return kgen_task_free(task), true;
    int n = time_compiles(context, task, seconds, ms, cpu_ms, passes_ms, proof_ms);
    if (n) {
        json_array_append_new(rows,
                              json_pack("{s:s, s:f, s:f, s:f, s:f, s:f, s:f, s:i}", "name", name,
                                        "cpu_ms", cpu_ms[n / 2], "median_ms", ms[n / 2], "min_ms",
                                        ms[0], "max_ms", ms[n - 1], "passes_ms", passes_ms[n / 2],
                                        "proof_ms", proof_ms[n / 2], "runs", n));
    }
    kgen_task_free(task);
    return n > 0;
}

// ---- the PTX machine ---------------------------------------------------------------------------

static const bench_case executed[] = {
    {"matmul", {{"M", "256"}, {"N", "256"}, {"K", "256"}}}, // mostly tensor instructions
    {"delta_net", {{"T", "32"}}},                           // mostly plain arithmetic
};
enum { N_EXECUTED = sizeof executed / sizeof *executed };

// A run takes milliseconds, and other processes may want the core: the fastest of several.
static bool bench_machine(cli_session *session, const bench_case *c, bool checked, json_t *rows)
{
    enum { RUNS = 15 };
    char error[256];
    double seconds = 0;
    uint64_t lane_instructions = 0;
    run_settings settings = {.device_kind = "cpu"};
    settings.device.cpu_threads = 1;
    settings.device.unchecked = !checked;
    int n_keys = 0;
    while (c->keys[n_keys].name) n_keys++;
    kgen_task *task = kgen_task_create(kgen_family_named(c->family), c->keys, n_keys, 0, error);
    if (!task) return say_error("%s: %s", c->family, error), false;
    bool ok = true;
    for (int i = 0; ok && i < RUNS; i++) {
        run_result result;
        ok = task_run(session, task, &settings, &result);
        if (!i || result.statistics.seconds < seconds) seconds = result.statistics.seconds;
        lane_instructions = result.statistics.lane_instructions;
        run_result_free(&result);
    }
    if (ok)
        json_array_append_new(
            rows, json_pack("{s:s, s:s, s:s, s:f, s:I, s:f}", "kernel", task->family, "name",
                            task->shape, "checks", checked ? "on" : "off", "seconds", seconds,
                            "lane_instructions", (json_int_t)lane_instructions,
                            "lane_instructions_per_second", (double)lane_instructions / seconds));
    kgen_task_free(task);
    return ok;
}

// ---- the answer --------------------------------------------------------------------------------

static double real_of(const json_t *row, const char *key)
{
    return json_number_value(json_object_get(row, key));
}

static const char *text_of(const json_t *row, const char *key)
{
    return json_string_value(json_object_get(row, key));
}

static void print_tables(const json_t *compile, const json_t *machine)
{
    size_t i;
    json_t *row;
    printf("text to PTX, in process, warm; of that the passes and the proof\n"
           "  %8s %8s %8s %8s %8s %8s %5s\n",
           "median", "min", "max", "cpu", "passes", "proof", "runs");
    json_array_foreach(compile, i, row)
        printf("  %5.1f ms %5.1f ms %5.1f ms %5.1f ms %5.1f ms %5.1f ms %5.0f  %s\n",
               real_of(row, "median_ms"), real_of(row, "min_ms"), real_of(row, "max_ms"),
               real_of(row, "cpu_ms"), real_of(row, "passes_ms"), real_of(row, "proof_ms"),
               real_of(row, "runs"), text_of(row, "name"));
    if (json_array_size(machine)) puts("the PTX machine on one core");
    json_array_foreach(machine, i, row)
        printf("  %s %s, checks %-3s: %.3f s, %.0f million lane instructions a second\n",
               text_of(row, "kernel"), text_of(row, "name"), text_of(row, "checks"),
               real_of(row, "seconds"), 1e-6 * real_of(row, "lane_instructions_per_second"));
}

int main(int argc, char **argv)
{
    bool as_json = argc > 1 && !strcmp(argv[1], "--json"), ok = true;
    const char *word = argc > 1 + as_json ? argv[1 + as_json] : NULL;
    cli_session session;
    if (argc > 2 + as_json || (word && word[0] == '-'))
        return fputs("usage: kgen-bench [--json] [WORD]\n", stderr), EXIT_USAGE;
    if (!session_open(&session)) return EXIT_PROBLEM;
    json_t *compile = must(json_array()), *machine = must(json_array());
    for (int i = 0; i < N_COMPILED; i++)
        ok &= bench_compile(session.context, &compiled[i], word, word ? 2 : 0.3, compile);
    for (int i = 0; !word && i < N_EXECUTED; i++) {
        ok &= bench_machine(&session, &executed[i], true, machine);
        ok &= bench_machine(&session, &executed[i], false, machine);
    }
    if (as_json)
        json_print(json_pack("{s:O, s:O}", "text_to_ptx", compile, "machine", machine));
    else
        print_tables(compile, machine);
    json_decref(compile);
    json_decref(machine);
    session_close(&session);
    return ok && finish_stdout() ? EXIT_FINE : EXIT_PROBLEM;
}
