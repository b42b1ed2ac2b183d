// SPDX-License-Identifier: MIT
// Kernels of Hopper as people write them, with inline assembly: a matmul whose producer warp feeds
// two consumer warpgroups through a ring of mbarriers, and the two products of attention, the
// second with its A from registers, pipelined. PLANT selects a mistake; 0 is right.
#include <cuda_fp16.h>
#include <stdint.h>

#define DEVICE __device__ __forceinline__

DEVICE uint32_t shared_address(const void *p)
{
    return (uint32_t)__cvta_generic_to_shared(p);
}

// Lines of 128 bytes, swizzled; 8 lines to the next group of rows (or of k).
DEVICE uint64_t descriptor(const void *p)
{
    uint64_t address = (shared_address(p) & 0x3ffff) >> 4;
    return address | (uint64_t)64 << 16 | (uint64_t)64 << 32 | (uint64_t)1 << 62;
}

DEVICE void wgmma_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
DEVICE void wgmma_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
template <int N> DEVICE void wgmma_wait()
{
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(N) : "memory");
}

#define FOUR(f, i) "+f"(f[i]), "+f"(f[i + 1]), "+f"(f[i + 2]), "+f"(f[i + 3])
#define ACCUMULATORS(f)                                                                            \
    FOUR(f, 0), FOUR(f, 4), FOUR(f, 8), FOUR(f, 12), FOUR(f, 16), FOUR(f, 20), FOUR(f, 24),        \
        FOUR(f, 28)
#define D32                                                                                        \
    "{%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,%23,%24,"  \
    "%25,%26,%27,%28,%29,%30,%31}"

DEVICE void multiply(float (&d)[32], uint64_t a, uint64_t b, int add)
{
    asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %34, 0;\n"
                 "wgmma.mma_async.sync.aligned.m64n64k16.f32.f16.f16 " D32
                 ", %32, %33, p, 1, 1, 0, 0;\n}\n"
                 : ACCUMULATORS(d) : "l"(a), "l"(b), "r"(add));
}

// A in registers, B with n along its lines.
DEVICE void multiply_registers(float (&d)[32], const uint32_t *a, uint64_t b, int add)
{
    asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %37, 0;\n"
                 "wgmma.mma_async.sync.aligned.m64n64k16.f32.f16.f16 " D32
                 ", {%32,%33,%34,%35}, %36, p, 1, 1, 1;\n}\n"
                 : ACCUMULATORS(d)
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(add));
}

// Row and column of a thread's accumulator i, of a tile of 64 rows.
DEVICE int row_of(int i)
{
    return threadIdx.x % 128 / 32 * 16 + threadIdx.x % 32 / 4 + (i / 2 & 1) * 8;
}
DEVICE int column_of(int i) { return i / 4 * 8 + threadIdx.x % 4 * 2 + (i & 1); }

// ---- mbarriers ---------------------------------------------------------------------------------

DEVICE void barrier_init(uint64_t *m, int count)
{
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(m)), "r"(count));
}

DEVICE void barrier_arrive(uint64_t *m)
{
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(m)) : "memory");
}

DEVICE void barrier_wait(uint64_t *m, int parity)
{
    asm volatile("{\n.reg .pred p;\nL: mbarrier.try_wait.parity.shared::cta.b64 p, [%0], %1;\n"
                 "@!p bra L;\n}\n" ::"r"(shared_address(m)), "r"(parity) : "memory");
}

DEVICE void load(void *to, const void *from, int bytes, uint64_t *m)
{
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(m)),
                 "r"(bytes) : "memory");
    asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], "
                 "%2, [%3];" ::"r"(shared_address(to)), "l"(from), "r"(bytes),
                 "r"(shared_address(m))
                 : "memory");
}

// ---- matmul: c[128][64] = a[128][k] * b[64][k], tiles of 64 along k ----------------------------

constexpr int STAGES = 3, A_BYTES = 128 * 128, B_BYTES = 64 * 128;

