// SPDX-License-Identifier: MIT
// gated delta rule in chunks, many tokens of many sequences: launch rule, inputs and reference.
#include "kernels/delta_net/delta_rule.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { K_B, K_T, K_H, K_HK, K_D, K_DTYPE, K_GATES, K_ROWS, K_STAGES, K_COUNT };

static const kgen_task_key keys[] = {
    {"B", "2", "sequences"},
    {"T", "150", "tokens of the longest; each other has 37 less than the one before, down to 0"},
    {"H", "2", "value heads"},
    {"HK", "1", "query and key heads; divides H"},
    {"D", "128", "head dimension: 64 or 128"},
    {"dtype", "bf16", "of q, k, v and o: f16 or bf16"},
    {"gates", "model", "model: as trained models have them; none; strong: whatever was, is gone"},
    {"rows", "0", "rows of the state a CTA keeps: D or half of it; 0 = by shape"},
    {"stages", "2", "slots of the operand ring: 1 or 2"},
    {0}};

// CTAs that occupy a large GPU, one on each of 132 multiprocessors.
enum { ENOUGH = 132 };

// Positions are 32 bits wide, and the kernel looks three chunks ahead.
enum { MOST_TOKENS = INT32_MAX - 256 };

static int64_t length_of(int64_t longest, int64_t b)
{
    return longest - 37 * b > 0 ? longest - 37 * b : 0;
}

static int64_t scalar(const kgen_task *task, const char *name)
{
    for (int i = 0; i < task->n_scalars; i++)
        if (!strcmp(task->scalars[i].name, name)) return task->scalars[i].i;
    return 0;
}

// As models have them: a head's factor of 1 to 16 times a step between 0.001 and 0.1.
static double gate(int64_t gates, double noise, int64_t h)
{
    if (gates == 1) return 0;
    if (gates == 2) return -100 * fabs(noise);
    return -(1 + (double)(h * 5 % 16)) * 1e-3 * pow(10, 1 + noise);
}

static void prepare(kgen_task *task)
{
    delta_rule_prepare(task, 1);
    kgen_task_tensor *g = plan_find(task, "g");
    for (int64_t i = 0; i < g->dims[0] * g->dims[1]; i++) {
        float *x = (float *)g->data + i;
        *x = (float)gate(scalar(task, "gates"), 2 * *x + 1, i % g->dims[1]);
    }
    const kgen_task_tensor *starts = plan_find(task, "starts");
    int32_t *start = starts->data;
    start[0] = 0;
    for (int64_t b = 0; b + 1 < starts->dims[0]; b++)
        start[b + 1] = start[b] + (int32_t)length_of(scalar(task, "T"), b);
}

static double norm(const double *s, int64_t d)
{
    double square = 0;
    for (int64_t c = 0; c < d; c++) square += s[c] * s[c];
    return sqrt(square);
}

// One row of one head's state over the tokens of sequence b; q, k and v as doubles. The kernel
// rounds the state and what a token adds to it for every product, so errors are of its size.
static void reference_row(kgen_task *task, double *const operands[3], int64_t b, int64_t h,
                          int64_t row)
{
    const kgen_task_tensor *q = plan_find(task, "q"), *v = plan_find(task, "v");
    const float *g = plan_find(task, "g")->data, *beta = plan_find(task, "beta")->data,
                *s0 = plan_find(task, "s0")->data;
    const int32_t *start = plan_find(task, "starts")->data;
    kgen_task_tensor *s1 = plan_find(task, "s1"), *o = plan_find(task, "o");
    int64_t hk = q->dims[1], d = q->dims[2], heads = v->dims[1];
    int64_t home = ((b * heads + h) * d + row) * d;
    double *s = s1->expect + home, unit = plan_unit_roundoff(o->dtype), largest = 1;
    for (int64_t c = 0; c < d; c++) s[c] = s0[home + c];
    for (int64_t t = start[b]; t < start[b + 1]; t++) {
        int64_t at = t * heads + h, key = (t * hk + h / (heads / hk)) * d;
        double out =
            delta_rule_step(s, operands[0] + key, operands[1] + key, operands[2][at * d + row],
                            exp((double)g[at]), 1 / (1 + exp(-(double)beta[at])), d);
        double size = norm(s, d);
        if (size > largest) largest = size;
        o->expect[at * d + row] = out;
        o->bound[at * d + row] = unit * (fabs(out) + largest / sqrt((double)d) / 2);
    }
    for (int64_t c = 0; c < d; c++)
        s1->bound[home + c] = start[b] == start[b + 1] ? 0 : unit * (fabs(s[c]) + largest) / 2;
}

static bool reference(kgen_task *task)
{
    const char *const read[] = {"q", "k", "v"};
    double *operands[3];
    bool ok = true;
    for (int i = 0; i < 3; i++)
        ok &= (operands[i] = delta_rule_doubles(plan_find(task, read[i]))) != NULL;
    const kgen_task_tensor *s0 = plan_find(task, "s0");
    for (int64_t b = 0; ok && b < s0->dims[0]; b++)
        for (int64_t h = 0; h < s0->dims[1]; h++)
            for (int64_t row = 0; row < s0->dims[2]; row++)
                reference_row(task, operands, b, h, row);
    for (int i = 0; i < 3; i++) free(operands[i]);
    return ok;
}

