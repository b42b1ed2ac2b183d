// SPDX-License-Identifier: MIT
// Tasks: keys to shapes, inputs from a seed, comparison with the reference.
#include "kernels/kernels.h"
#include "kernels/plan.h"
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const kgen_family kgen_family_matmul, kgen_family_attention, kgen_family_attention_decode,
    kgen_family_delta_net, kgen_family_delta_net_decode, kgen_family_delta_net_prefill;
const kgen_family *const kgen_families[] = {&kgen_family_matmul,
                                            &kgen_family_attention,
                                            &kgen_family_attention_decode,
                                            &kgen_family_delta_net,
                                            &kgen_family_delta_net_decode,
                                            &kgen_family_delta_net_prefill,
                                            NULL};

const kgen_family *kgen_family_named(const char *name)
{
    for (int i = 0; kgen_families[i]; i++)
        if (!strcmp(kgen_families[i]->name, name)) return kgen_families[i];
    return NULL;
}

// ---- element types
// -------------------------------------------------------------------------------------
static float half_to_float(uint16_t h)
{
    uint32_t sign = (uint32_t)(h >> 15) << 31, exponent = h >> 10 & 31, mantissa = h & 1023;
    if (exponent == 0) return (sign ? -1.0f : 1.0f) * ldexpf((float)mantissa, -24);
    uint32_t bits = exponent == 31 ? sign | 0x7f800000u | mantissa << 13
                                   : sign | (exponent + 112) << 23 | mantissa << 13;
    float f;
    memcpy(&f, &bits, 4);
    return f;
}

static uint16_t float_to_half(double value)
{
    if (isnan(value)) return 0x7fff;
    uint16_t sign = signbit(value) ? 0x8000 : 0;
    double a = fabs(value);
    if (a >= 65520.0) return sign | 0x7c00;
    if (a < ldexp(1, -14))
        return sign | (uint16_t)nearbyint(ldexp(a, 24)); // 1024 is the first normal
    int e;
    double m = frexp(a, &e);                        // a = m * 2^e, m in [0.5, 1)
    long r = (long)nearbyint(ldexp(m, 11));         // 1024 .. 2048
    return sign | (uint16_t)(((e + 13) << 10) + r); // r's top bit adds the implicit one
}

static uint16_t float_to_bf16(double value)
{
    float f = (float)value;
    uint32_t bits;
    memcpy(&bits, &f, 4);
    if (isnan(f)) return 0x7fff;
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

size_t kgen_task_dtype_bytes(const char *dtype)
{
    if (!strcmp(dtype, "i1") || !strcmp(dtype, "i8")) return 1;
    if (!strcmp(dtype, "f16") || !strcmp(dtype, "bf16") || !strcmp(dtype, "i16")) return 2;
    if (!strcmp(dtype, "f32") || !strcmp(dtype, "i32")) return 4;
    if (!strcmp(dtype, "f64") || !strcmp(dtype, "i64")) return 8;
    return 0;
}

double kgen_task_element(const char *dtype, const void *data, int64_t i)
{
    if (!strcmp(dtype, "f32")) return ((const float *)data)[i];
    if (!strcmp(dtype, "f16")) return half_to_float(((const uint16_t *)data)[i]);
    if (!strcmp(dtype, "bf16")) {
        uint32_t bits = (uint32_t)((const uint16_t *)data)[i] << 16;
        float f;
        memcpy(&f, &bits, 4);
        return f;
    }
    if (!strcmp(dtype, "i32")) return ((const int32_t *)data)[i];
    if (!strcmp(dtype, "i64")) return (double)((const int64_t *)data)[i];
    if (!strcmp(dtype, "f64")) return ((const double *)data)[i];
    if (!strcmp(dtype, "i16")) return ((const int16_t *)data)[i];
    return ((const int8_t *)data)[i];
}

void plan_store(const char *dtype, void *data, int64_t i, double value)
{
    if (!strcmp(dtype, "f32"))
        ((float *)data)[i] = (float)value;
    else if (!strcmp(dtype, "f16"))
        ((uint16_t *)data)[i] = float_to_half(value);
    else if (!strcmp(dtype, "bf16"))
        ((uint16_t *)data)[i] = float_to_bf16(value);
    else if (!strcmp(dtype, "i32"))
        ((int32_t *)data)[i] = (int32_t)value;
    else if (!strcmp(dtype, "i64"))
        ((int64_t *)data)[i] = (int64_t)value;
    else if (!strcmp(dtype, "f64"))
        ((double *)data)[i] = value;
    else if (!strcmp(dtype, "i16"))
        ((int16_t *)data)[i] = (int16_t)value;
    else
        ((int8_t *)data)[i] = (int8_t)value;
}

double plan_unit_roundoff(const char *dtype)
{
    return !strcmp(dtype, "bf16") ? 0x1p-8 : !strcmp(dtype, "f16") ? 0x1p-11 : 0x1p-24;
}

// ---- plans
// ---------------------------------------------------------------------------------------------
void plan_note(kgen_task *task, const char *format, ...)
{
    size_t used = strlen(task->reasons);
    va_list args;
    va_start(args, format);
    vsnprintf(task->reasons + used, sizeof task->reasons - used, format, args);
    va_end(args);
}

bool plan_fail(char *error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(error, 256, format, args);
    va_end(args);
    return false;
}

void plan_define(kgen_task *task, const char *name, const char *value)
{
    int i = task->n_defines++;
    snprintf(task->defines[i].name, sizeof task->defines[i].name, "%s", name);
    snprintf(task->defines[i].value, sizeof task->defines[i].value, "%s", value);
}

void plan_define_int(kgen_task *task, const char *name, int64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)value);
    plan_define(task, name, text);
}

