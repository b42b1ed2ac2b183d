// SPDX-License-Identifier: MIT
// Random programs for a target with a copy engine (TMA) and wgmma, of three kinds:
//
//   scheduled  tile programs with a clause `schedule`: roles and rings are made by the passes
//   derived    programs that say what the copy engine and the tensor cores do, all warps alike, and
//              leave the synchronization out
//   roles      the same with a producer and consumers, each counting trips
//
// Tiles: R rows of warpgroups, C and W columns of results, H the inner dimension. Operands of
// products come from tensors aN, stored by rows or by columns.
#include "gen_internal.h"

#include <stdio.h>
#include <string.h>

enum { R, C, H, W };

typedef struct hopper {
    generator *g;
    gtype type;      // of operands
    int gx, gy;      // the grid
    const char *row; // where this CTA's tile begins, in R
    const char *column;
    char loop[12]; // the one at work
    char k[24];    // its trip, or another one of the same ring
    char head[40]; // lo .. hi of it
    bool roles;    // who reads a slot says so, whatever the trip
} hopper;

// A buffer that a product reads: `turned` when it lies the other way round.
typedef struct operand {
    char name[12];
    shape shape; // as the product sees it
    int ring;    // 0: none
    bool turned;
} operand;

static shape swap(shape s)
{
    return (shape){2, {s.dims[1], s.dims[0]}};
}

// ---- tensors ------------------------------------------------------------------------------------
static const char *start_of(hopper *x, int dim)
{
    generator *g = x->g;
    const char *d = dim_names[dim];
    switch (draw(g, 8)) {
    case 0:
        return "0";
    case 1:
        return form(g, "F*8");
    case 2:
        return form(g, "cta*%u", 8 * draw(g, 4));
    case 3:
        return form(g, "%u", draw(g, 12));
    case 4:
        return x->k[0] ? form(g, "%s*%s - 8", x->k, d) : "-3";
    default:
        return x->k[0] ? form(g, "%s*%s", x->k, d) : form(g, "cta*%s", d);
    }
}

// A tile of a tensor of its own, that the copy engine can bring. Where no pass turns buffers, rows
// lie as they do in the tensor.
static const char *tile_of_tensor(hopper *x, shape s)
{
    generator *g = x->g;
    int id = g->names++;
    bool turned = chance(g, 4);
    shape in = turned ? swap(s) : s;
    bool by_columns = g->tiles_only ? chance(g, 3) : turned;
    bool deep = chance(g, 5);
    param(g, "a%d: global %s[%sN, M]%s", id, gtype_names[x->type], deep ? "3, " : "",
          !by_columns ? ""
          : deep      ? " strides [N*M, 1, N]"
                      : " strides [1, N]");
    const char *at = form(g, "a%d[%s", id, deep ? chance(g, 2) ? "F % 3, " : "1, " : "");
    const char *first = start_of(x, in.dims[0]), *second = start_of(x, in.dims[1]);
    at = form(g, "%s%s.. + %s, %s.. + %s]", at, first, dim_names[in.dims[0]], second,
              dim_names[in.dims[1]]);
    return turned ? form(g, "transpose(%s)", at) : at;
}

// ---- operands -----------------------------------------------------------------------------------
static operand new_operand(hopper *x, shape s, int ring)
{
    operand o = {.shape = s, .ring = ring, .turned = chance(x->g, 3)};
    snprintf(o.name, sizeof o.name, "s%d", x->g->names++);
    return o;
}

static shape lying(const operand *o)
{
    return o->turned ? swap(o->shape) : o->shape;
}

static void declare_operand(hopper *x, const operand *o)
{
    generator *g = x->g;
    if (o->ring)
        put(g, "shared %s: %s[%s] ring %d", o->name, gtype_names[x->type], extents(g, lying(o)),
            o->ring);
    else
        put(g, "shared %s: %s[%s]", o->name, gtype_names[x->type], extents(g, lying(o)));
}

// The slot of trip `k`.
static const char *slot_of(hopper *x, const operand *o, const char *k)
{
    return o->ring ? form(x->g, "%s[%s]", o->name, k) : o->name;
}

static const char *seen(hopper *x, const operand *o)
{
    const char *slot = slot_of(x, o, x->k);
    return o->turned ? form(x->g, "transpose(%s)", slot) : slot;
}

