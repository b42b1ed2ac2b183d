// SPDX-License-Identifier: MIT
// Tensor maps that kernels change: tensormap.replace, tensormap.cp_fenceproxy, the fences of the
// tensormap proxy, and what a copy that uses such a map has acquired.
#include "engine.h"
#include "tensor_map.h"

#include <string.h>

enum { MAP_BYTES = sizeof(struct ptxm_tensor_map) };

static struct place map_at(struct warp *w, const struct op *op, unsigned lane, enum space space,
                           uint64_t address, enum access_kind kind)
{
    struct place p = ptxm_resolve(w, op, lane, space, address, MAP_BYTES, 64, kind);
    if (p.host && p.space != SPACE_GLOBAL && (p.space != SPACE_SHARED || p.owner)) {
        ptxm_finding(w, op, lane, RULE_TENSOR_MAP, &p, MAP_BYTES, kind,
                     "a tensor map that is changed lies in global memory or in the CTA's own "
                     "shared memory");
        p.host = NULL;
    }
    return p;
}

static void changed(struct warp *w, const struct op *op, unsigned lane, const struct place *p)
{
    if (w->cta->shadow)
        ptxm_shadow_access(w, op, lane, p, MAP_BYTES, ACCESS_WRITE, NULL);
    if (p->allocation)
        memset(p->allocation->initialised + (p->address - p->allocation->base), WRITTEN_MAP,
               MAP_BYTES);
    w->cta->stirred = w->cta->changed = true;
}

// ---- tensormap.replace --------------------------------------------------------------------------

static uint64_t new_value(const struct warp *w, const struct op *op, unsigned lane)
{
    if (op->nsrc == 1)
        return op->target; // a constant
    const void *value = ptxm_src(w, op, 0);
    return op->type == T_B64 ? ((const uint64_t *)value)[lane] : ((const uint32_t *)value)[lane];
}

// A weak access to all of the map.
enum step_result ptxm_step_map_replace(struct warp *w, const struct op *op, uint32_t mask)
{
    FOR_LANES (lane, mask) {
        struct place p = map_at(w, op, lane, (enum space)op->space, ptxm_address(w, op, lane),
                                ACCESS_WRITE);
        if (!p.host)
            return STEP_ABORT;
        if (w->cta->shadow)
            ptxm_shadow_access(w, op, lane, &p, MAP_BYTES, ACCESS_READ, NULL);
        changed(w, op, lane, &p);
        const char *wrong = ptxm_tensor_map_replace(p.host, op->mode, op->immediate,
                                                    new_value(w, op, lane));
        if (wrong) {
            ptxm_finding(w, op, lane, RULE_TENSOR_MAP, &p, MAP_BYTES, ACCESS_WRITE, "%s: %s",
                         ptxm_rule_message(RULE_TENSOR_MAP), wrong);
            return STEP_ABORT;
        }
    }
    return STEP_NEXT;
}

// ---- fences -------------------------------------------------------------------------------------

static void release(struct warp *w, const struct op *op, uint32_t mask)
{
    bool wide = op->scope >= SCOPE_CLUSTER;
    ptxm_clock_proxy_fence(w, mask, FENCES_MAPS | (wide ? FENCES_MAPS_WIDE : 0));
    ptxm_clock_fence(w, mask, (enum scope)op->scope);
}

// Lanes that acquire the same map and know the same share an entry.
static void acquire(struct warp *w, unsigned lane, uint64_t address)
{
    struct shadow *s = w->cta->shadow;
    struct allocator *a = s->allocator;
    struct knowledge *know = ptxm_knowledge_join(a, s->base,
                                                 s->threads[ptxm_thread(w, lane)].know);
    size_t kept = 0;
    for (size_t i = 0; i < s->acquire_count; i++) {
        struct map_acquire *x = &s->acquires[i];
        if (x->address == address && x->warp == w->index)
            x->lanes &= ~(1u << lane);
        if (x->lanes)
            s->acquires[kept++] = *x;
        else
            ptxm_knowledge_free(a, x->know);
    }
    s->acquire_count = kept;
    struct map_acquire *last = kept ? &s->acquires[kept - 1] : NULL;
    if (last && last->address == address && last->warp == w->index && last->clock == w->clock &&
        last->generation == s->generation && last->know == know) {
        last->lanes |= 1u << lane;
        ptxm_knowledge_free(a, know);
        return;
    }
    if (!PTXM_GROW(a, s->acquires, s->acquire_count, s->acquire_capacity)) {
        ptxm_knowledge_free(a, know);
        return ptxm_cta_out_of_memory(w->cta);
    }
    s->acquires[s->acquire_count++] =
        (struct map_acquire){address, w->index, 1u << lane, s->generation, w->clock, know};
}

// The fence's scope says whom the writes reach; the address: the map that is acquired.
enum step_result ptxm_step_fence_tensormap(struct warp *w, const struct op *op, uint32_t mask)
{
    if (!w->cta->shadow)
        return STEP_NEXT;
    if (op->sem == SEM_RELEASE) {
        release(w, op, mask);
        return STEP_NEXT;
    }
    ptxm_clock_fence(w, mask, (enum scope)op->scope);
    FOR_LANES (lane, mask) {
        struct place p = ptxm_resolve(w, op, lane, SPACE_GENERIC, ptxm_address(w, op, lane),
                                      MAP_BYTES, 64, ACCESS_READ);
        if (p.host && p.space == SPACE_GLOBAL)
            acquire(w, lane, p.address);
    }
    w->clock++;
    return STEP_NEXT;
}

