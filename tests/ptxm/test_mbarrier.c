// SPDX-License-Identifier: MIT
// mbarriers: values and states, what arrivals release, and the mistakes in their protocol.
#include "planted.h"

#include <string.h>

#define INIT(count) " @%p1 mbarrier.init.shared.b64 [%r5], " #count "; bar.sync 0;"
#define ARRIVE " mbarrier.arrive.shared.b64 %d10, [%r5];"
#define WAIT_STATE(label)                                                                          \
    "\n" label ": mbarrier.try_wait.shared.b64 %p2, [%r5], %d10; @!%p2 bra " label ";"
#define WAIT(label, parity)                                                                        \
    "\n" label ": mbarrier.try_wait.parity.shared.b64 %p2, [%r5], " #parity                        \
    "; @!%p2 bra " label ";"
#define FILL " st.shared.u32 [%r3], %r1;"
#define READ_NEIGHBOUR " xor.b32 %r6, %r2, 128; add.s32 %r6, %r4, %r6; ld.shared.u32 %r7, [%r6];"
#define FIRST_WARP " setp.lt.u32 %p3, %r1, 32; @%p3 bra ONE;"

static void test_order(void **state)
{
    static const struct planted list[] = {
        {INIT(64) FILL ARRIVE WAIT_STATE("W") READ_NEIGHBOUR, NULL},
        {INIT(64) FILL ARRIVE READ_NEIGHBOUR, "race"},
        {INIT(64) FILL " mbarrier.arrive.relaxed.cta.shared.b64 %d10, [%r5];" WAIT_STATE("W")
         READ_NEIGHBOUR, "race"},
        {INIT(64) FILL " fence.acq_rel.cta; mbarrier.arrive.relaxed.cta.shared.b64 %d10, [%r5];"
         WAIT_STATE("W") READ_NEIGHBOUR, NULL},
        {INIT(64) FILL ARRIVE
         "\nW: mbarrier.try_wait.relaxed.cta.shared.b64 %p2, [%r5], %d10; @!%p2 bra W;"
         READ_NEIGHBOUR, "race"},
        {INIT(64) FILL ARRIVE
         "\nW: mbarrier.try_wait.relaxed.cta.shared.b64 %p2, [%r5], %d10; @!%p2 bra W;"
         " fence.acq_rel.cta;" READ_NEIGHBOUR, NULL},
        // what is written after the arrival is not released by it
        {INIT(64) ARRIVE FILL WAIT_STATE("W") READ_NEIGHBOUR, "race"},
        // an elected lane releases its own accesses only, unless a warp sync came before
        {INIT(2) FILL " and.b32 %r8, %r1, 31; setp.eq.u32 %p4, %r8, 0;"
         " @%p4 mbarrier.arrive.shared.b64 _, [%r5];" WAIT("W", 0) READ_NEIGHBOUR, "race"},
        {INIT(2) FILL " bar.warp.sync -1; and.b32 %r8, %r1, 31; setp.eq.u32 %p4, %r8, 0;"
         " @%p4 mbarrier.arrive.shared.b64 _, [%r5];" WAIT("W", 0) READ_NEIGHBOUR, NULL},
        // test_wait in a loop, counts, two phases
        {INIT(128) FILL " mbarrier.arrive.shared.b64 %d10, [%r5], 2;"
         "\nW: mbarrier.test_wait.shared.b64 %p2, [%r5], %d10; @!%p2 bra W;" READ_NEIGHBOUR
         " mbarrier.arrive.shared.b64 %d10, [%r5], 2;" WAIT("V", 1) FILL, NULL},
        {INIT(128) FILL " mbarrier.arrive.shared.b64 %d10, [%r5], 2;" WAIT("W", 0) READ_NEIGHBOUR
         FILL, "race"},
    };
    PLANTED(list);
}

