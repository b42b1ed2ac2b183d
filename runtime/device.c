// SPDX-License-Identifier: MIT
// Devices, buffers and modules behind one interface; the kinds are device_cpu.c and device_cuda.c.
#include "runtime/internal.h"
#include <string.h>

kgen_status kgen_device_open(kgen_context *context, const char *kind,
                             const kgen_device_options *options, kgen_device **out)
{
    static const kgen_device_options defaults;
    static const char *const kinds[] = {"cpu", "cuda"};
    if (!context || !kind || !out) return KGEN_ERROR_USAGE;
    *out = NULL;
    const device_ops *ops = !strcmp(kind, "cpu")    ? &device_ops_cpu
                            : !strcmp(kind, "cuda") ? &device_ops_cuda
                                                    : NULL;
    if (!ops) {
        const char *near = kg_nearest_name(kind, kinds, 2);
        return context_fail(context, KGEN_ERROR_USAGE, KG_D_R701,
                            near ? "the devices are cpu and cuda" : NULL,
                            "unknown device '%s'%s%s%s", kind, near ? "; did you mean '" : "",
                            near ? near : "", near ? "'?" : "");
    }
    kgen_device *device = context_alloc(context, sizeof *device);
    if (!device) return KGEN_ERROR_MEMORY;
    device->context = context;
    device->ops = ops;
    kgen_status status = ops->open(device, options ? options : &defaults);
    if (status) {
        context_release(context, device);
        return status;
    }
    pthread_mutex_init(&device->lock, NULL);
    pthread_mutex_lock(&context->lock);
    device->next = context->devices;
    context->devices = device;
    pthread_mutex_unlock(&context->lock);
    *out = device;
    return KGEN_OK;
}

static void unload(kgen_module *module)
{
    kgen_context *context = module->device->context;
    module->device->ops->unload(module);
    context_release(context, (void *)module->name);
    context_release(context, module);
}

void kgen_device_close(kgen_device *device)
{
    if (!device) return;
    kgen_context *context = device->context;
    pthread_mutex_lock(&context->lock);
    kgen_device **link = &context->devices;
    while (*link && *link != device) link = &(*link)->next;
    if (*link) *link = device->next;
    pthread_mutex_unlock(&context->lock);
    while (device->modules) {
        kgen_module *module = device->modules;
        device->modules = module->next;
        unload(module);
    }
    device->ops->close(device);
    pthread_mutex_destroy(&device->lock);
    context_release(context, device);
}

void device_drop_program(kgen_device *device, uint64_t serial)
{
    pthread_mutex_lock(&device->lock);
    for (kgen_module **link = &device->modules; *link;) {
        kgen_module *module = *link;
        if (module->program_serial != serial) {
            link = &module->next;
            continue;
        }
        *link = module->next;
        unload(module);
    }
    pthread_mutex_unlock(&device->lock);
}

const char *kgen_device_name(const kgen_device *device)
{
    return device ? device->name : NULL;
}

const char *kgen_device_target(const kgen_device *device)
{
    return device ? device->target : NULL;
}

// ---- buffers
// -------------------------------------------------------------------------------------------
kgen_status kgen_buffer_create(kgen_device *device, size_t bytes, kgen_buffer **out)
{
    if (!device || !out) return KGEN_ERROR_USAGE;
    *out = NULL;
    kgen_buffer *buffer = context_alloc(device->context, sizeof *buffer);
    if (!buffer) return KGEN_ERROR_MEMORY;
    *buffer = (kgen_buffer){.device = device, .bytes = bytes};
    pthread_mutex_lock(&device->lock);
    kgen_status status = bytes ? device->ops->allocate(device, bytes, &buffer->address) : KGEN_OK;
    pthread_mutex_unlock(&device->lock);
    if (status)
        context_release(device->context, buffer);
    else
        *out = buffer;
    return status;
}

void kgen_buffer_free(kgen_buffer *buffer)
{
    if (!buffer) return;
    kgen_device *device = buffer->device;
    pthread_mutex_lock(&device->lock);
    if (buffer->bytes) device->ops->release(device, buffer->address);
    pthread_mutex_unlock(&device->lock);
    context_release(device->context, buffer);
}

