// SPDX-License-Identifier: MIT
//
// Every template is built through cg_template() for every target that it claims, in one PTX text a
// target; the re-reader must name each again, and ptxas must accept the whole.
#include "support.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

// A legal immediate for the operand: `from_end` counts the immediates that follow it.
static int immediate(const struct cg_ptx *row, unsigned nth, unsigned from_end)
{
    static const int exchange[] = {-1, 31, 16}; // members, clamp, lane
    switch (row->class) {
    case CG_CLASS_BARRIER: // id and threads; the id may be in a register
        return nth == 0 && strncmp(row->constraints, "r,", 2) ? 1 : 64;
    case CG_CLASS_WARP_SYNC:
        return -1;
    case CG_CLASS_SHUFFLE:
    case CG_CLASS_VOTE:
        return exchange[from_end];
    case CG_CLASS_CONTROL:
        return 40; // registers in eights, or nanoseconds
    default:
        return 1;
    }
}

// 64-bit values are loaded: ptxas 13.0 crashes on an mbarrier state that is a kernel parameter.
static cg_value some_value(struct bench *bench, char letter)
{
    struct cg_module *m = bench->m;
    cg_value word = argument(bench, ARGUMENT_I32);
    struct cg_access access = global_access(bench, 0);
    cg_value wide;
    access.flags = CG_ACCESS_VOLATILE;
    switch (letter) {
    case 'l':
        return cg_load(m, &access, CG_I64, 1, &wide) ? wide : NULL;
    case 'f':
        return argument(bench, ARGUMENT_F32);
    case 'h':
        return cg_trunc(m, word, CG_I16);
    case 'b':
        return cg_slt(m, word, cg_i32(m, 7));
    default:
        return word;
    }
}

static void call(struct bench *bench, enum cg_ptx_id id)
{
    cg_value arguments[CG_PTX_OPERAND_LIMIT], results[CG_PTX_OPERAND_LIMIT];
    const struct cg_ptx *row = cg_ptx_get(id);
    struct cg_ptx_operands operands = cg_ptx_operands(row);
    unsigned immediates = 0, nth = 0;
    const char *letters = operands.letters + operands.results;
    for (unsigned i = 0; i < operands.arguments; i++) immediates += letters[i] == 'n';
    for (unsigned i = 0; i < operands.arguments; i++) {
        arguments[i] = some_value(bench, letters[i]);
        if (letters[i] != 'n') continue;
        arguments[i] = cg_i32(bench->m, immediate(row, nth, immediates - nth - 1));
        nth++;
    }
    cg_template(bench->m, id, arguments, operands.arguments, results, row->name);
    for (unsigned i = 0; i < operands.results; i++) store_global(bench, 16 * i, results[i]);
    if (cg_module_status(bench->m)) fail_msg("%s: %s", row->name, cg_module_error(bench->m));
}

// Each row that the target has, once and in the order of the table, and nothing else.
static void check_reread(struct bench *bench, const struct cg_target *target)
{
    struct cg_reread reread;
    size_t at = 0;
    assert_int_equal(
        cg_reread(NULL, bench->out.ptx, bench->out.ptx_length, CG_CLASSES_ALL, &reread), CG_OK);
    for (unsigned id = 0; id < CG_PTX_COUNT; id++) {
        const struct cg_ptx *row = cg_ptx_get((enum cg_ptx_id)id);
        if (!cg_ptx_supported(row, target) || !row->flags) continue;
        while (at < reread.count && !cg_ptx_get(reread.instructions[at].id)->flags) at++;
        assert_true(at < reread.count);
        struct cg_instruction *found = &reread.instructions[at++];
        if (found->id != (enum cg_ptx_id)id || found->tag.length != strlen(row->name) ||
            memcmp(found->tag.start, row->name, found->tag.length))
            fail_msg("%s was read as %s, '%.*s'", row->name, cg_ptx_get(found->id)->name,
                     (int)found->text.length, found->text.start);
    }
    cg_reread_free(NULL, &reread);
}

static void assembles_for(void **state)
{
    const struct cg_target *target = *state;
    struct bench bench;
    bench_open(&bench, target->name);
    for (unsigned id = 0; id < CG_PTX_COUNT; id++)
        if (cg_ptx_supported(cg_ptx_get((enum cg_ptx_id)id), target))
            call(&bench, (enum cg_ptx_id)id);
    const char *ptx = bench_ptx(&bench);
    check_reread(&bench, target);
    bool accepted = !*ptxas_path || ptxas_accepts(ptx, target->name, NULL, 0);
    bench_close(&bench);
    assert_true(accepted);
    if (!*ptxas_path) skip();
}

// The PTX version of a text is the lowest that its instructions need: one text for each template.
static void states_the_lowest_version(void **state)
{
    struct bench bench;
    for (unsigned id = 0; id < CG_PTX_COUNT; id++) {
        const struct cg_ptx *row = cg_ptx_get((enum cg_ptx_id)id);
        const struct cg_target *target = cg_target_find("sm_80");
        if (!cg_ptx_supported(row, target) || row->ptx <= target->ptx) continue;
        bench_open(&bench, "sm_80");
        call(&bench, (enum cg_ptx_id)id);
        const char *ptx = bench_ptx(&bench);
        assert_int_equal(bench.out.ptx_version, row->ptx);
        bool accepted = !*ptxas_path || ptxas_accepts(ptx, "sm_80", NULL, 0);
        if (!accepted) printf("# %s at PTX %u\n", row->name, row->ptx);
        bench_close(&bench);
        assert_true(accepted);
    }
}

