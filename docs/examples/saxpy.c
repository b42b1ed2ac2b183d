// SPDX-License-Identifier: MIT
// Compile a tile program, run it on the CPU device, and read the result. Ends with 0 when all is
// well.
//
//     cc saxpy.c $(pkg-config --cflags --libs kgen) && ./a.out          on this machine
//     ./a.out cuda                                                      on a GPU
#include <kgen.h>
#include <stdio.h>
#include <string.h>

static const char source[] =
    "kernel saxpy(x: global f32[N], y: global f32[N], N: i32, a: f32)\n"
    "  const BLOCK = 256\n"
    "  grid block: ceildiv(N, BLOCK)\n"
    "{\n"
    "  at = block * BLOCK\n"
    "  store y[at..] = a * (load x[at.. + BLOCK]) + (load y[at.. + BLOCK])\n"
    "}\n";

static void show(const kgen_diagnostic *diagnostic, void *user)
{
    (void)user;
    fputs(diagnostic->rendered, stderr);
}

enum { N = 1000 };

static kgen_status run(kgen_context *context, const char *kind, float *x, float *y)
{
    kgen_program *program = NULL;
    kgen_device *device = NULL;
    kgen_buffer *bx = NULL, *by = NULL;
    kgen_status status = kgen_compile(context, source, strlen(source), NULL, &program);
    if (!status) status = kgen_device_open(context, kind, NULL, &device);
    if (!status) status = kgen_buffer_create(device, N * sizeof *x, &bx);
    if (!status) status = kgen_buffer_create(device, N * sizeof *y, &by);
    if (!status) status = kgen_buffer_write(bx, 0, x, N * sizeof *x);
    if (!status) status = kgen_buffer_write(by, 0, y, N * sizeof *y);
    if (!status) {
        kgen_arg args[] = {{.name = "x", .buffer = bx},
                           {.name = "y", .buffer = by},
                           {.name = "N", .i = N},
                           {.name = "a", .f = 2}};
        status = kgen_launch(device, program, args, 4, NULL);
    }
    if (!status) status = kgen_buffer_read(by, 0, y, N * sizeof *y);
    kgen_buffer_free(bx);
    kgen_buffer_free(by);
    kgen_device_close(device);
    kgen_program_free(program);
    return status;
}

int main(int argc, char **argv)
{
    float x[N], y[N];
    for (int i = 0; i < N; i++) x[i] = (float)i, y[i] = 1;

    kgen_context *context = NULL;
    kgen_status status = kgen_context_create(&(kgen_options){.diagnostic = show}, &context);
    if (!status) status = run(context, argc > 1 ? argv[1] : "cpu", x, y);
    kgen_context_free(context);
    if (status) return fprintf(stderr, "saxpy: %s\n", kgen_status_name(status)), 1;

    for (int i = 0; i < N; i++)
        if (y[i] != 2 * (float)i + 1) return fprintf(stderr, "y[%d] is %g\n", i, y[i]), 1;
    printf("y[%d] = %g\n", N - 1, y[N - 1]);
    return 0;
}
