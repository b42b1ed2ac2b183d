// SPDX-License-Identifier: MIT
// Launches of the kernels of ptx/, and plain C for their results.
#include "triton.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned dynamic_shared; // of the file that runs
static bool must_be_correct;

// ---- helpers -----------------------------------------------------------------------------------

// The parameters of the source, then two pointers of Triton's own.
static void launch(struct bench *b, const struct kernel *k, unsigned gx, unsigned gy,
                   const uint64_t *params, size_t count)
{
    const struct ptxm_kernel *entry = ptxm_module_find(b->module, k->entry);
    uint8_t packed[256] = {0};
    assert_non_null(entry);
    assert_int_equal(entry->param_count, count + 2);
    for (size_t i = 0; i < count; i++)
        memcpy(packed + entry->params[i].offset, &params[i], entry->params[i].size);
    struct ptxm_launch l = {.kernel = k->entry, .grid = {gx, gy, 1},
                            .block = {entry->required_threads[0], 1, 1},
                            .dynamic_shared = dynamic_shared, .params = packed,
                            .param_bytes = sizeof packed, .options = &b->options};
    ptxm_report_free(b->report);
    b->report = NULL;
    b->status = ptxm_launch(b->device, b->module, &l, NULL, NULL, &b->report);
    if (must_be_correct && k->finding)
        bench_only(b, k->finding);
    else if (must_be_correct)
        bench_clean(b);
}
#define LAUNCH(b, k, gx, gy, ...)                                                                  \
    launch(b, k, gx, gy, (uint64_t[]){__VA_ARGS__}, sizeof((uint64_t[]){__VA_ARGS__}) / 8)

static uint64_t bits_of(float v)
{
    uint32_t bits;
    memcpy(&bits, &v, 4);
    return bits;
}

static unsigned blocks(int n, unsigned tile) { return ((unsigned)n + tile - 1) / tile; }

// Values that are exact in every type; `content` as the type has them.
static float *numbers(size_t n, unsigned seed)
{
    float *v = malloc(n * sizeof *v);
    uint64_t state = seed;
    for (size_t i = 0; i < n; i++) v[i] = (float)((int)(bench_random(&state) % 65) - 32) / 16;
    return v;
}

static uint64_t upload(struct bench *b, const float *v, size_t n, const char *type)
{
    uint16_t *narrow = malloc(n * 2);
    uint64_t address;
    for (size_t i = 0; i < n; i++) {
        _Float16 half = (_Float16)v[i];
        if (!strcmp(type, "f16"))
            memcpy(&narrow[i], &half, 2);
        else
            memcpy(&narrow[i], (const char *)&v[i] + 2, 2);
    }
    if (!strcmp(type, "f32"))
        address = bench_buffer(b, n * 4, v);
    else
        address = bench_buffer(b, n * 2, narrow);
    free(narrow);
    return address;
}

static void compare(struct bench *b, uint64_t address, const double *want, size_t n, bool half,
                    double error)
{
    void *got = malloc(n * 4);
    bench_read(b, address, got, n * (half ? 2 : 4));
    for (size_t i = 0; i < n; i++) {
        double v = half ? (double)((_Float16 *)got)[i] : (double)((float *)got)[i];
        if (must_be_correct && !(fabs(v - want[i]) <= error * fmax(1, fabs(want[i]))))
            fail_msg("element %zu is %g, not %g", i, v, want[i]);
    }
    free(got);
}

// ---- the kernels -------------------------------------------------------------------------------

static void add(struct bench *b, const struct kernel *k)
{
    size_t n = (size_t)k->n;
    float *x = numbers(n, 1), *y = numbers(n, 2);
    double *want = malloc(n * sizeof *want);
    for (size_t i = 0; i < n; i++) want[i] = x[i] + y[i];
    uint64_t px = upload(b, x, n, "f32"), py = upload(b, y, n, "f32"),
             out = bench_buffer(b, n * 4, NULL);
    LAUNCH(b, k, blocks(k->n, k->tile[1]), 1, px, py, out, n);
    compare(b, out, want, n, false, 0);
    free(x), free(y), free(want);
}

