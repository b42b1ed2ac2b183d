// SPDX-License-Identifier: MIT
// A profile as rows to print: instructions or source lines, with the source text, sorted.
#include "profile_view.h"
#include "output.h"
#include <stdlib.h>
#include <string.h>

const char *const profile_sort_words[] = {"warps",     "lanes",   "partial", "wavefronts",
                                          "conflicts", "sectors", "excess",  "bytes",
                                          "atomics",   "macs",    "line",    NULL};

// ---- texts -------------------------------------------------------------------------------------

static void index_lines(line_index *index, const char *name, const char *text)
{
    size_t length = strlen(text);
    *index = (line_index){.name = format_text("%s", name), .text = must(malloc(length + 1))};
    memcpy(index->text, text, length + 1);
    for (size_t i = 0; i < length; i++) index->lines += text[i] == '\n';
    index->lines += length && text[length - 1] != '\n';
    index->starts = must(malloc((index->lines + 1) * sizeof *index->starts));
    size_t at = 0;
    for (size_t i = 0; i < index->lines; i++) {
        index->starts[i] = at;
        at += strcspn(text + at, "\n") + 1;
    }
    index->starts[index->lines] = at > length ? length : at;
}

static void free_index(line_index *index)
{
    free(index->name);
    free(index->text);
    free(index->starts);
}

static void find_text(const line_index *index, int line, profile_row *row)
{
    row->number = line;
    if (!index || line < 1 || (size_t)line > index->lines) return;
    const char *start = index->text + index->starts[line - 1];
    const char *end = index->text + index->starts[line];
    while (start < end && strchr(" \t\r\n", *start)) start++;
    while (end > start && strchr(" \t\r\n", end[-1])) end--;
    row->text = start;
    row->length = (int)(end - start);
}

// A file that a .loc names; it is no error when it is not there.
static char *read_quietly(const char *path)
{
    enum { MOST_BYTES = 16 << 20 };
    FILE *file = fopen(path, "rb");
    if (!file) return NULL;
    char *text = must(malloc(MOST_BYTES + 1));
    size_t length = fread(text, 1, MOST_BYTES, file);
    fclose(file);
    text[length] = 0;
    if (!length) {
        free(text);
        return NULL;
    }
    return must(realloc(text, length + 1));
}

static const line_index *source_of(profile_view *view, const char *file, const char *given)
{
    if (!file) return NULL;
    for (size_t i = 0; i < view->n_sources; i++)
        if (!strcmp(view->sources[i].name, file)) return &view->sources[i];
    char *text = given ? NULL : read_quietly(file);
    view->sources = must(realloc(view->sources, (view->n_sources + 1) * sizeof *view->sources));
    line_index *index = &view->sources[view->n_sources++];
    index_lines(index, file, given ? given : text ? text : "");
    free(text);
    return index;
}

// ---- sums --------------------------------------------------------------------------------------

static void add(kgen_instruction_profile *into, const kgen_instruction_profile *from)
{
    into->executions += from->executions;
    into->lanes += from->lanes;
    into->skipped += from->skipped;
    into->partial += from->partial;
    into->shared_accesses += from->shared_accesses;
    into->shared_wavefronts += from->shared_wavefronts;
    into->shared_ideal += from->shared_ideal;
    into->global_accesses += from->global_accesses;
    into->global_sectors += from->global_sectors;
    into->global_ideal_sectors += from->global_ideal_sectors;
    into->global_lines += from->global_lines;
    into->global_ideal_lines += from->global_ideal_lines;
    into->global_read += from->global_read;
    into->global_written += from->global_written;
    into->shared_read += from->shared_read;
    into->shared_written += from->shared_written;
    into->local_read += from->local_read;
    into->local_written += from->local_written;
    into->arrivals += from->arrivals;
    into->waits += from->waits;
    into->atomics += from->atomics;
    into->atomics_contended += from->atomics_contended;
    into->multiply_adds += from->multiply_adds;
}

static int by_source(const void *left, const void *right)
{
    const profile_row *a = left, *b = right;
    const char *fa = a->sum.source_file, *fb = b->sum.source_file;
    if (!fa != !fb) return fa ? -1 : 1;
    int order = fa ? strcmp(fa, fb) : 0;
    if (order) return order;
    if (a->sum.source_line != b->sum.source_line)
        return a->sum.source_line < b->sum.source_line ? -1 : 1;
    return a->sum.line < b->sum.line ? -1 : a->sum.line > b->sum.line;
}

static bool same_line(const kgen_instruction_profile *a, const kgen_instruction_profile *b)
{
    if (!a->source_file || !b->source_file) return a->source_file == b->source_file;
    return a->source_line == b->source_line && !strcmp(a->source_file, b->source_file);
}

