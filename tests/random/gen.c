// SPDX-License-Identifier: MIT
// Statements of random programs, and the kernel around them.
#include "gen_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { DEPTH = 3 };

unsigned draw(generator *g, unsigned n)
{
    g->state = g->state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(g->state >> 33) % n;
}

const char *form(generator *g, const char *format, ...)
{
    va_list args;
    size_t room = (size_t)(g->strings + sizeof g->strings - g->string);
    va_start(args, format);
    int n = vsnprintf(g->string, room, format, args);
    va_end(args);
    if ((size_t)n + 1 >= room) return "0"; // the text will not parse; no seed comes near
    const char *text = g->string;
    g->string += n + 1;
    return text;
}

void put(generator *g, const char *format, ...)
{
    va_list args;
    char *end = g->body + sizeof g->body - 1;
    for (int i = 0; i < 2 * g->depth && g->at < end; i++) *g->at++ = ' ';
    va_start(args, format);
    g->at += vsnprintf(g->at, (size_t)(end - g->at), format, args);
    va_end(args);
    if (g->at >= end) g->at = end - 1;
    *g->at++ = '\n';
    *g->at = 0;
    g->string = g->strings; // its terms are written
}

void param(generator *g, const char *format, ...)
{
    va_list args;
    size_t n = strlen(g->params);
    n += (size_t)snprintf(g->params + n, sizeof g->params - n, "  , ");
    va_start(args, format);
    n += (size_t)vsnprintf(g->params + n, sizeof g->params - n, format, args);
    va_end(args);
    snprintf(g->params + n, sizeof g->params - n, "\n");
}

// ---- names --------------------------------------------------------------------------------------
variable *add_variable(generator *g, char letter, shape s, gtype t)
{
    variable *v = &g->vars[g->n_vars++];
    *v = (variable){.shape = s, .type = t, .exact = true, .bound = gtype_limit(t)};
    snprintf(v->name, sizeof v->name, "%c%d", letter, g->names++);
    return v;
}

static buffer *add_buffer(generator *g, shape s, gtype t)
{
    if (g->n_buffers == BUFFERS) return NULL;
    buffer *b = &g->buffers[g->n_buffers];
    *b = (buffer){.shape = s, .type = t, .ring = 1};
    snprintf(b->name, sizeof b->name, "s%d", g->names++);
    return b;
}

const char *stored(generator *g, shape s, gtype t, int depth)
{
    return clamp(g, expression(g, s, t, depth, true), t, gtype_limit(t)).text;
}

// ---- simple statements --------------------------------------------------------------------------
static void define(generator *g)
{
    shape s = chance(g, 6) ? (shape){0} : random_shape(g);
    gtype t = random_type(g);
    term e = expression(g, s, t, 3, chance(g, 2));
    variable *v = add_variable(g, 'v', s, t);
    v->bound = e.bound;
    v->exact = e.exact;
    put(g, "%s = %s", v->name, e.text);
}

static void define_mutable(generator *g)
{
    shape s = chance(g, 4) ? (shape){0} : random_shape(g);
    gtype t = random_type(g);
    const char *init = stored(g, s, t, 1);
    variable *v = add_variable(g, 'm', s, t);
    v->mutable = true;
    if (s.rank)
        put(g, "frag %s: %s[%s] = %s", v->name, gtype_names[t], extents(g, s), init);
    else
        put(g, "frag %s: %s = %s", v->name, gtype_names[t], init);
}

static void update(generator *g)
{
    for (int tries = 0; tries < 8 && g->n_vars; tries++) {
        variable v = g->vars[draw(g, (unsigned)g->n_vars)];
        if (!v.mutable) continue;
        term e = expression(g, v.shape, v.type, 2, true);
        e.text = form(g, "(%s + %s)", v.name, e.text);
        e.bound += v.bound;
        put(g, "%s = %s", v.name, clamp(g, e, v.type, v.bound).text);
        return;
    }
    define_mutable(g);
}

