// SPDX-License-Identifier: MIT
// Tensor maps and tensor copies: every element of a box against a reference that is written from
// the rules (rows, zero fill, steps, swizzles), and the mistakes.
#include "planted.h"

#include <stdio.h>
#include <string.h>

enum { SHARED_BYTES = 32768, TENSOR_BYTES = 65536 };

static const unsigned sizes[] = {1, 2, 4, 4, 8, 8, 2, 4, 8, 2};

struct shape {
    enum ptxm_tensor_type type;
    uint32_t rank;
    uint64_t dims[5], strides[4];
    uint32_t box[5], steps[5];
    enum ptxm_tensor_swizzle swizzle;
    int32_t at[5];
};

static void encode(const struct shape *s, uint64_t address, struct ptxm_tensor_map *map)
{
    struct ptxm_tensor t = {.type = s->type, .rank = s->rank, .address = address, .dims = s->dims,
                            .strides = s->strides, .box = s->box, .element_strides = s->steps,
                            .swizzle = s->swizzle};
    assert_int_equal(ptxm_tensor_map_encode_tiled(map, &t, NULL, NULL), PTXM_OK);
}

// ---- the reference ------------------------------------------------------------------------------

static uint64_t count(const struct shape *s, uint32_t i)
{
    return i ? (s->box[i] + s->steps[i] - 1) / s->steps[i] : s->box[0];
}

static uint64_t box_bytes(const struct shape *s)
{
    uint64_t n = sizes[s->type];
    for (uint32_t i = 0; i < s->rank; i++) n *= count(s, i);
    return n;
}

// Where element number e of the box lies in shared memory (from an address that is 0 modulo 1024).
static uint64_t in_shared(const struct shape *s, uint64_t e)
{
    uint64_t byte = e * sizes[s->type], line = byte / 128, chunk = byte / 16 % 8;
    switch (s->swizzle) {
    case PTXM_TENSOR_SWIZZLE_32B: chunk ^= line % 2; break;
    case PTXM_TENSOR_SWIZZLE_64B: chunk ^= line % 4; break;
    case PTXM_TENSOR_SWIZZLE_128B: chunk ^= line % 8; break;
    default: break;
    }
    return line * 128 + chunk * 16 + byte % 16;
}

// Its offset in the tensor, or -1 outside.
static int64_t in_global(const struct shape *s, uint64_t e)
{
    int64_t offset = 0;
    for (uint32_t i = 0; i < s->rank; i++) {
        int64_t at = s->at[i] + (int64_t)(e % count(s, i)) * (i ? s->steps[i] : 1);
        e /= count(s, i);
        if (at < 0 || at >= (int64_t)s->dims[i])
            return -1;
        offset += at * (int64_t)(i ? s->strides[i - 1] : sizes[s->type]);
    }
    return offset;
}

// ---- kernels ------------------------------------------------------------------------------------

// Parameters: map, out, five coordinates. Shared memory goes to out (load) or comes from it.
#define TOP                                                                                        \
    ".version 8.6\n.target sm_90a\n.address_size 64\n"                                             \
    ".visible .entry k(.param .align 64 .b8 map[128], .param .u64 out, .param .b32 c0,"            \
    " .param .b32 c1, .param .b32 c2, .param .b32 c3, .param .b32 c4)\n{\n"                        \
    " .reg .b32 %r<40>; .reg .b64 %d<20>; .reg .pred %p<10>;\n"                                    \
    " .shared .align 1024 .b8 s[32768]; .shared .align 8 .b8 m[8];\n"                              \
    " mov.b64 %d1, map; cvta.param.u64 %d2, %d1; ld.param.u64 %d3, [out];"                         \
    " cvta.to.global.u64 %d3, %d3;"                                                                \
    " ld.param.b32 %r0, [c0]; ld.param.b32 %r1, [c1]; ld.param.b32 %r2, [c2];"                     \
    " ld.param.b32 %r3, [c3]; ld.param.b32 %r4, [c4]; mov.u32 %r5, m; mov.u32 %r6, s;"             \
    " mov.u32 %r7, %tid.x; setp.eq.u32 %p1, %r7, 0; shl.b32 %r8, %r7, 2;\n"
