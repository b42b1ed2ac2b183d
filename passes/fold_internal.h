// SPDX-License-Identifier: MIT
// What the files of the fold pass share: fold.c walks, algebra.c simplifies one op, common.c finds
// an equal one that was computed before.
#pragma once
#include "passes/rewrite.h"

// A value that is as good as the op's result and still holds its value wherever the result is used,
// or NULL. May also turn the op into a simpler one in place. Operands are already simplified.
kg_value *kg_fold_algebra(kg_kernel *kernel, kg_op *op);

// Table of available expressions, scoped by block.
typedef struct kg_available kg_available;
kg_available *kg_available_new(kg_arena *arena, kg_kernel *kernel);
// The result of an equal op that dominates this one and would still compute the same, or NULL; then
// the op becomes available itself.
kg_value *kg_available_find(kg_available *table, kg_op *op);
// An op that may change memory or a mutable fragment was passed.
void kg_available_passed(kg_available *table, const kg_op *op);
void kg_available_enter(kg_available *table, const kg_op *owner); // one of its blocks
void kg_available_leave(kg_available *table);
