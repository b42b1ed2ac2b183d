// SPDX-License-Identifier: MIT
// The clusters of a grid on CPU threads: who runs next, and who is done.
//
// A worker takes a cluster (without clusters: a CTA) that has not started, else one that was
// parked. One that polls memory is parked, so that the one it waits for gets its turn even on one
// thread. Finished CTAs are committed in the order of their indices: their findings and their
// footprint in global memory.
// When all that are left poll, turn after turn, and nobody changes anything, the grid waits for
// what never comes, and the launch ends.
#include "engine.h"
#include "schedule.h"

enum { MAX_PARKED = 4096 };
// Turns without a change after which a CTA counts as stuck, and of the grid in all: long enough for
// a wait that gives up by itself to do so.
enum { QUIET_TURNS = 256, QUIET_TURNS_IN_ALL = 2048 };

static void add_counters(struct ptxm_counters *into, const struct ptxm_counters *from)
{
    uint64_t *a = (uint64_t *)into;
    const uint64_t *b = (const uint64_t *)from;
    for (size_t i = 0; i < sizeof *into / sizeof *a; i++) a[i] += b[i];
}

// Finished CTAs that wait for an earlier one lie in a ring, which grows with the distance to it.
static struct cta **uncommitted(struct grid *grid, uint64_t index)
{
    return &grid->uncommitted[index & (grid->uncommitted_capacity - 1)];
}

static bool reserve_uncommitted(struct grid *grid, uint64_t index)
{
    uint64_t old = grid->uncommitted_capacity, capacity = old ? old : 64;
    while (index - grid->next_commit >= capacity) capacity *= 2;
    if (capacity == old)
        return true;
    struct cta **ring = ptxm_alloc_zero(grid->allocator, capacity * sizeof *ring), **was;
    if (!ring)
        return false;
    was = grid->uncommitted;
    for (uint64_t i = grid->next_commit; i < grid->next_commit + old; i++)
        ring[i & (capacity - 1)] = was[i & (old - 1)];
    ptxm_free(grid->allocator, was);
    grid->uncommitted = ring;
    grid->uncommitted_capacity = capacity;
    return true;
}

static void commit(struct grid *grid, struct cta *cta)
{
    if (!reserve_uncommitted(grid, cta->index)) {
        ptxm_cta_out_of_memory(cta);
        return ptxm_cta_free(cta);
    }
    *uncommitted(grid, cta->index) = cta;
    while (grid->next_commit < grid->cta_count && *uncommitted(grid, grid->next_commit)) {
        struct cta *next = *uncommitted(grid, grid->next_commit);
        *uncommitted(grid, grid->next_commit++) = NULL;
        if (next->shadow && grid->shadow)
            ptxm_shadow_commit(next);
        ptxm_findings_merge(&grid->findings, &next->findings);
        add_counters(&grid->counters, &next->counters);
        ptxm_cta_free(next);
    }
}

static void commit_cluster(struct grid *grid, struct cluster *cluster)
{
    ptxm_engine_free(cluster);
    for (uint32_t i = 0; i < cluster->count; i++) {
        struct cta *cta = cluster->ctas[i];
        if (grid->endless_wait && cta->aborted)
            ptxm_cta_report_endless_wait(cta);
        cluster->ctas[i] = NULL;
        cta->cluster = NULL; // the CTA may wait for earlier ones to be committed
        commit(grid, cta);
    }
    ptxm_cluster_free(cluster);
    grid->finished++;
}

static void park(struct grid *grid, struct cluster *cluster)
{
    cluster->next = NULL;
    if (grid->parked_last)
        grid->parked_last->next = cluster;
    else
        grid->parked = cluster;
    grid->parked_last = cluster;
    grid->parked_count++;
}

static struct cluster *unpark(struct grid *grid)
{
    struct cluster *cluster = grid->parked;
    if (!cluster)
        return NULL;
    grid->parked = cluster->next;
    if (!grid->parked)
        grid->parked_last = NULL;
    grid->parked_count--;
    return cluster;
}

static void note_change(struct grid *grid)
{
    grid->epoch++;
    grid->quiet_turns = grid->stuck = 0;
}

