// SPDX-License-Identifier: MIT
// Layouts as maps: the fragments of mma.sync as the PTX ISA draws them, slices, transposes, blocked
// layouts, distances. Each fragment is checked register by register against the ISA's formulas.
#include "ir/access.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static void expect_at(const kg_layout *layout, int reg, int lane, int warp, int32_t row,
                      int32_t column)
{
    int32_t at[KG_MAX_RANK];
    kg_layout_coord(layout, reg, lane, warp, at);
    if (at[0] != row || at[1] != column)
        fail_msg("register %d lane %d warp %d: (%d, %d), expected (%d, %d)", reg, lane, warp, at[0],
                 at[1], row, column);
}

// The thread `lane` holds (row, column) in some register.
static int register_of(const kg_layout *layout, int lane, int32_t row, int32_t column)
{
    for (int reg = 0; reg < kg_layout_registers(layout); reg++) {
        int32_t at[KG_MAX_RANK];
        kg_layout_coord(layout, reg, lane, 0, at);
        if (at[0] == row && at[1] == column) return reg;
    }
    return -1;
}

static void accumulator_is_m16n8(void **state)
{
    kg_layout c;
    assert_true(kg_layout_dot_acc(KG_DOT_MMA_F16, 16, 8, 1, 1, &c));
    assert_int_equal(kg_layout_registers(&c), 4);
    for (int lane = 0; lane < 32; lane++)
        for (int i = 0; i < 4; i++) // groupID = lane >> 2, threadID_in_group = lane % 4
            expect_at(&c, i, lane, 0, (lane >> 2) + (i < 2 ? 0 : 8), (lane % 4) * 2 + (i & 1));
}

static void a_operand_is_m16k16(void **state)
{
    kg_layout c, a;
    assert_true(kg_layout_dot_acc(KG_DOT_MMA_F16, 16, 8, 1, 1, &c));
    kg_layout_dot_a(KG_DOT_MMA_F16, &c, 16, &a);
    assert_int_equal(kg_layout_registers(&a), 8);
    for (int lane = 0; lane < 32; lane++)
        for (int i = 0; i < 8; i++) {
            int row = (lane >> 2) + (i < 2 || (i >= 4 && i < 6) ? 0 : 8);
            expect_at(&a, i, lane, 0, row, (lane % 4) * 2 + (i & 1) + (i >= 4 ? 8 : 0));
        }
}

static void b_operand_is_k16n8(void **state)
{
    kg_layout c, b;
    assert_true(kg_layout_dot_acc(KG_DOT_MMA_F16, 16, 8, 1, 1, &c));
    kg_layout_dot_b(KG_DOT_MMA_F16, &c, 16, &b);
    assert_int_equal(kg_layout_registers(&b), 4);
    for (int lane = 0; lane < 32; lane++)
        for (int i = 0; i < 4; i++)
            expect_at(&b, i, lane, 0, (lane % 4) * 2 + (i & 1) + (i >= 2 ? 8 : 0), lane >> 2);
}

static void int8_operands_are_m16n8k32(void **state)
{
    kg_layout c, a, b;
    assert_true(kg_layout_dot_acc(KG_DOT_MMA_I8, 16, 8, 1, 1, &c));
    kg_layout_dot_a(KG_DOT_MMA_I8, &c, 32, &a);
    kg_layout_dot_b(KG_DOT_MMA_I8, &c, 32, &b);
    assert_int_equal(kg_layout_registers(&a), 16);
    assert_int_equal(kg_layout_registers(&b), 8);
    for (int lane = 0; lane < 32; lane++) {
        for (int i = 0; i < 16; i++) {
            int row = (lane >> 2) + (i < 4 || (i >= 8 && i < 12) ? 0 : 8);
            expect_at(&a, i, lane, 0, row, (lane % 4) * 4 + (i & 3) + (i >= 8 ? 16 : 0));
        }
        for (int i = 0; i < 8; i++)
            expect_at(&b, i, lane, 0, (lane % 4) * 4 + (i & 3) + (i >= 4 ? 16 : 0), lane >> 2);
    }
}

