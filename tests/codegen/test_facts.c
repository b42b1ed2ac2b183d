// SPDX-License-Identifier: MIT
//
// The facts that codegen/ rests on, each proved on the LLVM that this was built against.
#include "support.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static const char *opt_path = "";

static void barrier(struct bench *bench, const char *comment)
{
    cg_value zero = cg_i32(bench->m, 0);
    cg_template(bench->m, CG_PTX_BAR_SYNC, &zero, 1, NULL, comment);
}

// Two branches on one condition with a barrier between them: what tempts a compiler to give each
// side a barrier of its own.
static void open_diamond(struct bench *bench)
{
    struct cg_if first, second;
    bench_open(bench, NULL);
    struct cg_module *m = bench->m;
    cg_value condition = cg_slt(m, cg_special(m, CG_PTX_TID_X), argument(bench, ARGUMENT_I32));
    cg_if_begin(m, &first, condition);
    store_global(bench, 0, cg_i32(m, 1));
    cg_if_end(m, &first);
    barrier(bench, "S1: only one");
    cg_if_begin(m, &second, condition);
    store_global(bench, 4, cg_i32(m, 2));
    cg_if_end(m, &second);
}

static void one_barrier_stays_one(void **state)
{
    struct bench bench;
    open_diamond(&bench);
    assert_int_equal(occurrences(bench_ptx(&bench), "bar.sync"), 1);
    bench_close(&bench);
}

// How many barriers are left after passes that we never run.
static unsigned barriers_after(const char *llvm)
{
    char source[] = "/tmp/kgen-facts-XXXXXX", command[512], line[1024];
    unsigned count = 0;
    int file = mkstemp(source);
    assert_true(file >= 0);
    size_t length = strlen(llvm);
    assert_int_equal(write(file, llvm, length), (long)length);
    close(file);
    snprintf(command, sizeof command,
             "'%s' -S -passes='function(simplifycfg,jump-threading,simplifycfg)' %s", opt_path,
             source);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    while (fgets(line, sizeof line, pipe)) count += occurrences(line, "bar.sync");
    assert_int_equal(pclose(pipe), 0);
    unlink(source);
    return count;
}

// The attribute alone holds the barrier together when somebody else optimizes our LLVM IR.
static void convergent_is_what_keeps_it(void **state)
{
    struct bench bench;
    if (!*opt_path) skip();
    open_diamond(&bench);
    bench_ptx(&bench);
    assert_int_equal(barriers_after(bench.out.llvm), 1);
    for (char *at = bench.out.llvm; (at = strstr(at, "convergent")) != NULL;)
        memcpy(at, "nosync    ", 10);
    assert_int_equal(barriers_after(bench.out.llvm), 2);
    bench_close(&bench);
}

static void every_function_is_convergent(void **state)
{
    struct bench bench;
    open_diamond(&bench);
    bench_ptx(&bench);
    assert_non_null(strstr(bench.out.llvm, "; Function Attrs: convergent nounwind"));
    assert_non_null(strstr(bench.out.llvm, "define ptx_kernel void @kernel"));
    assert_null(strstr(bench.out.llvm, "noalias"));
    bench_close(&bench);
}

static struct cg_access shared_word(struct bench *bench)
{
    return (struct cg_access){CG_SPACE_SHARED, cg_shared_base(bench->m), 0, 4};
}

// Without a barrier the stored value is forwarded, across one the memory is read.
static void memory_does_not_cross_a_barrier(void **state)
{
    for (int with = 0; with < 2; with++) {
        struct bench bench;
        cg_value loaded;
        bench_open(&bench, NULL);
        cg_value word = argument(&bench, ARGUMENT_I32);
        struct cg_access access = shared_word(&bench);
        cg_store(bench.m, &access, &word, 1);
        if (with) barrier(&bench, NULL);
        cg_load(bench.m, &access, CG_I32, 1, &loaded);
        store_global(&bench, 0, loaded);
        const char *ptx = bench_ptx(&bench);
        assert_int_equal(occurrences(ptx, "ld.shared"), with);
        if (with) assert_true(strstr(ptx, "st.shared") < strstr(ptx, "bar.sync"));
        if (with) assert_true(strstr(ptx, "bar.sync") < strstr(ptx, "ld.shared"));
        bench_close(&bench);
    }
}

// Nobody promised that two parameters are apart.
static void parameters_may_alias(void **state)
{
    static const struct cg_parameter two[] = {{"a", CG_PTR_GLOBAL, 4}, {"b", CG_PTR_GLOBAL, 4}};
    struct cg_kernel kernel = {"aliases", two, 2};
    struct bench bench;
    cg_value first, again;
    bench_open(&bench, NULL);
    cg_kernel_end(bench.m);
    assert_true(cg_kernel_begin(bench.m, &kernel));
    struct cg_access a = {CG_SPACE_GLOBAL, argument(&bench, 0), 0, 4};
    struct cg_access b = {CG_SPACE_GLOBAL, argument(&bench, 1), 0, 4};
    cg_load(bench.m, &a, CG_I32, 1, &first);
    cg_store(bench.m, &b, &first, 1);
    cg_load(bench.m, &a, CG_I32, 1, &again);
    cg_store(bench.m, &b, &again, 1);
    assert_int_equal(occurrences(bench_ptx(&bench), "ld.global"), 2);
    bench_close(&bench);
}

