// SPDX-License-Identifier: MIT
// The builder makes the same IR as text, and survives wrong calls in any order.
#include "tests/ir/ir_test.h"
#include "ir/builder.h"
#include <stdlib.h>
#include <string.h>

static void check_equal(kg_build *b, const char *text)
{
    ir_test *t = ir_test_new();
    kg_unit *unit = ir_parse(t, text), *built = kg_build_unit(b);
    if (!unit) fail_msg("%s", ir_report(t));
    if (!built) fail_msg("%s", kg_build_report(b));
    if (!kg_kernel_equal(unit->kernels, built->kernels))
        fail_msg("text:\n%s\nbuilt:\n%s", ir_print(t, unit), kg_build_text(b));
    assert_string_equal(ir_print(t, unit), kg_build_text(b));
    ir_test_free(t);
    kg_build_free(b);
}

static kg_value *times(kg_build *b, kg_value *x, int factor)
{
    return kg_build_op(b, KG_OP_MUL, 2, x, kg_build_int(b, factor));
}

static void test_matmul(void **state)
{
    enum { BM = 128, BN = 64, BK = 32 };
    kg_build *b = kg_build_new(NULL);
    kg_build_kernel(b, "matmul");
    kg_sexpr *m = kg_build_size(b, "M"), *k = kg_build_size(b, "K"), *n = kg_build_size(b, "N");
    kg_value *a = kg_build_tensor(b, "a", KG_BF16, 2, m, k);
    kg_value *w = kg_build_tensor(b, "w", KG_BF16, 2, k, n);
    kg_value *c = kg_build_tensor(b, "c", KG_F32, 2, m, n);
    kg_build_strides(b, a, 2, kg_build_stride(b, "lda"), kg_build_size_int(b, 1));
    kg_build_align(b, w, 32);
    kg_build_assume(b, kg_build_size_op(b, KG_SX_EQ,
                                        kg_build_size_op(b, KG_SX_MOD, k, kg_build_size_int(b, 8)),
                                        kg_build_size_int(b, 0)));
    kg_build_warps(b, 8);
    kg_build_ctas(b, 2);
    kg_build_schedule(b, "producers", 1, 1);
    kg_build_schedule(b, "registers", 2, 24, 104);
    kg_value *j =
        kg_build_grid(b, "j", kg_build_size_op(b, KG_SX_CEILDIV, n, kg_build_size_int(b, BN)));
    kg_value *i =
        kg_build_grid(b, "i", kg_build_size_op(b, KG_SX_CEILDIV, m, kg_build_size_int(b, BM)));
    kg_value *acc = kg_build_frag_tile(b, "acc", KG_F32, kg_build_float(b, 0), 2, BM, BN);
    kg_value *steps = kg_build_name(
        b, kg_build_op(b, KG_OP_DIV, 2, kg_build_param(b, "K"), kg_build_int(b, BK)), "steps");
    kg_value *s = kg_build_for(b, "s", kg_build_int(b, 0), steps, NULL, 3, 0);
    kg_value *sa = kg_build_shared(b, "sa", KG_BF16, 0, 2, BM, BK);
    kg_value *from = times(b, i, BM);
    kg_build_copy(b, sa, kg_build_view(b, a, 2, kg_from(from, BM), kg_from(times(b, s, BK), BK)));
    kg_value *sw = kg_build_shared(b, "sw", KG_BF16, 0, 2, BK, BN);
    kg_value *start = times(b, s, BK);
    kg_build_copy(b, sw, kg_build_view(b, w, 2, kg_from(start, BK), kg_from(times(b, j, BN), BN)));
    kg_build_assign(b, acc, kg_build_op(b, KG_OP_DOT, 3, sa, sw, acc));
    kg_build_end(b);
    kg_value *row = times(b, i, BM);
    kg_build_store(b, kg_build_view(b, c, 2, kg_from(row, BM), kg_from(times(b, j, BN), BN)), acc,
                   NULL);
    check_equal(
        b, "kernel matmul(a: global bf16[M, K] strides [lda, 1], w: global bf16[K, N] align 32, c: "
           "global f32[M, N])\n"
           "  implicit M: i32, K: i32, N: i32, lda: i64\n"
           "  warps 8\n  ctas 2\n  schedule registers [24, 104], producers 1\n"
           "  assume K % 8 == 0\n  grid j: ceildiv(N, 64), i: ceildiv(M, 128)\n{\n"
           "  frag acc: f32[128, 64] = 0.0\n  steps = K / 32\n  for s in 0 .. steps pipeline 3 {\n"
           "    shared sa: bf16[128, 32] = load a[i*128 .., s*32 ..]\n"
           "    shared sw: bf16[32, 64] = load w[s*32 .., j*64 ..]\n    acc += sa @ sw\n  }\n"
           "  store c[i*128 .., j*64 ..] = acc\n}\n");
}

