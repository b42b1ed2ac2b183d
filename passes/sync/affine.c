// SPDX-License-Identifier: MIT
// Affine forms of scalars, counters included. See affine.h.
#include "passes/sync/affine.h"

enum { SAME_DEPTH = 12 };

bool kg_op_inside(const kg_op *op, const kg_op *owner)
{
    for (const kg_block *block = op->parent; block;
         block = block->owner ? block->owner->parent : NULL)
        if (block->owner == owner) return owner != NULL;
    return false;
}

static bool is_integer(const kg_value *v)
{
    return kg_is_scalar(v) && !kg_dtype_info_of(v->type.dtype)->is_float;
}

// ---- counters -----------------------------------------------------------------------------------
static bool is_result_of(const kg_value *v, kg_opcode code)
{
    return v->kind == KG_VALUE_RESULT && v->op->code == code;
}

static void classify(kg_assign *assign)
{
    const kg_value *value = assign->op->operands[1];
    int64_t wrap = 0, by;
    if (is_result_of(value, KG_OP_MOD) && kg_const_int(value->op->operands[1], &wrap))
        value = value->op->operands[0];
    if (wrap < 0 || !is_result_of(value, KG_OP_ADD)) return;
    kg_value *const *x = value->op->operands;
    // Nothing may assign the counter between reading and writing it: they stand in one block, and
    // the only other assignments are checked by the user (a counter with one assignment only is
    // trusted).
    if (value->op->parent != assign->op->parent) return;
    if ((x[0] == assign->counter && kg_const_int(x[1], &by)) ||
        (x[1] == assign->counter && kg_const_int(x[0], &by))) {
        assign->increment = true;
        assign->by = by;
        assign->wrap = wrap;
    }
}

typedef struct collector {
    kg_arena *arena;
    kg_assigns *out;
} collector;

static bool collect(kg_op *op, void *user)
{
    collector *c = user;
    if (op->code != KG_OP_ASSIGN || !is_integer(op->operands[0])) return true;
    kg_assign assign = {.counter = op->operands[0], .op = op};
    classify(&assign);
    KG_PUSH(c->arena, c->out, assign);
    return true;
}

void kg_assigns_collect(kg_arena *arena, kg_kernel *kernel, kg_assigns *out)
{
    collector c = {arena, out};
    kg_walk(kernel->body, collect, &c);
}

// What `reader` read from the counter is still its value when `user` runs.
static bool still_holds(const kg_assigns *assigns, const kg_value *counter, const kg_op *reader,
                        const kg_op *user)
{
    if (reader == user) return true;
    for (int i = 0; i < assigns->count; i++) {
        const kg_assign *s = &assigns->items[i];
        if (s->counter != counter) continue;
        if (s->op->id > reader->id && s->op->id < user->id) return false;
        for (const kg_block *b = s->op->parent; b && b->owner; b = b->owner->parent)
            if (kg_is_loop(b->owner) && kg_op_inside(user, b->owner) &&
                !kg_op_inside(reader, b->owner))
                return false;
    }
    return true;
}

// ---- forms --------------------------------------------------------------------------------------
static const kg_affine unknown = {0};

static kg_affine constant_form(int64_t c)
{
    return (kg_affine){.known = true, .constant = c};
}

static kg_affine leaf(kg_value *value)
{
    return (kg_affine){.known = true, .n = 1, .term = {{value, 1}}};
}

static kg_affine scaled(kg_affine a, int64_t factor)
{
    bool over = __builtin_mul_overflow(a.constant, factor, &a.constant);
    for (int i = 0; i < a.n; i++)
        over |= __builtin_mul_overflow(a.term[i].factor, factor, &a.term[i].factor);
    return over || !a.known ? unknown : factor ? a : constant_form(0);
}

