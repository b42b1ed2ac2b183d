// SPDX-License-Identifier: MIT
// Loops that are written twice: until one of the branches within is taken, without these branches,
// and from then on with them. What runs in which order does not change, so nobody but the code
// generator has to know: to the passes such a loop is one loop.
#pragma once
#include "ir/ir.h"

// Is the op a branch that a loop may be split at? It stands in the loop's own block, has one arm,
// which only changes fragments; its condition follows from the loop's index and from what no trip
// changes, and once it holds it holds to the end (so the second loop is not the longer one as a
// rule).
bool kg_splits_loop(const kg_op *loop, const kg_op *branch);

// The loop is marked `split`, and there is a branch to split it at.
bool kg_is_split(const kg_op *loop);

// The op stands in the loop's own block and is needed for the condition of such a branch.
bool kg_decides_split(const kg_op *loop, const kg_op *op);
