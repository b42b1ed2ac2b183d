// SPDX-License-Identifier: MIT
// Profiles: what is counted for each instruction, with the numbers that the layout of the addresses
// gives by hand.
#include "harness.h"

#include <stdio.h>
#include <string.h>

typedef const struct ptxm_instruction_profile row_of;

// %r1 thread, %r4 address of s, %d1 the buffer. s has 16 KiB.
#define BEFORE                                                                                     \
    HEAD ".visible .entry k(.param .u64 p)\n{\n"                                                   \
         " .reg .b32 %r<40>; .reg .b64 %d<20>; .reg .pred %p<10>; .reg .f32 %f<20>;\n"             \
         " .shared .align 128 .b8 s[16384];\n"                                                     \
         " ld.param.u64 %d1, [p]; mov.u32 %r1, %tid.x; mov.u32 %r4, s;\n"
#define AFTER "\n ret;\n}\n"
#define HOPPER ".version 8.0\n.target sm_90a\n.address_size 64\n"

static void run(struct bench *b, const char *body, unsigned grid, unsigned block, unsigned threads)
{
    char text[8192];
    static const uint32_t zeros[16384];
    snprintf(text, sizeof text, "%s%s%s%s", HOPPER, BEFORE + strlen(HEAD), body, AFTER);
    bench_load(b, text);
    b->options = (struct ptxm_launch_options){.profile = true, .threads = threads};
    uint64_t buffer = bench_buffer(b, sizeof zeros, zeros);
    RUN(b, "k", grid, block, 0, buffer);
    assert_int_equal(b->status, PTXM_OK);
}

// The number-th row whose instruction begins so.
static row_of *row(const struct bench *b, const char *instruction, int number)
{
    for (size_t i = 0; i < ptxm_report_profile_count(b->report); i++) {
        row_of *r = ptxm_report_profile(b->report, i);
        if (!strncmp(r->instruction, instruction, strlen(instruction)) && !number--)
            return r;
    }
    print_message("# no row for %s\n", instruction);
    assert_true(!"the row is missing");
    return NULL;
}

// ---- shared memory -----------------------------------------------------------------------------

struct shared_case {
    const char *access; // one warp's, at [%r5]
    unsigned stride;    // bytes from lane to lane
    unsigned wavefronts, ideal;
};

