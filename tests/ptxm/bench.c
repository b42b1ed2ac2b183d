// SPDX-License-Identifier: MIT
// How fast the machine is: bench_ptxm [KERNELS.ptx] prints lane-instructions a second, checks on
// and off, for a loop of arithmetic and shared memory, and for the matmul of kernels.cu (256^3);
// multiply-adds a second for loops of mma.sync and of wgmma.
// A program to look at, not a test: nothing is asserted about time.
#include "ptxm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char loop_text[] =
    ".version 7.8\n.target sm_80\n.address_size 64\n"
    ".visible .entry loop(.param .u64 out, .param .u32 n)\n{\n"
    " .reg .b32 %r<16>; .reg .f32 %f<8>; .reg .b64 %d<4>; .reg .pred %p;\n"
    " .shared .align 4 .b8 s[1024];\n"
    " ld.param.u64 %d1, [out]; ld.param.u32 %r1, [n];\n"
    " mov.u32 %r2, %tid.x; shl.b32 %r3, %r2, 2; mov.u32 %r4, s; add.s32 %r5, %r4, %r3;\n"
    " cvt.rn.f32.u32 %f1, %r2; mov.f32 %f2, 0f3F800000; st.shared.f32 [%r5], %f1; bar.sync 0;\n"
    " xor.b32 %r6, %r3, 4; add.s32 %r7, %r4, %r6; mov.u32 %r8, 0;\n"
    "top:\n"
    " ld.shared.f32 %f3, [%r7]; fma.rn.f32 %f2, %f3, %f1, %f2; mul.f32 %f4, %f2, %f1;\n"
    " add.f32 %f5, %f4, %f3; mad.lo.s32 %r9, %r8, %r2, %r3; and.b32 %r10, %r9, 255;\n"
    " xor.b32 %r11, %r10, %r2; shl.b32 %r12, %r11, 3; add.s32 %r13, %r12, %r9;\n"
    " bar.sync 0; st.shared.f32 [%r5], %f5; bar.sync 0;\n"
    " add.s32 %r8, %r8, 1; setp.lt.u32 %p, %r8, %r1; @%p bra top;\n"
    " mul.wide.u32 %d2, %r2, 4; add.s64 %d3, %d1, %d2; st.global.f32 [%d3], %f2;\n ret;\n}\n";

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t); // of this process only: the machine is shared
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void measure(struct ptxm_device *device, struct ptxm_module *module,
                    struct ptxm_launch *launch, const char *what)
{
    static const char *const modes[] = {"checks on", "no counters", "no global races",
                                        "checks off", "profile"};
    for (int mode = 0; mode < 5; mode++) {
        struct ptxm_launch_options options = {.no_counters = mode == 1,
                                              .no_global_races = mode == 2,
                                              .no_checks = mode == 3,
                                              .profile = mode == 4};
        struct ptxm_report *report;
        launch->options = &options;
        double start = now();
        enum ptxm_status status = ptxm_launch(device, module, launch, NULL, NULL, &report);
        double seconds = now() - start;
        const struct ptxm_counters *c = ptxm_report_counters(report);
        if (c)
            printf("%-8s %-16s %8.3f s  %7.1f M lane-instructions/s  findings %zu  (%s)\n", what,
                   modes[mode], seconds, (double)c->lane_instructions / seconds * 1e-6,
                   ptxm_report_count(report), ptxm_status_text(status));
        ptxm_report_free(report);
    }
}

static struct ptxm_module *load(const char *text, size_t length)
{
    struct ptxm_module *module = NULL;
    ptxm_module_load(text, length, NULL, &module);
    return module;
}

static void bench_loop(struct ptxm_device *device)
{
    struct ptxm_module *module = load(loop_text, strlen(loop_text));
    struct { uint64_t out; uint32_t n; } p = {0, 2000};
    struct ptxm_launch l = {.kernel = "loop", .grid = {4, 1, 1}, .block = {256, 1, 1},
                            .params = &p, .param_bytes = 12};
    ptxm_memory_allocate(device, 1024, "out", &p.out);
    if (module)
        measure(device, module, &l, "loop");
    ptxm_module_free(module);
}

