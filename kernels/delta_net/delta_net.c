// SPDX-License-Identifier: MIT
// gated delta rule, recurrent: launch rule, inputs and reference.
#include "kernels/delta_net/delta_rule.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { K_B, K_T, K_H, K_HK, K_D, K_ROWS, K_WARPS, K_COUNT };

static const kgen_task_key keys[] = {
    {"B", "1", "sequences"},
    {"T", "16", "tokens"},
    {"H", "2", "value heads"},
    {"HK", "1", "query and key heads; divides H"},
    {"D", "128", "head dimension: 64 or 128"},
    {"rows", "32", "rows of the state a CTA keeps: 8, 16, 32 or 64"},
    {"warps", "4", "warps of a CTA: 1, 2, 4 or 8"},
    {0}};

static void prepare(kgen_task *task)
{
    delta_rule_prepare(task, 0.5);
}

static bool reference(kgen_task *task)
{
    const kgen_task_tensor *q = plan_find(task, "q"), *v = plan_find(task, "v");
    double *qd = delta_rule_doubles(q), *kd = delta_rule_doubles(plan_find(task, "k"));
    const float *vd = v->data, *gd = plan_find(task, "g")->data,
                *bd = plan_find(task, "beta")->data, *sd = plan_find(task, "s0")->data;
    kgen_task_tensor *o = plan_find(task, "o"), *s1 = plan_find(task, "s1");
    int64_t tokens = q->dims[1], hk = q->dims[2], d = q->dims[3], heads = v->dims[2];
    for (int64_t r = 0; qd && kd && r < v->dims[0] * heads * d; r++) {
        int64_t b = r / (heads * d), h = r / d % heads, row = r % d;
        double *s = s1->expect + r * d, largest = 1;
        for (int64_t c = 0; c < d; c++) s[c] = sd[r * d + c];
        for (int64_t t = 0; t < tokens; t++) {
            int64_t at = (b * tokens + t) * heads + h,
                    key = ((b * tokens + t) * hk + h / (heads / hk)) * d;
            o->expect[at * d + row] =
                delta_rule_step(s, qd + key, kd + key, vd[at * d + row], exp((double)gd[at]),
                                1 / (1 + exp(-(double)bd[at])), d);
            // The rounding of each step decays with the state; 16 steps' worth is generous.
            o->bound[at * d + row] = 1e-5 * (largest + fabs(o->expect[at * d + row]));
        }
        for (int64_t c = 0; c < d; c++) s1->bound[r * d + c] = 1e-5 * (largest + fabs(s[c]));
    }
    bool ok = qd && kd;
    free(qd);
    free(kd);
    return ok;
}

static bool plan(kgen_task *task, const int64_t *v, const char *const *texts, char *error)
{
    if (!plan_positive(error, keys, v, K_COUNT)) return false;
    if (v[K_D] != 64 && v[K_D] != 128)
        return plan_fail(error, "D=%lld: must be 64 or 128", (long long)v[K_D]);
    if (v[K_H] % v[K_HK])
        return plan_fail(error, "HK=%lld does not divide H=%lld", (long long)v[K_HK],
                         (long long)v[K_H]);
    if (v[K_D] % v[K_ROWS])
        return plan_fail(error, "rows=%s does not divide D=%lld", texts[K_ROWS], (long long)v[K_D]);
    int64_t b = v[K_B], t = v[K_T], h = v[K_H], hk = v[K_HK], d = v[K_D];
    plan_tensor(task, "q", "f32", KGEN_TASK_INPUT, 4, (int64_t[]){b, t, hk, d});
    plan_tensor(task, "k", "f32", KGEN_TASK_INPUT, 4, (int64_t[]){b, t, hk, d});
    plan_tensor(task, "v", "f32", KGEN_TASK_INPUT, 4, (int64_t[]){b, t, h, d});
    plan_tensor(task, "g", "f32", KGEN_TASK_INPUT, 3, (int64_t[]){b, t, h});
    plan_tensor(task, "beta", "f32", KGEN_TASK_INPUT, 3, (int64_t[]){b, t, h});
    int state = plan_tensor(task, "s0", "f32", KGEN_TASK_INPUT, 4, (int64_t[]){b, h, d, d});
    int next = plan_tensor(task, "s1", "f32", KGEN_TASK_UPDATED, 4, (int64_t[]){b, h, d, d});
    plan_tensor(task, "o", "f32", KGEN_TASK_OUTPUT, 4, (int64_t[]){b, t, h, d});
    task->tensors[next].alias = state; // the state is updated in place
    plan_define_int(task, "D", d);
    plan_define_int(task, "ROWS", v[K_ROWS]);
    plan_define_int(task, "WARPS", v[K_WARPS]);
    const char *names[] = {"B", "T", "H", "HK"};
    int64_t sizes[] = {b, t, h, hk};
    for (int i = 0; i < 4; i++) plan_scalar(task, names[i], sizes[i]);
    snprintf(task->shape, sizeof task->shape, "B%lld T%lld H%lld/%lld d%lld f32", (long long)b,
             (long long)t, (long long)h, (long long)hk, (long long)d);
    task->flop = (double)(b * t * h) * 8.0 * (double)d * (double)d;
    task->bytes = (double)(b * h) * 8.0 * (double)d * (double)d +
                  (double)(b * t) * 4.0 * (double)d * (double)(2 * hk + 2 * h);
    task->prepare = prepare;
    task->reference = reference;
    return true;
}

extern const kgen_family kgen_family_delta_net;
const kgen_family kgen_family_delta_net = {"delta_net",
                                           "the gated delta rule, token by token, state in and out",
                                           keys, plan, "delta_net.kg"};
