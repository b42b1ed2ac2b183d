// SPDX-License-Identifier: MIT
//
// What the builder refuses, and how it ends when memory does: with a status, never the process.
#include "codegen/internal.h"
#include "support.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

// -- Errors ------------------------------------------------------------------------------------

// Each of these is one wrong call; the module remembers it and nothing ends.
enum mistake {
    MIXED_TYPES,
    FLOAT_ADD_OF_INTEGERS,
    MISSING_OPERAND,
    AFTER_THE_BRANCH,
    LATE_PHI,
    NO_SUCH_LANE,
    NO_SUCH_ARGUMENT,
    WIDENING_TRUNC,
    BITCAST_OF_OTHER_SIZE,
    NOT_A_VARIABLE,
    VARIABLE_OF_OTHER_TYPE,
    VARIABLE_IMMEDIATE,
    WRONG_ARGUMENT_COUNT,
    WRONG_ARGUMENT_SIZE,
    NO_SUCH_TEMPLATE,
    SHARED_ADDRESS_OF_64_BITS,
    KERNEL_IN_A_KERNEL,
    CONDITION_OF_32_BITS,
    MISTAKE_COUNT,
};

static void make(struct bench *bench, enum mistake mistake)
{
    struct cg_module *m = bench->m;
    cg_value word = cg_argument(m, ARGUMENT_I32), wide = cg_argument(m, ARGUMENT_I64);
    cg_value zero = cg_i32(m, 0), two[] = {word, word}, out[4];
    struct cg_access access = {CG_SPACE_SHARED, wide, 0, 4};
    struct cg_kernel kernel = {"inner"};
    switch (mistake) {
    case MIXED_TYPES: cg_add(m, word, wide); break;
    case FLOAT_ADD_OF_INTEGERS: cg_fadd(m, word, word); break;
    case MISSING_OPERAND: cg_add(m, word, NULL); break;
    case AFTER_THE_BRANCH: cg_return(m); cg_add(m, word, word); break;
    case LATE_PHI: store_global(bench, 0, word); cg_phi(m, CG_I32); break;
    case NO_SUCH_LANE: cg_lane(m, word, 0); break;
    case NO_SUCH_ARGUMENT: cg_argument(m, 99); break;
    case WIDENING_TRUNC: cg_trunc(m, word, CG_I64); break;
    case BITCAST_OF_OTHER_SIZE: cg_bitcast(m, word, CG_F16); break;
    case NOT_A_VARIABLE: cg_get(m, word); break;
    case VARIABLE_OF_OTHER_TYPE: cg_set(m, cg_variable(m, CG_F32, NULL), word); break;
    case VARIABLE_IMMEDIATE: cg_template(m, CG_PTX_BAR_SYNC, &word, 1, NULL, NULL); break;
    case WRONG_ARGUMENT_COUNT: cg_template(m, CG_PTX_BAR_SYNC, two, 2, NULL, NULL); break;
    case WRONG_ARGUMENT_SIZE: cg_template(m, CG_PTX_ST_RELEASE_GPU_B32, two, 2, NULL, NULL); break;
    case NO_SUCH_TEMPLATE: cg_template(m, CG_PTX_UNKNOWN, &zero, 1, NULL, NULL); break;
    case SHARED_ADDRESS_OF_64_BITS: cg_load(m, &access, CG_F32, 1, out); break;
    case KERNEL_IN_A_KERNEL: cg_kernel_begin(m, &kernel); break;
    case CONDITION_OF_32_BITS: cg_select(m, word, word, word); break;
    default: break;
    }
}

static void mistakes_are_remembered(void **state)
{
    for (int mistake = 0; mistake < MISTAKE_COUNT; mistake++) {
        struct bench bench;
        bench_open(&bench, NULL);
        make(&bench, (enum mistake)mistake);
        if (cg_module_status(bench.m) != CG_ERROR_USAGE) fail_msg("mistake %d passed", mistake);
        assert_true(strlen(cg_module_error(bench.m)) > 0);
        assert_null(cg_add(bench.m, cg_i32(bench.m, 1), cg_i32(bench.m, 1)));
        assert_int_equal(bench_finish(&bench, NULL), CG_ERROR_USAGE);
        assert_null(bench.out.ptx);
        bench_close(&bench);
    }
}

static void targets_refuse_what_they_lack(void **state)
{
    struct bench bench;
    bench_open(&bench, "sm_80");
    assert_false(cg_template(bench.m, CG_PTX_WGMMA_FENCE, NULL, 0, NULL, NULL));
    assert_int_equal(cg_module_status(bench.m), CG_ERROR_TARGET);
    assert_non_null(strstr(cg_module_error(bench.m), "WGMMA_FENCE"));
    bench_close(&bench);
}

static void the_verifier_speaks(void **state)
{
    struct bench bench;
    bench_open(&bench, NULL);
    cg_block_new(bench.m, "never entered");
    assert_int_equal(bench_finish(&bench, NULL), CG_ERROR_LLVM);
    assert_non_null(strstr(cg_module_error(bench.m), "terminator"));
    bench_close(&bench);
}

// Passes that copy barriers, and the ones that end the process, are refused; nonsense too.
static void dangerous_passes_are_refused(void **state)
{
    static const char *const lists[] = {"simplifycfg", "sroa,instcombine,dce", "loop-unroll",
                                        "jump-threading", "no-such-pass", "default<O2>"};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        struct bench bench;
        bench_open(&bench, NULL);
        assert_int_not_equal(bench_finish(&bench, lists[i]), CG_OK);
        bench_close(&bench);
    }
}

