// SPDX-License-Identifier: MIT
// See random_program.h. Every buffer is written as a whole at the start, so that no read is of
// bytes that nobody wrote; what the sync pass makes of the rest is for the executor to judge.
#include "random_program.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

enum { BUFFERS = 3, DEPTH = 3 };

typedef struct generator {
    uint64_t state;
    char *at, *end;
    int buffers, ring[BUFFERS], elements, loops, statements, counter;
} generator;

static unsigned draw(generator *g, unsigned n)
{
    g->state = g->state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(g->state >> 33) % n;
}

static void say(generator *g, int depth, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    for (int i = 0; i < 2 * depth && g->at + 1 < g->end; i++) *g->at++ = ' ';
    g->at += vsnprintf(g->at, (size_t)(g->end - g->at), format, args);
    va_end(args);
    if (g->at > g->end) g->at = g->end;
}

// A slot: a loop's index, shifted, a constant, or the counter.
static const char *slot(generator *g, char *out, size_t size, int buffer)
{
    if (g->ring[buffer] == 1)
        snprintf(out, size, "%s", "");
    else if (g->loops && draw(g, 4))
        snprintf(out, size, "k%u + %u; ", draw(g, (unsigned)g->loops), draw(g, 4));
    else if (g->counter && draw(g, 2))
        snprintf(out, size, "n0 + %u; ", draw(g, 3));
    else
        snprintf(out, size, "%u; ", draw(g, (unsigned)g->ring[buffer]));
    return out;
}

static void access(generator *g, int depth)
{
    static const char *const forms[] = {"s%d[%s%d.. + %d] = load a[%d, 0.. + %d]\n",
                                        "copy_async s%d[%s%d.. + %d] = a[%d, 0.. + %d]\n"};
    int buffer = (int)draw(g, (unsigned)g->buffers), n = g->elements >> draw(g, 2),
        from = n < g->elements ? (int)draw(g, 2) * n : 0;
    char text[64];
    unsigned kind = draw(g, 8);
    slot(g, text, sizeof text, buffer);
    g->statements++;
    if (kind < 3)
        say(g, depth, forms[0], buffer, text, from, n, g->statements, n);
    else if (kind < 5)
        say(g, depth, forms[1], buffer, text, from, n, g->statements, n);
    else if (kind == 5)
        say(g, depth, "store c[%d, 0.. + %d] = load s%d[%s1.. + %d]\n", g->statements,
            g->elements - 1, buffer, text, g->elements - 1);
    else
        say(g, depth, "store c[%d, 0.. + %d] = load s%d[%s%d.. + %d]\n", g->statements, n, buffer,
            text, from, n);
    if (kind >= 3 && kind < 5 && draw(g, 2)) say(g, depth, "commit\n");
}

// A buffer of this block only: such ones may share bytes with each other.
static void scratch(generator *g, int depth)
{
    int id = ++g->statements, e = g->elements << draw(g, 2);
    bool async = draw(g, 2);
    say(g, depth, "shared t%d: f32[%d]\n", id, e);
    say(g, depth, async ? "copy_async t%d = a[%d, 0.. + %d]\n" : "t%d = load a[%d, 0.. + %d]\n", id,
        id, e);
    if (async) say(g, depth, "commit\n");
    say(g, depth, "store c[%d, 0.. + %d] = load t%d[%d.. + %d]\n", id, e / 2, id,
        draw(g, 2) ? 1 : 0, e / 2);
}

// A place within the slot that only run time knows.
static void computed(generator *g, int depth)
{
    int buffer = (int)draw(g, (unsigned)g->buffers), n = g->elements / 4;
    char text[64];
    slot(g, text, sizeof text, buffer);
    g->statements++;
    if (draw(g, 2))
        say(g, depth, "s%d[%s(k%d %% 4) * %d.. + %d] = load a[%d, 0.. + %d]\n", buffer, text,
            g->loops - 1, n, n, g->statements, n);
    else
        say(g, depth, "store c[%d, 0.. + %d] = load s%d[%s(k%d %% 4) * %d.. + %d]\n", g->statements,
            n, buffer, text, g->loops - 1, n, n);
}

static void block(generator *g, int depth);

static void loop(generator *g, int depth)
{
    static const char *const bounds[] = {"0 .. T", "0 .. 3", "0 .. T step 2", "1 .. T"};
    if (draw(g, 5) == 0) {
        say(g, depth, "frag w%d: i32 = 0\n", ++g->statements);
        int w = g->statements;
        say(g, depth, "while w%d < T {\n", w);
        block(g, depth + 1);
        say(g, depth + 1, "w%d += 1\n", w);
        say(g, depth, "}\n");
        return;
    }
    say(g, depth, "for k%d in %s {\n", g->loops++, bounds[draw(g, 4)]);
    block(g, depth + 1);
    if (g->counter && draw(g, 2)) say(g, depth + 1, "n0 += 1\n");
    g->loops--;
    say(g, depth, "}\n");
}

static void branch(generator *g, int depth)
{
    if (g->loops && draw(g, 2))
        say(g, depth, "if k%u + %u < T {\n", draw(g, (unsigned)g->loops), draw(g, 3));
    else
        say(g, depth, "if flag > %u {\n", draw(g, 4));
    block(g, depth + 1);
    if (draw(g, 2)) {
        say(g, depth, "} else {\n");
        block(g, depth + 1);
    }
    say(g, depth, "}\n");
}

static void block(generator *g, int depth)
{
    int n = 1 + (int)draw(g, depth > 1 ? 3 : 5);
    for (int i = 0; i < n; i++) {
        unsigned kind = draw(g, 12);
        if (kind < 2 && depth < DEPTH)
            loop(g, depth);
        else if (kind == 2 && depth < DEPTH)
            branch(g, depth);
        else if (kind == 3)
            say(g, depth, draw(g, 2) ? "commit\n" : draw(g, 2) ? "barrier\n" : "wait 1\n");
        else if (kind == 4 || (kind == 5 && depth == 1))
            scratch(g, depth);
        else if (kind == 6 && g->loops)
            computed(g, depth);
        else
            access(g, depth);
    }
}

void random_program(uint64_t seed, char *out, size_t size)
{
    generator g = {
        .state = seed * UINT64_C(0x9E3779B97F4A7C15) + 1, .at = out, .end = out + size - 1};
    int warps = 1 << draw(&g, 3);
    g.elements = 128 * warps;
    g.buffers = 1 + (int)draw(&g, BUFFERS);
    say(&g, 0,
        "kernel random(a: global f32[64, 4096], c: global f32[64, 4096], T: i32, flag: i32)\n  "
        "warps %d\n{\n",
        warps);
    g.counter = (int)draw(&g, 2);
    if (g.counter) say(&g, 1, "frag n0: i32 = 0\n");
    for (int b = 0; b < g.buffers; b++) {
        g.ring[b] = 1 + (int)draw(&g, 4);
        say(&g, 1, g.ring[b] > 1 ? "shared s%d: f32[%d] ring %d\n" : "shared s%d: f32[%d]\n", b,
            g.elements, g.ring[b]);
        for (int i = 0; i < g.ring[b]; i++)
            if (g.ring[b] > 1)
                say(&g, 1, "s%d[%d; 0.. + %d] = load a[0, 0.. + %d]\n", b, i, g.elements,
                    g.elements);
            else
                say(&g, 1, "s%d[0.. + %d] = load a[0, 0.. + %d]\n", b, g.elements, g.elements);
    }
    block(&g, 1);
    block(&g, 1);
    say(&g, 0, "}\n");
    *g.at = 0;
}
