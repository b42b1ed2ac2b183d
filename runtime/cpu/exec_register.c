// SPDX-License-Identifier: MIT
// Register instructions that do not have the shape of a lane function: more results or operands
// than that, or values that the machine has to look up.
#include "machine.h"

#include <string.h>
#include <time.h>

typedef unsigned __int128 wide;

enum step_result ptxm_step_carry(struct warp *w, const struct op *op, uint32_t mask)
{
    unsigned bits = ptxm_type_bits((enum type)op->type);
    bool is_signed = ptxm_type_class((enum type)op->type) == 's';
    enum carry_op { ADD, ADDC, SUB, SUBC, MAD_LO, MAD_HI, MADC_LO, MADC_HI } mode = op->mode;
    uint32_t *cc = ptxm_dst(w, op, 1), out = 0;
    wide limit = (wide)1 << bits;
    FOR_LANES (lane, mask)
    {
        wide v[3] = {0};
        for (unsigned k = 0; k + 1 < op->nsrc; k++)
            v[k] = bits == 64 ? ((const uint64_t *)ptxm_src(w, op, k))[lane]
                              : ((const uint32_t *)ptxm_src(w, op, k))[lane];
        wide carry = *cc >> lane & 1, r;
        if (mode >= MAD_LO) {
            wide product = v[0] * v[1];
            if (is_signed && bits == 64)
                product = (wide)((__int128)(int64_t)v[0] * (int64_t)v[1]);
            else if (is_signed)
                product = (wide)(__int128)((int64_t)(int32_t)v[0] * (int32_t)v[1]);
            bool high = mode == MAD_HI || mode == MADC_HI;
            r = ((high ? product >> bits : product) & (limit - 1)) + v[2] +
                (mode >= MADC_LO ? carry : 0);
        } else if (mode == ADD || mode == ADDC) {
            r = v[0] + v[1] + (mode == ADDC ? carry : 0);
        } else {
            // The condition code of a subtraction is its borrow.
            r = v[0] - v[1] - (mode == SUBC ? carry : 0);
        }
        out |= (uint32_t)(r >> bits & 1) << lane;
        if (bits == 64)
            ((uint64_t *)ptxm_dst(w, op, 0))[lane] = (uint64_t)r;
        else
            ((uint32_t *)ptxm_dst(w, op, 0))[lane] = (uint32_t)r;
    }
    if (op->flags)
        *cc = (*cc & ~mask) | (out & mask);
    return STEP_NEXT;
}

static uint64_t insert(uint64_t a, uint64_t b, uint32_t position, uint32_t length, unsigned width)
{
    position &= 0xff;
    length &= 0xff;
    if (!length || position >= width)
        return b;
    uint64_t field = length >= 64 ? UINT64_MAX : ((uint64_t)1 << length) - 1;
    field <<= position;
    return (b & ~field) | (a << position & field);
}

enum step_result ptxm_step_bfi(struct warp *w, const struct op *op, uint32_t mask)
{
    const uint32_t *position = ptxm_src(w, op, 2), *length = ptxm_src(w, op, 3);
    if (ptxm_type_bits((enum type)op->type) == 64) {
        uint64_t *d = ptxm_dst(w, op, 0);
        const uint64_t *a = ptxm_src(w, op, 0), *b = ptxm_src(w, op, 1);
        FOR_LANES (i, mask)
            d[i] = insert(a[i], b[i], position[i], length[i], 64);
    } else {
        uint32_t *d = ptxm_dst(w, op, 0);
        const uint32_t *a = ptxm_src(w, op, 0), *b = ptxm_src(w, op, 1);
        FOR_LANES (i, mask)
            d[i] = (uint32_t)insert(a[i], b[i], position[i], length[i], 32);
    }
    return STEP_NEXT;
}

static unsigned slot(unsigned bytes)
{
    return bytes < 4 ? 4 : bytes;
}

// immediate: bytes of a part; mode: bytes of the whole
enum step_result ptxm_step_pack(struct warp *w, const struct op *op, uint32_t mask)
{
    unsigned part = op->immediate, whole = op->mode;
    uint8_t *d = ptxm_dst(w, op, 0);
    FOR_LANES (lane, mask)
    {
        uint8_t value[16] = {0};
        for (unsigned k = 0; k < op->nsrc; k++)
            memcpy(value + k * part, (const uint8_t *)ptxm_src(w, op, k) + lane * slot(part), part);
        memcpy(d + lane * slot(whole), value, slot(whole));
    }
    return STEP_NEXT;
}

