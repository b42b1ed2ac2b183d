// SPDX-License-Identifier: MIT
// kgen demo: every shipped family compiled, run on the cpu device and compared, as one table.
#include "commands.h"
#include "json.h"
#include "output.h"
#include "ptxas.h"
#include "report.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// Small, so that all of them take seconds; each shows something that the others do not.
typedef struct demo_case {
    const char *family;
    kgen_task_key keys[10];
} demo_case;

static const demo_case cases[] = {
    {"matmul", {{"M", "256"}, {"N", "256"}, {"K", "256"}}},
    {"matmul", {{"M", "100"}, {"N", "65"}, {"K", "33"}, {"dtype", "f16"}, {"out", "f16"}}},
    {"matmul", {{"M", "64"}, {"N", "64"}, {"K", "512"}, {"splits", "4"}}},
    {"matmul",
     {{"M", "96"},
      {"N", "128"},
      {"K", "64"},
      {"b_col", "true"},
      {"bias", "true"},
      {"activation", "gelu"},
      {"out", "bf16"}}},
    {"attention", {{"SQ", "128"}, {"SK", "128"}, {"D", "64"}, {"causal", "true"}}},
    {"attention",
     {{"H", "4"}, {"HKV", "2"}, {"SQ", "70"}, {"SK", "150"}, {"D", "128"}, {"dtype", "f16"}}},
    {"attention_decode", {{"B", "2"}, {"H", "8"}, {"HKV", "2"}, {"SK", "300"}, {"splits", "4"}}},
    {"delta_net", {{"T", "1"}, {"H", "4"}, {"HK", "2"}}},
    {"delta_net", {{"T", "32"}, {"H", "2"}, {"HK", "1"}}},
    {"delta_net_decode", {{"B", "3"}, {"N", "4"}, {"checkpoints", "true"}}},
    {"delta_net_prefill", {{"B", "2"}, {"T", "100"}, {"D", "64"}}},
};
enum { N_CASES = sizeof cases / sizeof *cases };

// ---- the table ---------------------------------------------------------------------------------

enum {
    KERNEL,
    SHAPE,
    TARGET,
    TO_PTX,
    REGISTERS,
    SPILLED,
    SYNCS,
    ERROR,
    FINDINGS,
    VERDICT,
    COLUMNS
};
enum { CELL = 48 };

typedef struct demo_table {
    char cells[N_CASES + 1][COLUMNS][CELL];
    int rows;
} demo_table;

static const char *const titles[COLUMNS] = {"kernel",   "shape",   "target", "to PTX",
                                            "regs",     "spilled", "syncs",  "error/allowed",
                                            "findings", "result"};

static void print_table(const demo_table *t)
{
    int widths[COLUMNS] = {0};
    for (int row = 0; row < t->rows; row++)
        for (int column = 0; column < COLUMNS; column++) {
            int width = (int)strlen(t->cells[row][column]);
            if (width > widths[column]) widths[column] = width;
        }
    for (int row = 0; row < t->rows; row++) {
        for (int column = 0; column < COLUMNS; column++) {
            bool number = column >= TO_PTX && column <= FINDINGS;
            int width = column == VERDICT ? 0 : widths[column];
            printf("%s%*s", column ? "  " : "", number ? width : -width, t->cells[row][column]);
        }
        putchar('\n');
    }
}

