// SPDX-License-Identifier: MIT
// The copy engine and mbarriers in PTX: every instruction is held against its op, and what the
// engine cannot do is refused with the reason. Kernels stand here at level synced, as text.
#include "ir/tensor_map.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "world.h"

#define PLACED(bytes) "  level synced\n  shared_bytes " #bytes "\n{\n"

static const char everything[] =
    "kernel k(x: global f32[M, N], y: global f32[M, N], z: global bf16[M, 128], M: i32, N: i32)\n"
    "  assume N % 4 == 0\n  warps 12\n  grid one: 1\n" PLACED(
        24832) "  shared s: f32[16, 32] ring 2 align 1024 {offset=0, pitch=32, swizzle=[4, 3, 0]}\n"
               "  shared w: bf16[16, 128] align 1024 {offset=4096, panel=64, pitch=64, swizzle=[4, "
               "3, 0]}\n"
               "  shared long: f32[512] align 128 {offset=8192, pitch=512}\n"
               "  shared full: i64[1] ring 2 align 16 {offset=24576, pitch=1, arrivals=1}\n"
               "  shared empty: i64[1] align 16 {offset=24608, pitch=1, arrivals=256}\n"
               "  mbarrier_init full\n  mbarrier_init empty\n  barrier\n"
               "  %0 = i32(0)\n  %1 = i32(4)\n  %2 = i32(1)\n"
               "  warps 8 .. 9 as producer with {registers=24} {\n"
               "    for t in %0 .. %1 step %2 {\n"
               "      mbarrier_wait empty {behind=1}\n"
               "      mbarrier_expect full[t; ..+1] {bytes=6144}\n"
               "      copy_bulk s[t; ..+16, ..+32] = x[t ..+16, %0 ..+32] on full[t; ..+1]\n"
               "      copy_bulk w = z[%0 ..+16, ..+128] on full[t; ..+1]\n    }\n  }\n"
               "  warps 0 .. 8 as consumer with {registers=240} {\n"
               "    for t in %0 .. %1 step %2 {\n"
               "      mbarrier_wait full[t; ..+1]\n      proxy_fence shared\n      proxy_fence "
               "global\n"
               "      mbarrier_arrive empty {by_thread=1}\n      mbarrier_arrive empty\n"
               "      store_bulk y[t ..+16, %0 ..+32] = s[t; ..+16, ..+32]\n"
               "      bulk_commit\n      bulk_wait 1 {read=1}\n    }\n    bulk_wait 0\n  }\n}\n";

// Parses and emits; the diagnostics say how it went.
static void emit(world *w, const char *text)
{
    open_world(w, "bulk.kg", text);
    kg_codegen_options options = {.target = cg_target_find("sm_90a")};
    if (w->kernel && kg_verify(w->kernel, &w->diags))
        kg_codegen_emit(w->codegen, w->kernel, &w->arena, &w->diags, &options, &w->out);
}

// ---- the match ----------------------------------------------------------------------------------

static world w;

static int emit_everything(void **state)
{
    if (setjmp(no_memory)) return 1;
    emit(&w, everything);
    for (const kg_diag *d = w.diags.first; d; d = d->next) printf("# %s\n", d->text);
    return w.out.ptx == NULL;
}

static int release_everything(void **state)
{
    close_world(&w);
    return 0;
}

// Start of the line with the n-th `what`; NULL: there are fewer.
static const char *line_of(const char *what, int n)
{
    const char *at = w.out.ptx;
    while ((at = strstr(at, what)) && n-- > 0) at++;
    while (at && at > w.out.ptx && at[-1] != '\n') at--;
    return at;
}

// Does the text match with this line replaced?
static bool matches_with(const char *line, const char *instead)
{
    const char *rest = strchr(line, '\n') + 1;
    size_t before = (size_t)(line - w.out.ptx);
    char *changed = NULL;
    size_t length;
    FILE *out = open_memstream(&changed, &length);
    fprintf(out, "%.*s%s%s", (int)before, w.out.ptx, instead, rest);
    fclose(out);
    bool fine = matches_kernel(&w, changed, length);
    free(changed);
    return fine;
}

