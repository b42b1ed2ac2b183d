// SPDX-License-Identifier: MIT
// cp.async.bulk and cp.reduce.async.bulk: values of every form, groups and phases, and mistakes.
#include "planted.h"

#include <stdio.h>
#include <string.h>

#define INIT(count) " @%p1 mbarrier.init.shared.b64 [%r5], " #count "; bar.sync 0;"
#define EXPECT(bytes) " @%p1 mbarrier.arrive.expect_tx.shared.b64 _, [%r5], " #bytes ";"
#define LOAD                                                                                       \
    " @%p1 cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%r4], [%d1], 256,"   \
    " [%r5];"
#define LOAD_AGAIN                                                                                 \
    " @%p1 cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%r4], [%d1+256],"    \
    " 256, [%r5];"
#define WAIT(label, parity)                                                                        \
    "\n" label ": mbarrier.try_wait.parity.shared.b64 %p2, [%r5], " #parity                        \
    "; @!%p2 bra " label ";"
#define READ " xor.b32 %r6, %r2, 128; add.s32 %r6, %r4, %r6; ld.shared.u32 %r7, [%r6];"
#define FILL " st.shared.u32 [%r3], %r1;"
#define BS " bar.sync 0;"
#define FENCE " fence.proxy.async.shared::cta;"
#define STORE " @%p1 cp.async.bulk.global.shared::cta.bulk_group [%d3], [%r4], 256;"
#define COMMIT " @%p1 cp.async.bulk.commit_group;"
#define DRAIN " @%p1 cp.async.bulk.wait_group 0;"
#define DRAIN_READ " @%p1 cp.async.bulk.wait_group.read 0;"

static void test_loads(void **state)
{
    static const struct planted list[] = {
        {INIT(1) EXPECT(256) LOAD WAIT("W", 0) READ, NULL},
        {INIT(1) EXPECT(256) LOAD READ WAIT("W", 0), "race-async-operation"},
        {INIT(1) EXPECT(256) LOAD " bar.sync 0;" READ WAIT("W", 0), "race-async-operation"},
        // thread 0 waits and tells the others by a barrier
        {INIT(1) EXPECT(256) LOAD " @!%p1 bra GO;" WAIT("W", 0) "\nGO: bar.sync 0;" READ, NULL},
        // copy before the expectation: fine, the arrival is still missing
        {INIT(1) LOAD EXPECT(256) WAIT("W", 0) READ, NULL},
        // but behind the last arrival it may come too late
        {INIT(1) LOAD " @%p1 mbarrier.arrive.shared.b64 _, [%r5];"
         " @%p1 mbarrier.expect_tx.relaxed.cta.shared.b64 [%r5], 256;" WAIT("W", 0) READ,
         "mbarrier-expect-late|race-async-operation"},
        {INIT(1) " @%p1 mbarrier.expect_tx.relaxed.cta.shared.b64 [%r5], 256;" LOAD
         " @%p1 mbarrier.arrive.shared.b64 _, [%r5];" WAIT("W", 0) READ, NULL},
        {INIT(1) EXPECT(512) LOAD WAIT("W", 0) READ, "deadlock", 1, 64, 0, "and 256 bytes"},
        {INIT(1) EXPECT(128) LOAD WAIT("W", 0) READ, "deadlock", 1, 64, 0, "-128 bytes"},
        {INIT(1) EXPECT(256) LOAD, "async-operation-at-exit"},
        {INIT(1) EXPECT(256) LOAD " @!%p1 bra END;" WAIT("W", 0) "\nEND:", NULL},
        {INIT(1) " mov.u32 %r30, 24;"
         " @%p1 cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%r4],"
         " [%d1], %r30, [%r5];", "bulk-size"},
        {INIT(1) " @%p1 cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%r4],"
         " [%d1+8], 32, [%r5];", "misaligned"},
        {INIT(1) " @%p1 cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%r4+4],"
         " [%d1], 32, [%r5];", "misaligned"},
        {INIT(1) " @%p1 cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%r4],"
         " [%d1+16368], 32, [%r5];", "global-bounds"},
        {" @%p1 cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%r4], [%d1], 32,"
         " [%r5];", "mbarrier-uninitialised"},
        // two copies into the same bytes
        {INIT(1) EXPECT(512) LOAD LOAD_AGAIN WAIT("W", 0), "race-async-operation"},
        {INIT(1) EXPECT(256) LOAD WAIT("W", 0) BS EXPECT(256) LOAD_AGAIN WAIT("V", 1) READ, NULL},
        {INIT(1) EXPECT(256) LOAD " setp.lt.u32 %p3, %r1, 32; @!%p3 bra.uni LATE;" WAIT("W", 0)
         EXPECT(256) LOAD_AGAIN WAIT("V", 1) " bar.sync 0; bra.uni END;\nLATE: bar.sync 0;"
         WAIT("U", 0) "\nEND:", "deadlock", 1, 64, 0, "if phase 0 is meant"},
        // readers give the slot back: a fence, and a barrier or a second mbarrier
        {INIT(1) EXPECT(256) LOAD WAIT("W", 0) READ BS EXPECT(256) LOAD_AGAIN WAIT("V", 1),
         "proxy-fence", 1, 64, 0, "fence.proxy.async.shared::cta is missing"},
        {INIT(1) EXPECT(256) LOAD WAIT("W", 0) READ FENCE BS EXPECT(256) LOAD_AGAIN WAIT("V", 1),
         NULL},
        {INIT(1) EXPECT(256) LOAD WAIT("W", 0) READ BS FENCE EXPECT(256) LOAD_AGAIN WAIT("V", 1),
         NULL},
        {INIT(1) EXPECT(256) LOAD WAIT("W", 0) READ FENCE EXPECT(256) LOAD_AGAIN WAIT("V", 1),
         "race"},
        // cta form, hint, prefetch
        {INIT(1) EXPECT(256) " mov.u64 %d20, 0;"
         " @%p1 cp.async.bulk.prefetch.L2.global.L2::cache_hint [%d1], 256, %d20;"
         " @%p1 cp.async.bulk.shared::cta.global.mbarrier::complete_tx::bytes.L2::cache_hint [%r4],"
         " [%d1], 256, [%r5], %d20;" WAIT("W", 0) READ, NULL},
        // an mbarrier that goes away
        {INIT(1) EXPECT(256) LOAD " @%p1 mbarrier.inval.shared.b64 [%r5];",
         "async-operation-at-exit"},
    };
    PLANTED(list);
}

