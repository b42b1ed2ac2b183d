// SPDX-License-Identifier: MIT
// Tiles of shared memory: transposes, histograms, stencils.
#include "plant.h"

// 1 no barrier, 2 no test of the tail, 3 the row is one too short, 4 reads as wide as its rows are
// not aligned
KERNEL(transpose(const float *x, float *out, int rows, int columns))
{
    __shared__ float tile[32 * 33];
    int c = blockIdx.x * 32 + threadIdx.x, r0 = blockIdx.y * 32;
    for (int j = threadIdx.y; j < 32; j += 8)
        if ((r0 + j < rows && c < columns) || PLANT == 2)
            tile[j * 33 + threadIdx.x] = x[(size_t)(r0 + j) * columns + c];
    if (PLANT != 1)
        __syncthreads();
    int c2 = r0 + threadIdx.x, r2 = blockIdx.x * 32;
    for (int j = threadIdx.y; j < 32; j += 8)
        if (r2 + j < columns && c2 < rows) {
            int at = threadIdx.x * 33 + j + (PLANT == 3 && threadIdx.x == 31 ? 33 : 0);
            float v = tile[at];
            if (PLANT == 4) {
                double two = *(double *)&tile[threadIdx.x * 33 + (j & ~1)];
                v = __int_as_float(j & 1 ? __double2hiint(two) : __double2loint(two));
            }
            out[(size_t)(r2 + j) * rows + c2] = v;
        }
}

// In place, blocks exchange tiles. 1 both blocks of a pair do the work
KERNEL(transpose_in_place(float *x, int n))
{
    int bx = blockIdx.x, by = blockIdx.y;
    if (PLANT != 1 && bx > by)
        return;
    int c = bx * 16 + threadIdx.x, r = by * 16 + threadIdx.y;
    if (bx == by && c >= r)
        return;
    float a = x[r * n + c], b = x[c * n + r];
    x[r * n + c] = b;
    x[c * n + r] = a;
}

// 1 the bins are cleared without a barrier, 2 they are counted without atomics, 3 merged without a
// barrier, 4 merged without atomics, 5 merged at block scope, 6 a value beyond the bins
KERNEL(histogram(const uint8_t *x, unsigned *bins, int n))
{
    __shared__ unsigned local[64];
    for (int i = threadIdx.x; i < 64; i += blockDim.x) local[i] = 0;
    if (PLANT != 1)
        __syncthreads();
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
        if (PLANT == 2)
            local[x[i] & 63]++;
        else
            atomicAdd(&local[x[i] & (PLANT == 6 ? 127 : 63)], 1u);
    }
    if (PLANT != 3)
        __syncthreads();
    for (int i = threadIdx.x; i < 64; i += blockDim.x) {
        if (PLANT == 4)
            bins[i] += local[i];
        else if (PLANT == 5)
            atomicAdd_block(&bins[i], local[i]);
        else
            atomicAdd(&bins[i], local[i]);
    }
}

// Equal values of a warp are found by match, one lane counts for them. Each warp has its own bins.
// 1 every lane counts, 2 the lanes read before others have counted
KERNEL(match_histogram(const uint8_t *x, unsigned *bins))
{
    __shared__ unsigned local[4][16];
    int t = threadIdx.x, lane = t % 32, warp = t / 32;
    if (lane < 16)
        local[warp][lane] = 0;
    __syncwarp();
    for (int i = 0; i < 4; i++) {
        unsigned v = x[i * 128 + t] & 15, same = __match_any_sync(0xffffffff, v);
        if (PLANT == 1 || lane == __ffs(same) - 1)
            local[warp][v] += __popc(same);
        if (PLANT != 2)
            __syncwarp();
    }
    __syncthreads();
    if (t < 16)
        bins[t] = local[0][t] + local[1][t] + local[2][t] + local[3][t];
}

// Neighbours within 2, the ends repeat. 1 no barrier, 2 no halo on the right, 3 reads beyond x
KERNEL(stencil(const float *x, float *out, int n))
{
    __shared__ float s[128 + 4];
    int t = threadIdx.x, i = blockIdx.x * 128 + t;
    auto at = [&](int k) { return x[PLANT == 3 ? k : min(max(k, 0), n - 1)]; };
    s[t + 2] = at(i);
    if (t < 2)
        s[t] = at(i - 2);
    if (t >= 126 && PLANT != 2)
        s[t + 4] = at(i + 2);
    if (PLANT != 1)
        __syncthreads();
    if (i < n)
        out[i] = s[t] + 2 * s[t + 1] + 4 * s[t + 2] + 2 * s[t + 3] + s[t + 4];
}

// The same array is read and written in turns.
// 1 nothing after the reads, 2 nothing at the end of the loop
KERNEL(relax(const int *x, int *out, int turns))
{
    __shared__ int s[128];
    int t = threadIdx.x;
    s[t] = x[t];
    __syncthreads();
    for (int i = 0; i < turns; i++) {
        int v = s[(t + 1) % 128] + s[(t + 127) % 128];
        if (PLANT != 1)
            __syncthreads();
        s[t] = v & 0xffff;
        if (PLANT != 2)
            __syncthreads();
    }
    out[t] = s[t];
}

// Rows of a picture stay in shared memory while they are used, in a ring of three.
// 1 the ring has two rows, 2 no barrier after a row came in
KERNEL(column_stencil(const int *x, int *out, int rows))
{
    __shared__ int ring[4][64];
    int t = threadIdx.x;
    const int size = PLANT == 1 ? 3 : 4;
    ring[0][t] = x[t];
    ring[1][t] = x[64 + t];
    for (int r = 1; r + 1 < rows; r++) {
        ring[(r + 1) % size][t] = x[(r + 1) * 64 + t];
        if (PLANT != 2)
            __syncthreads();
        int left = (t + 63) % 64, right = (t + 1) % 64;
        out[r * 64 + t] = ring[(r - 1) % size][left] + ring[r % size][t] +
                          ring[(r + 1) % size][right];
    }
}

ALL5(transpose);
ALL2(transpose_in_place);
ALL7(histogram);
ALL3(match_histogram);
ALL4(stencil);
ALL3(relax);
ALL3(column_stencil);
