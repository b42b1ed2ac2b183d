// SPDX-License-Identifier: MIT
// The result of a run as text and as JSON: error statistics, and where elements are wrong.
#include "report.h"
#include "json.h"
#include "output.h"
#include <math.h>
#include <string.h>

enum { MOST_RANGES = 12 };

const char *verdict_of(const run_result *result)
{
    if (result->mismatch) return "mismatch";
    if (result->status == KGEN_ERROR_FINDINGS) return "findings";
    return result->status ? "error" : "ok";
}

// ---- where elements are wrong ------------------------------------------------------------------

// Rows of all leading dimensions that follow each other and have as many wrong elements each.
typedef struct row_range {
    int64_t first, last, wrong; // rows; wrong elements in each
} row_range;

// Rows run along the last dimension; a vector has one element a row.
static int64_t row_length(const kgen_task_tensor *t)
{
    return t->rank > 1 ? t->dims[t->rank - 1] : 1;
}

static int64_t count_wrong(const output_result *out, int64_t row, int64_t length)
{
    int64_t n = 0;
    for (int64_t i = 0; i < length; i++) n += out->wrong[row * length + i];
    return n;
}

// The next range with wrong elements from *row on; false at the end.
static bool next_range(const kgen_task_tensor *t, const output_result *out, int64_t *row,
                       row_range *range)
{
    int64_t length = row_length(t), rows = tensor_elements(t) / length, wrong = 0;
    while (*row < rows && !(wrong = count_wrong(out, *row, length))) ++*row;
    if (*row == rows) return false;
    *range = (row_range){*row, *row, wrong};
    while (++*row < rows && count_wrong(out, *row, length) == wrong) range->last = *row;
    return true;
}

// "3,0,7": a row's place in the leading dimensions.
static void row_index(const kgen_task_tensor *t, int64_t row, char *text, size_t room)
{
    int leading = t->rank > 1 ? t->rank - 1 : 1;
    int64_t index[KGEN_TASK_RANK] = {0};
    for (int d = leading - 1; d >= 0; d--) {
        index[d] = row % t->dims[d];
        row /= t->dims[d];
    }
    *text = 0;
    for (int d = 0; d < leading; d++)
        snprintf(text + strlen(text), room - strlen(text), "%s%lld", d ? "," : "",
                 (long long)index[d]);
}

static void print_rows(const kgen_task_tensor *t, const output_result *out)
{
    int64_t row = 0, rest = 0, length = row_length(t);
    row_range range;
    for (int n = 0; next_range(t, out, &row, &range); n++) {
        char first[96], last[96];
        if (n >= MOST_RANGES) {
            rest += range.last - range.first + 1;
            continue;
        }
        row_index(t, range.first, first, sizeof first);
        row_index(t, range.last, last, sizeof last);
        if (range.first == range.last)
            printf("      row [%s]: %lld of %lld wrong\n", first, (long long)range.wrong,
                   (long long)length);
        else
            printf("      rows [%s] to [%s]: %lld of %lld wrong in each\n", first, last,
                   (long long)range.wrong, (long long)length);
    }
    if (rest) printf("      and %lld more rows\n", (long long)rest);
}

static json_t *json_of_rows(const kgen_task_tensor *t, const output_result *out)
{
    json_t *rows = must(json_array());
    int64_t row = 0;
    row_range range;
    while (out->wrong && next_range(t, out, &row, &range) && json_array_size(rows) < 1000) {
        char first[96], last[96];
        row_index(t, range.first, first, sizeof first);
        row_index(t, range.last, last, sizeof last);
        json_array_append_new(rows, json_pack("{s:s, s:s, s:I}", "first", first, "last", last,
                                              "wrong", (json_int_t)range.wrong));
    }
    return rows;
}

// ---- text --------------------------------------------------------------------------------------

static void print_worst(const kgen_task_tensor *t, const kgen_comparison *c)
{
    printf("      worst at [");
    for (int d = 0; d < t->rank; d++) printf("%s%lld", d ? "," : "", (long long)c->worst_index[d]);
    printf("]: %.9g, expected %.9g\n", c->worst_result, c->worst_expect);
}