// A tile from a tensor, fetched in front of a loop.
static operand fetched(hopper *x, shape s)
{
    operand o = new_operand(x, s, 0);
    generator *g = x->g;
    put(g, "shared %s: %s[%s] = load %s", o.name, gtype_names[x->type], extents(g, lying(&o)),
        tile_of_tensor(x, lying(&o)));
    return o;
}

// What threads store.
static operand computed(hopper *x, shape s)
{
    operand o = new_operand(x, s, 0);
    o.turned = false;
    generator *g = x->g;
    declare_operand(x, &o);
    term e = clamp(g, expression(g, s, x->type, 1, true), x->type, 4);
    put(g, "%s = %s", o.name, e.text);
    return o;
}

static const char *as_operand(hopper *x, const char *text, gtype from)
{
    generator *g = x->g;
    term e = clamp(g, (term){text, 1e9, true}, from, 4);
    return from == x->type ? e.text : form(g, "cast(%s, %s)", e.text, gtype_names[x->type]);
}

static variable *accumulator(hopper *x, shape s)
{
    generator *g = x->g;
    const char *init =
        chance(g, 4) ? clamp(g, expression(g, s, F32, 1, true), F32, 64).text : "0.0";
    variable *v = add_variable(g, 'm', s, F32);
    v->mutable = true;
    v->bound = 16.0 * 16 * 128;
    put(g, "frag %s: f32[%s] = %s", v->name, extents(g, s), init);
    return v;
}

// ---- a trip -------------------------------------------------------------------------------------
// Bulk copies number their trips from 0 on, without gaps: where the passes do not see to that the
// loop has to.
static void random_trips(hopper *x)
{
    static const char *const heads[] = {"0 .. T",     "0 .. 3",       "0 .. min(T, 2)",
                                        "0 .. T",     "0 .. F",       "0 .. ceildiv(M, 64)",
                                        "1 .. T + 1", "F .. T + F",   "0 .. T step 2",
                                        "cta .. T",   "2 .. 8 step 3"};
    enum { COUNTED = 6, HEADS = 11 };
    snprintf(x->loop, sizeof x->loop, "k%d", x->g->names++);
    snprintf(x->k, sizeof x->k, "%s", x->loop);
    snprintf(x->head, sizeof x->head, "%s", heads[draw(x->g, x->g->tiles_only ? HEADS : COUNTED)]);
}

static const char *product_name(const hopper *x)
{
    return x->g->tiles_only ? "dot" : "wgmma";
}

// acc = a * b + acc, perhaps in some trips only.
static void multiply(hopper *x, const char *acc, const operand *a, const operand *b)
{
    generator *g = x->g;
    bool guarded = (g->tiles_only || x->roles) && chance(g, 6);
    if (guarded) put(g, "if %s %% 2 == %s {", x->k, chance(g, 2) ? "F % 2" : "0");
    g->depth += guarded;
    put(g, "%s = %s(%s, %s, %s)", acc, product_name(x), seen(x, a), seen(x, b), acc);
    g->depth -= guarded;
    if (guarded) put(g, "}");
}

// Statements beside the products; what they define lives in the block.
static void others(hopper *x, unsigned of)
{
    generator *g = x->g;
    if (!chance(g, of)) return;
    g->depth--;
    inner(g, 2);
    g->depth++;
}

// softmax's shape: s = q k^T, p = f(s), acc = p v + acc.
static void two_products(hopper *x, const operand *q, const operand *keys, const operand *values,
                         const char *acc)
{
    generator *g = x->g;
    variable *s = add_variable(g, 's', (shape){2, {R, C}}, F32);
    s->bound = 4 * 4 * 128;
    s->mutable = true;
    put(g, "frag %s: f32[R, C] = %s(%s, %s%s)", s->name, product_name(x), seen(x, q), seen(x, keys),
        g->tiles_only ? "" : ", zeros(f32, [R, C])");
    others(x, 3);
    if (chance(g, 3)) put(g, "%s = min(%s, 3.0)", s->name, s->name);
    if (chance(g, 3))
        put(g, "%s = select((%s*C + iota(C))[None, :] < M, %s, -2.0)", s->name, x->k, s->name);
    bool peak = chance(g, 4);
    if (peak) put(g, "t%d = max(%s, axis=1)", g->names++, s->name);
    const char *scaled = chance(g, 3) ? form(g, "min(%s, 5.0) * 0.5", acc) : acc;
    if (peak) scaled = form(g, "%s + t%d[:, None]", scaled, g->names - 1);
    const char *p = as_operand(x, s->name, F32);
    put(g, "%s = %s(%s, %s, %s)", acc, product_name(x), p, seen(x, values), scaled);
    g->n_vars--; // s
}

