// SPDX-License-Identifier: MIT
// The public interface as a host program sees it: what it refuses, in which words, and what it
// tells.
#include "runtime/kgen.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const char scale[] = "kernel scale(x: global f32[N], y: global f32[N], N: i32, a: f32)\n"
                            "  assume N % 4 == 0\n"
                            "  grid block: ceildiv(N, 128)\n"
                            "{\n"
                            "  store y[block*128..] = a * (load x[block*128.. + 128])\n"
                            "}\n";

typedef struct heard {
    char text[8192];
    int errors;
} heard;

static void hear(const kgen_diagnostic *d, void *user)
{
    heard *h = user;
    h->errors += d->severity == KGEN_ERROR;
    strncat(h->text, d->rendered, sizeof h->text - strlen(h->text) - 1);
}

static kgen_context *open_context(heard *h)
{
    kgen_context *context = NULL;
    memset(h, 0, sizeof *h);
    assert_int_equal(kgen_context_create(&(kgen_options){.diagnostic = hear, .user = h}, &context),
                     KGEN_OK);
    return context;
}

static void compile_and_ask(void **state)
{
    heard h;
    kgen_context *context = open_context(&h);
    kgen_program *program = NULL;
    assert_int_equal(kgen_compile(context, scale, strlen(scale), NULL, &program), KGEN_OK);
    kgen_program_info info;
    assert_int_equal(kgen_program_get_info(program, &info), KGEN_OK);
    assert_string_equal(info.kernel, "scale");
    assert_string_equal(info.target, "sm_80");
    assert_int_equal(info.threads, 128);
    assert_int_equal(info.n_params, 4);
    assert_int_equal(info.barriers, 0);
    kgen_param_info param;
    assert_int_equal(kgen_program_get_param(program, 0, &param), KGEN_OK);
    assert_string_equal(param.name, "x");
    assert_int_equal(param.is_tensor, 1);
    assert_int_equal(param.used, 1);
    assert_int_equal(kgen_program_get_param(program, 4, &param), KGEN_ERROR_USAGE);
    size_t length;
    const char *ptx = kgen_program_ptx(program, &length);
    assert_non_null(strstr(ptx, ".entry scale"));
    assert_int_equal(strlen(ptx), length);
    assert_non_null(strstr(kgen_program_ir(program), "level synced"));
    assert_non_null(strstr(kgen_program_llvm(program), "define"));
    assert_null(kgen_program_explain(program)); // not asked for
    kgen_program_free(program);
    kgen_context_free(context);
}

// Two threads of different warps meet in s: one barrier.
static const char turned[] = "kernel turned(x: global f32[64, 64], y: global f32[64, 64])\n"
                             "{\n"
                             "  shared s: f32[64, 64] = load x[.., ..]\n"
                             "  store y[.., ..] = transpose(load s)\n"
                             "}\n";

static void check_report(const kgen_report *report)
{
    assert_int_equal(report->n_syncs, 1);
    const kgen_sync_info *sync = &report->syncs[0];
    assert_int_equal(sync->id, 1);
    assert_string_equal(sync->kind, "barrier");
    assert_int_equal(sync->after_line, 3);
    assert_string_equal(sync->where, "in front of load (line 4)");
    assert_int_equal(report->n_obligations, 1);
    const kgen_obligation *o = &report->obligations[0];
    assert_int_equal(o->sync, 1);
    assert_int_equal(o->meet, KGEN_MEET_CTA);
    assert_true(o->needs_sync);
    assert_int_equal(o->first.line, 3);
    assert_int_equal(o->second.line, 4);
    assert_string_equal(o->first.buffer, "s");
    assert_int_not_equal(o->first.thread / 32, o->second.thread / 32);
    assert_int_equal(report->n_buffers, 1);
    assert_int_equal(report->buffers[0].bytes, 64 * 64 * 4);
    assert_int_equal(report->shared_bytes, 64 * 64 * 4);
    assert_true(sync->n_repairs >= 2);
    assert_string_equal(sync->repairs[1].repair, "warp sync");
    assert_string_equal(sync->repairs[1].verdict, "rejected");
}