void plan_scalar(kgen_task *task, const char *name, int64_t value)
{
    task->scalars[task->n_scalars++] = (kgen_task_scalar){name, value, (double)value};
}

void plan_scalar_float(kgen_task *task, const char *name, double value)
{
    task->scalars[task->n_scalars++] = (kgen_task_scalar){name, (int64_t)value, value};
}

int plan_tensor(kgen_task *task, const char *name, const char *dtype, kgen_task_role role, int rank,
                const int64_t *dims)
{
    // The caller's word may be gone before the task is; the table's stays.
    static const char *const names[] = {"f16", "bf16", "f32", "f64", "i8",
                                        "i16", "i32",  "i64", "i1"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(names[i], dtype)) dtype = names[i];
    kgen_task_tensor *t = &task->tensors[task->n_tensors];
    *t = (kgen_task_tensor){.name = name, .dtype = dtype, .role = role, .rank = rank, .alias = -1};
    double elements = 1;
    for (int d = 0; d < rank; d++) elements *= (double)(t->dims[d] = dims[d]);
    double bytes = elements * (double)kgen_task_dtype_bytes(dtype);
    t->bytes = bytes > 1e15 ? SIZE_MAX : (size_t)bytes; // refused when the data is allocated
    return task->n_tensors++;
}

kgen_task_tensor *plan_find(kgen_task *task, const char *name)
{
    for (int i = 0; i < task->n_tensors; i++)
        if (!strcmp(task->tensors[i].name, name)) return &task->tensors[i];
    return NULL;
}

bool plan_dtype(char *error, const char *key, const char *text, bool f32_too)
{
    if (!strcmp(text, "f16") || !strcmp(text, "bf16") || (f32_too && !strcmp(text, "f32")))
        return true;
    return plan_fail(error, "%s=%s: must be %s", key, text,
                     f32_too ? "f16, bf16 or f32" : "f16 or bf16");
}

bool plan_positive(char *error, const kgen_task_key *keys, const int64_t *values, int n)
{
    for (int i = 0; i < n; i++) {
        if (values[i] < 1)
            return plan_fail(error, "%s=%lld: must be at least 1", keys[i].name,
                             (long long)values[i]);
        if (values[i] > INT32_MAX)
            return plan_fail(error, "%s=%lld: must be below 2147483648", keys[i].name,
                             (long long)values[i]);
    }
    return true;
}

