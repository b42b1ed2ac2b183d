// SPDX-License-Identifier: MIT
// Each construct of the language: what it becomes, and that printing and parsing are each other's
// inverse.
#include "tests/ir/ir_test.h"
#include <stdio.h>
#include <string.h>

#define HEAD                                                                                       \
    "kernel k(x: global f32[N], y: global f32[M, N], h: global f16[N], c: global i32[N], n: i32, " \
    "s: f32, w: i64)\n"
#define CLAUSES "  warps 4\n  grid b: ceildiv(N, 64)\n"

// Body as written, body as printed; NULL: printed as written.
static const char *const bodies[][2] = {
    // values, literals, folding
    {"  a = 1\n  b2 = 2.5\n  c2 = true\n  d = f16(0.5)\n  e = i64(7)\n", NULL},
    {"  a = 2 * 3 + 7 % 4\n", "  a = 9\n"},
    {"  a = -7 / 2\n  b2 = -7 % 2\n  c2 = ceildiv(7, 2)\n", "  a = -4\n  b2 = 1\n  c2 = 4\n"},
    {"  a = 0x10 << 2\n  b2 = min(3, 4)\n  d = 1.0 / 3\n",
     "  a = 64\n  b2 = 3\n  d = 0.3333333333333333\n"},
    {"  a = rsqrt(64)\n  e = inf\n  f = -inf\n  g = nan\n",
     "  a = 0.125\n  e = inf\n  f = -inf\n  g = nan\n"},
    {"  a = -9223372036854775808\n", NULL},
    {"  a = true ? n : oops\n", ""},
    {"  a = n > 2 ? s : 1.0\n", "  a = select(n > 2, s, 1.0)\n"},
    {"  a = s * 2\n  b2 = w + n\n", "  a = s * 2.0\n  b2 = w + cast(n, i64)\n"},
    {"  a = (n + 1) * (n - 2) / n % 3\n", NULL},
    {"  a = n - (n - 1) - 1\n", NULL},
    {"  a = n & 3 | n ^ 5\n  b2 = ~n << 2 >> n\n", NULL},
    {"  a = n < 3 and not (s > 1.0 or n == 2)\n", NULL},
    {"  a = ceildiv(n, 4)\n", NULL},
    {"  a = -n\n  b2 = -(n + 1) * 2\n", NULL},
    {"  a = i32(2) + i32(3)\n", NULL},
    {"  a = fma(s, 2.0, s)\n  b2 = min(s, 1.0)\n  c2 = max(n, 4)\n", NULL},
    {"  a = sqrt(abs(s)) + exp2(floor(s)) + sigmoid(tanh(s))\n", NULL},
    {"  a = bitcast(s, i32)\n  b2 = cast(n, f64)\n", NULL},
    {"  a = f32(1.5)\n", "  a = 1.5\n"},
    // tiles, broadcasting, shapes
    {"  t = load x[0 ..+64] * 2.0\n", NULL},
    {"  t = load y[0 ..+8, 0 ..+16]\n  u = t + load x[0 ..+16]\n", NULL},
    {"  t = load x[0 ..+16]\n  u = t[:, None] * t[None, :]\n",
     "  t = load x[0 ..+16]\n  u = t[:, None] * t\n"},
    {"  t = load x[0 ..+16]\n  u = t[:, None]\n  v = t[None, :]\n", NULL},
    {"  t = s + zeros(f32, [4, 4])\n", "  t = s + broadcast(f32(0.0), [4, 4])\n"},
    {"  t = full(3, [4])\n", "  t = broadcast(i32(3), [4])\n"},
    {"  t = iota(32)\n  u = iota([4, 8], axis=-1, dtype=i64)\n",
     "  t = iota([32], axis=0)\n  u = iota([4, 8], axis=1, dtype=i64)\n"},
    {"  t = expand(load x[0 ..+4], axis=1)\n", "  t = (load x[0 ..+4])[:, None]\n"},
    {"  t = broadcast(load x[0 ..+1], [32])\n", NULL},
    {"  t = transpose(load y[0 ..+4, 0 ..+8])\n",
     "  t = transpose(load y[0 ..+4, 0 ..+8], [1, 0])\n"},
    {"  t = load y[0 ..+4, 0 ..+8]\n  a = sum(t, axis=-1)\n  d = sum(t)\n",
     "  t = load y[0 ..+4, 0 ..+8]\n  a = sum(t, axis=1)\n  d = sum(sum(t, axis=1), axis=0)\n"},
    {"  t = load x[0 ..+8]\n  a = max(t)\n  d = min(t, axis=0)\n  e = argmax(t, axis=0)\n  f = "
     "cumsum(t, axis=0)\n",
     "  t = load x[0 ..+8]\n  a = max(t, axis=0)\n  d = min(t, axis=0)\n  e = argmax(t, axis=0)\n"
     "  f = cumsum(t, axis=0)\n"},
    {"  t = load x[0 ..+8] > 0.0\n  a = any(t, axis=0)\n  d = all(t, axis=0)\n", NULL},
    {"  t = cast(load h[0 ..+8], f32) * s\n", NULL},
    {"  t = load h[0 ..+8] * load x[0 ..+8]\n",
     "  t = cast(load h[0 ..+8], f32) * load x[0 ..+8]\n"},
    // memory
    {"  shared t: f32[64]\n  copy t = x[b * 64 ..+64]\n", NULL},
    {"  shared t: f32[64] = load x[b*64 ..]\n",
     "  shared t: f32[64]\n  copy t = x[b * 64 ..+64]\n"},
    {"  shared t: f32[64] = load x[b*64 ..] * 2.0\n",
     "  shared t: f32[64]\n  store t = load x[b * 64 ..+64] * 2.0\n"},
    {"  shared t: f32[64]\n  t = 0.0\n  t[0 ..+32] = load x[0 ..]\n",
     "  shared t: f32[64]\n  store t = 0.0\n  store t[0 ..+32] = load x[0 ..+32]\n"},
    {"  shared t: f32[8, 8] align 128\n  a = t + 1.0\n",
     "  shared t: f32[8, 8] align 128\n  a = load t + 1.0\n"},
    {"  shared r: f32[8] ring 3\n  copy r[n] = x[0 ..]\n  a = sum(r[n + 1; 0 .. + 4])\n",
     "  shared r: f32[8] ring 3\n  copy r[n; ..+8] = x[0 ..+8]\n  a = sum(load r[n + 1; 0 ..+4], "
     "axis=0)\n"},
    {"  shared t: f32[8]\n  copy_async t = x[0 ..+8] {async=16}\n  commit\n  wait 0\n", NULL},
    {"  store x[n ..+4] = 1.0 where iota(4) < n\n",
     "  store x[n ..+4] = 1.0 where iota([4], axis=0) < n\n"},
    {"  t = load x[0 ..+4] where iota(4) < n else 1\n",
     "  t = load x[0 ..+4] where iota([4], axis=0) < n else 1.0\n"},
    {"  t = (load x[n] where n < 4) + 1.0\n", NULL},
    {"  i = iota(16) * 2\n  t = load y[i, 0 ..+4]\n",
     "  i = iota([16], axis=0) * 2\n  t = load y[i, 0 ..+4]\n"},
    {"  i = load x[c[0]]\n", "  i = load x[load c[0]]\n"},
    {"  v = x[n ..+16]\n  store v = load v + 1.0\n",
     "  v = view x[n ..+16]\n  store v = load v + 1.0\n"},
    {"  t = transpose(y[0 ..+4, 0 ..+8])\n  a = sum(t)\n",
     "  t = transpose(y[0 ..+4, 0 ..+8], [1, 0])\n  a = sum(sum(load t, axis=1), axis=0)\n"},
    {"  atomic_add x[0 ..+4] = 1.0\n  atomic_max c[0] = n where n > 1\n  atomic_min c[1] = 3\n",
     NULL},
    {"  old = fetch_add c[0], 1\n  signal c[1] = old + 1\n  await c[2] >= 3\n  await c[3] == n\n",
     NULL},
    // matmul
    {"  shared p: f16[16, 32]\n  shared q: f16[32, 16]\n  frag acc: f32[16, 16] = 0.0\n  acc += p "
     "@ q\n",
     "  shared p: f16[16, 32]\n  shared q: f16[32, 16]\n  frag acc: f32[16, 16] = 0.0\n  acc = "
     "dot(p, q, acc)\n"},
    {"  shared p: f16[16, 32]\n  shared q: f16[16, 32]\n  a = p @ transpose(q)\n",
     "  shared p: f16[16, 32]\n  shared q: f16[16, 32]\n  a = dot(p, transpose(q, [1, 0]), 0.0)\n"},
    // mutable values, regions
    {"  frag a = 0\n  a += 1\n  a -= 2\n  a *= 3\n",
     "  frag a: i32 = 0\n  a = a + 1\n  a = a - 2\n  a = a * 3\n"},
    {"  frag t: f32[4, 4] = s\n  u = t\n  t = u * 2.0\n",
     "  frag t: f32[4, 4] = s\n  frag u: f32[4, 4] = t\n  t = u * 2.0\n"},
    {"  for i in 0 .. n {\n    a = i\n  }\n", "  for i in 0 .. n {\n  }\n"},
    {"  for i in n .. w step 4 pipeline 3 unroll 2 {\n    store x[i] = 1.0\n  }\n",
     "  for i in cast(n, i64) .. w step 4 pipeline 3 unroll 2 {\n    store x[i] = 1.0\n  }\n"},
    {"  frag a = 0\n  while a < n {\n    a = a + 1\n  }\n",
     "  frag a: i32 = 0\n  while a < n {\n    a = a + 1\n  }\n"},
    {"  frag a: i32 = 0\n  while {\n    q = a * a\n    store c[a] = q\n    yield q < n\n  } {\n    "
     "a = a + 1\n  }\n",
     NULL},
    {"  if n > 1 {\n    store x[0] = s\n  } else if n > 0 {\n    store x[1] = s\n  }\n",
     "  if n > 1 {\n    store x[0] = s\n  } else {\n    if n > 0 {\n      store x[1] = s\n    }\n  "
     "}\n"},
    {"  if 2 > 1 {\n    store x[0] = s\n  } else {\n    store nowhere = s\n  }\n",
     "  store x[0] = s\n"},
    {"  if false { a = oops } else { store x[0] = s }\n", "  store x[0] = s\n"},
    {"  warps 0 .. 1 as producer {\n    arrive id 1 count 128\n  }\n  warps 1 .. 4 {\n    barrier "
     "id 1 count 128\n  }\n",
     NULL},
    {"  barrier\n  warp_sync\n  fence acq_rel gpu\n  wait 2\n  barrier id 3\n  barrier "
     "{by_hand=0}\n",
     NULL},
    {"  for i in 0 .. 4 {\n    a = i + 1\n    store c[a] = a\n  }\n  for i in 0 .. 4 {\n    a = i "
     "+ 2\n    store c[a] = a\n  }\n",
     NULL},
    // lines
    {"  a = n +\n      1; b2 = (n\n  + 2)\n", "  a = n + 1\n  b2 = n + 2\n"},
    {"  step = 3\n  ring = step + n\n  align = ring % step\n",
     "  step = 3\n  ring = step + n\n  align = ring % step\n"},
    {"  a = n %8\n  %7 = n + 1\n  b2 = %7 % 8\n  c2 = %7\n", "  a = n % 8\n  b2 = (n + 1) % 8\n"},
    {"  a = load x[0 ..+4] {vec=4, cache=nc}\n  store x[0 ..+4] = a {vec=2}\n", NULL},
    {"  %0 = view x[0 ..+4]{divisible=[4], inbounds=[1]}\n  a = load x[4 ..+4]{inbounds=[1]} "
     "{vec=4}\n",
     "  %0 = view x[0 ..+4] {inbounds=[1], divisible=[4]}\n  a = load x[4 ..+4]{inbounds=[1]} "
     "{vec=4}\n"},
};