// Each kind, and how many of it.
static const struct {
    const char *what;
    int count;
} kinds[] = {
    {"mbarrier.init", 3},
    {"mbarrier.try_wait", 2},
    {"mbarrier.arrive.expect_tx", 1},
    {"mbarrier.arrive.shared", 2},
    {"cp.async.bulk.tensor.2d.shared", 3},
    {"cp.async.bulk.tensor.2d.global", 1},
    {"cp.async.bulk.commit_group", 1},
    {"cp.async.bulk.wait_group", 2},
    {"fence.proxy.async.shared::cta", 1},
    {"fence.proxy.async.global", 1},
    {"setmaxnreg.dec", 1},
    {"setmaxnreg.inc", 1},
};

static void one_by_one(void **state)
{
    char twice[1024];
    assert_true(matches_kernel(&w, w.out.ptx, w.out.ptx_length));
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        int n = 0;
        for (const char *line; (line = line_of(kinds[k].what, n)); n++) {
            int length = (int)(strchr(line, '\n') + 1 - line);
            snprintf(twice, sizeof twice, "%.*s%.*s", length, line, length, line);
            assert_false(matches_with(line, ""));
            assert_false(matches_with(line, twice));
        }
        if (n != kinds[k].count) fail_msg("%d of %s in\n%s", n, kinds[k].what, w.out.ptx);
    }
}

// What one thread does is under a predicate, what all do is not.
static void guards(void **state)
{
    char changed[1024];
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
        for (int n = 0; line_of(kinds[k].what, n); n++) {
            const char *line = line_of(kinds[k].what, n), *start = line + 1;
            int length = (int)(strchr(line, '\n') + 1 - start);
            bool guarded = *start == '@';
            if (guarded)
                snprintf(changed, sizeof changed, "\t%.*s", length - 5, start + 5);
            else
                snprintf(changed, sizeof changed, "\t@%%p1 %.*s", length, start);
            assert_false(matches_with(line, changed));
        }
}

static void weakened(void **state)
{
    static const char *const changes[][2] = {
        {"mbarrier.init.shared", "\t@%p1 mbarrier.init.shared.b64 [%r1], 2;\n"},
        {"expect_tx", "\t@%p1 mbarrier.arrive.expect_tx.shared.b64 _, [%r1], 6140;\n"},
        {"wait_group.read", "\t@%p1 cp.async.bulk.wait_group 1;\n"},
        {"wait_group.read", "\t@%p1 cp.async.bulk.wait_group.read 2;\n"},
        {"wait_group 0", "\t@%p1 cp.async.bulk.wait_group.read 0;\n"},
        {"fence.proxy.async.shared", "\tfence.proxy.async.global;\n"},
        {"fence.proxy.async.global", "\tfence.proxy.async.shared::cta;\n"},
        {"setmaxnreg.dec", "\tsetmaxnreg.dec.sync.aligned.u32 32;\n"},
        {"try_wait", "\tmbarrier.test_wait.parity.shared.b64 %p2, [%r1], %r2;\n"},
    };
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        const char *line = line_of(changes[i][0], 0);
        if (!line || matches_with(line, changes[i][1])) fail_msg("%s", changes[i][1]);
    }
}

// Maps in order of first use, one for each box of a tensor, behind the other parameters.
static void maps(void **state)
{
    kg_tensor_maps maps;
    kg_tensor_maps_collect(&w.arena, w.kernel, &maps);
    assert_int_equal(maps.count, 3);
    static const char *const names[] = {"x", "z", "y"};
    static const int32_t boxes[][2] = {{32, 16}, {64, 16}, {32, 16}};
    for (int i = 0; i < 3; i++) {
        assert_string_equal(maps.items[i].tensor->name, names[i]);
        assert_int_equal(maps.items[i].rank, 2);
        assert_int_equal(maps.items[i].dim[0], 1);
        assert_memory_equal(maps.items[i].box, boxes[i], sizeof boxes[i]);
        assert_int_equal(maps.items[i].swizzle, 128);
    }
    assert_non_null(strstr(w.out.ptx, ".param .align 64 .b8 k_param_5[128],\n"));
    assert_non_null(strstr(w.out.ptx, ".param .align 64 .b8 k_param_7[128]\n"));
    assert_null(strstr(w.out.ptx, "k_param_8"));
    assert_false(w.out.local_memory);
}

