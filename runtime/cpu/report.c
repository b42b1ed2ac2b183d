// SPDX-License-Identifier: MIT
// The table of findings: one entry for each rule and pair of PTX lines, counted.
#include "report.h"

#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name, *message, *hint;
    enum ptxm_severity severity;
} rules[RULE_COUNT] = {
#define RULE(id, name, severity, message, hint) {name, message, hint, severity},
#include "rules.def"
#undef RULE
};

const char *ptxm_rule_message(enum rule rule)
{
    return rules[rule].message;
}

const char *ptxm_severity_text(enum ptxm_severity severity)
{
    static const char *const texts[] = {
        "race",       "race (same value)",  "race (within a warp)",
        "proxy",      "proxy (isa-strict)", "cluster-scope",
        "uninitialised", "protocol",        "deadlock",
        "bounds",
    };
    return (unsigned)severity < sizeof texts / sizeof *texts ? texts[severity] : "unknown";
}

const char *ptxm_status_text(enum ptxm_status status)
{
    static const char *const texts[] = {
        "ok",
        "bad argument",
        "out of memory",
        "the PTX was refused",
        "no such kernel or symbol",
        "outside of every allocation",
        "the grid did not run to its end",
    };
    return (unsigned)status < sizeof texts / sizeof *texts ? texts[status] : "unknown";
}

void ptxm_findings_init(struct findings *f, struct allocator *allocator, size_t limit)
{
    *f = (struct findings){.allocator = allocator, .limit = limit};
    ptxm_arena_init(&f->strings, allocator);
}

void ptxm_findings_free(struct findings *f)
{
    ptxm_free(f->allocator, f->entries);
    ptxm_arena_free(&f->strings);
    f->entries = NULL;
    f->count = 0;
}

struct finding_entry *ptxm_findings_note(struct findings *f, enum rule rule, uint32_t line_a,
                                         uint32_t line_b, bool *fresh)
{
    uint32_t bucket = (line_a * 31 + line_b * 17 + (uint32_t)rule) % 64;
    *fresh = false;
    for (struct finding_entry *e = f->buckets[bucket]; e; e = e->next)
        if (e->rule == rule && e->line_a == line_a && e->line_b == line_b) {
            e->finding.count++;
            return e;
        }
    if (f->count >= f->limit) {
        f->truncated = true;
        return NULL;
    }
    if (!PTXM_GROW(f->allocator, f->entries, f->count, f->capacity))
        return NULL;
    struct finding_entry *e = ptxm_arena_alloc(&f->strings, sizeof *e);
    if (!e)
        return NULL;
    *e = (struct finding_entry){.rule = rule, .line_a = line_a, .line_b = line_b,
                                .next = f->buckets[bucket]};
    e->finding = (struct ptxm_finding){.rule = rules[rule].name, .severity = rules[rule].severity,
                                       .message = rules[rule].message, .hint = rules[rule].hint,
                                       .count = 1};
    f->buckets[bucket] = e;
    f->entries[f->count++] = e;
    *fresh = true;
    return e;
}

const char *ptxm_findings_string(struct findings *f, const char *text)
{
    return text ? ptxm_arena_string(&f->strings, text, strlen(text)) : NULL;
}

void ptxm_findings_merge(struct findings *into, const struct findings *from)
{
    for (size_t i = 0; i < from->count; i++) {
        const struct finding_entry *e = from->entries[i];
        bool fresh;
        struct finding_entry *mine = ptxm_findings_note(into, e->rule, e->line_a, e->line_b,
                                                        &fresh);
        if (!mine)
            continue;
        if (!fresh) {
            mine->finding.count += e->finding.count - 1;
            continue;
        }
        mine->finding = e->finding;
        if (e->own_message)
            mine->finding.message = ptxm_findings_string(into, e->finding.message);
        mine->finding.a.object = ptxm_findings_string(into, e->finding.a.object);
        mine->finding.b.object = ptxm_findings_string(into, e->finding.b.object);
        mine->own_message = e->own_message;
        mine->optimistic = e->optimistic;
    }
    into->truncated |= from->truncated;
}

size_t ptxm_report_count(const struct ptxm_report *report)
{
    return report ? report->findings.count : 0;
}

const struct ptxm_finding *ptxm_report_finding(const struct ptxm_report *report, size_t index)
{
    return report && index < report->findings.count ? &report->sorted[index] : NULL;
}

const struct ptxm_counters *ptxm_report_counters(const struct ptxm_report *report)
{
    return report ? &report->counters : NULL;
}

size_t ptxm_report_profile_count(const struct ptxm_report *report)
{
    return report ? report->profile_count : 0;
}

const struct ptxm_instruction_profile *ptxm_report_profile(const struct ptxm_report *report,
                                                           size_t index)
{
    return report && index < report->profile_count ? &report->profile[index] : NULL;
}

bool ptxm_report_truncated(const struct ptxm_report *report)
{
    return report && report->findings.truncated;
}

void ptxm_report_free(struct ptxm_report *report)
{
    if (!report)
        return;
    struct allocator allocator = report->allocator;
    ptxm_findings_free(&report->findings);
    ptxm_free(&allocator, report->sorted);
    ptxm_free(&allocator, report->profile);
    ptxm_free(&allocator, report);
}
