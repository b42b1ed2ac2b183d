// SPDX-License-Identifier: MIT
// Copies: one kind of work, a box of rows from one place to another. What it needs is checked when
// it is issued. Copies from or to memory that is not page-locked end before the call returns, as
// with the real driver.
#include "driver.h"

#include <stdlib.h>
#include <string.h>

struct place {
    bool on_device;
    cu_address address;  // or a host pointer
    size_t pitch, slice; // bytes from row to row, from slice to slice
};

struct box {
    size_t width, height, depth; // bytes, rows, slices
};

struct copy_work {
    struct work work;
    struct place to, from;
    struct box box;
};

enum { STAGING = 1 << 16 };

static enum ptxm_status copy_on_device(cu_address to, cu_address from, size_t size)
{
    enum ptxm_status status = PTXM_OK;
    char staging[STAGING];

    for (size_t done = 0; done < size && !status;) {
        size_t part = size - done < STAGING ? size - done : STAGING;

        status = ptxm_memory_read(the_driver.machine, from + done, staging, part);
        if (!status) status = ptxm_memory_write(the_driver.machine, to + done, staging, part);
        done += part;
    }
    return status;
}

static enum ptxm_status copy_row(const struct place *to, const struct place *from, size_t offset_to,
                                 size_t offset_from, size_t size)
{
    cu_address target = to->address + offset_to, source = from->address + offset_from;

    if (to->on_device && from->on_device) return copy_on_device(target, source, size);
    if (to->on_device)
        return ptxm_memory_write(the_driver.machine, target, (void *)(uintptr_t)source, size);
    if (from->on_device)
        return ptxm_memory_read(the_driver.machine, source, (void *)(uintptr_t)target, size);
    memmove((void *)(uintptr_t)target, (void *)(uintptr_t)source, size);
    return PTXM_OK;
}

static cu_result run_copy(struct work *work)
{
    struct copy_work *w = (struct copy_work *)work;
    enum ptxm_status status = PTXM_OK;

    pthread_mutex_lock(&the_driver.machine_lock);
    for (size_t z = 0; z < w->box.depth && !status; z++)
        for (size_t y = 0; y < w->box.height && !status; y++)
            status = copy_row(&w->to, &w->from, z * w->to.slice + y * w->to.pitch,
                              z * w->from.slice + y * w->from.pitch, w->box.width);
    pthread_mutex_unlock(&the_driver.machine_lock);
    return status ? CUDA_ERROR_ILLEGAL_ADDRESS : CUDA_SUCCESS;
}

// Bytes from the first to the last one of the box. False: more than there are addresses.
static bool extent(const struct place *place, const struct box *box, size_t *size)
{
    size_t rows, slices;

    if (__builtin_mul_overflow(box->height - 1, place->pitch, &rows) ||
        __builtin_mul_overflow(box->depth - 1, place->slice, &slices))
        return false;
    return !__builtin_add_overflow(rows, slices, size) &&
           !__builtin_add_overflow(*size, box->width, size);
}

static bool is_valid(struct context **context, const struct place *place, const struct box *box)
{
    size_t size;

    if (!extent(place, box, &size) || place->address > UINT64_MAX - size) return false;
    if (!place->on_device) return place->address != 0;
    return driver_range_is_valid(context, place->address, size);
}

static bool is_pageable(const struct place *place, const struct box *box)
{
    size_t size;

    return !place->on_device && extent(place, box, &size) &&
           !driver_host_memory((void *)(uintptr_t)place->address, size);
}

// Enters, checks, issues, and waits if `wait` or if it has to.
static cu_result copy(struct place to, struct place from, struct box box, cu_stream handle,
                      bool wait)
{
    struct context *context;
    cu_result result = driver_enter_context(&context);
    struct stream *stream;
    struct copy_work *work;

    if (result) return result;
    if (!driver_stream(context, handle, &stream)) return driver_leave(CUDA_ERROR_INVALID_HANDLE);
    if (!box.width || !box.height || !box.depth) return driver_leave(CUDA_SUCCESS);
    if (!is_valid(&context, &to, &box) || !is_valid(&context, &from, &box))
        return driver_leave(CUDA_ERROR_INVALID_VALUE);
    // The lock may have been free.
    if (!driver_stream(context, handle, &stream)) return driver_leave(CUDA_ERROR_INVALID_HANDLE);
    work = driver_work(run_copy, sizeof *work);
    if (work) {
        work->to = to;
        work->from = from;
        work->box = box;
    }
    wait = wait || is_pageable(&to, &box) || is_pageable(&from, &box);
    if (stream) context = stream->object.context;
    return driver_leave(wait ? driver_submit_and_wait(context, stream, work)
                             : driver_submit(context, stream, work));
}

