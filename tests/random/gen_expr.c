// SPDX-License-Identifier: MIT
// Expressions of random programs.
#include "gen_internal.h"

const char *const gtype_names[GTYPES] = {"f32", "f16", "bf16", "i32", "i8", "i64"};
const char *const dim_names[DIMS] = {"R", "C", "H", "W"};

double gtype_limit(gtype t)
{
    static const double limits[GTYPES] = {64, 32, 8, 1000, 20, 1000};
    return limits[t];
}

gtype random_type(generator *g)
{
    static const gtype types[] = {F32,  F32, F32, F32, F16, F16, BF16,
                                  BF16, I32, I32, I32, I32, I8,  I64};
    return types[draw(g, 14)];
}

// Sums stay exact below this.
static double exact_limit(gtype t)
{
    static const double limits[GTYPES] = {32768, 1024, 128, 1e6, 100, 1e6};
    return limits[t];
}

int64_t elements(const generator *g, shape s)
{
    int64_t n = 1;
    for (int d = 0; d < s.rank; d++) n *= g->size[s.dims[d]];
    return n;
}

shape random_shape(generator *g)
{
    static const int first[] = {0, 0, 0, 1, 2}, second[] = {1, 1, 1, 0, 3};
    unsigned kind = draw(g, 8);
    if (kind == 0) return (shape){1, {0}};
    if (kind < 3) return (shape){1, {1}};
    unsigned i = draw(g, 5);
    if (kind == 7) return (shape){2, {first[i], first[draw(g, 5)]}};
    return (shape){2, {first[i], second[i]}};
}

const char *extents(generator *g, shape s)
{
    if (s.rank == 2) return form(g, "%s, %s", dim_names[s.dims[0]], dim_names[s.dims[1]]);
    return s.rank ? dim_names[s.dims[0]] : "";
}

term clamp(generator *g, term e, gtype t, double limit)
{
    if (e.bound <= limit) return e;
    int l = (int)limit;
    const char *text = whole(t) ? form(g, "(%s %% %d)", e.text, l)
                                : form(g, "min(max(%s, -%d.0), %d.0)", e.text, l, l);
    return (term){text, limit, e.exact};
}

const char *small_scalar(generator *g)
{
    const char *k = g->n_loops ? g->loops[draw(g, (unsigned)g->n_loops)] : "cta";
    switch (draw(g, 5)) {
    case 0:
        return form(g, "%u", draw(g, 4));
    case 1:
        return form(g, "(%s + %u)", k, draw(g, 4));
    case 2:
        return form(g, "(%s %% %u)", k, 2 + draw(g, 3));
    default:
        return k;
    }
}

// ---- memory -------------------------------------------------------------------------------------
static const char *offset(generator *g)
{
    switch (draw(g, 6)) {
    case 0:
        return form(g, "%u", draw(g, 9));
    case 1:
        return form(g, "cta*%u", 4 + draw(g, 8));
    case 2:
        return form(g, "%s*%u", small_scalar(g), 1 + draw(g, 8));
    case 3:
        return form(g, "%s - %u", small_scalar(g), draw(g, 4));
    default:
        return "0";
    }
}

const char *input_view(generator *g, shape s, gtype t, bool by_rows)
{
    const char *x = gtype_names[t], *d0 = dim_names[s.dims[0]], *d1 = dim_names[s.dims[1]];
    g->used_input[t] = true;
    if (s.rank == 0) return form(g, "x_%s[%s, %s]", x, small_scalar(g), offset(g));
    if (s.rank == 1 && !by_rows && chance(g, 4))
        return form(g, "x_%s[%s.. + %s, %s]", x, offset(g), d0, small_scalar(g));
    if (s.rank == 1) return form(g, "x_%s[%s, %s.. + %s]", x, small_scalar(g), offset(g), d0);
    if (!by_rows && chance(g, 6))
        return form(g, "transpose(x_%s[%s.. + %s, %s.. + %s])", x, offset(g), d1, offset(g), d0);
    return form(g, "x_%s[%s.. + %s, %s.. + %s]", x, offset(g), d0, offset(g), d1);
}

