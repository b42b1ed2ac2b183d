// SPDX-License-Identifier: MIT
// Device "cuda": a GPU through the driver.
#include "runtime/cuda/cuda_device.h"
#include "runtime/internal.h"
#include <stdio.h>
#include <string.h>

typedef struct cuda_state {
    struct kg_cuda_driver *driver;
    struct kg_cuda_context *context;
} cuda_state;

static void *driver_malloc(void *user, size_t bytes)
{
    kgen_context *context = user;
    return context->allocator.allocate(context->allocator.user, bytes);
}

static void driver_free(void *user, void *memory)
{
    kgen_context *context = user;
    if (memory) context->allocator.release(context->allocator.user, memory);
}

static kgen_status status_of(enum kg_cuda_status status)
{
    switch (status) {
    case KG_CUDA_OK:
        return KGEN_OK;
    case KG_CUDA_NO_DRIVER:
    case KG_CUDA_TOO_OLD:
    case KG_CUDA_NO_DEVICE:
        return KGEN_ERROR_NO_DEVICE;
    case KG_CUDA_BAD_ARGUMENT:
        return KGEN_ERROR_USAGE;
    case KG_CUDA_OUT_OF_HOST_MEMORY:
    case KG_CUDA_OUT_OF_DEVICE_MEMORY:
        return KGEN_ERROR_MEMORY;
    case KG_CUDA_BAD_MODULE:
    case KG_CUDA_NOT_FOUND:
    case KG_CUDA_LAUNCH_REFUSED:
        return KGEN_ERROR_INPUT;
    default:
        return KGEN_ERROR_DEVICE;
    }
}

// The driver's messages become diagnostics; a help line belongs to the error before it.
static void hear(void *user, const struct kg_cuda_message *message)
{
    kgen_context *context = user;
    if (!context->diagnostic) return;
    char rendered[2048];
    bool help = message->severity == KG_CUDA_HELP;
    kgen_severity severity = message->severity == KG_CUDA_ERROR     ? KGEN_ERROR
                             : message->severity == KG_CUDA_WARNING ? KGEN_WARNING
                                                                    : KGEN_NOTE;
    static const char *const words[] = {"note", "warning", "error"};
    kg_diag_id id = message->status == KG_CUDA_NO_DRIVER || message->status == KG_CUDA_NO_DEVICE
                        ? KG_D_R701
                        : KG_D_R702;
    snprintf(rendered, sizeof rendered, "%s: %.1900s\n", help ? "  help" : words[severity],
             message->text);
    kgen_diagnostic out = {.severity = severity,
                           .id = kg_diag_id_name(id),
                           .line = message->ptx_line,
                           .text = message->text,
                           .rendered = rendered};
    context->diagnostic(&out, context->user);
}

static kgen_status cuda_open(kgen_device *device, const kgen_device_options *options)
{
    kgen_context *context = device->context;
    cuda_state *state = context_alloc(context, sizeof *state);
    if (!state) return KGEN_ERROR_MEMORY;
    struct kg_cuda_allocator allocator = {driver_malloc, driver_free, context};
    struct kg_cuda_config config = {.driver_path = options->driver,
                                    .allocator = &allocator,
                                    .report = hear,
                                    .report_user = context};
    enum kg_cuda_status status = kg_cuda_open(&config, &state->driver);
    if (!status) status = kg_cuda_context_retain(state->driver, options->index, &state->context);
    if (status) {
        kg_cuda_close(state->driver);
        context_release(context, state);
        return status_of(status);
    }
    const struct kg_cuda_device_info *info = kg_cuda_context_device(state->context);
    snprintf(device->name, sizeof device->name, "%.100s (sm_%d, driver for CUDA %d.%d)", info->name,
             info->sm, info->driver_version / 1000, info->driver_version % 1000 / 10);
    snprintf(device->target, sizeof device->target, "sm_%d%s", info->sm, info->sm == 90 ? "a" : "");
    device->state = state;
    return KGEN_OK;
}

static void cuda_close(kgen_device *device)
{
    cuda_state *state = device->state;
    kg_cuda_context_release(state->context);
    kg_cuda_close(state->driver);
    context_release(device->context, state);
}

static struct kg_cuda_context *gpu(kgen_device *device)
{
    return ((cuda_state *)device->state)->context;
}

static kgen_status cuda_allocate(kgen_device *device, size_t bytes, uint64_t *address)
{
    return status_of(kg_cuda_memory_alloc(gpu(device), bytes, address));
}

static void cuda_release(kgen_device *device, uint64_t address)
{
    kg_cuda_memory_free(gpu(device), address);
}

static kgen_status cuda_write(kgen_device *device, uint64_t address, const void *data, size_t bytes)
{
    enum kg_cuda_status status = kg_cuda_copy_to_device(gpu(device), address, data, bytes, NULL);
    return status_of(status ? status : kg_cuda_synchronize(gpu(device)));
}

