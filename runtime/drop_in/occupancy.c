// SPDX-License-Identifier: MIT
// How many blocks of a kernel a multiprocessor of the modelled device holds at once: by threads,
// blocks and shared memory. Registers do not count: the machine knows none (see function.c).
#include "driver.h"

enum { RESERVED_SHARED = 1024, SHARED_GRANULE = 128, WARP = 32 };

static size_t round_up(size_t value, size_t granule)
{
    return (value + granule - 1) / granule * granule;
}

int driver_occupancy(const struct function *function, int threads, size_t dynamic_shared)
{
    const struct model *m = &the_driver.settings.model;
    size_t shared, blocks = (size_t)m->blocks;
    size_t by_threads = (size_t)m->threads / round_up((size_t)threads, WARP);

    if (threads > driver_threads_limit(function) || dynamic_shared > SIZE_MAX / 2) return 0;
    shared = round_up(function->info->static_shared + dynamic_shared, SHARED_GRANULE);
    if (shared > (size_t)(m->shared_kib - 1) * 1024) return 0;
    if (by_threads < blocks) blocks = by_threads;
    shared = (size_t)m->shared_kib * 1024 / (shared + RESERVED_SHARED);
    return (int)(shared < blocks ? shared : blocks);
}

static cu_result enter_function(cu_function handle, const void *out, struct function **function)
{
    struct context *context;
    cu_result result = driver_enter_context(&context);

    if (result) return result;
    if (!out) return driver_leave(CUDA_ERROR_INVALID_VALUE);
    *function = driver_find_function(handle);
    return *function ? CUDA_SUCCESS : driver_leave(CUDA_ERROR_INVALID_HANDLE);
}

cu_result cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int *blocks, cu_function handle,
                                                               int threads, size_t dynamic_shared,
                                                               unsigned flags)
{
    struct function *function;
    cu_result result = enter_function(handle, blocks, &function);

    if (result) return result;
    if (threads <= 0 || flags > CU_OCCUPANCY_DISABLE_CACHING_OVERRIDE)
        return driver_leave(CUDA_ERROR_INVALID_VALUE);
    *blocks = driver_occupancy(function, threads, dynamic_shared);
    return driver_leave(CUDA_SUCCESS);
}

cu_result cuOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, cu_function function,
                                                      int threads, size_t dynamic_shared)
{
    return cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(blocks, function, threads,
                                                                dynamic_shared, 0);
}

// The largest block that fills a multiprocessor best. The host's function is asked without the
// lock.
cu_result cuOccupancyMaxPotentialBlockSizeWithFlags(int *grid, int *block, cu_function handle,
                                                    cu_shared_of_block shared_of, size_t shared,
                                                    int limit, unsigned flags)
{
    struct function *function;
    cu_result result = enter_function(handle, grid && block ? grid : NULL, &function);
    int most, best = 0, best_threads = 0, blocks;

    if (result) return result;
    most = driver_threads_limit(function);
    if (limit > 0 && limit < most) most = limit;
    driver_leave(CUDA_SUCCESS);
    for (int threads = (int)round_up((size_t)most, WARP); threads > 0; threads -= WARP) {
        int tried = threads < most ? threads : most;

        result = cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(
            &blocks, handle, tried, shared_of ? shared_of(tried) : shared, flags);
        if (result) return result;
        if (blocks * tried <= best) continue;
        best = blocks * tried;
        best_threads = tried;
    }
    if (!best) return CUDA_ERROR_INVALID_VALUE;
    *block = best_threads;
    *grid = best / best_threads * the_driver.settings.model.multiprocessors;
    return CUDA_SUCCESS;
}

cu_result cuOccupancyMaxPotentialBlockSize(int *grid, int *block, cu_function function,
                                           cu_shared_of_block shared_of, size_t shared, int limit)
{
    return cuOccupancyMaxPotentialBlockSizeWithFlags(grid, block, function, shared_of, shared,
                                                     limit, 0);
}

