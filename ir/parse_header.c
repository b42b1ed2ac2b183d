// SPDX-License-Identifier: MIT
// A kernel's header. It is read whole; then constants are folded, types and sizes resolved, and
// names that are neither constants nor parameters become implicit parameters. Their order does not
// depend on the order of the clauses: parameters first (dims, then strides, of each), then the
// grid, then assumptions.
#include "ir/parse.h"
#include <string.h>

typedef struct param_text {
    kg_value *value;
    const char *dtype;
    kg_loc dtype_loc, alias_loc;
    kg_node *dims, *strides, *align; // dims: NULL for a scalar
    const char *alias;
} param_text;

typedef struct header {
    struct {
        param_text *items;
        int count, capacity;
    } params;
    struct {
        kg_value **items;
        int count, capacity;
    } values; // declared and implicit
    struct {
        kg_node **items;
        int count, capacity;
    } assumes;
    struct {
        kg_node **items;
        int count, capacity;
    } extents; // of the grid
    kg_node *warps, *ctas, *cluster, *shared_bytes;
} header;

// ---- parameters --------------------------------------------------------------------------------
static kg_value *param_value(kg_parser *p, header *h, const char *name, kg_loc loc)
{
    kg_value *value = KG_NEW(p->arena, kg_value);
    value->kind = KG_VALUE_PARAM;
    value->name = name;
    value->loc = loc;
    value->index = h->values.count;
    value->id = -1;
    KG_PUSH(p->arena, &h->values, value);
    return value;
}

static void tensor_options(kg_parser *p, param_text *param)
{
    for (;;) {
        if (kg_accept_word(p, "strides")) {
            param->strides = kg_expression(p);
        } else if (kg_accept_word(p, "align")) {
            param->align = kg_expression(p);
        } else if (kg_accept_word(p, "alias")) {
            param->alias = p->token.text;
            param->alias_loc = p->token.loc;
            kg_expect(p, KG_T_NAME, "the name of a tensor parameter");
        } else {
            return;
        }
    }
}

static void param(kg_parser *p, header *h)
{
    param_text text = {0};
    kg_loc loc = p->token.loc;
    const char *name = p->token.text;
    if (!kg_expect(p, KG_T_NAME, "a parameter's name")) return;
    text.value = param_value(p, h, name, loc);
    kg_define_value(p, name, loc, text.value);
    kg_expect(p, KG_P1(':'), "':'");
    bool global = kg_accept_word(p, "global");
    text.dtype = p->token.text;
    text.dtype_loc = p->token.loc;
    if (!kg_expect(p, KG_T_NAME, "an element type")) return;
    if (p->token.kind == KG_P1('[')) {
        text.dims = kg_postfix(p);
        if (!global && !p->panic) {
            kg_diag *d =
                kg_error(p->diags, KG_D_P001, loc, "a tensor parameter lives in global memory");
            kg_diag_help(p->diags, d, "write %s: global %s[..]", name, text.dtype);
        }
        tensor_options(p, &text);
    } else if (global) {
        kg_unexpected(p, "'[' and the tensor's dimensions");
    }
    KG_PUSH(p->arena, &h->params, text);
}

static void params(kg_parser *p, header *h)
{
    if (!kg_expect(p, KG_P1('('), "'('")) return;
    while (p->token.kind != KG_P1(')') && !p->panic) {
        param(p, h);
        if (!kg_accept(p, KG_P1(','))) break;
    }
    kg_expect(p, KG_P1(')'), "')'");
}

// ---- clauses -----------------------------------------------------------------------------------
static const kg_define *define_of(kg_parser *p, const char *name)
{
    const kg_define *found = NULL;
    for (int i = 0; i < p->n_defines; i++)
        if (!strcmp(p->defines[i].name, name)) {
            p->define_used[i] = true;
            found = &p->defines[i]; // the last one counts
        }
    return found;
}

static void wrong_define(kg_parser *p, const kg_define *define, const char *wanted, kg_loc loc)
{
    kg_diag *d = kg_error(p->diags, KG_D_P012, (kg_loc){.source = p->lexer.source},
                          "-D %s=%s does not give %s", define->name, define->value, wanted);
    kg_diag_note(p->diags, d, loc, "'%s' is defined here", define->name);
}

