// SPDX-License-Identifier: MIT
// The one place of the driver's state, its locks, handles, and start.
#include "driver.h"

#include <stdlib.h>

struct driver the_driver = {
    .lock = PTHREAD_MUTEX_INITIALIZER,
    .machine_lock = PTHREAD_MUTEX_INITIALIZER,
    .report_lock = PTHREAD_MUTEX_INITIALIZER,
    .more = PTHREAD_COND_INITIALIZER,
    .done = PTHREAD_COND_INITIALIZER,
};

// ---- handles -----------------------------------------------------------------------------------

// generation, slot + 1, four zero bits: never NULL, nor one of the small numbers that stand for the
// default streams, and not the handle of what was in the slot before.
enum { SLOT_BITS = 24, LOW_BITS = 4 };

static uint64_t make_handle(size_t slot, uint32_t generation)
{
    return (uint64_t)generation << (SLOT_BITS + LOW_BITS) | (uint64_t)(slot + 1) << LOW_BITS;
}

static bool grow_slots(void)
{
    struct driver *d = &the_driver;
    size_t capacity = d->slot_capacity ? 2 * d->slot_capacity : 64;
    struct slot *slots;

    if (d->slot_count < d->slot_capacity) return true;
    if (capacity >= (size_t)1 << SLOT_BITS) return false;
    slots = realloc(d->slots, capacity * sizeof *slots);
    if (!slots) return false;
    d->slots = slots;
    d->slot_capacity = capacity;
    return true;
}

// Zeroed, with a handle; NULL when there is no memory.
void *driver_new(enum kind kind, size_t size, struct context *context)
{
    struct driver *d = &the_driver;
    struct object *object = calloc(1, size);
    size_t slot;

    if (!object) return NULL;
    if (d->free_slot) {
        slot = d->free_slot - 1;
        d->free_slot = d->slots[slot].next_free;
    } else {
        if (!grow_slots()) {
            free(object);
            return NULL;
        }
        slot = d->slot_count++;
        d->slots[slot] = (struct slot){.generation = 0};
    }
    d->slots[slot].object = object;
    d->slots[slot].generation++;
    *object = (struct object){kind, make_handle(slot, d->slots[slot].generation), context};
    return object;
}

void driver_delete(void *thing)
{
    struct object *object = thing;
    size_t slot;

    if (!object) return;
    slot = (size_t)(object->handle >> LOW_BITS & (((uint64_t)1 << SLOT_BITS) - 1)) - 1;
    the_driver.slots[slot].object = NULL;
    the_driver.slots[slot].next_free = the_driver.free_slot;
    the_driver.free_slot = (uint32_t)slot + 1;
    free(object);
}

void *driver_find_number(uint64_t handle, enum kind kind)
{
    uint64_t slot = handle >> LOW_BITS & (((uint64_t)1 << SLOT_BITS) - 1);
    struct object *object;

    if (!slot || slot > the_driver.slot_count) return NULL;
    object = the_driver.slots[slot - 1].object;
    return object && object->handle == handle && object->kind == kind ? object : NULL;
}

void *driver_find(const void *handle, enum kind kind)
{
    return driver_find_number((uint64_t)(uintptr_t)handle, kind);
}

struct object *driver_slot_object(size_t slot, const struct context *context)
{
    struct object *object = the_driver.slots[slot].object;

    return object && object->context == context ? object : NULL;
}

// ---- start -------------------------------------------------------------------------------------

static cu_result start(void)
{
    struct driver *d = &the_driver;
    const struct ptxm_device_options options = {0};

    if (!driver_read_settings(&d->settings)) return CUDA_ERROR_INVALID_VALUE;
    if (d->settings.invisible) return CUDA_ERROR_NO_DEVICE;
    d->settings.model.managed = driver_can_share_addresses();
    if (!d->machine && ptxm_device_create(&options, &d->machine) != PTXM_OK)
        return CUDA_ERROR_OUT_OF_MEMORY;
    if (!d->default_pool) {
        d->default_pool = driver_new(KIND_POOL, sizeof *d->default_pool, NULL);
        if (!d->default_pool) return CUDA_ERROR_OUT_OF_MEMORY;
        d->default_pool->is_default = true;
        d->current_pool = d->default_pool;
    }
    return driver_start_worker() ? CUDA_SUCCESS : CUDA_ERROR_OPERATING_SYSTEM;
}

cu_result cuInit(unsigned flags)
{
    cu_result result = CUDA_SUCCESS;

    if (flags) return CUDA_ERROR_INVALID_VALUE;
    pthread_mutex_lock(&the_driver.lock);
    if (!the_driver.started) {
        result = start();
        the_driver.started = result == CUDA_SUCCESS;
    }
    pthread_mutex_unlock(&the_driver.lock);
    return result;
}

cu_result cuDriverGetVersion(int *version)
{
    if (!version) return CUDA_ERROR_INVALID_VALUE;
    *version = DRIVER_VERSION;
    return CUDA_SUCCESS;
}

cu_result driver_enter(void)
{
    // A host function in the queue that waits for the queue would wait for ever.
    if (driver_in_host_function) return CUDA_ERROR_NOT_PERMITTED;
    pthread_mutex_lock(&the_driver.lock);
    if (the_driver.started) return CUDA_SUCCESS;
    pthread_mutex_unlock(&the_driver.lock);
    return CUDA_ERROR_NOT_INITIALIZED;
}

bool driver_is_device(cu_device device)
{
    return device == 0;
}

// There is nothing to record. Like every call they want a context.
cu_result cuProfilerStart(void)
{
    struct context *context;
    cu_result result = driver_enter_context(&context);

    return result ? result : driver_leave(CUDA_SUCCESS);
}

cu_result cuProfilerStop(void)
{
    return cuProfilerStart();
}
