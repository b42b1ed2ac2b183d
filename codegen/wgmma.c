// SPDX-License-Identifier: MIT
//
// Products of warpgroups as one inline assembly. The tensor core has the accumulators, and A's
// registers, from the instruction to the wait for its group, of which LLVM knows nothing; so they
// are led through every instruction in between (cg_template_through). Descriptors are made in the
// text: the lower half is an input and a constant, the upper half a constant.
//
//   {
//   .reg .pred %kp<2>; .reg .b32 %kt<2>; .reg .b64 %kd<2>;
//   wgmma.fence.sync.aligned;
//   setp.ne.b32 %kp1, 1, 0;
//   add.s32 %kt0, %r7, 2;
//   mov.b64 %kd0, {%kt0, 1073741888};
//   ...
//   wgmma.mma_async... {%f1, ..}, %kd0, %kd1, %kp1, 1, 1, 0, 1;
//   }
#include "codegen/internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

// A matrix of an instruction: an input, what is added to it, and the upper half.
struct descriptor {
    uint32_t input, high;
    int32_t add;
};

struct writer {
    const struct cg_wgmma_run *run;
    const char *fence; // the statement; NULL: none
    char *bytes;
    size_t length, room;
    struct descriptor *known; // %kd0 on
    unsigned known_count;
};

