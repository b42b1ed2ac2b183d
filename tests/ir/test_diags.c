// SPDX-License-Identifier: MIT
// Every finding of parser, type rules and verifier: id, words, and that one mistake gives one
// message.
#include "tests/ir/ir_test.h"
#include "ir/builder.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct finding_case {
    const char *id, *words; // words: part of the rendered finding, its notes and help
    const char *text; // a whole file, or the body of a kernel when it does not begin with "kernel"
} finding_case;

#define HEAD                                                                                       \
    "kernel k(x: global f32[N], y: global f32[M, N], h: global f16[N], c: global i32[N], n: i32, " \
    "s: f32)\n"                                                                                    \
    "  const BM = 64\n  warps 4\n  grid b: ceildiv(N, 64)\n"

static const finding_case cases[] = {
    // P: text
    {"P001", "unexpected character '$'", "a = $"},
    {"P001", "unexpected ')', expected an expression", "a = n +)\n"},
    {"P001", "unexpected the end of the line, expected '='", "frag a\n"},
    {"P001", "expected ')'", "a = (n + 1\nb = 2\n"},
    {"P001", "'for' is a word of the language", "kernel k(for: i32)\n{\n}\n"},
    {"P001", "'load' does not begin a statement", "load x[0 ..+ 4]"},
    {"P001", "help: give the loaded value a name", "load x[0 ..+ 4]"},
    {"P001", "'f32' is a type, not a value", "a = n + f32"},
    {"P001", "cannot be the name of a kernel", "kernel while()\n{\n}\n"},
    {"P001", "expected 'kernel'", "hello\n"},
    {"P001", "a tensor parameter lives in global memory", "kernel k(x: f32[4])\n{\n}\n"},
    {"P001", "a list is not a value", "a = [1, 2] + n"},
    {"P002", "no kernel in this file", "\n// nothing\n"},
    {"P002", "expected '}'", "kernel k()\n{\n  a = 1\n"},
    {"P002", "unexpected the end of the file", "kernel k(x: global"},
    {"P003", "unknown name 'nn'", "a = nn + 1"},
    {"P003", "did you mean 'scale'?", "scale = 1.0\na = scael * 2.0"},
    {"P003", "in a block that has ended", "for i in 0 .. 4 {\n  q = i\n}\na = q"},
    {"P003", "layout #3 is not in the header", "a @#3 = load x[0 ..+ 4]"},
    {"P003", "unknown name 'z'", "kernel k(x: global f32[N] alias z)\n{\n}\n"},
    {"P004", "did you mean 'sigmoid'?", "a = sigmiod(s)"},
    {"P004", "unknown statement 'stor'", "stor x[0] = 1.0"},
    {"P005", "did you mean 'bf16'?", "frag a: bf61 = 0"},
    {"P005", "types are i1 i8", "a = cast(s, quad)"},
    {"P006", "unknown attribute 'vecc'", "a = load x[0 ..+ 4] {vecc=4}"},
    {"P006", "did you mean 'vec'?", "a = load x[0 ..+ 4] {vecc=4}"},
    {"P006", "unknown clause 'warpz'", "kernel k()\n  warpz 4\n{\n}\n"},
    {"P006", "did you mean 'warps'?", "kernel k()\n  warpz 4\n{\n}\n"},
    {"P006", "a schedule knows no 'producer'", "kernel k()\n  schedule producer 1\n{\n}\n"},
    {"P006", "did you mean 'producers'?", "kernel k()\n  schedule producer 1\n{\n}\n"},
    {"P006", "it knows producers, registers", "kernel k()\n  schedule x 1\n{\n}\n"},
    {"P007", "'raster' is asked for twice", "kernel k()\n  schedule raster 1, raster 2\n{\n}\n"},
    {"P001", "what the schedule asks for", "kernel k()\n  schedule 1\n{\n}\n"},
    {"T106", "producers must be 0 to 1, not 2", "kernel k()\n  schedule producers 2\n{\n}\n"},
    {"T106", "multiples of 8, not 25", "kernel k()\n  schedule registers [25, 240]\n{\n}\n"},
    {"T103", "registers is a list of 2", "kernel k()\n  schedule registers 24\n{\n}\n"},
    {"L305", "here are 6 warps", "kernel k()\n  warps 6\n  schedule producers 1\n{\n}\n"},
    {"L305", "may be at most 504",
     "kernel k()\n  warps 8\n  schedule producers 1, registers [40, 240]\n{\n}\n"},
    {"P006", "unknown level 'low'", "kernel k()\n  level low\n{\n}\n"},
    {"P006", "sum has no key 'axes'", "a = sum(load x[0 ..+ 4], axes=0)"},
    {"P007", "'b' is defined twice", "frag b: f32 = 0.0"},
    {"P007", "the first definition is here", "frag q = 1.0\nfrag q = 2.0"},
    {"P007", "kernel 'k' is defined twice", "kernel k()\n{\n}\nkernel k()\n{\n}\n"},
    {"P007", "layouts are numbered in order",
     "kernel k()\n  layout #1 = core [32] reps [1] reg [] lane [] warp []\n{\n}\n"},
    {"P009", "does not fit 64 bits", "a = 99999999999999999999"},
    {"P009", "does not fit a double", "a = 1e999"},
    {"P009", "constant does not fit 64 bits", "a = 9223372036854775807 + 1"},
    {"P009", "300 does not fit i8", "a = i8(300)"},
    {"P010", "must be a constant integer", "frag a: f32[n] = 0.0"},
    {"P010", "division by zero", "a = 1 / 0"},
    {"P010", "defined by itself", "kernel k()\n  const A = B, B = A\n{\n}\n"},
    {"P010", "is not constant", "kernel k(n: i32)\n  const A = n + 1\n{\n}\n"},
    {"P010", "this cannot stand in a size", "kernel k(x: global f32[exp(N)])\n{\n}\n"},
    {"P010", "this assumption never holds", "kernel k()\n  assume 3 == 4\n{\n}\n"},
    // T: types and shapes
    {"T101", "shapes do not match: f32[64] and f32[32]", "a = load x[0 ..+ 64] + load x[0 ..+ 32]"},
    {"T101", "f32[64] is needed, this is f32[32]", "frag a: f32[64] = load x[0 ..+ 32]"},
    {"T101", "a range of 65 is longer than dimension 0 of the buffer, 64",
     "shared t: f32[64]\na = load t[0 ..+ 65]"},
    {"T101", "shapes of dot do not match",
     "shared p: f16[16, 32]\nshared q: f16[16, 32]\na = p @ q"},
    {"T102", "help: each fragment is a dimension of its own",
     "i = load c[0 ..+ 4]\nstore x[i[:, None]] = 1.0"},
    {"T102", "element types do not match: f32 and i32", "a = s + n"},
    {"T102", "help: convert one side with cast", "a = s + n"},
    {"T102", "f16 is needed, this is f32", "store h[0 ..+ 64] = load x[0 ..+ 64]"},
    {"T102", "exp takes floating types, not i32", "a = exp(n)"},
    {"T102", "an index must be an integer scalar", "a = load x[s]"},
    {"T102", "this is f32", "if s {\n}"},
    {"T102", "a loop's bound must be an i32 or i64 scalar", "for i in 0 .. s {\n}"},
    {"T102", "sizes are made of constants and integer parameters",
     "kernel k(x: global f32[s], s: f32)\n{\n}\n"},
    {"T103", "1 index for the 2 dimensions of 'y'", "a = load y[0 ..+ 4]"},
    {"T103", "exp takes 1 argument, not 2", "a = exp(s, s)"},
    {"T103", "a view cannot be indexed again", "v = x[0 ..+ 4]\na = load v[0]"},
    {"T103", "'r' is a ring: it needs an iteration number", "shared r: f32[4] ring 2\na = r + 1.0"},
    {"T103", "is not a ring: it has no slots", "shared r: f32[4]\na = load r[n; ..]"},
    {"T103", "a grid has at most three axes", "kernel k()\n  grid a: 1, b: 1, c: 1, d: 1\n{\n}\n"},
    {"T104", "load reads a view of global or shared memory", "a = load s"},
    {"T104", "global memory is written by a store", "x[0 ..+ 4] = 1.0"},
    {"T104", "a fragment cannot be indexed by position", "a = load x[0 ..+ 4]\nb2 = a[0]"},
    {"T104", "copy writes a shared buffer", "copy x[0 ..+ 4] = x[4 ..+ 4]"},
    {"T104", "alias names another tensor parameter",
     "kernel k(x: global f32[4] alias n, n: i32)\n{\n}\n"},
    {"T105", "the extent of this range cannot be inferred", "a = load x[0 ..]"},
    {"T105", "help: write it: `e .. + N`", "a = sum(load x[n ..])"},
    {"T106", "extent 0 is not between 1 and 1048576", "shared t: f32[0]"},
    {"T106", "extent -4 is not between", "shared t: f32[BM - 68]"},
    {"T106", "has more than 1048576 elements", "frag a: f32[4096, 4096] = 0.0"},
    {"T106", "rank 6 is above the limit of 5", "frag a: f32[1, 1, 1, 1, 1, 1] = 0.0"},
    {"T106", "warps must be 1 to 32, not 33", "kernel k()\n  warps 33\n{\n}\n"},
    {"T106", "a ring has 1 to 64 slots, not 65", "shared t: f32[4] ring 65"},
    {"T106", "the step of a loop must be positive", "for i in 0 .. 4 step 0 {\n}"},
    {"T106", "pipeline must be positive", "for i in 0 .. 4 pipeline 0 {\n}"},
    {"T106", "size -1 is negative", "kernel k(x: global f32[-1])\n{\n}\n"},
    {"T106", "align must be a power of two", "kernel k(x: global f32[4] align 3)\n{\n}\n"},
    {"T107", "'s' cannot be assigned: it is immutable", "s = 1.0"},
    {"T107", "help: declare it with `frag q = ..`", "q = 1.0\nq = 2.0"},
    {"T108", "axis 2 of sum is out of range for rank 1", "a = sum(load x[0 ..+ 4], axis=2)"},
    {"T108", "sum needs a tile, not a scalar", "a = sum(s)"},
    {"T108", "part needs an axis, a first and a last", "a = part(load x[0 ..+ 4], axis=0)"},
    {"T108", "write part(x, axis=0", "a = part(load x[0 ..+ 4], axis=0)"},
    {"T108", "part from 2 to 6 of an axis of 4 elements",
     "a = part(load x[0 ..+ 4], axis=0, first=2, last=6)"},
    {"T108", "parts divide an axis evenly: 1 to 3 is none of 4",
     "a = part(load x[0 ..+ 4], axis=0, first=1, last=3)"},
    {"T108", "part of an axis whose extent is not stated",
     "a = part(load x[0..], axis=0, first=0, last=2)"},
    {"T108", "axis 1 of part is out of range",
     "a = part(load x[0 ..+ 4], axis=1, first=0, last=2)"},
    {"P006", "part has no key 'end'", "a = part(load x[0 ..+ 4], axis=0, first=0, end=2)"},
    {"T108", "cumsum of a tile needs an axis", "a = cumsum(load y[0 ..+ 4, 0 ..+ 4])"},
    {"T108", "the permutation must name each of the 2 dimensions once",
     "a = transpose(load y[0 ..+ 4, 0 ..+ 4], [0, 0])"},
    // V: structure and levels
    {"V201", "layouts come with the layout pass",
     "kernel k(x: global f32[N])\n  layout #0 = core [32] reps [1] reg [] lane [[1], [2], [4], "
     "[8], [16]] warp [[0], [0]]\n"
     "{\n  %0 @#0 = load x[0 ..+ 32]\n}\n"},
    {"V201", "pipelined loops are gone",
     "kernel k()\n  level staged\n{\n  for i in 0 .. 4 pipeline 3 {\n  }\n}\n"},
    {"V201", "every buffer has an offset",
     "kernel k()\n  level placed\n{\n  shared t: f32[4]\n}\n"},
    {"V203", "index 60 is outside of dimension 0 of the buffer",
     "shared t: f32[64]\na = load t[60 ..+ 8]"},
    {"V203", "barrier 16 does not exist", "barrier id 16 count 128"},
    {"V203", "40 is not a multiple of 32", "barrier id 1 count 40"},
    {"V203", "arrive needs the barrier's id and count", "arrive"},
    {"V203", "a fence is relaxed, acquire, release or acq_rel", "fence strong gpu"},
    {"V203", "the scope of a fence is cta, gpu or sys", "fence release world"},
    {"V203", "yields nothing", "while {\n  a = n\n} {\n}"},
    {"V203", "yield ends the condition of a while", "yield true"},
    {"V203", "load has no attribute 'ring'", "a = load x[0 ..+ 4] {ring=2}"},
    {"V203", "vec=3 is not a power of two", "a = load x[0 ..+ 4] {vec=3}"},
    {"V203", "cp.async copies 4, 8 or 16 bytes",
     "shared t: f32[64]\ncopy t = x[0 ..+ 64] {async=12}"},
    {"V203", "wait needs the number", "wait -1"},
#define PAIR "kernel k(x: global f32[M, 8], n: global i32[4], M: i32)\n  cluster 2\n  grid b: 8\n"
#define BRING "  shared t: f32[16, 8] ring 2\n"
    {"V203", "cluster_barrier needs a cluster", "cluster_barrier"},
    {"V203", "say `cluster 2` in the header",
     "kernel k(x: global f32[M, 8])\n{\n" BRING
     "  copy_bulk t[0] = x[0.., 0..] {multicast=1}\n}\n"},
    {"V203", "must not depend on the grid's first axis 'b'",
     PAIR "{\n" BRING "  copy_bulk t[0] = x[b * 16.., 0..] {multicast=1}\n}\n"},
    {"V203", "(but on b / 2, the cluster's number)",
     PAIR "{\n" BRING "  copy_bulk t[b] = x[0.., 0..] {multicast=1}\n}\n"},
    {"V203", "which one, where to and whether",
     PAIR "{\n" BRING "  if b < 3 {\n    copy_bulk t[0] = x[0.., 0..] {multicast=1}\n  }\n}\n"},
    {"V203", "must not depend on the grid's first axis",
     PAIR "{\n" BRING
          "  for k in 0 .. b {\n    copy_bulk t[k] = x[0.., 0..] {multicast=1}\n  }\n}\n"},
    {"V203", "or on memory",
     PAIR "{\n" BRING "  q = load n[0]\n  copy_bulk t[0] = x[q.., 0..] {multicast=1}\n}\n"},
    // A quotient by something else than the cluster's size, or of something else than the axis.
    {"V203", "must not depend on",
     PAIR "{\n" BRING "  copy_bulk t[0] = x[b / 3 * 16.., 0..] {multicast=1}\n}\n"},
    {"V203", "must not depend on",
     PAIR "{\n" BRING "  copy_bulk t[0] = x[(b + 1) / 2 * 16.., 0..] {multicast=1}\n}\n"},
    {"V203", "must not depend on",
     PAIR "{\n" BRING "  copy_bulk t[0] = x[b % 2 * 16.., 0..] {multicast=1}\n}\n"},
    {"V203", "or with scope=cta",
     PAIR "{\n  shared m: i64[1] {arrivals=8}\n  mbarrier_arrive m {cluster=1, scope=gpu}\n}\n"},
    {"V205", "stands in no region or loop",
     PAIR "{\n  for k in 0 .. 4 {\n    cluster_barrier\n  }\n}\n"},
    {"V204", "does not stay within a row", "shared t: f32[8, 8] {swizzle=[4, 3, 0]}"},
    {"V204", "pitch=4 does not fit rows of 8", "shared t: f32[8, 8] {pitch=4}"},
    {"V204", "does not cover its tile once",
     "kernel k(x: global f32[N])\n  level staged\n"
     "  layout #0 = core [32] reps [1] reg [] lane [[1], [2], [4], [8], [8]] warp [[0], [0]]\n"
     "{\n  %0 @#0 = load x[0 ..+ 32]\n}\n"},
    {"V204", "is for another number of warps",
     "kernel k(x: global f32[N])\n  level staged\n"
     "  layout #0 = core [32] reps [1] reg [] lane [[1], [2], [4], [8], [16]] warp [[0]]\n"
     "{\n  %0 @#0 = load x[0 ..+ 32]\n}\n"},
    {"V204", "the result of load has no layout",
     "kernel k(x: global f32[N])\n  level laid_out\n{\n  %0 = load x[0 ..+ 32]\n}\n"},
    {"V204", "a list of at most 5 integers",
     "kernel k()\n  layout #0 = core 3 reps [1] reg [] lane [] warp []\n{\n}\n"},
    {"V205", "do not lie within the 4 warps of the CTA", "warps 2 .. 6 {\n}"},
    {"V205", "do not lie within 0 .. 2 around them", "warps 0 .. 2 {\n  warps 2 .. 4 {\n  }\n}"},
    {"V205", "a barrier of the whole CTA inside of `warps 0 .. 2`", "warps 0 .. 2 {\n  barrier\n}"},
    {"V205", "scalar q is used by warps 0 to 4, which do not all execute each assignment to it",
     "frag q: i32 = 0\nwarps 0 .. 2 {\n  q = 5\n}\nstore x[q] = 1.0"},
    {"V205", "note: assigned here, by warps 2 to 4",
     "frag q: i32 = 0\nwarps 0 .. 2 {\n  q += 1\n}\nwarps 2 .. 4 {\n  q += 1\n}"},
    {"V205", "registers are those of whole warpgroups, here of warps 0 to 4, and warps 0 to 2",
     "warps 0 .. 2 {\n  warps 0 .. 1 with {registers=24} {\n  }\n}"},
    {"V205", "warps 0 to 4 are one warpgroup and have the same registers",
     "warps 0 .. 2 with {registers=24} {\n}\nwarps 2 .. 4 with {registers=40} {\n}"},
    {"V205", "note: registers=24 here, 40 there",
     "warps 0 .. 2 with {registers=24} {\n}\nwarps 2 .. 4 with {registers=40} {\n}"},
    // what caches are asked for
    {"V203", "unknown cache hint 'evict_fist'", "a = load x[0 ..+ 4] {cache=evict_fist}"},
    {"V203", "help: did you mean 'evict_first'?", "a = load x[0 ..+ 4] {cache=evict_fist}"},
    {"V203", "store has no cache hint 'nc'", "store x[0 ..+ 4] = 1.0 {cache=nc}"},
    {"V203", "help: evict_first, evict_last, evict_normal and evict_unchanged say",
     "shared t: f32[4] = load x[0 ..+ 4] {cache=cs}"},
    {"V203", "cache hints are for global memory, and this load is in shared",
     "shared t: f32[4] = load x[0 ..+ 4]\na = load t {cache=evict_last}"},
    {"V203", "cache hints are for global memory, and this store is in shared",
     "shared t: f32[4] = load x[0 ..+ 4] * 2.0 {cache=evict_last}"},
    {"V203", "atomic_add has no attribute 'cache'",
     "atomic_add x[0 ..+ 4] = 1.0 {cache=evict_last}"},
    // what the copy engine combines by
    {"V203", "reduce_bulk needs {by=add}", "shared t: f32[4]\nreduce_bulk x[0..] = t"},
    {"V203", "not by 'ad'", "shared t: f32[4]\nreduce_bulk x[0..] = t {by=ad}"},
    {"V203", "help: did you mean 'add'?", "shared t: f32[4]\nreduce_bulk x[0..] = t {by=ad}"},
    {"V203", "store_bulk has no attribute 'by'",
     "shared t: f32[4]\nstore_bulk x[0..] = t {by=add}"},
    {"L303", "the copy engine knows min of i32, i64, f16 and bf16, not of f32",
     "shared t: f32[4]\nreduce_bulk x[0..] = t {by=min}"},
    {"L303", "the copy engine knows xor of i32 and i64, not of f16",
     "shared t: f16[8]\nreduce_bulk h[0..] = t {by=xor}"},
    {"L304", "its rows of 12 bytes are no multiple of 16",
     "shared t: f32[3]\nreduce_bulk x[0..] = t {by=add}"},
    // L: what the copy engine cannot do
    {"L304", "the stride of dimension 0 of 'y' is not known to be a multiple of 16 bytes",
     "shared t: f32[8, 8]\ncopy_bulk t = y[0.., 0..]"},
    {"L304", "it does not gather",
     "kernel k(y: global f32[M, N])\n  assume N % 4 == 0\n{\n  shared t: f32[8, 8]\n"
     "  copy_bulk t = y[iota(8), 0..]\n}\n"},
    {"L304", "its rows of 12 bytes are no multiple of 16",
     "shared t: f32[3]\nstore_bulk x[0..] = t"},
    {"M402", "is not aligned to 16 bytes",
     "kernel k()\n  level placed\n  shared_bytes 64\n{\n  shared t: f32[4] align 16 "
     "{offset=4}\n}\n"},
    {"M402", "the buffer ends at byte 20, the kernel has 16",
     "kernel k()\n  level placed\n  shared_bytes 16\n{\n  shared t: f32[4] {offset=4}\n}\n"},
};

