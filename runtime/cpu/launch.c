// SPDX-License-Identifier: MIT
// ptxm_launch: checks the arguments, lays out shared memory, runs the CTAs on CPU threads, and
// makes the report.
//
// A worker takes a cluster (without clusters: a CTA) that has not started, else one that was
// parked. One that polls memory is parked, so that the one it waits for gets its turn even on one
// thread. Finished CTAs are committed in the order of their indices: their findings and their
// footprint in global memory.
// When all that are left poll, turn after turn, and nobody changes anything, the grid waits for
// what never comes, and the launch ends.
#include "engine.h"
#include "profile.h"
#include "schedule.h"
#include "where.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_SHARED = 227 * 1024, MAX_LOCAL = 4 << 20, MAX_PARKED = 4096 };
// Turns without a change after which a CTA counts as stuck, and of the grid in all: long enough for
// a wait that gives up by itself to do so.
enum { QUIET_TURNS = 256, QUIET_TURNS_IN_ALL = 2048 };

struct complaints {
    ptxm_diagnostic_fn *fn;
    void *user;
};

static enum ptxm_status complain(const struct complaints *c, const char *format, ...)
{
    char message[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    struct ptxm_diagnostic d = {0, 0, message, ""};
    if (c->fn)
        c->fn(c->user, &d);
    return PTXM_ERROR_ARGUMENT;
}

static enum ptxm_status refuse(const struct complaints *c, const struct ptxm_kernel *k)
{
    struct ptxm_diagnostic d = {k->refused_line, 1, k->refused, ""};
    if (c->fn)
        c->fn(c->user, &d);
    return PTXM_ERROR_PARSE;
}

static enum ptxm_status check_shape(const struct ptxm_launch *l, const struct ptxm_kernel *k,
                                    const struct complaints *c)
{
    uint64_t threads = 1, ctas = 1, most = 1;
    static const uint32_t limits[3] = {1024, 1024, 64};
    for (int i = 0; i < 3; i++) {
        if (!l->grid[i] || !l->block[i])
            return complain(c, "grid and block sizes must not be zero");
        if (l->block[i] > limits[i])
            return complain(c, "the block has %u threads along %c, at most %u are legal",
                            l->block[i], 'x' + i, limits[i]);
        if (i && l->grid[i] > 65535)
            return complain(c, "the grid has %u CTAs along %c, at most 65535 are legal", l->grid[i],
                            'x' + i);
        threads *= l->block[i];
        ctas *= l->grid[i];
        most *= k->max_threads[i];
        if (k->required_threads[0] && k->required_threads[i] != l->block[i])
            return complain(c, "the kernel needs a block of %u,%u,%u", k->required_threads[0],
                            k->required_threads[1], k->required_threads[2]);
    }
    if (threads > 1024)
        return complain(c, "%llu threads are more than 1024", (unsigned long long)threads);
    if (k->max_threads[0] && threads > most)
        return complain(c, "the kernel allows %llu threads, the launch has %llu",
                        (unsigned long long)most, (unsigned long long)threads);
    if (ctas > (uint64_t)1 << 28)
        return complain(c, "%llu CTAs are too many", (unsigned long long)ctas);
    if (l->param_bytes < k->param_bytes || (k->param_bytes && !l->params))
        return complain(c, "the kernel has %zu bytes of parameters, the launch gives %zu",
                        k->param_bytes, l->param_bytes);
    return PTXM_OK;
}

// The launch's cluster, or the kernel's, or one CTA.
static void cluster_shape(const struct ptxm_launch *l, const struct ptxm_kernel *k,
                          uint32_t shape[3])
{
    const uint32_t *from = l->cluster[0] ? l->cluster : k->required_cluster;
    for (int i = 0; i < 3; i++) shape[i] = from[i] ? from[i] : 1;
}

static enum ptxm_status check_cluster(const struct ptxm_launch *l, const struct ptxm_kernel *k,
                                      const struct complaints *c)
{
    uint32_t shape[3], most = k->max_cluster_rank ? k->max_cluster_rank : MAX_CLUSTER;
    uint64_t count = 1;
    cluster_shape(l, k, shape);
    for (int i = 0; i < 3; i++) {
        count *= shape[i] > MAX_CLUSTER ? MAX_CLUSTER + 1 : shape[i];
        if (k->required_cluster[0] && k->required_cluster[i] != shape[i])
            return complain(c, "the kernel needs clusters of %u,%u,%u", k->required_cluster[0],
                            k->required_cluster[1], k->required_cluster[2]);
        if (l->grid[i] % shape[i])
            return complain(c, "the grid has %u CTAs along %c, no multiple of the cluster's %u",
                            l->grid[i], 'x' + i, shape[i]);
    }
    if (count > most)
        return complain(c, "a cluster of more than %u CTAs", most);
    if (k->explicit_cluster && !l->cluster[0] && !k->required_cluster[0])
        return complain(c, "the kernel is .explicitcluster: the launch must say its clusters");
    return PTXM_OK;
}

static void set_clusters(struct grid *grid, const struct ptxm_launch *l)
{
    const struct ptxm_kernel *k = &grid->kernel->info;
    cluster_shape(l, k, grid->cluster_dims);
    grid->explicit_cluster = l->cluster[0] || k->required_cluster[0];
    grid->cluster_count = grid->cta_count / grid->cluster_dims[0] / grid->cluster_dims[1] /
                          grid->cluster_dims[2];
}

// ---- layout -------------------------------------------------------------------------------------

static uint64_t round_up(uint64_t value, uint64_t align)
{
    return (value + align - 1) & ~(align - 1);
}

static uint64_t dynamic_base(const struct ptxm_module *m, const struct function *kernel)
{
    uint64_t align = 16;
    for (const struct variable *v = m->variables; v; v = v->next)
        if (v->space == SPACE_SHARED && v->is_extern && v->align > align)
            align = v->align;
    return round_up(SHARED_START + kernel->info.static_shared, align);
}

static uint64_t symbol_address(const struct grid *grid, const struct instance *instance,
                               const struct relocation *r)
{
    const struct variable *v = r->symbol;
    if (!v)
        return ((uint64_t)r->function->index + 1) << 4;
    switch (v->space) {
    case SPACE_SHARED:
        return (v->is_extern ? grid->shared_size - grid->dynamic_shared : v->offset) +
               (r->generic ? WINDOW_SHARED : 0);
    case SPACE_PARAM: return v->offset + (r->generic ? WINDOW_PARAM : 0);
    case SPACE_LOCAL:
    case SPACE_FRAME_PARAM:
        return ptxm_frame_offset(v) + (r->generic ? WINDOW_LOCAL : 0);
    default:
        for (size_t i = 0; i < instance->place_count; i++)
            if (instance->places[i].variable == v)
                return instance->places[i].address;
        return 0;
    }
}

static enum ptxm_status make_constants(struct grid *grid)
{
    struct instance *instance;
    struct ptxm_module *m = grid->module;
    enum ptxm_status status = ptxm_device_instance(grid->device, m, &instance);
    if (status != PTXM_OK)
        return status;
    grid->constants = ptxm_alloc(grid->allocator, m->constant_bytes + 64);
    if (!grid->constants)
        return PTXM_ERROR_MEMORY;
    if (m->constant_bytes)
        memcpy(grid->constants, m->constants, m->constant_bytes);
    for (size_t i = 0; i < m->relocation_count; i++) {
        const struct relocation *r = &m->relocations[i];
        if (r->within)
            continue;
        uint64_t value = symbol_address(grid, instance, r) + (uint64_t)r->addend;
        for (unsigned lane = 0; lane < LANES; lane++)
            memcpy(grid->constants + r->offset + (size_t)lane * r->bytes, &value, r->bytes);
    }
    return PTXM_OK;
}

// ---- workers ------------------------------------------------------------------------------------

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

static void run_workers(struct grid *grid)
{
    pthread_t threads[64];
    unsigned wanted = grid->options.threads > 64 ? 64 : grid->options.threads, started = 0;
    while (started + 1 < wanted && started + 1 < grid->cluster_count &&
           !pthread_create(&threads[started], NULL, worker, grid))
        started++;
    worker(grid);
    for (unsigned i = 0; i < started; i++) pthread_join(threads[i], NULL);
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

// ---- report -------------------------------------------------------------------------------------

static int by_place(const void *left, const void *right)
{
    const struct ptxm_finding *a = left, *b = right;
    if (a->severity != b->severity)
        return a->severity < b->severity ? -1 : 1;
    if (a->a.line != b->a.line)
        return a->a.line < b->a.line ? -1 : 1;
    if (a->b.line != b->b.line)
        return a->b.line < b->b.line ? -1 : 1;
    return strcmp(a->rule, b->rule);
}

// ---- memory -------------------------------------------------------------------------------------

// Whatever of a launch asks for memory in vain, the launch ends and says so.
static void *watched(struct grid *grid, void *block)
{
    if (!block) {
        atomic_store(&grid->out_of_memory, true);
        atomic_store(&grid->abort, true);
    }
    return block;
}

static void *watched_malloc(void *user, size_t size)
{
    struct grid *grid = user;
    const struct ptxm_allocator *hook = &grid->device->allocator.hook;
    return watched(grid, hook->malloc(hook->user, size));
}

static void *watched_realloc(void *user, void *block, size_t size)
{
    struct grid *grid = user;
    const struct ptxm_allocator *hook = &grid->device->allocator.hook;
    return watched(grid, hook->realloc(hook->user, block, size));
}

static void plain_free(void *user, void *block)
{
    const struct ptxm_allocator *hook = &((struct grid *)user)->device->allocator.hook;
    hook->free(hook->user, block);
}

static void watch_memory(struct grid *grid)
{
    grid->watch = (struct allocator){{watched_malloc, watched_realloc, plain_free, grid}};
    grid->allocator = &grid->watch;
}

// Weak reads that a compare-and-swap of their thread follows are no findings: see report.h.
static bool excused(const struct grid *grid, const struct finding_entry *e)
{
    return e->optimistic && !grid->options.strict && grid->validated &&
           atomic_load_explicit(&grid->validated[e->optimistic - 1], memory_order_relaxed);
}

static void name_cluster(const struct grid *grid, struct ptxm_place *place)
{
    place->clustered = place->line && grid->explicit_cluster;
    for (int i = 0; i < 3 && place->clustered; i++)
        place->cluster[i] = place->cta[i] / grid->cluster_dims[i];
}

static struct ptxm_report *make_report(struct grid *grid)
{
    struct ptxm_report *report = ptxm_alloc_zero(grid->allocator, sizeof *report);
    size_t count = grid->findings.count;
    struct ptxm_finding *sorted = ptxm_alloc(grid->allocator, (count + 1) * sizeof *sorted);
    if (!report || !sorted) {
        ptxm_free(grid->allocator, report);
        ptxm_free(grid->allocator, sorted);
        return NULL;
    }
    struct finding_entry **entries = grid->findings.entries;
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (!excused(grid, entries[i]))
            entries[kept++] = entries[i];
    count = grid->findings.count = kept;
    for (size_t i = 0; i < count; i++) {
        name_cluster(grid, &entries[i]->finding.a);
        name_cluster(grid, &entries[i]->finding.b);
    }
    ptxm_findings_where(&grid->findings, grid->module);
    for (size_t i = 0; i < count; i++) sorted[i] = entries[i]->finding;
    qsort(sorted, count, sizeof *sorted, by_place);
    report->allocator = grid->device->allocator; // it outlives the grid
    report->findings = grid->findings;
    report->findings.allocator = &report->allocator;
    report->findings.strings.allocator = &report->allocator;
    report->counters = grid->counters;
    report->sorted = sorted;
    grid->findings = (struct findings){.allocator = grid->allocator};
    return report;
}

static struct function *find_kernel(struct ptxm_module *m, const char *name)
{
    for (size_t i = 0; i < m->function_count; i++)
        if (m->functions[i]->is_entry && m->functions[i]->has_body &&
            !strcmp(m->functions[i]->name, name))
            return m->functions[i];
    return NULL;
}

static void set_options(struct grid *grid, const struct ptxm_launch_options *options)
{
    if (options)
        grid->options = *options;
    if (!grid->options.threads)
        grid->options.threads = 1;
    if (!grid->options.instruction_budget)
        grid->options.instruction_budget = (uint64_t)1 << 40;
    if (!grid->options.max_findings)
        grid->options.max_findings = 1000;
}

static bool prepare(struct grid *grid)
{
    bool checks = !grid->options.no_checks;
    if (checks) {
        grid->validated = ptxm_alloc_zero(grid->allocator, grid->module->op_count + 1);
        if (!grid->validated)
            return false;
    }
    if (grid->options.profile) {
        grid->profile = ptxm_profile_create(grid->allocator, grid->module);
        if (!grid->profile)
            return false;
    }
    if (checks)
        grid->sync = ptxm_sync_create(grid->allocator);
    if (checks && !grid->options.no_global_races)
        grid->shadow = ptxm_grid_shadow_create(grid->allocator);
    return !checks || (grid->sync && (grid->options.no_global_races || grid->shadow));
}

// What the driver gives to a cooperative launch: the barrier of the grid, behind its size.
static enum ptxm_status make_workspace(struct grid *grid)
{
    static const uint32_t empty[16] = {sizeof empty};
    if (!grid->module->cooperative)
        return PTXM_OK;
    enum ptxm_status status = ptxm_memory_allocate(grid->device, sizeof empty, "grid workspace",
                                                   &grid->workspace);
    return status != PTXM_OK ? status : ptxm_memory_write(grid->device, grid->workspace, empty,
                                                          sizeof empty);
}

static enum ptxm_status run(struct grid *grid, struct ptxm_report **report)
{
    enum ptxm_status status = make_constants(grid);
    if (status == PTXM_OK)
        status = make_workspace(grid);
    if (status != PTXM_OK || !prepare(grid))
        return status != PTXM_OK ? status : PTXM_ERROR_MEMORY;
    pthread_mutex_init(&grid->lock, NULL);
    pthread_cond_init(&grid->wake, NULL);
    run_workers(grid);
    drop_uncommitted(grid);
    pthread_cond_destroy(&grid->wake);
    pthread_mutex_destroy(&grid->lock);
    *report = make_report(grid);
    if (*report && grid->profile && !ptxm_profile_report(grid->profile, *report))
        atomic_store(&grid->out_of_memory, true);
    if (atomic_load(&grid->out_of_memory) || !*report) {
        ptxm_report_free(*report);
        *report = NULL;
        return PTXM_ERROR_MEMORY;
    }
    return atomic_load(&grid->abort) ? PTXM_ERROR_RUN : PTXM_OK;
}

enum ptxm_status ptxm_launch(struct ptxm_device *device, struct ptxm_module *module,
                             const struct ptxm_launch *launch, ptxm_diagnostic_fn *diagnostic,
                             void *diagnostic_user, struct ptxm_report **report)
{
    struct complaints complaints = {diagnostic, diagnostic_user};
    if (!device || !module || !launch || !report || !launch->kernel)
        return PTXM_ERROR_ARGUMENT;
    *report = NULL;
    struct function *kernel = find_kernel(module, launch->kernel);
    if (!kernel)
        return PTXM_ERROR_NOT_FOUND;
    if (kernel->info.refused)
        return refuse(&complaints, &kernel->info);
    enum ptxm_status status = check_shape(launch, &kernel->info, &complaints);
    if (status == PTXM_OK)
        status = check_cluster(launch, &kernel->info, &complaints);
    if (status != PTXM_OK)
        return status;
    struct grid grid = {.device = device, .module = module, .kernel = kernel,
                        .params = launch->params,
                        .param_bytes = kernel->param_bytes,
                        .dynamic_shared = launch->dynamic_shared,
                        .frame_bytes = module->frame_bytes};
    watch_memory(&grid);
    uint64_t shared = dynamic_base(module, kernel) + launch->dynamic_shared;
    if (module->frame_bytes > MAX_LOCAL)
        return complain(&complaints, "%zu bytes of local memory a thread are more than %u",
                        module->frame_bytes, MAX_LOCAL);
    if (shared - SHARED_START > MAX_SHARED)
        return complain(&complaints, "%llu bytes of shared memory are more than %u",
                        (unsigned long long)(shared - SHARED_START), MAX_SHARED);
    grid.shared_size = (uint32_t)shared;
    memcpy(grid.dims, launch->grid, sizeof grid.dims);
    memcpy(grid.block, launch->block, sizeof grid.block);
    grid.cta_count = (uint64_t)launch->grid[0] * launch->grid[1] * launch->grid[2];
    set_clusters(&grid, launch);
    set_options(&grid, launch->options);
    ptxm_findings_init(&grid.findings, grid.allocator, grid.options.max_findings);
    status = run(&grid, report);
    if (grid.workspace)
        ptxm_memory_free(device, grid.workspace);
    ptxm_findings_free(&grid.findings);
    ptxm_grid_shadow_free(grid.shadow);
    ptxm_profile_free(grid.profile);
    ptxm_sync_free(grid.sync);
    ptxm_free(grid.allocator, (void *)grid.validated);
    ptxm_free(grid.allocator, grid.uncommitted);
    ptxm_free(grid.allocator, grid.constants);
    return status;
}