static const char *printed_body(const char *text)
{
    const char *body = strstr(text, "\n{\n");
    return body ? body + 3 : "";
}

static bool round_trip(ir_test *t, kg_unit *unit, const char *text)
{
    ir_test *again = ir_test_new();
    kg_unit *second = ir_parse(again, text);
    bool ok = second != NULL;
    if (!ok) print_message("does not parse again:\n%s\n%s", text, ir_report(again));
    kg_kernel *a = unit->kernels, *b = ok ? second->kernels : NULL;
    for (; a && b; a = a->next, b = b->next)
        if (!kg_kernel_equal(a, b)) {
            print_message("parses to something else:\n%s\n%s", text, ir_print(again, second));
            ok = false;
        }
    ok = ok && !a && !b && !strcmp(text, ir_print(again, second));
    ir_test_free(again);
    return ok;
}

static bool check_body(const char *body, const char *wanted)
{
    ir_test *t = ir_test_new();
    kg_unit *unit = ir_parse(t, kg_arena_printf(&t->arena, "%s%s{\n%s}\n", HEAD, CLAUSES, body));
    bool ok = unit && ir_verify(t, unit);
    if (!ok) print_message("is not legal:\n%s\n%s", body, ir_report(t));
    if (ok) {
        const char *text = ir_print(t, unit);
        char *end = kg_arena_printf(&t->arena, "%s}\n", wanted ? wanted : body);
        if (strcmp(printed_body(text), end)) {
            print_message("wanted:\n%sgot:\n%s", end, printed_body(text));
            ok = false;
        }
        ok &= round_trip(t, unit, text);
    }
    ir_test_free(t);
    return ok;
}

