// SPDX-License-Identifier: MIT
// Texts and launches that mean no good: each ends by itself, in bounded memory, and says where.
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KERNEL(before, body)                                                                       \
    HEAD before ".visible .entry k(.param .u64 p)\n{\n"                                            \
         " .reg .b32 %r<20>; .reg .b64 %d<20>; .reg .pred %p<10>;\n"                               \
         " ld.param.u64 %d1, [p]; mov.u32 %r1, %tid.x;\n" body "\n ret;\n}\n"

// An allocator with an end.
struct purse {
    size_t used, most, limit;
};

static void *take(void *user, size_t size)
{
    struct purse *p = user;
    if (size > p->limit - p->used)
        return NULL;
    size_t *block = malloc(size + 16);
    if (!block)
        return NULL;
    *block = size;
    p->used += size;
    p->most = p->used > p->most ? p->used : p->most;
    return block + 2;
}

static void give(void *user, void *block)
{
    struct purse *p = user;
    if (!block)
        return;
    p->used -= ((size_t *)block)[-2];
    free((size_t *)block - 2);
}

static void *resize(void *user, void *block, size_t size)
{
    void *fresh = take(user, size);
    if (!fresh || !block)
        return fresh;
    size_t old = ((size_t *)block)[-2];
    memcpy(fresh, block, old < size ? old : size);
    give(user, block);
    return fresh;
}

static void launch(struct bench *b, const char *text, struct purse *purse, uint32_t grid,
                   uint32_t block)
{
    struct ptxm_allocator allocator = {take, resize, give, purse};
    struct ptxm_load_options load = {.allocator = &allocator};
    struct ptxm_device_options device = {.allocator = &allocator};
    memset(b, 0, sizeof *b);
    assert_int_equal(ptxm_device_create(&device, &b->device), PTXM_OK);
    assert_int_equal(ptxm_module_load(text, strlen(text), &load, &b->module), PTXM_OK);
    uint64_t p = bench_buffer(b, 256, (uint8_t[256]){0});
    b->options.instruction_budget = 300000;
    RUN(b, "k", grid, block, 0, p);
}

static void test_loops_without_end(void **state)
{
    static const struct { const char *body; unsigned line; } list[] = {
        {"L: bra L;", 8},
        {" mov.u32 %r2, 0;\nL: add.u32 %r2, %r2, 1; setp.ge.u32 %p1, %r2, 0;\n @%p1 bra L;", 0},
        {"L: bar.sync 0;\n bra L;", 0},
        {"L: nanosleep.u32 100;\n bra L;", 0},
        {"L: setp.lt.u32 %p1, %r1, 5;\n @%p1 bra L;\n bra L;", 0},
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        char text[2048];
        struct purse purse = {.limit = 64 << 20};
        struct bench b;
        snprintf(text, sizeof text, "%s%s%s", KERNEL("", ""), "", "");
        char *at = strstr(text, "\n ret;");
        char rest[64];
        snprintf(rest, sizeof rest, "%s", at);
        snprintf(at, sizeof text - (size_t)(at - text), "%s%s", list[i].body, rest);
        launch(&b, text, &purse, 2, 64);
        const struct ptxm_finding *f = bench_found(&b, "instruction-budget");
        assert_int_equal(b.status, PTXM_ERROR_RUN);
        assert_in_range(f->a.line, 7, 12);
        if (list[i].line)
            assert_int_equal(f->a.line, list[i].line);
        bench_free(&b);
        assert_int_equal(purse.used, 0);
    }
}

#define RECURSE                                                                                    \
    ".func f(.param .b32 n)\n{ .reg .b32 %r<400>; .local .align 8 .b8 big[4096];\n"                \
    " .reg .b64 %z; mov.u64 %z, big; st.local.u32 [%z], 1;\n"                                      \
    " { .param .b32 a; st.param.b32 [a], 1; call.uni f, (a); } ret; }\n"

static void test_recursion_without_end(void **state)
{
    struct purse purse = {.limit = (size_t)1 << 30};
    struct bench b;
    launch(&b, KERNEL(RECURSE, " { .param .b32 a; st.param.b32 [a], 1; call.uni f, (a); }"), &purse,
           1, 1024);
    assert_non_null(strstr(bench_found(&b, "call")->message, "too deeply"));
    bench_free(&b);
    assert_int_equal(purse.used, 0);
    assert_true(purse.most < (size_t)512 << 20);
}

// A grid costs what runs of it at a time, not what it has.
static void test_huge_grids(void **state)
{
    struct purse purse = {.limit = 256 << 20};
    struct bench b;
    launch(&b, KERNEL("", ""), &purse, 200000000, 1);
    bench_found(&b, "instruction-budget");
    bench_free(&b);
    assert_int_equal(purse.used, 0);
    assert_true(purse.most < 64 << 20);
}

// CTAs that all wait for one that never starts do not pile up without end.
static void test_waiting_grids(void **state)
{
    struct purse purse = {.limit = (size_t)1 << 30};
    struct bench b;
    launch(&b, KERNEL("", "L: ld.acquire.gpu.global.u32 %r2, [%d1]; setp.eq.u32 %p1, %r2, 0;\n"
                      " @%p1 bra L;"), &purse, 10000000, 1);
    assert_int_equal(b.status, PTXM_ERROR_RUN);
    assert_true(ptxm_report_count(b.report) > 0);
    bench_free(&b);
    assert_int_equal(purse.used, 0);
}