void output(generator *g, shape s, gtype t, const char *text)
{
    static const char *const dims[2][DIMS] = {{"R", "C", "H", "W"}, {"N", "M", "N", "M"}};
    bool tail = chance(g, 2);
    int y = g->names++;
    const char *dimensions = "", *at = "";
    for (int d = 0; d < s.rank; d++) {
        dimensions = form(g, "%s, %s", dimensions, dims[tail][s.dims[d]]);
        at = form(g, "%s, %s.. + %s", at, tail && chance(g, 3) ? "1" : "0", dim_names[s.dims[d]]);
    }
    const char *slot =
        g->n_loops ? form(g, "%s %% 4", g->loops[draw(g, (unsigned)g->n_loops)]) : "0";
    param(g, "y%d: global %s[G, %d%s]", y, gtype_names[t], g->n_loops ? 4 : 1, dimensions);
    const char *mask = s.rank && chance(g, 6) ? form(g, " where %s", condition(g, s, 1)) : "";
    put(g, "store y%d[cta, %s%s] = %s%s", y, slot, at, text, mask);
    g->outputs++;
}

static void store_output(generator *g)
{
    shape s = chance(g, 8) ? (shape){0} : random_shape(g);
    gtype t = random_type(g);
    if (g->outputs >= 8) return;
    output(g, s, t, expression(g, s, t, 2, chance(g, 2)).text);
}

static void declare(generator *g, const buffer *b)
{
    if (b->ring > 1)
        put(g, "shared %s: %s[%s] ring %d", b->name, gtype_names[b->type], extents(g, b->shape),
            b->ring);
    else
        put(g, "shared %s: %s[%s]", b->name, gtype_names[b->type], extents(g, b->shape));
}

// cp.async moves at least four bytes.
static bool copies_well(const generator *g, const buffer *b)
{
    return !g->tiles_only && !b->global && (b->type == F32 || b->type == I32);
}

// Writes a whole slot.
static void fill(generator *g, const buffer *b, int slot)
{
    const char *items = "";
    for (int d = 0; d < b->shape.rank; d++)
        items = form(g, "%s%s0.. + %s", items, d ? ", " : "", dim_names[b->shape.dims[d]]);
    const char *at = b->ring > 1 ? form(g, "%d; ", slot) : b->global ? "cta, " : "";
    const char *view = form(g, "%s[%s%s]", b->name, at, items);
    if (copies_well(g, b) && chance(g, 3)) {
        put(g, "copy_async %s = %s", view, input_view(g, b->shape, b->type, true));
        put(g, "commit");
    } else if (b->global) {
        put(g, "store %s = %s", view, stored(g, b->shape, b->type, 1));
    } else {
        put(g, "%s = %s", view, stored(g, b->shape, b->type, 1));
    }
}

static void new_buffer(generator *g)
{
    shape s = random_shape(g);
    gtype t = random_type(g);
    buffer *b = add_buffer(g, s, t);
    if (!b) return;
    b->global = chance(g, 8);
    if (b->global) {
        b->name[0] = 'g';
        param(g, "%s: global %s[G, %s]", b->name, gtype_names[t], extents(g, s));
    } else {
        b->ring = chance(g, 3) ? 2 + (int)draw(g, 4) : 1;
        declare(g, b);
    }
    for (int i = 0; i < b->ring; i++) fill(g, b, i);
    g->n_buffers++;
}

// Stores into a buffer, or a part of it.
static void write_buffer(generator *g)
{
    if (!g->n_buffers) {
        new_buffer(g);
        return;
    }
    buffer b = g->buffers[draw(g, (unsigned)g->n_buffers)];
    shape s = b.shape;
    for (int d = 0; d < s.rank; d++)
        if (chance(g, 3) && s.dims[d] < 2 && g->size[s.dims[d]] % 2 == 0 &&
            g->size[s.dims[d] + 2] <= g->size[s.dims[d]])
            s.dims[d] += 2;
    if (s.rank == 2 && chance(g, 5)) s = (shape){1, {s.dims[1]}};
    const char *view = buffer_view(g, &b, s);
    if (!b.global && s.rank == 2 && chance(g, 8)) {
        shape turned = {2, {s.dims[1], s.dims[0]}};
        put(g, "store transpose(%s) = %s", view, stored(g, turned, b.type, 1));
        return;
    }
    if (b.ring == 1 && !b.global && s.rank == 1 && b.shape.rank == 1 && chance(g, 6)) {
        const char *d = dim_names[s.dims[0]];
        put(g, "store %s[%s - 1 - iota(%s)] = %s", b.name, d, d, stored(g, s, b.type, 1));
        return;
    }
    if (copies_well(g, &b) && chance(g, 4)) {
        put(g, "copy_async %s = %s", view, input_view(g, s, b.type, true));
        put(g, "commit");
    } else if (!b.global && chance(g, 5)) {
        put(g, "copy %s = %s", view, input_view(g, s, b.type, false));
    } else {
        const char *text = stored(g, s, b.type, 2);
        const char *mask = chance(g, 6) ? form(g, " where %s", condition(g, s, 0)) : "";
        put(g, "store %s = %s%s", view, text, mask);
    }
}

