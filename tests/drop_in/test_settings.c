// SPDX-License-Identifier: MIT
// The environment variables of the driver, each in a process of its own: a driver reads them once.
#include "host.h"

#include <sys/wait.h>
#include <unistd.h>

// In a child: sets the variables ("NAME=value", NULL at the end) and does what is asked. A check
// that fails there, ends it with another status than 0.
static void in_child(const char *const *variables, int (*body)(void))
{
    pid_t child = fork();
    int status = -1;

    assert_true(child >= 0);
    if (child == 0) {
        setenv("KGEN_DRIVER_REPORT", "/dev/null", 1);
        for (; *variables; variables++) putenv((char *)(uintptr_t)*variables);
        _exit(body());
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        fail_msg("the child ended with %d", WIFEXITED(status) ? WEXITSTATUS(status) : -status);
}

#define IN_CHILD(body, ...) in_child((const char *const[]){__VA_ARGS__, NULL}, body)
#define MUST(what)                                                                                 \
    do {                                                                                           \
        if (!(what)) return __LINE__ % 256;                                                        \
    } while (0)

static int refused(void)
{
    MUST(cuInit(0) == CUDA_ERROR_INVALID_VALUE);
    return 0;
}

static int starts(void)
{
    MUST(cuInit(0) == CUDA_SUCCESS);
    return 0;
}

static int no_device(void)
{
    int count;

    MUST(cuInit(0) == CUDA_ERROR_NO_DEVICE);
    MUST(cuDeviceGetCount(&count) == CUDA_ERROR_NOT_INITIALIZED);
    return 0;
}

// A value that was wrong may be put right: cuInit can be called again.
static int second_try(void)
{
    MUST(cuInit(0) == CUDA_ERROR_INVALID_VALUE);
    setenv("KGEN_DRIVER_SM", "", 1);
    MUST(cuInit(0) == CUDA_SUCCESS);
    return 0;
}

static void values(void **unused)
{
    IN_CHILD(refused, "KGEN_DRIVER_SM=91");
    IN_CHILD(refused, "KGEN_DRIVER_SM=ninety");
    IN_CHILD(refused, "KGEN_DRIVER_COMPLETION=now");
    IN_CHILD(refused, "KGEN_DRIVER_SEED=x");
    IN_CHILD(refused, "KGEN_DRIVER_SEED=-1");
    IN_CHILD(refused, "KGEN_DRIVER_THREADS=0");
    IN_CHILD(refused, "KGEN_DRIVER_CHECKS=most");
    IN_CHILD(refused, "KGEN_DRIVER_ON_FINDING=ignore");
    IN_CHILD(refused, "KGEN_DRIVER_MEMORY=1000000000000");
    IN_CHILD(second_try, "KGEN_DRIVER_SM=91");
    IN_CHILD(starts, "KGEN_DRIVER_SM=", "KGEN_DRIVER_SEED=0x10", "KGEN_DRIVER_COMPLETION=seeded",
             "KGEN_DRIVER_CHECKS=strict", "KGEN_DRIVER_THREADS=64", "CUDA_VISIBLE_DEVICES=0");
    IN_CHILD(no_device, "CUDA_VISIBLE_DEVICES=");
    IN_CHILD(no_device, "CUDA_VISIBLE_DEVICES=1,0");
}

// ---- the device --------------------------------------------------------------------------------

static int attribute(CUdevice_attribute which)
{
    int value = -1;

    return cuDeviceGetAttribute(&value, which, 0) ? -2 : value;
}

static int is_sm_80(void)
{
    static const char newer[] = ".version 7.8\n.target sm_90\n.address_size 64\n";
    char name[64];
    CUcontext context;
    CUmodule module;

    MUST(cuInit(0) == CUDA_SUCCESS);
    MUST(attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR) == 8);
    MUST(attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR) == 0);
    MUST(attribute(CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN) == 163 * 1024);
    MUST(attribute(CU_DEVICE_ATTRIBUTE_CLUSTER_LAUNCH) == 0);
    MUST(cuDeviceGetName(name, sizeof name, 0) == CUDA_SUCCESS && strstr(name, "sm_80"));
    MUST(cuCtxCreate(&context, NULL, 0, 0) == CUDA_SUCCESS);
    MUST(cuModuleLoadData(&module, newer) == CUDA_ERROR_INVALID_PTX);
    MUST(cuModuleLoadData(&module, kernels_ptx) == CUDA_SUCCESS);
    return 0;
}

