// SPDX-License-Identifier: MIT
// Profiles as JSON.
#include "json.h"
#include "output.h"
#include "profile_view.h"
#include <stdlib.h>

static json_int_t whole(uint64_t n)
{
    return (json_int_t)n;
}

static json_t *json_of_counts(const kgen_instruction_profile *p)
{
    json_t *shared = must(
        json_pack("{s:I, s:I, s:I, s:I, s:I}", "accesses", whole(p->shared_accesses), "wavefronts",
                  whole(p->shared_wavefronts), "ideal_wavefronts", whole(p->shared_ideal),
                  "bytes_read", whole(p->shared_read), "bytes_written", whole(p->shared_written)));
    json_t *global = must(json_pack(
        "{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "accesses", whole(p->global_accesses), "sectors",
        whole(p->global_sectors), "ideal_sectors", whole(p->global_ideal_sectors), "lines",
        whole(p->global_lines), "ideal_lines", whole(p->global_ideal_lines), "bytes_read",
        whole(p->global_read), "bytes_written", whole(p->global_written)));
    json_t *local = must(json_pack("{s:I, s:I}", "bytes_read", whole(p->local_read),
                                   "bytes_written", whole(p->local_written)));
    return must(json_pack("{s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:I, s:I, s:I, s:I, s:I}", "warps",
                          whole(p->executions), "lanes", whole(p->lanes), "skipped",
                          whole(p->skipped), "partial", whole(p->partial), "shared", shared,
                          "global", global, "local", local, "barrier_arrivals", whole(p->arrivals),
                          "barrier_waits", whole(p->waits), "atomics", whole(p->atomics),
                          "atomics_contended", whole(p->atomics_contended), "multiply_adds",
                          whole(p->multiply_adds)));
}

static json_t *json_of_rows(const profile_row *rows, size_t n, int64_t top, bool of_lines)
{
    json_t *list = must(json_array());
    for (size_t i = 0; i < n && (!top || i < (size_t)top); i++) {
        const kgen_instruction_profile *p = &rows[i].sum;
        char *text = rows[i].text ? format_text("%.*s", rows[i].length, rows[i].text) : NULL;
        json_t *row = must(json_object());
        if (!of_lines) {
            json_object_set_new(row, "line", json_integer(p->line));
            json_object_set_new(row, "instruction", json_text(p->instruction));
        }
        json_object_set_new(row, "source_file", json_text(p->source_file));
        json_object_set_new(row, "source_line", json_integer(p->source_line));
        json_object_set_new(row, "text", json_text(text));
        json_object_set_new(row, "counts", json_of_counts(p));
        json_array_append_new(list, row);
        free(text);
    }
    return list;
}

void profile_add_json(json_t *object, const profile_view *view, const profile_form *form,
                      const profile_formula *formula)
{
    json_object_set_new(object, "total", json_of_counts(&view->total));
    json_object_set_new(object, "formula",
                        formula->flop > 0 || formula->bytes > 0
                            ? json_pack("{s:o, s:o}", "flop", json_number(formula->flop), "bytes",
                                        json_number(formula->bytes))
                            : json_null());
    if (form->by_line)
        json_object_set_new(object, "lines",
                            json_of_rows(view->lines, view->n_lines, form->top, true));
    if (form->by_instruction)
        json_object_set_new(
            object, "instructions",
            json_of_rows(view->instructions, view->n_instructions, form->top, false));
}
