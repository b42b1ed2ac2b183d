// SPDX-License-Identifier: MIT
// What was considered instead of synchronization, as text. See repair.h.
#include "passes/repair.h"

char *kg_repairs_explain(kg_arena *arena, const kg_repairs *repairs)
{
    char *text = kg_arena_printf(arena, "%s", "");
    if (!repairs->count && !repairs->summary) return text;
    text = kg_arena_printf(arena, "repairs\n");
    for (int i = 0; i < repairs->count; i++) {
        const kg_repair_note *n = &repairs->items[i];
        const char *place = n->loc.line ? kg_arena_printf(arena, " (line %d)", n->loc.line) : "";
        text = kg_arena_printf(arena, "%s  %s: %s%s: %s; cost %lld -> %lld\n", text,
                               n->verdict == KG_VERDICT_TAKEN ? "taken" : "not taken", n->what,
                               place, n->text, (long long)n->cost_before, (long long)n->cost_after);
    }
    if (repairs->summary) text = kg_arena_printf(arena, "%s  %s\n", text, repairs->summary);
    return text;
}
