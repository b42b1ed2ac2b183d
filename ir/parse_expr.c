// SPDX-License-Identifier: MIT
// Expressions: tokens to trees, by precedence climbing. Nothing is looked up here.
//
//   loosest  c ? a : b
//            or |          ^          and &          == != < <= > >=
//            << >>         + -        * / % @        - not ~ load      x[..]  tightest
#include "ir/parse.h"
#include <string.h>

kg_node *kg_node_new(kg_parser *p, kg_node_kind kind, kg_loc loc)
{
    kg_node *n = KG_NEW(p->arena, kg_node);
    n->kind = kind;
    n->loc = loc;
    n->depth = 1;
    return n;
}

// Trees are walked recursively, so their depth is limited where they are built.
static kg_node *grown(kg_parser *p, kg_node *n)
{
    for (int i = 0; i < n->n_args; i++)
        if (n->args[i] && n->args[i]->depth >= n->depth) n->depth = n->args[i]->depth + 1;
    for (int i = 0; i < n->n_items; i++)
        if (n->items[i].start && n->items[i].start->depth >= n->depth)
            n->depth = n->items[i].start->depth + 1;
    if (n->slot && n->slot->depth >= n->depth) n->depth = n->slot->depth + 1;
    for (const kg_keyed *k = n->keyed; k; k = k->next)
        if (k->value->depth >= n->depth) n->depth = k->value->depth + 1;
    if (n->depth <= KG_DEEPEST_EXPRESSION) return n;
    if (!p->panic) {
        kg_diag *d = kg_error(p->diags, KG_D_P011, n->loc, "expression is nested too deeply");
        kg_diag_help(p->diags, d, "name a part of it; %d levels are allowed",
                     KG_DEEPEST_EXPRESSION);
    }
    p->panic = true;
    return kg_node_new(p, KG_N_POISON, n->loc);
}

kg_node *kg_node_op(kg_parser *p, kg_opcode op, kg_loc loc, int n, kg_node *a, kg_node *b)
{
    kg_node *node = kg_node_new(p, KG_N_OP, loc);
    node->op = op;
    node->n_args = n;
    node->args = KG_NEW_ARRAY(p->arena, kg_node *, 3);
    node->args[0] = a;
    node->args[1] = b;
    return grown(p, node);
}

// From the start of one place to the end of another on the same line.
static kg_loc span(kg_loc from, kg_loc to)
{
    if (from.line == to.line && to.column >= from.column)
        from.length = to.column + to.length - from.column;
    return from;
}

// ---- pieces ------------------------------------------------------------------------------------
static kg_node *list(kg_parser *p)
{
    kg_node *n = kg_node_new(p, KG_N_LIST, p->token.loc);
    struct {
        kg_node **items;
        int count, capacity;
    } items = {0};
    kg_advance(p);
    while (p->token.kind != KG_P1(']') && !p->panic) {
        kg_node *item = kg_expression(p);
        KG_PUSH(p->arena, &items, item);
        if (!kg_accept(p, KG_P1(','))) break;
    }
    kg_expect(p, KG_P1(']'), "']'");
    n->args = items.items;
    n->n_args = items.count;
    return grown(p, n);
}

static kg_keyed *keyed(kg_parser *p)
{
    kg_keyed *k = KG_NEW(p->arena, kg_keyed);
    k->key = p->token.text;
    k->loc = p->token.loc;
    kg_advance(p);
    kg_expect(p, KG_P1('='), "'='");
    if (p->token.kind == KG_T_NAME && kg_is_keyword(p->token.text) && p->ahead.kind >= KG_T_PUNCT) {
        k->value = kg_node_new(p, KG_N_NAME, p->token.loc); // a word such as order=release
        k->value->name = p->token.text;
        kg_advance(p);
    } else {
        k->value = kg_expression(p);
    }
    return k;
}

