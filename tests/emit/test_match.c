// SPDX-License-Identifier: MIT
// The match of emitted PTX with the kernel: what was emitted passes, and every change to a
// synchronizing, asynchronous or tensor-core instruction is found.
#include "passes/passes.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "world.h"

static const char source_text[] = "kernel mm(a: global bf16[M, K], b: global bf16[K, N], c: global "
                                  "f32[M, N], flag: global i32[1])\n"
                                  "  assume K % 8 == 0, N % 8 == 0\n"
                                  "  grid n: ceildiv(N, 64), m: ceildiv(M, 64)\n{\n"
                                  "  frag acc: f32[64, 64] = 0.0\n"
                                  "  for k in 0 .. ceildiv(K, 32) pipeline 3 {\n"
                                  "    shared sa: bf16[64, 32] = load a[m*64.., k*32..]\n"
                                  "    shared sb: bf16[32, 64] = load b[k*32.., n*64..]\n"
                                  "    acc = dot(sa, sb, acc)\n  }\n"
                                  "  store c[m*64.., n*64..] = acc\n"
                                  "  signal flag[0] = 1\n}\n";

// Products of a warpgroup, and a store by stmatrix.
static const char wgmma_text[] =
    "kernel chain(q: global bf16[64, 64], k: global bf16[N, 64], o: global bf16[64, 64], N: i32)\n"
    "  warps 4\n  grid x: 1\n{\n"
    "  shared sq: bf16[64, 64]\n  shared sk: bf16[16, 64] ring 3\n  shared so: bf16[64, 64]\n"
    "  copy sq = q[0.., 0..]\n  frag acc: f32[64, 64] = 0.0\n"
    "  for i in 0 .. N / 16 {\n    copy sk[i] = k[i*16.., 0..]\n"
    "    s = wgmma(sq, transpose(sk[i]), 0.0)\n"
    "    acc = wgmma(cast(s, bf16), sk[i], acc)\n  }\n"
    "  store so = cast(acc, bf16)\n  store_bulk o[0.., 0..] = so\n}\n";

static world w;

static int compile_text(const char *text, const char *target_name)
{
    const struct cg_target *target = cg_target_find(target_name);
    kg_machine machine = {target->name, (int32_t)target->sm, target->shared_cta, 255};
    if (setjmp(no_memory)) return 1;
    open_world(&w, "mm.kg", text);
    if (!w.kernel) return 1;
    kg_pass_context context = {.arena = &w.arena, .diags = &w.diags, .machine = &machine};
    kg_pipeline_options pipeline = {0};
    kg_codegen_options options = {.target = target};
    return !kg_run_pipeline(&context, w.kernel, &pipeline) ||
           !kg_codegen_emit(w.codegen, w.kernel, &w.arena, &w.diags, &options, &w.out);
}

static int compile(void **state)
{
    return compile_text(source_text, "sm_80");
}

static int compile_wgmma(void **state)
{
    return compile_text(wgmma_text, "sm_90a");
}

static int release(void **state)
{
    close_world(&w);
    return 0;
}

static void as_emitted(void **state)
{
    assert_true(matches_kernel(&w, w.out.ptx, w.out.ptx_length));
    assert_false(w.out.local_memory);
}

typedef struct line {
    const char *start;
    size_t length;
} line;

static line find(const char *what, int nth)
{
    const char *at = w.out.ptx;
    for (int i = 0; (at = strstr(at, what)) && i < nth; i++) at++;
    if (!at) return (line){NULL, 0};
    while (at > w.out.ptx && at[-1] != '\n') at--;
    return (line){at, (size_t)(strchr(at, '\n') + 1 - at)};
}

// The text with a line replaced by some others.
static bool matches_with(line old, const char *text, size_t length)
{
    size_t before = (size_t)(old.start - w.out.ptx);
    size_t after = w.out.ptx_length - before - old.length;
    char *changed = malloc(w.out.ptx_length + length + 1);
    assert_non_null(changed);
    memcpy(changed, w.out.ptx, before);
    memcpy(changed + before, text, length);
    memcpy(changed + before + length, old.start + old.length, after);
    changed[before + length + after] = '\0';
    bool fine = matches_kernel(&w, changed, before + length + after);
    free(changed);
    return fine;
}

static const char *const of_dot[] = {
    "bar.sync",   "cp.async.cg", "cp.async.commit_group", "cp.async.wait_group", "mma.sync",
    "st.release", NULL};
static const char *const of_wgmma[] = {
    "bar.sync",         "wgmma.fence", "wgmma.mma_async", "wgmma.commit_group",
    "wgmma.wait_group", "stmatrix",    "fence.proxy",     NULL};

static const char *const *all_kinds(void)
{
    return w.source.text == wgmma_text ? of_wgmma : of_dot;
}

static void removed(void **state)
{
    const char *const *kinds = all_kinds();
    for (size_t k = 0; kinds[k]; k++) {
        int n = 0;
        for (line at; (at = find(kinds[k], n)).start; n++) assert_false(matches_with(at, "", 0));
        assert_true(n > 0);
    }
}

