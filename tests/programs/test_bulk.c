// SPDX-License-Identifier: MIT
// The programs of bulk/ against plain C: tiles by the copy engine, between roles and alone, of one
// to five dimensions, in part outside of their tensors.
#include "harness.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define IN PROGRAM_INPUT
#define OUT PROGRAM_OUTPUT

static program_case of(const char *file)
{
    return (program_case){.file = file, .target = "sm_90a"};
}

// Tiles of 16 x 32 in a ring of three: fewer tiles than slots, as many, several turns, and tails.
static void rings(const char *file)
{
    static const int64_t sizes[][2] = {{16, 32}, {1, 4}, {48, 32}, {133, 68}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        int64_t m = sizes[i][0], n = sizes[i][1];
        program_case c = of(file);
        double *x = program_add(&c, "x", "f32", IN, 0, m * n),
               *y = program_add(&c, "y", "f32", OUT, 1e-6, 16 * n);
        program_scalar(&c, "M", m);
        program_scalar(&c, "N", n);
        for (int64_t r = 0; r < m; r++)
            for (int64_t k = 0; k < n; k++) y[r % 16 * n + k] += x[r * n + k];
        program_run(&c);
    }
}

static void ring(void **state)
{
    rings("bulk/bulk_ring.kg");
}

static void registers(void **state)
{
    rings("bulk/bulk_registers.kg");
}

static void store(void **state)
{
    static const int64_t sizes[][2] = {{32, 64}, {3, 8}, {199, 72}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        int64_t m = sizes[i][0], n = sizes[i][1];
        program_case c = of("bulk/bulk_store.kg");
        double *x = program_add(&c, "x", "f16", IN, 0, m * n),
               *y = program_add(&c, "y", "f16", OUT, 0, m * n);
        program_scalar(&c, "M", m);
        program_scalar(&c, "N", n);
        for (int64_t k = 0; k < m * n; k++) y[k] = 2 * x[k];
        program_run(&c);
    }
}

// ---- tiles by a counter -------------------------------------------------------------------------

// y = a b^T, of tensors that the case has already.
static void multiply(int64_t m, int64_t n, int64_t k, const double *a, const double *b, double *y)
{
    for (int64_t i = 0; i < m * n; i++)
        for (int64_t t = 0; t < k; t++) y[i] += a[i / n * k + t] * b[i % n * k + t];
}

static void add_queue(program_case *c, int64_t m, int64_t n, int64_t k, int64_t ctas)
{
    double *a = program_add(c, "a", "bf16", IN, 0, m * k),
           *b = program_add(c, "b", "bf16", IN, 0, n * k),
           *y = program_add(c, "c", "f32", OUT, 1e-4, m * n),
           *next = program_add(c, "next", "i32", PROGRAM_ZEROED, 0, 1);
    program_scalar(c, "M", m);
    program_scalar(c, "N", n);
    program_scalar(c, "K", k);
    program_scalar(c, "CTAS", ctas);
    multiply(m, n, k, a, b, y);
    *next = (double)((m + 63) / 64 * ((n + 63) / 64) + ctas); // each takes one that is none
}

// Fewer tiles than CTAs, more, one CTA alone; fewer trips than slots, and more.
static void queue(void **state)
{
    static const int64_t sizes[][4] = {
        {64, 64, 64, 3}, {5, 8, 8, 1}, {200, 136, 264, 2}, {300, 200, 72, 5}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const int64_t *s = sizes[i];
        program_case c = of("bulk/bulk_queue.kg");
        add_queue(&c, s[0], s[1], s[2], s[3]);
        program_run(&c);
    }
}

// ---- updates -----------------------------------------------------------------------------------

// Tiles of all rows, taken together: by sum, sum, maximum and exclusive or.
static void expect_reductions(int64_t m, int64_t n, const double *x, const double *v,
                              double *const y[4])
{
    for (int64_t i = 0; i < m * n; i++) {
        int64_t at = i / n % 16 * n + i % n;
        y[0][at] += x[i];
        y[1][at] += x[i];
        y[2][at] = v[i] > y[2][at] ? v[i] : y[2][at];
        y[3][at] = (double)((int32_t)y[3][at] ^ (int32_t)v[i]);
    }
}