// `left` is the first operand of the trip's first product.
static void trip(hopper *x, const operand *left, const operand *first, const operand *last,
                 const char *acc)
{
    generator *g = x->g;
    others(x, 4);
    if (last->shape.dims[1] == W) {
        two_products(x, left, first, last, acc);
    } else {
        multiply(x, acc, left, last);
        if (chance(g, 4)) multiply(x, acc, left, last);
    }
    others(x, 4);
    if (chance(g, 8)) output(g, (shape){2, {R, last->shape.dims[1]}}, F32, acc);
}

static void leave_loop(hopper *x, int vars)
{
    x->g->depth--, x->g->n_loops--;
    put(x->g, "}");
    x->k[0] = 0;
    x->g->n_vars = vars + 1;
}

// ---- scheduled ----------------------------------------------------------------------------------
// Where a product's first operand comes from.
enum { FROM_RING, FROM_TILE, FROM_THREADS, FROM_THREADS_EACH_TRIP };

static void scheduled_loop(hopper *x)
{
    generator *g = x->g;
    int vars = g->n_vars, from = (int)draw(g, 5);
    bool attention = chance(g, 3);
    shape left = {2, {R, H}}, right = {2, {H, C}};
    variable acc = *accumulator(x, (shape){2, {R, attention ? W : C}});
    operand q = {0}, first, second;
    if (attention && from == FROM_RING) from = FROM_TILE;
    if (from == FROM_TILE) q = fetched(x, left);
    if (from == FROM_THREADS) q = computed(x, left);
    random_trips(x);
    put(g, "for %s in %s pipeline %u {", x->k, x->head, 2 + draw(g, 3));
    memcpy(g->loops[g->n_loops++], x->loop, sizeof x->loop);
    g->depth++;
    first = attention ? fetched(x, right) : from == FROM_RING ? fetched(x, left) : q;
    second = fetched(x, attention ? (shape){2, {C, W}} : right);
    if (from == FROM_THREADS_EACH_TRIP) q = computed(x, left);
    if (from > FROM_THREADS_EACH_TRIP) { // from registers
        q = (operand){.shape = left};
        snprintf(q.name, sizeof q.name, "p%d", g->names++);
        put(g, "%s = %s", q.name, clamp(g, expression(g, left, x->type, 1, true), x->type, 4).text);
    }
    trip(x, q.name[0] ? &q : &first, &first, &second, acc.name);
    leave_loop(x, vars);
}

static void scheduled_body(hopper *x)
{
    generator *g = x->g;
    bool around = chance(g, 5);
    if (chance(g, 3)) statements(g, 2);
    int vars = g->n_vars, buffers = g->n_buffers;
    if (around) {
        bool loop = chance(g, 2);
        if (loop)
            put(g, "for o%d in 0 .. %s {", g->names++, chance(g, 2) ? "2" : "F");
        else
            put(g, "if F > %u {", draw(g, 3));
        g->depth++;
        scheduled_loop(x);
        if (chance(g, 3)) statements(g, 2);
        for (int i = vars; i < g->n_vars; i++) {
            variable v = g->vars[i];
            if (v.shape.rank == 2 && v.mutable) output(g, v.shape, v.type, v.name);
        }
        g->depth--;
        g->n_vars = vars;
        g->n_buffers = buffers;
        put(g, "}");
    }
    if (!around || chance(g, 3)) scheduled_loop(x);
    if (chance(g, 5)) scheduled_loop(x);
    if (chance(g, 2)) statements(g, 3);
}