static void test_bodies(void **state)
{
    int failed = 0;
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
        failed += !check_body(bodies[i][0], bodies[i][1]);
    assert_int_equal(failed, 0);
}

static const char header[] =
    "kernel h(a: global f16[M, K] strides [lda, 1] align 8, b: global f16[K, N] alias a, n: i32)\n"
    "  implicit K: i32, M: i32, N: i32, lda: i64\n"
    "  assume K % 8 == 0 and N >= 1, min(M, N) < 4096 or M == 2 * N\n"
    "  warps 8\n"
    "  ctas 2\n"
    "  schedule producers 1, registers [24, 128], persistent 132, raster 8, bulk_store 1, "
    "fallback 1\n"
    "  grid i: ceildiv(N, 128), j: (M + 1) / 2, k: max(1, n - 3)\n"
    "  level staged\n"
    "  shared_bytes 1024\n"
    "{\n}\n";

static void test_header(void **state)
{
    ir_test *t = ir_test_new();
    kg_unit *unit = ir_parse(t, header);
    if (!unit) fail_msg("%s", ir_report(t));
    assert_string_equal(ir_print(t, unit), header);
    const kg_kernel *k = unit->kernels;
    assert_int_equal(k->n_params, 7);
    assert_int_equal(k->n_declared, 3);
    assert_int_equal(k->params[6]->type.dtype, KG_I64);
    assert_int_equal(k->params[0]->tensor->align, 8);
    assert_ptr_equal(k->params[1]->tensor->alias, k->params[0]);
    ir_test_free(t);
}

