// SPDX-License-Identifier: MIT
// Contexts: allocator, diagnostics, the pool of code generators.
#include "runtime/internal.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct codegen_slot {
    kg_codegen *codegen;
    codegen_slot *next;
};

static void *libc_allocate(void *user, size_t bytes)
{
    (void)user;
    return malloc(bytes);
}

static void libc_release(void *user, void *memory)
{
    (void)user;
    free(memory);
}

const char *kgen_status_name(kgen_status status)
{
    static const char *const names[] = {"ok",     "input",    "usage", "memory",  "no-device",
                                        "device", "findings", "io",    "internal"};
    return (unsigned)status < sizeof names / sizeof *names ? names[status] : "unknown";
}

void *context_alloc(kgen_context *context, size_t bytes)
{
    void *memory = context->allocator.allocate(context->allocator.user, bytes);
    return memory ? memset(memory, 0, bytes) : NULL;
}

void context_release(kgen_context *context, void *memory)
{
    if (memory) context->allocator.release(context->allocator.user, memory);
}

char *context_strdup(kgen_context *context, const char *text, size_t length)
{
    char *copy = context_alloc(context, length + 1);
    return copy ? memcpy(copy, text, length) : NULL;
}

kgen_status kgen_context_create(const kgen_options *options, kgen_context **out)
{
    if (!out) return KGEN_ERROR_USAGE;
    *out = NULL;
    kg_allocator allocator = {libc_allocate, libc_release, NULL};
    if (options && options->allocator) {
        if (!options->allocator->allocate || !options->allocator->release) return KGEN_ERROR_USAGE;
        allocator = (kg_allocator){options->allocator->allocate, options->allocator->release,
                                   options->allocator->user};
    }
    kgen_context *context = allocator.allocate(allocator.user, sizeof *context);
    if (!context) return KGEN_ERROR_MEMORY;
    *context = (kgen_context){.allocator = allocator, .next_serial = 1};
    if (options) {
        context->diagnostic = options->diagnostic;
        context->user = options->user;
        context->color = options->color;
    }
    pthread_mutex_init(&context->lock, NULL);
    *out = context;
    return KGEN_OK;
}

void kgen_context_free(kgen_context *context)
{
    if (!context) return;
    while (context->idle) {
        codegen_slot *slot = context->idle;
        context->idle = slot->next;
        kg_codegen_free(slot->codegen);
        context_release(context, slot);
    }
    pthread_mutex_destroy(&context->lock);
    context_release(context, context);
}

kg_codegen *context_take_codegen(kgen_context *context)
{
    kg_codegen *codegen = NULL;
    pthread_mutex_lock(&context->lock);
    codegen_slot *slot = context->idle;
    if (slot) context->idle = slot->next;
    pthread_mutex_unlock(&context->lock);
    if (!slot) return kg_codegen_new(&context->allocator);
    codegen = slot->codegen;
    context_release(context, slot);
    return codegen;
}

void context_give_codegen(kgen_context *context, kg_codegen *codegen)
{
    if (!codegen) return;
    kg_codegen_reset(codegen);
    codegen_slot *slot = context_alloc(context, sizeof *slot);
    if (!slot) {
        kg_codegen_free(codegen);
        return;
    }
    slot->codegen = codegen;
    pthread_mutex_lock(&context->lock);
    slot->next = context->idle;
    context->idle = slot;
    pthread_mutex_unlock(&context->lock);
}

void context_report(kgen_context *context, kg_arena *arena, const kg_diags *diags)
{
    if (!context->diagnostic) return;
    for (const kg_diag *d = diags->first; d; d = d->next) {
        kgen_diagnostic out = {
            .severity = d->severity == KG_ERROR     ? KGEN_ERROR
                        : d->severity == KG_WARNING ? KGEN_WARNING
                                                    : KGEN_NOTE,
            .id = kg_diag_id_name(d->id),
            .file = d->loc.source ? d->loc.source->name : NULL,
            .line = d->loc.line,
            .column = d->loc.column,
            .text = d->text,
            .help = d->help,
            .rendered = kg_diag_render(arena, d, context->color),
        };
        context->diagnostic(&out, context->user);
    }
}

kgen_status context_fail(kgen_context *context, kgen_status status, kg_diag_id id, const char *help,
                         const char *format, ...)
{
    if (!context->diagnostic) return status;
    char text[1024], rendered[2048];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    const char *red = context->color ? "\033[1;31m" : "", *off = context->color ? "\033[0m" : "";
    int n = snprintf(rendered, sizeof rendered, "%serror:%s %s [%s]\n", red, off, text,
                     kg_diag_id_name(id));
    if (help && n < (int)sizeof rendered)
        snprintf(rendered + n, sizeof rendered - (size_t)n, "  help: %s\n", help);
    kgen_diagnostic out = {.severity = KGEN_ERROR,
                           .id = kg_diag_id_name(id),
                           .text = text,
                           .help = help,
                           .rendered = rendered};
    context->diagnostic(&out, context->user);
    return status;
}