static void bench_matmul(struct ptxm_device *device, const char *path)
{
    enum { S = 256 };
    FILE *file = fopen(path, "rb");
    static char text[1 << 22];
    static uint16_t ones[S * S];
    size_t length = file ? fread(text, 1, sizeof text, file) : 0;
    struct ptxm_module *module = load(text, length);
    struct { uint64_t a, b, c; int m, n, k; } p = {0, 0, 0, S, S, S};
    struct ptxm_launch l = {.kernel = "matmul", .grid = {S / 64, S / 64, 1}, .block = {128, 1, 1},
                            .params = &p, .param_bytes = sizeof p};
    if (file)
        fclose(file);
    for (int i = 0; i < S * S; i++) ones[i] = 0x3f80;
    ptxm_memory_allocate(device, sizeof ones, "a", &p.a);
    ptxm_memory_allocate(device, sizeof ones, "b", &p.b);
    ptxm_memory_allocate(device, S * S * 4, "c", &p.c);
    ptxm_memory_write(device, p.a, ones, sizeof ones);
    ptxm_memory_write(device, p.b, ones, sizeof ones);
    if (module)
        measure(device, module, &l, "matmul");
    ptxm_module_free(module);
}

// ---- matrix products: multiply-adds a second ---------------------------------------------------

static const char mma_text[] =
    ".version 8.4\n.target sm_90a\n.address_size 64\n"
    ".visible .entry products(.param .u64 out, .param .u32 n)\n{\n"
    " .reg .b32 r<8>; .reg .b32 a<4>; .reg .b32 b<2>; .reg .f32 c<16>; .reg .b64 d<4>;"
    " .reg .pred p;\n"
    " ld.param.u64 d1, [out]; ld.param.u32 r1, [n]; mov.u32 r2, 0; mov.u32 r3, %tid.x;\n"
    " mov.b32 a0, 0x3c003c00; mov.b32 a1, 0x3c003c00; mov.b32 a2, 0x3c003c00;\n"
    " mov.b32 a3, 0x3c003c00; mov.b32 b0, 0x3c003c00; mov.b32 b1, 0x3c003c00;\n"
    " mov.b32 c0, 0; mov.b32 c1, 0; mov.b32 c2, 0; mov.b32 c3, 0;\n"
    "top:\n"
    " mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {c0,c1,c2,c3}, {a0,a1,a2,a3}, {b0,b1},"
    " {c0,c1,c2,c3};\n"
    " mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {c0,c1,c2,c3}, {a0,a1,a2,a3}, {b0,b1},"
    " {c0,c1,c2,c3};\n"
    " add.u32 r2, r2, 1; setp.lt.u32 p, r2, r1; @p bra top;\n"
    " mul.wide.u32 d2, r3, 4; add.s64 d3, d1, d2; st.global.f32 [d3], c0; ret;\n}\n";

static const char wgmma_before[] =
    ".version 8.4\n.target sm_90a\n.address_size 64\n"
    ".extern .shared .align 1024 .b8 sm[];\n"
    ".visible .entry products(.param .u64 out, .param .u32 n) .maxntid 128, 1, 1\n{\n"
    " .reg .b32 r<8>; .reg .b32 c<128>; .reg .b64 d<16>; .reg .pred p, q;\n"
    " ld.param.u64 d1, [out]; ld.param.u32 r1, [n]; mov.u32 r2, %tid.x; mov.u32 r3, sm;\n"
    " shl.b32 r4, r2, 2; add.u32 r4, r4, r3; mov.b32 r5, 0x3c003c00; add.u32 r6, r3, 40960;\n"
    "fill: st.shared.b32 [r4], r5; add.u32 r4, r4, 512; setp.lt.u32 p, r4, r6; @p bra fill;\n"
    " fence.proxy.async; bar.sync 0; mov.u32 r7, 0; shr.u32 r6, r3, 4; cvt.u64.u32 d2, r6;\n"
    " add.s64 d2, d2, 0x4000004000010000; add.s64 d3, d2, 512; setp.ne.u32 q, r1, 0;\n";