static void refused_launch(const char *text, uint32_t grid, uint32_t block)
{
    struct bench b;
    bench_load(&b, text);
    uint64_t p = bench_buffer(&b, 256, NULL);
    RUN(&b, "k", grid, block, 0, p);
    assert_int_equal(b.status, PTXM_ERROR_ARGUMENT);
    bench_free(&b);
}

static void refused_text(const char *text)
{
    struct ptxm_module *m = NULL;
    struct ptxm_load_options load = {0};
    assert_int_equal(ptxm_module_load(text, strlen(text), &load, &m), PTXM_ERROR_PARSE);
}

static void test_huge_memory(void **state)
{
    refused_text(KERNEL("", " .shared .b8 s[1000000000000];"));
    refused_text(KERNEL("", " .local .b8 s[1000000000000];"));
    refused_launch(KERNEL("", " .shared .b8 s[1000000000];"), 1, 32);
    refused_launch(KERNEL("", ""), 0xffffffff, 32);
    refused_launch(KERNEL("", ""), 1, 0xffffffff);
    struct purse purse = {.limit = 64 << 20};
    struct ptxm_allocator allocator = {take, resize, give, &purse};
    struct ptxm_load_options load = {.allocator = &allocator};
    struct ptxm_module *m = NULL;
    static const char huge[] = KERNEL(".global .b8 g[1000000000000] = {1};\n", "");
    assert_int_equal(ptxm_module_load(huge, strlen(huge), &load, &m), PTXM_ERROR_PARSE);
    assert_int_equal(purse.used, 0);
}

// A text of one piece, many times.
static char *repeat(const char *head, const char *piece, size_t times, const char *tail)
{
    size_t n = strlen(piece), h = strlen(head);
    char *text = malloc(h + n * times + strlen(tail) + 1);
    memcpy(text, head, h);
    for (size_t i = 0; i < times; i++) memcpy(text + h + i * n, piece, n);
    strcpy(text + h + n * times, tail);
    return text;
}

static void test_texts(void **state)
{
    static const struct { const char *head, *piece, *tail; enum ptxm_status status; } list[] = {
        {HEAD ".visible .entry k()\n{", "{", "", PTXM_ERROR_PARSE},
        {HEAD ".visible .entry k()\n{", "{{}{}{}", "", PTXM_ERROR_PARSE},
        {HEAD ".visible .entry k()\n{ mov.u32 ", "{{{{", "", PTXM_ERROR_PARSE},
        {HEAD ".visible .entry k()\n{ mov.u32 ", "[[[[", "", PTXM_ERROR_PARSE},
        {HEAD ".global .u32 x[4] = ", "{{{{", "", PTXM_ERROR_PARSE},
        {HEAD ".global .u32 x", "[65536]", ";", PTXM_ERROR_PARSE},
        {HEAD ".visible .entry k()\n{ add", ".u32", " 1;}", PTXM_ERROR_PARSE},
        {HEAD ".visible .entry k()\n{ add.u32 1", ", 1", ";}", PTXM_ERROR_PARSE},
        {HEAD "/* ", "/* ", "", PTXM_ERROR_PARSE},
        {HEAD "\"", "aaaa", "", PTXM_ERROR_PARSE},
        {HEAD ".section .debug {", "{", "", PTXM_ERROR_PARSE},
        {HEAD ".visible .entry k()\n{ .reg .b32 %r<999999>; .reg .pred %p;", "@%p bra L;",
         " L: }", PTXM_OK},
        {"", "\1\2\3\4", "", PTXM_ERROR_PARSE},
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        struct purse purse = {.limit = (size_t)1 << 30};
        struct ptxm_allocator allocator = {take, resize, give, &purse};
        struct ptxm_load_options load = {.allocator = &allocator};
        struct ptxm_module *m = NULL;
        char *text = repeat(list[i].head, list[i].piece, 400, list[i].tail);
        enum ptxm_status status = ptxm_module_load(text, strlen(text), &load, &m);
        if (status != list[i].status)
            print_message("# text %zu: %s\n", i, ptxm_status_text(status));
        assert_int_equal(status, list[i].status);
        ptxm_module_free(m);
        free(text);
        assert_int_equal(purse.used, 0);
    }
}

static void hear(void *user, const struct ptxm_diagnostic *d)
{
    *(bool *)user |= strstr(d->message, "too many registers") != NULL;
}

static void test_too_many_registers_and_blocks(void **state)
{
    bool heard = false;
    struct ptxm_load_options load = {.diagnostic = hear, .diagnostic_user = &heard};
    struct ptxm_module *m = NULL;
    char *text = repeat(HEAD ".visible .entry k()\n{ .reg .b32 %r<999999>; .reg .pred %p;",
                        "@%p bra L;", 3000, " L: }");
    assert_int_equal(ptxm_module_load(text, strlen(text), &load, &m), PTXM_ERROR_PARSE);
    assert_true(heard);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loops_without_end),
        cmocka_unit_test(test_recursion_without_end),
        cmocka_unit_test(test_huge_grids),
        cmocka_unit_test(test_waiting_grids),
        cmocka_unit_test(test_huge_memory),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_too_many_registers_and_blocks),
    };
    return cmocka_run_group_tests_name("hostile", tests, NULL, NULL);
}
