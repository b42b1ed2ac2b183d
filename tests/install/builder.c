// SPDX-License-Identifier: MIT
// Makes a kernel with the C builder and compiles it, by what is installed and nothing else.
#include <ir/builder.h>
#include <kgen.h>
#include <stdio.h>
#include <string.h>

// x *= 2, in tiles of 256.
static const char *scale(kg_build *b)
{
    kg_build_kernel(b, "scale");
    kg_sexpr *n = kg_build_size(b, "N");
    kg_value *x = kg_build_tensor(b, "x", KG_F32, 1, n);
    kg_sexpr *tiles = kg_build_size_op(b, KG_SX_CEILDIV, n, kg_build_size_int(b, 256));
    kg_value *i = kg_build_grid(b, "i", tiles);
    kg_value *start = kg_build_op(b, KG_OP_MUL, 2, i, kg_build_int(b, 256));
    kg_value *tile = kg_build_view(b, x, 1, kg_from(start, 256));
    kg_value *twice = kg_build_op(b, KG_OP_MUL, 2, tile, kg_build_float(b, 2.0));
    kg_build_store(b, tile, twice, NULL);
    return kg_build_text(b);
}

static void show(const kgen_diagnostic *diagnostic, void *user)
{
    (void)user;
    fputs(diagnostic->rendered, stderr);
}

static kgen_status compile(const char *text)
{
    kgen_context *context = NULL;
    kgen_program *program = NULL;
    kgen_status status = kgen_context_create(&(kgen_options){.diagnostic = show}, &context);
    if (!status) status = kgen_compile(context, text, strlen(text), NULL, &program);
    if (!status) puts(kgen_program_ptx(program, NULL));
    kgen_program_free(program);
    kgen_context_free(context);
    return status;
}

int main(void)
{
    kg_build *b = kg_build_new(NULL);
    if (!b) return 1;
    const char *text = scale(b);
    if (!text) fputs(kg_build_report(b), stderr);
    int failed = !text || compile(text) != KGEN_OK;
    kg_build_free(b);
    return failed;
}