static void plan_tensors(kgen_task *task, const int64_t *v, const char *dtype, int64_t total)
{
    int64_t b = v[K_B], h = v[K_H], hk = v[K_HK], d = v[K_D];
    plan_tensor(task, "q", dtype, KGEN_TASK_INPUT, 3, (int64_t[]){total, hk, d});
    plan_tensor(task, "k", dtype, KGEN_TASK_INPUT, 3, (int64_t[]){total, hk, d});
    plan_tensor(task, "v", dtype, KGEN_TASK_INPUT, 3, (int64_t[]){total, h, d});
    plan_tensor(task, "g", "f32", KGEN_TASK_INPUT, 2, (int64_t[]){total, h});
    plan_tensor(task, "beta", "f32", KGEN_TASK_INPUT, 2, (int64_t[]){total, h});
    plan_tensor(task, "starts", "i32", KGEN_TASK_INPUT, 1, (int64_t[]){b + 1});
    int state = plan_tensor(task, "s0", "f32", KGEN_TASK_INPUT, 4, (int64_t[]){b, h, d, d});
    int next = plan_tensor(task, "s1", "f32", KGEN_TASK_UPDATED, 4, (int64_t[]){b, h, d, d});
    task->tensors[next].alias = state; // the state is updated in place
    plan_tensor(task, "o", dtype, KGEN_TASK_OUTPUT, 3, (int64_t[]){total, h, d});
    const char *names[] = {"B", "H", "HK", "TOTAL", "T"};
    int64_t sizes[] = {b, h, hk, total, v[K_T]};
    for (int i = 0; i < 5; i++) plan_scalar(task, names[i], sizes[i]);
}

static bool plan(kgen_task *task, const int64_t *v, const char *const *texts, char *error)
{
    static const char *const gates[] = {"model", "none", "strong"};
    int64_t rows = v[K_ROWS], total = 0, kind = 0;
    if (!plan_positive(error, keys, v, K_D + 1) ||
        !plan_dtype(error, "dtype", texts[K_DTYPE], false))
        return false;
    if (v[K_D] != 64 && v[K_D] != 128)
        return plan_fail(error, "D=%lld: must be 64 or 128", (long long)v[K_D]);
    if (v[K_H] % v[K_HK])
        return plan_fail(error, "HK=%s does not divide H=%s", texts[K_HK], texts[K_H]);
    while (kind < 3 && strcmp(texts[K_GATES], gates[kind])) kind++;
    if (kind == 3)
        return plan_fail(error, "gates=%s: must be model, none or strong", texts[K_GATES]);
    if (rows && rows != v[K_D] && rows != v[K_D] / 2)
        return plan_fail(error, "rows=%s: must be D=%s or half of it", texts[K_ROWS], texts[K_D]);
    if (v[K_STAGES] < 1 || v[K_STAGES] > 2)
        return plan_fail(error, "stages=%s: must be 1 or 2", texts[K_STAGES]);
    for (int64_t b = 0; b < v[K_B] && length_of(v[K_T], b); b++) total += length_of(v[K_T], b);
    if (total > MOST_TOKENS)
        return plan_fail(error, "B=%s T=%s: more than %d tokens", texts[K_B], texts[K_T],
                         MOST_TOKENS);
    plan_tensors(task, v, texts[K_DTYPE], total);
    plan_scalar(task, "gates", kind);
    if (!rows) // all of them where that leaves enough CTAs; a quarter would not fit two warps
        rows = v[K_B] * v[K_H] >= ENOUGH ? v[K_D] : v[K_D] / 2;
    plan_define(task, "T", texts[K_DTYPE]);
    plan_define_int(task, "D", v[K_D]);
    plan_define_int(task, "ROWS", rows);
    plan_define_int(task, "STAGES", v[K_STAGES]);
    snprintf(task->shape, sizeof task->shape, "B%s T%s H%s/%s d%s %s rows %lld", texts[K_B],
             texts[K_T], texts[K_H], texts[K_HK], texts[K_D], texts[K_DTYPE], (long long)rows);
    double d = (double)v[K_D], tokens = (double)total * (double)v[K_H];
    task->flop = tokens * (6 * d * d + 8 * 64 * d);
    task->bytes = (double)(v[K_B] * v[K_H]) * 8 * d * d +
                  tokens * 4 * d * (1 + (double)v[K_HK] / (double)v[K_H]);
    task->prepare = prepare;
    task->reference = reference;
    return true;
}

extern const kgen_family kgen_family_delta_net_prefill;
const kgen_family kgen_family_delta_net_prefill = {
    "delta_net_prefill", "the gated delta rule in chunks of 64 tokens, sequences of any length",
    keys, plan, "delta_net_prefill.kg"};
