// SPDX-License-Identifier: MIT
// Kernels that Triton made (kernels.py, compile.py) on the PTX machine: results against plain C,
// nothing reported; and each of their barriers, waits and commits taken away, one at a time: it is
// found, but where the list below says that nothing needs it. test_triton FOLDER
#include "triton.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// ---- running -----------------------------------------------------------------------------------

static void test_variant(void **state)
{
    struct kernel_file *file = *state;
    kernel_file_read(file);
    static const struct ptxm_launch_options ways[] = {
        {.completion = PTXM_EAGER},
        {.completion = PTXM_LATE},
        {.completion = PTXM_SEEDED, .seed = 11},
        {.completion = PTXM_SEEDED, .seed = 12, .threads = 2},
    };
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        struct bench b;
        bench_load(&b, file->text);
        b.options = ways[i];
        kernel_file_run(&b, file, true);
        bench_free(&b);
    }
}

// ---- one synchronization less -------------------------------------------------------------------

// Lines that can go without harm, on these inputs.
#define MERGED "its copies join the next group, which the same wait covers"
#define BEFORE "the loop ends behind a barrier, and what follows touches nothing that moved since"
#define TWICE "the same was waited for at the end of the turn before, or in the line beside"
#define GROUP "the warps are one warpgroup, and each has waited for what the group reads"
#define OVER "nothing touches shared memory behind it"
static const struct { const char *file; unsigned line; const char *why; } spare[] = {
    {"column_sums.sm_80.ptx", 169, OVER},
    {"column_sums.sm_80.ptx", 176, OVER},
    {"attention.sm_80.ptx", 86, MERGED},
    {"attention.sm_80.ptx", 437, MERGED},
    {"attention.sm_80.ptx", 473, BEFORE},
    {"column_sums.sm_90.ptx", 169, OVER},
    {"column_sums.sm_90.ptx", 176, OVER},
    {"attention.sm_90.ptx", 86, MERGED},
    {"attention.sm_90.ptx", 437, MERGED},
    {"attention.sm_90.ptx", 473, BEFORE},
    {"attention_causal.sm_80.ptx", 146, MERGED},
    {"attention_causal.sm_80.ptx", 772, BEFORE},
    {"matmul_f16.sm_90.ptx", 325, GROUP},
    {"matmul_f16.sm_90.ptx", 551, GROUP},
    {"attention_causal.sm_90.ptx", 146, MERGED},
    {"attention_causal.sm_90.ptx", 635, GROUP},
    {"attention_causal.sm_90.ptx", 553, "the fence of line 307 covers what was copied"},
    {"matmul_tf32.sm_80.ptx", 184, MERGED},
    {"matmul_tf32.sm_90.ptx", 182, MERGED},
    {"matmul_tf32.sm_80.ptx", 550, TWICE},
    {"matmul_tf32.sm_80.ptx", 551, TWICE},
    {"matmul_tf32.sm_80.ptx", 769, TWICE},
    {"matmul_tf32.sm_80.ptx", 770, TWICE},
};

static const char *spare_because(const char *path, unsigned line)
{
    for (size_t i = 0; i < sizeof spare / sizeof *spare; i++)
        if (strstr(path, spare[i].file) && spare[i].line == line)
            return spare[i].why;
    return NULL;
}

static bool synchronizes(const char *line)
{
    static const char *const starts[] = {"bar.", "cp.async.wait", "cp.async.commit", "fence.",
                                         "wgmma.fence", "wgmma.commit", "wgmma.wait"};
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++)
        if (!strncmp(line, starts[i], strlen(starts[i])))
            return true;
    return false;
}

// How often of three ways to run it something is found.
static unsigned found(const struct kernel_file *file, const char **rule)
{
    unsigned times = 0;
    *rule = "nothing";
    for (int way = PTXM_EAGER; way <= PTXM_SEEDED; way++) {
        struct bench b;
        bench_load(&b, file->text);
        b.options = (struct ptxm_launch_options){.completion = (enum ptxm_completion)way,
                                                 .seed = way == PTXM_SEEDED ? 5 : 0};
        kernel_file_run(&b, file, false);
        if (ptxm_report_count(b.report))
            *rule = ptxm_report_finding(b.report, 0)->rule;
        times += ptxm_report_count(b.report) != 0;
        bench_free(&b);
    }
    return times;
}

static void test_mutants(void **state)
{
    struct kernel_file *file = *state;
    unsigned line = 1, wrong = 0, all = 0, not_needed = 0;
    kernel_file_read(file);
    for (char *at = file->text; *at; at = strchr(at, '\n') + 1, line++) {
        char *first = at + strspn(at, " \t");
        const char *rule, *why = spare_because(file->path, line);
        char keep[2] = {first[0], first[1]};
        if (!synchronizes(first))
            continue;
        first[0] = first[1] = '/';
        unsigned times = found(file, &rule);
        memcpy(first, keep, 2);
        bool right = why ? times == 0 : times == 3;
        all++;
        not_needed += why != NULL;
        wrong += !right;
        if (!right)
            print_message("# line %u away: %s, %u of 3 times%s%s\n", line, rule, times,
                          why ? "; it was not needed: " : "", why ? why : "");
    }
    print_message("# %s: %u lines taken away, one at a time: %u not needed, %u found, %u wrong\n",
                  strrchr(file->path, '/') + 1, all, not_needed, all - not_needed - wrong, wrong);
    assert_int_equal(wrong, 0);
}

int main(int count, char **arguments)
{
    static struct kernel_file files[2 * KERNELS];
    static struct CMUnitTest tests[4 * KERNELS];
    static char names[4 * KERNELS][80];
    size_t n = 0;
    if (count != 2)
        return 1;
    for (size_t i = 0; i < 2 * KERNELS; i++) {
        struct kernel_file *f = &files[i];
        const struct kernel *k = f->kernel = &triton_kernels[i / 2];
        const char *arch = i % 2 ? "sm_90" : "sm_80";
        snprintf(f->path, sizeof f->path, "%s/%s.%s.ptx", arguments[1], k->name, arch);
        snprintf(names[n], sizeof names[n], "%s %s", k->name, arch);
        tests[n] = (struct CMUnitTest){.name = names[n], .test_func = test_variant,
                                       .initial_state = f};
        n++;
        if (k->finding)
            continue;
        snprintf(names[n], sizeof names[n], "%s %s, less one synchronization", k->name, arch);
        tests[n] = (struct CMUnitTest){.name = names[n], .test_func = test_mutants,
                                       .initial_state = f};
        n++;
    }
    int failed = _cmocka_run_group_tests("triton", tests, n, NULL, NULL);
    for (size_t i = 0; i < 2 * KERNELS; i++) free(files[i].text);
    return failed;
}
