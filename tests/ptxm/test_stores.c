// SPDX-License-Identifier: MIT
// st.async and red.async: what they do, and that they are of the generic proxy though they are
// asynchronous; fences that are restricted to shared memory, and those that come in two halves.
#include "planted.h"

#include <stdio.h>
#include <string.h>

// %r20 rank, %r21 the peer's, %r22 its word for this thread, %r24 its mbarrier, %r25 its s.
#define PEER                                                                                       \
    " mov.u32 %r20, %cluster_ctarank; xor.b32 %r21, %r20, 1;"                                      \
    " mapa.shared::cluster.u32 %r22, %r3, %r21; mapa.shared::cluster.u32 %r24, %r5, %r21;"         \
    " mapa.shared::cluster.u32 %r25, %r4, %r21;"
#define SYNC " barrier.cluster.arrive.aligned; barrier.cluster.wait.aligned;"
#define EXPECT(bytes)                                                                              \
    " @%p1 mbarrier.init.shared.b64 [%r5], 1;"                                                     \
    " @%p1 mbarrier.arrive.expect_tx.shared.b64 _, [%r5], " #bytes ";"                             \
    " fence.mbarrier_init.release.cluster;" SYNC
#define WAIT "\nW: mbarrier.try_wait.parity.shared.b64 %p2, [%r5], 0; @!%p2 bra W;"
#define STORE " st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.u32 [%r22], %r1, [%r24];"
#define REDUCE(what, to, value)                                                                    \
    " red.async.relaxed.cluster.shared::cluster.mbarrier::complete_tx::bytes." what                \
    " [" to "], " value ", [%r24];"
#define BULK                                                                                       \
    " mov.u32 %r26, %ctaid.x; mul.wide.u32 %d22, %r26, 1024; add.s64 %d23, %d3, %d22;"             \
    " @%p1 cp.async.bulk.global.shared::cta.bulk_group [%d23], [%r4], 256;"                        \
    " @%p1 cp.async.bulk.commit_group; @%p1 cp.async.bulk.wait_group 0;"
#define FENCE " fence.proxy.async.shared::cta;"

static void test_proxy(void **state)
{
    static const struct planted list[] = {
        // a bulk copy reads what asynchronous stores have written
        {PEER EXPECT(256) STORE WAIT FENCE BULK SYNC, NULL, 2, 64, 2},
        {PEER EXPECT(256) STORE WAIT BULK SYNC, "proxy-fence", 2, 64, 2},
        {PEER EXPECT(256) STORE FENCE WAIT BULK SYNC, "proxy-fence", 2, 64, 2},
        {PEER EXPECT(256) STORE WAIT " fence.proxy.async.global;" BULK SYNC, "proxy-fence", 2, 64,
         2},
        // another thread sees them complete and fences, and meets the issuer
        {PEER EXPECT(256) STORE " setp.lt.u32 %p6, %r1, 32; @%p6 bra MEET;" WAIT FENCE
         "\nMEET: bar.sync 0;" BULK SYNC, NULL, 2, 64, 2},
        {PEER EXPECT(256) STORE " setp.lt.u32 %p6, %r1, 32; @%p6 bra MEET;" WAIT
         "\nMEET: bar.sync 0;" BULK SYNC, "proxy-fence", 2, 64, 2},
        {PEER " st.shared.u32 [%r3], 0;" EXPECT(256) REDUCE("add.u32", "%r22", "%r1") WAIT BULK
         SYNC, "proxy-fence", 2, 64, 2},
        {PEER " st.shared.u32 [%r3], 0;" EXPECT(256) REDUCE("add.u32", "%r22", "%r1") WAIT FENCE
         BULK SYNC, NULL, 2, 64, 2},
        // ordinary reads behind the wait need no fence; asynchronous stores over ordinary ones none
        {PEER " st.shared.u32 [%r3], 0;" EXPECT(256) STORE WAIT " ld.shared.u32 %r7, [%r3];" SYNC,
         NULL, 2, 64, 2},
    };
    PLANTED(list);
}

