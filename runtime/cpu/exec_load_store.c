// SPDX-License-Identifier: MIT
// Loads and stores.
//
// The lanes of a warp mostly touch one piece of memory: the shared segment, one allocation, their
// frames. Such an access is located as a whole, once, and moved by a function over 32 lanes
// (lanes_memory.c). All others, and everything that is wrong with an access, go lane by lane.
#include "lanes.h"
#include "shadow.h"

#include <string.h>

enum { MOST_ELEMENTS = 8, MOST_BYTES = 32 }; // of a vector: see decode_memory.c

// ---- a warp's access as a whole -----------------------------------------------------------------

// A piece of memory that all lanes of an access lie in, as far as their first one tells.
struct piece {
    enum space space;
    uint8_t *host;     // of its start
    uint64_t start;    // its address in the space: a multiple of every access's size
    uint64_t window;   // what a generic address has on top of that
    uint64_t from, to; // the bytes that may be touched, from its start
    uint64_t pitch;    // local memory: how far a lane's bytes are from those of the one before
    struct allocation *allocation;
    uint32_t least, most; // of the addresses, from its start
    struct lane_span span;
};

static bool in_global(struct cta *cta, struct piece *p, enum space space, uint64_t address,
                      bool writes)
{
    struct allocation *a = cta->last_allocation;
    if (!a || address - a->base >= a->size) {
        a = ptxm_device_find(cta->grid->device, address);
        if (!a || !a->host || address - a->base >= a->size)
            return false;
        cta->last_allocation = a;
    }
    p->space = space;
    p->host = a->host;
    p->start = a->base;
    p->to = a->size;
    p->allocation = a;
    return !writes || !a->read_only;
}

static bool in_shared(const struct cta *cta, struct piece *p)
{
    p->space = SPACE_SHARED;
    p->host = cta->shared;
    p->from = SHARED_START;
    p->to = cta->shared_size;
    return true;
}

static bool in_frames(const struct warp *w, struct piece *p)
{
    p->space = SPACE_LOCAL;
    p->pitch = p->to = w->cta->grid->frame_bytes;
    p->host = w->cta->frames + (size_t)ptxm_thread(w, 0) * p->pitch;
    return true;
}

static bool in_params(const struct cta *cta, struct piece *p, bool writes)
{
    p->space = SPACE_PARAM;
    p->host = (uint8_t *)(uintptr_t)cta->grid->params;
    p->to = cta->grid->param_bytes;
    return !writes;
}

static bool find_piece(struct warp *w, struct piece *p, enum space space, uint64_t address,
                       bool writes)
{
    if (space == SPACE_GENERIC) {
        space = address < WINDOW_SHARED ? SPACE_GLOBAL
              : address < WINDOW_LOCAL  ? SPACE_CLUSTER
              : address < WINDOW_PARAM  ? SPACE_LOCAL : SPACE_PARAM;
        p->window = space == SPACE_GLOBAL  ? 0
                  : space == SPACE_CLUSTER ? WINDOW_SHARED
                  : space == SPACE_LOCAL   ? WINDOW_LOCAL : WINDOW_PARAM;
    }
    switch (space) {
    case SPACE_SHARED:
    case SPACE_CLUSTER: return in_shared(w->cta, p); // an address of a peer is out of its bounds
    case SPACE_LOCAL:
    case SPACE_FRAME_PARAM: return in_frames(w, p);
    case SPACE_PARAM: return in_params(w->cta, p, writes);
    default: return in_global(w->cta, p, space, address, writes);
    }
}

// False: the lanes do not lie in one piece, or something is wrong with some of them.
static bool locate(struct warp *w, const struct op *op, uint32_t mask, uint32_t size, bool writes,
                   struct piece *p)
{
    const struct lane_span *s = &p->span;
    p->allocation = NULL;
    p->start = p->window = p->from = p->pitch = 0;
    if (!op->transfer || !find_piece(w, p, (enum space)op->space,
                                     ptxm_address(w, op, (unsigned)__builtin_ctz(mask)), writes))
        return false;
    ptxm_lanes()->span(&p->span, ptxm_src(w, op, op->nsrc - 1u), op->type2 == 8,
                       p->start + p->window - (uint64_t)op->displacement, mask, size);
    p->least = UINT32_MAX, p->most = 0;
    for (int i = 0; i < SPAN_PARTS; i++) {
        p->least = s->least[i] < p->least ? s->least[i] : p->least;
        p->most = s->most[i] > p->most ? s->most[i] : p->most;
    }
    if (s->far || s->bits & (size - 1) || p->least < p->from || (uint64_t)p->most + size > p->to)
        return false;
    if (p->pitch) {
        for (uint32_t i = 0; i < LANES; i++) p->span.at[i] += (uint32_t)(i * p->pitch);
        p->span.in_turn = false;
    }
    return true;
}

