// SPDX-License-Identifier: MIT
// overlap: the first product of the next trip, and what is computed from it, run while the last
// product of this trip is still in the tensor core.
//
// Needs: level tile, products on wgmma (the pass specialize), a `schedule` with `overlap 1`. What
//   specialize left alone is left alone here.
// Guarantees: in a loop whose product C adds to a fragment that the loop carries, and takes as its
//   first operand what B computes from an earlier product A of the trip, A of trip j + 1 stands in
//   front of C of trip j, and B of j + 1 behind it. In B, what only scales C's fragment comes last,
//   and then what B hands to C: these need C of trip j done, all else of B does not. Rings go by
//   the number of the trip that a product belongs to, be it the index or a counter.
// Never: synchronizes (the sync pass finds out what may be in flight where), changes the order of B
//   and C or what they compute. A loop of two products that it cannot turn is an error that says
//   why, a warning with `fallback 1`.
//
//   for j in lo .. hi {                          if lo < hi {
//     s = wgmma(q, k[j], 0.0)       // A           s = wgmma(q, k[lo], 0.0)
//     p = exp2(s - peak)            // B           ..; acc = acc * x; frag p = ..
//     acc = wgmma(p, v[j], acc * x) // C   =>      for j in lo .. hi - 1 {
//   }                                                s = wgmma(q, k[j + 1], 0.0)
//                                                    acc = wgmma(p, v[j], acc)
//                                                    ..; acc = acc * x; p = ..
//                                                  }
//                                                  acc = wgmma(p, v[hi - 1], acc)
//                                                }
#include "passes/overlap_internal.h"

#include "passes/pass_list.h"

// ---- pieces of a trip --------------------------------------------------------------------------
// Where copies of a trip's ops go, and what the loop's values are there.
typedef struct copier {
    kg_overlap *o;
    kg_place place;
    kg_value **map; // by value id
} copier;

// A trip with this index. Counters are what `counted` says, or as they stand.
static copier copy_for(kg_overlap *o, kg_place place, kg_value *index, kg_value *const *counted)
{
    copier c = {o, place, KG_NEW_ARRAY(o->context->arena, kg_value *, o->n_values + 1)};
    c.map[o->body->arg->id] = index;
    for (int i = 0; counted && i < o->counters.count; i++)
        c.map[o->counters.items[i].value->id] = counted[i];
    return c;
}

static kg_op *copy_op(const copier *c, const kg_op *op)
{
    kg_op *copy = kg_op_clone(c->o->kernel, op, c->map, c->o->n_values);
    kg_place_op(&c->place, copy);
    return copy;
}

static kg_value *copied(const copier *c, kg_value *value)
{
    return value->id >= 0 && c->map[value->id] ? c->map[value->id] : value;
}

// What of the trip has all of these bits and none of those, in its order.
static void copy_parts(const copier *c, unsigned with, unsigned without)
{
    for (const kg_op *op = c->o->body->first; op; op = op->next)
        if ((c->o->part[op->id] & with) == with && !(c->o->part[op->id] & without))
            copy_op(c, op);
}

static void assign(const copier *c, kg_value *fragment, kg_value *value)
{
    kg_make(&c->place, KG_OP_ASSIGN, 2, (kg_value *[]){fragment, value});
}

static void first_product(const copier *c)
{
    copy_parts(c, KG_OVERLAP_FIRST, 0);
}

static void last_product(const copier *c, kg_value *handed)
{
    kg_overlap *o = c->o;
    for (const kg_op *op = o->body->first; op; op = op->next) {
        if (!(o->part[op->id] & KG_OVERLAP_LAST)) continue;
        kg_op *copy = copy_op(c, op);
        if (op != o->last) continue;
        kg_op_set_operand(copy, 0, handed);
        kg_op_set_operand(copy, 2, o->fragment);
    }
    assign(c, o->fragment, copied(c, o->last->results[0]));
}

