// SPDX-License-Identifier: MIT
// Statements that move data: stores, copies, atomics, flags.
#include "ir/parse_stmt.h"
#include <string.h>

// ---- stores, copies, atomics -------------------------------------------------------------------
// A mask may be broadcast like an operand.
static kg_value *emit_mask(kg_parser *p, kg_node *n, const kg_type *like)
{
    kg_type type = *like, joined;
    type.dtype = KG_I1;
    if (n->type.rank && kg_shape_join(&type, &n->type, &joined) && kg_shape_equal(&joined, &type) &&
        kg_literal_fits(n, KG_I1))
        return kg_emit_as(p, n, &type);
    return kg_emit_into(p, n, &type);
}

// A mask's extents of 1 may be broadcast: they say nothing.
static void close_from_mask(kg_type *type, kg_type mask)
{
    for (int d = 0; d < mask.rank; d++)
        if (mask.dims[d] == 1) mask.dims[d] = KG_OPEN;
    kg_close_from(type, &mask);
}

void kg_make_store(kg_parser *p, kg_opcode code, kg_loc loc, kg_node *view, kg_node *value,
                   kg_node *mask, kg_keyed *attrs)
{
    kg_value *operands[3] = {NULL};
    bool ok = kg_typed_memory(p, view, kg_op_info_of(code)->name);
    kg_typed_value(p, value);
    if (mask) kg_typed_value(p, mask);
    if (!ok || value->kind == KG_N_POISON || (mask && mask->kind == KG_N_POISON)) return;
    kg_type type = view->type;
    kg_close_from(&type, &value->type);
    if (mask) close_from_mask(&type, mask->type);
    operands[0] = kg_emit_memory(p, view, &type);
    if (!operands[0]) return;
    type = operands[0]->type;
    type.home = KG_HOME_FRAG;
    operands[1] = kg_emit_into(p, value, &type);
    if (mask) operands[2] = emit_mask(p, mask, &type);
    kg_op *op = kg_emit_op(p, code, loc, mask ? 3 : 2, operands, NULL);
    if (op) kg_apply_attrs(p, op, attrs);
}

void kg_store_statement(kg_parser *p, kg_opcode code)
{
    kg_loc loc = p->token.loc;
    kg_node *mask = NULL;
    kg_advance(p);
    kg_node *view = kg_postfix(p);
    kg_expect(p, KG_P1('='), "'=' and the value");
    kg_node *value = kg_expression(p);
    if (kg_accept_word(p, "where")) mask = kg_expression(p);
    kg_keyed *attrs = kg_statement_attrs(p);
    if (!p->panic && !p->dead) kg_make_store(p, code, loc, view, value, mask, attrs);
}

void kg_make_copy(kg_parser *p, kg_opcode code, kg_loc loc, kg_node *to, kg_node *from,
                  kg_node *on, kg_keyed *attrs)
{
    kg_value *operands[3] = {NULL};
    const char *name = kg_op_info_of(code)->name;
    bool ok = kg_typed_memory(p, to, name);
    ok &= kg_typed_memory(p, from, name);
    ok &= !on || kg_typed_memory(p, on, name);
    if (!ok) return;
    kg_type to_type = to->type, from_type = from->type;
    kg_close_from(&to_type, &from_type);
    kg_close_from(&from_type, &to_type);
    operands[0] = kg_emit_memory(p, to, &to_type);
    operands[1] = operands[0] ? kg_emit_memory(p, from, &from_type) : NULL;
    if (on && operands[1]) operands[2] = kg_emit_memory(p, on, NULL);
    if (on && !operands[2]) return;
    kg_op *op = kg_emit_op(p, code, loc, on ? 3 : 2, operands, NULL);
    if (op) kg_apply_attrs(p, op, attrs);
}

