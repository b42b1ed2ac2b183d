// SPDX-License-Identifier: MIT
// Profiles: what each instruction did, its transactions against the fewest possible.
//
// Shared memory has 32 banks of four bytes and serves one word of each in a wavefront. A warp's
// access goes in as many parts as 128 bytes need lanes: all of the warp up to 4 bytes a lane, half
// of it for 8, a quarter for 16 (so also the rows of ldmatrix and stmatrix, and what cp.async
// writes). A part takes as many wavefronts as the bank with the most different words; the fewest
// possible is one for each part with a lane in it.
//
// Bulk and tensor copies move 16 bytes to a chunk and eight chunks to a wavefront, in the order of
// the box, swizzled. The tensor core reads core matrices of eight chunks, a wavefront each where
// they lie in different banks: A and B once for the four warps of a wgmma.
//
// Global memory moves sectors of 32 bytes in lines of 128. The ideal is that of the different bytes
// that were asked for, packed.
#include "engine.h"
#include "profile.h"

#include <stdlib.h>
#include <string.h>

enum { PAGE_OPS = 32 };

typedef struct ptxm_instruction_profile counts;

struct profile {
    struct allocator *allocator;
    const struct ptxm_module *module;
    size_t page_count;
    counts *pages[]; // of PAGE_OPS ops each, NULL where nothing ran
};

struct profile *ptxm_profile_create(struct allocator *allocator, const struct ptxm_module *module)
{
    size_t pages = module->op_count / PAGE_OPS + 1;
    struct profile *p = ptxm_alloc_zero(allocator, sizeof *p + pages * sizeof *p->pages);
    if (!p)
        return NULL;
    p->allocator = allocator;
    p->module = module;
    p->page_count = pages;
    return p;
}

void ptxm_profile_free(struct profile *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < p->page_count; i++) ptxm_free(p->allocator, p->pages[i]);
    ptxm_free(p->allocator, p);
}

static counts *counts_of(struct profile *p, size_t op)
{
    counts **page = &p->pages[op / PAGE_OPS];
    if (!*page)
        *page = ptxm_alloc_zero(p->allocator, PAGE_OPS * sizeof **page);
    return *page ? *page + op % PAGE_OPS : NULL;
}

// ---- looking -----------------------------------------------------------------------------------

static void look_plain(struct sample *s, const struct warp *w, const struct op *op, uint32_t mask,
                       uint32_t size, bool reads, bool writes)
{
    struct lane_addresses *a = &s->access[s->count++];
    a->space = (enum space)op->space;
    a->mask = mask;
    a->size = size;
    a->reads = reads;
    a->writes = writes;
    FOR_LANES (lane, mask)
        a->at[lane] = ptxm_address(w, op, lane);
}

static uint64_t lane_value(const struct warp *w, const struct op *op, unsigned k, unsigned bytes,
                           unsigned lane)
{
    return bytes == 8 ? ((const uint64_t *)ptxm_src(w, op, k))[lane]
                      : ((const uint32_t *)ptxm_src(w, op, k))[lane];
}

// Lanes whose source size is zero read nothing; others count as if they read all of it.
static void look_copy(struct sample *s, const struct warp *w, const struct op *op, uint32_t mask)
{
    struct lane_addresses *to = &s->access[0], *from = &s->access[1];
    *to = (struct lane_addresses){.space = SPACE_SHARED, .mask = mask, .size = op->immediate,
                                  .writes = true};
    *from = (struct lane_addresses){.space = SPACE_GLOBAL, .size = op->immediate, .reads = true};
    s->count = 2;
    FOR_LANES (lane, mask) {
        to->at[lane] = lane_value(w, op, 0, op->mode, lane) +
                       (uint64_t)(int64_t)(int32_t)op->target;
        from->at[lane] = lane_value(w, op, 1, op->type2, lane) + (uint64_t)op->displacement;
        if (lane_value(w, op, 2, 4, lane))
            from->mask |= 1u << lane;
    }
}

