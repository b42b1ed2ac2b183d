// SPDX-License-Identifier: MIT
// The printer: kernels, statements, names. Parsing the text gives the same IR again; printing that
// gives the same text. Names of authors are kept; where passes have made copies the later ones
// become name.1, name.2.
#include "ir/print.h"
#include "ir/lexer.h"
#include <stdio.h>
#include <string.h>

// ---- output ------------------------------------------------------------------------------------
void kg_put(kg_printer *p, const char *format, ...)
{
    char small[256];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(small, sizeof small, format, args);
    va_end(args);
    const char *text = small;
    if (length >= (int)sizeof small) {
        va_start(args, format);
        text = kg_arena_vprintf(p->arena, format, args);
        va_end(args);
    }
    for (int i = 0; i < length; i++) KG_PUSH(p->arena, &p->out, text[i]);
}

void kg_put_ints(kg_printer *p, int count, const int64_t *values)
{
    kg_put(p, "[");
    for (int i = 0; i < count; i++) kg_put(p, "%s%lld", i ? ", " : "", (long long)values[i]);
    kg_put(p, "]");
}

static void indent(kg_printer *p, int depth)
{
    for (int i = 0; i < depth; i++) kg_put(p, "  ");
}

// ---- names -------------------------------------------------------------------------------------
static bool is_visible(const kg_printer *p, const char *name)
{
    for (int i = p->visible.count - 1; i >= 0; i--)
        if (!strcmp(p->visible.items[i], name)) return true;
    return false;
}

// Gives a value its name in the text, different from all that are visible.
const char *kg_define_printed(kg_printer *p, const kg_value *value)
{
    const char *name = value->name;
    if (!p->names || value->id < 0) return kg_value_text(p, value);
    if (!name) {
        name = kg_arena_printf(p->arena, "%%%d", p->next_number++);
    } else if (is_visible(p, name)) {
        const char *last_dot = strrchr(value->name, '.');
        int base = (int)(last_dot ? last_dot - value->name : (long)strlen(value->name));
        for (int i = 1; is_visible(p, name); i++)
            name = kg_arena_printf(p->arena, "%.*s.%d", base, value->name, i);
    }
    if (name[0] != '%') KG_PUSH(p->arena, &p->visible, name);
    return p->names[value->id] = name;
}

const char *kg_value_text(kg_printer *p, const kg_value *value)
{
    if (p->names && value->id >= 0 && p->names[value->id]) return p->names[value->id];
    if (value->name) return value->name;
    return value->id >= 0 ? kg_arena_printf(p->arena, "%%%d", value->id) : "%unnumbered";
}

bool kg_layout_same(const kg_layout *a, const kg_layout *b)
{
    if (a == b) return true;
    if (!a || !b || a->rank != b->rank || memcmp(a->bits, b->bits, sizeof a->bits)) return false;
    for (int d = 0; d < a->rank; d++)
        if (a->core[d] != b->core[d] || a->reps[d] != b->reps[d]) return false;
    for (int in = 0; in < KG_IN_COUNT; in++)
        for (int i = 0; i < a->bits[in]; i++)
            for (int d = 0; d < a->rank; d++)
                if (a->basis[in][i][d] != b->basis[in][i][d]) return false;
    return true;
}

static int layout_number(const kg_printer *p, const kg_layout *layout)
{
    for (int i = 0; i < p->layouts.count; i++)
        if (kg_layout_same(p->layouts.items[i], layout)) return i;
    return -1;
}

// `name` or `name @#2` where a statement defines a value.
static void put_definition(kg_printer *p, const kg_value *value)
{
    kg_put(p, "%s", kg_define_printed(p, value));
    if (!value->layout) return;
    int number = layout_number(p, value->layout);
    if (number >= 0) kg_put(p, " @#%d", number);
}

// ---- attributes --------------------------------------------------------------------------------
static bool counts_groups(const kg_op *op)
{
    return op->code == KG_OP_WAIT || op->code == KG_OP_BULK_WAIT || op->code == KG_OP_WGMMA_WAIT;
}

