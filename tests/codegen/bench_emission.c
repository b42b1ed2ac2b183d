// SPDX-License-Identifier: MIT
//
// Milliseconds from the first builder call to PTX text, in one process with a warm context: a
// kernel of barriers and copies, and one with 128 accumulators and unrolled MMAs.
#include "codegen/cg.h"

#include <stdio.h>
#include <time.h>

static double milliseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

// One k step: 32 MMAs over fragments from shared memory.
static void step(struct cg_module *m, cg_value base, cg_value *sums, unsigned offset)
{
    cg_value fragments[10], results[4], zero = cg_i32(m, 0);
    cg_value address = cg_add(m, base, cg_i32(m, (int32_t)offset));
    cg_template(m, CG_PTX_BAR_SYNC, &zero, 1, NULL, "S1: fragments");
    cg_template(m, CG_PTX_LDMATRIX_X4, &address, 1, fragments, NULL);
    cg_template(m, CG_PTX_LDMATRIX_X2_TRANS, &address, 1, fragments + 4, NULL);
    for (int i = 0; i < 128; i += 4) {
        for (int j = 0; j < 4; j++) fragments[6 + j] = cg_get(m, sums[i + j]);
        cg_template(m, CG_PTX_MMA_M16N8K16_F32_BF16, fragments, 10, results, NULL);
        for (int j = 0; j < 4; j++) cg_set(m, sums[i + j], results[j]);
    }
}

static void build(struct cg_module *m, unsigned steps)
{
    static const struct cg_parameter parameters[] = {{"out", CG_PTR_GLOBAL, 16}, {"n", CG_I32}};
    struct cg_kernel kernel = {"kernel", parameters, 2, {128, 1, 1}, .line = 1};
    struct cg_loop loop = {0};
    cg_value sums[128];
    cg_kernel_begin(m, &kernel);
    cg_value base = cg_shared_base(m);
    for (int i = 0; i < 128; i++) {
        sums[i] = cg_variable(m, CG_F32, NULL);
        cg_set(m, sums[i], cg_f32(m, 0));
    }
    cg_loop_begin(m, &loop, cg_i32(m, 0), cg_argument(m, 1), cg_i32(m, 1));
    for (unsigned i = 0; i < steps; i++) {
        cg_line(m, 2 + i, 1);
        step(m, base, sums, i * 256);
    }
    cg_loop_end(m, &loop);
    for (int i = 0; i < 128; i++) {
        struct cg_access to = {CG_SPACE_GLOBAL, cg_argument(m, 0), 4 * i, 4};
        cg_value sum = cg_get(m, sums[i]);
        cg_store(m, &to, &sum, 1);
    }
    cg_kernel_end(m);
}

static int measure(struct cg_context *context, unsigned steps, const char *passes)
{
    double best = 1e9, first = 0;
    size_t size = 0;
    for (int i = 0; i < 10; i++) {
        struct cg_module_options options = {"bench", cg_target_find("sm_80"), "/src", "x.kg"};
        struct cg_finish_options finish = {.passes = passes};
        struct cg_module *m;
        struct cg_output out;
        double start = milliseconds();
        if (cg_module_new(context, &options, &m)) return 1;
        build(m, steps);
        if (cg_finish(m, &finish, &out)) {
            fprintf(stderr, "%s\n", cg_module_error(m));
            return 1;
        }
        double time = milliseconds() - start;
        if (i == 0) first = time;
        if (time < best) best = time;
        size = out.ptx_length;
        cg_output_free(context, &out);
        cg_module_free(m);
    }
    printf("LLVM %u, %3u MMAs, %-12s %7zu bytes of PTX: first %6.2f ms, then %6.2f ms\n",
           cg_llvm_major(), 32 * steps, passes ? "sroa only," : "four passes,", size, first, best);
    return 0;
}

int main(void)
{
    struct cg_context *context;
    if (cg_context_new(NULL, &context)) return 1;
    int failed = 0;
    for (unsigned steps = 0; steps <= 4; steps += 2)
        failed |= measure(context, steps, NULL) | measure(context, steps, "sroa<preserve-cfg>");
    cg_context_free(context);
    return failed;
}