// A: 64x64, B: 256x64 of f16, lines of 128 bytes: four products over k, as a matmul has them.
// fed: each trip waits for a bulk copy of both, as a pipeline of depth one does.
static void wgmma_text(char *out, size_t room, unsigned n, bool fed)
{
    static const char init[] = " .shared .align 8 .b64 full; .reg .b32 m, x; .reg .pred v, z;\n"
        " mov.u32 m, full; setp.eq.u32 z, r2, 0; @z mbarrier.init.shared.b64 [m], 1; bar.sync 0;\n";
    static const char feed[] = " bar.sync 0;\n"
        " @z mbarrier.arrive.expect_tx.shared.b64 _, [m], 40960;\n"
        " @z cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [r3], [d1], 40960,"
        " [m];\n and.b32 x, r7, 1;\n"
        "wait: mbarrier.try_wait.parity.shared.b64 v, [m], x; @!v bra wait;\n";
    size_t at = (size_t)snprintf(out, room, "%s", wgmma_before);
    for (unsigned i = 0; i < n / 2; i++)
        at += (size_t)snprintf(out + at, room - at, " mov.b32 c%u, 0;\n", i);
    at += (size_t)snprintf(out + at, room - at, "%stop:\n%s wgmma.fence.sync.aligned;\n",
                           fed ? init : "", fed ? feed : "");
    for (unsigned k = 0; k < 4; k++) {
        at += (size_t)snprintf(out + at, room - at, " add.s64 d4, d2, %u; add.s64 d5, d3, %u;\n"
                               " wgmma.mma_async.sync.aligned.m64n%uk16.f32.f16.f16 {", 2 * k,
                               2 * k, n);
        for (unsigned i = 0; i < n / 2; i++)
            at += (size_t)snprintf(out + at, room - at, "%sc%u", i ? "," : "", i);
        at += (size_t)snprintf(out + at, room - at, "}, d4, d5, q, 1, 1, 0, 0;\n");
    }
    snprintf(out + at, room - at,
             " wgmma.commit_group.sync.aligned; wgmma.wait_group.sync.aligned 0;\n"
             " add.u32 r7, r7, 1; setp.lt.u32 p, r7, r1; @p bra top;\n"
             " mul.wide.u32 d6, r2, 4; add.s64 d6, d1, d6; st.global.b32 [d6], c0; ret;\n}\n");
}

static void bench_products(struct ptxm_device *device, const char *what, const char *text,
                           double products_a_trip, uint32_t trips)
{
    struct ptxm_module *module = load(text, strlen(text));
    struct { uint64_t out; uint32_t n; } p = {0, trips};
    static const uint8_t zeros[40960];
    ptxm_memory_allocate(device, sizeof zeros, "out", &p.out);
    ptxm_memory_write(device, p.out, zeros, sizeof zeros);
    for (int off = 0; module && off < 2; off++) {
        struct ptxm_launch_options options = {.no_checks = off};
        struct ptxm_launch l = {.kernel = "products", .grid = {1, 1, 1}, .block = {128, 1, 1},
                                .dynamic_shared = 40960, .params = &p, .param_bytes = 12,
                                .options = &options};
        struct ptxm_report *report;
        double start = now();
        enum ptxm_status status = ptxm_launch(device, module, &l, NULL, NULL, &report);
        double seconds = now() - start;
        printf("%-20s %-10s %8.3f s  %7.0f M multiply-adds/s  findings %zu  (%s)\n", what,
               off ? "checks off" : "checks on", seconds,
               products_a_trip * trips / seconds * 1e-6, ptxm_report_count(report),
               ptxm_status_text(status));
        ptxm_report_free(report);
    }
    ptxm_module_free(module);
}

static void bench_matrices(struct ptxm_device *device)
{
    static const unsigned sizes[] = {64, 128, 256, 256};
    static char text[1 << 16];
    bench_products(device, "mma.m16n8k16", mma_text, 4.0 * 2 * 16 * 8 * 16, 20000);
    for (int i = 0; i < 4; i++) {
        char what[32];
        snprintf(what, sizeof what, "wgmma.m64n%uk16%s", sizes[i], i == 3 ? " fed" : "");
        wgmma_text(text, sizeof text, sizes[i], i == 3);
        bench_products(device, what, text, 64.0 * 64 * sizes[i], 100);
    }
}

int main(int argc, char **argv)
{
    struct ptxm_device *device;
    if (ptxm_device_create(NULL, &device) != PTXM_OK)
        return 70;
    bench_loop(device);
    if (argc > 1)
        bench_matmul(device, argv[1]);
    bench_matrices(device);
    ptxm_device_free(device);
    return 0;
}