static void softmax(struct bench *b, const struct kernel *k)
{
    size_t n = (size_t)(k->m * k->n);
    float *x = numbers(n, 3);
    double *want = malloc(n * sizeof *want);
    for (int r = 0; r < k->m; r++) {
        double most = -INFINITY, sum = 0;
        for (int c = 0; c < k->n; c++) most = fmax(most, x[r * k->n + c]);
        for (int c = 0; c < k->n; c++) sum += want[r * k->n + c] = exp(x[r * k->n + c] - most);
        for (int c = 0; c < k->n; c++) want[r * k->n + c] /= sum;
    }
    uint64_t px = upload(b, x, n, "f32"), out = bench_buffer(b, n * 4, NULL);
    LAUNCH(b, k, (unsigned)k->m, 1, px, out, (uint64_t)k->n, (uint64_t)k->n);
    compare(b, out, want, n, false, 1e-6);
    free(x), free(want);
}

static void layer_norm(struct bench *b, const struct kernel *k)
{
    size_t n = (size_t)(k->m * k->n);
    float *x = numbers(n, 4), *w = numbers((size_t)k->n, 5), *h = numbers((size_t)k->n, 6);
    double *want = malloc(n * sizeof *want), *means = malloc((size_t)k->m * sizeof *means);
    for (int r = 0; r < k->m; r++) {
        double mean = 0, spread = 0;
        for (int c = 0; c < k->n; c++) mean += x[r * k->n + c] / (double)k->n;
        for (int c = 0; c < k->n; c++) spread += pow(x[r * k->n + c] - mean, 2) / k->n;
        for (int c = 0; c < k->n; c++)
            want[r * k->n + c] = (x[r * k->n + c] - mean) / sqrt(spread + 1e-5) * w[c] + h[c];
        means[r] = mean;
    }
    uint64_t px = upload(b, x, n, "f32"), pw = upload(b, w, (size_t)k->n, "f32"),
             ph = upload(b, h, (size_t)k->n, "f32"), out = bench_buffer(b, n * 4, NULL),
             mean_out = bench_buffer(b, (size_t)k->m * 4, NULL);
    LAUNCH(b, k, (unsigned)k->m, 1, px, pw, ph, out, mean_out, (uint64_t)k->n, bits_of(1e-5f));
    compare(b, out, want, n, false, 1e-5);
    compare(b, mean_out, means, (size_t)k->m, false, 1e-6);
    free(x), free(w), free(h), free(want), free(means);
}

static void column_sums(struct bench *b, const struct kernel *k)
{
    size_t n = (size_t)(k->m * k->n);
    float *x = numbers(n, 7);
    double *want = calloc((size_t)k->n, sizeof *want);
    static const float zeros[1024];
    for (size_t i = 0; i < n; i++) want[i % (size_t)k->n] += x[i];
    uint64_t px = upload(b, x, n, "f32"), out = bench_buffer(b, (size_t)k->n * 4, zeros),
             locks = bench_buffer(b, 64, zeros);
    unsigned gx = blocks(k->m, k->tile[0]), gy = blocks(k->n, k->tile[1]);
    uint64_t rows = (uint64_t)k->m, columns = (uint64_t)k->n;
    if (strcmp(k->entry, "locked_sums"))
        LAUNCH(b, k, gx, gy, px, out, rows, columns);
    else
        LAUNCH(b, k, gx, gy, px, out, locks, rows, columns);
    compare(b, out, want, (size_t)k->n, false, 1e-6);
    free(x), free(want);
}

static void matmul(struct bench *b, const struct kernel *k)
{
    size_t m = (size_t)k->m, n = (size_t)k->n, depth = (size_t)k->k;
    float *x = numbers(m * depth, 8), *y = numbers(depth * n, 9);
    double *want = calloc(m * n, sizeof *want);
    for (size_t i = 0; i < m; i++)
        for (size_t p = 0; p < depth; p++)
            for (size_t j = 0; j < n; j++)
                want[i * n + j] += (double)x[i * depth + p] * y[p * n + j];
    uint64_t px = upload(b, x, m * depth, k->type), py = upload(b, y, depth * n, k->type),
             out = bench_buffer(b, m * n * 4, NULL);
    LAUNCH(b, k, blocks(k->m, k->tile[0]), blocks(k->n, k->tile[1]), px, py, out, m, n, depth);
    compare(b, out, want, m * n, false, 1e-6);
    free(x), free(y), free(want);
}