bool plan_target(kgen_task *task, const char *target)
{
    if (!target || !strcmp(target, "any")) return false;
    snprintf(task->target, sizeof task->target, "%s", target);
    return !strcmp(target, "sm_90a");
}

int64_t plan_ceildiv(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

int64_t plan_alignment(int64_t n, int64_t most)
{
    int64_t a = 1;
    while (a < most && n % (2 * a) == 0) a *= 2;
    return a;
}

// splitmix64 (Steele, Lea, Flood 2014): the same inputs for the same seed everywhere.
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static int64_t tensor_elements(const kgen_task_tensor *t)
{
    int64_t n = 1;
    for (int d = 0; d < t->rank; d++) n *= t->dims[d];
    return n;
}

static bool fill_tensor(kgen_task_tensor *t, uint64_t *state)
{
    if (t->bytes == 0 || t->alias >= 0) return true;
    if (t->bytes > (size_t)1 << 40 || !(t->data = malloc(t->bytes))) return false;
    int64_t n = tensor_elements(t);
    if (t->role == KGEN_TASK_ZEROED) {
        memset(t->data, 0, t->bytes);
    } else if (t->role == KGEN_TASK_INPUT || t->role == KGEN_TASK_UPDATED) {
        for (int64_t i = 0; i < n; i++)
            plan_store(t->dtype, t->data, i, (double)(int64_t)next_random(state) * 0x1p-63);
    } else {
        memset(t->data, 0xff, t->bytes); // a NaN in every floating type
    }
    return true;
}

static bool is_truth(const char *text)
{
    return !strcmp(text, "true") || !strcmp(text, "false");
}

// The default says what a key takes: a number, a truth value, or one of the words that its plan
// knows.
static bool parse_value(const kgen_task_key *key, const char *text, int64_t *value, char *error)
{
    *value = -1;
    if (is_truth(key->value)) {
        *value = !strcmp(text, "true") || !strcmp(text, "1");
        if (is_truth(text) || !strcmp(text, "0") || !strcmp(text, "1")) return true;
        return plan_fail(error, "%s=%s: must be true or false", key->name, text);
    }
    if (isalpha((unsigned char)key->value[0])) return true;
    char *end;
    errno = 0;
    *value = strtoll(text, &end, 10);
    if (end == text || *end)
        return plan_fail(error, "%s=%s: must be a whole number", key->name, text);
    return !errno || plan_fail(error, "%s=%s: does not fit 64 bits", key->name, text);
}

static bool read_keys(const kgen_family *family, const kgen_task_key *given, int n_given,
                      int64_t *values, const char **texts, char *error)
{
    for (int i = 0; i < n_given; i++) {
        int k = 0;
        while (family->keys[k].name && strcmp(family->keys[k].name, given[i].name)) k++;
        if (!family->keys[k].name) {
            char list[160] = "";
            for (int j = 0; family->keys[j].name; j++)
                snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", j ? " " : "",
                         family->keys[j].name);
            return plan_fail(error, "unknown key '%s'; %s has %s", given[i].name, family->name,
                             list);
        }
        texts[k] = given[i].value;
    }
    for (int k = 0; family->keys[k].name; k++)
        if (!parse_value(&family->keys[k], texts[k], &values[k], error)) return false;
    return true;
}

kgen_task *kgen_task_plan(const kgen_family *family, const kgen_task_key *keys, int n_keys,
                          char *error)
{
    int64_t values[32] = {0};
    const char *texts[32] = {0};
    for (int k = 0; family->keys[k].name; k++) texts[k] = family->keys[k].value;
    error[0] = 0;
    if (!read_keys(family, keys, n_keys, values, texts, error)) return NULL;
    kgen_task *task = calloc(1, sizeof *task);
    if (!task) return plan_fail(error, "out of memory"), NULL;
    task->family = family->name;
    task->source_name = family->source_name;
    task->source = kgen_kernel_source(family->source_name, &task->source_bytes);
    if (family->plan(task, values, texts, error)) return task;
    kgen_task_free(task);
    return NULL;
}

