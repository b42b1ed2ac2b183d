// SPDX-License-Identifier: MIT
// Stores of accumulators, cast to 16 bits, by stmatrix: four registers of a warp become rows of 16
// bytes of shared memory (kg_matrix_store says which).
#include "codegen/emit.h"

static enum cg_ptx_id template_of(const kg_matrix_store *s)
{
    if (s->count == 4) return s->transposed ? CG_PTX_STMATRIX_X4_TRANS : CG_PTX_STMATRIX_X4;
    return s->transposed ? CG_PTX_STMATRIX_X2_TRANS : CG_PTX_STMATRIX_X2;
}

static bool open_rows(kg_emit *e, const kg_op *op, const kg_matrix_store *s, emit_place *place)
{
    const kg_layout *layout = op->operands[1]->layout;
    emit_part parts[KG_MAX_RANK];
    memset(parts, 0, sizeof parts);
    for (int d = 0; d < 2; d++) {
        int32_t lane[5], warp[5] = {0};
        for (int i = 0; i < 5; i++) lane[i] = s->lane[i][d];
        for (int i = 0; i < layout->bits[KG_IN_WARP] && i < 5; i++)
            warp[i] = layout->basis[KG_IN_WARP][i][d];
        parts[d] = emit_linear_part(e, lane, 5, warp, 5);
    }
    return emit_place_open(e, op->operands[0], parts, place);
}

void emit_stmatrix(kg_emit *e, kg_op *op)
{
    kg_matrix_store s;
    emit_place place;
    kg_value *value = op->operands[1];
    if (!kg_matrix_store_of(op, &s) || s.count != kg_op_int(op, KG_A_MATRIX, 0)) {
        emit_error(e, KG_D_L301, "the store's layout or buffer does not fit matrix=%lld",
                   (long long)kg_op_int(op, KG_A_MATRIX, 0));
        return;
    }
    if (!open_rows(e, op, &s, &place)) return;
    const cg_value *held = emit_read(e, value);
    cg_type pair = CG_VECTOR(emit_type(value->type.dtype), 2);
    int within = s.pair | s.matrix[1] | s.matrix[3];
    for (int r = 0; r < kg_layout_registers(value->layout) && !e->failed; r++) {
        int32_t coord[KG_MAX_RANK];
        cg_value arguments[5];
        if (r & within) continue;
        kg_layout_coord(value->layout, r, 0, 0, coord);
        arguments[0] = emit_element_address(e, &place, emit_place_at(e, &place, coord));
        for (int k = 0; k < s.count; k++) {
            const cg_value both[] = {held[r | s.matrix[k]], held[r | s.matrix[k] | s.pair]};
            arguments[1 + k] = cg_bitcast(e->m, cg_pack(e->m, pair, both), CG_I32);
        }
        cg_template(e->m, template_of(&s), arguments, (unsigned)s.count + 1, NULL, NULL);
    }
}