// What st.async and red.async write, lane by lane.
static void look_remote(struct sample *s, const struct warp *w, const struct op *op, uint32_t mask,
                        uint32_t size)
{
    struct lane_addresses *a = &s->access[s->count++];
    *a = (struct lane_addresses){.space = SPACE_CLUSTER, .mask = mask, .size = size,
                                 .writes = true};
    FOR_LANES (lane, mask)
        a->at[lane] = ptxm_bulk_address(w, op, lane, &ptxm_bulk_form(op)->address[BULK_TO]);
}

// The step function of the op itself, where a check of registers stands in its way.
static step_fn *own_step(const struct op *op)
{
    return op->watch && op->watch->step ? op->watch->step : op->step;
}

void ptxm_profile_look(struct sample *s, const struct warp *w, const struct op *op, uint32_t mask)
{
    uint32_t bytes = ptxm_type_bits((enum type)op->type) / 8;
    uint32_t vector = op->vector ? op->vector : 1;
    uint32_t rows = op->vector * 8 >= LANES ? UINT32_MAX : (1u << op->vector * 8) - 1;
    step_fn *step = own_step(op);
    s->count = 0;
    s->live = w->live;
    if (step == ptxm_step_load)
        look_plain(s, w, op, mask, bytes * vector, true, false);
    else if (step == ptxm_step_store)
        look_plain(s, w, op, mask, bytes * vector, false, true);
    else if (step == ptxm_step_atomic)
        look_plain(s, w, op, mask, bytes, op->ndst > 0, true);
    else if (step == ptxm_step_ldmatrix)
        look_plain(s, w, op, rows, 16, true, false);
    else if (step == ptxm_step_stmatrix)
        look_plain(s, w, op, rows, 16, false, true);
    else if (step == ptxm_step_cp_async)
        look_copy(s, w, op, mask);
    else if (step == ptxm_step_st_async)
        look_remote(s, w, op, mask, bytes * vector);
}

// ---- counting ----------------------------------------------------------------------------------

static void sort(uint64_t *values, unsigned count)
{
    for (unsigned i = 1; i < count; i++) {
        uint64_t value = values[i];
        unsigned k = i;
        for (; k && values[k - 1] > value; k--) values[k] = values[k - 1];
        values[k] = value;
    }
}

static uint64_t part_wavefronts(const struct lane_addresses *a, uint32_t lanes)
{
    uint64_t words[LANES * 4];
    uint32_t used[32] = {0}, most = 0;
    unsigned count = 0;
    FOR_LANES (lane, lanes)
        for (uint64_t word = a->at[lane] >> 2;
             word <= (a->at[lane] + a->size - 1) >> 2 && count < LANES * 4; word++)
            words[count++] = word;
    sort(words, count);
    for (unsigned i = 0; i < count; i++)
        if (!i || words[i] != words[i - 1]) {
            uint32_t n = ++used[words[i] & 31];
            most = n > most ? n : most;
        }
    return most;
}

void ptxm_shared_wavefronts(const struct lane_addresses *a, uint32_t mask, uint64_t *wavefronts,
                            uint64_t *ideal)
{
    unsigned width = a->size <= 4 ? LANES : a->size >= 128 ? 1 : 128 / a->size;
    *wavefronts = *ideal = 0;
    for (unsigned start = 0; start < LANES; start += width) {
        uint32_t lanes = mask & (width == LANES ? UINT32_MAX : ((1u << width) - 1) << start);
        *wavefronts += part_wavefronts(a, lanes);
        *ideal += lanes != 0;
    }
}

// Pieces of 1 << shift bytes that sorted accesses touch.
static uint64_t pieces(const uint64_t *at, unsigned count, uint32_t size, unsigned shift)
{
    uint64_t next = 0, touched = 0;
    for (unsigned i = 0; i < count; i++) {
        uint64_t first = at[i] >> shift, last = (at[i] + size - 1) >> shift;
        first = first < next ? next : first;
        if (last < first)
            continue;
        touched += last - first + 1;
        next = last + 1;
    }
    return touched;
}

static void count_global(counts *c, const struct lane_addresses *a, uint32_t mask)
{
    uint64_t sorted[LANES];
    unsigned count = 0;
    FOR_LANES (lane, mask)
        sorted[count++] = a->at[lane];
    sort(sorted, count);
    uint64_t different = pieces(sorted, count, a->size, 0);
    c->global_accesses++;
    c->global_sectors += pieces(sorted, count, a->size, 5);
    c->global_lines += pieces(sorted, count, a->size, 7);
    c->global_ideal_sectors += (different + 31) / 32;
    c->global_ideal_lines += (different + 127) / 128;
}

