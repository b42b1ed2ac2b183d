// SPDX-License-Identifier: MIT
// pingpong: warpgroups that share a program issue their products by turns, so that the tensor cores
// work for one while the others compute.
//
// Needs: level laid_out, products on wgmma, a `schedule` with `pingpong 1`. Batons of the author's
//   get their barriers here as well (baton.c), whatever the schedule.
// Guarantees: in loops of a role of several warpgroups that multiply and compute from the product,
//   a warpgroup issues the products of a trip when it has the baton, and passes it on behind the
//   last of them. All warpgroups of the role make the same trips, so the baton comes round.
// Never: orders memory by it (the sync pass derives what is owed as if there were no batons), or
//   changes what is computed. A kernel without such a loop is an error that says why, a warning
//   with `fallback 1`.
//
//   for j in 0 .. n {                      for j in 0 .. n {
//                                            baton_wait 0         // warpgroup 0, 1, 0, 1, ..
//     s = wgmma(q, k[j + 1], 0.0)            s = wgmma(q, k[j + 1], 0.0)
//     acc = wgmma(p, v[j], acc)         =>   acc = wgmma(p, v[j], acc)
//                                            baton_pass 0
//     p = exp2(s - peak)                     p = exp2(s - peak)   // while the other one multiplies
//   }                                      }
#include "passes/baton.h"

#include "ir/access.h"
#include "passes/pass_list.h"
#include "passes/rewrite.h"

typedef struct misfit {
    const char *reason; // NULL: it fits
    kg_loc loc;
    const char *help;
} misfit;

// ---- what a trip does ---------------------------------------------------------------------------
static bool makes_fragment(const kg_op *op)
{
    return op->n_results && op->results[0]->type.home == KG_HOME_FRAG &&
           op->results[0]->type.rank > 0;
}

// Gives the result of a product its name, or hands it on as it is.
static bool renames(const kg_op *op)
{
    const kg_value *value = op->code == KG_OP_ASSIGN ? op->operands[1]
                            : op->code == KG_OP_FRAG ? op->operands[0]
                                                     : NULL;
    return value && value->kind == KG_VALUE_RESULT && value->op->code == KG_OP_WGMMA;
}

static bool uses_product(const kg_op *op)
{
    for (int i = 0; i < op->n_operands; i++) {
        const kg_value *v = op->operands[i];
        if (v->kind == KG_VALUE_RESULT && v->op->code == KG_OP_WGMMA) return true;
    }
    return false;
}

// Its first and last product, and the last op that only names that one's result.
static void find_products(const kg_block *body, kg_op **first, kg_op **last)
{
    *first = *last = NULL;
    for (kg_op *op = body->first; op; op = op->next) {
        if (op->code != KG_OP_WGMMA) continue;
        if (!*first) *first = op;
        *last = op;
    }
    if (*last && (*last)->next && renames((*last)->next)) *last = (*last)->next;
}

// Between its products a trip computes from the first of them: the baton would be held meanwhile.
static bool waits_between(const kg_op *first, const kg_op *last)
{
    for (const kg_op *op = first; op != last; op = op->next) {
        bool chained = op->code == KG_OP_WGMMA;
        if (!renames(op) && !chained && uses_product(op)) return true;
        if (op->n_blocks) return true;
    }
    return false;
}

static bool computes_behind(const kg_op *last)
{
    for (const kg_op *op = last->next; op; op = op->next)
        if (op->n_blocks || (makes_fragment(op) && !renames(op))) return true;
    return false;
}

// ---- loops --------------------------------------------------------------------------------------
typedef struct player {
    kg_pass_context *context;
    kg_kernel *kernel;
    int batons, loops;
    misfit first; // why the first loop with products does not fit
} player;

static void refuse(player *p, kg_loc loc, const char *reason, const char *help)
{
    if (!p->first.reason) p->first = (misfit){reason, loc, help};
}

static bool fits(player *p, const kg_op *loop, const kg_op *first, const kg_op *last)
{
    kg_region region = kg_op_region(loop);
    if (region.n_warps < 8 || region.n_warps % 4 || region.first_warp % 4)
        refuse(p, loop->loc, "the products of this loop are of one warpgroup",
               "`warps 8` gives the consumers two, which can take turns");
    else if (waits_between(first, last))
        refuse(p, last->loc, "the trip computes from its first product before it issues the last",
               "`overlap 1` puts the two together");
    else if (!computes_behind(last))
        refuse(p, last->loc, "a trip computes nothing but its products",
               "leave out `pingpong`: the tensor cores are busy without it");
    else
        return true;
    return false;
}

static void make(const kg_place *place, kg_opcode code, int baton)
{
    kg_op_set_int(place->kernel, kg_make(place, code, 0, NULL), KG_A_BATON, baton);
}

static bool play(kg_op *loop, void *user)
{
    player *p = user;
    kg_op *first, *last;
    if (loop->code != KG_OP_FOR) return true;
    find_products(loop->blocks[0], &first, &last);
    if (!first) return true;
    p->loops++;
    if (!fits(p, loop, first, last)) return true;
    int baton = p->batons++;
    kg_place before = kg_place_before(p->kernel, first), behind = before;
    make(&before, KG_OP_BATON_WAIT, baton);
    behind.block = loop->blocks[0];
    behind.before = last->next;
    make(&behind, KG_OP_BATON_PASS, baton);
    return true;
}

static bool note_baton(kg_op *op, void *user)
{
    if (kg_is_baton(op)) *(bool *)user = true;
    return true;
}

static void report(player *p, const kg_schedule *schedule)
{
    kg_diags *diags = p->context->diags;
    kg_diag *diag =
        schedule->fallback
            ? kg_warn(diags, KG_D_L305, schedule->loc,
                      "warpgroups of kernel '%s' take no turns: no loop fits", p->kernel->name)
            : kg_error(diags, KG_D_L305, schedule->loc, "the schedule of kernel '%s' cannot be met",
                       p->kernel->name);
    kg_diag_note(diags, diag, p->first.loc, "%s", p->first.reason);
    kg_diag_help(diags, diag, "%s", p->first.help);
}

// ---- the pass -----------------------------------------------------------------------------------
bool kg_pass_pingpong(kg_pass_context *context, kg_kernel *kernel)
{
    kg_schedule schedule = kernel->schedule;
    player p = {.context = context, .kernel = kernel};
    bool by_hand = false;
    kg_walk(kernel->body, note_baton, &by_hand);
    // Not on this target, or not as the pass specialize was asked to.
    if (schedule.pingpong && context->machine->wgmma && !schedule.producers) {
        kernel->schedule.pingpong = kernel->schedule.fallback = 0;
        if (by_hand)
            refuse(&p, schedule.loc, "its author says by `baton_wait` whose turn it is",
                   "leave out `pingpong`");
        else
            kg_walk(kernel->body, play, &p);
        if (!p.loops)
            refuse(&p, schedule.loc, "no loop has products that run on wgmma",
                   "`producers 1` puts products there");
        if (!p.batons) report(&p, &schedule);
        if (!p.batons && !schedule.fallback) return false;
    }
    return !(by_hand || p.batons) || kg_give_barriers(context, kernel);
}
