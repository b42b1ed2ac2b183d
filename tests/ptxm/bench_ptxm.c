// SPDX-License-Identifier: MIT
// How fast the machine is, and where its time goes: bench_ptxm [--where] [KERNELS.ptx].
// Lane-instructions a second for a loop of arithmetic and shared memory and for the matmul of
// kernels.cu (256^3); multiply-adds a second for loops of mma.sync and of wgmma whose operands come
// in three ways. --where: for each, how often and how long every class of instruction runs.
// A program to look at, not a test: nothing is asserted about time. All times are those of this
// process alone, for the machine may be shared.
#include "bench_texts.h"
#include "bench_where.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct benchmark {
    char name[32];
    struct ptxm_device *device;
    struct ptxm_module *module;
    struct ptxm_launch launch;
    struct { uint64_t pointers[3]; int32_t sizes[3]; } matmul;
    struct { uint64_t out; uint32_t trips; } loop;
    bool products; // multiply-adds are counted, not lane-instructions
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

// Seconds of one run. report may be NULL.
static double run(struct benchmark *b, const struct ptxm_launch_options *options,
                  struct ptxm_report **report)
{
    struct ptxm_report *own = NULL;
    b->launch.options = options;
    double start = now();
    enum ptxm_status status = ptxm_launch(b->device, b->module, &b->launch, NULL, NULL,
                                          report ? report : &own);
    double seconds = now() - start;
    if (status)
        printf("%s: %s\n", b->name, ptxm_status_text(status));
    ptxm_report_free(own);
    return seconds;
}

// ---- rates -------------------------------------------------------------------------------------

