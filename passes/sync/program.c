// SPDX-License-Identifier: MIT
// Builds the view of a kernel that the synchronization passes work on. See program.h.
#include "passes/sync/phases.h"
#include "passes/sync/program.h"
#include "passes/sync/registers.h"

typedef struct builder {
    kg_sync_program *p;
    bool footprints;
    kg_footprints *known; // or NULL
} builder;

static bool is_compound(const kg_op *op)
{
    return op->n_blocks > 0;
}

static bool matters(const kg_sync_program *p, const kg_op *op);

static bool block_matters(const kg_sync_program *p, const kg_block *block)
{
    for (const kg_op *op = block->first; op; op = op->next)
        if (matters(p, op)) return true;
    return false;
}

static bool matters(const kg_sync_program *p, const kg_op *op)
{
    const kg_op_info *info = kg_op_info_of(op->code);
    if (info->n_effects || info->cls == KG_CLASS_Y || kg_sync_touches_fragments(p, op)) return true;
    for (int i = 0; i < op->n_blocks; i++)
        if (block_matters(p, op->blocks[i])) return true;
    return false;
}

// ---- accesses -----------------------------------------------------------------------------------
static bool is_masked(const kg_op *op)
{
    switch (op->code) {
    case KG_OP_LOAD:
        return op->n_operands > 1;
    case KG_OP_STORE:
    case KG_OP_ATOMIC_ADD:
    case KG_OP_ATOMIC_MAX:
    case KG_OP_ATOMIC_MIN:
        return op->n_operands > 2;
    default:
        return false;
    }
}

static bool scalar_store(const kg_access *a)
{
    return a->effect->operand == 0 && a->effect->mode != KG_MODE_R &&
           a->effect->agent == KG_AGENT_THREAD && a->op->n_operands > 1 &&
           kg_is_scalar(a->op->operands[1]);
}

// Copies of one loop body (prologue, unrolled trips) touch the same bytes: computed once.
static const kg_footprint *compute(const kg_sync_program *p, const kg_sync_access *a)
{
    for (int i = 0; i < p->accesses.count; i++) {
        const kg_sync_access *other = &p->accesses.items[i];
        if (other->bytes && kg_footprint_same(&other->at, &a->at)) return other->bytes;
    }
    return kg_footprint_of(p->arena, &a->at, a->slot_bytes);
}

static const kg_footprint *footprint_of(const builder *b, const kg_sync_access *a)
{
    for (int i = 0; b->known && i < b->known->count; i++)
        if (b->known->items[i].op == a->at.op && b->known->items[i].effect == a->at.effect)
            return b->known->items[i].bytes;
    struct kg_known_footprint made = {a->at.op, a->at.effect, compute(b->p, a)};
    if (b->known) KG_PUSH(b->p->arena, b->known, made);
    return made.bytes;
}

static void add_access(builder *b, int node, const kg_access *at)
{
    kg_sync_program *p = b->p;
    kg_sync_access a = {.at = *at, .node = node, .ring = 1};
    a.writes = at->effect->mode == KG_MODE_W || at->effect->mode == KG_MODE_A;
    a.atomic = at->effect->mode == KG_MODE_A;
    a.group = kg_sync_group_of(at->effect->completes);
    a.async = a.group != KG_GROUP_NONE;
    a.phase = at->effect->completes == KG_COMPLETES_MBARRIER;
    a.async_proxy = at->effect->proxy == KG_PROXY_ASYNC;
    a.object = at->effect->mode == KG_MODE_S;
    a.global = !at->root || at->root->type.home == KG_HOME_GLOBAL;
    a.masked = is_masked(at->op);
    a.elected = at->effect->agent == KG_AGENT_ELECTED || at->effect->agent == KG_AGENT_BULK ||
                scalar_store(at);
    a.region = kg_op_region(at->op);
    if (a.async) p->has_async[a.group] = true;
    p->has_phases |= a.phase;
    if (!a.global) {
        a.offset = kg_op_int(at->root->op, KG_A_OFFSET, 0);
        a.ring = (int)kg_op_int(at->root->op, KG_A_RING, 1);
        a.slot_bytes = kg_shared_slot_bytes(at->root);
        a.slot = kg_affine_of(&p->assigns, at->slot, at->op, a.ring);
        if (!at->slot && a.ring > 1) a.slot.known = false; // all of them
        if (b->footprints) a.bytes = footprint_of(b, &a);
    }
    KG_PUSH(p->arena, &p->accesses, a);
}