static struct place device(cu_address address)
{
    return (struct place){.on_device = true, .address = address};
}

static struct place host(const void *memory)
{
    return (struct place){.address = (cu_address)(uintptr_t)memory};
}

// What lies at an address of either side.
static struct place any(cu_address address)
{
    return (struct place){.on_device = driver_is_device_range(address), .address = address};
}

static struct box bytes(size_t size)
{
    return (struct box){size, 1, 1};
}

// ---- one row -----------------------------------------------------------------------------------

cu_result cuMemcpyHtoD_v2(cu_address to, const void *from, size_t size)
{
    return copy(device(to), host(from), bytes(size), NULL, true);
}
ALSO(cuMemcpyHtoD_v2, cuMemcpyHtoD_v2_ptds);

cu_result cuMemcpyDtoH_v2(void *to, cu_address from, size_t size)
{
    return copy(host(to), device(from), bytes(size), NULL, true);
}
ALSO(cuMemcpyDtoH_v2, cuMemcpyDtoH_v2_ptds);

cu_result cuMemcpyDtoD_v2(cu_address to, cu_address from, size_t size)
{
    return copy(device(to), device(from), bytes(size), NULL, false);
}
ALSO(cuMemcpyDtoD_v2, cuMemcpyDtoD_v2_ptds);

cu_result cuMemcpy(cu_address to, cu_address from, size_t size)
{
    return copy(any(to), any(from), bytes(size), NULL, true);
}
ALSO(cuMemcpy, cuMemcpy_ptds);

cu_result cuMemcpyHtoDAsync_v2(cu_address to, const void *from, size_t size, cu_stream stream)
{
    return copy(device(to), host(from), bytes(size), stream, false);
}
ALSO(cuMemcpyHtoDAsync_v2, cuMemcpyHtoDAsync_v2_ptsz);

cu_result cuMemcpyDtoHAsync_v2(void *to, cu_address from, size_t size, cu_stream stream)
{
    return copy(host(to), device(from), bytes(size), stream, false);
}
ALSO(cuMemcpyDtoHAsync_v2, cuMemcpyDtoHAsync_v2_ptsz);

cu_result cuMemcpyDtoDAsync_v2(cu_address to, cu_address from, size_t size, cu_stream stream)
{
    return copy(device(to), device(from), bytes(size), stream, false);
}
ALSO(cuMemcpyDtoDAsync_v2, cuMemcpyDtoDAsync_v2_ptsz);

cu_result cuMemcpyAsync(cu_address to, cu_address from, size_t size, cu_stream stream)
{
    return copy(any(to), any(from), bytes(size), stream, false);
}
ALSO(cuMemcpyAsync, cuMemcpyAsync_ptsz);

// Contexts share the device's memory.
static cu_result check_peers(cu_context to, cu_context from)
{
    cu_result result = driver_enter();
    bool found;

    if (result) return result;
    found = driver_find(to, KIND_CONTEXT) && driver_find(from, KIND_CONTEXT);
    return driver_leave(found ? CUDA_SUCCESS : CUDA_ERROR_INVALID_CONTEXT);
}

cu_result cuMemcpyPeerAsync(cu_address to, cu_context to_context, cu_address from,
                            cu_context from_context, size_t size, cu_stream stream)
{
    cu_result result = check_peers(to_context, from_context);

    return result ? result : cuMemcpyDtoDAsync_v2(to, from, size, stream);
}
ALSO(cuMemcpyPeerAsync, cuMemcpyPeerAsync_ptsz);

