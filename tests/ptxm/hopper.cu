// SPDX-License-Identifier: MIT
// Kernels that nvcc compiles for sm_90a: cuda::barrier, bulk copies, tensor copies, clusters.
// PLANT is the number of the mistake that is built in; 0: none. See meson.build.
#include <cooperative_groups.h>
#include <cuda.h>
#include <cuda/barrier>
#include <cuda/ptx>

#ifndef PLANT
#define PLANT 0
#endif
// The statement, unless mistake n is to leave it out.
#define UNLESS(n, ...)                                                                             \
    do {                                                                                           \
        if (PLANT != n) {                                                                          \
            __VA_ARGS__;                                                                           \
        }                                                                                          \
    } while (0)

namespace cg = cooperative_groups;
using barrier = cuda::barrier<cuda::thread_scope_block>;

// Each CTA scales 256 floats at a time, brought and taken away by bulk copies.
extern "C" __global__ void scale(float *out, const float *in, int tiles, float factor)
{
    __shared__ alignas(128) float tile[256];
    #pragma nv_diag_suppress static_var_with_dynamic_init
    __shared__ barrier bar;
    if (threadIdx.x == 0)
        init(&bar, blockDim.x);
    __syncthreads();
    for (int t = blockIdx.x; t < tiles; t += gridDim.x) {
        barrier::arrival_token token;
        if (threadIdx.x == 0) {
            cuda::device::memcpy_async_tx(tile, in + t * 256, cuda::aligned_size_t<16>(1024), bar);
            token = cuda::device::barrier_arrive_tx(bar, 1, PLANT == 3 ? 2048 : 1024);
        } else {
            token = bar.arrive();
        }
        bar.wait(std::move(token));
        for (int i = threadIdx.x; i < 256; i += blockDim.x) tile[i] *= factor;
        UNLESS(1, cuda::ptx::fence_proxy_async(cuda::ptx::space_shared));
        UNLESS(2, __syncthreads());
        if (threadIdx.x == 0) {
            cuda::ptx::cp_async_bulk(cuda::ptx::space_global, cuda::ptx::space_shared,
                                     out + t * 256, tile, 1024);
            cuda::ptx::cp_async_bulk_commit_group();
            cuda::ptx::cp_async_bulk_wait_group_read(cuda::ptx::n32_t<0>());
        }
        __syncthreads();
    }
}

// A histogram over the shared memory of a cluster.
extern "C" __global__ void __cluster_dims__(2, 1, 1) histogram(unsigned *bins, const unsigned *in,
                                                               int count)
{
    __shared__ unsigned mine[32];
    cg::cluster_group cluster = cg::this_cluster();
    if (threadIdx.x < 32)
        mine[threadIdx.x] = 0;
    UNLESS(5, cluster.sync());
    __syncthreads();
    for (int i = cg::this_grid().thread_rank(); i < count; i += cg::this_grid().size()) {
        unsigned bin = in[i] % 64;
        unsigned *there = cluster.map_shared_rank(mine, bin / 32);
        atomicAdd(there + bin % 32, 1);
    }
    UNLESS(4, cluster.sync());
    if (threadIdx.x < 32)
        atomicAdd(&bins[cluster.block_rank() * 32 + threadIdx.x], mine[threadIdx.x]);
}

// Transposes a matrix of floats, tile by tile, by tensor copies.
extern "C" __global__ void transpose(const __grid_constant__ CUtensorMap from,
                                     const __grid_constant__ CUtensorMap to)
{
    namespace ptx = cuda::ptx;
    __shared__ alignas(128) float a[32][32], b[32][32];
    __shared__ uint64_t full;
    int x = blockIdx.x * 32, y = blockIdx.y * 32;
    if (threadIdx.x == 0) {
        ptx::mbarrier_init(&full, 1);
        ptx::fence_proxy_async(ptx::space_shared);
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        const int32_t at[2] = {x, y};
        ptx::cp_async_bulk_tensor(ptx::space_cluster, ptx::space_global, a, &from, at, &full);
        ptx::mbarrier_arrive_expect_tx(ptx::sem_release, ptx::scope_cta, ptx::space_shared, &full,
                                       sizeof a);
    }
    while (PLANT != 6 && !ptx::mbarrier_try_wait_parity(&full, 0)) {
    }
    for (int i = threadIdx.x; i < 1024; i += blockDim.x) b[i % 32][i / 32] = a[i / 32][i % 32];
    ptx::fence_proxy_async(ptx::space_shared);
    __syncthreads();
    if (threadIdx.x == 0) {
        const int32_t at[2] = {y, x};
        ptx::cp_async_bulk_tensor(ptx::space_global, ptx::space_shared, &to, at, b);
        ptx::cp_async_bulk_commit_group();
        ptx::cp_async_bulk_wait_group(ptx::n32_t<0>());
    }
}

// A ring: one warp loads tiles, the others add them up; slots come back by an mbarrier.
extern "C" __global__ void ring(float *out, const float *in, int tiles)
{
    namespace ptx = cuda::ptx;
    constexpr int slots = 3, width = 128;
    __shared__ alignas(128) float data[slots][width];
    __shared__ uint64_t full[slots], empty[slots];
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    if (threadIdx.x == 0) {
        for (int i = 0; i < slots; i++) {
            ptx::mbarrier_init(&full[i], 1);
            ptx::mbarrier_init(&empty[i], blockDim.x / 32 - (PLANT == 9 ? 0 : 1));
        }
    }
    __syncthreads();
    if (warp == 0) {
        if (lane == 0)
            for (int t = 0; t < tiles; t++) {
                int s = t % slots, round = t / slots;
                while (!ptx::mbarrier_try_wait_parity(&empty[s], (round & 1) ^ 1)) {
                }
                UNLESS(7, ptx::fence_proxy_async(ptx::space_shared));
                ptx::mbarrier_arrive_expect_tx(ptx::sem_release, ptx::scope_cta, ptx::space_shared,
                                               &full[s], sizeof data[0]);
                ptx::cp_async_bulk(ptx::space_cluster, ptx::space_global, data[s],
                                   in + (blockIdx.x * tiles + t) * width, sizeof data[0], &full[s]);
            }
        return;
    }
    float sum = 0;
    for (int t = 0; t < tiles; t++) {
        int s = t % slots, round = t / slots;
        while (!ptx::mbarrier_try_wait_parity(&full[s], round & 1)) {
        }
        for (int i = threadIdx.x - 32; i < width; i += blockDim.x - 32) sum += data[s][i];
        UNLESS(8, __syncwarp());
        if (lane == 0 || PLANT == 10)
            ptx::mbarrier_arrive(&empty[s]);
    }
    atomicAdd(out + blockIdx.x, sum);
}
