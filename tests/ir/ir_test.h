// SPDX-License-Identifier: MIT
// A parsed text with its arena, for tests of the IR. An allocation failure fails the test.
#pragma once
#include "ir/ir.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

typedef struct ir_test {
    kg_arena arena;
    kg_diags diags;
    jmp_buf recovery;
    kg_source source;
} ir_test;

ir_test *ir_test_new(void);
void ir_test_free(ir_test *t);
kg_unit *ir_parse(ir_test *t, const char *text); // NULL: see ir_report
kg_unit *ir_parse_with(ir_test *t, const char *text, const kg_define *defines, int n_defines);
char *ir_print(ir_test *t, const kg_unit *unit);
bool ir_verify(ir_test *t, const kg_unit *unit);
const char *ir_report(ir_test *t); // all findings, rendered
