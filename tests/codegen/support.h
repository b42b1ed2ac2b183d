// SPDX-License-Identifier: MIT
//
// What the tests of codegen/ share: a module with one open kernel, and the judgement of ptxas.
#ifndef KGEN_TESTS_CODEGEN_SUPPORT_H
#define KGEN_TESTS_CODEGEN_SUPPORT_H

#include "codegen/cg.h"
#include "codegen/reread.h"

// A context, a module and an open kernel with these parameters.
enum { ARGUMENT_GLOBAL, ARGUMENT_I32, ARGUMENT_I64, ARGUMENT_F32, ARGUMENT_COUNT };

struct bench {
    struct cg_context *context;
    struct cg_module *m;
    struct cg_output out;
};

// Fails the test when anything of it fails. `target` NULL is sm_80.
void bench_open(struct bench *bench, const char *target);
// Ends the kernel, and finishes the module with these passes (NULL: the default ones).
enum cg_status bench_finish(struct bench *bench, const char *passes);
// The same, with everything needed to go well; returns the PTX.
const char *bench_ptx(struct bench *bench);
void bench_close(struct bench *bench);

// Shorthands for the open kernel.
cg_value argument(struct bench *bench, unsigned index);
struct cg_access global_access(struct bench *bench, int64_t offset);
void store_global(struct bench *bench, int64_t offset, cg_value value); // volatile: never dropped

// How often `needle` stands in `text`.
unsigned occurrences(const char *text, const char *needle);

// Path of ptxas, or "" (from the test's first argument).
extern const char *ptxas_path;
// Assembles for `target`; false with ptxas's words printed as TAP comments. With `resources`, the
// words of `ptxas -v` go there.
bool ptxas_accepts(const char *ptx, const char *target, char *resources, size_t size);

#endif
