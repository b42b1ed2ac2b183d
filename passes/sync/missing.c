// SPDX-License-Identifier: MIT
// Says what the author's synchronization leaves open: the pair, two threads, the byte, the loop
// that carries it, and what to write where.
#include "passes/sync/judge.h"
#include "passes/sync/phrase.h"

bool kg_judged_open(const kg_judgement *j, int obligation)
{
    const kg_obligation *x = &j->o.items[obligation];
    return !x->found_by_hand && !x->by_author && !j->left[obligation] &&
           kg_author_owns(j->author, j->p, x);
}

// ---- what to put where --------------------------------------------------------------------------
// The point of the plan that meets the obligation; else one that adds to what meets it; else the
// one in front of b.
int kg_judged_point(const kg_judgement *j, int obligation)
{
    const kg_obligation *x = &j->o.items[obligation];
    const kg_sync_plan *plan = &j->plan;
    int helps = -1;
    for (int i = 0; i < j->p->n_points; i++) {
        if (!kg_points_has(plan->cuts[obligation], i)) continue;
        bool barrier = kg_points_has(plan->barrier, i) || kg_points_has(plan->hand, i);
        bool warp = kg_points_has(plan->warp_sync, i) || kg_points_has(plan->hand_warp, i);
        bool meets = x->meet == KG_MEET_NONE || barrier || (x->meet == KG_MEET_WARP && warp);
        if (meets && (!x->wait || kg_sync_any_wait(plan, i))) return i;
        if (kg_sync_any_wait(plan, i) || kg_points_has(plan->barrier, i) ||
            kg_points_has(plan->warp_sync, i))
            helps = i;
    }
    const kg_sync_node *b = kg_sync_node_at(j->p, j->p->accesses.items[x->b].node);
    return helps >= 0 ? helps : kg_sync_block_at(j->p, b->block)->first_point + b->position;
}

static const char *what_at(const kg_judgement *j, const kg_obligation *x, int point)
{
    const kg_sync_plan *plan = &j->plan;
    const kg_sync_waits *copies = &plan->waits[KG_GROUP_COPY];
    if (!kg_points_has(copies->at, point) && !kg_points_has(plan->barrier, point) &&
        !kg_points_has(plan->warp_sync, point))
        return x->meet == KG_MEET_CTA    ? (x->wait ? "wait 0; barrier" : "barrier")
               : x->meet == KG_MEET_WARP ? (x->wait ? "wait 0; warp_sync" : "warp_sync")
                                         : "wait 0";
    const int8_t *ids = plan->ids[point];
    const char *barrier = ids ? kg_say_groups(j->p->arena, ids, j->p->kernel->warps) : "barrier";
    const char *meet = kg_points_has(plan->barrier, point)     ? barrier
                       : kg_points_has(plan->warp_sync, point) ? "warp_sync"
                                                               : NULL;
    if (!kg_points_has(copies->at, point)) return meet ? meet : "";
    const char *wait = kg_arena_printf(j->p->arena, "wait %d", copies->count[point]);
    return meet ? kg_arena_printf(j->p->arena, "%s; %s", wait, meet) : wait;
}

// A wait of the author's that would meet the obligation if it left fewer groups, and how many.
static const kg_hand_sync *too_loose(const kg_judgement *j, int obligation, int *count)
{
    const kg_sync_program *p = j->p;
    if (!j->o.items[obligation].wait) return NULL;
    bool *met = KG_NEW_ARRAY(p->arena, bool, j->o.count + 1);
    for (int i = 0; i < j->syncs.count; i++) {
        const kg_hand_sync *s = &j->syncs.items[i];
        for (*count = s->count - 1; s->op->code == KG_OP_WAIT && *count >= 0; --*count) {
            int *state = kg_sync_hand_state(p);
            kg_sync_plan plan = {.hand_state = state,
                                 .hand = kg_points_new(p),
                                 .hand_warp = kg_points_new(p),
                                 .barrier = kg_points_new(p),
                                 .warp_sync = kg_points_new(p)};
            for (int g = 0; g < KG_GROUPS; g++) plan.waits[g].at = kg_points_new(p);
            for (int k = 0; k < s->n_nodes; k++) state[s->nodes[k]] = *count;
            kg_sync_hand_find(p, &plan);
            kg_sync_hand_meets(p, &j->o, &plan, met);
            if (met[obligation]) return s;
        }
    }
    return NULL;
}

// What to write where, as a sentence.
static const char *advice(const kg_judgement *j, int obligation)
{
    int count, point = kg_judged_point(j, obligation);
    const kg_hand_sync *loose = too_loose(j, obligation, &count);
    if (loose)
        return kg_arena_printf(j->p->arena, "write `wait %d` in line %d", count,
                               loose->op->loc.line);
    return kg_arena_printf(j->p->arena, "put `%s` %s", what_at(j, &j->o.items[obligation], point),
                           kg_say_place(j->p, point));
}

