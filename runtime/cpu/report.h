// SPDX-License-Identifier: MIT
// Findings: collected by each CTA, merged in the order of CTAs, so that a run's report does not
// depend on how CPU threads took turns.
#ifndef PTXM_REPORT_H
#define PTXM_REPORT_H

#include "isa.h"
#include "memory.h"

// id, name, severity, message, hint
#define PTXM_RULES(X)                                                                              \
    X(RACE, "race", PTXM_RACE, "two threads access the same bytes, at least one writes, and nothing orders them", "order the two by a barrier that both threads pass, or by release and acquire")   \
    X(RACE_WARP, "race-in-warp", PTXM_RACE_IN_WARP, "two lanes of a warp access the same bytes, at least one writes, and nothing orders them", "bar.warp.sync between the two: a warp is no scope")  \
    X(RACE_SAME, "race-same-value", PTXM_RACE_SAME_VALUE, "two threads write the same value to the same bytes and nothing orders them", "let one of them write, or order the two")                  \
    X(RACE_ASYNC, "race-async-copy", PTXM_RACE, "a cp.async may still be running when its bytes are touched", "the copying thread waits for its group (cp.async.wait_group), then a barrier, then the access")      \
    X(RACE_CTAS, "race-between-ctas", PTXM_RACE, "two CTAs access the same bytes of global memory, at least one writes, and nothing orders them", "release the data at gpu scope after a barrier and acquire it before the access")  \
    X(RACE_CTAS_SAME, "race-between-ctas-same-value", PTXM_RACE_SAME_VALUE, "two CTAs write the same value to the same bytes of global memory", "let one of them write")                               \
    X(UNINIT_SHARED, "uninitialised-shared", PTXM_UNINITIALISED, "shared memory is read that nobody has written", "write it first, or read less")                                            \
    X(UNINIT_GLOBAL, "uninitialised-global", PTXM_UNINITIALISED, "global memory is read that neither the host nor a kernel has written", "write it first, or read less")                      \
    X(BOUNDS_SHARED, "shared-bounds", PTXM_BOUNDS, "access outside of shared memory", "compare the offset with the bytes of shared memory of the launch")                                    \
    X(BOUNDS_GLOBAL, "global-bounds", PTXM_BOUNDS, "access outside of every global allocation", "compare the offset with the size of the allocation")                                   \
    X(BOUNDS_FREED, "use-after-free", PTXM_BOUNDS, "access to global memory that was freed", "free it after the last kernel that uses it")                                               \
    X(BOUNDS_LOCAL, "local-bounds", PTXM_BOUNDS, "access outside of the thread's local memory", "compare the index with the size of the local variable")                                \
    X(BOUNDS_PARAM, "param-bounds", PTXM_BOUNDS, "access outside of the kernel's parameters", "compare the offset with the parameters' declaration")                                  \
    X(READ_ONLY, "read-only", PTXM_BOUNDS, "write to constant memory", "constant memory is written by the host only")                                                              \
    X(MISALIGNED, "misaligned", PTXM_BOUNDS, "the address is not a multiple of the access size", "align the address, or use narrower accesses")                                     \
    X(BARRIER_DIVERGENT, "barrier-divergence", PTXM_PROTOCOL, "an aligned barrier is executed while lanes of the warp are elsewhere", "let all threads of the warp execute the same barrier")      \
    X(BARRIER_EXITED, "barrier-exited", PTXM_PROTOCOL, "a barrier of all threads counts on threads that have exited", "let threads that have nothing to do pass the barrier before they exit")     \
    X(BARRIER_COUNT, "barrier-count", PTXM_PROTOCOL, "wrong thread count of a barrier", "a multiple of 32, at most the threads of the CTA, the same for all who take part")                \
    X(BARRIER_ID, "barrier-id", PTXM_PROTOCOL, "there are barriers 0 to 15 only", "use a smaller id")                                                                             \
    X(BARRIER_EXCESS, "barrier-excess", PTXM_PROTOCOL, "a warp arrives twice in one generation of a barrier, or more threads arrive than it counts", "one arrival for each thread and generation") \
    X(WARP_MASK, "warp-mask", PTXM_PROTOCOL, "a lane executes a warp-wide instruction whose mask does not name it, or names lanes that have exited", "name the lanes that execute it, all of them")     \
    X(DEADLOCK, "deadlock", PTXM_DEADLOCK, "no thread of the CTA can go on", "see who waits for whom")                                                                             \
    X(BUDGET, "instruction-budget", PTXM_DEADLOCK, "the grid ran out of its instruction budget: an endless loop, or a wait for something that never comes", "look at the line where the threads are") \
    X(TRAP, "trap", PTXM_PROTOCOL, "the kernel executed trap", "the kernel's own assertion failed")                                                                              \
    X(COPY_AT_EXIT, "async-copy-at-exit", PTXM_PROTOCOL, "a thread exits while its cp.async is in flight", "wait for all groups before the end, or do not issue the copy")                   \
    X(COPY_EMPTY_WAIT, "async-copy-uncommitted", PTXM_PROTOCOL, "cp.async.wait_group while copies belong to no group: they are not waited for", "cp.async.commit_group before the wait")          \
    X(COPY_SIZE, "async-copy-size", PTXM_PROTOCOL, "the source size of a cp.async is larger than its size", "src-size is at most cp-size")                                                \
    X(CALL, "call", PTXM_PROTOCOL, "bad indirect call, call too deep, or recursion", "calls nest 64 deep at most, and recursion has no stack here")                                     \
    X(BRANCH_INDEX, "branch-index", PTXM_BOUNDS, "the index of brx.idx is outside of its list", "check the index before the branch")                                               \
    X(NO_MEMORY, "out-of-memory", PTXM_PROTOCOL, "the machine ran out of host memory", "use a smaller grid, or switch checks off")

enum rule {
#define X(id, name, severity, message, hint) RULE_##id,
    PTXM_RULES(X)
#undef X
        RULE_COUNT
};

struct finding_entry {
    struct ptxm_finding finding;
    enum rule rule;
    uint32_t line_a, line_b; // the key, with the rule
    struct finding_entry *next;
    bool own_message;
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
};

#endif