// The clauses' order does not matter, names resolve after all of it is read.
static void test_header_order(void **state)
{
    ir_test *t = ir_test_new();
    kg_unit *unit = ir_parse(
        t, "kernel h(a: global T[M, K] strides [FLIP ? 1 : K, FLIP ? M : 1], c: global U[M])\n"
           "  grid i: ceildiv(M, BM)\n  assume Q > 0\n  const FLIP = BM > 32, BM = HALF * 2\n"
           "  schedule raster HALF / 4, producers HALF / 32, persistent 0\n"
           "  type T = bf16, U = f32\n  const HALF = 32\n{\n}\n");
    if (!unit) fail_msg("%s", ir_report(t));
    assert_string_equal(ir_print(t, unit),
                        "kernel h(a: global bf16[M, K] strides [1, M], c: global f32[M])\n"
                        "  assume Q > 0\n  warps 4\n  schedule producers 1, raster 8\n"
                        "  grid i: ceildiv(M, 64)\n{\n}\n");
    assert_true(round_trip(t, unit, ir_print(t, unit)));
    ir_test_free(t);
}

static const char defined[] =
    "kernel d(x: global T[64])\n  type T = f16\n  const A = 2, B = A * 2, F = 0.5, ON = false\n{\n"
    "  a = A\n  b = B\n  f = F\n  if ON { store x[0] = 1 } else { store x[1] = 1 }\n}\n";