static bool add_term(kg_affine *a, struct kg_affine_term term)
{
    for (int i = 0; i < a->n; i++) {
        if (!kg_same_value(a->term[i].value, term.value)) continue;
        a->term[i].factor += term.factor;
        if (a->term[i].factor == 0) a->term[i] = a->term[--a->n];
        return true;
    }
    if (a->n == KG_AFFINE_TERMS) return false;
    a->term[a->n++] = term;
    return true;
}

static kg_affine sum(kg_affine a, const kg_affine *b)
{
    if (!a.known || !b->known || __builtin_add_overflow(a.constant, b->constant, &a.constant))
        return unknown;
    for (int i = 0; i < b->n; i++)
        if (!add_term(&a, b->term[i])) return unknown;
    return a;
}

typedef struct former {
    const kg_assigns *assigns;
    const kg_op *user;
    int64_t modulus;
} former;

static kg_affine form(const former *f, kg_value *value, const kg_op *reader, int depth);

static kg_affine product(const former *f, kg_op *op, int depth)
{
    kg_affine a = form(f, op->operands[0], op, depth + 1),
              b = form(f, op->operands[1], op, depth + 1);
    if (a.known && a.n == 0) return scaled(b, a.constant);
    if (b.known && b.n == 0) return scaled(a, b.constant);
    return leaf(op->results[0]);
}

static bool widens(const kg_op *cast)
{
    const kg_value *from = cast->operands[0];
    return is_integer(from) && kg_dtype_info_of(from->type.dtype)->bits <=
                                   kg_dtype_info_of(cast->results[0]->type.dtype)->bits;
}

// Opaque results are leaves: they keep the value that they had when their op ran.
static kg_affine form_of_result(const former *f, kg_value *value, int depth)
{
    kg_op *op = value->op;
    int64_t c;
    switch (op->code) {
    case KG_OP_CONST:
        return kg_const_int(value, &c) ? constant_form(c) : unknown;
    case KG_OP_ADD:
    case KG_OP_SUB: {
        kg_affine a = form(f, op->operands[0], op, depth + 1),
                  b = form(f, op->operands[1], op, depth + 1);
        b = scaled(b, op->code == KG_OP_SUB ? -1 : 1);
        a = sum(a, &b);
        return a.known ? a : leaf(value);
    }
    case KG_OP_NEG:
        return scaled(form(f, op->operands[0], op, depth + 1), -1);
    case KG_OP_MUL:
        return product(f, op, depth);
    case KG_OP_SHL:
        if (!kg_const_int(op->operands[1], &c) || c < 0 || c > 30) return leaf(value);
        return scaled(form(f, op->operands[0], op, depth + 1), (int64_t)1 << c);
    case KG_OP_CAST:
        return widens(op) ? form(f, op->operands[0], op, depth + 1) : leaf(value);
    case KG_OP_MOD:
        if (f->modulus > 0 && kg_const_int(op->operands[1], &c) && c > 0 && c % f->modulus == 0)
            return form(f, op->operands[0], op, depth + 1);
        return leaf(value);
    default:
        return leaf(value);
    }
}

static kg_affine form(const former *f, kg_value *value, const kg_op *reader, int depth)
{
    if (!is_integer(value) || depth > SAME_DEPTH) return unknown;
    if (kg_is_mutable(value))
        return still_holds(f->assigns, value, reader, f->user) ? leaf(value) : unknown;
    if (value->kind != KG_VALUE_RESULT) return leaf(value);
    kg_affine a = form_of_result(f, value, depth);
    return a.known ? a : leaf(value);
}

kg_affine kg_affine_of(const kg_assigns *assigns, kg_value *value, const kg_op *user,
                       int64_t modulus)
{
    if (!value) return constant_form(0);
    former f = {assigns, user, modulus};
    return form(&f, value, user, 0);
}

// ---- equality -----------------------------------------------------------------------------------
static bool same_attrs(const kg_op *a, const kg_op *b)
{
    const kg_attr *x = a->attrs, *y = b->attrs;
    for (; x && y; x = x->next, y = y->next)
        if (x->key != y->key || x->i != y->i) return false;
    return !x && !y;
}

