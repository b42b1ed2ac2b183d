// SPDX-License-Identifier: MIT
// Who knows of what. Time is cut into generations, each begun by a synchronization. Of every
// generation it is known which warps know what warp w did in it, what of that the async proxy sees,
// and whether the lanes of w have met since.
#include "passes/validate/model.h"

#include <string.h>

#define FOUR(n) 1u << n, 2u << n, 4u << n, 8u << n
const uint32_t validator_bits[32] = {FOUR(0),  FOUR(4),  FOUR(8),  FOUR(12),
                                     FOUR(16), FOUR(20), FOUR(24), FOUR(28)};

// ---- questions ----------------------------------------------------------------------------------

bool validator_ordered(const validator *v, const state *s, const entry *e, knowledge kind,
                       uint32_t warps, int lane, uint32_t *from, uint32_t *to)
{
    if (!e->generation) return true;
    int plane = is_over(v, e) ? v->at.over : plane_of(v, kind, by_first_lane(v, e));
    const uint32_t *rows = plane < 0 ? NULL : rows_of(v, s, e->generation, plane);
    uint32_t own = kind == KNOWN ? ~0u : s->own[e->generation][kind];
    for (uint32_t left = e->warps; left; left &= left - 1) {
        int w = __builtin_ctz(left);
        uint32_t lost = warps & ~(rows ? rows[w] : 0);
        bool same = lane != MANY_LANES && lane == e->lane;
        if (same) lost &= ~(1u << w & own);
        if (!lost) continue;
        *from = 1u << w;
        *to = lost & -lost;
        return false;
    }
    return true;
}

// ---- generations --------------------------------------------------------------------------------

void validator_fresh_generation(validator *v, state *s, int g)
{
    state_make_room(v, s, s->planes + v->at.planes);
    for (int p = 0; p < v->at.planes; p++) s->plane_at[g][p] = (uint16_t)(s->planes + p);
    memset(rows_of(v, s, g, 0), 0, sizeof(uint32_t) * (size_t)(v->at.planes * v->at.plane));
    memset(s->own[g], 0, sizeof s->own[g]);
    // No engine has completed anything: all know of that.
    for (int p = 0; p < v->at.planes && engine(v); p++)
        rows_of(v, s, g, p)[v->warps] = all_warps(v);
    s->used = false;
    s->asked[g] = 0;
}

void validator_keep(const validator *v, state *s, const entry *e)
{
    s->used = true;
    if (!e->generation) return;
    s->asked[e->generation] |=
        (uint8_t)(is_over(v, e) ? 1u << v->at.over : v->at.of_half[by_first_lane(v, e)]);
}

void validator_keep_event(const validator *v, state *s)
{
    s->used = true;
    s->asked[s->generations] |= (uint8_t)(1u << v->at.came_after);
}

// ---- what synchronizations do -------------------------------------------------------------------

// Of these warps the threads that did it themselves need to be told nothing; `plane` says of what.
static uint32_t self_known(const validator *v, const state *s, int g, int plane, uint32_t warps)
{
    for (int kind = SHARED_FENCED; kind <= GLOBAL_FENCED; kind++) {
        int first = v->at.fenced[kind];
        if (first >= 0 && plane >= first && plane < first + v->at.firsts)
            return warps & s->own[g][kind];
    }
    return warps;
}

void validator_tell(const validator *v, state *s, uint32_t warps)
{
    for (int g = 1; g <= s->generations; g++)
        for (uint32_t left = planes_in(v, s, g); left; left &= left - 1) {
            int p = __builtin_ctz(left);
            uint32_t *rows = rows_of(v, s, g, p), self = self_known(v, s, g, p, warps);
            for (int w = 0; w < v->at.rows; w++)
                if ((rows[w] & warps) || (self >> w & 1)) rows[w] |= warps;
        }
}

void validator_meet_lanes(const validator *v, state *s, uint32_t warps)
{
    for (int g = 1; g <= s->generations; g++)
        for (uint32_t left = planes_in(v, s, g); left; left &= left - 1) {
            int p = __builtin_ctz(left);
            uint32_t *rows = rows_of(v, s, g, p), self = self_known(v, s, g, p, warps);
            for (; self; self &= self - 1) rows[__builtin_ctz(self)] |= self & -self;
        }
}

// Of whom some of these warps know. The form that compilers make vectors of.
static uint32_t known_by(const uint32_t *rows, int count, uint32_t warps)
{
    uint32_t word = 0;
    for (int w = 0; w < count; w++) word |= -(uint32_t)((rows[w] & warps) != 0) & validator_bits[w];
    return word;
}

void validator_leave_word(const validator *v, state *s, int teller, uint32_t warps, bool all_lanes)
{
    for (int g = 1; g <= s->generations; g++)
        for (uint32_t left = planes_in(v, s, g); left; left &= left - 1) {
            int p = __builtin_ctz(left);
            const uint32_t *rows = rows_of(v, s, g, p);
            uint32_t word = all_lanes || of_first_lanes(v, p) ? self_known(v, s, g, p, warps) : 0;
            *told_of(v, s, g, teller, p) |= word | known_by(rows, v->at.rows, warps);
        }
}

static void leave_plane(const validator *v, state *s, int teller, int plane, uint32_t warps)
{
    for (int g = 1; g <= s->generations; g++)
        if (planes_in(v, s, g) >> plane & 1)
            *told_of(v, s, g, teller, plane) |=
                warps | known_by(rows_of(v, s, g, plane), v->at.rows, warps);
}

void validator_leave_trace(const validator *v, state *s, int teller, uint32_t warps, bool over)
{
    leave_plane(v, s, teller, v->at.came_after, warps);
    if (over && v->at.over >= 0) leave_plane(v, s, teller, v->at.over, warps);
}

static void take_planes(const validator *v, state *s, int teller, uint32_t planes, uint32_t warps)
{
    for (int g = 1; g <= s->generations; g++)
        for (uint32_t asked = planes & planes_in(v, s, g); asked; asked &= asked - 1) {
            uint32_t *rows = rows_of(v, s, g, __builtin_ctz(asked));
            for (uint32_t left = rows[v->at.rows + teller]; left; left &= left - 1)
                rows[__builtin_ctz(left)] |= warps;
        }
}

void validator_take_word(const validator *v, state *s, int teller, uint32_t warps)
{
    take_planes(v, s, teller, all_planes(v), warps);
}

void validator_take_trace(const validator *v, state *s, int teller, uint32_t warps)
{
    uint32_t over = v->at.over >= 0 ? 1u << v->at.over : 0;
    take_planes(v, s, teller, 1u << v->at.came_after | over, warps);
}

void validator_proxy_fence(const validator *v, state *s, knowledge space, uint32_t warps)
{
    int to = v->at.fenced[space], from = v->at.fenced[KNOWN];
    for (int g = 1; to >= 0 && g <= s->generations; g++) {
        s->own[g][space] |= warps;
        for (int half = 0; half < v->at.firsts; half++) {
            if (!(planes_in(v, s, g) >> (to + half) & 1)) continue;
            const uint32_t *known = rows_of(v, s, g, from + half);
            uint32_t *fenced = rows_of(v, s, g, to + half);
            for (int w = 0; w < v->at.rows; w++) fenced[w] |= known[w] & warps;
        }
    }
}
