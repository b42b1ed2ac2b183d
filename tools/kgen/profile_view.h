// SPDX-License-Identifier: MIT
// A profile as rows to print: instructions or source lines, with the source text, sorted.
#pragma once
#include "task_runner.h"
#include <jansson.h>

typedef enum profile_sort {
    SORT_WARPS,
    SORT_LANES,
    SORT_PARTIAL,
    SORT_WAVEFRONTS,
    SORT_CONFLICTS,
    SORT_SECTORS,
    SORT_EXCESS,
    SORT_BYTES,
    SORT_ATOMICS,
    SORT_MACS,
    SORT_LINE
} profile_sort;
extern const char *const profile_sort_words[]; // by profile_sort

typedef struct profile_row {
    kgen_instruction_profile sum; // of a source line: line and instruction are of its first
    int number;                   // of the line that `text` is
    const char *text;             // without what is blank around it; NULL: not known
    int length;
} profile_row;

// A text by lines.
typedef struct line_index {
    char *name, *text; // owned
    size_t *starts;    // of lines, and one past the last
    size_t lines;
} line_index;

typedef struct profile_view {
    profile_row *instructions, *lines;
    size_t n_instructions, n_lines;
    kgen_instruction_profile total;
    line_index ptx;
    line_index *sources; // of source_file: given, or read as far as they are there
    size_t n_sources;
    bool several; // the rows are of more than one source file
} profile_view;

// `source` (may be NULL) is the text that .loc lines of any file of the PTX mean.
void profile_view_make(profile_view *view, const instruction_list *list, const char *ptx,
                       const char *source);
void profile_view_free(profile_view *view);
// Both tables, each from the largest to the smallest; rows that have nothing of it go.
void profile_view_sort(profile_view *view, profile_sort by);

// What the user asked for.
typedef struct profile_form {
    profile_sort sort;
    bool by_line, by_instruction;
    int64_t top; // rows of each table; 0: all
} profile_form;

// Of the whole task by the usual formulas; 0: not known.
typedef struct profile_formula {
    double flop, bytes;
} profile_formula;

// The tables and the totals (profile_text.c).
void profile_print(const profile_view *view, const profile_form *form,
                   const profile_formula *formula);
// "lines", "instructions" and "totals" into an object (profile_json.c).
void profile_add_json(json_t *object, const profile_view *view, const profile_form *form,
                      const profile_formula *formula);