// A ring of one slot between a warp that writes and one that reads.
#define RING(publish, consume)                                                                     \
    " @%p1 mbarrier.init.shared.b64 [%r5], 32; @%p1 mbarrier.init.shared.b64 [%r5+8], 32;"         \
    " bar.sync 0; mov.u32 %r10, 0; and.b32 %r11, %r1, 31; shl.b32 %r12, %r11, 2;"                  \
    " xor.b32 %r14, %r12, 4; add.s32 %r13, %r4, %r12; add.s32 %r14, %r4, %r14;"                    \
    " setp.lt.u32 %p3, %r1, 32; @%p3 bra READS;\n"                                                 \
    "WRITES: and.b32 %r15, %r10, 1; xor.b32 %r16, %r15, 1;\n"                                      \
    "E: mbarrier.try_wait.parity.shared.b64 %p2, [%r5+8], %r16; @!%p2 bra E;"                      \
    " st.shared.u32 [%r13], %r10;" publish                                                        \
    " add.u32 %r10, %r10, 1; setp.lt.u32 %p4, %r10, 6; @%p4 bra WRITES; bra END;\n"                \
    "READS: and.b32 %r15, %r10, 1;\n"                                                              \
    "F: mbarrier.try_wait.parity.shared.b64 %p2, [%r5], %r15; @!%p2 bra F;"                        \
    consume " setp.ne.u32 %p5, %r17, %r10;"                                                        \
    " add.u32 %r10, %r10, 1; setp.lt.u32 %p4, %r10, 6; @%p4 bra READS;\nEND:"

#define FULL " mbarrier.arrive.shared.b64 _, [%r5];"
#define EMPTY " mbarrier.arrive.shared.b64 _, [%r5+8];"
#define TAKE " ld.shared.u32 %r17, [%r14];"

static void test_ring(void **state)
{
    static const struct planted list[] = {
        {RING(FULL, TAKE EMPTY), NULL},
        {RING(FULL, TAKE EMPTY " @%p5 trap;"), NULL},
        // the reader gives the slot back before it has read
        {RING(FULL, EMPTY TAKE), "race"},
        // relaxed ends
        {RING(" mbarrier.arrive.relaxed.cta.shared.b64 _, [%r5];", TAKE EMPTY), "race"},
        {RING(FULL, TAKE " mbarrier.arrive.relaxed.cta.shared.b64 _, [%r5+8];"), "race"},
    };
    PLANTED(list);
}

static void test_protocol(void **state)
{
    static const struct planted list[] = {
        {ARRIVE, "mbarrier-uninitialised"},
        {INIT(64) " bar.sync 0; @%p1 mbarrier.inval.shared.b64 [%r5]; bar.sync 0;" ARRIVE,
         "mbarrier-uninitialised"},
        {" @%p1 mbarrier.init.shared.b64 [%r5], 64;\nL: mbarrier.arrive.shared.b64 %d10, [%r5];",
         "mbarrier-unpublished", 1, 32},
        {INIT(64) " @%p1 mbarrier.init.shared.b64 [%r5], 64;", "mbarrier-reinit"},
        {INIT(64) " @%p1 mbarrier.inval.shared.b64 [%r5]; @%p1 mbarrier.init.shared.b64 [%r5], 64;",
         NULL},
        {INIT(0), "mbarrier-count"},
        {INIT(32) ARRIVE ARRIVE, NULL, 1, 32},
        {INIT(64) " mov.u32 %r7, 65; @%p1 mbarrier.arrive.shared.b64 %d10, [%r5], %r7;",
         "mbarrier-excess"},
        {INIT(1) " @%p1 mbarrier.arrive.noComplete.shared.b64 %d10, [%r5], 1;", "mbarrier-excess"},
        {INIT(2) " @%p1 mbarrier.arrive.noComplete.shared.b64 %d10, [%r5], 1;", NULL},
        {INIT(1) " @%p1 mbarrier.expect_tx.relaxed.cta.shared.b64 [%r5], 1048576;",
         "mbarrier-tx-count"},
        {INIT(1) " @%p1 mbarrier.expect_tx.relaxed.cta.shared.b64 [%r5], 16;"
         " @%p1 mbarrier.complete_tx.relaxed.cta.shared.b64 [%r5], 16;"
         " @%p1 mbarrier.arrive.shared.b64 _, [%r5];" WAIT("W", 0), NULL},
        {INIT(1) " @%p1 st.shared.u32 [%r5], 7;", "mbarrier-bytes"},
        {INIT(1) " @%p1 ld.shared.u32 %r7, [%r5+4];", "mbarrier-bytes"},
        {INIT(1) " bar.sync 0; @%p1 mbarrier.inval.shared.b64 [%r5]; @%p1 st.shared.u32 [%r5], 7;",
         NULL},
        {" add.u32 %r6, %r5, 4; @%p1 mbarrier.init.shared.b64 [%r6], 1;", "misaligned"},
        {INIT(64) ARRIVE " mov.u32 %r7, 2;"
         " mbarrier.test_wait.parity.shared.b64 %p2, [%r5], %r7;", "mbarrier-phase"},
        {INIT(64) ARRIVE " mov.u64 %d11, 5; mbarrier.test_wait.shared.b64 %p2, [%r5], %d11;",
         "mbarrier-phase"},
        // three phases that nobody looks at
        {INIT(1) " @%p1 mbarrier.arrive.shared.b64 _, [%r5]; @%p1 mbarrier.arrive.shared.b64 _,"
         " [%r5]; @%p1 mbarrier.arrive.shared.b64 _, [%r5];", "mbarrier-phase-unobserved"},
        {INIT(1) " @!%p1 bra END; mbarrier.arrive.shared.b64 %d10, [%r5];" WAIT_STATE("A")
         " mbarrier.arrive.shared.b64 %d10, [%r5];" WAIT_STATE("B")
         " mbarrier.arrive.shared.b64 %d10, [%r5];\nEND:", NULL},
        // a state that is two phases old
        {INIT(1) " @!%p1 bra END; mbarrier.arrive.shared.b64 %d10, [%r5];"
         " mbarrier.arrive.shared.b64 %d11, [%r5]; mbarrier.test_wait.shared.b64 %p2, [%r5], %d10;"
         "\nEND:", "mbarrier-phase"},
    };
    PLANTED(list);
}

