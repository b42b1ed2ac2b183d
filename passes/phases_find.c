// SPDX-License-Identifier: MIT
// Pass phases: which copies fill a buffer together, and where it is read first. See phases_find.h.
#include "passes/phases_find.h"
#include "passes/rewrite.h"
#include "passes/sync/registers.h"

static int region_of(const kg_phaser *s, int node)
{
    return kg_sync_block_at(s->p, kg_sync_node_at(s->p, node)->block)->region;
}

bool kg_phases_same_slot(const kg_value *a, const kg_value *b)
{
    return a == b || (a && b && kg_same_value(a, b));
}

// ---- streams ------------------------------------------------------------------------------------
bool kg_phases_in_loop(const kg_op *op)
{
    return kg_loops_around(op) > 0;
}

static kg_phase_stream *stream_of(kg_phaser *s, kg_value *buffer)
{
    for (int i = 0; i < s->streams.count; i++)
        if (s->streams.items[i].buffer == buffer) return &s->streams.items[i];
    return NULL;
}

// `op` is done with before the copy is asked for: no loop leads back to it. Roles run side by side.
static bool is_over(const kg_phaser *s, const kg_sync_access *a, const kg_op *copy, int region)
{
    const kg_op *op = kg_sync_node_at(s->p, a->node)->op;
    int own = region_of(s, a->node);
    if (own >= 0 && region >= 0 && own != region) return false;
    for (const kg_op *owner = op->parent->owner; owner; owner = owner->parent->owner)
        if (kg_is_loop(owner) && kg_op_within(copy, owner)) return false;
    return op->id < copy->id;
}

// The stream whose copies an access has to see; NULL: none.
static kg_phase_stream *read_by(kg_phaser *s, const kg_sync_access *a)
{
    kg_phase_stream *x = a->global || a->phase ? NULL : stream_of(s, a->at.root);
    if (!x) return NULL;
    for (int i = 0; i < x->sites.count; i++)
        if (!is_over(s, a, x->sites.items[i].copy, x->region)) return x;
    return NULL;
}

static void find_streams(kg_phaser *s)
{
    for (int i = 0; i < s->p->accesses.count; i++) {
        const kg_sync_access *a = &s->p->accesses.items[i];
        if (!a->phase || !a->writes || a->at.op->n_operands > 2) continue;
        kg_phase_stream *x = stream_of(s, a->at.root);
        if (!x) {
            kg_phase_stream fresh = {.buffer = a->at.root, .region = region_of(s, a->node)};
            KG_PUSH(s->p->arena, &s->streams, fresh);
            x = &s->streams.items[s->streams.count - 1];
            x->class = s->streams.count - 1;
        }
        kg_phase_site at = {kg_sync_node_at(s->p, a->node)->op, a->at.slot};
        x->looped |= kg_phases_in_loop(at.copy);
        x->multicast |= kg_op_int(at.copy, KG_A_MULTICAST, 0) != 0;
        KG_PUSH(s->p->arena, &x->sites, at);
    }
    for (int i = 0; i < s->p->accesses.count; i++) {
        const kg_sync_access *a = &s->p->accesses.items[i];
        kg_phase_stream *x = read_by(s, a);
        if (x && !x->first_reader) x->first_reader = kg_sync_node_at(s->p, a->node)->op;
    }
}

// Trip numbers are those of phases, of which none is left out.
static bool counts_from_zero(const kg_phaser *s, const kg_phase_stream *x)
{
    const kg_phase_site *at = &x->sites.items[0];
    const kg_op *loop = at->slot && at->slot->kind == KG_VALUE_ARG ? at->slot->op : NULL;
    int64_t first, step;
    if (x->sites.count > 1 || !loop || loop->code != KG_OP_FOR ||
        (kg_const_int(loop->operands[0], &first) && !first &&
         kg_const_int(loop->operands[2], &step) && step == 1))
        return true;
    kg_diag *d = kg_error(s->context->diags, KG_D_S501, at->copy->loc,
                          "the slots that this bulk copy fills are not numbered 0, 1, 2, ..");
    kg_diag_help(s->context->diags, d, "name slots by a mutable scalar that counts the copies");
    return false;
}

