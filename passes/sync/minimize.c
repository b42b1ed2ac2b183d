// SPDX-License-Identifier: MIT
// Which syncs a program should have, as edits of its text. See minimize.h.
//
// Syncs that stand side by side with no access between them form a gap; what it holds is at most
// one wait and, behind it, one barrier or warp sync. A choice says for each gap what it wants; the
// edits turn what it has into that.
#include "passes/sync/minimize.h"
#include "passes/sync/groups.h"
#include "passes/sync/materialize.h"
#include "passes/sync/phrase.h"

#include <string.h>

enum { NO_WAIT = -1 };
enum { MEET_NOTHING, MEET_WARP, MEET_ALL };

typedef struct gap {
    int wait;             // groups left, NO_WAIT
    int meet;             // MEET_
    int wait_at, meet_at; // points of the plan they come from, -1: of the author's syncs
} gap;

typedef struct choice {
    int *state; // by node
    kg_sync_plan plan;
    gap *gaps; // by the first point of the gap
    double cost;
} choice;

typedef struct minimizer {
    kg_judgement *j;
    kg_sync_program *p;
    kg_op **op_at; // by point: what the plan puts there
    bool *kept;    // by node
    int *count;    // by node
    kg_sync_edits *out;
} minimizer;

// ---- gaps ---------------------------------------------------------------------------------------
static bool in_gap(const kg_sync_program *p, int node)
{
    const kg_op *op = kg_sync_node_at(p, node)->op;
    return op->code == KG_OP_WAIT || op->code == KG_OP_WARP_SYNC || kg_sync_group_ids(op) ||
           kg_sync_is_full_barrier(p, node);
}

static int gap_of(const kg_sync_program *p, int point)
{
    const kg_sync_block *b = kg_sync_block_at(p, p->points[point].block);
    int position = p->points[point].position;
    while (position > 0 && in_gap(p, b->items[position - 1])) position--;
    return b->first_point + position;
}

// The position behind the last sync of the gap.
static int gap_end(const kg_sync_program *p, int first)
{
    const kg_sync_block *b = kg_sync_block_at(p, p->points[first].block);
    int position = p->points[first].position;
    while (position < b->count && in_gap(p, b->items[position])) position++;
    return position;
}

static bool by_hand(const kg_sync_program *p, int node)
{
    return kg_op_int(kg_sync_node_at(p, node)->op, KG_A_BY_HAND, 0) != 0;
}

static bool author_wrote_in(const kg_sync_program *p, int first)
{
    const kg_sync_block *b = kg_sync_block_at(p, p->points[first].block);
    for (int i = p->points[first].position; i < gap_end(p, first); i++)
        if (by_hand(p, b->items[i])) return true;
    return false;
}

// ---- what is wanted -----------------------------------------------------------------------------
static bool serves_author(const minimizer *m, const choice *c, int point)
{
    for (int i = 0; i < m->j->o.count; i++)
        if (kg_points_has(c->plan.cuts[i], point) && kg_judged_open(m->j, i)) return true;
    // In front of the access, where only the replay asked for it.
    const kg_sync_block *b = kg_sync_block_at(m->p, m->p->points[point].block);
    int position = m->p->points[point].position;
    if (position >= b->count) return false;
    for (int i = 0; i < m->j->o.count; i++)
        if (m->p->accesses.items[m->j->o.items[i].b].node == b->items[position] &&
            kg_judged_open(m->j, i))
            return true;
    return false;
}

static void want(gap *g, int wait, int meet, int point)
{
    if (wait != NO_WAIT && (g->wait == NO_WAIT || wait < g->wait)) {
        g->wait = wait;
        g->wait_at = point;
    }
    if (meet > g->meet) {
        g->meet = meet;
        g->meet_at = point;
    }
}

static void want_planned(const minimizer *m, choice *c)
{
    for (int i = 0; i < m->p->n_points; i++) {
        int first = gap_of(m->p, i);
        int meet = kg_points_has(c->plan.barrier, i)     ? MEET_ALL
                   : kg_points_has(c->plan.warp_sync, i) ? MEET_WARP
                                                         : MEET_NOTHING;
        const kg_sync_waits *copies = &c->plan.waits[KG_GROUP_COPY];
        bool wait = kg_points_has(copies->at, i);
        if ((meet || wait) && (author_wrote_in(m->p, first) || serves_author(m, c, i)))
            want(&c->gaps[first], wait ? copies->count[i] : NO_WAIT, meet, i);
    }
}