cu_result cuMemcpyPeer(cu_address to, cu_context to_context, cu_address from,
                       cu_context from_context, size_t size)
{
    return cuMemcpyPeerAsync(to, to_context, from, from_context, size, NULL);
}
ALSO(cuMemcpyPeer, cuMemcpyPeer_ptds);

// ---- boxes -------------------------------------------------------------------------------------

// False: this end cannot be meant. A pitch of 0 stands for rows without gaps.
static bool make_end(struct place *place, const cu_copy_3d_end *end, const struct box *box,
                     cu_result *why)
{
    size_t pitch = end->pitch ? end->pitch : end->x + box->width;
    size_t height = end->height ? end->height : end->y + box->height, offset, rows;

    *why = CUDA_ERROR_INVALID_VALUE;
    switch (end->type) {
    case CU_MEMORYTYPE_HOST:
        *place = host(end->host);
        break;
    case CU_MEMORYTYPE_DEVICE:
        *place = device(end->device);
        break;
    case CU_MEMORYTYPE_UNIFIED:
        *place = any(end->device);
        break;
    case CU_MEMORYTYPE_ARRAY:
        *why = CUDA_ERROR_NOT_SUPPORTED;
        return false;
    default:
        return false;
    }
    if (end->level || pitch < end->x || pitch - end->x < box->width || height < end->y ||
        height - end->y < box->height)
        return false;
    if (__builtin_mul_overflow(pitch, height, &place->slice) ||
        __builtin_mul_overflow(place->slice, end->z, &offset) ||
        __builtin_mul_overflow(pitch, end->y, &rows) ||
        __builtin_add_overflow(offset, rows, &offset) ||
        __builtin_add_overflow(offset, end->x, &offset) || !place->address ||
        __builtin_add_overflow(place->address, offset, &place->address))
        return false;
    place->pitch = pitch;
    return true;
}

static cu_result copy_3d(const cu_copy_3d *c, cu_stream stream, bool wait)
{
    struct place to, from;
    struct box box;
    cu_result why;

    if (!c) return CUDA_ERROR_INVALID_VALUE;
    box = (struct box){c->width, c->height, c->depth};
    if (!box.width || !box.height || !box.depth)
        return copy(host(&box), host(&box), box, stream, 0);
    if (!make_end(&to, &c->to, &box, &why) || !make_end(&from, &c->from, &box, &why)) return why;
    return copy(to, from, box, stream, wait);
}

static cu_copy_3d_end deepen(const cu_copy_2d_end *end)
{
    return (cu_copy_3d_end){.x = end->x,
                            .y = end->y,
                            .type = end->type,
                            .host = end->host,
                            .device = end->device,
                            .array = end->array,
                            .pitch = end->pitch};
}

static cu_result copy_2d(const cu_copy_2d *c, cu_stream stream, bool wait)
{
    cu_copy_3d box = {.depth = 1};

    if (!c) return CUDA_ERROR_INVALID_VALUE;
    box.from = deepen(&c->from);
    box.to = deepen(&c->to);
    box.width = c->width;
    box.height = c->height;
    return copy_3d(&box, stream, wait);
}

cu_result cuMemcpy2D_v2(const cu_copy_2d *c)
{
    return copy_2d(c, NULL, true);
}
ALSO(cuMemcpy2D_v2, cuMemcpy2D_v2_ptds);

cu_result cuMemcpy2DUnaligned_v2(const cu_copy_2d *c)
{
    return copy_2d(c, NULL, true);
}
ALSO(cuMemcpy2DUnaligned_v2, cuMemcpy2DUnaligned_v2_ptds);

cu_result cuMemcpy2DAsync_v2(const cu_copy_2d *c, cu_stream stream)
{
    return copy_2d(c, stream, false);
}
ALSO(cuMemcpy2DAsync_v2, cuMemcpy2DAsync_v2_ptsz);

cu_result cuMemcpy3D_v2(const cu_copy_3d *c)
{
    return copy_3d(c, NULL, true);
}
ALSO(cuMemcpy3D_v2, cuMemcpy3D_v2_ptds);

cu_result cuMemcpy3DAsync_v2(const cu_copy_3d *c, cu_stream stream)
{
    return copy_3d(c, stream, false);
}
ALSO(cuMemcpy3DAsync_v2, cuMemcpy3DAsync_v2_ptsz);
