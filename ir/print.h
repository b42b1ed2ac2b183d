// SPDX-License-Identifier: MIT
// Inside of the printer: what print.c (ops, kernels) and print_expr.c (expressions) share.
#pragma once
#include "ir/ir.h"

typedef struct kg_printer {
    kg_arena *arena;
    kg_kernel *kernel; // NULL when a single op is printed for a message
    struct {
        char *items;
        int count, capacity;
    } out;
    bool flat;          // one op a line, layouts stated
    int *uses;          // by value id
    bool *inlined;      // by op id: printed inside of its user
    const char **names; // by value id, once defined
    int next_number;    // of %n
    struct {
        const char **items;
        int count, capacity;
    } visible; // names in scope, innermost last
    struct {
        const kg_layout **items;
        int count, capacity;
    } layouts;
} kg_printer;

void kg_put(kg_printer *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
const char *kg_value_text(kg_printer *p, const kg_value *value); // the name of a value in scope
bool kg_layout_same(const kg_layout *a, const kg_layout *b);     // field by field
void kg_put_ints(kg_printer *p, int count, const int64_t *values);
// those that the syntax does not say
void kg_put_attrs(kg_printer *p, const kg_op *op, const char *lead);
bool kg_has_more_attrs(const kg_op *op);

// print_expr.c
// decides for the ops of a block (not nested ones)
void kg_mark_inlined(kg_printer *p, kg_block *block);
void kg_put_sexpr(kg_printer *p, const kg_sexpr *e, int level);
void kg_put_rhs(kg_printer *p, const kg_op *op); // the op as an expression
void kg_put_memory(kg_printer *p, const kg_value *value);
// in a place where literals have their own type
void kg_put_value(kg_printer *p, const kg_value *value);
// In a place that converts literals to `dtype` and broadcasts scalars.
void kg_put_converted(kg_printer *p, const kg_value *value, kg_dtype dtype);
void kg_put_bound(kg_printer *p, const kg_op *loop, int i);
bool kg_is_inlined(const kg_printer *p, const kg_value *value);

// print.c: gives a value its name in the text, different from all that are visible.
const char *kg_define_printed(kg_printer *p, const kg_value *value);
void kg_put_header(kg_printer *p, const kg_kernel *k); // print_header.c
