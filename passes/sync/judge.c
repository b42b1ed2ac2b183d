// SPDX-License-Identifier: MIT
// Judges the author's synchronization. See judge.h.
//
// Missing: what is open with all that the author wrote, between accesses of buffers that stand in
// the text. Redundant: what redundant.c takes away; the proof names, for each pair that the sync
// stands between, another one that stays and stands between them as well.
#include "passes/sync/judge.h"
#include "passes/sync/checks.h"
#include "passes/sync/materialize.h"
#include "passes/sync/phrase.h"
#include "passes/sync/sync.h"

#include <string.h>

enum { PROOF_LINES = 6 };

void kg_judge_add(kg_judgement *j, kg_judged item)
{
    KG_PUSH(j->p->arena, &j->found, item);
    j->n[item.kind]++;
}

// ---- commits that we add ------------------------------------------------------------------------
typedef struct commit_list {
    kg_arena *arena;
    kg_op **items;
    int count, capacity;
} commit_list;

static bool list_commit(kg_op *op, void *user)
{
    commit_list *list = user;
    if (op->code == KG_OP_COMMIT) KG_PUSH(list->arena, list, op);
    return true;
}

static void close_groups(kg_arena *arena, kg_kernel *kernel, kg_judgement *out)
{
    commit_list before = {.arena = arena}, after = {.arena = arena};
    kg_walk(kernel->body, list_commit, &before);
    kg_sync_commit_copies(kernel);
    kg_walk(kernel->body, list_commit, &after);
    out->commits = KG_NEW_ARRAY(arena, kg_op *, after.count + 1);
    for (int i = 0, k = 0; i < after.count; i++) {
        if (k < before.count && before.items[k] == after.items[i])
            k++;
        else
            out->commits[out->n_commits++] = after.items[i];
    }
}

// ---- what the compiler adds anyway --------------------------------------------------------------
void kg_judge_left(kg_judgement *j, const int *state)
{
    kg_sync_program *p = j->p;
    kg_obligations own = {.items = KG_NEW_ARRAY(p->arena, kg_obligation, j->o.count + 1),
                          .count = j->o.count};
    if (own.count) memcpy(own.items, j->o.items, sizeof *own.items * (size_t)own.count);
    for (int i = 0; i < own.count; i++)
        own.items[i].by_author |= kg_author_owns(j->author, p, &own.items[i]);
    kg_sync_plan plan;
    kg_sync_plan_make(p, &own, state, &plan);
    for (int i = 0; i < kg_points_words(p); i++) {
        plan.hand.words[i] |= plan.barrier.words[i];
        plan.hand_warp.words[i] |= plan.warp_sync.words[i];
    }
    j->left = KG_NEW_ARRAY(p->arena, bool, j->o.count + 1);
    kg_sync_hand_meets(p, &j->o, &plan, j->left);
}

// ---- proof --------------------------------------------------------------------------------------
static int point_of(const kg_sync_program *p, int node)
{
    const kg_sync_node *n = kg_sync_node_at(p, node);
    return kg_sync_block_at(p, n->block)->first_point + n->position;
}

// The sync stands on paths of the obligation and could meet it.
static bool stands_between(const kg_judgement *j, const kg_hand_sync *s, int obligation)
{
    const kg_obligation *x = &j->o.items[obligation];
    kg_opcode code = s->op->code;
    if ((code == KG_OP_WAIT && !x->wait) || (code == KG_OP_WARP_SYNC && x->meet == KG_MEET_CTA) ||
        (code != KG_OP_WAIT && x->meet == KG_MEET_NONE))
        return false;
    for (int i = 0; i < s->n_nodes; i++)
        if (kg_points_has(j->plan.cuts[obligation], point_of(j->p, s->nodes[i]))) return true;
    return false;
}

