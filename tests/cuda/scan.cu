// SPDX-License-Identifier: MIT
// Prefix sums: by warps, by a block, and across blocks by looking back at flags.
#include "plant.h"
#include <cuda/atomic>

// 1 no barrier before the totals are read, 2 lanes of the last step shuffle in a branch
KERNEL(warp_scan(const int *x, int *out))
{
    __shared__ int totals[8];
    int t = threadIdx.x, lane = t & 31, v = x[t];
    for (int d = 1; d < 32; d *= 2) {
        if (PLANT == 2 && d == 16 && lane < 16)
            break;
        int other = __shfl_up_sync(0xffffffff, v, d);
        if (lane >= d)
            v += other;
    }
    if (lane == 31)
        totals[t / 32] = v;
    if (PLANT != 1)
        __syncthreads();
    for (int w = 0; w < t / 32; w++) v += totals[w];
    out[t] = v;
}

// Two buffers in turn. 1 one buffer only, 2 no barrier, 3 the barrier of the fill is missing
KERNEL(buffer_scan(const int *x, int *out))
{
    __shared__ int s[2][256];
    int t = threadIdx.x, from = 0;
    s[0][t] = x[t];
    if (PLANT != 3)
        __syncthreads();
    for (int d = 1; d < 256; d *= 2) {
        int to = PLANT == 1 ? from : 1 - from;
        s[to][t] = s[from][t] + (t >= d ? s[from][t - d] : 0);
        from = to;
        if (PLANT != 2)
            __syncthreads();
    }
    out[t] = s[from][t];
}

// Up and down a tree, in place. 1 no barrier on the way up, 2 none on the way down, 3 reads beyond
KERNEL(tree_scan(const int *x, int *out))
{
    extern __shared__ int tree[];
    int t = threadIdx.x, n = 2 * blockDim.x, offset = 1;
    tree[2 * t] = x[2 * t];
    tree[2 * t + 1] = x[2 * t + 1];
    for (int d = n / 2; d > 0; d /= 2) {
        if (PLANT != 1)
            __syncthreads();
        if (t < d)
            tree[offset * (2 * t + 2) - (PLANT == 3 ? 0 : 1)] += tree[offset * (2 * t + 1) - 1];
        offset *= 2;
    }
    if (t == 0)
        tree[n - 1] = 0;
    for (int d = 1; d < n; d *= 2) {
        offset /= 2;
        if (PLANT != 2)
            __syncthreads();
        if (t < d) {
            int low = offset * (2 * t + 1) - 1, high = offset * (2 * t + 2) - 1;
            int keep = tree[low];
            tree[low] = tree[high];
            tree[high] += keep;
        }
    }
    __syncthreads();
    out[2 * t] = tree[2 * t];
    out[2 * t + 1] = tree[2 * t + 1];
}

// A block waits for the flag of the block before it, then passes its own sum on.
// 1 the flag is written relaxed, 2 it is read relaxed, 3 its scope is the block, 4 the fence stands
// behind the flag, 5 a plain flag
KERNEL(chained_scan(const int *x, int *sums, int *flags, int *out))
{
    __shared__ int s[64], carry;
    int t = threadIdx.x, b = blockIdx.x;
    s[t] = x[b * 64 + t];
    __syncthreads();
    int v = 0;
    for (int i = 0; i <= t; i++) v += s[i];
    if (t == 63) {
        int before = 0;
        if (b > 0) {
            cuda::atomic_ref<int, cuda::thread_scope_device> flag(flags[b - 1]);
            while (flag.load(PLANT == 2 ? cuda::memory_order_relaxed
                                        : cuda::memory_order_acquire) == 0) {
            }
            before = sums[b - 1];
        }
        sums[b] = before + v;
        if (PLANT == 5) {
            flags[b] = 1;
        } else if (PLANT == 3) {
            cuda::atomic_ref<int, cuda::thread_scope_block> flag(flags[b]);
            flag.store(1, cuda::memory_order_release);
        } else {
            cuda::atomic_ref<int, cuda::thread_scope_device> flag(flags[b]);
            flag.store(1, PLANT == 1 || PLANT == 4 ? cuda::memory_order_relaxed
                                                   : cuda::memory_order_release);
            if (PLANT == 4)
                __threadfence();
        }
        carry = before;
    }
    __syncthreads();
    out[b * 64 + t] = carry + v;
}

// Decoupled look-back: value and flag travel in one word, so that nothing else needs order.
// 1 value and flag are written as two words
KERNEL(look_back(const int *x, unsigned long long *state, int *out))
{
    __shared__ int totals[2], before;
    int t = threadIdx.x, b = blockIdx.x, v = x[b * 64 + t], lane = t % 32;
    for (int d = 1; d < 32; d *= 2) {
        int other = __shfl_up_sync(0xffffffff, v, d);
        v += lane >= d ? other : 0;
    }
    if (lane == 31)
        totals[t / 32] = v;
    __syncthreads();
    int sum = totals[0] + totals[1];
    v += t >= 32 ? totals[0] : 0;
    if (t == 0) {
        // the upper half says 1: the sum of this block, 2: of all up to it
        auto post = [&](unsigned flag, int value) {
            if (PLANT == 1) {
                ((int *)&state[b])[0] = value;
                atomicExch((unsigned *)&state[b] + 1, flag);
            } else {
                atomicExch(&state[b], (unsigned long long)flag << 32 | (unsigned)value);
            }
        };
        post(b == 0 ? 2 : 1, sum);
        int sofar = 0;
        for (int at = b - 1; at >= 0;) {
            unsigned long long seen;
            if (PLANT == 1) {
                unsigned flag = atomicAdd((unsigned *)&state[at] + 1, 0u);
                seen = (unsigned long long)flag << 32 | (unsigned)((int *)&state[at])[0];
            } else {
                seen = atomicAdd(&state[at], 0ull);
            }
            if (seen >> 32 == 0)
                continue;
            sofar += (int)(unsigned)seen;
            if (seen >> 32 == 2)
                break;
            at--;
        }
        if (b > 0)
            post(2, sofar + sum);
        before = sofar;
    }
    __syncthreads();
    out[b * 64 + t] = before + v;
}

ALL3(warp_scan);
ALL4(buffer_scan);
ALL4(tree_scan);
ALL6(chained_scan);
ALL2(look_back);