static void test_defines(void **state)
{
    ir_test *t = ir_test_new();
    const kg_define defines[] = {{"A", "5"}, {"T", "bf16"}, {"F", "3"}, {"ON", "true"}};
    kg_unit *unit = ir_parse_with(t, defined, defines, 4);
    if (!unit) fail_msg("%s", ir_report(t));
    assert_string_equal(ir_print(t, unit),
                        "kernel d(x: global bf16[64])\n  warps 4\n{\n  a = 5\n  b = 10\n  f = 3.0\n"
                        "  store x[0] = 1.0\n}\n");
    ir_test_free(t);
}

static void test_bad_defines(void **state)
{
    static const struct {
        kg_define define;
        const char *words;
    } bad[] = {{{"AA", "5"}, "names no constant"},
               {{"FF", "5"}, "did you mean 'F'?"},
               {{"A", "x"}, "does not give a constant"},
               {{"A", "1.5"}, "does not give an integer"},
               {{"ON", "7"}, "does not give true or false"},
               {{"T", "f99"}, "does not give a type"},
               {{"A", ""}, "does not give a constant"},
               {{"A", "1 +"}, "does not give a constant"},
               {{"A", "99999999999999999999"}, "does not give"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ir_test *t = ir_test_new();
        assert_null(ir_parse_with(t, defined, &bad[i].define, 1));
        const char *report = ir_report(t);
        if (!strstr(report, "[KG-P012]") || !strstr(report, bad[i].words))
            fail_msg("-D %s=%s: %s", bad[i].define.name, bad[i].define.value, report);
        ir_test_free(t);
    }
}

static const char flat[] =
    "kernel f(x: global f32[N], c: global f32[N])\n"
    "  warps 2\n"
    "  grid b: ceildiv(N, 64)\n"
    "  level synced\n"
    "  shared_bytes 768\n"
    "  layout #0 = core [64] reps [1] reg [] lane [[1], [2], [4], [8], [16]] warp [[32]]\n"
    "  layout #1 = core [32] reps [2] reg [] lane [[1], [2], [4], [8], [16]] warp [[0]]\n"
    "{\n"
    "  %0 = i32(64)\n"
    "  %1 = mul(b, %0)\n"
    "  shared t: f32[64] ring 3 align 16 {offset=0, pitch=64, swizzle=[4, 0, 0]}\n"
    "  copy_async t[b; ..+64] = x[%1 ..+64]{inbounds=[1]} {async=16, vec=4}\n"
    "  commit {sync=1}\n"
    "  wait 0 {sync=2, why=[1, 2]}\n"
    "  barrier {sync=3, why=[1]}\n"
    "  acc @#0 = load t[b; ..+64] {vec=1}\n"
    "  %2 @#1 = convert(acc)\n"
    "  %3 = gt(%1, %0)\n"
    "  %4 = and(%3, %3)\n"
    "  %5 = not(%4)\n"
    "  if %5 {\n"
    "    frag m @#1: f32[64] = %2\n"
    "    %6 @#1 = exp(m)\n"
    "    m = %6\n"
    "    store c[%1 ..+64] = m\n"
    "  }\n"
    "}\n";

static void test_flat(void **state)
{
    ir_test *t = ir_test_new();
    kg_unit *unit = ir_parse(t, flat);
    if (!unit || !ir_verify(t, unit)) fail_msg("%s", ir_report(t));
    assert_string_equal(ir_print(t, unit), flat);
    assert_true(round_trip(t, unit, flat));
    ir_test_free(t);
}

// Clones are the same op for op, and their names are told apart in the text.
static void test_clone(void **state)
{
    ir_test *t = ir_test_new();
    kg_unit *unit = ir_parse(
        t, HEAD CLAUSES "{\n  for i in 0 .. n {\n    a = load x[i ..+ 64]\n    q = exp(a) * a\n"
                        "    store x[i ..] = q + a\n  }\n}\n");
    if (!unit) fail_msg("%s", ir_report(t));
    kg_kernel *k = unit->kernels;
    kg_op *loop = k->body->last;
    kg_block *body = loop->blocks[0];
    int n = kg_kernel_number(k, NULL);
    kg_value **map = KG_NEW_ARRAY(&t->arena, kg_value *, n);
    kg_op *last = body->last;
    for (kg_op *op = body->first;; op = op->next) {
        kg_block_append(body, kg_op_clone(k, op, map, n));
        if (op == last) break;
    }
    n = kg_kernel_number(k, NULL);
    kg_block_append(k->body, kg_op_clone(k, loop, KG_NEW_ARRAY(&t->arena, kg_value *, n), n));
    assert_true(ir_verify(t, unit));
    const char *text = ir_print(t, unit);
    assert_non_null(strstr(text, "q.1 = exp(a.1) * a.1\n"));
    assert_non_null(strstr(text, "store x[i ..+64] = q.1 + a.1\n"));
    assert_true(round_trip(t, unit, text));
    ir_test_free(t);
}

static void test_unequal(void **state)
{
    static const char *const others[] = {
        "kernel e(x: global f32[N])\n{\n  store x[0] = 2.0\n}\n",
        "kernel e(x: global f32[M])\n{\n  store x[0] = 1.0\n}\n",
        "kernel e(x: global f32[N])\n  warps 2\n{\n  store x[0] = 1.0\n}\n",
        "kernel e(x: global f32[N])\n{\n}\n",
        "kernel e(x: global f32[N])\n{\n  store x[0] = 1.0 {vec=1}\n}\n",
        "kernel e(x: global f32[N] align 4)\n{\n  store x[0] = 1.0\n}\n"};
    ir_test *t = ir_test_new();
    kg_unit *unit = ir_parse(t, "kernel e(x: global f32[N])\n{\n  store x[0] = 1.0\n}\n");
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        ir_test *o = ir_test_new();
        kg_unit *other = ir_parse(o, others[i]);
        assert_non_null(other);
        assert_false(kg_kernel_equal(unit->kernels, other->kernels));
        ir_test_free(o);
    }
    ir_test_free(t);
}

