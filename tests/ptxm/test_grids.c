// SPDX-License-Identifier: MIT
// Grids that may begin before the launch ahead of them has ended: what they touch before some
// griddepcontrol.wait tells them of its end.
#include "harness.h"

#include <stdio.h>
#include <string.h>

// Each kernel has two buffers. %r1 thread, %d1 and %d3 the buffers, %d2 = %d1 + 4 thread,
// %d4 = %d3 + 4 thread.
#define KERNEL(name, body)                                                                         \
    ".visible .entry " name "(.param .u64 p, .param .u64 q)\n{\n"                                  \
    " .reg .b32 %r<9>; .reg .b64 %d<9>; .reg .pred %p<5>; .shared .align 128 .b8 s[1024];\n"       \
    " .shared .align 8 .b8 bar[8];\n"                                                              \
    " ld.param.u64 %d1, [p]; ld.param.u64 %d3, [q]; mov.u32 %r1, %tid.x;\n"                        \
    " mul.wide.u32 %d5, %r1, 4; add.s64 %d2, %d1, %d5; add.s64 %d4, %d3, %d5;\n"                   \
    " setp.ne.u32 %p1, %r1, 0; mov.u32 %r5, s; mov.u32 %r6, bar;\n" body " ret;\n}\n"
#define WAIT " griddepcontrol.wait;"
#define READ " ld.global.u32 %r2, [%d2];\n"
#define MEET " bar.sync 0;"
#define BULK                                                                                       \
    " cp.async.bulk.shared::cta.global.mbarrier::complete_tx::bytes [%r5], [%d1], 256, [%r6];\n"
#define AWAIT(label, parity)                                                                       \
    label ": mbarrier.try_wait.parity.shared.b64 %p2, [%r6], " parity "; @!%p2 bra " label ";\n"

static const char text[] =
    ".version 8.6\n.target sm_90a\n.address_size 64\n"
    KERNEL("writer", " griddepcontrol.launch_dependents; st.global.u32 [%d2], %r1;\n")
    KERNEL("counter", " red.relaxed.gpu.global.add.u32 [%d1], 1;\n")
    KERNEL("patient", WAIT)
    KERNEL("idle", "")
    KERNEL("reads", READ)
    KERNEL("waits", WAIT READ)
    KERNEL("one_waits", " @%p1 bra M;" WAIT "M:" MEET READ)
    KERNEL("one_waits_alone", " @%p1 bra M;" WAIT "M:" READ MEET)
    KERNEL("waits_late", READ WAIT)
    KERNEL("reads_other", " ld.global.u32 %r2, [%d4];\n")
    KERNEL("overwrites", " st.global.u32 [%d2], 5;\n")
    KERNEL("overwrites_twice", " st.global.u32 [%d2], 5;" WAIT " st.global.u32 [%d2], 6;\n")
    // thread 0 waits and has the copy engine bring the data, which an mbarrier hands to the others
    KERNEL("by_copy", " @%p1 bra M; mbarrier.init.shared.b64 [%r6], 1;\n"
           "M:" MEET " @%p1 bra L;" WAIT
           " mbarrier.arrive.expect_tx.shared.b64 _, [%r6], 256;\n" BULK "L:" AWAIT("A", "0"))
    KERNEL("by_early_copy", " @%p1 bra M; mbarrier.init.shared.b64 [%r6], 1;\n"
           "M:" MEET " @%p1 bra L;\n"
           " mbarrier.arrive.expect_tx.shared.b64 _, [%r6], 256;\n" BULK WAIT "L:" AWAIT("A", "0"))
    // thread 0 waits and tells the others by an mbarrier of its CTA
    KERNEL("by_mbarrier", " @%p1 bra M; mbarrier.init.shared.b64 [%r6], 1;\n"
           "M:" MEET " @%p1 bra L;" WAIT " mbarrier.arrive.shared.b64 _, [%r6];\n"
           "L:" AWAIT("A", "0") READ);

struct step {
    const char *kernel;
    bool programmatic;
    uint64_t stream;
};

static void launch(struct bench *b, const struct step *step, uint64_t p, uint64_t q)
{
    const uint64_t params[2] = {p, q};
    struct ptxm_launch_options options = {.dependents = true};
    struct ptxm_launch l = {.kernel = step->kernel, .grid = {2, 1, 1}, .block = {64, 1, 1},
                            .params = params, .param_bytes = sizeof params,
                            .stream = step->stream, .programmatic = step->programmatic,
                            .options = &options};
    if (!strcmp(step->kernel, "writer") || !strncmp(step->kernel, "overwrites", 10))
        l.grid[0] = 1;
    ptxm_report_free(b->report);
    b->report = NULL;
    b->status = ptxm_launch(b->device, b->module, &l, NULL, NULL, &b->report);
}