static void want_kept(const minimizer *m, choice *c)
{
    for (int i = 0; i < m->p->nodes.count; i++) {
        const kg_sync_node *n = kg_sync_node_at(m->p, i);
        if (!in_gap(m->p, i) || c->state[i] == KG_HAND_OFF) continue;
        int first = gap_of(m->p, kg_sync_block_at(m->p, n->block)->first_point + n->position);
        if (n->op->code == KG_OP_WAIT)
            want(&c->gaps[first], c->state[i], MEET_NOTHING, -1);
        else
            want(&c->gaps[first], NO_WAIT, n->op->code == KG_OP_BARRIER ? MEET_ALL : MEET_WARP, -1);
    }
}

// How often a block runs; of two arms that both exist each runs half the time.
static double often(const kg_sync_program *p, int block)
{
    double runs = 1;
    for (; block >= 0; block = kg_sync_parent(p, block)) {
        const kg_sync_block *b = kg_sync_block_at(p, block);
        if (kg_sync_is_loop(b)) runs *= 16;
        if (b->kind == KG_SB_ARM && kg_sync_node_at(p, b->owner)->op->n_blocks > 1 &&
            kg_sync_node_at(p, b->owner)->op->blocks[1]->first)
            runs /= 2;
    }
    return runs;
}

static void choose(minimizer *m, choice *c)
{
    static const double meet_cost[] = {0, 2, 8};
    c->gaps = KG_NEW_ARRAY(m->p->arena, gap, m->p->n_points + 1);
    for (int i = 0; i < m->p->n_points; i++) c->gaps[i] = (gap){.wait = NO_WAIT};
    kg_judge_left(m->j, c->state);
    kg_sync_plan_make(m->p, &m->j->o, c->state, &c->plan);
    want_kept(m, c);
    want_planned(m, c);
    for (int i = 0; i < m->p->n_points; i++) {
        const gap *g = &c->gaps[i];
        double once = meet_cost[g->meet] + (g->wait == NO_WAIT ? 0 : 4 - 0.01 * g->wait);
        c->cost += once * often(m->p, m->p->points[i].block);
    }
}

// ---- edits --------------------------------------------------------------------------------------
static bool same_edit(const kg_sync_edit *a, const kg_sync_edit *b)
{
    bool first = !a->lines[0] || !b->lines[0] || !strcmp(a->lines[0], b->lines[0]);
    return a->kind == b->kind && a->line == b->line && a->column == b->column &&
           a->block == b->block && first;
}

static void edit(minimizer *m, kg_sync_edit e)
{
    for (int i = 0; i < m->out->count; i++)
        if (same_edit(&m->out->items[i], &e)) return;
    KG_PUSH(m->p->arena, m->out, e);
}

// In front of what stands at this position, or at the end of the block.
static kg_sync_edit place_at(const minimizer *m, int block, int position)
{
    const kg_sync_block *b = kg_sync_block_at(m->p, block);
    for (; position < b->count; position++) {
        const kg_op *op = kg_sync_node_at(m->p, b->items[position])->op;
        const kg_loc *loc = &op->loc;
        if (op->code == KG_OP_YIELD) {
            loc = &kg_sync_node_at(m->p, b->owner)->op->loc;
            return (kg_sync_edit){.kind = KG_EDIT_YIELD, .line = loc->line, .column = loc->column};
        }
        if (loc->line)
            return (kg_sync_edit){.kind = KG_EDIT_BEFORE, .line = loc->line, .column = loc->column};
    }
    kg_sync_edit e = {.kind = KG_EDIT_END};
    if (b->owner < 0) return e;
    const kg_sync_node *owner = kg_sync_node_at(m->p, b->owner);
    e.line = owner->op->loc.line;
    e.column = owner->op->loc.column;
    e.block = b->kind == KG_SB_WHILE ? 1 : owner->child[1] == block;
    return e;
}

static const char *text_of(const minimizer *m, int point)
{
    return kg_say_sync(m->p->arena, m->op_at[point]);
}

// Of the same groups of warps, or both of all.
static bool same_groups(const minimizer *m, const kg_op *a, const kg_op *b)
{
    kg_ties x = kg_ties_of_barrier(a, m->p->kernel->warps),
            y = kg_ties_of_barrier(b, m->p->kernel->warps);
    return kg_ties_cover(&x, &y) && kg_ties_cover(&y, &x);
}

// The author's sync of that kind; `like` (or NULL): what it has to do as well as.
static int find_kept(const minimizer *m, const kg_sync_block *b, int from, int to, kg_opcode code,
                     const kg_op *like)
{
    for (int i = from; i < to; i++) {
        const kg_op *op = kg_sync_node_at(m->p, b->items[i])->op;
        if (by_hand(m->p, b->items[i]) && op->code == code &&
            (!like || like->code != KG_OP_BARRIER || same_groups(m, op, like)))
            return i;
    }
    return -1;
}

