// SPDX-License-Identifier: MIT
// Streams, events, host functions. All work runs in the order in which it was issued, so a stream
// is a place in the queue, and waiting for an event in a stream needs nothing.
#include "driver.h"

#include <stdlib.h>
#include <time.h>

enum { LOWEST_PRIORITY = 0, HIGHEST_PRIORITY = -5, SPECIAL_STREAMS = 2 };

bool driver_stream(struct context *context, cu_stream handle, struct stream **stream)
{
    *stream = NULL;
    if ((uintptr_t)handle <= SPECIAL_STREAMS) return true;
    *stream = driver_find(handle, KIND_STREAM);
    return *stream != NULL;
}

static cu_result enter_stream(cu_stream handle, struct context **context, struct stream **stream)
{
    cu_result result = driver_enter_context(context);

    if (result) return result;
    if (!driver_stream(*context, handle, stream)) return driver_leave(CUDA_ERROR_INVALID_HANDLE);
    if (*stream && (*stream)->object.context->error)
        return driver_leave((*stream)->object.context->error);
    return CUDA_SUCCESS;
}

// The context whose work is meant: the stream's own.
static struct context *context_of(struct context *context, struct stream *stream)
{
    return stream ? stream->object.context : context;
}

// ---- streams -----------------------------------------------------------------------------------

cu_result cuStreamCreateWithPriority(cu_stream *handle, unsigned flags, int priority)
{
    struct context *context;
    cu_result result = driver_enter_context(&context);
    struct stream *stream;

    if (result) return result;
    if (!handle || (flags & ~(unsigned)CU_STREAM_NON_BLOCKING))
        return driver_leave(CUDA_ERROR_INVALID_VALUE);
    stream = driver_new(KIND_STREAM, sizeof *stream, context);
    if (!stream) return driver_leave(CUDA_ERROR_OUT_OF_MEMORY);
    stream->flags = flags;
    stream->priority = priority > LOWEST_PRIORITY    ? LOWEST_PRIORITY
                       : priority < HIGHEST_PRIORITY ? HIGHEST_PRIORITY
                                                     : priority;
    *handle = HANDLE_OF(cu_stream, stream);
    return driver_leave(CUDA_SUCCESS);
}

cu_result cuStreamCreate(cu_stream *handle, unsigned flags)
{
    return cuStreamCreateWithPriority(handle, flags, LOWEST_PRIORITY);
}

// Its work goes on.
cu_result cuStreamDestroy_v2(cu_stream handle)
{
    cu_result result = driver_enter();
    struct stream *stream;

    if (result) return result;
    stream = driver_find(handle, KIND_STREAM);
    if (stream) driver_delete(stream);
    return driver_leave(stream ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE);
}

cu_result cuStreamQuery(cu_stream handle)
{
    struct context *context;
    struct stream *stream;
    cu_result result = enter_stream(handle, &context, &stream);
    uint64_t issued;

    if (result) return result;
    issued = stream ? stream->issued : context->issued;
    return driver_leave(driver_has_ended(issued) ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY);
}
ALSO(cuStreamQuery, cuStreamQuery_ptsz);

cu_result cuStreamSynchronize(cu_stream handle)
{
    struct context *context;
    struct stream *stream;
    cu_result result = enter_stream(handle, &context, &stream);

    if (result) return result;
    return driver_leave(
        driver_wait(context_of(context, stream), stream ? stream->issued : context->issued));
}
ALSO(cuStreamSynchronize, cuStreamSynchronize_ptsz);

cu_result cuStreamGetPriority(cu_stream handle, int *priority)
{
    struct context *context;
    struct stream *stream;
    cu_result result = enter_stream(handle, &context, &stream);

    if (result) return result;
    if (!priority) return driver_leave(CUDA_ERROR_INVALID_VALUE);
    *priority = stream ? stream->priority : LOWEST_PRIORITY;
    return driver_leave(CUDA_SUCCESS);
}
ALSO(cuStreamGetPriority, cuStreamGetPriority_ptsz);