static void add_reductions(program_case *c, int64_t m, int64_t n)
{
    double *x = program_add(c, "x", "f32", IN, 0, m * n),
           *v = program_add(c, "v", "i32", IN, 0, m * n);
    double *const y[] = {program_add(c, "total", "f32", PROGRAM_ZEROED, 1e-5, 16 * n),
                         program_add(c, "half", "f16", PROGRAM_ZEROED, 0x1p-5, 16 * n),
                         program_add(c, "most", "i32", PROGRAM_ZEROED, 0, 16 * n),
                         program_add(c, "odd", "i32", PROGRAM_ZEROED, 0, 16 * n)};
    program_scalar(c, "M", m);
    program_scalar(c, "N", n);
    expect_reductions(m, n, x, v, y);
}

static void reduce(void **state)
{
    static const int64_t sizes[][2] = {{16, 32}, {5, 8}, {48, 64}, {233, 72}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        program_case c = of("bulk/bulk_reduce.kg");
        add_reductions(&c, sizes[i][0], sizes[i][1]);
        program_run(&c);
    }
}

// ---- views --------------------------------------------------------------------------------------

enum { A = 3, B = 4, C = 5, D = 6, W = 24, V = 32, P = 36, Q = 9, N = 900 };

// The tile of `extent` elements that starts at `start` in a tensor of `size`, row-major; zeros
// outside. A dimension of extent 0 is fixed.
static void tile(int rank, const int64_t *size, const int64_t *start, const int64_t *extent,
                 const double *x, double *y)
{
    int64_t count = 1;
    for (int d = 0; d < rank; d++) count *= extent[d] ? extent[d] : 1;
    for (int64_t i = 0; i < count; i++) {
        int64_t rest = i, offset = 0, step = 1;
        bool inside = true;
        for (int d = rank - 1; d >= 0; d--) {
            int64_t n = extent[d] ? extent[d] : 1, at = start[d] + rest % n;
            rest /= n;
            inside &= at >= 0 && at < size[d];
            offset += at * step;
            step *= size[d];
        }
        y[i] = inside ? x[offset] : 0;
    }
}

static void views_at(int64_t at, int64_t far)
{
    program_case c = of("bulk/bulk_views.kg");
    double *x1 = program_add(&c, "x1", "f32", IN, 0, N);
    double *x2 = program_add(&c, "x2", "bf16", IN, 0, A * W);
    double *x3 = program_add(&c, "x3", "i32", IN, 0, A * B * W);
    double *x4 = program_add(&c, "x4", "f32", IN, 0, A * B * C * W);
    double *x5 = program_add(&c, "x5", "i8", IN, 0, A * B * C * D * V);
    double *xt = program_add(&c, "xt", "f32", IN, 0, P * Q);
    double *y1 = program_add(&c, "y1", "f32", OUT, 0, 1024);
    double *y2 = program_add(&c, "y2", "bf16", OUT, 0, 8 * 64);
    double *y3 = program_add(&c, "y3", "i32", OUT, 0, 4 * 16);
    double *y4 = program_add(&c, "y4", "f32", OUT, 0, 2 * 3 * 4 * 8);
    double *y5 = program_add(&c, "y5", "i8", OUT, 0, 2 * 2 * 2 * 4 * 16);
    double *yt = program_add(&c, "yt", "f32", OUT, 0, 8 * 32);
    static const char *const names[] = {"at", "far", "N", "A", "B", "C", "D", "W", "V", "P", "Q"};
    const int64_t values[] = {at, far, N, A, B, C, D, W, V, P, Q};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        program_scalar(&c, names[i], values[i]);
#define TILE(rank, x, y, size, start, extent)                                                      \
    tile(rank, (int64_t[])size, (int64_t[])start, (int64_t[])extent, x, y)
#define L(...) {__VA_ARGS__}
    TILE(1, x1, y1, L(N), L(at), L(1024));
    TILE(2, x2, y2, L(A, W), L(at, far), L(8, 64));
    TILE(3, x3, y3, L(A, B, W), L(1, at, 8), L(0, 4, 16));
    TILE(4, x4, y4, L(A, B, C, W), L(at, 1, at, 0), L(2, 3, 4, 8));
    TILE(5, x5, y5, L(A, B, C, D, V), L(0, at, 1, at, 3), L(2, 2, 2, 4, 16));
    TILE(2, xt, yt, L(Q, P), L(2, at), L(8, 32));
    program_run(&c);
}