static void edit_gap(minimizer *m, const choice *c, int first)
{
    const gap *g = &c->gaps[first];
    int block = m->p->points[first].block, from = m->p->points[first].position;
    int end = gap_end(m->p, first);
    const kg_sync_block *b = kg_sync_block_at(m->p, block);
    kg_opcode code = g->meet == MEET_ALL ? KG_OP_BARRIER : KG_OP_WARP_SYNC;
    const kg_op *like = g->meet && g->meet_at >= 0 ? m->op_at[g->meet_at] : NULL;
    int meet = g->meet ? find_kept(m, b, from, end, code, like) : -1;
    int wait =
        g->wait != NO_WAIT ? find_kept(m, b, from, meet < 0 ? end : meet, KG_OP_WAIT, NULL) : -1;
    if (meet >= 0) m->kept[b->items[meet]] = true;
    if (wait >= 0) {
        m->kept[b->items[wait]] = true;
        m->count[b->items[wait]] = g->wait;
    }
    const char *wait_line =
        g->wait != NO_WAIT && wait < 0 ? kg_arena_printf(m->p->arena, "wait %d", g->wait) : NULL;
    const char *meet_line = g->meet && meet < 0 && g->meet_at >= 0 ? text_of(m, g->meet_at) : NULL;
    if (wait_line && meet >= 0) {
        kg_sync_edit e = place_at(m, block, meet);
        e.lines[0] = wait_line;
        edit(m, e);
    } else if (wait_line || meet_line) {
        kg_sync_edit e = place_at(m, block, end);
        e.lines[0] = wait_line ? wait_line : meet_line;
        e.lines[1] = wait_line ? meet_line : NULL;
        edit(m, e);
    }
}

// Nodes of one statement stay or go together, at the least count.
static void edit_statements(minimizer *m)
{
    for (int i = 0; i < m->j->syncs.count; i++) {
        const kg_hand_sync *s = &m->j->syncs.items[i];
        bool kept = false;
        int count = INT32_MAX;
        for (int k = 0; k < s->n_nodes; k++) {
            int node = s->nodes[k];
            kept |= m->kept[node];
            if (m->kept[node] && m->count[node] < count) count = m->count[node];
        }
        kg_sync_edit e = {.line = s->op->loc.line, .column = s->op->loc.column, .count = count};
        e.kind = kept ? KG_EDIT_COUNT : KG_EDIT_REMOVE;
        if (!kept || (s->op->code == KG_OP_WAIT && count != s->count)) edit(m, e);
    }
}

static void edit_commits(minimizer *m)
{
    for (int i = 0; i < m->j->n_commits; i++) {
        kg_op *op = m->j->commits[i];
        kg_sync_edit e = {.kind = KG_EDIT_BEHIND,
                          .line = op->loc.line,
                          .column = op->loc.column,
                          .lines = {"commit", NULL}};
        if (op->prev) {
            e.line = op->prev->loc.line;
            e.column = op->prev->loc.column;
        }
        edit(m, e);
    }
}

static int *state_without(const minimizer *m)
{
    int *state = kg_sync_hand_state(m->p);
    for (int i = 0; i < m->j->syncs.count; i++) {
        const kg_hand_sync *s = &m->j->syncs.items[i];
        for (int k = 0; k < s->n_nodes; k++) state[s->nodes[k]] = KG_HAND_OFF;
    }
    return state;
}

bool kg_sync_minimize(kg_judgement *j, kg_diags *diags, kg_sync_edits *out)
{
    kg_sync_program *p = j->p;
    minimizer m = {.j = j, .p = p, .out = out};
    choice fresh = {.state = state_without(&m)}, kept = {.state = j->syncs.state};
    choose(&m, &fresh);
    choose(&m, &kept);
    bool anew = fresh.cost < kept.cost - 1e-6;
    const choice *c = anew ? &fresh : &kept;
    m.op_at = KG_NEW_ARRAY(p->arena, kg_op *, p->n_points + 1);
    m.kept = KG_NEW_ARRAY(p->arena, bool, p->nodes.count + 1);
    m.count = KG_NEW_ARRAY(p->arena, int, p->nodes.count + 1);
    edit_commits(&m); // before the plan's own ops change what stands in front of them
    if (!kg_sync_insert(p, &j->o, &c->plan, m.op_at, diags)) return false;
    for (int i = 0; i < p->n_points; i++)
        if (gap_of(p, i) == i) edit_gap(&m, c, i);
    edit_statements(&m);
    return true;
}
