// SPDX-License-Identifier: MIT
// Texts and launches that nobody means well: each gets a clear status, nothing crashes, and memory
// grows with what is touched, not with what is asked for.
#include "harness.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

// ---- memory that is counted --------------------------------------------------------------------

static pthread_mutex_t books = PTHREAD_MUTEX_INITIALIZER;
static size_t in_use, peak;
enum { MEGABYTE = 1 << 20, HEADER = 16 };

static void *count(size_t *block, size_t size)
{
    if (!block)
        return NULL;
    *block = size;
    pthread_mutex_lock(&books);
    in_use += size;
    peak = in_use > peak ? in_use : peak;
    pthread_mutex_unlock(&books);
    return (char *)block + HEADER;
}

static void forget(size_t size)
{
    pthread_mutex_lock(&books);
    in_use -= size;
    pthread_mutex_unlock(&books);
}

static void *counted_malloc(void *user, size_t size)
{
    return size > SIZE_MAX - HEADER ? NULL : count(malloc(size + HEADER), size);
}

static void counted_free(void *user, void *block)
{
    if (!block)
        return;
    size_t *start = (size_t *)((char *)block - HEADER);
    forget(*start);
    free(start);
}

static void *counted_realloc(void *user, void *block, size_t size)
{
    if (!block)
        return counted_malloc(user, size);
    size_t *start = (size_t *)((char *)block - HEADER);
    forget(*start);
    return size > SIZE_MAX - HEADER ? NULL : count(realloc(start, size + HEADER), size);
}

static const struct ptxm_allocator counted = {counted_malloc, counted_realloc, counted_free, NULL};

static char complaint[512];

static void listen(void *user, const struct ptxm_diagnostic *d)
{
    if (!complaint[0])
        snprintf(complaint, sizeof complaint, "%u: %s", d->line, d->message);
}

static enum ptxm_status load(const char *text, size_t length, struct ptxm_module **module)
{
    struct ptxm_load_options options = {.allocator = &counted, .diagnostic = listen};
    complaint[0] = 0;
    in_use = peak = 0;
    return ptxm_module_load(text, length, &options, module);
}

// Loads a text and, if it was understood, runs its kernel "k" with `params`; the status of the last
// step. At most `most` bytes are in use at any time, and none afterwards.
static enum ptxm_status run(const char *text, const struct ptxm_launch *how, size_t most)
{
    struct ptxm_module *module;
    enum ptxm_status status = load(text, strlen(text), &module);
    if (status == PTXM_OK) {
        struct ptxm_device_options memory = {.allocator = &counted};
        struct ptxm_device *device;
        struct ptxm_report *report = NULL;
        assert_int_equal(ptxm_device_create(&memory, &device), PTXM_OK);
        status = ptxm_launch(device, module, how, listen, NULL, &report);
        if (status == PTXM_ERROR_RUN)
            assert_true(ptxm_report_count(report) > 0);
        ptxm_report_free(report);
        ptxm_device_free(device);
        ptxm_module_free(module);
    }
    if (peak > most)
        print_message("# %zu bytes for: %.200s\n", peak, text);
    assert_true(peak <= most);
    assert_int_equal(in_use, 0);
    return status;
}

static struct ptxm_launch_options short_run = {.instruction_budget = 20000};
static uint64_t zeros[64];

static struct ptxm_launch one_warp(void)
{
    return (struct ptxm_launch){.kernel = "k", .grid = {1, 1, 1}, .block = {32, 1, 1},
                                .params = zeros, .param_bytes = sizeof zeros,
                                .options = &short_run};
}

#define ENTRY(body) HEAD ".visible .entry k(.param .u64 p)\n{\n" body "\n}\n"

// ---- launches ----------------------------------------------------------------------------------