static void views(void **state)
{
    views_at(0, 0);
    views_at(1, -7);
    views_at(-2, 5);
    views_at(2000, INT64_C(1) << 33); // a coordinate has 32 bits, and this one must not come around
    views_at(-5, -(INT64_C(1) << 33));
}

// Two CTAs of a cluster and their halves of b's tiles: fewer trips than slots, several turns, rows
// beyond the tensor, a CTA that has nothing to do but its half.
static void pairs(const char *file)
{
    static const int64_t sizes[][3] = {{128, 128, 64}, {64, 128, 192}, {200, 136, 520}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        int64_t m = sizes[i][0], n = sizes[i][1], k = sizes[i][2];
        program_case c = of(file);
        double *a = program_add(&c, "a", "bf16", IN, 0, m * k),
               *b = program_add(&c, "b", "bf16", IN, 0, k * n),
               *y = program_add(&c, "c", "f32", OUT, 1e-4, m * n);
        program_scalar(&c, "M", m);
        program_scalar(&c, "N", n);
        program_scalar(&c, "K", k);
        for (int64_t r = 0; r < m; r++)
            for (int64_t t = 0; t < k; t++)
                for (int64_t j = 0; j < n; j++) y[r * n + j] += a[r * k + t] * b[t * n + j];
        program_run(&c);
    }
}

static void pair(void **state)
{
    pairs("bulk/bulk_pair.kg");
}

static void pair_derived(void **state)
{
    pairs("bulk/bulk_pair_derived.kg");
}

enum { TEXT = 4096 };

// A program with one passage replaced.
static void replace(const char *file, const char *passage, const char *instead, char *wrong)
{
    char path[512], text[TEXT];
    snprintf(path, sizeof path, "%s/bulk/%s", getenv("KGEN_PROGRAMS"), file);
    FILE *in = fopen(path, "rb");
    assert_non_null(in);
    text[fread(text, 1, sizeof text - 1, in)] = 0;
    fclose(in);
    const char *at = strstr(text, passage);
    assert_non_null(at);
    snprintf(wrong, TEXT, "%.*s%s%s", (int)(at - text), text, instead, at + strlen(passage));
}

// bulk_reduce.kg with one passage replaced, and what the machine must find then.
static void wrong_reduce(const char *passage, const char *instead, const char *finds)
{
    char wrong[TEXT];
    if (getenv("KGEN_PROGRAMS_DRIVER")) return; // findings are the cpu device's
    replace("bulk_reduce.kg", passage, instead, wrong);
    program_case c = of("bulk_reduce.kg, but wrong");
    c.source = wrong;
    c.finds = finds;
    c.synced = true;
    add_reductions(&c, 233, 72);
    program_run(&c);
}

// bulk_queue.kg with one passage replaced. Tiles of one trip, so that nothing but the numbers'
// mbarriers keeps the roles together.
static void wrong_queue(const char *passage, const char *instead, const char *finds)
{
    char wrong[TEXT];
    if (getenv("KGEN_PROGRAMS_DRIVER")) return;
    replace("bulk_queue.kg", passage, instead, wrong);
    program_case c = of("bulk_queue.kg, but wrong");
    c.source = wrong;
    c.finds = finds;
    c.unproved = true; // of a `while` inside of a role
    add_queue(&c, 300, 200, 64, 1);
    program_run(&c);
}

static void queue_overwritten(void **state)
{
    wrong_queue("      mbarrier_wait heard[turn] {behind=1}\n", "", "mbarrier-stale-phase");
}

static void queue_heard_early(void **state)
{
    wrong_queue("      tile = load number[turn; 0]\n      warp_sync\n"
                "      mbarrier_arrive heard[turn]\n",
                "      mbarrier_arrive heard[turn]\n      tile = load number[turn; 0]\n", "race");
}

