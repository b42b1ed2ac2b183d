// SPDX-License-Identifier: MIT
// ptxas takes every form of forms/*.c: no test here is of an instruction that there is not.
//   test_ptxm_assembled PTXAS
#include "forms/forms.h"
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *ptxas;

// The forms of all rows of a group, so that ptxas is started once.
static struct form *forms_of_group(const struct form_group *group, size_t *count)
{
    struct form *all = NULL;
    *count = 0;
    for (size_t r = 0; r < group->count; r++) {
        size_t more;
        struct form *forms = forms_of(&group->rows[r], &more);
        assert_non_null(forms);
        all = realloc(all, (*count + more) * sizeof *all);
        assert_non_null(all);
        memcpy(all + *count, forms, more * sizeof *all);
        *count += more;
        free(forms);
    }
    return all;
}

static void test_group(void **state)
{
    struct form_group group = form_group(*(size_t *)*state);
    size_t count;
    struct form *forms = forms_of_group(&group, &count);
    char *text = forms_text(forms, count, "sm_90a"), path[] = "/tmp/ptxm-forms-XXXXXX", line[512];
    assert_non_null(text);
    int file = mkstemp(path);
    assert_true(file >= 0);
    assert_int_equal(write(file, text, strlen(text)), strlen(text));
    close(file);
    snprintf(line, sizeof line, "'%s' -arch=sm_90a -O0 -o /dev/null '%s' 2>&1", ptxas, path);
    FILE *said = popen(line, "r");
    assert_non_null(said);
    while (fgets(line, sizeof line, said)) print_message("# %s", line);
    int status = pclose(said);
    unlink(path);
    free(text);
    free(forms);
    assert_int_equal(status, 0);
}

int main(int argc, char **argv)
{
    enum { MOST = 16 };
    struct CMUnitTest tests[MOST];
    size_t numbers[MOST], count = 0;
    ptxas = argc > 1 ? argv[1] : "";
    if (access(ptxas, X_OK)) {
        printf("1..0 # SKIP no ptxas on this machine\n");
        return 0;
    }
    for (; count < MOST && form_group(count).name; count++) {
        numbers[count] = count;
        tests[count] = (struct CMUnitTest){.name = form_group(count).name,
                                           .test_func = test_group,
                                           .initial_state = &numbers[count]};
    }
    return _cmocka_run_group_tests("assembled", tests, count, NULL, NULL);
}