cu_result cuOccupancyAvailableDynamicSMemPerBlock(size_t *bytes, cu_function handle, int blocks,
                                                  int threads)
{
    const struct model *m = &the_driver.settings.model;
    struct function *function;
    cu_result result = enter_function(handle, bytes, &function);
    size_t each, used;

    if (result) return result;
    if (blocks <= 0 || threads <= 0 || driver_occupancy(function, threads, 0) < blocks)
        return driver_leave(CUDA_ERROR_INVALID_VALUE);
    each = (size_t)m->shared_kib * 1024 / (size_t)blocks / SHARED_GRANULE * SHARED_GRANULE;
    used = function->info->static_shared + RESERVED_SHARED;
    if (each > (size_t)m->shared_kib * 1024) each = (size_t)m->shared_kib * 1024;
    *bytes = each > used ? each - used : 0;
    return driver_leave(CUDA_SUCCESS);
}

// ---- clusters ----------------------------------------------------------------------------------

enum { PORTABLE_CLUSTER = 8, LARGEST_CLUSTER = 16 };

static bool threads_of(const cu_launch_config *config, uint64_t *threads)
{
    *threads = config ? (uint64_t)config->block[0] * config->block[1] * config->block[2] : 0;
    return *threads && *threads <= 1024;
}

// Blocks that the device holds at once.
static uint64_t at_once(const struct function *function, const cu_launch_config *config,
                        uint64_t threads)
{
    return (uint64_t)driver_occupancy(function, (int)threads, config->shared_bytes) *
           (uint64_t)the_driver.settings.model.multiprocessors;
}

cu_result cuOccupancyMaxPotentialClusterSize(int *size, cu_function handle,
                                             const cu_launch_config *config)
{
    struct function *function;
    cu_result result = enter_function(handle, size, &function);
    uint64_t threads;

    if (result) return result;
    if (!threads_of(config, &threads)) return driver_leave(CUDA_ERROR_INVALID_VALUE);
    if (the_driver.settings.model.sm < 90) return driver_leave(CUDA_ERROR_NOT_SUPPORTED);
    *size = function->nonportable ? LARGEST_CLUSTER : PORTABLE_CLUSTER;
    if (function->info->max_cluster_rank) *size = (int)function->info->max_cluster_rank;
    if (!at_once(function, config, threads)) *size = 0;
    return driver_leave(CUDA_SUCCESS);
}

// The cluster of the configuration's attributes, or of the kernel; else one of a single block.
static uint64_t cluster_blocks(const struct function *function, const cu_launch_config *config)
{
    const uint32_t *own = function->info->required_cluster;
    uint64_t blocks = own[0] ? (uint64_t)own[0] * own[1] * own[2] : 1;

    for (unsigned i = 0; config->attributes && i < config->attribute_count; i++) {
        const cu_launch_attribute *a = &config->attributes[i];

        if (a->id == CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION)
            blocks = (uint64_t)a->value.cluster.x * a->value.cluster.y * a->value.cluster.z;
    }
    return blocks;
}

cu_result cuOccupancyMaxActiveClusters(int *clusters, cu_function handle,
                                       const cu_launch_config *config)
{
    struct function *function;
    cu_result result = enter_function(handle, clusters, &function);
    uint64_t threads, blocks;

    if (result) return result;
    if (!threads_of(config, &threads)) return driver_leave(CUDA_ERROR_INVALID_VALUE);
    if (the_driver.settings.model.sm < 90) return driver_leave(CUDA_ERROR_NOT_SUPPORTED);
    blocks = cluster_blocks(function, config);
    if (!blocks || blocks > LARGEST_CLUSTER) return driver_leave(CUDA_ERROR_INVALID_CLUSTER_SIZE);
    *clusters = (int)(at_once(function, config, threads) / blocks);
    return driver_leave(CUDA_SUCCESS);
}