// What the builder cannot make, LLVM might: any local memory in the text is reported.
static void local_memory_is_noticed(void **state)
{
    static const char raw[] = "//\n.version 8.5\n.target sm_90\n\t.local .align 4 .b8 depot[4];\n"
                              "$L__tmp1:\n\tret;\n\t.section\t.debug_loc\t{\t}\n";
    static const struct cg_allocator standard = {0};
    const struct cg_target *target = cg_target_find("sm_100");
    size_t length;
    bool local;
    char *text =
        cg_clean_text(&standard, raw, sizeof raw - 1, target, 86, (unsigned[3]){0},
                      (unsigned[3]){0}, &length, &local);
    assert_true(local);
    assert_string_equal(text, ".version 8.6\n.target sm_100\n"
                              "\t.local .align 4 .b8 depot[4];\n\tret;\n");
    assert_int_equal(length, strlen(text));
    free(text);
}

static void bad_kernels_are_refused(void **state)
{
    static const struct cg_parameter vector = {"v", CG_F16X2}, odd = {"p", CG_PTR_GLOBAL, 3};
    const struct cg_kernel bad[] = {
        {""},        {"1st"},    {"a b"},  {"kernel"},
        {"a", .threads = {1024, 2, 1}},    {"a", .threads = {32, 0, 1}},
        {"a", .max_threads = 2048},        {"a", &vector, 1},
        {"a", &odd, 1},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct bench bench;
        bench_open(&bench, NULL);
        cg_kernel_end(bench.m);
        assert_false(cg_kernel_begin(bench.m, &bad[i]));
        assert_int_equal(cg_module_status(bench.m), CG_ERROR_USAGE);
        bench_close(&bench);
    }
}

// -- Memory and threads ------------------------------------------------------------------------

struct counted {
    int until_failure; // allocations that still succeed
    int live;
};

static void *counted_resize(void *user, void *block, size_t size)
{
    struct counted *counted = user;
    counted->live += (block == NULL) - (size == 0);
    if (size) {
        void *got = counted->until_failure-- > 0 ? realloc(block, size) : NULL;
        counted->live -= !got;
        return got;
    }
    free(block);
    return NULL;
}

// Something of a kernel's that becomes text.
static void store_power(struct cg_module *m)
{
    struct cg_access access = {.space = CG_SPACE_GLOBAL, .address = cg_argument(m, 0)};
    cg_value x = cg_argument(m, 1), power = cg_template1(m, CG_PTX_EX2_F32, &x, 1, NULL);
    cg_store(m, &access, &power, 1);
}

static enum cg_status build_with(const struct cg_allocator *allocator)
{
    struct cg_context *context;
    struct cg_module *m;
    struct cg_output out = {0};
    struct cg_reread reread;
    struct cg_module_options options = {"test", cg_target_find("sm_80"), NULL, NULL};
    const struct cg_parameter parameters[] = {{"p", CG_PTR_GLOBAL, 16}, {"x", CG_F32}};
    struct cg_kernel kernel = {"kernel", parameters, 2};
    struct cg_finish_options finish = {.want_llvm = true};
    enum cg_status status = cg_context_new(allocator, &context);
    if (status) return status;
    status = cg_module_new(context, &options, &m);
    if (!status) {
        cg_kernel_begin(m, &kernel);
        cg_value zero = cg_i32(m, 0);
        cg_template(m, CG_PTX_BAR_SYNC, &zero, 1, NULL, "S1: nothing");
        store_power(m);
        cg_kernel_end(m);
        status = cg_finish(m, &finish, &out);
        if (!status) {
            status = cg_reread(allocator, out.ptx, out.ptx_length, CG_CLASSES_SYNC, &reread);
            cg_reread_free(allocator, &reread);
        }
        cg_output_free(context, &out);
        cg_module_free(m);
    }
    cg_context_free(context);
    return status;
}

static void every_allocation_may_fail(void **state)
{
    int n = 0;
    for (;; n++) {
        struct counted counted = {.until_failure = n};
        struct cg_allocator allocator = {counted_resize, &counted};
        enum cg_status status = build_with(&allocator);
        assert_int_equal(counted.live, 0);
        if (status == CG_OK) break;
        assert_int_equal(status, CG_ERROR_MEMORY);
    }
    // Context, module, template text, LLVM IR, instructions that become text and the operands of
    // one, PTX as printed, in order with its list of chains, with fewer copies (two for the body,
    // two for what may be one), re-reader's list.
    assert_int_equal(n, 22);
}

static void *build_in_thread(void *unused)
{
    for (int i = 0; i < 5; i++)
        if (build_with(NULL) != CG_OK) return "failed";
    return NULL;
}

static void contexts_are_independent(void **state)
{
    pthread_t threads[4];
    void *result;
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, build_in_thread, NULL), 0);
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], &result);
        assert_null(result);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mistakes_are_remembered),
        cmocka_unit_test(targets_refuse_what_they_lack),
        cmocka_unit_test(the_verifier_speaks),
        cmocka_unit_test(dangerous_passes_are_refused),
        cmocka_unit_test(local_memory_is_noticed),
        cmocka_unit_test(bad_kernels_are_refused),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(contexts_are_independent),
    };
    return cmocka_run_group_tests_name("codegen errors", tests, NULL, NULL);
}
