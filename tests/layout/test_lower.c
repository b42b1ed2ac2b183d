// SPDX-License-Identifier: MIT
// Passes layout and lower on whole programs: the contracts of level LAID_OUT, on every kernel of
// the files given on the command line; a few choices that must come out well; errors.
#include "passes/bank.h"
#include "passes/layout_internal.h"
#include "passes/rewrite.h"
#include "passes/passes.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static const kg_machine machine = {"sm_80", 80, 166912, 255};

typedef struct program {
    kg_arena arena;
    jmp_buf recovery;
    kg_diags diags;
    kg_source source;
    kg_unit *unit;
    bool fine;
} program;

static void run_text(program *p, const char *name, const char *text, const kg_define *defines,
                     int n_defines)
{
    memset(p, 0, sizeof *p);
    kg_arena_init(&p->arena, NULL);
    p->arena.recovery = &p->recovery;
    p->diags.arena = &p->arena;
    p->source = (kg_source){name, text, strlen(text)};
    p->unit = kg_parse(&p->arena, &p->diags, &p->source, defines, n_defines);
    p->fine = p->unit != NULL;
    for (kg_kernel *k = p->unit ? p->unit->kernels : NULL; k; k = k->next) {
        kg_pass_context context = {&p->arena, &p->diags, &machine, false};
        kg_pipeline_options options = {.stop_after = "lower"};
        p->fine = kg_run_pipeline(&context, k, &options) && p->fine;
    }
}

static void show_findings(program *p)
{
    for (const kg_diag *d = p->diags.first; d; d = d->next)
        print_error("%s", kg_diag_render(&p->arena, d, false));
}

static char *read_file(const char *path)
{
    static char text[1 << 18];
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t n = fread(text, 1, sizeof text - 1, file);
    text[n] = 0;
    fclose(file);
    return text;
}

// ---- contracts ----------------------------------------------------------------------------------

static void expect(const kg_op *op, bool holds, const char *what)
{
    if (!holds)
        fail_msg("%s:%d: %s: %s", op->loc.source ? op->loc.source->name : "?", op->loc.line,
                 kg_op_info_of(op->code)->name, what);
}

static void check_value(const kg_op *op, const kg_value *value)
{
    if (!kg_is_tile(value)) return;
    expect(op, value->layout != NULL, "a tile without a layout");
    expect(op, value->layout->rank == value->type.rank, "layout of another rank");
    for (int d = 0; d < value->type.rank; d++)
        expect(op, value->layout->core[d] * value->layout->reps[d] == value->type.dims[d],
               "layout of another shape");
}

static void check_gathers(const kg_op *op)
{
    kg_layout tile, index;
    for (int i = 0; i < op->n_operands && i < 2; i++) {
        if (!kg_gather_view(op->operands[i])) continue;
        kg_view_info info;
        kg_view_resolve(op->operands[i], &info);
        expect(op, kg_layout_of_moved(op, &tile), "gathers without a layout");
        for (int d = 0; d < info.rank; d++)
            if (info.gather[d]) {
                kg_layout_of_gather(&tile, d, &index);
                expect(op, kg_layout_equal(info.gather[d]->layout, &index),
                       "gather indices lie elsewhere");
            }
    }
}

static void check_reduction(const kg_op *op)
{
    int axis = (int)kg_op_int(op, KG_A_AXIS, 0);
    const kg_layout *from = op->operands[0]->layout;
    if (!kg_op_attr(op, KG_A_PARTIAL))
        expect(op, !kg_layout_axis_spans_warps(from, axis), "spans warps");
    if (kg_op_info_of(op->code)->cls == KG_CLASS_R && op->results[0]->type.rank &&
        !kg_op_attr(op, KG_A_PARTIAL)) {
        kg_layout slice;
        kg_layout_slice(from, axis, &slice);
        expect(op, kg_layout_equal(op->results[0]->layout, &slice),
               "result is not the slice of its operand");
    }
}

static void check_memory(const kg_kernel *kernel, const kg_op *op)
{
    int size = kg_dtype_bytes(op->operands[0]->type.dtype);
    int64_t vec = kg_op_int(op, KG_A_VEC, 1);
    check_gathers(op);
    expect(op, vec >= 1 && vec * size <= 16, "width");
    if (vec > 1)
        expect(op, kg_view_vector_bytes(kernel, op->operands[0], true) >= vec * size,
               "wider than aligned");
    if (op->code == KG_OP_COPY_ASYNC)
        expect(op,
               kg_op_int(op, KG_A_ASYNC, 0) == vec * size && kg_async_bytes_legal((int)vec * size),
               "async width");
    if ((op->code == KG_OP_LOAD || op->code == KG_OP_STORE) && vec > 1) {
        const kg_value *moved = op->n_results ? op->results[0] : op->operands[1];
        expect(op, kg_layout_vector(moved->layout) >= vec, "wider than the thread's run");
    }
}

static void check_dot(const kg_op *op)
{
    for (int i = 0; i < 2; i++)
        if (op->operands[i]->type.home == KG_HOME_SHARED && kg_dot_kind_of(op) == KG_DOT_MMA_F16) {
            kg_shared_layout layout = kg_shared_layout_of(kg_root(op->operands[i]));
            expect(op, layout.pitch * 2 % 16 == 0, "rows for ldmatrix are not 16-byte aligned");
            expect(op, !layout.bits || layout.chunk_log2 >= 4, "swizzle tears rows of ldmatrix");
            kg_access access[KG_MAX_EFFECTS];
            int n = kg_op_accesses(op, access);
            for (int j = 0; j < n; j++) {
                kg_bank_count count = kg_bank_of_access(&access[j], &layout);
                expect(op, count.wavefronts == count.phases, "ldmatrix meets bank conflicts");
            }
        }
}

