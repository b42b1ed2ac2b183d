// SPDX-License-Identifier: MIT
// specialize: a producer warp has the copy engine fetch tiles, consumer warpgroups multiply them.
//
// Needs: level tile, folded; a target with a copy engine (TMA) and wgmma, and a `schedule` with
//   `producers 1`. Every other kernel is left as it is.
// Guarantees: buffers of loops marked `pipeline N` are rings of N slots in front of all; warps C ..
//   C+1 run these loops for the copies alone, warps 0 .. C do everything else. Both count trips the
//   same way, so slot and turn of a ring agree. What the copies need is computed before the roles
//   or by each. With `persistent` both go through the same tiles in the same order.
// Never: synchronizes (the sync pass derives mbarriers and waits from the effects), changes which
//   elements are read or what is computed from them. Where something does not fit the kernel stays
//   as it is, and a finding says why: an error, a warning with `fallback 1`.
//
//   warps 8                                    warps 12
//   schedule producers 1                       shared s: bf16[128, 64] ring 4
//   for k in 0 .. n pipeline 4 {               warps 8 .. 9 as producer with {registers=24} {
//     shared s: bf16[128, 64] = load a[..]       for k in 0 .. n { copy_bulk s[k] = a[..]; .. }
//     shared t: bf16[64, 128] = load b[..]  =>  }
//     acc = dot(s, t, acc)                     warps 0 .. 8 as consumer with {registers=240} {
//   }                                            for k in 0 .. n { acc = wgmma(s[k], t[k], acc) }
//   store c[..] = acc                            store c[..] = acc
//                                              }
#include "passes/specialize_internal.h"

#include "passes/pass_list.h"

// ---- what is computed before the roles ---------------------------------------------------------
static bool depends_on_grid(const kg_kernel *kernel, const kg_value *value)
{
    for (int i = 0; i < kernel->n_grid; i++)
        if (value == kernel->grid[i].value) return true;
    return false;
}

// Values that both roles need and that are the same for all of a CTA's tiles.
static bool stays_outside(const kg_specializer *s, const kg_op *op, bool tiles_change)
{
    if (!s->needed[op->id] || op->n_results != 1 || op->code == KG_OP_FRAG ||
        op->results[0]->type.home != KG_HOME_FRAG)
        return false;
    for (int i = 0; i < op->n_operands; i++) {
        const kg_value *v = op->operands[i];
        if (tiles_change && depends_on_grid(s->kernel, v)) return false;
        if (v->kind == KG_VALUE_RESULT && !v->op->note) return false;
    }
    return true;
}

// Marks them by a note, so that a dependent op can follow.
static void find_outside(kg_specializer *s, bool tiles_change)
{
    for (kg_op *op = s->kernel->body->first; op; op = op->next) op->note = NULL;
    for (kg_op *op = s->kernel->body->first; op; op = op->next)
        if (stays_outside(s, op, tiles_change)) {
            op->note = op;
            s->needed[op->id] = false; // not by the producer
        }
}

// ---- rings -------------------------------------------------------------------------------------
// More slots than trips would never be used.
static int64_t useful_slots(const kg_ring_loop *r)
{
    int64_t hi;
    if (r->counts || !kg_const_int(r->loop->operands[1], &hi)) return r->slots;
    return hi < 1 ? 1 : hi < r->slots ? hi : r->slots;
}

static void make_rings(kg_specializer *s, const kg_place *front)
{
    for (int l = 0; l < s->loops.count; l++) {
        kg_ring_loop *r = &s->loops.items[l];
        for (int i = 0; i < r->n_rings; i++) {
            kg_op *shared = r->rings[i].buffer->op;
            kg_op_remove(shared);
            kg_place_op(front, shared);
            kg_op_set_int(s->kernel, shared, KG_A_RING, useful_slots(r));
        }
        kg_op_unset(r->loop, KG_A_PIPELINE);
    }
    for (int i = 0; i < s->lone.count; i++) {
        const kg_lone_copy *lone = &s->lone.items[i];
        kg_place_op(front, lone->buffer->op);
        if (lone->repeats) kg_op_set_int(s->kernel, lone->buffer->op, KG_A_RING, lone->slots);
    }
}

