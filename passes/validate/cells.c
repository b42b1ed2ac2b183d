// SPDX-License-Identifier: MIT
// Bytes of shared memory into cells. Two bytes are one cell when every access of every slot is made
// to both by the same warps, and where single lanes make them, the lanes agree and differ alike. It
// is exact: the partition is refined access by access, as one refines the states of an automaton.
//
// What is refined are atoms: runs of bytes within which no access begins or ends, or changes hands.
#include "passes/validate/model.h"

#include <string.h>

enum { MOST_LANES = 6, LARGEST_GRANULE = 16 };

// Who makes an access to a granule of its slot.
typedef struct toucher {
    uint32_t warps;
    int lane;
} toucher;

// An access to a slot: by granule who makes it, and where that changes.
typedef struct touched {
    toucher *who;
    int64_t granules;
    int *changes, n_changes;
} touched;

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
    int64_t granules; // of shared memory
    int64_t *first;   // granule of each atom; one more behind the last
    int atoms;
    int *class; // by atom
    int classes, round;
    int8_t (*lanes)[MOST_LANES]; // by atom: those named so far
    uint8_t *lanes_named;
    slot_of_table *table;
    int size, used;
} partition;

// ---- accesses that are alike
// ---------------------------------------------------------------------

static bool same_number(const kg_value *a, const kg_value *b)
{
    int64_t x = 0, y = 0;
    return (!a || kg_const_int(a, &x)) && (!b || kg_const_int(b, &y)) && x == y;
}

static bool same_type(const kg_value *a, const kg_value *b)
{
    const kg_type *x = &a->type, *y = &b->type;
    bool same = x->dtype == y->dtype && x->home == y->home && x->rank == y->rank;
    for (int d = 0; same && d < x->rank; d++) same = x->dims[d] == y->dims[d];
    return same;
}

static bool same_view(const kg_access *a, const kg_access *b)
{
    kg_view_info x, y;
    kg_view_resolve(a->operand, &x);
    kg_view_resolve(b->operand, &y);
    bool same = x.rank == y.rank;
    for (int d = 0; same && d < x.rank; d++)
        same = x.dim[d] == y.dim[d] && !x.gather[d] && !y.gather[d] &&
               same_number(x.start[d], y.start[d]);
    for (int d = 0; same && d < a->root->type.rank; d++) same = same_number(x.fixed[d], y.fixed[d]);
    return same;
}

// Of the values that the op moves or computes.
static bool same_layouts(const kg_op *a, const kg_op *b)
{
    const kg_value *x = a->n_results ? a->results[0] : a->operands[a->n_operands > 1];
    const kg_value *y = b->n_results ? b->results[0] : b->operands[b->n_operands > 1];
    if (x->layout && y->layout && x->layout != y->layout)
        return same_type(x, y) && kg_layout_equal(x->layout, y->layout);
    return x->layout == y->layout && same_type(x, y);
}

static bool same_op(const kg_op *a, const kg_op *b)
{
    static const kg_attr_key keys[] = {KG_A_VEC, KG_A_MATRIX, KG_A_ASYNC};
    bool same = a->code == b->code && a->n_operands == b->n_operands && same_layouts(a, b);
    for (int i = 0; same && i < a->n_operands; i++)
        same = same_type(a->operands[i], b->operands[i]);
    for (int i = 0; same && i < 3; i++) same = kg_op_int(a, keys[i], 0) == kg_op_int(b, keys[i], 0);
    return same;
}

// The same threads, counted from the first of the region, touch the same bytes of a slot.
static bool alike(const access_model *x, const access_model *y)
{
    const kg_access *a = &x->at, *b = &y->at;
    if (a->effect != b->effect || !a->exact || !b->exact || x->use || y->use ||
        x->slot_bytes != y->slot_bytes || !same_type(a->root, b->root) ||
        !same_type(a->operand, b->operand))
        return false;
    kg_shared_layout p = kg_shared_layout_of(a->root), q = kg_shared_layout_of(b->root);
    return !memcmp(&p, &q, sizeof p) &&
           kg_op_region(a->op).n_warps == kg_op_region(b->op).n_warps && same_op(a->op, b->op) &&
           same_view(a, b);
}

