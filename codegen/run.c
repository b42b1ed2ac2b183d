// SPDX-License-Identifier: MIT
//
// A run of templates as one inline assembly. LLVM's time goes with the operands of its calls; a
// tile product of 64 mma has 900 of them one by one, and 80 as a run: accumulators and addresses.
// The text is the same instructions in the same order, their temporaries declared in a scope of its
// own.
#include "codegen/internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

// First pass: bytes is NULL and only the length is counted.
struct writer {
    char *bytes;
    size_t length, room;
};

static void put(struct writer *w, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void put(struct writer *w, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int added = vsnprintf(w->bytes ? w->bytes + w->length : NULL,
                          w->bytes ? w->room - w->length : 0, format, arguments);
    va_end(arguments);
    if (added > 0) w->length += (size_t)added;
}

static void put_text_of(struct writer *w, const char *text, size_t length)
{
    if (w->bytes) memcpy(w->bytes + w->length, text, length);
    w->length += length;
}

static void put_operand(struct writer *w, const struct cg_run *run, const struct cg_run_operand *o)
{
    switch (o->kind) {
    case CG_RUN_VARIABLE:
        put(w, "$%u", o->index);
        break;
    case CG_RUN_INPUT:
        put(w, "$%u", run->variable_count + o->index);
        break;
    case CG_RUN_TEMPORARY:
        put(w, "%%kt%u", o->index);
        break;
    }
    if (o->offset) put(w, "+%d", o->offset);
}

// A row's text with each $n replaced.
static void put_step(struct writer *w, const struct cg_run *run, const struct cg_run_step *step)
{
    put_text_of(w, "\n\t", 2);
    for (const char *c = cg_ptx_get(step->id)->text; *c;) {
        size_t plain = strcspn(c, "$");
        put_text_of(w, c, plain);
        c += plain;
        if (!*c) return;
        unsigned index = 0;
        for (c++; *c >= '0' && *c <= '9'; c++) index = 10 * index + (unsigned)(*c - '0');
        put_operand(w, run, &step->operands[index]);
    }
}

static void put_text(struct writer *w, const struct cg_run *run)
{
    put(w, "{");
    if (run->temporary_count) put(w, "\n\t.reg .b32 %%kt<%u>;", run->temporary_count);
    for (unsigned i = 0; i < run->step_count; i++) put_step(w, run, &run->steps[i]);
    put(w, "\n\t}");
}

static char letter_of(struct cg_module *m, cg_value value)
{
    return cg_type_of(m, value) == CG_F32 ? 'f' : 'r';
}

// Variables are tied, and written before the last input is read.
static void put_constraints(struct writer *w, struct cg_module *m, const struct cg_run *run,
                            uint32_t flags)
{
    const char *comma = "";
    for (unsigned i = 0; i < run->variable_count; i++, comma = ",")
        put(w, "%s=&%c", comma, letter_of(m, run->variables[i]));
    for (unsigned i = 0; i < run->input_count; i++, comma = ",")
        put(w, "%s%c", comma, letter_of(m, run->inputs[i]));
    for (unsigned i = 0; i < run->variable_count; i++) put(w, ",%u", i);
    if (flags & CG_PTX_MEMORY) put(w, "%s~{memory}", comma);
}

static bool check_steps(struct cg_module *m, const struct cg_run *run, uint32_t *flags)
{
    struct cg_common *common = cg_common(m);
    const unsigned limits[] = {[CG_RUN_VARIABLE] = run->variable_count,
                               [CG_RUN_INPUT] = run->input_count,
                               [CG_RUN_TEMPORARY] = run->temporary_count};
    *flags = 0;
    for (unsigned i = 0; i < run->step_count; i++) {
        const struct cg_ptx *row = cg_ptx_get(run->steps[i].id);
        if (!row) return cg_fail(m, CG_ERROR_USAGE, "there is no template %d", run->steps[i].id);
        if (!cg_ptx_supported(row, common->target))
            return cg_fail(m, CG_ERROR_TARGET, "%s has no %s", common->target->name, row->name);
        struct cg_ptx_operands operands = cg_ptx_operands(row);
        for (unsigned k = 0; k < operands.results + operands.arguments; k++) {
            const struct cg_run_operand *o = &run->steps[i].operands[k];
            bool written = k < operands.results;
            if (o->index >= limits[o->kind] || (written && o->kind == CG_RUN_INPUT))
                return cg_fail(m, CG_ERROR_USAGE, "%s: operand %u of a run", row->name, k);
        }
        *flags |= row->flags;
        if (common->ptx < row->ptx) common->ptx = row->ptx;
    }
    return true;
}

static void build(struct cg_module *m, const struct cg_run *run, uint32_t flags, char *memory,
                  size_t text_size, size_t constraint_size)
{
    unsigned count = run->variable_count + run->input_count;
    cg_value *arguments = (cg_value *)memory;
    cg_type *types = (cg_type *)(arguments + count);
    struct writer text = {.bytes = (char *)(types + run->variable_count), .room = text_size};
    struct writer constraints = {.bytes = text.bytes + text_size, .room = constraint_size};
    put_text(&text, run);
    put_constraints(&constraints, m, run, flags);
    for (unsigned i = 0; i < run->variable_count; i++) {
        types[i] = cg_type_of(m, run->variables[i]);
        arguments[run->input_count + i] = run->variables[i];
    }
    for (unsigned i = 0; i < run->input_count; i++) arguments[i] = run->inputs[i];
    cg_value call = cg_raw_asm(m, text.bytes, constraints.bytes, flags, types, run->variable_count,
                               arguments, count);
    for (unsigned i = 0; i < run->variable_count; i++)
        run->variables[i] = cg_raw_result(m, call, i);
}

bool cg_run_emit(struct cg_module *m, const struct cg_run *run)
{
    uint32_t flags;
    if (!cg_ready_with(m, run->variables, run->variable_count)) return false;
    if (!cg_ready_with(m, run->inputs, run->input_count) || !check_steps(m, run, &flags))
        return false;
    struct writer text = {0}, constraints = {0};
    put_text(&text, run);
    put_constraints(&constraints, m, run, flags);
    size_t count = run->variable_count + run->input_count;
    size_t fixed = count * sizeof(cg_value) + run->variable_count * sizeof(cg_type);
    const struct cg_allocator *allocator = &cg_common(m)->allocator;
    char *memory = cg_allocate(allocator, fixed + text.length + constraints.length + 2);
    if (!memory) return cg_fail(m, CG_ERROR_MEMORY, "out of memory");
    build(m, run, flags, memory, text.length + 1, constraints.length + 1);
    cg_release(allocator, memory);
    return !cg_module_status(m);
}
