// SPDX-License-Identifier: MIT
// Correct kernels in CUDA C++: compiled at -O0 and -O3 for sm_80, run on the PTX machine, compared
// with plain C in test_nvcc.c. Nothing may be reported on any of them.
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <stdint.h>

#define KERNEL extern "C" __global__ void

KERNEL saxpy(float *y, const float *x, float a, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        y[i] = a * x[i] + y[i];
}

KERNEL block_sum(const float *x, float *out, int n)
{
    __shared__ float s[256];
    int t = threadIdx.x;
    float v = 0;
    for (int i = blockIdx.x * blockDim.x + t; i < n; i += gridDim.x * blockDim.x) v += x[i];
    s[t] = v;
    __syncthreads();
    for (int k = 128; k > 0; k >>= 1) {
        if (t < k)
            s[t] += s[t + k];
        __syncthreads();
    }
    if (t == 0)
        atomicAdd(out, s[0]);
}

KERNEL warp_scan(const int *x, int *out)
{
    int lane = threadIdx.x & 31, v = x[threadIdx.x];
    for (int d = 1; d < 32; d *= 2) {
        int other = __shfl_up_sync(0xffffffff, v, d);
        if (lane >= d)
            v += other;
    }
    __shared__ int totals[32];
    if (lane == 31)
        totals[threadIdx.x / 32] = v;
    __syncthreads();
    for (int w = 0; w < threadIdx.x / 32; w++) v += totals[w];
    out[threadIdx.x] = v;
}

__device__ __noinline__ int collatz(unsigned n)
{
    int steps = 0;
    while (n != 1) {
        n = n & 1 ? 3 * n + 1 : n / 2;
        steps++;
    }
    return steps;
}

__device__ __noinline__ float classify(int k, float x)
{
    switch (k) {
    case 0: return x + 1;
    case 1: return x * 2;
    case 2: return x - 3;
    case 3: return -x;
    case 4: return x / 4;
    case 5: return x * x;
    case 6: return fabsf(x) + 0.5f;
    default: return 0;
    }
}

KERNEL divergent(int *steps, float *classes, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    steps[i] = collatz(i + 1);
    classes[i] = classify(i % 9, (float)i);
}

KERNEL local_array(const int *x, int *out, int n)
{
    int keep[16];
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    for (int k = 0; k < 16; k++) keep[k] = x[(i + k) % n] * k;
    int sum = 0;
    for (int k = 0; k < 16; k++) sum += keep[(x[i % n] + k) & 15] * (k + 1);
    out[i] = sum;
}

typedef int (*unary)(int);
__device__ int twice(int x) { return 2 * x; }
__device__ int square(int x) { return x * x; }
__device__ int negate(int x) { return -x; }
__device__ unary table[3] = {twice, square, negate};
KERNEL indirect(const int *x, int *out)
{
    int i = threadIdx.x;
    out[i] = table[i % 3](x[i]);
}

__constant__ int weights[4] = {1, -2, 3, -4};
__device__ unsigned long long counter;
KERNEL symbols(int *out)
{
    out[threadIdx.x] = weights[threadIdx.x & 3];
    atomicAdd(&counter, 2ull);
}

KERNEL histogram(const uint8_t *x, unsigned *bins, int n)
{
    __shared__ unsigned local[256];
    for (int i = threadIdx.x; i < 256; i += blockDim.x) local[i] = 0;
    __syncthreads();
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
        atomicAdd(&local[x[i]], 1u);
    __syncthreads();
    for (int i = threadIdx.x; i < 256; i += blockDim.x) atomicAdd(&bins[i], local[i]);
}

KERNEL half_math(const __half2 *a, const __half2 *b, __half2 *out, const __nv_bfloat162 *c,
                 __nv_bfloat162 *out2)
{
    int i = threadIdx.x;
    out[i] = __hfma2(a[i], b[i], __hadd2(a[i], __hmul2(b[i], b[i])));
    out2[i] = __hfma2(c[i], c[i], c[i]);
}

// The last CTA to arrive adds up what all wrote: partial results behind a fence and a counter.
__device__ unsigned arrived;
KERNEL last_block(const float *x, float *partial, float *out, int per_block)
{
    __shared__ float s[128];
    __shared__ bool last;
    int t = threadIdx.x;
    float v = 0;
    for (int i = t; i < per_block; i += blockDim.x) v += x[blockIdx.x * per_block + i];
    s[t] = v;
    __syncthreads();
    for (int k = 64; k > 0; k >>= 1) {
        if (t < k)
            s[t] += s[t + k];
        __syncthreads();
    }
    if (t == 0) {
        partial[blockIdx.x] = s[0];
        __threadfence();
        last = atomicAdd(&arrived, 1u) == gridDim.x - 1;
        __threadfence();
    }
    __syncthreads();
    if (last && t == 0) {
        float sum = 0;
        for (int i = 0; i < gridDim.x; i++) sum += partial[i];
        *out = sum;
        arrived = 0;
    }
}

// CTA n waits for CTA n - 1: all CTAs of the grid must make progress.
KERNEL turnstile(int *value, int *flag)
{
    if (threadIdx.x == 0) {
        int seen;
        do {
            asm volatile("ld.acquire.gpu.global.s32 %0, [%1];" : "=r"(seen) : "l"(flag) : "memory");
        } while (seen != (int)(gridDim.x - 1 - blockIdx.x));
        *value = *value * 3 + (int)blockIdx.x;
        asm volatile("st.release.gpu.global.s32 [%0], %1;" ::"l"(flag), "r"(seen + 1) : "memory");
    }
}

