// SPDX-License-Identifier: MIT
// Loads and stores of every type, vector and state space, for many patterns of addresses and masks,
// against plain C: what arrives in registers and in memory, and what the counters say. The machine
// moves most of them as a whole and the rest lane by lane; volatile accesses are always of the
// second kind, so each is tried as both.
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LANES = 32, REGION = 1280, MOST_PATTERNS = 20, DISPLACEMENT = 64 };

struct form {
    const char *type; // as PTX writes it
    unsigned bytes, register_bits;
    bool sign;
};
static const struct form forms[] = {
    {"u8", 1, 32, false},  {"s8", 1, 32, true},   {"u16", 2, 32, false}, {"s16", 2, 32, true},
    {"b32", 4, 32, false}, {"u8", 1, 64, false},  {"s8", 1, 64, true},   {"b16", 2, 64, false},
    {"s16", 2, 64, true},  {"u32", 4, 64, false}, {"s32", 4, 64, true},  {"b64", 8, 64, false},
};
enum { FORMS = sizeof forms / sizeof *forms };

// The name that the access has in PTX; where its memory is.
struct way {
    const char *name, *space, *generic;
};
static const struct way ways[] = {
    {"global", "global", ""},      {"shared", "shared", ""},      {"local", "local", ""},
    {"of global", "global", "to"}, {"of shared", "shared", "to"}, {"of local", "local", "to"},
};
enum { WAYS = sizeof ways / sizeof *ways };

// Where each lane of a CTA goes, and which lanes do.
struct pattern {
    uint32_t offset[LANES], mask;
};

struct trial {
    const struct form *form;
    const struct way *way;
    unsigned vector;
    bool stores, is_volatile;
    struct pattern patterns[MOST_PATTERNS];
    unsigned count;
    uint8_t memory[MOST_PATTERNS][REGION];
    uint64_t values[MOST_PATTERNS][LANES][4]; // in registers before
};

// ---- patterns ----------------------------------------------------------------------------------

static uint32_t place_of(unsigned kind, unsigned lane, unsigned size, uint64_t *random)
{
    switch (kind) {
    case 0: return lane * size;
    case 1: return (lane + 1) * size; // of a sector only a part, at the ends
    case 2: return (LANES - 1 - lane) * size;
    case 3: return 5 * size; // all at one address
    case 4: return (lane ^ 5) * size;
    case 5: return lane * 2 * size;
    case 6: return lane / 4 * size;
    default: return (uint32_t)(bench_random(random) % (2 * LANES)) * size;
    }
}

static void make_patterns(struct trial *t, uint64_t *random)
{
    static const uint32_t masks[] = {1, 0x80000000, 0x0ff0f00f, 0xffff};
    unsigned size = t->form->bytes * t->vector;
    t->count = 0;
    for (unsigned kind = 0; kind < 9; kind++)
        for (unsigned m = 0; m < 2; m++) { // by all lanes, and by some
            struct pattern *p = &t->patterns[t->count++];
            p->mask = m ? masks[bench_random(random) % 4] : UINT32_MAX;
            for (unsigned lane = 0; lane < LANES; lane++)
                p->offset[lane] = place_of(kind, lane, size, random);
        }
    for (unsigned i = 0; i < t->count; i++) {
        for (unsigned k = 0; k < REGION; k++) t->memory[i][k] = (uint8_t)bench_random(random);
        for (unsigned k = 0; k < LANES * 4; k++) t->values[i][k / 4][k % 4] = bench_random(random);
    }
}

// ---- the text ----------------------------------------------------------------------------------

