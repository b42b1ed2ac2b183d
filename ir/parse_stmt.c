// SPDX-License-Identifier: MIT
// Statements. Each is read completely before anything is looked up, so that the untaken arm of a
// constant `if` (p->dead) is checked for its syntax only.
#include "ir/parse_stmt.h"
#include <string.h>

// ---- helpers -----------------------------------------------------------------------------------
bool kg_at_name(const kg_parser *p)
{
    return p->token.kind == KG_T_NAME || p->token.kind == KG_T_NUMBERED;
}

bool kg_read_name(kg_parser *p, kg_name_text *out)
{
    *out = (kg_name_text){p->token.text, p->token.loc, NULL};
    if (!kg_at_name(p)) {
        kg_unexpected(p, "a name");
        return false;
    }
    kg_advance(p);
    if (kg_accept(p, KG_P2('@', '#'))) out->layout = kg_layout_reference(p);
    return !p->panic;
}

void kg_name_value(const kg_name_text *text, kg_value *value)
{
    value->loc = text->loc;
    if (text->name[0] != '%') value->name = text->name;
    if (text->layout) value->layout = text->layout;
}

// Attributes behind a statement, for its op.
kg_keyed *kg_statement_attrs(kg_parser *p)
{
    return p->token.kind == KG_P1('{') ? kg_braces(p) : NULL;
}

bool kg_literal_fits(const kg_node *n, kg_dtype dtype)
{
    if (!kg_is_literal(n)) return n->type.dtype == dtype;
    if (n->kind == KG_N_TRUTH) return dtype == KG_I1;
    return dtype != KG_I1 && (n->kind == KG_N_INT || kg_dtype_info_of(dtype)->is_float);
}

// A typed expression as a value of exactly this type; only scalars are broadcast.
kg_value *kg_emit_into(kg_parser *p, kg_node *n, const kg_type *type)
{
    if (n->kind == KG_N_POISON) return NULL;
    if (!kg_literal_fits(n, type->dtype)) {
        kg_diag *d = kg_error(
            p->diags, KG_D_T102, n->loc, "element types do not match: %s is needed, this is %s",
            kg_dtype_info_of(type->dtype)->name, kg_dtype_info_of(kg_natural_dtype(n))->name);
        kg_diag_help(p->diags, d, "convert it with cast(x, %s)",
                     kg_dtype_info_of(type->dtype)->name);
        return NULL;
    }
    if (n->type.rank && !kg_shape_equal(&n->type, type)) {
        kg_error(p->diags, KG_D_T101, n->loc, "shapes do not match: %s is needed, this is %s",
                 kg_type_text(p->arena, type), kg_type_text(p->arena, &n->type));
        return NULL;
    }
    return kg_emit_as(p, n, type);
}

kg_value *kg_make_truth(kg_parser *p, kg_node *n)
{
    kg_type type = kg_scalar_type(KG_I1);
    if (n->kind != KG_N_POISON && n->type.rank && n->type.dtype == KG_I1) {
        kg_diag *d = kg_error(p->diags, KG_D_T101, n->loc,
                              "a condition is one truth value for all threads, this is %s: its "
                              "elements are spread over them",
                              kg_type_text(p->arena, &n->type));
        kg_diag_help(p->diags, d,
                     "mask the load or store with `where`, choose values with select(c, a, b), or "
                     "take any(c) or all(c)");
        return NULL;
    }
    return kg_emit_into(p, n, &type);
}

void kg_typed_value(kg_parser *p, kg_node *n)
{
    kg_fold(p, n);
    kg_value_node(p, n);
}

// A view of memory, typed; false when it is something else.
bool kg_typed_memory(kg_parser *p, kg_node *n, const char *what)
{
    kg_fold(p, n);
    kg_type_node(p, n);
    if (n->kind == KG_N_POISON) return false;
    if (!kg_is_literal(n) && n->type.home != KG_HOME_FRAG) return true;
    kg_error(p->diags, KG_D_T104, n->loc, "%s needs a view of global or shared memory here", what);
    n->kind = KG_N_POISON;
    return false;
}

// Open extents of one side from the other, when both have the same rank.
void kg_close_from(kg_type *type, const kg_type *other)
{
    if (type->rank == other->rank) kg_fill_open(type, other);
}

// ---- declarations ------------------------------------------------------------------------------
typedef struct type_text {
    const char *name;
    kg_loc loc;
    kg_node *dims; // or NULL
} type_text;

