// SPDX-License-Identifier: MIT
// How fast the machine is: bench_ptxm [KERNELS.ptx] prints lane-instructions a second, checks on
// and off, for a loop of arithmetic and shared memory, and for the matmul of kernels.cu (256^3).
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

int main(int argc, char **argv)
{
    struct ptxm_device *device;
    if (ptxm_device_create(NULL, &device) != PTXM_OK)
        return 70;
    bench_loop(device);
    if (argc > 1)
        bench_matmul(device, argv[1]);
    ptxm_device_free(device);
    return 0;
}