// The literal that -D gives, or NULL. Whole text must be one literal, with an optional minus.
static kg_node *define_literal(kg_parser *p, const char *text, kg_loc loc)
{
    kg_diags quiet = {.arena = p->arena};
    kg_source *source = KG_NEW(p->arena, kg_source);
    *source = (kg_source){"-D", text, strlen(text)};
    kg_parser *sub = KG_NEW(p->arena, kg_parser);
    sub->arena = p->arena;
    sub->diags = &quiet;
    kg_lexer_init(&sub->lexer, p->arena, &quiet, source);
    sub->ahead = kg_lexer_next(&sub->lexer);
    kg_advance(sub);
    bool known = sub->token.kind != KG_T_NAME || kg_at_word(sub, "true") ||
                 kg_at_word(sub, "false") || kg_at_word(sub, "inf") || kg_at_word(sub, "nan");
    kg_node *n = known ? kg_expression(sub) : NULL;
    if (!n || sub->token.kind != KG_T_END || sub->panic || quiet.errors) return NULL;
    kg_fold(sub, n);
    n->loc = loc;
    return kg_is_literal(n) ? n : NULL;
}

// The kind of the default decides what -D may give. `own` is the default's expression.
static void check_override(kg_parser *p, kg_symbol *symbol, kg_node *own, const kg_define *define)
{
    static const char *const kinds[] = {
        [KG_N_INT] = "an integer", [KG_N_FLOAT] = "a number", [KG_N_TRUTH] = "true or false"};
    kg_node *given = symbol->node;
    kg_fold(p, own);
    if (!kg_is_literal(own)) return; // reported, or nothing to compare with
    if (own->kind == KG_N_FLOAT && given->kind == KG_N_INT) {
        given->kind = KG_N_FLOAT;
        given->f = (double)given->i;
    }
    if (own->kind == KG_N_TRUTH && given->kind == KG_N_INT && (given->i == 0 || given->i == 1))
        given->kind = KG_N_TRUTH;
    if (given->kind != own->kind) wrong_define(p, define, kinds[own->kind], symbol->loc);
}

static void constants(kg_parser *p)
{
    do {
        kg_loc loc = p->token.loc;
        const char *name = p->token.text;
        if (!kg_expect(p, KG_T_NAME, "a constant's name") || !kg_expect(p, KG_P1('='), "'='"))
            return;
        kg_symbol *symbol = kg_define_name(p, KG_S_CONSTANT, name, loc);
        kg_node *value = kg_expression(p);
        if (symbol) symbol->node = value;
        KG_PUSH(p->arena, &p->constants, name);
    } while (kg_accept(p, KG_P1(',')) && !p->panic);
}

static void one_type(kg_parser *p)
{
    kg_loc loc = p->token.loc, given_loc;
    const char *name = p->token.text;
    if (!kg_expect(p, KG_T_NAME, "a type's name") || !kg_expect(p, KG_P1('='), "'='")) return;
    const char *given = p->token.text;
    given_loc = p->token.loc;
    if (!kg_expect(p, KG_T_NAME, "an element type")) return;
    kg_dtype dtype = KG_F32;
    if (!kg_dtype_of_name(p, given, given_loc, &dtype)) {
        kg_define_poison(p, name, loc);
        return;
    }
    const kg_define *define = define_of(p, name);
    KG_PUSH(p->arena, &p->constants, name);
    if (define && !kg_dtype_named(define->value, &dtype)) wrong_define(p, define, "a type", loc);
    kg_symbol *symbol = kg_define_name(p, KG_S_TYPE, name, loc);
    if (symbol) symbol->dtype = dtype;
}

static void types(kg_parser *p)
{
    do one_type(p);
    while (kg_accept(p, KG_P1(',')) && !p->panic);
}

static void grid(kg_parser *p, header *h)
{
    do {
        kg_loc loc = p->token.loc;
        const char *name = p->token.text;
        if (!kg_expect(p, KG_T_NAME, "the name of a grid axis") || !kg_expect(p, KG_P1(':'), "':'"))
            return;
        kg_node *extent = kg_expression(p);
        if (p->kernel->n_grid == 3) {
            kg_error(p->diags, KG_D_T103, loc, "a grid has at most three axes");
            continue;
        }
        kg_value *value = KG_NEW(p->arena, kg_value);
        *value = (kg_value){.kind = KG_VALUE_GRID,
                            .type = kg_scalar_type(KG_I32),
                            .name = name,
                            .loc = loc,
                            .index = p->kernel->n_grid,
                            .id = -1};
        kg_define_value(p, name, loc, value);
        p->kernel->grid[p->kernel->n_grid++].value = value;
        KG_PUSH(p->arena, &h->extents, extent);
    } while (kg_accept(p, KG_P1(',')) && !p->panic);
}