static bool check_op(kg_op *op, void *user)
{
    const kg_kernel *kernel = user;
    kg_op_class cls = kg_op_info_of(op->code)->cls;
    for (int i = 0; i < op->n_results; i++) check_value(op, op->results[i]);
    for (int i = 0; i < op->n_operands; i++) {
        kg_layout wanted;
        check_value(op, op->operands[i]);
        if (kg_layout_demand(op, i, op->n_results ? op->results[0]->layout : NULL, &wanted))
            expect(op, kg_layout_equal(op->operands[i]->layout, &wanted), "operand lies elsewhere");
    }
    if (op->code == KG_OP_CONVERT)
        expect(op, kg_layout_distance(op->operands[0]->layout, op->results[0]->layout) <= 2,
               "crosses warps");
    if ((cls == KG_CLASS_R || cls == KG_CLASS_N) && kg_is_tile(op->operands[0]))
        check_reduction(op);
    if (cls == KG_CLASS_M) check_memory(kernel, op);
    if (cls == KG_CLASS_D) check_dot(op);
    if (op->code == KG_OP_FETCH_ADD) expect(op, op->n_operands == 3, "without a cell");
    if (op->code == KG_OP_SHARED)
        expect(op, kg_op_attr(op, KG_A_PITCH) || !op->results[0]->type.rank, "without a pitch");
    return true;
}

static int n_files;
static char **files;

static void programs_meet_the_contracts(void **state)
{
    for (int i = 0; i < n_files; i++) {
        program p;
        run_text(&p, files[i], read_file(files[i]), NULL, 0);
        show_findings(&p);
        assert_true(p.fine);
        for (kg_kernel *k = p.unit->kernels; k; k = k->next) {
            assert_int_equal(k->level, KG_LEVEL_LAID_OUT);
            kg_walk(k->body, check_op, k);
        }
        kg_arena_free(&p.arena);
    }
}

// ---- choices ------------------------------------------------------------------------------------

typedef struct census {
    int count[KG_OP_COUNT];
    int partial;
} census;

static bool take_census(kg_op *op, void *user)
{
    census *c = user;
    c->count[op->code]++;
    c->partial += kg_op_attr(op, KG_A_PARTIAL) != NULL;
    return true;
}

static census census_of(const program *p, const char *name)
{
    census c = {{0}, 0};
    for (kg_kernel *k = p->unit->kernels; k; k = k->next)
        if (!strcmp(k->name, name)) {
            kg_walk(k->body, take_census, &c);
            return c;
        }
    fail_msg("no kernel %s", name);
    return c;
}

// How many scratch buffers each program may need: what crosses warps, and nothing else.
static void exchanges_are_few(void **state)
{
    static const struct {
        const char *name;
        int shared, partial, converts;
    } wanted[] = {
        {"softmax_wide", 2, 2, 0}, {"softmax_rows", 0, 0, 0}, {"total", 1, 1, 0},
        {"prefix", 0, 0, 0},       {"prefix_rows", 0, 0, 0},  {"turn", 1, 0, 0},
        {"norm", 0, 0, 0},         {"attend", 3, 0, 0},       {"dequant", 3, 0, 0},
        {"recurrent", 0, 0, 0},    {"ticket", 1, 0, 0},       {"tiny", 0, 0, 0},
        {"outer", 0, 0, 0},
    };
    program p;
    run_text(&p, files[0], read_file(files[0]), NULL, 0);
    assert_true(p.fine);
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        census c = census_of(&p, wanted[i].name);
        if (c.count[KG_OP_SHARED] != wanted[i].shared || c.partial != wanted[i].partial ||
            c.count[KG_OP_CONVERT] != wanted[i].converts)
            fail_msg("%s: %d buffers, %d partial reductions, %d converts", wanted[i].name,
                     c.count[KG_OP_SHARED], c.partial, c.count[KG_OP_CONVERT]);
    }
    kg_arena_free(&p.arena);
}

static void tiles_of_other_warps_are_refused(void **state)
{
    program p;
    run_text(&p, "bad.kg",
             "kernel bad(x: global f32[128], y: global f32[128])\n{\n  v = load x[..]\n"
             "  warps 0 .. 2 {\n    store y[..] = v\n  }\n}\n",
             NULL, 0);
    assert_false(p.fine);
    assert_non_null(p.diags.first);
    assert_int_equal(p.diags.first->id, KG_D_V205);
    assert_non_null(p.diags.first->help);
    kg_arena_free(&p.arena);
}

// Passing the text of a lowered kernel through the parser gives the same kernel.
static void lowered_kernels_print_and_parse(void **state)
{
    program p, again;
    run_text(&p, files[0], read_file(files[0]), NULL, 0);
    assert_true(p.fine);
    char *text = kg_print_unit(&p.arena, p.unit);
    memset(&again, 0, sizeof again);
    kg_arena_init(&again.arena, NULL);
    again.arena.recovery = &again.recovery;
    again.diags.arena = &again.arena;
    again.source = (kg_source){"printed", text, strlen(text)};
    again.unit = kg_parse(&again.arena, &again.diags, &again.source, NULL, 0);
    show_findings(&again);
    assert_non_null(again.unit);
    assert_string_equal(text, kg_print_unit(&again.arena, again.unit));
    kg_arena_free(&again.arena);
    kg_arena_free(&p.arena);
}

int main(int argc, char **argv)
{
    n_files = argc - 1;
    files = argv + 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(programs_meet_the_contracts),
        cmocka_unit_test(exchanges_are_few),
        cmocka_unit_test(tiles_of_other_warps_are_refused),
        cmocka_unit_test(lowered_kernels_print_and_parse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
