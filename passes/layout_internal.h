// SPDX-License-Identifier: MIT
// What the files of the layout pass share: layout.c finds classes of fragments that want one layout
// and propagates choices, layout_choose.c weighs candidates, layout_apply.c writes the choices into
// the IR.
#pragma once
#include "ir/access.h"
#include "passes/passes.h"

// An op that touches a member of a class: as its operand, or -1 as its result.
typedef struct kg_touch {
    kg_op *op;
    int operand;
    int32_t weight;        // how often it runs, roughly: 8 for each loop around it
    int8_t fast;           // memory ops: the dimension along which memory is contiguous, -1 = none
    int8_t vec;            // memory ops: elements that one access may take along the last dimension
    bool global;           // memory ops: global, not shared
    struct kg_touch *next; // program order
} kg_touch;

// Fragments of one shape, tied together by elementwise ops and assignments, that get the same
// layout.
typedef struct kg_class {
    kg_type type;            // shape of all members
    int32_t warps;           // that hold it
    const kg_layout *layout; // NULL until chosen
    kg_touch *first, *last;
    int64_t weight;        // elements touched; who chooses first
    bool dot;              // has an accumulator among its members
    bool choosing;         // on the way down a chain of dots
    struct kg_class *next; // in order of the first member
} kg_class;

typedef struct kg_layouts {
    kg_pass_context *context;
    kg_arena *arena;
    kg_kernel *kernel;
    int n_values;
    int *parent;        // union-find over value ids
    kg_class **by_root; // class of a root id
    kg_class *first, *last;
    struct {
        const kg_layout **items;
        int count, capacity;
    } known; // layouts are shared: equal ones are one
} kg_layouts;

// The class of a fragment of rank > 0, NULL for anything else and for values that the pass itself
// made.
kg_class *kg_class_of(kg_layouts *ls, const kg_value *value);
const kg_layout *kg_layout_intern(kg_layouts *ls, const kg_layout *layout);
static inline bool kg_is_tile(const kg_value *v)
{
    return v->type.home == KG_HOME_FRAG && v->type.rank > 0;
}

// ---- layout_choose.c
// --------------------------------------------------------------------------------- The cheapest
// layout for all ops that touch the class.
const kg_layout *kg_layout_choose(kg_layouts *ls, const kg_class *cls);
// The accumulator layout for the dots of the class; NULL when no split of warps is legal.
const kg_layout *kg_layout_choose_dot(kg_layouts *ls, const kg_class *cls);
// Whether a dot's operand is cheaper computed where the dot wants it than elsewhere and moved;
// `cost` is the cheaper way's.
bool kg_layout_pays_in_place(kg_layouts *ls, const kg_class *cls, const kg_layout *wanted,
                             int64_t *cost);
// Fills the memory fields of a touch.
void kg_touch_memory(kg_layouts *ls, kg_touch *touch);
// A layout in which a load or store alone would be so much cheaper than in `now` that going there
// through shared memory pays, or NULL.
const kg_layout *kg_layout_better_for_memory(kg_layouts *ls, kg_op *op, const kg_layout *now);
// A layout of the shape whose `axis` lies within a warp.
const kg_layout *kg_layout_within_warp(kg_layouts *ls, const kg_type *type, int axis, int warps);
bool kg_layout_axis_spans_warps(const kg_layout *layout, int axis);
// Ops that need their axis within a warp: scans, argmax, argmin.
bool kg_needs_axis_in_warp(const kg_op *op);

// ---- layout.c, for layout_apply.c
// -------------------------------------------------------------------- The layout that an op
// demands of operand i given its own result's layout `result` (NULL without one): false when it
// takes any.
bool kg_layout_demand(const kg_op *op, int i, const kg_layout *result, kg_layout *out);
// The layout that the rank-1 gather index of operand dimension d needs when the view is read or
// written in `tile`.
void kg_layout_of_gather(const kg_layout *tile, int d, kg_layout *out);
// The tile layout of a memory op's view: of the fragment it moves, or of a copy's chunks. false:
// none.
bool kg_layout_of_moved(const kg_op *op, kg_layout *out);
int kg_copy_vector(const kg_kernel *kernel, const kg_op *copy);
// Another op of the same kind, operands and attributes, detached and without results.
kg_op *kg_op_like(kg_kernel *kernel, const kg_op *op);

// ---- layout_apply.c
// ---------------------------------------------------------------------------------- Writes layouts
// into values and inserts conversions. false: findings were reported.
bool kg_layouts_apply(kg_layouts *ls);
// Whether the kernel has layouts already, all as their users demand them: it comes from a text that
// was printed behind this pass, and what was edited there stays.
bool kg_layouts_stand(kg_kernel *kernel);