static void atomic(generator *g)
{
    static const char *const ops[] = {"atomic_add", "atomic_max", "atomic_min"};
    int d = (int)draw(g, 2), z = g->names++;
    shape s = {1, {d}};
    unsigned op = draw(g, 3);
    if (g->outputs >= 8) return;
    g->outputs++;
    gtype t = op == 0 && chance(g, 3) ? F32 : I32;
    param(g, "zero%d: global %s[%s]", z, gtype_names[t], chance(g, 2) ? dim_names[d] : "40");
    const char *value = clamp(g, expression(g, s, t, 1, true), t, 100).text;
    if (op == 0 && chance(g, 2)) {
        g->used_index = true;
        put(g, "atomic_add zero%d[load idx[0.. + %s]] = %s", z, dim_names[d], value);
    } else {
        put(g, "%s zero%d[0.. + %s] = %s", ops[op], z, dim_names[d], value);
    }
}

// ---- blocks -------------------------------------------------------------------------------------
void inner(generator *g, int most)
{
    int vars = g->n_vars, buffers = g->n_buffers;
    g->depth++;
    statements(g, most);
    g->depth--;
    g->n_vars = vars;
    g->n_buffers = buffers;
}

static void loop(generator *g)
{
    static const char *const bounds[] = {"0 .. T",        "0 .. 3",         "1 .. T + 1",
                                         "0 .. T step 2", "cta .. T + cta", "0 .. 4 unroll 4",
                                         "2 .. 8 step 3", "0 .. F"};
    char *k = g->loops[g->n_loops];
    int id = g->names++;
    bool pipelined = !g->tiles_only && chance(g, 3);
    const char *head = bounds[draw(g, 8)];
    if (pipelined && strstr(head, "unroll")) head = "0 .. 4";
    snprintf(k, sizeof g->loops[0], "k%d", id);
    put(g, pipelined ? "for %s in %s pipeline %u {" : "for %s in %s {", k, head, 2 + draw(g, 3));
    int buffers = g->n_buffers, vars = g->n_vars;
    g->n_loops++;
    g->depth++;
    for (unsigned i = 0; pipelined && i <= draw(g, 2); i++) {
        buffer *b = add_buffer(g, random_shape(g), random_type(g));
        if (!b) break;
        put(g, "shared %s: %s[%s] = load %s", b->name, gtype_names[b->type], extents(g, b->shape),
            input_view(g, b->shape, b->type, false));
        g->n_buffers++;
    }
    g->depth--;
    inner(g, 4);
    if (chance(g, 2)) {
        g->depth++;
        update(g);
        g->depth--;
    }
    g->n_loops--;
    g->n_buffers = buffers;
    g->n_vars = vars;
    put(g, "}");
}

static void while_loop(generator *g)
{
    char *w = g->loops[g->n_loops];
    snprintf(w, sizeof g->loops[0], "w%d", g->names++);
    put(g, "frag %s: i32 = 0", w);
    bool long_form = chance(g, 3);
    if (long_form) {
        put(g, "while {");
        g->depth++;
        put(g, "yield %s < T", w);
        g->depth--;
        put(g, "} {");
    } else {
        put(g, "while %s < T {", w);
    }
    g->n_loops++;
    inner(g, 4);
    g->n_loops--;
    g->depth++;
    put(g, "%s += %u", w, 1 + draw(g, 2));
    g->depth--;
    put(g, "}");
}

static void branch(generator *g)
{
    switch (draw(g, 5)) {
    case 0:
        put(g, "if F > %u {", draw(g, 4));
        break;
    case 1:
        put(g, "if cta == %u {", draw(g, 2));
        break;
    case 2:
        put(g, "if %s {", condition(g, (shape){0}, 2));
        break;
    default:
        put(g, "if %s %% 2 == %u {", small_scalar(g), draw(g, 2));
        break;
    }
    inner(g, 3);
    if (chance(g, 2)) {
        put(g, "} else {");
        inner(g, 3);
    }
    put(g, "}");
}

