// SPDX-License-Identifier: MIT
// attention forward: launch rule and reference.
#include "kernels/attention/order.h"
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
    K_TILE_M,
    K_TILE_N,
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
                                     {"tile_m", "0", "queries of a tile for wgmma; 0: chosen"},
                                     {"tile_n", "0", "keys of a tile for wgmma; 0: chosen"},
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

// Times are in cycles of an SM.
typedef struct shape {
    int64_t rows, keys; // of a tile
    int64_t stages;     // slots of keys, and of values
    int64_t pack;       // heads that share tiles of rows
    int64_t workers;    // CTAs at a time
    int64_t per_tile;   // what a tile of keys takes,
    int64_t starting;   // a block besides its tiles of keys,
    int64_t following;  // and if a persistent CTA fetches it while it ends another; 0: none may
    int decided;        // by a key: 1 persistent, -1 not, 0 neither
} shape;

typedef struct outcome {
    int64_t section;           // heads whose blocks come together, longest first; 0: one by one
    int64_t rows_first, time;  // a CTA a block, in the order of rows, and in the one chosen
    int64_t persistent, least; // persistent CTAs in that order; if all CTAs ended together
    bool persists;
} outcome;

// A key that is `auto` or a truth value.
static int decided(const char *text)
{
    return !strcmp(text, "auto") ? 0 : !strcmp(text, "true") ? 1 : -1;
}

// How many heads share a tile of rows: all that read the same keys, where this makes the tiles a
// quarter fewer, because each head's rows leave much of its last tile empty.
static int64_t heads_packed(const int64_t *v, const char *text, int64_t rows)
{
    int64_t group = v[K_H] / v[K_HKV], alone = plan_ceildiv(v[K_SQ], rows) * group,
            packed = plan_ceildiv(v[K_SQ] * group, rows);
    bool better = decided(text) ? decided(text) > 0 : packed * 4 <= alone * 3;
    return better ? group : 1;
}

static void tell_pack(kgen_task *task, const int64_t *v, const shape *s)
{
    if (s->pack == 1) return;
    plan_define_int(task, "PACK", s->pack);
    if (!task->target[0]) return;
    plan_note(
        task,
        "rows of %lld heads packed, token by token: keys and values are read for %lld tiles of "
        "%lld rows instead of %lld\n",
        (long long)s->pack, (long long)plan_ceildiv(v[K_SQ] * s->pack, s->rows), (long long)s->rows,
        (long long)(plan_ceildiv(v[K_SQ], s->rows) * s->pack));
}

static int64_t time_of(const attention_blocks *blocks, const attention_order *order)
{
    int64_t time = attention_time(blocks, order);
    return time < 0 ? attention_least_time(blocks, order) : time; // the last wave is nothing then
}

// Causal blocks longest first; whether CTAs are persistent. Of blocks of different length every
// N-th ones are not equally long together, which is not counted exactly.
static outcome weigh(const int64_t *v, const shape *s)
{
    int64_t heads = v[K_H] / s->pack;
    attention_blocks blocks = {v[K_SQ], v[K_SK],        s->rows,    s->keys,
                               s->pack, heads * v[K_B], v[K_CAUSAL]};
    attention_order order = {0, s->workers, false, s->per_tile, s->starting};
    outcome o = {.rows_first = time_of(&blocks, &order)};
    if (v[K_CAUSAL])
        o.section = attention_section(heads, heads / v[K_HKV], 4 * v[K_SK] * v[K_D], CACHE_BYTES);
    order.section = o.section;
    o.time = time_of(&blocks, &order);
    o.least = attention_least_time(&blocks, &order);
    order.persistent = true;
    order.per_block = s->following;
    o.persistent = time_of(&blocks, &order);
    bool able = s->following > 0 && attention_count(&blocks) * blocks.heads > s->workers;
    o.persists = able && o.persistent < (v[K_CAUSAL] ? o.time * 9 / 10 : o.time);
    if (!able) o.persistent = -1;
    if (s->decided) o.persists = s->decided > 0;
    return o;
}

static double in_tiles(const shape *s, int64_t time)
{
    return (double)time / (double)s->per_tile;
}

static void tell_order(kgen_task *task, const shape *s, const outcome *o)
{
    if (o->section) plan_define_int(task, "SECTION", o->section);
    if (!o->section || !task->target[0]) return;
    plan_note(
        task,
        "longest blocks first, sections of %lld heads: done after %.1f tiles of keys, in the order "
        "of rows after %.1f, at best %.1f\n",
        (long long)o->section, in_tiles(s, o->time), in_tiles(s, o->rows_first),
        in_tiles(s, o->least));
    if (o->persistent >= 0)
        plan_note(task, "by persistent CTAs, which fetch ahead: after %.1f\n",
                  in_tiles(s, o->persistent));
}

