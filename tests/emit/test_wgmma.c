// SPDX-License-Identifier: MIT
// wgmma: every number of columns, K along rows or across them, operands in shared memory or in
// registers, swizzles of all sizes, panels, rings, several blocks of rows and several warpgroups.
// Products are compared with f64 on the PTX machine in every completion mode, and nothing may be
// found. With ptxas: no complaint, no spill.
//   test_emit_wgmma [PTXAS [TEST]]
//
// The programs have all of their synchronization by hand, so that this tests code generation alone.
#include "tests/programs/assemble.h"
#include "tests/programs/harness.h"
#include "tests/programs/synced.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define IN PROGRAM_INPUT
#define OUT PROGRAM_OUTPUT

static const char *ptxas;

typedef struct product {
    const char *type;
    int m, n, k, warps, ring;
    bool a_column, b_column; // stored [K, M], [N, K]
    bool a_in_registers;
    bool in_flight; // a group stays in flight over the end of a trip
} product;

enum { SOURCE = 4096 };

static void show(const kgen_diagnostic *d, void *user)
{
    fputs(d->rendered, stderr);
}

// ---- ptxas --------------------------------------------------------------------------------------

static void assemble(const char *name, const char *source)
{
    kgen_context *context = NULL;
    kgen_program *program = NULL;
    size_t length;
    if (!ptxas) return;
    assert_int_equal(kgen_context_create(&(kgen_options){.diagnostic = show}, &context), KGEN_OK);
    kgen_compile_options options = {.name = name, .target = "sm_90a"};
    assert_int_equal(program_compile_synced(context, source, strlen(source), &options, &program),
                     KGEN_OK);
    const char *ptx = kgen_program_ptx(program, &length);
    program_assemble(ptxas, name, "sm_90a", ptx, length);
    kgen_program_free(program);
    kgen_context_free(context);
}

// ---- one product --------------------------------------------------------------------------------

static void write_source(const product *p, char *out)
{
    char a_tile[32], b_tile[32], load_a[160] = "", a[64];
    snprintf(a_tile, sizeof a_tile, p->a_column ? "%d, %d" : "%2$d, %1$d", p->k, p->m);
    snprintf(b_tile, sizeof b_tile, p->b_column ? "%d, %d" : "%2$d, %1$d", p->n, p->k);
    const char *from = p->a_column ? "k*BK.., 0.." : "0.., k*BK..";
    snprintf(a, sizeof a, p->a_column ? "transpose(sa[k])" : "sa[k]");
    if (p->a_in_registers) {
        snprintf(a, sizeof a, "af");
        snprintf(load_a, sizeof load_a, "    frag af: %s[BM, BK] = load a[%s]\n", p->type, from);
    } else {
        snprintf(load_a, sizeof load_a, "    copy sa[k] = a[%s]\n", from);
    }
    snprintf(out, SOURCE,
             "kernel mm(a: global %s[%s], b: global %s[%s], c: global f32[M, N], M: i32, N: i32, "
             "K: i32)\n  const BM = %d, BN = %d, BK = %d, RING = %d\n"
             "  assume M %% 8 == 0, N %% 8 == 0, K %% 8 == 0\n  warps %d\n  grid x: 1\n{\n"
             "  shared sa: %s[%s] ring RING\n  shared sb: %s[%s] ring RING\n"
             "  frag acc: f32[BM, BN] = 0.0\n  for k in 0 .. K / BK {\n%s"
             "    copy sb[k] = b[%s]\n    proxy_fence shared\n    barrier\n    wgmma_fence\n"
             "    acc = wgmma(%s, %s, acc)\n    wgmma_commit\n    wgmma_wait %d\n%s  }\n%s"
             "  store c[0.., 0..] = acc\n}\n",
             p->type, p->a_column ? "K, M" : "M, K", p->type, p->b_column ? "N, K" : "K, N", p->m,
             p->n, p->k, p->ring, p->warps, p->type, a_tile, p->type, b_tile, load_a,
             p->b_column ? "0.., k*BK.." : "k*BK.., 0..", a,
             p->b_column ? "transpose(sb[k])" : "sb[k]", p->in_flight,
             p->ring == 1 ? "    barrier\n" : "", p->in_flight ? "  wgmma_wait 0\n" : "");
}

