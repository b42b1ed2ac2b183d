// SPDX-License-Identifier: MIT
// Warp-wide instructions against plain C, full and partial masks, random lanes; and the spellings
// of loads, stores and hints that compute nothing of their own.
#include "harness.h"

#include <stdio.h>
#include <string.h>

enum { WARPS = 64, N = WARPS * 32 };

static uint32_t a[N], b[N], out[N], seen[N];

// Runs `body` over a and b: %r1 and %r2 are a lane's values, %r3 its number in the warp, %r4 the
// mask of the lanes that execute it (all, or those with bit 8 of b), %r5 the result, %r6 another.
static void run(const char *body, bool partial)
{
    char text[2048];
    snprintf(text, sizeof text,
             HEAD ".visible .entry k(.param .u64 a, .param .u64 b, .param .u64 o, .param .u64 s)"
                  "\n{\n .reg .b32 %%r<12>; .reg .b64 %%d<8>; .reg .pred %%p<6>;\n"
                  " mov.u32 %%r7, %%tid.x; mov.u32 %%r8, %%ctaid.x;"
                  " mad.lo.u32 %%r7, %%r8, 32, %%r7;"
                  " mul.wide.u32 %%d0, %%r7, 4; ld.param.u64 %%d1, [a]; add.u64 %%d1, %%d1, %%d0;"
                  " ld.param.u64 %%d2, [b]; add.u64 %%d2, %%d2, %%d0; ld.param.u64 %%d3, [o];"
                  " add.u64 %%d3, %%d3, %%d0; ld.param.u64 %%d4, [s]; add.u64 %%d4, %%d4, %%d0;\n"
                  " ld.global.u32 %%r1, [%%d1]; ld.global.u32 %%r2, [%%d2]; mov.u32 %%r3, %%laneid;"
                  " mov.u32 %%r5, 0; mov.u32 %%r6, 0;\n"
                  " and.b32 %%r9, %%r2, 256; setp.ne.u32 %%p1, %%r9, %d;\n"
                  " vote.sync.ballot.b32 %%r4, %%p1, -1;\n @!%%p1 bra done;\n %s\ndone:\n"
                  " st.global.u32 [%%d3], %%r5; st.global.u32 [%%d4], %%r6; ret;\n}\n",
             partial ? 0 : 1, body);
    struct bench bench;
    bench_load(&bench, text);
    uint64_t pa = bench_buffer(&bench, sizeof a, a), pb = bench_buffer(&bench, sizeof b, b);
    uint64_t po = bench_buffer(&bench, sizeof out, NULL);
    uint64_t ps = bench_buffer(&bench, sizeof seen, NULL);
    RUN(&bench, "k", WARPS, 32, 0, pa, pb, po, ps);
    bench_clean(&bench);
    bench_read(&bench, po, out, sizeof out);
    bench_read(&bench, ps, seen, sizeof seen);
    bench_free(&bench);
}

static void fill(uint64_t seed, uint32_t range)
{
    for (int i = 0; i < N; i++) {
        a[i] = (uint32_t)bench_random(&seed) % range + (range == UINT32_MAX) * 7;
        b[i] = (uint32_t)bench_random(&seed);
    }
}

static uint32_t mask_of(int warp, bool partial)
{
    uint32_t mask = 0;
    for (int i = 0; i < 32; i++) mask |= (uint32_t)(!partial || b[warp * 32 + i] & 256) << i;
    return mask;
}

// The lane that `lane` reads, and whether it lies within its segment; by the ISA's own bounds.
static int source_lane(const char *mode, int lane, int by, int clamp, int segments, bool *inside)
{
    int most = (lane & segments) | (clamp & ~segments), least = lane & segments, from;
    by &= 31;
    if (!strcmp(mode, "up"))
        from = lane - by, *inside = from >= most;
    else if (!strcmp(mode, "down"))
        from = lane + by, *inside = from <= most;
    else if (!strcmp(mode, "bfly"))
        from = lane ^ by, *inside = from <= most;
    else
        from = least | (by & ~segments), *inside = from <= most;
    return *inside ? from : lane;
}

static void test_shuffles(void **state)
{
    static const char *const modes[] = {"up", "down", "bfly", "idx"};
    static const int segments[] = {0, 16, 24, 28, 30, 31};
    fill(1, UINT32_MAX);
    for (int m = 0; m < 4; m++)
        for (int s = 0; s < 6; s++)
            for (int clamp = 0; clamp < 32; clamp += m ? 31 : 1) {
                char body[160];
                snprintf(body, sizeof body, "and.b32 %%r9, %%r2, 63; shfl.sync.%s.b32 %%r5|%%p2,"
                         " %%r1, %%r9, %d, -1; selp.u32 %%r6, 1, 0, %%p2;", modes[m],
                         segments[s] << 8 | clamp);
                run(body, false);
                for (int i = 0; i < N; i++) {
                    bool inside;
                    int from = source_lane(modes[m], i % 32, (int)(b[i] & 63), clamp, segments[s],
                                           &inside);
                    if (from < 0) // above the segment's start there is nothing to read
                        continue;
                    assert_int_equal(seen[i], inside);
                    assert_int_equal(out[i], a[i / 32 * 32 + from]);
                }
            }
}

