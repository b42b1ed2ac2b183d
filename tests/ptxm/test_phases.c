// SPDX-License-Identifier: MIT
// Phases of mbarriers: waits that another phase answers, phases that somebody may miss, bytes that
// are expected too late. None of it hangs on the order in which the run happens to go.
#include "planted.h"

#define INIT(count) " @%p1 mbarrier.init.shared.b64 [%r5], " #count "; bar.sync 0;"
#define ARRIVE(at) " mbarrier.arrive.shared.b64 _, [%r5" at "];"
#define WAIT(label, at, parity)                                                                    \
    "\n" label ": mbarrier.try_wait.parity.shared.b64 %p2, [%r5" at "], " #parity                  \
    "; @!%p2 bra " label ";"
#define STRICT(rule) rule, 0, 0, 0, NULL, true
// %p3: warp 0; %p4: lane 0 of its warp
#define ROLES                                                                                      \
    " setp.lt.u32 %p3, %r1, 32; and.b32 %r11, %r1, 31; setp.eq.u32 %p4, %r11, 0;"
#define LOAD(to)                                                                                   \
    " cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [" to "], [%d1], 256,"     \
    " [%r5];"
#define EXPECT_AND_LOAD " mbarrier.arrive.expect_tx.shared.b64 _, [%r5], 256;" LOAD("%r4")
#define READ " ld.shared.u32 %r7, [%r3];"

// Warp 1 waits for phase 0 while thread 0 goes through three phases.
#define LAPS(count, before_lap)                                                                    \
    ROLES " @%p1 mbarrier.init.shared.b64 [%r5], " #count ";"                                      \
    " @%p1 mbarrier.init.shared.b64 [%r5+8], 32; bar.sync 0; @!%p3 bra LOOKER; @!%p1 bra END;"     \
    ARRIVE("") WAIT("A", "", 0) before_lap ARRIVE("") WAIT("B", "", 1) ARRIVE("") WAIT("C", "", 0) \
    " bra END;\nLOOKER:" WAIT("L", "", 0)

static void test_laps(void **state)
{
    static const struct planted list[] = {
        {LAPS(1, "") "\nEND:", "mbarrier-stale-phase|mbarrier-phase-unobserved"},
        // thread 0 begins the next lap when the others have looked
        {LAPS(1, WAIT("D", "+8", 0)) ARRIVE("+8") "\nEND:", NULL},
        // ... or they have to arrive for it: each for itself, or one behind a meeting of the warp
        {ROLES INIT(33) " @!%p3 bra LOOKER; @!%p1 bra END;" ARRIVE("") WAIT("A", "", 0) ARRIVE("")
         WAIT("B", "", 1) " bra END;\nLOOKER:" ARRIVE("") WAIT("L", "", 0) ARRIVE("")
         WAIT("M", "", 1) "\nEND:", NULL},
        // relaxed arrivals order nothing in memory, and are arrivals nevertheless
        {ROLES INIT(33) " @!%p3 bra LOOKER; @!%p1 bra END;"
         " mbarrier.arrive.relaxed.cta.shared.b64 _, [%r5];" WAIT("A", "", 0)
         " mbarrier.arrive.relaxed.cta.shared.b64 _, [%r5];" WAIT("B", "", 1)
         " bra END;\nLOOKER: mbarrier.arrive.relaxed.cta.shared.b64 _, [%r5];" WAIT("L", "", 0)
         " mbarrier.arrive.relaxed.cta.shared.b64 _, [%r5];" WAIT("M", "", 1) "\nEND:", NULL},
        // the phase is named by its state: the same
        {ROLES INIT(33) " @!%p3 bra LOOKER; @!%p1 bra END;" ARRIVE("") WAIT("A", "", 0)
         " mbarrier.arrive.shared.b64 _, [%r5], 33;" WAIT("B", "", 1)
         " bra END;\nLOOKER: mbarrier.arrive.shared.b64 %d10, [%r5];\n"
         "L: mbarrier.try_wait.shared.b64 %p2, [%r5], %d10; @!%p2 bra L;\nEND:",
         "mbarrier-phase|mbarrier-phase-unobserved"},
    };
    PLANTED(list);
}

