// SPDX-License-Identifier: MIT
// Paths of obligations through the structured program, and the points that cut them.
//
// a inside of A, b inside of B, both in one block C:
//
//   same trip        C:  ... A [ after a ] | .. | [ before b ] B ...        from A to B
//   back edge        C:  ... [ before b ] B ...... A [ after a ] ...        from A to the end, then
//   from the start to B two trips apart  any point of C itself: a whole trip lies between
//
// "after a" are the points behind a's ancestors up to A, "before b" those in front of b's: they are
// met whenever a was left or b is reached. Points in other arms and in loops that may run zero
// times are not; those of a loop with constant bounds that runs at least once are.
#include "passes/sync/cover.h"

#include <string.h>

kg_points kg_points_new(const kg_sync_program *p)
{
    return (kg_points){KG_NEW_ARRAY(p->arena, uint64_t, kg_points_words(p) + 1)};
}

bool kg_points_meet(const kg_sync_program *p, kg_points a, kg_points b)
{
    for (int i = 0; i < kg_points_words(p); i++)
        if (a.words[i] & b.words[i]) return true;
    return false;
}

// ---- sources ------------------------------------------------------------------------------------
// The first commit behind the node that every path meets before the loop's trip ends.
static int commit_after(const kg_sync_program *p, int node, kg_group group)
{
    for (;;) {
        const kg_sync_node *n = kg_sync_node_at(p, node);
        const kg_sync_block *block = kg_sync_block_at(p, n->block);
        int end = block->kind == KG_SB_WHILE && n->position < block->condition_nodes
                      ? block->condition_nodes
                      : block->count;
        for (int i = n->position + 1; i < end; i++)
            if (kg_sync_commits(kg_sync_node_at(p, block->items[i])->op) == group)
                return block->items[i];
        if (kg_sync_is_loop(block) || block->owner < 0) return -1;
        node = block->owner;
    }
}

int kg_sync_source(const kg_sync_program *p, const kg_sync_access *a)
{
    return a->async ? commit_after(p, a->node, a->group) : a->node;
}

// ---- loops that surely run ----------------------------------------------------------------------
static bool surely_runs(const kg_sync_program *p, int node)
{
    const kg_op *op = kg_sync_node_at(p, node)->op;
    int64_t lo, hi;
    return op->code == KG_OP_FOR && kg_const_int(op->operands[0], &lo) &&
           kg_const_int(op->operands[1], &hi) && lo < hi;
}

// ---- cuts ---------------------------------------------------------------------------------------
typedef struct cutter {
    const kg_sync_program *p;
    const kg_obligation *o;
    kg_points cuts, late;
} cutter;

bool kg_sync_legal(const kg_sync_program *p, const kg_obligation *o, int point)
{
    int region = kg_sync_block_at(p, p->points[point].block)->region;
    if (region < 0) return true;
    int inside = kg_sync_node_at(p, region)->child[0];
    return kg_sync_lift(p, p->accesses.items[o->a].node, inside) >= 0 &&
           kg_sync_lift(p, p->accesses.items[o->b].node, inside) >= 0;
}

// The points from `from` to `to`, and those of the loops between them that surely run.
static void add(const cutter *c, int block, int from, int to, bool late)
{
    const kg_sync_block *b = kg_sync_block_at(c->p, block);
    int first = b->first_point;
    if (from <= to && !kg_sync_legal(c->p, c->o, first)) return;
    for (int i = from; i <= to; i++) {
        bool met = c->o->meet != KG_MEET_CTA || !c->p->points[first + i].within_roles;
        if (met) kg_points_add(c->cuts, first + i);
        if (met && late && c->late.words) kg_points_add(c->late, first + i);
        if (i == to || !surely_runs(c->p, b->items[i])) continue;
        int body = kg_sync_node_at(c->p, b->items[i])->child[0];
        add(c, body, 0, kg_sync_block_at(c->p, body)->count, false);
    }
}

// Points met when the block is left from behind `position`.
static void add_leaving(const cutter *c, int block, int position)
{
    const kg_sync_block *b = kg_sync_block_at(c->p, block);
    if (b->kind != KG_SB_WHILE) {
        add(c, block, position + 1, b->count, false);
    } else if (position < b->condition_nodes) {
        add(c, block, position + 1, b->condition_nodes - 1, false);
    } else {
        add(c, block, position + 1, b->count, false);
        add(c, block, 0, b->condition_nodes - 1, false);
    }
}

// Climbs from a node to its ancestor in block `top`.
static int climb(const cutter *c, int node, int top, bool leaving)
{
    while (kg_sync_node_at(c->p, node)->block != top) {
        const kg_sync_node *n = kg_sync_node_at(c->p, node);
        if (leaving)
            add_leaving(c, n->block, n->position);
        else
            add(c, n->block, 0, n->position, true);
        node = kg_sync_block_at(c->p, n->block)->owner;
    }
    return kg_sync_node_at(c->p, node)->position;
}

