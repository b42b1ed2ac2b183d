// SPDX-License-Identifier: MIT
// The type rules of every op, in one place: parser, builder and verifier all ask here.
//
// A question is an opcode, the operands' types and the attributes; the answer is the result's type,
// or a finding. While expressions are being typed an extent may still be KG_OPEN (a range that
// takes its length from the other side): it matches anything. In finished IR no extent is open.
#pragma once
#include "ir/ir.h"

#define KG_OPEN (-1)
#define KG_INFER_OPERANDS 8
#define KG_TILE_ELEMENTS ((int64_t)1 << 20) // most elements of a tile

typedef struct kg_infer {
    kg_arena *arena; // of the message
    kg_opcode code;
    int n;
    kg_type types[KG_INFER_OPERANDS];
    const kg_attr *attrs;
    // answer
    kg_type result;
    kg_diag_id id;
    const char *text; // of the finding
    int operand;      // that it concerns, or -1
} kg_infer;

// false: id, text and operand say what is wrong.
bool kg_infer_type(kg_infer *question);
// The same for an op that exists. `question` needs nothing filled in but its arena.
bool kg_infer_op(kg_infer *question, const kg_op *op);

kg_type kg_scalar_type(kg_dtype dtype);
bool kg_extent_equal(int32_t a, int32_t b);             // an open one matches anything
bool kg_type_equal(const kg_type *a, const kg_type *b); // open extents match anything
bool kg_shape_equal(const kg_type *a, const kg_type *b);
// Shape of an elementwise op over two operands (NumPy rules); false when they do not match.
bool kg_shape_join(const kg_type *a, const kg_type *b, kg_type *out);
// Rank at most 5, extents positive (or open when allowed), at most KG_TILE_ELEMENTS in all. The
// text of what is wrong, or NULL.
const char *kg_shape_problem(kg_arena *arena, const kg_type *type, bool allow_open);
const char *kg_type_text(kg_arena *arena, const kg_type *type); // "bf16[128, 32]"
