// SPDX-License-Identifier: MIT
// Views, bounds, gathers, copies, atomics, rings: every way to and from memory.
#include "tests/programs/harness.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#define IN PROGRAM_INPUT
#define OUT PROGRAM_OUTPUT
#define ZEROED PROGRAM_ZEROED

static void vector_add_with_tails(void **state)
{
    static const int64_t sizes[] = {1, 31, 1000, 1024, 1025, 4100};
    for (int i = 0; i < 6; i++)
        for (int align = 1; align <= 4; align *= 4) {
            char source[512];
            int64_t n = sizes[i];
            if (n % align) continue;
            snprintf(source, sizeof source,
                     "kernel add(a: global f32[N], b: global f32[N], c: global f32[N])\n"
                     "  assume N %% %d == 0\n  grid i: ceildiv(N, 1024)\n{\n"
                     "  store c[i*1024..] = load a[i*1024.. + 1024] + load b[i*1024.. + 1024]\n}\n",
                     align);
            program_case c = {.file = "add", .source = source};
            double *a = program_add(&c, "a", "f32", IN, 0, n),
                   *b = program_add(&c, "b", "f32", IN, 0, n);
            double *y = program_add(&c, "c", "f32", OUT, 1e-6, n);
            program_scalar(&c, "N", n);
            for (int64_t k = 0; k < n; k++) y[k] = a[k] + b[k];
            program_run(&c);
        }
}

// A start below zero is an offset below zero in the address of an access.
static void negative_starts(void **state)
{
    program_case c = {.file = "crop",
                      .source = "kernel crop(x: global f32[N], y: global f32[N])\n{\n"
                                "  store y[-5..] = load x[-3.. + 64]\n}\n"};
    int64_t n = 70;
    double *x = program_add(&c, "x", "f32", IN, 0, n),
           *y = program_add(&c, "y", "f32", ZEROED, 0, n);
    program_scalar(&c, "N", n);
    for (int64_t i = 5; i < 64; i++) y[i - 5] = x[i - 3];
    program_run(&c);
}

static void out_of_bounds_reads(void **state)
{
    program_case c = {
        .file = "shift",
        .source = "kernel shift(x: global i32[M, N], y: global i32[4, 8, 16])\n"
                  "  grid g: 4\n{\n"
                  "  store y[g, .., ..] = load x[(g - 1) * 5 - 2 .. + 8, g * 6 - 3 .. + 16]\n}\n"};
    int64_t m = 9, n = 13;
    double *x = program_add(&c, "x", "i32", IN, 0, m * n),
           *y = program_add(&c, "y", "i32", OUT, 0, 512);
    program_scalar(&c, "M", m);
    program_scalar(&c, "N", n);
    for (int64_t g = 0; g < 4; g++)
        for (int64_t i = 0; i < 8; i++)
            for (int64_t j = 0; j < 16; j++) {
                int64_t r = (g - 1) * 5 - 2 + i, k = g * 6 - 3 + j;
                bool inside = r >= 0 && r < m && k >= 0 && k < n;
                y[(g * 8 + i) * 16 + j] = inside ? x[r * n + k] : 0;
            }
    program_run(&c);
}

static void fixed_indices_out_of_bounds(void **state)
{
    program_case c = {.file = "neighbours",
                      .source = "kernel neighbours(x: global f32[R, 64], y: global f32[R, 64])\n"
                                "  warps 2\n  grid r: R\n{\n"
                                "  store y[r, ..] = load x[r - 1, .. ] + load x[r + 1, ..]\n"
                                "  store y[r + 1000, ..] = zeros(f32, [64])\n}\n"};
    int64_t rows = 5;
    double *x = program_add(&c, "x", "f32", IN, 0, rows * 64),
           *y = program_add(&c, "y", "f32", OUT, 1e-6, rows * 64);
    program_scalar(&c, "R", rows);
    for (int64_t r = 0; r < rows; r++)
        for (int k = 0; k < 64; k++)
            y[r * 64 + k] =
                (r ? x[(r - 1) * 64 + k] : 0) + (r + 1 < rows ? x[(r + 1) * 64 + k] : 0);
    program_run(&c);
}

static void strides_and_many_dimensions(void **state)
{
    program_case c = {
        .file = "strided",
        .source = "kernel strided(x: global f32[B, H, S, 32] strides [S*H*32, 32, H*32, 1],\n"
                  "               y: global f32[B, H, S, 32])\n"
                  "  grid b: B, h: H\n{\n"
                  "  for i in 0 .. ceildiv(S, 16) {\n"
                  "    store y[b, h, i*16.., ..] = load x[b, h, i*16.. + 16, ..] * 2.0\n  }\n}\n"};
    int64_t b = 2, h = 3, s = 21;
    double *x = program_add(&c, "x", "f32", IN, 0, b * h * s * 32);
    double *y = program_add(&c, "y", "f32", OUT, 1e-6, b * h * s * 32);
    program_scalar(&c, "B", b);
    program_scalar(&c, "H", h);
    program_scalar(&c, "S", s);
    for (int64_t i = 0; i < b; i++)
        for (int64_t j = 0; j < h; j++)
            for (int64_t k = 0; k < s; k++)
                for (int64_t d = 0; d < 32; d++)
                    y[((i * h + j) * s + k) * 32 + d] = 2 * x[((i * s + k) * h + j) * 32 + d];
    program_run(&c);
}

