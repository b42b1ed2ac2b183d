// SPDX-License-Identifier: MIT
// Expressions. An op is printed inside of its only user when its result has no name and the ops
// stand in exactly the order in which the parser would make them again (see parse_emit.c): operands
// left to right, each behind its own operands. A broadcast is left out where the parser puts it
// back.
#include "ir/infer.h"
#include "ir/lexer.h"
#include "ir/print.h"
#include <math.h>
#include <string.h>

bool kg_is_inlined(const kg_printer *p, const kg_value *value)
{
    return value->kind == KG_VALUE_RESULT && p->inlined && value->op->id >= 0 &&
           p->inlined[value->op->id];
}

// ---- which ops stand inside of others ----------------------------------------------------------
static bool can_inline(const kg_printer *p, const kg_op *op)
{
    if (op->n_results != 1 || op->results[0]->name || op->results[0]->layout) return false;
    if (p->uses[op->results[0]->id] != 1) return false;
    bool memory = op->results[0]->type.home != KG_HOME_FRAG;
    if (op->code == KG_OP_VIEW) return true;
    if (kg_has_more_attrs(op) || op->code == KG_OP_CONVERT) return false;
    if (op->code == KG_OP_TRANSPOSE) return memory || !p->flat;
    if (p->flat) return false;
    return kg_is_computed(op) || kg_op_info_of(op->code)->cls == KG_CLASS_D ||
           op->code == KG_OP_LOAD;
}

// `pending` holds ops that nobody has used yet, each with its operands folded in, in order: an
// operand can be printed inline when it is the last of them.
void kg_mark_inlined(kg_printer *p, kg_block *block)
{
    struct {
        kg_op **items;
        int count, capacity;
    } pending = {0};
    for (kg_op *op = block->first; op; op = op->next) {
        for (int i = op->n_operands - 1; i >= 0 && pending.count; i--) {
            kg_op *last = pending.items[pending.count - 1];
            if (op->operands[i] != last->results[0]) continue;
            p->inlined[last->id] = true;
            pending.count--;
        }
        if (can_inline(p, op))
            KG_PUSH(p->arena, &pending, op);
        else
            pending.count = 0;
    }
}

// ---- literals ----------------------------------------------------------------------------------
static bool is_const(const kg_value *value)
{
    return value->kind == KG_VALUE_RESULT && value->op->code == KG_OP_CONST;
}

static bool inline_const(const kg_printer *p, const kg_value *value)
{
    return is_const(value) && kg_is_inlined(p, value);
}

static const char *const_text(kg_printer *p, const kg_op *op)
{
    const kg_attr *f = kg_op_attr(op, KG_A_VALUE_FLOAT);
    if (f) return kg_double_text(p->arena, f->f);
    int64_t value = kg_op_int(op, KG_A_VALUE_INT, 0);
    if (op->results[0]->type.dtype == KG_I1) return value ? "true" : "false";
    return kg_arena_printf(p->arena, "%lld", (long long)value);
}

// The type that the parser gives to the bare literal.
static kg_dtype natural(const kg_op *op)
{
    kg_dtype dtype = op->results[0]->type.dtype;
    int64_t value = kg_op_int(op, KG_A_VALUE_INT, 0);
    if (kg_dtype_info_of(dtype)->is_float) return KG_F32;
    if (dtype == KG_I1) return KG_I1;
    return value < INT32_MIN || value > INT32_MAX ? KG_I64 : KG_I32;
}

static void put_const(kg_printer *p, const kg_op *op, bool bare)
{
    const char *text = const_text(p, op);
    if (bare)
        kg_put(p, "%s", text);
    else
        kg_put(p, "%s(%s)", kg_dtype_info_of(op->results[0]->type.dtype)->name, text);
}

// ---- broadcasts that the parser puts back ------------------------------------------------------
// The value that is converted to `type` by expand, broadcast as the parser would, all of it inline;
// or the value itself.
static const kg_value *unconverted(const kg_printer *p, const kg_value *value)
{
    const kg_type *to = &value->type;
    const kg_value *from = value;
    bool broadcast = from->kind == KG_VALUE_RESULT && from->op->code == KG_OP_BROADCAST;
    if (to->rank == 0) return value;
    if (broadcast) {
        if (!kg_is_inlined(p, from)) return value;
        from = from->op->operands[0];
        if (kg_shape_equal(&from->type, to)) return value; // says nothing: must be written
        if (from->type.rank == 0) return from;
    }
    const kg_value *source = from;
    while (source->kind == KG_VALUE_RESULT && source->op->code == KG_OP_EXPAND &&
           kg_op_int(source->op, KG_A_AXIS, -1) == 0 && kg_is_inlined(p, source) &&
           source->op->operands[0]->type.rank > 0)
        source = source->op->operands[0];
    return source;
}

