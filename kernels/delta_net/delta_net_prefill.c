// SPDX-License-Identifier: MIT
// gated delta rule in chunks, many tokens of many sequences: launch rule, inputs and reference.
#include "kernels/delta_net/delta_rule.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    K_B,
    K_T,
    K_H,
    K_HK,
    K_D,
    K_DTYPE,
    K_GATES,
    K_FORM,
    K_ROWS,
    K_STAGES,
    K_TARGET,
    K_SMS,
    K_COUNT
};

static const kgen_task_key keys[] = {
    {"B", "2", "sequences"},
    {"T", "150", "tokens of the longest; each other has 37 less than the one before, down to 0"},
    {"H", "2", "value heads"},
    {"HK", "1", "query and key heads; divides H"},
    {"D", "128", "head dimension: 64 or 128"},
    {"dtype", "bf16", "of q, k, v and o: f16 or bf16"},
    {"gates", "model", "model: as trained models have them; none; strong: whatever was, is gone"},
    {"form", "auto", "auto, fused (a CTA does all of a chunk) or chunks (in parallel)"},
    {"rows", "0", "rows of the state a CTA keeps: D, half or a quarter of it; 0 = by shape"},
    {"stages", "2", "slots of the operand ring: 1 or 2"},
    {"target", "any", "GPU that the schedule is for"},
    {"sms", "132", "its SMs"},
    {0}};

// Positions are 32 bits wide, and the kernel looks three chunks ahead; heads and sequences are the
// grid's second and third dimension.
enum { MOST_TOKENS = INT32_MAX - 256, MOST_CTAS = 65535 };

static int64_t length_of(int64_t longest, int64_t b)
{
    return longest - 37 * b > 0 ? longest - 37 * b : 0;
}

static int64_t scalar(const kgen_task *task, const char *name)
{
    for (int i = 0; i < task->n_scalars; i++)
        if (!strcmp(task->scalars[i].name, name)) return task->scalars[i].i;
    return 0;
}

// As models have them: a head's factor of 1 to 16 times a step between 0.001 and 0.1.
static double gate(int64_t gates, double noise, int64_t h)
{
    if (gates == 1) return 0;
    if (gates == 2) return -100 * fabs(noise);
    return -(1 + (double)(h * 5 % 16)) * 1e-3 * pow(10, 1 + noise);
}

static void prepare(kgen_task *task)
{
    delta_rule_prepare(task, 1);
    kgen_task_tensor *g = plan_find(task, "g");
    for (int64_t i = 0; i < g->dims[0] * g->dims[1]; i++) {
        float *x = (float *)g->data + i;
        *x = (float)gate(scalar(task, "gates"), 2 * *x + 1, i % g->dims[1]);
    }
    const kgen_task_tensor *starts = plan_find(task, "starts");
    int32_t *start = starts->data;
    start[0] = 0;
    for (int64_t b = 0; b + 1 < starts->dims[0]; b++)
        start[b + 1] = start[b] + (int32_t)length_of(scalar(task, "T"), b);
}

// Of some million errors the largest is three times what `carried` says, whatever the length, the
// gates and the type; twice that is allowed.
enum { SPREAD = 6 };

static double norm(const double *s, int64_t d)
{
    double square = 0;
    for (int64_t c = 0; c < d; c++) square += s[c] * s[c];
    return sqrt(square);
}

// How far one row of the state may be off, in units of the operands' roundoff: README.md beside
// this file derives it. A token's rounding enters in the direction of its key, and from then on
// decays as what the state holds does, of which the rule takes away the part along each key.
static double carried(double before, double decay, double rate, double v, double size, int64_t d)
{
    double kept = decay * decay * (1 - rate * (2 - rate) / (double)d);
    return kept * before + rate / (2 - rate) * (v * v + size * size / (double)d);
}

// One row of one head's state over the tokens of sequence b; q, k and v as doubles.
static void reference_row(kgen_task *task, double *const operands[3], int64_t b, int64_t h,
                          int64_t row)
{
    const kgen_task_tensor *q = plan_find(task, "q"), *v = plan_find(task, "v");
    const float *g = plan_find(task, "g")->data, *beta = plan_find(task, "beta")->data,
                *s0 = plan_find(task, "s0")->data;
    const int32_t *start = plan_find(task, "starts")->data;
    kgen_task_tensor *s1 = plan_find(task, "s1"), *o = plan_find(task, "o");
    int64_t hk = q->dims[1], d = q->dims[2], heads = v->dims[1];
    int64_t home = ((b * heads + h) * d + row) * d;
    double *s = s1->expect + home, unit = plan_unit_roundoff(o->dtype), square = 0;
    for (int64_t c = 0; c < d; c++) s[c] = s0[home + c];
    for (int64_t t = start[b]; t < start[b + 1]; t++) {
        int64_t at = t * heads + h, key = (t * hk + h / (heads / hk)) * d;
        double decay = exp((double)g[at]), rate = 1 / (1 + exp(-(double)beta[at]));
        double value = operands[2][at * d + row], size = decay * norm(s, d);
        double out =
            delta_rule_step(s, operands[0] + key, operands[1] + key, value, decay, rate, d);
        square = carried(square, decay, rate, value, size, d);
        o->expect[at * d + row] = out;
        o->bound[at * d + row] =
            unit * (fabs(out) + SPREAD * (sqrt(square) + size + fabs(value)) / (double)d);
    }
    for (int64_t c = 0; c < d; c++) s1->bound[home + c] = unit * SPREAD * sqrt(square / (double)d);
}