static void reasons_are_kept(void **state)
{
    heard h;
    kgen_context *context = open_context(&h);
    kgen_program *program = NULL;
    kgen_compile_options options = {.reasons = 1};
    assert_null(kgen_program_report(NULL));
    assert_int_equal(kgen_compile(context, turned, strlen(turned), &options, &program), KGEN_OK);
    const kgen_report *report = kgen_program_report(program);
    assert_non_null(report);
    check_report(report);
    assert_ptr_equal(kgen_program_report(program), report);
    assert_non_null(strstr(kgen_program_explain(program), "S1 barrier in front of load (line 4)"));
    assert_non_null(strstr(kgen_program_ptx(program, NULL), "bar.sync 0; // S1: s written by"));
    // Synchronized IR has ids, and its reasons are not known any more.
    char *ir = strdup(kgen_program_ir(program));
    kgen_program_free(program);
    assert_int_equal(kgen_compile(context, ir, strlen(ir), &options, &program), KGEN_OK);
    assert_int_equal(kgen_program_report(program)->n_syncs, 1);
    assert_int_equal(kgen_program_report(program)->n_obligations, 0);
    assert_non_null(strstr(kgen_program_ptx(program, NULL), "bar.sync 0; // S1: why 1"));
    kgen_program_free(program);
    free(ir);
    kgen_context_free(context);
}

typedef struct rationed {
    int left; // allocations that still succeed
    int live; // not yet released
} rationed;

static void *ration(void *user, size_t bytes)
{
    rationed *r = user;
    if (r->left-- <= 0) return NULL;
    r->live++;
    return malloc(bytes);
}

static void give_back(void *user, void *memory)
{
    ((rationed *)user)->live -= memory != NULL;
    free(memory);
}

// Whichever allocation fails, there is a report or none, and nothing is lost.
static void report_without_memory(void **state)
{
    bool complete = false;
    for (int n = 1; !complete; n++) {
        rationed r = {n, 0};
        kgen_allocator allocator = {ration, give_back, &r};
        kgen_context *context = NULL;
        kgen_program *program = NULL;
        kgen_compile_options options = {.reasons = 1};
        assert_true(n < 2000);
        if (!kgen_context_create(&(kgen_options){.allocator = &allocator}, &context) &&
            !kgen_compile(context, turned, strlen(turned), &options, &program)) {
            const kgen_report *report = kgen_program_report(program);
            if (report) check_report(report);
            complete = kgen_program_explain(program) != NULL;
        }
        kgen_program_free(program);
        kgen_context_free(context);
        assert_int_equal(r.live, 0);
    }
}

static void all_findings_at_once(void **state)
{
    heard h;
    kgen_context *context = open_context(&h);
    kgen_program *program = NULL;
    const char *text = "kernel k(x: global f32[N])\n{\n  a = sine(1.0)\n  b = load z[0]\n}\n";
    assert_int_equal(kgen_compile(context, text, strlen(text),
                                  &(kgen_compile_options){.name = "k.kg"}, &program),
                     KGEN_ERROR_INPUT);
    assert_null(program);
    assert_true(h.errors >= 2);
    assert_non_null(strstr(h.text, "k.kg:3:"));
    assert_non_null(strstr(h.text, "k.kg:4:"));
    kgen_context_free(context);
}

static void unknown_names(void **state)
{
    heard h;
    kgen_context *context = open_context(&h);
    kgen_program *program = NULL;
    kgen_device *device = NULL;
    assert_int_equal(kgen_compile(context, scale, strlen(scale),
                                  &(kgen_compile_options){.target = "sm_81"}, &program),
                     KGEN_ERROR_INPUT);
    assert_non_null(strstr(h.text, "sm_81"));
    assert_non_null(strstr(h.text, "KG-C602"));
    assert_int_equal(kgen_compile(context, scale, strlen(scale),
                                  &(kgen_compile_options){.stop_after = "plaice"}, &program),
                     KGEN_ERROR_INPUT);
    assert_non_null(strstr(h.text, "place"));
    assert_int_equal(kgen_compile(context, scale, strlen(scale),
                                  &(kgen_compile_options){.kernel = "scales"}, &program),
                     KGEN_ERROR_INPUT);
    assert_non_null(strstr(h.text, "did you mean 'scale'"));
    assert_int_equal(kgen_device_open(context, "cudo", NULL, &device), KGEN_ERROR_USAGE);
    assert_non_null(strstr(h.text, "did you mean 'cuda'"));
    kgen_context_free(context);
}

