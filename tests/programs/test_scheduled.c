// SPDX-License-Identifier: MIT
// The programs of scheduled/ against plain C: the same text for a target that has copy engine and
// wgmma, where the schedule makes roles of it, and for one that has neither.
#include "harness.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define IN PROGRAM_INPUT
#define OUT PROGRAM_OUTPUT

static const char *const targets[] = {"sm_80", "sm_90a"};
enum { TARGETS = sizeof targets / sizeof *targets };

// y[m, n] += sum over k of x[m, k] * w[k, n], with strides in elements.
typedef struct product {
    int64_t m, n, k;
    const double *x, *w;
    int64_t x_row, x_column, w_row, w_column;
    double *y;
} product;

static void multiply(const product *p)
{
    for (int64_t i = 0; i < p->m * p->n; i++)
        for (int64_t j = 0; j < p->k; j++)
            p->y[i] += p->x[i / p->n * p->x_row + j * p->x_column] *
                       p->w[j * p->w_row + i % p->n * p->w_column];
}

static void scalars(program_case *c, int64_t m, int64_t n, int64_t k)
{
    program_scalar(c, "M", m);
    program_scalar(c, "N", n);
    program_scalar(c, "K", k);
}

// Few tiles, many, tails; more CTAs than tiles, and one for all.
static void batched(void **state)
{
    static const struct {
        int64_t batch, m, n, k;
        const char *defines;
    } cases[] = {{1, 64, 64, 32, "CTAS=132"},
                 {2, 200, 136, 72, "CTAS=5"},
                 {1, 328, 72, 128, "CTAS=3,GROUP=4"},
                 {3, 72, 72, 40, "CTAS=1,GROUP=1"}};
    for (int i = 0; i < TARGETS * 4; i++) {
        int64_t batch = cases[i / TARGETS].batch, m = cases[i / TARGETS].m,
                n = cases[i / TARGETS].n, k = cases[i / TARGETS].k;
        program_case c = {.file = "scheduled/batched.kg",
                          .target = targets[i % TARGETS],
                          .defines = cases[i / TARGETS].defines};
        double *a = program_add(&c, "a", "bf16", IN, 0, batch * m * k),
               *b = program_add(&c, "b", "bf16", IN, 0, batch * k * n),
               *y = program_add(&c, "c", "bf16", OUT, 0x1p-7, batch * m * n);
        program_scalar(&c, "B", batch);
        scalars(&c, m, n, k);
        for (int64_t s = 0; s < batch; s++)
            multiply(&(product){m, n, k, a + s * m * k, b + s * k * n, k, 1, n, 1, y + s * m * n});
        program_run(&c);
    }
}

static void grouped(void **state)
{
    int64_t groups = 3, m = 136, n = 72, k = 72;
    static const double lengths[] = {136, 0, 64};
    for (int i = 0; i < TARGETS; i++) {
        program_case c = {.file = "scheduled/grouped.kg", .target = targets[i]};
        double *a = program_add(&c, "a", "f16", IN, 0, groups * m * k),
               *b = program_add(&c, "b", "f16", IN, 0, k * n),
               *y = program_add(&c, "c", "f32", PROGRAM_ZEROED, 1e-4, groups * m * n),
               *length = program_add(&c, "length", "i32", IN, 0, groups);
        program_scalar(&c, "G", groups);
        scalars(&c, m, n, k);
        for (int64_t g = 0; g < groups; g++) {
            length[g] = lengths[g];
            multiply(
                &(product){(int64_t)lengths[g], n, k, a + g * m * k, b, k, 1, n, 1, y + g * m * n});
        }
        program_run(&c);
    }
}

static void chained(void **state)
{
    int64_t m = 136, n = 72, k = 70, l = 104, first = 1;
    for (int i = 0; i < TARGETS; i++) {
        program_case c = {.file = "scheduled/chained.kg", .target = targets[i]};
        double *a = program_add(&c, "a", "bf16", IN, 0, m * k),
               *b = program_add(&c, "b", "bf16", IN, 0, k * n),
               *d = program_add(&c, "d", "bf16", IN, 0, m * l),
               *e = program_add(&c, "e", "bf16", IN, 0, l * n),
               *y = program_add(&c, "c", "f32", OUT, 1e-4, m * n);
        program_scalar(&c, "first", first);
        program_scalar(&c, "L", l);
        scalars(&c, m, n, k);
        multiply(&(product){m, n, k, a, b, 1, m, n, 1, y});
        for (int64_t j = 0; j < m * n; j++) y[j] = y[j] > 0 ? y[j] : 0;
        multiply(
            &(product){m, n, l - 32 * first, d + 32 * first, e + 32 * first * n, l, 1, n, 1, y});
        program_run(&c);
    }
}

