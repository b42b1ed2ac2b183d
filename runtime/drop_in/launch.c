// SPDX-License-Identifier: MIT
// Launches: what the driver refuses at once, and the work that is left for the queue.
#include "driver.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

struct launch_work {
    struct work work;
    struct ptxm_module *module;
    struct ptxm_launch launch;
    struct ptxm_launch_options options;
    _Alignas(16) unsigned char params[];
};

// What a launch asks for beyond grid, block and shared memory.
struct wishes {
    uint32_t cluster[3]; // 0, 0, 0: not asked for
    bool cooperative;
    bool programmatic;  // may begin before the kernel ahead of it has ended
    cu_event events[2]; // to be recorded; NULL: none
};

static void hear(void *user, const struct ptxm_diagnostic *d)
{
    driver_note("kernel '%s' was not launched: %s", (const char *)user, d->message);
}

static cu_result run_launch(struct work *work)
{
    struct launch_work *w = (struct launch_work *)work;
    struct ptxm_report *report = NULL;
    enum ptxm_status status;
    cu_result result;

    pthread_mutex_lock(&the_driver.machine_lock);
    status = ptxm_launch(the_driver.machine, w->module, &w->launch, hear,
                         (void *)(uintptr_t)w->launch.kernel, &report);
    pthread_mutex_unlock(&the_driver.machine_lock);
    result = driver_judge(&w->launch, report, status);
    ptxm_report_free(report);
    return result;
}

// ---- attributes --------------------------------------------------------------------------------

// Those that steer how a GPU does it, not what: accepted without effect. Grids run one after the
// other, which any program that overlaps them must allow.
static bool is_advice(int id)
{
    return id == CU_LAUNCH_ATTRIBUTE_IGNORE || id == CU_LAUNCH_ATTRIBUTE_ACCESS_POLICY_WINDOW ||
           id == CU_LAUNCH_ATTRIBUTE_SYNCHRONIZATION_POLICY ||
           id == CU_LAUNCH_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE ||
           id == CU_LAUNCH_ATTRIBUTE_PRIORITY || id == CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN_MAP ||
           id == CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN ||
           id == CU_LAUNCH_ATTRIBUTE_PREFERRED_CLUSTER_DIMENSION ||
           id == CU_LAUNCH_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT;
}

static cu_result read_attributes(const cu_launch_config *config, struct wishes *wishes)
{
    if (config->attribute_count && !config->attributes) return CUDA_ERROR_INVALID_VALUE;
    for (unsigned i = 0; i < config->attribute_count; i++) {
        const cu_launch_attribute *a = &config->attributes[i];

        if (a->id == CU_LAUNCH_ATTRIBUTE_COOPERATIVE)
            wishes->cooperative = a->value.integer != 0;
        else if (a->id == CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION)
            memcpy(wishes->cluster, &a->value.cluster, sizeof wishes->cluster);
        else if (a->id == CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION)
            wishes->programmatic = a->value.integer != 0;
        else if (a->id == CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_EVENT)
            wishes->events[0] = a->value.event.event;
        else if (a->id == CU_LAUNCH_ATTRIBUTE_LAUNCH_COMPLETION_EVENT)
            wishes->events[1] = a->value.event.event;
        else if (a->id == CU_LAUNCH_ATTRIBUTE_DEVICE_UPDATABLE_KERNEL_NODE)
            return CUDA_ERROR_NOT_SUPPORTED;
        else if (!is_advice(a->id))
            return CUDA_ERROR_INVALID_VALUE;
    }
    return CUDA_SUCCESS;
}

// The kernel's own cluster, or the function's, stands in for one that the launch does not name.
static cu_result check_cluster(const struct function *function, const cu_launch_config *config,
                               struct wishes *wishes)
{
    const struct ptxm_kernel *kernel = function->info;
    const uint32_t set[3] = {(uint32_t)function->cluster[0], (uint32_t)function->cluster[1],
                             (uint32_t)function->cluster[2]};
    const uint32_t *own = kernel->required_cluster[0] ? kernel->required_cluster : set;
    uint64_t blocks = 1, most = function->nonportable ? 16 : 8;
    bool has_cluster = wishes->cluster[0] || wishes->cluster[1] || wishes->cluster[2];