static void plan_alike(kgen_task *task, const int64_t *v, const char *const *texts)
{
    shape s = {.rows = 64, .keys = 64, .workers = v[K_SMS] * (v[K_D] == 64 ? 4 : 2)};
    s.per_tile = 2; // mma.sync: what a block takes besides is as long as one and a half
    s.starting = 3;
    s.pack = heads_packed(v, texts[K_PACK], s.rows);
    plan_define_int(task, "STAGES", v[K_STAGES]);
    outcome o = weigh(v, &s);
    tell_pack(task, v, &s);
    tell_order(task, &s, &o);
}

// ---- roles --------------------------------------------------------------------------------------
enum { SMALLEST = 64, WIDEST = 176, SHARED_BYTES = 226 * 1024 }; // WIDEST: keys, with D = 128

// Tiles that registers allow, 64 rows of a warpgroup: the scores, their weights as operands and the
// result are keys / 2 + keys / 4 + D / 2 registers of a thread at a time, of 240 with two
// warpgroups and of 160 with three, and masks by rows take more. Of equals the first is taken,
// which reads keys and values less often.
typedef struct tile {
    int64_t d, rows, keys, stages;
    bool causal;
} tile;

static const tile tiles[] = {{64, 192, 128, 4, false},
                             {64, 128, 192, 3, true},
                             {64, 128, 128, 4, true},
                             {128, 128, WIDEST, 2, false},
                             {128, 128, 128, 2, true}};

// There is such a tile for the head dimension and the kind of mask; and it is one that is asked
// for.
static bool possible(const int64_t *v, const tile *t)
{
    return t->d == v[K_D] && (!v[K_CAUSAL] || t->causal);
}

static bool asked_for(const int64_t *v, const tile *t)
{
    return (!v[K_TILE_M] || v[K_TILE_M] == t->rows) && (!v[K_TILE_N] || v[K_TILE_N] == t->keys);
}

static int64_t bytes_of(const tile *t, int64_t stages)
{
    return 2 * t->d * (t->rows + stages * 2 * t->keys);
}

// What a tile of keys takes of an SM, in clocks: the two products at 2048 multiply-adds of 16-bit
// floats a clock, or the softmax, if that is longer: 16 exponentials a clock, and three and a half
// operations a score on 128 lanes.
static int64_t product_clocks(const int64_t *v, int64_t rows, int64_t columns)
{
    return rows * columns * v[K_D] / 2048;
}

static int64_t softmax_clocks(int64_t rows, int64_t columns)
{
    return rows * columns / 16 + rows * columns * 7 / 2 / 128;
}

