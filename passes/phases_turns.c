// SPDX-License-Identifier: MIT
// Roles that take turns at the slots of a ring (share.h). Each phase of a slot is waited for by one
// of them only, and a parity says no more than that a phase is over which is an even number of
// phases before. So who comes next has to know that the phases before his own are over: he waits
// until the one before him has waited for all of his.
//
//   for turn in 0 .. n {                       for turn in 0 .. n {
//     if turn % 2 == 1 {                         if turn % 2 == 1 {
//       for k .. {                                 mbarrier_wait turn_sa[turn + 1] {behind=1}
//         acc = wgmma(sa[trip], ..)     =>         for k .. { mbarrier_wait full_sa[trip] .. }
//       }                                          mbarrier_arrive turn_sa[turn]
//       store ..                                   store ..
//
// Turn t has slot t % 2; behind the phase that [t + 1] names is the one of turn t - 1. What is left
// of a turn behind the last product that reads slots goes on beside the next one's.
#include "passes/phases_find.h"
#include "passes/rewrite.h"

static kg_op *lift_to(kg_op *op, const kg_block *block)
{
    while (op->parent != block) op = op->parent->owner;
    return op;
}

static kg_block *arm_of(const kg_op *op, const kg_share *share)
{
    kg_share here;
    for (kg_block *block = op->parent;; block = block->owner->parent)
        if (!kg_share_of(block->owner, &here) || here.loop != share->loop) return block;
}

// Takes turns with another region at the class.
static bool takes_turns(const kg_phaser *s, int class, int region)
{
    for (int i = 0; i < s->readings.count; i++) {
        const kg_phase_reading *r = &s->readings.items[i];
        if (r->class == class && r->region != region &&
            kg_phases_take_turns(s, class, region, r->region))
            return true;
    }
    return false;
}

static kg_phase_turn *turn_in(kg_phaser *s, const kg_block *arm)
{
    for (int i = 0; i < s->turns.count; i++)
        if (s->turns.items[i].arm == arm) return &s->turns.items[i];
    return NULL;
}

static void find_turn(kg_phaser *s, const kg_phase_reading *r)
{
    kg_share share;
    if (!takes_turns(s, r->class, r->region) || !kg_share_of(r->first, &share)) return;
    kg_block *arm = arm_of(r->first, &share);
    kg_phase_turn *t = turn_in(s, arm);
    if (t) { // readings come in program order
        t->last = lift_to(r->last, arm);
        return;
    }
    kg_phase_turn fresh = {.share = share, .arm = arm, .warps = kg_op_region(r->first).n_warps};
    fresh.first = lift_to(r->first, arm);
    fresh.last = lift_to(r->last, arm);
    KG_PUSH(s->p->arena, &s->turns, fresh);
}

// Roles that take turns with each other share the mbarriers.
static kg_value *mbarrier_of(kg_phaser *s, int number, int class)
{
    const kg_phase_turn *t = &s->turns.items[number];
    for (int i = 0; i < number; i++)
        if (kg_shares_apart(&s->turns.items[i].share, &t->share)) return s->turns.items[i].mbarrier;
    return kg_phases_declare(s, &s->streams.items[class], "turn", t->share.of, t->warps);
}

void kg_phases_wait_for_turns(kg_phaser *s)
{
    for (int i = 0; i < s->readings.count; i++) find_turn(s, &s->readings.items[i]);
    for (int i = 0; i < s->turns.count; i++) {
        kg_phase_turn *t = &s->turns.items[i];
        t->mbarrier = mbarrier_of(s, i, 0);
        kg_place place = kg_place_before(s->kernel, t->first);
        kg_value *turn = t->share.loop->blocks[0]->arg;
        kg_value *ahead = kg_make_int(&place, turn->type.dtype, t->share.of - 1);
        kg_value *view =
            kg_make_slot_view(&place, t->mbarrier, kg_make_binary(&place, KG_OP_ADD, turn, ahead));
        kg_op *wait = kg_make(&place, KG_OP_MBARRIER_WAIT, 1, &view);
        kg_op_set_int(s->kernel, wait, KG_A_BEHIND, 1);
    }
}

void kg_phases_hand_turns_on(kg_phaser *s)
{
    for (int i = 0; i < s->turns.count; i++) {
        const kg_phase_turn *t = &s->turns.items[i];
        kg_place place = t->last->next ? kg_place_before(s->kernel, t->last->next)
                                       : kg_place_end(s->kernel, t->arm, t->last->loc);
        place.loc = t->last->loc;
        kg_value *view = kg_make_slot_view(&place, t->mbarrier, t->share.loop->blocks[0]->arg);
        kg_make(&place, KG_OP_MBARRIER_ARRIVE, 1, &view);
    }
}
