// SPDX-License-Identifier: MIT
// The mutants of a text, each under the line it comes from.
#include "tools/mutation/mutants.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

// The program is `before`, `line`, `after`; of its mutants, those of `line` have these words and
// this text instead of the line, up to a NULL.
static void expect(const char *before, const char *line, const char *after,
                   const char *const expected[][2])
{
    char program[512], text[512];
    mutant_list list;
    size_t seen = 0, words = strcspn(line + strspn(line, " "), "{\n");
    snprintf(program, sizeof program, "%s%s%s", before, line, after);
    while (words && line[strspn(line, " ") + words - 1] == ' ') words--;
    mutants_of(program, &list);
    for (size_t i = 0; i < list.count; i++) {
        const char *named = strchr(list.items[i].what, '(') + 1;
        if (strncmp(named, line + strspn(line, " "), words) || named[words] != ',') continue;
        assert_non_null(expected[seen][0]);
        assert_string_equal(strchr(named, ')') + 2, expected[seen][0]);
        snprintf(text, sizeof text, "%s%s%s", before, expected[seen][1], after);
        if (!strncmp(expected[seen][0], "moved", 5))
            snprintf(text, sizeof text, "%s%s", before, expected[seen][1]);
        assert_string_equal(list.items[i].text, text);
        seen++;
    }
    assert_null(expected[seen][0]);
    mutants_free(&list);
}

static void barriers_and_commits_go(void **state)
{
    (void)state;
    expect("  x = 1\n", "  barrier {sync=4, why=[1]}\n", "  y = 2\n",
           (const char *const[][2]){{"removed", ""}, {NULL, NULL}});
    expect("", "  commit {sync=1}\n", "", (const char *const[][2]){{"removed", ""}, {NULL, NULL}});
}

static void waits_are_loosened_and_moved(void **state)
{
    (void)state;
    expect("", "    wait 9 {sync=3}\n", "    barrier {sync=4}\n",
           (const char *const[][2]){
               {"removed", ""},
               {"loosened by one", "    wait 10 {sync=3}\n"},
               {"moved behind its barrier", "    barrier {sync=4}\n    wait 9 {sync=3}\n"},
               {NULL, NULL}});
    expect(
        "  barrier\n", "  wait 0\n", "  x = 1\n",
        (const char *const[][2]){{"removed", ""}, {"loosened by one", "  wait 1\n"}, {NULL, NULL}});
}

static void ids_are_swapped_for_the_next(void **state)
{
    (void)state;
    expect("  arrive id 7 count 64\n", "  barrier id 2 count 128 {sync=5}\n", "",
           (const char *const[][2]){{"removed", ""},
                                    {"with id 7", "  barrier id 7 count 128 {sync=5}\n"},
                                    {NULL, NULL}});
    expect("  barrier id 2 count 128\n", "  arrive id 7 count 64\n", "  barrier\n",
           (const char *const[][2]){
               {"removed", ""}, {"with id 2", "  arrive id 2 count 64\n"}, {NULL, NULL}});
}

// Nobody else names it: it would be the same program. Where some arrive at it, it is not.
static void an_only_id_is_swapped_for_a_new_one_if_some_arrive(void **state)
{
    (void)state;
    expect("  barrier\n", "  barrier id 3 count 64\n", "",
           (const char *const[][2]){{"removed", ""}, {NULL, NULL}});
    expect("  arrive id 3 count 64\n", "  barrier id 3 count 64\n", "",
           (const char *const[][2]){
               {"removed", ""}, {"with id 4", "  barrier id 4 count 64\n"}, {NULL, NULL}});
    expect("  arrive id 15 count 64\n", "  barrier id 15 count 64\n", "",
           (const char *const[][2]){
               {"removed", ""}, {"with id 14", "  barrier id 14 count 64\n"}, {NULL, NULL}});
}

static void warps_change_their_group(void **state)
{
    (void)state;
    expect("", "  barrier count 64 {ids=[3, 3, 4, 4], sync=2}\n", "",
           (const char *const[][2]){{"removed", ""},
                                    {"with its first warp in another group",
                                     "  barrier count 64 {ids=[4, 3, 3, 4], sync=2}\n"},
                                    {NULL, NULL}});
}

static void fences_are_narrowed(void **state)
{
    (void)state;
    expect("", "  fence acq_rel gpu {sync=2}\n", "",
           (const char *const[][2]){{"removed", ""},
                                    {"order acquire", "  fence acquire gpu {sync=2}\n"},
                                    {"order release", "  fence release gpu {sync=2}\n"},
                                    {"scope cta", "  fence acq_rel cta {sync=2}\n"},
                                    {NULL, NULL}});
    expect("", "  fence release cta\n", "",
           (const char *const[][2]){
               {"removed", ""}, {"order relaxed", "  fence relaxed cta\n"}, {NULL, NULL}});
}

