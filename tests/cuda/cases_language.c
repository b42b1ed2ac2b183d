// SPDX-License-Identifier: MIT
// language.cu: what goes in, what must come out, what each planted error is found by.
#include "trial.h"

#include <math.h>
#include <string.h>

static unsigned fibonacci(unsigned n) { return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2); }

static int ackermann(int m, int n)
{
    return m == 0 ? n + 1 : n == 0 ? ackermann(m - 1, 1) : ackermann(m - 1, ackermann(m, n - 1));
}

static int permutations(const int *left, int n, int at)
{
    int mine[4], sum = 0;
    if (at == n)
        return (left[0] * 2 + left[n - 1]) & 3;
    memcpy(mine, left, sizeof mine);
    for (int i = at; i < n; i++) {
        int keep = mine[at];
        mine[at] = mine[i];
        mine[i] = keep;
        sum += permutations(mine, n, at + 1) + mine[at];
    }
    return sum;
}

static void recursion(struct trial *t)
{
    unsigned fib[40];
    int ack[40], perm[40];
    for (int i = 0; i < 40; i++) {
        int values[4] = {i, i + 1, 2 * i, 7};
        fib[i] = fibonacci((unsigned)i % 12);
        ack[i] = ackermann(2, i % 4);
        perm[i] = permutations(values, 4, 0);
    }
    uint64_t f = trial_zeros(t, sizeof fib), a = trial_zeros(t, sizeof ack),
             p = trial_zeros(t, sizeof perm);
    LAUNCH(t, LINE(1, 40), f, a, p);
    trial_expect(t, f, fib, sizeof fib);
    trial_expect(t, a, ack, sizeof ack);
    trial_expect(t, p, perm, sizeof perm);
}

static void depth(struct trial *t)
{
    int out[32];
    for (int i = 0; i < 32; i++) out[i] = 40 * 41 / 2;
    uint64_t to = trial_zeros(t, sizeof out);
    LAUNCH(t, LINE(1, 32), to);
    trial_expect(t, to, out, sizeof out);
}

static void calls(struct trial *t)
{
    int x[64], out[64];
    trial_numbers(x, 64, -20, 20);
    for (int i = 0; i < 64; i++) {
        int f = i % 3 == 0 ? 2 * x[i] : i % 3 == 1 ? x[i] * x[i] * x[i] : -x[i];
        out[i] = f + (i % 2 ? i * i + i : i * 3 - i);
    }
    uint64_t in = trial_in(t, sizeof x, x), to = trial_zeros(t, sizeof out);
    LAUNCH(t, LINE(1, 64), in, to);
    trial_expect(t, to, out, sizeof out);
}

static void switches(struct trial *t)
{
    float out[64];
    for (int i = 0; i < 64; i++) {
        float x = (float)i - 7;
        const float by[13] = {x + 1, x * 2, x - 3, -x, x / 4, x * x, fabsf(x) + 0.5f,
                              fminf(x, 2.5f), 0, 0, 42, 0, 0};
        out[i] = by[i % 13];
    }
    uint64_t to = trial_zeros(t, sizeof out);
    LAUNCH(t, LINE(1, 64), to);
    trial_expect(t, to, out, sizeof out);
}

static void local_memory(struct trial *t)
{
    int x[64], out[64];
    double dout[64];
    trial_numbers(x, 64, 0, 500);
    for (int i = 0; i < 64; i++) {
        int keep[16], sum = 0, at = x[i] & 15;
        for (int k = 0; k < 16; k++) keep[k] = x[(i + k) % 64] * k;
        for (int k = 0; k < 16; k++) sum += keep[(at + k) & 15] * (k + 1);
        sum += i * (x[i] % 6) + (i + 2 + 3 + 4);
        out[i] = sum + at * 3 + i;
        dout[i] = i / 3.0;
    }
    uint64_t in = trial_in(t, sizeof x, x), to = trial_zeros(t, sizeof out),
             d = trial_zeros(t, sizeof dout);
    LAUNCH(t, LINE(1, 64), in, to, d);
    trial_expect(t, to, out, sizeof out);
    trial_expect(t, d, dout, sizeof dout);
}

static unsigned byte_perm(unsigned a, unsigned b, unsigned how)
{
    unsigned long long both = (unsigned long long)b << 32 | a;
    unsigned r = 0;
    for (int i = 0; i < 4; i++)
        r |= (unsigned)(both >> (how >> (4 * i) & 7) * 8 & 255) << (8 * i);
    return r;
}