// Pure templates may be merged and dropped; all others stay, even equal and unused.
static void only_pure_templates_are_merged(void **state)
{
    struct bench bench;
    bench_open(&bench, NULL);
    struct cg_module *m = bench.m;
    cg_value scale = cg_argument(m, ARGUMENT_F32), word = cg_argument(m, ARGUMENT_I32);
    cg_value lanes[] = {word, cg_i32(m, 16), cg_i32(m, 31), cg_i32(m, -1)};
    cg_value fragments[10], results[4];
    for (int i = 0; i < 6; i++) fragments[i] = word;
    for (int i = 6; i < 10; i++) fragments[i] = scale;
    for (int i = 0; i < 2; i++) {
        store_global(&bench, 0, cg_template1(m, CG_PTX_EX2_F32, &scale, 1, NULL));
        cg_template1(m, CG_PTX_LG2_F32, &scale, 1, NULL);
        cg_template1(m, CG_PTX_SHFL_BFLY, lanes, 4, NULL);
        cg_template(m, CG_PTX_MMA_M16N8K16_F32_BF16, fragments, 10, results, NULL);
    }
    const char *ptx = bench_ptx(&bench);
    assert_int_equal(occurrences(ptx, "ex2.approx.f32"), 1);
    assert_int_equal(occurrences(ptx, "lg2.approx.f32"), 0);
    assert_int_equal(occurrences(ptx, "shfl.sync.bfly"), 2);
    assert_int_equal(occurrences(ptx, "mma.sync"), 2);
    bench_close(&bench);
}

enum { ACCUMULATORS = 128 };

// A tensor kernel's main loop in small: many accumulators live through a loop of MMAs, in scalar
// variables, without local memory and without a spill.
static void build_accumulators(struct bench *bench)
{
    cg_value sums[ACCUMULATORS], fragments[10], results[4];
    struct cg_loop loop = {0};
    struct cg_module *m = bench->m;
    for (int i = 0; i < ACCUMULATORS; i++) {
        sums[i] = cg_variable(m, CG_F32, "sum");
        cg_set(m, sums[i], cg_f32(m, 0));
    }
    cg_value base = cg_shared_base(m);
    cg_loop_begin(m, &loop, cg_i32(m, 0), argument(bench, ARGUMENT_I32), cg_i32(m, 1));
    barrier(bench, "S1: fragments");
    cg_value address = cg_add(m, base, cg_shl(m, loop.index, cg_i32(m, 8)));
    cg_template(m, CG_PTX_LDMATRIX_X4, &address, 1, fragments, NULL);
    cg_template(m, CG_PTX_LDMATRIX_X2_TRANS, &address, 1, fragments + 4, NULL);
    for (int i = 0; i < ACCUMULATORS; i += 4) {
        for (int j = 0; j < 4; j++) fragments[6 + j] = cg_get(m, sums[i + j]);
        cg_template(m, CG_PTX_MMA_M16N8K16_F32_BF16, fragments, 10, results, NULL);
        for (int j = 0; j < 4; j++) cg_set(m, sums[i + j], results[j]);
    }
    cg_loop_end(m, &loop);
    for (int i = 0; i < ACCUMULATORS; i++) store_global(bench, 16 * i, cg_get(m, sums[i]));
}

static void accumulators_stay_in_registers(void **state)
{
    char words[2048];
    struct bench bench;
    bench_open(&bench, NULL);
    build_accumulators(&bench);
    const char *ptx = bench_ptx(&bench);
    assert_false(bench.out.local_memory);
    assert_int_equal(occurrences(ptx, "mma.sync"), ACCUMULATORS / 4);
    if (*ptxas_path) {
        assert_true(ptxas_accepts(ptx, "sm_80", words, sizeof words));
        if (!strstr(words, "0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads"))
            fail_msg("%s", words);
        const char *used = strstr(words, "Used ");
        assert_non_null(used);
        assert_true(strtoul(used + 5, NULL, 10) <= ACCUMULATORS + 32);
    }
    bench_close(&bench);
}

// Text for sm_80 runs on everything that came after it.
static void baseline_text_assembles_everywhere(void **state)
{
    struct bench bench;
    if (!*ptxas_path) skip();
    bench_open(&bench, "sm_80");
    build_accumulators(&bench);
    const char *ptx = bench_ptx(&bench);
    for (size_t i = 0; i < cg_target_count(); i++)
        assert_true(ptxas_accepts(ptx, cg_target_at(i)->name, NULL, 0));
    bench_close(&bench);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_barrier_stays_one),
        cmocka_unit_test(convergent_is_what_keeps_it),
        cmocka_unit_test(every_function_is_convergent),
        cmocka_unit_test(memory_does_not_cross_a_barrier),
        cmocka_unit_test(parameters_may_alias),
        cmocka_unit_test(only_pure_templates_are_merged),
        cmocka_unit_test(accumulators_stay_in_registers),
        cmocka_unit_test(baseline_text_assembles_everywhere),
    };
    if (argc > 1) ptxas_path = argv[1];
    if (argc > 2) opt_path = argv[2];
    return cmocka_run_group_tests_name("codegen facts", tests, NULL, NULL);
}