// ---- roles -------------------------------------------------------------------------------------
typedef struct role {
    kg_block *block; // of the region
    kg_tile_work tile;
} role;

static role open_role(kg_specializer *s, const char *name, int first, int last, int registers)
{
    kg_place place = kg_place_end(s->kernel, s->kernel->body, s->schedule.loc);
    kg_op *region = kg_make(&place, KG_OP_WARPS, 0, NULL);
    kg_op_set_int(s->kernel, region, KG_A_FIRST, first);
    kg_op_set_int(s->kernel, region, KG_A_LAST, last);
    kg_op_set_name(s->kernel, region, KG_A_ROLE, name);
    kg_op_set_int(s->kernel, region, KG_A_REGISTERS, registers);
    return (role){.block = kg_op_add_block(s->kernel, region)};
}

// A counter of trips in front of a role's work.
static kg_value *open_counter(kg_specializer *s, kg_block *block)
{
    kg_place place = kg_place_end(s->kernel, block, s->schedule.loc);
    if (block->first) place = kg_place_before(s->kernel, block->first);
    kg_value *zero = kg_make_int(&place, KG_I32, 0);
    kg_op *frag = kg_make(&place, KG_OP_FRAG, 1, &zero);
    return kg_op_result(s->kernel, frag, kg_scalar_type(KG_I32), "trip");
}

static void count_up_at(const kg_place *place, kg_value *counter)
{
    kg_value *next = kg_make_binary(place, KG_OP_ADD, counter, kg_make_int(place, KG_I32, 1));
    kg_make(place, KG_OP_ASSIGN, 2, (kg_value *[]){counter, next});
}

void kg_count_up(kg_specializer *s, kg_block *block, kg_value *counter)
{
    kg_place place = kg_place_end(s->kernel, block, s->schedule.loc);
    count_up_at(&place, counter);
}

// The number of the trip, by which rings go, in one role's copy of a loop.
static kg_value *trip_number(kg_specializer *s, const kg_ring_loop *r, kg_op *loop, kg_block *block)
{
    if (!r->counts) return loop->blocks[0]->arg;
    kg_value *counter = open_counter(s, block);
    kg_count_up(s, loop->blocks[0], counter);
    return counter;
}

// ---- the producer ------------------------------------------------------------------------------
typedef struct refill {
    kg_specializer *s;
    const kg_value *ring;
    kg_value *slot;
    bool sole; // no other copy has the same source
    // Of a copy in no loop of its own: the role's block, where its counter stands.
    const kg_lone_copy *lone;
    kg_block *region;
} refill;

static bool is_sole(const kg_specializer *s, const kg_value *view)
{
    for (; view->kind == KG_VALUE_RESULT; view = view->op->operands[0])
        if (view->id < 0 || s->uses[view->id]->next) return false;
    return true;
}

// The source's views follow the slot's, as the text form has them.
static void bring_views(kg_value *view, kg_op *copy)
{
    for (kg_op *place = copy; view->kind == KG_VALUE_RESULT; view = view->op->operands[0]) {
        if (view->op->parent != copy->parent) return;
        kg_op_remove(view->op);
        kg_block_insert_before(place, view->op);
        place = view->op;
    }
}

// Slots of such a buffer are told apart by how often it was filled. Where one copy follows the
// other the number changes in front of it, behind the last one at the block's end.
static kg_value *count_lone(kg_specializer *s, const kg_lone_copy *lone, kg_block *region,
                            kg_block *block)
{
    if (!lone->repeats) return NULL;
    kg_value *counter = open_counter(s, region);
    kg_count_up(s, block, counter);
    return counter;
}

static bool copy_by_engine(kg_op *op, void *user)
{
    refill *f = user;
    if (op->code != KG_OP_COPY || op->operands[0] != f->ring) return true;
    kg_place place = kg_place_before(f->s->kernel, op);
    op->code = KG_OP_COPY_BULK;
    if (f->lone && f->slot)
        count_up_at(&place, f->slot);
    else if (f->lone)
        f->slot = count_lone(f->s, f->lone, f->region, op->parent);
    if (f->slot) kg_op_set_operand(op, 0, kg_make_slot_view(&place, op->operands[0], f->slot));
    if (f->sole) bring_views(op->operands[1], op);
    return true;
}