// Does a tile of this shape fit into the last dimensions of the buffer?
bool fits(const generator *g, const buffer *b, shape s)
{
    int skip = b->shape.rank - s.rank;
    if (skip < 0) return false;
    for (int d = 0; d < s.rank; d++)
        if (g->size[s.dims[d]] > g->size[b->shape.dims[d + skip]]) return false;
    return true;
}

// A start from 0 to `most`.
static const char *start(generator *g, int most)
{
    if (most == 0 || chance(g, 2)) return "0";
    if (g->n_loops && chance(g, 2)) return form(g, "%s %% %d", small_scalar(g), most + 1);
    return form(g, "%u", draw(g, (unsigned)most + 1));
}

const char *buffer_view(generator *g, const buffer *b, shape s)
{
    int skip = b->shape.rank - s.rank;
    const char *slot = b->ring > 1 ? form(g, "%s; ", small_scalar(g)) : b->global ? "cta, " : "";
    const char *items = "";
    for (int d = 0; d < b->shape.rank; d++) {
        int size = g->size[b->shape.dims[d]];
        const char *item;
        if (d < skip)
            item = form(g, "%s", start(g, size - 1));
        else
            item = form(g, "%s.. + %s", start(g, size - g->size[s.dims[d - skip]]),
                        dim_names[s.dims[d - skip]]);
        items = form(g, "%s%s%s", items, d ? ", " : "", item);
    }
    return form(g, "%s[%s%s]", b->name, slot, items);
}

static shape swapped(shape s)
{
    return s.rank == 2 ? (shape){2, {s.dims[1], s.dims[0]}} : s;
}

// A buffer that a tile of this shape can be read from, or NULL.
static const buffer *some_buffer(generator *g, shape s, gtype t)
{
    for (int tries = 0; tries < 4 && g->n_buffers; tries++) {
        const buffer *b = &g->buffers[draw(g, (unsigned)g->n_buffers)];
        if (b->type == t && fits(g, b, s)) return b;
    }
    return NULL;
}

// ---- leaves -------------------------------------------------------------------------------------
static term literal(generator *g, shape s, gtype t)
{
    int v = (int)draw(g, 7) - 3;
    const char *number = t == I32   ? form(g, "%d", v)
                         : whole(t) ? form(g, "%s(%d)", gtype_names[t], v)
                                    : form(g, "%s(%d.0)", gtype_names[t], v);
    if (s.rank) number = form(g, "full(%s, [%s])", number, extents(g, s));
    return (term){number, 3, true};
}

static term input(generator *g, shape s, gtype t)
{
    const char *view = input_view(g, s, t, false);
    if (s.rank == 0 || !chance(g, 5)) return (term){form(g, "(load %s)", view), 4, true};
    const char *mask = condition(g, s, 0);
    if (chance(g, 2)) return (term){form(g, "(load %s where %s)", view, mask), 4, true};
    return (term){form(g, "(load %s where %s else %s)", view, mask, whole(t) ? "2" : "2.0"), 4,
                  true};
}

static term leaf(generator *g, shape s, gtype t, bool exact)
{
    int64_t from = g->n_vars ? draw(g, (unsigned)g->n_vars) : 0;
    if (!chance(g, 3))
        for (int i = 0; i < g->n_vars; i++) {
            const variable *v = &g->vars[(i + from) % g->n_vars];
            if (v->type == t && v->shape.rank == s.rank && (v->exact || !exact) &&
                (!s.rank || v->shape.dims[0] == s.dims[0]) &&
                (s.rank < 2 || v->shape.dims[1] == s.dims[1]))
                return (term){v->name, v->bound, v->exact};
        }
    bool turned = s.rank == 2 && chance(g, 4);
    const buffer *b = chance(g, 4) ? NULL : some_buffer(g, turned ? swapped(s) : s, t);
    if (b) {
        const char *view = buffer_view(g, b, turned ? swapped(s) : s);
        return (term){form(g, turned ? "(load transpose(%s))" : "(load %s)", view), gtype_limit(t),
                      true};
    }
    if (s.rank == 0 && t == I32 && chance(g, 2)) return (term){small_scalar(g), 16, true};
    if (s.rank && t == I32 && chance(g, 3))
        return s.rank == 1
                   ? (term){form(g, "iota(%s)", extents(g, s)), 64, true}
                   : (term){form(g, "iota([%s], axis=%u)", extents(g, s), draw(g, 2)), 64, true};
    return chance(g, 4) ? literal(g, s, t) : input(g, s, t);
}

