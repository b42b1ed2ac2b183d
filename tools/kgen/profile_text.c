// SPDX-License-Identifier: MIT
// Profiles as tables. A column that is empty in all rows is left out.
#include "output.h"
#include "profile_view.h"
#include <stdlib.h>
#include <string.h>

enum { CELL = 24, WIDTH = 100, LEAST_TEXT = 24 };

// ---- numbers -----------------------------------------------------------------------------------

// As it is up to six digits, else 1.23M.
static void count_text(uint64_t n, char *text)
{
    static const char units[] = "kMGTPE";
    double value = (double)n / 1000;
    int unit = 0;
    if (n < 1000000) {
        snprintf(text, CELL, "%llu", (unsigned long long)n);
        return;
    }
    while (value >= 999.5 && units[unit + 1]) {
        value /= 1000;
        unit++;
    }
    snprintf(text, CELL, "%.*f%c", value < 9.995 ? 2 : value < 99.95 ? 1 : 0, value, units[unit]);
}

static void scaled_text(double value, const char *unit, char *text)
{
    static const char *const prefixes[] = {"", "k", "M", "G", "T", "P"};
    int i = 0;
    while (value >= 999.5 && i < 5) {
        value /= 1000;
        i++;
    }
    int digits = i == 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
    snprintf(text, CELL, "%.*f%s%s%s", digits, value, *unit ? " " : "", prefixes[i], unit);
}

static void ratio_text(uint64_t n, uint64_t ideal, char *text)
{
    *text = 0;
    if (ideal) snprintf(text, CELL, "%.2fx", (double)n / (double)ideal);
}

static void percent_text(uint64_t part, uint64_t whole, char *text)
{
    *text = 0;
    if (whole) snprintf(text, CELL, "%.1f%%", 100.0 * (double)part / (double)whole);
}

static void nonzero_text(uint64_t n, char *text)
{
    *text = 0;
    if (n) count_text(n, text);
}

// ---- columns -----------------------------------------------------------------------------------

typedef void cell_fn(const profile_view *view, const profile_row *row, char *text);

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static void source_place(const profile_view *view, const profile_row *row, char *text)
{
    const kgen_instruction_profile *p = &row->sum;
    if (!p->source_file)
        snprintf(text, CELL, "-");
    else if (view->several)
        snprintf(text, CELL, "%.15s:%d", base_name(p->source_file), p->source_line);
    else
        snprintf(text, CELL, "%d", p->source_line);
}

static void ptx_place(const profile_view *view, const profile_row *row, char *text)
{
    snprintf(text, CELL, "%d", row->sum.line);
}

static void warps(const profile_view *view, const profile_row *row, char *text)
{
    count_text(row->sum.executions, text);
}

static void share(const profile_view *view, const profile_row *row, char *text)
{
    percent_text(row->sum.executions, view->total.executions, text);
}

static void active(const profile_view *view, const profile_row *row, char *text)
{
    percent_text(row->sum.lanes, 32 * (row->sum.executions - row->sum.skipped), text);
}

// A count, and how many times the ideal it is.
static void against_ideal(uint64_t n, uint64_t ideal, char *text)
{
    char count[CELL], ratio[CELL];
    *text = 0;
    if (!n) return;
    count_text(n, count);
    ratio_text(n, ideal, ratio);
    snprintf(text, CELL, "%.12s %6.8s", count, ratio);
}

static void wavefronts(const profile_view *view, const profile_row *row, char *text)
{
    against_ideal(row->sum.shared_wavefronts, row->sum.shared_ideal, text);
}

static void sectors(const profile_view *view, const profile_row *row, char *text)
{
    against_ideal(row->sum.global_sectors, row->sum.global_ideal_sectors, text);
}

static void local(const profile_view *view, const profile_row *row, char *text)
{
    nonzero_text(row->sum.local_read + row->sum.local_written, text);
}

static void contended(const profile_view *view, const profile_row *row, char *text)
{
    if (row->sum.atomics)
        percent_text(row->sum.atomics_contended, row->sum.atomics, text);
    else
        *text = 0;
}

