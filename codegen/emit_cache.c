// SPDX-License-Identifier: MIT
// What accesses to global memory ask of the caches: a cache operator, or a policy of L2, which is
// made once where its region starts.
#include "codegen/emit.h"

cg_value emit_policy(kg_emit *e, const kg_op *op)
{
    int priority = (int)kg_cache_of(op) - KG_CACHE_EVICT_FIRST;
    if (priority < 0) return NULL;
    if (e->policies[priority]) return e->policies[priority];
    cg_block here = cg_detour_begin(e->m, e->region_start);
    e->policies[priority] =
        cg_special(e->m, (enum cg_ptx_id)(CG_PTX_POLICY_EVICT_FIRST + priority));
    cg_detour_end(e->m, here);
    return e->policies[priority];
}

void emit_cache(kg_emit *e, const kg_op *op, struct cg_access *access)
{
    static const char *const operators[KG_CACHE_COUNT] = {[KG_CACHE_CG] = ".cg",
                                                          [KG_CACHE_CS] = ".cs",
                                                          [KG_CACHE_WT] = ".wt",
                                                          [KG_CACHE_NO_ALLOCATE] =
                                                              ".L1::no_allocate"};
    access->cache = operators[kg_cache_of(op)];
    access->policy = emit_policy(e, op);
}
