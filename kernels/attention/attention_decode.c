// SPDX-License-Identifier: MIT
// attention decode with a paged cache: launch rule, inputs and reference; and the row that both
// references share.
#include "kernels/attention/softmax_reference.h"
#include "kernels/plan.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

double softmax_reference(const softmax_row *row)
{
    double scale = 1 / sqrt((double)row->d), peak = -INFINITY, total = 0;
    for (int64_t j = 0; j < row->n; j++) {
        int64_t at = row->first + (row->rows ? row->rows[j] : j) * row->stride;
        double score = 0;
        for (int64_t c = 0; c < row->d; c++)
            score += kgen_task_element(row->dtype, row->query, row->query_at + c) *
                     kgen_task_element(row->dtype, row->keys, at + c);
        row->weights[j] = score * scale;
        if (row->weights[j] > peak) peak = row->weights[j];
    }
    for (int64_t j = 0; j < row->n; j++) total += row->weights[j] = exp(row->weights[j] - peak);
    double u = plan_unit_roundoff(row->dtype);
    for (int64_t c = 0; c < row->d; c++) row->out[c] = 0, row->bound[c] = 1e-6;
    for (int64_t j = 0; j < row->n; j++) {
        int64_t at = row->first + (row->rows ? row->rows[j] : j) * row->stride;
        for (int64_t c = 0; c < row->d; c++) {
            double value = kgen_task_element(row->dtype, row->values, at + c),
                   weight = row->weights[j] / total;
            row->out[c] += weight * value;
            row->bound[c] +=
                2 * u * weight * fabs(value); // the weights are rounded before the second product
        }
    }
    for (int64_t c = 0; c < row->d; c++) row->bound[c] += 1.5 * u * fabs(row->out[c]);
    return row->n ? peak + log(total) : -INFINITY;
}

enum { K_B, K_H, K_HKV, K_SK, K_D, K_PAGE, K_SPLITS, K_DTYPE, K_COUNT };

static const kgen_task_key keys[] = {
    {"B", "2", "sequences"},
    {"H", "4", "query heads"},
    {"HKV", "1", "key and value heads; divides H, at most 16 query heads each"},
    {"SK", "200", "tokens of the longest sequence; the others are shorter"},
    {"D", "64", "head dimension: 64 or 128"},
    {"page", "16", "tokens of a cache page"},
    {"splits", "2", "CTAs that share a sequence's tokens, 1 to 64"},
    {"dtype", "bf16", "f16 or bf16"},
    {0}};

static int64_t scalar(const kgen_task *task, const char *name)
{
    for (int i = 0; i < task->n_scalars; i++)
        if (!strcmp(task->scalars[i].name, name)) return task->scalars[i].i;
    return 0;
}

// Sequence b has SK - 7 b tokens; its pages lie backwards through the cache, so that order matters.
static void prepare(kgen_task *task)
{
    kgen_task_tensor *table = plan_find(task, "table"), *lengths = plan_find(task, "lengths");
    int32_t *entry = table->data, *length = lengths->data;
    int64_t total = table->dims[0] * table->dims[1], longest = scalar(task, "SK");
    for (int64_t i = 0; i < total; i++) entry[i] = (int32_t)(total - 1 - i);
    for (int64_t b = 0; b < lengths->dims[0]; b++)
        length[b] = (int32_t)(longest - 7 * b > 1 ? longest - 7 * b : 1);
}

static bool reference(kgen_task *task)
{
    const kgen_task_tensor *q = plan_find(task, "q"), *k = plan_find(task, "kc"),
                           *v = plan_find(task, "vc");
    kgen_task_tensor *o = plan_find(task, "o"), *lse = plan_find(task, "lse");
    const kgen_task_tensor *table = plan_find(task, "table");
    const int32_t *entry = table->data, *length = plan_find(task, "lengths")->data;
    int64_t heads = q->dims[1], d = q->dims[2], hkv = k->dims[1], page = scalar(task, "page");
    int64_t most = scalar(task, "SK");
    double *weights = malloc(sizeof *weights * (size_t)most);
    int64_t *rows = malloc(sizeof *rows * (size_t)most);
    for (int64_t row = 0; weights && rows && row < q->dims[0] * heads; row++) {
        int64_t b = row / heads, h = row % heads;
        for (int64_t t = 0; t < length[b]; t++)
            rows[t] = entry[b * table->dims[1] + t / page] * page + t % page;
        softmax_row r = {.dtype = q->dtype,
                         .d = d,
                         .n = length[b],
                         .query = q->data,
                         .query_at = row * d,
                         .keys = k->data,
                         .values = v->data,
                         .rows = rows,
                         .weights = weights,
                         .first = h / (heads / hkv) * d,
                         .stride = hkv * d,
                         .out = o->expect + row * d,
                         .bound = o->bound + row * d};
        lse->expect[row] = softmax_reference(&r);
        lse->bound[row] = 2e-5 * (1 + fabs(lse->expect[row]));
    }
    bool ok = weights && rows;
    free(weights);
    free(rows);
    return ok;
}

