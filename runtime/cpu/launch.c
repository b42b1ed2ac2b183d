// SPDX-License-Identifier: MIT
// ptxm_launch: checks the arguments, lays out shared memory, runs the CTAs on CPU threads, and
// makes the report.
#include "profile.h"
#include "shadow.h"
#include "where.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_SHARED = 227 * 1024, MAX_LOCAL = 4 << 20 };

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
    ptxm_grid_run(grid);
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
                        .frame_bytes = module->frame_bytes,
                        .stream = launch->stream, .programmatic = launch->programmatic};
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
    ptxm_past_begin(&grid);
    status = run(&grid, report);
    if (status == PTXM_OK && !ptxm_past_end(&grid)) {
        ptxm_report_free(*report);
        *report = NULL;
        status = PTXM_ERROR_MEMORY;
    }
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