// By access: the first one that is alike, or itself.
static const int *first_alike(const validator *v)
{
    int *first = KG_NEW_ARRAY(v->arena, int, v->accesses.count + 1);
    for (int i = 0; i < v->accesses.count; i++) {
        const access_model *all = v->accesses.items;
        int k = all[i].shared ? 0 : i;
        while (k < i && !(all[k].shared && first[k] == k && alike(&all[k], &all[i]))) k++;
        first[i] = k;
    }
    return first;
}

// ---- who touches what -------------------------------------------------------------------------

// Bytes in a row that some lanes touch.
typedef struct run {
    int64_t offset;
    int bytes, lane;
    uint32_t warps;
} run;

typedef struct runs {
    kg_arena *arena;
    run *items;
    int count, capacity;
    int64_t bits; // of offsets and lengths
} runs;

static void note_run(int thread, int64_t offset, int bytes, void *user)
{
    runs *r = user;
    run *last = r->count ? &r->items[r->count - 1] : NULL;
    if (last && last->offset == offset && last->bytes == bytes) {
        if (last->lane != thread % 32) last->lane = MANY_LANES;
        last->warps |= 1u << (thread / 32);
        return;
    }
    KG_PUSH(r->arena, r, ((run){offset, bytes, thread % 32, 1u << (thread / 32)}));
    r->bits |= offset | bytes;
}

// By access, of the first of those that are alike.
static runs *find_runs(const validator *v, const int *like)
{
    runs *all = KG_NEW_ARRAY(v->arena, runs, v->accesses.count + 1);
    for (int i = 0; i < v->accesses.count; i++) {
        const access_model *a = &v->accesses.items[i];
        all[i].arena = v->arena;
        if (a->shared && a->at.exact && !a->use && like[i] == i)
            kg_access_sharers(&a->at, note_run, &all[i]);
    }
    return all;
}

static int granule_of(const validator *v, const runs *of)
{
    int64_t bits = LARGEST_GRANULE;
    for (int i = 0; i < v->accesses.count; i++) {
        const access_model *a = &v->accesses.items[i];
        if (a->shared) bits |= a->offset | a->slot_bytes | of[i].bits;
    }
    return __builtin_ctzll((uint64_t)bits);
}

static void record(toucher *who, const run *r, int granule_log2)
{
    int64_t first = r->offset >> granule_log2, last = (r->offset + r->bytes - 1) >> granule_log2;
    for (int64_t i = first; i <= last; i++) {
        toucher *w = &who[i];
        w->lane = !w->warps || w->lane == r->lane ? r->lane : MANY_LANES;
        w->warps |= r->warps;
    }
}

static touched touchers(partition *p, const access_model *a, const runs *of)
{
    int64_t n = a->slot_bytes >> p->granule_log2;
    toucher *who = KG_NEW_ARRAY(p->v->arena, toucher, n + 1);
    for (int i = 0; i < of->count; i++) record(who, &of->items[i], p->granule_log2);
    for (int64_t i = 0; (!a->at.exact || a->use) && i < n; i++)
        who[i] = (toucher){a->region, a->elected ? 0 : MANY_LANES};
    touched t = {.who = who, .granules = n, .changes = KG_NEW_ARRAY(p->v->arena, int, n + 2)};
    for (int64_t i = 0; i < n; i++)
        if (!i || who[i].warps != who[i - 1].warps || who[i].lane != who[i - 1].lane)
            t.changes[t.n_changes++] = (int)i;
    t.changes[t.n_changes++] = (int)n;
    return t;
}

// What is known of an access that is alike, by warps of this one's region.
static touched moved(partition *p, const touched *t, int by)
{
    touched to = *t;
    if (!by) return to;
    to.who = KG_NEW_ARRAY(p->v->arena, toucher, t->granules + 1);
    for (int64_t i = 0; i < t->granules; i++) {
        uint32_t warps = t->who[i].warps;
        to.who[i] = (toucher){by > 0 ? warps << by : warps >> -by, t->who[i].lane};
    }
    return to;
}