// c = a b, by hand: as p says, but for the sizes.
static void add_product(program_case *c, const product *p, int64_t m, int64_t n, int64_t k)
{
    double *a = program_add(c, "a", p->type, IN, 0, m * k);
    double *b = program_add(c, "b", p->type, IN, 0, k * n);
    double *y = program_add(c, "c", "f32", OUT, 2e-5, m * n);
    program_scalar(c, "M", m);
    program_scalar(c, "N", n);
    program_scalar(c, "K", k);
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++)
            for (int64_t l = 0; l < k; l++)
                y[i * n + j] +=
                    a[p->a_column ? l * m + i : i * k + l] * b[p->b_column ? j * k + l : l * n + j];
}

static void run_product(const product *p)
{
    char source[SOURCE], name[96];
    int64_t m = p->m, n = p->n, k = 3 * p->k;
    write_source(p, source);
    snprintf(name, sizeof name, "%dx%dx%d %s%s%s%s ring %d", p->m, p->n, p->k, p->type,
             p->a_column ? " A by columns" : "", p->b_column ? " B by columns" : "",
             p->a_in_registers ? " A in registers" : "", p->ring);
    program_case c = {.file = name, .source = source, .target = "sm_90a", .synced = true};
    add_product(&c, p, m, n, k);
    program_run(&c);
    assemble(name, source);
}

// Every number of columns; rows of N where they make whole lines of 32 bytes, else of K.
static void columns(void **state)
{
    for (int n = 8; n <= 256; n += 8) {
        product p = {n % 16 ? "f16" : "bf16", 64, n, n % 3 ? 64 : 16, 4, 1, .b_column = n % 16};
        run_product(&p);
    }
}

// Rows of 32, 64 and 128 bytes and panels of each, either way round.
static void majors(void **state)
{
    static const int depths[] = {16, 32, 48, 64, 96, 112, 128};
    for (int i = 0; i < 7; i++)
        for (int way = 0; way < 4; way++) {
            product p = {way & 1 ? "bf16" : "f16", 64, 32 << i % 3, depths[i], 4, 1 + i % 2};
            p.a_column = way & 1;
            p.b_column = way & 2;
            run_product(&p);
        }
}

static const product shapes[] = {
    {"bf16", 128, 128, 64, 8, 3, false, false, false, true},
    {"bf16", 128, 256, 64, 8, 3, false, false, false, true},
    {"f16", 256, 128, 64, 8, 2, false, true, false, false},
    {"f16", 192, 96, 32, 4, 2, false, false, false, false},
    {"bf16", 64, 256, 64, 8, 2, true, false, false, false},
    {"f16", 64, 512, 32, 8, 2, false, true, false, false},
    {"bf16", 128, 64, 64, 4, 3, true, true, false, true},
    {"bf16", 128, 192, 64, 8, 4, false, false, false, true},
    {"bf16", 128, 208, 64, 8, 2, false, true, false, false},
    {"bf16", 128, 176, 64, 8, 2, false, false, false, false},
};

static void tiles(void **state)
{
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) run_product(&shapes[i]);
}

static void registers(void **state)
{
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        product p = shapes[i];
        p.a_in_registers = true;
        p.a_column = p.in_flight = false;
        if (p.m < 256) run_product(&p);
    }
}

// ---- chains of products -------------------------------------------------------------------------

