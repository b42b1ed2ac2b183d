// SPDX-License-Identifier: MIT
// Clusters: ranks, addresses, the barrier, peers' memory, scopes, st.async, and their mistakes.
#include "planted.h"

#include <string.h>

#define SYNC " barrier.cluster.arrive.aligned; barrier.cluster.wait.aligned;"
// %r20 rank, %r21 the other's rank, %r22 own slot of s there, %r23 the neighbour thread's own slot
#define PEER                                                                                       \
    " mov.u32 %r20, %cluster_ctarank; xor.b32 %r21, %r20, 1;"                                      \
    " mapa.shared::cluster.u32 %r22, %r3, %r21; mapa.shared::cluster.u32 %r24, %r5, %r21;"
#define PUT " st.shared::cluster.u32 [%r22], %r1;"
#define GET " ld.shared.u32 %r7, [%r3];"
#define FILL " st.shared.u32 [%r3], %r1;"
#define INIT(count) " @%p1 mbarrier.init.shared.b64 [%r5], " #count ";"
#define WAIT(label, parity, words)                                                                 \
    "\n" label ": mbarrier.try_wait.parity" words ".shared.b64 %p2, [%r5], " #parity               \
    "; @!%p2 bra " label ";"

static void test_memory(void **state)
{
    static const struct planted list[] = {
        {PEER SYNC PUT SYNC GET, NULL, 4, 64, 2},
        {PEER PUT SYNC GET, "peer-not-started", 2, 64, 2},
        {PEER SYNC PUT, "peer-exited", 2, 64, 2},
        {PEER SYNC PUT SYNC, NULL, 2, 64, 2},
        // own and the peer's threads meet in one word without a barrier between
        {PEER SYNC FILL PUT SYNC, "race-same-value", 2, 64, 2},
        {PEER SYNC FILL SYNC PUT SYNC GET, NULL, 2, 64, 2},
        // a barrier of the CTA orders nothing in the cluster
        {PEER SYNC FILL " bar.sync 0;" PUT SYNC, "race-same-value", 2, 64, 2},
        {PEER SYNC PUT " barrier.cluster.arrive.relaxed.aligned; barrier.cluster.wait.aligned;"
         GET SYNC, "race", 2, 64, 2},
        // between arrive and wait
        {PEER SYNC " barrier.cluster.arrive.aligned;" PUT " barrier.cluster.wait.aligned;" GET SYNC,
         "race", 2, 64, 2},
        // generic addresses
        {PEER SYNC " cvt.u64.u32 %d11, %r3; cvta.shared.u64 %d10, %d11;"
         " mapa.u64 %d12, %d10, %r21; st.u32 [%d12], %r1;" SYNC GET, NULL, 2, 64, 2},
        {PEER SYNC " add.u32 %r25, %r22, 262144; st.shared::cluster.u32 [%r25], %r1;" SYNC,
         "shared-bounds", 2, 64, 2},
        {" mapa.shared::cluster.u32 %r22, %r3, 2;" SYNC, "shared-bounds", 2, 64, 2},
        // atomics of all on one word of rank 0
        {" mapa.shared::cluster.u32 %r22, %r4, 0; mov.u32 %r20, %cluster_ctarank;"
         " setp.eq.and.u32 %p3, %r20, 0, %p1; @%p3 st.shared.u32 [%r4], 0;" SYNC
         " red.relaxed.cluster.shared::cluster.add.u32 [%r22], 1;" SYNC, NULL, 4, 64, 2},
        {" mapa.shared::cluster.u32 %r22, %r4, 0; mov.u32 %r20, %cluster_ctarank;"
         " setp.eq.and.u32 %p3, %r20, 0, %p1; @%p3 st.shared.u32 [%r4], 0;" SYNC
         " st.shared::cluster.u32 [%r22], 1;" SYNC, "race-same-value", 4, 64, 2},
    };
    PLANTED(list);
}