static void print_stability(const run_result *result, bool on_gpu)
{
    if (result->stability == NOT_RERUN) return;
    const char *how = on_gpu ? "" : " with other schedules";
    if (result->stability == SAME_ELEMENTS)
        printf(
            "  %d reruns%s: the same elements are wrong each time, as a wrong index makes them\n",
            result->reruns, how);
    else
        printf("  %d reruns%s: other elements are wrong, as a race makes them\n", result->reruns,
               how);
}

void print_outputs(const kgen_task *task, const run_result *result, bool on_gpu)
{
    for (int i = 0; i < result->n_outputs; i++) {
        const output_result *out = &result->outputs[i];
        const kgen_task_tensor *t = &task->tensors[out->tensor];
        const kgen_comparison *c = &out->comparison;
        printf("  %s: largest error %.3g, %.3g of what is allowed, rms %.3g", t->name, c->max_error,
               c->max_ratio, c->rms_relative);
        if (!c->wrong) {
            printf(": ok\n");
            continue;
        }
        printf(": %lld of %lld elements wrong\n", (long long)c->wrong, (long long)c->elements);
        print_worst(t, c);
        print_rows(t, out);
    }
    print_stability(result, on_gpu);
}

// ---- JSON --------------------------------------------------------------------------------------

static json_t *json_of_output(const kgen_task *task, const output_result *out)
{
    const kgen_task_tensor *t = &task->tensors[out->tensor];
    const kgen_comparison *c = &out->comparison;
    json_t *dims = must(json_array()), *worst = must(json_array());
    for (int d = 0; d < t->rank; d++) {
        json_array_append_new(dims, json_integer(t->dims[d]));
        json_array_append_new(worst, json_integer(c->worst_index[d]));
    }
    return must(json_pack("{s:o, s:o, s:o, s:I, s:I, s:o, s:o, s:o, s:{s:o, s:o, s:o}, s:o}",
                          "name", json_text(t->name), "dtype", json_text(t->dtype), "dims", dims,
                          "elements", (json_int_t)c->elements, "wrong", (json_int_t)c->wrong,
                          "max_error", json_number(c->max_error), "max_ratio",
                          json_number(c->max_ratio), "rms_relative", json_number(c->rms_relative),
                          "worst", "index", worst, "result", json_number(c->worst_result),
                          "expected", json_number(c->worst_expect), "wrong_rows",
                          json_of_rows(t, out)));
}

static json_t *json_of_reruns(const run_result *result)
{
    if (result->stability == NOT_RERUN) return json_null();
    return must(json_pack("{s:i, s:b}", "count", result->reruns, "same_elements",
                          result->stability == SAME_ELEMENTS));
}

static json_t *json_of_timing(const kgen_task *task, const run_result *result)
{
    double seconds = result->timed_seconds;
    if (seconds <= 0) return json_null();
    return must(json_pack("{s:o, s:o, s:o}", "seconds", json_number(seconds), "tflops",
                          json_number(1e-12 * task->flop / seconds), "gigabytes_per_second",
                          json_number(1e-9 * task->bytes / seconds)));
}

json_t *json_of_run(const cli_session *session, const kgen_task *task, const run_result *result)
{
    json_t *outputs = must(json_array());
    for (int i = 0; i < result->n_outputs; i++)
        json_array_append_new(outputs, json_of_output(task, &result->outputs[i]));
    return must(json_pack("{s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:O, s:o, s:o, s:O}", "kernel",
                          task->family, "shape", task->shape, "status", verdict_of(result),
                          "device", result->device_name, "program",
                          result->info.kernel ? json_of_info(&result->info) : json_null(),
                          "statistics", json_of_statistics(&result->statistics), "outputs", outputs,
                          "findings", result->findings.json, "timing", json_of_timing(task, result),
                          "reruns", json_of_reruns(result), "diagnostics", session->diagnostics));
}
