// SPDX-License-Identifier: MIT
// From a judged program to the edits that leave it with the cheapest set of syncs.
#pragma once
#include "passes/sync/judge.h"

typedef enum kg_edit_kind {
    KG_EDIT_REMOVE, // the sync at this place
    KG_EDIT_COUNT,  // the wait at this place leaves `count` groups
    KG_EDIT_BEFORE, // `lines` in front of the statement at this place
    KG_EDIT_BEHIND, // `lines` behind it
    KG_EDIT_YIELD,  // `lines` at the end of the condition of the `while` at this place
    KG_EDIT_END // `lines` at the end of block `block` of the op at this place; line 0: the kernel
} kg_edit_kind;

typedef struct kg_sync_edit {
    kg_edit_kind kind;
    int line, column;
    int block, count;
    const char *lines[2]; // [1] may be NULL
} kg_sync_edit;

typedef struct kg_sync_edits {
    kg_sync_edit *items;
    int count, capacity;
} kg_sync_edits;

// Compares what stays of the author's syncs, with what it lacks added, with the cheapest set for
// the same program without any, and takes the cheaper. Only what serves buffers of the text is
// written; what the passes' own exchange needs is left to them. Spends the judgement.
bool kg_sync_minimize(kg_judgement *j, kg_diags *diags, kg_sync_edits *out);

// The text of the kernel at `kernel_line` with the edits made; NULL where the text has no place for
// one of them. edit.c
char *kg_sync_edit_text(kg_arena *arena, const kg_source *source, int kernel_line,
                        const kg_sync_edits *edits);
// The same on the parsed kernel; an edit within a statement splits it when it is printed.
bool kg_sync_edit_kernel(kg_kernel *kernel, const kg_sync_edits *edits);