static void fill_producer(kg_specializer *s, role *producer, const kg_tile_loop *t)
{
    kg_value **map = KG_NEW_ARRAY(s->context->arena, kg_value *, s->n_values + 1);
    for (int i = 0; i < t->n_old; i++) map[t->old[i].value->id] = producer->tile.indices[i];
    kg_specialize_clone(s, s->kernel->body, producer->tile.block, map);
    for (int l = 0; l < s->loops.count; l++) {
        const kg_ring_loop *r = &s->loops.items[l];
        kg_op *loop = map[r->loop->blocks[0]->arg->id]->op;
        refill f = {.s = s, .slot = trip_number(s, r, loop, producer->block)};
        for (int i = 0; i < r->n_rings; i++) {
            f.ring = r->rings[i].buffer;
            f.sole = is_sole(s, r->rings[i].copies.items[0]->operands[1]);
            kg_walk(loop->blocks[0], copy_by_engine, &f);
        }
    }
    for (int i = 0; i < s->lone.count; i++) {
        const kg_lone_copy *lone = &s->lone.items[i];
        refill f = {.s = s, .ring = lone->buffer, .lone = lone, .region = producer->block};
        f.sole = is_sole(s, lone->copies[0]->operands[1]);
        kg_walk(producer->tile.block, copy_by_engine, &f);
    }
}

// ---- the consumers -----------------------------------------------------------------------------
static void multiply(kg_specializer *s, const kg_value *value)
{
    for (const kg_use *use = s->uses[value->id]; use; use = use->next) {
        if (use->op->code == KG_OP_TRANSPOSE) multiply(s, use->op->results[0]);
        if (use->op->code == KG_OP_DOT) use->op->code = KG_OP_WGMMA;
    }
}

static void use_slots(kg_specializer *s, kg_value *buffer, kg_op *copy, kg_value *slot)
{
    multiply(s, buffer);
    kg_op_remove(copy);
    for (const kg_use *use = s->uses[buffer->id]; slot && use; use = use->next) {
        if (!use->op->parent) continue; // the copy
        kg_place place = kg_place_before(s->kernel, use->op);
        kg_op_set_operand(use->op, use->operand, kg_make_slot_view(&place, buffer, slot));
    }
}

// turns: NULL, or what this role does where another one has its turn.
static void fill_consumer(kg_specializer *s, role *consumer, kg_op *first, const kg_tile_loop *t,
                          const kg_turns *turns)
{
    for (kg_op *op = first, *next; op && op->code != KG_OP_WARPS; op = next) {
        next = op->next;
        if (op->note) continue; // outside of the roles
        kg_op_remove(op);
        kg_block_append(consumer->tile.block, op);
    }
    for (int i = 0; i < t->n_old; i++)
        kg_replace_uses(s->kernel, t->old[i].value, consumer->tile.indices[i]);
    for (int l = 0; l < s->loops.count; l++) {
        const kg_ring_loop *r = &s->loops.items[l];
        kg_value *slot = trip_number(s, r, r->loop, consumer->block);
        if (turns) kg_count_others(s, turns, r, slot);
        for (int i = 0; i < r->n_rings; i++)
            use_slots(s, r->rings[i].buffer, r->rings[i].copies.items[0], slot);
    }
    for (int i = 0; i < s->lone.count; i++) {
        const kg_lone_copy *lone = &s->lone.items[i];
        kg_value *slot = count_lone(s, lone, consumer->block, lone->copies[0]->parent);
        for (int c = 1; c < lone->n_copies; c++) {
            kg_place place = kg_place_before(s->kernel, lone->copies[c]);
            count_up_at(&place, slot);
            kg_op_remove(lone->copies[c]);
        }
        if (turns) kg_count_other_copies(s, turns, lone->buffer, slot);
        use_slots(s, lone->buffer, lone->copies[0], slot);
    }
}