#define LOAD_TEXT                                                                                  \
    " @%%p1 mbarrier.init.shared.b64 [%%r5], 1;"                                                   \
    " @%%p1 mbarrier.arrive.expect_tx.shared.b64 _, [%%r5], %llu;"                                 \
    " @%%p1 cp.async.bulk.tensor.%ud.shared::cluster.global.tile.mbarrier::complete_tx::bytes"     \
    " [%%r6], [%%d2, {%s}], [%%r5]; bar.sync 0;\n"                                                 \
    "W: mbarrier.try_wait.parity.shared.b64 %%p2, [%%r5], 0; @!%%p2 bra W;\n"                      \
    "L: setp.ge.u32 %%p3, %%r8, %llu; @%%p3 ret;"                                                  \
    " add.u32 %%r9, %%r6, %%r8; ld.shared.u32 %%r10, [%%r9]; cvt.u64.u32 %%d4, %%r8;"              \
    " add.s64 %%d5, %%d3, %%d4; st.global.u32 [%%d5], %%r10; add.u32 %%r8, %%r8, 512;"             \
    " bra L;\n}\n"
#define STORE_TEXT                                                                                 \
    "L: add.u32 %%r9, %%r6, %%r8; cvt.u64.u32 %%d4, %%r8; add.s64 %%d5, %%d3, %%d4;"               \
    " ld.global.u32 %%r10, [%%d5]; st.shared.u32 [%%r9], %%r10; add.u32 %%r8, %%r8, 512;"          \
    " setp.lt.u32 %%p3, %%r8, 32768; @%%p3 bra L; fence.proxy.async.shared::cta; bar.sync 0;"      \
    " @%%p1 cp.%s.async.bulk.tensor.%ud.global.shared::cta%s.tile.bulk_group"                      \
    " [%%d2, {%s}], [%%r6]; @%%p1 cp.async.bulk.commit_group; @%%p1 cp.async.bulk.wait_group 0;"   \
    "\n ret;\n}\n"

static const char *coordinates(uint32_t rank)
{
    static const char *const lists[] = {"%r0", "%r0, %r1", "%r0, %r1, %r2", "%r0, %r1, %r2, %r3",
                                        "%r0, %r1, %r2, %r3, %r4"};
    return lists[rank - 1];
}

struct arguments {
    struct ptxm_tensor_map map;
    uint64_t out;
    int32_t at[5];
};

static void launch(struct bench *b, const struct shape *s, struct arguments *a, unsigned variant)
{
    static const enum ptxm_completion completions[] = {PTXM_EAGER, PTXM_LATE, PTXM_SEEDED};
    memcpy(a->at, s->at, sizeof a->at);
    b->options.completion = completions[variant];
    b->options.seed = variant;
    bench_run(b, "k", 1, 128, 0, a, sizeof *a);
}

static uint8_t global_byte(uint64_t i)
{
    return (uint8_t)(i * 7 + i / 251 + 1);
}

static void check_load(const struct shape *s)
{
    static uint8_t tensor[TENSOR_BYTES], out[SHARED_BYTES], expected[SHARED_BYTES];
    char text[8192];
    uint64_t bytes = box_bytes(s);
    unsigned size = sizes[s->type];
    snprintf(text, sizeof text, "%s", TOP);
    snprintf(text + strlen(text), sizeof text - strlen(text), LOAD_TEXT, (unsigned long long)bytes,
             s->rank, coordinates(s->rank), (unsigned long long)bytes);
    planted_assemble(text);
    for (uint64_t i = 0; i < sizeof tensor; i++) tensor[i] = global_byte(i);
    memset(expected, 0, sizeof expected);
    for (uint64_t e = 0; e < bytes / size; e++) {
        int64_t from = in_global(s, e);
        if (from >= 0)
            memcpy(expected + in_shared(s, e), tensor + from, size);
    }
    for (unsigned variant = 0; variant < 3; variant++) {
        struct bench b;
        struct arguments a;
        bench_load(&b, text);
        encode(s, bench_buffer(&b, sizeof tensor, tensor), &a.map);
        a.out = bench_buffer(&b, sizeof out, out);
        launch(&b, s, &a, variant);
        bench_clean(&b);
        bench_read(&b, a.out, out, sizeof out);
        assert_memory_equal(out, expected, bytes);
        bench_free(&b);
    }
}

