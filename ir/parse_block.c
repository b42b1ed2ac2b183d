// SPDX-License-Identifier: MIT
// Statements with blocks, and synchronization by hand.
#include "ir/parse_stmt.h"
#include <string.h>

// ---- blocks ------------------------------------------------------------------------------------
// Behind a syntax error in a block's head: the body is still read, so that all findings come at
// once.
static void skip_to_body(kg_parser *p)
{
    p->lexer.brackets = 0;
    while (p->token.kind != KG_T_END && p->token.kind != KG_T_NEWLINE &&
           p->token.kind != KG_P1('{') && p->token.kind != KG_P1('}'))
        kg_advance(p);
    if (p->token.kind == KG_P1('{')) p->panic = false;
    p->nesting = 0;
}

// A block in a scope of its own; ops go to `block`.
static void nested(kg_parser *p, kg_block *block)
{
    kg_scope scope;
    kg_scope_enter(p, &scope);
    kg_block_read(p, block);
    kg_scope_leave(p);
}

// The body of a statement whose head was wrong: names in it are checked, its ops go nowhere.
static kg_block *detached(kg_parser *p)
{
    kg_block *block = KG_NEW(p->arena, kg_block);
    block->kernel = p->kernel;
    return block;
}

static void count_attr(kg_parser *p, kg_op *op, kg_node *n, kg_attr_key key)
{
    int64_t value;
    if (!n || !kg_constant_int(p, n, kg_attr_info_of(key)->name, &value)) return;
    if (value < 1 || value > 1 << 20)
        kg_error(p->diags, KG_D_T106, n->loc, "%s must be positive, not %lld",
                 kg_attr_info_of(key)->name, (long long)value);
    else
        kg_op_set_int(p->kernel, op, key, value);
}

bool kg_make_bounds(kg_parser *p, kg_node *const *n, kg_value **operands)
{
    kg_dtype dtype = KG_I32;
    bool ok = true;
    for (int i = 0; i < 3; i++) {
        kg_typed_value(p, n[i]);
        ok &= n[i]->kind != KG_N_POISON;
    }
    if (!ok) return false;
    for (int i = 0; i < 3; i++) {
        kg_dtype own = kg_natural_dtype(n[i]);
        if (n[i]->type.rank || (own != KG_I32 && own != KG_I64)) {
            kg_error(p->diags, KG_D_T102, n[i]->loc,
                     "a loop's bound must be an i32 or i64 scalar, not %s",
                     kg_type_text(p->arena, &n[i]->type));
            return false;
        }
        if (own == KG_I64) dtype = KG_I64;
    }
    kg_type type = kg_scalar_type(dtype);
    for (int i = 0; i < 3; i++) {
        operands[i] = kg_emit_as(p, n[i], &type);
        if (!operands[i]) return false;
    }
    int64_t step;
    if (!kg_const_int(operands[2], &step) || step > 0) return true;
    kg_error(p->diags, KG_D_T106, n[2]->loc, "the step of a loop must be positive");
    return false;
}

// The head of a loop as written. `broken`: a syntax error was reported.
typedef struct for_text {
    const char *name;
    kg_loc loc, name_loc;
    kg_node *bounds[3], *pipeline, *unroll; // lo, hi, step
    kg_keyed *attrs;
    bool broken;
} for_text;

static void read_for_options(kg_parser *p, for_text *text)
{
    while (!p->panic) {
        if (kg_accept_word(p, "step"))
            text->bounds[2] = kg_expression(p);
        else if (kg_accept_word(p, "pipeline"))
            text->pipeline = kg_expression(p);
        else if (kg_accept_word(p, "unroll"))
            text->unroll = kg_expression(p);
        else
            break;
    }
    if (!p->panic && kg_accept_word(p, "with")) text->attrs = kg_braces(p);
}