static void test_votes(void **state)
{
    for (int partial = 0; partial < 2; partial++) {
        fill(2, 3);
        run("setp.eq.u32 %p2, %r1, 1; vote.sync.all.pred %p3, %p2, %r4;"
            " vote.sync.any.pred %p4, %p2, %r4; vote.sync.uni.pred %p5, %p2, %r4;"
            " selp.u32 %r5, 1, 0, %p3; selp.u32 %r9, 2, 0, %p4; add.u32 %r5, %r5, %r9;"
            " selp.u32 %r9, 4, 0, %p5; add.u32 %r5, %r5, %r9;"
            " vote.sync.ballot.b32 %r6, %p2, %r4;", partial);
        for (int w = 0; w < WARPS; w++) {
            uint32_t mask = mask_of(w, partial), set = 0;
            for (int i = 0; i < 32; i++) set |= (uint32_t)(a[w * 32 + i] == 1) << i;
            set &= mask;
            uint32_t want = (set == mask) + 2 * (set != 0) + 4 * (set == mask || !set);
            for (int i = 0; i < 32; i++)
                if (mask >> i & 1) {
                    assert_int_equal(out[w * 32 + i], want);
                    assert_int_equal(seen[w * 32 + i], set);
                }
        }
    }
}

static void test_matches(void **state)
{
    for (int partial = 0; partial < 2; partial++) {
        fill(3, 4);
        for (int i = 0; i < N / 2; i++) a[i] = i / 32 % 3 ? a[i] : 9; // some warps agree
        run("match.any.sync.b32 %r5, %r1, %r4; match.all.sync.b32 %r9|%p2, %r1, %r4;"
            " selp.u32 %r6, 1, 0, %p2; shl.b32 %r9, %r9, 1; or.b32 %r6, %r6, %r9;", partial);
        for (int i = 0; i < N; i++) {
            uint32_t mask = mask_of(i / 32, partial), same = 0;
            if (!(mask >> i % 32 & 1))
                continue;
            for (int k = 0; k < 32; k++)
                same |= (uint32_t)(a[i / 32 * 32 + k] == a[i]) << k;
            same &= mask;
            assert_int_equal(out[i], same);
            assert_int_equal(seen[i], same == mask ? mask << 1 | 1 : 0);
        }
    }
    fill(4, 2);
    run("cvt.u64.u32 %d5, %r1; shl.b64 %d5, %d5, 40; match.any.sync.b64 %r5, %d5, %r4;", true);
    for (int i = 0; i < N; i++)
        for (int k = 0; k < 32 && b[i] & 256; k++)
            assert_int_equal(out[i] >> k & 1,
                             a[i / 32 * 32 + k] == a[i] && b[i / 32 * 32 + k] & 256);
}

static uint32_t combine(const char *operation, uint32_t x, uint32_t y)
{
    if (!strcmp(operation, "add.s32") || !strcmp(operation, "add.u32"))
        return x + y;
    if (!strcmp(operation, "min.s32"))
        return (int32_t)x < (int32_t)y ? x : y;
    if (!strcmp(operation, "max.s32"))
        return (int32_t)x > (int32_t)y ? x : y;
    if (!strcmp(operation, "min.u32"))
        return x < y ? x : y;
    if (!strcmp(operation, "max.u32"))
        return x > y ? x : y;
    return operation[0] == 'a' ? x & y : operation[0] == 'o' ? x | y : x ^ y;
}

static void test_reductions(void **state)
{
    static const char *const list[] = {"add.s32", "add.u32", "min.s32", "max.s32", "min.u32",
                                       "max.u32", "and.b32", "or.b32", "xor.b32"};
    fill(5, UINT32_MAX);
    for (size_t k = 0; k < 2 * sizeof list / sizeof *list; k++) {
        char body[80];
        const char *operation = list[k / 2];
        bool partial = k % 2;
        snprintf(body, sizeof body, "redux.sync.%s %%r5, %%r1, %%r4;", operation);
        run(body, partial);
        for (int w = 0; w < WARPS; w++) {
            uint32_t mask = mask_of(w, partial), value = 0;
            bool first = true;
            for (int i = 0; i < 32; i++)
                if (mask >> i & 1) {
                    value = first ? a[w * 32 + i] : combine(operation, value, a[w * 32 + i]);
                    first = false;
                }
            for (int i = 0; i < 32; i++)
                assert_true(!(mask >> i & 1) || out[w * 32 + i] == value);
        }
    }
}

