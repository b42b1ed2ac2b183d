// SPDX-License-Identifier: MIT
// The rules of the two clocks where threads, CTAs and clusters meet: what the async proxy sees, and
// where a fence may stand. The cases within one CTA that bulk copies bring are in test_bulk.c.
#include "planted.h"

#include <stdio.h>

#define BS " bar.sync 0;"
#define FENCE " fence.proxy.async.shared::cta;"
#define FILL " st.shared.u32 [%r3], %r1;"
#define INIT(count) " @%p1 mbarrier.init.shared.b64 [%r5], " #count ";"                            \
    " @%p1 mbarrier.init.shared.b64 [%r5+8], " #count ";" BS
#define ARRIVE " mbarrier.arrive.shared.b64 _, [%r5];"
#define WAIT(label, parity)                                                                        \
    "\n" label ": mbarrier.try_wait.parity.shared.b64 %p2, [%r5], " #parity                        \
    "; @!%p2 bra " label ";"
#define STORE STORE_OF(256)
#define STORE_OF(bytes)                                                                            \
    " @%p1 cp.async.bulk.global.shared::cta.bulk_group [%d3], [%r4], " #bytes ";"                  \
    " @%p1 cp.async.bulk.commit_group; @%p1 cp.async.bulk.wait_group 0;"

// The fence travels with whatever carries the order.
static void test_paths(void **state)
{
    static const struct planted list[] = {
        // mbarrier
        {INIT(64) FILL FENCE ARRIVE WAIT("W", 0) STORE, NULL},
        {INIT(64) FILL ARRIVE WAIT("W", 0) STORE, "proxy-fence"},
        {INIT(64) FILL ARRIVE WAIT("W", 0) FENCE STORE, NULL},
        {INIT(64) FILL ARRIVE FENCE WAIT("W", 0) STORE, "proxy-fence"},
        // a warp
        {FILL FENCE " bar.warp.sync -1;" STORE_OF(128), NULL, 1, 32},
        {FILL " bar.warp.sync -1;" STORE_OF(128), "proxy-fence", 1, 32},
        {FILL " bar.warp.sync -1;" FENCE STORE_OF(128), NULL, 1, 32},
        {FILL FENCE STORE_OF(128), "race", 1, 32},
        // two barriers between: the fence of the first writer is known to all after the first
        {FILL FENCE BS BS STORE, NULL},
        {FILL BS FENCE BS STORE, NULL},
        {FILL FENCE BS " @%p1 st.shared.u32 [%r4], 7;" BS STORE, "proxy-fence"},
        // a third thread hears of the data, fences, and passes it on
        {INIT(1) FILL BS " setp.eq.u32 %p3, %r1, 32; @!%p3 bra L;" FENCE ARRIVE "\nL:" WAIT("W", 0)
         STORE, NULL},
        {INIT(1) FILL BS " setp.eq.u32 %p3, %r1, 32; @!%p3 bra L;" ARRIVE FENCE "\nL:" WAIT("W", 0)
         STORE, "proxy-fence"},
        // flags in shared memory
        {" @%p1 st.shared.u32 [%r4+512], 0;" BS " setp.eq.u32 %p3, %r1, 32; @%p3 bra WRITE;"
         " @!%p1 bra END;\nL: ld.acquire.cta.shared.u32 %r7, [%r4+512]; setp.eq.u32 %p4, %r7, 0;"
         " @%p4 bra L;" STORE_OF(16) " bra END;\n"
         "WRITE: st.shared.v4.u32 [%r4], {%r1, %r1, %r1, %r1};"
         FENCE " st.release.cta.shared.u32 [%r4+512], 1;\nEND:", NULL},
        {" @%p1 st.shared.u32 [%r4+512], 0;" BS " setp.eq.u32 %p3, %r1, 32; @%p3 bra WRITE;"
         " @!%p1 bra END;\nL: ld.acquire.cta.shared.u32 %r7, [%r4+512]; setp.eq.u32 %p4, %r7, 0;"
         " @%p4 bra L;" STORE_OF(16) " bra END;\n"
         "WRITE: st.shared.v4.u32 [%r4], {%r1, %r1, %r1, %r1};"
         " st.release.cta.shared.u32 [%r4+512], 1;\nEND:", "proxy-fence"},
        // what cp.async has brought: only the letter of the ISA asks for a fence
        {" cp.async.ca.shared.global [%r3], [%d2], 4; cp.async.wait_all;" BS STORE, NULL},
        {" cp.async.ca.shared.global [%r3], [%d2], 4; cp.async.wait_all;" FENCE BS STORE, NULL},
        {" cp.async.ca.shared.global [%r3], [%d2], 4;" BS STORE " cp.async.wait_all;",
         "race-async-copy"},
        // fences of other kinds do not help
        {FILL " fence.acq_rel.gpu;" BS STORE, "proxy-fence"},
        {FILL " fence.proxy.alias;" BS STORE, "proxy-fence"},
    };
    PLANTED(list);
}

