// SPDX-License-Identifier: MIT
// matmul.cu: what goes in, what must come out, what each planted error is found by. All values are
// small integers, so that every order of summation gives the same.
#include "trial.h"

#include <string.h>

static void tile_matmul(struct trial *t)
{
    enum { M = 32, N = 48, K = 37 };
    static float a[M * K], b[K * N], c[M * N];
    memset(c, 0, sizeof c);
    for (int i = 0; i < M * K; i++) a[i] = (float)(i * 5 % 7) - 3;
    for (int i = 0; i < K * N; i++) b[i] = (float)(i * 3 % 11) - 5;
    for (int i = 0; i < M; i++)
        for (int j = 0; j < N; j++)
            for (int k = 0; k < K; k++) c[i * N + j] += a[i * K + k] * b[k * N + j];
    uint64_t pa = trial_in(t, sizeof a, a), pb = trial_in(t, sizeof b, b),
             pc = trial_zeros(t, sizeof c);
    LAUNCH(t, ((struct shape){{3, 2, 1}, {16, 16, 1}, 0}), pa, pb, pc, N, K);
    trial_expect(t, pc, c, sizeof c);
}

static void double_buffer(struct trial *t)
{
    enum { TILES = 5 };
    float x[TILES * 64], out[64] = {0};
    for (int i = 0; i < TILES * 64; i++) x[i] = (float)(i * 7 % 13);
    for (int i = 0; i < 64; i++)
        for (int k = 0; k < TILES * 64; k++) out[i] += x[k] * (float)((k % 64 ^ i) & 3);
    uint64_t in = trial_in(t, sizeof x, x), to = trial_zeros(t, sizeof out);
    LAUNCH(t, LINE(1, 64), in, to, TILES);
    trial_expect(t, to, out, sizeof out);
}

static void copy_ring(struct trial *t)
{
    enum { TILES = 7 };
    float x[TILES * 128], out[128] = {0};
    for (int i = 0; i < TILES * 128; i++) x[i] = (float)(i * 11 % 29);
    for (int i = 0; i < 128; i++)
        for (int k = 0; k < TILES; k++) out[i] += x[k * 128 + i] + x[k * 128 + 127 - i];
    uint64_t in = trial_in(t, sizeof x, x), to = trial_zeros(t, sizeof out);
    LAUNCH(t, LINE(1, 128), in, to, TILES);
    trial_expect(t, to, out, sizeof out);
}

static void thread_pipeline(struct trial *t)
{
    enum { TILES = 6 };
    int x[TILES * 64], out[64] = {0};
    trial_numbers(x, TILES * 64, -100, 100);
    for (int i = 0; i < 64; i++)
        for (int k = 0; k < TILES; k++) out[i] += x[k * 64 + 63 - i] * (k + 1);
    uint64_t in = trial_in(t, sizeof x, x), to = trial_zeros(t, sizeof out);
    LAUNCH(t, LINE(1, 64), in, to, TILES);
    trial_expect(t, to, out, sizeof out);
}

static void wmma_matmul(struct trial *t)
{
    enum { K = 48 };
    static _Float16 a[32 * K], b[K * 32];
    float c[32 * 32] = {0};
    for (int i = 0; i < 32 * K; i++) a[i] = (_Float16)(i * 5 % 9 - 4);
    for (int i = 0; i < 32 * K; i++) b[i] = (_Float16)(i * 7 % 13 - 6);
    for (int i = 0; i < 32; i++)
        for (int j = 0; j < 32; j++)
            for (int k = 0; k < K; k++)
                c[i * 32 + 31 - j] += (float)a[i * K + k] * (float)b[k * 32 + j];
    uint64_t pa = trial_in(t, sizeof a, a), pb = trial_in(t, sizeof b, b),
             pc = trial_zeros(t, sizeof c);
    LAUNCH(t, LINE(1, 128), pa, pb, pc, K);
    trial_expect(t, pc, c, sizeof c);
}

static uint16_t bf16(float v)
{
    uint32_t bits;
    memcpy(&bits, &v, 4);
    return (uint16_t)(bits >> 16); // exact for small integers
}

static void wmma_types(struct trial *t)
{
    float av[512], out[32 * 8], f[256], tout[256];
    uint16_t a[512];
    int8_t q[256];
    int iout[256];
    double d[64], dout[64];
    for (int i = 0; i < 512; i++) a[i] = bf16(av[i] = (float)(i * 3 % 17 - 8));
    for (int i = 0; i < 256; i++) {
        q[i] = (int8_t)(i * 37);
        f[i] = (float)(i * 7 % 15 - 7);
    }
    for (int i = 0; i < 64; i++) d[i] = i * 0.5 - 3;
    for (int i = 0; i < 32; i++)
        for (int j = 0; j < 8; j++) {
            out[j * 32 + i] = 1;
            for (int k = 0; k < 16; k++) out[j * 32 + i] += av[k * 32 + i] * av[j * 16 + k];
        }
    for (int i = 0; i < 16; i++)
        for (int j = 0; j < 16; j++) {
            iout[i * 16 + j] = -5;
            for (int k = 0; k < 16; k++) iout[i * 16 + j] += q[i * 16 + k] * q[j * 16 + k];
            tout[i * 16 + j] = f[i * 16 + j];
            for (int k = 0; k < 8; k++) tout[i * 16 + j] += f[i * 8 + k] * f[j * 8 + k];
        }
    for (int i = 0; i < 8; i++)
        for (int j = 0; j < 8; j++) {
            dout[i * 8 + j] = d[i * 8 + j];
            for (int k = 0; k < 4; k++) dout[i * 8 + j] += d[i * 4 + k] * d[j * 4 + k];
        }
    uint64_t pa = trial_in(t, sizeof a, a), pq = trial_in(t, sizeof q, q),
             pf = trial_in(t, sizeof f, f), pd = trial_in(t, sizeof d, d),
             po = trial_zeros(t, sizeof out), pi = trial_zeros(t, sizeof iout),
             pt = trial_zeros(t, sizeof tout), pe = trial_zeros(t, sizeof dout);
    LAUNCH(t, LINE(1, 32), pa, pq, pf, pd, po, pi, pt, pe);
    trial_expect(t, po, out, sizeof out);
    trial_expect(t, pi, iout, sizeof iout);
    trial_expect(t, pt, tout, sizeof tout);
    trial_expect(t, pe, dout, sizeof dout);
}

const struct cuda_case matmul_cases[] = {
    {"tile_matmul", tile_matmul, {NULL, "race", "race", "global-bounds"}},
    {"double_buffer", double_buffer, {NULL, "race"}},
    {"copy_ring", copy_ring,
     {NULL, "race-async-copy", "race-async-copy", "race-async-copy|async-copy-uncommitted",
      "race-async-copy|race", "async-copy-at-exit", "race-async-copy"}},
    {"thread_pipeline", thread_pipeline, {NULL, "race-async-copy", "race-async-copy|race"}},
    {"wmma_matmul", wmma_matmul, {NULL, "race", "race", "race"}},
    {"wmma_types", wmma_types, {NULL}},
    {NULL, NULL, {NULL}},
};