static void test_everything(void **state)
{
    kg_build *b = kg_build_new(NULL);
    kg_build_kernel(b, "all");
    kg_sexpr *n = kg_build_size(b, "N");
    kg_value *x = kg_build_tensor(b, "x", KG_F32, 1, n);
    kg_value *y = kg_build_tensor(b, "y", KG_F32, 2, kg_build_size_int(b, 64), n);
    kg_value *c = kg_build_tensor(b, "c", KG_I32, 1, n);
    kg_value *limit = kg_build_scalar(b, "limit", KG_I32);
    kg_build_alias(b, y, x);
    kg_value *lanes = kg_build_name(b, kg_build_iota(b, KG_I32, 0, 1, 16), "lanes");
    kg_value *small = kg_build_name(b, kg_build_op(b, KG_OP_LT, 2, lanes, limit), "small");
    kg_value *t =
        kg_build_load(b, kg_build_view(b, x, 1, kg_from(limit, 16)), small, kg_build_float(b, 2));
    kg_build_name(b, t, "t");
    kg_build_name(
        b, kg_build_load(b, kg_build_view(b, y, 2, kg_at(limit), kg_gather(lanes)), NULL, NULL),
        "g");
    kg_value *u = kg_build_name(b, kg_build_op(b, KG_OP_ADD, 2, kg_build_expand(b, t, 1), t), "u");
    kg_build_name(b, kg_build_transpose(b, u), "v");
    kg_build_name(b, kg_build_part(b, u, -1, 8, 16), "w");
    kg_build_name(b, kg_build_along(b, KG_OP_SUM, u, KG_ALL_AXES), "total");
    kg_build_name(b, kg_build_along(b, KG_OP_RMAX, u, -1), "top");
    kg_build_name(b, kg_build_along(b, KG_OP_CUMSUM, u, 0), "run");
    kg_build_name(b, kg_build_cast(b, t, KG_F16), "half");
    kg_build_name(b, kg_build_bitcast(b, t, KG_I32), "bits");
    kg_build_name(b, kg_build_broadcast(b, kg_build_const(b, KG_F64, 1.5), 2, 4, 4), "full");
    kg_build_name(b, kg_build_op(b, KG_OP_SELECT, 3, small, t, kg_build_int(b, 1)), "chosen");
    kg_build_name(b, kg_build_op(b, KG_OP_FMA, 3, t, t, kg_build_float(b, 0.5)), "f");
    kg_value *ring = kg_build_shared(b, "ring", KG_F32, 3, 1, 16);
    kg_value *slot = kg_build_slot(b, ring, limit, 0); // C may evaluate arguments in any order
    kg_build_copy_async(b, slot, kg_build_view(b, x, 1, kg_all(16)));
    kg_build_attr_int(b, "async", 16);
    kg_build_commit(b);
    kg_build_wait(b, 1);
    kg_build_barrier(b);
    kg_build_store(b, kg_build_slot(b, ring, limit, 1, kg_from(kg_build_int(b, 0), 8)),
                   kg_build_int(b, 3), NULL);
    kg_build_role(b, 0, 2, "first");
    kg_build_arrive(b, 1, 128);
    kg_build_warp_sync(b);
    kg_build_end(b);
    kg_build_named_barrier(b, 2, 128);
    kg_build_fence(b, "release", "gpu");
    kg_value *old = kg_build_fetch_add(b, kg_build_view(b, c, 1, kg_at(kg_build_int(b, 0))),
                                       kg_build_int(b, 1));
    kg_build_name(b, old, "old");
    kg_build_signal(b, kg_build_view(b, c, 1, kg_at(kg_build_int(b, 1))), old);
    kg_build_await(b, kg_build_view(b, c, 1, kg_at(kg_build_int(b, 2))), true, kg_build_int(b, 4));
    kg_build_atomic(b, KG_OP_ATOMIC_MAX, kg_build_view(b, c, 1, kg_from(kg_build_int(b, 0), 16)),
                    lanes, small);
    kg_value *count = kg_build_frag(b, "count", kg_build_int(b, 0));
    kg_build_while(b);
    kg_build_do(b, kg_build_op(b, KG_OP_LT, 2, count, limit));
    kg_build_if(b, kg_build_op(b, KG_OP_EQ, 2, count, kg_build_int(b, 2)));
    kg_build_assign(b, count, kg_build_int(b, 5));
    kg_build_else(b);
    kg_build_assign(b, count, kg_build_op(b, KG_OP_ADD, 2, count, kg_build_int(b, 1)));
    kg_build_end(b);
    kg_build_end(b);
    check_equal(
        b,
        "kernel all(x: global f32[N], y: global f32[64, N] alias x, c: global i32[N], limit: "
        "i32)\n{\n"
        "  lanes = iota(16)\n  small = lanes < limit\n  t = load x[limit .. + 16] where small else "
        "2.0\n"
        "  g = load y[limit, lanes]\n  u = t[:, None] + t\n  v = transpose(u)\n"
        "  w = part(u, axis=1, first=8, last=16)\n  total = sum(u)\n"
        "  top = max(u, axis=1)\n  run = cumsum(u, axis=0)\n  half = cast(t, f16)\n  bits = "
        "bitcast(t, i32)\n"
        "  full = full(f64(1.5), [4, 4])\n  chosen = select(small, t, 1)\n  f = fma(t, t, 0.5)\n"
        "  shared ring: f32[16] ring 3\n  copy_async ring[limit] = x[..] {async=16}\n  commit\n  "
        "wait 1\n  barrier\n"
        "  ring[limit; 0 ..+ 8] = 3\n  warps 0 .. 2 as first {\n    arrive id 1 count 128\n    "
        "warp_sync\n  }\n"
        "  barrier id 2 count 128\n  fence release gpu\n  old = fetch_add c[0], 1\n  signal c[1] = "
        "old\n"
        "  await c[2] >= 4\n  atomic_max c[0 ..] = lanes where small\n  frag count = 0\n  while "
        "count < limit {\n"
        "    if count == 2 { count = 5 } else { count += 1 }\n  }\n}\n");
}