static void masks_and_else(void **state)
{
    program_case c = {
        .file = "masked",
        .source =
            "kernel masked(x: global f32[N], y: global f32[N])\n  grid i: ceildiv(N, 256)\n{\n"
            "  at = i*256 + iota(256)\n"
            "  v = load x[i*256.. + 256] where at % 3 == 0 else -7.0\n"
            "  store y[i*256..] = v where at % 5 != 0\n"
            "  store y[i*256..] = v + 100.0 where at % 5 == 0\n}\n"};
    int64_t n = 600;
    double *x = program_add(&c, "x", "f32", IN, 0, n),
           *y = program_add(&c, "y", "f32", OUT, 1e-6, n);
    program_scalar(&c, "N", n);
    for (int64_t k = 0; k < n; k++) y[k] = (k % 3 ? -7 : x[k]) + (k % 5 ? 0 : 100);
    program_run(&c);
}

static void gathers(void **state)
{
    static const char *const bodies[] = {
        "  store y[b*32.., ..] = load t[id, ..]\n", // straight into registers
        "  shared s: f32[32, 64] = load t[id, ..]\n  store y[b*32.., ..] = load s\n",
    };
    for (int i = 0; i < 2; i++) {
        char source[512];
        snprintf(source, sizeof source,
                 "kernel gather(t: global f32[V, 64], ids: global i32[N], y: global f32[N, 64])\n"
                 "  grid b: ceildiv(N, 32)\n{\n  id = load ids[b*32.. + 32]\n%s}\n",
                 bodies[i]);
        program_case c = {.file = bodies[i], .source = source};
        int64_t v = 20, n = 70;
        double *t = program_add(&c, "t", "f32", IN, 0, v * 64),
               *ids = program_add(&c, "ids", "i32", IN, 0, n);
        double *y = program_add(&c, "y", "f32", OUT, 0, n * 64);
        program_scalar(&c, "V", v);
        program_scalar(&c, "N", n);
        for (int64_t r = 0; r < n; r++) {
            ids[r] = (double)((r * 7) % 23 - 1); // some outside
            for (int k = 0; k < 64; k++) {
                bool inside = ids[r] >= 0 && ids[r] < (double)v;
                y[r * 64 + k] = inside ? t[(int64_t)ids[r] * 64 + k] : 0;
            }
        }
        program_run(&c);
    }
}

static void gathered_columns(void **state)
{
    program_case c = {
        .file = "columns",
        .source =
            "kernel columns(x: global f32[16, N], p: global i32[32], y: global f32[16, 32])\n"
            "  warps 2\n{\n  id = load p[0.. + 32]\n  store y[.., ..] = load x[0.. + 16, id]\n}\n"};
    int64_t n = 40;
    double *x = program_add(&c, "x", "f32", IN, 0, 16 * n),
           *p = program_add(&c, "p", "i32", IN, 0, 32);
    double *y = program_add(&c, "y", "f32", OUT, 0, 16 * 32);
    program_scalar(&c, "N", n);
    for (int k = 0; k < 32; k++) p[k] = (k * 11) % 45;
    for (int r = 0; r < 16; r++)
        for (int k = 0; k < 32; k++)
            y[r * 32 + k] = p[k] < (double)n ? x[r * n + (int64_t)p[k]] : 0;
    program_run(&c);
}

// Copies of every width and shape, also by threads that do not divide the tile.
// What is gathered from shared memory by indices that the text alone tells, in rows and in columns:
// bits of the coordinate in other places, with a loop's index on top, and what is no such thing.
typedef struct known_gather {
    const char *index;
    int64_t of_coordinate[64]; // filled below
    int64_t of_loop;           // times the loop's index
} known_gather;

