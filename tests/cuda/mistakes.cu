// SPDX-License-Identifier: MIT
// Mistakes that need no algorithm around them.
#include "plant.h"
#include <cuda/atomic>
#include <cuda_pipeline.h>

// Warp 0 hands a value to the others. 1 the others wait at a barrier that counts one warp more than
// comes, 2 warp 0 leaves without a word
KERNEL(handed_over(const int *x, int *out))
{
    __shared__ int value;
    int t = threadIdx.x, n = PLANT == 1 ? 128 : 96;
    if (t < 32) {
        if (t == 0)
            value = x[0];
        __syncwarp();
        if (PLANT != 2)
            asm volatile("bar.arrive 1, %0;" ::"r"(n) : "memory");
    } else {
        asm volatile("bar.sync 1, %0;" ::"r"(n) : "memory");
        out[t - 32] = value + t;
    }
}

// The last block opens the gate, all others wait there. 1 nobody opens it
KERNEL(gate(int *opened, int *out))
{
    if (threadIdx.x == 0) {
        cuda::atomic_ref<int, cuda::thread_scope_device> gate(*opened);
        if (blockIdx.x == gridDim.x - 1) {
            if (PLANT != 1)
                gate.store(1, cuda::memory_order_release);
        } else {
            while (gate.load(cuda::memory_order_acquire) == 0) {
            }
        }
        out[blockIdx.x] = 1;
    }
}

__constant__ int fixed[4] = {2, 3, 5, 7};

// 1 a constant is written, 2 the buffer is gone, 3 a copy that belongs to no group is waited for,
// 4 an address that is no address
KERNEL(plain(const int *x, int *out, const int *gone))
{
    __shared__ __align__(16) int s[128];
    int t = threadIdx.x, sum = fixed[t % 4];
    if (PLANT == 1 && t == 3) {
        int *hidden; // or the compiler sees it, and traps
        asm("mov.u64 %0, %1;" : "=l"(hidden) : "l"(&fixed[t]));
        *hidden = 1;
    }
    if (PLANT == 2)
        sum += gone[t];
    if (PLANT == 4 && t == 7)
        sum += *(const int *)(size_t)64;
    __pipeline_memcpy_async(&s[t], &x[t], 4);
    if (PLANT != 3)
        __pipeline_commit();
    __pipeline_wait_prior(0);
    __syncthreads();
    if (PLANT == 3)
        __pipeline_commit();
    out[t] = sum + s[127 - t];
}

ALL3(handed_over);
ALL2(gate);
ALL5(plain);
