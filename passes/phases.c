// SPDX-License-Identifier: MIT
// Pass phases: mbarriers for what bulk copies bring.
//
// Needs: level laid_out. Copies by the copy engine (copy_bulk) name their slots by trip numbers; a
//   copy in a loop fills a ring.
// Guarantees: every bulk copy counts towards a phase of a mbarrier, whose bytes are announced;
//   every reader of the buffer stands behind a wait for that phase; where readers are of another
//   role, the copy of a later trip stands behind a wait for their arrivals, which stand behind
//   their last reads of a slot. What arrivals have to wait for in turn is the pass sync's business.
// Never: touches copies that have a mbarrier already.
//
// Buffers that are filled together and read first by the same op share a mbarrier; others have
// their own, so that nobody waits for bytes that are needed later only.
//
//   producer:  for k { copy_bulk sa[k] = ..     ->  mbarrier_wait empty_sa[k] {behind=1}
//                      copy_bulk sb[k] = .. }       mbarrier_expect full_sa[k] {bytes=..}
//                                                   copy_bulk sa[k] = .. on full_sa[k] ..
//   consumer:  for k { acc = wgmma(sa[k], ..) } ->  mbarrier_wait full_sa[k]
//                                                   acc = wgmma(sa[k], ..)
//                                                   mbarrier_arrive empty_sa[k]
//
// Roles that read a ring's slots in turn hand the turn on: phases_turns.c.
//
// Where the CTAs of a cluster bring a tile together (multicast), each fills a slot of all of them.
// So the readers of all of them give it back to each, and arrivals count them all; all meet when
// the mbarriers are made, and at the end.
#include "passes/phases_find.h"
#include "passes/rewrite.h"
#include "passes/sync/registers.h"

// ---- making -------------------------------------------------------------------------------------
kg_value *kg_phases_declare(kg_phaser *s, const kg_phase_stream *x, const char *what, int64_t ring,
                            int64_t arrivals)
{
    kg_kernel *kernel = s->kernel;
    kg_place top = kg_place_before(kernel, s->top);
    kg_op *op = kg_make(&top, KG_OP_SHARED, 0, NULL);
    op->loc = x->buffer->op->loc;
    kg_type type = {.dtype = KG_I64, .home = KG_HOME_SHARED, .rank = 1, .dims = {1}};
    const char *of = x->buffer->name;
    const char *name = of ? kg_arena_printf(kernel->unit->arena, "%s_%s", what, of) : what;
    kg_value *mbarrier = kg_op_result(kernel, op, type, name);
    kg_op_set_int(kernel, op, KG_A_RING, ring);
    kg_op_set_int(kernel, op, KG_A_ALIGN, 8);
    kg_op_set_int(kernel, op, KG_A_ARRIVALS, arrivals);
    kg_op *init = kg_make(&top, KG_OP_MBARRIER_INIT, 1, &mbarrier);
    init->loc = op->loc;
    return mbarrier;
}

static kg_value *phase(const kg_place *place, kg_value *mbarrier, kg_value *slot)
{
    int64_t n = 0;
    if (!slot || kg_const_int(slot, &n)) slot = kg_make_int(place, KG_I32, n);
    return kg_make_slot_view(place, mbarrier, slot);
}

static kg_op *make_sync(const kg_place *place, kg_opcode code, kg_value *mbarrier, kg_value *slot)
{
    kg_value *operand = phase(place, mbarrier, slot);
    return kg_make(place, code, 1, &operand);
}

static int64_t bytes_of(const kg_op *copy)
{
    const kg_type *type = &copy->operands[0]->type;
    return kg_type_elements(type) * kg_dtype_bytes(type->dtype);
}

// Outside of all loops the number of a slot says whether it was filled before, and whether it will
// be again; where it is no constant, both may be.
static bool filled_before(const kg_phase_stream *x, const kg_value *slot)
{
    int64_t n;
    return x->looped || !slot || !kg_const_int(slot, &n) ||
           n >= kg_op_int(x->buffer->op, KG_A_RING, 1);
}

