// SPDX-License-Identifier: MIT
// Who touches which bytes: loads, stores, copies, matmul operands and elected ops, on kernels built
// by hand.
#include "build.h"
#include <string.h>

enum { THREADS = 256, BYTES = 1 << 16 };

typedef struct map {
    uint8_t touched[THREADS][BYTES];
    int runs;
} map;

static map seen; // too big for the stack

static void visit(int thread, int64_t offset, int bytes, void *user)
{
    assert_in_range(thread, 0, THREADS - 1);
    assert_in_range(offset, 0, BYTES - bytes);
    seen.runs++;
    memset(&seen.touched[thread][offset], 1, (size_t)bytes);
}

static void enumerate(const kg_access *access)
{
    memset(&seen, 0, sizeof seen);
    kg_access_bytes(access, visit, NULL);
}

static int threads_at(int64_t offset)
{
    int count = 0;
    for (int thread = 0; thread < THREADS; thread++) count += seen.touched[thread][offset];
    return count;
}

static void loads_and_stores_follow_the_fragment(void **state)
{
    fixture f;
    fixture_open(&f, 4);
    kg_value *buffer = build_shared(&f, KG_F32, 16, 64);
    kg_op_set_int(&f.kernel, buffer->op, KG_A_PITCH, 68);
    kg_value *tile = build(&f, KG_OP_LOAD, tile_type(KG_HOME_FRAG, KG_F32, 16, 64), 1, &buffer);
    kg_layout layout, rows, copies;
    kg_layout_blocked(2, tile->type.dims, 1, 4, 4, &layout);
    tile->layout = &layout;
    kg_access access;
    assert_int_equal(kg_op_accesses(tile->op, &access), 1);
    assert_true(access.exact);
    enumerate(&access);
    assert_int_equal(seen.runs, 256); // 16 lanes of 16 bytes a row
    for (int row = 0; row < 16; row++)
        for (int column = 0; column < 68; column++)
            assert_int_equal(threads_at((row * 68 + column) * 4), column < 64 ? 1 : 0);
    assert_int_equal(seen.touched[1][16], 1); // second lane, second 16 bytes
    // A column of row sums, held 16 times: read by all holders, written by owners only.
    kg_layout_slice(&layout, 1, &rows);
    kg_layout_expand(&rows, 1, &copies);
    kg_value *column = build_shared(&f, KG_F32, 16, 1);
    kg_value *sums = build(&f, KG_OP_LOAD, tile_type(KG_HOME_FRAG, KG_F32, 16, 1), 1, &column);
    sums->layout = &copies;
    kg_op_accesses(sums->op, &access);
    enumerate(&access);
    assert_int_equal(threads_at(0), 16);
    build(&f, KG_OP_STORE, column->type, 2, (kg_value *[]){column, sums});
    assert_int_equal(kg_op_accesses(f.body.last, &access), 1);
    enumerate(&access);
    for (int row = 0; row < 16; row++) assert_int_equal(threads_at(row * 4), 1);
    fixture_close(&f);
}

static void swizzles_move_chunks_within_rows(void **state)
{
    fixture f;
    fixture_open(&f, 1);
    kg_value *buffer = build_shared(&f, KG_F16, 8, 64);
    kg_op_set_ints(&f.kernel, buffer->op, KG_A_SWIZZLE, 3, (int64_t[]){4, 3, 0});
    kg_value *tile = build(&f, KG_OP_LOAD, tile_type(KG_HOME_FRAG, KG_F16, 8, 64), 1, &buffer);
    kg_layout layout;
    kg_layout_blocked(2, tile->type.dims, 1, 8, 1, &layout);
    tile->layout = &layout;
    kg_access access;
    kg_op_accesses(tile->op, &access);
    enumerate(&access);
    for (int offset = 0; offset < 8 * 128; offset++) assert_int_equal(threads_at(offset), 1);
    assert_int_equal(seen.touched[8][128 + 16], 1); // row 1, chunk 0 lies in place 1
    fixture_close(&f);
}

static void copies_go_by_chunks(void **state)
{
    fixture f;
    fixture_open(&f, 2);
    kg_value source = {.kind = KG_VALUE_PARAM, .type = tile_type(KG_HOME_GLOBAL, KG_F32, 16, 32)};
    kg_value *buffer = build_shared(&f, KG_F32, 16, 32);
    kg_tensor tensor = {.align = 16};
    source.tensor = &tensor;
    for (int d = 0; d < 2; d++) tensor.dims[d] = kg_sexpr_int(&f.arena, source.type.dims[d]);
    tensor.strides[0] = kg_sexpr_int(&f.arena, 32);
    tensor.strides[1] = kg_sexpr_int(&f.arena, 1);
    build(&f, KG_OP_COPY_ASYNC, buffer->type, 2, (kg_value *[]){buffer, &source});
    kg_op_set_int(&f.kernel, f.body.last, KG_A_VEC, 4);
    kg_access access[KG_MAX_EFFECTS];
    assert_int_equal(kg_op_accesses(f.body.last, access), 2);
    assert_int_equal(access[0].effect->agent, KG_AGENT_CP_ASYNC);
    assert_false(access[1].exact);
    enumerate(&access[0]);
    for (int chunk = 0; chunk < 128; chunk++)
        for (int byte = 0; byte < 16; byte++) {
            assert_int_equal(threads_at(chunk * 16 + byte), 1);
            assert_int_equal(seen.touched[chunk % 64][chunk * 16 + byte], 1);
        }
    kg_layout layout;
    assert_true(kg_layout_copy(&source.type, 4, 2, &layout));
    for (int thread = 0; thread < 64; thread++)
        for (int round = 0; round < 2; round++) {
            int32_t at[KG_MAX_RANK];
            kg_layout_coord(&layout, round * 4, thread % 32, thread / 32, at);
            assert_int_equal(at[0] * 8 + at[1] / 4, round * 64 + thread);
        }
    assert_int_equal(kg_view_vector_bytes(&f.kernel, &source, true), 16);
    assert_int_equal(kg_view_vector_bytes(&f.kernel, buffer, true), 16);
    fixture_close(&f);
}

