// SPDX-License-Identifier: MIT
// gated delta rule, decode from a pool of states: launch rule, inputs and reference.
#include "kernels/delta_net/delta_rule.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { K_B, K_N, K_H, K_HK, K_D, K_DTYPE, K_CHECKPOINTS, K_SKIPPED, K_ROWS, K_COUNT };

static const kgen_task_key keys[] = {
    {"B", "4", "sequences"},
    {"N", "1", "new tokens of each, 1 to 8"},
    {"H", "2", "value heads"},
    {"HK", "1", "query and key heads; divides H"},
    {"D", "128", "head dimension: 64 or 128"},
    {"dtype", "bf16", "of q, k, v and o: f16, bf16 or f32"},
    {"checkpoints", "false", "keep the state after each token but the last in a slot of its own"},
    {"skipped", "0", "sequences at the front that have no state"},
    {"rows", "0", "rows of the state a CTA keeps: 8, 16, 32 or 64; 0 = by shape"},
    {0}};

// CTAs that occupy a large GPU: two on each of 132 multiprocessors.
enum { ENOUGH = 264 };

static const char *define_of(const kgen_task *task, const char *name)
{
    for (int i = 0; i < task->n_defines; i++)
        if (!strcmp(task->defines[i].name, name)) return task->defines[i].value;
    return "";
}

static int64_t first_sequence(const kgen_task *task)
{
    for (int i = 0; i < task->n_scalars; i++)
        if (!strcmp(task->scalars[i].name, "skipped")) return task->scalars[i].i;
    return 0;
}

// Slots from the end of the pool on, so that their order is not the sequences'. The last token's
// state is the one that goes back in place, and has no slot beside that.
static void prepare(kgen_task *task)
{
    delta_rule_prepare(task, 0.5);
    const kgen_task_tensor *index = plan_find(task, "index"), *after = plan_find(task, "after");
    int32_t *slot = index->data, *kept = after->data;
    int64_t last = plan_find(task, "pool")->dims[0] - 1, tokens = after->dims[1];
    for (int64_t b = 0; b < index->dims[0]; b++) {
        slot[b] = b < first_sequence(task) ? -1 : (int32_t)(last - b * tokens);
        for (int64_t t = 0; t < tokens; t++)
            kept[b * tokens + t] = t + 1 < tokens ? (int32_t)(last - b * tokens - t - 1) : -1;
    }
}

// What an f32 kernel may be off by after a few tokens, and the rounding of what is stored.
static double bound_of(double value, double unit)
{
    return 2e-6 * (1 + fabs(value)) + unit * fabs(value);
}

static void keep(kgen_task_tensor *pool, int64_t at, const double *s, int64_t d)
{
    for (int64_t c = 0; c < d; c++) {
        pool->expect[at + c] = s[c];
        pool->bound[at + c] = bound_of(s[c], 0);
    }
}

// One row of one head's state over the tokens of sequence b; q, k and v as doubles.
static void reference_row(kgen_task *task, double *const operands[3], int64_t b, int64_t h,
                          int64_t row)
{
    const kgen_task_tensor *q = plan_find(task, "q"), *v = plan_find(task, "v");
    const float *g = plan_find(task, "g")->data, *beta = plan_find(task, "beta")->data;
    const int32_t *slot = plan_find(task, "index")->data, *after = plan_find(task, "after")->data;
    kgen_task_tensor *pool = plan_find(task, "pool"), *o = plan_find(task, "o");
    int64_t n = q->dims[1], hk = q->dims[2], d = q->dims[3], heads = v->dims[2];
    bool checkpoints = !strcmp(define_of(task, "CHECKPOINTS"), "true");
    double s[128], unit = strcmp(o->dtype, "f32") ? plan_unit_roundoff(o->dtype) : 0;
    int64_t home = ((slot[b] * heads + h) * d + row) * d;
    for (int64_t c = 0; c < d; c++) s[c] = ((const float *)pool->data)[home + c];
    for (int64_t t = 0; t < n; t++) {
        int64_t at = (b * n + t) * heads + h, key = ((b * n + t) * hk + h / (heads / hk)) * d;
        double out =
            delta_rule_step(s, operands[0] + key, operands[1] + key, operands[2][at * d + row],
                            exp((double)g[at]), 1 / (1 + exp(-(double)beta[at])), d);
        o->expect[at * d + row] = out;
        o->bound[at * d + row] = bound_of(out, unit);
        int64_t kept = after[b * n + t];
        if (checkpoints && kept >= 0) keep(pool, ((kept * heads + h) * d + row) * d, s, d);
    }
    keep(pool, home, s, d);
}

static bool reference(kgen_task *task)
{
    const char *const updated[] = {"pool", "o"}, *const read[] = {"q", "k", "v"};
    double *operands[3];
    bool ok = true;
    for (int i = 0; i < 2; i++) { // what no sequence owns stays as it was
        kgen_task_tensor *t = plan_find(task, updated[i]);
        int64_t n = (int64_t)(t->bytes / kgen_task_dtype_bytes(t->dtype));
        for (int64_t at = 0; at < n; at++) {
            t->expect[at] = kgen_task_element(t->dtype, t->data, at);
            t->bound[at] = 0;
        }
    }
    for (int i = 0; i < 3; i++)
        ok &= (operands[i] = delta_rule_doubles(plan_find(task, read[i]))) != NULL;
    const kgen_task_tensor *v = plan_find(task, "v");
    for (int64_t b = first_sequence(task); ok && b < v->dims[0]; b++)
        for (int64_t h = 0; h < v->dims[2]; h++)
            for (int64_t row = 0; row < v->dims[3]; row++) reference_row(task, operands, b, h, row);
    for (int i = 0; i < 3; i++) free(operands[i]);
    return ok;
}