static kgen_status cuda_read(kgen_device *device, uint64_t address, void *data, size_t bytes)
{
    enum kg_cuda_status status = kg_cuda_copy_to_host(gpu(device), data, address, bytes, NULL);
    return status_of(status ? status : kg_cuda_synchronize(gpu(device)));
}

static kgen_status cuda_fill(kgen_device *device, uint64_t address, unsigned char byte,
                             size_t bytes)
{
    return status_of(kg_cuda_fill_bytes(gpu(device), address, byte, bytes, NULL));
}

static kgen_status cuda_load(kgen_device *device, kgen_module *module, const void *image,
                             size_t bytes)
{
    struct kg_cuda_load_options options = {.line_info = true};
    struct kg_cuda_module *loaded = NULL;
    enum kg_cuda_status status = kg_cuda_module_load(gpu(device), image, bytes, &options, &loaded);
    module->loaded = loaded;
    return status_of(status);
}

static void cuda_unload(kgen_module *module)
{
    kg_cuda_module_unload(module->loaded);
}

// Launches `repeats` times between two events.
static enum kg_cuda_status timed_launches(struct kg_cuda_context *context,
                                          struct kg_cuda_kernel kernel,
                                          const struct kg_cuda_launch *launch, int repeats,
                                          float *milliseconds)
{
    struct kg_cuda_event *start = NULL, *end = NULL;
    enum kg_cuda_status status = kg_cuda_event_create(context, &start);
    if (!status) status = kg_cuda_event_create(context, &end);
    if (!status) status = kg_cuda_event_record(context, start, NULL);
    for (int i = 0; !status && i < repeats; i++) status = kg_cuda_launch(kernel, launch);
    if (!status) status = kg_cuda_event_record(context, end, NULL);
    if (!status) status = kg_cuda_synchronize(context);
    if (!status) status = kg_cuda_event_elapsed(context, start, end, milliseconds);
    if (start) kg_cuda_event_destroy(context, start);
    if (end) kg_cuda_event_destroy(context, end);
    return status;
}

static kgen_status cuda_launch(kgen_module *module, const kgen_raw_launch *launch,
                               const kgen_launch_options *options, int repeats)
{
    kgen_device *device = module->device;
    kgen_context *context = device->context;
    void **arguments = context_alloc(context, (launch->n_args + 1) * sizeof *arguments);
    if (!arguments) return KGEN_ERROR_MEMORY;
    for (size_t i = 0; i < launch->n_args; i++)
        arguments[i] = launch->args[i].buffer ? (void *)&launch->args[i].buffer->address
                                              : (void *)launch->args[i].value;
    struct kg_cuda_kernel kernel;
    enum kg_cuda_status status = kg_cuda_module_kernel(module->loaded, launch->kernel, &kernel);
    if (!status && launch->shared_bytes > 48 * 1024)
        status = kg_cuda_kernel_allow_shared(kernel, launch->shared_bytes);
    struct kg_cuda_launch l = {.shared_bytes = launch->shared_bytes, .arguments = arguments};
    memcpy(l.grid, launch->grid, sizeof l.grid);
    memcpy(l.block, launch->block, sizeof l.block);
    memcpy(l.cluster, options->cluster, sizeof l.cluster);
    l.programmatic = launch->dependent;
    float milliseconds = 0;
    if (!status) status = timed_launches(gpu(device), kernel, &l, repeats, &milliseconds);
    if (!status && options->statistics)
        *options->statistics = (kgen_statistics){.seconds = 1e-3 * (double)milliseconds / repeats};
    context_release(context, arguments);
    return status_of(status);
}

static enum kg_cuda_element element_of(const char *dtype)
{
    if (!dtype) return KG_CUDA_BITS;
    switch (dtype[0]) {
    case 'f':
        return KG_CUDA_FLOAT;
    case 'b':
        return KG_CUDA_BFLOAT;
    case 'u':
        return KG_CUDA_UNSIGNED;
    default:
        return KG_CUDA_SIGNED;
    }
}

static kgen_status cuda_encode_map(kgen_device *device, const kgen_tensor_map_info *info,
                                   uint64_t address, void *map)
{
    struct kg_cuda_tensor t = {.rank = (unsigned)info->rank,
                               .element_bytes = (unsigned)info->element_bytes,
                               .element = element_of(info->dtype),
                               .address = address,
                               .swizzle = (unsigned)info->swizzle};
    for (int i = 0; i < info->rank; i++) {
        t.sizes[i] = (uint64_t)info->sizes[i];
        t.box[i] = (uint32_t)info->box[i];
        if (i) t.strides[i - 1] = (uint64_t)info->strides[i];
    }
    return status_of(kg_cuda_encode_map(gpu(device), &t, map));
}

const device_ops device_ops_cuda = {cuda_open,   cuda_close,  cuda_allocate,  cuda_release,
                                    cuda_write,  cuda_read,   cuda_fill,      cuda_load,
                                    cuda_unload, cuda_launch, cuda_encode_map};