static int compare_numbers(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

// Seconds of one run, of several; report, if it is not NULL: the last one's.
static double median(struct benchmark *b, const struct ptxm_launch_options *options,
                     struct ptxm_report **report)
{
    enum { RUNS = 7 };
    double seconds[RUNS];
    for (int i = 0; i < RUNS; i++) seconds[i] = run(b, options, i + 1 < RUNS ? NULL : report);
    qsort(seconds, RUNS, sizeof *seconds, compare_numbers);
    return seconds[RUNS / 2];
}

static void measure(struct benchmark *b, const char *mode, struct ptxm_launch_options options)
{
    struct ptxm_report *report = NULL;
    double seconds = median(b, &options, &report);
    const struct ptxm_counters *c = ptxm_report_counters(report);
    if (c)
        printf("%-22s %-16s %8.3f ms  %7.0f M %s/s  findings %zu\n", b->name, mode,
               seconds * 1e3,
               1e-6 * (double)(b->products ? c->multiply_adds : c->lane_instructions) /
                   seconds,
               b->products ? "multiply-adds" : "lane-instructions", ptxm_report_count(report));
    ptxm_report_free(report);
}

static void measure_all(struct benchmark *b)
{
    measure(b, "checks on", (struct ptxm_launch_options){0});
    if (!b->products) {
        measure(b, "no counters", (struct ptxm_launch_options){.no_counters = true});
        measure(b, "no global races", (struct ptxm_launch_options){.no_global_races = true});
    }
    measure(b, "checks off", (struct ptxm_launch_options){.no_checks = true});
    if (!b->products)
        measure(b, "profile", (struct ptxm_launch_options){.profile = true});
}

// ---- where the time goes -----------------------------------------------------------------------

struct shares {
    double seconds; // of one run
    double of[WHERE_CLASSES];
};

// The timer takes time, too: it tells the shares, runs without it how long everything takes.
static bool sample(struct benchmark *b, bool no_checks, struct shares *s)
{
    struct ptxm_launch_options options = {.no_checks = no_checks, .running = &where_running};
    uint64_t seen[WHERE_CLASSES], sum = 0;
    s->seconds = median(b, &options, NULL);
    if (!where_start())
        return printf("no timer to look with\n"), false;
    for (double seconds = 0; seconds < 1;) seconds += run(b, &options, NULL);
    where_stop(seen);
    for (int i = 0; i < WHERE_CLASSES; i++) sum += seen[i];
    for (int i = 0; i < WHERE_CLASSES; i++)
        s->of[i] = sum ? (double)seen[i] / (double)sum : 0;
    return true;
}

// Instructions that warps execute, by class.
static void count(struct benchmark *b, uint64_t executed[WHERE_CLASSES])
{
    struct ptxm_launch_options options = {.no_checks = true, .profile = true};
    struct ptxm_report *report = NULL;
    run(b, &options, &report);
    memset(executed, 0, WHERE_CLASSES * sizeof *executed);
    for (size_t i = 0; i < ptxm_report_profile_count(report); i++) {
        const struct ptxm_instruction_profile *p = ptxm_report_profile(report, i);
        executed[where_class_of(p->instruction)] += p->executions;
    }
    ptxm_report_free(report);
}

static void print_row(const char *name, uint64_t executed, double off, double on,
                      const struct shares *with)
{
    char each[2][16] = {"", ""};
    if (executed) {
        snprintf(each[0], sizeof each[0], "%.1f", off * 1e9 / (double)executed);
        snprintf(each[1], sizeof each[1], "%.1f", on * 1e9 / (double)executed);
    }
    printf("  %-21s %9.0f %9.1f %9s %9.1f %9s %7.1f %% %7.1f %%\n", name, (double)executed,
           off * 1e6, each[0], on * 1e6, each[1], 100 * on / with->seconds,
           100 * (on - off) / with->seconds);
}

static void print_where(struct benchmark *b)
{
    uint64_t executed[WHERE_CLASSES], sum = 0;
    struct shares without, with;
    count(b, executed);
    if (!sample(b, true, &without) || !sample(b, false, &with))
        return;
    printf("  %-21s %9s %9s %9s %9s %9s %9s %9s\n", "", "executed", "off, us", "each, ns",
           "on, us", "each, ns", "of on", "checks");
    for (int i = 0; i < WHERE_CLASSES; i++) {
        sum += executed[i];
        if (executed[i] || with.of[i] > 0 || without.of[i] > 0)
            print_row(where_name(i), executed[i], without.of[i] * without.seconds,
                      with.of[i] * with.seconds, &with);
    }
    print_row("all", sum, without.seconds, with.seconds, &with);
}

// ---- the benchmarks ----------------------------------------------------------------------------

static void bench(struct benchmark *b, const char *text, size_t length, bool where)
{
    if (ptxm_module_load(text, length, NULL, &b->module)) {
        printf("%s: the text is refused\n", b->name);
        return;
    }
    measure_all(b);
    if (where)
        print_where(b);
    ptxm_device_forget(b->device, b->module);
    ptxm_module_free(b->module);
}

static void bench_text(struct ptxm_device *device, const char *name, const char *kernel,
                       const char *text, const uint32_t shape[3], uint32_t trips, bool where)
{
    static const uint8_t zeros[BENCH_TILE_BYTES];
    struct benchmark b = {.device = device, .loop = {0, trips}, .products = shape[2] > 0};
    snprintf(b.name, sizeof b.name, "%s", name);
    b.launch = (struct ptxm_launch){.kernel = kernel, .grid = {shape[0], 1, 1},
                                    .block = {shape[1], 1, 1}, .dynamic_shared = shape[2],
                                    .params = &b.loop, .param_bytes = 12};
    ptxm_memory_allocate(device, sizeof zeros, "out", &b.loop.out);
    ptxm_memory_write(device, b.loop.out, zeros, sizeof zeros);
    bench(&b, text, strlen(text), where);
}

static void bench_matmul(struct ptxm_device *device, const char *path, bool where)
{
    enum { S = 256 };
    FILE *file = fopen(path, "rb");
    static char text[1 << 22];
    static uint16_t ones[S * S];
    static const size_t bytes[] = {sizeof ones, sizeof ones, S * S * 4};
    size_t length = file ? fread(text, 1, sizeof text, file) : 0;
    struct benchmark b = {.name = "matmul", .device = device, .matmul = {{0}, {S, S, S}}};
    b.launch = (struct ptxm_launch){.kernel = "matmul", .grid = {S / 64, S / 64, 1},
                                    .block = {128, 1, 1}, .params = &b.matmul, .param_bytes = 36};
    if (file)
        fclose(file);
    for (int i = 0; i < S * S; i++) ones[i] = 0x3f80;
    for (int i = 0; i < 3; i++) {
        ptxm_memory_allocate(device, bytes[i], NULL, &b.matmul.pointers[i]);
        if (i < 2)
            ptxm_memory_write(device, b.matmul.pointers[i], ones, sizeof ones);
    }
    bench(&b, text, length, where);
}

static void bench_products(struct ptxm_device *device, bool where)
{
    static const struct { const char *name; unsigned n; enum bench_feed feed; } list[] = {
        {"wgmma.m64n64k16", 64, BENCH_RESIDENT},
        {"wgmma.m64n128k16", 128, BENCH_RESIDENT},
        {"wgmma.m64n256k16", 256, BENCH_RESIDENT},
        {"wgmma, bulk copies", 256, BENCH_COPIED},
        {"wgmma, ring of 3", 256, BENCH_RING},
    };
    static char text[1 << 16];
    bench_text(device, "mma.m16n8k16", "products", bench_mma_text, (uint32_t[]){1, 128, 16}, 20000,
               where);
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        bool ring = list[i].feed == BENCH_RING;
        bench_wgmma_text(text, sizeof text, list[i].n, list[i].feed);
        bench_text(device, list[i].name, "products", text,
                   (uint32_t[]){1, ring ? 160 : 128,
                                BENCH_TILE_BYTES * (ring ? BENCH_RING_SLOTS : 1)},
                   100, where);
    }
}

int main(int argc, char **argv)
{
    bool where = argc > 1 && !strcmp(argv[1], "--where");
    struct ptxm_device *device;
    if (argc > 2 + where)
        return fputs("usage: bench_ptxm [--where] [KERNELS.ptx]\n", stderr), 2;
    if (ptxm_device_create(NULL, &device) != PTXM_OK)
        return 70;
    bench_text(device, "loop", "loop", bench_loop_text, (uint32_t[]){4, 256, 0}, 2000, where);
    if (argc > 1 + where)
        bench_matmul(device, argv[1 + where], where);
    bench_products(device, where);
    ptxm_device_free(device);
    return 0;
}