    if (kernel->explicit_cluster && !has_cluster && !own[0]) return CUDA_ERROR_INVALID_CLUSTER_SIZE;
    if (kernel->max_cluster_rank) most = kernel->max_cluster_rank;
    if (!has_cluster && !own[0] && !own[1] && !own[2]) return CUDA_SUCCESS;
    for (int i = 0; i < 3; i++) {
        if (has_cluster && !wishes->cluster[i]) return CUDA_ERROR_INVALID_CLUSTER_SIZE;
        if (has_cluster && kernel->required_cluster[0] && wishes->cluster[i] != own[i])
            return CUDA_ERROR_INVALID_CLUSTER_SIZE;
        if (!has_cluster) wishes->cluster[i] = own[i] ? own[i] : 1;
        if (config->grid[i] % wishes->cluster[i]) return CUDA_ERROR_INVALID_CLUSTER_SIZE;
        blocks *= wishes->cluster[i];
        if (blocks > most) return CUDA_ERROR_INVALID_CLUSTER_SIZE;
    }
    if (blocks > 1 && the_driver.settings.model.sm < 90) return CUDA_ERROR_NOT_SUPPORTED;
    return CUDA_SUCCESS;
}

// Events for when the blocks have begun, or triggered: the end of the grid is late enough.
static cu_result check_events(const struct context *context, const struct wishes *wishes)
{
    for (int i = 0; i < 2; i++) {
        struct event *event = driver_find(wishes->events[i], KIND_EVENT);

        if (!wishes->events[i]) continue;
        if (!event || event->object.context != context) return CUDA_ERROR_INVALID_HANDLE;
        if (!(event->flags & CU_EVENT_DISABLE_TIMING)) return CUDA_ERROR_INVALID_VALUE;
    }
    return CUDA_SUCCESS;
}

static cu_result record_events(struct stream *stream, const struct wishes *wishes)
{
    cu_result result = CUDA_SUCCESS;

    for (int i = 0; i < 2 && !result; i++)
        if (wishes->events[i])
            result = driver_record(driver_find(wishes->events[i], KIND_EVENT), stream);
    return result;
}

// ---- shape -------------------------------------------------------------------------------------

static cu_result check_shape(const struct function *function, const cu_launch_config *config)
{
    static const unsigned blocks[3] = {INT_MAX, 65535, 65535}, threads[3] = {1024, 1024, 64};
    const uint32_t *exact = function->info->required_threads;
    uint64_t total = 1;
    int allowed;

    for (int i = 0; i < 3; i++) {
        if (!config->grid[i] || config->grid[i] > blocks[i]) return CUDA_ERROR_INVALID_VALUE;
        if (!config->block[i] || config->block[i] > threads[i]) return CUDA_ERROR_INVALID_VALUE;
        if (exact[0] && config->block[i] != exact[i]) return CUDA_ERROR_INVALID_VALUE;
        total *= config->block[i];
    }
    if (total > 1024) return CUDA_ERROR_INVALID_VALUE;
    if (total > (uint64_t)driver_threads_limit(function)) return CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES;
    driver_function_get(function, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, &allowed);
    if (config->shared_bytes > (unsigned)allowed || driver_shared_limit(function) < 0)
        return CUDA_ERROR_INVALID_VALUE;
    return CUDA_SUCCESS;
}

static cu_result check_cooperative(const struct function *function, const cu_launch_config *config)
{
    uint64_t threads = (uint64_t)config->block[0] * config->block[1] * config->block[2];
    uint64_t blocks = (uint64_t)config->grid[0] * config->grid[1] * config->grid[2];
    uint64_t at_once = (uint64_t)driver_occupancy(function, (int)threads, config->shared_bytes) *
                       (uint64_t)the_driver.settings.model.multiprocessors;

    return blocks > at_once ? CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE : CUDA_SUCCESS;
}

// ---- parameters --------------------------------------------------------------------------------