// ---- compounds ----------------------------------------------------------------------------------
static term binary(generator *g, shape s, gtype t, int depth, bool exact)
{
    static const char *const ops[] = {"+", "-", "*"};
    unsigned op = draw(g, whole(t) ? 10 : 5);
    term a = expression(g, s, t, depth - 1, exact);
    if (op >= 5) {
        static const char *const with[] = {"/", "%", "&", "^", ">>"};
        return (term){form(g, "(%s %s %u)", a.text, with[op - 5], 2 + draw(g, 5)), a.bound + 8,
                      true};
    }
    term b = expression(g, s, t, depth - 1, exact);
    bool both = a.exact && b.exact;
    if (op == 2 && !whole(t) && both && chance(g, 4)) {
        term c = expression(g, s, t, 0, true);
        a = clamp(g, a, t, 4);
        b = clamp(g, b, t, 4);
        return (term){form(g, "fma(%s, %s, %s)", a.text, b.text, c.text), 16 + c.bound, true};
    }
    if (op >= 3)
        return (term){form(g, op == 3 ? "min(%s, %s)" : "max(%s, %s)", a.text, b.text),
                      a.bound > b.bound ? a.bound : b.bound, both};
    if (op == 2) {
        a = clamp(g, a, t, t == BF16 || t == I8 ? 4 : 16);
        b = clamp(g, b, t, t == BF16 || t == I8 ? 4 : 16);
    }
    return (term){form(g, "(%s %s %s)", a.text, ops[op], b.text),
                  op == 2 ? a.bound * b.bound : a.bound + b.bound, both};
}

static term joined(generator *g, shape s, gtype t, int depth, bool exact)
{
    term a, b;
    const char *text;
    if (s.rank == 2 && chance(g, 2)) {
        a = expression(g, (shape){1, {s.dims[0]}}, t, depth - 1, exact);
        b = expression(g, (shape){1, {s.dims[1]}}, t, depth - 1, exact);
        text = form(g, "((%s)[:, None] + (%s)[None, :])", a.text, b.text);
    } else if (s.rank == 2) {
        unsigned axis = draw(g, 2);
        a = expression(g, s, t, depth - 1, exact);
        b = expression(g, (shape){1, {s.dims[axis]}}, t, depth - 1, exact);
        text = form(g, axis ? "(%s - (%s)[None, :])" : "(%s - (%s)[:, None])", a.text, b.text);
    } else {
        a = expression(g, s, t, depth - 1, exact);
        b = expression(g, (shape){0}, t, 0, exact);
        text = form(g, "(%s + %s)", a.text, b.text);
    }
    return (term){text, a.bound + b.bound, a.exact && b.exact};
}

