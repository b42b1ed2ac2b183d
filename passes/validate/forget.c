// SPDX-License-Identifier: MIT
// What nobody asks for any more is forgotten, so that equal states become equal. What everybody
// knows can conflict with nothing; of a generation only what is kept of it is asked for; and two
// generations of whose accesses the same is known are one.
#include "passes/validate/model.h"

#include <string.h>

// ---- numbers of generations ---------------------------------------------------------------------

typedef struct renaming {
    uint8_t to[MOST_GENERATIONS];
} renaming;

// The same access at the same time as far as anything tells, by other warps at most.
static bool same_but_warps(const entry *a, const entry *b)
{
    entry c = *b;
    c.warps = a->warps;
    return !memcmp(a, &c, sizeof c);
}

static void rename_list(entry *entries, int *count, const renaming *r)
{
    int kept = 0;
    if (*count == 1 && (entries->phase || r->to[entries->generation])) {
        entries->generation = r->to[entries->generation];
        return;
    }
    for (int i = 0; i < *count; i++) {
        entry e = entries[i];
        int k = 0;
        e.generation = r->to[e.generation];
        if (!e.generation && !e.phase) continue;
        while (k < kept && !same_but_warps(&entries[k], &e)) k++;
        if (k == kept)
            entries[kept++] = e;
        else
            entries[k].warps |= e.warps;
    }
    memset(&entries[kept], 0, sizeof *entries * (size_t)(*count - kept));
    *count = kept;
}

static void rename_events(event *events, const renaming *r)
{
    int kept = 0;
    if (!events[0].warps) return;
    for (int i = 0; i < MOST_EVENTS && events[i].warps; i++) {
        event e = events[i];
        int k = 0;
        e.generation = r->to[e.generation];
        while (k < kept && events[k].generation != e.generation) k++;
        if (k == kept)
            events[kept++] = e;
        else
            events[k].warps |= e.warps;
    }
    memset(&events[kept], 0, sizeof *events * (size_t)(MOST_EVENTS - kept));
}

static void rename_mbarriers(const validator *v, state *s, const renaming *r)
{
    for (int i = 0; i < v->n_mbarriers; i++) {
        mbarrier *m = &mbarriers_of(v, s)[i];
        phase *phases[] = {&m->now, &m->last, &m->before};
        for (int k = 0; k < 3; k++) {
            rename_events(phases[k]->came, r);
            rename_events(phases[k]->seen, r);
            phases[k]->landed = r->to[phases[k]->landed];
        }
    }
}

static void rename_all(const validator *v, state *s, const renaming *r)
{
    cell *cells = cells_of(v, s);
    for (int i = 0; i < v->n_cells; i++) {
        cell *c = &cells[i];
        int count = c->count;
        c->write.generation = r->to[c->write.generation];
        if (!c->write.generation && !c->write.phase) c->write = (entry){0};
        if (count) rename_list(c->entries, &count, r);
        c->count = (uint8_t)count;
    }
    for (int i = 0; i < v->n_tensors; i++)
        rename_list(tensors_of(v, s)[i].entries, &tensors_of(v, s)[i].count, r);
    rename_mbarriers(v, s, r);
}

// ---- what nobody has to ask for any more --------------------------------------------------------

static bool all_know(const validator *v, const state *s, int g, int plane, uint32_t of, bool self,
                     uint32_t users)
{
    const uint32_t *rows = rows_of(v, s, g, plane);
    for (; of; of &= of - 1) {
        int w = __builtin_ctz(of);
        if (s->alive & users & ~(rows[w] | (self ? 1u << w : 0))) return false;
    }
    return true;
}

static bool may_forget(const entry *e)
{
    return e->generation && !e->phase;
}

// `users` come to these bytes at all, and `writers` among them are those who may have to come after
// a read: nobody else ever asks for one (may_conflict, and a release of global memory). Of fences
// only those ask who come by the async proxy, `proxies`.
static bool forget_entry(const validator *v, const state *s, entry *e, knowledge space,
                         uint32_t users, uint32_t writers, uint32_t proxies)
{
    if (e->kind == ENTRY_READ) users = writers;
    bool first = by_first_lane(v, e), proxy = v->accesses.items[e->access].proxy;
    int plane = is_over(v, e) ? v->at.over : plane_of(v, KNOWN, first);
    int fenced = plane_of(v, space, first);
    bool unseen = e->warps == engine(v) && !rows_of(v, s, e->generation, plane)[v->warps];
    if (unseen || !all_know(v, s, e->generation, plane, e->warps, false, users)) return false;
    if (!proxy && fenced >= 0 &&
        !all_know(v, s, e->generation, fenced, e->warps, false, users & proxies))
        return false;
    e->generation = 0;
    return true;
}

