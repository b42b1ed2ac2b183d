// SPDX-License-Identifier: MIT
#include "planted.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *ptxas;

const char planted_before[] =
    ".version 8.6\n.target sm_90a\n.address_size 64\n"
    ".visible .entry k(.param .u64 p, .param .u64 q)\n{\n"
    " .reg .b32 %r<60>; .reg .b64 %d<40>; .reg .pred %p<20>; .reg .f32 %f<10>; .reg .b16 %h<10>;\n"
    " .shared .align 128 .b8 s[1024]; .shared .align 8 .b8 m[64];\n"
    " ld.param.u64 %d1, [p]; ld.param.u64 %d3, [q]; mov.u32 %r1, %tid.x; mov.u32 %r5, m;\n"
    " cvta.to.global.u64 %d1, %d1; cvta.to.global.u64 %d3, %d3;\n"
    " shl.b32 %r2, %r1, 2; mov.u32 %r4, s; add.s32 %r3, %r4, %r2; mul.wide.u32 %d4, %r1, 4;\n"
    " add.s64 %d2, %d1, %d4; setp.eq.u32 %p1, %r1, 0;\n";
const char planted_after[] = "\n ret;\n}\n";

void planted_start(int argc, char **argv)
{
    ptxas = argc > 1 && argv[1][0] ? argv[1] : NULL;
    if (!ptxas)
        print_message("# the texts are not assembled: there is no ptxas\n");
}

void planted_assemble(const char *text)
{
    char path[] = "/tmp/ptxm-planted-XXXXXX", command[1024], said[4096] = "";
    if (!ptxas)
        return;
    int file = mkstemp(path);
    assert_true(file >= 0);
    assert_int_equal(write(file, text, strlen(text)), strlen(text));
    close(file);
    snprintf(command, sizeof command, "'%s' -arch=sm_90a -o /dev/null '%s' 2>&1", ptxas, path);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    size_t length = fread(said, 1, sizeof said - 1, pipe);
    int status = pclose(pipe);
    unlink(path);
    if (status)
        fail_msg("%.*s\n%s", (int)length, said, text);
}

static void make_text(const struct planted *p, char *text, size_t size)
{
    snprintf(text, size, "%s%s%s", planted_before, p->body, planted_after);
}

void planted_run(struct bench *b, const struct planted *p, unsigned variant, void *q, size_t bytes)
{
    // In order, in order; then every few instructions another warp, one starved, shuffled.
    static const uint64_t seeds[] = {0, 0, 8, 15, 6};
    static const enum ptxm_completion completions[] = {PTXM_EAGER, PTXM_LATE, PTXM_SEEDED,
                                                       PTXM_SEEDED, PTXM_LATE};
    char text[16384];
    uint32_t words[4096];
    static const uint32_t zeros[1024];
    make_text(p, text, sizeof text);
    bench_load(b, text);
    b->options.completion = completions[variant];
    b->options.seed = seeds[variant];
    b->options.instruction_budget = 1 << 24;
    b->options.strict = p->strict;
    for (uint32_t i = 0; i < 4096; i++) words[i] = i;
    uint64_t from = bench_buffer(b, sizeof words, words), to = bench_buffer(b, 4096, zeros);
    struct ptxm_launch launch = {.kernel = "k", .grid = {p->grid ? p->grid : 1, 1, 1},
                                 .block = {p->block ? p->block : 64, 1, 1},
                                 .cluster = {p->cluster, p->cluster ? 1 : 0, p->cluster ? 1 : 0},
                                 .params = (uint64_t[]){from, to}, .param_bytes = 16,
                                 .options = &b->options};
    b->status = ptxm_launch(b->device, b->module, &launch, NULL, NULL, &b->report);
    if (q)
        bench_read(b, to, q, bytes);
}

// `rule` is one of the alternatives.
static bool names(const char *alternatives, const char *rule)
{
    size_t length = strlen(rule);
    for (const char *at = strstr(alternatives, rule); at; at = strstr(at + 1, rule))
        if ((at == alternatives || at[-1] == '|') && (!at[length] || at[length] == '|'))
            return true;
    return false;
}

static const struct ptxm_finding *find(const struct bench *b, const char *rule)
{
    for (size_t i = 0; i < ptxm_report_count(b->report); i++)
        if (names(rule, ptxm_report_finding(b->report, i)->rule))
            return ptxm_report_finding(b->report, i);
    return NULL;
}

static void judge(struct bench *b, const struct planted *p, size_t number, unsigned variant)
{
    const struct ptxm_finding *f = p->rule ? find(b, p->rule) : NULL;
    bool clean = !ptxm_report_count(b->report) && b->status == PTXM_OK;
    if (p->rule ? !f : !clean)
        print_message("# case %zu, variant %u:%s\n", number, variant, p->body);
    if (!p->rule)
        bench_clean(b);
    else if (!f)
        bench_found(b, p->rule);
    if (f && p->words && !strstr(f->message, p->words))
        fail_msg("case %zu: '%s' lacks '%s'", number, f->message, p->words);
}

void planted_all(const struct planted *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char text[16384];
        make_text(&list[i], text, sizeof text);
        planted_assemble(text);
        for (unsigned variant = 0; variant < PLANTED_VARIANTS; variant++) {
            struct bench b;
            planted_run(&b, &list[i], variant, NULL, 0);
            judge(&b, &list[i], i, variant);
            bench_free(&b);
        }
    }
}

// ---- the n-th allocation fails ------------------------------------------------------------------

static enum ptxm_status starved_run(const struct planted *p, const char *text, struct failing *f,
                                    enum ptxm_completion completion)
{
    struct ptxm_allocator hook = failing_allocator(f);
    struct ptxm_load_options load = {.allocator = &hook};
    struct ptxm_device_options device = {.allocator = &hook};
    struct ptxm_launch_options options = {.completion = completion};
    struct ptxm_module *m = NULL;
    struct ptxm_device *d = NULL;
    struct ptxm_report *r = NULL;
    uint64_t params[2];
    enum ptxm_status status = ptxm_module_load(text, strlen(text), &load, &m);
    if (status == PTXM_OK)
        status = ptxm_device_create(&device, &d);
    for (int i = 0; i < 2; i++)
        if (status == PTXM_OK)
            status = ptxm_memory_allocate(d, 16384, NULL, &params[i]);
    struct ptxm_launch l = {.kernel = "k", .grid = {p->grid ? p->grid : 1, 1, 1},
                            .block = {p->block ? p->block : 64, 1, 1},
                            .cluster = {p->cluster, p->cluster ? 1 : 0, p->cluster ? 1 : 0},
                            .params = params, .param_bytes = 16, .options = &options};
    if (status == PTXM_OK)
        status = ptxm_launch(d, m, &l, NULL, NULL, &r);
    ptxm_report_free(r);
    ptxm_device_free(d);
    ptxm_module_free(m);
    return status;
}

void planted_starve(const struct planted *p)
{
    char text[16384];
    make_text(p, text, sizeof text);
    for (int completion = PTXM_EAGER; completion <= PTXM_LATE; completion++) {
        struct failing all = {.left = 10000000};
        assert_int_equal(starved_run(p, text, &all, (enum ptxm_completion)completion), PTXM_OK);
        assert_int_equal(all.alive, 0);
        long used = 10000000 - all.left;
        for (long n = 0; n < used; n += used > 2000 && n > 300 ? 7 : 1) {
            struct failing f = {.left = n};
            assert_int_equal(starved_run(p, text, &f, (enum ptxm_completion)completion),
                             PTXM_ERROR_MEMORY);
            assert_int_equal(f.alive, 0);
        }
    }
}