static bool filled_again(const kg_phase_stream *x, const kg_value *slot)
{
    int64_t n, other, ring = kg_op_int(x->buffer->op, KG_A_RING, 1);
    if (x->looped || !slot || !kg_const_int(slot, &n)) return true;
    for (int i = 0; i < x->sites.count; i++) {
        const kg_value *at = x->sites.items[i].slot;
        if (!at || !kg_const_int(at, &other) || other == n + ring) return true;
    }
    return false;
}

// The copies of a class at its site number `at`: an announcement of their bytes, then they.
static void fill_site(kg_phaser *s, int class, int at)
{
    kg_phase_stream *head = &s->streams.items[class];
    kg_op *first = head->sites.items[at].copy;
    int64_t bytes = 0;
    for (int i = class; i < s->streams.count; i++)
        if (s->streams.items[i].class == class)
            bytes += bytes_of(s->streams.items[i].sites.items[at].copy);
    kg_place place = kg_place_before(s->kernel, first);
    kg_value *slot = head->sites.items[at].slot;
    if (head->empty && filled_before(head, slot)) {
        kg_op *wait = make_sync(&place, KG_OP_MBARRIER_WAIT, head->empty, slot);
        kg_op_set_int(s->kernel, wait, KG_A_BEHIND, 1);
        if (head->handed) kg_op_set_int(s->kernel, wait, KG_A_CLUSTER, 1);
    }
    kg_op *expect = make_sync(&place, KG_OP_MBARRIER_EXPECT, head->full, slot);
    kg_op_set_int(s->kernel, expect, KG_A_BYTES, bytes);
    for (int i = class; i < s->streams.count; i++) {
        if (s->streams.items[i].class != class) continue;
        kg_op *copy = s->streams.items[i].sites.items[at].copy;
        kg_place here = kg_place_before(s->kernel, copy);
        kg_value *operands[] = {copy->operands[0], copy->operands[1],
                                phase(&here, head->full, slot)};
        kg_op *made = kg_make(&here, KG_OP_COPY_BULK, 3, operands);
        made->attrs = copy->attrs;
        kg_op_remove(copy);
    }
}

// Some slot may be filled again: not where the trips are known to be no more than the slots.
static bool goes_round(const kg_phase_stream *x)
{
    int64_t lo, hi, step;
    bool again = false;
    for (int i = 0; i < x->sites.count && x->sites.count > 1 && !x->looped; i++)
        again |= filled_before(x, x->sites.items[i].slot);
    if (!x->looped) return again;
    if (!x->once) return true;
    const kg_op *loop = x->sites.items[0].copy;
    while (!kg_is_loop(loop)) loop = loop->parent->owner;
    if (loop->code != KG_OP_FOR || !kg_const_int(loop->operands[0], &lo) ||
        !kg_const_int(loop->operands[1], &hi) || !kg_const_int(loop->operands[2], &step))
        return true;
    uint64_t span = hi > lo ? (uint64_t)hi - (uint64_t)lo : 0;
    uint64_t trips = span / (uint64_t)step + (span % (uint64_t)step != 0);
    return trips > (uint64_t)kg_op_int(x->buffer->op, KG_A_RING, 1);
}

// Warps of other roles that read the class: each arrives once a trip. Of roles that take turns, so
// that one of them reads what a trip brings, only the first one counts.
static int64_t arrivals_of(const kg_phaser *s, int class)
{
    int64_t warps = 0;
    int region = s->streams.items[class].region;
    for (int i = 0; i < s->readings.count; i++) {
        const kg_phase_reading *r = &s->readings.items[i];
        bool counted = r->class != class || r->region < 0 || r->region == region;
        for (int k = 0; k < i && !counted; k++) {
            const kg_phase_reading *x = &s->readings.items[k];
            counted = x->class == class && (x->region == r->region ||
                                            kg_phases_take_turns(s, class, x->region, r->region));
        }
        if (!counted) warps += kg_op_region(r->first).n_warps;
    }
    return warps;
}

