// SPDX-License-Identifier: MIT
// Pass repair: obligations are removed where that is cheaper than a barrier in a loop.
//
// Needs: level laid_out, where every exchange between warps is a store and a load.
// Guarantees: the same values; a kernel whose cost (repair.h) is at most what it was, and from
//   which no single change that was made can be taken back at no cost. What was considered goes
//   into the context's notes.
// Never: touches copies in groups, the author's synchronization, or loops that need no barrier;
//   adds or drops an access.
//
//   for t in 0 .. n {                  shared p: f32[4] ring 2
//     shared p: f32[4]                 shared q: f32[4] ring 2
//     store p = %a                     for t in 0 .. n {
//     %c = load p                        store p[t; ..] = %a
//     shared q: f32[4]            =>     store q[t; ..] = %b
//     store q = %b                       %c = load p[t; ..]           // one barrier a trip
//     %d = load q                        %d = load q[t; ..]
//   }                                  }
//
// The repairs: rings of 2 (widen.c), second reads spared (keep.c), stores moved ahead of reads
// (gather.c). The search tries whole kernels. An attempt starts with all rings or none, all second
// reads or none; then the stores go in front of reads, read by read, where that makes the kernel
// cheaper; then what pays nothing is taken back, one by one. The cheapest of the four attempts and
// of the kernel as it was stands. Each try is priced by deriving its obligations, placing its
// buffers and covering what is left with the exact solver of the sync pass.
#include "passes/pass_list.h"
#include "passes/repair_internal.h"

enum {
    WORK = 2048,       // tries of one round, times accesses of the kernel:
    FEWEST_TRIES = 16, // large kernels get fewer tries, so that compiling stays quick
    MOST_ROUNDS = 4,
    MOST_CHANGES = 16,   // rings or moves; loops with more keep their barriers
    ACCESS_OVERHEAD = 2, // cycles to find the slot of a ring, at each access
    REGISTER_PRICE = 1   // for each register held longer, in cycles where it is held
};

typedef struct move {
    kg_gathering what;
    bool on;
} move;

// What a kernel costs that was tried before.
typedef struct tried {
    uint32_t rings, keeps; // by bit
    kg_gathering moves[MOST_CHANGES];
    int n_moves;
    kg_cost cost;
} tried;

typedef struct search {
    kg_pass_context *context;
    kg_kernel *kernel;
    kg_edits edits;
    kg_widenings rings;
    kg_keepings keeps;
    kg_gatherings possible;
    struct {
        move *items;
        int count, capacity;
    } moves;
    kg_footprints own, *known;
    int tries, most_tries;
    struct {
        tried *items;
        int count, capacity;
    } tried;
} search;

// ---- one kernel ---------------------------------------------------------------------------------
// Makes the kernel that the switches say; returns how many of the moves could be made.
static int apply(search *s)
{
    int made = 0;
    kg_edits_undo(&s->edits);
    kg_keep_apply(&s->edits, &s->keeps);
    for (int i = 0; i < s->moves.count; i++)
        if (s->moves.items[i].on) made += kg_gather_apply(&s->edits, s->moves.items[i].what) > 0;
    kg_widen_apply(&s->edits, &s->rings);
    return made;
}

static bool forget_offset(kg_op *op, void *user)
{
    (void)user;
    if (op->code == KG_OP_SHARED) kg_op_unset(op, KG_A_OFFSET);
    return true;
}

static tried switches(const search *s)
{
    tried t = {0};
    for (int i = 0; i < s->rings.count; i++) t.rings |= (uint32_t)s->rings.items[i].on << i;
    for (int i = 0; i < s->keeps.count; i++) t.keeps |= (uint32_t)s->keeps.items[i].on << i;
    for (int i = 0; i < s->moves.count; i++)
        if (s->moves.items[i].on) t.moves[t.n_moves++] = s->moves.items[i].what;
    return t;
}

