// SPDX-License-Identifier: MIT
// Rings turn: where every slot of some rings is chosen by counters that only count on, what is to
// come is the same whichever slot is next, but for the slots' names. So states in front of a trip
// are compared with their rings turned to where a counter is 0.
//
// Why that is sound. Counters that are computed from each other by adding constants, and the rings
// whose slots they choose, are a class. Let T add 1 to the counters of a class and move what is
// kept of a slot of its rings to the next one: its cells, its mbarrier (in the first slot with the
// other parity, for that is one turn on), copies that are counted there, what its tellers know. If
// no op that is still to come looks at the class in any other way than through such counters, each
// step from s leads to s' just when the same step from T(s) leads to T(s'), and complains of the
// one just when of the other: this is what validator_find_turns checks, op by op and cell by cell.
// Ops that set a counter to a constant or name a slot (anchors) look at it in another way; while
// one may still come a class is left as it is. So from a state whose turned form has been met,
// nothing is found that was not found from there. What is explored are the states themselves.
//
// Whether some state finds a slot's bytes written where it reads them is asked slot by slot (struct
// touch): when a read meets bytes without contents all is done again without turning (validate.c).
#include "passes/validate/model.h"

#include <string.h>

// ---- classes ------------------------------------------------------------------------------------

// Nodes are scalars, then loops (their indices), then rings by the number of an access to them.
typedef struct anchor {
    int node;
    const kg_op *op;
} anchor;

typedef struct finder {
    validator *v;
    int *joined; // by node: another one of its class, up to one that is its own
    bool *bad;   // by node: of the class of which it is the last
    struct {
        anchor *items;
        int count, capacity;
    } anchors;
} finder;

enum { CONSTANT = -1, NOT_KEPT = -2 };

static int last_of(const finder *f, int node)
{
    while (f->joined[node] != node) node = f->joined[node];
    return node;
}

static void spoil(finder *f, int node)
{
    if (node >= 0) f->bad[last_of(f, node)] = true;
}

static void join(finder *f, int a, int b)
{
    a = last_of(f, a);
    b = last_of(f, b);
    f->bad[b] |= f->bad[a];
    f->joined[a] = b;
}

static int node_of(const finder *f, const kg_value *value)
{
    const validator *v = f->v;
    int64_t number;
    if (kg_const_int(value, &number)) return CONSTANT;
    if (value->kind == KG_VALUE_ARG)
        return kg_is_loop(value->op) ? v->n_scalars + v->loop_of[value->op->id] : NOT_KEPT;
    return value->id >= 0 && v->scalar_of[value->id] >= 0 ? v->scalar_of[value->id] : NOT_KEPT;
}

// By the op the node becomes the other value plus a constant.
static void follow(finder *f, int node, const kg_value *value, const kg_op *op)
{
    int from = node_of(f, value);
    if (from >= 0)
        join(f, node, from);
    else if (from == CONSTANT)
        KG_PUSH(f->v->arena, &f->anchors, ((anchor){node, op}));
    else
        spoil(f, node);
}

static void look_at_scalar(finder *f, const kg_op *op)
{
    const kg_value *target = op->code == KG_OP_ASSIGN ? op->operands[0]
                             : op->n_results == 1     ? op->results[0]
                                                      : NULL;
    int node = target && target->id >= 0 ? f->v->scalar_of[target->id] : -1;
    if (node < 0) return;
    int64_t number;
    int source = -1;
    if (op->code == KG_OP_ASSIGN) source = 1;
    if ((op->code == KG_OP_FRAG || op->code == KG_OP_CAST) && op->n_operands) source = 0;
    bool adds = op->code == KG_OP_ADD;
    if ((adds || op->code == KG_OP_SUB) && kg_const_int(op->operands[1], &number)) source = 0;
    if (adds && kg_const_int(op->operands[0], &number)) source = 1;
    if (source >= 0) {
        follow(f, node, op->operands[source], op);
        return;
    }
    spoil(f, node);
    for (int i = 0; i < op->n_operands; i++) spoil(f, node_of(f, op->operands[i]));
}

static void look_at_ops(finder *f, const kg_block *block)
{
    const validator *v = f->v;
    for (const kg_op *op = block->first; op; op = op->next) {
        look_at_scalar(f, op);
        if (op->code == KG_OP_IF && v->guards[op->id].kind == GUARD_RESIDUE)
            spoil(f, node_of(f, v->guards[op->id].scalar));
        if (op->code == KG_OP_FOR && v->loops.items[v->loop_of[op->id]].index_wanted) {
            int node = v->n_scalars + v->loop_of[op->id];
            follow(f, node, op->operands[0], op);
            if (!v->loops.items[v->loop_of[op->id]].step) spoil(f, node);
        }
        for (int i = 0; i < op->n_blocks; i++) look_at_ops(f, op->blocks[i]);
    }
}