static bool assigns(kg_op *op, const kg_value *slot)
{
    return (op->code == KG_OP_ASSIGN && op->operands[0] == slot) ||
           kg_phases_assigned_inside(slot, op);
}

// A fragment that has the registers of a product's result, used by something else than products.
static bool uses_product(const kg_sync_program *p, const kg_op *op, const kg_value *fragment)
{
    for (int i = 0; i < op->n_blocks; i++)
        for (const kg_op *inner = op->blocks[i]->first; inner; inner = inner->next)
            if (uses_product(p, inner, fragment)) return true;
    bool names = op->code == KG_OP_ASSIGN && op->operands[0] == fragment;
    if (kg_op_info_of(op->code)->cls == KG_CLASS_D || names) return false;
    for (int i = 0; i < op->n_operands; i++)
        if (kg_sync_fragment(p, op->operands[i]) == fragment) return true;
    return false;
}

// Where a slot is given back: behind its last reader; but a product reads until it is waited for,
// so if its result is used later in this trip, in front of that, where a wait stands anyway; but
// before the slot's number changes.
static kg_op *place_of_release(const kg_phaser *s, const kg_phase_reading *r)
{
    const kg_value *fragment = kg_op_info_of(r->last->code)->cls == KG_CLASS_D
                                   ? kg_sync_fragment(s->p, r->last->results[0])
                                   : NULL;
    for (kg_op *op = r->last->next; fragment && op; op = op->next)
        if (uses_product(s->p, op, fragment) || assigns(op, r->slot)) return op;
    return r->last->next;
}

// ---- a trip later ------------------------------------------------------------------------------
// Products of a loop that go on with one accumulator need not wait for each other. Each trip gives
// back the slot of the trip before, whose product is waited for while the next one runs:
//
//   for k in lo .. hi {                     for k in lo .. hi {
//     acc = wgmma(sa[k], sb[k], acc)   =>     acc = wgmma(sa[k], sb[k], acc)
//   }                                         if lo < k { mbarrier_arrive empty_sa[k - 1] }
//                                           }
//                                           if lo < hi { mbarrier_arrive empty_sa[hi - 1] }
enum { SLOTS_TO_KEEP_TWO = 3 }; // one is filled while two are read

typedef struct assignments {
    const kg_value *target;
    kg_op *last;
    int count;
} assignments;

static bool count_assignments(kg_op *op, void *user)
{
    assignments *a = user;
    if (op->code != KG_OP_ASSIGN || op->operands[0] != a->target) return true;
    a->last = op;
    a->count++;
    return true;
}

// The slot's number is one more in each trip of `loop`, and changes behind `op` if it does within.
static bool counts_trips(const kg_value *slot, kg_op *loop, const kg_op *op)
{
    int64_t by;
    kg_block *body = loop->blocks[0];
    if (slot == body->arg) return kg_const_int(loop->operands[2], &by) && by == 1;
    assignments a = {.target = slot};
    kg_walk(body, count_assignments, &a);
    if (a.count != 1 || a.last->parent != body) return false;
    const kg_value *next = a.last->operands[1];
    if (next->kind != KG_VALUE_RESULT || next->op->code != KG_OP_ADD ||
        next->op->operands[0] != slot || !kg_const_int(next->op->operands[1], &by) || by != 1)
        return false;
    while (op && op != a.last) op = op->next;
    return op != NULL;
}

