// SPDX-License-Identifier: MIT
// A kernel built by hand, for tests of layouts and accesses that want one op and nothing else.
#pragma once
#include "ir/access.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

typedef struct fixture {
    kg_arena arena;
    kg_diags diags;
    kg_unit unit;
    kg_kernel kernel;
    kg_block body;
    jmp_buf recovery;
} fixture;

static inline void fixture_open(fixture *f, int warps)
{
    *f = (fixture){.kernel = {.name = "test", .warps = warps}};
    kg_arena_init(&f->arena, NULL);
    f->arena.recovery = &f->recovery;
    f->diags.arena = &f->arena;
    f->unit.arena = &f->arena;
    f->unit.diags = &f->diags;
    f->unit.kernels = &f->kernel;
    f->kernel.unit = &f->unit;
    f->kernel.body = &f->body;
    f->body.kernel = &f->kernel;
}

static inline void fixture_close(fixture *f)
{
    kg_arena_free(&f->arena);
}

static inline kg_type tile_type(kg_home home, kg_dtype dtype, int rows, int columns)
{
    return (kg_type){.home = home, .dtype = dtype, .rank = 2, .dims = {rows, columns}};
}

static inline kg_value *build(fixture *f, kg_opcode code, kg_type type, int n,
                              kg_value *const *operands)
{
    kg_op *op = kg_op_new(&f->kernel, code, (kg_loc){0}, n, operands);
    kg_block_append(&f->body, op);
    return kg_op_info_of(code)->results ? kg_op_result(&f->kernel, op, type, NULL) : NULL;
}

static inline kg_value *build_shared(fixture *f, kg_dtype dtype, int rows, int columns)
{
    return build(f, KG_OP_SHARED, tile_type(KG_HOME_SHARED, dtype, rows, columns), 0, NULL);
}
