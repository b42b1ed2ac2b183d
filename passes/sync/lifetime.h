// SPDX-License-Identifier: MIT
// Between which nodes a shared buffer lives: from its first access to its last one, where a loop
// that it is declared outside of counts as a whole, and so do roles side by side. A buffer that one
// role hands over to another ends with its last access there.
#pragma once
#include "passes/sync/program.h"

// Nodes of the program, in its order; -1 both when nothing touches the buffer.
void kg_sync_lifetime(const kg_sync_program *p, const kg_value *buffer, int *first, int *last);
// The role that alone uses the buffer once it is filled: others only have the copy engine fill it,
// once, and the role has waited for that. NULL: there is none.
const kg_op *kg_sync_handed_to(const kg_sync_program *p, const kg_value *buffer);
// The last node inside of a compound node, or the node itself.
int kg_sync_last_inside(const kg_sync_program *p, int node);
