// SPDX-License-Identifier: MIT
// Questions about phases of mbarriers. See phases.h.
#include "passes/sync/phases.h"
#include "passes/share.h"
#include "passes/sync/report.h"

kg_value *kg_sync_mbarrier(const kg_op *op)
{
    const kg_op_info *info = kg_op_info_of(op->code);
    for (int i = 0; i < info->n_effects; i++) {
        int operand = info->effects[i].operand;
        bool object = info->effects[i].mode == KG_MODE_S || op->code == KG_OP_MBARRIER_INIT;
        if (object && operand < op->n_operands) return kg_root(op->operands[operand]);
    }
    return NULL;
}

bool kg_sync_is_phase_wait(const kg_op *op)
{
    return op->code == KG_OP_MBARRIER_WAIT;
}

bool kg_sync_is_arrival(const kg_op *op)
{
    return op->code == KG_OP_MBARRIER_ARRIVE;
}

// ---- arrivals -----------------------------------------------------------------------------------
static bool brings(const kg_op *op)
{
    const kg_op_info *info = kg_op_info_of(op->code);
    return info->n_effects && info->effects[0].completes == KG_COMPLETES_MBARRIER;
}

static const kg_effect next_copy = {0, KG_MODE_W, KG_PROXY_ASYNC, KG_AGENT_THREAD,
                                    KG_COMPLETES_ISSUE};

typedef struct releaser {
    kg_sync_program *p;
    int node, first;
    const kg_value *mbarrier;
} releaser;

static void add_release(const releaser *r, const kg_value *buffer)
{
    kg_sync_program *p = r->p;
    kg_op *op = kg_sync_node_at(p, r->node)->op;
    for (int i = r->first; i < p->accesses.count; i++)
        if (p->accesses.items[i].released == buffer) return;
    kg_access self[KG_MAX_EFFECTS];
    kg_op_accesses(op, self);
    kg_sync_access a = {.at = {.op = op, .effect = &next_copy, .slot = self[0].slot},
                        .node = r->node,
                        .writes = true,
                        .group = KG_GROUP_NONE,
                        .async_proxy = true,
                        .global = true,
                        .released = buffer,
                        .region = kg_op_region(op)};
    a.ring = (int)kg_op_int(buffer->op, KG_A_RING, 1);
    a.offset = kg_op_int(buffer->op, KG_A_OFFSET, 0);
    a.slot_bytes = kg_shared_slot_bytes(buffer);
    a.slot = kg_affine_of(&p->assigns, a.at.slot, op, a.ring);
    KG_PUSH(p->arena, &p->accesses, a);
}

static bool waits_for_slot(const kg_op *op)
{
    return kg_sync_is_phase_wait(op) && kg_op_int(op, KG_A_BEHIND, 0);
}

static bool find_copies(kg_op *op, void *user)
{
    const releaser *r = user;
    if (!kg_sync_is_phase_wait(op) || kg_sync_mbarrier(op) != r->mbarrier) return true;
    // Up to where the copies stand that wait for other slots.
    for (const kg_op *next = op->next; next && !waits_for_slot(next); next = next->next)
        if (brings(next)) add_release(r, kg_root(next->operands[0]));
    return true;
}

void kg_sync_add_releases(kg_sync_program *p, int node)
{
    const kg_op *op = kg_sync_node_at(p, node)->op;
    if (!kg_sync_is_arrival(op)) return;
    releaser r = {p, node, p->accesses.count, kg_sync_mbarrier(op)};
    kg_walk(p->kernel->body, find_copies, &r);
}

static bool overlap(const kg_sync_access *a, const kg_sync_access *b)
{
    if (a->at.root == b->released) return true;
    return a->offset < b->offset + b->ring * b->slot_bytes &&
           b->offset < a->offset + a->ring * a->slot_bytes &&
           kg_op_attr(a->at.root->op, KG_A_OFFSET) && kg_op_attr(b->released->op, KG_A_OFFSET);
}

bool kg_sync_may_free(const kg_sync_access *a, const kg_sync_access *b)
{
    if (a->global || a->phase || a->object || kg_sync_mbarrier(a->at.op)) return false;
    return a->region.first_warp == b->region.first_warp && a->region.n_warps == b->region.n_warps &&
           overlap(a, b);
}

kg_apart kg_sync_freed_by(const kg_sync_access *a, const kg_sync_access *b)
{
    bool each = kg_op_int(b->at.op, KG_A_BY_THREAD, 0) != 0;
    return a->async && a->async_proxy ? KG_APART_THREAD : each ? KG_APART_THREAD : KG_APART_WARP;
}

// ---- between roles ------------------------------------------------------------------------------
static int region_of(const kg_sync_program *p, int node)
{
    return kg_sync_block_at(p, kg_sync_node_at(p, node)->block)->region;
}

static bool uses(const kg_sync_program *p, int region, const kg_value *mbarrier)
{
    for (int i = 0; i < p->nodes.count; i++)
        if (region_of(p, i) == region && kg_sync_mbarrier(kg_sync_node_at(p, i)->op) == mbarrier)
            return true;
    return false;
}

bool kg_sync_by_phase(const kg_sync_program *p, const kg_obligation *o)
{
    const kg_sync_access *a = &p->accesses.items[o->a], *b = &p->accesses.items[o->b];
    int ra = region_of(p, a->node), rb = region_of(p, b->node);
    if (a->object || b->object || a->registers || b->released) return false;
    if (a->phase) return true;
    if (!p->has_phases || ra < 0 || rb < 0 || ra == rb) return false;
    for (int i = 0; i < p->nodes.count; i++) {
        const kg_value *mbarrier = kg_sync_mbarrier(kg_sync_node_at(p, i)->op);
        if (mbarrier && region_of(p, i) == ra && uses(p, rb, mbarrier)) return true;
    }
    return false;
}

