// SPDX-License-Identifier: MIT
// A cheapest hitting set: the fewest, then cheapest points so that every set holds one.
//
// Equal and larger sets are dropped first (what cuts the smaller one cuts the larger), then points
// that another point replaces at no more cost. What is left is small in structured code, and branch
// and bound ends at once; if it does not within its budget, the best cover found so far (greedy at
// first) stands.
#include "passes/sync/cover.h"

#include <stdlib.h>
#include <string.h>

enum { SEARCH_LIMIT = 20000 };

typedef struct solver {
    int words, n_sets, n_points;
    uint64_t **sets;
    const int64_t *cost;
    int *points; // candidates
    int64_t best;
    uint64_t *best_chosen, *chosen;
    int steps;
} solver;

static bool meet(const uint64_t *a, const uint64_t *b, int words)
{
    for (int i = 0; i < words; i++)
        if (a[i] & b[i]) return true;
    return false;
}

static bool within(const uint64_t *a, const uint64_t *b, int words)
{
    for (int i = 0; i < words; i++)
        if (a[i] & ~b[i]) return false;
    return true;
}

static bool has(const uint64_t *a, int i)
{
    return a[i >> 6] >> (i & 63) & 1;
}

static bool empty(const uint64_t *a, int words)
{
    for (int i = 0; i < words; i++)
        if (a[i]) return false;
    return true;
}

// Keeps the smallest sets only.
static void reduce_sets(solver *s)
{
    int kept = 0;
    for (int i = 0; i < s->n_sets; i++) {
        bool needed = true;
        for (int j = 0; j < kept && needed; j++) needed = !within(s->sets[j], s->sets[i], s->words);
        if (!needed) continue;
        int now = 0;
        for (int j = 0; j < kept; j++)
            if (!within(s->sets[i], s->sets[j], s->words)) s->sets[now++] = s->sets[j];
        s->sets[now++] = s->sets[i];
        kept = now;
    }
    s->n_sets = kept;
}

// q hits every set that p hits.
static bool replaces(const solver *s, int q, int p)
{
    for (int i = 0; i < s->n_sets; i++)
        if (has(s->sets[i], p) && !has(s->sets[i], q)) return false;
    return true;
}

static void reduce_points(solver *s)
{
    for (int i = 0; i < s->n_points; i++)
        for (int j = 0; j < s->n_points; j++) {
            int p = s->points[i], q = s->points[j];
            if (p < 0 || q < 0 || p == q || s->cost[q] > s->cost[p] ||
                (s->cost[q] == s->cost[p] && q < p) || !replaces(s, q, p))
                continue;
            s->points[i] = -1;
            for (int k = 0; k < s->n_sets; k++) s->sets[k][p >> 6] &= ~(UINT64_C(1) << (p & 63));
        }
    int kept = 0;
    for (int i = 0; i < s->n_points; i++)
        if (s->points[i] >= 0) s->points[kept++] = s->points[i];
    s->n_points = kept;
}

static int hits(const solver *s, int point)
{
    int n = 0;
    for (int i = 0; i < s->n_sets; i++)
        n += has(s->sets[i], point) && !meet(s->sets[i], s->chosen, s->words);
    return n;
}

static void set_bit(uint64_t *a, int i, bool on)
{
    uint64_t bit = UINT64_C(1) << (i & 63);
    a[i >> 6] = on ? a[i >> 6] | bit : a[i >> 6] & ~bit;
}

static void greedy(solver *s)
{
    int64_t total = 0;
    for (;;) {
        int best = -1;
        double value = 0;
        for (int i = 0; i < s->n_points; i++) {
            double v = (double)hits(s, s->points[i]) / (double)s->cost[s->points[i]];
            if (v > value) {
                value = v;
                best = s->points[i];
            }
        }
        if (best < 0) break;
        set_bit(s->chosen, best, true);
        total += s->cost[best];
    }
    s->best = total;
    memcpy(s->best_chosen, s->chosen, sizeof *s->chosen * (size_t)s->words);
    memset(s->chosen, 0, sizeof *s->chosen * (size_t)s->words);
}

// The open set with the fewest points; *bound: what pairwise disjoint open sets cost at least.
static int tightest(const solver *s, uint64_t *scratch, int64_t *bound)
{
    int best = -1, fewest = 0;
    *bound = 0;
    memset(scratch, 0, sizeof *scratch * (size_t)s->words);
    for (int i = 0; i < s->n_sets; i++) {
        if (meet(s->sets[i], s->chosen, s->words)) continue;
        int n = 0;
        int64_t least = INT64_MAX;
        for (int k = 0; k < s->n_points; k++)
            if (has(s->sets[i], s->points[k])) {
                n++;
                least = s->cost[s->points[k]] < least ? s->cost[s->points[k]] : least;
            }
        if (best < 0 || n < fewest) {
            best = i;
            fewest = n;
        }
        if (meet(s->sets[i], scratch, s->words)) continue;
        *bound += least;
        for (int k = 0; k < s->words; k++) scratch[k] |= s->sets[i][k];
    }
    return best;
}

static void search(solver *s, int64_t spent, uint64_t *scratch)
{
    int64_t bound;
    int set = tightest(s, scratch, &bound);
    if (set < 0) {
        if (spent < s->best) {
            s->best = spent;
            memcpy(s->best_chosen, s->chosen, sizeof *s->chosen * (size_t)s->words);
        }
        return;
    }
    if (spent + bound >= s->best || ++s->steps > SEARCH_LIMIT) return;
    for (int i = 0; i < s->n_points; i++) {
        int p = s->points[i];
        if (!has(s->sets[set], p)) continue;
        set_bit(s->chosen, p, true);
        search(s, spent + s->cost[p], scratch);
        set_bit(s->chosen, p, false);
    }
}

void kg_cover_choose(const kg_sync_program *p, const kg_points *sets, int n_sets,
                     const int64_t *cost, kg_points chosen)
{
    solver s = {.words = kg_points_words(p), .cost = cost};
    s.sets = KG_NEW_ARRAY(p->arena, uint64_t *, n_sets + 1);
    for (int i = 0; i < n_sets; i++) {
        if (meet(sets[i].words, chosen.words, s.words) || empty(sets[i].words, s.words)) continue;
        uint64_t *copy = KG_NEW_ARRAY(p->arena, uint64_t, s.words);
        memcpy(copy, sets[i].words, sizeof *copy * (size_t)s.words);
        s.sets[s.n_sets++] = copy;
        if (s.n_sets >= 64 && (s.n_sets & 63) == 0) reduce_sets(&s);
    }
    reduce_sets(&s);
    if (!s.n_sets) return;
    s.points = KG_NEW_ARRAY(p->arena, int, p->n_points);
    for (int i = 0; i < p->n_points; i++)
        for (int k = 0; k < s.n_sets; k++)
            if (has(s.sets[k], i)) {
                s.points[s.n_points++] = i;
                break;
            }
    reduce_points(&s);
    reduce_sets(&s);
    s.chosen = KG_NEW_ARRAY(p->arena, uint64_t, s.words);
    s.best_chosen = KG_NEW_ARRAY(p->arena, uint64_t, s.words);
    greedy(&s);
    search(&s, 0, KG_NEW_ARRAY(p->arena, uint64_t, s.words));
    for (int i = 0; i < s.words; i++) chosen.words[i] |= s.best_chosen[i];
}