static void split_roles(kg_specializer *s)
{
    kg_kernel *k = s->kernel;
    kg_role_registers registers = kg_schedule_registers(k);
    for (int i = 0; i < s->lone.count; i++) kg_op_remove(s->lone.items[i].buffer->op);
    kg_op *first = k->body->first;
    kg_place front = kg_place_before(k, first);
    find_outside(s, kg_changes_grid(s));
    make_rings(s, &front);
    kg_tile_loop t = kg_make_linear_grid(s, &front);
    int consumers = kg_schedule_consumers(k);
    role producer = open_role(s, "producer", consumers, consumers + 1, registers.producer);
    role consumer = open_role(s, "consumer", 0, s->consumers, registers.consumer);
    kg_turns turns = {0};
    producer.tile = kg_make_tile_loop(s, &t, producer.block);
    fill_producer(s, &producer, &t);
    if (t.turns)
        consumer.tile = kg_make_turns(s, &t, consumer.block, &turns);
    else
        consumer.tile = kg_make_tile_loop(s, &t, consumer.block);
    fill_consumer(s, &consumer, first, &t, t.turns ? &turns : NULL);
    if (t.rank) kg_share_copies(s, producer.block);
    k->warps = consumers + 4;
    // What the passes overlap, pingpong and dependent do behind this one.
    k->schedule = (kg_schedule){.overlap = s->schedule.overlap,
                                .pingpong = s->schedule.pingpong,
                                .dependent = s->schedule.dependent,
                                .loc = s->schedule.loc};
    if (s->schedule.overlap || s->schedule.pingpong) k->schedule.fallback = s->schedule.fallback;
    if (t.turns) kg_repeat_consumers(s, &turns);
}

// ---- the pass ----------------------------------------------------------------------------------
static void report(kg_specializer *s)
{
    const kg_misfit *m = &s->misfit;
    kg_diags *diags = s->context->diags;
    kg_diag *diag = s->schedule.fallback
                        ? kg_warn(diags, KG_D_L305, s->schedule.loc,
                                  "kernel '%s' keeps all warps alike: its schedule does not fit",
                                  s->kernel->name)
                        : kg_error(diags, KG_D_L305, s->schedule.loc,
                                   "the schedule of kernel '%s' cannot be met", s->kernel->name);
    kg_diag_note(diags, diag, m->loc, "%s", m->reason);
    kg_diag_help(diags, diag, "%s",
                 m->help ? m->help
                         : "leave out `producers`, or keep the program as it is with `fallback 1`");
}

static bool fits(kg_specializer *s)
{
    if (s->schedule.turns > 1 && !s->schedule.persistent)
        kg_misfit_at(s, NULL, "say `persistent N` as well, or leave out `turns`",
                     "consumers take turns at the tiles of a CTA, and each CTA has only one");
    if (s->schedule.turns > 1 && s->schedule.bulk_load)
        kg_misfit_at(s, NULL, "leave out `bulk_load` or `turns`",
                     "what a result takes in is not fetched for consumers that take turns");
    return !s->misfit.reason && kg_specialize_fits(s) &&
           (!kg_changes_grid(s) || kg_is_linear_grid(s)) &&
           (s->schedule.cluster < 2 || kg_cluster_fits(s)) && kg_specialize_slice(s);
}

bool kg_pass_specialize(kg_pass_context *context, kg_kernel *kernel)
{
    kg_specializer s = {.context = context,
                        .kernel = kernel,
                        .schedule = kernel->schedule,
                        .consumers = kernel->warps};
    if (!s.schedule.producers || !context->machine->tma || !context->machine->wgmma) return true;
    if (!fits(&s)) {
        report(&s);
        return s.schedule.fallback;
    }
    kg_turn_buffers(context->arena, kernel);
    if (s.schedule.bulk_store) kg_specialize_stores(&s);
    kg_specialize_slice(&s); // copies have new sources, and there may be more of them
    split_roles(&s);
    return kg_pass_fold(context, kernel); // indices of tiles and trips that only now are known
}
