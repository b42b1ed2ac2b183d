// SPDX-License-Identifier: MIT
// Pass sync: derives what must be ordered and inserts barriers, warp syncs, waits and commits.
//
// Needs: level placed (layouts, offsets; copies asynchronous where the pipeline made them so).
// Guarantees: every pair of accesses that may touch the same byte from different threads, one of
// them
//   writing, is ordered on every path; every copy is complete before its bytes are used; every
//   synchronization has an id (S1, S2, ... in program order) and says which obligations it
//   discharges.
// Never: moves or removes an access, or a synchronization that the author wrote.
//
//   for k in 0 .. n {                        for k in 0 .. n {
//     copy_async sa[k+2; ..] = ...             wait 1            {sync=1, why=[4, 9]}
//     commit                                   barrier           {sync=2, why=[4, 9, 11]}
//     acc = dot(sa[k; ..], ...)                copy_async sa[k+2; ..] = ...
//   }                                          commit            {sync=3}
//                                              acc = dot(sa[k; ..], ...)
//                                            }
#include "passes/sync/sync.h"
#include "passes/pass_list.h"
#include "passes/sync/checks.h"
#include "passes/sync/materialize.h"
#include "passes/sync/phases.h"

void kg_sync_report_unmet(const kg_sync_program *p, const kg_obligations *o,
                          const kg_sync_plan *plan, kg_diags *diags)
{
    int told = -1;
    for (int i = 0; i < o->count; i++) {
        const kg_obligation *x = &o->items[i];
        if (x->found_by_hand || x->by_author || kg_points_meet(p, plan->cuts[i], plan->cuts[i]) ||
            x->a == told)
            continue;
        const kg_op *a = p->accesses.items[x->a].at.op, *b = p->accesses.items[x->b].at.op;
        told = x->a;
        kg_diag *d = kg_error(
            diags, x->wait ? KG_D_S503 : KG_D_S501, b->loc,
            x->wait ? "what a copy brings is used before its group is committed"
                    : "no synchronization can order this after the access that it depends on");
        kg_diag_note(diags, d, a->loc, "%s", x->wait ? "the copy" : "the other access");
    }
}

static bool note_by_hand(kg_op *op, void *user)
{
    bool *found = user;
    *found |= kg_sync_mbarrier(op) && kg_op_int(op, KG_A_BY_HAND, 0);
    return !*found;
}

// The author's mbarriers, with all that was derived around them.
static void check_phases(kg_pass_context *context, kg_kernel *kernel)
{
    bool by_hand = false;
    kg_obligations obligations = {0};
    kg_walk(kernel->body, note_by_hand, &by_hand);
    if (!by_hand) return;
    kg_sync_program *p = kg_sync_program_build(context->arena, kernel, true);
    kg_obligations_derive(p, &obligations);
    kg_sync_check_roles(p, &obligations, context->diags);
    if (p->has_phases) kg_sync_play_handshakes(p, &obligations, NULL, context->diags);
}

bool kg_sync_derive(kg_pass_context *context, kg_kernel *kernel, kg_sync_report *report)
{
    int errors = context->diags->errors;
    kg_obligations obligations = {0};
    kg_sync_plan plan;
    kg_sync_commit_copies(kernel);
    kg_sync_program *p = kg_sync_program_rebuild(context->arena, kernel, context->footprints);
    kg_sync_check_hand_written(p, context->diags);
    kg_sync_check_flags(p, context->diags);
    kg_sync_check_contents(p, context->diags);
    kg_obligations_derive(p, &obligations);
    kg_sync_check_roles(p, &obligations, context->diags);
    if (context->diags->errors > errors) return false;
    for (int i = 0; i < obligations.count; i++) obligations.items[i].number = i + 1;
    kg_sync_plan_make(p, &obligations, NULL, &plan);
    kg_sync_report_unmet(p, &obligations, &plan, context->diags);
    kg_op **op_at = KG_NEW_ARRAY(context->arena, kg_op *, p->n_points + 1);
    if (context->diags->errors > errors ||
        !kg_sync_insert(p, &obligations, &plan, op_at, context->diags))
        return false;
    kg_sync_outcome outcome = {.p = p, .o = &obligations, .plan = &plan, .op_at = op_at};
    kg_sync_number(&outcome);
    if (report) kg_sync_record(&outcome, report);
    check_phases(context, kernel);
    return context->diags->errors == errors;
}

bool kg_pass_sync(kg_pass_context *context, kg_kernel *kernel)
{
    return kg_sync_derive(context, kernel, context->sync_report);
}