// A ring that the copy engine fills and the tensor cores read, with all synchronization by hand.
static void test_bulk(void **state)
{
    kg_build *b = kg_build_new(NULL);
    kg_build_kernel(b, "bulk");
    kg_sexpr *n = kg_build_size(b, "N");
    kg_value *x = kg_build_tensor(b, "x", KG_BF16, 2, n, kg_build_size_int(b, 64));
    kg_value *y = kg_build_tensor(b, "y", KG_F32, 2, n, kg_build_size_int(b, 64));
    kg_value *s = kg_build_shared(b, "s", KG_BF16, 2, 2, 64, 64);
    kg_value *o = kg_build_shared(b, "o", KG_F32, 0, 2, 64, 64);
    kg_value *full = kg_build_mbarrier(b, "full", 2, 1);
    kg_value *empty = kg_build_mbarrier(b, "empty", 2, 128);
    kg_value *once = kg_build_mbarrier(b, "once", 0, 4);
    kg_build_mbarrier_init(b, full);
    kg_build_mbarrier_init(b, empty);
    kg_build_mbarrier_init(b, once);
    kg_build_barrier(b);
    kg_value *acc = kg_build_frag_tile(b, "acc", KG_F32, kg_build_float(b, 0), 2, 64, 64);
    kg_build_wgmma_fence(b);
    kg_value *t = kg_build_for(b, "t", kg_build_int(b, 0), kg_build_int(b, 8), NULL, 0, 0);
    kg_build_mbarrier_wait(b, kg_build_slot(b, empty, t, 0), true);
    kg_build_mbarrier_expect(b, kg_build_slot(b, full, t, 0), 8192);
    kg_value *slot = kg_build_slot(b, s, t, 0);
    kg_value *part = kg_build_view(b, x, 2, kg_from(times(b, t, 64), 64), kg_all(64));
    kg_build_copy_bulk(b, slot, part, kg_build_slot(b, full, t, 0));
    kg_build_mbarrier_wait(b, kg_build_slot(b, full, t, 0), false);
    kg_value *left = kg_build_slot(b, s, t, 0), *right = kg_build_slot(b, s, t, 0);
    kg_build_assign(b, acc, kg_build_op(b, KG_OP_WGMMA, 3, left, right, acc));
    kg_build_wgmma_commit(b);
    kg_build_wgmma_wait(b, 0);
    kg_build_mbarrier_arrive(b, kg_build_slot(b, empty, t, 0), true);
    kg_build_end(b);
    kg_build_store(b, o, acc, NULL);
    kg_build_proxy_fence(b, "shared");
    kg_build_mbarrier_arrive(b, once, false);
    kg_build_mbarrier_wait(b, once, false);
    kg_build_store_bulk(b, kg_build_view(b, y, 2, kg_from(kg_build_int(b, 0), 64), kg_all(64)), o);
    kg_build_attr_word(b, "cache", "evict_first");
    kg_build_reduce_bulk(b, kg_build_view(b, y, 2, kg_from(kg_build_int(b, 0), 64), kg_all(64)), o,
                         "add");
    kg_build_bulk_commit(b);
    kg_build_bulk_wait(b, 1, true);
    kg_build_bulk_wait(b, 0, false);
    check_equal(b,
                "kernel bulk(x: global bf16[N, 64], y: global f32[N, 64])\n{\n"
                "  shared s: bf16[64, 64] ring 2\n  shared o: f32[64, 64]\n"
                "  shared full: i64[1] ring 2 {arrivals=1}\n"
                "  shared empty: i64[1] ring 2 {arrivals=128}\n"
                "  shared once: i64[1] {arrivals=4}\n"
                "  mbarrier_init full\n  mbarrier_init empty\n  mbarrier_init once\n  barrier\n"
                "  frag acc: f32[64, 64] = 0.0\n  wgmma_fence\n  for t in 0 .. 8 {\n"
                "    mbarrier_wait empty[t] {behind=1}\n    mbarrier_expect full[t] {bytes=8192}\n"
                "    copy_bulk s[t] = x[t*64 .., ..] on full[t]\n    mbarrier_wait full[t]\n"
                "    acc = wgmma(s[t], s[t], acc)\n    wgmma_commit\n    wgmma_wait 0\n"
                "    mbarrier_arrive empty[t] {by_thread=1}\n  }\n"
                "  store o = acc\n  proxy_fence shared\n  mbarrier_arrive once\n"
                "  mbarrier_wait once\n  store_bulk y[0 .. + 64, ..] = o {cache=evict_first}\n"
                "  reduce_bulk y[0 .. + 64, ..] = o {by=add}\n  bulk_commit\n"
                "  bulk_wait 1 {read=1}\n  bulk_wait 0\n}\n");
}