static void test_strict(void **state)
{
    static const struct planted p = {
        " cp.async.ca.shared.global [%r3], [%d2], 4; cp.async.wait_all;" BS STORE};
    struct bench b;
    char text[8192];
    snprintf(text, sizeof text, "%s%s%s", planted_before, p.body, planted_after);
    bench_load(&b, text);
    b.options.strict = true;
    uint64_t from = bench_buffer(&b, 4096, text), to = bench_buffer(&b, 4096, text);
    RUN(&b, "k", 1, 64, 0, from, to);
    bench_only(&b, "proxy-fence-cp-async");
    bench_free(&b);
}

// CTA 0 writes p[0..], signals by q[0] with the given ends; CTA 1 loads p by a bulk copy.
#define SIGNAL(write, before, release, acquire, after)                                             \
    INIT(1) " mov.u32 %r20, %ctaid.x; setp.eq.u32 %p5, %r20, 0; @!%p1 bra END; @!%p5 bra READ;"    \
    write before release " bra END;\nREAD:" acquire                                                \
    " setp.eq.u32 %p6, %r21, 0; @%p6 bra READ;" after                                              \
    " mbarrier.arrive.expect_tx.shared.b64 _, [%r5], 256;"                                         \
    " cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%r4], [%d1], 256, [%r5];" \
    WAIT("W", 0) "\nEND:"
#define ST " st.global.u32 [%d1+16], 5;"
#define RELEASE " st.release.gpu.global.u32 [%d3], 1;"
#define ACQUIRE " ld.acquire.gpu.global.u32 %r21, [%d3];"
#define RELAXED " ld.relaxed.gpu.global.u32 %r21, [%d3];"
#define FENCE_GLOBAL " fence.proxy.async.global;"
// CTA 0 stores shared memory to p by a bulk copy; CTA 1 reads it.
#define BULK_OUT(wait)                                                                             \
    " mov.u32 %r20, %ctaid.x; setp.eq.u32 %p5, %r20, 0; @!%p1 bra END; @!%p5 bra READ;"            \
    " st.shared.v4.u32 [%r4], {%r1, %r1, %r1, %r1};" FENCE                                         \
    " cp.async.bulk.global.shared::cta.bulk_group [%d1], [%r4], 16; cp.async.bulk.commit_group;"   \
    wait RELEASE " cp.async.bulk.wait_group 0; bra END;\nREAD:" ACQUIRE                            \
    " setp.eq.u32 %p6, %r21, 0; @%p6 bra READ; ld.global.u32 %r22, [%d1];\nEND:"

static void test_ctas(void **state)
{
    static const struct planted list[] = {
        {SIGNAL(ST, FENCE_GLOBAL, RELEASE, ACQUIRE, ""), NULL, 2},
        {SIGNAL(ST, "", RELEASE, ACQUIRE, FENCE_GLOBAL), NULL, 2},
        {SIGNAL(ST, "", RELEASE, ACQUIRE, ""), "proxy-fence", 2},
        {SIGNAL(ST, " fence.proxy.async.shared::cta;", RELEASE, ACQUIRE, ""), "proxy-fence", 2},
        {SIGNAL(ST, "", RELEASE FENCE_GLOBAL, ACQUIRE, ""), "proxy-fence", 2},
        {SIGNAL(ST, FENCE_GLOBAL, RELEASE, RELAXED, ""), "race-between-ctas", 2},
        {SIGNAL("", "", RELEASE ST, ACQUIRE, FENCE_GLOBAL), "race-between-ctas", 2},
        {BULK_OUT(" cp.async.bulk.wait_group 0;"), NULL, 2},
        {BULK_OUT(" cp.async.bulk.wait_group.read 0;"), "race-between-ctas", 2},
        {BULK_OUT(""), "race-between-ctas", 2},
    };
    PLANTED(list);
}

// In a cluster the same two ends, by the barrier of the cluster.
#define CLUSTER(write, before, after)                                                              \
    INIT(1) " mov.u32 %r20, %cluster_ctarank; setp.eq.and.u32 %p5, %r20, 0, %p1;"                  \
    " setp.eq.and.u32 %p6, %r20, 1, %p1;" write before                                             \
    " barrier.cluster.arrive.aligned; barrier.cluster.wait.aligned; @!%p6 bra END;" after          \
    " mbarrier.arrive.expect_tx.shared.b64 _, [%r5], 256;"                                         \
    " cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%r4], [%d1], 256, [%r5];" \
    WAIT("W", 0) "\nEND:"

static void test_clusters(void **state)
{
    static const struct planted list[] = {
        {CLUSTER(" @%p5 st.global.u32 [%d1], 5;", FENCE_GLOBAL, ""), NULL, 2, 64, 2},
        {CLUSTER(" @%p5 st.global.u32 [%d1], 5;", "", FENCE_GLOBAL), NULL, 2, 64, 2},
        {CLUSTER(" @%p5 st.global.u32 [%d1], 5;", "", ""), "proxy-fence", 2, 64, 2},
        {CLUSTER("", "", "") " @%p5 st.global.u32 [%d1], 5;", "race-between-ctas", 2, 64, 2},
    };
    PLANTED(list);
}

int main(int argc, char **argv)
{
    planted_start(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_strict),
        cmocka_unit_test(test_ctas),
        cmocka_unit_test(test_clusters),
    };
    return cmocka_run_group_tests_name("proxy", tests, NULL, NULL);
}