// Warp 1 waits for a phase with all lanes; one of them gives the next one free.
#define ELECTED(between)                                                                           \
    ROLES " @%p1 mbarrier.init.shared.b64 [%r5], 1; @%p1 mbarrier.init.shared.b64 [%r5+8], 1;"     \
    " bar.sync 0; @!%p3 bra TAKER; @!%p1 bra END;" ARRIVE("") WAIT("A", "+8", 0) ARRIVE("")        \
    " bra END;\nTAKER:" WAIT("L", "", 0) between                                                   \
    " @%p4 mbarrier.arrive.shared.b64 _, [%r5+8];\nEND:"

static void test_elected(void **state)
{
    static const struct planted list[] = {
        // lanes that look at once have looked, but not by the letter
        {ELECTED(""), NULL},
        {ELECTED(""), STRICT("mbarrier-phase-unobserved")},
        {ELECTED(" bar.warp.sync -1;"), STRICT(NULL)},
        // lanes that have met without an order of memory have met
        {ELECTED(" vote.sync.ballot.b32 %r12, %p2, -1;"), STRICT(NULL)},
        {ELECTED(" shfl.sync.idx.b32 %r12, %r1, 0, 31, -1;"), STRICT(NULL)},
        {ELECTED(" elect.sync %r12|%p5, -1;"), STRICT(NULL)},
        {ELECTED(" vote.sync.ballot.b32 %r12, %p2, -1; bar.sync 1, 32;"), STRICT(NULL)},
        // some lanes only
        {ELECTED(" setp.lt.u32 %p6, %r11, 16; @%p6 bra HALF; bra JOIN;\n"
                 "HALF: vote.sync.ballot.b32 %r12, %p2, 0xffff;\nJOIN:"),
         STRICT("mbarrier-phase-unobserved")},
        // the lanes look in two instructions
        {ROLES " @%p1 mbarrier.init.shared.b64 [%r5], 1; @%p1 mbarrier.init.shared.b64 [%r5+8], 1;"
         " bar.sync 0; @!%p3 bra TAKER; @!%p1 bra END;" ARRIVE("") WAIT("A", "+8", 0) ARRIVE("")
         " bra END;\nTAKER: @!%p4 bra OTHERS;" WAIT("L", "", 0) ARRIVE("+8") " bra END;\nOTHERS:"
         WAIT("M", "", 0) "\nEND:", "mbarrier-phase-unobserved|mbarrier-stale-phase"},
        // one lane waits for two phases, the warp meets, all wait for the third
        {ROLES " @%p1 mbarrier.init.shared.b64 [%r5], 1; bar.sync 0; @!%p3 bra END;"
         " @!%p4 bra MEET;" ARRIVE("") WAIT("A", "", 0) ARRIVE("") WAIT("B", "", 1)
         "\nMEET: vote.sync.ballot.b32 %r12, %p1, -1; @%p4 mbarrier.arrive.shared.b64 _, [%r5];"
         WAIT("C", "", 0) "\nEND:", NULL},
        {ROLES " @%p1 mbarrier.init.shared.b64 [%r5], 1; bar.sync 0; @!%p3 bra END;"
         " @!%p4 bra MEET;" ARRIVE("") WAIT("A", "", 0) ARRIVE("") WAIT("B", "", 1) ARRIVE("")
         "\nMEET:" WAIT("C", "", 0) "\nEND:", "mbarrier-stale-phase|mbarrier-phase-unobserved"},
    };
    PLANTED(list);
}