cu_result cuStreamGetFlags(cu_stream handle, unsigned *flags)
{
    struct context *context;
    struct stream *stream;
    cu_result result = enter_stream(handle, &context, &stream);

    if (result) return result;
    if (!flags) return driver_leave(CUDA_ERROR_INVALID_VALUE);
    *flags = stream ? stream->flags : 0;
    return driver_leave(CUDA_SUCCESS);
}
ALSO(cuStreamGetFlags, cuStreamGetFlags_ptsz);

cu_result cuStreamGetDevice(cu_stream handle, cu_device *device)
{
    struct context *context;
    struct stream *stream;
    cu_result result = enter_stream(handle, &context, &stream);

    if (result) return result;
    if (!device) return driver_leave(CUDA_ERROR_INVALID_VALUE);
    *device = 0;
    return driver_leave(CUDA_SUCCESS);
}
ALSO(cuStreamGetDevice, cuStreamGetDevice_ptsz);

cu_result cuStreamGetId(cu_stream handle, unsigned long long *id)
{
    struct context *context;
    struct stream *stream;
    cu_result result = enter_stream(handle, &context, &stream);

    if (result) return result;
    if (!id) return driver_leave(CUDA_ERROR_INVALID_VALUE);
    *id = stream ? stream->object.handle : (unsigned long long)(uintptr_t)handle;
    return driver_leave(CUDA_SUCCESS);
}
ALSO(cuStreamGetId, cuStreamGetId_ptsz);

cu_result cuStreamGetCtx(cu_stream handle, cu_context *out)
{
    struct context *context;
    struct stream *stream;
    cu_result result = enter_stream(handle, &context, &stream);

    if (result) return result;
    if (!out) return driver_leave(CUDA_ERROR_INVALID_VALUE);
    *out = HANDLE_OF(cu_context, context_of(context, stream));
    return driver_leave(CUDA_SUCCESS);
}
ALSO(cuStreamGetCtx, cuStreamGetCtx_ptsz);

// ---- capturing: never --------------------------------------------------------------------------

cu_result cuStreamIsCapturing(cu_stream handle, cu_capture_status *status)
{
    struct context *context;
    struct stream *stream;
    cu_result result = enter_stream(handle, &context, &stream);

    if (result) return result;
    if (!status) return driver_leave(CUDA_ERROR_INVALID_VALUE);
    *status = CU_STREAM_CAPTURE_STATUS_NONE;
    return driver_leave(CUDA_SUCCESS);
}
ALSO(cuStreamIsCapturing, cuStreamIsCapturing_ptsz);

cu_result cuStreamGetCaptureInfo_v2(cu_stream handle, cu_capture_status *status, uint64_t *id,
                                    cu_graph *graph, const cu_graph_node **nodes, size_t *count)
{
    cu_result result = cuStreamIsCapturing(handle, status);

    if (result) return result;
    if (id) *id = 0;
    if (graph) *graph = NULL;
    if (nodes) *nodes = NULL;
    if (count) *count = 0;
    return CUDA_SUCCESS;
}
ALSO(cuStreamGetCaptureInfo_v2, cuStreamGetCaptureInfo_v2_ptsz);

cu_result cuStreamGetCaptureInfo_v3(cu_stream handle, cu_capture_status *status, uint64_t *id,
                                    cu_graph *graph, const cu_graph_node **nodes,
                                    const cu_graph_edge **edges, size_t *count)
{
    cu_result result = cuStreamGetCaptureInfo_v2(handle, status, id, graph, nodes, count);

    if (!result && edges) *edges = NULL;
    return result;
}
ALSO(cuStreamGetCaptureInfo_v3, cuStreamGetCaptureInfo_v3_ptsz);

// ---- attributes of streams ---------------------------------------------------------------------

static bool is_stream_attribute(int id)
{
    return id == CU_LAUNCH_ATTRIBUTE_ACCESS_POLICY_WINDOW ||
           id == CU_LAUNCH_ATTRIBUTE_SYNCHRONIZATION_POLICY || id == CU_LAUNCH_ATTRIBUTE_PRIORITY ||
           id == CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN_MAP ||
           id == CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN;
}

