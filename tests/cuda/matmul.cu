// SPDX-License-Identifier: MIT
// Products of matrices: tiles, cp.async pipelines, tensor cores through wmma.
#include "plant.h"
#include <cuda/pipeline>
#include <cuda_pipeline.h>
#include <mma.h>

// 1 no barrier after the fill, 2 none before the next one, 3 the tail of k is read
KERNEL(tile_matmul(const float *a, const float *b, float *c, int n, int k))
{
    __shared__ float as[16][17], bs[16][17];
    int tx = threadIdx.x, ty = threadIdx.y, r = blockIdx.y * 16 + ty, col = blockIdx.x * 16 + tx;
    float sum = 0;
    for (int k0 = 0; k0 < k; k0 += 16) {
        as[ty][tx] = k0 + tx < k ? a[r * k + k0 + tx] : 0;
        bs[ty][tx] = k0 + ty < k || PLANT == 3 ? b[(k0 + ty) * n + col] : 0;
        if (PLANT != 1)
            __syncthreads();
        for (int i = 0; i < 16; i++) sum += as[ty][i] * bs[i][tx];
        if (PLANT != 2)
            __syncthreads();
    }
    c[r * n + col] = sum;
}

// Two stages through registers.
// 1 the next tile goes where others still read
KERNEL(double_buffer(const float *x, float *out, int tiles))
{
    __shared__ float s[2][64];
    int t = threadIdx.x;
    float sum = 0, next = x[t];
    for (int i = 0; i < tiles; i++) {
        float *tile = s[PLANT == 1 ? 0 : i & 1];
        tile[t] = next;
        if (i + 1 < tiles)
            next = x[(i + 1) * 64 + t];
        __syncthreads();
        for (int k = 0; k < 64; k++) sum += tile[k] * (float)((k ^ t) & 3);
    }
    out[t] = sum;
}

// cp.async in a ring of three. 1 waits for one group too few, 2 no barrier after the wait,
// 3 groups are never closed, 4 the copy goes into the stage that is read, 5 the last copies are
// not waited for, 6 the wait stands behind the barrier
KERNEL(copy_ring(const float *x, float *out, int tiles))
{
    __shared__ __align__(16) float ring[3][128];
    int t = threadIdx.x;
    auto fetch = [&](int tile) {
        if (t < 32 && (tile < tiles || PLANT == 5))
            __pipeline_memcpy_async(&ring[tile % 3][t * 4],
                                    x + (tile < tiles ? tile : 0) * 128 + t * 4, 16);
        if (PLANT != 3)
            __pipeline_commit();
    };
    float sum = 0;
    fetch(0);
    fetch(1);
    for (int i = 0; i < tiles; i++) {
        if (PLANT == 6)
            __syncthreads();
        __pipeline_wait_prior(PLANT == 1 ? 2 : 1);
        if (PLANT != 2 && PLANT != 6)
            __syncthreads();
        if (PLANT == 4)
            fetch(i + 3);
        else
            fetch(i + 2);
        sum += ring[i % 3][t] + ring[i % 3][127 - t];
    }
    out[t] = sum;
}

// The same with the pipeline of libcu++, one a thread.
// 1 no barrier after the wait, 2 no barrier before the stage is filled again
KERNEL(thread_pipeline(const int *x, int *out, int tiles))
{
    __shared__ int ring[2][64];
    int t = threadIdx.x, sum = 0;
    auto pipe = cuda::make_pipeline();
    auto fetch = [&](int tile) {
        pipe.producer_acquire();
        if (tile < tiles)
            cuda::memcpy_async(&ring[tile % 2][t], x + tile * 64 + t, sizeof(int), pipe);
        pipe.producer_commit();
    };
    fetch(0);
    for (int i = 0; i < tiles; i++) {
        fetch(i + 1);
        cuda::pipeline_consumer_wait_prior<1>(pipe);
        if (PLANT != 1)
            __syncthreads();
        sum += ring[i % 2][63 - t] * (i + 1);
        pipe.consumer_release();
        if (PLANT != 2)
            __syncthreads();
    }
    out[t] = sum;
}

