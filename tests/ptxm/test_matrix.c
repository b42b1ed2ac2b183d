// SPDX-License-Identifier: MIT
// mma.sync of every shape and type against matrices in f64; ldmatrix, stmatrix, movmatrix; and the
// instructions that go with them on Hopper: elect, redux, setmaxnreg.
//   test_ptxm_matrix [PTXAS]
#include "matrix.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *ptxas;

// ---- mma.sync ----------------------------------------------------------------------------------

struct shape {
    unsigned m, k;
    const char *d, *c;
    enum format_id a, b;
    const char *extra; // behind .col (integers) or behind the types (bits)
};

static const struct shape shapes[] = {
    {16, 8, "f32", "f32", F16, F16},   {16, 16, "f32", "f32", F16, F16},
    {16, 8, "f16", "f16", F16, F16},   {16, 16, "f16", "f16", F16, F16},
    {16, 8, "f32", "f32", BF16, BF16}, {16, 16, "f32", "f32", BF16, BF16},
    {16, 4, "f32", "f32", TF32, TF32}, {16, 8, "f32", "f32", TF32, TF32},
    {16, 32, "f32", "f32", E4M3, E4M3}, {16, 32, "f32", "f32", E4M3, E5M2},
    {16, 32, "f32", "f32", E5M2, E4M3}, {16, 32, "f32", "f32", E5M2, E5M2},
    {16, 16, "f32", "f32", E4M3, E5M2}, {16, 16, "f16", "f16", E5M2, E4M3},
    {16, 32, "f16", "f16", E4M3, E4M3},
    {8, 16, "s32", "s32", S8, S8},     {8, 16, "s32", "s32", U8, S8},
    {16, 16, "s32", "s32", S8, U8},    {16, 16, "s32", "s32", U8, U8},
    {16, 32, "s32", "s32", S8, S8},    {16, 32, "s32", "s32", U8, S8, ".satfinite"},
    {8, 32, "s32", "s32", S4, S4},     {8, 32, "s32", "s32", U4, S4},
    {16, 32, "s32", "s32", S4, U4},    {16, 64, "s32", "s32", U4, U4},
    {16, 64, "s32", "s32", S4, S4, ".satfinite"},
    {8, 128, "s32", "s32", B1, B1, ".xor.popc"}, {8, 128, "s32", "s32", B1, B1, ".and.popc"},
    {16, 128, "s32", "s32", B1, B1, ".xor.popc"}, {16, 128, "s32", "s32", B1, B1, ".and.popc"},
    {16, 256, "s32", "s32", B1, B1, ".xor.popc"}, {16, 256, "s32", "s32", B1, B1, ".and.popc"},
    {8, 4, "f64", "f64", F64, F64},    {16, 4, "f64", "f64", F64, F64},
    {16, 8, "f64", "f64", F64, F64},   {16, 16, "f64", "f64", F64, F64},
};
enum { SHAPE_COUNT = sizeof shapes / sizeof *shapes, MOST_K = 256 };

static unsigned word_bits(const struct shape *s)
{
    return s->a == F64 ? 64 : 32;
}

static unsigned register_count(const struct shape *s, char which)
{
    unsigned bits = formats[s->a].bits, word = word_bits(s);
    if (which == 'a')
        return s->m * s->k * bits / word / 32;
    if (which == 'b')
        return 8 * s->k * bits / word / 32;
    return s->m * 8 / 32 / (!strcmp(s->d, "f16") ? 2 : 1);
}

static size_t list(char *out, size_t room, char letter, unsigned count)
{
    size_t at = 0;
    for (unsigned i = 0; i < count; i++)
        at += (size_t)snprintf(out + at, room - at, "%s%c%u", i ? ", " : "{", letter, i);
    at += (size_t)snprintf(out + at, room - at, "}");
    return at;
}

