// SPDX-License-Identifier: MIT
// wgmma.cu as nvcc compiles it: the right variants run, clean, at every moment of completion and
// several orders of warps, with the results of f64; each planted mistake is found in all of them.
//   test_ptxm_wgmma_cuda PTX
#include "matrix.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *path;
enum { TILES = 7, BLOCKS = 3, TILE_A = 128 * 128, TILE_B = 64 * 128, VARIANTS = 6 };

static uint16_t a[128][64 * TILES], b[64][64 * TILES];   // [row][k]
static uint16_t q[64][64], k[64 * BLOCKS][64], v[64 * BLOCKS][64];

static void fill(uint16_t *halves, size_t count, uint64_t seed)
{
    for (size_t i = 0; i < count; i++) halves[i] = (uint16_t)format_random(F16, &seed);
}

// One tile: rows of 64 halves, 128 bytes each; chunks of 16 bytes move by the row's number.
static void tile(uint8_t *to, const uint16_t *from, size_t pitch, unsigned rows)
{
    for (unsigned r = 0; r < rows; r++)
        for (unsigned chunk = 0; chunk < 8; chunk++)
            memcpy(to + r * 128 + (chunk ^ (r & 7)) * 16, from + r * pitch + chunk * 8, 16);
}

static void vary(struct bench *bench, unsigned variant)
{
    static const enum ptxm_completion moments[] = {PTXM_EAGER, PTXM_LATE, PTXM_SEEDED};
    bench->options.completion = moments[variant % 3];
    bench->options.seed = variant < 2 ? 0 : variant * 11;
}

static double half(uint16_t bits)
{
    return format_value(F16, bits);
}

// ---- matmul ------------------------------------------------------------------------------------

static void run_matmul(struct bench *bench, int plant, float *c, size_t bytes)
{
    static uint8_t tiles[TILES * (TILE_A + TILE_B)];
    char name[32];
    snprintf(name, sizeof name, "matmul_%d", plant);
    fill(a[0], sizeof a / 2, 1);
    fill(b[0], sizeof b / 2, 2);
    for (unsigned t = 0; t < TILES; t++) {
        tile(tiles + t * (TILE_A + TILE_B), a[0] + t * 64, 64 * TILES, 128);
        tile(tiles + t * (TILE_A + TILE_B) + TILE_A, b[0] + t * 64, 64 * TILES, 64);
    }
    uint64_t in = bench_buffer(bench, sizeof tiles, tiles), out = bench_buffer(bench, bytes, NULL);
    RUN(bench, name, 1, 384, 3 * (TILE_A + TILE_B), out, in, TILES);
    bench_read(bench, out, c, bytes);
}

static void test_matmul(void **state)
{
    static float c[128][64];
    for (unsigned variant = 0; variant < VARIANTS; variant++) {
        struct bench bench;
        bench_load_file(&bench, path);
        vary(&bench, variant);
        run_matmul(&bench, 0, c[0], sizeof c);
        bench_clean(&bench);
        for (unsigned m = 0; m < 128; m++)
            for (unsigned n = 0; n < 64; n++) {
                double want = 0, size = 0;
                for (unsigned x = 0; x < 64 * TILES; x++) {
                    want += half(a[m][x]) * half(b[n][x]);
                    size += fabs(half(a[m][x]) * half(b[n][x]));
                }
                if (fabs(want - (double)c[m][n]) > size * 64 * TILES * 0x1p-24)
                    fail_msg("c[%u][%u] is %g, not %g", m, n, (double)c[m][n], want);
            }
        bench_free(&bench);
    }
}

