// SPDX-License-Identifier: MIT
// Instructions that are known and not supported (textures, sparse matrices, ...): who can run
// nevertheless.
//
// Such an instruction is left out of its function, which is marked. A kernel that has one, or may
// call a function that has one, is not launched; the others of the text are. Needs calls that are
// resolved.
#include "decode.h"
#include "parser_internal.h"
#include "steps.h"

#include <stdio.h>

const char *ptxm_refusal_text(struct ptxm_module *m, const char *instruction, const char *why)
{
    char text[400];
    int n = snprintf(text, sizeof text, "'%.120s': %s", instruction, why);
    return ptxm_arena_string(&m->arena, text, (size_t)n < sizeof text ? (size_t)n
                                                                      : sizeof text - 1);
}

static bool take_over(struct function *f, const struct function *callee)
{
    if (f->refused || !callee->refused)
        return false;
    f->refused = callee->refused;
    f->refused_at = callee->refused_at;
    return true;
}

// From one function to those that call it; a call by address may be of any .func.
static bool hand_on(struct ptxm_module *m, struct function *f)
{
    bool news = false;
    for (uint32_t i = f->first_op; f->has_body && i < f->first_op + f->op_count; i++) {
        const struct op *op = &m->ops[i];
        if (op->step != ptxm_step_call)
            continue;
        if (op->displacement)
            news |= take_over(f, (const struct function *)(uintptr_t)op->displacement);
        for (size_t k = 0; !op->displacement && k < m->function_count; k++)
            if (!m->functions[k]->is_entry)
                news |= take_over(f, m->functions[k]);
    }
    return news;
}

bool ptxm_refusals_finish(struct parser *p)
{
    struct ptxm_module *m = p->module;
    bool any = false, runs = false, kernels = false, news = true;
    while (news) {
        news = false;
        for (size_t i = 0; i < m->function_count; i++) news |= hand_on(m, m->functions[i]);
    }
    for (size_t i = 0; i < m->function_count; i++) {
        const struct function *f = m->functions[i];
        any |= f->refused != NULL;
        kernels |= f->is_entry && f->has_body;
        runs |= f->is_entry && f->has_body && !f->refused;
    }
    if (!any || runs)
        return true;
    for (size_t i = 0; i < m->function_count; i++) {
        const struct function *f = m->functions[i];
        if (f->refused && f->is_entry == kernels)
            ptxm_complain(p, &f->refused_at, "%s", f->refused);
    }
    return false;
}