static void missing_driver(void **state)
{
    heard h;
    kgen_context *context = open_context(&h);
    kgen_device *device = NULL;
    kgen_device_options options = {.driver = "/nowhere/libcuda.so.1"};
    assert_int_equal(kgen_device_open(context, "cuda", &options, &device), KGEN_ERROR_NO_DEVICE);
    assert_non_null(strstr(h.text, "/nowhere/libcuda.so.1"));
    kgen_context_free(context);
}

static void bad_calls(void **state)
{
    kgen_context *context = NULL;
    kgen_program *program = NULL;
    assert_int_equal(kgen_context_create(NULL, NULL), KGEN_ERROR_USAGE);
    assert_int_equal(kgen_context_create(NULL, &context), KGEN_OK);
    assert_int_equal(kgen_compile(NULL, "", 0, NULL, &program), KGEN_ERROR_USAGE);
    assert_int_equal(kgen_compile(context, "", 0, NULL, NULL), KGEN_ERROR_USAGE);
    assert_int_equal(kgen_compile(context, NULL, 0, NULL, &program), KGEN_ERROR_INPUT);
    assert_int_equal(kgen_compile(context, NULL, 3, NULL, &program), KGEN_ERROR_USAGE);
    kgen_judgement *judgement;
    kgen_sync_item item;
    assert_int_equal(kgen_judge_sync(NULL, "", 0, NULL, &judgement), KGEN_ERROR_USAGE);
    assert_int_equal(kgen_judge_sync(context, "", 0, NULL, NULL), KGEN_ERROR_USAGE);
    assert_int_equal(kgen_judge_sync(context, NULL, 3, NULL, &judgement), KGEN_ERROR_USAGE);
    assert_int_equal(kgen_judge_sync(context, "x", 1, NULL, &judgement), KGEN_ERROR_INPUT);
    assert_null(judgement);
    assert_false(kgen_judgement_item(NULL, 0, &item));
    assert_null(kgen_judgement_program(NULL));
    kgen_judgement_free(NULL);
    assert_int_equal(kgen_launch(NULL, NULL, NULL, 0, NULL), KGEN_ERROR_USAGE);
    static const kgen_define half[][1] = {{{"N", NULL}}, {{NULL, "1"}}};
    for (int i = 0; i < 2; i++)
        assert_int_equal(
            kgen_compile(context, "", 0,
                         &(kgen_compile_options){.defines = half[i], .n_defines = 1}, &program),
            KGEN_ERROR_USAGE);
    static const char empty[] = "kernel k()\n{\n}\n";
    assert_int_equal(kgen_compile(context, empty, strlen(empty),
                                  &(kgen_compile_options){.name = ""}, &program),
                     KGEN_OK);
    kgen_program_free(program);
    kgen_program_free(NULL);
    kgen_device_close(NULL);
    kgen_buffer_free(NULL);
    kgen_context_free(context);
    kgen_context_free(NULL);
}

typedef struct bench {
    heard h;
    kgen_context *context;
    kgen_program *program;
    kgen_device *device;
    kgen_buffer *x, *y;
} bench;

static int open_bench(void **state)
{
    bench *b = calloc(1, sizeof *b);
    b->context = open_context(&b->h);
    assert_int_equal(kgen_compile(b->context, scale, strlen(scale), NULL, &b->program), KGEN_OK);
    assert_int_equal(kgen_device_open(b->context, "cpu", NULL, &b->device), KGEN_OK);
    assert_int_equal(kgen_buffer_create(b->device, 400, &b->x), KGEN_OK);
    assert_int_equal(kgen_buffer_create(b->device, 400, &b->y), KGEN_OK);
    float x[100];
    for (int i = 0; i < 100; i++) x[i] = (float)i;
    assert_int_equal(kgen_buffer_write(b->x, 0, x, 400), KGEN_OK);
    *state = b;
    return 0;
}

static int close_bench(void **state)
{
    bench *b = *state;
    kgen_buffer_free(b->x);
    kgen_buffer_free(b->y);
    kgen_device_close(b->device);
    kgen_program_free(b->program);
    kgen_context_free(b->context);
    free(b);
    return 0;
}