static void forget_event(const validator *v, const state *s, event *e, uint32_t users)
{
    bool known =
        e->generation && all_know(v, s, e->generation, v->at.came_after, e->warps, true, users);
    if (known) e->generation = 0;
}

static void drop_known(event *events)
{
    int kept = 0;
    for (int i = 0; i < MOST_EVENTS; i++)
        if (events[i].generation) events[kept++] = events[i];
    memset(&events[kept], 0, sizeof *events * (size_t)(MOST_EVENTS - kept));
}

// Once everybody knows that a phase is over only those who saw it count, for the next one.
static void forget_phase(const validator *v, const state *s, phase *p, uint32_t users)
{
    bool over = !p->exists, came = true;
    if (over && !p->came[0].warps && !p->seen[0].warps && !p->copies && !p->landed) return;
    for (int i = 0; i < MOST_EVENTS; i++) {
        forget_event(v, s, &p->came[i], users);
        forget_event(v, s, &p->seen[i], users);
        over |= p->seen[i].warps && !p->seen[i].generation;
        came &= !p->came[i].generation;
    }
    if (p->landed && all_know(v, s, p->landed, v->at.came_after, engine(v), false, users))
        p->landed = 0;
    if (!over && !(came && !p->landed)) return;
    memset(p->came, 0, sizeof p->came);
    drop_known(p->seen);
    p->exists = p->copies = false;
    p->landed = 0;
}

static bool forget_known(const validator *v, state *s)
{
    bool any = false;
    for (int i = 0; i < v->n_cells; i++) {
        cell *c = &cells_of(v, s)[i];
        uint32_t users = v->cell_users[i], writers = v->cell_writers[i];
        uint32_t proxies = v->cell_proxies[i];
        if (may_forget(&c->write))
            any |= forget_entry(v, s, &c->write, SHARED_FENCED, users, writers, proxies);
        for (int k = 0; k < c->count; k++)
            if (may_forget(&c->entries[k]))
                any |= forget_entry(v, s, &c->entries[k], SHARED_FENCED, users, writers, proxies);
    }
    for (int i = 0; i < v->n_tensors; i++) {
        tensor_state *t = &tensors_of(v, s)[i];
        for (int k = 0; k < t->count; k++)
            if (may_forget(&t->entries[k]))
                any |= forget_entry(v, s, &t->entries[k], GLOBAL_FENCED, v->tensor_users[i],
                                    v->tensor_writers[i], v->tensor_proxies[i]);
    }
    for (int i = 0; i < v->n_mbarriers; i++) {
        mbarrier *m = &mbarriers_of(v, s)[i];
        uint32_t users = v->mbarrier_users[i];
        for (int k = 0; k < MOST_EVENTS; k++) forget_event(v, s, &m->now.came[k], users);
        forget_phase(v, s, &m->last, users);
        forget_phase(v, s, &m->before, users);
        memset(m->before.seen, 0, m->before.exists ? 0 : sizeof m->before.seen);
    }
    return any;
}

// What of a generation something is kept of: warps by their lanes, by their first lanes, by what
// they did at mbarriers, and by what operations of theirs are over.
typedef struct kept {
    uint32_t lanes, first, events, over;
} kept;

static void keep_entry(const validator *v, const entry *e, kept *of)
{
    if (!e->generation) return;
    if (is_over(v, e))
        of[e->generation].over |= e->warps;
    else if (by_first_lane(v, e))
        of[e->generation].first |= e->warps;
    else
        of[e->generation].lanes |= e->warps;
}

static void keep_phase(const validator *v, const phase *p, kept *of)
{
    for (int i = 0; i < MOST_EVENTS && p->came[i].warps; i++)
        of[p->came[i].generation].events |= p->came[i].warps;
    for (int i = 0; i < MOST_EVENTS && p->seen[i].warps; i++)
        of[p->seen[i].generation].events |= p->seen[i].warps;
    if (p->landed) of[p->landed].events |= engine(v);
}

static void find_kept(const validator *v, const state *s, kept *of)
{
    for (int i = 0; i < v->n_cells; i++) {
        const cell *c = &cells_of(v, s)[i];
        keep_entry(v, &c->write, of);
        for (int k = 0; k < c->count; k++) keep_entry(v, &c->entries[k], of);
    }
    for (int i = 0; i < v->n_tensors; i++) {
        const tensor_state *t = &tensors_of(v, s)[i];
        for (int k = 0; k < t->count; k++) keep_entry(v, &t->entries[k], of);
    }
    for (int i = 0; i < v->n_mbarriers; i++) {
        const mbarrier *m = &mbarriers_of(v, s)[i];
        keep_phase(v, &m->now, of);
        keep_phase(v, &m->last, of);
        keep_phase(v, &m->before, of);
    }
}