static size_t shape_text(char *out, size_t room, const struct shape *s, size_t number)
{
    size_t at = 0;
    unsigned bytes = word_bits(s) / 8, bits = word_bits(s);
#define ADD(...) at += (size_t)snprintf(out + at, room - at, __VA_ARGS__)
    ADD(".visible .entry k%zu(.param .u64 pa, .param .u64 pb, .param .u64 pc, .param .u64 pd)\n{\n"
        " .reg .b%u a<8>, b<4>, c<4>, d<4>; .reg .b64 p<8>; .reg .b32 r;\n mov.u32 r, %%tid.x;\n"
        " mul.wide.u32 p4, r, %u;\n", number, bits, bytes);
    for (unsigned i = 0; i < 4; i++)
        ADD(" ld.param.u64 p%u, [p%c]; add.s64 p%u, p%u, p4;\n", i, "abcd"[i], i, i);
    for (unsigned f = 0; f < 3; f++)
        for (unsigned i = 0; i < register_count(s, "abc"[f]); i++)
            ADD(" ld.global.b%u %c%u, [p%u+%u];\n", bits, "abc"[f], i, f, i * 32 * bytes);
    bool behind = s->extra && s->a == B1, infront = s->extra && s->a != B1;
    ADD(" mma.sync.aligned.m%un8k%u.row.col%s.%s.%s.%s.%s%s ", s->m, s->k, infront ? s->extra : "",
        s->d, formats[s->a].name, formats[s->b].name, s->c, behind ? s->extra : "");
    for (unsigned f = 0; f < 4; f++) {
        at += list(out + at, room - at, "dabc"[f], register_count(s, "dabc"[f]));
        ADD("%s", f < 3 ? ", " : ";\n");
    }
    for (unsigned i = 0; i < register_count(s, 'd'); i++)
        ADD(" st.global.b%u [p3+%u], d%u;\n", bits, i * 32 * bytes, i);
    ADD(" ret;\n}\n");
#undef ADD
    return at;
}

struct operands {
    uint64_t a[16][MOST_K], b[8][MOST_K], c[16][8]; // bits
    uint64_t fragment_a[8][32], fragment_b[4][32], fragment_c[4][32], fragment_d[4][32];
};

static double value(enum format_id format, uint64_t bits)
{
    double x;
    if (format != F64)
        return format_value(format, (uint32_t)bits);
    memcpy(&x, &bits, 8);
    return x;
}

static uint64_t random_bits(enum format_id format, uint64_t *state)
{
    if (format != F64)
        return format_random(format, state);
    double x = (double)(int64_t)bench_random(state) * 0x1p-62;
    uint64_t bits;
    memcpy(&bits, &x, 8);
    return bits;
}

static enum format_id accumulator(const struct shape *s)
{
    return !strcmp(s->c, "f16") ? F16 : !strcmp(s->c, "f64") ? F64 : F32;
}

// Element i of a lane's fragment of A: group = lane / 4, member = lane % 4; a register has `parts`
// neighbours along k, registers alternate between the upper and the lower eight rows.
static void fill(struct operands *o, const struct shape *s, uint64_t seed)
{
    unsigned parts = word_bits(s) / formats[s->a].bits, bits = formats[s->a].bits;
    uint64_t random = seed;
    memset(o, 0, sizeof *o);
    for (unsigned k = 0; k < s->k; k++) {
        for (unsigned m = 0; m < s->m; m++) o->a[m][k] = random_bits(s->a, &random);
        for (unsigned n = 0; n < 8; n++) o->b[n][k] = random_bits(s->b, &random);
    }
    for (unsigned m = 0; m < s->m; m++)
        for (unsigned n = 0; n < 8; n++) {
            o->c[m][n] = random_bits(accumulator(s), &random);
            if (!strcmp(s->c, "s32"))
                o->c[m][n] = s->extra && *s->extra == '.' && s->extra[1] == 's'
                                 ? INT32_MAX - (bench_random(&random) & 4095)
                                 : (uint32_t)bench_random(&random);
        }
    for (unsigned lane = 0; lane < 32; lane++) {
        unsigned group = lane / 4, member = lane % 4;
        for (unsigned i = 0; i < register_count(s, 'a') * parts; i++) {
            unsigned r = i / parts, row = group, k = member * parts + i % parts;
            row += s->m == 16 && r % 2 ? 8 : 0;
            k += (s->m == 16 ? r / 2 : r) * 4 * parts;
            o->fragment_a[r][lane] |= o->a[row][k] << (i % parts * bits);
        }
        for (unsigned i = 0; i < register_count(s, 'b') * parts; i++) {
            unsigned k = member * parts + i % parts + i / parts * 4 * parts;
            o->fragment_b[i / parts][lane] |= o->b[group][k] << (i % parts * bits);
        }
        for (unsigned i = 0; i < s->m / 4; i++) {
            uint64_t c = o->c[group + i / 2 * 8][member * 2 + i % 2];
            if (accumulator(s) == F16)
                o->fragment_c[i / 2][lane] |= c << (i % 2 * 16);
            else
                o->fragment_c[i][lane] = c;
        }
    }
}