static void test_deadlock(void **state)
{
    static const struct planted list[] = {
        {INIT(65) ARRIVE WAIT_STATE("W"), "deadlock", 1, 64, 0, "1 of 65 arrivals and 0 bytes"},
        {INIT(64) " @%p1 mbarrier.expect_tx.relaxed.cta.shared.b64 [%r5], 48;" ARRIVE
         WAIT_STATE("W"), "deadlock", 1, 64, 0, "0 of 64 arrivals and 48 bytes"},
        {INIT(65) ARRIVE "\nW: mbarrier.test_wait.shared.b64 %p2, [%r5], %d10; @!%p2 bra W;",
         "deadlock", 1, 64, 0, "mbarrier m+0, phase 0, which is in phase 0"},
        {INIT(64) ARRIVE WAIT("W", 1) , "deadlock", 1, 64, 0, "parity 1, which is in phase 1"},
        // the wait that gives up does something else
        {INIT(65) ARRIVE " mbarrier.try_wait.shared.b64 %p2, [%r5], %d10;"
         " @%p1 mbarrier.arrive.shared.b64 _, [%r5];" WAIT_STATE("W"), NULL},
    };
    PLANTED(list);
}

static void test_values(void **state)
{
    // state's pending count, completion, drops: written to q by thread 0
    static const struct planted p = {
        INIT(5) " @!%p1 bra END; mbarrier.arrive.shared.b64 %d10, [%r5], 2;"
        " mbarrier.pending_count.b64 %r7, %d10; st.global.u32 [%d3], %r7;"
        " mbarrier.arrive.shared.b64 %d11, [%r5]; mbarrier.pending_count.b64 %r7, %d11;"
        " st.global.u32 [%d3+4], %r7; mbarrier.test_wait.shared.b64 %p2, [%r5], %d11;"
        " selp.u32 %r7, 1, 0, %p2; st.global.u32 [%d3+8], %r7;"
        " mbarrier.arrive_drop.shared.b64 %d12, [%r5], 2;" // completes; 3 from now on
        " mbarrier.test_wait.shared.b64 %p2, [%r5], %d11; selp.u32 %r7, 1, 0, %p2;"
        " st.global.u32 [%d3+12], %r7; mbarrier.arrive.shared.b64 %d13, [%r5];"
        " mbarrier.pending_count.b64 %r7, %d13; st.global.u32 [%d3+16], %r7;"
        " mbarrier.test_wait.parity.shared.b64 %p2, [%r5], 0; selp.u32 %r7, 1, 0, %p2;"
        " st.global.u32 [%d3+20], %r7; mbarrier.test_wait.parity.shared.b64 %p2, [%r5], 1;"
        " selp.u32 %r7, 1, 0, %p2; st.global.u32 [%d3+24], %r7;\nEND:"};
    static const uint32_t expected[] = {5, 3, 0, 1, 3, 1, 0};
    for (unsigned variant = 0; variant < PLANTED_VARIANTS; variant++) {
        struct bench b;
        uint32_t q[7];
        planted_run(&b, &p, variant, q, sizeof q);
        bench_clean(&b);
        assert_memory_equal(q, expected, sizeof q);
        bench_free(&b);
    }
    planted_all(&p, 1);
}