// fold: what the tensor gets from the old and the stored element; NULL: a plain store.
static void check_store(const struct shape *s, const char *reduction,
                        void (*fold)(void *element, const void *value))
{
    static uint8_t tensor[TENSOR_BYTES], source[SHARED_BYTES], expected[TENSOR_BYTES];
    char text[8192];
    unsigned size = sizes[s->type];
    snprintf(text, sizeof text, "%s", TOP);
    snprintf(text + strlen(text), sizeof text - strlen(text), STORE_TEXT, fold ? "reduce" : "",
             s->rank, reduction, coordinates(s->rank));
    char *empty = strstr(text, "cp..async"); // a plain store is cp.async
    if (empty)
        memmove(empty + 3, empty + 4, strlen(empty + 3));
    planted_assemble(text);
    for (uint64_t i = 0; i < sizeof tensor; i++) tensor[i] = global_byte(i);
    for (uint64_t i = 0; i < sizeof source; i++) source[i] = (uint8_t)(i * 5 + i / 127 + 3);
    memcpy(expected, tensor, sizeof expected);
    for (uint64_t e = 0; e < box_bytes(s) / size; e++) {
        int64_t to = in_global(s, e);
        if (to >= 0 && fold)
            fold(expected + to, source + in_shared(s, e));
        else if (to >= 0)
            memcpy(expected + to, source + in_shared(s, e), size);
    }
    for (unsigned variant = 0; variant < 3; variant++) {
        static uint8_t now[TENSOR_BYTES];
        struct bench b;
        struct arguments a;
        bench_load(&b, text);
        uint64_t address = bench_buffer(&b, sizeof tensor, tensor);
        encode(s, address, &a.map);
        a.out = bench_buffer(&b, sizeof source, source);
        launch(&b, s, &a, variant);
        bench_clean(&b);
        bench_read(&b, address, now, sizeof now);
        assert_memory_equal(now, expected, sizeof now);
        bench_free(&b);
    }
}

#define ONES {1, 1, 1, 1, 1}
static const struct shape shapes[] = {
    {PTXM_TENSOR_UINT8, 1, {1000}, {0}, {256}, ONES, 0, {16}},
    {PTXM_TENSOR_FLOAT32, 1, {100}, {0}, {64}, ONES, 0, {70}},   // the end lies outside
    {PTXM_TENSOR_FLOAT32, 1, {100}, {0}, {64}, ONES, 0, {-5}},   // the start does
    {PTXM_TENSOR_FLOAT32, 1, {100}, {0}, {64}, ONES, 0, {200}},  // all of it
    {PTXM_TENSOR_FLOAT16, 2, {64, 64}, {128}, {64, 32}, ONES, PTXM_TENSOR_SWIZZLE_NONE, {0, 16}},
    {PTXM_TENSOR_FLOAT16, 2, {64, 64}, {128}, {64, 32}, ONES, PTXM_TENSOR_SWIZZLE_128B, {0, 16}},
    {PTXM_TENSOR_FLOAT16, 2, {64, 64}, {144}, {32, 40}, ONES, PTXM_TENSOR_SWIZZLE_64B, {8, 3}},
    {PTXM_TENSOR_BFLOAT16, 2, {64, 64}, {144}, {16, 40}, ONES, PTXM_TENSOR_SWIZZLE_32B, {8, 3}},
    {PTXM_TENSOR_FLOAT16, 2, {60, 30}, {128}, {64, 32}, ONES, PTXM_TENSOR_SWIZZLE_128B, {-3, -2}},
    {PTXM_TENSOR_FLOAT16, 2, {60, 30}, {128}, {32, 12}, ONES, PTXM_TENSOR_SWIZZLE_64B, {40, 25}},
    {PTXM_TENSOR_UINT8, 2, {128, 50}, {128}, {128, 17}, ONES, PTXM_TENSOR_SWIZZLE_128B, {0, 1}},
    {PTXM_TENSOR_FLOAT64, 2, {20, 20}, {160}, {16, 8}, ONES, PTXM_TENSOR_SWIZZLE_128B, {3, 15}},
    {PTXM_TENSOR_UINT32, 2, {64, 40}, {256}, {8, 12}, {1, 3, 1, 1, 1}, 0, {4, 5}}, // every third
    {PTXM_TENSOR_UINT16, 3, {32, 8, 6}, {64, 512}, {16, 4, 3}, ONES, 0, {9, 2, 4}},
    {PTXM_TENSOR_INT32, 3, {32, 8, 6}, {128, 1024}, {32, 4, 5}, {1, 2, 2, 1, 1},
     PTXM_TENSOR_SWIZZLE_128B, {0, 1, 0}},
    {PTXM_TENSOR_UINT64, 4, {8, 4, 4, 3}, {64, 256, 1024}, {4, 3, 2, 2}, ONES, 0, {2, -1, 3, 1}},
    {PTXM_TENSOR_FLOAT32, 5, {8, 4, 4, 3, 2}, {32, 128, 512, 1536}, {8, 2, 3, 2, 2}, ONES,
     PTXM_TENSOR_SWIZZLE_32B, {0, 3, 1, 2, 0}},
    // dimensions permuted: the second stride is smaller than the first
    {PTXM_TENSOR_FLOAT16, 3, {32, 10, 4}, {256, 64}, {32, 5, 3}, ONES, PTXM_TENSOR_SWIZZLE_64B,
     {0, 4, 2}},
};