static void operands_are_read_by_whole_warps(void **state)
{
    fixture f;
    fixture_open(&f, 4);
    kg_value *a = build_shared(&f, KG_F16, 64, 16), *b = build_shared(&f, KG_F16, 16, 32);
    kg_value *zero = build(&f, KG_OP_CONST, (kg_type){.dtype = KG_F32}, 0, NULL);
    kg_value *c = build(&f, KG_OP_BROADCAST, tile_type(KG_HOME_FRAG, KG_F32, 64, 32), 1, &zero);
    kg_value *dot = build(&f, KG_OP_DOT, c->type, 3, (kg_value *[]){a, b, c});
    kg_layout acc;
    assert_int_equal(kg_dot_kind_of(dot->op), KG_DOT_MMA_F16);
    assert_true(kg_layout_dot_acc(KG_DOT_MMA_F16, 64, 32, 2, 2, &acc));
    c->layout = dot->layout = &acc;
    kg_access access[KG_MAX_EFFECTS];
    assert_int_equal(kg_op_accesses(dot->op, access), 2);
    enumerate(&access[0]);
    for (int row = 0; row < 64; row++)
        for (int thread = 0; thread < 128; thread++) // warp bit 0 splits rows
            assert_int_equal(seen.touched[thread][row * 32], (thread / 32 % 2) == row / 32);
    enumerate(&access[1]);
    for (int column = 0; column < 32; column++)
        for (int thread = 0; thread < 128; thread++)
            assert_int_equal(seen.touched[thread][15 * 64 + column * 2],
                             thread / 64 == column / 16);
    fixture_close(&f);
}

static void regions_number_their_own_threads(void **state)
{
    fixture f;
    fixture_open(&f, 8);
    kg_op *region = kg_op_new(&f.kernel, KG_OP_WARPS, (kg_loc){0}, 0, NULL);
    kg_op_set_int(&f.kernel, region, KG_A_FIRST, 2);
    kg_op_set_int(&f.kernel, region, KG_A_LAST, 4);
    kg_value *buffer = build_shared(&f, KG_I32, 64, 1);
    kg_block_append(&f.body, region);
    kg_block *block = kg_op_add_block(&f.kernel, region);
    kg_op *load = kg_op_new(&f.kernel, KG_OP_LOAD, (kg_loc){0}, 1, &buffer);
    kg_value *tile = kg_op_result(&f.kernel, load, tile_type(KG_HOME_FRAG, KG_I32, 64, 1), NULL);
    kg_block_append(block, load);
    kg_layout layout;
    kg_layout_blocked(2, tile->type.dims, 0, 1, 2, &layout);
    tile->layout = &layout;
    kg_access access;
    assert_int_equal(kg_op_region(load).first_warp, 2);
    assert_int_equal(kg_op_region(region).n_warps, 8);
    kg_op_accesses(load, &access);
    enumerate(&access);
    for (int row = 0; row < 64; row++) {
        assert_int_equal(threads_at(row * 4), 1);
        assert_int_equal(seen.touched[64 + row][row * 4], 1);
    }
    fixture_close(&f);
}

static void transposed_views_turn_the_tile(void **state)
{
    fixture f;
    fixture_open(&f, 1);
    kg_value *buffer = build_shared(&f, KG_F32, 4, 32);
    kg_value *turned =
        build(&f, KG_OP_TRANSPOSE, tile_type(KG_HOME_SHARED, KG_F32, 32, 4), 1, &buffer);
    kg_op_set_ints(&f.kernel, turned->op, KG_A_PERM, 2, (int64_t[]){1, 0});
    kg_value *tile = build(&f, KG_OP_LOAD, tile_type(KG_HOME_FRAG, KG_F32, 32, 4), 1, &turned);
    kg_layout layout;
    kg_layout_blocked(2, tile->type.dims, 0, 1, 1, &layout);
    tile->layout = &layout;
    kg_access access;
    kg_op_accesses(tile->op, &access);
    assert_ptr_equal(access.root, buffer);
    enumerate(&access);
    for (int lane = 0; lane < 32; lane++)
        for (int row = 0; row < 4; row++)
            assert_int_equal(seen.touched[lane][(row * 32 + lane) * 4], 1);
    assert_int_equal(kg_view_vector_bytes(&f.kernel, turned, true), 0);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loads_and_stores_follow_the_fragment),
        cmocka_unit_test(swizzles_move_chunks_within_rows),
        cmocka_unit_test(copies_go_by_chunks),
        cmocka_unit_test(operands_are_read_by_whole_warps),
        cmocka_unit_test(regions_number_their_own_threads),
        cmocka_unit_test(transposed_views_turn_the_tile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
