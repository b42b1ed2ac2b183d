// SPDX-License-Identifier: MIT
// Arena, op table, scalar expressions, divisors, "did you mean"; the op table in docs/language.md.
#include "tests/ir/ir_test.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// ---- arena -------------------------------------------------------------------------------------
static void test_arena(void **state)
{
    kg_arena arena;
    jmp_buf recovery;
    kg_arena_init(&arena, NULL);
    arena.recovery = &recovery;
    if (setjmp(recovery)) fail();
    for (size_t bytes = 0; bytes < 5000; bytes += 7) {
        char *memory = kg_arena_alloc(&arena, bytes);
        assert_int_equal((uintptr_t)memory % 16, 0);
        for (size_t i = 0; i < bytes; i++) assert_int_equal(memory[i], 0);
        memset(memory, 0xff, bytes);
    }
    assert_string_equal(kg_arena_printf(&arena, "%s-%d", "x", 7), "x-7");
    assert_string_equal(kg_arena_strndup(&arena, "hello", 4), "hell");
    kg_arena_free(&arena);
    assert_int_equal(arena.total, 0);
}

static void test_arena_request_too_large(void **state)
{
    kg_arena arena;
    jmp_buf recovery;
    kg_arena_init(&arena, NULL);
    arena.recovery = &recovery;
    volatile bool came_back = false;
    if (setjmp(recovery))
        came_back = true;
    else
        kg_arena_alloc(&arena, (size_t)2 << 30);
    assert_true(came_back);
    kg_arena_free(&arena);
}

typedef struct budget {
    int left, alive;
} budget;

static void *take(void *user, size_t bytes)
{
    budget *account = user;
    if (account->left-- <= 0) return NULL;
    account->alive++;
    return malloc(bytes);
}

static void give(void *user, void *memory)
{
    budget *account = user;
    account->alive -= memory != NULL;
    free(memory);
}

static char *long_text(void)
{
    char *text = malloc(200000), *p = text;
    p += sprintf(p, "kernel k(x: global f32[N])\n{\n");
    for (int i = 0; i < 2000; i++)
        p += sprintf(p, "  v%d = exp(load x[%d ..+ 16]) * %d.5\n", i, i, i);
    sprintf(p, "}\n");
    return text;
}

// Parse, verify and print with the n-th allocation failing, for every n: back at the recovery
// point, nothing lost.
static void test_no_memory(void **state)
{
    char *text = long_text();
    for (int n = 0;; n++) {
        budget account = {.left = n};
        kg_allocator allocator = {take, give, &account};
        kg_arena arena;
        jmp_buf recovery;
        kg_arena_init(&arena, &allocator);
        arena.recovery = &recovery;
        volatile bool done = false;
        if (setjmp(recovery) == 0) {
            kg_diags *diags = KG_NEW(&arena, kg_diags);
            kg_source source = {"long.kg", text, strlen(text)};
            diags->arena = &arena;
            kg_unit *unit = kg_parse(&arena, diags, &source, NULL, 0);
            assert_true(kg_verify(unit->kernels, diags));
            kg_print_unit(&arena, unit);
            done = true;
        }
        kg_arena_free(&arena);
        assert_int_equal(account.alive, 0);
        if (done) break;
        assert_true(n < 200);
    }
    free(text);
}

// ---- tables ------------------------------------------------------------------------------------
static void test_op_table(void **state)
{
    for (int i = 0; i < KG_OP_COUNT; i++) {
        const kg_op_info *info = kg_op_info_of((kg_opcode)i);
        kg_opcode code;
        assert_true(kg_op_named(info->name, &code));
        assert_int_equal(code, i); // names are different
        assert_true(strlen(info->doc) > 1);
        for (int e = 0; e < info->n_effects; e++)
            assert_true(info->effects[e].operand == KG_OPERAND_ALL ||
                        info->effects[e].operand < info->max_operands);
    }
    kg_opcode code;
    assert_false(kg_op_named("nothing", &code));
    assert_int_equal(kg_op_info_of(KG_OP_COPY_ASYNC)->effects[0].completes, KG_COMPLETES_GROUP);
    assert_int_equal(kg_op_info_of(KG_OP_SIGNAL)->effects[1].operand, KG_OPERAND_ALL);
}