static void test_stores(void **state)
{
    static const struct planted list[] = {
        {FILL FENCE BS STORE COMMIT DRAIN, NULL},
        {FILL FENCE BS STORE COMMIT DRAIN_READ, NULL},
        {FILL BS STORE COMMIT DRAIN, "proxy-fence"},
        {FILL BS FENCE STORE COMMIT DRAIN, NULL}, // the issuer's fence
        {FILL " fence.proxy.async;" BS STORE COMMIT DRAIN, NULL},
        {FILL " fence.proxy.async.global;" BS STORE COMMIT DRAIN, "proxy-fence"},
        {FENCE FILL BS STORE COMMIT DRAIN, "proxy-fence"},
        {FILL FENCE STORE COMMIT DRAIN, "race"},
        // a fence of a thread that has nothing to do with it
        {FILL BS " setp.eq.u32 %p3, %r1, 32; @!%p3 bra L;" FENCE "\nL:" STORE COMMIT DRAIN,
         "proxy-fence"},
        {FILL BS " setp.eq.u32 %p3, %r1, 32; @!%p3 bra L;" FENCE "\nL: bar.sync 0;" STORE COMMIT
         DRAIN, NULL},
        // the fence after bar.arrive comes too late
        {FILL " setp.lt.u32 %p3, %r1, 32; @%p3 bra ISSUE; bar.arrive 1, 64;" FENCE " bra END;\n"
         "ISSUE: bar.sync 1, 64;" FENCE STORE COMMIT DRAIN "\nEND:", NULL},
        {" setp.lt.u32 %p3, %r1, 32; @%p3 bra ISSUE;" FILL " bar.arrive 1, 64;" FENCE
         " bra END;\nISSUE: bar.sync 1, 64;"
         " @%p1 cp.async.bulk.global.shared::cta.bulk_group [%d3], [%r4+128], 128;" COMMIT DRAIN
         "\nEND:", "proxy-fence"},
        {" setp.lt.u32 %p3, %r1, 32; @%p3 bra ISSUE;" FILL FENCE " bar.arrive 1, 64;"
         " bra END;\nISSUE: bar.sync 1, 64;"
         " @%p1 cp.async.bulk.global.shared::cta.bulk_group [%d3], [%r4+128], 128;" COMMIT DRAIN
         "\nEND:", NULL},
        // sources are used again
        {FILL FENCE BS STORE COMMIT DRAIN_READ BS FILL, NULL},
        {FILL FENCE BS STORE COMMIT BS FILL DRAIN, "race-async-operation"},
        {FILL FENCE BS STORE COMMIT DRAIN_READ FILL, "race-async-operation"}, // others do not know
        // results
        {FILL FENCE BS STORE COMMIT DRAIN " @%p1 ld.global.u32 %r7, [%d3];", NULL},
        {FILL FENCE BS STORE COMMIT DRAIN_READ " @%p1 ld.global.u32 %r7, [%d3];",
         "race-async-operation"},
        {FILL FENCE BS STORE COMMIT DRAIN BS " ld.global.u32 %r7, [%d3];", NULL},
        // groups: the newer one may still run
        {FILL FENCE BS STORE COMMIT
         " @%p1 cp.async.bulk.global.shared::cta.bulk_group [%d3+1024], [%r4], 256;" COMMIT
         " @%p1 cp.async.bulk.wait_group 1; @%p1 ld.global.u32 %r7, [%d3];" DRAIN, NULL},
        {FILL FENCE BS STORE COMMIT
         " @%p1 cp.async.bulk.global.shared::cta.bulk_group [%d3+1024], [%r4], 256;" COMMIT
         " @%p1 cp.async.bulk.wait_group 1; @%p1 ld.global.u32 %r7, [%d3+1024];" DRAIN,
         "race-async-operation"},
        {FILL FENCE BS STORE DRAIN COMMIT DRAIN, "async-copy-uncommitted"},
        {FILL FENCE BS STORE COMMIT, "async-operation-at-exit"},
        // generic writes of global memory, then a bulk load
        {INIT(1) " @%p1 st.global.u32 [%d1], 5;" EXPECT(256) LOAD WAIT("W", 0), "proxy-fence", 1,
         64, 0, "fence.proxy.async.global is missing"},
        {INIT(1) " @%p1 st.global.u32 [%d1], 5; fence.proxy.async.global;" EXPECT(256) LOAD
         WAIT("W", 0), NULL},
    };
    PLANTED(list);
}