static void check_float(const struct operands *o, const struct shape *s, unsigned m, unsigned n,
                        uint64_t d)
{
    enum format_id type = accumulator(s);
    double want = value(type, o->c[m][n]), size = fabs(want), got = value(type, d);
    for (unsigned k = 0; k < s->k; k++) {
        double product = value(s->a, o->a[m][k]) * value(s->b, o->b[n][k]);
        want += product;
        size += fabs(product);
    }
    double slack = size * (s->k + 1) * (type == F64 ? 0x1p-52 : 0x1p-24);
    if (type == F16)
        slack += fabs(want) * 0x1p-11 + 0x1p-25;
    if (fabs(want - got) > slack)
        fail_msg("m%uk%u %s %s: d[%u][%u] is %.9g, not %.9g", s->m, s->k, s->d,
                 formats[s->a].name, m, n, got, want);
}

static void check_integer(const struct operands *o, const struct shape *s, unsigned m, unsigned n,
                          uint64_t d)
{
    int64_t want = (int32_t)o->c[m][n];
    for (unsigned k = 0; k < s->k; k++) {
        int64_t a = (int64_t)value(s->a, o->a[m][k]), b = (int64_t)value(s->b, o->b[n][k]);
        want += s->a == B1 && s->extra[1] == 'x' ? a ^ b : a * b;
    }
    if (s->extra && s->extra[1] == 's')
        want = want > INT32_MAX ? INT32_MAX : want < INT32_MIN ? INT32_MIN : want;
    if ((uint32_t)d != (uint32_t)want)
        fail_msg("m%uk%u %s: d[%u][%u] is %d, not %d", s->m, s->k, formats[s->a].name, m, n,
                 (int32_t)d, (int32_t)want);
}

static void check(const struct operands *o, const struct shape *s)
{
    for (unsigned lane = 0; lane < 32; lane++)
        for (unsigned i = 0; i < s->m / 4; i++) {
            unsigned m = lane / 4 + i / 2 * 8, n = lane % 4 * 2 + i % 2;
            uint64_t d = accumulator(s) == F16 ? o->fragment_d[i / 2][lane] >> (i % 2 * 16) & 0xffff
                                               : o->fragment_d[i][lane];
            if (!strcmp(s->d, "s32"))
                check_integer(o, s, m, n, d);
            else
                check_float(o, s, m, n, d);
        }
}

static uint64_t upload(struct bench *b, const uint64_t (*fragment)[32], unsigned count,
                       unsigned bytes)
{
    static uint8_t packed[8 * 32 * 8];
    for (unsigned i = 0; i < count * 32; i++)
        memcpy(packed + i * bytes, &fragment[i / 32][i % 32], bytes);
    return bench_buffer(b, sizeof packed, packed);
}