kg_keyed *kg_braces(kg_parser *p)
{
    kg_keyed *first = NULL, **end = &first;
    kg_advance(p);
    while (p->token.kind != KG_P1('}') && !p->panic) {
        if (p->token.kind != KG_T_NAME) {
            kg_unexpected(p, "an attribute");
            break;
        }
        *end = keyed(p);
        end = &(*end)->next;
        if (!kg_accept(p, KG_P1(','))) break;
    }
    kg_expect(p, KG_P1('}'), "'}'");
    return first;
}

static kg_node *call(kg_parser *p)
{
    kg_node *n = kg_node_new(p, KG_N_CALL, p->token.loc);
    n->name = p->token.text;
    struct {
        kg_node **items;
        int count, capacity;
    } args = {0};
    kg_keyed **end = &n->keyed;
    kg_advance(p);
    kg_advance(p);
    while (p->token.kind != KG_P1(')') && !p->panic) {
        if (p->token.kind == KG_T_NAME && p->ahead.kind == KG_P1('=')) {
            *end = keyed(p);
            end = &(*end)->next;
        } else {
            kg_node *arg = kg_expression(p);
            KG_PUSH(p->arena, &args, arg);
        }
        if (!kg_accept(p, KG_P1(','))) break;
    }
    n->loc = span(n->loc, p->token.loc);
    kg_expect(p, KG_P1(')'), "')'");
    n->args = args.items;
    n->n_args = args.count;
    return grown(p, n);
}

static kg_item index_item(kg_parser *p)
{
    kg_item item = {.loc = p->token.loc};
    if (kg_accept_word(p, "None")) {
        item.kind = KG_ITEM_NONE;
        return item;
    }
    if (kg_accept(p, KG_P1(':'))) {
        item.kind = KG_ITEM_ALL;
        return item;
    }
    item.kind = KG_ITEM_ALL;
    if (p->token.kind != KG_P2('.', '.')) {
        item.kind = KG_ITEM_AT;
        item.start = kg_expression(p);
    }
    if (kg_accept(p, KG_P2('.', '.'))) {
        if (item.start) item.kind = KG_ITEM_FROM;
        if (kg_accept(p, KG_P1('+'))) item.extent = kg_expression(p);
    }
    item.loc = span(item.loc, item.start ? item.start->loc : item.loc);
    return item;
}

static kg_node *indexed(kg_parser *p, kg_node *base)
{
    kg_node *n = kg_node_new(p, KG_N_INDEX, base->loc);
    n->args = KG_NEW_ARRAY(p->arena, kg_node *, 1);
    n->args[0] = base;
    n->n_args = 1;
    struct {
        kg_item *items;
        int count, capacity;
    } items = {0};
    kg_advance(p);
    while (p->token.kind != KG_P1(']') && !p->panic) {
        kg_item item = index_item(p);
        if (items.count == 0 && !n->slot && item.kind == KG_ITEM_AT && kg_accept(p, KG_P1(';'))) {
            n->slot = item.start;
            continue;
        }
        KG_PUSH(p->arena, &items, item);
        if (!kg_accept(p, KG_P1(','))) break;
    }
    n->loc = span(n->loc, p->token.loc);
    kg_expect(p, KG_P1(']'), "']'");
    n->items = items.items;
    n->n_items = items.count;
    if (p->token.kind == KG_P1('{') && !p->token.spaced) n->braces = kg_braces(p);
    return grown(p, n);
}

static kg_node *literal(kg_parser *p, kg_node_kind kind, int64_t i, double f)
{
    kg_node *n = kg_node_new(p, kind, p->token.loc);
    n->i = i;
    n->f = f;
    kg_advance(p);
    return n;
}

static kg_node *integer(kg_parser *p)
{
    if (p->token.too_large)
        kg_error(p->diags, KG_D_P009, p->token.loc, "number does not fit 64 bits");
    return literal(p, KG_N_INT, p->token.too_large ? 1 : p->token.i, 0);
}

