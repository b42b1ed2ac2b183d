// SPDX-License-Identifier: MIT
// Findings: collected by each CTA, merged in the order of CTAs, so that a run's report does not
// depend on how CPU threads took turns.
#ifndef PTXM_REPORT_H
#define PTXM_REPORT_H

#include "isa.h"
#include "memory.h"

enum rule {
#define RULE(id, name, severity, message, hint) RULE_##id,
#include "rules.def"
#undef RULE
    RULE_COUNT
};

struct finding_entry {
    struct ptxm_finding finding;
    enum rule rule;
    uint32_t line_a, line_b; // the key, with the rule
    struct finding_entry *next;
    bool own_message;
    // A weak read that meets an atomic: op + 1 of the read. It is dropped where the threads that
    // read go on to compare and swap the word: the swap fails if the value was not right.
    uint32_t optimistic;
};

struct findings {
    struct allocator *allocator;
    struct arena strings;
    struct finding_entry **entries; // in order of discovery
    size_t count, capacity, limit;
    struct finding_entry *buckets[64];
    bool truncated;
};

void ptxm_findings_init(struct findings *findings, struct allocator *allocator, size_t limit);
void ptxm_findings_free(struct findings *findings);
// Finds or makes the entry of (rule, line, line); *fresh tells which. NULL: no room, or no memory.
// The caller fills the places of a fresh entry. Places are swapped so that a has the lower line.
struct finding_entry *ptxm_findings_note(struct findings *findings, enum rule rule, uint32_t line_a,
                                         uint32_t line_b, bool *fresh);
const char *ptxm_findings_string(struct findings *findings, const char *text);
void ptxm_findings_merge(struct findings *into, const struct findings *from);
const char *ptxm_rule_message(enum rule rule);

struct ptxm_report {
    struct allocator allocator;
    struct findings findings;
    struct ptxm_counters counters;
    struct ptxm_finding *sorted;
    struct ptxm_instruction_profile *profile; // NULL: not asked for
    size_t profile_count;
};

#endif
