// SPDX-License-Identifier: MIT
// atom and red: all operations and types, one lane after the other.
#include "shadow.h"

#include <math.h>
#include <string.h>

static uint64_t integer(enum atomic_op mode, enum type type, uint64_t old, uint64_t b, uint64_t c)
{
    bool wide = ptxm_type_bits(type) == 64, is_signed = ptxm_type_class(type) == 's';
    int64_t so = wide ? (int64_t)old : (int32_t)old, sb = wide ? (int64_t)b : (int32_t)b;
    switch (mode) {
    case ATOM_ADD: return old + b;
    case ATOM_MIN: return is_signed ? (so < sb ? old : b) : old < b ? old : b;
    case ATOM_MAX: return is_signed ? (so > sb ? old : b) : old > b ? old : b;
    case ATOM_AND: return old & b;
    case ATOM_OR: return old | b;
    case ATOM_XOR: return old ^ b;
    case ATOM_INC: return old >= b ? 0 : old + 1;
    case ATOM_DEC: return old == 0 || old > b ? b : old - 1;
    case ATOM_EXCH: return b;
    default: return old == b ? c : old;
    }
}

// Floating additions use the lane functions, so that they round as add does.
static uint64_t real(enum atomic_op mode, enum type type, uint64_t old, uint64_t b)
{
    const struct lane_table *lanes = ptxm_lanes();
    uint64_t x[LANES] = {0}, y[LANES] = {0}, r[LANES];
    enum lane_op what = mode == ATOM_ADD ? L_ADD : mode == ATOM_MIN ? L_MIN : L_MAX;
    bool half = type != T_F32 && type != T_F64;
    lane_fn *fn = half ? lanes->half(what, type, 0) : lanes->real(what, type, 0);
    x[0] = old;
    y[0] = b;
    fn(r, x, y, y, 0);
    return ptxm_type_bits(type) == 64 ? r[0] : (uint32_t)r[0];
}

uint64_t ptxm_atomic_apply(enum atomic_op mode, enum type type, uint64_t old, uint64_t b,
                           uint64_t c)
{
    char kind = ptxm_type_class(type);
    bool floating = (kind == 'f' || kind == 'x') && mode <= ATOM_MAX;
    return floating ? real(mode, type, old, b) : integer(mode, type, old, b, c);
}

enum step_result ptxm_step_atomic(struct warp *w, const struct op *op, uint32_t mask)
{
    unsigned bytes = ptxm_type_bits((enum type)op->type) / 8;
    unsigned stride = bytes == 8 ? 8 : 4, align = op->immediate > bytes ? op->immediate : bytes;
    bool locked = w->cta->grid->options.threads > 1;
    if (locked)
        pthread_mutex_lock(&w->cta->grid->lock);
    FOR_LANES (lane, mask) {
        uint64_t old = 0, b = 0, c = 0, out;
        struct place p = ptxm_resolve(w, op, lane, (enum space)op->space,
                                      ptxm_address(w, op, lane), bytes, align, ACCESS_ATOMIC);
        if (!p.host)
            continue;
        memcpy(&old, p.host, bytes);
        memcpy(&b, (const uint8_t *)ptxm_src(w, op, 0) + (size_t)lane * stride, bytes);
        if (op->mode == ATOM_CAS)
            memcpy(&c, (const uint8_t *)ptxm_src(w, op, 1) + (size_t)lane * stride, bytes);
        out = ptxm_atomic_apply((enum atomic_op)op->mode, (enum type)op->type, old, b, c);
        if (w->cta->shadow && (p.space == SPACE_SHARED || p.space == SPACE_GLOBAL)) {
            bool failed = op->mode == ATOM_CAS && old != b;
            if (op->mode == ATOM_CAS)
                ptxm_shadow_confirm(w, lane, &p);
            ptxm_shadow_access(w, op, lane, &p, bytes, ACCESS_ATOMIC, NULL);
            ptxm_clock_strong(w, op, lane, &p, true, !failed);
        }
        if (memcmp(p.host, &out, bytes))
            w->cta->changed = w->cta->stirred = true;
        else
            ptxm_note_poll(w, op, lane, &p, bytes);
        memcpy(p.host, &out, bytes);
        if (p.allocation)
            memset(p.allocation->initialised + (p.address - p.allocation->base), 1, bytes);
        if (op->ndst) {
            if (stride == 8)
                ((uint64_t *)ptxm_dst(w, op, 0))[lane] = old;
            else
                ((uint32_t *)ptxm_dst(w, op, 0))[lane] = (uint32_t)old;
        }
    }
    if (locked)
        pthread_mutex_unlock(&w->cta->grid->lock);
    w->cta->polls++;
    w->cta->counters.atomics++;
    return STEP_NEXT;
}