static bool has_slots(const access_model *a)
{
    return a->shared && (a->ring > 1 || a->mbarrier >= 0);
}

static int ring_node(const finder *f, const access_model *a)
{
    int i = 0;
    while (f->v->accesses.items[i].at.root != a->at.root) i++;
    return f->v->n_scalars + f->v->loops.count + i;
}

static bool names_slot(const access_model *a)
{
    int64_t number;
    return a->init || !a->at.slot || kg_const_int(a->at.slot, &number);
}

static void look_at_accesses(finder *f)
{
    for (int i = 0; i < f->v->accesses.count; i++) {
        const access_model *a = &f->v->accesses.items[i];
        if (!has_slots(a)) continue;
        if (names_slot(a))
            KG_PUSH(f->v->arena, &f->anchors, ((anchor){ring_node(f, a), a->at.op}));
        else
            follow(f, ring_node(f, a), a->at.slot, a->at.op);
    }
}

// ---- cells --------------------------------------------------------------------------------------

static bool of_class(const finder *f, const access_model *a, int class)
{
    return has_slots(a) && last_of(f, ring_node(f, a)) == class;
}

// What an access does in one slot it does alike in the next one.
static bool move_slot(ring_class *t, const touches *here, const touches *next)
{
    if (here->count != next->count) return false;
    for (int i = 0; i < here->count; i++) {
        const touch *a = &here->items[i], *b = &next->items[i];
        if (a->warps != b->warps || a->lane != b->lane) return false;
        if (t->next_cell[a->cell] >= 0 && t->next_cell[a->cell] != b->cell) return false;
        t->next_cell[a->cell] = b->cell;
    }
    return true;
}

static bool move_cells(finder *f, ring_class *t, int class)
{
    const validator *v = f->v;
    for (int i = 0; i < v->n_cells; i++) t->next_cell[i] = -1;
    for (int i = 0; i < v->accesses.count; i++) {
        const access_model *a = &v->accesses.items[i];
        if (!of_class(f, a, class) || (names_slot(a) && !a->init)) continue;
        for (int slot = 0; slot < a->ring; slot++)
            if (!move_slot(t, &a->by_slot[slot], &a->by_slot[(slot + 1) % a->ring])) return false;
    }
    int *comers = KG_NEW_ARRAY(v->arena, int, v->n_cells + 1);
    for (int i = 0; i < v->n_cells; i++) {
        int to = t->next_cell[i] < 0 ? i : t->next_cell[i];
        t->next_cell[i] = to;
        if (comers[to]++ || v->cell_users[i] != v->cell_users[to] ||
            v->cell_writers[i] != v->cell_writers[to] ||
            v->cell_proxies[i] != v->cell_proxies[to])
            return false;
    }
    return true;
}

// All others come to bytes that stay where they are.
static bool leaves_others(const finder *f, const ring_class *t, int class)
{
    const validator *v = f->v;
    for (int i = 0; i < v->accesses.count; i++) {
        const access_model *a = &v->accesses.items[i];
        if (!a->shared || of_class(f, a, class)) continue;
        for (int slot = 0; slot < a->ring; slot++)
            for (int k = 0; k < a->by_slot[slot].count; k++) {
                int touched = a->by_slot[slot].items[k].cell;
                if (t->next_cell[touched] != touched) return false;
            }
    }
    return true;
}

static void add_turn(finder *f, int class)
{
    validator *v = f->v;
    ring_class t = {.next_cell = KG_NEW_ARRAY(v->arena, int, v->n_cells + 1)};
    if (!move_cells(f, &t, class) || !leaves_others(f, &t, class)) return;
    for (int i = 0; i < v->n_scalars; i++)
        if (last_of(f, i) == class) v->turn_of_scalar[i] = v->turns.count;
    for (int i = 0; i < v->loops.count; i++)
        if (v->loops.items[i].index_wanted && last_of(f, v->n_scalars + i) == class)
            v->turn_of_loop[i] = v->turns.count;
    for (int i = 0; i < v->accesses.count; i++) {
        const access_model *a = &v->accesses.items[i];
        for (int k = 0; a->mbarrier >= 0 && of_class(f, a, class) && k < a->ring; k++) {
            v->turn_of_mbarrier[a->mbarrier + k] = v->turns.count;
            v->ring_of_mbarrier[a->mbarrier + k] = (uint8_t)a->ring;
            v->place_of_mbarrier[a->mbarrier + k] = (uint8_t)k;
        }
    }
    t.anchors = KG_NEW_ARRAY(v->arena, const kg_op *, f->anchors.count + 1);
    for (int i = 0; i < f->anchors.count; i++)
        if (last_of(f, f->anchors.items[i].node) == class)
            t.anchors[t.n_anchors++] = f->anchors.items[i].op;
    KG_PUSH(v->arena, &v->turns, t);
}