// The second copy's wait asks for the first one's parity.
#define TWO_COPIES(second)                                                                         \
    INIT(1) " @!%p1 bra A;" EXPECT_AND_LOAD WAIT("A", "", 0) READ                                  \
    " fence.proxy.async.shared::cta; bar.sync 0; @!%p1 bra M;" EXPECT_AND_LOAD                     \
    "\nM: bar.sync 0;" WAIT("B", "", second) READ

static void test_stale(void **state)
{
    static const struct planted list[] = {
        {TWO_COPIES(1), NULL},
        {TWO_COPIES(0), "mbarrier-stale-phase"},
        // ... with the copy and the wait in any order
        {INIT(1) " @!%p1 bra A;" EXPECT_AND_LOAD WAIT("A", "", 1) READ, "mbarrier-stale-phase"},
        {INIT(1) " @!%p1 bra A;" EXPECT_AND_LOAD WAIT("A", "", 0) READ, NULL},
        // a phase before the first one is what a producer may ask for
        {INIT(1) " @!%p1 bra A;" WAIT("P", "", 1) EXPECT_AND_LOAD WAIT("A", "", 0) READ, NULL},
        // asked twice and read in time
        {INIT(1) " @!%p1 bra A;" EXPECT_AND_LOAD WAIT("A", "", 0) WAIT("B", "", 0) READ, NULL},
    };
    PLANTED(list);
    planted_starve(&list[0]);
}

#define EXPECT " mbarrier.expect_tx.relaxed.cta.shared.b64 [%r5], 256;"

static void test_expected(void **state)
{
    static const struct planted list[] = {
        {INIT(1) " @!%p1 bra A;" EXPECT LOAD("%r4") ARRIVE("") WAIT("A", "", 0) READ, NULL},
        // the bytes are expected by a thread that nothing puts before the arrival
        {ROLES INIT(1) " @%p3 bra A; @!%p4 bra A;" EXPECT LOAD("%r4")
         "\nA: @%p1 mbarrier.arrive.shared.b64 _, [%r5];" WAIT("B", "", 0),
         "mbarrier-expect-late"},
        {ROLES INIT(1) " @%p3 bra A; @!%p4 bra A;" EXPECT LOAD("%r4")
         "\nA: bar.sync 0; @%p1 mbarrier.arrive.shared.b64 _, [%r5];" WAIT("B", "", 0) READ, NULL},
        // two arrivals: one of them behind the bytes is enough
        {ROLES INIT(2) " @%p3 bra A; @!%p4 bra A;" EXPECT LOAD("%r4") ARRIVE("")
         "\nA: @%p1 mbarrier.arrive.shared.b64 _, [%r5];" WAIT("B", "", 0) READ, NULL},
        {ROLES INIT(2) " @%p3 bra A; @!%p4 bra A;" ARRIVE("") EXPECT LOAD("%r4")
         "\nA: @%p1 mbarrier.arrive.shared.b64 _, [%r5];" WAIT("B", "", 0),
         "mbarrier-expect-late"},
    };
    PLANTED(list);
    planted_starve(&list[2]);
}

