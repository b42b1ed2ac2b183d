// SPDX-License-Identifier: MIT
// Addresses and bounds: where in host memory an access of one lane lands, or what is wrong with it.
//
// Every lane's access is resolved to host memory (ptxm_resolve), shown to the shadow, then done.
// A lane whose address is refused reads zero and writes nothing, so that a run goes on and shows
// more than one mistake.
#include "shadow.h"

#include <string.h>

static struct place refuse(struct warp *w, const struct op *op, unsigned lane, enum rule rule,
                           struct place place, uint32_t size, enum access_kind kind)
{
    struct allocation *a = rule == RULE_BOUNDS_GLOBAL || rule == RULE_BOUNDS_FREED
                               ? ptxm_device_find(w->cta->grid->device, place.address) : NULL;
    place.host = NULL;
    place.allocation = a;
    if (rule == RULE_BOUNDS_GLOBAL && a)
        ptxm_finding(w, op, lane, rule, &place, size, kind,
                     "access of %u bytes at 0x%llx, outside of every global allocation: %llu bytes "
                     "after the start of '%s', which has %llu",
                     size, (unsigned long long)place.address,
                     (unsigned long long)(place.address - a->base), a->name,
                     (unsigned long long)a->size);
    else if (rule == RULE_BOUNDS_SHARED)
        ptxm_finding(w, op, lane, rule, &place, size, kind,
                     "access of %u bytes at shared offset %lld; the launch has %u bytes", size,
                     (long long)(place.address - SHARED_START),
                     w->cta->shared_size - SHARED_START);
    else if (rule == RULE_MISALIGNED)
        ptxm_finding(w, op, lane, rule, &place, size, kind,
                     "the address 0x%llx of this %u-byte access is not a multiple of its size",
                     (unsigned long long)place.address, size);
    else
        ptxm_finding(w, op, lane, rule, &place, size, kind, "%s", ptxm_rule_message(rule));
    return place;
}

static struct place resolve_global(struct warp *w, const struct op *op, unsigned lane,
                                   struct place place, uint32_t size, enum access_kind kind)
{
    struct allocation *a = w->cta->last_allocation;
    if (!a || place.address - a->base >= a->size) {
        a = ptxm_device_find(w->cta->grid->device, place.address);
        if (!a || place.address - a->base >= a->size)
            return refuse(w, op, lane, RULE_BOUNDS_GLOBAL, place, size, kind);
        if (!a->host)
            return refuse(w, op, lane, RULE_BOUNDS_FREED, place, size, kind);
        w->cta->last_allocation = a;
    }
    if (size > a->size - (place.address - a->base))
        return refuse(w, op, lane, RULE_BOUNDS_GLOBAL, place, size, kind);
    if (a->read_only && kind != ACCESS_READ && kind != ACCESS_COPY_READ &&
        kind != ACCESS_ASYNC_READ && kind != ACCESS_MAP_READ)
        return refuse(w, op, lane, RULE_READ_ONLY, place, size, kind);
    place.allocation = a;
    place.host = a->host + (place.address - a->base);
    return place;
}

// Shared memory of the cluster: a rank, plus one, above an offset; no rank means one's own.
static struct place resolve_cluster(struct warp *w, const struct op *op, unsigned lane,
                                    struct place place, uint32_t size, enum access_kind kind)
{
    const struct cluster *c = w->cta->cluster;
    uint64_t rank = place.address >> PEER_SHIFT;
    place.space = SPACE_SHARED;
    place.address &= ((uint64_t)1 << PEER_SHIFT) - 1;
    struct cta *peer = !rank ? w->cta : rank <= c->count ? c->ctas[rank - 1] : NULL;
    if (!peer || place.address < SHARED_START || place.address > peer->shared_size ||
        size > peer->shared_size - place.address)
        return refuse(w, op, lane, RULE_BOUNDS_SHARED, place, size, kind);
    place.owner = peer == w->cta ? NULL : peer;
    if (place.owner && !ptxm_peer_lives(w, op, lane, peer, &place, size, kind))
        return (struct place){.space = SPACE_SHARED, .address = place.address};
    place.host = peer->shared + place.address;
    return place;
}

static struct place resolve_linear(struct warp *w, const struct op *op, unsigned lane,
                                   struct place place, uint32_t size, enum access_kind kind,
                                   uint8_t *host, uint64_t limit, enum rule rule)
{
    if (place.address > limit || size > limit - place.address)
        return refuse(w, op, lane, rule, place, size, kind);
    place.host = host + place.address;
    return place;
}

struct place ptxm_resolve(struct warp *w, const struct op *op, unsigned lane, enum space space,
                          uint64_t address, uint32_t size, uint32_t align, enum access_kind kind)
{
    const struct grid *grid = w->cta->grid;
    if (space == SPACE_GENERIC) {
        space = address < WINDOW_SHARED ? SPACE_GLOBAL
              : address < WINDOW_LOCAL  ? SPACE_CLUSTER
              : address < WINDOW_PARAM  ? SPACE_LOCAL : SPACE_PARAM;
        if (space != SPACE_GLOBAL)
            address -= space == SPACE_CLUSTER ? WINDOW_SHARED
                     : space == SPACE_LOCAL  ? WINDOW_LOCAL : WINDOW_PARAM;
    }
    struct place place = {.space = space, .address = address};
    if (address & (align - 1))
        return refuse(w, op, lane, RULE_MISALIGNED, place, align, kind);
    switch (space) {
    case SPACE_CLUSTER: return resolve_cluster(w, op, lane, place, size, kind);
    case SPACE_SHARED:
        // An explicit shared address may also be written with its generic upper half cut off.
        if (address < SHARED_START)
            return refuse(w, op, lane, RULE_BOUNDS_SHARED, place, size, kind);
        return resolve_linear(w, op, lane, place, size, kind, w->cta->shared, w->cta->shared_size,
                              RULE_BOUNDS_SHARED);
    case SPACE_LOCAL:
    case SPACE_FRAME_PARAM:
        if (address >= grid->frame_bytes && w->calls && w->calls[lane].memory_bytes) {
            // The variables of functions that call themselves.
            place.address -= grid->frame_bytes;
            place = resolve_linear(w, op, lane, place, size, kind, w->calls[lane].memory,
                                   w->calls[lane].memory_bytes, RULE_BOUNDS_LOCAL);
            place.address = address;
            return place;
        }
        return resolve_linear(w, op, lane, place, size, kind,
                              w->cta->frames + (size_t)ptxm_thread(w, lane) * grid->frame_bytes,
                              grid->frame_bytes, RULE_BOUNDS_LOCAL);
    case SPACE_PARAM:
        if (kind != ACCESS_READ)
            return refuse(w, op, lane, RULE_BOUNDS_PARAM, place, size, kind);
        return resolve_linear(w, op, lane, place, size, kind, (uint8_t *)(uintptr_t)grid->params,
                              grid->param_bytes, RULE_BOUNDS_PARAM);
    default:
        return resolve_global(w, op, lane, place, size, kind);
    }
}