// Lanes of one warp take a lock in turn: needs independent progress within the warp.
KERNEL spinlock(int *lock, int *value)
{
    bool done = false;
    while (!done) {
        if (atomicCAS(lock, 0, 1) == 0) {
            __threadfence();
            *value += 1;
            __threadfence();
            atomicExch(lock, 0);
            done = true;
        }
    }
}

// Two warps produce, two consume, through named barriers and a ring of two.
KERNEL named_barriers(const int *x, int *out, int rounds)
{
    __shared__ int ring[2][64];
    int t = threadIdx.x & 63, slot = 0;
    if (threadIdx.x < 64) {
        for (int i = 0; i < rounds; i++, slot ^= 1) {
            asm volatile("bar.sync %0, 128;" ::"r"(3 + slot) : "memory");
            ring[slot][t] = x[i * 64 + t];
            asm volatile("bar.arrive %0, 128;" ::"r"(1 + slot) : "memory");
        }
    } else {
        asm volatile("bar.arrive 3, 128;" ::: "memory");
        asm volatile("bar.arrive 4, 128;" ::: "memory");
        for (int i = 0; i < rounds; i++, slot ^= 1) {
            asm volatile("bar.sync %0, 128;" ::"r"(1 + slot) : "memory");
            out[i * 64 + t] = ring[slot][63 - t] + i;
            if (i + 2 < rounds)
                asm volatile("bar.arrive %0, 128;" ::"r"(3 + slot) : "memory");
        }
    }
}

__device__ inline void copy16(void *to, const void *from)
{
    unsigned s = (unsigned)__cvta_generic_to_shared(to);
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(s), "l"(from) : "memory");
}

// C = A B, row major, bf16 in, f32 out; tiles 64x64x32, 4 warps, three stages of cp.async.
// Rows of a tile are padded by 16 bytes, so that ldmatrix has no bank conflict.
KERNEL matmul(const __nv_bfloat16 *a, const __nv_bfloat16 *b, float *c, int m, int n, int k)
{
    __shared__ __nv_bfloat16 as[3][64][40], bs[3][32][72];
    int t = threadIdx.x, warp = t / 32, lane = t % 32;
    int row0 = blockIdx.y * 64, col0 = blockIdx.x * 64;
    float acc[2][4][4] = {};
    auto fetch = [&](int tile) {
        int stage = tile % 3;
        for (int i = t; i < 256; i += 128)
            copy16(&as[stage][i / 4][i % 4 * 8],
                   a + (size_t)(row0 + i / 4) * k + tile * 32 + i % 4 * 8);
        for (int i = t; i < 256; i += 128)
            copy16(&bs[stage][i / 8][i % 8 * 8],
                   b + (size_t)(tile * 32 + i / 8) * n + col0 + i % 8 * 8);
    };
    int tiles = k / 32, wr = warp / 2 * 32, wc = warp % 2 * 32;
    for (int s = 0; s < 2; s++) {
        if (s < tiles)
            fetch(s);
        asm volatile("cp.async.commit_group;" ::: "memory");
    }
    for (int tile = 0; tile < tiles; tile++) {
        asm volatile("cp.async.wait_group 1;" ::: "memory");
        __syncthreads();
        if (tile + 2 < tiles)
            fetch(tile + 2);
        asm volatile("cp.async.commit_group;" ::: "memory");
        int stage = tile % 3;
        for (int kk = 0; kk < 32; kk += 16) {
            unsigned af[2][4], bf[4][2];
            for (int i = 0; i < 2; i++) {
                unsigned p = (unsigned)__cvta_generic_to_shared(
                    &as[stage][wr + i * 16 + lane % 16][kk + lane / 16 * 8]);
                asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                             : "=r"(af[i][0]), "=r"(af[i][1]), "=r"(af[i][2]), "=r"(af[i][3])
                             : "r"(p) : "memory");
            }
            for (int j = 0; j < 4; j += 2) {
                unsigned p = (unsigned)__cvta_generic_to_shared(
                    &bs[stage][kk + lane % 16][wc + j * 8 + lane / 16 * 8]);
                asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                             : "=r"(bf[j][0]), "=r"(bf[j][1]), "=r"(bf[j + 1][0]),
                               "=r"(bf[j + 1][1])
                             : "r"(p) : "memory");
            }
            for (int i = 0; i < 2; i++)
                for (int j = 0; j < 4; j++)
                    asm volatile(
                        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, "
                        "{%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                        : "+f"(acc[i][j][0]), "+f"(acc[i][j][1]), "+f"(acc[i][j][2]),
                          "+f"(acc[i][j][3])
                        : "r"(af[i][0]), "r"(af[i][1]), "r"(af[i][2]), "r"(af[i][3]), "r"(bf[j][0]),
                          "r"(bf[j][1]));
        }
    }
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 4; j++)
            for (int e = 0; e < 4; e++)
                c[(size_t)(row0 + wr + i * 16 + lane / 4 + e / 2 * 8) * n + col0 + wc + j * 8 +
                  lane % 4 * 2 + e % 2] = acc[i][j][e];
}
