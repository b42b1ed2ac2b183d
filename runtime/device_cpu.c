// SPDX-License-Identifier: MIT
// Device "cpu": the PTX machine.
#include "runtime/cpu/ptxm.h"
#include "runtime/cpu_report.h"
#include "runtime/internal.h"
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

typedef struct cpu_state {
    struct ptxm_device *device;
    struct ptxm_allocator allocator;
    struct ptxm_launch_options options;
} cpu_state;

// ---- the machine's allocator over the context's: realloc needs the old size, so each block
// carries it ----
typedef struct block_header {
    _Alignas(16) size_t bytes;
} block_header;

static void *machine_malloc(void *user, size_t size)
{
    kgen_context *context = user;
    if (size > SIZE_MAX - sizeof(block_header)) return NULL;
    block_header *block =
        context->allocator.allocate(context->allocator.user, sizeof *block + size);
    if (!block) return NULL;
    block->bytes = size;
    return block + 1;
}

static void machine_free(void *user, void *memory)
{
    kgen_context *context = user;
    if (memory) context->allocator.release(context->allocator.user, (block_header *)memory - 1);
}

static void *machine_realloc(void *user, void *memory, size_t size)
{
    void *next = machine_malloc(user, size);
    if (!next || !memory) return next;
    size_t old = ((block_header *)memory - 1)->bytes;
    memcpy(next, memory, old < size ? old : size);
    machine_free(user, memory);
    return next;
}

static kgen_status status_of(enum ptxm_status status)
{
    switch (status) {
    case PTXM_OK:
        return KGEN_OK;
    case PTXM_ERROR_ARGUMENT:
        return KGEN_ERROR_USAGE;
    case PTXM_ERROR_MEMORY:
        return KGEN_ERROR_MEMORY;
    case PTXM_ERROR_PARSE:
    case PTXM_ERROR_NOT_FOUND:
        return KGEN_ERROR_INPUT;
    case PTXM_ERROR_BOUNDS:
        return KGEN_ERROR_USAGE;
    case PTXM_ERROR_RUN:
        return KGEN_ERROR_FINDINGS;
    }
    return KGEN_ERROR_INTERNAL;
}

typedef struct listener {
    kgen_context *context;
    const char *name;
} listener;

// A complaint about PTX text, in the form of every other diagnostic: place, line, caret.
static void hear(void *user, const struct ptxm_diagnostic *d)
{
    listener *l = user;
    kgen_context *context = l->context;
    if (!d->line) {
        context_fail(context, KGEN_ERROR_INPUT, KG_D_R706, NULL, "%s: %s", l->name, d->message);
        return;
    }
    if (!context->diagnostic) return;
    const char *red = context->color ? "\033[1;31m" : "", *off = context->color ? "\033[0m" : "";
    const char *id = kg_diag_id_name(KG_D_R706), *text = d->text ? d->text : "";
    char rendered[1024];
    int n = snprintf(rendered, sizeof rendered, "%.200s:%u:%u: %serror:%s %.300s [%s]\n", l->name,
                     d->line, d->column, red, off, d->message, id);
    // A line of a binary file may be anything: it is shown as far as it reads well.
    int shown = 0;
    while (shown < 120 && (text[shown] >= ' ' || text[shown] == '\t')) shown++;
    if (shown) n += snprintf(rendered + n, sizeof rendered - (size_t)n, "  %.*s\n", shown, text);
    if (d->column && (int)d->column <= shown)
        snprintf(rendered + n, sizeof rendered - (size_t)n, "  %*s\n", (int)d->column, "^");
    kgen_diagnostic out = {.severity = KGEN_ERROR,
                           .id = id,
                           .file = l->name,
                           .line = (int)d->line,
                           .column = (int)d->column,
                           .text = d->message,
                           .rendered = rendered};
    context->diagnostic(&out, context->user);
}

// ---- device
// --------------------------------------------------------------------------------------------
static kgen_status cpu_open(kgen_device *device, const kgen_device_options *options)
{
    kgen_context *context = device->context;
    cpu_state *state = context_alloc(context, sizeof *state);
    if (!state) return KGEN_ERROR_MEMORY;
    state->allocator =
        (struct ptxm_allocator){machine_malloc, machine_realloc, machine_free, context};
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    state->options = (struct ptxm_launch_options){
        .completion = options->completion == KGEN_COMPLETE_LATE     ? PTXM_LATE
                      : options->completion == KGEN_COMPLETE_SEEDED ? PTXM_SEEDED
                                                                    : PTXM_EAGER,
        .seed = options->seed,
        .threads = options->cpu_threads > 0 ? (unsigned)options->cpu_threads
                   : cores > 0              ? (unsigned)cores
                                            : 1,
        .no_checks = options->unchecked,
        .strict = options->strict,
        .instruction_budget = options->step_limit,
    };
    struct ptxm_device_options o = {.allocator = &state->allocator};
    enum ptxm_status status = ptxm_device_create(&o, &state->device);
    if (status) {
        context_release(context, state);
        return status_of(status);
    }
    device->state = state;
    snprintf(device->name, sizeof device->name, "PTX machine, %u thread%s", state->options.threads,
             state->options.threads > 1 ? "s" : "");
    snprintf(device->target, sizeof device->target, "sm_80");
    return KGEN_OK;
}