// Two stages between a producer (thread 128) and a warpgroup that multiplies; one thread of the
// warpgroup gives a stage back for all of them, as libraries do. Its own wait for the products is
// behind the issue of all four warps, so behind all their waits.
#define PIPELINE(before, behind)                                                                   \
    " .shared .align 128 .b8 t[8192]; .reg .f32 %acc<4>; mov.u32 %r20, t; mov.u32 %r10, 0;"        \
    " setp.eq.u32 %p5, %r1, 0; @%p1 mbarrier.init.shared.b64 [%r5], 1;"                            \
    " @%p1 mbarrier.init.shared.b64 [%r5+8], 1; @%p1 mbarrier.init.shared.b64 [%r5+16], 1;"        \
    " @%p1 mbarrier.init.shared.b64 [%r5+24], 1; bar.sync 0; setp.lt.u32 %p3, %r1, 128;"           \
    " mov.f32 %acc0, 0f00000000; mov.f32 %acc1, %acc0; mov.f32 %acc2, %acc0;"                      \
    " mov.f32 %acc3, %acc0; @%p3 bra CONSUME; setp.ne.u32 %p6, %r1, 128; @%p6 bra END;\n"          \
    "PRODUCE: and.b32 %r11, %r10, 1; shr.u32 %r12, %r10, 1; and.b32 %r12, %r12, 1;"                \
    " xor.b32 %r13, %r12, 1; shl.b32 %r14, %r11, 3; add.u32 %r14, %r14, %r5; shl.b32 %r15, %r11,"  \
    " 12; add.u32 %r15, %r15, %r20;\n"                                                             \
    "E: mbarrier.try_wait.parity.shared.b64 %p2, [%r14+16], %r13; @!%p2 bra E;"                    \
    " mbarrier.arrive.expect_tx.shared.b64 _, [%r14], 2304;"                                       \
    " cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%r15], [%d1], 2304,"      \
    " [%r14]; add.u32 %r10, %r10, 1; setp.lt.u32 %p4, %r10, 6; @%p4 bra PRODUCE; bra END;\n"       \
    "CONSUME: and.b32 %r11, %r10, 1; shr.u32 %r12, %r10, 1; and.b32 %r12, %r12, 1;"                \
    " shl.b32 %r14, %r11, 3; add.u32 %r14, %r14, %r5; shl.b32 %r15, %r11, 12; add.u32 %r15, %r15," \
    " %r20; shr.u32 %r16, %r15, 4; cvt.u64.u32 %d10, %r16; or.b64 %d10, %d10, 0x1000080000;"       \
    " add.s64 %d11, %d10, 128;\n"                                                                  \
    "F: mbarrier.try_wait.parity.shared.b64 %p2, [%r14], %r12; @!%p2 bra F;" before                \
    " wgmma.fence.sync.aligned; wgmma.mma_async.sync.aligned.m64n8k16.f32.f16.f16"                 \
    " {%acc0, %acc1, %acc2, %acc3}, %d10, %d11, 1, 1, 1, 0, 0; wgmma.commit_group.sync.aligned;"   \
    " wgmma.wait_group.sync.aligned 0;" behind                                                     \
    " add.u32 %r10, %r10, 1; setp.lt.u32 %p4, %r10, 6; @%p4 bra CONSUME;\nEND:"
#define GIVE_BACK " @%p5 mbarrier.arrive.shared.b64 _, [%r14+16];"

static void test_pipeline(void **state)
{
    static const struct planted list[] = {
        {PIPELINE("", GIVE_BACK), NULL, 1, 160},
        {PIPELINE(GIVE_BACK, ""), "mbarrier-phase-unobserved", 1, 160},
        // by another warp than the first
        {PIPELINE(" setp.eq.u32 %p5, %r1, 101;", GIVE_BACK), NULL, 1, 160},
    };
    PLANTED(list);
}

