// SPDX-License-Identifier: MIT
// What an access to global memory asks of the caches: the words of the attribute `cache`. No result
// depends on one. Those of L2 go with every kind of access, the others with those by threads.
#pragma once
#include "ir/ir.h"

typedef enum kg_cache {
    KG_CACHE_NONE,
    KG_CACHE_CA,
    KG_CACHE_CG,
    KG_CACHE_NC,
    KG_CACHE_CS,
    KG_CACHE_WT,
    KG_CACHE_NO_ALLOCATE,
    KG_CACHE_EVICT_FIRST, // this and those behind are of L2
    KG_CACHE_EVICT_LAST,
    KG_CACHE_EVICT_NORMAL,
    KG_CACHE_EVICT_UNCHANGED,
    KG_CACHE_COUNT
} kg_cache;

// Priorities in L2, from KG_CACHE_EVICT_FIRST on.
enum { KG_CACHE_PRIORITIES = KG_CACHE_COUNT - KG_CACHE_EVICT_FIRST };

kg_cache kg_cache_of(const kg_op *op);     // NONE: no hint, or an unknown word
const char *kg_cache_word(kg_cache cache); // as it is written
// The op's word as one of L2, which an op that does the same by other means can take over; NULL:
// it has none, or one of another kind.
const char *kg_cache_of_l2(const kg_op *op);
// What is wrong with the word that the op has, NULL: nothing. `help`: a way out, or NULL.
const char *kg_cache_problem(kg_arena *arena, const kg_op *op, const char **help);
