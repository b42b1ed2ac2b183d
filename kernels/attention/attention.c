// SPDX-License-Identifier: MIT
// attention forward: launch rule and reference.
#include "kernels/attention/order.h"
#include "kernels/attention/softmax_reference.h"
#include "kernels/plan.h"
#include <math.h>
#include <stdarg.h>
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
    K_PACK,
    K_PERSISTENT,
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
                                     {"pack", "auto", "heads of a key head share tiles of rows"},
                                     {"persistent", "auto", "CTAs that go from block to block"},
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

// ---- the order of blocks ------------------------------------------------------------------------
enum { CACHE_BYTES = 32 << 20 }; // of the L2 of data center GPUs, 40 MB and up, for keys and values

typedef struct shape {
    int64_t rows, keys; // of a tile
    int64_t pack;       // heads that share tiles of rows
    int64_t workers;    // CTAs at a time
    int64_t starting;   // what a block costs besides its tiles of keys, in halves of such a tile,
    int64_t following;  // and if a persistent CTA fetches it while it ends another
    int decided;        // by a key: 1 persistent, -1 not, 0 neither
} shape;

static void note(kgen_task *task, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void note(kgen_task *task, const char *format, ...)
{
    size_t used = strlen(task->reasons);
    va_list args;
    va_start(args, format);
    vsnprintf(task->reasons + used, sizeof task->reasons - used, format, args);
    va_end(args);
}

// A key that is `auto` or a truth value.
static int decided(const char *text)
{
    return !strcmp(text, "auto") ? 0 : !strcmp(text, "true") ? 1 : -1;
}

// How many heads share a tile of rows: all that read the same keys, where this makes the tiles a
// quarter fewer, because each head's rows leave much of its last tile empty.
static int64_t plan_pack(kgen_task *task, const int64_t *v, const char *text, int64_t rows)
{
    int64_t group = v[K_H] / v[K_HKV], alone = plan_ceildiv(v[K_SQ], rows) * group,
            packed = plan_ceildiv(v[K_SQ] * group, rows);
    bool better = decided(text) ? decided(text) > 0 : packed * 4 <= alone * 3;
    if (group == 1 || !better) return 1;
    plan_define_int(task, "PACK", group);
    if (task->target[0])
        note(task,
             "rows of %lld heads packed, token by token: keys and values are read for %lld tiles "
             "of %lld rows instead of %lld\n",
             (long long)group, (long long)packed, (long long)rows, (long long)alone);
    return group;
}

// Causal blocks longest first; whether CTAs are persistent.
static bool plan_order(kgen_task *task, const int64_t *v, const shape *s)
{
    int64_t heads = v[K_H] / s->pack;
    attention_blocks blocks = {v[K_SQ], v[K_SK],        s->rows,    s->keys,
                               s->pack, heads * v[K_B], v[K_CAUSAL]};
    attention_order grid = {0, s->workers, false, 2, s->starting}, first = grid;
    bool able = s->following > 0 && attention_count(&blocks) * blocks.heads > s->workers;
    if (!v[K_CAUSAL]) return s->decided ? s->decided > 0 : able;
    first.section = attention_section(heads, heads / v[K_HKV], 4 * v[K_SK] * v[K_D], CACHE_BYTES);
    plan_define_int(task, "SECTION", first.section);
    attention_order follow = first;
    follow.persistent = true;
    follow.per_block = s->following;
    int64_t before = attention_time(&blocks, &grid), after = attention_time(&blocks, &first),
            persistent = attention_time(&blocks, &follow);
    bool better = able && (persistent < 0 || persistent < after * 9 / 10);
    if (s->decided) better = s->decided > 0;
    if (!task->target[0]) return better;
    note(task, "longest blocks first, sections of %lld heads", (long long)first.section);
    if (after < 0) {
        note(task, "\n");
        return better;
    }
    note(task, ": done after %.1f tiles of keys, in the order of rows after %.1f, at best %.1f\n",
         (double)after / 2, (double)before / 2, (double)attention_least_time(&blocks, &first) / 2);
    if (able)
        note(task, "by persistent CTAs, which fetch ahead: after %.1f\n", (double)persistent / 2);
    return better;
}

// ---- roles --------------------------------------------------------------------------------------
static void plan_alike(kgen_task *task, const int64_t *v, const char *const *texts)
{
    shape s = {.rows = 64, .keys = 64, .workers = v[K_SMS] * (v[K_D] == 64 ? 4 : 2), .starting = 3};
    s.pack = plan_pack(task, v, texts[K_PACK], s.rows);
    plan_define_int(task, "STAGES", v[K_STAGES]);
    plan_order(task, v, &s);
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
    bool chosen = decided(text) ? decided(text) > 0 : pays;
    note(task,
         "a step of two warpgroups that run in step: %lld clocks, that multiply by turns: %lld "
         "(products 2 x %lld, softmax %lld; a model)%s: %s\n",
         (long long)in_step, (long long)by_turns, (long long)product, (long long)softmax,
         v[K_SK] > columns ? "" : ", and there is one step only",
         chosen ? "by turns" : "each for itself");
    plan_define_int(task, "PINGPONG", chosen);
}

// A producer for the copy engine and wgmma for the rest, where the GPU has both: 64 query rows for
// each of two warpgroups, and slots of keys and values as far as shared memory holds them beside
// the queries and, of persistent CTAs, the result.
static void plan_roles(kgen_task *task, const int64_t *v, const char *const *texts)
{
    enum { ROWS = 128, KEYS = 128, SMALLEST = 64, SHARED_BYTES = 226 * 1024 };
    int64_t stages = v[K_STAGES], group = v[K_H] / v[K_HKV];
    int64_t bytes = 2 * v[K_D] * (ROWS + stages * 2 * KEYS), result = 2 * v[K_D] * ROWS;
    bool able = plan_target(task, texts[K_TARGET]);
    int64_t rows = v[K_SQ] * (decided(texts[K_PACK]) < 0 ? 1 : group);
    const char *misfit = rows < SMALLEST || v[K_SK] < SMALLEST ? "fewer than 64 queries or keys"
                         : stages < 2                          ? "no ring"
                         : bytes > SHARED_BYTES ? "more slots than shared memory holds"
                                                : NULL;
    if (!able || misfit) {
        if (able) note(task, "%s: all warps work alike\n", misfit);
        plan_alike(task, v, texts);
        return;
    }
    if (texts[K_STAGES] == keys[K_STAGES].value && v[K_D] == 64) stages = 4;
    // A tile of keys takes 1.7 us with 128 columns. What a block takes besides, half of which a
    // persistent CTA does while others compute, does not get shorter with fewer. How blocks of
    // different length follow each other in a ring of more than two slots is too much to play
    // through: waits would be for everything, and the products would not overlap.
    shape s = {ROWS, KEYS, 1, v[K_SMS], 3 * 128 / v[K_D], 128 / v[K_D]};
    note(task, "%d queries for two warpgroups and a producer, %d keys a step, %lld slots\n", ROWS,
         KEYS, (long long)stages);
    s.pack = plan_pack(task, v, texts[K_PACK], ROWS);
    s.decided = decided(texts[K_PERSISTENT]);
    // Who fetches the next queries while the result leaves cannot leave it where queries were.
    if (bytes + result > SHARED_BYTES) s.decided = -1;
    if (s.pack > 1 || (v[K_CAUSAL] && stages > 2)) s.following = 0;
    bool persistent = plan_order(task, v, &s);
    int64_t blocks = plan_ceildiv(v[K_SQ] * s.pack, ROWS) * v[K_H] / s.pack * v[K_B];
    note(task, "%lld blocks of queries for %lld SMs: %s\n", (long long)blocks, (long long)v[K_SMS],
         persistent ? "persistent CTAs fetch the next block's tiles while they end one"
                    : "one CTA a block");
    if (s.pack == 1)
        note(task, "the result leaves through %s\n",
             persistent ? "bytes of its own, for the next queries are fetched meanwhile"
                        : "the bytes of the queries");
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
    for (int k = K_PACK; k < K_COUNT; k++)
        if (k != K_TARGET && k != K_SMS && decided(texts[k]) < 0 && strcmp(texts[k], "false"))
            return plan_fail(error, "%s=%s: must be auto, true or false", keys[k].name, texts[k]);
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
