// SPDX-License-Identifier: MIT
// Fills: rows of bytes, halves or words of one value.
#include "driver.h"

#include <string.h>

struct fill_work {
    struct work work;
    cu_address to;
    size_t pitch, width, height; // bytes, elements, rows
    unsigned value, element;     // bytes of an element
};

enum { PATTERN = 1 << 12 };

static enum ptxm_status fill_row(const struct fill_work *w, cu_address to, const char *pattern)
{
    enum ptxm_status status = PTXM_OK;
    size_t size = w->width * w->element;

    if (w->element == 1) return ptxm_memory_fill(the_driver.machine, to, (int)w->value, size);
    for (size_t done = 0; done < size && !status;) {
        size_t part = size - done < PATTERN ? size - done : PATTERN;

        status = ptxm_memory_write(the_driver.machine, to + done, pattern, part);
        done += part;
    }
    return status;
}

static cu_result run_fill(struct work *work)
{
    struct fill_work *w = (struct fill_work *)work;
    enum ptxm_status status = PTXM_OK;
    char pattern[PATTERN];

    for (size_t i = 0; i < PATTERN; i += w->element) memcpy(pattern + i, &w->value, w->element);
    pthread_mutex_lock(&the_driver.machine_lock);
    for (size_t y = 0; y < w->height && !status; y++)
        status = fill_row(w, w->to + y * w->pitch, pattern);
    pthread_mutex_unlock(&the_driver.machine_lock);
    return status ? CUDA_ERROR_ILLEGAL_ADDRESS : CUDA_SUCCESS;
}

static bool is_valid(struct context **context, const struct fill_work *w)
{
    size_t row, size;

    if (w->to % w->element || (w->height > 1 && w->pitch % w->element)) return false;
    if (__builtin_mul_overflow(w->width, w->element, &row)) return false;
    if (w->height > 1 && w->pitch < row) return false;
    if (__builtin_mul_overflow(w->height - 1, w->pitch, &size) ||
        __builtin_add_overflow(size, row, &size) || w->to > UINT64_MAX - size)
        return false;
    return driver_range_is_valid(context, w->to, size);
}

static cu_result fill(struct fill_work contents, cu_stream handle)
{
    struct context *context;
    cu_result result = driver_enter_context(&context);
    struct stream *stream;
    struct fill_work *work;

    if (result) return result;
    if (!driver_stream(context, handle, &stream)) return driver_leave(CUDA_ERROR_INVALID_HANDLE);
    if (!contents.width || !contents.height) return driver_leave(CUDA_SUCCESS);
    if (!is_valid(&context, &contents)) return driver_leave(CUDA_ERROR_INVALID_VALUE);
    // The lock may have been free.
    if (!driver_stream(context, handle, &stream)) return driver_leave(CUDA_ERROR_INVALID_HANDLE);
    work = driver_work(run_fill, sizeof *work);
    if (work) {
        contents.work = work->work;
        *work = contents;
    }
    return driver_leave(driver_submit(stream ? stream->object.context : context, stream, work));
}

static struct fill_work rows(cu_address to, size_t pitch, unsigned value, unsigned element,
                             size_t width, size_t height)
{
    return (struct fill_work){.to = to,
                              .pitch = pitch,
                              .width = width,
                              .height = height,
                              .value = value,
                              .element = element};
}

// NAME(1D, 2D, type of the value, bytes of it)
#define FILL(name, name_2d, type, element)                                                         \
    cu_result name##Async(cu_address to, type value, size_t count, cu_stream stream)               \
    {                                                                                              \
        return fill(rows(to, 0, value, element, count, 1), stream);                                \
    }                                                                                              \
    ALSO(name##Async, name##Async_ptsz);                                                           \
    cu_result name##_v2(cu_address to, type value, size_t count)                                   \
    {                                                                                              \
        return name##Async(to, value, count, NULL);                                                \
    }                                                                                              \
    ALSO(name##_v2, name##_v2_ptds);                                                               \
    cu_result name_2d##Async(cu_address to, size_t pitch, type value, size_t width, size_t height, \
                             cu_stream stream)                                                     \
    {                                                                                              \
        return fill(rows(to, pitch, value, element, width, height), stream);                       \
    }                                                                                              \
    ALSO(name_2d##Async, name_2d##Async_ptsz);                                                     \
    cu_result name_2d##_v2(cu_address to, size_t pitch, type value, size_t width, size_t height)   \
    {                                                                                              \
        return name_2d##Async(to, pitch, value, width, height, NULL);                              \
    }                                                                                              \
    ALSO(name_2d##_v2, name_2d##_v2_ptds)

FILL(cuMemsetD8, cuMemsetD2D8, unsigned char, 1);
FILL(cuMemsetD16, cuMemsetD2D16, unsigned short, 2);
FILL(cuMemsetD32, cuMemsetD2D32, unsigned, 4);
