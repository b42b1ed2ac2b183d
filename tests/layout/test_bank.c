// SPDX-License-Identifier: MIT
// Bank conflicts: exact figures for cases that everybody knows.
#include "build.h"
#include "passes/bank.h"

static kg_bank_count rows_of_16_bytes(const kg_shared_layout *layout, int size)
{
    kg_bank_count count = {0};
    int64_t offset[8];
    for (int row = 0; row < 8; row++) offset[row] = kg_bank_byte(layout, row, 0, size);
    kg_bank_add(&count, offset, 8, 16);
    return count;
}

static void ldmatrix_of_128_byte_rows(void **state)
{
    kg_shared_layout plain = {.pitch = 64}, swizzled = {.pitch = 64, .chunk_log2 = 4, .bits = 3};
    kg_shared_layout padded = {.pitch = 72};
    assert_int_equal(rows_of_16_bytes(&plain, 2).wavefronts, 8);
    assert_int_equal(rows_of_16_bytes(&swizzled, 2).wavefronts, 1);
    assert_int_equal(rows_of_16_bytes(&padded, 2).wavefronts, 1);
    kg_shared_layout narrow = {.pitch = 32},
                     narrow_swizzled = {.pitch = 32, .chunk_log2 = 4, .bits = 2, .shift = 1};
    assert_int_equal(rows_of_16_bytes(&narrow, 2).wavefronts, 4);
    assert_int_equal(rows_of_16_bytes(&narrow_swizzled, 2).wavefronts, 1);
}

static void columns_of_words(void **state)
{
    kg_shared_layout layouts[] = {
        {.pitch = 32}, {.pitch = 33}, {.pitch = 32, .chunk_log2 = 2, .bits = 5}};
    int wanted[] = {32, 1, 1};
    for (int i = 0; i < 3; i++) {
        kg_bank_count count = {0};
        int64_t offset[32];
        for (int lane = 0; lane < 32; lane++) offset[lane] = kg_bank_byte(&layouts[i], lane, 5, 4);
        kg_bank_add(&count, offset, 32, 4);
        assert_int_equal(count.wavefronts, wanted[i]);
        assert_int_equal(count.phases, 1);
    }
}

static void phases_by_width(void **state)
{
    for (int bytes = 1; bytes <= 16; bytes *= 2) {
        kg_bank_count count = {0};
        int64_t offset[32];
        for (int lane = 0; lane < 32; lane++) offset[lane] = lane * bytes;
        kg_bank_add(&count, offset, 32, bytes);
        assert_int_equal(count.wavefronts, bytes <= 4 ? 1 : bytes / 4);
        assert_int_equal(count.wavefronts, count.phases);
    }
    kg_bank_count count = {0};
    int64_t same[32] = {0};
    kg_bank_add(&count, same, 32, 4); // one word for all: a broadcast
    assert_int_equal(count.wavefronts, 1);
}

static void an_op_as_a_whole(void **state)
{
    fixture f;
    fixture_open(&f, 1);
    kg_value *buffer = build_shared(&f, KG_F32, 32, 32);
    kg_value *tile = build(&f, KG_OP_LOAD, tile_type(KG_HOME_FRAG, KG_F32, 32, 32), 1, &buffer);
    kg_layout by_rows, by_columns;
    kg_layout_blocked(2, tile->type.dims, 1, 1, 1, &by_rows);
    kg_layout_blocked(2, tile->type.dims, 0, 1, 1, &by_columns);
    kg_access access;
    kg_shared_layout plain = {.pitch = 32}, swizzled = {.pitch = 32, .chunk_log2 = 2, .bits = 5};
    assert_int_equal(kg_op_accesses(tile->op, &access), 1);
    tile->layout = &by_rows;
    assert_int_equal(kg_bank_of_access(&access, &plain).wavefronts, 32);
    tile->layout = &by_columns;
    // A row of 32 floats in each thread, in vectors of 16 bytes: 8 rows a phase, all on the same
    // banks.
    assert_int_equal(kg_bank_of_access(&access, &plain).wavefronts, 8 * 4 * 8);
    assert_int_equal(kg_bank_of_access(&access, &plain).phases, 8 * 4);
    assert_int_equal(kg_bank_of_access(&access, &swizzled).wavefronts, 32);
    fixture_close(&f);
}

// Accumulators of a warpgroup by stmatrix: each matrix finds its rows on banks of their own, in
// buffers of 128-byte rows with their swizzle, whichever way round.
static void matrices(void **state)
{
    fixture f;
    fixture_open(&f, 4);
    for (int transposed = 0; transposed < 2; transposed++) {
        kg_matrix_store s;
        kg_access access;
        kg_layout layout;
        kg_value *buffer = build_shared(&f, KG_BF16, 64, 64), *view = buffer;
        kg_value *tile =
            build(&f, KG_OP_LOAD, tile_type(KG_HOME_FRAG, KG_BF16, 64, 64), 1, &buffer);
        assert_true(kg_layout_dot_acc(KG_DOT_WGMMA, 64, 64, 4, 1, &layout));
        tile->layout = &layout;
        if (transposed) view = build(&f, KG_OP_TRANSPOSE, buffer->type, 1, &buffer);
        kg_op *store =
            kg_op_new(&f.kernel, KG_OP_STORE, (kg_loc){0}, 2, (kg_value *[]){view, tile});
        kg_block_append(&f.body, store);
        kg_shared_layout plain = {.pitch = 64, .rows = 64}, swizzled = plain;
        swizzled.panel = 64;
        swizzled.chunk_log2 = 4;
        swizzled.bits = 3;
        assert_true(kg_matrix_store_of(store, &s));
        assert_int_equal(s.count, 4);
        assert_int_equal(s.transposed, transposed);
        assert_int_equal(kg_op_accesses(store, &access), 1);
        kg_bank_count count = kg_bank_of_matrices(&access, &s, &swizzled);
        assert_int_equal(count.issues, 4);
        assert_int_equal(count.wavefronts, 16);
        assert_int_equal(kg_bank_of_matrices(&access, &s, &plain).wavefronts, 8 * 16);
    }
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ldmatrix_of_128_byte_rows),
        cmocka_unit_test(columns_of_words),
        cmocka_unit_test(phases_by_width),
        cmocka_unit_test(an_op_as_a_whole),
        cmocka_unit_test(matrices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
