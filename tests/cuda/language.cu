// SPDX-License-Identifier: MIT
// What the language and its library offer besides: calls, recursion, tables, types, memory spaces.
#include "plant.h"
#include <assert.h>
#include <cuda/atomic>
#include <stdio.h>

__device__ __noinline__ unsigned fibonacci(unsigned n)
{
    return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

__device__ __noinline__ int ackermann(int m, int n)
{
    return m == 0 ? n + 1 : n == 0 ? ackermann(m - 1, 1) : ackermann(m - 1, ackermann(m, n - 1));
}

// A frame of each call keeps its array.
__device__ __noinline__ int permutations(int *left, int n, int at)
{
    if (at == n)
        return left[0] * 2 + left[n - 1] & 3;
    int mine[4], sum = 0;
    for (int i = 0; i < n; i++) mine[i] = left[i];
    for (int i = at; i < n; i++) {
        int keep = mine[at];
        mine[at] = mine[i];
        mine[i] = keep;
        sum += permutations(mine, n, at + 1) + mine[at];
    }
    return sum;
}

KERNEL(recursion(unsigned *fib, int *ack, int *perm))
{
    int t = threadIdx.x, values[4] = {t, t + 1, 2 * t, 7};
    fib[t] = fibonacci(t % 12);
    ack[t] = ackermann(2, t % 4);
    perm[t] = permutations(values, 4, 0);
}

// 1 it never ends
__device__ __noinline__ int deep(int n, int step)
{
    volatile int keep = n;
    return n == 0 ? 0 : deep(n - step, step) + keep;
}
KERNEL(depth(int *out))
{
    out[threadIdx.x] = deep(40, PLANT == 1 ? 0 : 1);
}

struct shape {
    __device__ virtual int area(int k) const = 0;
};
struct square : shape {
    int side;
    __device__ square(int s) : side(s) {}
    __device__ int area(int k) const override { return side * side + k; }
};
struct slab : shape {
    int w, h;
    __device__ slab(int a, int b) : w(a), h(b) {}
    __device__ int area(int k) const override { return w * h - k; }
};
typedef int (*unary)(int);
__device__ __noinline__ int twice(int x) { return 2 * x; }
__device__ __noinline__ int cube(int x) { return x * x * x; }
__device__ __noinline__ int minus(int x) { return -x; }
__device__ unary operations[3] = {twice, cube, minus};

// 1 a pointer that is no function
KERNEL(calls(const int *x, int *out))
{
    int t = threadIdx.x;
    square a(t);
    slab b(t, 3);
    const shape *s = t % 2 ? (const shape *)&a : &b;
    unary f = operations[t % 3];
    if (PLANT == 1 && t == 5)
        f = (unary)(size_t)x[0];
    out[t] = f(x[t]) + s->area(t);
}

__device__ __noinline__ float choose(int k, float x)
{
    switch (k) {
    case 0: return x + 1;
    case 1: return x * 2;
    case 2: return x - 3;
    case 3: return -x;
    case 4: return x / 4;
    case 5: return x * x;
    case 6: return fabsf(x) + 0.5f;
    case 7: return fminf(x, 2.5f);
    case 10: return 42;
    default: return 0;
    }
}
KERNEL(switches(float *out))
{
    out[threadIdx.x] = choose(threadIdx.x % 13, (float)threadIdx.x - 7);
}

struct wide {
    int words[6];
    double d;
};
__device__ __noinline__ wide make_wide(int k)
{
    wide w;
    for (int i = 0; i < 6; i++) w.words[i] = k * i;
    w.d = k / 3.0;
    return w;
}
template <typename T> __device__ T sum_of(T a) { return a; }
template <typename T, typename... R> __device__ T sum_of(T a, R... r)
{
    return a + (T)sum_of(r...);
}

// 1 an index beyond the local array
KERNEL(local_memory(const int *x, int *out, double *dout))
{
    int t = threadIdx.x, keep[16];
    for (int k = 0; k < 16; k++) keep[k] = x[(t + k) % 64] * k;
    int sum = 0, at = x[t] & 15;
    for (int k = 0; k < 16; k++) sum += keep[(at + k) & 15] * (k + 1);
    if (PLANT == 1)
        sum += keep[x[t] * 100000 + 100000];
    wide w = make_wide(t);
    sum += w.words[x[t] % 6] + sum_of(t, 2, 3ll, 4.5f);
    auto twist = [=](int k) { return k * 3 + t; };
    out[t] = sum + twist(at);
    dout[t] = w.d;
}

KERNEL(integers(const long long *x, long long *out))
{
    int t = threadIdx.x;
    long long a = x[t], b = x[t + 64];
    unsigned long long u = (unsigned long long)a, v = (unsigned long long)b;
    long long r = b ? a / b + a % b : 0;
    r ^= (long long)(v ? u / v * 3 + u % v : 0);
    r += __mul64hi(a, b) ^ (long long)__umul64hi(u, v);
    r += __popcll(u) + __clzll(a) * 64 + __ffsll(a) * 4096;
    r ^= (long long)__brevll(u);
    r += (int)a / ((int)b | 1) + (int)((unsigned)a % ((unsigned)b | 1));
    r += __byte_perm((unsigned)a, (unsigned)b, 0x3715);
    r += (short)a * (short)b + (signed char)a / ((signed char)b | 1);
    r += __funnelshift_l((unsigned)a, (unsigned)b, (unsigned)t) + __sad((int)a, (int)b, t);
    r += (a << (t & 63)) + (a >> (t & 63)) + (long long)(u >> (t & 63));
    __int128 product = (__int128)a * b;
    r ^= (long long)(product >> 70);
    out[t] = r;
}

KERNEL(floats(const float *x, const double *y, float *out, double *dout, half *h, __nv_bfloat16 *g))
{
    int t = threadIdx.x;
    float a = x[t], b = x[t + 64];
    out[t * 4] = a / b + sqrtf(fabsf(a)) + rintf(b) + floorf(a) - ceilf(b) + truncf(a * b);
    out[t * 4 + 1] = fmaf(a, b, 1) + (float)(int)a + (float)(unsigned long long)fabsf(b);
    out[t * 4 + 2] = __fdividef(a, 3.0f) + fmodf(a, 0.75f) + copysignf(a, b) + ldexpf(a, 3);
    out[t * 4 + 3] = expf(a * 0.1f) + logf(fabsf(b) + 1) + sinf(a) + powf(fabsf(a) + 0.1f, 1.3f);
    double c = y[t], d = y[t + 64];
    dout[t * 2] = c / d + sqrt(fabs(c)) + fma(c, d, -1.0) + floor(c) + (double)(long long)d;
    dout[t * 2 + 1] = exp(c * 0.1) + log(fabs(d) + 1) + sin(c) + cbrt(d) + atan2(c, d);
    half p = __float2half(a), q = __float2half(b);
    h[t] = __hadd(__hmul(p, q), __hsub(p, q));
    __nv_bfloat16 u = __float2bfloat16(a), v = __float2bfloat16(b);
    g[t] = __hfma(u, v, u);
}

__constant__ int weights[8] = {1, -2, 3, -4, 5, -6, 7, -8};
__constant__ double scale = 1.5;
__device__ int touched[64];

// 1 a write to a word that is not there
KERNEL(spaces(const int *x, int *out, long long *clock))
{
    extern __shared__ int dynamic[];
    __shared__ int fixed[32];
    int t = threadIdx.x;
    volatile int *v = &dynamic[t];
    *v = __ldg(x + t) + __ldcs(x + t) + __ldcg(x + t);
    fixed[t % 32] = weights[t % 8]; // the same value from every warp would be a race: one warp
    long long start = clock64();
    __nanosleep(20);
    int *p = t & 1 ? &fixed[t] : &dynamic[t]; // generic
    __stcs(out + t, *p + (int)(scale * t) + *v);
    touched[t] = t;
    if (PLANT == 1)
        out[t + 64] = 1;
    clock[t] = clock64() - start;
}

// 1 float sums of the block in the grid's memory
KERNEL(atomics(int *i, unsigned *u, unsigned long long *l, float *f, double *d, half2 *h,
               __nv_bfloat16 *g))
{
    int t = blockIdx.x * blockDim.x + threadIdx.x;
    atomicAdd(i, t);
    atomicSub(i + 1, t);
    atomicMin(i + 2, -t);
    atomicMax(i + 3, t);
    atomicAnd(u, ~(1u << (t & 31)));
    atomicOr(u + 1, 1u << (t & 7));
    atomicXor(u + 2, 1u << (t & 31));
    atomicInc(u + 3, 50);
    atomicDec(u + 4, 50);
    atomicAdd(l, (unsigned long long)t << 33);
    atomicMax(l + 1, (unsigned long long)t << 40);
    atomicOr(l + 2, 1ull << (t & 63));
    if (PLANT == 1)
        atomicAdd_block(f, 0.5f);
    else
        atomicAdd(f, 0.5f);
    atomicAdd(d, 0.25);
    atomicAdd_system(i + 4, 1);
    atomicAdd(h, __floats2half2_rn(1, 2));
    atomicAdd(g, __float2bfloat16(1));
    cuda::atomic_ref<unsigned long long> ref(l[3]);
    ref.fetch_add(3);
    unsigned long long want = 0;
    while (!ref.compare_exchange_weak(want, want * 3 + 1 & 0xffff)) {
    }
    cuda::atomic_ref<unsigned, cuda::thread_scope_device> wide(u[5]);
    wide.fetch_max((unsigned)t, cuda::memory_order_relaxed);
}

// 1 an assertion that does not hold, 2 trap
KERNEL(printing(const int *x))
{
    int t = threadIdx.x;
    if (t < 2)
        printf("thread %d: %d %5.2f %s %c %llx %%\n", t, x[t], x[t] / 4.0, "text", 'a' + t,
               1234567890123ull);
    if (t == 3)
        printf("nothing\n");
    assert(PLANT != 1 || x[t] < 3);
    if (PLANT == 2 && x[t] == 9)
        __trap();
}

ALL1(recursion);
ALL2(depth);
ALL2(calls);
ALL1(switches);
ALL2(local_memory);
ALL1(integers);
ALL1(floats);
ALL2(spaces);
ALL2(atomics);
ALL3(printing);