static bool reference(kgen_task *task)
{
    const char *const read[] = {"q", "k", "v"};
    double *operands[3];
    bool ok = true;
    for (int i = 0; i < 3; i++)
        ok &= (operands[i] = delta_rule_doubles(plan_find(task, read[i]))) != NULL;
    const kgen_task_tensor *s0 = plan_find(task, "s0");
    for (int64_t b = 0; ok && b < s0->dims[0]; b++)
        for (int64_t h = 0; h < s0->dims[1]; h++)
            for (int64_t row = 0; row < s0->dims[2]; row++)
                reference_row(task, operands, b, h, row);
    for (int i = 0; i < 3; i++) free(operands[i]);
    return ok;
}

static void plan_tensors(kgen_task *task, const int64_t *v, const char *dtype, int64_t total)
{
    int64_t b = v[K_B], h = v[K_H], hk = v[K_HK], d = v[K_D];
    plan_tensor(task, "q", dtype, KGEN_TASK_INPUT, 3, (int64_t[]){total, hk, d});
    plan_tensor(task, "k", dtype, KGEN_TASK_INPUT, 3, (int64_t[]){total, hk, d});
    plan_tensor(task, "v", dtype, KGEN_TASK_INPUT, 3, (int64_t[]){total, h, d});
    plan_tensor(task, "g", "f32", KGEN_TASK_INPUT, 2, (int64_t[]){total, h});
    plan_tensor(task, "beta", "f32", KGEN_TASK_INPUT, 2, (int64_t[]){total, h});
    plan_tensor(task, "starts", "i32", KGEN_TASK_INPUT, 1, (int64_t[]){b + 1});
    int state = plan_tensor(task, "s0", "f32", KGEN_TASK_INPUT, 4, (int64_t[]){b, h, d, d});
    int next = plan_tensor(task, "s1", "f32", KGEN_TASK_UPDATED, 4, (int64_t[]){b, h, d, d});
    task->tensors[next].alias = state; // the state is updated in place
    plan_tensor(task, "o", dtype, KGEN_TASK_OUTPUT, 3, (int64_t[]){total, h, d});
    const char *names[] = {"B", "H", "HK", "TOTAL", "T"};
    int64_t sizes[] = {b, h, hk, total, v[K_T]};
    for (int i = 0; i < 5; i++) plan_scalar(task, names[i], sizes[i]);
}

// ---- schedule -----------------------------------------------------------------------------------

// Instructions that a warp issues for a chunk of 64 tokens, as `kgen profile` counts them. The
// state has 16 rows a warp whatever the split, so that a warp's instructions hardly become fewer
// with fewer rows a CTA: it is the chunk's own work that more CTAs do once more each.
typedef struct issued {
    int64_t all_rows, half; // form fused, by the rows of a CTA
    int64_t chunk, state;   // form chunks: a CTA of either kind
} issued;

static const issued issued_64 = {1664, 1691, 1705, 860}, issued_128 = {1708, 2075, 2218, 1123};

typedef struct schedule {
    bool chunks;
    int64_t rows, warps, cycles; // rows and warps of a CTA
} schedule;

static int64_t state_ctas(const int64_t *v, int64_t rows)
{
    return v[K_B] * v[K_H] * (v[K_D] / rows);
}

// Each scheduler of an SM issues for one warp of four, CTA after CTA.
static schedule fused(const int64_t *v, int64_t rows, int64_t instructions)
{
    int64_t warps = rows >= 64 ? rows / 16 : 4;
    int64_t ctas = plan_ceildiv(state_ctas(v, rows), v[K_SMS]);
    return (schedule){false, rows, warps,
                      plan_ceildiv(v[K_T], 64) * ctas * instructions * warps / 4};
}

