// SPDX-License-Identifier: MIT
// Every form of forms/*.c on the PTX machine against its reference: test_ptxm_forms GROUP.
#include "forms/forms.h"
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t *in[3], *out;

static void describe(const struct form *form, unsigned i, const struct answer answer[2])
{
    print_message("# %s\n#   a %llx b %llx c %llx: %llx, want %llx", form->text,
                  (unsigned long long)in[0][i], (unsigned long long)in[1][i],
                  (unsigned long long)in[2][i], (unsigned long long)out[i],
                  (unsigned long long)answer[0].bits);
    if (form->held[0]->kind == 'x')
        print_message(" and %llx", (unsigned long long)answer[1].bits);
    if (answer[0].error != 0)
        print_message(" (%.20Lg +- %.3Lg)", answer[0].value, answer[0].error);
    print_message("\n");
}

static unsigned compare(const struct form *form)
{
    unsigned wrong = 0, count = form_operand_count(form);
    for (unsigned i = 0; i < count; i++) {
        struct answer answer[2];
        form_expect(form, (uint64_t[]){in[0][i], in[1][i], in[2][i]}, answer);
        if (form_agrees(form, out[i], answer))
            continue;
        if (wrong++ < 4)
            describe(form, i, answer);
    }
    if (wrong)
        print_message("# %s: %u of %u differ\n", form->text, wrong, count);
    return wrong;
}

// The operands of the form before stay where they are if they are the same.
static void run(struct bench *bench, const struct form *form, size_t index, uint64_t buffer)
{
    char name[24];
    unsigned count = form_operand_count(form);
    uint64_t bytes = (uint64_t)count * 8, address[4];
    bool same = index && form_same_operands(form, form - 1);
    if (!same)
        form_operands(form, in);
    for (unsigned k = 0; k < 4; k++) address[k] = buffer + k * FORM_OPERANDS * 8;
    for (unsigned k = 0; !same && k < form->sources; k++)
        assert_int_equal(ptxm_memory_write(bench->device, address[k], in[k], bytes), PTXM_OK);
    assert_int_equal(ptxm_memory_fill(bench->device, address[3], 0, bytes), PTXM_OK);
    snprintf(name, sizeof name, "k%zu", index);
    RUN(bench, name, count / 256, 256, 0, address[0], address[1], address[2], address[3]);
    bench_clean(bench);
    bench_read(bench, address[3], out, bytes);
}

static void test_row(void **state)
{
    const struct form_row *row = *state;
    size_t count, wrong = 0;
    struct form *forms = forms_of(row, &count);
    assert_non_null(forms);
    char *text = forms_text(forms, count, "sm_90a");
    assert_non_null(text);
    struct bench bench;
    bench_load(&bench, text);
    bench.options.no_checks = bench.options.no_counters = true;
    uint64_t buffer = bench_buffer(&bench, 4ul * FORM_OPERANDS * 8, NULL);
    for (size_t i = 0; i < count; i++) {
        run(&bench, &forms[i], i, buffer);
        wrong += compare(&forms[i]) != 0;
    }
    bench_free(&bench);
    free(text);
    free(forms);
    assert_int_equal(wrong, 0);
}

static int run_group(const struct form_group *group)
{
    struct CMUnitTest *tests = calloc(group->count, sizeof *tests);
    for (size_t i = 0; tests && i < group->count; i++)
        tests[i] = (struct CMUnitTest){.name = group->rows[i].pattern, .test_func = test_row,
                                       .initial_state = (void *)&group->rows[i]};
    for (int k = 0; k < 3; k++) in[k] = calloc(FORM_OPERANDS, 8);
    out = calloc(FORM_OPERANDS, 8);
    int failed = !tests || !in[0] || !in[1] || !in[2] || !out ||
                 _cmocka_run_group_tests(group->name, tests, group->count, NULL, NULL);
    for (int k = 0; k < 3; k++) free(in[k]);
    free(out);
    free(tests);
    return failed;
}

int main(int argc, char **argv)
{
    struct form_group group;
    if (argc > 2)
        cmocka_set_test_filter(argv[2]);
    for (size_t i = 0; argc > 1 && (group = form_group(i)).name; i++)
        if (!strcmp(group.name, argv[1]))
            return run_group(&group);
    fprintf(stderr, "usage: %s GROUP [TEST], groups:", argv[0]);
    for (size_t i = 0; (group = form_group(i)).name; i++) fprintf(stderr, " %s", group.name);
    fprintf(stderr, "\n");
    return 2;
}
