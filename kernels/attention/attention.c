// SPDX-License-Identifier: MIT
// attention forward: launch rule and reference.
#include "kernels/attention/softmax_reference.h"
#include "kernels/plan.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    K_B,
    K_H,
    K_HKV,
    K_SQ,
    K_SK,
    K_D,
    K_CAUSAL,
    K_DTYPE,
    K_STAGES,
    K_TARGET,
    K_SMS,
    K_PINGPONG,
    K_COUNT
};

static const kgen_task_key keys[] = {{"B", "1", "sequences"},
                                     {"H", "2", "query heads"},
                                     {"HKV", "1", "key and value heads; divides H"},
                                     {"SQ", "128", "query tokens"},
                                     {"SK", "128", "key tokens"},
                                     {"D", "64", "head dimension: 64 or 128"},
                                     {"causal", "false", "row i sees keys up to i + SK - SQ"},
                                     {"dtype", "bf16", "f16 or bf16"},
                                     {"stages", "2", "slots of the key and value ring, 1 to 4"},
                                     {"target", "any", "GPU that the schedule is for"},
                                     {"sms", "132", "its SMs"},
                                     {"pingpong", "auto", "warpgroups multiply by turns"},
                                     {0}};

static int64_t scalar(const kgen_task *task, const char *name)
{
    for (int i = 0; i < task->n_scalars; i++)
        if (task->scalars[i].name[0] == name[0] && !strcmp(task->scalars[i].name, name))
            return task->scalars[i].i;
    return 0;
}

static bool reference(kgen_task *task)
{
    const kgen_task_tensor *q = plan_find(task, "q"), *k = plan_find(task, "k"),
                           *v = plan_find(task, "v");
    kgen_task_tensor *o = plan_find(task, "o"), *lse = plan_find(task, "lse");
    int64_t sq = q->dims[1], heads = q->dims[2], d = q->dims[3], sk = k->dims[1], hkv = k->dims[2];
    bool causal = scalar(task, "causal");
    double *weights = malloc(sizeof *weights * (size_t)sk);
    if (!weights) return false;
    for (int64_t row = 0; row < q->dims[0] * sq * heads; row++) {
        int64_t b = row / (sq * heads), i = row / heads % sq, h = row % heads, visible = sk;
        if (causal && i + sk - sq + 1 < sk) visible = i + sk - sq + 1;
        softmax_row r = {.dtype = q->dtype,
                         .d = d,
                         .n = visible < 0 ? 0 : visible,
                         .query = q->data,
                         .query_at = row * d,
                         .keys = k->data,
                         .values = v->data,
                         .weights = weights,
                         .first = (b * sk * hkv + h / (heads / hkv)) * d,
                         .stride = hkv * d,
                         .out = o->expect + row * d,
                         .bound = o->bound + row * d};
        int64_t at = (b * heads + h) * sq + i;
        lse->expect[at] = softmax_reference(&r);
        lse->bound[at] = 2e-5 * (1 + fabs(lse->expect[at]));
    }
    free(weights);
    return true;
}

// Whether warpgroups multiply by turns. What a step takes of an SM, in clocks: products at 2048
// multiply-adds of 16-bit floats a clock; 16 exponentials a clock; three and a half operations a
// score on 128 lanes. Warpgroups that run in step all multiply q k^T first, and then compute,
// beside the product with v. By turns each has both products beside what the other computes.
static void plan_pingpong(kgen_task *task, const int64_t *v, const char *text, int64_t rows,
                          int64_t columns)
{
    int64_t product = rows * columns * v[K_D] / 2048, softmax = rows * columns / 16;
    softmax += rows * columns * 7 / 2 / 128;
    int64_t in_step = product + (product > softmax ? product : softmax);
    int64_t by_turns = 2 * product > softmax ? 2 * product : softmax;
    bool pays = by_turns < in_step && v[K_SK] > columns;
    bool chosen = strcmp(text, "auto") ? !strcmp(text, "true") : pays;
    size_t used = strlen(task->reasons);
    snprintf(task->reasons + used, sizeof task->reasons - used,
             "a step of two warpgroups that run in step: %lld clocks, that multiply by turns: %lld "
             "(products 2 x %lld, softmax %lld; a model)%s: %s\n",
             (long long)in_step, (long long)by_turns, (long long)product, (long long)softmax,
             v[K_SK] > columns ? "" : ", and there is one step only",
             chosen ? "by turns" : "each for itself");
    plan_define_int(task, "PINGPONG", chosen);
}

