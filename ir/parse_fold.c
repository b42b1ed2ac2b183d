// SPDX-License-Identifier: MIT
// Constants: named ones are replaced by their value, arithmetic on literals is done here with
// 64-bit checks, and of `c ? a : b` with a constant c only the chosen arm is looked at.
#include "ir/parse.h"
#include <math.h>
#include <string.h>

static void poison(kg_node *n)
{
    n->kind = KG_N_POISON;
}

static void become(kg_node *n, kg_node_kind kind, int64_t i, double f)
{
    n->kind = kind;
    n->i = i;
    n->f = f;
    n->n_args = 0;
}

static double number(const kg_node *n)
{
    return n->kind == KG_N_FLOAT ? n->f : (double)n->i;
}

// ---- arithmetic --------------------------------------------------------------------------------
static bool fold_divide(kg_opcode op, int64_t a, int64_t b, int64_t *out)
{
    if (b == 0 || (a == INT64_MIN && b == -1)) return false;
    int64_t quotient = a / b, rest = a % b;
    bool down = rest != 0 && (rest < 0) != (b < 0);
    *out = op == KG_OP_DIV ? quotient - down : down ? rest + b : rest;
    return true;
}

// false: overflow or division by zero.
static bool fold_ints(kg_opcode op, int64_t a, int64_t b, int64_t *out)
{
    switch (op) {
    case KG_OP_ADD: return !__builtin_add_overflow(a, b, out);
    case KG_OP_SUB: return !__builtin_sub_overflow(a, b, out);
    case KG_OP_MUL: return !__builtin_mul_overflow(a, b, out);
    case KG_OP_DIV:
    case KG_OP_MOD: return fold_divide(op, a, b, out);
    case KG_OP_MIN: *out = a < b ? a : b; return true;
    case KG_OP_MAX: *out = a > b ? a : b; return true;
    case KG_OP_AND: *out = a & b; return true;
    case KG_OP_OR: *out = a | b; return true;
    case KG_OP_XOR: *out = a ^ b; return true;
    case KG_OP_SHL:
        *out = b < 0 || b > 62 ? 0 : (int64_t)((uint64_t)a << b);
        return b >= 0 && b <= 62 && *out >> b == a;
    case KG_OP_SHR: *out = b < 0 || b > 63 ? (a < 0 ? -1 : 0) : a >> b; return true;
    case KG_OP_EQ: *out = a == b; return true;
    case KG_OP_NE: *out = a != b; return true;
    case KG_OP_LT: *out = a < b; return true;
    case KG_OP_LE: *out = a <= b; return true;
    case KG_OP_GT: *out = a > b; return true;
    case KG_OP_GE: *out = a >= b; return true;
    default: return false;
    }
}

static bool is_compare(kg_opcode op)
{
    return kg_op_info_of(op)->cls == KG_CLASS_C;
}

static void fold_floats(kg_node *n, double a, double b)
{
    switch (n->op) {
    case KG_OP_ADD: become(n, KG_N_FLOAT, 0, a + b); break;
    case KG_OP_SUB: become(n, KG_N_FLOAT, 0, a - b); break;
    case KG_OP_MUL: become(n, KG_N_FLOAT, 0, a * b); break;
    case KG_OP_DIV: become(n, KG_N_FLOAT, 0, a / b); break;
    case KG_OP_MIN: become(n, KG_N_FLOAT, 0, fmin(a, b)); break;
    case KG_OP_MAX: become(n, KG_N_FLOAT, 0, fmax(a, b)); break;
    case KG_OP_EQ: become(n, KG_N_TRUTH, a == b, 0); break;
    case KG_OP_NE: become(n, KG_N_TRUTH, a != b, 0); break;
    case KG_OP_LT: become(n, KG_N_TRUTH, a < b, 0); break;
    case KG_OP_LE: become(n, KG_N_TRUTH, a <= b, 0); break;
    case KG_OP_GT: become(n, KG_N_TRUTH, a > b, 0); break;
    case KG_OP_GE: become(n, KG_N_TRUTH, a >= b, 0); break;
    default: break; // left to the type rules, which say what is wrong
    }
}

static void fold_binary(kg_parser *p, kg_node *n)
{
    const kg_node *a = n->args[0], *b = n->args[1];
    bool truths = a->kind == KG_N_TRUTH && b->kind == KG_N_TRUTH;
    if ((a->kind == KG_N_TRUTH) != (b->kind == KG_N_TRUTH)) return;
    if (a->kind == KG_N_FLOAT || b->kind == KG_N_FLOAT) {
        fold_floats(n, number(a), number(b));
        return;
    }
    int64_t value;
    bool logical = n->op == KG_OP_AND || n->op == KG_OP_OR || n->op == KG_OP_XOR;
    if (truths && !logical && n->op != KG_OP_EQ && n->op != KG_OP_NE) return;
    if (fold_ints(n->op, a->i, b->i, &value)) {
        become(n, truths || is_compare(n->op) ? KG_N_TRUTH : KG_N_INT, value, 0);
    } else if (b->i == 0 && (n->op == KG_OP_DIV || n->op == KG_OP_MOD)) {
        kg_error(p->diags, KG_D_P010, n->loc, "division by zero in a constant expression");
        poison(n);
    } else {
        kg_error(p->diags, KG_D_P009, n->loc, "constant does not fit 64 bits");
        poison(n);
    }
}