static bool same_switches(const tried *a, const tried *b)
{
    bool same = a->rings == b->rings && a->keeps == b->keeps && a->n_moves == b->n_moves;
    for (int i = 0; i < a->n_moves && same; i++)
        same = a->moves[i].store == b->moves[i].store && a->moves[i].target == b->moves[i].target;
    return same;
}

static kg_cost price_anew(search *s)
{
    apply(s);
    kg_cost cost = kg_place_and_price(s->context, s->kernel, s->known);
    kg_walk(s->kernel->body, forget_offset, NULL);
    for (int i = 0; i < s->rings.count; i++) {
        const kg_widening *w = &s->rings.items[i];
        if (w->on)
            cost.total +=
                w->accesses * ACCESS_OVERHEAD * kg_runs_in_loops(kg_loops_around(w->loop) + 1);
    }
    for (int i = 0; i < s->keeps.count; i++) {
        const kg_keeping *k = &s->keeps.items[i];
        if (k->on)
            cost.total +=
                k->registers * REGISTER_PRICE * kg_runs_in_loops(kg_loops_around(k->first));
    }
    for (int i = 0; i < s->moves.count; i++)
        if (s->moves.items[i].on)
            cost.total += kg_runs_in_loops(kg_loops_around(s->moves.items[i].what.store));
    return cost;
}

// The kernel itself may be another one afterwards.
static kg_cost price(search *s)
{
    tried t = switches(s);
    s->tries++;
    for (int i = 0; i < s->tried.count; i++)
        if (same_switches(&s->tried.items[i], &t)) return s->tried.items[i].cost;
    t.cost = price_anew(s);
    KG_PUSH(s->context->arena, &s->tried, t);
    return t.cost;
}

// ---- notes --------------------------------------------------------------------------------------
// The author's name, or the shape of an exchange between warps.
static const char *name_of(const search *s, const kg_value *value)
{
    kg_arena *arena = s->context->arena;
    if (value->name) return kg_arena_printf(arena, "'%s'", value->name);
    const char *dims = "";
    for (int d = 0; d < value->type.rank; d++)
        dims = kg_arena_printf(arena, "%s%s%d", dims, d ? ", " : "", value->type.dims[d]);
    return kg_arena_printf(arena, "%s[%s]", kg_dtype_info_of(value->type.dtype)->name, dims);
}

static void note(search *s, const char *what, kg_loc loc, kg_repair_verdict verdict,
                 const kg_cost *without, const kg_cost *with)
{
    if (!s->context->repairs) return;
    kg_arena *arena = s->context->arena;
    kg_repair_note n = {.what = what,
                        .verdict = verdict,
                        .cost_before = without->total,
                        .cost_after = with->total,
                        .bytes = with->bytes - without->bytes,
                        .loc = loc};
    n.text = kg_arena_printf(arena, "barriers in loops %d -> %d", without->sync.loop_barriers,
                             with->sync.loop_barriers);
    if (without->sync.warp_syncs != with->sync.warp_syncs)
        n.text = kg_arena_printf(arena, "%s, warp syncs %d -> %d", n.text, without->sync.warp_syncs,
                                 with->sync.warp_syncs);
    if (n.bytes)
        n.text = kg_arena_printf(arena, "%s, shared memory %lld -> %lld bytes", n.text,
                                 (long long)without->bytes, (long long)with->bytes);
    KG_PUSH(arena, s->context->repairs, n);
}

static const char *ring_text(const search *s, const kg_widening *w)
{
    return kg_arena_printf(s->context->arena, "ring of 2 for %s", name_of(s, w->buffer));
}

static const kg_value *shared_read(const kg_op *op)
{
    for (int i = 0; i < op->n_operands; i++) {
        kg_value *root =
            op->operands[i]->type.home == KG_HOME_SHARED ? kg_root(op->operands[i]) : NULL;
        if (root) return root;
    }
    return NULL;
}

