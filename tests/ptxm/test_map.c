// SPDX-License-Identifier: MIT
// Tensor maps that a kernel makes or changes: every field of tensormap.replace, in shared and
// global memory; the fences of the tensormap proxy, within a CTA and from one CTA to another.
#include "planted.h"

#include <stdio.h>
#include <string.h>

// Warp 0 zeroes 128 bytes at s + 512; thread 0 makes a map of them: p as 64 rows of 64 words, boxes
// of 8 rows of 16. %r6: their address.
#define REPLACE(field, type, ...)                                                                  \
    " tensormap.replace.tile." field ".shared::cta.b1024." type " [%r6], " #__VA_ARGS__ ";"
#define FIELDS                                                                                     \
    " mov.u32 %r20, 16; mov.u32 %r21, 8; mov.u32 %r22, 64; mov.u32 %r23, 1; mov.u64 %d20, 256;"    \
    REPLACE("global_address", "b64", %d1) REPLACE("rank", "b32", 1)                                \
    REPLACE("box_dim", "b32", 0, %r20) REPLACE("box_dim", "b32", 1, %r21)                          \
    REPLACE("global_dim", "b32", 0, %r22) REPLACE("global_dim", "b32", 1, %r22)                    \
    REPLACE("global_stride", "b64", 0, %d20)                                                       \
    REPLACE("element_stride", "b32", 0, %r23) REPLACE("element_stride", "b32", 1, %r23)            \
    REPLACE("elemtype", "b32", 2) REPLACE("interleave_layout", "b32", 0)                           \
    REPLACE("swizzle_mode", "b32", 0) REPLACE("fill_mode", "b32", 0)
#define ZEROES                                                                                     \
    " setp.lt.u32 %p3, %r1, 32; add.u32 %r6, %r4, 512; add.u32 %r7, %r6, %r2;"                     \
    " @!%p3 bra MADE; st.shared.u32 [%r7], 0; bar.warp.sync -1;"
#define MAKE_WITH(fields) ZEROES " @!%p1 bra FIELDS;" fields "\nFIELDS: bar.warp.sync -1;"
#define MAKE MAKE_WITH(FIELDS)
#define PUBLISH                                                                                    \
    " tensormap.cp_fenceproxy.global.shared::cta.tensormap::generic.release.gpu.sync.aligned"      \
    " [%d3], [%r6], 128;"
// the same without a fence: lanes copy a word each
#define COPY " add.s64 %d6, %d3, %d4; ld.shared.u32 %r8, [%r7]; st.global.u32 [%d6], %r8;"
#define RELEASE " fence.proxy.tensormap::generic.release.gpu; bar.warp.sync -1;"
#define ACQUIRE " fence.proxy.tensormap::generic.acquire.gpu [%d3], 128;"
#define MADE "\nMADE: bar.sync 0;"
#define INIT " @%p1 mbarrier.init.shared.b64 [%r5], 1; bar.sync 0;"
#define LOAD_FROM(map)                                                                             \
    " @!%p1 bra LOADED; mbarrier.arrive.expect_tx.shared.b64 _, [%r5], 512;"                       \
    " cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes"            \
    " [%r4], [" map ", {%r30, %r31}], [%r5];\nLOADED:"
#define LOAD " mov.u32 %r30, 4; mov.u32 %r31, 2;" LOAD_FROM("%d3")
// Element i of the box is row 2 + i / 16, column 4 + i % 16 of the tensor.
#define CHECK                                                                                      \
    "\nW: mbarrier.try_wait.parity.shared.b64 %p2, [%r5], 0; @!%p2 bra W;"                         \
    " ld.shared.u32 %r10, [%r3]; shr.u32 %r11, %r1, 4; and.b32 %r12, %r1, 15; shl.b32 %r11, %r11," \
    " 6; add.u32 %r11, %r11, %r12; add.u32 %r11, %r11, 132; setp.ne.u32 %p5, %r10, %r11;"          \
    " @%p5 trap;"