// A buffer that some warps fill and all read.
static void role(generator *g)
{
    shape s = random_shape(g);
    if (g->warps < 2) return;
    buffer *b = add_buffer(g, s, F32);
    if (!b) return;
    declare(g, b);
    bool named = g->barriers < 15 && chance(g, 2), async = chance(g, 3);
    int split = 1 + (int)draw(g, (unsigned)g->warps - 1);
    put(g, "warps 0 .. %d {", split);
    g->depth++;
    put(g, async ? "copy_async %s = %s" : "store %s = load %s", b->name,
        input_view(g, s, F32, async));
    if (async) put(g, "commit");
    if (async && named) put(g, "wait 0");
    if (named) put(g, "arrive id %d count %d", ++g->barriers, 32 * g->warps);
    g->depth--;
    put(g, "}");
    g->n_buffers++;
    if (!named) return;
    int y = g->names++;
    const char *zeros = s.rank == 2 ? ", 0.., 0.." : ", 0..";
    param(g, "y%d: global f32[G, %s]", y, extents(g, s));
    put(g, "warps %d .. %d {", split, g->warps);
    g->depth++;
    put(g, "barrier id %d count %d", g->barriers, 32 * g->warps);
    put(g, "store y%d[cta%s] = load %s", y, zeros, b->name);
    g->depth--;
    put(g, "}");
}

// Each CTA leaves its part; the last to arrive adds all of them up.
static void last_arriver(generator *g)
{
    int id = g->names++;
    shape s = random_shape(g);
    const char *at = s.rank == 2 ? ", 0.., 0.." : ", 0..";
    param(g, "g%dp: global f32[G, %s]", id, extents(g, s));
    param(g, "zero%dc: global i32[1]", id);
    param(g, "y%dr: global f32[%s]", id, extents(g, s));
    put(g, "store g%dp[cta%s] = %s", id, at, stored(g, s, F32, 1));
    put(g, "t%d = fetch_add zero%dc[0], 1", id, id);
    put(g, "if t%d == G - 1 {", id);
    g->depth++;
    put(g, "frag a%d: f32[%s] = 0.0", id, extents(g, s));
    put(g, "for k%d in 0 .. G {", id);
    g->depth++;
    put(g, "a%d += load g%dp[k%d%s]", id, id, id, at);
    g->depth--;
    put(g, "}");
    put(g, "store y%dr[%s] = a%d", id, at + 2, id);
    put(g, "store zero%dc[0] = 0", id);
    g->depth--;
    put(g, "}");
}

// Each CTA leaves its part and says so; all but the first read that of the one before.
static void handed_on(generator *g)
{
    int id = g->names++;
    shape s = random_shape(g);
    gtype t = random_type(g);
    char at[32] = "";
    for (int d = 0; d < s.rank; d++)
        snprintf(at + strlen(at), sizeof at - strlen(at), ", 0.. + %s", dim_names[s.dims[d]]);
    param(g, "g%dp: global %s[G, %s]", id, gtype_names[t], extents(g, s));
    param(g, "zero%df: global i32[G]", id);
    param(g, "y%dh: global %s[G, %s]", id, gtype_names[t], extents(g, s));
    put(g, "store g%dp[cta%s] = %s", id, at, stored(g, s, t, 1));
    put(g, "signal zero%df[cta] = 2", id);
    put(g, "if cta > 0 {");
    g->depth++;
    put(g, chance(g, 2) ? "await zero%df[cta - 1] >= 1" : "await zero%df[cta - 1] == 2", id);
    put(g, "store y%dh[cta%s] = load g%dp[cta - 1%s]", id, at, id, at);
    g->depth--;
    put(g, "}");
}

static void synchronize(generator *g)
{
    static const char *const words[] = {"barrier", "warp_sync", "wait 0", "commit", "wait 1"};
    put(g, "%s", words[draw(g, 5)]);
}