static void cpu_close(kgen_device *device)
{
    cpu_state *state = device->state;
    ptxm_device_free(state->device);
    context_release(device->context, state);
}

static struct ptxm_device *machine(kgen_device *device)
{
    return ((cpu_state *)device->state)->device;
}

static kgen_status cpu_allocate(kgen_device *device, size_t bytes, uint64_t *address)
{
    return status_of(ptxm_memory_allocate(machine(device), bytes, NULL, address));
}

static void cpu_release(kgen_device *device, uint64_t address)
{
    ptxm_memory_free(machine(device), address);
}

static kgen_status cpu_write(kgen_device *device, uint64_t address, const void *data, size_t bytes)
{
    return status_of(ptxm_memory_write(machine(device), address, data, bytes));
}

static kgen_status cpu_read(kgen_device *device, uint64_t address, void *data, size_t bytes)
{
    return status_of(ptxm_memory_read(machine(device), address, data, bytes));
}

static kgen_status cpu_fill(kgen_device *device, uint64_t address, unsigned char byte, size_t bytes)
{
    return status_of(ptxm_memory_fill(machine(device), address, byte, bytes));
}

static kgen_status cpu_load(kgen_device *device, kgen_module *module, const void *image,
                            size_t bytes)
{
    cpu_state *state = device->state;
    listener l = {device->context, module->name};
    struct ptxm_load_options o = {.allocator = &state->allocator,
                                  .diagnostic = hear,
                                  .diagnostic_user = &l,
                                  .max_errors = 10};
    struct ptxm_module *loaded = NULL;
    enum ptxm_status status = ptxm_module_load(image, bytes, &o, &loaded);
    module->loaded = loaded;
    return status_of(status);
}

static void cpu_unload(kgen_module *module)
{
    ptxm_device_forget(machine(module->device), module->loaded);
    ptxm_module_free(module->loaded);
}

const char *kgen_module_kernel(const kgen_module *module, int index)
{
    if (!module || index < 0 || module->device->ops != &device_ops_cpu) return NULL;
    const struct ptxm_module *loaded = module->loaded;
    if ((size_t)index >= ptxm_module_kernel_count(loaded)) return NULL;
    return ptxm_module_kernel(loaded, (size_t)index)->name;
}

// ---- launch
// --------------------------------------------------------------------------------------------
static kgen_status pack_params(kgen_module *module, const kgen_raw_launch *launch,
                               const struct ptxm_kernel *kernel, unsigned char *packed)
{
    kgen_context *context = module->device->context;
    if (launch->n_args != kernel->param_count)
        return context_fail(context, KGEN_ERROR_INPUT, KG_D_R703, NULL,
                            "kernel %s takes %zu arguments, %zu are given", kernel->name,
                            kernel->param_count, launch->n_args);
    for (size_t i = 0; i < launch->n_args; i++) {
        const kgen_raw_arg *a = &launch->args[i];
        const void *value = a->buffer ? (const void *)&a->buffer->address : a->value;
        size_t bytes = a->buffer ? 8 : a->bytes;
        if (bytes != kernel->params[i].size || !value)
            return context_fail(context, KGEN_ERROR_INPUT, KG_D_R703, NULL,
                                "argument %zu of kernel %s has %zu bytes, %zu are given", i + 1,
                                kernel->name, kernel->params[i].size, bytes);
        memcpy(packed + kernel->params[i].offset, value, bytes);
    }
    return KGEN_OK;
}

static kgen_status run_once(kgen_module *module, const struct ptxm_launch *launch,
                            const kgen_launch_options *options)
{
    listener l = {module->device->context, module->name};
    struct ptxm_report *report = NULL;
    struct timespec t0, t1;
    clock_gettime(CLOCK_MONOTONIC, &t0);
    enum ptxm_status status =
        ptxm_launch(machine(module->device), module->loaded, launch, hear, &l, &report);
    clock_gettime(CLOCK_MONOTONIC, &t1);
    double seconds = (double)(t1.tv_sec - t0.tv_sec) + 1e-9 * (double)(t1.tv_nsec - t0.tv_nsec);
    size_t findings = 0;
    if (report) {
        findings = cpu_report(report, options, seconds);
        ptxm_report_free(report);
    }
    if (status == PTXM_OK && findings) return KGEN_ERROR_FINDINGS;
    return status_of(status);
}

static void pass_on_print(void *user, const char *text, size_t length)
{
    const kgen_launch_options *options = user;
    options->print(text, length, options->user);
}

