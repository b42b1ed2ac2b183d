// SPDX-License-Identifier: MIT
// A kernel and the PTX emitted for it, for tests that hold the one against the other. To be
// included by one file of a test, behind the headers of cmocka.
#pragma once
#include "codegen/codegen.h"

typedef struct world {
    kg_arena arena;
    kg_diags diags;
    kg_source source;
    kg_kernel *kernel;
    kg_codegen *codegen;
    kg_codegen_output out;
} world;

static jmp_buf no_memory; // set it before the first use of a world

// Parses the text; a kernel comes of it, or diagnostics.
static void open_world(world *w, const char *name, const char *text)
{
    *w = (world){.codegen = kg_codegen_new(NULL)};
    assert_non_null(w->codegen);
    kg_arena_init(&w->arena, NULL);
    w->arena.recovery = &no_memory;
    w->diags.arena = &w->arena;
    w->source = (kg_source){name, text, strlen(text)};
    kg_unit *unit = kg_parse(&w->arena, &w->diags, &w->source, NULL, 0);
    w->kernel = unit ? unit->kernels : NULL;
}

static void close_world(world *w)
{
    kg_codegen_free(w->codegen);
    kg_arena_free(&w->arena);
}

// Does the text match the kernel? A finding must have the right id.
static bool matches_kernel(world *w, const char *ptx, size_t length)
{
    kg_diags diags = {.arena = &w->arena};
    bool fine = kg_codegen_check(w->kernel, ptx, length, NULL, &w->arena, &diags);
    assert_int_equal(fine, diags.errors == 0);
    if (!fine) assert_int_equal(diags.first->id, KG_D_C604);
    return fine;
}