static void tf32_operands_are_m16n8k8(void **state)
{
    kg_layout c, a, b;
    assert_true(kg_layout_dot_acc(KG_DOT_MMA_TF32, 16, 8, 1, 1, &c));
    kg_layout_dot_a(KG_DOT_MMA_TF32, &c, 8, &a);
    kg_layout_dot_b(KG_DOT_MMA_TF32, &c, 8, &b);
    for (int lane = 0; lane < 32; lane++) {
        for (int i = 0; i < 4; i++)
            expect_at(&a, i, lane, 0, (lane >> 2) + (i & 1 ? 8 : 0), lane % 4 + (i >= 2 ? 4 : 0));
        for (int i = 0; i < 2; i++) expect_at(&b, i, lane, 0, lane % 4 + (i ? 4 : 0), lane >> 2);
    }
}

// Every element is held, by exactly one owner.
static void expect_partition(const kg_layout *layout, int warps)
{
    static uint8_t owners[1 << 17];
    int64_t total = 1;
    for (int d = 0; d < layout->rank; d++) total *= layout->core[d] * layout->reps[d];
    assert_true(total <= (int64_t)sizeof owners);
    for (int64_t i = 0; i < total; i++) owners[i] = 0;
    for (int warp = 0; warp < warps; warp++)
        for (int lane = 0; lane < 32; lane++)
            for (int reg = 0; reg < kg_layout_registers(layout); reg++) {
                int32_t at[KG_MAX_RANK];
                int64_t flat = 0;
                kg_layout_coord(layout, reg, lane, warp, at);
                for (int d = 0; d < layout->rank; d++) {
                    assert_in_range(at[d], 0, layout->core[d] * layout->reps[d] - 1);
                    flat = flat * layout->core[d] * layout->reps[d] + at[d];
                }
                owners[flat] += kg_layout_is_owner(layout, reg, lane, warp);
            }
    for (int64_t i = 0; i < total; i++) assert_int_equal(owners[i], 1);
}