static void doubled(void **state)
{
    const char *const *kinds = all_kinds();
    for (size_t k = 0; kinds[k]; k++)
        for (int n = 0; find(kinds[k], n).start; n++) {
            char text[4096];
            line at = find(kinds[k], n);
            assert_true(2 * at.length < sizeof text);
            memcpy(text, at.start, at.length);
            memcpy(text + at.length, at.start, at.length);
            assert_false(matches_with(at, text, 2 * at.length));
        }
}

static void weakened(void **state)
{
    static const char loose[] = "\tcp.async.wait_group 7;\n", other[] = "\tbar.sync 3;\n";
    static const char counted[] = "\tbar.sync 0, 64;\n", warp[] = "\tbar.warp.sync -1;\n";
    static const char plain[] = "\tst.relaxed.gpu.global.b32 [%rd1], %r1;\n";
    assert_false(matches_with(find("cp.async.wait_group", 0), loose, sizeof loose - 1));
    assert_false(matches_with(find("bar.sync", 0), other, sizeof other - 1));
    assert_false(matches_with(find("bar.sync", 0), counted, sizeof counted - 1));
    assert_false(matches_with(find("bar.sync", 0), warp, sizeof warp - 1));
    assert_false(matches_with(find("st.release", 0), plain, sizeof plain - 1));
}

static void changed(void **state)
{
    static const char loose[] = "\twgmma.wait_group.sync.aligned 1;\n";
    line product = find("wgmma.mma_async", 0);
    char text[4096];
    assert_false(matches_with(find("wgmma.wait_group", 0), loose, sizeof loose - 1));
    assert_true(product.length < sizeof text);
    memcpy(text, product.start, product.length);
    text[product.length] = '\0';
    char *shape = strstr(text, "m64n16k16");
    assert_non_null(shape);
    shape[4] = '2';
    assert_false(matches_with(product, text, product.length));
    memcpy(shape, "m64n16k16.f32.f16.f16   ", 24);
    assert_false(matches_with(product, text, product.length));
}

// A guard is for copies alone; a barrier under one is not what the kernel asks for.
static void guarded(void **state)
{
    static const char text[] = "\t@%p1 bar.sync 0;\n";
    assert_false(matches_with(find("bar.sync", 0), text, sizeof text - 1));
}

static void added(void **state)
{
    static const char *const strangers[] = {
        "\tfence.acq_rel.gpu;\n", "\tmbarrier.inval.shared.b64 [%r1];\n",
        "\tatom.relaxed.gpu.global.add.u32 %r1, [%rd1], %r2;\n", "\tbar.arrive 1, 64;\n"};
    line at = find("ret;", 0);
    for (size_t i = 0; i < sizeof strangers / sizeof strangers[0]; i++) {
        char text[256];
        int length = snprintf(text, sizeof text, "%s%.*s", strangers[i], (int)at.length, at.start);
        assert_false(matches_with(at, text, (size_t)length));
    }
}

static void targets_and_limits(void **state)
{
    kg_codegen_output out;
    kg_diags diags = {.arena = &w.arena};
    int64_t bytes = w.kernel->shared_bytes;
    kg_codegen_options options = {.target = cg_target_find("sm_120"), .want_llvm = true};
    assert_true(kg_codegen_emit(w.codegen, w.kernel, &w.arena, &diags, &options, &out));
    assert_non_null(strstr(out.ptx, ".target sm_120"));
    assert_non_null(out.llvm);
    w.kernel->shared_bytes = 128 * 1024;
    assert_false(kg_codegen_emit(w.codegen, w.kernel, &w.arena, &diags, &options, &out));
    assert_int_equal(diags.first->id, KG_D_C605);
    w.kernel->shared_bytes = bytes;
    options.no_optimization = options.no_lines = true;
    assert_true(kg_codegen_emit(w.codegen, w.kernel, &w.arena, &diags, &options, &out));
    assert_null(strstr(out.ptx, ".loc"));
}

static void level_is_asked_for(void **state)
{
    kg_codegen_output out;
    kg_diags diags = {.arena = &w.arena};
    kg_codegen_options options = {.target = cg_target_find("sm_80")};
    w.kernel->level = KG_LEVEL_PLACED;
    assert_false(kg_codegen_emit(w.codegen, w.kernel, &w.arena, &diags, &options, &out));
    assert_int_equal(diags.first->id, KG_D_V201);
    w.kernel->level = KG_LEVEL_SYNCED;
}

#define DOT(test) cmocka_unit_test_setup_teardown(test, compile, release)
#define WGMMA(test)                                                                                \
    {                                                                                              \
        "wgmma " #test, test, compile_wgmma, release, NULL                                         \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        DOT(as_emitted),
        DOT(removed),
        DOT(doubled),
        DOT(weakened),
        DOT(guarded),
        DOT(added),
        DOT(targets_and_limits),
        DOT(level_is_asked_for),
        WGMMA(as_emitted),
        WGMMA(removed),
        WGMMA(doubled),
        WGMMA(changed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
