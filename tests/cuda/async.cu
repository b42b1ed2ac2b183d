// SPDX-License-Identifier: MIT
// Barriers that count copies: cuda::barrier and the pipelines of a block, which use mbarriers.
#include "plant.h"
#include <cooperative_groups.h>
#include <cuda/barrier>
#include <cuda/pipeline>
namespace cg = cooperative_groups;

// Copies signal a barrier, all threads wait for its phase. 1 nobody waits, 2 the next copy does not
// wait for the readers
KERNEL(barrier_copy(const int *x, int *out, int tiles))
{
    using barrier = cuda::barrier<cuda::thread_scope_block>;
    __shared__ barrier full;
    __shared__ __align__(16) int tile[64];
    int t = threadIdx.x, sum = 0;
    if (t == 0)
        init(&full, blockDim.x);
    __syncthreads();
    for (int i = 0; i < tiles; i++) {
        cuda::memcpy_async(&tile[t], &x[i * 64 + t], sizeof(int), full);
        if (PLANT == 1)
            (void)full.arrive();
        else
            full.arrive_and_wait();
        sum += tile[63 - t] * (i + 1);
        if (PLANT != 2)
            __syncthreads();
    }
    out[t] = sum;
}

// The threads of a block meet at a barrier of their own in two steps.
// 1 the value is read before the second step
KERNEL(split_barrier(const int *x, int *out))
{
    using barrier = cuda::barrier<cuda::thread_scope_block>;
    __shared__ barrier meet;
    __shared__ int s[128];
    int t = threadIdx.x;
    if (t == 0)
        init(&meet, blockDim.x);
    __syncthreads();
    s[t] = x[t];
    auto token = meet.arrive();
    int own = x[t] * 3;
    if (PLANT != 1)
        meet.wait(std::move(token));
    out[t] = own + s[127 - t];
}

// One pipeline for all threads of the block, two stages.
// 1 a stage is given back before it is read
KERNEL(block_pipeline(const int *x, int *out, int tiles))
{
    __shared__ cuda::pipeline_shared_state<cuda::thread_scope_block, 2> state;
    __shared__ int ring[2][64];
    auto block = cg::this_thread_block();
    auto pipe = cuda::make_pipeline(block, &state);
    int t = threadIdx.x, sum = 0;
    auto fetch = [&](int i) {
        pipe.producer_acquire();
        cuda::memcpy_async(block, ring[i % 2], x + i * 64, sizeof(int) * 64, pipe);
        pipe.producer_commit();
    };
    fetch(0);
    for (int i = 0; i < tiles; i++) {
        if (i + 1 < tiles)
            fetch(i + 1);
        pipe.consumer_wait();
        if (PLANT == 1)
            pipe.consumer_release();
        sum += ring[i % 2][63 - t] * (i + 1);
        if (PLANT != 1)
            pipe.consumer_release();
    }
    out[t] = sum;
}

// Half of the block fills two buffers, the other half empties them; all arrive at both barriers of
// a buffer, and only those wait who have to.
// 1 a buffer is given back before it is read, 2 nobody waits until it is full
KERNEL(hand_over(const int *x, int *out, int tiles))
{
    using barrier = cuda::barrier<cuda::thread_scope_block>;
    __shared__ barrier ready[2], filled[2];
    __shared__ int buffer[2][64];
    int t = threadIdx.x, sum = 0;
    if (t < 2) {
        init(&ready[t], 128);
        init(&filled[t], 128);
    }
    __syncthreads();
    if (t >= 64) {
        for (int i = 0; i < tiles; i++) {
            ready[i % 2].arrive_and_wait();
            buffer[i % 2][t - 64] = x[i * 64 + t - 64];
            (void)filled[i % 2].arrive();
        }
        return;
    }
    (void)ready[0].arrive();
    (void)ready[1].arrive();
    for (int i = 0; i < tiles; i++) {
        if (PLANT == 2)
            (void)filled[i % 2].arrive();
        else
            filled[i % 2].arrive_and_wait();
        if (PLANT == 1)
            (void)ready[i % 2].arrive();
        sum += buffer[i % 2][63 - t] * (i + 1);
        if (PLANT != 1)
            (void)ready[i % 2].arrive();
    }
    out[t] = sum;
}

// The same by a pipeline whose threads have roles. 1 a stage is given back before it is read
KERNEL(role_pipeline(const int *x, int *out, int tiles))
{
    __shared__ cuda::pipeline_shared_state<cuda::thread_scope_block, 2> state;
    __shared__ int ring[2][64];
    auto block = cg::this_thread_block();
    int t = threadIdx.x, sum = 0;
    auto role = t < 64 ? cuda::pipeline_role::consumer : cuda::pipeline_role::producer;
    auto pipe = cuda::make_pipeline(block, &state, role);
    for (int i = 0; i < tiles; i++) {
        if (t >= 64) {
            pipe.producer_acquire();
            cuda::memcpy_async(&ring[i % 2][t - 64], &x[i * 64 + t - 64], sizeof(int), pipe);
            pipe.producer_commit();
            continue;
        }
        pipe.consumer_wait();
        if (PLANT == 1)
            pipe.consumer_release();
        sum += ring[i % 2][63 - t] * (i + 1);
        if (PLANT != 1)
            pipe.consumer_release();
    }
    if (t < 64)
        out[t] = sum;
}

ALL3(barrier_copy);
ALL3(hand_over);
ALL2(role_pipeline);
ALL2(split_barrier);
ALL2(block_pipeline);