static bool legal(const kg_phaser *s, const kg_phase_stream *x)
{
    kg_diags *diags = s->context->diags;
    const kg_op *copy = x->sites.items[0].copy;
    if (!x->first_reader) {
        kg_diag *d =
            kg_error(diags, KG_D_S501, copy->loc,
                     "nothing reads what this bulk copy brings, so nobody would wait for it");
        kg_diag_help(diags, d, "remove the copy");
        return false;
    }
    for (int i = 0; i < x->sites.count; i++)
        if (kg_phases_in_loop(x->sites.items[i].copy) && !x->sites.items[i].slot) {
            kg_diag *d = kg_error(diags, KG_D_S501, x->sites.items[i].copy->loc,
                                  "a bulk copy in a loop fills a ring, so that its phases can be "
                                  "told apart");
            kg_diag_note(diags, d, x->buffer->loc, "the buffer is no ring");
            kg_diag_help(diags, d,
                         "declare it `ring 1` or more, and copy into %s[i] with the "
                         "number of the trip",
                         x->buffer->name ? x->buffer->name : "it");
            return false;
        }
    return counts_from_zero(s, x);
}

// Filled at the same places for the same trips, and needed at the same time.
static bool together(const kg_phase_stream *a, const kg_phase_stream *b)
{
    if (a->first_reader != b->first_reader || a->sites.count != b->sites.count ||
        kg_op_int(a->buffer->op, KG_A_RING, 1) != kg_op_int(b->buffer->op, KG_A_RING, 1))
        return false;
    for (int i = 0; i < a->sites.count; i++)
        if (a->sites.items[i].copy->parent != b->sites.items[i].copy->parent ||
            !kg_phases_same_slot(a->sites.items[i].slot, b->sites.items[i].slot))
            return false;
    return true;
}

static void classify(kg_phaser *s)
{
    for (int i = 0; i < s->streams.count; i++)
        for (int k = 0; k < i && s->streams.items[i].class == i; k++)
            if (s->streams.items[k].class == k &&
                together(&s->streams.items[k], &s->streams.items[i])) {
                s->streams.items[i].class = k;
                s->streams.items[k].multicast |= s->streams.items[i].multicast;
            }
}

bool kg_phases_for_products(const kg_phaser *s, int class)
{
    for (int i = 0; i < s->p->accesses.count; i++) {
        const kg_sync_access *a = &s->p->accesses.items[i];
        if (a->global || a->phase || kg_sync_node_at(s->p, a->node)->op->code == KG_OP_WGMMA)
            continue;
        for (int k = 0; k < s->streams.count; k++)
            if (s->streams.items[k].class == class && s->streams.items[k].buffer == a->at.root)
                return false;
    }
    return true;
}

// ---- readings -----------------------------------------------------------------------------------
typedef struct assignment_search {
    const kg_value *slot;
    bool found;
} assignment_search;

static bool find_assignment(kg_op *op, void *user)
{
    assignment_search *s = user;
    s->found |= op->code == KG_OP_ASSIGN && op->operands[0] == s->slot;
    return !s->found;
}

// The op that holds `op` in `block`; NULL when it stands elsewhere.
static kg_op *lift(kg_op *op, const kg_block *block)
{
    while (op && op->parent != block) op = op->parent->owner;
    return op;
}

static bool made_inside(const kg_value *slot, const kg_op *owner)
{
    const kg_op *op = slot && slot->kind != KG_VALUE_GRID ? slot->op : NULL;
    return op && (op == owner || kg_op_within(op, owner));
}

bool kg_phases_assigned_inside(const kg_value *slot, kg_op *owner)
{
    assignment_search search = {slot, false};
    for (int i = 0; i < owner->n_blocks; i++) kg_walk(owner->blocks[i], find_assignment, &search);
    return search.found;
}

// Loops and branches of its role around an op.
static int depth_of(const kg_op *op)
{
    int depth = 0;
    for (const kg_op *owner = op->parent->owner; owner && owner->code != KG_OP_WARPS;
         owner = owner->parent->owner)
        depth++;
    return depth;
}

// The loop or branch of its role that stands at this depth around an op, counted from outside.
static const kg_op *around(const kg_op *op, int depth)
{
    for (int n = depth_of(op); n > depth; n--) op = op->parent->owner;
    return op;
}

// Two roles' copies of one loop or branch: from one place of the text, or by the same condition.
static bool is_twin(const kg_op *a, const kg_op *b)
{
    if (a->code != b->code) return false;
    bool one_place = a->loc.line == b->loc.line && a->loc.column == b->loc.column, same = true;
    for (int i = 0; i < a->n_operands; i++)
        same &= kg_phases_same_slot(a->operands[i], b->operands[i]);
    return a == b || one_place || (same && a->n_operands > 0);
}