kgen_task *kgen_task_create(const kgen_family *family, const kgen_task_key *keys, int n_keys,
                            uint64_t seed, char *error)
{
    kgen_task *task = kgen_task_plan(family, keys, n_keys, error);
    uint64_t state = seed * 0x2545f4914f6cdd1du + 1;
    bool ok = task;
    for (int i = 0; ok && i < task->n_tensors; i++) {
        ok = fill_tensor(&task->tensors[i], &state);
        if (!ok)
            plan_fail(error, "out of memory for tensor %s (%zu bytes)", task->tensors[i].name,
                      task->tensors[i].bytes);
    }
    if (ok && task->prepare) task->prepare(task);
    if (ok) return task;
    kgen_task_free(task);
    return NULL;
}

void kgen_task_free(kgen_task *task)
{
    if (!task) return;
    for (int i = 0; i < task->n_tensors; i++) {
        free(task->tensors[i].data);
        free(task->tensors[i].expect);
        free(task->tensors[i].bound);
    }
    free(task);
}

bool kgen_task_reference(kgen_task *task)
{
    for (int i = 0; i < task->n_tensors; i++) {
        kgen_task_tensor *t = &task->tensors[i];
        if (t->role != KGEN_TASK_OUTPUT && t->role != KGEN_TASK_UPDATED) continue;
        size_t n = (size_t)tensor_elements(t);
        if (!t->expect) t->expect = calloc(n, sizeof *t->expect);
        if (!t->bound) t->bound = calloc(n, sizeof *t->bound);
        if (n && (!t->expect || !t->bound)) return false;
    }
    return task->reference(task);
}

// ---- comparison
// ---------------------------------------------------------------------------------------- Error
// over bound; infinities must agree, a NaN is never right.
static double error_ratio(double result, double expect, double bound, double *error)
{
    *error = fabs(result - expect);
    if (result == expect) *error = 0;
    if (*error == 0) return 0;
    if (isnan(*error) || isinf(*error)) return INFINITY;
    return bound > 0 ? *error / bound : INFINITY;
}

int64_t kgen_task_mark_wrong(const kgen_task *task, int tensor, const void *result,
                             unsigned char *wrong)
{
    const kgen_task_tensor *t = &task->tensors[tensor];
    int64_t n = tensor_elements(t), count = 0;
    for (int64_t i = 0; i < n; i++) {
        double error;
        wrong[i] = error_ratio(kgen_task_element(t->dtype, result, i), t->expect[i], t->bound[i],
                               &error) > 1;
        count += wrong[i];
    }
    return count;
}

void kgen_task_compare(const kgen_task *task, int tensor, const void *result, kgen_comparison *out)
{
    const kgen_task_tensor *t = &task->tensors[tensor];
    double square_error = 0, square = 0;
    *out = (kgen_comparison){.elements = tensor_elements(t), .worst = -1};
    for (int64_t i = 0; i < out->elements; i++) {
        double value = kgen_task_element(t->dtype, result, i), error;
        double ratio = error_ratio(value, t->expect[i], t->bound[i], &error);
        out->wrong += ratio > 1;
        if (error > out->max_error || isnan(error)) out->max_error = error;
        if (isfinite(error)) square_error += error * error;
        if (isfinite(t->expect[i])) square += t->expect[i] * t->expect[i];
        if (out->worst >= 0 && ratio <= out->max_ratio) continue;
        out->max_ratio = ratio;
        out->worst = i;
        out->worst_result = value;
        out->worst_expect = t->expect[i];
    }
    out->rms_relative = square > 0 ? sqrt(square_error / square) : sqrt(square_error);
    int64_t rest = out->worst < 0 ? 0 : out->worst;
    for (int d = t->rank - 1; d >= 0; d--) {
        out->worst_index[d] = rest % t->dims[d];
        rest /= t->dims[d];
    }
}