static kg_node *word(kg_parser *p)
{
    const char *text = p->token.text;
    if (!strcmp(text, "true")) return literal(p, KG_N_TRUTH, 1, 0);
    if (!strcmp(text, "false")) return literal(p, KG_N_TRUTH, 0, 0);
    if (!strcmp(text, "inf")) return literal(p, KG_N_FLOAT, 0, __builtin_inf());
    if (!strcmp(text, "nan")) return literal(p, KG_N_FLOAT, 0, __builtin_nan(""));
    bool operator_name = !strcmp(text, "not") || !strcmp(text, "and") || !strcmp(text, "or");
    if (p->ahead.kind == KG_P1('(') && (!kg_is_keyword(text) || operator_name)) return call(p);
    if (kg_is_keyword(text)) {
        kg_unexpected(p, "an expression");
        return kg_node_new(p, KG_N_POISON, p->token.loc);
    }
    kg_node *n = kg_node_new(p, KG_N_NAME, p->token.loc);
    n->name = text;
    kg_advance(p);
    return n;
}

static kg_node *primary(kg_parser *p)
{
    switch (p->token.kind) {
    case KG_T_INT: return integer(p);
    case KG_T_FLOAT: return literal(p, KG_N_FLOAT, 0, p->token.f);
    case KG_T_NAME: return word(p);
    case KG_T_NUMBERED: {
        kg_node *n = kg_node_new(p, KG_N_NAME, p->token.loc);
        n->name = p->token.text;
        kg_advance(p);
        return n;
    }
    case KG_P1('['): return list(p);
    case KG_P1('('): {
        kg_loc start = p->token.loc;
        kg_advance(p);
        kg_node *n = kg_expression(p);
        n->loc = span(start, p->token.loc);
        kg_expect(p, KG_P1(')'), "')'");
        return n;
    }
    default: break;
    }
    kg_unexpected(p, "an expression");
    return kg_node_new(p, KG_N_POISON, p->token.loc);
}

kg_node *kg_postfix(kg_parser *p)
{
    kg_node *n = primary(p);
    while (p->token.kind == KG_P1('[') && !p->panic) n = indexed(p, n);
    return n;
}

// load V [where M [else E]]
static kg_node *load(kg_parser *p)
{
    kg_node *n = kg_node_new(p, KG_N_LOAD, p->token.loc);
    kg_advance(p);
    n->n_args = 3;
    n->args = KG_NEW_ARRAY(p->arena, kg_node *, 3);
    n->args[0] = kg_postfix(p);
    n->loc = span(n->loc, n->args[0]->loc);
    if (kg_accept_word(p, "where")) {
        n->args[1] = kg_expression(p);
        if (kg_accept_word(p, "else")) n->args[2] = kg_expression(p);
    }
    return grown(p, n);
}

static kg_node *unary(kg_parser *p)
{
    kg_loc loc = p->token.loc;
    if (p->nesting >= KG_DEEPEST_EXPRESSION) {
        if (!p->panic) kg_error(p->diags, KG_D_P011, loc, "expression is nested too deeply");
        p->panic = true;
        return kg_node_new(p, KG_N_POISON, loc);
    }
    kg_node *n;
    p->nesting++;
    if (p->token.kind == KG_P1('-') && p->ahead.kind == KG_T_INT && p->ahead.too_large) {
        kg_advance(p);
        n = literal(p, KG_N_INT, INT64_MIN, 0);
    } else if (kg_accept(p, KG_P1('-'))) {
        kg_node *operand = unary(p);
        n = kg_node_op(p, KG_OP_NEG, loc, 1, operand, NULL);
    } else if (kg_at_word(p, "not") || p->token.kind == KG_P1('~')) {
        kg_advance(p);
        kg_node *operand = unary(p);
        n = kg_node_op(p, KG_OP_NOT, loc, 1, operand, NULL);
    } else {
        n = kg_at_word(p, "load") ? load(p) : kg_postfix(p);
    }
    p->nesting--;
    return n;
}

