// SPDX-License-Identifier: MIT
// Programs that may begin before the kernel ahead of them has ended: launched so, right, and with
// nothing found; without their wait the device finds what they touch too early.
#include "runtime/kgen.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const char doubles[] =
    "kernel doubles(x: global f32[256])\n  warps 4\n  grid i: 2\n  schedule dependent 1\n{\n"
    "  store x[i*128 .. + 128] = 2.0 * load x[i*128 .. + 128]\n}\n";
static const char early[] =
    "kernel early(x: global f32[256])\n  warps 4\n  grid i: 2\n{\n"
    "  a = load x[i*128 .. + 128]\n  grid_wait\n  store x[i*128 .. + 128] = 2.0 * a\n}\n";

static char heard[4096];

static void hear(const kgen_diagnostic *d, void *user)
{
    strncat(heard, d->rendered, sizeof heard - strlen(heard) - 1);
}

static kgen_status compile(kgen_context *context, const char *text, const char *target,
                           kgen_program **program)
{
    kgen_compile_options how = {.name = "dependent.kg", .target = target};
    heard[0] = 0;
    return kgen_compile(context, text, strlen(text), &how, program);
}

static void launches_follow_each_other(void **state)
{
    kgen_context *context;
    kgen_device *device;
    kgen_program *program;
    kgen_buffer *x;
    kgen_program_info info;
    float values[256];
    assert_int_equal(kgen_context_create(&(kgen_options){.diagnostic = hear}, &context), KGEN_OK);
    assert_int_equal(kgen_device_open(context, "cpu", NULL, &device), KGEN_OK);
    for (int older = 0; older < 2; older++) {
        assert_int_equal(compile(context, doubles, older ? "sm_80" : "sm_90", &program), KGEN_OK);
        assert_int_equal(kgen_program_get_info(program, &info), KGEN_OK);
        assert_int_equal(info.dependent, !older);
        assert_string_equal(info.proof, "proved");
        assert_int_equal(strstr(kgen_program_ptx(program, NULL), "griddepcontrol.wait") == NULL,
                         older);
        for (int i = 0; i < 256; i++) values[i] = (float)i;
        assert_int_equal(kgen_buffer_create(device, sizeof values, &x), KGEN_OK);
        assert_int_equal(kgen_buffer_write(x, 0, values, sizeof values), KGEN_OK);
        kgen_arg args[] = {{.name = "x", .buffer = x}};
        assert_int_equal(kgen_launch_repeated(device, program, args, 1, NULL, 3), KGEN_OK);
        assert_int_equal(kgen_buffer_read(x, 0, values, sizeof values), KGEN_OK);
        for (int i = 0; i < 256; i++) assert_float_equal(values[i], 8.0 * i, 0);
        kgen_buffer_free(x);
        kgen_program_free(program);
    }
    kgen_device_close(device);
    kgen_context_free(context);
}

static void nothing_is_touched_before(void **state)
{
    kgen_context *context;
    kgen_program *program;
    assert_int_equal(kgen_context_create(&(kgen_options){.diagnostic = hear}, &context), KGEN_OK);
    assert_int_equal(compile(context, early, "sm_90", &program), KGEN_ERROR_INPUT);
    assert_non_null(strstr(heard, "KG-V207"));
    assert_non_null(strstr(heard, "a = load"));
    kgen_context_free(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(launches_follow_each_other),
        cmocka_unit_test(nothing_is_touched_before),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
