// SPDX-License-Identifier: MIT
// The verifier, roles: a mutable scalar is a register of every thread, so an assignment inside of a
// `warps` region changes it for those warps alone. Whoever uses it afterwards must be among them.
//
//   frag n: i32 = 0
//   warps 0 .. 2 {
//     n = 5          // warps 2 and 3 still hold 0
//   }
//   store y[n] = x   // KG-V205
//
// The order of the two does not matter here: a loop around them would turn it around. Tiles are the
// layout pass's concern: those do not cross a region at all.
#include "ir/access.h"
#include "ir/verify.h"

// By value id: the assignment that the fewest warps execute, or that leaves none in common with
// those before.
typedef struct assignments {
    kg_verifier *v;
    const kg_op **narrowest;
    kg_region *region; // the warps that execute every assignment
} assignments;

static bool is_tracked(const kg_verifier *v, const kg_value *value)
{
    return value && kg_is_mutable(value) && !value->type.rank && value->id >= 0 &&
           value->id < v->n_values;
}

static kg_region common(kg_region a, kg_region b)
{
    int first = a.first_warp > b.first_warp ? a.first_warp : b.first_warp;
    int a_last = a.first_warp + a.n_warps, b_last = b.first_warp + b.n_warps;
    int last = a_last < b_last ? a_last : b_last;
    return (kg_region){first, last > first ? last - first : 0};
}

static bool note_assignment(kg_op *op, void *user)
{
    assignments *all = user;
    if (op->code != KG_OP_ASSIGN || op->n_operands < 1) return true;
    const kg_value *value = op->operands[0];
    if (!is_tracked(all->v, value)) return true;
    kg_region here = kg_op_region(op), *known = &all->region[value->id];
    kg_region both = all->narrowest[value->id] ? common(*known, here) : here;
    if (!all->narrowest[value->id] || both.n_warps < known->n_warps) all->narrowest[value->id] = op;
    *known = both;
    return true;
}

static void report(kg_verifier *v, const kg_op *op, const kg_value *value, const kg_op *assignment)
{
    kg_region here = kg_op_region(op), there = kg_op_region(assignment);
    kg_diag *diag = kg_error(
        v->diags, KG_D_V205, op->loc,
        "scalar %s is used by warps %d to %d, which do not all execute each assignment to it",
        value->name ? value->name : "value", here.first_warp, here.first_warp + here.n_warps);
    kg_diag_note(v->diags, diag, assignment->loc, "assigned here, by warps %d to %d",
                 there.first_warp, there.first_warp + there.n_warps);
    kg_diag_help(v->diags, diag,
                 "every warp has a copy of its own: declare it in the region that uses it, or hand "
                 "it over through a shared buffer of one element");
}

static bool check_uses(kg_op *op, void *user)
{
    assignments *all = user;
    for (int i = op->code == KG_OP_ASSIGN; i < op->n_operands; i++) {
        const kg_value *value = op->operands[i];
        if (!is_tracked(all->v, value) || !all->narrowest[value->id]) continue;
        kg_region here = kg_op_region(op);
        if (common(here, all->region[value->id]).n_warps == here.n_warps) continue;
        report(all->v, op, value, all->narrowest[value->id]);
        all->narrowest[value->id] = NULL; // once
    }
    return true;
}

// ---- registers ----------------------------------------------------------------------------------
// The registers of a warpgroup are changed once: two regions in one warpgroup agree on them.
typedef struct warpgroups {
    kg_verifier *v;
    bool any; // the kernel has regions
    const kg_op *changed[8]; // the region that came first
} warpgroups;

static bool check_registers(kg_op *op, void *user)
{
    warpgroups *groups = user;
    if (op->code != KG_OP_WARPS) return true;
    groups->any = true;
    const kg_attr *registers = kg_op_attr(op, KG_A_REGISTERS);
    if (!registers) return true;
    int first = (int)kg_op_int(op, KG_A_FIRST, 0) / 4, last = (int)kg_op_int(op, KG_A_LAST, 0);
    for (int group = first; 4 * group < last && group < 8; group++) {
        const kg_op *other = groups->changed[group];
        groups->changed[group] = op;
        if (!other || kg_op_int(other, KG_A_REGISTERS, 0) == registers->i) continue;
        kg_diag *diag = kg_error(groups->v->diags, KG_D_V205, op->loc,
                                 "warps %d to %d are one warpgroup and have the same registers",
                                 4 * group, 4 * group + 4);
        kg_diag_note(groups->v->diags, diag, other->loc, "registers=%lld here, %lld there",
                     (long long)kg_op_int(other, KG_A_REGISTERS, 0), (long long)registers->i);
        return true;
    }
    return true;
}

void kg_verify_roles(kg_verifier *v)
{
    warpgroups groups = {.v = v};
    kg_walk(v->kernel->body, check_registers, &groups);
    if (!groups.any) return; // all warps go everywhere
    assignments all = {.v = v};
    all.narrowest = KG_NEW_ARRAY(v->diags->arena, const kg_op *, v->n_values);
    all.region = KG_NEW_ARRAY(v->diags->arena, kg_region, v->n_values);
    kg_walk(v->kernel->body, note_assignment, &all);
    kg_walk(v->kernel->body, check_uses, &all);
}