static void test_barrier(void **state)
{
    static const struct planted list[] = {
        {" barrier.cluster.wait;", "cluster-barrier", 2, 64, 2},
        {" barrier.cluster.arrive; barrier.cluster.arrive; barrier.cluster.wait;",
         "cluster-barrier", 2, 64, 2},
        {" mov.u32 %r20, %cluster_ctarank; setp.eq.u32 %p3, %r20, 0; @%p3 bra END;"
         " barrier.cluster.arrive; barrier.cluster.wait;\nEND: bar.sync 0;", NULL, 2, 64, 2},
        {" @%p1 bra HANG; barrier.cluster.arrive; barrier.cluster.wait; bra END;\n"
         "HANG: bar.sync 1, 64;\nEND:", "deadlock", 2, 64, 2, "wait at the barrier of the cluster"},
        // without clusters each CTA is one of its own
        {FILL SYNC " xor.b32 %r6, %r2, 128; add.s32 %r6, %r4, %r6; ld.shared.u32 %r7, [%r6];",
         NULL, 2},
    };
    PLANTED(list);
}

// Data from rank r goes to the peer, whose mbarrier says that it is there.
#define HAND_OVER(arrive, wait)                                                                    \
    PEER INIT(64) " fence.mbarrier_init.release.cluster;" SYNC PUT                                 \
    " mbarrier.arrive" arrive ".shared::cluster.b64 _, [%r24];" WAIT("W", 0, wait)                 \
    " xor.b32 %r6, %r2, 128; add.s32 %r6, %r4, %r6; ld.shared.u32 %r7, [%r6];" SYNC

static void test_scopes(void **state)
{
    static const struct planted list[] = {
        {HAND_OVER(".release.cluster", ".acquire.cluster"), NULL, 2, 64, 2},
        {HAND_OVER("", ".acquire.cluster"), "cluster-scope", 2, 64, 2},
        {HAND_OVER(".release.cluster", ""), "cluster-scope", 2, 64, 2},
        {HAND_OVER("", ""), "cluster-scope", 2, 64, 2},
        {HAND_OVER(".relaxed.cluster", ".acquire.cluster"), "race", 2, 64, 2},
        // flags: release and acquire through a word of the peer
        {PEER " @%p1 st.shared.u32 [%r4+512], 0;" SYNC " @!%p1 bra END; mapa.shared::cluster.u32"
         " %r25, %r4, %r21; st.shared::cluster.u32 [%r25+256], 7;"
         " st.release.cluster.shared::cluster.u32 [%r25+512], 1;\n"
         "L: ld.acquire.cluster.shared::cta.u32 %r7, [%r4+512]; setp.eq.u32 %p4, %r7, 0;"
         " @%p4 bra L; ld.shared.u32 %r8, [%r4+256];\nEND:" SYNC, NULL, 2, 32, 2},
        {PEER " @%p1 st.shared.u32 [%r4+512], 0;" SYNC " @!%p1 bra END; mapa.shared::cluster.u32"
         " %r25, %r4, %r21; st.shared::cluster.u32 [%r25+256], 7;"
         " st.release.cluster.shared::cluster.u32 [%r25+512], 1;\n"
         "L: ld.acquire.cta.shared::cta.u32 %r7, [%r4+512]; setp.eq.u32 %p4, %r7, 0;"
         " @%p4 bra L; ld.shared.u32 %r8, [%r4+256];\nEND:" SYNC, "cluster-scope", 2, 32, 2},
        // an mbarrier is used by the peer before it is published
        {PEER INIT(64) " barrier.cluster.arrive.relaxed.aligned; barrier.cluster.wait.aligned;"
         " mbarrier.arrive.shared::cluster.b64 _, [%r24];" WAIT("W", 0, "") SYNC,
         "mbarrier-unpublished", 2, 64, 2},
        {PEER INIT(64) " fence.mbarrier_init.release.cluster; bar.sync 0;"
         " barrier.cluster.arrive.relaxed.aligned; barrier.cluster.wait.aligned;"
         " mbarrier.arrive.shared::cluster.b64 _, [%r24];" WAIT("W", 0, "") SYNC, NULL, 2, 64, 2},
        // the peer may be gone before the arrival comes
        {PEER INIT(64) " fence.mbarrier_init.release.cluster;" SYNC
         " mbarrier.arrive.shared::cluster.b64 _, [%r24];", "peer-exited", 2, 64, 2},
        {PEER INIT(64) " fence.mbarrier_init.release.cluster;" SYNC
         " mbarrier.arrive.shared::cluster.b64 _, [%r24];" WAIT("W", 0, ""), NULL, 2, 64, 2},
    };
    PLANTED(list);
}

#define STORE(tail)                                                                                \
    PEER INIT(1) " @%p1 mbarrier.arrive.expect_tx.shared.b64 _, [%r5], 256;"                       \
    " fence.mbarrier_init.release.cluster;" SYNC                                                   \
    " st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.u32 [%r22], %r1, [%r24];" tail