// A producer for the copy engine and wgmma for the rest, where the GPU has both: 64 query rows for
// each of two warpgroups, and as many slots of keys and values as shared memory holds beside the
// queries and the result.
static void plan_roles(kgen_task *task, const int64_t *v, const char *const *texts)
{
    enum { ROWS = 128, KEYS = 128, SMALLEST = 64, SHARED_BYTES = 226 * 1024 };
    int64_t blocks = plan_ceildiv(v[K_SQ], ROWS) * v[K_H] * v[K_B], stages = v[K_STAGES];
    int64_t bytes = 2 * v[K_D] * (2 * ROWS + stages * 2 * KEYS);
    bool able = plan_target(task, texts[K_TARGET]);
    const char *misfit = v[K_SQ] < SMALLEST || v[K_SK] < SMALLEST ? "fewer than 64 queries or keys"
                         : stages < 2                             ? "no ring"
                         : bytes > SHARED_BYTES ? "more slots than shared memory holds"
                                                : NULL;
    if (!able || misfit) {
        if (able)
            snprintf(task->reasons, sizeof task->reasons, "%s: all warps work alike\n", misfit);
        plan_define_int(task, "STAGES", stages);
        return;
    }
    if (texts[K_STAGES] == keys[K_STAGES].value && v[K_D] == 64) stages = 4;
    bool persistent = blocks > v[K_SMS] && !v[K_CAUSAL];
    snprintf(task->reasons, sizeof task->reasons,
             "%d queries for two warpgroups and a producer, %d keys a step, %lld slots\n"
             "%lld blocks of queries for %lld SMs: %s\n",
             ROWS, KEYS, (long long)stages, (long long)blocks, (long long)v[K_SMS],
             persistent    ? "persistent CTAs fetch the next block's tiles while they end one"
             : v[K_CAUSAL] ? "one CTA a block, since blocks take different times"
                           : "one CTA a block");
    plan_define_int(task, "STAGES", stages);
    plan_define_int(task, "BM", ROWS);
    plan_define_int(task, "BN", KEYS);
    plan_define_int(task, "WARPS", 8);
    plan_define_int(task, "PRODUCERS", 1);
    plan_define_int(task, "OVERLAP", 1);
    plan_pingpong(task, v, texts[K_PINGPONG], ROWS, KEYS);
    plan_define_int(task, "PERSISTENT", persistent ? v[K_SMS] : 0);
    plan_define_int(task, "BULK_STORE", 1);
}

static bool plan(kgen_task *task, const int64_t *v, const char *const *texts, char *error)
{
    if (!plan_positive(error, keys, v, 6) || !plan_dtype(error, "dtype", texts[K_DTYPE], false))
        return false;
    if (v[K_D] != 64 && v[K_D] != 128)
        return plan_fail(error, "D=%lld: must be 64 or 128", (long long)v[K_D]);
    if (v[K_H] % v[K_HKV])
        return plan_fail(error, "HKV=%lld does not divide H=%lld", (long long)v[K_HKV],
                         (long long)v[K_H]);
    if (v[K_STAGES] < 1 || v[K_STAGES] > 4)
        return plan_fail(error, "stages=%s: must be 1 to 4", texts[K_STAGES]);
    if (strcmp(texts[K_PINGPONG], "auto") && strcmp(texts[K_PINGPONG], "true") &&
        strcmp(texts[K_PINGPONG], "false"))
        return plan_fail(error, "pingpong=%s: must be auto, true or false", texts[K_PINGPONG]);
    if (v[K_SMS] < 1 || v[K_SMS] > 1024)
        return plan_fail(error, "sms=%s: must be 1 to 1024", texts[K_SMS]);
    int64_t b = v[K_B], h = v[K_H], hkv = v[K_HKV], sq = v[K_SQ], sk = v[K_SK], d = v[K_D];
    plan_tensor(task, "q", texts[K_DTYPE], KGEN_TASK_INPUT, 4, (int64_t[]){b, sq, h, d});
    plan_tensor(task, "k", texts[K_DTYPE], KGEN_TASK_INPUT, 4, (int64_t[]){b, sk, hkv, d});
    plan_tensor(task, "v", texts[K_DTYPE], KGEN_TASK_INPUT, 4, (int64_t[]){b, sk, hkv, d});
    plan_tensor(task, "o", texts[K_DTYPE], KGEN_TASK_OUTPUT, 4, (int64_t[]){b, sq, h, d});
    plan_tensor(task, "lse", "f32", KGEN_TASK_OUTPUT, 3, (int64_t[]){b, h, sq});
    plan_define(task, "T", texts[K_DTYPE]);
    plan_define_int(task, "D", d);
    plan_roles(task, v, texts);
    plan_define(task, "CAUSAL", v[K_CAUSAL] ? "true" : "false");
    const char *names[] = {"B", "H", "HKV", "SQ", "SK", "causal"};
    int64_t sizes[] = {b, h, hkv, sq, sk, v[K_CAUSAL]};
    for (int i = 0; i < 6; i++) plan_scalar(task, names[i], sizes[i]);
    plan_scalar_float(task, "scale", 1 / sqrt((double)d));
    snprintf(task->shape, sizeof task->shape, "B%lld H%lld/%lld %lldx%lld d%lld %s%s", (long long)b,
             (long long)h, (long long)hkv, (long long)sq, (long long)sk, (long long)d,
             texts[K_DTYPE], v[K_CAUSAL] ? " causal" : "");
    task->flop =
        4.0 * (double)(b * h) * (double)sq * (double)sk * (double)d * (v[K_CAUSAL] ? 0.5 : 1);
    task->bytes = 2.0 * (double)(b * d) * (2.0 * (double)(sq * h) + 2.0 * (double)(sk * hkv));
    task->reference = reference;
    return true;
}

extern const kgen_family kgen_family_attention;
const kgen_family kgen_family_attention = {
    "attention", "softmax(q k^T) v forward, grouped heads, log-sum-exp out", keys, plan,
    "attention.kg"};