static int count_kept(const kg_diags *diags)
{
    int count = 0;
    for (const kg_diag *d = diags->first; d; d = d->next) count += d->severity == KG_ERROR;
    return count;
}

static bool check(const finding_case *c)
{
    ir_test *t = ir_test_new();
    bool whole =
        !strncmp(c->text, "kernel", 6) || !strncmp(c->text, "hello", 5) || c->text[0] == '\n';
    const char *text = whole ? c->text : kg_arena_printf(&t->arena, HEAD "{\n%s\n}\n", c->text);
    kg_unit *unit = ir_parse(t, text);
    if (unit) ir_verify(t, unit);
    const char *report = ir_report(t);
    const char *id = kg_arena_printf(&t->arena, "[KG-%s]", c->id);
    bool ok = t->diags.first && strstr(report, id) && strstr(report, c->words);
    if (!ok) print_message("wanted %s '%s' for:\n%s\ngot:\n%s", c->id, c->words, text, report);
    ir_test_free(t);
    return ok;
}

static void test_each(void **state)
{
    int failed = 0;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) failed += !check(&cases[i]);
    assert_int_equal(failed, 0);
}

// A mistake is reported once, however often what it defines is used.
static void test_no_cascade(void **state)
{
    static const char *const texts[] = {
        "a = unknown_thing * 2.0\nb2 = a + 1.0\nstore x[0 ..+ 4] = b2\nc2 = a\n",
        "frag a: f23[4] = 0.0\na += 1.0\nstore x[0 ..+ 4] = a\n",
        "shared t: f32[0]\nstore t = 1.0\na = sum(t)\n",
        "for i in 0 .. oops {\n  a = i + 1\n  store x[a] = 1.0\n}\n",
        "a = load x[0 ..+ 4] where nope\nb2 = a * a\n",
        "a = (1 +\nb2 = 2\n",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        ir_test *t = ir_test_new();
        ir_parse(t, kg_arena_printf(&t->arena, HEAD "{\n%s}\n", texts[i]));
        if (count_kept(&t->diags) != 1)
            fail_msg("not one finding for:\n%s\n%s", texts[i], ir_report(t));
        ir_test_free(t);
    }
}