static void test_shapes(void **state)
{
    static const struct { uint32_t grid[3], block[3], shared; } list[] = {
        {{0, 1, 1}, {32, 1, 1}, 0}, {{1, 0, 1}, {32, 1, 1}, 0}, {{1, 1, 0}, {32, 1, 1}, 0},
        {{1, 1, 1}, {0, 1, 1}, 0}, {{1, 1, 1}, {32, 0, 1}, 0}, {{1, 1, 1}, {32, 1, 0}, 0},
        {{1, 1, 1}, {1025, 1, 1}, 0}, {{1, 1, 1}, {UINT32_MAX, 1, 1}, 0},
        {{1, 1, 1}, {1, 1, 65}, 0}, {{1, 1, 1}, {65536, 65536, 1}, 0},
        {{1, 1, 1}, {1024, 1024, 64}, 0}, {{1, 1, 1}, {33, 32, 1}, 0},
        {{1, 65536, 1}, {32, 1, 1}, 0}, {{1, 1, UINT32_MAX}, {32, 1, 1}, 0},
        {{UINT32_MAX, 1, 1}, {1, 1, 1}, 0}, {{UINT32_MAX, 65535, 65535}, {1, 1, 1}, 0},
        {{1, 1, 1}, {32, 1, 1}, UINT32_MAX}, {{1, 1, 1}, {32, 1, 1}, 232449},
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        struct ptxm_launch how = one_warp();
        memcpy(how.grid, list[i].grid, sizeof how.grid);
        memcpy(how.block, list[i].block, sizeof how.block);
        how.dynamic_shared = list[i].shared;
        assert_int_equal(run(ENTRY("ret;"), &how, MEGABYTE), PTXM_ERROR_ARGUMENT);
        assert_true(complaint[0]);
    }
}

static void test_missing_arguments(void **state)
{
    struct ptxm_launch how = one_warp();
    how.params = NULL;
    assert_int_equal(run(ENTRY("ret;"), &how, MEGABYTE), PTXM_ERROR_ARGUMENT);
    assert_non_null(strstr(complaint, "bytes of parameters"));
    how = one_warp();
    how.param_bytes = 7;
    assert_int_equal(run(ENTRY("ret;"), &how, MEGABYTE), PTXM_ERROR_ARGUMENT);
    how = one_warp();
    how.kernel = NULL;
    assert_int_equal(run(ENTRY("ret;"), &how, MEGABYTE), PTXM_ERROR_ARGUMENT);
    how.kernel = "";
    assert_int_equal(run(ENTRY("ret;"), &how, MEGABYTE), PTXM_ERROR_NOT_FOUND);
    assert_int_equal(run(ENTRY("ret;"), NULL, MEGABYTE), PTXM_ERROR_ARGUMENT);
    how = one_warp();
    how.options = NULL;
    assert_int_equal(run(ENTRY("ret;"), &how, 4 * MEGABYTE), PTXM_OK);
}

// Millions of CTAs cost what those cost that ran until the budget was spent. With more threads than
// one all of those may wait for the first to be committed.
static void test_huge_grids(void **state)
{
    struct ptxm_launch how = one_warp();
    how.grid[0] = 1 << 22;
    for (unsigned threads = 1; threads <= 4; threads += 3) {
        struct ptxm_launch_options options = short_run;
        size_t most = (threads == 1 ? 64 : 256) * (size_t)MEGABYTE;
        options.threads = threads;
        how.options = &options;
        assert_int_equal(run(ENTRY("ret;"), &how, most), PTXM_ERROR_RUN);
        assert_int_equal(run(ENTRY(".reg .b32 %r<3>; mov.u32 %r1, 0;\nl: add.u32 %r1, %r1, 1;"
                                   " bra l;"), &how, most), PTXM_ERROR_RUN);
    }
    how.options = &short_run;
    how.block[0] = 1024;
    assert_int_equal(run(ENTRY("bar.sync 0; ret;"), &how, 64 * MEGABYTE), PTXM_ERROR_RUN);
}

static void test_too_many_threads_of_ours(void **state)
{
    struct ptxm_launch how = one_warp();
    struct ptxm_launch_options options = short_run;
    options.threads = UINT32_MAX;
    how.options = &options;
    how.grid[0] = 200;
    assert_int_equal(run(ENTRY("ret;"), &how, 16 * MEGABYTE), PTXM_OK);
    options.max_findings = SIZE_MAX;
    assert_int_equal(run(ENTRY("ret;"), &how, 16 * MEGABYTE), PTXM_OK);
}

// ---- addresses ---------------------------------------------------------------------------------