static const kg_hand_sync *other_between(const kg_judgement *j, const kg_hand_sync *s,
                                         int obligation)
{
    for (int i = 0; i < j->syncs.count; i++) {
        const kg_hand_sync *k = &j->syncs.items[i];
        bool waits = (k->op->code == KG_OP_WAIT) == (s->op->code == KG_OP_WAIT);
        if (k != s && !k->redundant && waits && stands_between(j, k, obligation)) return k;
    }
    return NULL;
}

// Lines of one pair say the same.
static bool same_pair(const kg_judgement *j, int a, int b)
{
    const kg_sync_access *list = j->p->accesses.items;
    const kg_obligation *x = &j->o.items[a], *y = &j->o.items[b];
    return x->carrier == y->carrier && list[x->a].at.op->loc.line == list[y->a].at.op->loc.line &&
           list[x->b].at.op->loc.line == list[y->b].at.op->loc.line;
}

static bool proved_before(const kg_judgement *j, const kg_hand_sync *s, int obligation)
{
    for (int i = 0; i < obligation; i++)
        if (j->o.items[i].found_by_hand && stands_between(j, s, i) && same_pair(j, i, obligation))
            return true;
    return false;
}

// How many points would do: few say most about the sync.
static int width(const kg_judgement *j, int obligation)
{
    int n = 0;
    for (int i = 0; i < kg_points_words(j->p); i++)
        n += __builtin_popcountll(j->plan.cuts[obligation].words[i]);
    return n;
}

static void note_pair(const kg_judgement *j, const kg_hand_sync *s, int obligation, kg_diags *diags,
                      kg_diag *d)
{
    const kg_hand_sync *other = other_between(j, s, obligation);
    const char *pair = kg_say_pair(j->p, &j->o.items[obligation]);
    if (other)
        kg_diag_note(diags, d, other->op->loc, "this %s also stands between %s",
                     kg_op_info_of(other->op->code)->name, pair);
    else
        kg_diag_note(diags, d, (kg_loc){0}, "others stand on each path between %s", pair);
}

static void prove(const kg_judgement *j, const kg_hand_sync *s, kg_diags *diags, kg_diag *d)
{
    int shown[PROOF_LINES], n = 0, pairs = 0;
    for (int i = 0; i < j->o.count; i++) {
        if (!j->o.items[i].found_by_hand || !stands_between(j, s, i) || proved_before(j, s, i))
            continue;
        pairs++;
        int k = n < PROOF_LINES ? n++ : n - 1;
        if (k == n - 1 && pairs > PROOF_LINES && width(j, shown[k]) <= width(j, i)) continue;
        for (; k > 0 && width(j, shown[k - 1]) > width(j, i); k--) shown[k] = shown[k - 1];
        shown[k] = i;
    }
    for (int i = 0; i < n; i++) note_pair(j, s, shown[i], diags, d);
    if (pairs > n) kg_diag_note(diags, d, (kg_loc){0}, "and %d more pairs", pairs - n);
}

// ---- verdicts -----------------------------------------------------------------------------------
static bool orders_anything(const kg_judgement *j, const kg_hand_sync *s)
{
    for (int i = 0; i < j->o.count; i++)
        if (j->o.items[i].found_by_hand && stands_between(j, s, i)) return true;
    return false;
}

static void report_redundant(kg_judgement *j, const kg_hand_sync *s, kg_diags *diags)
{
    const char *name = kg_say_sync(j->p->arena, s->op), *text;
    if (!orders_anything(j, s))
        text = kg_arena_printf(
            j->p->arena, "this %s orders nothing: no access before it conflicts with one after it",
            name);
    else
        text =
            kg_arena_printf(j->p->arena, "this %s orders nothing that others do not order", name);
    kg_judge_add(j,
                 (kg_judged){KG_JUDGED_REDUNDANT, name, text, s->op->loc.line, s->op->loc.column});
    kg_diag *d = kg_warn(diags, KG_D_S506, s->op->loc, "%s", text);
    prove(j, s, diags, d);
    kg_diag_help(diags, d, "remove it");
}