static void score(const char *file, const char *defines, int64_t sq, int64_t sk)
{
    for (int i = 0; i < TARGETS; i++) {
        program_case c = {.file = file, .target = targets[i], .defines = defines};
        double *q = program_add(&c, "q", "bf16", IN, 0, sq * 64),
               *k = program_add(&c, "k", "bf16", IN, 0, sk * 64),
               *v = program_add(&c, "v", "bf16", IN, 0, sk * 64),
               *y = program_add(&c, "o", "f32", OUT, 0x1p-5, sq * 64);
        program_scalar(&c, "SQ", sq);
        program_scalar(&c, "SK", sk);
        for (int64_t r = 0; r < sq * sk; r++) {
            double s = 0;
            for (int64_t j = 0; j < 64; j++) s += q[r / sk * 64 + j] * k[r % sk * 64 + j];
            for (int64_t j = 0; j < 64 && s > 0; j++)
                y[r / sk * 64 + j] += s * 0.125 * v[r % sk * 64 + j];
        }
        program_run(&c);
    }
}

static void scores(void **state)
{
    score("scheduled/scores.kg", NULL, 200, 150);
}

// One step, in which nobody takes turns, two, and many; two warpgroups, and four.
static void pingpong(void **state)
{
    score("scheduled/pingpong.kg", NULL, 200, 40);
    score("scheduled/pingpong.kg", NULL, 700, 128);
    score("scheduled/pingpong.kg", NULL, 300, 450);
    score("scheduled/pingpong.kg", "WARPS=16,BM=256", 300, 330);
}

static void stores(void **state)
{
    static const int64_t sizes[][3] = {{64, 64, 64}, {3, 8, 8}, {133, 136, 200}};
    for (int i = 0; i < TARGETS * 3; i++) {
        int64_t m = sizes[i / TARGETS][0], n = sizes[i / TARGETS][1], k = sizes[i / TARGETS][2];
        program_case c = {.file = "scheduled/stores.kg", .target = targets[i % TARGETS]};
        double *a = program_add(&c, "a", "f16", IN, 0, m * k),
               *b = program_add(&c, "b", "f16", IN, 0, n * k),
               *y = program_add(&c, "c", "f16", OUT, 0x1p-9, m * n),
               *z = program_add(&c, "d", "f32", OUT, 1e-4, m * n);
        scalars(&c, m, n, k);
        multiply(&(product){m, n, k, a, b, k, 1, 1, k, y});
        for (int64_t j = 0; j < m * n; j++) z[j] = 2 * y[j];
        program_run(&c);
    }
}

static void parts(void **state)
{
    static const int64_t sizes[][3] = {{64, 64, 64}, {3, 8, 8}, {133, 136, 520}};
    static const char *const defines[] = {"COLUMNS=0", "COLUMNS=32", "COLUMNS=0,CTAS=2",
                                          "COLUMNS=16,CTAS=3,PARTS=2"};
    for (int i = 0; i < TARGETS * 3 * 4; i++) {
        const int64_t *size = sizes[i / 4 % 3];
        int64_t m = size[0], n = size[1], k = size[2];
        program_case c = {
            .file = "scheduled/parts.kg", .target = targets[i / 12], .defines = defines[i % 4]};
        double *a = program_add(&c, "a", "f16", IN, 0, m * k),
               *b = program_add(&c, "b", "f16", IN, 0, n * k),
               *y = program_add(&c, "c", "f32", PROGRAM_ZEROED, 1e-4, m * n);
        scalars(&c, m, n, k);
        multiply(&(product){m, n, k, a, b, k, 1, 1, k, y});
        program_run(&c);
    }
}

// ---- orders of tiles ----------------------------------------------------------------------------

static double *add_product(program_case *c, int64_t m, int64_t n, int64_t k)
{
    double *a = program_add(c, "a", "bf16", IN, 0, m * k),
           *b = program_add(c, "b", "bf16", IN, 0, n * k),
           *y = program_add(c, "c", "f32", OUT, 1e-4, m * n);
    scalars(c, m, n, k);
    multiply(&(product){m, n, k, a, b, k, 1, 1, k, y});
    return y;
}

static void hilbert(void **state)
{
    static const int64_t sizes[][3] = {{64, 64, 64}, {512, 512, 8}, {330, 136, 72}};
    for (int i = 0; i < TARGETS * 3; i++) {
        const int64_t *s = sizes[i / TARGETS];
        program_case c = {.file = "scheduled/hilbert.kg", .target = targets[i % TARGETS]};
        add_product(&c, s[0], s[1], s[2]);
        program_run(&c);
    }
}

// Tiles from the last to the first, column by column.
static void tile_order(void **state)
{
    for (int i = 0; i < TARGETS; i++) {
        program_case c = {.file = "scheduled/tile_order.kg", .target = targets[i]};
        add_product(&c, 300, 136, 72);
        double *order = program_add(&c, "order", "i32", IN, 0, 5 * 3 * 2);
        program_scalar(&c, "T", 5 * 3);
        for (int t = 0; t < 5 * 3; t++) {
            order[2 * t] = 4 - t % 5;
            order[2 * t + 1] = 2 - t / 5;
        }
        program_run(&c);
    }
}