static void products(const profile_view *view, const profile_row *row, char *text)
{
    nonzero_text(row->sum.multiply_adds, text);
}

enum { PLACE_LINE, PLACE_PTX }; // of columns
static const struct column {
    const char *title;
    cell_fn *cell;
} columns[] = {
    {"line", source_place},     {"PTX", ptx_place},      {"warps", warps},
    {"share", share},           {"lanes", active},       {"wavefronts", wavefronts},
    {"sectors", sectors},       {"local bytes", local},  {"contended", contended},
    {"multiply-adds", products},
};
enum { N_COLUMNS = sizeof columns / sizeof *columns };

// ---- tables ------------------------------------------------------------------------------------

static void print_rest(const profile_row *row, int used)
{
    int room = WIDTH - used - 2 < LEAST_TEXT ? LEAST_TEXT : WIDTH - used - 2;
    int length = row->length < room ? row->length : room - 3;
    char *text = format_text("%.*s%s", row->text ? length : 0, row->text ? row->text : "",
                             row->text && length < row->length ? "..." : "");
    for (char *c = text; *c; c++)
        if (*c == '\t') *c = ' ';
    printf("  %s\n", text);
    free(text);
}

// Widths of the columns; 0: left out.
static void measure(const profile_view *view, const profile_row *rows, size_t n, bool of_lines,
                    int *widths)
{
    for (int c = 0; c < N_COLUMNS; c++) {
        int width = 0;
        for (size_t i = 0; i < n; i++) {
            char text[CELL];
            columns[c].cell(view, &rows[i], text);
            width = (int)strlen(text) > width ? (int)strlen(text) : width;
        }
        int title = (int)strlen(columns[c].title);
        widths[c] = !width ? 0 : width < title ? title : width;
    }
    if (of_lines) widths[PLACE_PTX] = 0;
    bool placed = false;
    for (size_t i = 0; i < n; i++) placed |= rows[i].sum.source_file != NULL;
    if (!placed) widths[PLACE_LINE] = 0;
}

static void print_table(const profile_view *view, const profile_row *rows, size_t n, size_t top,
                        bool of_lines)
{
    int widths[N_COLUMNS], used = 0;
    size_t shown = top && top < n ? top : n;
    measure(view, rows, shown, of_lines, widths);
    for (int c = 0; c < N_COLUMNS; c++)
        if (widths[c]) used += printf("  %*s", widths[c], columns[c].title);
    printf("  %s\n", of_lines ? "source" : "instruction");
    for (size_t i = 0; i < shown; i++) {
        for (int c = 0; c < N_COLUMNS; c++) {
            char text[CELL];
            if (!widths[c]) continue;
            columns[c].cell(view, &rows[i], text);
            printf("  %*s", widths[c], text);
        }
        print_rest(&rows[i], used);
    }
    if (shown < n) printf("  and %zu more\n", n - shown);
}

static void print_heading(const char *what, size_t n, profile_sort sort)
{
    if (!n)
        printf("\n%s by %s: none has any\n", what, profile_sort_words[sort]);
    else if (sort == SORT_LINE)
        printf("\n%s\n", what);
    else
        printf("\n%s by %s\n", what, profile_sort_words[sort]);
}

// ---- totals ------------------------------------------------------------------------------------

static void print_instructions(const kgen_instruction_profile *t)
{
    char warps_text[CELL], lanes_text[CELL], part[CELL], partial_part[CELL];
    count_text(t->executions, warps_text);
    count_text(t->lanes, lanes_text);
    percent_text(t->lanes, 32 * (t->executions - t->skipped), part);
    percent_text(t->partial, t->executions, partial_part);
    printf("  instructions  %s by warps, %s by lanes: %s of the lanes take part, %s are partial\n",
           warps_text, lanes_text, part, partial_part);
}

