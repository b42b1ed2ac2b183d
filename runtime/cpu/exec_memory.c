// SPDX-License-Identifier: MIT
// Addresses, bounds, loads and stores.
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

// ---- counters -----------------------------------------------------------------------------------

// Shared memory serves 128 bytes a wavefront; two different words of one bank cost one more.
static void count_shared(struct cta *cta, const uint32_t *addresses, uint32_t mask, uint32_t size)
{
    unsigned lanes_a_phase = size >= 16 ? 8 : size == 8 ? 16 : 32;
    uint32_t wavefronts = 0, least = 0;
    for (unsigned start = 0; start < LANES; start += lanes_a_phase) {
        uint32_t word[32][4], used[32] = {0}, most = 0;
        uint32_t phase = mask >> start & (lanes_a_phase == 32 ? UINT32_MAX
                                                              : (1u << lanes_a_phase) - 1);
        FOR_LANES (i, phase) {
            uint32_t first = addresses[start + i] >> 2;
            for (uint32_t k = 0; k < (size + 3) / 4; k++) {
                uint32_t bank = (first + k) & 31, at = 0;
                while (at < used[bank] && at < 4 && word[bank][at] != first + k) at++;
                if (at == used[bank] || at == 4) {
                    if (used[bank] < 4)
                        word[bank][used[bank]] = first + k;
                    used[bank]++;
                    most = used[bank] > most ? used[bank] : most;
                }
            }
        }
        wavefronts += most;
        least += phase != 0;
    }
    cta->counters.shared_accesses++;
    cta->counters.shared_wavefronts += wavefronts;
    cta->counters.bank_conflicts += wavefronts - least;
}

// Sectors of 32 bytes; lanes are mostly ascending, so comparing with the last few suffices.
static void count_global(struct cta *cta, const uint64_t *addresses, uint32_t mask, uint32_t size)
{
    uint64_t recent[8] = {0}, sectors = 0;
    unsigned next = 0;
    FOR_LANES (lane, mask) {
        for (uint64_t s = addresses[lane] >> 5; s <= (addresses[lane] + size - 1) >> 5; s++) {
            bool seen = false;
            for (int k = 0; k < 8; k++) seen |= recent[k] == s + 1;
            if (seen)
                continue;
            recent[next++ & 7] = s + 1;
            sectors++;
        }
    }
    cta->counters.global_accesses++;
    cta->counters.global_sectors += sectors;
}

struct accesses {
    uint64_t global[LANES];
    uint32_t shared[LANES];
    uint32_t global_mask, shared_mask;
};

static inline void remember(struct accesses *a, unsigned lane, const struct place *p)
{
    if (p->space == SPACE_SHARED) {
        a->shared[lane] = (uint32_t)p->address;
        a->shared_mask |= 1u << lane;
    } else if (p->space == SPACE_GLOBAL) {
        a->global[lane] = p->address;
        a->global_mask |= 1u << lane;
    }
}

static void count(struct warp *w, const struct accesses *a, uint32_t size)
{
    if (w->cta->grid->options.no_counters)
        return;
    if (a->shared_mask)
        count_shared(w->cta, a->shared, a->shared_mask, size);
    if (a->global_mask)
        count_global(w->cta, a->global, a->global_mask, size);
}

// ---- loads and stores ---------------------------------------------------------------------------

static inline bool checked(const struct place *p)
{
    return p->space == SPACE_SHARED || p->space == SPACE_GLOBAL;
}