// ---- binary operators --------------------------------------------------------------------------
typedef struct operator
{
    int kind; // of the token; 0 for a word
    const char *word;
    int level;    // binds tighter when higher
    kg_opcode op; // KG_OP_COUNT: @
}
operator;

static const operator operators[] = {
    {KG_P1('|'), NULL, 1, KG_OP_OR},
    {0, "or", 1, KG_OP_OR},
    {KG_P1('^'), NULL, 2, KG_OP_XOR},
    {KG_P1('&'), NULL, 3, KG_OP_AND},
    {0, "and", 3, KG_OP_AND},
    {KG_P2('=', '='), NULL, 4, KG_OP_EQ},
    {KG_P2('!', '='), NULL, 4, KG_OP_NE},
    {KG_P1('<'), NULL, 4, KG_OP_LT},
    {KG_P2('<', '='), NULL, 4, KG_OP_LE},
    {KG_P1('>'), NULL, 4, KG_OP_GT},
    {KG_P2('>', '='), NULL, 4, KG_OP_GE},
    {KG_P2('<', '<'), NULL, 5, KG_OP_SHL},
    {KG_P2('>', '>'), NULL, 5, KG_OP_SHR},
    {KG_P1('+'), NULL, 6, KG_OP_ADD},
    {KG_P1('-'), NULL, 6, KG_OP_SUB},
    {KG_P1('*'), NULL, 7, KG_OP_MUL},
    {KG_P1('/'), NULL, 7, KG_OP_DIV},
    {KG_P1('%'), NULL, 7, KG_OP_MOD},
    {KG_P1('@'), NULL, 7, KG_OP_COUNT},
};

static const operator* operator_at(const kg_parser *p)
{
    if (p->token.kind != KG_T_NAME && p->token.kind < KG_T_PUNCT) return NULL;
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++) {
        const operator* o = & operators[i];
        if (o->kind ? o->kind == p->token.kind : kg_at_word(p, o->word)) return o;
    }
    return NULL;
}

static kg_node *matmul(kg_parser *p, kg_loc loc, kg_node *a, kg_node *b)
{
    kg_node *n = kg_node_op(p, KG_OP_DOT, loc, 2, a, b);
    if (n->kind == KG_N_POISON) return n;
    n->kind = KG_N_CALL;
    n->name = "dot";
    return n;
}

static kg_node *binary(kg_parser *p, int level)
{
    kg_node *left = unary(p);
    for (;;) {
        const operator* o = operator_at(p);
        if (!o || o->level < level || p->panic) return left;
        kg_loc loc = p->token.loc;
        kg_advance(p);
        kg_node *right = binary(p, o->level + 1);
        left = o->op == KG_OP_COUNT ? matmul(p, loc, left, right)
                                    : kg_node_op(p, o->op, loc, 2, left, right);
    }
}

kg_node *kg_expression(kg_parser *p)
{
    if (p->nesting >= KG_DEEPEST_EXPRESSION) {
        if (!p->panic)
            kg_error(p->diags, KG_D_P011, p->token.loc, "expression is nested too deeply");
        p->panic = true;
        return kg_node_new(p, KG_N_POISON, p->token.loc);
    }
    p->nesting++;
    kg_node *n = binary(p, 1);
    if (p->token.kind == KG_P1('?') && !p->panic) {
        kg_node *choice = kg_node_new(p, KG_N_CHOICE, p->token.loc);
        kg_advance(p);
        choice->n_args = 3;
        choice->args = KG_NEW_ARRAY(p->arena, kg_node *, 3);
        choice->args[0] = n;
        choice->args[1] = kg_expression(p);
        kg_expect(p, KG_P1(':'), "':'");
        choice->args[2] = kg_expression(p);
        n = grown(p, choice);
    }
    p->nesting--;
    return n;
}