static void test_elections(void **state)
{
    fill(6, 2);
    run("activemask.b32 %r5; elect.sync %r6|%p2, %r4; @%p2 add.u32 %r6, %r6, 100;", true);
    for (int w = 0; w < WARPS; w++) {
        uint32_t mask = mask_of(w, true), elected = 0, leader = 0;
        for (int i = 0; i < 32; i++) {
            if (!(mask >> i & 1))
                continue;
            assert_int_equal(out[w * 32 + i], mask);
            elected += seen[w * 32 + i] >= 100;
            leader = seen[w * 32 + i] >= 100 ? (uint32_t)i : leader;
        }
        assert_true(!mask || elected == 1);
        for (int i = 0; i < 32; i++)
            assert_true(!(mask >> i & 1) || seen[w * 32 + i] % 100 == leader);
    }
}

// Each reads or writes as the plain form does, or does nothing that can be seen.
static void test_spellings(void **state)
{
    static const char *const list[] = {
        "mov.u32 %r9, 0; st.global.u32 [%d3], %r9; atom.add.acquire.gpu.global.u32 %r6, [%d3], %r1;"
        " ld.global.u32 %r5, [%d3];",
        "ld.volatile.global.u32 %r5, [%d1];", "ld.mmio.global.u32 %r5, [%d1];",
        "ld.global.nc.u32 %r5, [%d1];", "ld.global.ca.nc.u32 %r5, [%d1];",
        "ldu.global.u32 %r5, [%d1];", "ld.relaxed.gpu.global.u32 %r5, [%d1];",
        "ld.acquire.sys.u32 %r5, [%d1];", "ld.global.cg.L2::128B.u32 %r5, [%d1];",
        "st.volatile.global.u32 [%d3], %r1; ld.global.u32 %r5, [%d3];",
        "st.release.gpu.global.u32 [%d3], %r1; ld.global.u32 %r5, [%d3];",
        "prefetch.global.L2 [%d1]; prefetchu.L1 [%d1]; mov.u32 %r5, %r1;",
        "cvta.global.u64 %d5, %d1; cvta.to.global.u64 %d5, %d5; ld.global.u32 %r5, [%d5];",
        "membar.gl; membar.cta; membar.sys; fence.sc.gpu; fence.acq_rel.cta; mov.u32 %r5, %r1;",
        "nanosleep.u32 20; pmevent 3; mov.u32 %r5, %r1;",
        "st.global.u32 [%d3], %r1; exit;",
        "griddepcontrol.wait; griddepcontrol.launch_dependents; mov.u32 %r5, %r1;",
        "setp.ne.u32 %p2, %r1, 0; setp.eq.u32 %p3, %r1, 0; selp.pred %p4, %p2, %p3, %p1;"
        " mov.u32 %r5, %r1; @!%p4 mov.u32 %r5, 0;",
    };
    fill(7, UINT32_MAX);
    for (size_t k = 0; k < sizeof list / sizeof *list; k++) {
        run(list[k], false);
        for (int i = 0; i < N; i++) assert_int_equal(out[i], a[i]);
    }
}

// barrier.* is bar.* with another spelling.
static void test_barriers(void **state)
{
    fill(8, 2);
    run("setp.ne.u32 %p2, %r1, 0; barrier.sync 0; barrier.sync.aligned 1, 32;"
        " barrier.red.popc.aligned.u32 %r5, 0, %p2; barrier.cta.red.or.pred %p3, 0, %p2;"
        " selp.u32 %r6, 1, 0, %p3;", false);
    for (int w = 0; w < WARPS; w++) {
        uint32_t ones = 0;
        for (int i = 0; i < 32; i++) ones += a[w * 32 + i];
        for (int i = 0; i < 32; i++) {
            assert_int_equal(out[w * 32 + i], ones);
            assert_int_equal(seen[w * 32 + i], ones != 0);
        }
    }
    run("barrier.arrive 3, 32; mov.u32 %r5, %r1;", false);
    for (int i = 0; i < N; i++) assert_int_equal(out[i], a[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shuffles), cmocka_unit_test(test_votes),
        cmocka_unit_test(test_matches), cmocka_unit_test(test_reductions),
        cmocka_unit_test(test_elections), cmocka_unit_test(test_spellings),
        cmocka_unit_test(test_barriers),
    };
    return cmocka_run_group_tests_name("warp", tests, NULL, NULL);
}
