// SPDX-License-Identifier: MIT
// Global memory: allocations in an address space of their own, never reused, with gaps between.
#include "machine.h"

#include <stdio.h>
#include <string.h>

enum { ALIGNMENT = 512, PAGE = 4096, GAP = 1 << 20 };
#define FIRST_ADDRESS ((uint64_t)0x10 << 32)

enum ptxm_status ptxm_device_create(const struct ptxm_device_options *options,
                                    struct ptxm_device **out)
{
    struct allocator allocator;
    if (!out)
        return PTXM_ERROR_ARGUMENT;
    ptxm_allocator_init(&allocator, options ? options->allocator : NULL);
    struct ptxm_device *d = ptxm_alloc_zero(&allocator, sizeof *d);
    *out = d;
    if (!d)
        return PTXM_ERROR_MEMORY;
    d->allocator = allocator;
    d->next_address = FIRST_ADDRESS;
    d->memory_limit = options ? options->memory_limit : 0;
    return PTXM_OK;
}

static void release(struct ptxm_device *d, struct allocation *a)
{
    if (!a->adopted)
        ptxm_free(&d->allocator, a->host);
    ptxm_free(&d->allocator, a->initialised);
    if (a->host)
        d->memory_used -= a->size;
    a->host = a->initialised = NULL;
}

void ptxm_device_free(struct ptxm_device *d)
{
    if (!d)
        return;
    struct allocator allocator = d->allocator;
    ptxm_past_forget(d, NULL);
    for (size_t i = 0; i < d->allocation_count; i++) {
        release(d, &d->allocations[i]);
        ptxm_free(&allocator, d->allocations[i].name);
    }
    for (size_t i = 0; i < d->instance_count; i++) ptxm_free(&allocator, d->instances[i].places);
    ptxm_free(&allocator, d->allocations);
    ptxm_free(&allocator, d->instances);
    ptxm_free(&allocator, d);
}

