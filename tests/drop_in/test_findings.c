// SPDX-License-Identifier: MIT
// What a host hears of a kernel that did something wrong, and what the report says. Each mistake
// has its repaired twin. `continue` as an argument: KGEN_DRIVER_ON_FINDING=continue.
#include "host.h"

#include <stdatomic.h>
#include <unistd.h>

static char report_path[] = "/tmp/kgen-drop-in-report-XXXXXX";
static bool go_on;

#define KERNEL(body)                                                                               \
    ".version 7.0\n.target sm_80\n.address_size 64\n"                                              \
    ".visible .entry k(.param .u64 a) {\n"                                                         \
    ".reg .pred %p<2>; .reg .b32 %r<8>; .reg .b64 %d<4>;\n.shared .align 4 .b8 s[512];\n"          \
    "mov.u32 %r1, %tid.x; ld.param.u64 %d1, [a]; mul.wide.u32 %d2, %r1, 4;\n"                      \
    "mov.u32 %r2, s; shl.b32 %r3, %r1, 2; add.u32 %r2, %r2, %r3;\n" body "ret;\n}\n"

// Runs k with 64 threads on 256 bytes, in the current context.
static CUresult run(const char *ptx)
{
    CUmodule module;
    CUfunction k;
    CUdeviceptr a;
    void *params[] = {&a};

    OK(cuModuleLoadData(&module, ptx));
    OK(cuModuleGetFunction(&k, module, "k"));
    OK(cuMemAlloc(&a, 256));
    OK(cuLaunchKernel(k, 1, 1, 1, 64, 1, 1, 0, NULL, params, NULL));
    return cuCtxSynchronize();
}

static void expect_report(const char *words)
{
    static char text[1 << 16];
    FILE *file = fopen(report_path, "r");
    size_t length;

    assert_non_null(file);
    length = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[length] = '\0';
    if (words && !strstr(text, words)) fail_msg("'%s' is not in:\n%s", words, text);
    if (!words) assert_string_equal(text, "");
    assert_int_equal(truncate(report_path, 0), 0);
}

static void clean(const char *ptx)
{
    OK(run(ptx));
    expect_report(NULL);
}

// `may_go_on`: the grid ends, so that with "continue" there is a report and no error.
static void mistake(const char *ptx, CUresult expected, const char *rule, bool may_go_on)
{
    CUdeviceptr address;
    CUcontext context, inner;
    CUstream stream;

    OK(cuCtxGetCurrent(&context));
    OK(cuCtxCreate(&inner, NULL, 0, 0));
    expected = go_on && may_go_on ? CUDA_SUCCESS : expected;
    EXPECT(expected, run(ptx));
    expect_report(rule);
    // The error stays with its context, in every call but those that end it.
    EXPECT(expected, cuMemAlloc(&address, 16));
    EXPECT(expected, cuStreamCreate(&stream, 0));
    EXPECT(expected, cuCtxSynchronize());
    OK(cuCtxDestroy(inner));
    OK(cuMemAlloc(&address, 16));
    OK(cuMemFree(address));
}

static void bounds(void **unused)
{
    clean(KERNEL("add.s64 %d3, %d1, %d2; st.global.u32 [%d3], %r1;\n"));
    mistake(KERNEL("add.s64 %d3, %d1, %d2; st.global.u32 [%d3+4], %r1;\n"),
            CUDA_ERROR_ILLEGAL_ADDRESS, "[global-bounds]", true);
    mistake(KERNEL("st.shared.u32 [%r2+508], %r1;\n"), CUDA_ERROR_ILLEGAL_ADDRESS,
            "[shared-bounds]", true);
}

static void alignment(void **unused)
{
    mistake(KERNEL("add.s64 %d3, %d1, %d2; st.global.u32 [%d3+2], %r1;\n"),
            CUDA_ERROR_MISALIGNED_ADDRESS, "[misaligned]", true);
}