// Whoever does not take part in the access itself is volatile, and goes lane by lane.
static const char before[] =
    HEAD ".visible .entry k(.param .u64 memory, .param .u64 offsets, .param .u64 values,\n"
    " .param .u64 back) {\n"
    ".reg .b32 %r<16>; .reg .b64 %d<16>; .reg .b32 %v<4>; .reg .b64 %w<4>; .reg .pred %p<4>;\n"
    ".shared .align 64 .b8 s[1280]; .local .align 64 .b8 l[1280];\n"
    "ld.param.u64 %d1, [memory]; ld.param.u64 %d2, [offsets]; ld.param.u64 %d3, [values];\n"
    "ld.param.u64 %d4, [back]; mov.u32 %r1, %tid.x; mov.u32 %r2, %ctaid.x;\n"
    "mad.lo.u32 %r3, %r2, 32, %r1; mad.wide.u32 %d1, %r2, 1280, %d1;\n"
    "mad.wide.u32 %d2, %r2, 132, %d2; mad.wide.u32 %d3, %r3, 32, %d3;\n"
    "mad.wide.u32 %d4, %r3, 1280, %d4; ld.volatile.global.u32 %r4, [%d2 + 128];\n"
    "shr.u32 %r4, %r4, %r1; and.b32 %r4, %r4, 1; setp.ne.u32 %p1, %r4, 0;\n"
    "setp.eq.u32 %p2, %r1, 0; mad.wide.u32 %d5, %r1, 4, %d2; ld.volatile.global.u32 %r5, [%d5];\n";

static size_t add(char *text, size_t room, size_t at, const char *more)
{
    int length = snprintf(text + at, room - at, "%s", more);
    assert_true(length >= 0 && (size_t)length < room - at);
    return at + (size_t)length;
}
#define ADD(...) (snprintf(line, sizeof line, __VA_ARGS__), at = add(text, room, at, line))

// Words from one place to another, by all lanes or only by the first.
static size_t add_copy(char *text, size_t room, size_t at, const char *label, const char *from,
                       const char *from_space, const char *to, const char *to_space)
{
    char line[512];
    bool first = !strcmp(from_space, "shared") || !strcmp(to_space, "shared");
    ADD("mov.u64 %%d10, %s; mov.u64 %%d11, %s; mov.u32 %%r10, 0;\n%s:\n", from, to, label);
    ADD("ld.volatile.%s.u32 %%r11, [%%d10];\n%sst.volatile.%s.u32 [%%d11], %%r11;\n", from_space,
        first ? "@%p2 " : "", to_space);
    ADD("add.u64 %%d10, %%d10, 4; add.u64 %%d11, %%d11, 4; add.u32 %%r10, %%r10, 4;\n"
        "setp.lt.u32 %%p3, %%r10, 1280; @%%p3 bra %s;\nbar.warp.sync -1;\n", label);
    return at;
}

static void write_text(const struct trial *t, char *text, size_t room)
{
    char line[512], list[64] = "";
    const char *space = t->way->space;
    bool global = !strcmp(space, "global"), wide = t->form->register_bits == 64;
    const char *symbol = global ? "%d1" : !strcmp(space, "shared") ? "s" : "l";
    size_t at = add(text, room, 0, before);
    if (!global)
        at = add_copy(text, room, at, "fill", "%d1", "global", symbol, space);
    for (unsigned k = 0; k < t->vector; k++) {
        ADD("ld.volatile.global.u%u %%%c%u, [%%d3 + %u];\n", wide ? 64 : 32, wide ? 'w' : 'v', k,
            8 * k);
        snprintf(line, sizeof line, "%s%%%c%u", k ? ", " : "", wide ? 'w' : 'v', k);
        strcat(list, line);
    }
    ADD("mov.u64 %%d6, %s;\n", symbol);
    if (*t->way->generic && !global)
        ADD("cvta.%s.u64 %%d6, %%d6;\n", space);
    ADD("cvt.u64.u32 %%d7, %%r5; add.u64 %%d6, %%d6, %%d7; cvt.u32.u64 %%r6, %%d6;\n");
    char access[128], address[32], name[64];
    snprintf(name, sizeof name, "%s%s%s%s", t->is_volatile ? ".volatile" : "",
             *t->way->generic ? "" : ".", *t->way->generic ? "" : space,
             t->vector == 4 ? ".v4" : t->vector == 2 ? ".v2" : "");
    // Shared addresses in registers of 32 bits, all others in registers of 64.
    snprintf(address, sizeof address, "[%s + %d]",
             !*t->way->generic && !strcmp(space, "shared") ? "%r6" : "%d6", DISPLACEMENT);
    snprintf(access, sizeof access, t->vector > 1 ? "{%s}" : "%s", list);
    if (t->stores)
        ADD("@%%p1 st%s.%s %s, %s;\n", name, t->form->type, address, access);
    else
        ADD("@%%p1 ld%s.%s %s, %s;\n", name, t->form->type, access, address);
    ADD("bar.warp.sync -1;\n");
    for (unsigned k = 0; k < t->vector; k++)
        ADD("st.volatile.global.u%u [%%d3 + %u], %%%c%u;\n", wide ? 64 : 32, 8 * k,
            wide ? 'w' : 'v', k);
    if (!global && t->stores)
        at = add_copy(text, room, at, "empty", symbol, space, "%d4", "global");
    add(text, room, at, "ret;\n}\n");
}

