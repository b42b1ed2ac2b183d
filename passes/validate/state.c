// SPDX-License-Identifier: MIT
// States: memory for them, and sets without two equal ones. Memory of states that are done with is
// used again, for a state of a big kernel takes tens of kilobytes.
#include "passes/validate/model.h"

#include <string.h>

static size_t compared_from(void)
{
    return offsetof(state, generations);
}

// Behind the last generation nothing counts.
static size_t bytes_of(const validator *v, const state *s)
{
    return v->at.generations + sizeof(uint32_t) * (size_t)v->at.words * (size_t)s->generations;
}

static state *take(validator *v, size_t bytes)
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
    return take(v, v->at.bytes);
}

void state_set_to(const validator *v, state *s, const state *from)
{
    uint8_t capacity = s->capacity;
    memcpy(s, from, bytes_of(v, from));
    s->capacity = capacity;
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

void state_hash(const validator *v, state *s)
{
    const char *at = (const char *)s + compared_from();
    size_t n = bytes_of(v, s) - compared_from();
    uint64_t h = UINT64_C(0x9E3779B97F4A7C15);
    for (; n >= 8; n -= 8, at += 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        h = (h ^ word) * UINT64_C(0xD6E8FEB86659FD93);
        h ^= h >> 32;
    }
    uint64_t word = 0;
    memcpy(&word, at, n);
    s->hash = (h ^ word) * UINT64_C(0xD6E8FEB86659FD93);
}

static bool equal(const validator *v, const state *a, const state *b)
{
    return a->hash == b->hash && a->generations == b->generations &&
           !memcmp((const char *)a + compared_from(), (const char *)b + compared_from(),
                   bytes_of(v, a) - compared_from());
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

static int *find(const validator *v, const state_set *visited, const state *s)
{
    int mask = visited->slots - 1;
    for (uint64_t at = s->hash >> 7;; at++) {
        int *place = &visited->table[at & (uint64_t)mask];
        if (!*place || equal(v, visited->items[*place - 1], s)) return place;
    }
}

static void grow(validator *v, state_set *visited)
{
    visited->slots = visited->slots ? 2 * visited->slots : 64;
    visited->table = KG_NEW_ARRAY(v->arena, int, visited->slots);
    for (int i = 0; i < visited->count; i++) *find(v, visited, visited->items[i]) = i + 1;
}

bool state_known(validator *v, state_set *visited, state *s)
{
    state_hash(v, s);
    if (2 * (visited->count + 1) > visited->slots) grow(v, visited);
    int *place = find(v, visited, s);
    if (*place) return true;
    *place = visited->count + 1;
    state *copy = take(v, bytes_of(v, s)); // nobody goes on from it: it never grows
    state_set_to(v, copy, s);
    state_push(v, visited, copy);
    return false;
}
