// SPDX-License-Identifier: MIT
// Tools that the passes share: building ops at a place with constants folded on the way, evaluating
// constants exactly, lists of uses, and removal of dead ops.
#pragma once
#include "ir/infer.h"
#include "ir/ir.h"

// ---- constants ---------------------------------------------------------------------------------
// A scalar constant; `i` for the integer types (sign-extended, i1 is 0 or 1), `f` for the others.
typedef struct kg_constant {
    kg_dtype dtype;
    int64_t i;
    double f;
} kg_constant;

// The constant that a value is everywhere: a CONST, or one broadcast, expanded or transposed.
bool kg_constant_of(const kg_value *value, kg_constant *out);
// The result of an elementwise op on constants, exactly as the GPU computes it. false when it is
// not defined (division by zero, conversion out of range) or an approximate instruction computes
// it.
bool kg_constant_eval(const kg_op *op, const kg_constant *operands, kg_constant *out);

// ---- building ----------------------------------------------------------------------------------
// Where new ops go: before `before`, or to the end of `block` when that is NULL.
typedef struct kg_place {
    kg_kernel *kernel;
    kg_block *block;
    kg_op *before;
    kg_loc loc; // of the new ops
} kg_place;

kg_place kg_place_before(kg_kernel *kernel, kg_op *op);
kg_place kg_place_end(kg_kernel *kernel, kg_block *block, kg_loc loc);
void kg_place_op(const kg_place *place, kg_op *op); // inserts a detached op
kg_op *kg_make(const kg_place *place, kg_opcode code, int n, kg_value *const *operands);
kg_value *kg_make_constant(const kg_place *place, const kg_constant *constant);
kg_value *kg_make_int(const kg_place *place, kg_dtype dtype, int64_t value);
// a op b on integer scalars; constants are folded, x + 0 and x * 1 give x when x is immutable.
kg_value *kg_make_binary(const kg_place *place, kg_opcode code, kg_value *a, kg_value *b);
// All of a buffer, or of one slot of a ring.
kg_value *kg_make_slot_view(const kg_place *place, kg_value *buffer, kg_value *slot);
// Swaps or permutes; a transpose of a transpose is composed, the identity gives the value itself.
kg_value *kg_make_transpose(const kg_place *place, kg_value *value, const int *perm);

// ---- questions ---------------------------------------------------------------------------------
typedef struct kg_use {
    kg_op *op;
    int operand;
    struct kg_use *next;
} kg_use;
// Numbers the kernel and lists the uses of each value, in program order, by value id.
kg_use **kg_uses_collect(kg_arena *arena, kg_kernel *kernel, int *n_values);
// Every user of `from` that stands in the kernel uses `to` instead.
void kg_replace_uses(kg_kernel *kernel, const kg_value *from, kg_value *to);
// op stands somewhere inside of owner's regions.
bool kg_op_within(const kg_op *op, const kg_op *owner);
// Some op within the block (any depth) may write or update memory of that root or of a declared
// alias.
bool kg_block_writes(kg_block *block, const kg_value *root);
// Two roots that may be the same bytes: the same one, or declared with `alias`.
bool kg_roots_alias(const kg_value *a, const kg_value *b);
// The op writes or updates memory (or learns of others' writes).
bool kg_op_writes(const kg_op *op);
// Two views of the same part of the same memory, whatever op made them.
bool kg_same_view(const kg_value *a, const kg_value *b);
// What L2 is asked for by the op that `made` stands for is asked for by it.
void kg_keep_cache(kg_kernel *kernel, kg_op *made, const kg_op *op);
// The op through which a memory operand reaches its gather indices, or NULL.
kg_op *kg_gather_view(const kg_value *operand);
// Removes ops whose results nobody needs and that have no other effect, empty loops and branches.
// Returns how many went.
int kg_remove_dead(kg_arena *arena, kg_kernel *kernel);
// A constant without a name, or one broadcast to a tile: costs nothing to make again.
bool kg_is_literal_value(const kg_value *value);
// Gives each use of a literal its own, where the text form wants it. Last act of a pass.
void kg_tidy(kg_arena *arena, kg_kernel *kernel);
// Second half of home: see turn.c.
void kg_turn_buffers(kg_arena *arena, kg_kernel *kernel);