// Attributes that the syntax of the op says; the others stand in braces.
static bool in_syntax(const kg_op *op, const kg_attr *attr)
{
    switch (attr->key) {
    case KG_A_VALUE_INT:
    case KG_A_VALUE_FLOAT: return op->code == KG_OP_CONST;
    case KG_A_DTYPE:
        return op->code == KG_OP_CONST || op->code == KG_OP_CAST || op->code == KG_OP_BITCAST ||
               op->code == KG_OP_IOTA;
    case KG_A_SHAPE: return op->code == KG_OP_BROADCAST || op->code == KG_OP_IOTA;
    case KG_A_AXIS:
    case KG_A_PARTIAL: {
        kg_op_class cls = kg_op_info_of(op->code)->cls;
        if (attr->key == KG_A_PARTIAL) return cls == KG_CLASS_R;
        return cls == KG_CLASS_R || cls == KG_CLASS_N || op->code == KG_OP_EXPAND ||
               op->code == KG_OP_IOTA || op->code == KG_OP_PART;
    }
    case KG_A_PERM: return op->code == KG_OP_TRANSPOSE;
    case KG_A_INDEX:
    case KG_A_EXTENT: return op->code == KG_OP_VIEW;
    case KG_A_SLOT: return op->code == KG_OP_VIEW && attr->i == 1;
    case KG_A_RING:
    case KG_A_ALIGN: return op->code == KG_OP_SHARED;
    case KG_A_PIPELINE:
    case KG_A_UNROLL: return op->code == KG_OP_FOR;
    case KG_A_FIRST:
    case KG_A_LAST:
        return op->code == KG_OP_WARPS || op->code == KG_OP_PART;
    case KG_A_ROLE: return op->code == KG_OP_WARPS;
    case KG_A_ID: return op->code == KG_OP_BARRIER || op->code == KG_OP_ARRIVE;
    case KG_A_BATON: return true;
    case KG_A_COUNT:
        return op->code == KG_OP_BARRIER || op->code == KG_OP_ARRIVE || counts_groups(op);
    case KG_A_ORDER:
    case KG_A_SCOPE: return op->code == KG_OP_FENCE || op->code == KG_OP_PROXY_FENCE;
    case KG_A_COMPARE: return op->code == KG_OP_AWAIT;
    default: return false;
    }
}

bool kg_has_more_attrs(const kg_op *op)
{
    for (const kg_attr *a = op->attrs; a; a = a->next)
        if (!in_syntax(op, a)) return true;
    return false;
}

static void put_attr(kg_printer *p, const kg_attr *attr)
{
    kg_put(p, "%s=", kg_attr_info_of(attr->key)->name);
    switch (kg_attr_info_of(attr->key)->kind) {
    case KG_ATTR_INT: kg_put(p, "%lld", (long long)attr->i); break;
    case KG_ATTR_FLOAT: kg_put(p, "%s", kg_double_text(p->arena, attr->f)); break;
    case KG_ATTR_DTYPE: kg_put(p, "%s", kg_dtype_info_of(attr->dtype)->name); break;
    case KG_ATTR_NAME: kg_put(p, "%s", attr->name ? attr->name : "none"); break;
    case KG_ATTR_INTS:
    case KG_ATTR_LIST: kg_put_ints(p, attr->count, attr->ints); break;
    }
}

// At level tile what stands in the text is by hand: the parser adds the attribute itself.
static bool is_left_out(const kg_printer *p, const kg_attr *attr)
{
    return attr->key == KG_A_BY_HAND && attr->i == 1 && p->kernel &&
           p->kernel->level == KG_LEVEL_TILE;
}

void kg_put_attrs(kg_printer *p, const kg_op *op, const char *lead)
{
    bool first = true;
    bool derived = kg_op_info_of(op->code)->cls == KG_CLASS_Y && p->kernel &&
                   p->kernel->level == KG_LEVEL_TILE && !kg_op_int(op, KG_A_BY_HAND, 0);
    for (const kg_attr *a = op->attrs; a; a = a->next) {
        if (in_syntax(op, a) || is_left_out(p, a)) continue;
        kg_put(p, "%s", first ? lead : ", ");
        if (first) kg_put(p, "{");
        put_attr(p, a);
        first = false;
    }
    if (derived) kg_put(p, first ? "%s{by_hand=0" : ", by_hand=0", lead);
    if (!first || derived) kg_put(p, "}");
}

static void put_type(kg_printer *p, const kg_type *type)
{
    kg_put(p, "%s", kg_dtype_info_of(type->dtype)->name);
    for (int d = 0; d < type->rank; d++) kg_put(p, "%s%d", d ? ", " : "[", type->dims[d]);
    if (type->rank) kg_put(p, "]");
}

