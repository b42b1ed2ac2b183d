// SPDX-License-Identifier: MIT
// What the PTX machine reports, told to the callbacks of a launch: findings, a profile, statistics.
#include "runtime/cpu_report.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

// ---- findings ----------------------------------------------------------------------------------

static kgen_place place_of(const struct ptxm_place *p)
{
    kgen_place out = {.line = (int)p->line,
                      .source_file = p->source_file,
                      .source_line = (int)p->source_line,
                      .instruction = p->instruction,
                      .kind = p->kind,
                      .space = p->space,
                      .object = p->object,
                      .offset = p->offset,
                      .bytes = (int)p->size,
                      .clustered = p->clustered,
                      .warp = p->warp,
                      .lane = p->lane};
    memcpy(out.cta, p->cta, sizeof out.cta);
    memcpy(out.cluster, p->cluster, sizeof out.cluster);
    memcpy(out.thread, p->thread, sizeof out.thread);
    return out;
}

// Text that stops where the room does: names come from the PTX and may be of any length.
typedef struct words {
    char text[4096];
    size_t used;
} words;

__attribute__((format(printf, 2, 3))) static void add(words *w, const char *format, ...)
{
    size_t room = sizeof w->text - w->used;
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(w->text + w->used, room, format, arguments);
    va_end(arguments);
    if (n > 0) w->used += (size_t)n < room ? (size_t)n : room - 1;
}

static void add_place(words *w, const char *word, const kgen_place *p)
{
    if (!p->line && !p->instruction) return;
    add(w, "  %s: PTX line %d", word, p->line);
    if (p->source_file) add(w, " (%.200s:%d)", p->source_file, p->source_line);
    if (p->instruction) add(w, ", %.100s", p->instruction);
    if (p->kind) add(w, ": %s", p->kind);
    if (p->bytes) add(w, " of %d bytes", p->bytes);
    if (p->object || p->space)
        add(w, " at %s%s%.200s+%llu", p->space ? p->space : "", p->object ? " " : "",
            p->object ? p->object : "", (unsigned long long)p->offset);
    add(w, "\n         by thread (%u,%u,%u), lane %u of warp %u, of CTA (%u,%u,%u)", p->thread[0],
        p->thread[1], p->thread[2], p->lane, p->warp, p->cta[0], p->cta[1], p->cta[2]);
    if (p->clustered) add(w, " in cluster (%u,%u,%u)", p->cluster[0], p->cluster[1], p->cluster[2]);
    add(w, "\n");
}

static void tell(const struct ptxm_finding *f, const kgen_launch_options *options)
{
    words w = {.used = 0};
    kgen_finding out = {.rule = f->rule,
                        .severity = ptxm_severity_text(f->severity),
                        .message = f->message,
                        .hint = f->hint,
                        .where = f->where,
                        .repair = f->repair,
                        .repair_line = (int)f->repair_line,
                        .rendered = w.text,
                        .count = f->count,
                        .a = place_of(&f->a),
                        .b = place_of(&f->b)};
    add(&w, "%s: %.1000s [%s]", out.severity, f->message, f->rule);
    if (f->count > 1) add(&w, " (%llu times)", (unsigned long long)f->count);
    add(&w, "\n");
    add_place(&w, "first", &out.a);
    add_place(&w, "other", &out.b);
    if (f->hint) add(&w, "  help: %.300s\n", f->hint);
    if (f->where) add(&w, "  where: %.500s\n", f->where);
    options->finding(&out, options->user);
}

static void report_profile(const struct ptxm_report *report, const kgen_launch_options *options)
{
    size_t n = ptxm_report_profile_count(report);
    for (size_t i = 0; i < n && options->instruction; i++) {
        const struct ptxm_instruction_profile *p = ptxm_report_profile(report, i);
        kgen_instruction_profile out = {.line = (int)p->line,
                                        .source_file = p->source_file,
                                        .source_line = (int)p->source_line,
                                        .instruction = p->instruction,
                                        .executions = p->executions,
                                        .lanes = p->lanes,
                                        .skipped = p->skipped,
                                        .partial = p->partial,
                                        .shared_accesses = p->shared_accesses,
                                        .shared_wavefronts = p->shared_wavefronts,
                                        .shared_ideal = p->shared_ideal,
                                        .global_accesses = p->global_accesses,
                                        .global_sectors = p->global_sectors,
                                        .global_ideal_sectors = p->global_ideal_sectors,
                                        .global_lines = p->global_lines,
                                        .global_ideal_lines = p->global_ideal_lines,
                                        .global_read = p->global_read,
                                        .global_written = p->global_written,
                                        .shared_read = p->shared_read,
                                        .shared_written = p->shared_written,
                                        .local_read = p->local_read,
                                        .local_written = p->local_written,
                                        .arrivals = p->arrivals,
                                        .waits = p->waits,
                                        .atomics = p->atomics,
                                        .atomics_contended = p->atomics_contended,
                                        .multiply_adds = p->multiply_adds};
        options->instruction(&out, options->user);
    }
}

static void report_counters(const struct ptxm_report *report, kgen_statistics *s, double seconds)
{
    const struct ptxm_counters *c = ptxm_report_counters(report);
    *s = (kgen_statistics){.seconds = seconds,
                           .lane_instructions = c->lane_instructions,
                           .barriers = c->barriers,
                           .warp_syncs = c->warp_syncs,
                           .bank_conflicts = c->bank_conflicts,
                           .shared_wavefronts = c->shared_wavefronts,
                           .global_sectors = c->global_sectors,
                           .async_copies = c->async_copies};
}

size_t cpu_report(const struct ptxm_report *report, const kgen_launch_options *options,
                  double seconds)
{
    size_t n = ptxm_report_count(report);
    if (options->statistics) report_counters(report, options->statistics, seconds);
    for (size_t i = 0; i < n && options->finding; i++)
        tell(ptxm_report_finding(report, i), options);
    report_profile(report, options);
    return n;
}