static void run_known_gather(const known_gather *g, bool rows)
{
    char source[512];
    snprintf(source, sizeof source,
             "kernel known(x: global f32[64, 64], y: global f32[4, 64, 64])\n  warps 4\n{\n"
             "  shared s: f32[64, 64] = load x\n  for i in 0 .. 4 {\n"
             "    store y[i, .., ..] = load s[%s, %s]\n  }\n}\n",
             rows ? g->index : ".. + 64", rows ? ".. + 64" : g->index);
    program_case c = {.file = g->index, .source = source};
    double *x = program_add(&c, "x", "f32", IN, 0, 64 * 64),
           *y = program_add(&c, "y", "f32", OUT, 0, 4 * 64 * 64);
    for (int64_t i = 0; i < 4; i++)
        for (int64_t r = 0; r < 64; r++)
            for (int64_t k = 0; k < 64; k++) {
                int64_t at = g->of_coordinate[rows ? r : k] + i * g->of_loop;
                y[(i * 64 + r) * 64 + k] = rows ? x[at * 64 + k] : x[r * 64 + at];
            }
    program_run(&c);
}

static void known_gathers(void **state)
{
    known_gather all[] = {{"iota(64) / 16 * 16 + i*4 + 3", {0}, 4},
                          {"iota(64) % 16 * 4 + i", {0}, 1},
                          {"i*3 + iota(64) / 4 + 5", {0}, 3},
                          {"iota(64) % 8 * 8 + iota(64) / 8", {0}, 0},
                          {"63 - iota(64)", {0}, 0},
                          {"iota(64) * 5 % 64", {0}, 0},
                          {"iota(64) / 2 + i*8", {0}, 8}};
    for (int64_t at = 0; at < 64; at++) {
        const int64_t of[] = {at / 16 * 16 + 3, at % 16 * 4, at / 4 + 5, at % 8 * 8 + at / 8,
                              63 - at,          at * 5 % 64, at / 2};
        for (int n = 0; n < 7; n++) all[n].of_coordinate[at] = of[n];
    }
    for (int n = 0; n < 7; n++)
        for (int rows = 0; rows < 2; rows++) run_known_gather(&all[n], rows);
}

// Written in other places and read back as they lie.
static void known_scatter(void **state)
{
    program_case c = {.file = "scatter",
                      .source = "kernel scatter(x: global f32[64, 64], y: global f32[64, 64])\n"
                                "  warps 4\n{\n  shared s: f32[64, 64]\n"
                                "  store transpose(s[.. + 64, iota(64) % 8 * 8 + iota(64) / 8])"
                                " = load x\n  store y = load s\n}\n"};
    double *x = program_add(&c, "x", "f32", IN, 0, 64 * 64),
           *y = program_add(&c, "y", "f32", OUT, 0, 64 * 64);
    for (int64_t r = 0; r < 64; r++)
        for (int64_t k = 0; k < 64; k++) y[k * 64 + r % 8 * 8 + r / 8] = x[r * 64 + k];
    program_run(&c);
}

// Rows one behind the other that end somewhere, as indices: read into registers and into a buffer,
// and written, where they are in the tensor too.
static void limited_rows(void **state)
{
    static const int64_t ends[][2] = {{0, 32}, {5, 20}, {-3, 10}, {60, 200}, {40, 40}};
    int64_t n = 70;
    for (int i = 0; i < 5; i++) {
        int64_t first = ends[i][0], end = ends[i][1];
        program_case c = {
            .file = "rows",
            .source = "kernel rows(x: global f32[N, 64], y: global f32[2, 32, 64],\n"
                      "            z: global f32[N, 64], first: i32, end: i32)\n  warps 4\n{\n"
                      "  t = first + iota(32)\n  at = select(t < end, t, -1)\n"
                      "  shared s: f32[32, 64] = load x[at, ..]\n  r = load x[at, ..]\n"
                      "  store y[0, .., ..] = load s\n  store y[1, .., ..] = r\n"
                      "  store z[at, ..] = r * 2.0\n}\n"};
        double *x = program_add(&c, "x", "f32", IN, 0, n * 64),
               *y = program_add(&c, "y", "f32", OUT, 0, 2 * 32 * 64),
               *z = program_add(&c, "z", "f32", ZEROED, 0, n * 64);
        program_scalar(&c, "first", first);
        program_scalar(&c, "end", end);
        program_scalar(&c, "N", n);
        for (int64_t r = 0; r < 32; r++)
            for (int64_t k = 0; k < 64; k++) {
                int64_t at = first + r;
                bool inside = at < end && at >= 0 && at < n;
                y[r * 64 + k] = y[(32 + r) * 64 + k] = inside ? x[at * 64 + k] : 0;
                if (inside) z[at * 64 + k] = 2 * x[at * 64 + k];
            }
        program_run(&c);
    }
}