// n heads of m rows, k wide.
static void attend(const struct kernel *k, const float *q, const float *key, const float *v,
                   double *out, bool causal)
{
    int d = k->k;
    double *p = malloc((size_t)k->m * sizeof *p);
    for (int i = 0; i < k->m; i++) {
        double most = -INFINITY, sum = 0;
        int end = causal ? i + 1 : k->m;
        for (int j = 0; j < end; j++) {
            p[j] = 0;
            for (int c = 0; c < d; c++) p[j] += (double)q[i * d + c] * key[j * d + c];
            p[j] /= sqrt(d);
            most = fmax(most, p[j]);
        }
        for (int j = 0; j < end; j++) sum += p[j] = exp(p[j] - most);
        for (int c = 0; c < d; c++) {
            out[i * d + c] = 0;
            for (int j = 0; j < end; j++) out[i * d + c] += p[j] / sum * v[j * d + c];
        }
    }
    free(p);
}

static void attention(struct bench *b, const struct kernel *k)
{
    size_t one = (size_t)(k->m * k->k), n = one * (size_t)k->n;
    float *q = numbers(n, 10), *key = numbers(n, 11), *v = numbers(n, 12);
    double *want = malloc(n * sizeof *want);
    bool causal = strstr(k->name, "causal") != NULL;
    for (size_t h = 0; h < (size_t)k->n; h++)
        attend(k, q + h * one, key + h * one, v + h * one, want + h * one, causal);
    uint64_t pq = upload(b, q, n, "f16"), pk = upload(b, key, n, "f16"),
             pv = upload(b, v, n, "f16"),
             out = bench_buffer(b, n * 2, NULL);
    LAUNCH(b, k, blocks(k->m, k->tile[0]), (unsigned)k->n, pq, pk, pv, out, (uint64_t)k->m,
           bits_of(1 / sqrtf((float)k->k)));
    compare(b, out, want, n, true, 4e-3);
    free(q), free(key), free(v), free(want);
}

const struct kernel triton_kernels[] = {
    {"add", "add", add, 1, 1000, 0, {1, 256}, "f32", NULL},
    {"softmax", "softmax", softmax, 5, 200, 0, {1, 256}, "f32", NULL},
    {"layer_norm", "layer_norm", layer_norm, 4, 300, 0, {1, 128}, "f32", NULL},
    {"column_sums", "column_sums", column_sums, 70, 100, 0, {16, 64}, "f32", NULL},
    {"locked_sums", "locked_sums", column_sums, 70, 100, 0, {16, 64}, "f32", "race"},
    {"matmul_f16", "matmul", matmul, 80, 72, 104, {64, 32}, "f16", NULL},
    {"matmul_bf16", "matmul", matmul, 80, 72, 104, {32, 64}, "bf16", NULL},
    {"matmul_tf32", "matmul", matmul, 80, 72, 104, {32, 32}, "f32", NULL},
    {"matmul_2_warps", "matmul", matmul, 80, 72, 104, {32, 32}, "f16", NULL},
    {"attention", "attention", attention, 70, 2, 32, {32, 32}, "f16", NULL},
    {"attention_causal", "attention", attention, 100, 2, 64, {64, 32}, "f16", NULL},
};
_Static_assert(sizeof triton_kernels / sizeof *triton_kernels == KERNELS, "see triton.h");


// ---- files -------------------------------------------------------------------------------------

void kernel_file_read(struct kernel_file *file)
{
    if (file->text)
        return;
    file->text = bench_read_file(file->path, &file->length);
    const char *said = strstr(file->text, "warps, ");
    assert_non_null(said);
    file->shared = (unsigned)strtoul(said + strlen("warps, "), NULL, 10);
}

void kernel_file_run(struct bench *b, const struct kernel_file *file, bool correct)
{
    dynamic_shared = file->shared;
    must_be_correct = correct;
    file->kernel->run(b, file->kernel);
}