static long long integer(long long a, long long b, int t)
{
    unsigned long long u = (unsigned long long)a, v = (unsigned long long)b, brev = 0;
    unsigned a32 = (unsigned)a, b32 = (unsigned)b;
    unsigned long long r = (unsigned long long)(b ? a / b + a % b : 0);
    r ^= v ? u / v * 3 + u % v : 0;
    r += (unsigned long long)((__int128)a * b >> 64) ^
         (unsigned long long)((unsigned __int128)u * v >> 64);
    r += (unsigned long long)(__builtin_popcountll(u) + (u ? __builtin_clzll(u) : 64) * 64 +
                              __builtin_ffsll(a) * 4096);
    for (int i = 0; i < 64; i++) brev |= (u >> i & 1) << (63 - i);
    r ^= brev;
    r += (unsigned long long)(long long)((int)a / ((int)b | 1) + (int)(a32 % (b32 | 1)));
    r += byte_perm(a32, b32, 0x3715);
    r += (unsigned long long)(long long)((short)a * (short)b +
                                         (signed char)a / ((signed char)b | 1));
    unsigned s = (unsigned)t & 31;
    unsigned funnel = s ? b32 << s | a32 >> (32 - s) : b32;
    unsigned sad = ((int)a > (int)b ? a32 - b32 : b32 - a32) + (unsigned)t;
    r += funnel + sad;
    r += (u << (t & 63)) + (unsigned long long)(a >> (t & 63)) + (u >> (t & 63));
    r ^= (unsigned long long)(long long)((__int128)a * b >> 70);
    return (long long)r;
}

static void integers(struct trial *t)
{
    long long x[128], out[64];
    uint64_t state = 77;
    for (int i = 0; i < 128; i++) x[i] = (long long)(bench_random(&state) >> (i % 40));
    x[3] = 0;
    x[70] = -1;
    for (int i = 0; i < 64; i++) out[i] = integer(x[i], x[i + 64], i);
    uint64_t in = trial_in(t, sizeof x, x), to = trial_zeros(t, sizeof out);
    LAUNCH(t, LINE(1, 64), in, to);
    trial_expect(t, to, out, sizeof out);
}

static float half_near(_Float16 v) { return (float)v; }

static void floats(struct trial *t)
{
    enum { N = 64 };
    static float x[2 * N], out[4 * N];
    static double y[2 * N], dout[2 * N];
    _Float16 h[N];
    for (int i = 0; i < 2 * N; i++) {
        x[i] = (float)(i * 37 % 64) / 8 - 3.9f;
        y[i] = (double)(i * 53 % 97) / 7 - 6.1;
    }
    for (int i = 0; i < N; i++) {
        float a = x[i], b = x[i + N];
        out[i * 4] = a / b + sqrtf(fabsf(a)) + rintf(b) + floorf(a) - ceilf(b) + truncf(a * b);
        out[i * 4 + 1] = fmaf(a, b, 1) + (float)(int)a + (float)(unsigned long long)fabsf(b);
        out[i * 4 + 2] = a / 3.0f + fmodf(a, 0.75f) + copysignf(a, b) + ldexpf(a, 3);
        out[i * 4 + 3] = expf(a * 0.1f) + logf(fabsf(b) + 1) + sinf(a) +
                         powf(fabsf(a) + 0.1f, 1.3f);
        double c = y[i], d = y[i + N];
        dout[i * 2] = c / d + sqrt(fabs(c)) + fma(c, d, -1) + floor(c) + (double)(long long)d;
        dout[i * 2 + 1] = exp(c * 0.1) + log(fabs(d) + 1) + sin(c) + cbrt(d) + atan2(c, d);
        _Float16 p = (_Float16)a, q = (_Float16)b;
        h[i] = (_Float16)half_near((_Float16)(half_near(p) * half_near(q))) +
               (_Float16)(half_near(p) - half_near(q));
    }
    uint64_t in = trial_in(t, sizeof x, x), din = trial_in(t, sizeof y, y),
             to = trial_zeros(t, sizeof out), dto = trial_zeros(t, sizeof dout),
             ph = trial_zeros(t, sizeof h), pg = trial_zeros(t, sizeof h);
    LAUNCH(t, LINE(1, N), in, din, to, dto, ph, pg);
    trial_near(t, to, out, 4 * N, 2e-6f);
    trial_near64(t, dto, dout, 2 * N, 1e-14);
    trial_expect(t, ph, h, sizeof h);
}