// ---- what must come of it ----------------------------------------------------------------------

static uint64_t extended(const struct form *f, const uint8_t *from)
{
    uint64_t value = 0;
    memcpy(&value, from, f->bytes);
    if (f->sign && value >> (8 * f->bytes - 1) & 1 && f->bytes < 8)
        value |= UINT64_MAX << 8 * f->bytes;
    return f->register_bits == 32 ? (uint32_t)value : value;
}

// Lane `lane` does its part; `memory` is the region as that lane sees it.
static void expect_lane(const struct trial *t, unsigned i, unsigned lane, uint8_t *memory,
                        uint64_t *values)
{
    if (!(t->patterns[i].mask >> lane & 1))
        return;
    uint8_t *at = memory + t->patterns[i].offset[lane] + DISPLACEMENT;
    for (unsigned k = 0; k < t->vector; k++, at += t->form->bytes) {
        if (t->stores)
            memcpy(at, &values[k], t->form->bytes);
        else
            values[k] = t->form->register_bits == 32
                            ? (values[k] & ~(uint64_t)UINT32_MAX) | extended(t->form, at)
                            : extended(t->form, at);
    }
}

static uint64_t expected_sectors(const struct trial *t)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < t->count; i++) {
        bool touched[REGION / 32 + 1] = {false};
        for (unsigned lane = 0; lane < LANES; lane++)
            if (t->patterns[i].mask >> lane & 1)
                touched[(t->patterns[i].offset[lane] + DISPLACEMENT) / 32] = true;
        for (unsigned k = 0; k <= REGION / 32; k++) sum += touched[k];
    }
    return sum;
}

struct outcome {
    struct ptxm_counters counters;
    uint8_t memory[MOST_PATTERNS][REGION];
    uint64_t values[MOST_PATTERNS][LANES][4];
    uint8_t back[MOST_PATTERNS][LANES][REGION];
};

static void run(const struct trial *t, bool idle, bool checks, struct outcome *o)
{
    static char text[1 << 14];
    static const uint8_t zeros[sizeof o->back];
    static uint32_t rows[MOST_PATTERNS][LANES + 1];
    struct bench b;
    for (unsigned i = 0; i < t->count; i++) {
        memcpy(rows[i], t->patterns[i].offset, sizeof t->patterns[i].offset);
        rows[i][LANES] = idle ? 0 : t->patterns[i].mask;
    }
    write_text(t, text, sizeof text);
    bench_load(&b, text);
    b.options.no_checks = !checks;
    uint64_t memory = bench_buffer(&b, sizeof t->memory, t->memory);
    uint64_t offsets = bench_buffer(&b, sizeof rows, rows);
    uint64_t values = bench_buffer(&b, sizeof t->values, t->values);
    uint64_t back = bench_buffer(&b, sizeof zeros, zeros);
    RUN(&b, "k", t->count, LANES, 0, memory, offsets, values, back);
    assert_int_equal(b.status, PTXM_OK);
    // Lanes that store to one address are a race within the warp, and nothing else is wrong.
    for (size_t i = 0; i < ptxm_report_count(b.report); i++)
        assert_true(t->stores && ptxm_report_finding(b.report, i)->severity == PTXM_RACE_IN_WARP);
    o->counters = *ptxm_report_counters(b.report);
    bench_read(&b, memory, o->memory, sizeof o->memory);
    bench_read(&b, values, o->values, sizeof o->values);
    bench_read(&b, back, o->back, sizeof o->back);
    bench_free(&b);
}

