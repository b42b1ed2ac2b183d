// SPDX-License-Identifier: MIT
//
// The builder of cg.h: what it makes. (test_errors.c: what it refuses.)
#include "support.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

// -- Accesses ----------------------------------------------------------------------------------

static void expect_load(cg_type element, unsigned count, unsigned align, const char *instruction,
                        unsigned times)
{
    struct bench bench;
    cg_value values[16];
    bench_open(&bench, NULL);
    struct cg_access from = global_access(&bench, 256), to = global_access(&bench, 0);
    from.align = to.align = align;
    assert_true(cg_load(bench.m, &from, element, count, values));
    assert_true(cg_store(bench.m, &to, values, count));
    const char *ptx = bench_ptx(&bench);
    if (occurrences(ptx, instruction) != times)
        fail_msg("not %u '%s':\n%s", times, instruction, ptx);
    assert_non_null(strstr(ptx, "+256]"));
    assert_int_equal(occurrences(ptx, "ld.global"), occurrences(ptx, "st.global"));
    assert_false(bench.out.local_memory);
    bench_close(&bench);
}

static void loads_are_as_wide_as_they_may(void **state)
{
    expect_load(CG_F32, 4, 16, "ld.global.v4", 1);
    expect_load(CG_F32, 2, 8, "ld.global.v2", 1);
    expect_load(CG_I64, 2, 16, "ld.global.v2", 1);
    expect_load(CG_F16, 8, 16, "ld.global.v4", 1);
    expect_load(CG_BF16, 8, 16, "ld.global.v4", 1);
    expect_load(CG_BF16, 4, 8, "ld.global.v2", 1);
    expect_load(CG_F16, 2, 4, "ld.global", 1);
    expect_load(CG_I8, 16, 16, "ld.global.v4", 1);
    expect_load(CG_F16, 1, 2, "ld.global", 1);
    expect_load(CG_F32, 1, 0, "ld.global", 1);
    expect_load(CG_F32, 4, 4, "ld.global", 4); // no more than the alignment allows
}

static void read_only_loads_say_so(void **state)
{
    struct bench bench;
    cg_value values[4];
    bench_open(&bench, NULL);
    struct cg_access access = global_access(&bench, 0);
    access.flags = CG_ACCESS_NONCOHERENT;
    cg_load(bench.m, &access, CG_F32, 4, values);
    store_global(&bench, 64, values[2]);
    assert_int_equal(occurrences(bench_ptx(&bench), "ld.global.nc.v4"), 1);
    bench_close(&bench);
}

static void refuses_odd_accesses(void **state)
{
    static const struct {
        cg_type type;
        unsigned count;
    } odd[] = {{CG_F32, 3}, {CG_F32, 8}, {CG_I1, 1}, {CG_F16X2, 1}, {CG_I32, 0}, {CG_VOID, 1}};
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        struct bench bench;
        cg_value values[16];
        bench_open(&bench, NULL);
        struct cg_access access = global_access(&bench, 0);
        assert_false(cg_load(bench.m, &access, odd[i].type, odd[i].count, values));
        assert_int_equal(cg_module_status(bench.m), CG_ERROR_USAGE);
        bench_close(&bench);
    }
}

static void shared_addresses_have_32_bits(void **state)
{
    struct bench bench;
    cg_value values[4];
    bench_open(&bench, NULL);
    cg_value row = cg_shl(bench.m, cg_special(bench.m, CG_PTX_TID_X), cg_i32(bench.m, 4));
    cg_value address = cg_advance(bench.m, CG_SPACE_SHARED, cg_shared_base(bench.m), row);
    assert_int_equal(cg_type_of(bench.m, address), CG_I32);
    struct cg_access access = {CG_SPACE_SHARED, address, 512, 16};
    cg_load(bench.m, &access, CG_F32, 4, values);
    access.offset = 0;
    cg_store(bench.m, &access, values, 4);
    const char *ptx = bench_ptx(&bench);
    assert_int_equal(occurrences(ptx, ".extern .shared .align 1024 .b8 shared_memory[];"), 1);
    assert_int_equal(occurrences(ptx, "ld.shared.v4"), 1);
    assert_int_equal(occurrences(ptx, "+512]"), 1);
    bench_close(&bench);
}

// -- Runs --------------------------------------------------------------------------------------