void validator_find_turns(validator *v)
{
    int n = v->n_scalars + v->loops.count + v->accesses.count;
    finder f = {.v = v,
                .joined = KG_NEW_ARRAY(v->arena, int, n + 1),
                .bad = KG_NEW_ARRAY(v->arena, bool, n + 1)};
    v->turn_of_scalar = KG_NEW_ARRAY(v->arena, int, v->n_scalars + 1);
    for (int i = 0; i < n; i++) f.joined[i] = i;
    for (int i = 0; i < v->n_scalars; i++) v->turn_of_scalar[i] = -1;
    for (int i = 0; i < v->loops.count; i++) v->turn_of_loop[i] = -1;
    for (int i = 0; i < v->n_mbarriers; i++) v->turn_of_mbarrier[i] = -1;
    look_at_ops(&f, v->kernel->body);
    look_at_accesses(&f);
    int rings = v->n_scalars + v->loops.count;
    bool *done = KG_NEW_ARRAY(v->arena, bool, n + 1);
    for (int i = 0; i < v->accesses.count; i++) {
        int class = last_of(&f, rings + i);
        if (!has_slots(&v->accesses.items[i]) || done[class] || f.bad[class]) continue;
        done[class] = true;
        if (ring_node(&f, &v->accesses.items[i]) == rings + i) add_turn(&f, class);
    }
}

// ---- turning ------------------------------------------------------------------------------------

static void turn_cells(const validator *v, int which, int by, int *from)
{
    const ring_class *t = &v->turns.items[which];
    for (int i = 0; i < v->n_cells; i++) {
        int at = i;
        for (int k = 0; k < by && t->next_cell[i] != i; k++) at = t->next_cell[at];
        if (at != i) from[at] = i;
    }
}

static void turn_mbarriers(const validator *v, int which, int by, turning *t)
{
    for (int i = 0; i < v->n_mbarriers; i++) {
        if (v->turn_of_mbarrier[i] != which) continue;
        int place = v->place_of_mbarrier[i], ring = v->ring_of_mbarrier[i];
        int at = i - place + (place + by) % ring;
        t->slot_from[at] = (uint8_t)i;
        t->slot_to[i] = (uint8_t)at;
        t->flips[at] = (place + by) / ring & 1;
        t->tellers_from[at] = i;
        if (has_peers(v, i))
            t->tellers_from[v->n_mbarriers + v->peers_of[at]] = v->n_mbarriers + v->peers_of[i];
    }
}

static const turning *make_turning(validator *v, const int8_t *by)
{
    turning t = {.cell_from = KG_NEW_ARRAY(v->arena, int, v->n_cells + 1),
                 .tellers_from = KG_NEW_ARRAY(v->arena, int, v->at.tellers + 1)};
    memcpy(t.by, by, sizeof t.by);
    for (int i = 0; i < v->n_cells; i++) t.cell_from[i] = i;
    for (int i = 0; i < v->n_mbarriers; i++) t.slot_from[i] = t.slot_to[i] = (uint8_t)i;
    for (int i = 0; i < v->at.tellers; i++) t.tellers_from[i] = i;
    for (int which = 0; which < MOST_TURNS; which++) {
        if (!by[which]) continue;
        turn_cells(v, which, by[which], t.cell_from);
        turn_mbarriers(v, which, by[which], &t);
    }
    KG_PUSH(v->arena, &v->turnings, t);
    return &v->turnings.items[v->turnings.count - 1];
}

// The first of the class's counters that is in use; 0 where none is.
static int counter_of(const validator *v, const state *s, int which)
{
    for (int i = 0; i < v->n_scalars; i++)
        if (v->turn_of_scalar[i] == which && scalars_of(v, s)[i] >= 0) return scalars_of(v, s)[i];
    for (int i = 0; i < v->loops.count; i++)
        if (v->turn_of_loop[i] == which && s->distance[i] != NOT_RUNNING) return s->index[i];
    return 0;
}

const turning *validator_turn(validator *v, const state *s, uint32_t classes)
{
    int8_t by[MOST_TURNS] = {0};
    bool any = false;
    for (int which = 0; which < v->turns.count && which < MOST_TURNS; which++) {
        if (!(classes >> which & 1)) continue;
        by[which] = (int8_t)((v->modulus - counter_of(v, s, which)) % v->modulus);
        any |= by[which] != 0;
    }
    if (!any) return NULL;
    v->turned = true;
    for (int i = 0; i < v->turnings.count; i++)
        if (!memcmp(v->turnings.items[i].by, by, sizeof by)) return &v->turnings.items[i];
    return make_turning(v, by);
}
