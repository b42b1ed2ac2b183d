// SPDX-License-Identifier: MIT
// Memory: device memory, page-locked and registered host memory, managed memory.
//
// The books know every allocation by its device address. Page-locked and managed memory lies, in
// the host, at the very address that the device has for it, so that either side may use the
// pointer, as on a real system. (Where that place is taken, under the address sanitizer, the two
// addresses differ and managed memory is refused.)
#include "driver.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif
// All addresses of the machine's global memory lie in here (see runtime/cpu/device.c).
#define DEVICE_FIRST ((cu_address)0x10 << 32)
#define DEVICE_END ((cu_address)1 << 40)
enum { PAGE = 4096, PITCH = 512 };

bool driver_is_device_range(cu_address address)
{
    return address >= DEVICE_FIRST && address < DEVICE_END;
}

// ---- books -------------------------------------------------------------------------------------

// The number of allocations at or below the address.
static size_t position(cu_address address)
{
    size_t low = 0, high = the_driver.memory_count;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (the_driver.memories[middle].base <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct memory *driver_memory(cu_address address, size_t size)
{
    size_t at = position(address);
    struct memory *memory = at ? &the_driver.memories[at - 1] : NULL;

    if (!memory || address - memory->base > memory->size) return NULL;
    if (address - memory->base == memory->size && memory->size) return NULL;
    return size <= memory->size - (address - memory->base) ? memory : NULL;
}

struct memory *driver_host_memory(const void *pointer, size_t size)
{
    const char *host = pointer;

    for (size_t i = 0; i < the_driver.memory_count; i++) {
        struct memory *m = &the_driver.memories[i];

        if (m->host && host >= m->host && host < m->host + m->size &&
            size <= m->size - (size_t)(host - m->host))
            return m;
    }
    return NULL;
}

static bool reserve(void)
{
    struct driver *d = &the_driver;
    size_t capacity = d->memory_capacity ? 2 * d->memory_capacity : 64;
    struct memory *memories;

    if (d->memory_count < d->memory_capacity) return true;
    memories = realloc(d->memories, capacity * sizeof *memories);
    if (!memories) return false;
    d->memories = memories;
    d->memory_capacity = capacity;
    return true;
}

static bool add(struct memory memory)
{
    size_t at = position(memory.base);

    if (!reserve()) return false;
    memory.id = ++the_driver.memory_id;
    memmove(the_driver.memories + at + 1, the_driver.memories + at,
            (the_driver.memory_count - at) * sizeof memory);
    the_driver.memories[at] = memory;
    the_driver.memory_count++;
    if (memory.kind == MEMORY_DEVICE || memory.kind == MEMORY_MANAGED)
        the_driver.memory_used += memory.size;
    return true;
}

static struct memory take_out(struct memory *entry)
{
    struct memory memory = *entry;
    size_t at = (size_t)(entry - the_driver.memories);
    struct pool *pool = driver_find_number(memory.pool, KIND_POOL);

    memmove(entry, entry + 1, (--the_driver.memory_count - at) * sizeof memory);
    if (memory.kind == MEMORY_DEVICE || memory.kind == MEMORY_MANAGED)
        the_driver.memory_used -= memory.size;
    if (pool) pool->used -= memory.size;
    return memory;
}

cu_result driver_note_global(struct module *module, cu_address base, size_t size)
{
    struct memory *known = driver_memory(base, 0);

    if (known) return CUDA_SUCCESS;
    return add((struct memory){.base = base,
                               .size = size,
                               .kind = MEMORY_GLOBAL,
                               .context = module->object.context,
                               .module = module})
               ? CUDA_SUCCESS
               : CUDA_ERROR_OUT_OF_MEMORY;
}

// ---- the machine -------------------------------------------------------------------------------

static void release(const struct memory *memory)
{
    ptxm_memory_free(the_driver.machine, memory->base);
    if (memory->mapped) munmap(memory->host, memory->mapped);
}

struct release_work {
    struct work work;
    struct memory memory;
};

static cu_result run_release(struct work *work)
{
    pthread_mutex_lock(&the_driver.machine_lock);
    release(&((struct release_work *)work)->memory);
    pthread_mutex_unlock(&the_driver.machine_lock);
    return CUDA_SUCCESS;
}

// Frees in the order of the stream. The books forget it at once.
static cu_result submit_release(struct context *context, struct stream *stream,
                                struct memory *memory)
{
    struct release_work *work = driver_work(run_release, sizeof *work);

    if (!work) return CUDA_ERROR_OUT_OF_MEMORY;
    work->work.even_after_error = true;
    work->memory = take_out(memory);
    return driver_submit(context, stream, work);
}

// A context's, or a module's. The queue is drained.
void driver_forget_memories(const struct context *context, const struct module *module)
{
    pthread_mutex_lock(&the_driver.machine_lock);
    for (size_t i = the_driver.memory_count; i-- > 0;) {
        struct memory *m = &the_driver.memories[i];

        if (module ? m->module != module : m->context != context) continue;
        if (m->kind != MEMORY_GLOBAL) release(m);
        take_out(m);
    }
    pthread_mutex_unlock(&the_driver.machine_lock);
}

bool driver_range_is_valid(struct context **context, cu_address address, size_t size)
{
    uint64_t handle = (*context)->object.handle;
    bool valid;
    char byte;

    if (driver_memory(address, size)) return true;
    if (driver_memory(address, 0) || !driver_is_device_range(address)) return false;
    driver_drain();
    pthread_mutex_lock(&the_driver.machine_lock);
    valid =
        ptxm_memory_read(the_driver.machine, address, &byte, 0) == PTXM_OK &&
        (!size || ptxm_memory_read(the_driver.machine, address + size - 1, &byte, 1) == PTXM_OK);
    pthread_mutex_unlock(&the_driver.machine_lock);
    *context = driver_find_number(handle, KIND_CONTEXT);
    return valid && *context;
}

struct placement {
    void *host; // registered memory; NULL: to be mapped
    size_t mapped;
    bool here; // only at the address itself will do
};

static void *place(void *user, uint64_t address, size_t size)
{
    struct placement *p = user;
    void *wanted = (void *)(uintptr_t)address;
    int protection = PROT_READ | PROT_WRITE, flags = MAP_PRIVATE | MAP_ANONYMOUS;
    void *memory;

    if (p->host) return p->host;
    p->mapped = (size + PAGE - 1) & ~(size_t)(PAGE - 1);
    memory = mmap(wanted, p->mapped, protection, flags | MAP_FIXED_NOREPLACE, -1, 0);
    if (memory != MAP_FAILED && memory != wanted) { // an old kernel takes it as a hint
        munmap(memory, p->mapped);
        memory = MAP_FAILED;
    }
    if (memory == MAP_FAILED && !p->here) memory = mmap(NULL, p->mapped, protection, flags, -1, 0);
    return p->host = memory == MAP_FAILED ? NULL : memory;
}

// With the lock, which is let go meanwhile. *made is what add() takes.
static cu_result allocate(struct context *context, size_t size, enum memory_kind kind,
                          struct placement *placement, struct memory *made)
{
    static const char *const names[] = {NULL, "page-locked memory", "registered memory",
                                        "managed memory", NULL};
    uint64_t handle = context->object.handle, address = 0;
    enum ptxm_status status;

    pthread_mutex_unlock(&the_driver.lock);
    pthread_mutex_lock(&the_driver.machine_lock);
    status = placement ? ptxm_memory_adopt(the_driver.machine, size, names[kind], place, placement,
                                           &address)
                       : ptxm_memory_allocate(the_driver.machine, size, NULL, &address);
    pthread_mutex_unlock(&the_driver.machine_lock);
    pthread_mutex_lock(&the_driver.lock);
    if (status) return CUDA_ERROR_OUT_OF_MEMORY;
    *made = (struct memory){.base = address,
                            .size = size,
                            .kind = kind,
                            .host = placement ? placement->host : NULL,
                            .mapped = placement ? placement->mapped : 0,
                            .context = driver_find_number(handle, KIND_CONTEXT)};
    return CUDA_SUCCESS;
}

// allocate() and add(), or nothing. The context may be gone in between.
static cu_result make(struct context *context, size_t size, enum memory_kind kind, unsigned flags,
                      struct placement *placement, struct memory *made)
{
    cu_result result = allocate(context, size, kind, placement, made);

    if (result) return result;
    made->flags = flags;
    if (made->context && add(*made)) return CUDA_SUCCESS;
    result = made->context ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_ERROR_CONTEXT_IS_DESTROYED;
    driver_drain();
    pthread_mutex_lock(&the_driver.machine_lock);
    release(made);
    pthread_mutex_unlock(&the_driver.machine_lock);
    return result;
}

// ---- device memory -----------------------------------------------------------------------------

cu_result cuMemGetInfo_v2(size_t *available, size_t *total)
{
    struct context *context;
    cu_result result = driver_enter_context(&context);
    size_t bytes = the_driver.settings.memory_bytes;

    if (result) return result;
    if (available) *available = bytes - the_driver.memory_used;
    if (total) *total = bytes;
    return driver_leave(available && total ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE);
}

cu_result cuMemAlloc_v2(cu_address *address, size_t size)
{
    struct context *context;
    cu_result result = driver_enter_context(&context);
    struct memory made;

    if (result) return result;
    if (!address || !size) return driver_leave(CUDA_ERROR_INVALID_VALUE);
    if (size > the_driver.settings.memory_bytes - the_driver.memory_used)
        return driver_leave(CUDA_ERROR_OUT_OF_MEMORY);
    result = make(context, size, MEMORY_DEVICE, 0, NULL, &made);
    if (!result) *address = made.base;
    return driver_leave(result);
}

cu_result cuMemAllocPitch_v2(cu_address *address, size_t *pitch, size_t width, size_t height,
                             unsigned element)
{
    size_t row = (width + PITCH - 1) & ~(size_t)(PITCH - 1);
    cu_result result;

    if (!address || !pitch || !width || !height || row < width || row > SIZE_MAX / height)
        return CUDA_ERROR_INVALID_VALUE;
    if (element != 4 && element != 8 && element != 16) return CUDA_ERROR_INVALID_VALUE;
    result = cuMemAlloc_v2(address, row * height);
    if (!result) *pitch = row;
    return result;
}

// Waits for all work: some of it may use the memory.
cu_result cuMemFree_v2(cu_address address)
{
    struct context *context;
    cu_result result = driver_enter_context(&context);
    struct memory *memory;

    if (result) return result;
    if (!address) return driver_leave(CUDA_SUCCESS);
    memory = driver_memory(address, 0);
    if (!memory || memory->base != address ||
        (memory->kind != MEMORY_DEVICE && memory->kind != MEMORY_MANAGED))
        return driver_leave(CUDA_ERROR_INVALID_VALUE);
    result = submit_release(context, NULL, memory);
    return driver_leave(result ? result : driver_wait(context, context->issued));
}

cu_result cuMemGetAddressRange_v2(cu_address *base, size_t *size, cu_address address)
{
    struct context *context;
    cu_result result = driver_enter_context(&context);
    struct memory *memory;

    if (result) return result;
    memory = driver_memory(address, 0);
    if (!memory) return driver_leave(CUDA_ERROR_NOT_FOUND);
    if (base) *base = memory->base;
    if (size) *size = memory->size;
    return driver_leave(CUDA_SUCCESS);
}

// ---- host memory -------------------------------------------------------------------------------

cu_result cuMemHostAlloc(void **host, size_t size, unsigned flags)
{
    const unsigned known =
        CU_MEMHOSTALLOC_PORTABLE | CU_MEMHOSTALLOC_DEVICEMAP | CU_MEMHOSTALLOC_WRITECOMBINED;
    struct context *context;
    cu_result result = driver_enter_context(&context);
    struct placement placement = {0};
    struct memory made;

    if (result) return result;
    if (!host || !size || (flags & ~known)) return driver_leave(CUDA_ERROR_INVALID_VALUE);
    result = make(context, size, MEMORY_HOST, flags, &placement, &made);
    if (!result) *host = made.host;
    return driver_leave(result);
}

cu_result cuMemAllocHost_v2(void **host, size_t size)
{
    return cuMemHostAlloc(host, size, CU_MEMHOSTALLOC_PORTABLE | CU_MEMHOSTALLOC_DEVICEMAP);
}

static cu_result give_back(void *host, enum memory_kind kind, cu_result otherwise)
{
    struct context *context;
    cu_result result = driver_enter_context(&context);
    struct memory *memory;

    if (result) return result;
    memory = driver_host_memory(host, 0);
    if (!memory || memory->host != host || memory->kind != kind) return driver_leave(otherwise);
    result = submit_release(context, NULL, memory);
    return driver_leave(result ? result : driver_wait(context, context->issued));
}

cu_result cuMemFreeHost(void *host)
{
    if (!host) return CUDA_SUCCESS;
    return give_back(host, MEMORY_HOST, CUDA_ERROR_INVALID_VALUE);
}

cu_result cuMemHostRegister_v2(void *host, size_t size, unsigned flags)
{
    struct context *context;
    cu_result result = driver_enter_context(&context);
    struct placement placement = {.host = host};
    struct memory made;

    if (result) return result;
    if (!host || !size || flags > 15 || (uintptr_t)host > UINTPTR_MAX - size)
        return driver_leave(CUDA_ERROR_INVALID_VALUE);
    if (flags & CU_MEMHOSTREGISTER_IOMEMORY) return driver_leave(CUDA_ERROR_NOT_SUPPORTED);
    if (driver_host_memory(host, 0) || driver_host_memory((char *)host + size - 1, 0))
        return driver_leave(CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED);
    return driver_leave(make(context, size, MEMORY_REGISTERED, flags, &placement, &made));
}

cu_result cuMemHostUnregister(void *host)
{
    if (!host) return CUDA_ERROR_INVALID_VALUE;
    return give_back(host, MEMORY_REGISTERED, CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED);
}

cu_result cuMemHostGetDevicePointer_v2(cu_address *address, void *host, unsigned flags)
{
    struct context *context;
    cu_result result = driver_enter_context(&context);
    struct memory *memory;

    if (result) return result;
    memory = address && host && !flags ? driver_host_memory(host, 0) : NULL;
    if (!memory) return driver_leave(CUDA_ERROR_INVALID_VALUE);
    *address = memory->base + (cu_address)((char *)host - memory->host);
    return driver_leave(CUDA_SUCCESS);
}

cu_result cuMemHostGetFlags(unsigned *flags, void *host)
{
    struct context *context;
    cu_result result = driver_enter_context(&context);
    struct memory *memory;

    if (result) return result;
    memory = flags && host ? driver_host_memory(host, 0) : NULL;
    if (!memory || memory->kind != MEMORY_HOST) return driver_leave(CUDA_ERROR_INVALID_VALUE);
    *flags = memory->flags | CU_MEMHOSTALLOC_DEVICEMAP;
    return driver_leave(CUDA_SUCCESS);
}

cu_result cuMemAllocManaged(cu_address *address, size_t size, unsigned flags)
{
    struct context *context;
    cu_result result = driver_enter_context(&context);
    struct placement placement = {.here = true};
    struct memory made;

    if (result) return result;
    if (!address || !size || (flags != CU_MEM_ATTACH_GLOBAL && flags != CU_MEM_ATTACH_HOST))
        return driver_leave(CUDA_ERROR_INVALID_VALUE);
    if (!the_driver.settings.model.managed) return driver_leave(CUDA_ERROR_NOT_SUPPORTED);
    result = make(context, size, MEMORY_MANAGED, flags, &placement, &made);
    if (!result) *address = made.base;
    return driver_leave(result);
}

bool driver_can_share_addresses(void)
{
    void *wanted = (void *)(uintptr_t)DEVICE_FIRST;
    void *memory = mmap(wanted, PAGE, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

    if (memory == MAP_FAILED) return false;
    munmap(memory, PAGE);
    return memory == wanted;
}

// ---- in the order of a stream ------------------------------------------------------------------

static cu_result allocate_async(cu_address *address, size_t size, cu_pool pool_handle,
                                bool from_pool, cu_stream stream_handle)
{
    struct context *context;
    cu_result result = driver_enter_context(&context);
    struct stream *stream;
    struct pool *pool;
    struct memory made, *entry;
    uint64_t pool_number;

    if (result) return result;
    pool = from_pool ? driver_find(pool_handle, KIND_POOL) : the_driver.current_pool;
    if (!address || !size || !pool) return driver_leave(CUDA_ERROR_INVALID_VALUE);
    if (!driver_stream(context, stream_handle, &stream))
        return driver_leave(CUDA_ERROR_INVALID_HANDLE);
    if (size > the_driver.settings.memory_bytes - the_driver.memory_used)
        return driver_leave(CUDA_ERROR_OUT_OF_MEMORY);
    pool_number = pool->object.handle;
    result = make(context, size, MEMORY_DEVICE, 0, NULL, &made);
    pool = driver_find_number(pool_number, KIND_POOL);
    entry = result ? NULL : driver_memory(made.base, 0);
    if (entry && pool) {
        entry->pool = pool_number;
        pool->used += size;
        if (pool->used > pool->most) pool->most = pool->used;
    }
    if (!result) *address = made.base;
    return driver_leave(result);
}

// The machine never hands out an address twice: memory may be there before its turn has come.
cu_result cuMemAllocAsync(cu_address *address, size_t size, cu_stream stream)
{
    return allocate_async(address, size, NULL, false, stream);
}
ALSO(cuMemAllocAsync, cuMemAllocAsync_ptsz);

cu_result cuMemAllocFromPoolAsync(cu_address *address, size_t size, cu_pool pool, cu_stream stream)
{
    return allocate_async(address, size, pool, true, stream);
}
ALSO(cuMemAllocFromPoolAsync, cuMemAllocFromPoolAsync_ptsz);

cu_result cuMemFreeAsync(cu_address address, cu_stream stream_handle)
{
    struct context *context;
    cu_result result = driver_enter_context(&context);
    struct stream *stream;
    struct memory *memory;

    if (result) return result;
    if (!driver_stream(context, stream_handle, &stream))
        return driver_leave(CUDA_ERROR_INVALID_HANDLE);
    memory = driver_memory(address, 0);
    if (!memory || memory->base != address || memory->kind != MEMORY_DEVICE)
        return driver_leave(CUDA_ERROR_INVALID_VALUE);
    return driver_leave(submit_release(context, stream, memory));
}
ALSO(cuMemFreeAsync, cuMemFreeAsync_ptsz);