static void test_red_async(void **state)
{
    static const struct planted list[] = {
        // all threads of both CTAs add to one word: reductions do not race with each other
        {PEER " @%p1 st.shared.u32 [%r4], 0;" EXPECT(256) REDUCE("add.u32", "%r25", "%r1") WAIT
         " ld.shared.u32 %r7, [%r4]; setp.ne.u32 %p5, %r7, 2016; @%p5 trap;" SYNC, NULL, 2, 64, 2},
        {PEER " @%p1 st.shared.u32 [%r4], 0;" EXPECT(256) REDUCE("add.u32", "%r25", "%r1")
         " ld.shared.u32 %r7, [%r4];" WAIT SYNC, "race-async-operation", 2, 64, 2},
        {PEER EXPECT(256) " @%p1 st.shared.u32 [%r4], 0;" REDUCE("add.u32", "%r25", "%r1") WAIT
         SYNC, "race|uninitialised-shared", 2, 64, 2},
        {PEER " @%p1 st.shared.u32 [%r4], 0;" EXPECT(256) REDUCE("add.u32", "%r25+2", "%r1") WAIT
         SYNC, "misaligned", 2, 64, 2},
        {PEER " @%p1 st.shared.u32 [%r4], 0;" EXPECT(256) REDUCE("add.u32", "%r25", "%r1"),
         "async-operation-at-exit", 2, 64, 2},
    };
    PLANTED(list);
    planted_starve(&list[0]);
}

// Each operation, by the peer's 64 threads on one word or two; the result goes to q.
static void test_values(void **state)
{
    static const struct { const char *what, *value, *before; uint32_t low, high; } list[] = {
        {"add.u32", "%r1", "1000", 3016, 0},
        {"add.s32", "%r10", "-5", (uint32_t)(-5 - 2016), 0},
        {"add.u64", "%d10", "4294967290", 2010, 1},
        {"min.u32", "%r1", "50", 0, 0},
        {"min.s32", "%r10", "5", (uint32_t)-63, 0},
        {"max.u32", "%r1", "7", 63, 0},
        {"max.s32", "%r10", "-7", 0, 0},
        {"inc.u32", "20", "0", 64 % 21, 0},
        {"dec.u32", "20", "0", 20 - 63 % 21, 0},
        {"and.b32", "%r11", "255", 0x80, 0},
        {"or.b32", "%r11", "0", 0xbf, 0},
        {"xor.b32", "%r11", "1", 1, 0},
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        bool wide = strstr(list[i].what, "64") != NULL;
        char body[4096];
        struct planted p = {body, NULL, 2, 64, 2};
        snprintf(body, sizeof body, "%s mov.u64 %%d11, %s; @%%p1 st.shared.u64 [%%r4], %%d11;%s%s%s"
                 " [%%r25], %s, [%%r24];%s", PEER " neg.s32 %r10, %r1; or.b32 %r11, %r1, 128;"
                 " cvt.u64.u32 %d10, %r1;", list[i].before, wide ? EXPECT(512) : EXPECT(256),
                 " red.async.relaxed.cluster.shared::cluster.mbarrier::complete_tx::bytes.",
                 list[i].what, list[i].value, WAIT " ld.shared.v2.u32 {%r12, %r13}, [%r4];"
                 " setp.eq.u32 %p6, %r20, 0; @%p6 st.global.v2.u32 [%d3], {%r12, %r13};" SYNC);
        planted_all(&p, 1);
        for (unsigned variant = 0; variant < PLANTED_VARIANTS; variant++) {
            struct bench b;
            uint32_t q[2];
            planted_run(&b, &p, variant, q, sizeof q);
            bench_clean(&b);
            assert_int_equal(q[0], list[i].low);
            if (wide)
                assert_int_equal(q[1], list[i].high);
            bench_free(&b);
        }
    }
}

#define FILL " st.shared.u32 [%r3], %r1;"
#define RELEASE_HALF " fence.proxy.async::generic.release.sync_restrict::shared::cta.cluster;"
#define ACQUIRE_HALF " fence.proxy.async::generic.acquire.sync_restrict::shared::cluster.cluster;"