static void read_for(kg_parser *p, for_text *text)
{
    *text = (for_text){.loc = p->token.loc};
    kg_advance(p);
    text->name = p->token.text;
    text->name_loc = p->token.loc;
    if (p->token.kind == KG_T_NUMBERED)
        kg_advance(p);
    else
        kg_expect(p, KG_T_NAME, "the loop's index");
    if (!p->panic && !kg_accept_word(p, "in")) kg_unexpected(p, "'in'");
    if (!p->panic) text->bounds[0] = kg_expression(p);
    kg_expect(p, KG_P2('.', '.'), "'..'");
    if (!p->panic) text->bounds[1] = kg_expression(p);
    read_for_options(p, text);
    if (!p->panic && p->token.kind != KG_P1('{')) kg_unexpected(p, "'{' and the loop's body");
    text->broken = p->panic;
    if (text->broken) skip_to_body(p);
}

// The loop without its body; NULL when its head is wrong.
static kg_op *make_for(kg_parser *p, for_text *text)
{
    kg_value *operands[3];
    if (!text->bounds[2]) {
        text->bounds[2] = kg_node_new(p, KG_N_INT, text->loc);
        text->bounds[2]->i = 1;
    }
    if (!kg_make_bounds(p, text->bounds, operands)) return NULL;
    kg_op *op = kg_emit_op(p, KG_OP_FOR, text->loc, 3, operands, NULL);
    if (!op) return NULL;
    kg_block *body = kg_op_add_block(p->kernel, op);
    body->arg = KG_NEW(p->arena, kg_value);
    *body->arg = (kg_value){.kind = KG_VALUE_ARG,
                            .type = op->operands[0]->type,
                            .loc = text->name_loc,
                            .op = op,
                            .id = -1,
                            .name = text->name[0] == '%' ? NULL : text->name};
    count_attr(p, op, text->pipeline, KG_A_PIPELINE);
    count_attr(p, op, text->unroll, KG_A_UNROLL);
    kg_apply_attrs(p, op, text->attrs);
    return op;
}

void kg_for_statement(kg_parser *p)
{
    for_text text;
    kg_scope scope;
    read_for(p, &text);
    if (p->panic) return;
    kg_op *op = text.broken || p->dead ? NULL : make_for(p, &text);
    kg_scope_enter(p, &scope);
    if (op)
        kg_define_value(p, text.name, text.name_loc, op->blocks[0]->arg);
    else if (!p->dead && text.name)
        kg_define_poison(p, text.name, text.name_loc);
    nested(p, op ? op->blocks[0] : detached(p));
    kg_scope_leave(p);
}

void kg_make_yield(kg_parser *p, kg_node *n, kg_loc loc)
{
    kg_typed_value(p, n);
    kg_value *truth = kg_make_truth(p, n);
    kg_emit_op(p, KG_OP_YIELD, loc, 1, &truth, NULL);
}

// while E { body }, or while { statements; yield E } { body }
void kg_while_statement(kg_parser *p)
{
    kg_loc loc = p->token.loc;
    kg_op *op = p->dead ? NULL : kg_op_new(p->kernel, KG_OP_WHILE, loc, 0, NULL);
    kg_block *condition = op ? kg_op_add_block(p->kernel, op) : detached(p);
    kg_block *body = op ? kg_op_add_block(p->kernel, op) : detached(p);
    kg_advance(p);
    if (p->token.kind == KG_P1('{')) {
        nested(p, condition);
        bool yields = condition->last && condition->last->code == KG_OP_YIELD;
        if (!p->panic && !p->dead && !yields && p->diags->errors == 0) {
            kg_diag *d =
                kg_error(p->diags, KG_D_V203, loc, "the condition of this loop yields nothing");
            kg_diag_help(p->diags, d, "end its block with `yield E`");
        }
        if (!p->panic && p->token.kind != KG_P1('{')) kg_unexpected(p, "'{' and the loop's body");
    } else {
        kg_node *n = kg_expression(p);
        if (!p->panic && p->token.kind != KG_P1('{')) kg_unexpected(p, "'{' and the loop's body");
        if (!p->panic && !p->dead) {
            kg_block *outer = p->block;
            p->block = condition;
            kg_make_yield(p, n, loc);
            p->block = outer;
        }
    }
    if (p->panic) skip_to_body(p);
    if (p->panic) return;
    if (op) kg_block_append(p->block, op);
    nested(p, body);
}