static void fold_unary(kg_node *n)
{
    const kg_node *a = n->args[0];
    if (n->op == KG_OP_NEG && a->kind == KG_N_FLOAT)
        become(n, KG_N_FLOAT, 0, -a->f);
    else if (n->op == KG_OP_NEG && a->kind == KG_N_INT && a->i != INT64_MIN)
        become(n, KG_N_INT, -a->i, 0);
    else if (n->op == KG_OP_NOT && a->kind == KG_N_TRUTH)
        become(n, KG_N_TRUTH, !a->i, 0);
    else if (n->op == KG_OP_NOT && a->kind == KG_N_INT)
        become(n, KG_N_INT, ~a->i, 0);
}

static double reciprocal(double x)
{
    return 1 / x;
}

static double reciprocal_root(double x)
{
    return 1 / sqrt(x);
}

// Functions of one number that are folded; the result is a float.
static bool fold_function(kg_node *n)
{
    static const struct {
        const char *name;
        double (*f)(double);
    } functions[] = {{"exp", exp},        {"exp2", exp2},      {"log", log},
                     {"log2", log2},      {"sqrt", sqrt},      {"rsqrt", reciprocal_root},
                     {"rcp", reciprocal}, {"sin", sin},        {"cos", cos},
                     {"tanh", tanh},      {"erf", erf},        {"floor", floor},
                     {"ceil", ceil},      {"round", nearbyint}};
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        if (!strcmp(functions[i].name, n->name)) {
            become(n, KG_N_FLOAT, 0, functions[i].f(number(n->args[0])));
            return true;
        }
    return false;
}

static bool all_literals(const kg_node *n)
{
    for (int i = 0; i < n->n_args; i++)
        if (!kg_is_literal(n->args[i]) || (n->kind == KG_N_CALL && n->args[i]->kind == KG_N_TRUTH))
            return false;
    return n->n_args > 0;
}

static void fold_call(kg_parser *p, kg_node *n)
{
    kg_opcode op;
    if (n->keyed || !all_literals(n)) return;
    if (n->n_args == 1 && fold_function(n)) return;
    if (n->n_args == 2 && !strcmp(n->name, "ceildiv") && n->args[0]->kind == KG_N_INT &&
        n->args[1]->kind == KG_N_INT) {
        int64_t a = n->args[0]->i, b = n->args[1]->i, rest;
        n->op = KG_OP_DIV;
        if (!fold_divide(KG_OP_MOD, a, b, &rest)) {
            fold_binary(p, n);
            return;
        }
        fold_binary(p, n);
        if (rest != 0) n->i++;
        return;
    }
    if (!kg_op_named(n->name, &op)) return;
    n->op = op;
    if (n->n_args == 2 && (kg_op_info_of(op)->cls == KG_CLASS_B || is_compare(op)))
        fold_binary(p, n);
    else if (n->n_args == 1 && kg_op_info_of(op)->cls == KG_CLASS_U)
        fold_unary(n);
    if (n->kind == KG_N_CALL && op == KG_OP_ABS && n->n_args == 1) {
        if (n->args[0]->kind == KG_N_FLOAT)
            become(n, KG_N_FLOAT, 0, fabs(n->args[0]->f));
        else if (n->args[0]->i != INT64_MIN)
            become(n, KG_N_INT, n->args[0]->i < 0 ? -n->args[0]->i : n->args[0]->i, 0);
    }
}

// ---- names -------------------------------------------------------------------------------------
bool kg_constant_symbol(kg_parser *p, kg_symbol *symbol)
{
    if (symbol->done) return symbol->node->kind != KG_N_POISON;
    if (symbol->busy) {
        kg_error(p->diags, KG_D_P010, symbol->loc, "constant '%s' is defined by itself",
                 symbol->name);
        poison(symbol->node);
        return false;
    }
    symbol->busy = true;
    kg_fold(p, symbol->node);
    symbol->busy = false;
    symbol->done = true;
    if (!kg_is_literal(symbol->node) && symbol->node->kind != KG_N_POISON) {
        kg_error(p->diags, KG_D_P010, symbol->node->loc,
                 "the value of constant '%s' is not constant", symbol->name);
        poison(symbol->node);
    }
    return symbol->node->kind != KG_N_POISON;
}