static void copies(void **state)
{
    static const struct {
        const char *dtype;
        int rows, columns, warps, stride;
    } cases[] = {
        {"f32", 32, 32, 4, 32}, {"f16", 64, 64, 4, 64}, {"i8", 16, 48, 3, 48},
        {"f32", 20, 12, 2, 13}, {"f16", 7, 24, 1, 25},  {"f16", 100, 8, 4, 8},
        {"f64", 9, 10, 2, 10},  {"i8", 5, 3, 1, 3},     {"f32", 48, 40, 6, 44},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (int mode = 0; mode < 2; mode++) {
            char source[1024];
            int r = cases[i].rows, k = cases[i].columns, w = cases[i].stride;
            const char *t = cases[i].dtype;
            snprintf(source, sizeof source,
                     "kernel copies(x: global %s[R, W], y: global %s[%d, %d])\n  warps %d\n{\n"
                     "%s  shared s: %s[%d, %d] = load x[2.., 0..]\n"
                     "  store y[.., ..] = load s%s\n}\n",
                     t, t, mode ? r * 3 : r, k, cases[i].warps,
                     mode ? "  for i in 0 .. 3 pipeline 2 {\n" : "", t, r, k, mode ? "\n  }" : "");
            if (mode)
                snprintf(source, sizeof source,
                         "kernel copies(x: global %s[R, W], y: global %s[%d, %d])\n  warps %d\n{\n"
                         "  for i in 0 .. 3 pipeline 2 {\n"
                         "    shared s: %s[%d, %d] = load x[i*%d.., 0..]\n"
                         "    store y[i*%d.., ..] = load s\n  }\n}\n",
                         t, t, r * 3, k, cases[i].warps, t, r, k, r, r);
            program_case c = {.file = source, .source = source};
            int64_t rows = mode ? 2 * r + 3 : r + 1;
            double *x = program_add(&c, "x", t, IN, 0, rows * w);
            int64_t out_rows = mode ? 3 * r : r, shift = mode ? 0 : 2;
            double *y = program_add(&c, "y", t, OUT, 0, out_rows * k);
            program_scalar(&c, "R", rows);
            program_scalar(&c, "W", w);
            for (int64_t a = 0; a < out_rows; a++)
                for (int64_t b = 0; b < k; b++)
                    y[a * k + b] = a + shift < rows && b < w ? x[(a + shift) * w + b] : 0;
            program_run(&c);
        }
}

static void atomics(void **state)
{
    program_case c = {.file = "bins",
                      .source =
                          "kernel bins(x: global i32[N], h: global i32[64], most: global i32[1], "
                          "total: global f32[1])\n  grid b: ceildiv(N, 512)\n{\n"
                          "  at = b*512 + iota(512)\n  v = load x[b*512.. + 512]\n"
                          "  atomic_add h[v & 63] = full(1, [512]) where at < N\n"
                          "  atomic_max most[0] = max(v)\n"
                          "  atomic_add total[0] = sum(cast(v, f32))\n}\n"};
    int64_t n = 1500;
    double *x = program_add(&c, "x", "i32", IN, 0, n),
           *h = program_add(&c, "h", "i32", ZEROED, 0, 64);
    double *most = program_add(&c, "most", "i32", ZEROED, 0, 1);
    double *total = program_add(&c, "total", "f32", ZEROED, 1e-4, 1);
    program_scalar(&c, "N", n);
    for (int64_t k = 0; k < n; k++) {
        h[(int64_t)x[k] & 63]++;
        most[0] = fmax(most[0], x[k]);
        total[0] += x[k];
    }
    program_run(&c);
}

static void rings_of_every_size(void **state)
{
    for (int stages = 2; stages <= 5; stages++)
        for (int64_t n = 0; n <= 7; n += stages == 3 ? 1 : 7) {
            char source[512];
            snprintf(source, sizeof source,
                     "kernel ring(x: global f32[8, 128], y: global f32[128], n: i32)\n{\n"
                     "  frag sum: f32[128] = 0.0\n  for i in 0 .. n pipeline %d {\n"
                     "    shared s: f32[128] = load x[i, ..]\n    sum += load s\n  }\n"
                     "  store y[..] = sum\n}\n",
                     stages);
            program_case c = {.file = source, .source = source};
            double *x = program_add(&c, "x", "f32", IN, 0, 8 * 128);
            double *y = program_add(&c, "y", "f32", OUT, 1e-5, 128);
            program_scalar(&c, "n", n);
            for (int k = 0; k < 128; k++) {
                y[k] = 0;
                for (int64_t i = 0; i < n; i++) y[k] += x[i * 128 + k];
            }
            program_run(&c);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vector_add_with_tails),
        cmocka_unit_test(negative_starts),
        cmocka_unit_test(out_of_bounds_reads),
        cmocka_unit_test(fixed_indices_out_of_bounds),
        cmocka_unit_test(strides_and_many_dimensions),
        cmocka_unit_test(masks_and_else),
        cmocka_unit_test(gathers),
        cmocka_unit_test(gathered_columns),
        cmocka_unit_test(known_gathers),
        cmocka_unit_test(known_scatter),
        cmocka_unit_test(limited_rows),
        cmocka_unit_test(copies),
        cmocka_unit_test(atomics),
        cmocka_unit_test(rings_of_every_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