// tensormap.cp_fenceproxy: the warp copies a map from shared to global memory and releases it.
enum step_result ptxm_step_map_copy(struct warp *w, const struct op *op, uint32_t mask)
{
    const struct bulk_form *form = ptxm_bulk_form(op);
    unsigned lane = (unsigned)__builtin_ctz(mask);
    if (ptxm_converge(w, mask, UINT32_MAX) == STEP_BLOCK)
        return STEP_BLOCK;
    struct place to = map_at(w, op, lane, SPACE_GLOBAL,
                             ptxm_bulk_address(w, op, lane, &form->address[BULK_TO]), ACCESS_WRITE);
    struct place from = map_at(w, op, lane, SPACE_SHARED,
                               ptxm_bulk_address(w, op, lane, &form->address[BULK_FROM]),
                               ACCESS_READ);
    if (!to.host || !from.host)
        return STEP_ABORT;
    FOR_LANES (other, mask)
        if (ptxm_bulk_address(w, op, other, &form->address[BULK_TO]) != to.address ||
            ptxm_bulk_address(w, op, other, &form->address[BULK_FROM]) != from.address) {
            ptxm_finding(w, op, other, RULE_TENSOR_MAP, &to, MAP_BYTES, ACCESS_WRITE,
                         "the lanes of the warp do not agree about the addresses");
            return STEP_ABORT;
        }
    if (w->cta->shadow)
        ptxm_shadow_access(w, op, lane, &from, MAP_BYTES, ACCESS_READ, NULL);
    changed(w, op, lane, &to);
    memcpy(to.host, from.host, MAP_BYTES);
    if (w->cta->shadow) {
        ptxm_clock_warp_sync(w, mask);
        release(w, op, mask);
    }
    return STEP_NEXT;
}

// ---- uses ---------------------------------------------------------------------------------------

// What the acquires of this map knew that the lane is behind: a new reference, or NULL. any: there
// is one.
static struct knowledge *acquired(struct warp *w, unsigned lane, uint64_t address, bool *any)
{
    const struct shadow *s = w->cta->shadow;
    struct knowledge *all = NULL;
    for (size_t i = 0; i < s->acquire_count; i++) {
        const struct map_acquire *x = &s->acquires[i];
        bool before = false;
        if (x->address != address)
            continue;
        FOR_LANES (other, x->lanes)
            before = before || ptxm_clock_ordered(w, lane, w->cta, x->generation,
                                                  x->warp * LANES + other, x->clock);
        if (before)
            ptxm_knowledge_absorb(s->allocator, &all, x->know);
        *any |= before;
    }
    return all;
}

// The end of a kernel orders everything but maps: one that an earlier kernel has made is acquired
// before it is used. The letter asks that of every map in global memory.
static void check_acquired(struct warp *w, const struct op *op, unsigned lane,
                           const struct place *p)
{
    const uint8_t *flags = p->allocation->initialised + (p->address - p->allocation->base);
    bool changed_here = memchr(flags, WRITTEN_MAP, MAP_BYTES) != NULL;
    if (changed_here || w->cta->grid->options.strict)
        ptxm_finding(w, op, lane, RULE_PROXY_TENSORMAP, p, MAP_BYTES, ACCESS_MAP_READ,
                     "%s: nobody has acquired it in this CTA%s",
                     ptxm_rule_message(RULE_PROXY_TENSORMAP),
                     changed_here ? "" : "; the host has written it, which the letter of the ISA "
                                         "does not excuse");
}

void ptxm_map_use(struct warp *w, const struct op *op, unsigned lane, const struct place *place)
{
    struct shadow *s = w->cta->shadow;
    bool any = false;
    struct knowledge *know = acquired(w, lane, place->address, &any);
    size_t id = s->use_count + !s->use_count;
    for (size_t i = 1; i < s->use_count && id == s->use_count; i++)
        if (s->uses[i].know == know)
            id = i;
    if (id < s->use_count) {
        ptxm_knowledge_free(s->allocator, know);
    } else {
        s->use_count = id; // 0 is no id
        if (!PTXM_GROW(s->allocator, s->uses, s->use_count, s->use_capacity)) {
            ptxm_knowledge_free(s->allocator, know);
            return ptxm_cta_out_of_memory(w->cta);
        }
        s->uses[s->use_count++] = (struct map_use){know};
    }
    ptxm_shadow_map_read(w, op, lane, (uint32_t)id, place);
    if (!any && !place->allocation->read_only)
        check_acquired(w, op, lane, place);
}

void ptxm_maps_free(struct shadow *s)
{
    for (size_t i = 0; i < s->acquire_count; i++)
        ptxm_knowledge_free(s->allocator, s->acquires[i].know);
    for (size_t i = 1; i < s->use_count; i++)
        ptxm_knowledge_free(s->allocator, s->uses[i].know);
    ptxm_free(s->allocator, s->acquires);
    ptxm_free(s->allocator, s->uses);
}