// As many rows as leave enough CTAs; a warp has four to eight of 128, or eight to sixteen of 64.
static void plan_rows(kgen_task *task, const int64_t *v)
{
    int64_t rows = v[K_ROWS] ? v[K_ROWS] : 32;
    while (!v[K_ROWS] && rows > 8 && v[K_B] * v[K_H] * (v[K_D] / rows) < ENOUGH) rows /= 2;
    plan_define_int(task, "ROWS", rows);
    plan_define_int(task, "WARPS", rows * v[K_D] < 2048 ? 1 : rows * v[K_D] / 1024);
}

static void plan_tensors(kgen_task *task, const int64_t *v, const char *dtype)
{
    int64_t b = v[K_B], n = v[K_N], h = v[K_H], hk = v[K_HK], d = v[K_D], slots = b * n + 2;
    plan_tensor(task, "q", dtype, KGEN_TASK_INPUT, 4, (int64_t[]){b, n, hk, d});
    plan_tensor(task, "k", dtype, KGEN_TASK_INPUT, 4, (int64_t[]){b, n, hk, d});
    plan_tensor(task, "v", dtype, KGEN_TASK_INPUT, 4, (int64_t[]){b, n, h, d});
    plan_tensor(task, "g", "f32", KGEN_TASK_INPUT, 3, (int64_t[]){b, n, h});
    plan_tensor(task, "beta", "f32", KGEN_TASK_INPUT, 3, (int64_t[]){b, n, h});
    plan_tensor(task, "index", "i32", KGEN_TASK_INPUT, 1, (int64_t[]){b});
    plan_tensor(task, "after", "i32", KGEN_TASK_INPUT, 2, (int64_t[]){b, n});
    plan_tensor(task, "pool", "f32", KGEN_TASK_UPDATED, 4, (int64_t[]){slots, h, d, d});
    plan_tensor(task, "o", dtype, KGEN_TASK_UPDATED, 4, (int64_t[]){b, n, h, d});
    const char *names[] = {"B", "N", "H", "HK", "SLOTS", "skipped"};
    int64_t sizes[] = {b, n, h, hk, slots, v[K_SKIPPED]};
    for (int i = 0; i < 6; i++) plan_scalar(task, names[i], sizes[i]);
}

static bool plan(kgen_task *task, const int64_t *v, const char *const *texts, char *error)
{
    if (!plan_positive(error, keys, v, K_D + 1) ||
        !plan_dtype(error, "dtype", texts[K_DTYPE], true))
        return false;
    if (v[K_D] != 64 && v[K_D] != 128)
        return plan_fail(error, "D=%lld: must be 64 or 128", (long long)v[K_D]);
    if (v[K_N] > 8)
        return plan_fail(error, "N=%s: must be 1 to 8; delta_net_prefill is for more", texts[K_N]);
    if (v[K_H] % v[K_HK])
        return plan_fail(error, "HK=%s does not divide H=%s", texts[K_HK], texts[K_H]);
    if (v[K_SKIPPED] < 0 || v[K_SKIPPED] > v[K_B])
        return plan_fail(error, "skipped=%s: must be 0 to B=%s", texts[K_SKIPPED], texts[K_B]);
    if (v[K_ROWS] && v[K_ROWS] != 8 && v[K_ROWS] != 16 && v[K_ROWS] != 32 && v[K_ROWS] != 64)
        return plan_fail(error, "rows=%s: must be 8, 16, 32 or 64", texts[K_ROWS]);
    if (v[K_B] * v[K_N] > INT32_MAX - 2)
        return plan_fail(error, "B=%s N=%s: more slots than an index can name", texts[K_B],
                         texts[K_N]);
    plan_tensors(task, v, texts[K_DTYPE]);
    plan_define(task, "T", texts[K_DTYPE]);
    plan_define_int(task, "D", v[K_D]);
    plan_define(task, "CHECKPOINTS", v[K_CHECKPOINTS] ? "true" : "false");
    plan_rows(task, v);
    snprintf(task->shape, sizeof task->shape, "B%s N%s H%s/%s d%s %s%s", texts[K_B], texts[K_N],
             texts[K_H], texts[K_HK], texts[K_D], texts[K_DTYPE],
             v[K_CHECKPOINTS] ? " checkpoints" : "");
    double live = (double)((v[K_B] - v[K_SKIPPED]) * v[K_H]), d = (double)v[K_D],
           n = (double)v[K_N], element = (double)kgen_task_dtype_bytes(texts[K_DTYPE]);
    task->flop = live * n * 8.0 * d * d;
    task->bytes = live * 4.0 * d * d * (v[K_CHECKPOINTS] ? n + 1 : 2) +
                  live * n * element * d * 2.0 * (1 + (double)v[K_HK] / (double)v[K_H]);
    task->prepare = prepare;
    task->reference = reference;
    return true;
}

extern const kgen_family kgen_family_delta_net_decode;
const kgen_family kgen_family_delta_net_decode = {
    "delta_net_decode", "the gated delta rule for 1 to 8 new tokens, states in a pool", keys, plan,
    "delta_net_decode.kg"};
