// SPDX-License-Identifier: MIT
// matmul: launch rule and reference.
#include "kernels/matmul/model.h"
#include "kernels/plan.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    K_M,
    K_N,
    K_K,
    K_DTYPE,
    K_OUT,
    K_SPLITS,
    K_SPLIT_ORDER,
    K_STAGES,
    K_BIAS,
    K_RESIDUAL,
    K_ACTIVATION,
    K_A_COL,
    K_B_COL,
    K_TILE_M,
    K_TILE_N,
    K_TILE_K,
    K_TARGET,
    K_SMS,
    K_CLUSTER,
    K_TURNS,
    K_COUNT
};

static const kgen_task_key keys[] = {
    {"M", "256", "rows of a and c"},
    {"N", "256", "columns of b and c"},
    {"K", "256", "columns of a, rows of b"},
    {"dtype", "bf16", "of a and b: f16 or bf16"},
    {"out", "f32", "of c: f16, bf16 or f32"},
    {"splits", "1", "CTAs that share one tile along K, 1 to 8"},
    {"split_order", "parallel",
     "how their sums meet: parallel (the last CTA of a tile adds all) or "
     "serial (one after the other, in a workspace of one matrix)"},
    {"stages", "3", "slots of the operand ring, 2 to 8"},
    {"bias", "false", "add a row of f32 to every row of c"},
    {"residual", "false", "add a matrix of c's shape and type, after the activation"},
    {"activation", "none", "none, relu, gelu or silu"},
    {"a_col", "false", "a is stored column by column"},
    {"b_col", "false", "b is stored column by column"},
    {"tile_m", "0", "rows of a CTA's tile; 0 = by shape"},
    {"tile_n", "0", "columns of a CTA's tile; 0 = by shape"},
    {"tile_k", "0", "depth of a stage; 0 = by shape"},
    {"target", "any", "GPU that the schedule is for"},
    {"sms", "132", "its SMs"},
    {"cluster", "0", "CTAs that share tiles, 1, 2; 0 = by shape"},
    {"turns", "0", "sets of warps that take a CTA's tiles in turn there, 1 or 2; 0 = by shape"},
    {0}};
static const char *const activations[] = {"none", "relu", "gelu", "silu"};

static double activate(int activation, double x)
{
    if (activation == 1) return x > 0 ? x : 0;
    if (activation == 2)
        return 0.5 * x * (1 + tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)));
    if (activation == 3) return x / (1 + exp(-x));
    return x;
}

static int64_t define_value(const kgen_task *task, const char *name)
{
    for (int i = 0; i < task->n_defines; i++)
        if (!strcmp(task->defines[i].name, name))
            return !strcmp(task->defines[i].value, "true") ? 1 : atoll(task->defines[i].value);
    return 0;
}

// Row-major doubles of an operand that may be stored by columns; `flip` asks for its transpose.
static double *expand(const kgen_task_tensor *t, bool col, bool flip)
{
    int64_t rows = t->dims[0], columns = t->dims[1];
    double *out = malloc(sizeof *out * (size_t)(rows * columns));
    if (!out) return NULL;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < columns; c++)
            out[flip ? c * rows + r : r * columns + c] =
                kgen_task_element(t->dtype, t->data, col ? c * rows + r : r * columns + c);
    return out;
}