static void test_dtypes(void **state)
{
    for (int i = 0; i < KG_DTYPE_COUNT; i++) {
        kg_dtype dtype;
        assert_true(kg_dtype_named(kg_dtype_info_of((kg_dtype)i)->name, &dtype));
        assert_int_equal(dtype, i);
        assert_true(kg_dtype_bytes(dtype) >= 1);
    }
}

static void test_nearest_name(void **state)
{
    const char *names[] = {"store", "load", "sigmoid", "x"};
    assert_string_equal(kg_nearest_name("stroe", names, 4), "store");
    assert_string_equal(kg_nearest_name("sigmid", names, 4), "sigmoid");
    assert_null(kg_nearest_name("banana", names, 4));
    assert_null(kg_nearest_name("y", names, 4));
    assert_null(kg_nearest_name("", names, 4));
}

// ---- scalar expressions ------------------------------------------------------------------------
static const char sizes[] = "kernel k(x: global f32[A, B], n: i32)\n"
                            "  assume A % 8 == 0, B % 6 == 0 and n % 32 == 0, (A + n) % 64 == 0\n"
                            "  grid a: ceildiv(A, 8), b: max(A / 4, B - 1) % 7, c: A * B\n"
                            "{\n"
                            "  for i in n .. 100 step 16 {\n"
                            "    p = i * 4\n    q = p + 8\n    r = p / 16\n    s = i % 24\n    t = "
                            "i << 3\n    u = -q\n    v = select(i > 3, p, i)\n"
                            "    store x[p, q] = 1.0\n    store x[r, s] = 1.0\n    store x[t, u] = "
                            "1.0\n    store x[v, n + 0] = 1.0\n"
                            "  }\n"
                            "}\n";

static void test_eval(void **state)
{
    ir_test *t = ir_test_new();
    kg_unit *unit = ir_parse(t, sizes);
    if (!unit) fail_msg("%s", ir_report(t));
    const kg_kernel *k = unit->kernels;
    assert_string_equal(k->params[2]->name, "A");
    int64_t values[4] = {0, 64, 20, 7}, out; // x, n, A, B
    assert_true(kg_sexpr_eval(k->grid[0].extent, values, &out));
    assert_int_equal(out, 3);
    assert_true(kg_sexpr_eval(k->grid[1].extent, values, &out));
    assert_int_equal(out, 6);
    values[2] = -20;
    assert_true(kg_sexpr_eval(k->grid[0].extent, values, &out));
    assert_int_equal(out, -2);
    values[2] = INT64_MAX;
    assert_false(kg_sexpr_eval(k->grid[2].extent, values, &out));
    ir_test_free(t);
}

static void test_fold(void **state)
{
    ir_test *t = ir_test_new();
    kg_arena *a = &t->arena;
    const struct {
        kg_sexpr_kind kind;
        int64_t x, y, out;
    } folds[] = {{KG_SX_ADD, 2, 3, 5},     {KG_SX_DIV, -7, 2, -4},     {KG_SX_MOD, -7, 2, 1},
                 {KG_SX_CEILDIV, 7, 2, 4}, {KG_SX_CEILDIV, -7, 2, -3}, {KG_SX_MIN, 2, 3, 2},
                 {KG_SX_AND, 2, 0, 0},     {KG_SX_LE, 2, 2, 1}};
    for (size_t i = 0; i < sizeof folds / sizeof *folds; i++) {
        kg_sexpr *e = kg_sexpr_binary(a, folds[i].kind, kg_sexpr_int(a, folds[i].x),
                                      kg_sexpr_int(a, folds[i].y));
        assert_int_equal(e->kind, KG_SX_INT);
        assert_int_equal(e->value, folds[i].out);
    }
    int64_t out;
    kg_sexpr *zero = kg_sexpr_binary(a, KG_SX_DIV, kg_sexpr_int(a, 1), kg_sexpr_int(a, 0));
    assert_int_equal(zero->kind, KG_SX_DIV);
    assert_false(kg_sexpr_eval(zero, NULL, &out));
    kg_sexpr *large = kg_sexpr_binary(a, KG_SX_MUL, kg_sexpr_int(a, INT64_MAX), kg_sexpr_int(a, 2));
    assert_false(kg_sexpr_eval(large, NULL, &out));
    kg_sexpr *guarded = kg_sexpr_binary(a, KG_SX_AND, kg_sexpr_int(a, 0), zero);
    assert_true(kg_sexpr_eval(guarded, NULL, &out)); // the right side is not looked at
    ir_test_free(t);
}