static void run_values(const struct planted *p, const uint32_t *expected, size_t bytes)
{
    for (unsigned variant = 0; variant < PLANTED_VARIANTS; variant++) {
        struct bench b;
        uint32_t q[1024];
        planted_run(&b, p, variant, q, sizeof q);
        bench_clean(&b);
        assert_memory_equal(q, expected, bytes);
        bench_free(&b);
    }
    planted_all(p, 1);
}

static void test_values(void **state)
{
    // p's second 256 bytes through shared memory into q, by bulk copies both ways
    static const struct planted round = {
        INIT(1) EXPECT(256) LOAD_AGAIN WAIT("W", 0) " @%p1 bra STORE; bra END;\nSTORE:"
        " cp.async.bulk.global.shared::cta.bulk_group [%d3], [%r4], 256;"
        " cp.async.bulk.commit_group; cp.async.bulk.wait_group 0;\nEND:"};
    uint32_t expected[64];
    for (uint32_t i = 0; i < 64; i++) expected[i] = 64 + i;
    run_values(&round, expected, sizeof expected);
}

// One operation on 16 bytes: shared holds `value` in each element, global starts as `old`.
struct reduction {
    const char *op;
    unsigned bits;
    uint64_t old, value, expected;
};

static void test_reductions(void **state)
{
    static const struct reduction list[] = {
        {"add.u32", 32, 7, 0xffffffff, 6},
        {"add.s32", 32, 7, 0xffffffff, 6},
        {"add.u64", 64, 7, UINT64_MAX, 6},
        {"add.f32", 32, 0x3f800000, 0x40000000, 0x40400000},
        {"add.f64", 64, 0x3ff0000000000000, 0x4000000000000000, 0x4008000000000000},
        {"add.noftz.f16", 16, 0x3c00, 0x4000, 0x4200},
        {"add.noftz.bf16", 16, 0x3f80, 0x4000, 0x4040},
        {"min.u32", 32, 7, 0xffffffff, 7},
        {"min.s32", 32, 7, 0xffffffff, 0xffffffff},
        {"max.u64", 64, 7, UINT64_MAX, UINT64_MAX},
        {"max.s64", 64, 7, UINT64_MAX, 7},
        {"min.f16", 16, 0x3c00, 0xbc00, 0xbc00},
        {"max.bf16", 16, 0x3f80, 0xbf80, 0x3f80},
        {"inc.u32", 32, 7, 7, 0},
        {"dec.u32", 32, 0, 9, 9},
        {"and.b32", 32, 0xff, 0xf0f, 0x0f},
        {"or.b64", 64, 0xff, 0xf0f, 0xfff},
        {"xor.b32", 32, 0xff, 0xf0f, 0xff0},
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        const struct reduction *r = &list[i];
        uint8_t old[16], value[16], expected[16];
        for (unsigned k = 0; k < 16; k += r->bits / 8) {
            memcpy(old + k, &r->old, r->bits / 8);
            memcpy(value + k, &r->value, r->bits / 8);
            memcpy(expected + k, &r->expected, r->bits / 8);
        }
        uint64_t v[2], o[2];
        memcpy(v, value, 16);
        memcpy(o, old, 16);
        char body[1024];
        snprintf(body, sizeof body,
                 " @!%%p1 bra END; mov.u64 %%d10, 0x%llx; st.shared.v2.u64 [%%r4], {%%d10, %%d10};"
                 " mov.u64 %%d11, 0x%llx; st.global.v2.u64 [%%d3], {%%d11, %%d11};"
                 " fence.proxy.async; cp.reduce.async.bulk.global.shared::cta.bulk_group.%s [%%d3],"
                 " [%%r4], 16; cp.async.bulk.commit_group; cp.async.bulk.wait_group 0;\nEND:",
                 (unsigned long long)v[0], (unsigned long long)o[0], r->op);
        struct planted p = {body};
        uint32_t words[4];
        memcpy(words, expected, 16);
        run_values(&p, words, 16);
    }
    // reductions of two CTAs into the same words are ordered by nothing and need no order
    static const struct planted both = {
        FILL FENCE BS
        " @%p1 cp.reduce.async.bulk.global.shared::cta.bulk_group.add.u32 [%d3], [%r4], 256;"
        COMMIT DRAIN_READ, NULL, 4};
    uint32_t expected[64];
    for (uint32_t i = 0; i < 64; i++) expected[i] = 4 * i;
    run_values(&both, expected, sizeof expected);
}