// The allocation at or below the address, live or freed; NULL below the first.
struct allocation *ptxm_device_find(const struct ptxm_device *d, uint64_t address)
{
    size_t low = 0, high = d->allocation_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (d->allocations[middle].base <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low ? &d->allocations[low - 1] : NULL;
}

static char *copy_name(struct ptxm_device *d, const char *name, size_t number)
{
    char buffer[64];
    if (!name) {
        snprintf(buffer, sizeof buffer, "allocation %zu", number);
        name = buffer;
    }
    char *copy = ptxm_alloc(&d->allocator, strlen(name) + 1);
    if (copy)
        strcpy(copy, name);
    return copy;
}

// Where the bytes of an allocation live: memory of ours, or what the caller has for the address.
static uint8_t *find_bytes(struct ptxm_device *d, size_t size, uint64_t address, ptxm_place_fn *fn,
                           void *user)
{
    return fn ? fn(user, address, size) : ptxm_alloc_zero(&d->allocator, size + 16);
}

static enum ptxm_status allocate(struct ptxm_device *d, size_t size, const char *name,
                                 ptxm_place_fn *place, void *user, uint64_t *address)
{
    if (!d || !address || size > (uint64_t)1 << 38)
        return PTXM_ERROR_ARGUMENT;
    *address = 0;
    uint64_t base = place ? (d->next_address + PAGE - 1) & ~(uint64_t)(PAGE - 1) : d->next_address;
    uint64_t end = base + size + GAP;
    if (end > WINDOW_SHARED - GAP || (d->memory_limit && d->memory_used + size > d->memory_limit))
        return PTXM_ERROR_MEMORY;
    if (!PTXM_GROW(&d->allocator, d->allocations, d->allocation_count, d->allocation_capacity))
        return PTXM_ERROR_MEMORY;
    struct allocation a = {.base = base, .size = size, .adopted = place != NULL};
    a.initialised = ptxm_alloc_zero(&d->allocator, size);
    a.name = copy_name(d, name, d->allocation_count);
    if (a.initialised && a.name)
        a.host = find_bytes(d, size, base, place, user);
    if (!a.host) {
        ptxm_free(&d->allocator, a.initialised);
        ptxm_free(&d->allocator, a.name);
        return PTXM_ERROR_MEMORY;
    }
    if (place)
        memset(a.initialised, 1, size); // the host may write them at any time
    d->allocations[d->allocation_count++] = a;
    d->memory_used += size;
    d->next_address = (end + ALIGNMENT - 1) & ~(uint64_t)(ALIGNMENT - 1);
    *address = a.base;
    return PTXM_OK;
}

enum ptxm_status ptxm_memory_allocate(struct ptxm_device *d, size_t size, const char *name,
                                      uint64_t *address)
{
    return allocate(d, size, name, NULL, NULL, address);
}

enum ptxm_status ptxm_memory_adopt(struct ptxm_device *d, size_t size, const char *name,
                                   ptxm_place_fn *place, void *user, uint64_t *address)
{
    return place ? allocate(d, size, name, place, user, address) : PTXM_ERROR_ARGUMENT;
}

enum ptxm_status ptxm_memory_free(struct ptxm_device *d, uint64_t address)
{
    if (!d)
        return PTXM_ERROR_ARGUMENT;
    struct allocation *a = ptxm_device_find(d, address);
    if (!a || a->base != address || !a->host)
        return PTXM_ERROR_BOUNDS;
    release(d, a);
    return PTXM_OK;
}

static struct allocation *range(struct ptxm_device *d, uint64_t address, size_t size)
{
    struct allocation *a = d ? ptxm_device_find(d, address) : NULL;
    return a && a->host && address - a->base <= a->size && size <= a->size - (address - a->base)
               ? a : NULL;
}

enum ptxm_status ptxm_memory_write(struct ptxm_device *d, uint64_t address, const void *from,
                                   size_t size)
{
    struct allocation *a = range(d, address, size);
    if (!d || (!from && size))
        return PTXM_ERROR_ARGUMENT;
    if (!a)
        return PTXM_ERROR_BOUNDS;
    if (size) {
        memcpy(a->host + (address - a->base), from, size);
        memset(a->initialised + (address - a->base), 1, size);
    }
    return PTXM_OK;
}

enum ptxm_status ptxm_memory_read(struct ptxm_device *d, uint64_t address, void *to, size_t size)
{
    struct allocation *a = range(d, address, size);
    if (!d || (!to && size))
        return PTXM_ERROR_ARGUMENT;
    if (!a)
        return PTXM_ERROR_BOUNDS;
    if (size)
        memcpy(to, a->host + (address - a->base), size);
    return PTXM_OK;
}

enum ptxm_status ptxm_memory_fill(struct ptxm_device *d, uint64_t address, int byte, size_t size)
{
    struct allocation *a = range(d, address, size);
    if (!d)
        return PTXM_ERROR_ARGUMENT;
    if (!a)
        return PTXM_ERROR_BOUNDS;
    memset(a->host + (address - a->base), byte, size);
    memset(a->initialised + (address - a->base), 1, size);
    return PTXM_OK;
}

// ---- module variables ---------------------------------------------------------------------------

static uint64_t place_of(const struct instance *instance, const struct variable *v)
{
    for (size_t i = 0; i < instance->place_count; i++)
        if (instance->places[i].variable == v)
            return instance->places[i].address;
    return 0;
}

static void relocate_initial(struct ptxm_device *d, struct instance *instance)
{
    struct ptxm_module *m = instance->module;
    for (size_t i = 0; i < m->relocation_count; i++) {
        struct relocation *r = &m->relocations[i];
        if (!r->within)
            continue;
        uint64_t value = (uint64_t)r->addend;
        value += r->symbol ? place_of(instance, r->symbol)
                           : ((uint64_t)r->function->index + 1) << 4;
        ptxm_memory_write(d, place_of(instance, r->within) + r->offset, &value, r->bytes);
    }
}

static enum ptxm_status place_variables(struct ptxm_device *d, struct instance *instance)
{
    for (struct variable *v = instance->module->variables; v; v = v->next) {
        if (v->space != SPACE_GLOBAL && v->space != SPACE_CONST)
            continue;
        uint64_t address;
        enum ptxm_status status = ptxm_memory_allocate(d, v->size, v->name, &address);
        if (status != PTXM_OK)
            return status;
        if (v->initial)
            ptxm_memory_write(d, address, v->initial, v->size);
        else
            ptxm_memory_fill(d, address, 0, v->size);
        ptxm_device_find(d, address)->read_only = v->space == SPACE_CONST;
        instance->places[instance->place_count].variable = v;
        instance->places[instance->place_count++].address = address;
    }
    relocate_initial(d, instance);
    return PTXM_OK;
}

// The module's variables on this device, made at the first use.
enum ptxm_status ptxm_device_instance(struct ptxm_device *d, struct ptxm_module *module,
                                      struct instance **out)
{
    size_t count = 0;
    for (size_t i = 0; i < d->instance_count; i++)
        if (d->instances[i].module == module) {
            *out = &d->instances[i];
            return PTXM_OK;
        }
    for (struct variable *v = module->variables; v; v = v->next) count++;
    if (!PTXM_GROW(&d->allocator, d->instances, d->instance_count, d->instance_capacity))
        return PTXM_ERROR_MEMORY;
    struct instance *instance = &d->instances[d->instance_count];
    *instance = (struct instance){.module = module};
    instance->places = ptxm_alloc(&d->allocator, (count + 1) * sizeof *instance->places);
    if (!instance->places)
        return PTXM_ERROR_MEMORY;
    d->instance_count++;
    enum ptxm_status status = place_variables(d, instance);
    if (status != PTXM_OK)
        ptxm_device_forget(d, module);
    *out = instance;
    return status;
}

void ptxm_device_forget(struct ptxm_device *d, struct ptxm_module *module)
{
    if (d)
        ptxm_past_forget(d, module);
    for (size_t i = 0; d && i < d->instance_count; i++) {
        struct instance *instance = &d->instances[i];
        if (instance->module != module)
            continue;
        for (size_t k = 0; k < instance->place_count; k++)
            ptxm_memory_free(d, instance->places[k].address);
        ptxm_free(&d->allocator, instance->places);
        d->instances[i] = d->instances[--d->instance_count];
        return;
    }
}

enum ptxm_status ptxm_module_symbol(struct ptxm_device *d, struct ptxm_module *module,
                                    const char *name, uint64_t *address, size_t *size)
{
    struct instance *instance;
    if (!d || !module || !name)
        return PTXM_ERROR_ARGUMENT;
    enum ptxm_status status = ptxm_device_instance(d, module, &instance);
    if (status != PTXM_OK)
        return status;
    for (size_t i = 0; i < instance->place_count; i++) {
        if (strcmp(instance->places[i].variable->name, name))
            continue;
        if (address)
            *address = instance->places[i].address;
        if (size)
            *size = instance->places[i].variable->size;
        return PTXM_OK;
    }
    return PTXM_ERROR_NOT_FOUND;
}