// A result that leaves as a tile, of the type of the operands.
static void store_tile(hopper *x)
{
    generator *g = x->g;
    for (int i = 0; i < g->n_vars; i++) {
        variable v = g->vars[i];
        if (!v.mutable || v.shape.rank != 2 || v.shape.dims[0] != R) continue;
        const char *text = chance(g, 2) ? as_operand(x, v.name, v.type) : v.name;
        gtype t = text == v.name ? v.type : x->type;
        int id = g->names++;
        const char *d = dim_names[v.shape.dims[1]];
        param(g, "y%d: global %s[G, N, M]", id, gtype_names[t]);
        const char *at = form(g, "y%d[cta, %s.. + R, %u.. + %s]", id, chance(g, 3) ? "8" : "0",
                              8 * draw(g, 3), d);
        if (chance(g, 3)) {
            put(g, "shared z%d: %s[R, %s] = %s", id, gtype_names[t], d, text);
            put(g, "store y%d[cta, 0.. + R, 0.. + %s] = load z%d", id, d, id);
            continue;
        }
        put(g, "store %s = %s", at, text);
    }
}

static const char *schedule_clause(hopper *x)
{
    generator *g = x->g;
    const char *s = "  schedule producers 1";
    if (chance(g, 3)) s = form(g, "%s, registers [%u, 232]", s, 24 + 8 * draw(g, 3));
    if (chance(g, 3)) s = form(g, "%s, persistent %u", s, 1 + draw(g, 3));
    if (chance(g, 3)) s = form(g, "%s, raster %u", s, 1 + draw(g, 3));
    if (chance(g, 2)) s = form(g, "%s, bulk_store 1", s);
    if (chance(g, 5)) s = form(g, "%s, overlap 1, fallback 1", s);
    return form(g, "%s\n", s);
}

// ---- derived ------------------------------------------------------------------------------------
static void copy_in(hopper *x, const operand *o, const char *k)
{
    char was[sizeof x->k], trip[sizeof x->k];
    memcpy(was, x->k, sizeof was);
    snprintf(trip, sizeof trip, strchr(k, ' ') ? "(%s)" : "%s", k);
    if (x->k[0]) memcpy(x->k, trip, sizeof trip);
    put(x->g, "copy_bulk %s = %s", slot_of(x, o, trip), tile_of_tensor(x, lying(o)));
    memcpy(x->k, was, sizeof was);
}

// A fragment that an ordinary read of a slot gives.
static void read_slot(hopper *x, const operand *o, const char *k)
{
    generator *g = x->g;
    shape s = lying(o);
    output(g, s, x->type, form(g, "load %s", slot_of(x, o, k)));
}

static void write_slot(hopper *x, const operand *o, const char *k)
{
    generator *g = x->g;
    shape s = lying(o);
    put(g, "%s = %s", slot_of(x, o, k),
        clamp(g, expression(g, s, x->type, 1, true), x->type, 4).text);
}

static void between_uses(hopper *x, const operand *o)
{
    generator *g = x->g;
    if (chance(g, 5)) read_slot(x, o, x->k);
    if (chance(g, 8)) write_slot(x, o, x->k);
    if (chance(g, 12))
        put(g, "store_bulk %s = %s",
            form(g, "y%d[cta, 0.. + %s, 0.. + %s]", g->names, dim_names[lying(o).dims[0]],
                 dim_names[lying(o).dims[1]]),
            slot_of(x, o, x->k)),
            param(g, "y%d: global %s[G, N, M]", g->names++, gtype_names[x->type]);
}

// How a slot is filled in the trip that uses it, or `ahead` trips before.
typedef struct filling {
    operand items[3];
    int count, ahead;
} filling;

static void fill_ahead(hopper *x, const filling *f)
{
    generator *g = x->g;
    char k[sizeof x->k], main[sizeof x->k];
    snprintf(main, sizeof main, "%s", x->k);
    snprintf(k, sizeof k, "ahead%d", g->names++);
    bool guarded = chance(g, 2);
    put(g, guarded ? "for %s in 0 .. %d {" : "for %s in 0 .. min(%d, T) {", k, f->ahead);
    g->depth++;
    if (guarded) put(g, "if %s < T {", k);
    g->depth += guarded;
    snprintf(x->k, sizeof x->k, "%s", k);
    for (int i = 0; i < f->count; i++) copy_in(x, &f->items[i], k);
    g->depth -= guarded;
    if (guarded) put(g, "}");
    g->depth--;
    put(g, "}");
    snprintf(x->k, sizeof x->k, "%s", main);
}

