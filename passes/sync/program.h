// SPDX-License-Identifier: MIT
// A kernel as the synchronization passes see it: only the ops that touch memory or synchronize, in
// their blocks, and the points between them where a synchronization may stand.
//
//   for t {                 block 1 (loop)          points of block 1: 0 1 2 3
//     store s = x           node 0                  .0. store .1. barrier .2. if .3.
//     barrier               node 1
//     if c { y = load s }   node 2 -> block 2       points of block 2: .0. load .1.
//   }
//
// Point i of a block stands directly before node i; the last one at the block's end. A point in
// front of a CTA barrier that the author wrote IS that barrier. A `while` is one block: the nodes
// of its condition (closed by its yield), then those of its body; a trip runs from 0 to the end,
// the loop is left after the condition.
#pragma once
#include "ir/access.h"
#include "passes/passes.h"
#include "passes/sync/affine.h"
#include "passes/sync/footprint.h"

// Asynchronous work that its issuer closes in groups and waits for by number.
typedef enum kg_group {
    KG_GROUP_COPY,  // cp.async, by thread
    KG_GROUP_WGMMA, // by warpgroup
    KG_GROUP_BULK,  // bulk stores, by the elected thread
    KG_GROUPS,
    KG_GROUP_NONE = -1
} kg_group;

typedef struct kg_sync_access {
    kg_access at;
    int node;
    bool writes;  // mode W or A
    bool atomic;  // mode A
    bool async;   // acts until its commit group completes
    kg_group group;
    bool phase;       // a bulk copy: acts until a phase of an mbarrier completes
    bool async_proxy; // by the copy engine or the tensor core
    bool object;      // uses an mbarrier as such
    // Not of memory (at.root is NULL then, and `global` set, as for what concerns all tensors):
    const kg_value *registers; // a fragment that the tensor core works on in the background
    const kg_value *released;  // an arrival that frees a slot of this buffer: stands for the copy
                               // that will overwrite it
    bool global;  // of a tensor, or of all of them (root NULL)
    bool masked;  // may leave bytes of its view untouched
    bool elected; // by the first thread of its region only
    kg_region region;
    int64_t offset; // of the buffer in the arena; 0 before place
    int64_t slot_bytes;
    int ring;                  // slots, 1 without ring
    kg_affine slot;            // modulo ring
    const kg_footprint *bytes; // shared accesses
} kg_sync_access;

typedef struct kg_sync_node {
    kg_op *op;
    int block, position;
    int first_access, n_accesses;
    int child[2]; // blocks, -1 when absent
} kg_sync_node;

typedef enum kg_sync_block_kind {
    KG_SB_BODY,
    KG_SB_FOR,
    KG_SB_WHILE,
    KG_SB_ARM,
    KG_SB_WARPS
} kg_sync_block_kind;

typedef struct kg_sync_block {
    kg_sync_block_kind kind;
    kg_block *ir[2];     // [1]: body of a while, whose condition is [0]
    int owner;           // node, -1 for the kernel's body
    int depth;           // blocks around it
    int loops;           // loops around its nodes, its own included
    int region;          // node of the innermost `warps`, -1 for the whole CTA
    int condition_nodes; // while: nodes of the condition, its yield included
    int first_point;
    int *items; // nodes
    int count, capacity;
} kg_sync_block;

typedef struct kg_sync_point {
    int block, position;
    // A role in front of it waits for one behind it, at an mbarrier: all threads never meet here.
    bool within_roles;
} kg_sync_point;

// The pair of accesses whose bytes were compared last: each of its relations asks for them.
typedef struct kg_sync_compared {
    const kg_sync_access *a, *b;
    kg_apart apart;
    int64_t byte;
} kg_sync_compared;

typedef struct kg_sync_program {
    kg_arena *arena;
    kg_kernel *kernel;
    kg_assigns assigns;
    struct {
        kg_sync_node *items;
        int count, capacity;
    } nodes;
    struct {
        kg_sync_block *items;
        int count, capacity;
    } blocks;
    struct {
        kg_sync_access *items;
        int count, capacity;
    } accesses;
    kg_sync_point *points;
    int n_points;
    bool has_hand_barriers; // any barrier stands in the program already
    bool has_async[KG_GROUPS];
    bool has_phases;                   // some copy completes a phase
    const kg_value **fragments;        // by value id: see registers.h; NULL: no tensor cores
    bool has_roles;
    kg_sync_compared *compared;
} kg_sync_program;

// Numbers the kernel and builds the view. Footprints of shared accesses are computed on demand.
kg_sync_program *kg_sync_program_build(kg_arena *arena, kg_kernel *kernel, bool footprints);

// Footprints that outlive a program: who builds several views of one kernel, with ops moved or
// buffers placed elsewhere in between, computes each once.
typedef struct kg_footprints {
    struct kg_known_footprint {
        const kg_op *op;
        const kg_effect *effect;
        const kg_footprint *bytes;
    } * items;
    int count, capacity;
} kg_footprints;
kg_sync_program *kg_sync_program_rebuild(kg_arena *arena, kg_kernel *kernel, kg_footprints *known);

static inline kg_sync_node *kg_sync_node_at(const kg_sync_program *p, int node)
{
    return &p->nodes.items[node];
}
static inline kg_sync_block *kg_sync_block_at(const kg_sync_program *p, int block)
{
    return &p->blocks.items[block];
}
static inline bool kg_sync_is_loop(const kg_sync_block *block)
{
    return block->kind == KG_SB_FOR || block->kind == KG_SB_WHILE;
}
// The block that holds a block's owner; -1 for the kernel's body.
int kg_sync_parent(const kg_sync_program *p, int block);
// The node of `block` that is, or holds, `node`; -1 when `node` is not inside.
int kg_sync_lift(const kg_sync_program *p, int node, int block);
// The innermost block that holds both nodes.
int kg_sync_common(const kg_sync_program *p, int a, int b);
// The node is a barrier of all threads of the CTA (no count, or a count of them all).
bool kg_sync_is_cta_barrier(const kg_sync_program *p, int node);

// Of a barrier of groups of warps: the id of each warp. NULL for every other op.
static inline const kg_attr *kg_sync_group_ids(const kg_op *op)
{
    return op->code == KG_OP_BARRIER ? kg_op_attr(op, KG_A_IDS) : NULL;
}

// The kind of groups that a commit closes, or a wait waits for; NONE for every other op.
kg_group kg_sync_commits(const kg_op *op);
kg_group kg_sync_waits_for(const kg_op *op);
kg_group kg_sync_group_of(kg_completes completes);
// The op that closes such a group, and the one that waits for it.
kg_opcode kg_sync_commit_code(kg_group group);
kg_opcode kg_sync_wait_code(kg_group group);
