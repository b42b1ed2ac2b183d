// SPDX-License-Identifier: MIT
// One CTA: its memory and warps, whose turn it is, and what to say when nobody can go on.
#include "shadow.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { POLLS_BEFORE_YIELD = 512 };

// ---- making and freeing ------------------------------------------------------------------------

static void broadcast(struct warp *w, enum special special, uint32_t value)
{
    uint32_t *lanes = (uint32_t *)(void *)(w->regs + special * LANES * 4);
    for (int i = 0; i < LANES; i++) lanes[i] = value;
}

static void set_thread_ids(struct warp *w)
{
    const uint32_t *block = w->cta->grid->block;
    uint32_t *special = (uint32_t *)(void *)w->regs;
    for (uint32_t lane = 0; lane < LANES; lane++) {
        uint32_t t = ptxm_thread(w, lane);
        special[SPECIAL_TID_X * LANES + lane] = t % block[0];
        special[SPECIAL_TID_Y * LANES + lane] = t / block[0] % block[1];
        special[SPECIAL_TID_Z * LANES + lane] = t / block[0] / block[1] % block[2];
        special[SPECIAL_LANEID * LANES + lane] = lane;
        special[SPECIAL_LANEMASK_EQ * LANES + lane] = 1u << lane;
        special[SPECIAL_LANEMASK_LT * LANES + lane] = (1u << lane) - 1;
        special[SPECIAL_LANEMASK_LE * LANES + lane] = (1u << lane) | ((1u << lane) - 1);
        special[SPECIAL_LANEMASK_GT * LANES + lane] = ~((1u << lane) | ((1u << lane) - 1));
        special[SPECIAL_LANEMASK_GE * LANES + lane] = ~((1u << lane) - 1);
    }
}

static void set_specials(struct warp *w)
{
    const struct grid *grid = w->cta->grid;
    set_thread_ids(w);
    for (int i = 0; i < 3; i++) {
        broadcast(w, SPECIAL_NTID_X + (unsigned)i, grid->block[i]);
        broadcast(w, SPECIAL_CTAID_X + (unsigned)i, w->cta->id[i]);
        broadcast(w, SPECIAL_NCTAID_X + (unsigned)i, grid->dims[i]);
    }
    broadcast(w, SPECIAL_WARPID, w->index);
    broadcast(w, SPECIAL_NWARPID, w->cta->warp_count);
    broadcast(w, SPECIAL_SMID, w->cta->index % 132);
    broadcast(w, SPECIAL_NSMID, 132);
    broadcast(w, SPECIAL_DYNAMIC_SMEM, grid->dynamic_shared);
    broadcast(w, SPECIAL_TOTAL_SMEM, grid->shared_size - SHARED_START);
    broadcast(w, SPECIAL_CLUSTERID_X, w->cta->id[0]);
    broadcast(w, SPECIAL_CLUSTER_NCTARANK, 1);
    broadcast(w, SPECIAL_CLUSTER_NCTAID_X, 1);
}

static bool allocate(struct cta *cta)
{
    struct grid *grid = cta->grid;
    struct allocator *a = grid->allocator;
    size_t registers = (grid->module->register_bytes + 63) & ~(size_t)63;
    cta->warps = ptxm_alloc_zero(a, cta->warp_count * sizeof *cta->warps);
    cta->registers = ptxm_alloc_zero(a, cta->warp_count * registers + 64);
    cta->shared = ptxm_alloc_zero(a, grid->shared_size + 64);
    cta->frames = ptxm_alloc_zero(a, (size_t)cta->warp_count * LANES * grid->frame_bytes + 64);
    if (!cta->warps || !cta->registers || !cta->shared || !cta->frames)
        return false;
    uint8_t *aligned = (uint8_t *)(((uintptr_t)cta->registers + 63) & ~(uintptr_t)63);
    for (uint32_t i = 0; i < cta->warp_count; i++) {
        struct warp *w = &cta->warps[i];
        uint32_t left = cta->thread_count - i * LANES;
        w->cta = cta;
        w->index = i;
        w->regs = aligned + i * registers;
        w->constants = grid->constants;
        w->present = left >= LANES ? UINT32_MAX : (1u << left) - 1;
        ptxm_warp_init(w);
        set_specials(w);
    }
    // Bytes that nobody writes read as something that no kernel means.
    memset(cta->shared, 0xff, grid->shared_size);
    return grid->options.no_checks || ptxm_shadow_create(cta);
}

struct cta *ptxm_cta_create(struct grid *grid, uint64_t index)
{
    struct cta *cta = ptxm_alloc_zero(grid->allocator, sizeof *cta);
    if (!cta)
        return NULL;
    cta->grid = grid;
    cta->index = (uint32_t)index;
    cta->id[0] = (uint32_t)(index % grid->dims[0]);
    cta->id[1] = (uint32_t)(index / grid->dims[0] % grid->dims[1]);
    cta->id[2] = (uint32_t)(index / grid->dims[0] / grid->dims[1]);
    cta->thread_count = grid->block[0] * grid->block[1] * grid->block[2];
    cta->live_threads = cta->thread_count;
    cta->warp_count = (cta->thread_count + LANES - 1) / LANES;
    cta->shared_size = grid->shared_size;
    cta->random = grid->options.seed * 0x9e3779b97f4a7c15 + index;
    ptxm_findings_init(&cta->findings, grid->allocator, grid->options.max_findings);
    if (!allocate(cta)) {
        ptxm_cta_free(cta);
        return NULL;
    }
    return cta;
}