static int64_t longer(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

// What comes with a tile of keys and hides behind nothing, to wait and to shrink the result, takes
// some 250 clocks; to start a CTA and to end it one and a half tiles, of which a persistent one
// does two thirds while others compute.
static shape shape_of(const int64_t *v, const char *const *texts, const tile *t, int64_t stages,
                      int64_t pack)
{
    enum { WITH_A_TILE = 250, STARTING = 3072, FOLLOWING = 1024 };
    shape s = {t->rows, t->keys, stages, pack, v[K_SMS]};
    s.per_tile = WITH_A_TILE +
                 longer(2 * product_clocks(v, t->rows, t->keys), softmax_clocks(t->rows, t->keys));
    s.starting = STARTING;
    // How blocks of different length follow each other in a ring of more than two slots is too
    // much to play through: waits would be for everything, and the products would not overlap.
    s.following = pack > 1 || (v[K_CAUSAL] && stages > 2) ? 0 : FOLLOWING;
    s.decided = decided(texts[K_PERSISTENT]);
    // Who fetches the next queries while the result leaves cannot leave it where queries were.
    if (bytes_of(t, stages) + 2 * t->d * t->rows > SHARED_BYTES) s.decided = -1;
    return s;
}

static bool asked_stages(const char *const *texts)
{
    return texts[K_STAGES] != keys[K_STAGES].value;
}

// The tile of keys with which the GPU is done first; keys 0: none fits.
static shape choose_tile(kgen_task *task, const int64_t *v, const char *const *texts,
                         outcome *chosen)
{
    shape best = {0};
    int64_t least = 0;
    for (size_t i = 0; i < sizeof tiles / sizeof *tiles; i++) {
        const tile *t = &tiles[i];
        int64_t stages = asked_stages(texts) ? v[K_STAGES] : t->stages;
        if (!possible(v, t) || !asked_for(v, t) || bytes_of(t, stages) > SHARED_BYTES) continue;
        shape s = shape_of(v, texts, t, stages, heads_packed(v, texts[K_PACK], t->rows));
        outcome o = weigh(v, &s);
        int64_t time = o.persists && o.persistent >= 0 ? o.persistent : o.time;
        plan_note(task, "%lld queries by %lld keys a step, %lld slots: %lld cycles\n",
                  (long long)s.rows, (long long)s.keys, (long long)stages, (long long)time);
        if (best.keys && time >= least) continue;
        best = s;
        least = time;
        *chosen = o;
    }
    return best;
}

static void define_roles(kgen_task *task, const shape *s, bool persists)
{
    plan_define_int(task, "STAGES", s->stages);
    plan_define_int(task, "BM", s->rows);
    plan_define_int(task, "BN", s->keys);
    plan_define_int(task, "WARPS", s->rows / 16);
    plan_define_int(task, "PRODUCERS", 1);
    plan_define_int(task, "OVERLAP", 1);
    // The widest tile's loop written twice, with masks and without, would keep ptxas for 0.37 s.
    if (s->keys == WIDEST) plan_define_int(task, "SPLIT", 0);
    plan_define_int(task, "PERSISTENT", persists ? s->workers : 0);
    plan_define_int(task, "BULK_STORE", 1);
}

static void tell_roles(kgen_task *task, const int64_t *v, const shape *s, const outcome *o)
{
    int64_t blocks = plan_ceildiv(v[K_SQ] * s->pack, s->rows) * v[K_H] / s->pack * v[K_B];
    plan_note(
        task,
        "chosen: %lld queries for %s warpgroups and a producer, %lld keys a step, %lld slots\n",
        (long long)s->rows, s->rows == 128 ? "two" : "three", (long long)s->keys,
        (long long)s->stages);
    tell_pack(task, v, s);
    tell_order(task, s, o);
    plan_note(task, "%lld blocks of queries for %lld SMs: %s\n", (long long)blocks,
              (long long)s->workers,
              o->persists ? "persistent CTAs fetch the next block's tiles while they end one"
                          : "one CTA a block");
    if (s->pack == 1)
        plan_note(task, "the result leaves through %s\n",
                  o->persists ? "bytes of its own, for the next queries are fetched meanwhile"
                              : "the bytes of the queries");
}

// Whether warpgroups multiply by turns. Warpgroups that run in step all multiply q k^T first, and
// then compute, beside the product with v. By turns each has both products beside what the others
// compute.
static void plan_pingpong(kgen_task *task, const int64_t *v, const char *text, int64_t rows,
                          int64_t columns)
{
    int64_t product = product_clocks(v, rows, columns), softmax = softmax_clocks(rows, columns);
    int64_t in_step = product + longer(product, softmax);
    int64_t by_turns = longer(2 * product, softmax);
    bool pays = by_turns < in_step && v[K_SK] > columns;
    bool chosen = decided(text) ? decided(text) > 0 : pays;
    plan_note(
        task,
        "a step of the warpgroups that run in step: %lld clocks, that multiply by turns: %lld "
        "(products 2 x %lld, softmax %lld; a model)%s: %s\n",
        (long long)in_step, (long long)by_turns, (long long)product, (long long)softmax,
        v[K_SK] > columns ? "" : ", and there is one step only",
        chosen ? "by turns" : "each for itself");
    plan_define_int(task, "PINGPONG", chosen);
}

// A producer for the copy engine and wgmma for the rest, where the GPU has both: 64 query rows for
// each warpgroup, and slots of keys and values as far as shared memory holds them beside
// the queries and, of persistent CTAs, the result.
static void plan_roles(kgen_task *task, const int64_t *v, const char *const *texts)
{
    bool able = plan_target(task, texts[K_TARGET]);
    int64_t rows = v[K_SQ] * (decided(texts[K_PACK]) < 0 ? 1 : v[K_H] / v[K_HKV]);
    const char *misfit = rows < SMALLEST || v[K_SK] < SMALLEST ? "fewer than 64 queries or keys"
                         : v[K_STAGES] < 2                     ? "no ring"
                                                               : NULL;
    shape s = {0};
    outcome o = {0};
    if (able && !misfit) {
        s = choose_tile(task, v, texts, &o);
        if (!s.keys) misfit = "more slots than shared memory holds";
    }
    if (s.keys) {
        tell_roles(task, v, &s, &o);
        define_roles(task, &s, o.persists);
        plan_pingpong(task, v, texts[K_PINGPONG], s.rows, s.keys);
        return;
    }
    if (able) plan_note(task, "%s: all warps work alike\n", misfit);
    plan_alike(task, v, texts);
}

// Tiles that are asked for: there must be one, of the head dimension and of the kind of mask.
static bool check_tile(const int64_t *v, const char *const *texts, char *error)
{
    char known[160] = "";
    size_t length = 0;
    if (!v[K_TILE_M] && !v[K_TILE_N]) return true;
    for (size_t i = 0; i < sizeof tiles / sizeof *tiles; i++) {
        const tile *t = &tiles[i];
        if (!possible(v, t)) continue;
        if (asked_for(v, t)) return true;
        length += (size_t)snprintf(known + length, sizeof known - length, "%s%lld by %lld",
                                   length ? ", " : "", (long long)t->rows, (long long)t->keys);
    }
    return plan_fail(error, "tile_m=%s, tile_n=%s: with D=%lld%s there are %s", texts[K_TILE_M],
                     texts[K_TILE_N], (long long)v[K_D], v[K_CAUSAL] ? " and masks of rows" : "",
                     known);
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
    if (!check_tile(v, texts, error)) return false;
    for (int k = K_PACK; k < K_COUNT; k++)
        if ((k <= K_PERSISTENT || k == K_PINGPONG) && decided(texts[k]) < 0 &&
            strcmp(texts[k], "false"))
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