enum step_result ptxm_step_unpack(struct warp *w, const struct op *op, uint32_t mask)
{
    unsigned part = op->immediate, whole = op->mode;
    const uint8_t *s = ptxm_src(w, op, 0);
    FOR_LANES (lane, mask)
    {
        for (unsigned k = 0; k < op->ndst; k++) {
            uint8_t value[16] = {0};
            memcpy(value, s + lane * slot(whole) + k * part, part);
            memcpy((uint8_t *)ptxm_dst(w, op, k) + lane * slot(part), value, slot(part));
        }
    }
    return STEP_NEXT;
}

static uint64_t special_value(const struct warp *w, unsigned special)
{
    struct timespec now;
    // The clock counts what this CTA has executed: reproducible, and it moves.
    uint64_t clock = w->cta->steps + w->cta->counters.warp_instructions;
    switch (special) {
    case SPECIAL_CLOCK: return (uint32_t)clock;
    case SPECIAL_CLOCK_HI: return clock >> 32;
    case SPECIAL_CLOCK64: return clock;
    case SPECIAL_GRIDID: return 1;
    default: break;
    }
    clock_gettime(CLOCK_MONOTONIC, &now);
    uint64_t time = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
    if (special == SPECIAL_GLOBALTIMER_LO)
        return (uint32_t)time;
    return special == SPECIAL_GLOBALTIMER_HI ? time >> 32 : time;
}

enum step_result ptxm_step_mov_special(struct warp *w, const struct op *op, uint32_t mask)
{
    uint64_t value = special_value(w, op->mode);
    w->cta->polls++;
    w->cta->changed = true; // a wait for a time ends by itself
    FOR_LANES (lane, mask)
    {
        if (op->dst_bytes == 8)
            ((uint64_t *)ptxm_dst(w, op, 0))[lane] = value;
        else
            ((uint32_t *)ptxm_dst(w, op, 0))[lane] = (uint32_t)value;
    }
    return STEP_NEXT;
}

static uint64_t window(enum space space)
{
    switch (space) {
    case SPACE_SHARED:
    case SPACE_CLUSTER: return WINDOW_SHARED;
    case SPACE_LOCAL: return WINDOW_LOCAL;
    case SPACE_PARAM: return WINDOW_PARAM;
    default: return 0;
    }
}

// flags: 1 for cvta.to
enum step_result ptxm_step_cvta(struct warp *w, const struct op *op, uint32_t mask)
{
    uint64_t offset = window((enum space)op->space);
    offset = op->flags ? 0 - offset : offset;
    FOR_LANES (lane, mask)
    {
        if (op->dst_bytes == 8)
            ((uint64_t *)ptxm_dst(w, op, 0))[lane] =
                ((const uint64_t *)ptxm_src(w, op, 0))[lane] + offset;
        else
            ((uint32_t *)ptxm_dst(w, op, 0))[lane] = ((const uint32_t *)ptxm_src(w, op, 0))[lane];
    }
    return STEP_NEXT;
}

enum step_result ptxm_step_isspacep(struct warp *w, const struct op *op, uint32_t mask)
{
    uint32_t *d = ptxm_dst(w, op, 0), out = 0;
    FOR_LANES (lane, mask)
    {
        uint64_t a = op->mode == 8 ? ((const uint64_t *)ptxm_src(w, op, 0))[lane]
                                   : ((const uint32_t *)ptxm_src(w, op, 0))[lane];
        uint64_t base = window((enum space)op->space);
        struct allocation *found = base || a >= WINDOW_SHARED
                                       ? NULL : ptxm_device_find(w->cta->grid->device, a);
        bool read_only = found && found->read_only && a - found->base < found->size;
        uint64_t rank = base == WINDOW_SHARED ? (a - base) >> PEER_SHIFT : 0;
        bool own = op->space != SPACE_SHARED || !rank || rank == w->cta->rank + 1;
        bool inside = base ? a >= base && a - base < WINDOW_SIZE && own
                           : a < WINDOW_SHARED && read_only == (op->space == SPACE_CONST);
        out |= (uint32_t)inside << lane;
    }
    *d = (*d & ~mask) | out;
    return STEP_NEXT;
}