// An mma that adds to variables, from four inputs and two.
static struct cg_run_step multiply(unsigned line)
{
    struct cg_run_step step = {.id = CG_PTX_MMA_M16N8K16_F32_BF16, .line = line, .column = 1};
    for (unsigned i = 0; i < 4; i++) {
        step.operands[i] = (struct cg_run_operand){.kind = CG_RUN_VARIABLE, .index = i};
        step.operands[10 + i] = step.operands[i];
        step.operands[4 + i] = (struct cg_run_operand){.kind = CG_RUN_INPUT};
        step.operands[8 + i % 2] = (struct cg_run_operand){.kind = CG_RUN_INPUT};
    }
    return step;
}

// Copies of registers of 32 bits. LLVM 19 names the type, later ones do not.
static unsigned moves_of(const char *ptx)
{
    return occurrences(ptx, "mov.b32") + occurrences(ptx, "mov.u32") + occurrences(ptx, "mov.f32");
}

// Two products into one sum. What starts as zeros is not set to zero register by register.
static void runs_start_from_nothing(void **state)
{
    for (int zero = 0; zero < 2; zero++) {
        struct bench bench;
        bench_open(&bench, NULL);
        struct cg_module *m = bench.m;
        cg_value variables[4], input = argument(&bench, 1);
        for (int i = 0; i < 4; i++)
            variables[i] = zero ? cg_f32(m, 0) : cg_argument(m, ARGUMENT_F32);
        const struct cg_run_step steps[] = {multiply(1), multiply(2)};
        const struct cg_run run = {.steps = steps,
                                   .step_count = 2,
                                   .variables = variables,
                                   .variable_count = 4,
                                   .inputs = &input,
                                   .input_count = 1};
        assert_true(cg_run_emit(m, &run));
        for (int i = 0; i < 4; i++) store_global(&bench, 4 * i, variables[i]);
        const char *ptx = bench_ptx(&bench);
        assert_int_equal(occurrences(ptx, "mma.sync"), 2);
        assert_int_equal(occurrences(ptx, "{%kz, %kz, %kz, %kz};"), zero);
        assert_int_equal(moves_of(ptx), zero ? 1 : 3);
        if (*ptxas_path) assert_true(ptxas_accepts(ptx, "sm_80", NULL, 0));
        bench_close(&bench);
    }
}

// -- Control -----------------------------------------------------------------------------------

static cg_value sum_loop(struct bench *bench, cg_value lower, cg_value upper, bool keep_rolled)
{
    struct cg_module *m = bench->m;
    struct cg_loop loop = {.keep_rolled = keep_rolled};
    cg_value zero = cg_i32(m, 0);
    cg_value sum = cg_variable(m, CG_I32, "sum");
    cg_set(m, sum, zero);
    cg_loop_begin(m, &loop, lower, upper, cg_i32(m, 1));
    cg_template(m, CG_PTX_BAR_SYNC, &zero, 1, NULL, NULL);
    cg_set(m, sum, cg_add(m, cg_get(m, sum), cg_mul(m, loop.index, loop.index)));
    cg_loop_end(m, &loop);
    return cg_get(m, sum);
}

static void loops_stay_loops(void **state)
{
    struct bench bench;
    bench_open(&bench, NULL);
    cg_value sum = sum_loop(&bench, cg_i32(bench.m, 0), cg_i32(bench.m, 4), false);
    store_global(&bench, 0, sum);
    const char *ptx = bench_ptx(&bench);
    assert_int_equal(occurrences(ptx, "bar.sync"), 1);
    assert_int_equal(occurrences(ptx, "bra"), 1); // both bounds are known: no guard
    assert_null(strstr(ptx, "nounroll"));
    assert_false(bench.out.local_memory);
    bench_close(&bench);
}

static void loops_may_run_zero_times(void **state)
{
    struct bench bench;
    bench_open(&bench, NULL);
    store_global(&bench, 0, sum_loop(&bench, cg_i32(bench.m, 0), argument(&bench, 1), true));
    const char *ptx = bench_ptx(&bench);
    assert_int_equal(occurrences(ptx, "bar.sync"), 1);
    assert_true(occurrences(ptx, "bra") >= 2);
    assert_int_equal(occurrences(ptx, ".pragma \"nounroll\""), 1);
    bench_close(&bench);
}

