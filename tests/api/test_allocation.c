// SPDX-License-Identifier: MIT
// The n-th allocation fails, for every n over one compile and one judgement: the status says so,
// nothing is lost.
#include "kernels/kernels.h"
#include "runtime/kgen.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

typedef struct counter {
    long made, fail_at; // the allocation that fails, from 1; 0 = none
    long live;
} counter;

static void *count_allocate(void *user, size_t bytes)
{
    counter *c = user;
    if (++c->made == c->fail_at) return NULL;
    void *memory = malloc(bytes);
    c->live += memory != NULL;
    return memory;
}

static void count_release(void *user, void *memory)
{
    ((counter *)user)->live -= memory != NULL;
    free(memory);
}

static kgen_status compile_once(counter *c, const char *name)
{
    kgen_allocator allocator = {count_allocate, count_release, c};
    kgen_context *context = NULL;
    kgen_program *program = NULL;
    size_t length;
    const char *text = kgen_kernel_source(name, &length);
    kgen_status status = kgen_context_create(&(kgen_options){.allocator = &allocator}, &context);
    if (!status) status = kgen_compile(context, text, length, NULL, &program);
    kgen_program_free(program);
    kgen_context_free(context);
    return status;
}

static void every_allocation_of_a_compile(void **state)
{
    counter all = {0};
    assert_int_equal(compile_once(&all, "delta_net"), KGEN_OK);
    assert_int_equal(all.live, 0);
    for (long n = 1; n <= all.made; n++) {
        counter c = {.fail_at = n};
        kgen_status status = compile_once(&c, "delta_net");
        // Giving a code generator back to the pool is an allocation that may fail without harm.
        if (status != KGEN_ERROR_MEMORY && status != KGEN_OK)
            fail_msg("allocation %ld of %ld: %s", n, all.made, kgen_status_name(status));
        assert_int_equal(c.live, 0);
    }
}

static const char by_hand[] = "kernel h(a: global f32[512], c: global f32[511])\n"
                              "{\n"
                              "  shared s: f32[512]\n"
                              "  copy_async s = a[0..]\n"
                              "  barrier\n"
                              "  commit\n"
                              "  wait 1\n"
                              "  store c[0..] = load s[1.. + 511]\n"
                              "}\n";

static kgen_status judge_once(counter *c)
{
    kgen_allocator allocator = {count_allocate, count_release, c};
    kgen_context *context = NULL;
    kgen_judgement *judgement = NULL;
    kgen_sync_options o = {.minimize = 1};
    kgen_status status = kgen_context_create(&(kgen_options){.allocator = &allocator}, &context);
    if (!status) status = kgen_judge_sync(context, by_hand, strlen(by_hand), &o, &judgement);
    if (!status) assert_non_null(kgen_judgement_program(judgement));
    kgen_judgement_free(judgement);
    kgen_context_free(context);
    return status;
}

static void every_allocation_of_a_judgement(void **state)
{
    counter all = {0};
    assert_int_equal(judge_once(&all), KGEN_OK);
    assert_int_equal(all.live, 0);
    for (long n = 1; n <= all.made; n++) {
        counter c = {.fail_at = n};
        kgen_status status = judge_once(&c);
        if (status != KGEN_ERROR_MEMORY)
            fail_msg("allocation %ld of %ld: %s", n, all.made, kgen_status_name(status));
        assert_int_equal(c.live, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_allocation_of_a_compile),
                                       cmocka_unit_test(every_allocation_of_a_judgement)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
