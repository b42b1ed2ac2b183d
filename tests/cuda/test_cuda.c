// SPDX-License-Identifier: MIT
// CUDA kernels as nvcc compiles them, on the PTX machine: test_cuda FILE.ARCH.LEVEL.ptx ...
//
// Every correct kernel must give what plain C gives, with nothing reported, however the machine
// orders warps and copies; every planted error must be found by the rule it breaks. At the end the
// table of all labelled cases is printed, with what was found and what was not.
#include "trial.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// ---- what a case calls --------------------------------------------------------------------------

uint64_t trial_in(struct trial *t, size_t size, const void *content)
{
    return bench_buffer(&t->bench, size, content);
}

uint64_t trial_zeros(struct trial *t, size_t size)
{
    uint64_t address = bench_buffer(&t->bench, size, NULL);
    assert_int_equal(ptxm_memory_fill(t->bench.device, address, 0, size), PTXM_OK);
    return address;
}

// The name that the compiler gives to an instance of a template.
static const struct ptxm_kernel *find_kernel(const struct trial *t)
{
    char prefix[128];
    int n = snprintf(prefix, sizeof prefix, "_Z%zu%sILi%dEE", strlen(t->kernel), t->kernel,
                     t->plant);
    for (size_t i = 0; i < ptxm_module_kernel_count(t->bench.module); i++) {
        const struct ptxm_kernel *k = ptxm_module_kernel(t->bench.module, i);
        if (!strncmp(k->name, prefix, (size_t)n))
            return k;
    }
    return NULL;
}

static void keep_text(void *user, const char *text, size_t length)
{
    struct trial *t = user;
    char *grown = realloc(t->text, t->text_length + length + 1);
    if (!grown)
        return;
    memcpy(grown + t->text_length, text, length + 1);
    t->text = grown;
    t->text_length += length;
}

void trial_launch(struct trial *t, struct shape shape, const uint64_t *params, size_t count)
{
    const struct ptxm_kernel *k = find_kernel(t);
    uint8_t packed[256] = {0};
    assert_non_null(k);
    assert_int_equal(k->param_count, count);
    for (size_t i = 0; i < count; i++)
        memcpy(packed + k->params[i].offset, &params[i], k->params[i].size);
    struct ptxm_launch launch = {.kernel = k->name, .dynamic_shared = shape.shared,
                                 .params = packed, .param_bytes = sizeof packed,
                                 .options = &t->bench.options};
    memcpy(launch.grid, shape.grid, sizeof launch.grid);
    memcpy(launch.block, shape.block, sizeof launch.block);
    t->bench.options.print = keep_text;
    t->bench.options.print_user = t;
    ptxm_report_free(t->bench.report);
    t->bench.report = NULL;
    t->bench.status = ptxm_launch(t->bench.device, t->bench.module, &launch, NULL, NULL,
                                  &t->bench.report);
    assert_non_null(t->bench.report);
    if (t->correct)
        bench_clean(&t->bench);
}

void trial_expect(struct trial *t, uint64_t address, const void *bytes, size_t size)
{
    uint8_t *got = malloc(size);
    bench_read(&t->bench, address, got, size);
    if (t->correct)
        assert_memory_equal(got, bytes, size);
    free(got);
}

static bool near(double got, double want, double error)
{
    return fabs(got - want) <= error * fmax(1, fabs(want));
}

void trial_near(struct trial *t, uint64_t address, const float *values, size_t n, double error)
{
    float *got = malloc(n * sizeof *got);
    bench_read(&t->bench, address, got, n * sizeof *got);
    for (size_t i = 0; t->correct && i < n; i++)
        if (!near(got[i], values[i], error))
            fail_msg("element %zu is %g, not %g", i, got[i], values[i]);
    free(got);
}

void trial_near64(struct trial *t, uint64_t address, const double *values, size_t n, double error)
{
    double *got = malloc(n * sizeof *got);
    bench_read(&t->bench, address, got, n * sizeof *got);
    for (size_t i = 0; t->correct && i < n; i++)
        if (!near(got[i], values[i], error))
            fail_msg("element %zu is %.17g, not %.17g", i, got[i], values[i]);
    free(got);
}

void trial_numbers(int *out, size_t n, int low, int high)
{
    uint64_t state = 12345 + n;
    for (size_t i = 0; i < n; i++)
        out[i] = low + (int)(bench_random(&state) % (uint64_t)(high - low + 1));
}

// ---- the table ---------------------------------------------------------------------------------

struct row {
    const struct cuda_case *of;
    int plant;
    const char *path, *label; // label: file.arch.level
    bool right, wrong;        // expected rule found; something else was reported or went wrong
    char found[80];
};
static struct row rows[2000];
static size_t row_count;