// copy V = W; copy_bulk V = W on M
void kg_copy_statement(kg_parser *p, kg_opcode code)
{
    kg_loc loc = p->token.loc;
    kg_advance(p);
    kg_node *to = kg_postfix(p);
    bool leaves = code == KG_OP_STORE_BULK || code == KG_OP_REDUCE_BULK;
    kg_expect(p, KG_P1('='), leaves ? "'=' and a shared view" : "'=' and a global view");
    kg_node *from = kg_postfix(p), *on = NULL;
    if (code == KG_OP_COPY_BULK && !p->panic && kg_accept_word(p, "on")) on = kg_postfix(p);
    kg_keyed *attrs = kg_statement_attrs(p);
    if (!p->panic && !p->dead) kg_make_copy(p, code, loc, to, from, on, attrs);
}

void kg_make_flag(kg_parser *p, kg_opcode code, kg_loc loc, kg_node *view, bool ge, kg_node *value,
                  kg_keyed *attrs)
{
    kg_value *operands[2];
    bool ok = kg_typed_memory(p, view, kg_op_info_of(code)->name);
    kg_typed_value(p, value);
    if (!ok || value->kind == KG_N_POISON) return;
    operands[0] = kg_emit_memory(p, view, NULL);
    if (!operands[0]) return;
    kg_type type = kg_scalar_type(view->type.dtype);
    operands[1] = kg_emit_into(p, value, &type);
    kg_op *op = kg_emit_op(p, code, loc, 2, operands, NULL);
    if (!op) return;
    if (code == KG_OP_AWAIT) kg_op_set_name(p->kernel, op, KG_A_COMPARE, ge ? "ge" : "eq");
    kg_apply_attrs(p, op, attrs);
}

// signal V = E; await V >= E; await V == E
void kg_flag_statement(kg_parser *p, kg_opcode code)
{
    kg_loc loc = p->token.loc;
    kg_advance(p);
    kg_node *view = kg_postfix(p);
    bool ge = code == KG_OP_AWAIT && kg_accept(p, KG_P2('>', '='));
    if (!ge && code == KG_OP_AWAIT) kg_expect(p, KG_P2('=', '='), "'>=' or '=='");
    if (code == KG_OP_SIGNAL) kg_expect(p, KG_P1('='), "'=' and the value");
    kg_node *value = kg_expression(p);
    kg_keyed *attrs = kg_statement_attrs(p);
    if (!p->panic && !p->dead) kg_make_flag(p, code, loc, view, ge, value, attrs);
}

kg_value *kg_make_fetch_add(kg_parser *p, kg_loc loc, kg_node *view, kg_node *value, kg_node *cell)
{
    kg_value *operands[3] = {NULL};
    bool ok = kg_typed_memory(p, view, "fetch_add");
    kg_typed_value(p, value);
    if (cell) ok &= kg_typed_memory(p, cell, "fetch_add");
    if (!ok || value->kind == KG_N_POISON) return NULL;
    kg_type type = kg_scalar_type(view->type.dtype);
    operands[0] = kg_emit_memory(p, view, NULL);
    if (!operands[0]) return NULL;
    operands[1] = kg_emit_into(p, value, &type);
    if (cell) operands[2] = kg_emit_memory(p, cell, NULL);
    kg_op *op = kg_emit_op(p, KG_OP_FETCH_ADD, loc, cell ? 3 : 2, operands, NULL);
    return op ? op->results[0] : NULL;
}

// x = fetch_add V, E [, C]
kg_value *kg_fetch_add_expression(kg_parser *p, kg_keyed **attrs)
{
    kg_loc loc = p->token.loc;
    kg_node *cell = NULL;
    kg_advance(p);
    kg_node *view = kg_postfix(p);
    kg_expect(p, KG_P1(','), "',' and the number to add");
    kg_node *value = kg_expression(p);
    if (kg_accept(p, KG_P1(','))) cell = kg_postfix(p);
    *attrs = kg_statement_attrs(p);
    if (p->panic || p->dead) return NULL;
    return kg_make_fetch_add(p, loc, view, value, cell);
}