// All but the last launch find nothing; the last one finds `rule` alone, or nothing.
static void check(const struct step *steps, const char *rule, const char *words)
{
    static const uint32_t zeros[256];
    struct bench b;
    bench_load(&b, text);
    uint64_t p = bench_buffer(&b, sizeof zeros, zeros), q = bench_buffer(&b, sizeof zeros, zeros);
    for (const struct step *s = steps; s->kernel; s++) {
        launch(&b, s, p, q);
        if (s[1].kernel || !rule) {
            bench_clean(&b);
        } else {
            const struct ptxm_finding *f = bench_only(&b, rule);
            assert_non_null(strstr(f->message, words));
        }
    }
    bench_free(&b);
}
#define CHECK(rule, words, ...) check((const struct step[]){__VA_ARGS__, {0}}, rule, words)
#define FINDS(words, ...) CHECK("grid-dependency", words, __VA_ARGS__)
#define CLEAN(...) CHECK(NULL, NULL, __VA_ARGS__)

static void test_reads_before_the_wait(void **state)
{
    FINDS("kernel 'writer', launched just before this one", {"writer"}, {"reads", true});
    FINDS("it writes these bytes (st.global.u32, line", {"writer"}, {"waits_late", true});
    CLEAN({"writer"}, {"waits", true});
    CLEAN({"writer"}, {"reads_other", true});
}

static void test_who_knows_of_the_wait(void **state)
{
    CLEAN({"writer"}, {"one_waits", true});
    FINDS("nothing tells this thread", {"writer"}, {"one_waits_alone", true});
    CLEAN({"writer"}, {"by_mbarrier", true});
    CLEAN({"writer"}, {"by_copy", true});
    FINDS("may still be at work", {"writer"}, {"by_early_copy", true});
}

static void test_writes_over_what_is_read_and_written(void **state)
{
    FINDS("it reads these bytes", {"reads"}, {"overwrites", true});
    FINDS("it writes these bytes", {"writer"}, {"overwrites", true});
    FINDS("it writes these bytes", {"writer"}, {"overwrites_twice", true});
    CLEAN({"reads"}, {"reads", true});
    CLEAN({"counter"}, {"counter", true}); // morally strong
}

static void test_launches_that_begin_after_the_end(void **state)
{
    CLEAN({"writer"}, {"reads"});
    CLEAN({"writer"}, {"reads", true, 1}); // streams are not held against each other
    CLEAN({"writer"}, {"idle"}, {"reads", true});
}

// Who has not waited may end while the one ahead still runs.
static void test_a_grid_between(void **state)
{
    FINDS("launched earlier, which the one between did not wait for", {"writer"}, {"idle", true},
          {"waits", true});
    CLEAN({"writer"}, {"patient", true}, {"waits", true});
    FINDS("launched earlier", {"writer"}, {"idle", true}, {"patient", true}, {"reads", true});
    CLEAN({"writer"}, {"idle", true}, {"reads"});
}

// Without the option nothing is kept; a module that is forgotten takes what it left along.
static void test_what_is_kept(void **state)
{
    static const uint32_t zeros[256];
    struct ptxm_module *other;
    struct bench b;
    bench_load(&b, text);
    uint64_t p = bench_buffer(&b, sizeof zeros, zeros);
    RUN(&b, "writer", 1, 64, 0, p, p);
    launch(&b, &(struct step){"reads", true}, p, p);
    bench_clean(&b);
    assert_int_equal(ptxm_module_load(text, strlen(text), NULL, &other), PTXM_OK);
    struct ptxm_module *mine = b.module;
    b.module = other;
    launch(&b, &(struct step){"writer"}, p, p);
    bench_clean(&b);
    b.module = mine;
    launch(&b, &(struct step){"idle", true}, p, p);
    ptxm_device_forget(b.device, other);
    ptxm_module_free(other);
    launch(&b, &(struct step){"waits", true}, p, p);
    bench_clean(&b);
    bench_free(&b);
}

static void test_no_memory(void **state)
{
    static const uint32_t zeros[256];
    bool through = false;
    for (long left = 0; !through; left++) {
        struct failing failing = {1000000, 0};
        const struct ptxm_allocator allocator = failing_allocator(&failing);
        struct bench b = {0};
        assert_int_equal(ptxm_device_create(&(struct ptxm_device_options){.allocator = &allocator},
                                            &b.device), PTXM_OK);
        assert_int_equal(ptxm_module_load(text, strlen(text), NULL, &b.module), PTXM_OK);
        uint64_t p = bench_buffer(&b, sizeof zeros, zeros);
        launch(&b, &(struct step){"writer"}, p, p);
        bench_clean(&b);
        failing.left = left;
        launch(&b, &(struct step){"waits", true}, p, p);
        through = b.status == PTXM_OK;
        if (!through)
            assert_int_equal(b.status, PTXM_ERROR_MEMORY);
        bench_free(&b);
        assert_int_equal(failing.alive, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_before_the_wait),
        cmocka_unit_test(test_who_knows_of_the_wait),
        cmocka_unit_test(test_writes_over_what_is_read_and_written),
        cmocka_unit_test(test_launches_that_begin_after_the_end),
        cmocka_unit_test(test_a_grid_between),
        cmocka_unit_test(test_what_is_kept),
        cmocka_unit_test(test_no_memory),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