static void statement(generator *g)
{
    unsigned kind = draw(g, 24);
    if (g->n_vars + 1 >= VARS) return;
    bool nest = g->depth < DEPTH && g->n_loops + 1 < LOOPS;
    if (kind < 3)
        define(g);
    else if (kind < 7)
        write_buffer(g);
    else if (kind < 9)
        new_buffer(g);
    else if (kind < 11)
        update(g);
    else if (kind < 14)
        store_output(g);
    else if (kind < 17 && nest)
        loop(g);
    else if (kind == 17 && nest)
        while_loop(g);
    else if (kind < 20 && nest)
        branch(g);
    else if (kind == 20)
        atomic(g);
    else if (kind == 21 && g->depth == 1 && !g->tiles_only)
        role(g);
    else if (kind == 22 && !g->tiles_only)
        synchronize(g);
    else
        define_mutable(g);
}

void statements(generator *g, int most)
{
    for (unsigned n = 1 + draw(g, (unsigned)most); n-- > 0 && g->budget > 0;) {
        g->budget--;
        statement(g);
    }
}

// ---- the kernel ---------------------------------------------------------------------------------
static void choose_sizes(generator *g)
{
    static const int rows[] = {16, 8, 4, 16, 32, 12, 5, 6, 16, 20},
                     columns[] = {16, 32, 8, 64, 16, 24, 7, 40, 32, 48},
                     warps[] = {1, 2, 4, 4, 8, 3, 2, 6};
    g->size[0] = rows[draw(g, 10)];
    g->size[1] = columns[draw(g, 10)];
    g->size[2] = (g->size[0] + 1) / 2;
    g->size[3] = (g->size[1] + 1) / 2;
    g->warps = warps[draw(g, 8)];
    g->ctas = 1 + (int)draw(g, 2);
    g->trips = (int)draw(g, 6);
    g->flag = (int)draw(g, 4);
    g->n = g->size[0] + (int)draw(g, 8) - 3;
    g->m = chance(g, 2) ? g->size[1] + 8 : g->size[1] + (int)draw(g, 9) - 4;
    g->budget = 4 + (int)draw(g, 12);
}

// Whatever was computed goes out, so that nothing of it is dead.
void store_all(generator *g)
{
    for (int i = 0, n = g->n_vars; i < n && g->outputs < 10; i++) {
        variable v = g->vars[i];
        if (v.mutable || chance(g, 2)) output(g, v.shape, v.type, v.name);
    }
    for (int i = 0; i < g->n_buffers && g->outputs < 12; i++) {
        buffer b = g->buffers[i];
        if (b.global) continue;
        output(g, b.shape, b.type, form(g, "load %s", buffer_view(g, &b, b.shape)));
    }
}

void declare_inputs(generator *g)
{
    for (int t = 0; t < GTYPES; t++)
        if (g->used_input[t]) param(g, "x_%s: global %s[N, M]", gtype_names[t], gtype_names[t]);
    if (g->used_index) param(g, "idx: global i32[M]");
}

static void write_kernel(generator *g, uint64_t seed, char *out, size_t size)
{
    declare_inputs(g);
    bool aligned = g->m % 8 == 0;
    snprintf(out, size,
             "// SPDX-License-Identifier: MIT\n// random program %llu\n"
             "// run: N=%d M=%d T=%d F=%d\n"
             "kernel random(N: i32, M: i32, T: i32, F: i32\n%s)\n"
             "  const R = %d, C = %d, H = %d, W = %d, G = %d\n%s"
             "  warps %d\n  grid cta: G\n{\n%s}\n",
             (unsigned long long)seed, g->n, g->m, g->trips, g->flag, g->params, g->size[0],
             g->size[1], g->size[2], g->size[3], g->ctas, aligned ? "  assume M % 8 == 0\n" : "",
             g->warps, g->body);
}

generator *start_generator(uint64_t seed)
{
    static _Thread_local generator g;
    memset(&g, 0, sizeof g);
    g.state = seed * UINT64_C(0x9E3779B97F4A7C15) + 1;
    for (int i = 0; i < 3; i++) draw(&g, 2);
    g.at = g.body;
    g.string = g.strings;
    g.depth = 1;
    return &g;
}

void random_text(uint64_t seed, char *out, size_t size)
{
    generator *g = start_generator(seed);
    choose_sizes(g);
    while (g->budget > 0) statements(g, 6);
    store_all(g);
    if (chance(g, 6)) last_arriver(g);
    if (chance(g, 12)) handed_on(g);
    write_kernel(g, seed, out, size);
}