// A first failure gives one finding; all that depends on it stays silent, regions still pair.
static void test_null_in_null_out(void **state)
{
    kg_build *b = kg_build_new(NULL);
    kg_build_kernel(b, "k");
    kg_value *x = kg_build_tensor(b, "x", KG_F32, 1, kg_build_size(b, "N"));
    kg_value *i = kg_build_for(b, "i", kg_build_int(b, 0), kg_build_float(b, 1.5), NULL, 0, 0);
    assert_null(i);
    assert_int_equal(kg_build_errors(b), 1);
    kg_value *v = kg_build_op(b, KG_OP_ADD, 2, i, i);
    assert_null(v);
    assert_false(kg_build_store(b, kg_build_view(b, x, 1, kg_at(v)), v, NULL));
    assert_false(kg_build_if(b, v));
    assert_false(kg_build_else(b));
    assert_false(kg_build_end(b));
    assert_false(kg_build_end(b));
    assert_null(kg_build_along(b, KG_OP_SUM, NULL, 0));
    assert_null(kg_build_load(b, NULL, NULL, NULL));
    assert_null(kg_build_name(b, NULL, "q"));
    assert_int_equal(kg_build_errors(b), 1);
    assert_null(kg_build_unit(b));
    assert_null(kg_build_text(b));
    kg_build_free(b);
}