#define SYNC " barrier.cluster.arrive.aligned; barrier.cluster.wait.aligned;"
#define PEER                                                                                       \
    " mov.u32 %r20, %cluster_ctarank; xor.b32 %r21, %r20, 1;"                                      \
    " mapa.shared::cluster.u32 %r22, %r4, %r21; mapa.shared::cluster.u32 %r24, %r5, %r21;"
#define START(bytes)                                                                               \
    PEER " @%p1 mbarrier.init.shared.b64 [%r5], 1;" EXPECT(bytes)                                  \
    " fence.mbarrier_init.release.cluster;" SYNC
#define MULTICAST(mask)                                                                            \
    " mov.u16 %h1, " #mask "; setp.eq.and.u32 %p3, %r20, 0, %p1;"                                  \
    " @%p3 cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster"   \
    " [%r4], [%d1], 256, [%r5], %h1;"
#define GIVE                                                                                       \
    " @%p1 cp.async.bulk.shared::cluster.shared::cta.mbarrier::complete_tx::bytes [%r22+512],"     \
    " [%r4], 256, [%r24];"
#define TAKE " ld.shared.u32 %r7, [%r6+512];"
#define MINE " xor.b32 %r6, %r2, 128; add.s32 %r6, %r4, %r6;"

static void test_clusters(void **state)
{
    static const struct planted list[] = {
        {START(256) MULTICAST(3) WAIT("W", 0) READ, NULL, 2, 64, 2},
        {START(256) MULTICAST(3) READ WAIT("W", 0), "race-async-operation", 2, 64, 2},
        {START(256) MULTICAST(7) WAIT("W", 0) READ, "bulk-mask", 2, 64, 2},
        {START(256) MULTICAST(1) WAIT("W", 0) READ, "deadlock", 2, 64, 2, "256 bytes"},
        {START(256) FILL FENCE BS GIVE MINE WAIT("W", 0) TAKE SYNC, NULL, 2, 64, 2},
        {START(256) FILL BS GIVE MINE WAIT("W", 0) TAKE SYNC, "proxy-fence", 2, 64, 2},
        {START(256) FILL FENCE BS GIVE MINE TAKE WAIT("W", 0) SYNC, "race-async-operation", 2, 64,
         2},
        // the source: the peer's phase tells the peer, not the giver
        {START(256) FILL FENCE BS GIVE WAIT("W", 0) FILL SYNC, "race-async-operation", 2, 64, 2},
        {START(256) FILL FENCE BS GIVE WAIT("W", 0) SYNC FILL, NULL, 2, 64, 2},
        {START(256) FILL FENCE BS
         " @%p1 cp.async.bulk.shared::cluster.shared::cta.mbarrier::complete_tx::bytes [%r22+512],"
         " [%r4], 256, [%r5];" SYNC, "bulk-mbarrier", 2, 64, 2},
        {START(256) FILL " @%p1 bra Z; bra Y;\nZ: st.shared.u32 [%r4+512], 0;\nY:"
         " fence.proxy.async;" SYNC
         " @%p1 cp.reduce.async.bulk.shared::cluster.shared::cta.mbarrier::complete_tx::bytes.and"
         ".b32 [%r22], [%r4+512], 16, [%r24];" SYNC, "uninitialised-shared", 2, 64, 2},
    };
    PLANTED(list);
    static const struct planted values = {
        START(256) " add.u32 %r30, %r1, %r20; st.shared.u32 [%r3], %r30;" FENCE BS GIVE
        WAIT("W", 0) " ld.shared.u32 %r7, [%r3+512]; mul.lo.u32 %r8, %r20, 256;"
        " add.u32 %r8, %r8, %r2; cvt.u64.u32 %d10, %r8; add.s64 %d10, %d3, %d10;"
        " st.global.u32 [%d10], %r7;" SYNC, NULL, 2, 64, 2};
    uint32_t expected[128];
    for (uint32_t i = 0; i < 128; i++) expected[i] = i % 64 + (i < 64);
    run_values(&values, expected, sizeof expected);
}