static void dead_block(kg_parser *p)
{
    bool dead = p->dead;
    p->dead = true;
    nested(p, NULL);
    p->dead = dead;
}

static void else_part(kg_parser *p, kg_block *block)
{
    kg_block *outer = p->block;
    if (p->token.kind == KG_T_NEWLINE && p->ahead.kind == KG_T_NAME &&
        !strcmp(p->ahead.text, "else"))
        kg_advance(p);
    if (p->panic || !kg_accept_word(p, "else")) return;
    if (!kg_at_word(p, "if")) {
        nested(p, block);
        return;
    }
    kg_scope scope;
    kg_scope_enter(p, &scope);
    p->block = block;
    if (++p->depth > KG_DEEPEST_BLOCK) {
        kg_error(p->diags, KG_D_P011, p->token.loc, "statements are nested too deeply");
        p->panic = true;
    } else {
        kg_if_statement(p);
    }
    p->depth--;
    p->block = outer;
    kg_scope_leave(p);
}

// Of a constant condition only the taken arm becomes ops, in the surrounding block.
static void constant_if(kg_parser *p, bool truth)
{
    bool dead = p->dead;
    if (truth) {
        nested(p, p->block);
        p->dead = true;
        else_part(p, NULL);
    } else {
        dead_block(p);
        else_part(p, p->block);
    }
    p->dead = dead;
}

void kg_if_statement(kg_parser *p)
{
    kg_loc loc = p->token.loc;
    kg_advance(p);
    kg_node *n = kg_expression(p);
    if (!p->panic && p->token.kind != KG_P1('{')) kg_unexpected(p, "'{'");
    bool broken = p->panic;
    if (broken) skip_to_body(p);
    if (p->panic) return;
    if (p->dead) {
        dead_block(p);
        else_part(p, NULL);
        return;
    }
    kg_op *op = NULL;
    if (!broken) {
        kg_fold(p, n);
        if (n->kind == KG_N_TRUTH) {
            constant_if(p, n->i != 0);
            return;
        }
        kg_value_node(p, n);
        kg_value *truth = kg_make_truth(p, n);
        op = kg_emit_op(p, KG_OP_IF, loc, 1, &truth, NULL);
    }
    kg_block *then = op ? kg_op_add_block(p->kernel, op) : detached(p);
    kg_block *otherwise = op ? kg_op_add_block(p->kernel, op) : detached(p);
    nested(p, then);
    else_part(p, otherwise);
}

void kg_warps_statement(kg_parser *p)
{
    kg_loc loc = p->token.loc;
    const char *role = NULL;
    kg_keyed *attrs = NULL;
    kg_advance(p);
    kg_node *first = kg_expression(p), *last = NULL;
    kg_expect(p, KG_P2('.', '.'), "'..'");
    if (!p->panic) last = kg_expression(p);
    if (!p->panic && kg_accept_word(p, "as")) {
        role = p->token.text;
        kg_expect(p, KG_T_NAME, "the role's name");
    }
    if (!p->panic && kg_accept_word(p, "with")) attrs = kg_braces(p);
    if (!p->panic && p->token.kind != KG_P1('{')) kg_unexpected(p, "'{'");
    bool broken = p->panic;
    if (broken) skip_to_body(p);
    if (p->panic) return;
    if (p->dead) return dead_block(p);
    int64_t a = 0, b = 0;
    bool ok = !broken && kg_constant_int(p, first, "a warp's number", &a);
    ok = ok && kg_constant_int(p, last, "a warp's number", &b);
    if (ok && (a < 0 || b <= a || b > p->kernel->warps)) {
        kg_error(p->diags, KG_D_V205, loc,
                 "warps %lld .. %lld do not lie within the %d warps of the CTA", (long long)a,
                 (long long)b, p->kernel->warps);
        ok = false;
    }
    if (!ok) return nested(p, detached(p));
    kg_op *op = kg_op_new(p->kernel, KG_OP_WARPS, loc, 0, NULL);
    kg_op_set_int(p->kernel, op, KG_A_FIRST, a);
    kg_op_set_int(p->kernel, op, KG_A_LAST, b);
    if (role) kg_op_set_name(p->kernel, op, KG_A_ROLE, role);
    kg_apply_attrs(p, op, attrs);
    kg_block_append(p->block, op);
    nested(p, kg_op_add_block(p->kernel, op));
}