static void set(demo_table *t, int column, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void set(demo_table *t, int column, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(t->cells[t->rows][column], CELL, format, arguments);
    va_end(arguments);
}

static void add_titles(demo_table *t)
{
    for (int column = 0; column < COLUMNS; column++) set(t, column, "%s", titles[column]);
    t->rows++;
}

// ---- one row -----------------------------------------------------------------------------------

typedef struct demo_run {
    const command_line *options;
    cli_session session;
    demo_table table;
    json_t *rows;
    const char *folder;
    char *ptxas; // NULL: not installed
    int failed;
    bool progress;
} demo_run;

static int syncs_of(const kgen_program_info *info)
{
    return info->barriers + info->warp_syncs + info->waits + info->fences;
}

// "matmul-256x256x256-bf16.ptx": the row's name with nothing a shell would mind.
static char *ptx_path(const demo_run *d, const kgen_task *task)
{
    char *path = format_text("%s/%s-%s.ptx", d->folder, task->family, task->shape);
    for (char *c = path + strlen(d->folder) + 1; *c; c++)
        if (!isalnum((unsigned char)*c) && *c != '.' && *c != '_') *c = '-';
    return path;
}

static bool write_ptx(const demo_run *d, const kgen_task *task, const kgen_program *program,
                      json_t *row)
{
    size_t length;
    const char *ptx = kgen_program_ptx(program, &length);
    char *path = ptx_path(d, task);
    bool ok = ptx && write_file(path, ptx, length);
    json_object_set_new(row, "ptx", json_text(path));
    free(path);
    return ok;
}

// What ptxas says of registers and spills; false when it refuses the PTX.
static bool assemble(demo_run *d, const run_result *result, json_t *row)
{
    size_t length;
    ptxas_result assembled;
    if (!d->ptxas) return true;
    const char *ptx = kgen_program_ptx(result->program, &length);
    bool ok = ptxas_run(d->ptxas, ptx, length, result->info.target, &assembled);
    if (ok) {
        set(&d->table, REGISTERS, "%d", assembled.registers);
        set(&d->table, SPILLED, "%d", assembled.spill_bytes);
        json_object_set_new(row, "registers", json_integer(assembled.registers));
        json_object_set_new(row, "spill_bytes", json_integer(assembled.spill_bytes));
    } else {
        say_error("ptxas refused the PTX:");
        fputs(assembled.log, stderr);
    }
    ptxas_free(&assembled);
    return ok;
}

static void fill_row(demo_run *d, const run_result *result, bool ok)
{
    demo_table *t = &d->table;
    if (result->info.kernel) {
        set(t, TO_PTX, "%.1f ms", 1e3 * result->info.compile_seconds);
        set(t, SYNCS, "%d", syncs_of(&result->info));
    }
    if (result->n_outputs) {
        set(t, ERROR, "%.3g", run_result_worst_ratio(result));
        set(t, FINDINGS, "%zu", result->findings.n);
    }
    set(t, VERDICT, "%s",
        ok                                  ? "ok"
        : !strcmp(verdict_of(result), "ok") ? "error"
                                            : verdict_of(result));
}

static const char *target_of(const demo_run *d)
{
    return has(d->options, OPTION_target) ? d->options->values[OPTION_target] : "sm_80";
}

static bool run_row(demo_run *d, kgen_task *task)
{
    run_settings settings = {.device_kind = "cpu", .target = target_of(d), .reruns = 3};
    run_result result;
    bool as_json = has(d->options, OPTION_json);
    bool ok = task_run(&d->session, task, &settings, &result);
    json_t *row = json_of_run(&d->session, task, &result);
    if (result.program) {
        if (!write_ptx(d, task, result.program, row)) ok = false;
        if (!assemble(d, &result, row)) ok = false;
    }
    if (!as_json && result.mismatch) print_outputs(task, &result, false);
    if (!as_json && result.findings.text) fputs(result.findings.text, stdout);
    json_object_set_new(row, "ok", json_boolean(ok));
    json_array_append_new(d->rows, row);
    json_array_clear(d->session.diagnostics); // the row's own are in it
    fill_row(d, &result, ok);
    session_exit(&d->session, result.status, result.doing);
    d->session.errors = 0;
    run_result_free(&result);
    return ok;
}

static void add_row(demo_run *d, const demo_case *example)
{
    char error[256];
    int n_keys = 0;
    while (example->keys[n_keys].name) n_keys++;
    const kgen_family *family = kgen_family_named(example->family);
    kgen_task *task = kgen_task_create(family, example->keys, n_keys, 0, error);
    for (int column = 0; column < COLUMNS; column++) set(&d->table, column, "-");
    set(&d->table, KERNEL, "%s", example->family);
    set(&d->table, TARGET, "%s", target_of(d));
    if (task) {
        if (d->progress) fprintf(stderr, "\r\033[K%s %s ...", task->family, task->shape);
        set(&d->table, SHAPE, "%s", task->shape);
        if (!run_row(d, task)) d->failed++;
    } else {
        say_error("%s: %s", example->family, error);
        set(&d->table, VERDICT, "error");
        d->failed++;
    }
    d->table.rows++;
    kgen_task_free(task);
}

// ---- all of them -------------------------------------------------------------------------------

static void print_rest(const demo_run *d)
{
    printf("\n%d of %d as they should be.", N_CASES - d->failed, N_CASES);
    if (!d->ptxas) printf(" Registers and spills are seen where ptxas is installed.");
    printf("\nThe PTX lies in %s. What to try next:\n"
           "  kgen explain delta_net                          why each barrier is there\n"
           "  kgen run matmul M=300 N=200 K=100 dtype=f16     another shape, checked\n"
           "  kgen run attention causal=true --device=cuda    on a GPU\n"
           "  kgen build matmul --dump-dir=steps -o mm.ptx    the IR after each pass\n"
           "  kgen help                                       everything else\n",
           d->folder);
}

static int run_all(demo_run *d)
{
    if (!make_directory(d->folder)) return EXIT_PROBLEM;
    add_titles(&d->table);
    for (int i = 0; i < N_CASES; i++) add_row(d, &cases[i]);
    if (d->progress) fputs("\r\033[K", stderr);
    if (has(d->options, OPTION_json)) {
        json_print(json_pack("{s:O, s:i, s:i, s:s}", "rows", d->rows, "count", N_CASES, "failed",
                             d->failed, "ptx_dir", d->folder));
    } else {
        print_table(&d->table);
        print_rest(d);
    }
    return d->failed ? EXIT_PROBLEM : EXIT_FINE;
}

int command_demo(const command_line *options)
{
    if (!known_name(options, OPTION_target, "target", kgen_target_name)) return EXIT_USAGE;
    demo_run *d = must(calloc(1, sizeof *d));
    d->options = options;
    d->folder = has(options, OPTION_ptx_dir) ? options->values[OPTION_ptx_dir] : "kgen-ptx";
    int status = EXIT_PROBLEM;
    if (session_open(&d->session)) {
        d->ptxas = ptxas_find();
        d->rows = must(json_array());
        d->progress = isatty(STDERR_FILENO);
        status = run_all(d);
        json_decref(d->rows);
        free(d->ptxas);
        session_close(&d->session);
    }
    free(d);
    return status;
}