static void fill_here(hopper *x, const filling *f)
{
    generator *g = x->g;
    if (!f->ahead) {
        for (int i = 0; i < f->count; i++) {
            copy_in(x, &f->items[i], x->k);
            if (i + 1 < f->count && chance(g, 8)) read_slot(x, &f->items[i], x->k);
        }
        return;
    }
    put(g, "if %s + %d < T {", x->k, f->ahead);
    g->depth++;
    for (int i = 0; i < f->count; i++) copy_in(x, &f->items[i], form(g, "%s + %d", x->k, f->ahead));
    g->depth--;
    put(g, "}");
}

// The first operand of products, filled by threads or by copies in groups.
static operand own_left(hopper *x)
{
    generator *g = x->g;
    shape left = {2, {R, H}};
    if (chance(g, 2)) return computed(x, left);
    operand o = new_operand(x, left, 0);
    o.turned = false;
    declare_operand(x, &o);
    g->used_input[x->type] = true;
    put(g, "copy_async %s = x_%s[%s.. + R, %u.. + H]", o.name, gtype_names[x->type],
        chance(g, 2) ? "cta*8" : "0", 8 * draw(g, 3));
    put(g, "commit");
    return o;
}

static void derived_loop(hopper *x)
{
    generator *g = x->g;
    int vars = g->n_vars, from = (int)draw(g, 4), ring = 1 + (int)draw(g, 4);
    bool attention = chance(g, 4);
    shape left = {2, {R, H}}, right = {2, {H, C}};
    filling f = {.ahead = ring > 1 && chance(g, 2) ? 1 + (int)draw(g, (unsigned)ring - 1) : 0};
    variable acc = *accumulator(x, (shape){2, {R, attention ? W : C}});
    operand q = {0};
    if (from == FROM_TILE) {
        q = new_operand(x, left, 0);
        declare_operand(x, &q);
        copy_in(x, &q, "0");
    }
    if (from == FROM_THREADS) q = own_left(x);
    if (attention && from == FROM_RING) from = FROM_THREADS_EACH_TRIP;
    if (from == FROM_RING) f.items[f.count++] = new_operand(x, left, ring);
    f.items[f.count++] = new_operand(x, right, ring);
    if (attention) f.items[f.count++] = new_operand(x, (shape){2, {C, W}}, ring);
    for (int i = 0; i < f.count; i++) declare_operand(x, &f.items[i]);
    random_trips(x);
    if (f.ahead) snprintf(x->head, sizeof x->head, "0 .. T");
    if (f.ahead) fill_ahead(x, &f);
    put(g, "for %s in %s {", x->k, x->head);
    memcpy(g->loops[g->n_loops++], x->loop, sizeof x->loop);
    g->depth++;
    if (chance(g, 2)) fill_here(x, &f), f.count = -f.count;
    if (from == FROM_THREADS_EACH_TRIP) q = own_left(x);
    if (f.count > 0 && !f.ahead) fill_here(x, &f), f.count = -f.count;
    int n = f.count < 0 ? -f.count : f.count;
    for (int i = 0; i < n; i++) between_uses(x, &f.items[i]);
    trip(x, q.name[0] ? &q : &f.items[0], &f.items[0], &f.items[n - 1], acc.name);
    for (int i = 0; i < n; i++) between_uses(x, &f.items[i]);
    if (f.count > 0) fill_here(x, &f);
    leave_loop(x, vars);
}

static void derived_body(hopper *x)
{
    generator *g = x->g;
    if (chance(g, 3)) statements(g, 2);
    derived_loop(x);
    if (chance(g, 3)) statements(g, 2);
    if (chance(g, 4)) derived_loop(x);
    if (chance(g, 3)) statements(g, 2);
}