static kgen_status launch(bench *b, int64_t n, size_t offset)
{
    kgen_arg args[] = {{.name = "a", .f = 3},
                       {.name = "N", .i = n},
                       {.name = "y", .buffer = b->y, .offset = offset},
                       {.name = "x", .buffer = b->x}};
    return kgen_launch(b->device, b->program, args, 4, NULL);
}

static void launch_and_read(void **state)
{
    bench *b = *state;
    float y[100];
    assert_int_equal(launch(b, 100, 0), KGEN_OK);
    assert_int_equal(kgen_buffer_read(b->y, 0, y, 400), KGEN_OK);
    for (int i = 0; i < 100; i++) assert_true(y[i] == 3 * (float)i);
}

static void launches_that_are_refused(void **state)
{
    bench *b = *state;
    assert_int_equal(launch(b, 102, 0), KGEN_ERROR_INPUT); // not a multiple of 4
    assert_non_null(strstr(b->h.text, "KG-R704"));
    assert_int_equal(launch(b, 104, 0), KGEN_ERROR_INPUT); // the buffer has 100
    assert_non_null(strstr(b->h.text, "416 bytes"));
    assert_int_equal(launch(b, 0, 0), KGEN_ERROR_INPUT);
    assert_int_equal(launch(b, -4, 0), KGEN_ERROR_INPUT);
    assert_int_equal(launch(b, INT64_C(1) << 40, 0), KGEN_ERROR_INPUT); // not an i32
    assert_int_equal(launch(b, 64, 4), KGEN_ERROR_INPUT);               // not aligned to 16
    kgen_arg wrong[] = {{.name = "b", .f = 3}};
    assert_int_equal(kgen_launch(b->device, b->program, wrong, 1, NULL), KGEN_ERROR_INPUT);
    assert_non_null(strstr(b->h.text, "no parameter 'b'"));
    kgen_arg twice[] = {{.name = "a", .f = 3}, {.name = "a", .f = 3}};
    assert_int_equal(kgen_launch(b->device, b->program, twice, 2, NULL), KGEN_ERROR_INPUT);
    assert_int_equal(kgen_launch(b->device, b->program, twice, 1, NULL), KGEN_ERROR_INPUT);
    assert_non_null(strstr(b->h.text, "is not given"));
}

static const char in_pairs[] = "kernel in_pairs(y: global f32[N], N: i32)\n"
                               "  cluster 2\n"
                               "  grid block: ceildiv(N, 128)\n"
                               "{\n"
                               "  store y[block*128.. + 128] = 1.0\n"
                               "}\n";

// A cluster is whole, and the GPU knows of clusters.
static void clusters_that_are_refused(void **state)
{
    bench *b = *state;
    kgen_program *program = NULL;
    kgen_compile_options options = {.target = "sm_80"};
    assert_int_equal(kgen_compile(b->context, in_pairs, strlen(in_pairs), &options, &program),
                     KGEN_ERROR_INPUT);
    assert_non_null(strstr(b->h.text, "KG-C605"));
    assert_non_null(strstr(b->h.text, "leave out `cluster 2`"));
    options.target = "sm_90a";
    assert_int_equal(kgen_compile(b->context, in_pairs, strlen(in_pairs), &options, &program),
                     KGEN_OK);
    kgen_arg args[] = {{.name = "N", .i = 40}, {.name = "y", .buffer = b->y}};
    assert_int_equal(kgen_launch(b->device, program, args, 2, NULL), KGEN_ERROR_INPUT);
    assert_non_null(strstr(b->h.text, "KG-R703"));
    assert_non_null(strstr(b->h.text, "would have 1 CTAs, which is no multiple of the 2"));
    kgen_buffer *two = NULL;
    float y[200];
    assert_int_equal(kgen_buffer_create(b->device, sizeof y, &two), KGEN_OK);
    args[0].i = 200;
    args[1].buffer = two;
    assert_int_equal(kgen_launch(b->device, program, args, 2, NULL), KGEN_OK);
    assert_int_equal(kgen_buffer_read(two, 0, y, sizeof y), KGEN_OK);
    for (int i = 0; i < 200; i++) assert_true(y[i] == 1);
    kgen_buffer_free(two);
    kgen_program_free(program);
}

typedef struct counted {
    int rows, line;
    uint64_t read, written, warps;
    int stores; // by lines of the source that store
} counted;