static int64_t divisor_of(const kg_kernel *k, const char *name)
{
    for (const kg_op *op = k->body->last->blocks[0]->first; op; op = op->next)
        if (op->n_results && op->results[0]->name && !strcmp(op->results[0]->name, name))
            return kg_value_divisor(k, op->results[0]);
    fail_msg("no value %s", name);
    return 0;
}

static void test_divisors(void **state)
{
    ir_test *t = ir_test_new();
    kg_unit *unit = ir_parse(t, sizes);
    if (!unit) fail_msg("%s", ir_report(t));
    const kg_kernel *k = unit->kernels;
    const kg_tensor *x = k->params[0]->tensor;
    assert_int_equal(kg_sexpr_divisor(k, x->dims[0]), 8);
    assert_int_equal(kg_sexpr_divisor(k, x->dims[1]), 2); // the power of two in 6
    assert_int_equal(kg_sexpr_divisor(k, k->grid[2].extent), 16);
    assert_int_equal(kg_value_divisor(k, k->params[1]), 32);
    assert_int_equal(divisor_of(k, "p"), 64); // i runs from n by 16
    assert_int_equal(divisor_of(k, "q"), 8);
    assert_int_equal(divisor_of(k, "r"), 4);
    assert_int_equal(divisor_of(k, "s"), 8);
    assert_int_equal(divisor_of(k, "t"), 128);
    assert_int_equal(divisor_of(k, "u"), 8);
    assert_int_equal(divisor_of(k, "v"), 16);
    ir_test_free(t);
}

// ---- the reference -----------------------------------------------------------------------------
// docs/language.md names every op with its own line of documentation, as it stands in the table.
static const char *reference;

static void test_reference(void **state)
{
    static char text[1 << 18];
    FILE *file = fopen(reference, "rb");
    if (!file) fail_msg("cannot open %s", reference);
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    fclose(file);
    const char *ops = strstr(text, "## Ops");
    assert_non_null(ops);
    for (int i = 0; i < KG_OP_COUNT; i++) {
        char line[1024];
        const kg_op_info *info = kg_op_info_of((kg_opcode)i);
        snprintf(line, sizeof line, "| `%s` |", info->name);
        const char *row = strstr(ops, line);
        if (!row) fail_msg("no row for %s: run ir/op-table --write", info->name);
        const char *doc = strstr(row, info->doc), *end = strchr(row, '\n');
        if (!doc || doc > end) fail_msg("the row of %s does not say: %s", info->name, info->doc);
    }
    for (int i = 0; i < KG_ATTR_COUNT; i++) {
        char word[64];
        snprintf(word, sizeof word, "`%s`", kg_attr_info_of((kg_attr_key)i)->name);
        if (!strstr(text, word)) fail_msg("attribute %s is not in the reference", word);
    }
    for (int i = 0; i < KG_DIAG_COUNT; i++)
        if (kg_diag_id_name((kg_diag_id)i)[3] <= 'V' &&
            !strstr(text, kg_diag_id_name((kg_diag_id)i)) &&
            strchr("PTV", kg_diag_id_name((kg_diag_id)i)[3]))
            fail_msg("%s is not in the reference", kg_diag_id_name((kg_diag_id)i));
}

int main(int argc, char **argv)
{
    reference = argc > 1 ? argv[1] : "docs/language.md";
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arena),     cmocka_unit_test(test_arena_request_too_large),
        cmocka_unit_test(test_no_memory), cmocka_unit_test(test_op_table),
        cmocka_unit_test(test_dtypes),    cmocka_unit_test(test_nearest_name),
        cmocka_unit_test(test_eval),      cmocka_unit_test(test_fold),
        cmocka_unit_test(test_divisors),  cmocka_unit_test(test_reference)};
    return cmocka_run_group_tests_name("ir_core", tests, NULL, NULL);
}