static term reduced(generator *g, shape s, gtype t, int depth)
{
    static const char *const ops[] = {"sum", "max", "min"};
    unsigned op = draw(g, 3), other = draw(g, 2), axis = draw(g, 2);
    shape from = {s.rank + 1, {(int)other}};
    if (s.rank == 1) from.dims[0] = axis ? s.dims[0] : (int)other;
    if (s.rank == 1) from.dims[1] = axis ? (int)other : s.dims[0];
    if (s.rank == 0) axis = 0;
    if (s.rank == 0 && chance(g, 3)) from = (shape){2, {0, 1}};
    double n = s.rank == 0 ? (double)elements(g, from) : g->size[other];
    term a = expression(g, from, t, depth - 1, true);
    if (op == 0) {
        double most = exact_limit(t) / n;
        if (most < 1)
            op = 1;
        else
            a = clamp(g, a, t, most > 1000 ? 1000 : most);
    }
    double bound = op ? a.bound : a.bound * n;
    if (from.rank == 2 && s.rank == 0)
        return (term){form(g, "%s(%s)", ops[op], a.text), bound, true};
    if (t == I32 && chance(g, 4))
        return (term){
            form(g, chance(g, 2) ? "argmax(%s, axis=%u)" : "argmin(%s, axis=%u)", a.text, axis), 64,
            true};
    return (term){form(g, "%s(%s, axis=%u)", ops[op], a.text, axis), bound, true};
}

static term scanned(generator *g, shape s, gtype t, int depth)
{
    unsigned axis = s.rank == 2 ? draw(g, 2) : 0;
    double most = exact_limit(t) / g->size[s.dims[axis]];
    term a = expression(g, s, t, depth - 1, true);
    if (most < 1 || chance(g, 3))
        return (term){form(g, "cummax(%s, axis=%u)", a.text, axis), a.bound, true};
    a = clamp(g, a, t, most > 100 ? 100 : most);
    return (term){form(g, "cumsum(%s, axis=%u)", a.text, axis), a.bound * g->size[s.dims[axis]],
                  true};
}

static term converted(generator *g, shape s, gtype t, int depth)
{
    gtype from = random_type(g);
    term a = clamp(g, expression(g, s, from, depth - 1, true), from, exact_limit(t));
    return (term){form(g, "cast(%s, %s)", a.text, gtype_names[t]), a.bound, true};
}

// A side of a product: a view of a buffer or a fragment.
static const char *side(generator *g, shape s, gtype t, int depth)
{
    if (t != F32 && chance(g, 2)) {
        bool turned = chance(g, 3);
        const buffer *b = some_buffer(g, turned ? swapped(s) : s, t);
        if (b && !b->global)
            return form(g, turned ? "transpose(%s)" : "%s",
                        buffer_view(g, b, turned ? swapped(s) : s));
    }
    return clamp(g, expression(g, s, t, depth - 1, true), t, 8).text;
}

static term product(generator *g, shape s, gtype to, int depth)
{
    gtype t = to == F32 ? (gtype)draw(g, 3) : I8;
    int inner = (int)draw(g, 2);
    const char *a = side(g, (shape){2, {s.dims[0], inner}}, t, depth);
    const char *b = side(g, (shape){2, {inner, s.dims[1]}}, t, depth);
    double limit = t == F32 || t == F16 ? 32 : 20, bound = limit * limit * g->size[inner];
    if (chance(g, 2)) return (term){form(g, "dot(%s, %s)", a, b), bound, true};
    term c = expression(g, s, to, 0, true);
    return (term){form(g, "dot(%s, %s, %s)", a, b, c.text), bound + c.bound, true};
}

static term gathered(generator *g, shape s, gtype t)
{
    const char *d0 = dim_names[s.dims[0]];
    const char *id = form(g, "(%s - 1 - iota(%s))", d0, d0);
    if (!chance(g, 4)) {
        g->used_index = true;
        id = form(g, "(load idx[%s.. + %s])", offset(g), d0);
    }
    const buffer *b = chance(g, 2) ? some_buffer(g, s, t) : NULL;
    const char *rest = s.rank == 2 ? form(g, ", 0.. + %s", dim_names[s.dims[1]]) : "";
    if (b && b->shape.rank == s.rank && !b->global) {
        const char *slot = b->ring > 1 ? form(g, "%s; ", small_scalar(g)) : "";
        return (term){form(g, "(load %s[%s%s %% %s%s])", b->name, slot, id, d0, rest),
                      gtype_limit(t), true};
    }
    g->used_input[t] = true;
    if (s.rank == 1) rest = form(g, ", %s", offset(g));
    return (term){form(g, "(load x_%s[%s%s])", gtype_names[t], id, rest), 4, true};
}

