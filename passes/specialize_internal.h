// SPDX-License-Identifier: MIT
// What the files of the specialize pass share: specialize_fit.c says whether the copy engine and
// the tensor cores can do a kernel's loops, specialize_slice.c what a producer has to compute,
// persistent.c where a CTA finds its tiles, specialize_cluster.c what CTAs fetch together,
// specialize_store.c and specialize_panels.c how tiles leave, and specialize.c builds the roles.
#pragma once
#include "ir/access.h"
#include "passes/passes.h"
#include "passes/pipeline_internal.h"

// A pipelined loop and the buffers in it that become rings.
typedef struct kg_ring_loop {
    kg_op *loop;
    int64_t slots;
    kg_candidate *rings; // one copy each
    int n_rings;
    bool counts; // its index does not say how many trips went before: a counter does
} kg_ring_loop;

// Copies in no pipelined loop into one buffer: one that only wgmma reads, or the panels that a
// result takes in on its way out.
typedef struct kg_lone_copy {
    kg_op **copies; // in their order, in one block
    int n_copies;
    kg_value *buffer;
    bool repeats; // there are more, or they stand in a loop, or will: the buffer becomes a ring
    int slots;    // of it
} kg_lone_copy;

// Why a schedule cannot be met.
typedef struct kg_misfit {
    const char *reason; // NULL: it can
    kg_loc loc;
    const char *help; // or NULL
} kg_misfit;

typedef struct kg_specializer {
    kg_pass_context *context;
    kg_kernel *kernel;
    kg_schedule schedule;
    int32_t consumers; // warps
    kg_use **uses;
    int n_values, n_ops;
    kg_misfit misfit;
    struct {
        kg_ring_loop *items;
        int count, capacity;
    } loops;
    struct {
        kg_lone_copy *items;
        int count, capacity;
    } lone;
    bool *needed; // by op id: what the producer computes
} kg_specializer;

// Notes the first reason.
void kg_misfit_at(kg_specializer *s, const kg_op *op, const char *help, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

// specialize_fit.c: fills `loops`; false and a reason when something in the kernel does not fit.
bool kg_specialize_fits(kg_specializer *s);
// The copy engine can move between this global view and a shared buffer of its shape; else why not.
const char *kg_bulk_misfit(kg_specializer *s, kg_value *view, int *contiguous, const char **help);

// specialize_slice.c
// Numbers the kernel anew and fills `needed`; false and a reason when a producer cannot compute the
// addresses of the copies. Lone copies whose addresses it cannot compute are dropped from the list.
bool kg_specialize_slice(kg_specializer *s);
// Copies the needed ops of a list into `to`. `map` says what values become and is extended.
void kg_specialize_clone(kg_specializer *s, kg_block *from, kg_block *to, kg_value **map);

// persistent.c. The grid becomes one axis of CTAs.
bool kg_changes_grid(const kg_specializer *s); // the schedule asks for it
typedef struct kg_tile_loop {
    bool linear;     // the grid was changed
    kg_value *cta;   // the new axis
    // Outside of the roles: the first tile of a CTA, and how many there are. With clusters both
    // count those, and a CTA has its rank in one; else NULL.
    kg_value *first, *tiles, *rank;
    kg_grid_axis old[3];
    int n_old;
    kg_value *extent[3]; // of the old axes, outside of the roles; in clusters along theirs
    kg_value *turns;     // how many tiles this CTA has, where roles take turns
} kg_tile_loop;
// Where a tile's work goes, and what the old grid's indices are there.
typedef struct kg_tile_work {
    kg_block *block;
    kg_value *indices[3];
} kg_tile_work;
bool kg_is_linear_grid(kg_specializer *s); // it can; else a reason
kg_tile_loop kg_make_linear_grid(kg_specializer *s, const kg_place *outside);
// In a role that does something for each tile.
kg_tile_work kg_make_tile_loop(kg_specializer *s, const kg_tile_loop *t, kg_block *role);
// In the first of the roles that take turns: its own tiles, and what is to be done for the others.
kg_tile_work kg_make_turn_loop(kg_specializer *s, const kg_tile_loop *t, kg_block *role,
                               kg_tile_work *others);

// specialize_turns.c: consumers that take the tiles of a CTA in turn.
typedef struct kg_turns {
    kg_op *region;      // of the first one
    kg_block *others;   // what it does there where another one has its turn
    kg_op **ring_loops; // the pipelined loops in it
} kg_turns;
// Opens the first one's tiles; what the producer computes for the others' stands in `others`.
kg_tile_work kg_make_turns(kg_specializer *s, const kg_tile_loop *t, kg_block *role,
                           kg_turns *turns);
// There trips are counted that fill a buffer: once in each trip of a loop, or at each lone copy.
void kg_count_others(kg_specializer *s, const kg_turns *turns, const kg_ring_loop *r,
                     kg_value *counter);
void kg_count_other_copies(kg_specializer *s, const kg_turns *turns, const kg_value *buffer,
                           kg_value *counter);
// The other sets of consumers, from the first one's region.
void kg_repeat_consumers(kg_specializer *s, const kg_turns *turns);

// specialize.c: one more at the end of the block.
void kg_count_up(kg_specializer *s, kg_block *block, kg_value *counter);

// specialize_cluster.c: what the CTAs of a cluster fetch together. There is something, and tiles
// that fill up the last clusters do no harm; else a reason.
bool kg_cluster_fits(kg_specializer *s);
// The producer's copies of what is the same for all CTAs of a cluster become theirs together.
void kg_share_copies(kg_specializer *s, kg_block *producer);

// specialize_panels.c: a store of a tile that leaves panel by panel, if the schedule wants it so
// and its width allows; else false, and nothing is changed.
bool kg_specialize_panels(kg_specializer *s, kg_op *store);

// specialize_store.c: stores of tiles become store_bulk where the copy engine can do them. Before
// there are roles.
void kg_specialize_stores(kg_specializer *s);
// What the store does, or the atomic update, from that buffer to that view by the copy engine.
void kg_specialize_leave(kg_specializer *s, const kg_place *place, const kg_op *store,
                         kg_value *target, kg_value *buffer);
