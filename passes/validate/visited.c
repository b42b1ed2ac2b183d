// SPDX-License-Identifier: MIT
// States that have been met. What is kept of one is a row of words that says all that counts of it:
// two rows are equal just when the states are, or become so when their rings are turned (turns.c).
#include "passes/validate/model.h"

#include <string.h>

enum { ENTRY_WORDS = sizeof(entry) / 4, EVENT_WORDS = sizeof(event) / 4 };

typedef struct packer {
    const validator *v;
    const state *s;
    const turning *turned; // NULL: as it is
    uint32_t *out;
} packer;

static void put_bytes(packer *p, const void *from, size_t bytes)
{
    p->out[bytes / 4] = 0;
    memcpy(p->out, from, bytes);
    p->out += (bytes + 3) / 4;
}

// ---- what comes before generations --------------------------------------------------------------

static void put_header(packer *p)
{
    const validator *v = p->v;
    char *at = (char *)p->out;
    int16_t *index = (int16_t *)(at + offsetof(state, index) - STATE_COMPARED);
    int16_t *scalars = (int16_t *)(at + sizeof(state) - STATE_COMPARED);
    put_bytes(p, (const char *)p->s + STATE_COMPARED, sizeof(state) - STATE_COMPARED);
    put_bytes(p, scalars_of(v, p->s), (size_t)v->n_scalars * sizeof *scalars);
    if (!p->turned) return;
    const int8_t *by = p->turned->by;
    for (int i = 0; i < v->n_scalars; i++)
        if (v->turn_of_scalar[i] >= 0 && scalars[i] >= 0)
            scalars[i] = (int16_t)((scalars[i] + by[v->turn_of_scalar[i]]) % v->modulus);
    for (int i = 0; i < v->loops.count; i++)
        if (v->turn_of_loop[i] >= 0 && p->s->distance[i] != NOT_RUNNING)
            index[i] = (int16_t)((index[i] + by[v->turn_of_loop[i]]) % v->modulus);
}

static void put_entry(packer *p, const entry *e)
{
    entry *to = (entry *)p->out;
    memcpy(to, e, sizeof *e);
    p->out += ENTRY_WORDS;
    if (p->turned && e->phase && p->v->accesses.items[e->access].flight == FLIGHT_PHASE)
        to->phase = (uint8_t)(1 + p->turned->slot_to[e->phase - 1]);
}

static void put_cell(packer *p, const cell *c)
{
    uint32_t written = c->write.kind != ENTRY_NONE;
    *p->out++ = c->count | (uint32_t)c->written << 8 | (uint32_t)c->live << 16 | written << 24;
    if (written) put_entry(p, &c->write);
    for (int k = 0; k < c->count; k++) put_entry(p, &c->entries[k]);
}

static void put_memory(packer *p)
{
    for (int i = 0; i < p->v->n_tensors; i++) {
        const tensor_state *t = &tensors_of(p->v, p->s)[i];
        *p->out++ = (uint32_t)t->count;
        for (int k = 0; k < t->count; k++) put_entry(p, &t->entries[k]);
    }
    const cell *cells = cells_of(p->v, p->s);
    for (int i = 0; i < p->v->n_cells; i++)
        put_cell(p, &cells[p->turned ? p->turned->cell_from[i] : i]);
}

static uint32_t put_events(packer *p, const event *events)
{
    uint32_t n = 0;
    for (; n < MOST_EVENTS && events[n].warps; n++, p->out += EVENT_WORDS)
        memcpy(p->out, &events[n], sizeof events[n]);
    return n;
}

static void put_phase(packer *p, const phase *of)
{
    uint32_t *head = p->out++;
    uint32_t came = put_events(p, of->came), seen = put_events(p, of->seen);
    *head = came | seen << 4 | (uint32_t)of->exists << 8 | (uint32_t)of->copies << 9 |
            (uint32_t)of->inexact << 10 | (uint32_t)of->landed << 16;
}

static void put_mbarriers(packer *p)
{
    for (int i = 0; i < p->v->n_mbarriers; i++) {
        const mbarrier *m = &mbarriers_of(p->v, p->s)[p->turned ? p->turned->slot_from[i] : i];
        mbarrier *to = (mbarrier *)p->out;
        put_bytes(p, m, offsetof(mbarrier, now));
        if (p->turned) to->parity ^= p->turned->flips[i];
        put_phase(p, &m->now);
        put_phase(p, &m->last);
        put_phase(p, &m->before);
    }
}