static void print_shared(const kgen_instruction_profile *t)
{
    char accesses[CELL], waves[CELL], conflicts[CELL], ratio[CELL], read[CELL], written[CELL];
    if (!t->shared_accesses) return;
    count_text(t->shared_accesses, accesses);
    count_text(t->shared_wavefronts, waves);
    count_text(t->shared_wavefronts - t->shared_ideal, conflicts);
    ratio_text(t->shared_wavefronts, t->shared_ideal, ratio);
    scaled_text((double)t->shared_read, "B", read);
    scaled_text((double)t->shared_written, "B", written);
    printf("  shared        %s accesses, %s wavefronts: %s of ideal, bank conflicts %s\n"
           "                %s read, %s written\n",
           accesses, waves, ratio, conflicts, read, written);
}

static void print_global(const kgen_instruction_profile *t)
{
    char accesses[CELL], sector_count[CELL], sector_part[CELL], lines[CELL], line_part[CELL],
        read[CELL], written[CELL];
    if (!t->global_accesses) return;
    count_text(t->global_accesses, accesses);
    count_text(t->global_sectors, sector_count);
    ratio_text(t->global_sectors, t->global_ideal_sectors, sector_part);
    count_text(t->global_lines, lines);
    ratio_text(t->global_lines, t->global_ideal_lines, line_part);
    scaled_text((double)t->global_read, "B", read);
    scaled_text((double)t->global_written, "B", written);
    printf("  global        %s accesses, %s sectors: %s of ideal, %s lines: %s of ideal\n"
           "                %s read, %s written\n",
           accesses, sector_count, sector_part, lines, line_part, read, written);
}

static void print_others(const kgen_instruction_profile *t)
{
    char a[CELL], b[CELL];
    if (t->local_read || t->local_written) {
        scaled_text((double)t->local_read, "B", a);
        scaled_text((double)t->local_written, "B", b);
        printf("  local         %s read, %s written\n", a, b);
    }
    if (t->arrivals || t->waits) {
        count_text(t->arrivals, a);
        count_text(t->waits, b);
        printf("  barriers      arrivals %s, waits %s\n", a, b);
    }
    if (t->atomics) {
        count_text(t->atomics, a);
        percent_text(t->atomics_contended, t->atomics, b);
        printf("  atomics       %s by lanes, %s behind another on the same address\n", a, b);
    }
    if (t->multiply_adds) {
        count_text(t->multiply_adds, a);
        printf("  tensor cores  %s multiply-adds\n", a);
    }
}

static void print_formula(const kgen_instruction_profile *t, const profile_formula *f)
{
    char done[CELL], formula[CELL];
    double flop = 2.0 * (double)t->multiply_adds, bytes = 32.0 * (double)t->global_sectors;
    if (f->flop > 0 && t->multiply_adds) {
        scaled_text(flop, "", done);
        scaled_text(f->flop, "", formula);
        printf("  FLOP          %s on tensor cores, %s by formula: %.2fx\n", done, formula,
               flop / f->flop);
    }
    if (f->bytes > 0 && bytes > 0) {
        scaled_text(bytes, "B", done);
        scaled_text(f->bytes, "B", formula);
        printf("  bytes         %s in global sectors, %s by formula: %.2fx (caches left aside)\n",
               done, formula, bytes / f->bytes);
    }
}

void profile_print(const profile_view *view, const profile_form *form,
                   const profile_formula *formula)
{
    bool placed = view->n_sources > 0;
    if (form->by_line && (placed || !form->by_instruction)) {
        print_heading("source lines", view->n_lines, form->sort);
        if (view->n_lines) print_table(view, view->lines, view->n_lines, (size_t)form->top, true);
    }
    if (form->by_instruction) {
        print_heading("instructions", view->n_instructions, form->sort);
        if (view->n_instructions)
            print_table(view, view->instructions, view->n_instructions, (size_t)form->top, false);
    }
    puts("\ntotal");
    print_instructions(&view->total);
    print_shared(&view->total);
    print_global(&view->total);
    print_others(&view->total);
    print_formula(&view->total, formula);
}