static void put(struct writer *w, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void put(struct writer *w, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int added = vsnprintf(w->bytes + w->length, w->room - w->length, format, arguments);
    va_end(arguments);
    if (added > 0) w->length += (size_t)added;
}

// `text`, and an operand's number behind it: there are hundreds of them.
static void put_operand(struct writer *w, const char *text, unsigned number)
{
    char digits[10];
    size_t at = sizeof digits, length = strlen(text);
    do digits[--at] = (char)('0' + number % 10);
    while (number /= 10);
    if (w->length + length + sizeof digits >= w->room) return;
    memcpy(w->bytes + w->length, text, length);
    memcpy(w->bytes + w->length + length, digits + at, sizeof digits - at);
    w->length += length + sizeof digits - at;
}

// The number of the register that holds the descriptor, made here if there is none yet.
static unsigned descriptor_of(struct writer *w, struct descriptor d)
{
    unsigned i = 0;
    while (i < w->known_count && memcmp(&w->known[i], &d, sizeof d) != 0) i++;
    if (i < w->known_count) return i;
    w->known[w->known_count++] = d;
    put(w, "\n\tadd.s32 %%kt%u, $%u, %d;", i, w->run->variable_count + d.input, d.add);
    put(w, "\n\tmov.b64 %%kd%u, {%%kt%u, %d};", i, i, (int32_t)d.high);
    return i;
}

static void put_step(struct writer *w, const struct cg_wgmma_step *step)
{
    const struct cg_wgmma_run *run = w->run;
    const char *type = run->bf16 ? "bf16" : "f16";
    unsigned a = 0, first = run->variable_count;
    if (!run->a_in_registers)
        a = descriptor_of(w, (struct descriptor){step->a[0], run->a_high, step->a_add});
    unsigned b = descriptor_of(w, (struct descriptor){step->b, run->b_high, step->b_add});
    put(w, "\n\twgmma.mma_async.sync.aligned.m64n%uk16.f32.%s.%s {", run->n, type, type);
    for (unsigned i = 0; i < run->n / 2; i++)
        put_operand(w, i ? ", $" : "$", step->accumulators[i]);
    if (run->a_in_registers)
        put(w, "}, {$%u, $%u, $%u, $%u}", first + step->a[0], first + step->a[1],
            first + step->a[2], first + step->a[3]);
    else
        put(w, "}, %%kd%u", a);
    put(w, ", %%kd%u, %s, 1, 1", b, step->fresh ? CG_WGMMA_FRESH : "%kp1");
    if (!run->a_in_registers) put(w, ", %d", run->a_transposed);
    put(w, ", %d;", run->b_transposed);
}

static void put_text(struct writer *w)
{
    const struct cg_wgmma_run *run = w->run;
    put(w, "{\n\t.reg .pred %%kp<2>;\n\t.reg .b32 %%kt<%u>;\n\t.reg .b64 %%kd<%u>;",
        2 * run->step_count, 2 * run->step_count);
    if (w->fence) put(w, "\n\t%s", w->fence);
    put(w, "\n\tsetp.ne.b32 %%kp1, 1, 0;");
    if (run->fresh) put(w, "\n\tsetp.ne.b32 %s, 0, 0;", CG_WGMMA_FRESH);
    for (unsigned i = 0; i < run->step_count; i++) put_step(w, &run->steps[i]);
    put(w, "\n\t}");
}

// Accumulators are written while inputs are still read, and unless they start afresh go in as well.
static void put_constraints(struct writer *w)
{
    const struct cg_wgmma_run *run = w->run;
    const char *comma = "";
    for (unsigned i = 0; i < run->variable_count; i++) put(w, "=&f,");
    for (unsigned i = 0; i < run->input_count; i++) put(w, "r,");
    for (unsigned i = 0; !run->fresh && i < run->variable_count; i++, comma = ",")
        put_operand(w, comma, i);
    put(w, "%s~{memory}", comma);
}

static bool check(struct cg_module *m, const struct cg_wgmma_run *run)
{
    const struct cg_target *target = cg_module_target(m);
    if (!cg_ready_with(m, run->inputs, run->input_count)) return false;
    if (!run->fresh && !cg_ready_with(m, run->variables, run->variable_count)) return false;
    if (!(target->features & CG_FEATURE_WGMMA))
        return cg_fail(m, CG_ERROR_TARGET, "%s has no wgmma", target->name);
    if (!run->n || run->n % 8 || run->n > 256)
        return cg_fail(m, CG_ERROR_USAGE, "wgmma of %u columns", run->n);
    for (unsigned i = 0; i < run->input_count; i++)
        if (cg_type_of(m, run->inputs[i]) != CG_I32)
            return cg_fail(m, CG_ERROR_USAGE, "input %u of wgmma has not 32 bits", i);
    return true;
}

static void build(struct writer *text, struct writer *constraints, struct cg_module *m,
                  cg_value *arguments, cg_type *types)
{
    const struct cg_wgmma_run *run = text->run;
    unsigned count = run->input_count;
    put_text(text);
    put_constraints(constraints);
    for (unsigned i = 0; i < run->input_count; i++) arguments[i] = run->inputs[i];
    for (unsigned i = 0; i < run->variable_count; i++) types[i] = CG_F32;
    for (unsigned i = 0; !run->fresh && i < run->variable_count; i++)
        arguments[count++] = run->variables[i];
    cg_value call = cg_raw_asm(m, text->bytes, constraints->bytes,
                               CG_PTX_SIDE_EFFECT | CG_PTX_CONVERGENT | CG_PTX_MEMORY, types,
                               run->variable_count, arguments, count);
    for (unsigned i = 0; i < run->variable_count; i++)
        run->variables[i] = cg_raw_result(m, call, i);
}

// With the statement of the fence, if there is one.
static bool emit_fenced(struct cg_module *m, const struct cg_wgmma_run *run, const char *fence)
{
    // No number has more than ten digits, none of an operand more than five.
    size_t count = run->variable_count + run->input_count;
    size_t text_room =
        256 + run->step_count * (384 + (size_t)run->n * 5) + (fence ? strlen(fence) : 0);
    size_t constraint_room = 16 + 12 * count;
    size_t fixed = count * sizeof(cg_value) + run->variable_count * sizeof(cg_type) +
                   2 * run->step_count * sizeof(struct descriptor);
    const struct cg_allocator *allocator = &cg_common(m)->allocator;
    char *memory = cg_allocate(allocator, fixed + text_room + constraint_room);
    if (!memory) return cg_fail(m, CG_ERROR_MEMORY, "out of memory");
    cg_value *arguments = (cg_value *)memory;
    struct writer text = {.run = run, .fence = fence, .room = text_room};
    text.known = (struct descriptor *)(arguments + count);
    cg_type *types = (cg_type *)(text.known + 2 * (size_t)run->step_count);
    text.bytes = (char *)(types + run->variable_count);
    struct writer constraints = {.run = run, .room = constraint_room};
    constraints.bytes = text.bytes + text_room;
    build(&text, &constraints, m, arguments, types);
    cg_release(allocator, memory);
    if (cg_common(m)->ptx < 80) cg_common(m)->ptx = 80;
    return !cg_module_status(m);
}

bool cg_wgmma_emit(struct cg_module *m, const struct cg_wgmma_run *run)
{
    if (!check(m, run)) return false;
    if (!run->fenced) return emit_fenced(m, run, NULL);
    char *fence = cg_annotate(m, cg_ptx_get(CG_PTX_WGMMA_FENCE)->text, run->comment);
    bool ok = fence && emit_fenced(m, run, fence);
    cg_release(&cg_common(m)->allocator, fence);
    return ok;
}