static void test_mma(void **state)
{
    static char text[SHAPE_COUNT * 4096];
    static struct operands o;
    static uint8_t packed[4 * 32 * 8];
    size_t at = (size_t)snprintf(text, sizeof text,
                                 ".version 8.7\n.target sm_90a\n.address_size 64\n");
    for (size_t i = 0; i < SHAPE_COUNT; i++)
        at += shape_text(text + at, sizeof text - at, &shapes[i], i);
    assemble(ptxas, text);
    struct bench b;
    bench_load(&b, text);
    for (size_t i = 0; i < SHAPE_COUNT * 4; i++) {
        const struct shape *s = &shapes[i / 4];
        unsigned bytes = word_bits(s) / 8;
        char name[32];
        snprintf(name, sizeof name, "k%zu", i / 4);
        fill(&o, s, i * 31 + 1);
        uint64_t a = upload(&b, (const uint64_t(*)[32])o.fragment_a, 8, bytes);
        uint64_t bb = upload(&b, (const uint64_t(*)[32])o.fragment_b, 4, bytes);
        uint64_t c = upload(&b, (const uint64_t(*)[32])o.fragment_c, 4, bytes);
        uint64_t d = bench_buffer(&b, sizeof packed, packed);
        RUN(&b, name, 1, 32, 0, a, bb, c, d);
        bench_clean(&b);
        assert_int_equal(ptxm_report_counters(b.report)->multiply_adds, s->m * 8 * s->k);
        bench_read(&b, d, packed, sizeof packed);
        memset(o.fragment_d, 0, sizeof o.fragment_d);
        for (unsigned k = 0; k < 4 * 32; k++)
            memcpy(&o.fragment_d[k / 32][k % 32], packed + k * bytes, bytes);
        check(&o, s);
    }
    bench_free(&b);
}

// A product whose destinations are its own sources, in another order.
static void test_mma_aliases(void **state)
{
    static const char text[] =
        ".version 7.8\n.target sm_80\n.address_size 64\n"
        ".visible .entry k(.param .u64 out)\n{\n .reg .b32 r<12>; .reg .b64 d<4>;\n"
        " mov.u32 r0, %tid.x; mov.b32 r1, 0x01010101; mov.b32 r2, 0x02020202; mov.b32 r3, 7;\n"
        " mov.b32 r4, 1000;\n"
        " mma.sync.aligned.m8n8k16.row.col.s32.s8.s8.s32 {r4, r3}, {r1}, {r2}, {r3, r4};\n"
        " ld.param.u64 d0, [out]; mul.wide.u32 d1, r0, 8; add.s64 d0, d0, d1;\n"
        " st.global.v2.b32 [d0], {r4, r3}; ret;\n}\n";
    struct bench b;
    uint32_t out[64];
    assemble(ptxas, text);
    bench_load(&b, text);
    uint64_t p = bench_buffer(&b, sizeof out, NULL);
    RUN(&b, "k", 1, 32, 0, p);
    bench_clean(&b);
    bench_read(&b, p, out, sizeof out);
    for (int i = 0; i < 64; i += 2) {
        assert_int_equal(out[i], 7 + 32);
        assert_int_equal(out[i + 1], 1000 + 32);
    }
    bench_free(&b);
}

// ---- 8x8 matrices ------------------------------------------------------------------------------

// Each of four matrices goes out by stmatrix and back by ldmatrix, with and without .trans.
static void test_store_and_load(void **state)
{
    static const char *const lists[] = {[1] = "{r4}", [2] = "{r4, r5}", [4] = "{r4, r5, r6, r7}"};
    char text[2048];
    for (unsigned i = 0; i < 12; i++) {
        unsigned count = 1u << i / 4;
        bool out = i & 1, in = i & 2;
        struct bench b;
        uint32_t got[4][32];
        snprintf(text, sizeof text,
                 ".version 7.8\n.target sm_90\n.address_size 64\n.visible .entry k(.param .u64 p)\n"
                 "{\n .reg .b32 r<12>; .reg .b64 d<4>; .shared .align 16 .b8 s[512];\n"
                 " mov.u32 r0, %%tid.x; mov.u32 r1, s; shl.b32 r2, r0, 4; add.u32 r1, r1, r2;\n"
                 " mad.lo.u32 r4, r0, 131074, 65536; add.u32 r5, r4, 0x00400040;\n"
                 " add.u32 r6, r5, 0x00400040; add.u32 r7, r6, 0x00400040;\n"
                 " stmatrix.sync.aligned.m8n8.x%u%s.shared.b16 [r1], %s; bar.warp.sync -1;\n"
                 " mov.b32 r4, 0; mov.b32 r5, 0; mov.b32 r6, 0; mov.b32 r7, 0;\n"
                 " ldmatrix.sync.aligned.m8n8.x%u%s.shared::cta.b16 %s, [r1];\n"
                 " ld.param.u64 d0, [p]; mul.wide.u32 d1, r0, 4; add.s64 d0, d0, d1;\n"
                 " st.global.b32 [d0], r4; st.global.b32 [d0+128], r5;\n"
                 " st.global.b32 [d0+256], r6; st.global.b32 [d0+384], r7; ret;\n}\n",
                 count, out ? ".trans" : "", lists[count], count, in ? ".trans" : "",
                 lists[count]);
        assemble(ptxas, text);
        bench_load(&b, text);
        uint64_t p = bench_buffer(&b, sizeof got, NULL);
        RUN(&b, "k", 1, 32, 0, p);
        bench_clean(&b);
        bench_read(&b, p, got, sizeof got);
        // Element (r, c) of matrix m is m * 64 + r * 8 + c: lane 4 r + c / 2 holds two of a row.
        for (unsigned m = 0; m < count; m++)
            for (unsigned lane = 0; lane < 32; lane++)
                for (unsigned half = 0; half < 2; half++) {
                    unsigned r = lane / 4, c = lane % 4 * 2 + half;
                    unsigned want = m * 64 + (out != in ? c * 8 + r : r * 8 + c);
                    assert_int_equal(got[m][lane] >> (16 * half) & 0xffff, want);
                }
        bench_free(&b);
    }
}

