// SPDX-License-Identifier: MIT
// libFuzzer target: the PTX machine takes any text, and runs whatever it understood for a little
// while. By itself:
//   clang -g -O1 -fsanitize=fuzzer,address,undefined -fno-strict-aliasing -ffp-contract=off
//         -DPTXM_SUFFIX=base -Iruntime/cpu tests/fuzz/fuzz_ptx.c runtime/cpu/*.c -lm -lpthread
#include "ptxm.h"

#include <ctype.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t most);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned seed);

// ---- mutation ----------------------------------------------------------------------------------

static uint32_t draw(uint32_t *state, size_t below)
{
    *state = *state * 1664525 + 1013904223;
    return below ? (uint32_t)((*state >> 8) % below) : 0;
}

// A word of PTX ("%r1", ".u32", "add", "0x10") or a whole statement, somewhere in the text.
struct span {
    size_t at, length;
};

static bool in_word(uint8_t c)
{
    return isalnum(c) || c == '_' || c == '%';
}

static struct span some_span(const uint8_t *data, size_t size, bool statement, uint32_t *state)
{
    struct span s = {draw(state, size), 0};
    if (statement) {
        while (s.at && data[s.at - 1] != ';' && data[s.at - 1] != '\n') s.at--;
        while (s.at + s.length < size && data[s.at + s.length] != ';') s.length++;
        s.length += s.at + s.length < size;
        return s;
    }
    while (s.at < size && !in_word(data[s.at])) s.at++;
    while (s.at && in_word(data[s.at - 1])) s.at--;
    while (s.at + s.length < size && in_word(data[s.at + s.length])) s.length++;
    return s;
}

// One word or statement in the place of another of the same text, or besides it: what comes out is
// PTX for the most part, and gets beyond the parser.
static size_t exchange(uint8_t *data, size_t size, size_t most, uint32_t *state)
{
    uint8_t copy[1024];
    bool statement = draw(state, 3) == 0, besides = statement && draw(state, 2);
    struct span from = some_span(data, size, statement, state);
    struct span to = some_span(data, size, statement, state);
    if (besides)
        to.length = 0;
    if (from.length > sizeof copy || size - to.length + from.length > most)
        return size;
    memcpy(copy, data + from.at, from.length);
    memmove(data + to.at + from.length, data + to.at + to.length, size - to.at - to.length);
    memcpy(data + to.at, copy, from.length);
    return size - to.length + from.length;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned seed)
{
    uint32_t state = seed;
    if (!size || draw(&state, 3) == 0)
        return LLVMFuzzerMutate(data, size, most);
    for (unsigned i = draw(&state, 4) + 1; i; i--) size = exchange(data, size, most, &state);
    return size;
}

// ---- runs --------------------------------------------------------------------------------------

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