static void count_shared(counts *c, const struct lane_addresses *a, uint32_t mask)
{
    uint64_t wavefronts, ideal;
    ptxm_shared_wavefronts(a, mask, &wavefronts, &ideal);
    c->shared_accesses++;
    c->shared_wavefronts += wavefronts;
    c->shared_ideal += ideal;
}

// Lanes of each space; spaces that have no counters are left out.
struct by_space {
    uint32_t global, shared, local;
};

static struct by_space sort_lanes(struct lane_addresses *a)
{
    struct by_space lanes = {.global = a->space == SPACE_GLOBAL ? a->mask : 0,
                             .shared = a->space == SPACE_SHARED || a->space == SPACE_CLUSTER
                                           ? a->mask : 0,
                             .local = a->space == SPACE_LOCAL ? a->mask : 0};
    if (a->space != SPACE_GENERIC)
        return lanes;
    FOR_LANES (lane, a->mask) {
        uint64_t at = a->at[lane];
        if (at < WINDOW_SHARED)
            lanes.global |= 1u << lane;
        else if (at < WINDOW_LOCAL)
            lanes.shared |= 1u << lane;
        else if (at < WINDOW_PARAM)
            lanes.local |= 1u << lane;
    }
    return lanes;
}

static void count_access(counts *c, struct lane_addresses *a)
{
    struct by_space lanes = sort_lanes(a);
    uint64_t global = (uint64_t)__builtin_popcount(lanes.global) * a->size;
    uint64_t shared = (uint64_t)__builtin_popcount(lanes.shared) * a->size;
    uint64_t local = (uint64_t)__builtin_popcount(lanes.local) * a->size;
    if (a->reads) {
        c->global_read += global;
        c->shared_read += shared;
        c->local_read += local;
    }
    if (a->writes) {
        c->global_written += global;
        c->shared_written += shared;
        c->local_written += local;
    }
    if (lanes.global)
        count_global(c, a, lanes.global);
    if (lanes.shared)
        count_shared(c, a, lanes.shared);
}

// Lanes of an atomic that find their word taken by another lane of the same instruction.
static void count_atomic(counts *c, const struct lane_addresses *a)
{
    uint64_t sorted[LANES];
    unsigned count = 0;
    FOR_LANES (lane, a->mask)
        sorted[count++] = a->at[lane];
    sort(sorted, count);
    c->atomics += count;
    for (unsigned i = 1; i < count; i++) c->atomics_contended += sorted[i] == sorted[i - 1];
}

bool ptxm_profile_count(struct warp *w, const struct op *op, uint32_t mask,
                        const struct sample *sample)
{
    struct profile *p = w->cta->profile;
    counts *c = counts_of(p, (size_t)(op - p->module->ops));
    if (!c)
        return false;
    c->executions++;
    c->lanes += (uint64_t)__builtin_popcount(mask);
    c->skipped += !mask;
    c->partial += mask && mask != (sample ? sample->live : w->live);
    if (!sample || !mask)
        return true;
    for (unsigned i = 0; i < sample->count; i++) {
        struct lane_addresses a = sample->access[i];
        if (a.mask && a.size)
            count_access(c, &a);
    }
    if (own_step(op) == ptxm_step_atomic)
        count_atomic(c, &sample->access[0]);
    return true;
}

// ---- bulk copies -------------------------------------------------------------------------------

static void count_range(counts *c, uint64_t address, uint32_t size)
{
    c->global_accesses++;
    c->global_sectors += pieces(&address, 1, size, 5);
    c->global_lines += pieces(&address, 1, size, 7);
    c->global_ideal_sectors += ((uint64_t)size + 31) / 32;
    c->global_ideal_lines += ((uint64_t)size + 127) / 128;
}

// A multicast reads its source once, whatever the number of CTAs that get it.
static bool is_first_target(const struct warp *w, const struct op *op, unsigned lane,
                            const struct place *to)
{
    const struct bulk_form *form = ptxm_bulk_form(op);
    if (form->mask < 0 || !to)
        return true;
    uint32_t ranks = ptxm_bulk_word(w, op, lane, form->mask) & 0xffff;
    uint32_t rank = to->owner ? to->owner->rank : w->cta->rank;
    return !ranks || rank == (uint32_t)__builtin_ctz(ranks);
}