static void plan_tensors(kgen_task *task, const int64_t *v, const char *dtype, int64_t pages)
{
    int64_t b = v[K_B], h = v[K_H], hkv = v[K_HKV], d = v[K_D], rows = b * pages * v[K_PAGE];
    int64_t parts = v[K_SPLITS] > 1 ? v[K_SPLITS] : 0;
    plan_tensor(task, "q", dtype, KGEN_TASK_INPUT, 3, (int64_t[]){b, h, d});
    plan_tensor(task, "kc", dtype, KGEN_TASK_INPUT, 3, (int64_t[]){rows, hkv, d});
    plan_tensor(task, "vc", dtype, KGEN_TASK_INPUT, 3, (int64_t[]){rows, hkv, d});
    plan_tensor(task, "table", "i32", KGEN_TASK_INPUT, 2, (int64_t[]){b, pages});
    plan_tensor(task, "lengths", "i32", KGEN_TASK_INPUT, 1, (int64_t[]){b});
    plan_tensor(task, "o", dtype, KGEN_TASK_OUTPUT, 3, (int64_t[]){b, h, d});
    plan_tensor(task, "lse", "f32", KGEN_TASK_OUTPUT, 2, (int64_t[]){b, h});
    plan_tensor(task, "po", "f32", KGEN_TASK_SCRATCH, 4, (int64_t[]){b, parts, h, d});
    plan_tensor(task, "pm", "f32", KGEN_TASK_SCRATCH, 3, (int64_t[]){b, parts, h});
    plan_tensor(task, "pl", "f32", KGEN_TASK_SCRATCH, 3, (int64_t[]){b, parts, h});
    plan_tensor(task, "arrived", "i32", KGEN_TASK_ZEROED, 2, (int64_t[]){parts ? b : 0, hkv});
    const char *names[] = {"B", "H", "HKV", "ROWS", "PAGES", "SK", "page"};
    int64_t sizes[] = {b, h, hkv, rows, pages, v[K_SK], v[K_PAGE]};
    for (int i = 0; i < 7; i++) plan_scalar(task, names[i], sizes[i]);
}

static bool plan(kgen_task *task, const int64_t *v, const char *const *texts, char *error)
{
    if (!plan_positive(error, keys, v, 7) || !plan_dtype(error, "dtype", texts[K_DTYPE], false))
        return false;
    if (v[K_D] != 64 && v[K_D] != 128)
        return plan_fail(error, "D=%lld: must be 64 or 128", (long long)v[K_D]);
    if (v[K_H] % v[K_HKV] || v[K_H] / v[K_HKV] > 16)
        return plan_fail(error, "HKV=%lld must divide H=%lld into groups of at most 16",
                         (long long)v[K_HKV], (long long)v[K_H]);
    if (v[K_SPLITS] > 64) return plan_fail(error, "splits=%s: must be 1 to 64", texts[K_SPLITS]);
    plan_tensors(task, v, texts[K_DTYPE], plan_ceildiv(v[K_SK], v[K_PAGE]));
    plan_scalar_float(task, "scale", 1 / sqrt((double)v[K_D]));
    plan_define(task, "T", texts[K_DTYPE]);
    plan_define_int(task, "D", v[K_D]);
    plan_define_int(task, "G", v[K_H] / v[K_HKV]);
    plan_define_int(task, "PAGE", v[K_PAGE]);
    plan_define_int(task, "SPLITS", v[K_SPLITS]);
    snprintf(task->shape, sizeof task->shape, "B%lld H%lld/%lld %lld d%lld page %lld %s split %lld",
             (long long)v[K_B], (long long)v[K_H], (long long)v[K_HKV], (long long)v[K_SK],
             (long long)v[K_D], (long long)v[K_PAGE], texts[K_DTYPE], (long long)v[K_SPLITS]);
    task->flop = 4.0 * (double)(v[K_B] * v[K_H]) * (double)v[K_SK] * (double)v[K_D];
    task->bytes = 4.0 * (double)(v[K_B] * v[K_HKV]) * (double)v[K_SK] * (double)v[K_D];
    task->prepare = prepare;
    task->reference = reference;
    return true;
}

extern const kgen_family kgen_family_attention_decode;
const kgen_family kgen_family_attention_decode = {
    "attention_decode", "one token a sequence against a paged cache, split and combined", keys,
    plan, "attention_decode.kg"};
