// SPDX-License-Identifier: MIT
// Every row of isa.def is executed by a form of forms/*.c or claimed by another test: a row that is
// new fails here until it has a test. test_ptxm_coverage SOURCE_DIR
#include "forms/forms.h"
#include "harness.h"
#include "module.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct row {
    const char *opcode, *modifiers;
};

static const struct row rows[] = {
#define ROW(opcode, modifiers, operands, builder, argument) {opcode, modifiers},
#define REFUSE(opcode, word, why)
#include "isa.def"
#undef ROW
#undef REFUSE
};
enum { ROW_COUNT = sizeof rows / sizeof *rows };

// Rows of `opcode` that have these words, with blanks between them, among their modifiers ("": all
// of them) are tested by `file`, in which `text` stands.
static const struct claim {
    const char *opcode, *words, *file, *text;
} claims[] = {
#include "claims.def"
};
enum { CLAIM_COUNT = sizeof claims / sizeof *claims };

static const char *folder;
static bool executed[ROW_COUNT];

// Marks the rows of what stands on the lines of the forms themselves.
static void mark(const struct ptxm_module *module, const char *text, const struct form *forms,
                 size_t count)
{
    unsigned line = 1;
    size_t form = 0;
    while (form < count) {
        size_t length = strcspn(text, "\n");
        if (length == strlen(forms[form].text) && !memcmp(text, forms[form].text, length)) {
            for (size_t i = 0; i < module->op_count; i++)
                if (module->ops[i].line == line)
                    executed[module->ops[i].row] = true;
            form++;
        }
        text += length + 1;
        line++;
    }
}

static void load_all_forms(void)
{
    struct form_group group;
    for (size_t g = 0; (group = form_group(g)).name; g++)
        for (size_t r = 0; r < group.count; r++) {
            size_t count;
            struct form *forms = forms_of(&group.rows[r], &count);
            assert_non_null(forms);
            char *text = forms_text(forms, count, "sm_90a");
            assert_non_null(text);
            struct ptxm_module *module;
            assert_int_equal(ptxm_module_load(text, strlen(text), NULL, &module), PTXM_OK);
            mark(module, text, forms, count);
            ptxm_module_free(module);
            free(text);
            free(forms);
        }
}

static bool has_word(const char *modifiers, const char *word, size_t length)
{
    for (const char *at = modifiers + 1; *at; at++)
        if (!strncmp(at, word, length) && strchr(":| ", at[-1]) &&
            (!at[length] || strchr("|? ", at[length])))
            return true;
    return false;
}

static bool has_words(const char *modifiers, const char *words)
{
    while (*words) {
        size_t length = strcspn(words, " ");
        if (!has_word(modifiers, words, length))
            return false;
        words += length + (words[length] == ' ');
    }
    return true;
}

static bool claimed(size_t row, bool *used)
{
    bool any = false;
    for (size_t i = 0; i < CLAIM_COUNT; i++)
        if (!strcmp(claims[i].opcode, rows[row].opcode) &&
            has_words(rows[row].modifiers, claims[i].words))
            any = used[i] = true;
    return any;
}

static void test_rows(void **state)
{
    bool used[CLAIM_COUNT] = {false};
    unsigned missing = 0;
    load_all_forms();
    for (size_t i = 0; i < ROW_COUNT; i++)
        if (!executed[i] && !claimed(i, used)) {
            print_message("# no test: %s %s\n", rows[i].opcode, rows[i].modifiers);
            missing++;
        }
    for (size_t i = 0; i < CLAIM_COUNT; i++)
        if (!used[i]) {
            print_message("# claim of no row: %s %s\n", claims[i].opcode, claims[i].words);
            missing++;
        }
    assert_int_equal(missing, 0);
}

static char *read_file(const char *name)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    if (!file)
        return NULL;
    char *text = NULL;
    size_t capacity = 0;
    ssize_t length = getdelim(&text, &capacity, 0, file);
    fclose(file);
    return length < 0 ? NULL : text;
}

static void test_claims(void **state)
{
    unsigned wrong = 0;
    for (size_t i = 0; i < CLAIM_COUNT; i++) {
        char *text = read_file(claims[i].file);
        if (!text || !strstr(text, claims[i].text)) {
            print_message("# '%s' does not stand in %s\n", claims[i].text, claims[i].file);
            wrong++;
        }
        free(text);
    }
    assert_int_equal(wrong, 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows), cmocka_unit_test(test_claims)};
    folder = argc > 1 ? argv[1] : ".";
    return cmocka_run_group_tests_name("coverage", tests, NULL, NULL);
}