// ---- nodes and blocks ---------------------------------------------------------------------------
static int new_block(builder *b, kg_sync_block_kind kind, int parent, int owner)
{
    kg_sync_program *p = b->p;
    kg_sync_block block = {.kind = kind, .owner = owner, .region = -1};
    if (parent >= 0) {
        const kg_sync_block *up = kg_sync_block_at(p, parent);
        block.depth = up->depth + 1;
        block.loops = up->loops + kg_sync_is_loop(&block);
        block.region = kind == KG_SB_WARPS ? owner : up->region;
    }
    KG_PUSH(p->arena, &p->blocks, block);
    return p->blocks.count - 1;
}

static void fill_block(builder *b, int block, kg_block *ir);

static void build_children(builder *b, int node, int block)
{
    kg_sync_program *p = b->p;
    kg_op *op = kg_sync_node_at(p, node)->op;
    static const kg_sync_block_kind kinds[] = {KG_SB_FOR, KG_SB_WHILE, KG_SB_WARPS, KG_SB_ARM};
    int kind = op->code == KG_OP_FOR     ? 0
               : op->code == KG_OP_WHILE ? 1
               : op->code == KG_OP_WARPS ? 2
                                         : 3;
    int n = op->code == KG_OP_WHILE ? 1 : op->n_blocks;
    p->has_roles |= op->code == KG_OP_WARPS;
    for (int i = 0; i < n; i++) {
        int child = new_block(b, kinds[kind], block, node);
        kg_sync_node_at(p, node)->child[i] = child;
        fill_block(b, child, op->blocks[i]);
        if (op->code == KG_OP_WHILE) {
            kg_sync_block_at(p, child)->condition_nodes = kg_sync_block_at(p, child)->count;
            fill_block(b, child, op->blocks[1]);
        }
    }
}

static void add_node(builder *b, int block, kg_op *op)
{
    kg_sync_program *p = b->p;
    kg_sync_block *in = kg_sync_block_at(p, block);
    kg_sync_node node = {.op = op,
                         .block = block,
                         .position = in->count,
                         .first_access = p->accesses.count,
                         .child = {-1, -1}};
    KG_PUSH(p->arena, &p->nodes, node);
    int id = p->nodes.count - 1;
    KG_PUSH(p->arena, in, id);
    p->has_hand_barriers |= op->code == KG_OP_BARRIER || op->code == KG_OP_CLUSTER_BARRIER;
    kg_access found[KG_MAX_EFFECTS];
    int n = kg_op_info_of(op->code)->n_effects ? kg_op_accesses(op, found) : 0;
    for (int i = 0; i < n; i++) add_access(b, id, &found[i]);
    kg_sync_add_registers(p, id);
    kg_sync_add_releases(p, id);
    kg_sync_node_at(p, id)->n_accesses = p->accesses.count - node.first_access;
    if (is_compound(op)) build_children(b, id, block);
}

static void fill_block(builder *b, int block, kg_block *ir)
{
    kg_sync_block *in = kg_sync_block_at(b->p, block);
    in->ir[in->ir[0] ? 1 : 0] = ir;
    bool closes_condition = in->kind == KG_SB_WHILE;
    for (kg_op *op = ir->first; op; op = op->next)
        if (matters(b->p, op) || (closes_condition && op->code == KG_OP_YIELD))
            add_node(b, block, op);
}

static void number_points(kg_sync_program *p)
{
    for (int i = 0; i < p->blocks.count; i++) {
        p->blocks.items[i].first_point = p->n_points;
        p->n_points += p->blocks.items[i].count + 1;
    }
    p->points = KG_NEW_ARRAY(p->arena, kg_sync_point, p->n_points);
    for (int i = 0, n = 0; i < p->blocks.count; i++)
        for (int k = 0; k <= p->blocks.items[i].count; k++) p->points[n++] = (kg_sync_point){i, k};
}

// ---- roles that wait for each other ------------------------------------------------------------
typedef struct handing {
    const kg_value *mbarrier;
    bool found;
} handing;

static bool completes(kg_op *op, void *user)
{
    handing *h = user;
    bool bulk = op->code == KG_OP_COPY_BULK && op->n_operands > 2;
    const kg_value *counts = bulk                        ? kg_root(op->operands[2])
                             : kg_sync_is_phase_wait(op) ? NULL
                                                         : kg_sync_mbarrier(op);
    h->found |= counts && counts == h->mbarrier;
    return !h->found;
}

typedef struct waiting {
    const kg_op *behind; // a region
    bool found;
} waiting;

static bool waits_for(kg_op *op, void *user)
{
    waiting *w = user;
    handing h = {kg_sync_is_phase_wait(op) ? kg_sync_mbarrier(op) : NULL, false};
    if (h.mbarrier) kg_walk(w->behind->blocks[0], completes, &h);
    w->found |= h.found;
    return !w->found;
}