static void level(kg_parser *p)
{
    static const char *const names[] = {"tile", "staged", "laid_out", "placed", "synced"};
    for (int i = 0; i < 5; i++)
        if (kg_accept_word(p, names[i])) {
            p->kernel->level = (kg_level)i;
            return;
        }
    kg_loc loc = p->token.loc;
    const char *text = p->token.text;
    if (!kg_expect(p, KG_T_NAME, "a level")) return;
    kg_diag *d = kg_error(p->diags, KG_D_P006, loc, "unknown level '%s'", text);
    kg_diag_help(p->diags, d, "levels are tile, staged, laid_out, placed and synced");
}

// Parameters in an order that the rest of the header would not give: only printed when needed.
static void implicit(kg_parser *p, header *h)
{
    do {
        kg_loc loc = p->token.loc;
        const char *name = p->token.text;
        kg_dtype dtype;
        if (!kg_expect(p, KG_T_NAME, "a parameter's name") || !kg_expect(p, KG_P1(':'), "':'"))
            return;
        const char *type = p->token.text;
        kg_loc type_loc = p->token.loc;
        if (!kg_expect(p, KG_T_NAME, "i32 or i64")) return;
        if (!kg_dtype_of_name(p, type, type_loc, &dtype)) continue;
        kg_value *value = param_value(p, h, name, loc);
        value->type = kg_scalar_type(dtype);
        kg_define_value(p, name, loc, value);
    } while (kg_accept(p, KG_P1(',')) && !p->panic);
}

static void unknown_clause(kg_parser *p)
{
    static const char *const names[] = {"type",     "const",   "assume", "warps", "ctas",
                                        "cluster",  "schedule", "grid",   "level", "shared_bytes",
                                        "layout",   "implicit"};
    if (p->token.kind != KG_T_NAME) {
        kg_unexpected(p, "a clause of the header or '{'");
        return;
    }
    p->panic = true;
    kg_diag *d = kg_error(p->diags, KG_D_P006, p->token.loc,
                          "unknown clause '%s' in the kernel's header", p->token.text);
    const char *nearest = kg_nearest_name(p->token.text, names, sizeof names / sizeof *names);
    if (nearest) kg_diag_help(p->diags, d, "did you mean '%s'?", nearest);
}

static void clause(kg_parser *p, header *h)
{
    if (kg_accept_word(p, "const")) {
        constants(p);
    } else if (kg_accept_word(p, "type")) {
        types(p);
    } else if (kg_accept_word(p, "assume")) {
        do {
            kg_node *assume = kg_expression(p);
            KG_PUSH(p->arena, &h->assumes, assume);
        } while (kg_accept(p, KG_P1(',')) && !p->panic);
    } else if (kg_accept_word(p, "warps")) {
        h->warps = kg_expression(p);
    } else if (kg_accept_word(p, "ctas")) {
        h->ctas = kg_expression(p);
    } else if (kg_accept_word(p, "cluster")) {
        h->cluster = kg_expression(p);
    } else if (kg_accept_word(p, "shared_bytes")) {
        h->shared_bytes = kg_expression(p);
    } else if (kg_accept_word(p, "grid")) {
        grid(p, h);
    } else if (kg_accept_word(p, "level")) {
        level(p);
    } else if (kg_accept_word(p, "implicit")) {
        implicit(p, h);
    } else if (kg_at_word(p, "schedule")) {
        kg_loc loc = p->token.loc;
        kg_advance(p);
        kg_schedule_clause(p, loc);
    } else if (kg_accept_word(p, "layout")) {
        kg_layout_clause(p);
    } else {
        unknown_clause(p);
    }
    if (p->panic) {
        p->lexer.brackets = 0;
        while (p->token.kind != KG_T_END && p->token.kind != KG_T_NEWLINE &&
               p->token.kind != KG_P1('{'))
            kg_advance(p);
        p->panic = false;
        p->nesting = 0;
    }
}