static void test_loads(void **state)
{
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) check_load(&shapes[i]);
}

static void test_stores(void **state)
{
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) check_store(&shapes[i], "", NULL);
}

static void add_u32(void *element, const void *value)
{
    uint32_t a, b;
    memcpy(&a, element, 4);
    memcpy(&b, value, 4);
    a += b;
    memcpy(element, &a, 4);
}

static void min_s32(void *element, const void *value)
{
    int32_t a, b;
    memcpy(&a, element, 4);
    memcpy(&b, value, 4);
    memcpy(element, a < b ? &a : &b, 4);
}

static void xor_u64(void *element, const void *value)
{
    for (int i = 0; i < 8; i++) ((uint8_t *)element)[i] ^= ((const uint8_t *)value)[i];
}

static void test_reductions(void **state)
{
    static const struct shape u32 = {PTXM_TENSOR_UINT32, 2, {60, 40}, {256}, {32, 12}, ONES,
                                     PTXM_TENSOR_SWIZZLE_128B, {40, 35}};
    static const struct shape s32 = {PTXM_TENSOR_INT32, 2, {64, 40}, {256}, {8, 12}, ONES, 0,
                                     {4, -5}};
    static const struct shape u64 = {PTXM_TENSOR_UINT64, 1, {100}, {0}, {32}, ONES, 0, {7}};
    check_store(&u32, ".add", add_u32);
    check_store(&s32, ".min", min_s32);
    check_store(&u64, ".xor", xor_u64);
}

// ---- encoding -----------------------------------------------------------------------------------

static void hear(void *user, const struct ptxm_diagnostic *d)
{
    snprintf(user, 200, "%s", d->message);
}

