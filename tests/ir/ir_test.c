// SPDX-License-Identifier: MIT
#include "tests/ir/ir_test.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Allocation failures do not come back here: they would leave a test half done.
ir_test *ir_test_new(void)
{
    ir_test *t = calloc(1, sizeof *t);
    assert_non_null(t);
    kg_arena_init(&t->arena, NULL);
    t->arena.recovery = &t->recovery;
    if (setjmp(t->recovery)) fail_msg("out of memory");
    t->diags.arena = &t->arena;
    return t;
}

void ir_test_free(ir_test *t)
{
    kg_arena_free(&t->arena);
    free(t);
}

kg_unit *ir_parse_with(ir_test *t, const char *text, const kg_define *defines, int n_defines)
{
    t->source = (kg_source){"test.kg", text, strlen(text)};
    return kg_parse(&t->arena, &t->diags, &t->source, defines, n_defines);
}

kg_unit *ir_parse(ir_test *t, const char *text)
{
    return ir_parse_with(t, text, NULL, 0);
}

char *ir_print(ir_test *t, const kg_unit *unit)
{
    return kg_print_unit(&t->arena, unit);
}

bool ir_verify(ir_test *t, const kg_unit *unit)
{
    bool legal = true;
    for (kg_kernel *k = unit->kernels; k; k = k->next) legal &= kg_verify(k, &t->diags);
    return legal;
}

const char *ir_report(ir_test *t)
{
    const char *report = "";
    for (const kg_diag *d = t->diags.first; d; d = d->next)
        report = kg_arena_printf(&t->arena, "%s%s", report, kg_diag_render(&t->arena, d, false));
    return report;
}