// What takes an address, with %d1; the widest access of each kind.
static const char *const accesses[] = {
    "ld.b8 %r1, [%d1];", "ld.v4.b32 {%r1, %r2, %r3, %r4}, [%d1];", "ld.global.b64 %d2, [%d1];",
    "ld.shared.b32 %r1, [%d1];", "ld.local.b64 %d2, [%d1];", "ld.const.b32 %r1, [%d1];",
    "ld.param.b32 %r1, [%d1];", "st.b8 [%d1], %r1;", "st.v2.b64 [%d1], {%d2, %d2};",
    "st.global.b64 [%d1+2147483647], %d2;", "st.shared.b32 [%d1+-4], %r1;",
    "st.local.b32 [%d1], %r1;", "atom.add.u32 %r1, [%d1], 1;", "atom.cas.b64 %d2, [%d1], 1, 2;",
    "red.global.add.f64 [%d1], %d2;", "atom.shared.exch.b32 %r1, [%d1], 1;",
    "cp.async.ca.shared.global [%r9], [%d1], 16; cp.async.wait_all;",
    "cp.async.cg.shared.global [%d1], [%d3], 16; cp.async.wait_all;",
    "ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r1, %r2, %r3, %r4}, [%d1];",
    "stmatrix.sync.aligned.m8n8.x4.shared.b16 [%d1], {%r1, %r2, %r3, %r4};",
    "isspacep.shared %p1, %d1;", "cvta.to.shared.u64 %d2, %d1; ld.shared.b32 %r1, [%d2];",
    "cvta.local.u64 %d2, %d1; st.b32 [%d2], %r1;", "prefetch.L2 [%d1]; brkpt;",
    "discard.global.L2 [%d1], 128;",
};

static void test_addresses(void **state)
{
    static const uint64_t values[] = {
        0, 1, 3, 4, 16, 255, 4096, 0x7fffffff, 0x80000000, 0xffffffff, 0xfffffffc, 0x100000000,
        INT64_MAX, (uint64_t)INT64_MAX + 1, UINT64_MAX, UINT64_MAX - 3, UINT64_MAX - 15,
        1ull << 32, 1ull << 40, 1ull << 47, 1ull << 48, 1ull << 56, 1ull << 60, 1ull << 62,
        0x00ffffffffffff00, 0x7f00000000000000, 0xfe00000000000000, 0x0200000000000000,
    };
    for (size_t i = 0; i < sizeof accesses / sizeof *accesses; i++) {
        char text[1024];
        snprintf(text, sizeof text,
                 HEAD ".shared .align 16 .b8 s[256];\n.global .align 16 .b8 g[256];\n"
                      ".visible .entry k(.param .u64 p)\n{\n .reg .b32 %%r<10>; .reg .b64 %%d<4>;"
                      " .reg .pred %%p<2>;\n .local .align 16 .b8 l[64];\n ld.param.u64 %%d1, [p];"
                      " mov.u32 %%r9, s; mov.u64 %%d3, g; mov.u64 %%d2, 0; mov.u32 %%r1, 0;"
                      " mov.u32 %%r2, 0; mov.u32 %%r3, 0; mov.u32 %%r4, 0;\n %s ret;\n}\n",
                 accesses[i]);
        for (size_t k = 0; k < sizeof values / sizeof *values; k++) {
            struct ptxm_launch how = one_warp();
            how.params = &values[k];
            how.param_bytes = 8;
            enum ptxm_status status = run(text, &how, 16 * MEGABYTE);
            if (status != PTXM_OK && status != PTXM_ERROR_RUN)
                print_message("# %s at %llx: %s\n", text, (long long)values[k], complaint);
            assert_true(status == PTXM_OK || status == PTXM_ERROR_RUN);
        }
    }
}

// ---- texts -------------------------------------------------------------------------------------