static term approximate(generator *g, shape s, int depth)
{
    static const char *const functions[] = {"exp2", "exp", "tanh", "sigmoid", "sin", "cos"};
    unsigned f = draw(g, 6);
    term a = clamp(g, expression(g, s, F32, depth - 1, true), F32, 4);
    return (term){form(g, "%s(%s)", functions[f], a.text), f < 2 ? 64 : 1, false};
}

static term unary(generator *g, shape s, gtype t, int depth, bool exact)
{
    term a = expression(g, s, t, depth - 1, exact);
    a.text = chance(g, 2) ? form(g, "(-%s)", a.text) : form(g, "abs(%s)", a.text);
    return a;
}

static term chosen(generator *g, shape s, gtype t, int depth, bool exact)
{
    const char *c = condition(g, s, depth - 1);
    term a = expression(g, s, t, depth - 1, exact), b = expression(g, s, t, depth - 1, exact);
    return (term){form(g, "select(%s, %s, %s)", c, a.text, b.text),
                  a.bound > b.bound ? a.bound : b.bound, a.exact && b.exact};
}

static term compound(generator *g, shape s, gtype t, int depth, bool exact)
{
    unsigned kind = draw(g, 16);
    bool matrix = s.rank == 2;
    if (t == F32 && !exact && (kind == 3 || kind == 13 || chance(g, 6)))
        return approximate(g, s, depth);
    if (kind < 4) return binary(g, s, t, depth, exact);
    if (kind < 6) return joined(g, s, t, depth, exact);
    if (kind < 9 && s.rank < 2) return reduced(g, s, t, depth);
    if (kind == 9 && s.rank) return scanned(g, s, t, depth);
    if (kind == 10) return converted(g, s, t, depth);
    if ((kind == 11 || kind == 13) && (t == F32 || t == I32) && matrix)
        return product(g, s, t, depth);
    if (kind == 12 && s.rank) return gathered(g, s, t);
    if (kind == 14 && matrix) {
        term a = expression(g, swapped(s), t, depth - 1, exact);
        return (term){form(g, "transpose(%s)", a.text), a.bound, a.exact};
    }
    if (kind == 15) return chosen(g, s, t, depth, exact);
    return unary(g, s, t, depth, exact);
}

term expression(generator *g, shape s, gtype t, int depth, bool exact)
{
    term e = depth <= 0 || chance(g, 4) ? leaf(g, s, t, exact) : compound(g, s, t, depth, exact);
    return clamp(g, e, t, exact_limit(t));
}

// True where any or all of a line are.
static const char *truth_of_lines(generator *g, shape s, int depth)
{
    shape from = {2, {s.dims[0], s.dims[0]}};
    unsigned axis = draw(g, 2);
    from.dims[axis] = (int)draw(g, 2);
    return form(g, chance(g, 2) ? "any(%s, axis=%u)" : "all(%s, axis=%u)",
                condition(g, from, depth), axis);
}

const char *condition(generator *g, shape s, int depth)
{
    static const char *const ops[] = {"<", ">=", "==", "!=", ">"};
    gtype t = chance(g, 8) ? random_type(g) : chance(g, 2) ? F32 : I32;
    if (s.rank == 1 && depth > 0 && chance(g, 6)) return truth_of_lines(g, s, depth - 1);
    if (depth > 0 && chance(g, 8)) {
        const char *one = condition(g, s, 0), *other = condition(g, s, 0);
        return form(g, chance(g, 2) ? "(%s and %s)" : "(%s or not %s)", one, other);
    }
    term a = expression(g, s, t, depth, true);
    if (chance(g, 2))
        return form(g, whole(t) ? "(%s %s %u)" : "(%s %s %u.0)", a.text, ops[draw(g, 5)],
                    draw(g, 4));
    term b = expression(g, s, t, 0, true);
    return form(g, "(%s %s %s)", a.text, ops[draw(g, 5)], b.text);
}