static bool same(const kg_value *a, const kg_value *b, int depth)
{
    if (a == b) return depth == 0 || !kg_is_mutable(a);
    if (depth > SAME_DEPTH || a->kind != KG_VALUE_RESULT || b->kind != KG_VALUE_RESULT)
        return false;
    const kg_op *x = a->op, *y = b->op;
    kg_op_class cls = kg_op_info_of(x->code)->cls;
    if (x->code != y->code || x->n_operands != y->n_operands || !kg_is_scalar(a) ||
        !kg_is_scalar(b) || a->type.dtype != b->type.dtype ||
        (cls != KG_CLASS_P && cls != KG_CLASS_U && cls != KG_CLASS_B && cls != KG_CLASS_C) ||
        !same_attrs(x, y))
        return false;
    for (int i = 0; i < x->n_operands; i++)
        if (!same(x->operands[i], y->operands[i], depth + 1)) return false;
    return true;
}

bool kg_same_value(const kg_value *a, const kg_value *b)
{
    return same(a, b, 0);
}

// ---- bounds -------------------------------------------------------------------------------------
enum { BOUNDS_DEPTH = 12 };

static int64_t lesser(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t greater(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static kg_bounds bounds_of(const kg_value *value, int depth)
{
    kg_bounds x = {INT64_MIN, INT64_MAX}, y = x;
    int64_t number;
    if (kg_const_int(value, &number)) return (kg_bounds){number, number};
    if (value->kind != KG_VALUE_RESULT || depth == BOUNDS_DEPTH || value->op->n_operands != 2)
        return x;
    kg_opcode code = value->op->code;
    if (code != KG_OP_MIN && code != KG_OP_MAX && code != KG_OP_MOD) return x;
    x = bounds_of(value->op->operands[0], depth + 1);
    y = bounds_of(value->op->operands[1], depth + 1);
    if (code == KG_OP_MIN) return (kg_bounds){lesser(x.least, y.least), lesser(x.most, y.most)};
    if (code == KG_OP_MAX) return (kg_bounds){greater(x.least, y.least), greater(x.most, y.most)};
    bool positive = y.least > 0;
    return (kg_bounds){positive ? 0 : INT64_MIN,
                       positive && y.most < INT64_MAX ? y.most - 1 : INT64_MAX};
}

kg_bounds kg_bounds_of(const kg_value *value)
{
    return bounds_of(value, 0);
}

// ---- differences --------------------------------------------------------------------------------
static int64_t residue(int64_t x, int64_t modulus)
{
    if (modulus <= 0) return x;
    x %= modulus;
    return x < 0 ? x + modulus : x;
}

// The value may differ between trips of the loop.
static bool varies(const kg_value *value, const kg_op *loop)
{
    if (value->kind == KG_VALUE_ARG) return value->op == loop || kg_op_inside(value->op, loop);
    return value->kind == KG_VALUE_RESULT && kg_op_inside(value->op, loop);
}

static bool in_loop_of_one(const kg_op *op, const kg_op *a, const kg_op *b)
{
    for (const kg_block *block = op->parent; block && block->owner; block = block->owner->parent) {
        const kg_op *owner = block->owner;
        if (kg_is_loop(owner) && kg_op_inside(a, owner) != kg_op_inside(b, owner)) return true;
    }
    return false;
}

// counter at b minus counter at a, both in the same trip of everything that holds both, a before b.
static bool counter_step(const kg_assigns *assigns, const kg_value *counter, const kg_op *a,
                         const kg_op *b, int64_t modulus, int64_t *step)
{
    *step = 0;
    for (int i = 0; i < assigns->count; i++) {
        const kg_assign *s = &assigns->items[i];
        if (s->counter != counter) continue;
        if (in_loop_of_one(s->op, a, b)) return false;
        if (s->op->id < a->id || s->op->id > b->id) continue;
        // Certain to run between them: every region around it holds a and b as well.
        bool certain = s->increment && (!s->wrap || (modulus > 0 && s->wrap % modulus == 0));
        for (const kg_block *block = s->op->parent; block && block->owner;
             block = block->owner->parent)
            certain &= kg_op_inside(a, block->owner) && kg_op_inside(b, block->owner);
        if (!certain) return false;
        *step += s->by;
    }
    return true;
}

// The same over `distance` trips of the loop: base + slope * distance.
static bool counter_trips(const kg_assigns *assigns, const kg_value *counter, const kg_op *a,
                          const kg_op *b, const kg_op *loop, int64_t modulus, int64_t *base,
                          int64_t *slope)
{
    const kg_assign *only = NULL;
    *base = *slope = 0;
    for (int i = 0; i < assigns->count; i++) {
        const kg_assign *s = &assigns->items[i];
        if (s->counter != counter || !kg_op_inside(s->op, loop)) continue;
        if (only) return false;
        only = s;
    }
    if (!only) return !kg_op_inside(counter->op, loop);
    const kg_block *body = loop->blocks[loop->n_blocks - 1];
    if (!only->increment || only->op->parent != body || kg_op_inside(counter->op, loop) ||
        (only->wrap && !(modulus > 0 && only->wrap % modulus == 0)))
        return false;
    *slope = only->by;
    *base = (only->op->id < b->id ? only->by : 0) - (only->op->id < a->id ? only->by : 0);
    return true;
}

typedef struct differ {
    const kg_assigns *assigns;
    const kg_op *a, *b, *loop;
    int64_t modulus;
    kg_difference out;
} differ;

static void subtract(differ *d, int64_t *from, int64_t factor, int64_t step)
{
    int64_t product;
    d->out.exact &= !__builtin_mul_overflow(factor, step, &product) &&
                    !__builtin_sub_overflow(*from, product, from);
}

static void add_difference(differ *d, kg_value *value, int64_t ka, int64_t kb)
{
    ka = residue(ka, d->modulus);
    kb = residue(kb, d->modulus);
    int64_t step = 0, base = 0, slope = 0;
    if (ka == 0 && kb == 0) return;
    d->out.exact &= ka == kb;
    if (!d->out.exact) return;
    if (kg_is_mutable(value)) {
        if (!d->loop) {
            d->out.exact = counter_step(d->assigns, value, d->a, d->b, d->modulus, &step);
            subtract(d, &d->out.base, kb, step);
        } else {
            d->out.exact =
                counter_trips(d->assigns, value, d->a, d->b, d->loop, d->modulus, &base, &slope);
            subtract(d, &d->out.base, kb, base);
            subtract(d, &d->out.slope, kb, slope);
        }
    } else if (d->loop && value->kind == KG_VALUE_ARG && value->op == d->loop) {
        d->out.exact = kg_const_int(d->loop->operands[2], &step);
        subtract(d, &d->out.slope, kb, step);
    } else if (d->loop && varies(value, d->loop)) {
        d->out.exact = false;
    }
}

static int64_t factor_of(const kg_affine *a, const kg_value *value)
{
    for (int i = 0; i < a->n; i++)
        if (kg_same_value(a->term[i].value, value)) return a->term[i].factor;
    return 0;
}

kg_difference kg_affine_difference(const kg_assigns *assigns, const kg_affine *a,
                                   const kg_op *a_user, const kg_affine *b, const kg_op *b_user,
                                   const kg_op *loop, int64_t modulus)
{
    differ d = {assigns, a_user, b_user, loop, modulus, {.exact = a->known && b->known}};
    d.out.base = a->constant - b->constant;
    for (int i = 0; i < a->n && d.out.exact; i++)
        add_difference(&d, a->term[i].value, a->term[i].factor, factor_of(b, a->term[i].value));
    for (int i = 0; i < b->n && d.out.exact; i++)
        if (factor_of(a, b->term[i].value) == 0)
            add_difference(&d, b->term[i].value, 0, b->term[i].factor);
    return d.out;
}
