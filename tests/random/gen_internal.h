// SPDX-License-Identifier: MIT
// What the files of the generator share.
#pragma once
#include "gen.h"
#include <stdbool.h>

typedef enum gtype { F32, F16, BF16, I32, I8, I64, GTYPES } gtype;

enum { DIMS = 4, VARS = 48, BUFFERS = 24, LOOPS = 8, TENSORS = 24, TEXT = 1 << 16 };

typedef struct shape {
    int rank, dims[2]; // numbers of dimensions: R C H W
} shape;

// An expression: its text, the largest magnitude that it can have, and whether it is exact (then
// its values are integers).
typedef struct term {
    const char *text;
    double bound;
    bool exact;
} term;

typedef struct variable {
    char name[12];
    shape shape;
    gtype type;
    bool mutable, exact;
    double bound;
} variable;

typedef struct buffer {
    char name[12];
    shape shape;
    gtype type;
    int ring; // 1: none
    bool global;
} buffer;

typedef struct generator {
    uint64_t state;
    char body[TEXT], params[TEXT / 8], *at;
    char strings[8 * TEXT], *string; // of terms
    int size[DIMS], warps, ctas, n, m, trips, flag;
    variable vars[VARS];
    int n_vars;
    buffer buffers[BUFFERS];
    int n_buffers;
    char loops[LOOPS][12]; // scalars of small size: indices of loops
    int n_loops;
    int names, budget, outputs, depth;
    int barriers; // named ones in use
    bool used_input[GTYPES], used_index;
    bool tiles_only; // no synchronization, no roles, no copies in groups, no pipelined loops
} generator;

extern const char *const gtype_names[GTYPES];
extern const char *const dim_names[DIMS];
static inline bool whole(gtype t)
{
    return t >= I32;
}
gtype random_type(generator *g);
double gtype_limit(gtype t); // of the values of buffers and mutable fragments

unsigned draw(generator *g, unsigned n);
static inline bool chance(generator *g, unsigned of)
{
    return draw(g, of) == 0;
}
const char *form(generator *g, const char *format, ...) __attribute__((format(printf, 2, 3)));
void put(generator *g, const char *format, ...) __attribute__((format(printf, 2, 3)));
void param(generator *g, const char *format, ...) __attribute__((format(printf, 2, 3)));

// gen.c
generator *start_generator(uint64_t seed);
variable *add_variable(generator *g, char letter, shape s, gtype t);
const char *stored(generator *g, shape s, gtype t, int depth); // a term within its type's limit
void output(generator *g, shape s, gtype t, const char *text);
void statements(generator *g, int most);
void inner(generator *g, int most); // statements of a block
void store_all(generator *g);
void declare_inputs(generator *g);

// gen_expr.c
shape random_shape(generator *g);
const char *extents(generator *g, shape s); // "R, C"
int64_t elements(const generator *g, shape s);
term expression(generator *g, shape s, gtype t, int depth, bool exact);
term clamp(generator *g, term e, gtype t, double limit);
const char *condition(generator *g, shape s, int depth);
const char *small_scalar(generator *g); // an i32 from 0 to about 12
// Of an input tensor; by_rows: its last dimension is the tensor's.
const char *input_view(generator *g, shape s, gtype t, bool by_rows);
const char *buffer_view(generator *g, const buffer *b, shape s); // s fits b
bool fits(const generator *g, const buffer *b, shape s);