static void test_st_async(void **state)
{
    static const struct planted list[] = {
        {STORE(WAIT("W", 0, "") " xor.b32 %r6, %r2, 128; add.s32 %r6, %r4, %r6;"
               " ld.shared.u32 %r7, [%r6];" SYNC), NULL, 2, 64, 2},
        {STORE(" ld.shared.u32 %r7, [%r3];" WAIT("W", 0, "") SYNC), "race-async-operation", 2, 64,
         2},
        {STORE(SYNC " ld.shared.u32 %r7, [%r3];" WAIT("W", 0, "")), "race-async-operation", 2, 64,
         2},
        {STORE(WAIT("W", 0, "")), NULL, 2, 64, 2},
        {STORE(""), "async-operation-at-exit", 2, 64, 2},
        // the mbarrier of the wrong CTA
        {PEER INIT(1) " fence.mbarrier_init.release.cluster;" SYNC
         " st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.u32 [%r22], %r1, [%r5];" SYNC,
         "bulk-mbarrier", 2, 64, 2},
    };
    PLANTED(list);
}

static void test_values(void **state)
{
    // thread 0 of each CTA writes eight words: ids, dimensions, rank, what the peer has put
    static const struct planted p = {
        PEER SYNC " add.u32 %r30, %r20, 100; @%p1 st.shared::cluster.u32 [%r22], %r30;" SYNC
        " @!%p1 bra END; mov.u32 %r31, %ctaid.x; mul.wide.u32 %d10, %r31, 32; add.s64 %d11, %d3,"
        " %d10; mov.u32 %r32, %clusterid.x; st.global.u32 [%d11], %r32; mov.u32 %r32,"
        " %nclusterid.x; st.global.u32 [%d11+4], %r32; mov.u32 %r32, %cluster_ctaid.x;"
        " st.global.u32 [%d11+8], %r32; mov.u32 %r32, %cluster_nctaid.x;"
        " st.global.u32 [%d11+12], %r32; mov.u32 %r32, %cluster_nctarank;"
        " st.global.u32 [%d11+16], %r32; st.global.u32 [%d11+20], %r20; mov.pred %p6,"
        " %is_explicit_cluster; selp.u32 %r32, 1, 0, %p6; st.global.u32 [%d11+24], %r32;"
        " ld.shared.u32 %r32, [%r4]; st.global.u32 [%d11+28], %r32;"
        " getctarank.shared::cluster.u32 %r33, %r22; setp.ne.u32 %p7, %r33, %r21; @%p7 trap;\nEND:",
        NULL, 4, 64, 2};
    for (unsigned variant = 0; variant < PLANTED_VARIANTS; variant++) {
        struct bench b;
        uint32_t q[32];
        planted_run(&b, &p, variant, q, sizeof q);
        bench_clean(&b);
        for (uint32_t cta = 0; cta < 4; cta++) {
            const uint32_t expected[8] = {cta / 2, 2, cta % 2, 2, 2, cta % 2, 1, 101 - cta % 2};
            assert_memory_equal(q + cta * 8, expected, sizeof expected);
        }
        bench_free(&b);
    }
    planted_all(&p, 1);
}

static void run_words(const struct planted *p, const uint32_t *expected, size_t bytes)
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

#define OUT                                                                                        \
    " shl.b32 %r40, %r20, 4; cvt.u64.u32 %d20, %r40; add.s64 %d21, %d3, %d20;"                     \
    " ld.shared.v4.u32 {%r41, %r42, %r43, %r44}, [%r4];"                                           \
    " @%p1 st.global.v4.u32 [%d21], {%r41, %r42, %r43, %r44};"

