// SPDX-License-Identifier: MIT
// Bytes of shared memory into cells. Two bytes are one cell when every access of every slot is made
// to both by the same warps, and where single lanes make them, the lanes agree and differ alike. It
// is exact: the partition is refined access by access, as one refines the states of an automaton.
#include "passes/validate/model.h"

#include <string.h>

enum { MOST_LANES = 6, LARGEST_GRANULE = 16 };

// Who makes an access to a granule of its slot.
typedef struct toucher {
    uint32_t warps;
    int lane;
} toucher;

typedef struct key {
    int round, class, lane;
    uint32_t warps;
} key;

typedef struct slot_of_table {
    key key;
    int id;
    bool taken;
} slot_of_table;

typedef struct partition {
    validator *v;
    int granule_log2;
    int64_t granules;
    int *class; // by granule of shared memory
    int classes, round;
    int8_t (*lanes)[MOST_LANES]; // by granule: those named so far
    uint8_t *lanes_named;
    slot_of_table *table;
    int size, used;
} partition;

// ---- who touches what -------------------------------------------------------------------------

static void note_alignment(int thread, int64_t offset, int bytes, void *user)
{
    *(int64_t *)user |= offset | bytes;
}

// Where an access is known to be as coarse as what was found already, nobody looks at its bytes.
static int granule_of(const validator *v)
{
    int64_t bits = LARGEST_GRANULE;
    for (int i = 0; i < v->accesses.count; i++) {
        const access_model *a = &v->accesses.items[i];
        if (!a->shared) continue;
        bits |= a->offset | a->slot_bytes;
        if (a->at.exact && !a->use && kg_access_unit(&a->at) < (bits & -bits))
            kg_access_sharers(&a->at, note_alignment, &bits);
    }
    return __builtin_ctzll((uint64_t)bits);
}

typedef struct recorder {
    toucher *who;
    int granule_log2;
} recorder;

static void record(int thread, int64_t offset, int bytes, void *user)
{
    recorder *r = user;
    int64_t first = offset >> r->granule_log2, last = (offset + bytes - 1) >> r->granule_log2;
    for (int64_t i = first; i <= last; i++) {
        toucher *w = &r->who[i];
        w->lane = !w->warps || w->lane == thread % 32 ? thread % 32 : MANY_LANES;
        w->warps |= 1u << (thread / 32);
    }
}

static toucher *touchers(partition *p, const access_model *a)
{
    int64_t n = (a->slot_bytes >> p->granule_log2) + 1;
    toucher *who = KG_NEW_ARRAY(p->v->arena, toucher, n);
    recorder r = {who, p->granule_log2};
    if (a->at.exact && !a->use)
        kg_access_sharers(&a->at, record, &r);
    else
        for (int64_t i = 0; i < a->slot_bytes >> p->granule_log2; i++)
            who[i] = (toucher){a->region, a->elected ? 0 : MANY_LANES};
    return who;
}

// ---- refinement -------------------------------------------------------------------------------

static uint64_t hash_of(const key *k)
{
    uint64_t h = (uint64_t)k->class * UINT64_C(0x9E3779B97F4A7C15);
    h ^= (uint64_t)k->warps * UINT64_C(0xC2B2AE3D27D4EB4F);
    h ^= (uint64_t)(uint32_t)(k->lane + 2) * UINT64_C(0x165667B19E3779F9);
    h ^= (uint64_t)k->round * UINT64_C(0x27D4EB2F165667C5);
    return h ^ h >> 29;
}

static slot_of_table *look_up(slot_of_table *table, int size, const key *k)
{
    uint64_t at = hash_of(k);
    for (;; at++) {
        slot_of_table *s = &table[at & (uint64_t)(size - 1)];
        if (!s->taken || !memcmp(&s->key, k, sizeof *k)) return s;
    }
}

static void grow(partition *p)
{
    int size = p->size ? 2 * p->size : 1024;
    slot_of_table *table = KG_NEW_ARRAY(p->v->arena, slot_of_table, size);
    p->used = 0;
    for (int i = 0; i < p->size; i++)
        if (p->table[i].taken && p->table[i].key.round == p->round)
            *look_up(table, size, &p->table[i].key) = p->table[i], p->used++;
    p->table = table;
    p->size = size;
}

static int name_of_lane(partition *p, int64_t granule, int lane)
{
    if (lane == MANY_LANES) return lane;
    for (int i = 0; i < p->lanes_named[granule]; i++)
        if (p->lanes[granule][i] == lane) return i;
    if (p->lanes_named[granule] == MOST_LANES) return MOST_LANES + lane;
    p->lanes[granule][p->lanes_named[granule]] = (int8_t)lane;
    return p->lanes_named[granule]++;
}

// Neighbours are alike as a rule: what was found for one is held against the next.
static void refine(partition *p, int64_t first, const toucher *who, int64_t count)
{
    key last = {0};
    int last_id = 0;
    p->round++;
    for (int64_t i = 0; i < count; i++) {
        if (!who[i].warps) continue;
        key k;
        memset(&k, 0, sizeof k);
        k.round = p->round;
        k.class = p->class[first + i];
        k.warps = who[i].warps;
        k.lane = name_of_lane(p, first + i, who[i].lane);
        if (k.round == last.round && k.class == last.class && k.warps == last.warps &&
            k.lane == last.lane) {
            p->class[first + i] = last_id;
            continue;
        }
        if (2 * p->used >= p->size) grow(p);
        slot_of_table *s = look_up(p->table, p->size, &k);
        if (!s->taken) {
            *s = (slot_of_table){k, p->classes++, true};
            p->used++;
        }
        last = k;
        last_id = p->class[first + i] = s->id;
    }
}