static void test_in_one_cta(void **state)
{
    static const struct planted list[] = {
        {INIT MAKE PUBLISH MADE ACQUIRE LOAD CHECK, NULL},
        {INIT MAKE COPY RELEASE MADE ACQUIRE LOAD CHECK, NULL},
        {INIT MAKE COPY " fence.proxy.tensormap::generic.release.cta;" MADE
         " fence.proxy.tensormap::generic.acquire.cta [%d3], 128;" LOAD CHECK, NULL},
        {INIT MAKE COPY MADE ACQUIRE LOAD CHECK, "proxy-tensormap"},
        {INIT MAKE PUBLISH MADE LOAD CHECK, "proxy-tensormap"},
        {INIT MAKE PUBLISH MADE " @%p3" ACQUIRE LOAD CHECK, NULL},
        // another thread acquires, and the one that issues the copy is, or is not, behind that
        {INIT MAKE PUBLISH MADE " @!%p3" ACQUIRE " bar.sync 0;" LOAD CHECK, NULL},
        {INIT MAKE PUBLISH MADE " @!%p3" ACQUIRE LOAD CHECK, "proxy-tensormap"},
        // acquired ahead of the release
        {INIT MAKE ACQUIRE PUBLISH MADE LOAD CHECK, "proxy-tensormap"},
        // another map
        {INIT MAKE PUBLISH MADE " fence.proxy.tensormap::generic.acquire.gpu [%d3+128], 128;" LOAD
         CHECK, "proxy-tensormap"},
        // two maps of one thread
        {INIT MAKE PUBLISH " tensormap.cp_fenceproxy.global.shared::cta.tensormap::generic"
         ".release.gpu.sync.aligned [%d3+128], [%r6], 128;" MADE ACQUIRE
         " fence.proxy.tensormap::generic.acquire.gpu [%d3+128], 128;" LOAD CHECK, NULL},
        // changed again behind the release
        {INIT MAKE PUBLISH
         " @%p1 tensormap.replace.tile.global_address.global.b1024.b64 [%d3], %d1;"
         MADE ACQUIRE LOAD CHECK, "proxy-tensormap"},
        {INIT MAKE PUBLISH
         " @%p1 tensormap.replace.tile.global_address.global.b1024.b64 [%d3], %d1;"
         " @%p1 tensormap.replace.tile.rank.b1024.b32 [%d3], 1;"
         " fence.proxy.tensormap::generic.release.gpu;" MADE ACQUIRE LOAD CHECK, NULL},
        // the writers do not meet the issuer
        {INIT MAKE PUBLISH "\nMADE: setp.eq.u32 %p1, %r1, 32;" ACQUIRE LOAD, "race|tensor-map"},
        // lanes that write the map in shared memory are not waited for
        {INIT ZEROES " setp.eq.u32 %p6, %r1, 1; @%p6 tensormap.replace.tile.rank.shared::cta.b1024"
         ".b32 [%r6], 1;" PUBLISH MADE, "race-in-warp"},
    };
    static const struct planted unchecked = {INIT MAKE PUBLISH MADE ACQUIRE LOAD};
    PLANTED(list);
    planted_starve(&unchecked);
}

// CTA 0 makes the map and raises a flag; CTA 1 uses it.
#define TWO(make, flag, wait)                                                                      \
    INIT " mov.u32 %r13, %ctaid.x; setp.ne.u32 %p7, %r13, 0; @%p7 bra USER;" make                  \
    " @%p1 " flag " [%d3+2048], 1;\nMADE: bra END;\nUSER:" wait LOAD CHECK "\nEND:"
#define RAISE "st.release.gpu.global.u32"
#define POLL                                                                                       \
    " @!%p1 bra SEEN;\nP: ld.acquire.gpu.global.u32 %r14, [%d3+2048]; setp.eq.u32 %p8, %r14, 0;"   \
    " @%p8 bra P;\nSEEN:"

static void test_between_ctas(void **state)
{
    static const struct planted list[] = {
        {TWO(MAKE PUBLISH, RAISE, POLL ACQUIRE), NULL, 2},
        {TWO(MAKE COPY RELEASE, RAISE, POLL ACQUIRE), NULL, 2},
        {TWO(MAKE COPY " bar.warp.sync -1;", RAISE, POLL ACQUIRE), "proxy-tensormap", 2},
        {TWO(MAKE PUBLISH, RAISE, POLL), "proxy-tensormap", 2},
        {TWO(MAKE PUBLISH, RAISE, ACQUIRE POLL), "proxy-tensormap", 2},
        {TWO(MAKE PUBLISH, RAISE,
             POLL " fence.proxy.tensormap::generic.acquire.gpu [%d3+256], 128;"),
         "proxy-tensormap", 2},
        // released to the CTA only
        {TWO(MAKE COPY " fence.proxy.tensormap::generic.release.cta; bar.warp.sync -1;", RAISE,
             POLL ACQUIRE), "proxy-tensormap", 2},
        // the flag orders nothing
        {TWO(MAKE COPY RELEASE, "st.relaxed.gpu.global.u32",
             " @!%p1 bra SEEN;\nP: ld.relaxed.gpu.global.u32 %r14, [%d3+2048];"
             " setp.eq.u32 %p8, %r14, 0; @%p8 bra P;\nSEEN:"),
         "race-between-ctas|proxy-tensormap", 2},
        // a fence with the flag's scope, and a relaxed flag
        {TWO(MAKE PUBLISH " fence.acq_rel.gpu;", "st.relaxed.gpu.global.u32", POLL ACQUIRE), NULL,
         2},
    };
    PLANTED(list);
}

