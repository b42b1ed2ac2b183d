// SPDX-License-Identifier: MIT
// Sorting within a block.
#include "plant.h"

// 1 no barrier, 2 the barrier only where something moves, 3 none for strides within a warp,
// 4 neighbours swap by pairs that both do the work
KERNEL(bitonic(const int *x, int *out))
{
    __shared__ int s[256];
    int t = threadIdx.x;
    s[t] = x[t];
    __syncthreads();
    for (int k = 2; k <= 256; k *= 2)
        for (int j = k / 2; j > 0; j /= 2) {
            int p = t ^ j;
            if (PLANT == 4 || p > t) {
                bool up = (t & k) == 0;
                int a = s[t], b = s[p];
                if ((a > b) == up) {
                    s[t] = b;
                    s[p] = a;
                }
                if (PLANT == 2)
                    __syncthreads();
            }
            if (PLANT == 3 ? j >= 32 : PLANT != 1 && PLANT != 2)
                __syncthreads();
        }
    out[t] = s[t];
}

// By a warp, with shuffles only. 1 the mask names a lane that is gone
KERNEL(warp_bitonic(const int *x, int *out))
{
    int lane = threadIdx.x, v = x[lane];
    if (PLANT == 1 && lane == 9)
        return;
    for (int k = 2; k <= 32; k *= 2)
        for (int j = k / 2; j > 0; j /= 2) {
            int other = __shfl_xor_sync(0xffffffff, v, j);
            bool small = ((lane & j) == 0) == ((lane & k) == 0);
            v = small ? min(v, other) : max(v, other);
        }
    out[lane] = v;
}

// Four bits a pass: count, scan, scatter. 1 no barrier before the scan, 2 none before the scatter,
// 3 none after it, 4 the counters are not cleared again in time
KERNEL(radix(const unsigned *x, unsigned *out))
{
    __shared__ unsigned keys[128], next[128], warps[4][16], start[16];
    int t = threadIdx.x, lane = t % 32, w = t / 32;
    keys[t] = x[t];
    __syncthreads();
    for (int shift = 0; shift < 32; shift += 4) {
        unsigned key = keys[t], digit = key >> shift & 15;
        if (PLANT != 4 && lane < 16)
            warps[w][lane] = 0;
        if (PLANT == 4 && t < 64)
            warps[t / 16][t % 16] = 0;
        __syncwarp();
        unsigned same = __match_any_sync(0xffffffff, digit);
        unsigned rank = __popc(same & ((1u << lane) - 1));
        if (rank == 0)
            warps[w][digit] = __popc(same);
        if (PLANT != 1)
            __syncthreads();
        if (t < 16) {
            unsigned sum = 0, total;
            for (int i = 0; i < 4; i++) {
                unsigned c = warps[i][t];
                warps[i][t] = sum;
                sum += c;
            }
            total = sum;
            for (int d = 1; d < 16; d *= 2) {
                unsigned other = __shfl_up_sync(0xffff, sum, d);
                sum += t >= d ? other : 0;
            }
            start[t] = sum - total;
        }
        if (PLANT != 2)
            __syncthreads();
        next[start[digit] + warps[w][digit] + rank] = key;
        if (PLANT != 3)
            __syncthreads();
        keys[t] = next[t];
        __syncthreads();
    }
    out[t] = keys[t];
}

ALL5(bitonic);
ALL2(warp_bitonic);
ALL5(radix);