static void test_transpose(void **state)
{
    static const char text[] =
        ".version 7.8\n.target sm_80\n.address_size 64\n.visible .entry k(.param .u64 p)\n"
        "{\n .reg .b32 r<4>; .reg .b64 d<4>;\n mov.u32 r0, %tid.x;\n"
        " mad.lo.u32 r1, r0, 131074, 65536;\n"
        " movmatrix.sync.aligned.m8n8.trans.b16 r1, r1;\n"
        " ld.param.u64 d0, [p]; mul.wide.u32 d1, r0, 4; add.s64 d0, d0, d1;\n"
        " st.global.b32 [d0], r1; ret;\n}\n";
    struct bench b;
    uint16_t got[64];
    assemble(ptxas, text);
    bench_load(&b, text);
    uint64_t p = bench_buffer(&b, sizeof got, NULL);
    RUN(&b, "k", 1, 32, 0, p);
    bench_clean(&b);
    bench_read(&b, p, got, sizeof got);
    for (unsigned i = 0; i < 64; i++) assert_int_equal(got[i], i % 8 * 8 + i / 8);
    bench_free(&b);
}

// ---- what goes with them -----------------------------------------------------------------------

#define HOPPER ".version 8.4\n.target sm_90a\n.address_size 64\n"

static void test_elect_and_redux(void **state)
{
    static const char text[] =
        HOPPER ".visible .entry k(.param .u64 out)\n{\n .reg .b32 r<12>; .reg .b64 d<4>;"
        " .reg .pred p, q;\n"
        " mov.u32 r0, %tid.x; mov.b32 r9, 0; setp.ge.u32 q, r0, 5; mov.b32 r1, -1;\n"
        " @!q bra ON;\n elect.sync r1|p, 0xffffffe0; @p mov.b32 r9, 1;\nON:\n"
        " elect.sync _|p, -1; @p add.u32 r9, r9, 2; sub.u32 r2, r0, 10;\n"
        " redux.sync.min.s32 r3, r2, -1; redux.sync.max.u32 r4, r2, -1;\n"
        " redux.sync.add.s32 r5, r2, -1; redux.sync.xor.b32 r6, r0, -1;\n"
        " redux.sync.and.b32 r7, r2, -1; redux.sync.or.b32 r8, r0, -1;\n"
        " ld.param.u64 d0, [out]; mul.wide.u32 d1, r0, 32; add.s64 d0, d0, d1;\n"
        " st.global.v4.b32 [d0], {r1, r9, r3, r4}; st.global.v4.b32 [d0+16], {r5, r6, r7, r8};\n"
        " ret;\n}\n";
    struct bench b;
    int32_t got[32][8];
    assemble(ptxas, text);
    bench_load(&b, text);
    uint64_t p = bench_buffer(&b, sizeof got, NULL);
    RUN(&b, "k", 1, 32, 0, p);
    bench_clean(&b);
    bench_read(&b, p, got, sizeof got);
    for (int i = 0; i < 32; i++) {
        static const int32_t want[6] = {-10, -1, 31 * 16 - 320, 0, 0, 31};
        assert_int_equal(got[i][0], i < 5 ? -1 : 5);
        assert_int_equal(got[i][1], (i == 5) + (i == 0) * 2);
        for (int k = 0; k < 6; k++) assert_int_equal(got[i][2 + k], want[k]);
    }
    bench_free(&b);
}