static void help(const kg_judgement *j, const kg_obligation *x, const char *what, kg_diags *diags,
                 kg_diag *d)
{
    const kg_sync_access *a = &j->p->accesses.items[x->a], *b = &j->p->accesses.items[x->b];
    const char *apart = a->at.root != b->at.root && !a->global
                            ? ", or keep the two buffers apart with --no-share"
                            : "";
    kg_diag_help(diags, d, "%s%s", what, apart);
}

// ---- the pair -----------------------------------------------------------------------------------
static const char *distances(const kg_judgement *j, const kg_obligation *x)
{
    const char *text = "";
    int n = 0;
    for (int d = 1; d <= 64 && n < 4; d++)
        if (x->distances >> (d - 1) & 1)
            text = kg_arena_printf(j->p->arena, "%s%s%d", text, n++ ? ", " : "", d);
    return n == 4 ? kg_arena_printf(j->p->arena, "%s, ...", text) : text;
}

static void note_places(const kg_judgement *j, const kg_obligation *x, kg_diags *diags, kg_diag *d)
{
    const kg_sync_access *a = &j->p->accesses.items[x->a];
    int here, there;
    if (kg_find_witnesses(j->p, x, &there, &here))
        kg_diag_note(diags, d, a->at.op->loc,
                     "the %s of %s: thread %d here and thread %d above meet at byte %lld of shared "
                     "memory",
                     kg_say_deed(a), kg_say_root(j->p, a), there, here, (long long)x->byte);
    else
        kg_diag_note(diags, d, a->at.op->loc, "the %s of %s, by threads of %s", kg_say_deed(a),
                     kg_say_root(j->p, a),
                     x->meet == KG_MEET_CTA ? "other warps too" : "the same warp");
    if (x->carrier < 0) return;
    const kg_op *loop = kg_sync_node_at(j->p, kg_sync_block_at(j->p, x->carrier)->owner)->op;
    kg_diag_note(diags, d, loop->loc, "this loop carries it, at distances %s", distances(j, x));
}

static const char *sentence(const kg_judgement *j, const kg_obligation *x)
{
    const kg_sync_access *a = &j->p->accesses.items[x->a], *b = &j->p->accesses.items[x->b];
    const char *other = a->at.root == b->at.root
                            ? ""
                            : kg_arena_printf(j->p->arena, " of %s%s", kg_say_root(j->p, a),
                                              a->global ? "" : " on the same bytes");
    return kg_arena_printf(j->p->arena, "nothing %s the %s%s at line %d%s before this %s of %s",
                           x->wait ? "completes" : "orders", kg_say_deed(a), other,
                           a->at.op->loc.line, kg_say_trips(j->p, x, "earlier,"), kg_say_deed(b),
                           kg_say_root(j->p, b));
}

static bool told(const kg_judgement *j, int obligation)
{
    const kg_obligation *x = &j->o.items[obligation];
    const kg_sync_access *a = &j->p->accesses.items[x->a], *b = &j->p->accesses.items[x->b];
    for (int i = 0; i < obligation; i++) {
        const kg_obligation *y = &j->o.items[i];
        const kg_sync_access *c = &j->p->accesses.items[y->a], *d = &j->p->accesses.items[y->b];
        if (kg_judged_open(j, i) && y->carrier == x->carrier && c->at.root == a->at.root &&
            d->at.root == b->at.root && c->at.op->loc.line == a->at.op->loc.line &&
            d->at.op->loc.line == b->at.op->loc.line)
            return true;
    }
    return false;
}

static void missing_commits(kg_judgement *j, kg_diags *diags, bool by_hand)
{
    for (int i = 0; i < j->n_commits; i++) {
        const kg_loc loc = j->commits[i]->loc;
        kg_judge_add(
            j, (kg_judged){KG_JUDGED_MISSING,
                           kg_arena_printf(j->p->arena, "put `commit` behind line %d", loc.line),
                           "the group of this copy is closed nowhere", loc.line, loc.column});
        if (!by_hand) continue;
        kg_diag *d = kg_error(diags, KG_D_S505, loc, "the group of this copy is closed nowhere");
        kg_diag_help(diags, d, "put `commit` behind line %d", loc.line);
    }
}

void kg_judge_missing(kg_judgement *j, kg_diags *diags, bool by_hand)
{
    missing_commits(j, diags, by_hand);
    for (int i = 0; i < j->o.count; i++) {
        const kg_obligation *x = &j->o.items[i];
        if (!kg_judged_open(j, i) || told(j, i)) continue;
        const kg_loc loc = j->p->accesses.items[x->b].at.op->loc;
        const char *text = sentence(j, x), *what = advice(j, i);
        kg_judge_add(j, (kg_judged){KG_JUDGED_MISSING, what, text, loc.line, loc.column});
        if (!by_hand) continue;
        kg_diag *d = kg_error(diags, KG_D_S505, loc, "%s", text);
        note_places(j, x, diags, d);
        help(j, x, what, diags, d);
    }
}