#define COPY " cp.async.ca.shared.global [%r3], [%d2], 4;"

static void test_copies(void **state)
{
    static const struct planted list[] = {
        {INIT(64) COPY " cp.async.mbarrier.arrive.noinc.shared.b64 [%r5];" WAIT("W", 0)
         READ_NEIGHBOUR, NULL},
        {INIT(64) COPY " cp.async.mbarrier.arrive.shared.b64 [%r5];" ARRIVE WAIT_STATE("W")
         READ_NEIGHBOUR, NULL},
        // a copy issued after it is not meant
        {INIT(64) " cp.async.mbarrier.arrive.noinc.shared.b64 [%r5];" COPY WAIT("W", 0)
         READ_NEIGHBOUR " cp.async.wait_all;", "race-async-copy"},
        // it releases the copies, not what the thread wrote
        {INIT(64) COPY " st.shared.u32 [%r3+512], %r1;"
         " cp.async.mbarrier.arrive.noinc.shared.b64 [%r5];" WAIT("W", 0)
         " xor.b32 %r6, %r2, 128; add.s32 %r6, %r4, %r6; ld.shared.u32 %r7, [%r6+512];", "race"},
        // groups are counted as before
        {INIT(64) COPY " cp.async.mbarrier.arrive.noinc.shared.b64 [%r5]; cp.async.commit_group;"
         " cp.async.ca.shared.global [%r3+256], [%d2], 4; cp.async.commit_group;"
         " cp.async.wait_group 0; bar.sync 0;" READ_NEIGHBOUR " ld.shared.u32 %r7, [%r6+256];",
         NULL},
        {INIT(64) COPY " cp.async.mbarrier.arrive.noinc.shared.b64 [%r5]; cp.async.commit_group;"
         " cp.async.ca.shared.global [%r3+256], [%d2], 4; cp.async.commit_group;"
         " cp.async.wait_group 1; bar.sync 0;" READ_NEIGHBOUR " ld.shared.u32 %r7, [%r6+256];"
         " cp.async.wait_all;", "race-async-copy"},
        // the copying threads leave, others wait for the mbarrier, or nobody does
        {INIT(32) " setp.lt.u32 %p3, %r1, 32; @%p3 bra WAITS;" COPY
         " cp.async.mbarrier.arrive.noinc.shared.b64 [%r5]; ret;\nWAITS:" WAIT("W", 0)
         READ_NEIGHBOUR, NULL},
        {INIT(32) " setp.lt.u32 %p3, %r1, 32; @%p3 bra LEAVES;" COPY
         " cp.async.mbarrier.arrive.noinc.shared.b64 [%r5];\nLEAVES:", "async-copy-at-exit"},
        {INIT(32) " setp.lt.u32 %p3, %r1, 32; @%p3 bra WAITS;"
         " cp.async.mbarrier.arrive.noinc.shared.b64 [%r5];" COPY " ret;\nWAITS:" WAIT("W", 0),
         "async-copy-at-exit"},
    };
    PLANTED(list);
    planted_starve(&list[1]);
}

int main(int argc, char **argv)
{
    planted_start(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),    cmocka_unit_test(test_ring),
        cmocka_unit_test(test_protocol), cmocka_unit_test(test_deadlock),
        cmocka_unit_test(test_values),   cmocka_unit_test(test_copies),
    };
    return cmocka_run_group_tests_name("mbarrier", tests, NULL, NULL);
}
