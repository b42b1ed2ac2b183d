// SPDX-License-Identifier: MIT
// Barriers for batons.
//
// The warpgroups that use a baton, in the order of their numbers, have a hardware barrier each, at
// which it waits for the baton and the one before it passes it on. The first has the baton at the
// start: the last one passes it once in front of all it does. What is passed last nobody takes;
// barriers are the CTA's and end with it.
//
//   warps 0 .. 8 {                  warps 0 .. 8 {
//                                     baton_pass 0 {ids=[0, 1]}    // warpgroup 1, to 0
//     for .. {                        for .. {
//       baton_wait 0            =>      baton_wait 0 {ids=[1, 2]}
//       ..                              ..
//       baton_pass 0                    baton_pass 0 {ids=[2, 1]}
//     }                               }
//   }                               }
#include "passes/baton.h"

#include "ir/access.h"
#include "passes/rewrite.h"

enum { BATONS = 8, GROUPS = 8, IDS = 16 };

typedef struct baton {
    uint32_t groups;         // who uses it, by number of the warpgroup
    kg_op *waits;            // the first op that waits for it
    kg_op *opens;            // the first region of its last warpgroup
    bool done;               // has barriers
    int64_t id_of[GROUPS];   // where a warpgroup waits
    int64_t next_of[GROUPS]; // where it passes to
} baton;

typedef struct giver {
    kg_pass_context *context;
    kg_kernel *kernel;
    uint32_t taken; // ids
    baton batons[BATONS];
} giver;

static kg_op *region_around(const kg_op *op)
{
    kg_op *owner = op->parent->owner;
    while (owner && owner->code != KG_OP_WARPS) owner = owner->parent->owner;
    return owner;
}

static uint32_t groups_of(const kg_op *op)
{
    kg_region region = kg_op_region(op);
    return ((UINT32_C(1) << region.n_warps / 4) - 1) << region.first_warp / 4;
}

static bool collect(kg_op *op, void *user)
{
    giver *g = user;
    const kg_attr *ids = kg_op_attr(op, KG_A_IDS);
    for (int i = 0; ids && i < ids->count; i++) g->taken |= UINT32_C(1) << (ids->ints[i] & 15);
    if (op->code == KG_OP_BARRIER || op->code == KG_OP_ARRIVE)
        g->taken |= UINT32_C(1) << (kg_op_int(op, KG_A_ID, 0) & 15);
    if (!kg_is_baton(op)) return true;
    baton *b = &g->batons[kg_op_int(op, KG_A_BATON, 0) & (BATONS - 1)];
    b->groups |= groups_of(op);
    b->done |= ids != NULL;
    if (!b->waits) b->waits = op;
    return true;
}

static bool find_opening(kg_op *op, void *user)
{
    giver *g = user;
    if (!kg_is_baton(op)) return true;
    baton *b = &g->batons[kg_op_int(op, KG_A_BATON, 0) & (BATONS - 1)];
    uint32_t here = groups_of(op), last = UINT32_C(1) << (31 - __builtin_clz(b->groups));
    if (here & last && !b->opens) b->opens = region_around(op);
    return true;
}

static bool choose_ids(giver *g, baton *b)
{
    int first = -1, before = -1;
    for (int group = 0; group < GROUPS; group++) {
        if (!(b->groups >> group & 1)) continue;
        int id = 1;
        while (id < IDS && g->taken >> id & 1) id++;
        if (id == IDS) {
            kg_error(g->context->diags, KG_D_S503, b->waits->loc,
                     "more than 15 named barriers are needed: each warpgroup that uses a baton "
                     "has one of its own");
            return false;
        }
        g->taken |= UINT32_C(1) << id;
        b->id_of[group] = id;
        if (before >= 0) b->next_of[before] = id;
        if (first < 0) first = group;
        before = group;
    }
    b->next_of[before] = b->id_of[first];
    return true;
}

static void set_ids(giver *g, kg_op *op, const int64_t *of, uint32_t who)
{
    kg_region region = kg_op_region(op);
    int64_t ids[GROUPS] = {0};
    for (int i = 0; i < region.n_warps / 4; i++)
        if (who >> (region.first_warp / 4 + i) & 1) ids[i] = of[region.first_warp / 4 + i];
    kg_op_set_ints(g->kernel, op, KG_A_IDS, region.n_warps / 4, ids);
}

static bool mark(kg_op *op, void *user)
{
    giver *g = user;
    if (!kg_is_baton(op) || kg_op_attr(op, KG_A_IDS)) return true;
    const baton *b = &g->batons[kg_op_int(op, KG_A_BATON, 0) & (BATONS - 1)];
    set_ids(g, op, op->code == KG_OP_BATON_WAIT ? b->id_of : b->next_of, b->groups);
    return true;
}

static void open_baton(giver *g, const baton *b, int number)
{
    kg_place start = kg_place_before(g->kernel, b->opens->blocks[0]->first);
    kg_op *pass = kg_make(&start, KG_OP_BATON_PASS, 0, NULL);
    kg_op_set_int(g->kernel, pass, KG_A_BATON, number);
    set_ids(g, pass, b->next_of, UINT32_C(1) << (31 - __builtin_clz(b->groups)));
}

static bool check(giver *g, const baton *b, int number)
{
    kg_diags *diags = g->context->diags;
    if (!(b->groups & (b->groups - 1))) {
        kg_diag *d = kg_error(diags, KG_D_S503, b->waits->loc,
                              "baton %d has one warpgroup: there is nobody to pass it to", number);
        kg_diag_help(diags, d, "let another region use it too, or give this one eight warps");
        return false;
    }
    if (!kg_loops_around(b->opens)) return true;
    kg_diag *d = kg_error(diags, KG_D_S503, b->waits->loc,
                          "baton %d is used in a region that a loop repeats: what was passed last "
                          "would be passed again",
                          number);
    kg_diag_help(diags, d, "put the loop into the region");
    return false;
}

bool kg_give_barriers(kg_pass_context *context, kg_kernel *kernel)
{
    giver g = {.context = context, .kernel = kernel};
    kg_walk(kernel->body, collect, &g);
    kg_walk(kernel->body, find_opening, &g);
    for (int i = 0; i < BATONS; i++) {
        baton *b = &g.batons[i];
        if (!b->groups || b->done) continue;
        if (!check(&g, b, i)) return false;
        if (!choose_ids(&g, b)) return false;
    }
    kg_walk(kernel->body, mark, &g);
    for (int i = 0; i < BATONS; i++)
        if (g.batons[i].groups && !g.batons[i].done) open_baton(&g, &g.batons[i], i);
    return true;
}