// `extra`: pairs of a tag and a value, up to a NULL.
static cu_result read_extra(void **extra, const void **buffer, size_t *size)
{
    const size_t *given = NULL;

    *buffer = NULL;
    for (; *extra; extra += 2) {
        if (*extra == (void *)CU_LAUNCH_PARAM_BUFFER_POINTER_AS_INT)
            *buffer = extra[1];
        else if (*extra == (void *)CU_LAUNCH_PARAM_BUFFER_SIZE_AS_INT)
            given = extra[1];
        else
            return CUDA_ERROR_INVALID_VALUE;
    }
    *size = given ? *given : 0;
    return *buffer && given ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static cu_result copy_params(const struct ptxm_kernel *kernel, void **params, void **extra,
                             unsigned char *to)
{
    const void *buffer;
    size_t size;
    cu_result result;

    if (params && extra) return CUDA_ERROR_INVALID_VALUE;
    if (!kernel->param_count) return CUDA_SUCCESS;
    if (extra) {
        result = read_extra(extra, &buffer, &size);
        if (result) return result;
        if (size < kernel->param_bytes) return CUDA_ERROR_INVALID_VALUE;
        memcpy(to, buffer, kernel->param_bytes);
        return CUDA_SUCCESS;
    }
    if (!params) return CUDA_ERROR_INVALID_VALUE;
    for (size_t i = 0; i < kernel->param_count; i++) {
        if (!params[i]) return CUDA_ERROR_INVALID_VALUE;
        memcpy(to + kernel->params[i].offset, params[i], kernel->params[i].size);
    }
    return CUDA_SUCCESS;
}

// ---- launching ---------------------------------------------------------------------------------

static struct launch_work *make_work(const struct function *function,
                                     const cu_launch_config *config, const struct wishes *wishes)
{
    const struct ptxm_kernel *kernel = function->info;
    struct launch_work *w = driver_work(run_launch, sizeof *w + kernel->param_bytes);

    if (!w) return NULL;
    w->module = function->module->machine;
    w->options = the_driver.settings.launch;
    w->launch.kernel = kernel->name;
    memcpy(w->launch.grid, config->grid, sizeof w->launch.grid);
    memcpy(w->launch.block, config->block, sizeof w->launch.block);
    memcpy(w->launch.cluster, wishes->cluster, sizeof w->launch.cluster);
    w->launch.dynamic_shared = config->shared_bytes;
    w->launch.params = w->params;
    w->launch.param_bytes = kernel->param_bytes;
    w->launch.options = &w->options;
    return w;
}

// Where the launch belongs in the order of its stream. It may begin early only behind a kernel that
// is the last piece of work there, and of whose end the host has not been told.
static void place_in_stream(struct launch_work *w, struct context *context, struct stream *stream,
                            bool early)
{
    uint64_t issued = stream ? stream->issued : context->issued;
    uint64_t *launched = stream ? &stream->launched : &context->launched;

    w->launch.stream = stream ? stream->object.handle : context->object.handle;
    w->launch.programmatic = early && *launched && *launched == issued && issued > the_driver.told;
    w->options.dependents = true;
    *launched = the_driver.issued + 1;
}

static cu_result check(const struct function *function, const cu_launch_config *config,
                       struct wishes *wishes)
{
    cu_result result = read_attributes(config, wishes);

    if (!result) result = check_shape(function, config);
    if (!result) result = check_cluster(function, config, wishes);
    if (!result && wishes->cooperative) result = check_cooperative(function, config);
    return result;
}

static cu_result launch(const cu_launch_config *config, cu_function handle, void **params,
                        void **extra, struct wishes wishes)
{
    struct context *context;
    cu_result result = driver_enter_context(&context);
    struct function *function;
    struct stream *stream;
    struct launch_work *work;

    if (result) return result;
    function = driver_find_function(handle);
    if (!function || !driver_stream(context, config->stream, &stream))
        return driver_leave(CUDA_ERROR_INVALID_HANDLE);
    if (stream && stream->object.context->error) return driver_leave(stream->object.context->error);
    if (stream) context = stream->object.context;
    result = check(function, config, &wishes);
    if (!result) result = check_events(context, &wishes);
    if (result) return driver_leave(result);
    work = make_work(function, config, &wishes);
    if (!work) return driver_leave(CUDA_ERROR_OUT_OF_MEMORY);
    result = copy_params(function->info, params, extra, work->params);
    if (result) {
        free(work);
        return driver_leave(result);
    }
    place_in_stream(work, context, stream, wishes.programmatic);
    result = driver_submit(context, stream, work);
    if (!result) result = record_events(stream, &wishes);
    if (!result && the_driver.settings.blocking) result = driver_wait(context, context->issued);
    return driver_leave(result);
}

cu_result cuLaunchKernelEx(const cu_launch_config *config, cu_function function, void **params,
                           void **extra)
{
    if (!config) return CUDA_ERROR_INVALID_VALUE;
    return launch(config, function, params, extra, (struct wishes){0});
}
ALSO(cuLaunchKernelEx, cuLaunchKernelEx_ptsz);

cu_result cuLaunchKernel(cu_function function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                         unsigned block_x, unsigned block_y, unsigned block_z,
                         unsigned shared_bytes, cu_stream stream, void **params, void **extra)
{
    const cu_launch_config config = {.grid = {grid_x, grid_y, grid_z},
                                     .block = {block_x, block_y, block_z},
                                     .shared_bytes = shared_bytes,
                                     .stream = stream};

    return launch(&config, function, params, extra, (struct wishes){0});
}
ALSO(cuLaunchKernel, cuLaunchKernel_ptsz);

cu_result cuLaunchCooperativeKernel(cu_function function, unsigned grid_x, unsigned grid_y,
                                    unsigned grid_z, unsigned block_x, unsigned block_y,
                                    unsigned block_z, unsigned shared_bytes, cu_stream stream,
                                    void **params)
{
    const cu_launch_config config = {.grid = {grid_x, grid_y, grid_z},
                                     .block = {block_x, block_y, block_z},
                                     .shared_bytes = shared_bytes,
                                     .stream = stream};

    return launch(&config, function, params, NULL, (struct wishes){.cooperative = true});
}
ALSO(cuLaunchCooperativeKernel, cuLaunchCooperativeKernel_ptsz);
