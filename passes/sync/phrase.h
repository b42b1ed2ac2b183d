// SPDX-License-Identifier: MIT
// Words for accesses, obligations and places in messages.
#pragma once
#include "passes/sync/obligation.h"

const char *kg_say_deed(const kg_sync_access *a);                           // "write", "read", ...
const char *kg_say_root(const kg_sync_program *p, const kg_sync_access *a); // "'sK'", "memory"
// ", 2 trips of the loop at line 9 later"; "" within one trip.
const char *kg_say_trips(const kg_sync_program *p, const kg_obligation *o, const char *when);
// "the read of 'sK' at line 4 and the write at line 9, one trip of the loop at line 3 later"
const char *kg_say_pair(const kg_sync_program *p, const kg_obligation *o);
// "in front of line 12", "at the end of the block that begins in line 9".
const char *kg_say_place(const kg_sync_program *p, int point);
const char *kg_say_sync(kg_arena *arena, const kg_op *op); // "wait 1", "barrier id 3 count 64"
// "barrier count 64 {ids=[1, 2, 1, 2]}", of the hardware barrier of each warp.
const char *kg_say_groups(kg_arena *arena, const int8_t *ids, int warps);
// Two threads that meet at o->byte; false where the place is not a known byte.
bool kg_find_witnesses(const kg_sync_program *p, const kg_obligation *o, int *thread_a,
                       int *thread_b);