static const char *move_text(const search *s, const kg_gathering *g)
{
    const kg_value *root = shared_read(g->target);
    return kg_arena_printf(s->context->arena, "store to %s before the read of %s in line %d",
                           name_of(s, kg_root(g->store->operands[0])), root ? name_of(s, root) : "",
                           g->target->loc.line);
}

static const char *keep_text(const search *s, const kg_keeping *k)
{
    return kg_arena_printf(s->context->arena, "%d registers for %s, so that it is read once",
                           k->registers, name_of(s, kg_root(k->first->operands[0])));
}

// One thing that is done or not.
typedef struct repair {
    bool *on;
    const char *what;
    kg_loc loc;
} repair;

static int count_repairs(const search *s)
{
    return s->rings.count + s->keeps.count + s->moves.count;
}

static repair repair_at(search *s, int i)
{
    if (i < s->rings.count) {
        kg_widening *w = &s->rings.items[i];
        return (repair){&w->on, ring_text(s, w), w->buffer->op->loc};
    }
    i -= s->rings.count;
    if (i < s->keeps.count) {
        kg_keeping *k = &s->keeps.items[i];
        return (repair){&k->on, keep_text(s, k), k->second->loc};
    }
    move *m = &s->moves.items[i - s->keeps.count];
    return (repair){&m->on, move_text(s, &m->what), m->what.store->loc};
}

// ---- the search ---------------------------------------------------------------------------------
// All stores behind the target that can go before it are switched on; how many.
static int add_moves(search *s, const kg_op *target)
{
    int first = s->moves.count, before = 0;
    for (int i = 0; i < first; i++) before += s->moves.items[i].on;
    for (int i = 0; i < s->possible.count && s->moves.count < MOST_CHANGES; i++) {
        if (s->possible.items[i].target != target) continue;
        KG_PUSH(s->context->arena, &s->moves, ((move){s->possible.items[i], true}));
        if (apply(s) <= before)
            s->moves.count--;
        else
            before++;
    }
    return s->moves.count - first;
}

static kg_cost gather(search *s, kg_cost cost)
{
    const kg_op *done = NULL;
    for (int i = 0; i < s->possible.count && s->tries < s->most_tries; i++) {
        const kg_op *target = s->possible.items[i].target;
        bool seen = target == done;
        for (int k = 0; k < i && !seen; k++) seen = s->possible.items[k].target == target;
        if (seen) continue;
        done = target;
        int added = add_moves(s, target);
        if (!added) continue;
        kg_cost with = price(s);
        if (with.total < cost.total)
            cost = with;
        else
            s->moves.count -= added;
    }
    return cost;
}

// Takes back what pays nothing, the largest rings first. With `final`, says what stays and why.
static kg_cost prune(search *s, kg_cost cost, bool final)
{
    for (int i = 0; i < count_repairs(s); i++) {
        repair r = repair_at(s, i);
        if (!*r.on || (!final && s->tries >= s->most_tries)) continue;
        *r.on = false;
        kg_cost without = price(s);
        *r.on = without.total > cost.total;
        if (!*r.on)
            cost = without;
        else if (final)
            note(s, r.what, r.loc, KG_REPAIR_TAKEN, &without, &cost);
    }
    return cost;
}

static void sort_rings(search *s)
{
    for (int i = 1; i < s->rings.count; i++)
        for (int k = i; k > 0 && s->rings.items[k - 1].bytes < s->rings.items[k].bytes; k--) {
            kg_widening w = s->rings.items[k];
            s->rings.items[k] = s->rings.items[k - 1];
            s->rings.items[k - 1] = w;
        }
}

// What each repair that was not taken would have done alone, on top of the result.
static void note_refused(search *s, const kg_cost *cost)
{
    s->moves.count = 0;
    for (int i = 0; s->context->repairs && i < count_repairs(s); i++) {
        repair r = repair_at(s, i);
        *r.on = true;
        kg_cost with = price(s);
        *r.on = false;
        note(s, r.what, r.loc, KG_REPAIR_REJECTED, cost, &with);
    }
}

