// SPDX-License-Identifier: MIT
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void complain(void *user, const struct ptxm_diagnostic *d)
{
    print_message("# %u:%u: %s\n#    %s\n", d->line, d->column, d->message, d->text);
}

static void load(struct bench *b, const char *text, size_t length)
{
    struct ptxm_load_options options = {.diagnostic = complain};
    memset(b, 0, sizeof *b);
    assert_int_equal(ptxm_device_create(NULL, &b->device), PTXM_OK);
    assert_int_equal(ptxm_module_load(text, length, &options, &b->module), PTXM_OK);
}

void bench_load(struct bench *b, const char *text)
{
    load(b, text, strlen(text));
}

char *bench_read_file(const char *path, size_t *length)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    *length = (size_t)ftell(file);
    rewind(file);
    char *text = malloc(*length + 1);
    assert_int_equal(fread(text, 1, *length, file), *length);
    text[*length] = 0;
    fclose(file);
    return text;
}

void bench_load_file(struct bench *b, const char *path)
{
    size_t length;
    char *text = bench_read_file(path, &length);
    load(b, text, length);
    free(text);
}

void bench_free(struct bench *b)
{
    ptxm_report_free(b->report);
    ptxm_device_free(b->device);
    ptxm_module_free(b->module);
}

uint64_t bench_buffer(struct bench *b, size_t size, const void *content)
{
    uint64_t address;
    assert_int_equal(ptxm_memory_allocate(b->device, size, NULL, &address), PTXM_OK);
    if (content)
        assert_int_equal(ptxm_memory_write(b->device, address, content, size), PTXM_OK);
    return address;
}

void bench_read(struct bench *b, uint64_t address, void *to, size_t size)
{
    assert_int_equal(ptxm_memory_read(b->device, address, to, size), PTXM_OK);
}

void bench_run(struct bench *b, const char *kernel, unsigned grid, unsigned block, unsigned shared,
               const void *params, size_t param_bytes)
{
    struct ptxm_launch launch = {.kernel = kernel, .grid = {grid, 1, 1}, .block = {block, 1, 1},
                                 .dynamic_shared = shared, .params = params,
                                 .param_bytes = param_bytes, .options = &b->options};
    ptxm_report_free(b->report);
    b->report = NULL;
    b->status = ptxm_launch(b->device, b->module, &launch, complain, NULL, &b->report);
}

static void show(const struct ptxm_place *p)
{
    if (p->line)
        print_message("#    line %u (%s:%u) %s: thread %u,%u,%u of CTA %u,%u,%u %s %s %s+%llu\n",
                      p->line, p->source_file ? p->source_file : "", p->source_line,
                      p->instruction, p->thread[0], p->thread[1], p->thread[2], p->cta[0],
                      p->cta[1], p->cta[2], p->kind ? p->kind : "", p->space ? p->space : "",
                      p->object ? p->object : "", (unsigned long long)p->offset);
}

static void show_all(const struct bench *b)
{
    for (size_t i = 0; i < ptxm_report_count(b->report); i++) {
        const struct ptxm_finding *f = ptxm_report_finding(b->report, i);
        print_message("# [%s] %s: %s (%llu times)\n", f->rule, ptxm_severity_text(f->severity),
                      f->message, (unsigned long long)f->count);
        show(&f->a);
        show(&f->b);
    }
}

void bench_clean(struct bench *b)
{
    show_all(b);
    assert_string_equal(ptxm_status_text(b->status), "ok");
    assert_int_equal(ptxm_report_count(b->report), 0);
}

const struct ptxm_finding *bench_found(struct bench *b, const char *rule)
{
    for (size_t i = 0; i < ptxm_report_count(b->report); i++)
        if (!strcmp(ptxm_report_finding(b->report, i)->rule, rule))
            return ptxm_report_finding(b->report, i);
    show_all(b);
    print_message("# expected: %s; status: %s\n", rule, ptxm_status_text(b->status));
    assert_true(!"the finding is missing");
    return NULL;
}

const struct ptxm_finding *bench_only(struct bench *b, const char *rule)
{
    const struct ptxm_finding *f = bench_found(b, rule);
    if (ptxm_report_count(b->report) != 1)
        show_all(b);
    assert_int_equal(ptxm_report_count(b->report), 1);
    return f;
}

uint64_t bench_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

// ---- the n-th allocation fails -----------------------------------------------------------------

static void *fail_malloc(void *user, size_t size)
{
    struct failing *f = user;
    if (f->left-- <= 0)
        return NULL;
    f->alive++;
    return malloc(size);
}

static void *fail_realloc(void *user, void *block, size_t size)
{
    struct failing *f = user;
    return f->left-- <= 0 ? NULL : realloc(block, size);
}

static void fail_free(void *user, void *block)
{
    struct failing *f = user;
    f->alive--;
    free(block);
}

struct ptxm_allocator failing_allocator(struct failing *f)
{
    return (struct ptxm_allocator){fail_malloc, fail_realloc, fail_free, f};
}