// All findings of a file come at once, in its order.
static void test_all_at_once(void **state)
{
    ir_test *t = ir_test_new();
    assert_null(ir_parse(
        t,
        HEAD "{\n  a = one\n  for i in 0 .. {\n    c2 = two\n  }\n  frag q: f99 = 0\n  x = 1\n}\n"
             "kernel other()\n{\n  z = three\n}\n"));
    assert_int_equal(count_kept(&t->diags), 6);
    const char *report = ir_report(t);
    const char *words[] = {"'one'",  "expected an expression", "'two'", "'f99'", "immutable",
                           "'three'"};
    for (int i = 0; i < 6; i++) {
        const char *found = strstr(report, words[i]);
        assert_non_null(found);
        report = found;
    }
    ir_test_free(t);
}

static void test_rendering(void **state)
{
    ir_test *t = ir_test_new();
    ir_parse(t, "kernel k(n: i32)\n{\n\ta = n + unkown\n  frag s = 1.0\n  frag s = 2.0\n}\n");
    assert_string_equal(ir_report(t), "test.kg:3:10: error: unknown name 'unkown' [KG-P003]\n"
                                      "  \ta = n + unkown\n"
                                      "  \t        ^~~~~~\n"
                                      "test.kg:5:8: error: 's' is defined twice [KG-P007]\n"
                                      "    frag s = 2.0\n"
                                      "         ^\n"
                                      "test.kg:4:8: note: the first definition is here\n"
                                      "    frag s = 1.0\n"
                                      "         ^\n");
    ir_test_free(t);
}