static void test_encoding(void **state)
{
    static const uint64_t dims[] = {64, 64}, stride[] = {128}, zero[] = {64, 0}, odd[] = {120},
                          huge[] = {(uint64_t)1 << 40}, large[] = {64, ((uint64_t)1 << 32) + 1};
    static const uint32_t box[] = {64, 8}, ones[] = {1, 1}, none[] = {64, 0}, wide[] = {64, 257},
                          narrow[] = {4, 8}, nine[] = {1, 9}, broad[] = {128, 8};
    const struct ptxm_tensor good = {PTXM_TENSOR_FLOAT16, 2, 4096, dims, stride, box, ones,
                                     PTXM_TENSOR_INTERLEAVE_NONE, PTXM_TENSOR_SWIZZLE_128B,
                                     PTXM_TENSOR_L2_128B, PTXM_TENSOR_FILL_ZERO};
    struct ptxm_tensor_map map;
    char said[200];
    assert_int_equal(ptxm_tensor_map_encode_tiled(&map, &good, NULL, NULL), PTXM_OK);
    assert_int_equal(ptxm_tensor_map_encode_tiled(NULL, &good, NULL, NULL), PTXM_ERROR_ARGUMENT);
    assert_int_equal(ptxm_tensor_map_encode_tiled(&map, NULL, NULL, NULL), PTXM_ERROR_ARGUMENT);
#define REFUSED(field, value, words)                                                               \
    do {                                                                                           \
        struct ptxm_tensor t = good;                                                               \
        t.field = value;                                                                           \
        said[0] = 0;                                                                               \
        assert_int_equal(ptxm_tensor_map_encode_tiled(&map, &t, hear, said), PTXM_ERROR_ARGUMENT); \
        if (!strstr(said, words))                                                                  \
            fail_msg("'%s' lacks '%s'", said, words);                                              \
    } while (0)
    REFUSED(type, (enum ptxm_tensor_type)13, "unknown or packed");
    REFUSED(type, PTXM_TENSOR_FLOAT32_FTZ, "flush");
    REFUSED(rank, 0, "rank");
    REFUSED(rank, 6, "rank");
    REFUSED(address, 4100, "multiple of 16");
    REFUSED(dims, zero, "dimension 1 has 0");
    REFUSED(dims, large, "dimension 1 has");
    REFUSED(dims, NULL, "missing");
    REFUSED(strides, odd, "stride 120");
    REFUSED(strides, huge, "below 2^40");
    REFUSED(box, none, "box has 0");
    REFUSED(box, wide, "box has 257");
    REFUSED(box, narrow, "no multiple of 16");
    REFUSED(box, broad, "the swizzle 128 at most");
    REFUSED(element_strides, nine, "element stride 9");
    REFUSED(interleave, (enum ptxm_tensor_interleave)1, "interleaved");
    REFUSED(swizzle, (enum ptxm_tensor_swizzle)4, "swizzle");
    REFUSED(promotion, (enum ptxm_tensor_promotion)4, "promotion");
    REFUSED(fill, (enum ptxm_tensor_fill)1, "zero fill");
}

// ---- mistakes -----------------------------------------------------------------------------------

struct mistake {
    const char *body, *rule; // NULL: clean
    unsigned cluster;
};

#define INIT(bytes)                                                                                \
    " @%p1 mbarrier.init.shared.b64 [%r5], 1;"                                                     \
    " @%p1 mbarrier.arrive.expect_tx.shared.b64 _, [%r5], " #bytes ";"                             \
    " fence.mbarrier_init.release.cluster; barrier.cluster.arrive; barrier.cluster.wait;"
#define LOAD_AT(to, map)                                                                           \
    " @%p1 cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [" to "],"  \
    " [" map ", {%r0, %r1}], [%r5];"
#define LOAD LOAD_AT("%r6", "%d2")
#define WAIT "\nW: mbarrier.try_wait.parity.shared.b64 %p2, [%r5], 0; @!%p2 bra W;"
#define READ " add.u32 %r9, %r6, %r8; ld.shared.u32 %r10, [%r9];"
#define FILL                                                                                       \
    " mov.u32 %r11, 0;\nF: shl.b32 %r12, %r11, 9; add.u32 %r12, %r12, %r8;"                        \
    " add.u32 %r9, %r6, %r12; st.shared.u32 [%r9], %r7; add.u32 %r11, %r11, 1;"                    \
    " setp.lt.u32 %p3, %r11, 2; @%p3 bra F;"
#define FILL_AGAIN " add.u32 %r9, %r6, %r8; st.shared.u32 [%r9], %r7;"
#define ISSUE                                                                                      \
    " @%p1 cp.async.bulk.tensor.2d.global.shared::cta.bulk_group [%d2, {%r0, %r1}], [%r6];"        \
    " @%p1 cp.async.bulk.commit_group;"
#define STORE ISSUE " @%p1 cp.async.bulk.wait_group.read 0;"
#define OUTSIDE " mov.u32 %r1, 64;" // rows that the tensor does not have
#define FENCE " fence.proxy.async.shared::cta;"
// thread 0 copies the map to out, 16 bytes a turn
#define COPY_MAP                                                                                   \
    " @!%p1 bra COPIED; mov.u64 %d6, 0;\nC: add.s64 %d7, %d2, %d6; ld.v2.u64 {%d8, %d9}, [%d7];"   \
    " add.s64 %d10, %d3, %d6; st.global.v2.u64 [%d10], {%d8, %d9}; add.s64 %d6, %d6, 16;"          \
    " setp.lt.u64 %p4, %d6, 128; @%p4 bra C;\nCOPIED:"
