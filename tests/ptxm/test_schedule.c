// SPDX-License-Identifier: MIT
// Orders by seed: all CTAs and warps run, once, in an order that the seed alone decides.
#include "harness.h"

#include <stdio.h>
#include <string.h>

// Each warp's first lane takes a ticket and writes it at its place: who came when. A second ticket
// behind a long loop tells turns from runs to the end.
static const char format[] =
    HEAD ".visible .entry tickets(.param .u64 p, .param .u64 q)\n{\n"
         " .reg .b32 %r<20>; .reg .b64 %d<20>; .reg .pred %p<4>;\n"
         " ld.param.u64 %d1, [p]; ld.param.u64 %d2, [q]; mov.u32 %r1, %tid.x;\n"
         " mov.u32 %r2, %ctaid.x; mov.u32 %r3, %ntid.x; mad.lo.u32 %r4, %r2, %r3, %r1;\n"
         " shr.u32 %r4, %r4, 5; and.b32 %r5, %r1, 31; setp.ne.u32 %p1, %r5, 0; @%p1 bra out;\n"
         " atom.global.add.u32 %r6, [%d2], 1; mul.wide.u32 %d3, %r4, 8; add.s64 %d3, %d1, %d3;\n"
         " st.global.u32 [%d3], %r6; mov.u32 %r7, 0;\n"
         "again:\n add.u32 %r7, %r7, 1; setp.lt.u32 %p2, %r7, TRIPS; @%p2 bra again;\n"
         " atom.global.add.u32 %r8, [%d2], 1; st.global.u32 [%d3+4], %r8;\nout:\n ret;\n}\n";

enum { MOST = 1024 };

struct orders {
    uint32_t first[MOST], last[MOST]; // tickets by warp
};

static void run(uint64_t seed, unsigned grid, unsigned warps, unsigned trips,
                struct orders *orders)
{
    struct bench b;
    static const uint32_t zeros[2 * MOST];
    uint32_t pairs[2 * MOST];
    unsigned n = grid * warps;
    char text[sizeof format + 16];
    const char *mark = strstr(format, "TRIPS");
    snprintf(text, sizeof text, "%.*s%u%s", (int)(mark - format), format, trips, mark + 5);
    bench_load(&b, text);
    b.options = (struct ptxm_launch_options){.seed = seed};
    uint64_t at = bench_buffer(&b, sizeof zeros, zeros), counter = bench_buffer(&b, 4, zeros);
    RUN(&b, "tickets", grid, 32 * warps, 0, at, counter);
    bench_clean(&b);
    bench_read(&b, at, pairs, 8 * n);
    for (unsigned i = 0; i < n; i++) {
        orders->first[i] = pairs[2 * i];
        orders->last[i] = pairs[2 * i + 1];
    }
    bench_free(&b);
}

static bool ascending(const uint32_t *values, unsigned count)
{
    for (unsigned i = 1; i < count; i++)
        if (values[i] < values[i - 1])
            return false;
    return true;
}

static void test_in_order(void **state)
{
    struct orders o;
    run(0, 40, 1, 100, &o);
    assert_true(ascending(o.first, 40));
    run(0, 1, 8, 100, &o);
    assert_true(ascending(o.first, 8));
}

// Each ticket is there once: nobody is left out or runs twice.
static void test_everyone(void **state)
{
    static const unsigned grids[] = {1, 2, 3, 127, 128, 129, 130, 300, 512};
    for (uint64_t seed = 1; seed < 6; seed++)
        for (size_t g = 0; g < sizeof grids / sizeof *grids; g++) {
            struct orders o;
            unsigned n = grids[g], seen[2 * MOST] = {0};
            run(seed, n, 1, 10, &o);
            for (unsigned i = 0; i < n; i++) {
                assert_true(o.first[i] < 2 * n && o.last[i] < 2 * n);
                seen[o.first[i]]++;
                seen[o.last[i]]++;
            }
            for (unsigned i = 0; i < 2 * n; i++) assert_int_equal(seen[i], 1);
        }
}

static void test_shuffled(void **state)
{
    unsigned backwards = 0, warps = 0;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct orders one, two;
        run(seed, 40, 1, 100, &one);
        run(seed, 40, 1, 100, &two);
        assert_memory_equal(one.first, two.first, 40 * 4);
        assert_false(ascending(one.first, 40));
        backwards += one.first[39] < one.first[0];
        run(seed, 1, 8, 3000, &one);
        warps += !ascending(one.first, 8);
    }
    assert_in_range(backwards, 3, 17);
    assert_in_range(warps, 12, 20);
}

// Of the seeds some run each warp to its end, some change between them, some keep one back.
static void test_adversaries(void **state)
{
    unsigned whole = 0, mixed = 0, starved = 0;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct orders o;
        unsigned uninterrupted = 0, before_last = 0;
        run(seed, 1, 8, 300, &o);
        for (unsigned i = 0; i < 8; i++) uninterrupted += o.last[i] == o.first[i] + 1;
        for (unsigned i = 0; i < 8; i++) before_last += o.first[i] < 14;
        whole += uninterrupted == 8;
        mixed += uninterrupted <= 1;
        // Seven are through before the eighth has begun.
        starved += uninterrupted < 8 && before_last == 7;
    }
    assert_in_range(whole, 3, 25);
    assert_in_range(mixed, 10, 37);
    assert_in_range(starved, 3, 25);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_order),
        cmocka_unit_test(test_everyone),
        cmocka_unit_test(test_shuffled),
        cmocka_unit_test(test_adversaries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