// ---- statements --------------------------------------------------------------------------------
static void put_block(kg_printer *p, kg_block *block, int depth);

static void put_body(kg_printer *p, kg_block *block, int depth)
{
    int outer = p->visible.count;
    kg_put(p, "{\n");
    put_block(p, block, depth + 1);
    indent(p, depth);
    kg_put(p, "}");
    p->visible.count = outer;
}

static void put_extra(kg_printer *p, const kg_op *op) // of a statement with a block
{
    if (kg_has_more_attrs(op)) kg_put_attrs(p, op, " with ");
}

static void put_for(kg_printer *p, const kg_op *op, int depth)
{
    int outer = p->visible.count;
    int64_t step;
    bool one =
        kg_const_int(op->operands[2], &step) && step == 1 && kg_is_inlined(p, op->operands[2]);
    for (int k = 0; one && op->operands[0]->type.dtype != KG_I32; k++) {
        if (k == 2)
            one = false; // i64 and nothing but literals: step must say its type
        else if (!kg_is_inlined(p, op->operands[k]) || op->operands[k]->op->code != KG_OP_CONST)
            break;
    }
    const char *name = p->names ? NULL : "";
    kg_put(p, "for ");
    // The bounds do not see the index: its name is taken before they are printed, visible after.
    const kg_value *index = op->blocks[0]->arg;
    name = index ? kg_define_printed(p, index) : "%unnumbered";
    kg_put(p, "%s in ", name);
    kg_put_bound(p, op, 0);
    kg_put(p, " .. ");
    kg_put_bound(p, op, 1);
    if (!one) {
        kg_put(p, " step ");
        kg_put_bound(p, op, 2);
    }
    const kg_attr *attr;
    if ((attr = kg_op_attr(op, KG_A_PIPELINE))) kg_put(p, " pipeline %lld", (long long)attr->i);
    if ((attr = kg_op_attr(op, KG_A_UNROLL))) kg_put(p, " unroll %lld", (long long)attr->i);
    put_extra(p, op);
    kg_put(p, " ");
    put_body(p, op->blocks[0], depth);
    p->visible.count = outer;
}

// True when the condition's block is nothing but the tree of its yield.
static bool is_one_expression(kg_printer *p, kg_block *block)
{
    if (!block->last || block->last->code != KG_OP_YIELD) return false;
    for (const kg_op *op = block->first; op != block->last; op = op->next)
        if (!p->inlined[op->id]) return false;
    return true;
}

static void put_while(kg_printer *p, const kg_op *op, int depth)
{
    kg_mark_inlined(p, op->blocks[0]);
    kg_put(p, "while ");
    if (is_one_expression(p, op->blocks[0]) && !kg_has_more_attrs(op->blocks[0]->last)) {
        kg_put_value(p, op->blocks[0]->last->operands[0]);
        kg_put(p, " ");
    } else {
        put_body(p, op->blocks[0], depth);
        kg_put(p, " ");
    }
    put_body(p, op->blocks[1], depth);
}

static void put_if(kg_printer *p, const kg_op *op, int depth)
{
    kg_put(p, "if ");
    const kg_value *truth = op->operands[0];
    bool literal =
        truth->kind == KG_VALUE_RESULT && truth->op->code == KG_OP_CONST && kg_is_inlined(p, truth);
    if (literal) // typed: a bare constant would make the parser choose
        kg_put(p, "i1(%s)", kg_op_int(truth->op, KG_A_VALUE_INT, 0) ? "true" : "false");
    else
        kg_put_value(p, truth);
    kg_put(p, " ");
    put_body(p, op->blocks[0], depth);
    if (!op->blocks[1]->first) return;
    kg_put(p, " else ");
    put_body(p, op->blocks[1], depth);
}

static void put_warps(kg_printer *p, const kg_op *op, int depth)
{
    kg_put(p, "warps %lld .. %lld", (long long)kg_op_int(op, KG_A_FIRST, 0),
           (long long)kg_op_int(op, KG_A_LAST, 0));
    const kg_attr *role = kg_op_attr(op, KG_A_ROLE);
    if (role) kg_put(p, " as %s", role->name);
    put_extra(p, op);
    kg_put(p, " ");
    put_body(p, op->blocks[0], depth);
}