static inline void put(struct warp *w, const struct op *op, unsigned k, unsigned lane,
                       const uint8_t *from, unsigned bytes)
{
    void *d = ptxm_dst(w, op, k);
    uint64_t value = 0;
    if (op->dst_bytes == 4 && bytes == 4) {
        memcpy((uint32_t *)d + lane, from, 4);
        return;
    }
    if (bytes == 16) {
        memcpy((uint8_t *)d + 16 * lane, from, 16);
        return;
    }
    memcpy(&value, from, bytes);
    switch (op->type) {
    case T_S8: value = (uint64_t)(int64_t)(int8_t)value; break;
    case T_S16: value = (uint64_t)(int64_t)(int16_t)value; break;
    case T_S32: value = (uint64_t)(int64_t)(int32_t)value; break;
    default: break;
    }
    if (op->dst_bytes == 8)
        ((uint64_t *)d)[lane] = value;
    else
        ((uint32_t *)d)[lane] = (uint32_t)value;
}

static inline bool is_strong(const struct op *op)
{
    return op->sem >= SEM_VOLATILE;
}

static void lock(struct warp *w, bool strong)
{
    if (strong && w->cta->grid->options.threads > 1)
        pthread_mutex_lock(&w->cta->grid->lock);
}

static void unlock(struct warp *w, bool strong)
{
    if (strong && w->cta->grid->options.threads > 1)
        pthread_mutex_unlock(&w->cta->grid->lock);
}

enum step_result ptxm_step_load(struct warp *w, const struct op *op, uint32_t mask)
{
    static const uint8_t zeros[64];
    unsigned bytes = ptxm_type_bits((enum type)op->type) / 8, size = bytes * op->vector;
    struct accesses seen = {.global_mask = 0};
    bool strong = is_strong(op), shadow = w->cta->shadow != NULL;
    lock(w, strong);
    FOR_LANES (lane, mask) {
        struct place p = ptxm_place(w, op, lane, (enum space)op->space,
                                      ptxm_address(w, op, lane), size, size, ACCESS_READ);
        const uint8_t *from = p.host ? p.host : zeros;
        for (unsigned k = 0; k < op->vector; k++) put(w, op, k, lane, from + k * bytes, bytes);
        if (!p.host || !checked(&p))
            continue;
        remember(&seen, lane, &p);
        if (strong)
            ptxm_note_poll(w, op, lane, &p, size);
        if (shadow)
            ptxm_shadow_access(w, op, lane, &p, size, ACCESS_READ, NULL);
        if (strong && shadow)
            ptxm_clock_strong(w, op, lane, &p, true, false);
    }
    unlock(w, strong);
    if (strong && seen.global_mask)
        w->cta->polls++;
    count(w, &seen, size);
    return STEP_NEXT;
}

enum step_result ptxm_step_store(struct warp *w, const struct op *op, uint32_t mask)
{
    unsigned bytes = ptxm_type_bits((enum type)op->type) / 8, size = bytes * op->vector;
    struct accesses seen = {.global_mask = 0};
    bool strong = is_strong(op), shadow = w->cta->shadow != NULL;
    lock(w, strong);
    FOR_LANES (lane, mask) {
        uint8_t value[72];
        struct place p = ptxm_place(w, op, lane, (enum space)op->space,
                                      ptxm_address(w, op, lane), size, size, ACCESS_WRITE);
        if (!p.host)
            continue;
        for (unsigned k = 0; k < op->vector; k++)
            memcpy(value + k * bytes,
                   (const uint8_t *)ptxm_src(w, op, k) + (size_t)lane * op->dst_bytes, bytes);
        if (checked(&p)) {
            remember(&seen, lane, &p);
            w->cta->stirred = true;
            if (shadow)
                ptxm_shadow_access(w, op, lane, &p, size, ACCESS_WRITE, value);
            if (strong && shadow)
                ptxm_clock_strong(w, op, lane, &p, false, true);
        }
        memcpy(p.host, value, size);
        if (p.allocation)
            memset(p.allocation->initialised + (p.address - p.allocation->base), 1, size);
    }
    unlock(w, strong);
    // Local memory is nobody else's: a loop that polls and counts turns still only polls.
    w->cta->changed |= (seen.global_mask | seen.shared_mask) != 0;
    count(w, &seen, size);
    return STEP_NEXT;
}
