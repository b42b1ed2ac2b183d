// SPDX-License-Identifier: MIT
// Grids that may begin before the launches ahead of them have ended (programmatic stream
// serialization), and griddepcontrol.wait, which tells a thread that the one launch directly ahead
// has ended and that all of its memory operations are visible.
//
// Grids run one after the other here, so nothing goes wrong in memory; what a grid has touched is
// kept, and a later programmatic grid's accesses are held against it. An access is in order when
// its thread knows that the grid ahead has ended. That knowledge is one more agent, of a CTA that
// does not exist, and travels as all knowledge does; a thread whose CTA has met the one that waited
// has it, too. A grid that has not waited itself ends without telling of those ahead of it: they
// stay in flight for whoever comes after.
#include "grid_shadow.h"

#include <stdio.h>
#include <string.h>

struct past_grid {
    struct past_grid *next;
    uint64_t stream;
    struct ptxm_module *module;
    const char *kernel; // lives as long as the module
    bool ahead;         // directly ahead: griddepcontrol.wait tells of its end
    struct grid_shadow *shadow;
};

static void drop(struct ptxm_device *d, struct past_grid **at)
{
    struct past_grid *p = *at;
    *at = p->next;
    ptxm_grid_shadow_free(p->shadow);
    ptxm_free(&d->allocator, p);
}

void ptxm_past_forget(struct ptxm_device *d, const struct ptxm_module *module)
{
    for (struct past_grid **at = &d->past; *at;)
        if (!module || (*at)->module == module)
            drop(d, at);
        else
            at = &(*at)->next;
}

void ptxm_past_begin(struct grid *grid)
{
    for (struct past_grid **at = &grid->device->past; *at;)
        if ((*at)->stream == grid->stream && !grid->programmatic)
            drop(grid->device, at);
        else
            at = &(*at)->next;
}

bool ptxm_past_end(struct grid *grid)
{
    struct ptxm_device *d = grid->device;
    bool waited = atomic_load(&grid->waited);
    for (struct past_grid **at = &d->past; *at;) {
        struct past_grid *p = *at;
        if (p->stream != grid->stream) {
            at = &p->next;
        } else if (p->ahead && waited) {
            drop(d, at);
        } else {
            p->ahead = false;
            at = &p->next;
        }
    }
    if (!grid->options.dependents || !grid->shadow)
        return true;
    struct past_grid *p = ptxm_alloc_zero(grid->allocator, sizeof *p);
    if (!p)
        return false;
    ptxm_grid_shadow_outlive(grid->shadow, &d->allocator);
    *p = (struct past_grid){d->past, grid->stream, grid->module, grid->kernel->name, true,
                            grid->shadow};
    d->past = p;
    grid->shadow = NULL;
    return true;
}

enum step_result ptxm_step_grid_wait(struct warp *w, const struct op *op, uint32_t mask)
{
    struct grid *grid = w->cta->grid;
    struct shadow *s = w->cta->shadow;
    atomic_store(&grid->waited, true);
    if (!grid->programmatic || !s)
        return STEP_NEXT;
    struct clocks *agents = ptxm_clocks_new(s->allocator, 1);
    if (!agents) {
        ptxm_cta_out_of_memory(w->cta);
        return STEP_NEXT;
    }
    agents->v[0] = 1;
    struct knowledge *k = ptxm_knowledge_single(
        s->allocator, (struct known){.cta = CTA_OF_GRID_AHEAD, .agents = agents});
    ptxm_clock_learn(w, mask, k);
    ptxm_knowledge_free(s->allocator, k);
    return STEP_NEXT;
}

static void report(struct cta *cta, const struct past_grid *past, uint64_t address,
                   const struct grid_entry *theirs, const struct grid_entry *mine,
                   const struct stamp *stamp)
{
    const struct op *a = &cta->grid->module->ops[mine->stamp.op];
    const struct op *b = &past->module->ops[theirs->stamp.op];
    char message[512];
    bool fresh;
    struct finding_entry *e = ptxm_findings_note(&cta->findings, RULE_GRID_DEPENDENCY, a->line,
                                                 b->line, &fresh);
    if (!e || !fresh)
        return;
    snprintf(message, sizeof message,
             "kernel '%.200s', launched %s, may still be at work: it %s these bytes (%s, line %u "
             "of its PTX), and nothing tells this thread that it has ended",
             past->kernel,
             past->ahead ? "just before this one"
                         : "earlier, which the one between did not wait for",
             ptxm_stamp_writes(&theirs->stamp) ? "writes" : "reads", b->text, b->line);
    const char *copy = ptxm_findings_string(&cta->findings, message);
    if (copy)
        e->finding.message = copy;
    e->own_message = copy != NULL;
    ptxm_describe_stamp(cta, &e->finding.a, a, stamp->thread, SPACE_GLOBAL, address,
                        mine->bytes & theirs->bytes, (enum access_kind)stamp->kind);
}

static bool knows_the_end(const struct cta *cta, const struct past_grid *past,
                          const struct stamp *s)
{
    return past->ahead && ptxm_knows_agent(ptxm_grid_knowledge(cta->grid->shadow, cta->index, s),
                                           CTA_OF_GRID_AHEAD, 0, 0);
}

// Morally strong accesses need no order, nor do reductions by the copy engine among themselves.
static bool conflicting(const struct stamp *a, const struct stamp *b)
{
    if (a->strong >= SCOPE_GPU && b->strong >= SCOPE_GPU)
        return false;
    if (a->kind == ACCESS_ASYNC_REDUCE && b->kind == ACCESS_ASYNC_REDUCE)
        return false;
    return ptxm_stamp_writes(a) || ptxm_stamp_writes(b);
}

static void compare(struct cta *cta, const struct past_grid *past, const struct grid_page *page,
                    const struct grid_entry *mine)
{
    for (const struct grid_entry *e = page->entries; e; e = e->next) {
        if (!(e->bytes & mine->bytes) || !conflicting(&e->stamp, &mine->stamp))
            continue;
        for (uint32_t w = 0; w < PAGE_CELLS / 64; w++)
            for (uint64_t both = e->cells[w] & mine->cells[w]; both; both &= both - 1) {
                uint32_t cell = w * 64 + (uint32_t)__builtin_ctzll(both);
                const struct stamp *s = mine->stamps ? &mine->stamps[cell] : &mine->stamp;
                if (!knows_the_end(cta, past, s))
                    report(cta, past, page->number * PAGE_BYTES + cell * 4, e, mine, s);
            }
    }
}

void ptxm_past_compare(struct cta *cta, uint64_t number, const struct grid_entry *mine)
{
    if (!cta->grid->programmatic)
        return;
    for (const struct past_grid *p = cta->grid->device->past; p; p = p->next) {
        const struct grid_page *page =
            p->stream == cta->grid->stream ? ptxm_grid_page(p->shadow, number) : NULL;
        if (page)
            compare(cta, p, page, mine);
    }
}