static void race(void **unused)
{
    clean(KERNEL("st.shared.u32 [%r2], %r1; bar.sync 0; xor.b32 %r4, %r2, 128;\n"
                 "ld.shared.u32 %r5, [%r4];\n"));
    mistake(KERNEL("st.shared.u32 [%r2], %r1; xor.b32 %r4, %r2, 128;\n"
                   "ld.shared.u32 %r5, [%r4];\n"),
            CUDA_ERROR_LAUNCH_FAILED, "race [race]", true);
}

static void uninitialised(void **unused)
{
    mistake(KERNEL("ld.shared.u32 %r5, [%r2];\n"), CUDA_ERROR_LAUNCH_FAILED,
            "[uninitialised-shared]", true);
}

static void trap(void **unused)
{
    clean(KERNEL("setp.gt.u32 %p1, %r1, 63; @%p1 trap;\n"));
    mistake(KERNEL("setp.gt.u32 %p1, %r1, 62; @%p1 trap;\n"), CUDA_ERROR_LAUNCH_FAILED, "[trap]",
            false);
}

static void endless(void **unused)
{
    mistake(KERNEL("L: bra L;\n"), CUDA_ERROR_LAUNCH_TIMEOUT, "[instruction-budget]", false);
}

static void after_free(void **unused)
{
    CUmodule module;
    CUfunction k;
    CUcontext inner;
    CUdeviceptr a;
    void *params[] = {&a};

    OK(cuCtxCreate(&inner, NULL, 0, 0));
    OK(cuModuleLoadData(&module, KERNEL("add.s64 %d3, %d1, %d2; st.global.u32 [%d3], %r1;\n")));
    OK(cuModuleGetFunction(&k, module, "k"));
    OK(cuMemAlloc(&a, 256));
    OK(cuMemFree(a));
    OK(cuLaunchKernel(k, 1, 1, 1, 64, 1, 1, 0, NULL, params, NULL));
    EXPECT(go_on ? CUDA_SUCCESS : CUDA_ERROR_ILLEGAL_ADDRESS, cuCtxSynchronize());
    expect_report("[use-after-free]");
    OK(cuCtxDestroy(inner));
}

// Work that was issued behind the failed kernel does not run; a callback hears why.
static void hear(CUstream stream, CUresult status, void *user)
{
    *(CUresult *)user = status;
}

static atomic_bool may_fail;

static void wait_until_it_may_fail(void *unused)
{
    while (!atomic_load(&may_fail)) usleep(1000);
}

static void behind_a_failure(void **unused)
{
    CUresult status = CUDA_ERROR_UNKNOWN;
    CUcontext inner;
    CUmodule module;
    CUfunction k;
    CUdeviceptr a;
    void *params[] = {&a}, *memory;
    unsigned *out;

    OK(cuCtxCreate(&inner, NULL, 0, 0));
    OK(cuMemAllocHost(&memory, 4));
    out = memory;
    *out = 7;
    OK(cuModuleLoadData(&module, KERNEL("trap;\n")));
    OK(cuModuleGetFunction(&k, module, "k"));
    OK(cuMemAlloc(&a, 256));
    OK(cuMemsetD8(a, 0, 256));
    OK(cuLaunchHostFunc(NULL, wait_until_it_may_fail, NULL));
    OK(cuLaunchKernel(k, 1, 1, 1, 64, 1, 1, 0, NULL, params, NULL));
    OK(cuMemcpyDtoHAsync(out, a, 4, NULL));
    OK(cuStreamAddCallback(NULL, hear, &status, 0));
    atomic_store(&may_fail, true);
    EXPECT(CUDA_ERROR_LAUNCH_FAILED, cuCtxSynchronize());
    assert_int_equal(*out, 7);
    assert_int_equal(status, CUDA_ERROR_LAUNCH_FAILED);
    expect_report("kernel 'k', grid 1,1,1, block 64,1,1: ");
    OK(cuCtxDestroy(inner));
}

