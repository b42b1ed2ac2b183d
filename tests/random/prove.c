// SPDX-License-Identifier: MIT
// Built only where there is a validator: see meson.build.
#include "prove.h"
#include "passes/validate/validate.h"

#include <stdio.h>
#include <string.h>

static bool validate(kg_arena *arena, kg_unit *unit, char *why, size_t size)
{
    kg_validation v = {0};
    if (kg_validate(arena, unit->kernels, &v) == KG_PROVED) return true;
    snprintf(why, size, "%s: %s; lines %d and %d of the IR, threads %d and %d, byte %lld\n%s",
             v.verdict == KG_WITNESS ? "witness" : "unknown", v.what ? v.what : "",
             v.a ? v.a->loc.line : 0, v.b ? v.b->loc.line : 0, v.thread_a, v.thread_b,
             (long long)v.byte, v.schedule ? v.schedule : "");
    return false;
}

bool prove(const char *synced_ir, char *why, size_t size)
{
    kg_arena arena;
    jmp_buf recovery;
    bool proved = false;
    kg_arena_init(&arena, NULL);
    arena.recovery = &recovery;
    snprintf(why, size, "unknown: out of memory");
    if (!setjmp(recovery)) {
        kg_diags diags = {.arena = &arena};
        kg_source source = {"synced", synced_ir, strlen(synced_ir)};
        kg_unit *unit = kg_parse(&arena, &diags, &source, NULL, 0);
        if (unit)
            proved = validate(&arena, unit, why, size);
        else
            snprintf(why, size, "unknown: the synced IR does not parse");
    }
    kg_arena_free(&arena);
    return proved;
}