cu_result cuStreamGetAttribute(cu_stream handle, cu_launch_attribute_id id,
                               cu_launch_attribute_value *value)
{
    struct context *context;
    struct stream *stream;
    cu_result result = enter_stream(handle, &context, &stream);

    if (result) return result;
    if (!value || !is_stream_attribute(id)) return driver_leave(CUDA_ERROR_INVALID_VALUE);
    *value = (cu_launch_attribute_value){0};
    if (id == CU_LAUNCH_ATTRIBUTE_PRIORITY) value->integer = stream ? stream->priority : 0;
    return driver_leave(CUDA_SUCCESS);
}
ALSO(cuStreamGetAttribute, cuStreamGetAttribute_ptsz);

// Advice for the hardware: only the priority is kept.
cu_result cuStreamSetAttribute(cu_stream handle, cu_launch_attribute_id id,
                               const cu_launch_attribute_value *value)
{
    struct context *context;
    struct stream *stream;
    cu_result result = enter_stream(handle, &context, &stream);

    if (result) return result;
    if (!value || !is_stream_attribute(id)) return driver_leave(CUDA_ERROR_INVALID_VALUE);
    if (id == CU_LAUNCH_ATTRIBUTE_PRIORITY && stream) stream->priority = value->integer;
    return driver_leave(CUDA_SUCCESS);
}
ALSO(cuStreamSetAttribute, cuStreamSetAttribute_ptsz);

cu_result cuStreamCopyAttributes(cu_stream to_handle, cu_stream from_handle)
{
    struct context *context;
    struct stream *to, *from;
    cu_result result = enter_stream(to_handle, &context, &to);

    if (result) return result;
    if (!driver_stream(context, from_handle, &from)) return driver_leave(CUDA_ERROR_INVALID_HANDLE);
    if (to && from) to->priority = from->priority;
    return driver_leave(CUDA_SUCCESS);
}
ALSO(cuStreamCopyAttributes, cuStreamCopyAttributes_ptsz);

// ---- host functions ----------------------------------------------------------------------------

struct host_work {
    struct work work;
    cu_host_function function;
    cu_stream_callback callback;
    cu_stream stream;
    void *user;
};

// Runs in the queue's thread, without a lock; it must not call the driver, and is refused.
static cu_result run_host(struct work *work)
{
    struct host_work *w = (struct host_work *)work;

    driver_in_host_function = true;
    if (w->callback)
        w->callback(w->stream, work->status, w->user);
    else
        w->function(w->user);
    driver_in_host_function = false;
    return CUDA_SUCCESS;
}

static cu_result submit_host(cu_stream handle, struct host_work contents)
{
    struct context *context;
    struct stream *stream;
    cu_result result = enter_stream(handle, &context, &stream);
    struct host_work *work;

    if (result) return result;
    work = driver_work(run_host, sizeof *work);
    if (!work) return driver_leave(CUDA_ERROR_OUT_OF_MEMORY);
    work->function = contents.function;
    work->callback = contents.callback;
    work->work.even_after_error = contents.callback != NULL;
    work->stream = handle;
    work->user = contents.user;
    return driver_leave(driver_submit(context_of(context, stream), stream, work));
}

cu_result cuLaunchHostFunc(cu_stream stream, cu_host_function function, void *user)
{
    if (!function) return CUDA_ERROR_INVALID_VALUE;
    return submit_host(stream, (struct host_work){.function = function, .user = user});
}
ALSO(cuLaunchHostFunc, cuLaunchHostFunc_ptsz);

cu_result cuStreamAddCallback(cu_stream stream, cu_stream_callback callback, void *user,
                              unsigned flags)
{
    if (!callback || flags) return CUDA_ERROR_INVALID_VALUE;
    return submit_host(stream, (struct host_work){.callback = callback, .user = user});
}
ALSO(cuStreamAddCallback, cuStreamAddCallback_ptsz);