// ---- counters -----------------------------------------------------------------------------------

static void add_shared(struct cta *cta, uint32_t wavefronts, uint32_t least)
{
    cta->counters.shared_accesses++;
    cta->counters.shared_wavefronts += wavefronts;
    cta->counters.bank_conflicts += wavefronts - least;
}

static void add_global(struct cta *cta, uint64_t sectors)
{
    cta->counters.global_accesses++;
    cta->counters.global_sectors += sectors;
}

static inline unsigned lanes_a_phase(uint32_t size)
{
    return size >= 16 ? 8 : size == 8 ? 16 : 32;
}

// Shared memory serves 128 bytes a wavefront; two different words of one bank cost one more.
static void count_shared(struct cta *cta, const uint32_t *addresses, uint32_t mask, uint32_t size)
{
    unsigned width = lanes_a_phase(size);
    uint32_t wavefronts = 0, least = 0;
    for (unsigned start = 0; start < LANES; start += width) {
        uint32_t word[32][4], used[32] = {0}, most = 0;
        uint32_t phase = mask >> start & (width == 32 ? UINT32_MAX : (1u << width) - 1);
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
    add_shared(cta, wavefronts, least);
}

// The same for a piece: words within 128 bytes are one wavefront, however the lanes share them.
static void count_shared_piece(struct cta *cta, const struct piece *p, uint32_t mask,
                               uint32_t size)
{
    const struct lane_span *s = &p->span;
    unsigned width = lanes_a_phase(size);
    uint32_t wavefronts = 0;
    for (unsigned start = 0; start < LANES; start += width) {
        uint32_t least = UINT32_MAX, most = 0;
        if (!(mask >> start & (width == 32 ? UINT32_MAX : (1u << width) - 1)))
            continue;
        for (unsigned part = start / 8; part < (start + width) / 8; part++) {
            least = s->least[part] < least ? s->least[part] : least;
            most = s->most[part] > most ? s->most[part] : most;
        }
        if ((most + size - 1) / 4 - least / 4 >= 32)
            return count_shared(cta, s->at, mask, size);
        wavefronts++;
    }
    add_shared(cta, wavefronts, wavefronts);
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
    add_global(cta, sectors);
}

// The same for a piece, exactly where the lanes are within two kilobytes of each other: what a lane
// touches, at most 32 bytes, lies within one sector.
static void count_global_piece(struct cta *cta, const struct piece *p, uint32_t mask,
                               uint32_t size)
{
    const struct lane_span *s = &p->span;
    uint64_t addresses[LANES], touched = 0, first = (p->start + p->least) >> 5;
    if (s->in_turn)
        return add_global(cta, ((p->start + p->most) >> 5) - first + 1);
    if (p->most - p->least < 2048 - 32) {
        FOR_LANES (lane, mask)
            touched |= (uint64_t)1 << (((p->start + s->at[lane]) >> 5) - first);
        return add_global(cta, (uint64_t)__builtin_popcountll(touched));
    }
    FOR_LANES (lane, mask)
        addresses[lane] = p->start + s->at[lane];
    count_global(cta, addresses, mask, size);
}

static void count_piece(struct warp *w, const struct piece *p, uint32_t mask, uint32_t size)
{
    if (w->cta->grid->options.no_counters)
        return;
    if (p->space == SPACE_SHARED)
        count_shared_piece(w->cta, p, mask, size);
    else if (p->space == SPACE_GLOBAL)
        count_global_piece(w->cta, p, mask, size);
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

static inline bool checked(enum space space)
{
    return space == SPACE_SHARED || space == SPACE_GLOBAL;
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

static struct place start_of(const struct piece *p)
{
    return (struct place){p->host, p->space, p->start, p->allocation, NULL};
}

static void load_piece(struct warp *w, const struct op *op, uint32_t mask, uint32_t size,
                       const struct piece *p)
{
    void *registers[MOST_ELEMENTS];
    for (unsigned k = 0; k < op->vector; k++) registers[k] = ptxm_dst(w, op, k);
    op->transfer(registers, p->host, &p->span, mask, op->vector);
    count_piece(w, p, mask, size);
    if (w->cta->shadow && checked(p->space)) {
        struct place start = start_of(p);
        ptxm_shadow_lanes(w, op, mask, &start, p->span.at, size, ACCESS_READ, NULL, 0);
    }
}

static enum step_result load_by_lane(struct warp *w, const struct op *op, uint32_t mask,
                                     unsigned bytes, unsigned size)
{
    static const uint8_t zeros[MOST_BYTES];
    struct accesses seen = {.global_mask = 0};
    bool strong = is_strong(op), shadow = w->cta->shadow != NULL;
    lock(w, strong);
    FOR_LANES (lane, mask) {
        struct place p = ptxm_place(w, op, lane, (enum space)op->space,
                                      ptxm_address(w, op, lane), size, size, ACCESS_READ);
        const uint8_t *from = p.host ? p.host : zeros;
        for (unsigned k = 0; k < op->vector; k++) put(w, op, k, lane, from + k * bytes, bytes);
        if (!p.host || !checked(p.space))
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

enum step_result ptxm_step_load(struct warp *w, const struct op *op, uint32_t mask)
{
    unsigned bytes = ptxm_type_bits((enum type)op->type) / 8, size = bytes * op->vector;
    struct piece p;
    if (is_strong(op) || !locate(w, op, mask, size, false, &p))
        return load_by_lane(w, op, mask, bytes, size);
    load_piece(w, op, mask, size, &p);
    return STEP_NEXT;
}

// What a lane stores, as it will lie in memory.
static inline void lane_bytes(const struct warp *w, const struct op *op, unsigned lane,
                              unsigned bytes, uint8_t *value)
{
    for (unsigned k = 0; k < op->vector; k++)
        memcpy(value + k * bytes,
               (const uint8_t *)ptxm_src(w, op, k) + (size_t)lane * op->dst_bytes, bytes);
}

static void mark_initialised(const struct piece *p, uint32_t mask, uint32_t size)
{
    uint8_t *bytes = p->allocation->initialised;
    if (p->span.in_turn) {
        memset(bytes + p->least, 1, (size_t)LANES * size);
        return;
    }
    FOR_LANES (lane, mask)
        memset(bytes + p->span.at[lane], 1, size);
}

static void show_store(struct warp *w, const struct op *op, uint32_t mask, unsigned bytes,
                       uint32_t size, const struct piece *p)
{
    struct place start = start_of(p);
    uint8_t values[LANES][MOST_BYTES];
    const uint8_t *first = ptxm_src(w, op, 0);
    if (op->vector == 1) { // the register's lanes begin with what is stored
        ptxm_shadow_lanes(w, op, mask, &start, p->span.at, size, ACCESS_WRITE, first,
                          op->dst_bytes);
        return;
    }
    FOR_LANES (lane, mask)
        lane_bytes(w, op, lane, bytes, values[lane]);
    ptxm_shadow_lanes(w, op, mask, &start, p->span.at, size, ACCESS_WRITE, values[0], MOST_BYTES);
}

static void store_piece(struct warp *w, const struct op *op, uint32_t mask, unsigned bytes,
                        uint32_t size, const struct piece *p)
{
    void *registers[MOST_ELEMENTS];
    bool shared = checked(p->space);
    if (shared && w->cta->shadow)
        show_store(w, op, mask, bytes, size, p);
    for (unsigned k = 0; k < op->vector; k++)
        registers[k] = (void *)(uintptr_t)ptxm_src(w, op, k);
    op->transfer(registers, p->host, &p->span, mask, op->vector);
    if (p->allocation)
        mark_initialised(p, mask, size);
    // Local memory is nobody else's: a loop that polls and counts turns still only polls.
    w->cta->stirred |= shared;
    w->cta->changed |= shared;
    count_piece(w, p, mask, size);
}

static enum step_result store_by_lane(struct warp *w, const struct op *op, uint32_t mask,
                                      unsigned bytes, unsigned size)
{
    struct accesses seen = {.global_mask = 0};
    bool strong = is_strong(op), shadow = w->cta->shadow != NULL;
    lock(w, strong);
    FOR_LANES (lane, mask) {
        uint8_t value[MOST_BYTES];
        struct place p = ptxm_place(w, op, lane, (enum space)op->space,
                                      ptxm_address(w, op, lane), size, size, ACCESS_WRITE);
        if (!p.host)
            continue;
        lane_bytes(w, op, lane, bytes, value);
        if (checked(p.space)) {
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

enum step_result ptxm_step_store(struct warp *w, const struct op *op, uint32_t mask)
{
    unsigned bytes = ptxm_type_bits((enum type)op->type) / 8, size = bytes * op->vector;
    struct piece p;
    if (is_strong(op) || !locate(w, op, mask, size, true, &p))
        return store_by_lane(w, op, mask, bytes, size);
    store_piece(w, op, mask, bytes, size, &p);
    return STEP_NEXT;
}
