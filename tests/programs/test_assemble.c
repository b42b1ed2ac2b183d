// SPDX-License-Identifier: MIT
// ptxas takes every program of this folder for every generation of targets, and needs no local
// memory for it: what the PTX machine runs, a GPU runs.
//   test_assemble PTXAS            programs for everything
//   test_assemble PTXAS TARGET     programs for one target
#include "assemble.h"
#include "runtime/kgen.h"
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static const char *ptxas;
static const char *const all_targets[] = {"sm_80", "sm_90", "sm_120"};
static const char *only_target; // NULL: all of them

static void show(const kgen_diagnostic *d, void *user)
{
    fputs(d->rendered, stderr);
}

static size_t read_file(const char *name, char *text, size_t room)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", getenv("KGEN_PROGRAMS"), name);
    FILE *in = fopen(path, "rb");
    if (!in) fail_msg("cannot open %s", path);
    size_t length = fread(text, 1, room, in);
    fclose(in);
    return length;
}

static void assemble_program(void **state)
{
    const char *name = *state;
    static char text[65536];
    size_t length = read_file(name, text, sizeof text);
    kgen_context *context = NULL;
    assert_int_equal(kgen_context_create(&(kgen_options){.diagnostic = show}, &context), KGEN_OK);
    size_t count = only_target ? 1 : sizeof all_targets / sizeof *all_targets;
    for (size_t i = 0; i < count; i++) {
        const char *target = only_target ? only_target : all_targets[i];
        kgen_program *program = NULL;
        kgen_compile_options options = {.name = name, .target = target};
        assert_int_equal(kgen_compile(context, text, length, &options, &program), KGEN_OK);
        size_t ptx_length;
        const char *ptx = kgen_program_ptx(program, &ptx_length);
        program_assemble(ptxas, name, target, ptx, ptx_length);
        kgen_program_free(program);
    }
    kgen_context_free(context);
}

static int is_program(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name);
    return length > 3 && !strcmp(entry->d_name + length - 3, ".kg");
}

int main(int argc, char **argv)
{
    ptxas = argc > 1 ? argv[1] : NULL;
    only_target = argc > 2 ? argv[2] : NULL;
    if (!ptxas || access(ptxas, X_OK)) {
        printf("1..0 # SKIP no ptxas on this machine\n");
        return 0;
    }
    struct dirent **files;
    struct CMUnitTest tests[64];
    int count = scandir(getenv("KGEN_PROGRAMS"), &files, is_program, alphasort);
    if (count < 1 || count > (int)(sizeof tests / sizeof *tests)) return 1;
    for (int i = 0; i < count; i++)
        tests[i] = (struct CMUnitTest){.name = files[i]->d_name,
                                       .test_func = assemble_program,
                                       .initial_state = files[i]->d_name};
    int failed = _cmocka_run_group_tests("programs_ptxas", tests, (size_t)count, NULL, NULL);
    for (int i = 0; i < count; i++) free(files[i]);
    free(files);
    return failed;
}