static void spaces(struct trial *t)
{
    int x[32], out[32];
    long long clocks[32];
    trial_numbers(x, 32, -100, 100);
    for (int i = 0; i < 32; i++) {
        int v = 3 * x[i], weight = (i % 8 + 1) * (i % 2 ? -1 : 1);
        out[i] = (i & 1 ? weight : v) + (int)(1.5 * i) + v;
    }
    uint64_t in = trial_in(t, sizeof x, x), to = trial_zeros(t, sizeof out),
             clock = trial_zeros(t, sizeof clocks);
    struct shape shape = LINE(1, 32);
    shape.shared = 128;
    LAUNCH(t, shape, in, to, clock);
    trial_expect(t, to, out, sizeof out);
    bench_read(&t->bench, clock, clocks, sizeof clocks);
    for (int i = 0; t->correct && i < 32; i++) assert_true(clocks[i] > 0);
}

static void atomics(struct trial *t)
{
    enum { N = 192 };
    int i[5] = {0, 0, 0, 0, 0};
    unsigned u[6] = {UINT32_MAX, 0, 0, 0, 0, 0};
    unsigned long long l[4] = {0, 0, 0, 0}, want = 0;
    float f = 0.5f * N;
    double d = 0.25 * N;
    uint64_t pi = trial_in(t, sizeof i, i), pu = trial_in(t, sizeof u, u),
             pl = trial_in(t, sizeof l, l), pf = trial_zeros(t, 4), pd = trial_zeros(t, 8),
             ph = trial_zeros(t, 4), pg = trial_zeros(t, 4);
    for (int k = 0; k < N; k++) {
        i[0] += k;
        i[1] -= k;
        u[2] ^= 1u << (k & 31);
        u[3] = u[3] >= 50 ? 0 : u[3] + 1;
        u[4] = u[4] == 0 || u[4] > 50 ? 50 : u[4] - 1;
        l[0] += (unsigned long long)k << 33;
        l[2] |= 1ull << (k & 63);
    }
    (void)want;
    i[2] = -(N - 1);
    i[3] = N - 1;
    i[4] = N;
    u[0] = 0;
    u[1] = 255;
    u[5] = N - 1;
    l[1] = (unsigned long long)(N - 1) << 40;
    LAUNCH(t, LINE(3, 64), pi, pu, pl, pf, pd, ph, pg);
    trial_expect(t, pi, i, sizeof i);
    trial_expect(t, pu, u, sizeof u);
    trial_expect(t, pl, l, 3 * sizeof *l); // the last depends on the order
    trial_expect(t, pf, &f, 4);
    trial_expect(t, pd, &d, 8);
    _Float16 h[2] = {N, 2 * N};
    trial_expect(t, ph, h, 4);
}

static void printing(struct trial *t)
{
    int x[32];
    for (int i = 0; i < 32; i++) x[i] = i - 5;
    static const char *const lines[] = {"thread 0: -5 -1.25 text a 11f71fb04cb %\n",
                                        "thread 1: -4 -1.00 text b 11f71fb04cb %\n", "nothing\n"};
    uint64_t in = trial_in(t, sizeof x, x);
    LAUNCH(t, LINE(1, 32), in);
    assert_non_null(t->text);
    for (int i = 0; i < 3; i++) assert_non_null(strstr(t->text, lines[i]));
    assert_int_equal(t->text_length, strlen(lines[0]) + strlen(lines[1]) + strlen(lines[2]));
    if (t->plant == 1)
        assert_non_null(strstr(bench_found(&t->bench, "assertion")->message, "x[t] < 3"));
}

const struct cuda_case language_cases[] = {
    {"recursion", recursion, {NULL}},
    {"depth", depth, {NULL, "call"}},
    {"calls", calls, {NULL, "call"}},
    {"switches", switches, {NULL}},
    {"local_memory", local_memory, {NULL, "local-bounds"}},
    {"integers", integers, {NULL}},
    {"floats", floats, {NULL}},
    {"spaces", spaces, {NULL, "global-bounds"}},
    {"atomics", atomics, {NULL, "race-between-ctas"}},
    {"printing", printing, {NULL, "assertion", "trap"}},
    {NULL, NULL, {NULL}},
};