// One launch makes the map (the word at q + 2048 is 0), the next one uses it.
#define LAUNCHES(acquire)                                                                          \
    INIT " ld.global.u32 %r14, [%d3+2048]; setp.ne.u32 %p7, %r14, 0; @%p7 bra USER;" MAKE          \
    PUBLISH MADE " bra END;\nUSER:" acquire LOAD CHECK "\nEND:"

static void test_between_launches(void **state)
{
    static const struct { const char *body, *rule; bool host, strict; } list[] = {
        {LAUNCHES(ACQUIRE), NULL, false, false},
        {LAUNCHES(ACQUIRE), NULL, false, true},
        {LAUNCHES(""), "proxy-tensormap", false, false},
        // the host writes the map: a finding by the letter only
        {LAUNCHES(""), NULL, true, false},
        {LAUNCHES(""), "proxy-tensormap", true, true},
        {LAUNCHES(ACQUIRE), NULL, true, true},
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        char text[16384];
        uint32_t words[4096], one = 1;
        struct ptxm_tensor_map map;
        struct bench b;
        snprintf(text, sizeof text, "%s%s%s", planted_before, list[i].body, planted_after);
        planted_assemble(text);
        bench_load(&b, text);
        for (uint32_t k = 0; k < 4096; k++) words[k] = k;
        uint64_t p = bench_buffer(&b, sizeof words, words);
        memset(words, 0, sizeof words);
        uint64_t q = bench_buffer(&b, 4096, words);
        RUN(&b, "k", 1, 64, 0, p, q);
        bench_clean(&b);
        assert_int_equal(ptxm_memory_write(b.device, q + 2048, &one, sizeof one), PTXM_OK);
        bench_read(&b, q, &map, sizeof map);
        if (list[i].host)
            assert_int_equal(ptxm_memory_write(b.device, q, &map, sizeof map), PTXM_OK);
        b.options.strict = list[i].strict;
        RUN(&b, "k", 1, 64, 0, p, q);
        if (list[i].rule)
            bench_only(&b, list[i].rule);
        else
            bench_clean(&b);
        bench_free(&b);
    }
}

// ---- what the fields do -------------------------------------------------------------------------

#define CHANGED(fields) INIT MAKE_WITH(FIELDS fields) PUBLISH MADE ACQUIRE LOAD

static void test_values(void **state)
{
    static const struct planted list[] = {
        {CHANGED(REPLACE("swizzle_mode", "b32", 3))
         "\nW: mbarrier.try_wait.parity.shared.b64 %p2, [%r5], 0; @!%p2 bra W;", NULL},
        {CHANGED(REPLACE("rank", "b32", 0)), "tensor-map", 1, 64, 0, "rank"},
        {CHANGED(" mov.u32 %r24, 5;" REPLACE("rank", "b32", %r24)), "tensor-map", 1, 64, 0,
         "0 to 4"},
        {CHANGED(" mov.u32 %r24, 257;" REPLACE("box_dim", "b32", 0, %r24)), "tensor-map", 1, 64, 0,
         "1 to 256"},
        {CHANGED(" mov.u32 %r24, 3;" REPLACE("box_dim", "b32", 0, %r24)), "tensor-map", 1, 64, 0,
         "multiple of 16"},
        {CHANGED(" mov.u32 %r24, 0;" REPLACE("global_dim", "b32", 1, %r24)), "tensor-map"},
        {CHANGED(" mov.u32 %r24, 9;" REPLACE("element_stride", "b32", 1, %r24)), "tensor-map", 1,
         64, 0, "1 to 8"},
        {CHANGED(" mov.u64 %d21, 8;" REPLACE("global_stride", "b64", 0, %d21)), "tensor-map", 1, 64,
         0, "a stride"},
        {CHANGED(" add.s64 %d21, %d1, 8;" REPLACE("global_address", "b64", %d21)), "tensor-map", 1,
         64, 0, "global address"},
        {CHANGED(" mov.u32 %r24, 64;" REPLACE("box_dim", "b32", 0, %r24)
                 REPLACE("swizzle_mode", "b32", 1)), "tensor-map", 1, 64, 0, "swizzle"},
        // bytes that are no map
        {INIT MAKE_WITH(" st.shared.u32 [%r6+8], 1;" REPLACE("rank", "b32", 1)) MADE,
         "tensor-map", 1, 64, 0, "neither a tensor map nor zeros"},
        {INIT MAKE_WITH("") PUBLISH MADE ACQUIRE LOAD, "tensor-map"},
        {INIT " add.u32 %r6, %r4, 512; @%p1 tensormap.replace.tile.rank.shared::cta.b1024.b32"
         " [%r6], 1;", "uninitialised-shared"},
        {INIT MAKE_WITH(" add.u32 %r6, %r6, 32;" REPLACE("rank", "b32", 1)) MADE, "misaligned"},
    };
    PLANTED(list);
}

