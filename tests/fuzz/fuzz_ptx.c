// SPDX-License-Identifier: MIT
// libFuzzer target: the PTX machine takes any text, and runs whatever it understood for a little
// while. By itself:
//   clang -g -O1 -fsanitize=fuzzer,address,undefined -fno-strict-aliasing -ffp-contract=off
//         -DPTXM_SUFFIX=base -Iruntime/cpu tests/fuzz/fuzz_ptx.c runtime/cpu/*.c -lm -lpthread
#include "ptxm.h"

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void run(struct ptxm_module *module, const struct ptxm_kernel *kernel)
{
    struct ptxm_device *device;
    struct ptxm_report *report = NULL;
    uint64_t params[512] = {0}, buffer;
    struct ptxm_device_options options = {.memory_limit = 1 << 24};
    if (kernel->param_bytes > sizeof params || kernel->local_bytes > 1 << 12 ||
        ptxm_device_create(&options, &device) != PTXM_OK)
        return;
    if (ptxm_memory_allocate(device, 4096, NULL, &buffer) == PTXM_OK)
        for (int i = 0; i < 512; i++) params[i] = buffer;
    struct ptxm_launch_options how = {.completion = PTXM_SEEDED, .seed = 3,
                                      .instruction_budget = 3000, .check_global_init = true};
    struct ptxm_launch launch = {.kernel = kernel->name, .grid = {2, 1, 1}, .block = {64, 1, 1},
                                 .dynamic_shared = 256, .params = params,
                                 .param_bytes = sizeof params, .options = &how};
    for (int i = 0; i < 3; i++)
        if (kernel->required_threads[0])
            launch.block[i] = kernel->required_threads[i];
    ptxm_launch(device, module, &launch, NULL, NULL, &report);
    ptxm_report_free(report);
    ptxm_device_free(device);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ptxm_module *module;
    if (ptxm_module_load((const char *)data, size, NULL, &module) != PTXM_OK)
        return 0;
    for (size_t i = 0; i < ptxm_module_kernel_count(module) && i < 4; i++)
        run(module, ptxm_module_kernel(module, i));
    ptxm_module_free(module);
    return 0;
}