#define RELEASE_MAP " fence.proxy.tensormap::generic.release.gpu;"
#define ACQUIRE_MAP " fence.proxy.tensormap::generic.acquire.gpu [%d3], 128;"

static const struct mistake mistakes[] = {
    {INIT(1024) LOAD WAIT READ, NULL},
    {INIT(1024) LOAD READ WAIT, "race-async-operation"},
    {INIT(1024) LOAD_AT("%r6+64", "%d2") WAIT, "misaligned"},
    {INIT(1024) LOAD_AT("%r6+32256", "%d2") WAIT, "shared-bounds"},
    {INIT(1024) " add.s64 %d11, %d2, 64;" LOAD_AT("%r6", "%d11") WAIT, "param-bounds"},
    {INIT(1024) LOAD_AT("%r6", "%d3") WAIT, "tensor-map"}, // no map at all
    {INIT(1024) " @%p1 cp.async.bulk.tensor.1d.shared::cluster.global.mbarrier::complete_tx::bytes"
     " [%r6], [%d2, {%r0}], [%r5];" WAIT, "tensor-map"},
    {INIT(1024) " prefetch.tensormap [%d2]; cp.async.bulk.prefetch.tensor.2d.L2.global.tile"
     " [%d2, {%r0, %r1}];" LOAD WAIT READ, NULL},
    {" prefetch.tensormap [%d3];", "tensor-map"},
    {INIT(512) LOAD WAIT, "deadlock"},
    {FILL FENCE " bar.sync 0;" STORE, NULL},
    {FILL " bar.sync 0;" STORE, "proxy-fence"},
    {FILL FENCE STORE, "race"},
    {FILL FENCE " bar.sync 0;" STORE FILL_AGAIN, "race-async-operation"},
    {FILL FENCE " bar.sync 0;" STORE " bar.sync 0;" FILL_AGAIN, NULL},
    {FILL FENCE " bar.sync 0;" ISSUE, "async-operation-at-exit"},
    // What lies outside is read all the same, and goes nowhere; it may never have been written.
    {FILL FENCE " bar.sync 0;" OUTSIDE STORE, NULL},
    {FILL FENCE " bar.sync 0;" OUTSIDE ISSUE, "async-operation-at-exit"},
    {FILL FENCE " bar.sync 0;" OUTSIDE STORE FILL_AGAIN, "race-async-operation"},
    {FILL " bar.sync 0;" OUTSIDE STORE, "proxy-fence"},
    {OUTSIDE STORE, NULL},
    {FILL FENCE " bar.sync 0;"
     " @%p1 cp.reduce.async.bulk.tensor.2d.global.shared::cta.inc.tile.bulk_group"
     " [%d2, {%r0, %r1}], [%r6]; @%p1 cp.async.bulk.commit_group;"
     " @%p1 cp.async.bulk.wait_group 0;", "tensor-map"},
    // a map in global memory, copied there by the kernel
    {INIT(1024) COPY_MAP RELEASE_MAP ACQUIRE_MAP LOAD_AT("%r6", "%d3") WAIT READ, NULL},
    {INIT(1024) COPY_MAP LOAD_AT("%r6", "%d3") WAIT READ, "proxy-tensormap"},
    {INIT(1024) COPY_MAP RELEASE_MAP LOAD_AT("%r6", "%d3") WAIT READ, "proxy-tensormap"},
    {INIT(1024) COPY_MAP ACQUIRE_MAP LOAD_AT("%r6", "%d3") WAIT READ, "proxy-tensormap"},
    // multicast: both CTAs of the cluster get the box
    {INIT(1024) " mov.u32 %r20, %cluster_ctarank; setp.eq.and.u32 %p5, %r20, 0, %p1; .reg .b16 %h1;"
     " mov.u16 %h1, 3; @%p5 cp.async.bulk.tensor.2d.shared::cluster.global"
     ".mbarrier::complete_tx::bytes.multicast::cluster [%r6], [%d2, {%r0, %r1}], [%r5], %h1;" WAIT
     READ, NULL, 2},
};

