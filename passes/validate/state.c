// SPDX-License-Identifier: MIT
// States: memory for them, and lists without two equal ones. Memory of states that are done with is
// used again, for a state of a big kernel takes tens of kilobytes.
#include "passes/validate/model.h"

#include <string.h>

state *state_take(validator *v, size_t bytes)
{
    size_t capacity = (bytes + SIZE_STEP - 1) / SIZE_STEP;
    state_set *spare = &v->spare[capacity < SIZES ? capacity : 0];
    if (capacity >= SIZES) bytes = v->at.bytes;
    state *s = spare->count
                   ? spare->items[--spare->count]
                   : kg_arena_alloc(v->arena, capacity < SIZES ? capacity * SIZE_STEP : bytes);
    s->capacity = (uint8_t)(capacity < SIZES ? capacity : 0);
    return s;
}

state *state_new(validator *v)
{
    return state_take(v, v->at.bytes);
}

static size_t bytes_of_plane(const validator *v)
{
    return sizeof(uint32_t) * (size_t)v->at.plane;
}

// Behind the last generation nothing counts, nor do planes that nobody asks for.
void state_set_to(const validator *v, state *s, const state *from)
{
    uint8_t capacity = s->capacity;
    memcpy(s, from, v->at.generations);
    s->capacity = capacity;
    for (int g = 1; g <= s->generations; g++) {
        memcpy(generation_of(v, s, g), generation_of(v, from, g),
               sizeof(uint32_t) * (size_t)v->at.first_plane);
        for (uint32_t left = planes_in(v, s, g); left; left &= left - 1) {
            int p = __builtin_ctz(left);
            memcpy(rows_of(v, s, g, p), rows_of(v, from, g, p), bytes_of_plane(v));
        }
    }
}

state *state_copy(validator *v, const state *from)
{
    state *s = state_new(v);
    state_set_to(v, s, from);
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

void state_hash(const validator *v, state *s)
{
    s->hash = state_hash_of((const char *)s + STATE_COMPARED, v->at.generations - STATE_COMPARED);
}

// Which planes are asked for follows from what is kept in front of them, so with that being equal
// only those count that both have marked; of others something was kept once.
static bool equal(const validator *v, const state *a, const state *b)
{
    bool same = a->hash == b->hash &&
                !memcmp((const char *)a + STATE_COMPARED, (const char *)b + STATE_COMPARED,
                        v->at.generations - STATE_COMPARED);
    for (int g = 1; same && g <= a->generations; g++) {
        uint32_t left = planes_in(v, a, g) & planes_in(v, b, g);
        same = !memcmp(generation_of(v, a, g), generation_of(v, b, g),
                       sizeof(uint32_t) * (size_t)v->at.first_plane);
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