static bool read_type(kg_parser *p, type_text *out)
{
    *out = (type_text){p->token.text, p->token.loc, NULL};
    if (!kg_expect(p, KG_T_NAME, "an element type")) return false;
    if (p->token.kind == KG_P1('[')) out->dims = kg_postfix(p);
    return !p->panic;
}

static bool resolve_type(kg_parser *p, const type_text *text, kg_type *type)
{
    *type = (kg_type){0};
    bool ok = kg_dtype_of_name(p, text->name, text->loc, &type->dtype);
    if (text->dims) ok &= kg_constant_extents(p, text->dims, type);
    return ok;
}

kg_value *kg_make_frag(kg_parser *p, kg_node *init, const kg_type *type, kg_loc loc)
{
    kg_typed_value(p, init);
    kg_value *first =
        type ? kg_emit_into(p, init, type) : kg_emit(p, init, kg_natural_dtype(init), NULL);
    kg_op *op = kg_emit_op(p, KG_OP_FRAG, loc, 1, &first, NULL);
    return op ? op->results[0] : NULL;
}

static void frag_statement(kg_parser *p)
{
    kg_name_text name;
    type_text text;
    kg_type type;
    kg_loc loc = p->token.loc;
    kg_advance(p);
    if (!kg_read_name(p, &name)) return;
    bool typed = kg_accept(p, KG_P1(':'));
    if (typed && !read_type(p, &text)) return kg_define_poison(p, name.name, name.loc);
    kg_expect(p, KG_P1('='), "'=' and the first value");
    kg_node *init = kg_expression(p);
    kg_keyed *attrs = kg_statement_attrs(p);
    if (p->panic) return kg_define_poison(p, name.name, name.loc);
    if (p->dead) return;
    bool known = !typed || resolve_type(p, &text, &type);
    kg_value *value = known ? kg_make_frag(p, init, typed ? &type : NULL, loc) : NULL;
    if (value) {
        kg_name_value(&name, value);
        kg_apply_attrs(p, value->op, attrs);
    }
    kg_define_value(p, name.name, name.loc, value);
}

// The first contents of a buffer: a copy when it is a plain load of a global view, else a store.
static void fill_buffer(kg_parser *p, kg_value *buffer, kg_node *init)
{
    kg_value *operands[2] = {buffer, NULL};
    kg_typed_value(p, init);
    if (init->kind == KG_N_POISON) return;
    bool plain =
        init->kind == KG_N_LOAD && !init->args[1] && init->args[0]->type.home == KG_HOME_GLOBAL;
    if (plain && init->type.dtype == buffer->type.dtype &&
        kg_shape_equal(&init->type, &buffer->type)) {
        operands[1] = kg_emit_memory(p, init->args[0], &buffer->type);
        kg_emit_op(p, KG_OP_COPY, init->loc, 2, operands, NULL);
        return;
    }
    kg_type type = buffer->type;
    type.home = KG_HOME_FRAG;
    operands[1] = kg_emit_into(p, init, &type);
    kg_emit_op(p, KG_OP_STORE, init->loc, 2, operands, NULL);
}

kg_value *kg_make_shared(kg_parser *p, const kg_type *type, int64_t slots, int64_t align,
                         kg_loc loc)
{
    if (slots < 0 || slots > 64) {
        kg_error(p->diags, KG_D_T106, loc, "a ring has 1 to 64 slots, not %lld", (long long)slots);
        return NULL;
    }
    if (align < 0 || align > 4096 || (align & (align - 1))) {
        kg_error(p->diags, KG_D_T106, loc, "align must be a power of two up to 4096");
        return NULL;
    }
    kg_op *op = kg_op_new(p->kernel, KG_OP_SHARED, loc, 0, NULL);
    kg_type shared = *type;
    shared.home = KG_HOME_SHARED;
    kg_value *value = kg_op_result(p->kernel, op, shared, NULL);
    kg_block_append(p->block, op);
    if (slots) kg_op_set_int(p->kernel, op, KG_A_RING, slots);
    if (align) kg_op_set_int(p->kernel, op, KG_A_ALIGN, align);
    return value;
}

// A count that was written must be positive: 0 stands for one that was not.
static bool stated(kg_parser *p, kg_node *n, const char *what, int64_t *out)
{
    if (!n) return true;
    if (!kg_constant_int(p, n, what, out)) return false;
    if (*out > 0) return true;
    kg_error(p->diags, KG_D_T106, n->loc, "%s must be positive, not %lld", what, (long long)*out);
    return false;
}