// ---- roles --------------------------------------------------------------------------------------
// One producer, one or two groups of consumers that read the same slots.
static void roles_body(hopper *x)
{
    generator *g = x->g;
    int ring = 1 + (int)draw(g, 4), n_consumers = g->warps / 4;
    x->roles = true;
    bool split = n_consumers == 2 && chance(g, 2);
    shape left = {2, {R, H}}, right = {2, {H, C}};
    filling f = {.count = 2};
    f.items[0] = new_operand(x, left, ring);
    f.items[1] = new_operand(x, right, ring);
    for (int i = 0; i < f.count; i++) declare_operand(x, &f.items[i]);
    random_trips(x);
    int consumers = g->warps;
    put(g, "warps %d .. %d as producer {", consumers, consumers + 1);
    g->depth++;
    put(g, "for %s in %s {", x->k, x->head);
    g->depth++;
    for (int i = 0; i < f.count; i++) copy_in(x, &f.items[i], x->k);
    g->depth--;
    put(g, "}");
    g->depth--;
    put(g, "}");
    for (int c = 0; c < (split ? 2 : 1); c++) {
        int vars = g->n_vars;
        put(g, "warps %d .. %d as consumer%d {", split ? 4 * c : 0, split ? 4 * c + 4 : consumers,
            c);
        g->depth++;
        variable acc = *accumulator(x, (shape){2, {R, C}});
        put(g, "for %s in %s {", x->k, x->head);
        memcpy(g->loops[g->n_loops++], x->loop, sizeof x->loop);
        g->depth++;
        for (int i = 0; i < 2; i++)
            if (chance(g, 4)) read_slot(x, &f.items[i], x->k);
        if (!split || c == 0 || chance(g, 2))
            multiply(x, acc.name, &f.items[0], &f.items[1]);
        else
            read_slot(x, &f.items[draw(g, 2)], x->k);
        for (int i = 0; i < 2; i++)
            if (chance(g, 5)) read_slot(x, &f.items[i], x->k);
        g->depth--;
        g->n_loops--;
        put(g, "}");
        output(g, acc.shape, F32, acc.name);
        g->depth--;
        put(g, "}");
        g->n_vars = vars;
    }
    g->warps += 4;
}

// ---- the kernel ---------------------------------------------------------------------------------
static void choose_hopper_sizes(hopper *x)
{
    static const int rows[] = {64, 64, 64, 64, 64, 64, 64, 128},
                     columns[] = {16, 32, 64, 32, 16, 16, 48, 128},
                     inner[] = {16, 32, 64, 32, 16, 128}, wide[] = {16, 32, 64, 32};
    generator *g = x->g;
    g->size[R] = rows[draw(g, 8)];
    g->size[C] = columns[draw(g, 8)];
    g->size[H] = inner[draw(g, 6)];
    g->size[W] = wide[draw(g, 4)];
    g->warps = chance(g, 4) ? 8 : 4;
    if (g->warps == 8 && g->size[C] == 48) g->size[C] = 64;
    x->type = chance(g, 2) ? F16 : BF16;
    x->gx = 1 + (int)draw(g, 2);
    x->gy = chance(g, 3) ? 2 : 1;
    g->ctas = x->gx * x->gy;
    g->trips = (int)draw(g, 7);
    g->flag = (int)draw(g, 4);
    g->n = 64 + 8 * (int)draw(g, 12);
    g->m = 64 + 8 * (int)draw(g, 12);
    g->budget = (int)draw(g, 8);
}

void random_hopper_text(uint64_t seed, char *out, size_t size)
{
    generator *g = start_generator(seed);
    hopper x = {.g = g};
    choose_hopper_sizes(&x);
    unsigned kind = draw(g, 6);
    const char *clause = "";
    char schedule[160] = "";
    g->tiles_only = kind < 3;
    if (kind < 3) {
        snprintf(schedule, sizeof schedule, "%s", schedule_clause(&x));
        clause = schedule;
    }
    put(g, "cta = x + %d*y", x.gx);
    if (kind < 3)
        scheduled_body(&x);
    else if (kind < 5)
        derived_body(&x);
    else
        roles_body(&x);
    if (kind < 5) {
        store_tile(&x);
        store_all(g);
    }
    declare_inputs(g);
    snprintf(out, size,
             "// SPDX-License-Identifier: MIT\n// random program %llu\n// target: sm_90a\n"
             "// run: N=%d M=%d T=%d F=%d\n"
             "kernel random(N: i32, M: i32, T: i32, F: i32\n%s)\n"
             "  const R = %d, C = %d, H = %d, W = %d, G = %d\n  assume N %% 8 == 0, M %% 8 == 0\n"
             "  warps %d\n%s  grid x: %d, y: %d\n{\n%s}\n",
             (unsigned long long)seed, g->n, g->m, g->trips, g->flag, g->params, g->size[R],
             g->size[C], g->size[H], g->size[W], g->ctas, g->warps, clause, x.gx, x.gy, g->body);
}