static void fold_name(kg_parser *p, kg_node *n)
{
    kg_symbol *symbol = kg_lookup(p, n->name);
    if (!symbol) return;
    if (symbol->kind == KG_S_POISON) poison(n);
    if (symbol->kind != KG_S_CONSTANT) return;
    if (kg_constant_symbol(p, symbol))
        become(n, symbol->node->kind, symbol->node->i, symbol->node->f);
    else
        poison(n);
}

static void fold_choice(kg_parser *p, kg_node *n)
{
    kg_fold(p, n->args[0]);
    if (n->args[0]->kind == KG_N_TRUTH || n->args[0]->kind == KG_N_INT) {
        kg_node *taken = n->args[n->args[0]->i ? 1 : 2];
        kg_fold(p, taken);
        kg_loc loc = n->loc;
        *n = *taken;
        if (kg_is_literal(n)) n->loc = loc;
        return;
    }
    kg_fold(p, n->args[1]);
    kg_fold(p, n->args[2]);
}

void kg_fold(kg_parser *p, kg_node *n)
{
    if (!n) return;
    if (n->kind == KG_N_NAME) fold_name(p, n);
    if (n->kind == KG_N_CHOICE) {
        fold_choice(p, n);
        return;
    }
    for (int i = 0; i < n->n_args; i++) kg_fold(p, n->args[i]);
    for (kg_keyed *k = n->keyed; k; k = k->next) kg_fold(p, k->value);
    kg_fold(p, n->slot);
    for (int i = 0; i < n->n_items; i++) {
        kg_fold(p, n->items[i].start);
        kg_fold(p, n->items[i].extent);
    }
    if (n->kind == KG_N_CALL) fold_call(p, n);
    if (n->kind != KG_N_OP || !all_literals(n)) return;
    if (n->n_args == 2)
        fold_binary(p, n);
    else if (n->n_args == 1)
        fold_unary(n);
}

// ---- what needs a constant ---------------------------------------------------------------------
bool kg_constant_int(kg_parser *p, kg_node *n, const char *what, int64_t *out)
{
    kg_fold(p, n);
    if (n->kind == KG_N_INT) {
        *out = n->i;
        return true;
    }
    if (n->kind == KG_N_POISON) return false;
    if (n->kind == KG_N_NAME && !kg_lookup(p, n->name))
        kg_unknown_name(p, n->name, n->loc);
    else
        kg_error(p->diags, KG_D_P010, n->loc, "%s must be a constant integer", what);
    poison(n);
    return false;
}

bool kg_constant_extents(kg_parser *p, kg_node *list, kg_type *type)
{
    if (list->kind == KG_N_POISON) return false;
    if (list->n_args > KG_MAX_RANK) {
        kg_error(p->diags, KG_D_T106, list->loc, "rank %d is above the limit of %d", list->n_args,
                 KG_MAX_RANK);
        return false;
    }
    type->rank = (int8_t)list->n_args;
    bool ok = true;
    for (int d = 0; d < list->n_args; d++) {
        int64_t extent;
        if (!kg_constant_int(p, list->args[d], "the extent of a tile", &extent)) {
            ok = false;
            continue;
        }
        if (extent < 1 || extent > KG_TILE_ELEMENTS) {
            kg_error(p->diags, KG_D_T106, list->args[d]->loc, "extent %lld is not between 1 and %d",
                     (long long)extent, (int)KG_TILE_ELEMENTS);
            ok = false;
        }
        type->dims[d] = (int32_t)extent;
    }
    const char *problem = ok ? kg_shape_problem(p->arena, type, false) : NULL;
    if (problem) kg_error(p->diags, KG_D_T106, list->loc, "%s", problem);
    return ok && !problem;
}

bool kg_dtype_of_name(kg_parser *p, const char *name, kg_loc loc, kg_dtype *out)
{
    if (kg_dtype_named(name, out)) return true;
    const kg_symbol *symbol = kg_lookup(p, name);
    if (symbol && symbol->kind == KG_S_POISON) return false;
    if (symbol && symbol->kind == KG_S_TYPE) {
        *out = symbol->dtype;
        return true;
    }
    const char *names[KG_DTYPE_COUNT];
    for (int i = 0; i < KG_DTYPE_COUNT; i++) names[i] = kg_dtype_info_of((kg_dtype)i)->name;
    kg_diag *d = kg_error(p->diags, KG_D_P005, loc, "unknown type '%s'", name);
    const char *nearest = kg_nearest_name(name, names, KG_DTYPE_COUNT);
    if (nearest)
        kg_diag_help(p->diags, d, "did you mean '%s'?", nearest);
    else
        kg_diag_help(p->diags, d,
                     "types are i1 i8 i16 i32 i64 f16 bf16 f32 f64 tf32 f8e4m3 f8e5m2");
    return false;
}