// A product's result, halved and cast, is the A operand of the next one, whose accumulator lasts
// over the loop: what attention does. Two products are in flight at once.
static const char chain_source[] =
    "kernel chain(q: global bf16[64, 64], k: global bf16[N, 64], v: global bf16[N, 64],\n"
    "             o: global f32[64, 64], N: i32)\n"
    "  warps 4\n  grid x: 1\n{\n"
    "  shared sq: bf16[64, 64]\n  shared sk: bf16[32, 64] ring 3\n  shared sv: bf16[32, 64] ring "
    "3\n"
    "  frag acc: f32[64, 64] = 0.0\n  frag p: bf16[64, 32] = 0.0\n"
    "  copy sq = q[0.., 0..]\n  copy sv[-1] = v[0.., 0..]\n"
    "  for i in 0 .. N / 32 {\n"
    "    copy sk[i] = k[i*32.., 0..]\n    copy sv[i] = v[i*32.., 0..]\n"
    "    proxy_fence shared\n    barrier\n    wgmma_fence\n"
    "    s = wgmma(sq, transpose(sk[i]), 0.0)\n    wgmma_commit\n"
    "    acc = wgmma(p, sv[i - 1], acc)\n    wgmma_commit\n"
    "    wgmma_wait 1\n    scaled = s * 0.5\n"
    "    wgmma_wait 0\n    p = cast(scaled, bf16)\n  }\n"
    "  proxy_fence shared\n  barrier\n  wgmma_fence\n  acc = wgmma(p, sv[N / 32 - 1], acc)\n  "
    "wgmma_commit\n  wgmma_wait 0\n"
    "  store o[0.., 0..] = acc\n}\n";

static double as_bf16(double x)
{
    union {
        float f;
        uint32_t bits;
    } u = {.f = (float)x};
    u.bits = (u.bits + 0x7fff + (u.bits >> 16 & 1)) & 0xffff0000u;
    return u.f;
}

static void chain(void **state)
{
    enum { D = 64, N = 96 };
    program_case c = {.file = "chain", .source = chain_source, .target = "sm_90a", .synced = true};
    double *q = program_add(&c, "q", "bf16", IN, 0, 64 * D);
    double *k = program_add(&c, "k", "bf16", IN, 0, N * D);
    double *v = program_add(&c, "v", "bf16", IN, 0, N * D);
    double *o = program_add(&c, "o", "f32", OUT, 2e-2, 64 * D);
    program_scalar(&c, "N", N);
    for (int i = 0; i < 64; i++)
        for (int j = 0; j < N; j++) {
            double s = 0;
            for (int d = 0; d < D; d++) s += q[i * D + d] * k[j * D + d];
            for (int d = 0; d < D; d++) o[i * D + d] += as_bf16(s * 0.5) * v[j * D + d];
        }
    program_run(&c);
    assemble("chain", chain_source);
}

// ---- stores of accumulators ---------------------------------------------------------------------

// Cast to 16 bits, by rows and by columns, through buffers that the copy engine empties.
static void run_store(const char *type, int m, int n, int warps)
{
    enum { K = 64 };
    char source[SOURCE], name[64];
    snprintf(name, sizeof name, "store %dx%d %s", m, n, type);
    snprintf(source, sizeof source,
             "kernel st(a: global %s[%d, 64], b: global %s[%d, 64], c: global %s[%d, %d],\n"
             "          d: global %s[%d, %d])\n  warps %d\n  grid x: 1\n{\n"
             "  shared sa: %s[%d, 64]\n  shared sb: %s[%d, 64]\n"
             "  shared sc: %s[%d, %d]\n  shared sd: %s[%d, %d]\n"
             "  copy sa = a[0.., 0..]\n  copy sb = b[0.., 0..]\n  proxy_fence shared\n  barrier\n"
             "  wgmma_fence\n  s = wgmma(sa, transpose(sb), 0.0)\n  wgmma_commit\n"
             "  wgmma_wait 0\n"
             "  store sc = cast(s, %s)\n  store transpose(sd) = cast(s * 2.0, %s)\n"
             "  proxy_fence shared\n  barrier\n"
             "  store_bulk c[0.., 0..] = sc\n  store_bulk d[0.., 0..] = sd\n"
             "  bulk_commit\n  bulk_wait 0\n}\n",
             type, m, type, n, type, m, n, type, n, m, warps, type, m, type, n, type, m, n, type, n,
             m, type, type);
    program_case c = {.file = name, .source = source, .target = "sm_90a", .synced = true};
    double *a = program_add(&c, "a", type, IN, 0, m * K);
    double *b = program_add(&c, "b", type, IN, 0, n * K);
    double *by_rows = program_add(&c, "c", type, OUT, 1e-2, (int64_t)m * n);
    double *by_columns = program_add(&c, "d", type, OUT, 1e-2, (int64_t)m * n);
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j++) {
            for (int k = 0; k < K; k++) by_rows[i * n + j] += a[i * K + k] * b[j * K + k];
            by_columns[j * m + i] = 2 * by_rows[i * n + j];
        }
    program_run(&c);
    assemble(name, source);
}