// ---- resolution --------------------------------------------------------------------------------
static bool sexpr_kind_of(const kg_node *n, kg_sexpr_kind *kind)
{
    static const struct {
        kg_opcode op;
        kg_sexpr_kind kind;
    } kinds[] = {{KG_OP_ADD, KG_SX_ADD}, {KG_OP_SUB, KG_SX_SUB}, {KG_OP_MUL, KG_SX_MUL},
                 {KG_OP_DIV, KG_SX_DIV}, {KG_OP_MOD, KG_SX_MOD}, {KG_OP_MIN, KG_SX_MIN},
                 {KG_OP_MAX, KG_SX_MAX}, {KG_OP_EQ, KG_SX_EQ},   {KG_OP_NE, KG_SX_NE},
                 {KG_OP_LT, KG_SX_LT},   {KG_OP_LE, KG_SX_LE},   {KG_OP_GT, KG_SX_GT},
                 {KG_OP_GE, KG_SX_GE},   {KG_OP_AND, KG_SX_AND}, {KG_OP_OR, KG_SX_OR}};
    kg_opcode op = n->op;
    if (n->kind == KG_N_CALL && !strcmp(n->name, "ceildiv")) return *kind = KG_SX_CEILDIV, true;
    if (n->kind == KG_N_CALL && !kg_op_named(n->name, &op)) return false;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (kinds[i].op == op) return *kind = kinds[i].kind, true;
    return false;
}

static kg_sexpr *param_sexpr(kg_parser *p, header *h, kg_node *n, kg_dtype implicit_dtype)
{
    kg_symbol *symbol = kg_lookup(p, n->name);
    kg_dtype dtype;
    if (symbol && symbol->kind == KG_S_POISON) return NULL;
    if (!symbol && (n->name[0] == '%' || kg_dtype_named(n->name, &dtype))) {
        kg_error(p->diags, KG_D_P003, n->loc, "'%s' cannot stand in a size", n->name);
        return NULL;
    }
    if (!symbol) {
        kg_value *value = param_value(p, h, n->name, n->loc);
        value->type = kg_scalar_type(implicit_dtype);
        symbol = kg_define_value(p, n->name, n->loc, value);
        if (!symbol) return NULL;
    }
    const kg_value *value = symbol->kind == KG_S_VALUE ? symbol->value : NULL;
    if (!value || value->kind != KG_VALUE_PARAM || value->type.home != KG_HOME_FRAG ||
        kg_dtype_info_of(value->type.dtype)->is_float || value->type.dtype == KG_I1) {
        kg_error(p->diags, KG_D_T102, n->loc,
                 "sizes are made of constants and integer parameters; '%s' is "
                 "neither",
                 n->name);
        return NULL;
    }
    return kg_sexpr_param(p->arena, symbol->value);
}

static kg_sexpr *sexpr(kg_parser *p, header *h, kg_node *n, kg_dtype implicit_dtype)
{
    kg_sexpr *e = NULL;
    kg_sexpr_kind kind;
    if (n->kind == KG_N_POISON) return NULL;
    if (n->kind == KG_N_INT || n->kind == KG_N_TRUTH) {
        e = kg_sexpr_int(p->arena, n->i);
    } else if (n->kind == KG_N_NAME) {
        e = param_sexpr(p, h, n, implicit_dtype);
    } else if ((n->kind == KG_N_OP || n->kind == KG_N_CALL) && n->n_args == 2 && !n->keyed &&
               sexpr_kind_of(n, &kind)) {
        kg_sexpr *a = sexpr(p, h, n->args[0], implicit_dtype);
        kg_sexpr *b = sexpr(p, h, n->args[1], implicit_dtype);
        if (!a || !b) return NULL;
        e = kg_sexpr_binary(p->arena, kind, a, b);
    } else if (n->kind == KG_N_OP && n->op == KG_OP_NEG) {
        kg_sexpr *a = sexpr(p, h, n->args[0], implicit_dtype);
        e = a ? kg_sexpr_binary(p->arena, KG_SX_SUB, kg_sexpr_int(p->arena, 0), a) : NULL;
    } else {
        kg_diag *d = kg_error(p->diags, KG_D_P010, n->loc, "this cannot stand in a size");
        kg_diag_help(p->diags, d,
                     "sizes know integers, names, + - * / %%, comparisons, and, or, min, max, "
                     "ceildiv");
    }
    if (e) e->loc = n->loc;
    return e;
}

static kg_sexpr *size_sexpr(kg_parser *p, header *h, kg_node *n, kg_dtype implicit_dtype,
                            bool positive)
{
    kg_fold(p, n);
    kg_sexpr *e = sexpr(p, h, n, implicit_dtype);
    if (!e) return kg_sexpr_int(p->arena, 1); // reported
    if (e->kind == KG_SX_INT && (positive ? e->value < 1 : e->value < 0))
        kg_error(p->diags, KG_D_T106, n->loc, "size %lld is %s", (long long)e->value,
                 e->value ? "negative" : "zero");
    return e;
}

