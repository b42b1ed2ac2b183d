// SPDX-License-Identifier: MIT
// States: memory for them, and lists without two equal ones. Memory of states that are done with is
// used again, for a state of a big kernel takes tens of kilobytes.
#include "passes/validate/model.h"

#include <string.h>

state *state_take(validator *v, size_t bytes)
{
    size_t capacity = (bytes + SIZE_STEP - 1) / SIZE_STEP;
    bool large = capacity >= SIZES; // the largest are not used again
    state_set *spare = &v->spare[large ? 0 : capacity];
    state *s = spare->count && !large
                   ? spare->items[--spare->count]
                   : kg_arena_alloc(v->arena, large ? bytes : capacity * SIZE_STEP);
    s->capacity = (uint8_t)(large ? 0 : capacity);
    return s;
}

state *state_new(validator *v)
{
    state *s = state_take(v, v->at.end);
    s->planes = 0;
    return s;
}

static size_t bytes_of_plane(const validator *v)
{
    return sizeof(uint32_t) * (size_t)v->at.plane;
}

void state_make_room(validator *v, state *s, int planes)
{
    enum { STEP = 8 };
    if (planes <= s->room) return;
    int room = (planes + planes / 4 + STEP) / STEP * STEP;
    uint32_t *memory = kg_arena_alloc(v->arena, bytes_of_plane(v) * (size_t)room);
    if (s->room) memcpy(memory, s->planes_memory, bytes_of_plane(v) * (size_t)s->room);
    s->planes_memory = memory;
    s->room = (uint16_t)room;
}

static void set_to(validator *v, state *s, const state *from)
{
    uint32_t *memory = s->planes_memory;
    uint16_t room = s->room;
    uint8_t capacity = s->capacity;
    memcpy(s, from, v->at.end);
    s->planes_memory = memory;
    s->room = room;
    s->capacity = capacity;
    int planes = from->planes + v->at.planes;
    state_make_room(v, s, planes);
    memcpy(s->planes_memory, from->planes_memory, bytes_of_plane(v) * (size_t)planes);
}

state *state_copy(validator *v, const state *from)
{
    state *s = state_new(v);
    set_to(v, s, from);
    return s;
}

void state_free(validator *v, state *s)
{
    KG_PUSH(v->arena, &v->spare[s->capacity], s);
}

void state_push(validator *v, state_set *set, state *s)
{
    KG_PUSH(v->arena, set, s);
}

uint64_t state_hash_of(const char *at, size_t n)
{
    uint64_t h = UINT64_C(0x9E3779B97F4A7C15), word = 0;
    for (; n >= 8; n -= 8, at += 8) {
        memcpy(&word, at, 8);
        h = (h ^ word) * UINT64_C(0xD6E8FEB86659FD93);
        h ^= h >> 32;
    }
    word = 0;
    memcpy(&word, at, n);
    return (h ^ word) * UINT64_C(0xD6E8FEB86659FD93);
}

// By where it stands; what is known is compared.
void state_hash(const validator *v, state *s)
{
    s->hash = state_hash_of((const char *)s + STATE_COMPARED, v->at.tensors - STATE_COMPARED);
}

// Which planes are asked for follows from what is kept in front of them, so with that being equal
// only those count that both have marked; of others something was kept once.
static bool equal(const validator *v, const state *a, const state *b)
{
    bool same =
        a->hash == b->hash && !memcmp((const char *)a + STATE_COMPARED,
                                      (const char *)b + STATE_COMPARED, v->at.end - STATE_COMPARED);
    for (int g = 1; same && g <= a->generations; g++) {
        uint32_t left = planes_in(v, a, g) & planes_in(v, b, g);
        same = !memcmp(a->own[g], b->own[g], sizeof a->own[g]);
        for (; same && left; left &= left - 1) {
            int p = __builtin_ctz(left);
            same = !memcmp(rows_of(v, a, g, p), rows_of(v, b, g, p), bytes_of_plane(v));
        }
    }
    return same;
}

void state_unify(validator *v, state_set *set)
{
    int kept = 0;
    if (set->count < 2) return;
    for (int i = 0; i < set->count; i++) {
        state *s = set->items[i];
        state_hash(v, s);
        int k = 0;
        while (k < kept && !equal(v, set->items[k], s)) k++;
        if (k < kept)
            state_free(v, s);
        else
            set->items[kept++] = s;
    }
    set->count = kept;
}