// First the chunks, spread over all SMs, then the states, each CTA on an SM of its own: as fast as
// it issues, or as its operands come out of L2, which gives an SM 64 bytes a cycle and all together
// about 3,200.
static schedule in_chunks(const int64_t *v, const issued *count)
{
    enum { ROWS = 64, ONE_SM = 64, ALL_SMS = 3200 };
    int64_t chunks = plan_ceildiv(v[K_T], 64), ctas = state_ctas(v, ROWS);
    int64_t bytes = 2 * 64 * (3 * v[K_D] + ROWS + 64);
    int64_t step = count->state, rate = ALL_SMS / ctas < ONE_SM ? ALL_SMS / ctas : ONE_SM;
    if (rate < 1) rate = 1;
    if (bytes / rate > step) step = bytes / rate;
    int64_t first = plan_ceildiv(v[K_B] * v[K_H] * chunks, v[K_SMS]) * count->chunk;
    return (schedule){true, ROWS, 4, first + chunks * step};
}

// Slots of 64 tokens: sequence b has those from starts[b] / 64 + b on.
static int64_t slots_for(const int64_t *v, int64_t total)
{
    return total / 64 + v[K_B];
}

// U0, W, P and the decays of every chunk and head; in doubles, where nothing overflows.
static double workspace(const int64_t *v, int64_t total)
{
    double slot = 2.0 * 64 * (2.0 * (double)v[K_D] + 64) + 4.0 * 2 * 64;
    return slot * (double)slots_for(v, total) * (double)v[K_H];
}

// Bytes that form `chunks` may take unasked, and at all.
static const double MODEST_WORKSPACE = 0x1p32, MOST_WORKSPACE = 0x1p40;

static void tell(kgen_task *task, const schedule *s, int64_t ctas)
{
    plan_note(
        task, "%s, %lld rows a CTA: %lld CTAs of %lld warps%s: %lld issue slots of a scheduler\n",
        s->chunks ? "chunks" : "fused", (long long)s->rows, (long long)ctas, (long long)s->warps,
        s->chunks ? " behind one for each chunk" : "", (long long)s->cycles);
}

// The form and the rows of the fewest issue slots. Form `chunks` moves what it makes through
// memory, and is taken where it saves a quarter.
static schedule choose(kgen_task *task, const int64_t *v, bool one_form, int64_t total)
{
    const issued *count = v[K_D] == 64 ? &issued_64 : &issued_128;
    schedule best = fused(v, v[K_D], count->all_rows);
    schedule half = fused(v, v[K_D] / 2, count->half), chunks = in_chunks(v, count);
    tell(task, &best, state_ctas(v, best.rows));
    tell(task, &half, state_ctas(v, half.rows));
    if (half.cycles < best.cycles) best = half;
    if (one_form) {
        plan_note(task, "chunks: ruled out by form=fused\n");
    } else if (state_ctas(v, chunks.rows) >= v[K_SMS]) {
        plan_note(task, "chunks: its %lld CTAs that wait would leave no SM to the others\n",
                  (long long)state_ctas(v, chunks.rows));
    } else if (workspace(v, total) > MODEST_WORKSPACE) {
        plan_note(task, "chunks: not unasked with %.3g bytes of workspace\n", workspace(v, total));
    } else {
        tell(task, &chunks, state_ctas(v, chunks.rows));
        if (chunks.cycles * 4 < best.cycles * 3) best = chunks;
    }
    plan_note(task, "chosen: %s, %lld rows a CTA%s\n", best.chunks ? "chunks" : "fused",
              (long long)best.rows, best.chunks ? ", which saves more than a quarter" : "");
    return best;
}

static bool plan_given(const int64_t *v, const char *const *texts, int64_t total, schedule *s,
                       char *error)
{
    const char *form = texts[K_FORM];
    int64_t rows = v[K_ROWS], d = v[K_D];
    if (strcmp(form, "auto") && strcmp(form, "fused") && strcmp(form, "chunks"))
        return plan_fail(error, "form=%s: must be auto, fused or chunks", form);
    if (!strcmp(form, "chunks")) {
        if (rows && rows != 64)
            return plan_fail(error, "rows=%s: form=chunks has 64; leave it out", texts[K_ROWS]);
        *s = (schedule){.chunks = true, .rows = 64, .warps = 4};
        if (state_ctas(v, 64) >= v[K_SMS])
            return plan_fail(error,
                             "form=chunks: %lld CTAs would wait for others on sms=%s SMs, and must "
                             "be fewer; form=fused has no such limit",
                             (long long)state_ctas(v, 64), texts[K_SMS]);
        if (workspace(v, total) > MOST_WORKSPACE)
            return plan_fail(error, "form=chunks: %.3g bytes of workspace; form=fused needs none",
                             workspace(v, total));
        return true;
    }
    if (rows && rows != d && rows != d / 2 && rows != d / 4)
        return plan_fail(error, "rows=%s: must be D=%s, half or a quarter of it", texts[K_ROWS],
                         texts[K_D]);
    if (rows) *s = fused(v, rows, 0);
    return true;
}