static void queue_told_early(void **state)
{
    wrong_queue("      store number[turn; 0] = tile\n      warp_sync\n"
                "      mbarrier_arrive told[turn]\n",
                "      mbarrier_arrive told[turn]\n      store number[turn; 0] = tile\n", "race");
}

static void queue_not_awaited(void **state)
{
    wrong_queue("      mbarrier_wait told[turn]\n", "", "uninitialised-shared");
}

static void reduce_not_fenced(void **state)
{
    wrong_reduce("    proxy_fence shared\n", "", "proxy-fence");
}

static void reduce_not_met(void **state)
{
    wrong_reduce("    proxy_fence shared\n    barrier\n", "    proxy_fence shared\n",
                 "race-async-operation");
}

static void reduce_overwritten(void **state)
{
    wrong_reduce("bulk_wait 1 {read=1}", "bulk_wait 2 {read=1}", "race-async-operation");
}

static void reduce_not_drained(void **state)
{
    wrong_reduce("  bulk_wait 0 {read=1}\n", "", "async-operation-at-exit");
}

// Updates go together with each other, but not with what threads write.
static void reduce_and_store(void **state)
{
    wrong_reduce("    bulk_commit\n",
                 "    bulk_commit\n    store most[0.. + R, n*C.. + C] = full(1, [R, C])\n", "race");
}

// bulk_pair.kg with one passage replaced, and what the machine must find then.
static void wrong_pair(const char *passage, const char *instead, const char *finds, bool strict)
{
    char wrong[TEXT];
    if (getenv("KGEN_PROGRAMS_DRIVER")) return; // findings are the cpu device's
    replace("bulk_pair.kg", passage, instead, wrong);
    program_case c = of("bulk_pair.kg, but wrong");
    c.source = wrong;
    c.finds = finds;
    c.strict = strict;
    program_add(&c, "a", "bf16", IN, 0, 128 * 520);
    program_add(&c, "b", "bf16", IN, 0, 520 * 128);
    program_add(&c, "c", "f32", OUT, 0, 128 * 128);
    program_scalar(&c, "M", 128);
    program_scalar(&c, "N", 128);
    program_scalar(&c, "K", 520);
    program_run(&c);
}

static void pair_not_published(void **state)
{
    wrong_pair("  cluster_barrier\n  warps", "  barrier\n  warps", "peer-not-started", false);
}

static void pair_ends_early(void **state)
{
    wrong_pair("  }\n  cluster_barrier\n", "  }\n", "peer-exited", false);
}

// Readers that tell their own CTA alone, twice: the other one refills their slot too early.
static void pair_refills_too_early(void **state)
{
    wrong_pair("mbarrier_arrive empty[k] {cluster=1}\n",
               "mbarrier_arrive empty[k]\n      mbarrier_arrive empty[k]\n", "race-async-operation",
               false);
}

// The producer waits for the readers of both CTAs, and learns of those of its own. These are
// products, and hardware tells all that they are over: only the letter of the ISA is against it.
static void pair_waits_for_own(void **state)
{
    wrong_pair("{behind=1, cluster=1}", "{behind=1}", "cluster-scope", true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ring),
        cmocka_unit_test(registers),
        cmocka_unit_test(store),
        cmocka_unit_test(queue),
        cmocka_unit_test(queue_overwritten),
        cmocka_unit_test(queue_heard_early),
        cmocka_unit_test(queue_told_early),
        cmocka_unit_test(queue_not_awaited),
        cmocka_unit_test(reduce),
        cmocka_unit_test(reduce_not_fenced),
        cmocka_unit_test(reduce_not_met),
        cmocka_unit_test(reduce_overwritten),
        cmocka_unit_test(reduce_not_drained),
        cmocka_unit_test(reduce_and_store),
        cmocka_unit_test(views),
        cmocka_unit_test(pair),
        cmocka_unit_test(pair_derived),
        cmocka_unit_test(pair_not_published),
        cmocka_unit_test(pair_waits_for_own),
        cmocka_unit_test(pair_ends_early),
        cmocka_unit_test(pair_refills_too_early),
    };
    return cmocka_run_group_tests_name("bulk", tests, NULL, NULL);
}