// Two kernels in a stream, the second of which may begin before the first has ended.
static const char chained[] =
    ".version 8.0\n.target sm_90\n.address_size 64\n"
    ".visible .entry first(.param .u64 a) {\n.reg .b32 %r<4>; .reg .b64 %d<4>;\n"
    "mov.u32 %r1, %tid.x; ld.param.u64 %d1, [a]; mul.wide.u32 %d2, %r1, 4;\n"
    "griddepcontrol.launch_dependents; add.s64 %d3, %d1, %d2; st.global.u32 [%d3], %r1; ret;\n}\n"
    ".visible .entry second(.param .u64 a) {\n.reg .b32 %r<4>; .reg .b64 %d<4>;\n"
    "ld.param.u64 %d1, [a]; ld.global.u32 %r1, [%d1]; add.u32 %r1, %r1, 1;\n"
    "st.global.u32 [%d1+512], %r1; ret;\n}\n"
    ".visible .entry patient(.param .u64 a) {\n.reg .b32 %r<4>; .reg .b64 %d<4>;\n"
    "ld.param.u64 %d1, [a]; griddepcontrol.wait; ld.global.u32 %r1, [%d1]; add.u32 %r1, %r1, 1;\n"
    "st.global.u32 [%d1+512], %r1; ret;\n}\n";

enum between { NOTHING, A_COPY, THE_HOST_WAITS };

static CUresult chain(const char *second, bool early, enum between between)
{
    CUlaunchAttribute attribute = {.id = CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION,
                                   .value.programmaticStreamSerializationAllowed = early};
    CUlaunchConfig config = {.gridDimX = 1, .gridDimY = 1, .gridDimZ = 1, .blockDimX = 1,
                             .blockDimY = 1, .blockDimZ = 1, .attrs = &attribute, .numAttrs = 1};
    CUmodule module;
    CUfunction k;
    CUdeviceptr a;
    void *params[] = {&a};

    OK(cuModuleLoadData(&module, chained));
    OK(cuMemAlloc(&a, 1024));
    OK(cuStreamCreate(&config.hStream, 0));
    OK(cuModuleGetFunction(&k, module, "first"));
    OK(cuLaunchKernel(k, 1, 1, 1, 64, 1, 1, 0, config.hStream, params, NULL));
    if (between == A_COPY) OK(cuMemsetD32Async(a + 768, 1, 4, config.hStream));
    if (between == THE_HOST_WAITS) OK(cuStreamSynchronize(config.hStream));
    OK(cuModuleGetFunction(&k, module, second));
    OK(cuLaunchKernelEx(&config, k, params, NULL));
    return cuCtxSynchronize();
}

static void grids_that_begin_early(void **unused)
{
    CUcontext context;
    CUresult expected = go_on ? CUDA_SUCCESS : CUDA_ERROR_LAUNCH_FAILED;

    OK(chain("patient", true, NOTHING));
    OK(chain("second", false, NOTHING));
    OK(chain("second", true, A_COPY));
    OK(chain("second", true, THE_HOST_WAITS));
    expect_report(NULL);
    OK(cuCtxCreate(&context, NULL, 0, 0));
    EXPECT(expected, chain("second", true, NOTHING));
    expect_report("[grid-dependency]");
    expect_report(NULL);
    OK(cuCtxDestroy(context));
}

int main(int count, char **arguments)
{
    const struct CMUnitTest tests[] = {
        IN_CONTEXT(grids_that_begin_early),
        IN_CONTEXT(bounds),     IN_CONTEXT(alignment),        IN_CONTEXT(race),
        IN_CONTEXT(trap),       IN_CONTEXT(endless),          IN_CONTEXT(uninitialised),
        IN_CONTEXT(after_free), IN_CONTEXT(behind_a_failure),
    };
    int file = mkstemp(report_path), status;

    if (file < 0) return 1;
    close(file);
    go_on = count > 1 && strcmp(arguments[1], "continue") == 0;
    setenv("KGEN_DRIVER_REPORT", report_path, 1);
    setenv("KGEN_DRIVER_BUDGET", "1000000", 1);
    if (go_on) setenv("KGEN_DRIVER_ON_FINDING", "continue", 1);
    status = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(report_path);
    return status;
}
