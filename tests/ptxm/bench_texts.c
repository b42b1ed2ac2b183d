// SPDX-License-Identifier: MIT
// Texts of kernels for bench_ptxm.
#include "bench_texts.h"

#include <stdarg.h>
#include <stdio.h>

const char bench_loop_text[] =
    ".version 7.8\n.target sm_80\n.address_size 64\n"
    ".visible .entry loop(.param .u64 out, .param .u32 n)\n{\n"
    " .reg .b32 %r<16>; .reg .f32 %f<8>; .reg .b64 %d<4>; .reg .pred %p;\n"
    " .shared .align 4 .b8 s[1024];\n"
    " ld.param.u64 %d1, [out]; ld.param.u32 %r1, [n];\n"
    " mov.u32 %r2, %tid.x; shl.b32 %r3, %r2, 2; mov.u32 %r4, s; add.s32 %r5, %r4, %r3;\n"
    " cvt.rn.f32.u32 %f1, %r2; mov.f32 %f2, 0f3F800000; st.shared.f32 [%r5], %f1; bar.sync 0;\n"
    " xor.b32 %r6, %r3, 4; add.s32 %r7, %r4, %r6; mov.u32 %r8, 0;\n"
    "top:\n"
    " ld.shared.f32 %f3, [%r7]; fma.rn.f32 %f2, %f3, %f1, %f2; mul.f32 %f4, %f2, %f1;\n"
    " add.f32 %f5, %f4, %f3; mad.lo.s32 %r9, %r8, %r2, %r3; and.b32 %r10, %r9, 255;\n"
    " xor.b32 %r11, %r10, %r2; shl.b32 %r12, %r11, 3; add.s32 %r13, %r12, %r9;\n"
    " bar.sync 0; st.shared.f32 [%r5], %f5; bar.sync 0;\n"
    " add.s32 %r8, %r8, 1; setp.lt.u32 %p, %r8, %r1; @%p bra top;\n"
    " mul.wide.u32 %d2, %r2, 4; add.s64 %d3, %d1, %d2; st.global.f32 [%d3], %f2;\n ret;\n}\n";

const char bench_mma_text[] =
    ".version 8.4\n.target sm_90a\n.address_size 64\n"
    ".visible .entry products(.param .u64 out, .param .u32 n)\n{\n"
    " .reg .b32 r<8>; .reg .b32 a<4>; .reg .b32 b<2>; .reg .f32 c<16>; .reg .b64 d<4>;"
    " .reg .pred p;\n"
    " ld.param.u64 d1, [out]; ld.param.u32 r1, [n]; mov.u32 r2, 0; mov.u32 r3, %tid.x;\n"
    " mov.b32 a0, 0x3c003c00; mov.b32 a1, 0x3c003c00; mov.b32 a2, 0x3c003c00;\n"
    " mov.b32 a3, 0x3c003c00; mov.b32 b0, 0x3c003c00; mov.b32 b1, 0x3c003c00;\n"
    " mov.b32 c0, 0; mov.b32 c1, 0; mov.b32 c2, 0; mov.b32 c3, 0;\n"
    "top:\n"
    " mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {c0,c1,c2,c3}, {a0,a1,a2,a3}, {b0,b1},"
    " {c0,c1,c2,c3};\n"
    " mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {c0,c1,c2,c3}, {a0,a1,a2,a3}, {b0,b1},"
    " {c0,c1,c2,c3};\n"
    " add.u32 r2, r2, 1; setp.lt.u32 p, r2, r1; @p bra top;\n"
    " mul.wide.u32 d2, r3, 4; add.s64 d3, d1, d2; st.global.f32 [d3], c0; ret;\n}\n";

// ---- wgmma -------------------------------------------------------------------------------------

struct text {
    char *at;
    size_t room;
};

static void __attribute__((format(printf, 2, 3))) add(struct text *t, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(t->at, t->room, format, arguments);
    va_end(arguments);
    if (length > 0 && (size_t)length < t->room) {
        t->at += length;
        t->room -= (size_t)length;
    }
}

// d2, d3: descriptors of A and B in the first tile. q: true.
static const char head[] =
    ".version 8.4\n.target sm_90a\n.address_size 64\n"
    ".extern .shared .align 1024 .b8 sm[];\n"
    ".visible .entry products(.param .u64 out, .param .u32 n)\n{\n"
    " .reg .b32 r<16>; .reg .b32 c<128>; .reg .b64 d<16>; .reg .pred p, q, v, z;\n"
    " .shared .align 8 .b64 full[3]; .shared .align 8 .b64 empty[3];\n"
    " ld.param.u64 d1, [out]; ld.param.u32 r1, [n]; mov.u32 r2, %tid.x; mov.u32 r3, sm;\n"
    " mov.u32 r7, 0; shr.u32 r6, r3, 4; cvt.u64.u32 d2, r6;\n"
    " add.s64 d2, d2, 0x4000004000010000; add.s64 d3, d2, 512; setp.ne.u32 q, r1, 0;\n"
    " mov.u32 r8, full; mov.u32 r9, empty; setp.eq.u32 z, r2, 0;\n";

