// SPDX-License-Identifier: MIT
// Running and comparing for the programs in this folder.
#include "harness.h"
#include "kernels/plan.h"
#include "runtime/kgen.h"
#include "synced.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

double *program_add(program_case *c, const char *name, const char *dtype, int role,
                    double tolerance, int64_t elements)
{
    static uint64_t state = 12345;
    program_tensor *t = &c->tensors[c->n_tensors++];
    *t = (program_tensor){
        .name = name, .dtype = dtype, .elements = elements, .role = role, .tolerance = tolerance};
    t->values = malloc(sizeof(double) * (size_t)elements);
    assert_non_null(t->values);
    char rounded[8];
    for (int64_t i = 0; i < elements; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        double noise = (double)(int64_t)state * 0x1p-63;
        if (dtype[0] == 'i') noise = floor(100 * noise);
        plan_store(dtype, rounded, 0, noise);
        t->values[i] = role == PROGRAM_INPUT ? kgen_task_element(dtype, rounded, 0) : 0;
    }
    return t->values;
}

void program_scalar(program_case *c, const char *name, int64_t i)
{
    c->scalars[c->n_scalars].name = name;
    c->scalars[c->n_scalars].f = (double)i;
    c->scalars[c->n_scalars++].i = i;
}

void program_scalar_float(program_case *c, const char *name, double f)
{
    c->scalars[c->n_scalars].name = name;
    c->scalars[c->n_scalars++].f = f;
}

static void show(const kgen_diagnostic *d, void *user)
{
    (void)user;
    fputs(d->rendered, stderr);
}

struct expectation {
    const char *words; // NULL: nothing is expected
    bool met;
};

static void show_finding(const kgen_finding *f, void *user)
{
    struct expectation *e = user;
    if (e->words && strstr(f->rendered, e->words))
        e->met = true;
    else if (!e->words)
        fputs(f->rendered, stderr);
}

// KGEN_PROGRAMS_DRIVER: run on the cuda device with this driver library.
static const char *driver_path(void)
{
    return getenv("KGEN_PROGRAMS_DRIVER");
}

static char *read_source(const char *file, size_t *length)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", getenv("KGEN_PROGRAMS"), file);
    FILE *in = fopen(path, "rb");
    if (!in) fail_msg("cannot open %s", path);
    static char text[65536];
    *length = fread(text, 1, sizeof text, in);
    fclose(in);
    return text;
}

// A wrong program is none for the validator either.
static void check_refuted(const program_case *c, const char *text, size_t length,
                          const kgen_compile_options *options)
{
    kgen_context *quiet = NULL;
    kgen_program *program = NULL;
    assert_int_equal(kgen_context_create(NULL, &quiet), KGEN_OK);
    kgen_status status = c->synced ? program_compile_synced(quiet, text, length, options, &program)
                                   : kgen_compile(quiet, text, length, options, &program);
    if (status != KGEN_ERROR_INPUT) fail_msg("%s: the validator lets it pass", c->file);
    kgen_program_free(program);
    kgen_context_free(quiet);
}

static kgen_program *compile(kgen_context *context, const program_case *c)
{
    kgen_define defines[16];
    size_t n = 0, length;
    char copy[256] = "";
    if (c->defines) snprintf(copy, sizeof copy, "%s", c->defines);
    for (char *p = strtok(copy, ","); p; p = strtok(NULL, ",")) {
        char *equals = strchr(p, '=');
        *equals = 0;
        defines[n++] = (kgen_define){p, equals + 1};
    }
    const char *text = c->source;
    if (text)
        length = strlen(text);
    else
        text = read_source(c->file, &length);
    kgen_program *program = NULL;
    kgen_compile_options options = {
        .name = c->file, .target = c->target, .defines = defines, .n_defines = n};
    if (c->finds && !c->unproved) check_refuted(c, text, length, &options);
    options.no_validate = c->finds != NULL;
    kgen_status status = c->synced
                             ? program_compile_synced(context, text, length, &options, &program)
                             : kgen_compile(context, text, length, &options, &program);
    if (status) fail_msg("%s does not compile: %s", c->file, kgen_status_name(status));
    return program;
}

