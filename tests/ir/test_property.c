// SPDX-License-Identifier: MIT
// Random programs print, parse back to the same IR, and print the same again; clones are equal.
#include "tests/ir/ir_test.h"
#include "tests/ir/gen_program.h"

static void check_seed(unsigned seed)
{
    gen_options options = {.seed = seed,
                           .statements = 10 + (int)(seed % 40),
                           .sync = seed % 2,
                           .odd_shapes = seed % 3 == 0,
                           .wide_types = seed % 5 == 0};
    kg_build *b = kg_build_new(NULL);
    gen_program(b, &options);
    kg_unit *unit = kg_build_unit(b);
    if (!unit) fail_msg("seed %u is not legal:\n%s", seed, kg_build_report(b));
    const char *text = kg_build_text(b);
    ir_test *t = ir_test_new();
    kg_unit *again = ir_parse(t, text);
    if (!again) fail_msg("seed %u does not parse:\n%s\n%s", seed, text, ir_report(t));
    if (!kg_kernel_equal(unit->kernels, again->kernels))
        fail_msg("seed %u parses to something else:\n%s\n%s", seed, text, ir_print(t, again));
    assert_string_equal(ir_print(t, again), text);
    assert_true(ir_verify(t, again));
    ir_test_free(t);
    kg_build_free(b);
}

static void test_round_trip(void **state)
{
    for (unsigned seed = 1; seed <= 3000; seed++) check_seed(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_round_trip)};
    return cmocka_run_group_tests_name("ir_property", tests, NULL, NULL);
}