static void find_roles_that_wait(kg_sync_program *p, const kg_sync_block *b)
{
    for (int i = 0; i < b->count; i++)
        for (int j = i + 1; j < b->count; j++) {
            const kg_op *front = kg_sync_node_at(p, b->items[i])->op;
            waiting w = {kg_sync_node_at(p, b->items[j])->op, false};
            if (front->code != KG_OP_WARPS || w.behind->code != KG_OP_WARPS) continue;
            kg_walk(front->blocks[0], waits_for, &w);
            for (int k = i + 1; w.found && k <= j; k++)
                p->points[b->first_point + k].within_roles = true;
        }
}

static kg_sync_program *build(kg_arena *arena, kg_kernel *kernel, bool footprints,
                              kg_footprints *known)
{
    kg_sync_program *p = KG_NEW(arena, kg_sync_program);
    p->arena = arena;
    p->kernel = kernel;
    p->compared = KG_NEW(arena, kg_sync_compared);
    kg_kernel_number(kernel, NULL);
    kg_assigns_collect(arena, kernel, &p->assigns);
    kg_sync_find_fragments(p);
    builder b = {p, footprints, known};
    fill_block(&b, new_block(&b, KG_SB_BODY, -1, -1), kernel->body);
    number_points(p);
    for (int i = 0; i < p->blocks.count; i++) find_roles_that_wait(p, kg_sync_block_at(p, i));
    return p;
}

kg_sync_program *kg_sync_program_build(kg_arena *arena, kg_kernel *kernel, bool footprints)
{
    return build(arena, kernel, footprints, NULL);
}

kg_sync_program *kg_sync_program_rebuild(kg_arena *arena, kg_kernel *kernel, kg_footprints *known)
{
    return build(arena, kernel, true, known);
}

// ---- questions ----------------------------------------------------------------------------------
int kg_sync_parent(const kg_sync_program *p, int block)
{
    int owner = kg_sync_block_at(p, block)->owner;
    return owner < 0 ? -1 : kg_sync_node_at(p, owner)->block;
}

int kg_sync_lift(const kg_sync_program *p, int node, int block)
{
    int depth = kg_sync_block_at(p, block)->depth;
    for (;;) {
        int in = kg_sync_node_at(p, node)->block;
        if (in == block) return node;
        if (kg_sync_block_at(p, in)->depth <= depth) return -1;
        node = kg_sync_block_at(p, in)->owner;
    }
}

int kg_sync_common(const kg_sync_program *p, int a, int b)
{
    int x = kg_sync_node_at(p, a)->block, y = kg_sync_node_at(p, b)->block;
    while (x != y) {
        if (kg_sync_block_at(p, x)->depth >= kg_sync_block_at(p, y)->depth)
            x = kg_sync_parent(p, x);
        else
            y = kg_sync_parent(p, y);
    }
    return x;
}

// ---- groups -------------------------------------------------------------------------------------
static const struct {
    kg_opcode commit, wait;
} group_ops[KG_GROUPS] = {[KG_GROUP_COPY] = {KG_OP_COMMIT, KG_OP_WAIT},
                          [KG_GROUP_WGMMA] = {KG_OP_WGMMA_COMMIT, KG_OP_WGMMA_WAIT},
                          [KG_GROUP_BULK] = {KG_OP_BULK_COMMIT, KG_OP_BULK_WAIT}};

kg_opcode kg_sync_commit_code(kg_group group)
{
    return group_ops[group].commit;
}

kg_opcode kg_sync_wait_code(kg_group group)
{
    return group_ops[group].wait;
}

kg_group kg_sync_commits(const kg_op *op)
{
    for (int g = 0; g < KG_GROUPS; g++)
        if (op->code == group_ops[g].commit) return (kg_group)g;
    return KG_GROUP_NONE;
}

kg_group kg_sync_waits_for(const kg_op *op)
{
    for (int g = 0; g < KG_GROUPS; g++)
        if (op->code == group_ops[g].wait) return (kg_group)g;
    return KG_GROUP_NONE;
}

kg_group kg_sync_group_of(kg_completes completes)
{
    switch (completes) {
    case KG_COMPLETES_GROUP:
        return KG_GROUP_COPY;
    case KG_COMPLETES_WGMMA_GROUP:
        return KG_GROUP_WGMMA;
    case KG_COMPLETES_BULK_READ:
    case KG_COMPLETES_BULK_FULL:
        return KG_GROUP_BULK;
    default:
        return KG_GROUP_NONE;
    }
}

bool kg_sync_is_cta_barrier(const kg_sync_program *p, int node)
{
    const kg_op *op = kg_sync_node_at(p, node)->op;
    if (op->code == KG_OP_CLUSTER_BARRIER) return true;
    if (op->code != KG_OP_BARRIER) return false;
    int64_t all = 32 * (int64_t)p->kernel->warps;
    return kg_op_int(op, KG_A_COUNT, all) == all;
}