static bool reference(kgen_task *task)
{
    const kgen_task_tensor *a = plan_find(task, "a"), *b = plan_find(task, "b"),
                           *bias = plan_find(task, "bias"), *r = plan_find(task, "r");
    kgen_task_tensor *c = plan_find(task, "c");
    int64_t m_rows = a->dims[0], depth = a->dims[1], columns = b->dims[1];
    double *x = expand(a, define_value(task, "A_COL"), false),
           *y = expand(b, define_value(task, "B_COL"), true);
    double u = plan_unit_roundoff(c->dtype);
    int activation = (int)define_value(task, "ACTIVATION");
    for (int64_t m = 0; x && y && m < m_rows; m++)
        for (int64_t n = 0; n < columns; n++) {
            double sum = 0, magnitude = 0;
            for (int64_t k = 0; k < depth; k++) {
                double product = x[m * depth + k] * y[n * depth + k];
                sum += product;
                magnitude += fabs(product);
            }
            if (bias->bytes) sum += kgen_task_element("f32", bias->data, n);
            double value = activate(activation, sum);
            if (r->bytes) value += kgen_task_element(r->dtype, r->data, m * columns + n);
            c->expect[m * columns + n] = value;
            // f32 accumulation, the approximate exp and tanh, then the rounding of c.
            c->bound[m * columns + n] =
                1.2 * (u * fabs(value) + magnitude * 0x1p-24 * (8 + (double)depth / 16)) +
                (activation ? 4e-6 * (1 + fabs(sum)) : 1e-30);
        }
    bool ok = x && y;
    free(x);
    free(y);
    return ok;
}

static int64_t tile_for(int64_t extent, int64_t smallest, int64_t largest)
{
    int64_t tile = smallest;
    while (tile < largest && tile < extent) tile *= 2;
    return tile;
}

// What every kind of plan says of a tile.
static void define_tile(kgen_task *task, const int64_t *v, int64_t bm, int64_t bn, int64_t bk,
                        int64_t warps)
{
    bool split = v[K_SPLITS] > 1, serial = define_value(task, "SERIAL") != 0;
    plan_define_int(task, "BM", bm);
    plan_define_int(task, "BN", bn);
    plan_define_int(task, "BK", bk);
    plan_define_int(task, "WARPS", warps);
    plan_tensor(task, "partial", "f32", KGEN_TASK_SCRATCH, 3,
                (int64_t[]){!split   ? 0
                            : serial ? 1
                                     : v[K_SPLITS],
                            v[K_M], v[K_N]});
    plan_tensor(task, "arrived", "i32", KGEN_TASK_ZEROED, 2,
                (int64_t[]){split ? plan_ceildiv(v[K_M], bm) : 0, plan_ceildiv(v[K_N], bn)});
}

// A producer for the copy engine and wgmma for the rest, where the GPU has both and rows of the
// operands are whole chunks of 16 bytes. false: not for this task.
static bool plan_roles(kgen_task *task, const int64_t *v, const char *const *texts, int64_t lda,
                       int64_t ldb)
{
    enum { CHUNK = 8, SMALLEST = 64 };
    if (!plan_target(task, texts[K_TARGET])) return false;
    bool stages_given = texts[K_STAGES] != keys[K_STAGES].value;
    if (lda % CHUNK || ldb % CHUNK || v[K_M] < SMALLEST || v[K_N] < SMALLEST || v[K_K] < SMALLEST) {
        snprintf(task->reasons, sizeof task->reasons, "%s: all warps work alike\n",
                 lda % CHUNK || ldb % CHUNK ? "rows that are not whole chunks of 16 bytes"
                                            : "smaller than a tile of wgmma");
        return false;
    }
    matmul_shape shape = {.m = v[K_M],
                          .n = v[K_N],
                          .k = v[K_K],
                          .splits = v[K_SPLITS],
                          .ctas = v[K_SMS],
                          .tile_m = v[K_TILE_M],
                          .tile_n = v[K_TILE_N],
                          .tile_k = v[K_TILE_K],
                          .stages = stages_given ? v[K_STAGES] : 0,
                          .turns = v[K_TURNS],
                          .cluster = v[K_CLUSTER]};
    shape.out_bytes = (int64_t)kgen_task_dtype_bytes(texts[K_OUT]);
    shape.a_col = v[K_A_COL];
    shape.b_col = v[K_B_COL];
    shape.bias = v[K_BIAS];
    shape.curved = strcmp(texts[K_ACTIVATION], "none") && strcmp(texts[K_ACTIVATION], "relu");
    shape.residual = v[K_RESIDUAL];
    // A row of f32 leaves in whole sectors as it is; what is added to it comes in panels.
    bool panels = shape.residual && v[K_N] * shape.out_bytes % 16 == 0 && v[K_SPLITS] == 1;
    shape.staged = shape.out_bytes < 4 || panels;
    matmul_choice choice;
    if (!matmul_model(&shape, &choice, task->reasons, sizeof task->reasons)) return false;
    define_tile(task, v, choice.bm, choice.bn, choice.bk, choice.warps);
    plan_define_int(task, "STAGES", choice.stages);
    plan_define_int(task, "PRODUCERS", 1);
    plan_define_int(task, "PERSISTENT", choice.persistent);
    plan_define_int(task, "RASTER", choice.raster);
    plan_define_int(task, "CLUSTER", choice.cluster);
    plan_define_int(task, "CLUSTER_AXIS", choice.cluster_axis);
    plan_define_int(task, "BULK_STORE", shape.staged);
    plan_define_int(task, "STORE_COLUMNS", choice.store_columns);
    plan_define_int(task, "TURNS", choice.turns);
    plan_define_int(task, "BULK_LOAD", shape.residual);
    plan_define(task, "THROUGH_SHARED", shape.staged ? "true" : "false");
    return true;
}