static void put_shared(kg_printer *p, const kg_op *op)
{
    const kg_attr *attr;
    kg_put(p, "shared ");
    put_definition(p, op->results[0]);
    kg_put(p, ": ");
    put_type(p, &op->results[0]->type);
    if ((attr = kg_op_attr(op, KG_A_RING))) kg_put(p, " ring %lld", (long long)attr->i);
    if ((attr = kg_op_attr(op, KG_A_ALIGN))) kg_put(p, " align %lld", (long long)attr->i);
}

static void put_frag(kg_printer *p, const kg_op *op)
{
    const char *rest = "";
    kg_put(p, "frag ");
    put_definition(p, op->results[0]);
    kg_put(p, "%s: ", rest);
    put_type(p, &op->results[0]->type);
    kg_put(p, " = ");
    kg_put_converted(p, op->operands[0], op->results[0]->type.dtype);
}

static void put_store(kg_printer *p, const kg_op *op)
{
    kg_put(p, "%s ", kg_op_info_of(op->code)->name);
    kg_put_memory(p, op->operands[0]);
    kg_put(p, " = ");
    kg_put_converted(p, op->operands[1], op->operands[0]->type.dtype);
    if (op->n_operands < 3) return;
    kg_put(p, " where ");
    kg_put_converted(p, op->operands[2], KG_I1);
}

static void put_flag(kg_printer *p, const kg_op *op)
{
    const kg_attr *compare = kg_op_attr(op, KG_A_COMPARE);
    const char *sign = op->code == KG_OP_SIGNAL ? "=" : "==";
    if (compare && !strcmp(compare->name, "ge")) sign = ">=";
    kg_put(p, "%s ", kg_op_info_of(op->code)->name);
    kg_put_memory(p, op->operands[0]);
    kg_put(p, " %s ", sign);
    kg_put_converted(p, op->operands[1], op->operands[0]->type.dtype);
}

static void put_sync(kg_printer *p, const kg_op *op)
{
    const kg_attr *attr;
    kg_put(p, "%s", kg_op_info_of(op->code)->name);
    for (int i = 0; i < op->n_operands; i++) {
        kg_put(p, " ");
        kg_put_memory(p, op->operands[i]);
    }
    if ((attr = kg_op_attr(op, KG_A_ID))) kg_put(p, " id %lld", (long long)attr->i);
    if ((attr = kg_op_attr(op, KG_A_COUNT)))
        kg_put(p, "%s %lld", counts_groups(op) ? "" : " count", (long long)attr->i);
    if ((attr = kg_op_attr(op, KG_A_BATON))) kg_put(p, " %lld", (long long)attr->i);
    if ((attr = kg_op_attr(op, KG_A_ORDER))) kg_put(p, " %s", attr->name);
    bool mbarrier = op->code == KG_OP_MBARRIER_ARRIVE; // whose scope stands with its attributes
    if (!mbarrier && (attr = kg_op_attr(op, KG_A_SCOPE))) kg_put(p, " %s", attr->name);
}

// An op without blocks, up to its attributes in braces.
static void put_line(kg_printer *p, const kg_op *op)
{
    switch (op->code) {
    case KG_OP_SHARED: put_shared(p, op); return;
    case KG_OP_FRAG: put_frag(p, op); return;
    case KG_OP_ASSIGN:
        kg_put(p, "%s = ", kg_value_text(p, op->operands[0]));
        kg_put_converted(p, op->operands[1], op->operands[0]->type.dtype);
        return;
    case KG_OP_YIELD:
        kg_put(p, "yield ");
        kg_put_value(p, op->operands[0]);
        return;
    case KG_OP_STORE:
    case KG_OP_ATOMIC_ADD:
    case KG_OP_ATOMIC_MAX:
    case KG_OP_ATOMIC_MIN: put_store(p, op); return;
    case KG_OP_COPY:
    case KG_OP_COPY_ASYNC:
    case KG_OP_COPY_BULK:
    case KG_OP_STORE_BULK:
    case KG_OP_REDUCE_BULK:
        kg_put(p, "%s ", kg_op_info_of(op->code)->name);
        kg_put_memory(p, op->operands[0]);
        kg_put(p, " = ");
        kg_put_memory(p, op->operands[1]);
        if (op->n_operands < 3) return;
        kg_put(p, " on ");
        kg_put_memory(p, op->operands[2]);
        return;
    case KG_OP_SIGNAL:
    case KG_OP_AWAIT: put_flag(p, op); return;
    default: break;
    }
    if (kg_op_info_of(op->code)->cls == KG_CLASS_Y) {
        put_sync(p, op);
        return;
    }
    if (op->n_results) {
        put_definition(p, op->results[0]);
        kg_put(p, " = ");
    }
    kg_put_rhs(p, op);
}