static int has_one_mebibyte(void)
{
    CUcontext context;
    CUdeviceptr address;
    size_t available, total;

    MUST(cuInit(0) == CUDA_SUCCESS);
    MUST(cuCtxCreate(&context, NULL, 0, 0) == CUDA_SUCCESS);
    MUST(cuMemGetInfo(&available, &total) == CUDA_SUCCESS && total == 1 << 20);
    MUST(cuMemAlloc(&address, (1 << 20) + 1) == CUDA_ERROR_OUT_OF_MEMORY);
    MUST(cuMemAlloc(&address, 1 << 20) == CUDA_SUCCESS);
    MUST(cuMemAlloc(&address, 1) == CUDA_ERROR_OUT_OF_MEMORY);
    return 0;
}

static void device(void **unused)
{
    IN_CHILD(is_sm_80, "KGEN_DRIVER_SM=80");
    IN_CHILD(is_sm_80, "KGEN_DRIVER_SM=sm_80");
    IN_CHILD(has_one_mebibyte, "KGEN_DRIVER_MEMORY=1");
}

// ---- running -----------------------------------------------------------------------------------

// Reads shared memory while a copy into it may be in flight: 0 before it lands, 42 after.
static const char in_flight[] =
    ".version 7.0\n.target sm_80\n.address_size 64\n"
    ".visible .entry k(.param .u64 a) {\n.reg .b32 %r<4>; .reg .b64 %d<3>;\n"
    ".shared .align 16 .b8 s[16];\n"
    "ld.param.u64 %d1, [a]; mov.u32 %r1, s; mov.u32 %r2, 0; st.shared.u32 [%r1], %r2;\n"
    "cp.async.ca.shared.global [%r1], [%d1], 4; ld.shared.u32 %r3, [%r1];\n"
    "cp.async.wait_all; st.global.u32 [%d1+4], %r3; ret;\n}\n";

// What k read; or minus the result of the launch, or of waiting for it.
static int run(bool *at_launch)
{
    unsigned data[2] = {42, 99};
    CUcontext context;
    CUmodule module;
    CUfunction k;
    CUdeviceptr a;
    void *params[] = {&a};
    CUresult result;

    if (cuInit(0) || cuCtxCreate(&context, NULL, 0, 0) || cuModuleLoadData(&module, in_flight) ||
        cuModuleGetFunction(&k, module, "k") || cuMemAlloc(&a, 8) || cuMemcpyHtoD(a, data, 8))
        return -1;
    result = cuLaunchKernel(k, 1, 1, 1, 1, 1, 1, 0, NULL, params, NULL);
    *at_launch = result != CUDA_SUCCESS;
    if (!result) result = cuCtxSynchronize();
    if (!result) result = cuMemcpyDtoH(data, a, 8);
    return result ? -(int)result : (int)data[1];
}

static int reads_42(void)
{
    bool at_launch;

    return run(&at_launch) == 42 ? 0 : 1;
}

static int reads_0(void)
{
    bool at_launch;

    return run(&at_launch) == 0 ? 0 : 1;
}

static int fails_later(void)
{
    bool at_launch;

    return run(&at_launch) == -(int)CUDA_ERROR_LAUNCH_FAILED && !at_launch ? 0 : 1;
}

static int fails_at_launch(void)
{
    bool at_launch;

    return run(&at_launch) == -(int)CUDA_ERROR_LAUNCH_FAILED && at_launch ? 0 : 1;
}

static void running(void **unused)
{
    IN_CHILD(fails_later, "KGEN_DRIVER_CHECKS=on");
    IN_CHILD(fails_at_launch, "CUDA_LAUNCH_BLOCKING=1");
    IN_CHILD(reads_42, "KGEN_DRIVER_CHECKS=off");
    IN_CHILD(reads_42, "KGEN_DRIVER_ON_FINDING=continue");
    IN_CHILD(reads_0, "KGEN_DRIVER_CHECKS=off", "KGEN_DRIVER_COMPLETION=late");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values),
        cmocka_unit_test(device),
        cmocka_unit_test(running),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