static void stores(void **state)
{
    static const int columns_of[] = {16, 24, 32, 40, 64, 96, 128, 192};
    for (int i = 0; i < 8; i++) {
        run_store(i % 2 ? "f16" : "bf16", 64, columns_of[i], 4);
        run_store(i % 2 ? "bf16" : "f16", 128, columns_of[i], 8);
    }
}

// ---- with the copy engine -----------------------------------------------------------------------

static const char roles_source[] =
    "kernel roles(a: global bf16[M, K], b: global bf16[K, N], c: global f32[M, N], M: i32, N: "
    "i32,\n"
    "             K: i32)\n"
    "  const BM = 128, BN = 128, BK = 64, STAGES = 4\n"
    "  assume K % 8 == 0, N % 8 == 0\n  warps 12\n"
    "  grid n: ceildiv(N, BN), m: ceildiv(M, BM)\n{\n"
    "  shared sa: bf16[BM, BK] ring STAGES\n  shared sb: bf16[BK, BN] ring STAGES\n"
    "  shared full: i64[1] ring STAGES {arrivals=1}\n"
    "  shared empty: i64[1] ring STAGES {arrivals=8}\n"
    "  mbarrier_init full\n  mbarrier_init empty\n  barrier\n"
    "  warps 8 .. 9 as producer with {registers=24} {\n"
    "    for k in 0 .. ceildiv(K, BK) {\n"
    "      mbarrier_wait empty[k] {behind=1}\n"
    "      mbarrier_expect full[k] {bytes=32768}\n"
    "      copy_bulk sa[k] = a[m*BM.., k*BK..] on full[k]\n"
    "      copy_bulk sb[k] = b[k*BK.., n*BN..] on full[k]\n    }\n  }\n"
    "  warps 0 .. 8 as consumer with {registers=240} {\n"
    "    frag acc: f32[BM, BN] = 0.0\n"
    "    for k in 0 .. ceildiv(K, BK) {\n"
    "      mbarrier_wait full[k]\n      wgmma_fence\n"
    "      acc = wgmma(sa[k], sb[k], acc)\n      wgmma_commit\n      wgmma_wait 1\n"
    "      if k > 0 { mbarrier_arrive empty[k - 1] }\n    }\n"
    "    wgmma_wait 0\n    store c[m*BM.., n*BN..] = acc\n  }\n}\n";

static void roles(void **state)
{
    static const int64_t sizes[][3] = {{128, 128, 64}, {100, 72, 200}, {256, 136, 640}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        int64_t m = sizes[i][0], n = sizes[i][1], k = sizes[i][2];
        program_case c = {
            .file = "roles", .source = roles_source, .target = "sm_90a", .synced = true};
        add_product(&c, &(product){.type = "bf16"}, m, n, k);
        program_run(&c);
    }
    assemble("roles", roles_source);
}

int main(int argc, char **argv)
{
    if (argc > 1 && access(argv[1], X_OK) == 0) ptxas = argv[1];
    if (argc > 2) cmocka_set_test_filter(argv[2]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns),   cmocka_unit_test(majors), cmocka_unit_test(tiles),
        cmocka_unit_test(registers), cmocka_unit_test(chain),  cmocka_unit_test(roles),
        cmocka_unit_test(stores),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