// Instructions sorted by source line become one row for each; line 0 are those without one.
static void make_lines(profile_view *view, const char *source)
{
    size_t n = view->n_instructions;
    view->lines = must(malloc((n + 1) * sizeof *view->lines));
    memcpy(view->lines, view->instructions, n * sizeof *view->lines);
    qsort(view->lines, n, sizeof *view->lines, by_source);
    for (size_t i = 0; i < n; i++) {
        profile_row *last = view->n_lines ? &view->lines[view->n_lines - 1] : NULL;
        profile_row row = view->lines[i];
        if (last && same_line(&last->sum, &row.sum)) {
            add(&last->sum, &row.sum);
            continue;
        }
        row.text = NULL;
        view->lines[view->n_lines++] = row;
    }
    for (size_t i = 0; i < view->n_lines; i++) {
        const kgen_instruction_profile *sum = &view->lines[i].sum;
        find_text(source_of(view, sum->source_file, source),
                  sum->source_file ? sum->source_line : 0, &view->lines[i]);
        view->several |= sum->source_file && view->lines[0].sum.source_file &&
                         strcmp(sum->source_file, view->lines[0].sum.source_file);
    }
}

void profile_view_make(profile_view *view, const instruction_list *list, const char *ptx,
                       const char *source)
{
    *view = (profile_view){.n_instructions = list->n};
    index_lines(&view->ptx, "", ptx);
    view->instructions = must(calloc(list->n + 1, sizeof *view->instructions));
    for (size_t i = 0; i < list->n; i++) {
        view->instructions[i].sum = list->rows[i];
        find_text(&view->ptx, list->rows[i].line, &view->instructions[i]);
        add(&view->total, &list->rows[i]);
    }
    make_lines(view, source);
}

void profile_view_free(profile_view *view)
{
    free_index(&view->ptx);
    for (size_t i = 0; i < view->n_sources; i++) free_index(&view->sources[i]);
    free(view->sources);
    free(view->instructions);
    free(view->lines);
}

// ---- order -------------------------------------------------------------------------------------

static uint64_t key_of(const kgen_instruction_profile *p, profile_sort by)
{
    switch (by) {
    case SORT_LANES:
        return p->lanes;
    case SORT_PARTIAL:
        return p->partial;
    case SORT_WAVEFRONTS:
        return p->shared_wavefronts;
    case SORT_CONFLICTS:
        return p->shared_wavefronts - p->shared_ideal;
    case SORT_SECTORS:
        return p->global_sectors;
    case SORT_EXCESS:
        return p->global_sectors - p->global_ideal_sectors;
    case SORT_BYTES:
        return p->global_read + p->global_written + p->shared_read + p->shared_written +
               p->local_read + p->local_written;
    case SORT_ATOMICS:
        return p->atomics;
    case SORT_MACS:
        return p->multiply_adds;
    case SORT_WARPS:
    case SORT_LINE:
        break;
    }
    return p->executions;
}

// qsort has no argument of its own: the key stands in the row while it is sorted. Of equals those
// that move more go first.
typedef struct keyed_row {
    uint64_t key, second;
    size_t place;
    profile_row row;
} keyed_row;

static int by_key(const void *left, const void *right)
{
    const keyed_row *a = left, *b = right;
    if (a->key != b->key) return a->key > b->key ? -1 : 1;
    if (a->second != b->second) return a->second > b->second ? -1 : 1;
    return a->place < b->place ? -1 : 1;
}

// About what a tensor core does while a wavefront or a sector is served.
enum { MACS_A_CYCLE = 256 };

static size_t sort_rows(profile_row *rows, size_t n, profile_sort by)
{
    keyed_row *keyed = must(malloc((n + 1) * sizeof *keyed));
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        uint64_t key = key_of(&rows[i].sum, by);
        const kgen_instruction_profile *p = &rows[i].sum;
        uint64_t second =
            p->shared_wavefronts + p->global_sectors + p->multiply_adds / MACS_A_CYCLE;
        if (key && by == SORT_LINE) key = 1, second = 0;
        if (key) keyed[kept++] = (keyed_row){key, second, i, rows[i]};
    }
    qsort(keyed, kept, sizeof *keyed, by_key);
    for (size_t i = 0; i < kept; i++) rows[i] = keyed[i].row;
    free(keyed);
    return kept;
}

void profile_view_sort(profile_view *view, profile_sort by)
{
    view->n_instructions = sort_rows(view->instructions, view->n_instructions, by);
    view->n_lines = sort_rows(view->lines, view->n_lines, by);
}