struct change {
    const char *bounds, *body, *rule;
    unsigned block;
};

static void test_setmaxnreg(void **state)
{
#define SPLIT(first, second)                                                                       \
    " shr.u32 r1, r0, 7; setp.eq.u32 p, r1, 0; @p bra ONE;\n" second " bra OUT;\nONE:\n" first     \
    "OUT:\n"
    static const struct change changes[] = {
        {".maxntid 256, 1, 1", SPLIT(" setmaxnreg.dec.sync.aligned.u32 40;\n",
                                     " setmaxnreg.inc.sync.aligned.u32 232;\n"), NULL, 256},
        {".reqntid 256, 1, 1", SPLIT(" setmaxnreg.dec.sync.aligned.u32 24;\n",
                                     " setmaxnreg.inc.sync.aligned.u32 240;\n"), NULL, 256},
        {"", " setmaxnreg.inc.sync.aligned.u32 232;\n", "setmaxnreg", 256},
        // Only one warp of the warpgroup.
        {".maxntid 256, 1, 1", " setp.lt.u32 p, r0, 32; @!p bra OUT;\n"
                               " setmaxnreg.dec.sync.aligned.u32 40;\nOUT:\n", "setmaxnreg", 256},
        {".maxntid 256, 1, 1", " setp.lt.u32 p, r0, 64; @!p bra ELSE;\n"
                               " setmaxnreg.dec.sync.aligned.u32 40; bra OUT;\nELSE:\n"
                               " setmaxnreg.dec.sync.aligned.u32 48;\nOUT:\n", "setmaxnreg", 256},
        {".maxntid 256, 1, 1", " setmaxnreg.dec.sync.aligned.u32 40;\n"
                               " setmaxnreg.dec.sync.aligned.u32 48;\n", "setmaxnreg", 256},
        {".maxntid 256, 1, 1", " setmaxnreg.dec.sync.aligned.u32 48;\n"
                               " setmaxnreg.inc.sync.aligned.u32 64;\n", NULL, 256},
        {".maxntid 96, 1, 1", " setmaxnreg.dec.sync.aligned.u32 40;\n", "wgmma-warpgroup", 96},
    };
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        char text[2048];
        struct bench b;
        snprintf(text, sizeof text, HOPPER ".visible .entry k() %s\n{\n .reg .b32 r<4>;"
                 " .reg .pred p;\n mov.u32 r0, %%tid.x;\n%s ret;\n}\n", changes[i].bounds,
                 changes[i].body);
        assemble(ptxas, text);
        bench_load(&b, text);
        bench_run(&b, "k", 1, changes[i].block, 0, NULL, 0);
        if (changes[i].rule)
            bench_only(&b, changes[i].rule);
        else
            bench_clean(&b);
        bench_free(&b);
    }
}

// ---- what is refused ---------------------------------------------------------------------------

struct complaint {
    unsigned line, column;
    char message[400];
};

static void keep_first(void *user, const struct ptxm_diagnostic *d)
{
    struct complaint *c = user;
    if (c->line)
        return;
    c->line = d->line;
    c->column = d->column;
    snprintf(c->message, sizeof c->message, "%s", d->message);
}