// Every thread writes words of the tile until it is full.
static const char fill[] =
    " shl.b32 r4, r2, 2; add.u32 r4, r4, r3; mov.b32 r5, 0x3c003c00; add.u32 r6, r3, 40960;\n"
    "fill: st.shared.b32 [r4], r5; add.u32 r4, r4, 512; setp.lt.u32 p, r4, r6; @p bra fill;\n"
    " fence.proxy.async; bar.sync 0;\n";

static const char copy_before[] = " @z mbarrier.init.shared.b64 [r8], 1; bar.sync 0;\n";
static const char copy_tile[] =
    " bar.sync 0; @z mbarrier.arrive.expect_tx.shared.b64 _, [r8], 40960;\n"
    " @z cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [r3], [d1], 40960,"
    " [r8];\n and.b32 r10, r7, 1;\n"
    "wait: mbarrier.try_wait.parity.shared.b64 v, [r8], r10; @!v bra wait;\n";

// The slot is r4 (its barriers at r8 and r9, its tile at r11, d2, d3), the parity of its round r5.
static const char ring_before[] =
    " @!z bra ready; mov.u32 r6, 0;\n"
    "init: mbarrier.init.shared.b64 [r8], 1; mbarrier.init.shared.b64 [r9], 128;\n"
    " add.u32 r8, r8, 8; add.u32 r9, r9, 8; add.u32 r6, r6, 1; setp.lt.u32 p, r6, 3;\n"
    " @p bra init; fence.proxy.async;\n"
    "ready: bar.sync 0; mov.u32 r8, full; mov.u32 r9, empty; mov.u32 r4, 0; mov.u32 r5, 0;\n"
    " mov.u64 d7, d2; mov.u64 d8, d3; mov.u32 r11, r3; setp.lt.u32 p, r2, 128; @p bra top;\n"
    " setp.ne.u32 p, r2, 128; @p ret; mov.u32 r5, 1;\n"
    "produce: mbarrier.try_wait.parity.shared.b64 v, [r9], r5; @!v bra produce;\n"
    " mbarrier.arrive.expect_tx.shared.b64 _, [r8], 40960;\n"
    " cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [r11], [d1], 40960,"
    " [r8];\n";
static const char ring_next[] =
    " add.u32 r4, r4, 1; add.u32 r8, r8, 8; add.u32 r9, r9, 8; add.u32 r11, r11, 40960;\n"
    " add.u64 d2, d2, 2560; add.u64 d3, d3, 2560; setp.eq.u32 p, r4, 3; @!p bra %s;\n"
    " mov.u32 r4, 0; mov.u32 r8, full; mov.u32 r9, empty; mov.u32 r11, r3; mov.u64 d2, d7;\n"
    " mov.u64 d3, d8; xor.b32 r5, r5, 1;\n"
    "%s: add.u32 r7, r7, 1; setp.lt.u32 p, r7, r1; @p bra %s;\n";
static const char ring_wait[] =
    "wait: mbarrier.try_wait.parity.shared.b64 v, [r8], r5; @!v bra wait;\n";

static void add_products(struct text *t, unsigned n)
{
    add(t, " wgmma.fence.sync.aligned;\n");
    for (unsigned k = 0; k < 4; k++) {
        add(t, " add.s64 d4, d2, %u; add.s64 d5, d3, %u;\n", 2 * k, 2 * k);
        add(t, " wgmma.mma_async.sync.aligned.m64n%uk16.f32.f16.f16 {", n);
        for (unsigned i = 0; i < n / 2; i++) add(t, "%sc%u", i ? "," : "", i);
        add(t, "}, d4, d5, q, 1, 1, 0, 0;\n");
    }
    add(t, " wgmma.commit_group.sync.aligned; wgmma.wait_group.sync.aligned 0;\n");
}

void bench_wgmma_text(char *out, size_t room, unsigned n, enum bench_feed feed)
{
    struct text t = {out, room};
    add(&t, "%s", head);
    for (unsigned i = 0; i < n / 2; i++) add(&t, " mov.b32 c%u, 0;\n", i);
    add(&t, "%s", feed == BENCH_RESIDENT ? fill : feed == BENCH_COPIED ? copy_before : ring_before);
    if (feed == BENCH_RING) {
        add(&t, ring_next, "produced", "produced", "produce");
        add(&t, " ret;\n");
    }
    add(&t, "top:\n%s", feed == BENCH_RESIDENT ? "" : feed == BENCH_COPIED ? copy_tile : ring_wait);
    add_products(&t, n);
    if (feed == BENCH_RING) {
        add(&t, " mbarrier.arrive.shared.b64 _, [r9];\n");
        add(&t, ring_next, "consumed", "consumed", "top");
    } else {
        add(&t, " add.u32 r7, r7, 1; setp.lt.u32 p, r7, r1; @p bra top;\n");
    }
    add(&t, " mul.wide.u32 d6, r2, 4; add.s64 d6, d1, d6; st.global.b32 [d6], c0; ret;\n}\n");
}