static bool is_rule(const char *rules, const char *rule)
{
    size_t n = strlen(rule);
    for (const char *at = rules; at; at = strchr(at, '|') ? strchr(at, '|') + 1 : NULL)
        if (!strncmp(at, rule, n) && (at[n] == 0 || at[n] == '|'))
            return true;
    return false;
}

// Adds what was found to the row; true if the expected rule is among it.
static bool look(struct row *row, const struct ptxm_report *report)
{
    bool right = false;
    const char *rules = row->of->rules[row->plant];
    for (size_t i = 0; i < ptxm_report_count(report); i++) {
        const char *rule = ptxm_report_finding(report, i)->rule;
        size_t used = strlen(row->found);
        right |= rules && is_rule(rules, rule);
        if (!strstr(row->found, rule) && used + strlen(rule) + 2 < sizeof row->found)
            snprintf(row->found + used, sizeof row->found - used, "%s%s", used ? " " : "", rule);
    }
    return right;
}

static const struct ptxm_launch_options ways[] = {
    {.completion = PTXM_EAGER},
    {.completion = PTXM_LATE},
    {.completion = PTXM_SEEDED, .seed = 7},
    {.completion = PTXM_SEEDED, .seed = 1234567},
    {.completion = PTXM_EAGER, .seed = 99, .threads = 2},
};
enum { WAYS = sizeof ways / sizeof *ways };

static void test_row(void **state)
{
    struct row *row = *state;
    bool right = true;
    row->wrong = true;
    for (size_t i = 0; i < WAYS; i++) {
        struct trial t = {.kernel = row->of->kernel, .plant = row->plant,
                          .correct = row->plant == 0};
        bench_load_file(&t.bench, row->path);
        t.bench.options = ways[i];
        t.bench.options.instruction_budget = 20000000;
        row->of->run(&t);
        right &= look(row, t.bench.report);
        bench_free(&t.bench);
        free(t.text);
    }
    row->wrong = false;
    row->right = right;
    if (row->plant && !right)
        fail_msg("expected %s, found: %s", row->of->rules[row->plant], row->found);
}

static int print_table(void **state)
{
    size_t planted = 0, detected = 0, correct = 0, alarms = 0;
    printf("# %-20s %-20s %-34s %s\n", "kernel", "file.arch.level", "expected", "found");
    for (size_t i = 0; i < row_count; i++) {
        const struct row *r = &rows[i];
        bool plant = r->plant != 0;
        planted += plant;
        detected += plant && r->right;
        correct += !plant;
        alarms += !plant && r->wrong;
        printf("# %-18s %d %-20s %-34s %s%s\n", r->of->kernel, r->plant, r->label,
               plant ? r->of->rules[r->plant] : "nothing", *r->found ? r->found : "nothing",
               plant ? (r->right ? "" : "  <-- missed") : (r->wrong ? "  <-- false" : ""));
    }
    printf("# %zu labelled cases: %zu of %zu planted errors found by their rule, %zu missed; "
           "%zu false alarms on %zu correct kernels\n", row_count, detected, planted,
           planted - detected, alarms, correct);
    return 0;
}

// ---- all cases of all files ---------------------------------------------------------------------

static const struct cuda_case *cases_of(const char *file)
{
#define X(name)                                                                                    \
    if (!strncmp(file, #name ".", sizeof #name))                                                   \
        return name##_cases;
    CUDA_FILES(X)
#undef X
    return NULL;
}

static bool add_file(const char *path, const char *only)
{
    const char *slash = strrchr(path, '/'), *file = slash ? slash + 1 : path;
    const struct cuda_case *c = cases_of(file);
    char *label = strdup(file);
    if (!c || !label)
        return false;
    label[strlen(label) - strlen(".ptx")] = 0;
    for (; c->kernel; c++)
        for (int plant = 0; plant == 0 || (plant < MOST_PLANTS && c->rules[plant]); plant++)
            if (!only || !strcmp(only, c->kernel))
                rows[row_count++] = (struct row){.of = c, .plant = plant, .path = path,
                                                 .label = label};
    return true;
}

int main(int count, char **arguments)
{
    static struct CMUnitTest tests[sizeof rows / sizeof *rows];
    size_t n = 0;
    for (int i = 1; i < count; i++)
        if (!add_file(arguments[i], getenv("CUDA_ONLY"))) {
            fprintf(stderr, "no cases for %s\n", arguments[i]);
            return 1;
        }
    for (size_t i = 0; i < row_count; i++) {
        char *name = malloc(128);
        snprintf(name, 128, "%s %s %d", rows[i].label, rows[i].of->kernel, rows[i].plant);
        tests[n++] = (struct CMUnitTest){.name = name, .test_func = test_row,
                                         .initial_state = &rows[i]};
    }
    return _cmocka_run_group_tests("cuda", tests, n, NULL, print_table);
}
