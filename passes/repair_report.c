// SPDX-License-Identifier: MIT
// What was considered instead of synchronization, as text. See repair.h.
#include "passes/repair.h"

static const char *cost_text(kg_arena *arena, int64_t cost)
{
    if (cost >= KG_DOES_NOT_FIT) return "does not fit";
    return kg_arena_printf(arena, "%lld", (long long)cost);
}

char *kg_repairs_explain(kg_arena *arena, const kg_repairs *repairs)
{
    char *text = kg_arena_printf(arena, "%s", "");
    if (!repairs->count && !repairs->summary) return text;
    text = kg_arena_printf(arena, "repairs\n");
    for (int i = 0; i < repairs->count; i++) {
        const kg_repair_note *n = &repairs->items[i];
        const char *place = n->loc.line ? kg_arena_printf(arena, "line %d: ", n->loc.line) : "";
        text = kg_arena_printf(arena, "%s  %s: %s%s: %s; cost %s -> %s\n", text,
                               n->verdict == KG_REPAIR_TAKEN ? "taken" : "not taken", place,
                               n->what, n->text, cost_text(arena, n->cost_before),
                               cost_text(arena, n->cost_after));
    }
    if (repairs->summary) text = kg_arena_printf(arena, "%s  %s\n", text, repairs->summary);
    return text;
}