static void loops_and_branches_nest(void **state)
{
    struct bench bench;
    struct cg_loop outer = {0}, inner = {0};
    struct cg_if test;
    bench_open(&bench, NULL);
    struct cg_module *m = bench.m;
    cg_value sum = cg_variable(m, CG_F32, "sum"), wide = cg_argument(m, ARGUMENT_I64);
    cg_set(m, sum, cg_f32(m, 0));
    cg_loop_begin(m, &outer, cg_i64(m, 0), wide, cg_i64(m, 2));
    cg_loop_begin(m, &inner, cg_i32(m, 0), cg_argument(m, ARGUMENT_I32), cg_i32(m, 1));
    cg_if_begin(m, &test, cg_eq(m, cg_trunc(m, outer.index, CG_I32), inner.index));
    cg_set(m, sum, cg_fadd(m, cg_get(m, sum), cg_argument(m, ARGUMENT_F32)));
    cg_if_else(m, &test);
    cg_set(m, sum, cg_fneg(m, cg_get(m, sum)));
    cg_if_end(m, &test);
    cg_loop_end(m, &inner);
    cg_loop_end(m, &outer);
    store_global(&bench, 0, cg_get(m, sum));
    const char *ptx = bench_ptx(&bench);
    assert_false(bench.out.local_memory);
    if (*ptxas_path) assert_true(ptxas_accepts(ptx, "sm_80", NULL, 0));
    bench_close(&bench);
}

// A spinning wait on a flag, as split-K needs it: the load is made again each time.
static void while_loops_read_again(void **state)
{
    struct bench bench;
    struct cg_while spin = {0};
    bench_open(&bench, NULL);
    struct cg_module *m = bench.m;
    cg_value flag = cg_argument(m, ARGUMENT_GLOBAL), limit = cg_argument(m, ARGUMENT_I32);
    cg_while_begin(m, &spin);
    cg_value seen = cg_template1(m, CG_PTX_LD_ACQUIRE_GPU_B32, &flag, 1, "W1: partials");
    cg_while_test(m, &spin, cg_ult(m, seen, limit));
    cg_value pause = cg_i32(m, 20);
    cg_template(m, CG_PTX_NANOSLEEP, &pause, 1, NULL, NULL);
    cg_while_end(m, &spin);
    const char *ptx = bench_ptx(&bench);
    assert_int_equal(occurrences(ptx, "ld.acquire.gpu"), 1);
    assert_int_equal(occurrences(ptx, "nanosleep"), 1);
    bench_close(&bench);
}

static void switches_and_phis(void **state)
{
    static const int64_t cases[] = {0, 1, 7};
    struct bench bench;
    cg_block arms[3], join;
    bench_open(&bench, NULL);
    struct cg_module *m = bench.m;
    for (int i = 0; i < 3; i++) arms[i] = cg_block_new(m, "arm");
    join = cg_block_new(m, "join");
    cg_block entry = cg_block_current(m);
    cg_value word = cg_argument(m, ARGUMENT_I32);
    cg_switch(m, word, join, cases, arms, 3);
    for (int i = 0; i < 3; i++) {
        cg_block_enter(m, arms[i]);
        cg_branch(m, join);
    }
    cg_block_enter(m, join);
    cg_value phi = cg_phi(m, CG_I32);
    cg_phi_add(m, phi, word, entry);
    for (int i = 0; i < 3; i++) cg_phi_add(m, phi, cg_i32(m, 10 * i), arms[i]);
    store_global(&bench, 0, phi);
    const char *ptx = bench_ptx(&bench);
    if (*ptxas_path) assert_true(ptxas_accepts(ptx, "sm_80", NULL, 0));
    bench_close(&bench);
}

// Variables become registers with or without our passes.
static void variables_are_registers(void **state)
{
    static const char *const lists[] = {NULL, "", "sroa<preserve-cfg>"};
    for (int i = 0; i < 3; i++) {
        struct bench bench;
        bench_open(&bench, NULL);
        store_global(&bench, 0, sum_loop(&bench, cg_i32(bench.m, 0), argument(&bench, 1), false));
        assert_int_equal(bench_finish(&bench, lists[i]), CG_OK);
        assert_false(bench.out.local_memory);
        bench_close(&bench);
    }
}