void kg_row_major(kg_arena *arena, kg_tensor *tensor, int rank)
{
    kg_sexpr *stride = kg_sexpr_int(arena, 1);
    for (int d = rank - 1; d >= 0; d--) {
        tensor->strides[d] = stride;
        bool one = stride->kind == KG_SX_INT && stride->value == 1;
        stride = one ? tensor->dims[d] : kg_sexpr_binary(arena, KG_SX_MUL, tensor->dims[d], stride);
    }
    tensor->row_major = true;
}

static void resolve_strides(kg_parser *p, header *h, const param_text *text, kg_tensor *tensor,
                            int rank)
{
    if (!text->strides) {
        kg_row_major(p->arena, tensor, rank);
        return;
    }
    if (text->strides->kind != KG_N_LIST || text->strides->n_args != rank) {
        if (text->strides->kind != KG_N_POISON)
            kg_error(p->diags, KG_D_T103, text->strides->loc,
                     "strides are a list of %d, one a dimension", rank);
        kg_row_major(p->arena, tensor, rank);
        return;
    }
    for (int d = 0; d < rank; d++)
        tensor->strides[d] = size_sexpr(p, h, text->strides->args[d], KG_I64, false);
}

static void resolve_align(kg_parser *p, const param_text *text, kg_tensor *tensor)
{
    int64_t align = 16;
    tensor->align = 16;
    if (!text->align || !kg_constant_int(p, text->align, "align", &align)) return;
    if (align < 1 || align > 1 << 16 || (align & (align - 1)))
        kg_error(p->diags, KG_D_T106, text->align->loc, "align must be a power of two up to 65536");
    else
        tensor->align = (int32_t)align;
}

static void resolve_alias(kg_parser *p, const param_text *text, kg_tensor *tensor)
{
    if (!text->alias) return;
    const kg_symbol *other = kg_lookup(p, text->alias);
    if (!other)
        kg_unknown_name(p, text->alias, text->alias_loc);
    else if (other->kind == KG_S_VALUE && other->value->tensor && other->value != text->value)
        tensor->alias = other->value;
    else if (other->kind != KG_S_POISON)
        kg_error(p->diags, KG_D_T104, text->alias_loc, "alias names another tensor parameter");
}

static void resolve_tensor(kg_parser *p, header *h, const param_text *text)
{
    kg_value *value = text->value;
    kg_tensor *tensor = value->tensor;
    int rank = text->dims->n_args;
    if (text->dims->kind != KG_N_LIST || rank < 1 || rank > KG_MAX_RANK) {
        if (text->dims->kind == KG_N_LIST)
            kg_error(p->diags, KG_D_T106, text->dims->loc, "a tensor has 1 to %d dimensions",
                     KG_MAX_RANK);
        rank = 1;
        tensor->dims[0] = tensor->strides[0] = kg_sexpr_int(p->arena, 1);
        value->type.rank = 1;
        return;
    }
    value->type.rank = (int8_t)rank;
    for (int d = 0; d < rank; d++)
        tensor->dims[d] = size_sexpr(p, h, text->dims->args[d], KG_I32, true);
    resolve_strides(p, h, text, tensor, rank);
    resolve_align(p, text, tensor);
}

// Element types first: a size may name a scalar parameter that stands further to the right.
static void resolve_types(kg_parser *p, header *h)
{
    for (int i = 0; i < h->params.count; i++) {
        const param_text *text = &h->params.items[i];
        kg_dtype dtype = KG_F32;
        kg_dtype_of_name(p, text->dtype, text->dtype_loc, &dtype);
        text->value->type = kg_scalar_type(dtype);
        if (!text->dims) continue;
        text->value->type.home = KG_HOME_GLOBAL;
        text->value->tensor = KG_NEW(p->arena, kg_tensor);
    }
}

static void resolve_count(kg_parser *p, kg_node *n, const char *what, int64_t most, int32_t *out)
{
    int64_t value;
    if (!n || !kg_constant_int(p, n, what, &value)) return;
    if (value < 1 || value > most)
        kg_error(p->diags, KG_D_T106, n->loc, "%s must be 1 to %lld, not %lld", what,
                 (long long)most, (long long)value);
    else
        *out = (int32_t)value;
}