// Hands over to the last product: the first operand in `handed`, which is made where it is NULL.
static kg_value *between(const copier *c, kg_value *handed)
{
    kg_overlap *o = c->o;
    copy_parts(c, KG_OVERLAP_BETWEEN, KG_OVERLAP_FIRST | KG_OVERLAP_LATE);
    copy_parts(c, KG_OVERLAP_BETWEEN | KG_OVERLAP_SCALES, KG_OVERLAP_AWAITS);
    copy_parts(c, KG_OVERLAP_BETWEEN | KG_OVERLAP_SCALES | KG_OVERLAP_AWAITS, 0);
    if (o->last->operands[2] != o->fragment)
        assign(c, o->fragment, copied(c, o->last->operands[2]));
    copy_parts(c, KG_OVERLAP_BETWEEN | KG_OVERLAP_HANDS, 0);
    kg_value *value = copied(c, o->last->operands[0]);
    if (handed) {
        assign(c, handed, value);
        return handed;
    }
    kg_op *frag = kg_make(&c->place, KG_OP_FRAG, 1, &value);
    return kg_op_result(o->kernel, frag, value->type, o->last->operands[0]->name);
}

// ---- the loop ----------------------------------------------------------------------------------
// A loop without trips has no first product.
static kg_block *open_branch(kg_overlap *o, kg_value *low, kg_value *high)
{
    kg_place place = kg_place_before(o->kernel, o->loop);
    kg_value *some = kg_make_binary(&place, KG_OP_LT, low, high);
    kg_op *branch = kg_make(&place, KG_OP_IF, 1, &some);
    kg_block *then = kg_op_add_block(o->kernel, branch);
    kg_op_add_block(o->kernel, branch);
    return then;
}

static kg_block *open_loop(const copier *c, kg_value *low, kg_value *high)
{
    kg_overlap *o = c->o;
    kg_value *step = kg_make_int(&c->place, o->body->arg->type.dtype, 1);
    kg_op *loop = kg_make(&c->place, KG_OP_FOR, 3, (kg_value *[]){low, high, step});
    if (!kg_op_int(o->body->owner, KG_A_SPLIT, 1)) kg_op_set_int(o->kernel, loop, KG_A_SPLIT, 0);
    kg_block *body = kg_op_add_block(o->kernel, loop);
    body->arg = KG_NEW(o->kernel->unit->arena, kg_value);
    *body->arg = *o->body->arg;
    body->arg->op = loop;
    body->arg->id = -1;
    body->arg->note = NULL;
    return body;
}

static kg_value **count(const kg_overlap *o, const kg_place *place)
{
    kg_value **counted = KG_NEW_ARRAY(o->context->arena, kg_value *, o->counters.count + 1);
    for (int i = 0; i < o->counters.count; i++) {
        kg_value *value = o->counters.items[i].value;
        kg_value *by = kg_make_int(place, value->type.dtype, o->counters.items[i].by);
        counted[i] = kg_make_binary(place, KG_OP_ADD, value, by);
    }
    return counted;
}

static void set_counters(const copier *c, kg_value *const *counted)
{
    for (int i = 0; i < c->o->counters.count; i++)
        assign(c, c->o->counters.items[i].value, counted[i]);
}

// The last product of trip j between two pieces of trip j + 1. Counters stay those of j until the
// end, for what is said of its slots stands where its result is needed. `open` is the trip whose
// last product is still to come.
static void make_trip(kg_overlap *o, kg_block *body, kg_value *handed, kg_value *open)
{
    kg_place place = kg_place_end(o->kernel, body, o->loop->loc);
    kg_value *one = kg_make_int(&place, body->arg->type.dtype, 1);
    kg_value *next = kg_make_binary(&place, KG_OP_ADD, body->arg, one);
    kg_value **counted = count(o, &place);
    copier this_trip = copy_for(o, place, body->arg, NULL);
    copier next_trip = copy_for(o, place, next, counted);
    first_product(&next_trip);
    last_product(&this_trip, handed);
    between(&next_trip, handed);
    set_counters(&this_trip, counted);
    assign(&this_trip, open, next);
}

