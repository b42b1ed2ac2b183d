// SPDX-License-Identifier: MIT
// Inside of the builder: its state. A builder drives the parser's later stages: what is asked for
// becomes a tree (parse.h) of existing values, and is typed and made into ops as a tree from text
// would be.
#pragma once
#include "ir/builder.h"
#include "ir/parse.h"
#include <string.h>

typedef struct kg_open_region {
    kg_op *op; // NULL when its beginning failed
    kg_block *outer;
    bool in_condition; // of a while
} kg_open_region;

struct kg_build {
    kg_arena arena;
    kg_diags diags;
    kg_source source;
    kg_parser *parser;
    bool no_memory;
    bool in_header;
    kg_op *newest;
    struct {
        kg_value **items;
        int count, capacity;
    } declared, implicit;
    struct {
        kg_open_region *items;
        int count, capacity;
    } regions;
    int verified_errors; // errors when the kernels were last verified, or -1
};

// Every public call begins with this: a failed allocation comes back here.
#define KG_BUILD_GUARD(b, otherwise)                                                               \
    jmp_buf kg_build_recovery;                                                                     \
    if (!(b) || (b)->no_memory) return otherwise;                                                  \
    (b)->arena.recovery = &kg_build_recovery;                                                      \
    if (setjmp(kg_build_recovery)) {                                                               \
        (b)->no_memory = true;                                                                     \
        return otherwise;                                                                          \
    }

bool kg_build_in_body(kg_build *b); // ends the header; false when no kernel is open
bool kg_build_in_head(kg_build *b); // false and a finding when the header has ended
kg_node *kg_build_node(kg_build *b, kg_value *value);             // a tree of one value or literal
kg_value *kg_build_made(kg_build *b, kg_node *n);                 // types and emits a tree
const char *kg_build_checked_name(kg_build *b, const char *name); // copy, or NULL and a finding
bool kg_build_done(kg_build *b, int errors_before);               // statement: notes the newest op
kg_node *kg_build_new_node(kg_build *b, kg_node_kind kind);
kg_node *kg_build_int_node(kg_build *b, int64_t value);
kg_node *kg_build_optional(kg_build *b, kg_value *value); // NULL for NULL
bool kg_build_is_dtype(kg_build *b, kg_dtype dtype);      // false and a finding for a wrong number
void kg_build_error(kg_build *b, kg_diag_id id, const char *text);
// gives a name, if there is one
bool kg_build_named(kg_build *b, kg_value *value, const char *name);

// Copies `count` variable arguments of a type into a new local array `out` of KG_MAX_RANK.
#define KG_BUILD_COLLECT(type, out, count, last)                                                   \
    type out[KG_MAX_RANK];                                                                         \
    memset(out, 0, sizeof out);                                                                    \
    va_list args;                                                                                  \
    va_start(args, last);                                                                          \
    for (int i = 0; i < (count) && i < KG_MAX_RANK; i++) out[i] = va_arg(args, type);              \
    va_end(args)