static uint32_t kept_in(const validator *v, int plane, const kept *k)
{
    if (plane == v->at.came_after) return k->events;
    if (plane == v->at.over) return k->over;
    return of_first_lanes(v, plane) ? k->first : k->lanes;
}

// Nobody will ask for the rest of a generation.
static void drop_rest(const validator *v, state *s, int g, const kept *k)
{
    int n_rows = v->at.rows, n_tellers = v->at.tellers;
    uint32_t asked = 0;
    for (int p = 0; p < v->at.planes; p++) {
        uint32_t warps = kept_in(v, p, k);
        uint32_t *rows = rows_of(v, s, g, p), *told = told_of(v, s, g, 0, p);
        if (!warps) continue;
        asked |= 1u << p;
        for (int w = 0; w < n_rows; w++) rows[w] &= -(uint32_t)((warps & validator_bits[w]) != 0);
        for (int t = 0; t < n_tellers; t++) told[t] &= warps;
    }
    s->asked[g] = (uint8_t)asked;
    for (int space = SHARED_FENCED; space <= GLOBAL_FENCED; space++)
        s->own[g][space] &= k->lanes | k->first;
}

// Where there are mbarriers, many generations go by that not everybody ever hears of. Returns those
// that something is kept of, as bits.
static uint64_t tidy(const validator *v, state *s, kept *of, bool *forgot)
{
    uint64_t found = 0;
    *forgot = forget_known(v, s);
    find_kept(v, s, of);
    for (int g = 1; g <= s->generations; g++) {
        if (!(of[g].lanes | of[g].first | of[g].events | of[g].over)) continue;
        found |= UINT64_C(1) << g;
        drop_rest(v, s, g, &of[g]);
    }
    return found;
}

// Once it is tidied up that goes for the youngest, too.
static uint32_t planes_kept(const validator *v, const state *s, int g)
{
    return v->n_mbarriers ? s->asked[g] : all_planes(v);
}

static bool known_to_all(const validator *v, const state *s, int g)
{
    if (planes_kept(v, s, g) != all_planes(v)) return !s->alive;
    for (int p = 0; p < v->at.planes; p++)
        for (int w = 0; w < v->at.rows; w++)
            if (s->alive & ~rows_of(v, s, g, p)[w]) return false;
    return true;
}

// The same warps know of both: nothing tells them apart. (Of what is older no fewer know, so equal
// ones follow each other.)
static bool same_known(const validator *v, const state *s, int g, int h)
{
    uint32_t a = planes_kept(v, s, g), b = planes_kept(v, s, h), apart = 0;
    for (int k = 0; k < KINDS_OF_KNOWLEDGE; k++) apart |= s->own[g][k] ^ s->own[h][k];
    for (uint32_t left = a | b; left && !apart; left &= left - 1) {
        int p = __builtin_ctz(left);
        bool both = (a & b) >> p & 1; // of what is not kept nobody knows
        const uint32_t *x = rows_of(v, s, a >> p & 1 ? g : h, p);
        const uint32_t *y = both ? rows_of(v, s, h, p) : NULL;
        for (int i = 0; i < v->at.plane; i++) apart |= y ? x[i] ^ y[i] : x[i];
    }
    return !apart;
}

// What is known of a warp in a generation (a column: its rows, its bit of what tellers were told
// and of who has fenced) comes about without a look at other warps, planes of other lanes, or
// events. So two generations can be one when of each column that both keep they say the same: of
// the other columns only one says anything.
static bool fit_together(const validator *v, const state *s, int g, int h, const kept *a,
                         const kept *b)
{
    for (int p = 0; p < v->at.planes; p++) {
        uint32_t both = kept_in(v, p, a) & kept_in(v, p, b);
        if (!both) continue;
        const uint32_t *x = told_of(v, s, g, 0, p), *y = told_of(v, s, h, 0, p), n = v->at.tellers;
        uint32_t apart = 0;
        for (uint32_t t = 0; t < n; t++) apart |= (x[t] ^ y[t]) & both;
        for (uint32_t left = both; left && !apart; left &= left - 1) {
            int w = __builtin_ctz(left);
            apart = rows_of(v, s, g, p)[w] ^ rows_of(v, s, h, p)[w];
        }
        if (apart) return false;
    }
    uint32_t both = (a->lanes | a->first) & (b->lanes | b->first), apart = 0;
    for (int space = SHARED_FENCED; space <= GLOBAL_FENCED; space++)
        apart |= s->own[g][space] ^ s->own[h][space];
    return !(apart & both);
}