// One sequence's attention over the pages that its table lists.
static void attend(int64_t length, const double *q, const double *keys, const double *values,
                   const double *pages, double *o)
{
    for (int r = 0; r < 64; r++) {
        double score[192], most = -1e30, total = 0;
        for (int64_t j = 0; j < length; j++) {
            const double *key = keys + ((int64_t)pages[j / 64] * 64 + j % 64) * 64;
            score[j] = 0;
            for (int d = 0; d < 64; d++) score[j] += 0.125 * q[r * 64 + d] * key[d];
            most = score[j] > most ? score[j] : most;
        }
        for (int64_t j = 0; j < length; j++) total += score[j] = exp(score[j] - most);
        for (int64_t j = 0; j < length; j++)
            for (int d = 0; d < 64; d++)
                o[r * 64 + d] +=
                    score[j] / total * values[((int64_t)pages[j / 64] * 64 + j % 64) * 64 + d];
    }
}

// Pages in no order, of which the last one of a sequence is not full, and some are nobody's.
static void paged(void **state)
{
    enum { SEQUENCES = 3, PAGES = 7, LIST = 3 };
    static const double lengths[SEQUENCES] = {64, 5, 170};
    static const double lists[SEQUENCES][LIST] = {{4, 0, 0}, {6, 0, 0}, {5, 1, 3}};
    static const char *const defines[] = {"CTAS=0", "CTAS=2"};
    for (int i = 0; i < TARGETS * 2; i++) {
        program_case c = {
            .file = "scheduled/paged.kg", .target = targets[i / 2], .defines = defines[i % 2]};
        double *q = program_add(&c, "q", "f16", IN, 0, SEQUENCES * 64 * 64),
               *keys = program_add(&c, "keys", "f16", IN, 0, PAGES * 64 * 64),
               *values = program_add(&c, "values", "f16", IN, 0, PAGES * 64 * 64),
               *table = program_add(&c, "table", "i32", IN, 0, SEQUENCES * LIST),
               *length = program_add(&c, "lengths", "i32", IN, 0, SEQUENCES),
               *o = program_add(&c, "o", "f32", OUT, 1e-2, SEQUENCES * 64 * 64);
        program_scalar(&c, "B", SEQUENCES);
        program_scalar(&c, "P", PAGES);
        program_scalar(&c, "L", LIST);
        for (int b = 0; b < SEQUENCES; b++) {
            length[b] = lengths[b];
            for (int k = 0; k < LIST; k++) table[b * LIST + k] = lists[b][k];
            attend((int64_t)lengths[b], q + b * 64 * 64, keys, values, table + b * LIST,
                   o + b * 64 * 64);
        }
        program_run(&c);
    }
}

static void epilogue(void **state)
{
    static const int64_t sizes[][3] = {{64, 64, 64}, {300, 400, 136}};
    static const char *const defines[] = {"CTAS=3", "CTAS=1,COLUMNS=32", "CTAS=2,COLUMNS=0",
                                          "CTAS=2,COLUMNS=64,LOAD=1", "CTAS=132,COLUMNS=32,LOAD=1"};
    for (int i = 0; i < TARGETS * 2 * 5; i++) {
        int64_t m = sizes[i / 5 % 2][0], n = sizes[i / 5 % 2][1], k = sizes[i / 5 % 2][2];
        program_case c = {
            .file = "scheduled/epilogue.kg", .target = targets[i / 10], .defines = defines[i % 5]};
        double *a = program_add(&c, "a", "bf16", IN, 0, m * k),
               *b = program_add(&c, "b", "bf16", IN, 0, k * n),
               *bias = program_add(&c, "bias", "f32", IN, 0, n),
               *r = program_add(&c, "r", "bf16", IN, 0, m * n),
               *c0 = program_add(&c, "c0", "f32", IN, 0, m * n),
               *y = program_add(&c, "c", "bf16", OUT, 0x1p-7, m * n),
               *d = program_add(&c, "d", "f32", OUT, 1e-4, m * 64);
        scalars(&c, m, n, k);
        multiply(&(product){m, n, k, a, b, k, 1, n, 1, y});
        for (int64_t j = 0; j < m * n; j++) {
            double x = y[j] + bias[j % n] > 0 ? y[j] + bias[j % n] : 0;
            if (j % n >= 128 && j % n < 192) d[j / n * 64 + j % n - 128] = x;
            y[j] = x * r[j] + c0[j];
        }
        program_run(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batched),    cmocka_unit_test(grouped),  cmocka_unit_test(chained),
        cmocka_unit_test(scores),     cmocka_unit_test(pingpong), cmocka_unit_test(stores),
        cmocka_unit_test(epilogue),   cmocka_unit_test(parts),    cmocka_unit_test(hilbert),
        cmocka_unit_test(tile_order), cmocka_unit_test(paged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