// What the caches are asked for is asked by what fills the buffer, not by the buffer.
static kg_keyed *take_cache(kg_keyed **attrs)
{
    for (kg_keyed **at = attrs; *at; at = &(*at)->next) {
        if (strcmp((*at)->key, "cache")) continue;
        kg_keyed *found = *at;
        *at = found->next;
        found->next = NULL;
        return found;
    }
    return NULL;
}

static void make_buffer(kg_parser *p, const kg_name_text *name, const type_text *text,
                        kg_node *ring, kg_node *align, kg_node *init, kg_keyed *attrs)
{
    kg_type type;
    int64_t slots = 0, alignment = 0;
    bool ok = resolve_type(p, text, &type);
    ok &= stated(p, ring, "ring", &slots);
    ok &= stated(p, align, "align", &alignment);
    if (ok && ring && init) {
        kg_error(p->diags, KG_D_T103, init->loc,
                 "a ring is filled slot by slot, not where it is declared");
        ok = false;
    }
    kg_loc loc = ring ? ring->loc : align ? align->loc : name->loc;
    kg_value *value = ok ? kg_make_shared(p, &type, slots, alignment, loc) : NULL;
    if (!value) return kg_define_poison(p, name->name, name->loc);
    value->op->loc = name->loc;
    kg_keyed *of_fill = init ? take_cache(&attrs) : NULL;
    kg_apply_attrs(p, value->op, attrs);
    kg_name_value(name, value);
    kg_define_value(p, name->name, name->loc, value);
    if (init) fill_buffer(p, value, init);
    if (of_fill && p->block->last != value->op) kg_apply_attrs(p, p->block->last, of_fill);
}

static void shared_statement(kg_parser *p)
{
    kg_name_text name;
    type_text type;
    kg_node *ring = NULL, *align = NULL, *init = NULL;
    kg_advance(p);
    if (!kg_read_name(p, &name)) return;
    kg_expect(p, KG_P1(':'), "':' and the buffer's type");
    if (!read_type(p, &type)) return kg_define_poison(p, name.name, name.loc);
    for (;;) {
        if (kg_accept_word(p, "ring"))
            ring = kg_expression(p);
        else if (kg_accept_word(p, "align"))
            align = kg_expression(p);
        else
            break;
    }
    if (kg_accept(p, KG_P1('='))) init = kg_expression(p);
    kg_keyed *attrs = kg_statement_attrs(p);
    if (p->panic) return kg_define_poison(p, name.name, name.loc);
    if (!p->dead) make_buffer(p, &name, &type, ring, align, init, attrs);
}

// ---- assignment and definition -----------------------------------------------------------------
// A new name for what an expression gives. Memory is named without being read.
static kg_value *make_value(kg_parser *p, kg_node *n, bool *is_new, bool *snapshot)
{
    kg_fold(p, n);
    kg_type_node(p, n);
    if (n->kind == KG_N_POISON) return NULL;
    bool memory = !kg_is_literal(n) && n->type.home != KG_HOME_FRAG;
    kg_value *value =
        memory ? kg_emit_memory(p, n, NULL) : kg_emit(p, n, kg_natural_dtype(n), NULL);
    *is_new = n->kind != KG_N_NAME || (value && value != n->value);
    if (!value || *is_new || !kg_is_mutable(value)) return value;
    kg_op *op = kg_emit_op(p, KG_OP_FRAG, n->loc, 1, &value, NULL); // its value as it is now
    *is_new = *snapshot = true;
    return op ? op->results[0] : NULL;
}

static void make_definition(kg_parser *p, const kg_name_text *name, kg_node *n, kg_keyed *attrs)
{
    bool is_new = false, snapshot = false;
    kg_value *value = make_value(p, n, &is_new, &snapshot);
    if (value && is_new) {
        kg_name_value(name, value);
        kg_apply_attrs(p, value->op, attrs);
    }
    kg_symbol *symbol = kg_define_value(p, name->name, name->loc, value);
    if (symbol) symbol->snapshot = snapshot;
}

static void immutable(kg_parser *p, const kg_name_text *name, const kg_symbol *symbol)
{
    kg_diag *d = kg_error(p->diags, KG_D_T107, name->loc,
                          "'%s' cannot be assigned: it is immutable", name->name);
    kg_diag_note(p->diags, d, symbol->loc, "it is defined here");
    if (symbol->kind == KG_S_VALUE && symbol->value->kind == KG_VALUE_RESULT)
        kg_diag_help(p->diags, d, "declare it with `frag %s = ..` to change it later", name->name);
}