static bool is_elementwise(const kg_op *op)
{
    kg_op_class cls = kg_op_info_of(op->code)->cls;
    return cls == KG_CLASS_B || cls == KG_CLASS_C || op->code == KG_OP_SELECT ||
           op->code == KG_OP_FMA;
}

// Whether the operands of an elementwise op, shown without their broadcasts but for number `kept`,
// still give the shape of its result.
static bool shows_shape(const kg_printer *p, const kg_op *op, int kept, const kg_value **shown)
{
    kg_type shape = {0};
    for (int i = 0; i < op->n_operands; i++) {
        shown[i] = i == kept ? op->operands[i] : unconverted(p, op->operands[i]);
        if (i == 0)
            shape = shown[0]->type;
        else if (!kg_shape_join(&shape, &shown[i]->type, &shape))
            return false;
    }
    return kg_shape_equal(&shape, &op->operands[0]->type);
}

// What to print for the operands: as few broadcasts as the parser needs to put them all back.
static void shown_operands(const kg_printer *p, const kg_op *op, const kg_value **shown)
{
    if (is_elementwise(op)) {
        if (shows_shape(p, op, -1, shown)) return;
        for (int i = op->n_operands - 1; i >= 0; i--)
            if (shows_shape(p, op, i, shown)) return;
    }
    for (int i = 0; i < op->n_operands; i++) shown[i] = op->operands[i];
}

// ---- precedence --------------------------------------------------------------------------------
enum { LEVEL_ANY = 0, LEVEL_UNARY = 8, LEVEL_POSTFIX = 9 };

static const struct {
    kg_opcode op;
    const char *text;
    int level;
} infix[] = {{KG_OP_OR, "|", 1},  {KG_OP_XOR, "^", 2},  {KG_OP_AND, "&", 3},  {KG_OP_EQ, "==", 4},
             {KG_OP_NE, "!=", 4}, {KG_OP_LT, "<", 4},   {KG_OP_LE, "<=", 4},  {KG_OP_GT, ">", 4},
             {KG_OP_GE, ">=", 4}, {KG_OP_SHL, "<<", 5}, {KG_OP_SHR, ">>", 5}, {KG_OP_ADD, "+", 6},
             {KG_OP_SUB, "-", 6}, {KG_OP_MUL, "*", 7},  {KG_OP_DIV, "/", 7},  {KG_OP_MOD, "%", 7}};

static const char *infix_of(const kg_op *op, int *level)
{
    for (size_t i = 0; i < sizeof infix / sizeof *infix; i++)
        if (infix[i].op == op->code) {
            *level = infix[i].level;
            if (op->operands[0]->type.dtype == KG_I1 && op->code == KG_OP_AND) return "and";
            if (op->operands[0]->type.dtype == KG_I1 && op->code == KG_OP_OR) return "or";
            return infix[i].text;
        }
    return NULL;
}

// -((-x) / y) on integers is how ceildiv(x, y) is made; the division, or NULL.
static const kg_op *ceildiv_of(const kg_printer *p, const kg_op *op)
{
    if (op->code != KG_OP_NEG || op->results[0]->type.rank || p->flat) return NULL;
    const kg_value *quotient = op->operands[0];
    if (kg_dtype_info_of(quotient->type.dtype)->is_float || !kg_is_inlined(p, quotient))
        return NULL;
    if (quotient->op->code != KG_OP_DIV || !kg_is_inlined(p, quotient->op->operands[0]))
        return NULL;
    const kg_op *minus = quotient->op->operands[0]->op;
    if (minus->code != KG_OP_NEG || inline_const(p, minus->operands[0])) return NULL;
    return quotient->op;
}

static int level_of(const kg_printer *p, const kg_op *op)
{
    int level;
    if (ceildiv_of(p, op)) return LEVEL_POSTFIX;
    if (infix_of(op, &level)) return level;
    if (op->code == KG_OP_NEG || op->code == KG_OP_NOT) return LEVEL_UNARY;
    if (op->code == KG_OP_LOAD) return op->n_operands > 1 ? LEVEL_ANY : LEVEL_UNARY;
    return LEVEL_POSTFIX;
}

