// SPDX-License-Identifier: MIT
// Every configuration after every pass: the text parses and prints as itself, and lowering taken up
// from it ends in the same program.
#include "tests/shipped/shipped.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

typedef struct dumps {
    char *pass[16], *ir[16];
    int n;
} dumps;

static void keep(const char *pass, const char *ir, void *user)
{
    dumps *d = user;
    assert_true(d->n < 16);
    d->pass[d->n] = strdup(pass ? pass : "parse");
    d->ir[d->n++] = strdup(ir);
}

static void first_only(const char *pass, const char *ir, void *user)
{
    if (!pass) *(char **)user = strdup(ir);
}

// PTX without what says where an instruction comes from, for that is another text's line.
static char *instructions(const kgen_program *program)
{
    size_t length;
    const char *line = kgen_program_ptx(program, &length);
    char *out = malloc(length + 2), *to = out;
    assert_non_null(out);
    while (*line) {
        size_t whole = strcspn(line, "\n") + 1, kept = whole - 1;
        const char *comment = strstr(line, "//");
        if (comment && comment < line + kept) kept = (size_t)(comment - line);
        if (strncmp(line, "\t.loc", 5) != 0 && strncmp(line, "\t.file", 6) != 0) {
            memcpy(to, line, kept);
            to += kept;
            *to++ = '\n';
        }
        line += whole - (line[whole - 1] == '\0');
    }
    *to = '\0';
    return out;
}

static void same_instructions(const kgen_program *a, const kgen_program *b)
{
    char *of_a = instructions(a), *of_b = instructions(b);
    assert_string_equal(of_a, of_b);
    free(of_a);
    free(of_b);
}

// `last`: the last pass, where the program ends; NULL: it goes on to PTX, which is the same, too.
static void resume(kgen_context *context, const char *pass, const char *last, const char *text,
                   const kgen_program *whole, const char *line)
{
    kgen_program_info info;
    char *again = NULL;
    kgen_program *program = NULL;
    assert_int_equal(kgen_program_get_info(whole, &info), KGEN_OK);
    kgen_compile_options options = {.name = pass,
                                    .target = info.target,
                                    .stop_after = last,
                                    .no_validate = last != NULL,
                                    .after_pass = first_only,
                                    .user = &again};
    kgen_status status = kgen_compile(context, text, strlen(text), &options, &program);
    if (status) fail_msg("%s: the text after %s: %s", line, pass, kgen_status_name(status));
    assert_string_equal(again, text);
    assert_string_equal(kgen_program_ir(program), kgen_program_ir(whole));
    if (!last) same_instructions(program, whole);
    kgen_program_free(program);
    free(again);
}

static void text_of_configuration(void **state)
{
    const char *line = *state;
    kgen_context *context = shipped_context();
    kgen_task *task = shipped_task(line, 1);
    dumps d = {0};
    kgen_program *program = shipped_program(context, task, keep, &d);
    assert_true(d.n >= 8);
    for (int i = 0; i < d.n; i++) {
        const char *last = i + 1 < d.n ? d.pass[d.n - 1] : NULL;
        resume(context, d.pass[i], last, d.ir[i], program, line);
    }
    for (int i = 0; i < d.n; i++) {
        free(d.pass[i]);
        free(d.ir[i]);
    }
    kgen_program_free(program);
    kgen_task_free(task);
    kgen_context_free(context);
}

int main(void)
{
    return shipped_main(text_of_configuration);
}
