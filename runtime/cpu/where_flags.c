// SPDX-License-Identifier: MIT
// Where a race between CTAs of a grid could be repaired: at the flag that hands the data over.
//
// The text is read like this: a strong write of global memory behind the one access (the flag is
// raised) and a strong read before the other (the flag is seen) hand over what comes before the
// first to what comes behind the second. Four things must be there: all threads that wrote meet
// the one that raises the flag; it releases; who sees the flag acquires; it meets those that read.
// The first one that is missing is named. Without a flag the kernel has to end between the two.
#include "where.h"

#include <stdio.h>
#include <string.h>

enum { NOWHERE = -1 };

struct hand_over {
    const struct ptxm_module *m;
    const struct function *f;
    uint32_t write, read;  // the accesses: what is handed over, who takes it
    uint32_t raise, see;   // the flag
};

static bool is_global(const struct op *op)
{
    return op->space == SPACE_GLOBAL || op->space == SPACE_GENERIC;
}

static bool raises(const struct op *op)
{
    bool strong = op->sem == SEM_RELAXED || op->sem == SEM_RELEASE || op->sem == SEM_ACQ_REL ||
                  op->sem == SEM_ACQUIRE;
    return is_global(op) && strong &&
           (op->step == ptxm_step_store || op->step == ptxm_step_atomic);
}

static bool sees(const struct op *op)
{
    bool strong = op->sem == SEM_RELAXED || op->sem == SEM_ACQUIRE || op->sem == SEM_ACQ_REL ||
                  op->sem == SEM_RELEASE;
    return is_global(op) && strong &&
           (op->step == ptxm_step_load || (op->step == ptxm_step_atomic && op->ndst));
}

// The first op that raises a flag behind the write, the last that sees one before the read.
static bool find_flag(struct hand_over *h)
{
    uint32_t end = h->f->first_op + h->f->op_count;
    for (h->raise = h->write + 1; h->raise < end && !raises(&h->m->ops[h->raise]);) h->raise++;
    for (h->see = h->read; h->see > h->f->first_op && !sees(&h->m->ops[h->see - 1]);) h->see--;
    if (h->raise == end || h->see == h->f->first_op)
        return false;
    h->see--;
    return true;
}

static bool any_step(const struct ptxm_module *m, uint32_t from, uint32_t to, step_fn *step,
                     unsigned scope)
{
    for (uint32_t i = from; i < to; i++)
        if (m->ops[i].step == step && m->ops[i].scope >= scope)
            return true;
    return false;
}

// Behind the loop that waits for the flag.
static uint32_t behind_loop(const struct hand_over *h)
{
    uint32_t back = ptxm_where_back(h->m, h->f, h->see, h->see);
    return back == UINT32_MAX || back >= h->read ? h->see + 1 : back + 1;
}

// The last point of [from, to] that all pass who come to `since`.
static int64_t common_point(const struct hand_over *h, uint32_t since, uint32_t from, uint32_t to)
{
    for (uint32_t p = to + 1; p-- > from;)
        if (ptxm_where_all_pass(h->m, h->f, since, p))
            return p;
    return NOWHERE;
}

// The flag is raised by some of the threads that write.
static bool by_some(const struct hand_over *h)
{
    return h->m->ops[h->raise].guard != OPERAND_NONE ||
           !ptxm_where_all_pass(h->m, h->f, h->write, h->raise);
}

struct repair {
    const char *words, *statements; // words NULL: nothing is known; statements NULL: not by adding
    int64_t at;                     // in front of which op
};

static struct repair repair_of(const struct hand_over *h)
{
    const struct op *raise = &h->m->ops[h->raise], *see = &h->m->ops[h->see];
    uint32_t behind = behind_loop(h);
    bool releases = raise->sem == SEM_RELEASE || raise->sem == SEM_ACQ_REL ||
                    any_step(h->m, h->write, h->raise, ptxm_step_fence, SCOPE_GPU);
    bool acquires = see->sem == SEM_ACQUIRE || see->sem == SEM_ACQ_REL ||
                    any_step(h->m, h->see, h->read, ptxm_step_fence, SCOPE_GPU);
    if (!any_step(h->m, h->write, h->raise, ptxm_step_barrier, 0) && by_some(h))
        return (struct repair){"a bar.sync: the thread that raises the flag has to meet those that "
                               "write", "bar.sync 0;",
                               common_point(h, h->write, h->write + 1, h->raise)};
    if (raise->scope < SCOPE_GPU || see->scope < SCOPE_GPU)
        return (struct repair){"scope .gpu: the flag is raised or seen within the CTA or the "
                               "cluster only", NULL,
                               raise->scope < SCOPE_GPU ? h->raise : h->see};
    if (!releases)
        return (struct repair){"a fence.acq_rel.gpu: the flag is raised without a release",
                               "fence.acq_rel.gpu;", h->raise};
    if (!acquires)
        return (struct repair){"a fence.acq_rel.gpu: the flag is seen without an acquire",
                               "fence.acq_rel.gpu;", behind};
    if (!any_step(h->m, h->see, h->read, ptxm_step_barrier, 0))
        return (struct repair){"a bar.sync: the thread that sees the flag has to meet those that "
                               "read", "bar.sync 0;",
                               common_point(h, h->see, behind, h->read)};
    return (struct repair){NULL, NULL, NOWHERE};
}

static bool by_flag(struct findings *findings, struct hand_over *h, struct ptxm_finding *finding)
{
    char text[512], at[192];
    if (!find_flag(h))
        return false;
    struct repair r = repair_of(h);
    if (!r.words || r.at == NOWHERE)
        return false;
    const struct op *op = &h->m->ops[r.at];
    ptxm_where_line(at, sizeof at, h->m, op);
    snprintf(text, sizeof text, "%s (the flag of line %u, seen at line %u): %s %s", r.words,
             h->m->ops[h->raise].line, h->m->ops[h->see].line,
             r.statements ? "in front of" : "at", at);
    finding->where = ptxm_findings_string(findings, text);
    finding->repair = r.statements;
    finding->repair_line = r.statements ? op->line : 0;
    return true;
}

static bool writes(const struct ptxm_place *place)
{
    return place->kind && strcmp(place->kind, "read");
}

void ptxm_where_flags(struct findings *findings, const struct ptxm_module *m,
                      struct ptxm_finding *finding)
{
    uint32_t a = ptxm_where_op(m, &finding->a), b = ptxm_where_op(m, &finding->b);
    const struct function *f = a == UINT32_MAX ? NULL : ptxm_where_function(m, a);
    struct hand_over forward = {m, f, a, b, 0, 0}, backward = {m, f, b, a, 0, 0};
    if (!f || b == UINT32_MAX || f != ptxm_where_function(m, b))
        return;
    if (writes(&finding->a) && by_flag(findings, &forward, finding))
        return;
    if (a != b && writes(&finding->b) && by_flag(findings, &backward, finding))
        return;
    if (a == b)
        return;
    char text[320];
    snprintf(text, sizeof text,
             "the end of the kernel between line %u and line %u, or a flag: bar.sync and a "
             "st.release.gpu by one thread behind the first, a loop of ld.acquire.gpu and a "
             "bar.sync before the second", finding->a.line, finding->b.line);
    finding->where = ptxm_findings_string(findings, text);
}