// Set before a loop, not in it: nobody carries it around. Set in one arm: one copy where they meet.
static void variables_cost_what_they_change(void **state)
{
    struct bench bench;
    struct cg_loop loop = {0};
    struct cg_if test;
    bench_open(&bench, NULL);
    struct cg_module *m = bench.m;
    cg_value still = cg_variable(m, CG_I32, "still"), moves = cg_variable(m, CG_I32, "moves");
    cg_set(m, still, argument(&bench, 1));
    cg_set(m, moves, argument(&bench, 1));
    cg_loop_begin(m, &loop, cg_i32(m, 0), argument(&bench, 1), cg_i32(m, 1));
    cg_if_begin(m, &test, cg_undecided(m, cg_eq(m, loop.index, cg_get(m, still))));
    cg_set(m, moves, cg_mul(m, cg_get(m, moves), cg_get(m, still)));
    cg_if_end(m, &test);
    cg_loop_end(m, &loop);
    store_global(&bench, 0, cg_get(m, moves));
    store_global(&bench, 4, cg_get(m, still));
    const char *ptx = bench_ptx(&bench);
    assert_int_equal(occurrences(ptx, "mul.lo"), 1);
    // The two that the loop carries are set in front of it: its index and `moves`.
    assert_int_equal(moves_of(ptx), 2);
    assert_false(bench.out.local_memory);
    if (*ptxas_path) assert_true(ptxas_accepts(ptx, "sm_80", NULL, 0));
    bench_close(&bench);
}

// The condition of a while reads what its body sets.
static void whiles_carry_variables(void **state)
{
    struct bench bench;
    struct cg_while loop = {0};
    bench_open(&bench, NULL);
    struct cg_module *m = bench.m;
    cg_value left = cg_variable(m, CG_I32, "left");
    cg_set(m, left, argument(&bench, 1));
    cg_while_begin(m, &loop);
    cg_while_test(m, &loop, cg_undecided(m, cg_sgt(m, cg_get(m, left), cg_i32(m, 7))));
    cg_set(m, left, cg_ashr(m, cg_get(m, left), cg_i32(m, 1)));
    cg_while_end(m, &loop);
    store_global(&bench, 0, cg_get(m, left));
    const char *ptx = bench_ptx(&bench);
    assert_int_equal(occurrences(ptx, "shr.s32"), 1);
    assert_int_equal(occurrences(ptx, "setp.gt.s32"), 1);
    assert_false(bench.out.local_memory);
    if (*ptxas_path) assert_true(ptxas_accepts(ptx, "sm_80", NULL, 0));
    bench_close(&bench);
}

// -- Arithmetic --------------------------------------------------------------------------------

// Coordinates of a thread: four bits of its number, and a constant above or among them.
static cg_value coordinate(struct cg_module *m, int32_t constant)
{
    cg_value low = cg_and(m, cg_special(m, CG_PTX_TID_X), cg_i32(m, 15));
    return cg_add(m, low, cg_i32(m, constant));
}

static void stores_that_never_happen_are_not_built(void **state)
{
    for (int32_t other = 16; other <= 32; other += 16) {
        struct bench bench;
        bench_open(&bench, NULL);
        struct cg_module *m = bench.m;
        cg_value row = cg_ashr(m, coordinate(m, 16), cg_i32(m, 4));
        cg_value column = cg_ashr(m, coordinate(m, other), cg_i32(m, 4));
        cg_value value = cg_argument(m, ARGUMENT_F32);
        struct cg_access access = global_access(&bench, 0);
        cg_store_if(m, &access, cg_eq(m, row, column), &value, 1);
        assert_int_equal(occurrences(bench_ptx(&bench), "st.global"), other == 16);
        bench_close(&bench);
    }
}

// x + c < y + d compares x - y with a constant, where neither side can be negative; elsewhere the
// sums may wrap, and stay.
static void comparisons_share_a_difference(void **state)
{
    for (int negative = 0; negative < 2; negative++) {
        struct bench bench;
        bench_open(&bench, NULL);
        struct cg_module *m = bench.m;
        cg_value x = cg_and(m, cg_special(m, CG_PTX_TID_X), cg_i32(m, 7));
        cg_value y = cg_and(m, argument(&bench, 1), cg_i32(m, negative ? -1 : 15));
        for (int i = 0; i < 2; i++) {
            cg_value a = cg_add(m, x, cg_i32(m, 8 + 16 * i)), b = cg_add(m, y, cg_i32(m, 16));
            store_global(&bench, 4 * i, cg_select(m, cg_slt(m, a, b), cg_i32(m, 1), cg_i32(m, 2)));
        }
        const char *ptx = bench_ptx(&bench);
        assert_int_equal(occurrences(ptx, "sub.s32"), !negative);
        assert_int_equal(occurrences(ptx, "add.s32") == 0, !negative);
        bench_close(&bench);
    }
}