static bool plan_tile(kgen_task *task, const int64_t *v, char *error)
{
    // Small problems get small tiles so that more CTAs run; large ones the tile that reads shared
    // memory least.
    bool large = v[K_M] * v[K_N] >= 1024 * 1024;
    int64_t bm = v[K_TILE_M] ? v[K_TILE_M] : tile_for(v[K_M], 16, large ? 128 : 64);
    int64_t bn = v[K_TILE_N] ? v[K_TILE_N] : tile_for(v[K_N], 32, large ? 128 : 64);
    int64_t bk = v[K_TILE_K] ? v[K_TILE_K] : 32;
    if (bm < 16 || bm % 16 || bn < 8 || bn % 8 || bk < 16 || bk % 16)
        return plan_fail(
            error, "tile %lldx%lldx%lld: rows and depth must be multiples of 16, columns of 8",
            (long long)bm, (long long)bn, (long long)bk);
    define_tile(task, v, bm, bn, bk, bm * bn >= 128 * 128 ? 8 : 4);
    plan_define_int(task, "STAGES", v[K_STAGES]);
    return true;
}

static bool plan(kgen_task *task, const int64_t *v, const char *const *texts, char *error)
{
    if (!plan_positive(error, keys, v, 3) || !plan_dtype(error, "dtype", texts[K_DTYPE], false) ||
        !plan_dtype(error, "out", texts[K_OUT], true))
        return false;
    if (v[K_SPLITS] < 1 || v[K_SPLITS] > 8)
        return plan_fail(error, "splits=%s: must be 1 to 8", texts[K_SPLITS]);
    bool serial = !strcmp(texts[K_SPLIT_ORDER], "serial");
    if (!serial && strcmp(texts[K_SPLIT_ORDER], "parallel"))
        return plan_fail(error, "split_order=%s: must be parallel or serial", texts[K_SPLIT_ORDER]);
    if (v[K_SMS] < 1 || v[K_SMS] > 1024)
        return plan_fail(error, "sms=%s: must be 1 to 1024", texts[K_SMS]);
    if (v[K_STAGES] < 2 || v[K_STAGES] > 8)
        return plan_fail(error, "stages=%s: must be 2 to 8", texts[K_STAGES]);
    if (v[K_CLUSTER] < 0 || v[K_CLUSTER] > 2)
        return plan_fail(error, "cluster=%s: must be 1 or 2, or 0 by shape", texts[K_CLUSTER]);
    if (v[K_CLUSTER] == 2 && (v[K_SPLITS] > 1 || v[K_SMS] < 2))
        return plan_fail(error, "cluster=2: not with %s; leave one of them out",
                         v[K_SMS] < 2 ? "one SM" : "splits");
    if (v[K_TURNS] < 0 || v[K_TURNS] > 2)
        return plan_fail(error, "turns=%s: must be 1 or 2, or 0 by shape", texts[K_TURNS]);
    if (v[K_TURNS] == 2 && (v[K_SPLITS] > 1 || v[K_RESIDUAL] || v[K_CLUSTER] == 2))
        return plan_fail(error, "turns=2: not with %s; leave one of them out",
                         v[K_SPLITS] > 1 ? "splits"
                         : v[K_RESIDUAL] ? "residual"
                                         : "cluster=2");
    int activation = 0;
    while (activation < 4 && strcmp(texts[K_ACTIVATION], activations[activation])) activation++;
    if (activation == 4)
        return plan_fail(error, "activation=%s: must be none, relu, gelu or silu",
                         texts[K_ACTIVATION]);

    int64_t m = v[K_M], n = v[K_N], k = v[K_K], lda = v[K_A_COL] ? m : k, ldb = v[K_B_COL] ? k : n;
    plan_tensor(task, "a", texts[K_DTYPE], KGEN_TASK_INPUT, 2, (int64_t[]){m, k});
    plan_tensor(task, "b", texts[K_DTYPE], KGEN_TASK_INPUT, 2, (int64_t[]){k, n});
    plan_tensor(task, "c", texts[K_OUT], KGEN_TASK_OUTPUT, 2, (int64_t[]){m, n});
    plan_tensor(task, "bias", "f32", KGEN_TASK_INPUT, 1, (int64_t[]){v[K_BIAS] ? n : 0});
    plan_tensor(task, "r", texts[K_OUT], KGEN_TASK_INPUT, 2, (int64_t[]){v[K_RESIDUAL] ? m : 0, n});
    plan_define(task, "T", texts[K_DTYPE]);
    plan_define(task, "TC", texts[K_OUT]);
    plan_define_int(task, "SPLITS", v[K_SPLITS]);
    plan_define(task, "SERIAL", serial ? "true" : "false");
    plan_define_int(task, "ACTIVATION", activation);
    plan_define(task, "BIAS", v[K_BIAS] ? "true" : "false");
    plan_define(task, "RESIDUAL", v[K_RESIDUAL] ? "true" : "false");
    plan_define(task, "A_COL", v[K_A_COL] ? "true" : "false");
    plan_define(task, "B_COL", v[K_B_COL] ? "true" : "false");
    plan_define_int(task, "A_ALIGN", plan_alignment(lda, 8));
    plan_define_int(task, "B_ALIGN", plan_alignment(ldb, 8));
    plan_define_int(task, "C_ALIGN", plan_alignment(n, 8));
    if (!plan_roles(task, v, texts, lda, ldb) && !plan_tile(task, v, error)) return false;
    const char *names[] = {"M", "N", "K", "lda", "ldb"};
    int64_t sizes[] = {m, n, k, lda, ldb};
    for (int i = 0; i < 5; i++) plan_scalar(task, names[i], sizes[i]);
    snprintf(task->shape, sizeof task->shape, "%lldx%lldx%lld %s%s", (long long)m, (long long)n,
             (long long)k, texts[K_DTYPE], v[K_SPLITS] > 1 ? " split" : "");
    double size = (double)kgen_task_dtype_bytes(texts[K_DTYPE]);
    task->flop = 2.0 * (double)m * (double)n * (double)k;
    task->bytes = size * ((double)m * (double)k + (double)k * (double)n) +
                  (double)kgen_task_dtype_bytes(texts[K_OUT]) * (double)m * (double)n *
                      (v[K_RESIDUAL] ? 2 : 1);
    task->reference = reference;
    return true;
}

extern const kgen_family kgen_family_matmul;
const kgen_family kgen_family_matmul = {
    "matmul", "c = activation(a x b + bias), split along K on request", keys, plan, "matmul.kg"};
