// SPDX-License-Identifier: MIT
// One CTA: its memory and warps, and how findings describe places in it.
#include "mbarrier.h"
#include "profile.h"
#include "shadow.h"
#include "wgmma.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

// ---- making and freeing -------------------------------------------------------------------------

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
    const struct cta *cta = w->cta;
    for (unsigned i = 0; i < 3; i++) {
        broadcast(w, SPECIAL_CLUSTERID_X + i, cta->cluster->id[i]);
        broadcast(w, SPECIAL_NCLUSTERID_X + i, grid->dims[i] / grid->cluster_dims[i]);
        broadcast(w, SPECIAL_CLUSTER_CTAID_X + i,
                  cta->id[i] - cta->cluster->id[i] * grid->cluster_dims[i]);
        broadcast(w, SPECIAL_CLUSTER_NCTAID_X + i, grid->cluster_dims[i]);
    }
    broadcast(w, SPECIAL_CLUSTER_CTARANK, cta->rank);
    broadcast(w, SPECIAL_CLUSTER_NCTARANK, cta->cluster->count);
    // A predicate: its word is all ones or zero.
    broadcast(w, SPECIAL_IS_EXPLICIT_CLUSTER, grid->explicit_cluster ? UINT32_MAX : 0);
    broadcast(w, SPECIAL_ENVREG1, (uint32_t)(grid->workspace >> 32));
    broadcast(w, SPECIAL_ENVREG2, (uint32_t)grid->workspace);
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
    return ptxm_profile_begin(cta) && (grid->options.no_checks || ptxm_shadow_create(cta));
}

struct cta *ptxm_cta_create(struct cluster *cluster, uint32_t rank)
{
    struct grid *grid = cluster->grid;
    const uint32_t *dims = grid->cluster_dims;
    uint32_t within[3] = {rank % dims[0], rank / dims[0] % dims[1], rank / dims[0] / dims[1]};
    struct cta *cta = ptxm_alloc_zero(grid->allocator, sizeof *cta);
    if (!cta)
        return NULL;
    cta->grid = grid;
    cta->cluster = cluster;
    cta->rank = rank;
    for (int i = 0; i < 3; i++) cta->id[i] = cluster->id[i] * dims[i] + within[i];
    cta->index = cta->id[0] + grid->dims[0] * (cta->id[1] + grid->dims[1] * cta->id[2]);
    cta->thread_count = grid->block[0] * grid->block[1] * grid->block[2];
    cta->live_threads = cta->thread_count;
    cta->warp_count = (cta->thread_count + LANES - 1) / LANES;
    cta->shared_size = grid->shared_size;
    cta->random = grid->options.seed * 0x9e3779b97f4a7c15 + cta->index;
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
    ptxm_mbarriers_free(cta);
    ptxm_knowledge_free(a, cta->known_at_exit);
    ptxm_free(a, cta->visits);
    ptxm_shadow_free(cta);
    for (uint32_t i = 0; cta->warps && i < cta->warp_count; i++) {
        struct warp *w = &cta->warps[i];
        ptxm_free(a, w->copies);
        ptxm_free(a, w->flight);
        ptxm_calls_free(w);
    }
    ptxm_wgmma_free(cta);
    ptxm_findings_free(&cta->findings);
    ptxm_profile_end(cta);
    ptxm_free(a, cta->warps);
    ptxm_free(a, cta->registers);
    ptxm_free(a, cta->shared);
    ptxm_free(a, cta->frames);
    ptxm_free(a, cta);
}

// ---- findings -----------------------------------------------------------------------------------

static const char *const kind_names[] = {"read", "write", "atomic", "cp.async read",
                                         "cp.async write", "asynchronous read",
                                         "asynchronous write", "asynchronous reduction",
                                         "mbarrier", "tensor map read"};

const char *ptxm_cta_object(struct cta *cta, enum space space, uint64_t address, uint64_t *offset)
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
                                       ptxm_cta_object(cta, space, address, &out->offset));
}

// Bytes that one lane of this op touches, a power of two to which they are aligned; 0 where the
// text does not tell.
static uint32_t access_bytes(const struct op *op, enum access_kind kind)
{
    step_fn *step = op->watch && op->watch->step ? op->watch->step : op->step;
    if (kind == ACCESS_BARRIER || kind == ACCESS_MAP_READ)
        return kind == ACCESS_BARRIER ? 8 : 128;
    if (step == ptxm_step_ldmatrix || step == ptxm_step_stmatrix)
        return 16;
    if (step == ptxm_step_cp_async)
        return op->immediate;
    if (step == ptxm_step_load || step == ptxm_step_store || step == ptxm_step_st_async)
        return ptxm_type_bits((enum type)op->type) / 8 * op->vector;
    return step == ptxm_step_atomic ? ptxm_type_bits((enum type)op->type) / 8 : 0;
}

void ptxm_describe_stamp(struct cta *cta, struct ptxm_place *out, const struct op *op,
                         uint32_t thread, enum space space, uint64_t address, unsigned bytes,
                         enum access_kind kind)
{
    uint32_t size = access_bytes(op, kind);
    address += bytes ? (unsigned)__builtin_ctz(bytes) : 0;
    ptxm_describe(cta, out, op, thread, space, size ? address & ~(uint64_t)(size - 1) : address,
                  size, kind);
}

void ptxm_finding(struct warp *w, const struct op *op, unsigned lane, enum rule rule,
                  const struct place *place, uint32_t size, enum access_kind kind,
                  const char *format, ...)
{
    char message[768];
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