// One wavefront if the banks allow.
static void count_chunks(counts *c, const uint64_t *at, uint32_t count)
{
    struct lane_addresses a = {.size = 16};
    uint64_t wavefronts, ideal;
    memcpy(a.at, at, count * sizeof *at);
    ptxm_shared_wavefronts(&a, (1u << count) - 1, &wavefronts, &ideal);
    c->shared_wavefronts += wavefronts;
    c->shared_ideal += ideal;
}

static void count_lines(counts *c, struct lines *l, uint64_t address, uint32_t size)
{
    for (uint64_t at = address & ~(uint64_t)15; at < address + size; at += 16) {
        if (l->count && l->at[l->count - 1] == at) // the rest of a chunk
            continue;
        if (l->count == 8) {
            count_chunks(c, l->at, l->count);
            l->count = 0;
        }
        l->at[l->count++] = at;
    }
}

bool ptxm_profile_piece(struct engine_job *job, const struct place *from, uint64_t from_offset,
                        const struct place *to, uint64_t to_offset, uint32_t size)
{
    struct warp *w = job->warp;
    const struct op *op = job->op;
    counts *c = counts_of(w->cta->profile, (size_t)(op - w->cta->profile->module->ops));
    if (!c)
        return false;
    if (own_step(op) == ptxm_step_st_async) // looked at with its warp
        return true;
    if (from && from->space == SPACE_GLOBAL && is_first_target(w, op, job->lane, to)) {
        c->global_read += size;
        count_range(c, from->address + from_offset, size);
    } else if (from && from->space == SPACE_SHARED) {
        c->shared_read += size;
        count_lines(c, &job->lines, from->address + from_offset, size);
    }
    if (to && to->space == SPACE_GLOBAL) {
        c->global_written += size;
        count_range(c, to->address + to_offset, size);
    } else if (to) {
        c->shared_written += size;
        if (!from || from->space != SPACE_SHARED)
            count_lines(c, &job->lines, to->address + to_offset, size);
    }
    return true;
}

void ptxm_profile_issue(struct engine_job *job)
{
    const struct profile *p = job->warp->cta->profile;
    counts *c = job->lines.count ? counts_of(job->warp->cta->profile,
                                             (size_t)(job->op - p->module->ops)) : NULL;
    if (!c)
        return;
    c->shared_accesses++;
    count_chunks(c, job->lines.at, job->lines.count);
    job->lines.count = 0;
}

void ptxm_profile_matrix(struct warp *w, const struct op *op, const uint64_t chunks[8], bool first)
{
    struct profile *p = w->cta->profile;
    counts *c = counts_of(p, (size_t)(op - p->module->ops));
    if (!c)
        return ptxm_cta_out_of_memory(w->cta);
    c->shared_accesses += first;
    c->shared_read += 128;
    count_chunks(c, chunks, 8);
}

// ---- sums --------------------------------------------------------------------------------------

static void add(counts *into, const counts *from)
{
    into->executions += from->executions;
    into->lanes += from->lanes;
    into->skipped += from->skipped;
    into->partial += from->partial;
    into->shared_accesses += from->shared_accesses;
    into->shared_wavefronts += from->shared_wavefronts;
    into->shared_ideal += from->shared_ideal;
    into->global_accesses += from->global_accesses;
    into->global_sectors += from->global_sectors;
    into->global_ideal_sectors += from->global_ideal_sectors;
    into->global_lines += from->global_lines;
    into->global_ideal_lines += from->global_ideal_lines;
    into->global_read += from->global_read;
    into->global_written += from->global_written;
    into->shared_read += from->shared_read;
    into->shared_written += from->shared_written;
    into->local_read += from->local_read;
    into->local_written += from->local_written;
    into->atomics += from->atomics;
    into->atomics_contended += from->atomics_contended;
}

