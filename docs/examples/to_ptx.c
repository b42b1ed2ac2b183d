// SPDX-License-Identifier: MIT
// Compile a file to PTX and write it to standard output: what an engine does that loads PTX by
// itself.
//
//     ./to_ptx FILE.kg [TARGET [NAME=VALUE ...]]
#include <kgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void show(const kgen_diagnostic *diagnostic, void *user)
{
    (void)user;
    fputs(diagnostic->rendered, stderr);
}

static char *read_file(const char *path, size_t *length)
{
    FILE *in = fopen(path, "rb");
    char *text = malloc(1 << 20);
    if (in && text) *length = fread(text, 1, 1 << 20, in);
    if (in) fclose(in);
    if (in && text) return text;
    free(text);
    return NULL;
}

int main(int argc, char **argv)
{
    size_t length = 0, n = 0;
    char *text = argc > 1 ? read_file(argv[1], &length) : NULL;
    if (!text) return fprintf(stderr, "usage: to_ptx FILE.kg [TARGET [NAME=VALUE ...]]\n"), 2;
    kgen_define defines[16];
    for (int i = 3; i < argc && n < 16; i++) {
        char *equals = strchr(argv[i], '=');
        if (!equals) continue;
        *equals = 0;
        defines[n++] = (kgen_define){argv[i], equals + 1};
    }
    kgen_compile_options options = {
        .name = argv[1], .target = argc > 2 ? argv[2] : NULL, .defines = defines, .n_defines = n};
    kgen_context *context = NULL;
    kgen_program *program = NULL;
    kgen_status status = kgen_context_create(&(kgen_options){.diagnostic = show}, &context);
    if (!status) status = kgen_compile(context, text, length, &options, &program);
    if (!status) fputs(kgen_program_ptx(program, NULL), stdout);
    kgen_program_free(program);
    kgen_context_free(context);
    free(text);
    return status != KGEN_OK;
}
