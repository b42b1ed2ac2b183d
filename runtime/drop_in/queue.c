// SPDX-License-Identifier: MIT
// The queue of work and the thread that runs it.
//
// Everything is run in the order in which it was issued: whatever a stream may wait for was issued
// before. Work of a context in which a kernel has failed is dropped, except callbacks that want to
// hear about it.
#include "driver.h"

#include <signal.h>
#include <stdlib.h>

__thread bool driver_in_host_function;

void *driver_work(cu_result (*run)(struct work *work), size_t size)
{
    struct work *work = calloc(1, size);

    if (work) work->run = run;
    return work;
}

static void finish(struct work *work, cu_result result)
{
    struct context *context = driver_find_number(work->context, KIND_CONTEXT);

    if (result && context && !context->error) context->error = result;
    the_driver.finished = work->ticket;
    pthread_cond_broadcast(&the_driver.done);
    free(work);
}

static struct work *take(void)
{
    struct driver *d = &the_driver;
    struct work *work;

    while (!d->first) pthread_cond_wait(&d->more, &d->lock);
    work = d->first;
    d->first = work->next;
    if (!d->first) d->last = NULL;
    return work;
}

static void *worker(void *unused)
{
    struct driver *d = &the_driver;

    pthread_mutex_lock(&d->lock);
    for (;;) {
        struct work *work = take();
        struct context *context = driver_find_number(work->context, KIND_CONTEXT);
        cu_result result = CUDA_SUCCESS;

        work->status = context ? context->error : CUDA_ERROR_CONTEXT_IS_DESTROYED;
        if (!work->status || work->even_after_error) {
            pthread_mutex_unlock(&d->lock);
            result = work->run(work);
            pthread_mutex_lock(&d->lock);
        }
        finish(work, result);
    }
    return NULL;
}

// Signals belong to the host's threads.
bool driver_start_worker(void)
{
    pthread_attr_t attributes;
    sigset_t all, before;
    bool started;

    if (pthread_attr_init(&attributes)) return false;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    started = pthread_create(&the_driver.worker, &attributes, worker, NULL) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return started;
}

cu_result driver_submit(struct context *context, struct stream *stream, void *memory)
{
    struct driver *d = &the_driver;
    struct work *work = memory;

    if (!work) return CUDA_ERROR_OUT_OF_MEMORY;
    work->ticket = ++d->issued;
    work->context = context->object.handle;
    context->issued = work->ticket;
    if (stream) stream->issued = work->ticket;
    if (d->last)
        d->last->next = work;
    else
        d->first = work;
    d->last = work;
    pthread_cond_signal(&d->more);
    return CUDA_SUCCESS;
}

bool driver_has_ended(uint64_t ticket)
{
    bool ended = the_driver.finished >= ticket;

    if (ended && the_driver.told < ticket) the_driver.told = ticket;
    return ended;
}

cu_result driver_wait(struct context *context, uint64_t ticket)
{
    uint64_t handle = context->object.handle;

    while (!driver_has_ended(ticket)) pthread_cond_wait(&the_driver.done, &the_driver.lock);
    context = driver_find_number(handle, KIND_CONTEXT);
    return context ? context->error : CUDA_ERROR_CONTEXT_IS_DESTROYED;
}

cu_result driver_submit_and_wait(struct context *context, struct stream *stream, void *work)
{
    cu_result result = driver_submit(context, stream, work);

    return result ? result : driver_wait(context, context->issued);
}

// Until no work is left, of any context, and none is running: so it stays while the lock is held.
void driver_drain(void)
{
    while (the_driver.finished < the_driver.issued)
        pthread_cond_wait(&the_driver.done, &the_driver.lock);
}
