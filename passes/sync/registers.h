// SPDX-License-Identifier: MIT
// Fragments that the tensor core works on in the background: registers as a third kind of memory.
//
// A wgmma writes its accumulator, and reads a first operand that is a fragment, until a wait
// retires its group. Whatever else touches these registers is ordered by a wait in front of it, and
// needs a wgmma fence between itself and the next wgmma. Products that go on with one accumulator
// follow each other without either.
//
//   frag acc = 0.0             touches acc     } fence
//   for k {                                    }
//     acc = wgmma(a, b, acc)   works on acc
//   }                                          } wait
//   store c = acc              touches acc
#pragma once
#include "passes/sync/obligation.h"

// Fills p->fragments: by value id the fragment whose registers a value has (a mutable one, or
// itself) where a wgmma works on them, else NULL.
void kg_sync_find_fragments(kg_sync_program *p);
// The fragment whose registers the value has; NULL: no product works on them.
const kg_value *kg_sync_fragment(const kg_sync_program *p, const kg_value *value);
bool kg_sync_touches_fragments(const kg_sync_program *p, const kg_op *op);
// The accesses of a node's op to such fragments join the program's.
void kg_sync_add_registers(kg_sync_program *p, int node);
bool kg_sync_registers_conflict(const kg_sync_access *a, const kg_sync_access *b);
kg_fence kg_sync_register_fence(const kg_sync_access *a, const kg_sync_access *b);
