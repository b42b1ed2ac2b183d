// SPDX-License-Identifier: MIT
// The tiles that a matmul on wgmma can be asked for: each is proved, assembles without a spill or a
// warning, and computes the product of tiles that lie inside, at the edges and in the corner.
//   test_tiles [PTXAS]
#include "tests/shipped/shipped.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>
#include <cmocka.h>

typedef struct tile {
    int m, n;
    const char *name, *rest;
} tile;

static const tile tiles[] = {
    {128, 256, "128x256", "out=bf16"},
    {256, 128, "256x128", "out=bf16"},
    {192, 192, "192x192", "out=bf16"},
    {128, 128, "128x128", "out=bf16"},
    {128, 160, "128x160", "out=bf16"},
    {128, 192, "128x192", "out=bf16"},
    {128, 208, "128x208", "out=bf16"},
    {64, 256, "64x256", "out=bf16"},
    {192, 192, "192x192 with all", "out=f16 dtype=f16 bias=true activation=gelu residual=true"},
    {128, 208, "128x208 with all", "out=f16 dtype=f16 bias=true activation=gelu residual=true"},
    {192, 192, "192x192 in f32", "out=f32 a_col=true b_col=true"},
    {128, 208, "128x208 in f32", "out=f32 b_col=true"},
};
enum { TILES = sizeof tiles / sizeof *tiles };

static const char *ptxas;

// A warning says that something is not proved, or that the schedule does not fit.
static void no_word(const kgen_diagnostic *d, void *user)
{
    (void)user;
    fail_msg("%s", d->rendered);
}

static void make(void **state)
{
    const tile *t = *state;
    char line[256];
    snprintf(line, sizeof line, "matmul M=%d N=%d K=200 tile_m=%d tile_n=%d %s sms=1 target=sm_90a",
             t->m + 24, t->n + 24, t->m, t->n, t->rest);
    kgen_context *context = NULL;
    assert_int_equal(kgen_context_create(&(kgen_options){.diagnostic = no_word}, &context),
                     KGEN_OK);
    kgen_task *task = shipped_task(line, 1);
    kgen_program *program = shipped_program(context, task, NULL, NULL);
    assert_true(kgen_task_reference(task));
    shipped_device on = {.kind = "cpu", .completion = KGEN_COMPLETE_SEEDED};
    shipped_run(context, &on, program, task, line);
    if (ptxas) shipped_assemble(ptxas, task->target, program, line);
    kgen_program_free(program);
    kgen_task_free(task);
    kgen_context_free(context);
}

int main(int argc, char **argv)
{
    struct CMUnitTest tests[TILES];
    if (argc > 1 && !access(argv[1], X_OK)) ptxas = argv[1];
    for (int i = 0; i < TILES; i++)
        tests[i] = (struct CMUnitTest){
            .name = tiles[i].name, .test_func = make, .initial_state = (void *)&tiles[i]};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