// ---- synchronization by hand -------------------------------------------------------------------
static void sync_int(kg_parser *p, kg_op *op, kg_node *n, kg_attr_key key)
{
    int64_t value;
    if (n && kg_constant_int(p, n, kg_attr_info_of(key)->name, &value))
        kg_op_set_int(p->kernel, op, key, value);
}

// The mbarrier of an op: a ring of them to be initialized, or one phase.
static kg_value *mbarrier_operand(kg_parser *p, kg_opcode code, kg_node *n)
{
    if (code == KG_OP_MBARRIER_INIT && n->kind == KG_N_NAME) {
        const kg_symbol *symbol = kg_lookup(p, n->name);
        if (symbol && symbol->kind == KG_S_VALUE && symbol->value->type.home == KG_HOME_SHARED)
            return symbol->value;
    }
    return kg_typed_memory(p, n, kg_op_info_of(code)->name) ? kg_emit_memory(p, n, NULL) : NULL;
}

static bool has_count(kg_opcode code)
{
    return code == KG_OP_WAIT || code == KG_OP_BULK_WAIT || code == KG_OP_WGMMA_WAIT;
}

void kg_sync_statement(kg_parser *p, kg_opcode code)
{
    kg_node *id = NULL, *count = NULL, *baton = NULL, *on = NULL;
    kg_value *operand = NULL;
    int n_operands = kg_op_info_of(code)->max_operands;
    const char *order = NULL, *scope = NULL;
    kg_loc loc = p->token.loc;
    kg_advance(p);
    if (code == KG_OP_BARRIER || code == KG_OP_ARRIVE) {
        if (kg_accept_word(p, "id")) id = kg_expression(p);
        if (kg_accept_word(p, "count")) count = kg_expression(p);
    } else if (code == KG_OP_BATON_WAIT || code == KG_OP_BATON_PASS) {
        baton = kg_expression(p);
    } else if (has_count(code)) {
        count = kg_expression(p);
    } else if (n_operands) {
        on = kg_postfix(p);
    } else if (code == KG_OP_PROXY_FENCE) {
        scope = p->token.text;
        kg_expect(p, KG_T_NAME, "shared or global");
    } else if (code == KG_OP_FENCE) {
        order = p->token.text;
        if (kg_expect(p, KG_T_NAME, "an order")) scope = p->token.text;
        if (scope || !p->panic) kg_expect(p, KG_T_NAME, "a scope");
    }
    kg_keyed *attrs = kg_statement_attrs(p);
    if (p->panic || p->dead) return;
    if (on && !(operand = mbarrier_operand(p, code, on))) return;
    kg_op *op = kg_op_new(p->kernel, code, loc, n_operands, &operand);
    sync_int(p, op, id, KG_A_ID);
    sync_int(p, op, count, KG_A_COUNT);
    sync_int(p, op, baton, KG_A_BATON);
    if (order) kg_op_set_name(p->kernel, op, KG_A_ORDER, order);
    if (scope) kg_op_set_name(p->kernel, op, KG_A_SCOPE, scope);
    if (p->kernel->level == KG_LEVEL_TILE) kg_op_set_int(p->kernel, op, KG_A_BY_HAND, 1);
    kg_apply_attrs(p, op, attrs);
    if (!kg_op_int(op, KG_A_BY_HAND, 0)) kg_op_unset(op, KG_A_BY_HAND);
    kg_block_append(p->block, op);
}

void kg_yield_statement(kg_parser *p)
{
    kg_loc loc = p->token.loc;
    kg_advance(p);
    kg_node *n = kg_expression(p);
    if (!p->panic && !p->dead) kg_make_yield(p, n, loc);
}
