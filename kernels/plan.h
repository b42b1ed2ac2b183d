// SPDX-License-Identifier: MIT
// What the families' plans share: building a task's definitions, arguments and tensors.
#pragma once
#include "kernels/kernels.h"

void plan_define(kgen_task *task, const char *name, const char *value);
void plan_define_int(kgen_task *task, const char *name, int64_t value);
void plan_scalar(kgen_task *task, const char *name, int64_t value);
void plan_scalar_float(kgen_task *task, const char *name, double value);
// Adds a tensor (data comes later, all at once) and returns its index.
int plan_tensor(kgen_task *task, const char *name, const char *dtype, kgen_task_role role, int rank,
                const int64_t *dims);
kgen_task_tensor *plan_find(kgen_task *task, const char *name);
bool plan_fail(char *error, const char *format, ...) __attribute__((format(printf, 2, 3)));
// Adds to the task's reasons; what there is no room for is left out.
void plan_note(kgen_task *task, const char *format, ...) __attribute__((format(printf, 2, 3)));
// Every listed value must be at least 1; the first that is not is named in `error`.
bool plan_positive(char *error, const kgen_task_key *keys, const int64_t *values, int n);
bool plan_dtype(char *error, const char *key, const char *text, bool f32_too);
// Notes the GPU; true when it has a copy engine and wgmma.
bool plan_target(kgen_task *task, const char *target);
int64_t plan_ceildiv(int64_t a, int64_t b);
// Largest power of two up to `most` that divides n.
int64_t plan_alignment(int64_t n, int64_t most);
void plan_store(const char *dtype, void *data, int64_t i, double value); // rounds to nearest even
double plan_unit_roundoff(const char *dtype); // 2^-8 for bf16, 2^-11 for f16, 2^-24 for f32
