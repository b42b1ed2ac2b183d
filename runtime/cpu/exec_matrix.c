// SPDX-License-Identifier: MIT
// ldmatrix, stmatrix, movmatrix: 8x8 matrices of 16-bit elements, a lane for two of a row.
#include "shadow.h"

#include <string.h>

// ---- 8x8 matrices of 16-bit elements ------------------------------------------------------------

// Lane 8*m + r gives the address of row r of matrix m.
static bool rows(struct warp *w, const struct op *op, uint8_t *row[32], enum access_kind kind)
{
    bool fine = true;
    for (unsigned lane = 0; lane < op->vector * 8u; lane++) {
        struct place p = ptxm_place(w, op, lane, op->space == SPACE_GENERIC ? SPACE_GENERIC
                                                                              : SPACE_SHARED,
                                      ptxm_address(w, op, lane), 16, 16, kind);
        row[lane] = p.host;
        if (!p.host) {
            fine = false;
            continue;
        }
        if (w->cta->shadow)
            ptxm_shadow_access(w, op, lane, &p, 16, kind, NULL);
    }
    return fine;
}

static void count_rows(struct warp *w, const struct op *op)
{
    struct ptxm_counters *c = &w->cta->counters;
    if (w->cta->grid->options.no_counters)
        return;
    c->shared_accesses++;
    for (unsigned m = 0; m < op->vector; m++) {
        uint32_t groups[8] = {0}, most = 1;
        for (unsigned r = 0; r < 8; r++) {
            uint64_t a = ptxm_address(w, op, m * 8 + r);
            bool repeated = false;
            for (unsigned k = 0; k < r; k++) repeated |= ptxm_address(w, op, m * 8 + k) == a;
            uint32_t *g = &groups[a >> 4 & 7];
            *g += !repeated;
            most = *g > most ? *g : most;
        }
        c->shared_wavefronts += most;
        c->bank_conflicts += most - 1;
    }
}

enum step_result ptxm_step_ldmatrix(struct warp *w, const struct op *op, uint32_t mask)
{
    uint8_t *row[32];
    enum step_result result = ptxm_converge(w, mask, UINT32_MAX);
    if (result != STEP_NEXT)
        return result;
    if (!rows(w, op, row, ACCESS_READ))
        return STEP_NEXT;
    count_rows(w, op);
    for (unsigned m = 0; m < op->vector; m++) {
        uint32_t *d = ptxm_dst(w, op, m);
        for (unsigned lane = 0; lane < LANES; lane++) {
            unsigned r = lane / 4, c = lane % 4 * 2;
            uint16_t pair[2];
            if (op->flags & OPF_TRANS) {
                memcpy(&pair[0], row[m * 8 + c] + 2 * r, 2);
                memcpy(&pair[1], row[m * 8 + c + 1] + 2 * r, 2);
            } else {
                memcpy(pair, row[m * 8 + r] + 2 * c, 4);
            }
            d[lane] = pair[0] | (uint32_t)pair[1] << 16;
        }
    }
    return STEP_NEXT;
}

enum step_result ptxm_step_stmatrix(struct warp *w, const struct op *op, uint32_t mask)
{
    uint8_t *row[32];
    enum step_result result = ptxm_converge(w, mask, UINT32_MAX);
    if (result != STEP_NEXT)
        return result;
    if (!rows(w, op, row, ACCESS_WRITE))
        return STEP_NEXT;
    count_rows(w, op);
    for (unsigned m = 0; m < op->vector; m++) {
        const uint32_t *s = ptxm_src(w, op, m);
        for (unsigned lane = 0; lane < LANES; lane++) {
            unsigned r = lane / 4, c = lane % 4 * 2;
            uint16_t pair[2] = {(uint16_t)s[lane], (uint16_t)(s[lane] >> 16)};
            if (op->flags & OPF_TRANS) {
                memcpy(row[m * 8 + c] + 2 * r, &pair[0], 2);
                memcpy(row[m * 8 + c + 1] + 2 * r, &pair[1], 2);
            } else {
                memcpy(row[m * 8 + r] + 2 * c, pair, 4);
            }
        }
    }
    return STEP_NEXT;
}

// Lane l of d gets the elements of row l / 4 of the transposed matrix.
enum step_result ptxm_step_movmatrix(struct warp *w, const struct op *op, uint32_t mask)
{
    enum step_result result = ptxm_converge(w, mask, UINT32_MAX);
    if (result != STEP_NEXT)
        return result;
    const uint32_t *s = ptxm_src(w, op, 0);
    uint16_t matrix[8][8];
    for (unsigned lane = 0; lane < LANES; lane++) {
        matrix[lane / 4][lane % 4 * 2] = (uint16_t)s[lane];
        matrix[lane / 4][lane % 4 * 2 + 1] = (uint16_t)(s[lane] >> 16);
    }
    uint32_t *d = ptxm_dst(w, op, 0);
    for (unsigned lane = 0; lane < LANES; lane++)
        d[lane] = matrix[lane % 4 * 2][lane / 4] |
                  (uint32_t)matrix[lane % 4 * 2 + 1][lane / 4] << 16;
    return STEP_NEXT;
}