static kg_unit *parse_bytes(ir_test *t, const char *bytes, size_t length)
{
    t->source = (kg_source){"test.kg", bytes, length};
    return kg_parse(&t->arena, &t->diags, &t->source, NULL, 0);
}

static void test_not_text(void **state)
{
    ir_test *t = ir_test_new();
    assert_null(parse_bytes(t,
                            "\x7f"
                            "ELF\0\0\1",
                            7));
    assert_non_null(strstr(ir_report(t), "[KG-P008]"));
    assert_int_equal(count_kept(&t->diags), 1);
    ir_test_free(t);
}

// A text made of `count` times `piece` between `head` and `tail`.
static char *repeated(const char *head, const char *piece, int count, const char *tail)
{
    size_t n = strlen(piece);
    char *text = malloc(strlen(head) + n * (size_t)count + strlen(tail) + 1), *p = text;
    p += sprintf(p, "%s", head);
    for (int i = 0; i < count; i++, p += n) memcpy(p, piece, n);
    sprintf(p, "%s", tail);
    return text;
}

static void test_too_deep(void **state)
{
    const struct {
        const char *head, *piece;
        int count;
        const char *tail;
    } deep[] = {{HEAD "{\na = ", "(", 100000, "\n}\n"},
                {HEAD "{\na = ", "-", 100000, "1\n}\n"},
                {HEAD "{\na = n", " + n", 100000, "\n}\n"},
                {HEAD "{\n", "if n > 1 {\n", 100000, ""},
                {HEAD "{\na = ", "load x[", 100000, "\n}\n"},
                {HEAD "{\na = ", "sum(", 50000, "\n}\n"},
                {HEAD "{\nif n > 1 {\n}", " else if n > 1 {\n}", 100000, "\n}\n"},
                {HEAD "{\na = ", "n ? n : ", 100000, "n\n}\n"},
                {HEAD "{\na = ", "[", 100000, "\n}\n"}};
    for (size_t i = 0; i < sizeof deep / sizeof *deep; i++) {
        ir_test *t = ir_test_new();
        char *text = repeated(deep[i].head, deep[i].piece, deep[i].count, deep[i].tail);
        assert_null(ir_parse(t, text));
        if (!strstr(ir_report(t), "[KG-P011]")) fail_msg("deep input %zu:\n%s", i, ir_report(t));
        free(text);
        ir_test_free(t);
    }
}

