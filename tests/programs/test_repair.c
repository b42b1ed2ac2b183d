// SPDX-License-Identifier: MIT
// Random loops full of exchanges between warps, compiled with and without the pass `repair`: both
// must run clean on the CPU device and give the same bits.
//
//   test_repair FIRST COUNT     so many programs from that seed on
#include "runtime/kgen.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 6, WIDE = 2048, NARROW = 512, COLUMNS = 8, TEXT = 1 << 14 };

// ---- programs -----------------------------------------------------------------------------------
typedef struct generator {
    uint64_t state;
    char text[TEXT];
    size_t used;
    int wide, narrow, scalars, buffers; // values in scope, numbered from 0
} generator;

static unsigned draw(generator *g, unsigned n)
{
    g->state = g->state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(g->state >> 33) % n;
}

__attribute__((format(printf, 2, 3))) static void say(generator *g, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g->used += (size_t)vsnprintf(g->text + g->used, TEXT - g->used, format, args);
    va_end(args);
}

static void scalar_from(generator *g)
{
    static const char *const sums[] = {"sum", "max", "min"};
    unsigned of_wide = !g->narrow || draw(g, 3) ? (unsigned)g->wide : 0;
    say(g, "    r%d = %s(%s%u)\n", g->scalars++, sums[draw(g, 3)], of_wide ? "v" : "w",
        draw(g, of_wide ? of_wide : (unsigned)g->narrow));
}

static void buffer(generator *g)
{
    int b = g->buffers++;
    say(g, "    shared b%d: i32[%d] = load x[t, %u.. + %d]%s\n", b, NARROW, draw(g, 3) * NARROW,
        NARROW, draw(g, 2) ? " + m0" : "");
    if (draw(g, 2)) scalar_from(g);
    if (draw(g, 2))
        say(g, "    w%d = load b%d[%d - iota(%d)]\n", g->narrow++, b, NARROW - 1, NARROW);
    else
        say(g, "    store z[t, %d, 0..] = load b%d[%d - iota(%d)]\n", b % 3, b, NARROW - 1, NARROW);
}

static void statement(generator *g)
{
    unsigned v = draw(g, (unsigned)g->wide), r = draw(g, (unsigned)g->scalars);
    switch (draw(g, 9)) {
    case 0:
        say(g, "    v%d = load x[t, 0.. + %d] * m%u\n", g->wide++, WIDE, draw(g, 2));
        break;
    case 1:
        say(g, "    v%d = v%u + %s%u\n", g->wide++, v, draw(g, 2) ? "r" : "m", draw(g, 2) ? 0 : 1);
        break;
    case 2:
        say(g, "    m%u = r%u %% 5 + 1\n", draw(g, 2), r);
        break;
    case 3:
        say(g, "    store y[t, %u] = r%u\n", draw(g, COLUMNS), r);
        break;
    case 4:
        say(g, "    if r%u > 3 {\n      m%u = m%u + 1\n    }\n", r, draw(g, 2), draw(g, 2));
        break;
    case 5:
        say(g, "    w%d = load z[t, %u, 0.. + %d]\n", g->narrow++, draw(g, 3), NARROW);
        break;
    case 6:
        buffer(g);
        break;
    default:
        scalar_from(g);
    }
}

static void generate(generator *g, uint64_t seed)
{
    static const char *const loops[] = {"for t in 0 .. T", "for t in 1 .. T step 2",
                                        "for t in 0 .. 4"};
    *g = (generator){.state = seed * UINT64_C(0x9E3779B97F4A7C15) + 1};
    say(g, "kernel random(x: global i32[T, %d], y: global i32[T, %d], z: global i32[T, 3, %d])\n",
        WIDE, COLUMNS, NARROW);
    say(g, "  warps %d\n{\n  frag m0: i32 = 1\n  frag m1: i32 = 2\n", 2 << draw(g, 3));
    say(g, "  %s {\n    v0 = load x[t, 0.. + %d]\n    r0 = sum(v0)\n    r1 = sum(v0 * m1)\n",
        loops[draw(g, 3)], WIDE);
    g->wide = 1;
    g->scalars = 2;
    for (int n = 4 + (int)draw(g, 12); n > 0; n--) statement(g);
    for (int i = 0; i < g->scalars && i < COLUMNS; i++)
        say(g, "    store y[t, %d] = r%d\n", i, g->scalars - 1 - i);
    say(g, "  }\n}\n");
}