static void compare(const program_case *c, const program_tensor *t, const void *data)
{
    for (int64_t i = 0; i < t->elements; i++) {
        double value = kgen_task_element(t->dtype, data, i), want = t->values[i];
        if (!(fabs(value - want) <= t->tolerance * (1 + fabs(want))) &&
            !(isinf(want) && value == want))
            fail_msg("%s: %s[%lld] is %.9g, should be %.9g", c->file, t->name, (long long)i, value,
                     want);
    }
}

static void run_on(kgen_context *context, kgen_program *program, const program_case *c,
                   kgen_completion completion)
{
    kgen_device *device = NULL;
    kgen_buffer *buffers[PROGRAM_ARGS] = {0};
    void *data[PROGRAM_ARGS] = {0};
    kgen_arg args[2 * PROGRAM_ARGS] = {0};
    size_t n = 0;
    kgen_device_options options = {
        .completion = completion, .seed = completion, .driver = driver_path(), .strict = c->strict};
    assert_int_equal(kgen_device_open(context, options.driver ? "cuda" : "cpu", &options, &device),
                     KGEN_OK);
    for (int i = 0; i < c->n_tensors; i++) {
        const program_tensor *t = &c->tensors[i];
        size_t bytes = (size_t)t->elements * kgen_task_dtype_bytes(t->dtype);
        data[i] = malloc(bytes);
        memset(data[i], t->role == PROGRAM_ZEROED ? 0 : 0xff, bytes);
        for (int64_t e = 0; e < t->elements && t->role == PROGRAM_INPUT; e++)
            plan_store(t->dtype, data[i], e, t->values[e]);
        assert_int_equal(kgen_buffer_create(device, bytes, &buffers[i]), KGEN_OK);
        assert_int_equal(kgen_buffer_write(buffers[i], 0, data[i], bytes), KGEN_OK);
        args[n++] = (kgen_arg){.name = t->name, .buffer = buffers[i]};
    }
    for (int i = 0; i < c->n_scalars; i++)
        args[n++] =
            (kgen_arg){.name = c->scalars[i].name, .i = c->scalars[i].i, .f = c->scalars[i].f};
    struct expectation wanted = {c->finds, false};
    kgen_status status = kgen_launch(
        device, program, args, n, &(kgen_launch_options){.finding = show_finding, .user = &wanted});
    if (c->finds && !(status && wanted.met)) fail_msg("%s: not found: %s", c->file, c->finds);
    if (status && !c->finds) fail_msg("%s: launch: %s", c->file, kgen_status_name(status));
    for (int i = 0; i < c->n_tensors; i++) {
        const program_tensor *t = &c->tensors[i];
        assert_int_equal(kgen_buffer_read(buffers[i], 0, data[i],
                                          (size_t)t->elements * kgen_task_dtype_bytes(t->dtype)),
                         KGEN_OK);
        if (t->role != PROGRAM_INPUT && !c->finds) compare(c, t, data[i]);
        kgen_buffer_free(buffers[i]);
        free(data[i]);
    }
    kgen_device_close(device);
}

void program_run(program_case *c)
{
    kgen_context *context = NULL;
    assert_int_equal(kgen_context_create(&(kgen_options){.diagnostic = show}, &context), KGEN_OK);
    kgen_program *program = compile(context, c);
    kgen_completion last = driver_path() ? KGEN_COMPLETE_EAGER : KGEN_COMPLETE_SEEDED;
    for (kgen_completion mode = KGEN_COMPLETE_EAGER; mode <= last; mode++)
        run_on(context, program, c, mode);
    kgen_program_free(program);
    kgen_context_free(context);
    for (int i = 0; i < c->n_tensors; i++) free(c->tensors[i].values);
}
