// SPDX-License-Identifier: MIT
// The gated delta rule by the textbook, and inputs like a model's.
#include "kernels/delta_net/delta_rule.h"
#include <math.h>
#include <stdlib.h>

double delta_rule_step(double *s, const double *q, const double *k, double v, double decay,
                       double rate, int64_t d)
{
    double predicted = 0, out = 0;
    for (int64_t c = 0; c < d; c++) predicted += (s[c] *= decay) * k[c];
    double delta = rate * (v - predicted);
    for (int64_t c = 0; c < d; c++) out += (s[c] += delta * k[c]) * q[c];
    return out / sqrt((double)d);
}

static int64_t elements(const kgen_task_tensor *t)
{
    int64_t n = 1;
    for (int i = 0; i < t->rank; i++) n *= t->dims[i];
    return n;
}

double *delta_rule_doubles(const kgen_task_tensor *t)
{
    int64_t n = elements(t);
    double *out = malloc(sizeof *out * (size_t)(n ? n : 1));
    for (int64_t i = 0; out && i < n; i++) out[i] = kgen_task_element(t->dtype, t->data, i);
    return out;
}

void delta_rule_prepare(kgen_task *task, double strongest)
{
    const char *const unit[] = {"q", "k"};
    for (int which = 0; which < 2; which++) {
        kgen_task_tensor *t = plan_find(task, unit[which]);
        int64_t d = t->dims[t->rank - 1], n = elements(t);
        for (int64_t at = 0; at < n; at += d) {
            double square = 1e-12;
            for (int64_t c = 0; c < d; c++) {
                double x = kgen_task_element(t->dtype, t->data, at + c);
                square += x * x;
            }
            for (int64_t c = 0; c < d; c++)
                plan_store(t->dtype, t->data, at + c,
                           kgen_task_element(t->dtype, t->data, at + c) / sqrt(square));
        }
    }
    kgen_task_tensor *g = plan_find(task, "g");
    int64_t n = elements(g);
    for (int64_t i = 0; i < n; i++)
        ((float *)g->data)[i] = -(float)strongest * fabsf(((float *)g->data)[i]);
}