template <int PLANT> DEVICE void consume(uint8_t *ring, uint64_t *full, uint64_t *empty, float *c,
                                         int tiles)
{
    int group = threadIdx.x / 128 - 1;
    float d[32];
    for (int i = 0; i < 32; i++) d[i] = 0;
    for (int t = 0; t < tiles; t++) {
        int slot = t % STAGES;
        const uint8_t *a = ring + slot * (A_BYTES + B_BYTES), *b = a + A_BYTES;
        barrier_wait(&full[slot], t / STAGES & 1);
        if (PLANT != 1 || t)
            wgmma_fence();
        for (int k = 0; k < 4; k++)
            multiply(d, descriptor(a + group * 64 * 128 + k * 32), descriptor(b + k * 32), 1);
        wgmma_commit();
        if (PLANT == 2)
            wgmma_wait<2>();
        else
            wgmma_wait<1>();
        int done = PLANT == 3 ? t : t - 1;
        if (done >= 0 && threadIdx.x % 32 == 0)
            barrier_arrive(&empty[done % STAGES]);
    }
    if (PLANT != 4)
        wgmma_wait<0>();
    for (int i = 0; i < 32; i++) c[(group * 64 + row_of(i)) * 64 + column_of(i)] = d[i];
    if (PLANT == 4)
        wgmma_wait<0>();
}

template <int PLANT> DEVICE void matmul(float *c, const uint8_t *tiles_of_ab, int tiles)
{
    extern __shared__ __align__(1024) uint8_t ring[];
    __shared__ uint64_t full[STAGES], empty[STAGES];
    if (threadIdx.x == 0)
        for (int i = 0; i < STAGES; i++) {
            barrier_init(&full[i], 1);
            barrier_init(&empty[i], 8);
        }
    __syncthreads();
    if (threadIdx.x >= 128)
        return consume<PLANT>(ring, full, empty, c, tiles);
    if (threadIdx.x)
        return;
    for (int t = 0; t < tiles; t++) {
        int slot = t % STAGES, bytes = A_BYTES + B_BYTES;
        if (t >= STAGES)
            barrier_wait(&empty[slot], (t / STAGES - 1) & 1);
        load(ring + slot * bytes, tiles_of_ab + (size_t)t * bytes, bytes, &full[slot]);
    }
}

// ---- attention without its softmax: o = relu(q * k^T) * v, blocks of 64 keys --------------------

DEVICE uint32_t pack(float x, float y)
{
    __half2 h = __floats2half2_rn(fmaxf(x, 0), fmaxf(y, 0));
    return *(uint32_t *)&h;
}

DEVICE void scores(float (&s)[32], const uint8_t *q, const uint8_t *k)
{
    wgmma_fence();
    for (int i = 0; i < 4; i++) multiply(s, descriptor(q + i * 32), descriptor(k + i * 32), i != 0);
    wgmma_commit();
}

// q, then blocks of k and v by turns, 8 KiB each, as they shall lie in shared memory.
template <int PLANT> DEVICE void attention(float *out, const uint4 *in, int blocks)
{
    extern __shared__ __align__(1024) uint8_t tiles[];
    for (int i = threadIdx.x; i < (1 + 2 * blocks) * 512; i += 128) ((uint4 *)tiles)[i] = in[i];
    if (PLANT != 1)
        asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
    __syncthreads();
    float o[32], s[32], next[32];
    uint32_t p[4][4];
    for (int i = 0; i < 32; i++) o[i] = 0;
    scores(s, tiles, tiles + 8192);
    wgmma_wait<0>();
    for (int b = 0; b < blocks; b++) {
        const uint8_t *v = tiles + 8192 * (2 + 2 * b);
        for (int i = 0; i < 16; i++) p[i / 4][i % 4] = pack(s[2 * i], s[2 * i + 1]);
        if (b + 1 < blocks)
            scores(next, tiles, tiles + 8192 * (3 + 2 * b));
        if (PLANT != 2)
            wgmma_fence();
        for (int i = 0; i < 4; i++) multiply_registers(o, p[i], descriptor(v + i * 2048), 1);
        wgmma_commit();
        if (PLANT != 3)
            wgmma_wait<1>();
        if (b + 1 < blocks)
            for (int i = 0; i < 32; i++) s[i] = next[i] * 0.5f;
        if (PLANT != 4)
            wgmma_wait<0>();
        if (PLANT == 4 && b + 1 == blocks)
            wgmma_wait<0>();
    }
    for (int i = 0; i < 32; i++) out[row_of(i) * 64 + column_of(i)] = o[i];
}

#define VARIANT(n)                                                                                 \
    extern "C" __global__ void __launch_bounds__(384) matmul_##n(float *c, const uint8_t *ab,      \
                                                                 long tiles)                       \
    {                                                                                              \
        matmul<n>(c, ab, (int)tiles);                                                              \
    }                                                                                              \
    extern "C" __global__ void __launch_bounds__(128) attention_##n(float *o, const uint4 *in,     \
                                                                    long blocks)                   \
    {                                                                                              \
        attention<n>(o, in, (int)blocks);                                                          \
    }
VARIANT(0) VARIANT(1) VARIANT(2) VARIANT(3) VARIANT(4)
