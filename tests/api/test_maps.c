// SPDX-License-Identifier: MIT
// Tensor maps at launch: what of a tensor's sizes and strides the copy engine does not take is
// refused by the tensor's name and dimension, before anything runs.
#include "runtime/kgen.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static const char copy[] =
    "kernel tile(x: global f32[B, M, N] strides [far, ld, 1], y: global f32[8, 8], B: i64, M: i64, "
    "N: i64)\n"
    "  implicit far: i64, ld: i64\n"
    "  assume ld % 4 == 0, far % 4 == 0\n  warps 4\n  grid one: 1\n"
    "  level synced\n  shared_bytes 272\n"
    "  layout #0 = core [8, 8] reps [1, 1] reg [] lane [[0, 1], [0, 2], [0, 4], [1, 0], [2, 0]] "
    "warp [[4, 0], [0, 0]]\n{\n"
    "  shared s: f32[8, 8] align 256 {offset=0, pitch=8, swizzle=[4, 1, 2]}\n"
    "  shared full: i64[1] align 16 {offset=256, pitch=1, arrivals=1}\n"
    "  %0 = i32(0)\n  mbarrier_init full\n  barrier\n  mbarrier_expect full {bytes=256}\n"
    "  copy_bulk s = x[%0, %0 ..+8, %0 ..+8] on full\n"
    "  mbarrier_wait full\n"
    "  %1 @#0 = load s {vec=1}\n  store y[%0 ..+8, %0 ..+8] = %1 {vec=1}\n}\n";

typedef struct bench {
    kgen_context *context;
    kgen_program *program;
    kgen_device *device;
    kgen_buffer *x, *y;
    char text[4096];
} bench;

static void hear(const kgen_diagnostic *d, void *user)
{
    bench *b = user;
    strncat(b->text, d->rendered, sizeof b->text - strlen(b->text) - 1);
}

static int open_bench(void **state)
{
    static bench b;
    float x[128];
    kgen_options options = {.diagnostic = hear, .user = &b};
    kgen_compile_options how = {.name = "copy.kg", .target = "sm_90a", .no_validate = 1};
    memset(&b, 0, sizeof b);
    for (int i = 0; i < 128; i++) x[i] = (float)i;
    *state = &b;
    if (kgen_context_create(&options, &b.context)) return 1;
    if (kgen_compile(b.context, copy, strlen(copy), &how, &b.program)) return puts(b.text), 1;
    return kgen_device_open(b.context, "cpu", NULL, &b.device) ||
           kgen_buffer_create(b.device, sizeof x, &b.x) ||
           kgen_buffer_create(b.device, 256, &b.y) || kgen_buffer_write(b.x, 0, x, sizeof x);
}

static int close_bench(void **state)
{
    bench *b = *state;
    kgen_buffer_free(b->x);
    kgen_buffer_free(b->y);
    kgen_device_close(b->device);
    kgen_program_free(b->program);
    kgen_context_free(b->context);
    return 0;
}

static kgen_status launch(bench *b, int64_t batch, int64_t m, int64_t n, int64_t far, int64_t ld,
                          size_t offset)
{
    kgen_arg args[] = {{.name = "x", .buffer = b->x, .offset = offset},
                       {.name = "y", .buffer = b->y},
                       {.name = "B", .i = batch},
                       {.name = "M", .i = m},
                       {.name = "N", .i = n},
                       {.name = "far", .i = far},
                       {.name = "ld", .i = ld}};
    b->text[0] = 0;
    return kgen_launch(b->device, b->program, args, sizeof args / sizeof *args, NULL);
}

static void strides_are_the_tensors(void **state)
{
    bench *b = *state;
    float y[64];
    assert_int_equal(launch(b, 1, 5, 7, 64, 12, 16), KGEN_OK);
    assert_string_equal(b->text, "");
    assert_int_equal(kgen_buffer_read(b->y, 0, y, sizeof y), KGEN_OK);
    for (int i = 0; i < 64; i++) {
        float want = i / 8 < 5 && i % 8 < 7 ? (float)(4 + i / 8 * 12 + i % 8) : 0;
        if (y[i] != want) fail_msg("y[%d] is %g, not %g", i, (double)y[i], (double)want);
    }
}

static void refused(bench *b, kgen_status status, const char *words)
{
    assert_int_equal(status, KGEN_ERROR_INPUT);
    if (!strstr(b->text, words)) fail_msg("'%s' is not in: %s", words, b->text);
}

static void what_the_engine_does_not_take(void **state)
{
    bench *b = *state;
    refused(b, launch(b, 1, 8, 8, 64, INT64_C(1) << 38, 0), "reaches");
    refused(
        b, launch(b, 1, 1, 8, 64, INT64_C(1) << 38, 0),
        "the stride of dimension 1 of tensor 'x' is 1099511627776 bytes");
    refused(b, launch(b, 1, 1, 8, INT64_C(1) << 62, 8, 0),
            "the stride of dimension 0 of tensor 'x'");
    refused(b, launch(b, 1, INT64_C(1) << 31, 8, 64, 0, 0),
            "dimension 1 of tensor 'x' is 2147483648, and the copy engine takes 1 to 2147483647");
    refused(b, launch(b, 1, 8, 8, 64, 10, 0), "KG-R704");
    refused(b, launch(b, 1, 8, 8, 64, 8, 4), "must start at a multiple of 16 bytes");
    assert_int_equal(launch(b, 1, 8, 8, 64, 8, 0), KGEN_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strides_are_the_tensors),
        cmocka_unit_test(what_the_engine_does_not_take),
    };
    return cmocka_run_group_tests_name("tensor maps", tests, open_bench, close_bench);
}