// What asks for much in few words: refused with a line, or harmless.
static void test_sizes(void **state)
{
    static const char *const list[] = {
        ENTRY(".reg .b32 %r<2000000000>; ret;"),
        ENTRY(".reg .b32 %r<4294967295>; ret;"),
        ENTRY(".reg .b32 %r<18446744073709551615>; ret;"),
        ENTRY(".local .b8 l[1099511627776]; ret;"),
        ENTRY(".local .align 8 .b64 l[2000000000]; ret;"),
        ENTRY(".local .b64 l[2305843009213693952]; ret;"),
        ENTRY(".shared .b8 s[4294967295]; ret;"),
        ENTRY(".shared .b64 s[2305843009213693953]; ret;"),
        ENTRY(".shared .b8 s[1000000][1000000][1000000][1000000]; ret;"),
        HEAD ".global .b8 g[1099511627776];\n.visible .entry k() { ret; }\n",
        HEAD ".global .b64 g[2305843009213693952];\n.visible .entry k() { ret; }\n",
        HEAD ".const .b8 c[1099511627776] = {1};\n.visible .entry k() { ret; }\n",
        HEAD ".global .b8 g[4294967296] = {1};\n.visible .entry k() { ret; }\n",
        HEAD ".visible .entry k(.param .b8 p[1099511627776]) { ret; }\n",
        HEAD ".visible .entry k(.param .b64 p[2305843009213693952]) { ret; }\n",
        HEAD ".visible .entry k(.param .align 1073741824 .b8 p[16]) { ret; }\n",
        HEAD ".global .align 4611686018427387904 .b8 g[16];\n.visible .entry k() { ret; }\n",
        HEAD ".global .align 3 .b8 g[16];\n.visible .entry k() { ret; }\n",
        HEAD ".global .align 0 .b8 g[16];\n.visible .entry k() { ret; }\n",
        HEAD ".visible .entry k() .maxntid 4294967295, 4294967295, 4294967295 { ret; }\n",
        HEAD ".visible .entry k() .reqntid 0, 0, 0 { ret; }\n",
        HEAD ".global .b8 g[300000000000];\n.visible .entry k() { ret; }\n",
        ENTRY(".local .b8 a[300000]; .local .b8 b[300000]; ret;"),
        HEAD ".func f(.param .b8 p[1073741824]) { ret; }\n.visible .entry k() { ret; }\n",
    };
    unsigned bad = 0;
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        struct ptxm_launch how = one_warp();
        enum ptxm_status status = run(list[i], &how, 64 * MEGABYTE);
        if (status != PTXM_OK && !complaint[0])
            print_message("# %s without a word: %.300s\n", ptxm_status_text(status), list[i]);
        bad += status != PTXM_OK && !complaint[0];
        bad += status != PTXM_OK && status != PTXM_ERROR_PARSE && status != PTXM_ERROR_ARGUMENT;
    }
    assert_int_equal(bad, 0);
}

#ifdef __SANITIZE_ADDRESS__
enum { BIG = 64 }; // megabytes; the sanitizer keeps books on all of it
#else
enum { BIG = 8192 };
#endif

static long resident(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss / 1024;
}

// Big buffers and local arrays cost nothing but where they are touched.
static void test_untouched_memory(void **state)
{
    struct bench b;
    long before = resident();
    bench_load(&b, ENTRY(".local .align 8 .b8 l[524288]; .reg .b32 %r<3>; .reg .b64 %d<3>;"
                         " mov.u32 %r1, 7; st.local.u32 [l+60000], %r1; ld.param.u64 %d1, [p];"
                         " mov.u32 %r2, %tid.x; mul.wide.u32 %d2, %r2, 4; add.u64 %d1, %d1, %d2;"
                         " st.global.u32 [%d1], %r1; ret;"));
    uint64_t address = bench_buffer(&b, (size_t)BIG * MEGABYTE, NULL);
    RUN(&b, "k", 1, 256, 0, address + ((size_t)BIG - 1) * MEGABYTE);
    bench_clean(&b);
    bench_free(&b);
    // Of 8 GiB, as many bytes of what is initialised, and 128 MiB of local memory.
    assert_true(BIG < 8192 || resident() - before < 128);
}

// `unit` many times between a head and a tail.
static void repeat(const char *head, const char *unit, unsigned times, const char *tail)
{
    size_t length = strlen(head) + strlen(unit) * times + strlen(tail) + 1;
    char *text = malloc(length), *at = text;
    assert_non_null(text);
    at = stpcpy(at, head);
    for (unsigned i = 0; i < times; i++) at = stpcpy(at, unit);
    stpcpy(at, tail);
    struct ptxm_launch how = one_warp();
    enum ptxm_status status = run(text, &how, 64 * MEGABYTE + 600 * length);
    if (status == PTXM_ERROR_MEMORY || status == PTXM_ERROR_BOUNDS)
        print_message("# %s: %.100s\n", ptxm_status_text(status), text);
    assert_true(status == PTXM_OK || status == PTXM_ERROR_PARSE || status == PTXM_ERROR_RUN ||
                status == PTXM_ERROR_ARGUMENT || status == PTXM_ERROR_NOT_FOUND);
    free(text);
}

