// SPDX-License-Identifier: MIT
// Consumers that take the tiles of a CTA in turn: `schedule persistent 132, turns 2`.
//
// Each has the kernel's warps, and a region of its own. One stores its tile while the next
// multiplies. The producer goes on as for one: trips are numbered over all tiles, so a consumer
// counts those of tiles that pass by without it.
//
//   warps 0 .. 4 {                                 warps 4 .. 8 {
//     for turn in 0 .. turns {                       for turn in 0 .. turns {
//       if turn % 2 == 0 {                             if turn % 2 == 1 {
//         for k { acc = wgmma(sa[trip], ..)              for k { acc = wgmma(sa[trip], ..)
//                 trip = trip + 1 }                              trip = trip + 1 }
//         store c[..] = acc                              store c[..] = acc
//       } else {                                       } else {
//         for k { trip = trip + 1 }                      for k { trip = trip + 1 }
//       }                                              }
//
// Which of the two comes first, and when, is said by mbarriers (phases_turns.c).
#include "passes/specialize_internal.h"

kg_tile_work kg_make_turns(kg_specializer *s, const kg_tile_loop *t, kg_block *role,
                           kg_turns *turns)
{
    kg_tile_work others, own = kg_make_turn_loop(s, t, role, &others);
    kg_value **map = KG_NEW_ARRAY(s->context->arena, kg_value *, s->n_values + 1);
    for (int i = 0; i < t->n_old; i++) map[t->old[i].value->id] = others.indices[i];
    kg_specialize_clone(s, s->kernel->body, others.block, map);
    *turns = (kg_turns){.region = role->owner, .others = others.block};
    turns->ring_loops = KG_NEW_ARRAY(s->context->arena, kg_op *, s->loops.count + 1);
    for (int l = 0; l < s->loops.count; l++)
        turns->ring_loops[l] = map[s->loops.items[l].loop->blocks[0]->arg->id]->op;
    return own;
}

typedef struct copies {
    kg_specializer *s;
    const kg_value *buffer;
    kg_value *counter; // or NULL
} copies;

static bool leave_out(kg_op *op, void *user)
{
    const copies *c = user;
    if (op->code != KG_OP_COPY || op->operands[0] != c->buffer) return true;
    if (c->counter) kg_count_up(c->s, op->parent, c->counter);
    kg_op_remove(op);
    return true;
}

void kg_count_others(kg_specializer *s, const kg_turns *turns, const kg_ring_loop *r,
                     kg_value *counter)
{
    kg_op *loop = turns->ring_loops[r - s->loops.items];
    for (int i = 0; i < r->n_rings; i++)
        kg_walk(loop->blocks[0], leave_out, &(copies){s, r->rings[i].buffer, NULL});
    kg_count_up(s, loop->blocks[0], counter);
}

void kg_count_other_copies(kg_specializer *s, const kg_turns *turns, const kg_value *buffer,
                           kg_value *counter)
{
    kg_walk(turns->others, leave_out, &(copies){s, buffer, counter});
}

void kg_repeat_consumers(kg_specializer *s, const kg_turns *turns)
{
    const kg_value *own = turns->others->owner->operands[0];
    int n = kg_kernel_number(s->kernel, NULL), warps = s->consumers;
    kg_block *body = turns->region->parent;
    for (int turn = 1; turn < s->schedule.turns; turn++) {
        kg_value **map = KG_NEW_ARRAY(s->context->arena, kg_value *, n + 1);
        kg_op *region = kg_op_clone(s->kernel, turns->region, map, n);
        kg_block_append(body, region);
        kg_op_set_int(s->kernel, region, KG_A_FIRST, turn * warps);
        kg_op_set_int(s->kernel, region, KG_A_LAST, (turn + 1) * warps);
        kg_op *condition = map[own->id]->op;
        kg_place place = kg_place_before(s->kernel, condition);
        kg_op_set_operand(condition, 1, kg_make_int(&place, KG_I32, turn));
    }
}