// ---- what is refused ----------------------------------------------------------------------------

static void refuses(const char *assume, const char *buffer, const char *copy, const char *because)
{
    char text[1024];
    world bad;
    snprintf(text, sizeof text,
             "kernel k(x: global f32[M, N], v: global f32[N], h: global bf16[M, N] align 8, "
             "p: global f32[M, N] strides [ld, 1], M: i32, N: i32)\n"
             "  implicit ld: i64\n%s  warps 4\n  grid one: 1\n" PLACED(
                 140032) "  shared s: %s\n"
                         "  shared full: i64[1] align 16 {offset=140000, pitch=1, arrivals=1}\n"
                         "  %%0 = i32(0)\n  mbarrier_init full\n"
                         "  mbarrier_expect full {bytes=2048}\n  %s\n}\n",
             assume, buffer, copy);
    emit(&bad, text);
    const kg_diag *found = bad.diags.first;
    if (!found || !strstr(found->text, because))
        fail_msg("%s: '%s', not '%s'\n%s", copy, found ? found->text : "nothing", because, text);
    assert_int_equal(found->id, KG_D_L304);
    close_world(&bad);
}

static void refused_tensors(void **state)
{
    const char *s = "f32[16, 32] align 1024 {offset=0, pitch=32, swizzle=[4, 3, 0]}";
    const char *even = "  assume N % 4 == 0\n";
    refuses("", s, "copy_bulk s = x[%0 ..+16, %0 ..+32] on full",
            "the stride of dimension 0 of 'x' is not known to be a multiple of 16 bytes");
    refuses("  assume N % 2 == 0\n", s, "copy_bulk s = x[%0 ..+16, %0 ..+32] on full",
            "(4 elements)");
    refuses(even, s, "copy_bulk s = p[%0 ..+16, %0 ..+32] on full",
            "the stride of dimension 0 of 'p'");
    refuses(even, s, "copy_bulk s = transpose(x[%0 ..+32, %0 ..+16]) on full",
            "the last dimension of the buffer is not the one of stride 1 in 'x'");
    refuses("  assume N % 8 == 0\n", "bf16[16, 32] align 1024 {offset=0, pitch=32}",
            "copy_bulk s = h[%0 ..+16, %0 ..+32] on full",
            "'h' may start at any multiple of 8 bytes");
    refuses(even, "f32[16] align 128 {offset=0, pitch=16}", "copy_bulk s = x[%0 ..+16, %0] on full",
            "no dimension of the view has stride 1 in 'x'");
    refuses(even, "f32[2] align 128 {offset=0, pitch=2}", "copy_bulk s = v[%0 ..+2] on full",
            "its rows of 8 bytes are no multiple of 16");
    refuses(even, "f32[3, 6] align 128 {offset=0, pitch=6}", "store_bulk x[%0 ..+3, %0 ..+6] = s",
            "its rows of 24 bytes are no multiple of 16");
}

static void refused_buffers(void **state)
{
    const char *even = "  assume N % 4 == 0\n",
               *tile = "copy_bulk s = x[%0 ..+16, %0 ..+32] on full";
    refuses(even, "f32[16, 32] align 1024 {offset=0, pitch=36}", tile, "padded: pitch=36");
    refuses(even, "f32[16, 32] align 1024 {offset=0, pitch=32, swizzle=[4, 3, 1]}", tile,
            "swizzle=[4, 3, 1] with rows of 128 bytes is none of the copy engine's");
    refuses(even, "f32[16, 32] align 1024 {offset=0, pitch=32, swizzle=[4, 2, 1]}", tile,
            "is none of the copy engine's");
    refuses(even, "f32[16, 32] align 512 {offset=512, pitch=32, swizzle=[4, 3, 0]}", tile,
            "its buffer is not aligned to 1024 bytes");
    refuses(even, "f32[16, 32] align 16 {offset=64, pitch=32}", tile,
            "its buffer is not aligned to 128 bytes");
    refuses(even, "f32[20, 32] ring 2 align 1024 {offset=0, pitch=32, swizzle=[4, 3, 0]}",
            "copy_bulk s[%0; ..+20, ..+32] = x[%0 ..+20, %0 ..+32] on full",
            "slots of 2560 bytes are no multiple of 1024");
    refuses(even, "f32[4, 64] align 1024 {offset=0, panel=32, pitch=32, swizzle=[4, 3, 0]}",
            "copy_bulk s = x[%0 ..+4, %0 ..+64] on full", "panels of 512 bytes are no multiple");
}

