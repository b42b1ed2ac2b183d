// SPDX-License-Identifier: MIT
// The pass driver: which passes run for which options and levels, and what it says to wrong ones.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "passes/pass_list.h"

static const char text[] = "kernel p(a: global f32[N], o: global f32[N])\n"
                           "  grid b: ceildiv(N, 128)\n"
                           "{\n"
                           "  store o[b*128 ..] = load a[b*128 .. + 128] * 2.0\n"
                           "}\n";

typedef struct fixture {
    kg_arena arena;
    kg_diags diags;
    jmp_buf recovery;
    kg_kernel *kernel;
    char ran[128]; // names of the passes that ran, with a space after each; "-" for the start
} fixture;

static int set_up(void **state)
{
    static const kg_source source = {"test", text, sizeof text - 1};
    static fixture f;
    memset(&f, 0, sizeof f);
    kg_arena_init(&f.arena, NULL);
    if (setjmp(f.recovery))
        return 1;
    f.arena.recovery = &f.recovery;
    f.diags.arena = &f.arena;
    kg_unit *unit = kg_parse(&f.arena, &f.diags, &source, NULL, 0);
    if (!unit)
        return 1;
    f.kernel = unit->kernels;
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    kg_arena_free(&((fixture *)*state)->arena);
    return 0;
}

static void note_pass(const kg_pass *pass, kg_kernel *kernel, void *user)
{
    fixture *f = user;
    size_t used = strlen(f->ran);
    snprintf(f->ran + used, sizeof f->ran - used, "%s ", pass ? pass->name : "-");
}

static bool run(fixture *f, const char *passes, const char *stop_after)
{
    static const kg_machine machine = {"sm_80", 80, 163 * 1024, 255};
    kg_pass_context context = {.arena = &f->arena, .diags = &f->diags, .machine = &machine};
    f->ran[0] = 0;
    return kg_run_pipeline(&context, f->kernel,
                           &(kg_pipeline_options){passes, stop_after, note_pass, f});
}

static void assert_error(const fixture *f, const char *id, const char *what, const char *help)
{
    assert_non_null(f->diags.first);
    assert_string_equal(kg_diag_id_name(f->diags.first->id), id);
    assert_non_null(strstr(f->diags.first->text, what));
    assert_non_null(f->diags.first->help);
    assert_non_null(strstr(f->diags.first->help, help));
}

static void the_whole_pipeline_runs(void **state)
{
    fixture *f = *state;
    assert_true(run(f, NULL, NULL));
    assert_string_equal(f->ran,
                        "- fold specialize overlap home pipeline split layout lower repair phases "
                        "pingpong dependent place sync ");
    assert_int_equal(f->kernel->level, KG_LEVEL_SYNCED);
}

static void it_goes_on_from_the_level_of_the_kernel(void **state)
{
    fixture *f = *state;
    assert_true(run(f, NULL, "pipeline"));
    assert_string_equal(f->ran, "- fold specialize overlap home pipeline ");
    assert_int_equal(f->kernel->level, KG_LEVEL_STAGED);
    assert_true(run(f, NULL, "lower"));
    assert_string_equal(f->ran, "- split layout lower ");
    assert_true(run(f, NULL, "fold")); // behind it already
    assert_string_equal(f->ran, "- ");
}

static void named_passes_run_exactly(void **state)
{
    fixture *f = *state;
    assert_true(run(f, "fold,fold", NULL));
    assert_string_equal(f->ran, "- fold fold ");
    assert_int_equal(f->kernel->level, KG_LEVEL_TILE);
    assert_true(run(f, "home,pipeline,layout", "pipeline"));
    assert_string_equal(f->ran, "- home pipeline ");
}

static void a_pass_on_the_wrong_level_is_refused(void **state)
{
    fixture *f = *state;
    assert_false(run(f, "fold,place", NULL));
    assert_string_equal(f->ran, "- fold ");
    assert_error(f, "KG-V201", "pass 'place' needs a kernel at level laid_out", "pass 'lower'");
}

static void unknown_passes_are_named(void **state)
{
    fixture *f = *state;
    assert_false(run(f, "fold,pipelin", NULL));
    assert_string_equal(f->ran, "");
    assert_error(f, "KG-P006", "unknown pass 'pipelin'", "did you mean 'pipeline'?");
}

static void an_unknown_stop_lists_the_passes(void **state)
{
    fixture *f = *state;
    assert_false(run(f, NULL, "optimize-everything"));
    assert_error(f, "KG-P006", "in stop-after",
                 "fold, specialize, overlap, home, pipeline, split, layout");
}

static void a_stop_outside_of_the_list_is_refused(void **state)
{
    fixture *f = *state;
    assert_false(run(f, "fold,home", "layout"));
    assert_error(f, "KG-P006", "pass 'layout' of stop-after is not among", "fold,home");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_whole_pipeline_runs, set_up, tear_down),
        cmocka_unit_test_setup_teardown(it_goes_on_from_the_level_of_the_kernel, set_up, tear_down),
        cmocka_unit_test_setup_teardown(named_passes_run_exactly, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_pass_on_the_wrong_level_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(unknown_passes_are_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_unknown_stop_lists_the_passes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_stop_outside_of_the_list_is_refused, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