// Every reader of the class in this block is a product there, all operands in shared memory, whose
// result nothing in the block uses but products.
static bool chains(const kg_phaser *s, const kg_phase_reading *r)
{
    for (int i = 0; i < s->p->accesses.count; i++) {
        const kg_sync_access *a = &s->p->accesses.items[i];
        const kg_op *op = kg_sync_node_at(s->p, a->node)->op;
        bool ours = false;
        for (int k = 0; k < s->streams.count && !a->global && !a->phase; k++)
            ours |=
                s->streams.items[k].class == r->class && s->streams.items[k].buffer == a->at.root;
        if (!ours || !kg_op_within(op, r->block->owner)) continue;
        if (kg_op_info_of(op->code)->cls != KG_CLASS_D || op->parent != r->block ||
            op->operands[0]->type.home == KG_HOME_FRAG || !kg_phases_same_slot(a->at.slot, r->slot))
            return false;
        const kg_value *fragment = kg_sync_fragment(s->p, op->results[0]);
        for (const kg_op *user = r->block->first; user; user = user->next)
            if (uses_product(s->p, user, fragment)) return false;
    }
    return true;
}

static bool fits_a_trip_later(const kg_phaser *s, const kg_phase_reading *r)
{
    const kg_phase_stream *head = &s->streams.items[r->class];
    kg_op *loop = r->block->owner;
    if (!loop || loop->code != KG_OP_FOR || !r->slot ||
        kg_op_int(head->buffer->op, KG_A_RING, 1) < SLOTS_TO_KEEP_TWO ||
        kg_is_mutable(loop->operands[0]) || kg_is_mutable(loop->operands[1]))
        return false;
    return counts_trips(r->slot, loop, r->last) && chains(s, r);
}

// The slot is given back; to all CTAs that fill it. That tensor cores have read it is over and
// needs no scope, which would cost the reader a fence.
static void give_back(kg_phaser *s, const kg_place *place, const kg_phase_stream *head,
                      kg_value *slot)
{
    kg_op *arrive = make_sync(place, KG_OP_MBARRIER_ARRIVE, head->empty, slot);
    if (!head->multicast) return;
    kg_op_set_int(s->kernel, arrive, KG_A_CLUSTER, 1);
    if (!head->handed) kg_op_set_name(s->kernel, arrive, KG_A_SCOPE, "cta");
}

static void arrive_if(kg_phaser *s, kg_place place, const kg_phase_stream *head,
                      kg_value *condition, kg_value *number)
{
    kg_op *guard = kg_make(&place, KG_OP_IF, 1, &condition);
    kg_place inner = kg_place_end(s->kernel, kg_op_add_block(s->kernel, guard), place.loc);
    kg_op_add_block(s->kernel, guard);
    kg_value *one = kg_make_int(&inner, number->type.dtype, 1);
    kg_value *before = kg_make_binary(&inner, KG_OP_SUB, number, one);
    give_back(s, &inner, head, before);
}

static kg_place behind(const kg_phaser *s, const kg_phase_reading *r, kg_op *op)
{
    kg_place place = op->next ? kg_place_before(s->kernel, op->next)
                              : kg_place_end(s->kernel, op->parent, op->loc);
    place.loc = r->last->loc;
    return place;
}

static void free_a_trip_later(kg_phaser *s, const kg_phase_reading *r)
{
    const kg_phase_stream *head = &s->streams.items[r->class];
    kg_op *loop = r->block->owner;
    kg_value *index = loop->blocks[0]->arg, *lo = loop->operands[0], *hi = loop->operands[1];
    kg_op *last = r->last, *next = last->next; // acc = wgmma(..) is one line
    if (next && next->code == KG_OP_ASSIGN && next->operands[1] == last->results[0]) last = next;
    kg_place place = behind(s, r, last);
    arrive_if(s, place, head, kg_make_binary(&place, KG_OP_LT, lo, index), r->slot);
    // Slots that nobody fills again need not be given back.
    if (head->once && !kg_phases_in_loop(loop)) return;
    place = behind(s, r, loop);
    arrive_if(s, place, head, kg_make_binary(&place, KG_OP_LT, lo, hi),
              r->slot == index ? hi : r->slot);
}

// Everything has been read, and nothing fills the slot again: it need not be given back. What is
// filled is read in its order, so outside of all loops the last reader in the text is the last.
static bool reads_last(const kg_phaser *s, const kg_phase_reading *r)
{
    if (!filled_again(&s->streams.items[r->class], r->slot)) return true;
    if (kg_loops_around(r->first) || !s->streams.items[r->class].once) return false;
    for (const kg_phase_reading *x = r + 1; x < s->readings.items + s->readings.count; x++)
        if (x->class == r->class && x->region == r->region) return false;
    return true;
}