static kgen_status cpu_launch(kgen_module *module, const kgen_raw_launch *launch,
                              const kgen_launch_options *options, int repeats)
{
    kgen_context *context = module->device->context;
    cpu_state *state = module->device->state;
    const struct ptxm_kernel *kernel = ptxm_module_find(module->loaded, launch->kernel);
    if (!kernel) {
        const char *names[64];
        int n = 0;
        for (; n < 64 && (size_t)n < ptxm_module_kernel_count(module->loaded); n++)
            names[n] = ptxm_module_kernel(module->loaded, (size_t)n)->name;
        const char *near = kg_nearest_name(launch->kernel, names, n);
        return context_fail(context, KGEN_ERROR_INPUT, KG_D_R703, NULL,
                            "no kernel '%s' in %s%s%s%s", launch->kernel, module->name,
                            near || n ? near ? "; did you mean '" : "; it has '" : "",
                            near ? near
                            : n  ? names[0]
                                 : "",
                            near ? "'?"
                            : n  ? "'"
                                 : "");
    }
    if (launch->shared_bytes > UINT32_MAX)
        return context_fail(context, KGEN_ERROR_INPUT, KG_D_R703, NULL,
                            "%zu bytes of shared memory are too many", launch->shared_bytes);
    unsigned char *packed = context_alloc(context, kernel->param_bytes + 16);
    if (!packed) return KGEN_ERROR_MEMORY;
    kgen_status status = pack_params(module, launch, kernel, packed);
    struct ptxm_launch_options how = state->options;
    how.print = options->print ? pass_on_print : NULL;
    how.print_user = (void *)(uintptr_t)options;
    how.profile = options->instruction != NULL;
    struct ptxm_launch l = {.kernel = launch->kernel,
                            .dynamic_shared = (uint32_t)launch->shared_bytes,
                            .params = packed,
                            .param_bytes = kernel->param_bytes,
                            .options = &how};
    memcpy(l.grid, launch->grid, sizeof l.grid);
    memcpy(l.block, launch->block, sizeof l.block);
    memcpy(l.cluster, options->cluster, sizeof l.cluster);
    how.dependents = launch->dependent && repeats > 1;
    for (int i = 0; !status && i < repeats; i++) {
        l.programmatic = launch->dependent && i > 0; // before the first one the host has waited
        status = run_once(module, &l, options);
    }
    context_release(context, packed);
    return status;
}

// ---- tensor maps
// ---------------------------------------------------------------------------------------
static enum ptxm_tensor_type tensor_type(const kgen_tensor_map_info *info)
{
    static const struct {
        const char *dtype;
        enum ptxm_tensor_type type;
    } known[] = {{"f16", PTXM_TENSOR_FLOAT16}, {"bf16", PTXM_TENSOR_BFLOAT16},
                 {"f32", PTXM_TENSOR_FLOAT32}, {"f64", PTXM_TENSOR_FLOAT64},
                 {"u32", PTXM_TENSOR_UINT32},  {"u64", PTXM_TENSOR_UINT64}};
    for (size_t i = 0; info->dtype && i < sizeof known / sizeof *known; i++)
        if (!strcmp(info->dtype, known[i].dtype)) return known[i].type;
    int bytes = info->element_bytes;
    return bytes == 1   ? PTXM_TENSOR_UINT8
           : bytes == 2 ? PTXM_TENSOR_UINT16
           : bytes == 4 ? PTXM_TENSOR_INT32
                        : PTXM_TENSOR_INT64;
}

static kgen_status cpu_encode_map(kgen_device *device, const kgen_tensor_map_info *info,
                                  uint64_t address, void *map)
{
    static const uint32_t steps[KG_MAX_RANK] = {1, 1, 1, 1, 1};
    listener l = {device->context, "tensor map"};
    uint64_t sizes[KG_MAX_RANK], strides[KG_MAX_RANK];
    uint32_t box[KG_MAX_RANK];
    for (int i = 0; i < info->rank; i++) {
        sizes[i] = (uint64_t)info->sizes[i];
        strides[i] = (uint64_t)info->strides[i];
        box[i] = (uint32_t)info->box[i];
    }
    struct ptxm_tensor t = {.type = tensor_type(info),
                            .rank = (uint32_t)info->rank,
                            .address = address,
                            .dims = sizes,
                            .strides = strides + 1,
                            .box = box,
                            .element_strides = steps,
                            .swizzle = info->swizzle == 128  ? PTXM_TENSOR_SWIZZLE_128B
                                       : info->swizzle == 64 ? PTXM_TENSOR_SWIZZLE_64B
                                       : info->swizzle == 32 ? PTXM_TENSOR_SWIZZLE_32B
                                                             : PTXM_TENSOR_SWIZZLE_NONE,
                            .promotion = PTXM_TENSOR_L2_128B};
    return status_of(ptxm_tensor_map_encode_tiled(map, &t, hear, &l));
}

const device_ops device_ops_cpu = {cpu_open, cpu_close, cpu_allocate, cpu_release, cpu_write,
                                   cpu_read, cpu_fill,  cpu_load,     cpu_unload,  cpu_launch,
                                   cpu_encode_map};