void kg_sync_cuts(const kg_sync_program *p, const kg_obligation *o, kg_points cuts, kg_points late)
{
    cutter c = {p, o, cuts, late};
    int a = kg_sync_source(p, &p->accesses.items[o->a]), b = p->accesses.items[o->b].node;
    if (a < 0) return;
    if (o->carrier < 0) {
        int common = kg_sync_common(p, a, b);
        if (kg_sync_lift(p, a, common) >= kg_sync_lift(p, b, common))
            return; // the commit comes too late
        int from = climb(&c, a, common, true), to = climb(&c, b, common, false);
        add(&c, common, from + 1, to, true);
        return;
    }
    int from = climb(&c, a, o->carrier, true), to = climb(&c, b, o->carrier, false);
    int count = kg_sync_block_at(p, o->carrier)->count;
    add(&c, o->carrier, 0, to, true);
    add(&c, o->carrier, o->distance >= 2 ? 0 : from + 1, count, false);
}

// ---- open paths ---------------------------------------------------------------------------------
typedef struct walker {
    const kg_sync_program *p;
    kg_points by;
} walker;

static bool passable(const walker *w, int node);

// The points from `from` to `to` and the nodes between them can be passed without meeting a
// barrier.
static bool passable_range(const walker *w, int block, int from, int to)
{
    const kg_sync_block *b = kg_sync_block_at(w->p, block);
    for (int i = from; i <= to; i++)
        if (kg_points_has(w->by, b->first_point + i) || (i < to && !passable(w, b->items[i])))
            return false;
    return true;
}

static bool arm_passable(const walker *w, int block)
{
    return block < 0 || passable_range(w, block, 0, kg_sync_block_at(w->p, block)->count);
}

static bool passable(const walker *w, int node)
{
    const kg_sync_node *n = kg_sync_node_at(w->p, node);
    if (n->op->code == KG_OP_IF)
        return arm_passable(w, n->child[0]) || arm_passable(w, n->child[1]);
    if (n->op->code == KG_OP_WHILE)
        return passable_range(w, n->child[0], 0,
                              kg_sync_block_at(w->p, n->child[0])->condition_nodes - 1);
    if (surely_runs(w->p, node)) return arm_passable(w, n->child[0]);
    return true; // a loop may run zero times, other warps pass a role by
}

static bool leaves(const walker *w, int *node, int top)
{
    while (kg_sync_node_at(w->p, *node)->block != top) {
        const kg_sync_node *n = kg_sync_node_at(w->p, *node);
        const kg_sync_block *b = kg_sync_block_at(w->p, n->block);
        bool condition = b->kind == KG_SB_WHILE && n->position < b->condition_nodes;
        if (!passable_range(w, n->block, n->position + 1,
                            condition ? b->condition_nodes - 1 : b->count))
            return false;
        if (b->kind == KG_SB_WHILE && !condition &&
            !passable_range(w, n->block, 0, b->condition_nodes - 1))
            return false;
        *node = b->owner;
    }
    return true;
}

static bool enters(const walker *w, int *node, int top)
{
    while (kg_sync_node_at(w->p, *node)->block != top) {
        const kg_sync_node *n = kg_sync_node_at(w->p, *node);
        if (!passable_range(w, n->block, 0, n->position)) return false;
        *node = kg_sync_block_at(w->p, n->block)->owner;
    }
    return true;
}

bool kg_sync_path_open(const kg_sync_program *p, const kg_obligation *o, kg_points by)
{
    int a = kg_sync_source(p, &p->accesses.items[o->a]);
    return a < 0 || kg_sync_path_open_from(p, o, a, o->carrier, by);
}

bool kg_sync_end_open(const kg_sync_program *p, int a, kg_points by)
{
    walker w = {p, by};
    if (!leaves(&w, &a, 0)) return false;
    return passable_range(&w, 0, kg_sync_node_at(p, a)->position + 1,
                          kg_sync_block_at(p, 0)->count);
}

bool kg_sync_path_open_from(const kg_sync_program *p, const kg_obligation *o, int a, int carrier,
                            kg_points by)
{
    kg_points legal = kg_points_new(p);
    walker w = {p, legal};
    for (int i = 0; i < p->n_points; i++)
        if (kg_points_has(by, i) && kg_sync_legal(p, o, i)) kg_points_add(legal, i);
    int b = p->accesses.items[o->b].node;
    int top = carrier < 0 ? kg_sync_common(p, a, b) : carrier;
    if (carrier < 0 && kg_sync_lift(p, a, top) >= kg_sync_lift(p, b, top)) return true;
    if (!leaves(&w, &a, top) || !enters(&w, &b, top)) return false;
    int from = kg_sync_node_at(p, a)->position + 1, to = kg_sync_node_at(p, b)->position;
    if (carrier < 0) return passable_range(&w, top, from, to);
    int count = kg_sync_block_at(p, top)->count;
    return passable_range(&w, top, from, count) && passable_range(&w, top, 0, to) &&
           (o->distance < 2 || passable_range(&w, top, 0, count));
}
