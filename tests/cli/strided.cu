__global__ void strided(const int *in, int *out)
{
    int x = in[2 * threadIdx.x];
    tile[2 * threadIdx.x] = x;
    __syncthreads();
    if (threadIdx.x < 8) {
        x = tile[2 * threadIdx.x] + 1;
    }
    atomicAdd(out, 1);
}