void ptxm_cta_free(struct cta *cta)
{
    struct allocator *a = cta->grid->allocator;
    for (int i = 0; i < MAX_BARRIERS; i++) ptxm_knowledge_free(a, cta->barriers[i].know);
    ptxm_shadow_free(cta);
    for (uint32_t i = 0; cta->warps && i < cta->warp_count; i++) {
        struct warp *w = &cta->warps[i];
        ptxm_free(a, w->copies);
        ptxm_free(a, w->returns);
        for (int lane = 0; lane < LANES; lane++) ptxm_free(a, w->calls[lane]);
    }
    ptxm_findings_free(&cta->findings);
    ptxm_free(a, cta->warps);
    ptxm_free(a, cta->registers);
    ptxm_free(a, cta->shared);
    ptxm_free(a, cta->frames);
    ptxm_free(a, cta);
}

// ---- findings ----------------------------------------------------------------------------------

static const char *const kind_names[] = {"read", "write", "atomic", "cp.async read",
                                         "cp.async write", "asynchronous read",
                                         "asynchronous write", "asynchronous reduction",
                                         "mbarrier"};

static const char *object_name(struct cta *cta, enum space space, uint64_t address,
                               uint64_t *offset)
{
    *offset = address;
    if (space == SPACE_GLOBAL || space == SPACE_CONST) {
        struct allocation *a = ptxm_device_find(cta->grid->device, address);
        *offset = a ? address - a->base : address;
        return a ? a->name : NULL;
    }
    if (space != SPACE_SHARED)
        return NULL;
    *offset = address - SHARED_START;
    for (struct variable *v = cta->grid->module->variables; v; v = v->next) {
        if (v->space != SPACE_SHARED || (v->owner && v->owner->is_entry &&
                                         v->owner != cta->grid->kernel))
            continue;
        uint64_t start = v->is_extern ? cta->grid->shared_size - cta->grid->dynamic_shared
                                      : v->offset;
        uint64_t size = v->is_extern ? cta->grid->dynamic_shared : v->size;
        if (address >= start && address - start < size) {
            *offset = address - start;
            return v->name;
        }
    }
    return NULL;
}

void ptxm_describe(struct cta *cta, struct ptxm_place *out, const struct op *op, uint32_t thread,
                   enum space space, uint64_t address, uint32_t size, enum access_kind kind)
{
    const struct grid *grid = cta->grid;
    const uint32_t *block = grid->block;
    *out = (struct ptxm_place){.line = op->line, .instruction = op->text, .warp = thread / LANES,
                               .lane = thread % LANES, .size = size, .address = address};
    out->thread[0] = thread % block[0];
    out->thread[1] = thread / block[0] % block[1];
    out->thread[2] = thread / block[0] / block[1];
    memcpy(out->cta, cta->id, sizeof out->cta);
    if (op->location) {
        out->source_file = grid->module->locations[op->location - 1].file;
        out->source_line = grid->module->locations[op->location - 1].line;
    }
    if (space == SPACE_REG)
        return;
    out->space = ptxm_space_name(space);
    out->kind = kind_names[kind];
    out->object = ptxm_findings_string(&cta->findings,
                                       object_name(cta, space, address, &out->offset));
}

void ptxm_finding(struct warp *w, const struct op *op, unsigned lane, enum rule rule,
                  const struct place *place, uint32_t size, enum access_kind kind,
                  const char *format, ...)
{
    char message[512];
    bool fresh;
    struct finding_entry *e = ptxm_findings_note(&w->cta->findings, rule, op->line, 0, &fresh);
    if (!e || !fresh)
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    const char *copy = ptxm_findings_string(&w->cta->findings, message);
    if (copy)
        e->finding.message = copy;
    e->own_message = copy != NULL;
    ptxm_describe(w->cta, &e->finding.a, op, ptxm_thread(w, lane), place ? place->space : SPACE_REG,
                  place ? place->address : 0, size, kind);
}

void ptxm_cta_out_of_memory(struct cta *cta)
{
    atomic_store(&cta->grid->out_of_memory, true);
    cta->aborted = true;
}

// ---- running -----------------------------------------------------------------------------------

static size_t wait_text(const struct warp *w, const struct fragment *f, char *out, size_t size)
{
    const struct op *op = &w->cta->grid->module->ops[f->pc];
    const char *what = f->state == FRAGMENT_BARRIER ? "at barrier"
                     : f->state == FRAGMENT_WARP_SYNC ? "for lanes of mask"
                                                      : "for lanes of mask";
    int n = snprintf(out, size, f->state == FRAGMENT_BARRIER
                                    ? "; warp %u lanes 0x%08x wait %s %u (line %u)"
                                    : "; warp %u lanes 0x%08x wait %s 0x%08x (line %u)",
                     w->index, f->mask, what, f->wait, op->line);
    return n < 0 ? 0 : (size_t)n < size ? (size_t)n : size - 1;
}

