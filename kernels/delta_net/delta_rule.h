// SPDX-License-Identifier: MIT
// The gated delta rule, one token for one row of the state, in f64; and inputs like a model's.
#pragma once
#include "kernels/plan.h"

// s = decay s + rate (v - decay s.k) k for a row of d elements; returns s.q / sqrt(d).
double delta_rule_step(double *s, const double *q, const double *k, double v, double decay,
                       double rate, int64_t d);
// All of a tensor as doubles, for the caller to free; NULL: out of memory.
double *delta_rule_doubles(const kgen_task_tensor *t);
// Keys and queries of unit length, as the models normalize them; log decays in [-strongest, 0].
void delta_rule_prepare(kgen_task *task, double strongest);