// ---- answers ------------------------------------------------------------------------------------
// The last wait in front of `node` for that mbarrier, in its region.
static const kg_op *wait_before(const kg_sync_program *p, int node, const kg_value *mbarrier)
{
    const kg_op *found = NULL;
    for (int i = 0; i < node; i++) {
        const kg_op *op = kg_sync_node_at(p, i)->op;
        if (kg_sync_is_phase_wait(op) && kg_sync_mbarrier(op) == mbarrier &&
            region_of(p, i) == region_of(p, node))
            found = op;
    }
    return found;
}

static const kg_op *arrival_behind(const kg_sync_program *p, int node, const kg_value *buffer)
{
    for (int i = 0; i < p->accesses.count; i++) {
        const kg_sync_access *r = &p->accesses.items[i];
        if (r->released == buffer && r->node > node && region_of(p, r->node) == region_of(p, node))
            return r->at.op;
    }
    return NULL;
}

const kg_op *kg_sync_phase_answer(const kg_sync_program *p, const kg_obligation *o)
{
    const kg_sync_access *a = &p->accesses.items[o->a], *b = &p->accesses.items[o->b];
    if (a->phase && !b->phase) return wait_before(p, b->node, kg_sync_mbarrier(a->at.op));
    if (b->phase && !a->phase) return arrival_behind(p, a->node, b->at.root);
    return NULL;
}

// ---- words --------------------------------------------------------------------------------------
typedef struct lister {
    kg_arena *arena;
    const kg_kernel *kernel;
    const kg_value *mbarrier;
    const char *buffers;
} lister;

static void list_buffer(lister *l, const kg_op *copy)
{
    const char *name = kg_sync_buffer_name(l->arena, l->kernel, kg_root(copy->operands[0]));
    l->buffers = l->buffers ? kg_arena_printf(l->arena, "%s, %s", l->buffers, name) : name;
}

static bool list_counted(kg_op *op, void *user)
{
    lister *l = user;
    if (brings(op) && kg_sync_mbarrier(op) == l->mbarrier) list_buffer(l, op);
    return true;
}

// The buffers that are filled behind a wait for this mbarrier.
static bool list_freed(kg_op *op, void *user)
{
    lister *l = user;
    if (!kg_sync_is_phase_wait(op) || kg_sync_mbarrier(op) != l->mbarrier) return true;
    for (const kg_op *next = op->next; next; next = next->next) {
        if (kg_sync_is_phase_wait(next)) break;
        if (brings(next)) list_buffer(l, next);
    }
    return l->buffers == NULL;
}

// No copy has to do with the mbarrier: roles hand a turn on (../phases_turns.c).
static const char *turn_text(const kg_op *op)
{
    kg_share share;
    if (!kg_share_of(op, &share)) return NULL;
    if (kg_sync_is_arrival(op))
        return "this role has waited for all phases of its turn, so the next one may wait";
    return waits_for_slot(op) ? "all phases of the turn before are over, so a parity tells this "
                                "turn's from those in front of them"
                              : NULL;
}

// Nothing but waits for what is in flight comes behind it.
static bool ends_kernel(const kg_op *op)
{
    const kg_op *next = op->next;
    while (next && kg_op_info_of(next->code)->cls == KG_CLASS_Y) next = next->next;
    return !next;
}

const char *kg_sync_phase_text(kg_arena *arena, const kg_kernel *kernel, const kg_op *op)
{
    lister l = {arena, kernel, kg_sync_mbarrier(op), NULL};
    if (op->code == KG_OP_CLUSTER_BARRIER && ends_kernel(op))
        return "no CTA ends while another one of its cluster may reach its memory";
    if (op->code == KG_OP_GRID_WAIT)
        return "the kernel launched ahead may still be at work on global memory until then";
    if (op->code == KG_OP_LAUNCH_DEPENDENTS)
        return "the kernel launched behind may begin when all CTAs of this one run";
    if (!l.mbarrier || brings(op)) return NULL;
    int64_t ring = kg_op_int(l.mbarrier->op, KG_A_RING, 1);
    int64_t arrivals = kg_op_int(l.mbarrier->op, KG_A_ARRIVALS, 1);
    if (op->code == KG_OP_MBARRIER_INIT)
        return kg_arena_printf(arena, "%lld slot%s, a phase ends with %lld arrival%s",
                               (long long)ring, ring == 1 ? "" : "s", (long long)arrivals,
                               arrivals == 1 ? "" : "s");
    bool counts = op->code == KG_OP_MBARRIER_EXPECT;
    kg_walk(kernel->body, counts ? list_counted : list_freed, &l);
    if (!l.buffers) return turn_text(op);
    if (counts)
        return kg_arena_printf(arena, "announces the %lld bytes that come into %s",
                               (long long)kg_op_int(op, KG_A_BYTES, 0), l.buffers);
    if (kg_sync_is_arrival(op))
        return kg_arena_printf(arena, "the slot of %s has been read, and may be filled again",
                               l.buffers);
    return kg_arena_printf(arena, "the slot of %s is free: read %lld trip%s before", l.buffers,
                           (long long)ring, ring == 1 ? "" : "s");
}
