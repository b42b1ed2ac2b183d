// SPDX-License-Identifier: MIT
//
// The two tables: targets and PTX templates.
#include "support.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void finds_by_exact_name(void **state)
{
    const struct cg_target *a = cg_target_find("sm_80"), *b = cg_target_find("sm_90a");
    assert_non_null(a);
    assert_non_null(b);
    assert_int_equal(a->shared_cta, 163 * 1024);
    assert_int_equal(a->ptx, 70);
    assert_true(b->features & CG_FEATURE_WGMMA);
    assert_false(cg_target_find("sm_90")->features & CG_FEATURE_WGMMA);
    assert_null(cg_target_find("sm_81"));
    assert_null(cg_target_find(""));
    assert_null(cg_target_find(NULL));
}

static void suggests_the_nearest(void **state)
{
    assert_string_equal(cg_target_suggest("sm80")->name, "sm_80");
    assert_string_equal(cg_target_suggest("SM_120A")->name, "sm_120a");
    assert_string_equal(cg_target_suggest("sm_8")->name, "sm_80");
    assert_null(cg_target_suggest("hopper"));
    assert_null(cg_target_suggest("a name that is far too long to be one"));
    assert_null(cg_target_suggest(NULL));
}

static void rows_are_consistent(void **state)
{
    for (size_t i = 0; i < cg_target_count(); i++) {
        const struct cg_target *target = cg_target_at(i);
        assert_ptr_equal(cg_target_find(target->name), target);
        assert_non_null(cg_target_find(target->llvm_cpu));
        assert_true(target->shared_cta >= CG_STATIC_SHARED_LIMIT);
        assert_true(target->shared_cta < target->shared_sm);
        assert_int_equal(strtoul(target->name + 3, NULL, 10), target->sm);
    }
    assert_null(cg_target_at(cg_target_count()));
}

static void tells_each_llvm_what_it_knows(void **state)
{
    unsigned ptx;
    const struct cg_target *old = cg_target_find("sm_80"), *new = cg_target_find("sm_121");
    assert_string_equal(cg_target_llvm_cpu(old, 19, 70, &ptx), "sm_80");
    assert_int_equal(ptx, 70);
    assert_string_equal(cg_target_llvm_cpu(old, 19, 74, &ptx), "sm_80");
    assert_int_equal(ptx, 74);
    assert_string_equal(cg_target_llvm_cpu(new, 22, 70, &ptx), "sm_121");
    assert_int_equal(ptx, 88);
    assert_string_equal(cg_target_llvm_cpu(new, 19, 88, &ptx), "sm_90");
    assert_int_equal(ptx, 85);
}

// Each `$n` of the text is an operand of the constraints, and each operand stands in the text.
static void templates_name_their_operands(void **state)
{
    for (unsigned id = 0; id < CG_PTX_COUNT; id++) {
        const struct cg_ptx *row = cg_ptx_get((enum cg_ptx_id)id);
        struct cg_ptx_operands operands = cg_ptx_operands(row);
        unsigned count = operands.results + operands.arguments, seen = 0;
        for (const char *at = strchr(row->text, '$'); at; at = strchr(at + 1, '$')) {
            unsigned long number = strtoul(at + 1, NULL, 10);
            assert_true(number < count);
            assert_non_null(strchr("rlhfdbn", operands.letters[number]));
            seen |= 1u << number;
        }
        assert_int_equal(seen, (1u << count) - 1);
        assert_int_equal(row->text[strlen(row->text) - 1], ';');
        assert_int_equal(occurrences(row->text, ";"), 1);
    }
    assert_null(cg_ptx_get(CG_PTX_UNKNOWN));
}

// What waits, signals or works together with other threads is kept, in order, and not copied.
static void templates_state_their_effects(void **state)
{
    for (unsigned id = 0; id < CG_PTX_COUNT; id++) {
        const struct cg_ptx *row = cg_ptx_get((enum cg_ptx_id)id);
        assert_string_not_equal(cg_ptx_class_name(row->class), "unknown");
        if (row->flags) assert_true(row->flags & CG_PTX_SIDE_EFFECT);
        if (row->flags) assert_true(row->flags & CG_PTX_CONVERGENT);
        if (!(CG_CLASSES_SYNC & CG_CLASS_BIT(row->class))) continue;
        assert_true(row->flags & CG_PTX_SIDE_EFFECT);
        bool registers = row->class == CG_CLASS_MMA || row->class == CG_CLASS_CONTROL;
        if (!registers) assert_true(row->flags & CG_PTX_MEMORY);
    }
    assert_string_equal(cg_ptx_class_name(CG_CLASS_COUNT), "unknown");
}

static void templates_differ(void **state)
{
    for (unsigned a = 0; a < CG_PTX_COUNT; a++)
        for (unsigned b = a + 1; b < CG_PTX_COUNT; b++) {
            const struct cg_ptx *one = cg_ptx_get((enum cg_ptx_id)a);
            const struct cg_ptx *other = cg_ptx_get((enum cg_ptx_id)b);
            assert_string_not_equal(one->name, other->name);
            if (!strcmp(one->text, other->text))
                assert_string_not_equal(one->constraints, other->constraints);
        }
}

static void templates_know_their_targets(void **state)
{
    const struct cg_target *ampere = cg_target_find("sm_80"), *hopper = cg_target_find("sm_90a");
    const struct cg_ptx *copy = cg_ptx_get(CG_PTX_CP_ASYNC_CG_16);
    const struct cg_ptx *fence = cg_ptx_get(CG_PTX_WGMMA_FENCE);
    assert_true(cg_ptx_supported(copy, ampere));
    assert_true(cg_ptx_supported(copy, hopper));
    assert_false(cg_ptx_supported(fence, ampere));
    assert_true(cg_ptx_supported(fence, hopper));
    assert_false(cg_ptx_supported(fence, cg_target_find("sm_120")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_by_exact_name),
        cmocka_unit_test(suggests_the_nearest),
        cmocka_unit_test(rows_are_consistent),
        cmocka_unit_test(tells_each_llvm_what_it_knows),
        cmocka_unit_test(templates_name_their_operands),
        cmocka_unit_test(templates_state_their_effects),
        cmocka_unit_test(templates_differ),
        cmocka_unit_test(templates_know_their_targets),
    };
    return cmocka_run_group_tests_name("codegen targets", tests, NULL, NULL);
}