static void dot_layouts_partition_their_tiles(void **state)
{
    static const struct {
        int m, n, k, wm, wn;
    } cases[] = {
        {128, 128, 32, 2, 2}, {64, 208, 48, 4, 1}, {96, 176, 16, 2, 2},
        {16, 64, 64, 1, 4},   {48, 24, 80, 1, 1},  {16, 8, 16, 1, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        kg_layout c, a, b;
        assert_true(kg_layout_dot_acc(KG_DOT_MMA_F16, cases[i].m, cases[i].n, cases[i].wm,
                                      cases[i].wn, &c));
        kg_layout_dot_a(KG_DOT_MMA_F16, &c, cases[i].k, &a);
        kg_layout_dot_b(KG_DOT_MMA_F16, &c, cases[i].k, &b);
        expect_partition(&c, 4);
        expect_partition(&a, 4);
        expect_partition(&b, 4);
    }
    kg_layout odd;
    assert_false(kg_layout_dot_acc(KG_DOT_MMA_F16, 48, 64, 2, 1, &odd));
    assert_true(kg_layout_dot_acc(KG_DOT_FMA, 1, 100, 1, 4, &odd));
    expect_partition(&odd, 4);
    assert_true(kg_layout_dot_acc(KG_DOT_FMA, 32, 64, 2, 2, &odd));
    expect_partition(&odd, 4);
}

static void accumulator_is_the_next_a_operand(void **state)
{
    static const struct {
        int m, n;
    } shapes[] = {{64, 64}, {128, 32}, {64, 48}, {128, 176}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        kg_layout s, o, p;
        assert_true(kg_layout_dot_acc(KG_DOT_MMA_F16, shapes[i].m, shapes[i].n, 4, 1, &s));
        assert_true(kg_layout_dot_acc(KG_DOT_MMA_F16, shapes[i].m, 128, 4, 1, &o));
        kg_layout_dot_a(KG_DOT_MMA_F16, &o, shapes[i].n, &p);
        assert_in_range(kg_layout_distance(&s, &p), 0, 1);
        kg_layout rows_s, rows_o; // running maxima stay where they are
        kg_layout_slice(&s, 1, &rows_s);
        kg_layout_slice(&o, 1, &rows_o);
        assert_int_equal(kg_layout_distance(&rows_s, &rows_o), 0);
    }
    kg_layout s, o, p; // split along N: the rows of P lie in several warps
    assert_true(kg_layout_dot_acc(KG_DOT_MMA_F16, 64, 64, 2, 2, &s));
    assert_true(kg_layout_dot_acc(KG_DOT_MMA_F16, 64, 128, 4, 1, &o));
    kg_layout_dot_a(KG_DOT_MMA_F16, &o, 64, &p);
    assert_int_equal(kg_layout_distance(&s, &p), 3);
}

static void blocked_is_coalesced(void **state)
{
    kg_layout b;
    kg_layout_blocked(2, (int32_t[]){32, 128}, 1, 4, 4, &b); // rows by warps, columns by lanes
    assert_int_equal(kg_layout_registers(&b), 32);
    for (int warp = 0; warp < 4; warp++)
        for (int lane = 0; lane < 32; lane++)
            for (int reg = 0; reg < 32; reg++)
                expect_at(&b, reg, lane, warp, warp + reg / 4 * 4, lane * 4 + reg % 4);
    expect_partition(&b, 4);
    kg_layout_blocked(1, (int32_t[]){1000}, 0, 2, 4, &b); // 8 * 125
    expect_partition(&b, 4);
    kg_layout_blocked(3, (int32_t[]){3, 20, 12}, 1, 4, 8, &b);
    expect_partition(&b, 8);
    kg_layout_blocked(2, (int32_t[]){4, 4}, 0, 1, 6, &b); // fewer elements than lanes, six warps
    expect_partition(&b, 6);
    kg_layout_blocked(2, (int32_t[]){64, 256}, 1, 8, 6, &b);
    expect_partition(&b, 6);
}

static void slices_keep_copies_in_lanes_only(void **state)
{
    kg_layout c, rows, columns, back;
    assert_true(kg_layout_dot_acc(KG_DOT_MMA_F16, 64, 176, 4, 1, &c));
    kg_layout_slice(&c, 1, &rows);
    assert_int_equal(rows.rank, 1);
    assert_int_equal(kg_layout_registers(&rows), 2);
    assert_int_equal(rows.core[0] * rows.reps[0], 64);
    expect_partition(&rows, 4);
    kg_layout_slice(&c, 0, &columns);
    assert_int_equal(kg_layout_registers(&columns), 44);
    expect_partition(&columns, 4);
    kg_layout_expand(&rows, 1, &back);
    kg_layout squashed;
    kg_layout_squash(&c, 1, &squashed);
    assert_int_equal(kg_layout_distance(&back, &squashed), 0);
    for (int lane = 0; lane < 32; lane++) expect_at(&back, 1, lane, 2, 2 * 16 + lane / 4 + 8, 0);
}

static void transposes_swap_dimensions(void **state)
{
    kg_layout b, t, back;
    kg_layout_blocked(2, (int32_t[]){48, 64}, 1, 4, 4, &b);
    kg_layout_transpose(&b, (int[]){1, 0}, &t);
    assert_int_equal(t.core[0] * t.reps[0], 64);
    int32_t at[KG_MAX_RANK];
    kg_layout_coord(&b, 5, 17, 3, at);
    assert_true(register_of(&t, 0, 0, 0) == 0);
    kg_layout_transpose(&t, (int[]){1, 0}, &back);
    assert_int_equal(kg_layout_distance(&b, &back), 0);
}

static void distances(void **state)
{
    kg_layout a, b;
    kg_layout_blocked(1, (int32_t[]){256}, 0, 2, 1, &a);
    kg_layout_blocked(1, (int32_t[]){256}, 0, 2, 1, &b);
    assert_int_equal(kg_layout_distance(&a, &b), 0);
    kg_layout_blocked(1, (int32_t[]){256}, 0, 4, 1, &b);
    assert_int_equal(kg_layout_distance(&a, &b), 2);
    kg_layout_blocked(1, (int32_t[]){256}, 0, 2, 4, &b);
    assert_int_equal(kg_layout_distance(&a, &b),
                     1); // every warp of `a` holds everything: each thread has its part
    assert_int_equal(kg_layout_distance(&b, &a), 3);
    kg_layout_blocked(1, (int32_t[]){256}, 0, 1, 4, &a);
    assert_int_equal(kg_layout_distance(&a, &b), 3);
    kg_layout_blocked(2, (int32_t[]){3, 32}, 1, 1, 1, &a); // same map, other order of registers
    kg_layout_blocked(2, (int32_t[]){3, 32}, 1, 1, 1, &b);
    b.bits[KG_IN_LANE] = 5;
    assert_int_equal(kg_layout_distance(&a, &b), 0);
    kg_layout_blocked(1, (int32_t[]){24}, 0, 8, 1, &a);
    kg_layout_blocked(1, (int32_t[]){24}, 0, 4, 1, &b);
    assert_int_equal(kg_layout_distance(&a, &b), 1);
    assert_int_equal(kg_layout_distance(&b, &a), 2);
}

// distance() against its definition, thread by thread.
static int slow_distance(const kg_layout *from, const kg_layout *to, int warps)
{
    int worst = 0, registers = kg_layout_registers(to);
    bool same = kg_layout_registers(from) == registers;
    for (int warp = 0; warp < warps; warp++)
        for (int lane = 0; lane < 32; lane++)
            for (int reg = 0; reg < registers; reg++) {
                int32_t want[KG_MAX_RANK], at[KG_MAX_RANK];
                kg_layout_coord(to, reg, lane, warp, want);
                kg_layout_coord(from, reg, lane, warp, at);
                same = same && at[0] == want[0] && at[1] == want[1];
                int found = 3;
                for (int l = 0; l < 32 && found > 1; l++)
                    for (int r = 0; r < kg_layout_registers(from); r++) {
                        kg_layout_coord(from, r, l, warp, at);
                        if (at[0] == want[0] && at[1] == want[1])
                            found = l == lane ? 1 : found < 2 ? found : 2;
                    }
                worst = found > worst ? found : worst;
            }
    return same ? 0 : worst;
}

static void distance_agrees_with_its_definition(void **state)
{
    kg_layout some[16];
    int n = 0;
    for (int fast = 0; fast < 2; fast++)
        for (int vec = 1; vec <= 4; vec *= 2)
            kg_layout_blocked(2, (int32_t[]){16, 24}, fast, vec, 2, &some[n++]);
    for (int lane = 0; lane < 2; lane++)
        for (int warp = 0; warp < 2; warp++)
            kg_layout_spread(2, (int32_t[]){16, 24}, 1, 2, (int[]){lane, 1 - lane, lane}, 3,
                             warp ? 5 : 2, (int[]){warp}, 1, 2, &some[n++]);
    assert_true(kg_layout_dot_acc(KG_DOT_MMA_F16, 16, 24, 1, 1, &some[n++]));
    assert_true(kg_layout_dot_acc(KG_DOT_FMA, 16, 24, 2, 1, &some[n++]));
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++)
            assert_int_equal(kg_layout_distance(&some[i], &some[j]),
                             slow_distance(&some[i], &some[j], 2));
}