static void turn(kg_overlap *o)
{
    kg_value *low = o->loop->operands[0], *high = o->loop->operands[1];
    kg_block *block = open_branch(o, low, high);
    kg_place place = kg_place_end(o->kernel, block, o->loop->loc);
    copier first = copy_for(o, place, low, NULL);
    first_product(&first);
    kg_value *handed = between(&first, NULL);
    kg_op *frag = kg_make(&place, KG_OP_FRAG, 1, &low);
    kg_value *open = kg_op_result(o->kernel, frag, low->type, "open");
    kg_value *one = kg_make_int(&place, high->type.dtype, 1);
    kg_value *last_trip = kg_make_binary(&place, KG_OP_SUB, high, one);
    make_trip(o, open_loop(&first, low, last_trip), handed, open);
    copier last = copy_for(o, place, open, NULL); // hi - 1, as the rings are counted
    last_product(&last, handed);
    set_counters(&last, count(o, &place));
    kg_op_remove(o->loop);
}

// ---- the pass ----------------------------------------------------------------------------------
static void report(kg_overlap *o, const kg_schedule *schedule)
{
    const kg_overlap_misfit *m = &o->misfit;
    kg_diags *diags = o->context->diags;
    kg_diag *diag =
        schedule->fallback
            ? kg_warn(diags, KG_D_L305, schedule->loc,
                      "trips of kernel '%s' do not overlap: a loop does not fit", o->kernel->name)
            : kg_error(diags, KG_D_L305, schedule->loc,
                       "the schedule of kernel '%s' cannot be met", o->kernel->name);
    kg_diag_note(diags, diag, m->loc, "%s", m->reason);
    kg_diag_help(diags, diag, "%s",
                 m->help ? m->help : "leave out `overlap`, or keep such loops with `fallback 1`");
}

typedef struct finder {
    kg_pass_context *context;
    struct {
        kg_op **items;
        int count, capacity;
    } loops;
} finder;

// Two products one after the other, of which nothing but the schedule says that they overlap.
static bool find_loop(kg_op *op, void *user)
{
    finder *f = user;
    int products = 0;
    if (op->code != KG_OP_FOR || kg_op_attr(op, KG_A_PIPELINE)) return true;
    for (const kg_op *inner = op->blocks[0]->first; inner; inner = inner->next)
        products += inner->code == KG_OP_WGMMA;
    if (products > 1) KG_PUSH(f->context->arena, &f->loops, op);
    return true;
}

bool kg_pass_overlap(kg_pass_context *context, kg_kernel *kernel)
{
    kg_schedule schedule = kernel->schedule;
    // Not on this target, or not as the pass specialize was asked to.
    if (!schedule.overlap || !context->machine->wgmma || schedule.producers) return true;
    finder f = {.context = context};
    kg_walk(kernel->body, find_loop, &f);
    kernel->schedule.overlap = 0;
    if (!schedule.pingpong) kernel->schedule.fallback = 0;
    int turned = 0;
    kg_overlap none = {.context = context, .kernel = kernel};
    for (int i = 0; i < f.loops.count; i++) {
        kg_overlap o = {.context = context, .kernel = kernel, .loop = f.loops.items[i]};
        if (kg_overlap_fits(&o)) {
            turn(&o);
            turned++;
        } else {
            report(&o, &schedule);
            if (!schedule.fallback) return false;
        }
    }
    if (!f.loops.count) {
        none.misfit = (kg_overlap_misfit){"no loop has two products that run on wgmma",
                                          schedule.loc, "`producers 1` puts products there"};
        report(&none, &schedule);
        if (!schedule.fallback) return false;
    }
    return !turned || kg_pass_fold(context, kernel); // bounds and indices that only now are known
}