static bool in_buffer(const kgen_buffer *buffer, size_t offset, size_t bytes)
{
    return buffer && offset <= buffer->bytes && bytes <= buffer->bytes - offset;
}

kgen_status kgen_buffer_write(kgen_buffer *buffer, size_t offset, const void *data, size_t bytes)
{
    if (!in_buffer(buffer, offset, bytes) || (!data && bytes)) return KGEN_ERROR_USAGE;
    if (!bytes) return KGEN_OK;
    kgen_device *device = buffer->device;
    pthread_mutex_lock(&device->lock);
    kgen_status status = device->ops->write(device, buffer->address + offset, data, bytes);
    pthread_mutex_unlock(&device->lock);
    return status;
}

kgen_status kgen_buffer_read(kgen_buffer *buffer, size_t offset, void *data, size_t bytes)
{
    if (!in_buffer(buffer, offset, bytes) || (!data && bytes)) return KGEN_ERROR_USAGE;
    if (!bytes) return KGEN_OK;
    kgen_device *device = buffer->device;
    pthread_mutex_lock(&device->lock);
    kgen_status status = device->ops->read(device, buffer->address + offset, data, bytes);
    pthread_mutex_unlock(&device->lock);
    return status;
}

kgen_status kgen_buffer_fill(kgen_buffer *buffer, unsigned char byte)
{
    if (!buffer) return KGEN_ERROR_USAGE;
    if (!buffer->bytes) return KGEN_OK;
    kgen_device *device = buffer->device;
    pthread_mutex_lock(&device->lock);
    kgen_status status = device->ops->fill(device, buffer->address, byte, buffer->bytes);
    pthread_mutex_unlock(&device->lock);
    return status;
}

// ---- modules
// ------------------------------------------------------------------------------------------- Loads
// without taking the device's lock.
static kgen_status load(kgen_device *device, const char *name, const void *image, size_t bytes,
                        kgen_module **out)
{
    kgen_context *context = device->context;
    kgen_module *module = context_alloc(context, sizeof *module);
    char *copy = module ? context_strdup(context, name, strlen(name)) : NULL;
    if (!copy) {
        context_release(context, module);
        return KGEN_ERROR_MEMORY;
    }
    module->device = device;
    module->name = copy;
    kgen_status status = device->ops->load(device, module, image, bytes);
    if (status) {
        context_release(context, copy);
        context_release(context, module);
        return status;
    }
    *out = module;
    return KGEN_OK;
}

kgen_status kgen_module_load(kgen_device *device, const char *name, const void *image, size_t bytes,
                             kgen_module **out)
{
    if (!device || !image || !out) return KGEN_ERROR_USAGE;
    *out = NULL;
    pthread_mutex_lock(&device->lock);
    kgen_status status = load(device, name ? name : "<memory>", image, bytes, out);
    pthread_mutex_unlock(&device->lock);
    return status;
}

void kgen_module_free(kgen_module *module)
{
    if (!module) return;
    kgen_device *device = module->device;
    pthread_mutex_lock(&device->lock);
    unload(module);
    pthread_mutex_unlock(&device->lock);
}

kgen_status kgen_module_launch(kgen_module *module, const kgen_raw_launch *launch,
                               const kgen_launch_options *options)
{
    static const kgen_launch_options defaults;
    if (!module || !launch || !launch->kernel || (launch->n_args && !launch->args))
        return KGEN_ERROR_USAGE;
    pthread_mutex_lock(&module->device->lock);
    kgen_status status =
        module->device->ops->launch(module, launch, options ? options : &defaults, 1);
    pthread_mutex_unlock(&module->device->lock);
    return status;
}

// The module of a program on a device, loaded at the first launch. The caller holds the lock.
kgen_status device_program_module(kgen_device *device, const kgen_program *program,
                                  kgen_module **out)
{
    for (kgen_module *m = device->modules; m; m = m->next)
        if (m->program_serial == program->serial) return *out = m, KGEN_OK;
    kgen_status status = load(device, program->label, program->ptx, program->ptx_length, out);
    if (status) return status;
    (*out)->program_serial = program->serial;
    (*out)->next = device->modules;
    device->modules = *out;
    return KGEN_OK;
}