static void test_halves(void **state)
{
    static const struct planted list[] = {
        {FILL RELEASE_HALF " bar.sync 0;" ACQUIRE_HALF BULK, NULL},
        {FILL RELEASE_HALF " bar.sync 0;" BULK, "proxy-fence"},
        {FILL " bar.sync 0;" ACQUIRE_HALF BULK, "proxy-fence"},
        {FILL " bar.sync 0;" RELEASE_HALF ACQUIRE_HALF BULK, NULL},
        {RELEASE_HALF FILL " bar.sync 0;" ACQUIRE_HALF BULK, "proxy-fence"},
        {FILL RELEASE_HALF ACQUIRE_HALF " bar.sync 0;" BULK, NULL},
        // from CTA to CTA: what the peer has stored here, by ordinary stores
        {PEER SYNC " st.shared::cluster.u32 [%r22], %r1;" RELEASE_HALF SYNC ACQUIRE_HALF BULK, NULL,
         2, 64, 2},
        {PEER SYNC " st.shared::cluster.u32 [%r22], %r1;" RELEASE_HALF SYNC BULK, "proxy-fence", 2,
         64, 2},
        // restricted fences around a flag of the cluster
        {PEER " @%p1 st.shared.u32 [%r4+512], 0;" SYNC " @!%p1 bra END;"
         " st.shared::cluster.u32 [%r25+256], 7;"
         " fence.release.sync_restrict::shared::cta.cluster;"
         " st.relaxed.cluster.shared::cluster.u32 [%r25+512], 1;\n"
         "L: ld.relaxed.cluster.shared::cta.u32 %r7, [%r4+512]; setp.eq.u32 %p4, %r7, 0;"
         " @%p4 bra L; fence.acquire.sync_restrict::shared::cluster.cluster;"
         " ld.shared.u32 %r8, [%r4+256];\nEND:" SYNC, NULL, 2, 32, 2},
        {PEER " @%p1 st.shared.u32 [%r4+512], 0;" SYNC " @!%p1 bra END;"
         " st.shared::cluster.u32 [%r25+256], 7;"
         " fence.release.sync_restrict::shared::cta.cluster;"
         " st.relaxed.cluster.shared::cluster.u32 [%r25+512], 1;\n"
         "L: ld.relaxed.cluster.shared::cta.u32 %r7, [%r4+512]; setp.eq.u32 %p4, %r7, 0;"
         " @%p4 bra L; ld.shared.u32 %r8, [%r4+256];\nEND:" SYNC, "race|race-in-warp", 2, 32, 2},
    };
    PLANTED(list);
}

static void note(void *user, const struct ptxm_diagnostic *d)
{
    (void)d;
    ++*(int *)user;
}

// What ptxas refuses, too.
static void test_refused(void **state)
{
    static const char *const bodies[] = {
        REDUCE("min.u64", "%r22", "%d1"),
        REDUCE("add.s64", "%r22", "%d1"),
        REDUCE("and.u32", "%r22", "%r1"),
        REDUCE("inc.s32", "%r22", "%r1"),
        " fence.proxy.async::generic.release.sync_restrict::shared::cluster.cluster;",
        " fence.proxy.async::generic.acquire.sync_restrict::shared::cta.cluster;",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        char text[8192];
        int count = 0;
        struct ptxm_load_options options = {.diagnostic = note, .diagnostic_user = &count};
        struct ptxm_module *m;
        snprintf(text, sizeof text, "%s%s%s", planted_before, bodies[i], planted_after);
        assert_int_equal(ptxm_module_load(text, strlen(text), &options, &m), PTXM_ERROR_PARSE);
        assert_int_equal(count, 1);
    }
}

int main(int argc, char **argv)
{
    planted_start(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_proxy),  cmocka_unit_test(test_red_async),
        cmocka_unit_test(test_values), cmocka_unit_test(test_halves),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests_name("stores", tests, NULL, NULL);
}