static void contraction_is_a_choice(void **state)
{
    for (int allowed = 0; allowed < 2; allowed++) {
        struct bench bench;
        bench_open(&bench, NULL);
        struct cg_module *m = bench.m;
        cg_value scale = cg_argument(m, ARGUMENT_F32);
        if (!allowed) cg_set_fast_math(m, 0);
        cg_value product = cg_fmul(m, scale, cg_s2f(m, cg_argument(m, ARGUMENT_I32), CG_F32));
        store_global(&bench, 0, cg_fadd(m, product, scale));
        const char *ptx = bench_ptx(&bench);
        assert_int_equal(occurrences(ptx, "fma.rn.f32"), allowed);
        assert_int_equal(occurrences(ptx, "mul.rn.f32"), !allowed);
        assert_int_equal(occurrences(ptx, "add.rn.f32"), !allowed);
        bench_close(&bench);
    }
}

static void sums_keep_their_order(void **state)
{
    struct bench bench;
    bench_open(&bench, NULL);
    struct cg_module *m = bench.m;
    cg_value a = cg_argument(m, ARGUMENT_F32);
    cg_value b = cg_fadd(m, cg_fadd(m, a, cg_f32(m, 1e8f)), cg_f32(m, -1e8f));
    store_global(&bench, 0, b); // reassociated, this would be the argument itself
    assert_int_equal(occurrences(bench_ptx(&bench), "\tadd."), 2);
    bench_close(&bench);
}

static void bits_travel_between_types(void **state)
{
    struct bench bench;
    bench_open(&bench, NULL);
    struct cg_module *m = bench.m;
    cg_value scale = cg_argument(m, ARGUMENT_F32);
    cg_value halves[] = {scale, cg_f32(m, 2)};
    cg_value word = cg_template1(m, CG_PTX_CVT_BF16X2_F32, halves, 2, NULL);
    assert_int_equal(cg_type_of(m, word), CG_I32);
    cg_value pair = cg_bitcast(m, word, CG_BF16X2);
    assert_int_equal(cg_type_of(m, pair), CG_BF16X2);
    cg_value sum = cg_fadd(m, pair, pair);
    cg_value lane = cg_fpext(m, cg_lane(m, sum, 1), CG_F32);
    assert_int_equal(cg_type_of(m, lane), CG_F32);
    store_global(&bench, 0, lane);
    store_global(&bench, 16, cg_bitcast(m, cg_argument(m, ARGUMENT_GLOBAL), CG_I64));
    const char *ptx = bench_ptx(&bench);
    assert_int_equal(occurrences(ptx, "cvt.rn.bf16x2.f32"), 1);
    assert_false(bench.out.local_memory);
    bench_close(&bench);
}

static void constants_are_exact(void **state)
{
    struct bench bench;
    int64_t number;
    bench_open(&bench, NULL);
    assert_true(cg_is_constant(bench.m, cg_integer(bench.m, CG_I8, 300), &number));
    assert_int_equal(number, 44);
    assert_true(cg_is_constant(bench.m, cg_i64(bench.m, INT64_MIN), &number));
    assert_true(number == INT64_MIN);
    assert_false(cg_is_constant(bench.m, cg_f32(bench.m, 1), &number));
    assert_false(cg_is_constant(bench.m, argument(&bench, 1), &number));
    assert_true(
        cg_is_constant(bench.m, cg_add(bench.m, cg_i32(bench.m, 2), cg_i32(bench.m, 3)), &number));
    assert_int_equal(number, 5);
    bench_close(&bench);
}

// -- Kernels -----------------------------------------------------------------------------------

