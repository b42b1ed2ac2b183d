// SPDX-License-Identifier: MIT
// The kernels of program.cu: nvcc makes PTX of them, which the program carries inside.
__constant__ float scale = 2.0f;
__device__ unsigned blocks_done;

// Sums n values: warps by shuffles, blocks through shared memory, the grid by atomics.
extern "C" __global__ void sum(const float *values, int n, float *result)
{
    __shared__ float partial[32];
    float total = 0;
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
        total += scale * values[i];
    for (int step = 16; step; step /= 2) total += __shfl_down_sync(~0u, total, step);
    if (threadIdx.x % 32 == 0) partial[threadIdx.x / 32] = total;
    __syncthreads();
    if (threadIdx.x < 32) {
        total = threadIdx.x < blockDim.x / 32 ? partial[threadIdx.x] : 0;
        for (int step = 16; step; step /= 2) total += __shfl_down_sync(~0u, total, step);
        if (threadIdx.x == 0) {
            atomicAdd(result, total);
            atomicAdd(&blocks_done, 1);
        }
    }
}

// A transposition through dynamic shared memory.
extern "C" __global__ void transpose(const int *from, int *to, int size)
{
    extern __shared__ int tile[];
    int x = blockIdx.x * 16 + threadIdx.x, y = blockIdx.y * 16 + threadIdx.y;
    if (x < size && y < size) tile[threadIdx.y * 17 + threadIdx.x] = from[y * size + x];
    __syncthreads();
    x = blockIdx.y * 16 + threadIdx.x, y = blockIdx.x * 16 + threadIdx.y;
    if (x < size && y < size) to[y * size + x] = tile[threadIdx.x * 17 + threadIdx.y];
}

// A struct by value, and a neighbour's element without a barrier before it is read.
struct window {
    int *data;
    int first, count;
    double factor;
};

extern "C" __global__ void forgets_barrier(window w)
{
    __shared__ int shared[256];
    shared[threadIdx.x] = w.data[w.first + threadIdx.x] * (int)w.factor;
    w.data[w.first + threadIdx.x] = shared[(threadIdx.x + 64) % w.count];
}
