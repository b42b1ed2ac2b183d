// SPDX-License-Identifier: MIT
//
// From a row of ptx.def and a list of values to one inline assembly call.
#include "codegen/body.h"
#include "codegen/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static cg_type letter_type(char letter)
{
    switch (letter) {
    case 'b':
        return CG_I1;
    case 'h':
        return CG_I16;
    case 'l':
        return CG_I64;
    case 'f':
        return CG_F32;
    case 'd':
        return CG_F64;
    default:
        return CG_I32; // r, n
    }
}

// An argument as the operand wants it: an immediate number, or the same bits in the register class
// of the letter.
static cg_value fit(struct cg_module *m, const struct cg_ptx *row, char letter, cg_value argument,
                    unsigned index)
{
    int64_t number;
    cg_type wanted = letter_type(letter);
    if (letter == 'n') {
        if (cg_is_constant(m, argument, &number)) return cg_integer(m, CG_I32, number);
        cg_fail(m, CG_ERROR_USAGE, "%s: argument %u must be a constant", row->name, index);
        return NULL;
    }
    cg_type type = cg_type_of(m, argument);
    if (type == wanted) return argument;
    if (type != CG_VOID && cg_type_bits(type) == cg_type_bits(wanted))
        return cg_bitcast(m, argument, wanted);
    cg_fail(m, CG_ERROR_USAGE, "%s: argument %u has the wrong size", row->name, index);
    return NULL;
}

char *cg_annotate(struct cg_module *m, const char *text, const char *comment)
{
    size_t length = strlen(text);
    size_t limit = length + (comment ? 2 * strlen(comment) : 0) + 8;
    char *out = cg_allocate(&cg_common(m)->allocator, limit);
    if (!out) {
        cg_fail(m, CG_ERROR_MEMORY, "out of memory");
        return NULL;
    }
    memcpy(out, text, length + 1);
    if (!comment || !*comment) return out;
    char *end = out + length;
    memcpy(end, " // ", 4);
    end += 4;
    for (; *comment; comment++) {
        if (*comment == '$') *end++ = '$';
        *end++ = (unsigned char)*comment < ' ' ? ' ' : *comment;
    }
    *end = '\0';
    return out;
}

static void full_constraints(const struct cg_ptx *row, bool guarded, char *out, size_t size)
{
    const char *memory = row->flags & CG_PTX_MEMORY ? "~{memory}" : "";
    const char *guard = guarded ? "b" : "";
    const char *first = *row->constraints && (*guard || *memory) ? "," : "";
    snprintf(out, size, "%s%s%s%s%s", row->constraints, first, guard, *guard && *memory ? "," : "",
             memory);
}

static bool check(struct cg_module *m, const struct cg_ptx *row, unsigned arguments, unsigned count)
{
    const struct cg_target *target = cg_module_target(m);
    if (!cg_ready(m)) return false;
    if (!cg_ptx_supported(row, target))
        return cg_fail(m, CG_ERROR_TARGET, "%s has no %s", target->name, row->name);
    if (count == arguments) return true;
    return cg_fail(m, CG_ERROR_USAGE, "%s takes %u arguments, not %u", row->name, arguments, count);
}

// The row's text, with a predicate in front: the operand behind all others.
static const char *guard_text(const struct cg_ptx *row, unsigned operand, char *out, size_t size)
{
    snprintf(out, size, "@$%u %s", operand, row->text);
    return out;
}

static bool build(struct cg_module *m, enum cg_ptx_id id, cg_value predicate,
                  const cg_value *arguments, unsigned count, cg_value *results, const char *comment)
{
    const struct cg_ptx *row = cg_ptx_get(id);
    struct cg_common *common = cg_common(m);
    char constraints[136], guarded[256];
    cg_value fitted[CG_PTX_OPERAND_LIMIT + 1];
    cg_type types[CG_PTX_OPERAND_LIMIT];
    if (!row) return cg_fail(m, CG_ERROR_USAGE, "there is no template %d", id);
    struct cg_ptx_operands operands = cg_ptx_operands(row);
    for (unsigned i = 0; results && i < operands.results; i++) results[i] = NULL;
    if (!check(m, row, operands.arguments, count) || !cg_ready_with(m, arguments, count))
        return false;
    for (unsigned i = 0; i < operands.results; i++) types[i] = letter_type(operands.letters[i]);
    for (unsigned i = 0; i < count; i++)
        fitted[i] = fit(m, row, operands.letters[operands.results + i], arguments[i], i);
    const char *plain = row->text;
    if (predicate) {
        plain = guard_text(row, operands.results + count, guarded, sizeof guarded);
        fitted[count] = predicate;
    }
    char *text = cg_annotate(m, plain, comment);
    if (!text) return false;
    full_constraints(row, predicate != NULL, constraints, sizeof constraints);
    cg_value call = cg_raw_asm(m, text, constraints, row->flags, types, operands.results, fitted,
                               predicate ? count + 1 : count);
    cg_release(&common->allocator, text);
    for (unsigned i = 0; results && i < operands.results; i++)
        results[i] = cg_raw_result(m, call, i);
    if (common->ptx < row->ptx) common->ptx = row->ptx;
    return !common->status;
}

bool cg_template(struct cg_module *m, enum cg_ptx_id id, const cg_value *arguments, unsigned count,
                 cg_value *results, const char *comment)
{
    return build(m, id, NULL, arguments, count, results, comment);
}