static void put_tree(kg_printer *p, const kg_op *op, int level)
{
    bool parens = level_of(p, op) < level;
    if (parens) kg_put(p, "(");
    kg_put_rhs(p, op);
    if (parens) kg_put(p, ")");
}

static void put_at(kg_printer *p, const kg_value *value, int level)
{
    if (inline_const(p, value)) {
        const char *text = const_text(p, value->op);
        bool bare = natural(value->op) == value->type.dtype;
        bool parens = bare && text[0] == '-' && level > LEVEL_UNARY;
        if (parens) kg_put(p, "(");
        put_const(p, value->op, bare);
        if (parens) kg_put(p, ")");
    } else if (kg_is_inlined(p, value)) {
        put_tree(p, value->op, level);
    } else {
        kg_put(p, "%s", kg_value_text(p, value));
    }
}

void kg_put_value(kg_printer *p, const kg_value *value)
{
    put_at(p, value, LEVEL_ANY);
}

void kg_put_converted(kg_printer *p, const kg_value *value, kg_dtype dtype)
{
    const kg_value *scalar = unconverted(p, value);
    if (scalar->type.rank) scalar = value;
    if (inline_const(p, scalar))
        put_const(p, scalar->op, scalar->type.dtype == dtype);
    else
        put_at(p, scalar, LEVEL_ANY);
}

// Bounds of a loop: a literal takes the type of the others, i32 when all are literals.
void kg_put_bound(kg_printer *p, const kg_op *loop, int i)
{
    bool bare = loop->operands[0]->type.dtype == KG_I32;
    for (int k = 0; k < 3; k++) bare |= !inline_const(p, loop->operands[k]);
    if (inline_const(p, loop->operands[i]))
        put_const(p, loop->operands[i]->op, bare);
    else
        put_at(p, loop->operands[i], LEVEL_ANY);
}

// ---- memory ------------------------------------------------------------------------------------
static void put_view(kg_printer *p, const kg_op *op)
{
    const kg_attr *kinds = kg_op_attr(op, KG_A_INDEX), *extents = kg_op_attr(op, KG_A_EXTENT);
    int operand = 1;
    kg_put(p, "%s[", kg_value_text(p, op->operands[0]));
    if (kg_op_int(op, KG_A_SLOT, 0) && operand < op->n_operands) {
        kg_put_value(p, op->operands[operand++]);
        kg_put(p, "; ");
    }
    for (int d = 0; kinds && extents && d < kinds->count; d++) {
        kg_put(p, "%s", d ? ", " : "");
        if (kinds->ints[d] != KG_INDEX_ALL && operand < op->n_operands)
            kg_put_value(p, op->operands[operand++]);
        if (kinds->ints[d] == KG_INDEX_FROM) kg_put(p, " ");
        if (kinds->ints[d] == KG_INDEX_FROM || kinds->ints[d] == KG_INDEX_ALL)
            kg_put(p, "..+%lld", (long long)extents->ints[d]);
    }
    kg_put(p, "]");
}

void kg_put_memory(kg_printer *p, const kg_value *value)
{
    if (!kg_is_inlined(p, value)) {
        kg_put(p, "%s", kg_value_text(p, value));
    } else if (value->op->code == KG_OP_VIEW) {
        put_view(p, value->op);
        kg_put_attrs(p, value->op, "");
    } else {
        kg_put_rhs(p, value->op);
    }
}

// ---- ops as expressions ------------------------------------------------------------------------
static bool all_inline_consts(const kg_printer *p, const kg_value *const *values, int n)
{
    for (int i = 0; i < n; i++)
        if (!inline_const(p, values[i])) return false;
    return true;
}

// An operand of an elementwise op: a literal is bare when it takes its type from another operand.
// When all are literals they say their types, which also keeps the parser from folding them.
static void put_operand(kg_printer *p, const kg_op *op, const kg_value *const *shown, int i,
                        int level)
{
    if (!inline_const(p, shown[i])) {
        put_at(p, shown[i], level);
        return;
    }
    int first = op->code == KG_OP_SELECT ? 1 : 0;
    bool bare = i >= first && !all_inline_consts(p, shown + first, op->n_operands - first);
    bool negative = const_text(p, shown[i]->op)[0] == '-' && bare && level > LEVEL_UNARY;
    if (negative) kg_put(p, "(");
    put_const(p, shown[i]->op, bare);
    if (negative) kg_put(p, ")");
}

