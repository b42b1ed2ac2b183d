// SPDX-License-Identifier: MIT
//
// A run of templates as one inline assembly. LLVM's time goes with the operands of its calls; a
// tile product of 64 mma has 900 of them one by one, and 80 as a run: accumulators and addresses.
// The text is the same instructions in the same order, their temporaries declared in a scope of its
// own. Variables that come in as zeros do not come in at all: %kz stands for them until they are
// written, and nobody sets 32 registers to zero first.
#include "codegen/internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

// First pass: bytes is NULL and only the length is counted.
struct writer {
    char *bytes;
    size_t length, room;
    const unsigned char *zero; // by variable
    unsigned char *written;    // by variable, so far
    unsigned line, column;     // that the next instruction would have
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

static void put_number(struct writer *w, unsigned number)
{
    char digits[10];
    size_t at = sizeof digits;
    do digits[--at] = (char)('0' + number % 10);
    while (number /= 10);
    if (w->bytes) memcpy(w->bytes + w->length, digits + at, sizeof digits - at);
    w->length += sizeof digits - at;
}

static void put_text_of(struct writer *w, const char *text, size_t length)
{
    if (w->bytes) memcpy(w->bytes + w->length, text, length);
    w->length += length;
}

static void put_name(struct writer *w, const char *prefix, unsigned number)
{
    put_text_of(w, prefix, strlen(prefix));
    put_number(w, number);
}

static void put_operand(struct writer *w, const struct cg_run *run, const struct cg_run_operand *o,
                        bool result)
{
    switch (o->kind) {
    case CG_RUN_VARIABLE:
        if (!result && w->zero[o->index] && !w->written[o->index])
            put_text_of(w, "%kz", 3);
        else
            put_name(w, "$", o->index);
        break;
    case CG_RUN_INPUT:
        put_name(w, "$", run->variable_count + o->index);
        break;
    case CG_RUN_TEMPORARY:
        put_name(w, "%kt", o->index);
        break;
    }
    if (o->offset) put(w, "+%d", o->offset);
}

// LLVM knows one place for all of the run. The text has one file.
static void put_line(struct writer *w, const struct cg_run_step *step)
{
    if (!w->line || !step->line || (step->line == w->line && step->column == w->column)) return;
    put(w, "\n\t.loc\t1 %u %u", step->line, step->column);
    w->line = step->line;
    w->column = step->column;
}

// A row's text with each $n replaced.
static void put_step(struct writer *w, const struct cg_run *run, const struct cg_run_step *step)
{
    const struct cg_ptx *row = cg_ptx_get(step->id);
    unsigned results = cg_ptx_operands(row).results;
    put_line(w, step);
    put_text_of(w, "\n\t", 2);
    if (run->guard) {
        put_name(w, "@$", run->variable_count + run->input_count);
        put_text_of(w, " ", 1);
    }
    for (const char *c = row->text; *c;) {
        size_t plain = strcspn(c, "$");
        put_text_of(w, c, plain);
        c += plain;
        if (!*c) break;
        unsigned index = 0;
        for (c++; *c >= '0' && *c <= '9'; c++) index = 10 * index + (unsigned)(*c - '0');
        put_operand(w, run, &step->operands[index], index < results);
    }
    for (unsigned k = 0; k < results; k++)
        if (step->operands[k].kind == CG_RUN_VARIABLE) w->written[step->operands[k].index] = 1;
}

static void put_text(struct writer *w, struct cg_module *m, const struct cg_run *run)
{
    memset(w->written, 0, run->variable_count);
    cg_raw_line(m, &w->line, &w->column);
    put(w, "{");
    if (run->temporary_count) put(w, "\n\t.reg .b32 %%kt<%u>;", run->temporary_count);
    if (memchr(w->zero, 1, run->variable_count)) put(w, "\n\t.reg .b32 %%kz;\n\tmov.b32 %%kz, 0;");
    for (unsigned i = 0; i < run->step_count; i++) put_step(w, run, &run->steps[i]);
    put(w, "\n\t}");
}

static char letter_of(struct cg_module *m, cg_value value)
{
    cg_type type = cg_type_of(m, value);
    if (cg_is_pointer(type)) return 'l';
    return type == CG_F32 ? 'f' : type == CG_I64 ? 'l' : 'r';
}

// Variables are tied (but for zeros), and written before the last input is read.
static void put_constraints(struct writer *w, struct cg_module *m, const struct cg_run *run,
                            uint32_t flags)
{
    const char *comma = "";
    for (unsigned i = 0; i < run->variable_count; i++, comma = ",")
        put(w, "%s=&%c", comma, letter_of(m, run->variables[i]));
    for (unsigned i = 0; i < run->input_count; i++, comma = ",")
        put(w, "%s%c", comma, letter_of(m, run->inputs[i]));
    if (run->guard) put(w, "%sb", comma);
    for (unsigned i = 0; i < run->variable_count; i++)
        if (!w->zero[i]) put_name(w, ",", i);
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

// Which variables are zeros that some step writes.
static void find_zeros(struct cg_module *m, const struct cg_run *run, unsigned char *zero)
{
    memset(zero, 0, run->variable_count);
    for (unsigned i = 0; i < run->step_count; i++) {
        const struct cg_run_step *step = &run->steps[i];
        unsigned results = cg_ptx_operands(cg_ptx_get(step->id)).results;
        for (unsigned k = 0; k < results; k++) {
            const struct cg_run_operand *o = &step->operands[k];
            if (o->kind == CG_RUN_VARIABLE)
                zero[o->index] = cg_is_zero(m, run->variables[o->index]);
        }
    }
}

static void build(struct cg_module *m, const struct cg_run *run, uint32_t flags,
                  const struct writer *sized, char *memory, size_t text_size,
                  size_t constraint_size)
{
    unsigned count = run->input_count;
    cg_value *arguments = (cg_value *)memory;
    cg_type *types = (cg_type *)(arguments + 1 + run->input_count + run->variable_count);
    struct writer text = *sized, constraints = *sized;
    text.bytes = (char *)(types + run->variable_count);
    text.room = text_size;
    constraints.bytes = text.bytes + text_size;
    constraints.room = constraint_size;
    text.length = constraints.length = 0;
    put_text(&text, m, run);
    put_constraints(&constraints, m, run, flags);
    text.bytes[text.length] = constraints.bytes[constraints.length] = '\0';
    for (unsigned i = 0; i < count; i++) arguments[i] = run->inputs[i];
    if (run->guard) arguments[count++] = run->guard;
    for (unsigned i = 0; i < run->variable_count; i++) {
        types[i] = cg_type_of(m, run->variables[i]);
        if (!sized->zero[i]) arguments[count++] = run->variables[i];
    }
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
    const struct cg_allocator *allocator = &cg_common(m)->allocator;
    unsigned char *marks = cg_allocate(allocator, 2 * (size_t)run->variable_count + 1);
    if (!marks) return cg_fail(m, CG_ERROR_MEMORY, "out of memory");
    find_zeros(m, run, marks);
    struct writer text = {.zero = marks, .written = marks + run->variable_count};
    struct writer constraints = text;
    put_text(&text, m, run);
    put_constraints(&constraints, m, run, flags);
    size_t count = 1 + (size_t)run->variable_count + run->input_count;
    size_t fixed = count * sizeof(cg_value) + run->variable_count * sizeof(cg_type);
    char *memory = cg_allocate(allocator, fixed + text.length + constraints.length + 2);
    if (memory)
        build(m, run, flags, &text, memory, text.length + 1, constraints.length + 1);
    else
        cg_fail(m, CG_ERROR_MEMORY, "out of memory");
    cg_release(allocator, memory);
    cg_release(allocator, marks);
    return !cg_module_status(m);
}
