// SPDX-License-Identifier: MIT
#include "support.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

const char *ptxas_path = "";

void bench_open(struct bench *bench, const char *target)
{
    static const struct cg_parameter parameters[ARGUMENT_COUNT] = {
        {"data", CG_PTR_GLOBAL, 16},
        {"count", CG_I32},
        {"wide", CG_I64},
        {"scale", CG_F32},
    };
    struct cg_kernel kernel = {"kernel", parameters, ARGUMENT_COUNT, {128, 1, 1}, .line = 3};
    struct cg_module_options options = {"test", cg_target_find(target ? target : "sm_80"), "/src",
                                        "x.kg"};
    *bench = (struct bench){0};
    assert_int_equal(cg_context_new(NULL, &bench->context), CG_OK);
    assert_int_equal(cg_module_new(bench->context, &options, &bench->m), CG_OK);
    assert_true(cg_kernel_begin(bench->m, &kernel));
}

enum cg_status bench_finish(struct bench *bench, const char *passes)
{
    struct cg_finish_options options = {.passes = passes, .want_llvm = true};
    cg_kernel_end(bench->m);
    return cg_finish(bench->m, &options, &bench->out);
}

const char *bench_ptx(struct bench *bench)
{
    enum cg_status status = bench_finish(bench, NULL);
    if (status) fail_msg("%s", cg_module_error(bench->m));
    assert_int_equal(strlen(bench->out.ptx), bench->out.ptx_length);
    return bench->out.ptx;
}

void bench_close(struct bench *bench)
{
    cg_output_free(bench->context, &bench->out);
    cg_module_free(bench->m);
    cg_context_free(bench->context);
}

cg_value argument(struct bench *bench, unsigned index)
{
    return cg_argument(bench->m, index);
}

struct cg_access global_access(struct bench *bench, int64_t offset)
{
    return (struct cg_access){CG_SPACE_GLOBAL, argument(bench, ARGUMENT_GLOBAL), offset, 16};
}

void store_global(struct bench *bench, int64_t offset, cg_value value)
{
    struct cg_access access = global_access(bench, offset);
    access.flags = CG_ACCESS_VOLATILE;
    if (cg_type_of(bench->m, value) == CG_I1) value = cg_zext(bench->m, value, CG_I32);
    if (CG_LANES(cg_type_of(bench->m, value))) value = cg_bitcast(bench->m, value, CG_I32);
    cg_store(bench->m, &access, &value, 1);
}

unsigned occurrences(const char *text, const char *needle)
{
    unsigned count = 0;
    for (; (text = strstr(text, needle)); text++) count++;
    return count;
}

// Repeats what a command printed, as TAP comments.
static void print_comments(FILE *from, char *copy, size_t size)
{
    char line[512];
    size_t used = 0;
    if (copy && size) *copy = '\0';
    while (fgets(line, sizeof line, from)) {
        size_t length = strlen(line);
        if (copy && used + length < size) {
            memcpy(copy + used, line, length + 1);
            used += length;
        }
        if (!copy) printf("# %s", line);
    }
}

bool ptxas_accepts(const char *ptx, const char *target, char *resources, size_t size)
{
    char source[] = "/tmp/kgen-codegen-XXXXXX";
    char command[512];
    int file = mkstemp(source);
    assert_true(file >= 0);
    size_t length = strlen(ptx);
    assert_int_equal(write(file, ptx, length), (long)length);
    close(file);
    snprintf(command, sizeof command, "'%s' -arch=%s -lineinfo %s -o /dev/null %s 2>&1", ptxas_path,
             target, resources ? "-v" : "", source);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    print_comments(pipe, resources, size);
    bool accepted = pclose(pipe) == 0;
    if (accepted)
        unlink(source);
    else
        printf("# the refused PTX is %s\n", source);
    return accepted;
}
