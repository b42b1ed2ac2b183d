// SPDX-License-Identifier: MIT
// Synchronization by hand, and roles: regions of warps that run side by side.
//
// Regions that follow each other in the program are concurrent until a barrier stands between them.
// A barrier between them is legal, so an ordinary conflict gets one. Loops in two roles that hand
// slots of a ring to each other would deadlock or go wrong under it: there the author's barriers
// (one id, used by both) are taken as the order, and their absence is an error.
#include "passes/sync/checks.h"
#include "passes/sync/phases.h"

static int region_of(const kg_sync_program *p, int node)
{
    return kg_sync_block_at(p, kg_sync_node_at(p, node)->block)->region;
}

// Bits of the barrier ids by which a role talks to others: those that other warps count in.
static uint32_t shared_ids(const kg_sync_program *p, int region)
{
    uint32_t ids = 0;
    int inside = kg_sync_node_at(p, region)->child[0];
    for (int i = 0; i < p->nodes.count; i++) {
        const kg_op *op = kg_sync_node_at(p, i)->op;
        if ((op->code != KG_OP_BARRIER && op->code != KG_OP_ARRIVE) ||
            kg_sync_lift(p, i, inside) < 0)
            continue;
        if (op->code == KG_OP_ARRIVE ||
            kg_op_int(op, KG_A_COUNT, 0) != 32 * (int64_t)kg_op_region(op).n_warps)
            ids |= UINT32_C(1) << (kg_op_int(op, KG_A_ID, 0) & 31);
    }
    return ids;
}

static bool in_loop_of(const kg_sync_program *p, int node, int region)
{
    for (int block = kg_sync_node_at(p, node)->block; block >= 0;
         block = kg_sync_parent(p, block)) {
        if (kg_sync_block_at(p, block)->owner == region) return false;
        if (kg_sync_is_loop(kg_sync_block_at(p, block))) return true;
    }
    return false;
}

void kg_sync_check_roles(const kg_sync_program *p, kg_obligations *o, kg_diags *diags)
{
    const kg_value *told = NULL;
    int errors = diags->errors;
    for (int i = 0; i < o->count && (p->has_roles || p->has_phases); i++) {
        kg_obligation *x = &o->items[i];
        const kg_sync_access *a = &p->accesses.items[x->a], *b = &p->accesses.items[x->b];
        int ra = region_of(p, a->node), rb = region_of(p, b->node);
        if (kg_sync_by_phase(p, x)) {
            x->by_author = true;
            continue;
        }
        if (ra < 0 || rb < 0 || ra == rb) continue;
        if (shared_ids(p, ra) & shared_ids(p, rb)) {
            x->by_author = true;
            continue;
        }
        bool streams = a->ring > 1 && a->at.root == b->at.root && in_loop_of(p, a->node, ra) &&
                       in_loop_of(p, b->node, rb);
        if (!streams || a->at.root == told) continue;
        told = a->at.root;
        kg_diag *d = kg_error(diags, KG_D_S502, b->at.op->loc,
                              "two roles share the ring '%s' without synchronization",
                              told->name ? told->name : "");
        kg_diag_note(diags, d, a->at.op->loc, "the other role's access");
        kg_diag_help(diags, d,
                     "let each role meet the other with `arrive id N count T` and `barrier id N "
                     "count T` for full and for empty slots");
    }
    // What arrivals at mbarriers wait for first is derived: these are played through behind that.
    if (diags->errors == errors && !p->has_phases) kg_sync_play_handshakes(p, o, NULL, diags);
}

// ---- form ---------------------------------------------------------------------------------------
// The verifier has seen ids, counts and places of each barrier by itself; here they are held
// together.
static bool names_an_id(const kg_op *op)
{
    return op->code == KG_OP_BARRIER || op->code == KG_OP_ARRIVE;
}

static void check_counts(const kg_sync_program *p, kg_diags *diags)
{
    const kg_op *first[16] = {0};
    int64_t all = 32 * (int64_t)p->kernel->warps;
    for (int i = 0; i < p->nodes.count; i++) {
        const kg_op *op = kg_sync_node_at(p, i)->op;
        if (!names_an_id(op) || kg_op_attr(op, KG_A_IDS)) continue;
        int64_t id = kg_op_int(op, KG_A_ID, 0) & 15, count = kg_op_int(op, KG_A_COUNT, all);
        if (first[id] && kg_op_int(first[id], KG_A_COUNT, all) != count) {
            kg_diag *d = kg_error(diags, KG_D_S503, op->loc,
                                  "barrier %lld is used with two counts: %lld here", (long long)id,
                                  (long long)count);
            kg_diag_note(diags, d, first[id]->loc, "%lld here",
                         (long long)kg_op_int(first[id], KG_A_COUNT, all));
        }
        if (!first[id]) first[id] = op;
    }
}

// The warps for which `op` uses the id, as bits.
static uint32_t warps_of_id(const kg_op *op, int id)
{
    const kg_attr *ids = kg_op_attr(op, KG_A_IDS);
    uint32_t warps = 0;
    for (int w = 0; ids && w < ids->count; w++) warps |= (uint32_t)((ids->ints[w] & 15) == id) << w;
    if (!ids && (kg_op_int(op, KG_A_ID, 0) & 15) == id) warps = ~UINT32_C(0);
    return warps;
}

// A group of warps keeps its id to itself: another group's warps could come to it while some of the
// first still wait.
static void check_groups(const kg_sync_program *p, kg_diags *diags)
{
    const kg_op *first[16] = {0};
    for (int i = 0; i < p->nodes.count; i++) {
        const kg_op *op = kg_sync_node_at(p, i)->op;
        for (int id = 1; names_an_id(op) && id < 16; id++) {
            uint32_t warps = warps_of_id(op, id);
            if (!warps) continue;
            if (!first[id]) first[id] = op;
            if (warps_of_id(first[id], id) == warps) continue;
            kg_diag *d =
                kg_error(diags, KG_D_S508, op->loc,
                         "barrier %d is of other warps here than at line %d: some may come "
                         "to it while those still wait",
                         id, first[id]->loc.line);
            kg_diag_note(diags, d, first[id]->loc, "the other use");
            kg_diag_help(diags, d, "take another id for one of them");
            return;
        }
        if (!kg_sync_group_ids(op) || !p->has_roles) continue;
        kg_diag *d = kg_error(diags, KG_D_S503, op->loc,
                              "a barrier of groups of warps in a kernel with `warps` regions");
        kg_diag_help(diags, d, "use `barrier id N count T` within the regions");
        return;
    }
}

void kg_sync_check_hand_written(const kg_sync_program *p, kg_diags *diags)
{
    check_counts(p, diags);
    check_groups(p, diags);
}