static const cg_type types[] = {CG_I1,   CG_I8,  CG_I16, CG_I32,   CG_I64,   CG_F16,
                                CG_BF16, CG_F32, CG_F64, CG_F16X2, CG_BF16X2};
enum { TYPE_COUNT = sizeof types / sizeof types[0] };

static bool floating(cg_type type)
{
    return CG_KIND(type) >= CG_F16;
}

// A value of any type that LLVM cannot fold.
static cg_value value_of(struct bench *bench, cg_type type)
{
    cg_value lanes[2];
    struct cg_access access = global_access(bench, 0);
    if (type == CG_I1) return cg_ne(bench->m, argument(bench, ARGUMENT_I32), cg_i32(bench->m, 3));
    access.flags = CG_ACCESS_VOLATILE;
    cg_load(bench->m, &access, CG_KIND(type), CG_LANES(type) ? 2 : 1, lanes);
    return CG_LANES(type) ? cg_pack(bench->m, type, lanes) : lanes[0];
}

static void build_operations(struct bench *bench, cg_type type)
{
    struct cg_module *m = bench->m;
    cg_value a = value_of(bench, type), b = value_of(bench, type), c = value_of(bench, type);
    for (int op = 0; op < CG_BINARY_COUNT; op++) {
        bool is_float = (op >= CG_FADD && op <= CG_FDIV) || op >= CG_FMIN;
        if (is_float == floating(type))
            store_global(bench, 0, cg_binary(m, (enum cg_binary_op)op, a, b));
    }
    for (int op = 0; op < CG_UNARY_COUNT; op++) {
        bool is_float = op >= CG_UNARY_FNEG && op <= CG_UNARY_ROUND;
        if (is_float == floating(type))
            store_global(bench, 0, cg_unary(m, (enum cg_unary_op)op, a));
    }
    for (int op = 0; op < CG_COMPARE_COUNT && !CG_LANES(type); op++)
        if ((op >= CG_COMPARE_FEQ) == floating(type))
            store_global(bench, 0, cg_compare(m, (enum cg_compare_op)op, a, b));
    if (floating(type)) store_global(bench, 0, cg_fma(m, a, b, c));
    store_global(bench, 0, cg_select(m, cg_slt(m, argument(bench, 1), cg_i32(m, 2)), a, b));
}

static void build_conversions(struct bench *bench, cg_type from)
{
    struct cg_module *m = bench->m;
    cg_value a = value_of(bench, from);
    for (unsigned i = 0; i < TYPE_COUNT; i++) {
        cg_type to = types[i];
        bool wider = cg_type_bits(to) > cg_type_bits(from);
        bool narrower = cg_type_bits(to) < cg_type_bits(from);
        if (CG_LANES(from) || CG_LANES(to)) continue;
        if (!floating(from) && !floating(to) && wider)
            store_global(bench, 0, cg_zext(m, a, to)), store_global(bench, 0, cg_sext(m, a, to));
        if (!floating(from) && !floating(to) && narrower)
            store_global(bench, 0, cg_trunc(m, a, to));
        if (floating(from) && floating(to) && wider) store_global(bench, 0, cg_fpext(m, a, to));
        if (floating(from) && floating(to) && narrower)
            store_global(bench, 0, cg_fptrunc(m, a, to));
        if (!floating(from) && floating(to))
            store_global(bench, 0, cg_s2f(m, a, to)), store_global(bench, 0, cg_u2f(m, a, to));
        if (floating(from) && !floating(to) && to != CG_I1)
            store_global(bench, 0, cg_f2s(m, a, to)), store_global(bench, 0, cg_f2u(m, a, to));
    }
}

// Every operation on every type becomes instructions: no call, no local memory, and ptxas agrees.
static void operations_become_instructions(void **state)
{
    static const char *const names[] = {"sm_80", "sm_90", "sm_120"};
    struct bench bench;
    for (unsigned i = 0; i < 3; i++)
        for (unsigned t = 0; t < TYPE_COUNT; t++) {
            bench_open(&bench, names[i]);
            build_operations(&bench, types[t]);
            build_conversions(&bench, types[t]);
            const char *ptx = bench_ptx(&bench);
            if (strstr(ptx, "call") || bench.out.local_memory)
                fail_msg("type %#x: a call or local memory in\n%s", types[t], ptx);
            if (*ptxas_path) assert_true(ptxas_accepts(ptx, names[i], NULL, 0));
            bench_close(&bench);
        }
}

int main(int argc, char **argv)
{
    struct CMUnitTest tests[64];
    char names[64][64];
    size_t count = 0;
    if (argc > 1) ptxas_path = argv[1];
    for (size_t i = 0; i < cg_target_count(); i++, count++) {
        const struct cg_target *target = cg_target_at(i);
        snprintf(names[i], sizeof names[i], "every template assembles for %s", target->name);
        tests[count] = (struct CMUnitTest){names[i], assembles_for, NULL, NULL, (void *)target};
    }
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(states_the_lowest_version);
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(operations_become_instructions);
    return _cmocka_run_group_tests("codegen templates", tests, count, NULL, NULL);
}