// h goes into g: what one of them does not keep of a plane is zero there, see drop_rest.
static void put_together(const validator *v, state *s, int g, int h, kept *a, const kept *b)
{
    for (int k = 0; k < KINDS_OF_KNOWLEDGE; k++) s->own[g][k] |= s->own[h][k];
    for (uint32_t left = planes_kept(v, s, h); left; left &= left - 1) {
        int p = __builtin_ctz(left);
        uint32_t *to = rows_of(v, s, g, p);
        const uint32_t *from = rows_of(v, s, h, p);
        if (!(planes_kept(v, s, g) >> p & 1))
            s->plane_at[g][p] = s->plane_at[h][p];
        else
            for (int i = 0; i < v->at.plane; i++) to[i] |= from[i];
    }
    s->asked[g] |= s->asked[h];
    a->lanes |= b->lanes;
    a->first |= b->first;
    a->events |= b->events;
    a->over |= b->over;
}

static void move_generation(const validator *v, state *s, int from, int to)
{
    for (int k = 0; k < KINDS_OF_KNOWLEDGE; k++) s->own[to][k] = s->own[from][k];
    memcpy(s->plane_at[to], s->plane_at[from], sizeof s->plane_at[to]);
    s->asked[to] = s->asked[from];
}

static void move_plane(const validator *v, state *s, int g, int p, int to)
{
    const uint32_t *from = rows_of(v, s, g, p);
    s->plane_at[g][p] = (uint16_t)to;
    if (from != rows_of(v, s, g, p))
        memcpy(rows_of(v, s, g, p), from, sizeof(uint32_t) * (size_t)v->at.plane);
}

// The planes of the generations up to this one move to where there is room between them.
static void close_gaps(const validator *v, state *s, int last)
{
    uint16_t owner[MOST_GENERATIONS * MOST_PLANES] = {0};
    int count = s->planes + v->at.planes, next = 0;
    for (int g = 1; g <= last; g++)
        for (uint32_t left = planes_kept(v, s, g); left; left &= left - 1) {
            int p = __builtin_ctz(left);
            owner[s->plane_at[g][p]] = (uint16_t)(g * MOST_PLANES + p);
        }
    for (int i = 0; i < count; i++)
        if (owner[i]) move_plane(v, s, owner[i] / MOST_PLANES, owner[i] % MOST_PLANES, next++);
    s->planes = (uint16_t)next;
}

// Older generations that everybody knows become number 0, equal ones become one, the rest move
// down; and a new one begins.
void validator_tidy(validator *v, state *s)
{
    renaming r = {{0}};
    int last = s->generations, next = 1, last_kept = 0; // as it is numbered still
    kept of[MOST_GENERATIONS] = {{0}};
    bool forgot = false, tidied = v->n_mbarriers > 0;
    uint64_t in_use = tidied ? tidy(v, s, of, &forgot) : ~UINT64_C(0);
    // Of entries at computed places one stands for others by their age alone (validator_next_trip).
    bool columns = tidied && !v->any_computed;
    for (int g = 1; g <= last; g++) {
        if (!(in_use >> g & 1) || known_to_all(v, s, g) || (g == last && !s->used)) continue;
        r.to[g] = (uint8_t)next;
        if (last_kept && same_known(v, s, last_kept, g)) {
            r.to[g] = (uint8_t)(next - 1);
            put_together(v, s, last_kept, g, &of[last_kept], &of[g]);
            continue;
        }
        if (last_kept && columns && fit_together(v, s, last_kept, g, &of[last_kept], &of[g])) {
            r.to[g] = (uint8_t)(next - 1);
            put_together(v, s, last_kept, g, &of[last_kept], &of[g]);
            continue;
        }
        last_kept = next;
        of[next] = of[g];
        if (next != g) move_generation(v, s, g, next);
        next++;
    }
    if (next <= last || forgot) rename_all(v, s, &r);
    if (next == MOST_GENERATIONS) {
        validator_give_up(v, "too many synchronizations of some warps only in a row");
        return;
    }
    close_gaps(v, s, next - 1);
    s->generations = next;
    validator_fresh_generation(v, s, next);
}

// Tidying up takes longer than anything else, so it waits until there is much, or states are
// compared.
void validator_begin_generation(validator *v, state *s)
{
    if (!v->n_mbarriers || s->generations >= MANY_GENERATIONS) {
        validator_tidy(v, s);
        return;
    }
    for (uint32_t left = s->used ? s->asked[s->generations] : 0; left; left &= left - 1)
        move_plane(v, s, s->generations, __builtin_ctz(left), s->planes++);
    s->generations += s->used;
    validator_fresh_generation(v, s, s->generations);
}
