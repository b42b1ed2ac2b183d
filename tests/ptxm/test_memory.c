// SPDX-License-Identifier: MIT
// Global memory that is the caller's: kernels work on it directly, with the same bounds.
#include "harness.h"

#include <string.h>

static const char increment[] = HEAD ".visible .entry k(.param .u64 a) {\n"
                                     ".reg .b32 %r<3>; .reg .b64 %d<4>;\n"
                                     "ld.param.u64 %d1, [a]; mov.u32 %r1, %tid.x;\n"
                                     "mul.wide.u32 %d2, %r1, 4; add.s64 %d3, %d1, %d2;\n"
                                     "ld.global.u32 %r2, [%d3]; add.u32 %r2, %r2, 1;\n"
                                     "st.global.u32 [%d3], %r2; ret;\n}\n";

struct lender {
    void *bytes; // NULL: refuses
    uint64_t address;
    size_t size;
};

static void *lend(void *user, uint64_t address, size_t size)
{
    struct lender *lender = user;

    lender->address = address;
    lender->size = size;
    return lender->bytes;
}

static void test_adopted(void **state)
{
    uint32_t own[33];
    struct lender lender = {own, 0, 0};
    struct bench b;
    uint64_t before, address, after;

    for (uint32_t i = 0; i < 33; i++) own[i] = 10 * i;
    bench_load(&b, increment);
    before = bench_buffer(&b, 4, NULL);
    b.options.check_global_init = true; // what the host writes counts as written
    assert_int_equal(ptxm_memory_adopt(b.device, 128, "own", lend, &lender, &address), PTXM_OK);
    assert_true(address == lender.address && address % 4096 == 0 && address > before);
    assert_int_equal(lender.size, 128);
    after = bench_buffer(&b, 4, NULL);
    assert_true(after > address + 128);
    RUN(&b, "k", 1, 32, 0, address);
    bench_clean(&b);
    assert_int_equal(own[0], 1);
    assert_int_equal(own[31], 311);
    assert_int_equal(own[32], 320);
    own[5] = 7; // seen without a word to the machine
    RUN(&b, "k", 1, 32, 0, address);
    bench_clean(&b);
    assert_int_equal(own[5], 8);
    RUN(&b, "k", 1, 33, 0, address);
    bench_found(&b, "global-bounds");
    assert_int_equal(own[32], 320);
    assert_int_equal(ptxm_memory_free(b.device, address), PTXM_OK);
    assert_int_equal(ptxm_memory_free(b.device, address), PTXM_ERROR_BOUNDS);
    RUN(&b, "k", 1, 32, 0, address);
    bench_found(&b, "use-after-free");
    assert_int_equal(own[5], 9); // untouched since the third launch
    bench_free(&b);
}

static void test_not_adopted(void **state)
{
    struct lender lender = {NULL, 0, 0};
    struct bench b;
    uint64_t address = 1;

    bench_load(&b, increment);
    assert_int_equal(ptxm_memory_adopt(b.device, 128, "own", lend, &lender, &address),
                     PTXM_ERROR_MEMORY);
    assert_int_equal(address, 0);
    assert_int_equal(ptxm_memory_adopt(b.device, 128, "own", NULL, NULL, &address),
                     PTXM_ERROR_ARGUMENT);
    assert_int_equal(ptxm_memory_adopt(b.device, 128, "own", lend, &lender, NULL),
                     PTXM_ERROR_ARGUMENT);
    bench_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_adopted),
        cmocka_unit_test(test_not_adopted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