// How many of the loops and branches around `op` stand around a copy of the class as well: the
// phase of such a copy is waited for as often as it is asked for.
static int shared_depth(const kg_phaser *s, int class, const kg_op *op)
{
    int most = 0;
    const kg_phase_stream *head = &s->streams.items[class];
    for (int i = 0; i < head->sites.count; i++) {
        const kg_op *copy = head->sites.items[i].copy;
        int n = 0, limit = depth_of(op) < depth_of(copy) ? depth_of(op) : depth_of(copy);
        while (n < limit && is_twin(around(op, n), around(copy, n))) n++;
        if (n > most) most = n;
    }
    return most;
}

// A constant that a copy of the class names as well.
static bool is_fixed(const kg_phaser *s, int class, const kg_value *slot)
{
    int64_t number, other;
    const kg_phase_stream *head = &s->streams.items[class];
    if (!slot || !kg_const_int(slot, &number)) return false;
    for (int i = 0; i < head->sites.count; i++)
        if (head->sites.items[i].slot && kg_const_int(head->sites.items[i].slot, &other) &&
            number == other)
            return true;
    return false;
}

// Out of branches, for a phase that is waited for in one arm only would be missed in the other; and
// out of loops whose trips all mean one phase. Not out of a branch that goes on to other phases:
// there are none of it in the other arm.
// Nor out of what the copy stands in as well: as `depth` of the loops and branches around do.
// fixed: the slot has a number that a copy names, too.
static kg_op *out_of_regions(kg_op *op, const kg_value *slot, int depth, bool fixed)
{
    if (fixed) slot = NULL; // it can be made anywhere
    for (kg_op *owner; (owner = op->parent->owner) && depth_of(op) > depth; op = owner)
        if ((owner->code != KG_OP_IF && !kg_is_loop(owner)) || made_inside(slot, owner) ||
            kg_phases_assigned_inside(slot, owner))
            break;
    return op;
}

// The slot's number is another at `to` than it was at `from`, in front of it in one block.
static bool counts_on(const kg_value *slot, const kg_op *from, const kg_op *to)
{
    for (; from && from != to; from = from->next) {
        if (from->code == KG_OP_ASSIGN && from->operands[0] == slot) return true;
        for (int i = 0; i < from->n_blocks; i++) {
            assignment_search search = {slot, false};
            kg_walk(from->blocks[i], find_assignment, &search);
            if (search.found) return true;
        }
    }
    return false;
}

static bool read_before(kg_phaser *s, int class, const kg_value *slot, kg_op *op)
{
    for (int i = 0; i < s->readings.count; i++) {
        kg_phase_reading *r = &s->readings.items[i];
        kg_op *here =
            r->class == class && kg_phases_same_slot(r->slot, slot) ? lift(op, r->block) : NULL;
        if (!here || counts_on(slot, r->last, here)) continue;
        r->last = here; // accesses come in program order
        return true;
    }
    return false;
}

static void find_readings(kg_phaser *s)
{
    for (int i = 0; i < s->p->accesses.count; i++) {
        const kg_sync_access *a = &s->p->accesses.items[i];
        kg_phase_stream *x = read_by(s, a);
        kg_op *op = kg_sync_node_at(s->p, a->node)->op;
        if (!x || read_before(s, x->class, a->at.slot, op)) continue;
        kg_op *place = out_of_regions(op, a->at.slot, shared_depth(s, x->class, op),
                                      is_fixed(s, x->class, a->at.slot));
        kg_phase_reading r = {x->class, region_of(s, a->node), a->at.slot, place->parent, place,
                              place};
        KG_PUSH(s->p->arena, &s->readings, r);
    }
}

// All that a region reads of the class it reads in the same trips of a loop.
static bool share_of_region(const kg_phaser *s, int class, int region, kg_share *out, int *warps)
{
    bool any = false;
    for (int i = 0; i < s->readings.count; i++) {
        const kg_phase_reading *r = &s->readings.items[i];
        kg_share here;
        if (r->class != class || r->region != region) continue;
        if (!kg_share_of(r->first, &here) ||
            (any && (here.loop != out->loop || here.of != out->of || here.rest != out->rest)))
            return false;
        *out = here;
        *warps = kg_op_region(r->first).n_warps;
        any = true;
    }
    return any;
}

bool kg_phases_take_turns(const kg_phaser *s, int class, int a, int b)
{
    kg_share x, y;
    int warps, others;
    return share_of_region(s, class, a, &x, &warps) && share_of_region(s, class, b, &y, &others) &&
           warps == others && kg_shares_apart(&x, &y);
}

bool kg_phases_find(kg_phaser *s)
{
    find_streams(s);
    for (int i = 0; i < s->streams.count; i++)
        if (!legal(s, &s->streams.items[i])) return false;
    classify(s);
    find_readings(s);
    return true;
}
