// SPDX-License-Identifier: MIT
#include "ir/cache.h"

#include "ir/diag.h"
#include <string.h>

enum { LOADS = 1, STORES = 2, COPIES = 4 };

static const struct {
    const char *word;
    int kinds; // of the accesses that can say it
} words[KG_CACHE_COUNT] = {
    [KG_CACHE_NONE] = {NULL, 0},
    [KG_CACHE_CA] = {"ca", LOADS},
    [KG_CACHE_CG] = {"cg", LOADS},
    [KG_CACHE_NC] = {"nc", LOADS},
    [KG_CACHE_CS] = {"cs", STORES},
    [KG_CACHE_WT] = {"wt", STORES},
    [KG_CACHE_NO_ALLOCATE] = {"no_allocate", LOADS | STORES},
    [KG_CACHE_EVICT_FIRST] = {"evict_first", LOADS | STORES | COPIES},
    [KG_CACHE_EVICT_LAST] = {"evict_last", LOADS | STORES | COPIES},
    [KG_CACHE_EVICT_NORMAL] = {"evict_normal", LOADS | STORES | COPIES},
    [KG_CACHE_EVICT_UNCHANGED] = {"evict_unchanged", LOADS | STORES | COPIES},
};

static kg_cache cache_of_word(const char *word)
{
    for (int i = 1; word && i < KG_CACHE_COUNT; i++)
        if (!strcmp(word, words[i].word)) return (kg_cache)i;
    return KG_CACHE_NONE;
}

kg_cache kg_cache_of(const kg_op *op)
{
    const kg_attr *attr = kg_op_attr(op, KG_A_CACHE);
    return attr ? cache_of_word(attr->name) : KG_CACHE_NONE;
}

const char *kg_cache_word(kg_cache cache)
{
    return words[cache].word;
}

const char *kg_cache_of_l2(const kg_op *op)
{
    kg_cache cache = kg_cache_of(op);
    return cache >= KG_CACHE_EVICT_FIRST ? words[cache].word : NULL;
}

static int kind_of(const kg_op *op)
{
    switch (op->code) {
    case KG_OP_LOAD:
        return LOADS;
    case KG_OP_STORE:
        return STORES;
    default:
        return COPIES;
    }
}

static const char *nearest(kg_arena *arena, const char *word, int kind)
{
    const char *names[KG_CACHE_COUNT];
    int count = 0;
    for (int i = 1; i < KG_CACHE_COUNT; i++)
        if (words[i].kinds & kind) names[count++] = words[i].word;
    const char *name = kg_nearest_name(word, names, count);
    if (name) return kg_arena_printf(arena, "did you mean '%s'?", name);
    return "evict_first, evict_last, evict_normal and evict_unchanged say what L2 does with it";
}

const char *kg_cache_problem(kg_arena *arena, const kg_op *op, const char **help)
{
    const char *word = kg_op_attr(op, KG_A_CACHE)->name, *name = kg_op_info_of(op->code)->name;
    kg_cache cache = cache_of_word(word);
    int kind = kind_of(op);
    *help = NULL;
    if (!cache) {
        *help = nearest(arena, word ? word : "", kind);
        return kg_arena_printf(arena, "unknown cache hint '%s'", word ? word : "");
    }
    if (!(words[cache].kinds & kind)) {
        *help = nearest(arena, word, kind);
        return kg_arena_printf(arena, "%s has no cache hint '%s'", name, word);
    }
    if (kind == COPIES || op->operands[0]->type.home == KG_HOME_GLOBAL) return NULL;
    *help = "what reads a tensor into a name of its own, or a `copy`, can have the hint";
    return kg_arena_printf(arena, "cache hints are for global memory, and this %s is in shared",
                           name);
}