static bool is_dot(const kg_node *n)
{
    return n->kind == KG_N_CALL && n->n_args == 2 && !strcmp(n->name, "dot");
}

// x op= E as x = x op E; acc += a @ b accumulates in the dot.
static kg_node *compound(kg_parser *p, kg_opcode code, const kg_name_text *name, kg_node *n,
                         kg_loc loc)
{
    kg_node *self = kg_node_new(p, KG_N_NAME, name->loc);
    self->name = name->name;
    if (code != KG_OP_ADD || !is_dot(n)) return kg_node_op(p, code, loc, 2, self, n);
    kg_node **args = KG_NEW_ARRAY(p->arena, kg_node *, 3);
    args[0] = n->args[0];
    args[1] = n->args[1];
    args[2] = self;
    n->args = args;
    n->n_args = 3;
    return n;
}

kg_op *kg_make_assign(kg_parser *p, kg_loc loc, kg_value *target, kg_node *n)
{
    kg_value *operands[2] = {target, NULL};
    kg_typed_value(p, n);
    operands[1] = kg_emit_into(p, n, &target->type);
    return kg_emit_op(p, KG_OP_ASSIGN, loc, 2, operands, NULL);
}

static void make_assignment(kg_parser *p, const kg_name_text *name, const kg_symbol *symbol,
                            kg_node *n, kg_keyed *attrs)
{
    kg_value *target = symbol->value;
    if (target->type.home == KG_HOME_SHARED) {
        kg_node *view = kg_node_new(p, KG_N_NAME, name->loc);
        view->name = name->name;
        kg_make_store(p, KG_OP_STORE, name->loc, view, n, NULL, attrs);
        return;
    }
    kg_op *op = kg_make_assign(p, name->loc, target, n);
    if (op) kg_apply_attrs(p, op, attrs);
}

static void value_statement(kg_parser *p, const kg_name_text *name, kg_opcode code, kg_loc loc)
{
    kg_keyed *attrs = NULL;
    const kg_symbol *symbol = p->dead ? NULL : kg_lookup(p, name->name);
    if (code == KG_OP_COUNT && kg_at_word(p, "fetch_add")) {
        kg_value *old = kg_fetch_add_expression(p, &attrs);
        if (p->dead) return;
        if (old) kg_apply_attrs(p, old->op, attrs);
        if (old && symbol && symbol->kind == KG_S_VALUE && kg_is_mutable(symbol->value)) {
            kg_value *operands[2] = {symbol->value, old};
            kg_emit_op(p, KG_OP_ASSIGN, name->loc, 2, operands, NULL);
            return;
        }
        if (old) kg_name_value(name, old);
        kg_define_value(p, name->name, name->loc, old);
        return;
    }
    kg_accept_word(p, "view"); // %3 = view a[..]: only for the reader
    kg_node *n = kg_expression(p);
    attrs = kg_statement_attrs(p);
    if (p->panic) return kg_define_poison(p, name->name, name->loc);
    if (p->dead) return;
    if (code != KG_OP_COUNT) n = compound(p, code, name, n, loc);
    if (!symbol && code != KG_OP_COUNT)
        kg_unknown_name(p, name->name, name->loc);
    else if (!symbol)
        make_definition(p, name, n, attrs);
    else if (symbol->kind == KG_S_VALUE && !symbol->snapshot &&
             (kg_is_mutable(symbol->value) || symbol->value->type.home == KG_HOME_SHARED))
        make_assignment(p, name, symbol, n, attrs);
    else if (symbol->kind != KG_S_POISON)
        immutable(p, name, symbol);
}

// s[..] = E
static void indexed_statement(kg_parser *p)
{
    kg_loc loc = p->token.loc;
    kg_node *view = kg_postfix(p);
    kg_expect(p, KG_P1('='), "'='");
    kg_node *value = kg_expression(p);
    kg_keyed *attrs = kg_statement_attrs(p);
    if (p->panic || p->dead || !kg_typed_memory(p, view, "an indexed assignment")) return;
    if (view->type.home == KG_HOME_SHARED) {
        kg_make_store(p, KG_OP_STORE, loc, view, value, NULL, attrs);
        return;
    }
    kg_diag *d = kg_error(p->diags, KG_D_T104, loc, "global memory is written by a store");
    kg_diag_help(p->diags, d, "write `store %s[..] = ..`", view->args[0]->name);
}