static void test_shared(void **state)
{
    static const struct shared_case cases[] = {
        {"st.shared.u32 [%r5], %r1;", 4, 1, 1},
        {"st.shared.u32 [%r5], %r1;", 8, 2, 1},
        {"st.shared.u32 [%r5], %r1;", 12, 1, 1}, // an odd stride in words
        {"st.shared.u32 [%r5], %r1;", 128, 32, 1},
        {"st.shared.u32 [%r5], %r1;", 132, 1, 1},
        {"ld.shared.u32 %r6, [%r5];", 0, 1, 1}, // all lanes read one word
        {"st.shared.u8 [%r5], %r1;", 1, 1, 1},
        {"st.shared.u16 [%r5], %r1;", 64, 16, 1}, // lanes i and i + 2 in one bank
        {"st.shared.v2.u32 [%r5], {%r1, %r1};", 8, 2, 2},
        {"st.shared.v2.u32 [%r5], {%r1, %r1};", 16, 4, 2},
        {"st.shared.v2.u32 [%r5], {%r1, %r1};", 24, 2, 2},
        {"st.shared.u64 [%r5], %d1;", 128, 32, 2},
        {"st.shared.v4.u32 [%r5], {%r1, %r1, %r1, %r1};", 16, 4, 4},
        {"st.shared.v4.u32 [%r5], {%r1, %r1, %r1, %r1};", 32, 8, 4},
        {"st.shared.v4.u32 [%r5], {%r1, %r1, %r1, %r1};", 144, 4, 4},
        {"st.shared.v4.u32 [%r5], {%r1, %r1, %r1, %r1};", 128, 32, 4},
        {"ld.shared.v2.u64 {%d3, %d4}, [%r5];", 64, 16, 4},
        {"ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r6, %r7, %r8, %r9}, [%r5];", 16, 4, 4},
        {"ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r6, %r7, %r8, %r9}, [%r5];", 128, 32, 4},
        {"ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r6, %r7, %r8, %r9}, [%r5];", 80, 4, 4},
        {"ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%r6, %r7}, [%r5];", 32, 4, 2},
        {"ldmatrix.sync.aligned.m8n8.x1.trans.shared.b16 {%r6}, [%r5];", 64, 4, 1},
        {"red.shared.add.u32 [%r5], 1;", 8, 2, 1},
        // through a generic address
        {"cvt.u64.u32 %d5, %r5; cvta.shared.u64 %d5, %d5; st.u32 [%d5], %r1;", 8, 2, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char body[512];
        struct bench b;
        const struct shared_case *c = &cases[i];
        snprintf(body, sizeof body, " mul.lo.u32 %%r5, %%r1, %u; add.u32 %%r5, %%r5, %%r4;\n %s",
                 c->stride, c->access);
        run(&b, body, 1, 32, 1);
        uint64_t accesses = 0, wavefronts = 0, ideal = 0;
        for (size_t k = 0; k < ptxm_report_profile_count(b.report); k++) {
            row_of *r = ptxm_report_profile(b.report, k);
            accesses += r->shared_accesses;
            wavefronts += r->shared_wavefronts;
            ideal += r->shared_ideal;
        }
        if (wavefronts != c->wavefronts || ideal != c->ideal)
            print_message("# %s by %u: %llu wavefronts of %llu\n", c->access, c->stride,
                          (unsigned long long)wavefronts, (unsigned long long)ideal);
        assert_int_equal(accesses, 1);
        assert_int_equal(wavefronts, c->wavefronts);
        assert_int_equal(ideal, c->ideal);
        bench_free(&b);
    }
}

static void test_copy(void **state)
{
    struct bench b;
    run(&b, " mul.lo.u32 %r5, %r1, 128; add.u32 %r5, %r5, %r4; mul.wide.u32 %d2, %r1, 16;\n"
            " add.s64 %d2, %d1, %d2; setp.lt.u32 %p1, %r1, 8; selp.b32 %r6, 16, 0, %p1;\n"
            " cp.async.cg.shared.global [%r5], [%d2], 16, %r6; cp.async.wait_all;", 1, 32, 1);
    row_of *r = row(&b, "cp.async.cg", 0);
    assert_int_equal(r->shared_wavefronts, 32);
    assert_int_equal(r->shared_ideal, 4);
    assert_int_equal(r->shared_written, 512);
    assert_int_equal(r->global_read, 128); // eight lanes read, the others write zeros
    assert_int_equal(r->global_sectors, 4);
    assert_int_equal(r->global_lines, 1);
    bench_free(&b);
}

// ---- global memory -----------------------------------------------------------------------------

static void test_global(void **state)
{
    static const struct {
        const char *access;
        unsigned stride, offset, sectors, ideal, lines, ideal_lines;
    } cases[] = {
        {"st.global.u32 [%d2], %r1;", 4, 0, 4, 4, 1, 1},
        {"st.global.u32 [%d2], %r1;", 4, 4, 5, 4, 2, 1}, // one word beside the line
        {"st.global.u32 [%d2], %r1;", 8, 0, 8, 4, 2, 1},
        {"st.global.u32 [%d2], %r1;", 128, 0, 32, 4, 32, 1},
        {"ld.global.u32 %r6, [%d2];", 0, 0, 1, 1, 1, 1},
        {"ld.global.u8 %r6, [%d2];", 1, 0, 1, 1, 1, 1},
        {"ld.global.u8 %r6, [%d2];", 32, 0, 32, 1, 8, 1},
        {"ld.global.v4.u32 {%r6, %r7, %r8, %r9}, [%d2];", 16, 0, 16, 16, 4, 4},
        {"ld.global.v4.u32 {%r6, %r7, %r8, %r9}, [%d2];", 32, 0, 32, 16, 8, 4},
        {"red.global.add.u32 [%d2], 1;", 4, 0, 4, 4, 1, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char body[512];
        struct bench b;
        snprintf(body, sizeof body,
                 " mul.wide.u32 %%d2, %%r1, %u; add.s64 %%d2, %%d1, %%d2;\n"
                 " add.s64 %%d2, %%d2, %u;\n %s",
                 cases[i].stride, cases[i].offset, cases[i].access);
        run(&b, body, 1, 32, 1);
        char opcode[64];
        snprintf(opcode, sizeof opcode, "%.*s", (int)strcspn(cases[i].access, " "),
                 cases[i].access);
        row_of *r = row(&b, opcode, 0);
        assert_int_equal(r->global_accesses, 1);
        assert_int_equal(r->global_sectors, cases[i].sectors);
        assert_int_equal(r->global_ideal_sectors, cases[i].ideal);
        assert_int_equal(r->global_lines, cases[i].lines);
        assert_int_equal(r->global_ideal_lines, cases[i].ideal_lines);
        bench_free(&b);
    }
}

// ---- lanes, bytes, barriers --------------------------------------------------------------------

static void test_lanes(void **state)
{
    struct bench b;
    run(&b, " setp.lt.u32 %p1, %r1, 8; setp.lt.u32 %p2, %r1, 99; setp.gt.u32 %p3, %r1, 99;\n"
            " @%p1 add.u32 %r5, %r1, 1; @%p2 add.u32 %r6, %r1, 1; @%p3 add.u32 %r7, %r1, 1;\n"
            " @!%p1 bra past;\n sub.u32 %r8, %r1, 1;\npast:\n xor.b32 %r9, %r1, 1;", 1, 48, 1);
    // Two warps, the second one of 16 lanes: all of them live.
    row_of *mov = row(&b, "mov.u32", 0), *some = row(&b, "add.u32", 0);
    row_of *all = row(&b, "add.u32", 1), *none = row(&b, "add.u32", 2);
    row_of *branch = row(&b, "sub.u32", 0), *joined = row(&b, "xor.b32", 0);
    assert_int_equal(mov->executions, 2);
    assert_int_equal(mov->lanes, 48);
    assert_int_equal(mov->partial, 0);
    assert_int_equal(some->executions, 2);
    assert_int_equal(some->lanes, 8);
    assert_int_equal(some->partial, 1); // in the second warp no lane takes part
    assert_int_equal(all->lanes, 48);
    assert_int_equal(all->partial, 0);
    assert_int_equal(none->lanes, 0);
    assert_int_equal(none->partial, 0);
    assert_int_equal(none->skipped, 2);
    assert_int_equal(some->skipped, 1);
    assert_int_equal(all->skipped, 0);
    assert_int_equal(branch->executions, 1);
    assert_int_equal(branch->lanes, 8);
    assert_int_equal(branch->partial, 1);
    assert_int_equal(joined->executions, 2);
    assert_int_equal(joined->lanes, 48);
    row_of *end = row(&b, "ret", 0);
    assert_int_equal(end->lanes, 48);
    assert_int_equal(end->partial, 0);
    bench_free(&b);
}

static void test_bytes(void **state)
{
    struct bench b;
    run(&b, " .local .align 16 .b8 stack[64];\n shl.b32 %r2, %r1, 2; add.u32 %r5, %r4, %r2;\n"
            " mul.wide.u32 %d2, %r1, 4; add.s64 %d2, %d1, %d2;\n"
            " ld.global.u32 %r6, [%d2]; st.shared.u32 [%r5], %r6; ld.shared.u16 %r7, [%r5];\n"
            " st.local.u64 [stack], %d1; ld.local.v2.u32 {%r8, %r9}, [stack];\n"
            " atom.global.add.u32 %r10, [%d2], 1; red.global.add.u32 [%d1], 0;\n"
            " st.global.u32 [%d2+4096], %r6;", 2, 32, 1);
    assert_int_equal(row(&b, "ld.global", 0)->global_read, 256);
    assert_int_equal(row(&b, "st.shared", 0)->shared_written, 256);
    assert_int_equal(row(&b, "ld.shared", 0)->shared_read, 128);
    assert_int_equal(row(&b, "st.local", 0)->local_written, 512);
    assert_int_equal(row(&b, "ld.local", 0)->local_read, 512);
    assert_int_equal(row(&b, "st.global", 0)->global_written, 256);
    row_of *atom = row(&b, "atom", 0), *red = row(&b, "red", 0);
    assert_int_equal(atom->global_read, 256);
    assert_int_equal(atom->global_written, 256);
    assert_int_equal(atom->atomics, 64);
    assert_int_equal(atom->atomics_contended, 0);
    assert_int_equal(red->global_read, 0);
    assert_int_equal(red->atomics, 64);
    assert_int_equal(red->atomics_contended, 62);
    bench_free(&b);
}

// What blocks is counted once, whether it waits in the barrier or for lanes of its warp.
static void test_barriers(void **state)
{
    struct bench b;
    run(&b, " shr.u32 %r5, %r1, 5; setp.eq.u32 %p1, %r5, 0; and.b32 %r6, %r1, 1;\n"
            " setp.eq.u32 %p2, %r6, 0;\n bar.sync 0;\n @%p1 bra first;\n bar.sync 1, 64;\n"
            " bra out;\nfirst:\n bar.arrive 1, 64;\nout:\n"
            " barrier.sync 2;\n @%p2 bra even;\n add.u32 %r6, %r6, 1;\neven:\n"
            " bar.warp.sync -1; shfl.sync.bfly.b32 %r7, %r1, 1, 31, -1;", 3, 64, 1);
    row_of *all = row(&b, "bar.sync", 0), *half = row(&b, "bar.sync", 1);
    row_of *arrive = row(&b, "bar.arrive", 0), *last = row(&b, "barrier.sync", 0);
    assert_int_equal(all->executions, 6);
    assert_int_equal(all->arrivals, 6);
    assert_int_equal(all->waits, 6);
    assert_int_equal(half->arrivals, 3);
    assert_int_equal(half->waits, 3);
    assert_int_equal(arrive->arrivals, 3);
    assert_int_equal(arrive->waits, 0);
    assert_int_equal(last->arrivals, 6);
    assert_int_equal(row(&b, "bar.warp", 0)->executions, 6);
    assert_int_equal(row(&b, "bar.warp", 0)->arrivals, 0);
    assert_int_equal(row(&b, "shfl", 0)->executions, 6);
    assert_int_equal(row(&b, "shfl", 0)->lanes, 192);
    bench_free(&b);
}

static void test_products(void **state)
{
    struct bench b;
    run(&b, " mov.u32 %r5, 0; mov.f32 %f1, 0f00000000;\n"
            " mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%f5, %f6, %f7, %f8},"
            " {%r5, %r5, %r5, %r5}, {%r5, %r5}, {%f1, %f1, %f1, %f1};", 2, 64, 1);
    assert_int_equal(row(&b, "mma", 0)->multiply_adds, 4 * 16 * 8 * 16);
    assert_int_equal(row(&b, "mov", 0)->multiply_adds, 0);
    bench_free(&b);
}

// Four warps make one product together; the store of its registers counts like any other.
static void test_warpgroup(void **state)
{
    struct bench b;
    run(&b, " shr.u32 %r5, %r4, 4; cvt.u64.u32 %d5, %r5; or.b64 %d5, %d5, 0x800010000;\n"
            " mul.wide.u32 %d2, %r1, 8; add.s64 %d2, %d1, %d2; mov.f32 %f1, 0f00000000;\n"
            " mov.f32 %f2, %f1; mov.f32 %f3, %f1; mov.f32 %f4, %f1; wgmma.fence.sync.aligned;\n"
            " wgmma.mma_async.sync.aligned.m64n8k16.f32.f16.f16 {%f1, %f2, %f3, %f4}, %d5, %d5,"
            " 1, 1, 1, 0, 0;\n wgmma.commit_group.sync.aligned;\n"
            " st.global.f32 [%d2+4096], %f3; wgmma.wait_group.sync.aligned 0;\n"
            " st.global.v2.f32 [%d2], {%f1, %f2};", 1, 128, 1);
    row_of *product = row(&b, "wgmma.mma_async", 0), *store = row(&b, "st.global.v2", 0);
    assert_int_equal(row(&b, "st.global.f32", 0)->global_written, 512); // of what is in flight
    assert_int_equal(product->executions, 4);
    assert_int_equal(product->multiply_adds, 64 * 8 * 16);
    // A is 64 rows of 32 bytes, B 8: core matrices of 128 bytes
    assert_int_equal(product->shared_accesses, 2);
    assert_int_equal(product->shared_read, 72 * 32);
    assert_int_equal(product->shared_wavefronts, 18);
    assert_int_equal(product->shared_ideal, 18);
    assert_int_equal(store->executions, 4);
    assert_int_equal(store->global_written, 1024);
    assert_int_equal(store->global_sectors, 32);
    bench_free(&b);
}

// Bulk copies move bytes and sectors; mbarriers count arrivals and waits by lanes. What waits in
// try_wait is one execution, however often the machine looks.
static void test_bulk(void **state)
{
    struct bench b;
    run(&b, " .shared .align 8 .b64 m; .reg .b32 %b; mov.u32 %b, m; setp.eq.u32 %p1, %r1, 0;\n"
            " @%p1 mbarrier.init.shared.b64 [%b], 1; bar.sync 0;\n"
            " @%p1 mbarrier.arrive.expect_tx.shared.b64 _, [%b], 272;\n"
            " @%p1 cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%r4],"
            " [%d1+16], 272, [%b];\n"
            "W: mbarrier.try_wait.parity.shared.b64 %p2, [%b], 0; @!%p2 bra W;\n"
            " fence.proxy.async.shared::cta;\n"
            " @%p1 cp.async.bulk.global.shared::cta.bulk_group [%d1+1024], [%r4], 128;\n"
            " @%p1 cp.async.bulk.commit_group; @%p1 cp.async.bulk.wait_group 0;", 1, 64, 1);
    row_of *load = row(&b, "cp.async.bulk.shared", 0), *store = row(&b, "cp.async.bulk.global", 0);
    assert_int_equal(load->executions, 2);
    assert_int_equal(load->skipped, 1);
    assert_int_equal(load->lanes, 1);
    assert_int_equal(load->global_read, 272);
    assert_int_equal(load->shared_written, 272);
    assert_int_equal(load->shared_accesses, 1);
    assert_int_equal(load->shared_wavefronts, 3);
    assert_int_equal(load->shared_ideal, 3);
    assert_int_equal(load->global_sectors, 9); // bytes 16 to 287
    assert_int_equal(load->global_ideal_sectors, 9);
    assert_int_equal(load->global_lines, 3);
    assert_int_equal(store->global_written, 128);
    assert_int_equal(store->shared_read, 128);
    assert_int_equal(store->shared_wavefronts, 1);
    assert_int_equal(store->global_sectors, 4);
    assert_int_equal(row(&b, "mbarrier.arrive", 0)->arrivals, 1);
    assert_int_equal(row(&b, "mbarrier.try_wait", 0)->waits, 64);
    bench_free(&b);
}

static void test_multicast(void **state)
{
    struct bench b;
    bench_load(&b, ".version 8.0\n.target sm_90a\n.address_size 64\n"
                   ".visible .entry k(.param .u64 p) .reqnctapercluster 2\n{\n"
                   " .reg .b32 %r<9>; .reg .b16 %h1; .reg .b64 %d1; .reg .pred %p<4>;\n"
                   " .shared .align 128 .b8 s[256]; .shared .align 8 .b64 m;\n"
                   " ld.param.u64 %d1, [p]; mov.u32 %r1, %tid.x; mov.u32 %r4, s; mov.u32 %r5, m;\n"
                   " setp.eq.u32 %p1, %r1, 0; mov.u32 %r2, %cluster_ctarank; mov.u16 %h1, 3;\n"
                   " @%p1 mbarrier.init.shared.b64 [%r5], 1; @%p1 fence.mbarrier_init.release"
                   ".cluster; barrier.cluster.arrive; barrier.cluster.wait;\n"
                   " @%p1 mbarrier.arrive.expect_tx.shared.b64 _, [%r5], 256;\n"
                   " setp.eq.and.u32 %p3, %r2, 0, %p1;\n"
                   " @%p3 cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes"
                   ".multicast::cluster [%r4], [%d1], 256, [%r5], %h1;\n"
                   "W: mbarrier.try_wait.parity.shared.b64 %p2, [%r5], 0; @!%p2 bra W;\n"
                   " barrier.cluster.arrive; barrier.cluster.wait; ret;\n}\n");
    b.options.profile = true;
    uint64_t buffer = bench_buffer(&b, 256, (char[256]){0});
    RUN(&b, "k", 2, 32, 0, buffer);
    bench_clean(&b);
    row_of *load = row(&b, "cp.async.bulk", 0);
    assert_int_equal(load->lanes, 1);
    assert_int_equal(load->global_read, 256); // once, for both CTAs
    assert_int_equal(load->global_sectors, 8);
    assert_int_equal(load->shared_written, 512);
    assert_int_equal(load->shared_accesses, 2); // there, for each
    assert_int_equal(load->shared_wavefronts, 4);
    row_of *arrive = row(&b, "barrier.cluster.arrive", 0);
    row_of *wait = row(&b, "barrier.cluster.wait", 0);
    assert_int_equal(arrive->arrivals, 2);
    assert_int_equal(arrive->waits, 0);
    assert_int_equal(wait->arrivals, 0);
    assert_int_equal(wait->waits, 2);
    assert_int_equal(wait->executions, 2);
    bench_free(&b);
}

// Boxes with rows of 64 bytes, in every swizzle, and partly outside of the tensor.
static void test_tensor(void **state)
{
    static const char text[] =
        ".version 8.6\n.target sm_90a\n.address_size 64\n"
        ".visible .entry k(.param .align 64 .b8 map[128], .param .b32 x)\n{\n"
        " .reg .b32 %r<9>; .reg .b64 %d<4>; .reg .pred %p<4>;\n"
        " .shared .align 1024 .b8 s[1024]; .shared .align 8 .b8 m[8];\n"
        " mov.b64 %d1, map; cvta.param.u64 %d2, %d1; ld.param.b32 %r1, [x]; mov.u32 %r2, 0;\n"
        " mov.u32 %r5, m; mov.u32 %r6, s; mbarrier.init.shared.b64 [%r5], 1;\n"
        " mbarrier.arrive.expect_tx.shared.b64 _, [%r5], 1024;\n"
        " cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%r6],"
        " [%d2, {%r1, %r2}], [%r5];\n"
        "W: mbarrier.try_wait.parity.shared.b64 %p2, [%r5], 0; @!%p2 bra W; ret;\n}\n";
    for (int i = 0; i < 8; i++) {
        struct { struct ptxm_tensor_map map; int32_t x; } a = {.x = i & 1 ? -5 : 8};
        static const uint8_t bytes[64 * 64 * 2];
        struct bench b;
        bench_load(&b, text);
        struct ptxm_tensor t = {.type = PTXM_TENSOR_FLOAT16, .rank = 2,
                                .address = bench_buffer(&b, sizeof bytes, bytes),
                                .dims = (uint64_t[]){64, 64}, .strides = (uint64_t[]){128},
                                .box = (uint32_t[]){i / 2 == 1 ? 16 : 32, i / 2 == 1 ? 32 : 16},
                                .element_strides = (uint32_t[]){1, 1},
                                .swizzle = (enum ptxm_tensor_swizzle)(i / 2)};
        assert_int_equal(ptxm_tensor_map_encode_tiled(&a.map, &t, NULL, NULL), PTXM_OK);
        b.options.profile = true;
        bench_run(&b, "k", 1, 1, 0, &a, sizeof a);
        bench_clean(&b);
        row_of *load = row(&b, "cp.async.bulk.tensor", 0);
        assert_int_equal(load->shared_accesses, 1);
        assert_int_equal(load->shared_written, 1024);
        assert_int_equal(load->shared_wavefronts, 8);
        assert_int_equal(load->shared_ideal, 8);
        bench_free(&b);
    }
}

// Stores to the cluster count lane by lane, in the banks of their target.
static void test_remote(void **state)
{
    static const struct { unsigned shift, wavefronts; } cases[] = {{2, 1}, {3, 2}, {7, 32}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char body[1024];
        struct bench b;
        snprintf(body, sizeof body,
                 " .shared .align 8 .b64 m; .reg .b32 %%b; mov.u32 %%b, m; setp.eq.u32 %%p1, %%r1,"
                 " 0;\n @%%p1 mbarrier.init.shared.b64 [%%b], 1; bar.sync 0;\n"
                 " @%%p1 mbarrier.arrive.expect_tx.shared.b64 _, [%%b], 128;\n"
                 " shl.b32 %%r5, %%r1, %u; add.u32 %%r5, %%r5, %%r4;\n"
                 " st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.u32 [%%r5], %%r1,"
                 " [%%b];\nW: mbarrier.try_wait.parity.shared.b64 %%p2, [%%b], 0; @!%%p2 bra W;",
                 cases[i].shift);
        run(&b, body, 1, 32, 1);
        bench_clean(&b);
        row_of *store = row(&b, "st.async", 0);
        assert_int_equal(store->shared_accesses, 1);
        assert_int_equal(store->shared_written, 128);
        assert_int_equal(store->shared_wavefronts, cases[i].wavefronts);
        assert_int_equal(store->shared_ideal, 1);
        bench_free(&b);
    }
}

static void test_places(void **state)
{
    struct bench b;
    bench_load(&b, HEAD ".file 1 \"k.kg\"\n.visible .entry k()\n{\n .reg .b32 %r<4>;\n"
                        " .loc 1 7 3\n mov.u32 %r1, 1;\n mov.u32 %r2, 2; mov.u32 %r3, 3;\n"
                        " .loc 1 9 3\n ret;\n}\n");
    b.options.profile = true;
    bench_run(&b, "k", 1, 32, 0, NULL, 0);
    assert_int_equal(ptxm_report_profile_count(b.report), 4);
    row_of *third = ptxm_report_profile(b.report, 2), *last = ptxm_report_profile(b.report, 3);
    assert_int_equal(third->line, 10);
    assert_string_equal(third->source_file, "k.kg");
    assert_int_equal(third->source_line, 7);
    assert_string_equal(last->instruction, "ret");
    assert_int_equal(last->source_line, 9);
    assert_null(ptxm_report_profile(b.report, 4));
    bench_free(&b);
}

// ---- the whole ---------------------------------------------------------------------------------

#define LOOP                                                                                       \
    " mov.u32 %r9, %ctaid.x; shl.b32 %r2, %r1, 2; add.u32 %r5, %r4, %r2; mov.u32 %r6, 0;\n"        \
    "next:\n st.shared.u32 [%r5], %r6; bar.sync 0; ld.shared.u32 %r7, [%r4]; bar.sync 0;\n"        \
    " add.u32 %r6, %r6, 1; setp.le.u32 %p1, %r6, %r9; @%p1 bra next;\n"                            \
    " red.global.add.u32 [%d1], %r6;"

static void test_threads(void **state)
{
    struct bench one, four;
    run(&one, LOOP, 40, 64, 1);
    run(&four, LOOP, 40, 64, 4);
    size_t count = ptxm_report_profile_count(one.report);
    assert_true(count > 10);
    assert_int_equal(count, ptxm_report_profile_count(four.report));
    for (size_t i = 0; i < count; i++) {
        row_of *a = ptxm_report_profile(one.report, i), *b = ptxm_report_profile(four.report, i);
        struct ptxm_instruction_profile c = *b;
        c.instruction = a->instruction; // of another module
        assert_memory_equal(a, &c, sizeof c);
    }
    assert_int_equal(row(&one, "st.shared", 0)->executions, 2 * 40 * 41 / 2);
    bench_free(&one);
    bench_free(&four);
}

static void test_not_asked_for(void **state)
{
    struct bench b;
    bench_load(&b, BEFORE LOOP AFTER);
    uint64_t buffer = bench_buffer(&b, 64, (char[64]){0});
    RUN(&b, "k", 2, 64, 0, buffer);
    assert_int_equal(ptxm_report_profile_count(b.report), 0);
    assert_null(ptxm_report_profile(b.report, 0));
    bench_free(&b);
}

// ---- without memory ----------------------------------------------------------------------------

static void test_no_memory(void **state)
{
    struct failing hook = {.left = 1 << 20};
    struct ptxm_allocator allocator = failing_allocator(&hook);
    struct ptxm_device_options options = {.allocator = &allocator};
    struct ptxm_launch_options launch_options = {.profile = true};
    struct bench b;
    bench_load(&b, BEFORE LOOP AFTER);
    ptxm_device_free(b.device);
    assert_int_equal(ptxm_device_create(&options, &b.device), PTXM_OK);
    uint64_t buffer = bench_buffer(&b, 64, (char[64]){0});
    struct ptxm_launch launch = {.kernel = "k", .grid = {3, 1, 1}, .block = {64, 1, 1},
                                 .params = &buffer, .param_bytes = 8, .options = &launch_options};
    bool done = false;
    int failures = 0;
    long before = hook.alive;
    for (long n = 0; !done; n++) {
        struct ptxm_report *report = NULL;
        hook.left = n;
        enum ptxm_status status = ptxm_launch(b.device, b.module, &launch, NULL, NULL, &report);
        done = status == PTXM_OK;
        failures += status == PTXM_ERROR_MEMORY;
        assert_true(done || status == PTXM_ERROR_MEMORY);
        assert_int_equal(done, report != NULL);
        hook.left = 1 << 20;
        ptxm_report_free(report);
        if (n == 0)
            before = hook.alive;
    }
    assert_true(failures > 10);
    // What stays is what a launch leaves on the device, once.
    assert_true(hook.alive <= before + 2);
    bench_free(&b);
    assert_int_equal(hook.alive, 0);
}

// ---- what runs ---------------------------------------------------------------------------------

static const char *volatile running;
static const char *seen; // what runs while the kernel prints

static void look(void *user, const char *text, size_t length)
{
    seen = running;
}

static void test_running(void **state)
{
    static const char text[] =
        HEAD ".extern .func (.param .b32 r) vprintf(.param .b64 f, .param .b64 a);\n"
        ".global .align 1 .b8 format[3] = {97, 10, 0};\n"
        ".visible .entry k() {\n .reg .b64 %f; mov.u64 %f, format; cvta.global.u64 %f, %f;\n"
        " { .param .b64 f; .param .b64 a; .param .b32 r; st.param.b64 [f], %f;"
        " st.param.b64 [a], 0; call.uni (r), vprintf, (f, a); }\n bar.sync 0; ret;\n}\n";
    static const char untouched[] = "untouched";
    for (int i = 0; i < 4; i++) {
        struct bench b;
        bench_load(&b, text);
        b.options = (struct ptxm_launch_options){.print = look, .threads = i == 1 ? 2 : i > 1,
                                                 .profile = i == 2,
                                                 .running = i == 3 ? NULL : &running};
        running = untouched;
        seen = NULL;
        RUN(&b, "k", 1, 64, 0, 0);
        assert_int_equal(b.status, PTXM_OK);
        if (i == 0) {
            assert_string_equal(seen, "call.uni");
            assert_null(running);
        } else { // with several threads, with a profile, unless it is asked for
            assert_ptr_equal(seen, untouched);
            assert_ptr_equal(running, untouched);
        }
        bench_free(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shared),   cmocka_unit_test(test_copy),
        cmocka_unit_test(test_global),   cmocka_unit_test(test_lanes),
        cmocka_unit_test(test_bytes),    cmocka_unit_test(test_barriers),
        cmocka_unit_test(test_products), cmocka_unit_test(test_bulk),
        cmocka_unit_test(test_tensor),   cmocka_unit_test(test_remote),
        cmocka_unit_test(test_warpgroup),
        cmocka_unit_test(test_multicast), cmocka_unit_test(test_places),
        cmocka_unit_test(test_threads),  cmocka_unit_test(test_not_asked_for),
        cmocka_unit_test(test_no_memory), cmocka_unit_test(test_running),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