static void test_depths(void **state)
{
    enum { MANY = 100000 };
    const char *head = HEAD ".visible .entry k() {\n .reg .b32 %r<4>; .reg .pred %p<2>;\n";
    repeat(head, "{", MANY, "");
    repeat(head, "{", MANY, "ret;");
    repeat(head, "}", MANY, "");
    repeat(HEAD ".global .b32 g = ", "(", MANY, "1;");
    repeat(HEAD ".global .b32 g = ", "-", MANY, "1;");
    repeat(HEAD ".global .b32 g = 1", "+1", MANY, ";\n.visible .entry k() { ret; }\n");
    repeat(HEAD ".global .b32 g = 1", " ? 1 : 1", MANY, ";\n.visible .entry k() { ret; }\n");
    repeat(HEAD ".global .b32 g[] = ", "{", MANY, "1;");
    repeat(HEAD ".global .b32 g", "[1]", MANY, ";\n.visible .entry k() { ret; }\n");
    repeat(head, "mov.u32 %r1, %r2;\n", MANY, "ret; }\n");
    repeat(head, "add.u32 %r1, %r1, 1234567;\n", MANY, "ret; }\n");
    repeat(head, "mov.b32 %r1, {%r1, ", MANY, "");
    repeat(head, "ld.global.u32 %r1, [", MANY, "");
    repeat(head, "mov.u32.u32.u32.u32.u32", 1,
           ".u32.u32.u32.u32.u32.u32.u32.u32.u32.u32.u32.u32.u32 %r1, %r2; ret; }\n");
    repeat(head, "add.u32 %r1, %r1, %r1, %r1, %r1, %r1, %r1, %r1, %r1, %r1, %r1, %r1, %r1, %r1;", 2,
           "ret; }\n");
    repeat(head, "@%p1 ", MANY, "ret; }\n");
    repeat(head, "/*", MANY, "");
    repeat(head, "//", MANY, "\nret; }\n");
    repeat(head, "a", MANY, ": ret; }\n");
    repeat(head, "x: ", MANY, "ret; }\n");
    repeat(head, "%", MANY, "");
    repeat(head, "0x", MANY, "");
    repeat(head, ".loc 1 1 1\n", MANY, "ret; }\n");
    repeat(HEAD, ".file 1 \"a\"\n", MANY, ".visible .entry k() { ret; }\n");
    repeat(HEAD, ".extern .func f;\n", MANY, "");
    repeat(HEAD, ".visible .entry k() { ret; }\n", 3, "");
}

// Calls that never end, and branches to everywhere.
static void test_endless(void **state)
{
    struct ptxm_launch how = one_warp();
    assert_int_equal(run(HEAD ".func f() { call f; ret; }\n.visible .entry k() { call f; ret; }\n",
                         &how, 64 * MEGABYTE), PTXM_ERROR_RUN);
    assert_int_equal(run(ENTRY("l: bra l;"), &how, 16 * MEGABYTE), PTXM_ERROR_RUN);
    assert_int_equal(run(ENTRY(".reg .pred %p<2>; .reg .b32 %r<2>; mov.u32 %r1, %tid.x;"
                               " setp.eq.u32 %p1, %r1, 3;\na: @%p1 bra b; bra a;\nb: bra a;"),
                         &how, 16 * MEGABYTE), PTXM_ERROR_RUN);
    assert_int_equal(run(ENTRY("l: nanosleep.u32 4294967295; bra l;"), &how, 16 * MEGABYTE),
                     PTXM_ERROR_RUN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shapes), cmocka_unit_test(test_missing_arguments),
        cmocka_unit_test(test_huge_grids), cmocka_unit_test(test_too_many_threads_of_ours),
        cmocka_unit_test(test_addresses), cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_untouched_memory), cmocka_unit_test(test_depths),
        cmocka_unit_test(test_endless),
    };
    return cmocka_run_group_tests_name("hostile", tests, NULL, NULL);
}