bool cg_template_if(struct cg_module *m, enum cg_ptx_id id, cg_value predicate,
                    const cg_value *arguments, unsigned count, const char *comment)
{
    const struct cg_ptx *row = cg_ptx_get(id);
    if (!row || cg_ptx_operands(row).results)
        return cg_fail(m, CG_ERROR_USAGE, "a guarded template has results");
    if (!predicate) return cg_template(m, id, arguments, count, NULL, comment);
    if (!cg_ready_with(m, &predicate, 1)) return false;
    if (cg_type_of(m, predicate) != CG_I1)
        return cg_fail(m, CG_ERROR_USAGE, "a guard is no predicate");
    return build(m, id, predicate, arguments, count, NULL, comment);
}

cg_value cg_template1(struct cg_module *m, enum cg_ptx_id id, const cg_value *arguments,
                      unsigned count, const char *comment)
{
    cg_value result = NULL;
    const struct cg_ptx *row = cg_ptx_get(id);
    if (row && cg_ptx_operands(row).results == 1)
        cg_template(m, id, arguments, count, &result, comment);
    else
        cg_fail(m, CG_ERROR_USAGE, "%s has not one result", row ? row->name : "the template");
    return result;
}

// ---- values led through an instruction ----------------------------------------------------------

static char letter_for(struct cg_module *m, cg_value value)
{
    return cg_type_of(m, value) == CG_F32 ? 'f' : 'r';
}

// The row's text with its operands counted from `first` on.
static void renumber(const char *from, unsigned first, char *out, size_t size)
{
    for (size_t used = 0; used < size; from++) {
        if (*from != '$') {
            out[used++] = *from;
            if (!*from) return;
            continue;
        }
        unsigned number = (unsigned)strtoul(from + 1, (char **)&from, 10);
        used += (size_t)snprintf(out + used, size - used, "$%u", first + number);
        from--;
    }
}

// Results for what goes through, the row's operands, then what goes in again under their numbers.
static void through_constraints(struct cg_module *m, const struct cg_ptx *row,
                                const struct cg_through *t, char *out)
{
    for (unsigned i = 0; i < t->count; i++)
        out += sprintf(out, "=%c,", letter_for(m, t->values[i]));
    if (*row->constraints) out += sprintf(out, "%s,", row->constraints);
    for (unsigned i = 0; i < t->count; i++) out += sprintf(out, "%u,", i);
    strcpy(out, "~{memory}");
}

static void build_through(struct cg_module *m, const struct cg_ptx *row, const cg_value *fitted,
                          unsigned count, const struct cg_through *t, const char *text,
                          cg_value *memory)
{
    cg_value *arguments = memory;
    cg_type *types = (cg_type *)(arguments + count + t->count);
    char *constraints = (char *)(types + t->count);
    through_constraints(m, row, t, constraints);
    for (unsigned i = 0; i < count; i++) arguments[i] = fitted[i];
    for (unsigned i = 0; i < t->count; i++) {
        arguments[count + i] = t->values[i];
        types[i] = cg_type_of(m, t->values[i]);
    }
    cg_value call =
        cg_raw_asm(m, text, constraints, row->flags, types, t->count, arguments, count + t->count);
    for (unsigned i = 0; i < t->count; i++) t->values[i] = cg_raw_result(m, call, i);
}

// The instruction, and what goes through it on a line behind: the registers' moves are not to pass
// it, which only its text can tell (body.h).
static char *say_led(struct cg_module *m, const char *plain, const char *comment, unsigned count)
{
    char *text = cg_annotate(m, plain, comment);
    size_t length = text ? strlen(text) : 0;
    char *out = text ? cg_allocate(&cg_common(m)->allocator, length + count * 7 + 16) : NULL;
    if (out) {
        char *end = out + sprintf(out, "%s\n\t" CG_LED " {", text);
        for (unsigned i = 0; i < count; i++) end += sprintf(end, "%s$%u", i ? ", " : "", i);
        strcpy(end, "};");
    }
    cg_release(&cg_common(m)->allocator, text);
    return out;
}

bool cg_template_through(struct cg_module *m, enum cg_ptx_id id, const cg_value *arguments,
                         unsigned count, const struct cg_through *through, const char *comment)
{
    const struct cg_ptx *row = cg_ptx_get(id);
    struct cg_common *common = cg_common(m);
    cg_value fitted[CG_PTX_OPERAND_LIMIT + 1];
    char plain[256];
    if (!through->count) return cg_template(m, id, arguments, count, NULL, comment);
    struct cg_ptx_operands operands = cg_ptx_operands(row);
    if (operands.results) return cg_fail(m, CG_ERROR_USAGE, "%s has results", row->name);
    if (!check(m, row, operands.arguments, count) ||
        !cg_ready_with(m, through->values, through->count))
        return false;
    for (unsigned i = 0; i < count; i++)
        fitted[i] = fit(m, row, operands.letters[i], arguments[i], i);
    renumber(row->text, through->count, plain, sizeof plain);
    char *led = say_led(m, plain, comment, through->count);
    size_t size = (count + through->count) * sizeof(cg_value) + through->count * sizeof(cg_type) +
                  through->count * 12 + strlen(row->constraints) + 16;
    cg_value *memory = led ? cg_allocate(&common->allocator, size) : NULL;
    if (memory) build_through(m, row, fitted, count, through, led, memory);
    if (!memory) cg_fail(m, CG_ERROR_MEMORY, "out of memory");
    cg_release(&common->allocator, memory);
    cg_release(&common->allocator, led);
    if (common->ptx < row->ptx) common->ptx = row->ptx;
    return !common->status;
}