static void test_refused(void **state)
{
#define ACC "{c0, c1, c2, c3}"
#define W "wgmma.mma_async.sync.aligned.m64n8k16.f32.f16.f16 "
    static const struct { const char *target, *statement, *words; } refused[] = {
        {"sm_90a", "wgmma.mma_async.sp.sync.aligned.m64n8k32.f32.f16.f16 " ACC
                   ", d0, d1, r0, 0, p, 1, 1, 0, 0;", "sparse"},
        {"sm_90a", "mma.sp.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 " ACC ", {r0, r1},"
                   " {r2, r3}, " ACC ", r4, 0;", "sparse"},
        {"sm_90a", "mma.sync.aligned.m8n8k4.row.col.f32.f16.f16.f32 {c0, c1, c2, c3, c4, c5, c6,"
                   " c7}, {r0, r1}, {r2, r3}, {c0, c1, c2, c3, c4, c5, c6, c7};", "Volta"},
        {"sm_90", W ACC ", d0, d1, p, 1, 1, 0, 0;", "sm_90a"},
        {"sm_100a", W ACC ", d0, d1, p, 1, 1, 0, 0;", "sm_90a"},
        {"sm_80", "mma.sync.aligned.m16n8k32.row.col.f32.e4m3.e4m3.f32 " ACC ", {r0, r1, r2, r3},"
                  " {r4, r5}, " ACC ";", "sm_89"},
        {"sm_90a", W ACC ", d0, d1, p, 1, 2, 0, 0;", "1 or -1"},
        {"sm_90a", W ACC ", d0, d1, p, 1, 1, 0, 2;", "0 or 1"},
        {"sm_90a", W ACC ", {r0, r1, r2, r3}, d1, p, 1, 1, 0, 0;", "imm-trans-a"},
        {"sm_90a", W "{c0, c1, c2}, d0, d1, p, 1, 1, 0, 0;", "4 registers"},
        {"sm_90a", W ACC ", d0, r1, p, 1, 1, 0, 0;", "b64"},
        {"sm_90a", W "{d0, d1, d0, d1}, d0, d1, p, 1, 1, 0, 0;", "b32"},
        {"sm_90a", "wgmma.mma_async.sync.aligned.m64n12k16.f32.f16.f16 " ACC
                   ", d0, d1, p, 1, 1, 0, 0;", "m64n12k16"},
        {"sm_90a", "wgmma.mma_async.sync.aligned.m64n40k32.s32.s8.s8 {c0, c1, c2, c3, c4, c5, c6,"
                   " c7, c0, c1, c2, c3, c4, c5, c6, c7, c0, c1, c2, c3}, d0, d1, p;",
         "multiple of 16"},
        {"sm_90a", "wgmma.mma_async.sync.aligned.m64n8k256.s32.b1.b1.xor.popc " ACC ", d0, d1, p;",
         "unknown modifier '.xor'"},
        {"sm_90a", "setmaxnreg.inc.sync.aligned.u32 100;", "multiple of 8"},
        {"sm_90a", "setmaxnreg.dec.sync.aligned.u32 16;", "24 to 256"},
        {"sm_90", "setmaxnreg.dec.sync.aligned.u32 24;", "sm_90a"},
        {"sm_100a", "stmatrix.sync.aligned.m16n8.x1.trans.shared.b8 [r0], {r1};", "sm_100"},
        {"sm_100a", "ldmatrix.sync.aligned.m16n16.x1.trans.shared.b8 {r1, r2}, [r0];", "sm_100"},
        {"sm_100a", "redux.sync.min.f32 c0, c1, -1;", "sm_100"},
    };
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        char text[2048];
        struct complaint c = {0};
        struct ptxm_load_options options = {.diagnostic = keep_first, .diagnostic_user = &c};
        struct ptxm_module *m = NULL;
        snprintf(text, sizeof text, ".version 8.6\n.target %s\n.address_size 64\n"
                 ".visible .entry k()\n{\n.reg .b32 r<8>; .reg .f32 c<8>; .reg .b64 d<4>;"
                 " .reg .pred p;\n  %s\n ret;\n}\n", refused[i].target, refused[i].statement);
        assert_int_equal(ptxm_module_load(text, strlen(text), &options, &m), PTXM_ERROR_PARSE);
        if (c.line != 7 || !c.column || !strstr(c.message, refused[i].words))
            fail_msg("'%s': %u:%u: %s", refused[i].statement, c.line, c.column, c.message);
    }
}

int main(int argc, char **argv)
{
    ptxas = argc > 1 ? argv[1] : NULL;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mma),             cmocka_unit_test(test_mma_aliases),
        cmocka_unit_test(test_store_and_load),  cmocka_unit_test(test_transpose),
        cmocka_unit_test(test_elect_and_redux), cmocka_unit_test(test_setmaxnreg),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests_name("ptxm matrix", tests, NULL, NULL);
}