static touched find_touchers(partition *p, const touched *by, int number, int like, const runs *of)
{
    const access_model *a = &p->v->accesses.items[number], *b = &p->v->accesses.items[like];
    if (number == like) return touchers(p, a, of);
    return moved(p, &by[like],
                 kg_op_region(a->at.op).first_warp - kg_op_region(b->at.op).first_warp);
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

static int name_of_lane(partition *p, int atom, int lane)
{
    if (lane == MANY_LANES) return lane;
    for (int i = 0; i < p->lanes_named[atom]; i++)
        if (p->lanes[atom][i] == lane) return i;
    if (p->lanes_named[atom] == MOST_LANES) return MOST_LANES + lane;
    p->lanes[atom][p->lanes_named[atom]] = (int8_t)lane;
    return p->lanes_named[atom]++;
}

// The atom that begins with the granule.
static int atom_at(const partition *p, int64_t granule)
{
    int low = 0, high = p->atoms;
    while (low < high) {
        int middle = (low + high) / 2;
        if (p->first[middle] < granule)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

// Neighbours are alike as a rule: what was found for one is held against the next.
static void refine(partition *p, int64_t first, const touched *t)
{
    key last = {0};
    int last_id = 0;
    p->round++;
    for (int i = atom_at(p, first); p->first[i] < first + t->granules; i++) {
        const toucher *who = &t->who[p->first[i] - first];
        if (!who->warps) continue;
        key k;
        memset(&k, 0, sizeof k);
        k.round = p->round;
        k.class = p->class[i];
        k.warps = who->warps;
        k.lane = name_of_lane(p, i, who->lane);
        if (k.round == last.round && k.class == last.class && k.warps == last.warps &&
            k.lane == last.lane) {
            p->class[i] = last_id;
            continue;
        }
        if (2 * p->used >= p->size) grow(p);
        slot_of_table *s = look_up(p->table, p->size, &k);
        if (!s->taken) {
            *s = (slot_of_table){k, p->classes++, true};
            p->used++;
        }
        last = k;
        last_id = p->class[i] = s->id;
    }
}

static int64_t first_granule(const partition *p, const access_model *a, int slot)
{
    return (a->offset + slot * a->slot_bytes) >> p->granule_log2;
}

static bool uses_slot(const access_model *a, int slot)
{
    int64_t number;
    if (a->ring == 1 || !a->at.slot || !kg_const_int(a->at.slot, &number)) return true;
    return ((number % a->ring) + a->ring) % a->ring == slot;
}

// ---- touches ----------------------------------------------------------------------------------

static void list_touches(partition *p, access_model *a, int slot, const touched *by,
                         const int *cell_of, int *seen)
{
    int64_t first = first_granule(p, a, slot), end = first + by->granules;
    int from = atom_at(p, first), n = 0, mark = ++p->round;
    for (int i = from; p->first[i] < end; i++)
        if (by->who[p->first[i] - first].warps && seen[p->class[i]] != mark) {
            seen[p->class[i]] = mark;
            n++;
        }
    touches *t = &a->by_slot[slot];
    t->items = KG_NEW_ARRAY(p->v->arena, touch, n + 1);
    mark = ++p->round;
    for (int i = from; p->first[i] < end; i++) {
        const toucher *who = &by->who[p->first[i] - first];
        int class = p->class[i];
        if (!who->warps || seen[class] == mark) continue;
        seen[class] = mark;
        p->v->cell_users[cell_of[class]] |= who->warps;
        if (a->writes) p->v->cell_writers[cell_of[class]] |= who->warps;
        if (a->proxy) p->v->cell_proxies[cell_of[class]] |= who->warps;
        t->items[t->count++] = (touch){cell_of[class], who->warps, name_of_lane(p, i, who->lane)};
    }
}

static int *number_cells(partition *p)
{
    validator *v = p->v;
    int *cell_of = KG_NEW_ARRAY(v->arena, int, p->classes);
    for (int i = 0; i < p->classes; i++) cell_of[i] = -1;
    v->cell_byte = KG_NEW_ARRAY(v->arena, int, p->classes);
    for (int i = 0; i < p->atoms; i++) {
        int class = p->class[i];
        if (class == 0 || cell_of[class] >= 0) continue; // 0: never touched
        v->cell_byte[v->n_cells] = (int)(p->first[i] << p->granule_log2);
        cell_of[class] = v->n_cells++;
    }
    return cell_of;
}

// Atoms begin where some access to some slot changes hands.
static void find_atoms(partition *p, const touched *by)
{
    const validator *v = p->v;
    bool *begins = KG_NEW_ARRAY(v->arena, bool, p->granules + 1);
    begins[0] = begins[p->granules] = true;
    for (int i = 0; i < v->accesses.count; i++) {
        const access_model *a = &v->accesses.items[i];
        for (int slot = 0; a->shared && slot < a->ring; slot++)
            for (int k = 0; uses_slot(a, slot) && k < by[i].n_changes; k++)
                begins[first_granule(p, a, slot) + by[i].changes[k]] = true;
    }
    int count = 0;
    for (int64_t i = 0; i <= p->granules; i++) count += begins[i];
    p->first = KG_NEW_ARRAY(v->arena, int64_t, count);
    for (int64_t i = 0; i <= p->granules; i++)
        if (begins[i]) p->first[p->atoms++] = i;
    p->atoms--;
    p->class = KG_NEW_ARRAY(v->arena, int, p->atoms + 1);
    p->lanes = kg_arena_alloc(v->arena, sizeof *p->lanes * (size_t)(p->atoms + 1));
    p->lanes_named = KG_NEW_ARRAY(v->arena, uint8_t, p->atoms + 1);
}

// The cells that accesses come to that go on after their ops in this way.
static void list_in_flight(validator *v, int kind)
{
    bool *comes = KG_NEW_ARRAY(v->arena, bool, v->n_cells + 1);
    int *items = KG_NEW_ARRAY(v->arena, int, v->n_cells + 1), n = 0;
    for (int i = 0; i < v->accesses.count; i++) {
        const access_model *a = &v->accesses.items[i];
        for (int slot = 0; a->shared && a->flight == kind && slot < a->ring; slot++)
            for (int k = 0; k < a->by_slot[slot].count; k++)
                comes[a->by_slot[slot].items[k].cell] = true;
    }
    for (int i = 0; i < v->n_cells; i++)
        if (comes[i]) items[n++] = i;
    v->cells_in_flight[kind].items = items;
    v->cells_in_flight[kind].count = n;
}

void validator_make_cells(validator *v)
{
    const int *like = first_alike(v);
    const runs *of = find_runs(v, like);
    partition p = {.v = v, .granule_log2 = granule_of(v, of), .classes = 1};
    touched *by = KG_NEW_ARRAY(v->arena, touched, v->accesses.count + 1);
    p.granules = (v->kernel->shared_bytes >> p.granule_log2) + 2;
    for (int i = 0; i < v->accesses.count; i++)
        if (v->accesses.items[i].shared) by[i] = find_touchers(&p, by, i, like[i], &of[i]);
    find_atoms(&p, by);
    for (int i = 0; i < v->accesses.count; i++) {
        const access_model *a = &v->accesses.items[i];
        for (int slot = 0; a->shared && slot < a->ring; slot++)
            if (uses_slot(a, slot)) refine(&p, first_granule(&p, a, slot), &by[i]);
    }
    int *cell_of = number_cells(&p);
    v->cell_users = KG_NEW_ARRAY(v->arena, uint32_t, v->n_cells + 1);
    v->cell_writers = KG_NEW_ARRAY(v->arena, uint32_t, v->n_cells + 1);
    v->cell_proxies = KG_NEW_ARRAY(v->arena, uint32_t, v->n_cells + 1);
    int *seen = KG_NEW_ARRAY(v->arena, int, p.classes);
    for (int i = 0; i < v->accesses.count; i++) {
        access_model *a = &v->accesses.items[i];
        if (!a->shared) continue;
        a->by_slot = KG_NEW_ARRAY(v->arena, touches, a->ring);
        for (int slot = 0; slot < a->ring; slot++)
            if (uses_slot(a, slot)) list_touches(&p, a, slot, &by[i], cell_of, seen);
    }
    for (int kind = FLIGHT_COPY; kind < KINDS_OF_FLIGHT; kind++) list_in_flight(v, kind);
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