static void report_strict(kg_judgement *j, const kg_hand_sync *s, kg_diags *diags)
{
    const char *text =
        kg_arena_printf(j->p->arena,
                        "wait %d is stricter than needed: all that is used behind it is complete "
                        "when %d groups are still in flight",
                        s->count, s->needed);
    kg_judge_add(j,
                 (kg_judged){KG_JUDGED_STRICT, kg_arena_printf(j->p->arena, "wait %d", s->needed),
                             text, s->op->loc.line, s->op->loc.column});
    kg_diag *d = kg_warn(diags, KG_D_S507, s->op->loc, "%s", text);
    kg_diag_help(diags, d, "write `wait %d`", s->needed);
}

// A sync that orders nothing as things are, but will once what is missing stands in front of it.
static void keep_what_will_serve(kg_judgement *j)
{
    for (int i = 0; i < j->o.count; i++) {
        int point = kg_judged_open(j, i) ? kg_judged_point(j, i) : -1;
        for (int k = 0; k < j->syncs.count && point >= 0; k++) {
            kg_hand_sync *s = &j->syncs.items[k];
            for (int n = 0; n < s->n_nodes && s->redundant; n++)
                s->redundant = point_of(j->p, s->nodes[n]) != point;
            for (int n = 0; n < s->n_nodes && !s->redundant; n++)
                if (j->syncs.state[s->nodes[n]] == KG_HAND_OFF)
                    j->syncs.state[s->nodes[n]] = s->count;
        }
    }
}

// What the copy engine and the tensor core do in the background is derived and proved, but an
// author's mbarriers, and waits for such work, are not weighed against each other.
static bool can_be_judged(const kg_sync_program *p, kg_diags *diags)
{
    if (!p->has_phases && !p->has_async[KG_GROUP_WGMMA] && !p->has_async[KG_GROUP_BULK])
        return true;
    kg_diag *d =
        kg_error(diags, KG_D_S511, p->kernel->loc,
                 "kernel '%s' has bulk copies or wgmma: what is redundant among mbarriers, "
                 "and waits for these, is not judged",
                 p->kernel->name);
    kg_diag_help(diags, d,
                 "`kgen build` derives what is missing, plays what is written by hand "
                 "through, and proves the whole");
    return false;
}

bool kg_sync_judge(kg_pass_context *context, kg_kernel *kernel, const kg_author *author,
                   bool by_hand, kg_judgement *out)
{
    int errors = context->diags->errors;
    *out = (kg_judgement){.author = author};
    close_groups(context->arena, kernel, out);
    kg_sync_program *p = out->p = kg_sync_program_build(context->arena, kernel, true);
    if (!can_be_judged(p, context->diags)) return false;
    kg_sync_check_hand_written(p, context->diags);
    kg_sync_check_flags(p, context->diags);
    kg_sync_check_contents(p, context->diags);
    kg_obligations_derive(p, &out->o);
    kg_sync_check_roles(p, &out->o, context->diags);
    if (context->diags->errors > errors) return false;
    for (int i = 0; i < out->o.count; i++) out->o.items[i].number = i + 1;
    kg_sync_hand_prune(p, &out->o, &out->syncs);
    kg_judge_left(out, NULL);
    kg_sync_plan_make(p, &out->o, NULL, &out->plan);
    kg_sync_report_unmet(p, &out->o, &out->plan, context->diags);
    if (context->diags->errors > errors) return false;
    keep_what_will_serve(out);
    kg_judge_missing(out, context->diags, by_hand);
    for (int i = 0; i < out->syncs.count; i++) {
        const kg_hand_sync *s = &out->syncs.items[i];
        if (s->redundant)
            report_redundant(out, s, context->diags);
        else if (s->op->code == KG_OP_WAIT && s->needed > s->count)
            report_strict(out, s, context->diags);
    }
    return true;
}