static bool merge(struct profile *into, const struct profile *from)
{
    for (size_t page = 0; page < from->page_count; page++) {
        if (!from->pages[page])
            continue;
        for (size_t i = 0; i < PAGE_OPS; i++) {
            counts *c = counts_of(into, page * PAGE_OPS + i);
            if (!c)
                return false;
            add(c, &from->pages[page][i]);
        }
    }
    return true;
}

bool ptxm_profile_begin(struct cta *cta)
{
    struct grid *grid = cta->grid;
    if (!grid->profile)
        return true;
    cta->profile = ptxm_profile_create(grid->allocator, grid->module);
    return cta->profile != NULL;
}

void ptxm_profile_end(struct cta *cta)
{
    if (!cta->profile)
        return;
    if (!merge(cta->grid->profile, cta->profile))
        atomic_store(&cta->grid->out_of_memory, true);
    ptxm_profile_free(cta->profile);
}

// ---- what follows from the text of an instruction ----------------------------------------------

static bool begins(const char *text, const char *with)
{
    return !strncmp(text, with, strlen(with));
}

// Multiply-adds of a product by its shape, as in m16n8k16; 0 for an instruction without one.
static uint64_t shape_multiply_adds(const char *text)
{
    for (const char *s = text; (s = strstr(s, ".m")) != NULL; s++) {
        char *end;
        uint64_t m = strtoull(s + 2, &end, 10);
        if (*end != 'n' || !m)
            continue;
        uint64_t n = strtoull(end + 1, &end, 10);
        if (*end != 'k')
            continue;
        return m * n * strtoull(end + 1, &end, 10);
    }
    return 0;
}

// The lanes of a warp arrive at a barrier of the CTA as one, at an mbarrier each for itself.
static void derive(counts *c)
{
    const char *t = c->instruction;
    bool cluster = begins(t, "barrier.cluster.");
    if (begins(t, "mma.") || begins(t, "wmma.mma"))
        c->multiply_adds = c->executions * shape_multiply_adds(t);
    else if (begins(t, "wgmma.mma"))
        c->multiply_adds = c->executions * shape_multiply_adds(t) / 4; // by four warps, together
    else if (begins(t, "mbarrier.arrive") || begins(t, "cp.async.mbarrier.arrive"))
        c->arrivals = c->lanes;
    else if (begins(t, "mbarrier.try_wait") || begins(t, "mbarrier.test_wait"))
        c->waits = c->lanes;
    else if (cluster || begins(t, "bar.arrive") || begins(t, "barrier.arrive") ||
             begins(t, "barrier.cta.arrive")) {
        bool wait = begins(t, "barrier.cluster.wait");
        c->arrivals = wait ? 0 : c->executions;
        c->waits = wait ? c->executions : 0;
    } else if ((begins(t, "bar.") || begins(t, "barrier.")) && !begins(t, "bar.warp")) {
        c->arrivals = c->waits = c->executions;
    }
}

static void name(counts *c, const struct ptxm_module *module, const struct op *op)
{
    c->line = op->line;
    c->instruction = op->text;
    if (op->location) {
        c->source_file = module->locations[op->location - 1].file;
        c->source_line = module->locations[op->location - 1].line;
    }
}

// A statement that became several ops has them behind each other, with the same text: the first
// one tells how often it ran.
bool ptxm_profile_report(const struct profile *p, struct ptxm_report *report)
{
    const struct op *ops = p->module->ops;
    counts *rows = ptxm_alloc_zero(p->allocator, (p->module->op_count + 1) * sizeof *rows);
    const struct op *last = NULL;
    size_t count = 0;
    if (!rows)
        return false;
    for (size_t i = 0; i < p->module->op_count; i++) {
        const counts *page = p->pages[i / PAGE_OPS], *c = page ? page + i % PAGE_OPS : NULL;
        if (!c || !c->executions || !ops[i].text)
            continue;
        if (last && last->text == ops[i].text && last->line == ops[i].line) {
            counts more = *c;
            more.executions = more.lanes = more.skipped = more.partial = 0;
            add(&rows[count - 1], &more);
            continue;
        }
        last = &ops[i];
        rows[count] = *c;
        name(&rows[count++], p->module, &ops[i]);
    }
    for (size_t i = 0; i < count; i++) derive(&rows[i]);
    report->profile = rows;
    report->profile_count = count;
    return true;
}