// What the CTAs of form `chunks` leave for those that have the state: slots of 64 tokens.
static void plan_workspace(kgen_task *task, const int64_t *v, const char *dtype, int64_t total)
{
    int64_t b = v[K_B], h = v[K_H], slots = slots_for(v, total);
    plan_tensor(task, "u", dtype, KGEN_TASK_SCRATCH, 4, (int64_t[]){h, slots, 2 * v[K_D], 64});
    plan_tensor(task, "p", dtype, KGEN_TASK_SCRATCH, 4, (int64_t[]){h, slots, 64, 64});
    plan_tensor(task, "decays", "f32", KGEN_TASK_SCRATCH, 4, (int64_t[]){h, slots, 2, 64});
    plan_tensor(task, "ready", "i32", KGEN_TASK_ZEROED, 2, (int64_t[]){b, h});
    plan_scalar(task, "SLOTS", slots);
    plan_scalar(task, "CHUNKS", plan_ceildiv(v[K_T], 64));
}

static bool plan_schedule(kgen_task *task, const int64_t *v, const char *const *texts,
                          int64_t total, char *error)
{
    schedule s = {0};
    if (!plan_given(v, texts, total, &s, error)) return false;
    if (!s.rows) s = choose(task, v, !strcmp(texts[K_FORM], "fused"), total);
    plan_define_int(task, "ROWS", s.rows);
    if (s.chunks) {
        task->source_name = "delta_net_prefill_chunks.kg";
        task->source = kgen_kernel_source(task->source_name, &task->source_bytes);
        plan_workspace(task, v, texts[K_DTYPE], total);
    } else {
        plan_define_int(task, "WARPS", s.warps);
    }
    snprintf(task->shape, sizeof task->shape, "B%s T%s H%s/%s d%s %s rows %lld%s", texts[K_B],
             texts[K_T], texts[K_H], texts[K_HK], texts[K_D], texts[K_DTYPE], (long long)s.rows,
             s.chunks ? " in chunks" : "");
    return true;
}

static bool plan(kgen_task *task, const int64_t *v, const char *const *texts, char *error)
{
    static const char *const gates[] = {"model", "none", "strong"};
    int64_t total = 0, kind = 0;
    if (!plan_positive(error, keys, v, K_D + 1) ||
        !plan_dtype(error, "dtype", texts[K_DTYPE], false))
        return false;
    if (v[K_D] != 64 && v[K_D] != 128)
        return plan_fail(error, "D=%lld: must be 64 or 128", (long long)v[K_D]);
    if (v[K_B] > MOST_CTAS || v[K_H] > MOST_CTAS)
        return plan_fail(error, "B=%s H=%s: at most %d of each", texts[K_B], texts[K_H], MOST_CTAS);
    if (v[K_H] % v[K_HK])
        return plan_fail(error, "HK=%s does not divide H=%s", texts[K_HK], texts[K_H]);
    while (kind < 3 && strcmp(texts[K_GATES], gates[kind])) kind++;
    if (kind == 3)
        return plan_fail(error, "gates=%s: must be model, none or strong", texts[K_GATES]);
    if (v[K_SMS] < 1 || v[K_SMS] > 1024)
        return plan_fail(error, "sms=%s: must be 1 to 1024", texts[K_SMS]);
    if (v[K_STAGES] < 1 || v[K_STAGES] > 2)
        return plan_fail(error, "stages=%s: must be 1 or 2", texts[K_STAGES]);
    for (int64_t b = 0; b < v[K_B] && length_of(v[K_T], b); b++) total += length_of(v[K_T], b);
    if (total > MOST_TOKENS)
        return plan_fail(error, "B=%s T=%s: more than %d tokens", texts[K_B], texts[K_T],
                         MOST_TOKENS);
    plan_tensors(task, v, texts[K_DTYPE], total);
    plan_scalar(task, "gates", kind);
    plan_target(task, texts[K_TARGET]); // mma.sync is on all of them
    if (!plan_schedule(task, v, texts, total, error)) return false;
    plan_define(task, "T", texts[K_DTYPE]);
    plan_define_int(task, "D", v[K_D]);
    plan_define_int(task, "STAGES", v[K_STAGES]);
    double d = (double)v[K_D], tokens = (double)total * (double)v[K_H];
    task->flop = tokens * (6 * d * d + 8 * 64 * d);
    task->bytes = (double)(v[K_B] * v[K_H]) * 8 * d * d +
                  tokens * 4 * d * (1 + (double)v[K_HK] / (double)v[K_H]);
    task->prepare = prepare;
    task->reference = reference;
    return true;
}

extern const kgen_family kgen_family_delta_net_prefill;
const kgen_family kgen_family_delta_net_prefill = {
    "delta_net_prefill", "the gated delta rule in chunks of 64 tokens, sequences of any length",
    keys, plan, "delta_net_prefill.kg"};
