// SPDX-License-Identifier: MIT
// Warps and named barriers: votes, groups, locks, producers and consumers.
#include "plant.h"
#include <cooperative_groups.h>
namespace cg = cooperative_groups;

// 1 a lane votes that its mask does not name
KERNEL(votes(const int *x, unsigned *out))
{
    int t = threadIdx.x, lane = t % 32, v = x[t];
    unsigned mask = PLANT == 1 ? 0xfffffff7 : 0xffffffff, r;
    r = __ballot_sync(mask, v & 1);
    r ^= __all_sync(0xffffffff, v < 1000) ? 0x10000 : 0;
    r ^= __any_sync(0xffffffff, v == 5) ? 0x20000 : 0;
    int same;
    r ^= __match_all_sync(0xffffffff, v / 2000, &same);
    r ^= same ? 0x40000 : 0;
    r ^= __match_any_sync(0xffffffff, v & 7) * 3;
    r += __shfl_sync(0xffffffff, v, lane * 5 + 1, 8);
    r += (unsigned)__shfl_sync(0xffffffff, (long long)v << 33, lane ^ 7) * 2 + __activemask();
    if (lane < 12) // both halves of a branch meet by their own masks
        r += __shfl_xor_sync(0xfff, v, 3);
    else
        r -= __shfl_down_sync(0xfffff000, v, 2);
    out[t] = r;
}

// Lanes pass values through shared memory. 1 no warp sync before the reads, 2 none before the next
// round, 3 the sync names half of the lanes
KERNEL(warp_exchange(const int *x, int *out, int rounds))
{
    __shared__ int s[4][32];
    int t = threadIdx.x, lane = t % 32, w = t / 32, v = x[t];
    for (int i = 0; i < rounds; i++) {
        s[w][lane] = v;
        if (PLANT == 3)
            __syncwarp(lane < 16 ? 0xffff : 0xffff0000);
        else if (PLANT != 1)
            __syncwarp();
        v = s[w][(lane + 1 + i) % 32] + i;
        if (PLANT != 2)
            __syncwarp();
    }
    out[t] = v;
}

// One lane of those that are here adds for all. 1 every lane adds without atomics
KERNEL(aggregate(const int *x, int *count, int *out))
{
    int t = blockIdx.x * blockDim.x + threadIdx.x, v = x[t];
    if (v > 0) {
        cg::coalesced_group here = cg::coalesced_threads();
        int first = 0;
        if (PLANT == 1)
            first = (*count)++;
        else if (here.thread_rank() == 0)
            first = atomicAdd(count, (int)here.size());
        if (PLANT != 1)
            first = here.shfl(first, 0) + here.thread_rank();
        out[first] = v;
    }
}

// A lock that the lanes of a warp and all blocks take in turn.
// 1 no lock for odd blocks, 2 the lock does not acquire, 3 it does not release
KERNEL(locked(int *lock, int *value))
{
    bool done = false;
    while (!done) {
        if ((PLANT == 1 && blockIdx.x % 2) || atomicCAS(lock, 0, 1) == 0) {
            if (PLANT != 2)
                __threadfence();
            *value += 1 + (int)threadIdx.x;
            if (PLANT != 3)
                __threadfence();
            if (PLANT != 1 || blockIdx.x % 2 == 0)
                atomicExch(lock, 0);
            done = true;
        }
    }
}

__device__ void arrive(int id, int n)
{
    asm volatile("bar.arrive %0, %1;" ::"r"(id), "r"(n) : "memory");
}
__device__ void await(int id, int n)
{
    asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(n) : "memory");
}

// Two warps produce, two consume. 1 the producers do not wait for free slots, 2 full slots are
// announced with a wrong count, 3 one barrier for both purposes, 4 full slots are announced early,
// 5 an id that does not exist, 6 consumers free the slot before they read it
KERNEL(ring_of_barriers(const int *x, int *out, int rounds))
{
    __shared__ int ring[2][64];
    int t = threadIdx.x & 63, slot = 0;
    if (threadIdx.x < 64) {
        for (int i = 0; i < rounds; i++, slot ^= 1) {
            if (PLANT != 1)
                await(3 + slot, 128);
            if (PLANT == 4)
                arrive(1 + slot, 128);
            ring[slot][t] = x[i * 64 + t];
            if (PLANT != 4)
                arrive(PLANT == 3 ? 3 + slot : (PLANT == 5 ? 17 : 1) + slot, PLANT == 2 ? 96 : 128);
        }
    } else {
        if (PLANT != 1) {
            arrive(3, 128);
            arrive(4, 128);
        }
        for (int i = 0; i < rounds; i++, slot ^= 1) {
            await(1 + slot, 128);
            if (PLANT == 6 && i + 2 < rounds)
                arrive(3 + slot, 128);
            out[i * 64 + t] = ring[slot][63 - t] + i;
            if (PLANT != 1 && PLANT != 6 && i + 2 < rounds)
                arrive(3 + slot, 128);
        }
    }
}

// All blocks of a grid wait for each other. 1 only the block's own threads do
KERNEL(grid_turns(const int *x, int *a, int *b, int turns))
{
    cg::grid_group grid = cg::this_grid();
    int n = grid.size(), i = grid.thread_rank();
    a[i] = x[i];
    for (int k = 0; k < turns; k++) {
        if (PLANT == 1)
            __syncthreads();
        else
            grid.sync();
        int *from = k & 1 ? b : a, *to = k & 1 ? a : b;
        to[i] = from[(i + 1) % n] + from[(i + n - 1) % n] * 2;
    }
}

ALL2(votes);
ALL4(warp_exchange);
ALL2(aggregate);
ALL4(locked);
ALL7(ring_of_barriers);
ALL2(grid_turns);