// Arguments: .kg files that must survive the round trip and the verifier.
static int n_files;
static char **files;

static void test_files(void **state)
{
    for (int i = 0; i < n_files; i++) {
        static char text[1 << 20];
        FILE *file = fopen(files[i], "rb");
        if (!file) fail_msg("cannot open %s", files[i]);
        text[fread(text, 1, sizeof text - 1, file)] = 0;
        fclose(file);
        ir_test *t = ir_test_new();
        kg_unit *unit = ir_parse(t, text);
        if (!unit || !ir_verify(t, unit)) fail_msg("%s: %s", files[i], ir_report(t));
        if (!round_trip(t, unit, ir_print(t, unit))) fail_msg("%s does not come back", files[i]);
        ir_test_free(t);
    }
}

int main(int argc, char **argv)
{
    n_files = argc - 1;
    files = argv + 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bodies),       cmocka_unit_test(test_header),
        cmocka_unit_test(test_header_order), cmocka_unit_test(test_defines),
        cmocka_unit_test(test_bad_defines),  cmocka_unit_test(test_flat),
        cmocka_unit_test(test_clone),        cmocka_unit_test(test_unequal),
        cmocka_unit_test(test_files)};
    return cmocka_run_group_tests_name("ir_text", tests, NULL, NULL);
}