// ---- runs ---------------------------------------------------------------------------------------
typedef struct outputs {
    int32_t y[ROWS * COLUMNS], z[ROWS * 3 * NARROW];
} outputs;

static int32_t input[ROWS * WIDE];

static void show(const kgen_diagnostic *d, void *user)
{
    (void)user;
    printf("# %s", d->rendered);
}

static void show_finding(const kgen_finding *f, void *user)
{
    (void)user;
    printf("# %s", f->rendered);
}

static bool launch(kgen_device *device, kgen_program *program, outputs *out)
{
    kgen_buffer *x = NULL, *y = NULL, *z = NULL;
    memset(out, 0, sizeof *out);
    bool ok = !kgen_buffer_create(device, sizeof input, &x) &&
              !kgen_buffer_create(device, sizeof out->y, &y) &&
              !kgen_buffer_create(device, sizeof out->z, &z) &&
              !kgen_buffer_write(x, 0, input, sizeof input) &&
              !kgen_buffer_write(y, 0, out->y, sizeof out->y) &&
              !kgen_buffer_write(z, 0, out->z, sizeof out->z);
    kgen_arg args[] = {{.name = "x", .buffer = x},
                       {.name = "y", .buffer = y},
                       {.name = "z", .buffer = z},
                       {.name = "T", .i = ROWS}};
    ok = ok && !kgen_launch(device, program, args, sizeof args / sizeof *args,
                            &(kgen_launch_options){.finding = show_finding});
    ok = ok && !kgen_buffer_read(y, 0, out->y, sizeof out->y) &&
         !kgen_buffer_read(z, 0, out->z, sizeof out->z);
    kgen_buffer_free(x);
    kgen_buffer_free(y);
    kgen_buffer_free(z);
    return ok;
}

static bool run(kgen_context *context, kgen_device *device, const generator *g, int no_repair,
                outputs *out, int *barriers)
{
    kgen_program *program = NULL;
    kgen_program_info info = {0};
    kgen_compile_options o = {.name = "random.kg", .no_repair = no_repair};
    if (kgen_compile(context, g->text, g->used, &o, &program)) return false;
    kgen_program_get_info(program, &info);
    *barriers = info.barriers;
    bool ok = launch(device, program, out);
    kgen_program_free(program);
    return ok;
}

static bool check(kgen_context *context, kgen_device *device, uint64_t seed, int total[2])
{
    static generator g;
    static outputs with, without;
    int barriers[2];
    generate(&g, seed);
    bool ok = run(context, device, &g, 1, &without, &barriers[0]) &&
              run(context, device, &g, 0, &with, &barriers[1]);
    if (ok && memcmp(&with, &without, sizeof with)) {
        printf("# the results differ\n");
        ok = false;
    }
    for (int i = 0; ok && i < 2; i++) total[i] += barriers[i];
    if (!ok) printf("not ok 1 - seed %llu\n%s\n", (unsigned long long)seed, g.text);
    return ok;
}

int main(int argc, char **argv)
{
    uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    int count = argc > 2 ? atoi(argv[2]) : 100, total[2] = {0};
    kgen_context *context = NULL;
    kgen_device *device = NULL;
    if (kgen_context_create(&(kgen_options){.diagnostic = show}, &context) ||
        kgen_device_open(context, "cpu", &(kgen_device_options){.cpu_threads = 1, .seed = 7},
                         &device))
        return 1;
    for (int i = 0; i < ROWS * WIDE; i++)
        input[i] = (int32_t)((unsigned)i * 2654435761u >> 22) - 500;
    printf("1..1\n");
    bool ok = true;
    for (int i = 0; i < count && ok; i++) ok = check(context, device, first + (uint64_t)i, total);
    if (ok)
        printf("ok 1 - %d random programs: the same with and without repair\n"
               "# barriers %d without, %d with\n",
               count, total[0], total[1]);
    kgen_device_close(device);
    kgen_context_free(context);
    return ok && total[1] < total[0] ? 0 : 1;
}