// A warp a tile of 16x16, operands from shared memory, one tile of it from global memory.
// 1 no barrier after the fill, 2 no barrier before the result is copied out, 3 the result takes
// the place of operands that are still read
KERNEL(wmma_matmul(const half *a, const half *b, float *c, int k))
{
    using namespace nvcuda;
    __shared__ __align__(32) half as[32][16], bs[16][32];
    __shared__ __align__(32) float cs[32][32];
    int t = threadIdx.x, warp = t / 32, wr = warp / 2 * 16, wc = warp % 2 * 16;
    wmma::fragment<wmma::accumulator, 16, 16, 16, float> sum;
    wmma::fill_fragment(sum, 0.0f);
    for (int k0 = 0; k0 < k; k0 += 16) {
        for (int i = t; i < 512; i += 128) {
            as[i / 16][i % 16] = a[i / 16 * k + k0 + i % 16];
            bs[i / 32][i % 32] = b[(k0 + i / 32) * 32 + i % 32];
        }
        if (PLANT != 1)
            __syncthreads();
        wmma::fragment<wmma::matrix_a, 16, 16, 16, half, wmma::row_major> fa;
        wmma::fragment<wmma::matrix_b, 16, 16, 16, half, wmma::row_major> fb;
        wmma::load_matrix_sync(fa, &as[wr][0], 16);
        wmma::load_matrix_sync(fb, &bs[0][wc], 32);
        wmma::mma_sync(sum, fa, fb, sum);
        if (PLANT != 3)
            __syncthreads();
        if (PLANT == 3 && k0 + 16 >= k)
            as[t / 16][t % 16] = half(0);
    }
    wmma::store_matrix_sync(&cs[wr][wc], sum, 32, wmma::mem_row_major);
    if (PLANT != 2)
        __syncthreads();
    for (int i = t; i < 1024; i += 128) c[i] = cs[i / 32][31 - i % 32];
}

// Other shapes and types: bf16, s8, tf32, f64, columns.
KERNEL(wmma_types(const __nv_bfloat16 *a, const signed char *q, const float *f, const double *d,
                  float *out, int *iout, float *tout, double *dout))
{
    using namespace nvcuda;
    {
        wmma::fragment<wmma::matrix_a, 32, 8, 16, __nv_bfloat16, wmma::col_major> fa;
        wmma::fragment<wmma::matrix_b, 32, 8, 16, __nv_bfloat16, wmma::col_major> fb;
        wmma::fragment<wmma::accumulator, 32, 8, 16, float> sum;
        wmma::fill_fragment(sum, 1.0f);
        wmma::load_matrix_sync(fa, a, 32);
        wmma::load_matrix_sync(fb, a, 16);
        wmma::mma_sync(sum, fa, fb, sum);
        wmma::store_matrix_sync(out, sum, 32, wmma::mem_col_major);
    }
    {
        wmma::fragment<wmma::matrix_a, 16, 16, 16, signed char, wmma::row_major> fa;
        wmma::fragment<wmma::matrix_b, 16, 16, 16, signed char, wmma::col_major> fb;
        wmma::fragment<wmma::accumulator, 16, 16, 16, int> sum;
        wmma::fill_fragment(sum, -5);
        wmma::load_matrix_sync(fa, q, 16);
        wmma::load_matrix_sync(fb, q, 16);
        wmma::mma_sync(sum, fa, fb, sum);
        wmma::store_matrix_sync(iout, sum, 16, wmma::mem_row_major);
    }
    {
        wmma::fragment<wmma::matrix_a, 16, 16, 8, wmma::precision::tf32, wmma::row_major> fa;
        wmma::fragment<wmma::matrix_b, 16, 16, 8, wmma::precision::tf32, wmma::col_major> fb;
        wmma::fragment<wmma::accumulator, 16, 16, 8, float> sum;
        wmma::load_matrix_sync(sum, f, 16, wmma::mem_row_major);
        wmma::load_matrix_sync(fa, f, 8);
        wmma::load_matrix_sync(fb, f, 8);
        wmma::mma_sync(sum, fa, fb, sum);
        wmma::store_matrix_sync(tout, sum, 16, wmma::mem_row_major);
    }
    {
        wmma::fragment<wmma::matrix_a, 8, 8, 4, double, wmma::row_major> fa;
        wmma::fragment<wmma::matrix_b, 8, 8, 4, double, wmma::col_major> fb;
        wmma::fragment<wmma::accumulator, 8, 8, 4, double> sum;
        wmma::load_matrix_sync(sum, d, 8, wmma::mem_row_major);
        wmma::load_matrix_sync(fa, d, 4);
        wmma::load_matrix_sync(fb, d, 4);
        wmma::mma_sync(sum, fa, fb, sum);
        wmma::store_matrix_sync(dout, sum, 8, wmma::mem_row_major);
    }
}

ALL4(tile_matmul);
ALL2(double_buffer);
ALL7(copy_ring);
ALL3(thread_pipeline);
ALL4(wmma_matmul);
ALL1(wmma_types);