static void compare(const struct trial *t, const struct outcome *o)
{
    static uint8_t regions[LANES][REGION];
    const char *space = t->way->space;
    bool local = !strcmp(space, "local"), global = !strcmp(space, "global");
    for (unsigned i = 0; i < t->count; i++) {
        for (unsigned lane = 0; lane < LANES; lane++)
            memcpy(regions[lane], t->memory[i], REGION);
        for (unsigned lane = 0; lane < LANES; lane++) {
            uint64_t values[4];
            memcpy(values, t->values[i][lane], sizeof values);
            expect_lane(t, i, lane, regions[local ? lane : 0], values);
            if (memcmp(values, o->values[i][lane], sizeof values))
                fail_msg("pattern %u, lane %u: wrong in the registers", i, lane);
        }
        for (unsigned lane = 0; t->stores && lane < (local ? LANES : 1); lane++)
            if (memcmp(regions[lane], global ? o->memory[i] : o->back[i][lane], REGION))
                fail_msg("pattern %u, lane %u: wrong in memory", i, lane);
    }
}

static void try_form(const struct form *form, const struct way *way, unsigned vector, bool stores,
                     uint64_t *random)
{
    static struct trial t;
    static struct outcome plain, checked, by_lane, idle;
    t.form = form, t.way = way, t.vector = vector, t.stores = stores;
    make_patterns(&t, random);
    t.is_volatile = true;
    run(&t, false, false, &by_lane);
    compare(&t, &by_lane);
    t.is_volatile = false;
    run(&t, false, false, &plain);
    compare(&t, &plain);
    run(&t, false, true, &checked);
    compare(&t, &checked);
    assert_memory_equal(&plain.counters, &checked.counters, sizeof plain.counters);
    assert_int_equal(plain.counters.shared_wavefronts, by_lane.counters.shared_wavefronts);
    assert_int_equal(plain.counters.bank_conflicts, by_lane.counters.bank_conflicts);
    run(&t, true, false, &idle);
    uint64_t sectors = plain.counters.global_sectors - idle.counters.global_sectors;
    assert_int_equal(sectors, strcmp(way->space, "global") ? 0 : expected_sectors(&t));
}

static void try_way(const struct way *way)
{
    uint64_t random = 4;
    for (unsigned f = 0; f < FORMS; f++)
        for (unsigned vector = 1; vector <= 4 && vector * forms[f].bytes <= 16; vector *= 2) {
            try_form(&forms[f], way, vector, false, &random);
            try_form(&forms[f], way, vector, true, &random);
        }
}

static void test_global(void **state) { try_way(&ways[0]); }
static void test_shared(void **state) { try_way(&ways[1]); }
static void test_local(void **state) { try_way(&ways[2]); }
static void test_generic_global(void **state) { try_way(&ways[3]); }
static void test_generic_shared(void **state) { try_way(&ways[4]); }
static void test_generic_local(void **state) { try_way(&ways[5]); }

// ---- more than one piece -----------------------------------------------------------------------

// Odd lanes work in another allocation than even ones.
static void test_two_allocations(void **state)
{
    static const char text[] =
        HEAD ".visible .entry k(.param .u64 a, .param .u64 b) {\n"
        ".reg .b32 %r<4>; .reg .b64 %d<6>; .reg .pred %p;\n"
        "ld.param.u64 %d1, [a]; ld.param.u64 %d2, [b]; mov.u32 %r1, %tid.x;\n"
        "and.b32 %r2, %r1, 1; setp.ne.u32 %p, %r2, 0; selp.b64 %d3, %d2, %d1, %p;\n"
        "mad.wide.u32 %d3, %r1, 4, %d3; ld.global.u32 %r3, [%d3]; add.u32 %r3, %r3, 1;\n"
        "st.global.u32 [%d3], %r3; ret;\n}\n";
    uint32_t first[LANES], second[LANES];
    struct bench b;
    for (uint32_t i = 0; i < LANES; i++) first[i] = i, second[i] = 100 + i;
    bench_load(&b, text);
    b.options.check_global_init = true;
    uint64_t one = bench_buffer(&b, sizeof first, first);
    uint64_t two = bench_buffer(&b, sizeof second, second);
    RUN(&b, "k", 1, LANES, 0, one, two);
    bench_clean(&b);
    bench_read(&b, one, first, sizeof first);
    bench_read(&b, two, second, sizeof second);
    for (uint32_t i = 0; i < LANES; i++) {
        assert_int_equal(first[i], i + (i % 2 == 0));
        assert_int_equal(second[i], 100 + i + i % 2);
    }
    bench_free(&b);
}