static void count(const kgen_instruction_profile *p, void *user)
{
    counted *c = user;
    c->rows++;
    assert_true(p->line > c->line); // in the order of the PTX, one statement a line
    c->line = p->line;
    c->warps += p->executions;
    c->read += p->global_read;
    c->written += p->global_written;
    if (p->global_written) {
        assert_non_null(p->source_file);
        assert_true(p->source_line > 0);
        assert_int_equal(p->global_sectors, p->global_ideal_sectors);
        c->stores++;
    }
}

static void instructions_are_counted(void **state)
{
    bench *b = *state;
    counted c = {0};
    kgen_arg args[] = {{.name = "a", .f = 3},
                       {.name = "N", .i = 100},
                       {.name = "y", .buffer = b->y},
                       {.name = "x", .buffer = b->x}};
    kgen_launch_options o = {.instruction = count, .user = &c};
    assert_int_equal(kgen_launch(b->device, b->program, args, 4, &o), KGEN_OK);
    assert_true(c.rows > 5 && c.stores > 0 && c.warps >= (uint64_t)c.rows);
    assert_int_equal(c.read, 400);
    assert_int_equal(c.written, 400);
}

static void *compile_often(void *user)
{
    for (int i = 0; i < 8; i++) {
        kgen_program *program = NULL;
        if (kgen_compile(user, scale, strlen(scale), NULL, &program)) return "failed";
        kgen_program_free(program);
    }
    return NULL;
}

static void threads_share_a_context(void **state)
{
    heard h;
    kgen_context *context = open_context(&h);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, compile_often, context), 0);
    for (int i = 0; i < 4; i++) {
        void *result = NULL;
        pthread_join(threads[i], &result);
        assert_null(result);
    }
    kgen_context_free(context);
}

static void out_of_bounds_is_found(void **state)
{
    heard h;
    kgen_context *context = open_context(&h);
    static const char ptx[] =
        ".version 7.0\n.target sm_80\n.address_size 64\n"
        ".visible .entry k(.param .u64 p)\n{\n .reg .b64 %rd<3>;\n .reg .b32 %r<2>;\n"
        " ld.param.u64 %rd1, [p];\n ld.global.u32 %r1, [%rd1+64];\n st.global.u32 [%rd1], %r1;\n "
        "ret;\n}\n";
    kgen_device *device = NULL;
    kgen_module *module = NULL;
    kgen_buffer *buffer = NULL;
    assert_int_equal(kgen_device_open(context, "cpu", NULL, &device), KGEN_OK);
    assert_int_equal(kgen_module_load(device, "k.ptx", ptx, strlen(ptx), &module), KGEN_OK);
    assert_string_equal(kgen_module_kernel(module, 0), "k");
    assert_int_equal(kgen_buffer_create(device, 64, &buffer), KGEN_OK);
    kgen_raw_arg args[] = {{.buffer = buffer}};
    kgen_raw_launch l = {
        .kernel = "k", .grid = {1, 1, 1}, .block = {32, 1, 1}, .args = args, .n_args = 1};
    assert_int_equal(kgen_module_launch(module, &l, NULL), KGEN_ERROR_FINDINGS);
    l.shared_bytes = (size_t)1 << 32;
    assert_int_equal(kgen_module_launch(module, &l, NULL), KGEN_ERROR_INPUT);
    l.shared_bytes = 0;
    l.kernel = "l";
    assert_int_equal(kgen_module_launch(module, &l, NULL), KGEN_ERROR_INPUT);
    kgen_buffer_free(buffer);
    kgen_module_free(module);
    kgen_device_close(device);
    kgen_context_free(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(compile_and_ask),
        cmocka_unit_test(reasons_are_kept),
        cmocka_unit_test(report_without_memory),
        cmocka_unit_test(all_findings_at_once),
        cmocka_unit_test(unknown_names),
        cmocka_unit_test(missing_driver),
        cmocka_unit_test(bad_calls),
        cmocka_unit_test_setup_teardown(launch_and_read, open_bench, close_bench),
        cmocka_unit_test_setup_teardown(launches_that_are_refused, open_bench, close_bench),
        cmocka_unit_test_setup_teardown(clusters_that_are_refused, open_bench, close_bench),
        cmocka_unit_test_setup_teardown(instructions_are_counted, open_bench, close_bench),
        cmocka_unit_test(threads_share_a_context),
        cmocka_unit_test(out_of_bounds_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
