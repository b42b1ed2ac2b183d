// SPDX-License-Identifier: MIT
// Events: marks in the queue, with the time at which they were passed.
#include "driver.h"

#include <time.h>

struct record_work {
    struct work work;
    uint64_t event;
};

static cu_result run_record(struct work *work)
{
    struct event *event;
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    pthread_mutex_lock(&the_driver.lock);
    event = driver_find_number(((struct record_work *)work)->event, KIND_EVENT);
    // It may be gone, or recorded again.
    if (event && event->issued == work->ticket)
        event->nanoseconds = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    pthread_mutex_unlock(&the_driver.lock);
    return CUDA_SUCCESS;
}

static cu_result enter_event(cu_event handle, struct context **context, struct event **event)
{
    cu_result result = driver_enter_context(context);

    if (result) return result;
    *event = driver_find(handle, KIND_EVENT);
    return *event ? CUDA_SUCCESS : driver_leave(CUDA_ERROR_INVALID_HANDLE);
}

cu_result cuEventCreate(cu_event *handle, unsigned flags)
{
    const unsigned known = CU_EVENT_BLOCKING_SYNC | CU_EVENT_DISABLE_TIMING;
    struct context *context;
    cu_result result = driver_enter_context(&context);
    struct event *event;

    if (result) return result;
    if (!handle || (flags & ~(known | CU_EVENT_INTERPROCESS)))
        return driver_leave(CUDA_ERROR_INVALID_VALUE);
    if (flags & CU_EVENT_INTERPROCESS) return driver_leave(CUDA_ERROR_NOT_SUPPORTED);
    event = driver_new(KIND_EVENT, sizeof *event, context);
    if (!event) return driver_leave(CUDA_ERROR_OUT_OF_MEMORY);
    event->flags = flags;
    *handle = HANDLE_OF(cu_event, event);
    return driver_leave(CUDA_SUCCESS);
}

cu_result cuEventDestroy_v2(cu_event handle)
{
    cu_result result = driver_enter();
    struct event *event;

    if (result) return result;
    event = driver_find(handle, KIND_EVENT);
    if (event) driver_delete(event);
    return driver_leave(event ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE);
}

cu_result driver_record(struct event *event, struct stream *stream)
{
    struct record_work *work = driver_work(run_record, sizeof *work);
    cu_result result;

    if (work) work->event = event->object.handle;
    result = driver_submit(event->object.context, stream, work);
    if (!result) event->issued = the_driver.issued;
    return result;
}

cu_result cuEventRecordWithFlags(cu_event handle, cu_stream stream_handle, unsigned flags)
{
    struct context *context;
    struct event *event;
    struct stream *stream;
    cu_result result = enter_event(handle, &context, &event);

    if (result) return result;
    if (flags & ~(unsigned)CU_EVENT_RECORD_EXTERNAL) return driver_leave(CUDA_ERROR_INVALID_VALUE);
    if (!driver_stream(context, stream_handle, &stream) ||
        event->object.context != (stream ? stream->object.context : context))
        return driver_leave(CUDA_ERROR_INVALID_HANDLE);
    return driver_leave(driver_record(event, stream));
}
ALSO(cuEventRecordWithFlags, cuEventRecordWithFlags_ptsz);

cu_result cuEventRecord(cu_event event, cu_stream stream)
{
    return cuEventRecordWithFlags(event, stream, 0);
}
ALSO(cuEventRecord, cuEventRecord_ptsz);

cu_result cuEventQuery(cu_event handle)
{
    struct context *context;
    struct event *event;
    cu_result result = enter_event(handle, &context, &event);

    if (result) return result;
    if (event->object.context->error) return driver_leave(event->object.context->error);
    return driver_leave(driver_has_ended(event->issued) ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY);
}

cu_result cuEventSynchronize(cu_event handle)
{
    struct context *context;
    struct event *event;
    cu_result result = enter_event(handle, &context, &event);

    return result ? result : driver_leave(driver_wait(event->object.context, event->issued));
}

// Whatever the event waits for was issued before what the stream does next.
cu_result cuStreamWaitEvent(cu_stream stream_handle, cu_event handle, unsigned flags)
{
    struct context *context;
    struct event *event;
    struct stream *stream;
    cu_result result = enter_event(handle, &context, &event);

    if (result) return result;
    if (flags & ~(unsigned)CU_EVENT_WAIT_EXTERNAL) return driver_leave(CUDA_ERROR_INVALID_VALUE);
    return driver_leave(driver_stream(context, stream_handle, &stream) ? CUDA_SUCCESS
                                                                       : CUDA_ERROR_INVALID_HANDLE);
}
ALSO(cuStreamWaitEvent, cuStreamWaitEvent_ptsz);

cu_result cuEventElapsedTime_v2(float *milliseconds, cu_event start_handle, cu_event end_handle)
{
    struct context *context;
    struct event *start, *end;
    cu_result result = enter_event(start_handle, &context, &start);

    if (result) return result;
    end = driver_find(end_handle, KIND_EVENT);
    if (!milliseconds) return driver_leave(CUDA_ERROR_INVALID_VALUE);
    if (!end || !start->issued || !end->issued ||
        ((start->flags | end->flags) & CU_EVENT_DISABLE_TIMING) ||
        start->object.context != end->object.context)
        return driver_leave(CUDA_ERROR_INVALID_HANDLE);
    if (the_driver.finished < start->issued || the_driver.finished < end->issued)
        return driver_leave(CUDA_ERROR_NOT_READY);
    *milliseconds = (float)((double)(int64_t)(end->nanoseconds - start->nanoseconds) * 1e-6);
    return driver_leave(CUDA_SUCCESS);
}

cu_result cuEventElapsedTime(float *milliseconds, cu_event start, cu_event end)
{
    return cuEventElapsedTime_v2(milliseconds, start, end);
}