// The same bytes are read by very many operations: what the cells keep does not grow with them.
static void test_many(void **state)
{
    static const struct planted list[] = {
        {FILL FENCE BS " @!%p1 bra END; mov.u32 %r8, 0;\nL:"
         " cp.async.bulk.global.shared::cta.bulk_group [%d3], [%r4], 256;"
         " cp.async.bulk.commit_group; cp.async.bulk.wait_group 0; add.u32 %r8, %r8, 1;"
         " setp.lt.u32 %p3, %r8, 5000; @%p3 bra L;\nEND:", NULL},
        // the last of them is not waited for
        {FILL FENCE BS " @!%p1 bra END; mov.u32 %r8, 0;\nL:"
         " cp.async.bulk.wait_group 0; cp.async.bulk.global.shared::cta.bulk_group [%d3], [%r4],"
         " 256; cp.async.bulk.commit_group; add.u32 %r8, %r8, 1; setp.lt.u32 %p3, %r8, 5000;"
         " @%p3 bra L; st.shared.u32 [%r4], 1; cp.async.bulk.wait_group 0;\nEND:",
         "race-async-operation"},
    };
    PLANTED(list);
}

static void test_starved(void **state)
{
    static const struct planted all = {
        START(256) " add.u32 %r30, %r1, %r20; st.shared.u32 [%r3], %r30;" FENCE BS GIVE MINE
        WAIT("W", 0) TAKE FENCE SYNC EXPECT(256) SYNC MULTICAST(3) WAIT("V", 1) BS
        " @%p1 cp.reduce.async.bulk.global.shared::cta.bulk_group.add.u32 [%d3], [%r4], 256;"
        COMMIT DRAIN SYNC, NULL, 2, 64, 2};
    planted_all(&all, 1);
    planted_starve(&all);
}

int main(int argc, char **argv)
{
    planted_start(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loads),  cmocka_unit_test(test_stores),
        cmocka_unit_test(test_values), cmocka_unit_test(test_reductions),
        cmocka_unit_test(test_clusters), cmocka_unit_test(test_many),
        cmocka_unit_test(test_starved),
    };
    return cmocka_run_group_tests_name("bulk", tests, NULL, NULL);
}