// After a turn of a cluster that polls, with the lock held: true if no cluster can end this.
static bool waits_forever(struct grid *grid, struct cluster *cluster)
{
    bool changed = false;
    for (uint32_t i = 0; i < cluster->count; i++) changed |= cluster->ctas[i]->changed;
    if (changed) {
        note_change(grid);
        return false;
    }
    if (cluster->epoch != grid->epoch)
        cluster->epoch = grid->epoch, cluster->quiet_turns = 0;
    grid->quiet_turns++;
    grid->stuck += ++cluster->quiet_turns == QUIET_TURNS;
    // As on the hardware, the rest of a grid does not start while so many of it are there.
    uint64_t started = grid->parked_count < MAX_PARKED ? grid->cluster_count : grid->next_cluster;
    return grid->stuck == started - grid->finished &&
           grid->quiet_turns >= QUIET_TURNS_IN_ALL;
}

// The next cluster to run, with the lock held; NULL when there is none now. May release the lock.
static struct cluster *take(struct grid *grid, uint64_t *parked_since_start)
{
    bool fresh = grid->next_cluster < grid->cluster_count && !atomic_load(&grid->abort) &&
                 grid->parked_count < MAX_PARKED;
    // Parked clusters take turns with new ones: all of a grid make progress.
    if (grid->parked && (!fresh || ++*parked_since_start % 2 == 0))
        return unpark(grid);
    if (!fresh)
        return NULL;
    uint64_t index =
        ptxm_schedule_cta(grid->options.seed, grid->next_cluster++, grid->cluster_count);
    pthread_mutex_unlock(&grid->lock);
    struct cluster *cluster = ptxm_cluster_create(grid, index);
    pthread_mutex_lock(&grid->lock);
    if (!cluster) {
        atomic_store(&grid->out_of_memory, true);
        atomic_store(&grid->abort, true);
    }
    return cluster;
}

// CTAs behind an aborted one never get their turn to be committed.
static void drop_uncommitted(struct grid *grid)
{
    struct cluster *cluster;
    while ((cluster = unpark(grid))) ptxm_cluster_free(cluster);
    for (uint64_t i = 0; i < grid->uncommitted_capacity; i++) {
        struct cta *cta = *uncommitted(grid, grid->next_commit + i);
        if (!cta)
            continue;
        ptxm_findings_merge(&grid->findings, &cta->findings);
        add_counters(&grid->counters, &cta->counters);
        ptxm_cta_free(cta);
    }
}

static void *worker(void *argument)
{
    struct grid *grid = argument;
    uint64_t turns = 0;
    pthread_mutex_lock(&grid->lock);
    for (;;) {
        struct cluster *cluster = take(grid, &turns);
        if (!cluster) {
            bool more = grid->next_cluster < grid->cluster_count && !atomic_load(&grid->abort);
            if (!grid->running && !grid->parked && !more)
                break;
            if (grid->running && !more)
                pthread_cond_wait(&grid->wake, &grid->lock);
            continue;
        }
        grid->running++;
        pthread_mutex_unlock(&grid->lock);
        enum cta_state state = ptxm_cluster_run(cluster);
        pthread_mutex_lock(&grid->lock);
        grid->running--;
        if (state == CTA_YIELD) {
            park(grid, cluster);
            if (waits_forever(grid, cluster)) {
                grid->endless_wait = true;
                atomic_store(&grid->abort, true);
            }
        } else {
            commit_cluster(grid, cluster);
            note_change(grid);
        }
        pthread_cond_broadcast(&grid->wake);
    }
    pthread_cond_broadcast(&grid->wake);
    pthread_mutex_unlock(&grid->lock);
    return NULL;
}

void ptxm_grid_run(struct grid *grid)
{
    pthread_t threads[64];
    unsigned wanted = grid->options.threads > 64 ? 64 : grid->options.threads, started = 0;
    while (started + 1 < wanted && started + 1 < grid->cluster_count &&
           !pthread_create(&threads[started], NULL, worker, grid))
        started++;
    worker(grid);
    for (unsigned i = 0; i < started; i++) pthread_join(threads[i], NULL);
    drop_uncommitted(grid);
}