static int fences_removed(const char *program)
{
    mutant_list list;
    int count = 0;
    mutants_of(program, &list);
    for (size_t i = 0; i < list.count; i++)
        count += strstr(list.items[i].what, "(wgmma_fence") != NULL;
    mutants_free(&list);
    return count;
}

// ptxas wants a fence in front of each batch of products; only the first one orders anything,
// unless registers are touched between the two.
#define BATCH                                                                                      \
    "  wgmma_fence {sync=1}\n  %1 @#2 = wgmma(a, b, c)\n  wgmma_commit {sync=2}\n"                 \
    "  %2 = view sv[t; ..+128]\n  mbarrier_wait full[t; ..+1] {sync=3}\n"
static void fences_that_only_repeat_stay(void **state)
{
    (void)state;
    assert_int_equal(fences_removed(BATCH "  wgmma_fence {sync=4}\n"), 1);
    assert_int_equal(fences_removed(BATCH "  %4 @#1 = mul(f, %5)\n  wgmma_fence {sync=4}\n"), 2);
    assert_int_equal(fences_removed(BATCH "  acc = %4\n  wgmma_fence {sync=4}\n"), 2);
    assert_int_equal(fences_removed(BATCH "  for j in %6 .. %7 step %8 {\n    wgmma_fence\n"), 2);
}

// In front of an arrival both a wait and the arrival may be needed, and yet in any order.
static void only_products_before_arrivals_are_reordered(void **state)
{
    (void)state;
    static const char *const programs[] = {
        "  wgmma_wait 1 {sync=1}\n  mbarrier_arrive empty[t; ..+1] {sync=2}\n",
        "  wgmma_wait 1 {sync=1}\n  barrier id 1 count 256 {sync=2}\n",
        "  bulk_wait 0 {read=1, sync=1}\n  mbarrier_arrive empty[t; ..+1] {sync=2}\n"};
    for (int i = 0; i < 3; i++) {
        mutant_list list;
        int orders = 0, moved = 0;
        mutants_of(programs[i], &list);
        for (size_t k = 0; k < list.count; k++) {
            orders += list.items[k].order;
            moved += strstr(list.items[k].what, "moved behind its barrier") != NULL;
        }
        assert_int_equal(moved, 1);
        assert_int_equal(orders, i == 0);
        mutants_free(&list);
    }
}

// Of the CTAs of a cluster an arrival reaches only its own, and a wait learns of its own only.
static void clusters_are_narrowed(void **state)
{
    (void)state;
    expect("", "  cluster_barrier {sync=1}\n", "",
           (const char *const[][2]){{"removed", ""}, {NULL, NULL}});
    expect("", "  mbarrier_arrive e[t; ..+1] {cluster=1, sync=2}\n", "",
           (const char *const[][2]){
               {"removed", ""},
               {"without cluster", "  mbarrier_arrive e[t; ..+1] {cluster=0, sync=2}\n"},
               {NULL, NULL}});
    expect("", "  mbarrier_wait e[t; ..+1] {behind=1, cluster=1}\n", "",
           (const char *const[][2]){
               {"removed", ""},
               {"without behind", "  mbarrier_wait e[t; ..+1] {behind=0, cluster=1}\n"},
               {"without cluster", "  mbarrier_wait e[t; ..+1] {behind=1, cluster=0}\n"},
               {NULL, NULL}});
}

// In front of a wait for threads a fence misses what they have done; what the copy engine brings
// is not what it is for.
static void fences_go_in_front_of_waits_for_threads(void **state)
{
    (void)state;
    static const char *const waits[] = {"full", "empty"};
    for (int i = 0; i < 2; i++) {
        char program[256];
        mutant_list list;
        bool moved = false;
        snprintf(program, sizeof program,
                 "  copy_bulk t[k; ..+1] = a on full[k; ..+1]\n  mbarrier_wait %s[k; ..+1]\n"
                 "  proxy_fence shared\n",
                 waits[i]);
        mutants_of(program, &list);
        for (size_t k = 0; k < list.count; k++)
            moved |= strstr(list.items[k].what, "moved in front of the wait") != NULL;
        assert_int_equal(moved, i);
        mutants_free(&list);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(barriers_and_commits_go),
        cmocka_unit_test(clusters_are_narrowed),
        cmocka_unit_test(waits_are_loosened_and_moved),
        cmocka_unit_test(ids_are_swapped_for_the_next),
        cmocka_unit_test(an_only_id_is_swapped_for_a_new_one_if_some_arrive),
        cmocka_unit_test(warps_change_their_group),
        cmocka_unit_test(fences_are_narrowed),
        cmocka_unit_test(fences_that_only_repeat_stay),
        cmocka_unit_test(fences_go_in_front_of_waits_for_threads),
        cmocka_unit_test(only_products_before_arrivals_are_reordered),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