static void test_too_large(void **state)
{
    ir_test *t = ir_test_new();
    char *text = repeated("", "// a long comment, again and again\n", (17 << 20) / 35, "");
    assert_null(ir_parse(t, text));
    assert_non_null(strstr(ir_report(t), "[KG-P011]"));
    free(text);
    ir_test_free(t);
}

// Whatever a file is cut to, there are findings and no crash.
static void test_truncated(void **state)
{
    static const char text[] =
        HEAD "{\n  shared t: f32[64] = load x[b*64 ..]\n  for i in 0 .. n {\n"
             "    a = sum(t * 2.0, axis=0)\n    store x[i] = a\n  }\n}\n";
    for (size_t length = 0; length + 2 < sizeof text; length++) {
        ir_test *t = ir_test_new();
        assert_null(parse_bytes(t, text, length));
        assert_true(t->diags.errors > 0);
        ir_report(t);
        ir_test_free(t);
    }
}

static void test_many_errors(void **state)
{
    ir_test *t = ir_test_new();
    char *text = repeated(HEAD "{\n", "store x[0] = 1\nstore x[0] = true\n", 500, "}\n");
    assert_null(ir_parse(t, text));
    assert_int_equal(count_kept(&t->diags), 100);
    assert_int_equal(t->diags.errors, 500);
    free(text);
    ir_test_free(t);
}

// From text a name out of scope is unknown; IR made by calls can hold one.
static void test_out_of_scope(void **state)
{
    kg_build *b = kg_build_new(NULL);
    kg_build_kernel(b, "k");
    kg_value *x = kg_build_tensor(b, "x", KG_F32, 1, kg_build_size(b, "N"));
    kg_value *i = kg_build_for(b, "i", kg_build_int(b, 0), kg_build_int(b, 4), NULL, 0, 0);
    kg_value *inner = kg_build_op(b, KG_OP_ADD, 2, i, i);
    kg_build_end(b);
    kg_build_store(b, kg_build_view(b, x, 1, kg_at(inner)), kg_build_float(b, 1), NULL);
    assert_null(kg_build_unit(b));
    assert_non_null(strstr(kg_build_report(b), "[KG-V202]"));
    kg_build_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each),        cmocka_unit_test(test_no_cascade),
        cmocka_unit_test(test_all_at_once), cmocka_unit_test(test_rendering),
        cmocka_unit_test(test_not_text),    cmocka_unit_test(test_too_deep),
        cmocka_unit_test(test_too_large),   cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_many_errors), cmocka_unit_test(test_out_of_scope)};
    return cmocka_run_group_tests_name("ir_diags", tests, NULL, NULL);
}
