// SPDX-License-Identifier: MIT
// The text form under libFuzzer. Any input gives findings or a unit; a unit that the verifier
// accepts prints to a text that parses back to the same IR and prints the same again. Anything else
// is a bug and aborts.
#include "ir/ir.h"
#include <stdlib.h>
#include <string.h>

static void must(bool holds)
{
    if (!holds) abort();
}

// Findings must render whatever place they point to.
static void render(kg_arena *arena, const kg_diags *diags)
{
    int shown = 0;
    for (const kg_diag *d = diags->first; d && shown < 8; d = d->next, shown++)
        kg_diag_render(arena, d, false);
}

static kg_unit *read(kg_arena *arena, const char *text, size_t length)
{
    kg_source *source = KG_NEW(arena, kg_source);
    kg_diags *diags = KG_NEW(arena, kg_diags);
    *source = (kg_source){"fuzz.kg", text, length};
    diags->arena = arena;
    kg_unit *unit = kg_parse(arena, diags, source, NULL, 0);
    must(unit || diags->errors);
    render(arena, diags);
    bool legal = unit != NULL;
    for (kg_kernel *k = unit ? unit->kernels : NULL; k; k = k->next) {
        kg_diags found = {.arena = arena};
        legal &= kg_verify(k, &found);
        render(arena, &found);
    }
    return legal ? unit : NULL;
}

static void round_trip(kg_arena *arena, kg_unit *unit)
{
    char *text = kg_print_unit(arena, unit);
    kg_unit *again = read(arena, text, strlen(text));
    must(again != NULL);
    kg_kernel *a = unit->kernels, *b = again->kernels;
    for (; a && b; a = a->next, b = b->next) must(kg_kernel_equal(a, b));
    must(!a && !b);
    must(!strcmp(text, kg_print_unit(arena, again)));
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    kg_arena arena;
    jmp_buf recovery;
    kg_arena_init(&arena, NULL);
    arena.recovery = &recovery;
    if (setjmp(recovery) == 0) {
        kg_unit *unit = read(&arena, (const char *)data, size);
        if (unit) round_trip(&arena, unit);
    }
    kg_arena_free(&arena);
    return 0;
}
