// SPDX-License-Identifier: MIT
// Sums over a block and over a grid: a tree in shared memory, shuffles, atomics, the last block.
#include "plant.h"
#include <cooperative_groups.h>
#include <cooperative_groups/reduce.h>
namespace cg = cooperative_groups;

// 1 no barrier before the tree, 2 none within it, 3 the barrier stands in the branch, 4 one step
// too many, 5 some threads fill nothing, 6 lanes of a warp in lockstep
KERNEL(tree_sum(const float *x, float *out))
{
    __shared__ float s[256];
    int t = threadIdx.x;
    if (PLANT != 5 || t < 200)
        s[t] = x[blockIdx.x * 256 + t];
    if (PLANT != 1)
        __syncthreads();
    for (int k = PLANT == 4 ? 256 : 128; k > 0; k >>= 1) {
        if (t < k) {
            s[t] += s[t + k];
            if (PLANT == 3)
                __syncthreads();
        }
        if (PLANT == 6 ? k > 32 : PLANT != 2 && PLANT != 3)
            __syncthreads();
    }
    if (t == 0)
        out[blockIdx.x] = s[0];
}

// 1 the mask lacks the upper lanes, 2 half of the warp stays away, 3 no barrier before the totals
KERNEL(shuffle_sum(const int *x, int *out))
{
    __shared__ int totals[8];
    int t = threadIdx.x, lane = t % 32, v = x[blockIdx.x * 256 + t];
    if (PLANT == 2 && lane >= 16)
        return;
    for (int k = 16; k > 0; k /= 2)
        v += __shfl_down_sync(PLANT == 1 ? 0xffff : 0xffffffff, v, k);
    if (lane == 0)
        totals[t / 32] = v;
    if (PLANT != 3)
        __syncthreads();
    if (t < 8) {
        v = totals[t];
        for (int k = 4; k > 0; k /= 2) v += __shfl_down_sync(0xff, v, k);
        if (t == 0)
            out[blockIdx.x] = v;
    }
}

// 1 a plain sum in shared memory, 2 a plain sum in global memory, 3 block scope between blocks,
// 4 nobody clears the sum, 5 no barrier after clearing, 6 none before the result
KERNEL(atomic_sum(const int *x, int *out))
{
    __shared__ int sum;
    int t = threadIdx.x, v = x[blockIdx.x * 256 + t];
    if (t == 0 && PLANT != 4)
        sum = 0;
    if (PLANT != 5)
        __syncthreads();
    if (PLANT == 1)
        sum += v;
    else
        atomicAdd(&sum, v);
    if (PLANT != 6)
        __syncthreads();
    if (t == 0) {
        if (PLANT == 2)
            *out += sum;
        else if (PLANT == 3)
            atomicAdd_block(out, sum);
        else
            atomicAdd(out, sum);
    }
}

// 1 the block's sync is missing, 2 a tile's sync is missing
KERNEL(group_sum(const int *x, int *out))
{
    __shared__ int s[256], totals[16];
    cg::thread_block block = cg::this_thread_block();
    auto tile = cg::tiled_partition<16>(block);
    int t = block.thread_rank(), first = t / 16 * 16;
    s[t] = x[blockIdx.x * 256 + t];
    if (PLANT != 2)
        tile.sync();
    int mirrored = s[first + 15 - tile.thread_rank()];
    int sum = cg::reduce(tile, mirrored, cg::plus<int>());
    if (tile.thread_rank() == 0)
        totals[tile.meta_group_rank()] = sum;
    if (PLANT != 1)
        block.sync();
    if (t == 0) {
        int all = 0;
        for (int i = 0; i < 16; i++) all += totals[i];
        out[blockIdx.x] = all;
    }
}

// The block that arrives last adds up what all have left.
// 1 no fence, 2 a fence of the block only, 3 an arrival of block scope, 4 others' partial results
// are announced without a barrier, 5 nothing acquires
__device__ unsigned last_arrived[8];
KERNEL(last_sum(const int *x, int *partial, int *out))
{
    __shared__ bool last;
    int t = threadIdx.x, at = blockIdx.x * 64 + t;
    partial[at] = x[at] * 2;
    if (PLANT == 0 || PLANT >= 3)
        __threadfence();
    if (PLANT == 2)
        __threadfence_block();
    if (PLANT != 4)
        __syncthreads();
    if (t == 0) {
        unsigned before = PLANT == 3 ? atomicAdd_block(&last_arrived[PLANT], 1u)
                                     : atomicAdd(&last_arrived[PLANT], 1u);
        last = before == gridDim.x - 1;
        if (PLANT != 5)
            __threadfence();
    }
    __syncthreads();
    if (last && t == 0) {
        int sum = 0;
        for (int i = 0; i < 64 * gridDim.x; i++) sum += partial[i];
        *out = sum;
    }
}

// 1 a lane outside of its mask, 2 lanes that have left
KERNEL(reduce_intrinsics(const int *x, int *out))
{
    int t = threadIdx.x;
    if (PLANT == 2 && t % 32 == 31)
        return;
    unsigned mask = PLANT == 1 ? 0xfffffffe : 0xffffffff;
    int sum = __reduce_add_sync(mask, x[t]);
    int least = __reduce_min_sync(0xffffffff, x[t]);
    unsigned most = __reduce_max_sync(0xffffffff, (unsigned)x[t]);
    unsigned bits = __reduce_or_sync(0xffffffff, (unsigned)x[t]) ^
                    __reduce_and_sync(0xffffffff, (unsigned)x[t]) ^
                    __reduce_xor_sync(0xffffffff, (unsigned)x[t]);
    out[t] = sum + least + (int)most + (int)bits;
}

// 1 one warp takes part in another barrier, 2 lanes of a warp are elsewhere
KERNEL(count_barriers(const int *x, int *out))
{
    int t = threadIdx.x, v = x[t], count = 0;
    if (PLANT == 2 && t % 32 < 4)
        __syncthreads();
    else if (PLANT == 1 && t < 32)
        __syncthreads();
    else
        count = __syncthreads_count(v > 0);
    int all = __syncthreads_and(v > -1000), any = __syncthreads_or(v == 77);
    out[t] = count * 4 + (all != 0) * 2 + (any != 0);
}

ALL7(tree_sum);
ALL4(shuffle_sum);
ALL7(atomic_sum);
ALL3(group_sum);
ALL6(last_sum);
ALL3(reduce_intrinsics);
ALL3(count_barriers);