// A thread that announces bytes and asks for them, and another that brings them and arrives
// nowhere: its waits lie before the first one's arrivals by way of the copies only. So it is where
// the arrivals of the copying threads are those of their cp.async.
static void test_announced(void **state)
{
    static const struct planted list[] = {
        {" @%p1 mbarrier.init.shared.b64 [%r5], 1; @%p1 mbarrier.init.shared.b64 [%r5+8], 1;"
         " bar.sync 0; mov.u32 %r10, 0; setp.eq.u32 %p3, %r1, 32; @%p3 bra BRING; @!%p1 bra END;\n"
         "ASK: and.b32 %r11, %r10, 1; mbarrier.arrive.expect_tx.shared.b64 _, [%r5], 256;"
         " mbarrier.arrive.shared.b64 _, [%r5+8];\n"
         "F: mbarrier.try_wait.parity.shared.b64 %p2, [%r5], %r11; @!%p2 bra F;"
         " add.u32 %r10, %r10, 1; setp.lt.u32 %p4, %r10, 5; @%p4 bra ASK; bra END;\n"
         "BRING: and.b32 %r11, %r10, 1;\n"
         "E: mbarrier.try_wait.parity.shared.b64 %p2, [%r5+8], %r11; @!%p2 bra E;" LOAD("%r4")
         " add.u32 %r10, %r10, 1; setp.lt.u32 %p4, %r10, 5; @%p4 bra BRING;\nEND:", NULL},
        {" @%p1 mbarrier.init.shared.b64 [%r5], 32; @%p1 mbarrier.init.shared.b64 [%r5+8], 1;"
         " bar.sync 0; mov.u32 %r10, 0; setp.ge.u32 %p3, %r1, 32; @%p3 bra BRING;\n"
         "TAKE: and.b32 %r11, %r10, 1;\n"
         "F: mbarrier.try_wait.parity.shared.b64 %p2, [%r5], %r11; @!%p2 bra F;"
         " ld.shared.u32 %r7, [%r3]; bar.warp.sync -1; @%p1 mbarrier.arrive.shared.b64 _, [%r5+8];"
         " add.u32 %r10, %r10, 1; setp.lt.u32 %p4, %r10, 5; @%p4 bra TAKE; bra END;\n"
         "BRING: and.b32 %r11, %r10, 1; xor.b32 %r11, %r11, 1; add.u32 %r12, %r3, -128;\n"
         "E: mbarrier.try_wait.parity.shared.b64 %p2, [%r5+8], %r11; @!%p2 bra E;"
         " cp.async.ca.shared.global [%r12], [%d2], 4;"
         " cp.async.mbarrier.arrive.noinc.shared.b64 [%r5];"
         " add.u32 %r10, %r10, 1; setp.lt.u32 %p4, %r10, 5; @%p4 bra BRING;\nEND:", NULL},
    };
    PLANTED(list);
}

// The same in a cluster of two: each producer (thread 32) brings one half of a stage to both CTAs,
// each consumer warp gives the stage back to both producers.
#define MULTICAST(give_back) MULTICAST_OF(" ld.shared.u32 %r17, [%r15+256];", give_back)
#define MULTICAST_OF(take, give_back) MULTICAST_BEHIND(".acquire.cluster", take, give_back)
#define MULTICAST_BEHIND(acquire, take, give_back)                                                 \
    " .shared .align 128 .b8 t[1024]; .reg .b16 %mask; mov.u16 %mask, 3; mov.u32 %r20, t;"         \
    " mov.u32 %r10, 0; mov.u32 %r21, %cluster_ctarank; and.b32 %r22, %r1, 31;"                     \
    " @%p1 mbarrier.init.shared.b64 [%r5], 1; @%p1 mbarrier.init.shared.b64 [%r5+8], 1;"           \
    " @%p1 mbarrier.init.shared.b64 [%r5+16], 2; @%p1 mbarrier.init.shared.b64 [%r5+24], 2;"       \
    " fence.mbarrier_init.release.cluster; barrier.cluster.arrive; barrier.cluster.wait;"          \
    " setp.lt.u32 %p3, %r1, 32; @%p3 bra CONSUME; setp.ne.u32 %p6, %r1, 32; @%p6 bra END;\n"       \
    "PRODUCE: and.b32 %r11, %r10, 1; shr.u32 %r12, %r10, 1; and.b32 %r12, %r12, 1;"                \
    " xor.b32 %r13, %r12, 1; shl.b32 %r14, %r11, 3; add.u32 %r14, %r14, %r5; shl.b32 %r15, %r11,"  \
    " 9; add.u32 %r15, %r15, %r20; shl.b32 %r16, %r21, 8; add.u32 %r15, %r15, %r16;\n"             \
    "E: mbarrier.try_wait.parity" acquire ".shared.b64 %p2, [%r14+16], %r13; @!%p2 bra E;"         \
    " mbarrier.arrive.expect_tx.shared.b64 _, [%r14], 512;"                                        \
    " cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster"        \
    " [%r15], [%d1], 256, [%r14], %mask; add.u32 %r10, %r10, 1; setp.lt.u32 %p4, %r10, 6;"         \
    " @%p4 bra PRODUCE; bra END;\n"                                                                \
    "CONSUME: and.b32 %r11, %r10, 1; shr.u32 %r12, %r10, 1; and.b32 %r12, %r12, 1;"                \
    " shl.b32 %r14, %r11, 3; add.u32 %r14, %r14, %r5; shl.b32 %r15, %r11, 9;"                      \
    " add.u32 %r15, %r15, %r20; add.u32 %r15, %r15, %r2;\n"                                        \
    "F: mbarrier.try_wait.parity.shared.b64 %p2, [%r14], %r12; @!%p2 bra F;"                       \
    take give_back                                                                                 \
    " add.u32 %r10, %r10, 1; setp.lt.u32 %p4, %r10, 6; @%p4 bra CONSUME;\n"                        \
    "END: barrier.cluster.arrive; barrier.cluster.wait;"