// What the peer's instructions do to a phase and to memory, rank by rank.
static void test_remote(void **state)
{
    // st.async of four words and of one wide one; the peer announces the bytes
    static const struct planted vector = {
        PEER INIT(1) " fence.mbarrier_init.release.cluster;" SYNC
        " add.u32 %r30, %r20, 10; @%p1 mbarrier.expect_tx.relaxed.cluster.shared::cluster.b64"
        " [%r24], 16; @%p1 st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.v4.u32"
        " [%r22], {%r30, %r30, %r20, %r21}, [%r24];"
        " @%p1 mbarrier.arrive.release.cluster.shared::cluster.b64 _, [%r24];"
        WAIT("W", 0, ".acquire.cluster") OUT SYNC, NULL, 2, 64, 2};
    static const uint32_t vectors[] = {11, 11, 1, 0, 10, 10, 0, 1};
    run_words(&vector, vectors, sizeof vectors);
    // arrive.expect_tx on the peer, completed by hand; bytes were there before
    static const struct planted by_hand = {
        PEER INIT(1) " @%p1 st.shared.v4.u32 [%r4], {%r1, %r1, %r1, %r1};"
        " fence.mbarrier_init.release.cluster;" SYNC
        " @%p1 mbarrier.arrive.expect_tx.release.cluster.shared::cluster.b64 _, [%r24], 64;"
        " @%p1 mbarrier.complete_tx.relaxed.cluster.shared::cluster.b64 [%r24], 64;"
        WAIT("W", 0, "") OUT SYNC, NULL, 2, 64, 2};
    static const uint32_t zeros[8];
    run_words(&by_hand, zeros, sizeof zeros);
    // a reduction into the peer's memory, from behind a fence
    static const struct planted reduction = {
        PEER INIT(1) " @%p1 mbarrier.arrive.expect_tx.shared.b64 _, [%r5], 16;"
        " add.u32 %r30, %r20, 5; @%p1 st.shared.v4.u32 [%r4], {%r30, %r1, %r30, %r1};"
        " @%p1 st.shared.v4.u32 [%r4+512], {%r30, %r30, %r30, %r30}; fence.proxy.async;"
        " fence.mbarrier_init.release.cluster;" SYNC
        " @%p1 cp.reduce.async.bulk.shared::cluster.shared::cta.mbarrier::complete_tx::bytes"
        ".add.u32 [%r22], [%r4+512], 16, [%r24];" WAIT("W", 0, "") OUT SYNC, NULL, 2, 64, 2};
    static const uint32_t sums[] = {11, 6, 11, 6, 11, 5, 11, 5};
    run_words(&reduction, sums, sizeof sums);
}

static void test_launches(void **state)
{
    static const char text[] = ".version 8.6\n.target sm_90a\n.address_size 64\n"
        ".visible .entry fixed() .reqntid 32 .explicitcluster .reqnctapercluster 2, 2\n"
        "{ barrier.cluster.arrive; barrier.cluster.wait; ret; }\n"
        ".visible .entry open() .explicitcluster .maxclusterrank 4\n"
        "{ barrier.cluster.arrive; barrier.cluster.wait; ret; }\n";
    static const struct {
        const char *kernel;
        uint32_t grid[3], cluster[3];
        enum ptxm_status status;
    } cases[] = {
        {"fixed", {2, 2, 1}, {0}, PTXM_OK},
        {"fixed", {4, 2, 3}, {2, 2, 1}, PTXM_OK},
        {"fixed", {3, 2, 1}, {0}, PTXM_ERROR_ARGUMENT},
        {"fixed", {4, 4, 1}, {4, 1, 1}, PTXM_ERROR_ARGUMENT},
        {"open", {4, 1, 1}, {0}, PTXM_ERROR_ARGUMENT},
        {"open", {4, 1, 1}, {4, 1, 1}, PTXM_OK},
        {"open", {8, 1, 1}, {8, 1, 1}, PTXM_ERROR_ARGUMENT},
        {"open", {4, 4, 1}, {2, 2, 0}, PTXM_OK},
    };
    struct bench b;
    planted_assemble(text);
    bench_load(&b, text);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ptxm_launch launch = {.kernel = cases[i].kernel, .block = {32, 1, 1}};
        memcpy(launch.grid, cases[i].grid, sizeof launch.grid);
        memcpy(launch.cluster, cases[i].cluster, sizeof launch.cluster);
        ptxm_report_free(b.report);
        b.report = NULL;
        assert_int_equal(ptxm_launch(b.device, b.module, &launch, NULL, NULL, &b.report),
                         cases[i].status);
    }
    bench_free(&b);
}

int main(int argc, char **argv)
{
    planted_start(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory),   cmocka_unit_test(test_barrier),
        cmocka_unit_test(test_scopes),   cmocka_unit_test(test_st_async),
        cmocka_unit_test(test_values),   cmocka_unit_test(test_remote),
        cmocka_unit_test(test_launches),
    };
    return cmocka_run_group_tests_name("cluster", tests, NULL, NULL);
}