typedef struct outcome {
    kg_cost cost;
    bool rings[MOST_CHANGES], keeps[MOST_CHANGES];
    move moves[MOST_CHANGES];
    int n_moves;
} outcome;

static void remember(const search *s, kg_cost cost, outcome *best)
{
    best->cost = cost;
    for (int i = 0; i < s->rings.count; i++) best->rings[i] = s->rings.items[i].on;
    for (int i = 0; i < s->keeps.count; i++) best->keeps[i] = s->keeps.items[i].on;
    for (int i = 0; i < s->moves.count; i++) best->moves[i] = s->moves.items[i];
    best->n_moves = s->moves.count;
}

static void recall(search *s, const outcome *best)
{
    for (int i = 0; i < s->rings.count; i++) s->rings.items[i].on = best->rings[i];
    for (int i = 0; i < s->keeps.count; i++) s->keeps.items[i].on = best->keeps[i];
    s->moves.count = 0;
    for (int i = 0; i < best->n_moves; i++) KG_PUSH(s->context->arena, &s->moves, best->moves[i]);
}

// Repairs cost something each: where all of them together save no synchronization, none of them is
// worth another try.
static void attempt(search *s, bool rings, bool keeps, const kg_cost *base, outcome *best)
{
    if ((rings && !s->rings.count) || (keeps && !s->keeps.count)) return;
    s->moves.count = 0;
    for (int i = 0; i < s->rings.count; i++) s->rings.items[i].on = rings;
    for (int i = 0; i < s->keeps.count; i++) s->keeps.items[i].on = keeps;
    kg_cost cost = gather(s, rings || keeps ? price(s) : *base);
    if (cost.sync.cost >= base->sync.cost && cost.total >= base->total) return;
    cost = prune(s, cost, false);
    if (cost.total < best->cost.total) remember(s, cost, best);
}

static bool count_effects(kg_op *op, void *user)
{
    *(int *)user += kg_op_info_of(op->code)->n_effects;
    return true;
}

static void find_candidates(search *s)
{
    kg_arena *arena = s->context->arena;
    int accesses = 1;
    kg_walk(s->kernel->body, count_effects, &accesses);
    s->most_tries = WORK / accesses > FEWEST_TRIES ? WORK / accesses : FEWEST_TRIES;
    kg_widen_find(arena, s->kernel, &s->rings);
    kg_keep_find(arena, s->kernel, &s->keeps);
    kg_gather_find(arena, s->kernel, &s->possible);
    if (s->rings.count > MOST_CHANGES) s->rings.count = 0;
    if (s->keeps.count > MOST_CHANGES) s->keeps.count = 0;
    sort_rings(s);
}

// One round; false when nothing was changed.
static bool improve(kg_pass_context *context, kg_kernel *kernel)
{
    search s = {.context = context, .kernel = kernel};
    s.known = context->footprints ? context->footprints : &s.own;
    outcome best = {0};
    s.edits = (kg_edits){.arena = context->arena, .kernel = kernel};
    find_candidates(&s);
    if (!s.rings.count && !s.keeps.count && !s.possible.count) return false;
    kg_cost base = price(&s);
    if (!base.sync.loop_barriers) return false;
    remember(&s, base, &best);
    for (int i = 0; i < 4; i++) attempt(&s, i & 1, i & 2, &base, &best);
    recall(&s, &best);
    bool changed = best.cost.total < base.total;
    if (changed) prune(&s, best.cost, true);
    if (!changed) note_refused(&s, &base);
    apply(&s);
    return changed;
}

bool kg_pass_repair(kg_pass_context *context, kg_kernel *kernel)
{
    if (context->no_repair) return true;
    for (int round = 0; round < MOST_ROUNDS; round++)
        if (!improve(context, kernel)) break;
    return true;
}