// The box that each changed field brings, against the rule of the field.
struct change {
    const char *fields;
    int x, y; // coordinates
    uint32_t columns, rows, stride, step; // of the tensor, in words and rows
};

static uint32_t expected(const struct change *c, uint32_t i)
{
    int64_t x = c->x + (int64_t)(i % 16), y = c->y + (int64_t)(i / 16) * c->step;
    if (x < 0 || y < 0 || x >= c->columns || y >= c->rows)
        return 0;
    return (uint32_t)(y * c->stride + x);
}

static void test_fields(void **state)
{
    static const struct change list[] = {
        {"", 4, 2, 64, 64, 64, 1},
        {" mov.u32 %r24, 32; mov.u64 %d21, 128;" REPLACE("global_dim", "b32", 0, %r24)
         REPLACE("global_stride", "b64", 0, %d21), 24, 1, 32, 64, 32, 1},
        {" mov.u32 %r24, 5;" REPLACE("global_dim", "b32", 1, %r24), 0, 3, 64, 5, 64, 1},
        {" mov.u32 %r24, 2;" REPLACE("element_stride", "b32", 1, %r24)
         " mov.u32 %r24, 16;" REPLACE("box_dim", "b32", 1, %r24), -3, -1, 64, 64, 64, 2},
        {REPLACE("elemtype", "b32", 7), 8, 8, 64, 64, 64, 1}, // words of another kind
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        const struct change *c = &list[i];
        char body[8192];
        const char *around = INIT MAKE_WITH(FIELDS "#") PUBLISH MADE ACQUIRE;
        const char *mark = strchr(around, '#');
        snprintf(body, sizeof body, "%.*s%s%s mov.u32 %%r30, %d; mov.u32 %%r31, %d;%s",
                 (int)(mark - around), around, c->fields, mark + 1, c->x, c->y,
                 LOAD_FROM("%d3")
                 "\nW: mbarrier.try_wait.parity.shared.b64 %p2, [%r5], 0; @!%p2 bra W;"
                 " ld.shared.u32 %r10, [%r3]; add.s64 %d6, %d3, %d4; st.global.u32 [%d6+1024],"
                 " %r10; ld.shared.u32 %r10, [%r3+256]; st.global.u32 [%d6+1280], %r10;");
        struct planted p = {body, NULL};
        planted_all(&p, 1);
        for (unsigned variant = 0; variant < PLANTED_VARIANTS; variant++) {
            struct bench b;
            uint32_t q[512];
            planted_run(&b, &p, variant, q, sizeof q);
            bench_clean(&b);
            for (uint32_t k = 0; k < 128; k++)
                assert_int_equal(q[256 + k], expected(c, k));
            bench_free(&b);
        }
    }
}

// ---- refused ------------------------------------------------------------------------------------

static void note(void *user, const struct ptxm_diagnostic *d)
{
    snprintf(user, 300, "%s", d->message);
}

static void test_refused(void **state)
{
    static const struct { const char *body, *says; } list[] = {
        {REPLACE("interleave_layout", "b32", 1), "interleaved layouts are not supported"},
        {REPLACE("fill_mode", "b32", 1), "only zero fill is supported"},
        {REPLACE("elemtype", "b32", 8), "neither packed nor flushed"},
        {REPLACE("swizzle_mode", "b32", 4), "use 0 to 3"},
        {REPLACE("box_dim", "b32", 5, %r1), "five dimensions"},
        {REPLACE("global_stride", "b64", 4, %d1), "four strides"},
        {REPLACE("swizzle_atomicity", "b32", 0), "came with sm_100"},
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        char text[8192], said[300] = "";
        struct ptxm_load_options options = {.diagnostic = note, .diagnostic_user = said};
        struct ptxm_module *m;
        snprintf(text, sizeof text, "%s%s%s", planted_before, list[i].body, planted_after);
        assert_int_equal(ptxm_module_load(text, strlen(text), &options, &m), PTXM_ERROR_PARSE);
        if (!strstr(said, list[i].says))
            print_message("# %s\n", said);
        assert_non_null(strstr(said, list[i].says));
    }
}

int main(int argc, char **argv)
{
    planted_start(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_one_cta), cmocka_unit_test(test_between_ctas),
        cmocka_unit_test(test_between_launches),
        cmocka_unit_test(test_values),     cmocka_unit_test(test_fields),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests_name("map", tests, NULL, NULL);
}