static void put_infix(kg_printer *p, const kg_op *op, const char *text, int level)
{
    const kg_value *shown[3];
    shown_operands(p, op, shown);
    put_operand(p, op, shown, 0, level);
    kg_put(p, " %s ", text);
    put_operand(p, op, shown, 1, level + 1);
}

static void put_elementwise(kg_printer *p, const kg_op *op)
{
    const kg_value *shown[3];
    int level;
    const char *text = p->flat ? NULL : infix_of(op, &level);
    if (text) {
        put_infix(p, op, text, level);
        return;
    }
    shown_operands(p, op, shown);
    kg_put(p, "%s(", kg_op_info_of(op->code)->name);
    for (int i = 0; i < op->n_operands; i++) {
        kg_put(p, "%s", i ? ", " : "");
        put_operand(p, op, shown, i, LEVEL_ANY);
    }
    kg_put(p, ")");
}

static void put_prefix(kg_printer *p, const kg_op *op)
{
    const kg_value *operand = op->operands[0];
    const kg_op *quotient = ceildiv_of(p, op);
    if (quotient) {
        kg_put(p, "ceildiv(");
        kg_put_value(p, quotient->operands[0]->op->operands[0]);
        kg_put(p, ", ");
        kg_put_converted(p, quotient->operands[1], quotient->results[0]->type.dtype);
        kg_put(p, ")");
        return;
    }
    const char *sign = op->code == KG_OP_NEG ? "-" : operand->type.dtype == KG_I1 ? "not " : "~";
    kg_put(p, "%s", sign);
    if (inline_const(p, operand))
        put_const(p, operand->op, false);
    else
        put_at(p, operand, LEVEL_UNARY);
}

static void put_load(kg_printer *p, const kg_op *op)
{
    kg_put(p, "load ");
    kg_put_memory(p, op->operands[0]);
    if (op->n_operands > 1) {
        kg_put(p, " where ");
        kg_put_converted(p, op->operands[1], KG_I1);
    }
    if (op->n_operands > 2) {
        kg_put(p, " else ");
        kg_put_converted(p, op->operands[2], op->results[0]->type.dtype);
    }
}

static void put_expand(kg_printer *p, const kg_op *op)
{
    int64_t axis = kg_op_int(op, KG_A_AXIS, 0);
    int rank = op->results[0]->type.rank;
    if (p->flat || inline_const(p, op->operands[0])) {
        kg_put(p, "expand(");
        if (inline_const(p, op->operands[0]))
            put_const(p, op->operands[0]->op, false);
        else
            kg_put_value(p, op->operands[0]);
        kg_put(p, ", axis=%lld)", (long long)axis);
        return;
    }
    put_at(p, op->operands[0], LEVEL_POSTFIX);
    for (int d = 0; d < rank; d++) kg_put(p, "%s%s", d ? ", " : "[", d == axis ? "None" : ":");
    kg_put(p, "]");
}

static void put_dot(kg_printer *p, const kg_op *op)
{
    kg_put(p, "%s(", kg_op_info_of(op->code)->name);
    for (int i = 0; i < 2; i++) {
        if (op->operands[i]->type.home == KG_HOME_FRAG)
            kg_put_value(p, op->operands[i]);
        else
            kg_put_memory(p, op->operands[i]);
        kg_put(p, ", ");
    }
    const kg_value *scalar = unconverted(p, op->operands[2]);
    if (scalar != op->operands[2] && inline_const(p, scalar))
        put_const(p, scalar->op, true);
    else
        kg_put_value(p, op->operands[2]);
    kg_put(p, ")");
}