// What was stored as a whole, in one piece or not, counts as written, and nothing beside it does.
static void test_written(void **state)
{
    static const char text[] =
        HEAD ".visible .entry k(.param .u64 a, .param .u64 pitch, .param .u64 more) {\n"
        ".reg .b32 %r<4>; .reg .b64 %d<6>;\n"
        "ld.param.u64 %d1, [a]; ld.param.u32 %r2, [pitch]; ld.param.u64 %d2, [more];\n"
        "mov.u32 %r1, %tid.x; mad.wide.u32 %d1, %r1, %r2, %d1; st.global.u32 [%d1], %r1;\n"
        "add.u64 %d2, %d1, %d2; ld.global.u32 %r3, [%d2]; ret;\n}\n";
    for (uint64_t pitch = 4; pitch <= 8; pitch += 4) {
        struct bench b;
        bench_load(&b, text);
        b.options.check_global_init = true;
        uint64_t address = bench_buffer(&b, 1024, NULL);
        RUN(&b, "k", 1, LANES, 0, address, pitch, 0);
        bench_clean(&b);
        RUN(&b, "k", 1, LANES, 0, address, pitch, pitch == 4 ? 128 : 4);
        const struct ptxm_finding *f = bench_only(&b, "uninitialised-global");
        assert_int_equal(f->count, LANES);
        bench_free(&b);
    }
}

static void test_sixteen_bytes(void **state)
{
    static const char text[] =
        ".version 8.3\n.target sm_80\n.address_size 64\n"
        ".visible .entry k(.param .u64 a, .param .u64 pitch) {\n"
        ".reg .b32 %r<4>; .reg .b64 %d<6>; .reg .b128 %q; .shared .align 16 .b8 s[1024];\n"
        "ld.param.u64 %d1, [a]; ld.param.u32 %r2, [pitch]; mov.u32 %r1, %tid.x;\n"
        "mad.wide.u32 %d2, %r1, %r2, %d1; ld.global.b128 %q, [%d2];\n"
        "mov.u32 %r3, s; mad.lo.u32 %r3, %r1, 16, %r3; st.shared.b128 [%r3], %q;\n"
        "bar.warp.sync -1; xor.b32 %r3, %r3, 496; ld.shared.b128 %q, [%r3];\n"
        "st.global.b128 [%d2 + 1024], %q; ret;\n}\n";
    for (uint64_t pitch = 16; pitch <= 32; pitch += 16) {
        uint8_t bytes[2048];
        struct bench b;
        for (unsigned i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)(i * 7 + i / 256);
        bench_load(&b, text);
        uint64_t address = bench_buffer(&b, sizeof bytes, bytes);
        RUN(&b, "k", 1, LANES, 0, address, pitch);
        bench_clean(&b);
        assert_int_equal(ptxm_report_counters(b.report)->bank_conflicts, 0);
        assert_int_equal(ptxm_report_counters(b.report)->shared_wavefronts, 8);
        bench_read(&b, address, bytes, sizeof bytes);
        for (unsigned lane = 0; lane < LANES; lane++)
            assert_memory_equal(bytes + 1024 + lane * pitch, bytes + (31 - lane) * pitch, 16);
        bench_free(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_global),         cmocka_unit_test(test_shared),
        cmocka_unit_test(test_local),          cmocka_unit_test(test_generic_global),
        cmocka_unit_test(test_generic_shared), cmocka_unit_test(test_generic_local),
        cmocka_unit_test(test_two_allocations), cmocka_unit_test(test_written),
        cmocka_unit_test(test_sixteen_bytes),
    };
    return cmocka_run_group_tests_name("ptxm access", tests, NULL, NULL);
}
