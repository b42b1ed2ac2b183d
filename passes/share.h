// SPDX-License-Identifier: MIT
// Roles that take turns: each does the work of every n-th trip of a loop that all go through.
//
//   for turn in 0 .. n { if turn % 2 == 0 { .. } }    for turn in 0 .. n { if turn % 2 == 1 { .. }
//   }
#pragma once
#include "ir/ir.h"

// The trips of a loop from 0 on whose index leaves this rest.
typedef struct kg_share {
    const kg_op *loop;
    int64_t of, rest;
} kg_share;

// Of the trips of a loop around `op`, those in which it is reached. false: nothing is known.
bool kg_share_of(const kg_op *op, kg_share *out);
// Loops with the same trips, of which no trip is in both.
bool kg_shares_apart(const kg_share *a, const kg_share *b);