static void put_rest(packer *p)
{
    put_bytes(p, registers_of(p->v, p->s), (size_t)p->v->n_registers * sizeof(registers));
    for (int i = 0; i < p->v->n_scripts; i++) {
        const script *t = &scripts_of(p->v, p->s)[i];
        put_bytes(p, t, offsetof(script, found) + t->count);
    }
}

// ---- generations --------------------------------------------------------------------------------

// Of the tellers few have been told anything: these, each pair with its number.
static void put_plane(packer *p, const uint32_t *rows)
{
    const validator *v = p->v;
    int single = v->at.rows + v->at.barriers, pairs = (v->at.tellers - v->at.barriers) / 2;
    const int *from = p->turned ? p->turned->tellers_from : NULL;
    put_bytes(p, rows, sizeof *rows * (size_t)single);
    uint32_t *out = p->out + 1;
    for (int i = 0; i < pairs; i++) {
        uint64_t both;
        memcpy(&both, &rows[single + 2 * (from ? from[i] : i)], sizeof both);
        if (!both) continue;
        *out = (uint32_t)i;
        memcpy(out + 1, &both, sizeof both);
        out += 3;
    }
    *p->out = (uint32_t)(out - p->out);
    p->out = out;
}

// The youngest generation of a state that has been tidied up is always the same; and which planes
// of the others are asked for follows from the entries and events in front of them.
static void put_generations(packer *p)
{
    const validator *v = p->v;
    int last = v->n_mbarriers ? p->s->generations - 1 : p->s->generations;
    for (int g = 1; g <= last; g++) {
        put_bytes(p, p->s->own[g], sizeof p->s->own[g]);
        for (uint32_t left = planes_in(v, p->s, g); left; left &= left - 1)
            put_plane(p, rows_of(v, p->s, g, __builtin_ctz(left)));
    }
}

// ---- the set ------------------------------------------------------------------------------------

// Returns the number of words, which is even.
static int pack(const validator *v, const state *s, const turning *turned, uint32_t *out)
{
    packer p = {v, s, turned, out};
    put_header(&p);
    put_memory(&p);
    put_mbarriers(&p);
    put_rest(&p);
    put_generations(&p);
    if ((p.out - out) & 1) *p.out++ = 0;
    return (int)(p.out - out);
}

static const char *packed_words(const state *s)
{
    return (const char *)s + STATE_KEPT;
}

static int *find(const state_set *visited, uint64_t hash, const void *words, int n)
{
    int mask = visited->slots - 1;
    for (uint64_t at = hash >> 7;; at++) {
        int *place = &visited->table[at & (uint64_t)mask];
        if (!*place) return place;
        const state *met = visited->items[*place - 1];
        if (met->hash == hash && met->packed == n &&
            !memcmp(packed_words(met), words, sizeof(uint32_t) * (size_t)n))
            return place;
    }
}

static void grow(validator *v, state_set *visited)
{
    visited->slots = visited->slots ? 2 * visited->slots : 64;
    visited->table = KG_NEW_ARRAY(v->arena, int, visited->slots);
    for (int i = 0; i < visited->count; i++) {
        const state *met = visited->items[i];
        *find(visited, met->hash, packed_words(met), met->packed) = i + 1;
    }
}

// A word more for each cell, phase, script, tensor and plane, and for each pair of tellers.
static size_t most_words(const validator *v)
{
    size_t heads = (size_t)(v->n_cells + 3 * v->n_mbarriers + v->n_scripts + v->n_tensors + 8);
    size_t planes = MOST_GENERATIONS * (size_t)v->at.planes;
    return v->at.end / 4 + heads + MOST_GENERATIONS * (size_t)KINDS_OF_KNOWLEDGE +
           planes * (size_t)(v->at.plane + v->at.tellers / 2 + 3);
}

bool state_known(validator *v, state_set *visited, const state *s, const turning *turned)
{
    if (!v->packed) v->packed = KG_NEW_ARRAY(v->arena, uint32_t, most_words(v));
    if (2 * (visited->count + 1) > visited->slots) grow(v, visited);
    int n = pack(v, s, turned, v->packed);
    size_t bytes = sizeof *v->packed * (size_t)n;
    uint64_t hash = state_hash_of((const char *)v->packed, bytes);
    int *place = find(visited, hash, v->packed, n);
    if (*place) return true;
    *place = visited->count + 1;
    state *met = state_take(v, STATE_KEPT + bytes);
    met->hash = hash;
    met->packed = n;
    memcpy((char *)met + STATE_KEPT, v->packed, bytes);
    state_push(v, visited, met);
    return false;
}