static void registers_are_found_by_coordinate(void **state)
{
    kg_layout c;
    assert_true(kg_layout_dot_acc(KG_DOT_MMA_F16, 96, 176, 2, 2, &c));
    for (int reg = 0; reg < kg_layout_registers(&c); reg++) {
        int32_t at[KG_MAX_RANK];
        kg_layout_coord(&c, reg, 0, 0, at);
        assert_int_equal(kg_layout_find_register(&c, at), reg);
    }
    assert_int_equal(kg_layout_find_register(&c, (int32_t[]){1, 0}), -1);
    assert_int_equal(kg_layout_find_register(&c, (int32_t[]){96, 0}), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accumulator_is_m16n8),
        cmocka_unit_test(a_operand_is_m16k16),
        cmocka_unit_test(b_operand_is_k16n8),
        cmocka_unit_test(int8_operands_are_m16n8k32),
        cmocka_unit_test(tf32_operands_are_m16n8k8),
        cmocka_unit_test(dot_layouts_partition_their_tiles),
        cmocka_unit_test(accumulator_is_the_next_a_operand),
        cmocka_unit_test(blocked_is_coalesced),
        cmocka_unit_test(slices_keep_copies_in_lanes_only),
        cmocka_unit_test(transposes_swap_dimensions),
        cmocka_unit_test(distances),
        cmocka_unit_test(distance_agrees_with_its_definition),
        cmocka_unit_test(registers_are_found_by_coordinate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