static bool uses_slot(const access_model *a, int slot)
{
    int64_t number;
    if (a->ring == 1 || !a->at.slot || !kg_const_int(a->at.slot, &number)) return true;
    return ((number % a->ring) + a->ring) % a->ring == slot;
}

static int64_t first_granule(const partition *p, const access_model *a, int slot)
{
    return (a->offset + slot * a->slot_bytes) >> p->granule_log2;
}

// ---- touches ----------------------------------------------------------------------------------

static void list_touches(partition *p, access_model *a, int slot, const toucher *who,
                         const int *cell_of, int *seen)
{
    int64_t first = first_granule(p, a, slot), count = a->slot_bytes >> p->granule_log2;
    int n = 0, mark = ++p->round;
    for (int64_t i = 0; i < count; i++)
        if (who[i].warps && seen[p->class[first + i]] != mark) {
            seen[p->class[first + i]] = mark;
            n++;
        }
    touches *t = &a->by_slot[slot];
    t->items = KG_NEW_ARRAY(p->v->arena, touch, n + 1);
    mark = ++p->round;
    for (int64_t i = 0; i < count; i++) {
        int class = p->class[first + i];
        if (!who[i].warps || seen[class] == mark) continue;
        seen[class] = mark;
        p->v->cell_users[cell_of[class]] |= who[i].warps;
        if (a->writes) p->v->cell_writers[cell_of[class]] |= who[i].warps;
        t->items[t->count++] =
            (touch){cell_of[class], who[i].warps, name_of_lane(p, first + i, who[i].lane)};
    }
}

static int *number_cells(partition *p)
{
    validator *v = p->v;
    int *cell_of = KG_NEW_ARRAY(v->arena, int, p->classes);
    for (int i = 0; i < p->classes; i++) cell_of[i] = -1;
    v->cell_byte = KG_NEW_ARRAY(v->arena, int, p->classes);
    for (int64_t i = 0; i < p->granules; i++) {
        int class = p->class[i];
        if (class == 0 || cell_of[class] >= 0) continue; // 0: never touched
        v->cell_byte[v->n_cells] = (int)(i << p->granule_log2);
        cell_of[class] = v->n_cells++;
    }
    return cell_of;
}

void validator_make_cells(validator *v)
{
    partition p = {.v = v, .granule_log2 = granule_of(v), .classes = 1};
    toucher **who = KG_NEW_ARRAY(v->arena, toucher *, v->accesses.count + 1);
    p.granules = (v->kernel->shared_bytes >> p.granule_log2) + 2;
    p.class = KG_NEW_ARRAY(v->arena, int, p.granules);
    p.lanes = kg_arena_alloc(v->arena, sizeof *p.lanes * (size_t)p.granules);
    p.lanes_named = KG_NEW_ARRAY(v->arena, uint8_t, p.granules);
    for (int i = 0; i < v->accesses.count; i++) {
        access_model *a = &v->accesses.items[i];
        if (!a->shared) continue;
        who[i] = touchers(&p, a);
        for (int slot = 0; slot < a->ring; slot++)
            if (uses_slot(a, slot))
                refine(&p, first_granule(&p, a, slot), who[i], a->slot_bytes >> p.granule_log2);
    }
    int *cell_of = number_cells(&p);
    v->cell_users = KG_NEW_ARRAY(v->arena, uint32_t, v->n_cells + 1);
    v->cell_writers = KG_NEW_ARRAY(v->arena, uint32_t, v->n_cells + 1);
    int *seen = KG_NEW_ARRAY(v->arena, int, p.classes);
    for (int i = 0; i < v->accesses.count; i++) {
        access_model *a = &v->accesses.items[i];
        if (!a->shared) continue;
        a->by_slot = KG_NEW_ARRAY(v->arena, touches, a->ring);
        for (int slot = 0; slot < a->ring; slot++)
            if (uses_slot(a, slot)) list_touches(&p, a, slot, who[i], cell_of, seen);
    }
}

// ---- witnesses --------------------------------------------------------------------------------

typedef struct finder {
    int64_t byte;
    uint32_t warps;
    int other, found;
} finder;

static void find_thread(int thread, int64_t offset, int bytes, void *user)
{
    finder *f = user;
    bool holds = f->byte >= offset && f->byte < offset + bytes && f->warps >> thread / 32 & 1;
    if (holds && thread != f->other && f->found < 0) f->found = thread;
}

int validator_thread_at(const access_model *a, int slot, int64_t byte, uint32_t warps, int other)
{
    finder f = {byte - a->offset - slot * a->slot_bytes, warps, other, -1};
    if (a->use) return 32 * __builtin_ctz(warps & a->region ? warps & a->region : a->region);
    if (!a->shared || !a->at.exact) return -1;
    kg_access_bytes(&a->at, find_thread, &f);
    return f.found;
}