// Values of -D take their places before anything is folded; then their kinds are checked in the
// order of the definitions, so that what a default refers to has its final kind.
static void resolve_constants(kg_parser *p)
{
    struct {
        kg_symbol **items;
        int count, capacity;
    } all = {0};
    for (kg_symbol *s = p->scope->last; s; s = s->previous)
        if (s->kind == KG_S_CONSTANT) KG_PUSH(p->arena, &all, s);
    kg_node **defaults = KG_NEW_ARRAY(p->arena, kg_node *, all.count);
    for (int i = 0; i < all.count; i++) {
        const kg_define *define = define_of(p, all.items[i]->name);
        kg_node *given = define ? define_literal(p, define->value, all.items[i]->loc) : NULL;
        if (define && !given) wrong_define(p, define, "a constant", all.items[i]->loc);
        if (!given) continue;
        defaults[i] = all.items[i]->node;
        all.items[i]->node = given;
        all.items[i]->done = true;
    }
    for (int i = all.count - 1; i >= 0; i--)
        if (defaults[i])
            check_override(p, all.items[i], defaults[i], define_of(p, all.items[i]->name));
    for (int i = all.count - 1; i >= 0; i--) kg_constant_symbol(p, all.items[i]);
}

static void resolve(kg_parser *p, header *h)
{
    kg_kernel *k = p->kernel;
    resolve_constants(p);
    resolve_types(p, h);
    for (int i = 0; i < h->params.count; i++)
        if (h->params.items[i].dims) resolve_tensor(p, h, &h->params.items[i]);
    for (int i = 0; i < h->params.count; i++)
        if (h->params.items[i].dims)
            resolve_alias(p, &h->params.items[i], h->params.items[i].value->tensor);
    for (int i = 0; i < k->n_grid; i++)
        k->grid[i].extent = size_sexpr(p, h, h->extents.items[i], KG_I32, true);
    k->assumes = KG_NEW_ARRAY(p->arena, kg_sexpr *, h->assumes.count);
    for (int i = 0; i < h->assumes.count; i++) {
        kg_fold(p, h->assumes.items[i]);
        kg_sexpr *e = sexpr(p, h, h->assumes.items[i], KG_I32);
        if (e) k->assumes[k->n_assumes++] = e;
        if (e && e->kind == KG_SX_INT && !e->value)
            kg_error(p->diags, KG_D_P010, e->loc, "this assumption never holds");
    }
    resolve_count(p, h->warps, "warps", 32, &k->warps);
    resolve_count(p, h->ctas, "ctas", 32, &k->min_ctas);
    resolve_count(p, h->cluster, "cluster", KG_MAX_CLUSTER, &k->cluster);
    if (k->cluster == 1) k->cluster = 0;
    kg_resolve_schedule(p);
    int64_t bytes;
    if (h->shared_bytes && kg_constant_int(p, h->shared_bytes, "shared_bytes", &bytes)) {
        if (bytes < 0 || bytes > INT32_MAX)
            kg_error(p->diags, KG_D_T106, h->shared_bytes->loc, "shared_bytes is out of range");
        else
            k->shared_bytes = bytes;
    }
    k->params = h->values.items;
    k->n_params = h->values.count;
}

bool kg_kernel_header(kg_parser *p)
{
    header h = {0};
    p->kernel->loc = p->token.loc;
    p->kernel->name = p->token.text;
    if (!kg_expect(p, KG_T_NAME, "the kernel's name")) return false;
    if (kg_is_keyword(p->kernel->name) || strchr(p->kernel->name, '.'))
        kg_error(p->diags, KG_D_P001, p->kernel->loc, "'%s' cannot be the name of a kernel",
                 p->kernel->name);
    params(p, &h);
    p->kernel->n_declared = h.values.count;
    if (p->panic) { // go on with the clauses: what they say is worth checking
        p->lexer.brackets = 0;
        while (p->token.kind != KG_T_END && p->token.kind != KG_T_NEWLINE &&
               p->token.kind != KG_P1('{'))
            kg_advance(p);
        p->panic = false;
    }
    kg_skip_newlines(p);
    while (p->token.kind != KG_P1('{') && p->token.kind != KG_T_END && !kg_at_word(p, "kernel")) {
        clause(p, &h);
        kg_skip_newlines(p);
    }
    resolve(p, &h);
    if (p->token.kind == KG_P1('{')) return true;
    kg_unexpected(p, "'{' and the kernel's body");
    return false;
}