static void launch_bounds_are_stated(void **state)
{
    struct bench bench;
    bench_open(&bench, NULL);
    assert_true(cg_kernel_end(bench.m));
    struct cg_kernel second = {"second", .max_threads = 256, .min_ctas = 2, .max_registers = 96};
    assert_true(cg_kernel_begin(bench.m, &second));
    const char *ptx = bench_ptx(&bench);
    assert_int_equal(occurrences(ptx, ".visible .entry kernel("), 1);
    assert_int_equal(occurrences(ptx, ".visible .entry second("), 1);
    assert_int_equal(occurrences(ptx, ".reqntid 128, 1, 1"), 1);
    assert_int_equal(occurrences(ptx, ".maxntid 256"), 1);
    assert_int_equal(occurrences(ptx, ".minnctapersm 2"), 1);
    assert_int_equal(occurrences(ptx, ".maxnreg 96"), 1);
    bench_close(&bench);
}

static void lines_point_into_the_source(void **state)
{
    struct bench bench;
    cg_value zero;
    bench_open(&bench, NULL);
    zero = cg_i32(bench.m, 0);
    cg_line(bench.m, 41, 7);
    cg_template(bench.m, CG_PTX_BAR_SYNC, &zero, 1, NULL, "S1: first");
    cg_line(bench.m, 42, 1);
    cg_template(bench.m, CG_PTX_BAR_SYNC, &zero, 1, NULL, "S2: second");
    const char *ptx = bench_ptx(&bench);
    assert_non_null(strstr(ptx, ".file\t1 \"/src/x.kg\""));
    assert_non_null(strstr(ptx, ".loc\t1 41 7\n\tbar.sync 0; // S1: first\n"));
    assert_non_null(strstr(ptx, ".loc\t1 42 1\n\tbar.sync 0; // S2: second\n"));
    assert_null(strstr(ptx, ".section"));
    assert_null(strstr(ptx, "debug"));
    if (*ptxas_path) assert_true(ptxas_accepts(ptx, "sm_80", NULL, 0));
    bench_close(&bench);
}

static void the_header_is_the_targets_own(void **state)
{
    for (size_t i = 0; i < cg_target_count(); i++) {
        const struct cg_target *target = cg_target_at(i);
        struct bench bench;
        char header[64];
        bench_open(&bench, target->name);
        const char *ptx = bench_ptx(&bench);
        snprintf(header, sizeof header, ".version %u.%u\n.target %s\n.address_size 64\n",
                 target->ptx / 10, target->ptx % 10, target->name);
        assert_memory_equal(ptx, header, strlen(header));
        bench_close(&bench);
    }
}

static void the_same_calls_give_the_same_text(void **state)
{
    struct bench a, b;
    bench_open(&a, NULL);
    bench_open(&b, NULL);
    store_global(&a, 0, sum_loop(&a, cg_i32(a.m, 0), argument(&a, 1), false));
    store_global(&b, 0, sum_loop(&b, cg_i32(b.m, 0), argument(&b, 1), false));
    assert_string_equal(bench_ptx(&a), bench_ptx(&b));
    assert_string_equal(a.out.llvm, b.out.llvm);
    bench_close(&a);
    bench_close(&b);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loads_are_as_wide_as_they_may),
        cmocka_unit_test(read_only_loads_say_so),
        cmocka_unit_test(refuses_odd_accesses),
        cmocka_unit_test(shared_addresses_have_32_bits),
        cmocka_unit_test(runs_start_from_nothing),
        cmocka_unit_test(loops_stay_loops),
        cmocka_unit_test(loops_may_run_zero_times),
        cmocka_unit_test(loops_and_branches_nest),
        cmocka_unit_test(while_loops_read_again),
        cmocka_unit_test(switches_and_phis),
        cmocka_unit_test(contraction_is_a_choice),
        cmocka_unit_test(sums_keep_their_order),
        cmocka_unit_test(stores_that_never_happen_are_not_built),
        cmocka_unit_test(comparisons_share_a_difference),
        cmocka_unit_test(bits_travel_between_types),
        cmocka_unit_test(constants_are_exact),
        cmocka_unit_test(launch_bounds_are_stated),
        cmocka_unit_test(lines_point_into_the_source),
        cmocka_unit_test(the_header_is_the_targets_own),
        cmocka_unit_test(the_same_calls_give_the_same_text),
        cmocka_unit_test(variables_are_registers),
        cmocka_unit_test(variables_cost_what_they_change),
        cmocka_unit_test(whiles_carry_variables),
    };
    if (argc > 1) ptxas_path = argv[1];
    return cmocka_run_group_tests_name("codegen builder", tests, NULL, NULL);
}