static void test_matmul_planted(void **state)
{
    static const char *const rules[] = {NULL, "wgmma-fence", "race-async-operation",
                                        "race-async-operation", "wgmma-register-in-flight"};
    static float c[128][64];
    for (int plant = 1; plant < 5; plant++)
        for (unsigned variant = 0; variant < VARIANTS; variant++) {
            struct bench bench;
            bench_load_file(&bench, path);
            vary(&bench, variant);
            run_matmul(&bench, plant, c[0], sizeof c);
            bench_found(&bench, rules[plant]);
            for (size_t i = 0; i < ptxm_report_count(bench.report); i++)
                assert_string_equal(ptxm_report_finding(bench.report, i)->rule, rules[plant]);
            bench_free(&bench);
        }
}

// ---- attention ---------------------------------------------------------------------------------

static void run_attention(struct bench *bench, int plant, float *out, size_t bytes)
{
    static uint8_t tiles[(1 + 2 * BLOCKS) * TILE_B];
    char name[32];
    snprintf(name, sizeof name, "attention_%d", plant);
    fill(q[0], sizeof q / 2, 3);
    fill(k[0], sizeof k / 2, 4);
    fill(v[0], sizeof v / 2, 5);
    tile(tiles, q[0], 64, 64);
    for (unsigned block = 0; block < BLOCKS; block++) {
        tile(tiles + (1 + 2 * block) * TILE_B, k[64 * block], 64, 64);
        tile(tiles + (2 + 2 * block) * TILE_B, v[64 * block], 64, 64);
    }
    uint64_t in = bench_buffer(bench, sizeof tiles, tiles), o = bench_buffer(bench, bytes, NULL);
    RUN(bench, name, 1, 128, sizeof tiles, o, in, BLOCKS);
    bench_read(bench, o, out, bytes);
}

static void check_row(const float *out, unsigned m)
{
    double p[64 * BLOCKS], slack = 0;
    for (unsigned key = 0; key < 64 * BLOCKS; key++) {
        double score = 0;
        for (unsigned x = 0; x < 64; x++) score += half(q[m][x]) * half(k[key][x]);
        p[key] = score > 0 ? (key < 64 ? score : score * 0.5) : 0;
    }
    for (unsigned d = 0; d < 64; d++) {
        double want = 0;
        slack = 0;
        for (unsigned key = 0; key < 64 * BLOCKS; key++) {
            want += p[key] * half(v[key][d]);
            slack += (p[key] + 1) * fabs(half(v[key][d])) * 0x1p-11; // of p, as f16
        }
        if (fabs(want - (double)out[d]) > slack)
            fail_msg("o[%u][%u] is %g, not %g", m, d, (double)out[d], want);
    }
}

static void test_attention(void **state)
{
    static float out[64][64];
    for (unsigned variant = 0; variant < VARIANTS; variant++) {
        struct bench bench;
        bench_load_file(&bench, path);
        vary(&bench, variant);
        run_attention(&bench, 0, out[0], sizeof out);
        bench_clean(&bench);
        for (unsigned m = 0; m < 64; m++) check_row(out[m], m);
        bench_free(&bench);
    }
}

static void test_attention_planted(void **state)
{
    static const char *const rules[] = {NULL, "proxy-fence", "wgmma-fence",
                                        "wgmma-register-in-flight", "wgmma-register-in-flight"};
    static float out[64][64];
    for (int plant = 1; plant < 5; plant++)
        for (unsigned variant = 0; variant < VARIANTS; variant++) {
            struct bench bench;
            bench_load_file(&bench, path);
            vary(&bench, variant);
            run_attention(&bench, plant, out[0], sizeof out);
            bench_found(&bench, rules[plant]);
            for (size_t i = 0; i < ptxm_report_count(bench.report); i++)
                assert_string_equal(ptxm_report_finding(bench.report, i)->rule, rules[plant]);
            bench_free(&bench);
        }
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return 2;
    path = argv[1];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matmul),    cmocka_unit_test(test_matmul_planted),
        cmocka_unit_test(test_attention), cmocka_unit_test(test_attention_planted),
    };
    return cmocka_run_group_tests_name("ptxm wgmma cuda", tests, NULL, NULL);
}