// name(x, what the attributes say)
static void put_call(kg_printer *p, const kg_op *op)
{
    const kg_attr *attr;
    const char *name = kg_op_info_of(op->code)->name;
    if (op->code == KG_OP_RMAX) name = "max";
    if (op->code == KG_OP_RMIN) name = "min";
    kg_put(p, "%s(", name);
    for (int i = 0; i < op->n_operands; i++) {
        kg_put(p, "%s", i ? ", " : "");
        if (inline_const(p, op->operands[i])) // typed: the parser folds functions of bare literals
            put_const(p, op->operands[i]->op, false);
        else if (op->operands[i]->type.home == KG_HOME_FRAG)
            kg_put_value(p, op->operands[i]);
        else
            kg_put_memory(p, op->operands[i]);
    }
    const char *comma = op->n_operands ? ", " : "";
    if ((attr = kg_op_attr(op, KG_A_SHAPE))) {
        kg_put(p, "%s", comma);
        kg_put_ints(p, attr->count, attr->ints);
    }
    if ((attr = kg_op_attr(op, KG_A_PERM))) {
        kg_put(p, "%s", comma);
        kg_put_ints(p, attr->count, attr->ints);
    }
    if ((attr = kg_op_attr(op, KG_A_AXIS))) kg_put(p, ", axis=%lld", (long long)attr->i);
    if (op->code == KG_OP_PART)
        kg_put(p, ", first=%lld, last=%lld", (long long)kg_op_int(op, KG_A_FIRST, 0),
               (long long)kg_op_int(op, KG_A_LAST, 0));
    if ((attr = kg_op_attr(op, KG_A_DTYPE)) && op->code != KG_OP_IOTA)
        kg_put(p, ", %s", kg_dtype_info_of(attr->dtype)->name);
    else if (attr && attr->dtype != KG_I32)
        kg_put(p, ", dtype=%s", kg_dtype_info_of(attr->dtype)->name);
    if ((attr = kg_op_attr(op, KG_A_PARTIAL))) kg_put(p, ", partial=%lld", (long long)attr->i);
    kg_put(p, ")");
}

static void put_fetch_add(kg_printer *p, const kg_op *op)
{
    kg_put(p, "fetch_add ");
    kg_put_memory(p, op->operands[0]);
    kg_put(p, ", ");
    kg_put_converted(p, op->operands[1], op->operands[1]->type.dtype);
    if (op->n_operands < 3) return;
    kg_put(p, ", ");
    kg_put_memory(p, op->operands[2]);
}

void kg_put_rhs(kg_printer *p, const kg_op *op)
{
    switch (op->code) {
    case KG_OP_CONST:
        put_const(p, op, natural(op) == op->results[0]->type.dtype && !p->flat);
        return;
    case KG_OP_VIEW:
        kg_put(p, "view ");
        put_view(p, op);
        return;
    case KG_OP_LOAD: put_load(p, op); return;
    case KG_OP_EXPAND: put_expand(p, op); return;
    case KG_OP_DOT:
    case KG_OP_WGMMA: put_dot(p, op); return;
    case KG_OP_FETCH_ADD: put_fetch_add(p, op); return;
    case KG_OP_NEG:
    case KG_OP_NOT:
        if (!p->flat) {
            put_prefix(p, op);
            return;
        }
        break;
    default: break;
    }
    if (is_elementwise(op))
        put_elementwise(p, op);
    else
        put_call(p, op);
}

// ---- scalar expressions of the header ----------------------------------------------------------
void kg_put_sexpr(kg_printer *p, const kg_sexpr *e, int level)
{
    static const struct {
        const char *text;
        int level;
    } forms[] = {
        [KG_SX_ADD] = {"+", 6},   [KG_SX_SUB] = {"-", 6},   [KG_SX_MUL] = {"*", 7},
        [KG_SX_DIV] = {"/", 7},   [KG_SX_MOD] = {"%", 7},   [KG_SX_CEILDIV] = {"ceildiv", 0},
        [KG_SX_MIN] = {"min", 0}, [KG_SX_MAX] = {"max", 0}, [KG_SX_EQ] = {"==", 4},
        [KG_SX_NE] = {"!=", 4},   [KG_SX_LT] = {"<", 4},    [KG_SX_LE] = {"<=", 4},
        [KG_SX_GT] = {">", 4},    [KG_SX_GE] = {">=", 4},   [KG_SX_AND] = {"and", 3},
        [KG_SX_OR] = {"or", 1}};
    if (e->kind == KG_SX_INT) {
        kg_put(p, "%lld", (long long)e->value);
    } else if (e->kind == KG_SX_PARAM) {
        kg_put(p, "%s", kg_value_text(p, e->param));
    } else {
        bool call = forms[e->kind].level == 0, parens = !call && forms[e->kind].level < level;
        if (call || parens) kg_put(p, "%s(", call ? forms[e->kind].text : "");
        kg_put_sexpr(p, e->a, call ? LEVEL_ANY : forms[e->kind].level);
        if (call)
            kg_put(p, ", ");
        else
            kg_put(p, " %s ", forms[e->kind].text);
        kg_put_sexpr(p, e->b, call ? LEVEL_ANY : forms[e->kind].level + 1);
        if (call || parens) kg_put(p, ")");
    }
}
