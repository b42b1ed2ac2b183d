// SPDX-License-Identifier: MIT
// Diagnostics: every finding of a compilation, collected, never printed by the library.
//
// A diagnostic has a stable id (diag.def), a severity, a place, a text, notes at other places and
// at most one help line with the way out. The text carries no newline and no trailing full stop.
#pragma once
#include "ir/arena.h"
#include <stdbool.h>
#include <stdint.h>

typedef struct kg_source {
    const char *name; // as given by the user: path or "<stdin>"
    const char *text;
    size_t length;
} kg_source;

// Lines and columns count from 1; line 0 means "no place". Columns are bytes.
typedef struct kg_loc {
    const kg_source *source; // may be NULL
    int32_t line, column, length;
} kg_loc;

typedef enum kg_severity { KG_NOTE, KG_WARNING, KG_ERROR } kg_severity;

// Ids by area: P parse, T types, V verifier, L lowering, M memory, S synchronization, C codegen, R
// runtime.
typedef enum kg_diag_id {
#define KG_DIAG(id, text) KG_D_##id,
#include "ir/diag.def"
#undef KG_DIAG
    KG_DIAG_COUNT
} kg_diag_id;

typedef struct kg_diag kg_diag;
struct kg_diag {
    kg_severity severity;
    kg_diag_id id;
    kg_loc loc;
    const char *text;
    const char *help; // or NULL
    kg_diag *notes;   // in order; severity KG_NOTE
    kg_diag *next;
};

typedef struct kg_diags {
    kg_arena *arena;
    kg_diag *first, *last;
    int errors, warnings;
    int limit; // errors kept; more are counted only. 0 means 100
} kg_diags;

// Adds a finding and returns it, so that notes and help can be attached. Never NULL.
kg_diag *kg_error(kg_diags *diags, kg_diag_id id, kg_loc loc, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
kg_diag *kg_warn(kg_diags *diags, kg_diag_id id, kg_loc loc, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void kg_diag_note(kg_diags *diags, kg_diag *diag, kg_loc loc, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void kg_diag_help(kg_diags *diags, kg_diag *diag, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

const char *kg_diag_id_name(kg_diag_id id); // "KG-S104"

// Renders "file:line:col: error: text [KG-S104]", the source line, a caret line, notes and help,
// each line ended by '\n', into arena memory. With colour, ANSI sequences.
char *kg_diag_render(kg_arena *arena, const kg_diag *diag, bool colour);

// The nearest of `count` names to `word` within a third of its length, or NULL: for "did you mean".
const char *kg_nearest_name(const char *word, const char *const *names, int count);