static void test_wrong_calls(void **state)
{
    kg_build *b = kg_build_new(NULL);
    assert_false(kg_build_warps(b, 4)); // no kernel
    assert_int_equal(kg_build_errors(b), 1);
    assert_null(kg_build_iota(b, KG_I32, 0, 1, 16));
    assert_false(kg_build_kernel(b, "for"));
    assert_false(kg_build_kernel(b, NULL));
    assert_true(kg_build_kernel(b, "k"));
    assert_false(kg_build_warps(b, 33));
    assert_null(kg_build_tensor(b, "x", KG_F32, 9, NULL));
    assert_null(kg_build_tensor(b, "x", KG_F32, 1, kg_build_size_int(b, 0)));
    assert_null(kg_build_tensor(b, "x", (kg_dtype)99, 1, kg_build_size_int(b, 4)));
    kg_value *x = kg_build_tensor(b, "x", KG_F32, 1, kg_build_size_int(b, 64));
    assert_null(kg_build_scalar(b, "x", KG_F32));
    assert_false(kg_build_align(b, x, 3));
    assert_false(kg_build_strides(b, x, 2, kg_build_size_int(b, 1), kg_build_size_int(b, 1)));
    assert_false(kg_build_alias(b, x, x));
    assert_null(kg_build_size(b, "x"));
    assert_null(kg_build_param(b, "nobody"));
    assert_null(kg_build_op(b, (kg_opcode)9999, 1, x));
    assert_null(kg_build_op(b, KG_OP_STORE, 2, x, x));
    assert_null(kg_build_op(b, KG_OP_EXP, 2, x, x));
    assert_null(kg_build_along(b, KG_OP_ADD, x, 0));
    assert_null(kg_build_along(b, KG_OP_SUM, x, 7));
    assert_null(kg_build_iota(b, KG_I32, 4, 1, 16));
    assert_null(kg_build_iota(b, KG_I32, 0, 1, -16));
    assert_null(kg_build_iota(b, (kg_dtype)77, 0, 1, 16));
    assert_null(kg_build_const(b, (kg_dtype)77, 1));
    assert_null(kg_build_shared(b, "s", KG_F32, 100, 1, 16));
    assert_null(kg_build_shared(b, "s", KG_F32, 0, 2, 1 << 20, 1 << 20));
    assert_null(kg_build_view(b, x, 3, kg_all(0), kg_all(0), kg_all(0)));
    assert_null(kg_build_slot(b, x, kg_build_int(b, 0), 0));
    assert_false(kg_build_atomic(b, KG_OP_ADD, x, kg_build_int(b, 1), NULL));
    assert_false(kg_build_assign(b, x, kg_build_int(b, 1)));
    assert_false(kg_build_assign(b, kg_build_int(b, 1), kg_build_int(b, 1)));
    assert_false(kg_build_do(b, kg_build_truth(b, true)));
    assert_false(kg_build_else(b));
    assert_false(kg_build_end(b));
    assert_false(kg_build_role(b, 3, 2, NULL));
    assert_false(kg_build_end(b));
    assert_false(kg_build_fence(b, NULL, NULL));
    assert_false(kg_build_proxy_fence(b, "local"));
    assert_false(kg_build_proxy_fence(b, NULL));
    assert_null(kg_build_mbarrier(b, "m", 100, 1));
    assert_false(kg_build_mbarrier_wait(b, NULL, true));
    assert_false(kg_build_copy_bulk(b, x, x, NULL));
    assert_false(kg_build_store_bulk(b, x, NULL));
    assert_false(kg_build_reduce_bulk(b, x, NULL, "add"));
    assert_false(kg_build_warps(b, 4)); // the header has ended
    assert_false(kg_build_attr_int(b, "no_such", 1));
    assert_null(kg_build_unit(b));
    for (const kg_diag *d = kg_build_findings(b); d; d = d->next) assert_true(d->text[0] != 0);
    assert_true(strlen(kg_build_report(b)) > 500);
    kg_build_free(b);
    kg_build_free(NULL);
    assert_null(kg_build_int(NULL, 1));
    assert_false(kg_build_end(NULL));
    assert_int_equal(kg_build_errors(NULL), 1);
}

// ---- failing allocators ------------------------------------------------------------------------
typedef struct budget {
    int left;  // allocations that still succeed
    int alive; // not released yet
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

static bool build_with(const kg_allocator *allocator)
{
    kg_build *b = kg_build_new(allocator);
    if (!b) return false;
    kg_build_kernel(b, "k");
    kg_value *x = kg_build_tensor(b, "x", KG_F32, 1, kg_build_size(b, "N"));
    kg_value *i = kg_build_for(b, "i", kg_build_int(b, 0), kg_build_param(b, "N"), NULL, 0, 0);
    for (int k = 0; k < 400; k++)
        kg_build_store(b, kg_build_view(b, x, 1, kg_from(i, 16)), kg_build_float(b, k), NULL);
    kg_build_end(b);
    bool ok = kg_build_text(b) != NULL;
    assert_true(ok || kg_build_errors(b) > 0);
    assert_non_null(kg_build_report(b));
    kg_build_free(b);
    return ok;
}

static void test_no_memory(void **state)
{
    for (int n = 0; n < 200; n++) {
        budget account = {.left = n};
        kg_allocator allocator = {take, give, &account};
        bool ok = build_with(&allocator);
        assert_int_equal(account.alive, 0);
        if (ok) {
            assert_true(n > 3);
            return;
        }
    }
    fail_msg("never succeeded");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matmul),      cmocka_unit_test(test_everything),
        cmocka_unit_test(test_bulk),        cmocka_unit_test(test_null_in_null_out),
        cmocka_unit_test(test_wrong_calls), cmocka_unit_test(test_no_memory)};
    return cmocka_run_group_tests_name("ir_builder", tests, NULL, NULL);
}
