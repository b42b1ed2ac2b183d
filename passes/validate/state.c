// SPDX-License-Identifier: MIT
// States: memory for them, and sets without two equal ones. Memory of states that are done with is
// used again, for a state of a big kernel takes tens of kilobytes.
#include "passes/validate/model.h"

#include <string.h>

static size_t compared_from(void)
{
    _Static_assert(offsetof(state, generations) % sizeof(uint64_t) == 0, "it is packed by words");
    return offsetof(state, generations);
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

static uint64_t hash_of(const char *at, size_t n)
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
    s->hash = hash_of((const char *)s + compared_from(), v->at.generations - compared_from());
}

static bool equal(const validator *v, const state *a, const state *b)
{
    bool same = a->hash == b->hash &&
                !memcmp((const char *)a + compared_from(), (const char *)b + compared_from(),
                        v->at.generations - compared_from());
    for (int g = 1; same && g <= a->generations; g++) {
        uint32_t left = planes_in(v, a, g);
        same = left == planes_in(v, b, g) && !memcmp(generation_of(v, a, g), generation_of(v, b, g),
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

// ---- states that have been met ------------------------------------------------------------------

// Most of a state is zero. What is kept of it is, for each 64 words, which of them are not, and
// these: two are equal just when the states are.
static uint64_t *pack_words(const char *at, size_t bytes, uint64_t *out)
{
    for (size_t n; bytes; bytes -= n, at += n) {
        uint64_t used = 0, words[64], *next = out + 1;
        n = bytes < sizeof words ? bytes : sizeof words;
        memcpy(words, at, n);
        for (size_t i = 0; i < n / 8; i++) {
            *next = words[i];
            next += words[i] != 0;
            used |= (uint64_t)(words[i] != 0) << i;
        }
        *out = used;
        out = next;
    }
    return out;
}

// The youngest generation of a state that has been tidied up is always the same; and which planes
// of the others are asked for follows from the entries and events in front of them.
static int pack(const validator *v, const state *s, uint64_t *out)
{
    int last = v->n_mbarriers ? s->generations - 1 : s->generations;
    uint64_t *next =
        pack_words((const char *)s + compared_from(), v->at.generations - compared_from(), out);
    for (int g = 1; g <= last; g++) {
        next = pack_words((const char *)generation_of(v, s, g),
                          sizeof(uint32_t) * (size_t)v->at.first_plane, next);
        for (uint32_t left = planes_in(v, s, g); left; left &= left - 1)
            next = pack_words((const char *)rows_of(v, s, g, __builtin_ctz(left)),
                              bytes_of_plane(v), next);
    }
    return (int)(next - out);
}

static uint64_t *packed_words(state *s)
{
    return (uint64_t *)((char *)s + compared_from());
}

static int *find(const state_set *visited, uint64_t hash, const uint64_t *words, int n)
{
    int mask = visited->slots - 1;
    for (uint64_t at = hash >> 7;; at++) {
        int *place = &visited->table[at & (uint64_t)mask];
        if (!*place) return place;
        state *met = visited->items[*place - 1];
        if (met->hash == hash && met->packed == n &&
            !memcmp(packed_words(met), words, sizeof *words * (size_t)n))
            return place;
    }
}

static void grow(validator *v, state_set *visited)
{
    visited->slots = visited->slots ? 2 * visited->slots : 64;
    visited->table = KG_NEW_ARRAY(v->arena, int, visited->slots);
    for (int i = 0; i < visited->count; i++) {
        state *met = visited->items[i];
        *find(visited, met->hash, packed_words(met), met->packed) = i + 1;
    }
}

bool state_known(validator *v, state_set *visited, const state *s)
{
    if (!v->packed)
        v->packed = KG_NEW_ARRAY(v->arena, uint64_t,
                                 v->at.bytes / 8 + v->at.bytes / 512 + 3 +
                                     MOST_GENERATIONS * (size_t)(v->at.planes + 1));
    if (2 * (visited->count + 1) > visited->slots) grow(v, visited);
    int n = pack(v, s, v->packed);
    size_t bytes = sizeof *v->packed * (size_t)n;
    uint64_t hash = hash_of((const char *)v->packed, bytes);
    int *place = find(visited, hash, v->packed, n);
    if (*place) return true;
    *place = visited->count + 1;
    state *met = take(v, compared_from() + bytes);
    met->hash = hash;
    met->packed = n;
    memcpy(packed_words(met), v->packed, bytes);
    state_push(v, visited, met);
    return false;
}