// Where a part of a buffer is filled, and what that takes.
static void refused_parts(void **state)
{
    const char *even = "  assume N % 4 == 0\n";
    const char *plain = "f32[160, 64] align 128 {offset=0, pitch=64}";
    refuses(even, plain, "copy_bulk s[M ..+16, ..+64] = x[%0 ..+16, %0 ..+64] on full",
            "starts at a row known at run time only");
    refuses(even, plain, "copy_bulk s[%0 ..+16, M ..+32] = x[%0 ..+16, %0 ..+32] on full",
            "starts at a column known at run time only");
    refuses(even, plain, "copy_bulk s[..+160, %0 ..+32] = x[%0 ..+160, %0 ..+32] on full",
            "it would take more than 64 instructions");
    refuses(even, "f32[160, 32] align 1024 {offset=0, pitch=32, swizzle=[4, 3, 0]}",
            "copy_bulk s[..+160, %0 ..+16] = x[%0 ..+160, %0 ..+16] on full",
            "parts of swizzled rows");
    refuses(even, "f32[16, 64] align 1024 {offset=0, panel=32, pitch=32, swizzle=[4, 3, 0]}",
            "copy_bulk s[..+16, %0 ..+16] = x[%0 ..+16, %0 ..+16] on full",
            "is not made of whole panels");
    refuses(even, "f32[4, 12] align 128 {offset=0, pitch=12}",
            "copy_bulk s[..+4, %0 ..+8] = x[%0 ..+4, %0 ..+8] on full",
            "a box would not start at a multiple of 128 bytes");
}

// Maps are parameters, and those have room for 4096 bytes: 30 tensors with a map each.
static kg_diag_id with_tensors(int count)
{
    char *text = NULL;
    size_t length;
    world many;
    FILE *out = open_memstream(&text, &length);
    fputs("kernel k(", out);
    for (int i = 0; i < count; i++) fprintf(out, "%sx%d: global f32[64]", i ? ", " : "", i);
    fputs(")\n  warps 4\n  grid one: 1\n" PLACED(
              272) "  shared s: f32[64] align 128 {offset=0, pitch=64}\n"
                   "  shared full: i64[1] align 16 {offset=256, pitch=1, arrivals=1}\n"
                   "  mbarrier_init full\n",
          out);
    for (int i = 0; i < count; i++) fprintf(out, "  copy_bulk s = x%d[..+64] on full\n", i);
    fputs("}\n", out);
    fclose(out);
    emit(&many, text);
    kg_diag_id id = many.diags.first ? many.diags.first->id : 0;
    bool made = many.out.ptx != NULL;
    if (made == (many.diags.first != NULL)) fail_msg("%d tensors", count);
    close_world(&many);
    free(text);
    return made ? (kg_diag_id)-1 : id;
}

static void most_maps(void **state)
{
    assert_int_equal(with_tensors(30), (kg_diag_id)-1);
    assert_int_equal(with_tensors(31), KG_D_C605);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_by_one),      cmocka_unit_test(guards),
        cmocka_unit_test(weakened),        cmocka_unit_test(maps),
        cmocka_unit_test(refused_tensors), cmocka_unit_test(refused_buffers),
        cmocka_unit_test(refused_parts),   cmocka_unit_test(most_maps),
    };
    return cmocka_run_group_tests_name("emit bulk", tests, emit_everything, release_everything);
}