static void put_statement(kg_printer *p, const kg_op *op, int depth)
{
    switch (op->code) {
    case KG_OP_FOR: put_for(p, op, depth); break;
    case KG_OP_WHILE: put_while(p, op, depth); break;
    case KG_OP_IF: put_if(p, op, depth); break;
    case KG_OP_WARPS: put_warps(p, op, depth); break;
    default:
        put_line(p, op);
        kg_put_attrs(p, op, " ");
        break;
    }
}

static void put_block(kg_printer *p, kg_block *block, int depth)
{
    kg_mark_inlined(p, block);
    for (const kg_op *op = block->first; op; op = op->next) {
        if (p->inlined[op->id]) continue;
        indent(p, depth);
        put_statement(p, op, depth);
        kg_put(p, "\n");
    }
}

// ---- entries -----------------------------------------------------------------------------------
static bool note_op(kg_op *op, void *user)
{
    kg_printer *p = user;
    for (int i = 0; i < op->n_operands; i++)
        if (op->operands[i] && op->operands[i]->id >= 0) p->uses[op->operands[i]->id]++;
    for (int i = 0; i < op->n_results; i++) {
        const kg_layout *layout = op->results[i]->layout;
        if (layout && layout_number(p, layout) < 0) KG_PUSH(p->arena, &p->layouts, layout);
    }
    return true;
}

static void put_kernel(kg_printer *p, kg_kernel *kernel)
{
    int n_ops, n_values = kg_kernel_number(kernel, &n_ops);
    p->kernel = kernel;
    p->uses = KG_NEW_ARRAY(p->arena, int, n_values);
    p->names = KG_NEW_ARRAY(p->arena, const char *, n_values);
    p->inlined = KG_NEW_ARRAY(p->arena, bool, n_ops);
    p->next_number = 0;
    p->visible.count = 0;
    p->layouts.count = 0;
    kg_walk(kernel->body, note_op, p);
    p->flat = kernel->level >= KG_LEVEL_LAID_OUT || p->layouts.count > 0;
    kg_put_header(p, kernel);
    put_body(p, kernel->body, 0);
    kg_put(p, "\n");
}

static char *finished(kg_printer *p)
{
    KG_PUSH(p->arena, &p->out, 0);
    return p->out.items;
}

char *kg_print_kernel(kg_arena *arena, kg_kernel *kernel)
{
    kg_printer p = {.arena = arena};
    put_kernel(&p, kernel);
    return finished(&p);
}

char *kg_print_unit(kg_arena *arena, const kg_unit *unit)
{
    kg_printer p = {.arena = arena};
    for (kg_kernel *k = unit->kernels; k; k = k->next) {
        put_kernel(&p, k);
        if (k->next) kg_put(&p, "\n");
    }
    return finished(&p);
}

// For messages, in the middle of a pass: numbers nothing and prints no blocks.
char *kg_print_op(kg_arena *arena, const kg_op *op)
{
    kg_printer p = {.arena = arena, .flat = true};
    if (op->code == KG_OP_FOR)
        kg_put(&p, "for %s in %s .. %s",
               op->blocks[0]->arg ? kg_value_text(&p, op->blocks[0]->arg) : "_",
               kg_value_text(&p, op->operands[0]), kg_value_text(&p, op->operands[1]));
    else if (op->code == KG_OP_WHILE)
        kg_put(&p, "while");
    else if (op->code == KG_OP_IF)
        kg_put(&p, "if %s", kg_value_text(&p, op->operands[0]));
    else if (op->code == KG_OP_WARPS)
        kg_put(&p, "warps %lld .. %lld", (long long)kg_op_int(op, KG_A_FIRST, 0),
               (long long)kg_op_int(op, KG_A_LAST, 0));
    else
        put_line(&p, op);
    return finished(&p);
}