static void run_mistake(const struct mistake *m, const char *text, unsigned variant)
{
    static const struct shape s = {PTXM_TENSOR_FLOAT16, 2, {64, 64}, {128}, {64, 8}, ONES,
                                   PTXM_TENSOR_SWIZZLE_128B, {0, 16}};
    static uint8_t tensor[64 * 128], out[4096];
    struct bench b;
    struct arguments a = {.at = {0, 16}};
    bench_load(&b, text);
    encode(&s, bench_buffer(&b, sizeof tensor, tensor), &a.map);
    a.out = bench_buffer(&b, sizeof out, out);
    b.options.completion = (enum ptxm_completion)variant;
    b.options.seed = variant;
    struct ptxm_launch l = {.kernel = "k", .grid = {m->cluster ? m->cluster : 1, 1, 1},
                            .block = {128, 1, 1}, .cluster = {m->cluster, !!m->cluster,
                                                             !!m->cluster},
                            .params = &a, .param_bytes = sizeof a, .options = &b.options};
    b.status = ptxm_launch(b.device, b.module, &l, NULL, NULL, &b.report);
    if (m->rule)
        bench_found(&b, m->rule);
    else
        bench_clean(&b);
    bench_free(&b);
}

static void test_mistakes(void **state)
{
    for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
        char text[8192];
        snprintf(text, sizeof text, "%s%s\n ret;\n}\n", TOP, mistakes[i].body);
        planted_assemble(text);
        for (unsigned variant = 0; variant < 3; variant++) run_mistake(&mistakes[i], text, variant);
    }
}

static void test_bounds_and_corruption(void **state)
{
    static const struct shape s = {PTXM_TENSOR_FLOAT16, 2, {64, 64}, {128}, {64, 8}, ONES,
                                   PTXM_TENSOR_SWIZZLE_128B, {0, 16}};
    static uint8_t tensor[64 * 128];
    const char *text = TOP INIT(1024) LOAD WAIT READ "\n ret;\n}\n";
    for (int broken = 0; broken < 2; broken++) {
        struct bench b;
        struct arguments a = {.at = {0, 16}};
        bench_load(&b, text);
        // the allocation is smaller than the map says, or a bit of the map is wrong
        encode(&s, bench_buffer(&b, broken ? sizeof tensor : 2500, tensor), &a.map);
        if (broken)
            a.map.opaque[5] ^= 1;
        a.out = bench_buffer(&b, 4096, tensor);
        bench_run(&b, "k", 1, 128, 0, &a, sizeof a);
        bench_found(&b, broken ? "tensor-map" : "global-bounds");
        bench_free(&b);
    }
}

static void note(void *user, const struct ptxm_diagnostic *d)
{
    snprintf(user, 200, "%s", d->message);
}

static void test_refused(void **state)
{
    static const char *const bodies[] = {
        " cp.async.bulk.tensor.3d.shared::cluster.global.im2col.mbarrier::complete_tx::bytes [%r6],"
        " [%d2, {%r0, %r1, %r2}], [%r5], {%h1};",
        " cp.async.bulk.tensor.3d.global.shared::cta.im2col_no_offs.bulk_group"
        " [%d2, {%r0, %r1, %r2}], [%r6];",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        char text[8192], said[200] = "";
        struct ptxm_load_options options = {.diagnostic = note, .diagnostic_user = said};
        struct ptxm_module *m;
        snprintf(text, sizeof text, "%s .reg .b16 %%h1; mov.u16 %%h1, 0;%s\n ret;\n}\n", TOP,
                 bodies[i]);
        planted_assemble(text);
        assert_int_equal(ptxm_module_load(text, strlen(text), &options, &m), PTXM_ERROR_PARSE);
        assert_non_null(strstr(said, "only tile mode is supported"));
    }
}

int main(int argc, char **argv)
{
    planted_start(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loads),      cmocka_unit_test(test_stores),
        cmocka_unit_test(test_reductions), cmocka_unit_test(test_encoding),
        cmocka_unit_test(test_mistakes),   cmocka_unit_test(test_bounds_and_corruption),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests_name("tensor", tests, NULL, NULL);
}