#define TO_BOTH                                                                                    \
    " setp.lt.u32 %p7, %r22, 2; add.u32 %r18, %r14, 16;"                                           \
    " @%p7 mapa.shared::cluster.u32 %r19, %r18, %r22;"                                             \
    " @%p7 mbarrier.arrive.release.cluster.shared::cluster.b64 _, [%r19];"

static void test_multicast(void **state)
{
    static const struct planted list[] = {
        {MULTICAST(" fence.proxy.async.shared::cta; bar.warp.sync -1;" TO_BOTH), NULL, 2, 64, 2},
        {MULTICAST(TO_BOTH), "race|race-async-operation", 2, 64, 2},
        // the producer's wait does not learn of the readers of the other CTA
        {MULTICAST_BEHIND("", " ld.shared.u32 %r17, [%r15+256];",
                          " fence.proxy.async.shared::cta; bar.warp.sync -1;" TO_BOTH),
         "cluster-scope", 2, 64, 2},
        // no thread reads, but the copies write again: that they are over is heard in any scope
        {MULTICAST_BEHIND("", "", " bar.warp.sync -1;" TO_BOTH), NULL, 2, 64, 2},
        {MULTICAST_BEHIND("", "", " bar.warp.sync -1;" TO_BOTH), "cluster-scope", 2, 64, 2, NULL,
         true},
        // nothing is read, so that nothing but the phase is at stake
        {MULTICAST_OF("", " bar.warp.sync -1;" TO_BOTH), NULL, 2, 64, 2, NULL, true},
        {MULTICAST_OF("", TO_BOTH), NULL, 2, 64, 2},
        {MULTICAST_OF("", TO_BOTH), "mbarrier-phase-unobserved", 2, 64, 2, NULL, true},
        {MULTICAST_OF("", " vote.sync.any.pred %p8, %p2, -1;" TO_BOTH), NULL, 2, 64, 2, NULL, true},
        // to the own producer only, twice
        {MULTICAST(" bar.warp.sync -1; setp.lt.u32 %p7, %r22, 2;"
                   " @%p7 mbarrier.arrive.release.cluster.shared.b64 _, [%r14+16];"),
         "race|race-async-operation|deadlock", 2, 64, 2},
    };
    PLANTED(list);
}

int main(int argc, char **argv)
{
    planted_start(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_laps),
        cmocka_unit_test(test_elected),
        cmocka_unit_test(test_stale),
        cmocka_unit_test(test_expected),
        cmocka_unit_test(test_pipeline),
        cmocka_unit_test(test_announced),
        cmocka_unit_test(test_multicast),
    };
    return cmocka_run_group_tests_name("phases", tests, NULL, NULL);
}