static void wait_and_free(kg_phaser *s, const kg_phase_reading *r)
{
    const kg_phase_stream *head = &s->streams.items[r->class];
    kg_place front = kg_place_before(s->kernel, r->first);
    make_sync(&front, KG_OP_MBARRIER_WAIT, head->full, r->slot);
    if (!head->empty || r->region < 0 || r->region == head->region || reads_last(s, r)) return;
    if (fits_a_trip_later(s, r)) {
        free_a_trip_later(s, r);
        return;
    }
    kg_op *next = place_of_release(s, r);
    kg_place behind =
        next ? kg_place_before(s->kernel, next) : kg_place_end(s->kernel, r->block, r->last->loc);
    behind.loc = r->last->loc;
    give_back(s, &behind, head, r->slot);
}

// Nobody reaches into a CTA that has not made its mbarriers, or that has ended.
static void meet_in_cluster(kg_phaser *s)
{
    kg_place made = kg_place_before(s->kernel, s->top);
    kg_place end = kg_place_end(s->kernel, s->kernel->body, s->kernel->loc);
    kg_make(&made, KG_OP_CLUSTER_BARRIER, 0, NULL);
    kg_make(&end, KG_OP_CLUSTER_BARRIER, 0, NULL);
}

// What its own readers still need a CTA knows by itself; of its peers' readers it learns at an
// mbarrier only.
static bool released_by_arrivals(kg_phaser *s, const kg_phase_stream *x, int64_t arrivals)
{
    if (!x->multicast || !goes_round(x) || arrivals) return true;
    kg_diag *d = kg_error(s->context->diags, KG_D_S501, x->sites.items[0].copy->loc,
                          "a tile that the CTAs of a cluster bring together is read by the warps "
                          "that ask for it, so the others would not learn when its slot is free");
    kg_diag_help(s->context->diags, d, "let a role of its own ask for it, or leave out multicast");
    return false;
}

static void make_all(kg_phaser *s)
{
    bool multicast = false;
    for (int c = 0; c < s->streams.count; c++) {
        kg_phase_stream *x = &s->streams.items[c];
        if (x->class != c) continue;
        x->once = x->sites.count == 1 && kg_loops_around(x->sites.items[0].copy) == 1;
        int64_t arrivals = goes_round(x) ? arrivals_of(s, c) : 0;
        if (!released_by_arrivals(s, x, arrivals)) return;
        if (x->multicast) arrivals *= s->kernel->cluster;
        multicast |= x->multicast;
        x->handed = x->multicast && !kg_phases_for_products(s, c);
        int64_t ring = kg_op_int(x->buffer->op, KG_A_RING, 1);
        x->full = kg_phases_declare(s, x, "full", ring, 1);
        if (arrivals) x->empty = kg_phases_declare(s, x, "empty", ring, arrivals);
        for (int i = 0; i < x->sites.count; i++) fill_site(s, c, i);
    }
    kg_phases_wait_for_turns(s);
    for (int i = 0; i < s->readings.count; i++) wait_and_free(s, &s->readings.items[i]);
    kg_phases_hand_turns_on(s);
    if (multicast) meet_in_cluster(s);
}

bool kg_pass_phases(kg_pass_context *context, kg_kernel *kernel)
{
    kg_phaser s = {.context = context, .kernel = kernel};
    s.p = kg_sync_program_build(context->arena, kernel, false);
    if (!s.p->has_phases) return true;
    int errors = context->diags->errors;
    if (!kg_phases_find(&s)) return false;
    // Behind the declarations of buffers that stand at the top.
    s.top = kernel->body->first;
    while (s.top && s.top->code == KG_OP_SHARED) s.top = s.top->next;
    if (s.streams.count) make_all(&s);
    return context->diags->errors == errors;
}