static void name_statement(kg_parser *p)
{
    static const struct {
        int token;
        kg_opcode op;
    } forms[] = {{KG_P1('='), KG_OP_COUNT},
                 {KG_P2('+', '='), KG_OP_ADD},
                 {KG_P2('-', '='), KG_OP_SUB},
                 {KG_P2('*', '='), KG_OP_MUL},
                 {KG_P2('/', '='), KG_OP_DIV}};
    kg_name_text name;
    if (p->ahead.kind == KG_P1('[')) {
        indexed_statement(p);
        return;
    }
    if (!kg_read_name(p, &name)) return;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        kg_loc loc = p->token.loc;
        if (!kg_accept(p, forms[i].token)) continue;
        value_statement(p, &name, forms[i].op, loc);
        return;
    }
    if (!p->panic && p->token.kind == KG_T_NAME) { // two words in a row: no such statement
        p->panic = true;
        kg_error(p->diags, KG_D_P004, name.loc, "unknown statement '%s'", name.name);
        return;
    }
    kg_unexpected(p, "'=' behind the name");
}

// ---- dispatch ----------------------------------------------------------------------------------
static bool keyword_statement(kg_parser *p)
{
    static const struct {
        const char *word;
        void (*read)(kg_parser *);
    } forms[] = {{"frag", frag_statement},     {"shared", shared_statement},
                 {"for", kg_for_statement},    {"while", kg_while_statement},
                 {"if", kg_if_statement},      {"warps", kg_warps_statement},
                 {"yield", kg_yield_statement}};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        if (kg_at_word(p, forms[i].word)) {
            forms[i].read(p);
            return true;
        }
    return false;
}

static bool op_statement(kg_parser *p)
{
    kg_opcode code;
    if (!kg_op_named(p->token.text, &code)) return false;
    switch (code) {
    case KG_OP_STORE:
    case KG_OP_ATOMIC_ADD:
    case KG_OP_ATOMIC_MAX:
    case KG_OP_ATOMIC_MIN: kg_store_statement(p, code); return true;
    case KG_OP_COPY:
    case KG_OP_COPY_ASYNC:
    case KG_OP_COPY_BULK:
    case KG_OP_STORE_BULK:
    case KG_OP_REDUCE_BULK: kg_copy_statement(p, code); return true;
    case KG_OP_SIGNAL:
    case KG_OP_AWAIT: kg_flag_statement(p, code); return true;
    default: break;
    }
    if (kg_op_info_of(code)->cls != KG_CLASS_Y) return false;
    kg_sync_statement(p, code);
    return true;
}

static void unknown_statement(kg_parser *p)
{
    kg_diag *d = kg_error(p->diags, KG_D_P001, p->token.loc, "'%s' does not begin a statement",
                          p->token.text);
    if (kg_at_word(p, "load"))
        kg_diag_help(p->diags, d, "give the loaded value a name: x = load ..");
    p->panic = true;
}

static void statement(kg_parser *p)
{
    if (!kg_at_name(p)) {
        kg_unexpected(p, "a statement");
    } else if (p->token.kind == KG_T_NUMBERED || !kg_is_keyword(p->token.text)) {
        name_statement(p);
    } else if (!keyword_statement(p) && !op_statement(p)) {
        unknown_statement(p);
    }
    if (!p->panic && p->token.kind != KG_T_NEWLINE && p->token.kind != KG_P1('}'))
        kg_unexpected(p, "the end of the statement");
    if (p->panic) kg_recover(p);
}

void kg_block_read(kg_parser *p, kg_block *block)
{
    kg_block *outer = p->block;
    kg_loc start = p->token.loc;
    if (!kg_expect(p, KG_P1('{'), "'{'")) return;
    if (p->depth >= KG_DEEPEST_BLOCK) {
        kg_error(p->diags, KG_D_P011, start, "statements are nested too deeply");
        p->panic = true;
        return;
    }
    p->depth++;
    p->block = block;
    for (;;) {
        kg_skip_newlines(p);
        if (p->token.kind == KG_P1('}') || p->token.kind == KG_T_END) break;
        statement(p);
    }
    p->block = outer;
    p->depth--;
    if (kg_accept(p, KG_P1('}'))) return;
    if (!p->truncated) { // one finding for all the blocks that are open
        kg_diag *d =
            kg_error(p->diags, KG_D_P002, p->token.loc, "unexpected end of the file, expected '}'");
        kg_diag_note(p->diags, d, start, "the block begins here");
    }
    p->truncated = true;
}