static void report_deadlock(struct cta *cta)
{
    char text[480] = "";
    size_t used = 0;
    struct warp *first = NULL;
    uint32_t gone = 0;
    for (uint32_t i = 0; i < cta->warp_count; i++) {
        struct warp *w = &cta->warps[i];
        gone += w->fragment_count == 0;
        for (uint32_t k = 0; k < w->fragment_count && used + 80 < sizeof text; k++) {
            first = first ? first : w;
            used += wait_text(w, &w->fragments[k], text + used, sizeof text - used);
        }
    }
    if (!first)
        return;
    const struct fragment *f = &first->fragments[0];
    ptxm_finding(first, &cta->grid->module->ops[f->pc], (unsigned)__builtin_ctz(f->mask),
                 RULE_DEADLOCK, NULL, 0, ACCESS_READ, "%s%s; %u warps have exited",
                 ptxm_rule_message(RULE_DEADLOCK), text, gone);
}

void ptxm_cta_report_endless_wait(struct cta *cta)
{
    const struct poll *poll = &cta->poll;
    if (!poll->op)
        return;
    struct place place = {.space = SPACE_GLOBAL, .address = poll->address};
    ptxm_finding(&cta->warps[poll->thread / LANES], poll->op, poll->thread % LANES,
                 RULE_ENDLESS_WAIT, &place, poll->size, ACCESS_READ, "%s",
                 ptxm_rule_message(RULE_ENDLESS_WAIT));
}

static bool over_budget(struct cta *cta)
{
    struct grid *grid = cta->grid;
    uint64_t fresh = cta->counters.warp_instructions - cta->steps;
    cta->steps = cta->counters.warp_instructions;
    if (atomic_fetch_add(&grid->steps, fresh) + fresh <= grid->options.instruction_budget)
        return false;
    for (uint32_t i = 0; i < cta->warp_count; i++) {
        struct warp *w = &cta->warps[i];
        if (!w->fragment_count)
            continue;
        const struct fragment *f = &w->fragments[0];
        ptxm_finding(w, &grid->module->ops[f->pc], (unsigned)__builtin_ctz(f->mask | 1u << 31),
                     RULE_BUDGET, NULL, 0, ACCESS_READ, "%s", ptxm_rule_message(RULE_BUDGET));
        break;
    }
    return true;
}

static bool round_of_warps(struct cta *cta)
{
    uint64_t seed = cta->grid->options.seed;
    uint32_t start = seed ? (uint32_t)(ptxm_random(&cta->random) % cta->warp_count) : 0;
    uint32_t stride = seed && ptxm_random(&cta->random) & 1 ? cta->warp_count - 1 : 1;
    uint64_t left = cta->grid->options.instruction_budget;
    bool moved = false;
    cta->progress = false;
    for (uint32_t i = 0; i < cta->warp_count && !cta->aborted; i++) {
        struct warp *w = &cta->warps[(start + (uint64_t)i * stride) % cta->warp_count];
        uint64_t quantum = seed ? 1 + ptxm_random(&cta->random) % 600 : 3000;
        bool ran = w->fragment_count && ptxm_warp_run(w, quantum < left ? quantum : left);
        w->moved |= ran;
        moved |= ran;
    }
    return moved || cta->progress;
}

static bool all_done(const struct cta *cta)
{
    for (uint32_t i = 0; i < cta->warp_count; i++)
        if (cta->warps[i].fragment_count)
            return false;
    return true;
}

static void begin_turn(struct cta *cta)
{
    cta->polls = 0;
    cta->changed = false;
    for (uint32_t i = 0; i < cta->warp_count; i++)
        cta->warps[i].moved = cta->warps[i].polled = false;
}

static void end_turn(struct cta *cta)
{
    for (uint32_t i = 0; i < cta->warp_count; i++)
        cta->changed |= cta->warps[i].moved && !cta->warps[i].polled;
}

// Until the end, or until others should run: a CTA that polls may wait for another one.
enum cta_state ptxm_cta_run(struct cta *cta)
{
    begin_turn(cta);
    while (!cta->aborted) {
        bool moved = round_of_warps(cta);
        if (atomic_load_explicit(&cta->grid->abort, memory_order_relaxed) || cta->aborted)
            break;
        if (all_done(cta))
            return CTA_DONE;
        if (over_budget(cta))
            break;
        if (!moved && !ptxm_barrier_force(cta)) {
            report_deadlock(cta);
            break;
        }
        if (cta->polls > POLLS_BEFORE_YIELD) {
            end_turn(cta);
            return CTA_YIELD;
        }
    }
    atomic_store(&cta->grid->abort, true);
    cta->aborted = true;
    return CTA_DONE;
}
